/* take_along_axis and what writes so: every line of the indices has its own line of the array. Where the last axis is not the indexed one,
 * neighbouring lines go together, in blocks of columns, so that memory is read in runs. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

enum { CHUNK = 512, COLUMNS = 128 };

typedef struct axis_job {
  const mx_view *index, *a, *b;        /* a: the array that is indexed; b: what is read into or written from */
  mx_walk walk;                        /* of the other axes; operands: a, index, b */
  int64_t n, dim, sa, si, sb;          /* along the indexed axis */
  int64_t columns, blocks, step[3];    /* lines that go together and their steps; blocks of them a walked point */
  mx_combine_at fn;
  bool scatter;
  _Atomic bool bad;
} axis_job;

/* `count` indices from element `index` on, `along[1]` apart, and as many elements of a and b. */
static void move(const axis_job *j, int64_t count, int64_t a, int64_t index, int64_t b, const int64_t along[3]) {
  int64_t to[CHUNK], from[CHUNK];
  for (int64_t first = 0; first < count; first += CHUNK) {
    int64_t w = count - first < CHUNK ? count - first : CHUNK;
    mx_index_places(j->index, index + first * along[1], along[1], w, j->dim, j->dim, j->sa, false, to);
    for (int64_t q = 0; q < w; q++) to[q] += (first + q) * along[0];
    for (int64_t q = 0; q < w; q++) from[q] = (first + q) * along[2];
    if (j->scatter) j->fn(w, mx_at(j->a, a), to, mx_at(j->b, b), from);
    else j->fn(w, mx_at(j->b, b), from, mx_at(j->a, a), to);
  }
}

static void check(axis_job *j, int64_t count, int64_t index, int64_t along) {
  int64_t places[CHUNK];
  for (int64_t first = 0; first < count; first += CHUNK)
    if (mx_index_places(j->index, index + first * along, along, count - first < CHUNK ? count - first : CHUNK, j->dim, j->dim, 1, false,
                        places) >= 0)
      j->bad = true;
}

static void axis_range(void *ctx, int64_t begin, int64_t end, bool checking) {
  axis_job *j = ctx;
  const int64_t lines[3] = {0, j->si, j->sb};
  mx_cursor at;
  for (int64_t r = begin; r < end; r++) {
    mx_walk_seek(&j->walk, &at, r / j->blocks);
    if (!j->columns) {
      if (checking) check(j, j->n, at.off[1], j->si);
      else move(j, j->n, at.off[0], at.off[1], at.off[2], lines);
      continue;
    }
    int64_t c = r % j->blocks * COLUMNS, w = j->columns - c < COLUMNS ? j->columns - c : COLUMNS;
    int64_t a = at.off[0] + c * j->step[0], index = at.off[1] + c * j->step[1], b = at.off[2] + c * j->step[2];
    for (int64_t i = 0; i < j->n; i++) {
      if (checking) check(j, w, index + i * j->si, j->step[1]);
      else move(j, w, a, index + i * j->si, b + i * j->sb, j->step);
    }
  }
}
static void check_range(void *ctx, int64_t begin, int64_t end) { axis_range(ctx, begin, end, true); }
static void move_range(void *ctx, int64_t begin, int64_t end) { axis_range(ctx, begin, end, false); }

/* The first index that is out of bounds, in row order. */
static int bad_index(const axis_job *j, const char *tag, int axis) {
  mx_walk w;
  mx_cursor at;
  int64_t k = 0;
  mx_walk_init(&w, j->index->ndim, j->index->shape, -1, j->index->strides, NULL, NULL);
  mx_walk_seek(&w, &at, 0);
  for (int64_t i = 0; i < w.n; i++, mx_walk_next(&w, &at)) {
    k = mx_index_at(j->index, at.off[0]);
    if (k < -j->dim || k >= j->dim) break;
  }
  return mx_fail(MX_EINDEX, "[%s] index %lld is out of bounds for axis %d with size %lld", tag, (long long)k, axis, (long long)j->dim);
}

static int axis_run(axis_job *j, const char *tag, int axis) {
  const mx_view *index = j->index;
  if (!index->size) return 0;
  j->n = index->shape[axis];
  j->dim = j->a->shape[axis];
  j->sa = j->a->strides[axis];
  j->si = index->strides[axis];
  j->sb = j->b->strides[axis];
  j->blocks = 1;
  mx_walk_init(&j->walk, index->ndim, index->shape, axis, j->a->strides, index->strides, j->b->strides);
  if (axis != index->ndim - 1 && j->walk.nd && index->shape[index->ndim - 1] >= 8) {
    j->columns = mx_walk_pop(&j->walk, j->step);
    j->blocks = (j->columns + COLUMNS - 1) / COLUMNS;
  }
  int64_t grain = (1 << 14) / (j->n * (j->columns ? COLUMNS : 1)) + 1;
  mx_parallel(j->walk.n * j->blocks, grain, check_range, j);
  if (j->bad) return bad_index(j, tag, axis);
  mx_parallel(j->walk.n * j->blocks, grain, move_range, j);
  return 0;
}

int mx_cpu_gather_axis(const mx_call *c) {
  axis_job j = {.a = &c->in[0], .index = &c->in[1], .b = c->out, .fn = mx_combine_at_of(MX_ASSIGN, c->out->dtype)};
  return axis_run(&j, "take_along_axis", (int)c->p[0]);
}

int mx_cpu_scatter_axis(const mx_call *c) {
  axis_job j = {.a = c->out, .index = &c->in[1], .b = &c->in[2], .scatter = true, .fn = mx_combine_at_of((int)c->p[1], c->out->dtype)};
  const mx_view *x = &c->in[0];
  int rc = 0;
  if (x->data != c->out->data && c->out->size) rc = mx_copy_view(x, c->out);
  return rc ? rc : axis_run(&j, c->p[1] ? "scatter_add_axis" : "put_along_axis", (int)c->p[0]);
}
