/* Optimizers as objects: the update of a whole tree. What state there is, by name: state.c. */
#include "optim/optimizer.h"

#include <math.h>

void mx_drop_slots(void *p) {
  mx_slots *slots = p;
  for (int i = 0; i < MX_SLOTS; i++) mx_release(slots->at[i]);
  mx_free(slots);
}

static void destroy(mx_object *base) {
  mx_optimizer *o = (mx_optimizer *)base;
  mx_map_clear(&o->slots, mx_drop_slots);
  mx_release(o->step);
  mx_release(o->learning_rate);
  if (o->schedule) mx_object_release(&o->schedule->base);
  for (int i = 0; i < o->nparts; i++) mx_optimizer_release(o->parts[i]);
  mx_free(o->parts);
  if (o->dtor) o->dtor(o->payload);
  mx_free(o);
}

static mx_optimizer *fresh(void) {
  mx_optimizer *o = mx_calloc(1, sizeof *o);
  if (!o) {
    mx_fail_memory();
    return NULL;
  }
  o->base = (mx_object){1, destroy};
  return o;
}

int mx_optimizer_set_rate(mx_optimizer *o, double learning_rate) {
  int rc = 0;
  for (int i = 0; i < o->nparts && !rc; i++) rc = mx_optimizer_set_rate(o->parts[i], learning_rate);
  if (rc || !o->kind) return rc;
  mx_array *rate = mx_array_float(MX_F32, learning_rate);
  if (!rate) return mx_error_kind();
  mx_set(&o->learning_rate, rate);
  return 0;
}

mx_optimizer *mx_optimizer_new(const mx_optimizer_kind *kind, const mx_optimizer_settings *settings, double learning_rate) {
  mx_optimizer *o = fresh();
  if (!o) return NULL;
  o->kind = kind;
  o->set = *settings;
  if ((o->step = mx_array_int(MX_U64, 0)) && (isnan(learning_rate) || !mx_optimizer_set_rate(o, learning_rate))) return o;
  mx_optimizer_release(o);
  return NULL;
}

mx_optimizer *mx_optimizer_multi(int n, mx_optimizer *const *parts, int (*choose)(void *, const char *, mx_array *), void *payload,
                                 void (*dtor)(void *)) {
  mx_optimizer *o = fresh();
  if (!o) {
    if (dtor) dtor(payload);
    return NULL;
  }
  o->choose = choose, o->payload = payload, o->dtor = dtor;
  o->parts = mx_malloc((size_t)n * sizeof *o->parts);
  if (!o->parts) {
    mx_fail_memory();
    mx_optimizer_release(o);
    return NULL;
  }
  for (o->nparts = 0; o->nparts < n; o->nparts++) o->parts[o->nparts] = mx_optimizer_retain(parts[o->nparts]);
  return o;
}

/* *res = what the schedule says at the present step. */
static int scheduled(mx_optimizer *o, mx_array **res) {
  mx_list out = {0};
  int rc = mx_closure_call(o->schedule, 1, &o->step, &out);
  if (!rc && (out.n != 1 || out.at[0]->size != 1))
    rc = mx_fail(MX_EVALUE, "[optimizer] the schedule gave no single number, expected a learning rate");
  *res = rc ? NULL : mx_retain(out.at[0]);
  mx_list_clear(&out);
  return rc;
}

int mx_optimizer_set_schedule(mx_optimizer *o, mx_closure *schedule) {
  if (!o->kind) return mx_fail(MX_EVALUE, "[optimizer] several optimizers have no schedule of their own, expected it set for one");
  mx_closure *old = o->schedule;
  mx_array *rate;
  o->schedule = schedule;
  int rc = scheduled(o, &rate);
  if (rc) {
    o->schedule = old;
    return rc;
  }
  mx_object_retain(&schedule->base);
  if (old) mx_object_release(&old->base);
  mx_set(&o->learning_rate, rate);
  return 0;
}

/* ---- one parameter ---- */

static int start(mx_optimizer *o, mx_stream stream, const char *name, mx_array *parameter) {
  mx_slots *slots = mx_calloc(1, sizeof *slots);
  if (!slots) return mx_fail_memory();
  unsigned has = o->kind->has ? o->kind->has(&o->set, parameter) : ~0u;
  int rc = 0;
  for (int i = 0; i < MX_SLOTS && o->kind->slot[i] && !rc; i++) {
    if (!(has >> i & 1)) continue;
    mx_scope s;
    mx_scope_begin(&s, stream);
    mx_array *zeros = o->kind->start ? o->kind->start(&s, parameter, i) : mx_zeros_like(&s, parameter);
    if (!(slots->at[i] = mx_scope_result(&s, zeros))) rc = mx_error_kind();
  }
  if (!rc) rc = mx_map_insert(&o->slots, name, slots, mx_drop_slots);
  if (rc) mx_drop_slots(slots);
  return rc;
}

/* What one update gives to every parameter. */
typedef struct update {
  mx_stream stream;
  mx_array *rate, *step;
  mx_array *shared[MX_DTYPES][2]; /* by dtype, once it is asked for; NULL before, or where the kind has none */
} update;

static void update_end(update *u) {
  mx_release(u->rate);
  mx_release(u->step);
  for (int t = 0; t < MX_DTYPES; t++)
    for (int k = 0; k < 2; k++) mx_release(u->shared[t][k]);
}

static int share_for(mx_optimizer *o, update *u, mx_dtype dtype) {
  if (!o->kind->shared || u->shared[dtype][0]) return 0;
  mx_array *res[2] = {NULL};
  mx_scope s;
  mx_scope_begin(&s, u->stream);
  if (!o->kind->shared(&o->set, &s, dtype, u->rate, u->step, res))
    for (int k = 0; k < 2; k++) u->shared[dtype][k] = mx_retain(res[k]);
  return mx_scope_end(&s);
}

/* The new parameter and then MX_SLOTS slots, pushed on out; for those it does not have something else stands there. */
static int one_step(mx_optimizer *o, update *u, const char *name, mx_array *gradient, mx_array *parameter, mx_list *out) {
  if (!mx_same_shape(gradient, parameter))
    return mx_fail(MX_EVALUE, "[optimizer] the gradient of '%s' has shape %s, expected that of the parameter, %s", name,
                   mx_shape_of(gradient), mx_shape_of(parameter));
  if (!u->rate && o->kind != &mx_adafactor) return mx_fail(MX_EVALUE, "[optimizer] %s needs a learning rate", o->kind->type);
  if (!mx_map_find(&o->slots, name)) {
    int rc = start(o, u->stream, name, gradient);
    if (rc) return rc;
  }
  int rc = share_for(o, u, (mx_dtype)gradient->dtype);
  if (rc) return rc;
  mx_slots *slots = mx_map_find(&o->slots, name);
  unsigned has = o->kind->has ? o->kind->has(&o->set, parameter) : ~0u;
  for (int i = 0; i < MX_SLOTS && o->kind->slot[i]; i++)
    if (has >> i & 1 && !slots->at[i])
      return mx_fail(MX_EKEY, "[optimizer] the state of '%s' has no '%s', which %s needs", name, o->kind->slot[i], o->kind->type);
  mx_array *res[1 + MX_SLOTS] = {NULL};
  mx_scope s;
  mx_scope_begin(&s, u->stream);
  rc = o->kind->step(&o->set, &s, gradient, parameter, slots->at, u->rate, u->step, u->shared[gradient->dtype], res);
  for (int i = 0; i < 1 + MX_SLOTS && !rc && !s.rc; i++) {
    mx_array *old = i && slots->at[i - 1] ? slots->at[i - 1] : parameter;
    rc = mx_list_push(out, res[i] ? res[i] : old);
  }
  int failed = mx_scope_end(&s);
  return rc ? rc : failed;
}

/* ---- all of them ---- */

/* Which arrays are for which part: part[i] of name i. */
static int divide(mx_optimizer *o, int n, const char *const *names, mx_array *const *gradients, int *part) {
  for (int i = 0; i < n; i++) {
    part[i] = o->choose(o->payload, names[i], gradients[i]);
    if (part[i] < 0 || part[i] >= o->nparts)
      return mx_fail(MX_EINDEX, "[optimizer] optimizer %d was chosen for '%s', but there are %d", part[i], names[i], o->nparts);
  }
  return 0;
}

/* What goes to one part: lists that are filled anew for each. */
typedef struct share {
  int *part, *place;
  const char **names;
  mx_array **first, **second;
} share;

static int share_begin(share *h, int n) {
  size_t m = (size_t)n + 1;
  h->names = mx_malloc(m * (sizeof *h->names + sizeof *h->first + sizeof *h->second + 2 * sizeof *h->part));
  if (!h->names) return mx_fail_memory();
  h->first = (mx_array **)(h->names + m);
  h->second = h->first + m;
  h->part = (int *)(h->second + m);
  h->place = h->part + m;
  return 0;
}

static int share_of(share *h, int which, int n, const char *const *names, mx_array *const *first, mx_array *const *second) {
  int k = 0;
  for (int i = 0; i < n; i++) {
    if (h->part[i] != which) continue;
    h->names[k] = names[i], h->first[k] = first[i], h->second[k] = second[i];
    h->place[k++] = i;
  }
  return k;
}

static int init_parts(mx_optimizer *o, mx_stream stream, int n, const char *const *names, mx_array *const *parameters) {
  share h = {0};
  int rc = share_begin(&h, n);
  if (rc) return rc;
  rc = divide(o, n, names, parameters, h.part);
  for (int k = 0; k < o->nparts && !rc; k++) {
    int m = share_of(&h, k, n, names, parameters, parameters);
    rc = mx_optimizer_init(o->parts[k], stream, m, h.names, h.first);
  }
  mx_free(h.names);
  return rc;
}

int mx_optimizer_init(mx_optimizer *o, mx_stream stream, int n, const char *const *names, mx_array *const *parameters) {
  if (!o->kind) return init_parts(o, stream, n, names, parameters);
  int rc = 0;
  for (int i = 0; i < n && !rc; i++)
    if (!mx_map_find(&o->slots, names[i])) rc = start(o, stream, names[i], parameters[i]);
  return rc;
}

static int apply_parts(mx_optimizer *o, mx_stream stream, int n, const char *const *names, mx_array *const *gradients,
                       mx_array *const *parameters, mx_list *out) {
  share h = {0};
  mx_list all = {0};
  int rc = share_begin(&h, n);
  if (rc) return rc;
  mx_array **placed = mx_calloc((size_t)n + 1, sizeof *placed);
  rc = placed ? divide(o, n, names, gradients, h.part) : mx_fail_memory();
  for (int k = 0; k < o->nparts && !rc; k++) {
    int m = share_of(&h, k, n, names, gradients, parameters), before = all.n;
    rc = mx_optimizer_apply(o->parts[k], stream, m, h.names, h.first, h.second, &all);
    for (int i = 0; i < m && !rc; i++) placed[h.place[i]] = all.at[before + i];
  }
  for (int i = 0; i < n && !rc; i++) rc = mx_list_push(out, placed[i]);
  mx_list_clear(&all);
  mx_free(placed);
  mx_free(h.names);
  return rc;
}

/* The rate and the number of this step. */
static int update_begin(update *u, mx_optimizer *o) {
  int rc = 0;
  if (o->schedule)
    rc = scheduled(o, &u->rate);
  else
    u->rate = mx_retain(o->learning_rate);
  if (rc) return rc;
  mx_scope s;
  mx_scope_begin(&s, u->stream);
  u->step = mx_scope_result(&s, mx_add(&s, o->step, mx_int(&s, (mx_dtype)o->step->dtype, 1)));
  return u->step ? 0 : mx_error_kind();
}

int mx_optimizer_apply(mx_optimizer *o, mx_stream stream, int n, const char *const *names, mx_array *const *gradients,
                       mx_array *const *parameters, mx_list *out) {
  if (!o->kind) return apply_parts(o, stream, n, names, gradients, parameters, out);
  update u = {.stream = stream};
  mx_list all = {0};
  int rc = update_begin(&u, o);
  for (int i = 0; i < n && !rc; i++) rc = one_step(o, &u, names[i], gradients[i], parameters[i], &all);
  for (int i = 0; i < n && !rc; i++) rc = mx_list_push(out, all.at[i * (1 + MX_SLOTS)]);
  for (int i = 0; i < n && !rc; i++) {
    mx_slots *slots = mx_map_find(&o->slots, names[i]);
    for (int k = 0; k < MX_SLOTS; k++)
      if (slots->at[k]) mx_set(&slots->at[k], mx_retain(all.at[i * (1 + MX_SLOTS) + 1 + k]));
  }
  if (!rc) {
    mx_set(&o->learning_rate, mx_retain(u.rate));
    mx_set(&o->step, mx_retain(u.step));
  }
  update_end(&u);
  mx_list_clear(&all);
  return rc;
}
