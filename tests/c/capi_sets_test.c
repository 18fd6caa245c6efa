/* Results as long as the values say, as a C user calls them. */
#include "capi_testing.h"

static mlx_stream cpu;

static void assert_ints(mlx_array x, int n, const int *want) {
  mlx_array a = mlx_array_new();
  assert_ok(mlx_contiguous(&a, x, false, cpu));
  assert_ok(mlx_array_eval(a));
  assert_int_equal(mlx_array_size(a), (size_t)n);
  const int32_t *p = mlx_array_data_int32(a);
  for (int i = 0; i < n; i++) assert_int_equal(p[i], want[i]);
  mlx_array_free(a);
}
#define assert_i32(a, ...) assert_ints(a, sizeof((int[]){__VA_ARGS__}) / sizeof(int), (int[]){__VA_ARGS__})

static const mlx_optional_int no_size = {0, false};

static void places_of_nonzeros(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_data((int[]){0, 4, 0, 7, 0, 9}, (int[]){2, 3}, 2, MLX_INT32), r = mlx_array_new();
  mlx_vector_array v = mlx_vector_array_new();
  assert_ok(mlx_nonzero(&v, a, no_size, 0, cpu));
  assert_int_equal(mlx_vector_array_size(v), 2);
  assert_ok(mlx_vector_array_get(&r, v, 0));
  assert_i32(r, 0, 1, 1);
  assert_ok(mlx_vector_array_get(&r, v, 1));
  assert_i32(r, 1, 0, 2);
  assert_ok(mlx_flatnonzero(&r, a, (mlx_optional_int){5, true}, -1, cpu));
  assert_i32(r, 1, 3, 5, -1, -1);
  assert_ok(mlx_argwhere(&r, a, no_size, 0, cpu));
  assert_i32(r, 0, 1, 1, 0, 1, 2);
  assert_refused(mlx_argwhere(&r, a, (mlx_optional_int){-1, true}, 0, cpu), "[argwhere]");
  mlx_vector_array_free(v);
  mlx_array_free(a);
  mlx_array_free(r);
}

static void masks_choose_and_write(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_data((int[]){1, 2, 3, 4, 5, 6}, (int[]){2, 3}, 2, MLX_INT32), r = mlx_array_new(), none = mlx_array_new();
  mlx_array m = mlx_array_new_data((bool[]){true, false, true}, (int[]){3}, 1, MLX_BOOL);
  mlx_array v = mlx_array_new_data((int[]){-1, -2, -3, -4}, (int[]){4}, 1, MLX_INT32);
  assert_ok(mlx_masked_select(&r, a, m, 1, no_size, none, cpu));
  assert_i32(r, 1, 3, 4, 6);
  assert_refused(mlx_masked_select(&r, a, m, 0, no_size, none, cpu), "[masked_select]");
  assert_ok(mlx_transpose(&r, a, cpu));
  assert_ok(mlx_masked_scatter(&r, r, m, v, cpu));
  assert_i32(r, -1, -2, 2, 5, -3, -4);
  mlx_array_free(a);
  mlx_array_free(r);
  mlx_array_free(none);
  mlx_array_free(m);
  mlx_array_free(v);
}

static void sets_and_counts(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_data((int[]){3, 1, 2, 3, 1}, (int[]){5}, 1, MLX_INT32), r = mlx_array_new(), none = mlx_array_new(),
            edges = mlx_array_new();
  mlx_vector_array v = mlx_vector_array_new();
  assert_ok(mlx_unique(&v, a, no_size, none, cpu));
  assert_ok(mlx_vector_array_get(&r, v, 0));
  assert_i32(r, 1, 2, 3);
  assert_ok(mlx_vector_array_get(&r, v, 3));
  assert_i32(r, 2, 1, 2);
  assert_ok(mlx_bincount(&r, a, none, 6, no_size, cpu));
  assert_i32(r, 0, 2, 1, 2, 0, 0);
  assert_ok(mlx_bincount(&r, a, none, 0, (mlx_optional_int){2, true}, cpu));
  assert_refused(mlx_array_eval(r), "[bincount] The value 3 does not fit into 2 bins.");
  assert_ok(mlx_histogram(&r, &edges, a, 2, none, none, none, false, cpu));
  assert_i32(r, 2, 3);
  assert_int_equal(mlx_array_size(edges), 3);
  mlx_vector_array_free(v);
  mlx_array_free(a);
  mlx_array_free(r);
  mlx_array_free(none);
  mlx_array_free(edges);
}

static void order_repetitions_and_running_sums(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_data((int[]){3, 1, 3, 2}, (int[]){4}, 1, MLX_INT32), r = mlx_array_new();
  mlx_array each = mlx_array_new_data((int[]){2, 0, 1, 1}, (int[]){4}, 1, MLX_INT32);
  assert_ok(mlx_sort_descending(&r, a, 0, cpu));
  assert_i32(r, 3, 3, 2, 1);
  assert_ok(mlx_argsort_descending(&r, a, -1, cpu));
  assert_ok(mlx_astype(&r, r, MLX_INT32, cpu));
  assert_i32(r, 0, 2, 3, 1);
  assert_ok(mlx_cumsum_initial(&r, a, 0, false, true, cpu));
  assert_i32(r, 0, 3, 4, 7, 9);
  assert_ok(mlx_cumprod_initial(&r, a, 0, true, true, cpu));
  assert_i32(r, 18, 6, 6, 2, 1);
  assert_ok(mlx_repeat_each(&r, a, each, 0, cpu));
  assert_i32(r, 3, 3, 3, 2);
  assert_refused(mlx_repeat_each(&r, a, r, 1, cpu), "[repeat]");
  assert_refused(mlx_argsort_descending(&r, a, 1, cpu), "[argsort]");
  assert_refused(mlx_fft_fftfreq_as(&r, 4, 1, MLX_INT32, cpu), "[fftfreq]");
  mlx_array_free(each);
  mlx_array_free(a);
  mlx_array_free(r);
}

static int begin(void **state) {
  cpu = mlx_default_cpu_stream_new();
  return listen_to_errors(state);
}
static int end(void **state) {
  (void)state;
  return mlx_stream_free(cpu);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(places_of_nonzeros),
      cmocka_unit_test(masks_choose_and_write),
      cmocka_unit_test(sets_and_counts),
      cmocka_unit_test(order_repetitions_and_running_sums),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
