/* Matrix products. */
#include "graph/rules/help.h"

#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)

/* (..., M, K) by (..., K, N), with equal batch dimensions; of one dtype, or bytes. */
static bool is_byte(mx_dtype t) { return t == MX_U8 || t == MX_I8; }
static int product_shape(int op, const mx_array *a, const mx_array *b, bool bytes, mx_aval *out) {
  const char *tag = mx_ops[op].name;
  if (a->ndim < 2 || a->ndim != b->ndim) return mx_fail(MX_EVALUE, "[%s] Shapes %s and %s.", tag, mx_shape_of(a), mx_shape_of(b));
  if (bytes ? !is_byte(a->dtype) || !is_byte(b->dtype) : a->dtype != b->dtype)
    return mx_fail(MX_EVALUE, "[%s] Arrays of %s and %s have no common product.", tag, mx_dtype_name(a->dtype), mx_dtype_name(b->dtype));
  int nd = a->ndim;
  if (a->shape[nd - 1] != b->shape[nd - 2])
    return mx_fail(
        MX_EVALUE,
        "[%s] Last dimension of first input with shape %s must match second to last dimension of second input with shape %s.",
        tag, mx_shape_of(a), mx_shape_of(b));
  mx_aval_of(out, a);
  out->shape[nd - 1] = b->shape[nd - 1];
  for (int i = 0; i < nd - 2; i++)
    if (a->shape[i] != b->shape[i])
      return mx_fail(MX_EVALUE, "[%s] Batch dimensions of %s and %s differ.", tag, mx_shape_of(a), mx_shape_of(b));
  return 0;
}

int infer_matmul(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  int rc = product_shape(op, in[0], in[1], np > 0, out);
  if (rc || !np) return rc;
  if (p[0] != MX_I32) return mx_fail(MX_EVALUE, "[matmul] The sums of bytes are of int32.");
  out->dtype = MX_I32;
  return 0;
}

static mx_array *turned(mx_scope *s, mx_array *x) { return mx_conjugate(s, mx_swapaxes(s, x, -1, -2)); }
static mx_array *product(mx_scope *s, mx_array *a, mx_array *b) { return mx_node2(s, OP_matmul, a, b, 0, NULL); }

VJP(matmul) {
  (void)out;
  res[0] = res[1] = NULL;
  if (n->np) return 0; /* of integers */
  if (want[0]) res[0] = product(s, cot[0], turned(s, n->in[1]));
  if (want[1]) res[1] = product(s, turned(s, n->in[0]), cot[0]);
  return s->rc;
}

/* The builder folds a batch that only the first factor has into its rows. */
VMAP(matmul) {
  res[0] = mx_matmul_as(s, mx_front(s, in[0], ax[0]), mx_front(s, in[1], ax[1]), n->dtype);
  *res_ax = 0;
  return s->rc;
}

/* ---- addmm: p = alpha, beta; inputs c, a, b; alpha a@b + beta c ---- */

int infer_addmm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout, (void)p;
  NEED(op, np, 2);
  int rc = product_shape(op, in[1], in[2], false, out);
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
