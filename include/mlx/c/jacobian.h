/*
 * mlx/c/jacobian.h: the pullback of a function as a closure, and whole Jacobians. An addition to mlx-c.
 */
#ifndef MLX_C_JACOBIAN_H
#define MLX_C_JACOBIAN_H

#include <stddef.h>

#include "mlx/c/closure.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The outputs of `fun` at `primals`, and a closure from cotangents, one an output and of its shape, to
 * those of the primals. The closure may be called any number of times; it keeps the values of `fun` that it
 * needs. Cotangents in another number or of another shape are an error of that call.
 */
int mlx_vjp_function(
    mlx_vector_array* outputs,
    mlx_closure* pullback,
    const mlx_closure fun,
    const mlx_vector_array primals);

/**
 * A closure that gives the Jacobians of `fun` by its inputs `argnums`, counted from 0: for each output all of
 * them, each of shape (output's..., input's...). Computed forward, column by column at once: for few inputs.
 * A call with too few inputs is an error.
 */
int mlx_jacfwd(mlx_closure* res, const mlx_closure fun, const int* argnums, size_t argnums_num);

/** The same, computed backward, row by row at once: for few outputs. */
int mlx_jacrev(mlx_closure* res, const mlx_closure fun, const int* argnums, size_t argnums_num);

/**
 * A closure that gives the second derivatives of `fun`: for each output and each pair (i, j) of the inputs
 * `argnums` an array of shape (output's..., i's..., j's...). It is mlx_jacfwd of mlx_jacrev.
 */
int mlx_hessian(mlx_closure* res, const mlx_closure fun, const int* argnums, size_t argnums_num);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_JACOBIAN_H */
