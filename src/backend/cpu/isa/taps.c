/* Depthwise convolutions: vectors of channels, each with weights of its own. Channels that fill no vector take the same steps one by one, so
 * that they have the same bits. And convolutions to few channels. */
#include "backend/cpu/gemm.h"
#include "backend/cpu/isa/common.h"

#if defined(__AVX512F__)
#include <immintrin.h>
enum { VECTOR = 64 };
#define FMA(x, y, z) (vec)_mm512_fmadd_ps((__m512)(x), (__m512)(y), (__m512)(z))
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
enum { VECTOR = 32 };
#define FMA(x, y, z) (vec)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(z))
#else
enum { VECTOR = 16 };
#define FMA(x, y, z) ((x) * (y) + (z))
#endif
#ifdef __FMA__
#define FMA1(x, y, z) __builtin_fmaf(x, y, z)
#else
#define FMA1(x, y, z) ((x) * (y) + (z))
#endif
typedef float vec __attribute__((vector_size(VECTOR), aligned(4), may_alias));
enum { LANES = VECTOR / 4 };
#define AT(p) (*(const vec *)(p))

/* V vectors of channels from c on of P places: o = sum over t of x[at[t]] w[t]. */
#define BLOCK(P, V)                                                                                                          \
  for (; c + V * LANES <= channels; c += V * LANES) {                                                                        \
    vec acc[P][V];                                                                                                           \
    UNROLL for (int i = 0; i < P; i++) UNROLL for (int k = 0; k < V; k++) acc[i][k] = (vec){0};                              \
    for (int t = 0; t < n; t++) {                                                                                            \
      const float *a = x + at[t] + c, *b = w + t * channels + c;                                                             \
      UNROLL for (int k = 0; k < V; k++) {                                                                                   \
        vec weight = AT(b + k * LANES);                                                                                      \
        UNROLL for (int i = 0; i < P; i++) acc[i][k] = FMA(AT(a + i * step + k * LANES), weight, acc[i][k]);                 \
      }                                                                                                                      \
    }                                                                                                                        \
    UNROLL for (int i = 0; i < P; i++) UNROLL for (int k = 0; k < V; k++) *(vec *)(o + i * ldo + c + k * LANES) = acc[i][k]; \
  }
#define PLACES(P)                                                                       \
  for (; places >= P; places -= P, x += P * step, o += P * ldo) {                       \
    int64_t c = 0;                                                                      \
    BLOCK(P, 4)                                                                         \
    BLOCK(P, 1)                                                                         \
    for (; c < channels; c++)                                                           \
      for (int i = 0; i < P; i++) {                                                     \
        float s = 0;                                                                    \
        for (int t = 0; t < n; t++) s = FMA1(x[i * step + at[t] + c], w[t * channels + c], s); \
        o[i * ldo + c] = s;                                                             \
      }                                                                                 \
  }

/* o[i * ldo + k] = sum over t of x[i * step + at[t] + k] w[t * channels + k], t rising */
void CAT(mx_taps, MX_ISA)(int64_t places, int64_t channels, int n, const float *x, int64_t step, const int64_t *at, const float *w, float *o,
                          int64_t ldo);
void CAT(mx_taps, MX_ISA)(int64_t places, int64_t channels, int n, const float *x, int64_t step, const int64_t *at, const float *w, float *o,
                          int64_t ldo) {
  PLACES(4)
  PLACES(1)
}

/* N taps from t on of all channels. */
#define TAPS(N)                                                                                                     \
  for (; t + N <= n; t += N) {                                                                                      \
    int64_t c = 0;                                                                                                  \
    for (; c + LANES <= channels; c += LANES) {                                                                     \
      vec acc[N];                                                                                                   \
      const float *a[N];                                                                                            \
      UNROLL for (int k = 0; k < N; k++) acc[k] = AT(sums + (t + k) * channels + c), a[k] = x + at[t + k] + c;      \
      for (int64_t i = 0; i < places; i++) {                                                                        \
        vec g = AT(y + i * channels + c);                                                                           \
        UNROLL for (int k = 0; k < N; k++) acc[k] = FMA(AT(a[k] + i * step), g, acc[k]);                            \
      }                                                                                                             \
      UNROLL for (int k = 0; k < N; k++) *(vec *)(sums + (t + k) * channels + c) = acc[k];                          \
    }                                                                                                               \
    for (; c < channels; c++)                                                                                       \
      for (int k = 0; k < N; k++) {                                                                                 \
        float s = sums[(t + k) * channels + c];                                                                     \
        for (int64_t i = 0; i < places; i++) s = FMA1(x[i * step + at[t + k] + c], y[i * channels + c], s);         \
        sums[(t + k) * channels + c] = s;                                                                           \
      }                                                                                                             \
  }

/* sums[t * channels + k] += x[i * step + at[t] + k] y[i * channels + k], i rising */
void CAT(mx_products, MX_ISA)(int64_t places, int64_t channels, int n, const float *x, int64_t step, const int64_t *at, const float *y,
                              float *sums);
void CAT(mx_products, MX_ISA)(int64_t places, int64_t channels, int n, const float *x, int64_t step, const int64_t *at, const float *y,
                              float *sums) {
  int t = 0;
  TAPS(9)
  TAPS(4)
  TAPS(1)
}

static inline float total(vec v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float s[LANES];
  for (int i = 0; i < LANES; i++) s[i] = v[i];
  for (int d = LANES / 2; d; d /= 2)
    for (int i = 0; i < d; i++) s[i] += s[i + d];
  return s[0];
#endif
}

/* P places, one output channel: vectors along the pieces, their lanes added at the end, what fills no vector after them. */
#define ALONG(P)                                                                                       \
  for (; places >= P; places -= P, x += P * s->rs, o += P * ldo) {                                     \
    vec acc[P];                                                                                        \
    float rest[P];                                                                                     \
    UNROLL for (int i = 0; i < P; i++) acc[i] = (vec){0}, rest[i] = 0;                                 \
    for (int64_t k = 0; k < s->count; k++) {                                                           \
      const float *a = x + s->at[k], *b = w + k * s->len;                                              \
      int64_t e = 0;                                                                                   \
      for (; e + LANES <= s->len; e += LANES) {                                                        \
        vec weight = AT(b + e);                                                                        \
        UNROLL for (int i = 0; i < P; i++) acc[i] = FMA(AT(a + i * s->rs + e), weight, acc[i]);        \
      }                                                                                                \
      for (; e < s->len; e++)                                                                          \
        UNROLL for (int i = 0; i < P; i++) rest[i] = FMA1(a[i * s->rs + e], b[e], rest[i]);            \
    }                                                                                                  \
    UNROLL for (int i = 0; i < P; i++) o[i * ldo] = total(acc[i]) + rest[i];                           \
  }
static void along(int64_t places, const mx_strip *s, const float *x, const float *w, float *o, int64_t ldo) {
  ALONG(8)
  ALONG(1)
}

/* o[i * ldo + c], c < n: the sum of the products of the pieces of place i, s->rs elements apart, with row c of w */
void CAT(mx_strip_few, MX_ISA)(int64_t places, int64_t n, const mx_strip *s, const float *x, const float *w, float *o, int64_t ldo);
void CAT(mx_strip_few, MX_ISA)(int64_t places, int64_t n, const mx_strip *s, const float *x, const float *w, float *o, int64_t ldo) {
  for (int64_t c = 0; c < n; c++) along(places, s, x, w + c * s->count * s->len, o + c, ldo);
}
