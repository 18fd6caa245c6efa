/* matmul and addmm. The batch is walked, or merged into the rows where b is the same for all; products are cut into tiles by their
 * shape for the pool. Halves are converted to f32. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/fill.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct matmul_job {
  mx_dtype t;
  mx_walk batch;           /* operands: a, b */
  int64_t m, n, k;
  mx_matrix a, b;
  double alpha, beta;
  char *out;
  mx_dtype half;           /* a, b and out are of this half dtype, converted tile by tile; MX_F32: they are of dtype t */
  int64_t tm, tn, tiles_m, tiles_n;
  _Atomic int rc;
} matmul_job;

/* A half matrix as f32 at `to`, in its own orientation. */
static mx_matrix load_matrix(mx_dtype half, mx_matrix x, int64_t rows, int64_t cols, float *to) {
  bool turned = x.cs != 1 && x.rs == 1;
  int64_t lines = turned ? cols : rows, n = turned ? rows : cols, across = turned ? x.cs : x.rs, along = turned ? x.rs : x.cs;
  for (int64_t i = 0; i < lines; i++) mx_load_f32(half, (const uint16_t *)x.data + i * across, along, n, to + i * n);
  return turned ? (mx_matrix){to, 1, rows} : (mx_matrix){to, cols, 1};
}

static void matmul_range(void *ctx, int64_t begin, int64_t end) {
  matmul_job *j = ctx;
  int64_t tiles = j->tiles_m * j->tiles_n;
  size_t item = j->half != MX_F32 ? 2 : mx_dtype_sizes[j->t];
  float *scratch = NULL;
  if (j->half != MX_F32 && !(scratch = mx_scratch((size_t)(j->tm * j->k + j->k * j->tn + j->tm * j->tn) * sizeof *scratch))) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t batch = i / tiles, tile = i % tiles;
    int64_t m0 = tile / j->tiles_n * j->tm, n0 = tile % j->tiles_n * j->tn;
    int64_t m = j->m - m0 < j->tm ? j->m - m0 : j->tm, n = j->n - n0 < j->tn ? j->n - n0 : j->tn;
    mx_cursor at;
    mx_walk_seek(&j->batch, &at, batch);
    mx_matrix a = j->a, b = j->b;
    a.data = (const char *)a.data + (at.off[0] + m0 * a.rs) * (int64_t)item;
    b.data = (const char *)b.data + (at.off[1] + n0 * b.cs) * (int64_t)item;
    char *c = j->out + (size_t)((batch * j->m + m0) * j->n + n0) * item;
    if (scratch) {
      float *product = scratch + j->tm * j->k + j->k * j->tn;
      a = load_matrix(j->half, a, m, j->k, scratch);
      b = load_matrix(j->half, b, j->k, n, scratch + j->tm * j->k);
      int rc = mx_gemm(MX_F32, m, n, j->k, j->alpha, a, b, 0, product, n);
      if (rc) j->rc = rc;
      for (int64_t r = 0; r < m; r++) mx_store_f32(j->half, product + r * n, n, c + r * j->n * 2);
      continue;
    }
    int rc = mx_gemm(j->t, m, n, j->k, j->alpha, a, b, j->beta, c, j->n);
    if (rc) j->rc = rc;
  }
  mx_scratch_free(scratch);
}

#define TILE 0x1p24
static int64_t half_up(int64_t n) { return ((n + 1) / 2 + 31) / 32 * 32; }

/* out (batch..., m, n) = alpha a b + beta out, all of dtype t; in halves where t is f32 and `half` is not (then beta is 0). */
static int product(mx_dtype t, mx_dtype half, const mx_view *a, const mx_view *b, double alpha, double beta, void *out) {
  int nd = a->ndim;
  matmul_job j = {.t = t, .half = half, .m = a->shape[nd - 2], .n = b->shape[nd - 1], .k = a->shape[nd - 1], .alpha = alpha, .beta = beta,
                  .a = {a->data, a->strides[nd - 2], a->strides[nd - 1]},
                  .b = {b->data, b->strides[nd - 2], b->strides[nd - 1]}, .out = out};
  mx_walk_init(&j.batch, nd - 2, a->shape, -1, a->strides, b->strides, NULL);
  if (!j.batch.n || !j.m || !j.n) return 0;
  while (j.batch.nd) {
    int last = j.batch.nd - 1;
    if (j.m == 1) j.a.rs = j.batch.stride[0][last];
    if (j.batch.stride[1][last] != 0 || j.batch.stride[0][last] != j.m * j.a.rs) break;
    int64_t s[MX_WALK_OPERANDS];
    j.m *= mx_walk_pop(&j.batch, s);
  }
  /* tiles of about 2^24 multiplications, larger ones in large products, and not narrower than 128 once there are enough for most
   * machines; a matrix times a vector is bound by memory and cut finer */
  bool vector = j.m == 1 || j.n == 1;
  double total = (double)j.m * (double)j.n * (double)j.k, most = vector ? 0x1p17 : total / 32 > TILE ? total / 32 : TILE;
  j.tm = j.m;
  j.tn = j.n;
  while ((double)j.tm * (double)j.tn * (double)j.k > most) {
    double tiles = total / ((double)j.tm * (double)j.tn * (double)j.k) * (double)j.batch.n;
    int64_t least = !vector && tiles >= 8 ? 128 : 64;
    if (j.tm >= j.tn && j.tm > least) j.tm = half_up(j.tm);
    else if (j.tn > least) j.tn = half_up(j.tn);
    else break;
  }
  j.tiles_m = (j.m + j.tm - 1) / j.tm;
  j.tiles_n = (j.n + j.tn - 1) / j.tn;
  double work = (double)j.tm * (double)j.tn * (double)(j.k ? j.k : 1);
  int64_t grain = work >= 0x1p18 ? 1 : (int64_t)(0x1p18 / work);
  mx_parallel(j.batch.n * j.tiles_m * j.tiles_n, grain, matmul_range, &j);
  return j.rc ? mx_fail_memory() : 0;
}

/* A half view as contiguous f32; repeated dimensions (stride 0) stay repeated. The data is from mx_scratch. */
typedef struct f32_view {
  mx_view view;
  int64_t strides[MX_MAX_NDIM];
} f32_view;

typedef struct convert_job {
  mx_walk walk;
  const mx_view *in;
  int64_t n, stride;
  float *out;
} convert_job;

static void convert_range(void *ctx, int64_t begin, int64_t end) {
  const convert_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at))
    mx_load_f32(j->in->dtype, mx_at(j->in, at.off[0]), j->stride, j->n, j->out + i * j->n);
}

static int convert(const mx_view *in, f32_view *out) {
  int32_t shape[MX_MAX_NDIM];
  int64_t size = 1;
  for (int d = in->ndim - 1; d >= 0; d--) {
    bool repeated = in->strides[d] == 0;
    shape[d] = repeated && in->shape[d] ? 1 : in->shape[d];
    out->strides[d] = repeated ? 0 : size;
    size *= shape[d];
  }
  convert_job j = {.in = in, .out = mx_scratch((size_t)size * sizeof(float))};
  out->view = (mx_view){j.out, in->shape, out->strides, in->size, in->ndim, MX_F32};
  if (!j.out) return mx_fail_memory();
  int64_t s[MX_WALK_OPERANDS];
  mx_walk_init(&j.walk, in->ndim, shape, -1, in->strides, NULL, NULL);
  j.n = mx_walk_pop(&j.walk, s);
  j.stride = s[0];
  if (size) mx_parallel(j.walk.n, (1 << 15) / (j.n + 1) + 1, convert_range, &j);
  return 0;
}

/* out = product + beta c, rounded to out's dtype. */
typedef struct round_job {
  const float *product;
  const mx_view *c, *out;
  double beta;
  mx_walk walk;            /* rows of c */
  int64_t n, stride;
  _Atomic bool no_memory;
} round_job;

static void round_range(void *ctx, int64_t begin, int64_t end) {
  round_job *j = ctx;
  const mx_view *out = j->out;
  if (!j->c) {
    mx_store_f32(out->dtype, j->product + begin, end - begin, mx_at(out, begin));
    return;
  }
  float *row = mx_scratch((size_t)j->n * sizeof *row), beta = (float)j->beta;
  if (!row) {
    j->no_memory = true;
    return;
  }
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at)) {
    const float *p = j->product + i * j->n;
    mx_load_f32(j->c->dtype, mx_at(j->c, at.off[0]), j->stride, j->n, row);
    for (int64_t k = 0; k < j->n; k++) row[k] = p[k] + beta * row[k];
    mx_store_f32(out->dtype, row, j->n, mx_at(out, i * j->n));
  }
  mx_scratch_free(row);
}

static int half_product(const mx_view *a, const mx_view *b, const mx_view *c, double alpha, double beta, const mx_view *out) {
  f32_view fa = {.view.data = NULL}, fb = {.view.data = NULL};
  float *res = NULL;
  int rc;
  /* a vector on one side, or matrices so small that each is read by one tile: nothing is converted twice */
  int64_t m = out->shape[out->ndim - 2], n = out->shape[out->ndim - 1], k = a->shape[a->ndim - 1];
  if (!c && (m == 1 || n == 1 || (double)m * (double)n * (double)k <= TILE))
    return product(MX_F32, out->dtype, a, b, alpha, 0, out->data);
  if ((rc = convert(a, &fa)) || (rc = convert(b, &fb))) goto done;
  if (!(res = mx_scratch((size_t)out->size * sizeof *res))) {
    rc = mx_fail_memory();
    goto done;
  }
  if ((rc = product(MX_F32, MX_F32, &fa.view, &fb.view, alpha, 0, res))) goto done;
  round_job j = {.product = res, .out = out, .beta = beta, .c = c};
  if (c) {
    int64_t s[MX_WALK_OPERANDS];
    mx_walk_init(&j.walk, c->ndim, c->shape, -1, c->strides, NULL, NULL);
    j.n = mx_walk_pop(&j.walk, s);
    j.stride = s[0];
    mx_parallel(j.walk.n, (1 << 15) / (j.n + 1) + 1, round_range, &j);
  } else {
    mx_parallel(out->size, 1 << 15, round_range, &j);
  }
  if (j.no_memory) rc = mx_fail_memory();
done:
  mx_scratch_free(fa.view.data);
  mx_scratch_free(fb.view.data);
  mx_scratch_free(res);
  return rc;
}

int mx_cpu_matmul(const mx_call *c) {
  const mx_view *a = &c->in[0], *b = &c->in[1], *out = c->out;
  if (!out->size) return 0;
  switch (out->dtype) {
    case MX_F32:
    case MX_F64:
    case MX_C64: return product(out->dtype, MX_F32, a, b, 1, 0, out->data);
    case MX_F16:
    case MX_BF16: return half_product(a, b, NULL, 1, 0, out);
    default: return mx_fail(MX_EVALUE, "[matmul] no kernel for %s", mx_dtype_name(out->dtype));
  }
}

int mx_cpu_addmm(const mx_call *call) {
  const mx_view *c = &call->in[0], *a = &call->in[1], *b = &call->in[2], *out = call->out;
  double alpha = mx_unbits(call->p[0]), beta = mx_unbits(call->p[1]);
  if (!out->size) return 0;
  switch (out->dtype) {
    case MX_F32:
    case MX_F64:
    case MX_C64: {
      int rc = beta != 0 ? mx_copy_view(c, out) : 0;
      return rc ? rc : product(out->dtype, MX_F32, a, b, alpha, beta, out->data);
    }
    case MX_F16:
    case MX_BF16: return half_product(a, b, beta != 0 ? c : NULL, alpha, beta, out);
    default: return mx_fail(MX_EVALUE, "[addmm] no kernel for %s", mx_dtype_name(out->dtype));
  }
}
