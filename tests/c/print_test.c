/* Printing: MLX's format, taken from its measured output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "core/alloc.h"
#include "core/array.h"

static void prints(mx_array *a, const char *want) {
  char *s = mx_array_tostring(a);
  assert_string_equal(s, want);
  mx_free(s);
  mx_release(a);
}

static void numbers(void **state) {
  (void)state;
  prints(mx_array_int(MX_I32, 1), "array(1, dtype=int32)");
  prints(mx_array_float(MX_F32, 1.5), "array(1.5, dtype=float32)");
  prints(mx_array_int(MX_BOOL, 1), "array(True, dtype=bool)");
  prints(mx_array_float(MX_BF16, 1 / 3.0), "array(0.333984, dtype=bfloat16)");
  float f[] = {1 / 3.0f, 1e-8f, 1e10f, 123456789.0f, NAN, -0.0f};
  prints(mx_array_from_data(MX_F32, 1, (int32_t[]){6}, f), "array([0.333333, 1e-08, 1e+10, 1.23457e+08, nan, -0], dtype=float32)");
  mx_c64 z[] = {1.0f + 2.0f * _Complex_I, -1.5f - 0.5f * _Complex_I};
  prints(mx_array_from_data(MX_C64, 1, (int32_t[]){2}, z), "array([1+2j, -1.5-0.5j], dtype=complex64)");
}

static void rows_and_ellipsis(void **state) {
  (void)state;
  int32_t v[49];
  for (int i = 0; i < 49; i++) v[i] = i;
  prints(mx_array_from_data(MX_I32, 1, (int32_t[]){7}, v), "array([0, 1, 2, ..., 4, 5, 6], dtype=int32)");
  prints(mx_array_from_data(MX_I32, 2, (int32_t[]){2, 3}, v), "array([[0, 1, 2],\n       [3, 4, 5]], dtype=int32)");
  prints(mx_array_from_data(MX_I32, 3, (int32_t[]){2, 2, 1}, v),
         "array([[[0],\n        [1]],\n       [[2],\n        [3]]], dtype=int32)");
  prints(mx_array_from_data(MX_I32, 2, (int32_t[]){7, 2}, v),
         "array([[0, 1],\n       [2, 3],\n       [4, 5],\n       ...,\n       [8, 9],\n       [10, 11],\n       [12, 13]], dtype=int32)");
}

static void empty_arrays(void **state) {
  (void)state;
  prints(mx_array_empty(MX_F32, 1, (int32_t[]){0}), "array([], dtype=float32)");
  prints(mx_array_empty(MX_F32, 2, (int32_t[]){2, 0}), "array([[],\n       []], dtype=float32)");
  prints(mx_array_empty(MX_I8, 2, (int32_t[]){0, 3}), "array([], dtype=int8)");
}

static void fixed_precision(void **state) {
  (void)state;
  mx_set_print_precision(3);
  float f[] = {1 / 3.0f, 1e-8f, 2};
  prints(mx_array_from_data(MX_F32, 1, (int32_t[]){3}, f), "array([0.333, 0.000, 2.000], dtype=float32)");
  mx_set_print_precision(-1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(rows_and_ellipsis), cmocka_unit_test(empty_arrays),
                                     cmocka_unit_test(fixed_precision)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
