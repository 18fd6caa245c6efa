/* Threefry-2x32 with 20 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), one counter at a time; loops over
 * many are in backend/cpu/isa/vec.c. */
#ifndef MX_CORE_THREEFRY_H
#define MX_CORE_THREEFRY_H

#include <stdint.h>

static inline void mx_threefry(uint32_t k0, uint32_t k1, uint32_t *x0, uint32_t *x1) {
  uint32_t a = *x0 + k0, b = *x1 + k1, k2 = k0 ^ k1 ^ 0x1BD11BDA;
#define MX_ROUND(r) a += b, b = (b << r | b >> (32 - r)) ^ a
#define MX_ODD      MX_ROUND(13), MX_ROUND(15), MX_ROUND(26), MX_ROUND(6)
#define MX_EVEN     MX_ROUND(17), MX_ROUND(29), MX_ROUND(16), MX_ROUND(24)
  MX_ODD, a += k1, b += k2 + 1;
  MX_EVEN, a += k2, b += k0 + 2;
  MX_ODD, a += k0, b += k1 + 3;
  MX_EVEN, a += k1, b += k2 + 4;
  MX_ODD, a += k2, b += k0 + 5;
#undef MX_ROUND
#undef MX_ODD
#undef MX_EVEN
  *x0 = a;
  *x1 = b;
}

#endif
