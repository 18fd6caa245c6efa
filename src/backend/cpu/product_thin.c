/* Products of few rows with a large matrix: bound by reading it once. Those of few columns are the same, seen from the other side. Somewhat more
 * rows go through it in groups, while a piece of it is in L2, if it is transposed: packing it takes longer. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/product.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  LEAST = 1 << 14, WORK = 1 << 18, /* elements of the matrix: at all, and of an item */
  LARGE = 1 << 22, ITEMS = 16,     /* elements of one that is cut so that rows are read in long runs, into so many items */
  DEPTH = 256,                     /* rows of w that are added one after the other; such sums are added up */
  LONG = 512, GROUPS = 4           /* so many times MX_FEW rows by a transposed w whose rows are that long cost less than packing it */
};

typedef struct thin_job {
  const mx_product *p;
  const mx_walk *batch;
  int64_t rows, n, k, item;  /* rows of x, columns of w */
  mx_matrix x, w, c;         /* c: (rows, n) */
  int64_t row, column;       /* strides of the result */
  bool turned, swapped;      /* w's columns are contiguous; x is b, and w a */
  mx_few_fn fn[2];           /* for `rows` / groups rows, and one more */
  int64_t groups;            /* of rows, as even as they come */
  bool pairs;                /* fn takes x as it is, of bf16 */
  char *xs;                  /* the rows of all batches as fn takes them, ldx apart, or NULL: they are */
  int64_t ldx, item_x;
  int64_t each, chunks;      /* columns of an item */
  int64_t deep, parts;       /* rows of w of an item */
  float *sums;               /* of the parts, where there are several, then room to store them */
} thin_job;

typedef struct thin_set {
  int n;
  thin_job j[MX_JOINED];
  int64_t start[MX_JOINED + 1]; /* of their items among all */
  size_t room;               /* numbers that a range needs */
  _Atomic int rc;
} thin_set;

static mx_matrix turn(mx_matrix x) { return (mx_matrix){x.data, x.cs, x.rs}; }

static bool thin_init(thin_job *j, const mx_product *p) {
  *j = (thin_job){.p = p, .rows = p->m, .n = p->n, .k = p->k, .item = (int64_t)mx_dtype_sizes[p->t], .x = p->a, .w = p->b, .c = p->c,
                  .row = p->n, .column = 1};
  if (p->t != MX_F32 && p->t != MX_F16 && p->t != MX_BF16) return false;
  j->swapped = p->n < p->m;
  if (j->swapped) {
    j->rows = p->n, j->n = p->m;
    j->x = turn(p->b), j->w = turn(p->a), j->c = turn(p->c);
    j->row = 1, j->column = p->n;
  }
  j->turned = j->w.rs == 1 && j->w.cs != 1;
  if (j->rows > (j->turned && j->k >= LONG ? MX_FEW * GROUPS : MX_FEW) || j->n * j->k < LEAST || j->k < 4) return false;
  return j->turned || j->w.cs == 1;
}

bool mx_product_is_thin(const mx_product *p) {
  thin_job j;
  return thin_init(&j, p);
}

/* Row i of an item's sums, from column n0 on, into the result. typed, row: room for n numbers. */
static void store_row(const thin_job *j, const char *c, char *out, int64_t n, float *sums, float *row, char *typed) {
  const mx_product *p = j->p;
  if (p->alpha != 1)
    for (int64_t q = 0; q < n; q++) sums[q] *= (float)p->alpha;
  if (c) {
    mx_load_f32(p->t, c, j->c.cs, n, row);
    for (int64_t q = 0; q < n; q++) sums[q] += (float)p->beta * row[q];
  }
  mx_store_f32(p->t, sums, n, j->column == 1 ? out : typed);
  if (j->column == 1) return;
  if (j->item == 4) for (int64_t q = 0; q < n; q++) memcpy(out + q * j->column * 4, typed + q * 4, 4);
  else for (int64_t q = 0; q < n; q++) memcpy(out + q * j->column * 2, typed + q * 2, 2);
}

/* Rows of x times n columns of w from p0 to end, into sums; part: room for as many. */
static void add_up(const thin_job *j, int64_t rows, int64_t n, int64_t p0, int64_t end, const char *x, const char *w, float *sums, float *part) {
  const mx_few_fn fn = j->fn[rows > j->rows / j->groups];
  const int64_t depth = j->turned ? j->k : DEPTH, ldw = j->turned ? j->w.cs : j->w.rs;
  for (int64_t p = p0; p < end; p += depth) {
    int64_t np = end - p < depth ? end - p : depth;
    fn(n, np, x + p * j->item_x, j->ldx, w + p * j->w.rs * j->item, ldw, p > p0 ? part : sums, j->each);
    for (int64_t r = 0; p > p0 && r < rows; r++)
      for (int64_t q = 0; q < n; q++) sums[r * j->each + q] += part[r * j->each + q];
  }
}

/* `rows` rows of sums, `each` apart, into those of the result from row r0 and column n0 on. row: room for 2 each floats. */
static void store_rows(const thin_job *j, int64_t at, int64_t r0, int64_t rows, int64_t n0, float *sums, float *row) {
  const mx_product *p = j->p;
  const int64_t n = j->n - n0 < j->each ? j->n - n0 : j->each;
  mx_cursor cursor;
  mx_walk_seek(j->batch, &cursor, at);
  for (int64_t r = r0; r < r0 + rows; r++, sums += j->each) {
    const char *c = j->c.data;
    if (c) c += (cursor.off[2] + r * j->c.rs + n0 * j->c.cs) * j->item;
    store_row(j, c, (char *)p->out + (at * p->m * p->n + r * j->row + n0 * j->column) * j->item, n, sums, row, (char *)(row + j->each));
  }
}

static int64_t rows_at_once(const thin_job *j) { return j->rows < MX_FEW ? j->rows : MX_FEW; }

/* An item: (batch, columns, part of k). room: numbers for the sums of rows_at_once twice, and two rows */
static void thin_item(const thin_job *j, int64_t i, float *room) {
  float *part = room + rows_at_once(j) * j->each, *row = part + rows_at_once(j) * j->each;
  int64_t at = i / j->parts / j->chunks, n0 = i / j->parts % j->chunks * j->each, n = j->n - n0 < j->each ? j->n - n0 : j->each;
  int64_t p0 = i % j->parts * j->deep, p1 = j->k - p0 < j->deep ? j->k : p0 + j->deep;
  float *sums = j->sums ? j->sums + i * j->rows * j->each : room;
  mx_cursor cursor;
  mx_walk_seek(j->batch, &cursor, at);
  const char *x = j->xs ? j->xs + at * j->rows * j->ldx * j->item_x : (const char *)j->x.data + cursor.off[j->swapped] * j->item_x;
  const char *w = (const char *)j->w.data + (cursor.off[!j->swapped] + n0 * j->w.cs) * j->item;
  for (int64_t g = j->groups, r = 0, rows; g; g--, r += rows) {
    rows = (j->rows - r) / g;
    add_up(j, rows, n, p0, p1, x + r * j->ldx * j->item_x, w, sums, part);
    if (!j->sums) store_rows(j, at, r, rows, n0, sums, row);
  }
}

static void thin_range(void *ctx, int64_t begin, int64_t end) {
  thin_set *s = ctx;
  _Alignas(64) float near[4096];
  float *room = mx_scratch_near(near, sizeof near, s->room * sizeof *room);
  if (!room) {
    s->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin, q = 0; i < end; i++) {
    while (i >= s->start[q + 1]) q++;
    thin_item(&s->j[q], i - s->start[q], room);
  }
  mx_scratch_leave(room, near);
}

/* The sums of the parts of k, added up. Items: (batch, columns). */
static void join_range(void *ctx, int64_t begin, int64_t end) {
  thin_job *j = ctx;
  const int64_t size = j->rows * j->each;
  for (int64_t i = begin; i < end; i++) {
    float *sums = j->sums + i * j->parts * size;
    for (int64_t part = 1; part < j->parts; part++)
      for (int64_t r = 0; r < j->rows; r++)
        for (int64_t q = 0, n0 = i % j->chunks * j->each; q < j->each && n0 + q < j->n; q++) sums[r * j->each + q] += sums[part * size + r * j->each + q];
    store_rows(j, i / j->chunks, 0, j->rows, i % j->chunks * j->each, sums, j->sums + j->chunks * j->batch->n * j->parts * size + 2 * i * j->each);
  }
}

/* Rows of x. */
static void load_range(void *ctx, int64_t begin, int64_t end) {
  const thin_job *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    mx_cursor cursor;
    mx_walk_seek(j->batch, &cursor, i / j->rows);
    const char *x = (const char *)j->x.data + (cursor.off[j->swapped] + i % j->rows * j->x.rs) * j->item;
    char *o = j->xs + i * j->ldx * j->item_x;
    if (!j->pairs) {
      mx_load_f32(j->p->t, x, j->x.cs, j->k, (float *)(void *)o);
      continue;
    }
    for (int64_t p = 0; p < j->k; p++) memcpy(o + 2 * p, x + 2 * p * j->x.cs, 2);
    memset(o + 2 * j->k, 0, 2 * MX_FEW_PAD);
  }
}

/* Rows of w^T of an item: eight runs of equal length of a small matrix, runs of WORK elements of a large one; of several groups what stays in
 * L2. */
static int64_t run_of_rows(const thin_job *j) {
  const int64_t all = j->n * j->k, even = j->rows > 6 ? 12 : 4, work = j->groups > 1 && j->item == 4 ? WORK / 2 : WORK;
  int64_t runs = all / work > 8 ? all / work : all / LEAST > 8 ? 8 : all / LEAST;
  int64_t each = ((j->n + runs - 1) / runs + even - 1) / even * even;
  return each > 1020 ? 1020 : each;
}

/* What an item is: of rows of w pieces that are long enough for the memory, and sums that stay in L1. */
static void cut(thin_job *j) {
  const bool large = !j->turned && j->n * j->k >= LARGE;
  j->each = large ? (j->rows <= 2 ? 2048 : j->rows <= 4 ? 1024 : 512) : j->n >= 8192 ? 512 : 256;
  if (j->turned) j->each = run_of_rows(j);
  j->chunks = (j->n + j->each - 1) / j->each;
  j->parts = large ? (ITEMS + j->chunks - 1) / j->chunks : 1;
  j->deep = ((j->k + j->parts - 1) / j->parts + DEPTH - 1) / DEPTH * DEPTH;
  j->parts = (j->k + j->deep - 1) / j->deep;
}

/* The kernels of a product. */
static void choose(thin_job *j) {
  const mx_product *p = j->p;
  const mx_few_rows *kernels = mx_vec_now()->few_rows;
  j->groups = (j->rows + MX_FEW - 1) / MX_FEW;
  const mx_few_pairs *pairs = p->t == MX_BF16 && j->rows / j->groups >= MX_FEW_PAIRS ? mx_vec_now()->few_pairs() : NULL;
  int type = p->t == MX_F32 ? 0 : p->t == MX_F16 ? 1 : 2;
  for (int64_t i = 0, rows = j->rows / j->groups; i < 2 && rows <= MX_FEW; i++, rows++)
    if (pairs) j->fn[i] = (j->turned ? pairs->turned : pairs->plain)[rows - MX_FEW_PAIRS];
    else j->fn[i] = (j->turned ? kernels->turned : kernels->plain)[type][rows - 1];
  j->pairs = pairs;
  j->item_x = pairs ? 2 : 4;
}

bool mx_products_join(int n, const mx_product *p) {
  thin_job j;
  for (int q = 0; q < n; q++)
    if (!thin_init(&j, &p[q]) || j.swapped || !j.turned || p[q].t != p->t || p[q].m != p->m || p[q].k != p->k || p[q].a.data != p->a.data)
      return false;
  return n <= MX_JOINED;
}

/* Rows of x as the kernels take them, for all n. near: room for `room` bytes */
static int load(thin_set *s, void *near, size_t room) {
  thin_job *j = s->j;
  j->ldx = j->x.rs;
  /* rows a power of two apart share the same few lines of L1 */
  if (j->p->t != MX_F32 || j->x.cs != 1 || (j->rows > 1 && j->ldx * 4 % 1024 == 0)) {
    j->ldx = j->k + MX_FEW_PAD;
    if (!(j->xs = mx_scratch_near(near, room, (size_t)(j->batch->n * j->rows * j->ldx * j->item_x)))) return MX_EMEMORY;
    mx_parallel(j->batch->n * j->rows, (1 << 15) / j->k + 1, load_range, j);
  }
  for (int q = 1; q < s->n; q++) s->j[q].xs = j->xs, s->j[q].ldx = j->ldx;
  return 0;
}

int mx_products_thin(int n, const mx_product *p, const mx_walk *batch) {
  _Alignas(64) char near[8192];
  thin_set s;
  s.rc = 0;
  s.n = n, s.room = 0, s.start[0] = 0;
  for (int q = 0; q < n; q++) {
    thin_job *j = &s.j[q];
    thin_init(j, &p[q]);
    j->batch = batch;
    choose(j);
    cut(j);
    s.start[q + 1] = s.start[q] + batch->n * j->chunks * j->parts;
    size_t room = (size_t)((2 * rows_at_once(j) + 2) * j->each);
    if (room > s.room) s.room = room;
  }
  thin_job *j = s.j;
  if (load(&s, near, sizeof near)) return MX_EMEMORY;
  int64_t columns = batch->n * j->chunks, items = s.start[n];
  /* of several products none has parts */
  if (j->parts > 1 && !(j->sums = mx_scratch((size_t)((items * j->rows + 2 * columns) * j->each) * sizeof *j->sums))) s.rc = MX_EMEMORY;
  if (!s.rc) mx_parallel(items, items <= 16 ? 1 : (1 << 16) / (j->each * j->k) + 1, thin_range, &s);
  if (!s.rc && j->sums) mx_parallel(columns, 1, join_range, j);
  mx_scratch_free(j->sums);
  mx_scratch_leave(j->xs, near);
  return s.rc;
}
