/* Products of few rows with a large matrix W, which is read once at the speed of the memory: halves become floats in registers. m rows of x
 * (at most MX_FEW), floats; y (m, n).
 *
 * W (k, n) by rows: four of them at a time are added to y, which stays in L1; the next four are fetched meanwhile.
 * W (n, k), transposed: the sums of R of its rows stay in registers, in lanes that are added up at the end. */
#include <stdint.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/isa/common.h"
#include "core/half.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR 64
#define FMA(x, y, z) (vec)_mm512_fmadd_ps((__m512)(x), (__m512)(y), (__m512)(z))
#define SPREAD(x) (vec)_mm512_set1_ps(x)
#define FROM_F16(p) (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define FROM_BF16(p) (vec)_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))), 16))
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#define VECTOR 32
#define FMA(x, y, z) (vec)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(z))
#define SPREAD(x) (vec)_mm256_set1_ps(x)
#define FROM_F16(p) (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define FROM_BF16(p) (vec)_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), 16))
#else
#define VECTOR 16
#define FMA(x, y, z) ((x) * (y) + (z))
#define SPREAD(x) ((x) - (vec){0})
#endif
#if defined(__AVX512F__)
#define ONCE(x) __asm__("" : "+v"(x)) /* loaded once, not by each instruction that takes it */
#else
#define ONCE(x) (void)(x)
#endif
typedef float vec __attribute__((vector_size(VECTOR), aligned(4), may_alias));
enum { LANES = VECTOR / 4 };

#ifdef FROM_F16
static inline vec from_f16(const mx_f16 *p) { return FROM_F16(p); }
static inline vec from_bf16(const mx_bf16 *p) { return FROM_BF16(p); }
#else
static inline vec from_f16(const mx_f16 *p) { return (vec){mx_f16_to_f32(p[0]), mx_f16_to_f32(p[1]), mx_f16_to_f32(p[2]), mx_f16_to_f32(p[3])}; }
static inline vec from_bf16(const mx_bf16 *p) {
  return (vec){mx_bf16_to_f32(p[0]), mx_bf16_to_f32(p[1]), mx_bf16_to_f32(p[2]), mx_bf16_to_f32(p[3])};
}
#endif
static inline vec from_f32(const float *p) { return *(const vec *)p; }

/* Fewer than a vector, then zeros. */
#define SOME_OF(name, W, from)                     \
  static inline vec name(const W *p, int count) {  \
    W all[LANES];                                  \
    memset(all, 0, sizeof all);                    \
    memcpy(all, p, (size_t)count * sizeof(W));     \
    return from(all);                              \
  }
SOME_OF(some_f32, float, from_f32)
SOME_OF(some_f16, mx_f16, from_f16)
SOME_OF(some_bf16, mx_bf16, from_bf16)

static inline float sum_of(vec v) {
#if VECTOR == 64 /* the same sum */
  __m256 w = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
#endif
  float lane[LANES];
  memcpy(lane, &v, sizeof v);
  for (int half = LANES / 2; half; half /= 2)
    for (int q = 0; q < half; q++) lane[q] += lane[q + half];
  return lane[0];
}

/* y[r] = sum_of(v[r * step]) for four of them, added up in the same order. */
static inline void sums_of_four(const vec *v, int64_t step, float *y) {
#if defined(__AVX512F__)
  __m512 a = (__m512)v[0], b = (__m512)v[step], c = (__m512)v[2 * step], d = (__m512)v[3 * step];
  a = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  c = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
  a = _mm512_add_ps(_mm512_shuffle_f32x4(a, c, 0x88), _mm512_shuffle_f32x4(a, c, 0xdd));
  a = _mm512_add_ps(a, _mm512_permute_ps(a, 0x4e));
  a = _mm512_add_ps(a, _mm512_permute_ps(a, 0xb1));
  _mm_storeu_ps(y, _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, a)));
#else
  for (int r = 0; r < 4; r++) y[r] = sum_of(v[r * step]);
#endif
}

/* y[i][j, j + V vectors) += four rows of W from w on, times x. */
#define STEP(V)                                                                                                    \
  for (; j + V * LANES <= n; j += V * LANES) {                                                                     \
    vec b[4][V];                                                                                                   \
    UNROLL for (int q = 0; q < 4; q++) UNROLL for (int v = 0; v < V; v++) b[q][v] = LOAD(w + q * ldw + j + v * LANES); \
    if (next) UNROLL for (int q = 0; q < 4; q++) __builtin_prefetch(next + q * ldw + j);                           \
    if (next && sizeof(W) == 4 && V == 2) UNROLL for (int q = 0; q < 4; q++) __builtin_prefetch(next + q * ldw + j + LANES); \
    UNROLL for (int i = 0; i < COUNT; i++) {                                                                           \
      vec acc[V];                                                                                                  \
      UNROLL for (int v = 0; v < V; v++) acc[v] = *(const vec *)(y + i * ldy + j + v * LANES);                     \
      UNROLL for (int q = 0; q < 4; q++) {                                                                         \
        vec a = SPREAD(x[i * ldx + q]);                                                                            \
        UNROLL for (int v = 0; v < V; v++) acc[v] = FMA(a, b[q][v], acc[v]);                                       \
      }                                                                                                            \
      UNROLL for (int v = 0; v < V; v++) *(vec *)(y + i * ldy + j + v * LANES) = acc[v];                           \
    }                                                                                                              \
  }

#define ROWS__(a, b, c) a##_##b##_##c
#define ROWS_(a, b, c) ROWS__(a, b, c)
#define KERNEL(name) ROWS_(name, W, COUNT)

#define X float
#define PER LANES
#define LOAD_X from_f32
#define SOME_X some_f32
#define W float
#define LOAD from_f32
#define SOME some_f32
#include "backend/cpu/isa/gemm_rows_each.inc.h"
#undef LOAD
#undef SOME
#undef W
#define W mx_f16
#define LOAD from_f16
#define SOME some_f16
#include "backend/cpu/isa/gemm_rows_each.inc.h"
#undef LOAD
#undef SOME
#undef W
#define W mx_bf16
#define LOAD from_bf16
#define SOME some_bf16
#include "backend/cpu/isa/gemm_rows_each.inc.h"

#define EACH_M(X, name, T) {X(name, T, 1), X(name, T, 2), X(name, T, 3), X(name, T, 4), X(name, T, 5), X(name, T, 6), X(name, T, 7), X(name, T, 8)}
#define NAMED(name, T, m) name##_##T##_##m
extern const mx_few_rows CAT(mx_few_rows, MX_ISA);
const mx_few_rows CAT(mx_few_rows, MX_ISA) = {
    {EACH_M(NAMED, plain, float), EACH_M(NAMED, plain, mx_f16), EACH_M(NAMED, plain, mx_bf16)},
    {EACH_M(NAMED, turned, float), EACH_M(NAMED, turned, mx_f16), EACH_M(NAMED, turned, mx_bf16)}};

/* Five to eight rows of bf16 by vdpbf16ps, which the sums of products in f32 would keep from the memory's speed. */
extern const mx_packer *CAT(mx_packer_pairs, MX_ISA)(void);
extern const mx_few_pairs *CAT(mx_few_pairs, MX_ISA)(void);
#if defined(__AVX512BW__)
#undef TARGET
#undef W
#undef LOAD
#undef SOME
#undef X
#undef PER
#undef LOAD_X
#undef SOME_X
#undef FMA
#undef ROWS_
#define ROWS_(a, b, c) ROWS__(a, pairs, c)
#define TARGET __attribute__((target("avx512bf16")))
#define W uint16_t
#define X uint16_t
#define PER 32
#define LOAD pairs_of
#define LOAD_X pairs_of
#define SOME some_pairs
#define SOME_X some_pairs
#define FMA(x, y, z) (vec)_mm512_dpbf16_ps((__m512)(z), (__m512bh)(x), (__m512bh)(y))
static inline vec pairs_of(const uint16_t *p) { return (vec)_mm512_loadu_si512(p); }
static inline vec some_pairs(const uint16_t *p, int count) { return (vec)_mm512_maskz_loadu_epi16((__mmask32)((1ull << count) - 1), p); }
#define COUNT 5
#include "backend/cpu/isa/gemm_rows_pairs.inc.h"
#undef COUNT
#define COUNT 6
#include "backend/cpu/isa/gemm_rows_pairs.inc.h"
#undef COUNT
#define COUNT 7
#include "backend/cpu/isa/gemm_rows_pairs.inc.h"
#undef COUNT
#define COUNT 8
#include "backend/cpu/isa/gemm_rows_pairs.inc.h"
#undef COUNT

static const mx_few_pairs few_pairs = {{plain_pairs_5, plain_pairs_6, plain_pairs_7, plain_pairs_8}, {turned_pairs_5, turned_pairs_6, turned_pairs_7, turned_pairs_8}};
const mx_few_pairs *CAT(mx_few_pairs, MX_ISA)(void) { return CAT(mx_packer_pairs, MX_ISA)() ? &few_pairs : NULL; }
#else
const mx_few_pairs *CAT(mx_few_pairs, MX_ISA)(void) { return NULL; }
#endif
