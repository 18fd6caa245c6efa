/* Writing at places given by index arrays. Updates that meet in one place are applied in the order of the indices, whatever the number of
 * threads: a range of work owns a part of the result and goes through all indices. The part is an interval of the blocks' columns when these
 * are long, else an interval of the result's offsets. */
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/offsets.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct scatter_job {
  const mx_view *updates, *out;
  const int64_t *offsets, *sources;    /* of each index: where it writes, where its update lies (NULL: i * step) */
  int64_t step;
  int64_t n;
  mx_block block;
  mx_combine fn;
  mx_combine_at fn_at;
  int64_t part;                        /* offsets of the result in one part */
} scatter_job;

static inline int64_t source_of(const scatter_job *j, int64_t i) { return j->sources ? j->sources[i] : i * j->step; }

static void scatter_columns(void *ctx, int64_t begin, int64_t end) {
  const scatter_job *j = ctx;
  const mx_block *b = &j->block;
  for (int64_t i = 0; i < j->n; i++) {
    mx_cursor at;
    mx_walk_seek(&b->walk, &at, 0);
    for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
      j->fn(end - begin, mx_at(j->out, j->offsets[i] + at.off[0] + begin * b->stride[0]), b->stride[0],
            mx_at(j->updates, source_of(j, i) + at.off[1] + begin * b->stride[1]), b->stride[1]);
  }
}

/* For blocks that start at their offset and do not overlap unless they are equal: those of a part, picked without branches. */
static void scatter_parts(void *ctx, int64_t begin, int64_t end) {
  enum { CHUNK = 512 };
  const scatter_job *j = ctx;
  const mx_block *b = &j->block;
  int64_t low = begin * j->part, high = end * j->part, to[CHUNK], from[CHUNK];
  bool points = mx_block_size(b) == 1;
  for (int64_t first = 0; first < j->n; first += CHUNK) {
    int64_t last = first + CHUNK < j->n ? first + CHUNK : j->n;
    int count = 0;
    for (int64_t i = first; i < last; i++) {
      to[count] = j->offsets[i];
      from[count] = i;
      count += (j->offsets[i] >= low) & (j->offsets[i] < high);
    }
    for (int q = 0; q < count; q++) from[q] = source_of(j, from[q]);
    if (points) {
      j->fn_at(count, j->out->data, to, j->updates->data, from);
      continue;
    }
    for (int q = 0; q < count; q++) {
      mx_cursor at;
      mx_walk_seek(&b->walk, &at, 0);
      for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
        j->fn(b->n, mx_at(j->out, to[q] + at.off[0]), b->stride[0], mx_at(j->updates, from[q] + at.off[1]), b->stride[1]);
    }
  }
}

/* Where the updates lie. */
static int find_sources(scatter_job *j, int lead, int64_t **sources) {
  mx_walk w;
  mx_cursor at;
  *sources = NULL;
  mx_walk_init(&w, lead, j->updates->shape, -1, j->updates->strides, NULL, NULL);
  j->step = w.nd ? w.stride[0][0] : 0;
  if (w.nd <= 1) return 0;
  if (!(*sources = mx_scratch((size_t)j->n * sizeof **sources))) return mx_fail_memory();
  mx_walk_seek(&w, &at, 0);
  for (int64_t i = 0; i < j->n; i++, mx_walk_next(&w, &at)) (*sources)[i] = at.off[0];
  j->sources = *sources;
  return 0;
}

/* Blocks are apart when they have one element along each indexed axis and all along the others. */
static bool apart(const mx_view *out, int k, const int64_t *axes, const int32_t *size) {
  for (int d = 0; d < out->ndim; d++) {
    bool indexed = false;
    for (int i = 0; i < k; i++) indexed |= axes[i] == d;
    if (indexed ? size[d] != 1 : size[d] != out->shape[d] && size[d] != 1) return false;
  }
  return true;
}

int mx_cpu_scatter(const mx_call *c) {
  const mx_view *updates = &c->in[1], *out = c->out, *index = c->in + 2;
  int k = (int)c->p[1], nd = out->ndim, lead = updates->ndim - nd, rc;
  const int64_t *axes = c->p + 2;
  const int32_t *size = updates->shape + lead;
  scatter_job j = {.updates = updates, .out = out, .n = k ? index[0].size : 1, .fn = mx_combine_of((int)c->p[0], out->dtype),
                   .fn_at = mx_combine_at_of((int)c->p[0], out->dtype)};
  int64_t *offsets, *sources = NULL;
  if ((rc = mx_index_offsets("scatter", out, k, axes, index, size, j.n, &offsets))) return rc;
  if (c->in[0].data != out->data && out->size && (rc = mx_copy_view(&c->in[0], out))) goto drop_offsets;
  if (!updates->size) goto drop_offsets;
  if ((rc = find_sources(&j, lead, &sources))) goto drop_offsets;
  j.offsets = offsets;
  mx_block_init(&j.block, nd, size, out->strides, updates->strides + lead);
  bool free_order = apart(out, k, axes, size);
  if (free_order && updates->size >= 1 << 15 && j.block.n >= 256 && j.block.walk.n == 1) {
    mx_parallel(j.block.n, 64, scatter_columns, &j);
  } else if (free_order) {
    /* each part goes through all indices: no more of them than threads; what is written does not depend on it */
    int64_t parts = updates->size < 1 << 15 ? 1 : mx_num_threads();
    j.part = out->size / parts + 1;
    mx_parallel(parts, 1, scatter_parts, &j);
  } else {
    scatter_columns(&j, 0, j.block.n);
  }
  mx_scratch_free(sources);
drop_offsets:
  mx_scratch_free(offsets);
  return rc;
}
