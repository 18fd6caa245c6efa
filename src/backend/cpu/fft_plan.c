/* Plans of Fourier transforms: factors and tables of roots, kept in a cache of bounded size. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "backend/cpu/fft.h"
#include "backend/cpu/isa.h"
#include "core/alloc.h"
#include "core/error.h"

enum { MOST_PLANS = 64, MOST_BYTES = 64 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mx_fft_plan *cache[MOST_PLANS];
static size_t cached_bytes;
static uint64_t clock_now;

double *mx_fft_roots(int64_t n, int64_t *fine) {
  int64_t len = (int64_t)sqrt((double)n) + 1, many = n / len + 1;
  double *t = mx_malloc((size_t)(len + many) * 2 * sizeof *t);
  if (!t) return NULL;
  for (int64_t i = 0; i < len + many; i++) {
    double angle = -2 * M_PI * (double)(i < len ? i : (i - len) * len) / (double)n;
    t[2 * i] = cos(angle);
    t[2 * i + 1] = sin(angle);
  }
  *fine = len;
  return t;
}

enum want { COMPLEX, REAL, PASSED }; /* PASSED: complex, and never split */
static mx_fft_plan *plan_of(int64_t n, enum want want);

/* A table of floats, with slack behind it. */
static float *table(mx_fft_plan *p, int64_t count) {
  size_t bytes = (size_t)(count + 2 * MX_FFT_LANES) * sizeof(float);
  float *t = mx_calloc(1, bytes);
  p->bytes += bytes;
  return t;
}

static void pair(float *to, const double *w) {
  to[0] = (float)w[0];
  to[1] = (float)w[1];
}

/* Factors of n in the order of the passes; how many, or 0 for n > 1 with a prime that is too large. */
static int factors(int64_t n, int *f) {
  int k = 0, twos = 0;
  for (; n % 2 == 0; n /= 2) twos++;
  for (; twos >= 2 && k < 2; twos -= 2) f[k++] = 4; /* the first passes are fastest by fours */
  while (twos >= 3 && twos != 4) f[k++] = 8, twos -= 3;
  for (; twos >= 2; twos -= 2) f[k++] = 4;
  if (twos) f[k++] = 2;
  for (int r = 3; r <= MX_FFT_PRIME && n > 1; r += 2)
    for (; n % r == 0; n /= r) f[k++] = r;
  return n == 1 ? k : 0;
}

static int make_pass(mx_fft_plan *p, mx_fft_pass *t, const double *roots, int64_t fine) {
  int r = t->radix;
  int64_t m = t->m, s = t->stride, step = s, all = s * m;
  t->each = table(p, m * (r - 1) * 2);
  if (!t->each) return mx_fail_memory();
  double w[2];
  for (int64_t i = 0; i < m; i++)
    for (int j = 1; j < r; j++) {
      mx_fft_root(roots, fine, i * j * step, w);
      pair(t->each + (i * (r - 1) + j - 1) * 2, w);
    }
  if (s < MX_FFT_LANES) {
    t->wide = table(p, (r - 1) * 2 * all);
    if (!t->wide) return mx_fail_memory();
    for (int j = 1; j < r; j++)
      for (int64_t i = 0; i < all; i++)
        for (int part = 0; part < 2; part++)
          t->wide[((j - 1) * 2 + part) * all + i] = t->each[(i / s * (r - 1) + j - 1) * 2 + part];
  }
  if (r % 2 == 0) return 0;
  t->circle = table(p, 2 * r);
  if (!t->circle) return mx_fail_memory();
  for (int k = 0; k < r; k++) pair(t->circle + 2 * k, (double[]){cos(2 * M_PI * k / r), sin(2 * M_PI * k / r)});
  return 0;
}

static int make_passed(mx_fft_plan *p, const int *f, int k) {
  p->kind = MX_FFT_PASSED;
  p->npass = k;
  int64_t s = 1, fine;
  double *roots = mx_fft_roots(p->n, &fine);
  int rc = roots ? 0 : mx_fail_memory();
  for (int i = 0; i < k && !rc; i++) {
    p->pass[i] = (mx_fft_pass){.radix = f[i], .m = p->n / s / f[i], .stride = s};
    rc = make_pass(p, &p->pass[i], roots, fine);
    s *= f[i];
  }
  mx_free(roots);
  return rc;
}

/* n = a b, both as near to the root of n as its factors allow. */
static int make_split(mx_fft_plan *p) {
  int64_t a = (int64_t)sqrt((double)p->n);
  while (p->n % a) a--;
  p->kind = MX_FFT_SPLIT;
  p->roots = mx_fft_roots(p->n, &p->fine);
  p->a = plan_of(a, PASSED);
  p->b = plan_of(p->n / a, PASSED);
  return p->roots && p->a && p->b ? 0 : mx_fail_memory();
}

/* L. Bluestein's chirp (1970): j k = (j^2 + k^2 - (j - k)^2) / 2 makes the sums a cyclic convolution of any length from 2 n - 1. */
static int make_chirped(mx_fft_plan *p) {
  int64_t n = p->n, m = 1, fine;
  while (m < 2 * n - 1) m *= 2;
  p->kind = MX_FFT_CHIRPED;
  p->a = mx_fft_plan_of(m, false);
  p->chirp = table(p, 2 * n);
  p->kernel = table(p, 2 * m);
  double *roots = mx_fft_roots(2 * n, &fine), w[2];
  float *x = mx_calloc((size_t)(m + MX_FFT_LANES) * 6, sizeof *x);
  int rc = p->a && p->chirp && p->kernel && roots && x ? 0 : mx_fail_memory();
  for (int64_t k = 0; k < n && !rc; k++) {
    mx_fft_root(roots, fine, k * k % (2 * n), w);
    pair(p->chirp + 2 * k, w);
    w[1] = -w[1];
    pair(x + 2 * k, w);
    if (k) pair(x + 2 * (m - k), w);
  }
  if (!rc && p->a->kind == MX_FFT_PASSED) {
    int64_t size = m + MX_FFT_LANES;
    mx_parts dst = {x + 2 * size, x + 3 * size}, tmp = {x + 4 * size, x + 5 * size}, in = p->a->npass % 2 ? tmp : dst;
    mx_isa_now->ffts->split(m, in, x);
    mx_isa_now->ffts->transform(p->a, false, in, dst, tmp);
    mx_isa_now->ffts->join(m, p->kernel, dst, 1 / (float)m);
  } else if (!rc)
    rc = mx_fft_long(p->a, x, 1, p->kernel, false, 1 / (float)m);
  mx_free(x);
  mx_free(roots);
  return rc;
}

static int make_real(mx_fft_plan *p) {
  int64_t n = p->n, fine;
  p->kind = MX_FFT_REAL;
  p->a = mx_fft_plan_of(n % 2 ? n : n / 2, false);
  if (!p->a) return mx_fail_memory();
  if (n % 2) return 0;
  double *roots = mx_fft_roots(n, &fine), w[2];
  p->turn = table(p, n + 2);
  int rc = roots && p->turn ? 0 : mx_fail_memory();
  for (int64_t k = 0; k <= n / 2 && !rc; k++) {
    mx_fft_root(roots, fine, k, w);
    pair(p->turn + 2 * k, w);
  }
  mx_free(roots);
  return rc;
}

static void destroy(mx_fft_plan *p) {
  if (p->a) mx_fft_plan_drop(p->a);
  if (p->b) mx_fft_plan_drop(p->b);
  for (int i = 0; i < p->npass; i++) {
    mx_free(p->pass[i].each);
    mx_free(p->pass[i].wide);
    mx_free(p->pass[i].circle);
  }
  mx_free(p->chirp);
  mx_free(p->kernel);
  mx_free(p->turn);
  mx_free(p->roots);
  mx_free(p);
}

static mx_fft_plan *make(int64_t n, enum want want) {
  mx_fft_plan *p = mx_calloc(1, sizeof *p);
  int f[MX_FFT_PASSES];
  if (!p) return mx_fail_memory(), NULL;
  p->n = n;
  p->refs = 1;
  p->bytes = sizeof *p;
  int k = factors(n, f), rc = want == REAL                                 ? make_real(p)
                              : n > 1 && !k                            ? make_chirped(p)
                              : n > MX_FFT_DIRECT && want == COMPLEX ? make_split(p)
                                                                         : make_passed(p, f, k);
  if (!rc) return p;
  destroy(p);
  return NULL;
}

/* Called with the lock: a reference less; what must be destroyed, without the lock, or NULL. */
static mx_fft_plan *unref(mx_fft_plan *p) { return --p->refs ? NULL : p; }

void mx_fft_plan_drop(mx_fft_plan *p) {
  pthread_mutex_lock(&lock);
  mx_fft_plan *dead = unref(p);
  pthread_mutex_unlock(&lock);
  if (dead) destroy(dead);
}

/* With the lock: the cached plan of n with a reference for the caller. */
static mx_fft_plan *find(int64_t n, enum want want) {
  for (int i = 0; i < MOST_PLANS; i++) {
    mx_fft_plan *p = cache[i];
    if (!p || p->n != n || (p->kind == MX_FFT_REAL) != (want == REAL)) continue;
    if (n > MX_FFT_DIRECT && want != REAL && (p->kind == MX_FFT_PASSED) != (want == PASSED)) continue;
    p->refs++;
    p->used = ++clock_now;
    return p;
  }
  return NULL;
}

/* With the lock: takes the plan that was used longest ago out of the cache; what must be destroyed. */
static mx_fft_plan *evict(int *slot) {
  int oldest = -1;
  for (int i = 0; i < MOST_PLANS; i++)
    if (cache[i] && (oldest < 0 || cache[i]->used < cache[oldest]->used)) oldest = i;
  mx_fft_plan *p = cache[oldest];
  cache[oldest] = NULL;
  cached_bytes -= p->bytes;
  *slot = oldest;
  return unref(p);
}

static mx_fft_plan *plan_of(int64_t n, enum want want) {
  pthread_mutex_lock(&lock);
  mx_fft_plan *p = find(n, want), *dead[MOST_PLANS] = {NULL};
  pthread_mutex_unlock(&lock);
  if (p || !(p = make(n, want))) return p;
  if (p->bytes > MOST_BYTES / 2) return p;
  pthread_mutex_lock(&lock);
  int slot = -1, ndead = 0;
  for (int i = 0; i < MOST_PLANS && slot < 0; i++)
    if (!cache[i]) slot = i;
  while (slot < 0 || (cached_bytes + p->bytes > MOST_BYTES && cached_bytes)) dead[ndead++] = evict(&slot);
  cache[slot] = p;
  cached_bytes += p->bytes;
  p->refs++;
  p->used = ++clock_now;
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < ndead; i++)
    if (dead[i]) destroy(dead[i]);
  return p;
}

mx_fft_plan *mx_fft_plan_of(int64_t n, bool real) { return plan_of(n, real ? REAL : COMPLEX); }
