/* Variance, median, softmax, logsumexp, comparisons of whole arrays. */
#include <math.h>

#include "graph/build.h"
#include "graph/relative.h"

static size_t all_axes(const mx_array *a, int *axes) {
  for (int i = 0; i < a->ndim; i++) axes[i] = i;
  return a->ndim;
}

mx_array *mx_var_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof) {
  if (!a) return NULL;
  double count = 1;
  for (size_t i = 0; i < n; i++) {
    int ax, rc = mx_norm_axis("var", axes[i], a->ndim, &ax);
    if (rc) return mx_scope_error(s, rc);
    count *= a->shape[ax];
  }
  mx_shape_used = true;
  a = mx_to_float(s, a);
  mx_array *d = a ? mx_subtract(s, a, mx_mean_axes(s, a, axes, n, true)) : NULL;
  if (!d) return NULL;
  d = mx_square(s, mx_is_complex(d->dtype) ? mx_abs(s, d) : d);
  return mx_mul_k(s, mx_sum_axes(s, d, axes, n, keepdims), 1 / fmax(count - ddof, 0));
}

mx_array *mx_std_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof) {
  mx_array *v = mx_var_axes(s, a, axes, n, keepdims, ddof);
  return v ? mx_sqrt(s, v) : NULL;
}

#define MOMENT(name)                                                                        \
  mx_array *mx_##name##_axis(mx_scope *s, mx_array *a, int axis, bool keepdims, int ddof) { \
    return mx_##name##_axes(s, a, &axis, 1, keepdims, ddof);                                \
  }                                                                                         \
  mx_array *mx_##name(mx_scope *s, mx_array *a, bool keepdims, int ddof) {                  \
    int axes[MX_MAX_NDIM];                                                                  \
    return a ? mx_##name##_axes(s, a, axes, all_axes(a, axes), keepdims, ddof) : NULL;      \
  }
MOMENT(var)
MOMENT(std)

mx_array *mx_joined_last(mx_scope *s, mx_array *a, const int *ax, size_t n) {
  if (!a) return NULL;
  int perm[MX_MAX_NDIM], shape[MX_MAX_NDIM], k = 0;
  int64_t run = 1;
  uint32_t mask = 0;
  for (size_t i = 0; i < n; i++) mask |= 1u << ax[i];
  for (int i = 0; i < a->ndim; i++)
    if (!(mask >> i & 1)) perm[k++] = i;
  int kept = k;
  for (int i = 0; i < a->ndim; i++)
    if (mask >> i & 1) {
      perm[k++] = i;
      run *= a->shape[i];
    }
  if (run > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, "The axes to reduce of %s are too large together.", mx_shape_of(a));
  if (MX_FOR_ANY_SHAPE(a) && n) return mx_flatten(s, mx_permute(s, a, perm), kept, -1);
  for (int i = 0; i < kept; i++) shape[i] = a->shape[perm[i]];
  shape[kept] = (int)run;
  return mx_reshape(s, mx_permute(s, a, perm), shape, kept + 1);
}

/* r, reduced from a over ax, with these axes back as 1s, or away. */
static mx_array *reduced_shape(mx_scope *s, mx_array *r, const mx_array *a, const int *ax, size_t n, bool keepdims) {
  if (!r || !a) return NULL;
  if (MX_FOR_ANY_SHAPE(a)) {
    r = mx_squeeze_axis(s, r, -1);
    return keepdims ? mx_expand_dims_axes(s, r, ax, n) : r;
  }
  int shape[MX_MAX_NDIM], k = 0;
  uint32_t mask = 0;
  for (size_t i = 0; i < n; i++) mask |= 1u << ax[i];
  for (int i = 0; i < a->ndim; i++) {
    if (!(mask >> i & 1))
      shape[k++] = a->shape[i];
    else if (keepdims)
      shape[k++] = 1;
  }
  return mx_reshape(s, r, shape, k);
}

static int checked_axes(const char *tag, const mx_array *a, const int *axes, size_t n, int *ax) {
  return n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[%s] Too many axes: %zu.", tag, n) : mx_sorted_axes(tag, axes, n, a->ndim, ax);
}

mx_array *mx_median(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM];
  if (!mx_axes_or_all(s, "median", a, axes, n, ax, &n)) return NULL;
  mx_array *x = mx_joined_last(s, mx_to_float(s, a), ax, n);
  if (!x) return NULL;
  int last = x->ndim - 1, dim = x->shape[last];
  if (dim == 0) return mx_scope_fail(s, MX_EVALUE, "[median] Cannot compute the median of an empty array.");
  mx_array *sorted = mx_sort_axis(s, x, last), *m = mx_slice_axis(s, sorted, last, dim / 2, dim / 2 + 1);
  if (dim % 2 == 0) m = mx_mul_k(s, mx_add(s, mx_slice_axis(s, sorted, last, dim / 2 - 1, dim / 2), m), 0.5);
  /* NaN sorts last: with one the median is NaN */
  mx_array *top = mx_slice_axis(s, sorted, last, dim - 1, dim);
  if (m && top) m = mx_where(s, mx_isnan(s, top), top, m);
  return reduced_shape(s, m, a, ax, n, keepdims);
}

mx_array *mx_logsumexp_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], rc = checked_axes("logsumexp", a, axes, n, ax);
  if (rc) return mx_scope_error(s, rc);
  a = mx_to_float(s, a);
  if (n == 0) return a;
  mx_array *x = mx_joined_last(s, a, ax, n);
  if (x && x->shape[x->ndim - 1] == 0) return mx_scope_fail(s, MX_EVALUE, "[logsumexp] Received empty array.");
  return reduced_shape(s, mx_node1(s, OP_logsumexp, x, 0, NULL), a, ax, n, keepdims);
}
mx_array *mx_logsumexp_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) {
  return mx_logsumexp_axes(s, a, &axis, 1, keepdims);
}
mx_array *mx_logsumexp(mx_scope *s, mx_array *a, bool keepdims) {
  int axes[MX_MAX_NDIM];
  return a ? mx_logsumexp_axes(s, a, axes, all_axes(a, axes), keepdims) : NULL;
}

mx_array *mx_softmax_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool precise) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], rc = checked_axes("softmax", a, axes, n, ax);
  if (rc) return mx_scope_error(s, rc);
  a = mx_to_float(s, a);
  if (!a || n == 0) return mx_ones_like(s, a);
  int64_t p = precise;
  if (n == 1 && ax[0] == a->ndim - 1) return mx_node1(s, OP_softmax, a, 1, &p);
  if (n == 1) return mx_moveaxis(s, mx_node1(s, OP_softmax, mx_moveaxis(s, a, ax[0], -1), 1, &p), -1, ax[0]);
  mx_array *x = mx_node1(s, OP_softmax, mx_joined_last(s, a, ax, n), 1, &p);
  if (!x) return NULL;
  /* (kept..., joined) -> (kept..., each axis) -> a's order */
  int shape[MX_MAX_NDIM], perm[MX_MAX_NDIM], k = 0, j = a->ndim - (int)n;
  for (int i = 0; i < a->ndim; i++) {
    bool reduced = false;
    for (size_t m = 0; m < n; m++) reduced = reduced || ax[m] == i;
    perm[i] = reduced ? j++ : k++;
    shape[perm[i]] = a->shape[i];
  }
  return mx_permute(s, mx_reshape(s, x, shape, a->ndim), perm);
}
mx_array *mx_softmax_axis(mx_scope *s, mx_array *a, int axis, bool precise) { return mx_softmax_axes(s, a, &axis, 1, precise); }
mx_array *mx_softmax(mx_scope *s, mx_array *a, bool precise) {
  int axes[MX_MAX_NDIM];
  return a ? mx_softmax_axes(s, a, axes, all_axes(a, axes), precise) : NULL;
}

mx_array *mx_isclose(mx_scope *s, mx_array *a, mx_array *b, double rtol, double atol, bool equal_nan) {
  if (!a || !b) return NULL;
  mx_dtype t = mx_promote(a->dtype, b->dtype);
  if (t == MX_BOOL) t = MX_I32;
  a = mx_astype(s, a, t);
  b = mx_astype(s, b, t);
  mx_array *gap = mx_abs(s, mx_subtract(s, a, b)), *size = mx_abs(s, b);
  if (!gap || !size) return NULL;
  mx_dtype f = mx_at_least_float(size->dtype);
  mx_array *room = mx_add(s, mx_scalar(s, f, atol), mx_multiply(s, mx_scalar(s, f, rtol), size));
  mx_array *close = mx_less_equal(s, gap, room);
  if (!mx_is_inexact(t)) return close;
  mx_array *inf = mx_logical_or(s, mx_isinf(s, a), mx_isinf(s, b));
  close = mx_where(s, inf, mx_equal(s, a, b), close);
  return equal_nan ? mx_logical_or(s, close, mx_logical_and(s, mx_isnan(s, a), mx_isnan(s, b))) : close;
}

mx_array *mx_allclose(mx_scope *s, mx_array *a, mx_array *b, double rtol, double atol, bool equal_nan) {
  return mx_all(s, mx_isclose(s, a, b, rtol, atol, equal_nan), false);
}

mx_array *mx_array_equal(mx_scope *s, mx_array *a, mx_array *b, bool equal_nan) {
  if (!a || !b) return NULL;
  mx_shape_used |= MX_FOR_ANY_SHAPE(a) || MX_FOR_ANY_SHAPE(b);
  if (!mx_same_shape(a, b)) return mx_int(s, MX_BOOL, 0);
  mx_array *same = mx_equal(s, a, b);
  if (equal_nan && mx_is_inexact(mx_promote(a->dtype, b->dtype)))
    same = mx_logical_or(s, same, mx_logical_and(s, mx_isnan(s, a), mx_isnan(s, b)));
  return mx_all(s, same, false);
}
