/* Running reductions along an axis, and differences of neighbours. */
#include "graph/build.h"

static mx_array *scan(mx_scope *s, mx_opcode op, mx_array *a, int axis, bool reverse, bool inclusive) {
  if (!a) return NULL;
  int ax, rc = mx_norm_axis(mx_ops[op].name, axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  if (op == OP_cumsum && a->dtype == MX_BOOL) a = mx_astype(s, a, MX_I32);
  if (op == OP_logcumsumexp) a = mx_to_float(s, a);
  return mx_node1(s, op, a, 3, (int64_t[]){ax, reverse, inclusive});
}

#define SCAN(name)                                                                        \
  mx_array *mx_##name(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive) { \
    return scan(s, OP_##name, a, axis, reverse, inclusive);                               \
  }
SCAN(cumsum)
SCAN(cumprod)
SCAN(cummax)
SCAN(cummin)
SCAN(logcumsumexp)

/* The value that a scan starts from, joined to its results. */
static mx_array *with_initial(mx_scope *s, mx_array *scanned, int axis, double initial, bool last) {
  if (!scanned) return NULL;
  int shape[MX_MAX_NDIM], ax = axis < 0 ? axis + scanned->ndim : axis;
  for (int d = 0; d < scanned->ndim; d++) shape[d] = d == ax ? 1 : scanned->shape[d];
  mx_array *start = mx_broadcast_to(s, mx_scalar(s, scanned->dtype, initial), shape, (size_t)scanned->ndim);
  return mx_concatenate_axis(s, 2, (mx_array *[]){last ? scanned : start, last ? start : scanned}, ax);
}
mx_array *mx_cumsum_initial(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive) {
  return with_initial(s, mx_cumsum(s, a, axis, reverse, inclusive), axis, 0, reverse);
}
mx_array *mx_cumprod_initial(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive) {
  return with_initial(s, mx_cumprod(s, a, axis, reverse, inclusive), axis, 1, reverse);
}

mx_array *mx_diff(mx_scope *s, mx_array *a, int n, int axis) {
  if (!a) return NULL;
  if (n < 0) return mx_scope_fail(s, MX_EVALUE, "[diff] The order must not be negative: %d.", n);
  int ax, rc = mx_norm_axis("diff", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  for (int i = 0; i < n && a; i++) {
    int dim = a->shape[ax];
    if (dim == 0) break;
    mx_array *hi = mx_slice_axis(s, a, ax, 1, dim), *lo = mx_slice_axis(s, a, ax, 0, dim - 1);
    a = a->dtype == MX_BOOL ? mx_not_equal(s, hi, lo) : mx_subtract(s, hi, lo);
  }
  return a;
}
