/* Functions of double: libm's, which are exact to about an ulp. */
#ifndef MX_KERNELS_MATH_F64_H
#define MX_KERNELS_MATH_F64_H

#define mx_lowest_f64 ((double)-INFINITY)
#define mx_highest_f64 ((double)INFINITY)

static inline double mx_abs_f64(double x) { return __builtin_fabs(x); }
static inline double mx_sign_f64(double x) { return (double)((x > 0) - (x < 0)); }
static inline double mx_sqrt_f64(double x) { return __builtin_sqrt(x); }
static inline double mx_floor_f64(double x) { return __builtin_floor(x); }
static inline double mx_ceil_f64(double x) { return __builtin_ceil(x); }
static inline double mx_trunc_f64(double x) { return __builtin_trunc(x); }
static inline double mx_rint_f64(double x) { return __builtin_rint(x); }
static inline double mx_real_f64(double x) { return x; }
static inline double mx_imag_f64(double x) { return (void)x, 0.0; }
static inline double mx_conj_f64(double x) { return x; }
static inline bool mx_isnan_f64(double x) { return x != x; }
static inline bool mx_isinf_f64(double x) { return __builtin_fabs(x) == INFINITY; }
static inline bool mx_isfinite_f64(double x) { return __builtin_fabs(x) < INFINITY; }
static inline bool mx_less_f64(double x, double y) { return x < y; }
static inline bool mx_less_equal_f64(double x, double y) { return x <= y; }
static inline double mx_maximum_f64(double x, double y) { /* one instruction, and a NaN of x put right; one of y stays */
  double m = x > y ? x : y;
  return x != x ? x : m;
}
static inline double mx_minimum_f64(double x, double y) { /* one instruction, and a NaN of x put right; one of y stays */
  double m = x < y ? x : y;
  return x != x ? x : m;
}
static inline bool mx_signbit_f64(double x) { return mx_bits_f64(x) >> 63; }
static inline double mx_copysign_f64(double x, double y) { return __builtin_copysign(x, y); }
static inline double mx_hypot_f64(double x, double y) { return hypot(x, y); }
static inline double mx_floor_divide_f64(double x, double y) { return __builtin_floor(x / y); }
static inline double mx_remainder_f64(double x, double y) {
  double r = fmod(x, y);
  return ((r != 0) & ((r < 0) != (y < 0))) ? r + y : r;
}

static inline double mx_exp_f64(double x) { return exp(x); }
static inline double mx_expm1_f64(double x) { return expm1(x); }
static inline double mx_log_f64(double x) { return log(x); }
static inline double mx_log2_f64(double x) { return log2(x); }
static inline double mx_log10_f64(double x) { return log10(x); }
static inline double mx_log1p_f64(double x) { return log1p(x); }
static inline double mx_logaddexp_f64(double x, double y) {
  double d = x == y ? 0 : -__builtin_fabs(x - y);
  return mx_maximum_f64(x, y) + log1p(exp(d));
}
static inline double mx_power_f64(double x, double y) { return pow(x, y); }
static inline double mx_sigmoid_f64(double x) {
  double e = exp(-__builtin_fabs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

static inline double mx_sin_f64(double x) { return sin(x); }
static inline double mx_cos_f64(double x) { return cos(x); }
static inline double mx_tan_f64(double x) { return tan(x); }
static inline double mx_arcsin_f64(double x) { return asin(x); }
static inline double mx_arccos_f64(double x) { return acos(x); }
static inline double mx_arctan_f64(double x) { return atan(x); }
static inline double mx_arctan2_f64(double y, double x) { return atan2(y, x); }
static inline double mx_sinh_f64(double x) { return sinh(x); }
static inline double mx_cosh_f64(double x) { return cosh(x); }
static inline double mx_tanh_f64(double x) { return tanh(x); }
static inline double mx_arcsinh_f64(double x) { return asinh(x); }
static inline double mx_arccosh_f64(double x) { return acosh(x); }
static inline double mx_arctanh_f64(double x) { return atanh(x); }
static inline double mx_erf_f64(double x) { return erf(x); }

/* Three steps of Halley from mx_erfinv_ratio. */
static inline double mx_erfinv_f64(double x) {
  double a = __builtin_fabs(x);
  if (!(a < 1)) return a == 1 ? x * INFINITY : NAN;
  if (a < 1e-150) return x * 0.88622692545275801365;
  double w = -log((1 - a) * (1 + a)), r;
  if (w > 15) { /* erfc(r) is about exp(-r r) / (r sqrt(pi)) */
    r = sqrt(w + 0.12078223763524522 - 0.5 * log(w)) / a; /* log 2 - log(pi) / 2 */
  } else {
    r = mx_erfinv_ratio(w);
  }
  r *= a;
  for (int i = 0; i < 3; i++) { /* near 1 the complement keeps the digits */
    double e = a < 0.5 ? a - erf(r) : erfc(r) - (1 - a);
    double d = e * 0.88622692545275801365 * exp(r * r);
    r += d / (1 - r * d);
  }
  return copysign(r, x);
}

#endif
