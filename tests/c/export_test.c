/* Exported functions through the C API. */
#include <stdlib.h>
#include <unistd.h>

#include "capi_testing.h"
#include "core/alloc.h"

static char path[64];

static int set_up(void **state) {
  snprintf(path, sizeof path, "/tmp/cmlx-export-%ld", (long)getpid());
  return listen_to_errors(state);
}
static int tear_down(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

static mlx_vector_array one(mlx_array a) {
  mlx_vector_array v = mlx_vector_array_new_value(a);
  mlx_array_free(a);
  return v;
}

static float first(mlx_vector_array v) {
  mlx_array a = mlx_array_new();
  float f = -1;
  assert_ok(mlx_vector_array_get(&a, v, 0));
  assert_ok(mlx_array_eval(a));
  assert_ok(mlx_array_item_float32(&f, a));
  mlx_array_free(a);
  return f;
}

static int exp_sum(mlx_vector_array *res, const mlx_vector_array in) {
  mlx_array x = mlx_array_new(), y = mlx_array_new();
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_vector_array_get(&x, in, 0);
  int rc = mlx_square(&y, x, s) || mlx_sum(&y, y, false, s);
  *res = mlx_vector_array_new_value(y);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_stream_free(s);
  return rc;
}

static int minus(mlx_vector_array *res, const mlx_vector_array in, const mlx_map_string_to_array kwargs) {
  mlx_array x = mlx_array_new(), y = mlx_array_new();
  mlx_stream s = mlx_default_cpu_stream_new();
  int rc = mlx_vector_array_get(&x, in, 0) || mlx_map_string_to_array_get(&y, kwargs, "y") || mlx_subtract(&x, x, y, s);
  *res = mlx_vector_array_new_value(x);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_stream_free(s);
  return rc;
}

static void a_function_comes_back(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_func(exp_sum);
  mlx_vector_array in = one(FLOATS(1, 2)), other = one(FLOATS(3, 4, 5)), out = mlx_vector_array_new();
  assert_ok(mlx_export_function(path, f, in, false));
  mlx_imported_function g = mlx_imported_function_new(path);
  assert_non_null(g.ctx);
  assert_ok(mlx_imported_function_apply(&out, g, in));
  assert_float_equal(first(out), 5, 0);
  assert_refused(mlx_imported_function_apply(&out, g, other), "No imported function found");
  mlx_imported_function_free(g);

  assert_ok(mlx_export_function(path, f, in, true));
  g = mlx_imported_function_new(path);
  assert_ok(mlx_imported_function_apply(&out, g, other));
  assert_float_equal(first(out), 50, 0);
  mlx_imported_function_free(g);
  mlx_vector_array_free(in);
  mlx_vector_array_free(other);
  mlx_vector_array_free(out);
  mlx_closure_free(f);
}

static void keywords_and_several_traces(void **state) {
  (void)state;
  mlx_closure_kwargs f = mlx_closure_kwargs_new_func(minus);
  mlx_vector_array a = one(FLOATS(5)), b = one(FLOATS(5, 6)), out = mlx_vector_array_new();
  mlx_map_string_to_array kw = mlx_map_string_to_array_new(), wrong = mlx_map_string_to_array_new();
  mlx_array two = FLOATS(2);
  mlx_map_string_to_array_insert(kw, "y", two);
  mlx_map_string_to_array_insert(wrong, "z", two);
  mlx_function_exporter x = mlx_function_exporter_new_kwargs(path, f, false, "about it");
  assert_non_null(x.ctx);
  assert_ok(mlx_function_exporter_apply_kwargs(x, a, kw));
  assert_ok(mlx_function_exporter_apply_kwargs(x, b, kw));
  assert_refused(mlx_function_exporter_apply_kwargs(x, b, kw), "twice with the same signature");
  assert_refused(mlx_function_exporter_apply_kwargs(x, b, wrong), "non-zero value");
  assert_ok(mlx_function_exporter_free(x));

  mlx_imported_function g = mlx_imported_function_new(path);
  mlx_string text = mlx_string_new();
  assert_ok(mlx_imported_function_metadata(&text, g));
  assert_string_equal(mlx_string_data(text), "about it");
  assert_ok(mlx_imported_function_apply_kwargs(&out, g, a, kw));
  assert_float_equal(first(out), 3, 0);
  assert_refused(mlx_imported_function_apply_kwargs(&out, g, a, wrong), "\"z\": (1) float32");
  assert_refused(mlx_imported_function_apply(&out, g, a), "Called with 1 positional inputs and 0 keyword inputs");
  mlx_imported_function_free(g);

  assert_ok(mlx_export_function_kwargs(path, f, a, kw, false));
  mlx_string_free(text);
  mlx_array_free(two);
  mlx_map_string_to_array_free(kw);
  mlx_map_string_to_array_free(wrong);
  mlx_vector_array_free(a);
  mlx_vector_array_free(b);
  mlx_vector_array_free(out);
  mlx_closure_kwargs_free(f);
}

static int count(const mlx_export_step *s, void *payload) {
  ((int *)payload)[s->kind]++;
  if (s->kind == MLX_EXPORT_PRIMITIVE) assert_string_equal(s->name, "Subtract");
  return ((int *)payload)[5];
}

static void a_callback_is_told(void **state) {
  (void)state;
  mlx_closure_kwargs f = mlx_closure_kwargs_new_func(minus);
  mlx_vector_array a = one(FLOATS(5));
  mlx_map_string_to_array kw = mlx_map_string_to_array_new();
  mlx_array two = FLOATS(2);
  mlx_map_string_to_array_insert(kw, "y", two);
  int steps[6] = {0};
  assert_ok(mlx_export_function_callback(count, steps, f, a, kw, false));
  for (int i = 0; i < 5; i++) assert_int_equal(steps[i], 1);
  steps[5] = 1;
  assert_refused(mlx_export_function_callback(count, steps, f, a, kw, false), "The callback returned a non-zero value");
  mlx_array_free(two);
  mlx_map_string_to_array_free(kw);
  mlx_vector_array_free(a);
  mlx_closure_kwargs_free(f);
}

static void wrong_handles_and_files(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_func(exp_sum);
  mlx_vector_array in = one(FLOATS(1)), out = mlx_vector_array_new();
  assert_refused(mlx_export_function("/nowhere/f", f, in, false), "[export_function] Failed to open");
  assert_refused(mlx_export_function(NULL, f, in, false), "[export_function]");
  assert_refused(mlx_export_function(path, mlx_closure_new(), in, false), "[export_function]");
  assert_refused(mlx_export_function(path, f, (mlx_vector_array){NULL}, false), "[export_function]");
  assert_refused(mlx_imported_function_apply(&out, (mlx_imported_function){NULL}, in), "[import_function::call]");
  assert_int_equal(access(path, F_OK), -1);
  heard[0] = 0;
  assert_null(mlx_imported_function_new("/nowhere/f").ctx);
  assert_non_null(strstr(heard, "[import_function] Failed to open"));
  assert_null(mlx_imported_function_new(NULL).ctx);
  assert_int_equal(mlx_imported_function_free((mlx_imported_function){NULL}), 0);
  assert_int_equal(mlx_function_exporter_free((mlx_function_exporter){NULL}), 0);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
  mlx_closure_free(f);
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_func(exp_sum);
  mlx_vector_array in = one(FLOATS(1, 2)), out = mlx_vector_array_new();
  int rc = 1, n = 0;
  for (; rc; n++) {
    assert_true(n < 2000);
    mx_alloc_fail_after(n);
    rc = mlx_export_function(path, f, in, false);
    mx_alloc_fail_after(-1);
  }
  assert_true(n > 5);
  mlx_imported_function g = {NULL};
  for (n = 0; !g.ctx; n++) {
    assert_true(n < 2000);
    mx_alloc_fail_after(n);
    g = mlx_imported_function_new(path);
    mx_alloc_fail_after(-1);
  }
  assert_true(n > 5);
  assert_ok(mlx_imported_function_apply(&out, g, in));
  assert_float_equal(first(out), 5, 0);
  mlx_imported_function_free(g);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
  mlx_closure_free(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(wrong_handles_and_files, tear_down), cmocka_unit_test(a_function_comes_back),
      cmocka_unit_test(keywords_and_several_traces), cmocka_unit_test(a_callback_is_told),
      cmocka_unit_test(any_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
