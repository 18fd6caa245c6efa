/* Helpers of the builders. */
#include "graph/build.h"

int mx_norm_axes(const char *tag, const int *axes, size_t n, int ndim, int *out) {
  uint32_t seen = 0;
  if (n > (size_t)ndim && n > 0 && ndim == 0) return mx_norm_axis(tag, axes[0], 0, out);
  for (size_t i = 0; i < n; i++) {
    int axis, rc = mx_norm_axis(tag, axes[i], ndim, &axis);
    if (rc) return rc;
    if (seen >> axis & 1)
      return mx_fail(MX_EVALUE, "[%s] Received duplicate axis %d for array with %d dimensions.", tag, axes[i], ndim);
    seen |= 1u << axis;
    out[i] = axis;
  }
  return 0;
}

int mx_sorted_axes(const char *tag, const int *axes, size_t n, int ndim, int *out) {
  int rc = mx_norm_axes(tag, axes, n, ndim, out);
  if (rc) return rc;
  for (size_t i = 1; i < n; i++)
    for (size_t k = i; k > 0 && out[k] < out[k - 1]; k--) {
      int t = out[k];
      out[k] = out[k - 1];
      out[k - 1] = t;
    }
  return 0;
}

mx_array *mx_node1(mx_scope *s, mx_opcode op, mx_array *a, int np, const int64_t *p) {
  return a ? mx_node(s, op, 1, &a, np, p) : NULL;
}

mx_array *mx_node2(mx_scope *s, mx_opcode op, mx_array *a, mx_array *b, int np, const int64_t *p) {
  return a && b ? mx_node(s, op, 2, (mx_array *[]){a, b}, np, p) : NULL;
}

mx_array *mx_to_float(mx_scope *s, mx_array *a) { return a ? mx_astype(s, a, mx_at_least_float(a->dtype)) : NULL; }

mx_array *mx_wide(mx_scope *s, mx_array *a) {
  if (!a) return NULL;
  mx_dtype t = mx_at_least_float(a->dtype);
  return mx_astype(s, a, t == MX_F16 || t == MX_BF16 ? MX_F32 : t);
}

bool mx_axes_or_all(mx_scope *s, const char *tag, const mx_array *a, const int *axes, size_t n, int *ax, size_t *k) {
  if (!a) return false;
  *k = n ? n : a->ndim;
  int rc = 0;
  if (n == 0)
    for (int i = 0; i < a->ndim; i++) ax[i] = i;
  else
    rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[%s] Too many axes: %zu.", tag, n) : mx_sorted_axes(tag, axes, n, a->ndim, ax);
  if (rc) mx_scope_error(s, rc);
  return !rc;
}

mx_array *mx_add_k(mx_scope *s, mx_array *x, double k) { return x ? mx_add(s, x, mx_const_like(s, x, k)) : NULL; }

mx_array *mx_mul_k(mx_scope *s, mx_array *x, double k) {
  if (!x || k == 1) return x;
  return mx_multiply(s, x, mx_const_like(s, x, k));
}

bool mx_untraced(int n, mx_array *const *in) {
  for (int i = 0; i < n; i++)
    if (in[i] && in[i]->flags & (MX_TRACER | MX_PLACEHOLDER)) return false;
  return true;
}

mx_array *mx_slice_axis(mx_scope *s, mx_array *a, int axis, int64_t start, int64_t stop) {
  if (!a) return NULL;
  int64_t p[3 * MX_MAX_NDIM];
  int nd = a->ndim;
  for (int i = 0; i < nd; i++) {
    p[i] = i == axis ? start : 0;
    p[nd + i] = i == axis ? stop : a->shape[i];
    p[2 * nd + i] = 1;
  }
  return mx_node1(s, OP_slice, a, 3 * nd, p);
}

mx_array *mx_permute(mx_scope *s, mx_array *x, const int *perm) { return x ? mx_transpose_axes(s, x, perm, x->ndim) : NULL; }
