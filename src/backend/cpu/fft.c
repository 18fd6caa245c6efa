/* Fourier transforms along one axis: complex64, real to the half that decides the rest, and back.
 *
 * Sequences whose elements are neighbours are transformed one by one. Where neighbours belong to different sequences, as many as a
 * vector holds are transformed side by side. Real ones of even length are half as many pairs, taken as complex numbers. Long ones are
 * in fft_long.c. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/fft.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

enum { WORK = 16384, LINE = 8 }; /* elements a range has at least; of a cache line */

typedef struct job {
  const mx_ffts *f;
  const mx_fft_plan *p;    /* the complex transform that is done, of length p->n */
  const float *turn;       /* REAL plan's, where pairs of real numbers are transformed; else NULL */
  const mx_view *in;
  float *out, scale;
  int axis;
  bool real_in, real_out, inverse;
  int64_t stride, inner;   /* from one element to the next, in the input and in the output, in elements of either */
  int64_t nin, nout;       /* elements along the axis that are read and written */
  int64_t count;
  _Atomic int failed;
} job;

static mx_parts swapped(mx_parts x, bool swap) { return swap ? (mx_parts){x.im, x.re} : x; }

static const float *at(const job *j, int64_t i) { return (const float *)j->in->data + (j->real_in ? i : 2 * i); }

/* Element offsets in the input and the output of the first element of sequence i. */
static void offsets(const job *j, int64_t i, int64_t *from, int64_t *to) {
  *to = i / j->inner * j->inner * j->nout + i % j->inner;
  *from = 0;
  for (int d = j->in->ndim - 1; d >= 0; d--) {
    if (d == j->axis) continue;
    *from += i % j->in->shape[d] * j->in->strides[d];
    i /= j->in->shape[d];
  }
}

/* Element k < n of the sequence that starts at `from`, complex; of a half the other half follows. */
static void element(const job *j, int64_t from, int64_t k, float *re, float *im) {
  bool mirror = k >= j->nin;
  const float *x = at(j, from + (mirror ? j->p->n - k : k) * j->stride);
  *re = x[0];
  *im = j->real_in ? 0 : x[1];
  if (mirror) *im = -*im;
  if (j->real_out && (k == 0 || 2 * k == j->p->n)) *im = 0;
}

/* ---- one sequence ---- */

static void load_pairs(const job *j, int64_t from, mx_parts x, float *row) {
  int64_t m = j->p->n, step = j->stride;
  const float *in = at(j, from);
  if (j->real_in && step == 1) {
    j->f->split(m, x, in);
  } else if (j->real_in) {
    for (int64_t k = 0; k < m; k++) x.re[k] = in[2 * k * step], x.im[k] = in[(2 * k + 1) * step];
  } else {
    if (step != 1) {
      for (int64_t k = 0; k <= m; k++) row[2 * k] = in[2 * k * step], row[2 * k + 1] = in[2 * k * step + 1];
      in = row;
    }
    j->f->pack(m, x, in, j->turn);
  }
}

static void store_pairs(const job *j, int64_t to, mx_parts x, float *row) {
  int64_t m = j->p->n;
  float *out = j->out + (j->real_out ? to : 2 * to), *target = j->inner == 1 ? out : row;
  if (j->real_out)
    j->f->join(m, target, x, j->scale);
  else
    j->f->unpack(m, target, x, j->turn, j->scale);
  if (j->inner == 1) return;
  if (j->real_out)
    for (int64_t k = 0; k < 2 * m; k++) out[k * j->inner] = row[k];
  else
    for (int64_t k = 0; k <= m; k++) out[2 * k * j->inner] = row[2 * k], out[2 * k * j->inner + 1] = row[2 * k + 1];
}

/* x gets the sequence; with the parts exchanged for the inverse. row: room for n + 1 pairs. */
static void load_one(const job *j, int64_t from, mx_parts x, float *row) {
  x = swapped(x, j->inverse);
  if (j->turn)
    load_pairs(j, from, x, row);
  else if (j->stride == 1 && !j->real_in && !j->real_out)
    j->f->split(j->p->n, x, at(j, from));
  else
    for (int64_t k = 0; k < j->p->n; k++) element(j, from, k, x.re + k, x.im + k);
}

static void store_one(const job *j, int64_t to, mx_parts x, float *row) {
  x = swapped(x, j->inverse);
  if (j->turn) {
    store_pairs(j, to, x, row);
  } else if (j->real_out) {
    for (int64_t k = 0; k < j->nout; k++) j->out[to + k * j->inner] = x.re[k] * j->scale;
  } else if (j->inner == 1) {
    j->f->join(j->nout, j->out + 2 * to, x, j->scale);
  } else
    for (int64_t k = 0; k < j->nout; k++) {
      float *o = j->out + 2 * (to + k * j->inner);
      o[0] = x.re[k] * j->scale;
      o[1] = x.im[k] * j->scale;
    }
}

/* The forward sums by a convolution with the chirp. x, y: of the convolution's length; the result is in x. row: as many pairs. */
static void convolve(const job *j, mx_parts x, mx_parts y, float *row) {
  const mx_fft_plan *c = j->p->a;
  int64_t n = j->p->n, m = c->n;
  mx_parts in = c->npass % 2 ? y : x;
  j->f->join(n, row, x, 1);
  j->f->multiply(n, row, row, j->p->chirp);
  memset(row + 2 * n, 0, (size_t)(m - n) * 2 * sizeof *row);
  j->f->split(m, in, row);
  j->f->transform(c, false, in, x, y);
  j->f->join(m, row, x, 1);
  j->f->multiply(m, row, row, j->p->kernel);
  j->f->split(m, swapped(in, true), row);
  j->f->transform(c, false, in, x, y);
  j->f->join(n, row, swapped(x, true), 1);
  j->f->multiply(n, row, row, j->p->chirp);
  j->f->split(n, x, row);
}

typedef struct room {
  mx_parts x, y;
  float *row;
} room; /* x.re is to be freed */

/* size: elements of x and y; row: as many pairs. */
static bool room_new(int64_t size, room *r) {
  size += MX_FFT_LANES + 2;
  float *block = mx_scratch((size_t)size * 6 * sizeof *block);
  if (!block) return false;
  *r = (room){{block, block + size}, {block + 2 * size, block + 3 * size}, block + 4 * size};
  return true;
}

static void run_ones(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  bool chirped = j->p->kind == MX_FFT_CHIRPED;
  room r;
  if (!room_new(chirped ? j->p->a->n : j->p->n, &r)) {
    j->failed = 1;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t from, to;
    offsets(j, i, &from, &to);
    mx_parts in = !chirped && j->p->npass % 2 ? r.y : r.x;
    load_one(j, from, in, r.row);
    if (chirped)
      convolve(j, r.x, r.y, r.row);
    else
      j->f->transform(j->p, false, in, r.x, r.y);
    store_one(j, to, r.x, r.row);
  }
  mx_scratch_free(r.x.re);
}

/* ---- sequences side by side ---- */

static bool neighbours(const int64_t *a, int count) {
  for (int b = 1; b < count; b++)
    if (a[b] != a[0] + b) return false;
  return true;
}

static void load_lanes(const job *j, const int64_t *from, int count, mx_parts x) {
  int lanes = j->f->lanes;
  x = swapped(x, j->inverse);
  if (!j->real_in && !j->real_out && neighbours(from, count)) {
    for (int64_t k = 0; k < j->p->n; k++)
      j->f->split(count, (mx_parts){x.re + k * lanes, x.im + k * lanes}, at(j, from[0] + k * j->stride));
    return;
  }
  for (int64_t block = 0; block < j->p->n; block += LINE)
    for (int b = 0; b < count; b++)
      for (int64_t k = block; k < block + LINE && k < j->p->n; k++)
        element(j, from[b], k, x.re + k * lanes + b, x.im + k * lanes + b);
}

static void store_lanes(const job *j, const int64_t *to, int count, mx_parts x) {
  int lanes = j->f->lanes;
  x = swapped(x, j->inverse);
  if (!j->real_out && neighbours(to, count)) {
    for (int64_t k = 0; k < j->nout; k++)
      j->f->join(count, j->out + 2 * (to[0] + k * j->inner), (mx_parts){x.re + k * lanes, x.im + k * lanes}, j->scale);
    return;
  }
  for (int64_t block = 0; block < j->nout; block += LINE)
    for (int b = 0; b < count; b++)
      for (int64_t k = block; k < block + LINE && k < j->nout; k++) {
        int64_t o = to[b] + k * j->inner;
        if (j->real_out) {
          j->out[o] = x.re[k * lanes + b] * j->scale;
        } else {
          j->out[2 * o] = x.re[k * lanes + b] * j->scale;
          j->out[2 * o + 1] = x.im[k * lanes + b] * j->scale;
        }
      }
}

static void run_lanes(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  int lanes = j->f->lanes;
  int64_t from[MX_FFT_LANES], to[MX_FFT_LANES], size = j->p->n * lanes;
  room r;
  if (!room_new(size, &r)) {
    j->failed = 1;
    return;
  }
  memset(r.x.re, 0, (size_t)(size + MX_FFT_LANES) * 4 * sizeof(float)); /* lanes without a sequence */
  for (int64_t g = begin; g < end; g++) {
    int64_t first = g * lanes;
    int count = first + lanes <= j->count ? lanes : (int)(j->count - first);
    for (int b = 0; b < count; b++) offsets(j, first + b, &from[b], &to[b]);
    mx_parts in = j->p->npass % 2 ? r.y : r.x;
    load_lanes(j, from, count, in);
    j->f->transform(j->p, true, in, r.x, r.y);
    store_lanes(j, to, count, r.x);
  }
  mx_scratch_free(r.x.re);
}

/* ---- long ones ---- */

static int run_long(job *j) {
  int64_t n = j->p->n;
  room r;
  bool straight = !j->real_in && !j->real_out && j->inner == 1;
  if (!straight && !room_new(2 * n, &r)) return mx_fail_memory();
  int rc = 0;
  for (int64_t i = 0; i < j->count && !rc; i++) {
    int64_t from, to;
    offsets(j, i, &from, &to);
    if (straight) {
      rc = mx_fft_long(j->p, at(j, from), j->stride, j->out + 2 * to, j->inverse, j->scale);
      continue;
    }
    job forward = *j; /* mx_fft_long exchanges the parts itself */
    forward.inverse = false;
    load_one(&forward, from, r.y, r.row);
    j->f->join(n, r.x.re, r.y, 1);
    rc = mx_fft_long(j->p, r.x.re, 1, r.row, j->inverse, 1);
    j->f->split(n, r.y, r.row);
    if (!rc) store_one(&forward, to, r.y, r.row);
  }
  if (!straight) mx_scratch_free(r.x.re);
  return rc;
}

static int run(job *j, int64_t n) {
  const mx_fft_plan *p = j->p;
  j->f = mx_isa_now->ffts;
  bool small = !j->turn && p->kind == MX_FFT_PASSED && (j->inner > 1 || n < 4 * MX_FFT_LANES) && 2 * j->count >= j->f->lanes;
  if (p->kind == MX_FFT_SPLIT || (p->kind == MX_FFT_CHIRPED && p->a->kind != MX_FFT_PASSED)) return run_long(j);
  int64_t work = p->n * (small ? j->f->lanes : 1), grain = work >= WORK ? 1 : WORK / work;
  if (small)
    mx_parallel((j->count + j->f->lanes - 1) / j->f->lanes, grain, run_lanes, j);
  else
    mx_parallel(j->count, grain, run_ones, j);
  return j->failed ? mx_fail_memory() : 0;
}

/* n: the length of the transform as the caller knows it. */
static int start(const mx_call *c, int64_t n, bool inverse, double scale) {
  const mx_view *in = &c->in[0], *o = &c->out[0];
  int axis = (int)c->p[0];
  if (o->size == 0) return 0;
  job j = {.in = in, .out = o->data, .scale = (float)scale, .axis = axis, .inverse = inverse, .inner = 1,
           .real_in = in->dtype == MX_F32, .real_out = o->dtype == MX_F32, .stride = in->strides[axis], .nin = in->shape[axis],
           .nout = o->shape[axis]};
  for (int d = axis + 1; d < o->ndim; d++) j.inner *= o->shape[d];
  j.count = o->size / j.nout;
  bool halves = (j.real_in || j.real_out) && n % 2 == 0 && (j.inner == 1 || 2 * j.count < mx_isa_now->ffts->lanes);
  mx_fft_plan *p = mx_fft_plan_of(n, halves);
  if (!p) return mx_error_kind();
  j.p = halves ? p->a : p;
  j.turn = halves ? p->turn : NULL;
  int rc = run(&j, n);
  mx_fft_plan_drop(p);
  return rc;
}

int mx_cpu_fft(const mx_call *c) { return start(c, c->out[0].shape[c->p[0]], c->p[1] != 0, mx_unbits(c->p[2])); }
int mx_cpu_rfft(const mx_call *c) { return start(c, c->in[0].shape[c->p[0]], false, mx_unbits(c->p[1])); }
int mx_cpu_irfft(const mx_call *c) { return start(c, c->p[1], true, mx_unbits(c->p[2])); }
