/* Convolutions with a bias, over channels-last inputs. */
#include "graph/build.h"
#include "nn/nn.h"

/* The number of spatial axes of x, at most 3, or 0 and an error. */
static int spatial(mx_scope *s, const char *tag, const mx_array *x) {
  int k = x->ndim - 2;
  if (k >= 1 && k <= 3) return k;
  mx_scope_fail(s, MX_EVALUE, "[%s] The input must have a batch, 1 to 3 spatial and a channel dimension, but its shape is %s.",
                tag, mx_shape_words(x));
  return 0;
}

mx_array *mx_nn_conv(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, const int *stride, size_t nstride,
                     const int *padding, size_t npadding, const int *dilation, size_t ndilation, int groups) {
  if (!x || !weight) return NULL;
  int k = spatial(s, "conv", x), t[3], p[3], d[3];
  if (!k || !mx_nn_spread(s, "conv", "stride", stride, nstride, k, 1, t) ||
      !mx_nn_spread(s, "conv", "padding", padding, npadding, k, 0, p) ||
      !mx_nn_spread(s, "conv", "dilation", dilation, ndilation, k, 1, d))
    return NULL;
  mx_array *y = k == 1   ? mx_conv1d(s, x, weight, t[0], p[0], d[0], groups)
                : k == 2 ? mx_conv2d(s, x, weight, t[0], t[1], p[0], p[1], d[0], d[1], groups)
                         : mx_conv3d(s, x, weight, t[0], t[1], t[2], p[0], p[1], p[2], d[0], d[1], d[2], groups);
  return y && bias ? mx_add(s, y, bias) : y;
}

mx_array *mx_nn_conv_transpose(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, const int *stride, size_t nstride,
                               const int *padding, size_t npadding, const int *dilation, size_t ndilation,
                               const int *output_padding, size_t noutput_padding) {
  if (!x || !weight) return NULL;
  int k = spatial(s, "conv_transpose", x), t[3], p[3], d[3], o[3];
  if (!k || !mx_nn_spread(s, "conv_transpose", "stride", stride, nstride, k, 1, t) ||
      !mx_nn_spread(s, "conv_transpose", "padding", padding, npadding, k, 0, p) ||
      !mx_nn_spread(s, "conv_transpose", "dilation", dilation, ndilation, k, 1, d) ||
      !mx_nn_spread(s, "conv_transpose", "output_padding", output_padding, noutput_padding, k, 0, o))
    return NULL;
  mx_array *y =
      k == 1   ? mx_conv_transpose1d(s, x, weight, t[0], p[0], d[0], o[0], 1)
      : k == 2 ? mx_conv_transpose2d(s, x, weight, t[0], t[1], p[0], p[1], d[0], d[1], o[0], o[1], 1)
               : mx_conv_transpose3d(s, x, weight, t[0], t[1], t[2], p[0], p[1], p[2], d[0], d[1], d[2], o[0], o[1], o[2], 1);
  return y && bias ? mx_add(s, y, bias) : y;
}
