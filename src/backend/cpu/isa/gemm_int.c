/* Products of integers, wrapping as C's unsigned types do: signed and unsigned have the same bits. Those of 8 bits are computed in 16, whose
 * low halves are theirs; of bools the ones that meet are counted. */
#include "backend/cpu/gemm.h"

#include <stdbool.h>
#include <string.h>

#include "backend/cpu/isa/common.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"

#if defined(__AVX512F__)
#define VECTOR 64
#elif defined(__AVX2__)
#define VECTOR 32
#else
#define VECTOR 16
#endif
#define MR 6
#define NV 2
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)

/* As in gemm.c: whole squares of 4 lines. */
#define TRANSPOSE(name, T)                                                                                                   \
  static int transpose_##name(int n, int64_t k, T alpha, const T *x, int64_t across, T *o) {                                 \
    enum { NR = NV * VECTOR / sizeof(T) };                                                                                   \
    int j = 0;                                                                                                               \
    for (; j + 4 <= n; j += 4, x += 4 * across, o += 4)                                                                      \
      for (int64_t p = 0; p < k; p++)                                                                                        \
        for (int i = 0; i < 4; i++) o[p * NR + i] = (T)(alpha * x[i * across + p]);                                          \
    return j;                                                                                                                \
  }
TRANSPOSE(u16, uint16_t)
TRANSPOSE(u32, uint32_t)
TRANSPOSE(u64, uint64_t)

#define MICRO__(a, b, c) micro_##a##_##b##_##c
#define MICRO_(a, b, c) MICRO__(a, b, c)
#define MICRO(rows, vectors) MICRO_(rows, vectors, T)
#define FMA(x, y, z) ((x) * (y) + (z))

#define LOAD_BYTES(T)                                                                                                        \
  static void load_bytes_##T(int64_t n, T *restrict o, const void *x, int64_t stride) {                                      \
    const uint8_t *b = x;                                                                                                    \
    if (stride == 1) for (int64_t i = 0; i < n; i++) o[i] = b[i];                                                            \
    else for (int64_t i = 0; i < n; i++) o[i] = b[i * stride];                                                               \
  }

#define T uint16_t
#define NAME(f) f##_u16
#define SPREAD(x) ((x) - (vec_u16){0})
#include "backend/cpu/isa/gemm_kernel.inc.h"
LOAD_BYTES(uint16_t)
static const source_u16 of_bytes_u16 = {load_bytes_uint16_t, 1};
PRODUCT(mx_gemm_u16, NULL)
PRODUCT(mx_gemm_u8, &of_bytes_u16)
#undef PRODUCT
#undef SPREAD
#undef T
#undef NAME

#define T uint32_t
#define NAME(f) f##_u32
#define SPREAD(x) ((x) - (vec_u32){0})
#include "backend/cpu/isa/gemm_kernel.inc.h"
LOAD_BYTES(uint32_t)
static const source_u32 of_bytes_u32 = {load_bytes_uint32_t, 1};
PRODUCT(mx_gemm_u32, NULL)
PRODUCT(mx_gemm_bool, &of_bytes_u32)
#undef PRODUCT
#undef SPREAD
#undef T
#undef NAME

#define T uint64_t
#define NAME(f) f##_u64
#define SPREAD(x) ((x) - (vec_u64){0})
#include "backend/cpu/isa/gemm_kernel.inc.h"
PRODUCT(mx_gemm_u64, NULL)
