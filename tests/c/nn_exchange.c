/* The C half of tests/python/test_nn_c.py, which compiles and runs it: the same model as there, in C.
 *
 *   nn_exchange init SEED WEIGHTS            saves the parameters as they begin
 *   nn_exchange forward WEIGHTS INPUTS OUT   loads parameters; saves the result for the arrays "x" and "ids", and the gradients
 *   nn_exchange print                        the model as text
 *   nn_exchange each SEED INPUTS FOLDER      every other layer: saves its parameters, and its result for the array of its name */
#include <mlx/c/mlx.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mlx_stream s;

#define TRY(call)                                           \
  do {                                                      \
    if (call) {                                             \
      fprintf(stderr, "%s: %s\n", #call, mlx_last_error()); \
      exit(1);                                              \
    }                                                       \
  } while (0)

/* Net.__call__ of the Python half. */
static int forward(mlx_vector_array *res, const mlx_nn_module self, const mlx_vector_array inputs, void *payload) {
  (void)payload;
  mlx_array x = mlx_array_new(), e = mlx_array_new(), scale = mlx_array_new();
  mlx_nn_module attention = mlx_nn_module_new();
  TRY(mlx_vector_array_get(&x, inputs, 0) || mlx_vector_array_get(&e, inputs, 1));
  TRY(mlx_nn_module_call_child(&x, self, "conv", x) || mlx_nn_module_call_child(&x, self, "norm", x));
  TRY(mlx_nn_relu(&x, x, s) || mlx_nn_max_pool(&x, x, (int[]){2}, 1, NULL, 0, NULL, 0, s));
  TRY(mlx_mean_axes(&x, x, (int[]){1, 2}, 2, false, s) || mlx_nn_module_call_child(&x, self, "group", x));

  TRY(mlx_nn_module_call_child(&e, self, "embed", e) || mlx_nn_module_get_module(&attention, self, "attention"));
  mlx_vector_array qkv = mlx_vector_array_new_data((mlx_array[]){e, e, e}, 3), out = mlx_vector_array_new();
  TRY(mlx_nn_module_apply(&out, attention, qkv) || mlx_vector_array_get(&e, out, 0));
  TRY(mlx_nn_module_call_child(&e, self, "lstm", e) || mlx_nn_module_call_child(&e, self, "gru", e) ||
      mlx_nn_module_call_child(&e, self, "rnn", e) || mlx_nn_module_call_child(&e, self, "rms", e));
  TRY(mlx_mean_axis(&e, e, 1, false, s) || mlx_nn_module_get_array(&scale, self, "scale"));
  TRY(mlx_multiply(&e, e, scale, s) || mlx_add(&x, x, e, s) || mlx_nn_module_call_child(&x, self, "head", x));
  *res = mlx_vector_array_new_value(x);
  mlx_vector_array_free(qkv);
  mlx_vector_array_free(out);
  mlx_nn_module_free(attention);
  mlx_array_free(x);
  mlx_array_free(e);
  mlx_array_free(scale);
  return 0;
}

static mlx_nn_module build(void) {
  mlx_nn_module net = mlx_nn_module_new_custom("Net", forward, NULL, NULL);
  const int three[] = {3, 3}, one[] = {1, 1};
  TRY(mlx_nn_module_add(net, "embed", mlx_nn_embedding_new(11, 8)));
  TRY(mlx_nn_module_add(net, "conv", mlx_nn_conv2d_new(3, 8, three, one, one, one, 1, true)));
  TRY(mlx_nn_module_add(net, "norm", mlx_nn_batch_norm_new(8, 1e-5, 0.1, true, true)));
  mlx_nn_module layers[] = {mlx_nn_linear_new(8, 16, true), mlx_nn_function_new(mlx_nn_gelu),
                            mlx_nn_layer_norm_new(16, 1e-5, true, true), mlx_nn_linear_new(16, 5, false)};
  TRY(mlx_nn_module_add(net, "head", mlx_nn_sequential_new(4, layers)));
  TRY(mlx_nn_module_add(net, "attention", mlx_nn_multi_head_attention_new(8, 2, true, false)));
  TRY(mlx_nn_module_add(net, "lstm", mlx_nn_lstm_new(8, 8, true)));
  TRY(mlx_nn_module_add(net, "gru", mlx_nn_gru_new(8, 8, true)));
  TRY(mlx_nn_module_add(net, "rnn", mlx_nn_rnn_new(8, 8, true)));
  TRY(mlx_nn_module_add(net, "rms", mlx_nn_rms_norm_new(8, 1e-5)));
  TRY(mlx_nn_module_add(net, "group", mlx_nn_group_norm_new(2, 8, 1e-5, true, false)));
  mlx_array scale = mlx_array_new();
  TRY(mlx_ones(&scale, (int[]){8}, 1, MLX_FLOAT32, s) || mlx_nn_module_set_array(net, "scale", scale));
  mlx_array_free(scale);
  return net;
}

static int loss(mlx_vector_array *res, const mlx_vector_array inputs, void *payload) {
  mlx_array y = mlx_array_new(), sum = mlx_array_new();
  mlx_vector_array out = mlx_vector_array_new();
  TRY(mlx_nn_module_apply(&out, *(mlx_nn_module *)payload, inputs) || mlx_vector_array_get(&y, out, 0));
  TRY(mlx_square(&sum, y, s) || mlx_sum(&sum, sum, false, s));
  *res = mlx_vector_array_new_data((mlx_array[]){sum, y}, 2);
  mlx_vector_array_free(out);
  mlx_array_free(sum);
  mlx_array_free(y);
  return 0;
}

static void run(mlx_nn_module net, const char *weights, const char *inputs, const char *result) {
  mlx_map_string_to_array in = {NULL}, grads = {NULL};
  mlx_map_string_to_string meta = {NULL};
  mlx_array x = mlx_array_new(), ids = mlx_array_new(), y = mlx_array_new();
  TRY(mlx_nn_module_load_weights(net, weights, true) || mlx_nn_module_train(net, false));
  TRY(mlx_load_safetensors(&in, &meta, inputs, s));
  TRY(mlx_map_string_to_array_get(&x, in, "x") || mlx_map_string_to_array_get(&ids, in, "ids"));
  mlx_vector_array args = mlx_vector_array_new_data((mlx_array[]){x, ids}, 2), values = mlx_vector_array_new();
  mlx_closure f = mlx_closure_new_func_payload(loss, &net, NULL);
  TRY(mlx_nn_value_and_grad(&values, &grads, net, f, args) || mlx_vector_array_get(&y, values, 1));
  TRY(mlx_map_string_to_array_insert(grads, "y", y) || mlx_save_safetensors(result, grads, meta));
  mlx_closure_free(f);
  mlx_vector_array_free(args);
  mlx_vector_array_free(values);
  mlx_array_free(x);
  mlx_array_free(ids);
  mlx_array_free(y);
  mlx_map_string_to_array_free(in);
  mlx_map_string_to_array_free(grads);
  mlx_map_string_to_string_free(meta);
}

/* The layers of LAYERS in the Python half, in that order. */
static void each(const char *inputs, const char *folder) {
  const int k1[] = {3}, k2[] = {2, 3}, k3[] = {2, 2, 2}, one[] = {1, 1, 1}, two[] = {2, 2, 2}, none[] = {0, 0, 0},
            keep[] = {3, -1};
  const double scale[] = {1.5, 2};
  const mlx_distributed_group everybody = {NULL};
  const struct {
    const char *name;
    mlx_nn_module m;
  } layers[] = {
      {"bilinear", mlx_nn_bilinear_new(4, 4, 5, true)},
      {"conv1d", mlx_nn_conv1d_new(4, 6, 3, 2, 1, 1, 2, true)},
      {"conv3d", mlx_nn_conv3d_new(4, 2, k3, one, one, one, true)},
      {"conv_transpose1d", mlx_nn_conv_transpose1d_new(4, 3, 3, 2, 1, 1, 1, true)},
      {"conv_transpose2d", mlx_nn_conv_transpose2d_new(4, 3, k2, two, one, one, one, false)},
      {"conv_transpose3d", mlx_nn_conv_transpose3d_new(4, 3, k3, two, none, one, none, true)},
      {"max_pool1d", mlx_nn_max_pool_new(1, k1, two, one)},
      {"avg_pool2d", mlx_nn_avg_pool_new(2, k2, NULL, NULL)},
      {"max_pool3d", mlx_nn_max_pool_new(3, k3, one, NULL)},
      {"instance_norm", mlx_nn_instance_norm_new(4, 1e-5, true)},
      {"group_norm", mlx_nn_group_norm_new(2, 4, 1e-5, true, true)},
      {"rope", mlx_nn_rope_new(4, false, 10000, 1)},
      {"sinusoidal", mlx_nn_sinusoidal_new(6, 0.0001, 1, 0, false, true)},
      {"alibi", mlx_nn_alibi_new()},
      {"prelu", mlx_nn_prelu_new(4, 0.25)},
      {"encoder", mlx_nn_transformer_encoder_new(2, 4, 2, 0, 0, NULL, true, false, false)},
      {"encoder_post", mlx_nn_transformer_encoder_new(1, 4, 2, 6, 0, mlx_nn_gelu, false, true, false)},
      {"transformer", mlx_nn_transformer_new(4, 2, 1, 2, 8, 0, NULL, true, true, false)},
      {"transformer_post", mlx_nn_transformer_new(4, 2, 1, 1, 8, 0, mlx_nn_silu, false, true, false)},
      {"upsample", mlx_nn_upsample_new(scale, 2, "linear", false, false)},
      {"adaptive_avg_pool", mlx_nn_adaptive_avg_pool_new(2, keep)},
      {"adaptive_max_pool", mlx_nn_adaptive_max_pool_new(1, k1)},
      {"pixel_shuffle", mlx_nn_pixel_shuffle_new(2)},
      {"pixel_unshuffle", mlx_nn_pixel_unshuffle_new(2)},
      {"embedding_bag", mlx_nn_embedding_bag_new(7, 4, "mean")},
      {"quantized_linear", mlx_nn_quantized_linear_new(64, 8, true, 32, 8, "affine")},
      {"quantized_embedding", mlx_nn_quantized_embedding_new(7, 64, 0, 0, "mxfp4")},
      {"encoder_checkpoint", mlx_nn_transformer_encoder_new(2, 4, 2, 0, 0, NULL, true, false, true)},
      {"transformer_checkpoint", mlx_nn_transformer_new(4, 2, 1, 2, 8, 0, NULL, true, true, true)},
      {"qq_linear", mlx_nn_qq_linear_new(64, 8, 0, 0, "nvfp4")},
      {"all_to_sharded", mlx_nn_all_to_sharded_linear_new(4, 3, true, everybody)},
      {"sharded_to_all", mlx_nn_sharded_to_all_linear_new(4, 3, true, everybody)},
      {"quantized_all_to_sharded", mlx_nn_quantized_all_to_sharded_linear_new(64, 8, true, 32, 8, "affine", everybody)},
      {"quantized_sharded_to_all", mlx_nn_quantized_sharded_to_all_linear_new(64, 8, false, 32, 4, "mxfp4", everybody)},
      {"weight_norm", mlx_nn_weight_norm_new(mlx_nn_linear_new(4, 3, true), 0)},
      {"spectral_norm", mlx_nn_spectral_norm_new(mlx_nn_conv1d_new(4, 6, 3, 1, 0, 1, 1, true), 2, 1e-12)},
  };
  mlx_map_string_to_array in = {NULL}, results = mlx_map_string_to_array_new();
  mlx_map_string_to_string meta = {NULL};
  TRY(mlx_load_safetensors(&in, &meta, inputs, s));
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    char file[512];
    mlx_array x = mlx_array_new();
    TRY(!layers[i].m.ctx);
    snprintf(file, sizeof file, "%s/%s.safetensors", folder, layers[i].name);
    TRY(mlx_nn_module_save_weights(layers[i].m, file) || mlx_map_string_to_array_get(&x, in, layers[i].name));
    bool pair = strstr(layers[i].name, "bilinear") || strstr(layers[i].name, "transformer");
    mlx_vector_array args = mlx_vector_array_new_data((mlx_array[]){x, x}, pair ? 2 : 1), out = mlx_vector_array_new();
    TRY(mlx_nn_module_apply(&out, layers[i].m, args) || mlx_vector_array_get(&x, out, 0));
    TRY(mlx_map_string_to_array_insert(results, layers[i].name, x));
    mlx_vector_array_free(args);
    mlx_vector_array_free(out);
    mlx_array_free(x);
    mlx_nn_module_free(layers[i].m);
  }
  char file[512];
  snprintf(file, sizeof file, "%s/results.safetensors", folder);
  TRY(mlx_save_safetensors(file, results, meta));
  mlx_map_string_to_array_free(in);
  mlx_map_string_to_array_free(results);
  mlx_map_string_to_string_free(meta);
}

int main(int n, char **arg) {
  s = mlx_default_cpu_stream_new();
  if (n == 4 && !strcmp(arg[1], "init")) TRY(mlx_random_seed((uint64_t)atoi(arg[2])));
  if (n == 5 && !strcmp(arg[1], "each")) {
    TRY(mlx_random_seed((uint64_t)atoi(arg[2])));
    each(arg[3], arg[4]);
    return 0;
  }
  mlx_nn_module net = build();
  mlx_string text = mlx_string_new();
  if (n == 4 && !strcmp(arg[1], "init"))
    TRY(mlx_nn_module_save_weights(net, arg[3]));
  else if (n == 5 && !strcmp(arg[1], "forward"))
    run(net, arg[2], arg[3], arg[4]);
  else if (n == 2 && !strcmp(arg[1], "print")) {
    TRY(mlx_nn_module_tostring(&text, net));
    printf("%s\n\n", mlx_string_data(text));
    TRY(mlx_nn_module_summary(&text, net));
    printf("%s\n", mlx_string_data(text));
  } else
    return 2;
  mlx_string_free(text);
  mlx_nn_module_free(net);
  mlx_stream_free(s);
  return 0;
}
