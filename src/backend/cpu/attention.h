/* What attention and its gradient share: rows of queries against blocks of keys. */
#ifndef MX_CPU_ATTENTION_H
#define MX_CPU_ATTENTION_H

#include <stdatomic.h>

#include "backend/cpu/kernels.h"

enum { MX_ATTENTION_ROWS = 128, MX_ATTENTION_KEYS = 512 }; /* of a tile: their products stay in L2 */

typedef struct mx_attention {
  const mx_view *q, *k, *v, *mask, *sinks;
  int64_t batch, heads, kv_heads, group, rows, keys, width, value_width; /* B, N, M, N / M, T, S, D, E */
  double scale;
  bool causal;
  _Atomic int rc;
} mx_attention;

void mx_attention_init(mx_attention *a, const mx_call *c);
/* Keys that row t sees. */
static inline int64_t mx_attention_sees(const mx_attention *a, int64_t t) { return a->causal ? a->keys - a->rows + t + 1 : a->keys; }
/* Rows of a tile: fewer where that leaves out much of what no row sees. */
static inline int64_t mx_attention_rows(const mx_attention *a) { return a->causal && a->rows <= 256 ? MX_ATTENTION_ROWS / 2 : MX_ATTENTION_ROWS; }
/* Rows [first, first + n) of head h of x (B, N, T, X) as floats in o (n, X). */
void mx_attention_load(const mx_view *x, int64_t b, int64_t h, int64_t first, int64_t n, float *o);
/* The same of one head of keys or values as a matrix: x's own memory where it is f32, else converted into o. */
const float *mx_attention_block(const mx_view *x, int64_t b, int64_t h, int64_t first, int64_t n, float *o, int64_t *rs, int64_t *cs);
/* The mask on the scores x of n keys from `first` on of one row, those unseen left alone. row: room for n floats */
void mx_attention_mask(const mx_attention *a, int64_t b, int64_t h, int64_t t, int64_t first, int64_t n, float *x, float *row);
/* Whether a boolean mask leaves a row no key, by the logarithm of its sum: all its weights are the same then. */
bool mx_attention_lost(const mx_attention *a, float log_sum);

#endif
