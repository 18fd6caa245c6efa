/* Convolutions: channels last. input (N, spatial..., C), weight (O, kernel..., C / groups) -> (N, spatial..., O). */
#include "graph/build.h"

enum { MAX_SPATIAL = 8 };

/* One number for all spatial axes, or one each. */
static int spread(const char *name, const int *v, size_t n, int k, int standard, int64_t *p) {
  if (n > 1 && n != (size_t)k) return mx_fail(MX_EVALUE, "[conv] %zu values of %s for %d spatial dimensions.", n, name, k);
  for (int i = 0; i < k; i++) p[i] = n == 0 ? standard : v[n == 1 ? 0 : i];
  return 0;
}

static int checked(const mx_array *x, const mx_array *w, int want, int *k) {
  *k = x->ndim - 2;
  if (*k < 1 || *k > MAX_SPATIAL)
    return mx_fail(MX_EVALUE,
                   "[conv] Invalid input array with %d dimensions: a batch, spatial and a channel dimension are needed.",
                   x->ndim);
  if ((want && *k != want) || w->ndim != x->ndim)
    return mx_fail(MX_EVALUE, "[conv] Input of shape %s and weight of shape %s must both have %d dimensions.", mx_shape_of(x),
                   mx_shape_of(w), want ? want + 2 : x->ndim);
  mx_dtype t = mx_promote(x->dtype, w->dtype);
  if (!mx_is_float(t)) return mx_fail(MX_EVALUE, "[conv] Only floating-point types are supported, got %s.", mx_dtype_name(t));
  return 0;
}

/* Negative padding takes places off x, before it is dilated, as in MLX: x without them, and the padding 0. */
static mx_array *cropped(mx_scope *s, mx_array *x, int k, int64_t *lo, int64_t *hi) {
  for (int i = 0; i < k; i++) {
    int64_t size = x->shape[1 + i], start = lo[i] < 0 ? -lo[i] : 0, stop = hi[i] < 0 ? size + hi[i] : size;
    if (start > size) start = size;
    if (stop < start) stop = start;
    if (lo[i] < 0) lo[i] = 0;
    if (hi[i] < 0) hi[i] = 0;
    if (stop - start < size && !(x = mx_slice_axis(s, x, 1 + i, start, stop))) return NULL;
  }
  return x;
}

static mx_array *conv(mx_scope *s, mx_array *x, mx_array *w, int want, const int *stride, size_t ns, const int *lo, size_t nlo,
                      const int *hi, size_t nhi, const int *kd, size_t nkd, const int *id, size_t nid, int groups, bool flip) {
  if (!x || !w) return NULL;
  int k, rc = checked(x, w, want, &k);
  int64_t p[3 + 5 * MAX_SPATIAL];
  p[0] = k;
  if (!rc) rc = spread("stride", stride, ns, k, 1, p + 1);
  if (!rc) rc = spread("padding", lo, nlo, k, 0, p + 1 + k);
  if (!rc) rc = spread("padding", hi, nhi, k, 0, p + 1 + 2 * k);
  if (!rc) rc = spread("kernel_dilation", kd, nkd, k, 1, p + 1 + 3 * k);
  if (!rc) rc = spread("input_dilation", id, nid, k, 1, p + 1 + 4 * k);
  if (rc) return mx_scope_error(s, rc);
  p[1 + 5 * k] = groups;
  p[2 + 5 * k] = flip;
  mx_dtype t = mx_promote(x->dtype, w->dtype);
  if (!(x = cropped(s, x, k, p + 1 + k, p + 1 + 2 * k))) return NULL;
  return mx_node2(s, OP_conv, mx_astype(s, x, t), mx_astype(s, w, t), 3 + 5 * k, p);
}

mx_array *mx_conv_general(mx_scope *s, mx_array *input, mx_array *weight, const int *stride, size_t nstride,
                          const int *padding_lo, size_t nlo, const int *padding_hi, size_t nhi, const int *kernel_dilation,
                          size_t nkd, const int *input_dilation, size_t nid, int groups, bool flip) {
  return conv(s, input, weight, 0, stride, nstride, padding_lo, nlo, padding_hi, nhi, kernel_dilation, nkd, input_dilation, nid,
              groups, flip);
}

mx_array *mx_conv1d(mx_scope *s, mx_array *input, mx_array *weight, int stride, int padding, int dilation, int groups) {
  return conv(s, input, weight, 1, &stride, 1, &padding, 1, &padding, 1, &dilation, 1, NULL, 0, groups, false);
}

mx_array *mx_conv2d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int padding_0, int padding_1,
                    int dilation_0, int dilation_1, int groups) {
  int stride[] = {stride_0, stride_1}, padding[] = {padding_0, padding_1}, dilation[] = {dilation_0, dilation_1};
  return conv(s, input, weight, 2, stride, 2, padding, 2, padding, 2, dilation, 2, NULL, 0, groups, false);
}

mx_array *mx_conv3d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int stride_2, int padding_0,
                    int padding_1, int padding_2, int dilation_0, int dilation_1, int dilation_2, int groups) {
  int stride[] = {stride_0, stride_1, stride_2}, padding[] = {padding_0, padding_1, padding_2},
      dilation[] = {dilation_0, dilation_1, dilation_2};
  return conv(s, input, weight, 3, stride, 3, padding, 3, padding, 3, dilation, 3, NULL, 0, groups, false);
}

/* ---- transposed: weight (O, kernel..., C / groups) ---- */

/* The weight of the convolution whose transpose this is: (C, kernel..., O / groups). */
static mx_array *exchanged(mx_scope *s, mx_array *w, int groups) {
  if (!w) return NULL;
  int nd = w->ndim, perm[MAX_SPATIAL + 3], k = 0;
  mx_array *x = mx_unflatten(s, w, 0, (int[]){groups, w->shape[0] / groups}, 2); /* (g, O/g, kernel..., C/g) */
  perm[k++] = 0;
  perm[k++] = nd;
  for (int i = 2; i < nd; i++) perm[k++] = i;
  perm[k++] = 1;
  return mx_flatten(s, mx_permute(s, x, perm), 0, 1);
}

static mx_array *conv_transpose(mx_scope *s, mx_array *x, mx_array *w, int k, const int *stride, const int *padding,
                                const int *dilation, const int *output_padding, int groups) {
  if (!x || !w) return NULL;
  int n, rc = checked(x, w, k, &n);
  if (rc) return mx_scope_error(s, rc);
  int lo[3], hi[3], ones[3] = {1, 1, 1};
  /* a gradient of a convolution, when the sizes say that one gives x's shape; else a convolution of the dilated input */
  bool transpose =
      groups > 0 && w->shape[0] % groups == 0 && x->shape[k + 1] % groups == 0 && w->shape[k + 1] == x->shape[k + 1] / groups;
  int64_t p[3 + 5 * MAX_SPATIAL + MAX_SPATIAL];
  p[0] = k;
  p[1 + 5 * k] = groups;
  p[2 + 5 * k] = 0;
  for (int i = 0; i < k; i++) {
    if (stride[i] < 1 || dilation[i] < 1)
      return mx_scope_fail(s, MX_EVALUE, "[conv_transpose] Invalid stride %d or dilation %d: they must be positive.", stride[i],
                           dilation[i]);
    int64_t reach = (int64_t)dilation[i] * (w->shape[1 + i] - 1),
            size = ((int64_t)x->shape[1 + i] - 1) * stride[i] + reach + 1 - 2 * (int64_t)padding[i] + output_padding[i];
    lo[i] = (int)(reach - padding[i]);
    hi[i] = (int)(reach - padding[i] + output_padding[i]);
    transpose = transpose && output_padding[i] >= 0 && output_padding[i] < stride[i] && size > 0 && x->shape[1 + i] > 0 && w->shape[1 + i] > 0;
    p[1 + i] = stride[i];
    p[1 + k + i] = p[1 + 2 * k + i] = padding[i];
    p[1 + 3 * k + i] = dilation[i];
    p[1 + 4 * k + i] = 1;
    p[3 + 5 * k + i] = size;
  }
  if (!transpose) return conv(s, x, w, k, ones, k, lo, k, hi, k, dilation, k, stride, k, groups, true);
  mx_dtype t = mx_promote(x->dtype, w->dtype);
  return mx_node2(s, OP_conv_grad_input, mx_astype(s, x, t), exchanged(s, mx_astype(s, w, t), groups), 3 + 6 * k, p);
}

mx_array *mx_conv_transpose1d(mx_scope *s, mx_array *input, mx_array *weight, int stride, int padding, int dilation,
                              int output_padding, int groups) {
  return conv_transpose(s, input, weight, 1, &stride, &padding, &dilation, &output_padding, groups);
}

mx_array *mx_conv_transpose2d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int padding_0,
                              int padding_1, int dilation_0, int dilation_1, int output_padding_0, int output_padding_1,
                              int groups) {
  return conv_transpose(s, input, weight, 2, (int[]){stride_0, stride_1}, (int[]){padding_0, padding_1},
                        (int[]){dilation_0, dilation_1}, (int[]){output_padding_0, output_padding_1}, groups);
}

mx_array *mx_conv_transpose3d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int stride_2,
                              int padding_0, int padding_1, int padding_2, int dilation_0, int dilation_1, int dilation_2,
                              int output_padding_0, int output_padding_1, int output_padding_2, int groups) {
  return conv_transpose(s, input, weight, 3, (int[]){stride_0, stride_1, stride_2}, (int[]){padding_0, padding_1, padding_2},
                        (int[]){dilation_0, dilation_1, dilation_2},
                        (int[]){output_padding_0, output_padding_1, output_padding_2}, groups);
}
