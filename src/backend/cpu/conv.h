/* Geometry shared by the convolution kernels. */
#ifndef MX_CPU_CONV_H
#define MX_CPU_CONV_H

#include "backend/backend.h"

enum { MX_CONV_DIMS = 3 };

/* x (N, spatial..., C), w (O, kernel..., C / groups), y (N, out..., O); fewer spatial dimensions are filled up with 1 in front. */
typedef struct mx_conv {
  int64_t batch, c, o, groups;
  int64_t in[MX_CONV_DIMS], kernel[MX_CONV_DIMS], out[MX_CONV_DIMS];
  int64_t stride[MX_CONV_DIMS], low[MX_CONV_DIMS], kernel_dilation[MX_CONV_DIMS], input_dilation[MX_CONV_DIMS];
  bool flip;
} mx_conv;

/* Strides of a view (batch, d0, d1, d2, channel), in elements. */
typedef struct mx_conv_strides {
  int64_t s[MX_CONV_DIMS + 2];
} mx_conv_strides;

/* From the parameters of conv, conv_grad_input or conv_grad_weight and the shapes of x, w and y. */
void mx_conv_init(mx_conv *g, const int64_t *p, const int32_t *x, const int32_t *w, const int32_t *y);
void mx_conv_view(const mx_conv *g, const mx_view *v, int nd, mx_conv_strides *s);

/* Where kernel tap k reads for output position o in dimension d: an index of x, or -1 outside. */
static inline int64_t mx_conv_source(const mx_conv *g, int d, int64_t o, int64_t k) {
  if (g->flip) k = g->kernel[d] - 1 - k;
  int64_t at = o * g->stride[d] + k * g->kernel_dilation[d] - g->low[d];
  if (at < 0) return -1;
  if (g->input_dilation[d] != 1) {
    if (at % g->input_dilation[d]) return -1;
    at /= g->input_dilation[d];
  }
  return at < g->in[d] ? at : -1;
}

/* The plain loops that the others are compared with: conv, conv_grad_input or conv_grad_weight, sums in f64. */
int mx_conv_plain(const mx_call *c);

/* A group for every channel. These are computed without columns: f32, x's last axis contiguous, the others row-contiguous. 0, or MX_EMEMORY
 * without a message. */
bool mx_conv_is_depthwise(const mx_conv *g);
int mx_conv_depthwise(const mx_conv *g, const float *x, const mx_conv_strides *sx, const float *w, float *y);
int mx_conv_depthwise_input(const mx_conv *g, const float *y, const float *w, float *dx);
int mx_conv_depthwise_weight(const mx_conv *g, const float *x, const mx_conv_strides *sx, const float *y, float *dw);

#endif
