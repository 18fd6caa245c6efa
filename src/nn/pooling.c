/* Pooling: each window of the spatial axes becomes its largest value or its mean. */
#include <math.h>

#include "graph/build.h"
#include "nn/nn.h"

enum { MAX_SPATIAL = 8 };

typedef mx_array *reducer(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);

typedef struct windows {
  int k, kernel[MAX_SPATIAL], stride[MAX_SPATIAL], padding[MAX_SPATIAL];
} windows;

static bool checked(mx_scope *s, const char *tag, const mx_array *x, const int *kernel, size_t nkernel, const int *stride,
                    size_t nstride, const int *padding, size_t npadding, windows *w) {
  w->k = x->ndim - 2;
  if (w->k < 1 || w->k > MAX_SPATIAL || nkernel == 0 || (nkernel > 1 && nkernel != (size_t)w->k)) {
    int k = nkernel > 1 ? (int)nkernel : 1;
    mx_scope_fail(s, MX_EVALUE, "[%s] The input must have a batch, %d spatial and a channel dimension, but its shape is %s.", tag,
                  k, mx_shape_words(x));
    return false;
  }
  if (!mx_nn_spread(s, tag, "kernel_size", kernel, nkernel, w->k, 1, w->kernel) ||
      !mx_nn_spread(s, tag, "padding", padding, npadding, w->k, 0, w->padding))
    return false;
  if (!nstride) stride = w->kernel, nstride = (size_t)w->k;
  if (!mx_nn_spread(s, tag, "stride", stride, nstride, w->k, 1, w->stride)) return false;
  for (int i = 0; i < w->k; i++) {
    int64_t size = (int64_t)x->shape[1 + i] + 2 * (int64_t)w->padding[i];
    if (w->kernel[i] < 1 || w->stride[i] < 1 || w->padding[i] < 0 || size > MX_MAX_DIM) {
      mx_scope_fail(s, MX_EVALUE,
                    "[%s] Windows of %d places, %d apart, with %d places of padding: they must be at least 1, 1 and 0.", tag,
                    w->kernel[i], w->stride[i], w->padding[i]);
      return false;
    }
  }
  return true;
}

static mx_array *padded(mx_scope *s, mx_array *x, const windows *w, double value) {
  bool any = false;
  int axes[MAX_SPATIAL];
  for (int i = 0; i < w->k; i++) {
    axes[i] = 1 + i;
    any = any || w->padding[i];
  }
  size_t n = (size_t)w->k;
  return any ? mx_pad(s, x, axes, n, w->padding, n, w->padding, n, mx_weak(s, x, value), "constant") : x;
}

/* Windows that lie side by side, (N, place, kernel, place, kernel, ..., C): nothing is read twice. */
static mx_array *tiles(mx_scope *s, mx_array *x, const windows *w, int *axes) {
  int shape[2 * MAX_SPATIAL + 2] = {x->shape[0]}, n = 1;
  for (int i = 0; i < w->k; i++) {
    int size = x->shape[1 + i], places = size / w->kernel[i];
    if (size % w->kernel[i] && !(x = mx_slice_axis(s, x, 1 + i, 0, (int64_t)places * w->kernel[i]))) return NULL;
    shape[n++] = places;
    axes[i] = n;
    shape[n++] = w->kernel[i];
  }
  shape[n] = x->shape[1 + w->k];
  return mx_reshape(s, x, shape, (size_t)n + 1);
}

/* Windows that overlap or leave gaps, as a view (N, places..., kernel..., C). */
static mx_array *overlapping(mx_scope *s, mx_array *x, const windows *w, int *axes) {
  int k = w->k, shape[2 * MAX_SPATIAL + 2] = {x->shape[0]};
  int64_t strides[2 * MAX_SPATIAL + 2], step = x->shape[1 + k];
  for (int i = k; i-- > 0;) { /* of a row-contiguous x */
    int64_t reach = (int64_t)x->shape[1 + i] - w->kernel[i];
    shape[1 + i] = reach < 0 ? 0 : (int)(reach / w->stride[i]) + 1;
    shape[1 + k + i] = w->kernel[i];
    strides[1 + i] = step * w->stride[i];
    strides[1 + k + i] = step;
    step *= x->shape[1 + i];
    axes[i] = 1 + k + i;
  }
  strides[0] = step;
  shape[2 * k + 1] = x->shape[1 + k];
  strides[2 * k + 1] = 1;
  size_t n = (size_t)(2 * k + 2);
  return mx_as_strided(s, x, shape, n, strides, n, 0);
}

static mx_array *pool(mx_scope *s, mx_array *x, const windows *w, double padding, reducer *reduce) {
  int axes[MAX_SPATIAL];
  bool adjoin = true;
  for (int i = 0; i < w->k; i++) adjoin = adjoin && w->kernel[i] == w->stride[i];
  x = padded(s, x, w, padding);
  if (x) x = adjoin ? tiles(s, x, w, axes) : overlapping(s, x, w, axes);
  return x ? reduce(s, x, axes, (size_t)w->k, false) : NULL;
}

mx_array *mx_nn_max_pool(mx_scope *s, mx_array *x, const int *kernel, size_t nkernel, const int *stride, size_t nstride,
                         const int *padding, size_t npadding) {
  windows w;
  if (!x || !checked(s, "max_pool", x, kernel, nkernel, stride, nstride, padding, npadding, &w)) return NULL;
  return pool(s, x, &w, -INFINITY, mx_max_axes);
}

mx_array *mx_nn_avg_pool(mx_scope *s, mx_array *x, const int *kernel, size_t nkernel, const int *stride, size_t nstride,
                         const int *padding, size_t npadding) {
  windows w;
  if (!x || !checked(s, "avg_pool", x, kernel, nkernel, stride, nstride, padding, npadding, &w)) return NULL;
  return pool(s, x, &w, 0, mx_mean_axes);
}
