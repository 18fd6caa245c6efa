/* Schedules: a setting's value as a function of the step. */
#include <math.h>

#include "optim/optim.h"

/* init * rate ** power */
static mx_array *decayed(mx_scope *s, double init, double rate, mx_array *power) {
  return mx_optim_times(s, init, mx_power(s, mx_optim_number(s, power, rate), power));
}

mx_array *mx_optim_exponential_decay(mx_scope *s, mx_array *step, double init, double decay_rate) {
  return decayed(s, init, decay_rate, step);
}

mx_array *mx_optim_step_decay(mx_scope *s, mx_array *step, double init, double decay_rate, int step_size) {
  if (!step) return NULL;
  if (step_size < 1) return mx_scope_fail(s, MX_EVALUE, "step_size must be greater than 0, but got %d.", step_size);
  return decayed(s, init, decay_rate, mx_floor_divide(s, step, mx_int(s, step->dtype, step_size)));
}

mx_array *mx_optim_cosine_decay(mx_scope *s, mx_array *step, double init, double decay_steps, double end) {
  const double pi = 3.14159265358979323846;
  mx_array *done = mx_minimum(s, step, mx_optim_number(s, step, decay_steps));
  mx_array *wave = mx_cos(s, mx_optim_times(s, pi / decay_steps, done));
  mx_array *height = mx_optim_times(s, 0.5, mx_optim_plus(s, wave, 1));
  return mx_optim_plus(s, mx_multiply(s, height, mx_optim_number(s, height, init - end)), end);
}

mx_array *mx_optim_linear_schedule(mx_scope *s, mx_array *step, double init, double end, int steps) {
  if (!step) return NULL;
  if (steps < 1) return mx_scope_fail(s, MX_EVALUE, "steps must be greater than 0, but got %d.", steps);
  mx_array *done = mx_minimum(s, step, mx_optim_number(s, step, steps));
  return mx_optim_plus(s, mx_optim_times(s, (end - init) / steps, done), init);
}
