/* Large products of bf16 by vdpbf16ps, which adds products of two pairs of bf16 to a sum in f32 (subnormal numbers count as zero). A pair takes
 * the place of a float of gemm.c: panels and blocks of rows have one for every two elements of k, the last filled up with zero. */
#include "backend/cpu/gemm.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/isa.h"
#include "backend/cpu/isa/common.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#define VECTOR 64
#define MR 14
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define TARGET __attribute__((target("avx512bf16")))

#include "backend/cpu/isa/gemm_transpose.inc.h"

#define MICRO__(a, b, c) micro_##a##_##b##_##c
#define MICRO_(a, b, c) MICRO__(a, b, c)
#define MICRO(rows, vectors) MICRO_(rows, vectors, T)
#define T float
typedef float loose __attribute__((aligned(2), may_alias)); /* a pair of bfloat16 is aligned as one */
#define ROW_T loose
#define NAME(f) f##_pairs
#define FMA(x, y, z) (vec_pairs)_mm512_dpbf16_ps((__m512)(z), (__m512bh)(x), (__m512bh)(y))
#define SPREAD(x) (vec_pairs)_mm512_set1_ps(x)
#include "backend/cpu/isa/gemm_panels.inc.h"

enum { NR = 2 * 16, DEPTH = 2 * KC_pairs, LD = KC_pairs + 16 };

/* Rows x0 and x1 (NULL: zeros) of w <= 32 elements: o[i] = (x0[i], x1[i]). */
static inline void interleave(int w, const uint16_t *x0, const uint16_t *x1, uint32_t *o) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2,
                                       33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  __mmask32 some = (__mmask32)((1ull << w) - 1);
  __m512i a = _mm512_maskz_loadu_epi16(some, x0), b = x1 ? _mm512_maskz_loadu_epi16(some, x1) : _mm512_setzero_si512();
  __m512i l = _mm512_permutex2var_epi16(a, low, b), h = _mm512_permutex2var_epi16(a, high, b);
  _mm512_mask_storeu_epi32(o, (__mmask16)(w < 16 ? some : 0xffff), l);
  if (w > 16) _mm512_mask_storeu_epi32(o + 16, (__mmask16)(some >> 16), h);
}

/* Lines of k elements next to each other, into rows of pairs. */
static inline void copy_line(int64_t k, const uint16_t *x, uint32_t *o) {
  if (k % 2) o[k / 2] = x[k - 1];
  memcpy(o, x, (size_t)(k / 2) * 4);
}

/* n lines, `across` apart, of k elements, `along` apart, as columns of panels. */
static void pack_lines(int64_t n, int64_t k, int width, const uint16_t *x, int64_t across, int64_t along, uint32_t *o, uint32_t *lines) {
  const int64_t pairs = (k + 1) / 2;
  for (int64_t i = n / width * width * pairs; i < (n + width - 1) / width * width * pairs; i++) o[i] = 0;
  for (int64_t p0 = 0; across == 1 && p0 < pairs; p0 += 8) /* a few rows at a time through all panels: they are read in long runs */
    for (int64_t i = 0; i < n; i += width)
      for (int64_t p = p0; p < p0 + 8 && p < pairs; p++) {
        const uint16_t *from = x + i + 2 * p * along;
        __builtin_prefetch(from + 16 * along); /* rows of the next turn, also of the next panels */
        __builtin_prefetch(from + 17 * along);
        interleave(n - i < width ? (int)(n - i) : width, from, 2 * p + 1 < k ? from + along : NULL, o + i * pairs + p * width);
      }
  if (across == 1) return;
  for (int64_t i = 0; i < n; i += width, x += width * across, o += width * pairs) {
    int w = n - i < width ? (int)(n - i) : width, j = 0;
    for (int q = 0; q < w; q++)
      if (along == 1) {
        for (int64_t p = 0; p < k; p += 32) __builtin_prefetch(x + (q + width) * across + p); /* the next panel's */
        copy_line(k, x + q * across, lines + q * pairs);
      } else for (int64_t p = 0; p < pairs; p++)
        lines[q * pairs + p] = x[q * across + 2 * p * along] | (2 * p + 1 < k ? (uint32_t)x[q * across + (2 * p + 1) * along] << 16 : 0);
    if (width == NR) j = transpose_f32(w, pairs, 1, (const float *)(const void *)lines, pairs, (float *)(void *)o);
    for (; j < w; j++)
      for (int64_t p = 0; p < pairs; p++) o[p * width + j] = lines[j * pairs + p];
  }
}

static void pack(int64_t n, int64_t k, double alpha, const mx_matrix *b, void *panels, void *scratch) {
  (void)alpha; /* 1 */
  pack_lines(n, k, NR, b->data, b->cs, b->rs, panels, scratch);
}

static void tile(int64_t m, int64_t n, int64_t k, int64_t next, const mx_matrix *a, const void *panels, void *c, int64_t ldc, bool add,
                 void *scratch) {
  (void)next;
  const bool rows = a->cs == 1;
  const uint16_t *x = a->data;
  uint32_t *to = scratch;
  const float *from = scratch;
  int64_t rs = LD;
  if (rows && k % 2 == 0 && a->rs % 2 == 0 && a->rs * 2 % 1024) {
    from = a->data;
    rs = a->rs / 2;
  } else if (rows) {
    for (int64_t i = 0; i < m; i++) {
      for (int64_t p = 0; p < k; p += 32) __builtin_prefetch(x + (i + 4 < m ? i + 4 : i) * a->rs + p);
      copy_line(k, x + i * a->rs, to + i * LD);
    }
  } else {
    pack_lines(m, k, MR, x, a->rs, a->cs, to, to + (m + MR) * LD);
  }
  panels_pairs(m, n, (k + 1) / 2, from, rs, rows, panels, c, ldc, add, &(ahead_pairs){0});
}

static const mx_packer kernel = {MR, NR, DEPTH, 2, LD * 4, (NR * KC_pairs + MR * LD) * 4, pack, tile};

/* NULL where the instruction is not there, or no faster than what else there is: on Intel's CPUs it had half the rate of f32 products. */
const mx_packer *CAT(mx_packer_pairs, MX_ISA)(void);
const mx_packer *CAT(mx_packer_pairs, MX_ISA)(void) {
  __builtin_cpu_init();
  return __builtin_cpu_is("amd") && mx_isa_now->dot_bf16 ? &kernel : NULL;
}
#else
const mx_packer *CAT(mx_packer_pairs, MX_ISA)(void);
const mx_packer *CAT(mx_packer_pairs, MX_ISA)(void) { return NULL; }
#endif
