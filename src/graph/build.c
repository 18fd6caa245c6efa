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

mx_array *mx_add_k(mx_scope *s, mx_array *x, double k) { return x ? mx_add(s, x, mx_const_like(s, x, k)) : NULL; }

mx_array *mx_mul_k(mx_scope *s, mx_array *x, double k) {
  if (!x || k == 1) return x;
  return mx_multiply(s, x, mx_const_like(s, x, k));
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
