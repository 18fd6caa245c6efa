/*
 * mlx/c/extras.h: Operations that MLX offers in Python and mlx-c leaves out. The rules of ops.h
 * hold. Written by tools/opgen.py from the tables in ops.
 */
#ifndef MLX_C_EXTRAS_H
#define MLX_C_EXTRAS_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Shape and order. */

/** The order along some axes, or all, reversed. */
int mlx_flip(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    const mlx_stream s);

/** The slices along `axis`, without that axis. */
int mlx_unstack(mlx_vector_array* res, const mlx_array a, int axis, const mlx_stream s);

/** The last two axes exchanged. Needs two dimensions. */
int mlx_matrix_transpose(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * Where each value would be inserted into the 1-d array `sorted` to keep it so, before equal ones
 * or behind. u32.
 */
int mlx_searchsorted(
    mlx_array* res,
    const mlx_array sorted,
    const mlx_array values,
    bool right,
    const mlx_stream s);

/** Differences of neighbours along `axis`, taken `n` times. */
int mlx_diff(mlx_array* res, const mlx_array a, int n, int axis, const mlx_stream s);

/* ---- Sets and counts. */

/**
 * Four results of length `size`: the distinct elements of the flattened `a`, rising, filled up with
 * `fill_value` (empty: the first); where each comes first; for every element of `a` its place among
 * them; how often each occurs.
 */
int mlx_unique(
    mlx_vector_array* res,
    const mlx_array a,
    int size,
    const mlx_array fill_value /* may be empty */,
    const mlx_stream s);

/** How many elements are non-zero, over some axes or, without any, all. i32. */
int mlx_count_nonzero(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/* ---- Element by element. */

/** Where just one of both is non-zero. Bool. */
int mlx_logical_xor(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * sqrt(a * a + b * b) without overflow; infinite if either is. Floating result; complex is refused.
 */
int mlx_hypot(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** The absolute value of a with the sign of b. Floating result; complex is refused. */
int mlx_copysign(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * The number next to a, in the type of the result, towards b. Floating result without gradient;
 * complex is refused.
 */
int mlx_nextafter(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Whether the sign is minus, that of -0 too. Bool; complex is refused. */
int mlx_signbit(mlx_array* res, const mlx_array a, const mlx_stream s);

/** The larger of a and 0; NaN stays. Keeps the type. */
int mlx_relu(mlx_array* res, const mlx_array a, const mlx_stream s);

/** The whole number next to a towards zero. Keeps the type; complex is refused. */
int mlx_trunc(mlx_array* res, const mlx_array a, const mlx_stream s);

/* ---- Reductions and statistics. */

/** Smallest and largest element over some axes or, without any, all. */
int mlx_minmax(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Products summed along `axis`; the first operand conjugated. */
int mlx_vecdot(mlx_array* res, const mlx_array a, const mlx_array b, int axis, const mlx_stream s);

/* ---- Linear algebra. */

/** Determinant of a square matrix, f32 or f64. */
int mlx_linalg_det(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Sign and natural logarithm of the absolute value of the determinant, f32 or f64. */
int mlx_linalg_slogdet(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const mlx_stream s);

/* ---- Neural networks. */

/**
 * logsumexp(logits) - logits[target] over the last axis, in f32. `targets` are class indices, of
 * the shape of the rest.
 */
int mlx_fast_cross_entropy(
    mlx_array* res,
    const mlx_array logits,
    const mlx_array targets,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_EXTRAS_H */
