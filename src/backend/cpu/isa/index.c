/* Indices of every integer dtype turned into places, with vectors. */
#include "backend/cpu/vec.h"

#include "backend/cpu/isa/common.h"
#include "core/dtype.h"

/* room - 1 - k and k have a sign bit where k is not in [0, room) */
#define PLACES(name, T)                                                                                                      \
  static bool places_##name(const void *data, int64_t stride, int64_t n, const mx_index_axis *axis, bool add,                \
                            int64_t *restrict o) {                                                                           \
    const T *restrict x = data;                                                                                              \
    int64_t bad = 0, dim = axis->dim, room = axis->room, step = axis->step, drift = axis->drift;                             \
    if (stride == 1 && !add)                                                                                                 \
      for (int64_t i = 0; i < n; i++) {                                                                                      \
        int64_t k = (int64_t)x[i];                                                                                           \
        k += k < 0 ? dim : 0;                                                                                                \
        bad |= k | (room - 1 - k);                                                                                           \
        o[i] = k * step + i * drift;                                                                                         \
      }                                                                                                                      \
    else                                                                                                                     \
      for (int64_t i = 0; i < n; i++) {                                                                                      \
        int64_t k = (int64_t)x[i * stride];                                                                                  \
        k += k < 0 ? dim : 0;                                                                                                \
        bad |= k | (room - 1 - k);                                                                                           \
        o[i] = (add ? o[i] : 0) + k * step + i * drift;                                                                      \
      }                                                                                                                      \
    return bad < 0;                                                                                                          \
  }
PLACES(u8, uint8_t)
PLACES(u16, uint16_t)
PLACES(u32, uint32_t)
PLACES(i8, int8_t)
PLACES(i16, int16_t)
PLACES(i32, int32_t)
PLACES(i64, int64_t)

extern const mx_index_fn CAT(mx_index_fns, MX_ISA)[MX_DTYPES];
const mx_index_fn CAT(mx_index_fns, MX_ISA)[MX_DTYPES] = {
    [MX_BOOL] = places_u8, [MX_U8] = places_u8,   [MX_U16] = places_u16, [MX_U32] = places_u32, [MX_I8] = places_i8,
    [MX_I16] = places_i16, [MX_I32] = places_i32, [MX_I64] = places_i64, [MX_U64] = places_i64};
