/* The passes of Fourier transforms in the self-sorting form of T. Stockham (C. Van Loan, "Computational Frameworks for the Fast Fourier
 * Transform", 1992), over vectors of as many floats as a register holds.
 *
 * A pass whose runs of neighbours (s) are as long as a vector walks along them; the first ones of a single sequence, where they are
 * shorter, take several p at a time and spread the result. A last vector that would reach over the end starts earlier instead and
 * computes some elements twice. */
#include "backend/cpu/isa/common.h"

#include <string.h>

#include "backend/cpu/fft.h"

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define VL 16
#define LOG_VL 4
#define ZIP_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define EVEN     0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD      1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif defined(__AVX__)
#define VL 8
#define LOG_VL 3
#define ZIP_LOW  0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define EVEN     0, 2, 4, 6, 8, 10, 12, 14
#define ODD      1, 3, 5, 7, 9, 11, 13, 15
#else
#define VL 4
#define LOG_VL 2
#define ZIP_LOW  0, 4, 1, 5
#define ZIP_HIGH 2, 6, 3, 7
#define EVEN     0, 2, 4, 6
#define ODD      1, 3, 5, 7
#endif

typedef float vec __attribute__((vector_size(4 * VL)));
typedef float unaligned __attribute__((vector_size(4 * VL), aligned(4), may_alias));
#define LOAD(p)        (*(const unaligned *)(p))
#define STORE(p, v)    (*(unaligned *)(p) = (v))
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* ---- butterflies: r elements in place ---- */

INLINE void fly2(vec *re, vec *im, int a, int b) {
  vec r = re[a] - re[b], i = im[a] - im[b];
  re[a] += re[b];
  im[a] += im[b];
  re[b] = r;
  im[b] = i;
}

/* Elements a, b, c, d; results 0..3 in the same places. */
INLINE void fly4(vec *re, vec *im, int a, int b, int c, int d) {
  fly2(re, im, a, c);
  fly2(re, im, b, d);
  vec dr = im[d], di = -re[d]; /* -i times the difference */
  vec er = re[a] - re[b], ei = im[a] - im[b];
  re[a] += re[b];
  im[a] += im[b];
  re[b] = re[c] + dr;
  im[b] = im[c] + di;
  re[d] = re[c] - dr;
  im[d] = im[c] - di;
  re[c] = er;
  im[c] = ei;
}

INLINE void fly8(vec *re, vec *im) {
  const float h = 0.707106781186547524f;
  for (int k = 0; k < 4; k++) fly2(re, im, k, k + 4);
  vec t = (re[5] + im[5]) * h; /* (1 - i) / sqrt 2 */
  im[5] = (im[5] - re[5]) * h;
  re[5] = t;
  t = im[6]; /* -i */
  im[6] = -re[6];
  re[6] = t;
  t = (im[7] - re[7]) * h; /* (-1 - i) / sqrt 2 */
  im[7] = -(re[7] + im[7]) * h;
  re[7] = t;
  fly4(re, im, 0, 1, 2, 3);
  fly4(re, im, 4, 5, 6, 7);
  vec r[8], i[8];
  for (int k = 0; k < 8; k++) r[k] = re[k / 2 + k % 2 * 4], i[k] = im[k / 2 + k % 2 * 4];
  for (int k = 0; k < 8; k++) re[k] = r[k], im[k] = i[k];
}

/* r odd: elements i and r - i meet the same cosines and opposite sines. */
INLINE void fly_odd(const int r, const float *circle, vec *re, vec *im) {
  const int h = (r - 1) / 2;
  vec outr[MX_FFT_PRIME], outi[MX_FFT_PRIME], sumr = re[0], sumi = im[0];
  for (int i = 1; i <= h; i++) {
    fly2(re, im, i, r - i);
    sumr += re[i];
    sumi += im[i];
  }
  for (int j = 1; j <= h; j++) {
    vec cr = re[0], ci = im[0], sr = re[0] * 0, si = sr;
    for (int i = 1, at = j; i <= h; i++, at = at + j >= r ? at + j - r : at + j) {
      float c = circle[2 * at], s = circle[2 * at + 1];
      cr += re[i] * c;
      ci += im[i] * c;
      sr += re[r - i] * s;
      si += im[r - i] * s;
    }
    outr[j] = cr + si;
    outi[j] = ci - sr;
    outr[r - j] = cr - si;
    outi[r - j] = ci + sr;
  }
  re[0] = sumr;
  im[0] = sumi;
  for (int j = 1; j < r; j++) re[j] = outr[j], im[j] = outi[j];
}

INLINE void fly(const int r, const float *circle, vec *re, vec *im) {
  if (r == 2)
    fly2(re, im, 0, 1);
  else if (r == 4)
    fly4(re, im, 0, 1, 2, 3);
  else if (r == 8)
    fly8(re, im);
  else
    fly_odd(r, circle, re, im);
}

/* ---- passes ---- */

/* s >= VL. */
INLINE void pass_far(const int r, const bool turned, const mx_fft_pass *t, int64_t s, mx_parts x, mx_parts y) {
  int64_t m = t->m;
  for (int64_t p = 0; p < m; p++) {
    const float *w = t->each + p * (r - 1) * 2;
    for (int64_t q = 0; q < s; q += VL) {
      int64_t at = q + VL <= s ? q : s - VL;
      const float *xr = x.re + at + s * p, *xi = x.im + at + s * p;
      float *yr = y.re + at + s * r * p, *yi = y.im + at + s * r * p;
      vec re[MX_FFT_PRIME], im[MX_FFT_PRIME];
      for (int i = 0; i < r; i++) re[i] = LOAD(xr + s * m * i), im[i] = LOAD(xi + s * m * i);
      fly(r, t->circle, re, im);
      STORE(yr, re[0]);
      STORE(yi, im[0]);
      for (int j = 1; j < r; j++) {
        float wr = turned ? w[2 * j - 2] : 1, wi = turned ? w[2 * j - 1] : 0;
        STORE(yr + s * j, turned ? re[j] * wr - im[j] * wi : re[j]);
        STORE(yi + s * j, turned ? re[j] * wi + im[j] * wr : im[j]);
      }
    }
  }
}

/* Vectors v[j] over t = q + s p to y[q + s (r p + j)], t from `at` on. */
INLINE void spread(const int r, int64_t s, int64_t at, int64_t all, float *y, const vec *v) {
  if (r == 4 && s == 1 && all >= VL) {
    vec a = PICK(v[0], v[2], ZIP_LOW), b = PICK(v[0], v[2], ZIP_HIGH), c = PICK(v[1], v[3], ZIP_LOW),
        d = PICK(v[1], v[3], ZIP_HIGH);
    STORE(y + 4 * at, PICK(a, c, ZIP_LOW));
    STORE(y + 4 * at + VL, PICK(a, c, ZIP_HIGH));
    STORE(y + 4 * at + 2 * VL, PICK(b, d, ZIP_LOW));
    STORE(y + 4 * at + 3 * VL, PICK(b, d, ZIP_HIGH));
  } else if (VL > 4 && s % 4 == 0 && VL % s == 0 && all >= VL) {
    for (int j = 0; j < r; j++) {
      float row[VL] __attribute__((aligned(4 * VL)));
      memcpy(row, &v[j], sizeof row);
      float *to = y + at * r + s * j; /* at is a multiple of s */
      if (s == 4)
        for (int k = 0; k < VL / 4; k++) memcpy(to + 4 * r * k, row + 4 * k, 16);
      else
        for (int k = 0; k < VL; k += 8) memcpy(to + r * k, row + k, 32);
    }
  } else {
    int64_t q = at % s, base = at / s * s * r;
    for (int l = 0; l < VL && at + l < all; l++) {
      for (int j = 0; j < r; j++) y[base + q + s * j] = v[j][l];
      if (++q == s) q = 0, base += s * r;
    }
  }
}

/* s < VL: one sequence. */
INLINE void pass_near(const int r, const mx_fft_pass *t, int64_t s, mx_parts x, mx_parts y) {
  int64_t all = s * t->m;
  for (int64_t k = 0; k < all; k += VL) {
    int64_t at = k + VL <= all || all < VL ? k : all - VL;
    vec re[MX_FFT_PRIME], im[MX_FFT_PRIME];
    for (int i = 0; i < r; i++) re[i] = LOAD(x.re + at + all * i), im[i] = LOAD(x.im + at + all * i);
    fly(r, t->circle, re, im);
    for (int j = 1; j < r; j++) {
      const float *w = t->wide + (j - 1) * 2 * all + at;
      vec wr = LOAD(w), wi = LOAD(w + all), a = re[j] * wr - im[j] * wi;
      im[j] = re[j] * wi + im[j] * wr;
      re[j] = a;
    }
    spread(r, s, at, all, y.re, re);
    spread(r, s, at, all, y.im, im);
  }
}

#define PASS(r)                                                              \
  static void pass_##r(const mx_fft_pass *t, int64_t s, mx_parts x, mx_parts y) { \
    if (s < VL)                                                              \
      pass_near(r, t, s, x, y);                                              \
    else if (t->m > 1)                                                       \
      pass_far(r, true, t, s, x, y);                                         \
    else                                                                     \
      pass_far(r, false, t, s, x, y);                                        \
  }
PASS(2)
PASS(3)
PASS(4)
PASS(5)
PASS(7)
PASS(8)
static void pass_any(const mx_fft_pass *t, int64_t s, mx_parts x, mx_parts y) {
  if (s < VL)
    pass_near(t->radix, t, s, x, y);
  else
    pass_far(t->radix, true, t, s, x, y);
}

static void transform(const mx_fft_plan *t, bool many, mx_parts x, mx_parts dst, mx_parts tmp) {
  int64_t s = many ? VL : 1;
  if (t->npass == 0 && x.re != dst.re) {
    memcpy(dst.re, x.re, (size_t)(t->n * s) * sizeof(float));
    memcpy(dst.im, x.im, (size_t)(t->n * s) * sizeof(float));
  }
  for (int k = 0; k < t->npass; k++) {
    const mx_fft_pass *p = &t->pass[k];
    mx_parts y = (t->npass - k) % 2 ? dst : tmp;
    switch (p->radix) {
    case 2: pass_2(p, s, x, y); break;
    case 3: pass_3(p, s, x, y); break;
    case 4: pass_4(p, s, x, y); break;
    case 5: pass_5(p, s, x, y); break;
    case 7: pass_7(p, s, x, y); break;
    case 8: pass_8(p, s, x, y); break;
    default: pass_any(p, s, x, y);
    }
    x = y;
    s *= p->radix;
  }
}

/* ---- between pairs and parts ---- */

static void split(int64_t n, mx_parts to, const float *from) {
  int64_t k = 0;
  for (; k + VL <= n; k += VL) {
    vec a = LOAD(from + 2 * k), b = LOAD(from + 2 * k + VL);
    STORE(to.re + k, PICK(a, b, EVEN));
    STORE(to.im + k, PICK(a, b, ODD));
  }
  for (; k < n; k++) to.re[k] = from[2 * k], to.im[k] = from[2 * k + 1];
}

static void join(int64_t n, float *to, mx_parts from, float scale) {
  int64_t k = 0;
  for (; k + VL <= n; k += VL) {
    vec a = LOAD(from.re + k) * scale, b = LOAD(from.im + k) * scale;
    STORE(to + 2 * k, PICK(a, b, ZIP_LOW));
    STORE(to + 2 * k + VL, PICK(a, b, ZIP_HIGH));
  }
  for (; k < n; k++) to[2 * k] = from.re[k] * scale, to[2 * k + 1] = from.im[k] * scale;
}

static void multiply(int64_t n, float *to, const float *a, const float *b) {
  for (int64_t k = 0; k < n; k++) {
    float ar = a[2 * k], ai = a[2 * k + 1], br = b[2 * k], bi = b[2 * k + 1];
    to[2 * k] = ar * br - ai * bi;
    to[2 * k + 1] = ar * bi + ai * br;
  }
}

static void twist(int64_t n, mx_parts x, const float *fine, const float *coarse) {
  for (int64_t k = 0; k < n; k++) {
    const float *f = fine + k % 32 * 2 * VL, *c = coarse + k / 32 * 2 * VL;
    vec fr = LOAD(f), fi = LOAD(f + VL), cr = LOAD(c), ci = LOAD(c + VL);
    vec wr = fr * cr - fi * ci, wi = fr * ci + fi * cr, a = LOAD(x.re + k * VL), b = LOAD(x.im + k * VL);
    STORE(x.re + k * VL, a * wr - b * wi);
    STORE(x.im + k * VL, a * wi + b * wr);
  }
}

/* Each round moves the highest bit of the row's index to the lane's lowest, and the lane's highest to the row's. */
INLINE void transpose(vec *a) {
  for (int round = 0; round < LOG_VL; round++) {
    vec b[VL];
    for (int i = 0; i < VL / 2; i++) {
      b[2 * i] = PICK(a[i], a[i + VL / 2], ZIP_LOW);
      b[2 * i + 1] = PICK(a[i], a[i + VL / 2], ZIP_HIGH);
    }
    for (int i = 0; i < VL; i++) a[i] = b[i];
  }
}

static void columns(int64_t n, float *to, int64_t stride, mx_parts x, float scale) {
  int64_t k = 0;
  for (; k + VL <= n; k += VL) {
    vec re[VL], im[VL];
    for (int b = 0; b < VL; b++) re[b] = LOAD(x.re + b * n + k) * scale;
    transpose(re);
    for (int b = 0; b < VL; b++) im[b] = LOAD(x.im + b * n + k) * scale;
    transpose(im);
    for (int c = 0; c < VL; c++) {
      float *o = to + 2 * (k + c) * stride;
      STORE(o, PICK(re[c], im[c], ZIP_LOW));
      STORE(o + VL, PICK(re[c], im[c], ZIP_HIGH));
    }
  }
  for (; k < n; k++)
    for (int b = 0; b < VL; b++) {
      to[2 * (k * stride + b)] = x.re[b * n + k] * scale;
      to[2 * (k * stride + b) + 1] = x.im[b * n + k] * scale;
    }
}

/* ---- real transforms: z is the transform of x[2 k] + i x[2 k + 1] ---- */

static void unpack(int64_t m, float *to, mx_parts z, const float *turn, float scale) {
  float half = scale / 2;
  to[0] = (z.re[0] + z.im[0]) * scale;
  to[2 * m] = (z.re[0] - z.im[0]) * scale;
  to[1] = to[2 * m + 1] = 0;
  MX_INDEPENDENT
  for (int64_t k = 1; k < m; k++) {
    float ar = z.re[k], ai = z.im[k], br = z.re[m - k], bi = z.im[m - k], wr = turn[2 * k], wi = turn[2 * k + 1];
    float er = ar + br, ei = ai - bi, dr = ai + bi, di = br - ar; /* twice the even and the odd elements' transforms */
    to[2 * k] = (er + dr * wr - di * wi) * half;
    to[2 * k + 1] = (ei + dr * wi + di * wr) * half;
  }
}

static void pack(int64_t m, mx_parts z, const float *from, const float *turn) {
  z.re[0] = from[0] + from[2 * m];
  z.im[0] = from[0] - from[2 * m];
  MX_INDEPENDENT
  for (int64_t k = 1; k < m; k++) {
    const float *a = from + 2 * k, *b = from + 2 * (m - k);
    float er = a[0] + b[0], ei = a[1] - b[1], dr = a[0] - b[0], di = a[1] + b[1], wr = turn[2 * k], wi = -turn[2 * k + 1];
    float fr = dr * wr - di * wi, fi = dr * wi + di * wr;
    z.re[k] = er - fi;
    z.im[k] = ei + fr;
  }
}

extern const mx_ffts CAT(mx_ffts, MX_ISA);
const mx_ffts CAT(mx_ffts, MX_ISA) = {VL, transform, split, join, multiply, twist, columns, unpack, pack};
