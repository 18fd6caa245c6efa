/* Functions of float. All are free of branches, so that loops over them vectorise. Polynomials are minimax fits (Remez); the bound of
 * each function, in ulp, was measured over all floats or a dense sample of them (tests/c/math_test.c repeats that).
 *
 * exp log tanh erf sigmoid work in float; the less usual functions work in double inside, which is simpler and makes them exact to
 * little more than half an ulp. */
#ifndef MX_KERNELS_MATH_F32_H
#define MX_KERNELS_MATH_F32_H

#define mx_lowest_f32 (-INFINITY)
#define mx_highest_f32 INFINITY

#if defined(__FMA__) || defined(__aarch64__)
#define MX_FMA(a, b, c) __builtin_fmaf(a, b, c)
#define MX_FMAD(a, b, c) __builtin_fma(a, b, c)
#else /* a call of libm would be far slower than the second rounding is harmful */
#define MX_FMA(a, b, c) ((a) * (b) + (c))
#define MX_FMAD(a, b, c) ((a) * (b) + (c))
#endif

static inline uint32_t mx_bits_f32(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}
static inline float mx_from_bits_f32(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}
static inline uint64_t mx_bits_f64(double x) {
  uint64_t u;
  memcpy(&u, &x, 8);
  return u;
}
static inline double mx_from_bits_f64(uint64_t u) {
  double x;
  memcpy(&x, &u, 8);
  return x;
}

/* ---- building blocks in double, good to about 2^-40 ---- */

/* x = n ln 2 + r; n as a double and, in the low bits, as an integer */
static inline double mx_reduce_exp(double x, double *n, uint64_t *k) {
  double y = x < -700 ? -700 : x;
  y = y > 700 ? 700 : y; /* NaN passes */
  double t = MX_FMAD(y, 0x1.71547652b82fep+0, 0x1.8p52);
  *n = t - 0x1.8p52;
  *k = mx_bits_f64(t);
  double r = MX_FMAD(*n, -0x1.62e42fe000000p-1, y);
  return MX_FMAD(*n, -0x1.f473de6af278fp-30, r);
}
static inline double mx_expm1_poly(double r) {
  double p = 0x1.71de3ba8b215ep-19;
  p = MX_FMAD(p, r, 0x1.a160383b5384bp-16);
  p = MX_FMAD(p, r, 0x1.a01a92ec8bcd0p-13);
  p = MX_FMAD(p, r, 0x1.6c1649b91f4afp-10);
  p = MX_FMAD(p, r, 0x1.111110d5c971bp-7);
  p = MX_FMAD(p, r, 0x1.55555575d4bacp-5);
  p = MX_FMAD(p, r, 0x1.555555556f6fcp-3);
  p = MX_FMAD(p, r, 0x1.fffffffff67ccp-2);
  p = MX_FMAD(p, r, 0x1.fffffffffff93p-1);
  return p * r;
}
static inline double mx_exp_d(double x) {
  double n;
  uint64_t k;
  double p = mx_expm1_poly(mx_reduce_exp(x, &n, &k));
  double s = mx_from_bits_f64((k + 1023) << 52);
  return MX_FMAD(s, p, s);
}
static inline double mx_expm1_d(double x) {
  double n;
  uint64_t k;
  double p = mx_expm1_poly(mx_reduce_exp(x, &n, &k));
  double s = mx_from_bits_f64((k + 1023) << 52);
  return MX_FMAD(s, p, s - 1);
}
/* of a positive normal double */
static inline double mx_log_d(double x) {
  uint64_t i = mx_bits_f64(x) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu); /* mantissas from sqrt(1/2) to sqrt(2) */
  uint64_t e = i >> 52;
  double n = mx_from_bits_f64(e | 0x4330000000000000u) - (0x1p52 + 1023);
  double m = mx_from_bits_f64(mx_bits_f64(x) - ((e - 1023) << 52));
  double s = (m - 1) / (m + 1), u = s * s;
  double p = 0x1.91a3b9447aedbp-3;
  p = MX_FMAD(p, u, 0x1.c61fc72d70074p-3);
  p = MX_FMAD(p, u, 0x1.24943ba422bd6p-2);
  p = MX_FMAD(p, u, 0x1.999996234f50ap-2);
  p = MX_FMAD(p, u, 0x1.5555555675074p-1);
  p = MX_FMAD(p, u, 0x1.fffffffffff0ep+0);
  return MX_FMAD(n, 0x1.62e42fefa39efp-1, s * p);
}
/* log of any double that came from a float: zero, infinity, NaN and negative numbers too */
static inline double mx_log_any_d(double x) {
  double r = mx_log_d(x);
  r = x > 0 ? r : (x == 0 ? -INFINITY : (double)NAN);
  return x == INFINITY ? x : r;
}
static inline double mx_log1p_d(double x) {
  double y = x > -1 ? x : 0;
  double r = mx_log_d(1 + y);
  r = __builtin_fabs(x) < 0x1p-20 ? x - 0.5 * x * x : r;
  r = x > -1 ? r : (x == -1 ? -INFINITY : (double)NAN);
  return x == INFINITY ? x : r;
}
/* of a number in [0, 1] */
static inline double mx_atan_d(double x) {
  double u = x * x;
  double p = 0x1.c5fddd2775ea4p-12;
  p = MX_FMAD(p, u, -0x1.adb1eae5456bep-9);
  p = MX_FMAD(p, u, 0x1.7da32eb15d86dp-7);
  p = MX_FMAD(p, u, -0x1.af886d7169bbcp-6);
  p = MX_FMAD(p, u, 0x1.682e25e7b4a0ap-5);
  p = MX_FMAD(p, u, -0x1.ef0351d7b060ap-5);
  p = MX_FMAD(p, u, 0x1.335cc4209cb55p-4);
  p = MX_FMAD(p, u, -0x1.72c11f620572ep-4);
  p = MX_FMAD(p, u, 0x1.c6e424967a86ap-4);
  p = MX_FMAD(p, u, -0x1.248ff6c4556dep-3);
  p = MX_FMAD(p, u, 0x1.99997fe178990p-3);
  p = MX_FMAD(p, u, -0x1.5555551cfb2d9p-2);
  p = MX_FMAD(p, u, 0x1.ffffffffeb72ep-1);
  return p * x;
}
/* of a number in [0, 1/2] */
static inline double mx_asin_d(double x) {
  double u = x * x;
  double p = 0x1.0fc3e9146ec41p-5;
  p = MX_FMAD(p, u, 0x1.bdb4aadb37c23p-10);
  p = MX_FMAD(p, u, 0x1.54441273f8881p-6);
  p = MX_FMAD(p, u, 0x1.65c92be43bd80p-6);
  p = MX_FMAD(p, u, 0x1.f291aa2fd010fp-6);
  p = MX_FMAD(p, u, 0x1.6db1c4fee6b1bp-5);
  p = MX_FMAD(p, u, 0x1.3333437d951b0p-4);
  p = MX_FMAD(p, u, 0x1.55555541521e5p-3);
  p = MX_FMAD(p, u, 0x1.0000000001028p+0);
  return p * x;
}

/* ---- simple ones ---- */

static inline float mx_abs_f32(float x) { return __builtin_fabsf(x); }
static inline float mx_sign_f32(float x) { return (float)((x > 0) - (x < 0)); }
static inline float mx_sqrt_f32(float x) { return __builtin_sqrtf(x); }
static inline float mx_floor_f32(float x) { return __builtin_floorf(x); }
static inline float mx_ceil_f32(float x) { return __builtin_ceilf(x); }
static inline float mx_trunc_f32(float x) { return __builtin_truncf(x); }
static inline float mx_rint_f32(float x) { return __builtin_rintf(x); }
static inline float mx_real_f32(float x) { return x; }
static inline float mx_imag_f32(float x) { return (void)x, 0.0f; }
static inline float mx_conj_f32(float x) { return x; }
static inline bool mx_isnan_f32(float x) { return x != x; }
static inline bool mx_isinf_f32(float x) { return __builtin_fabsf(x) == INFINITY; }
static inline bool mx_isfinite_f32(float x) { return __builtin_fabsf(x) < INFINITY; }
static inline bool mx_less_f32(float x, float y) { return x < y; }
static inline bool mx_less_equal_f32(float x, float y) { return x <= y; }
static inline float mx_maximum_f32(float x, float y) { /* one instruction, and a NaN of x put right; one of y stays */
  float m = x > y ? x : y;
  return x != x ? x : m;
}
static inline float mx_minimum_f32(float x, float y) { /* one instruction, and a NaN of x put right; one of y stays */
  float m = x < y ? x : y;
  return x != x ? x : m;
}
static inline bool mx_signbit_f32(float x) { return mx_bits_f32(x) >> 31; }
static inline float mx_copysign_f32(float x, float y) { return __builtin_copysignf(x, y); }
static inline float mx_hypot_f32(float x, float y) {
  double a = x, b = y;
  float r = (float)__builtin_sqrt(a * a + b * b);
  return ((__builtin_fabsf(x) == INFINITY) | (__builtin_fabsf(y) == INFINITY)) ? INFINITY : r;
}
static inline float mx_floor_divide_f32(float x, float y) { return __builtin_floorf(x / y); }
/* exact; the sign is that of y */
static inline float mx_remainder_f32(float x, float y) {
  float r = fmodf(x, y);
  return ((r != 0) & ((r < 0) != (y < 0))) ? r + y : r;
}

/* ---- exponentials and logarithms ---- */

/* e^x for x in [-104, 89] or NaN */
static inline float mx_exp_core_f32(float x) {
  float t = MX_FMA(x, 0x1.715476p+0f, 0x1.8p23f); /* n = round(x / ln 2), in the low bits of t */
  float n = t - 0x1.8p23f;
  float r = MX_FMA(n, -0x1.62e400p-1f, x);
  r = MX_FMA(n, -0x1.7f7d1cp-20f, r);
  float q = 1.978926011e-04f;
  q = MX_FMA(q, r, 1.394575229e-03f);
  q = MX_FMA(q, r, 8.333504200e-03f);
  q = MX_FMA(q, r, 4.166628048e-02f);
  q = MX_FMA(q, r, 1.666666567e-01f);
  q = MX_FMA(q, r, 5.000000000e-01f);
  q = MX_FMA(r * r, q, r);
  /* 2^n in two steps: n goes beyond the exponents of normal numbers */
  int32_t k = (int32_t)(mx_bits_f32(t) - 0x4b400000u), h = k >> 1;
  float s = mx_from_bits_f32((uint32_t)(h + 127) << 23);
  s = MX_FMA(s, q, s);
  return s * mx_from_bits_f32((uint32_t)(k - h + 127) << 23);
}
/* 1 ulp */
static inline float mx_exp_f32(float x) {
  float y = x < -104 ? -104 : x;
  return mx_exp_core_f32(y > 89 ? 89 : y);
}
static inline float mx_expm1_f32(float x) {
  return x == 0 ? x : (float)mx_expm1_d(x);
}
/* 1 ulp */
static inline float mx_log_f32(float x) {
  bool tiny = x < 0x1p-126f;
  float y = tiny ? x * 0x1p23f : x;
  uint32_t i = mx_bits_f32(y) - 0x3f3504f3u; /* mantissas from sqrt(1/2) to sqrt(2) */
  int32_t e = (int32_t)i >> 23;
  float f = mx_from_bits_f32(mx_bits_f32(y) - ((uint32_t)e << 23)) - 1;
  float n = (float)(e - (tiny ? 23 : 0));
  float q = 6.748345494e-02f, s = f * f;
  q = MX_FMA(q, f, -1.167788655e-01f);
  q = MX_FMA(q, f, 1.188863367e-01f);
  q = MX_FMA(q, f, -1.240527779e-01f);
  q = MX_FMA(q, f, 1.421945244e-01f);
  q = MX_FMA(q, f, -1.666800827e-01f);
  q = MX_FMA(q, f, 2.000212371e-01f);
  q = MX_FMA(q, f, -2.500000894e-01f);
  q = MX_FMA(q, f, 3.333331347e-01f);
  q = q * f * s;
  q = MX_FMA(n, -2.12194440e-4f, q); /* ln 2 in two parts; n times the first is exact */
  q = MX_FMA(-0.5f, s, q);
  float r = MX_FMA(n, 0.693359375f, f + q);
  r = x > 0 ? r : (x == 0 ? -INFINITY : NAN);
  return x == INFINITY ? x : r;
}
static inline float mx_log2_f32(float x) { return (float)(mx_log_any_d(x) * 0x1.71547652b82fep+0); }
static inline float mx_log10_f32(float x) { return (float)(mx_log_any_d(x) * 0x1.bcb7b1526e50ep-2); }
static inline float mx_log1p_f32(float x) { return x == 0 ? x : (float)mx_log1p_d(x); }
static inline float mx_logaddexp_f32(float x, float y) {
  double m = mx_maximum_f32(x, y);
  double d = x == y ? 0 : -__builtin_fabs((double)x - (double)y);
  return (float)(m + mx_log1p_d(mx_exp_d(d)));
}
static inline float mx_power_f32(float x, float y) {
  double a = __builtin_fabs((double)x), b = __builtin_fabs((double)y);
  bool whole = __builtin_rint(b) == b;
  bool odd = whole & (((b < 0x1p24 ? (int32_t)b : 0) & 1) != 0);
  double r = mx_exp_d((double)y * mx_log_any_d(a));
  r = ((y == 0) | (x == 1) | ((a == 1) & (b == INFINITY))) ? 1 : r;
  r = ((x < 0) & !whole & (a < INFINITY)) ? (double)NAN : r;
  return (float)((odd & (mx_bits_f32(x) >> 31)) ? -r : r);
}

/* 2 ulp; subnormal results are kept */
static inline float mx_sigmoid_f32(float x) {
  float a = __builtin_fabsf(x);
  float e = mx_exp_core_f32(a > 104 ? -104 : -a);
  return (x < 0 ? e : 1) / (1 + e);
}

/* ---- trigonometry ---- */

/* Where the reductions below hold; loops give larger arguments to libm. */
#define MX_TRIG_LIMIT_F32 0x1p24f

/* x = n pi/2 + r */
static inline double mx_reduce_trig(float x, uint32_t *n) {
  double t = MX_FMAD((double)x, 0x1.45f306dc9c883p-1, 0x1.8p52), d = t - 0x1.8p52;
  *n = (uint32_t)mx_bits_f64(t);
  double r = (double)x - d * 0x1.921fb54000000p+0; /* exact */
  return r - d * 0x1.10b4611a62633p-30;
}
static inline float mx_sincos_f32(float x, uint32_t shift) {
  uint32_t n;
  float r = (float)mx_reduce_trig(x, &n), u = r * r;
  n += shift;
  float s = 2.717564485e-06f;
  s = MX_FMA(s, u, -1.983925613e-04f);
  s = MX_FMA(s, u, 8.333329111e-03f);
  s = MX_FMA(s, u, -1.666666716e-01f);
  s = MX_FMA(r * u, s, r);
  float c = 2.443120502e-05f;
  c = MX_FMA(c, u, -1.388730598e-03f);
  c = MX_FMA(c, u, 4.166664556e-02f);
  c = MX_FMA(c, u, -0.5f);
  c = MX_FMA(c, u, 1.0f);
  float v = (n & 1) ? c : s;
  return mx_from_bits_f32(mx_bits_f32(v) ^ ((n & 2) << 30));
}
/* 1 ulp; |x| <= MX_TRIG_LIMIT_F32 */
static inline float mx_sin_f32(float x) {
  float r = mx_sincos_f32(x, 0);
  return x == 0 ? x : r;
}
static inline float mx_cos_f32(float x) { return mx_sincos_f32(x, 1); }
static inline float mx_tan_f32(float x) {
  uint32_t n;
  double r = mx_reduce_trig(x, &n), u = r * r;
  double s = -0x1.a936ae7fee8d8p-26;
  s = MX_FMAD(s, u, 0x1.71d6e9277c7d6p-19);
  s = MX_FMAD(s, u, -0x1.a019f815f2e40p-13);
  s = MX_FMAD(s, u, 0x1.1111110b7162dp-7);
  s = MX_FMAD(s, u, -0x1.55555555507bap-3);
  s = MX_FMAD(s, u, 0x1.fffffffffffd5p-1) * r;
  double c = -0x1.23b0d63bb8e49p-22;
  c = MX_FMAD(c, u, 0x1.a00e2151ab7b4p-16);
  c = MX_FMAD(c, u, -0x1.6c16b1f0ef8b0p-10);
  c = MX_FMAD(c, u, 0x1.55555543152c2p-5);
  c = MX_FMAD(c, u, -0x1.ffffffffe0853p-2);
  c = MX_FMAD(c, u, 0x1.ffffffffffdcdp-1);
  double a = (n & 1) ? -c : s, b = (n & 1) ? s : c;
  return x == 0 ? x : (float)(a / b);
}
static inline float mx_arcsin_f32(float x) {
  double a = __builtin_fabs((double)x);
  bool big = a > 0.5;
  double t = __builtin_sqrt(0.5 * (1 - a));
  double r = mx_asin_d(big ? t : a);
  return __builtin_copysignf((float)(big ? 0x1.921fb54442d18p+0 - 2 * r : r), x);
}
static inline float mx_arccos_f32(float x) {
  double a = __builtin_fabs((double)x);
  bool big = a > 0.5;
  double t = __builtin_sqrt(0.5 * (1 - a));
  double r = mx_asin_d(big ? t : a);
  double v = big ? 2 * r : 0x1.921fb54442d18p+0 - r; /* of |x| */
  return (float)(x < 0 ? 0x1.921fb54442d18p+1 - v : v);
}
static inline float mx_arctan_f32(float x) {
  double a = __builtin_fabs((double)x);
  bool big = a > 1;
  double r = mx_atan_d(big ? 1 / a : a);
  return __builtin_copysignf((float)(big ? 0x1.921fb54442d18p+0 - r : r), x);
}
/* the angle of the point (y, x) */
static inline float mx_arctan2_f32(float y, float x) {
  double a = __builtin_fabs((double)y), b = __builtin_fabs((double)x);
  double lo = a < b ? a : b, hi = a < b ? b : a;
  double t = lo == hi ? 1 : lo / hi;
  double r = mx_atan_d(hi == 0 ? 0 : t);
  r = a > b ? 0x1.921fb54442d18p+0 - r : r;
  r = (mx_bits_f32(x) >> 31) ? 0x1.921fb54442d18p+1 - r : r;
  r = ((x != x) | (y != y)) ? (double)NAN : r;
  return __builtin_copysignf((float)r, y);
}

/* ---- hyperbolic functions ---- */

static inline float mx_sinh_f32(float x) {
  double e = mx_expm1_d(__builtin_fabs((double)x));
  return __builtin_copysignf((float)(0.5 * (e + e / (e + 1))), x);
}
static inline float mx_cosh_f32(float x) {
  double e = mx_exp_d(__builtin_fabs((double)x));
  return (float)(0.5 * (e + 1 / e));
}
/* 2 ulp */
static inline float mx_tanh_f32(float x) {
  float a = __builtin_fabsf(x), u = a * a;
  float p = 2.142967423e-03f;
  p = MX_FMA(p, u, -8.177405223e-03f);
  p = MX_FMA(p, u, 2.170070633e-02f);
  p = MX_FMA(p, u, -5.394676328e-02f);
  p = MX_FMA(p, u, 1.333320588e-01f);
  p = MX_FMA(p, u, -3.333333135e-01f);
  p = MX_FMA(a * u, p, a);
  float e = mx_exp_core_f32(a > 10 ? 20 : 2 * a);
  float q = 1 - 2 / (e + 1);
  return __builtin_copysignf(a < 0.625f ? p : q, x);
}
static inline float mx_arcsinh_f32(float x) {
  double a = __builtin_fabs((double)x);
  double r = mx_log_any_d(a + __builtin_sqrt(a * a + 1));
  r = a < 0x1p-11 ? a - a * a * a * (1.0 / 6) : r;
  return __builtin_copysignf((float)r, x);
}
static inline float mx_arccosh_f32(float x) {
  double a = x;
  double r = mx_log_any_d(a + __builtin_sqrt(a * a - 1));
  return (float)(x < 1 ? (double)NAN : r);
}
static inline float mx_arctanh_f32(float x) {
  double a = __builtin_fabs((double)x);
  double r = 0.5 * mx_log_any_d((1 + a) / (1 - a));
  r = a < 0x1p-11 ? a + a * a * a * (1.0 / 3) : r;
  r = a <= 1 ? r : (double)NAN;
  return __builtin_copysignf((float)r, x);
}

/* ---- special functions ---- */

/* 1 ulp */
static inline float mx_erf_f32(float x) {
  float a = __builtin_fabsf(x), u = a * a;
  float p = 8.316758613e-05f;
  p = MX_FMA(p, u, -8.130008355e-04f);
  p = MX_FMA(p, u, 5.199906416e-03f);
  p = MX_FMA(p, u, -2.685894072e-02f);
  p = MX_FMA(p, u, 1.128368750e-01f);
  p = MX_FMA(p, u, -3.761263192e-01f);
  p = MX_FMA(p, u, 1.283791661e-01f);
  p = MX_FMA(p, a, a);
  float t = a > 4 ? 4 : a; /* 1 - erf(4) is below half an ulp; NaN passes */
  float q = 1.043340217e-05f;
  q = MX_FMA(q, t, -3.148607211e-04f);
  q = MX_FMA(q, t, 3.610351589e-03f);
  q = MX_FMA(q, t, -2.369458415e-02f);
  q = MX_FMA(q, t, 1.061590686e-01f);
  q = MX_FMA(q, t, 6.351979971e-01f);
  q = MX_FMA(q, t, 1.286370754e-01f);
  q = 1 - mx_exp_core_f32(-MX_FMA(q, t, t));
  return __builtin_copysignf(a < 0.93f ? p : q, x);
}

/* The polynomials, the order and the fused steps are those of MLX, so that random.normal draws the same numbers. */
static inline float mx_erfinv_f32(float x) {
  float t = (float)mx_log_any_d(__builtin_fmaf(x, -x, 1)); /* an ulp of it is more than one of the result */
  float a = 3.03697567e-10f, b = 5.43877832e-9f;
  a = __builtin_fmaf(a, t, 2.93243101e-8f), b = __builtin_fmaf(b, t, 1.43285448e-7f);
  a = __builtin_fmaf(a, t, 1.22150334e-6f), b = __builtin_fmaf(b, t, 1.22774793e-6f);
  a = __builtin_fmaf(a, t, 2.84108955e-5f), b = __builtin_fmaf(b, t, 1.12963626e-7f);
  a = __builtin_fmaf(a, t, 3.93552968e-4f), b = __builtin_fmaf(b, t, -5.61530760e-5f);
  a = __builtin_fmaf(a, t, 3.02698812e-3f), b = __builtin_fmaf(b, t, -1.47697632e-4f);
  a = __builtin_fmaf(a, t, 4.83185798e-3f), b = __builtin_fmaf(b, t, 2.31468678e-3f);
  a = __builtin_fmaf(a, t, -2.64646143e-1f), b = __builtin_fmaf(b, t, 1.15392581e-2f);
  a = __builtin_fmaf(a, t, 8.40016484e-1f), b = __builtin_fmaf(b, t, -2.32015476e-1f);
  b = __builtin_fmaf(b, t, 8.86226892e-1f);
  return (__builtin_fabsf(t) > 6.125f ? a : b) * x;
}

#endif
