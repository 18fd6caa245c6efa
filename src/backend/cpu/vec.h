/* Rows, random words and small products: kernels compiled once per instruction set (folder isa). An element's bits follow the
 * row's length, never its address. */
#ifndef MX_CPU_VEC_H
#define MX_CPU_VEC_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/cpu/gemm.h"

/* Rows of x for products with quantized rows of k numbers. x: in the order that the kernel of the mode wants, ld items a row; sums: of each
 * group of x, ldsums a row. The rows of y are `ldy` apart. */
enum { MX_QUANT_ROWS = 4 };
typedef struct mx_quant_x {
  int mode, bits, group, m; /* m rows, at most MX_QUANT_ROWS */
  bool bf16;                /* bfloat16 holds x exactly */
  int item;                 /* bytes of an item */
  int64_t k, groups, ld, ldy, ldsums;
  bool add;                 /* to y, instead of into it */
  const void *x;
  const float *sums;
} mx_quant_x;

/* n quantized rows: their codes are `bytes` apart, scales and biases (NULL: none) `step` elements. scratch: of dot, room for k + 2 groups floats. */
typedef struct mx_quant_w {
  int64_t n, bytes, step;
  const uint8_t *codes;
  mx_dtype scale_type, bias_type;
  const void *scales, *biases;
  float *scratch;
} mx_quant_w;

/* Quantized rows (core/quant.h); n is a multiple of 16. */
typedef struct mx_vec_quant {
  /* by mode: codes as the floats they stand for without scales */
  void (*unpack[4])(int bits, int64_t n, const uint8_t *codes, float *o);
  /* x = x * scale + bias, for each group */
  void (*scale_groups)(int64_t groups, int group, const float *scales, const float *biases, float *x);
  /* Sets ld and item of x; puts a row of x into the order of dot. */
  void (*lay)(mx_quant_x *x);
  void (*order)(const mx_quant_x *x, const float *row, void *o);
  /* y[r], y[ldy + r], ...: the products of the rows of x with row r of w */
  void (*dot)(const mx_quant_x *x, const mx_quant_w *w, float *y);
  int few[2];               /* rows of x for which that is faster than to unpack the matrix first; [1]: of bfloat16 under dot_bf16 (isa.h) */
  /* Matrices that are not transposed: y, of w->n columns, = the rows of x, k floats each (m of any number), times k rows of codes of n
   * numbers. scratch: room for 6 m (n + 256) floats. NULL: by unpack and add_rows */
  void (*sum)(const mx_quant_x *x, const mx_quant_w *w, float *y);
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

/* Columns of rows `ld` apart (batch_norm.c). per: numbers of each column, the first one its mean. */
enum { MX_COLUMNS = 64 };
typedef struct mx_columns {
  int64_t rows, n, ld;      /* n of them, at most MX_COLUMNS */
  const float *x, *g;       /* g may be NULL for column_line */
  float *o, *sums[2];
  const float *per[4];
} mx_columns;

typedef struct mx_vec {
  const mx_vec_quant *quant;
  const mx_index_fn *places; /* by dtype */
  /* The positions of the bytes of m that are not 0, and how many; at has room for 16 more than n */
  int64_t (*list_trues)(const uint8_t *m, int64_t n, uint32_t *at);
  /* o may be x */
  void (*softmax)(int64_t n, const float *x, float *o);
  float (*logsumexp)(int64_t n, const float *x);
  float (*largest)(int64_t n, const float *x); /* NaN is passed over; -inf for n = 0 */
  /* o = exp(x - m), m at least about the largest; their sum. o may be x */
  float (*exp_sum)(int64_t n, const float *x, float m, float *o);
  /* o = p (x - r) k; o may be x */
  void (*softmax_vjp)(int64_t n, const float *p, const float *x, float r, float k, float *o);
  /* (x - mean) / sqrt(variance + eps) * w + b; centre false: mean is taken as 0; w, b may be NULL; o may be x */
  void (*norm)(int64_t n, const float *x, bool centre, float eps, const float *w, const float *b, float *o);
  /* Its gradient, g being the cotangent: o = that of x, and dw += g (x - mean) / sqrt(variance + eps), db += g. o may be x or g */
  void (*norm_vjp)(int64_t n, const float *x, const float *g, bool centre, float eps, const float *w, float *o, float *dw, float *db);
  /* A step of an LSTM, back: z, the gates i, f, g, o of n units each, become their cotangents, dc, the cell's, that of the cell before. y:
   * tanh of the cell */
  void (*lstm_back)(int64_t n, float *z, const float *before, const float *y, const float *dh, float *dc);
  void (*column_moments)(const mx_columns *c); /* sums: the means, and the sums of squares of what is left of x */
  void (*column_sums)(const mx_columns *c);    /* sums: of g, and of g times x less its mean */
  void (*column_line)(const mx_columns *c);    /* o = (x - per[0]) per[1] + per[2] + g per[3] */
  const struct mx_arg *args; /* by compute type (args.h) */
  /* Threefry-2x32 of the n counters (c0 + i, c1 + i) into lo[i] and hi[i] */
  void (*threefry)(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, int64_t n, uint32_t *lo, uint32_t *hi);
  /* mx_gemm_own of f32 and f64 */
  mx_gemm_fn gemm_f32, gemm_f64;
  mx_strip_fn strip_f32, strip_f64;
  const int *panel;         /* bytes of a row of a packed panel */
  /* Large ones; of bf16 by products of pairs where the CPU is fast at them (NULL: it is not) */
  const mx_packer *packed_f32, *packed_f64, *packed_f16, *packed_bf16, *(*packed_pairs)(void);
  const mx_few_rows *few_rows;
  const mx_few_pairs *(*few_pairs)(void); /* NULL as of packed_pairs */
  /* mx_gemm_own of halves, into f32; of integers, wrapping (those of 8 bits into u16, bools into u32 counts) */
  mx_gemm_fn gemm_f16, gemm_bf16, gemm_u8, gemm_u16, gemm_u32, gemm_u64, gemm_bool;
  /* i32 = bytes by bytes; [a is signed][b is signed]; alpha 1, beta 0 */
  mx_gemm_fn gemm_bytes[2][2];
  /* Sorts n keys, or selects: a[k] is what sorting would put there, nothing above it stands before, nothing below it behind.
   * false: nothing is sorted, keys may have moved */
  bool (*sort_u32)(int64_t n, uint32_t *a);
  bool (*sort_u64)(int64_t n, uint64_t *a);
  bool (*select_u32)(int64_t n, uint32_t *a, int64_t k);
  bool (*select_u64)(int64_t n, uint64_t *a, int64_t k);
  /* Floats as keys of the same order, NaN the largest; and back (o may be the keys) */
  void (*keys_float)(int64_t n, const float *x, uint32_t *o);
  void (*values_float)(int64_t n, const uint32_t *k, float *o);
  void (*keys_double)(int64_t n, const double *x, uint64_t *o);
  void (*values_double)(int64_t n, const uint64_t *k, double *o);
  /* Rows of places, `step` elements apart in x, and their channels (isa/taps.c): o[i * ldo + k] = sum over t < n of x[i * step + at[t] + k]
   * w[t * channels + k]; sums[t * channels + k] += the sum over i of x[i * step + at[t] + k] y[i * channels + k] */
  void (*taps)(int64_t places, int64_t channels, int n, const float *x, int64_t step, const int64_t *at, const float *w, float *o, int64_t ldo);
  void (*products)(int64_t places, int64_t channels, int n, const float *x, int64_t step, const int64_t *at, const float *y, float *sums);
  /* A strip's rows times n rows of weights, each as long as a strip's row: o[i * ldo + c] (isa/taps.c) */
  void (*strip_few)(int64_t places, int64_t n, const mx_strip *s, const float *x, const float *w, float *o, int64_t ldo);
} mx_vec;

/* Of the instruction set in use (isa.h). */
const mx_vec *mx_vec_now(void);

#endif
