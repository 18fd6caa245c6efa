/* Conversion loops between all compute types. */
#include "backend/cpu/isa/common.h"
#include "kernels/cast.h"

#define TYPE_b8 uint8_t
#define TYPE_u8 uint8_t
#define TYPE_u16 uint16_t
#define TYPE_u32 uint32_t
#define TYPE_u64 uint64_t
#define TYPE_i8 int8_t
#define TYPE_i16 int16_t
#define TYPE_i32 int32_t
#define TYPE_i64 int64_t
#define TYPE_f32 float
#define TYPE_f64 double
#define TYPE_c64 mx_c64

#define CAST(from, to)                                                                                     \
  static void from##_##to(size_t n, void *vo, const void *va, const void *vb, const void *vc) {           \
    TYPE_##to *o = vo;                                                                                     \
    const TYPE_##from *a = va;                                                                             \
    (void)vb, (void)vc;                                                                                    \
    MX_INDEPENDENT                                                                                         \
    for (size_t i = 0; i < n; i++) o[i] = mx_cast_##from##_##to(a[i]);                                     \
  }
#define EACH(X, from) \
  X(from, b8) X(from, u8) X(from, u16) X(from, u32) X(from, u64) X(from, i8) X(from, i16) X(from, i32) X(from, i64) X(from, f32) \
      X(from, f64) X(from, c64)
#define CASTS(from) EACH(CAST, from)
MX_TAGS(CASTS)

#define ENTRY(from, to) [MX_TAG_##to] = from##_##to,
#define ROW(from) [MX_TAG_##from] = {EACH(ENTRY, from)},
extern const mx_loop CAT(mx_casts, MX_ISA)[MX_N_TAGS][MX_N_TAGS];
const mx_loop CAT(mx_casts, MX_ISA)[MX_N_TAGS][MX_N_TAGS] = {MX_TAGS(ROW)};
