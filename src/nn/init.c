/* Initialisers. */
#include "graph/build.h"
#include "nn/nn.h"

mx_array *mx_nn_init_uniform(mx_scope *s, const int *shape, size_t n, double low, double high, mx_dtype dtype, mx_array *key) {
  return s->rc ? NULL : mx_random_uniform(s, mx_scalar(s, MX_F32, low), mx_scalar(s, MX_F32, high), shape, n, dtype, key);
}

mx_array *mx_nn_init_normal(mx_scope *s, const int *shape, size_t n, double mean, double std, mx_dtype dtype, mx_array *key) {
  return s->rc ? NULL
               : mx_random_normal_broadcast(s, shape, n, dtype, mean == 0 ? NULL : mx_scalar(s, MX_F32, mean),
                                            std == 1 ? NULL : mx_scalar(s, MX_F32, std), key);
}

mx_array *mx_nn_init_constant(mx_scope *s, const int *shape, size_t n, double value, mx_dtype dtype) {
  return s->rc ? NULL : mx_full(s, shape, n, mx_scalar(s, dtype, value), dtype);
}
