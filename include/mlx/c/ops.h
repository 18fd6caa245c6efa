/*
 * mlx/c/ops.h: Operations on arrays. Each builds a node and returns at once: nothing is computed
 * before an eval. Common to all: the result goes to `res`, which may alias an input. Binary
 * operations broadcast their operands as NumPy does and compute in the common type of both. A
 * negative axis counts from the end. `s` is the stream the operation will run on. Returns 0, or 1
 * after the error handler was told what is wrong: a shape that does not fit, a type that is not
 * allowed, an axis out of range, an empty handle. Written by tools/opgen.py from ops/functions.def.
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

/** Cosine of radians. Floating result. */
int mlx_cos(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Hyperbolic cosine. Floating result. */
int mlx_cosh(mlx_array* res, const mlx_array a, const mlx_stream s);

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

/** -a. Keeps the type; bool is refused (use mlx_logical_not). */
int mlx_negative(mlx_array* res, const mlx_array a, const mlx_stream s);

/** Real part, f32 for complex; a real array comes back as it is. */
int mlx_real(mlx_array* res, const mlx_array a, const mlx_stream s);

/** 1 / a. Floating result. */
int mlx_reciprocal(mlx_array* res, const mlx_array a, const mlx_stream s);

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

/** Where a == b. Bool; NaN equals nothing. */
int mlx_equal(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** floor(a / b). Keeps the common type; an integer divided by zero gives zero. */
int mlx_floor_divide(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a > b. Bool; complex numbers compare by real, then imaginary part. */
int mlx_greater(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

/** Where a >= b. Bool. */
int mlx_greater_equal(mlx_array* res, const mlx_array a, const mlx_array b, const mlx_stream s);

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

/* ---- Making arrays. */

/** Converted to `dtype`. Floats are cut towards zero; complex to real drops the imaginary part. */
int mlx_astype(mlx_array* res, const mlx_array a, mlx_dtype dtype, const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_OPS_H */
