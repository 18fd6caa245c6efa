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
