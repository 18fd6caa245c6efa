#include "backend/cpu/vec.h"

#include "backend/cpu/isa.h"

extern const mx_vec mx_vec_base;
#ifdef MX_HAVE_ISA_avx2
extern const mx_vec mx_vec_avx2;
#endif
#ifdef MX_HAVE_ISA_avx512
extern const mx_vec mx_vec_avx512;
#endif

const mx_vec *mx_vec_now(void) {
  const char *name = mx_isa_now->name; /* base, avx2, avx512 or avx512_bf16 */
  (void)name;
#ifdef MX_HAVE_ISA_avx512
  if (name[3] == '5') return &mx_vec_avx512;
#endif
#ifdef MX_HAVE_ISA_avx2
  if (name[3] == '2') return &mx_vec_avx2;
#endif
  return &mx_vec_base;
}
