/*
 * mlx/c/transforms_impl.h: batching in two steps, for bindings of other languages.
 */
#ifndef MLX_C_TRANSFORMS_IMPL_H
#define MLX_C_TRANSFORMS_IMPL_H

#include <stddef.h>

#include "mlx/c/closure.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * First step: calls `fun` with stand-ins of the inputs that lack the axes `in_axes` (-1: not
 * batched). Gives the stand-ins (res_0) and what was built from them (res_1).
 */
int mlx_detail_vmap_trace(
    mlx_vector_array* res_0,
    mlx_vector_array* res_1,
    const mlx_closure fun,
    const mlx_vector_array inputs,
    const int* in_axes,
    size_t in_axes_num);

/**
 * Second step: builds the traced outputs `s_outputs` of `s_inputs` again over the batched `inputs`,
 * each with its batched axis at out_axes[i] (-1: not batched).
 */
int mlx_detail_vmap_replace(
    mlx_vector_array* res,
    const mlx_vector_array inputs,
    const mlx_vector_array s_inputs,
    const mlx_vector_array s_outputs,
    const int* in_axes,
    size_t in_axes_num,
    const int* out_axes,
    size_t out_axes_num);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_TRANSFORMS_IMPL_H */
