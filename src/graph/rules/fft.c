/* Fourier transforms along one axis: shapes and gradients. */
#include "graph/rules/help.h"

int infer_fft(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  NEED(op, np, 3);
  const mx_array *a = in[0];
  int rc = mx_check_axis(op, p[0], a->ndim);
  if (rc) return rc;
  if (a->dtype != MX_C64) return mx_fail(MX_EVALUE, "[fft] The array must be complex64, got %s.", mx_dtype_name(a->dtype));
  if (a->shape[p[0]] == 0) return mx_fail(MX_EVALUE, "[fft] Axis %d of shape %s is empty.", (int)p[0], mx_shape_of(a));
  mx_aval_of(out, a);
  return 0;
}

/* The matrix of the transform is symmetric: its conjugate transpose is the sum with the other sign, and the scale is real. */
int vjp_fft(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)want;
  int64_t p[3] = {n->p[0], !n->p[1], n->p[2]};
  res[0] = mx_node1(s, OP_fft, cot[0], 3, p);
  return s->rc;
}

static int check_axis(int op, const mx_array *a, int64_t axis, mx_dtype t) {
  int rc = mx_check_axis(op, axis, a->ndim);
  if (rc) return rc;
  const char *name = mx_ops[op].name;
  if (a->dtype != t)
    return mx_fail(MX_EVALUE, "[%s] The array must be %s, got %s.", name, mx_dtype_name(t), mx_dtype_name(a->dtype));
  if (a->shape[axis] == 0) return mx_fail(MX_EVALUE, "[%s] Axis %d of shape %s is empty.", name, (int)axis, mx_shape_of(a));
  return 0;
}

int infer_rfft(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  NEED(op, np, 2);
  int rc = check_axis(op, in[0], p[0], MX_F32);
  if (rc) return rc;
  mx_aval_of(out, in[0]);
  out->dtype = MX_C64;
  return mx_set_dim(op, out, (int)p[0], in[0]->shape[p[0]] / 2 + 1);
}

int infer_irfft(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  NEED(op, np, 3);
  int rc = check_axis(op, in[0], p[0], MX_C64);
  if (rc) return rc;
  if (p[1] <= 0 || p[1] / 2 + 1 != in[0]->shape[p[0]])
    return mx_fail(MX_EVALUE, "[irfft] Length %lld needs %lld elements along axis %d, got shape %s.", (long long)p[1],
                   (long long)(p[1] / 2 + 1), (int)p[0], mx_shape_of(in[0]));
  mx_aval_of(out, in[0]);
  out->dtype = MX_F32;
  return mx_set_dim(op, out, (int)p[0], p[1]);
}

/* x times `pair` where an element of the half stands for two of the whole: at all places but 0 and n / 2 of an even n. */
static mx_array *weigh_pairs(mx_scope *s, mx_array *x, int axis, int64_t n, double pair) {
  if (!x) return NULL;
  int half = (int)(n / 2 + 1), pairs = (int)((n - 1) / 2), zero = 0, low = 1, high = half - 1 - pairs, shape[MX_MAX_NDIM];
  for (int i = 0; i < x->ndim; i++) shape[i] = i == axis ? half : 1;
  mx_array *more = mx_full(s, &pairs, 1, mx_scalar(s, MX_F32, pair - 1), MX_F32);
  mx_array *weight = mx_add_k(s, mx_pad(s, more, &zero, 1, &low, 1, &high, 1, mx_scalar(s, MX_F32, 0), "constant"), 1);
  return mx_multiply(s, x, mx_reshape(s, weight, shape, (size_t)x->ndim));
}

/* The sum over the half alone, real parts: irfft counts pairs twice. */
int vjp_rfft(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)want;
  int axis = (int)n->p[0];
  int64_t len = n->in[0]->shape[axis], p[3] = {axis, len, n->p[1]};
  res[0] = mx_node1(s, OP_irfft, weigh_pairs(s, cot[0], axis, len, 0.5), 3, p);
  return s->rc;
}

int vjp_irfft(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)want;
  int64_t p[2] = {n->p[0], n->p[2]};
  res[0] = weigh_pairs(s, mx_node1(s, OP_rfft, cot[0], 2, p), (int)n->p[0], n->p[1], 2);
  return s->rc;
}
