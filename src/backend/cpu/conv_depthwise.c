/* Depthwise convolutions (a group a channel): the blocks of conv_product.c without products of matrices. A place's result is a sum of vectors of
 * channels over the taps; the weight's gradient is one of such vectors over the places. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/conv.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  ROOM = 3 << 14,            /* elements of x in a block */
  ITEMS = 16                 /* that the pool should have */
};

typedef struct depth_job {
  mx_conv g;                 /* of one group */
  mx_conv_reader x, y;
  const mx_view *out;
  mx_conv_phase p;
  mx_conv_layout l;
  int64_t *at, taps;         /* where the taps of the phase lie from a place on */
  int64_t all, parts;        /* taps of the kernel; partial sums */
  float *w;                  /* (taps, channels) */
  float *sums;               /* (parts, all taps, channels) */
  _Atomic int rc;
} depth_job;

bool mx_conv_is_depthwise(const mx_conv *g) { return g->groups > 1 && g->groups == g->c && g->groups == g->o; }

/* Which tap of the kernel the ith of the phase is. */
static int64_t tap_of(const depth_job *j, int64_t i) {
  const mx_conv_axis *a = j->p.at;
  int64_t k2 = a[2].first_tap + i % a[2].taps * a[2].tap_step, k1 = a[1].first_tap + i / a[2].taps % a[1].taps * a[1].tap_step;
  int64_t k0 = a[0].first_tap + i / a[2].taps / a[1].taps * a[0].tap_step;
  return (k0 * j->g.kernel[1] + k1) * j->g.kernel[2] + k2;
}

static void phase_init(depth_job *j, int64_t i) {
  int64_t places = j->g.batch * j->g.out[0] * j->g.out[1] * j->g.out[2] / ITEMS + 1, least = (1 << 17) / (j->all * j->g.c) + 1;
  mx_conv_phase_init(&j->g, i, ROOM, places > least ? places : least, &j->p);
  mx_conv_lay_out(&j->p, j->g.c, sizeof(float), &j->l);
  const mx_conv_axis *a = j->p.at;
  j->taps = a[0].taps * a[1].taps * a[2].taps;
  for (int64_t t = 0; t < j->taps; t++)
    j->at[t] = t % a[2].taps * a[2].step * j->l.step[2] + t / a[2].taps % a[1].taps * a[1].step * j->l.step[1] +
               t / a[2].taps / a[1].taps * a[0].step * j->l.step[0];
}

/* Row r of a block: where it starts in the block's copy of x, and its places on the axes further out. */
static int64_t row_at(const depth_job *j, const mx_conv_block *b, int64_t r, int64_t *image, int64_t *i0, int64_t *i1) {
  *i1 = r % b->n[1];
  *i0 = r / b->n[1] % b->n[0];
  *image = r / b->n[1] / b->n[0];
  return *image * j->l.image + *i0 * j->p.at[0].stride * j->l.step[0] + *i1 * j->p.at[1].stride * j->l.step[1];
}

static void forward_range(void *ctx, int64_t begin, int64_t end) {
  depth_job *j = ctx;
  const mx_conv_axis *a = j->p.at;
  const int64_t c = j->g.c, ldo = a[2].out_step * c;
  const bool round = j->out->dtype != MX_F32;
  float *x = mx_scratch((size_t)(j->l.size + (round ? a[2].block * c : 0)) * sizeof *x + 64), *own = x + j->l.size;
  if (!x) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t start[MX_CONV_DIMS], n[MX_CONV_DIMS], image, i0, i1;
    mx_conv_block b;
    mx_conv_block_at(&j->p, i, &b);
    mx_conv_reads(&j->p, &b, start, n);
    if (j->taps) mx_conv_read(&j->x, b.image, b.images, start, n, 0, j->l.image, j->l.step, x);
    for (int64_t r = 0; r < b.images * b.n[0] * b.n[1]; r++) {
      int64_t from = row_at(j, &b, r, &image, &i0, &i1);
      char *o = mx_at(j->out, mx_conv_place(&j->g, &j->p, b.image + image, b.first[0] + i0, b.first[1] + i1, b.first[2]));
      mx_vec_now()->taps(b.n[2], c, (int)j->taps, x + from, a[2].stride * j->l.step[2], j->at, j->w, round ? own : (float *)(void *)o,
                         round ? c : ldo);
      for (int64_t k = 0; round && k < b.n[2]; k++, o += ldo * 2) mx_store_f32(j->out->dtype, own + k * c, c, o);
    }
  }
  mx_scratch_free(x);
}

/* A part sums its blocks. */
static void weight_range(void *ctx, int64_t begin, int64_t end) {
  depth_job *j = ctx;
  const mx_conv_axis *a = j->p.at;
  const int64_t c = j->g.c, places = j->p.images * a[0].block * a[1].block * a[2].block;
  float *x = mx_scratch((size_t)(j->l.size + (places + j->taps) * c) * sizeof *x + 64), *y = x + j->l.size, *sums = y + places * c;
  if (!x) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t part = begin; part < end; part++) {
    memset(sums, 0, (size_t)(j->taps * c) * sizeof *sums);
    for (int64_t i = part * j->p.total / j->parts; i < (part + 1) * j->p.total / j->parts; i++) {
      int64_t start[MX_CONV_DIMS], n[MX_CONV_DIMS], image, i0, i1;
      mx_conv_block b;
      mx_conv_block_at(&j->p, i, &b);
      mx_conv_reads(&j->p, &b, start, n);
      mx_conv_read(&j->x, b.image, b.images, start, n, 0, j->l.image, j->l.step, x);
      mx_conv_read_places(&j->p, &b, &j->y, 0, c, c, y);
      for (int64_t r = 0; r < b.images * b.n[0] * b.n[1]; r++)
        mx_vec_now()->products(b.n[2], c, (int)j->taps, x + row_at(j, &b, r, &image, &i0, &i1), a[2].stride * j->l.step[2], j->at,
                               y + r * b.n[2] * c, sums);
    }
    for (int64_t t = 0; t < j->taps; t++) { /* a tap may be in several phases */
      float *to = j->sums + (part * j->all + tap_of(j, t)) * c;
      for (int64_t k = 0; k < c; k++) to[k] += sums[t * c + k];
    }
  }
  mx_scratch_free(x);
}

static void job_init(depth_job *j, const mx_conv *g, const mx_view *x) {
  *j = (depth_job){.g = *g, .x = {.v = x, .t = MX_F32, .channels = g->c}};
  j->g.groups = 1;
  mx_conv_view(x, &j->x.s);
  memcpy(j->x.in, g->in, sizeof j->x.in);
  j->all = g->kernel[0] * g->kernel[1] * g->kernel[2];
}

int mx_conv_depthwise(const mx_conv *g, const mx_view *x, const float *w, const mx_view *y) {
  depth_job j;
  job_init(&j, g, x);
  j.out = y;
  if (!(j.at = mx_scratch((size_t)j.all * (sizeof *j.at + (size_t)g->c * sizeof *w)))) return MX_EMEMORY;
  j.w = (float *)(j.at + j.all);
  for (int64_t i = 0; i < mx_conv_phases(&j.g) && !j.rc; i++) {
    phase_init(&j, i);
    for (int64_t t = 0; t < j.taps; t++)
      for (int64_t c = 0, k = tap_of(&j, t); c < g->c; c++) j.w[t * g->c + c] = w[c * j.all + k];
    mx_parallel(j.p.total, 1, forward_range, &j);
  }
  mx_scratch_free(j.at);
  return j.rc;
}

int mx_conv_depthwise_weight(const mx_conv *g, const mx_view *x, const mx_view *y, float *dw) {
  depth_job j;
  job_init(&j, g, x);
  j.y = (mx_conv_reader){.v = y, .t = MX_F32};
  mx_conv_view(y, &j.y.s);
  const int64_t places = g->batch * g->out[0] * g->out[1] * g->out[2], size = j.all * g->c;
  j.parts = places / 256 < ITEMS ? places / 256 + 1 : ITEMS;
  if (!(j.at = mx_scratch((size_t)j.all * sizeof *j.at + (size_t)(j.parts * size) * sizeof *j.sums))) return MX_EMEMORY;
  j.sums = (float *)(j.at + j.all);
  memset(j.sums, 0, (size_t)(j.parts * size) * sizeof *j.sums);
  for (int64_t i = 0; i < mx_conv_phases(&j.g) && !j.rc; i++) {
    phase_init(&j, i);
    if (j.taps) mx_parallel(j.parts, 1, weight_range, &j);
  }
  for (int64_t c = 0; c < g->c; c++)
    for (int64_t t = 0; t < j.all; t++) {
      float s = 0;
      for (int64_t p = 0; p < j.parts; p++) s += j.sums[p * size + t * g->c + c];
      dw[c * j.all + t] = s;
    }
  mx_scratch_free(j.at);
  return j.rc;
}
