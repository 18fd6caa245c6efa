/* Functions that give the same elements another shape. All but mx_contiguous build views. */
#include "graph/build.h"
#include "graph/relative.h"

mx_array *mx_reshape(mx_scope *s, mx_array *a, const int *shape, size_t n) {
  if (!a) return NULL;
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[reshape] %zu dimensions are more than %d.", n, MX_MAX_NDIM);
  if (MX_FOR_ANY_SHAPE(a)) { /* all elements in a row; other sizes may come from a shape */
    if (n == 1 && shape[0] == -1 && a->ndim) return mx_node_relative(s, OP_reshape, 1, &a, 1, (int64_t[]){MX_AXES(0, a->ndim - 1)});
    mx_shape_used = true;
  }
  bool same = (int)n == a->ndim;
  int64_t p[MX_MAX_NDIM];
  for (size_t i = 0; i < n; i++) {
    p[i] = shape[i];
    same = same && shape[i] == a->shape[i];
  }
  return same ? a : mx_node1(s, OP_reshape, a, (int)n, p);
}

mx_array *mx_flatten(mx_scope *s, mx_array *a, int start_axis, int end_axis) {
  if (!a) return NULL;
  if (a->ndim == 0) return mx_reshape(s, a, (int[]){1}, 1);
  int nd = a->ndim, lo = start_axis + (start_axis < 0 ? nd : 0), hi = end_axis + (end_axis < 0 ? nd : 0);
  if (lo < 0) lo = 0;
  if (hi >= nd) hi = nd - 1;
  if (hi < 0 || lo >= nd)
    return mx_scope_fail(s, MX_EAXIS, "[flatten] Axes %d to %d are out of bounds for array with %d dimensions.", start_axis,
                         end_axis, nd);
  if (hi < lo)
    return mx_scope_fail(s, MX_EVALUE, "[flatten] start_axis %d must not be behind end_axis %d.", start_axis, end_axis);
  if (lo == hi) return a;
  int shape[MX_MAX_NDIM], n = 0;
  int64_t run = 1;
  bool empty = false;
  for (int i = lo; i <= hi; i++) {
    if (__builtin_mul_overflow(run, (int64_t)a->shape[i], &run)) run = INT64_MAX;
    empty = empty || a->shape[i] == 0;
  }
  if (empty) run = 0;
  if (run > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("flatten", run));
  if (MX_FOR_ANY_SHAPE(a)) {
    int64_t p[MX_MAX_NDIM];
    for (int i = 0; i < nd; i++)
      if (i <= lo || i > hi) p[n++] = i == lo ? MX_AXES(lo, hi) : MX_AXES(i, i);
    return mx_node_relative(s, OP_reshape, 1, &a, n, p);
  }
  for (int i = 0; i < nd; i++) {
    if (i < lo || i > hi) shape[n++] = a->shape[i];
    else if (i == hi) shape[n++] = (int)run;
  }
  return mx_reshape(s, a, shape, n);
}

mx_array *mx_unflatten(mx_scope *s, mx_array *a, int axis, const int *shape, size_t n) {
  if (!a) return NULL;
  if (n == 0) return mx_scope_fail(s, MX_EVALUE, "[unflatten] The new shape must not be empty.");
  int ax, rc = mx_norm_axis("unflatten", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  if (a->ndim - 1 + n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[unflatten] More than %d dimensions.", MX_MAX_NDIM);
  int full[MX_MAX_NDIM], k = 0, unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < ax; i++) full[k++] = a->shape[i];
  for (size_t i = 0; i < n; i++) {
    if (shape[i] == -1 && unknown < 0)
      unknown = k;
    else if (shape[i] < 0 || (known *= shape[i]) > MX_MAX_DIM)
      known = -1;
    if (known < 0) break;
    full[k++] = shape[i];
  }
  if (unknown >= 0 && known > 0) {
    full[unknown] = (int)(a->shape[ax] / known);
    known *= full[unknown];
  }
  if (known != a->shape[ax])
    return mx_scope_fail(s, MX_EVALUE, "[unflatten] Cannot unflatten axis %d of size %d into shape %s.", axis, a->shape[ax],
                         mx_shape_str((int)n, shape));
  for (int i = ax + 1; i < a->ndim; i++) full[k++] = a->shape[i];
  if (MX_FOR_ANY_SHAPE(a) && unknown >= 0) { /* sizes that are all given may come from a shape */
    int64_t p[MX_MAX_NDIM], by = 1;
    for (size_t i = 0; i < n; i++) by *= ax + (int)i == unknown ? 1 : shape[i];
    for (int i = 0; i < k; i++) {
      int axis = i < ax ? i : i - (int)n + 1;
      p[i] = i == unknown ? MX_REST(ax, by) : i >= ax && i < ax + (int)n ? full[i] : MX_AXES(axis, axis);
    }
    if (by > 0) return mx_node_relative(s, OP_reshape, 1, &a, k, p);
  }
  return mx_reshape(s, a, full, k);
}

mx_array *mx_transpose_axes(mx_scope *s, mx_array *a, const int *axes, size_t n) {
  if (!a) return NULL;
  if (n != a->ndim) return mx_scope_fail(s, MX_EVALUE, "[transpose] Received %zu axes for array with %d dimensions.", n, a->ndim);
  int ax[MX_MAX_NDIM];
  for (size_t i = 0; i < n; i++) ax[i] = 0;
  int rc = mx_norm_axes("transpose", axes, n, a->ndim, ax);
  if (rc) return mx_scope_error(s, rc);
  int64_t p[MX_MAX_NDIM];
  bool same = true;
  for (int i = 0; i < a->ndim; i++) {
    p[i] = ax[i];
    same = same && ax[i] == i;
  }
  return same ? a : mx_node1(s, OP_transpose, a, a->ndim, p);
}

mx_array *mx_transpose(mx_scope *s, mx_array *a) {
  if (!a) return NULL;
  int axes[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) axes[i] = a->ndim - 1 - i;
  return mx_transpose_axes(s, a, axes, a->ndim);
}

mx_array *mx_matrix_transpose(mx_scope *s, mx_array *a) {
  if (!a) return NULL;
  if (a->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[matrix_transpose] An array with at least 2 dimensions is needed, not %s.",
                         mx_shape_of(a));
  return mx_swapaxes(s, a, -1, -2);
}

mx_array *mx_swapaxes(mx_scope *s, mx_array *a, int axis1, int axis2) {
  if (!a) return NULL;
  int x, y, rc = mx_norm_axis("swapaxes", axis1, a->ndim, &x);
  if (!rc) rc = mx_norm_axis("swapaxes", axis2, a->ndim, &y);
  if (rc) return mx_scope_error(s, rc);
  int axes[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) axes[i] = i == x ? y : i == y ? x : i;
  return mx_permute(s, a, axes);
}

mx_array *mx_moveaxis(mx_scope *s, mx_array *a, int source, int destination) {
  if (!a) return NULL;
  int from, to, rc = mx_norm_axis("moveaxis", source, a->ndim, &from);
  if (!rc) rc = mx_norm_axis("moveaxis", destination, a->ndim, &to);
  if (rc) return mx_scope_error(s, rc);
  int axes[MX_MAX_NDIM], k = 0;
  for (int i = 0; i < a->ndim; i++) {
    if (i == to)
      axes[i] = from;
    else {
      if (k == from) k++;
      axes[i] = k++;
    }
  }
  return mx_permute(s, a, axes);
}

mx_array *mx_broadcast_to(mx_scope *s, mx_array *a, const int *shape, size_t n) {
  if (!a) return NULL;
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[broadcast_to] %zu dimensions are more than %d.", n, MX_MAX_NDIM);
  bool same = (int)n == a->ndim;
  int64_t p[MX_MAX_NDIM];
  for (size_t i = 0; i < n; i++) {
    p[i] = shape[i];
    same = same && shape[i] == a->shape[i];
  }
  return same ? a : mx_node1(s, OP_broadcast_to, a, (int)n, p);
}

int mx_broadcast_arrays(mx_scope *s, mx_list *out, int n, mx_array *const *a) {
  int nd = 0, rc = 0;
  int32_t shape[MX_MAX_NDIM];
  for (int i = 0; i < n; i++) {
    if (!a[i]) return s->rc;
    if ((rc = mx_broadcast_shape(nd, shape, a[i]->ndim, a[i]->shape, &nd, shape))) return mx_scope_error(s, rc), rc;
  }
  for (int i = 0; i < n; i++) {
    mx_array *x = mx_broadcast_to(s, a[i], shape, nd);
    if (!x) return s->rc;
    mx_shape_used |= MX_FOR_ANY_SHAPE(a[i]);
    if ((rc = mx_list_push(out, x))) return mx_scope_error(s, rc), rc;
  }
  return 0;
}

mx_array *mx_expand_dims_axes(mx_scope *s, mx_array *a, const int *axes, size_t n) {
  if (!a) return NULL;
  if (n == 0) return a;
  if (a->ndim + n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[expand_dims] More than %d dimensions.", MX_MAX_NDIM);
  int ax[MX_MAX_NDIM], rc = mx_sorted_axes("expand_dims", axes, n, a->ndim + (int)n, ax);
  if (rc) return mx_scope_error(s, rc);
  int64_t p[MX_MAX_NDIM];
  for (size_t i = 0; i < n; i++) p[i] = ax[i];
  return mx_node1(s, OP_expand_dims, a, (int)n, p);
}

mx_array *mx_expand_dims(mx_scope *s, mx_array *a, int axis) { return mx_expand_dims_axes(s, a, &axis, 1); }

mx_array *mx_squeeze_axes(mx_scope *s, mx_array *a, const int *axes, size_t n) {
  if (!a) return NULL;
  if (n == 0) return a;
  int ax[MX_MAX_NDIM], rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[squeeze] Too many axes: %zu.", n)
                                            : mx_sorted_axes("squeeze", axes, n, a->ndim, ax);
  if (rc) return mx_scope_error(s, rc);
  int64_t p[MX_MAX_NDIM];
  for (size_t i = 0; i < n; i++) p[i] = ax[i];
  return mx_node1(s, OP_squeeze, a, (int)n, p);
}

mx_array *mx_squeeze_axis(mx_scope *s, mx_array *a, int axis) { return mx_squeeze_axes(s, a, &axis, 1); }

mx_array *mx_squeeze(mx_scope *s, mx_array *a) {
  if (!a) return NULL;
  int axes[MX_MAX_NDIM], n = 0;
  for (int i = 0; i < a->ndim; i++)
    if (a->shape[i] == 1) axes[n++] = i;
  if (MX_FOR_ANY_SHAPE(a)) mx_shape_used = true;
  return mx_squeeze_axes(s, a, axes, n);
}

mx_array *mx_atleast_1d(mx_scope *s, mx_array *a) { return a && a->ndim == 0 ? mx_reshape(s, a, (int[]){1}, 1) : a; }

mx_array *mx_atleast_2d(mx_scope *s, mx_array *a) {
  if (!a || a->ndim >= 2) return a;
  return a->ndim ? mx_reshape(s, a, (int[]){1, a->shape[0]}, 2) : mx_reshape(s, a, (int[]){1, 1}, 2);
}

mx_array *mx_atleast_3d(mx_scope *s, mx_array *a) {
  if (!a || a->ndim >= 3) return a;
  if (a->ndim == 2) return mx_reshape(s, a, (int[]){a->shape[0], a->shape[1], 1}, 3);
  return a->ndim ? mx_reshape(s, a, (int[]){1, a->shape[0], 1}, 3) : mx_reshape(s, a, (int[]){1, 1, 1}, 3);
}

mx_array *mx_as_strided(mx_scope *s, mx_array *a, const int *shape, size_t n, const int64_t *strides, size_t nstrides,
                        size_t offset) {
  if (!a) return NULL;
  if (n != nstrides) return mx_scope_fail(s, MX_EVALUE, "[as_strided] shape has %zu dimensions but strides %zu.", n, nstrides);
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[as_strided] More than %d dimensions.", MX_MAX_NDIM);
  int64_t p[2 * MX_MAX_NDIM + 2];
  p[0] = (int64_t)n;
  for (size_t i = 0; i < n; i++) {
    p[1 + i] = shape[i];
    p[1 + n + i] = strides[i];
  }
  p[1 + 2 * n] = (int64_t)offset;
  return mx_node1(s, OP_as_strided, a, 2 + 2 * (int)n, p);
}

mx_array *mx_view_as(mx_scope *s, mx_array *a, mx_dtype dtype) {
  if (!a || a->dtype == dtype) return a;
  return mx_node1(s, OP_view, a, 1, (int64_t[]){dtype});
}

mx_array *mx_copy(mx_scope *s, mx_array *a) { return mx_node1(s, OP_copy, a, 0, NULL); }

mx_array *mx_contiguous(mx_scope *s, mx_array *a, bool allow_col_major) {
  return mx_node1(s, OP_contiguous, a, 1, (int64_t[]){allow_col_major});
}

mx_array *mx_stop_gradient(mx_scope *s, mx_array *a) { return mx_node1(s, OP_stop_gradient, a, 0, NULL); }

int mx_depends(mx_scope *s, mx_list *out, int n, mx_array *const *inputs, int ndeps, mx_array *const *dependencies) {
  if (n < 1) return s->rc;
  mx_array **in = mx_malloc(sizeof *in * (size_t)(2 * n + ndeps));
  if (!in) return mx_scope_error(s, mx_fail_memory()), s->rc;
  mx_array **res = in + n + ndeps;
  for (int i = 0; i < ndeps; i++) in[i] = dependencies[i];
  for (int i = 0; i < n; i++) in[ndeps + i] = inputs[i];
  int rc = mx_node_multi(s, OP_depends, n + ndeps, in, 1, (int64_t[]){n}, NULL, n, res);
  for (int i = 0; i < n && !rc; i++)
    if ((rc = mx_list_push(out, res[i]))) mx_scope_error(s, rc);
  mx_free(in);
  return rc;
}

mx_array *mx_number_of_elements(mx_scope *s, mx_array *a, const int *axes, size_t n, bool inverted, mx_dtype dtype) {
  if (!a) return NULL;
  double count = 1;
  for (size_t i = 0; i < n; i++) {
    int ax, rc = mx_norm_axis("number_of_elements", axes[i], a->ndim, &ax);
    if (rc) return mx_scope_error(s, rc);
    count *= a->shape[ax];
  }
  mx_shape_used = true;
  if (mx_is_integer(dtype) && !inverted) return mx_int(s, dtype, (int64_t)count);
  return mx_scalar(s, dtype, inverted ? 1 / count : count);
}

mx_array *mx_flip(mx_scope *s, mx_array *a, const int *axes, size_t n) {
  if (!a) return NULL;
  int nd = a->ndim;
  bool every = n == 0 && !axes;
  if (every) n = (size_t)nd;
  int64_t p[3 * MX_MAX_NDIM];
  for (int i = 0; i < nd; i++) {
    p[i] = 0;
    p[nd + i] = a->shape[i];
    p[2 * nd + i] = 1;
  }
  for (size_t i = 0; i < n; i++) { /* an axis given twice is reversed once, as in MLX */
    int ax = (int)i, rc = every ? 0 : mx_norm_axis("flip", axes[i], nd, &ax);
    if (rc) return mx_scope_error(s, rc);
    if (a->shape[ax] == 0) continue;
    p[ax] = a->shape[ax] - 1;
    p[nd + ax] = -1;
    p[2 * nd + ax] = -1;
  }
  return n ? mx_node1(s, OP_slice, a, 3 * nd, p) : a;
}
