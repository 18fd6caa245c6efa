/*
 * mlx/c/ops.h: Operations on arrays. Each builds a node and returns at once: nothing is computed
 * before an eval. Common to all: the result goes to `res`, which may alias an input. Binary
 * operations broadcast their operands as NumPy does and compute in the common type of both. A
 * negative axis counts from the end. `s` is the stream the operation will run on. Returns 0, or 1
 * after the error handler was told what is wrong: a shape that does not fit, a type that is not
 * allowed, an axis out of range, an empty handle. Written by tools/opgen.py from the tables in ops.
 */
#ifndef MLX_C_OPS_H
#define MLX_C_OPS_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ----
 * Element by element, one operand. "Floating result" below: f16, bf16, f32, f64 and c64 stay as
 * they are, integers and bool become f32.
 */

/** Absolute value; of a complex number the magnitude, as f32. */
int mlx_abs(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse cosine, in [0, pi]. Floating result; NaN outside [-1, 1]. */
int mlx_arccos(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse hyperbolic cosine. Floating result; NaN below 1. */
int mlx_arccosh(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse sine, in [-pi/2, pi/2]. Floating result; NaN outside [-1, 1]. */
int mlx_arcsin(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse hyperbolic sine. Floating result. */
int mlx_arcsinh(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse tangent, in [-pi/2, pi/2]. Floating result. */
int mlx_arctan(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse hyperbolic tangent. Floating result; NaN outside [-1, 1]. */
int mlx_arctanh(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Each bit flipped. Integers and bool (logical not); floats are refused. */
int mlx_bitwise_invert(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Smallest whole number not below. Keeps the type; complex is refused. */
int mlx_ceil(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Complex conjugate; a real array comes back as it is. */
int mlx_conjugate(mlx_array* res, const mlx_array a, const mlx_stream s);

/** The same values in an array of its own. */
int mlx_copy(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Cosine of radians. Floating result. */
int mlx_cos(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Hyperbolic cosine. Floating result. */
int mlx_cosh(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Radians to degrees. Floating result. */
int mlx_degrees(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Error function. Floating result; complex is refused. */
int mlx_erf(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Inverse error function. Floating result; infinite at -1 and 1, complex is refused. */
int mlx_erfinv(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Exponential. Floating result. */
int mlx_exp(mlx_array* res, const mlx_array a, const mlx_stream s);

/** exp(a) - 1, exact near zero too. Floating result. */
int mlx_expm1(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Largest whole number not above. Keeps the type; complex is refused. */
int mlx_floor(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Imaginary part as f32; zeros of the same type for a real array. */
int mlx_imag(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Where a is neither infinite nor NaN. Bool. */
int mlx_isfinite(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Where a is plus or minus infinity. Bool. */
int mlx_isinf(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Where a is not a number. Bool. */
int mlx_isnan(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Where a is minus infinity. Bool. */
int mlx_isneginf(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Where a is plus infinity. Bool. */
int mlx_isposinf(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Natural logarithm. Floating result. */
int mlx_log(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Logarithm to base 10. Floating result. */
int mlx_log10(mlx_array* res, const mlx_array a, const mlx_stream s);

/** log(1 + a), exact near zero too. Floating result. */
int mlx_log1p(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Logarithm to base 2. Floating result. */
int mlx_log2(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Where a is zero. Bool. */
int mlx_logical_not(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * NaN replaced by `nan`, plus and minus infinity by `posinf` and `neginf` or, where absent, the
 * largest finite values of the type. f64 and complex are refused; integers come back as they are.
 */
int mlx_nan_to_num(
    mlx_array* res,
    const mlx_array a,
    float nan,
    mlx_optional_float posinf,
    mlx_optional_float neginf,
    const mlx_stream s);

/** -a. Keeps the type; bool is refused (use mlx_logical_not). */
int mlx_negative(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Degrees to radians. Floating result. */
int mlx_radians(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Real part, f32 for complex; a real array comes back as it is. */
int mlx_real(mlx_array* res, const mlx_array a, const mlx_stream s);

/** 1 / a. Floating result. */
int mlx_reciprocal(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * Rounded to `decimals` digits after the point, halves to even; negative `decimals` round to tens,
 * hundreds... Keeps the type; complex numbers are rounded part by part.
 */
int mlx_round(mlx_array* res, const mlx_array a, int decimals, const mlx_stream s);

/** 1 / sqrt(a). Floating result. */
int mlx_rsqrt(mlx_array* res, const mlx_array a, const mlx_stream s);

/** 1 / (1 + exp(-a)), without overflow. Floating result; complex is refused. */
int mlx_sigmoid(mlx_array* res, const mlx_array a, const mlx_stream s);

/** -1, 0 or 1; NaN gives 0, a complex number a / |a|. Keeps the type. */
int mlx_sign(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Sine of radians. Floating result. */
int mlx_sin(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Hyperbolic sine. Floating result. */
int mlx_sinh(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Square root. Floating result; NaN for negative numbers. */
int mlx_sqrt(mlx_array* res, const mlx_array a, const mlx_stream s);

/** a * a. Keeps the type. */
int mlx_square(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Tangent of radians. Floating result. */
int mlx_tan(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Hyperbolic tangent. Floating result. */
int mlx_tanh(mlx_array* res, const mlx_array a, const mlx_stream s);

/* ---- Element by element, two operands. */

/** a + b; for bool the logical or. */
int mlx_add(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Angle of the point (b, a), in [-pi, pi]. Floating result; complex is refused. */
int mlx_arctan2(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Bits set in both. Integers and bool; floats are refused. */
int mlx_bitwise_and(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Bits set in either. Integers and bool; floats are refused. */
int mlx_bitwise_or(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Bits set in just one. Integers and bool; floats are refused. */
int mlx_bitwise_xor(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** a / b. Floating result, for two integers too. */
int mlx_divide(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * Two results: floor(a / b) and the remainder. Complex is refused; an integer divided by zero gives
 * zero.
 */
int mlx_divmod(mlx_vector_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a == b. Bool; NaN equals nothing. */
int mlx_equal(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** floor(a / b). Keeps the common type; an integer divided by zero gives zero. */
int mlx_floor_divide(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a > b. Bool; complex numbers compare by real, then imaginary part. */
int mlx_greater(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a >= b. Bool. */
int mlx_greater_equal(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * Where |a - b| <= atol + rtol * |b|. Bool; infinities of one sign are close, NaNs only with
 * `equal_nan`.
 */
int mlx_isclose(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    double rtol,
    double atol,
    bool equal_nan,
    const mlx_stream s);

/** a << b. Integers, bool as u8; floats are refused. */
int mlx_left_shift(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a < b. Bool. */
int mlx_less(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a <= b. Bool. */
int mlx_less_equal(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** log(exp(a) + exp(b)) without overflow. Floating result. */
int mlx_logaddexp(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where both are non-zero. Bool. */
int mlx_logical_and(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where either is non-zero. Bool. */
int mlx_logical_or(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** The larger of both, NaN if either is. */
int mlx_maximum(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** The smaller of both, NaN if either is. */
int mlx_minimum(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** a * b; for bool the logical and. */
int mlx_multiply(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a != b. Bool. */
int mlx_not_equal(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** a raised to b. An integer raised to a negative integer gives 0 unless a is 1 or -1. */
int mlx_power(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * a - b * floor(a / b): has the sign of b. Complex is refused; an integer modulo zero gives zero.
 */
int mlx_remainder(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** a >> b. Integers, bool as u8; floats are refused. */
int mlx_right_shift(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** a - b. */
int mlx_subtract(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/* ---- Choosing and comparing. */

/** One bool: whether all elements are close, as mlx_isclose. */
int mlx_allclose(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    double rtol,
    double atol,
    bool equal_nan,
    const mlx_stream s);

/** One bool: whether shapes and all values agree. With `equal_nan` NaN equals NaN. */
int mlx_array_equal(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    bool equal_nan,
    const mlx_stream s);

/** a held between `a_min` and `a_max`, which broadcast. One of them may be empty, not both. */
int mlx_clip(
    mlx_array* res,
    const mlx_array a,
    const mlx_array a_min /* may be empty */,
    const mlx_array a_max /* may be empty */,
    const mlx_stream s);

/**
 * x where `condition` is non-zero, y elsewhere; all three broadcast, the type is the common one of
 * x and y.
 */
int mlx_where(
    mlx_array* res,
    const mlx_array condition,
    const mlx_array x,
    const mlx_array y,
    const mlx_stream s);

/* ----
 * Reductions. Over all elements (`mlx_sum`), one axis (`mlx_sum_axis`) or several (`mlx_sum_axes`).
 * `keepdims` leaves a dimension of size 1 in place of each reduced one. An axis out of range or
 * given twice is an error.
 */

/** Whether all elements are non-zero. Bool. */
int mlx_all(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_all over one axis. */
int mlx_all_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_all over several axes. */
int mlx_all_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Whether any element is non-zero. Bool. */
int mlx_any(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_any over one axis. */
int mlx_any_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_any over several axes. */
int mlx_any_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/**
 * Index of the largest element in row-major order, the first of equals; NaN counts as largest. u32.
 * Empty: an error.
 */
int mlx_argmax(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_argmax along one axis. */
int mlx_argmax_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/**
 * Index of the smallest element in row-major order, the first of equals; NaN counts as smallest.
 * u32. Empty: an error.
 */
int mlx_argmin(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_argmin along one axis. */
int mlx_argmin_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** log(sum(exp(a))) without overflow. Floating result. */
int mlx_logsumexp(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_logsumexp over one axis. */
int mlx_logsumexp_axis(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool keepdims,
    const mlx_stream s);

/** mlx_logsumexp over several axes. */
int mlx_logsumexp_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Largest element, NaN if there is one. An empty reduction is an error. */
int mlx_max(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_max over one axis. */
int mlx_max_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_max over several axes. */
int mlx_max_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Arithmetic mean. Floating result; NaN when there is nothing. */
int mlx_mean(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_mean over one axis. */
int mlx_mean_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_mean over several axes. */
int mlx_mean_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/**
 * The middle value, the mean of the two middle ones for an even count. No axes: of all elements.
 * Floating result; an empty reduction is an error.
 */
int mlx_median(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Smallest element, NaN if there is one. An empty reduction is an error. */
int mlx_min(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_min over one axis. */
int mlx_min_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_min over several axes. */
int mlx_min_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Product; 1 when there is nothing. Small integers widen as in mlx_sum. */
int mlx_prod(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_prod over one axis. */
int mlx_prod_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_prod over several axes. */
int mlx_prod_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/** Standard deviation: the root of mlx_var. */
int mlx_std(mlx_array* res, const mlx_array a, bool keepdims, int ddof, const mlx_stream s);

/** mlx_std over one axis. */
int mlx_std_axis(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool keepdims,
    int ddof,
    const mlx_stream s);

/** mlx_std over several axes. */
int mlx_std_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    int ddof,
    const mlx_stream s);

/** Sum; 0 when there is nothing. bool, i8 and i16 add up in i32, u8 and u16 in u32. */
int mlx_sum(mlx_array* res, const mlx_array a, bool keepdims, const mlx_stream s);

/** mlx_sum over one axis. */
int mlx_sum_axis(mlx_array* res, const mlx_array a, int axis, bool keepdims, const mlx_stream s);

/** mlx_sum over several axes. */
int mlx_sum_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    const mlx_stream s);

/**
 * Sum along the diagonal that is `offset` above the main one, in the plane of two axes. Needs two
 * dimensions.
 */
int mlx_trace(
    mlx_array* res,
    const mlx_array a,
    int offset,
    int axis1,
    int axis2,
    mlx_dtype dtype,
    const mlx_stream s);

/** Mean squared distance from the mean, divided by n - `ddof`. Floating result, f32 for complex. */
int mlx_var(mlx_array* res, const mlx_array a, bool keepdims, int ddof, const mlx_stream s);

/** mlx_var over one axis. */
int mlx_var_axis(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool keepdims,
    int ddof,
    const mlx_stream s);

/** mlx_var over several axes. */
int mlx_var_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool keepdims,
    int ddof,
    const mlx_stream s);

/* ---- Along an axis: running results, softmax, sorting. */

/**
 * Running maximum along `axis`, from the end with `reverse`; without `inclusive` each element sees
 * only those before.
 */
int mlx_cummax(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/** Running minimum; options as mlx_cummax. */
int mlx_cummin(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/** Running product; options as mlx_cummax. Keeps the type. */
int mlx_cumprod(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/** Running sum; options as mlx_cummax. Keeps the type, but bool gives i32. */
int mlx_cumsum(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/** Running logsumexp; options as mlx_cummax. Floating result. */
int mlx_logcumsumexp(
    mlx_array* res,
    const mlx_array a,
    int axis,
    bool reverse,
    bool inclusive,
    const mlx_stream s);

/**
 * exp(a) / sum(exp(a)) over all elements. Floating result; `precise` computes f16 and bf16 in f32
 * throughout.
 */
int mlx_softmax(mlx_array* res, const mlx_array a, bool precise, const mlx_stream s);

/** mlx_softmax along one axis. */
int mlx_softmax_axis(mlx_array* res, const mlx_array a, int axis, bool precise, const mlx_stream s);

/** mlx_softmax over several axes together. */
int mlx_softmax_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool precise,
    const mlx_stream s);

/** All elements in rising order, flattened; NaN last. Equal elements keep their order. */
int mlx_sort(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Rising order along one axis. */
int mlx_sort_axis(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);

/** Indices that would sort the flattened array. u32. */
int mlx_argsort(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Indices that would sort along one axis. u32. */
int mlx_argsort_axis(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);

/**
 * The flattened array such that element `kth` is where sorting would put it, smaller ones before
 * it, larger behind.
 */
int mlx_partition(mlx_array* res, const mlx_array a, int kth, const mlx_stream s);

/** mlx_partition along one axis. */
int mlx_partition_axis(mlx_array* res, const mlx_array a, int kth, int axis, const mlx_stream s);

/** Indices that would partition the flattened array. u32. */
int mlx_argpartition(mlx_array* res, const mlx_array a, int kth, const mlx_stream s);

/** mlx_argpartition along one axis. */
int mlx_argpartition_axis(mlx_array* res, const mlx_array a, int kth, int axis, const mlx_stream s);

/**
 * The k largest elements of the flattened array, in no promised order. k above the size is an
 * error.
 */
int mlx_topk(mlx_array* res, const mlx_array a, int k, const mlx_stream s);

/** mlx_topk along one axis. */
int mlx_topk_axis(mlx_array* res, const mlx_array a, int k, int axis, const mlx_stream s);

/* ---- Shape. */

/**
 * A view of the flattened, row-contiguous `a` with the given shape, strides (counted in elements)
 * and offset. Each element it reaches must lie inside.
 */
int mlx_as_strided(
    mlx_array* res,
    const mlx_array a,
    const int* shape,
    size_t shape_num,
    const int64_t* strides,
    size_t strides_num,
    size_t offset,
    const mlx_stream s);

/** Dimensions of size 1 added until there is one. */
int mlx_atleast_1d(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Dimensions of size 1 added until there are two: (n,) becomes (1, n). */
int mlx_atleast_2d(mlx_array* res, const mlx_array a, const mlx_stream s);

/**
 * Dimensions of size 1 added until there are three: (n,) becomes (1, n, 1), (m, n) becomes (m, n,
 * 1).
 */
int mlx_atleast_3d(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Every input broadcast to their common shape. */
int mlx_broadcast_arrays(mlx_vector_array* res, const mlx_vector_array inputs, const mlx_stream s);

/**
 * `a` repeated, without copying, to `shape`. Aligned at the last axis; only dimensions of size 1
 * can grow.
 */
int mlx_broadcast_to(
    mlx_array* res,
    const mlx_array a,
    const int* shape,
    size_t shape_num,
    const mlx_stream s);

/** The arrays joined along axis 0. An empty list is an error. */
int mlx_concatenate(mlx_array* res, const mlx_vector_array arrays, const mlx_stream s);

/**
 * The arrays joined along `axis`; all other dimensions must agree. Types are promoted to the common
 * one.
 */
int mlx_concatenate_axis(
    mlx_array* res,
    const mlx_vector_array arrays,
    int axis,
    const mlx_stream s);

/**
 * Row-contiguous memory with the same values: `a` itself where it is so already, or column-
 * contiguous with `allow_col_major`.
 */
int mlx_contiguous(mlx_array* res, const mlx_array a, bool allow_col_major, const mlx_stream s);

/** The inputs, which will not be there before the dependencies are computed too. */
int mlx_depends(
    mlx_vector_array* res,
    const mlx_vector_array inputs,
    const mlx_vector_array dependencies);

/** A dimension of size 1 inserted at `axis` of the result. */
int mlx_expand_dims(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);

/** Dimensions of size 1 inserted at several axes of the result. */
int mlx_expand_dims_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** Dimensions `start_axis` to `end_axis`, both included, as one. A 0-d array becomes (1,). */
int mlx_flatten(
    mlx_array* res,
    const mlx_array a,
    int start_axis,
    int end_axis,
    const mlx_stream s);

/** Axis `source` moved to `destination`, the others keep their order. */
int mlx_moveaxis(
    mlx_array* res,
    const mlx_array a,
    int source,
    int destination,
    const mlx_stream s);

/**
 * The product of the sizes of `axes` as a 0-d array, or its reciprocal with `inverted`. Under a
 * shapeless compile it follows the shapes of each call.
 */
int mlx_number_of_elements(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    bool inverted,
    mlx_dtype dtype,
    const mlx_stream s);

/**
 * `a` with low_pad_size[i] elements added before and high_pad_size[i] after axis axes[i]. `mode` is
 * "constant" (the value `pad_value`) or "edge" (the border repeated). Negative sizes are refused.
 */
int mlx_pad(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const int* low_pad_size,
    size_t low_pad_size_num,
    const int* high_pad_size,
    size_t high_pad_size_num,
    const mlx_array pad_value,
    const char* mode,
    const mlx_stream s);

/** mlx_pad with `pad_width` on both sides of every axis. */
int mlx_pad_symmetric(
    mlx_array* res,
    const mlx_array a,
    int pad_width,
    const mlx_array pad_value,
    const char* mode,
    const mlx_stream s);

/** Each element of the flattened array `repeats` times in a row. Negative `repeats` are refused. */
int mlx_repeat(mlx_array* res, const mlx_array arr, int repeats, const mlx_stream s);

/** mlx_repeat along one axis. */
int mlx_repeat_axis(mlx_array* res, const mlx_array arr, int repeats, int axis, const mlx_stream s);

/**
 * The same elements in row-major order with another shape; one dimension may be -1 and is worked
 * out.
 */
int mlx_reshape(
    mlx_array* res,
    const mlx_array a,
    const int* shape,
    size_t shape_num,
    const mlx_stream s);

/** The flattened array rotated by sum(shift), then back in shape. */
int mlx_roll(
    mlx_array* res,
    const mlx_array a,
    const int* shift,
    size_t shift_num,
    const mlx_stream s);

/** Rotated along one axis. */
int mlx_roll_axis(
    mlx_array* res,
    const mlx_array a,
    const int* shift,
    size_t shift_num,
    int axis,
    const mlx_stream s);

/** Rotated along several axes; one shift for each, or one for all. */
int mlx_roll_axes(
    mlx_array* res,
    const mlx_array a,
    const int* shift,
    size_t shift_num,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/**
 * Elements start[i], start[i] + strides[i], ... before stop[i] of each axis, one entry for each
 * dimension. Negative bounds count from the end, bounds outside are clamped. A stride of 0 is an
 * error.
 */
int mlx_slice(
    mlx_array* res,
    const mlx_array a,
    const int* start,
    size_t start_num,
    const int* stop,
    size_t stop_num,
    const int* strides,
    size_t strides_num,
    const mlx_stream s);

/**
 * A block of size `slice_size` that begins at `start`, an integer array with an entry for each of
 * `axes`. The start is clamped so that the block lies inside.
 */
int mlx_slice_dynamic(
    mlx_array* res,
    const mlx_array a,
    const mlx_array start,
    const int* axes,
    size_t axes_num,
    const int* slice_size,
    size_t slice_size_num,
    const mlx_stream s);

/** `src` with the slice replaced by `update`, which broadcasts to it. */
int mlx_slice_update(
    mlx_array* res,
    const mlx_array src,
    const mlx_array update,
    const int* start,
    size_t start_num,
    const int* stop,
    size_t stop_num,
    const int* strides,
    size_t strides_num,
    const mlx_stream s);

/** `src` with the block beginning at `start` (as mlx_slice_dynamic) replaced by `update`. */
int mlx_slice_update_dynamic(
    mlx_array* res,
    const mlx_array src,
    const mlx_array update,
    const mlx_array start,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** `src` with `update` added to the slice. */
int mlx_slice_update_add(
    mlx_array* res,
    const mlx_array src,
    const mlx_array update,
    const int* start,
    size_t start_num,
    const int* stop,
    size_t stop_num,
    const int* strides,
    size_t strides_num,
    const mlx_stream s);

/** `src` with the slice replaced by the larger of it and `update`. */
int mlx_slice_update_max(
    mlx_array* res,
    const mlx_array src,
    const mlx_array update,
    const int* start,
    size_t start_num,
    const int* stop,
    size_t stop_num,
    const int* strides,
    size_t strides_num,
    const mlx_stream s);

/** `src` with the slice replaced by the smaller of it and `update`. */
int mlx_slice_update_min(
    mlx_array* res,
    const mlx_array src,
    const mlx_array update,
    const int* start,
    size_t start_num,
    const int* stop,
    size_t stop_num,
    const int* strides,
    size_t strides_num,
    const mlx_stream s);

/** `src` with the slice multiplied by `update`. */
int mlx_slice_update_prod(
    mlx_array* res,
    const mlx_array src,
    const mlx_array update,
    const int* start,
    size_t start_num,
    const int* stop,
    size_t stop_num,
    const int* strides,
    size_t strides_num,
    const mlx_stream s);

/** `num_splits` equal parts along `axis`, which must divide evenly. */
int mlx_split(
    mlx_vector_array* res,
    const mlx_array a,
    int num_splits,
    int axis,
    const mlx_stream s);

/** Parts along `axis` cut before each of `indices`. */
int mlx_split_sections(
    mlx_vector_array* res,
    const mlx_array a,
    const int* indices,
    size_t indices_num,
    int axis,
    const mlx_stream s);

/** Without the dimensions of size 1. */
int mlx_squeeze(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Without dimension `axis`, which must have size 1. */
int mlx_squeeze_axis(mlx_array* res, const mlx_array a, int axis, const mlx_stream s);

/** Without several dimensions, which must have size 1. */
int mlx_squeeze_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** The arrays, all of one shape, along a new axis 0. An empty list is an error. */
int mlx_stack(mlx_array* res, const mlx_vector_array arrays, const mlx_stream s);

/** The arrays, all of one shape, along a new axis `axis` of the result. */
int mlx_stack_axis(mlx_array* res, const mlx_vector_array arrays, int axis, const mlx_stream s);

/** Two axes exchanged. */
int mlx_swapaxes(mlx_array* res, const mlx_array a, int axis1, int axis2, const mlx_stream s);

/**
 * The array repeated reps[i] times along each axis; missing leading dimensions or repetitions count
 * as 1.
 */
int mlx_tile(
    mlx_array* res,
    const mlx_array arr,
    const int* reps,
    size_t reps_num,
    const mlx_stream s);

/** The axes in reversed order. */
int mlx_transpose(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Axis axes[i] of `a` as axis i; each axis must be named once. */
int mlx_transpose_axes(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** Dimension `axis` split into `shape`, one of whose entries may be -1. */
int mlx_unflatten(
    mlx_array* res,
    const mlx_array a,
    int axis,
    const int* shape,
    size_t shape_num,
    const mlx_stream s);

/**
 * The same bytes read as another type. A type of another size changes the last dimension, whose
 * bytes must divide.
 */
int mlx_view(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s);

/* ---- Making arrays. */

/** start, start + step, ... before `stop`. Zero step, NaN, infinite bounds and bool are refused. */
int mlx_arange(
    mlx_array* res,
    double start,
    double stop,
    double step,
    mlx_dtype dtype,
    const mlx_stream s);

/** Converted to `dtype`. Floats are cut towards zero; complex to real drops the imaginary part. */
int mlx_astype(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s);

/** The triangular window of M points. f32. */
int mlx_bartlett(mlx_array* res, int M, const mlx_stream s);

/** The Blackman window of M points. f32. */
int mlx_blackman(mlx_array* res, int M, const mlx_stream s);

/** A 1-d array on diagonal `k` of a square matrix of zeros; of a 2-d array that diagonal. */
int mlx_diag(mlx_array* res, const mlx_array a, int k, const mlx_stream s);

/**
 * The diagonal `offset` above the main one in the plane of two axes, as the last axis of the
 * result.
 */
int mlx_diagonal(
    mlx_array* res,
    const mlx_array a,
    int offset,
    int axis1,
    int axis2,
    const mlx_stream s);

/** n x m with ones on diagonal `k`, zeros elsewhere. Negative sizes are refused. */
int mlx_eye(mlx_array* res, int n, int m, int k, mlx_dtype dtype, const mlx_stream s);

/** `shape` filled with `vals`, which broadcasts, as `dtype`. Negative dimensions are refused. */
int mlx_full(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    const mlx_array vals,
    mlx_dtype dtype,
    const mlx_stream s);

/** The shape of `a` filled with `vals` as `dtype`. */
int mlx_full_like(
    mlx_array* res,
    const mlx_array a,
    const mlx_array vals,
    mlx_dtype dtype,
    const mlx_stream s);

/** The Hamming window of M points. f32. */
int mlx_hamming(mlx_array* res, int M, const mlx_stream s);

/** The Hann window of M points. f32. */
int mlx_hanning(mlx_array* res, int M, const mlx_stream s);

/** n x n with ones on the diagonal. */
int mlx_identity(mlx_array* res, int n, mlx_dtype dtype, const mlx_stream s);

/** `num` values evenly from `start` to `stop`, both included. */
int mlx_linspace(
    mlx_array* res,
    double start,
    double stop,
    int num,
    mlx_dtype dtype,
    const mlx_stream s);

/**
 * Coordinate grids of 1-d arrays (others are flattened). `indexing` is "xy" or "ij"; `sparse`
 * leaves sizes of 1.
 */
int mlx_meshgrid(
    mlx_vector_array* res,
    const mlx_vector_array arrays,
    bool sparse,
    const char* indexing,
    const mlx_stream s);

/** `shape` filled with ones. */
int mlx_ones(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_stream s);

/** Ones with the shape and type of `a`. */
int mlx_ones_like(mlx_array* res, const mlx_array a, const mlx_stream s);

/** n x m with ones on and below diagonal `k`. */
int mlx_tri(mlx_array* res, int n, int m, int k, mlx_dtype type, const mlx_stream s);

/** `x` with zeros above diagonal `k` of the last two axes. Needs two dimensions. */
int mlx_tril(mlx_array* res, const mlx_array x, int k, const mlx_stream s);

/** `x` with zeros below diagonal `k` of the last two axes. Needs two dimensions. */
int mlx_triu(mlx_array* res, const mlx_array x, int k, const mlx_stream s);

/** `shape` filled with zeros. */
int mlx_zeros(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_stream s);

/** Zeros with the shape and type of `a`. */
int mlx_zeros_like(mlx_array* res, const mlx_array a, const mlx_stream s);

/* ----
 * Indexing. Index arrays are integers (u32 is fastest); negative ones count from the end. One out
 * of bounds is an error at eval, never a read or write of stray memory.
 */

/**
 * For each tuple of `indices`, which broadcast together, the block of `slice_sizes` that begins
 * there: indices[i] counts along axes[i]. The result has the shape of the indices followed by
 * `slice_sizes`.
 */
int mlx_gather(
    mlx_array* res,
    const mlx_array a,
    const mlx_vector_array indices,
    const int* axes,
    size_t axes_num,
    const int* slice_sizes,
    size_t slice_sizes_num,
    const mlx_stream s);

/** mlx_gather with one index array along `axis`. */
int mlx_gather_single(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    int axis,
    const int* slice_sizes,
    size_t slice_sizes_num,
    const mlx_stream s);

/** `a` with the places where bool `mask` is set filled, in row-major order, from `src`. */
int mlx_masked_scatter(
    mlx_array* res,
    const mlx_array a,
    const mlx_array mask,
    const mlx_array src,
    const mlx_stream s);

/**
 * `a` with values[i] written at indices[i] along `axis`. Indices and values broadcast against `a`
 * in other axes.
 */
int mlx_put_along_axis(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array values,
    int axis,
    const mlx_stream s);

/**
 * `a` with blocks of `updates` written at `indices` along `axes`. The shape of `updates` is that of
 * the broadcast indices followed by the block's. Of several writes to one place any may win.
 */
int mlx_scatter(
    mlx_array* res,
    const mlx_array a,
    const mlx_vector_array indices,
    const mlx_array updates,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** mlx_scatter with one index array along `axis`. */
int mlx_scatter_single(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array updates,
    int axis,
    const mlx_stream s);

/** mlx_scatter, but adding: several updates of one place all count. */
int mlx_scatter_add(
    mlx_array* res,
    const mlx_array a,
    const mlx_vector_array indices,
    const mlx_array updates,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** mlx_scatter_add with one index array along `axis`. */
int mlx_scatter_add_single(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array updates,
    int axis,
    const mlx_stream s);

/** `a` with values[i] added at indices[i] along `axis`; the counterpart of mlx_take_along_axis. */
int mlx_scatter_add_axis(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array values,
    int axis,
    const mlx_stream s);

/** mlx_scatter, but keeping the larger of old and new. */
int mlx_scatter_max(
    mlx_array* res,
    const mlx_array a,
    const mlx_vector_array indices,
    const mlx_array updates,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** mlx_scatter_max with one index array along `axis`. */
int mlx_scatter_max_single(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array updates,
    int axis,
    const mlx_stream s);

/** mlx_scatter, but keeping the smaller of old and new. */
int mlx_scatter_min(
    mlx_array* res,
    const mlx_array a,
    const mlx_vector_array indices,
    const mlx_array updates,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** mlx_scatter_min with one index array along `axis`. */
int mlx_scatter_min_single(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array updates,
    int axis,
    const mlx_stream s);

/** mlx_scatter, but multiplying. */
int mlx_scatter_prod(
    mlx_array* res,
    const mlx_array a,
    const mlx_vector_array indices,
    const mlx_array updates,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** mlx_scatter_prod with one index array along `axis`. */
int mlx_scatter_prod_single(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    const mlx_array updates,
    int axis,
    const mlx_stream s);

/** Elements of the flattened `a` at `indices`; has the shape of the indices. */
int mlx_take(mlx_array* res, const mlx_array a, const mlx_array indices, const mlx_stream s);

/** Slices of `a` at `indices` along `axis`; the indices' shape stands in place of that axis. */
int mlx_take_axis(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    int axis,
    const mlx_stream s);

/**
 * For each position the element at indices[...] along `axis`. Indices have as many dimensions as
 * `a` and broadcast in the others.
 */
int mlx_take_along_axis(
    mlx_array* res,
    const mlx_array a,
    const mlx_array indices,
    int axis,
    const mlx_stream s);

/** `a`, through which no gradient flows. */
int mlx_stop_gradient(mlx_array* res, const mlx_array a, const mlx_stream s);

/* ---- Products and sums of products. */

/** beta * c + alpha * (a @ b), with `c` broadcasting to the product. */
int mlx_addmm(
    mlx_array* res,
    const mlx_array c,
    const mlx_array a,
    const mlx_array b,
    float alpha,
    float beta,
    const mlx_stream s);

/** Matrix product whose blocks of `block_size` are left out, or scaled, as the masks say. */
int mlx_block_masked_mm(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    int block_size,
    const mlx_array mask_out /* may be empty */,
    const mlx_array mask_lhs /* may be empty */,
    const mlx_array mask_rhs /* may be empty */,
    const mlx_stream s);

/** Sum of products by Einstein's subscripts, as "ij,jk->ik". */
int mlx_einsum(
    mlx_array* res,
    const char* subscripts,
    const mlx_vector_array operands,
    const mlx_stream s);

/**
 * Products of the matrices that `lhs_indices` picks from `a` and `rhs_indices` from `b`;
 * `sorted_indices` promises that the right ones rise.
 */
int mlx_gather_mm(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    const mlx_array lhs_indices /* may be empty */,
    const mlx_array rhs_indices /* may be empty */,
    bool sorted_indices,
    const mlx_stream s);

/**
 * Walsh-Hadamard transform of the last axis, whose size is m * 2^k with m one of 1, 12, 20, 28.
 * `scale` defaults to 1 / sqrt(size).
 */
int mlx_hadamard_transform(
    mlx_array* res,
    const mlx_array a,
    mlx_optional_float scale,
    const mlx_stream s);

/** Products summed over the last axis of both; of vectors the dot product. */
int mlx_inner(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Kronecker product. */
int mlx_kron(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * Matrix product of the last two axes, the others broadcast; a vector counts as row on the left, as
 * column on the right. Two integer operands and 0-d operands are refused.
 */
int mlx_matmul(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** All products of the elements of two flattened arrays: (size of a, size of b). */
int mlx_outer(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/**
 * Products of column ranges: for each (begin, end) of `segments`, a[:, begin:end] @ b[begin:end,
 * :].
 */
int mlx_segmented_mm(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    const mlx_array segments,
    const mlx_stream s);

/** Products summed over axes_a[i] of `a` paired with axes_b[i] of `b`, whose sizes must agree. */
int mlx_tensordot(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    const int* axes_a,
    size_t axes_a_num,
    const int* axes_b,
    size_t axes_b_num,
    const mlx_stream s);

/** Products summed over the last `axis` axes of `a` and the first `axis` of `b`. */
int mlx_tensordot_axis(
    mlx_array* res,
    const mlx_array a,
    const mlx_array b,
    int axis,
    const mlx_stream s);

/* ----
 * Convolution. Channels come last. Input (N, spatial..., C_in), weight (C_out, spatial..., C_in /
 * groups), result (N, spatial..., C_out). Floats only. Negative padding takes places off the input,
 * before it is dilated. A kernel larger than the padded input, groups that do not divide the
 * channels and strides below 1 are errors.
 */

/** Convolution (cross-correlation, the kernel not flipped) over one spatial axis. */
int mlx_conv1d(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    int stride,
    int padding,
    int dilation,
    int groups,
    const mlx_stream s);

/** Convolution over two spatial axes. */
int mlx_conv2d(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    int stride_0,
    int stride_1,
    int padding_0,
    int padding_1,
    int dilation_0,
    int dilation_1,
    int groups,
    const mlx_stream s);

/** Convolution over three spatial axes. */
int mlx_conv3d(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    int stride_0,
    int stride_1,
    int stride_2,
    int padding_0,
    int padding_1,
    int padding_2,
    int dilation_0,
    int dilation_1,
    int dilation_2,
    int groups,
    const mlx_stream s);

/**
 * Convolution over any number of spatial axes, padding below and above separately, with dilated
 * kernel and input; `flip` turns the kernel round. Each list has an entry for each spatial axis, or
 * one for all.
 */
int mlx_conv_general(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    const int* stride,
    size_t stride_num,
    const int* padding_lo,
    size_t padding_lo_num,
    const int* padding_hi,
    size_t padding_hi_num,
    const int* kernel_dilation,
    size_t kernel_dilation_num,
    const int* input_dilation,
    size_t input_dilation_num,
    int groups,
    bool flip,
    const mlx_stream s);

/**
 * The transpose of mlx_conv1d, as its gradient with respect to the input. `output_padding` adds to
 * one side.
 */
int mlx_conv_transpose1d(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    int stride,
    int padding,
    int dilation,
    int output_padding,
    int groups,
    const mlx_stream s);

/** The transpose of mlx_conv2d. */
int mlx_conv_transpose2d(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    int stride_0,
    int stride_1,
    int padding_0,
    int padding_1,
    int dilation_0,
    int dilation_1,
    int output_padding_0,
    int output_padding_1,
    int groups,
    const mlx_stream s);

/** The transpose of mlx_conv3d. */
int mlx_conv_transpose3d(
    mlx_array* res,
    const mlx_array input,
    const mlx_array weight,
    int stride_0,
    int stride_1,
    int stride_2,
    int padding_0,
    int padding_1,
    int padding_2,
    int dilation_0,
    int dilation_1,
    int dilation_2,
    int output_padding_0,
    int output_padding_1,
    int output_padding_2,
    int groups,
    const mlx_stream s);

/* ---- Quantized numbers. */

/**
 * The numbers that packed `w`, `scales` and `biases` stand for. `mode`: "affine" (needs biases),
 * "mxfp4", "mxfp8", "nvfp4". Absent `group_size`, `bits`: the mode's usual ones.
 */
int mlx_dequantize(
    mlx_array* res,
    const mlx_array w,
    const mlx_array scales,
    const mlx_array biases /* may be empty */,
    mlx_optional_int group_size,
    mlx_optional_int bits,
    const char* mode,
    const mlx_array global_scale /* may be empty */,
    mlx_optional_dtype dtype,
    const mlx_stream s);

/** 8-bit floats (e4m3, in u8) as `dtype`. */
int mlx_from_fp8(mlx_array* res, const mlx_array x, mlx_dtype dtype, const mlx_stream s);

/** mlx_gather_mm with quantized `w`. */
int mlx_gather_qmm(
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
    bool sorted_indices,
    const mlx_stream s);

/** Product of two quantized matrices; `x` is quantized on the fly. */
int mlx_qqmm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array w,
    const mlx_array w_scales /* may be empty */,
    mlx_optional_int group_size,
    mlx_optional_int bits,
    const char* mode,
    const mlx_array global_scale_x /* may be empty */,
    const mlx_array global_scale_w /* may be empty */,
    const mlx_stream s);

/**
 * Two or three results: packed u32 `w`, scales and, for "affine", biases. Groups of `group_size`
 * elements of the last axis share a scale.
 */
int mlx_quantize(
    mlx_vector_array* res,
    const mlx_array w,
    mlx_optional_int group_size,
    mlx_optional_int bits,
    const char* mode,
    const mlx_array global_scale /* may be empty */,
    const mlx_stream s);

/** x @ w.T (x @ w without `transpose`) for quantized `w`. */
int mlx_quantized_matmul(
    mlx_array* res,
    const mlx_array x,
    const mlx_array w,
    const mlx_array scales,
    const mlx_array biases /* may be empty */,
    bool transpose,
    mlx_optional_int group_size,
    mlx_optional_int bits,
    const char* mode,
    const mlx_stream s);

/** Rounded to 8-bit floats (e4m3), in u8. */
int mlx_to_fp8(mlx_array* res, const mlx_array x, const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_OPS_H */
