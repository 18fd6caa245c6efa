/* One matrix product on the calling thread: OpenBLAS where it is, our own kernel where not. */
#ifndef MX_CPU_GEMM_H
#define MX_CPU_GEMM_H

#include <stdint.h>

#include "core/dtype.h"

/* A matrix with any strides, in elements. */
typedef struct mx_matrix {
  const void *data;
  int64_t rs, cs;          /* from row to row, from column to column */
} mx_matrix;

/* c (m, n), rows ldc apart = alpha a (m, k) b (k, n) + beta c; beta 0: c is not read. t: f32, f64 or c64. 0, or MX_EMEMORY
 * without a message (report with mx_fail_memory): packing needs scratch. */
int mx_gemm(mx_dtype t, int64_t m, int64_t n, int64_t k, double alpha, mx_matrix a, mx_matrix b, double beta, void *c, int64_t ldc);

typedef int (*mx_gemm_fn)(int64_t m, int64_t n, int64_t k, double alpha, const mx_matrix *a, const mx_matrix *b, double beta, void *c,
                          int64_t ldc);

/* The same by our own kernel. */
int mx_gemm_own(mx_dtype t, int64_t m, int64_t n, int64_t k, double alpha, mx_matrix a, mx_matrix b, double beta, void *c,
                int64_t ldc);

#endif
