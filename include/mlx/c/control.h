/*
 * mlx/c/control.h: control flow inside graphs. Each function builds one operation that runs graphs of its own: the functions
 * given are called once, on stand-ins that cannot be evaluated, whatever the number of steps. Gradients, derivatives and batching go through,
 * also to arrays that a function captured. An addition to mlx-c.
 */
#ifndef MLX_C_CONTROL_H
#define MLX_C_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A loop over the first axes of `xs`, which are of one length. `f` is given the carry and one element of
 * each of xs, and gives the next carry, of the same shapes and dtypes, and any results. `carry` becomes
 * the last carry, `ys` the results, stacked along a new first axis. `length` is needed without xs, else it
 * may be negative. `reverse` goes from the last element to the first. With `checkpoint` a gradient computes
 * intermediate values again instead of keeping them.
 */
int mlx_scan(
    mlx_vector_array* carry,
    mlx_vector_array* ys,
    const mlx_closure f,
    const mlx_vector_array init,
    const mlx_vector_array xs,
    int64_t length,
    bool reverse,
    bool checkpoint);

/**
 * The carry, `body` applied to it while `condition` of it, one boolean, holds. Has derivatives (jvp)
 * but no gradient.
 */
int mlx_while_loop(
    mlx_vector_array* res,
    const mlx_closure condition,
    const mlx_closure body,
    const mlx_vector_array init);

/**
 * What `if_true` gives for the operands if `predicate`, one boolean, holds, else what `if_false` gives: the same shapes and dtypes.
 * Only that one is computed, but batched over predicates both are.
 */
int mlx_cond(
    mlx_vector_array* res,
    const mlx_array predicate,
    const mlx_closure if_true,
    const mlx_closure if_false,
    const mlx_vector_array operands);

/**
 * For each index of the axis, the elements up to it combined. `f` is given two lists like xs, one behind
 * the other, and combines them element by element, in an associative way. It is called about
 * twice the logarithm of the length. `reverse` combines from the end.
 */
int mlx_associative_scan(mlx_vector_array* res, const mlx_closure f, const mlx_vector_array xs, bool reverse, int axis);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_CONTROL_H */
