/* Rules that many ops share. */
#include "graph/rules/help.h"

void mx_aval_of(mx_aval *out, const mx_array *a) {
  out->dtype = a->dtype;
  out->ndim = a->ndim;
  memcpy(out->shape, a->shape, a->ndim * sizeof *out->shape);
}

int mx_set_dim(int op, mx_aval *out, int i, int64_t size) {
  if (size < 0) return mx_fail(MX_EVALUE, "[%s] Negative dimensions not allowed: %lld.", mx_ops[op].name, (long long)size);
  if (size > MX_MAX_DIM) return mx_fail_dim(mx_ops[op].name, size);
  out->shape[i] = (int32_t)size;
  return 0;
}

int mx_check_axis(int op, int64_t axis, int ndim) {
  if (axis >= 0 && axis < ndim) return 0;
  return mx_fail(MX_EAXIS, "[%s] Axis %lld is out of bounds for array with %d dimensions.", mx_ops[op].name, (long long)axis,
                 ndim);
}

mx_array *mx_redo(mx_scope *s, const mx_array *node, mx_array *const *in, int np, const int64_t *p) {
  return mx_node(s, node->op, node->nin, in, np, p);
}

int mx_no_index_gradient(mx_scope *s, const mx_array *node) {
  mx_scope_fail(
      s, MX_EVALUE,
      "[%s] Cannot calculate VJP with respect to indices. Use stop_gradient on indices to stop gradients from being computed.",
      mx_ops[node->op].name);
  return s->rc;
}

int infer_same(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)nout;
  if (op == OP_sort || op == OP_partition) {
    NEED(op, np, op == OP_sort ? 1 : 2);
    int rc = mx_check_axis(op, p[0], in[0]->ndim);
    if (rc) return rc;
    if (op == OP_partition && (p[1] < 0 || p[1] >= in[0]->shape[p[0]]))
      return mx_fail(MX_EVALUE, "[partition] Received invalid kth %lld for shape %s.", (long long)p[1], mx_shape_of(in[0]));
  }
  if (op == OP_softmax && in[0]->ndim == 0) return mx_fail(MX_EVALUE, "[softmax] The array has no axis.");
  mx_aval_of(out, in[0]);
  return 0;
}

/* ---- gradients ---- */

int vjp_none(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)s, (void)out, (void)cot, (void)want;
  for (int i = 0; i < n->nin; i++) res[i] = NULL;
  return 0;
}

int jvp_none(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)s, (void)out, (void)tan;
  for (int i = 0; i < (n->outs ? n->nout : 1); i++) res[i] = NULL;
  return 0;
}

int vjp_refused(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)cot, (void)res;
  for (int i = 0; i < n->nin; i++)
    if (want[i]) return mx_scope_fail(s, MX_EVALUE, "[Primitive::vjp] Not implemented for %s.", mx_ops[n->op].label), s->rc;
  return vjp_none(s, n, out, cot, want, res);
}

int jvp_refused(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  for (int i = 0; i < n->nin; i++)
    if (tan[i]) return mx_scope_fail(s, MX_EVALUE, "[Primitive::jvp] Not implemented for %s.", mx_ops[n->op].label), s->rc;
  return jvp_none(s, n, out, tan, res);
}

int vjp_copy(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)s, (void)n, (void)out, (void)want;
  res[0] = cot[0];
  return 0;
}

/* The op itself on the tangents, zeros where there is none. */
int jvp_linear(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)out;
  res[0] = NULL;
  bool any = false;
  for (int i = 0; i < n->nin; i++) any = any || tan[i];
  if (!any) return 0;
  mx_array *small[8], **in = n->nin <= 8 ? small : mx_malloc(sizeof *in * n->nin);
  if (!in) return mx_scope_error(s, mx_fail_memory()), s->rc;
  for (int i = 0; i < n->nin; i++) in[i] = tan[i] ? tan[i] : mx_zeros_like(s, n->in[i]);
  res[0] = mx_node_again(s, n, in);
  if (in != small) mx_free(in);
  return s->rc;
}

/* Linear in each input alone: the sum over the inputs of the op with one replaced by its tangent. */
int jvp_bilinear(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)out;
  mx_array *sum = NULL, *in[8];
  for (int i = 0; i < n->nin && i < 8; i++) {
    if (!tan[i] || (mx_is_inexact((mx_dtype)n->dtype) && !mx_is_inexact((mx_dtype)n->in[i]->dtype))) continue; /* an index */
    for (int k = 0; k < n->nin && k < 8; k++) in[k] = k == i ? tan[i] : n->in[k];
    mx_array *t = mx_node_again(s, n, in);
    sum = sum && t ? mx_add(s, sum, t) : t;
  }
  res[0] = sum;
  return s->rc;
}

/* ---- batching ---- */

int mx_batch_size(const mx_array *n, mx_array *const *in, const int *ax) {
  for (int i = 0; i < n->nin; i++)
    if (ax[i] >= 0) return in[i]->shape[ax[i]];
  return 1;
}

mx_array *mx_front(mx_scope *s, mx_array *x, int ax) { return ax > 0 ? mx_moveaxis(s, x, ax, 0) : x; }

mx_array *mx_full_front(mx_scope *s, mx_array *x, int ax, int size) {
  if (!x || ax >= 0) return mx_front(s, x, ax);
  int shape[MX_MAX_NDIM];
  if (x->ndim == MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[vmap] Too many dimensions.");
  shape[0] = size;
  for (int i = 0; i < x->ndim; i++) shape[i + 1] = x->shape[i];
  return mx_broadcast_to(s, x, shape, x->ndim + 1);
}

mx_array *mx_batch_index(mx_scope *s, int size, int ndim, const int *shape) {
  int ones[MX_MAX_NDIM];
  for (int i = 0; i < ndim; i++) ones[i] = 1;
  ones[0] = size;
  return mx_broadcast_to(s, mx_reshape(s, mx_arange(s, 0, size, 1, MX_I32), ones, ndim), shape, ndim);
}

/* An op of one input whose parameters name no axis. */
int vmap_same(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  res[0] = mx_node_again(s, n, in);
  *res_ax = ax[0];
  return s->rc;
}

/* Parameter 0 is an axis. */
int vmap_axis(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int64_t p[4] = {0};
  for (int i = 0; i < n->np && i < 4; i++) p[i] = n->p[i];
  if (ax[0] >= 0 && p[0] >= ax[0]) p[0]++;
  res[0] = mx_redo(s, n, in, n->np, p);
  *res_ax = ax[0];
  return s->rc;
}

/* The op works along the last axis. */
int vmap_last_axis(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  bool last = ax[0] == in[0]->ndim - 1;
  mx_array *x = last ? mx_front(s, in[0], ax[0]) : in[0];
  res[0] = mx_node_again(s, n, &x);
  *res_ax = last ? 0 : ax[0];
  return s->rc;
}

int vmap_none(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  for (int i = 0; i < n->nin; i++)
    if (ax[i] >= 0) {
      mx_scope_fail(s, MX_ENOTIMPL, "[vmap] %s cannot be batched.", mx_ops[n->op].name);
      return s->rc;
    }
  res[0] = mx_node_again(s, n, in);
  *res_ax = -1;
  return s->rc;
}

/* For ops whose batch has no form of its own: one after the other. */
int vmap_each(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  enum { MOST = 8 };
  mx_list made[MOST] = {{0}};
  int size = mx_batch_size(n, in, ax), nout = n->outs ? n->nout : 1, rc = s->rc;
  for (int b = 0; b < size && !rc; b++) {
    mx_array *one[MOST], *got[MOST];
    for (int i = 0; i < n->nin && !s->rc; i++)
      one[i] = ax[i] < 0 ? in[i] : mx_squeeze_axis(s, mx_slice_axis(s, in[i], ax[i], b, b + 1), ax[i]);
    rc = s->rc ? s->rc : mx_node_multi(s, n->op, n->nin, one, n->np, n->p, NULL, nout, got);
    for (int k = 0; k < nout && !rc; k++) rc = mx_list_push(&made[k], got[k]);
  }
  for (int k = 0; k < nout; k++) {
    int shape[MX_MAX_NDIM + 1] = {0}; /* of none */
    if (n->outs[k].ndim) memcpy(shape + 1, n->outs[k].shape, (size_t)n->outs[k].ndim * sizeof *shape);
    if (!rc) res[k] = size ? mx_stack_axis(s, made[k].n, made[k].at, 0) : mx_zeros(s, shape, (size_t)n->outs[k].ndim + 1, n->outs[k].dtype);
    res_ax[k] = 0;
    mx_list_clear(&made[k]);
  }
  return rc ? rc : s->rc;
}
