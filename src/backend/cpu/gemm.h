/* One matrix product on the calling thread: OpenBLAS where it is, our own kernel where not. */
#ifndef MX_CPU_GEMM_H
#define MX_CPU_GEMM_H

#include <stdbool.h>
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

/* Rows that lie in pieces: element p of piece q of row i is at[q] + i * rs + p * cs. */
typedef struct mx_strip {
  int64_t rs, cs, len, count; /* `count` pieces of `len` elements */
  const int64_t *at;
  const void *next;           /* what is read after this, to be fetched meanwhile, `pace` bytes for each element; NULL: nothing */
  int64_t pace;
} mx_strip;

/* c (m, n), rows ldc apart, = or += (add) the rows of a that `s` tells of times b; n is at most the width of a panel (mx_vec.panel bytes), b
 * such a panel: a row for each element, one piece after the other. */
typedef void (*mx_strip_fn)(int64_t m, int64_t n, const mx_strip *s, const void *a, const void *b, void *c, int64_t ldc, bool add);

/* Kernels of large products: b is packed once into panels, `depth` elements of k at a time; then tiles of the result are made from them. */
typedef struct mx_packer {
  int height, width;        /* of the block of the result that stays in registers: tiles had better be multiples; width: columns of a panel */
  int depth;
  int item;                 /* bytes that an element takes in a panel */
  int64_t scratch_row, scratch; /* bytes of scratch: for each row of a tile, and besides */
  /* alpha times rows of b (k <= depth, n <= 1024) as ceil(n / width) panels of k rows (k even unless it is the last part of an odd one) */
  void (*pack)(int64_t n, int64_t k, double alpha, const mx_matrix *b, void *panels, void *scratch);
  /* c (m, n) = or += (add) a (m, k) times panels of as many rows; m <= 1024; c: double for f64, else float. next: so many
   * columns of a are wanted after these */
  void (*tile)(int64_t m, int64_t n, int64_t k, int64_t next, const mx_matrix *a, const void *panels, void *c, int64_t ldc, bool add, void *scratch);
} mx_packer;

/* y (rows, n) = x, of f32, times a matrix w, by the number of rows less one; rows of x `ldx` apart, of y `ldy`, of w `ldw`. w is (k, n), or turned:
 * (n, k); of f32, f16 or bf16. n * ldy had better stay in L1. */
enum { MX_FEW = 8 };
typedef void (*mx_few_fn)(int64_t n, int64_t k, const void *x, int64_t ldx, const void *w, int64_t ldw, float *y, int64_t ldy);
typedef struct mx_few_rows {
  mx_few_fn plain[3][MX_FEW], turned[3][MX_FEW];
} mx_few_rows;
/* The same for MX_FEW_PAIRS rows and more, x and w of bf16: by products of pairs, which x's rows are filled up with zeros for, MX_FEW_PAD of
 * them, and subnormal numbers are zero in. */
enum { MX_FEW_PAIRS = 5, MX_FEW_PAD = 32 };
typedef struct mx_few_pairs {
  mx_few_fn plain[MX_FEW - MX_FEW_PAIRS + 1], turned[MX_FEW - MX_FEW_PAIRS + 1];
} mx_few_pairs;

/* mx_gemm by our own kernel. */
int mx_gemm_own(mx_dtype t, int64_t m, int64_t n, int64_t k, double alpha, mx_matrix a, mx_matrix b, double beta, void *c,
                int64_t ldc);

#endif
