/* Matrix products. */
#include "graph/rules/help.h"

#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)

/* (..., M, K) by (..., K, N), with equal batch dimensions, or by (K, N) or a turned (N, K); of one dtype, or bytes. */
static bool is_byte(mx_dtype t) { return t == MX_U8 || t == MX_I8; }
static int product_shape(int op, const mx_array *a, const mx_array *b, bool bytes, bool turned, mx_aval *out) {
  const char *tag = mx_ops[op].name;
  bool matrix = op == OP_matmul && b->ndim == 2;
  if (a->ndim < 2 || b->ndim < 2 || (a->ndim != b->ndim && !matrix) || (turned && !matrix)) return mx_fail(MX_EVALUE, "[%s] Shapes %s and %s.", tag, mx_shape_of(a), mx_shape_of(b));
  if (bytes ? !is_byte(a->dtype) || !is_byte(b->dtype) : a->dtype != b->dtype)
    return mx_fail(MX_EVALUE, "[%s] Arrays of %s and %s have no common product.", tag, mx_dtype_name(a->dtype), mx_dtype_name(b->dtype));
  int nd = a->ndim, nb = b->ndim;
  if (a->shape[nd - 1] != b->shape[nb - 2 + turned])
    return mx_fail(
        MX_EVALUE,
        "[%s] Last dimension of first input with shape %s must match second to last dimension of second input with shape %s.",
        tag, mx_shape_of(a), mx_shape_of(b));
  mx_aval_of(out, a);
  out->shape[nd - 1] = b->shape[nb - 1 - turned];
  for (int i = 0; i < nb - 2; i++)
    if (a->shape[i] != b->shape[i])
      return mx_fail(MX_EVALUE, "[%s] Batch dimensions of %s and %s differ.", tag, mx_shape_of(a), mx_shape_of(b));
  return 0;
}

int infer_matmul(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  bool turned = np && p[0] == MX_TURNED;
  int rc = product_shape(op, in[0], in[1], np && !turned, turned, out);
  if (rc || !np || turned) return rc;
  if (p[0] != MX_I32) return mx_fail(MX_EVALUE, "[matmul] The sums of bytes are of int32.");
  out->dtype = MX_I32;
  return 0;
}

static mx_array *turned(mx_scope *s, mx_array *x) { return mx_conjugate(s, mx_swapaxes(s, x, -1, -2)); }
static mx_array *product(mx_scope *s, mx_array *a, mx_array *b) { return mx_node2(s, OP_matmul, a, b, 0, NULL); }

/* The rows of a batch, all of which a matrix multiplies. */
static mx_array *rows_of(mx_scope *s, mx_array *x, const mx_array *matrix) {
  return x && x->ndim > matrix->ndim ? mx_flatten(s, x, 0, -2) : x;
}

VJP(matmul) {
  (void)out;
  res[0] = res[1] = NULL;
  mx_array *a = n->in[0], *b = n->in[1], *c = cot[0];
  if (n->np && n->p[0] != MX_TURNED) return 0; /* of integers */
  if (want[0]) res[0] = product(s, c, n->np ? mx_conjugate(s, b) : turned(s, b));
  if (!want[1]) return s->rc;
  a = rows_of(s, a, b), c = rows_of(s, c, b);
  if (!a || !c) return s->rc;
  res[1] = n->np ? product(s, mx_swapaxes(s, c, -1, -2), mx_conjugate(s, a)) : product(s, turned(s, a), c);
  return s->rc;
}

/* The second factor as the first one's batch wants it: not turned, with as many dimensions, unless it is one matrix for all. */
static mx_array *batched_factor(mx_scope *s, const mx_array *n, mx_array *x, int ax) {
  x = mx_front(s, x, ax);
  if (x && n->np && n->p[0] == MX_TURNED) x = mx_swapaxes(s, x, -1, -2);
  while (x && ax >= 0 && x->ndim < n->ndim + 1) x = mx_expand_dims(s, x, 1);
  return x;
}

/* The builder makes rows of a batch that only the first factor has. */
VMAP(matmul) {
  mx_array *b = batched_factor(s, n, in[1], ax[1]), *a = mx_front(s, in[0], ax[0]);
  res[0] = mx_matmul_as(s, a, b, n->dtype);
  *res_ax = 0;
  return s->rc;
}

/* ---- addmm: p = alpha, beta; inputs c, a, b; alpha a@b + beta c ---- */

int infer_addmm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout, (void)p;
  NEED(op, np, 2);
  int rc = product_shape(op, in[1], in[2], false, false, out);
  if (rc) return rc;
  bool fits = in[0]->ndim == out->ndim && in[0]->dtype == out->dtype;
  for (int i = 0; fits && i < out->ndim; i++) fits = in[0]->shape[i] == out->shape[i];
  if (fits) return 0;
  return mx_fail(MX_EVALUE, "[addmm] The added array has shape %s, the product %s.", mx_shape_of(in[0]),
                 mx_shape_str(out->ndim, out->shape));
}

VJP(addmm) {
  (void)out;
  double alpha = mx_unbits(n->p[0]), beta = mx_unbits(n->p[1]);
  if (want[0]) res[0] = mx_mul_k(s, cot[0], beta);
  if (want[1]) res[1] = mx_mul_k(s, product(s, cot[0], turned(s, n->in[2])), alpha);
  if (want[2]) res[2] = mx_mul_k(s, product(s, turned(s, n->in[1]), cot[0]), alpha);
  return s->rc;
}

JVP(addmm) {
  (void)out;
  double alpha = mx_unbits(n->p[0]), beta = mx_unbits(n->p[1]);
  mx_array *sum = mx_mul_k(s, tan[0], beta);
  for (int i = 1; i <= 2; i++) {
    if (!tan[i]) continue;
    mx_array *t = mx_mul_k(s, i == 1 ? product(s, tan[1], n->in[2]) : product(s, n->in[1], tan[2]), alpha);
    sum = sum && t ? mx_add(s, sum, t) : t;
  }
  res[0] = sum;
  return s->rc;
}

VMAP(addmm) {
  mx_array *c = mx_front(s, in[0], ax[0]);
  res[0] =
      mx_addmm(s, c, mx_front(s, in[1], ax[1]), mx_front(s, in[2], ax[2]), (float)mx_unbits(n->p[0]), (float)mx_unbits(n->p[1]));
  *res_ax = 0;
  return s->rc;
}

/* ---- gather_mm: a (A, M, K), b (B, K, N), l (n,), r (n,) ---- */

int infer_gather_mm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout, (void)np, (void)p;
  const mx_array *a = in[0], *b = in[1], *l = in[2], *r = in[3];
  if (a->ndim != 3 || b->ndim != 3 || l->ndim != 1 || r->ndim != 1 || a->shape[2] != b->shape[1] || l->shape[0] != r->shape[0])
    return mx_fail(MX_EVALUE, "[gather_mm] Shapes %s, %s, %s and %s do not fit.", mx_shape_of(a), mx_shape_of(b), mx_shape_of(l),
                   mx_shape_of(r));
  if (a->dtype != b->dtype || !mx_is_inexact(a->dtype) || !mx_is_integer(l->dtype) || !mx_is_integer(r->dtype))
    return mx_fail(MX_EVALUE, "[gather_mm] Arrays of %s and %s cannot be multiplied at indices of %s and %s.", mx_dtype_name(a->dtype),
                   mx_dtype_name(b->dtype), mx_dtype_name(l->dtype), mx_dtype_name(r->dtype));
  out->dtype = a->dtype;
  out->ndim = 3;
  out->shape[1] = a->shape[1];
  out->shape[2] = b->shape[2];
  return mx_set_dim(op, out, 0, l->shape[0]);
}

/* Zeros like x, and each of the updates (n, ...) added at its index. */
static mx_array *added(mx_scope *s, mx_array *x, mx_array *index, mx_array *updates) {
  return mx_scatter_add_single(s, mx_zeros_like(s, x), index, updates ? mx_expand_dims(s, updates, 1) : NULL, 0);
}

VJP(gather_mm) {
  (void)out;
  mx_array *a = n->in[0], *b = n->in[1], *l = n->in[2], *r = n->in[3];
  if (want[2] || want[3]) return mx_no_index_gradient(s, n);
  mx_array *each = mx_arange(s, 0, l->shape[0], 1, MX_U32);
  if (want[0]) { /* the product at the same matrices of b, turned */
    mx_array *in[4] = {cot[0], turned(s, b), each, r};
    res[0] = added(s, a, l, mx_node(s, OP_gather_mm, 4, in, 0, NULL));
  }
  if (want[1]) {
    mx_array *in[4] = {turned(s, a), cot[0], l, each};
    res[1] = added(s, b, r, mx_node(s, OP_gather_mm, 4, in, 0, NULL));
  }
  return s->rc;
}

/* Indices into `size` matrices for each of `batch` (mapped: of its own set of them). */
static mx_array *batched_index(mx_scope *s, mx_array *index, int ax, int batch, bool mapped, int size) {
  index = mx_full_front(s, index, ax, batch);
  if (!mapped || !index) return mx_flatten(s, index, 0, -1);
  index = mx_astype(s, index, MX_I64);
  index = mx_where(s, mx_less(s, index, mx_int(s, MX_I64, 0)), mx_add(s, index, mx_int(s, MX_I64, size)), index);
  if (!index) return NULL;
  mx_array *from = mx_multiply(s, mx_batch_index(s, batch, 2, index->shape), mx_int(s, MX_I64, size));
  return mx_flatten(s, mx_add(s, index, from), 0, -1);
}

VMAP(gather_mm) {
  int batch = mx_batch_size(n, in, ax);
  mx_array *x[4];
  for (int i = 0; i < 2; i++) {
    x[i] = mx_front(s, in[i], ax[i]);
    if (ax[i] >= 0) x[i] = mx_flatten(s, x[i], 0, 1);
    x[2 + i] = batched_index(s, in[2 + i], ax[2 + i], batch, ax[i] >= 0, n->in[i]->shape[0]);
  }
  *res_ax = 0;
  res[0] = mx_unflatten(s, mx_node(s, OP_gather_mm, 4, x, 0, NULL), 0, (int[]){batch, n->in[2]->shape[0]}, 2);
  return s->rc;
}
