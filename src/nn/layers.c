/* Layers with one product or window: linear, embedding, convolutions, pools, dropout; and the sequence of layers. */
#include "nn/layers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what constructors share ---- */

void mx_layer_param(mx_module *m, mx_scope *s, const char *name, mx_array *a) {
  if (!m || !a || s->rc) return;
  int rc = mx_module_set_array(m, name, a);
  if (rc) mx_scope_error(s, rc);
}

void mx_layer_uniform(mx_module *m, mx_scope *s, const char *name, double limit, const int *shape, int n) {
  mx_layer_param(m, s, name, mx_nn_init_uniform(s, shape, (size_t)n, -limit, limit, MX_F32, NULL));
}

void mx_layer_constant(mx_module *m, mx_scope *s, const char *name, double value, int size) {
  mx_layer_param(m, s, name, mx_nn_init_constant(s, &size, 1, value, MX_F32));
}

void mx_layer_child(mx_module *m, mx_scope *s, const char *name, mx_module *child) {
  if (m && child && !s->rc) {
    int rc = mx_module_add(m, name, child);
    if (rc) mx_scope_error(s, rc);
  } else {
    if (!child) mx_scope_error(s, mx_error_kind());
    mx_module_release(child);
  }
}

mx_module *mx_layer_done(mx_module *m, mx_scope *s) {
  if (!m) mx_scope_error(s, mx_error_kind());
  if (!mx_scope_end(s)) return m;
  mx_module_release(m);
  return NULL;
}

bool mx_layer_sizes(const char *tag, int least, int n, const int *sizes) {
  for (int i = 0; i < n; i++)
    if (sizes[i] < least) {
      mx_fail(MX_EVALUE, "[%s] a size of %d given, expected at least %d", tag, sizes[i], least);
      return false;
    }
  return true;
}

static void print_ints(char *to, size_t room, const int *v, int k) {
  size_t at = (size_t)snprintf(to, room, "(");
  for (int i = 0; i < k && at < room; i++) at += (size_t)snprintf(to + at, room - at, i ? ", %d" : "%d", v[i]);
  if (at < room) snprintf(to + at, room - at, k == 1 ? ",)" : ")");
}

/* ---- identity, linear, bilinear, embedding ---- */

static int identity_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  (void)m, (void)s;
  out[0] = in[0];
  return 0;
}

static int linear_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_linear(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"));
  return 0;
}
void mx_linear_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  if (w && w->ndim == 2)
    snprintf(to, room, "input_dims=%d, output_dims=%d, bias=%s", w->shape[1], w->shape[0], mx_yes(mx_module_own(m, "bias")));
}

static int bilinear_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_bilinear(s, in[0], in[1], mx_module_own(m, "weight"), mx_module_own(m, "bias"));
  return 0;
}
static void bilinear_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  if (w && w->ndim == 3)
    snprintf(to, room, "input1_dims=%d, input2_dims=%d, output_dims=%d, bias=%s", w->shape[2], w->shape[1], w->shape[0],
             mx_yes(mx_module_own(m, "bias")));
}

static int embedding_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_embedding(s, in[0], mx_module_own(m, "weight"));
  return 0;
}
static void embedding_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  if (w && w->ndim == 2) snprintf(to, room, "%d, %d", w->shape[0], w->shape[1]);
}

static const mx_layer identity = {"Identity", 1, MX_MODULE_INPUTS, 1, identity_forward, NULL};
static const mx_layer linear = {"Linear", 1, 1, 1, linear_forward, mx_linear_describe};
static const mx_layer bilinear = {"Bilinear", 2, 2, 1, bilinear_forward, bilinear_describe};
static const mx_layer embedding = {"Embedding", 1, 1, 1, embedding_forward, embedding_describe};

mx_module *mx_identity_layer(void) { return mx_module_new(&identity); }

mx_module *mx_linear_like(const mx_layer *layer, int input_dims, int output_dims, bool bias) {
  if (!mx_layer_sizes("linear", 1, 1, &input_dims) || !mx_layer_sizes("linear", 0, 1, &output_dims)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(layer);
  double limit = sqrt(1.0 / input_dims);
  mx_layer_uniform(m, &s, "weight", limit, (int[]){output_dims, input_dims}, 2);
  if (bias) mx_layer_uniform(m, &s, "bias", limit, &output_dims, 1);
  return mx_layer_done(m, &s);
}

mx_module *mx_linear_layer(int input_dims, int output_dims, bool bias) { return mx_linear_like(&linear, input_dims, output_dims, bias); }

mx_module *mx_bilinear_layer(int input1_dims, int input2_dims, int output_dims, bool bias) {
  int shape[] = {output_dims, input2_dims, input1_dims};
  if (!mx_layer_sizes("bilinear", 1, 3, shape)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&bilinear);
  double limit = sqrt(1.0 / input1_dims);
  mx_layer_uniform(m, &s, "weight", limit, shape, 3);
  if (bias) mx_layer_uniform(m, &s, "bias", limit, &output_dims, 1);
  return mx_layer_done(m, &s);
}

mx_module *mx_embedding_layer(int num_embeddings, int dims) {
  int shape[] = {num_embeddings, dims};
  if (!mx_layer_sizes("embedding", 1, 2, shape)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&embedding);
  mx_layer_param(m, &s, "weight", mx_nn_init_normal(&s, shape, 2, 0, sqrt(1.0 / dims), MX_F32, NULL));
  return mx_layer_done(m, &s);
}

/* ---- convolutions: whole = k, groups, then stride, padding, dilation, output_padding, three each ---- */

enum { STRIDE = 2, PADDING = 5, DILATION = 8, OUTPUT_PADDING = 11 };

static int conv_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  const int *v = m->whole;
  size_t k = (size_t)v[0];
  if (in[0]->ndim != (int)k + 2)
    return mx_fail(MX_EVALUE, "[%s] The input must have a batch, %d spatial and a channel dimension, but its shape is %s.",
                   m->layer->type, v[0], mx_shape_words(in[0]));
  out[0] = mx_nn_conv(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"), v + STRIDE, k, v + PADDING, k, v + DILATION,
                      k, v[1]);
  return 0;
}

static int conv_transpose_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  const int *v = m->whole;
  size_t k = (size_t)v[0];
  if (in[0]->ndim != (int)k + 2)
    return mx_fail(MX_EVALUE, "[%s] The input must have a batch, %d spatial and a channel dimension, but its shape is %s.",
                   m->layer->type, v[0], mx_shape_words(in[0]));
  out[0] = mx_nn_conv_transpose(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "bias"), v + STRIDE, k, v + PADDING, k,
                                v + DILATION, k, v + OUTPUT_PADDING, k);
  return 0;
}

/* Numbers as Python shows them: one for one axis, a tuple for more. */
static const char *axes_text(char *to, size_t room, const int *v, int k) {
  if (k == 1)
    snprintf(to, room, "%d", v[0]);
  else
    print_ints(to, room, v, k);
  return to;
}

static void conv_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  const int *v = m->whole;
  int k = v[0];
  if (!w || w->ndim != k + 2) return;
  char kernel[48], stride[48], padding[48], dilation[48], last[80];
  bool transposed = m->layer->forward == conv_transpose_forward;
  bool one = k == 1 || (v[DILATION] == v[DILATION + 1] && v[DILATION] == v[DILATION + k - 1]);
  if (transposed)
    snprintf(last, sizeof last, "output_padding=%s", axes_text(kernel, sizeof kernel, v + OUTPUT_PADDING, k));
  else
    snprintf(last, sizeof last, "groups=%d", v[1]);
  snprintf(to, room, "%d, %d, kernel_size=%s, stride=%s, padding=%s, dilation=%s%s%s, bias=%s", w->shape[k + 1] * v[1],
           w->shape[0], axes_text(kernel, sizeof kernel, w->shape + 1, k), axes_text(stride, sizeof stride, v + STRIDE, k),
           axes_text(padding, sizeof padding, v + PADDING, k), axes_text(dilation, sizeof dilation, v + DILATION, one ? 1 : k),
           k == 3 && !transposed ? "" : ", ", k == 3 && !transposed ? "" : last, mx_yes(mx_module_own(m, "bias")));
}

static const mx_layer convs[] = {{"Conv1d", 1, 1, 1, conv_forward, conv_describe},
                                 {"Conv2d", 1, 1, 1, conv_forward, conv_describe},
                                 {"Conv3d", 1, 1, 1, conv_forward, conv_describe}};
static const mx_layer conv_transposes[] = {{"ConvTranspose1d", 1, 1, 1, conv_transpose_forward, conv_describe},
                                           {"ConvTranspose2d", 1, 1, 1, conv_transpose_forward, conv_describe},
                                           {"ConvTranspose3d", 1, 1, 1, conv_transpose_forward, conv_describe}};

/* Weight (out, kernel..., in / groups), uniform within 1/sqrt(its fan), bias 0. */
static mx_module *conv_layer(const mx_layer *layer, int k, int in, int out, const int *kernel, int groups, bool bias) {
  if (groups < 1 || in % groups) {
    mx_fail(MX_EVALUE, "The number of input channels (%d) must be divisible by the number of groups (%d)", in, groups);
    return NULL;
  }
  int shape[5] = {out};
  double fan = in / groups;
  for (int i = 0; i < k; i++) {
    shape[1 + i] = kernel[i];
    fan *= kernel[i];
  }
  shape[1 + k] = in / groups;
  if (!mx_layer_sizes("conv", 1, k + 2, shape)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(layer);
  mx_layer_uniform(m, &s, "weight", sqrt(1 / fan), shape, k + 2);
  if (bias) mx_layer_constant(m, &s, "bias", 0, out);
  if (m) m->whole[0] = k, m->whole[1] = groups;
  return mx_layer_done(m, &s);
}

static void axes_setting(mx_module *m, int at, const int *v, int k) { memcpy(m->whole + at, v, (size_t)k * sizeof *v); }

mx_module *mx_conv_layer(int k, int in, int out, const int *kernel, const int *stride, const int *padding, const int *dilation,
                         int groups, bool bias) {
  mx_module *m = conv_layer(&convs[k - 1], k, in, out, kernel, groups, bias);
  if (!m) return NULL;
  axes_setting(m, STRIDE, stride, k);
  axes_setting(m, PADDING, padding, k);
  axes_setting(m, DILATION, dilation, k);
  return m;
}

mx_module *mx_conv_transpose_layer(int k, int in, int out, const int *kernel, const int *stride, const int *padding,
                                   const int *dilation, const int *output_padding, bool bias) {
  mx_module *m = conv_layer(&conv_transposes[k - 1], k, in, out, kernel, 1, bias);
  if (!m) return NULL;
  axes_setting(m, STRIDE, stride, k);
  axes_setting(m, PADDING, padding, k);
  axes_setting(m, DILATION, dilation, k);
  axes_setting(m, OUTPUT_PADDING, output_padding, k);
  return m;
}

/* ---- pools: whole = k, -, then stride, padding, kernel ---- */

enum { KERNEL = DILATION };

static mx_array *pool(mx_module *m, mx_scope *s, mx_array *x,
                      mx_array *(*f)(mx_scope *, mx_array *, const int *, size_t, const int *, size_t, const int *, size_t)) {
  const int *v = m->whole;
  size_t k = (size_t)v[0];
  if (x->ndim != (int)k + 2)
    return mx_scope_fail(s, MX_EVALUE,
                         "[%s] The input must have a batch, %d spatial and a channel dimension, but its shape is %s.",
                         m->layer->type, v[0], mx_shape_words(x));
  return f(s, x, v + KERNEL, k, v + STRIDE, k, v + PADDING, k);
}
static int max_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = pool(m, s, in[0], mx_nn_max_pool);
  return 0;
}
static int mean_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = pool(m, s, in[0], mx_nn_avg_pool);
  return 0;
}
static void pool_describe(const mx_module *m, char *to, size_t room) {
  char kernel[48], stride[48], padding[48];
  int k = m->whole[0];
  print_ints(kernel, sizeof kernel, m->whole + KERNEL, k);
  print_ints(stride, sizeof stride, m->whole + STRIDE, k);
  print_ints(padding, sizeof padding, m->whole + PADDING, k);
  snprintf(to, room, "kernel_size=%s, stride=%s, padding=%s", kernel, stride, padding);
}
static const mx_layer pools[2][3] = {{{"MaxPool1d", 1, 1, 1, max_forward, pool_describe},
                                      {"MaxPool2d", 1, 1, 1, max_forward, pool_describe},
                                      {"MaxPool3d", 1, 1, 1, max_forward, pool_describe}},
                                     {{"AvgPool1d", 1, 1, 1, mean_forward, pool_describe},
                                      {"AvgPool2d", 1, 1, 1, mean_forward, pool_describe},
                                      {"AvgPool3d", 1, 1, 1, mean_forward, pool_describe}}};

mx_module *mx_pool_layer(bool mean, int k, const int *kernel, const int *stride, const int *padding) {
  if (!mx_layer_sizes("pool", 1, k, kernel) || !mx_layer_sizes("pool", 1, k, stride) || !mx_layer_sizes("pool", 0, k, padding))
    return NULL;
  mx_module *m = mx_module_new(&pools[mean][k - 1]);
  if (!m) return NULL;
  m->whole[0] = k;
  axes_setting(m, STRIDE, stride, k);
  axes_setting(m, PADDING, padding, k);
  axes_setting(m, KERNEL, kernel, k);
  return m;
}

/* ---- dropout: real = p ---- */

static int dropout_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  int k = m->whole[0];
  double p = m->training ? m->real[0] : 0;
  out[0] = k == 0   ? mx_nn_dropout(s, in[0], p, NULL)
           : k == 2 ? mx_nn_dropout2d(s, in[0], p, NULL)
                    : mx_nn_dropout3d(s, in[0], p, NULL);
  return 0;
}
static void dropout_describe(const mx_module *m, char *to, size_t room) { snprintf(to, room, "p=%.16g", m->real[0]); }
static const mx_layer dropouts[] = {{"Dropout", 1, 1, 1, dropout_forward, dropout_describe},
                                    {"Dropout2d", 1, 1, 1, dropout_forward, dropout_describe},
                                    {"Dropout3d", 1, 1, 1, dropout_forward, dropout_describe}};

mx_module *mx_dropout_layer(int k, double p) {
  if (!(p >= 0 && p < 1)) {
    mx_fail(MX_EVALUE, "The dropout probability %g is not in [0, 1)", p);
    return NULL;
  }
  mx_module *m = mx_module_new(&dropouts[k ? k - 1 : 0]);
  if (!m) return NULL;
  m->whole[0] = k;
  m->real[0] = p;
  return m;
}

/* ---- sequential ---- */

static int sequential_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *x = in[0];
  for (int i = 0; i < m->n && x; i++) x = mx_module_call1(m->members[i].module, s, x);
  out[0] = x;
  return 0;
}
static const mx_layer sequential = {"Sequential", 1, 1, 1, sequential_forward, NULL};

mx_module *mx_sequential_layer(int n, mx_module *const *layers) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&sequential);
  for (int i = 0; i < n; i++) {
    char name[32];
    snprintf(name, sizeof name, "layers.%d", i);
    mx_layer_child(m, &s, name, mx_module_retain(layers[i]));
  }
  return mx_layer_done(m, &s);
}
