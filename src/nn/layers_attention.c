/* Attention and positional encodings as layers. */
#include <math.h>
#include <stdio.h>

#include "nn/layers.h"

/* ---- attention: queries, keys, values, and a mask; whole = heads, causal ---- */

static int attention_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  static const char *const names[] = {"query_proj", "key_proj", "value_proj"};
  mx_array *x[3];
  for (int i = 0; i < 3; i++) x[i] = mx_module_call1(mx_module_at(m, names[i]), s, in[i]);
  mx_array *y = mx_nn_multi_head_attention(s, x[0], x[1], x[2], m->whole[0], m->whole[1] && !in[3] ? "causal" : "", in[3]);
  out[0] = mx_module_call1(mx_module_at(m, "out_proj"), s, y);
  return 0;
}
static const mx_layer attention = {"MultiHeadAttention", 3, 4, 1, attention_forward, NULL};

mx_module *mx_attention_layer(int dims, int num_heads, int query_input_dims, int key_input_dims, int value_input_dims,
                              int value_dims, int value_output_dims, bool bias, bool causal) {
  if (num_heads < 1 || dims < 1 || dims % num_heads) {
    mx_fail(MX_EVALUE, "The input feature dimensions should be divisible by the number of heads (%d %% %d) != 0", dims,
            num_heads);
    return NULL;
  }
  if (!query_input_dims) query_input_dims = dims;
  if (!key_input_dims) key_input_dims = dims;
  if (!value_input_dims) value_input_dims = key_input_dims;
  if (!value_dims) value_dims = dims;
  if (!value_output_dims) value_output_dims = dims;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&attention);
  mx_layer_child(m, &s, "query_proj", mx_linear_layer(query_input_dims, dims, bias));
  mx_layer_child(m, &s, "key_proj", mx_linear_layer(key_input_dims, dims, bias));
  mx_layer_child(m, &s, "value_proj", mx_linear_layer(value_input_dims, value_dims, bias));
  mx_layer_child(m, &s, "out_proj", mx_linear_layer(value_dims, value_output_dims, bias));
  if (m) m->whole[0] = num_heads, m->whole[1] = causal;
  return mx_layer_done(m, &s);
}

/* ---- positions ---- */

static int rope_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  float base = (float)m->real[0], scale = (float)m->real[1];
  out[0] = in[1] ? mx_fast_rope_dynamic(s, in[0], m->whole[0], m->whole[1], &base, scale, in[1], NULL)
                 : mx_fast_rope(s, in[0], m->whole[0], m->whole[1], &base, scale, 0, NULL);
  return 0;
}
static void rope_describe(const mx_module *m, char *to, size_t room) {
  snprintf(to, room, "%d, traditional=%s", m->whole[0], mx_yes(m->whole[1]));
}

static int sinusoidal_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  out[0] = mx_nn_sinusoidal(s, in[0], mx_module_own(m, "_sigmas"), m->real[0], m->whole[0]);
  return 0;
}

/* Scores (N, H, queries, keys) and a mask. */
static int alibi_forward(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out) {
  (void)m;
  mx_array *x = in[0];
  if (x->ndim != 4)
    return mx_fail(MX_EVALUE, "[ALiBi] Expected scores (N, heads, queries, keys), but their shape is %s.", mx_shape_words(x));
  mx_array *bias = mx_nn_alibi(s, x->shape[2], x->shape[3], x->shape[1], 0, x->dtype);
  if (in[1]) bias = mx_add(s, bias, in[1]);
  out[0] = mx_add(s, x, bias);
  return 0;
}

static const mx_layer rope = {"RoPE", 1, 2, 1, rope_forward, rope_describe};
static const mx_layer sinusoidal = {"SinusoidalPositionalEncoding", 1, 1, 1, sinusoidal_forward, NULL};
static const mx_layer alibi = {"ALiBi", 1, 2, 1, alibi_forward, NULL};

mx_module *mx_rope_layer(int dims, bool traditional, double base, double scale) {
  if (!mx_layer_sizes("RoPE", 1, 1, &dims)) return NULL;
  mx_module *m = mx_module_new(&rope);
  if (!m) return NULL;
  m->whole[0] = dims;
  m->whole[1] = traditional;
  m->real[0] = base;
  m->real[1] = scale;
  return m;
}

mx_module *mx_sinusoidal_layer(int dims, double min_freq, double max_freq, double scale, bool cos_first, bool full_turns) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_module *m = mx_module_new(&sinusoidal);
  mx_layer_param(m, &s, "_sigmas", mx_nn_sinusoidal_frequencies(&s, dims, min_freq, max_freq, full_turns));
  if (m) m->whole[0] = cos_first, m->real[0] = scale ? scale : sqrt(2.0 / dims);
  return mx_layer_done(m, &s);
}

mx_module *mx_alibi_layer(void) { return mx_module_new(&alibi); }
