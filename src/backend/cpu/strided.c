/* A plain strided copy. */
#include "backend/cpu/combine.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/parallel.h"

typedef struct copy_job {
  mx_walk walk;
  const mx_view *in, *out;
  int64_t n, stride[MX_WALK_OPERANDS];
  mx_combine assign;
} copy_job;

static void copy_range(void *ctx, int64_t begin, int64_t end) {
  const copy_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at))
    j->assign(j->n, mx_at(j->out, at.off[1]), j->stride[1], mx_at(j->in, at.off[0]), j->stride[0]);
}

__attribute__((weak)) int mx_copy_view(const mx_view *in, const mx_view *out) {
  copy_job j = {.in = in, .out = out, .assign = mx_combine_of(MX_ASSIGN, out->dtype)};
  if (!out->size) return 0;
  mx_walk_init(&j.walk, out->ndim, out->shape, -1, in->strides, out->strides, NULL);
  j.n = mx_walk_pop(&j.walk, j.stride);
  if (j.walk.n) mx_parallel(j.walk.n, (1 << 14) / (j.n + 1) + 1, copy_range, &j);
  return 0;
}
