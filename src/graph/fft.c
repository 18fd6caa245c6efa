/* Fourier transforms of real and complex arrays over any axes, from ops along one axis. */
#include <limits.h>
#include <math.h>

#include "graph/build.h"

enum { BACKWARD, ORTHO }; /* mlx_fft_norm; the third is forward */

typedef struct span {
  int n, axis;
} span;

/* a with `n` elements along the axis: cut, or padded with zeros. */
static mx_array *sized(mx_scope *s, mx_array *a, int axis, int n) {
  if (!a || a->shape[axis] == n) return a;
  if (a->shape[axis] > n) return mx_slice_axis(s, a, axis, 0, n);
  int none = 0, more = n - a->shape[axis];
  return mx_pad(s, a, &axis, 1, &none, 1, &more, 1, mx_scalar(s, a->dtype, 0), "constant");
}

static double scale_of(int norm, bool inverse, int n) {
  if (norm == ORTHO) return 1 / sqrt(n);
  return (norm == BACKWARD) == inverse ? 1.0 / n : 1;
}

static mx_array *along(mx_scope *s, mx_array *a, span at, bool inverse, int norm) {
  int64_t p[3] = {at.axis, inverse, mx_bits(scale_of(norm, inverse, at.n))};
  return mx_node1(s, OP_fft, mx_astype(s, sized(s, a, at.axis, at.n), MX_C64), 3, p);
}

static mx_array *real_along(mx_scope *s, mx_array *a, span at, int norm) {
  if (a && a->dtype == MX_C64) a = mx_real(s, a);
  int64_t p[2] = {at.axis, mx_bits(scale_of(norm, false, at.n))};
  return mx_node1(s, OP_rfft, mx_astype(s, sized(s, a, at.axis, at.n), MX_F32), 2, p);
}

static mx_array *real_back(mx_scope *s, mx_array *a, span at, int norm) {
  int64_t p[3] = {at.axis, at.n, mx_bits(scale_of(norm, true, at.n))};
  return mx_node1(s, OP_irfft, mx_astype(s, sized(s, a, at.axis, at.n / 2 + 1), MX_C64), 3, p);
}

/* Checks the axes and sizes of one call; at[] gets them. A size of INT_MIN: what the axis has; `half`: the last axis holds half of the elements.
 * Without axes an array stays as it is. */
static int spans(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, bool half, span *at) {
  if (!a || s->rc) return mx_scope_error(s, mx_error_kind()), s->rc;
  if (n_num != axes_num)
    return mx_scope_fail(s, MX_EVALUE, "[fftn] The number of sizes, %zu, must be that of axes, %zu.", n_num, axes_num), s->rc;
  if (a->ndim == 0 && n_num == 0)
    return mx_scope_fail(s, MX_EVALUE, "[fftn] Requires an array with at least one dimension, got a scalar."), s->rc;
  if (n_num > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[fftn] Too many axes: %zu.", n_num), s->rc;
  for (size_t i = 0; i < n_num; i++) {
    int rc = mx_norm_axis("fftn", axes[i], a->ndim, &at[i].axis);
    if (rc) return mx_scope_error(s, rc), rc;
    for (size_t k = 0; k < i; k++)
      if (at[k].axis == at[i].axis) return mx_scope_fail(s, MX_EVALUE, "[fftn] Received duplicate axis %d.", axes[i]), s->rc;
    int64_t size = n[i] != INT_MIN ? n[i] : half && i + 1 == n_num ? 2 * ((int64_t)a->shape[at[i].axis] - 1) : a->shape[at[i].axis];
    at[i].n = (int)size;
    if (size > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("fftn", size)), s->rc;
    if (at[i].n <= 0)
      return mx_scope_fail(s, MX_EVALUE, "[fftn] Invalid size %d along axis %d: it must be positive.", at[i].n, axes[i]), s->rc;
  }
  return 0;
}

/* The last axis first: there the real transforms halve the work of the others. Their inverse ends with it. */
mx_array *mx_fft_fftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm) {
  span at[MX_MAX_NDIM];
  if (spans(s, a, n, n_num, axes, axes_num, false, at)) return NULL;
  for (size_t i = n_num; i-- > 0;) a = along(s, a, at[i], false, norm);
  return a;
}

mx_array *mx_fft_ifftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm) {
  span at[MX_MAX_NDIM];
  if (spans(s, a, n, n_num, axes, axes_num, false, at)) return NULL;
  for (size_t i = n_num; i-- > 0;) a = along(s, a, at[i], true, norm);
  return a;
}

mx_array *mx_fft_rfftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm) {
  span at[MX_MAX_NDIM];
  if (spans(s, a, n, n_num, axes, axes_num, false, at)) return NULL;
  if (n_num == 0) return a;
  a = real_along(s, a, at[n_num - 1], norm);
  for (size_t i = n_num - 1; i-- > 0;) a = along(s, a, at[i], false, norm);
  return a;
}

mx_array *mx_fft_irfftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm) {
  span at[MX_MAX_NDIM];
  if (spans(s, a, n, n_num, axes, axes_num, true, at)) return NULL;
  if (n_num == 0) return a;
  for (size_t i = 0; i + 1 < n_num; i++) a = along(s, a, at[i], true, norm);
  return real_back(s, a, at[n_num - 1], norm);
}

#define FORMS(name)                                                                                                    \
  mx_array *mx_fft_##name(mx_scope *s, mx_array *a, int n, int axis, int norm) {                                       \
    return mx_fft_##name##n(s, a, &n, 1, &axis, 1, norm);                                                              \
  }                                                                                                                    \
  mx_array *mx_fft_##name##2(mx_scope * s, mx_array * a, const int *n, size_t n_num, const int *axes, size_t axes_num, \
                             int norm) {                                                                               \
    return mx_fft_##name##n(s, a, n, n_num, axes, axes_num, norm);                                                     \
  }
FORMS(fft)
FORMS(ifft)
FORMS(rfft)
FORMS(irfft)

/* The sign of the exponent and the scale are those of the other direction. */
static int other(int norm) { return norm == ORTHO ? ORTHO : norm == BACKWARD ? 2 : BACKWARD; }
mx_array *mx_fft_hfft(mx_scope *s, mx_array *a, int n, int axis, int norm) {
  return mx_fft_irfft(s, a ? mx_conjugate(s, a) : NULL, n, axis, other(norm));
}
mx_array *mx_fft_ihfft(mx_scope *s, mx_array *a, int n, int axis, int norm) {
  mx_array *r = mx_fft_rfft(s, a, n, axis, other(norm));
  return r ? mx_conjugate(s, r) : NULL;
}
