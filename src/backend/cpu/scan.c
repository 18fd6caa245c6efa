/* Scans along an axis: cumsum, cumprod, cummax, cummin, logcumsumexp. Halves are accumulated in f32. */
#include <math.h>
#include <string.h>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/walk.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

/* log(exp(a) + exp(b)) without overflow; NaN in either is kept. */
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
#define LOGS_float64 1 /* f32 and halves: log_range */
#define LOGS_complex64 1
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
  scan_fn floats;            /* of halves: the scan of f32 */
  bool reverse, inclusive;
  int64_t columns, blocks;   /* of neighbouring scans, and blocks of SCAN_COLUMNS of them; 0: row by row */
} scan_job;

/* n elements in the order of the scan, `stride` apart, to floats and back: runs that go backwards are turned round. */
enum { BLOCK = 1024 };
static void load_some(mx_dtype t, const char *x, int64_t stride, int64_t n, float *to) {
  if (stride != -1) {
    mx_load_f32(t, x, stride, n, to);
    return;
  }
  float turned[BLOCK];
  mx_load_f32(t, x - (n - 1) * mx_dtype_sizes[t], 1, n, turned);
  for (int64_t i = 0; i < n; i++) to[i] = turned[n - 1 - i];
}
static void store_some(mx_dtype t, const float *x, int64_t n, char *to, int64_t stride) {
  float turned[BLOCK];
  int item = mx_dtype_sizes[t];
  if (stride == 1) {
    mx_store_f32(t, x, n, to);
  } else if (stride == -1) {
    for (int64_t i = 0; i < n; i++) turned[i] = x[n - 1 - i];
    mx_store_f32(t, turned, n, to - (n - 1) * item);
  } else {
    for (int64_t i = 0; i < n; i++) mx_store_f32(t, x + i, 1, to + i * stride * item);
  }
}

/* A row of halves, block by block through floats: the sum so far stands in front of the next block. */
static void scan_halves(const scan_job *j, const char *x, int64_t sx, char *o, int64_t so) {
  mx_dtype t = j->in->dtype;
  int64_t n = j->rows.n[0];
  float block[1 + BLOCK], before = 0;
  if (!j->inclusive) j->floats(1, &before, 1, &before, 1, false); /* what a scan starts with */
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    bool fresh = j->inclusive && i == 0;
    block[0] = before;
    load_some(t, x + i * sx * 2, sx, m, block + 1);
    j->floats(m + !fresh, block + fresh, 1, block + fresh, 1, true);
    store_some(t, block + j->inclusive, m, o + i * so * 2, so);
    before = block[m];
  }
}

/* logcumsumexp of several rows side by side, so that its step is one vector loop. */
static void log_range(void *ctx, int64_t begin, int64_t end) {
  enum { ROWS = 32, WIDE = 64 };
  const scan_job *j = ctx;
  mx_dtype t = j->in->dtype;
  mx_loop step = mx_isa_now->loops[MX_TAG_f32][OP_logaddexp];
  int64_t n = j->rows.n[0], sx = j->rows.stride[0], so = j->rows.stride[1], x0 = 0, o0 = 0;
  float at_once[1 + WIDE][ROWS], row[WIDE]; /* column by column; the first: what is before */
  const char *x[ROWS];
  char *o[ROWS];
  if (j->reverse) {
    x0 = (n - 1) * sx, o0 = (n - 1) * so;
    sx = -sx, so = -so;
  }
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i += ROWS) {
    int rows = end - i < ROWS ? (int)(end - i) : ROWS, item = mx_dtype_sizes[t];
    for (int r = 0; r < rows; r++, mx_walk_next(&j->rows.walk, &at)) {
      x[r] = mx_at(j->in, at.off[0] + x0);
      o[r] = mx_at(j->out, at.off[1] + o0);
      at_once[0][r] = -INFINITY;
    }
    for (int64_t c = 0; c < n; c += WIDE) {
      int m = n - c < WIDE ? (int)(n - c) : WIDE;
      for (int r = 0; r < rows; r++) {
        load_some(t, x[r] + c * sx * item, sx, m, row);
        for (int k = 0; k < m; k++) at_once[k + 1][r] = row[k];
      }
      for (int k = 0; k < m; k++) step((size_t)rows, at_once[k + 1], at_once[k], at_once[k + 1], NULL);
      for (int r = 0; r < rows; r++) {
        for (int k = 0; k < m; k++) row[k] = at_once[k + j->inclusive][r];
        store_some(t, row, m, o[r] + c * so * item, so);
      }
      memcpy(at_once[0], at_once[m], sizeof at_once[0]);
    }
  }
}

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
    if (j->floats) scan_halves(j, mx_at(j->in, at.off[0] + x0), sx, mx_at(j->out, at.off[1] + o0), so);
    else j->fn.row(n, mx_at(j->in, at.off[0] + x0), sx, mx_at(j->out, at.off[1] + o0), so, j->inclusive);
}

static int scan_run(const mx_call *c, const scan_fn *rows, const scan_columns_fn *columns) {
  const mx_view *in = c->in;
  if (!c->out->size) return 0;
  if (in->dtype != c->out->dtype) return mx_fail(MX_ERUNTIME, "[scan] the input was not cast to %s", mx_dtype_name(c->out->dtype));
  scan_job j = {.in = in, .out = c->out, .fn = {rows[in->dtype], columns[in->dtype]}, .reverse = c->p[1], .inclusive = c->p[2]};
  bool logs = c->op == OP_logcumsumexp && mx_dtype_tags[in->dtype] == MX_TAG_f32;
  if (!j.fn.row && !logs) return mx_fail(MX_EVALUE, "[scan] no kernel for %s", mx_dtype_name(in->dtype));
  mx_rows_init(&j.rows, in, c->out, (int)c->p[0]);
  mx_walk *w = &j.rows.walk;
  int64_t grain = mx_rows_grain(&j.rows), s[MX_WALK_OPERANDS];
  if (logs) {
    mx_parallel(w->n, grain < 16 ? 16 : grain, log_range, &j);
    return 0;
  }
  if (mx_dtype_sizes[in->dtype] == 2 && mx_is_inexact(in->dtype)) j.floats = rows[MX_F32];
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
  { [MX_F64] = fn##_float64, [MX_C64] = fn##_complex64 }
  static const scan_fn rows[MX_DTYPES] = INEXACT(logcumsumexp);
  static const scan_columns_fn columns[MX_DTYPES] = INEXACT(logcumsumexp_columns);
  return scan_run(c, rows, columns);
}
