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

enum { SCAN_COLUMNS = 128 };
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* loops that call libm are not vectorised */
#endif

#define MX_BODY "backend/cpu/scan.inc.h"
#include "backend/cpu/each_dtype.h"

typedef void (*scan_fn)(int64_t n, const void *x, int64_t sx, void *out, int64_t so, bool inclusive);

typedef void (*scan_columns_fn)(int64_t n, int64_t columns, const void *x, int64_t sx, void *out, int64_t so, bool inclusive);
typedef struct scan_fns {
  scan_fn row;
  scan_columns_fn columns;
} scan_fns;

typedef struct scan_job {
  mx_rows rows;
  const mx_view *in, *out;
  scan_fns fn;
  bool reverse, inclusive;
  int64_t columns, blocks;   /* of neighbouring scans, and blocks of SCAN_COLUMNS of them; 0: row by row */
} scan_job;

static void scan_range(void *ctx, int64_t begin, int64_t end) {
  const scan_job *j = ctx;
  int64_t n = j->rows.n[0], sx = j->rows.stride[0], so = j->rows.stride[1], x0 = 0, o0 = 0;
  if (j->reverse) {
    x0 = (n - 1) * sx, o0 = (n - 1) * so;
    sx = -sx, so = -so;
  }
  mx_cursor at;
  if (j->blocks) {
    for (int64_t i = begin; i < end; i++) {
      int64_t first = i % j->blocks * SCAN_COLUMNS, columns = j->columns - first;
      mx_walk_seek(&j->rows.walk, &at, i / j->blocks);
      j->fn.columns(n, columns < SCAN_COLUMNS ? columns : SCAN_COLUMNS, mx_at(j->in, at.off[0] + x0 + first), sx,
                    mx_at(j->out, at.off[1] + o0 + first), so, j->inclusive);
    }
    return;
  }
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at))
    j->fn.row(n, mx_at(j->in, at.off[0] + x0), sx, mx_at(j->out, at.off[1] + o0), so, j->inclusive);
}

static int scan_run(const mx_call *c, const scan_fn *rows, const scan_columns_fn *columns) {
  const mx_view *in = c->in;
  if (!c->out->size) return 0;
  if (in->dtype != c->out->dtype) return mx_fail(MX_ERUNTIME, "[scan] the input was not cast to %s", mx_dtype_name(c->out->dtype));
  scan_job j = {.in = in, .out = c->out, .fn = {rows[in->dtype], columns[in->dtype]}, .reverse = c->p[1], .inclusive = c->p[2]};
  if (!j.fn.row) return mx_fail(MX_EVALUE, "[scan] no kernel for %s", mx_dtype_name(in->dtype));
  mx_rows_init(&j.rows, in, c->out, (int)c->p[0]);
  mx_walk *w = &j.rows.walk;
  int64_t grain = mx_rows_grain(&j.rows), s[MX_WALK_OPERANDS];
  if (j.rows.n[0] > 1 && w->nd && w->stride[0][w->nd - 1] == 1 && w->stride[1][w->nd - 1] == 1) {
    j.columns = mx_walk_pop(w, s);
    j.blocks = (j.columns + SCAN_COLUMNS - 1) / SCAN_COLUMNS;
    grain = grain / SCAN_COLUMNS + 1;
  }
  mx_parallel(w->n * (j.blocks ? j.blocks : 1), grain, scan_range, &j);
  return 0;
}

#define KERNEL(name)                                                                                                         \
  int mx_cpu_##name(const mx_call *c) {                                                                                      \
    static const scan_fn rows[MX_DTYPES] = TABLE(name);                                                                      \
    static const scan_columns_fn columns[MX_DTYPES] = TABLE(name##_columns);                                                 \
    return scan_run(c, rows, columns);                                                                                       \
  }
KERNEL(cumsum)
KERNEL(cumprod)
KERNEL(cummax)
KERNEL(cummin)

int mx_cpu_logcumsumexp(const mx_call *c) {
#define INEXACT(fn)                                                                                                          \
  {                                                                                                                          \
    [MX_F16] = fn##_float16, [MX_BF16] = fn##_bfloat16, [MX_F32] = fn##_float32, [MX_F64] = fn##_float64,                    \
    [MX_C64] = fn##_complex64                                                                                                \
  }
  static const scan_fn rows[MX_DTYPES] = INEXACT(logcumsumexp);
  static const scan_columns_fn columns[MX_DTYPES] = INEXACT(logcumsumexp_columns);
  return scan_run(c, rows, columns);
}
