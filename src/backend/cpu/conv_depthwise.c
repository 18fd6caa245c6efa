/* Depthwise convolutions (a group a channel) without columns: a pixel's result is a sum of vectors of channels over the taps that lie inside,
 * as is the cotangent of an input pixel over the output pixels that saw it. f32; the last axis of x contiguous, all else row-contiguous. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/conv.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { PIXELS = 64 };      /* of a range */

typedef struct depth_job {
  const mx_conv *g;
  const float *x, *w;      /* w: (taps, channels) */
  const mx_conv_strides *sx;
  float *y;                /* forward: the result; else its cotangent */
  float *out;              /* dx, or partial sums of dw (parts, taps, channels) */
  int64_t taps, pixels, per;
  _Atomic bool no_memory;
} depth_job;

bool mx_conv_is_depthwise(const mx_conv *g) { return g->groups > 1 && g->groups == g->c && g->groups == g->o; }

static void seek(const int64_t *size, int64_t i, int64_t *n, int64_t at[MX_CONV_DIMS]) {
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) {
    at[d] = i % size[d];
    i /= size[d];
  }
  *n = i;
}

static inline void next(const int64_t *size, int64_t *n, int64_t at[MX_CONV_DIMS]) {
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) {
    if (++at[d] < size[d]) return;
    at[d] = 0;
  }
  ++*n;
}

/* The places of dimension d that tap k joins with `at`: from an output place to the input, or back; -1: none. */
static inline int64_t joined(const mx_conv *g, int d, int64_t at, int64_t k, bool back) {
  if (!back) return mx_conv_source(g, d, at, k);
  if (g->flip) k = g->kernel[d] - 1 - k;
  if (g->stride[d] == 1 && g->input_dilation[d] == 1) { /* no division */
    int64_t i = at + g->low[d] - k * g->kernel_dilation[d];
    return i < 0 || i >= g->out[d] ? -1 : i;
  }
  int64_t o = at * g->input_dilation[d] + g->low[d] - k * g->kernel_dilation[d];
  return o < 0 || o % g->stride[d] || o / g->stride[d] >= g->out[d] ? -1 : o / g->stride[d];
}

/* Which rows of x (back: of y) meet which taps at a pixel; how many. */
static int meet(const depth_job *j, int64_t n, const int64_t *at, bool back, const float **rows, const float **weights) {
  const mx_conv *g = j->g;
  int count = 0;
  int64_t tap = 0;
  for (int64_t k0 = 0; k0 < g->kernel[0]; k0++) {
    int64_t i0 = joined(g, 0, at[0], k0, back);
    for (int64_t k1 = 0; k1 < g->kernel[1]; k1++) {
      int64_t i1 = i0 < 0 ? -1 : joined(g, 1, at[1], k1, back);
      for (int64_t k2 = 0; k2 < g->kernel[2]; k2++, tap++) {
        int64_t i2 = i1 < 0 ? -1 : joined(g, 2, at[2], k2, back);
        if (i2 < 0) continue;
        rows[count] = back ? j->y + (((n * g->out[0] + i0) * g->out[1] + i1) * g->out[2] + i2) * g->o
                           : j->x + n * j->sx->s[0] + i0 * j->sx->s[1] + i1 * j->sx->s[2] + i2 * j->sx->s[3];
        weights[count++] = j->w ? j->w + tap * g->c : j->out + tap * g->c;
      }
    }
  }
  return count;
}

static void sum_range(depth_job *j, int64_t begin, int64_t end, bool back) {
  const int64_t *size = back ? j->g->in : j->g->out;
  float *out = back ? j->out : j->y;
  const float **rows = mx_scratch((size_t)(2 * j->taps) * sizeof *rows), **weights = rows + j->taps;
  void (*sum)(int64_t, int, const float *const *, const float *const *, float *) = mx_vec_now()->taps;
  if (!rows) {
    j->no_memory = true;
    return;
  }
  int64_t n, at[MX_CONV_DIMS];
  seek(size, begin, &n, at);
  for (int64_t i = begin; i < end; i++, next(size, &n, at)) {
    int count = meet(j, n, at, back, rows, weights);
    sum(j->g->c, count, rows, weights, out + i * j->g->c);
  }
  mx_scratch_free(rows);
}
static void forward_range(void *ctx, int64_t begin, int64_t end) { sum_range(ctx, begin, end, false); }
static void input_range(void *ctx, int64_t begin, int64_t end) { sum_range(ctx, begin, end, true); }

/* A part sums its pixels. */
static void weight_range(void *ctx, int64_t begin, int64_t end) {
  depth_job *j = ctx;
  const mx_conv *g = j->g;
  const float **rows = mx_scratch((size_t)(2 * j->taps) * sizeof *rows), **weights = rows + j->taps;
  void (*add)(int64_t, float *, const float *, const float *) = mx_vec_now()->products;
  if (!rows) {
    j->no_memory = true;
    return;
  }
  for (int64_t part = begin; part < end; part++) {
    int64_t last = (part + 1) * j->per < j->pixels ? (part + 1) * j->per : j->pixels;
    depth_job own = {.g = g, .x = j->x, .sx = j->sx, .y = j->y, .out = j->out + part * j->taps * g->c};
    memset(own.out, 0, (size_t)(j->taps * g->c) * sizeof *own.out);
    int64_t n, at[MX_CONV_DIMS];
    seek(g->out, part * j->per, &n, at);
    for (int64_t i = part * j->per; i < last; i++, next(g->out, &n, at)) {
      int count = meet(&own, n, at, false, rows, weights);
      for (int t = 0; t < count; t++) add(g->c, (float *)weights[t], rows[t], j->y + i * g->c);
    }
  }
  mx_scratch_free(rows);
}

static void job_init(depth_job *j, const mx_conv *g, const float *x, const mx_conv_strides *sx, float *y) {
  *j = (depth_job){.g = g, .x = x, .sx = sx, .y = y, .taps = g->kernel[0] * g->kernel[1] * g->kernel[2],
                   .pixels = g->batch * g->out[0] * g->out[1] * g->out[2]};
}

/* w (channels, taps) as (taps, channels); NULL: no memory. */
static float *by_tap(const depth_job *j, const float *w) {
  float *o = mx_scratch((size_t)(j->taps * j->g->c + 1) * sizeof *o);
  for (int64_t c = 0; o && c < j->g->c; c++)
    for (int64_t t = 0; t < j->taps; t++) o[t * j->g->c + c] = w[c * j->taps + t];
  return o;
}

int mx_conv_depthwise(const mx_conv *g, const float *x, const mx_conv_strides *sx, const float *w, float *y) {
  depth_job j;
  job_init(&j, g, x, sx, y);
  float *turned = by_tap(&j, w);
  if (!(j.w = turned)) return MX_EMEMORY;
  mx_parallel(j.pixels, PIXELS, forward_range, &j);
  mx_scratch_free(turned);
  return j.no_memory ? MX_EMEMORY : 0;
}

int mx_conv_depthwise_input(const mx_conv *g, const float *y, const float *w, float *dx) {
  depth_job j;
  job_init(&j, g, NULL, NULL, (float *)y);
  float *turned = by_tap(&j, w);
  if (!(j.w = turned)) return MX_EMEMORY;
  j.out = dx;
  mx_parallel(g->batch * g->in[0] * g->in[1] * g->in[2], PIXELS, input_range, &j);
  mx_scratch_free(turned);
  return j.no_memory ? MX_EMEMORY : 0;
}

int mx_conv_depthwise_weight(const mx_conv *g, const float *x, const mx_conv_strides *sx, const float *y, float *dw) {
  depth_job j;
  job_init(&j, g, x, sx, (float *)y);
  int64_t parts = j.pixels / 256 < 16 ? j.pixels / 256 + 1 : 16, size = j.taps * g->c;
  j.per = (j.pixels + parts - 1) / parts;
  if (!(j.out = mx_scratch((size_t)(parts * size + 1) * sizeof *j.out))) return MX_EMEMORY;
  mx_parallel(parts, 1, weight_range, &j);
  for (int64_t c = 0; c < g->c; c++)
    for (int64_t t = 0; t < j.taps; t++) {
      float s = 0;
      for (int64_t p = 0; p < parts; p++) s += j.out[p * size + t * g->c + c];
      dw[c * j.taps + t] = s;
    }
  mx_scratch_free(j.out);
  return j.no_memory ? MX_EMEMORY : 0;
}
