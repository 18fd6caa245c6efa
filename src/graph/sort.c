/* Sorting, and what is built of it. */
#include "graph/build.h"

static mx_array *sort(mx_scope *s, mx_opcode op, mx_array *a, int axis) {
  if (!a) return NULL;
  int ax, rc = mx_norm_axis(mx_ops[op].name, axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  return mx_node1(s, op, a, 1, (int64_t[]){ax});
}

static mx_array *partition(mx_scope *s, mx_opcode op, mx_array *a, int kth, int axis) {
  if (!a) return NULL;
  const char *tag = mx_ops[op].name;
  int ax, rc = mx_norm_axis(tag, axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  int dim = a->shape[ax], k = kth < 0 ? kth + dim : kth;
  if (k < 0 || k >= dim)
    return mx_scope_fail(s, MX_EVALUE, "[%s] Received invalid kth %d along axis %d for array with shape: %s", tag, kth, axis,
                         mx_shape_of(a));
  return mx_node1(s, op, a, 2, (int64_t[]){ax, k});
}

mx_array *mx_sort_axis(mx_scope *s, mx_array *a, int axis) { return sort(s, OP_sort, a, axis); }
mx_array *mx_sort(mx_scope *s, mx_array *a) { return sort(s, OP_sort, mx_flatten(s, a, 0, -1), 0); }
mx_array *mx_argsort_axis(mx_scope *s, mx_array *a, int axis) { return sort(s, OP_argsort, a, axis); }
mx_array *mx_argsort(mx_scope *s, mx_array *a) { return sort(s, OP_argsort, mx_flatten(s, a, 0, -1), 0); }
mx_array *mx_partition_axis(mx_scope *s, mx_array *a, int kth, int axis) { return partition(s, OP_partition, a, kth, axis); }
mx_array *mx_partition(mx_scope *s, mx_array *a, int kth) { return partition(s, OP_partition, mx_flatten(s, a, 0, -1), kth, 0); }
mx_array *mx_argpartition_axis(mx_scope *s, mx_array *a, int kth, int axis) {
  return partition(s, OP_argpartition, a, kth, axis);
}
mx_array *mx_argpartition(mx_scope *s, mx_array *a, int kth) {
  return partition(s, OP_argpartition, mx_flatten(s, a, 0, -1), kth, 0);
}

mx_array *mx_topk_axis(mx_scope *s, mx_array *a, int k, int axis) {
  if (!a) return NULL;
  int ax, rc = mx_norm_axis("topk", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  int dim = a->shape[ax];
  if (k < 0 || k > dim)
    return mx_scope_fail(s, MX_EVALUE, "[topk] Received invalid k=%d along axis %d for array with shape: %s", k, axis,
                         mx_shape_of(a));
  if (k == dim) return a;
  if (k == 0) return mx_slice_axis(s, a, ax, 0, 0);
  return mx_slice_axis(s, partition(s, OP_partition, a, dim - k, ax), ax, dim - k, dim);
}

mx_array *mx_topk(mx_scope *s, mx_array *a, int k) { return mx_topk_axis(s, mx_flatten(s, a, 0, -1), k, 0); }

/* Where the value is NaN, and on the left side the probe is not. */
static mx_array *after_all(mx_scope *s, mx_array *probe, mx_array *values, bool right) {
  if (!probe || !values) return NULL;
  mx_array *nan = mx_isnan(s, values);
  return right ? nan : mx_logical_and(s, nan, mx_logical_not(s, mx_isnan(s, probe)));
}

/* Binary search of all values together: `at` is how many elements are known to stand before the value. */
mx_array *mx_searchsorted(mx_scope *s, mx_array *sorted, mx_array *values, bool right) {
  if (!sorted || !values) return NULL;
  if (sorted->ndim != 1)
    return mx_scope_fail(s, MX_EVALUE, "[searchsorted] The sorted array must have one dimension, not shape %s.",
                         mx_shape_of(sorted));
  int64_t n = sorted->shape[0], step = 1;
  mx_array *at = mx_broadcast_to(s, mx_int(s, MX_U32, 0), values->shape, values->ndim);
  if (n == 0) return at;
  mx_dtype t = mx_promote(sorted->dtype, values->dtype);
  sorted = mx_stop_gradient(s, mx_astype(s, sorted, t));
  values = mx_stop_gradient(s, mx_astype(s, values, t));
  while (2 * step <= n) step *= 2;
  for (; step > 0; step /= 2) {
    mx_array *next = mx_add(s, at, mx_int(s, MX_U32, step)), *size = mx_int(s, MX_U32, n);
    mx_array *probe =
        mx_take_axis(s, sorted, mx_minimum(s, mx_subtract(s, next, mx_int(s, MX_U32, 1)), mx_int(s, MX_U32, n - 1)), 0);
    mx_array *before = right ? mx_less_equal(s, probe, values) : mx_less(s, probe, values);
    if (mx_is_inexact(t)) before = mx_logical_or(s, before, after_all(s, probe, values, right)); /* NaN is the largest */
    at = mx_where(s, mx_logical_and(s, mx_less_equal(s, next, size), before), next, at);
  }
  return at;
}

/* A result of `size` elements from one of n: cut, or filled up. */
static mx_array *fitted(mx_scope *s, mx_array *x, int size, mx_array *fill) {
  if (!x) return NULL;
  int n = x->shape[0];
  return n >= size ? mx_slice_axis(s, x, 0, 0, size)
                   : mx_pad(s, x, (int[]){0}, 1, (int[]){0}, 1, (int[]){size - n}, 1, fill, "constant");
}

int mx_unique(mx_scope *s, mx_list *out, mx_array *a, int size, mx_array *fill_value) {
  a = mx_flatten(s, a, 0, -1);
  if (!a) return s->rc;
  if (size < 0) return mx_scope_fail(s, MX_EVALUE, "[unique] The size must not be negative: %d.", size), s->rc;
  int n = a->shape[0];
  mx_array *r[4], *none = mx_int(s, MX_U32, 0);
  if (n == 0) {
    mx_array *fill = fill_value ? mx_astype(s, fill_value, a->dtype) : mx_const_like(s, a, 0);
    mx_array *index = mx_zeros(s, (int[]){0}, 1, MX_U32);
    r[0] = fitted(s, a, size, fill);
    r[1] = fitted(s, index, size, none);
    r[2] = index;
    r[3] = mx_zeros(s, &size, 1, MX_I32);
  } else {
    mx_array *order = mx_argsort_axis(s, a, 0), *sorted = mx_take_axis(s, a, order, 0);
    mx_array *step = mx_not_equal(s, mx_slice_axis(s, sorted, 0, 1, n), mx_slice_axis(s, sorted, 0, 0, n - 1));
    mx_array *rank = mx_cumsum(
        s, mx_astype(s, mx_concatenate_axis(s, 2, (mx_array *[]){mx_zeros(s, (int[]){1}, 1, MX_BOOL), step}, 0), MX_I32), 0,
        false, true);
    /* slots whose rank no element has keep what the first element gives: it is the fill */
    mx_array *fill = fill_value ? mx_astype(s, mx_reshape(s, fill_value, NULL, 0), a->dtype)
                                : mx_reshape(s, mx_slice_axis(s, sorted, 0, 0, 1), NULL, 0);
    mx_array *used = mx_zeros(s, &n, 1, MX_I32);
    used = mx_scatter_add_axis(s, used, rank, mx_int(s, MX_I32, 1), 0);
    mx_array *slots = mx_broadcast_to(s, fill, &n, 1);
    r[0] = fitted(s, mx_put_along_axis(s, slots, rank, sorted, 0), size, fill);
    /* the first of equals: the sort is stable, so it is the least index */
    mx_array *first = mx_scatter_min_single(s, mx_full(s, &n, 1, mx_int(s, MX_U32, n), MX_U32), rank,
                                            mx_reshape(s, order, (int[]){n, 1}, 2), 0);
    mx_array *lead = mx_slice_axis(s, order, 0, 0, 1);
    first = mx_where(s, mx_equal(s, used, mx_int(s, MX_I32, 0)), lead, first);
    r[1] = fitted(s, first, size, mx_reshape(s, lead, NULL, 0));
    rank = mx_minimum(s, rank, mx_int(s, MX_I32, size ? size - 1 : 0)); /* values that were cut: the last */
    r[2] = mx_put_along_axis(s, mx_zeros(s, &n, 1, MX_U32), order, rank, 0);
    r[3] = fitted(s, used, size, mx_int(s, MX_I32, 0));
  }
  for (int i = 0; i < 4 && !s->rc; i++)
    if (r[i] && mx_list_push(out, r[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}
