/* rms_norm and layer_norm over the last axis, computed in f32 (f64 in f64). x and the weights may have different dtypes. */
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
static void norm_f64(const double *x, int64_t n, bool centre, double eps, const double *w, const double *b, double *o) {
  double mean = 0, square = 0;
  if (centre) {
    for (int64_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
  }
  for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  double scale = 1 / sqrt(square / (double)n + eps);
  for (int64_t i = 0; i < n; i++) o[i] = (x[i] - mean) * scale * (w ? w[i] : 1) + (b ? b[i] : 0);
}

typedef struct norm_job {
  mx_rows rows;
  const mx_view *in, *out;
  bool centre;
  double eps;
  void *weight, *bias;     /* of the compute type, or NULL */
  _Atomic bool no_memory;
} norm_job;

static void norm_range(void *ctx, int64_t begin, int64_t end) {
  norm_job *j = ctx;
  const mx_vec *vec = mx_vec_now();
  mx_dtype t = j->in->dtype, to = j->out->dtype;
  int64_t n = j->rows.n[0], sx = j->rows.stride[0];
  bool wide = to == MX_F64;
  void *scratch = mx_malloc((size_t)n * (wide ? 16 : 8));
  if (!scratch) {
    j->no_memory = true;
    return;
  }
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at)) {
    const void *x = mx_at(j->in, at.off[0]);
    void *o = mx_at(j->out, at.off[1]);
    if (wide) {
      double *row = scratch;
      mx_load_f64(t, x, sx, n, row);
      norm_f64(row, n, j->centre, j->eps, j->weight, j->bias, o);
    } else {
      float *row = scratch, *res = to == MX_F32 ? o : row + n;
      vec->norm(n, mx_row_f32(t, x, sx, n, row), j->centre, (float)j->eps, j->weight, j->bias, res);
      if (res != o) mx_store_f32(to, res, n, o);
    }
  }
  mx_free(scratch);
}

/* A weight or bias in the compute type; a 0-d one is repeated. */
static void *load_weight(const mx_view *w, int64_t n, bool wide) {
  void *p = mx_malloc((size_t)(n ? n : 1) * (wide ? 8 : 4));
  int64_t stride = w->ndim ? w->strides[w->ndim - 1] : 0;
  if (w->size == 1) stride = 0;
  if (!p) return NULL;
  if (wide) mx_load_f64(w->dtype, w->data, stride, n, p);
  else mx_load_f32(w->dtype, w->data, stride, n, p);
  return p;
}

static int norm_run(const mx_call *c, bool centre) {
  norm_job j = {.in = &c->in[0], .out = c->out, .centre = centre, .eps = mx_unbits(c->p[0])};
  bool has_weight = c->p[1], has_bias = centre && c->p[2], wide = c->out->dtype == MX_F64;
  if (!c->out->size) return 0;
  mx_rows_init(&j.rows, j.in, j.out, j.in->ndim - 1);
  int64_t n = j.rows.n[0];
  if (has_weight && !(j.weight = load_weight(&c->in[1], n, wide))) j.no_memory = true;
  if (has_bias && !(j.bias = load_weight(&c->in[1 + has_weight], n, wide))) j.no_memory = true;
  if (!j.no_memory) mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), norm_range, &j);
  mx_free(j.weight);
  mx_free(j.bias);
  return j.no_memory ? mx_fail_memory() : 0;
}

int mx_cpu_rms_norm(const mx_call *c) { return norm_run(c, false); }
int mx_cpu_layer_norm(const mx_call *c) { return norm_run(c, true); }
