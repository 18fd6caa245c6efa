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

mx_array *mx_sort_descending(mx_scope *s, mx_array *a, int axis) { return mx_flip(s, mx_sort_axis(s, a, axis), &axis, 1); }

/* The reversed array is sorted, so that equal elements come out in their order once the result is reversed. */
mx_array *mx_argsort_descending(mx_scope *s, mx_array *a, int axis) {
  if (!a) return NULL;
  int ax, rc = mx_norm_axis("argsort", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  mx_array *at = mx_argsort_axis(s, mx_flip(s, a, &ax, 1), ax);
  if (!at || a->shape[ax] == 0) return at;
  return mx_subtract(s, mx_int(s, at->dtype, a->shape[ax] - 1), mx_flip(s, at, &ax, 1));
}
