/*
 * mlx/c/fast.h: Operations of neural networks with kernels of their own. Written by tools/opgen.py
 * from the tables in ops.
 */
#ifndef MLX_C_FAST_H
#define MLX_C_FAST_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

#include "mlx/c/fast_kernels.h"

/** (x - mean) / sqrt(var + eps) over the last axis, times `weight`, plus `bias`, of its size. */
int mlx_fast_layer_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    const mlx_array bias /* may be empty */,
    float eps,
    const mlx_stream s);

/** x / sqrt(mean(x * x) + eps) over the last axis, times `weight`, of its size. */
int mlx_fast_rms_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    float eps,
    const mlx_stream s);

/**
 * Rotary position encoding of the first `dims` features of x (..., T, D), from position `offset`.
 * Either `base` or `freqs` is given. `traditional` rotates neighbours, else halves.
 */
int mlx_fast_rope(
    mlx_array* res,
    const mlx_array x,
    int dims,
    bool traditional,
    mlx_optional_float base,
    float scale,
    int offset,
    const mlx_array freqs /* may be empty */,
    const mlx_stream s);

/** mlx_fast_rope with the offset in an array: one for all or one a batch. */
int mlx_fast_rope_dynamic(
    mlx_array* res,
    const mlx_array x,
    int dims,
    bool traditional,
    mlx_optional_float base,
    float scale,
    const mlx_array offset,
    const mlx_array freqs /* may be empty */,
    const mlx_stream s);

/**
 * softmax(scale * q @ k.T + mask) @ v for q (B, N, T, D), k and v (B, M, S, D), M dividing N.
 * `mask_mode` is "", "causal" or "array", with `mask_arr` bool or added. `sinks` (N,) are extra
 * logits that take no value.
 */
int mlx_fast_scaled_dot_product_attention(
    mlx_array* res,
    const mlx_array queries,
    const mlx_array keys,
    const mlx_array values,
    float scale,
    const char* mask_mode,
    const mlx_array mask_arr /* may be empty */,
    const mlx_array sinks /* may be empty */,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_FAST_H */
