/* Concatenation, padding, updates of slices. */
#include "graph/modes.h"
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)
#define UNUSED (void)op, (void)nin, (void)nout, (void)np, (void)p

static int same_dtype(int op, int nin, mx_array *const *in) {
  for (int i = 1; i < nin; i++)
    if (in[i]->dtype != in[0]->dtype)
      return mx_fail(MX_EVALUE, "[%s] The dtypes %s and %s differ.", mx_ops[op].name, mx_dtype_name(in[0]->dtype),
                     mx_dtype_name(in[i]->dtype));
  return 0;
}

/* ---- concatenate ---- */

INFER(concatenate) {
  UNUSED;
  NEED(op, np, 1);
  if (nin == 0) return mx_fail(MX_EVALUE, "[concatenate] No arrays provided for concatenation.");
  int rc = mx_check_axis(op, p[0], in[0]->ndim);
  if (!rc) rc = same_dtype(op, nin, in);
  if (rc) return rc;
  mx_aval_of(out, in[0]);
  int64_t total = 0;
  for (int i = 0; i < nin; i++) {
    if (in[i]->ndim != in[0]->ndim)
      return mx_fail(MX_EVALUE, "[concatenate] All the input arrays must have the same number of dimensions: got %s and %s.",
                     mx_shape_of(in[0]), mx_shape_of(in[i]));
    for (int d = 0; d < in[0]->ndim; d++)
      if (d != p[0] && in[i]->shape[d] != in[0]->shape[d])
        return mx_fail(MX_EVALUE,
                       "[concatenate] All the input array dimensions must match exactly except for the concatenation axis %d: "
                       "got %s and %s.",
                       (int)p[0], mx_shape_of(in[0]), mx_shape_of(in[i]));
    total += in[i]->shape[p[0]];
  }
  return mx_set_dim(op, out, (int)p[0], total);
}

VJP(concatenate) {
  (void)out;
  int64_t at = 0;
  for (int i = 0; i < n->nin; i++) {
    int64_t end = at + n->in[i]->shape[n->p[0]];
    if (want[i]) res[i] = mx_slice_axis(s, cot[0], (int)n->p[0], at, end);
    at = end;
  }
  return s->rc;
}

VMAP(concatenate) {
  int size = mx_batch_size(n, in, ax);
  mx_array **x = mx_malloc(sizeof *x * n->nin);
  if (!x) return mx_scope_error(s, mx_fail_memory()), s->rc;
  for (int i = 0; i < n->nin; i++) x[i] = mx_full_front(s, in[i], ax[i], size);
  res[0] = mx_redo(s, n, x, 1, (int64_t[]){n->p[0] + 1});
  *res_ax = 0;
  mx_free(x);
  return s->rc;
}

/* ---- pad: p = low[nd], high[nd] ---- */

INFER(pad) {
  UNUSED;
  int nd = in[0]->ndim, rc = same_dtype(op, nin, in);
  if (rc) return rc;
  NEED(op, np, 2 * nd);
  if (in[1]->ndim) return mx_fail(MX_EVALUE, "[pad] The padding value must be a scalar, not %s.", mx_shape_of(in[1]));
  mx_aval_of(out, in[0]);
  for (int i = 0; i < nd && !rc; i++) {
    if (p[i] < 0 || p[nd + i] < 0 || p[i] > MX_MAX_DIM || p[nd + i] > MX_MAX_DIM)
      return mx_fail(MX_EVALUE, "[pad] Invalid padding size (%lld, %lld) for axis %d.", (long long)p[i], (long long)p[nd + i], i);
    rc = mx_set_dim(op, out, i, p[i] + in[0]->shape[i] + p[nd + i]);
  }
  return rc;
}

/* What of y, of the padded shape, lies where x is. */
static mx_array *unpadded(mx_scope *s, const mx_array *n, mx_array *y) {
  int nd = n->ndim;
  int64_t p[3 * MX_MAX_NDIM];
  for (int i = 0; i < nd; i++) {
    p[i] = n->p[i];
    p[nd + i] = n->p[i] + n->in[0]->shape[i];
    p[2 * nd + i] = 1;
  }
  return mx_node1(s, OP_slice, y, 3 * nd, p);
}

VJP(pad) {
  (void)out;
  mx_array *inner = unpadded(s, n, cot[0]);
  if (want[0]) res[0] = inner;
  if (want[1]) {
    mx_array *all = mx_sum(s, cot[0], false), *within = mx_sum(s, inner, false);
    res[1] = all && within ? mx_astype(s, mx_subtract(s, all, within), n->dtype) : NULL;
  }
  return s->rc;
}

VMAP(pad) {
  int nd = n->ndim;
  int64_t p[2 * MX_MAX_NDIM + 2];
  int size = mx_batch_size(n, in, ax);
  mx_array *x = ax[1] >= 0 ? mx_full_front(s, in[0], ax[0], size) : mx_front(s, in[0], ax[0]), *value = in[1];
  p[0] = p[nd + 1] = 0;
  for (int i = 0; i < nd; i++) {
    p[1 + i] = n->p[i];
    p[2 + nd + i] = n->p[nd + i];
  }
  *res_ax = 0;
  if (ax[1] < 0) {
    res[0] = mx_node2(s, OP_pad, x, value, 2 * nd + 2, p);
    return s->rc;
  }
  /* a value for each: pad with anything, then choose */
  mx_array *here =
      mx_node2(s, OP_pad, mx_full(s, n->in[0]->shape, nd, mx_int(s, MX_BOOL, 1), MX_BOOL), mx_int(s, MX_BOOL, 0), 2 * nd, n->p);
  int ones[MX_MAX_NDIM];
  for (int i = 1; i <= nd; i++) ones[i] = 1;
  ones[0] = size;
  x = mx_node2(s, OP_pad, x, x ? mx_const_like(s, x, 0) : NULL, 2 * nd + 2, p);
  res[0] = mx_where(s, here, x, mx_reshape(s, value, ones, nd + 1));
  return s->rc;
}

/* ---- slice_update: p = mode, start[nd] stop[nd] step[nd] ---- */

INFER(slice_update) {
  UNUSED;
  int nd = in[0]->ndim;
  NEED(op, np, 1 + 3 * nd);
  int rc = same_dtype(op, nin, in);
  if (!rc) rc = infer_slice(OP_slice, 1, in, np - 1, p + 1, 1, out);
  if (rc) return rc;
  if (p[0] < 0 || p[0] > MODE_MINIMUM) return mx_fail(MX_EVALUE, "[slice_update] There is no mode %lld.", (long long)p[0]);
  bool same = in[1]->ndim == nd;
  for (int i = 0; same && i < nd; i++) same = in[1]->shape[i] == out->shape[i];
  if (!same)
    return mx_fail(MX_EVALUE, "[slice_update] The update has shape %s, the slice %s.", mx_shape_of(in[1]),
                   mx_shape_str(nd, out->shape));
  mx_aval_of(out, in[0]);
  return 0;
}

static mx_array *slice_of(mx_scope *s, const mx_array *n, mx_array *x) { return mx_node1(s, OP_slice, x, n->np - 1, n->p + 1); }

static mx_array *with_mode(mx_scope *s, const mx_array *n, int mode, mx_array *x, mx_array *upd) {
  int64_t p[1 + 3 * MX_MAX_NDIM];
  memcpy(p, n->p, sizeof *p * n->np);
  p[0] = mode;
  return mx_node2(s, OP_slice_update, x, upd, n->np, p);
}

/* c where the elements of the result are those of x: a tie gives both the whole cotangent, as in MLX. */
static mx_array *where_same(mx_scope *s, mx_array *x, mx_array *r, mx_array *c) {
  return x && r && c ? mx_where(s, mx_equal(s, x, r), c, mx_const_like(s, c, 0)) : NULL;
}

VJP(slice_update) {
  int mode = (int)n->p[0];
  mx_array *x = n->in[0], *upd = n->in[1], *c = cot[0];
  mx_array *cs = want[1] ? slice_of(s, n, c) : NULL;
  switch (mode) {
  case MODE_ASSIGN:
    if (want[0]) res[0] = with_mode(s, n, mode, c, mx_zeros_like(s, upd));
    if (want[1]) res[1] = cs;
    break;
  case MODE_ADD:
    if (want[0]) res[0] = c;
    if (want[1]) res[1] = cs;
    break;
  case MODE_MULTIPLY:
    if (want[0]) res[0] = with_mode(s, n, mode, c, mx_conjugate(s, upd));
    if (want[1]) res[1] = mx_multiply(s, cs, mx_conjugate(s, slice_of(s, n, x)));
    break;
  default:
    if (want[0]) res[0] = where_same(s, x, out[0], c);
    if (want[1]) res[1] = where_same(s, upd, slice_of(s, n, out[0]), cs);
  }
  return s->rc;
}

JVP(slice_update) { return (n->p[0] <= MODE_ADD ? jvp_linear : jvp_derived)(s, n, out, tan, res); }

VMAP(slice_update) {
  int nd = n->ndim, size = mx_batch_size(n, in, ax);
  int64_t p[1 + 3 * (MX_MAX_NDIM + 1)];
  mx_array *x[2] = {mx_full_front(s, in[0], ax[0], size), mx_full_front(s, in[1], ax[1], size)};
  p[0] = n->p[0];
  for (int part = 0; part < 3; part++) {
    int64_t *q = p + 1 + part * (nd + 1);
    q[0] = part == 0 ? 0 : part == 1 ? size : 1;
    for (int i = 0; i < nd; i++) q[1 + i] = n->p[1 + part * nd + i];
  }
  res[0] = mx_redo(s, n, x, 1 + 3 * (nd + 1), p);
  *res_ax = 0;
  return s->rc;
}

/* ---- dynamic slices: p = k, axes[k], and for the slice size[nd] ---- */

static int check_start(int op, int64_t k, const int64_t *axes, const mx_array *x, const mx_array *start) {
  uint32_t seen = 0;
  if (!mx_is_integer(start->dtype))
    return mx_fail(MX_EVALUE, "[%s] The start must be integers, not %s.", mx_ops[op].name, mx_dtype_name(start->dtype));
  if (start->ndim != 1 || start->shape[0] != k)
    return mx_fail(MX_EVALUE, "[%s] The start has shape %s, but there are %lld axes.", mx_ops[op].name, mx_shape_of(start),
                   (long long)k);
  for (int i = 0; i < k; i++) {
    int rc = mx_check_axis(op, axes[i], x->ndim);
    if (rc) return rc;
    if (seen >> axes[i] & 1) return mx_fail(MX_EVALUE, "[%s] Repeat axes not allowed.", mx_ops[op].name);
    seen |= 1u << axes[i];
  }
  return 0;
}

INFER(dynamic_slice) {
  UNUSED;
  NEED(op, np, 1);
  int nd = in[0]->ndim;
  int64_t k = p[0];
  if (k < 0 || k > nd || np < 1 + k + nd)
    return mx_fail(MX_EVALUE, "[slice] The parameters do not fit shape %s.", mx_shape_of(in[0]));
  int rc = check_start(op, k, p + 1, in[0], in[1]);
  mx_aval_of(out, in[0]);
  for (int i = 0; i < nd && !rc; i++) {
    if (p[1 + k + i] > in[0]->shape[i])
      return mx_fail(MX_EVALUE, "[slice] A slice of size %lld does not fit axis %d of size %d.", (long long)p[1 + k + i], i,
                     in[0]->shape[i]);
    rc = mx_set_dim(op, out, i, p[1 + k + i]);
  }
  return rc;
}

INFER(dynamic_slice_update) {
  UNUSED;
  NEED(op, np, 1);
  int64_t k = p[0];
  if (k < 0 || np < 1 + k) return mx_fail(MX_EVALUE, "[slice_update] The parameters do not fit shape %s.", mx_shape_of(in[0]));
  int rc = same_dtype(op, 2, in);
  if (!rc) rc = check_start(op, k, p + 1, in[0], in[2]);
  if (rc) return rc;
  bool fits = in[1]->ndim == in[0]->ndim;
  for (int i = 0; fits && i < in[0]->ndim; i++) fits = in[1]->shape[i] <= in[0]->shape[i];
  if (!fits)
    return mx_fail(MX_EVALUE, "[slice_update] The update %s does not fit the array %s.", mx_shape_of(in[1]), mx_shape_of(in[0]));
  mx_aval_of(out, in[0]);
  return 0;
}

static mx_array *dynamic_update(mx_scope *s, const mx_array *n, mx_array *x, mx_array *upd, mx_array *start) {
  return x && upd ? mx_node(s, OP_dynamic_slice_update, 3, (mx_array *[]){x, upd, start}, 1 + (int)n->p[0], n->p) : NULL;
}

VJP(dynamic_slice) {
  (void)out;
  if (want[1]) return mx_no_index_gradient(s, n);
  res[0] = dynamic_update(s, n, mx_zeros_like(s, n->in[0]), cot[0], n->in[1]);
  return s->rc;
}

JVP(dynamic_slice) {
  (void)out;
  res[0] = tan[0] ? mx_node_again(s, n, (mx_array *[]){tan[0], n->in[1]}) : NULL;
  return s->rc;
}

VJP(dynamic_slice_update) {
  (void)out;
  if (want[2]) return mx_no_index_gradient(s, n);
  const mx_array *upd = n->in[1];
  if (want[0]) res[0] = dynamic_update(s, n, cot[0], mx_zeros_like(s, n->in[1]), n->in[2]);
  if (want[1]) {
    int64_t p[1 + 2 * MX_MAX_NDIM], k = n->p[0];
    memcpy(p, n->p, sizeof *p * (size_t)(1 + k));
    for (int i = 0; i < upd->ndim; i++) p[1 + k + i] = upd->shape[i];
    res[1] = mx_node2(s, OP_dynamic_slice, cot[0], n->in[2], 1 + (int)k + upd->ndim, p);
  }
  return s->rc;
}

JVP(dynamic_slice_update) {
  (void)out;
  res[0] = NULL;
  if (!tan[0] && !tan[1]) return 0;
  res[0] =
      dynamic_update(s, n, tan[0] ? tan[0] : mx_zeros_like(s, n->in[0]), tan[1] ? tan[1] : mx_zeros_like(s, n->in[1]), n->in[2]);
  return s->rc;
}

/* A start for each of the batch: index arrays for a gather or scatter. idx[0] is the batch, idx[1 + i] belongs to axis 1 + axes[i];
 * all of shape (size). The starts are clamped as the op does it. */
static void start_indices(mx_scope *s, const mx_array *n, mx_array *start, int size, const int64_t *extent, mx_array **idx,
                          int *axes) {
  const mx_array *x = n->in[0];
  idx[0] = mx_arange(s, 0, size, 1, MX_I32);
  axes[0] = 0;
  for (int i = 0; i < n->p[0]; i++) {
    int64_t axis = n->p[1 + i];
    mx_array *at = mx_astype(s, mx_reshape(s, mx_slice_axis(s, start, 1, i, i + 1), &size, 1), MX_I32);
    at = mx_minimum(s, mx_maximum(s, at, mx_int(s, MX_I32, 0)), mx_int(s, MX_I32, x->shape[axis] - extent[axis]));
    idx[1 + i] = at;
    axes[1 + i] = (int)axis + 1;
  }
}

VMAP(dynamic_slice) {
  int nd = n->ndim, k = (int)n->p[0], size = mx_batch_size(n, in, ax);
  *res_ax = 0;
  if (ax[1] < 0) {
    int64_t p[2 + 2 * MX_MAX_NDIM];
    p[0] = k;
    for (int i = 0; i < k; i++) p[1 + i] = n->p[1 + i] + 1;
    p[1 + k] = size;
    for (int i = 0; i < nd; i++) p[2 + k + i] = n->shape[i];
    res[0] = mx_redo(s, n, (mx_array *[]){mx_front(s, in[0], ax[0]), in[1]}, 2 + k + nd, p);
    return s->rc;
  }
  mx_array *x = mx_full_front(s, in[0], ax[0], size), *start = mx_front(s, in[1], ax[1]), *idx[1 + MX_MAX_NDIM];
  int axes[1 + MX_MAX_NDIM], sizes[1 + MX_MAX_NDIM];
  int64_t extent[MX_MAX_NDIM];
  sizes[0] = 1;
  for (int i = 0; i < nd; i++) extent[i] = sizes[1 + i] = n->shape[i];
  start_indices(s, n, start, size, extent, idx, axes);
  res[0] = mx_squeeze_axis(s, mx_gather(s, x, 1 + k, idx, axes, 1 + k, sizes, nd + 1), 1);
  return s->rc;
}

VMAP(dynamic_slice_update) {
  int nd = n->ndim, k = (int)n->p[0], size = mx_batch_size(n, in, ax);
  mx_array *x = mx_full_front(s, in[0], ax[0], size), *upd = mx_full_front(s, in[1], ax[1], size);
  *res_ax = 0;
  if (ax[2] < 0) {
    int64_t p[1 + MX_MAX_NDIM];
    p[0] = k;
    for (int i = 0; i < k; i++) p[1 + i] = n->p[1 + i] + 1;
    res[0] = x && upd ? mx_redo(s, n, (mx_array *[]){x, upd, in[2]}, 1 + k, p) : NULL;
    return s->rc;
  }
  mx_array *idx[1 + MX_MAX_NDIM], *start = mx_front(s, in[2], ax[2]);
  int axes[1 + MX_MAX_NDIM];
  int64_t extent[MX_MAX_NDIM];
  for (int i = 0; i < nd; i++) extent[i] = n->in[1]->shape[i];
  start_indices(s, n, start, size, extent, idx, axes);
  res[0] = mx_scatter(s, x, 1 + k, idx, mx_expand_dims(s, upd, 1), axes, 1 + k);
  return s->rc;
}
