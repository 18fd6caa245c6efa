/* Products of a few rows of x with quantized rows: each weight is read once and multiplied as it is unpacked. */
#include <string.h>

#include "backend/cpu/isa.h"
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/quant.h"
#include "backend/cpu/rows.h"
#include "core/half.h"

#define BY_ROWS(f, ...)                  \
  switch (x->m) {                        \
    case 1: f(x, 1, __VA_ARGS__); break; \
    case 2: f(x, 2, __VA_ARGS__); break; \
    case 3: f(x, 3, __VA_ARGS__); break; \
    default: f(x, 4, __VA_ARGS__);       \
  }

#if defined(__AVX512F__)
#include "backend/cpu/isa/quant_codes_avx512.inc.h"
#include "backend/cpu/isa/quant_dot_avx512.inc.h"
#include "backend/cpu/isa/quant_sum_avx512.inc.h"
#else

/* ---- any mode: the row is unpacked, then multiplied group by group in lanes ---- */

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
    const float *xm = (const float *)x->x + m * x->ld, *v = row;
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

/* The scales (biases) of the groups of row r as floats: converted into o, or themselves. */
static const float *row_scales(const mx_quant_x *x, mx_dtype t, const void *from, int64_t at, float *o) {
  if (t == MX_F32) return (const float *)from + at;
  if (t != MX_U8) {
    mx_load_f32(t, (const char *)from + at * 2, 1, x->groups, o);
    return o;
  }
  const uint8_t *b = (const uint8_t *)from + at;
  for (int64_t i = 0; i < x->groups; i++) o[i] = x->mode == MX_NVFP4 ? mx_fp8_to_f32(b[i]) : mx_e8m0_to_f32(b[i]);
  return o;
}

typedef void (*dot_row)(const mx_quant_x *x, const void *how, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y);

/* Row by row, with scales as floats. how: for f alone. */
static void each_row(const mx_quant_x *x, const mx_quant_w *w, dot_row f, const void *how, float *y) {
  float *row = w->scratch, *s = row + x->k, *b = s + x->groups;
  for (int64_t r = 0; r < w->n; r++)
    f(x, how, w->codes + r * w->bytes, row_scales(x, w->scale_type, w->scales, r * w->step, s),
      w->biases ? row_scales(x, w->bias_type, w->biases, r * w->step, b) : NULL, row, y + r);
}

static void dot_any(const mx_quant_x *x, const void *how, const uint8_t *codes, const float *scales, const float *biases, float *row, float *y) {
  (void)how;
  for (int64_t i = 0; i < x->k * x->bits / 8; i += 64) __builtin_prefetch(codes + 12288 + i);
  CAT(mx_vec_quant, MX_ISA).unpack[x->mode](x->bits, x->k, codes, row);
  switch (x->group) {
    case 16: dot_unpacked(x, 16, scales, biases, row, y); break;
    case 32: dot_unpacked(x, 32, scales, biases, row, y); break;
    case 64: dot_unpacked(x, 64, scales, biases, row, y); break;
    default: dot_unpacked(x, 128, scales, biases, row, y);
  }
}

#if defined(__AVX2__) && defined(__FMA__)
#include "backend/cpu/isa/quant_dot_avx2.inc.h"
#else
void CAT(mx_quant_lay, MX_ISA)(mx_quant_x *x) { x->ld = x->k, x->item = 4; }
void CAT(mx_quant_order, MX_ISA)(const mx_quant_x *x, const float *row, void *o) { memcpy(o, row, (size_t)x->k * sizeof *row); }
void CAT(mx_quant_dot, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y) { each_row(x, w, dot_any, NULL, y); }
#endif
#endif
