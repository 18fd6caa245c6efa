/* Products of bytes, signed or not, with exact sums in i32, by the CPU's dot instructions: four bytes times four a lane where there is
 * vpdpbusd, which takes unsigned by signed ones (what is not is moved by 128, and the sums are put right), else pairs of i16 by vpmaddwd.
 *
 * b is packed into panels of NR columns: for each step the 4 bytes of every column. a is packed row by row. */
#include "backend/cpu/gemm.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/isa/common.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
enum { LANES = 16, MR = 12 };
typedef __m512i vec;
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, x) _mm512_storeu_si512(p, x)
#define SPREAD(x) _mm512_set1_epi32(x)
#define PAIRS(acc, a, b) _mm512_add_epi32(acc, _mm512_madd_epi16(a, b))
#define QUADS(acc, a, b) _mm512_dpbusd_epi32(acc, a, b)
#elif defined(__AVX2__)
#include <immintrin.h>
enum { LANES = 8, MR = 4 };
typedef __m256i vec;
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define STORE(p, x) _mm256_storeu_si256((__m256i *)(p), x)
#define SPREAD(x) _mm256_set1_epi32(x)
#define PAIRS(acc, a, b) _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
#else
enum { LANES = 4, MR = 4 };
typedef struct vec {
  int32_t at[LANES];
} vec;
static inline vec LOAD(const void *p) {
  vec r;
  memcpy(&r, p, sizeof r);
  return r;
}
#define STORE(p, x) memcpy(p, &(x), sizeof(vec))
#define SPREAD(x) ((vec){{x, x, x, x}})
static inline vec PAIRS(vec acc, vec a, vec b) {
  int16_t x[2 * LANES], y[2 * LANES];
  memcpy(x, &a, sizeof x);
  memcpy(y, &b, sizeof y);
  for (int i = 0; i < LANES; i++) acc.at[i] += x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1];
  return acc;
}
#endif
enum { NR = 2 * LANES, STEPS = 256, MC = 240, NC = 1024 };

/* c (R, NR) += a b over `steps` words of 4 bytes; a's rows are `rs` words apart. */
#define MICRO(name, attribute, R, DOT)                                                                                       \
  attribute static void name##_##R(int64_t steps, const int32_t *a, int64_t rs, const int32_t *b, int32_t *c, int64_t ldc) { \
    vec acc[R][2];                                                                                                           \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < 2; j++) acc[i][j] = LOAD(c + i * ldc + j * LANES);         \
    for (int64_t p = 0; p < steps; p++, b += NR) {                                                                           \
      vec b0 = LOAD(b), b1 = LOAD(b + LANES);                                                                                \
      UNROLL for (int i = 0; i < R; i++) {                                                                                   \
        vec x = SPREAD(a[i * rs + p]);                                                                                       \
        acc[i][0] = DOT(acc[i][0], x, b0);                                                                                   \
        acc[i][1] = DOT(acc[i][1], x, b1);                                                                                   \
      }                                                                                                                      \
    }                                                                                                                        \
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < 2; j++) STORE(c + i * ldc + j * LANES, acc[i][j]);         \
  }
typedef void (*micro_fn)(int64_t steps, const int32_t *a, int64_t rs, const int32_t *b, int32_t *c, int64_t ldc);

MICRO(pairs, , 1, PAIRS)
MICRO(pairs, , 2, PAIRS)
MICRO(pairs, , 4, PAIRS)
#ifdef QUADS
#define VNNI __attribute__((target("avx512vnni")))
MICRO(pairs, , 8, PAIRS)
MICRO(pairs, , 12, PAIRS)
MICRO(quads, VNNI, 1, QUADS)
MICRO(quads, VNNI, 2, QUADS)
MICRO(quads, VNNI, 4, QUADS)
MICRO(quads, VNNI, 8, QUADS)
MICRO(quads, VNNI, 12, QUADS)
static const micro_fn quads[] = {quads_1, quads_2, quads_4, quads_8, quads_12}, pairs[] = {pairs_1, pairs_2, pairs_4, pairs_8, pairs_12};
static bool has_quads(void) { return __builtin_cpu_supports("avx512vnni"); }
#else
static const micro_fn pairs[] = {pairs_1, pairs_2, pairs_4};
static bool has_quads(void) { return false; }
#define quads pairs
#endif

static const int heights[] = {1, 2, 4, 8, 12}; /* of the micro-kernels */

typedef struct dot_job {
  const mx_matrix *a, *b;
  bool a_signed, b_signed;
  bool quad;               /* four bytes a step, else two as i16 */
} dot_job;

/* The word of a step: the elements x[0], x[along], ... of which `count` are there. */
static inline int32_t word(bool quad, const uint8_t *x, int64_t along, int64_t count, bool is_signed, uint8_t flip) {
  uint32_t w = 0;
  for (int q = 0; q < (quad ? 4 : 2) && q < count; q++) {
    uint8_t e = x[q * along];
    w |= quad ? (uint32_t)(uint8_t)(e ^ flip) << 8 * q : (uint32_t)(uint16_t)(is_signed ? (int8_t)e : (int16_t)e) << 16 * q;
  }
  return (int32_t)w;
}

/* n lines of k bytes: word p of line i goes to o[i * line + p * step]. */
static void pack_lines(bool quad, int64_t n, int64_t k, const uint8_t *x, int64_t across, int64_t along, bool is_signed, uint8_t flip,
                       int32_t *o, int64_t line, int64_t step) {
  const int64_t per = quad ? 4 : 2, whole = k / per;
  enum { BLOCK = 64 };
  if (across == 1 && whole) { /* lines next to each other: read together */
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
      for (int64_t p = 0; p < whole; p++) {
        const uint8_t *from = x + i0 + p * per * along;
        int32_t *to = o + i0 * line + p * step;
        int w = n - i0 < BLOCK ? (int)(n - i0) : BLOCK;
        if (quad)
          for (int i = 0; i < w; i++) to[i * line] = word(true, from + i, along, 4, is_signed, flip);
        else
          for (int i = 0; i < w; i++) to[i * line] = word(false, from + i, along, 2, is_signed, flip);
      }
    for (int64_t i = 0; i < n && whole * per < k; i++)
      o[i * line + whole * step] = word(quad, x + i + whole * per * along, along, k - whole * per, is_signed, flip);
    return;
  }
  for (int64_t i = 0; i < n; i++, x += across, o += line) {
    if (quad && along == 1)
      for (int64_t p = 0; p < whole; p++) {
        uint32_t w;
        memcpy(&w, x + 4 * p, 4);
        o[p * step] = (int32_t)(w ^ flip * 0x01010101u);
      }
    else
      for (int64_t p = 0; p < whole; p++) o[p * step] = word(quad, x + p * per * along, along, per, is_signed, flip);
    if (whole * per < k) o[whole * step] = word(quad, x + whole * per * along, along, k - whole * per, is_signed, flip);
  }
}

#if defined(__AVX512BW__)
/* The words of four rows of NR bytes. */
static inline void unpack_quads(const uint8_t *x, int64_t along, __m256i flip, int32_t *restrict o) {
  __m256i r[4], t[4], w[4];
  UNROLL for (int i = 0; i < 4; i++) r[i] = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(x + i * along)), flip);
  UNROLL for (int i = 0; i < 2; i++) {
    t[2 * i] = _mm256_unpacklo_epi8(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi8(r[2 * i], r[2 * i + 1]);
  }
  UNROLL for (int i = 0; i < 2; i++) {
    w[2 * i] = _mm256_unpacklo_epi16(t[i], t[2 + i]);
    w[2 * i + 1] = _mm256_unpackhi_epi16(t[i], t[2 + i]);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    _mm_storeu_si128((__m128i *)(o + 4 * i), _mm256_castsi256_si128(w[i]));
    _mm_storeu_si128((__m128i *)(o + 16 + 4 * i), _mm256_extracti128_si256(w[i], 1));
  }
}
#endif

/* A panel of NR lines next to each other in memory. */
static void pack_panel(bool quad, int64_t k, const uint8_t *x, int64_t along, bool is_signed, uint8_t flip, int32_t *restrict o) {
  const int64_t per = quad ? 4 : 2;
  for (int64_t p = 0; p + per <= k; p += per, o += NR, x += per * along) {
    const uint8_t *x1 = x + along, *x2 = x1 + along, *x3 = x2 + along;
    const uint32_t f = flip * 0x01010101u;
#if defined(__AVX512BW__)
    if (quad) {
      unpack_quads(x, along, _mm256_set1_epi8((char)flip), o);
      continue;
    }
#endif
    if (quad)
      for (int j = 0; j < NR; j++) o[j] = (int32_t)((x[j] | (uint32_t)x1[j] << 8 | (uint32_t)x2[j] << 16 | (uint32_t)x3[j] << 24) ^ f);
    else if (is_signed)
      for (int j = 0; j < NR; j++) o[j] = (int32_t)((uint32_t)(uint16_t)(int8_t)x[j] | (uint32_t)(int8_t)x1[j] << 16);
    else
      for (int j = 0; j < NR; j++) o[j] = (int32_t)(x[j] | (uint32_t)x1[j] << 16);
  }
  if (k % per)
    for (int j = 0; j < NR; j++) o[j] = word(quad, x + j, along, k % per, is_signed, flip);
}

static int32_t sum_bytes(int64_t n, const uint8_t *x, int64_t stride, bool is_signed) {
  int32_t sum = 0;
  if (stride == 1 && is_signed)
    for (int64_t q = 0; q < n; q++) sum += (int8_t)x[q];
  else
    for (int64_t q = 0; q < n; q++) sum += is_signed ? (int8_t)x[q * stride] : x[q * stride];
  return sum;
}

/* What vpdpbusd leaves out. With a = a' - 128 s and b = b' + 128 u, a' and b' being what is multiplied (s, u: whether a is signed and b
 * unsigned), a b = a' b' + 128 u a - 128 s b': summed over k, something for each row and something for each column. */
typedef struct rest {
  int32_t rows[MC], columns[NC];
} rest;

/* columns[q] of the panels of nj columns. */
static void column_rest(const dot_job *j, int64_t nj, int64_t steps, const int32_t *panels, rest *r) {
  int32_t ones[STEPS];
  memset(ones, 1, sizeof ones);
  memset(r->columns, 0, sizeof r->columns);
  for (int64_t q = 0; j->quad && j->a_signed && q < nj; q += NR) {
    int32_t *sums = r->columns + q;
    quads[0](steps, ones, steps, panels + q * steps, sums, NR);
    for (int i = 0; i < NR; i++) sums[i] *= -128;
  }
}

static void row_rest(const dot_job *j, int64_t ni, int64_t k, const uint8_t *x, rest *r) {
  memset(r->rows, 0, sizeof r->rows);
  for (int64_t i = 0; j->quad && !j->b_signed && i < ni; i++) r->rows[i] = 128 * sum_bytes(k, x + i * j->a->rs, j->a->cs, j->a_signed);
}

/* c = or += (add) the rest. */
static void put_rest(int64_t m, int64_t n, const int32_t *rows, const int32_t *columns, int32_t *c, int64_t ldc, bool add) {
  for (int64_t i = 0; i < m; i++, c += ldc)
    if (add)
      for (int64_t q = 0; q < n; q++) c[q] += rows[i] + columns[q];
    else
      for (int64_t q = 0; q < n; q++) c[q] = rows[i] + columns[q];
}

/* c = or += (add) rows of a (ni, steps) by the panels of b (nj columns), and the rest. */
static void panels(const dot_job *job, int64_t ni, int64_t nj, int64_t steps, const int32_t *a, const int32_t *b, const rest *r, int32_t *c,
                   int64_t ldc, bool add) {
  const micro_fn *micros = job->quad ? quads : pairs;
  for (int64_t j = 0; j < nj; j += NR, b += NR * steps) {
    int64_t width = nj - j < NR ? nj - j : NR;
    for (int64_t i = 0; i < ni;) {
      int which = (int)(sizeof pairs / sizeof *pairs) - 1;
      while (i + heights[which] > ni) which--;
      int32_t *o = c + i * ldc + j, edge[MR * NR];
      if (job->quad || !add) put_rest(heights[which], width, r->rows + i, r->columns + j, o, ldc, add);
      if (width == NR) {
        micros[which](steps, a + i * steps, steps, b, o, ldc);
      } else {
        memset(edge, 0, sizeof edge);
        micros[which](steps, a + i * steps, steps, b, edge, NR);
        for (int h = 0; h < heights[which]; h++)
          for (int64_t q = 0; q < width; q++) o[h * ldc + q] += edge[h * NR + q];
      }
      i += heights[which];
    }
  }
}

static int product(const dot_job *j, int64_t m, int64_t n, int64_t k, int32_t *c, int64_t ldc) {
  const int64_t per = j->quad ? 4 : 2, kc = STEPS * per;
  const mx_matrix *a = j->a, *b = j->b;
  int64_t nc = n < NC ? (n + NR - 1) / NR * NR : NC, mc = m < MC ? m : MC;
  int64_t most = k < kc ? (k + per - 1) / per : STEPS;
  rest r;
  for (int64_t i = 0; !k && i < m; i++) memset(c + i * ldc, 0, (size_t)n * sizeof *c);
  int32_t *panel_b = mx_scratch((size_t)((nc + mc) * most + 1) * sizeof *panel_b), *panel_a = panel_b + nc * most;
  if (!panel_b) return MX_EMEMORY;
  for (int64_t j0 = 0; j0 < n; j0 += NC) {
    int64_t nj = n - j0 < NC ? n - j0 : NC;
    for (int64_t p0 = 0; p0 < k; p0 += kc) {
      int64_t np = k - p0 < kc ? k - p0 : kc, steps = (np + per - 1) / per;
      for (int64_t q = 0; q < nj; q += NR) {
        int64_t width = nj - q < NR ? nj - q : NR;
        const uint8_t *x = (const uint8_t *)b->data + p0 * b->rs + (j0 + q) * b->cs;
        int32_t *o = panel_b + q * steps;
        uint8_t flip = j->b_signed ? 0 : 0x80;
        if (width < NR) memset(o, 0, (size_t)(NR * steps) * 4);
        if (width == NR && b->cs == 1) pack_panel(j->quad, np, x, b->rs, j->b_signed, flip, o);
        else pack_lines(j->quad, width, np, x, b->cs, b->rs, j->b_signed, flip, o, 1, NR);
      }
      column_rest(j, nj, steps, panel_b, &r);
      for (int64_t i0 = 0; i0 < m; i0 += MC) {
        int64_t ni = m - i0 < MC ? m - i0 : MC;
        const uint8_t *x = (const uint8_t *)a->data + i0 * a->rs + p0 * a->cs;
        pack_lines(j->quad, ni, np, x, a->rs, a->cs, j->a_signed, j->a_signed ? 0x80 : 0, panel_a, steps, 1);
        row_rest(j, ni, np, x, &r);
        panels(j, ni, nj, steps, panel_a, panel_b, &r, c + i0 * ldc + j0, ldc, p0 > 0);
      }
    }
  }
  mx_scratch_free(panel_b);
  return 0;
}

#define BYTES(name, sa, sb)                                                                                                  \
  int CAT(name, MX_ISA)(int64_t, int64_t, int64_t, double, const mx_matrix *, const mx_matrix *, double, void *, int64_t);   \
  int CAT(name, MX_ISA)(int64_t m, int64_t n, int64_t k, double alpha, const mx_matrix *a, const mx_matrix *b, double beta,  \
                        void *c, int64_t ldc) {                                                                              \
    dot_job j = {a, b, sa, sb, has_quads()};                                                                                 \
    (void)alpha, (void)beta; /* 1 and 0 */                                                                                   \
    return product(&j, m, n, k, c, ldc);                                                                                     \
  }
BYTES(mx_gemm_u8u8, false, false)
BYTES(mx_gemm_u8i8, false, true)
BYTES(mx_gemm_i8u8, true, false)
BYTES(mx_gemm_i8i8, true, true)
