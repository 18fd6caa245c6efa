/* Reading at places given by index arrays. */
#include <stdalign.h>
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/index.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/offsets.h"
#include "core/parallel.h"

typedef struct gather_job {
  const mx_view *x, *out;
  mx_places places;
  mx_block block;
  mx_combine assign;
  int64_t fetch;                       /* bytes of each place to ask for beforehand */
  bool past;
} gather_job;

/* Single elements: while some are read, the places of those after them are fetched. */
static void gather_points(gather_job *j, int64_t begin, int64_t end) {
  enum { SOME = 64 };
  int64_t places[2][MX_PLACES_CHUNK];
  int turn = 0, item = mx_dtype_sizes[j->x->dtype];
  alignas(64) char room[SOME * 8];
  int64_t n = 0, next;
  for (int64_t first = begin; n || first < end; first += n, n = next, turn ^= 1) {
    int64_t from = first + n;
    next = end - from < MX_PLACES_CHUNK ? end - from : MX_PLACES_CHUNK;
    if (next && !mx_places_fill(&j->places, from, from + next, places[turn ^ 1])) return;
    for (int64_t i = 0; i < n || i < next; i += SOME) {
      for (int64_t k = i; k < i + SOME && k < next && j->fetch; k++) __builtin_prefetch(mx_at(j->x, places[turn ^ 1][k]));
      int64_t m = n - i < SOME ? n - i : SOME;
      if (m <= 0) continue;
      char *to = mx_at(j->out, first + i);
      bool past = j->past && m == SOME && !((uintptr_t)to & 63);
      mx_take_at(item, m, past ? room : to, 1, j->x->data, places[turn] + i);
      if (past) mx_isa_now->streamer->stream((size_t)item, to, room, NULL);
    }
  }
  if (j->past) mx_isa_now->streamer->fence();
}

static void gather_range(void *ctx, int64_t begin, int64_t end) {
  gather_job *j = ctx;
  const mx_block *b = &j->block;
  int64_t size = mx_block_size(b), offsets[MX_PLACES_CHUNK];
  if (size == 1) {
    gather_points(j, begin, end);
    return;
  }
  for (int64_t first = begin; first < end; first += MX_PLACES_CHUNK) {
    int64_t n = end - first < MX_PLACES_CHUNK ? end - first : MX_PLACES_CHUNK;
    if (!mx_places_fill(&j->places, first, first + n, offsets)) return;
    for (int64_t i = 0; i < n && size; i++) {
      mx_cursor at;
      if (i + MX_FETCH_AHEAD < n) mx_fetch(mx_at(j->x, offsets[i + MX_FETCH_AHEAD]), j->fetch);
      mx_walk_seek(&b->walk, &at, 0);
      for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
        j->assign(b->n, mx_at(j->out, (first + i) * size + at.off[1]), b->stride[1], mx_at(j->x, offsets[i] + at.off[0]), b->stride[0]);
    }
  }
}

int mx_cpu_gather(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  int k = (int)c->p[0], nd = x->ndim, rc;
  int32_t size[MX_MAX_NDIM];
  gather_job j = {.x = x, .out = out, .assign = mx_combine_of(MX_ASSIGN, x->dtype)};
  j.past = out->size * mx_dtype_sizes[x->dtype] >= MX_PAST_BYTES;
  int64_t items = 1;
  for (int d = 0; d < nd; d++) items *= size[d] = (int32_t)c->p[1 + k + d];
  if ((rc = mx_places_init(&j.places, "gather", x, k, c->p + 1, c->in + 1, size))) return rc;
  mx_block_init(&j.block, nd, size, x->strides, out->strides + out->ndim - nd);
  if (x->size * mx_dtype_sizes[x->dtype] >= MX_FAR) j.fetch = (j.block.stride[0] == 1 ? j.block.n : 1) * mx_dtype_sizes[x->dtype];
  if (!items) j.block.n = j.block.walk.n = 0; /* nothing is read, but indices are checked */
  if (j.places.n) mx_parallel(j.places.n, (1 << 14) / (items + 1) + 1, gather_range, &j);
  return mx_places_end(&j.places);
}
