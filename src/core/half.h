/* Half precision storage: f16 is IEEE binary16, bf16 the upper half of binary32. Arithmetic is done in float.
 * Conversions round half to even; NaN stays NaN. */
#ifndef MX_CORE_HALF_H
#define MX_CORE_HALF_H

#include <complex.h>
#ifndef CMPLXF /* glibc hides it from clang */
#define CMPLXF(x, y) __builtin_complex((float)(x), (float)(y))
#endif
#include <stdint.h>
#include <string.h>

typedef struct mx_f16 { uint16_t bits; } mx_f16;
typedef struct mx_bf16 { uint16_t bits; } mx_bf16;
typedef float _Complex mx_c64;

static inline float mx_bf16_to_f32(mx_bf16 h) {
  uint32_t u = (uint32_t)h.bits << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static inline mx_bf16 mx_f32_to_bf16(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  uint32_t nan = (u & 0x7fffffffu) > 0x7f800000u;
  uint32_t r = (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
  return (mx_bf16){(uint16_t)(nan ? (u >> 16) | 0x40u : r)};
}

static inline float mx_f16_to_f32(mx_f16 h) {
  /* exponent and mantissa moved up, then rescaled by 2^112; infinities and NaN get the full exponent */
  uint32_t em = (uint32_t)(h.bits & 0x7fffu) << 13, sign = (uint32_t)(h.bits & 0x8000u) << 16, u;
  float f;
  memcpy(&f, &em, 4);
  f *= 0x1p112f;
  memcpy(&u, &f, 4);
  if (em >= 0x0f800000u) u = em | 0x7f800000u;
  u |= sign;
  memcpy(&f, &u, 4);
  return f;
}

static inline mx_f16 mx_f32_to_f16(float f) {
  uint32_t u, sign;
  memcpy(&u, &f, 4);
  sign = (u >> 16) & 0x8000u;
  u &= 0x7fffffffu;
  if (u > 0x7f800000u) return (mx_f16){(uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x3ffu))};
  if (u >= 0x477ff000u) return (mx_f16){(uint16_t)(sign | 0x7c00u)};
  if (u < 0x38800000u) { /* subnormal: adding 0.5 rounds at the right bit */
    float a;
    memcpy(&a, &u, 4);
    a += 0.5f;
    memcpy(&u, &a, 4);
    return (mx_f16){(uint16_t)(sign | (u - 0x3f000000u))};
  }
  return (mx_f16){(uint16_t)(sign | ((u - 0x38000000u + 0xfffu + ((u >> 13) & 1)) >> 13))};
}

#endif
