/* Functions whose results are as long as the values of their arguments say: places of non-zeros, elements under a mask, distinct elements,
 * counts. Where the length is not given, what decides it is evaluated. */
#include "graph/build.h"

/* Whether a can be evaluated; while compile or vmap trace it cannot, which is an error that says so. */
static bool values_known(mx_scope *s, const char *tag, const mx_array *a) {
  if (!a) return false;
  if (!(a->flags & MX_PLACEHOLDER)) return true;
  mx_scope_fail(s, MX_EVALUE,
                "[%s] The shape of the result needs the values of the input, and compile and vmap trace without values. Give size= to "
                "have a result of that length.",
                tag);
  return false;
}

/* a as a mask, cut off from gradients. */
static mx_array *truth(mx_scope *s, mx_array *a) {
  if (!a) return NULL;
  if (a->dtype != MX_BOOL) a = mx_not_equal(s, a, mx_const_like(s, a, 0));
  return a && a->flags & MX_TRACER ? mx_stop_gradient(s, a) : a;
}

/* int32, or int64 for masks that may have more trues: along the longest axis first, since a sum of bool is int32. */
static mx_array *sum_trues(mx_scope *s, mx_array *mask) {
  if (!mask || mask->size <= INT32_MAX) return mask ? mx_sum(s, mask, false) : NULL;
  int longest = 0;
  for (int d = 1; d < mask->ndim; d++)
    if (mask->shape[d] > mask->shape[longest]) longest = d;
  mx_array *part = mx_sum_axis(s, mask, longest, false);
  return part ? mx_sum(s, mx_astype(s, part, MX_I64), false) : NULL;
}

/* How many trues there are: *res = *size where that is given, else counted now. */
static bool count(mx_scope *s, const char *tag, mx_array *mask, const int *size, int64_t *res) {
  if (!mask) return false;
  if (size) {
    *res = *size;
    if (*size < 0) mx_scope_fail(s, MX_EVALUE, "[%s] Received negative size %d.", tag, *size);
    return *size >= 0;
  }
  if (!values_known(s, tag, mask)) return false;
  mx_array *both[] = {mask, sum_trues(s, mask)};
  int rc = both[1] ? mx_eval(2, both) : s->rc;
  if (rc) return mx_scope_error(s, rc), false;
  *res = mx_item_i64(both[1]);
  return true;
}

/* ---- nonzero ---- */

/* (a's dimensions, size) */
static mx_array *places(mx_scope *s, const char *tag, mx_array *a, const int *size, int fill) {
  int64_t n;
  mx_array *mask = truth(s, a);
  return count(s, tag, mask, size, &n) ? mx_node1(s, OP_nonzero, mask, 3, (int64_t[]){0, n, fill}) : NULL;
}

int mx_nonzero(mx_scope *s, mx_list *out, mx_array *a, const int *size, int fill) {
  if (!a) return s->rc;
  if (a->ndim == 0) mx_scope_fail(s, MX_EVALUE, "[nonzero] The array must have a dimension, got shape ().");
  mx_array *at = s->rc ? NULL : places(s, "nonzero", a, size, fill);
  for (int d = 0; at && d < a->ndim; d++) {
    mx_array *row = mx_squeeze_axis(s, mx_slice_axis(s, at, 0, d, d + 1), 0);
    if (row && mx_list_push(out, row)) mx_scope_error(s, MX_EMEMORY);
  }
  return s->rc;
}

mx_array *mx_argwhere(mx_scope *s, mx_array *a, const int *size, int fill) {
  return mx_transpose(s, places(s, "argwhere", a, size, fill));
}

mx_array *mx_flatnonzero(mx_scope *s, mx_array *a, const int *size, int fill) {
  return mx_squeeze_axis(s, places(s, "flatnonzero", mx_flatten(s, a, 0, -1), size, fill), 0);
}

/* ---- elements under a mask ---- */

/* The first n of r stay, the others become fill. */
static mx_array *filled(mx_scope *s, mx_array *r, int axis, mx_array *n, mx_array *fill) {
  if (!r || !n || !fill) return NULL;
  int shape[MX_MAX_NDIM];
  for (int d = 0; d < r->ndim; d++) shape[d] = d == axis ? r->shape[d] : 1;
  mx_array *at = mx_reshape(s, mx_arange(s, 0, r->shape[axis], 1, n->dtype), shape, r->ndim);
  return at ? mx_where(s, mx_less(s, at, n), r, mx_astype(s, fill, r->dtype)) : NULL;
}

mx_array *mx_masked_select(mx_scope *s, mx_array *a, mx_array *mask, int axis, const int *size, mx_array *fill) {
  if (!a || !mask) return NULL;
  int k = mask->ndim, at = axis < 0 ? axis + a->ndim : axis, perm[MX_MAX_NDIM], np = 0;
  if (mask->dtype != MX_BOOL)
    return mx_scope_fail(s, MX_EVALUE, "[masked_select] The mask must be bool, not %s.", mx_dtype_name(mask->dtype));
  if (at < 0 || (at >= a->ndim && at > 0))
    return mx_scope_fail(s, MX_EAXIS, "[masked_select] Axis %d is out of bounds for array with %d dimensions.", axis, a->ndim);
  bool fits = at + k <= a->ndim;
  for (int d = 0; fits && d < k; d++) fits = mask->shape[d] == a->shape[at + d];
  if (!fits)
    return mx_scope_fail(s, MX_EINDEX, "[masked_select] The boolean index %s does not match an array of shape %s at axis %d.",
                         mx_shape_of(mask), mx_shape_of(a), at);
  if (fill && fill->ndim)
    return mx_scope_fail(s, MX_EVALUE, "[masked_select] The fill value must be a scalar, got shape %s.", mx_shape_of(fill));
  mask = truth(s, mask);
  int64_t n;
  if (!count(s, "masked_select", mask, size, &n)) return NULL;
  for (int d = 0; d < k; d++) perm[np++] = at + d;
  for (int d = 0; d < a->ndim; d++)
    if (d < at || d >= at + k) perm[np++] = d;
  mx_array *x = at ? mx_permute(s, a, perm) : a;
  mx_array *r = mx_node2(s, OP_compress, x, mask, 2, (int64_t[]){0, n});
  if (size && fill) r = filled(s, r, 0, sum_trues(s, mask), fill);
  return at ? mx_moveaxis(s, r, 0, at) : r;
}

mx_array *mx_masked_scatter(mx_scope *s, mx_array *a, mx_array *mask, mx_array *src) {
  if (!a || !mask || !src) return NULL;
  if (mask->dtype != MX_BOOL)
    return mx_scope_fail(s, MX_EVALUE, "[masked_scatter] The mask must be bool, not %s.", mx_dtype_name(mask->dtype));
  bool fits = mask->ndim <= a->ndim;
  for (int i = 0; fits && i < mask->ndim; i++) fits = mask->shape[i] == a->shape[i];
  if (!fits)
    return mx_scope_fail(s, MX_EVALUE, "[masked_scatter] The mask %s does not fit the leading dimensions of %s.",
                         mx_shape_of(mask), mx_shape_of(a));
  /* what is left over of the source after whole rows does not count */
  int rest = a->ndim - mask->ndim, shape[MX_MAX_NDIM + 1];
  int64_t row = 1;
  for (int d = 0; d < rest; d++) row *= shape[1 + d] = a->shape[mask->ndim + d];
  if (a->size == 0) return a;
  if (!(src = mx_astype(s, src, a->dtype))) return NULL;
  bool whole = src->ndim == rest + 1;
  for (int d = 1; whole && d <= rest; d++) whole = src->shape[d] == shape[d];
  if (!whole) {
    mx_shape_used = true;
    shape[0] = (int)(src->size / row < INT32_MAX ? src->size / row : INT32_MAX);
    if (!(src = mx_flatten(s, src, 0, -1))) return NULL;
    if (src->size != shape[0] * row) src = mx_slice_axis(s, src, 0, 0, shape[0] * row);
    src = mx_reshape(s, src, shape, (size_t)rest + 1);
  }
  return src ? mx_node(s, OP_masked_scatter, 3, (mx_array *[]){a, truth(s, mask), src}, 2, (int64_t[]){0, 1}) : NULL;
}

/* ---- distinct elements ---- */

static int unique_of_nothing(mx_scope *s, mx_array *r[4], mx_array *flat, mx_array *a, int size, mx_array *fill) {
  if (size && !fill) mx_scope_fail(s, MX_EVALUE, "[unique] A fill value is required for an empty input with a non-zero size.");
  r[0] = size && fill ? mx_full(s, &size, 1, fill, flat->dtype) : flat;
  r[1] = mx_zeros(s, &size, 1, MX_U32);
  r[2] = mx_zeros(s, a->shape, a->ndim, MX_U32);
  r[3] = mx_zeros(s, &size, 1, MX_I32);
  return s->rc;
}

/* size: how many; padded: whether there may be fewer. Equal elements stand side by side in `sorted`, `first` marks the first ones. */
static int unique_of(mx_scope *s, mx_array *r[4], mx_array *flat, mx_array *a, mx_array *sorted, mx_array *first, int64_t size,
                     bool padded, mx_array *fill) {
  int n = flat->shape[0];
  mx_array *order = mx_argsort_axis(s, flat, 0), *total = padded ? sum_trues(s, first) : NULL;
  r[0] = mx_node2(s, OP_compress, sorted, first, 2, (int64_t[]){0, size});
  r[1] = mx_node2(s, OP_compress, order, first, 2, (int64_t[]){0, size});
  if (padded && size) {
    fill = fill ? mx_reshape(s, fill, NULL, 0) : mx_reshape(s, mx_slice_axis(s, sorted, 0, 0, 1), NULL, 0);
    r[0] = filled(s, r[0], 0, total, fill);
    r[1] = filled(s, r[1], 0, total, mx_reshape(s, mx_slice_axis(s, order, 0, 0, 1), NULL, 0));
  }
  mx_array *rank = mx_cumsum(s, mx_astype(s, first, MX_I32), 0, false, true);
  rank = mx_minimum(s, rank ? mx_subtract(s, rank, mx_int(s, MX_I32, 1)) : NULL, mx_int(s, MX_I32, size ? size - 1 : 0));
  r[2] = mx_reshape_like(s, mx_put_along_axis(s, mx_zeros(s, &n, 1, MX_U32), order, rank, 0), a);
  mx_array *start = mx_node1(s, OP_nonzero, first, 3, (int64_t[]){0, size + 1, n});
  start = mx_reshape(s, start, (int[]){(int)size + 1}, 1);
  r[3] = mx_subtract(s, mx_slice_axis(s, start, 0, 1, size + 1), mx_slice_axis(s, start, 0, 0, size));
  return s->rc;
}

int mx_unique(mx_scope *s, mx_list *out, mx_array *a, const int *size, mx_array *fill) {
  mx_array *flat = mx_flatten(s, a, 0, -1), *r[4] = {NULL};
  if (!flat) return s->rc;
  int n = flat->shape[0];
  int64_t k = 0;
  if (size && *size < 0) return mx_scope_fail(s, MX_EVALUE, "[unique] Received negative size %d.", *size), s->rc;
  if (size && *size == MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("unique", (int64_t)*size + 1)), s->rc; /* one more is needed inside */
  if (fill && fill->size != 1)
    return mx_scope_fail(s, MX_EVALUE, "[unique] The fill value must be a scalar, got shape %s.", mx_shape_of(fill)), s->rc;
  if (n == 0) {
    unique_of_nothing(s, r, flat, a, size ? *size : 0, fill);
  } else {
    mx_shape_used = true;
    mx_array *sorted = mx_sort_axis(s, flat, 0);
    mx_array *step = mx_not_equal(s, mx_slice_axis(s, sorted, 0, 1, n), mx_slice_axis(s, sorted, 0, 0, n - 1));
    mx_array *first = mx_concatenate_axis(s, 2, (mx_array *[]){mx_ones(s, (int[]){1}, 1, MX_BOOL), step}, 0);
    if (count(s, "unique", truth(s, first), size, &k)) unique_of(s, r, flat, a, sorted, truth(s, first), k, size != NULL, fill);
  }
  for (int i = 0; i < 4 && !s->rc; i++)
    if (r[i] && mx_list_push(out, r[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}

mx_array *mx_isin(mx_scope *s, mx_array *a, mx_array *test, bool invert) {
  if (!a || !test) return NULL;
  test = mx_flatten(s, test, 0, -1);
  if (!test) return NULL;
  int m = test->shape[0];
  if (m == 0) return invert ? mx_ones(s, a->shape, a->ndim, MX_BOOL) : mx_zeros(s, a->shape, a->ndim, MX_BOOL);
  mx_dtype t = mx_promote(a->dtype, test->dtype);
  a = mx_stop_gradient(s, mx_astype(s, a, t));
  test = mx_stop_gradient(s, mx_sort_axis(s, mx_astype(s, test, t), 0));
  mx_shape_used = true;
  mx_array *at = mx_minimum(s, mx_searchsorted(s, test, a, false), mx_int(s, MX_U32, m - 1));
  mx_array *there = mx_take_axis(s, test, at, 0);
  return there ? invert ? mx_not_equal(s, there, a) : mx_equal(s, there, a) : NULL;
}

/* ---- counts ---- */

/* The least number of bins that holds all values, evaluated. */
static bool bins_for(mx_scope *s, mx_array *x, int64_t minlength, int64_t *length) {
  *length = minlength;
  if (!values_known(s, "bincount", x)) return false;
  if (x->size == 0) return true;
  mx_array *most = mx_max(s, mx_stop_gradient(s, x), false);
  int rc = most ? mx_eval(1, &most) : s->rc;
  if (rc) return mx_scope_error(s, rc), false;
  int64_t v = mx_item_i64(most);
  if (v < 0 && x->dtype == MX_U64) v = INT64_MAX - 1;
  if (v >= MX_MAX_DIM) return mx_scope_fail(s, MX_EOVERFLOW, "[bincount] The value %lld needs more bins than a dimension has.", (long long)v), false;
  if (v + 1 > *length) *length = v + 1;
  if (*length == 0) *length = 1; /* all are negative: the kernel says so */
  return true;
}

mx_array *mx_bincount(mx_scope *s, mx_array *x, mx_array *weights, int minlength, const int *length) {
  if (!x) return NULL;
  if (x->ndim != 1) return mx_scope_fail(s, MX_EVALUE, "[bincount] Expected an array of one dimension, got shape %s.", mx_shape_of(x));
  if (!mx_is_integer(x->dtype) && x->dtype != MX_BOOL)
    return mx_scope_fail(s, MX_ETYPE, "[bincount] Expected an array of integers, got %s.", mx_dtype_name(x->dtype));
  if (minlength < 0 || (length && *length < 0))
    return mx_scope_fail(s, MX_EVALUE, "[bincount] The length must not be negative, got %d.", minlength < 0 ? minlength : *length);
  if (weights && mx_is_complex(weights->dtype))
    return mx_scope_fail(s, MX_ETYPE, "[bincount] Expected real weights, got %s.", mx_dtype_name(weights->dtype));
  if (weights && !mx_same_shape(weights, x))
    return mx_scope_fail(s, MX_EVALUE, "[bincount] Expected weights of shape %s, got %s.", mx_shape_of(x), mx_shape_of(weights));
  int64_t n = length ? *length : 0;
  if (!length && !bins_for(s, x, minlength, &n)) return NULL;
  mx_array *in[2] = {x, weights ? mx_to_float(s, weights) : NULL};
  return mx_node(s, OP_bincount, weights ? 2 : 1, in, 1, &n);
}

/* ---- repetitions ---- */

mx_array *mx_repeat_each(mx_scope *s, mx_array *a, mx_array *repeats, int axis) {
  if (!a || !repeats) return NULL;
  int ax, rc = mx_norm_axis("repeat", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  if (!mx_is_integer(repeats->dtype) || repeats->ndim > 1)
    return mx_scope_fail(s, MX_EVALUE, "[repeat] The repeats must be integers of at most 1 dimension, got shape %s of %s.",
                         mx_shape_of(repeats), mx_dtype_name(repeats->dtype));
  int dim = a->shape[ax];
  if (repeats->size != 1 && repeats->size != dim)
    return mx_scope_fail(s, MX_EVALUE, "[repeat] %lld repeats do not fit axis %d of size %d.", (long long)repeats->size, ax, dim);
  if (!values_known(s, "repeat", repeats)) return NULL;
  if (dim == 0) return a;
  repeats = mx_broadcast_to(s, mx_astype(s, mx_stop_gradient(s, repeats), MX_I64), &dim, 1);
  mx_array *ends = mx_cumsum(s, repeats, 0, false, true), *two[] = {ends ? mx_slice_axis(s, ends, 0, dim - 1, dim) : NULL,
                                                                   repeats ? mx_min(s, repeats, false) : NULL};
  rc = two[0] && two[1] ? mx_eval(2, two) : s->rc;
  if (rc) return mx_scope_error(s, rc);
  int64_t total = mx_item_i64(two[0]), least = mx_item_i64(two[1]);
  if (least < 0) return mx_scope_fail(s, MX_EVALUE, "[repeat] Number of repeats cannot be negative: %lld.", (long long)least);
  if (total > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("repeat", total));
  return mx_take_axis(s, a, mx_searchsorted(s, ends, mx_arange(s, 0, (double)total, 1, MX_I64), true), ax);
}
