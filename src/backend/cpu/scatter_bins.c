/* Scatter by bins. The updates, a round of them at a time, are dealt out to bins by where they go; then each bin's are applied, in order, to
 * an interval of the result that fits the second cache. Single elements are dealt with their values, blocks as their positions. Pieces of a
 * round are dealt out side by side, each into room of its own, so that neither order nor result follows the number of threads. */
#include <string.h>

#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scatter.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

enum { PIECE = 1 << 14, ROUND = 1 << 18, LEAST = 16, MOST = 1024, BYTES = 256 << 10, BITS = 1 << 18 };

/* Chunks of records; a bin's are linked, the first of bin k is chunk k. */
typedef struct piece {
  uint32_t *end;                       /* by bin: the record after its last */
  uint32_t *link;                      /* the chunk that follows, or that came before */
  char *records;
} piece;

typedef struct bins {
  mx_scatter *j;
  int shift, chunk;                    /* a bin is 2^shift offsets, a chunk 2^chunk records */
  int64_t count, first, n, pieces;     /* bins; the updates of this round */
  bool points, copy, back;             /* back: chunks are linked to those before them */
  int item, record;                    /* bytes: of values, or of the positions of blocks in the round; of a record */
  piece *at;
} bins;

/* ---- dealing out ---- */

typedef struct hand {
  int shift, chunk;
  bool back;
  uint32_t *next, *link, chunks;       /* by bin, where its next record goes; chunks taken */
} hand;

/* The record that follows the last of a chunk. */
static uint32_t open_chunk(hand *h, uint32_t after) {
  uint32_t old = (after - 1) >> h->chunk, new = h->chunks++;
  h->link[h->back ? new : old] = h->back ? old : new;
  return new << h->chunk;
}

#define DEAL(T)                                                                                                              \
  static void deal_##T(hand *h, int64_t n, const int64_t *restrict to, const T *u, int64_t su, void *records) {              \
    MX_DEALT(T) *restrict r = records;                                                                                       \
    uint32_t *restrict next = h->next, in_bin = (uint32_t)(((uint64_t)1 << h->shift) - 1), in_chunk = (1u << h->chunk) - 1;  \
    int shift = h->shift;                                                                                                    \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      int64_t bin = to[i] >> shift;                                                                                          \
      uint32_t q = next[bin];                                                                                                \
      r[q].at = (uint32_t)to[i] & in_bin;                                                                                    \
      r[q].value = u[i * su];                                                                                                \
      next[bin] = ++q & in_chunk ? q : open_chunk(h, q);                                                                     \
    }                                                                                                                        \
  }
DEAL(uint8_t)
DEAL(uint16_t)
DEAL(uint32_t)
DEAL(uint64_t)

static void deal(const bins *b, hand *h, int64_t n, const int64_t *to, const void *u, int64_t su, void *records) {
  switch (b->item) {
    case 1: deal_uint8_t(h, n, to, u, su, records); break;
    case 2: deal_uint16_t(h, n, to, u, su, records); break;
    case 4: deal_uint32_t(h, n, to, u, su, records); break;
    default: deal_uint64_t(h, n, to, u, su, records); break;
  }
}

static void deal_range(void *ctx, int64_t begin, int64_t end) {
  bins *b = ctx;
  mx_scatter *j = b->j;
  int64_t to[MX_PLACES_CHUNK];
  uint64_t room[MX_PLACES_CHUNK];
  for (int64_t p = begin; p < end; p++) {
    int64_t first = p * PIECE, n = b->n - first < PIECE ? b->n - first : PIECE, from = b->first + first;
    hand h = {b->shift, b->chunk, b->back, b->at[p].end, b->at[p].link, (uint32_t)b->count};
    for (int64_t k = 0; k < b->count; k++) h.next[k] = (uint32_t)k << b->chunk;
    for (int64_t i = 0; i < n; i += MX_PLACES_CHUNK) {
      int64_t m = n - i < MX_PLACES_CHUNK ? n - i : MX_PLACES_CHUNK, su = 1;
      const void *u = room;
      if (!mx_places_fill(&j->places, from + i, from + i + m, to)) return;
      if (!b->points)
        for (int64_t q = 0; q < m; q++) ((uint32_t *)(void *)room)[q] = (uint32_t)(first + i + q);
      else if (j->sources)
        mx_take_at(b->item, m, room, 1, j->updates->data, j->sources + from + i);
      else
        u = mx_at(j->updates, (from + i) * j->step), su = j->step;
      if (b->points && j->step == 1) mx_fetch_all(mx_at(j->updates, from + i + m), m * b->item);
      deal(b, &h, m, to, u, su, b->at[p].records);
    }
  }
}

/* ---- applying ---- */

typedef MX_DEALT(uint32_t) dealt_block;

static inline int64_t source(const bins *b, const dealt_block *r) { return mx_scatter_source(b->j, b->first + r->value); }

static inline void fetch(const bins *b, const dealt_block *r) {
  mx_fetch(mx_at(b->j->updates, source(b, r)), b->j->block.n * b->j->item);
}

static void apply_blocks(const bins *b, int64_t base, int64_t n, const dealt_block *r) {
  for (int64_t i = 0; i < n; i++) {
    if (i + MX_FETCH_AHEAD < n) fetch(b, r + i + MX_FETCH_AHEAD);
    mx_scatter_block(b->j, base + r[i].at, source(b, r + i), 0, b->j->block.n);
  }
}

/* What is assigned last stays: from the last on, each place once. */
static void assign_blocks(const bins *b, int64_t base, int64_t n, const dealt_block *r, uint64_t *seen) {
  for (int64_t i = n - 1; i >= 0; i--) {
    uint64_t *word = &seen[r[i].at / 64], bit = (uint64_t)1 << r[i].at % 64;
    if (*word & bit) continue;
    *word |= bit;
    mx_scatter_block(b->j, base + r[i].at, source(b, r + i), 0, b->j->block.n);
  }
}

/* The records of bin k of a piece, chunk by chunk. */
static void apply_piece(const bins *b, const piece *p, int64_t k, uint64_t *seen) {
  uint32_t last = p->end[k] >> b->chunk, c = b->back ? last : (uint32_t)k, stop = b->back ? (uint32_t)k : last;
  for (int64_t base = k << b->shift;; c = p->link[c]) {
    int64_t n = c == last ? p->end[k] & ((1u << b->chunk) - 1) : 1u << b->chunk;
    const void *r = p->records + ((int64_t)c << b->chunk) * b->record;
    if (b->points) b->j->fn_dealt(n, mx_at(b->j->out, base), r);
    else if (b->back) assign_blocks(b, base, n, r, seen);
    else apply_blocks(b, base, n, r);
    if (c == stop) return;
  }
}

/* The tiles that start in the bin. */
static void copy_bin(const bins *b, int64_t base) {
  int64_t tile = b->j->tile, low = (base + tile - 1) / tile * tile, high = (base + ((int64_t)1 << b->shift) + tile - 1) / tile * tile;
  if (high > b->j->out->size) high = b->j->out->size;
  if (low < high) memcpy(mx_at(b->j->out, low), mx_at(b->j->x, low), (size_t)(high - low) * (size_t)b->j->item);
}

static void apply_range(void *ctx, int64_t begin, int64_t end) {
  const bins *b = ctx;
  uint64_t seen[BITS / 64];
  for (int64_t k = begin; k < end; k++) {
    if (b->copy && b->first == 0) copy_bin(b, k << b->shift);
    if (b->back) memset(seen, 0, (((size_t)1 << b->shift) + 63) / 64 * 8);
    for (int64_t i = 0; i < b->pieces; i++) apply_piece(b, &b->at[b->back ? b->pieces - 1 - i : i], k, seen);
  }
}

/* ---- all of it ---- */

/* Bins that fit the cache, enough of them for many threads, not too many to deal to. */
static void choose_bins(bins *b, int64_t range) {
  while (((int64_t)1 << b->shift) * b->j->item < BYTES) b->shift++;
  while (b->shift && range >> b->shift < LEAST) b->shift--;
  while (range >> b->shift >= MOST) b->shift++;
  b->count = (range >> b->shift) + 1;
  for (b->chunk = 4; b->count << b->chunk < PIECE / 8; b->chunk++) {}
  b->back = !b->points && b->j->mode == MX_ASSIGN && (int64_t)1 << b->shift <= BITS;
}

int mx_scatter_bins(mx_scatter *j, bool copy) {
  bins b = {.j = j, .copy = copy, .points = mx_block_size(&j->block) == 1};
  int64_t round = j->places.n < ROUND ? j->places.n : ROUND, pieces = (round + PIECE - 1) / PIECE;
  b.item = b.points ? j->item : (int)sizeof(uint32_t);
  b.record = b.item == 8 ? (int)sizeof(MX_DEALT(uint64_t)) : (int)sizeof(dealt_block);
  choose_bins(&b, copy ? j->out->size : j->range);
  int64_t chunks = b.count + (PIECE >> b.chunk) + 1, records = (chunks << b.chunk) * b.record;
  char *room = mx_scratch((size_t)(pieces * (records + (b.count + chunks) * 4 + (int64_t)sizeof *b.at)));
  if (!room) return mx_fail_memory();
  b.at = (piece *)(void *)(room + pieces * records);
  uint32_t *words = (uint32_t *)(void *)(b.at + pieces);
  for (int64_t p = 0; p < pieces; p++, words += b.count + chunks) b.at[p] = (piece){words, words + b.count, room + p * records};
  for (; b.first < j->places.n && j->places.bad == INT64_MAX; b.first += round) {
    b.n = j->places.n - b.first < round ? j->places.n - b.first : round;
    b.pieces = (b.n + PIECE - 1) / PIECE;
    mx_parallel(b.pieces, 1, deal_range, &b);
    if (j->places.bad == INT64_MAX) mx_parallel(b.count, 1, apply_range, &b);
  }
  mx_scratch_free(room);
  return 0;
}
