/*
 * mlx/c/optimizers.h: optimizers as objects, and schedules of their learning rate. A handle whose
 * `ctx` is NULL is empty: fine to free and as a place for a result, an error elsewhere.
 *
 * Parameters, gradients and state are maps of dotted names ("layers.0.weight"), as Python's
 * tree_flatten writes them: a state saved by one loads in the other. All is lazy: evaluate the
 * parameters and mlx_optimizer_state_values after a step. What one parameter goes through stands
 * in optimizer_steps.h.
 */
#ifndef MLX_C_OPTIMIZERS_H
#define MLX_C_OPTIMIZERS_H

#include <stdbool.h>
#include <stddef.h>

#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/map.h"
#include "mlx/c/nn.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An optimizer: its settings and its state. Copies of a handle share both. */
typedef struct mlx_optimizer_ {
  void* ctx;
} mlx_optimizer;

/*
 * ---- The kinds: constructors give an empty handle after an error. A setting out of its range is one. The learning rate must be a
 * number, but Adafactor's may be NaN: none.
 */

/** An empty handle. */
mlx_optimizer mlx_optimizer_new(void);

/** Frees the handle; the optimizer goes with its last one. An empty handle is fine. */
int mlx_optimizer_free(mlx_optimizer optimizer);

/** Gradient descent with momentum. `nesterov` needs a momentum and no dampening. */
mlx_optimizer mlx_optimizer_sgd_new(
    double learning_rate,
    double momentum,
    double weight_decay,
    double dampening,
    bool nesterov);

/** Divides by the root of a running mean of squared gradients; alpha 0.99, eps 1e-8 in Python. */
mlx_optimizer mlx_optimizer_rmsprop_new(double learning_rate, double alpha, double eps);

/** Divides by the root of the sum of squared gradients; eps 1e-8 in Python. */
mlx_optimizer mlx_optimizer_adagrad_new(double learning_rate, double eps);

/** Scales by the ratio of the means of squared updates and gradients; rho 0.9, eps 1e-6 in Python. */
mlx_optimizer mlx_optimizer_adadelta_new(double learning_rate, double rho, double eps);

/** Running means of gradients and of their squares; 0.9, 0.999, 1e-8, false in Python. */
mlx_optimizer mlx_optimizer_adam_new(
    double learning_rate,
    double beta_1,
    double beta_2,
    double eps,
    bool bias_correction);

/** Adam with weight decay, 0.01 in Python, that does not pass through the running means. */
mlx_optimizer mlx_optimizer_adamw_new(
    double learning_rate,
    double beta_1,
    double beta_2,
    double eps,
    double weight_decay,
    bool bias_correction);

/** Adam with a decaying maximum in place of the mean of squares. */
mlx_optimizer mlx_optimizer_adamax_new(
    double learning_rate,
    double beta_1,
    double beta_2,
    double eps);

/** Steps of one size, by the sign of a running mean; 0.9, 0.99, 0 in Python. */
mlx_optimizer mlx_optimizer_lion_new(
    double learning_rate,
    double beta_1,
    double beta_2,
    double weight_decay);

/** Momentum whose matrices are made orthogonal; 0.95, 0.01, true, 5 in Python. */
mlx_optimizer mlx_optimizer_muon_new(
    double learning_rate,
    double momentum,
    double weight_decay,
    bool nesterov,
    int ns_steps);

/**
 * Keeps the mean of squared gradients of a matrix as a row and a column. A beta_1 of NaN: no running
 * mean of updates. NaN, 1e-30, 1e-3, 1, -0.8, NaN, 0, true, true, false in Python.
 */
mlx_optimizer mlx_optimizer_adafactor_new(
    double learning_rate,
    double eps_0,
    double eps_1,
    double clip_threshold,
    double decay_rate,
    double beta_1,
    double weight_decay,
    bool scale_parameter,
    bool relative_step,
    bool warmup_init);

/**
 * Several optimizers in one. `choose` says by a parameter's name and gradient (in
 * mlx_optimizer_init: its value) which of the `optimizers_num` is for it; a number out of range is
 * an error. `dtor(payload)` is called when the optimizer goes, also when this call fails.
 */
mlx_optimizer mlx_optimizer_multi_new(
    const mlx_optimizer* optimizers,
    size_t optimizers_num,
    int (*choose)(const char* name, const mlx_array gradient, void* payload),
    void* payload,
    void (*dtor)(void*));

/* ---- A step */

/** Makes the state of those parameters that have none yet; the first update does it otherwise. */
int mlx_optimizer_init(
    const mlx_optimizer optimizer,
    const mlx_map_string_to_array parameters,
    const mlx_stream s);

/**
 * The new values of the parameters that have a gradient. Each gradient needs a parameter of its name
 * and shape.
 */
int mlx_optimizer_apply_gradients(
    mlx_map_string_to_array* res,
    const mlx_optimizer optimizer,
    const mlx_map_string_to_array gradients,
    const mlx_map_string_to_array parameters,
    const mlx_stream s);

/** The same, with the new values put into `parameters`. */
int mlx_optimizer_update(
    const mlx_optimizer optimizer,
    const mlx_map_string_to_array parameters,
    const mlx_map_string_to_array gradients,
    const mlx_stream s);

/** The same for the parameters of a module, with the gradients of mlx_nn_value_and_grad. */
int mlx_optimizer_update_module(
    const mlx_optimizer optimizer,
    const mlx_nn_module module,
    const mlx_map_string_to_array gradients,
    const mlx_stream s);

/**
 * The gradients scaled so that their norm, all taken together, is at most `max_norm`, and the norm
 * before.
 */
int mlx_clip_grad_norm(
    mlx_map_string_to_array* res,
    mlx_array* norm,
    const mlx_map_string_to_array gradients,
    double max_norm,
    const mlx_stream s);

/* ---- State */

/** The present learning rate. */
int mlx_optimizer_learning_rate(mlx_array* res, const mlx_optimizer optimizer);

/** Sets it; of several optimizers for all. A schedule, if there is one, goes on to set it. */
int mlx_optimizer_set_learning_rate(const mlx_optimizer optimizer, double learning_rate);

/** The learning rate is what `schedule` makes of the number of updates before, a uint64. */
int mlx_optimizer_set_schedule(const mlx_optimizer optimizer, const mlx_closure schedule);

/**
 * "step" (uint64, how many updates there were), "learning_rate", and what is kept for each parameter
 * under its name, as "w.m"; of several optimizers "states.0.step" and so on.
 */
int mlx_optimizer_state(mlx_map_string_to_array* res, const mlx_optimizer optimizer);

/** Takes a state over; "step" and "learning_rate" stay as they are where it has none. */
int mlx_optimizer_set_state(const mlx_optimizer optimizer, const mlx_map_string_to_array state);

/** The arrays of the state in a fixed order: to evaluate them, or as arguments of a compiled step. */
int mlx_optimizer_state_values(mlx_vector_array* res, const mlx_optimizer optimizer);

/** Puts such arrays, as many, back. */
int mlx_optimizer_set_state_values(const mlx_optimizer optimizer, const mlx_vector_array values);

/* ---- Schedules: closures of one array, the step */

/** init * decay_rate ** step */
int mlx_schedule_exponential_decay(mlx_closure* res, double init, double decay_rate);

/** init, times decay_rate after each step_size steps. */
int mlx_schedule_step_decay(mlx_closure* res, double init, double decay_rate, int step_size);

/** From init to end along half a cosine in decay_steps steps, then end. */
int mlx_schedule_cosine_decay(mlx_closure* res, double init, double decay_steps, double end);

/** From init to end along a line in `steps` steps, then end. */
int mlx_schedule_linear(mlx_closure* res, double init, double end, int steps);

/** One after the other; each begins anew, at its own step 0, at a boundary, one fewer than schedules. */
int mlx_schedule_join(
    mlx_closure* res,
    const mlx_closure* schedules,
    size_t schedules_num,
    const int* boundaries,
    size_t boundaries_num);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_OPTIMIZERS_H */
