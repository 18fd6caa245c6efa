/* The Fourier transform along one axis, complex64.
 *
 * Lengths whose prime factors are small: the self-sorting form of T. Stockham, one pass a factor, between two scratch arrays
 * (C. Van Loan, "Computational Frameworks for the Fast Fourier Transform", 1992). Other lengths: L. Bluestein's chirp (1970), which
 * makes the transform a cyclic convolution of a length that is a power of two.
 *
 * Real and imaginary parts stand in arrays of their own, and a few sequences lie interleaved, element k of sequence b at
 * k * width + b, so that the inner loops of all passes run over neighbours. Only the forward sum is written: exchanging the two
 * parts before and after it gives the other. Twiddle factors are computed in double. */
#include <math.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

enum { MAX_FACTORS = 32, LARGEST_PRIME = 31, MAX_WIDTH = 16, GROUP = 16384, LINE = 8 }; /* LINE: elements of a cache line */

typedef struct parts {
  float *re, *im;
} parts;

/* A transform of a length with small factors. */
typedef struct plan {
  int64_t n;
  int nf, f[MAX_FACTORS];
  parts w; /* exp(-2 pi i k / n) */
} plan;

typedef struct job {
  const mx_call *c;
  int64_t n, inner, count, width; /* inner: elements of one index of the axis; count: of sequences; width: sequences a group */
  plan p;                         /* of length n, or of the convolution */
  bool chirped;
  parts chirp, kernel; /* exp(-i pi k^2 / n) for k < n; the transform of its conjugate, over the length */
  _Atomic int failed;
} job;

/* Factors of n, fours first; false when a prime is too large. */
static bool factors(plan *p, int64_t n) {
  p->n = n;
  p->nf = 0;
  for (int r = 4; r <= LARGEST_PRIME && n > 1; r = r == 4 ? 2 : r == 2 ? 3 : r + 2)
    for (; n % r == 0; n /= r) p->f[p->nf++] = r;
  return n == 1;
}

/* exp(-2 pi i k / n) for k < n, as products of exp(-2 pi i a L / n) and exp(-2 pi i b / n), k = a L + b. */
static int roots(parts w, int64_t n) {
  int64_t len = (int64_t)sqrt((double)n) + 1, many = n / len + 1;
  double *t = mx_scratch((size_t)(len + many) * 2 * sizeof *t), *fine = t, *coarse = t + 2 * len;
  if (!t) return mx_fail_memory();
  for (int64_t i = 0; i < len + many; i++) {
    double angle = -2 * M_PI * (double)(i < len ? i : (i - len) * len) / (double)n;
    t[2 * i] = cos(angle);
    t[2 * i + 1] = sin(angle);
  }
  for (int64_t k = 0; k < n; k += len)
    for (int64_t i = 0; i < len && k + i < n; i++) {
      const double *a = coarse + k / len * 2, *b = fine + 2 * i;
      w.re[k + i] = (float)(a[0] * b[0] - a[1] * b[1]);
      w.im[k + i] = (float)(a[0] * b[1] + a[1] * b[0]);
    }
  mx_scratch_free(t);
  return 0;
}

static parts parts_new(int64_t n) {
  parts a;
  a.re = mx_scratch((size_t)n * 2 * sizeof(float));
  a.im = a.re ? a.re + n : NULL;
  return a;
}

/* ---- passes: y[q + s (r p + j)] = w^(p j) sum_i x[q + s (p + m i)] exp(-2 pi i i j / r), for p < m, q < s ---- */

static void pass2(int64_t s, int64_t m, const plan *t, int64_t step, parts x, parts y) {
  for (int64_t p = 0; p < m; p++) {
    float wr = t->w.re[p * step], wi = t->w.im[p * step];
    const float *restrict ar = x.re + s * p, *restrict ai = x.im + s * p, *restrict br = ar + s * m, *restrict bi = ai + s * m;
    float *restrict cr = y.re + s * 2 * p, *restrict ci = y.im + s * 2 * p, *restrict dr = cr + s, *restrict di = ci + s;
    for (int64_t q = 0; q < s; q++) {
      float er = ar[q] - br[q], ei = ai[q] - bi[q];
      cr[q] = ar[q] + br[q];
      ci[q] = ai[q] + bi[q];
      dr[q] = er * wr - ei * wi;
      di[q] = er * wi + ei * wr;
    }
  }
}

static void pass4(int64_t s, int64_t m, const plan *t, int64_t step, parts x, parts y) {
  for (int64_t p = 0; p < m; p++) {
    float ur = t->w.re[p * step], ui = t->w.im[p * step], vr = t->w.re[2 * p * step], vi = t->w.im[2 * p * step],
          wr = t->w.re[3 * p * step], wi = t->w.im[3 * p * step];
    const float *restrict xr = x.re + s * p, *restrict xi = x.im + s * p;
    float *restrict yr = y.re + s * 4 * p, *restrict yi = y.im + s * 4 * p;
    int64_t one = s * m, two = 2 * one, three = 3 * one;
    for (int64_t q = 0; q < s; q++) {
      float ar = xr[q] + xr[q + two], ai = xi[q] + xi[q + two], br = xr[q] - xr[q + two], bi = xi[q] - xi[q + two];
      float cr = xr[q + one] + xr[q + three], ci = xi[q + one] + xi[q + three];
      float dr = xi[q + one] - xi[q + three], di = xr[q + three] - xr[q + one]; /* -i times the difference */
      float er = br + dr, ei = bi + di, fr = ar - cr, fi = ai - ci, gr = br - dr, gi = bi - di;
      yr[q] = ar + cr;
      yi[q] = ai + ci;
      yr[q + s] = er * ur - ei * ui;
      yi[q + s] = er * ui + ei * ur;
      yr[q + 2 * s] = fr * vr - fi * vi;
      yi[q + 2 * s] = fr * vi + fi * vr;
      yr[q + 3 * s] = gr * wr - gi * wi;
      yi[q + 3 * s] = gr * wi + gi * wr;
    }
  }
}

/* Any factor: r multiplications an element, with the two powers of w in one. */
static void pass_any(int r, int64_t s, int64_t m, const plan *t, int64_t step, parts x, parts y) {
  int64_t turn = t->n / r;
  for (int64_t p = 0; p < m; p++)
    for (int j = 0; j < r; j++) {
      float *restrict yr = y.re + s * (r * p + j), *restrict yi = y.im + s * (r * p + j);
      for (int i = 0; i < r; i++) {
        int64_t at = (p * j * step + i * j % r * turn) % t->n;
        float wr = t->w.re[at], wi = t->w.im[at];
        const float *restrict xr = x.re + s * (p + m * i), *restrict xi = x.im + s * (p + m * i);
        if (i == 0)
          for (int64_t q = 0; q < s; q++) {
            yr[q] = xr[q] * wr - xi[q] * wi;
            yi[q] = xr[q] * wi + xi[q] * wr;
          }
        else
          for (int64_t q = 0; q < s; q++) {
            yr[q] += xr[q] * wr - xi[q] * wi;
            yi[q] += xr[q] * wi + xi[q] * wr;
          }
      }
    }
}

/* The forward sums of `width` interleaved sequences in x, with y as the other scratch; which of the two has the result. */
static parts transform(const plan *t, int64_t width, parts x, parts y) {
  int64_t s = width, n = t->n;
  for (int k = 0; k < t->nf; k++) {
    int r = t->f[k];
    int64_t m = n / r, step = t->n / n;
    if (r == 4)
      pass4(s, m, t, step, x, y);
    else if (r == 2)
      pass2(s, m, t, step, x, y);
    else
      pass_any(r, s, m, t, step, x, y);
    parts swap = x;
    x = y;
    y = swap;
    n = m;
    s *= r;
  }
  return x;
}

/* a[k] *= w[k], for interleaved a. */
static void multiply(int64_t n, int64_t width, parts a, parts w) {
  for (int64_t k = 0; k < n; k++) {
    float wr = w.re[k], wi = w.im[k], *restrict re = a.re + k * width, *restrict im = a.im + k * width;
    for (int64_t b = 0; b < width; b++) {
      float r = re[b] * wr - im[b] * wi;
      im[b] = re[b] * wi + im[b] * wr;
      re[b] = r;
    }
  }
}

/* The same sums as transform, by a convolution with the chirp. */
static parts convolve(const job *j, int64_t width, parts x, parts y) {
  int64_t rest = j->p.n - j->n;
  multiply(j->n, width, x, j->chirp);
  memset(x.re + j->n * width, 0, (size_t)(rest * width) * sizeof *x.re);
  memset(x.im + j->n * width, 0, (size_t)(rest * width) * sizeof *x.im);
  parts a = transform(&j->p, width, x, y), b = a.re == x.re ? y : x;
  multiply(j->p.n, width, a, j->kernel);
  parts back = transform(&j->p, width, (parts){a.im, a.re}, (parts){b.im, b.re});
  a = (parts){back.im, back.re};
  multiply(j->n, width, a, j->chirp);
  return a;
}

/* Element offsets in the input and the output of the first element of sequence i. */
static void offsets(const job *j, int64_t i, int64_t *from, int64_t *to) {
  const mx_view *a = &j->c->in[0];
  int axis = (int)j->c->p[0];
  *to = i / j->inner * j->inner * j->n + i % j->inner;
  *from = 0;
  for (int d = a->ndim - 1; d >= 0; d--) {
    if (d == axis) continue;
    *from += i % a->shape[d] * a->strides[d];
    i /= a->shape[d];
  }
}

static void run_groups(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  const mx_view *a = &j->c->in[0];
  const float *in = a->data;
  float *out = j->c->out[0].data, scale = (float)mx_unbits(j->c->p[2]);
  int64_t stride = a->strides[j->c->p[0]], size = j->p.n * j->width, from[MAX_WIDTH], to[MAX_WIDTH];
  bool inverse = j->c->p[1];
  parts x = parts_new(size), y = parts_new(size);
  if (!x.re || !y.re) {
    j->failed = 1;
    end = begin;
  }
  for (int64_t g = begin; g < end; g++) {
    int64_t first = g * j->width, width = j->count - first < j->width ? j->count - first : j->width;
    float *re = inverse ? x.im : x.re, *im = inverse ? x.re : x.im;
    for (int64_t b = 0; b < width; b++) offsets(j, first + b, &from[b], &to[b]);
    for (int64_t block = 0; block < j->n; block += LINE)
      for (int64_t b = 0; b < width; b++)
        for (int64_t k = block; k < block + LINE && k < j->n; k++) {
          const float *e = in + 2 * (from[b] + k * stride);
          re[k * width + b] = e[0];
          im[k * width + b] = e[1];
        }
    parts r = j->chirped ? convolve(j, width, x, y) : transform(&j->p, width, x, y);
    re = inverse ? r.im : r.re, im = inverse ? r.re : r.im;
    for (int64_t block = 0; block < j->n; block += LINE)
      for (int64_t b = 0; b < width; b++)
        for (int64_t k = block; k < block + LINE && k < j->n; k++) {
          float *e = out + 2 * (to[b] + k * j->inner);
          e[0] = re[k * width + b] * scale;
          e[1] = im[k * width + b] * scale;
        }
  }
  mx_scratch_free(x.re);
  mx_scratch_free(y.re);
}

/* The chirp, and the transform of its conjugate wrapped around the length of the convolution. */
static int prepare_chirp(job *j) {
  int64_t n = j->n, m = 1;
  while (m < 2 * n - 1) m *= 2;
  factors(&j->p, m);
  parts w = parts_new(2 * n), x = parts_new(m), y = parts_new(m);
  j->chirp = parts_new(n);
  j->kernel = parts_new(m);
  j->p.w = parts_new(m);
  int rc = w.re && x.re && y.re && j->chirp.re && j->kernel.re && j->p.w.re ? 0 : mx_fail_memory();
  if (!rc) rc = roots(w, 2 * n);
  if (!rc) rc = roots(j->p.w, m);
  if (!rc) {
    memset(x.re, 0, (size_t)m * 2 * sizeof *x.re);
    for (int64_t k = 0; k < n; k++) {
      int64_t at = k * k % (2 * n), mirror = (m - k) % m;
      j->chirp.re[k] = w.re[at];
      j->chirp.im[k] = w.im[at];
      x.re[k] = x.re[mirror] = w.re[at];
      x.im[k] = x.im[mirror] = -w.im[at];
    }
    parts r = transform(&j->p, 1, x, y);
    for (int64_t k = 0; k < m; k++) {
      j->kernel.re[k] = r.re[k] / (float)m;
      j->kernel.im[k] = r.im[k] / (float)m;
    }
  }
  mx_scratch_free(w.re);
  mx_scratch_free(x.re);
  mx_scratch_free(y.re);
  return rc;
}

static int prepare(job *j) {
  j->chirped = !factors(&j->p, j->n);
  if (j->chirped) return prepare_chirp(j);
  j->p.w = parts_new(j->n);
  return j->p.w.re ? roots(j->p.w, j->n) : mx_fail_memory();
}

int mx_cpu_fft(const mx_call *c) {
  const mx_view *o = &c->out[0];
  int axis = (int)c->p[0];
  if (o->size == 0) return 0;
  job j = {.c = c, .n = o->shape[axis], .inner = 1};
  for (int d = axis + 1; d < o->ndim; d++) j.inner *= o->shape[d];
  j.count = o->size / j.n;
  int rc = prepare(&j);
  if (!rc) {
    j.width = GROUP / j.p.n < 1 ? 1 : GROUP / j.p.n > MAX_WIDTH ? MAX_WIDTH : GROUP / j.p.n;
    if (j.width > j.count) j.width = j.count;
    int64_t work = j.p.n * j.width;
    mx_parallel((j.count + j.width - 1) / j.width, work >= GROUP ? 1 : GROUP / work, run_groups, &j);
    if (j.failed) rc = mx_fail_memory();
  }
  mx_scratch_free(j.p.w.re);
  mx_scratch_free(j.chirp.re);
  mx_scratch_free(j.kernel.re);
  return rc;
}
