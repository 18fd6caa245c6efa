/* COUNT rows of x, W by rows and transposed, all bf16, by vdpbf16ps. x is readable as zeros for PER elements beyond k. */

/* y[i][j, j + 32) += four pairs of rows of W, b[q][half], times those of x. */
#define FOUR_PAIRS(get, put)                                                            \
  UNROLL for (int i = 0; i < COUNT; i++) {                                              \
    vec acc[2];                                                                         \
    float *o = y + i * ldy + j;                                                         \
    UNROLL for (int v = 0; v < 2; v++) acc[v] = (vec)get(v);                            \
    UNROLL for (int q = 0; q < 4; q++) {                                                \
      int32_t pair;                                                                     \
      memcpy(&pair, x + i * ldx + 2 * q, 4);                                            \
      vec a = (vec)_mm512_set1_epi32(pair);                                             \
      UNROLL for (int v = 0; v < 2; v++) acc[v] = FMA(a, b[q][v], acc[v]);              \
    }                                                                                   \
    UNROLL for (int v = 0; v < 2; v++) put(v);                                          \
  }
#define GET_ALL(v) _mm512_loadu_ps(o + v * LANES)
#define PUT_ALL(v) _mm512_storeu_ps(o + v * LANES, (__m512)acc[v])
#define GET_SOME(v) _mm512_maskz_loadu_ps((__mmask16)(some >> v * LANES), o + v * LANES)
#define PUT_SOME(v) _mm512_mask_storeu_ps(o + v * LANES, (__mmask16)(some >> v * LANES), (__m512)acc[v])

TARGET static void KERNEL(plain)(int64_t n, int64_t k, const void *few, int64_t ldx, const void *matrix, int64_t ldw, float *y, int64_t ldy) {
  const uint16_t *x = few, *w = matrix;
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2,
                                       33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (int i = 0; i < COUNT; i++) memset(y + i * ldy, 0, (size_t)n * sizeof *y);
  for (int64_t p = 0; p < k; p += 8, x += 8, w += 8 * ldw) {
    const uint16_t *next = p + 16 <= k ? w + 8 * ldw : NULL;
    for (int64_t j = 0; j < n; j += PER) {
      const __mmask32 some = n - j < PER ? (__mmask32)((1ull << (n - j)) - 1) : ~(__mmask32)0;
      vec b[4][2];
      UNROLL for (int q = 0; q < 4; q++) {
        __m512i even = _mm512_maskz_loadu_epi16(p + 2 * q < k ? some : 0, w + 2 * q * ldw + j);
        __m512i odd = _mm512_maskz_loadu_epi16(p + 2 * q + 1 < k ? some : 0, w + (2 * q + 1) * ldw + j);
        b[q][0] = (vec)_mm512_permutex2var_epi16(even, low, odd);
        b[q][1] = (vec)_mm512_permutex2var_epi16(even, high, odd);
      }
      if (next) UNROLL for (int q = 0; q < 8; q++) __builtin_prefetch(next + q * ldw + j);
      if (n - j >= PER) FOUR_PAIRS(GET_ALL, PUT_ALL)
      else FOUR_PAIRS(GET_SOME, PUT_SOME)
    }
  }
}
#undef FOUR_PAIRS
#undef GET_ALL
#undef PUT_ALL
#undef GET_SOME
#undef PUT_SOME

#include "backend/cpu/isa/gemm_rows_turned.inc.h"
