/* mlx/c/profile.h from C. */
#include <stdlib.h>
#include <unistd.h>

#include "capi_testing.h"

static void multiply(void) {
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_array a = floats(4, (float[]){1, 2, 3, 4}), b = mlx_array_new();
  int shape[] = {2, 2};
  assert_ok(mlx_reshape(&a, a, shape, 2, s));
  assert_ok(mlx_matmul(&b, a, a, s));
  assert_ok(mlx_array_eval(b));
  mlx_array_free(a);
  mlx_array_free(b);
  mlx_stream_free(s);
}

static void a_profile_has_rows_and_a_table(void **state) {
  (void)state;
  mlx_profile p = mlx_profile_new();
  size_t n = 9, found = 0;
  assert_ok(mlx_profile_num_rows(&n, p));
  assert_int_equal(n, 0);
  assert_ok(mlx_profile_start(p));
  multiply();
  assert_ok(mlx_profile_stop(p));
  multiply();
  assert_ok(mlx_profile_num_rows(&n, p));
  for (size_t i = 0; i < n; i++) {
    mlx_profile_row r;
    assert_ok(mlx_profile_get_row(&r, p, i));
    if (strcmp(r.name, "Matmul")) continue;
    found++;
    assert_int_equal(r.calls, 1);
    assert_int_equal(r.bytes_read, 32);
    assert_int_equal(r.bytes_written, 16);
    assert_true(r.flops == 16);
  }
  assert_int_equal(found, 1);
  mlx_profile_row r;
  assert_refused(mlx_profile_get_row(&r, p, n), "[profile] Row");
  double seconds = -1;
  assert_ok(mlx_profile_seconds(&seconds, p));
  assert_true(seconds > 0);
  mlx_string s = mlx_string_new();
  assert_ok(mlx_profile_table(&s, p));
  assert_non_null(strstr(mlx_string_data(s), "Matmul"));
  mlx_string_free(s);
  assert_ok(mlx_profile_free(p));
}

static void bad_arguments_are_refused(void **state) {
  (void)state;
  mlx_profile none = {NULL}, p = mlx_profile_new();
  assert_refused(mlx_profile_start(none), "[profile]");
  assert_refused(mlx_profile_stop(none), "[profile]");
  assert_refused(mlx_profile_num_rows(NULL, p), "[profile]");
  assert_refused(mlx_profile_seconds(NULL, p), "[profile]");
  assert_refused(mlx_profile_table(NULL, p), "result pointer is NULL");
  assert_refused(mlx_trace_start(NULL), "[trace]");
  assert_refused(mlx_trace_start("/nowhere/at/all"), "[trace] Cannot write");
  assert_refused(mlx_get_debug_nans(NULL, NULL), "[profile]");
  assert_ok(mlx_profile_free(none));
  assert_ok(mlx_profile_start(p));
  assert_ok(mlx_profile_free(p)); /* while it runs */
  multiply();
}

static void a_trace_is_a_closed_array(void **state) {
  (void)state;
  char name[] = "/tmp/cmlx_trace_XXXXXX";
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  assert_ok(mlx_trace_start(name));
  for (int i = 0; i < 2000; i++) multiply(); /* more than the buffer holds */
  assert_ok(mlx_trace_flush());
  assert_ok(mlx_trace_stop());
  assert_ok(mlx_trace_flush());
  static char text[4 << 20];
  ssize_t n = read(fd, text, sizeof text - 1);
  assert_true(n > 100000);
  assert_memory_equal(text, "[\n{", 3);
  assert_memory_equal(text + n - 3, "\n]\n", 3);
  close(fd);
  unlink(name);
}

static void the_check_for_nan_can_be_asked_for(void **state) {
  (void)state;
  bool nan = true, inf = true;
  mlx_stream s = mlx_default_cpu_stream_new();
  assert_ok(mlx_get_debug_nans(&nan, &inf));
  assert_false(nan || inf);
  assert_ok(mlx_set_debug_nans(true, false));
  mlx_array a = FLOATS(1, -1);
  assert_ok(mlx_log(&a, a, s));
  assert_refused(mlx_array_eval(a), "[debug_nans] Log gave nan at (1)");
  assert_refused(mlx_array_eval(a), "[debug_nans] Log gave nan at (1)"); /* the error stays */
  assert_ok(mlx_set_debug_nans(false, false));
  mlx_array_free(a);
  mlx_stream_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_profile_has_rows_and_a_table),
      cmocka_unit_test(bad_arguments_are_refused),
      cmocka_unit_test(a_trace_is_a_closed_array),
      cmocka_unit_test(the_check_for_nan_can_be_asked_for),
  };
  return cmocka_run_group_tests(tests, listen_to_errors, NULL);
}
