/* What the files compiled per instruction set share. */
#ifndef MX_CPU_ISA_COMMON_H
#define MX_CPU_ISA_COMMON_H

#ifdef __clang__ /* before the tables are first seen: loops that call libm are not vectorised */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#include "backend/cpu/isa.h"
#include "kernels/math.h"

#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)

/* Iterations do not depend on each other: the result may be an operand, but then element by element. */
#ifdef __clang__
#define MX_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define MX_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* In front of a loop whose bounds are constants: it leaves no loop, so that arrays of vectors stay in registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#define MX_MAYBE_UNUSED __attribute__((unused)) /* replaced by an override */

/* Rows of the tables whose dtypes do not hold the type vanish. */
#define ON(...) __VA_ARGS__
#define OFF(...)

#endif
