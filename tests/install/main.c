/* Uses the installed headers and library: exp(0) is 1. */
#include <mlx/c/mlx.h>

int main(void) {
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_array x = mlx_array_new_float(0), y = mlx_array_new();
  float v = 0;
  int rc = mlx_exp(&y, x, s) || mlx_array_item_float32(&v, y) || v != 1;
  mlx_array_free(x), mlx_array_free(y), mlx_stream_free(s);
  return rc;
}
