/* Layers with a quantized weight: a few bits an element, with a scale for each group of them. whole = group size, bits, the mode. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/layers.h"

static const struct {
  const char *name;
  int group_size, bits; /* where they are not given */
} modes[] = {{"affine", 64, 4}, {"mxfp4", 32, 4}, {"nvfp4", 16, 4}, {"mxfp8", 32, 8}};

mx_array *mx_quantized_product(const mx_module *m, mx_scope *s, mx_array *x) {
  const int *v = m->whole;
  return mx_quantized_matmul(s, x, mx_module_own(m, "weight"), mx_module_own(m, "scales"), mx_module_own(m, "biases"), true, v,
                             v + 1, modes[v[2]].name);
}

static int linear_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  mx_array *y = mx_quantized_product(m, s, in[0]);
  mx_array *bias = mx_module_own(m, "bias");
  out[0] = bias ? mx_add(s, y, bias) : y;
  return 0;
}

static int embedding_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  const int *v = m->whole;
  mx_array *biases = mx_module_own(m, "biases");
  mx_array *w = mx_nn_embedding(s, in[0], mx_module_own(m, "weight")),
           *scales = mx_nn_embedding(s, in[0], mx_module_own(m, "scales"));
  if (biases) biases = mx_nn_embedding(s, in[0], biases);
  if (!s->rc) out[0] = mx_dequantize(s, w, scales, biases, v, v + 1, modes[v[2]].name, NULL, NULL);
  return 0;
}

void mx_quantized_linear_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  const int *v = m->whole;
  if (w && w->ndim == 2)
    snprintf(to, room, "input_dims=%d, output_dims=%d, bias=%s, group_size=%d, bits=%d, mode=%s",
             (int)((int64_t)w->shape[1] * 32 / v[1]), w->shape[0], mx_yes(mx_module_own(m, "bias")), v[0], v[1],
             modes[v[2]].name);
}
static void embedding_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  const int *v = m->whole;
  if (w && w->ndim == 2)
    snprintf(to, room, "%d, %d, group_size=%d, bits=%d, mode=%s", w->shape[0], (int)((int64_t)w->shape[1] * 32 / v[1]), v[0],
             v[1], modes[v[2]].name);
}

static const mx_layer quantized_linear = {"QuantizedLinear", 1, 1, 1, linear_forward, mx_quantized_linear_describe};
static const mx_layer quantized_embedding = {"QuantizedEmbedding", 1, 1, 1, embedding_forward, embedding_describe};

/* Which mode has the name; -1 and an error. */
static int mode_of(const char *mode) {
  for (int k = 0; k < 4; k++)
    if (!strcmp(mode, modes[k].name)) return k;
  mx_fail(MX_EVALUE, "Invalid quantization mode '%.100s'. Valid modes are: affine, mxfp4, nvfp4, mxfp8.", mode);
  return -1;
}

static void settle(mx_module *m, int k, int group_size, int bits) {
  const int v[] = {group_size ? group_size : modes[k].group_size, bits ? bits : modes[k].bits, k};
  memcpy(m->whole, v, sizeof v);
}

/* A layer with weight quantized; its arrays are frozen. */
static mx_module *quantized(const mx_layer *layer, mx_array *weight, int group_size, int bits, const char *mode) {
  static const char *const names[] = {"weight", "scales", "biases"};
  int k = mode_of(mode);
  if (k < 0) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(layer);
  if (m) settle(m, k, group_size, bits);
  mx_list parts = {0};
  int rc = m ? mx_quantize(&s, &parts, weight, m->whole, m->whole + 1, mode, NULL) : 0;
  if (rc) mx_scope_error(&s, rc);
  for (int i = 0; i < parts.n && i < 3; i++) mx_layer_param(m, &s, names[i], parts.at[i]);
  mx_list_clear(&parts);
  if (m && !s.rc) mx_module_freeze(m, true, false, NULL, 0, false);
  return mx_layer_done(m, &s);
}

mx_module *mx_quantized_linear_like(const mx_layer *layer, int input_dims, int output_dims, bool bias, int group_size, int bits,
                                    const char *mode) {
  if (!mx_layer_sizes(layer->type, 1, 2, (int[]){input_dims, output_dims})) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  double limit = sqrt(1.0 / input_dims);
  mx_array *w = mx_nn_init_uniform(&s, (int[]){output_dims, input_dims}, 2, -limit, limit, MX_F32, NULL);
  mx_module *m = w ? quantized(layer, w, group_size, bits, mode) : NULL;
  if (m && bias) {
    mx_layer_constant(m, &s, "bias", 0, output_dims);
    mx_module_freeze(m, true, false, NULL, 0, false);
  }
  return mx_layer_done(m, &s);
}

mx_module *mx_quantized_linear_layer(int input_dims, int output_dims, bool bias, int group_size, int bits, const char *mode) {
  return mx_quantized_linear_like(&quantized_linear, input_dims, output_dims, bias, group_size, bits, mode);
}

/* ---- of which the input is quantized too; in training the weight is the plain one. whole[3]: whether it is quantized ---- */

enum { QUANTIZED = 3 };

static int qq_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  const int *v = m->whole;
  out[0] = mx_qqmm(s, in[0], mx_module_own(m, "weight"), mx_module_own(m, "scales"), v, v + 1, modes[v[2]].name, NULL, NULL);
  return 0;
}

static void qq_describe(const mx_module *m, char *to, size_t room) {
  const mx_array *w = mx_module_own(m, "weight");
  const int *v = m->whole;
  if (w && w->ndim == 2)
    snprintf(to, room, "input_dims=%d, output_dims=%d, group_size=%d, bits=%d, mode=%s",
             v[QUANTIZED] ? (int)((int64_t)w->shape[1] * 32 / v[1]) : w->shape[1], w->shape[0], v[0], v[1], modes[v[2]].name);
}

static int qq_mode(mx_module *m) {
  int *v = m->whole, rc = 0;
  mx_array *w = mx_module_own(m, "weight"), *scales = mx_module_own(m, "scales");
  const char *mode = modes[v[2]].name;
  if (v[QUANTIZED] != m->training || !w) return 0;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  if (m->training) {
    mx_layer_param(m, &s, "weight", mx_dequantize(&s, w, scales, NULL, v, v + 1, mode, NULL, NULL));
    if (!s.rc) mx_release(mx_module_take(m, "scales"));
  } else {
    mx_list parts = {0};
    rc = mx_quantize(&s, &parts, w, v, v + 1, mode, NULL);
    if (!rc && parts.n != 2) rc = mx_fail(MX_EVALUE, "[QQLinear] mode '%s' given, expected one without biases", mode);
    if (!rc) mx_layer_param(m, &s, "weight", parts.at[0]);
    if (!rc) mx_layer_param(m, &s, "scales", parts.at[1]);
    mx_list_clear(&parts);
  }
  if (!rc) rc = s.rc;
  if (!rc) v[QUANTIZED] = !m->training;
  mx_scope_end(&s);
  return rc;
}

static const mx_layer qq_linear = {"QQLinear", 1, 1, 1, qq_forward, qq_describe};

mx_module *mx_qq_linear_layer(int input_dims, int output_dims, int group_size, int bits, const char *mode) {
  int k = mode_of(mode);
  mx_module *m = k < 0 ? NULL : mx_linear_like(&qq_linear, input_dims, output_dims, false);
  if (m) {
    settle(m, k, group_size, bits);
    m->mode = qq_mode;
  }
  return m;
}

mx_module *mx_quantized_embedding_layer(int num_embeddings, int dims, int group_size, int bits, const char *mode) {
  int shape[] = {num_embeddings, dims};
  if (!mx_layer_sizes("QuantizedEmbedding", 1, 2, shape)) return NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *w = mx_nn_init_normal(&s, shape, 2, 0, sqrt(1.0 / dims), MX_F32, NULL);
  mx_module *m = w ? quantized(&quantized_embedding, w, group_size, bits, mode) : NULL;
  return mx_layer_done(m, &s);
}

/* ---- a whole tree ---- */

typedef struct swap {
  char *path;
  mx_module *to;
} swap;

typedef struct swaps {
  int n, cap, group_size, bits;
  const char *mode;
  mx_wanted *wanted;
  void *payload;
  swap *at;
} swaps;

static mx_module *quantized_like(const swaps *q, mx_module *m) {
  bool is_linear = !strcmp(m->layer->type, "Linear");
  mx_array *weight = mx_module_own(m, "weight"), *bias = mx_module_own(m, "bias");
  mx_module *made = quantized(is_linear ? &quantized_linear : &quantized_embedding, weight, q->group_size, q->bits, q->mode);
  if (made && is_linear && bias && mx_module_set_array(made, "bias", bias)) { /* it stays trainable */
    mx_module_release(made);
    return NULL;
  }
  if (made) made->training = m->training;
  return made;
}

static int look_at(void *to, const char *path, mx_module *m) {
  swaps *q = to;
  /* a layer whose weight is made of others stays */
  if (!*path || !mx_module_own(m, "weight") || !m->layer || m->forward ||
      (strcmp(m->layer->type, "Linear") && strcmp(m->layer->type, "Embedding")))
    return 0;
  if (q->wanted && !q->wanted(q->payload, path, m)) return 0;
  if (q->n == q->cap) {
    int cap = q->cap ? 2 * q->cap : 16;
    swap *at = mx_realloc(q->at, (size_t)cap * sizeof *at);
    if (!at) return mx_fail_memory();
    q->at = at;
    q->cap = cap;
  }
  char *copy = mx_strdup(path);
  if (!copy) return mx_fail_memory();
  mx_module *made = quantized_like(q, m);
  if (!made) {
    mx_free(copy);
    return mx_error_kind();
  }
  q->at[q->n++] = (swap){copy, made};
  return 0;
}

int mx_module_quantize(mx_module *m, int group_size, int bits, const char *mode, mx_wanted *wanted, void *payload) {
  swaps q = {.group_size = group_size, .bits = bits, .mode = mode, .wanted = wanted, .payload = payload};
  int rc = mx_module_each(m, look_at, &q);
  for (int i = 0; i < q.n; i++) { /* all or none */
    if (!rc) mx_module_replace_at(m, q.at[i].path, q.at[i].to);
    mx_module_release(q.at[i].to);
    mx_free(q.at[i].path);
  }
  mx_free(q.at);
  return rc;
}
