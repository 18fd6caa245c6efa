/* Schedules: a setting's value as a function of the step. */
#include "optim/optimizer.h"

static bool bad_steps(const char *what, int n) {
  if (n < 1) mx_fail(MX_EVALUE, "%s must be greater than 0, but got %d.", what, n);
  return n < 1;
}

/* init * rate ** power */
static mx_array *decayed(mx_scope *s, double init, double rate, mx_array *power) {
  return mx_optim_times(s, init, mx_power(s, mx_optim_number(s, power, rate), power));
}

mx_array *mx_optim_exponential_decay(mx_scope *s, mx_array *step, double init, double decay_rate) {
  return decayed(s, init, decay_rate, step);
}

mx_array *mx_optim_step_decay(mx_scope *s, mx_array *step, double init, double decay_rate, int step_size) {
  if (!step) return NULL;
  if (bad_steps("step_size", step_size)) return mx_scope_error(s, MX_EVALUE);
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
  if (bad_steps("steps", steps)) return mx_scope_error(s, MX_EVALUE);
  mx_array *done = mx_minimum(s, step, mx_optim_number(s, step, steps));
  return mx_optim_plus(s, mx_optim_times(s, (end - init) / steps, done), init);
}

/* ---- as closures ---- */

typedef struct schedule {
  enum { EXPONENTIAL, STEPS, COSINE, LINE, JOINED } kind;
  double a, b, c;
  int n; /* a number of steps, or of schedules */
  mx_closure **joined;
  int *boundaries;
} schedule;

static void drop_schedule(void *p) {
  schedule *f = p;
  for (int i = 0; f->joined && i < f->n; i++) mx_object_release(&f->joined[i]->base);
  mx_free(f->joined);
  mx_free(f->boundaries);
  mx_free(f);
}

/* What schedule i of joined ones says, owned by the scope. */
static mx_array *part_at(mx_scope *s, const schedule *f, int i, mx_array *step) {
  mx_list out = {0};
  int rc = step ? mx_closure_call(f->joined[i], 1, &step, &out) : s->rc;
  if (!rc && out.n != 1) rc = mx_fail(MX_EVALUE, "[schedule] a joined schedule gave %d arrays, expected one", out.n);
  mx_array *value = rc ? mx_scope_error(s, rc) : mx_own(s, mx_retain(out.at[0]));
  mx_list_clear(&out);
  return value;
}

static mx_array *joined_at(mx_scope *s, const schedule *f, mx_array *step) {
  mx_array *value = part_at(s, f, 0, step);
  for (int i = 1; i < f->n && value; i++) {
    mx_array *boundary = mx_int(s, (mx_dtype)step->dtype, f->boundaries[i - 1]);
    value = mx_where(s, mx_less(s, step, boundary), value, part_at(s, f, i, mx_subtract(s, step, boundary)));
  }
  return value;
}

static int schedule_call(void *payload, int nin, mx_array *const *in, mx_list *out) {
  const schedule *f = payload;
  if (nin != 1) return mx_fail(MX_EVALUE, "[schedule] %d arrays given, expected one: the step", nin);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *value = f->kind == EXPONENTIAL ? mx_optim_exponential_decay(&s, in[0], f->a, f->b)
                    : f->kind == STEPS     ? mx_optim_step_decay(&s, in[0], f->a, f->b, f->n)
                    : f->kind == COSINE    ? mx_optim_cosine_decay(&s, in[0], f->a, f->b, f->c)
                    : f->kind == LINE      ? mx_optim_linear_schedule(&s, in[0], f->a, f->b, f->n)
                                           : joined_at(&s, f, in[0]);
  int rc = value ? mx_list_push(out, value) : 0, failed = mx_scope_end(&s);
  return rc ? rc : failed;
}

static mx_closure *closure_of(schedule f) {
  schedule *own = mx_malloc(sizeof *own);
  if (!own) {
    mx_fail_memory();
    return NULL;
  }
  *own = f;
  return mx_closure_new(schedule_call, own, drop_schedule);
}

mx_closure *mx_schedule_exponential_decay(double init, double decay_rate) {
  return closure_of((schedule){EXPONENTIAL, .a = init, .b = decay_rate});
}
mx_closure *mx_schedule_step_decay(double init, double decay_rate, int step_size) {
  return bad_steps("step_size", step_size) ? NULL : closure_of((schedule){STEPS, .a = init, .b = decay_rate, .n = step_size});
}
mx_closure *mx_schedule_cosine_decay(double init, double decay_steps, double end) {
  return closure_of((schedule){COSINE, .a = init, .b = decay_steps, .c = end});
}
mx_closure *mx_schedule_linear(double init, double end, int steps) {
  return bad_steps("steps", steps) ? NULL : closure_of((schedule){LINE, .a = init, .b = end, .n = steps});
}

mx_closure *mx_schedule_join(int n, mx_closure *const *schedules, const int *boundaries) {
  schedule f = {JOINED, .joined = mx_malloc((size_t)n * sizeof *f.joined), .boundaries = mx_malloc((size_t)n * sizeof *f.boundaries)};
  schedule *own = mx_malloc(sizeof *own);
  if (!f.joined || !f.boundaries || !own) {
    mx_free(f.joined);
    mx_free(f.boundaries);
    mx_free(own);
    mx_fail_memory();
    return NULL;
  }
  for (f.n = 0; f.n < n; f.n++) {
    f.joined[f.n] = mx_object_retain(&schedules[f.n]->base);
    if (f.n) f.boundaries[f.n - 1] = boundaries[f.n - 1];
  }
  *own = f;
  return mx_closure_new(schedule_call, own, drop_schedule);
}
