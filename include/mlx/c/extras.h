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

/** The order along the axes reversed; NULL: along all. */
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

/** Falling order along `axis`; NaN first. */
int mlx_sort_descending(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);

/** The indices that give it; equal elements keep their order. u32. */
int mlx_argsort_descending(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);

/**
 * mlx_cumsum with a 0 before the first sum, or with `reverse` behind the last: one element more
 * along `axis`.
 */
int mlx_cumsum_initial(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/** mlx_cumprod, likewise with a 1. */
int mlx_cumprod_initial(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/**
 * The slices along `axis`, each as often as the integers `repeats`, one for all or one for each,
 * say. `repeats` is evaluated, an error inside compile and vmap.
 */
int mlx_repeat_each(
    mlx_array* res,
    const mlx_array a,
    const mlx_array repeats,
    int axis,
    const mlx_stream s);

/** Differences of neighbours along `axis`, taken `n` times. */
int mlx_diff(mlx_array* res, const mlx_array a, int n, int axis, const mlx_stream s);

/* ---- Sets, masks and counts. */

/**
 * Where `a` is not zero, in row order: an i32 array for each dimension, at least one. With `size`
 * the arrays have that length: places beyond are left out, missing ones are `fill_value`. Without
 * it `a` is evaluated, an error inside compile and vmap, here and in the next ones.
 */
int mlx_nonzero(
    mlx_vector_array* res,
    const mlx_array a,
    mlx_optional_int size,
    int fill_value,
    const mlx_stream s);

/** The same as one i32 array (size, dimensions). */
int mlx_argwhere(
    mlx_array* res,
    const mlx_array a,
    mlx_optional_int size,
    int fill_value,
    const mlx_stream s);

/** Where the flattened `a` is not zero. i32 (size,). */
int mlx_flatnonzero(
    mlx_array* res,
    const mlx_array a,
    mlx_optional_int size,
    int fill_value,
    const mlx_stream s);

/**
 * The elements where the bool `mask` is true, which stands for the dimensions of `a` from `axis`
 * on; the result has one dimension in their place. With `size` it has that length, with
 * `fill_value` (empty: zero) behind the last.
 */
int mlx_masked_select(
    mlx_array* res,
    const mlx_array a,
    const mlx_array mask,
    int axis,
    mlx_optional_int size,
    const mlx_array fill_value /* may be empty */,
    const mlx_stream s);

/**
 * The distinct elements of `a`, rising; where each comes first in the flattened `a`; for every
 * element of `a`, in its shape, its place among them; how often each occurs. With `size` all but
 * the third have that length and are filled up with `fill_value` (empty: the first), the index of
 * the first, and zero. NaN differ.
 */
int mlx_unique(
    mlx_vector_array* res,
    const mlx_array a,
    mlx_optional_int size,
    const mlx_array fill_value /* may be empty */,
    const mlx_stream s);

/**
 * For every element of `a`, whether it is (`invert`: is not) among the elements of `test`. Bool.
 */
int mlx_isin(
    mlx_array* res,
    const mlx_array a,
    const mlx_array test,
    bool invert,
    const mlx_stream s);

/**
 * How often each number 0, 1, ... is in the 1-d integers `x`, i32, or the sum of its `weights`. The
 * result has `length` bins, into which all values must fit, or, evaluating `x`, as many as are
 * needed, at least `minlength`.
 */
int mlx_bincount(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weights /* may be empty */,
    int minlength,
    mlx_optional_int length,
    const mlx_stream s);

/**
 * The bins + 1 edges of bins of equal width over `range`, (2,), or from the least to the greatest
 * element. f32, or f64 as `a`.
 */
int mlx_histogram_bin_edges(
    mlx_array* res,
    const mlx_array a,
    int bins,
    const mlx_array range /* may be empty */,
    const mlx_stream s);

/**
 * How many elements (i32), or the sum of their `weights` (shaped as `a`), fall into each bin, and
 * the edges: those given, rising, or those of mlx_histogram_bin_edges. The last bin holds its right
 * edge; what lies outside is left out. `density`: divided by the width of the bin and by the sum
 * over all bins.
 */
int mlx_histogram(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array a,
    int bins,
    const mlx_array edges /* may be empty */,
    const mlx_array range /* may be empty */,
    const mlx_array weights /* may be empty */,
    bool density,
    const mlx_stream s);

/**
 * For every element the index of its bin: i with bins[i-1] <= x < bins[i] for rising 1-d `bins`,
 * bins[i-1] > x >= bins[i] for falling ones; `right`: with the equality on the other side. u32.
 */
int mlx_digitize(
    mlx_array* res,
    const mlx_array x,
    const mlx_array bins,
    bool right,
    const mlx_stream s);

/** How many elements are non-zero, over the axes; NULL: over all. i32. */
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

/** Smallest and largest element over the axes; NULL: over all. */
int mlx_minmax(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Sum without the NaN; 0 where nothing is left. Types as mlx_sum. */
int mlx_nansum(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Product without the NaN; 1 where nothing is left. Types as mlx_prod. */
int mlx_nanprod(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Largest element that is no NaN; NaN where there is none. */
int mlx_nanmax(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Smallest element that is no NaN; NaN where there is none. */
int mlx_nanmin(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Mean without the NaN; NaN where nothing is left. Floating result. */
int mlx_nanmean(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Median without the NaN; NaN where nothing is left. Floating result. */
int mlx_nanmedian(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Variance without the NaN, divided by their count less `ddof`; NaN unless that is positive. */
int mlx_nanvar(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    int ddof,
    const mlx_stream s);

/** The root of mlx_nanvar. */
int mlx_nanstd(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    int ddof,
    const mlx_stream s);

/**
 * Where the largest element that is no NaN comes first along `axis`; 0 where there is none. u32.
 */
int mlx_nanargmax_axis(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool keepdims,
    const mlx_stream s);

/** The same in the flattened array. */
int mlx_nanargmax(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/**
 * Where the smallest element that is no NaN comes first along `axis`; 0 where there is none. u32.
 */
int mlx_nanargmin_axis(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool keepdims,
    const mlx_stream s);

/** The same in the flattened array. */
int mlx_nanargmin(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** Running sum that counts NaN as 0; otherwise as mlx_cumsum. */
int mlx_nancumsum(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/** Running product that counts NaN as 1; otherwise as mlx_cumprod. */
int mlx_nancumprod(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/**
 * The quantiles `q`, numbers from 0 to 1 in an array of any shape, of real `a`. The result has the
 * shape of q and then that of the reduced a. Between two elements `method` decides: "linear",
 * "lower", "higher", "midpoint" or "nearest". NaN where there is one.
 */
int mlx_quantile(
    mlx_array* res,
    const mlx_array a,
    const mlx_array q,
    const int* axes /* may be empty */,
    size_t axes_num,
    const char* method,
    bool keepdims,
    const mlx_stream s);

/** mlx_quantile with q from 0 to 100. */
int mlx_percentile(
    mlx_array* res,
    const mlx_array a,
    const mlx_array q,
    const int* axes /* may be empty */,
    size_t axes_num,
    const char* method,
    bool keepdims,
    const mlx_stream s);

/** mlx_quantile of the elements that are no NaN. */
int mlx_nanquantile(
    mlx_array* res,
    const mlx_array a,
    const mlx_array q,
    const int* axes /* may be empty */,
    size_t axes_num,
    const char* method,
    bool keepdims,
    const mlx_stream s);

/** mlx_percentile of the elements that are no NaN. */
int mlx_nanpercentile(
    mlx_array* res,
    const mlx_array a,
    const mlx_array q,
    const int* axes /* may be empty */,
    size_t axes_num,
    const char* method,
    bool keepdims,
    const mlx_stream s);

/** Largest minus smallest element. */
int mlx_ptp(
    mlx_array* res,
    const mlx_array a,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/**
 * Mean weighted by `weights`, which have the shape of a or that of the axes, and the sum of the
 * weights.
 */
int mlx_average(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array a,
    const mlx_array weights /* may be empty */,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/**
 * Covariances of variables, one a row (`rowvar`) or column of m and then of y, over observations,
 * which may be weighted by how often (`fweights`) and how much (`aweights`) they count. Divided by
 * their count less `ddof`.
 */
int mlx_cov(
    mlx_array* res,
    const mlx_array m,
    const mlx_array y /* may be empty */,
    bool rowvar,
    int ddof,
    const mlx_array fweights /* may be empty */,
    const mlx_array aweights /* may be empty */,
    const mlx_stream s);

/** Correlation coefficients of variables, as mlx_cov takes them. */
int mlx_corrcoef(
    mlx_array* res,
    const mlx_array m,
    const mlx_array y /* may be empty */,
    bool rowvar,
    const mlx_stream s);

/** Products summed along `axis`; the first operand conjugated. */
int mlx_vecdot(mlx_array* res, const mlx_array a, const mlx_array b, int axis, const mlx_stream s);

/* ---- Functions given by samples. */

/**
 * The values at `x` of the piecewise linear function with the values `fp` at the rising places
 * `xp`. Outside: `left` and `right` (empty: the first and the last value), or the function repeated
 * with `period`.
 */
int mlx_interp(
    mlx_array* res,
    const mlx_array x,
    const mlx_array xp,
    const mlx_array fp,
    const mlx_array left /* may be empty */,
    const mlx_array right /* may be empty */,
    const mlx_array period /* may be empty */,
    const mlx_stream s);

/**
 * Integral along `axis` by the trapezoidal rule, of samples at `x`, a vector or of the shape of y
 * (empty: `dx` apart).
 */
int mlx_trapezoid(
    mlx_array* res,
    const mlx_array y,
    const mlx_array x /* may be empty */,
    double dx,
    int axis,
    const mlx_stream s);

/**
 * The derivative along each of the axes (none: all) by central differences, at the ends by one-
 * sided ones of order `edge_order`, 1 or 2. `spacing` is empty (samples 1 apart), or one for all
 * axes or for each: a distance or coordinates.
 */
int mlx_gradient(
    mlx_vector_array* res,
    const mlx_array f,
    const mlx_vector_array spacing,
    const int* axes /* may be empty */,
    size_t axes_num,
    int edge_order,
    const mlx_stream s);

/* ---- Products. */

/**
 * mlx_matmul with factors and sums of `dtype`; int8 and uint8 are multiplied into exact int32 sums
 * by the CPU's dot instructions.
 */
int mlx_matmul_as(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    mlx_dtype dtype,
    const mlx_stream s);

/* ---- Linear algebra. */

/** Determinant of a square matrix, f32 or f64. */
int mlx_linalg_det(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Sign and natural logarithm of the absolute value of the determinant, f32 or f64. */
int mlx_linalg_slogdet(mlx_array* res_0, mlx_array* res_1, const mlx_array a, const mlx_stream s);

/**
 * The x (..., N, K) of least |a @ x - b|, the shortest of several, for `a` (..., M, N) and `b`
 * (..., M, K) or a vector of length M; the sums of the squared residuals (..., K), or (0,) unless M
 * > N; the rank (...) of `a`, i32; its singular values. Those below `rcond` (none: machine
 * precision times the larger of M and N; negative: machine precision) times the largest count as
 * zero. f32, f64, c64.
 */
int mlx_linalg_lstsq(
    mlx_array* res_0,
    mlx_array* res_1,
    mlx_array* res_2,
    mlx_array* res_3,
    const mlx_array a,
    const mlx_array b,
    mlx_optional_float rcond,
    const mlx_stream s);

/** Singular values, falling. f32, f64, c64. */
int mlx_linalg_svdvals(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * How many singular values (of a Hermitian matrix: absolute eigenvalues) are above `tol`, or above
 * `rtol` times the largest; neither: machine precision times the larger dimension. Both broadcast
 * over the batch. i32.
 */
int mlx_linalg_matrix_rank(
    mlx_array* res,
    const mlx_array a,
    const mlx_array tol /* may be empty */,
    const mlx_array rtol /* may be empty */,
    bool hermitian,
    const mlx_stream s);

/** The nth power of a square matrix; of its inverse for negative `n`. */
int mlx_linalg_matrix_power(mlx_array* res, const mlx_array a, int n, const mlx_stream s);

/**
 * Condition number in the norm `p`: 2, -2, 1, -1, +-infinity, NaN for Frobenius. Infinite for a
 * singular matrix.
 */
int mlx_linalg_cond(mlx_array* res, const mlx_array a, double p, const mlx_stream s);

/** The exponential of a square matrix. f32, f64, c64. */
int mlx_linalg_expm(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * The norm of the vectors that the elements along some axes, or all, are: any number, +-infinity,
 * or 0 (how many are not zero).
 */
int mlx_linalg_vector_norm(
    mlx_array* res,
    const mlx_array a,
    double ord,
    const int* axes /* may be empty */,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/**
 * U, S, V.T of a (..., M, N) with the K = min(M, N) singular vectors that belong to S alone: U is
 * (..., M, K), V.T (..., K, N).
 */
int mlx_linalg_svd_reduced(mlx_vector_array* res, const mlx_array a, const mlx_stream s);

/** mlx_linalg_qr with a square Q (..., M, M) and R (..., M, N). */
int mlx_linalg_qr_complete(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array a,
    const mlx_stream s);

/**
 * Moore-Penrose inverse in which singular values up to `rtol`, which broadcasts over the batch,
 * times the largest count as zero.
 */
int mlx_linalg_pinv_rtol(
    mlx_array* res,
    const mlx_array a,
    const mlx_array rtol,
    const mlx_stream s);

/** The product of 2 to 64 matrices in the cheapest order. The first and the last may be vectors. */
int mlx_linalg_multi_dot(mlx_array* res, const mlx_vector_array arrays, const mlx_stream s);

/* ----
 * Random numbers. As in random.h: `key` may be empty, parameters broadcast to `shape`. Floating
 * draws have any real floating type, and each element depends on its key and its place alone.
 */

/** The exponential distribution with mean `scale`. */
int mlx_random_exponential(
    mlx_array* res,
    const mlx_array scale,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * The gamma distribution with shape parameter `a`, times `scale`. Differentiable in both: the place
 * in the distribution is held. NaN where a is negative.
 */
int mlx_random_gamma(
    mlx_array* res,
    const mlx_array a,
    const mlx_array scale,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The beta distribution, between 0 and 1. Differentiable. */
int mlx_random_beta(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * Vectors of positive numbers with the sum 1, of parameters `alpha` (..., k); the result is shape +
 * (k,). Differentiable.
 */
int mlx_random_dirichlet(
    mlx_array* res,
    const mlx_array alpha,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * Poisson counts with mean `lam`, as integers or floats; -1 where lam is negative or NaN. Without
 * gradient.
 */
int mlx_random_poisson(
    mlx_array* res,
    const mlx_array lam,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * Slices of `a` along `axis`, chosen with probabilities proportional to `p` (empty: all alike),
 * with or without replacement: `axis` becomes `shape`.
 */
int mlx_random_choice(
    mlx_array* res,
    const mlx_array a,
    const int* shape,
    size_t shape_num,
    bool replace,
    const mlx_array p /* may be empty */,
    int axis,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Numbers below `x`, chosen so. u32. */
int mlx_random_choice_arange(
    mlx_array* res,
    int x,
    const int* shape,
    size_t shape_num,
    bool replace,
    const mlx_array p /* may be empty */,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/* ---- Fourier transforms. */

#include "mlx/c/fft.h"

/**
 * The transform of a Hermitian sequence given by its first n / 2 + 1 elements: n real numbers, f32.
 */
int mlx_fft_hfft(
    mlx_array* res,
    const mlx_array a,
    int n,
    int axis,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Its inverse: n / 2 + 1 elements, c64. */
int mlx_fft_ihfft(
    mlx_array* res,
    const mlx_array a,
    int n,
    int axis,
    mlx_fft_norm norm,
    const mlx_stream s);

/** mlx_fft_fftfreq in a real floating type of choice. */
int mlx_fft_fftfreq_as(mlx_array* res, int n, double d, mlx_dtype dtype, const mlx_stream s);

/** mlx_fft_rfftfreq, likewise. */
int mlx_fft_rfftfreq_as(mlx_array* res, int n, double d, mlx_dtype dtype, const mlx_stream s);

/**
 * Transforms of frames of `n_fft` elements along the last axis of `x` (..., L), one every
 * `hop_length` (none: n_fft / 4), each times the window, given or ones of `win_length`, in the
 * middle of zeros. c64 (..., freq, frames). `center` pads both ends by n_fft / 2 (`pad_mode` as in
 * mlx_pad); `onesided` (none: for real `x`) leaves out negative frequencies.
 */
int mlx_fft_stft(
    mlx_array* res,
    const mlx_array x,
    int n_fft,
    mlx_optional_int hop_length,
    mlx_optional_int win_length,
    const mlx_array window /* may be empty */,
    bool center,
    const char* pad_mode,
    mlx_fft_norm norm,
    mlx_optional_int onesided,
    const mlx_stream s);

/**
 * The signal (..., L), f32, of which `a` (..., freq, frames) is the mlx_fft_stft: frames times the
 * window added up, by the sum of the squares of the windows. `onesided` is true unless given,
 * `n_fft` what fits freq then. `length`: cut, or padded with zeros, to it.
 */
int mlx_fft_istft(
    mlx_array* res,
    const mlx_array a,
    mlx_optional_int n_fft,
    mlx_optional_int hop_length,
    mlx_optional_int win_length,
    const mlx_array window /* may be empty */,
    bool center,
    mlx_fft_norm norm,
    mlx_optional_int onesided,
    mlx_optional_int length,
    const mlx_stream s);

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

/**
 * The gated delta rule over time, for q and k (B, T, Hk, Dk) and v (B, T, Hv, Dv), Hk dividing Hv.
 * Each step scales the state (B, Hv, Dv, Dk), zero or `initial_state` at first, by `gamma` (B, T,
 * Hv) or (B, T, Hv, Dk), moves what it gives for k towards v by `beta` (B, T, Hv), and gives it for
 * q. Where `mask` (B, T) is false the state stays and the result is zero. Two results: (B, T, Hv,
 * Dv) in the type of q and k, and the last state, f32 or more.
 */
int mlx_fast_gated_delta_update(
    mlx_vector_array* res,
    const mlx_array q,
    const mlx_array k,
    const mlx_array v,
    const mlx_array gamma,
    const mlx_array beta,
    const mlx_array initial_state /* may be empty */,
    const mlx_array mask /* may be empty */,
    const mlx_stream s);

/* ---- Quantized numbers. */

/** mlx_gather_qmm with the global scales of `w`, for "nvfp4": f32, one for each of its matrices. */
int mlx_gather_qmm_scaled(
    mlx_array* res,
    const mlx_array x,
    const mlx_array w,
    const mlx_array scales,
    const mlx_array biases /* may be empty */,
    const mlx_array lhs_indices /* may be empty */,
    const mlx_array rhs_indices /* may be empty */,
    bool transpose,
    mlx_optional_int group_size,
    mlx_optional_int bits,
    const char* mode,
    const mlx_array global_scale /* may be empty */,
    bool sorted_indices,
    const mlx_stream s);

/** Products of two quantized matrices by index, as on MLX's GPUs. Here always an error. */
int mlx_gather_qqmm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array w,
    const mlx_array scales /* may be empty */,
    const mlx_array lhs_indices /* may be empty */,
    const mlx_array rhs_indices /* may be empty */,
    mlx_optional_int group_size,
    mlx_optional_int bits,
    const char* mode,
    const mlx_array global_scale_x /* may be empty */,
    const mlx_array global_scale_w /* may be empty */,
    bool sorted_indices,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_EXTRAS_H */
