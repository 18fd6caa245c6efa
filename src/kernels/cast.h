/* Conversions between compute types: mx_cast_<from>_<to>(x). Integers wrap; a complex number gives its real part, but is true when
 * either part is not zero. A float that does not fit gives what x86's conversions give, as MLX does: NaN and infinities the
 * lowest i32 or i64, of which smaller integers keep the low bits. */
#ifndef MX_KERNELS_CAST_H
#define MX_KERNELS_CAST_H

#include "kernels/math.h"

#define CAST_FLOAT(F, from)                                                                                              \
  static inline uint8_t mx_cast_##from##_b8(F x) { return x != 0; }                                                      \
  static inline int32_t mx_cast_##from##_i32(F x) {                                                                      \
    return (x >= (F)-0x1p31 && x < (F)0x1p31) ? (int32_t)x : INT32_MIN;                                                  \
  }                                                                                                                      \
  static inline int64_t mx_cast_##from##_i64(F x) {                                                                      \
    return (x >= (F)-0x1p63 && x < (F)0x1p63) ? (int64_t)x : INT64_MIN;                                                  \
  }                                                                                                                      \
  static inline uint32_t mx_cast_##from##_u32(F x) {                                                                     \
    bool big = x >= (F)0x1p31;                                                                                           \
    return (uint32_t)mx_cast_##from##_i32(big ? x - (F)0x1p31 : x) ^ ((uint32_t)big << 31);                              \
  }                                                                                                                      \
  static inline uint64_t mx_cast_##from##_u64(F x) {                                                                     \
    bool big = x >= (F)0x1p63;                                                                                           \
    return (uint64_t)mx_cast_##from##_i64(big ? x - (F)0x1p63 : x) ^ ((uint64_t)big << 63);                              \
  }                                                                                                                      \
  static inline int16_t mx_cast_##from##_i16(F x) { return (int16_t)mx_cast_##from##_i32(x); }                           \
  static inline uint16_t mx_cast_##from##_u16(F x) { return (uint16_t)mx_cast_##from##_i32(x); }                         \
  static inline int8_t mx_cast_##from##_i8(F x) { return (int8_t)mx_cast_##from##_i32(x); }                              \
  static inline uint8_t mx_cast_##from##_u8(F x) { return (uint8_t)mx_cast_##from##_i32(x); }                            \
  static inline float mx_cast_##from##_f32(F x) { return (float)x; }                                                     \
  static inline double mx_cast_##from##_f64(F x) { return (double)x; }                                                   \
  static inline mx_c64 mx_cast_##from##_c64(F x) { return mx_complex((float)x, 0); }

#define CAST_INT(I, from)                                                                                                \
  static inline uint8_t mx_cast_##from##_b8(I x) { return x != 0; }                                                      \
  static inline int64_t mx_cast_##from##_i64(I x) { return (int64_t)x; }                                                 \
  static inline uint64_t mx_cast_##from##_u64(I x) { return (uint64_t)x; }                                               \
  static inline int32_t mx_cast_##from##_i32(I x) { return (int32_t)x; }                                                 \
  static inline uint32_t mx_cast_##from##_u32(I x) { return (uint32_t)x; }                                               \
  static inline int16_t mx_cast_##from##_i16(I x) { return (int16_t)x; }                                                 \
  static inline uint16_t mx_cast_##from##_u16(I x) { return (uint16_t)x; }                                               \
  static inline int8_t mx_cast_##from##_i8(I x) { return (int8_t)x; }                                                    \
  static inline uint8_t mx_cast_##from##_u8(I x) { return (uint8_t)x; }                                                  \
  static inline float mx_cast_##from##_f32(I x) { return (float)x; }                                                     \
  static inline double mx_cast_##from##_f64(I x) { return (double)x; }                                                   \
  static inline mx_c64 mx_cast_##from##_c64(I x) { return mx_complex((float)x, 0); }

CAST_FLOAT(float, f32)
CAST_FLOAT(double, f64)
CAST_INT(uint8_t, b8)
CAST_INT(int64_t, i64)
CAST_INT(uint64_t, u64)
CAST_INT(int32_t, i32)
CAST_INT(uint32_t, u32)
CAST_INT(int16_t, i16)
CAST_INT(uint16_t, u16)
CAST_INT(int8_t, i8)
CAST_INT(uint8_t, u8)

#define CAST_COMPLEX(T, to) static inline T mx_cast_c64_##to(mx_c64 x) { return mx_cast_f32_##to(crealf(x)); }
static inline uint8_t mx_cast_c64_b8(mx_c64 x) { return (crealf(x) != 0) | (cimagf(x) != 0); }
CAST_COMPLEX(int64_t, i64)
CAST_COMPLEX(uint64_t, u64)
CAST_COMPLEX(int32_t, i32)
CAST_COMPLEX(uint32_t, u32)
CAST_COMPLEX(int16_t, i16)
CAST_COMPLEX(uint16_t, u16)
CAST_COMPLEX(int8_t, i8)
CAST_COMPLEX(uint8_t, u8)
CAST_COMPLEX(float, f32)
CAST_COMPLEX(double, f64)
static inline mx_c64 mx_cast_c64_c64(mx_c64 x) { return x; }

#undef CAST_FLOAT
#undef CAST_INT
#undef CAST_COMPLEX
#endif
