/* One long Fourier transform on all threads.
 *
 * n = a b: element j2 + b j1 is column j2 of a rows. The columns are transformed, several side by side, multiplied by
 * exp(-2 pi i j2 k1 / n), and then the rows; row k1's element k2 is result k1 + a k2 (D. Bailey, "FFTs in external or hierarchical
 * memory", 1990). What has too large a prime goes the way of the chirp, over a long transform. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/fft.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct job {
  const mx_fft_plan *p;
  const mx_ffts *f;
  const float *from;
  int64_t stride;
  float *to, scale;
  bool inverse;
  mx_parts mid; /* (a, b): the transformed columns */
  _Atomic int failed;
} job;

/* Two arrays of parts, one block: x.re is to be freed. */
static bool two_parts(int64_t size, mx_parts *x, mx_parts *y) {
  size += MX_FFT_LANES;
  float *block = mx_scratch((size_t)size * 4 * sizeof *block);
  if (!block) return false;
  *x = (mx_parts){block, block + size};
  *y = (mx_parts){block + 2 * size, block + 3 * size};
  return true;
}

static mx_parts swapped(mx_parts x, bool swap) { return swap ? (mx_parts){x.im, x.re} : x; }

/* Columns j2 .. j2 + count - 1 interleaved. */
static void load_columns(const job *j, int64_t j2, int64_t count, mx_parts x) {
  int64_t lanes = j->f->lanes, b = j->p->b->n;
  x = swapped(x, j->inverse);
  for (int64_t k = 0; k < j->p->a->n; k++) {
    mx_parts row = {x.re + k * lanes, x.im + k * lanes};
    const float *from = j->from + 2 * (k * b + j2) * j->stride;
    if (j->stride == 1) {
      j->f->split(count, row, from);
      continue;
    }
    for (int64_t l = 0; l < count; l++) row.re[l] = from[2 * l * j->stride], row.im[l] = from[2 * l * j->stride + 1];
  }
}

/* Factors of twist: exp(-2 pi i j2 k / n) of the lanes' j2, for k < 32 and for multiples of 32. */
static void fill_twist(const job *j, int64_t j2, float *fine, float *coarse) {
  int64_t lanes = j->f->lanes, n = j->p->n, many = j->p->a->n / 32 + 1;
  double w[2];
  for (int64_t k = 0; k < 32 + many; k++) {
    float *to = k < 32 ? fine + k * 2 * lanes : coarse + (k - 32) * 2 * lanes;
    int64_t by = k < 32 ? k : (k - 32) * 32;
    for (int64_t l = 0; l < lanes; l++) {
      mx_fft_root(j->p->roots, j->p->fine, (j2 + l) * by % n, w);
      to[l] = (float)w[0];
      to[lanes + l] = (float)w[1];
    }
  }
}

static void run_columns(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  int64_t lanes = j->f->lanes, a = j->p->a->n, b = j->p->b->n;
  mx_parts dst, tmp = {0};
  float *fine = mx_scratch((size_t)(2 * lanes * (32 + a / 32 + 1)) * sizeof *fine), *coarse = fine ? fine + 64 * lanes : NULL;
  if (!fine || !two_parts(a * lanes, &dst, &tmp)) {
    mx_scratch_free(fine);
    j->failed = 1;
    return;
  }
  memset(dst.re, 0, (size_t)(a * lanes + MX_FFT_LANES) * 4 * sizeof(float)); /* lanes without a column */
  for (int64_t g = begin; g < end; g++) {
    int64_t j2 = g * lanes, count = j2 + lanes <= b ? lanes : b - j2;
    mx_parts in = j->p->a->npass % 2 ? tmp : dst;
    load_columns(j, j2, count, in);
    j->f->transform(j->p->a, true, in, dst, tmp);
    fill_twist(j, j2, fine, coarse);
    j->f->twist(a, dst, fine, coarse);
    for (int64_t k = 0; k < a; k++) {
      memcpy(j->mid.re + k * b + j2, dst.re + k * lanes, (size_t)count * sizeof(float));
      memcpy(j->mid.im + k * b + j2, dst.im + k * lanes, (size_t)count * sizeof(float));
    }
  }
  mx_scratch_free(fine);
  mx_scratch_free(dst.re);
}

static void run_rows(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  int64_t lanes = j->f->lanes, a = j->p->a->n, b = j->p->b->n;
  mx_parts out, tmp;
  if (!two_parts(b * (lanes + 1), &out, &tmp)) {
    j->failed = 1;
    return;
  }
  for (int64_t g = begin; g < end; g++) {
    int64_t k1 = g * lanes, count = k1 + lanes <= a ? lanes : a - k1;
    for (int64_t r = 0; r < count; r++)
      j->f->transform(j->p->b, false, (mx_parts){j->mid.re + (k1 + r) * b, j->mid.im + (k1 + r) * b},
                      (mx_parts){out.re + r * b, out.im + r * b}, tmp);
    mx_parts res = swapped(out, j->inverse);
    if (count == lanes) {
      j->f->columns(b, j->to + 2 * k1, a, res, j->scale);
      continue;
    }
    for (int64_t k = 0; k < b; k++)
      for (int64_t r = 0; r < count; r++) {
        float *to = j->to + 2 * (k * a + k1 + r);
        to[0] = res.re[r * b + k] * j->scale;
        to[1] = res.im[r * b + k] * j->scale;
      }
  }
  mx_scratch_free(out.re);
}

static int run_split(job *j) {
  int64_t lanes = j->f->lanes, size = j->p->n + MX_FFT_LANES;
  if (!(j->mid.re = mx_scratch((size_t)size * 2 * sizeof(float)))) return mx_fail_memory();
  j->mid.im = j->mid.re + size;
  mx_parallel((j->p->b->n + lanes - 1) / lanes, 1, run_columns, j);
  if (!j->failed) mx_parallel((j->p->a->n + lanes - 1) / lanes, 1, run_rows, j);
  mx_scratch_free(j->mid.re);
  return j->failed ? mx_fail_memory() : 0;
}

static int run_chirped(const job *j) {
  int64_t n = j->p->n, m = j->p->a->n;
  float *x = mx_scratch((size_t)m * 4 * sizeof *x), *y = x ? x + 2 * m : NULL;
  if (!x) return mx_fail_memory();
  for (int64_t k = 0; k < n; k++) {
    const float *from = j->from + 2 * k * j->stride;
    x[2 * k] = from[j->inverse];
    x[2 * k + 1] = from[!j->inverse];
  }
  j->f->multiply(n, x, x, j->p->chirp);
  memset(x + 2 * n, 0, (size_t)(m - n) * 2 * sizeof *x);
  int rc = mx_fft_long(j->p->a, x, 1, y, false, 1);
  if (!rc) {
    j->f->multiply(m, y, y, j->p->kernel);
    rc = mx_fft_long(j->p->a, y, 1, x, true, 1);
  }
  if (!rc) {
    j->f->multiply(n, x, x, j->p->chirp);
    for (int64_t k = 0; k < n; k++) {
      j->to[2 * k] = x[2 * k + j->inverse] * j->scale;
      j->to[2 * k + 1] = x[2 * k + !j->inverse] * j->scale;
    }
  }
  mx_scratch_free(x);
  return rc;
}

int mx_fft_long(const mx_fft_plan *p, const float *from, int64_t stride, float *to, bool inverse, float scale) {
  job j = {.p = p, .f = mx_isa_now->ffts, .from = from, .stride = stride, .to = to, .inverse = inverse, .scale = scale};
  return p->kind == MX_FFT_SPLIT ? run_split(&j) : run_chirped(&j);
}
