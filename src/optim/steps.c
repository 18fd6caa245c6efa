/* One step of one parameter: element-wise chains, which evaluation fuses into one pass over parameter, gradient and state. */
#include "optim/optim.h"

#define NUM   mx_optim_number
#define TIMES mx_optim_times
#define PLUS  mx_optim_plus
#define REST  mx_optim_rest

/* The learning rate in the gradient's dtype. */
static mx_array *rate_for(mx_scope *s, mx_array *learning_rate, const mx_array *gradient) {
  return learning_rate && gradient ? mx_astype(s, learning_rate, gradient->dtype) : NULL;
}

/* beta * mean + (1 - beta) * x */
static mx_array *running_mean(mx_scope *s, double beta, mx_array *mean, mx_array *x) {
  return mx_add(s, TIMES(s, beta, mean), TIMES(s, 1 - beta, x));
}

/* parameter - rate * up / down */
static mx_array *less(mx_scope *s, mx_array *parameter, mx_array *rate, mx_array *up, mx_array *down) {
  return mx_subtract(s, parameter, mx_divide(s, mx_multiply(s, rate, up), down));
}

int mx_optim_sgd(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                 double momentum, double weight_decay, double dampening, bool nesterov) {
  mx_array *lr = rate_for(s, learning_rate, gradient), *update = gradient;
  if (weight_decay != 0) update = gradient = mx_add(s, gradient, TIMES(s, weight_decay, parameter));
  if (momentum > 0) {
    v = mx_add(s, TIMES(s, momentum, v), dampening > 0 ? TIMES(s, 1 - dampening, gradient) : gradient);
    update = nesterov ? mx_add(s, gradient, TIMES(s, momentum, v)) : v;
  }
  res[0] = mx_subtract(s, parameter, mx_multiply(s, lr, update));
  res[1] = v;
  return s->rc;
}

int mx_optim_rmsprop(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                     double alpha, double eps) {
  res[1] = running_mean(s, alpha, v, mx_square(s, gradient));
  res[0] = less(s, parameter, rate_for(s, learning_rate, gradient), gradient, PLUS(s, mx_sqrt(s, res[1]), eps));
  return s->rc;
}

int mx_optim_adagrad(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                     double eps) {
  res[1] = mx_add(s, v, mx_square(s, gradient));
  res[0] = less(s, parameter, rate_for(s, learning_rate, gradient), gradient, PLUS(s, mx_sqrt(s, res[1]), eps));
  return s->rc;
}

int mx_optim_adadelta(mx_scope *s, mx_array *res[3], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *u,
                      mx_array *learning_rate, double rho, double eps) {
  res[1] = running_mean(s, rho, v, mx_square(s, gradient));
  mx_array *scale = mx_divide(s, mx_sqrt(s, PLUS(s, u, eps)), mx_sqrt(s, PLUS(s, res[1], eps)));
  mx_array *update = mx_multiply(s, scale, gradient);
  res[2] = running_mean(s, rho, u, mx_square(s, update));
  res[0] = mx_subtract(s, parameter, mx_multiply(s, rate_for(s, learning_rate, gradient), update));
  return s->rc;
}

/* 1 - beta ** step */
static mx_array *started(mx_scope *s, double beta, mx_array *step) { return REST(s, mx_power(s, NUM(s, step, beta), step)); }

int mx_optim_adam(mx_scope *s, mx_array *res[3], mx_array *gradient, mx_array *parameter, mx_array *m, mx_array *v,
                  mx_array *learning_rate, mx_array *corrected, mx_array *root, double beta_1, double beta_2, double eps,
                  double weight_decay) {
  mx_array *lr = rate_for(s, learning_rate, gradient);
  if (weight_decay != 0) parameter = mx_multiply(s, parameter, REST(s, mx_multiply(s, lr, NUM(s, lr, weight_decay))));
  res[1] = running_mean(s, beta_1, m, gradient);
  res[2] = running_mean(s, beta_2, v, mx_square(s, gradient));
  mx_array *down = mx_sqrt(s, res[2]);
  if (corrected && root) down = mx_multiply(s, down, root), lr = corrected;
  res[0] = less(s, parameter, lr, res[1], PLUS(s, down, eps));
  return s->rc;
}

int mx_optim_adam_corrections(mx_scope *s, mx_array *res[2], mx_array *learning_rate, mx_array *step, double beta_1, double beta_2,
                              mx_dtype dtype) {
  step = mx_astype(s, step, dtype);
  res[0] = mx_divide(s, mx_astype(s, learning_rate, dtype), started(s, beta_1, step));
  res[1] = mx_rsqrt(s, started(s, beta_2, step));
  return s->rc;
}

int mx_optim_adamax(mx_scope *s, mx_array *res[3], mx_array *gradient, mx_array *parameter, mx_array *m, mx_array *v,
                    mx_array *learning_rate, double beta_1, double beta_2, double eps) {
  res[1] = running_mean(s, beta_1, m, gradient);
  res[2] = mx_maximum(s, TIMES(s, beta_2, v), mx_abs(s, gradient));
  res[0] = less(s, parameter, rate_for(s, learning_rate, gradient), res[1], PLUS(s, res[2], eps));
  return s->rc;
}

int mx_optim_lion(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *m, mx_array *learning_rate,
                  double beta_1, double beta_2, double weight_decay) {
  mx_array *lr = rate_for(s, learning_rate, gradient), *direction = mx_sign(s, running_mean(s, beta_1, m, gradient));
  res[1] = running_mean(s, beta_2, m, gradient);
  if (weight_decay > 0) parameter = mx_multiply(s, REST(s, mx_multiply(s, lr, NUM(s, lr, weight_decay))), parameter);
  res[0] = mx_subtract(s, parameter, mx_multiply(s, lr, direction));
  return s->rc;
}
