/* Initialisers. */
#include <math.h>
#include <string.h>

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

static const char *words(const int *shape, size_t n) {
  mx_array like = {.ndim = (uint8_t)(n > MX_MAX_NDIM ? MX_MAX_NDIM : n), .shape = (int32_t *)shape};
  return mx_shape_words(&like);
}

mx_array *mx_nn_init_identity(mx_scope *s, const int *shape, size_t n, mx_dtype dtype) {
  if (s->rc) return NULL;
  if (n != 2 || shape[0] != shape[1])
    return mx_scope_fail(s, MX_EVALUE, "The input array must be a square matrix but got shape %s.", words(shape, n));
  return mx_eye(s, shape[0], shape[0], 0, dtype);
}

/* Inputs and outputs of one unit of a weight (out, ..., in); the axes between are a kernel's. */
static bool fans(mx_scope *s, const int *shape, size_t n, double *in, double *out) {
  if (s->rc) return false;
  if (n < 2) {
    mx_scope_fail(s, MX_EVALUE, "Glorot / He initialization requires at least 2 dimensional input but input with %zu dimensions.",
                  n);
    return false;
  }
  double field = 1;
  for (size_t i = 1; i + 1 < n; i++) field *= shape[i];
  *in = shape[n - 1] * field;
  *out = shape[0] * field;
  return true;
}

mx_array *mx_nn_init_glorot_normal(mx_scope *s, const int *shape, size_t n, double gain, mx_dtype dtype, mx_array *key) {
  double in, out;
  return fans(s, shape, n, &in, &out) ? mx_nn_init_normal(s, shape, n, 0, gain * sqrt(2.0 / (in + out)), dtype, key) : NULL;
}

mx_array *mx_nn_init_glorot_uniform(mx_scope *s, const int *shape, size_t n, double gain, mx_dtype dtype, mx_array *key) {
  double in, out;
  if (!fans(s, shape, n, &in, &out)) return NULL;
  double limit = gain * sqrt(6.0 / (in + out));
  return mx_nn_init_uniform(s, shape, n, -limit, limit, dtype, key);
}

static bool chosen_fan(mx_scope *s, const int *shape, size_t n, const char *mode, double *fan) {
  double in, out;
  if (!fans(s, shape, n, &in, &out)) return false;
  bool is_in = !strcmp(mode, "fan_in");
  if (!is_in && strcmp(mode, "fan_out")) {
    mx_scope_fail(s, MX_EVALUE, "Invalid mode: %.100s. Valid modes are: fan_in, fan_out", mode);
    return false;
  }
  *fan = is_in ? in : out;
  return true;
}

mx_array *mx_nn_init_he_normal(mx_scope *s, const int *shape, size_t n, const char *mode, double gain, mx_dtype dtype,
                               mx_array *key) {
  double fan;
  return chosen_fan(s, shape, n, mode, &fan) ? mx_nn_init_normal(s, shape, n, 0, gain / sqrt(fan), dtype, key) : NULL;
}

mx_array *mx_nn_init_he_uniform(mx_scope *s, const int *shape, size_t n, const char *mode, double gain, mx_dtype dtype,
                                mx_array *key) {
  double fan;
  if (!chosen_fan(s, shape, n, mode, &fan)) return NULL;
  double limit = gain * sqrt(3.0 / fan);
  return mx_nn_init_uniform(s, shape, n, -limit, limit, dtype, key);
}

mx_array *mx_nn_init_sparse(mx_scope *s, const int *shape, size_t n, double sparsity, double mean, double std, mx_dtype dtype,
                            mx_array *key) {
  if (s->rc) return NULL;
  if (n != 2) return mx_scope_fail(s, MX_EVALUE, "Only tensors with 2 dimensions are supported");
  double zeros = ceil(shape[1] * sparsity);
  if (!(zeros >= 0 && zeros <= shape[1])) return mx_scope_fail(s, MX_EVALUE, "The sparsity %g is not in [0, 1]", sparsity);
  mx_array *keys[2] = {NULL};
  if (key && mx_random_split(s, keys, key)) return NULL;
  mx_array *order = mx_nn_init_uniform(s, shape, n, 0, 1, MX_F32, keys[0]);
  order = order ? mx_argsort_axis(s, order, 1) : NULL;
  mx_array *x = mx_nn_init_normal(s, shape, n, mean, std, dtype, keys[1]);
  if (!order || !x) return NULL;
  order = mx_slice_axis(s, order, 1, 0, (int64_t)zeros);
  return mx_put_along_axis(s, x, order, mx_zeros(s, (int[]){1, 1}, 2, dtype), 1);
}

mx_array *mx_nn_init_orthogonal(mx_scope *s, const int *shape, size_t n, double gain, mx_dtype dtype, mx_array *key) {
  if (s->rc) return NULL;
  if (n != 2) return mx_scope_fail(s, MX_EVALUE, "Orthogonal initialization requires a 2D array but got a %zuD array.", n);
  int size = shape[0] > shape[1] ? shape[0] : shape[1];
  mx_array *x = mx_nn_init_normal(s, (int[]){size, size}, 2, 0, 1, MX_F32, key), *qr[2] = {NULL};
  if (!x || mx_linalg_qr(s, qr, x)) return NULL;
  /* the signs make the draw uniform among all such matrices */
  mx_array *q = mx_multiply(s, qr[0], mx_sign(s, mx_diag(s, qr[1], 0)));
  q = mx_slice_axis(s, mx_slice_axis(s, q, 0, 0, shape[0]), 1, 0, shape[1]);
  return mx_astype(s, mx_times(s, q, gain), dtype);
}
