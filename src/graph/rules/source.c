/* Ops that read no data but a key. */
#include "graph/rules/help.h"

int infer_arange(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)in, (void)nout;
  NEED(op, np, 4);
  if (p[0] <= MX_BOOL || p[0] >= MX_DTYPES || p[0] == MX_C64)
    return mx_fail(MX_EVALUE, "[arange] Not a dtype for arange: %lld.", (long long)p[0]);
  out->dtype = (mx_dtype)p[0];
  out->ndim = 1;
  return mx_set_dim(op, out, 0, p[1]);
}

/* p = width in bytes, shape; the key's batch dimensions come first */
int infer_random_bits(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  NEED(op, np, 1);
  const mx_array *key = in[0];
  if (p[0] != 1 && p[0] != 2 && p[0] != 4)
    return mx_fail(MX_EVALUE, "[bits] Bit width must be in {1, 2, 4}, got %lld.", (long long)p[0]);
  if (key->dtype != MX_U32 || key->ndim < 1 || key->shape[key->ndim - 1] != 2)
    return mx_fail(MX_EVALUE, "[bits] Expected key of shape (2) and dtype uint32, received %s of %s.", mx_shape_of(key),
                   mx_dtype_name(key->dtype));
  int batch = key->ndim - 1, nd = batch + np - 1, rc = 0;
  if (nd > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[bits] %d dimensions are more than %d.", nd, MX_MAX_NDIM);
  out->dtype = p[0] == 1 ? MX_U8 : p[0] == 2 ? MX_U16 : MX_U32;
  out->ndim = nd;
  for (int i = 0; i < batch; i++) out->shape[i] = key->shape[i];
  for (int i = 1; i < np && !rc; i++) rc = mx_set_dim(op, out, batch + i - 1, p[i]);
  if (rc)
    return mx_fail(MX_EVALUE, "[bits] Each dimension must be non-negative and below 2^31: %lld is not.",
                   (long long)(np > 1 ? p[1] : 0));
  return 0;
}

int vmap_random_bits(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_array *key = mx_front(s, in[0], ax[0]);
  res[0] = mx_node_again(s, n, &key);
  *res_ax = 0;
  return s->rc;
}

/* key (batch..., 2), parameter (batch..., shape) */
int infer_random_draw(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p, (void)nout;
  const mx_array *key = in[0], *x = in[1];
  bool fits = key->dtype == MX_U32 && key->ndim >= 1 && key->shape[key->ndim - 1] == 2 && x->ndim >= key->ndim - 1;
  for (int i = 0; fits && i < key->ndim - 1; i++) fits = key->shape[i] == x->shape[i];
  if (!fits)
    return mx_fail(MX_EVALUE, "[%s] Expected a key of shape (2) and dtype uint32 for each parameter, received %s of %s for shape %s.",
                   mx_ops[op].name, mx_shape_of(key), mx_dtype_name(key->dtype), mx_shape_of(x));
  if (x->dtype != MX_F32 && x->dtype != MX_F64)
    return mx_fail(MX_EVALUE, "[%s] The dtype %s is not supported.", mx_ops[op].name, mx_dtype_name(x->dtype));
  mx_aval_of(out, x);
  if (op == OP_random_poisson) out->dtype = MX_I64;
  return 0;
}

/* All inputs with the added axis in front, repeated where they have none: one key gives each its own draws again. */
int vmap_together(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_array *x[2];
  int size = mx_batch_size(n, in, ax);
  for (int i = 0; i < 2; i++) x[i] = mx_full_front(s, in[i], ax[i], size);
  if (!s->rc) res[0] = mx_node_again(s, n, x);
  *res_ax = 0;
  return s->rc;
}

int vjp_random_loggamma(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want,
                        mx_array **res) {
  res[0] = NULL; /* bits have no gradient */
  res[1] = want[1] && cot[0] ? mx_multiply(s, cot[0], mx_node2(s, OP_loggamma_grad, n->in[1], out[0], 0, NULL)) : NULL;
  return s->rc;
}
int jvp_random_loggamma(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  res[0] = tan[1] ? mx_multiply(s, tan[1], mx_node2(s, OP_loggamma_grad, n->in[1], out[0], 0, NULL)) : NULL;
  return s->rc;
}

int infer_loggamma_grad(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p, (void)nout;
  if (!mx_same_shape(in[0], in[1]) || in[0]->dtype != in[1]->dtype || (in[0]->dtype != MX_F32 && in[0]->dtype != MX_F64))
    return mx_fail(MX_EVALUE, "[%s] Expected two arrays of one shape of float32 or float64, got %s of %s and %s of %s.",
                   mx_ops[op].name, mx_shape_of(in[0]), mx_dtype_name(in[0]->dtype), mx_shape_of(in[1]),
                   mx_dtype_name(in[1]->dtype));
  mx_aval_of(out, in[0]);
  return 0;
}
