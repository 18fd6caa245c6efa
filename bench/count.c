/* Work whose instructions bench/count.py counts: `count NAME` does it twice to warm up, then once inside `measured`; `count` alone lists the
 * names. Inputs are the same each time. */
#include <mlx/c/mlx.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 256 };
static mlx_stream s;
static mlx_array x, y, wide, rows, places, images, taps, heads, key, scales, biases, words, none, res;

static int fail(int rc) {
  if (!rc) return 0;
  fprintf(stderr, "count: %s\n", mlx_last_error());
  exit(1);
}

/* Numbers in [-1, 1). */
static mlx_array floats(int dim, const int *shape) {
  static unsigned state = 1;
  size_t n = 1;
  for (int d = 0; d < dim; d++) n *= (size_t)shape[d];
  float *v = malloc(n * sizeof *v);
  for (size_t i = 0; v && i < n; i++) v[i] = (float)(int)(state = state * 1664525u + 1013904223u) * 0x1p-31f;
  mlx_array a = mlx_array_new_data(v, shape, dim, MLX_FLOAT32);
  free(v);
  return a;
}

#define RUN(name, call) \
  static int run_##name(void) { return call; }
RUN(add, mlx_add(&res, x, y, s))
RUN(chain, mlx_multiply(&res, x, y, s) || mlx_tanh(&res, res, s) || mlx_exp(&res, res, s) || mlx_add(&res, res, x, s))
RUN(sum_rows, mlx_sum_axis(&res, x, 1, false, s))
RUN(sum_columns, mlx_sum_axis(&res, x, 0, false, s))
RUN(argmax, mlx_argmax_axis(&res, x, 1, false, s))
RUN(cumsum, mlx_cumsum(&res, x, 1, false, true, s))
RUN(softmax, mlx_softmax_axis(&res, x, 1, true, s))
RUN(layer_norm, mlx_fast_layer_norm(&res, x, none, none, 1e-5f, s))
RUN(sort, mlx_sort_axis(&res, x, 1, s))
RUN(argsort, mlx_argsort_axis(&res, x, 1, s))
RUN(topk, mlx_topk_axis(&res, x, 10, 1, s))
RUN(transpose, mlx_transpose(&res, x, s) || mlx_contiguous(&res, res, false, s))
RUN(take_rows, mlx_take_axis(&res, x, rows, 0, s))
RUN(take_along_first, mlx_take_along_axis(&res, x, places, 0, s))
RUN(take_along_last, mlx_take_along_axis(&res, x, places, 1, s))
RUN(scatter_add, mlx_scatter_add_single(&res, x, rows, wide, 0, s))
RUN(product, mlx_matmul(&res, x, y, s))
RUN(quantized_product, mlx_quantized_matmul(&res, x, words, scales, biases, true, (mlx_optional_int){64, true}, (mlx_optional_int){4, true},
                                            "affine", s))
RUN(convolution, mlx_conv2d(&res, images, taps, 1, 1, 1, 1, 1, 1, 1, s))
RUN(attention, mlx_fast_scaled_dot_product_attention(&res, heads, heads, heads, 0.125f, "causal", none, none, s))
RUN(fft, mlx_fft_fft(&res, x, N, 1, MLX_FFT_NORM_BACKWARD, s))
RUN(normal, mlx_random_normal(&res, (int[]){N, N}, 2, MLX_FLOAT32, 0, 1, key, s))
/* many small steps: building, planning, running */
static int run_small_steps(void) {
  mlx_array one = mlx_array_new_float32(1);
  int rc = mlx_array_set(&res, one);
  for (int i = 0; i < 200 && !rc; i++) rc = mlx_add(&res, res, one, s) || mlx_array_eval(res);
  mlx_array_free(one);
  return rc;
}

static const struct { const char *name; int (*run)(void); } work[] = {
#define W(name) {#name, run_##name}
    W(add), W(chain), W(sum_rows), W(sum_columns), W(argmax), W(cumsum), W(softmax), W(layer_norm), W(sort), W(argsort), W(topk), W(transpose),
    W(take_rows), W(take_along_first), W(take_along_last), W(scatter_add), W(product), W(quantized_product), W(convolution), W(attention), W(fft),
    W(normal), W(small_steps)};

__attribute__((noinline)) void measured(int (*run)(void));
__attribute__((noinline)) void measured(int (*run)(void)) { fail(run() || mlx_array_eval(res)); }

static void prepare(void) {
  static int index[4 * N], place[N * N];
  for (int i = 0; i < 4 * N; i++) index[i] = i * 37 % N;
  for (int i = 0; i < N * N; i++) place[i] = (int)((unsigned)i * 2654435761u >> 8) % N;
  s = mlx_default_cpu_stream_new();
  none = (mlx_array){NULL};
  res = mlx_array_new();
  x = floats(2, (int[]){N, N});
  y = floats(2, (int[]){N, N});
  wide = floats(3, (int[]){4 * N, 1, N});
  rows = mlx_array_new_data(index, (int[]){4 * N}, 1, MLX_INT32);
  places = mlx_array_new_data(place, (int[]){N, N}, 2, MLX_INT32);
  images = floats(4, (int[]){4, 28, 28, 16});
  taps = floats(4, (int[]){32, 3, 3, 16});
  heads = floats(4, (int[]){1, 4, 128, 64});
  key = mlx_array_new(), words = mlx_array_new(), scales = mlx_array_new(), biases = mlx_array_new();
  fail(mlx_random_key(&key, 7));
  mlx_vector_array parts = mlx_vector_array_new();
  fail(mlx_quantize(&parts, y, (mlx_optional_int){64, true}, (mlx_optional_int){4, true}, "affine", none, s) || mlx_eval(parts));
  fail(mlx_vector_array_get(&words, parts, 0) || mlx_vector_array_get(&scales, parts, 1) || mlx_vector_array_get(&biases, parts, 2));
  mlx_vector_array_free(parts);
}

int main(int argc, char **argv) {
  int known = sizeof work / sizeof *work;
  for (int i = 0; i < known; i++) {
    if (argc < 2) puts(work[i].name);
    else if (!strcmp(argv[1], work[i].name)) {
      prepare();
      for (int warm = 0; warm < 2; warm++) fail(work[i].run() || mlx_array_eval(res));
      measured(work[i].run);
      return 0;
    }
  }
  return argc > 1;
}
