/* Modules from C: members and paths, calls, freezing, gradients, files, text, and what is refused. Against Python's modules:
 * tests/python/test_nn_c.py. */
#include "capi_testing.h"

#include <math.h>
#include <unistd.h>

static mlx_stream cpu;

static int begin(void **state) {
  cpu = mlx_default_cpu_stream_new();
  return listen_to_errors(state);
}
static int end(void **state) {
  (void)state;
  return mlx_stream_free(cpu);
}

static mlx_array ones(int n, int m) {
  mlx_array a = mlx_array_new();
  assert_ok(mlx_ones(&a, (int[]){n, m}, 2, MLX_FLOAT32, cpu));
  return a;
}

static float item(mlx_array a) { /* the sum of all elements */
  mlx_array sum = mlx_array_new();
  float v = 0;
  assert_ok(mlx_sum(&sum, a, false, cpu));
  assert_ok(mlx_array_item_float32(&v, sum));
  mlx_array_free(sum);
  return v;
}

/* Whether a map that `get` gives has the path. */
static bool has(int (*get)(mlx_map_string_to_array *, mlx_nn_module), mlx_nn_module m, const char *path) {
  mlx_map_string_to_array map = {NULL};
  mlx_array v = {NULL};
  assert_ok(get(&map, m));
  int rc = mlx_map_string_to_array_get(&v, map, path);
  mlx_array_free(v);
  mlx_map_string_to_array_free(map);
  return rc == 0;
}

static mlx_nn_module small(void) { /* two linear layers with an activation between */
  return mlx_nn_sequential_new(
      3, (mlx_nn_module[]){mlx_nn_linear_new(3, 4, true), mlx_nn_function_new(mlx_nn_relu), mlx_nn_linear_new(4, 2, true)});
}

static void members_have_paths(void **state) {
  (void)state;
  mlx_nn_module net = mlx_nn_module_new_custom("Net", NULL, NULL, NULL), got = mlx_nn_module_new();
  mlx_array a = ones(2, 2), b = mlx_array_new();
  assert_ok(mlx_nn_module_add(net, "body", small()));
  assert_ok(mlx_nn_module_set_array(net, "scale", a));
  assert_ok(mlx_nn_module_set_array(net, "_cache", a));
  assert_true(has(mlx_nn_module_parameters, net, "body.layers.0.weight"));
  assert_true(has(mlx_nn_module_parameters, net, "scale"));
  assert_false(has(mlx_nn_module_parameters, net, "_cache"));
  assert_true(has(mlx_nn_module_state, net, "_cache"));
  assert_ok(mlx_nn_module_get_array(&b, net, "body.layers.2.bias"));
  assert_int_equal(mlx_array_shape(b)[0], 2);
  assert_int_equal(mlx_nn_module_get_array(&b, net, "body.layers.3.bias"), 2);
  assert_ok(mlx_nn_module_get_module(&got, net, "body.layers.0"));
  assert_string_equal(mlx_nn_module_type(got), "Linear");
  assert_int_equal(mlx_nn_module_get_module(&got, net, "scale"), 2);
  size_t numbers, trainable, bytes;
  assert_ok(mlx_nn_module_count(&numbers, &trainable, &bytes, net));
  assert_int_equal(numbers, 3 * 4 + 4 + 4 * 2 + 2 + 4);
  assert_int_equal(trainable, numbers);
  assert_int_equal(bytes, 4 * numbers);
  assert_refused(mlx_nn_module_set_array(net, "body.layers", a), "beside 'body'");
  assert_refused(mlx_nn_module_set_array(net, "", a), "no name");
  assert_refused(mlx_nn_module_set_array(net, "a..b", a), "no name");
  assert_refused(mlx_nn_module_set_array(net, "x", (mlx_array){NULL}), "empty array");
  mlx_nn_module again = mlx_nn_module_new();
  assert_ok(mlx_nn_module_set(&again, net));
  assert_ok(mlx_nn_module_get_module(&got, net, "body"));
  assert_refused(mlx_nn_module_add(got, "up", again), "below itself");
  mlx_nn_module_free(got);
  mlx_nn_module_free(net);
  mlx_array_free(a);
  mlx_array_free(b);
}

static int doubled(mlx_vector_array *res, const mlx_nn_module self, const mlx_vector_array in, void *payload) {
  mlx_array x = mlx_array_new();
  ++*(int *)payload;
  int rc = mlx_vector_array_get(&x, in, 0) || mlx_nn_module_call_child(&x, self, "inner", x) || mlx_add(&x, x, x, cpu);
  *res = mlx_vector_array_new_value(x);
  mlx_array_free(x);
  return rc;
}
static void dropped(void *payload) { *(int *)payload = -1; }

static void a_module_of_ones_own_calls_its_children(void **state) {
  (void)state;
  int calls = 0;
  mlx_nn_module net = mlx_nn_module_new_custom("Doubled", doubled, &calls, dropped);
  mlx_array x = ones(2, 3), y = mlx_array_new();
  assert_refused(mlx_nn_module_call(&y, net, x), "has no module 'inner'");
  assert_ok(mlx_nn_module_add(net, "inner", mlx_nn_function_new(mlx_nn_relu)));
  assert_ok(mlx_nn_module_call(&y, net, x));
  assert_float_equal(item(y), 12, 0);
  assert_int_equal(calls, 2);
  mlx_nn_module_free(net);
  assert_int_equal(calls, -1);
  assert_refused(mlx_nn_module_call(&y, (mlx_nn_module){NULL}, x), "empty module");
  mlx_nn_module bilinear = mlx_nn_bilinear_new(2, 3, 4, true);
  assert_refused(mlx_nn_module_call(&y, bilinear, x), "1 inputs given");
  mlx_nn_module_free(bilinear);
  mlx_array_free(x);
  mlx_array_free(y);
}

static void frozen_parameters_are_not_trainable(void **state) {
  (void)state;
  mlx_nn_module net = small();
  const char *bias[] = {"bias"}, *wrong[] = {"beans"};
  assert_ok(mlx_nn_module_freeze(net, true, bias, 1, true));
  assert_false(has(mlx_nn_module_trainable_parameters, net, "layers.0.bias"));
  assert_true(has(mlx_nn_module_trainable_parameters, net, "layers.0.weight"));
  assert_true(has(mlx_nn_module_parameters, net, "layers.0.bias"));
  assert_refused(mlx_nn_module_freeze(net, true, wrong, 1, true), "beans");
  assert_ok(mlx_nn_module_freeze(net, true, wrong, 1, false));
  assert_ok(mlx_nn_module_freeze(net, true, NULL, 0, false));
  size_t trainable;
  assert_ok(mlx_nn_module_count(NULL, &trainable, NULL, net));
  assert_int_equal(trainable, 0);
  assert_ok(mlx_nn_module_unfreeze(net, true, NULL, 0, false));
  assert_true(has(mlx_nn_module_trainable_parameters, net, "layers.2.bias"));
  mlx_nn_module_free(net);
  net = mlx_nn_batch_norm_new(3, 1e-5, 0.1, true, true);
  assert_ok(mlx_nn_module_unfreeze(net, true, NULL, 0, false));
  assert_false(has(mlx_nn_module_trainable_parameters, net, "running_mean"));
  assert_true(has(mlx_nn_module_trainable_parameters, net, "weight"));
  mlx_nn_module_free(net);
}

static int sum_of_squares(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  mlx_array y = mlx_array_new();
  int rc = mlx_vector_array_get(&y, in, 0) || mlx_nn_module_call(&y, *(mlx_nn_module *)payload, y) || mlx_square(&y, y, cpu) ||
           mlx_sum(&y, y, false, cpu);
  *res = mlx_vector_array_new_value(y);
  mlx_array_free(y);
  return rc;
}

/* The loss after one entry of a parameter has moved by h. */
static float moved(mlx_nn_module net, mlx_closure f, mlx_vector_array in, const char *path, float h) {
  mlx_array w = mlx_array_new(), step = mlx_array_new_float(h), old = mlx_array_new(), y = mlx_array_new();
  mlx_vector_array out = mlx_vector_array_new();
  assert_ok(mlx_nn_module_get_array(&old, net, path));
  assert_ok(mlx_slice(&w, old, (int[]){0}, 1, (int[]){1}, 1, (int[]){1}, 1, cpu));
  assert_ok(mlx_add(&w, w, step, cpu));
  assert_ok(mlx_slice_update(&w, old, w, (int[]){0}, 1, (int[]){1}, 1, (int[]){1}, 1, cpu));
  mlx_map_string_to_array map = mlx_map_string_to_array_new();
  assert_ok(mlx_map_string_to_array_insert(map, path, w));
  assert_ok(mlx_nn_module_update(net, map, true));
  assert_ok(mlx_closure_apply(&out, f, in));
  assert_ok(mlx_vector_array_get(&y, out, 0));
  float v = item(y);
  assert_ok(mlx_map_string_to_array_insert(map, path, old));
  assert_ok(mlx_nn_module_update(net, map, true));
  mlx_map_string_to_array_free(map);
  mlx_vector_array_free(out);
  mlx_array_free(w);
  mlx_array_free(step);
  mlx_array_free(old);
  mlx_array_free(y);
  return v;
}

static void gradients_are_those_of_differences(void **state) {
  (void)state;
  assert_ok(mlx_random_seed(1));
  mlx_nn_module net = small();
  mlx_array x = ones(2, 3), g = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new_value(x), values = mlx_vector_array_new();
  mlx_map_string_to_array grads = {NULL};
  mlx_closure f = mlx_closure_new_func_payload(sum_of_squares, &net, NULL);
  assert_ok(mlx_nn_value_and_grad(&values, &grads, net, f, in));
  const char *path = "layers.2.bias";
  assert_ok(mlx_map_string_to_array_get(&g, grads, path));
  assert_ok(mlx_slice(&g, g, (int[]){0}, 1, (int[]){1}, 1, (int[]){1}, 1, cpu));
  float h = 0.01f, slope = (moved(net, f, in, path, h) - moved(net, f, in, path, -h)) / (2 * h);
  assert_float_equal(item(g), slope, 1e-2);
  assert_true(has(mlx_nn_module_parameters, net, path));
  assert_ok(mlx_nn_module_evaluate(net)); /* its own arrays again, not traced ones */
  assert_ok(mlx_nn_module_freeze(net, true, NULL, 0, false));
  assert_ok(mlx_nn_value_and_grad(&values, &grads, net, f, in));
  assert_int_equal(mlx_map_string_to_array_get(&g, grads, path), 2);
  mlx_closure_free(f);
  mlx_map_string_to_array_free(grads);
  mlx_vector_array_free(in);
  mlx_vector_array_free(values);
  mlx_array_free(x);
  mlx_array_free(g);
  mlx_nn_module_free(net);
}

static void a_module_can_be_compiled(void **state) {
  (void)state;
  mlx_nn_module net = small();
  mlx_array x = ones(2, 3), want = mlx_array_new(), got = mlx_array_new(), v = mlx_array_new();
  mlx_closure loss = mlx_closure_new_func_payload(sum_of_squares, &net, NULL), f = mlx_closure_new();
  mlx_vector_array in = mlx_vector_array_new(), out = mlx_vector_array_new();
  assert_ok(mlx_nn_functional(&f, net, loss, true));
  assert_ok(mlx_compile(&f, f, false));
  mlx_map_string_to_array map = {NULL};
  assert_ok(mlx_nn_module_state(&map, net));
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(map);
  const char *key;
  while (!mlx_map_string_to_array_iterator_next(&key, &v, it)) assert_ok(mlx_vector_array_append_value(in, v));
  mlx_map_string_to_array_iterator_free(it);
  assert_ok(mlx_vector_array_append_value(in, x));
  for (int i = 0; i < 2; i++) assert_ok(mlx_closure_apply(&out, f, in));
  assert_ok(mlx_vector_array_get(&got, out, 0));
  mlx_vector_array_free(in);
  in = mlx_vector_array_new_value(x);
  assert_ok(mlx_closure_apply(&out, loss, in));
  assert_ok(mlx_vector_array_get(&want, out, 0));
  assert_float_equal(item(got), item(want), 1e-5);
  assert_refused(mlx_closure_apply(&out, f, in), "before the inputs");
  mlx_closure_free(f);
  mlx_closure_free(loss);
  mlx_map_string_to_array_free(map);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
  mlx_array_free(x);
  mlx_array_free(v);
  mlx_array_free(want);
  mlx_array_free(got);
  mlx_nn_module_free(net);
}

static void modes_decide_dropout_and_batch_norm(void **state) {
  (void)state;
  mlx_nn_module net =
      mlx_nn_sequential_new(2, (mlx_nn_module[]){mlx_nn_dropout_new(0.5), mlx_nn_batch_norm_new(64, 1e-5, 0.1, false, true)});
  mlx_array x = ones(64, 64), y = mlx_array_new(), mean = mlx_array_new();
  assert_ok(mlx_nn_module_call(&y, net, x));
  assert_ok(mlx_nn_module_get_array(&mean, net, "layers.1.running_mean"));
  assert_true(item(mean) > 1); /* moved from 0 towards 1 */
  bool training;
  assert_ok(mlx_nn_module_train(net, false));
  assert_ok(mlx_nn_module_training(&training, net));
  assert_false(training);
  mlx_nn_module first = mlx_nn_module_new();
  assert_ok(mlx_nn_module_get_module(&first, net, "layers.0"));
  assert_ok(mlx_nn_module_call(&y, first, x));
  assert_float_equal(item(y), 64 * 64, 0);
  mlx_nn_module_free(first);
  mlx_nn_module_free(net);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_array_free(mean);
}

static void weights_go_to_files_and_back(void **state) {
  (void)state;
  char file[64];
  snprintf(file, sizeof file, "/tmp/cmlx_nn_%d.safetensors", (int)getpid());
  mlx_nn_module a = small(), b = small(), other = mlx_nn_linear_new(3, 4, true);
  mlx_array wa = mlx_array_new(), wb = mlx_array_new(), same = mlx_array_new();
  assert_ok(mlx_nn_module_save_weights(a, file));
  assert_ok(mlx_nn_module_load_weights(b, file, true));
  assert_ok(mlx_nn_module_get_array(&wa, a, "layers.0.weight"));
  assert_ok(mlx_nn_module_get_array(&wb, b, "layers.0.weight"));
  assert_ok(mlx_array_equal(&same, wa, wb, false, cpu));
  assert_float_equal(item(same), 1, 0);
  assert_refused(mlx_nn_module_load_weights(other, file, true), "not in model in ");
  assert_refused(mlx_nn_module_load_weights(other, file, true), file);
  assert_ok(mlx_nn_module_load_weights(other, file, false));
  assert_refused(mlx_nn_module_load_weights(a, "weights.npz", true), "Unsupported file extension");
  mlx_map_string_to_array map = mlx_map_string_to_array_new();
  assert_refused(mlx_nn_module_load_map(other, map, true), "Missing");
  assert_ok(mlx_map_string_to_array_insert(map, "weight", wa));
  assert_ok(mlx_map_string_to_array_insert(map, "bias", wa));
  assert_refused(mlx_nn_module_load_map(other, map, true), "Expected shape (4,) but received shape (4, 3) for parameter bias");
  mlx_array three = mlx_array_new(), four = mlx_array_new();
  assert_ok(mlx_zeros(&three, (int[]){4, 3}, 2, MLX_INT32, cpu));
  assert_ok(mlx_zeros(&four, (int[]){4}, 1, MLX_BFLOAT16, cpu));
  assert_ok(mlx_map_string_to_array_insert(map, "bias", four));
  assert_ok(mlx_nn_module_load_map(other, map, true));
  assert_ok(mlx_map_string_to_array_insert(map, "weight", three));
  assert_refused(mlx_nn_module_load_map(other, map, true), "Expected dtype float32 but received dtype int32 for parameter weight");
  mlx_array_free(three);
  mlx_array_free(four);
  assert_ok(mlx_map_string_to_array_insert(map, "nobody", wa));
  assert_refused(mlx_nn_module_update(other, map, true), "\"nobody\"");
  unlink(file);
  mlx_map_string_to_array_free(map);
  mlx_nn_module_free(a);
  mlx_nn_module_free(b);
  mlx_nn_module_free(other);
  mlx_array_free(wa);
  mlx_array_free(wb);
  mlx_array_free(same);
}

static void dtypes_and_text(void **state) {
  (void)state;
  mlx_nn_module net = small();
  mlx_string text = mlx_string_new();
  mlx_array w = mlx_array_new();
  assert_ok(mlx_nn_module_set_dtype(net, MLX_FLOAT16));
  assert_ok(mlx_nn_module_get_array(&w, net, "layers.0.weight"));
  assert_int_equal(mlx_array_dtype(w), MLX_FLOAT16);
  assert_ok(mlx_nn_module_tostring(&text, net));
  assert_string_equal(mlx_string_data(text),
                      "Sequential(\n  (layers.0): Linear(input_dims=3, output_dims=4, bias=True)\n  (layers.1): Function()\n"
                      "  (layers.2): Linear(input_dims=4, output_dims=2, bias=True)\n)");
  assert_ok(mlx_nn_module_summary(&text, net));
  assert_non_null(strstr(mlx_string_data(text), "Sequential: 26 numbers, 26 trainable, 0 frozen, 52 B"));
  mlx_string_free(text);
  mlx_array_free(w);
  mlx_nn_module_free(net);
}

static void constructors_refuse_what_makes_no_layer(void **state) {
  (void)state;
  const int one[] = {1, 1}, zero[] = {0, 0};
  assert_null(mlx_nn_linear_new(0, 3, true).ctx);
  assert_null(mlx_nn_linear_new(-1, 3, true).ctx);
  assert_null(mlx_nn_conv2d_new(3, 4, one, one, one, one, 2, true).ctx);
  assert_non_null(strstr(heard, "divisible by the number of groups"));
  assert_null(mlx_nn_conv2d_new(3, 4, NULL, one, one, one, 1, true).ctx);
  assert_null(mlx_nn_conv2d_new(3, 4, zero, one, one, one, 1, true).ctx);
  assert_null(mlx_nn_max_pool_new(4, one, NULL, NULL).ctx);
  assert_null(mlx_nn_dropout_new(1).ctx);
  assert_null(mlx_nn_dropout_new(0.0 / 0.0).ctx);
  assert_null(mlx_nn_multi_head_attention_new(7, 2, true, false).ctx);
  assert_null(mlx_nn_function_new(NULL).ctx);
  assert_null(mlx_nn_module_new_custom(NULL, NULL, NULL, NULL).ctx);
  assert_null(mlx_nn_sequential_new(1, (mlx_nn_module[]){{NULL}}).ctx);
  assert_null(mlx_nn_weight_norm_new(mlx_nn_layer_norm_new(3, 1e-5, true, true), 0).ctx);
  assert_non_null(strstr(heard, "LayerNorm has no parameter 'weight' of at least 2"));
  assert_null(mlx_nn_weight_norm_new(mlx_nn_linear_new(3, 4, true), 2).ctx);
  assert_null(mlx_nn_weight_norm_new((mlx_nn_module){NULL}, 0).ctx);
  assert_null(mlx_nn_spectral_norm_new(mlx_nn_linear_new(3, 4, true), -1, 1e-12).ctx);
  assert_null(mlx_nn_embedding_bag_new(3, 4, "median").ctx);
  assert_null(mlx_nn_upsample_new((double[]){2, 2}, 2, "bilinear", false, false).ctx);
  assert_null(mlx_nn_adaptive_avg_pool_new(2, zero).ctx);
  assert_null(mlx_nn_transformer_encoder_new(2, 7, 2, 0, 0, NULL, true, true, false).ctx);
  assert_null(mlx_nn_transformer_encoder_new(-1, 8, 2, 0, 0, NULL, true, true, true).ctx);
  assert_null(mlx_nn_transformer_new(8, 2, 1, 1, -5, 0, NULL, true, true, false).ctx);
  assert_null(mlx_nn_transformer_decoder_layer_new(8, 2, 0, 1.5, mlx_nn_relu, true, true).ctx);
  assert_null(mlx_nn_qq_linear_new(64, 8, 0, 0, "fp3").ctx);
  assert_non_null(strstr(heard, "Invalid quantization mode 'fp3'"));
  assert_null(mlx_nn_qq_linear_new(64, 8, 0, 0, NULL).ctx);
  assert_null(mlx_nn_all_to_sharded_linear_new(0, 4, true, (mlx_distributed_group){NULL}).ctx);
  assert_null(mlx_nn_quantized_sharded_to_all_linear_new(64, 4, true, 0, 0, NULL, (mlx_distributed_group){NULL}).ctx);
  int calls = 0;
  assert_null(mlx_nn_module_new_custom(NULL, doubled, &calls, dropped).ctx);
  assert_int_equal(calls, -1);
}

static float in_map(mlx_map_string_to_array map, const char *key) {
  mlx_array v = mlx_array_new();
  assert_ok(mlx_map_string_to_array_get(&v, map, key));
  float sum = item(v);
  mlx_array_free(v);
  return sum;
}

static void averages_and_sums_of_maps(void **state) {
  (void)state;
  mlx_map_string_to_array average = mlx_map_string_to_array_new(), total = mlx_map_string_to_array_new(),
                          values = mlx_map_string_to_array_new();
  mlx_array x = ones(2, 2), half = mlx_array_new(), big = mlx_array_new_float(40000), got = mlx_array_new();
  assert_ok(mlx_map_string_to_array_insert(values, "a", x));
  assert_ok(mlx_nn_update_average(average, values, 0.75)); /* begins as the value */
  assert_ok(mlx_add(&x, x, x, cpu));
  assert_ok(mlx_map_string_to_array_insert(values, "a", x));
  assert_ok(mlx_nn_update_average(average, values, 0.75));
  assert_float_equal(in_map(average, "a"), 4 * 1.25f, 1e-6);
  assert_ok(mlx_astype(&half, big, MLX_FLOAT16, cpu));
  assert_ok(mlx_map_string_to_array_insert(values, "half", half));
  for (int i = 0; i < 4; i++) assert_ok(mlx_nn_accumulate(total, values, 1));
  assert_float_equal(in_map(total, "a"), 4 * 8, 0);
  assert_float_equal(in_map(total, "half"), 160000, 100);
  assert_ok(mlx_map_string_to_array_get(&got, total, "half"));
  assert_int_equal(mlx_array_dtype(got), MLX_FLOAT32);
  assert_refused(mlx_nn_update_average(average, values, 2), "decay");
  assert_refused(mlx_nn_accumulate(total, (mlx_map_string_to_array){NULL}, 1), "empty map");
  mlx_array_free(x);
  mlx_array_free(half);
  mlx_array_free(big);
  mlx_array_free(got);
  mlx_map_string_to_array_free(average);
  mlx_map_string_to_array_free(total);
  mlx_map_string_to_array_free(values);
}

static void a_weight_made_of_others_is_no_parameter(void **state) {
  (void)state;
  mlx_nn_module net = mlx_nn_weight_norm_new(mlx_nn_linear_new(3, 4, true), 0);
  mlx_array x = ones(2, 3), y = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new_value(x), values = mlx_vector_array_new();
  mlx_map_string_to_array grads = {NULL};
  mlx_closure f = mlx_closure_new_func_payload(sum_of_squares, &net, NULL);
  assert_ok(mlx_nn_value_and_grad(&values, &grads, net, f, in));
  assert_int_equal(mlx_map_string_to_array_get(&y, grads, "module.weight"), 2);
  assert_ok(mlx_map_string_to_array_get(&y, grads, "weight_g"));
  assert_int_equal(mlx_nn_module_get_array(&y, net, "module.weight"), 2);
  assert_true(has(mlx_nn_module_parameters, net, "module.bias"));
  assert_ok(mlx_nn_module_freeze(net, true, NULL, 0, false));
  assert_ok(mlx_nn_module_evaluate(net));
  size_t numbers;
  assert_ok(mlx_nn_module_count(&numbers, NULL, NULL, net));
  assert_int_equal(numbers, 4 + 4 + 12);
  mlx_closure_free(f);
  mlx_map_string_to_array_free(grads);
  mlx_vector_array_free(in);
  mlx_vector_array_free(values);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_nn_module_free(net);
}

static bool not_the_last(const char *path, const mlx_nn_module layer, void *payload) {
  ++*(int *)payload;
  return strcmp(path, "layers.2") && !strcmp(mlx_nn_module_type(layer), "Linear");
}

static void linear_layers_become_quantized_ones(void **state) {
  (void)state;
  mlx_nn_module net = mlx_nn_sequential_new(
      3, (mlx_nn_module[]){mlx_nn_linear_new(64, 32, true), mlx_nn_function_new(mlx_nn_relu), mlx_nn_linear_new(32, 2, true)});
  mlx_nn_module part = mlx_nn_module_new();
  mlx_array x = ones(2, 64), before = mlx_array_new(), after = mlx_array_new(), close = mlx_array_new();
  int asked = 0;
  assert_ok(mlx_nn_module_call(&before, net, x));
  assert_refused(mlx_nn_quantize(net, 64, 4, "affine", NULL, NULL), "quantize"); /* the last has 32 columns */
  assert_ok(mlx_nn_module_get_module(&part, net, "layers.0"));
  assert_string_equal(mlx_nn_module_type(part), "Linear"); /* nothing has changed */
  assert_refused(mlx_nn_quantize(net, 0, 0, "int3", NULL, NULL), "Invalid quantization mode");
  assert_ok(mlx_nn_quantize(net, 64, 8, "affine", not_the_last, &asked));
  assert_int_equal(asked, 2);
  assert_ok(mlx_nn_module_get_module(&part, net, "layers.0"));
  assert_string_equal(mlx_nn_module_type(part), "QuantizedLinear");
  assert_true(has(mlx_nn_module_parameters, net, "layers.0.scales"));
  assert_false(has(mlx_nn_module_trainable_parameters, net, "layers.0.weight"));
  assert_true(has(mlx_nn_module_trainable_parameters, net, "layers.0.bias"));
  assert_true(has(mlx_nn_module_trainable_parameters, net, "layers.2.weight"));
  assert_ok(mlx_nn_module_call(&after, net, x));
  assert_ok(mlx_allclose(&close, before, after, 0.1, 0.05, false, cpu));
  assert_float_equal(item(close), 1, 0);
  mlx_nn_module_free(part);
  mlx_nn_module_free(net);
  mlx_array_free(x);
  mlx_array_free(before);
  mlx_array_free(after);
  mlx_array_free(close);
}

static int square_sum(mlx_vector_array *res, const mlx_vector_array in, void *net) {
  mlx_vector_array out = mlx_vector_array_new();
  mlx_array y = mlx_array_new();
  int rc = mlx_nn_module_apply(&out, *(mlx_nn_module *)net, in) || mlx_vector_array_get(&y, out, 0) || mlx_square(&y, y, cpu) ||
           mlx_sum(&y, y, false, cpu);
  *res = mlx_vector_array_new_value(y);
  mlx_array_free(y);
  mlx_vector_array_free(out);
  return rc;
}

/* The value of a decoder, what memory that takes while the gradients wait, and the sum of their absolute values. */
static void decoder_step(double *value, double *gradients, size_t *peak, bool checkpoint) {
  assert_ok(mlx_random_seed(3));
  mlx_nn_module net = mlx_nn_transformer_decoder_new(6, 32, 2, 128, 0, NULL, true, false, checkpoint);
  mlx_array x = mlx_array_new(), mask = mlx_array_new(), one = mlx_array_new();
  mlx_vector_array values = mlx_vector_array_new(), all = mlx_vector_array_new();
  mlx_map_string_to_array grads = {NULL};
  assert_ok(mlx_random_normal(&x, (int[]){2, 128, 32}, 3, MLX_FLOAT32, 0, 1, (mlx_array){NULL}, cpu));
  assert_ok(mlx_zeros(&mask, (int[]){128, 128}, 2, MLX_FLOAT32, cpu));
  assert_ok(mlx_nn_module_evaluate(net) || mlx_array_eval(x) || mlx_array_eval(mask) || mlx_reset_peak_memory());
  mlx_vector_array in = mlx_vector_array_new_data((mlx_array[]){x, x, mask, mask}, 4);
  mlx_closure f = mlx_closure_new_func_payload(square_sum, &net, NULL);
  assert_ok(mlx_nn_value_and_grad(&values, &grads, net, f, in));
  mlx_map_string_to_array_iterator at = mlx_map_string_to_array_iterator_new(grads);
  const char *key;
  while (!mlx_map_string_to_array_iterator_next(&key, &one, at)) assert_ok(mlx_vector_array_append_value(all, one));
  assert_ok(mlx_eval(values) || mlx_get_peak_memory(peak) || mlx_vector_array_get(&one, values, 0));
  *value = item(one);
  *gradients = 0;
  for (size_t i = 0; i < mlx_vector_array_size(all); i++) {
    assert_ok(mlx_vector_array_get(&one, all, i) || mlx_abs(&one, one, cpu));
    *gradients += item(one);
  }
  mlx_map_string_to_array_iterator_free(at);
  mlx_map_string_to_array_free(grads);
  mlx_vector_array_free(values);
  mlx_vector_array_free(all);
  mlx_vector_array_free(in);
  mlx_closure_free(f);
  mlx_array_free(x);
  mlx_array_free(mask);
  mlx_array_free(one);
  mlx_nn_module_free(net);
}

static void a_checkpointed_stack_has_the_same_gradients_in_less_memory(void **state) {
  (void)state;
  double plain, plain_gradients, value, gradients;
  size_t peak, less;
  decoder_step(&plain, &plain_gradients, &peak, false);
  decoder_step(&value, &gradients, &less, true);
  assert_true(value == plain);
  assert_true(gradients > 0 && fabs(gradients - plain_gradients) < 1e-4 * plain_gradients);
  assert_true(less < peak * 0.7); /* what is inside the layers is not kept */
}

static void a_layer_that_quantizes_its_input_has_two_states(void **state) {
  (void)state;
  mlx_nn_module layer = mlx_nn_qq_linear_new(64, 8, 0, 0, "nvfp4"), affine = mlx_nn_qq_linear_new(64, 8, 0, 0, "affine");
  mlx_array x = mlx_array_new(), y = mlx_array_new(), z = mlx_array_new(), w = mlx_array_new();
  bool same = false;
  assert_ok(mlx_random_normal(&x, (int[]){3, 64}, 2, MLX_FLOAT32, 0, 1, (mlx_array){NULL}, cpu));
  assert_ok(mlx_nn_module_call(&y, layer, x));
  assert_false(has(mlx_nn_module_parameters, layer, "scales"));
  for (int round = 0; round < 2; round++) {
    assert_ok(mlx_nn_module_train(layer, false));
    assert_true(has(mlx_nn_module_parameters, layer, "scales"));
    assert_ok(mlx_nn_module_get_array(&w, layer, "weight"));
    assert_int_equal(mlx_array_dtype(w), MLX_UINT32);
    assert_ok(mlx_nn_module_call(&z, layer, x) || mlx_array_equal(&z, z, y, false, cpu) || mlx_array_item_bool(&same, z));
    assert_true(same);
    assert_ok(mlx_nn_module_train(layer, false)); /* as it is */
    assert_ok(mlx_nn_module_train(layer, true));
    assert_false(has(mlx_nn_module_parameters, layer, "scales"));
    assert_ok(mlx_nn_module_get_array(&w, layer, "weight"));
    assert_int_equal(mlx_array_dtype(w), MLX_BFLOAT16); /* what mlx_dequantize gives */
  }
  mlx_string text = mlx_string_new();
  assert_ok(mlx_nn_module_tostring(&text, layer));
  assert_string_equal(mlx_string_data(text), "QQLinear(input_dims=64, output_dims=8, group_size=16, bits=4, mode=nvfp4)");
  assert_refused(mlx_nn_module_train(affine, false), "expected one without biases");
  mlx_string_free(text);
  mlx_nn_module_free(affine);
  mlx_nn_module_free(layer);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_array_free(z);
  mlx_array_free(w);
}

static void a_shared_layer_keeps_its_group(void **state) {
  (void)state;
  mlx_distributed_group group = mlx_distributed_group_new();
  assert_ok(mlx_distributed_init(&group, false, "any"));
  mlx_nn_module layers[] = {mlx_nn_all_to_sharded_linear_new(64, 4, true, group),
                            mlx_nn_sharded_to_all_linear_new(64, 4, true, group),
                            mlx_nn_quantized_all_to_sharded_linear_new(64, 4, true, 0, 0, "affine", group),
                            mlx_nn_quantized_sharded_to_all_linear_new(64, 4, true, 0, 0, "mxfp4", group)};
  mlx_distributed_group_free(group);
  mlx_array x = ones(2, 64), y = mlx_array_new();
  for (int i = 0; i < 4; i++) {
    assert_ok(mlx_nn_module_call(&y, layers[i], x) || mlx_array_eval(y));
    assert_int_equal(mlx_array_dim(y, 1), 4);
    assert_int_equal(has(mlx_nn_module_trainable_parameters, layers[i], "bias"), i < 2);
    mlx_nn_module_free(layers[i]);
  }
  mlx_array_free(x);
  mlx_array_free(y);
}

static void a_deep_chain_is_freed_without_the_stack(void **state) {
  (void)state;
  mlx_nn_module root = mlx_nn_module_new_custom("Link", NULL, NULL, NULL), at = mlx_nn_module_new(), next = mlx_nn_module_new();
  assert_ok(mlx_nn_module_set(&at, root));
  for (int i = 0; i < 200000; i++) {
    next = mlx_nn_module_new_custom("Link", NULL, NULL, NULL);
    mlx_nn_module keep = mlx_nn_module_new();
    assert_ok(mlx_nn_module_set(&keep, next));
    assert_ok(mlx_nn_module_add(at, "next", next));
    mlx_nn_module_free(at);
    at = keep;
  }
  assert_refused(mlx_nn_module_train(root, false), "nested more than");
  mlx_nn_module_free(at);
  mlx_nn_module_free(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(members_have_paths),
                                     cmocka_unit_test(a_module_of_ones_own_calls_its_children),
                                     cmocka_unit_test(frozen_parameters_are_not_trainable),
                                     cmocka_unit_test(gradients_are_those_of_differences),
                                     cmocka_unit_test(a_module_can_be_compiled),
                                     cmocka_unit_test(modes_decide_dropout_and_batch_norm),
                                     cmocka_unit_test(weights_go_to_files_and_back),
                                     cmocka_unit_test(dtypes_and_text),
                                     cmocka_unit_test(constructors_refuse_what_makes_no_layer),
                                     cmocka_unit_test(averages_and_sums_of_maps),
                                     cmocka_unit_test(a_weight_made_of_others_is_no_parameter),
                                     cmocka_unit_test(linear_layers_become_quantized_ones),
                                     cmocka_unit_test(a_checkpointed_stack_has_the_same_gradients_in_less_memory),
                                     cmocka_unit_test(a_layer_that_quantizes_its_input_has_two_states),
                                     cmocka_unit_test(a_shared_layer_keeps_its_group),
                                     cmocka_unit_test(a_deep_chain_is_freed_without_the_stack)};
  return cmocka_run_group_tests(tests, begin, end);
}
