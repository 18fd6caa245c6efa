/* matmul and addmm. The batch is walked, or merged into the rows where b is the same for all; products are cut into tiles by their
 * shape for the pool. Sums of halves are f32, those of 8-bit integers and bools u16 and u32: a tile of them is rounded at the end. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/fill.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/product.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct matmul_job {
  mx_dtype t;              /* of the result */
  mx_gemm_fn fn;           /* NULL: mx_gemm */
  size_t sum;              /* size of the sums when they are not of type t, else 0 */
  size_t item_a, item_out;
  mx_walk batch;           /* operands: a, b, and c where there are sums */
  int64_t m, n, k;
  mx_matrix a, b, c;       /* c: what is added beta times after the sums; data NULL: nothing */
  double alpha, beta;
  char *out;
  int64_t tm, tn, tiles_m, tiles_n;
  _Atomic int rc;
} matmul_job;

/* out (m, n), rows j->n apart = sums + beta c */
static void round_tile(const matmul_job *j, int64_t m, int64_t n, char *sums, const char *c, char *out, float *row) {
  if (j->t == MX_F16 || j->t == MX_BF16) {
    mx_product_round(j->t, m, n, 1, (float *)(void *)sums, j->beta, &(mx_matrix){c, j->c.rs, j->c.cs}, out, j->n, row);
    return;
  }
  for (int64_t r = 0; r < m; r++, sums += (size_t)n * j->sum, out += (size_t)j->n * j->item_out) {
    if (j->t == MX_BOOL)
      for (int64_t q = 0; q < n; q++) out[q] = ((uint32_t *)(void *)sums)[q] != 0;
    else
      for (int64_t q = 0; q < n; q++) out[q] = (char)((uint16_t *)(void *)sums)[q];
  }
}

static void matmul_range(void *ctx, int64_t begin, int64_t end) {
  matmul_job *j = ctx;
  int64_t tiles = j->tiles_m * j->tiles_n;
  char *sums = NULL;
  float *row = NULL;
  if (j->sum) {
    size_t bytes = ((size_t)(j->tm * j->tn) * j->sum + 63) / 64 * 64;
    if (!(sums = mx_scratch(bytes + (size_t)j->tn * sizeof *row))) {
      j->rc = MX_EMEMORY;
      return;
    }
    row = (float *)(void *)(sums + bytes);
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t batch = i / tiles, tile = i % tiles;
    int64_t m0 = tile / j->tiles_n * j->tm, n0 = tile % j->tiles_n * j->tn;
    int64_t m = j->m - m0 < j->tm ? j->m - m0 : j->tm, n = j->n - n0 < j->tn ? j->n - n0 : j->tn;
    mx_cursor at;
    mx_walk_seek(&j->batch, &at, batch);
    mx_matrix a = j->a, b = j->b;
    a.data = (const char *)a.data + (at.off[0] + m0 * a.rs) * (int64_t)j->item_a;
    b.data = (const char *)b.data + (at.off[1] + n0 * b.cs) * (int64_t)j->item_a;
    char *out = j->out + (size_t)((batch * j->m + m0) * j->n + n0) * j->item_out, *to = sums ? sums : out;
    const char *c = j->c.data;
    if (c) c += (at.off[2] + m0 * j->c.rs + n0 * j->c.cs) * (int64_t)j->item_out;
    int64_t ld = sums ? n : j->n;
    double beta = sums ? 0 : j->beta;
    if (c && !sums) {
      mx_product_start(j->t, m, n, beta, &(mx_matrix){c, j->c.rs, j->c.cs}, out, j->n);
      beta = 1;
    }
    int rc = j->fn ? j->fn(m, n, j->k, j->alpha, &a, &b, beta, to, ld) : mx_gemm(j->t, m, n, j->k, j->alpha, a, b, beta, to, ld);
    if (rc) j->rc = rc;
    else if (sums) round_tile(j, m, n, sums, c, out, row);
  }
  mx_scratch_free(sums);
}

/* Which kernel makes t of a and b. */
static void choose(matmul_job *j, mx_dtype t, mx_dtype a, mx_dtype b) {
  const mx_vec *v = mx_vec_now();
  j->t = t;
  j->item_a = mx_dtype_sizes[a];
  j->item_out = mx_dtype_sizes[t];
  if (j->item_a == 1 && t == MX_I32) {
    j->fn = v->gemm_bytes[a == MX_I8][b == MX_I8];
    return;
  }
  switch (t) {
    case MX_F16: j->fn = v->gemm_f16, j->sum = 4; break;
    case MX_BF16: j->fn = v->gemm_bf16, j->sum = 4; break;
    case MX_BOOL: j->fn = v->gemm_bool, j->sum = 4; break;
    case MX_U8:
    case MX_I8: j->fn = v->gemm_u8, j->sum = 2; break;
    case MX_U16:
    case MX_I16: j->fn = v->gemm_u16; break;
    case MX_U32:
    case MX_I32: j->fn = v->gemm_u32; break;
    case MX_U64:
    case MX_I64: j->fn = v->gemm_u64; break;
    default: break;
  }
}

#define TILE 0x1p24
enum { SUMS = 1 << 17 };   /* of a tile, at most */
static int64_t half_up(int64_t n) { return ((n + 1) / 2 + 31) / 32 * 32; }

/* Large products one after the other, each by all threads. */
static int large(const matmul_job *j) {
  mx_product p = {j->t, j->m, j->n, j->k, j->a, j->b, j->c, j->alpha, j->beta, j->out};
  mx_cursor at;
  mx_walk_seek(&j->batch, &at, 0);
  int rc = 0;
  for (int64_t i = 0; i < j->batch.n && !rc; i++, mx_walk_next(&j->batch, &at)) {
    p.a.data = (const char *)j->a.data + at.off[0] * (int64_t)j->item_a;
    p.b.data = (const char *)j->b.data + at.off[1] * (int64_t)j->item_a;
    if (j->c.data) p.c.data = (const char *)j->c.data + at.off[2] * (int64_t)j->item_out;
    p.out = j->out + (size_t)(i * j->m * j->n) * j->item_out;
    rc = mx_product_packed(&p);
  }
  return rc ? mx_fail_memory() : 0;
}

/* out (batch..., m, n) = alpha a b + beta c; c, where there is one, was copied to out unless it is of floats. */
static int product(const mx_view *a, const mx_view *b, const mx_view *c, double alpha, double beta, const mx_view *out) {
  int nd = a->ndim;
  matmul_job j = {.m = a->shape[nd - 2], .n = b->shape[nd - 1], .k = a->shape[nd - 1], .alpha = alpha, .beta = beta,
                  .a = {a->data, a->strides[nd - 2], a->strides[nd - 1]},
                  .b = {b->data, b->strides[nd - 2], b->strides[nd - 1]}, .out = out->data};
  choose(&j, out->dtype, a->dtype, b->dtype);
  if (!j.sum && j.t != MX_F32 && j.t != MX_F64) c = NULL;
  if (c) j.c = (mx_matrix){c->data, c->strides[nd - 2], c->strides[nd - 1]};
  mx_walk_init(&j.batch, nd - 2, a->shape, -1, a->strides, b->strides, c ? c->strides : NULL);
  if (!j.batch.n || !j.m || !j.n) return 0;
  while (j.batch.nd) {
    int last = j.batch.nd - 1;
    int64_t s[MX_WALK_OPERANDS];
    for (int i = 0; i < MX_WALK_OPERANDS; i++) s[i] = j.batch.stride[i][last];
    if (j.m == 1) j.a.rs = s[0], j.c.rs = s[2];
    if (s[1] != 0 || s[0] != j.m * j.a.rs || (c && s[2] != j.m * j.c.rs)) break;
    j.m *= mx_walk_pop(&j.batch, s);
  }
  mx_product p = {j.t, j.m, j.n, j.k, j.a, j.b, j.c, j.alpha, j.beta, j.out};
  if (mx_product_is_thin(&p)) return mx_products_thin(1, &p, &j.batch) ? mx_fail_memory() : 0;
  /* of many, one for each thread at a time has less overhead, but for bf16, which the large ones are faster at */
  bool many = j.batch.n >= 8 && j.t != MX_BF16 && (double)j.m * (double)j.n * (double)j.k < 0x1p26;
  if (!many && mx_product_is_large(&p)) return large(&j);
  /* tiles of about 2^24 multiplications, larger ones in large products, and not narrower than 128 once there are enough for most
   * machines; a matrix times a vector is bound by memory and cut finer */
  bool vector = j.m == 1 || j.n == 1;
  double total = (double)j.m * (double)j.n * (double)j.k, tile = TILE;
  /* bytes are multiplied in less time than they are packed, which larger tiles do less of */
  if (j.item_a == 1 && j.t == MX_I32 && total / 8 > TILE) tile = total / 8 < 0x1p27 ? total / 8 : 0x1p27;
  double most = vector ? 0x1p17 : total / 32 > tile ? total / 32 : tile;
  j.tm = j.m;
  j.tn = j.n;
  while ((double)j.tm * (double)j.tn * (double)j.k > most || (j.sum && j.tm * j.tn > SUMS)) {
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

/* Whether the rows of all matrices of x are one distance apart: *step. */
static bool even_rows(const mx_view *x, int64_t *step) {
  int64_t rows = 1;
  *step = 0;
  for (int d = x->ndim - 2; d >= 0; d--) {
    if (x->shape[d] == 1) continue;
    if (rows == 1) *step = x->strides[d];
    else if (x->strides[d] != rows * *step) return false;
    rows *= x->shape[d];
  }
  return true;
}

/* One matrix for all rows of a: b with a's dimensions. A batch whose rows cannot be joined is copied. */
static int rows_by_matrix(const mx_view *a, const mx_view *b, bool turned, const mx_view *out) {
  int nd = a->ndim;
  int32_t shape[MX_MAX_NDIM];
  int64_t strides[MX_MAX_NDIM] = {0}, packed[MX_MAX_NDIM], step;
  mx_view x = *a, y = *b;
  void *copy = NULL;
  for (int i = 0; i < 2; i++) {
    shape[nd - 2 + i] = b->shape[i ^ turned];
    strides[nd - 2 + i] = b->strides[i ^ turned];
  }
  y.ndim = a->ndim, y.shape = shape, y.strides = strides;
  if (a->size && !even_rows(a, &step)) {
    if (!(x.data = (void *)(uintptr_t)mx_packed(a, &copy))) return MX_EMEMORY;
    mx_row_strides(nd, a->shape, packed);
    x.strides = packed;
  }
  int rc = product(&x, &y, NULL, 1, 0, out);
  mx_scratch_free(copy);
  return rc;
}

static bool is_turned(const mx_call *c) { return c->np && c->p[0] == MX_TURNED; }

/* Whether all n are rows of the same a times a matrix each, and to be made together. */
static bool join(int n, const mx_call *c, mx_product *p) {
  const mx_view *a = c->in;
  int64_t rows = 1, step, k = a->shape[a->ndim - 1];
  if (n > MX_JOINED || !even_rows(a, &step)) return false;
  for (int d = 0; d < a->ndim - 1; d++) rows *= a->shape[d];
  for (int q = 0; q < n; q++) {
    const mx_view *b = &c[q].in[1], *out = c[q].out;
    bool turned = is_turned(&c[q]);
    if (b->ndim != 2 || out->dtype != b->dtype || (c[q].np && !turned)) return false;
    p[q] = (mx_product){.t = (mx_dtype)out->dtype, .m = rows, .n = b->shape[!turned], .k = k, .a = {c[q].in[0].data, step, a->strides[a->ndim - 1]},
                        .b = {b->data, b->strides[turned], b->strides[!turned]}, .alpha = 1, .out = out->data};
  }
  return mx_products_join(n, p);
}

int mx_cpu_matmuls(int n, const mx_call *c) {
  mx_product p[MX_JOINED];
  mx_walk one;
  mx_walk_init(&one, 0, NULL, -1, NULL, NULL, NULL);
  if (join(n, c, p)) return mx_products_thin(n, p, &one) ? mx_fail_memory() : 0;
  for (int q = 0, rc; q < n; q++)
    if ((rc = mx_cpu_matmul(&c[q]))) return rc;
  return 0;
}

int mx_cpu_matmul(const mx_call *c) {
  const mx_view *a = &c->in[0], *b = &c->in[1];
  bool turned = is_turned(c);
  if (!c->out->size) return 0;
  return turned || b->ndim < a->ndim ? rows_by_matrix(a, b, turned, c->out) : product(a, b, NULL, 1, 0, c->out);
}

int mx_cpu_addmm(const mx_call *call) {
  const mx_view *c = &call->in[0], *a = &call->in[1], *b = &call->in[2], *out = call->out;
  double alpha = mx_unbits(call->p[0]), beta = mx_unbits(call->p[1]);
  if (!out->size) return 0;
  if (beta == 0) c = NULL;
  int rc = c && mx_dtype_sizes[out->dtype] > 2 && out->dtype != MX_F32 && out->dtype != MX_F64 ? mx_copy_view(c, out) : 0;
  return rc ? rc : product(a, b, c, alpha, beta, out);
}
