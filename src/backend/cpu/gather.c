/* Reading and writing at places given by index arrays. All indices are checked and turned into element offsets before
 * anything is read or written, so a bad one leaves no trace. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

/* Indices into one axis, added to `offsets`: offsets[i] += index * stride. */
typedef struct offsets_job {
  const mx_view *index;
  mx_walk walk;
  int64_t room;            /* indices in [-dim, room) are good */
  int64_t dim, stride;
  int64_t *offsets;
  _Atomic int64_t bad;     /* position of the first bad index, or INT64_MAX */
} offsets_job;

static void offsets_range(void *ctx, int64_t begin, int64_t end) {
  offsets_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at)) {
    int64_t k = mx_index_at(j->index, at.off[0]);
    if (k < 0) k += j->dim;
    if (k < 0 || k >= j->room) {
      int64_t bad = atomic_load(&j->bad);
      while (i < bad && !atomic_compare_exchange_weak(&j->bad, &bad, i)) {}
      return;
    }
    j->offsets[i] += k * j->stride;
  }
}

/* The offsets in x of every element of the k index arrays (of one shape); size[d]: extent of what is read there. */
static int index_offsets(const char *tag, const mx_view *x, int k, const int64_t *axes, const mx_view *index, const int32_t *size,
                         int64_t n, int64_t **res) {
  int64_t *offsets = *res = mx_calloc((size_t)(n ? n : 1), sizeof *offsets);
  if (!offsets) return mx_fail_memory();
  for (int i = 0; i < k; i++) {
    int axis = (int)axes[i];
    offsets_job j = {.index = &index[i], .dim = x->shape[axis], .room = x->shape[axis] - size[axis] + 1,
                     .stride = x->strides[axis], .offsets = offsets, .bad = INT64_MAX};
    mx_walk_init(&j.walk, index[i].ndim, index[i].shape, -1, index[i].strides, NULL, NULL);
    mx_parallel(n, 1 << 14, offsets_range, &j);
    if (j.bad != INT64_MAX) {
      mx_cursor at;
      mx_walk_seek(&j.walk, &at, j.bad);
      mx_free(offsets);
      return mx_fail(MX_EINDEX, "[%s] index %lld is out of bounds for axis %d with size %d", tag,
                     (long long)mx_index_at(&index[i], at.off[0]), axis, x->shape[axis]);
    }
  }
  return 0;
}

/* What one index reads or writes: a block of `size`, walked by rows. */
typedef struct block {
  mx_walk walk;                        /* operand 0: the indexed array, 1: the other */
  int64_t n, stride[MX_WALK_OPERANDS];
} block;

static void block_init(block *b, int nd, const int32_t *size, const int64_t *s0, const int64_t *s1) {
  mx_walk_init(&b->walk, nd, size, -1, s0, s1, NULL);
  b->n = mx_walk_pop(&b->walk, b->stride);
}

static int64_t block_size(const block *b) { return b->n * b->walk.n; }

typedef struct gather_job {
  const mx_view *x, *out;
  const int64_t *offsets;
  block block;
  mx_combine assign;
} gather_job;

static void gather_range(void *ctx, int64_t begin, int64_t end) {
  const gather_job *j = ctx;
  const block *b = &j->block;
  int64_t size = block_size(b);
  if (size == 1) { /* single elements */
    switch (mx_dtype_sizes[j->x->dtype]) {
#define ONE(bytes, type)                                                                                                     \
  case bytes: {                                                                                                              \
    const type *x = j->x->data;                                                                                              \
    type *o = j->out->data;                                                                                                  \
    for (int64_t i = begin; i < end; i++) o[i] = x[j->offsets[i]];                                                           \
    return;                                                                                                                  \
  }
      ONE(1, uint8_t)
      ONE(2, uint16_t)
      ONE(4, uint32_t)
      ONE(8, uint64_t)
#undef ONE
    }
  }
  for (int64_t i = begin; i < end; i++) {
    mx_cursor at;
    mx_walk_seek(&b->walk, &at, 0);
    for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
      j->assign(b->n, mx_at(j->out, i * size + at.off[1]), b->stride[1], mx_at(j->x, j->offsets[i] + at.off[0]), b->stride[0]);
  }
}

int mx_cpu_gather(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  int k = (int)c->p[0], nd = x->ndim;
  int32_t size[MX_MAX_NDIM];
  gather_job j = {.x = x, .out = out, .assign = mx_combine_of(MX_ASSIGN, x->dtype)};
  int64_t *offsets, block_items = 1;
  for (int d = 0; d < nd; d++) block_items *= size[d] = (int32_t)c->p[1 + k + d];
  int64_t n = k ? c->in[1].size : 1;
  int rc = index_offsets("gather", x, k, c->p + 1, c->in + 1, size, n, &offsets);
  if (rc) return rc;
  j.offsets = offsets;
  if (out->size) {
    block_init(&j.block, nd, size, x->strides, out->strides + out->ndim - nd);
    mx_parallel(n, (1 << 14) / block_items + 1, gather_range, &j);
  }
  mx_free(offsets);
  return 0;
}

/* Scatter. Updates that meet in one place are applied in the order of the indices, whatever the number of threads: a range of
 * work owns a part of the result and goes through all indices. The part is an interval of the blocks' columns when these are
 * long, else an interval of the result's offsets. */
typedef struct scatter_job {
  const mx_view *updates, *out;
  const int64_t *offsets, *sources;    /* of each index: where it writes, where its update lies */
  int64_t n;
  block block;
  mx_combine fn;
  int64_t part;                        /* offsets of the result in one part */
} scatter_job;

static void scatter_columns(void *ctx, int64_t begin, int64_t end) {
  const scatter_job *j = ctx;
  const block *b = &j->block;
  for (int64_t i = 0; i < j->n; i++) {
    mx_cursor at;
    mx_walk_seek(&b->walk, &at, 0);
    for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
      j->fn(end - begin, mx_at(j->out, j->offsets[i] + at.off[0] + begin * b->stride[0]), b->stride[0],
            mx_at(j->updates, j->sources[i] + at.off[1] + begin * b->stride[1]), b->stride[1]);
  }
}

/* For blocks that start at their offset and do not overlap unless they are equal. */
static void scatter_parts(void *ctx, int64_t begin, int64_t end) {
  const scatter_job *j = ctx;
  const block *b = &j->block;
  int64_t low = begin * j->part, high = end * j->part;
  for (int64_t i = 0; i < j->n; i++) {
    if (j->offsets[i] < low || j->offsets[i] >= high) continue;
    mx_cursor at;
    mx_walk_seek(&b->walk, &at, 0);
    for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
      j->fn(b->n, mx_at(j->out, j->offsets[i] + at.off[0]), b->stride[0], mx_at(j->updates, j->sources[i] + at.off[1]), b->stride[1]);
  }
}

int mx_cpu_scatter(const mx_call *c) {
  const mx_view *updates = &c->in[1], *out = c->out, *index = c->in + 2;
  int k = (int)c->p[1], nd = out->ndim, lead = updates->ndim - nd, rc;
  const int64_t *axes = c->p + 2;
  const int32_t *size = updates->shape + lead;
  scatter_job j = {.updates = updates, .out = out, .n = k ? index[0].size : 1, .fn = mx_combine_of((int)c->p[0], out->dtype)};
  int64_t *offsets, *sources;
  if ((rc = index_offsets("scatter", out, k, axes, index, size, j.n, &offsets))) return rc;
  if (c->in[0].data != out->data && out->size && (rc = mx_copy_view(&c->in[0], out))) goto drop_offsets;
  if (!updates->size) goto drop_offsets;
  if (!(sources = mx_malloc((size_t)j.n * sizeof *sources))) {
    rc = mx_fail_memory();
    goto drop_offsets;
  }
  mx_walk w;
  mx_cursor at;
  mx_walk_init(&w, lead, updates->shape, -1, updates->strides, NULL, NULL);
  mx_walk_seek(&w, &at, 0);
  for (int64_t i = 0; i < j.n; i++, mx_walk_next(&w, &at)) sources[i] = at.off[0];
  j.offsets = offsets;
  j.sources = sources;
  block_init(&j.block, nd, size, out->strides, updates->strides + lead);

  /* blocks are apart when they have one element along each indexed axis and all along the others */
  bool apart = true;
  for (int d = 0; d < nd; d++) {
    bool indexed = false;
    for (int i = 0; i < k; i++) indexed |= axes[i] == d;
    if (indexed ? size[d] != 1 : size[d] != out->shape[d] && size[d] != 1) apart = false;
  }
  int64_t work = updates->size;
  if (!apart || work < 1 << 15) {
    scatter_columns(&j, 0, j.block.n);
  } else if (j.block.n >= 256 && j.block.walk.n == 1) {
    mx_parallel(j.block.n, 64, scatter_columns, &j);
  } else {
    int64_t parts = work >> 14 < 16 ? work >> 14 : 16; /* each goes through all indices: not too many */
    j.part = out->size / parts + 1;
    mx_parallel(parts, 1, scatter_parts, &j);
  }
  mx_free(sources);
drop_offsets:
  mx_free(offsets);
  return rc;
}

/* Along one axis: every line of the indices has its own line of the array. */
typedef struct axis_job {
  const mx_view *x, *index, *values, *out;
  mx_walk walk;            /* starts of lines; operands: x (gather) or out (scatter), index, out (gather) or values (scatter) */
  int64_t n, dim, sx, si, so;
  mx_combine fn;
  bool scatter;
  _Atomic int64_t bad;     /* position of the first bad index */
} axis_job;

static void axis_check(void *ctx, int64_t begin, int64_t end) {
  axis_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t r = begin; r < end; r++, mx_walk_next(&j->walk, &at))
    for (int64_t i = 0; i < j->n; i++) {
      int64_t k = mx_index_at(j->index, at.off[1] + i * j->si);
      if (k >= -j->dim && k < j->dim) continue;
      int64_t bad = atomic_load(&j->bad), here = r * j->n + i;
      while (here < bad && !atomic_compare_exchange_weak(&j->bad, &bad, here)) {}
      return;
    }
}

static void axis_range(void *ctx, int64_t begin, int64_t end) {
  axis_job *j = ctx;
  const mx_view *a = j->scatter ? j->out : j->x, *b = j->scatter ? j->values : j->out;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t r = begin; r < end; r++, mx_walk_next(&j->walk, &at)) {
    for (int64_t i = 0; i < j->n; i++) {
      int64_t k = mx_index_at(j->index, at.off[1] + i * j->si);
      if (k < 0) k += j->dim;
      void *pa = mx_at(a, at.off[0] + k * j->sx), *pb = mx_at(b, at.off[2] + i * j->so);
      if (j->scatter) j->fn(1, pa, 1, pb, 1);
      else j->fn(1, pb, 1, pa, 1);
    }
  }
}

static int axis_run(axis_job *j, const char *tag, int axis, const mx_view *a, const mx_view *b) {
  const mx_view *index = j->index;
  if (!index->size) return 0;
  mx_walk_init(&j->walk, index->ndim, index->shape, axis, a->strides, index->strides, b->strides);
  j->n = index->shape[axis];
  j->dim = a->shape[axis];
  j->sx = a->strides[axis];
  j->si = index->strides[axis];
  j->so = b->strides[axis];
  j->bad = INT64_MAX;
  int64_t grain = (1 << 14) / j->n + 1;
  mx_parallel(j->walk.n, grain, axis_check, j);
  if (j->bad != INT64_MAX) {
    mx_cursor at;
    mx_walk_seek(&j->walk, &at, j->bad / j->n);
    return mx_fail(MX_EINDEX, "[%s] index %lld is out of bounds for axis %d with size %lld", tag,
                   (long long)mx_index_at(index, at.off[1] + j->bad % j->n * j->si), axis, (long long)j->dim);
  }
  mx_parallel(j->walk.n, grain, axis_range, j);
  return 0;
}

int mx_cpu_gather_axis(const mx_call *c) {
  axis_job j = {.x = &c->in[0], .index = &c->in[1], .out = c->out, .fn = mx_combine_of(MX_ASSIGN, c->out->dtype)};
  return axis_run(&j, "take_along_axis", (int)c->p[0], j.x, j.out);
}

int mx_cpu_scatter_axis(const mx_call *c) {
  axis_job j = {.index = &c->in[1], .values = &c->in[2], .out = c->out, .scatter = true,
                .fn = mx_combine_of((int)c->p[1], c->out->dtype)};
  /* indices are checked first: the result may be the array itself */
  int rc = 0;
  const mx_view *x = &c->in[0];
  if (x->data != c->out->data && c->out->size) rc = mx_copy_view(x, c->out);
  return rc ? rc : axis_run(&j, c->p[1] ? "scatter_add_axis" : "put_along_axis", (int)c->p[0], j.out, j.values);
}
