/* Rows, random words and small products: kernels compiled once per instruction set (folder isa). An element's bits follow the
 * row's length, never its address. */
#ifndef MX_CPU_VEC_H
#define MX_CPU_VEC_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/cpu/gemm.h"

/* Rows of x for products with quantized rows of k numbers. x: in the order that the kernel of the mode wants, ld a row; sums: of each
 * group of x, ldsums a row. The rows of y are `ldy` apart. */
enum { MX_QUANT_ROWS = 4 };
typedef struct mx_quant_x {
  int mode, bits, group, m; /* m rows, at most MX_QUANT_ROWS */
  int64_t k, groups, ld, ldy, ldsums;
  bool add;                 /* to y, instead of into it */
  const float *x, *sums;
} mx_quant_x;

/* Quantized rows (core/quant.h); n is a multiple of 16. */
typedef struct mx_vec_quant {
  /* by mode: codes as the floats they stand for without scales */
  void (*unpack[4])(int bits, int64_t n, const uint8_t *codes, float *o);
  /* x = x * scale + bias, for each group */
  void (*scale_groups)(int64_t groups, int group, const float *scales, const float *biases, float *x);
  /* Room for a row of x in the order of dot, and putting it there. */
  int64_t (*room)(const mx_quant_x *x);
  void (*order)(const mx_quant_x *x, const float *row, float *o);
  /* y[0], y[ldy], ...: the products of the rows of x with one quantized row. scales and biases: its groups'; row: room for k floats */
  void (*dot)(const mx_quant_x *x, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y);
  /* y += the sum of the n-wide rows of v (count, n), each times its x[i] */
  void (*add_rows)(int64_t count, int64_t n, const float *x, const float *v, float *y);
} mx_vec_quant;

/* What indices into an axis mean: index k, counted from the end if negative, of position i is the place k * step + i * drift; good are
 * those in [-dim, room). */
typedef struct mx_index_axis {
  int64_t dim, room, step, drift;
} mx_index_axis;
/* o[i] = (or +=) the places of n indices; true: one is bad (of u64 those above 2^63 may pass) */
typedef bool (*mx_index_fn)(const void *data, int64_t stride, int64_t n, const mx_index_axis *axis, bool add, int64_t *o);

typedef struct mx_vec {
  const mx_vec_quant *quant;
  const mx_index_fn *places; /* by dtype */
  /* o may be x */
  void (*softmax)(int64_t n, const float *x, float *o);
  float (*logsumexp)(int64_t n, const float *x);
  /* (x - mean) / sqrt(variance + eps) * w + b; centre false: mean is taken as 0; w, b may be NULL; o may be x */
  void (*norm)(int64_t n, const float *x, bool centre, float eps, const float *w, const float *b, float *o);
  /* index of the first smallest (largest) element; n > 0; the first NaN wins */
  int64_t (*argmin)(int64_t n, const float *x), (*argmax)(int64_t n, const float *x);
  /* Threefry-2x32 of the n counters (c0 + i, c1 + i) into lo[i] and hi[i] */
  void (*threefry)(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, int64_t n, uint32_t *lo, uint32_t *hi);
  /* mx_gemm_own of f32 and f64 */
  mx_gemm_fn gemm_f32, gemm_f64;
  /* The same of halves, into f32; of integers, wrapping (those of 8 bits into u16, bools into u32 counts) */
  mx_gemm_fn gemm_f16, gemm_bf16, gemm_u8, gemm_u16, gemm_u32, gemm_u64, gemm_bool;
  /* i32 = bytes by bytes; [a is signed][b is signed]; alpha 1, beta 0 */
  mx_gemm_fn gemm_bytes[2][2];
  /* Sorts n keys, or selects: a[k] is what sorting would put there, nothing above it stands before, nothing below it behind. scratch has room
   * for 2 n. false: nothing is sorted, keys may have moved */
  bool (*sort_u32)(int64_t n, uint32_t *a, uint32_t *scratch);
  bool (*sort_u64)(int64_t n, uint64_t *a, uint64_t *scratch);
  bool (*select_u32)(int64_t n, uint32_t *a, int64_t k, uint32_t *scratch);
  bool (*select_u64)(int64_t n, uint64_t *a, int64_t k, uint64_t *scratch);
  /* Floats as keys of the same order, NaN the largest; and back (o may be the keys) */
  void (*keys_float)(int64_t n, const float *x, uint32_t *o);
  void (*values_float)(int64_t n, const uint32_t *k, float *o);
  void (*keys_double)(int64_t n, const double *x, uint64_t *o);
  void (*values_double)(int64_t n, const uint64_t *k, double *o);
  /* o[k] = sum over t of x[t][k] w[t][k], t rising; acc[k] += x[k] y[k] */
  void (*taps)(int64_t channels, int n, const float *const *x, const float *const *w, float *o);
  void (*products)(int64_t n, float *acc, const float *x, const float *y);
} mx_vec;

/* Of the instruction set in use (isa.h). */
const mx_vec *mx_vec_now(void);

#endif
