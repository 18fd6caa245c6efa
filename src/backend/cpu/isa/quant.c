/* Codes of quantized rows as floats, and products with them. */
#include <string.h>

#include "backend/cpu/isa/common.h"
#include "backend/cpu/vec.h"
#include "core/half.h"
#include "core/quant.h"

static const float fp4[16] = {MX_FP4_VALUES};

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

/* The bits of an e4m3 float in the places of a half are that float times 2^-8. */
static inline __m512 fp8_16(__m128i b) {
  __m256i h = _mm256_cvtepu8_epi16(b), low = _mm256_and_si256(h, _mm256_set1_epi16(0x7f));
  __mmask16 nan = _mm256_cmpeq_epi16_mask(low, _mm256_set1_epi16(0x7f));
  __m256i sign = _mm256_slli_epi16(_mm256_and_si256(h, _mm256_set1_epi16(0x80)), 8);
  h = _mm256_or_si256(sign, _mm256_mask_mov_epi16(_mm256_slli_epi16(low, 7), nan, _mm256_set1_epi16(0x7e00)));
  return _mm512_mul_ps(_mm512_cvtph_ps(h), _mm512_set1_ps(256));
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

/* The bits of an e4m3 float in the places of a half are that float times 2^-8. */
static void unpack_fp8(int bits, int64_t n, const uint8_t *p, float *o) {
  const __m128i low7 = _mm_set1_epi16(0x7f);
  (void)bits;
  for (int64_t i = 0; i < n; i += 8) {
    __m128i h = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(p + i))), low = _mm_and_si128(h, low7);
    __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(low, low7), _mm_set1_epi16(0x7e00));
    h = _mm_or_si128(_mm_slli_epi16(_mm_andnot_si128(low7, h), 8), _mm_or_si128(_mm_slli_epi16(low, 7), nan));
    _mm256_storeu_ps(o + i, _mm256_mul_ps(_mm256_cvtph_ps(h), _mm256_set1_ps(256)));
  }
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

/* ---- products ---- */

/* Any mode: the row is unpacked, then multiplied group by group in lanes. */
enum { LANES = 16 };
static inline float join(float *lane) {
  for (int half = LANES / 2; half; half /= 2)
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
}

static float dot_biases(int64_t n, const float *a, const float *b) {
  float lane[LANES] = {0}, rest = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += a[i + k] * b[i + k];
  for (; i < n; i++) rest += a[i] * b[i];
  return rest + join(lane);
}

/* One element of y: the lanes that were summed, and what the biases add. */
static inline void finish(const mx_quant_x *x, int m, float *lane, const float *biases, float *y) {
  float sum = join(lane) + (biases ? dot_biases(x->groups, biases, x->sums + m * x->ldsums) : 0);
  y[m * x->ldy] = x->add ? y[m * x->ldy] + sum : sum;
}

static inline __attribute__((always_inline)) void dot_unpacked(const mx_quant_x *x, int group, const float *scales, const float *biases,
                                                               const float *row, float *y) {
  for (int m = 0; m < x->m; m++) {
    float acc[LANES] = {0};
    const float *xm = x->x + m * x->ld, *v = row;
    for (int64_t g = 0; g < x->groups; g++, xm += group, v += group) {
      float t[LANES], s = scales[g];
      for (int i = 0; i < LANES; i++) t[i] = xm[i] * v[i];
      for (int k = LANES; k < group; k += LANES)
        for (int i = 0; i < LANES; i++) t[i] += xm[k + i] * v[k + i];
      for (int i = 0; i < LANES; i++) acc[i] += t[i] * s;
    }
    finish(x, m, acc, biases, y);
  }
}

static void (*const unpack_of[4])(int bits, int64_t n, const uint8_t *codes, float *o) = {unpack_affine, unpack_fp4, unpack_fp8, unpack_fp4};

static void dot_any(const mx_quant_x *x, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y) {
  for (int64_t i = 0; i < x->k * x->bits / 8; i += 64) __builtin_prefetch(codes + 4096 + i);
  unpack_of[x->mode](x->bits, x->k, codes, row);
  switch (x->group) {
    case 16: dot_unpacked(x, 16, scales, biases, row, y); break;
    case 32: dot_unpacked(x, 32, scales, biases, row, y); break;
    case 64: dot_unpacked(x, 64, scales, biases, row, y); break;
    default: dot_unpacked(x, 128, scales, biases, row, y);
  }
}

#if defined(__AVX512F__)
/* Four bits: sixteen words, 128 codes, at a time; shifted by 4 j they are indices of codes 8 i + j, so x is kept in that order, filled up
 * with zeros to whole blocks. */
#define BLOCK 128
static inline void finish_vector(const mx_quant_x *x, int m, __m512 acc, const float *biases, float *y) {
  const float *sums = x->sums + m * x->ldsums;
  for (int64_t g = 0; biases && g < x->groups; g += 16) {
    __mmask16 there = x->groups - g >= 16 ? 0xffff : (__mmask16)((1u << (x->groups - g)) - 1);
    acc = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(there, biases + g), _mm512_maskz_loadu_ps(there, sums + g), acc);
  }
  float sum = _mm512_reduce_add_ps(acc);
  y[m * x->ldy] = x->add ? y[m * x->ldy] + sum : sum;
}
static inline __attribute__((always_inline)) void dot_nibbles(const mx_quant_x *x, int rows, __m512 values, const uint8_t *codes,
                                                              const float *scales, const float *biases, float *y) {
  int per = BLOCK / x->group;                     /* groups a block */
  uint32_t at[16];
  for (int i = 0; i < 16; i++) at[i] = (uint32_t)(8 * i / x->group);
  __m512i group_of = _mm512_loadu_si512(at);
  __m512 acc[MX_QUANT_ROWS];
  UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm512_setzero_ps();
  for (int64_t c = 0, g = 0; c < x->k; c += BLOCK, g += per) {
    int64_t left = x->k - c;
    bool whole = left >= BLOCK;
    __m512i w = whole ? _mm512_loadu_si512(codes + c / 2) : _mm512_maskz_loadu_epi32((__mmask16)((1u << (left / 8)) - 1), codes + c / 2);
    __m512 s = _mm512_maskz_loadu_ps((__mmask16)((1u << (whole ? per : left / x->group)) - 1), scales + g), t[MX_QUANT_ROWS];
    s = _mm512_permutexvar_ps(group_of, s);
    _mm_prefetch((const char *)codes + c / 2 + 4096, _MM_HINT_T0);
    const float *xb = x->x + c;
    UNROLL for (int j = 0; j < 8; j++) {
      __m512 v = _mm512_permutexvar_ps(_mm512_srli_epi32(w, (unsigned)(4 * j)), values);
      UNROLL for (int m = 0; m < rows; m++) {
        __m512 xv = _mm512_loadu_ps(xb + m * x->ld + 16 * j);
        t[m] = j ? _mm512_fmadd_ps(v, xv, t[m]) : _mm512_mul_ps(v, xv);
      }
    }
    UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm512_fmadd_ps(t[m], s, acc[m]);
  }
  UNROLL for (int m = 0; m < rows; m++) {
    finish_vector(x, m, acc[m], biases, y);
  }
}

/* Bytes: codes, or small floats. */
static inline __attribute__((always_inline)) void dot_bytes(const mx_quant_x *x, int rows, bool small, const uint8_t *codes,
                                                            const float *scales, const float *biases, float *y) {
  __m512 acc[MX_QUANT_ROWS], t[MX_QUANT_ROWS];
  UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm512_setzero_ps();
  for (int64_t g = 0, c = 0; g < x->groups; g++) {
    __m512 s = _mm512_set1_ps(scales[g]);
    UNROLL for (int m = 0; m < rows; m++) t[m] = _mm512_setzero_ps();
    for (int k = 0; k < x->group; k += 16, c += 16) {
      __m128i b = _mm_loadu_si128((const __m128i *)(codes + c));
      __m512 v = small ? fp8_16(b) : _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b));
      UNROLL for (int m = 0; m < rows; m++) t[m] = _mm512_fmadd_ps(v, _mm512_loadu_ps(x->x + m * x->ld + c), t[m]);
    }
    _mm_prefetch((const char *)codes + c + 4096, _MM_HINT_T0);
    UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm512_fmadd_ps(t[m], s, acc[m]);
  }
  UNROLL for (int m = 0; m < rows; m++) {
    finish_vector(x, m, acc[m], biases, y);
  }
}

#define BY_ROWS(f, ...)              \
  switch (x->m) {                    \
    case 1: f(x, 1, __VA_ARGS__); break; \
    case 2: f(x, 2, __VA_ARGS__); break; \
    case 3: f(x, 3, __VA_ARGS__); break; \
    default: f(x, 4, __VA_ARGS__);   \
  }

static void dot(const mx_quant_x *x, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y) {
  if (x->bits == 4) {
    __m512 values = _mm512_loadu_ps(fp4);
    if (x->mode == MX_AFFINE) values = _mm512_cvtepi32_ps(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    BY_ROWS(dot_nibbles, values, codes, scales, biases, y)
  } else if (x->bits == 8) {
    if (x->mode == MX_AFFINE) BY_ROWS(dot_bytes, false, codes, scales, biases, y)
    else BY_ROWS(dot_bytes, true, codes, scales, biases, y)
  } else {
    dot_any(x, codes, scales, biases, row, y);
  }
}

static int64_t room(const mx_quant_x *x) { return x->bits == 4 ? (x->k + BLOCK - 1) / BLOCK * BLOCK : x->k; }

static void order(const mx_quant_x *x, const float *row, float *o) {
  if (x->bits != 4) {
    memcpy(o, row, (size_t)x->k * sizeof *o);
    return;
  }
  for (int64_t c = 0; c < x->k; c += BLOCK, row += BLOCK, o += BLOCK)
    for (int j = 0; j < 8; j++)
      for (int i = 0; i < 16; i++) o[16 * j + i] = c + 8 * i + j < x->k ? row[8 * i + j] : 0;
}
#else
#define dot dot_any
static int64_t room(const mx_quant_x *x) { return x->k; }
static void order(const mx_quant_x *x, const float *row, float *o) { memcpy(o, row, (size_t)x->k * sizeof *o); }
#endif

static void add_rows(int64_t count, int64_t n, const float *x, const float *restrict v, float *restrict y) {
  int64_t r = 0;
  for (; r + 4 <= count; r += 4, v += 4 * n) {
    float a = x[r], b = x[r + 1], c = x[r + 2], d = x[r + 3];
    for (int64_t i = 0; i < n; i++) y[i] += (a * v[i] + b * v[n + i]) + (c * v[2 * n + i] + d * v[3 * n + i]);
  }
  for (; r < count; r++, v += n)
    for (int64_t i = 0; i < n; i++) y[i] += x[r] * v[i];
}

extern const mx_vec_quant CAT(mx_vec_quant, MX_ISA);
const mx_vec_quant CAT(mx_vec_quant, MX_ISA) = {{unpack_affine, unpack_fp4, unpack_fp8, unpack_fp4}, scale_groups, room, order, dot, add_rows};
