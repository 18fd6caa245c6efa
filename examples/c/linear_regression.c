/* Linear regression by gradient descent: y = x @ w, found again from noisy samples with mlx_value_and_grad.
 *
 *   cc linear_regression.c $(pkg-config --cflags --libs cmlx) -lm -o linear_regression && ./linear_regression
 *
 * Returns 0 when the weights come out close to the true ones. */
#include <mlx/c/mlx.h>

#include <math.h>
#include <stdio.h>

enum { SAMPLES = 512, FEATURES = 8, STEPS = 200 };

static mlx_stream s;

/* inputs: w (FEATURES,), x (SAMPLES, FEATURES), y (SAMPLES,). output: the mean squared error. */
static int loss(mlx_vector_array *res, const mlx_vector_array inputs) {
  mlx_array w = mlx_array_new(), x = mlx_array_new(), y = mlx_array_new(), e = mlx_array_new();
  int rc = mlx_vector_array_get(&w, inputs, 0) || mlx_vector_array_get(&x, inputs, 1) || mlx_vector_array_get(&y, inputs, 2) ||
           mlx_matmul(&e, x, w, s) || mlx_subtract(&e, e, y, s) || mlx_square(&e, e, s) || mlx_mean(&e, e, false, s) ||
           mlx_vector_array_set_value(res, e);
  mlx_array_free(w), mlx_array_free(x), mlx_array_free(y), mlx_array_free(e);
  return rc;
}

/* w -= rate * gradient of the loss, whose value goes to *value. */
static int step(mlx_array *w, mlx_array x, mlx_array y, mlx_array rate, mlx_closure_value_and_grad f, float *value) {
  mlx_vector_array in = mlx_vector_array_new_data((mlx_array[]){*w, x, y}, 3);
  mlx_vector_array values = mlx_vector_array_new(), grads = mlx_vector_array_new();
  mlx_array v = mlx_array_new(), g = mlx_array_new();
  int rc = mlx_closure_value_and_grad_apply(&values, &grads, f, in) || mlx_vector_array_get(&v, values, 0) ||
           mlx_vector_array_get(&g, grads, 0) || mlx_multiply(&g, g, rate, s) || mlx_subtract(w, *w, g, s) ||
           mlx_array_eval(*w) || mlx_array_item_float32(value, v);
  mlx_array_free(v), mlx_array_free(g);
  mlx_vector_array_free(in), mlx_vector_array_free(values), mlx_vector_array_free(grads);
  return rc;
}

static int standard_normal(mlx_array *res, const int *shape, size_t ndim, uint64_t seed) {
  mlx_array key = mlx_array_new();
  int rc = mlx_random_key(&key, seed) || mlx_random_normal(res, shape, ndim, MLX_FLOAT32, 0, 1, key, s);
  mlx_array_free(key);
  return rc;
}

int main(void) {
  s = mlx_default_cpu_stream_new();
  mlx_array truth = mlx_array_new(), x = mlx_array_new(), y = mlx_array_new(), noise = mlx_array_new();
  mlx_array w = mlx_array_new(), rate = mlx_array_new_float(0.1f), off = mlx_array_new(), small = mlx_array_new_float(0.01f);
  int rc = standard_normal(&truth, (int[]){FEATURES}, 1, 1) || standard_normal(&x, (int[]){SAMPLES, FEATURES}, 2, 2) ||
           standard_normal(&noise, (int[]){SAMPLES}, 1, 3) || mlx_matmul(&y, x, truth, s) || mlx_multiply(&noise, noise, small, s) ||
           mlx_add(&y, y, noise, s) || mlx_zeros(&w, (int[]){FEATURES}, 1, MLX_FLOAT32, s);

  mlx_closure f = mlx_closure_new_func(loss);
  mlx_closure_value_and_grad g = mlx_closure_value_and_grad_new();
  rc = rc || mlx_value_and_grad(&g, f, (int[]){0}, 1); /* with respect to the first input */
  float value = 0;
  for (int i = 0; i < STEPS && !rc; i++) {
    rc = step(&w, x, y, rate, g, &value);
    if (i % 50 == 0 || i == STEPS - 1) printf("step %3d  loss %.6f\n", i, value);
  }

  float error = 1;
  rc = rc || mlx_subtract(&off, w, truth, s) || mlx_abs(&off, off, s) || mlx_max(&off, off, false, s) ||
       mlx_array_item_float32(&error, off);
  if (rc)
    printf("error: %s\n", mlx_last_error());
  else
    printf("largest error of a weight: %.5f\n", error);

  mlx_closure_free(f), mlx_closure_value_and_grad_free(g);
  mlx_array_free(truth), mlx_array_free(x), mlx_array_free(y), mlx_array_free(noise);
  mlx_array_free(w), mlx_array_free(rate), mlx_array_free(off), mlx_array_free(small);
  mlx_stream_free(s);
  return rc || !(error < 0.01f);
}
