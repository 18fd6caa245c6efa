/* 16-bit floats as bits. */
#ifndef PX_HALF_H
#define PX_HALF_H

#include <stdint.h>
#include <string.h>

static inline float px_bf16_to_f32(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static inline uint16_t px_f32_to_bf16(float f) { /* ties to even; NaN stays NaN */
  uint32_t u;
  memcpy(&u, &f, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float px_f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 1023, u;
  float f;
  if (e == 31)
    u = sign | 0x7f800000 | m << 13;
  else if (e)
    u = sign | (e + 112) << 23 | m << 13;
  else {
    f = (float)m * 0x1p-24f;
    memcpy(&u, &f, 4);
    u |= sign;
  }
  memcpy(&f, &u, 4);
  return f;
}

static inline uint16_t px_f32_to_f16(float f) { /* ties to even */
  uint32_t u, sign;
  memcpy(&u, &f, 4);
  sign = u >> 16 & 0x8000;
  u &= 0x7fffffff;
  if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (u < 0x38800000) { /* subnormal: let the adder round */
    float a, half = 0.5f;
    memcpy(&a, &u, 4);
    a += half;
    memcpy(&u, &a, 4);
    return (uint16_t)(sign | (u - 0x3f000000));
  }
  u += 0xc8000fff + (u >> 13 & 1);
  return (uint16_t)(sign | u >> 13);
}

#endif
