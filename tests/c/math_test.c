/* The scalar functions behind the loops, in every instruction set: largest error in ulp against libm's double functions over all exponents,
 * special values, integers against wide arithmetic, conversions. With an argument, the f32 functions are tried on that many times more
 * numbers and their errors are printed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backend/cpu/isa.h"

static const char *const isas[] = {"base", "avx2", "avx512"};
enum { ISAS = 3 };
static int density = 1;

static uint64_t state_ = 88172645463325252ull;
static uint32_t rnd(void) {
  state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
  return (uint32_t)(state_ >> 32);
}
static float from_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}

/* Error of got in ulp of float at want; infinite when one is a NaN or an infinity that the other is not. */
static double ulps(float got, double want) {
  float w = (float)want;
  if (w != w || got != got) return w != w && got != got ? 0 : INFINITY;
  if (isinf(w) || isinf(got)) return w == got ? 0 : fabs(got - want) < 0x1p104 ? 1 : INFINITY; /* about the overflow either is right */
  int e;
  frexp(want, &e);
  return fabs(got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

static double rsqrt_(double x) { return 1 / sqrt(x); }
static double reciprocal_(double x) { return 1 / x; }
static double sigmoid_(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double square_(double x) { return x * x; }

static const struct {
  int op;
  double (*ref)(double);
  const char *name;
  double bound;
} unary[] = {
    {OP_exp, exp, "exp", 1},        {OP_expm1, expm1, "expm1", 0.51},   {OP_log, log, "log", 1},          {OP_log2, log2, "log2", 0.51},
    {OP_log10, log10, "log10", 0.51}, {OP_log1p, log1p, "log1p", 0.51}, {OP_sin, sin, "sin", 1.5},        {OP_cos, cos, "cos", 1.5},
    {OP_tan, tan, "tan", 0.51},     {OP_arcsin, asin, "arcsin", 0.51},  {OP_arccos, acos, "arccos", 0.51}, {OP_arctan, atan, "arctan", 0.51},
    {OP_sinh, sinh, "sinh", 0.51},  {OP_cosh, cosh, "cosh", 0.51},      {OP_tanh, tanh, "tanh", 2},       {OP_arcsinh, asinh, "arcsinh", 0.51},
    {OP_arccosh, acosh, "arccosh", 0.51}, {OP_arctanh, atanh, "arctanh", 0.51}, {OP_erf, erf, "erf", 1.5},
    {OP_sigmoid, sigmoid_, "sigmoid", 2.5}, {OP_sqrt, sqrt, "sqrt", 0.5}, {OP_rsqrt, rsqrt_, "rsqrt", 1.5},
    {OP_reciprocal, reciprocal_, "reciprocal", 0.5}, {OP_floor, floor, "floor", 0}, {OP_ceil, ceil, "ceil", 0}, {OP_trunc, trunc, "trunc", 0},
    {OP_rint, rint, "rint", 0},     {OP_square, square_, "square", 0.5}, {OP_abs, fabs, "abs", 0}};
enum { UNARIES = sizeof unary / sizeof *unary };

static const float special[] = {0.0f, -0.0f, 1, -1, 0.5f, -0.5f, 2, -2, 3, -3, 0x1p-149f, -0x1p-149f, 0x1.fffffep-127f, 0x1p-126f, -0x1p-126f,
                                0x1.fffffep127f, -0x1.fffffep127f, INFINITY, -INFINITY, NAN, 88.72283f, 88.72284f, -87.33655f, -103.97208f,
                                -104.5f, 0x1.fffffep-1f, 0x1.000002p0f, 0x1p23f, 0x1p24f, 16777217.0f * 3, 1e22f, 0x1.921fb6p0f, 0.625f, 0.93f, 4, 9, 1e-10f};
enum { SPECIALS = sizeof special / sizeof *special };

static float *samples(size_t *n) {
  uint32_t step = 40009 / (uint32_t)density | 1;
  size_t cap = 0x100000000u / step + 1 + SPECIALS;
  float *x = malloc(cap * sizeof *x);
  *n = 0;
  for (uint64_t u = 0; u < 0x100000000u; u += step) x[(*n)++] = from_bits((uint32_t)u);
  memcpy(x + *n, special, sizeof special);
  *n += SPECIALS;
  return x;
}

static void functions_of_float_keep_their_bounds(void **state) {
  (void)state;
  size_t n;
  float *x = samples(&n), *y = malloc(n * sizeof *y);
  double *want = malloc(n * sizeof *want);
  for (int f = 0; f < UNARIES; f++) {
    for (size_t i = 0; i < n; i++) want[i] = unary[f].ref(x[i]);
    for (int k = 0; k < ISAS; k++) {
      const mx_isa *isa = mx_isa_named(isas[k]);
      if (!isa) continue;
      double worst = 0;
      size_t at = 0;
      isa->loops[MX_TAG_f32][unary[f].op](n, y, x, NULL, NULL);
      for (size_t i = 0; i < n; i++) {
        double e = ulps(y[i], want[i]);
        if (!(e <= worst)) worst = e, at = i;
        if (want[i] == 0 && y[i] == 0 && !signbit(want[i]) != !signbit(y[i])) fail_msg("%s(%a) = %a, want %a (%s)", unary[f].name, x[i], y[i], want[i], isas[k]);
      }
      if (density > 1) printf("%-10s %-7s %.3f ulp at %a: %a, want %a\n", unary[f].name, isas[k], worst, x[at], y[at], want[at]);
      else if (worst > unary[f].bound)
        fail_msg("%s(%a) = %a, want %a: %g ulp (%s)", unary[f].name, x[at], y[at], want[at], worst, isas[k]);
    }
  }
  free(x), free(y), free(want);
}

static double pow_(double x, double y) { return pow(x, y); }
static double logaddexp_(double x, double y) { return x == y ? x + 0.69314718055994530942 : fmax(x, y) + log1p(exp(-fabs(x - y))) + (x + y) * 0; }
static double logaddexp_any(double x, double y) {
  if (x != x || y != y) return NAN;
  if (x == INFINITY || y == INFINITY) return INFINITY;
  if (x == -INFINITY || y == -INFINITY) return fmax(x, y);
  return logaddexp_(x, y);
}
static double remainder_(double x, double y) {
  double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? (double)((float)r + (float)y) : r;
}
static double floor_divide_(double x, double y) { return floorf((float)x / (float)y); }
static double maximum_(double x, double y) { return x != x || y != y ? NAN : x > y ? x : y; }

static const struct {
  int op;
  double (*ref)(double, double);
  const char *name;
  double bound;
} binary[] = {{OP_power, pow_, "power", 0.51},         {OP_arctan2, atan2, "arctan2", 0.51}, {OP_logaddexp, logaddexp_any, "logaddexp", 0.51},
              {OP_remainder, remainder_, "remainder", 0}, {OP_floor_divide, floor_divide_, "floor_divide", 0},
              {OP_maximum, maximum_, "maximum", 0}};
enum { BINARIES = sizeof binary / sizeof *binary };

static void functions_of_two_floats_keep_their_bounds(void **state) {
  (void)state;
  size_t n = SPECIALS * SPECIALS + 60000 * (size_t)density, m = 0;
  float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b), *y = malloc(n * sizeof *y);
  for (int i = 0; i < SPECIALS; i++)
    for (int j = 0; j < SPECIALS; j++) a[m] = special[i], b[m++] = special[j];
  for (; m < n; m++) {
    a[m] = m % 3 ? ldexpf((float)rnd() * 0x1p-32f, (int)(rnd() % 12) - 4) : from_bits(rnd());
    b[m] = m % 3 ? ((float)rnd() * 0x1p-31f - 1) * (m % 3 == 1 ? 30 : 3) : from_bits(rnd());
    if (m % 7 == 0) a[m] = -a[m], b[m] = rintf(b[m]);
  }
  for (int f = 0; f < BINARIES; f++)
    for (int k = 0; k < ISAS; k++) {
      const mx_isa *isa = mx_isa_named(isas[k]);
      if (!isa) continue;
      double worst = 0;
      isa->loops[MX_TAG_f32][binary[f].op](n, y, a, b, NULL);
      for (size_t i = 0; i < n; i++) {
        double w = binary[f].ref(a[i], b[i]), e = ulps(y[i], w);
        if (e > worst) worst = e;
        if (e > binary[f].bound) fail_msg("%s(%a, %a) = %a, want %a: %g ulp (%s)", binary[f].name, a[i], b[i], y[i], w, e, isas[k]);
      }
      if (density > 1) printf("%-10s %-7s %.3f ulp\n", binary[f].name, isas[k], worst);
    }
  free(a), free(b), free(y);
}

static void erfinv_draws_the_numbers_of_mlx(void **state) {
  (void)state;
  static const float x[5] = {0.1f, 0.5f, 0.9f, 0.999f, -0.99999994f};
  static const float want[5] = {0x1.6bf442p-4f, 0x1.e861fcp-2f, 0x1.29c012p+0f, 0x1.29d328p+1f, -0x1.ea8f94p+1f};
  for (int k = 0; k < ISAS; k++) {
    const mx_isa *isa = mx_isa_named(isas[k]);
    float y[5], edge[4] = {1, -1, 2, 0};
    if (!isa) continue;
    isa->loops[MX_TAG_f32][OP_erfinv](5, y, x, NULL, NULL);
    for (int i = 0; i < 5; i++) assert_true(y[i] == want[i]);
    isa->loops[MX_TAG_f32][OP_erfinv](4, edge, edge, NULL, NULL);
    assert_true(edge[0] == INFINITY && edge[1] == -INFINITY && edge[2] != edge[2] && edge[3] == 0);
    double e[3] = {0.1, 0.5, -0.9999}, r[3];
    isa->loops[MX_TAG_f64][OP_erfinv](3, r, e, NULL, NULL);
    for (int i = 0; i < 3; i++) assert_true(fabs(erf(r[i]) - e[i]) < 2e-16);
  }
}

/* An element gives the same bits wherever it stands and however long the loop is. */
static void bits_do_not_depend_on_position(void **state) {
  (void)state;
  enum { N = 67 };
  for (int k = 0; k < ISAS; k++) {
    const mx_isa *isa = mx_isa_named(isas[k]);
    if (!isa) continue;
    for (int f = 0; f < UNARIES; f++)
      for (int round = 0; round < 20; round++) {
        float x[N], y[N], z[N];
        for (int i = 0; i < N; i++) x[i] = ldexpf((float)rnd() * 0x1p-31f - 1, (int)(rnd() % 8));
        mx_loop fn = isa->loops[MX_TAG_f32][unary[f].op];
        fn(N, y, x, NULL, NULL);
        for (int i = 0; i < N; i++) fn(1, z + i, x + i, NULL, NULL);
        for (int i = 0; i < N; i++) assert_true(!memcmp(&y[i], &z[i], 4) || (y[i] != y[i] && z[i] != z[i]));
        size_t cut = rnd() % N;
        fn(cut, x, x, NULL, NULL); /* over its own operand */
        for (size_t i = 0; i < cut; i++) assert_true(!memcmp(&y[i], &x[i], 4) || (y[i] != y[i] && x[i] != x[i]));
      }
  }
}

/* ---- integers ---- */

static int64_t floor_div(int64_t x, int64_t y) { return y == 0 ? 0 : x / y - (x % y != 0 && (x < 0) != (y < 0)); }
static int64_t floor_mod(int64_t x, int64_t y) { return y == 0 ? 0 : x - y * floor_div(x, y); }
static int64_t int_pow(int64_t x, int64_t y) {
  int64_t r = 1;
  if (y < 0) return 0;
  for (int64_t i = 0; i < y; i++) r = (int64_t)((uint64_t)r * (uint64_t)x);
  return r;
}
static int64_t want_int(int op, int64_t x, int64_t y, int bits, bool is_signed) {
  switch (op) {
    case OP_add: return x + y;
    case OP_subtract: return x - y;
    case OP_multiply: return x * y;
    case OP_floor_divide: return floor_div(x, y);
    case OP_remainder: return floor_mod(x, y);
    case OP_power: return int_pow(x, y);
    case OP_maximum: return x > y ? x : y;
    case OP_minimum: return x < y ? x : y;
    case OP_left_shift: return y < 0 || y >= bits ? 0 : (int64_t)((uint64_t)x << y);
    case OP_right_shift: return y < 0 || y >= bits ? (is_signed && x < 0 ? -1 : 0) : x >> y;
    default: return x & y;
  }
}

static void small_integers_wrap_and_divide_as_told(void **state) {
  (void)state;
  static const int ops[] = {OP_add, OP_subtract, OP_multiply, OP_floor_divide, OP_remainder, OP_power, OP_maximum, OP_minimum, OP_left_shift,
                            OP_right_shift, OP_bitwise_and};
  for (int k = 0; k < ISAS; k++) {
    const mx_isa *isa = mx_isa_named(isas[k]);
    if (!isa) continue;
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++)
      for (int y = -128; y < 128; y++) {
        int8_t a[256], b[256], r[256];
        uint8_t ua[256], ub[256], ur[256];
        for (int i = 0; i < 256; i++) a[i] = (int8_t)(i - 128), b[i] = (int8_t)y, ua[i] = (uint8_t)i, ub[i] = (uint8_t)(y + 128);
        isa->loops[MX_TAG_i8][ops[o]](256, r, a, b, NULL);
        isa->loops[MX_TAG_u8][ops[o]](256, ur, ua, ub, NULL);
        for (int i = 0; i < 256; i++) {
          if (r[i] != (int8_t)want_int(ops[o], a[i], y, 8, true)) fail_msg("i8 op %d (%d, %d) = %d", ops[o], a[i], y, r[i]);
          if (ur[i] != (uint8_t)want_int(ops[o], i, y + 128, 8, false)) fail_msg("u8 op %d (%d, %d) = %d", ops[o], i, y + 128, ur[i]);
        }
      }
  }
}

static void large_integers_wrap(void **state) {
  (void)state;
  for (int k = 0; k < ISAS; k++) {
    const mx_isa *isa = mx_isa_named(isas[k]);
    if (!isa) continue;
    int32_t x[6] = {INT32_MIN, INT32_MIN, 7, INT32_MAX, 5, 100}, y[6] = {-1, 0, -2, 1, 0, 40}, r[6];
    int64_t lx[2] = {INT64_MIN, INT64_MIN}, ly[2] = {-1, 3}, lr[2];
    isa->loops[MX_TAG_i32][OP_floor_divide](6, r, x, y, NULL);
    assert_true(r[0] == INT32_MIN && r[1] == 0 && r[2] == -4 && r[3] == INT32_MAX && r[4] == 0);
    isa->loops[MX_TAG_i32][OP_remainder](6, r, x, y, NULL);
    assert_true(r[0] == 0 && r[1] == 0 && r[2] == -1 && r[4] == 0);
    isa->loops[MX_TAG_i32][OP_add](6, r, x, y, NULL);
    assert_true(r[0] == INT32_MAX && r[3] == INT32_MIN);
    isa->loops[MX_TAG_i32][OP_left_shift](6, r, x, y, NULL);
    assert_true(r[5] == 0);
    isa->loops[MX_TAG_i32][OP_abs](6, r, x, NULL, NULL);
    assert_true(r[0] == INT32_MIN);
    isa->loops[MX_TAG_i64][OP_floor_divide](2, lr, lx, ly, NULL);
    assert_true(lr[0] == INT64_MIN && lr[1] == -3074457345618258603);
    isa->loops[MX_TAG_i64][OP_power](2, lr, (int64_t[]){3, 2}, (int64_t[]){40, 64}, NULL);
    assert_true(lr[0] == (int64_t)12157665459056928801u && lr[1] == 0);
  }
}

static void floats_that_do_not_fit_convert_as_in_mlx(void **state) {
  (void)state;
  enum { N = 11 };
  static const float x[N] = {300.7f, -1.5f, -300.0f, 1e10f, -1e10f, NAN, INFINITY, -INFINITY, 2147483648.0f, 4294967296.0f, 0.5f};
  static const int32_t i32[N] = {300, -1, -300, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, 0};
  static const uint8_t u8[N] = {44, 255, 212, 0, 0, 0, 0, 0, 0, 0, 0};
  static const uint32_t u32[N] = {300, 4294967295u, 4294966996u, 0, 0x80000000u, 0x80000000u, 0, 0x80000000u, 0x80000000u, 0, 0};
  for (int k = 0; k < ISAS; k++) {
    const mx_isa *isa = mx_isa_named(isas[k]);
    if (!isa) continue;
    const mx_loop *to = isa->casts[MX_TAG_f32];
    int32_t r[N];
    int64_t l[N];
    uint32_t u[N];
    uint8_t b[N];
    to[MX_TAG_i32](N, r, x, NULL, NULL);
    assert_memory_equal(r, i32, sizeof r);
    to[MX_TAG_u32](N, u, x, NULL, NULL);
    assert_memory_equal(u, u32, sizeof u);
    to[MX_TAG_u8](N, b, x, NULL, NULL);
    assert_memory_equal(b, u8, sizeof b);
    to[MX_TAG_b8](N, b, x, NULL, NULL);
    for (int i = 0; i < N; i++) assert_int_equal(b[i], 1);
    to[MX_TAG_i64](N, l, x, NULL, NULL);
    assert_true(l[3] == 10000000000 && l[5] == INT64_MIN && l[6] == INT64_MIN);
    mx_c64 z[2] = {0, CMPLXF(0, 1)};
    isa->casts[MX_TAG_c64][MX_TAG_b8](2, b, z, NULL, NULL);
    assert_true(b[0] == 0 && b[1] == 1);
  }
}

/* All halves to float and back, and rounding of the floats about them. */
static void halves_round_alike_everywhere(void **state) {
  (void)state;
  const mx_isa *base = mx_isa_named("base");
  for (int k = 0; k < ISAS; k++) {
    const mx_isa *isa = mx_isa_named(isas[k]);
    if (!isa) continue;
    for (int h = 0; h < 2; h++)
      for (uint32_t top = 0; top < 0x10000; top += 16) {
        uint16_t in[17], back[17];
        float f[17], g[17], r[17];
        for (uint32_t i = 0; i < 17; i++) in[i] = (uint16_t)(top + i);
        isa->halves[h].load(17, f, in, NULL, NULL);
        base->halves[h].load(17, g, in, NULL, NULL);
        for (int i = 0; i < 17; i++) assert_true(f[i] == g[i] || (f[i] != f[i] && g[i] != g[i]));
        isa->halves[h].store(17, back, f, NULL, NULL);
        for (int i = 0; i < 17; i++) assert_true(back[i] == in[i] || f[i] != f[i]);
        for (int i = 0; i < 17; i++) f[i] += ldexpf((float)rnd() * 0x1p-31f - 1, -11) * f[i];
        isa->halves[h].round(17, r, f, NULL, NULL);
        base->halves[h].round(17, g, f, NULL, NULL);
        for (int i = 0; i < 17; i++) assert_true(r[i] == g[i] || (r[i] != r[i] && g[i] != g[i]));
      }
  }
}

int main(int argc, char **argv) {
  if (argc > 1) density = atoi(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_of_float_keep_their_bounds),      cmocka_unit_test(functions_of_two_floats_keep_their_bounds),
      cmocka_unit_test(erfinv_draws_the_numbers_of_mlx),           cmocka_unit_test(bits_do_not_depend_on_position),
      cmocka_unit_test(small_integers_wrap_and_divide_as_told),    cmocka_unit_test(large_integers_wrap),
      cmocka_unit_test(floats_that_do_not_fit_convert_as_in_mlx),  cmocka_unit_test(halves_round_alike_everywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
