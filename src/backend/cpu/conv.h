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
void mx_conv_view(const mx_view *v, mx_conv_strides *s);

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

/* ---- blocks of output places that meet the same taps ---- */

/* The output places of one axis that meet the same taps: out, out + out_step, ..., n of them. Place i of these and tap t, which is tap
 * first_tap + t * tap_step of the kernel, meet at place i * stride + first + t * step of x. */
typedef struct mx_conv_axis {
  int64_t n, out, out_step;
  int64_t taps, first_tap, tap_step;
  int64_t stride, first, step;
  int64_t block, blocks;     /* output places in a block; how many blocks */
  int64_t span;              /* places of x that a block reads */
} mx_conv_axis;

/* Blocks of output places: `images` images by at[d].block places; `total` of them. */
typedef struct mx_conv_phase {
  mx_conv_axis at[MX_CONV_DIMS];
  int64_t batch, images, total;
} mx_conv_phase;

/* One block. */
typedef struct mx_conv_block {
  int64_t image, images;
  int64_t first[MX_CONV_DIMS], n[MX_CONV_DIMS]; /* places of the phase */
} mx_conv_block;

/* With dilated input the output places fall into phases, `*count` of them; phase i. room: elements of x that a block may take; places: how
 * many output places. */
int64_t mx_conv_phases(const mx_conv *g);
void mx_conv_phase_init(const mx_conv *g, int64_t i, int64_t room, int64_t places, mx_conv_phase *p);
void mx_conv_block_at(const mx_conv_phase *p, int64_t i, mx_conv_block *b);

/* How the places that a block reads lie in its copy: their steps in elements, those from image to image, and the size of it all. */
typedef struct mx_conv_layout {
  int64_t step[MX_CONV_DIMS], image, size;
} mx_conv_layout;
void mx_conv_lay_out(const mx_conv_phase *p, int64_t channels, int64_t item, mx_conv_layout *l);
/* Which places of x a block reads: from start, n of them, which may lie outside. */
void mx_conv_reads(const mx_conv_phase *p, const mx_conv_block *b, int64_t *start, int64_t *n);

/* x (or y, where the gradient is one) as blocks of it are read. */
typedef struct mx_conv_reader {
  const mx_view *v;
  mx_conv_strides s;
  mx_dtype t;                /* to be converted to: f32 or f64 */
  int64_t in[MX_CONV_DIMS];
  int64_t channels;          /* of a group */
} mx_conv_reader;

/* Images [image, image + images), places [start, start + n) of each axis, of group q: the channels of a place next to each other in o, where
 * places are step[d] elements apart and images step_image; zeros where there is no place. */
void mx_conv_read(const mx_conv_reader *x, int64_t image, int64_t images, const int64_t *start, const int64_t *n, int64_t q,
                  int64_t step_image, const int64_t *step, void *o);

/* Columns [column, column + n) of the cotangent y at the output places of a block: a row of o, `width` elements, for each place, what is
 * missing zero. */
void mx_conv_read_places(const mx_conv_phase *p, const mx_conv_block *b, const mx_conv_reader *y, int64_t column, int64_t n, int64_t width, void *o);
/* Where an output place of a phase lies in y (rows of g->o). */
static inline int64_t mx_conv_place(const mx_conv *g, const mx_conv_phase *p, int64_t image, int64_t i0, int64_t i1, int64_t i2) {
  const mx_conv_axis *a = p->at;
  int64_t row = (image * g->out[0] + a[0].out + i0 * a[0].out_step) * g->out[1] + a[1].out + i1 * a[1].out_step;
  return (row * g->out[2] + a[2].out + i2 * a[2].out_step) * g->o;
}

/* A weight by its strides: element (out channel, tap, in channel) of group q. */
typedef struct mx_conv_weight {
  const void *data;
  int64_t group, out, tap, in;
} mx_conv_weight;

/* y = x w; y row-contiguous in its own dtype. t: f32 or f64. 0, or MX_EMEMORY without a message. */
int mx_conv_product(const mx_conv *g, mx_dtype t, const mx_view *x, const mx_conv_weight *w, const mx_view *y);
/* dw (O, kernel..., C / groups), row-contiguous of dtype t, from x and the cotangent y. */
int mx_conv_to_weight(const mx_conv *g, mx_dtype t, const mx_view *x, const mx_view *y, void *dw);

/* The same where every channel is a group of its own, always in f32; the weights and dw are (C, kernel..., 1), row-contiguous floats. */
bool mx_conv_is_depthwise(const mx_conv *g);
int mx_conv_depthwise(const mx_conv *g, const mx_view *x, const float *w, const mx_view *y);
int mx_conv_depthwise_weight(const mx_conv *g, const mx_view *x, const mx_view *y, float *dw);

#endif
