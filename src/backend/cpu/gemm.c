#include "backend/cpu/gemm.h"

#include <string.h>

#include "backend/cpu/blas.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/half.h"

/* Complex numbers: rows of b scaled and added up. */
static int own_c64(int64_t m, int64_t n, int64_t k, double alpha, const mx_matrix *a, const mx_matrix *b, double beta, mx_c64 *c,
                   int64_t ldc) {
  const mx_c64 *pa = a->data, *pb = b->data;
  for (int64_t i = 0; i < m; i++) {
    float *o = (float *)(void *)&c[i * ldc];
    for (int64_t j = 0; j < 2 * n; j++) o[j] = beta == 0 ? 0 : (float)beta * o[j];
    for (int64_t p = 0; p < k; p++) {
      mx_c64 x = pa[i * a->rs + p * a->cs];
      float re = (float)alpha * crealf(x), im = (float)alpha * cimagf(x);
      const float *row = (const float *)(const void *)&pb[p * b->rs];
      for (int64_t j = 0; j < n; j++) {
        float br = row[2 * j * b->cs], bi = row[2 * j * b->cs + 1];
        o[2 * j] += re * br - im * bi;
        o[2 * j + 1] += re * bi + im * br;
      }
    }
  }
  return 0;
}

int mx_gemm_own(mx_dtype t, int64_t m, int64_t n, int64_t k, double alpha, mx_matrix a, mx_matrix b, double beta, void *c,
                int64_t ldc) {
  if (m == 0 || n == 0) return 0;
  switch (t) {
    case MX_F64: return mx_vec_now()->gemm_f64(m, n, k, alpha, &a, &b, beta, c, ldc);
    case MX_C64: return own_c64(m, n, k, alpha, &a, &b, beta, c, ldc);
    default: return mx_vec_now()->gemm_f32(m, n, k, alpha, &a, &b, beta, c, ldc);
  }
}

/* CBLAS takes a matrix whose rows or columns are contiguous and do not overlap. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

static bool blas_matrix(const mx_matrix *x, int64_t rows, int64_t cols, int *trans, int64_t *ld) {
  if (rows == 1 && (cols == 1 || x->cs == 1)) { /* the strides of single rows and columns do not matter */
    *trans = NO_TRANS;
    *ld = cols;
  } else if ((cols == 1 || x->cs == 1) && x->rs >= cols) {
    *trans = NO_TRANS;
    *ld = x->rs;
  } else if ((rows == 1 || x->rs == 1) && x->cs >= rows) {
    *trans = TRANS;
    *ld = x->cs;
  } else {
    return false;
  }
  return *ld <= INT32_MAX;
}

/* A row-contiguous copy. */
static void *pack(mx_dtype t, int64_t rows, int64_t cols, mx_matrix *x) {
  size_t item = mx_dtype_sizes[t];
  char *p = mx_scratch((size_t)rows * (size_t)cols * item);
  if (!p) return NULL;
  for (int64_t i = 0; i < rows; i++) {
    const char *row = (const char *)x->data + i * x->rs * (int64_t)item;
    char *o = p + (size_t)(i * cols) * item;
    if (item == 4)
      for (int64_t j = 0; j < cols; j++) memcpy(o + j * 4, row + j * x->cs * 4, 4);
    else
      for (int64_t j = 0; j < cols; j++) memcpy(o + j * 8, row + j * x->cs * 8, 8);
  }
  *x = (mx_matrix){p, cols, 1};
  return p;
}

/* y = alpha A x + beta y; A (rows, cols) as stored. */
static void gemv(const mx_blas *blas, mx_dtype t, int trans, int64_t rows, int64_t cols, double alpha, const void *a, int64_t ld,
                 const void *x, int64_t incx, double beta, void *y, int64_t incy) {
  if (t == MX_F32)
    blas->sgemv(ROW_MAJOR, trans, (int)rows, (int)cols, (float)alpha, a, (int)ld, x, (int)incx, (float)beta, y, (int)incy);
  else
    blas->dgemv(ROW_MAJOR, trans, (int)rows, (int)cols, alpha, a, (int)ld, x, (int)incx, beta, y, (int)incy);
}

int mx_gemm(mx_dtype t, int64_t m, int64_t n, int64_t k, double alpha, mx_matrix a, mx_matrix b, double beta, void *c, int64_t ldc) {
  const mx_blas *blas = mx_blas_get();
  if (m == 0 || n == 0) return 0;
  if (!blas || k == 0 || m * n * k <= 64 || ldc > INT32_MAX) return mx_gemm_own(t, m, n, k, alpha, a, b, beta, c, ldc);
  /* a library with narrow kernels is slower than our own, but for vectors and what hardly fills a register block */
  if (blas->narrow && t != MX_C64 && m >= 8 && n >= 16) return mx_gemm_own(t, m, n, k, alpha, a, b, beta, c, ldc);
  int ta, tb;
  int64_t lda, ldb;
  void *pa = NULL, *pb = NULL;
  if (t != MX_C64 && n == 1 && b.rs > 0 && b.rs <= INT32_MAX && blas_matrix(&a, m, k, &ta, &lda)) {
    if (ta == NO_TRANS) gemv(blas, t, NO_TRANS, m, k, alpha, a.data, lda, b.data, b.rs, beta, c, ldc);
    else gemv(blas, t, TRANS, k, m, alpha, a.data, lda, b.data, b.rs, beta, c, ldc);
    return 0;
  }
  if (t != MX_C64 && m == 1 && a.cs > 0 && a.cs <= INT32_MAX && blas_matrix(&b, k, n, &tb, &ldb)) {
    if (tb == NO_TRANS) gemv(blas, t, TRANS, k, n, alpha, b.data, ldb, a.data, a.cs, beta, c, 1);
    else gemv(blas, t, NO_TRANS, n, k, alpha, b.data, ldb, a.data, a.cs, beta, c, 1);
    return 0;
  }
  int rc = MX_EMEMORY;
  if (!blas_matrix(&a, m, k, &ta, &lda)) {
    if (!(pa = pack(t, m, k, &a))) goto done;
    ta = NO_TRANS;
    lda = k;
  }
  if (!blas_matrix(&b, k, n, &tb, &ldb)) {
    if (!(pb = pack(t, k, n, &b))) goto done;
    tb = NO_TRANS;
    ldb = n;
  }
  rc = 0;
  if (t == MX_F32) {
    blas->sgemm(ROW_MAJOR, ta, tb, (int)m, (int)n, (int)k, (float)alpha, a.data, (int)lda, b.data, (int)ldb, (float)beta, c, (int)ldc);
  } else if (t == MX_F64) {
    blas->dgemm(ROW_MAJOR, ta, tb, (int)m, (int)n, (int)k, alpha, a.data, (int)lda, b.data, (int)ldb, beta, c, (int)ldc);
  } else {
    const float za[2] = {(float)alpha, 0}, zb[2] = {(float)beta, 0};
    blas->cgemm(ROW_MAJOR, ta, tb, (int)m, (int)n, (int)k, za, a.data, (int)lda, b.data, (int)ldb, zb, c, (int)ldc);
  }
done:
  mx_scratch_free(pa);
  mx_scratch_free(pb);
  return rc;
}
