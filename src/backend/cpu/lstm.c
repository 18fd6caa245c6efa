/* The LSTM and its gradient, all steps in one call. The weight is packed once and stays in L2; a step is one round of the pool: an item has
 * a block of units of a block of rows, makes what its gates need by a product with what all items left in the step before (the hidden
 * state, going back: the gates' cotangents), and goes on to the states while all this is in L1. */
#include <string.h>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { INPUT, FORGET, FRESH, OUTPUT, GATES };
enum {
  ROWS = 64, UNITS = 64,   /* of an item; UNITS is a multiple of a panel's width */
  AREAS = 8,               /* of an item's block: what one of its arrays takes */
  GAP = 16                 /* rows of what steps leave lie this much further apart: they share no lines of L1 */
};

typedef struct job {
  int64_t n, steps, h, across;       /* rows, steps, units; blocks of units */
  int64_t width, k, ld;              /* columns of a panel, its rows; from row to row of what a step leaves */
  const mx_packer *pack;
  mx_matrix w;                       /* (4H, H) */
  bool back;                         /* panels are columns of w, else of its transpose: for each gate */
  float *panels, *areas, *left[2];   /* what a step leaves, and what the one before left */
  const float *gates, *cells, *first, *dh, *dc; /* inputs; first: the cell before the first step; dc may be NULL */
  float *out[3];
  int64_t t;                         /* going back, -1 comes last: what is left for the states before the first step */
  _Atomic int rc;
} job;

/* An item's block. */
typedef struct block {
  int64_t row, rows, unit, units, size;
  float *area;
} block;

static block block_at(const job *j, int64_t item) {
  block b = {.row = item / j->across * ROWS, .unit = item % j->across * UNITS};
  b.rows = j->n - b.row < ROWS ? j->n - b.row : ROWS;
  b.units = j->h - b.unit < UNITS ? j->h - b.unit : UNITS;
  b.size = b.rows * b.units;
  b.area = j->areas + item * AREAS * ROWS * UNITS;
  return b;
}
static float *area(const block *b, int i) { return b->area + i * b->size; }

static void run(mx_opcode op, int64_t n, float *o, const float *a, const float *b) {
  mx_isa_now->loops[MX_TAG_f32][op]((size_t)n, o, a, b, NULL);
}

/* The block's part of an array (N, L, wide), from column `column` on, into an area; or from there. */
static void load(const job *j, const block *b, const float *x, int64_t t, int64_t wide, int64_t column, float *to) {
  for (int64_t r = 0; r < b->rows; r++)
    memcpy(to + r * b->units, x + ((b->row + r) * j->steps + t) * wide + column + b->unit, (size_t)b->units * sizeof *to);
}
static void store(const job *j, const block *b, float *x, int64_t t, int64_t wide, int64_t column, const float *from) {
  for (int64_t r = 0; r < b->rows; r++)
    memcpy(x + ((b->row + r) * j->steps + t) * wide + column + b->unit, from + r * b->units, (size_t)b->units * sizeof *x);
}
static void load_state(const job *j, const block *b, const float *x, float *to) {
  for (int64_t r = 0; r < b->rows; r++) memcpy(to + r * b->units, x + (b->row + r) * j->h + b->unit, (size_t)b->units * sizeof *to);
}
static void store_state(const job *j, const block *b, float *x, const float *from) {
  for (int64_t r = 0; r < b->rows; r++) memcpy(x + (b->row + r) * j->h + b->unit, from + r * b->units, (size_t)b->units * sizeof *x);
}
static void leave(const job *j, const block *b, int64_t column, const float *from) {
  for (int64_t r = 0; r < b->rows; r++)
    memcpy(j->left[0] + (b->row + r) * j->ld + column + b->unit, from + r * b->units, (size_t)b->units * sizeof *from);
}

/* ---- products ---- */

static int64_t panels_of(const job *j) { return (j->h + j->width - 1) / j->width; }

/* Items: (gate, panel). */
static void pack_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  const mx_packer *pack = j->pack;
  void *scratch = mx_scratch((size_t)pack->scratch);
  if (!scratch) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t gate = i / panels_of(j), unit = i % panels_of(j) * j->width, n = j->h - unit < j->width ? j->h - unit : j->width;
    for (int64_t k = 0; k < j->k; k += pack->depth) {
      int64_t column = j->back ? unit : k, row = j->back ? k : gate * j->h + unit;
      mx_matrix b = {(const float *)j->w.data + row * j->w.rs + column * j->w.cs, j->back ? j->w.rs : j->w.cs, j->back ? j->w.cs : j->w.rs};
      pack->pack(n, j->k - k < pack->depth ? j->k - k : pack->depth, 1, &b, j->panels + (i * j->k + k) * j->width, scratch);
    }
  }
  mx_scratch_free(scratch);
}

/* to += what the step before left, times the panels of the block's units. */
static void multiply(const job *j, const block *b, int gate, float *to) {
  const mx_vec *v = mx_vec_now();
  const int64_t at = 0, depth = j->pack->depth;
  for (int64_t u = 0; u < b->units; u += j->width) {
    const float *panel = j->panels + (gate * panels_of(j) + (b->unit + u) / j->width) * j->k * j->width;
    for (int64_t k = 0; k < j->k; k += depth) {
      mx_strip s = {j->ld, 1, j->k - k < depth ? j->k - k : depth, 1, &at, NULL, 0};
      v->strip_f32(b->rows, b->units - u < j->width ? b->units - u : j->width, &s, j->left[1] + b->row * j->ld + k, panel + k * j->width,
                   to + u, b->units, true);
    }
  }
}

static int start(job *j, const mx_call *c, const mx_view *w, bool back) {
  const mx_vec *v = mx_vec_now();
  j->n = c->in[0].shape[0], j->steps = c->in[0].shape[1], j->h = w->shape[1];
  j->back = back;
  j->pack = v->packed_f32;
  j->width = *v->panel / (int64_t)sizeof(float);
  j->w = (mx_matrix){w->data, w->strides[0], w->strides[1]};
  j->k = back ? GATES * j->h : j->h;
  j->ld = j->k + GAP;
  j->across = (j->h + UNITS - 1) / UNITS;
  const int64_t items = (j->n + ROWS - 1) / ROWS * j->across, packed = (back ? 1 : GATES) * panels_of(j);
  j->panels = mx_scratch((size_t)(packed * j->width * j->k + items * AREAS * ROWS * UNITS + 2 * j->n * j->ld) * sizeof(float));
  if (!j->panels) return MX_EMEMORY;
  j->areas = j->panels + packed * j->width * j->k;
  j->left[0] = j->areas + items * AREAS * ROWS * UNITS;
  j->left[1] = j->left[0] + j->n * j->ld;
  mx_parallel(packed, 4, pack_range, j);
  return j->rc;
}

static void step(job *j, int64_t t, void (*fn)(void *ctx, int64_t begin, int64_t end)) {
  j->t = t;
  mx_parallel((j->n + ROWS - 1) / ROWS * j->across, 1, fn, j);
  float *swap = j->left[0];
  j->left[0] = j->left[1], j->left[1] = swap;
}

/* The inputs in row order; copies are in copy[], which the caller frees. */
static int packed_inputs(const mx_call *c, int w, const float **in, void **copy) {
  for (int i = 0; i < c->nin; i++)
    if (i != w && !(in[i] = mx_packed(&c->in[i], &copy[i]))) return mx_error_kind();
  return 0;
}
static int ended(const mx_call *c, job *j, void **copy, int rc) {
  for (int i = 0; i < c->nin; i++) mx_scratch_free(copy[i]);
  mx_scratch_free(j->panels);
  return rc == MX_EMEMORY ? mx_fail_memory() : rc;
}

/* ---- forward ---- */

static void forward_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  const int64_t h = j->h;
  for (int64_t item = begin; item < end; item++) {
    block b = block_at(j, item);
    float *z = area(&b, 0), *cell = area(&b, GATES), *x = area(&b, GATES + 1);
    for (int q = 0; q < GATES; q++) {
      load(j, &b, j->gates, j->t, GATES * h, q * h, area(&b, q));
      multiply(j, &b, q, area(&b, q));
    }
    run(OP_sigmoid, 2 * b.size, z, z, NULL);
    run(OP_tanh, b.size, area(&b, FRESH), area(&b, FRESH), NULL);
    run(OP_sigmoid, b.size, area(&b, OUTPUT), area(&b, OUTPUT), NULL);
    if (!j->t) load_state(j, &b, j->first, cell);
    run(OP_multiply, b.size, cell, cell, area(&b, FORGET));
    run(OP_multiply, b.size, x, area(&b, INPUT), area(&b, FRESH));
    run(OP_add, b.size, cell, cell, x);
    run(OP_tanh, b.size, x, cell, NULL);
    run(OP_multiply, b.size, x, x, area(&b, OUTPUT));
    for (int q = 0; q < GATES; q++) store(j, &b, j->out[0], j->t, GATES * h, q * h, area(&b, q));
    store(j, &b, j->out[1], j->t, h, 0, x);
    store(j, &b, j->out[2], j->t, h, 0, cell);
    leave(j, &b, 0, x);
  }
}

int mx_cpu_lstm(const mx_call *c) {
  job j = {0};
  const float *in[4];
  void *copy[4] = {NULL};
  if (!c->out[0].size) return 0;
  int rc = packed_inputs(c, 1, in, copy);
  if (!rc) rc = start(&j, c, &c->in[1], false);
  if (rc) return ended(c, &j, copy, rc);
  j.gates = in[0], j.first = in[3];
  for (int i = 0; i < 3; i++) j.out[i] = c->out[i].data;
  for (int64_t r = 0; r < j.n; r++) memcpy(j.left[1] + r * j.ld, in[2] + r * j.h, (size_t)j.h * sizeof(float));
  for (int64_t t = 0; t < j.steps; t++) step(&j, t, forward_range);
  return ended(c, &j, copy, 0);
}

/* ---- back ---- */

static void back_range(void *ctx, int64_t begin, int64_t end) {
  enum { DC = GATES, DH, CELL, BEFORE }; /* areas */
  job *j = ctx;
  const int64_t h = j->h;
  for (int64_t item = begin; item < end; item++) {
    block b = block_at(j, item);
    float *dc = area(&b, DC), *dh = area(&b, DH), *cell = area(&b, CELL), *before = area(&b, BEFORE);
    if (j->t >= 0) load(j, &b, j->dh, j->t, h, 0, dh);
    else memset(dh, 0, (size_t)b.size * sizeof *dh);
    if (j->t < j->steps - 1) multiply(j, &b, 0, dh);
    else memset(dc, 0, (size_t)b.size * sizeof *dc);
    if (j->t < 0) {
      store_state(j, &b, j->out[1], dh);
      store_state(j, &b, j->out[2], dc);
      continue;
    }
    if (j->dc) {
      load(j, &b, j->dc, j->t, h, 0, cell);
      run(OP_add, b.size, dc, dc, cell);
    }
    for (int q = 0; q < GATES; q++) load(j, &b, j->gates, j->t, GATES * h, q * h, area(&b, q));
    load(j, &b, j->cells, j->t, h, 0, cell);
    if (j->t) load(j, &b, j->cells, j->t - 1, h, 0, before);
    else load_state(j, &b, j->first, before);
    run(OP_tanh, b.size, cell, cell, NULL);
    mx_vec_now()->lstm_back(b.size, area(&b, 0), before, cell, dh, dc);
    for (int q = 0; q < GATES; q++) {
      store(j, &b, j->out[0], j->t, GATES * h, q * h, area(&b, q));
      leave(j, &b, q * h, area(&b, q));
    }
  }
}

int mx_cpu_lstm_vjp(const mx_call *c) {
  job j = {0};
  const float *in[6] = {NULL};
  void *copy[6] = {NULL};
  if (!c->out[0].size) return 0;
  int rc = packed_inputs(c, 3, in, copy);
  if (!rc) rc = start(&j, c, &c->in[3], true);
  if (rc) return ended(c, &j, copy, rc);
  j.gates = in[0], j.cells = in[1], j.first = in[2], j.dh = in[4], j.dc = in[5];
  for (int i = 0; i < 3; i++) j.out[i] = c->out[i].data;
  for (int64_t t = j.steps - 1; t >= -1; t--) step(&j, t, back_range);
  return ended(c, &j, copy, 0);
}
