/* Functions of complex float: libm's, and what it lacks. Order is by real, then imaginary part. */
#ifndef MX_KERNELS_MATH_C64_H
#define MX_KERNELS_MATH_C64_H

static inline mx_c64 mx_complex(float re, float im) {
  mx_c64 z;
  float p[2] = {re, im};
  memcpy(&z, p, sizeof z);
  return z;
}
#define mx_lowest_c64 mx_complex(-INFINITY, -INFINITY)
#define mx_highest_c64 mx_complex(INFINITY, INFINITY)

static inline bool mx_isnan_c64(mx_c64 x) { return (crealf(x) != crealf(x)) || (cimagf(x) != cimagf(x)); }
static inline bool mx_isinf_c64(mx_c64 x) { return mx_isinf_f32(crealf(x)) || mx_isinf_f32(cimagf(x)); }
static inline bool mx_isfinite_c64(mx_c64 x) { return mx_isfinite_f32(crealf(x)) && mx_isfinite_f32(cimagf(x)); }
static inline bool mx_less_c64(mx_c64 x, mx_c64 y) {
  float a = crealf(x), b = crealf(y);
  return (a < b) || ((a == b) && (cimagf(x) < cimagf(y)));
}
static inline bool mx_less_equal_c64(mx_c64 x, mx_c64 y) {
  float a = crealf(x), b = crealf(y);
  return (a < b) || ((a == b) && (cimagf(x) <= cimagf(y)));
}
static inline mx_c64 mx_maximum_c64(mx_c64 x, mx_c64 y) { return (mx_less_c64(y, x) || mx_isnan_c64(x)) ? x : y; }
static inline mx_c64 mx_minimum_c64(mx_c64 x, mx_c64 y) { return (mx_less_c64(x, y) || mx_isnan_c64(x)) ? x : y; }

static inline float mx_abs_c64(mx_c64 x) {
  double a = crealf(x), b = cimagf(x);
  return mx_isinf_c64(x) ? INFINITY : (float)__builtin_sqrt(a * a + b * b);
}
static inline float mx_real_c64(mx_c64 x) { return crealf(x); }
static inline float mx_imag_c64(mx_c64 x) { return cimagf(x); }
static inline mx_c64 mx_conj_c64(mx_c64 x) { return mx_complex(crealf(x), -cimagf(x)); }
static inline mx_c64 mx_sign_c64(mx_c64 x) {
  float a = mx_abs_c64(x);
  return a == 0 ? 0 : mx_complex(crealf(x) / a, cimagf(x) / a);
}
static inline mx_c64 mx_rint_c64(mx_c64 x) { return mx_complex(__builtin_rintf(crealf(x)), __builtin_rintf(cimagf(x))); }
static inline mx_c64 mx_floor_divide_c64(mx_c64 x, mx_c64 y) { return x / y; } /* as MLX: there is no floor */

static inline mx_c64 mx_sqrt_c64(mx_c64 x) { return csqrtf(x); }
static inline mx_c64 mx_exp_c64(mx_c64 x) { return cexpf(x); }
/* e^a cos b - 1 = expm1(a) cos b - 2 sin(b/2)^2 */
static inline mx_c64 mx_expm1_c64(mx_c64 x) {
  double a = crealf(x), b = cimagf(x), h = sin(0.5 * b);
  if (!mx_isfinite_c64(x)) return cexpf(x) - 1;
  return mx_complex((float)(expm1(a) * cos(b) - 2 * h * h), (float)(exp(a) * sin(b)));
}
static inline mx_c64 mx_log_c64(mx_c64 x) { return clogf(x); }
static inline mx_c64 mx_log2_c64(mx_c64 x) {
  mx_c64 r = clogf(x);
  return mx_complex(crealf(r) * 1.44269504f, cimagf(r) * 1.44269504f);
}
static inline mx_c64 mx_log10_c64(mx_c64 x) {
  mx_c64 r = clogf(x);
  return mx_complex(crealf(r) * 0.434294482f, cimagf(r) * 0.434294482f);
}
/* |1 + x|^2 - 1 = a (2 + a) + b^2 */
static inline mx_c64 mx_log1p_c64(mx_c64 x) {
  double a = crealf(x), b = cimagf(x);
  if (!mx_isfinite_c64(x)) return clogf(x + 1);
  return mx_complex((float)(0.5 * log1p(a * (2 + a) + b * b)), (float)atan2(b, 1 + a));
}
static inline mx_c64 mx_logaddexp_c64(mx_c64 x, mx_c64 y) {
  mx_c64 hi = mx_maximum_c64(x, y), lo = mx_minimum_c64(x, y);
  if (mx_isnan_c64(x) || mx_isnan_c64(y)) return mx_complex(NAN, NAN);
  if (crealf(lo) == -INFINITY || crealf(hi) == INFINITY) return hi;
  return hi + mx_log1p_c64(cexpf(lo - hi));
}
static inline mx_c64 mx_power_c64(mx_c64 x, mx_c64 y) {
  if (x == 0) { /* 0^y: 1 for y = 0, 0 where the real part of y is positive */
    if (y == 0) return 1;
    if (crealf(y) > 0) return 0;
    return mx_complex(NAN, NAN);
  }
  return cpowf(x, y);
}
static inline mx_c64 mx_sin_c64(mx_c64 x) { return csinf(x); }
static inline mx_c64 mx_cos_c64(mx_c64 x) { return ccosf(x); }
static inline mx_c64 mx_tan_c64(mx_c64 x) { return ctanf(x); }
static inline mx_c64 mx_arcsin_c64(mx_c64 x) { return casinf(x); }
static inline mx_c64 mx_arccos_c64(mx_c64 x) { return cacosf(x); }
static inline mx_c64 mx_arctan_c64(mx_c64 x) { return catanf(x); }
static inline mx_c64 mx_sinh_c64(mx_c64 x) { return csinhf(x); }
static inline mx_c64 mx_cosh_c64(mx_c64 x) { return ccoshf(x); }
static inline mx_c64 mx_tanh_c64(mx_c64 x) { return ctanhf(x); }
static inline mx_c64 mx_arcsinh_c64(mx_c64 x) { return casinhf(x); }
static inline mx_c64 mx_arccosh_c64(mx_c64 x) { return cacoshf(x); }
static inline mx_c64 mx_arctanh_c64(mx_c64 x) { return catanhf(x); }

#endif
