/* Weighted means and covariances. */
#include <complex.h>
#include <math.h>

#include "core/half.h"
#include "graph/build.h"

/* weights in a's shape: they have it, or that of the axes as named. */
static mx_array *spread(mx_scope *s, mx_array *w, const mx_array *a, const int *axes, size_t n) {
  int shape[MX_MAX_NDIM], perm[MX_MAX_NDIM], k = 0;
  if (mx_same_shape(w, a)) return w;
  bool fits = n > 0 && n <= (size_t)a->ndim && w->ndim == n;
  for (size_t i = 0; fits && i < n; i++) fits = w->shape[i] == a->shape[axes[i] < 0 ? axes[i] + a->ndim : axes[i]];
  if (!fits)
    return mx_scope_fail(s, MX_EVALUE, "[average] The weights of shape %s have neither the shape %s of the array nor that of the axes.",
                         mx_shape_of(w), mx_shape_of(a));
  for (int d = 0; d < a->ndim; d++) shape[d] = 1;
  for (int d = 0; d < a->ndim; d++)
    for (size_t i = 0; i < n; i++)
      if ((axes[i] < 0 ? axes[i] + a->ndim : axes[i]) == d) perm[k++] = (int)i, shape[d] = a->shape[d];
  return mx_broadcast_to(s, mx_reshape(s, mx_permute(s, w, perm), shape, a->ndim), a->shape, a->ndim);
}

int mx_average(mx_scope *s, mx_array *res[2], mx_array *a, mx_array *weights, const int *axes, size_t n, bool keepdims) {
  int ax[MX_MAX_NDIM];
  size_t k;
  if (!mx_axes_or_all(s, "average", a, axes, n, ax, &k)) return s->rc;
  mx_dtype t = mx_at_least_float(weights ? mx_promote(a->dtype, weights->dtype) : a->dtype);
  mx_array *x = mx_wide(s, mx_astype(s, a, t));
  if (!x) return s->rc;
  if (!weights) {
    double count = 1;
    for (size_t i = 0; i < k; i++) count *= a->shape[ax[i]];
    mx_shape_used = true;
    res[0] = mx_astype(s, mx_mean_axes(s, x, ax, k, keepdims), t);
    if (res[0]) res[1] = mx_broadcast_to(s, mx_scalar(s, t, count), res[0]->shape, res[0]->ndim);
    return s->rc;
  }
  mx_array *w = spread(s, mx_astype(s, weights, x->dtype), a, axes, n);
  mx_array *total = w ? mx_sum_axes(s, w, ax, k, keepdims) : NULL;
  if (!total) return s->rc;
  res[0] = mx_astype(s, mx_divide(s, mx_sum_axes(s, mx_multiply(s, x, w), ax, k, keepdims), total), t);
  res[1] = mx_astype(s, total, t);
  return s->rc;
}

mx_array *mx_ptp(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  int ax[MX_MAX_NDIM];
  size_t k;
  if (!mx_axes_or_all(s, "ptp", a, axes, n, ax, &k)) return NULL;
  mx_array *high = mx_max_axes(s, a, ax, k, keepdims);
  return high ? mx_subtract(s, high, mx_min_axes(s, a, ax, k, keepdims)) : NULL;
}

/* ---- covariance ---- */

/* One variable a row. */
static mx_array *variables(mx_scope *s, const char *tag, mx_array *a, bool rowvar, mx_dtype t) {
  if (!a) return NULL;
  if (a->ndim > 2)
    return mx_scope_fail(s, MX_EVALUE, "[%s] The observations have at most two dimensions, not shape %s.", tag, mx_shape_of(a));
  mx_array *x = mx_astype(s, a, t);
  if (a->ndim == 2) return rowvar ? x : mx_transpose(s, x);
  return mx_reshape(s, x, (int[]){1, a->ndim ? a->shape[0] : 1}, 2);
}

static mx_array *weights_of(mx_scope *s, const char *name, mx_array *w, mx_dtype t, int count) {
  if (!w) return NULL;
  if (w->ndim != 1 || w->shape[0] != count)
    return mx_scope_fail(s, MX_EVALUE, "[cov] %s must have shape (%d), one for each observation, not %s.", name, count,
                         mx_shape_of(w));
  return mx_astype(s, w, mx_is_complex(t) ? MX_F32 : t);
}

/* What the sums of squares are divided by, and the weights of both kinds together (NULL: none). */
static mx_array *divisor(mx_scope *s, mx_dtype t, int count, int ddof, mx_array *f, mx_array *a, mx_array **w) {
  *w = f && a ? mx_multiply(s, f, a) : f ? f : a;
  mx_array *d;
  mx_shape_used = true;
  if (!*w) return mx_scalar(s, mx_is_complex(t) ? MX_F32 : t, fmax((double)count - ddof, 0));
  mx_array *sum = mx_sum(s, *w, false);
  if (!a || ddof == 0) d = mx_add_k(s, sum, -(double)ddof);
  else d = mx_subtract(s, sum, mx_divide(s, mx_mul_k(s, mx_sum(s, mx_multiply(s, *w, a), false), ddof), sum));
  return d ? mx_maximum(s, d, mx_const_like(s, d, 0)) : NULL;
}

/* The matrix, in the dtype of mx_wide. */
static mx_array *covariance(mx_scope *s, const char *tag, mx_array *m, mx_array *y, bool rowvar, int ddof, mx_array *fweights,
                            mx_array *aweights, mx_dtype *t) {
  if (!m) return NULL;
  *t = mx_at_least_float(y ? mx_promote(m->dtype, y->dtype) : m->dtype);
  mx_dtype wide = *t == MX_F16 || *t == MX_BF16 ? MX_F32 : *t;
  mx_array *x = variables(s, tag, m, rowvar, wide), *more = variables(s, tag, y, rowvar, wide);
  if (x && more) x = mx_concatenate_axis(s, 2, (mx_array *[]){x, more}, 0);
  if (!x) return NULL;
  int count = x->shape[1];
  mx_array *f = weights_of(s, "fweights", fweights, wide, count), *a = weights_of(s, "aweights", aweights, wide, count), *w;
  mx_array *by = divisor(s, wide, count, ddof, f, a, &w);
  if (s->rc) return NULL;
  mx_array *mean = !w ? mx_mean_axis(s, x, 1, true)
                      : mx_divide(s, mx_sum_axis(s, mx_multiply(s, x, w), 1, true), mx_sum(s, w, false));
  x = mx_subtract(s, x, mean);
  mx_array *right = x ? mx_transpose(s, mx_conjugate(s, w ? mx_multiply(s, x, w) : x)) : NULL;
  return right && by ? mx_divide(s, mx_matmul(s, x, right), by) : NULL;
}

mx_array *mx_cov(mx_scope *s, mx_array *m, mx_array *y, bool rowvar, int ddof, mx_array *fweights, mx_array *aweights) {
  mx_dtype t;
  mx_array *c = covariance(s, "cov", m, y, rowvar, ddof, fweights, aweights, &t);
  return c ? mx_squeeze(s, mx_astype(s, c, t)) : NULL;
}

static mx_array *within_one(mx_scope *s, mx_array *x) {
  return x ? mx_clip(s, x, mx_const_like(s, x, -1), mx_const_like(s, x, 1)) : NULL;
}

mx_array *mx_corrcoef(mx_scope *s, mx_array *m, mx_array *y, bool rowvar) {
  mx_dtype t;
  mx_array *c = covariance(s, "corrcoef", m, y, rowvar, 1, NULL, NULL, &t);
  if (!c) return NULL;
  mx_array *dev = mx_sqrt(s, mx_real(s, mx_diagonal(s, c, 0, 0, 1)));
  if (!dev) return NULL;
  c = mx_divide(s, mx_divide(s, c, mx_expand_dims(s, dev, 1)), dev);
  if (!c) return NULL;
  if (mx_is_complex(t)) { /* both parts */
    mx_c64 i = 1.0f * _Complex_I;
    mx_array *unit = mx_own(s, mx_array_scalar(MX_C64, &i));
    c = mx_add(s, within_one(s, mx_real(s, c)), mx_multiply(s, within_one(s, mx_imag(s, c)), unit));
  } else
    c = within_one(s, c);
  return mx_squeeze(s, mx_astype(s, c, t));
}
