/* Slices written or read at places given by parameters or by an array of starts. */
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/fill.h"
#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

/* out becomes src, unless it is src's memory already. */
static int copy_source(const mx_view *src, const mx_view *out) {
  return src->data == out->data || !out->size ? 0 : mx_copy_view(src, out);
}

int mx_cpu_slice_update(const mx_call *c) {
  const mx_view *update = &c->in[1], *out = c->out;
  const int64_t *start = c->p + 1, *step = start + 2 * out->ndim;
  int64_t strides[MX_MAX_NDIM], at = 0;
  int rc = copy_source(&c->in[0], out);
  if (rc || !update->size) return rc;
  for (int d = 0; d < out->ndim; d++) {
    at += start[d] * out->strides[d];
    strides[d] = step[d] * out->strides[d];
  }
  mx_view part = {mx_at(out, at), update->shape, strides, update->size, out->ndim, out->dtype};
  return mx_combine_view((int)c->p[0], update, &part);
}

/* Element offset of the slice of shape `size` in x that begins at `start`, clamped to where it fits. */
static int64_t clamped_start(const mx_view *x, const int32_t *size, int k, const int64_t *axes, const mx_view *start) {
  int64_t at = 0, step = start->ndim ? start->strides[0] : 0;
  for (int i = 0; i < k; i++) {
    int axis = (int)axes[i];
    int64_t s = mx_index_at(start, i * step), room = x->shape[axis] - size[axis];
    s = s < 0 ? 0 : s > room ? room : s;
    at += s * x->strides[axis];
  }
  return at;
}

int mx_cpu_dynamic_slice(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  if (!out->size) return 0;
  mx_view part = {mx_at(x, clamped_start(x, out->shape, (int)c->p[0], c->p + 1, &c->in[1])), out->shape, x->strides, out->size,
                  out->ndim, out->dtype};
  return mx_copy_view(&part, out);
}

int mx_cpu_dynamic_slice_update(const mx_call *c) {
  const mx_view *update = &c->in[1], *out = c->out;
  int rc = copy_source(&c->in[0], out);
  if (rc || !update->size) return rc;
  mx_view part = *update;
  part.data = mx_at(out, clamped_start(out, update->shape, (int)c->p[0], c->p + 1, &c->in[2]));
  part.strides = out->strides;
  return mx_copy_view(update, &part);
}

/* The gradient of as_strided: what was read in several places is summed in row order. */
typedef struct spread_job {
  const mx_view *g, *out;
  mx_walk walk;                        /* operands: g, out; without the axis that is cut */
  int64_t n, stride[MX_WALK_OPERANDS]; /* of the innermost dimension */
  int64_t cut[2], start;               /* strides of the axis that is cut; offset of the first element */
  mx_combine add;
} spread_job;

static void spread_range(void *ctx, int64_t begin, int64_t end) {
  const spread_job *j = ctx;
  size_t item = mx_dtype_sizes[j->out->dtype];
  for (int64_t k = begin; k < end; k++) {
    mx_cursor at;
    mx_walk_seek(&j->walk, &at, 0);
    for (int64_t i = 0; i < j->walk.n; i++, mx_walk_next(&j->walk, &at)) {
      char *o = mx_at(j->out, j->start + k * j->cut[1] + at.off[1]), *u = mx_at(j->g, k * j->cut[0] + at.off[0]);
      if (j->stride[1] != 0) j->add(j->n, o, j->stride[1], u, j->stride[0]);
      else /* one element, again and again: not a loop that may be vectorised */
        for (int64_t q = 0; q < j->n; q++) j->add(1, o, 1, u + q * j->stride[0] * (int64_t)item, 1);
    }
  }
}

int mx_cpu_as_strided_grad(const mx_call *c) {
  const mx_view *g = c->in, *out = c->out;
  int n = (int)c->p[0], cut = 0;
  const int64_t *stride = c->p + 1 + n;
  int64_t low = c->p[1 + 2 * n], high = low, reach = 0;
  mx_fill(out, NULL);
  if (!g->size) return 0;
  for (int d = 0; d < n; d++) {
    int64_t span = (g->shape[d] - 1) * stride[d];
    if (span < 0) low += span;
    else high += span;
  }
  if (low < 0 || high >= out->size)
    return mx_fail(MX_EINDEX, "[as_strided] the strides reach elements %lld to %lld of an array of %lld", (long long)low,
                   (long long)high, (long long)out->size);
  spread_job j = {.g = g, .out = out, .start = c->p[1 + 2 * n], .add = mx_combine_of(MX_ADD, out->dtype)};
  /* the first axis is cut for the pool if its steps are longer than all the others reach */
  while (cut < n && g->shape[cut] == 1) cut++;
  for (int d = cut + 1; d < n; d++) reach += (g->shape[d] - 1) * (stride[d] < 0 ? -stride[d] : stride[d]);
  bool apart = cut < n - 1 && (stride[cut] < 0 ? -stride[cut] : stride[cut]) > reach;
  mx_walk_init(&j.walk, n, g->shape, apart ? cut : -1, g->strides, stride, NULL);
  j.n = mx_walk_pop(&j.walk, j.stride);
  if (apart) {
    j.cut[0] = g->strides[cut];
    j.cut[1] = stride[cut];
    mx_parallel(g->shape[cut], (1 << 14) / (g->size / g->shape[cut]) + 1, spread_range, &j);
  } else {
    spread_range(&j, 0, 1);
  }
  return 0;
}
