#include "backend/cpu/index.h"

#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

#define PLACES(name, T)                                                                                                      \
  static bool places_##name(const void *data, int64_t stride, int64_t n, int64_t dim, int64_t room, int64_t step, bool add,  \
                            int64_t *restrict o) {                                                                           \
    const T *x = data;                                                                                                       \
    bool bad = false;                                                                                                        \
    if (stride == 1 && !add) {                                                                                               \
      for (int64_t i = 0; i < n; i++) {                                                                                      \
        int64_t k = (int64_t)x[i];                                                                                           \
        k += k < 0 ? dim : 0;                                                                                                \
        bad |= (k < 0) | (k >= room);                                                                                        \
        o[i] = k * step;                                                                                                     \
      }                                                                                                                      \
      return bad;                                                                                                            \
    }                                                                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      int64_t k = (int64_t)x[i * stride];                                                                                    \
      k += k < 0 ? dim : 0;                                                                                                  \
      bad |= (k < 0) | (k >= room);                                                                                          \
      o[i] = (add ? o[i] : 0) + k * step;                                                                                    \
    }                                                                                                                        \
    return bad;                                                                                                              \
  }
PLACES(u8, uint8_t)
PLACES(u16, uint16_t)
PLACES(u32, uint32_t)
PLACES(i8, int8_t)
PLACES(i16, int16_t)
PLACES(i32, int32_t)
PLACES(i64, int64_t)

int64_t mx_index_places(const mx_view *v, int64_t at, int64_t stride, int64_t n, int64_t dim, int64_t room, int64_t step, bool add,
                        int64_t *o) {
  static bool (*const fns[MX_DTYPES])(const void *, int64_t, int64_t, int64_t, int64_t, int64_t, bool, int64_t *) = {
      [MX_BOOL] = places_u8, [MX_U8] = places_u8, [MX_U16] = places_u16, [MX_U32] = places_u32, [MX_I8] = places_i8,
      [MX_I16] = places_i16, [MX_I32] = places_i32, [MX_I64] = places_i64, [MX_U64] = places_i64};
  const void *data = (const char *)v->data + at * mx_dtype_sizes[v->dtype];
  bool bad = fns[v->dtype](data, stride, n, dim, room, step, add, o);
  if (!bad && v->dtype != MX_U64) return -1;
  for (int64_t i = 0; i < n; i++) { /* which one; u64 that look negative are none of the good ones */
    int64_t k = mx_index_at(v, at + i * stride);
    if (k < -dim || (k < 0 ? k + dim : k) >= room) return i;
  }
  return -1;
}
