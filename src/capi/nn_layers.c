/* The constructors of layers, and modules as text. */
#include <stdlib.h>

#include "capi/distributed.h"
#include "capi/nn.h"
#include "nn/layers.h"

/* A new module, or NULL and a recorded error, in a handle. */
static mlx_nn_module made(mx_module *m) {
  mlx_nn_module res = {NULL};
  if (mx_put_module(&res, m)) MX_REPORT();
  return res;
}

static mlx_nn_module refused(const char *tag) {
  MX_REFUSE(MX_EVALUE, "[%s] NULL given, expected sizes", tag);
  return (mlx_nn_module){NULL};
}

mlx_nn_module mlx_nn_sequential_new(size_t n, const mlx_nn_module *layers) {
  mlx_nn_module res = {NULL};
  if (n && !layers) return refused("nn_sequential");
  mx_module **m = mx_malloc((n + 1) * sizeof *m);
  int rc = m ? 0 : mx_fail_memory();
  for (size_t i = 0; i < n && !rc; i++) rc = mx_need_module(&m[i], layers[i], "nn_sequential");
  res = made(rc ? NULL : mx_sequential_layer((int)n, m));
  mx_free(m);
  for (size_t i = 0; i < n; i++) mlx_nn_module_free(layers[i]);
  return res;
}

mlx_nn_module mlx_nn_identity_new(void) { return made(mx_identity_layer()); }
mlx_nn_module mlx_nn_linear_new(int input_dims, int output_dims, bool bias) {
  return made(mx_linear_layer(input_dims, output_dims, bias));
}
mlx_nn_module mlx_nn_bilinear_new(int input1_dims, int input2_dims, int output_dims, bool bias) {
  return made(mx_bilinear_layer(input1_dims, input2_dims, output_dims, bias));
}
mlx_nn_module mlx_nn_embedding_new(int num_embeddings, int dims) { return made(mx_embedding_layer(num_embeddings, dims)); }

mlx_nn_module mlx_nn_conv1d_new(int in_channels, int out_channels, int kernel_size, int stride, int padding, int dilation,
                                int groups, bool bias) {
  return made(mx_conv_layer(1, in_channels, out_channels, &kernel_size, &stride, &padding, &dilation, groups, bias));
}
mlx_nn_module mlx_nn_conv2d_new(int in_channels, int out_channels, const int kernel_size[2], const int stride[2],
                                const int padding[2], const int dilation[2], int groups, bool bias) {
  if (!kernel_size || !stride || !padding || !dilation) return refused("nn_conv2d");
  return made(mx_conv_layer(2, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias));
}
mlx_nn_module mlx_nn_conv3d_new(int in_channels, int out_channels, const int kernel_size[3], const int stride[3],
                                const int padding[3], const int dilation[3], bool bias) {
  if (!kernel_size || !stride || !padding || !dilation) return refused("nn_conv3d");
  return made(mx_conv_layer(3, in_channels, out_channels, kernel_size, stride, padding, dilation, 1, bias));
}
mlx_nn_module mlx_nn_conv_transpose1d_new(int in_channels, int out_channels, int kernel_size, int stride, int padding,
                                          int dilation, int output_padding, bool bias) {
  return made(
      mx_conv_transpose_layer(1, in_channels, out_channels, &kernel_size, &stride, &padding, &dilation, &output_padding, bias));
}
mlx_nn_module mlx_nn_conv_transpose2d_new(int in_channels, int out_channels, const int kernel_size[2], const int stride[2],
                                          const int padding[2], const int dilation[2], const int output_padding[2], bool bias) {
  if (!kernel_size || !stride || !padding || !dilation || !output_padding) return refused("nn_conv_transpose2d");
  return made(
      mx_conv_transpose_layer(2, in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, bias));
}
mlx_nn_module mlx_nn_conv_transpose3d_new(int in_channels, int out_channels, const int kernel_size[3], const int stride[3],
                                          const int padding[3], const int dilation[3], const int output_padding[3], bool bias) {
  if (!kernel_size || !stride || !padding || !dilation || !output_padding) return refused("nn_conv_transpose3d");
  return made(
      mx_conv_transpose_layer(3, in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, bias));
}

static mlx_nn_module pool(bool mean, int dims, const int *kernel, const int *stride, const int *padding) {
  static const int none[3] = {0};
  if (!kernel) return refused("nn_pool");
  if (dims < 1 || dims > 3) {
    MX_REFUSE(MX_EVALUE, "[nn_pool] %d spatial axes given, expected 1 to 3", dims);
    return (mlx_nn_module){NULL};
  }
  return made(mx_pool_layer(mean, dims, kernel, stride ? stride : kernel, padding ? padding : none));
}
mlx_nn_module mlx_nn_max_pool_new(int dims, const int *kernel_size, const int *stride, const int *padding) {
  return pool(false, dims, kernel_size, stride, padding);
}
mlx_nn_module mlx_nn_avg_pool_new(int dims, const int *kernel_size, const int *stride, const int *padding) {
  return pool(true, dims, kernel_size, stride, padding);
}

mlx_nn_module mlx_nn_layer_norm_new(int dims, double eps, bool affine, bool bias) {
  return made(mx_layer_norm_layer(dims, eps, affine, bias));
}
mlx_nn_module mlx_nn_rms_norm_new(int dims, double eps) { return made(mx_rms_norm_layer(dims, eps)); }
mlx_nn_module mlx_nn_instance_norm_new(int dims, double eps, bool affine) {
  return made(mx_instance_norm_layer(dims, eps, affine));
}
mlx_nn_module mlx_nn_group_norm_new(int num_groups, int dims, double eps, bool affine, bool pytorch_compatible) {
  return made(mx_group_norm_layer(num_groups, dims, eps, affine, pytorch_compatible));
}
mlx_nn_module mlx_nn_batch_norm_new(int num_features, double eps, double momentum, bool affine, bool track_running_stats) {
  return made(mx_batch_norm_layer(num_features, eps, momentum, affine, track_running_stats));
}

mlx_nn_module mlx_nn_dropout_new(double p) { return made(mx_dropout_layer(0, p)); }
mlx_nn_module mlx_nn_dropout2d_new(double p) { return made(mx_dropout_layer(2, p)); }
mlx_nn_module mlx_nn_dropout3d_new(double p) { return made(mx_dropout_layer(3, p)); }

mlx_nn_module mlx_nn_rnn_new(int input_size, int hidden_size, bool bias) {
  return made(mx_rnn_layer(input_size, hidden_size, bias));
}
mlx_nn_module mlx_nn_gru_new(int input_size, int hidden_size, bool bias) {
  return made(mx_gru_layer(input_size, hidden_size, bias));
}
mlx_nn_module mlx_nn_lstm_new(int input_size, int hidden_size, bool bias) {
  return made(mx_lstm_layer(input_size, hidden_size, bias));
}

mlx_nn_module mlx_nn_multi_head_attention_new(int dims, int num_heads, bool bias, bool causal) {
  return made(mx_attention_layer(dims, num_heads, 0, 0, 0, 0, 0, bias, causal));
}
mlx_nn_module mlx_nn_multi_head_attention_new_dims(int dims, int num_heads, int query_input_dims, int key_input_dims,
                                                   int value_input_dims, int value_dims, int value_output_dims, bool bias,
                                                   bool causal) {
  return made(mx_attention_layer(dims, num_heads, query_input_dims, key_input_dims, value_input_dims, value_dims,
                                 value_output_dims, bias, causal));
}
mlx_nn_module mlx_nn_rope_new(int dims, bool traditional, double base, double scale) {
  return made(mx_rope_layer(dims, traditional, base, scale));
}
mlx_nn_module mlx_nn_sinusoidal_new(int dims, double min_freq, double max_freq, double scale, bool cos_first, bool full_turns) {
  return made(mx_sinusoidal_layer(dims, min_freq, max_freq, scale, cos_first, full_turns));
}
mlx_nn_module mlx_nn_alibi_new(void) { return made(mx_alibi_layer()); }

mlx_nn_module mlx_nn_prelu_new(int num_parameters, double init) { return made(mx_prelu_layer(num_parameters, init)); }

/* ---- transformers ---- */

enum kind { ENCODER_LAYER, DECODER_LAYER, ENCODER, DECODER, BOTH };

static mlx_nn_module transformer(enum kind kind, int n, int decoders, mx_transformer_settings t, mlx_nn_unary activation) {
  mlx_nn_module function = {NULL}, res;
  if (activation) {
    function = mlx_nn_function_new(activation);
    if (!function.ctx) return function;
    t.activation = mx_module_of(function);
  }
  mx_module *m = kind == ENCODER_LAYER   ? mx_encoder_layer_layer(&t)
                 : kind == DECODER_LAYER ? mx_decoder_layer_layer(&t)
                 : kind == ENCODER       ? mx_encoder_layer_stack(n, &t)
                 : kind == DECODER       ? mx_decoder_layer_stack(n, &t)
                                         : mx_transformer_layer(n, decoders, &t);
  res = made(m);
  mlx_nn_module_free(function);
  return res;
}
#define SETTINGS ((mx_transformer_settings){dims, num_heads, mlp_dims, dropout, NULL, norm_first, causal, false})
#define STACKED ((mx_transformer_settings){dims, num_heads, mlp_dims, dropout, NULL, norm_first, causal, checkpoint})

mlx_nn_module mlx_nn_transformer_encoder_layer_new(int dims, int num_heads, int mlp_dims, double dropout, mlx_nn_unary activation,
                                                   bool norm_first, bool causal) {
  return transformer(ENCODER_LAYER, 0, 0, SETTINGS, activation);
}
mlx_nn_module mlx_nn_transformer_decoder_layer_new(int dims, int num_heads, int mlp_dims, double dropout, mlx_nn_unary activation,
                                                   bool norm_first, bool causal) {
  return transformer(DECODER_LAYER, 0, 0, SETTINGS, activation);
}
mlx_nn_module mlx_nn_transformer_encoder_new(int num_layers, int dims, int num_heads, int mlp_dims, double dropout,
                                             mlx_nn_unary activation, bool norm_first, bool causal, bool checkpoint) {
  return transformer(ENCODER, num_layers, 0, STACKED, activation);
}
mlx_nn_module mlx_nn_transformer_decoder_new(int num_layers, int dims, int num_heads, int mlp_dims, double dropout,
                                             mlx_nn_unary activation, bool norm_first, bool causal, bool checkpoint) {
  return transformer(DECODER, num_layers, 0, STACKED, activation);
}
mlx_nn_module mlx_nn_transformer_new(int dims, int num_heads, int num_encoder_layers, int num_decoder_layers, int mlp_dims,
                                     double dropout, mlx_nn_unary activation, bool norm_first, bool causal, bool checkpoint) {
  return transformer(BOTH, num_encoder_layers, num_decoder_layers, STACKED, activation);
}

/* ---- resizing, bags, weights made of others ---- */

mlx_nn_module mlx_nn_upsample_new(const double *scale, size_t scale_num, const char *mode, bool align_corners, bool antialias) {
  if (!scale || !mode) return refused("nn_upsample");
  return made(mx_upsample_layer(scale_num > 3 ? 4 : (int)scale_num, scale, mode, align_corners, antialias));
}

static mlx_nn_module adaptive(bool mean, int dims, const int *size) {
  if (!size) return refused("nn_adaptive_pool");
  if (dims >= 1 && dims <= 3) return made(mx_adaptive_layer(mean, dims, size));
  MX_REFUSE(MX_EVALUE, "[nn_adaptive_pool] %d spatial axes given, expected 1 to 3", dims);
  return (mlx_nn_module){NULL};
}
mlx_nn_module mlx_nn_adaptive_avg_pool_new(int dims, const int *output_size) { return adaptive(true, dims, output_size); }
mlx_nn_module mlx_nn_adaptive_max_pool_new(int dims, const int *output_size) { return adaptive(false, dims, output_size); }
mlx_nn_module mlx_nn_pixel_shuffle_new(int factor) { return made(mx_shuffle_layer(false, factor)); }
mlx_nn_module mlx_nn_pixel_unshuffle_new(int factor) { return made(mx_shuffle_layer(true, factor)); }
mlx_nn_module mlx_nn_embedding_bag_new(int num_embeddings, int dims, const char *mode) {
  return mode ? made(mx_embedding_bag_layer(num_embeddings, dims, mode)) : refused("nn_embedding_bag");
}

mlx_nn_module mlx_nn_weight_norm_new(mlx_nn_module layer, int axis) {
  mx_module *m;
  mlx_nn_module res = made(mx_need_module(&m, layer, "nn_weight_norm") ? NULL : mx_weight_norm_layer(m, axis));
  mlx_nn_module_free(layer);
  return res;
}
mlx_nn_module mlx_nn_spectral_norm_new(mlx_nn_module layer, int iterations, double eps) {
  mx_module *m;
  mlx_nn_module res = made(mx_need_module(&m, layer, "nn_spectral_norm") ? NULL : mx_spectral_norm_layer(m, iterations, eps));
  mlx_nn_module_free(layer);
  return res;
}

/* ---- quantized and shared ---- */

mlx_nn_module mlx_nn_quantized_linear_new(int input_dims, int output_dims, bool bias, int group_size, int bits,
                                          const char *mode) {
  return mode ? made(mx_quantized_linear_layer(input_dims, output_dims, bias, group_size, bits, mode))
              : refused("nn_quantized_linear");
}
mlx_nn_module mlx_nn_quantized_embedding_new(int num_embeddings, int dims, int group_size, int bits, const char *mode) {
  return mode ? made(mx_quantized_embedding_layer(num_embeddings, dims, group_size, bits, mode))
              : refused("nn_quantized_embedding");
}

mlx_nn_module mlx_nn_qq_linear_new(int input_dims, int output_dims, int group_size, int bits, const char *mode) {
  return mode ? made(mx_qq_linear_layer(input_dims, output_dims, group_size, bits, mode)) : refused("nn_qq_linear");
}

static mx_array *sum_over(mx_scope *s, mx_array *x, void *group) { return mx_all_sum(s, x, group); }
static void drop_group(void *group) { mx_object_release(group); }
/* The processes of a group; of the empty handle, all. */
static mx_team team_of(mlx_distributed_group group) {
  mx_group *g = mx_group_of(group);
  return g ? (mx_team){g->size, sum_over, mx_object_retain(&g->base), drop_group} : (mx_team){1, sum_over, NULL, NULL};
}

mlx_nn_module mlx_nn_all_to_sharded_linear_new(int input_dims, int output_dims, bool bias, const mlx_distributed_group group) {
  return made(mx_all_to_sharded_layer(input_dims, output_dims, bias, 0, 0, NULL, team_of(group)));
}
mlx_nn_module mlx_nn_sharded_to_all_linear_new(int input_dims, int output_dims, bool bias, const mlx_distributed_group group) {
  return made(mx_sharded_to_all_layer(input_dims, output_dims, bias, 0, 0, NULL, team_of(group)));
}
mlx_nn_module mlx_nn_quantized_all_to_sharded_linear_new(int input_dims, int output_dims, bool bias, int group_size, int bits,
                                                         const char *mode, const mlx_distributed_group group) {
  return mode ? made(mx_all_to_sharded_layer(input_dims, output_dims, bias, group_size, bits, mode, team_of(group)))
              : refused("nn_quantized_all_to_sharded_linear");
}
mlx_nn_module mlx_nn_quantized_sharded_to_all_linear_new(int input_dims, int output_dims, bool bias, int group_size, int bits,
                                                         const char *mode, const mlx_distributed_group group) {
  return mode ? made(mx_sharded_to_all_layer(input_dims, output_dims, bias, group_size, bits, mode, team_of(group)))
              : refused("nn_quantized_sharded_to_all_linear");
}

typedef struct asking {
  mlx_nn_predicate wanted;
  void *payload;
} asking;

static bool ask(void *payload, const char *path, mx_module *m) {
  asking *a = payload;
  mx_module *layer = m;
  return a->wanted(path, (mlx_nn_module){&layer}, a->payload);
}

int mlx_nn_quantize(const mlx_nn_module module, int group_size, int bits, const char *mode, mlx_nn_predicate wanted,
                    void *payload) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_quantize");
  if (!rc && !mode) rc = mx_fail(MX_EVALUE, "[nn_quantize] NULL given, expected a mode");
  return MX_STATUS(rc ? rc : mx_module_quantize(m, group_size, bits, mode, wanted ? ask : NULL, &(asking){wanted, payload}));
}

/* ---- as text ---- */

static int give_text(mlx_string *res, mlx_nn_module module, char *(*text)(mx_module *m), const char *tag) {
  mx_module *m;
  int rc = mx_need_module(&m, module, tag);
  char *made_text = rc ? NULL : text(m);
  if (!rc) rc = made_text ? mx_put_string(res, made_text) : mx_error_kind();
  mx_free(made_text);
  return MX_STATUS(rc);
}

int mlx_nn_module_tostring(mlx_string *res, const mlx_nn_module module) {
  return give_text(res, module, mx_module_text, "nn_module_tostring");
}
int mlx_nn_module_summary(mlx_string *res, const mlx_nn_module module) {
  return give_text(res, module, mx_module_summary, "nn_module_summary");
}
