/* Writing at places given by index arrays. Updates that meet in one place are applied in the order of the indices, whatever the number of
 * threads: a range of work owns a part of the result. The part is an interval of the blocks' columns when these are long and few, else a
 * bin (scatter_bins.c). */
#include "backend/cpu/scatter.h"

#include <string.h>

#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

enum { MANY = 1 << 15, WIDE = 256, FEW = 64, CACHED = 16 << 20, LONG = 256 };

void mx_scatter_rows(const mx_scatter *j, int64_t to, int64_t from, int64_t begin, int64_t end) {
  const mx_block *b = &j->block;
  mx_cursor at;
  mx_walk_seek(&b->walk, &at, 0);
  for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
    j->fn(end - begin, mx_at(j->out, to + at.off[0] + begin * b->stride[0]), b->stride[0],
          mx_at(j->updates, from + at.off[1] + begin * b->stride[1]), b->stride[1]);
}

static void scatter_columns(void *ctx, int64_t begin, int64_t end) {
  mx_scatter *j = ctx;
  int64_t to[MX_PLACES_CHUNK];
  bool points = mx_block_size(&j->block) == 1 && !j->sources;
  for (int64_t first = 0; first < j->places.n; first += MX_PLACES_CHUNK) {
    int64_t last = first + MX_PLACES_CHUNK < j->places.n ? first + MX_PLACES_CHUNK : j->places.n;
    if (!mx_places_fill(&j->places, first, last, to)) return;
    if (points && begin < end) {
      if (j->step == 1) mx_fetch_all(mx_at(j->updates, last), (last - first) * j->item);
      j->fn_at(last - first, j->out->data, to, mx_at(j->updates, first * j->step), j->step);
      continue;
    }
    for (int64_t i = first; i < last && begin < end; i++) {
      if (i + MX_FETCH_AHEAD < last) mx_fetch(mx_at(j->out, to[i + MX_FETCH_AHEAD - first] + begin * j->block.stride[0]), (end - begin) * j->item);
      mx_scatter_block(j, to[i - first], mx_scatter_source(j, i), begin, end);
    }
  }
}

/* Where the updates lie. */
static int find_sources(mx_scatter *j, int lead, int64_t **sources) {
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

/* Blocks are apart when they have one element along each indexed axis and all, or one, along the others. Finds how they lie. */
static bool apart(mx_scatter *j, int k, const int64_t *axes, const int32_t *size) {
  const mx_view *out = j->out;
  bool free = true, tiles = true, rest = false;
  j->tile = j->range = 1;
  for (int d = 0; d < out->ndim; d++) {
    bool indexed = false;
    for (int i = 0; i < k; i++) indexed |= axes[i] == d;
    if (indexed) j->range += (out->shape[d] - 1) * out->strides[d];
    free &= indexed ? size[d] == 1 : size[d] == out->shape[d] || size[d] == 1;
    tiles &= indexed ? !rest || out->shape[d] == 1 : size[d] == out->shape[d];
    rest |= !indexed && out->shape[d] != 1;
    j->tile *= size[d];
  }
  if (!tiles) j->tile = 0;
  return free;
}

int mx_cpu_scatter(const mx_call *c) {
  const mx_view *updates = &c->in[1], *out = c->out, *index = c->in + 2;
  int k = (int)c->p[1], nd = out->ndim, lead = updates->ndim - nd, rc;
  const int64_t *axes = c->p + 2;
  const int32_t *size = updates->shape + lead;
  mx_scatter j = {.x = &c->in[0], .updates = updates, .out = out, .mode = (int)c->p[0], .item = mx_dtype_sizes[out->dtype]};
  int64_t *sources = NULL;
  j.fn = mx_combine_of(j.mode, out->dtype);
  j.fn_at = mx_combine_at_of(j.mode, out->dtype);
  j.fn_dealt = mx_combine_dealt_of(j.mode, out->dtype);
  if ((rc = mx_places_init(&j.places, "scatter", out, k, axes, index, size))) return rc;
  mx_block_init(&j.block, nd, size, out->strides, updates->strides + lead);
  if (j.mode == MX_ADD && (out->dtype == MX_F32 || out->dtype == MX_F64) && j.block.walk.n == 1 && j.block.stride[0] == 1 && j.block.stride[1] == 1)
    j.sum = mx_isa_now->loops[mx_dtype_tags[out->dtype]][OP_add];
  if ((rc = find_sources(&j, lead, &sources))) goto done;
  bool free_order = updates->size >= MANY && apart(&j, k, axes, size), copy = j.x->data != out->data && out->size;
  bool columns = free_order && j.block.n >= WIDE && j.block.walk.n == 1 && j.places.n < FEW;
  /* one thread writes anywhere in what a cache holds as fast as in a bin; and reading long updates in order is worth more than a few threads
   * that read them by bins, since it is memory that they wait for */
  bool ordered = j.mode != MX_ASSIGN && j.block.n * j.item >= LONG && j.block.walk.n == 1 && mx_num_threads() < 4;
  bool bins = free_order && !columns && !ordered && (mx_num_threads() > 1 || out->size * j.item > CACHED);
  bool same = bins && j.tile && !memcmp(j.x->strides, out->strides, (size_t)nd * sizeof *out->strides);
  if (copy && !same && (rc = mx_copy_view(j.x, out))) goto done;
  if (bins) rc = mx_scatter_bins(&j, copy && same);
  else if (columns) mx_parallel(j.block.n, 64, scatter_columns, &j);
  else scatter_columns(&j, 0, updates->size ? j.block.n : 0); /* where nothing is written, indices are checked all the same */
done:
  mx_scratch_free(sources);
  int bad = mx_places_end(&j.places);
  return rc ? rc : bad;
}
