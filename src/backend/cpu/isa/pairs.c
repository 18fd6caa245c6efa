/* Two additions or multiplications of floats in one loop: (a op b) op c, each rounded as if it stood alone. b and c are tiles or one
 * number. */
#include "backend/cpu/isa/common.h"

#define PAIR(name, first, second, B, C)                                                                  \
  static void name(size_t n, void *vo, const void *va, const void *vb, const void *vc) {                 \
    float *o = vo;                                                                                       \
    const float *a = va, *b = vb, *c = vc;                                                               \
    const float b0 = *b, c0 = *c;                                                                        \
    (void)b0, (void)c0;                                                                                  \
    MX_INDEPENDENT                                                                                       \
    for (size_t i = 0; i < n; i++) {                                                                     \
      float x = a[i] first B;                                                                            \
      o[i] = x second C;                                                                                 \
    }                                                                                                    \
  }
#define KINDS(name, first, second)       \
  PAIR(name##_tt, first, second, b[i], c[i]) \
  PAIR(name##_ts, first, second, b[i], c0)   \
  PAIR(name##_st, first, second, b0, c[i])   \
  PAIR(name##_ss, first, second, b0, c0)
KINDS(add_add, +, +)
KINDS(add_mul, +, *)
KINDS(mul_add, *, +)
KINDS(mul_mul, *, *)

#define ROWS(name) name##_tt, name##_ts, name##_st, name##_ss
extern const mx_loop CAT(mx_pairs, MX_ISA)[16];
const mx_loop CAT(mx_pairs, MX_ISA)[16] = {ROWS(add_add), ROWS(add_mul), ROWS(mul_add), ROWS(mul_mul)};
