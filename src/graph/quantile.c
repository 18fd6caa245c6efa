/* Quantiles: sort, find the place q * (n - 1), mix the neighbours. Places are computed in f64, for f32 cannot tell those of long
 * axes apart. */
#include <math.h>

#include "graph/build.h"

enum method { LINEAR, MIDPOINT, LOWER, HIGHER, NEAREST, METHODS };
static const char *const names[METHODS] = {"linear", "midpoint", "lower", "higher", "nearest"};

static int method_of(const char *tag, const char *name, enum method *m) {
  for (*m = 0; *m < METHODS; (*m)++)
    if (!strcmp(name, names[*m])) return 0;
  return mx_fail(MX_EVALUE, "[%s] The method '%s' is none of linear, lower, higher, midpoint and nearest.", tag, name);
}

/* Numbers that are known must lie in [0, top]; others give NaN if they do not. */
static int check_range(const char *tag, const mx_array *q, double top) {
  if (mx_is_complex(q->dtype)) return mx_fail(MX_EVALUE, "[%s] q must be real, not %s.", tag, mx_dtype_name(q->dtype));
  if (!mx_is_available(q) || (q->flags & (MX_TRACER | MX_PLACEHOLDER))) return 0;
  bool doubles = q->dtype == MX_F64 && mx_is_row_contiguous(q);
  for (int64_t i = 0; i < (doubles ? q->size : q->size == 1); i++) {
    double v = doubles ? ((const double *)q->data)[i] : mx_item_f64(q);
    if (v < 0 || v > top) return mx_fail(MX_EVALUE, "[%s] q must lie in [0, %g], got %g.", tag, top, v);
  }
  return 0;
}

/* The elements of x (..., n) at the places `at` (Q,) or (..., Q), whole numbers in f64. */
static mx_array *pick(mx_scope *s, mx_array *x, mx_array *at) {
  if (!x || !at) return NULL;
  at = mx_astype(s, mx_stop_gradient(s, at), MX_I32);
  return at && at->ndim == 1 ? mx_take_axis(s, x, at, -1) : mx_take_along_axis(s, x, at, -1);
}

/* Between the neighbours of `at`; exact where they are equal or infinite alike. */
static mx_array *mixed(mx_scope *s, mx_array *x, mx_array *at, enum method m) {
  mx_array *low = mx_floor(s, at), *a = pick(s, x, low), *b = pick(s, x, mx_ceil(s, at));
  if (!a || !b) return NULL;
  mx_array *t = mx_subtract(s, at, low), *zero = mx_const_like(s, a, 0), *half = mx_const_like(s, a, 0.5);
  if (!t) return NULL;
  if (m == MIDPOINT) t = mx_where(s, mx_greater(s, t, mx_const_like(s, t, 0)), half, zero);
  t = mx_astype(s, t, x->dtype);
  if (!t) return NULL;
  mx_array *same = mx_equal(s, a, b), *d = mx_where(s, same, zero, mx_subtract(s, b, a));
  mx_array *up = mx_add(s, a, mx_multiply(s, d, t));
  mx_array *down = mx_subtract(s, b, mx_multiply(s, d, mx_subtract(s, mx_const_like(s, t, 1), t)));
  return mx_where(s, mx_less(s, t, half), up, down);
}

static mx_array *at_places(mx_scope *s, mx_array *x, mx_array *at, enum method m) {
  switch (m) {
  case LOWER: return pick(s, x, mx_floor(s, at));
  case HIGHER: return pick(s, x, mx_ceil(s, at));
  case NEAREST: return pick(s, x, mx_rint(s, at));
  default: return mixed(s, x, at, m);
  }
}

/* (..., Q) -> the shape of q, then that of a with the axes ax[k] gone or 1. */
static mx_array *shaped(mx_scope *s, mx_array *r, const mx_array *a, const mx_array *q, const int *ax, size_t k, bool keepdims) {
  int shape[MX_MAX_NDIM], n = 0;
  uint32_t mask = 0;
  if (q->ndim + a->ndim > MX_MAX_NDIM)
    return mx_scope_fail(s, MX_EVALUE, "[quantile] q of shape %s and a of shape %s give more than %d dimensions.", mx_shape_of(q),
                         mx_shape_of(a), MX_MAX_NDIM);
  for (size_t i = 0; i < k; i++) mask |= 1u << ax[i];
  for (int i = 0; i < q->ndim; i++) shape[n++] = q->shape[i];
  for (int i = 0; i < a->ndim; i++)
    if (!(mask >> i & 1)) shape[n++] = a->shape[i];
    else if (keepdims) shape[n++] = 1;
  return mx_reshape(s, mx_moveaxis(s, r, -1, 0), shape, n);
}

typedef struct asked {
  const char *tag, *method;
  double top; /* what stands for the largest: 1 or 100 */
  bool skip_nan;
} asked;

static mx_array *quantile(mx_scope *s, mx_array *a, mx_array *q, const int *axes, size_t n, bool keepdims, asked w) {
  int ax[MX_MAX_NDIM], rc;
  size_t k;
  enum method m;
  if (!q || !mx_axes_or_all(s, w.tag, a, axes, n, ax, &k)) return NULL;
  if ((rc = method_of(w.tag, w.method, &m)) || (rc = check_range(w.tag, q, w.top))) return mx_scope_error(s, rc);
  if (mx_is_complex(a->dtype)) return mx_scope_fail(s, MX_EVALUE, "[%s] Complex numbers have no quantiles.", w.tag);
  bool mixes = m == LINEAR || m == MIDPOINT, nans = mx_is_inexact(a->dtype);
  mx_array *x = mx_joined_last(s, mixes ? mx_wide(s, a) : a, ax, k);
  if (!x) return NULL;
  int last = x->ndim - 1, dim = x->shape[last];
  if (dim == 0) return mx_scope_fail(s, MX_EVALUE, "[%s] Cannot compute quantiles of an empty array.", w.tag);
  mx_shape_used = true;
  mx_array *sorted = mx_sort_axis(s, x, last);
  mx_array *flat = mx_astype(s, mx_flatten(s, q, 0, -1), MX_F64);
  if (w.top != 1 && flat) flat = mx_divide(s, flat, mx_const_like(s, flat, w.top));
  if (!sorted || !flat) return NULL;
  mx_array *zero = mx_const_like(s, flat, 0), *one = mx_const_like(s, flat, 1);
  mx_array *ok = mx_logical_and(s, mx_greater_equal(s, flat, zero), mx_less_equal(s, flat, one));
  mx_array *steps = mx_scalar(s, MX_F64, dim - 1);
  if (w.skip_nan && nans) {
    mx_array *count = mx_sum_axis(s, mx_astype(s, mx_logical_not(s, mx_isnan(s, x)), MX_F64), last, true);
    steps = mx_maximum(s, mx_subtract(s, count, one), zero);
  }
  mx_array *r = at_places(s, sorted, mx_multiply(s, mx_where(s, ok, flat, zero), steps), m);
  if (r && nans && !w.skip_nan) { /* NaN sorts last */
    mx_array *top = mx_slice_axis(s, sorted, last, dim - 1, dim);
    r = mx_where(s, mx_isnan(s, top), top, r);
  }
  if (r && mx_is_inexact(r->dtype)) r = mx_where(s, ok, r, mx_const_like(s, r, NAN));
  if (mixes) r = mx_astype(s, r, mx_at_least_float(a->dtype));
  return shaped(s, r, a, q, ax, k, keepdims);
}

mx_array *mx_quantile(mx_scope *s, mx_array *a, mx_array *q, const int *axes, size_t n, const char *method, bool keepdims) {
  return quantile(s, a, q, axes, n, keepdims, (asked){"quantile", method, 1, false});
}
mx_array *mx_percentile(mx_scope *s, mx_array *a, mx_array *q, const int *axes, size_t n, const char *method, bool keepdims) {
  return quantile(s, a, q, axes, n, keepdims, (asked){"percentile", method, 100, false});
}
mx_array *mx_nanquantile(mx_scope *s, mx_array *a, mx_array *q, const int *axes, size_t n, const char *method, bool keepdims) {
  return quantile(s, a, q, axes, n, keepdims, (asked){"nanquantile", method, 1, true});
}
mx_array *mx_nanpercentile(mx_scope *s, mx_array *a, mx_array *q, const int *axes, size_t n, const char *method, bool keepdims) {
  return quantile(s, a, q, axes, n, keepdims, (asked){"nanpercentile", method, 100, true});
}
mx_array *mx_nanmedian(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  return quantile(s, a, mx_scalar(s, MX_F64, 0.5), axes, n, keepdims, (asked){"nanmedian", "linear", 1, true});
}
