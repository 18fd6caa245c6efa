/* Reductions and scans that pass over NaN. */
#include <math.h>

#include "graph/build.h"

/* a with v where it is NaN. */
static mx_array *patched(mx_scope *s, mx_array *a, double v) {
  if (!a || !mx_is_inexact(a->dtype)) return a;
  return mx_where(s, mx_isnan(s, a), mx_const_like(s, a, v), a);
}

#define AXES(tag)                   \
  int ax[MX_MAX_NDIM];              \
  size_t k;                         \
  if (!mx_axes_or_all(s, tag, a, axes, n, ax, &k)) return NULL

mx_array *mx_nansum(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  AXES("nansum");
  return mx_sum_axes(s, patched(s, a, 0), ax, k, keepdims);
}

mx_array *mx_nanprod(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  AXES("nanprod");
  return mx_prod_axes(s, patched(s, a, 1), ax, k, keepdims);
}

/* r, the extreme of what is left, or NaN where nothing is. */
static mx_array *or_nan(mx_scope *s, mx_array *r, mx_array *a, const int *ax, size_t k, bool keepdims) {
  if (!r || !mx_is_inexact(a->dtype)) return r;
  return mx_where(s, mx_all_axes(s, mx_isnan(s, a), ax, k, keepdims), mx_const_like(s, r, NAN), r);
}

mx_array *mx_nanmax(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  AXES("nanmax");
  return or_nan(s, mx_max_axes(s, patched(s, a, -INFINITY), ax, k, keepdims), a, ax, k, keepdims);
}

mx_array *mx_nanmin(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  AXES("nanmin");
  return or_nan(s, mx_min_axes(s, patched(s, a, INFINITY), ax, k, keepdims), a, ax, k, keepdims);
}

/* How many are no NaN, in x's dtype (real). */
static mx_array *counts(mx_scope *s, mx_array *x, const int *ax, size_t k) {
  mx_dtype t = mx_is_complex(x->dtype) ? MX_F32 : x->dtype;
  return mx_sum_axes(s, mx_astype(s, mx_logical_not(s, mx_isnan(s, x)), t), ax, k, true);
}

/* The axes ax[k], of size 1, taken away. */
static mx_array *finished(mx_scope *s, mx_array *r, mx_dtype t, const int *ax, size_t k, bool keepdims) {
  r = mx_astype(s, r, t);
  return keepdims ? r : mx_squeeze_axes(s, r, ax, k);
}

mx_array *mx_nanmean(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  AXES("nanmean");
  mx_array *x = mx_wide(s, a);
  if (!x) return NULL;
  mx_array *r = mx_divide(s, mx_sum_axes(s, patched(s, x, 0), ax, k, true), counts(s, x, ax, k));
  return finished(s, r, mx_at_least_float(a->dtype), ax, k, keepdims);
}

/* In the dtype of mx_wide, the axes kept. */
static mx_array *variance(mx_scope *s, mx_array *a, const int *ax, size_t k, int ddof) {
  mx_array *x = mx_wide(s, a);
  if (!x) return NULL;
  mx_array *nan = mx_isnan(s, x), *count = counts(s, x, ax, k);
  mx_array *mean = mx_divide(s, mx_sum_axes(s, patched(s, x, 0), ax, k, true), count);
  mx_array *d = mx_where(s, nan, mx_const_like(s, x, 0), mx_subtract(s, x, mean));
  if (!d) return NULL;
  d = mx_square(s, mx_is_complex(d->dtype) ? mx_abs(s, d) : d);
  mx_array *left = mx_add_k(s, count, -(double)ddof);
  if (!d || !left) return NULL;
  mx_array *enough = mx_greater(s, left, mx_const_like(s, left, 0));
  return mx_divide(s, mx_sum_axes(s, d, ax, k, true), mx_where(s, enough, left, mx_const_like(s, left, NAN)));
}

static mx_dtype real_float(mx_dtype t) { return mx_is_complex(t) ? MX_F32 : mx_at_least_float(t); }

mx_array *mx_nanvar(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof) {
  AXES("nanvar");
  return finished(s, variance(s, a, ax, k, ddof), real_float(a->dtype), ax, k, keepdims);
}

mx_array *mx_nanstd(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof) {
  AXES("nanstd");
  mx_array *v = variance(s, a, ax, k, ddof);
  return v ? finished(s, mx_sqrt(s, v), real_float(a->dtype), ax, k, keepdims) : NULL;
}

/* Not the place of a NaN that stands for the extreme: where an element that is no NaN equals it. */
static mx_array *hits(mx_scope *s, mx_array *a, int axis, bool largest) {
  mx_array *x = patched(s, a, largest ? -INFINITY : INFINITY);
  mx_array *m = largest ? mx_max_axis(s, x, axis, true) : mx_min_axis(s, x, axis, true);
  return m ? mx_logical_and(s, mx_equal(s, x, m), mx_logical_not(s, mx_isnan(s, a))) : NULL;
}

mx_array *mx_nanargmax_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) {
  if (!a) return NULL;
  bool whole = !mx_is_inexact(a->dtype);
  return mx_argmax_axis(s, whole ? a : hits(s, a, axis, true), axis, keepdims);
}
mx_array *mx_nanargmin_axis(mx_scope *s, mx_array *a, int axis, bool keepdims) {
  if (!a) return NULL;
  bool whole = !mx_is_inexact(a->dtype);
  return whole ? mx_argmin_axis(s, a, axis, keepdims) : mx_argmax_axis(s, hits(s, a, axis, false), axis, keepdims);
}

/* r, of the flattened a, in as many dimensions as a has when they are kept. */
static mx_array *of_all(mx_scope *s, mx_array *r, const mx_array *a, bool keepdims) {
  int ones[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) ones[i] = 1;
  return mx_reshape(s, r, ones, keepdims ? a->ndim : 0);
}
mx_array *mx_nanargmax(mx_scope *s, mx_array *a, bool keepdims) {
  return a ? of_all(s, mx_nanargmax_axis(s, mx_flatten(s, a, 0, -1), 0, false), a, keepdims) : NULL;
}
mx_array *mx_nanargmin(mx_scope *s, mx_array *a, bool keepdims) {
  return a ? of_all(s, mx_nanargmin_axis(s, mx_flatten(s, a, 0, -1), 0, false), a, keepdims) : NULL;
}

mx_array *mx_nancumsum(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive) {
  return mx_cumsum(s, patched(s, a, 0), axis, reverse, inclusive);
}
mx_array *mx_nancumprod(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive) {
  return mx_cumprod(s, patched(s, a, 1), axis, reverse, inclusive);
}
