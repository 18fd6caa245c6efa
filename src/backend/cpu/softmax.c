/* softmax and logsumexp along the last axis. Halves are computed in f32. */
#include <math.h>
#include <stdatomic.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

/* In f64; that in f32 is in vec.h. */
static double max_f64(const double *x, int64_t n) {
  double m = -INFINITY;
  for (int64_t i = 0; i < n; i++) m = x[i] > m || x[i] != x[i] ? x[i] : m;
  return m;
}
static void softmax_f64(const double *x, int64_t n, double *o) {
  double m = max_f64(x, n), s = 0;
  for (int64_t i = 0; i < n; i++) s += o[i] = exp(x[i] - m);
  s = 1 / s;
  for (int64_t i = 0; i < n; i++) o[i] *= s;
}
static double logsumexp_f64(const double *x, int64_t n) {
  double m = max_f64(x, n), s = 0;
  if (isinf(m)) return m;
  for (int64_t i = 0; i < n; i++) s += exp(x[i] - m);
  return m + log(s);
}

static float max_c64(const mx_c64 *x, int64_t sx, int64_t n) {
  float m = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    float r = crealf(x[i * sx]);
    m = r > m || r != r ? r : m;
  }
  return m;
}
static void softmax_c64(const mx_c64 *x, int64_t sx, int64_t n, mx_c64 *o) {
  float m = max_c64(x, sx, n);
  mx_c64 s = 0;
  for (int64_t i = 0; i < n; i++) s += o[i] = cexpf(x[i * sx] - m);
  for (int64_t i = 0; i < n; i++) o[i] = o[i] / s;
}
static mx_c64 logsumexp_c64(const mx_c64 *x, int64_t sx, int64_t n) {
  float m = max_c64(x, sx, n);
  mx_c64 s = 0;
  if (isinf(m)) return m;
  for (int64_t i = 0; i < n; i++) s += cexpf(x[i * sx] - m);
  return m + clogf(s);
}

typedef struct softmax_job {
  mx_rows rows;
  const mx_view *in, *out;
  bool reduce;
  _Atomic bool no_memory;
} softmax_job;

static void softmax_range(void *ctx, int64_t begin, int64_t end) {
  softmax_job *j = ctx;
  const mx_vec *vec = mx_vec_now();
  mx_dtype t = j->in->dtype;
  int64_t n = j->rows.n[0], sx = j->rows.stride[0];
  size_t item = t == MX_F64 ? 8 : 4;
  void *scratch = t == MX_C64 ? NULL : mx_malloc((size_t)n * item);
  if (!scratch && t != MX_C64) {
    j->no_memory = true;
    return;
  }
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at)) {
    const void *x = mx_at(j->in, at.off[0]);
    void *o = mx_at(j->out, at.off[1]);
    if (t == MX_C64) {
      if (j->reduce) *(mx_c64 *)o = logsumexp_c64(x, sx, n);
      else softmax_c64(x, sx, n, o);
    } else if (t == MX_F64) {
      mx_load_f64(t, x, sx, n, scratch);
      if (j->reduce) *(double *)o = logsumexp_f64(scratch, n);
      else softmax_f64(scratch, n, o);
    } else {
      const float *row = mx_row_f32(t, x, sx, n, scratch);
      if (j->reduce) {
        float r = vec->logsumexp(n, row);
        mx_store_f32(t, &r, 1, o);
      } else if (t == MX_F32) {
        vec->softmax(n, row, o);
      } else {
        vec->softmax(n, row, scratch);
        mx_store_f32(t, scratch, n, o);
      }
    }
  }
  mx_free(scratch);
}

static int softmax_run(const mx_call *c, bool reduce) {
  softmax_job j = {.in = c->in, .out = c->out, .reduce = reduce};
  if (!mx_is_inexact(c->in->dtype)) return mx_fail(MX_EVALUE, "[softmax] no kernel for %s", mx_dtype_name(c->in->dtype));
  if (!c->out->size) return 0;
  mx_rows_init(&j.rows, c->in, c->out, c->in->ndim - 1);
  mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), softmax_range, &j);
  return j.no_memory ? mx_fail_memory() : 0;
}

int mx_cpu_softmax(const mx_call *c) { return softmax_run(c, false); }
int mx_cpu_logsumexp(const mx_call *c) { return softmax_run(c, true); }
