/* Copies between views of any strides. Dimensions are merged; the walk follows the output, and where the input runs along another
 * dimension, the two are copied in squares, by vectors where the instruction set has them. What is large is written past the caches
 * (lines that are read in order are not: that was no faster, and slower by half where they are short). */
#include <string.h>

#include "backend/cpu/tile.h"
#include "core/parallel.h"

enum {
  GRAIN = 16384,
  LINES = 8, ITEMS = 32,           /* of the input, side by side in a piece of squares, if that many pieces are left */
  PAST_BYTES = 16 << 20            /* of so many bytes */
};

typedef struct plan {
  char *to;
  const char *from;
  int nd, item;                    /* nd outer dimensions; then y (blocks only) and x, the inner ones */
  bool blocks, turns, past;        /* turns: squares by vectors */
  int64_t shape[MX_MAX_NDIM], in[MX_MAX_NDIM], out[MX_MAX_NDIM];
  int64_t x, xi, xo, y, yi, yo;    /* lengths and strides */
  int64_t pieces, piece;           /* x (y of blocks) is cut into pieces */
} plan;

#define COPIES(T)                                                                                                       \
  static void line_##T(T *to, const T *from, int64_t n, int64_t so, int64_t si) {                                       \
    if (so == 1 && si == 1)                                                                                             \
      memcpy(to, from, (size_t)n * sizeof(T));                                                                          \
    else if (so == 1 && si == 0)                                                                                        \
      for (int64_t i = 0; i < n; i++) to[i] = *from;                                                                    \
    else if (so == 1)                                                                                                   \
      for (int64_t i = 0; i < n; i++) to[i] = from[i * si];                                                             \
    else                                                                                                                \
      for (int64_t i = 0; i < n; i++) to[i * so] = from[i * si];                                                        \
  }                                                                                                                     \
  static void block_##T(const plan *p, T *to, const T *from, int64_t y, int64_t x) {                                    \
    enum { LINE = 64 / sizeof(T) };                                                                                     \
    if (y == LINE && x == LINE && p->yi == 1 && p->xo == 1) { /* lines are read and written once and whole */           \
      T square[LINE][LINE];                                                                                             \
      for (int i = 0; i < LINE; i++) memcpy(square[i], from + i * p->xi, 64);                                           \
      for (int j = 0; j < LINE; j++, to += p->yo)                                                                       \
        for (int i = 0; i < LINE; i++) to[i] = square[i][j];                                                            \
      return;                                                                                                           \
    }                                                                                                                   \
    for (int64_t j = 0; j < y; j++)                                                                                     \
      for (int64_t i = 0; i < x; i++) to[j * p->yo + i * p->xo] = from[j * p->yi + i * p->xi];                          \
  }
COPIES(uint8_t)
COPIES(uint16_t)
COPIES(uint32_t)
COPIES(uint64_t)

static void line(const plan *p, char *to, const char *from, int64_t n) {
  int64_t so = p->xo, si = p->xi;
  int item = p->item;
  switch (item) {
    case 1: line_uint8_t((void *)to, (const void *)from, n, so, si); break;
    case 2: line_uint16_t((void *)to, (const void *)from, n, so, si); break;
    case 4: line_uint32_t((void *)to, (const void *)from, n, so, si); break;
    default: line_uint64_t((void *)to, (const void *)from, n, so, si); break;
  }
}

static int log_item(const plan *p) { return p->item == 1 ? 0 : p->item == 2 ? 1 : p->item == 4 ? 2 : 3; }

static void blocks(const plan *p, char *to, const char *from, int64_t y) {
  int64_t side = 64 / p->item;
  if (p->turns) {
    mx_isa_now->turner->turn[log_item(p)](p->x, y, from, p->xi * p->item, to, p->yo * p->item, p->past);
    return;
  }
  for (int64_t x = 0; x < p->x; x += side) {
    int64_t n = p->x - x < side ? p->x - x : side;
    char *t = to + x * p->xo * p->item;
    const char *f = from + x * p->xi * p->item;
    switch (p->item) {
      case 1: block_uint8_t(p, (void *)t, (const void *)f, y, n); break;
      case 2: block_uint16_t(p, (void *)t, (const void *)f, y, n); break;
      case 4: block_uint32_t(p, (void *)t, (const void *)f, y, n); break;
      default: block_uint64_t(p, (void *)t, (const void *)f, y, n); break;
    }
  }
}

static void run(void *ctx, int64_t begin, int64_t end) {
  const plan *p = ctx;
  int64_t at[MX_MAX_NDIM], i = 0, o = 0, rest = begin / p->pieces, piece = begin % p->pieces;
  for (int d = p->nd - 1; d >= 0; d--) {
    at[d] = rest % p->shape[d];
    rest /= p->shape[d];
    i += at[d] * p->in[d];
    o += at[d] * p->out[d];
  }
  for (int64_t item = begin; item < end; item++) {
    int64_t s = piece * p->piece, whole = p->blocks ? p->y : p->x, n = piece == p->pieces - 1 ? whole - s : p->piece;
    if (p->blocks)
      blocks(p, p->to + (o + s * p->yo) * p->item, p->from + (i + s * p->yi) * p->item, n);
    else
      line(p, p->to + (o + s * p->xo) * p->item, p->from + (i + s * p->xi) * p->item, n);
    if (++piece < p->pieces) continue;
    piece = 0;
    for (int d = p->nd - 1; d >= 0; d--) {
      i += p->in[d];
      o += p->out[d];
      if (++at[d] < p->shape[d]) break;
      i -= at[d] * p->in[d];
      o -= at[d] * p->out[d];
      at[d] = 0;
    }
  }
  if (p->past) mx_isa_now->streamer->fence();
}

static inline int64_t magnitude(int64_t s) { return s < 0 ? -s : s; }

static void take(plan *p, int d) {
  memmove(p->shape + d, p->shape + d + 1, (size_t)(p->nd - d - 1) * sizeof *p->shape);
  memmove(p->in + d, p->in + d + 1, (size_t)(p->nd - d - 1) * sizeof *p->in);
  memmove(p->out + d, p->out + d + 1, (size_t)(p->nd - d - 1) * sizeof *p->out);
  p->nd--;
}

/* Cuts the work into pieces, which are what threads take. */
static void cut(plan *p, int64_t size) {
  const mx_turner *t = mx_isa_now->turner;
  int64_t line = 64 / p->item, bytes = size * p->item;
  int64_t side = t->side / p->item;
  p->turns = p->blocks && side && p->xo == 1 && p->yi == 1 && p->x >= side && p->y >= side;
  if (!p->blocks) {
    p->piece = GRAIN;
    p->pieces = (p->x + GRAIN - 1) / GRAIN;
  } else if (!p->turns) {
    p->piece = line;
    p->pieces = (p->y + line - 1) / line;
  } else { /* the last piece has what is left, for it may be too little for a square */
    int64_t lines = size / p->x / line / ITEMS;
    p->past = bytes >= PAST_BYTES && t->past && !((uintptr_t)p->to & 63) && p->yo * p->item % 64 == 0;
    for (int d = 0; d < p->nd; d++) p->past &= p->out[d] * p->item % 64 == 0;
    p->piece = (lines < 1 ? 1 : lines > LINES ? LINES : lines) * line;
    p->pieces = p->y < p->piece ? 1 : p->y / p->piece;
    if (p->pieces == 1) p->piece = p->y;
  }
}

int mx_copy_view(const mx_view *in, const mx_view *out) {
  plan p = {.to = out->data, .from = in->data, .item = mx_dtype_sizes[out->dtype], .x = 1, .y = 1, .pieces = 1};
  int64_t size = 1;
  for (int d = 0; d < in->ndim; d++) {
    int64_t n = in->shape[d], si = in->strides[d], so = out->strides[d];
    size *= n;
    if (n == 1) continue;
    if (p.nd && p.in[p.nd - 1] == si * n && p.out[p.nd - 1] == so * n) {
      p.shape[p.nd - 1] *= n, p.in[p.nd - 1] = si, p.out[p.nd - 1] = so;
    } else {
      p.shape[p.nd] = n, p.in[p.nd] = si, p.out[p.nd++] = so;
    }
  }
  if (size == 0) return 0;
  int x = 0, y = 0; /* the dimensions along which the output and the input run */
  for (int d = 1; d < p.nd; d++) {
    if (magnitude(p.out[d]) <= magnitude(p.out[x])) x = d;
    if (p.in[d] && (!p.in[y] || magnitude(p.in[d]) <= magnitude(p.in[y]))) y = d;
  }
  if (p.nd) {
    p.x = p.shape[x], p.xi = p.in[x], p.xo = p.out[x];
    p.blocks = y != x && p.in[x] != 0 && p.x >= 4 && p.shape[y] >= 4;
    if (p.blocks) p.y = p.shape[y], p.yi = p.in[y], p.yo = p.out[y];
    take(&p, x);
    if (p.blocks) take(&p, y > x ? y - 1 : y);
  }
  cut(&p, size);
  int64_t whole = p.blocks ? p.y : p.x, each = p.blocks ? p.x : 1;
  int64_t items = size / (whole * each) * p.pieces, work = (whole < p.piece ? whole : p.piece) * each;
  mx_parallel(items, work < GRAIN ? GRAIN / work : 1, run, &p);
  return 0;
}
