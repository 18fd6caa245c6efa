/* The rules of the batch norm and of its gradient as ops: what these have no kernel for is written out. */
#include "graph/functions.h"
#include "graph/rules/help.h"
#include "nn/nn.h"
#include "transforms/body.h"

enum { X, WEIGHT, BIAS };
enum { ITS_X, ITS_MEAN, ITS_VAR, ITS_WEIGHT, COTANGENT };

/* Over all axes but the last. */
static mx_array *sums(mx_scope *s, mx_array *x) {
  int axes[MX_MAX_NDIM];
  for (int i = 0; x && i < x->ndim; i++) axes[i] = i;
  return x ? mx_sum_axes(s, x, axes, (size_t)x->ndim - 1, false) : NULL;
}

static mx_array *scale(mx_scope *s, const mx_array *n, mx_array *var) { return mx_rsqrt(s, mx_plus(s, var, mx_unbits(n->p[0]))); }

static void forward(mx_scope *s, const mx_array *n, mx_array *const *in, mx_array **out) {
  double share = 1 / ((double)in[X]->size / in[X]->shape[in[X]->ndim - 1]);
  out[1] = mx_times(s, sums(s, in[X]), share);
  mx_array *left = mx_subtract(s, in[X], out[1]);
  out[2] = mx_times(s, sums(s, mx_square(s, left)), share);
  out[0] = mx_nn_affine(s, mx_multiply(s, left, scale(s, n, out[2])), in[WEIGHT], in[BIAS]);
}

static void backward(mx_scope *s, const mx_array *n, mx_array *const *in, mx_array **out) {
  double share = 1 / ((double)in[ITS_X]->size / in[ITS_X]->shape[in[ITS_X]->ndim - 1]);
  mx_array *r = scale(s, n, in[ITS_VAR]), *y = mx_multiply(s, mx_subtract(s, in[ITS_X], in[ITS_MEAN]), r), *g = in[COTANGENT];
  out[1] = sums(s, mx_multiply(s, g, y));
  out[2] = sums(s, g);
  mx_array *rest = mx_subtract(s, mx_subtract(s, g, mx_times(s, out[2], share)), mx_multiply(s, y, mx_times(s, out[1], share)));
  out[0] = mx_multiply(s, mx_multiply(s, in[ITS_WEIGHT], r), rest);
}

static int written_out(mx_scope *s, const mx_array *n, mx_array *const *cot, const bool *want, mx_array **res) {
  mx_array *in[5] = {NULL}, *out[3] = {NULL}, *got[5];
  for (int i = 0; i < n->nin; i++)
    if ((in[i] = mx_copy(s, n->in[i]))) in[i]->flags |= MX_TRACER;
  if (s->rc) return s->rc;
  (n->op == OP_batch_norm ? forward : backward)(s, n, in, out);
  int rc = s->rc ? s->rc : mx_pull_back(s, n->nin, in, 3, out, MX_TRACER, cot, got);
  for (int i = 0; i < n->nin && !rc; i++)
    if (want[i]) res[i] = got[i];
  return rc;
}

int vjp_batch_norm(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  if (cot[1] || cot[2]) return written_out(s, n, cot, want, res);
  if (!cot[0]) return s->rc;
  return mx_node_multi(s, OP_batch_norm_vjp, 5, (mx_array *[]){n->in[X], out[1], out[2], n->in[WEIGHT], cot[0]}, 1, n->p, NULL, 3, res);
}

int vjp_batch_norm_vjp(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out;
  return written_out(s, n, cot, want, res);
}

int infer_batch_norm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)p, (void)nout;
  NEED(op, np, 1);
  const mx_array *x = in[X];
  if (x->ndim < 1) return mx_fail(MX_EVALUE, "[%s] The array has no axis.", mx_ops[op].name);
  int c = x->shape[x->ndim - 1];
  for (int i = 0; i < nin; i++) {
    bool fits = in[i]->dtype == MX_F32 && (i == 0 || i == COTANGENT ? mx_same_shape(in[i], x) : in[i]->ndim == 1 && in[i]->shape[0] == c);
    if (!fits)
      return mx_fail(MX_EVALUE, "[%s] An input of shape %s and dtype %s does not fit %d channels in float32.", mx_ops[op].name,
                     mx_shape_of(in[i]), mx_dtype_name((mx_dtype)in[i]->dtype), c);
  }
  mx_aval_of(&out[0], x);
  for (int i = 1; i < 3; i++) out[i] = (mx_aval){.dtype = MX_F32, .ndim = 1, .shape = {c}};
  return 0;
}
