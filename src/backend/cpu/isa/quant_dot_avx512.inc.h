/* Rows of nibbles and bytes. Under avx512_bf16: codes are exact as bfloat16, and x is cut into one (bfloat16), two
 * (float16) or three (float) of them, exactly; so the products are exact and the sums those of floats. Under avx512 floats times floats. */
#include <immintrin.h>

static inline __m512 nibble_values(const mx_quant_x *x) {
  if (x->mode != MX_AFFINE) return _mm512_loadu_ps(fp4);
  return _mm512_cvtepi32_ps(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
static inline __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

/* Bytes of codes that are fetched meanwhile: more than a core reads in the time that memory takes to answer. A run of rows begins with so many. */
enum { AHEAD = 12288 };
static inline void fetch(const void *from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

/* ---- pairs of bfloat16 ---- */

/* Sixteen words of codes at a time: shifted by 4 j, the two halves of a word have nibbles j and j + 4 in front. So x is kept as pairs, filled
 * up with zeros: of a word's eight nibbles (j, j + 4), of its four bytes (h, h + 2), whose low and high nibbles j = 2 h, 2 h + 1 both
 * multiply it. */
#define PAIRS_TARGET target("avx512bf16")
static inline bool as_pairs(const mx_quant_x *x) { return (x->bits == 4 || (x->bits == 8 && x->mode == MX_AFFINE)) && mx_isa_now->dot_bf16; }
static inline int block_of(const mx_quant_x *x) { return 512 / x->bits; }

static void order_pairs(const mx_quant_x *x, const float *row, uint16_t *o) {
  int per = 32 / x->bits, block = block_of(x);
  int64_t room = x->ld / x->planes;
  __m512i lanes = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(per));
  const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
  for (int64_t c = 0; c < x->k; c += block)
    for (int j = 0; j < per / 2; j++, o += 32) {
      __mmask16 there = first((x->k - c) / per);
      __m512 v[2];
      for (int i = 0; i < 2; i++) {
        v[i] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, lanes, row + c + j + i * per / 2, 4);
        __mmask16 nan = _mm512_fpclass_ps_mask(v[i], 0x81); /* none may lose its last bits */
        v[i] = _mm512_castsi512_ps(_mm512_mask_or_epi32(_mm512_castps_si512(v[i]), nan, _mm512_castps_si512(v[i]), _mm512_set1_epi32(0x400000)));
      }
      for (int p = 0; p < x->planes; p++) {
        __m512i a = _mm512_and_si512(_mm512_castps_si512(v[0]), high), b = _mm512_and_si512(_mm512_castps_si512(v[1]), high);
        _mm512_storeu_si512(o + p * room, _mm512_or_si512(_mm512_srli_epi32(a, 16), b));
        v[0] = _mm512_maskz_sub_ps((__mmask16)~_mm512_fpclass_ps_mask(v[0], 0x99), v[0], _mm512_castsi512_ps(a));
        v[1] = _mm512_maskz_sub_ps((__mmask16)~_mm512_fpclass_ps_mask(v[1], 0x99), v[1], _mm512_castsi512_ps(b));
      }
    }
}

/* n of sixteen scales (biases) from the i-th. */
static inline __m512 scales16(int mode, mx_dtype t, const void *from, int64_t i, __mmask16 n) {
  const char *p = from;
  if (t == MX_BF16) return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(n, p + 2 * i)), 16));
  if (t == MX_F16) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(n, p + 2 * i));
  if (t == MX_F32) return _mm512_maskz_loadu_ps(n, p + 4 * i);
  __m128i b = _mm_maskz_loadu_epi8(n, p + i);
  if (mode == MX_NVFP4) return fp8_16(b);
  __m512i e = _mm512_cvtepu8_epi32(b);
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(_mm512_slli_epi32(e, 23), _mm512_testn_epi32_mask(e, e), _mm512_set1_epi32(0x400000)));
}

/* The values of the low nibbles, and sixteen times them, as bfloat16, twice: the fifth bit of an index does not matter. */
static inline __m512i pair_table(const mx_quant_x *x, float times) {
  __m256i h = _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(_mm512_mul_ps(nibble_values(x), _mm512_set1_ps(times))), 16));
  return _mm512_inserti64x4(_mm512_castsi256_si512(h), h, 1);
}

/* The sums of the lanes of four vectors. */
static inline __m128 sum_lanes(__m512 a, __m512 b, __m512 c, __m512 d) {
  __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
  __m512d cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
  __m512 v = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

/* What rows have in common: the group of each lane's codes, and the values of nibbles. */
typedef struct pairs {
  __m512i group_of, low, high;
  int shift;               /* a group has 2^shift codes */
} pairs;
static inline pairs pairs_of(const mx_quant_x *x, bool bytes) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  pairs p = {.low = pair_table(x, 1), .shift = __builtin_ctz((unsigned)x->group)};
  p.high = bytes ? pair_table(x, 16) : p.low;
  p.group_of = _mm512_srl_epi32(_mm512_slli_epi32(lanes, bytes ? 2 : 3), _mm_cvtsi32_si128(p.shift));
  return p;
}

/* R rows of the matrix from row r times M rows of x. bf16: so are scales and biases. */
static inline __attribute__((always_inline, PAIRS_TARGET)) void dot_pairs(const mx_quant_x *x, const int M, const mx_quant_w *w, const pairs *of,
                                                                          int64_t r, const int R, const int planes, const bool bytes,
                                                                          const bool bf16, float *y) {
  const int block = bytes ? 64 : 128, each = block / 16, mode = x->mode, shift = of->shift;
  const int64_t groups = x->groups, row = w->bytes, step = w->step, ld = x->ld, room = ld / planes;
  const mx_dtype scale_type = bf16 ? MX_BF16 : w->scale_type, bias_type = bf16 ? MX_BF16 : w->bias_type;
  const int64_t size = bf16 ? 2 : mx_dtype_sizes[scale_type], far = AHEAD / (bytes ? 32 : 16); /* as far as codes with two bytes a group of 64 */
  const uint8_t *codes = w->codes + r * row;
  const char *scales = (const char *)w->scales + r * step * size, *biases = (const char *)w->biases;
  const uint16_t *xs = x->x;
  if (bf16 || biases) biases += r * step * mx_dtype_sizes[bias_type];
  __m512 acc[4][4];
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int m = 0; m < M; m++) acc[i][m] = _mm512_setzero_ps();
  for (int64_t g0 = 0; g0 < groups; g0 += 16) {
    const int64_t n = groups - g0 < 16 ? groups - g0 : 16, end = (g0 + n) << shift;
    const __mmask16 some = first(n);
    __m512 s[4];
    UNROLL for (int i = 0; i < R; i++) {
      _mm_prefetch(scales + (i * step + g0) * size + far, _MM_HINT_T0);
      s[i] = scales16(mode, scale_type, scales, i * step + g0, some);
      if (!bf16 && !biases) continue;
      _mm_prefetch(biases + (i * step + g0) * size + far, _MM_HINT_T0);
      const __m512 b = scales16(mode, bias_type, biases, i * step + g0, some);
      UNROLL for (int m = 0; m < M; m++) acc[i][m] = _mm512_fmadd_ps(b, _mm512_maskz_loadu_ps(some, x->sums + m * x->ldsums + g0), acc[i][m]);
    }
    for (int64_t c = g0 << shift; c < end; c += block) {
      const uint8_t *from = codes + (bytes ? c : c / 2);
      const __mmask16 there = first((end - c) / each);
      const uint16_t *xc = xs + c;
      const __m512i index = _mm512_add_epi32(of->group_of, _mm512_set1_epi32((int)((c >> shift) - g0)));
      __m512i word[4];
      __m512 t[4][4];
      UNROLL for (int i = 0; i < R; i++) {
        word[i] = there == 0xffff ? _mm512_loadu_si512(from + i * row) : _mm512_maskz_loadu_epi32(there, from + i * row);
        _mm_prefetch((const char *)from + i * row + AHEAD, _MM_HINT_T0);
        UNROLL for (int m = 0; m < M; m++) t[i][m] = _mm512_setzero_ps();
      }
      UNROLL for (int j = 0; j < 4; j++) {
        UNROLL for (int i = 0; i < R; i++) {
          const __m512bh v = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi32(word[i], (unsigned)(4 * j)), j % 2 ? of->high : of->low);
          UNROLL for (int m = 0; m < M; m++) UNROLL for (int p = 0; p < planes; p++)
            t[i][m] = _mm512_dpbf16_ps(t[i][m], v, (__m512bh)_mm512_loadu_si512(xc + m * ld + p * room + (bytes ? j / 2 : j) * 32));
        }
      }
      UNROLL for (int i = 0; i < R; i++) {
        const __m512 si = _mm512_permutexvar_ps(index, s[i]);
        UNROLL for (int m = 0; m < M; m++) acc[i][m] = _mm512_fmadd_ps(t[i][m], si, acc[i][m]);
      }
    }
  }
  const __m512 none = _mm512_setzero_ps();
  float sums[4];
  if (R == 4) _mm_storeu_ps(sums, sum_lanes(acc[0][0], acc[1][0], acc[2][0], acc[3][0]));
  else if (R == 2) _mm_storeu_ps(sums, sum_lanes(acc[0][0], acc[0][M - 1], acc[1][0], acc[1][M - 1]));
  else _mm_storeu_ps(sums, sum_lanes(acc[0][0], M > 1 ? acc[0][1] : none, M > 2 ? acc[0][2] : none, M > 3 ? acc[0][3] : none));
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int m = 0; m < M; m++) {
    float *o = y + m * x->ldy + r + i;
    *o = x->add ? *o + sums[i * M + m] : sums[i * M + m];
  }
}

/* As many rows at a time as the registers hold. An element's bits are the same in any company. */
static inline __attribute__((always_inline, PAIRS_TARGET)) void dot_pairs_rows(const mx_quant_x *x, const int M, const mx_quant_w *w,
                                                                               const int planes, const bool bytes, float *y) {
  const int R = M == 1 ? 4 : M == 2 ? 2 : 1;
  if (w->step == x->groups) { /* whole rows */
    fetch(w->scales, AHEAD / 16);
    if (w->biases) fetch(w->biases, AHEAD / 16);
    fetch(w->codes, AHEAD);
  }
  const pairs of = pairs_of(x, bytes);
  int64_t r = 0;
  if (M == 1 && planes == 1 && w->scale_type == MX_BF16 && w->biases && w->bias_type == MX_BF16)
    for (; r + R <= w->n; r += R) dot_pairs(x, M, w, &of, r, R, planes, bytes, true, y);
  for (; r + R <= w->n; r += R) dot_pairs(x, M, w, &of, r, R, planes, bytes, false, y);
  for (; r < w->n; r++) dot_pairs(x, M, w, &of, r, 1, planes, bytes, false, y);
}
#define PAIRS_OF(name, planes, bytes)                                                                       \
  __attribute__((PAIRS_TARGET)) static void name(const mx_quant_x *x, const mx_quant_w *w, float *y) {        \
    BY_ROWS(dot_pairs_rows, w, planes, bytes, y)                                                             \
  }
PAIRS_OF(nibbles_1, 1, false)
PAIRS_OF(nibbles_2, 2, false)
PAIRS_OF(nibbles_3, 3, false)
PAIRS_OF(bytes_1, 1, true)
PAIRS_OF(bytes_2, 2, true)
PAIRS_OF(bytes_3, 3, true)

/* ---- floats ---- */

/* Four bits: sixteen words, 128 codes, at a time; shifted by 4 j they are indices of codes 8 i + j, so x is kept in that order, filled up
 * with zeros to whole blocks. */
#define BLOCK 128
static inline void finish_vector(const mx_quant_x *x, int m, __m512 acc, const float *biases, float *y) {
  const float *sums = x->sums + m * x->ldsums;
  for (int64_t g = 0; biases && g < x->groups; g += 16) {
    __mmask16 there = first(x->groups - g);
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
    __m512i w = whole ? _mm512_loadu_si512(codes + c / 2) : _mm512_maskz_loadu_epi32(first(left / 8), codes + c / 2);
    __m512 s = _mm512_maskz_loadu_ps(first(whole ? per : left / x->group), scales + g), t[MX_QUANT_ROWS];
    s = _mm512_permutexvar_ps(group_of, s);
    _mm_prefetch((const char *)codes + c / 2 + AHEAD, _MM_HINT_T0);
    const float *xb = (const float *)x->x + c;
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
      UNROLL for (int m = 0; m < rows; m++) t[m] = _mm512_fmadd_ps(v, _mm512_loadu_ps((const float *)x->x + m * x->ld + c), t[m]);
    }
    _mm_prefetch((const char *)codes + c + AHEAD, _MM_HINT_T0);
    UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm512_fmadd_ps(t[m], s, acc[m]);
  }
  UNROLL for (int m = 0; m < rows; m++) {
    finish_vector(x, m, acc[m], biases, y);
  }
}

static void dot_floats(const mx_quant_x *x, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y) {
  if (x->bits == 4) {
    BY_ROWS(dot_nibbles, nibble_values(x), codes, scales, biases, y)
  } else if (x->bits == 8) {
    if (x->mode == MX_AFFINE) BY_ROWS(dot_bytes, false, codes, scales, biases, y)
    else BY_ROWS(dot_bytes, true, codes, scales, biases, y)
  } else {
    dot_any(x, codes, scales, biases, row, y);
  }
}

/* ---- which ---- */

void CAT(mx_quant_lay, MX_ISA)(mx_quant_x *x) {
  int64_t block = as_pairs(x) ? block_of(x) : x->bits == 4 ? BLOCK : 1;
  x->ld = (x->k + block - 1) / block * block * (as_pairs(x) ? x->planes : 1);
  x->item = as_pairs(x) ? 2 : 4;
}

void CAT(mx_quant_order, MX_ISA)(const mx_quant_x *x, const float *row, void *out) {
  if (as_pairs(x)) {
    order_pairs(x, row, out);
    return;
  }
  if (x->bits != 4) {
    memcpy(out, row, (size_t)x->k * sizeof *row);
    return;
  }
  float *o = out;
  for (int64_t c = 0; c < x->k; c += BLOCK, row += BLOCK, o += BLOCK)
    for (int j = 0; j < 8; j++)
      for (int i = 0; i < 16; i++) o[16 * j + i] = c + 8 * i + j < x->k ? row[8 * i + j] : 0;
}

void CAT(mx_quant_dot, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y) {
  static void (*const pairs[2][3])(const mx_quant_x *, const mx_quant_w *, float *) = {{nibbles_1, nibbles_2, nibbles_3},
                                                                                       {bytes_1, bytes_2, bytes_3}};
  if (as_pairs(x)) pairs[x->bits == 8][x->planes - 1](x, w, y);
  else each_row(x, w, dot_floats, y);
}
