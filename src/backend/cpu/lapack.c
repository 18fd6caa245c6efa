/* Linear algebra by LAPACK, which is inside OpenBLAS: one call a matrix, matrices of a batch side by side.
 *
 * LAPACK's matrices are column-major. Every matrix is copied into a column-major scratch, checked for being finite, and the results are
 * copied back row-major. Errors of worker threads are kept in the call's context and told by the caller's thread. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "backend/cpu/blas.h"
#include "backend/cpu/kernels.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

enum trouble { FINE, NO_LAPACK, NO_MEMORY, NOT_FINITE, SINGULAR, NOT_POSITIVE, NO_CONVERGENCE, TROUBLES };
enum { BLOCK = 16, MAX_PADE = 13 };

typedef struct job {
  const mx_call *c;
  int (*one)(const struct job *j, int64_t batch);
  _Atomic int64_t trouble; /* of the first matrix that has one: its batch index * TROUBLES + what; 0: none */
} job;

static int rows(const mx_view *v) { return v->shape[v->ndim - 2]; }
static int cols(const mx_view *v) { return v->shape[v->ndim - 1]; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Element offset of matrix `batch` of an input. */
static int64_t batch_offset(const mx_view *v, int64_t batch) {
  int64_t o = 0;
  for (int d = v->ndim - 3; d >= 0; d--) {
    o += batch % v->shape[d] * v->strides[d];
    batch /= v->shape[d];
  }
  return o;
}

/* All matrices are tried, so that the first trouble does not depend on threads. */
static void run_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  for (int64_t b = begin; b < end; b++) {
    int t = j->one(j, b);
    int64_t mine = b * TROUBLES + t, seen = atomic_load(&j->trouble);
    while (t && (!seen || mine < seen) && !atomic_compare_exchange_weak(&j->trouble, &seen, mine)) {}
  }
}

static const char *tag_of(int op) {
  static const char *const names[MX_OPS] = {
#define OP(name, ...) [OP_##name] = #name,
#include "structured.def"
#undef OP
  };
  return op == OP_inverse ? "inv" : op == OP_svdvals ? "svd" : names[op];
}

/* "The matrix", or "The matrix at (1, 2) of the batch". */
static const char *name_matrix(const mx_view *a, int64_t batch, char *buf, size_t size) {
  int n = a->ndim - 2, at[MX_MAX_NDIM];
  size_t len = (size_t)snprintf(buf, size, "The matrix");
  for (int d = n - 1; d >= 0; d--) {
    at[d] = (int)(batch % a->shape[d]);
    batch /= a->shape[d];
  }
  for (int d = 0; d < n && len < size; d++)
    len += (size_t)snprintf(buf + len, size - len, "%s%d%s", d ? ", " : " at index (", at[d],
                            d < n - 1 ? "" : n == 1 ? ",) of the batch" : ") of the batch");
  return buf;
}

static int report(const mx_call *c, int64_t trouble) {
  const char *tag = tag_of(c->op);
  char buf[256];
  const char *which = name_matrix(&c->in[0], trouble / TROUBLES, buf, sizeof buf);
  switch (trouble % TROUBLES) {
  case NO_LAPACK:
    return mx_fail(MX_ERUNTIME,
                   "[linalg::%s] No LAPACK was found: install the Python package scipy-openblas32 or libopenblas0, or name "
                   "a library in MLX_BLAS.",
                   tag);
  case NO_MEMORY: return mx_fail_memory();
  case NOT_FINITE: return mx_fail(MX_ERUNTIME, "[linalg::%s] %s has elements that are not finite.", tag, which);
  case SINGULAR: return mx_fail(MX_ERUNTIME, "[linalg::%s] %s is singular.", tag, which);
  case NOT_POSITIVE: return mx_fail(MX_ERUNTIME, "[linalg::%s] %s is not positive definite.", tag, which);
  default: return mx_fail(MX_ERUNTIME, "[linalg::%s] %s: the iteration did not converge.", tag, which);
  }
}

static int run_batches(const mx_call *c, int (*one)(const job *, int64_t)) {
  const mx_view *a = &c->in[0];
  int64_t n = 1, work = (int64_t)rows(a) * cols(a) * smaller(rows(a), cols(a));
  for (int d = 0; d < a->ndim - 2; d++) n *= a->shape[d];
  job j = {.c = c, .one = one};
  mx_parallel(n, work > 20000 ? 1 : 20000 / (work + 1) + 1, run_range, &j);
  int64_t t = atomic_load(&j.trouble);
  return t ? report(c, t) : 0;
}

#define CAT_(a, b) a##_##b
#define CAT(a, b)  CAT_(a, b)

#define T       float
#define R       float
#define L       s
#define TAG     float32
#define COMPLEX 0
#include "backend/cpu/lapack.inc.h"
#define T       double
#define R       double
#define L       d
#define TAG     float64
#define COMPLEX 0
#include "backend/cpu/lapack.inc.h"
#define T       mx_c64
#define R       float
#define L       c
#define TAG     complex64
#define COMPLEX 1
#include "backend/cpu/lapack.inc.h"

#define KERNEL(name)                                                            \
  int mx_cpu_##name(const mx_call *c) {                                         \
    switch ((mx_dtype)c->in[0].dtype) {                                         \
    case MX_F32: return run_batches(c, name##_float32);                         \
    case MX_F64: return run_batches(c, name##_float64);                         \
    case MX_C64: return run_batches(c, name##_complex64);                       \
    default: return mx_fail(MX_EVALUE, "[linalg] The dtype is not supported."); \
    }                                                                           \
  }
KERNEL(inverse)
KERNEL(solve)
KERNEL(solve_triangular)
KERNEL(lstsq)
KERNEL(expm)
KERNEL(cholesky)
KERNEL(det)
KERNEL(slogdet)
KERNEL(lu_factor)
KERNEL(qr)
KERNEL(svd)
KERNEL(svdvals)
KERNEL(eigh)
KERNEL(eigvalsh)
KERNEL(eig)
KERNEL(eigvals)
