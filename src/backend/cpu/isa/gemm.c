/* Products of f16 and bf16, with sums in f32, and of f32 and f64 where OpenBLAS is not. */
#include "backend/cpu/gemm.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/isa/common.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR 64
#define MR 14
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR 32
#define MR 6
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define VECTOR 16
#define MR 6
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

/* The first lines of n that make whole squares, each of k elements in a row, across apart: line j becomes column j of o, NR wide. Returns
 * how many lines are done. */
#if VECTOR == 64
static int transpose_f32(int n, int64_t k, float alpha, const float *x, int64_t across, float *o) {
  __m512 scale = _mm512_set1_ps(alpha);
  int j = 0;
  for (; j + 16 <= n; j += 16, x += 16 * across, o += 16) {
    int64_t p = 0;
    for (; p + 16 <= k; p += 16) {
      __m512 r[16], t[16];
      UNROLL for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(x + i * across + p);
      UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
      }
      UNROLL for (int i = 0; i < 16; i += 4) { /* r[i + q]: columns q, 4 + q, 8 + q, 12 + q of four rows */
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]), c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
      }
      UNROLL for (int q = 0; q < 4; q++) {
        __m512 even = _mm512_shuffle_f32x4(r[q], r[4 + q], 0x88), even2 = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0x88);
        __m512 odd = _mm512_shuffle_f32x4(r[q], r[4 + q], 0xdd), odd2 = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0xdd);
        float *to = o + (p + q) * 2 * 16;
        _mm512_storeu_ps(to, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(even, even2, 0x88)));
        _mm512_storeu_ps(to + 4 * 32, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(odd, odd2, 0x88)));
        _mm512_storeu_ps(to + 8 * 32, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(even, even2, 0xdd)));
        _mm512_storeu_ps(to + 12 * 32, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(odd, odd2, 0xdd)));
      }
    }
    for (; p < k; p++)
      for (int i = 0; i < 16; i++) o[p * 32 + i] = alpha * x[i * across + p];
  }
  return j;
}
#elif VECTOR == 32
static int transpose_f32(int n, int64_t k, float alpha, const float *x, int64_t across, float *o) {
  __m256 scale = _mm256_set1_ps(alpha);
  int j = 0;
  for (; j + 8 <= n; j += 8, x += 8 * across, o += 8) {
    int64_t p = 0;
    for (; p + 8 <= k; p += 8) {
      __m256 r[8], t[8];
      UNROLL for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(x + i * across + p);
      UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
      }
      UNROLL for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
      }
      UNROLL for (int q = 0; q < 4; q++) {
        float *to = o + (p + q) * 2 * 8;
        _mm256_storeu_ps(to, _mm256_mul_ps(scale, _mm256_permute2f128_ps(r[q], r[4 + q], 0x20)));
        _mm256_storeu_ps(to + 4 * 16, _mm256_mul_ps(scale, _mm256_permute2f128_ps(r[q], r[4 + q], 0x31)));
      }
    }
    for (; p < k; p++)
      for (int i = 0; i < 8; i++) o[p * 16 + i] = alpha * x[i * across + p];
  }
  return j;
}
#else
static int transpose_f32(int n, int64_t k, float alpha, const float *x, int64_t across, float *o) {
  int j = 0;
  for (; j + 4 <= n; j += 4, x += 4 * across, o += 4)
    for (int64_t p = 0; p < k; p++)
      for (int i = 0; i < 4; i++) o[p * 8 + i] = alpha * x[i * across + p];
  return j;
}
#endif
static int transpose_f64(int n, int64_t k, double alpha, const double *x, int64_t across, double *o) {
  enum { NR = 2 * VECTOR / 8 };
  int j = 0;
  for (; j + 4 <= n; j += 4, x += 4 * across, o += 4)
    for (int64_t p = 0; p < k; p++)
      for (int i = 0; i < 4; i++) o[p * NR + i] = alpha * x[i * across + p];
  return j;
}

#define MICRO__(a, b, c) micro_##a##_##b##_##c
#define MICRO_(a, b, c) MICRO__(a, b, c)
#define MICRO(rows, vectors) MICRO_(rows, vectors, T)

#define T float
#define NAME(f) f##_f32
#if VECTOR == 64
#define FMA(x, y, z) (vec_f32)_mm512_fmadd_ps((__m512)(x), (__m512)(y), (__m512)(z))
#define SPREAD(x) (vec_f32)_mm512_set1_ps(x)
#elif VECTOR == 32
#define FMA(x, y, z) (vec_f32)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(z))
#define SPREAD(x) (vec_f32)_mm256_set1_ps(x)
#else
#define FMA(x, y, z) ((x) * (y) + (z))
#define SPREAD(x) ((x) - (vec_f32){0})
#endif
#include "backend/cpu/isa/gemm_kernel.inc.h"

/* Halves: by the loads of halves.c where they stand next to each other. */
extern const mx_halves CAT(mx_halves, MX_ISA)[2];
#define HALF(name, H, up, which)                                                                                             \
  static void load_##name(int64_t n, float *restrict o, const void *x, int64_t stride) {                                     \
    const H *h = x;                                                                                                          \
    if (stride == 1) CAT(mx_halves, MX_ISA)[which].load((size_t)n, o, x, NULL, NULL);                                        \
    else for (int64_t i = 0; i < n; i++) o[i] = up(h[i * stride]);                                                           \
  }                                                                                                                          \
  static const source_f32 of_##name = {load_##name, 2};
HALF(f16, mx_f16, mx_f16_to_f32, 0)
HALF(bf16, mx_bf16, mx_bf16_to_f32, 1)
PRODUCT(mx_gemm_f32, NULL)
PRODUCT(mx_gemm_f16, &of_f16)
PRODUCT(mx_gemm_bf16, &of_bf16)
#undef FMA
#undef SPREAD
#undef PRODUCT
#undef T
#undef NAME

#define T double
#define NAME(f) f##_f64
#if VECTOR == 64
#define FMA(x, y, z) (vec_f64)_mm512_fmadd_pd((__m512d)(x), (__m512d)(y), (__m512d)(z))
#define SPREAD(x) (vec_f64)_mm512_set1_pd(x)
#elif VECTOR == 32
#define FMA(x, y, z) (vec_f64)_mm256_fmadd_pd((__m256d)(x), (__m256d)(y), (__m256d)(z))
#define SPREAD(x) (vec_f64)_mm256_set1_pd(x)
#else
#define FMA(x, y, z) ((x) * (y) + (z))
#define SPREAD(x) ((x) - (vec_f64){0})
#endif
#include "backend/cpu/isa/gemm_kernel.inc.h"
PRODUCT(mx_gemm_f64, NULL)
