/* Reductions and argument reductions. The reduced axes stay, with size 1. */
#include "graph/rules/help.h"

#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)

enum { RESULT_SAME, RESULT_BOOL, RESULT_SUM };
#define SAME RESULT_SAME
#define BOOL RESULT_BOOL
#define SUM  RESULT_SUM
static const uint8_t result_kind[MX_OPS] = {
#define REDUCE(name, label, types, res, start, step, doc) [OP_##name] = res,
#include "reduce.def"
#undef REDUCE
};
#undef SAME
#undef BOOL
#undef SUM

static mx_dtype widened(mx_dtype t) {
  switch (t) {
  case MX_BOOL:
  case MX_I8:
  case MX_I16: return MX_I32;
  case MX_U8:
  case MX_U16: return MX_U32;
  default: return t;
  }
}

int infer_reduce(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  if (!(mx_ops[op].dtypes & MX_BIT(in[0]->dtype)))
    return mx_fail(MX_EVALUE, "[%s] The dtype %s is not supported.", mx_ops[op].name, mx_dtype_name(in[0]->dtype));
  mx_aval_of(out, in[0]);
  for (int i = 0; i < np; i++) {
    int rc = mx_check_axis(op, p[i], in[0]->ndim);
    if (rc) return rc;
    if (i && p[i] <= p[i - 1]) return mx_fail(MX_EVALUE, "[%s] The axes must be ascending.", mx_ops[op].name);
    if ((op == OP_max || op == OP_min) && in[0]->shape[p[i]] == 0)
      return mx_fail(MX_EVALUE, "[%s] Cannot %s reduce zero size array of shape %s.", mx_ops[op].name, mx_ops[op].name,
                     mx_shape_of(in[0]));
    out->shape[p[i]] = 1;
  }
  if (result_kind[op] == RESULT_SUM) out->dtype = widened(out->dtype);
  if (result_kind[op] == RESULT_BOOL) out->dtype = MX_BOOL;
  return 0;
}

/* The added axis stays where it is. */
int vmap_reduce(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int64_t p[MX_MAX_NDIM];
  for (int i = 0; i < n->np; i++) p[i] = n->p[i] + (ax[0] >= 0 && n->p[i] >= ax[0]);
  res[0] = mx_redo(s, n, in, n->np, p);
  *res_ax = ax[0];
  return s->rc;
}

VJP(sum) {
  (void)out, (void)want;
  const mx_array *x = n->in[0];
  res[0] = cot[0] ? mx_broadcast_to(s, mx_astype(s, cot[0], x->dtype), x->shape, x->ndim) : NULL;
  return s->rc;
}
JVP(sum) { return jvp_linear(s, n, out, tan, res); }

/* The product of the others for each element: those before times those behind, over the reduced axes taken as one. Right where
 * elements are 0, too. */
static mx_array *product_of_others(mx_scope *s, const mx_array *n) {
  mx_array *x = n->in[0];
  int perm[MX_MAX_NDIM], back[MX_MAX_NDIM], shape[MX_MAX_NDIM], k = 0;
  bool reduced[MX_MAX_NDIM] = {0};
  int64_t run = 1;
  for (int i = 0; i < n->np; i++) {
    reduced[n->p[i]] = true;
    run *= x->shape[n->p[i]];
  }
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < x->ndim; i++)
      if (reduced[i] == pass) perm[k++] = i;
  int kept = x->ndim - n->np;
  for (int i = 0; i < x->ndim; i++) {
    back[perm[i]] = i;
    shape[i] = x->shape[perm[i]];
  }
  if (run > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, "[prod] %s is too large for a gradient.", mx_shape_of(x));
  int flat[MX_MAX_NDIM];
  for (int i = 0; i < kept; i++) flat[i] = shape[i];
  flat[kept] = (int)run;
  mx_array *y = mx_reshape(s, mx_permute(s, x, perm), flat, kept + 1);
  y = y ? mx_multiply(s, mx_cumprod(s, y, kept, false, false), mx_cumprod(s, y, kept, true, false)) : NULL;
  return mx_permute(s, mx_reshape(s, y, shape, x->ndim), back);
}

VJP(prod) {
  (void)out, (void)want;
  mx_array *d = product_of_others(s, n), *g = d && cot[0] ? mx_multiply(s, cot[0], mx_conjugate(s, d)) : NULL;
  res[0] = g ? mx_astype(s, g, n->in[0]->dtype) : NULL;
  return s->rc;
}

static mx_array *summed(mx_scope *s, const mx_array *n, mx_array *x) { return x ? mx_node1(s, OP_sum, x, n->np, n->p) : NULL; }

JVP(prod) {
  (void)out;
  res[0] = NULL;
  if (!tan[0]) return 0;
  mx_array *d = product_of_others(s, n);
  res[0] = summed(s, n, d ? mx_multiply(s, tan[0], d) : NULL);
  return s->rc;
}

/* Equal ones share: each its part of the gradient. */
static mx_array *share(mx_scope *s, const mx_array *n, mx_array *r, mx_array **hit) {
  mx_dtype t = mx_is_inexact(n->dtype) ? n->dtype : MX_F32;
  *hit = mx_astype(s, mx_equal(s, n->in[0], r), t);
  return summed(s, n, *hit);
}

static int vjp_minmax(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, mx_array **res) {
  mx_array *hit, *count = share(s, n, out[0], &hit);
  mx_array *g = cot[0] && count ? mx_multiply(s, hit, mx_divide(s, cot[0], count)) : NULL;
  res[0] = g ? mx_astype(s, g, n->in[0]->dtype) : NULL;
  return s->rc;
}
VJP(max) {
  (void)want;
  return vjp_minmax(s, n, out, cot, res);
}
VJP(min) {
  (void)want;
  return vjp_minmax(s, n, out, cot, res);
}

static int jvp_minmax(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  res[0] = NULL;
  if (!tan[0]) return 0;
  mx_array *hit, *count = share(s, n, out[0], &hit);
  mx_array *g = count ? mx_divide(s, summed(s, n, mx_multiply(s, tan[0], hit)), count) : NULL;
  res[0] = g ? mx_astype(s, g, n->dtype) : NULL;
  return s->rc;
}
JVP(max) { return jvp_minmax(s, n, out, tan, res); }
JVP(min) { return jvp_minmax(s, n, out, tan, res); }

VJP(all) { return vjp_none(s, n, out, cot, want, res); }
VJP(any) { return vjp_none(s, n, out, cot, want, res); }
JVP(all) { return jvp_none(s, n, out, tan, res); }
JVP(any) { return jvp_none(s, n, out, tan, res); }

/* ---- argmin, argmax: p = axis ---- */

int infer_arg_reduce(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  NEED(op, np, 1);
  int rc = mx_check_axis(op, p[0], in[0]->ndim);
  if (rc) return rc;
  if (in[0]->shape[p[0]] == 0)
    return mx_fail(MX_EVALUE, "[%s] Cannot %s reduce zero size array of shape %s.", mx_ops[op].name, mx_ops[op].name,
                   mx_shape_of(in[0]));
  mx_aval_of(out, in[0]);
  out->shape[p[0]] = 1;
  out->dtype = MX_U32;
  return 0;
}
