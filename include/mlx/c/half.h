/*
 * mlx/c/half.h: the 16-bit floats, where the compiler has a type for them. The library holds f16 and bf16 arrays
 * everywhere; only the functions that name these types depend on it.
 */
#ifndef MLX_C_HALF_H
#define MLX_C_HALF_H

#if defined(__ARM_FEATURE_FP16_SCALAR_ARITHMETIC)
#define HAS_FLOAT16
__extension__ typedef __fp16 float16_t;
#elif defined(__x86_64__) && !defined(__cplusplus) && !defined(__clang__) && defined(__FLT16_MAX__)
#define HAS_FLOAT16
__extension__ typedef _Float16 float16_t;
#endif

#if defined(__ARM_FEATURE_BF16) || (!defined(__clang__) && defined(__BFLT16_MAX__))
#define HAS_BFLOAT16
__extension__ typedef __bf16 bfloat16_t;
#endif

#endif /* MLX_C_HALF_H */
