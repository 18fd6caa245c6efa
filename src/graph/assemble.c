/* Functions that join, cut and repeat arrays. */
#include "graph/build.h"
#include "graph/relative.h"

mx_array *mx_concatenate_axis(mx_scope *s, int n, mx_array *const *arrays, int axis) {
  if (n == 0) return mx_scope_fail(s, MX_EVALUE, "[concatenate] No arrays provided for concatenation.");
  for (int i = 0; i < n; i++)
    if (!arrays[i]) return NULL;
  if (n == 1) return arrays[0]; /* as MLX: whatever the axis */
  int ax, rc = mx_norm_axis("concatenate", axis, arrays[0]->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  mx_dtype t = arrays[0]->dtype;
  for (int i = 1; i < n; i++) t = mx_promote(t, arrays[i]->dtype);
  mx_array **in = mx_malloc(sizeof *in * (size_t)n);
  if (!in) return mx_scope_error(s, mx_fail_memory());
  for (int i = 0; i < n; i++) in[i] = mx_astype(s, arrays[i], t);
  mx_array *r = mx_node(s, OP_concatenate, n, in, 1, (int64_t[]){ax});
  mx_free(in);
  return r;
}

/* Without an axis the flattened arrays are joined. */
mx_array *mx_concatenate(mx_scope *s, int n, mx_array *const *arrays) {
  mx_array **in = mx_malloc(sizeof *in * (size_t)(n + 1));
  if (!in) return mx_scope_error(s, mx_fail_memory());
  for (int i = 0; i < n; i++) in[i] = mx_flatten(s, arrays[i], 0, -1);
  mx_array *r = mx_concatenate_axis(s, n, in, 0);
  mx_free(in);
  return r;
}

mx_array *mx_stack_axis(mx_scope *s, int n, mx_array *const *arrays, int axis) {
  if (n == 0) return mx_scope_fail(s, MX_EVALUE, "[stack] No arrays provided for stacking.");
  for (int i = 0; i < n; i++) {
    if (!arrays[i]) return NULL;
    if (!mx_same_shape(arrays[i], arrays[0]))
      return mx_scope_fail(s, MX_EVALUE, "[stack] All arrays must have the same shape: got %s and %s.", mx_shape_of(arrays[0]),
                           mx_shape_of(arrays[i]));
  }
  int ax, rc = mx_norm_axis("stack", axis, arrays[0]->ndim + 1, &ax);
  if (rc) return mx_scope_error(s, rc);
  mx_array **in = mx_malloc(sizeof *in * (size_t)n);
  if (!in) return mx_scope_error(s, mx_fail_memory());
  for (int i = 0; i < n; i++) in[i] = mx_expand_dims(s, arrays[i], ax);
  mx_array *r = mx_concatenate_axis(s, n, in, ax);
  mx_free(in);
  return r;
}

mx_array *mx_stack(mx_scope *s, int n, mx_array *const *arrays) { return mx_stack_axis(s, n, arrays, 0); }

static int push(mx_scope *s, mx_list *out, mx_array *a) {
  int rc = a ? mx_list_push(out, a) : s->rc;
  if (rc) mx_scope_error(s, rc);
  return rc;
}

int mx_split(mx_scope *s, mx_list *out, mx_array *a, int num_splits, int axis) {
  if (!a) return s->rc;
  int ax, rc = mx_norm_axis("split", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc), rc;
  if (num_splits <= 0 || a->shape[ax] % num_splits) {
    mx_scope_fail(
        s, MX_EVALUE,
        "[split] Array split does not result in sub arrays with equal size: attempting %d splits along axis %d for shape %s.",
        num_splits, axis, mx_shape_of(a));
    return s->rc;
  }
  if (num_splits > 1 << 24) { /* only of an axis of size 0, or one broadcast beyond reason */
    mx_scope_fail(s, MX_EVALUE, "[split] %d parts of shape %s are too many.", num_splits, mx_shape_of(a));
    return s->rc;
  }
  int each = a->shape[ax] / num_splits;
  if (num_splits == 1) return push(s, out, a);
  for (int i = 0; i < num_splits && !rc; i++)
    rc = push(s, out, mx_slice_axis(s, a, ax, (int64_t)i * each, (int64_t)(i + 1) * each));
  return rc;
}

int mx_split_sections(mx_scope *s, mx_list *out, mx_array *a, const int *indices, size_t n, int axis) {
  if (!a) return s->rc;
  int ax, rc = mx_norm_axis("split", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc), rc;
  int64_t dim = a->shape[ax], from = 0;
  for (size_t i = 0; i <= n && !rc; i++) {
    int64_t to = i < n ? indices[i] : dim; /* as Python slices: negative from the end, then clamped */
    if (to < 0) to = to + dim < 0 ? 0 : to + dim;
    if (to > dim) to = dim;
    rc = push(s, out, mx_slice_axis(s, a, ax, from, to < from ? from : to));
    from = to;
  }
  return rc;
}

int mx_unstack(mx_scope *s, mx_list *out, mx_array *a, int axis) {
  if (!a) return s->rc;
  int ax, rc = mx_norm_axis("unstack", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc), rc;
  for (int i = 0; i < a->shape[ax] && !rc; i++) rc = push(s, out, mx_squeeze_axis(s, mx_slice_axis(s, a, ax, i, i + 1), ax));
  return rc;
}

mx_array *mx_tile(mx_scope *s, mx_array *a, const int *reps, size_t n) {
  if (!a) return NULL;
  int nd = a->ndim > (int)n ? a->ndim : (int)n;
  if (2 * nd > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[tile] Too many dimensions: %d.", nd);
  /* (d0, d1) -> (1, d0, 1, d1), broadcast to (r0, d0, r1, d1), reshaped */
  int from[MX_MAX_NDIM], to[MX_MAX_NDIM], end[MX_MAX_NDIM];
  for (int i = 0; i < nd; i++) {
    int d = i - (nd - a->ndim), r = i - (nd - (int)n);
    int64_t dim = d >= 0 ? a->shape[d] : 1, rep = r >= 0 ? reps[r] : 1;
    if (rep < 0) return mx_scope_fail(s, MX_EVALUE, "[broadcast_to] Cannot tile a negative number of times: %d.", (int)rep);
    if (dim * rep > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("tile", dim * rep));
    from[2 * i] = 1;
    from[2 * i + 1] = to[2 * i + 1] = (int)dim;
    to[2 * i] = (int)rep;
    end[i] = (int)(dim * rep);
  }
  a = mx_reshape(s, a, from, 2 * nd);
  return mx_reshape(s, mx_broadcast_to(s, a, to, 2 * nd), end, nd);
}

mx_array *mx_repeat_axis(mx_scope *s, mx_array *a, int repeats, int axis) {
  if (!a) return NULL;
  if (repeats < 0) return mx_scope_fail(s, MX_EVALUE, "[repeat] Number of repeats cannot be negative: %d.", repeats);
  int ax, rc = mx_norm_axis("repeat", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  if (repeats == 1) return a;
  if (a->ndim + 1 > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[repeat] Too many dimensions: %d.", a->ndim);
  if ((int64_t)repeats * a->shape[ax] > MX_MAX_DIM)
    return mx_scope_error(s, mx_fail_dim("repeat", (int64_t)repeats * a->shape[ax]));
  int to[MX_MAX_NDIM], end[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) {
    to[i + (i > ax)] = a->shape[i];
    end[i] = a->shape[i] * (i == ax ? repeats : 1);
  }
  to[ax + 1] = repeats;
  mx_array *x = mx_broadcast_to(s, mx_expand_dims(s, a, ax + 1), to, a->ndim + 1);
  return mx_reshape(s, x, end, a->ndim);
}

mx_array *mx_repeat(mx_scope *s, mx_array *a, int repeats) { return mx_repeat_axis(s, mx_flatten(s, a, 0, -1), repeats, 0); }

/* The first and the last element repeated. */
static mx_array *pad_edge(mx_scope *s, mx_array *a, int axis, int lo, int hi) {
  if (lo == 0 && hi == 0) return a;
  if (a->shape[axis] == 0) return mx_scope_fail(s, MX_EVALUE, "[pad] Cannot repeat the edge of an empty axis %d.", axis);
  int shape[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) shape[i] = a->shape[i];
  mx_array *part[3];
  int n = 0, dim = a->shape[axis];
  shape[axis] = lo;
  if (lo) part[n++] = mx_broadcast_to(s, mx_slice_axis(s, a, axis, 0, 1), shape, a->ndim);
  part[n++] = a;
  shape[axis] = hi;
  if (hi) part[n++] = mx_broadcast_to(s, mx_slice_axis(s, a, axis, dim - 1, dim), shape, a->ndim);
  return mx_concatenate_axis(s, n, part, axis);
}

/* The array read to and fro: with the edge twice (symmetric) or once. */
static mx_array *pad_mirror(mx_scope *s, mx_array *a, int axis, int lo, int hi, bool symmetric) {
  if (lo == 0 && hi == 0) return a;
  int64_t dim = a->shape[axis], period = symmetric ? 2 * dim : dim > 1 ? 2 * dim - 2 : 1;
  int32_t n = lo + a->shape[axis] + hi;
  if (dim == 0)
    return mx_scope_fail(s, MX_EVALUE, "[pad] Cannot pad empty axis %d using mode '%s'.", axis,
                         symmetric ? "symmetric" : "reflect");
  int32_t *from = mx_malloc(sizeof *from * (size_t)n);
  if (!from) return mx_scope_error(s, mx_fail_memory());
  for (int32_t i = 0; i < n; i++) {
    int64_t at = ((int64_t)i - lo) % period;
    if (at < 0) at += period;
    from[i] = (int32_t)(at < dim ? at : symmetric ? period - 1 - at : period - at);
  }
  mx_array *index = mx_own(s, mx_array_from_data(MX_I32, 1, &n, from));
  mx_free(from);
  return mx_take_axis(s, a, index, axis);
}

mx_array *mx_pad(mx_scope *s, mx_array *a, const int *axes, size_t n, const int *low, size_t nlow, const int *high, size_t nhigh,
                 mx_array *value, const char *mode) {
  if (!a || !value) return NULL;
  if (n != nlow || n != nhigh || n > (size_t)a->ndim)
    return mx_scope_fail(s, MX_EVALUE,
                         "[pad] Invalid number of padding sizes: %zu axes, %zu low and %zu high sizes for array with shape %s.",
                         n, nlow, nhigh, mx_shape_of(a));
  int ax[MX_MAX_NDIM], rc = mx_norm_axes("pad", axes, n, a->ndim, ax);
  if (rc) return mx_scope_error(s, rc);
  int nd = a->ndim;
  int64_t p[2 * MX_MAX_NDIM] = {0};
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    if (low[i] < 0 || high[i] < 0)
      return mx_scope_fail(s, MX_EVALUE, "[pad] Invalid padding size (%d, %d) for axis %d: it must not be negative.", low[i],
                           high[i], axes[i]);
    p[ax[i]] = low[i];
    p[nd + ax[i]] = high[i];
    any = any || low[i] || high[i];
  }
  bool constant = !strcmp(mode, "constant"), edge = !strcmp(mode, "edge"), symmetric = !strcmp(mode, "symmetric");
  if (!constant && !edge && !symmetric && strcmp(mode, "reflect"))
    return mx_scope_fail(s, MX_EVALUE, "[pad] Invalid padding mode (%s): expected 'constant', 'edge', 'reflect' or 'symmetric'.",
                         mode);
  if (!any) return a;
  if (constant) {
    if (value->ndim) {
      if (value->size != 1)
        return mx_scope_fail(s, MX_EVALUE, "[pad] The padding value must be a scalar, not %s.", mx_shape_of(value));
      value = mx_reshape(s, value, NULL, 0);
    }
    return mx_node2(s, OP_pad, a, mx_astype(s, value, a->dtype), 2 * nd, p);
  }
  for (int i = 0; i < nd && a; i++) {
    if (p[i] + a->shape[i] + p[nd + i] > MX_MAX_DIM)
      return mx_scope_error(s, mx_fail_dim("pad", p[i] + a->shape[i] + p[nd + i]));
    a = edge ? pad_edge(s, a, i, (int)p[i], (int)p[nd + i]) : pad_mirror(s, a, i, (int)p[i], (int)p[nd + i], symmetric);
  }
  return a;
}

mx_array *mx_pad_symmetric(mx_scope *s, mx_array *a, int width, mx_array *value, const char *mode) {
  if (!a) return NULL;
  int axes[MX_MAX_NDIM], size[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) {
    axes[i] = i;
    size[i] = width;
  }
  return mx_pad(s, a, axes, a->ndim, size, a->ndim, size, a->ndim, value, mode);
}

mx_array *mx_roll_axes(mx_scope *s, mx_array *a, const int *shift, size_t n, const int *axes, size_t naxes) {
  if (!a) return NULL;
  if (n != naxes && n != 1) return mx_scope_fail(s, MX_EVALUE, "[roll] Received %zu shifts for %zu axes.", n, naxes);
  for (size_t i = 0; i < naxes && a; i++) {
    int ax, rc = mx_norm_axis("roll", axes[i], a->ndim, &ax);
    if (rc) return mx_scope_error(s, rc);
    int dim = a->shape[ax];
    mx_shape_used |= MX_FOR_ANY_SHAPE(a);
    if (dim == 0) continue;
    int by = shift[n == 1 ? 0 : i] % dim;
    if (by < 0) by += dim;
    if (by)
      a = mx_concatenate_axis(s, 2, (mx_array *[]){mx_slice_axis(s, a, ax, dim - by, dim), mx_slice_axis(s, a, ax, 0, dim - by)},
                              ax);
  }
  return a;
}

/* Several shifts of one axis add up. */
mx_array *mx_roll_axis(mx_scope *s, mx_array *a, const int *shift, size_t n, int axis) {
  int axes[MX_MAX_NDIM];
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[roll] Too many shifts: %zu.", n);
  for (size_t i = 0; i < n; i++) axes[i] = axis;
  return mx_roll_axes(s, a, shift, n, axes, n);
}

mx_array *mx_roll(mx_scope *s, mx_array *a, const int *shift, size_t n) {
  mx_array *flat = mx_flatten(s, a, 0, -1);
  return mx_reshape_like(s, mx_roll_axis(s, flat, shift, n, 0), a);
}

int mx_meshgrid(mx_scope *s, mx_list *out, int n, mx_array *const *arrays, bool sparse, const char *indexing) {
  bool xy = !strcmp(indexing, "xy");
  if (!xy && strcmp(indexing, "ij")) {
    mx_scope_fail(s, MX_EVALUE, "[meshgrid] Invalid indexing value '%s'. Valid values are 'xy' and 'ij'.", indexing);
    return s->rc;
  }
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[meshgrid] Too many arrays: %d.", n), s->rc;
  mx_array *grid[MX_MAX_NDIM];
  int full[MX_MAX_NDIM];
  for (int i = 0; i < n; i++) {
    mx_array *flat = mx_flatten(s, arrays[i], 0, -1);
    if (!flat) return s->rc;
    int at = xy && n > 1 && i < 2 ? 1 - i : i, shape[MX_MAX_NDIM];
    for (int k = 0; k < n; k++) shape[k] = 1;
    shape[at] = full[at] = flat->shape[0];
    grid[i] = mx_reshape(s, flat, shape, n);
  }
  int rc = 0;
  for (int i = 0; i < n && !rc; i++) rc = push(s, out, sparse ? grid[i] : mx_broadcast_to(s, grid[i], full, n));
  return rc;
}
