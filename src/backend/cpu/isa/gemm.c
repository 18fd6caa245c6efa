/* Products of f16 and bf16, with sums in f32, and of f32 and f64 where OpenBLAS is not. */
#include "backend/cpu/gemm.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/isa/common.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR 64
#define MR 14
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR 32
#define MR 6
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define VECTOR 16
#define MR 6
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

#include "backend/cpu/isa/gemm_transpose.inc.h"
static int transpose_f64(int n, int64_t k, double alpha, const double *x, int64_t across, double *o) {
  enum { NR = 2 * VECTOR / 8 };
  int j = 0;
  for (; j + 4 <= n; j += 4, x += 4 * across, o += 4)
    for (int64_t p = 0; p < k; p++)
      for (int i = 0; i < 4; i++) o[p * NR + i] = alpha * x[i * across + p];
  return j;
}

#define MICRO__(a, b, c) micro_##a##_##b##_##c
#define MICRO_(a, b, c) MICRO__(a, b, c)
#define MICRO(rows, vectors) MICRO_(rows, vectors, T)

#define T float
#define NAME(f) f##_f32
#if VECTOR == 64
#define FMA(x, y, z) (vec_f32)_mm512_fmadd_ps((__m512)(x), (__m512)(y), (__m512)(z))
#define SPREAD(x) (vec_f32)_mm512_set1_ps(x)
#elif VECTOR == 32
#define FMA(x, y, z) (vec_f32)_mm256_fmadd_ps((__m256)(x), (__m256)(y), (__m256)(z))
#define SPREAD(x) (vec_f32)_mm256_set1_ps(x)
#else
#define FMA(x, y, z) ((x) * (y) + (z))
#define SPREAD(x) ((x) - (vec_f32){0})
#endif
#include "backend/cpu/isa/gemm_kernel.inc.h"

/* Halves: by the loads of halves.c where they stand next to each other. */
extern const mx_halves CAT(mx_halves, MX_ISA)[2];
#define HALF(name, H, up, which)                                                                                             \
  static void load_##name(int64_t n, float *restrict o, const void *x, int64_t stride) {                                     \
    const H *h = x;                                                                                                          \
    if (stride == 1) CAT(mx_halves, MX_ISA)[which].load((size_t)n, o, x, NULL, NULL);                                        \
    else for (int64_t i = 0; i < n; i++) o[i] = up(h[i * stride]);                                                           \
  }                                                                                                                          \
  static const source_f32 of_##name = {load_##name, 2};
HALF(f16, mx_f16, mx_f16_to_f32, 0)
HALF(bf16, mx_bf16, mx_bf16_to_f32, 1)
PRODUCT(mx_gemm_f32, NULL)
#include "backend/cpu/isa/gemm_strip.inc.h"
STRIP(mx_strip_f32)
PRODUCT(mx_gemm_f16, &of_f16)
PRODUCT(mx_gemm_bf16, &of_bf16)
#include "backend/cpu/isa/gemm_packed.inc.h"
PACKED(mx_packer_f32, NULL)
PACKED(mx_packer_f16, &of_f16)
PACKED(mx_packer_bf16, &of_bf16)
#undef FMA
#undef SPREAD
#undef PRODUCT
#undef T
#undef NAME

#define T double
#define NAME(f) f##_f64
#if VECTOR == 64
#define FMA(x, y, z) (vec_f64)_mm512_fmadd_pd((__m512d)(x), (__m512d)(y), (__m512d)(z))
#define SPREAD(x) (vec_f64)_mm512_set1_pd(x)
#elif VECTOR == 32
#define FMA(x, y, z) (vec_f64)_mm256_fmadd_pd((__m256d)(x), (__m256d)(y), (__m256d)(z))
#define SPREAD(x) (vec_f64)_mm256_set1_pd(x)
#else
#define FMA(x, y, z) ((x) * (y) + (z))
#define SPREAD(x) ((x) - (vec_f64){0})
#endif
#include "backend/cpu/isa/gemm_kernel.inc.h"
PRODUCT(mx_gemm_f64, NULL)
#include "backend/cpu/isa/gemm_strip.inc.h"
STRIP(mx_strip_f64)
#include "backend/cpu/isa/gemm_packed.inc.h"
PACKED(mx_packer_f64, NULL)
const int CAT(mx_panel, MX_ISA) = NV * VECTOR;
