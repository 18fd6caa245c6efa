/* f16 and bf16: to float, back, and rounding in place of floats. */
#include "backend/cpu/isa/common.h"

#ifdef __F16C__
#include <immintrin.h>
#endif

#define HALF(H, name, up, down)                                                                              \
  static void load_##name(size_t n, void *vo, const void *va, const void *vb, const void *vc) {             \
    float *o = vo;                                                                                           \
    const H *a = va;                                                                                         \
    (void)vb, (void)vc;                                                                                      \
    MX_INDEPENDENT                                                                                           \
    for (size_t i = 0; i < n; i++) o[i] = up(a[i]);                                                          \
  }                                                                                                          \
  static void store_##name(size_t n, void *vo, const void *va, const void *vb, const void *vc) {            \
    H *o = vo;                                                                                               \
    const float *a = va;                                                                                     \
    (void)vb, (void)vc;                                                                                      \
    MX_INDEPENDENT                                                                                           \
    for (size_t i = 0; i < n; i++) o[i] = down(a[i]);                                                        \
  }                                                                                                          \
  static void round_##name(size_t n, void *vo, const void *va, const void *vb, const void *vc) {            \
    float *o = vo;                                                                                           \
    const float *a = va;                                                                                     \
    (void)vb, (void)vc;                                                                                      \
    MX_INDEPENDENT                                                                                           \
    for (size_t i = 0; i < n; i++) o[i] = up(down(a[i]));                                                    \
  }

HALF(mx_bf16, bf16, mx_bf16_to_f32, mx_f32_to_bf16)

#ifdef __F16C__ /* eight at a time; the last ones through a padded block, so that they meet the same instructions */
static inline void pad(void *to, const void *from, size_t bytes) {
  __builtin_memset(to, 0, 32);
  __builtin_memcpy(to, from, bytes);
}
static inline __m128i halves(const float *a) { return _mm256_cvtps_ph(_mm256_loadu_ps(a), _MM_FROUND_TO_NEAREST_INT); }
static void load_f16(size_t n, void *o, const void *a, const void *b, const void *c) {
  size_t i = 0;
  uint16_t h[16];
  float f[8];
  (void)b, (void)c;
#ifdef __AVX512F__
  for (; i + 32 <= n; i += 32) {
    const __m256i *from = (const __m256i *)((const uint16_t *)a + i);
    __builtin_prefetch((const char *)from + 4096);
    _mm512_storeu_ps((float *)o + i, _mm512_cvtph_ps(_mm256_loadu_si256(from)));
    _mm512_storeu_ps((float *)o + i + 16, _mm512_cvtph_ps(_mm256_loadu_si256(from + 1)));
  }
#endif
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps((float *)o + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const uint16_t *)a + i))));
  if (i == n) return;
  pad(h, (const uint16_t *)a + i, (n - i) * 2);
  _mm256_storeu_ps(f, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h)));
  __builtin_memcpy((float *)o + i, f, (n - i) * 4);
}
static void store_f16(size_t n, void *o, const void *a, const void *b, const void *c) {
  size_t i = 0;
  uint16_t h[8];
  float f[8];
  (void)b, (void)c;
  for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)((uint16_t *)o + i), halves((const float *)a + i));
  if (i == n) return;
  pad(f, (const float *)a + i, (n - i) * 4);
  _mm_storeu_si128((__m128i *)h, halves(f));
  __builtin_memcpy((uint16_t *)o + i, h, (n - i) * 2);
}
static void round_f16(size_t n, void *o, const void *a, const void *b, const void *c) {
  size_t i = 0;
  float f[8];
  (void)b, (void)c;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps((float *)o + i, _mm256_cvtph_ps(halves((const float *)a + i)));
  if (i == n) return;
  pad(f, (const float *)a + i, (n - i) * 4);
  _mm256_storeu_ps(f, _mm256_cvtph_ps(halves(f)));
  __builtin_memcpy((float *)o + i, f, (n - i) * 4);
}
#else
HALF(mx_f16, f16, mx_f16_to_f32, mx_f32_to_f16)
#endif

extern const mx_halves CAT(mx_halves, MX_ISA)[2];
const mx_halves CAT(mx_halves, MX_ISA)[2] = {{load_f16, store_f16, round_f16}, {load_bf16, store_bf16, round_bf16}};
