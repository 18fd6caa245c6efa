/* Views: shapes, gradients, batching. Where their elements lie: layout.c. */
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)
#define UNUSED     (void)op, (void)nin, (void)nout, (void)np, (void)p
#define UNUSED_VJP (void)out, (void)want

/* ---- reshape: a size of -1 is what the others leave ---- */

INFER(reshape) {
  UNUSED;
  if (np > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[reshape] %d dimensions are more than %d.", np, MX_MAX_NDIM);
  int unknown = -1, rc = 0;
  int64_t known = 1, size = in[0]->size;
  bool fits = true;
  out->dtype = in[0]->dtype;
  out->ndim = np;
  for (int i = 0; i < np; i++) {
    if (p[i] == -1) {
      if (unknown >= 0) return mx_fail(MX_EVALUE, "[reshape] Can only infer one dimension.");
      unknown = i;
      continue;
    }
    if ((rc = mx_set_dim(op, out, i, p[i]))) return rc;
    fits = fits && !__builtin_mul_overflow(known, p[i], &known);
  }
  if (unknown >= 0) {
    if (known == 0) return mx_fail(MX_EVALUE, "[reshape] Cannot infer the shape of an empty array.");
    if (fits && (rc = mx_set_dim(op, out, unknown, size / known))) return rc;
    fits = fits && size % known == 0;
  } else
    fits = fits && known == size;
  if (fits) return 0;
  int32_t asked[MX_MAX_NDIM];
  for (int i = 0; i < np; i++) asked[i] = (int32_t)p[i];
  return mx_fail(MX_EVALUE, "[reshape] Cannot reshape array of size %lld into shape %s.", (long long)size,
                 mx_shape_str(np, asked));
}

VJP(reshape) {
  UNUSED_VJP;
  res[0] = mx_reshape_like(s, cot[0], n->in[0]);
  return s->rc;
}

static mx_array *reshape_batched(mx_scope *s, mx_array *x, int ndim, const int32_t *shape) {
  int full[MX_MAX_NDIM];
  if (!x || ndim + 1 > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[vmap] Too many dimensions.");
  full[0] = x->shape[0];
  for (int i = 0; i < ndim; i++) full[i + 1] = shape[i];
  return mx_reshape(s, x, full, ndim + 1);
}

VMAP(reshape) {
  res[0] = reshape_batched(s, mx_front(s, in[0], ax[0]), n->ndim, n->shape);
  *res_ax = 0;
  return s->rc;
}

/* ---- transpose ---- */

INFER(transpose) {
  UNUSED;
  uint32_t seen = 0;
  if (np != in[0]->ndim) return mx_fail(MX_EVALUE, "[transpose] Received %d axes for array with %d dimensions.", np, in[0]->ndim);
  out->dtype = in[0]->dtype;
  out->ndim = np;
  for (int i = 0; i < np; i++) {
    int rc = mx_check_axis(op, p[i], np);
    if (rc) return rc;
    if (seen >> p[i] & 1) return mx_fail(MX_EVALUE, "[transpose] Repeat axes not allowed.");
    seen |= 1u << p[i];
    out->shape[i] = in[0]->shape[p[i]];
  }
  return 0;
}

VJP(transpose) {
  UNUSED_VJP;
  int64_t p[MX_MAX_NDIM];
  for (int i = 0; i < n->ndim; i++) p[n->p[i]] = i;
  res[0] = mx_node1(s, OP_transpose, cot[0], n->ndim, p);
  return s->rc;
}

VMAP(transpose) {
  int64_t p[MX_MAX_NDIM] = {0};
  mx_array *x = in[0];
  if (n->ndim + 1 > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[vmap] Too many dimensions."), s->rc;
  p[0] = ax[0];
  for (int i = 0; i < n->ndim; i++) p[i + 1] = n->p[i] + (n->p[i] >= ax[0]);
  res[0] = mx_node1(s, OP_transpose, x, n->ndim + 1, p);
  *res_ax = 0;
  return s->rc;
}

/* ---- slice ---- */

INFER(slice) {
  UNUSED;
  int nd = in[0]->ndim;
  NEED(op, np, 3 * nd);
  out->dtype = in[0]->dtype;
  out->ndim = nd;
  for (int i = 0; i < nd; i++) {
    int64_t dim = in[0]->shape[i], from = p[i], to = p[nd + i], step = p[2 * nd + i], lo = step > 0 ? 0 : -1,
            hi = step > 0 ? dim : dim - 1;
    if (step == 0 || step < -MX_MAX_DIM || step > MX_MAX_DIM || from < lo || from > hi || to < lo || to > hi)
      return mx_fail(MX_EVALUE, "[slice] %lld:%lld:%lld is no slice of axis %d of size %lld.", (long long)from, (long long)to,
                     (long long)step, i, (long long)dim);
    int64_t count = step > 0 ? (to - from + step - 1) / step : (from - to - step - 1) / -step;
    out->shape[i] = count > 0 ? (int32_t)count : 0;
  }
  return 0;
}

VJP(slice) {
  UNUSED_VJP;
  int nd = n->ndim;
  const mx_array *x = n->in[0];
  int64_t p[1 + 3 * MX_MAX_NDIM];
  bool plain = true;
  for (int i = 0; i < nd; i++) plain = plain && n->p[2 * nd + i] == 1;
  if (plain) {
    for (int i = 0; i < nd; i++) {
      p[i] = n->p[i];
      p[nd + i] = x->shape[i] - n->p[i] - n->shape[i];
    }
    res[0] = mx_node2(s, OP_pad, cot[0], mx_const_like(s, cot[0], 0), 2 * nd, p);
    return s->rc;
  }
  p[0] = 0;
  memcpy(p + 1, n->p, sizeof *p * 3 * (size_t)nd);
  res[0] = mx_node2(s, OP_slice_update, mx_zeros_like(s, n->in[0]), cot[0], 1 + 3 * nd, p);
  return s->rc;
}

VMAP(slice) {
  int nd = n->ndim, at = ax[0];
  int64_t p[3 * (MX_MAX_NDIM + 1)];
  for (int i = 0, k = 0; i <= nd; i++) {
    bool added = i == at;
    p[i] = added ? 0 : n->p[k];
    p[nd + 1 + i] = added ? in[0]->shape[at] : n->p[nd + k];
    p[2 * (nd + 1) + i] = added ? 1 : n->p[2 * nd + k];
    k += !added;
  }
  res[0] = mx_redo(s, n, in, 3 * (nd + 1), p);
  *res_ax = at;
  return s->rc;
}

/* ---- broadcast_to ---- */

INFER(broadcast_to) {
  UNUSED;
  if (np > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[broadcast_to] %d dimensions are more than %d.", np, MX_MAX_NDIM);
  out->dtype = in[0]->dtype;
  out->ndim = np;
  int extra = np - in[0]->ndim;
  bool fits = extra >= 0;
  for (int i = 0; i < np; i++) {
    int rc = mx_set_dim(op, out, i, p[i]);
    if (rc) return rc;
    fits = fits && (i < extra || in[0]->shape[i - extra] == 1 || in[0]->shape[i - extra] == p[i]);
  }
  if (fits) return 0;
  return mx_fail(MX_EVALUE, "[broadcast_shapes] Cannot broadcast array of shape %s into shape %s.", mx_shape_of(in[0]),
                 mx_shape_str(np, out->shape));
}

VJP(broadcast_to) {
  UNUSED_VJP;
  mx_array *g = mx_unbroadcast(s, cot[0], n->in[0]);
  res[0] = g ? mx_astype(s, g, n->in[0]->dtype) : NULL;
  return s->rc;
}

VMAP(broadcast_to) {
  mx_array *x = mx_front(s, in[0], ax[0]);
  int axes[MX_MAX_NDIM], extra = n->ndim - n->in[0]->ndim, shape[MX_MAX_NDIM];
  if (n->ndim + 1 > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[vmap] Too many dimensions."), s->rc;
  for (int i = 0; i < extra; i++) axes[i] = 1 + i;
  x = mx_expand_dims_axes(s, x, axes, (size_t)extra);
  shape[0] = x ? x->shape[0] : 0;
  for (int i = 0; i < n->ndim; i++) shape[i + 1] = n->shape[i];
  res[0] = mx_broadcast_to(s, x, shape, n->ndim + 1);
  *res_ax = 0;
  return s->rc;
}

/* ---- expand_dims, squeeze ---- */

INFER(expand_dims) {
  UNUSED;
  int nd = in[0]->ndim + np;
  if (nd > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[expand_dims] %d dimensions are more than %d.", nd, MX_MAX_NDIM);
  out->dtype = in[0]->dtype;
  out->ndim = nd;
  for (int i = 0, k = 0, j = 0; i < nd; i++) {
    if (k < np && p[k] == i)
      out->shape[i] = 1, k++;
    else if (j < in[0]->ndim)
      out->shape[i] = in[0]->shape[j++];
    else
      return mx_fail(MX_EAXIS, "[expand_dims] The axes are not ascending, or not within %d dimensions.", nd);
  }
  return 0;
}

INFER(squeeze) {
  UNUSED;
  out->dtype = in[0]->dtype;
  out->ndim = 0;
  int k = 0;
  for (int i = 0; i < in[0]->ndim; i++) {
    if (k == np || p[k] != i) {
      out->shape[out->ndim++] = in[0]->shape[i];
      continue;
    }
    if (in[0]->shape[i] != 1)
      return mx_fail(MX_EVALUE, "[squeeze] Cannot squeeze axis %d with size %d which is not equal to 1.", i, in[0]->shape[i]);
    k++;
  }
  return k == np ? 0 : mx_fail(MX_EAXIS, "[squeeze] The axes are not ascending, or not within %d dimensions.", in[0]->ndim);
}

VJP(expand_dims) {
  UNUSED_VJP;
  res[0] = mx_node1(s, OP_squeeze, cot[0], n->np, n->p);
  return s->rc;
}
VJP(squeeze) {
  UNUSED_VJP;
  res[0] = mx_node1(s, OP_expand_dims, cot[0], n->np, n->p);
  return s->rc;
}

static int with_axes_moved(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_array *x = mx_front(s, in[0], ax[0]);
  int64_t p[MX_MAX_NDIM];
  for (int i = 0; i < n->np; i++) p[i] = n->p[i] + 1;
  res[0] = mx_redo(s, n, &x, n->np, p);
  *res_ax = 0;
  return s->rc;
}
VMAP(expand_dims) { return with_axes_moved(s, n, in, ax, res, res_ax); }
VMAP(squeeze) { return with_axes_moved(s, n, in, ax, res, res_ax); }

/* ---- as_strided: p = n, shape[n], strides[n], offset ---- */

/* Whether all that is read lies within size elements. */
static int check_strided(int op, int64_t nd, const int64_t *shape, const int64_t *strides, int64_t offset, int64_t size) {
  int64_t lo = offset, hi = offset, count = 1;
  bool bad = offset < 0;
  for (int i = 0; i < nd; i++) {
    if (shape[i] < 0 || shape[i] > MX_MAX_DIM)
      return mx_fail(MX_EVALUE, "[%s] Dimension %lld is not possible.", mx_ops[op].name, (long long)shape[i]);
    count *= shape[i] != 0;
  }
  for (int i = 0; i < nd && count; i++) {
    int64_t reach;
    bad = bad || __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) ||
          __builtin_add_overflow(reach < 0 ? lo : hi, reach, reach < 0 ? &lo : &hi);
  }
  if (!bad && (!count || (lo >= 0 && hi < size))) return 0;
  return mx_fail(MX_EVALUE, "[%s] Strides and offset %lld reach out of the array of %lld elements.", mx_ops[op].name,
                 (long long)offset, (long long)size);
}

INFER(as_strided) {
  UNUSED;
  NEED(op, np, 2);
  if (p[0] < 0 || p[0] > MX_MAX_NDIM || np < 2 + 2 * p[0])
    return mx_fail(MX_EVALUE, "[as_strided] %lld dimensions.", (long long)p[0]);
  int nd = (int)p[0], rc = check_strided(op, nd, p + 1, p + 1 + nd, p[1 + 2 * nd], in[0]->size);
  out->dtype = in[0]->dtype;
  out->ndim = nd;
  for (int i = 0; i < nd && !rc; i++) rc = mx_set_dim(op, out, i, p[1 + i]);
  return rc;
}

VJP(as_strided) {
  UNUSED_VJP;
  int64_t p[3 * MX_MAX_NDIM + 2];
  const mx_array *x = n->in[0];
  memcpy(p, n->p, sizeof *p * n->np);
  for (int i = 0; i < x->ndim; i++) p[n->np + i] = x->shape[i];
  res[0] = mx_node1(s, OP_as_strided_grad, cot[0], n->np + x->ndim, p);
  return s->rc;
}

VMAP(as_strided) {
  int nd = (int)n->p[0];
  int64_t p[2 * MX_MAX_NDIM + 4];
  mx_array *x = mx_front(s, in[0], ax[0]);
  if (!x) return s->rc;
  p[0] = nd + 1;
  p[1] = x->shape[0];
  p[2 + nd] = n->in[0]->size;
  for (int i = 0; i < nd; i++) {
    p[2 + i] = n->p[1 + i];
    p[3 + nd + i] = n->p[1 + nd + i];
  }
  p[3 + 2 * nd] = n->p[1 + 2 * nd];
  res[0] = mx_node1(s, OP_as_strided, x, 4 + 2 * nd, p);
  *res_ax = 0;
  return s->rc;
}

/* p = n, shape[n], strides[n], offset, input shape... */
INFER(as_strided_grad) {
  UNUSED;
  NEED(op, np, 2);
  if (p[0] < 0 || p[0] > MX_MAX_NDIM || np < 2 + 2 * p[0] || np - 2 - 2 * p[0] > MX_MAX_NDIM || p[0] != in[0]->ndim)
    return mx_fail(MX_EVALUE, "[as_strided_grad] The parameters do not fit shape %s.", mx_shape_of(in[0]));
  int nd = (int)p[0], rc = 0;
  int64_t size = 1;
  out->dtype = in[0]->dtype;
  out->ndim = np - 2 - 2 * nd;
  for (int i = 0; i < out->ndim && !rc; i++) {
    rc = mx_set_dim(op, out, i, p[2 + 2 * nd + i]);
    if (!rc && __builtin_mul_overflow(size, (int64_t)out->shape[i], &size))
      rc = mx_fail(MX_EVALUE, "[as_strided_grad] The shape %s has too many elements.", mx_shape_str(i + 1, out->shape));
  }
  for (int i = 0; i < nd && !rc; i++)
    if (p[1 + i] != in[0]->shape[i])
      rc = mx_fail(MX_EVALUE, "[as_strided_grad] The parameters do not fit shape %s.", mx_shape_of(in[0]));
  return rc ? rc : check_strided(op, nd, p + 1, p + 1 + nd, p[1 + 2 * nd], size);
}

VJP(as_strided_grad) {
  UNUSED_VJP;
  res[0] = mx_node1(s, OP_as_strided, cot[0], 2 + 2 * (int)n->p[0], n->p);
  return s->rc;
}

VMAP(as_strided_grad) {
  int nd = (int)n->p[0];
  int64_t p[3 * MX_MAX_NDIM + 6];
  mx_array *x = mx_front(s, in[0], ax[0]);
  if (!x) return s->rc;
  p[0] = nd + 1;
  p[1] = x->shape[0];
  p[2 + nd] = n->size;
  for (int i = 0; i < nd; i++) {
    p[2 + i] = n->p[1 + i];
    p[3 + nd + i] = n->p[1 + nd + i];
  }
  p[3 + 2 * nd] = n->p[1 + 2 * nd];
  p[4 + 2 * nd] = x->shape[0];
  for (int i = 0; i < n->ndim; i++) p[5 + 2 * nd + i] = n->shape[i];
  res[0] = mx_node1(s, OP_as_strided_grad, x, 5 + 2 * nd + n->ndim, p);
  *res_ax = 0;
  return s->rc;
}

/* ---- view: the bytes of the last axis as another dtype ---- */

INFER(view) {
  UNUSED;
  NEED(op, np, 1);
  if (p[0] < 0 || p[0] >= MX_DTYPES) return mx_fail(MX_EVALUE, "[view] %lld is no dtype.", (long long)p[0]);
  mx_aval_of(out, in[0]);
  out->dtype = (mx_dtype)p[0];
  int64_t from = (int64_t)mx_dtype_size(in[0]->dtype), to = (int64_t)mx_dtype_size(out->dtype);
  if (from == to) return 0;
  if (in[0]->ndim == 0) return mx_fail(MX_EVALUE, "[view] Changing the size of the dtype needs at least one dimension.");
  int64_t bytes = from * in[0]->shape[in[0]->ndim - 1];
  if (bytes % to)
    return mx_fail(MX_EVALUE,
                   "[view] When viewing as a larger dtype, the size in bytes of the last axis must be a multiple of the "
                   "requested type size: %s of %s as %s.",
                   mx_shape_of(in[0]), mx_dtype_name(in[0]->dtype), mx_dtype_name(out->dtype));
  return mx_set_dim(op, out, out->ndim - 1, bytes / to);
}

VMAP(view) {
  mx_array *x = mx_front(s, in[0], ax[0]);
  res[0] = mx_node_again(s, n, &x);
  *res_ax = 0;
  return s->rc;
}

/* ---- results of tuples ---- */

INFER(pick) {
  UNUSED;
  NEED(op, np, 1);
  if (!in[0]->outs || p[0] < 0 || p[0] >= in[0]->nout)
    return mx_fail(MX_EVALUE, "[pick] There is no result %lld.", (long long)p[0]);
  const mx_result *r = &in[0]->outs[p[0]];
  out->dtype = r->dtype;
  out->ndim = r->ndim;
  memcpy(out->shape, r->shape, r->ndim * sizeof *out->shape);
  return 0;
}

INFER(depends) {
  UNUSED;
  NEED(op, np, 1);
  if (p[0] != nout || nout > nin)
    return mx_fail(MX_EVALUE, "[%s] %d inputs cannot be %lld results.", mx_ops[op].name, nin, (long long)p[0]);
  for (int i = 0; i < nout; i++) mx_aval_of(&out[i], in[nin - nout + i]);
  return 0;
}

VJP(depends) {
  (void)s, (void)out;
  for (int i = 0; i < n->nin; i++) {
    int k = i - (n->nin - n->nout);
    res[i] = k >= 0 && want[i] ? cot[k] : NULL;
  }
  return 0;
}

int jvp_depends(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)s, (void)out;
  for (int i = 0; i < n->nout; i++) res[i] = tan[n->nin - n->nout + i];
  return 0;
}

VMAP(depends) {
  mx_node_multi(s, OP_depends, n->nin, in, n->np, n->p, NULL, n->nout, res);
  for (int i = 0; i < n->nout; i++) res_ax[i] = ax[n->nin - n->nout + i];
  return s->rc;
}
