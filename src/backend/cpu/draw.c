/* Draws by rejection. Each element has a stream of Threefry counters of its own: it depends on its key and its place alone.
 *
 * gamma: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000. Poisson: by inversion below 10, else
 * Hörmann, "The transformed rejection method for generating Poisson random variables" (PTRS), 1993. */
#include <math.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/parallel.h"
#include "core/threefry.h"
#include "kernels/erfinv.h"

/* ---- the words of one element ---- */

typedef struct words {
  uint32_t k0, k1, element, count;
} words;

static void words_begin(words *w, const uint32_t *key, int64_t stride, int64_t element) {
  *w = (words){key[0], key[stride], (uint32_t)element, 0};
  w->k1 += (uint32_t)(element >> 32) * 0x9E3779B9u; /* beyond the counter: another key */
}
static void words_next(words *w, uint32_t *a, uint32_t *b) {
  *a = w->element;
  *b = w->count++;
  mx_threefry(w->k0, w->k1, a, b);
}

/* In (0, 1). */
static double unit(uint32_t a) { return (a + 0.5) * 0x1p-32; }
static double unit_long(uint32_t a, uint32_t b) { return ((double)a + (b + 0.5) * 0x1p-32) * 0x1p-32; }

/* The normal number of rank u; from 4 u (1 - u), so that the tails keep their digits. */
static double normal(double u) { return M_SQRT2 * mx_erfinv_ratio(-log(4 * u * (1 - u))) * (2 * u - 1); }

/* ---- the logarithm of a gamma draw, which does not underflow for small a ---- */

static double log_gamma(words *w, double a) {
  uint32_t x, y;
  double boost = 0;
  if (!(a > 0)) return a == 0 ? -INFINITY : NAN;
  if (a == INFINITY) return a;
  if (a < 1) {
    words_next(w, &x, &y);
    boost = log(unit_long(x, y)) / a;
    a += 1;
  }
  double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    words_next(w, &x, &y);
    double z = normal(unit(x)), u = unit(y), t = 1 + c * z;
    if (t <= 0) continue;
    double v = t * t * t;
    if (u < 1 - 0.0331 * (z * z) * (z * z) || log(u) < 0.5 * z * z + d * (1 - v + 3 * log(t))) return log(d * v) + boost;
  }
}

/* ---- Poisson ---- */

static double log_factorial(double k) {
  static const double small[10] = {0,
                                   0,
                                   0.69314718055994531,
                                   1.79175946922805500,
                                   3.17805383034794562,
                                   4.78749174278204599,
                                   6.57925121201010100,
                                   8.52516136106541430,
                                   10.6046029027452502,
                                   12.8018274800814696};
  if (k < 10) return small[(int)k];
  double r = 1 / k, q = r * r;
  return (k + 0.5) * log(k) - k + 0.91893853320467274 + r * (1.0 / 12 - q * (1.0 / 360 - q * (1.0 / 1260 - q / 1680)));
}

static int64_t poisson_inversion(words *w, double lam) {
  uint32_t a, b;
  words_next(w, &a, &b);
  double u = unit_long(a, b), p = exp(-lam), sum = p;
  int64_t k = 0;
  while (u > sum && k < 200) {
    p *= lam / (double)++k;
    sum += p;
  }
  return k;
}

static int64_t poisson(words *w, double lam) {
  if (!(lam >= 0)) return -1;
  if (lam == 0) return 0;
  if (lam < 10) return poisson_inversion(w, lam);
  if (lam > 0x1p62) return INT64_MAX;
  double b = 0.931 + 2.53 * sqrt(lam), a = -0.059 + 0.02483 * b, log_lam = log(lam);
  double log_alpha = log(1.1239 + 1.1328 / (b - 3.4)), vr = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    uint32_t x, y;
    words_next(w, &x, &y);
    double u = unit(x) - 0.5, v = unit(y), us = 0.5 - fabs(u), k = floor((2 * a / us + b) * u + lam + 0.43);
    if (us >= 0.07 && v <= vr) return (int64_t)k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (log(v) + log_alpha - log(a / (us * us) + b) <= k * log_lam - lam - log_factorial(k)) return (int64_t)k;
  }
}

/* ---- kernels ---- */

typedef struct job {
  mx_opcode op;
  mx_walk keys, args;
  const mx_view *key, *arg, *out;
  int64_t key_stride, each; /* elements of a key */
} job;

static double number(const mx_view *v, int64_t at) {
  return v->dtype == MX_F64 ? *(const double *)mx_at(v, at) : (double)*(const float *)mx_at(v, at);
}

static void draw_range(void *ctx, int64_t begin, int64_t end) {
  const job *j = ctx;
  mx_cursor key, arg;
  mx_walk_seek(&j->args, &arg, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->args, &arg)) {
    if (i == begin || i % j->each == 0) mx_walk_seek(&j->keys, &key, i / j->each);
    words w;
    words_begin(&w, mx_at(j->key, key.off[0]), j->key_stride, i % j->each);
    double x = number(j->arg, arg.off[0]);
    if (j->op == OP_random_poisson) ((int64_t *)j->out->data)[i] = poisson(&w, x);
    else if (j->out->dtype == MX_F64) ((double *)j->out->data)[i] = log_gamma(&w, x);
    else ((float *)j->out->data)[i] = (float)log_gamma(&w, x);
  }
}

static int draw(const mx_call *c) {
  const mx_view *key = c->in, *arg = c->in + 1;
  if (!arg->size || !key->size) return 0;
  job j = {.op = c->op, .key = key, .arg = arg, .out = c->out, .key_stride = key->strides[key->ndim - 1]};
  j.each = arg->size / (key->size / 2);
  mx_walk_init(&j.keys, key->ndim, key->shape, key->ndim - 1, key->strides, NULL, NULL);
  mx_walk_init(&j.args, arg->ndim, arg->shape, -1, arg->strides, NULL, NULL);
  mx_parallel(arg->size, 1 << 10, draw_range, &j);
  return 0;
}
int mx_cpu_random_loggamma(const mx_call *c) { return draw(c); }
int mx_cpu_random_poisson(const mx_call *c) { return draw(c); }

/* ---- the derivative of a gamma draw ---- */

static double digamma(double x) {
  double r = 0;
  for (; x < 10; x++) r -= 1 / x;
  double q = 1 / (x * x);
  return r + log(x) - 0.5 / x - q * (1.0 / 12 - q * (1.0 / 120 - q * (1.0 / 252 - q * (1.0 / 240 - q * (1.0 / 132)))));
}

/* d log x / d a of a draw x = exp(y) of gamma(a), the place in the distribution, P(a, x), held: - (dP/da) / (x p(x)). */
static double loggamma_grad(double a, double y) {
  double x = exp(y);
  if (!(a > 0) || a == INFINITY || y != y) return NAN;
  if (a > 1e5) { /* x = d (1 + c z)^3, z held, is exact enough */
    double d = a - 1.0 / 3, t = cbrt(x / d);
    return 1 / d - 1.5 * (t - 1) / (d * t);
  }
  if (x < a + 1) { /* the series of P: sum of x^n / (a+1)...(a+n), each term times its logarithmic derivative */
    double l = y - digamma(a + 1), term = 1, h = 0, sum = l;
    for (int n = 1; n < 100000; n++) {
      term *= x / (a + n);
      h += 1 / (a + n);
      sum += term * (l - h);
      if (term * (fabs(l) + h) < 1e-17 * fabs(sum)) break;
    }
    return -sum / a;
  }
  /* the continued fraction of 1 - P and its derivative, from the end */
  double b = x + 1 - a;
  int n = 100 + (int)(10 * sqrt(a));
  double k = b + 2.0 * n, dk = -1;
  for (int i = n; i > 0; i--) {
    double over = 1 / k, p = -i * (i - a);
    dk = -1 + (i - p * over * dk) * over;
    k = b + 2.0 * (i - 1) + p * over;
  }
  return (y - digamma(a) - dk / k) / k;
}

typedef struct grad_job {
  mx_walk walk;
  const mx_view *a, *y, *out;
} grad_job;
static void grad_range(void *ctx, int64_t begin, int64_t end) {
  const grad_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at)) {
    double r = loggamma_grad(number(j->a, at.off[0]), number(j->y, at.off[1]));
    if (j->out->dtype == MX_F64) ((double *)j->out->data)[i] = r;
    else ((float *)j->out->data)[i] = (float)r;
  }
}
int mx_cpu_loggamma_grad(const mx_call *c) {
  const mx_view *a = c->in, *y = c->in + 1;
  grad_job j = {.a = a, .y = y, .out = c->out};
  if (!a->size) return 0;
  mx_walk_init(&j.walk, a->ndim, a->shape, -1, a->strides, y->strides, NULL);
  mx_parallel(a->size, 1 << 8, grad_range, &j);
  return 0;
}
