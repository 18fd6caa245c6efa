/* The Fourier transform along one axis: shape and gradient. */
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
