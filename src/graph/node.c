/* Making nodes. */
#include <string.h>

#include "graph/graph.h"
#include "graph/relative.h"

_Thread_local bool mx_shape_used;
_Thread_local bool mx_any_shape_wanted;
_Thread_local uint8_t mx_level;
_Atomic int mx_levels_open;

static inline __attribute__((always_inline)) void fill(mx_array *a, mx_stream stream, int op, int nin, mx_array *const *in, int np,
                                                       const int64_t *p) {
  uint8_t flags = 0; /* what a node inherits from its inputs */
  a->op = (uint16_t)op;
  a->stream = stream;
  for (int i = 0; i < nin; i++) {
    mx_array *x = in[i];
    flags |= x->flags;
    a->in[i] = mx_retain(x);
  }
  a->flags = flags & (MX_TRACER | MX_PLACEHOLDER);
  if (atomic_load_explicit(&mx_levels_open, memory_order_relaxed)) a->flags |= (uint8_t)(mx_level * MX_LEVEL);
  if (op == OP_stop_gradient) a->flags &= (uint8_t)~MX_TRACER; /* no gradient is wanted of what comes from it */
  if (np) memcpy(a->p, p, (size_t)np * sizeof *p);
}

static bool all_given(mx_scope *s, int nin, mx_array *const *in) {
  if (s->rc) return false;
  for (int i = 0; i < nin; i++)
    if (!in[i]) {
      mx_scope_error(s, mx_error_kind());
      return false;
    }
  return true;
}

static mx_array *single(mx_scope *s, mx_stream stream, int op, int nin, mx_array *const *in, int np, const int64_t *p,
                        mx_object *object) {
  mx_aval out;
  int rc = mx_ops[op].infer(op, nin, in, np, p, 1, &out);
  if (rc) return mx_scope_error(s, rc);
  mx_array *a = mx_array_alloc(out.dtype, out.ndim, out.shape, nin, np);
  if (!a) return mx_scope_error(s, mx_error_kind());
  fill(a, stream, op, nin, in, np, p);
  a->object = mx_object_retain(object);
  return mx_own(s, a);
}

/* The operand whose shape an element-wise op over operands of one shape, or single elements beside them, has; NULL: it is not so simple. */
static const mx_array *one_shape(int nin, mx_array *const *in) {
  const mx_array *shaped = in[0];
  for (int i = 1; i < nin; i++)
    if (in[i]->ndim > shaped->ndim) shaped = in[i];
  for (int i = 0; i < nin; i++)
    if (in[i]->ndim && in[i] != shaped && !mx_same_shape(in[i], shaped)) return NULL;
  return shaped;
}

/* The common case without infer. */
static mx_array *same_shapes(mx_scope *s, int op, int nin, mx_array *const *in) {
  const mx_array *shaped = one_shape(nin, in), *typed = in[nin - 1];
  if (!shaped || !(mx_ops[op].dtypes & MX_BIT(typed->dtype))) return NULL;
  mx_array *a = mx_array_alloc_like(mx_result_dtype(op, typed->dtype), shaped, nin);
  if (!a) return NULL;
  fill(a, s->stream, op, nin, in, 0, NULL);
  return mx_own(s, a);
}

mx_array *mx_node(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p) {
  if (!all_given(s, nin, in)) return NULL;
  mx_array *a = mx_is_elementwise(op) && op != OP_astype ? same_shapes(s, op, nin, in) : NULL;
  return a ? a : single(s, s->stream, op, nin, in, np, p, NULL);
}

static mx_array *relative(mx_scope *s, mx_stream stream, int op, int nin, mx_array *const *in, int np, const int64_t *raw) {
  enum { MOST = 1 + 3 * MX_MAX_NDIM };
  int64_t p[MOST];
  mx_aval out;
  int rc = np > MOST ? mx_fail(MX_EVALUE, "[%s] %d parameters are too many.", mx_ops[op].name, np) : mx_settle_parameters(op, nin, in, np, raw, p);
  if (!rc) rc = mx_ops[op].infer(op, nin, in, np, p, 1, &out);
  mx_array *a = rc ? NULL : mx_array_alloc(out.dtype, out.ndim, out.shape, nin, 2 * np);
  if (!a) return mx_scope_error(s, rc ? rc : mx_error_kind());
  a->np = (uint16_t)np;
  fill(a, stream, op, nin, in, np, p);
  a->flags |= MX_RELATIVE;
  if (np) memcpy(a->p + np, raw, (size_t)np * sizeof *raw);
  return mx_own(s, a);
}

mx_array *mx_node_relative(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *raw) {
  return all_given(s, nin, in) ? relative(s, s->stream, op, nin, in, np, raw) : NULL;
}

const mx_array *mx_shape_of_pair(const mx_array *x, const mx_array *y) {
  if (!x->ndim) return y;
  return !y->ndim || mx_same_shape(x, y) ? x : NULL;
}

/* The results of a tuple: one block for the records, strides and shapes. */
static mx_result *results_block(int nout, size_t dims) {
  mx_result *r = mx_calloc(1, (size_t)nout * sizeof *r + dims * (sizeof(int64_t) + sizeof(int32_t)));
  if (!r) mx_fail_memory();
  return r;
}

static mx_result *results_new(int nout, const mx_aval *out) {
  size_t dims = 0;
  for (int i = 0; i < nout; i++) dims += (size_t)out[i].ndim;
  mx_result *r = results_block(nout, dims);
  if (!r) return NULL;
  int64_t *strides = (int64_t *)(r + nout);
  int32_t *shape = (int32_t *)(strides + dims);
  for (int i = 0; i < nout; i++) {
    r[i] = (mx_result){.dtype = (uint8_t)out[i].dtype, .ndim = (uint8_t)out[i].ndim, .shape = shape, .strides = strides};
    memcpy(shape, out[i].shape, (size_t)out[i].ndim * sizeof *shape);
    if (mx_row_layout(out[i].ndim, shape, strides, &r[i].size)) {
      mx_free(r);
      return NULL;
    }
    strides += out[i].ndim;
    shape += out[i].ndim;
  }
  return r;
}

static mx_result *results_like(int nout, const mx_result *like) {
  size_t dims = 0;
  for (int i = 0; i < nout; i++) dims += like[i].ndim;
  mx_result *r = results_block(nout, dims);
  if (!r) return NULL;
  int64_t *strides = (int64_t *)(r + nout);
  int32_t *shape = (int32_t *)(strides + dims);
  for (int i = 0; i < nout; i++) {
    r[i] = (mx_result){.dtype = like[i].dtype, .ndim = like[i].ndim, .shape = shape, .strides = strides, .size = like[i].size};
    memcpy(shape, like[i].shape, like[i].ndim * sizeof *shape);
    mx_row_strides(like[i].ndim, shape, strides);
    strides += like[i].ndim;
    shape += like[i].ndim;
  }
  return r;
}

static mx_array *tuple_of(mx_scope *s, mx_stream stream, int op, int nin, mx_array *const *in, int np, const int64_t *p, mx_object *object,
                          int nout, const mx_aval *out) {
  mx_array *a = mx_array_alloc(nout ? out[0].dtype : MX_BOOL, 0, NULL, nin, np);
  if (!a) return mx_scope_error(s, mx_error_kind());
  fill(a, stream, op, nin, in, np, p);
  a->object = mx_object_retain(object);
  a->nout = (uint16_t)nout;
  if (!(a->outs = results_new(nout, out))) {
    a->nout = 1;
    mx_release(a);
    a = NULL;
  }
  return mx_own(s, a);
}

static mx_array *tuple(mx_scope *s, mx_stream stream, int op, int nin, mx_array *const *in, int np, const int64_t *p,
                       mx_object *object, int nout) {
  mx_aval small[4], *out = nout <= 4 ? small : mx_malloc((size_t)nout * sizeof *out);
  if (!out) return mx_scope_error(s, mx_fail_memory());
  int rc = mx_ops[op].infer(op, nin, in, np, p, nout, out);
  mx_array *a = rc ? mx_scope_error(s, rc) : tuple_of(s, stream, op, nin, in, np, p, object, nout, out);
  if (out != small) mx_free(out);
  return a;
}

mx_array *mx_tuple_like(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_array *const *like) {
  mx_aval *out = mx_malloc(((size_t)nout + 1) * sizeof *out);
  if (!out) return mx_scope_error(s, mx_fail_memory());
  for (int i = 0; i < nout; i++) {
    out[i].dtype = (mx_dtype)like[i]->dtype;
    out[i].ndim = like[i]->ndim;
    memcpy(out[i].shape, like[i]->shape, (size_t)like[i]->ndim * sizeof *like[i]->shape);
  }
  mx_array *a = tuple_of(s, s->stream, op, nin, in, np, p, NULL, nout, out);
  mx_free(out);
  return a;
}

mx_array *mx_tuple_front(const mx_array *n, int nin) {
  mx_result *outs = results_like(n->nout, n->outs);
  mx_array *a = outs ? mx_array_alloc((mx_dtype)n->dtype, 0, NULL, nin, n->np) : NULL;
  if (!a) {
    mx_free(outs);
    return NULL;
  }
  fill(a, n->stream, n->op, nin, n->in, n->np, n->p);
  a->object = mx_object_retain(n->object);
  a->outs = outs;
  a->nout = n->nout;
  return a;
}

mx_array *mx_tuple_node(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p, mx_object *object, int nout) {
  return all_given(s, nin, in) ? tuple(s, s->stream, op, nin, in, np, p, object, nout) : NULL;
}

mx_array *mx_pick(mx_scope *s, mx_array *t, int i) {
  int64_t p = i;
  return mx_node(s, OP_pick, 1, &t, 1, &p);
}

int mx_node_multi(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *p, mx_object *object, int nout,
                  mx_array **res) {
  mx_array *t = all_given(s, nin, in) ? tuple(s, s->stream, op, nin, in, np, p, object, nout) : NULL;
  for (int i = 0; i < nout; i++) res[i] = t ? mx_pick(s, t, i) : NULL;
  return s->rc;
}

mx_array *mx_node_again(mx_scope *s, const mx_array *n, mx_array *const *in) {
  if (!all_given(s, n->nin, in)) return NULL;
  if (mx_ops[n->op].kind == MX_CONTROL && n->object) return ((mx_control *)n->object)->again((mx_control *)n->object, s, n, in);
  if (n->outs) return tuple(s, n->stream, n->op, n->nin, in, n->np, n->p, n->object, n->nout);
  if (n->flags & MX_RELATIVE) return relative(s, n->stream, n->op, n->nin, in, n->np, n->p + n->np);
  return single(s, n->stream, n->op, n->nin, in, n->np, n->p, n->object);
}

mx_array *mx_node_copy(const mx_array *n, mx_array *const *in) {
  mx_result *outs = n->outs ? results_like(n->nout, n->outs) : NULL;
  mx_array *a = n->outs && !outs ? NULL : mx_array_alloc((mx_dtype)n->dtype, n->ndim, n->shape, n->nin, n->np);
  if (!a) {
    mx_free(outs);
    return NULL;
  }
  fill(a, n->stream, n->op, n->nin, in, n->np, n->p);
  a->object = mx_object_retain(n->object);
  a->outs = outs;
  a->nout = n->nout;
  return a;
}

/* An array like result i of a tuple, with room for inputs and parameters. */
static mx_array *like_result(const mx_array *tuple, int i, int nin, int np) {
  const mx_result *r = &tuple->outs[i];
  return mx_array_alloc((mx_dtype)r->dtype, r->ndim, r->shape, nin, np);
}

mx_array *mx_pick_alone(mx_array *tuple, int i) {
  mx_array *a = like_result(tuple, i, 1, 1);
  int64_t p = i;
  if (a) fill(a, tuple->stream, OP_pick, 1, &tuple, 1, &p);
  return a;
}

/* ---- compiled calls that wait ---- */

mx_array *mx_call_node(mx_object *callee, mx_stream stream, int nin, mx_array *const *in, int nout, const mx_result *like) {
  mx_result *outs = results_like(nout, like);
  mx_array *a = outs ? mx_array_alloc(MX_BOOL, 0, NULL, nin, nout) : NULL;
  if (!a) {
    mx_free(outs);
    return NULL;
  }
  fill(a, stream, OP_compiled, nin, in, 0, NULL);
  memset(a->p, 0, (size_t)nout * sizeof *a->p);
  a->object = mx_object_retain(callee);
  a->outs = outs;
  a->nout = (uint16_t)nout;
  return a;
}

mx_array *mx_call_result(mx_array *call, int i, const mx_array *n) {
  bool picked = n->outs; /* it will be a pick again */
  mx_array *a = like_result(call, i, picked || n->nin < 1 ? 1 : n->nin, picked || n->np < 1 ? 1 : n->np);
  if (!a) return NULL;
  a->nin = a->np = 1;
  int64_t p = i;
  fill(a, call->stream, OP_pick, 1, &call, 1, &p);
  call->p[i] = (int64_t)(uintptr_t)a;
  return a;
}

static void become(mx_array *a, mx_stream stream, int op, int nin, mx_array *const *in, int np, const int64_t *p) {
  mx_array *call = a->in[0];
  mx_call_forget(call, a->p[0]);
  a->nin = (uint16_t)nin;
  a->np = (uint16_t)np;
  fill(a, stream, op, nin, in, np, p);
  mx_release(call);
}

void mx_call_become(mx_array *result, const mx_array *n, mx_array *const *in) {
  become(result, n->stream, n->op, n->nin, in, n->np, n->p);
  result->object = mx_object_retain(n->object);
}

void mx_call_become_pick(mx_array *result, mx_array *tuple, int i) {
  int64_t p = i;
  become(result, tuple->stream, OP_pick, 1, &tuple, 1, &p);
}

mx_array *mx_placeholder(mx_scope *s, mx_dtype t, int ndim, const int32_t *shape) {
  mx_array *a = mx_array_alloc(t, ndim, shape, 0, 0);
  if (a) a->flags = MX_PLACEHOLDER;
  return mx_own(s, a);
}
