/* argmin, argmax: the first of equals; NaN wins. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/parallel.h"

#define MX_BODY "backend/cpu/argreduce.inc.h"
#include "backend/cpu/each_dtype.h"

typedef uint32_t (*arg_fn)(int64_t n, const void *x, int64_t stride);

typedef struct arg_job {
  mx_rows rows;
  const mx_view *in, *out;
  arg_fn fn;
  int64_t (*vector)(int64_t, const float *); /* contiguous rows of f32 */
} arg_job;

static void arg_range(void *ctx, int64_t begin, int64_t end) {
  const arg_job *j = ctx;
  uint32_t *out = j->out->data;
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  if (j->vector) {
    for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at))
      out[at.off[1]] = (uint32_t)j->vector(j->rows.n[0], mx_at(j->in, at.off[0]));
    return;
  }
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at))
    out[at.off[1]] = j->fn(j->rows.n[0], mx_at(j->in, at.off[0]), j->rows.stride[0]);
}

static int arg_run(const mx_call *c, arg_fn fn, int64_t (*vector)(int64_t, const float *)) {
  arg_job j = {.in = c->in, .out = c->out, .fn = fn};
  mx_rows_init(&j.rows, c->in, c->out, (int)c->p[0]);
  if (c->in->dtype == MX_F32 && j.rows.stride[0] == 1) j.vector = vector;
  if (c->out->size) mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), arg_range, &j);
  return 0;
}

int mx_cpu_argmin(const mx_call *c) {
  static const arg_fn table[MX_DTYPES] = TABLE(argmin);
  return arg_run(c, table[c->in->dtype], mx_vec_now()->argmin);
}
int mx_cpu_argmax(const mx_call *c) {
  static const arg_fn table[MX_DTYPES] = TABLE(argmax);
  return arg_run(c, table[c->in->dtype], mx_vec_now()->argmax);
}
