/* gather_mm: products that share a matrix of b are put together, so that each such matrix meets one tall product (or several, of a fixed
 * height, for the pool). */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { ROWS = 192, COLUMNS = 512 }; /* of a tile */

/* Products [first, last) of the order, with one matrix of b. */
typedef struct part {
  int64_t first, last;
} part;

typedef struct gather_job {
  const mx_view *a, *b, *out;
  const int64_t *l, *r;    /* as places */
  const int64_t *order;    /* the products by their matrix of b, then by their own place */
  const part *parts;
  int64_t m, n, k, tiles;  /* tiles: of columns, a part */
  _Atomic int rc;
} gather_job;

static int multiply(const gather_job *j, int64_t m, int64_t n, const mx_matrix *a, const mx_matrix *b, void *c, int64_t ldc) {
  const mx_vec *v = mx_vec_now();
  switch (j->out->dtype) {
    case MX_F16: return v->gemm_f16(m, n, j->k, 1, a, b, 0, c, ldc);
    case MX_BF16: return v->gemm_bf16(m, n, j->k, 1, a, b, 0, c, ldc);
    default: return mx_gemm((mx_dtype)j->out->dtype, m, n, j->k, 1, *a, *b, 0, c, ldc);
  }
}

/* The matrix of a of product i, row by row, as (m, k). */
static void copy_matrix(const gather_job *j, int64_t i, char *o, size_t item) {
  const int64_t *s = j->a->strides;
  for (int64_t r = 0; r < j->m; r++, o += (size_t)j->k * item) {
    const char *row = mx_at(j->a, j->l[i] * s[0] + r * s[1]);
    if (s[2] == 1) memcpy(o, row, (size_t)j->k * item);
    else for (int64_t p = 0; p < j->k; p++) memcpy(o + (size_t)p * item, row + p * s[2] * (int64_t)item, item);
  }
}

static void part_range(void *ctx, int64_t begin, int64_t end) {
  gather_job *j = ctx;
  mx_dtype t = (mx_dtype)j->out->dtype;
  size_t item = mx_dtype_sizes[t], sum = item == 2 ? 4 : item;
  const int64_t *sa = j->a->strides, *sb = j->b->strides;
  for (int64_t q = begin; q < end; q++) {
    part p = j->parts[q / j->tiles];
    int64_t n0 = q % j->tiles * COLUMNS, n = j->n - n0 < COLUMNS ? j->n - n0 : COLUMNS, rows = (p.last - p.first) * j->m;
    char *left = mx_scratch(((size_t)(rows * j->k) * item + 63) / 64 * 64 + (size_t)(rows * n) * sum);
    if (!left) {
      j->rc = MX_EMEMORY;
      return;
    }
    char *sums = left + ((size_t)(rows * j->k) * item + 63) / 64 * 64;
    mx_matrix a = {left, j->k, 1};
    if (p.last - p.first == 1) a = (mx_matrix){mx_at(j->a, j->l[j->order[p.first]] * sa[0]), sa[1], sa[2]};
    else
      for (int64_t i = p.first; i < p.last; i++) copy_matrix(j, j->order[i], left + (size_t)((i - p.first) * j->m * j->k) * item, item);
    mx_matrix b = {mx_at(j->b, j->r[j->order[p.first]] * sb[0] + n0 * sb[2]), sb[1], sb[2]};
    int rc = multiply(j, rows, n, &a, &b, sums, n);
    if (rc) j->rc = rc;
    for (int64_t i = 0; i < rows && !rc; i++) {
      char *o = mx_at(j->out, (j->order[p.first + i / j->m] * j->m + i % j->m) * j->n + n0);
      const char *from = sums + (size_t)(i * n) * sum;
      if (item == 2) mx_store_f32(t, (const float *)(const void *)from, n, o);
      else memcpy(o, from, (size_t)n * item);
    }
    mx_scratch_free(left);
  }
}

/* Indices as places; an error names the first that is out of bounds. */
static int places(const mx_view *index, int64_t dim, int64_t *o) {
  int64_t bad = mx_index_places(index, 0, index->strides[0], index->size, &(mx_index_axis){dim, dim, 1, 0}, false, o);
  if (bad < 0) return 0;
  return mx_fail(MX_EINDEX, "[gather_mm] index %lld is out of bounds for axis 0 with size %lld",
                 (long long)mx_index_at(index, bad * index->strides[0]), (long long)dim);
}

/* The products in the order of their matrices of b (a counting sort), and cut into parts; how many. */
static int64_t group(const gather_job *j, int64_t count, int64_t matrices, int64_t *starts, int64_t *order, part *parts) {
  int64_t per = ROWS / (j->m ? j->m : 1), found = 0;
  if (per < 1) per = 1;
  memset(starts, 0, (size_t)(matrices + 1) * sizeof *starts);
  for (int64_t i = 0; i < count; i++) starts[j->r[i] + 1]++;
  for (int64_t q = 0; q < matrices; q++) starts[q + 1] += starts[q];
  for (int64_t i = 0; i < count; i++) order[starts[j->r[i]]++] = i;
  for (int64_t i = 0; i < count;) {
    int64_t last = i + 1;
    while (last < count && last < i + per && j->r[order[last]] == j->r[order[i]]) last++;
    parts[found++] = (part){i, last};
    i = last;
  }
  return found;
}

int mx_cpu_gather_mm(const mx_call *c) {
  const mx_view *a = &c->in[0], *b = &c->in[1], *out = c->out;
  int64_t count = out->shape[0], matrices = b->shape[0];
  int rc;
  gather_job j = {.a = a, .b = b, .out = out, .m = out->shape[1], .n = out->shape[2], .k = a->shape[2]};
  if (!count) return 0;
  int64_t *l = mx_scratch((size_t)(5 * count + matrices + 1) * sizeof *l);
  if (!l) return mx_fail_memory();
  int64_t *r = l + count, *order = r + count, *starts = order + 3 * count;
  part *parts = (part *)(void *)(order + count);
  j.l = l, j.r = r, j.order = order, j.parts = parts;
  if ((rc = places(&c->in[2], a->shape[0], l)) || (rc = places(&c->in[3], matrices, r)) || !out->size) goto done;
  int64_t found = group(&j, count, matrices, starts, order, parts);
  j.tiles = (j.n + COLUMNS - 1) / COLUMNS;
  double work = (double)j.m * (double)j.n * (double)(j.k + 1) * (double)count / (double)(found * j.tiles);
  mx_parallel(found * j.tiles, work > 1 << 18 ? 1 : (int64_t)((1 << 18) / work) + 1, part_range, &j);
  if (j.rc) rc = mx_fail_memory();
done:
  mx_scratch_free(l);
  return rc;
}
