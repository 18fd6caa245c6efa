/* Element-wise loops of float. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_floats.h"

#define SCALARS
#define OVERRIDES "backend/cpu/isa/overrides_f32.inc.h"
#define T float
#define TAG f32
#define REAL_T float
#include "backend/cpu/isa/loops.inc.h"

/* Two operations in one loop, each rounded as if it stood alone. */
#define JOIN(name, body)                                                                             \
  static void name(size_t n, void *vo, const void *va, const void *vb, const void *vc) {             \
    float *o = vo;                                                                                   \
    const float *a = va, *b = vb, *c = vc, b0 = *b;                                                  \
    (void)c, (void)b0;                                                                               \
    MX_INDEPENDENT                                                                                   \
    for (size_t i = 0; i < n; i++) o[i] = body;                                                      \
  }
JOIN(sqrt_add, mx_sqrt_f32(a[i]) + b0)
JOIN(div_sub, c[i] - a[i] / b[i])
#ifdef __AVX512F__
static void sub_exp(size_t n, void *vo, const void *va, const void *vb, const void *vc) {
  (void)vc;
  exp_after(n, vo, va, _mm512_set1_ps(*(const float *)vb));
}
#else
JOIN(sub_exp, mx_exp_f32(a[i] - b0))
#endif
extern const mx_loop CAT(mx_joins, MX_ISA)[];
const mx_loop CAT(mx_joins, MX_ISA)[] = {[MX_JOIN_SUB_EXP] = sub_exp, [MX_JOIN_SQRT_ADD] = sqrt_add, [MX_JOIN_DIV_SUB] = div_sub};
