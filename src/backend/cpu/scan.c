/* Scans along an axis: cumsum, cumprod, cummax, cummin, logcumsumexp. Halves are accumulated in f32. */
#include <math.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

/* log(exp(a) + exp(b)) without overflow; NaN in either is kept. */
static inline float logadd_f32(float a, float b) {
  float hi = a > b || a != a ? a : b, lo = a > b || a != a ? b : a;
  if (isinf(hi)) return hi == -INFINITY ? lo : hi + (lo != lo ? lo : 0);
  return hi + log1pf(expf(lo - hi));
}
static inline double logadd_f64(double a, double b) {
  double hi = a > b || a != a ? a : b, lo = a > b || a != a ? b : a;
  if (isinf(hi)) return hi == -INFINITY ? lo : hi + (lo != lo ? lo : 0);
  return hi + log1p(exp(lo - hi));
}
static inline mx_c64 logadd_c64(mx_c64 a, mx_c64 b) {
  if (a != a || b != b) return CMPLXF(NAN, NAN);
  mx_c64 hi = crealf(a) > crealf(b) ? a : b, lo = crealf(a) > crealf(b) ? b : a;
  if (isinf(crealf(hi)) && crealf(hi) < 0) return lo;
  return hi + clogf(1 + cexpf(lo - hi));
}
#define logadd_float(a, b) logadd_f32(a, b)
#define logadd_double(a, b) logadd_f64(a, b)
#define logadd_mx_c64(a, b) logadd_c64(a, b)

#define LOWEST_uint8_t 0
#define LOWEST_uint16_t 0
#define LOWEST_uint32_t 0
#define LOWEST_uint64_t 0
#define LOWEST_int8_t INT8_MIN
#define LOWEST_int16_t INT16_MIN
#define LOWEST_int32_t INT32_MIN
#define LOWEST_int64_t INT64_MIN
#define LOWEST_float (-INFINITY)
#define LOWEST_double (-INFINITY)
#define LOWEST_mx_c64 CMPLXF(-INFINITY, -INFINITY)
#define HIGHEST_uint8_t UINT8_MAX
#define HIGHEST_uint16_t UINT16_MAX
#define HIGHEST_uint32_t UINT32_MAX
#define HIGHEST_uint64_t UINT64_MAX
#define HIGHEST_int8_t INT8_MAX
#define HIGHEST_int16_t INT16_MAX
#define HIGHEST_int32_t INT32_MAX
#define HIGHEST_int64_t INT64_MAX
#define HIGHEST_float INFINITY
#define HIGHEST_double INFINITY
#define HIGHEST_mx_c64 CMPLXF(INFINITY, INFINITY)

#define MX_BODY "backend/cpu/scan.inc.h"
#include "backend/cpu/each_dtype.h"

typedef void (*scan_fn)(int64_t n, const void *x, int64_t sx, void *out, int64_t so, bool inclusive);

typedef struct scan_job {
  mx_rows rows;
  const mx_view *in, *out;
  scan_fn fn;
  bool reverse, inclusive;
} scan_job;

static void scan_range(void *ctx, int64_t begin, int64_t end) {
  const scan_job *j = ctx;
  int64_t n = j->rows.n[0], sx = j->rows.stride[0], so = j->rows.stride[1], x0 = 0, o0 = 0;
  if (j->reverse) {
    x0 = (n - 1) * sx, o0 = (n - 1) * so;
    sx = -sx, so = -so;
  }
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at))
    j->fn(n, mx_at(j->in, at.off[0] + x0), sx, mx_at(j->out, at.off[1] + o0), so, j->inclusive);
}

static int scan_run(const mx_call *c, const scan_fn *table) {
  const mx_view *in = c->in;
  if (!c->out->size) return 0;
  if (in->dtype != c->out->dtype) return mx_fail(MX_ERUNTIME, "[scan] the input was not cast to %s", mx_dtype_name(c->out->dtype));
  scan_job j = {.in = in, .out = c->out, .fn = table[in->dtype], .reverse = c->p[1], .inclusive = c->p[2]};
  if (!j.fn) return mx_fail(MX_EVALUE, "[scan] no kernel for %s", mx_dtype_name(in->dtype));
  mx_rows_init(&j.rows, in, c->out, (int)c->p[0]);
  mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), scan_range, &j);
  return 0;
}

#define KERNEL(name, ...)                                                                                                    \
  int mx_cpu_##name(const mx_call *c) {                                                                                      \
    static const scan_fn table[MX_DTYPES] = __VA_ARGS__;                                                                     \
    return scan_run(c, table);                                                                                               \
  }
KERNEL(cumsum, TABLE(cumsum))
KERNEL(cumprod, TABLE(cumprod))
KERNEL(cummax, TABLE(cummax))
KERNEL(cummin, TABLE(cummin))
KERNEL(logcumsumexp, {[MX_F16] = logcumsumexp_float16, [MX_BF16] = logcumsumexp_bfloat16, [MX_F32] = logcumsumexp_float32,
                      [MX_F64] = logcumsumexp_float64, [MX_C64] = logcumsumexp_complex64})
