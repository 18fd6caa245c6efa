/* rope, which is built only where nothing is traced (graph/fast.c): it has a shape, but no other rules. */
#include "graph/rules/help.h"

/* p: dims, traditional, base, scale; inputs x, offset(, freqs) */
int infer_rope(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nout;
  NEED(op, np, 4);
  const mx_array *x = in[0], *freqs = nin > 2 ? in[2] : NULL;
  if (nin < 2 || nin > 3) return mx_fail(MX_EVALUE, "[rope] %d inputs, expected 2 or 3.", nin);
  if (x->ndim < 3 || !mx_is_float(x->dtype) || x->dtype == MX_F64)
    return mx_fail(MX_EVALUE, "[rope] The input must have three dimensions or more and be float32 or a half, but has shape %s and dtype %s.", mx_shape_of(x), mx_dtype_name(x->dtype));
  if (p[0] <= 0 || p[0] % 2 || p[0] > x->shape[x->ndim - 1])
    return mx_fail(MX_EVALUE, "[rope] dims must be even and within the last dimension of %s but got %lld.", mx_shape_of(x), (long long)p[0]);
  if (!mx_is_integer(in[1]->dtype) || in[1]->ndim > 1 || (in[1]->size != 1 && in[1]->size != x->shape[0]))
    return mx_fail(MX_EVALUE, "[rope] offset must be one integer, or one for each of the first dimension of %s, but has shape %s and dtype %s.", mx_shape_of(x), mx_shape_of(in[1]),
                   mx_dtype_name(in[1]->dtype));
  if (freqs && (freqs->ndim != 1 || freqs->shape[0] != p[0] / 2 || !mx_is_float(freqs->dtype)))
    return mx_fail(MX_EVALUE, "[rope] freqs must be %lld floats but has shape %s.", (long long)p[0] / 2, mx_shape_of(freqs));
  mx_aval_of(out, x);
  return 0;
}
