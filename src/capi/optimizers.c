/* Optimizers and schedules: handles and maps in, src/optim, handles and maps out. An optimizer's box holds one counted reference. */
#include "mlx/c/optimizers.h"

#include <math.h>

#include "capi/handles.h"
#include "core/map.h"
#include "optim/optimizer.h"

/* ---- handles ---- */

static mx_optimizer *optimizer_of(mlx_optimizer h) { return h.ctx ? *(mx_optimizer **)h.ctx : NULL; }

static int need(mx_optimizer **res, mlx_optimizer h) {
  *res = optimizer_of(h);
  return *res ? 0 : mx_fail(MX_EVALUE, "[optimizer] empty optimizer given, expected one");
}

mlx_optimizer mlx_optimizer_new(void) { return (mlx_optimizer){NULL}; }

int mlx_optimizer_free(mlx_optimizer optimizer) {
  mx_optimizer_release(optimizer_of(optimizer));
  mx_free(optimizer.ctx);
  return 0;
}

/* ---- kinds ---- */

static mlx_optimizer made(mx_optimizer *o) { /* takes it; NULL: an error is recorded */
  mlx_optimizer res = {NULL};
  if (o && !(res.ctx = mx_calloc(1, sizeof o))) {
    mx_optimizer_release(o);
    mx_fail_memory();
  }
  if (res.ctx) *(mx_optimizer **)res.ctx = o;
  else MX_REPORT();
  return res;
}

/* 0, or an error that says which setting is negative. */
static int positive(const char *type, const char *name, double value) {
  return value >= 0 ? 0 : mx_fail(MX_EVALUE, "%s %s should be >=0, %g was provided instead", type, name, value);
}

static mlx_optimizer make(int rc, const mx_optimizer_kind *kind, double learning_rate, mx_optimizer_settings settings) {
  if (!rc && isnan(learning_rate) && kind != &mx_adafactor)
    rc = mx_fail(MX_EVALUE, "[optimizer] %s was given NaN as its learning rate, expected a number", kind->type);
  return made(rc ? NULL : mx_optimizer_new(kind, &settings, learning_rate));
}

mlx_optimizer mlx_optimizer_sgd_new(double learning_rate, double momentum, double weight_decay, double dampening, bool nesterov) {
  int rc = nesterov && (!(momentum > 0) || dampening != 0)
               ? mx_fail(MX_EVALUE, "Nesterov momentum requires a momentum and zero dampening.")
               : 0;
  return make(rc, &mx_sgd, learning_rate,
              (mx_optimizer_settings){.momentum = momentum, .weight_decay = weight_decay, .dampening = dampening, .nesterov = nesterov});
}

mlx_optimizer mlx_optimizer_rmsprop_new(double learning_rate, double alpha, double eps) {
  int rc = positive("RMSprop", "alpha", alpha);
  return make(rc ? rc : positive("RMSprop", "epsilon", eps), &mx_rmsprop, learning_rate,
              (mx_optimizer_settings){.alpha = alpha, .eps = eps});
}

mlx_optimizer mlx_optimizer_adagrad_new(double learning_rate, double eps) {
  return make(positive("Adagrad", "epsilon", eps), &mx_adagrad, learning_rate, (mx_optimizer_settings){.eps = eps});
}

mlx_optimizer mlx_optimizer_adadelta_new(double learning_rate, double rho, double eps) {
  int rc = positive("AdaDelta", "rho", rho);
  return make(rc ? rc : positive("AdaDelta", "epsilon", eps), &mx_adadelta, learning_rate,
              (mx_optimizer_settings){.rho = rho, .eps = eps});
}

mlx_optimizer mlx_optimizer_adam_new(double learning_rate, double beta_1, double beta_2, double eps, bool bias_correction) {
  return mlx_optimizer_adamw_new(learning_rate, beta_1, beta_2, eps, 0, bias_correction);
}

mlx_optimizer mlx_optimizer_adamw_new(double learning_rate, double beta_1, double beta_2, double eps, double weight_decay,
                        bool bias_correction) {
  return make(positive("Adam", "epsilon", eps), &mx_adam, learning_rate,
              (mx_optimizer_settings){.beta_1 = beta_1, .beta_2 = beta_2, .eps = eps, .weight_decay = weight_decay,
                                      .bias_correction = bias_correction});
}

mlx_optimizer mlx_optimizer_adamax_new(double learning_rate, double beta_1, double beta_2, double eps) {
  return make(positive("Adam", "epsilon", eps), &mx_adamax, learning_rate,
              (mx_optimizer_settings){.beta_1 = beta_1, .beta_2 = beta_2, .eps = eps});
}

mlx_optimizer mlx_optimizer_lion_new(double learning_rate, double beta_1, double beta_2, double weight_decay) {
  return make(0, &mx_lion, learning_rate,
              (mx_optimizer_settings){.beta_1 = beta_1, .beta_2 = beta_2, .weight_decay = weight_decay});
}

mlx_optimizer mlx_optimizer_muon_new(double learning_rate, double momentum, double weight_decay, bool nesterov, int ns_steps) {
  return make(0, &mx_muon, learning_rate,
              (mx_optimizer_settings){.momentum = momentum, .weight_decay = weight_decay, .nesterov = nesterov, .ns_steps = ns_steps});
}

mlx_optimizer mlx_optimizer_adafactor_new(double learning_rate, double eps_0, double eps_1, double clip_threshold,
                            double decay_rate, double beta_1, double weight_decay, bool scale_parameter, bool relative_step,
                            bool warmup_init) {
  return make(0, &mx_adafactor, learning_rate,
              (mx_optimizer_settings){.eps = eps_0, .eps_1 = eps_1, .clip_threshold = clip_threshold, .decay_rate = decay_rate,
                                      .beta_1 = beta_1, .weight_decay = weight_decay, .scale_parameter = scale_parameter,
                                      .relative_step = relative_step, .warmup_init = warmup_init});
}

/* ---- several ---- */

typedef struct chooser {
  int (*choose)(const char *, const mlx_array, void *);
  void *payload;
  void (*dtor)(void *);
} chooser;

static int choose(void *payload, const char *name, mx_array *gradient) {
  chooser *c = payload;
  return c->choose(name, (mlx_array){&gradient}, c->payload);
}

static void drop_chooser(void *payload) {
  chooser *c = payload;
  if (c->dtor) c->dtor(c->payload);
  mx_free(c);
}

static mlx_optimizer make_multi(const mlx_optimizer *parts, size_t n, chooser *c) {
  mx_optimizer **own = mx_malloc(n * sizeof *own);
  int rc = own ? 0 : mx_fail_memory();
  for (size_t i = 0; i < n && !rc; i++) rc = need(&own[i], parts[i]);
  if (rc) {
    drop_chooser(c);
    mx_free(own);
    return made(NULL);
  }
  mlx_optimizer res = made(mx_optimizer_multi((int)n, own, choose, c, drop_chooser));
  mx_free(own);
  return res;
}

mlx_optimizer mlx_optimizer_multi_new(const mlx_optimizer *optimizers, size_t optimizers_num,
                                      int (*fun)(const char *, const mlx_array, void *), void *payload, void (*dtor)(void *)) {
  int rc = optimizers && optimizers_num && optimizers_num < INT16_MAX && fun
               ? 0
               : mx_fail(MX_EVALUE, "[optimizer_multi] %zu optimizers given, expected at least one and a function that chooses",
                         optimizers_num);
  chooser *c = rc ? NULL : mx_malloc(sizeof *c);
  if (!c) {
    if (!rc) mx_fail_memory();
    if (dtor) dtor(payload);
    return made(NULL);
  }
  *c = (chooser){fun, payload, dtor};
  return make_multi(optimizers, optimizers_num, c);
}

/* ---- maps ---- */

/* The entries of a map as lists of names and arrays. */
typedef struct entries {
  int n;
  const char **names;
  mx_array **first, **second;
} entries;

static int entries_of(entries *e, mlx_map_string_to_array h, const char *what) {
  const mx_map *m = h.ctx;
  *e = (entries){0};
  if (!m) return mx_fail(MX_EVALUE, "[optimizer] empty map given for '%s', expected one", what);
  size_t n = (size_t)m->n;
  e->names = mx_malloc((n + 1) * 3 * sizeof(void *));
  if (!e->names) return mx_fail_memory();
  e->first = (mx_array **)(e->names + n + 1);
  e->second = e->first + n + 1;
  for (; e->n < m->n; e->n++) e->names[e->n] = m->at[e->n].key, e->first[e->n] = m->at[e->n].value;
  return 0;
}

/* The parameters that the gradients are of. */
static int partners(entries *e, mlx_map_string_to_array parameters) {
  const mx_map *m = parameters.ctx;
  if (!m) return mx_fail(MX_EVALUE, "[optimizer] empty map given for 'parameters', expected one");
  for (int i = 0; i < e->n; i++)
    if (!(e->second[i] = mx_map_find(m, e->names[i])))
      return mx_fail(MX_EKEY, "[optimizer] there is a gradient of '%s', but no parameter", e->names[i]);
  return 0;
}

static void drop_array(void *a) { mx_release(a); }

/* Puts the arrays into a map, under these names. */
static int fill(mx_map *m, const entries *e, mx_array *const *values) {
  int rc = 0;
  for (int i = 0; i < e->n && !rc; i++)
    if ((rc = mx_map_insert(m, e->names[i], mx_retain(values[i]), drop_array))) mx_release(values[i]);
  return rc;
}

/* *res = m, into the map that is there or a new one; m is empty afterwards, also when it fails. */
static int put_map(mlx_map_string_to_array *res, mx_map *m) {
  int rc = 0;
  if (!res)
    rc = mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  else if (!res->ctx && !(res->ctx = mx_calloc(1, sizeof *m)))
    rc = mx_fail_memory();
  if (!rc) {
    mx_map old = *(mx_map *)res->ctx;
    *(mx_map *)res->ctx = *m;
    *m = old;
  }
  mx_map_clear(m, drop_array);
  return rc;
}

static int put_entries(mlx_map_string_to_array *res, const entries *e, mx_array *const *values) {
  mx_map m = {0};
  int rc = fill(&m, e, values);
  if (!rc) return put_map(res, &m);
  mx_map_clear(&m, drop_array);
  return rc;
}

/* ---- a step ---- */

static int stream_of(mx_stream *res, mlx_stream s) {
  if (!s.ctx) return mx_fail(MX_EVALUE, "[optimizer] empty stream given, expected a stream");
  *res = *(mx_stream *)s.ctx;
  return 0;
}

int mlx_optimizer_init(const mlx_optimizer optimizer, const mlx_map_string_to_array parameters, const mlx_stream s) {
  mx_optimizer *o;
  mx_stream stream = 0;
  entries e = {0};
  int rc = need(&o, optimizer);
  if (!rc) rc = stream_of(&stream, s);
  if (!rc) rc = entries_of(&e, parameters, "parameters");
  if (!rc) rc = mx_optimizer_init(o, stream, e.n, e.names, e.first);
  mx_free(e.names);
  return MX_STATUS(rc);
}

/* The entries of gradients in e, the new parameters in out; the caller frees e.names. */
static int apply(entries *e, mx_list *out, mlx_optimizer optimizer, mlx_map_string_to_array gradients, mlx_map_string_to_array parameters,
                 mlx_stream s) {
  mx_optimizer *o;
  mx_stream stream = 0;
  int rc = need(&o, optimizer);
  if (!rc) rc = stream_of(&stream, s);
  if (!rc) rc = entries_of(e, gradients, "gradients");
  if (!rc) rc = partners(e, parameters);
  return rc ? rc : mx_optimizer_apply(o, stream, e->n, e->names, e->first, e->second, out);
}

int mlx_optimizer_apply_gradients(mlx_map_string_to_array *res, const mlx_optimizer optimizer, const mlx_map_string_to_array gradients,
                                  const mlx_map_string_to_array parameters, const mlx_stream s) {
  entries e = {0};
  mx_list out = {0};
  int rc = res ? apply(&e, &out, optimizer, gradients, parameters, s)
               : mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  if (!rc) rc = put_entries(res, &e, out.at);
  mx_list_clear(&out);
  mx_free(e.names);
  return MX_STATUS(rc);
}

int mlx_optimizer_update(const mlx_optimizer optimizer, const mlx_map_string_to_array parameters, const mlx_map_string_to_array gradients,
                         const mlx_stream s) {
  entries e = {0};
  mx_list out = {0};
  int rc = apply(&e, &out, optimizer, gradients, parameters, s);
  if (!rc) rc = fill(parameters.ctx, &e, out.at);
  mx_list_clear(&out);
  mx_free(e.names);
  return MX_STATUS(rc);
}

int mlx_optimizer_update_module(const mlx_optimizer optimizer, const mlx_nn_module module, const mlx_map_string_to_array gradients,
                                const mlx_stream s) {
  mlx_map_string_to_array parameters = {NULL}, after = {NULL};
  int rc = mlx_nn_module_parameters(&parameters, module) || mlx_optimizer_apply_gradients(&after, optimizer, gradients, parameters, s) ||
           mlx_nn_module_update(module, after, true);
  mlx_map_string_to_array_free(parameters);
  mlx_map_string_to_array_free(after);
  return rc;
}

int mlx_clip_grad_norm(mlx_map_string_to_array *res, mlx_array *norm, const mlx_map_string_to_array gradients, double max_norm,
                       const mlx_stream s) {
  entries e = {0};
  mx_stream stream = 0;
  mx_list out = {0};
  int rc = stream_of(&stream, s);
  if (!rc) rc = entries_of(&e, gradients, "gradients");
  if (rc) return MX_REPORT();
  mx_scope scope;
  mx_scope_begin(&scope, stream);
  mx_array *before = mx_optim_global_norm(&scope, e.n, e.first);
  rc = mx_optim_clip_by_norm(&scope, &out, e.n, e.first, before, mx_optim_number(&scope, before, max_norm));
  if (!rc) rc = put_entries(res, &e, out.at);
  if (!rc) rc = mx_put(norm, mx_retain(before));
  mx_scope_end(&scope);
  mx_list_clear(&out);
  mx_free(e.names);
  return MX_STATUS(rc);
}

/* ---- state ---- */

int mlx_optimizer_learning_rate(mlx_array *res, const mlx_optimizer optimizer) {
  mx_optimizer *o;
  int rc = need(&o, optimizer);
  while (!rc && !o->kind) o = o->parts[0];
  if (!rc && !o->learning_rate) rc = mx_fail(MX_EVALUE, "[optimizer] this %s has no learning rate", o->kind->type);
  return MX_STATUS(rc ? rc : mx_put(res, mx_retain(o->learning_rate)));
}

int mlx_optimizer_set_learning_rate(const mlx_optimizer optimizer, double learning_rate) {
  mx_optimizer *o;
  int rc = need(&o, optimizer);
  return MX_STATUS(rc ? rc : mx_optimizer_set_rate(o, learning_rate));
}

int mlx_optimizer_set_schedule(const mlx_optimizer optimizer, const mlx_closure schedule) {
  mx_optimizer *o;
  mx_closure *f;
  int rc = need(&o, optimizer);
  if (!rc) rc = mx_need_closure(&f, schedule, "optimizer_set_schedule");
  return MX_STATUS(rc ? rc : mx_optimizer_set_schedule(o, f));
}

static int into_map(void *to, const char *name, mx_array **place) {
  int rc = mx_map_insert(to, name, mx_retain(*place), drop_array);
  if (rc) mx_release(*place);
  return rc;
}

int mlx_optimizer_state(mlx_map_string_to_array *res, const mlx_optimizer optimizer) {
  mx_optimizer *o;
  mx_map m = {0};
  int rc = need(&o, optimizer);
  if (!rc) rc = mx_optimizer_walk(o, into_map, &m);
  if (rc)
    mx_map_clear(&m, drop_array);
  else
    rc = put_map(res, &m);
  return MX_STATUS(rc);
}

int mlx_optimizer_set_state(const mlx_optimizer optimizer, const mlx_map_string_to_array state) {
  mx_optimizer *o;
  entries e = {0};
  int rc = need(&o, optimizer);
  if (!rc) rc = entries_of(&e, state, "state");
  if (!rc) rc = mx_optimizer_set_state(o, e.n, e.names, e.first);
  mx_free(e.names);
  return MX_STATUS(rc);
}

static int into_list(void *to, const char *name, mx_array **place) {
  (void)name;
  return mx_list_push(to, *place);
}

int mlx_optimizer_state_values(mlx_vector_array *res, const mlx_optimizer optimizer) {
  mx_optimizer *o;
  mx_list out = {0};
  int rc = need(&o, optimizer);
  if (!rc) rc = mx_optimizer_walk(o, into_list, &out);
  if (!rc) rc = mx_put_list(res, &out);
  mx_list_clear(&out);
  return MX_STATUS(rc);
}

typedef struct source {
  const mx_list *from;
  int i;
} source;

static int count(void *to, const char *name, mx_array **place) {
  (void)name, (void)place;
  ++*(int *)to;
  return 0;
}

static int from_list(void *to, const char *name, mx_array **place) {
  (void)name;
  source *f = to;
  mx_set(place, mx_retain(f->from->at[f->i++]));
  return 0;
}

int mlx_optimizer_set_state_values(const mlx_optimizer optimizer, const mlx_vector_array values) {
  mx_optimizer *o;
  const mx_list *in;
  int n = 0, rc = need(&o, optimizer);
  if (!rc) rc = mx_need_list(&in, values, "optimizer_set_state_values", "values");
  if (!rc) rc = mx_optimizer_walk(o, count, &n);
  if (!rc && n != in->n) rc = mx_fail(MX_EVALUE, "[optimizer_set_state_values] %d arrays given, expected %d", in->n, n);
  if (!rc) rc = mx_optimizer_walk(o, from_list, &(source){in, 0});
  return MX_STATUS(rc);
}

/* ---- schedules ---- */

static int put_schedule(mlx_closure *res, mx_closure *f) { return MX_STATUS(f ? mx_put_closure(res, f) : mx_error_kind()); }

int mlx_schedule_exponential_decay(mlx_closure *res, double init, double decay_rate) {
  return put_schedule(res, mx_schedule_exponential_decay(init, decay_rate));
}
int mlx_schedule_step_decay(mlx_closure *res, double init, double decay_rate, int step_size) {
  return put_schedule(res, mx_schedule_step_decay(init, decay_rate, step_size));
}
int mlx_schedule_cosine_decay(mlx_closure *res, double init, double decay_steps, double end) {
  return put_schedule(res, mx_schedule_cosine_decay(init, decay_steps, end));
}
int mlx_schedule_linear(mlx_closure *res, double init, double end, int steps) {
  return put_schedule(res, mx_schedule_linear(init, end, steps));
}

int mlx_schedule_join(mlx_closure *res, const mlx_closure *schedules, size_t schedules_num, const int *boundaries, size_t boundaries_num) {
  if (!schedules || !schedules_num || schedules_num > INT16_MAX) return MX_REFUSE(MX_EVALUE, "Must provide at least 1 schedule to join.");
  if (boundaries_num != schedules_num - 1 || (boundaries_num && !boundaries))
    return MX_REFUSE(MX_EVALUE, "Received %zu boundaries but expected %zu.", boundaries_num, schedules_num - 1);
  mx_closure **own = mx_malloc(schedules_num * sizeof *own);
  int rc = own ? 0 : mx_fail_memory();
  for (size_t i = 0; i < schedules_num && !rc; i++) rc = mx_need_closure(&own[i], schedules[i], "schedule_join");
  rc = rc ? MX_REPORT() : put_schedule(res, mx_schedule_join((int)schedules_num, own, boundaries));
  mx_free(own);
  return rc;
}
