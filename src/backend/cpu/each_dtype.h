/* Includes MX_BODY once a dtype with
 *   TAG            the dtype's name, for CAT(fn, TAG)
 *   T, C           storage and compute type; LOAD(x), STORE(c) convert
 *   IS_BOOL, IS_INT, IS_FLOAT, IS_COMPLEX
 *   ADD MUL MAX MIN of C (integers wrap, NaN wins), LT(a, b): a sorts before b, NaN last; ISNAN(a)
 * TABLE(fn) is a table of the functions by dtype: fn_type *const table[MX_DTYPES] = TABLE(fn); */
#ifndef MX_CPU_EACH_DTYPE_H
#define MX_CPU_EACH_DTYPE_H

#include "core/dtype.h"
#include "core/half.h"

#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)

/* Complex numbers in order: real part, then imaginary part, NaN last in each. */
static inline int mx_less_f32(float a, float b) { return a < b || (b != b && a == a); }
static inline int mx_less_c64(mx_c64 a, mx_c64 b) {
  float ar = crealf(a), br = crealf(b);
  if (mx_less_f32(ar, br)) return 1;
  if (mx_less_f32(br, ar)) return 0;
  return mx_less_f32(cimagf(a), cimagf(b));
}
static inline int mx_isnan_c64(mx_c64 a) { return a != a; }
static inline mx_c64 mx_max_c64(mx_c64 a, mx_c64 b) {
  return mx_isnan_c64(a) ? a : mx_isnan_c64(b) ? b : mx_less_c64(a, b) ? b : a;
}
static inline mx_c64 mx_min_c64(mx_c64 a, mx_c64 b) {
  return mx_isnan_c64(a) ? a : mx_isnan_c64(b) ? b : mx_less_c64(b, a) ? b : a;
}
static inline mx_c64 mx_mul_c64(mx_c64 a, mx_c64 b) {
  float ar = crealf(a), ai = cimagf(a), br = crealf(b), bi = cimagf(b);
  return CMPLXF(ar * br - ai * bi, ar * bi + ai * br);
}

#define TABLE(fn)                                                                                                            \
  {                                                                                                                          \
    [MX_BOOL] = fn##_boolean, [MX_U8] = fn##_uint8, [MX_U16] = fn##_uint16, [MX_U32] = fn##_uint32, [MX_U64] = fn##_uint64,     \
    [MX_I8] = fn##_int8, [MX_I16] = fn##_int16, [MX_I32] = fn##_int32, [MX_I64] = fn##_int64, [MX_F16] = fn##_float16,       \
    [MX_F32] = fn##_float32, [MX_F64] = fn##_float64, [MX_BF16] = fn##_bfloat16, [MX_C64] = fn##_complex64                   \
  }

#endif

#define IS_BOOL 1
#define IS_INT 0
#define IS_FLOAT 0
#define IS_COMPLEX 0
#define LOAD(x) (x)
#define STORE(c) (c)
#define ADD(a, b) ((a) | (b))
#define MUL(a, b) ((a) & (b))
#define MAX(a, b) ((a) | (b))
#define MIN(a, b) ((a) & (b))
#define LT(a, b) ((a) < (b))
#define ISNAN(a) 0
#define T uint8_t
#define C uint8_t
#define TAG boolean
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef IS_BOOL
#undef IS_INT
#undef ADD
#undef MUL
#undef MAX
#undef MIN

#define IS_BOOL 0
#define IS_INT 1
#define ADD(a, b) ((C)((W)(a) + (W)(b)))
#define MUL(a, b) ((C)((W)(a) * (W)(b)))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define W uint32_t
#define T uint8_t
#define C uint8_t
#define TAG uint8
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T uint16_t
#define C uint16_t
#define TAG uint16
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T uint32_t
#define C uint32_t
#define TAG uint32
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T int8_t
#define C int8_t
#define TAG int8
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T int16_t
#define C int16_t
#define TAG int16
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T int32_t
#define C int32_t
#define TAG int32
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef W
#define W uint64_t
#define T uint64_t
#define C uint64_t
#define TAG uint64
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T int64_t
#define C int64_t
#define TAG int64
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef W
#undef IS_INT
#undef IS_FLOAT
#undef ADD
#undef MUL
#undef MAX
#undef MIN
#undef LT
#undef ISNAN

#define IS_INT 0
#define IS_FLOAT 1
#define ADD(a, b) ((a) + (b))
#define MUL(a, b) ((a) * (b))
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define LT(a, b) ((a) < (b) || ((b) != (b) && (a) == (a)))
#define ISNAN(a) ((a) != (a))
#define T float
#define C float
#define TAG float32
#include MX_BODY
#undef T
#undef C
#undef TAG
#define T double
#define C double
#define TAG float64
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef LOAD
#undef STORE
#define LOAD(x) mx_f16_to_f32(x)
#define STORE(c) mx_f32_to_f16(c)
#define T mx_f16
#define C float
#define TAG float16
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef LOAD
#undef STORE
#define LOAD(x) mx_bf16_to_f32(x)
#define STORE(c) mx_f32_to_bf16(c)
#define T mx_bf16
#define C float
#define TAG bfloat16
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef LOAD
#undef STORE
#undef IS_FLOAT
#undef IS_COMPLEX
#undef MUL
#undef MAX
#undef MIN
#undef LT
#undef ISNAN

#define IS_FLOAT 0
#define IS_COMPLEX 1
#define LOAD(x) (x)
#define STORE(c) (c)
#define MUL(a, b) mx_mul_c64(a, b)
#define MAX(a, b) mx_max_c64(a, b)
#define MIN(a, b) mx_min_c64(a, b)
#define LT(a, b) mx_less_c64(a, b)
#define ISNAN(a) mx_isnan_c64(a)
#define T mx_c64
#define C mx_c64
#define TAG complex64
#include MX_BODY
#undef T
#undef C
#undef TAG
#undef IS_BOOL
#undef IS_INT
#undef IS_FLOAT
#undef IS_COMPLEX
#undef LOAD
#undef STORE
#undef ADD
#undef MUL
#undef MAX
#undef MIN
#undef LT
#undef ISNAN
#undef MX_BODY
