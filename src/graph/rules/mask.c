/* What depends on values: places and elements that a mask chooses, counts, searches. Sizes of results are parameters. */
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)
#define UNUSED (void)op, (void)nin, (void)nout, (void)np, (void)p

/* A mask of bool with at least `lead` dimensions. */
static int check_mask(int op, const mx_array *mask, int64_t lead) {
  if (mask->dtype != MX_BOOL)
    return mx_fail(MX_EVALUE, "[%s] The mask must be bool, not %s.", mx_ops[op].name, mx_dtype_name(mask->dtype));
  if (lead < 0 || lead > mask->ndim)
    return mx_fail(MX_EVALUE, "[%s] A mask of shape %s does not have %lld batch dimensions.", mx_ops[op].name, mx_shape_of(mask),
                   (long long)lead);
  return 0;
}

/* x begins with the mask's dimensions. */
static int check_fit(int op, const mx_array *x, const mx_array *mask) {
  bool fits = mask->ndim <= x->ndim;
  for (int d = 0; fits && d < mask->ndim; d++) fits = mask->shape[d] == x->shape[d];
  if (fits) return 0;
  return mx_fail(MX_EVALUE, "[%s] The mask %s does not fit the leading dimensions of %s.", mx_ops[op].name, mx_shape_of(mask),
                 mx_shape_of(x));
}

/* All inputs with the batch in front, and one batch dimension more. */
static int vmap_batches(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, int at, mx_array **res, int *res_ax) {
  int size = mx_batch_size(n, in, ax);
  mx_array *b[3];
  int64_t p[3] = {0};
  for (int i = 0; i < n->nin; i++) b[i] = mx_full_front(s, in[i], ax[i], size);
  for (int i = 0; i < n->np; i++) p[i] = n->p[i] + (i == at);
  res[0] = s->rc ? NULL : mx_redo(s, n, b, n->np, p);
  *res_ax = 0;
  return s->rc;
}

/* ---- nonzero: p = b, size, fill ---- */

INFER(nonzero) {
  UNUSED;
  NEED(op, np, 3);
  int rc = check_mask(op, in[0], p[0]), lead = (int)p[0];
  if (rc) return rc;
  out->dtype = MX_I32;
  out->ndim = lead + 2;
  if (out->ndim > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[nonzero] %d dimensions are more than %d.", out->ndim, MX_MAX_NDIM);
  for (int d = 0; d < lead; d++) out->shape[d] = in[0]->shape[d];
  out->shape[lead] = in[0]->ndim - lead;
  return mx_set_dim(op, out, lead + 1, p[1]);
}

VMAP(nonzero) { return vmap_batches(s, n, in, ax, 0, res, res_ax); }

/* ---- compress: p = b, size; masked_scatter: p = b, strict. Each is the other's transpose ---- */

INFER(compress) {
  UNUSED;
  NEED(op, np, 2);
  int rc = check_mask(op, in[1], p[0]);
  if (!rc) rc = check_fit(op, in[0], in[1]);
  if (rc) return rc;
  int lead = (int)p[0], rest = in[0]->ndim - in[1]->ndim;
  if (lead + 1 + rest > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[compress] The result has more than %d dimensions.", MX_MAX_NDIM);
  out->dtype = in[0]->dtype;
  out->ndim = lead + 1 + rest;
  for (int d = 0; d < lead; d++) out->shape[d] = in[0]->shape[d];
  for (int d = 0; d < rest; d++) out->shape[lead + 1 + d] = in[0]->shape[in[1]->ndim + d];
  return mx_set_dim(op, out, lead, p[1]);
}

INFER(masked_scatter) {
  UNUSED;
  NEED(op, np, 2);
  int rc = check_mask(op, in[1], p[0]);
  if (!rc) rc = check_fit(op, in[0], in[1]);
  if (rc) return rc;
  int lead = (int)p[0], rest = in[0]->ndim - in[1]->ndim;
  bool fits = in[2]->ndim == lead + 1 + rest;
  for (int d = 0; fits && d < lead; d++) fits = in[2]->shape[d] == in[0]->shape[d];
  for (int d = 0; fits && d < rest; d++) fits = in[2]->shape[lead + 1 + d] == in[0]->shape[in[1]->ndim + d];
  if (!fits || in[2]->dtype != in[0]->dtype)
    return mx_fail(MX_EVALUE, "[masked_scatter] A source %s of %s does not fit an array %s of %s and a mask %s.", mx_shape_of(in[2]),
                   mx_dtype_name(in[2]->dtype), mx_shape_of(in[0]), mx_dtype_name(in[0]->dtype), mx_shape_of(in[1]));
  mx_aval_of(out, in[0]);
  return 0;
}

static mx_array *put(mx_scope *s, mx_array *x, mx_array *mask, mx_array *source, int64_t lead, int64_t strict) {
  return x && source ? mx_node(s, OP_masked_scatter, 3, (mx_array *[]){x, mask, source}, 2, (int64_t[]){lead, strict}) : NULL;
}

VJP(compress) {
  (void)out;
  if (want[0]) res[0] = put(s, mx_zeros_like(s, n->in[0]), n->in[1], cot[0], n->p[0], 0);
  return s->rc;
}

JVP(compress) {
  (void)out;
  res[0] = tan[0] ? mx_node_again(s, n, (mx_array *[]){tan[0], n->in[1]}) : NULL;
  return s->rc;
}

VJP(masked_scatter) {
  (void)out;
  int64_t lead = n->p[0];
  if (want[0]) res[0] = put(s, cot[0], n->in[1], mx_zeros_like(s, n->in[2]), lead, n->p[1]);
  if (want[2])
    res[2] = mx_node(s, OP_compress, 2, (mx_array *[]){cot[0], n->in[1]}, 2, (int64_t[]){lead, n->in[2]->shape[lead]});
  return s->rc;
}

JVP(masked_scatter) {
  (void)out;
  res[0] = NULL;
  if (!tan[0] && !tan[2]) return 0;
  res[0] = put(s, tan[0] ? tan[0] : mx_zeros_like(s, n->in[0]), n->in[1], tan[2] ? tan[2] : mx_zeros_like(s, n->in[2]), n->p[0], n->p[1]);
  return s->rc;
}

VMAP(compress) { return vmap_batches(s, n, in, ax, 0, res, res_ax); }
VMAP(masked_scatter) { return vmap_batches(s, n, in, ax, 0, res, res_ax); }

/* ---- bincount: p = length ---- */

INFER(bincount) {
  UNUSED;
  NEED(op, np, 1);
  if (nin < 1 || nin > 2) return mx_fail(MX_EVALUE, "[bincount] %d inputs, but 1 or 2 are needed.", nin);
  const mx_array *x = in[0];
  if (x->ndim < 1 || !(mx_is_integer(x->dtype) || x->dtype == MX_BOOL))
    return mx_fail(MX_EVALUE, "[bincount] Expected integers in one dimension, got %s of shape %s.", mx_dtype_name(x->dtype), mx_shape_of(x));
  if (nin > 1 && (!mx_same_shape(in[1], x) || !mx_is_inexact(in[1]->dtype) || in[1]->dtype == MX_C64))
    return mx_fail(MX_EVALUE, "[bincount] Expected real weights of shape %s, got %s of shape %s.", mx_shape_of(x),
                   mx_dtype_name(in[1]->dtype), mx_shape_of(in[1]));
  mx_aval_of(out, x);
  out->dtype = nin > 1 ? in[1]->dtype : MX_I32;
  return mx_set_dim(op, out, x->ndim - 1, p[0]);
}

VJP(bincount) {
  (void)out;
  if (n->nin > 1 && want[1])
    res[1] = mx_take_along_axis(s, cot[0], n->in[0]->dtype == MX_BOOL ? mx_astype(s, n->in[0], MX_U8) : n->in[0], -1);
  return s->rc;
}

JVP(bincount) {
  (void)out;
  res[0] = n->nin > 1 && tan[1] ? mx_node_again(s, n, (mx_array *[]){n->in[0], tan[1]}) : NULL;
  return s->rc;
}

VMAP(bincount) { return vmap_batches(s, n, in, ax, -1, res, res_ax); }

/* ---- searchsorted: p = right, b ---- */

INFER(searchsorted) {
  UNUSED;
  NEED(op, np, 2);
  int64_t lead = p[1];
  bool fits = lead >= 0 && lead == in[0]->ndim - 1 && in[1]->ndim >= lead && in[0]->dtype == in[1]->dtype;
  for (int d = 0; fits && d < lead; d++) fits = in[0]->shape[d] == in[1]->shape[d];
  if (!fits)
    return mx_fail(MX_EVALUE, "[searchsorted] Values %s of %s cannot be sought in an array %s of %s.", mx_shape_of(in[1]),
                   mx_dtype_name(in[1]->dtype), mx_shape_of(in[0]), mx_dtype_name(in[0]->dtype));
  mx_aval_of(out, in[1]);
  out->dtype = MX_U32;
  return 0;
}

VMAP(searchsorted) {
  if (ax[0] >= 0 || n->p[1]) return vmap_batches(s, n, in, ax, 1, res, res_ax);
  res[0] = mx_node_again(s, n, in); /* one sorted array for all */
  *res_ax = ax[1];
  return s->rc;
}
