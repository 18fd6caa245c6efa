/* mlx/c/control.h from C, and that control flow survives a lack of memory. */
#include "capi_testing.h"
#include "core/alloc.h"

static mlx_stream cpu;

static mlx_vector_array vector(int n, const mlx_array *a) { return mlx_vector_array_new_data(a, (size_t)n); }

static float item(mlx_vector_array v, size_t i) {
  mlx_array a = mlx_array_new();
  float x = -1;
  assert_ok(mlx_vector_array_get(&a, v, i));
  assert_ok(mlx_array_item_float32(&x, a));
  mlx_array_free(a);
  return x;
}

/* (c, x) -> (c * x + k, c); k is captured */
static int step(mlx_vector_array *res, const mlx_vector_array in, void *k) {
  mlx_array c = mlx_array_new(), x = mlx_array_new(), y = mlx_array_new();
  int rc = mlx_vector_array_get(&c, in, 0) || mlx_vector_array_get(&x, in, 1) || mlx_multiply(&y, c, x, cpu) ||
           mlx_add(&y, y, *(mlx_array *)k, cpu);
  if (!rc) *res = vector(2, (mlx_array[]){y, c});
  mlx_array_free(c);
  mlx_array_free(x);
  mlx_array_free(y);
  return rc || !res->ctx;
}

static void scan_carries_and_stacks(void **state) {
  (void)state;
  float one = 1;
  mlx_array k = mlx_array_new_float(0.5f), init = mlx_array_new_data(&one, NULL, 0, MLX_FLOAT32), x = FLOATS(1, 2, 3);
  mlx_vector_array from = vector(1, &init), xs = vector(1, &x), carry = mlx_vector_array_new(), ys = mlx_vector_array_new();
  mlx_closure f = mlx_closure_new_func_payload(step, &k, NULL);
  assert_ok(mlx_scan(&carry, &ys, f, from, xs, -1, false, false)); /* 1, 1.5, 3.5, 11 */
  assert_int_equal(mlx_vector_array_size(carry), 1);
  assert_int_equal(mlx_vector_array_size(ys), 1);
  assert_true(item(carry, 0) == 11);
  mlx_array y = mlx_array_new();
  assert_ok(mlx_vector_array_get(&y, ys, 0));
  assert_ok(mlx_array_eval(y));
  assert_true(mlx_array_data_float32(y)[2] == 3.5f && mlx_array_shape(y)[0] == 3);
  assert_refused(mlx_scan(&carry, &ys, f, from, xs, 4, false, false), "[scan] Array 0 to go through has length 3, expected 4");
  assert_refused(mlx_scan(&carry, &ys, (mlx_closure){NULL}, from, xs, -1, false, false), "[scan]");
  assert_refused(mlx_scan(&carry, &ys, f, (mlx_vector_array){NULL}, xs, -1, false, false), "[scan]");
  mlx_array_free(y);
  mlx_array_free(k);
  mlx_array_free(init);
  mlx_array_free(x);
  mlx_vector_array_free(from);
  mlx_vector_array_free(xs);
  mlx_vector_array_free(carry);
  mlx_vector_array_free(ys);
  mlx_closure_free(f);
}

static int below_100(mlx_array *res, const mlx_array x) {
  mlx_array limit = mlx_array_new_float(100);
  int rc = mlx_less(res, x, limit, cpu);
  mlx_array_free(limit);
  return rc;
}
static int twice(mlx_array *res, const mlx_array x) { return mlx_add(res, x, x, cpu); }
static int square(mlx_array *res, const mlx_array x) { return mlx_square(res, x, cpu); }
static int add_two(mlx_vector_array *res, const mlx_vector_array in) {
  mlx_array a = mlx_array_new(), b = mlx_array_new();
  int rc = mlx_vector_array_get(&a, in, 0) || mlx_vector_array_get(&b, in, 1) || mlx_add(&a, a, b, cpu);
  if (!rc) *res = vector(1, &a);
  mlx_array_free(a);
  mlx_array_free(b);
  return rc;
}

static void while_cond_and_prefixes(void **state) {
  (void)state;
  mlx_array three = mlx_array_new_float(3), yes = mlx_array_new_bool(true), x = FLOATS(1, 2, 3, 4, 5);
  mlx_vector_array in = vector(1, &three), xs = vector(1, &x), res = mlx_vector_array_new();
  mlx_closure c = mlx_closure_new_unary(below_100), t = mlx_closure_new_unary(twice), s = mlx_closure_new_unary(square),
              add = mlx_closure_new_func(add_two);
  assert_ok(mlx_while_loop(&res, c, t, in));
  assert_true(item(res, 0) == 192);
  assert_ok(mlx_cond(&res, yes, s, t, in));
  assert_true(item(res, 0) == 9);
  assert_refused(mlx_cond(&res, (mlx_array){NULL}, s, t, in), "[cond]");
  assert_refused(mlx_cond(&res, x, s, t, in), "[cond] The predicate has shape (5)");
  assert_ok(mlx_associative_scan(&res, add, xs, false, 0));
  mlx_array y = mlx_array_new();
  assert_ok(mlx_vector_array_get(&y, res, 0));
  assert_ok(mlx_array_eval(y));
  assert_memory_equal(mlx_array_data_float32(y), ((float[]){1, 3, 6, 10, 15}), 20);
  assert_refused(mlx_associative_scan(&res, add, xs, false, 1), "associative_scan");
  mlx_array_free(y);
  mlx_array_free(three);
  mlx_array_free(yes);
  mlx_array_free(x);
  mlx_vector_array_free(in);
  mlx_vector_array_free(xs);
  mlx_vector_array_free(res);
  mlx_closure_free(c);
  mlx_closure_free(t);
  mlx_closure_free(s);
  mlx_closure_free(add);
}

/* x -> the sum of what a scan over it gives: to be differentiated */
static int summed(mlx_vector_array *res, const mlx_vector_array in, void *k) {
  float one = 1;
  mlx_array init = mlx_array_new_data(&one, NULL, 0, MLX_FLOAT32), y = mlx_array_new();
  mlx_vector_array from = vector(1, &init), carry = mlx_vector_array_new(), ys = mlx_vector_array_new();
  mlx_closure f = mlx_closure_new_func_payload(step, k, NULL);
  int rc = !init.ctx || !from.ctx || !f.ctx || mlx_scan(&carry, &ys, f, from, in, -1, false, false) || mlx_vector_array_get(&y, ys, 0) ||
           mlx_sum(&y, y, false, cpu);
  if (!rc) *res = vector(1, &y);
  mlx_array_free(init);
  mlx_array_free(y);
  mlx_vector_array_free(from);
  mlx_vector_array_free(carry);
  mlx_vector_array_free(ys);
  mlx_closure_free(f);
  return rc || !res->ctx;
}

/* 0, or 1 when some step failed. */
static int gradient(mlx_array k, mlx_array x, float *first) {
  mlx_closure f = mlx_closure_new_func_payload(summed, &k, NULL);
  mlx_closure_value_and_grad g = {NULL};
  mlx_vector_array in = vector(1, &x), values = mlx_vector_array_new(), grads = mlx_vector_array_new();
  mlx_array d = mlx_array_new();
  int rc = !f.ctx || !in.ctx || mlx_value_and_grad(&g, f, (int[]){0}, 1) || mlx_closure_value_and_grad_apply(&values, &grads, g, in) ||
           mlx_vector_array_get(&d, grads, 0) || mlx_array_eval(d);
  if (!rc) *first = mlx_array_data_float32(d)[0];
  mlx_array_free(d);
  mlx_vector_array_free(in);
  mlx_vector_array_free(values);
  mlx_vector_array_free(grads);
  mlx_closure_value_and_grad_free(g);
  mlx_closure_free(f);
  return rc;
}

static void a_lack_of_memory_is_an_error(void **state) {
  (void)state;
  mlx_array k = mlx_array_new_float(0.5f), x = FLOATS(1, 2, 3);
  float d = 0;
  assert_int_equal(gradient(k, x, &d), 0); /* ys: 1, x0 + k, (x0 + k) x1 + k */
  assert_true(d == 3);
  int n = 0;
  for (int rc = 1; rc; n++) {
    assert_true(n < 20000);
    mx_alloc_fail_after(n);
    rc = gradient(k, x, &d);
    mx_alloc_fail_after(-1);
  }
  assert_true(n > 50 && d == 3);
  mlx_array_free(k);
  mlx_array_free(x);
}

int main(void) {
  cpu = mlx_default_cpu_stream_new();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scan_carries_and_stacks),
      cmocka_unit_test(while_cond_and_prefixes),
      cmocka_unit_test(a_lack_of_memory_is_an_error),
  };
  int failed = cmocka_run_group_tests(tests, listen_to_errors, NULL);
  mlx_stream_free(cpu);
  return failed;
}
