/* Resizing the spatial axes of channels-last inputs. Each axis is resized on its own: an output place is a weighted sum of a few input
 * places, its taps. */
#include <math.h>
#include <string.h>

#include "graph/build.h"
#include "nn/nn.h"

typedef struct axis_scale {
  int n, m; /* places before and after */
  double scale;
  bool linear, align_corners, antialias;
} axis_scale;

/* Where the output places lie among the input's, the middle of both at the same spot. */
static mx_array *centres(mx_scope *s, const axis_scale *a) {
  mx_array *places = mx_astype(s, mx_arange(s, 0, a->m, 1, MX_I32), MX_F32);
  if (a->align_corners) return mx_times(s, places, a->m > 1 ? (double)(a->n - 1) / (a->m - 1) : 0);
  double step = 1 / a->scale;
  return mx_plus(s, mx_times(s, places, step), -(((a->m - 1) * step - a->n + 1) / 2));
}

static mx_array *within(mx_scope *s, mx_array *x, int n) {
  return mx_minimum(s, mx_maximum(s, x, mx_weak_int(s, x, 0)), mx_weak_int(s, x, n - 1));
}

/* The one input place of each output place. */
static mx_array *nearest(mx_scope *s, const axis_scale *a) {
  double step = (double)a->n / a->m;
  mx_array *places = mx_astype(s, mx_arange(s, 0, a->m, 1, MX_I32), MX_F32);
  if (a->m < a->n) return mx_astype(s, mx_floor(s, mx_times(s, places, step)), MX_I32);
  places = mx_rint(s, mx_plus(s, mx_times(s, mx_plus(s, places, 0.5), step), -0.5));
  return mx_astype(s, within(s, places, a->n), MX_I32);
}

/* (f * d + k) * d, a step of a polynomial */
static mx_array *horner(mx_scope *s, mx_array *y, double k, mx_array *d) { return mx_multiply(s, mx_plus(s, y, k), d); }

/* Keys' cubic: one polynomial up to distance 1, another up to 2. */
static mx_array *cubic(mx_scope *s, mx_array *d, double a) {
  d = mx_abs(s, d);
  mx_array *near = mx_plus(s, mx_multiply(s, horner(s, mx_times(s, d, a + 2), -(a + 3), d), d), 1);
  mx_array *far = mx_plus(s, horner(s, horner(s, mx_times(s, d, a), -5 * a, d), 8 * a, d), -4 * a);
  far = mx_where(s, mx_less(s, d, mx_weak(s, d, 2)), far, mx_weak(s, d, 0));
  return mx_where(s, mx_less_equal(s, d, mx_weak(s, d, 1)), near, far);
}

static mx_array *triangle(mx_scope *s, mx_array *d) {
  mx_array *one = mx_weak(s, d, 1);
  return mx_maximum(s, mx_subtract(s, one, mx_abs(s, d)), mx_weak(s, d, 0));
}

/* The places (taps, m) and weights (taps, m) of an axis; their number. */
static int taps_of(mx_scope *s, const axis_scale *a, mx_array **places, mx_array **weights) {
  mx_array *centre = centres(s, a);
  if (a->linear && !a->antialias) centre = within(s, centre, a->n);
  int reach = a->linear ? 1 : 2;
  double widen = a->antialias && a->scale < 1 ? 1 / a->scale : 1; /* a filter as wide as an output place */
  int taps = widen > 1 ? (int)(2 * reach * widen + 1) : 2 * reach;
  mx_array *first = mx_plus(s, mx_floor(s, mx_plus(s, centre, -reach * widen)), 1);
  mx_array *steps = mx_astype(s, mx_arange(s, 0, taps, 1, MX_I32), MX_F32);
  mx_array *at = mx_add(s, mx_expand_dims(s, first, 0), mx_expand_dims(s, steps, 1));
  mx_array *distance = mx_subtract(s, at, centre);
  distance = mx_divide(s, distance, mx_weak(s, distance, widen));
  /* the antialiased cubic is the softer one, as in PIL */
  mx_array *w = a->linear ? triangle(s, distance) : cubic(s, distance, a->antialias ? -0.5 : -0.75);
  if (a->antialias && at) {
    mx_array *inside = mx_logical_and(s, mx_greater_equal(s, at, mx_weak(s, at, 0)), mx_less(s, at, mx_weak(s, at, a->n)));
    w = mx_where(s, inside, w, mx_weak(s, w, 0));
    w = w ? mx_divide(s, w, mx_sum_axis(s, w, 0, true)) : NULL;
  }
  *places = mx_astype(s, within(s, at, a->n), MX_I32);
  *weights = w;
  return taps;
}

static mx_array *row_of(mx_scope *s, mx_array *x, int i) { return mx_squeeze_axis(s, mx_slice_axis(s, x, 0, i, i + 1), 0); }

static mx_array *resize(mx_scope *s, mx_array *x, int axis, const axis_scale *a) {
  mx_array *places, *weights, *total = NULL;
  int shape[MX_MAX_NDIM], taps = taps_of(s, a, &places, &weights);
  for (int i = 0; i < x->ndim; i++) shape[i] = i == axis ? a->m : 1;
  for (int i = 0; i < taps && !s->rc; i++) {
    mx_array *w = mx_reshape(s, row_of(s, weights, i), shape, x->ndim);
    mx_array *part = mx_multiply(s, mx_take_axis(s, x, row_of(s, places, i), axis), w);
    total = total ? mx_add(s, total, part) : part;
  }
  return total;
}

static bool checked(mx_scope *s, const mx_array *x, size_t nscale, const char *mode, bool align_corners, bool antialias) {
  int dims = x->ndim - 2;
  bool near = !strcmp(mode, "nearest");
  if (!near && strcmp(mode, "linear") && strcmp(mode, "cubic"))
    mx_scope_fail(s, MX_EVALUE, "[Upsample] Got unsupported upsampling algorithm: %.100s", mode);
  else if (antialias && near)
    mx_scope_fail(s, MX_EVALUE, "[Upsample] Antialiasing is not supported for nearest neighbor upsampling");
  else if (antialias && align_corners)
    mx_scope_fail(s, MX_EVALUE,
                  "[Upsample] antialias=True with align_corners=True is not supported. Use align_corners=False for antialiased "
                  "interpolation.");
  else if (dims <= 0)
    mx_scope_fail(
        s, MX_EVALUE,
        "[Upsample] The input should have at least 1 spatial dimension which means it should be at least 3D but %dD was provided",
        x->ndim);
  else if (nscale != 1 && nscale != (size_t)dims)
    mx_scope_fail(
        s, MX_EVALUE,
        "[Upsample] One scale per spatial dimension is required but %zu were given and the number of spatial dimensions were %d",
        nscale, dims);
  return !s->rc;
}

mx_array *mx_nn_upsample(mx_scope *s, mx_array *x, const double *scale, size_t nscale, const char *mode, bool align_corners,
                         bool antialias) {
  if (!x || !checked(s, x, nscale, mode, align_corners, antialias)) return NULL;
  bool near = !strcmp(mode, "nearest");
  mx_shape_used = true;
  for (int axis = 1; axis + 1 < (x ? x->ndim : 0); axis++) {
    axis_scale a = {.n = x->shape[axis],
                    .scale = scale[nscale == 1 ? 0 : axis - 1],
                    .linear = !strcmp(mode, "linear"),
                    .align_corners = align_corners,
                    .antialias = antialias};
    if (!(a.scale > 0 && a.scale * a.n <= MX_MAX_DIM && a.scale > 1e-6))
      return mx_scope_fail(s, MX_EVALUE, "[Upsample] A scale of %g cannot resize an axis of size %d.", a.scale, a.n);
    a.m = (int)(a.scale * a.n);
    if (near && a.scale == floor(a.scale))
      x = a.scale == 1 ? x : mx_repeat_axis(s, x, (int)a.scale, axis);
    else
      x = near ? mx_take_axis(s, x, nearest(s, &a), axis) : resize(s, x, axis, &a);
  }
  return x;
}
