/* Building the graph: scopes, nodes, and the rules that every op has.
 *
 * Functions that build take a scope and give an array that the scope owns; arguments are borrowed. A failed step gives NULL and
 * marks the scope, NULL arguments give NULL, so a formula is written without checks and checked once. */
#ifndef MX_GRAPH_H
#define MX_GRAPH_H

#include "core/alloc.h"
#include "core/array.h"
#include "core/closure.h"
#include "core/error.h"
#include "core/opcode.h"

/* ---- scopes ---- */

typedef struct mx_scope {
  mx_stream stream;
  int rc;              /* 0, or the kind of the first error */
  int n, cap;
  mx_array **own;
  mx_array *small[12];
} mx_scope;

static inline void mx_scope_begin(mx_scope *s, mx_stream stream) {
  s->stream = stream;
  s->rc = 0;
  s->n = 0;
  s->cap = (int)(sizeof s->small / sizeof *s->small);
  s->own = s->small;
}
/* Releases all that the scope owns; returns rc. */
int mx_scope_end(mx_scope *s);
/* Ends the scope with a as the result: a reference for the caller. NULL when the scope failed. */
mx_array *mx_scope_result(mx_scope *s, mx_array *a);
mx_array *mx_own_slowly(mx_scope *s, mx_array *a);
/* Takes the reference to a (NULL is passed on); on failure releases it. */
static inline mx_array *mx_own(mx_scope *s, mx_array *a) {
  return a && s->n < s->cap ? s->own[s->n++] = a : mx_own_slowly(s, a);
}
/* Records an error and marks the scope; always NULL. */
mx_array *mx_scope_fail(mx_scope *s, int kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Marks the scope with rc, an error that is already recorded. */
mx_array *mx_scope_error(mx_scope *s, int rc);

/* ---- nodes ---- */

/* What infer decides: dtype and shape of one result. */
typedef struct mx_aval {
  mx_dtype dtype;
  int ndim;
  int32_t shape[MX_MAX_NDIM];
} mx_aval;

/* A node of op with the given inputs and parameters; infer checks them and gives the shape. */
mx_array *mx_node(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p);
/* The same for several results: fills res[nout] with pick nodes (owned by the scope). object is retained. */
int mx_node_multi(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p, mx_object *object, int nout,
                  mx_array **res);
/* node rebuilt with other inputs (replay): same op, parameters and object. A tuple node gives a tuple. */
mx_array *mx_node_again(mx_scope *s, const mx_array *node, mx_array *const *in);
/* The same without a check or a scope, over inputs of the dtypes and shapes that it has. A reference for the caller. */
mx_array *mx_node_copy(const mx_array *node, mx_array *const *in);
/* A tuple node whose results have the dtypes and shapes of like[nout]: no rule is asked. */
mx_array *mx_tuple_like(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_array *const *like);
/* A tuple node with its first nin inputs only. A reference for the caller. */
mx_array *mx_tuple_front(const mx_array *tuple, int nin);
/* The pick nodes of a tuple: a fresh result i of tuple. The second is without a scope: a reference for the caller. */
mx_array *mx_pick(mx_scope *s, mx_array *tuple, int i);
mx_array *mx_pick_alone(mx_array *tuple, int i);

/* ---- a compiled call that waits, as one node (OP_compiled), and its results. References for the caller; NULL: an error ---- */

mx_array *mx_call_node(mx_object *callee, mx_stream stream, int nin, mx_array *const *in, int nout, const mx_result *like);
/* Result i, which can become a copy of node n. */
mx_array *mx_call_result(mx_array *call, int i, const mx_array *n);
/* It does, over inputs of the dtypes and shapes that n has. Or result i of a tuple. Under the graph lock; somebody holds the call. */
void mx_call_become(mx_array *result, const mx_array *n, mx_array *const *in);
void mx_call_become_pick(mx_array *result, mx_array *tuple, int i);

/* A leaf that stands for an argument of vmap or compile. */
mx_array *mx_placeholder(mx_scope *s, mx_dtype t, int ndim, const int32_t *shape);

/* What a node of kind MX_CONTROL carries as its object: graphs of its own, by which it computes its results. */
typedef struct mx_control {
  mx_object base;
  /* Fills node->outs. may_take: an input that only this node holds may be overwritten. */
  int (*run)(struct mx_control *c, mx_array *node, bool may_take);
  /* The tuple node over other inputs (owned by the scope); it may have more results. */
  mx_array *(*again)(struct mx_control *c, mx_scope *s, const mx_array *node, mx_array *const *in);
  /* Of a compiled call: its results that wait become the nodes that they stand for. Under the graph lock; or NULL. */
  int (*open)(struct mx_control *c, mx_array *node);
} mx_control;
/* A tuple node as it stands, what mx_control.again makes unless it knows better. */
mx_array *mx_tuple_node(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p, mx_object *object, int nout);

/* ---- rules: one record an op ---- */

enum mx_op_kind { MX_ELEMENTWISE, MX_REDUCTION, MX_VIEW, MX_ALIAS, MX_KERNEL, MX_CONTROL };

enum mx_result_kind { MX_RESULT_SAME, MX_RESULT_BOOL, MX_RESULT_REAL, MX_RESULT_SUM };

typedef struct mx_op {
  const char *name;        /* "exp": the tag of errors */
  const char *label;       /* "Exp": MLX's primitive name */
  uint8_t kind;
  int8_t nin, nout, inplace;
  uint8_t result;          /* element-wise ops: which dtype the result has (enum mx_result_kind) */
  uint32_t dtypes;         /* element-wise ops and reductions: dtypes with a kernel */
  /* Results from inputs and parameters; an error names the op, what was given and what was expected. */
  int (*infer)(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out);
  /* Cotangents of the inputs: res[i] for every i with want[i] (NULL: zero). cot[k] is the cotangent of result k, of its shape and dtype,
   * NULL where zero. out: the results themselves. node gives in, p and object. */
  int (*vjp)(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res);
  /* Tangents of the results (NULL: zero) from those of the inputs (NULL: zero). */
  int (*jvp)(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res);
  /* The op over an added axis: in[i] is input i with an extra axis ax[i] (-1: not mapped; node->in[i] has its shape without).
   * Gives the results and where their extra axis is. */
  int (*vmap)(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax);
  /* VIEW: strides (in elements of out's dtype) and byte offset of the result over the data of `in`, which is available; false: the
   * data must be copied (the planner then makes it row-contiguous first). out gives shape, dtype and parameters. */
  bool (*view)(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset);
  const char *doc;
} mx_op;

extern const mx_op mx_ops[MX_OPS];
extern _Atomic int mx_levels_open; /* branches of cond that are traced, by all threads (mx_level) */

/* The name of a node for people: in room, or a constant. */
enum { MX_LABEL_ROOM = 64 };
const char *mx_label(const mx_array *node, char room[MX_LABEL_ROOM]);

/* The dtype of an element-wise op's result when its (last) operand has dtype t. */
static inline mx_dtype mx_result_dtype(int op, mx_dtype t) {
  return mx_ops[op].result == MX_RESULT_BOOL ? MX_BOOL : mx_ops[op].result == MX_RESULT_REAL && t == MX_C64 ? MX_F32 : t;
}

/* An element-wise node over two operands that need not be brought in line, of one dtype and one shape (or a single element), is made by
 * mx_array_pair. This gives the operand whose shape it has; NULL: mx_node has to look at it. */
const mx_array *mx_shape_of_pair(const mx_array *x, const mx_array *y); /* whatever they are */
static inline const mx_array *mx_pair_shape(mx_opcode op, const mx_array *x, const mx_array *y) {
  if (x->dtype != y->dtype || !(mx_ops[op].dtypes & MX_BIT(x->dtype)) || atomic_load_explicit(&mx_levels_open, memory_order_relaxed)) return NULL;
  return x->ndim == 1 && y->ndim == 1 ? x->own_dim == y->own_dim ? x : NULL : mx_shape_of_pair(x, y);
}

/* ---- evaluation: declared here, defined by runtime/ ---- */

/* Evaluates the arrays (and waits). The error of a failed computation is returned. */
int mx_eval(int n, mx_array *const *a);
int mx_async_eval(int n, mx_array *const *a);
/* A result of a compiled call that waits becomes the graph that it stands for, for those who look at graphs. */
int mx_open_call(mx_array *a);
/* Set by functions that put a number made from a shape into the graph as a constant, as mean its divisor: what a shapeless compile
 * traces then holds for these shapes only. */
extern _Thread_local bool mx_shape_used;
/* While a graph is traced that shall serve all shapes: what takes its shape from an argument is then made of that argument. */
extern _Thread_local bool mx_any_shape_wanted;
/* While a branch of cond is traced, what it builds is told from what it captures: nodes carry the level at which they were built (15: or more). */
extern _Thread_local uint8_t mx_level;
/* Whether a trace of vjp or jvp is open on this thread. */
extern _Thread_local int mx_tracing;

/* ---- element-wise functions, generated from the table: mx_exp(s, x), mx_add(s, x, y), … ---- */
#define UNARY(name, ...) mx_array *mx_##name(mx_scope *s, mx_array *x);
#define UNARY_OWN(name, ...)
#define BINARY(name, ...) mx_array *mx_##name(mx_scope *s, mx_array *x, mx_array *y);
#define TERNARY(name, ...)
#include "elementwise.def"
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY
mx_array *mx_real(mx_scope *s, mx_array *x);
mx_array *mx_imag(mx_scope *s, mx_array *x);
mx_array *mx_conjugate(mx_scope *s, mx_array *x);
mx_array *mx_astype(mx_scope *s, mx_array *x, mx_dtype t);            /* x itself when it has that dtype */
mx_array *mx_where(mx_scope *s, mx_array *condition, mx_array *x, mx_array *y);

/* ---- helpers for rules ---- */

/* A 0-d constant of x's dtype. */
mx_array *mx_const_like(mx_scope *s, mx_array *x, double v);
mx_array *mx_scalar(mx_scope *s, mx_dtype t, double v);
mx_array *mx_int(mx_scope *s, mx_dtype t, int64_t v);
mx_array *mx_zeros_like(mx_scope *s, mx_array *x);
mx_array *mx_ones_like(mx_scope *s, mx_array *x);
/* Sums x over the axes that were broadcast to reach its shape from `like`'s shape. */
mx_array *mx_unbroadcast(mx_scope *s, mx_array *x, const mx_array *like);
/* The shape that two shapes broadcast to: an error "[broadcast_shapes] Shapes (…) and (…) cannot be broadcast." */
int mx_broadcast_shape(int na, const int32_t *a, int nb, const int32_t *b, int *n, int32_t *shape);
/* axis in [-ndim, ndim) -> [0, ndim); else an axis error tagged with the op. */
int mx_norm_axis(const char *tag, int axis, int ndim, int *res);
/* The batched input with its extra axis moved to the front (added with size 1, if it is not mapped and `must`). */
mx_array *mx_batch_front(mx_scope *s, mx_array *x, int ax);

#include "graph/functions.h"

#endif
