/* Rows of codes times rows of x. Under avx512_bf16 an x of bfloat16 stays that: its products with codes are exact, their sums those of floats.
 * Others, which would be two or three of them, and all under avx512, are floats times floats. */

/* Bytes of codes that are fetched meanwhile: more than a core reads in the time that memory takes to answer. A run of rows begins with so many. */
enum { AHEAD = 12288 };
static inline void fetch(const void *from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

static inline bool as_pairs(const mx_quant_x *x) { return x->bf16 && mx_isa_now->dot_bf16; }

/* The sums of the lanes of four vectors. */
static inline __m128 sum_lanes(__m512 a, __m512 b, __m512 c, __m512 d) {
  __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
  __m512d cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
  __m512 v = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

/* ---- pairs of bfloat16 ---- */

typedef struct codes_t_pairs {
  __m512i v, high;         /* BYTES: two products a code */
} codes_t_pairs;
static inline codes_t_pairs codes_pairs(const codes *of, const int kind, __m512i *word, int j) {
  return (codes_t_pairs){values(of, kind, word, j), kind == BYTES ? high_nibbles(of, *word, j) : _mm512_setzero_si512()};
}

#define TARGET , target("avx512bf16")
static inline __attribute__((always_inline TARGET)) __m512 times_pairs(__m512 t, const int kind, codes_t_pairs v, const uint16_t *x) {
  const __m512bh xv = (__m512bh)_mm512_loadu_si512(x);
  t = _mm512_dpbf16_ps(t, (__m512bh)v.v, xv);
  return kind == BYTES ? _mm512_dpbf16_ps(t, (__m512bh)v.high, xv) : t;
}
#define FLAVOUR pairs
#define X uint16_t
#include "backend/cpu/isa/quant_rows.inc.h"
#define ROWS_OF(name, flavour, kind)                                                                                       \
  static __attribute__((noinline TARGET)) void name(const mx_quant_x *x, const mx_quant_w *w, const codes *of, float *y) { \
    BY_ROWS(dot_rows_##flavour, w, of, kind, y)                                                                            \
  }
ROWS_OF(nibbles_pairs, pairs, NIBBLES)
ROWS_OF(bytes_pairs, pairs, BYTES)
ROWS_OF(small_pairs, pairs, SMALL)
ROWS_OF(windows_pairs, pairs, WINDOWS)
#undef TARGET
#undef FLAVOUR
#undef X

/* ---- floats ---- */

typedef halves codes_t_floats;
static inline codes_t_floats codes_floats(const codes *of, const int kind, __m512i *word, int j) { return floats(of, kind, word, j); }
static inline __m512 times_floats(__m512 t, const int kind, codes_t_floats v, const float *x) {
  (void)kind;
  return _mm512_fmadd_ps(v.high, _mm512_loadu_ps(x + 16), _mm512_fmadd_ps(v.low, _mm512_loadu_ps(x), t));
}
#define TARGET
#define FLAVOUR floats
#define X float
#include "backend/cpu/isa/quant_rows.inc.h"
ROWS_OF(nibbles_floats, floats, NIBBLES)
ROWS_OF(bytes_floats, floats, BYTES)
ROWS_OF(small_floats, floats, SMALL)
ROWS_OF(windows_floats, floats, WINDOWS)
#undef TARGET
#undef FLAVOUR
#undef X

/* ---- the order of x: the numbers that meet a block's j-th vector of codes, filled up with zeros ---- */

void CAT(mx_quant_lay, MX_ISA)(mx_quant_x *x) {
  const int64_t block = 32 * codes_of(x->bits);
  x->ld = (x->k + block - 1) / block * block;
  x->item = as_pairs(x) ? 2 : 4;
}

/* Sixteen pairs of numbers (at, at + C), each pair 2 C behind the one before, of 32 C in order; C is 2 or 4. */
static inline __m512i pick_pairs(const __m512i *x, int at, int C) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i low = _mm512_add_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32(2 * C)), _mm512_set1_epi32(at));
  __m512i from = _mm512_or_si512(low, _mm512_slli_epi32(_mm512_add_epi32(low, _mm512_set1_epi32(C)), 16));
  __m512i o = _mm512_permutex2var_epi16(x[0], from, x[1]);
  return C == 2 ? o : _mm512_mask_mov_epi32(o, 0xff00, _mm512_permutex2var_epi16(x[2], from, x[3]));
}

/* Floats that are bfloat16. */
static void order_pairs(int64_t n, int C, const float *row, uint16_t *o) {
  for (int64_t c = 0; c < n; c += 32 * C, o += 32 * C) {
    __m256i half[8];
    __m512i all[4] = {_mm512_setzero_si512()};
    for (int i = 0; i < 2 * C; i++) {
      int64_t left = n - c - 16 * i;
      __m512 v = _mm512_maskz_loadu_ps(left > 0 ? first(left) : 0, row + c + 16 * i);
      half[i] = _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(v), 16));
    }
    memcpy(all, half, (size_t)(64 * C));
    for (int j = 0; j < C; j++) _mm512_storeu_si512(o + 32 * j, pick_pairs(all, j, C));
  }
}

void CAT(mx_quant_order, MX_ISA)(const mx_quant_x *x, const float *row, void *o) {
  const int C = codes_of(x->bits);
  if (as_pairs(x)) {
    order_pairs(x->k, C, row, o);
    return;
  }
  const __m512i lanes = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(2 * C));
  for (int64_t c = 0; c < x->k; c += 32 * C)
    for (int j = 0; j < C; j++) {
      const __mmask16 there = first((x->k - c) / (2 * C));
      const int64_t at = c + 32 * j;
      for (int i = 0; i < 2; i++)
        _mm512_storeu_ps((float *)o + at + 16 * i, _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, lanes, row + c + j + i * C, 4));
    }
}

void CAT(mx_quant_dot, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y) {
  static void (*const dots[KINDS][2])(const mx_quant_x *, const mx_quant_w *, const codes *, float *) = {
      [NIBBLES] = {nibbles_floats, nibbles_pairs}, [BYTES] = {bytes_floats, bytes_pairs}, [SMALL] = {small_floats, small_pairs},
      [WINDOWS] = {windows_floats, windows_pairs}};
  if (w->step == x->groups) { /* whole rows */
    fetch(w->scales, AHEAD / 16);
    if (w->biases) fetch(w->biases, AHEAD / 16);
    fetch(w->codes, AHEAD);
  }
  const codes of = codes_in(x);
  dots[kind_of(x)][as_pairs(x)](x, w, &of, y);
}
