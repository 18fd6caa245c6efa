/* Codes of quantized rows as floats, and sums of them. */
#include <string.h>

#include "backend/cpu/isa/quant.h"
#include "core/half.h"

#if defined(__AVX512F__)
#include <immintrin.h>

/* Sixteen codes at a time: to each lane the two bytes that its code lies in, then a shift. */
typedef struct spread {
  __m512i bytes, shift;
  __mmask16 load;
} spread;
#define EACH_CODE(X, b) \
  {X(b, 0), X(b, 1), X(b, 2), X(b, 3), X(b, 4), X(b, 5), X(b, 6), X(b, 7), X(b, 8), X(b, 9), X(b, 10), X(b, 11), X(b, 12), X(b, 13), X(b, 14), X(b, 15)}
#define EACH_BITS(X) {[1] = EACH_CODE(X, 1), [2] = EACH_CODE(X, 2), [3] = EACH_CODE(X, 3), [4] = EACH_CODE(X, 4), [5] = EACH_CODE(X, 5), [6] = EACH_CODE(X, 6)}
#define BYTES_OF(b, i) (i) * (b) / 8, (i) * (b) / 8 + 1 < 2 * (b) ? (i) * (b) / 8 + 1 : 0x80, 0x80, 0x80
#define SHIFT_OF(b, i) (i) * (b) % 8
static const uint8_t bytes_of[7][64] = EACH_BITS(BYTES_OF);
static const uint32_t shift_of[7][16] = EACH_BITS(SHIFT_OF);
static inline spread spread_of(int bits) {
  return (spread){_mm512_loadu_si512(bytes_of[bits]), _mm512_loadu_si512(shift_of[bits]), (__mmask16)((1u << (2 * bits)) - 1)};
}
static inline __m512i codes16(const spread *s, const uint8_t *p) {
  __m512i b = _mm512_broadcast_i32x4(_mm_maskz_loadu_epi8(s->load, p));
  return _mm512_srlv_epi32(_mm512_shuffle_epi8(b, s->bytes), s->shift);
}

static void unpack_affine(int bits, int64_t n, const uint8_t *p, float *o) {
  if (bits == 8) {
    for (int64_t i = 0; i < n; i += 16)
      _mm512_storeu_ps(o + i, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p + i)))));
    return;
  }
  spread s = spread_of(bits);
  __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
  for (int64_t i = 0; i < n; i += 16, p += 2 * bits) _mm512_storeu_ps(o + i, _mm512_cvtepi32_ps(_mm512_and_si512(codes16(&s, p), mask)));
}

static void unpack_fp4(int bits, int64_t n, const uint8_t *p, float *o) {
  spread s = spread_of(4);
  __m512 values = _mm512_loadu_ps(fp4);
  (void)bits;
  for (int64_t i = 0; i < n; i += 16, p += 8) _mm512_storeu_ps(o + i, _mm512_permutexvar_ps(codes16(&s, p), values));
}

static void unpack_fp8(int bits, int64_t n, const uint8_t *p, float *o) {
  (void)bits;
  for (int64_t i = 0; i < n; i += 16) _mm512_storeu_ps(o + i, fp8_16(_mm_loadu_si128((const __m128i *)(p + i))));
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>

/* Eight codes, which fill `bits` bytes. */
static inline __m256i codes8(int bits, const uint8_t *p, __m256i bytes, __m256i shift) {
  uint64_t v = 0;
  memcpy(&v, p, (size_t)bits);
  return _mm256_srlv_epi32(_mm256_shuffle_epi8(_mm256_set1_epi64x((int64_t)v), bytes), shift);
}
static inline void spread_of(int bits, __m256i *bytes, __m256i *shift) {
  uint8_t at[32];
  uint32_t by[8];
  for (int i = 0; i < 8; i++) {
    for (int k = 0; k < 4; k++) at[4 * i + k] = k < 2 && i * bits / 8 + k < 8 ? (uint8_t)(i * bits / 8 + k) : 0x80;
    by[i] = (uint32_t)(i * bits % 8);
  }
  *bytes = _mm256_loadu_si256((const __m256i *)at);
  *shift = _mm256_loadu_si256((const __m256i *)by);
}

static inline __attribute__((always_inline)) void unpack_bits(int bits, int64_t n, const uint8_t *p, float *o) {
  __m256i bytes, shift, mask = _mm256_set1_epi32((1 << bits) - 1);
  spread_of(bits, &bytes, &shift);
  for (int64_t i = 0; i < n; i += 8, p += bits)
    _mm256_storeu_ps(o + i, _mm256_cvtepi32_ps(_mm256_and_si256(codes8(bits, p, bytes, shift), mask)));
}
static void unpack_affine(int bits, int64_t n, const uint8_t *p, float *o) {
  switch (bits) {
    case 1: unpack_bits(1, n, p, o); break;
    case 2: unpack_bits(2, n, p, o); break;
    case 3: unpack_bits(3, n, p, o); break;
    case 4: unpack_bits(4, n, p, o); break;
    case 5: unpack_bits(5, n, p, o); break;
    case 6: unpack_bits(6, n, p, o); break;
    default: unpack_bits(8, n, p, o);
  }
}

static void unpack_fp4(int bits, int64_t n, const uint8_t *p, float *o) {
  __m256i bytes, shift;
  __m256 values = _mm256_loadu_ps(fp4);
  spread_of(4, &bytes, &shift);
  (void)bits;
  for (int64_t i = 0; i < n; i += 8, p += 4) {
    __m256i c = codes8(4, p, bytes, shift);
    __m256 v = _mm256_permutevar8x32_ps(values, c), sign = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_srli_epi32(c, 3), 31));
    _mm256_storeu_ps(o + i, _mm256_xor_ps(v, sign));
  }
}

static void unpack_fp8(int bits, int64_t n, const uint8_t *p, float *o) {
  (void)bits;
  for (int64_t i = 0; i < n; i += 8) _mm256_storeu_ps(o + i, fp8_8(p + i));
}

#else

static inline __attribute__((always_inline)) void unpack_bits(int bits, int64_t n, const uint8_t *p, float *o) {
  for (int64_t i = 0; i < n; i += 8, p += bits) {
    uint64_t v = 0;
    for (int k = 0; k < bits; k++) v |= (uint64_t)p[k] << (8 * k);
    for (int k = 0; k < 8; k++) o[i + k] = (float)(v >> (k * bits) & ((1u << bits) - 1));
  }
}
static void unpack_affine(int bits, int64_t n, const uint8_t *p, float *o) {
  switch (bits) {
    case 1: unpack_bits(1, n, p, o); break;
    case 2: unpack_bits(2, n, p, o); break;
    case 3: unpack_bits(3, n, p, o); break;
    case 4: unpack_bits(4, n, p, o); break;
    case 5: unpack_bits(5, n, p, o); break;
    case 6: unpack_bits(6, n, p, o); break;
    default: unpack_bits(8, n, p, o);
  }
}
static void unpack_fp4(int bits, int64_t n, const uint8_t *p, float *o) {
  (void)bits;
  for (int64_t i = 0; i < n; i++) o[i] = fp4[p[i / 2] >> (i % 2 * 4) & 15];
}
static void unpack_fp8(int bits, int64_t n, const uint8_t *p, float *o) {
  (void)bits;
  for (int64_t i = 0; i < n; i++) {
    mx_f16 h = {(uint16_t)((p[i] & 0x80) << 8 | (p[i] & 0x7f) << 7)};
    o[i] = (p[i] & 0x7f) == 0x7f ? NAN : mx_f16_to_f32(h) * 256;
  }
}
#endif

static void scale_groups(int64_t groups, int group, const float *restrict scales, const float *restrict biases, float *restrict x) {
  for (int64_t g = 0; g < groups; g++, x += group) {
    float s = scales[g], b = biases[g];
    for (int i = 0; i < group; i++) x[i] = x[i] * s + b;
  }
}

static void add_rows(int64_t count, int64_t n, const float *x, const float *restrict v, float *restrict y) {
  int64_t r = 0;
  for (; r + 4 <= count; r += 4, v += 4 * n) {
    float a = x[r], b = x[r + 1], c = x[r + 2], d = x[r + 3];
    for (int64_t i = 0; i < n; i++) y[i] += (a * v[i] + b * v[n + i]) + (c * v[2 * n + i] + d * v[3 * n + i]);
  }
  for (; r < count; r++, v += n)
    for (int64_t i = 0; i < n; i++) y[i] += x[r] * v[i];
}

#if defined(__AVX512F__)
#define SUM CAT(mx_quant_sum, MX_ISA)
#define FEW {10, 24}
#else
#define SUM NULL
#define FEW {8, 8}
#endif
const mx_vec_quant CAT(mx_vec_quant, MX_ISA) = {{unpack_affine, unpack_fp4, unpack_fp8, unpack_fp4}, scale_groups, CAT(mx_quant_lay, MX_ISA),
                                                CAT(mx_quant_order, MX_ISA), CAT(mx_quant_dot, MX_ISA), FEW, SUM, add_rows};
