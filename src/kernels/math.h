/* M(f): the function f of the op tables for the compute type that TAG names (f32 f64 c64 i64 u64 i32 u32 i16 u16 i8 u8 b8). */
#ifndef MX_KERNELS_MATH_H
#define MX_KERNELS_MATH_H

#include <complex.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/half.h"
#include "kernels/erfinv.h"

#define MX_CAT_(a, b) a##_##b
#define MX_CAT(a, b) MX_CAT_(a, b)
#define M(f) MX_CAT(mx_##f, TAG)

#include "kernels/math_f32.h"
#include "kernels/math_f64.h"
#include "kernels/math_c64.h"

/* bodies are written once for signed and unsigned */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtype-limits"
#define T int64_t
#define U uint64_t
#define TAG i64
#define LOWEST INT64_MIN
#define HIGHEST INT64_MAX
#include "kernels/math_int.inc.h"
#define T int32_t
#define U uint32_t
#define TAG i32
#define LOWEST INT32_MIN
#define HIGHEST INT32_MAX
#include "kernels/math_int.inc.h"
#define T int16_t
#define U uint16_t
#define TAG i16
#define LOWEST INT16_MIN
#define HIGHEST INT16_MAX
#include "kernels/math_int.inc.h"
#define T int8_t
#define U uint8_t
#define TAG i8
#define LOWEST INT8_MIN
#define HIGHEST INT8_MAX
#include "kernels/math_int.inc.h"
#define T uint64_t
#define U uint64_t
#define TAG u64
#define LOWEST 0
#define HIGHEST UINT64_MAX
#include "kernels/math_int.inc.h"
#define T uint32_t
#define U uint32_t
#define TAG u32
#define LOWEST 0
#define HIGHEST UINT32_MAX
#include "kernels/math_int.inc.h"
#define T uint16_t
#define U uint16_t
#define TAG u16
#define LOWEST 0
#define HIGHEST UINT16_MAX
#include "kernels/math_int.inc.h"
#define T uint8_t
#define U uint8_t
#define TAG u8
#define LOWEST 0
#define HIGHEST UINT8_MAX
#include "kernels/math_int.inc.h"
#define T uint8_t /* bool: 0 or 1 */
#define U uint8_t
#define TAG b8
#define LOWEST 0
#define HIGHEST 1
#include "kernels/math_int.inc.h"
#pragma GCC diagnostic pop

#endif
