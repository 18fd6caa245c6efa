/* argmin, argmax: the first of equals; NaN wins. What is found does not depend on how rows are cut.
 *
 * Contiguous rows: the extreme of each piece by the reducers of max and min, then its place in the piece that has the best. Neighbouring
 * columns: row by row for a strip of them. The rest, and complex numbers: element by element. */
#include <stdalign.h>
#include <string.h>

#include "backend/cpu/args.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

#define MX_BODY "backend/cpu/argreduce.inc.h"
#include "backend/cpu/each_dtype.h"

typedef uint32_t (*arg_fn)(int64_t n, const void *x, int64_t stride);

enum {
  SHORT = 32,              /* elements of a row that are not worth more than a plain loop */
  PIECE = 4096,            /* elements of a row whose extreme is looked for at a time */
  CHUNK = 8 * PIECE,       /* elements of a long row that a thread takes at a time */
  STRIP = 2048, FEW = 8,   /* columns that a thread takes at a time; fewer are read element by element */
  HALF_ROWS = 8            /* of a strip, converted at a time */
};

typedef struct arg_job {
  mx_rows rows;
  const mx_view *in, *out;
  arg_fn fn;
  const mx_arg *arg;
  const mx_reducer *reducer;
  int which, half, item;            /* 0 smallest, 1 largest; 1 + index into mx_isa.halves; bytes of a value */
  int64_t columns, strips;          /* of neighbouring columns */
  int64_t chunks, per;              /* of a row, or of the rows; elements, or rows, of a chunk */
  char *best;                       /* of each chunk, where there are several: what is best, and its index in the row */
  uint32_t *at;
} arg_job;

static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

static void plain_range(void *ctx, int64_t begin, int64_t end) {
  const arg_job *j = ctx;
  uint32_t *out = j->out->data;
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at))
    out[at.off[1]] = j->fn(j->rows.n[0], mx_at(j->in, at.off[0]), j->rows.stride[0]);
}

static const void *as_floats(const arg_job *j, const void *x, int64_t n, float *scratch) {
  if (!j->half) return x;
  mx_isa_now->halves[j->half - 1].load((size_t)n, scratch, x, NULL, NULL);
  return scratch;
}

/* The best of n elements, and its index. */
static uint32_t arg_chunk(const arg_job *j, const char *x, int64_t n, void *best) {
  alignas(64) float scratch[PIECE];
  alignas(64) char part[PIECE / MX_REDUCE_ROW * MX_REDUCE_LANES * 8], value[8];
  const mx_reducer *r = j->reducer;
  int step = j->half ? 2 : j->item;
  uint32_t piece = 0;
  for (int64_t i = 0; i < n; i += PIECE) {
    int64_t m = at_most(PIECE, n - i);
    const void *p = as_floats(j, x + i * step, m, scratch);
    if (m <= MX_REDUCE_ROW) {
      r->rows(1, (size_t)m, value, p);
    } else {
      r->blocks((size_t)m, part, p);
      r->tree((size_t)(m + MX_REDUCE_ROW - 1) / MX_REDUCE_ROW, MX_REDUCE_LANES, MX_REDUCE_LANES, part);
      r->tree(MX_REDUCE_LANES, 1, 1, part);
      memcpy(value, part, (size_t)j->item);
    }
    if (i == 0) memcpy(best, value, (size_t)j->item);
    else j->arg->cols[j->which](1, 1, 1, (uint32_t)(i / PIECE), best, &piece, value);
  }
  int64_t from = (int64_t)piece * PIECE, m = at_most(PIECE, n - from);
  return (uint32_t)(from + j->arg->find(m, as_floats(j, x + from * step, m, scratch), best));
}

static void row_range(void *ctx, int64_t begin, int64_t end) {
  const arg_job *j = ctx;
  char best[8];
  mx_cursor at;
  for (int64_t i = begin; i < end; i++) {
    int64_t c = i % j->chunks * j->per, n = at_most(j->per, j->rows.n[0] - c);
    if (i == begin || j->chunks > 1) mx_walk_seek(&j->rows.walk, &at, i / j->chunks);
    const char *x = mx_at(j->in, at.off[0] + c);
    if (j->chunks > 1) {
      j->at[i] = (uint32_t)c + arg_chunk(j, x, n, j->best + i * j->item);
    } else {
      ((uint32_t *)j->out->data)[at.off[1]] = arg_chunk(j, x, n, best);
      mx_walk_next(&j->rows.walk, &at);
    }
  }
}

/* Rows of a strip of `len` columns: what is best, and in which row. */
static void arg_strip(const arg_job *j, const char *x, int64_t first, int64_t rows, int64_t len, void *best, uint32_t *at) {
  alignas(64) float scratch[HALF_ROWS * STRIP];
  int64_t ld = j->rows.stride[0], step = j->half ? 2 : j->item;
  for (int64_t k = 0; k < len; k++) at[k] = (uint32_t)first;
  memcpy(best, as_floats(j, x, len, scratch), (size_t)(len * j->item));
  for (int64_t r = 0; r < rows && j->half; r += HALF_ROWS) {
    int64_t m = at_most(HALF_ROWS, rows - r);
    for (int64_t i = 0; i < m; i++) as_floats(j, x + (r + i) * ld * step, len, scratch + i * len);
    j->arg->cols[j->which](m, len, len, (uint32_t)(first + r), best, at, scratch);
  }
  if (!j->half) j->arg->cols[j->which](rows, len, ld, (uint32_t)first, best, at, x);
}

static void column_range(void *ctx, int64_t begin, int64_t end) {
  const arg_job *j = ctx;
  alignas(64) char best[STRIP * 8];
  mx_cursor at;
  for (int64_t i = begin; i < end; i++) {
    int64_t k = i % j->strips * STRIP, len = at_most(STRIP, j->columns - k), c = i / j->strips % j->chunks, a = i / j->strips / j->chunks;
    int64_t first = c * j->per, rows = at_most(j->per, j->rows.n[0] - first), to = (a * j->chunks + c) * j->columns + k;
    mx_walk_seek(&j->rows.walk, &at, a);
    const char *x = mx_at(j->in, at.off[0] + first * j->rows.stride[0] + k);
    if (j->chunks > 1) arg_strip(j, x, first, rows, len, j->best + to * j->item, j->at + to);
    else arg_strip(j, x, first, rows, len, best, (uint32_t *)j->out->data + at.off[1] + k);
  }
}

/* The best of the chunks. */
static void join_chunks(const arg_job *j) {
  int64_t n = j->columns, size = j->chunks * n;
  mx_cursor at;
  for (int64_t a = 0; a < j->rows.walk.n; a++) {
    char *best = j->best + a * size * j->item;
    uint32_t *index = j->at + a * size, chunk[STRIP];
    mx_walk_seek(&j->rows.walk, &at, a);
    for (int64_t k = 0; k < n; k += STRIP) {
      int64_t len = at_most(STRIP, n - k);
      memset(chunk, 0, (size_t)len * sizeof *chunk);
      j->arg->cols[j->which](j->chunks - 1, len, n, 1, best + k * j->item, chunk, best + (n + k) * j->item);
      for (int64_t i = 0; i < len; i++) ((uint32_t *)j->out->data)[at.off[1] + k + i] = index[chunk[i] * n + k + i];
    }
  }
}

/* How rows are read, and in how many chunks. False: element by element. */
static bool plan(arg_job *j) {
  mx_walk *w = &j->rows.walk;
  int64_t R = j->rows.n[0], s[MX_WALK_OPERANDS];
  j->columns = j->strips = j->chunks = 1;
  j->per = R;
  if (!j->arg->find || R < 2) return false;
  if (j->rows.stride[0] == 1) {
    if (R < SHORT) return false;
    if (R > 2 * CHUNK) j->per = CHUNK;
  } else {
    int d = w->nd - 1;
    if (d < 0 || w->shape[d] < FEW || w->stride[0][d] != 1 || w->stride[1][d] != 1) return false;
    j->columns = mx_walk_pop(w, s);
    j->strips = (j->columns + STRIP - 1) / STRIP;
    int64_t wanted = 16 / (w->n * j->strips); /* chunks, so that there is work for several threads */
    j->per = wanted > 1 ? (R + wanted - 1) / wanted : R;
    if (j->per * j->columns < CHUNK) j->per = at_most(R, CHUNK / j->columns);
  }
  j->chunks = (R + j->per - 1) / j->per;
  return true;
}

static int arg_run(const mx_call *c, arg_fn fn, int which) {
  mx_dtype t = c->in->dtype;
  arg_job j = {.in = c->in, .out = c->out, .fn = fn, .which = which, .half = t == MX_F16 ? 1 : t == MX_BF16 ? 2 : 0};
  if (!c->out->size) return 0;
  mx_rows_init(&j.rows, c->in, c->out, (int)c->p[0]);
  j.item = mx_tag_sizes[mx_dtype_tags[t]];
  j.arg = &mx_vec_now()->args[mx_dtype_tags[t]];
  j.reducer = mx_reducer_of(mx_isa_now, which ? OP_max : OP_min, mx_dtype_tags[t]);
  if (!plan(&j)) {
    mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), plain_range, &j);
    return 0;
  }
  int64_t items = j.rows.walk.n * j.chunks, work = j.per * at_most(j.columns, STRIP);
  if (j.chunks > 1) {
    if (!(j.best = mx_scratch((size_t)(items * j.columns * (j.item + 4) + 4)))) return mx_fail_memory();
    j.at = (uint32_t *)(void *)(j.best + (items * j.columns * j.item + 3) / 4 * 4);
  }
  mx_parallel(items * j.strips, work < CHUNK ? CHUNK / work : 1, j.rows.stride[0] == 1 ? row_range : column_range, &j);
  if (j.chunks > 1) join_chunks(&j);
  mx_scratch_free(j.best);
  return 0;
}

int mx_cpu_argmin(const mx_call *c) {
  static const arg_fn table[MX_DTYPES] = TABLE(argmin);
  return arg_run(c, table[c->in->dtype], 0);
}
int mx_cpu_argmax(const mx_call *c) {
  static const arg_fn table[MX_DTYPES] = TABLE(argmax);
  return arg_run(c, table[c->in->dtype], 1);
}
