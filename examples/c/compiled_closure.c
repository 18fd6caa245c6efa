/* A closure under mlx_compile: the function runs once to be traced; later calls replay what it built.
 *
 *   cc compiled_closure.c $(pkg-config --cflags --libs cmlx) -lm -o compiled_closure && ./compiled_closure
 *
 * Returns 0 when the compiled results are the plain ones and the function ran once for each shape. */
#include <mlx/c/mlx.h>

#include <math.h>
#include <stdio.h>

static mlx_stream s;

typedef struct counter {
  int traces;
} counter;

/* gelu(x) = x / 2 * (1 + erf(x / sqrt(2))). The payload is ours: here it counts the calls. */
static int gelu(mlx_vector_array *res, const mlx_vector_array inputs, void *payload) {
  ((counter *)payload)->traces++;
  mlx_array x = mlx_array_new(), y = mlx_array_new(), half = mlx_array_new_float(0.5f), one = mlx_array_new_float(1),
            root = mlx_array_new_float(sqrtf(0.5f));
  int rc = mlx_vector_array_get(&x, inputs, 0) || mlx_multiply(&y, x, root, s) || mlx_erf(&y, y, s) || mlx_add(&y, y, one, s) ||
           mlx_multiply(&y, y, half, s) || mlx_multiply(&y, y, x, s) || mlx_vector_array_set_value(res, y);
  mlx_array_free(x), mlx_array_free(y), mlx_array_free(half), mlx_array_free(one), mlx_array_free(root);
  return rc;
}

/* *same: whether f(x) is gelu of `n` evenly spaced numbers. */
static int check(mlx_closure f, int n, int *same) {
  mlx_array x = mlx_array_new(), y = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new(), out = mlx_vector_array_new();
  int rc = mlx_linspace(&x, -3, 3, n, MLX_FLOAT32, s) || mlx_vector_array_append_value(in, x) || mlx_closure_apply(&out, f, in) ||
           mlx_vector_array_get(&y, out, 0) || mlx_array_eval(y) || mlx_array_eval(x);
  const float *a = rc ? NULL : mlx_array_data_float32(x), *b = rc ? NULL : mlx_array_data_float32(y);
  for (int i = 0; i < n && a && b; i++) *same = *same && fabs(b[i] - 0.5 * a[i] * (1 + erf(a[i] / sqrt(2)))) < 1e-5;
  mlx_vector_array_free(in), mlx_vector_array_free(out);
  mlx_array_free(x), mlx_array_free(y);
  return rc;
}

int main(void) {
  s = mlx_default_cpu_stream_new();
  counter calls = {0};
  int same = 1, rc = 0;
  mlx_closure plain = mlx_closure_new_func_payload(gelu, &calls, NULL), compiled = mlx_closure_new();
  rc = mlx_compile(&compiled, plain, false);

  for (int i = 0; i < 100 && !rc; i++) rc = check(compiled, 1000, &same);
  printf("100 calls of one shape: traced %d time\n", calls.traces);
  int expected = calls.traces == 1;
  rc = rc || check(compiled, 500, &same);
  printf("another shape: traced %d times\n", calls.traces);
  expected = expected && calls.traces == 2;

  if (rc) printf("error: %s\n", mlx_last_error());
  mlx_closure_free(plain), mlx_closure_free(compiled);
  mlx_stream_free(s);
  return rc || !same || !expected;
}
