/* Arrays: making them, computing lazily, reading values, and what an error looks like.
 *
 *   cc arrays.c $(pkg-config --cflags --libs cmlx) -o arrays && ./arrays
 *
 * Returns 0 when every result is as expected. */
#include <mlx/c/mlx.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Errors come here before a function returns 1. Without a handler they are only kept (mlx_last_error). */
static void on_error(const char *message, void *data) {
  (void)data;
  printf("error: %s\n", message);
}

static void print(const char *name, mlx_array a) {
  mlx_string text = mlx_string_new();
  if (!mlx_array_tostring(&text, a)) printf("%s = %s\n", name, mlx_string_data(text));
  mlx_string_free(text);
}

int main(void) {
  mlx_set_error_handler(on_error, NULL, NULL);
  mlx_stream s = mlx_default_cpu_stream_new();

  /* A handle starts empty; the first result gives it a box, later ones go into the same. */
  float data[] = {1, 2, 3, 4, 5, 6};
  mlx_array a = mlx_array_new_data(data, (int[]){2, 3}, 2, MLX_FLOAT32);
  mlx_array column = mlx_array_new_data((float[]){10, 20}, (int[]){2, 1}, 2, MLX_FLOAT32);
  mlx_array b = mlx_array_new(), mean = mlx_array_new(), last = mlx_array_new(), bad = mlx_array_new();

  /* Operations build a graph and return at once. Operands broadcast as in NumPy. */
  int failed = mlx_add(&b, a, column, s) || mlx_sqrt(&b, b, s);
  /* Reduce over the rows, and take the last column. */
  failed = failed || mlx_mean_axis(&mean, b, 1, false, s);
  failed = failed || mlx_slice(&last, b, (int[]){0, 2}, 2, (int[]){2, 3}, 2, (int[]){1, 1}, 2, s);
  /* Printing computes; so does asking for a value. */
  print("a", a);
  print("sqrt(a + column)", b);
  print("mean of each row", mean);
  print("last column", last);

  float first = 0;
  mlx_array total = mlx_array_new();
  failed = failed || mlx_sum(&total, b, false, s) || mlx_array_item_float32(&first, total);
  double expected = 0;
  for (int i = 0; i < 6; i++) expected += sqrt(data[i] + (i < 3 ? 10 : 20));
  failed = failed || fabs(first - expected) > 1e-4;

  /* After an eval the values can be read in place, laid out as shape and strides say. */
  failed = failed || mlx_array_eval(mean);
  const float *means = mlx_array_data_float32(mean);
  failed = failed || !means || fabs(means[0] - (sqrt(11) + sqrt(12) + sqrt(13)) / 3) > 1e-5;

  /* Shapes that do not fit are found here, not when it is computed. */
  printf("now an error on purpose:\n");
  int refused = mlx_matmul(&bad, a, a, s);
  failed = failed || refused != 1 || !strstr(mlx_last_error(), "[matmul]");

  mlx_array_free(a), mlx_array_free(column), mlx_array_free(b), mlx_array_free(mean);
  mlx_array_free(last), mlx_array_free(total), mlx_array_free(bad);
  mlx_stream_free(s);
  printf(failed ? "FAILED\n" : "ok\n");
  return failed;
}
