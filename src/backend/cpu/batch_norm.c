/* The batch norm and its gradient: rows of channels, each channel with a mean and a variance of its own. A thread takes the moments of a part
 * of the rows while they are in its cache, a part relative to its own mean; they are joined as Chan, Golub and LeVeque do ("Updating formulae
 * and a pairwise algorithm for computing sample variances", 1979). Few channels count as more, a few rows side by side being one. */
#include <math.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { PART = 1 << 14 }; /* elements of a part of the rows */

typedef struct job {
  int64_t rows, channels;            /* of the input */
  int64_t n, wide;                   /* rows and columns as they are gone through */
  int64_t each, parts;               /* rows of a part */
  const float *x, *g;
  float *o, *sums[2];                /* sums: (parts, wide) */
  float *per[4];                     /* numbers of each column: the mean, and those of the line (mx_vec.column_line) */
} job;

static int start(job *j, const mx_view *x) {
  j->channels = x->shape[x->ndim - 1];
  j->rows = x->size / j->channels;
  int64_t fold = MX_COLUMNS % j->channels ? 1 : MX_COLUMNS / j->channels;
  while (j->rows % fold) fold /= 2;
  j->n = j->rows / fold, j->wide = j->channels * fold;
  j->each = PART / j->wide + 1;
  j->parts = (j->n + j->each - 1) / j->each;
  float *room = mx_scratch((size_t)((2 * j->parts + 4) * j->wide) * sizeof *room);
  if (!room) return mx_fail_memory();
  for (int i = 0; i < 2; i++) j->sums[i] = room + i * j->parts * j->wide;
  for (int i = 0; i < 4; i++) j->per[i] = room + (2 * j->parts + i) * j->wide;
  return 0;
}

/* Calls fn for blocks of columns of the parts [begin, end). */
static void each_block(job *j, int64_t begin, int64_t end, void (*fn)(const mx_columns *)) {
  for (int64_t p = begin; p < end; p++)
    for (int64_t c = 0; c < j->wide; c += MX_COLUMNS) {
      int64_t row = p * j->each, at = row * j->wide + c, sums = p * j->wide + c;
      mx_columns b = {.rows = j->n - row < j->each ? j->n - row : j->each, .n = j->wide - c < MX_COLUMNS ? j->wide - c : MX_COLUMNS,
                      .ld = j->wide, .x = j->x + at, .g = j->g ? j->g + at : NULL, .o = j->o ? j->o + at : NULL,
                      .sums = {j->sums[0] + sums, j->sums[1] + sums}, .per = {j->per[0] + c, j->per[1] + c, j->per[2] + c, j->per[3] + c}};
      fn(&b);
    }
}

static void moments_range(void *ctx, int64_t begin, int64_t end) { each_block(ctx, begin, end, mx_vec_now()->column_moments); }
static void sums_range(void *ctx, int64_t begin, int64_t end) { each_block(ctx, begin, end, mx_vec_now()->column_sums); }
static void line_range(void *ctx, int64_t begin, int64_t end) { each_block(ctx, begin, end, mx_vec_now()->column_line); }

/* Numbers of the channels for all columns. */
static void spread(const job *j, const float *x, float *per) {
  for (int64_t c = 0; c < j->wide; c++) per[c] = x[c % j->channels];
}

/* The moments of channel c: those of its columns in all parts, joined. */
static void join(const job *j, int64_t c, float *mean, float *var) {
  double count = 0, m = 0, s = 0;
  for (int64_t p = 0; p < j->parts; p++) {
    double n = (double)(j->n - p * j->each < j->each ? j->n - p * j->each : j->each);
    for (int64_t k = c; k < j->wide; k += j->channels) {
      double d = (double)j->sums[0][p * j->wide + k] - m, all = count + n;
      m += d * n / all;
      s += (double)j->sums[1][p * j->wide + k] + d * d * count * n / all;
      count = all;
    }
  }
  *mean = (float)m;
  *var = (float)(s / count);
}

int mx_cpu_batch_norm(const mx_call *c) {
  job j = {.o = NULL};
  void *copy[3] = {NULL};
  const float *in[3];
  int rc = 0;
  if (!c->out[0].size) return 0;
  for (int i = 0; i < 3 && !rc; i++)
    if (!(in[i] = mx_packed(&c->in[i], &copy[i]))) rc = mx_error_kind();
  if (!rc) rc = start(&j, &c->in[0]);
  if (!rc) {
    float *mean = c->out[1].data, *var = c->out[2].data;
    j.x = in[0];
    mx_parallel(j.parts, 1, moments_range, &j);
    for (int64_t k = 0; k < j.channels; k++) {
      join(&j, k, &mean[k], &var[k]);
      j.per[1][k] = in[1][k] / sqrtf(var[k] + (float)mx_unbits(c->p[0]));
    }
    spread(&j, mean, j.per[0]);
    spread(&j, j.per[1], j.per[1]);
    spread(&j, in[2], j.per[2]);
    j.o = c->out[0].data;
    mx_parallel(j.parts, 1, line_range, &j);
  }
  mx_scratch_free(j.sums[0]);
  for (int i = 0; i < 3; i++) mx_scratch_free(copy[i]);
  return rc;
}

static double total(const job *j, const float *x, int64_t c) {
  double s = 0;
  for (int64_t p = 0; p < j->parts; p++)
    for (int64_t k = c; k < j->wide; k += j->channels) s += (double)x[p * j->wide + k];
  return s;
}

/* dx = k (g - db / n) - (x - mean) k dw r / n with r = 1 / sqrt(var + eps), k = w r. */
int mx_cpu_batch_norm_vjp(const mx_call *c) {
  enum { X, MEAN, VAR, WEIGHT, G };
  job j = {.o = NULL};
  void *copy[5] = {NULL};
  const float *in[5];
  int rc = 0;
  if (!c->out[0].size) return 0;
  for (int i = 0; i < 5 && !rc; i++)
    if (!(in[i] = mx_packed(&c->in[i], &copy[i]))) rc = mx_error_kind();
  if (!rc) rc = start(&j, &c->in[X]);
  if (!rc) {
    float *dw = c->out[1].data, *db = c->out[2].data;
    j.x = in[X], j.g = in[G];
    spread(&j, in[MEAN], j.per[0]);
    mx_parallel(j.parts, 1, sums_range, &j);
    for (int64_t k = 0; k < j.channels; k++) {
      double r = 1 / sqrt((double)in[VAR][k] + (double)(float)mx_unbits(c->p[0])), b = total(&j, j.sums[0], k);
      double w = r * total(&j, j.sums[1], k);
      double scale = r * (double)in[WEIGHT][k];
      dw[k] = (float)w, db[k] = (float)b;
      j.per[1][k] = (float)(-scale * w * r / (double)j.rows);
      j.per[2][k] = (float)(-scale * b / (double)j.rows);
      j.per[3][k] = (float)scale;
    }
    for (int i = 1; i < 4; i++) spread(&j, j.per[i], j.per[i]);
    j.o = c->out[0].data;
    mx_parallel(j.parts, 1, line_range, &j);
  }
  mx_scratch_free(j.sums[0]);
  for (int i = 0; i < 5; i++) mx_scratch_free(copy[i]);
  return rc;
}
