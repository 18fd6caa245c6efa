/* Reductions: the nodes keep the reduced axes with size 1, a view takes them away. */
#include "graph/build.h"
#include "graph/relative.h"

/* All axes, ascending. */
static int every_axis(const mx_array *a, int *axes) {
  for (int i = 0; i < a->ndim; i++) axes[i] = i;
  return a->ndim;
}

static mx_array *reduce(mx_scope *s, mx_opcode op, mx_array *a, const int *axes, size_t n, bool keepdims) {
  if (!a) return NULL;
  const char *tag = mx_ops[op].name;
  int ax[MX_MAX_NDIM],
      rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[%s] Too many axes: %zu.", tag, n) : mx_sorted_axes(tag, axes, n, a->ndim, ax);
  if (rc) return mx_scope_error(s, rc);
  if (op == OP_all || op == OP_any) a = mx_astype(s, a, MX_BOOL);
  if (n == 0) return a;
  int64_t p[MX_MAX_NDIM];
  for (size_t i = 0; i < n; i++) p[i] = ax[i];
  mx_array *r = mx_node1(s, op, a, (int)n, p);
  return keepdims ? r : mx_squeeze_axes(s, r, ax, n);
}

#define REDUCE(name, ...)                                                                          \
  mx_array *mx_##name##_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) { \
    return reduce(s, OP_##name, a, axes, n, keepdims);                                             \
  }                                                                                                \
  mx_array *mx_##name##_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) {                  \
    return reduce(s, OP_##name, a, &axis, 1, keepdims);                                            \
  }                                                                                                \
  mx_array *mx_##name(mx_scope *s, mx_array *a, bool keepdims) {                                   \
    int axes[MX_MAX_NDIM];                                                                         \
    return a ? reduce(s, OP_##name, a, axes, (size_t)every_axis(a, axes), keepdims) : NULL;        \
  }
#include "reduce.def"
#undef REDUCE

mx_array *mx_mean_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  if (!a) return NULL;
  double count = 1;
  for (size_t i = 0; i < n; i++) {
    int ax, rc = mx_norm_axis("mean", axes[i], a->ndim, &ax);
    if (rc) return mx_scope_error(s, rc);
    count *= a->shape[ax];
  }
  mx_shape_used = true;
  return mx_mul_k(s, mx_sum_axes(s, mx_to_float(s, a), axes, n, keepdims), 1 / count);
}
mx_array *mx_mean_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) { return mx_mean_axes(s, a, &axis, 1, keepdims); }
mx_array *mx_mean(mx_scope *s, mx_array *a, bool keepdims) {
  int axes[MX_MAX_NDIM];
  return a ? mx_mean_axes(s, a, axes, (size_t)every_axis(a, axes), keepdims) : NULL;
}

static mx_array *arg_reduce(mx_scope *s, mx_opcode op, mx_array *a, int axis, bool keepdims) {
  if (!a) return NULL;
  const char *tag = mx_ops[op].name;
  int ax, rc = mx_norm_axis(tag, axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  mx_array *r = mx_node1(s, op, a, 1, (int64_t[]){ax});
  return keepdims ? r : mx_squeeze_axis(s, r, ax);
}

static mx_array *arg_reduce_all(mx_scope *s, mx_opcode op, mx_array *a, bool keepdims) {
  if (!a) return NULL;
  mx_array *r = arg_reduce(s, op, mx_flatten(s, a, 0, -1), 0, true);
  if (MX_FOR_ANY_SHAPE(a)) {
    int all[MX_MAX_NDIM];
    r = mx_squeeze_axis(s, r, 0);
    return keepdims ? mx_expand_dims_axes(s, r, all, (size_t)every_axis(a, all)) : r;
  }
  int ones[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) ones[i] = 1;
  return mx_reshape(s, r, ones, keepdims ? a->ndim : 0);
}

mx_array *mx_argmin(mx_scope *s, mx_array *a, bool keepdims) { return arg_reduce_all(s, OP_argmin, a, keepdims); }
mx_array *mx_argmin_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) {
  return arg_reduce(s, OP_argmin, a, axis, keepdims);
}
mx_array *mx_argmax(mx_scope *s, mx_array *a, bool keepdims) { return arg_reduce_all(s, OP_argmax, a, keepdims); }
mx_array *mx_argmax_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) {
  return arg_reduce(s, OP_argmax, a, axis, keepdims);
}

mx_array *mx_count_nonzero(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  mx_array *hit = a ? mx_not_equal(s, a, mx_const_like(s, a, 0)) : NULL;
  if (!hit) return NULL;
  int all[MX_MAX_NDIM];
  if (n == 0 && !axes) {
    n = (size_t)every_axis(a, all);
    axes = all;
  }
  return mx_astype(s, mx_sum_axes(s, hit, axes, n, keepdims), MX_I32);
}

int mx_minmax(mx_scope *s, mx_array *res[2], mx_array *a, const int *axes, size_t n, bool keepdims) {
  if (!a) return s->rc;
  int all[MX_MAX_NDIM];
  if (n == 0 && !axes) {
    n = (size_t)every_axis(a, all);
    axes = all;
  }
  res[0] = mx_min_axes(s, a, axes, n, keepdims);
  res[1] = mx_max_axes(s, a, axes, n, keepdims);
  return s->rc;
}
