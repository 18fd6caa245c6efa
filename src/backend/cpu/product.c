/* Large products: b is packed once by all threads, then tiles of the result are made, each reading rows of a that it copies to where they
 * share no lines of the cache. Where one tile has all rows, it packs what it needs of b itself, and that stays in L2. What is added to the
 * product is added tile by tile. Tiles and parts follow the shape alone. */
#include "backend/cpu/product.h"

#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  PANELS = 1 << 24,          /* bytes of b that are packed at a time */
  COLUMNS = 256,             /* of b, that are packed by one item */
  ITEMS = 24,                /* that the pool should have */
  TILE_M = 112, TILE_N = 512
};

typedef struct packed_job {
  const mx_product *p;
  const mx_packer *kernel;
  int64_t item;              /* of the factors and the result, in bytes */
  double pack_alpha, round_alpha;
  char *panels;              /* of `columns` columns from `first` on, filled up to whole panels: for each part of k */
  int64_t first, columns, padded;
  int64_t tm, tn, tiles_n;
  bool alone;                /* every tile packs its own columns */
  _Atomic int rc;
} packed_job;

static mx_matrix part(const packed_job *j, const mx_matrix *x, int64_t row, int64_t column) {
  return (mx_matrix){(const char *)x->data + (row * x->rs + column * x->cs) * j->item, x->rs, x->cs};
}

/* Where the panels of part p0 of k begin at a column of `first` on. */
static char *panel(const packed_job *j, int64_t p0, int64_t np, int64_t column) {
  int64_t even = j->kernel->item == 2 ? np + np % 2 : np;
  return j->panels + (p0 * j->padded + column * even) * j->kernel->item;
}

/* Items: (part of k, columns). */
static void pack_range(void *ctx, int64_t begin, int64_t end) {
  packed_job *j = ctx;
  const mx_product *p = j->p;
  const int64_t depth = j->kernel->depth, each = (j->columns + COLUMNS - 1) / COLUMNS;
  void *scratch = mx_scratch((size_t)j->kernel->scratch);
  if (!scratch) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t p0 = i / each * depth, np = p->k - p0 < depth ? p->k - p0 : depth, n0 = i % each * COLUMNS;
    mx_matrix b = part(j, &p->b, p0, j->first + n0);
    j->kernel->pack(j->columns - n0 < COLUMNS ? j->columns - n0 : COLUMNS, np, j->pack_alpha, &b, panel(j, p0, np, n0), scratch);
  }
  mx_scratch_free(scratch);
}

void mx_product_round(mx_dtype t, int64_t m, int64_t n, double alpha, float *sums, double beta, const mx_matrix *c, void *out, int64_t ldo,
                      float *row) {
  const int64_t item = (int64_t)mx_dtype_sizes[t];
  for (int64_t r = 0; r < m; r++, sums += n) {
    if (alpha != 1)
      for (int64_t q = 0; q < n; q++) sums[q] *= (float)alpha;
    if (c->data) {
      mx_load_f32(t, (const char *)c->data + r * c->rs * item, c->cs, n, row);
      for (int64_t q = 0; q < n; q++) sums[q] += (float)beta * row[q];
    }
    mx_store_f32(t, sums, n, (char *)out + r * ldo * item);
  }
}

void mx_product_start(mx_dtype t, int64_t m, int64_t n, double beta, const mx_matrix *c, void *out, int64_t ldo) {
  for (int64_t r = 0; r < m; r++) {
    if (t == MX_F64) {
      double *o = (double *)out + r * ldo;
      mx_load_f64(t, (const double *)c->data + r * c->rs, c->cs, n, o);
      for (int64_t q = 0; beta != 1 && q < n; q++) o[q] *= beta;
    } else {
      float *o = (float *)out + r * ldo;
      mx_load_f32(t, (const float *)c->data + r * c->rs, c->cs, n, o);
      for (int64_t q = 0; beta != 1 && q < n; q++) o[q] *= (float)beta;
    }
  }
}

static void tile_range(void *ctx, int64_t begin, int64_t end) {
  packed_job *j = ctx;
  const mx_product *p = j->p;
  const mx_packer *kernel = j->kernel;
  const bool round = j->item == 2;
  int64_t bytes = kernel->scratch_row * j->tm + kernel->scratch, own = j->alone ? (kernel->depth + 1) * (j->tn + kernel->width) * kernel->item : 0;
  char *scratch = mx_scratch((size_t)(bytes + own + (round ? (j->tm + 1) * j->tn * 4 : 0)));
  if (!scratch) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t m0 = i / j->tiles_n * j->tm, n0 = i % j->tiles_n * j->tn;
    int64_t m = p->m - m0 < j->tm ? p->m - m0 : j->tm, n = j->columns - n0 < j->tn ? j->columns - n0 : j->tn;
    char *out = (char *)p->out + (m0 * p->n + j->first + n0) * j->item;
    char *sums = round ? scratch + bytes + own : out;
    mx_matrix c = p->c;
    if (c.data) c = part(j, &p->c, m0, j->first + n0);
    if (c.data && !round) mx_product_start(p->t, m, n, p->beta, &c, sums, p->n);
    for (int64_t p0 = 0; p0 < p->k; p0 += kernel->depth) {
      int64_t np = p->k - p0 < kernel->depth ? p->k - p0 : kernel->depth;
      mx_matrix a = part(j, &p->a, m0, p0), b = part(j, &p->b, p0, n0);
      if (j->alone) kernel->pack(n, np, j->pack_alpha, &b, scratch + bytes, scratch);
      const int64_t left = p->k - p0 - np, next = left < kernel->depth ? left : kernel->depth;
      kernel->tile(m, n, np, next, &a, j->alone ? scratch + bytes : panel(j, p0, np, n0), sums, round ? n : p->n, p0 > 0 || (c.data && !round), scratch);
    }
    float *floats = (float *)(void *)sums;
    if (round) mx_product_round(p->t, m, n, j->round_alpha, floats, p->beta, &c, out, p->n, floats + j->tm * j->tn);
  }
  mx_scratch_free(scratch);
}

static const mx_packer *kernel_of(mx_dtype t) {
  const mx_vec *v = mx_vec_now();
  switch (t) {
    case MX_F32: return v->packed_f32;
    case MX_F64: return v->packed_f64;
    case MX_F16: return v->packed_f16;
    case MX_BF16: return v->packed_pairs() ? v->packed_pairs() : v->packed_bf16;
    default: return NULL;
  }
}

bool mx_product_is_large(const mx_product *p) {
  return kernel_of(p->t) && p->m > MX_FEW && p->n >= 32 && p->k >= 16 && (double)p->m * (double)p->n * (double)p->k >= 0x1p22;
}

int mx_product_packed(const mx_product *p) {
  packed_job j = {.p = p, .kernel = kernel_of(p->t), .item = (int64_t)mx_dtype_sizes[p->t]};
  const mx_packer *kernel = j.kernel;
  j.pack_alpha = j.item == 2 ? 1 : p->alpha;
  j.round_alpha = j.item == 2 ? p->alpha : 1;
  const int64_t width = kernel->width, k = p->k + p->k % 2;
  int64_t most = PANELS / (k * kernel->item) / TILE_N * TILE_N;
  j.alone = p->m <= TILE_M;
  if (j.alone) most = p->n;
  if (most < TILE_N) most = TILE_N;
  int64_t chunk = p->n < most ? p->n : most, height = kernel->height;
  const int64_t tiles_m = (p->m + TILE_M - 1) / TILE_M; /* as even as they come */
  j.tm = (p->m + tiles_m - 1) / tiles_m;
  j.tn = j.item == 8 ? TILE_N / 2 : TILE_N;
  if (j.alone) j.tm = p->m, j.tn = p->n < 1024 ? 64 : 256;
  while (!j.alone && (p->m + j.tm - 1) / j.tm * ((chunk + j.tn - 1) / j.tn) < ITEMS && (j.tn > 128 || j.tm > 2 * height)) {
    if (j.tn > 128) j.tn /= 2;
    else j.tm = (j.tm / 2 + height - 1) / height * height;
  }
  if (!j.alone && !(j.panels = mx_scratch((size_t)(k * ((chunk + width - 1) / width * width) * kernel->item)))) return MX_EMEMORY;
  for (j.first = 0; j.first < p->n && !j.rc; j.first += chunk) {
    j.columns = p->n - j.first < chunk ? p->n - j.first : chunk;
    j.padded = (j.columns + width - 1) / width * width;
    j.tiles_n = (j.columns + j.tn - 1) / j.tn;
    if (!j.alone) mx_parallel((p->k + kernel->depth - 1) / kernel->depth * ((j.columns + COLUMNS - 1) / COLUMNS), 1, pack_range, &j);
    if (!j.rc) mx_parallel((p->m + j.tm - 1) / j.tm * j.tiles_n, 1, tile_range, &j);
  }
  mx_scratch_free(j.panels);
  return j.rc;
}
