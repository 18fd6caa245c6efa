/* Loops of float that stand in the table instead of the plain ones. */
/* The bodies of sin, cos and tan hold up to MX_TRIG_LIMIT_F32; blocks with larger arguments take libm's for those. */
#define TRIG(name)                                                                                       \
  static void big_##name##_f32(size_t n, void *vo, const void *va, const void *vb, const void *vc) {     \
    enum { BLOCK = 64 };                                                                                 \
    for (size_t at = 0; at < n; at += BLOCK) {                                                           \
      size_t m = n - at < BLOCK ? n - at : BLOCK;                                                        \
      const float *a = (const float *)va + at;                                                           \
      float *o = (float *)vo + at;                                                                       \
      int big = 0;                                                                                       \
      for (size_t i = 0; i < m; i++) big |= !(__builtin_fabsf(a[i]) <= MX_TRIG_LIMIT_F32);               \
      if (!big) {                                                                                        \
        name##_f32(m, o, a, vb, vc);                                                                     \
        continue;                                                                                        \
      }                                                                                                  \
      for (size_t i = 0; i < m; i++)                                                                     \
        o[i] = __builtin_fabsf(a[i]) <= MX_TRIG_LIMIT_F32 ? mx_##name##_f32(a[i]) : (float)name(a[i]);   \
    }                                                                                                    \
  }
TRIG(sin)
TRIG(cos)
TRIG(tan)
#define sin_f32 big_sin_f32
#define cos_f32 big_cos_f32
#define tan_f32 big_tan_f32


#ifdef __AVX512F__
#include "backend/cpu/isa/avx512.inc.h"
#endif
