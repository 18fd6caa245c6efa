/* Gradients of rms_norm and layer_norm over the last axis, computed in f32 (f64 in f64). The rows are gone through in parts, which follow the
 * shape; what a part gives to the gradients of weight and bias is added up row by row while it is in the cache, then part by part. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

enum { G, X, WEIGHT };
enum { MOST_PARTS = 256, PART = 1 << 14, LEAST_ROWS = 4, COLUMNS = 256 };

typedef struct job {
  mx_walk walk;                    /* starts of the rows of cotangent, x and the result */
  const mx_call *c;
  int64_t n, stride[2];            /* of a row */
  int64_t each, parts;             /* rows of a part */
  bool centre;
  double eps;
  size_t item;                     /* bytes of a number in the compute type, which the arrays below are of */
  char *weight, *sums;             /* (n,); (parts, 2, n) */
  _Atomic bool no_memory;
} job;

/* In f64; that in f32 is in vec.h. */
static void norm_vjp_f64(int64_t n, const double *x, const double *g, bool centre, double eps, const double *w, double *o, double *dw, double *db) {
  double mean = 0, square = 0, of_g = 0, along = 0;
  for (int64_t i = 0; i < n && centre; i++) mean += x[i] / (double)n;
  for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  double scale = 1 / sqrt(square / (double)n + eps);
  for (int64_t i = 0; i < n; i++) {
    if (centre) of_g += g[i] * w[i] / (double)n;
    along += g[i] * w[i] * (x[i] - mean) * scale / (double)n;
  }
  for (int64_t i = 0; i < n; i++) {
    double y = (x[i] - mean) * scale, d = g[i];
    db[i] += d;
    dw[i] += d * y;
    o[i] = scale * (d * w[i] - of_g - y * along);
  }
}

static void run_row(const job *j, const mx_cursor *at, char *sums, char *scratch) {
  const mx_view *g = &j->c->in[G], *x = &j->c->in[X], *o = &j->c->out[0];
  const void *from_g = mx_at(g, at->off[0]), *from_x = mx_at(x, at->off[1]);
  void *to = mx_at(o, at->off[2]);
  int64_t n = j->n;
  if (o->dtype == MX_F64) {
    double *row = (double *)scratch;
    mx_load_f64(MX_F64, from_g, j->stride[0], n, row);
    mx_load_f64(MX_F64, from_x, j->stride[1], n, row + n);
    norm_vjp_f64(n, row + n, row, j->centre, j->eps, (double *)j->weight, to, (double *)sums, (double *)sums + n);
    return;
  }
  float *row = (float *)scratch, *res = o->dtype == MX_F32 ? to : row + 2 * n;
  const float *gs = mx_row_f32((mx_dtype)g->dtype, from_g, j->stride[0], n, row);
  const float *xs = mx_row_f32((mx_dtype)x->dtype, from_x, j->stride[1], n, row + n);
  mx_vec_now()->norm_vjp(n, xs, gs, j->centre, (float)j->eps, (float *)j->weight, res, (float *)sums, (float *)sums + n);
  if (res != to) mx_store_f32((mx_dtype)o->dtype, res, n, to);
}

static void rows_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  size_t row = (size_t)j->n * j->item;
  char *scratch = mx_scratch(3 * row);
  if (!scratch) {
    j->no_memory = true;
    return;
  }
  for (int64_t p = begin; p < end; p++) {
    int64_t i = p * j->each, last = i + j->each < j->walk.n ? i + j->each : j->walk.n;
    char *sums = j->sums + (size_t)p * 2 * row;
    mx_cursor at;
    memset(sums, 0, 2 * row);
    mx_walk_seek(&j->walk, &at, i);
    for (; i < last; i++, mx_walk_next(&j->walk, &at)) run_row(j, &at, sums, scratch);
  }
  mx_scratch_free(scratch);
}

/* The parts joined. An item: a block of columns of the weight's gradient, or of the bias's. */
static void join_range(void *ctx, int64_t begin, int64_t end) {
  const job *j = ctx;
  int64_t across = (j->n + COLUMNS - 1) / COLUMNS;
  for (int64_t item = begin; item < end; item++) {
    int64_t result = 1 + item / across, column = item % across * COLUMNS, n = j->n - column < COLUMNS ? j->n - column : COLUMNS;
    int64_t at = column + (j->c->p[1] && result == 1 ? 0 : j->n);
    const mx_view *o = &j->c->out[result];
    double sum[COLUMNS] = {0};
    for (int64_t p = 0; p < j->parts; p++, at += 2 * j->n)
      if (o->dtype == MX_F64)
        for (int64_t k = 0; k < n; k++) sum[k] += ((double *)j->sums)[at + k];
      else
        for (int64_t k = 0; k < n; k++) sum[k] += (double)((float *)j->sums)[at + k];
    mx_store_f64((mx_dtype)o->dtype, sum, n, mx_at(o, column));
  }
}

/* In the compute type; ones where there is none. */
static void load_weight(const job *j) {
  const mx_view *w = &j->c->in[WEIGHT];
  if (j->c->p[1]) {
    if (j->item == sizeof(double)) mx_load_f64((mx_dtype)w->dtype, w->data, w->strides[0], j->n, (double *)j->weight);
    else mx_load_f32((mx_dtype)w->dtype, w->data, w->strides[0], j->n, (float *)j->weight);
    return;
  }
  for (int64_t i = 0; i < j->n; i++)
    if (j->item == sizeof(double)) ((double *)j->weight)[i] = 1;
    else ((float *)j->weight)[i] = 1;
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int norm_vjp(const mx_call *c, bool centre) {
  const mx_view *g = &c->in[G], *x = &c->in[X], *o = &c->out[0];
  int last = x->ndim - 1;
  job j = {.c = c, .centre = centre, .eps = mx_unbits(c->p[0]), .n = x->shape[last], .item = o->dtype == MX_F64 ? 8 : 4};
  for (int i = 1; i < c->nout && !o->size; i++) memset(c->out[i].data, 0, (size_t)c->out[i].size * mx_dtype_sizes[c->out[i].dtype]);
  if (!o->size) return 0;
  mx_walk_init(&j.walk, x->ndim, x->shape, last, g->strides, x->strides, o->strides);
  j.stride[0] = g->strides[last], j.stride[1] = x->strides[last];
  j.each = most(most(LEAST_ROWS, PART / j.n), (j.walk.n + MOST_PARTS - 1) / MOST_PARTS);
  j.parts = (j.walk.n + j.each - 1) / j.each;
  char *room = mx_scratch((size_t)((2 * j.parts + 1) * j.n) * j.item);
  if (!room) return mx_fail_memory();
  j.sums = room;
  j.weight = room + (size_t)(2 * j.parts * j.n) * j.item;
  load_weight(&j);
  mx_parallel(j.parts, 1, rows_range, &j);
  if (!j.no_memory) mx_parallel((c->nout - 1) * ((j.n + COLUMNS - 1) / COLUMNS), 4, join_range, &j);
  mx_scratch_free(room);
  return j.no_memory ? mx_fail_memory() : 0;
}

int mx_cpu_rms_norm_vjp(const mx_call *c) { return norm_vjp(c, false); }
int mx_cpu_layer_norm_vjp(const mx_call *c) { return norm_vjp(c, true); }
