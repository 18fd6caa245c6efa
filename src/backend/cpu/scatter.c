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
  mx_places places;
  const int64_t *sources;              /* where the update of each index lies; NULL: i * step */
  int64_t step;
  mx_block block;
  mx_combine fn;
  mx_combine_at fn_at;
  int64_t part;                        /* offsets of the result in one part */
} scatter_job;

static inline int64_t source_of(const scatter_job *j, int64_t i) { return j->sources ? j->sources[i] : i * j->step; }

/* Columns [begin, end) of the block of one index. */
static void combine(const scatter_job *j, int64_t to, int64_t from, int64_t begin, int64_t end) {
  const mx_block *b = &j->block;
  mx_cursor at;
  mx_walk_seek(&b->walk, &at, 0);
  for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
    j->fn(end - begin, mx_at(j->out, to + at.off[0] + begin * b->stride[0]), b->stride[0],
          mx_at(j->updates, from + at.off[1] + begin * b->stride[1]), b->stride[1]);
}

static void scatter_columns(void *ctx, int64_t begin, int64_t end) {
  scatter_job *j = ctx;
  int64_t to[MX_PLACES_CHUNK];
  for (int64_t first = 0; first < j->places.n; first += MX_PLACES_CHUNK) {
    int64_t last = first + MX_PLACES_CHUNK < j->places.n ? first + MX_PLACES_CHUNK : j->places.n;
    if (!mx_places_fill(&j->places, first, last, to)) return;
    for (int64_t i = first; i < last && begin < end; i++) combine(j, to[i - first], source_of(j, i), begin, end);
  }
}

/* For blocks that start at their offset and do not overlap unless they are equal: those of a part, picked without branches. */
static void scatter_parts(void *ctx, int64_t begin, int64_t end) {
  scatter_job *j = ctx;
  int64_t low = begin * j->part, high = end * j->part, to[MX_PLACES_CHUNK], from[MX_PLACES_CHUNK];
  bool points = mx_block_size(&j->block) == 1, all = j->part >= j->out->size;
  for (int64_t first = 0; first < j->places.n; first += MX_PLACES_CHUNK) {
    int64_t n = j->places.n - first < MX_PLACES_CHUNK ? j->places.n - first : MX_PLACES_CHUNK;
    int count = 0;
    if (!mx_places_fill(&j->places, first, first + n, to)) return;
    if (all)
      for (count = 0; count < n; count++) from[count] = first + count;
    else
      for (int64_t i = 0; i < n; i++) {
        int64_t at = to[i];
        to[count] = at;
        from[count] = first + i;
        count += (at >= low) & (at < high);
      }
    if (j->sources)
      for (int q = 0; q < count; q++) from[q] = j->sources[from[q]];
    else
      for (int q = 0; q < count; q++) from[q] *= j->step;
    if (points) j->fn_at(count, j->out->data, to, j->updates->data, from);
    else
      for (int q = 0; q < count; q++) combine(j, to[q], from[q], 0, j->block.n);
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
  if (!(*sources = mx_scratch((size_t)j->places.n * sizeof **sources))) return mx_fail_memory();
  mx_walk_seek(&w, &at, 0);
  for (int64_t i = 0; i < j->places.n; i++, mx_walk_next(&w, &at)) (*sources)[i] = at.off[0];
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
  scatter_job j = {.updates = updates, .out = out, .fn = mx_combine_of((int)c->p[0], out->dtype),
                   .fn_at = mx_combine_at_of((int)c->p[0], out->dtype)};
  int64_t *sources = NULL;
  if ((rc = mx_places_init(&j.places, "scatter", out, k, axes, index, size))) return rc;
  mx_block_init(&j.block, nd, size, out->strides, updates->strides + lead);
  if (c->in[0].data != out->data && out->size && (rc = mx_copy_view(&c->in[0], out))) goto done;
  if ((rc = find_sources(&j, lead, &sources))) goto done;
  bool free_order = updates->size && apart(out, k, axes, size);
  if (!updates->size) { /* nothing is written, but indices are checked */
    scatter_columns(&j, 0, 0);
  } else if (free_order && updates->size >= 1 << 15 && j.block.n >= 256 && j.block.walk.n == 1) {
    mx_parallel(j.block.n, 64, scatter_columns, &j);
  } else if (free_order) {
    /* each part goes through all indices: no more of them than threads; what is written does not depend on it */
    int64_t parts = updates->size < 1 << 15 ? 1 : mx_num_threads();
    j.part = out->size / parts + 1;
    mx_parallel(parts, 1, scatter_parts, &j);
  } else {
    scatter_columns(&j, 0, j.block.n);
  }
done:
  mx_scratch_free(sources);
  int bad = mx_places_end(&j.places);
  return rc ? rc : bad;
}
