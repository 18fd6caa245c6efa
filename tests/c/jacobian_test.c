/* mlx/c/jacobian.h from C, and that pullbacks and Jacobians survive a lack of memory. */
#include "capi_testing.h"
#include "core/alloc.h"

static mlx_stream cpu;

/* (x, y) -> (x * x * y, x) */
static int square_times(mlx_vector_array *res, const mlx_vector_array in) {
  mlx_array x = mlx_array_new(), y = mlx_array_new(), z = mlx_array_new();
  int rc = mlx_vector_array_get(&x, in, 0) || mlx_vector_array_get(&y, in, 1) || mlx_square(&z, x, cpu) || mlx_multiply(&z, z, y, cpu);
  if (!rc) *res = mlx_vector_array_new_data((mlx_array[]){z, x}, 2);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_array_free(z);
  return rc || !res->ctx;
}

typedef int (*transform)(mlx_closure *, const mlx_closure, const int *, size_t);

/* Result i of v, evaluated, added up with weights 1, 2, ...; its number of dimensions. */
static int weigh(mlx_vector_array v, size_t i, float *sum, size_t *ndim) {
  mlx_array a = mlx_array_new();
  int rc = mlx_vector_array_get(&a, v, i) || mlx_contiguous(&a, a, false, cpu) || mlx_array_eval(a);
  *sum = 0;
  for (size_t k = 0; !rc && k < mlx_array_size(a); k++) *sum += (float)(k + 1) * mlx_array_data_float32(a)[k];
  *ndim = mlx_array_ndim(a);
  mlx_array_free(a);
  return rc;
}

/* 0, or 1 when some step failed. Result `which` of n. */
static int apply(transform f, mlx_vector_array in, size_t n, size_t which, float *sum, size_t *ndim) {
  mlx_closure fun = mlx_closure_new_func(square_times), j = {NULL};
  mlx_vector_array out = mlx_vector_array_new();
  int rc = !fun.ctx || f(&j, fun, (int[]){0, 1}, 2) || mlx_closure_apply(&out, j, in) || weigh(out, which, sum, ndim);
  if (!rc) assert_int_equal(mlx_vector_array_size(out), n);
  mlx_vector_array_free(out);
  mlx_closure_free(j);
  mlx_closure_free(fun);
  return rc;
}

static int pull_twice(mlx_vector_array in, float *sum) {
  mlx_closure fun = mlx_closure_new_func(square_times), pull = {NULL};
  mlx_vector_array out = mlx_vector_array_new(), grads = mlx_vector_array_new();
  size_t ndim;
  int rc = !fun.ctx || mlx_vjp_function(&out, &pull, fun, in) || mlx_closure_apply(&grads, pull, out) ||
           mlx_closure_apply(&grads, pull, in) || weigh(grads, 0, sum, &ndim);
  mlx_vector_array_free(out);
  mlx_vector_array_free(grads);
  mlx_closure_free(pull);
  mlx_closure_free(fun);
  return rc;
}

static mlx_vector_array arguments(void) {
  mlx_array x = FLOATS(1, 2), y = FLOATS(3, 5);
  mlx_vector_array in = mlx_vector_array_new_data((mlx_array[]){x, y}, 2);
  mlx_array_free(x);
  mlx_array_free(y);
  return in;
}

static void jacobians_have_the_shape_of_output_and_input(void **state) {
  (void)state;
  mlx_vector_array in = arguments();
  transform both[] = {mlx_jacfwd, mlx_jacrev};
  float sum;
  size_t ndim;
  for (int k = 0; k < 2; k++) {
    assert_ok(apply(both[k], in, 4, 0, &sum, &ndim)); /* diag(2 x y) = 6, 20 */
    assert_true(sum == 6 + 4 * 20 && ndim == 2);
    assert_ok(apply(both[k], in, 4, 1, &sum, &ndim)); /* diag(x x) = 1, 4 */
    assert_true(sum == 1 + 4 * 4 && ndim == 2);
    assert_ok(apply(both[k], in, 4, 3, &sum, &ndim)); /* the second output does not depend on y */
    assert_true(sum == 0 && ndim == 2);
  }
  assert_ok(apply(mlx_hessian, in, 8, 0, &sum, &ndim)); /* 2 y = 6, 10 */
  assert_true(sum == 6 + 8 * 10 && ndim == 3);
  assert_ok(apply(mlx_hessian, in, 8, 1, &sum, &ndim)); /* 2 x = 2, 4 */
  assert_true(sum == 2 + 8 * 4 && ndim == 3);
  mlx_vector_array_free(in);
}

static void pullbacks_take_any_number_of_calls(void **state) {
  (void)state;
  mlx_vector_array in = arguments(), out = mlx_vector_array_new(), grads = mlx_vector_array_new(), none = mlx_vector_array_new();
  mlx_closure fun = mlx_closure_new_func(square_times), pull = {NULL};
  float sum;
  assert_ok(pull_twice(in, &sum)); /* 2 x y c0 + c1 = 6 * 1 + 3, 20 * 2 + 5 */
  assert_true(sum == 9 + 2 * 45);
  assert_ok(mlx_vjp_function(&out, &pull, fun, in));
  assert_int_equal(mlx_vector_array_size(out), 2);
  assert_refused(mlx_closure_apply(&grads, pull, none), "[vjp] Number of outputs to compute gradients for (2)");
  mlx_array three = FLOATS(1, 2, 3);
  assert_ok(mlx_vector_array_append_value(none, three));
  assert_ok(mlx_vector_array_append_value(none, three));
  assert_refused(mlx_closure_apply(&grads, pull, none), "[vjp] Output shape (2) does not match cotangent shape (3)");
  assert_refused(mlx_vjp_function(&out, &pull, (mlx_closure){NULL}, in), "[vjp]");
  assert_refused(mlx_vjp_function(&out, &pull, fun, (mlx_vector_array){NULL}), "[vjp]");
  assert_refused(mlx_jacrev(&pull, fun, NULL, 0), "[jacrev] 0 numbers of arguments given");
  assert_refused(mlx_jacfwd(&pull, (mlx_closure){NULL}, (int[]){0}, 1), "[jacfwd]");
  assert_refused(mlx_hessian(NULL, fun, (int[]){0}, 1), "NULL");
  assert_ok(mlx_jacfwd(&pull, fun, (int[]){2}, 1));
  assert_refused(mlx_closure_apply(&grads, pull, in), "[jacfwd] Can't compute the gradient of argument index 2");
  assert_ok(mlx_jacrev(&pull, fun, (int[]){1, 1}, 2));
  assert_refused(mlx_closure_apply(&grads, pull, in), "[jacrev] Duplicate argument index 1");
  mlx_array_free(three);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
  mlx_vector_array_free(grads);
  mlx_vector_array_free(none);
  mlx_closure_free(pull);
  mlx_closure_free(fun);
}

static void a_lack_of_memory_is_an_error(void **state) {
  (void)state;
  mlx_vector_array in = arguments();
  transform all[] = {mlx_jacfwd, mlx_jacrev, mlx_hessian, NULL};
  for (int k = 0; k < 4; k++) {
    float sum = 0;
    size_t ndim;
    int n = 0;
    for (int rc = 1; rc; n++) {
      assert_true(n < 20000);
      mx_alloc_fail_after(n);
      rc = all[k] ? apply(all[k], in, k == 2 ? 8 : 4, 0, &sum, &ndim) : pull_twice(in, &sum);
      mx_alloc_fail_after(-1);
    }
    assert_true(n > 30 && sum == (k == 3 ? 99 : 86));
  }
  mlx_vector_array_free(in);
}

int main(void) {
  cpu = mlx_default_cpu_stream_new();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jacobians_have_the_shape_of_output_and_input),
      cmocka_unit_test(pullbacks_take_any_number_of_calls),
      cmocka_unit_test(a_lack_of_memory_is_an_error),
  };
  int failed = cmocka_run_group_tests(tests, listen_to_errors, NULL);
  mlx_stream_free(cpu);
  return failed;
}
