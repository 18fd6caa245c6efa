/* Large products of matrices, shared by all threads. */
#ifndef MX_CPU_PRODUCT_H
#define MX_CPU_PRODUCT_H

#include "backend/cpu/gemm.h"
#include "backend/cpu/walk.h"

/* out (m, n), row-contiguous of type t = alpha a b + beta c; c.data NULL: nothing. t: f32, f64, f16 or bf16, as are a, b and c. */
typedef struct mx_product {
  mx_dtype t;
  int64_t m, n, k;
  mx_matrix a, b, c;
  double alpha, beta;
  void *out;
} mx_product;

/* Whether it is one for mx_product_packed: large enough to be packed, of such a type. */
bool mx_product_is_large(const mx_product *p);
/* 0, or MX_EMEMORY without a message. */
int mx_product_packed(const mx_product *p);

/* Few rows (or columns) by a large matrix, for each point of `batch` (operands a, b, c; results one after the other): whether it is one, and
 * the product: 0, or MX_EMEMORY without a message. */
bool mx_product_is_thin(const mx_product *p);
int mx_products_thin(int n, const mx_product *p, const mx_walk *batch);
/* Whether n of them, of the same rows a, are to be made together; else n is 1. */
enum { MX_JOINED = MX_JOINED_CALLS };
bool mx_products_join(int n, const mx_product *p);

/* out (m, n), rows ldo apart, of type t from sums, rows of n floats: alpha sums + beta c; c.data NULL: nothing. row: room for n floats. */
void mx_product_round(mx_dtype t, int64_t m, int64_t n, double alpha, float *sums, double beta, const mx_matrix *c, void *out, int64_t ldo,
                      float *row);
/* out = beta c, of t: f32 or f64. */
void mx_product_start(mx_dtype t, int64_t m, int64_t n, double beta, const mx_matrix *c, void *out, int64_t ldo);

#endif
