/*
 * mlx/c/linalg.h: Linear algebra on the last two axes; the others are a batch. f32 and f64 unless
 * said. Written by tools/opgen.py from the tables in ops.
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

/** The triangle L with L @ L.T = a, or its transpose with `upper`. */
int mlx_linalg_cholesky(mlx_array* res, const mlx_array a, bool upper, const mlx_stream s);

/** The inverse of the matrix whose Cholesky triangle is `a`. */
int mlx_linalg_cholesky_inv(mlx_array* res, const mlx_array a, bool upper, const mlx_stream s);

/** Cross product along `axis`, of size 2 or 3. */
int mlx_linalg_cross(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    int axis,
    const mlx_stream s);

/** Eigenvalues and right eigenvectors of a square matrix. c64. */
int mlx_linalg_eig(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const mlx_stream s);

/**
 * Eigenvalues, rising, and eigenvectors of a symmetric matrix, of which one triangle ("L" or "U")
 * is read.
 */
int mlx_linalg_eigh(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array a,
    const char* UPLO,
    const mlx_stream s);

/** Eigenvalues of a square matrix. c64. */
int mlx_linalg_eigvals(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Eigenvalues, rising, of a symmetric matrix. */
int mlx_linalg_eigvalsh(mlx_array* res, const mlx_array a, const char* UPLO, const mlx_stream s);

/** Inverse of a square matrix. A singular one is an error at eval. */
int mlx_linalg_inv(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Three results: permutation, lower and upper triangle. */
int mlx_linalg_lu(mlx_vector_array* res, const mlx_array a, const mlx_stream s);

/** Both triangles packed in one matrix, and the pivots. */
int mlx_linalg_lu_factor(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const mlx_stream s);

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

/** Moore-Penrose inverse. */
int mlx_linalg_pinv(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Q with orthonormal columns and upper triangle R with Q @ R = a. */
int mlx_linalg_qr(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const mlx_stream s);

/** x with a @ x = b. */
int mlx_linalg_solve(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** x with a @ x = b for a triangular `a`. */
int mlx_linalg_solve_triangular(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    bool upper,
    const mlx_stream s);

/** U, S, V.T with a = U @ diag(S) @ V.T; only S without `compute_uv`. */
int mlx_linalg_svd(mlx_vector_array* res, const mlx_array a, bool compute_uv, const mlx_stream s);

/** Inverse of a triangle. */
int mlx_linalg_tri_inv(mlx_array* res, const mlx_array a, bool upper, const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_LINALG_H */
