/* Weights made of others, and running averages. */
#include "graph/build.h"
#include "nn/nn.h"

mx_array *mx_nn_weight_norm(mx_scope *s, mx_array *v, mx_array *g, int axis) {
  if (!v || !g) return NULL;
  int ax, axes[MX_MAX_NDIM], n = 0, rc = mx_norm_axis("weight_norm", axis, v->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  if (v->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[weight_norm] Expected at least 2 dimensions, got shape %s.", mx_shape_words(v));
  for (int i = 0; i < v->ndim; i++)
    if (i != ax) axes[n++] = i;
  mx_array *length = mx_sqrt(s, mx_sum_axes(s, mx_square(s, v), axes, (size_t)n, true));
  return mx_multiply(s, v, mx_divide(s, g, length));
}

/* v / max(|v|, eps) */
static mx_array *unit(mx_scope *s, mx_array *v, double eps) {
  mx_array *length = v ? mx_linalg_norm_l2(s, v, NULL, 0, false) : NULL;
  return mx_divide(s, v, mx_maximum(s, length, mx_weak(s, length, eps)));
}

int mx_nn_spectral_norm(mx_scope *s, mx_array *res[3], mx_array *weight, mx_array *u, mx_array *v, int iterations, double eps) {
  if (!weight || !u || !v) return s->rc;
  int rows = weight->ndim ? weight->shape[0] : 0;
  int64_t cols = rows ? weight->size / rows : 0;
  if (weight->ndim < 2 || u->ndim != 1 || v->ndim != 1 || u->shape[0] != rows || v->shape[0] != cols ||
      !mx_is_float(weight->dtype))
    return mx_scope_fail(s, MX_EVALUE,
                         "[spectral_norm] A weight (rows, ...) of shape %s does not fit vectors of its rows and columns, of "
                         "shapes %s and %s.",
                         mx_shape_words(weight), mx_shape_words(u), mx_shape_words(v)),
           s->rc;
  if (iterations < 0 || iterations > 1 << 16)
    return mx_scope_fail(s, MX_EVALUE, "[spectral_norm] Expected 0 to %d iterations, got %d.", 1 << 16, iterations), s->rc;
  mx_array *w = mx_reshape(s, weight, (int[]){rows, -1}, 2), *still = mx_stop_gradient(s, w);
  for (int i = 0; i < iterations && !s->rc; i++) {
    v = unit(s, mx_matmul(s, mx_transpose(s, still), u), eps);
    u = unit(s, mx_matmul(s, still, v), eps);
  }
  u = mx_stop_gradient(s, u);
  v = mx_stop_gradient(s, v);
  res[0] = mx_divide(s, weight, mx_inner(s, u, mx_matmul(s, w, v)));
  res[1] = u;
  res[2] = v;
  return s->rc;
}

mx_array *mx_nn_moving_average(mx_scope *s, mx_array *average, mx_array *value, double decay) {
  return mx_add(s, mx_times(s, average, decay), mx_times(s, value, 1 - decay));
}
