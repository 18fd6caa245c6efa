/* Products of f32 and f64 where OpenBLAS is not. */
#include "backend/cpu/gemm.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/isa/common.h"
#include "core/alloc.h"
#include "core/error.h"

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR 64
#define MR 14
#define NV 2
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VECTOR 32
#define MR 6
#define NV 2
#else
#define VECTOR 16
#define MR 6
#define NV 2
#endif

#define T float
#define NAME(f) f##_f32
#define GEMM CAT(mx_gemm_f32, MX_ISA)
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

#define T double
#define NAME(f) f##_f64
#define GEMM CAT(mx_gemm_f64, MX_ISA)
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
