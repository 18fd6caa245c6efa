/* Plans of Fourier transforms, and the loops over them that isa/fft.c has for each instruction set.
 *
 * Inside, real and imaginary parts stand in arrays of their own. Only the forward sum exists: exchanging the two parts before and after
 * it gives the other. */
#ifndef MX_CPU_FFT_H
#define MX_CPU_FFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  MX_FFT_LANES = 16,       /* at most so many sequences lie interleaved; arrays have as many elements more than they need */
  MX_FFT_PRIME = 31,       /* the largest prime factor with passes of its own */
  MX_FFT_DIRECT = 1 << 15, /* the longest transform that is not split into columns and rows */
  MX_FFT_PASSES = 40
};

typedef struct mx_parts {
  float *re, *im;
} mx_parts;

/* y[q + s (r p + j)] = w^(p j) sum_i x[q + s (p + m i)] exp(-2 pi i i j / r), p < m, q < s: w is a root of the order r m. */
typedef struct mx_fft_pass {
  int radix;
  int64_t m, stride; /* stride: s where one sequence is transformed, else times the lanes */
  float *each;       /* w^(p j): pairs [m][radix - 1] */
  float *wide;       /* the same for every q, p, where s is small: [radix - 1][re, im][s m]; NULL elsewhere */
  float *circle;     /* of an odd radix: cosine and sine of 2 pi k / r, pairs [r] */
} mx_fft_pass;

typedef enum mx_fft_kind { MX_FFT_PASSED, MX_FFT_SPLIT, MX_FFT_CHIRPED, MX_FFT_REAL } mx_fft_kind;

typedef struct mx_fft_plan {
  mx_fft_kind kind;
  int64_t n;
  int npass;
  mx_fft_pass pass[MX_FFT_PASSES];  /* PASSED */
  struct mx_fft_plan *a, *b;        /* SPLIT: n = a->n * b->n; CHIRPED: a of the convolution's length; REAL: a of n / 2 (n, if odd) */
  float *chirp, *kernel;            /* CHIRPED: pairs exp(-i pi k^2 / n), and the transform of its conjugate over the length */
  float *turn;                      /* REAL, n even: pairs exp(-2 pi i k / n), k <= n / 2 */
  double *roots;                    /* SPLIT: mx_fft_root's */
  int64_t fine;
  size_t bytes;                     /* of all its tables */
  int refs;
  uint64_t used;                    /* when it was last asked for */
} mx_fft_plan;

/* The plan of a length, real or complex, from a bounded cache; NULL and an error without memory. Release with mx_fft_plan_drop. */
mx_fft_plan *mx_fft_plan_of(int64_t n, bool real);
void mx_fft_plan_drop(mx_fft_plan *p);

/* Tables of exp(-2 pi i k / n): pairs for k < fine, then for multiples of fine. */
double *mx_fft_roots(int64_t n, int64_t *fine);
static inline void mx_fft_root(const double *t, int64_t fine, int64_t k, double w[2]) {
  const double *a = t + 2 * (fine + k / fine), *b = t + 2 * (k % fine);
  w[0] = a[0] * b[0] - a[1] * b[1];
  w[1] = a[0] * b[1] + a[1] * b[0];
}

/* ---- loops of an instruction set ---- */

typedef struct mx_ffts {
  int lanes; /* how many sequences lie interleaved, element k of sequence b at k * lanes + b */
  /* dst = transform of x, a PASSED plan; of one sequence or `many` interleaved ones. x is dst after an even number of passes, tmp after
   * an odd one, or another array. */
  void (*transform)(const mx_fft_plan *t, bool many, mx_parts x, mx_parts dst, mx_parts tmp);
  void (*split)(int64_t n, mx_parts to, const float *from);             /* pairs into parts */
  void (*join)(int64_t n, float *to, mx_parts from, float scale);       /* and back */
  void (*multiply)(int64_t n, float *to, const float *a, const float *b); /* pairs: to = a b */
  /* of `lanes` interleaved sequences: x[k] times fine[k % 32] coarse[k / 32], each of lanes real and lanes imaginary parts */
  void (*twist)(int64_t n, mx_parts x, const float *fine, const float *coarse);
  /* Rows 0..lanes-1 of x, n apart: element k of row b to pair to[k * stride + b]. */
  void (*columns)(int64_t n, float *to, int64_t stride, mx_parts x, float scale);
  /* The two halves of a real transform, m = n / 2: to[k] of k <= m from the transform z of the pairs; and the pairs' transform from it */
  void (*unpack)(int64_t m, float *to, mx_parts z, const float *turn, float scale);
  void (*pack)(int64_t m, mx_parts z, const float *from, const float *turn);
} mx_ffts;

/* Complex, SPLIT or CHIRPED: from[k * stride] to to[k], on all threads. Pairs; inverse: the other sum. 0 or an error. */
int mx_fft_long(const mx_fft_plan *p, const float *from, int64_t stride, float *to, bool inverse, float scale);

#endif
