/*
 * mlx/c/transforms.h: computing values, and functions made from functions.
 */
#ifndef MLX_C_TRANSFORMS_H
#define MLX_C_TRANSFORMS_H

#include <stddef.h>

#include "mlx/c/closure.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Computes the arrays, and waits. */
int mlx_eval(const mlx_vector_array outputs);

/** Begins to compute the arrays; whoever needs one waits for it. */
int mlx_async_eval(const mlx_vector_array outputs);

/**
 * A closure that computes the same as `fun` and, in a gradient, computes its intermediate values
 * again instead of keeping them.
 */
int mlx_checkpoint(mlx_closure* res, const mlx_closure fun);

/**
 * A closure that computes the same as `fun` and has rules of its own for gradients, derivatives and
 * batching.
 */
int mlx_custom_function(
    mlx_closure* res,
    const mlx_closure fun,
    const mlx_closure_custom fun_vjp /* may be empty */,
    const mlx_closure_custom_jvp fun_jvp /* may be empty */,
    const mlx_closure_custom_vmap fun_vmap);

/** mlx_custom_function with a rule for gradients only. */
int mlx_custom_vjp(mlx_closure* res, const mlx_closure fun, const mlx_closure_custom fun_vjp);

/**
 * Outputs of `fun` at `primals` (res_0) and their derivatives along `tangents` (res_1), one for
 * each primal, of its shape.
 */
int mlx_jvp(
    mlx_vector_array* res_0,
    mlx_vector_array* res_1,
    const mlx_closure fun,
    const mlx_vector_array primals,
    const mlx_vector_array tangents);

/**
 * A closure that gives all outputs of `fun` and the gradients of the first, a scalar, with respect
 * to the inputs numbered by `argnums`.
 */
int mlx_value_and_grad(
    mlx_closure_value_and_grad* res,
    const mlx_closure fun,
    const int* argnums,
    size_t argnums_num);

/**
 * Outputs of `fun` at `primals` (res_0) and the gradients of the primals (res_1) for `cotangents`,
 * one for each output, of its shape.
 */
int mlx_vjp(
    mlx_vector_array* res_0,
    mlx_vector_array* res_1,
    const mlx_closure fun,
    const mlx_vector_array primals,
    const mlx_vector_array cotangents);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_TRANSFORMS_H */
