/* Linear algebra by LAPACK, which is inside OpenBLAS: one call a matrix, matrices of a batch side by side.
 *
 * LAPACK's matrices are column-major. Every matrix is copied into a column-major scratch, checked for being finite, and the results are
 * copied back row-major. Errors of worker threads are kept in the call's context and told by the caller's thread. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/blas.h"
#include "backend/cpu/kernels.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

enum trouble { FINE, NO_LAPACK, NO_MEMORY, NOT_FINITE, SINGULAR, NOT_POSITIVE, NO_CONVERGENCE };

typedef struct job {
  const mx_call *c;
  int (*one)(const struct job *j, int64_t batch);
  _Atomic int trouble;
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

static void run_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  for (int64_t b = begin; b < end; b++) {
    int t = j->one(j, b);
    if (t) atomic_store(&j->trouble, t);
  }
}

static int report(const mx_call *c, int trouble) {
  static const char *const tags[MX_OPS] = {[OP_inverse] = "inv",
                                           [OP_solve] = "solve",
                                           [OP_solve_triangular] = "solve_triangular",
                                           [OP_cholesky] = "cholesky",
                                           [OP_det] = "det",
                                           [OP_slogdet] = "slogdet",
                                           [OP_lu_factor] = "lu_factor",
                                           [OP_qr] = "qr",
                                           [OP_svd] = "svd",
                                           [OP_svdvals] = "svd",
                                           [OP_eigh] = "eigh",
                                           [OP_eigvalsh] = "eigvalsh",
                                           [OP_eig] = "eig",
                                           [OP_eigvals] = "eigvals"};
  const char *tag = tags[c->op];
  switch (trouble) {
  case NO_LAPACK:
    return mx_fail(MX_ERUNTIME,
                   "[linalg::%s] No LAPACK was found: install the Python package scipy-openblas32 or libopenblas0, or name "
                   "a library in MLX_BLAS.",
                   tag);
  case NO_MEMORY: return mx_fail_memory();
  case NOT_FINITE: return mx_fail(MX_ERUNTIME, "[linalg::%s] The matrix has elements that are not finite.", tag);
  case SINGULAR: return mx_fail(MX_ERUNTIME, "[linalg::%s] The matrix is singular.", tag);
  case NOT_POSITIVE: return mx_fail(MX_ERUNTIME, "[linalg::%s] The matrix is not positive definite.", tag);
  default: return mx_fail(MX_ERUNTIME, "[linalg::%s] The iteration did not converge.", tag);
  }
}

static int run_batches(const mx_call *c, int (*one)(const job *, int64_t)) {
  const mx_view *a = &c->in[0];
  int64_t n = 1, work = (int64_t)rows(a) * cols(a) * smaller(rows(a), cols(a));
  for (int d = 0; d < a->ndim - 2; d++) n *= a->shape[d];
  job j = {.c = c, .one = one};
  mx_parallel(n, work > 20000 ? 1 : 20000 / (work + 1) + 1, run_range, &j);
  int t = atomic_load(&j.trouble);
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
