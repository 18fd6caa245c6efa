/* Quantized matrices. Each row is one little-endian stream of codes of `bits` bits in uint32 words; `group` neighbours in a row
 * share a scale. In affine mode a code q stands for q * scale + bias; in the others for a small float times the group's scale,
 * a byte: a power of two (mxfp4, mxfp8) or an e4m3 float (nvfp4). */
#ifndef MX_CORE_QUANT_H
#define MX_CORE_QUANT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef enum mx_quant_mode { MX_AFFINE, MX_MXFP4, MX_MXFP8, MX_NVFP4, MX_QUANT_MODES } mx_quant_mode;

typedef struct mx_quant {
  mx_quant_mode mode;
  int group, bits;
} mx_quant;

/* Words in a row of n codes; n is a multiple of the group. */
static inline int64_t mx_quant_words(const mx_quant *q, int64_t n) { return n * q->bits / 32; }

/* e4m3: 4 bits of exponent, 3 of mantissa, no infinity, 0x7f and 0xff are NaN. */
static inline float mx_fp8_to_f32(uint8_t b) {
  uint32_t u = (uint32_t)(b & 0x7f) << 20, nan = u == 0x07f00000u ? 0x7fc00000u : 0, sign = (uint32_t)(b & 0x80) << 24;
  float v;
  memcpy(&v, &u, 4);
  v *= 0x1p120f; /* exponent and mantissa are where those of a float are, but for the bias */
  memcpy(&u, &v, 4);
  u |= nan | sign;
  memcpy(&v, &u, 4);
  return v;
}

/* The nearest e4m3, half to even; what is beyond 448, infinite or NaN becomes 448. The sign bit stays. */
static inline uint8_t mx_f32_to_fp8(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  uint8_t sign = (uint8_t)(u >> 24 & 0x80);
  u &= 0x7fffffffu;
  if (u >= 0x43e00000u) return sign | 0x7e; /* 448 */
  if (u < 0x3c800000u) {                    /* subnormal, below 2^-6: steps of 2^-9 */
    float a;
    memcpy(&a, &u, 4);
    return sign | (uint8_t)lrintf(a * 512);
  }
  u = u - (120u << 23) + 0x7ffffu + (u >> 20 & 1);
  return sign | (uint8_t)(u >> 20);
}

/* e2m1, by code: sign, two bits of exponent, one of mantissa. */
#define MX_FP4_VALUES 0.f, 0.5f, 1.f, 1.5f, 2.f, 3.f, 4.f, 6.f, -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f

/* The scale of a byte in mxfp4 and mxfp8: 2^(b - 127), infinite for 255. */
static inline float mx_e8m0_to_f32(uint8_t b) {
  uint32_t u = b ? (uint32_t)b << 23 : 0x00400000u;
  float v;
  memcpy(&v, &u, 4);
  return v;
}

#endif
