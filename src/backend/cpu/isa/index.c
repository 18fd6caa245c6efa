/* Indices of every integer dtype turned into places, and masks into indices, with vectors. */
#include "backend/cpu/vec.h"

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

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

/* Sixteen at a time without a branch, or what is true of eight. */
int64_t CAT(mx_list_trues, MX_ISA)(const uint8_t *, int64_t, uint32_t *);
int64_t CAT(mx_list_trues, MX_ISA)(const uint8_t *m, int64_t n, uint32_t *at) {
  int64_t k = 0, i = 0;
#ifdef __AVX512BW__
  __m512i here = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (; i + 64 <= n; i += 64) {
    __m512i x = _mm512_loadu_si512(m + i);
    __mmask64 set = _mm512_test_epi8_mask(x, x);
    for (int q = 0; q < 4; q++, set >>= 16) {
      _mm512_storeu_si512(at + k, _mm512_maskz_compress_epi32((__mmask16)set, here));
      k += __builtin_popcount((uint16_t)set);
      here = _mm512_add_epi32(here, _mm512_set1_epi32(16));
    }
  }
#endif
  for (; i + 8 <= n; i += 8) {
    uint64_t w;
    __builtin_memcpy(&w, m + i, 8);
    if (w)
      for (int b = 0; b < 8; b++) {
        at[k] = (uint32_t)(i + b);
        k += m[i + b] != 0;
      }
  }
  for (; i < n; i++) {
    at[k] = (uint32_t)i;
    k += m[i] != 0;
  }
  return k;
}
