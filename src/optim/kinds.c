/* The kinds of optimizers: what each keeps for a parameter, and its step by its settings. */
#include "optim/optimizer.h"

#define STEP(name)                                                                                                                  \
  static int name(const mx_optimizer_settings *o, mx_scope *s, mx_array *gradient, mx_array *parameter, mx_array *const *slot,      \
                  mx_array *learning_rate, mx_array *step, mx_array *const shared[2], mx_array **res)

STEP(step_sgd) {
  (void)step, (void)shared;
  return mx_optim_sgd(s, res, gradient, parameter, slot[0], learning_rate, o->momentum, o->weight_decay, o->dampening, o->nesterov);
}
STEP(step_rmsprop) {
  (void)step, (void)shared;
  return mx_optim_rmsprop(s, res, gradient, parameter, slot[0], learning_rate, o->alpha, o->eps);
}
STEP(step_adagrad) {
  (void)step, (void)shared;
  return mx_optim_adagrad(s, res, gradient, parameter, slot[0], learning_rate, o->eps);
}
STEP(step_adadelta) {
  (void)step, (void)shared;
  return mx_optim_adadelta(s, res, gradient, parameter, slot[0], slot[1], learning_rate, o->rho, o->eps);
}
STEP(step_adam) {
  (void)step;
  return mx_optim_adam(s, res, gradient, parameter, slot[0], slot[1], learning_rate, shared[0], shared[1], o->beta_1, o->beta_2, o->eps,
                       o->weight_decay);
}
static int shared_adam(const mx_optimizer_settings *o, mx_scope *s, mx_dtype dtype, mx_array *learning_rate, mx_array *step,
                       mx_array *res[2]) {
  return o->bias_correction ? mx_optim_adam_corrections(s, res, learning_rate, step, o->beta_1, o->beta_2, dtype) : 0;
}
STEP(step_adamax) {
  (void)step, (void)shared;
  return mx_optim_adamax(s, res, gradient, parameter, slot[0], slot[1], learning_rate, o->beta_1, o->beta_2, o->eps);
}
STEP(step_lion) {
  (void)step, (void)shared;
  return mx_optim_lion(s, res, gradient, parameter, slot[0], learning_rate, o->beta_1, o->beta_2, o->weight_decay);
}
STEP(step_muon) {
  (void)step, (void)shared;
  return mx_optim_muon(s, res, gradient, parameter, slot[0], learning_rate, o->momentum, o->weight_decay, o->nesterov, o->ns_steps);
}

const mx_optimizer_kind mx_sgd = {"SGD", {"v"}, NULL, NULL, NULL, step_sgd};
const mx_optimizer_kind mx_rmsprop = {"RMSprop", {"v"}, NULL, NULL, NULL, step_rmsprop};
const mx_optimizer_kind mx_adagrad = {"Adagrad", {"v"}, NULL, NULL, NULL, step_adagrad};
const mx_optimizer_kind mx_adadelta = {"AdaDelta", {"v", "u"}, NULL, NULL, NULL, step_adadelta};
const mx_optimizer_kind mx_adam = {"Adam", {"m", "v"}, NULL, NULL, shared_adam, step_adam};
const mx_optimizer_kind mx_adamax = {"Adamax", {"m", "v"}, NULL, NULL, NULL, step_adamax};
const mx_optimizer_kind mx_lion = {"Lion", {"m"}, NULL, NULL, NULL, step_lion};
const mx_optimizer_kind mx_muon = {"Muon", {"v"}, NULL, NULL, NULL, step_muon};

/* ---- Adafactor: the mean of squares as row and column, or of fewer than two dimensions itself; the mean of updates if asked ---- */

enum { ROW, COL, WHOLE, UPDATES };

static unsigned adafactor_has(const mx_optimizer_settings *o, const mx_array *parameter) {
  return (parameter->ndim >= 2 ? 1u << ROW | 1u << COL : 1u << WHOLE) | (o->beta_1 == o->beta_1 ? 1u << UPDATES : 0);
}

static mx_array *adafactor_start(mx_scope *s, mx_array *parameter, int i) {
  if (i != ROW && i != COL) return mx_zeros_like(s, parameter);
  int shape[MX_MAX_NDIM], n = parameter->ndim;
  for (int k = 0; k < n - 1; k++) shape[k] = parameter->shape[k];
  if (i == COL) shape[n - 2] = parameter->shape[n - 1];
  return mx_zeros(s, shape, (size_t)n - 1, (mx_dtype)parameter->dtype);
}

STEP(step_adafactor) {
  (void)shared;
  unsigned has = adafactor_has(o, parameter);
  mx_array *state[MX_SLOTS];
  int n = 0, place[MX_SLOTS];
  for (int i = 0; i < MX_SLOTS; i++)
    if (has >> i & 1) place[n] = i, state[n++] = slot[i];
  mx_list out = {0};
  int rc = mx_optim_adafactor(s, &out, gradient, parameter, n, state, learning_rate, step, o->eps, o->eps_1, o->clip_threshold,
                              o->decay_rate, o->beta_1, o->weight_decay, o->scale_parameter, o->relative_step, o->warmup_init);
  for (int i = 0; i < out.n && !rc; i++) {
    mx_array **to = i ? &res[1 + place[i - 1]] : &res[0];
    if (!(*to = mx_own(s, mx_retain(out.at[i])))) rc = s->rc;
  }
  mx_list_clear(&out);
  return rc;
}

const mx_optimizer_kind mx_adafactor = {
    "Adafactor", {"exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq", "exp_avg"}, adafactor_has, adafactor_start, NULL,
    step_adafactor};
