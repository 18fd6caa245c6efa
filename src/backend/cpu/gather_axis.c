/* take_along_axis and what writes so: every line of the indices has its own line of the array. Where the last axis is not the indexed one,
 * neighbouring lines go together, in blocks of columns, so that memory is read in runs. A block of the array that fits the second cache is
 * packed there: lines that are a power of two apart would share few sets of the cache. */
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/index.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

enum { CHUNK = 512, AHEAD = 8, NEAR = 16 << 10, COLUMNS = 128, PIECE = 1 << 14, PACKED = 512 << 10, LONG = 1 << 15, FEW = 16, PARTS = 16 };
enum { A, INDEX, B };                  /* operands of the walk */

typedef struct axis_job {
  const mx_view *index, *a, *b;        /* a: the array that is indexed; b: what is read into or written from */
  const char *start;                   /* scatter: where the values of a are at first, laid out as in a; a's own data if they are there */
  mx_walk walk;                        /* of the other axes */
  int64_t n, dim, along[3];            /* along the indexed axis: lengths, steps */
  int64_t columns, width, step[3];     /* lines that go together, in one block; their steps */
  int64_t parts;                       /* a walked point: blocks, or pieces of its line */
  bool packed, scatter, past;          /* past: what is read is written past the caches */
  int64_t ahead;                       /* of indices, to those that are read soon */
  int item;
  mx_combine assign;
  mx_combine_at fn;
  _Atomic int rc;
} axis_job;

/* Reads n elements; whole lines of cache go past it where they lie so. */
static void take(const axis_job *j, int64_t n, char *to, int64_t step, const char *from, const int64_t *places) {
  alignas(64) char room[CHUNK * 8];
  int64_t bytes = n * j->item, whole = bytes / 64 * 64;
  if (!j->past || step != 1 || (uintptr_t)to & 63) {
    mx_take_at(j->item, n, to, step, from, places);
    return;
  }
  mx_take_at(j->item, n, room, 1, from, places);
  mx_isa_now->streamer->stream((size_t)(whole / 64), to, room, NULL);
  memcpy(to + whole, room + whole, (size_t)(bytes - whole));
}

/* `count` indices from element `index` on, step[INDEX] apart, lead from `a` on to places by `into`; as many elements of b from b on. */
static bool move(axis_job *j, int64_t count, char *a, const mx_index_axis *into, int64_t index, int64_t b, const int64_t step[3]) {
  int64_t places[CHUNK];
  for (int64_t first = 0; first < count; first += CHUNK) {
    int64_t w = count - first < CHUNK ? count - first : CHUNK;
    if (mx_index_places(j->index, index + first * step[INDEX], step[INDEX], w, into, false, places) >= 0) {
      j->rc = MX_EINDEX;
      return false;
    }
    if (step[INDEX] == 1) mx_fetch_all(mx_at(j->index, index + first + j->ahead), w * mx_dtype_sizes[j->index->dtype]);
    char *from = a + first * into->drift * j->item, *other = mx_at(j->b, b + first * step[B]);
    if (j->scatter) j->fn(w, from, places, other, step[B]);
    else take(j, w, other, step[B], from, places);
  }
  return true;
}

static void line_range(void *ctx, int64_t begin, int64_t end) {
  axis_job *j = ctx;
  const mx_index_axis into = {j->dim, j->dim, j->along[A], 0};
  int64_t bytes = j->dim * j->item;
  bool near = j->parts == 1 && j->along[A] == 1 && bytes <= NEAR && j->n >= j->dim / 4; /* lines of a that are fetched one ahead */
  for (int64_t r = begin; r < end && !j->rc; r++) {
    mx_cursor at;
    if (near && r + 1 < end) {
      mx_walk_seek(&j->walk, &at, r + 1);
      mx_fetch_all(mx_at(j->a, at.off[A]), bytes);
    }
    mx_walk_seek(&j->walk, &at, r / j->parts);
    int64_t first = j->parts == 1 ? 0 : r % j->parts * PIECE, n = j->parts == 1 || j->n - first < PIECE ? j->n - first : PIECE;
    char *a = mx_at(j->a, at.off[A]);
    if (j->scatter && j->start != j->a->data) j->assign(j->dim, a, j->along[A], j->start + at.off[A] * j->item, j->along[A]);
    if (!move(j, n, a, &into, at.off[INDEX] + first * j->along[INDEX], at.off[B] + first * j->along[B], j->along)) return;
  }
  if (j->past) mx_isa_now->streamer->fence();
}

/* w columns from offset `at` of the array: in what memory they are worked on, and how its places are found. */
static char *open_block(const axis_job *j, int64_t at, int64_t w, char *room, mx_index_axis *into) {
  const char *from = (j->scatter ? j->start : (const char *)j->a->data) + at * j->item;
  char *a = mx_at(j->a, at);
  *into = j->packed ? (mx_index_axis){j->dim, j->dim, w, 1} : (mx_index_axis){j->dim, j->dim, j->along[A], j->step[A]};
  if (j->packed)
    for (int64_t i = 0; i < j->dim; i++) {
      if (j->step[A] == 1) mx_fetch_all(from + (i + AHEAD) * j->along[A] * j->item, w * j->item);
      j->assign(w, room + i * w * j->item, 1, from + i * j->along[A] * j->item, j->step[A]);
    }
  else if (j->scatter && from != a)
    for (int64_t i = 0; i < j->dim; i++)
      j->assign(w, a + i * j->along[A] * j->item, j->step[A], from + i * j->along[A] * j->item, j->step[A]);
  return j->packed ? room : a;
}

static void block_range(void *ctx, int64_t begin, int64_t end) {
  axis_job *j = ctx;
  char *room = j->packed ? mx_scratch((size_t)(j->dim * j->width * j->item)) : NULL;
  if (j->packed && !room) j->rc = MX_EMEMORY;
  for (int64_t r = begin; r < end && !j->rc; r++) {
    mx_cursor at;
    mx_index_axis into;
    mx_walk_seek(&j->walk, &at, r / j->parts);
    int64_t c = r % j->parts * j->width, w = j->columns - c < j->width ? j->columns - c : j->width;
    int64_t a = at.off[A] + c * j->step[A], index = at.off[INDEX] + c * j->step[INDEX], b = at.off[B] + c * j->step[B];
    char *block = open_block(j, a, w, room, &into);
    for (int64_t i = 0; i < j->n; i++)
      if (!move(j, w, block, &into, index + i * j->along[INDEX], b + i * j->along[B], j->step)) break;
    if (j->packed && j->scatter)
      for (int64_t i = 0; i < j->dim; i++) j->assign(w, mx_at(j->a, a + i * j->along[A]), j->step[A], room + i * w * j->item, 1);
  }
  mx_scratch_free(room);
  if (j->past) mx_isa_now->streamer->fence();
}

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

/* How wide blocks of columns are, and whether they are packed: if enough is read of them. */
static void choose_blocks(axis_job *j) {
  int64_t line = 64 / j->item, fit = PACKED / (j->dim * j->item + 1) / line * line;
  bool touched = j->scatter ? j->start != j->a->data || j->n >= j->dim / 4 : j->n >= j->dim / 2;
  j->packed = fit >= line && touched;
  int64_t share = j->walk.n < PARTS ? (j->columns / PARTS + line) / line * line : j->columns; /* something for every thread */
  j->width = j->packed ? fit : COLUMNS;
  if (j->width > CHUNK) j->width = CHUNK;
  if (j->width > share) j->width = share;
  j->parts = (j->columns + j->width - 1) / j->width;
}

/* The lines one after the other, each by the kernel of scatter with all threads. */
static int scatter_lines(axis_job *j, int mode) {
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, 0);
  for (int64_t r = 0; r < j->walk.n; r++, mx_walk_next(&j->walk, &at)) {
    const int32_t dim[] = {(int32_t)j->dim}, n[] = {(int32_t)j->n, 1};
    const int64_t sa[] = {j->along[A]}, si[] = {j->along[INDEX]}, su[] = {j->along[B], 1};
    char *a = mx_at(j->a, at.off[A]);
    mx_view out = {a, dim, sa, j->dim, 1, j->a->dtype}, x = out;
    mx_view updates = {mx_at(j->b, at.off[B]), n, su, j->n, 2, j->b->dtype};
    mx_view index = {mx_at(j->index, at.off[INDEX]), n, si, j->n, 1, j->index->dtype};
    x.data = (void *)(uintptr_t)(j->start + at.off[A] * j->item);
    int rc = mx_cpu_scatter(&(mx_call){.nin = 3, .nout = 1, .np = 3, .in = (mx_view[]){x, updates, index}, .out = &out, .p = (int64_t[]){mode, 1, 0}});
    if (rc) return rc;
  }
  return 0;
}

/* Whether the lines go together. Very short ones do so too (the one of a cross-entropy): then the places of many are known at once. */
static bool goes_in_columns(const axis_job *j, int axis) {
  int last = j->index->ndim - 1;
  if (!j->walk.nd) return false;
  if (axis != last) return j->index->shape[last] >= 8;
  return !j->scatter && j->n < 8 && j->walk.n >= 64;
}

static int axis_run(axis_job *j, const char *tag, int axis, int mode) {
  const mx_view *index = j->index;
  if (!index->size) return 0;
  j->item = mx_dtype_sizes[j->a->dtype];
  j->assign = mx_combine_of(MX_ASSIGN, j->a->dtype);
  j->n = index->shape[axis];
  j->dim = j->a->shape[axis];
  j->along[A] = j->a->strides[axis];
  j->along[INDEX] = index->strides[axis];
  j->along[B] = j->b->strides[axis];
  j->ahead = CHUNK;
  j->past = !j->scatter && index->size * j->item >= MX_PAST_BYTES;
  mx_walk_init(&j->walk, index->ndim, index->shape, axis, j->a->strides, index->strides, j->b->strides);
  if (goes_in_columns(j, axis)) {
    j->columns = mx_walk_pop(&j->walk, j->step);
    choose_blocks(j);
    j->ahead = AHEAD * j->along[INDEX];
    int64_t work = j->step[A] * j->item < 64 ? 1 << 14 : 1 << 11; /* elements; each in a line of its own takes longer */
    mx_parallel(j->walk.n * j->parts, work / (j->n * j->width) + 1, block_range, j);
  } else if (j->scatter && j->walk.n < FEW && j->n >= LONG && j->along[A] == 1) {
    j->rc = scatter_lines(j, mode);
  } else {
    j->parts = j->scatter ? 1 : (j->n + PIECE - 1) / PIECE;
    mx_parallel(j->walk.n * j->parts, (1 << 14) / j->n + 1, line_range, j);
  }
  return j->rc == MX_EINDEX ? bad_index(j, tag, axis) : j->rc ? mx_fail_memory() : 0;
}

int mx_cpu_gather_axis(const mx_call *c) {
  axis_job j = {.a = &c->in[0], .index = &c->in[1], .b = c->out};
  return axis_run(&j, "take_along_axis", (int)c->p[0], MX_ASSIGN);
}

int mx_cpu_scatter_axis(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  int axis = (int)c->p[0], mode = (int)c->p[1], rc;
  axis_job j = {.a = out, .index = &c->in[1], .b = &c->in[2], .scatter = true, .start = x->data, .fn = mx_combine_at_of(mode, out->dtype)};
  if (x->data != out->data && (!j.index->size || memcmp(x->strides, out->strides, out->ndim * sizeof *x->strides))) {
    if ((rc = mx_copy_view(x, out))) return rc;
    j.start = out->data;
  }
  return axis_run(&j, mode ? "scatter_add_axis" : "put_along_axis", axis, mode);
}
