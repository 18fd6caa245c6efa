/* Rows of codes, floats times floats, eight at a time. */
#include <immintrin.h>

/* Four bits: eight words, 64 codes, at a time; shifted by 4 j they have codes 8 i + j in front, so x is kept in that order, filled up with
 * zeros to whole blocks. */
#define BLOCK 64

static inline float sum8(__m256 v) {
  __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  h = _mm_add_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
static inline void put(const mx_quant_x *x, int m, __m256 acc, const float *biases, float *y) {
  float sum = sum8(acc) + (biases ? dot_biases(x->groups, biases, x->sums + m * x->ldsums) : 0);
  y[m * x->ldy] = x->add ? y[m * x->ldy] + sum : sum;
}

static inline __m256 nibble_values8(bool small, __m256i w) {
  __m256i c = _mm256_and_si256(w, _mm256_set1_epi32(15));
  if (!small) return _mm256_cvtepi32_ps(c);
  __m256 sign = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_srli_epi32(c, 3), 31));
  return _mm256_xor_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(fp4), c), sign);
}

static inline __attribute__((always_inline)) void dot_nibbles(const mx_quant_x *x, int rows, bool small, const uint8_t *codes,
                                                              const float *scales, const float *biases, float *y) {
  uint32_t at[8];
  for (int i = 0; i < 8; i++) at[i] = (uint32_t)(8 * i / x->group);
  const __m256i group_of = _mm256_loadu_si256((const __m256i *)at);
  __m256 acc[MX_QUANT_ROWS], t[MX_QUANT_ROWS];
  UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm256_setzero_ps();
  for (int64_t c = 0; c < x->k; c += BLOCK) {
    const int64_t left = x->k - c < BLOCK ? x->k - c : BLOCK;
    uint32_t words[8] = {0};
    float some[8] = {0};
    __m256i w;
    __m256 s;
    if (left == BLOCK) w = _mm256_loadu_si256((const __m256i *)(codes + c / 2));
    else memcpy(words, codes + c / 2, (size_t)left / 2), w = _mm256_loadu_si256((const __m256i *)words);
    if (x->group >= BLOCK) {
      s = _mm256_set1_ps(scales[c / x->group]);
    } else {
      memcpy(some, scales + c / x->group, (size_t)(left / x->group) * sizeof *some);
      s = _mm256_permutevar8x32_ps(_mm256_loadu_ps(some), group_of);
    }
    _mm_prefetch((const char *)codes + c / 2 + 4096, _MM_HINT_T0);
    const float *xb = (const float *)x->x + c;
    UNROLL for (int j = 0; j < 8; j++) {
      __m256 v = nibble_values8(small, _mm256_srli_epi32(w, 4 * j));
      UNROLL for (int m = 0; m < rows; m++) {
        __m256 xv = _mm256_loadu_ps(xb + m * x->ld + 8 * j);
        t[m] = j ? _mm256_fmadd_ps(v, xv, t[m]) : _mm256_mul_ps(v, xv);
      }
    }
    UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm256_fmadd_ps(t[m], s, acc[m]);
  }
  UNROLL for (int m = 0; m < rows; m++) {
    put(x, m, acc[m], biases, y);
  }
}

enum { BYTES, SMALL, CODES }; /* eight bits, e4m3, two to six bits */

/* Of 32 codes of two to six bits, eight at a time: the eight bytes that are read, to each lane the two that its code lies in, then a shift. */
typedef struct spread {
  __m256i bytes[4], shift, mask;
  int at[4], step;         /* bytes of 32 codes */
} spread;
static spread spread_of(int bits) {
  spread s = {.mask = _mm256_set1_epi32((1 << bits) - 1), .step = 4 * bits};
  uint8_t bytes[4][32];
  uint32_t shift[8];
  for (int i = 0; i < 4; i++) {
    s.at[i] = bits * i < s.step - 8 ? bits * i : s.step - 8; /* none beyond the 32 codes */
    for (int k = 0; k < 8; k++) {
      int at = i * bits - s.at[i] + k * bits / 8;
      for (int b = 0; b < 4; b++) bytes[i][4 * k + b] = b < 2 && at + b < 8 ? (uint8_t)(at + b) : 0x80;
      shift[k] = (uint32_t)(k * bits % 8);
    }
    s.bytes[i] = _mm256_loadu_si256((const __m256i *)bytes[i]);
  }
  s.shift = _mm256_loadu_si256((const __m256i *)shift);
  return s;
}
static inline __m256 values8(int kind, const spread *s, const uint8_t *p, int i) {
  if (kind == SMALL) return fp8_8(p + 8 * i);
  if (kind == BYTES) return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8 * i))));
  int64_t v;
  memcpy(&v, p + s->at[i], 8);
  __m256i w = _mm256_srlv_epi32(_mm256_shuffle_epi8(_mm256_set1_epi64x(v), s->bytes[i]), s->shift);
  return _mm256_cvtepi32_ps(_mm256_and_si256(w, s->mask));
}

static inline __attribute__((always_inline)) void dot_codes(const mx_quant_x *x, int rows, int kind, const spread *of, const uint8_t *codes,
                                                            const float *scales, const float *biases, float *y) {
  __m256 acc[MX_QUANT_ROWS], t[MX_QUANT_ROWS];
  UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm256_setzero_ps();
  for (int64_t g = 0, c = 0; g < x->groups; g++) {
    __m256 s = _mm256_set1_ps(scales[g]);
    UNROLL for (int m = 0; m < rows; m++) t[m] = _mm256_setzero_ps();
    for (int k = 0; k < x->group; k += 32, codes += kind == CODES ? of->step : 32, c += 32) {
      _mm_prefetch((const char *)codes + 4096, _MM_HINT_T0);
      UNROLL for (int i = 0; i < 4; i++) {
        __m256 v = values8(kind, of, codes, i);
        UNROLL for (int m = 0; m < rows; m++) t[m] = _mm256_fmadd_ps(v, _mm256_loadu_ps((const float *)x->x + m * x->ld + c + 8 * i), t[m]);
      }
    }
    UNROLL for (int m = 0; m < rows; m++) acc[m] = _mm256_fmadd_ps(t[m], s, acc[m]);
  }
  UNROLL for (int m = 0; m < rows; m++) {
    put(x, m, acc[m], biases, y);
  }
}

static void dot_floats(const mx_quant_x *x, const void *of, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y) {
  (void)row;
  if (x->bits == 4) {
    if (x->mode == MX_AFFINE) BY_ROWS(dot_nibbles, false, codes, scales, biases, y)
    else BY_ROWS(dot_nibbles, true, codes, scales, biases, y)
  } else if (x->bits != 8) {
    BY_ROWS(dot_codes, CODES, of, codes, scales, biases, y)
  } else if (x->mode == MX_AFFINE) {
    BY_ROWS(dot_codes, BYTES, of, codes, scales, biases, y)
  } else {
    BY_ROWS(dot_codes, SMALL, of, codes, scales, biases, y)
  }
}

void CAT(mx_quant_lay, MX_ISA)(mx_quant_x *x) {
  x->ld = x->bits == 4 ? (x->k + BLOCK - 1) / BLOCK * BLOCK : x->k;
  x->item = 4;
}

void CAT(mx_quant_order, MX_ISA)(const mx_quant_x *x, const float *row, void *out) {
  float *o = out;
  if (x->bits != 4) {
    memcpy(o, row, (size_t)x->k * sizeof *o);
    return;
  }
  for (int64_t c = 0; c < x->k; c += BLOCK, row += BLOCK, o += BLOCK)
    for (int j = 0; j < 8; j++)
      for (int i = 0; i < 8; i++) o[8 * j + i] = c + 8 * i + j < x->k ? row[8 * i + j] : 0;
}

void CAT(mx_quant_dot, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y) {
  const spread of = spread_of(x->bits);
  each_row(x, w, x->bits == 1 ? dot_any : dot_floats, &of, y);
}
