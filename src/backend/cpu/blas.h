/* OpenBLAS, found and opened at first use. */
#ifndef MX_CPU_BLAS_H
#define MX_CPU_BLAS_H

#include <stdbool.h>
#include <stdint.h>

/* The entries used here, as CBLAS has them (row-major 101, no transpose 111, transpose 112). */
typedef struct mx_blas {
  void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                float beta, float *c, int ldc);
  void (*dgemm)(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b, int ldb,
                double beta, double *c, int ldc);
  void (*cgemm)(int order, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int lda, const void *b, int ldb,
                const void *beta, void *c, int ldc);
  void (*sgemv)(int order, int ta, int m, int n, float alpha, const float *a, int lda, const float *x, int incx, float beta,
                float *y, int incy);
  void (*dgemv)(int order, int ta, int m, int n, double alpha, const double *a, int lda, const double *x, int incx, double beta,
                double *y, int incy);
  const char *name;      /* the file */
  bool narrow;           /* its kernels use narrower vectors than the CPU has (told so by OPENBLAS_CORETYPE, or it cannot be changed) */
} mx_blas;

/* NULL when there is none. */
const mx_blas *mx_blas_get(void);
/* An entry by its plain name ("sgesv_", "cblas_sgemm"): LAPACK is inside. NULL when it is not there. */
void *mx_blas_symbol(const char *name);

#endif
