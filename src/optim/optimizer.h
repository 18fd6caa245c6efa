/* Optimizers as objects: settings, and a state that is known by dotted names, as Python's optimizer.state flattens: "step",
 * "learning_rate", and for each parameter its name with what the kind keeps ("layers.0.weight.m"); of several optimizers in one
 * "states.0.step" and so on. */
#ifndef MX_OPTIM_OPTIMIZER_H
#define MX_OPTIM_OPTIMIZER_H

#include "core/closure.h"
#include "core/map.h"
#include "optim/optim.h"

typedef struct mx_optimizer mx_optimizer;

enum { MX_SLOTS = 4 };

/* What may be set, by Python's names; a kind reads what its step function takes. */
typedef struct mx_optimizer_settings {
  double momentum, weight_decay, dampening, alpha, rho, eps, eps_1, beta_1, beta_2, clip_threshold, decay_rate;
  int ns_steps;
  bool nesterov, bias_correction, scale_parameter, relative_step, warmup_init;
} mx_optimizer_settings;

/* A kind of optimizer. */
typedef struct mx_optimizer_kind {
  const char *type;
  const char *slot[MX_SLOTS]; /* names of what is kept for a parameter */
  /* Which of them (bits) this parameter has; NULL: all. */
  unsigned (*has)(const mx_optimizer_settings *o, const mx_array *parameter);
  /* The start of slot i; NULL: zeros like the parameter. */
  mx_array *(*start)(mx_scope *s, mx_array *parameter, int i);
  /* What is the same for all parameters of a dtype in one update; may be NULL. */
  int (*shared)(const mx_optimizer_settings *o, mx_scope *s, mx_dtype dtype, mx_array *learning_rate, mx_array *step, mx_array *res[2]);
  /* res[0] is the new parameter, res[1 + i] the new slot i. */
  int (*step)(const mx_optimizer_settings *o, mx_scope *s, mx_array *gradient, mx_array *parameter, mx_array *const *slot,
              mx_array *learning_rate, mx_array *step, mx_array *const shared[2], mx_array **res);
} mx_optimizer_kind;

extern const mx_optimizer_kind mx_sgd, mx_rmsprop, mx_adagrad, mx_adadelta, mx_adam, mx_adamax, mx_lion, mx_adafactor, mx_muon;

/* What is kept for one parameter. */
typedef struct mx_slots {
  mx_array *at[MX_SLOTS];
} mx_slots;
void mx_drop_slots(void *slots);

struct mx_optimizer {
  mx_object base;
  const mx_optimizer_kind *kind; /* NULL: several optimizers */
  mx_optimizer_settings set;
  mx_array *step;          /* u64 */
  mx_array *learning_rate; /* or NULL */
  mx_closure *schedule;    /* of the learning rate, or NULL */
  mx_map slots;            /* parameter's name -> mx_slots */
  int nparts;              /* of several */
  mx_optimizer **parts;
  int (*choose)(void *payload, const char *name, mx_array *gradient);
  void *payload;
  void (*dtor)(void *payload);
};

/* An optimizer without state; learning_rate NaN: none. NULL and an error. */
mx_optimizer *mx_optimizer_new(const mx_optimizer_kind *kind, const mx_optimizer_settings *settings, double learning_rate);
/* Several, of which choose says which is for a parameter. dtor(payload) is called when it goes, also when this call fails. */
mx_optimizer *mx_optimizer_multi(int n, mx_optimizer *const *parts, int (*choose)(void *, const char *, mx_array *), void *payload,
                                 void (*dtor)(void *));
static inline void mx_optimizer_release(mx_optimizer *o) {
  if (o) mx_object_release(&o->base);
}
static inline mx_optimizer *mx_optimizer_retain(mx_optimizer *o) { return mx_object_retain(&o->base); }

int mx_optimizer_set_rate(mx_optimizer *o, double learning_rate);
int mx_optimizer_set_schedule(mx_optimizer *o, mx_closure *schedule); /* retains it; the rate at the present step is set */

/* Makes the state of those parameters that have none. */
int mx_optimizer_init(mx_optimizer *o, mx_stream stream, int n, const char *const *names, mx_array *const *parameters);
/* The new parameters, pushed on out in this order. The state changes only when all goes well; of several
 * optimizers those before the one that fails have gone on. */
int mx_optimizer_apply(mx_optimizer *o, mx_stream stream, int n, const char *const *names, mx_array *const *gradients,
                       mx_array *const *parameters, mx_list *out);

/* Every array of the state with its name, in order; visit gives 0 or the kind of an error. */
typedef int mx_state_visit(void *to, const char *name, mx_array **place);
int mx_optimizer_walk(mx_optimizer *o, mx_state_visit *visit, void *to);
/* The state is these arrays instead; names of no such state are an error and change nothing. */
int mx_optimizer_set_state(mx_optimizer *o, int n, const char *const *names, mx_array *const *values);

/* Schedules as closures from the step to the learning rate; NULL and an error. */
mx_closure *mx_schedule_exponential_decay(double init, double decay_rate);
mx_closure *mx_schedule_step_decay(double init, double decay_rate, int step_size);
mx_closure *mx_schedule_cosine_decay(double init, double decay_steps, double end);
mx_closure *mx_schedule_linear(double init, double end, int steps);
/* One after the other; each begins anew, at its own step 0, at a boundary. */
mx_closure *mx_schedule_join(int n, mx_closure *const *schedules, const int *boundaries);

#endif
