/*
 * mlx/c/optimizer_steps.h: What an optimizer makes of one parameter, and what a schedule gives at a
 * step. The objects of optimizers.h are made of these, and so are the classes of Python's
 * mlx.optimizers. Every function takes the gradient, the parameter, its state and the learning rate
 * (one number), and gives the new parameter and the new state. Numbers are of the gradient's dtype,
 * constants of the dtype of what they meet. The rules of ops.h hold. Written by tools/opgen.py from
 * the tables in ops.
 */
#ifndef MLX_C_OPTIMIZER_STEPS_H
#define MLX_C_OPTIMIZER_STEPS_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- One step of one parameter. */

/** Gradient descent; v, used with a positive momentum, is its memory. */
int mlx_optim_sgd(
    mlx_array* res,
    mlx_array* res_v,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array v,
    const mlx_array learning_rate,
    double momentum,
    double weight_decay,
    double dampening,
    bool nesterov,
    const mlx_stream s);

/** Divides by the root of v, a running mean of squared gradients. */
int mlx_optim_rmsprop(
    mlx_array* res,
    mlx_array* res_v,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array v,
    const mlx_array learning_rate,
    double alpha,
    double eps,
    const mlx_stream s);

/** Divides by the root of v, the sum of squared gradients. */
int mlx_optim_adagrad(
    mlx_array* res,
    mlx_array* res_v,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array v,
    const mlx_array learning_rate,
    double eps,
    const mlx_stream s);

/** Scales by the ratio of the running means of squared updates, u, and squared gradients, v. */
int mlx_optim_adadelta(
    mlx_array* res,
    mlx_array* res_v,
    mlx_array* res_u,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array v,
    const mlx_array u,
    const mlx_array learning_rate,
    double rho,
    double eps,
    const mlx_stream s);

/**
 * Running means of gradients, m, and of their squares, v, corrected for their start if both results
 * of mlx_optim_adam_corrections are given. A weight decay, other than 0, does not pass through the
 * means (AdamW).
 */
int mlx_optim_adam(
    mlx_array* res,
    mlx_array* res_m,
    mlx_array* res_v,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array m,
    const mlx_array v,
    const mlx_array learning_rate,
    const mlx_array corrected /* may be empty */,
    const mlx_array root /* may be empty */,
    double beta_1,
    double beta_2,
    double eps,
    double weight_decay,
    const mlx_stream s);

/** As mlx_optim_adam with a decaying maximum v in place of the mean of squares. */
int mlx_optim_adamax(
    mlx_array* res,
    mlx_array* res_m,
    mlx_array* res_v,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array m,
    const mlx_array v,
    const mlx_array learning_rate,
    double beta_1,
    double beta_2,
    double eps,
    const mlx_stream s);

/** Steps of one size, by the sign of a running mean of gradients. */
int mlx_optim_lion(
    mlx_array* res,
    mlx_array* res_m,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array m,
    const mlx_array learning_rate,
    double beta_1,
    double beta_2,
    double weight_decay,
    const mlx_stream s);

/**
 * Momentum whose matrices, the first dimension against the others, go through mlx_optim_orthogonal.
 */
int mlx_optim_muon(
    mlx_array* res,
    mlx_array* res_v,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_array v,
    const mlx_array learning_rate,
    double momentum,
    double weight_decay,
    bool nesterov,
    int ns_steps,
    const mlx_stream s);

/**
 * Keeps the mean of squared gradients of a matrix as a row and a column. `state`: both, of a
 * gradient with fewer than two dimensions the mean itself; behind them the running mean of updates,
 * if there shall be one, with factor beta_1. Gives the parameter and the state in this order.
 * learning_rate and step: as of mlx_optim_adafactor_rate.
 */
int mlx_optim_adafactor(
    mlx_vector_array* res,
    const mlx_array gradient,
    const mlx_array parameter,
    const mlx_vector_array state,
    const mlx_array learning_rate /* may be empty */,
    const mlx_array step,
    double eps_0,
    double eps_1,
    double clip_threshold,
    double decay_rate,
    double beta_1,
    double weight_decay,
    bool scale_parameter,
    bool relative_step,
    bool warmup_init,
    const mlx_stream s);

/* ---- Parts of these. */

/**
 * Adam's correction for means that start at 0, the same for all parameters of a dtype: the learning
 * rate, and a factor of the root of v. `step` is the number of this update, counted from 1.
 */
int mlx_optim_adam_corrections(
    mlx_array* res,
    mlx_array* res_root,
    const mlx_array learning_rate,
    const mlx_array step,
    double beta_1,
    double beta_2,
    mlx_dtype dtype,
    const mlx_stream s);

/**
 * A matrix with the singular vectors of the given one and singular values near 1, by steps of a
 * polynomial.
 */
int mlx_optim_orthogonal(mlx_array* res, const mlx_array matrix, int steps, const mlx_stream s);

/** The root of the mean of the squares of all elements. */
int mlx_optim_rms(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * Adafactor's learning rate: the one given, or with relative_step one that falls with the root of
 * `step`; with scale_parameter times `rms`, the parameter's, at least eps.
 */
int mlx_optim_adafactor_rate(
    mlx_array* res,
    const mlx_array step,
    const mlx_array rms,
    const mlx_array learning_rate /* may be empty */,
    double eps,
    bool scale_parameter,
    bool relative_step,
    bool warmup_init,
    const mlx_stream s);

/** The inverse root of the matrix of mean squares that has this row and this column. */
int mlx_optim_adafactor_root(
    mlx_array* res,
    const mlx_array row,
    const mlx_array col,
    const mlx_stream s);

/** The root of the sum of the squares of all elements of all arrays. */
int mlx_optim_global_norm(mlx_array* res, const mlx_vector_array gradients, const mlx_stream s);

/** The arrays, whose norm is `norm`, scaled so that it is at most `max_norm`. */
int mlx_optim_clip_by_norm(
    mlx_vector_array* res,
    const mlx_vector_array gradients,
    const mlx_array norm,
    const mlx_array max_norm,
    const mlx_stream s);

/* ---- Schedules: the value at a step. */

/** init * decay_rate ** step */
int mlx_optim_exponential_decay(
    mlx_array* res,
    const mlx_array step,
    double init,
    double decay_rate,
    const mlx_stream s);

/** init, times decay_rate after each step_size steps. */
int mlx_optim_step_decay(
    mlx_array* res,
    const mlx_array step,
    double init,
    double decay_rate,
    int step_size,
    const mlx_stream s);

/** From init to end along half a cosine in decay_steps steps, then end. */
int mlx_optim_cosine_decay(
    mlx_array* res,
    const mlx_array step,
    double init,
    double decay_steps,
    double end,
    const mlx_stream s);

/** From init to end along a line in `steps` steps, at least 1, then end. */
int mlx_optim_linear_schedule(
    mlx_array* res,
    const mlx_array step,
    double init,
    double end,
    int steps,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_OPTIMIZER_STEPS_H */
