/* Products of few rows with a large matrix: bound by reading it once. Those of few columns are the same, seen from the other side. */
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
  DEPTH = 256                      /* rows of w that are added one after the other; such sums are added up */
};

typedef struct thin_job {
  const mx_product *p;
  const mx_walk *batch;
  int64_t rows, n, k, item;  /* rows of x, columns of w */
  mx_matrix x, w, c;         /* c: (rows, n) */
  int64_t row, column;       /* strides of the result */
  bool turned, swapped;      /* w's columns are contiguous; x is b, and w a */
  mx_few_fn fn;
  float *xs;                 /* the rows of all batches as floats, ldx apart, or NULL: they are */
  int64_t ldx;
  int64_t each, chunks;      /* columns of an item */
  _Atomic int rc;
} thin_job;

static mx_matrix turn(mx_matrix x) { return (mx_matrix){x.data, x.cs, x.rs}; }

static bool thin_init(thin_job *j, const mx_product *p) {
  *j = (thin_job){.p = p, .rows = p->m, .n = p->n, .k = p->k, .item = (int64_t)mx_dtype_sizes[p->t], .x = p->a, .w = p->b, .c = p->c,
                  .row = p->n, .column = 1};
  if (p->t != MX_F32 && p->t != MX_F16 && p->t != MX_BF16) return false;
  j->swapped = p->m > MX_FEW || (p->n < p->m && p->n <= MX_FEW);
  if (j->swapped) {
    j->rows = p->n, j->n = p->m;
    j->x = turn(p->b), j->w = turn(p->a), j->c = turn(p->c);
    j->row = 1, j->column = p->n;
  }
  if (j->rows > MX_FEW || j->n * j->k < LEAST || j->k < 4) return false;
  j->turned = j->w.rs == 1 && j->w.cs != 1;
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

static void thin_range(void *ctx, int64_t begin, int64_t end) {
  thin_job *j = ctx;
  const mx_product *p = j->p;
  float *sums = mx_scratch((size_t)((2 * MX_FEW + 2) * j->each) * sizeof *sums), *part = sums + MX_FEW * j->each, *row = part + MX_FEW * j->each;
  if (!sums) {
    j->rc = MX_EMEMORY;
    return;
  }
  char *typed = (char *)(row + j->each);
  for (int64_t i = begin; i < end; i++) {
    int64_t at = i / j->chunks, n0 = i % j->chunks * j->each, n = j->n - n0 < j->each ? j->n - n0 : j->each;
    mx_cursor cursor;
    mx_walk_seek(j->batch, &cursor, at);
    const float *x = j->xs ? j->xs + at * j->rows * j->ldx : (const float *)j->x.data + cursor.off[j->swapped];
    const char *c = j->c.data;
    const char *w = (const char *)j->w.data + (cursor.off[!j->swapped] + n0 * j->w.cs) * j->item;
    char *out = (char *)p->out + (at * p->m * p->n + n0 * j->column) * j->item;
    int64_t depth = j->turned ? j->k : DEPTH;
    for (int64_t p0 = 0; p0 < j->k; p0 += depth) {
      int64_t np = j->k - p0 < depth ? j->k - p0 : depth;
      j->fn(n, np, x + p0, j->ldx, w + p0 * j->w.rs * j->item, j->turned ? j->w.cs : j->w.rs, p0 ? part : sums, j->each);
      for (int64_t r = 0; p0 && r < j->rows; r++)
        for (int64_t q = 0; q < n; q++) sums[r * j->each + q] += part[r * j->each + q];
    }
    if (c) c += (cursor.off[2] + n0 * j->c.cs) * j->item;
    for (int64_t r = 0; r < j->rows; r++, out += j->row * j->item)
      store_row(j, c ? c + r * j->c.rs * j->item : NULL, out, n, sums + r * j->each, row, typed);
  }
  mx_scratch_free(sums);
}

/* Rows of x as floats. */
static void load_range(void *ctx, int64_t begin, int64_t end) {
  const thin_job *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    mx_cursor cursor;
    mx_walk_seek(j->batch, &cursor, i / j->rows);
    const char *x = (const char *)j->x.data + (cursor.off[j->swapped] + i % j->rows * j->x.rs) * j->item;
    mx_load_f32(j->p->t, x, j->x.cs, j->k, j->xs + i * j->ldx);
  }
}

/* Rows of w^T of an item: eight runs of equal length of a small matrix, runs of WORK elements of a large one. */
static int64_t run_of_rows(const thin_job *j) {
  const int64_t all = j->n * j->k, even = j->rows > 6 ? 12 : 4;
  int64_t runs = all / WORK > 8 ? all / WORK : all / LEAST > 8 ? 8 : all / LEAST;
  int64_t each = ((j->n + runs - 1) / runs + even - 1) / even * even;
  return each > 1020 ? 1020 : each;
}

int mx_product_thin(const mx_product *p, const mx_walk *batch) {
  thin_job j;
  thin_init(&j, p);
  j.batch = batch;
  const mx_few_rows *kernels = mx_vec_now()->few_rows;
  int type = p->t == MX_F32 ? 0 : p->t == MX_F16 ? 1 : 2;
  j.fn = (j.turned ? kernels->turned : kernels->plain)[type][j.rows - 1];
  j.each = j.n >= 8192 ? 512 : 256; /* of rows of w: pieces that are long enough for the memory, and sums that stay in L1 */
  if (j.turned) j.each = run_of_rows(&j);
  j.chunks = (j.n + j.each - 1) / j.each;
  j.ldx = j.x.rs;
  /* rows a power of two apart share the same few lines of L1 */
  if (p->t != MX_F32 || j.x.cs != 1 || (j.rows > 1 && j.ldx * 4 % 1024 == 0)) {
    j.ldx = j.k + 16;
    if (!(j.xs = mx_scratch((size_t)(batch->n * j.rows * j.ldx) * sizeof *j.xs))) return MX_EMEMORY;
    mx_parallel(batch->n * j.rows, (1 << 15) / j.k + 1, load_range, &j);
  }
  int64_t items = batch->n * j.chunks;
  mx_parallel(items, items <= 16 ? 1 : (1 << 16) / (j.each * j.k) + 1, thin_range, &j);
  mx_scratch_free(j.xs);
  return j.rc;
}
