/* Optimizers: the mathematics of one parameter's step. Same names, order and rules as graph/functions.h. */
#ifndef MX_OPTIM_H
#define MX_OPTIM_H

#include "graph/graph.h"

/* steps.c: res[0] is the new parameter, behind it the new state, in the order in which it is given */
int mx_optim_sgd(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                 double momentum, double weight_decay, double dampening, bool nesterov);
int mx_optim_rmsprop(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                     double alpha, double eps);
int mx_optim_adagrad(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                     double eps);
int mx_optim_adadelta(mx_scope *s, mx_array *res[3], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *u,
                      mx_array *learning_rate, double rho, double eps);
int mx_optim_adam(mx_scope *s, mx_array *res[3], mx_array *gradient, mx_array *parameter, mx_array *m, mx_array *v,
                  mx_array *learning_rate, mx_array *corrected, mx_array *root, double beta_1, double beta_2, double eps,
                  double weight_decay);
int mx_optim_adam_corrections(mx_scope *s, mx_array *res[2], mx_array *learning_rate, mx_array *step, double beta_1, double beta_2,
                              mx_dtype dtype);
int mx_optim_adamax(mx_scope *s, mx_array *res[3], mx_array *gradient, mx_array *parameter, mx_array *m, mx_array *v,
                    mx_array *learning_rate, double beta_1, double beta_2, double eps);
int mx_optim_lion(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *m, mx_array *learning_rate,
                  double beta_1, double beta_2, double weight_decay);

/* matrices.c */
int mx_optim_muon(mx_scope *s, mx_array *res[2], mx_array *gradient, mx_array *parameter, mx_array *v, mx_array *learning_rate,
                  double momentum, double weight_decay, bool nesterov, int ns_steps);
int mx_optim_adafactor(mx_scope *s, mx_list *out, mx_array *gradient, mx_array *parameter, int nstate, mx_array *const *state,
                       mx_array *learning_rate, mx_array *step, double eps_0, double eps_1, double clip_threshold, double decay_rate,
                       double beta_1, double weight_decay, bool scale_parameter, bool relative_step, bool warmup_init);
mx_array *mx_optim_orthogonal(mx_scope *s, mx_array *matrix, int steps);
mx_array *mx_optim_rms(mx_scope *s, mx_array *a);
mx_array *mx_optim_adafactor_rate(mx_scope *s, mx_array *step, mx_array *rms, mx_array *learning_rate, double eps, bool scale_parameter,
                                  bool relative_step, bool warmup_init);
mx_array *mx_optim_adafactor_root(mx_scope *s, mx_array *row, mx_array *col);

/* norm.c */
mx_array *mx_optim_global_norm(mx_scope *s, int n, mx_array *const *gradients);
int mx_optim_clip_by_norm(mx_scope *s, mx_list *out, int n, mx_array *const *gradients, mx_array *norm, mx_array *max_norm);

/* schedules.c */
mx_array *mx_optim_exponential_decay(mx_scope *s, mx_array *step, double init, double decay_rate);
mx_array *mx_optim_step_decay(mx_scope *s, mx_array *step, double init, double decay_rate, int step_size);
mx_array *mx_optim_cosine_decay(mx_scope *s, mx_array *step, double init, double decay_steps, double end);
mx_array *mx_optim_linear_schedule(mx_scope *s, mx_array *step, double init, double end, int steps);

/* A number that takes x's dtype, or f32 beside integers. */
static inline mx_array *mx_optim_number(mx_scope *s, const mx_array *x, double v) {
  return x ? mx_scalar(s, mx_at_least_float(x->dtype), v) : NULL;
}
/* k * x; x + k */
static inline mx_array *mx_optim_times(mx_scope *s, double k, mx_array *x) { return mx_multiply(s, mx_optim_number(s, x, k), x); }
static inline mx_array *mx_optim_plus(mx_scope *s, mx_array *x, double k) { return mx_add(s, x, mx_optim_number(s, x, k)); }
/* 1 - x */
static inline mx_array *mx_optim_rest(mx_scope *s, mx_array *x) { return mx_subtract(s, x ? mx_const_like(s, x, 1) : NULL, x); }

#endif
