/* Layers beyond MLX's list, those that resize, PReLU, and layers whose weight is made of others. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/layers.h"

/* ---- PReLU ---- */

static int prelu_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_prelu(s, in[0], mx_module_own(m, "weight"));
  return 0;
}
static const mx_layer prelu = {"PReLU", 1, 1, 1, prelu_forward, NULL};

mx_module *mx_prelu_layer(int num_parameters, double init) {
  if (!mx_layer_sizes("PReLU", 1, 1, &num_parameters)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&prelu);
  mx_layer_constant(m, &s, "weight", init, num_parameters);
  return mx_layer_done(m, &s);
}

/* ---- resizing: whole = how many, then sizes or flags; real = scales ---- */

static const char *const modes[] = {"nearest", "linear", "cubic"};

static int upsample_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  const int *v = m->whole;
  if (v[0] > 1 && in[0]->ndim != v[0] + 2)
    return mx_fail(MX_EVALUE, "[Upsample] %d scales were given for an input of shape %s", v[0], mx_shape_words(in[0]));
  out[0] = mx_nn_upsample(s, in[0], m->real, (size_t)v[0], modes[v[1]], v[2], v[3]);
  return 0;
}
static int adaptive_mean_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_adaptive_avg_pool(s, in[0], m->whole + 1, (size_t)m->whole[0]);
  return 0;
}
static int adaptive_max_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_adaptive_max_pool(s, in[0], m->whole + 1, (size_t)m->whole[0]);
  return 0;
}
static int shuffle_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_pixel_shuffle(s, in[0], m->whole[0]);
  return 0;
}
static int unshuffle_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_pixel_unshuffle(s, in[0], m->whole[0]);
  return 0;
}

static const mx_layer upsample = {"Upsample", 1, 1, 1, upsample_forward, NULL};
static const mx_layer adaptives[2][3] = {{{"AdaptiveMaxPool1d", 1, 1, 1, adaptive_max_forward, NULL},
                                          {"AdaptiveMaxPool2d", 1, 1, 1, adaptive_max_forward, NULL},
                                          {"AdaptiveMaxPool3d", 1, 1, 1, adaptive_max_forward, NULL}},
                                         {{"AdaptiveAvgPool1d", 1, 1, 1, adaptive_mean_forward, NULL},
                                          {"AdaptiveAvgPool2d", 1, 1, 1, adaptive_mean_forward, NULL},
                                          {"AdaptiveAvgPool3d", 1, 1, 1, adaptive_mean_forward, NULL}}};
static const mx_layer shuffles[] = {{"PixelShuffle", 1, 1, 1, shuffle_forward, NULL},
                                    {"PixelUnshuffle", 1, 1, 1, unshuffle_forward, NULL}};

mx_module *mx_upsample_layer(int n, const double *scale, const char *mode, bool align_corners, bool antialias) {
  int i = 0;
  while (i < 3 && strcmp(mode, modes[i])) i++;
  if (i == 3 || n < 1 || n > 3) {
    mx_fail(MX_EVALUE, "[Upsample] %d scales and the mode '%.100s': expected 1 to 3, and 'nearest', 'linear' or 'cubic'", n,
            mode);
    return NULL;
  }
  mx_module *m = mx_module_new(&upsample);
  if (!m) return NULL;
  memcpy(m->whole, (int[]){n, i, align_corners, antialias}, 4 * sizeof(int));
  memcpy(m->real, scale, (size_t)n * sizeof *scale);
  return m;
}

mx_module *mx_adaptive_layer(bool mean, int k, const int *size) {
  for (int i = 0; i < k; i++)
    if (size[i] != -1 && size[i] < 1) {
      mx_fail(MX_EVALUE, "[adaptive_pool] an output size of %d given, expected at least 1, or -1 to keep an axis", size[i]);
      return NULL;
    }
  mx_module *m = mx_module_new(&adaptives[mean][k - 1]);
  if (!m) return NULL;
  m->whole[0] = k;
  memcpy(m->whole + 1, size, (size_t)k * sizeof *size);
  return m;
}

mx_module *mx_shuffle_layer(bool inverse, int factor) {
  if (!mx_layer_sizes("pixel_shuffle", 1, 1, &factor)) return NULL;
  mx_module *m = mx_module_new(&shuffles[inverse]);
  if (m) m->whole[0] = factor;
  return m;
}

/* ---- bags: whole = the mode ---- */

static const char *const bag_modes[] = {"sum", "mean", "max"};

static int bag_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_embedding_bag(s, in[0], mx_module_own(m, "weight"), in[1], NULL, bag_modes[m->whole[0]]);
  return 0;
}
static const mx_layer bag = {"EmbeddingBag", 1, 2, 1, bag_forward, NULL};

mx_module *mx_embedding_bag_layer(int num_embeddings, int dims, const char *mode) {
  int shape[] = {num_embeddings, dims}, i = 0;
  while (i < 3 && strcmp(mode, bag_modes[i])) i++;
  if (i == 3) {
    mx_fail(MX_EVALUE, "[EmbeddingBag] Unknown mode '%.100s', expected 'sum', 'mean' or 'max'.", mode);
    return NULL;
  }
  if (!mx_layer_sizes("EmbeddingBag", 1, 2, shape)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&bag);
  mx_layer_param(m, &s, "weight", mx_nn_init_normal(&s, shape, 2, 0, sqrt(1.0 / dims), MX_F32, NULL));
  if (m) m->whole[0] = i;
  return mx_layer_done(m, &s);
}

/* ---- weights made of others: the member "module" has no weight but while it is called ---- */

static int with_weight(mx_module *m, mx_scope *s, mx_array *weight, mx_array *const *in, mx_array **out) {
  mx_module *inner = mx_module_at(m, "module");
  if (!weight || !inner) return s->rc ? s->rc : mx_fail(MX_EVALUE, "[%s] the layer it is made of is missing", m->layer->type);
  int rc = mx_module_set_array(inner, "weight", weight);
  if (rc) return rc;
  out[0] = mx_module_calln(inner, s, m->layer->most, in);
  mx_release(mx_module_take(inner, "weight"));
  return 0;
}

static int weight_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *w = mx_nn_weight_norm(s, mx_module_own(m, "weight_v"), mx_module_own(m, "weight_g"), m->whole[0]);
  return with_weight(m, s, w, in, out);
}

static int spectral_norm_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *made[3] = {NULL};
  int steps = m->training ? m->whole[0] : 0;
  int rc = mx_nn_spectral_norm(s, made, mx_module_own(m, "weight_orig"), mx_module_own(m, "u"), mx_module_own(m, "v"), steps,
                               m->real[0]);
  if (!rc) rc = with_weight(m, s, made[0], in, out);
  if (!rc && steps) rc = mx_module_set_array(m, "u", made[1]);
  if (!rc && steps) rc = mx_module_set_array(m, "v", made[2]);
  return rc;
}
static void describe(const mx_module *m, char *to, size_t room) {
  (void)m;
  snprintf(to, room, "name='weight'");
}

static const mx_layer weight_norm = {"WeightNorm", 1, 4, 1, weight_norm_forward, describe};
static const mx_layer spectral_norm = {"SpectralNorm", 1, 4, 1, spectral_norm_forward, describe};

/* Takes the weight of a layer (owned by the scope) and adds the layer to m. */
static mx_array *taken_weight(mx_module *m, mx_scope *s, mx_module *inner) {
  const mx_array *w = mx_module_own(inner, "weight");
  if (!w || w->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[module] %s has no parameter 'weight' of at least 2 dimensions", mx_module_type(inner));
  mx_layer_child(m, s, "module", mx_module_retain(inner));
  return s->rc ? NULL : mx_own(s, mx_module_take(inner, "weight"));
}

mx_module *mx_weight_norm_layer(mx_module *inner, int axis) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&weight_norm);
  const mx_array *given = mx_module_own(inner, "weight");
  int ax = 0, axes[MX_MAX_NDIM], n = 0, rc = m && given ? mx_norm_axis("weight_norm", axis, given->ndim, &ax) : 0;
  if (rc) mx_scope_error(&s, rc);
  mx_array *w = m && !rc ? taken_weight(m, &s, inner) : NULL;
  if (w) {
    for (int i = 0; i < w->ndim; i++)
      if (i != ax) axes[n++] = i;
    mx_layer_param(m, &s, "weight_g", mx_sqrt(&s, mx_sum_axes(&s, mx_square(&s, w), axes, (size_t)n, true)));
    mx_layer_param(m, &s, "weight_v", w);
    m->whole[0] = ax;
  }
  return mx_layer_done(m, &s);
}

mx_module *mx_spectral_norm_layer(mx_module *inner, int iterations, double eps) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&spectral_norm);
  if (iterations < 0) mx_scope_fail(&s, MX_EVALUE, "[spectral_norm] Expected at least 0 iterations, got %d.", iterations);
  mx_array *w = m && !s.rc ? taken_weight(m, &s, inner) : NULL, *made[3] = {NULL};
  if (w) {
    int rows = w->shape[0], cols = rows ? (int)(w->size / rows) : 0;
    mx_array *u = mx_nn_init_normal(&s, &rows, 1, 0, 1, MX_F32, NULL), *v = mx_nn_init_normal(&s, &cols, 1, 0, 1, MX_F32, NULL);
    if (u && v && !mx_nn_spectral_norm(&s, made, w, u, v, 15, eps)) {
      mx_layer_param(m, &s, "weight_orig", w);
      mx_layer_param(m, &s, "u", made[1]);
      mx_layer_param(m, &s, "v", made[2]);
      m->whole[0] = iterations;
      m->real[0] = eps;
      for (int i = m->n - 2; i < m->n && !s.rc; i++) m->members[i].pinned = true;
    }
  }
  return mx_layer_done(m, &s);
}
