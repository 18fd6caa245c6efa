/* Arrays. An array is a node of the lazy graph and, once evaluated, its data: one counted block that holds the header,
 * shape, strides, inputs and parameters.
 *
 * Invariants:
 * - shape and dtype never change; strides, data, buf and inputs are set when the array becomes available.
 * - Every op has one result. An op with several (nout > 1) is a *tuple* node, which only OP_pick nodes read; its
 *   results live in `outs`.
 * - status moves UNSCHEDULED -> SCHEDULED -> AVAILABLE or FAILED, under the graph lock or by the job that computes it.
 * - An available array has no inputs, unless a trace was open when it was evaluated.
 * - data may point into the block itself (constants of one element): then buf is NULL. */
#ifndef MX_CORE_ARRAY_H
#define MX_CORE_ARRAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/refs.h"
#include "core/stream.h"

#define MX_MAX_NDIM 32
#define MX_MAX_DIM  INT32_MAX

typedef struct mx_array mx_array;

enum mx_status { MX_UNSCHEDULED, MX_SCHEDULED, MX_AVAILABLE, MX_FAILED };

enum mx_array_flags {
  MX_TRACER = 1,      /* depends on the argument of a vjp or jvp trace: eval keeps its inputs while a trace is open */
  MX_PLACEHOLDER = 2, /* stands for, or depends on, an argument of vmap or compile: cannot be evaluated */
  MX_BOUND = 4,       /* belongs to a graph that is run again and again (runtime/routine.c): its data comes and goes */
  MX_LEVEL = 16,      /* times the number of open branches of cond in which it was built (mx_level) */
};

/* Something counted that a node carries besides numbers (closures, custom primitives). */
typedef struct mx_object {
  _Atomic int refs;
  void (*destroy)(struct mx_object *);
} mx_object;
void mx_object_release(mx_object *o);
static inline void *mx_object_retain(mx_object *o) {
  if (o) mx_ref_take(&o->refs);
  return o;
}

/* One result of a tuple node. */
typedef struct mx_result {
  uint8_t dtype, ndim;
  bool failed; /* alone: the tuple was computed */
  int32_t *shape;
  int64_t *strides;
  int64_t size;
  union {
    void *data;
    void *event; /* failed: the error (runtime/) */
  };
  mx_buffer *buf;
} mx_result;

struct mx_array {
  /* what the walks of eval read comes first: one cache line, with the inputs of most ops and the shape of a vector */
  _Atomic int32_t refs;
  uint8_t dtype;
  uint8_t ndim;
  uint8_t flags;
  _Atomic uint8_t status;
  uint16_t op; /* mx_opcode; OP_none for leaves */
  mx_stream stream;
  uint16_t nin, np;
  union {
    struct { uint32_t walk_mark, walk_index; }; /* scratch of a walk under the graph lock */
    mx_array *walk_next;                        /* scratch of mx_array_destroy */
    uintptr_t last;                             /* MX_BOUND: the step that reads it last */
  };
  mx_array **in;       /* [nin] */
  mx_array *own_in[2]; /* where they are when there are no more */
  int32_t *shape;      /* [ndim] */
  int64_t size;        /* number of elements */
  int64_t *strides;    /* [ndim], counted in elements, may be 0 or negative */
  union {
    void *data;  /* the first element; NULL until available */
    void *event; /* once FAILED: the error (runtime/) */
  };
  mx_buffer *buf;      /* what keeps data alive; NULL for data inside the block */
  int64_t *p;          /* [np] parameters: integers, or the bits of doubles (mx_bits, mx_unbits) */
  mx_object *object;   /* counted companion, or NULL */
  mx_result *outs;     /* [nout] of a tuple node, else NULL */
  uint16_t nout;
  uint16_t block;      /* size class of this block */
  int32_t own_dim;     /* where the shape of a vector is */
  int64_t own_stride;
};

static inline int64_t mx_bits(double v) {
  int64_t i;
  __builtin_memcpy(&i, &v, 8);
  return i;
}
static inline double mx_unbits(int64_t i) {
  double v;
  __builtin_memcpy(&v, &i, 8);
  return v;
}

static inline mx_array *mx_retain(mx_array *a) {
  if (a) mx_ref_take(&a->refs);
  return a;
}
void mx_array_destroy(mx_array *a); /* iterative: a chain of a million nodes uses no C stack */
static inline void mx_release(mx_array *a) {
  if (a && mx_ref_drop(&a->refs)) mx_array_destroy(a);
}
/* *slot = a, releasing what was there; takes the reference to a. */
static inline void mx_set(mx_array **slot, mx_array *a) {
  mx_array *old = *slot;
  *slot = a;
  mx_release(old);
}

/* A fresh array with one reference: header, shape (copied), row-contiguous strides, room for nin inputs and np parameters
 * (both left for the caller to fill; inputs are NULL). NULL and an error: out of memory, too many dimensions or elements. */
mx_array *mx_array_alloc(mx_dtype t, int ndim, const int32_t *shape, int nin, int np);
/* The same with x's shape and no parameters. */
mx_array *mx_array_alloc_like(mx_dtype t, const mx_array *x, int nin);
/* A node of op over x and y (retained), with the shape of `like` and the flags that it inherits. NULL, and no error: no memory. */
mx_array *mx_array_pair(mx_dtype t, const mx_array *like, uint16_t op, mx_stream stream, mx_array *x, mx_array *y);

/* Available arrays. The data is copied. */
mx_array *mx_array_scalar(mx_dtype t, const void *value);
mx_array *mx_array_int(mx_dtype t, int64_t v); /* v converted to t */
mx_array *mx_array_float(mx_dtype t, double v);
mx_array *mx_array_from_data(mx_dtype t, int ndim, const int32_t *shape, const void *data);
/* Foreign memory, not copied; dtor(payload) is called when the last user is gone, also when this call fails. */
mx_array *mx_array_foreign(mx_dtype t, int ndim, const int32_t *shape, const int64_t *strides, void *data, size_t nbytes,
                           void (*dtor)(void *), void *payload);
/* Row-contiguous, uninitialised, available. */
mx_array *mx_array_empty(mx_dtype t, int ndim, const int32_t *shape);

static inline bool mx_is_available(const mx_array *a) {
  return atomic_load_explicit(&a->status, memory_order_acquire) == MX_AVAILABLE;
}
/* Results of a compiled call, a tuple of OP_compiled. p[i] of the call is the address of the pick of result i, as long as that waits; the call
 * owns none of them. Fills live[np]: those that somebody holds, retained, or NULL. */
void mx_call_live(mx_array *call, mx_array **live);
/* Result i does not belong to the call any more. */
void mx_call_forget(mx_array *call, int64_t i);
static inline size_t mx_nbytes(const mx_array *a) { return (size_t)a->size * mx_dtype_sizes[a->dtype]; }
static inline bool mx_same_shape(const mx_array *a, const mx_array *b) {
  int n = a->ndim;
  if (n != b->ndim) return false;
  for (int i = 0; i < n; i++)
    if (a->shape[i] != b->shape[i]) return false;
  return true;
}
/* Whether the elements lie in row (column) order without gaps; dimensions of size 1 do not count. */
bool mx_is_row_contiguous(const mx_array *a);
bool mx_is_col_contiguous(const mx_array *a);
void mx_row_strides(int ndim, const int32_t *shape, int64_t *strides);
/* The same, and the number of elements. Fails where that is too large. */
int mx_row_layout(int ndim, const int32_t *shape, int64_t *strides, int64_t *size);

/* Element 0 of an available array as a C number (complex: its real part). */
double mx_item_f64(const mx_array *a);
int64_t mx_item_i64(const mx_array *a);

/* A growable list that owns its references. Zero-initialise; mx_list_clear releases all. */
typedef struct mx_list {
  mx_array **at;
  int n, cap;
} mx_list;
int mx_list_push(mx_list *l, mx_array *a); /* retains a */
void mx_list_clear(mx_list *l);

/* The error for a dimension that is larger than MX_MAX_DIM; its kind. */
int mx_fail_dim(const char *tag, int64_t size);
/* "(2,3)" for messages; a small ring of per-thread buffers, so that several may stand in one message. */
const char *mx_shape_str(int ndim, const int32_t *shape);
static inline const char *mx_shape_of(const mx_array *a) { return mx_shape_str(a->ndim, a->shape); }

/* Printing exactly as MLX prints (print.c). The array must be available. The result is from mx_malloc. */
char *mx_array_tostring(const mx_array *a);
void mx_set_print_precision(int digits); /* -1: six significant digits */
int mx_print_precision(void);

#endif
