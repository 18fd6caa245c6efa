/* Activations: chains of element-wise operations, which evaluation fuses. */
#include <math.h>

#include "graph/build.h"
#include "nn/nn.h"

static mx_array *positive(mx_scope *s, mx_array *x) { return mx_maximum(s, x, mx_weak_int(s, x, 0)); }
static mx_array *negative_part(mx_scope *s, mx_array *x) { return mx_minimum(s, mx_weak_int(s, x, 0), x); }

mx_array *mx_nn_relu(mx_scope *s, mx_array *x) { return positive(s, x); }
mx_array *mx_nn_relu2(mx_scope *s, mx_array *x) { return mx_square(s, positive(s, x)); }
mx_array *mx_nn_relu6(mx_scope *s, mx_array *x) { return mx_minimum(s, positive(s, x), mx_weak(s, x, 6)); }
mx_array *mx_nn_leaky_relu(mx_scope *s, mx_array *x, double negative_slope) {
  return mx_maximum(s, mx_times(s, x, negative_slope), x);
}
mx_array *mx_nn_prelu(mx_scope *s, mx_array *x, mx_array *alpha) {
  return mx_add(s, positive(s, x), mx_multiply(s, alpha, negative_part(s, x)));
}

mx_array *mx_nn_elu(mx_scope *s, mx_array *x, double alpha) {
  if (!x) return NULL;
  /* the minimum keeps the other branch, and so the gradient, finite */
  mx_array *below = mx_exp(s, negative_part(s, x));
  below = mx_times(s, mx_subtract(s, below, mx_weak(s, below, 1)), alpha);
  return mx_where(s, mx_greater(s, x, mx_weak_int(s, x, 0)), x, below);
}

mx_array *mx_nn_celu(mx_scope *s, mx_array *x, double alpha) {
  if (!x) return NULL;
  mx_array *zero = mx_weak(s, x, 0), *below = mx_minimum(s, x, zero);
  below = mx_exp(s, mx_divide(s, below, mx_weak(s, below, alpha)));
  below = mx_times(s, mx_subtract(s, below, mx_weak(s, below, 1)), alpha);
  return mx_add(s, mx_maximum(s, x, zero), below);
}

mx_array *mx_nn_selu(mx_scope *s, mx_array *x) { return mx_times(s, mx_nn_elu(s, x, 1.67326), 1.0507); }
mx_array *mx_nn_silu(mx_scope *s, mx_array *x) { return mx_multiply(s, x, mx_sigmoid(s, x)); }
mx_array *mx_nn_softplus(mx_scope *s, mx_array *x) { return mx_logaddexp(s, x, mx_weak_int(s, x, 0)); }
mx_array *mx_nn_mish(mx_scope *s, mx_array *x) { return mx_multiply(s, x, mx_tanh(s, mx_nn_softplus(s, x))); }
mx_array *mx_nn_log_sigmoid(mx_scope *s, mx_array *x) { return mx_negative(s, mx_nn_softplus(s, mx_negative(s, x))); }

mx_array *mx_nn_softsign(mx_scope *s, mx_array *x) { return mx_divide(s, x, mx_add(s, mx_weak_int(s, x, 1), mx_abs(s, x))); }

mx_array *mx_nn_softshrink(mx_scope *s, mx_array *x, double lambd) {
  mx_array *moved = mx_subtract(s, x, mx_times(s, mx_sign(s, x), lambd));
  return mx_where(s, mx_greater(s, mx_abs(s, x), mx_weak(s, x, lambd)), moved, mx_weak_int(s, moved, 0));
}

mx_array *mx_nn_hard_shrink(mx_scope *s, mx_array *x, double lambd) {
  return mx_where(s, mx_greater(s, mx_abs(s, x), mx_weak(s, x, lambd)), x, mx_weak_int(s, x, 0));
}

mx_array *mx_nn_hard_tanh(mx_scope *s, mx_array *x, double min_val, double max_val) {
  return mx_minimum(s, mx_maximum(s, x, mx_weak(s, x, min_val)), mx_weak(s, x, max_val));
}

mx_array *mx_nn_hardswish(mx_scope *s, mx_array *x) {
  mx_array *up = mx_add(s, x, mx_weak_int(s, x, 3));
  mx_array *y = mx_multiply(s, x, mx_minimum(s, positive(s, up), mx_weak_int(s, up, 6)));
  return mx_divide(s, y, mx_weak_int(s, y, 6));
}

mx_array *mx_nn_gelu(mx_scope *s, mx_array *x) {
  mx_array *part = mx_erf(s, mx_divide(s, x, mx_weak(s, x, sqrt(2.0))));
  mx_array *y = mx_multiply(s, x, mx_add(s, mx_weak_int(s, part, 1), part));
  return mx_divide(s, y, mx_weak_int(s, y, 2));
}

mx_array *mx_nn_gelu_approx(mx_scope *s, mx_array *x) {
  if (!x) return NULL;
  mx_array *cube = mx_times(s, mx_power(s, x, mx_weak_int(s, x, 3)), 0.044715);
  mx_array *part = mx_tanh(s, mx_times(s, mx_add(s, x, cube), sqrt(2 / M_PI)));
  return mx_multiply(s, mx_times(s, x, 0.5), mx_add(s, mx_weak_int(s, part, 1), part));
}

mx_array *mx_nn_gelu_fast_approx(mx_scope *s, mx_array *x) { return mx_multiply(s, x, mx_sigmoid(s, mx_times(s, x, 1.702))); }

mx_array *mx_nn_glu(mx_scope *s, mx_array *x, int axis) {
  if (!x) return NULL;
  mx_list halves = {0};
  mx_array *y = NULL;
  int rc = mx_split(s, &halves, x, 2, axis);
  if (rc)
    mx_scope_error(s, rc);
  else
    y = mx_multiply(s, halves.at[0], mx_sigmoid(s, halves.at[1]));
  mx_list_clear(&halves);
  return y;
}

mx_array *mx_nn_step(mx_scope *s, mx_array *x, double threshold) {
  return mx_where(s, mx_greater_equal(s, x, mx_weak(s, x, threshold)), mx_int(s, MX_I32, 1), mx_int(s, MX_I32, 0));
}

mx_array *mx_nn_softmin(mx_scope *s, mx_array *x, int axis) {
  x = mx_negative(s, x);
  return x ? mx_softmax_axis(s, x, axis, false) : NULL;
}

mx_array *mx_nn_log_softmax(mx_scope *s, mx_array *x, int axis) {
  return x ? mx_subtract(s, x, mx_logsumexp_axis(s, x, axis, true)) : NULL;
}
