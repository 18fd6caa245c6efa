/* Groups, collectives and kernels in source through the C API. */
#include "capi_testing.h"

static void a_group_of_one_gives_arrays_back(void **state) {
  (void)state;
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_distributed_group g = mlx_distributed_group_new();
  assert_ok(mlx_distributed_init(&g, false, NULL));
  assert_int_equal(mlx_distributed_group_rank(g), 0);
  assert_int_equal(mlx_distributed_group_size(g), 1);
  assert_ok(mlx_distributed_init(&g, false, "any")); /* into the same box */
  int (*const collectives[])(mlx_array *, const mlx_array, const mlx_distributed_group, const mlx_stream) = {
      mlx_distributed_all_sum, mlx_distributed_all_max, mlx_distributed_all_min, mlx_distributed_all_gather, mlx_distributed_sum_scatter};
  mlx_array x = FLOATS(1, 2), r = {NULL}, none = {NULL};
  for (size_t i = 0; i < sizeof collectives / sizeof *collectives; i++) {
    assert_ok(collectives[i](&r, x, i % 2 ? g : (mlx_distributed_group){NULL}, s));
    assert_memory_equal(mlx_array_data_float32(r), ((float[]){1, 2}), 8);
    assert_refused(collectives[i](&r, none, g, s), "empty array given for 'x'");
    assert_refused(collectives[i](&r, x, g, (mlx_stream){NULL}), "stream");
  }
  assert_refused(mlx_distributed_send(&r, x, 1, g, s), "Cannot send to a singleton group");
  assert_refused(mlx_distributed_recv(&r, (int[]){2}, 1, MLX_FLOAT32, 1, g, s), "Cannot recv from a singleton group");
  assert_refused(mlx_distributed_recv(&r, NULL, 1, MLX_FLOAT32, 1, g, s), "NULL given for 'shape'");
  assert_refused(mlx_distributed_recv(&r, (int[]){2}, 1, (mlx_dtype)99, 1, g, s), "expected a dtype");
  assert_refused(mlx_distributed_recv_like(&r, x, 0, g, s), "Cannot recv from a singleton group");
  mlx_array_free(x), mlx_array_free(r), mlx_distributed_group_free(g), mlx_stream_free(s);
}

static void groups_that_cannot_be_are_refused(void **state) {
  (void)state;
  mlx_distributed_group g = {NULL}, part = {NULL};
  assert_refused(mlx_distributed_init(&g, true, NULL), "Couldn't initialize any backend");
  assert_refused(mlx_distributed_init(&g, false, "foo"), "'foo' was provided");
  assert_refused(mlx_distributed_init(NULL, false, NULL), "no place");
  assert_null(g.ctx);
  assert_int_equal(mlx_distributed_group_rank(g), -1);
  assert_int_equal(mlx_distributed_group_size(g), -1);
  assert_refused(mlx_distributed_group_split(&part, g, 0, 0), "empty group");
  assert_ok(mlx_distributed_init(&g, false, "mpi"));
  assert_refused(mlx_distributed_group_split(&part, g, 0, 0), "Cannot split");
  assert_true(mlx_distributed_is_available(NULL));
  assert_false(mlx_distributed_is_available("nccl"));
  mlx_distributed_group_free(g), mlx_distributed_group_free((mlx_distributed_group){NULL});
}

#define CHECK_FAMILY(f, message)                                                                                          \
  static void a_##f##_kernel_is_checked_and_not_run(void **state) {                                                       \
    (void)state;                                                                                                          \
    mlx_stream s = mlx_default_cpu_stream_new();                                                                          \
    mlx_vector_string in = mlx_vector_string_new_value("x"), out = mlx_vector_string_new_value("y"), none = mlx_vector_string_new(); \
    mlx_array x = FLOATS(1);                                                                                              \
    mlx_vector_array inputs = mlx_vector_array_new_value(x), res = {NULL}, few = mlx_vector_array_new();                  \
    mlx_fast_##f##_kernel k = mlx_fast_##f##_kernel_new("k", in, out, "", "", true, 0);                                   \
    mlx_fast_##f##_kernel_config c = mlx_fast_##f##_kernel_config_new(), empty = {NULL};                                  \
    assert_non_null(k.ctx);                                                                                               \
    assert_null(mlx_fast_##f##_kernel_new("k", in, none, "", "", true, 0).ctx);                                           \
    assert_null(mlx_fast_##f##_kernel_new(NULL, in, out, "", "", true, 0).ctx);                                           \
    assert_refused(mlx_fast_##f##_kernel_apply(&res, k, few, c, s), "size 1 but got size 0");                             \
    assert_refused(mlx_fast_##f##_kernel_apply(&res, k, inputs, c, s), "1 outputs but got 0");                            \
    assert_ok(mlx_fast_##f##_kernel_config_add_output_arg(c, (int[]){3}, 1, MLX_FLOAT32));                                \
    assert_refused(mlx_fast_##f##_kernel_config_add_output_arg(c, (int[]){-3}, 1, MLX_FLOAT32), "is -3");                 \
    assert_refused(mlx_fast_##f##_kernel_config_add_output_arg(c, (int[]){3}, 1, (mlx_dtype)77), "77");                   \
    assert_refused(mlx_fast_##f##_kernel_config_add_output_arg(c, NULL, 1, MLX_FLOAT32), "no shape");                     \
    assert_refused(mlx_fast_##f##_kernel_apply(&res, k, inputs, c, s), "`grid` and `threadgroup`");                       \
    assert_ok(mlx_fast_##f##_kernel_config_set_grid(c, 1, 1, 1));                                                         \
    assert_ok(mlx_fast_##f##_kernel_config_set_thread_group(c, 1, 1, 1));                                                 \
    assert_refused(mlx_fast_##f##_kernel_config_set_grid(c, 1, -1, 1), "(1,-1,1)");                                       \
    assert_ok(mlx_fast_##f##_kernel_config_set_init_value(c, 1));                                                         \
    assert_ok(mlx_fast_##f##_kernel_config_set_verbose(c, true));                                                         \
    assert_ok(mlx_fast_##f##_kernel_config_add_template_arg_dtype(c, "T", MLX_FLOAT32));                                  \
    assert_ok(mlx_fast_##f##_kernel_config_add_template_arg_int(c, "n", 3));                                              \
    assert_ok(mlx_fast_##f##_kernel_config_add_template_arg_bool(c, "b", true));                                          \
    assert_refused(mlx_fast_##f##_kernel_config_add_template_arg_int(c, NULL, 3), "NULL");                                \
    assert_refused(mlx_fast_##f##_kernel_config_set_grid(empty, 1, 1, 1), "empty configuration");                         \
    assert_refused(mlx_fast_##f##_kernel_config_set_verbose(empty, true), "empty configuration");                         \
    assert_refused(mlx_fast_##f##_kernel_apply(&res, k, inputs, c, s), message);                                          \
    assert_refused(mlx_fast_##f##_kernel_apply(&res, (mlx_fast_##f##_kernel){NULL}, inputs, c, s), "empty kernel");       \
    mlx_fast_##f##_kernel_free(k), mlx_fast_##f##_kernel_config_free(c), mlx_fast_##f##_kernel_config_free(empty);        \
    mlx_vector_string_free(in), mlx_vector_string_free(out), mlx_vector_string_free(none);                                \
    mlx_vector_array_free(inputs), mlx_vector_array_free(few), mlx_array_free(x), mlx_stream_free(s);                     \
  }
CHECK_FAMILY(metal, "[metal_kernel] No Metal back-end.")
CHECK_FAMILY(cuda, "[cuda_kernel] No CUDA back-end.")

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_group_of_one_gives_arrays_back),
      cmocka_unit_test(groups_that_cannot_be_are_refused),
      cmocka_unit_test(a_metal_kernel_is_checked_and_not_run),
      cmocka_unit_test(a_cuda_kernel_is_checked_and_not_run),
  };
  return cmocka_run_group_tests(tests, listen_to_errors, NULL);
}
