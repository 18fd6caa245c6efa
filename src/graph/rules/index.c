/* Gathers and scatters. */
#include "graph/modes.h"
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)
#define UNUSED (void)op, (void)nin, (void)nout, (void)np, (void)p

/* k index arrays of one shape, integers; k axes, all different. */
static int check_indices(int op, int64_t k, mx_array *const *idx, const int64_t *axes, int nd) {
  uint32_t seen = 0;
  for (int i = 0; i < k; i++) {
    int rc = mx_check_axis(op, axes[i], nd);
    if (rc) return rc;
    if (seen >> axes[i] & 1) return mx_fail(MX_EVALUE, "[%s] Repeat axes not allowed.", mx_ops[op].name);
    seen |= 1u << axes[i];
    if (!mx_is_integer(idx[i]->dtype))
      return mx_fail(MX_EVALUE, "[%s] Got indices with invalid dtype %s. Indices must be integral.", mx_ops[op].name,
                     mx_dtype_name(idx[i]->dtype));
    if (!mx_same_shape(idx[i], idx[0]))
      return mx_fail(MX_EVALUE, "[%s] The index arrays have shapes %s and %s.", mx_ops[op].name, mx_shape_of(idx[0]),
                     mx_shape_of(idx[i]));
  }
  return 0;
}

static bool any_wanted(const bool *want, int from, int to) {
  for (int i = from; i < to; i++)
    if (want[i]) return true;
  return false;
}

/* ---- gather: p = k, axes[k], size[nd]; inputs x, idx... ---- */

INFER(gather) {
  UNUSED;
  NEED(op, np, 1);
  if (nin < 1) return mx_fail(MX_EVALUE, "[gather] There is no array.");
  int nd = in[0]->ndim, ni = nin > 1 ? in[1]->ndim : 0;
  int64_t k = p[0];
  if (k != nin - 1 || k > nd || np < 1 + k + nd)
    return mx_fail(MX_EVALUE, "[gather] %d index arrays do not fit shape %s.", nin - 1, mx_shape_of(in[0]));
  int rc = check_indices(op, k, in + 1, p + 1, nd);
  if (rc) return rc;
  if (ni + nd > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[gather] %d dimensions are more than %d.", ni + nd, MX_MAX_NDIM);
  out->dtype = in[0]->dtype;
  out->ndim = ni + nd;
  for (int i = 0; i < ni; i++) out->shape[i] = in[1]->shape[i];
  for (int i = 0; i < nd; i++) {
    int64_t size = p[1 + k + i];
    if (size < 0 || size > in[0]->shape[i]) {
      bool none = false; /* reading nothing from an empty axis is fine */
      for (int d = 0; d < ni; d++) none = none || in[1]->shape[d] == 0;
      if (size < 0 || size > INT32_MAX || !none)
        return mx_fail(MX_EVALUE, "[gather] A slice of size %lld does not fit axis %d of size %d.", (long long)size, i,
                       in[0]->shape[i]);
    }
    out->shape[ni + i] = (int32_t)size;
  }
  return 0;
}

/* scatter with n's indices: n is a gather (indices from input 1) or a scatter (from 2). */
static mx_array *scatter_at(mx_scope *s, const mx_array *n, int mode, mx_array *x, mx_array *upd) {
  int first = n->op == OP_gather ? 1 : 2, k = n->nin - first;
  mx_array *in[2 + MX_MAX_NDIM] = {x, upd};
  int64_t p[2 + MX_MAX_NDIM] = {mode, k};
  for (int i = 0; i < k; i++) {
    in[2 + i] = n->in[first + i];
    p[2 + i] = n->p[first + i];
  }
  return x && upd ? mx_node(s, OP_scatter, 2 + k, in, 2 + k, p) : NULL;
}

VJP(gather) {
  (void)out;
  if (any_wanted(want, 1, n->nin)) return mx_no_index_gradient(s, n);
  if (want[0]) res[0] = scatter_at(s, n, MODE_ADD, mx_zeros_like(s, n->in[0]), cot[0]);
  return s->rc;
}

JVP(gather) {
  (void)out;
  mx_array *in[1 + MX_MAX_NDIM];
  for (int i = 0; i < n->nin; i++) in[i] = n->in[i];
  in[0] = tan[0];
  res[0] = tan[0] ? mx_node_again(s, n, in) : NULL;
  return s->rc;
}

/* The index arrays with the batch in front; -1 when none is mapped. */
static bool batched_indices(mx_scope *s, int k, mx_array *const *idx, const int *ax, int size, mx_array **res) {
  bool mapped = false;
  for (int i = 0; i < k; i++) mapped = mapped || ax[i] >= 0;
  for (int i = 0; i < k; i++) res[i] = mapped ? mx_full_front(s, idx[i], ax[i], size) : idx[i];
  return mapped;
}

VMAP(gather) {
  int k = n->nin - 1, nd = n->in[0]->ndim, ni = n->ndim - nd, size = mx_batch_size(n, in, ax);
  mx_array *b[2 + MX_MAX_NDIM];
  int64_t p[2 + 2 * MX_MAX_NDIM];
  bool mapped = batched_indices(s, k, in + 1, ax + 1, size, b + 2);
  if (s->rc) return s->rc;
  if (ax[0] < 0) { /* one x for all */
    b[1] = in[0];
    res[0] = mx_redo(s, n, b + 1, n->np, n->p);
    *res_ax = 0;
    return s->rc;
  }
  mx_array *x = mx_front(s, in[0], ax[0]);
  if (!mapped) { /* the batch is one more dimension of each slice */
    b[1] = x;
    p[0] = k;
    for (int i = 0; i < k; i++) p[1 + i] = n->p[1 + i] + 1;
    p[1 + k] = size;
    for (int i = 0; i < nd; i++) p[2 + k + i] = n->p[1 + k + i];
    res[0] = mx_redo(s, n, b + 1, 2 + k + nd, p);
    *res_ax = ni;
    return s->rc;
  }
  b[0] = x;
  b[1] = mx_batch_index(s, size, b[2]->ndim, b[2]->shape);
  p[0] = k + 1;
  p[1] = 0;
  for (int i = 0; i < k; i++) p[2 + i] = n->p[1 + i] + 1;
  p[2 + k] = 1;
  for (int i = 0; i < nd; i++) p[3 + k + i] = n->p[1 + k + i];
  mx_array *r = mx_node(s, OP_gather, k + 2, b, 3 + k + nd, p); /* (B, idx..., 1, size...) */
  res[0] = mx_squeeze_axis(s, r, 1 + ni);
  *res_ax = 0;
  return s->rc;
}

/* ---- scatter: p = mode, k, axes[k]; inputs x, updates, idx... ---- */

INFER(scatter) {
  UNUSED;
  NEED(op, np, 2);
  if (nin < 2) return mx_fail(MX_EVALUE, "[scatter] There are no updates.");
  int nd = in[0]->ndim, ni = nin > 2 ? in[2]->ndim : 0;
  int64_t k = p[1];
  if (k != nin - 2 || k > nd || np < 2 + k)
    return mx_fail(MX_EVALUE, "[scatter] %d index arrays do not fit shape %s.", nin - 2, mx_shape_of(in[0]));
  if (p[0] < 0 || p[0] > MODE_MINIMUM) return mx_fail(MX_EVALUE, "[scatter] There is no mode %lld.", (long long)p[0]);
  if (in[0]->dtype != in[1]->dtype)
    return mx_fail(MX_EVALUE, "[scatter] The dtypes %s and %s differ.", mx_dtype_name(in[0]->dtype), mx_dtype_name(in[1]->dtype));
  int rc = check_indices(op, k, in + 2, p + 2, nd);
  if (rc) return rc;
  bool fits = in[1]->ndim == ni + nd;
  for (int i = 0; fits && i < ni; i++) fits = in[1]->shape[i] == in[2]->shape[i];
  for (int i = 0; fits && i < nd; i++) fits = in[1]->shape[ni + i] <= in[0]->shape[i] || in[1]->size == 0;
  if (!fits)
    return mx_fail(MX_EVALUE, "[scatter] Updates of shape %s do not fit indices of shape %s into array of shape %s.",
                   mx_shape_of(in[1]), ni || nin > 2 ? mx_shape_of(in[2]) : "()", mx_shape_of(in[0]));
  mx_aval_of(out, in[0]);
  return 0;
}

/* What scatter n's updates would be if they were read from x. */
static mx_array *gather_at(mx_scope *s, const mx_array *n, mx_array *x) {
  int k = n->nin - 2, nd = n->ndim, ni = n->in[1]->ndim - nd;
  mx_array *in[1 + MX_MAX_NDIM] = {x};
  int64_t p[1 + 2 * MX_MAX_NDIM];
  p[0] = k;
  for (int i = 0; i < k; i++) {
    in[1 + i] = n->in[2 + i];
    p[1 + i] = n->p[2 + i];
  }
  for (int i = 0; i < nd; i++) p[1 + k + i] = n->in[1]->shape[ni + i];
  return x ? mx_node(s, OP_gather, 1 + k, in, 1 + k + nd, p) : NULL;
}

/* d/d update of x times all updates of a place: the product of the others, right also where updates are 0. */
static mx_array *scatter_prod_updates(mx_scope *s, const mx_array *n, mx_array *c) {
  mx_array *u = n->in[1], *one = mx_const_like(s, u, 1), *zero = mx_const_like(s, u, 0);
  mx_array *gone = mx_equal(s, u, zero), *u1 = mx_where(s, gone, one, u);
  mx_array *full = scatter_at(s, n, MODE_MULTIPLY, n->in[0], u1); /* product without the zeros */
  mx_array *count = gather_at(s, n, scatter_at(s, n, MODE_ADD, mx_zeros_like(s, n->in[0]), mx_astype(s, gone, u->dtype)));
  mx_array *others = mx_divide(s, gather_at(s, n, full), u1);
  mx_array *alone = mx_equal(s, count, mx_astype(s, gone, u->dtype)); /* no zero but perhaps this one */
  return mx_multiply(s, gather_at(s, n, c), mx_conjugate(s, mx_where(s, alone, others, zero)));
}

static mx_array *where_same(mx_scope *s, mx_array *x, mx_array *r, mx_array *c) {
  return x && r && c ? mx_where(s, mx_equal(s, x, r), c, mx_const_like(s, c, 0)) : NULL;
}

VJP(scatter) {
  mx_array *x = n->in[0], *u = n->in[1], *c = cot[0];
  if (any_wanted(want, 2, n->nin)) return mx_no_index_gradient(s, n);
  switch (n->p[0]) {
  case MODE_ASSIGN:
    if (want[0]) res[0] = scatter_at(s, n, MODE_ASSIGN, c, mx_zeros_like(s, u));
    if (want[1]) res[1] = gather_at(s, n, c);
    break;
  case MODE_ADD:
    if (want[0]) res[0] = c;
    if (want[1]) res[1] = gather_at(s, n, c);
    break;
  case MODE_MULTIPLY:
    if (want[0]) res[0] = scatter_at(s, n, MODE_MULTIPLY, c, mx_conjugate(s, u));
    if (want[1]) res[1] = scatter_prod_updates(s, n, c);
    break;
  default: /* each that equals the result gets the whole cotangent */
    if (want[0]) res[0] = where_same(s, x, out[0], c);
    if (want[1]) res[1] = where_same(s, u, gather_at(s, n, out[0]), gather_at(s, n, c));
  }
  return s->rc;
}

JVP(scatter) {
  if (n->p[0] > MODE_ADD) return jvp_derived(s, n, out, tan, res);
  res[0] = NULL;
  if (!tan[0] && !tan[1]) return 0;
  mx_array *in[2 + MX_MAX_NDIM];
  for (int i = 2; i < n->nin; i++) in[i] = n->in[i];
  in[0] = tan[0] ? tan[0] : mx_zeros_like(s, n->in[0]);
  in[1] = tan[1] ? tan[1] : mx_zeros_like(s, n->in[1]);
  res[0] = mx_node_again(s, n, in);
  return s->rc;
}

VMAP(scatter) {
  int k = n->nin - 2, nd = n->ndim, ni = n->in[1]->ndim - nd, size = mx_batch_size(n, in, ax);
  mx_array *b[3 + MX_MAX_NDIM];
  int64_t p[3 + MX_MAX_NDIM] = {n->p[0]};
  bool mapped = batched_indices(s, k, in + 2, ax + 2, size, b + 3);
  mx_array *x = mx_full_front(s, in[0], ax[0], size), *u = mx_full_front(s, in[1], ax[1], size);
  if (s->rc) return s->rc;
  *res_ax = 0;
  if (!mapped) { /* (B, idx..., size...) -> (idx..., B, size...) */
    b[1] = x;
    b[2] = mx_moveaxis(s, u, 0, ni);
    p[1] = k;
    for (int i = 0; i < k; i++) p[2 + i] = n->p[2 + i] + 1;
    res[0] = mx_node(s, OP_scatter, 2 + k, b + 1, 2 + k, p);
    return s->rc;
  }
  b[0] = x;
  b[1] = mx_expand_dims(s, u, 1 + ni);
  b[2] = mx_batch_index(s, size, b[3]->ndim, b[3]->shape);
  p[1] = k + 1;
  p[2] = 0;
  for (int i = 0; i < k; i++) p[3 + i] = n->p[2 + i] + 1;
  res[0] = mx_node(s, OP_scatter, 3 + k, b, 3 + k, p);
  return s->rc;
}

/* ---- along an axis ---- */

static int check_along(int op, int64_t axis, const mx_array *x, const mx_array *idx) {
  int rc = mx_check_axis(op, axis, x->ndim);
  if (rc) return rc;
  if (!mx_is_integer(idx->dtype))
    return mx_fail(MX_EVALUE, "[%s] Got indices with invalid dtype %s. Indices must be integral.", mx_ops[op].name,
                   mx_dtype_name(idx->dtype));
  bool fits = x->ndim == idx->ndim;
  for (int i = 0; fits && i < x->ndim; i++) fits = i == axis || x->shape[i] == idx->shape[i];
  if (!fits)
    return mx_fail(MX_EVALUE, "[%s] Indices of shape %s do not fit array of shape %s along axis %d.", mx_ops[op].name,
                   mx_shape_of(idx), mx_shape_of(x), (int)axis);
  return 0;
}

INFER(gather_axis) {
  UNUSED;
  NEED(op, np, 1);
  int rc = check_along(op, p[0], in[0], in[1]);
  if (rc) return rc;
  mx_aval_of(out, in[1]);
  out->dtype = in[0]->dtype;
  return 0;
}

INFER(scatter_axis) {
  UNUSED;
  NEED(op, np, 2);
  int rc = check_along(op, p[0], in[0], in[1]);
  if (rc) return rc;
  if (p[1] != MODE_ASSIGN && p[1] != MODE_ADD)
    return mx_fail(MX_EVALUE, "[scatter_axis] There is no mode %lld.", (long long)p[1]);
  if (in[2]->dtype != in[0]->dtype || !mx_same_shape(in[1], in[2]))
    return mx_fail(MX_EVALUE, "[scatter_axis] Values %s of shape %s do not fit indices of shape %s into %s.",
                   mx_dtype_name(in[2]->dtype), mx_shape_of(in[2]), mx_shape_of(in[1]), mx_dtype_name(in[0]->dtype));
  mx_aval_of(out, in[0]);
  return 0;
}

static mx_array *scatter_axis(mx_scope *s, int64_t axis, int mode, mx_array *x, mx_array *idx, mx_array *values) {
  return x && values ? mx_node(s, OP_scatter_axis, 3, (mx_array *[]){x, idx, values}, 2, (int64_t[]){axis, mode}) : NULL;
}

VJP(gather_axis) {
  (void)out;
  if (want[1]) return mx_no_index_gradient(s, n);
  if (want[0]) res[0] = scatter_axis(s, n->p[0], MODE_ADD, mx_zeros_like(s, n->in[0]), n->in[1], cot[0]);
  return s->rc;
}

JVP(gather_axis) {
  (void)out;
  res[0] = tan[0] ? mx_node_again(s, n, (mx_array *[]){tan[0], n->in[1]}) : NULL;
  return s->rc;
}

VJP(scatter_axis) {
  (void)out;
  if (want[1]) return mx_no_index_gradient(s, n);
  if (want[0])
    res[0] = n->p[1] == MODE_ADD ? cot[0] : scatter_axis(s, n->p[0], MODE_ASSIGN, cot[0], n->in[1], mx_zeros_like(s, n->in[2]));
  if (want[2]) res[2] = mx_node2(s, OP_gather_axis, cot[0], n->in[1], 1, n->p);
  return s->rc;
}

JVP(scatter_axis) {
  (void)out;
  res[0] = NULL;
  if (!tan[0] && !tan[2]) return 0;
  res[0] = scatter_axis(s, n->p[0], (int)n->p[1], tan[0] ? tan[0] : mx_zeros_like(s, n->in[0]), n->in[1],
                        tan[2] ? tan[2] : mx_zeros_like(s, n->in[2]));
  return s->rc;
}

static int vmap_along(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int size = mx_batch_size(n, in, ax);
  mx_array *b[3];
  for (int i = 0; i < n->nin; i++) b[i] = mx_full_front(s, in[i], ax[i], size);
  res[0] = mx_redo(s, n, b, n->np, (int64_t[]){n->p[0] + 1, n->np > 1 ? n->p[1] : 0});
  *res_ax = 0;
  return s->rc;
}
VMAP(gather_axis) { return vmap_along(s, n, in, ax, res, res_ax); }
VMAP(scatter_axis) { return vmap_along(s, n, in, ax, res, res_ax); }
