/* Sums over the taps of a depthwise convolution: vectors of channels, each with weights of its own. */
#include "backend/cpu/isa/common.h"

#if defined(__AVX512F__)
enum { VECTOR = 64 };
#elif defined(__AVX2__)
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif
typedef float vec __attribute__((vector_size(VECTOR), aligned(4), may_alias));
enum { LANES = VECTOR / 4 };

/* Channels [c, c + V vectors). */
#define BLOCK(V)                                                                                                             \
  for (; c + V * LANES <= channels; c += V * LANES) {                                                                        \
    vec acc[V];                                                                                                              \
    UNROLL for (int k = 0; k < V; k++) acc[k] = (vec){0};                                                                    \
    for (int t = 0; t < n; t++) {                                                                                            \
      const float *a = x[t] + c, *b = w[t] + c;                                                                              \
      UNROLL for (int k = 0; k < V; k++) acc[k] += *(const vec *)(a + k * LANES) * *(const vec *)(b + k * LANES);            \
    }                                                                                                                        \
    UNROLL for (int k = 0; k < V; k++) *(vec *)(o + c + k * LANES) = acc[k];                                                 \
  }

/* o[k] = sum over t of x[t][k] w[t][k], t rising */
void CAT(mx_taps, MX_ISA)(int64_t channels, int n, const float *const *x, const float *const *w, float *o);
void CAT(mx_taps, MX_ISA)(int64_t channels, int n, const float *const *x, const float *const *w, float *o) {
  int64_t c = 0;
  BLOCK(8)
  BLOCK(4)
  BLOCK(1)
  if (c == channels) return;
  for (int64_t k = c; k < channels; k++) o[k] = 0;
  for (int t = 0; t < n; t++)
    for (int64_t k = c; k < channels; k++) o[k] += x[t][k] * w[t][k];
}

/* acc[k] += x[k] y[k] */
void CAT(mx_products, MX_ISA)(int64_t n, float *acc, const float *x, const float *y);
void CAT(mx_products, MX_ISA)(int64_t n, float *restrict acc, const float *restrict x, const float *restrict y) {
  for (int64_t k = 0; k < n; k++) acc[k] += x[k] * y[k];
}
