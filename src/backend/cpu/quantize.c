/* quantize and dequantize; floats of 8 bits. All arithmetic that decides a code is done as written, in f32. */
#include <math.h>
#include <stdatomic.h>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/quant.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/half.h"
#include "core/parallel.h"

typedef struct quantize_job {
  mx_quant q;
  mx_walk walk;            /* where rows of w start */
  const mx_view *w, *out;
  int64_t n, stride;       /* a row */
  float global;            /* 448 * 6 / global scale, or 0 without */
  _Atomic bool no_memory;
} quantize_job;

/* codes of `bits` bits, n a multiple of 8, one after the other */
static void pack(int bits, int64_t n, const uint8_t *codes, uint8_t *o) {
  for (int64_t i = 0; i < n; i += 8) {
    uint64_t v = 0;
    for (int k = 0; k < 8; k++) v |= (uint64_t)codes[i + k] << (k * bits);
    for (int k = 0; k < bits; k++) *o++ = (uint8_t)(v >> (8 * k));
  }
}

/* The smallest and largest of n, a multiple of 16; NaN is passed over. Of zeros of both signs lo has the first one. */
static void extremes(int64_t n, const float *x, float *lo, float *hi) {
  float l[16], h[16];
  for (int k = 0; k < 16; k++) {
    l[k] = INFINITY;
    h[k] = -INFINITY;
  }
  for (int64_t i = 0; i < n; i += 16)
    for (int k = 0; k < 16; k++) {
      l[k] = x[i + k] < l[k] ? x[i + k] : l[k];
      h[k] = x[i + k] > h[k] ? x[i + k] : h[k];
    }
  *lo = l[0];
  *hi = h[0];
  for (int k = 1; k < 16; k++) {
    *lo = l[k] < *lo ? l[k] : *lo;
    *hi = h[k] > *hi ? h[k] : *hi;
  }
  for (int64_t i = 0; *lo == 0 && i < n; i++)
    if (x[i] == 0) {
      *lo = x[i];
      break;
    }
}

/* The scale is such that the extreme of larger magnitude is a multiple of it, and so is 0. */
static void affine_group(const mx_quant *q, const float *x, float *scale, float *bias, uint8_t *codes) {
  float lo, hi, levels = (float)((1 << q->bits) - 1), s, b;
  extremes(q->group, x, &lo, &hi);
  if (q->bits == 1) {
    s = hi - lo;
    s = s < 1e-7f ? 1e-7f : s;
    b = lo;
  } else {
    bool low = fabsf(lo) > fabsf(hi);
    float edge = low ? lo : hi, steps;
    s = (hi - lo) / levels;
    s = s < 1e-7f ? 1e-7f : s;
    s = low ? s : -s;
    steps = rintf(edge / s);
    b = 0;
    if (steps != 0) { /* also where it is NaN */
      s = edge / steps;
      b = edge;
    }
  }
  for (int i = 0; i < q->group; i++) {
    float c = rintf((x[i] - b) / s);
    c = c > 0 ? c : 0; /* NaN becomes 0 */
    codes[i] = (uint8_t)(c < levels ? c : levels);
  }
  *scale = s;
  *bias = b;
}

static float round_to(mx_dtype t, float x) {
  return t == MX_F16 ? mx_f16_to_f32(mx_f32_to_f16(x)) : t == MX_BF16 ? mx_bf16_to_f32(mx_f32_to_bf16(x)) : x;
}

static const float fp4[16] = {MX_FP4_VALUES};

/* The nearest e2m1, of two the smaller one. Far out the rounded differences are all equal: then 0 is the first. */
static uint8_t to_fp4(float x) {
  static const float middles[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5};
  float a = fabsf(x);
  if (a <= 64) {
    uint8_t code = 0;
    for (int i = 0; i < 7; i++) code += a > middles[i];
    return code && x < 0 ? code | 8 : code;
  }
  uint8_t best = 0;
  float least = a;
  for (uint8_t i = 1; i < 16; i++) {
    float d = fabsf(x - fp4[i]);
    if (d < least) {
      least = d;
      best = i;
    }
  }
  return best;
}

/* The largest magnitude; NaN if there is one. */
static float magnitude(int64_t n, const float *x) {
  float m = 0;
  for (int64_t i = 0; i < n; i++) {
    float a = fabsf(x[i]);
    m = a > m || isnan(a) ? a : m;
    if (isnan(m)) break;
  }
  return m;
}

/* mxfp4, mxfp8: the smallest power of two that brings the largest magnitude within range. Steps round to the dtype of w. */
static uint8_t power_group(const mx_quant *q, mx_dtype t, const float *x, uint8_t *codes) {
  float d = round_to(t, magnitude(q->group, x) / (q->bits == 4 ? 6.f : 448.f));
  if (!isfinite(d)) { /* no scale: nothing is kept */
    for (int i = 0; i < q->group; i++) codes[i] = q->bits == 4 ? 0 : signbit(x[i]) ? 0xfe : 0x7e;
    return t == MX_F32 ? 128 : 0;
  }
  int e = 0;
  if (d != 0) {
    float m = frexpf(d, &e); /* d = m 2^e with m in [0.5, 1) */
    e -= m == 0.5f;
  }
  float scale = round_to(t, ldexpf(1, e));
  for (int i = 0; i < q->group; i++) {
    float v = round_to(t, x[i] / scale);
    codes[i] = q->bits == 4 ? to_fp4(v) : mx_f32_to_fp8(v);
  }
  return (uint8_t)(e + 127);
}

/* nvfp4: the scale is an e4m3 float. */
static uint8_t nv_group(const mx_quant *q, mx_dtype t, float global, const float *x, uint8_t *codes) {
  float s = round_to(t, magnitude(q->group, x) / 6.f);
  uint8_t b = mx_f32_to_fp8(global != 0 ? s * global : s);
  float scale = mx_fp8_to_f32(b);
  for (int i = 0; i < q->group; i++) {
    float v = round_to(t, x[i] / scale);
    codes[i] = global != 0 ? to_fp4(v * global) : to_fp4(v);
  }
  return b;
}

static void quantize_range(void *ctx, int64_t begin, int64_t end) {
  quantize_job *j = ctx;
  const mx_quant *q = &j->q;
  mx_dtype t = (mx_dtype)j->w->dtype;
  int64_t groups = j->n / q->group, words = mx_quant_words(q, j->n);
  float *row = mx_scratch((size_t)j->n * 5 + (size_t)groups * 8 + 64), *scales = row + j->n, *biases = scales + groups;
  uint8_t *codes = (uint8_t *)(biases + groups);
  if (!row) {
    j->no_memory = true;
    return;
  }
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t r = begin; r < end; r++, mx_walk_next(&j->walk, &at)) {
    uint8_t *bytes = (uint8_t *)j->out[1].data + r * groups;
    mx_load_f32(t, mx_at(j->w, at.off[0]), j->stride, j->n, row);
    for (int64_t g = 0; g < groups; g++) {
      const float *x = row + g * q->group;
      uint8_t *c = codes + g * q->group;
      if (q->mode == MX_AFFINE) affine_group(q, x, &scales[g], &biases[g], c);
      else bytes[g] = q->mode == MX_NVFP4 ? nv_group(q, t, j->global, x, c) : power_group(q, t, x, c);
    }
    pack(q->bits, j->n, codes, (uint8_t *)j->out[0].data + r * words * 4);
    if (q->mode != MX_AFFINE) continue;
    mx_store_f32(t, scales, groups, mx_at(&j->out[1], r * groups));
    mx_store_f32(t, biases, groups, mx_at(&j->out[2], r * groups));
  }
  mx_scratch_free(row);
}

int mx_cpu_quantize(const mx_call *c) {
  const mx_view *w = &c->in[0];
  int last = w->ndim - 1;
  quantize_job j = {.q = {(mx_quant_mode)c->p[0], (int)c->p[1], (int)c->p[2]}, .w = w, .out = c->out, .n = w->shape[last],
                    .stride = w->strides[last]};
  if (!w->size) return 0;
  if (c->nin > 1) j.global = 448.f * 6.f / *(const float *)c->in[1].data;
  mx_walk_init(&j.walk, w->ndim, w->shape, last, w->strides, NULL, NULL);
  mx_parallel(j.walk.n, (1 << 14) / j.n + 1, quantize_range, &j);
  return j.no_memory ? mx_fail_memory() : 0;
}

/* ---- dequantize ---- */

typedef struct dequantize_job {
  mx_qmat m;
  mx_walk walk;            /* matrices: operands words, scales, biases */
  const mx_view *out;
  const float *global;     /* or NULL */
  _Atomic bool no_memory;
} dequantize_job;

/* Row r in dtype t, whose arithmetic rounds after each operation. */
static void dequantize_row(const dequantize_job *j, const mx_qmat_at *at, int64_t r, float *row, float *scales, float *biases) {
  const mx_qmat *m = &j->m;
  mx_dtype t = (mx_dtype)j->out->dtype;
  int64_t n = m->wide;
  int g = m->q.group;
  bool half = t == MX_F16 || t == MX_BF16;
  mx_qmat_scales(m, at, r, 0, m->groups, scales, biases);
  mx_unpack_f32(&m->q, n, (const uint8_t *)m->words->data + (at->words + r * mx_quant_words(&m->q, n)) * 4, row);
  if (j->global) {
    float f = *j->global / (448.f * 6.f);
    for (int64_t i = 0; i < m->groups; i++) scales[i] *= f;
  }
  if (half && m->q.mode != MX_AFFINE) mx_isa_now->halves[t == MX_BF16].round((size_t)m->groups, scales, scales, NULL, NULL);
  for (int64_t i = 0; i < n; i++) row[i] *= scales[i / g];
  if (m->q.mode != MX_AFFINE) return;
  if (half) mx_isa_now->halves[t == MX_BF16].round((size_t)n, row, row, NULL, NULL);
  for (int64_t i = 0; i < n; i++) row[i] += biases[i / g];
}

static void dequantize_range(void *ctx, int64_t begin, int64_t end) {
  dequantize_job *j = ctx;
  const mx_qmat *m = &j->m;
  bool wide = j->out->dtype == MX_F64;
  float *row = mx_scratch((size_t)(m->wide + 2 * m->groups + 1) * 4), *scales = row + m->wide, *biases = scales + m->groups;
  if (!row) {
    j->no_memory = true;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    mx_cursor at;
    mx_walk_seek(&j->walk, &at, i / m->rows);
    mx_qmat_at where = {at.off[0], at.off[1], at.off[2]};
    void *o = mx_at(j->out, i * m->wide);
    if (wide) {
      mx_qmat_row_f64(m, &where, i % m->rows, 0, m->wide, o);
      continue;
    }
    float *to = j->out->dtype == MX_F32 ? o : row;
    dequantize_row(j, &where, i % m->rows, to, scales, biases);
    if (to != o) mx_store_f32((mx_dtype)j->out->dtype, row, m->wide, o);
  }
  mx_scratch_free(row);
}

int mx_cpu_dequantize(const mx_call *c) {
  dequantize_job j = {.out = c->out};
  mx_dense dense[3] = {{.copy = NULL}};
  mx_view in[3];
  int n = c->p[0] == MX_AFFINE ? 3 : 2, rc = 0, nd = c->in[0].ndim;
  if (!c->out->size) return 0;
  for (int i = 0; i < n && !rc; i++) {
    rc = mx_dense_init(&dense[i], &c->in[i]);
    in[i] = dense[i].view;
  }
  if (!rc) {
    mx_qmat_init(&j.m, c->p, in);
    if (c->nin > n) j.global = c->in[n].data;
    mx_walk_init(&j.walk, nd - 2, in[0].shape, -1, in[0].strides, in[1].strides, n > 2 ? in[2].strides : NULL);
    mx_parallel(j.walk.n * j.m.rows, (1 << 15) / j.m.wide + 1, dequantize_range, &j);
    if (j.no_memory) rc = mx_fail_memory();
  }
  for (int i = 0; i < n; i++) mx_dense_free(&dense[i]);
  return rc;
}

/* ---- 8-bit floats ---- */

typedef struct fp8_job {
  mx_rows rows;
  const mx_view *in, *out;
  float value[256];        /* of each byte */
} fp8_job;

static void from_fp8_range(void *ctx, int64_t begin, int64_t end) {
  const fp8_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at)) {
    const uint8_t *x = (const uint8_t *)j->in->data + at.off[0];
    float block[256];
    for (int64_t k = 0; k < j->rows.n[0]; k += 256) {
      int64_t n = j->rows.n[0] - k < 256 ? j->rows.n[0] - k : 256;
      for (int64_t e = 0; e < n; e++) block[e] = j->value[x[(k + e) * j->rows.stride[0]]];
      mx_store_f32((mx_dtype)j->out->dtype, block, n, mx_at(j->out, at.off[1] + k));
    }
  }
}

static void to_fp8_range(void *ctx, int64_t begin, int64_t end) {
  const fp8_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at)) {
    uint8_t *o = (uint8_t *)j->out->data + at.off[1];
    float block[256];
    for (int64_t k = 0; k < j->rows.n[0]; k += 256) {
      int64_t n = j->rows.n[0] - k < 256 ? j->rows.n[0] - k : 256;
      mx_load_f32((mx_dtype)j->in->dtype, mx_at(j->in, at.off[0] + k * j->rows.stride[0]), j->rows.stride[0], n, block);
      for (int64_t e = 0; e < n; e++) o[k + e] = mx_f32_to_fp8(block[e]);
    }
  }
}

static int fp8_run(const mx_call *c, void (*range)(void *, int64_t, int64_t)) {
  fp8_job j = {.in = &c->in[0], .out = c->out};
  if (!c->out->size) return 0;
  mx_rows_init(&j.rows, j.in, j.out, j.in->ndim - 1);
  for (int i = 0; i < 256; i++) j.value[i] = mx_fp8_to_f32((uint8_t)i);
  mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), range, &j);
  return 0;
}

int mx_cpu_to_fp8(const mx_call *c) { return fp8_run(c, to_fp8_range); }
int mx_cpu_from_fp8(const mx_call *c) { return fp8_run(c, from_fp8_range); }
