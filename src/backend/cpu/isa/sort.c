/* Sorting keys of 32 and 64 bits with 512-bit vectors; floats as keys of the same order. */
#include "backend/cpu/vec.h"

#include <string.h>

#include "backend/cpu/isa/common.h"
#include "core/parallel.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

#define _mm512_cmplt_epu32 _mm512_cmplt_epu32_mask
#define _mm512_cmplt_epu64 _mm512_cmplt_epu64_mask
#define _mm512_mask_cmplt_epu32 _mm512_mask_cmplt_epu32_mask
#define _mm512_mask_cmplt_epu64 _mm512_mask_cmplt_epu64_mask
typedef __m512i v;

#define W 32
#define NAME(f) f##_32
#include "backend/cpu/isa/sort_keys.inc.h"
#define W 64
#define NAME(f) f##_64
#include "backend/cpu/isa/sort_keys.inc.h"
#define SORT(w) sort_##w(n, a)
#define SELECT(w) quickselect_##w(n, a, k)
#else
#define SORT(w) ((void)n, (void)a, false)
#define SELECT(w) ((void)n, (void)a, (void)k, false)
#endif

#define KEYS(w)                                                                     \
  bool CAT(mx_sort_u##w, MX_ISA)(int64_t, uint##w##_t *);                           \
  bool CAT(mx_select_u##w, MX_ISA)(int64_t, uint##w##_t *, int64_t);                \
  bool CAT(mx_sort_u##w, MX_ISA)(int64_t n, uint##w##_t *a) { return SORT(w); }     \
  bool CAT(mx_select_u##w, MX_ISA)(int64_t n, uint##w##_t *a, int64_t k) { return SELECT(w); }
KEYS(32)
KEYS(64)

/* The sign bit flipped when it is clear, all bits when it is set; NaN is the largest. Back: of keys in place. */
#define FLOATS(T, U, S, bits, inf)                                                                          \
  void CAT(mx_keys_##T, MX_ISA)(int64_t n, const T *x, U *restrict o);                                      \
  void CAT(mx_values_##T, MX_ISA)(int64_t n, const U *k, T *o);                                             \
  void CAT(mx_keys_##T, MX_ISA)(int64_t n, const T *x, U *restrict o) {                                     \
    for (int64_t i = 0; i < n; i++) {                                                                       \
      U u;                                                                                                  \
      __builtin_memcpy(&u, &x[i], sizeof u);                                                                \
      U key = u ^ ((U)((S)u >> (bits - 1)) | (U)1 << (bits - 1));                                           \
      o[i] = (u & ~((U)1 << (bits - 1))) > (U)inf ? (U) ~(U)0 : key;                                        \
    }                                                                                                       \
  }                                                                                                         \
  void CAT(mx_values_##T, MX_ISA)(int64_t n, const U *k, T *o) {                                            \
    MX_INDEPENDENT                                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                                       \
      U u = k[i];                                                                                           \
      u ^= ~(U)((S)u >> (bits - 1)) | (U)1 << (bits - 1);                                                   \
      __builtin_memcpy(&o[i], &u, sizeof u);                                                                \
    }                                                                                                       \
  }
FLOATS(float, uint32_t, int32_t, 32, 0x7f800000)
FLOATS(double, uint64_t, int64_t, 64, 0x7ff0000000000000)
