/* Optimizers that see a parameter as a matrix: Muon (Keller Jordan, 2024) and Adafactor (Shazeer and Stern, 2018). */
#include <math.h>

#include "optim/optim.h"

#define NUM   mx_optim_number
#define TIMES mx_optim_times
#define PLUS  mx_optim_plus
#define REST  mx_optim_rest

/* Each step puts the singular values through the polynomial a x + b x^3 + c x^5, whose values stay near 1 once they are. */
mx_array *mx_optim_orthogonal(mx_scope *s, mx_array *x, int steps) {
  const double a = 3.4445, b = -4.7750, c = 2.0315;
  if (!x) return NULL;
  if (x->ndim != 2)
    return mx_scope_fail(s, MX_EVALUE, "[optim_orthogonal] An array of shape %s was given, expected two dimensions.", mx_shape_of(x));
  if (steps < 0 || steps > 1000)
    return mx_scope_fail(s, MX_EVALUE, "[optim_orthogonal] %d steps given, expected 0 to 1000.", steps);
  bool tall = x->shape[0] > x->shape[1];
  if (tall) x = mx_transpose(s, x);
  x = mx_divide(s, x, PLUS(s, mx_linalg_norm_l2(s, x, NULL, 0, false), 1e-7));
  for (int i = 0; i < steps && x; i++) {
    mx_array *square = mx_matmul(s, x, mx_transpose(s, x));
    mx_array *factor = mx_addmm(s, TIMES(s, b, square), square, square, (float)c, 1);
    x = mx_addmm(s, TIMES(s, a, x), factor, x, 1, 1);
  }
  return tall && x ? mx_transpose(s, x) : x;
}

int mx_optim_muon(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                  double momentum, double weight_decay, bool nesterov, int ns_steps) {
  if (!gradient || !parameter || !learning_rate) return s->rc;
  if (weight_decay != 0) gradient = mx_add(s, gradient, TIMES(s, weight_decay, parameter));
  res[1] = mx_add(s, TIMES(s, momentum, v), TIMES(s, 1 - momentum, gradient));
  mx_array *update = nesterov ? mx_add(s, TIMES(s, 1 - momentum, gradient), TIMES(s, momentum, res[1])) : res[1];
  if (!update) return s->rc;
  mx_array *lr = mx_astype(s, learning_rate, gradient->dtype);
  int n = update->ndim, *shape = update->shape;
  if (n >= 2) {
    mx_array *flat = mx_optim_orthogonal(s, mx_reshape(s, update, (int[]){shape[0], -1}, 2), ns_steps);
    update = flat ? mx_reshape(s, flat, shape, (size_t)n) : NULL;
    lr = mx_multiply(s, lr, NUM(s, lr, sqrt(fmax(1, (double)shape[n - 2] / shape[n - 1]))));
  }
  res[0] = mx_subtract(s, parameter, mx_multiply(s, lr, update));
  return s->rc;
}

/* ---- Adafactor ---- */

mx_array *mx_optim_rms(mx_scope *s, mx_array *a) { return mx_sqrt(s, mx_mean(s, mx_square(s, a), false)); }

mx_array *mx_optim_adafactor_rate(mx_scope *s, mx_array *step, mx_array *rms, mx_array *learning_rate, double eps, bool scale_parameter,
                                  bool relative_step, bool warmup_init) {
  if (!step || !rms) return NULL;
  if (!relative_step && !learning_rate)
    return mx_scope_fail(s, MX_EVALUE, "[optim_adafactor_rate] no learning rate given, expected one without relative_step.");
  mx_array *lr = learning_rate;
  if (relative_step) {
    mx_array *falling = mx_rsqrt(s, step);
    lr = mx_minimum(s, warmup_init ? TIMES(s, 1e-6, step) : NUM(s, falling, 1e-2), falling);
  }
  lr = lr ? mx_astype(s, lr, rms->dtype) : NULL;
  return scale_parameter ? mx_multiply(s, lr, mx_maximum(s, NUM(s, rms, eps), rms)) : lr;
}

mx_array *mx_optim_adafactor_root(mx_scope *s, mx_array *row, mx_array *col) {
  if (!row || !col) return NULL;
  mx_array *rows = mx_rsqrt(s, mx_divide(s, row, mx_mean_axis(s, row, -1, true)));
  return mx_multiply(s, mx_expand_dims(s, rows, -1), mx_expand_dims(s, mx_rsqrt(s, col), -2));
}

/* beta * mean + (1 - beta) * x for a beta in an array. */
static mx_array *running_mean(mx_scope *s, mx_array *beta, mx_array *mean, mx_array *x) {
  return mx_add(s, mx_multiply(s, beta, mean), mx_multiply(s, REST(s, beta), x));
}

/* The gradient over the root of its mean square, whose new state goes to next[]. */
static mx_array *normalised(mx_scope *s, mx_array *gradient, mx_array *beta, mx_array *const *state, double eps, mx_array **next) {
  mx_array *square = PLUS(s, mx_square(s, gradient), eps);
  if (!square) return NULL;
  if (gradient->ndim < 2) {
    next[0] = running_mean(s, beta, state[0], square);
    return mx_multiply(s, mx_rsqrt(s, next[0]), gradient);
  }
  next[0] = running_mean(s, beta, state[0], mx_mean_axis(s, square, -1, false));
  next[1] = running_mean(s, beta, state[1], mx_mean_axis(s, square, -2, false));
  return mx_multiply(s, mx_optim_adafactor_root(s, next[0], next[1]), gradient);
}

int mx_optim_adafactor(mx_scope *s, mx_list *out, mx_array *gradient, mx_array *parameter, int nstate, mx_array *const *state,
                       mx_array *learning_rate, mx_array *step, double eps_0, double eps_1, double clip_threshold, double decay_rate,
                       double beta_1, double weight_decay, bool scale_parameter, bool relative_step, bool warmup_init) {
  if (!gradient || !parameter || !step) return s->rc;
  int means = gradient->ndim >= 2 ? 2 : 1;
  if (nstate != means && nstate != means + 1) {
    mx_scope_fail(s, MX_EVALUE, "[optim_adafactor] %d arrays of state given for a gradient of shape %s, expected %d or %d.", nstate,
                  mx_shape_of(gradient), means, means + 1);
    return s->rc;
  }
  mx_array *next[3] = {NULL};
  mx_array *lr = mx_optim_adafactor_rate(s, step, mx_optim_rms(s, parameter), learning_rate, eps_1, scale_parameter, relative_step,
                                         warmup_init);
  mx_array *beta_2 = REST(s, mx_power(s, step, NUM(s, step, decay_rate)));
  beta_2 = beta_2 ? mx_astype(s, beta_2, gradient->dtype) : NULL;
  mx_array *update = normalised(s, gradient, beta_2, state, eps_0, next), *rms = mx_optim_rms(s, update);
  mx_array *over = rms ? mx_divide(s, rms, NUM(s, rms, clip_threshold)) : NULL;
  update = mx_multiply(s, lr, mx_divide(s, update, mx_maximum(s, NUM(s, over, 1), over)));
  if (nstate > means) {
    update = mx_add(s, TIMES(s, beta_1, state[means]), TIMES(s, 1 - beta_1, update));
    next[means] = update;
  }
  if (weight_decay != 0) parameter = mx_subtract(s, parameter, mx_multiply(s, TIMES(s, weight_decay, lr), parameter));
  mx_array *result = mx_subtract(s, parameter, update);
  int rc = s->rc ? s->rc : mx_list_push(out, result);
  for (int i = 0; i < nstate && !rc; i++) rc = mx_list_push(out, next[i]);
  return rc;
}
