/*
 * mlx/c/linalg.h: Linear algebra on the last two axes; the others are a batch. f32 and f64 unless
 * said. Written by tools/opgen.py from ops/functions.def.
 */
#ifndef MLX_C_LINALG_H
#define MLX_C_LINALG_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Cross product along `axis`, of size 2 or 3. */
int mlx_linalg_cross(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    int axis,
    const mlx_stream s);

/** Norm of order `ord` over one axis (vectors) or two (matrices); no axis: over all elements. */
int mlx_linalg_norm(
    mlx_array* res,
    const mlx_array a,
    double ord,
    const int* axis /* may be empty */,
    size_t axis_num,
    bool keepdims,
    const mlx_stream s);

/** Matrix norm named by `ord`: "fro" or "nuc". */
int mlx_linalg_norm_matrix(
    mlx_array* res,
    const mlx_array a,
    const char* ord,
    const int* axis /* may be empty */,
    size_t axis_num,
    bool keepdims,
    const mlx_stream s);

/** Root of the sum of squares. */
int mlx_linalg_norm_l2(
    mlx_array* res,
    const mlx_array a,
    const int* axis /* may be empty */,
    size_t axis_num,
    bool keepdims,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_LINALG_H */
