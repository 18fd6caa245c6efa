/* Products with quantized matrices. All become a list of jobs on rows of x as floats: so many rows times one matrix. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/index.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/quant.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct segment {
  mx_qmat_at at;         /* the matrix */
  int64_t row, rows;       /* of x and of the result */
} segment;

typedef struct product {
  mx_qmat m;
  bool transpose;
  mx_dtype t;              /* f32, or f64 */
  int64_t k, n;
  const void *x;           /* (rows, k) without gaps */
  void *y;                 /* (rows, n) */
  segment *segments;
  int64_t count;
  int64_t tile, tiles;     /* columns of the result */
  int64_t most;            /* rows of x that are few */
  bool many;               /* rows of matrices are unpacked in tiles */
  mx_quant_x few;          /* segments of few rows: */
  bool bf16;               /* so is x */
  const void *ordered;
  const float *sums;
  _Atomic int rc;
} product;

enum {
  DEPTH = 512, /* rows of a matrix that is not transposed, at a time */
  FEW = 8,     /* rows of x that a matrix which is not transposed is read for without packing */
  FAST = 32 << 10, /* bytes of x that stay close */
  RUN = 96 << 10, /* bytes of codes that are read in one go */
  NEAR = 8192,    /* bytes on the stack that do for one row */
};

static void unpack_rows(const product *p, const segment *s, int64_t r0, int64_t rows, int64_t c0, int64_t n, void *o) {
  for (int64_t r = 0; r < rows; r++) {
    if (p->t == MX_F64) mx_qmat_row_f64(&p->m, &s->at, r0 + r, c0, n, (double *)o + r * n);
    else mx_qmat_row_f32(&p->m, &s->at, r0 + r, c0, n, (float *)o + r * n);
  }
}

/* ---- few rows: each weight is read once and multiplied as it is unpacked ---- */

/* The element of a view, or NULL where there is no view. */
static const void *element(const mx_view *v, int64_t i) { return v ? mx_at(v, i) : NULL; }

/* Rows [r0, r0 + n) of the matrix with those of x, which lie in the order of the kernel behind one another; rows of y are ldy apart. */
static void dot_rows(const product *p, const segment *s, int64_t r0, int64_t n, float *scratch, float *y, int64_t ldy) {
  const mx_qmat *m = &p->m;
  int64_t groups = m->groups;
  mx_quant_w w = {.n = n, .bytes = mx_quant_words(&m->q, m->wide) * 4, .step = groups, .scratch = scratch};
  w.scale_type = m->scales->dtype;
  w.bias_type = m->biases ? m->biases->dtype : MX_F32;
  for (int64_t i = 0; i < s->rows; i += MX_QUANT_ROWS) {
    int64_t at = s->row + i, deep = p->k;
    mx_quant_x x = p->few;
    x.ldy = ldy;
    x.m = (int)(s->rows - i < MX_QUANT_ROWS ? s->rows - i : MX_QUANT_ROWS);
    if (x.m > 1) deep = FAST * p->k / (x.m * x.ld * x.item) / 128 * 128 + 128; /* what fits the L1 cache of x serves all n rows */
    for (int64_t k0 = 0; k0 < p->k; k0 += deep) {
      int64_t g0 = k0 / m->q.group;
      x.k = p->k - k0 < deep ? p->k - k0 : deep;
      x.groups = x.k / m->q.group;
      x.add = k0 > 0;
      x.x = (const char *)p->ordered + (at * x.ld + k0) * x.item;
      x.sums = p->sums + at * groups + g0;
      w.codes = (const uint8_t *)m->words->data + s->at.words * 4 + r0 * w.bytes + k0 * m->q.bits / 8;
      w.scales = element(m->scales, s->at.scales + r0 * groups + g0);
      w.biases = element(m->biases, s->at.biases + r0 * groups + g0);
      mx_vec_now()->quant->dot(&x, &w, y + i * ldy);
    }
  }
}

/* Columns [n0, n0 + n) of rows of x times a matrix that is not transposed: its rows are added up. */
static void sum_rows_unpacked(const product *p, const segment *s, int64_t n0, int64_t n, float *block) {
  enum { DEEP = 16 };
  int64_t bytes = mx_quant_words(&p->m.q, p->m.wide) * 4;
  const char *from = (const char *)p->m.words->data + s->at.words * 4 + n0 * p->m.q.bits / 8;
  for (int64_t i = 0; i < s->rows; i++) memset((float *)p->y + (s->row + i) * p->n + n0, 0, (size_t)n * sizeof(float));
  for (int64_t k0 = 0; k0 < p->k; k0 += DEEP) {
    int64_t k = p->k - k0 < DEEP ? p->k - k0 : DEEP;
    for (int64_t r = k0 + DEEP; r < k0 + 2 * DEEP && r < p->k; r++) /* pieces of rows: the machine does not foresee them */
      for (int64_t b = 0; b < n * p->m.q.bits / 8; b += 64) __builtin_prefetch(from + r * bytes + b);
    unpack_rows(p, s, k0, k, n0, n, block);
    for (int64_t i = 0; i < s->rows; i++)
      mx_vec_now()->quant->add_rows(k, n, (const float *)p->x + (s->row + i) * p->k + k0, block, (float *)p->y + (s->row + i) * p->n + n0);
  }
}

static void sum_rows(const product *p, const segment *s, int64_t n0, int64_t n, float *scratch) {
  const mx_qmat *m = &p->m;
  if (!mx_vec_now()->quant->sum) {
    sum_rows_unpacked(p, s, n0, n, scratch);
    return;
  }
  int g = m->q.group;
  mx_quant_x x = {.mode = m->q.mode, .bits = m->q.bits, .group = g, .m = (int)s->rows, .k = p->k, .groups = n / g, .ld = p->k, .ldy = p->n};
  mx_quant_w w = {.n = n, .bytes = mx_quant_words(&m->q, m->wide) * 4, .step = m->groups, .scratch = scratch};
  x.x = (const float *)p->x + s->row * p->k;
  w.codes = (const uint8_t *)m->words->data + s->at.words * 4 + n0 * m->q.bits / 8;
  w.scale_type = m->scales->dtype;
  w.bias_type = m->biases ? m->biases->dtype : MX_F32;
  w.scales = element(m->scales, s->at.scales + n0 / g);
  w.biases = element(m->biases, s->at.biases + n0 / g);
  mx_vec_now()->quant->sum(&x, &w, (float *)p->y + s->row * p->n + n0);
}

typedef struct order_job {
  product *p;
  char *ordered;
  float *sums;
} order_job;

static void order_range(void *ctx, int64_t begin, int64_t end) {
  const order_job *j = ctx;
  const product *p = j->p;
  int g = p->m.q.group;
  for (int64_t r = begin; r < end; r++) {
    const float *x = (const float *)p->x + r * p->k;
    mx_vec_now()->quant->order(&p->few, x, j->ordered + r * p->few.ld * p->few.item);
    for (int64_t i = 0; i < p->m.groups; i++) {
      float lane[16] = {0};
      for (int k = 0; k < g; k += 16)
        for (int l = 0; l < 16; l++) lane[l] += x[i * g + k + l];
      for (int half = 8; half; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
      j->sums[r * p->m.groups + i] = lane[0];
    }
  }
}

/* x in the order of the kernel. near: NEAR bytes */
static int order_x(product *p, int64_t rows, char *near) {
  const mx_quant *q = &p->m.q;
  p->few = (mx_quant_x){.mode = q->mode, .bits = q->bits, .group = q->group, .k = p->k, .groups = p->m.groups, .ldsums = p->m.groups,
                          .bf16 = p->bf16};
  mx_vec_now()->quant->lay(&p->few);
  size_t bytes = (size_t)(rows * p->few.ld * p->few.item + 63) / 64 * 64;
  char *o = mx_scratch_near(near, NEAR, bytes + (size_t)(rows * p->m.groups) * sizeof(float));
  if (!o) return mx_fail_memory();
  p->ordered = o;
  p->sums = (const float *)(const void *)(o + bytes);
  order_job j = {p, o, (float *)(void *)(o + bytes)};
  mx_parallel(rows, (1 << 14) / p->k + 1, order_range, &j);
  return 0;
}

/* Columns [n0, n0 + n) of one segment's result. */
static int tile(const product *p, const segment *s, int64_t n0, int64_t n, char *block) {
  if (p->t == MX_F32 && s->rows <= p->most) {
    if (p->transpose) dot_rows(p, s, n0, n, (float *)block, (float *)p->y + s->row * p->n + n0, p->n);
    else sum_rows(p, s, n0, n, (float *)block);
    return 0;
  }
  int64_t item = (int64_t)mx_dtype_sizes[p->t];
  char *y = (char *)p->y + (s->row * p->n + n0) * item;
  const char *x = (const char *)p->x + s->row * p->k * item;
  if (p->transpose) {
    unpack_rows(p, s, n0, n, 0, p->k, block);
    return mx_gemm(p->t, s->rows, n, p->k, 1, (mx_matrix){x, p->k, 1}, (mx_matrix){block, 1, p->k}, 0, y, p->n);
  }
  for (int64_t k0 = 0; k0 < p->k; k0 += DEPTH) {
    int64_t k = p->k - k0 < DEPTH ? p->k - k0 : DEPTH;
    unpack_rows(p, s, k0, k, n0, n, block);
    int rc = mx_gemm(p->t, s->rows, n, k, 1, (mx_matrix){x + k0 * item, p->k, 1}, (mx_matrix){block, n, 1}, k0 ? 1 : 0, y, p->n);
    if (rc) return rc;
  }
  return 0;
}

static void product_range(void *ctx, int64_t begin, int64_t end) {
  product *p = ctx;
  int64_t deep = p->transpose ? p->k : DEPTH;
  size_t row = (size_t)(p->k + 2 * p->m.groups) * sizeof(float), room = p->many ? (size_t)(p->tile * deep) * mx_dtype_sizes[p->t] : row;
  _Alignas(64) char near[NEAR];
  char *block = mx_scratch_near(near, sizeof near, room > row ? room : row);
  if (!block) {
    p->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t n0 = i % p->tiles * p->tile, n = p->n - n0 < p->tile ? p->n - n0 : p->tile;
    int rc = tile(p, &p->segments[i / p->tiles], n0, n, block);
    if (rc) p->rc = rc;
  }
  mx_scratch_leave(block, near);
}

/* By shape alone. A few rows take long runs of little work: they are bound by memory. */
static int64_t tile_of(const product *p, bool few) {
  if (!p->transpose) return few && p->n >= 4096 ? 1024 : few && p->n >= 1024 ? 256 : 128;
  if (p->many) return 64;
  int64_t bytes = p->n * p->k * p->m.q.bits / 8, runs = bytes / RUN > 1 ? bytes / RUN / 2 * 2 : bytes >= RUN / 3 ? 2 : 1;
  return ((p->n + runs - 1) / runs + 15) / 16 * 16;
}

static int multiply(product *p) {
  if (p->k == 0) {
    int64_t rows = 0;
    for (int64_t i = 0; i < p->count; i++) rows += p->segments[i].rows;
    memset(p->y, 0, (size_t)(rows * p->n) * mx_dtype_sizes[p->t]);
    return 0;
  }
  _Alignas(64) char near[NEAR];
  int64_t rows = 0;
  p->most = p->transpose ? mx_vec_now()->quant->few[p->bf16 && mx_isa_now->dot_bf16] : FEW;
  bool few = false, many = p->t != MX_F32 || !p->transpose;
  for (int64_t i = 0; i < p->count; i++) {
    rows += p->segments[i].rows;
    few = few || p->segments[i].rows <= p->most;
    many = many || p->segments[i].rows > p->most;
  }
  p->ordered = near;
  if (few && p->transpose && p->t == MX_F32) {
    int rc = order_x(p, rows, near);
    if (rc) return rc;
  }
  p->many = many;
  p->tile = tile_of(p, few);
  p->tiles = (p->n + p->tile - 1) / p->tile;
  int64_t work = p->tile * p->k;
  int64_t least = p->many ? 1 << 16 : 1 << 14;
  mx_parallel(p->count * p->tiles, work >= least ? 1 : least / work, product_range, p);
  mx_scratch_leave((void *)(uintptr_t)p->ordered, near);
  return p->rc ? mx_fail_memory() : 0;
}

/* ---- rows of x in and of the result out ---- */

typedef struct move_job {
  const mx_view *x, *y;
  mx_walk walk;            /* matrices of x */
  const int64_t *order;    /* row blocks of x (y) in the order of the result; NULL: as they are */
  const int64_t *lhs;      /* which matrix of x; NULL: the same */
  int64_t rows, n;         /* of one matrix */
  mx_dtype t;
  void *data;              /* (blocks * rows, n) of dtype t */
} move_job;

static void load_range(void *ctx, int64_t begin, int64_t end) {
  const move_job *j = ctx;
  int last = j->x->ndim - 1;
  for (int64_t i = begin; i < end; i++) {
    int64_t from = j->order ? j->order[i] : i;
    mx_cursor at;
    mx_walk_seek(&j->walk, &at, j->lhs ? j->lhs[from] : from);
    for (int64_t r = 0; r < j->rows; r++) {
      const void *x = mx_at(j->x, at.off[0] + r * j->x->strides[last - 1]);
      int64_t to = (i * j->rows + r) * j->n;
      if (j->t == MX_F64) mx_load_f64((mx_dtype)j->x->dtype, x, j->x->strides[last], j->n, (double *)j->data + to);
      else mx_load_f32((mx_dtype)j->x->dtype, x, j->x->strides[last], j->n, (float *)j->data + to);
    }
  }
}

static void store_range(void *ctx, int64_t begin, int64_t end) {
  const move_job *j = ctx;
  int64_t size = j->rows * j->n;
  for (int64_t i = begin; i < end; i++) {
    void *o = mx_at(j->y, (j->order ? j->order[i] : i) * size);
    if (j->t == MX_F64) memcpy(o, (const double *)j->data + i * size, (size_t)size * 8);
    else mx_store_f32((mx_dtype)j->y->dtype, (const float *)j->data + i * size, size, o);
  }
}

static bool row_contiguous(const mx_view *v) {
  int64_t expected = 1;
  for (int d = v->ndim - 1; d >= 0; d--) {
    if (v->shape[d] != 1 && v->strides[d] != expected) return false;
    expected *= v->shape[d];
  }
  return true;
}

/* The product of `blocks` matrices of x, taken in `order` by `lhs`, that the segments of p describe. */
static int run(product *p, const mx_view *x, const mx_view *out, int64_t blocks, const int64_t *order, const int64_t *lhs) {
  int last = x->ndim - 1, rc = 0;
  p->t = out->dtype == MX_F64 ? MX_F64 : MX_F32;
  p->bf16 = x->dtype == MX_BF16;
  p->k = x->shape[last];
  p->n = out->shape[out->ndim - 1];
  _Alignas(64) char near_x[NEAR], near_y[NEAR];
  move_job in = {.x = x, .order = order, .lhs = lhs, .rows = x->shape[last - 1], .n = p->k, .t = p->t}, res = in;
  res.n = p->n;
  res.y = out;
  int64_t grain = (1 << 15) / (in.rows * in.n + 1) + 1, size = (int64_t)mx_dtype_sizes[p->t];
  bool x_fits = x->dtype == p->t && !order && !lhs && row_contiguous(x), y_fits = out->dtype == p->t && !order;
  if (!x_fits) {
    if (!(in.data = mx_scratch_near(near_x, NEAR, (size_t)(blocks * in.rows * in.n * size)))) return mx_fail_memory();
    mx_walk_init(&in.walk, x->ndim - 2, x->shape, -1, x->strides, NULL, NULL);
    mx_parallel(blocks, grain, load_range, &in);
  }
  if (!y_fits && !(res.data = mx_scratch_near(near_y, NEAR, (size_t)(blocks * res.rows * res.n * size)))) rc = mx_fail_memory();
  p->x = x_fits ? x->data : in.data;
  p->y = y_fits ? out->data : res.data;
  if (!rc) rc = multiply(p);
  if (!rc && !y_fits) mx_parallel(blocks, (1 << 15) / (res.rows * res.n + 1) + 1, store_range, &res);
  mx_scratch_leave(in.data, near_x);
  mx_scratch_leave(res.data, near_y);
  return rc;
}

/* ---- the ops ---- */

typedef struct packed_input {
  mx_dense dense[3];
  mx_view view[3];
  int n;
  mx_walk walk;            /* matrices */
} packed_input;

static int packed_init(packed_input *in, product *p, const mx_call *c) {
  in->n = c->p[0] == MX_AFFINE ? 3 : 2;
  memset(in->dense, 0, sizeof in->dense);
  for (int i = 0; i < in->n; i++) {
    int rc = mx_dense_init(&in->dense[i], &c->in[1 + i]);
    if (rc) return rc;
    in->view[i] = in->dense[i].view;
  }
  mx_qmat_init(&p->m, c->p, in->view);
  p->transpose = c->p[3];
  const mx_view *v = in->view;
  mx_walk_init(&in->walk, v[0].ndim - 2, v[0].shape, -1, v[0].strides, v[1].strides, in->n > 2 ? v[2].strides : NULL);
  return 0;
}

static void packed_free(packed_input *in) {
  for (int i = 0; i < in->n; i++) mx_dense_free(&in->dense[i]);
}

static mx_qmat_at matrix_at(const packed_input *in, int64_t i) {
  mx_cursor at;
  mx_walk_seek(&in->walk, &at, i);
  return (mx_qmat_at){at.off[0], at.off[1], at.off[2]};
}

/* ---- few rows by one matrix each of several products, as decoding has them: one go of the pool, and each tile stores its own columns ---- */

enum { JOINED = MX_JOINED_CALLS };
typedef struct few_job {
  int n;
  int64_t rows;
  size_t scratch, room;    /* bytes: of dot_rows, of a range */
  product p[JOINED];
  segment s[JOINED];
  packed_input in[JOINED];
  const mx_view *out[JOINED];
  int64_t start[JOINED + 1]; /* of their tiles among all */
  _Atomic int rc;
} few_job;

static void few_range(void *ctx, int64_t begin, int64_t end) {
  few_job *j = ctx;
  _Alignas(64) char near[2 * NEAR];
  char *block = mx_scratch_near(near, sizeof near, j->room);
  if (!block) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin, q = 0; i < end; i++) {
    while (i >= j->start[q + 1]) q++;
    const product *p = &j->p[q];
    const mx_view *out = j->out[q];
    int64_t n0 = (i - j->start[q]) * p->tile, n = p->n - n0 < p->tile ? p->n - n0 : p->tile;
    if (out->dtype == MX_F32) {
      dot_rows(p, &j->s[q], n0, n, (float *)(void *)block, (float *)out->data + n0, p->n);
      continue;
    }
    float *y = (float *)(void *)(block + j->scratch);
    dot_rows(p, &j->s[q], n0, n, (float *)(void *)block, y, n);
    for (int64_t r = 0; r < j->rows; r++) mx_store_f32((mx_dtype)out->dtype, y + r * n, n, mx_at(out, r * p->n + n0));
  }
  mx_scratch_leave(block, near);
}

/* The tiles of product q, whose matrix is known. */
static void lay_tiles(few_job *j, int q) {
  product *p = &j->p[q];
  p->n = j->out[q]->shape[j->out[q]->ndim - 1];
  p->tile = tile_of(p, true);
  p->tiles = (p->n + p->tile - 1) / p->tile;
  j->start[q + 1] = j->start[q] + p->tiles;
  j->scratch = ((size_t)(p->k + 2 * p->m.groups) * sizeof(float) + 63) / 64 * 64;
  size_t room = j->scratch + (size_t)(j->rows * p->tile) * sizeof(float);
  if (room > j->room) j->room = room;
}

/* The first product's rows of x serve all. */
static int multiply_few(few_job *j, const mx_view *x) {
  _Alignas(64) char near_x[NEAR], near[NEAR];
  product *first = &j->p[0];
  move_job in = {.x = x, .rows = x->shape[x->ndim - 2], .n = first->k, .t = MX_F32};
  bool fits = x->dtype == MX_F32 && row_contiguous(x);
  if (!fits) {
    if (!(in.data = mx_scratch_near(near_x, NEAR, (size_t)(j->rows * in.n) * sizeof(float)))) return mx_fail_memory();
    mx_walk_init(&in.walk, x->ndim - 2, x->shape, -1, x->strides, NULL, NULL);
    load_range(&in, 0, j->rows / in.rows);
  }
  first->x = fits ? x->data : in.data;
  int rc = order_x(first, j->rows, near);
  for (int q = 0; q < j->n && !rc; q++) {
    product *p = &j->p[q];
    p->few = first->few, p->ordered = first->ordered, p->sums = first->sums;
    lay_tiles(j, q);
  }
  int64_t tiles = j->start[j->n], work = rc ? 1 : first->tile * first->k, least = 1 << 14;
  if (!rc) mx_parallel(tiles, work >= least ? 1 : least / work, few_range, j);
  if (!rc) mx_scratch_leave((void *)(uintptr_t)first->ordered, near);
  mx_scratch_leave(in.data, near_x);
  return rc ? rc : j->rc ? mx_fail_memory() : 0;
}

/* Whether all n products are such ones, of the same x and kind of matrix. */
static bool are_few(int n, const mx_call *c, int64_t rows) {
  if (n > JOINED || rows > FEW || !c->in[0].shape[c->in[0].ndim - 1]) return false;
  for (int q = 0; q < n; q++) {
    if (!c[q].p[3] || c[q].out->dtype == MX_F64 || !c[q].out->size || c[q].in[1].ndim != 2 || memcmp(c[q].p, c->p, 3 * sizeof *c->p)) return false;
    if (c[q].in[0].data != c->in[0].data || c[q].out->dtype != c->out->dtype) return false;
  }
  return true;
}

static int few_products(int n, const mx_call *c, const mx_view *x, int64_t rows) {
  few_job j; /* not cleared: it is large */
  j.rc = 0;
  j.n = 0, j.rows = rows, j.room = 0, j.start[0] = 0;
  int rc = 0;
  for (int q = 0; q < n && !rc; q++) {
    j.p[q] = (product){.t = MX_F32, .k = x->shape[x->ndim - 1], .bf16 = x->dtype == MX_BF16};
    j.out[q] = c[q].out;
    rc = packed_init(&j.in[q], &j.p[q], &c[q]);
    j.s[q] = (segment){{0}, 0, rows};
    j.n++;
  }
  if (!rc) rc = multiply_few(&j, x);
  for (int q = 0; q < j.n; q++) packed_free(&j.in[q]);
  return rc;
}

/* One matrix is for all rows of x; several are for one block of its rows each. */
int mx_cpu_quantized_matmuls(int n, const mx_call *c) {
  product p = {.rc = 0};
  packed_input in;
  segment one;
  mx_view x = c->in[0];
  const int32_t row_shape[2] = {1, x.shape[0]};
  const int64_t row_strides[2] = {0, x.strides[0]};
  if (x.ndim == 1) x.shape = row_shape, x.strides = row_strides, x.ndim = 2;
  int64_t blocks = 1;
  for (int i = 0; i < x.ndim - 2; i++) blocks *= x.shape[i];
  if (are_few(n, c, blocks * x.shape[x.ndim - 2])) return few_products(n, c, &x, blocks * x.shape[x.ndim - 2]);
  if (n > 1) {
    for (int q = 0, rc; q < n; q++)
      if ((rc = mx_cpu_quantized_matmuls(1, &c[q]))) return rc;
    return 0;
  }
  if (!c->out->size) return 0;
  int rc = packed_init(&in, &p, c);
  int64_t batch = rc ? 0 : in.walk.n, rows = batch == 1 ? blocks * x.shape[x.ndim - 2] : x.shape[x.ndim - 2];
  if (!rc && !(p.segments = mx_scratch_near(&one, sizeof one, (size_t)batch * sizeof one))) rc = mx_fail_memory();
  for (int64_t i = 0; i < batch && !rc; i++) {
    segment s = {matrix_at(&in, i), i * rows, rows}, *before = p.count ? &p.segments[p.count - 1] : NULL;
    if (before && before->at.words == s.at.words && before->at.scales == s.at.scales && before->at.biases == s.at.biases)
      before->rows += rows;
    else
      p.segments[p.count++] = s;
  }
  if (!rc) rc = run(&p, &x, c->out, blocks, NULL, NULL);
  mx_scratch_leave(p.segments, &one);
  packed_free(&in);
  return rc;
}

int mx_cpu_quantized_matmul(const mx_call *c) { return mx_cpu_quantized_matmuls(1, c); }

/* Indices into an axis of size dim, in row order. */
static int read_indices(const mx_view *v, int64_t dim, const char *name, int64_t *o) {
  mx_walk w;
  mx_cursor at;
  mx_walk_init(&w, v->ndim, v->shape, -1, v->strides, NULL, NULL);
  mx_walk_seek(&w, &at, 0);
  for (int64_t i = 0; i < w.n; i++, mx_walk_next(&w, &at)) {
    int64_t k = mx_index_at(v, at.off[0]);
    o[i] = k < 0 ? k + dim : k;
    if (o[i] < 0 || o[i] >= dim)
      return mx_fail(MX_EINDEX, "[gather_qmm] %s index %lld is out of bounds for axis 0 with size %lld", name, (long long)k, (long long)dim);
  }
  return 0;
}

int mx_cpu_gather_qmm(const mx_call *c) {
  product p = {.rc = 0};
  packed_input in;
  const mx_view *x = &c->in[0], *lhs = &c->in[c->nin - 2], *rhs = &c->in[c->nin - 1];
  int64_t n = lhs->size, rows = x->shape[1], experts = c->in[1].shape[0], *from = NULL;
  if (!n) return 0;
  int rc = packed_init(&in, &p, c);
  if (!rc && !(from = mx_scratch((size_t)(3 * n + experts + 1) * sizeof *from))) rc = mx_fail_memory();
  int64_t *to = from + n, *order = to + n, *start = order + n;
  if (!rc) rc = read_indices(lhs, x->shape[0], "lhs", from);
  if (!rc) rc = read_indices(rhs, experts, "rhs", to);
  if (!rc && !(p.segments = mx_scratch((size_t)(n < experts ? n : experts) * sizeof *p.segments))) rc = mx_fail_memory();
  if (!rc && c->out->size) { /* all that one matrix is used for together: it is read once */
    bool sorted = true;
    memset(start, 0, (size_t)(experts + 1) * sizeof *start);
    for (int64_t i = 0; i < n; i++) {
      start[to[i] + 1]++;
      sorted = sorted && (i == 0 || to[i] >= to[i - 1]);
    }
    for (int64_t e = 0; e < experts; e++) {
      if (start[e + 1]) p.segments[p.count++] = (segment){matrix_at(&in, e), start[e] * rows, start[e + 1] * rows};
      start[e + 1] += start[e];
    }
    for (int64_t i = 0; i < n; i++) order[start[to[i]]++] = i;
    rc = run(&p, x, c->out, n, sorted ? NULL : order, from);
  }
  mx_scratch_free(p.segments);
  mx_scratch_free(from);
  packed_free(&in);
  return rc;
}
