/* Integers read from index arrays of any integer dtype. */
#ifndef MX_CPU_INDEX_H
#define MX_CPU_INDEX_H

#include "backend/backend.h"
#include "backend/cpu/vec.h"

static inline int64_t mx_index_at(const mx_view *v, int64_t i) {
  switch (v->dtype) {
    case MX_BOOL:
    case MX_U8: return ((const uint8_t *)v->data)[i];
    case MX_U16: return ((const uint16_t *)v->data)[i];
    case MX_U32: return ((const uint32_t *)v->data)[i];
    case MX_U64: {
      uint64_t u = ((const uint64_t *)v->data)[i];
      return u > INT64_MAX ? INT64_MAX : (int64_t)u;
    }
    case MX_I8: return ((const int8_t *)v->data)[i];
    case MX_I16: return ((const int16_t *)v->data)[i];
    case MX_I32: return ((const int32_t *)v->data)[i];
    case MX_I64: return ((const int64_t *)v->data)[i];
    default: return 0;
  }
}

/* o[i] = (or +=) the places (vec.h) of n indices, of v from element `at` on, `stride` apart. Returns the position of the first that is bad,
 * or -1. */
int64_t mx_index_places(const mx_view *v, int64_t at, int64_t stride, int64_t n, const mx_index_axis *axis, bool add, int64_t *o);

/* o[i * so] = x[at[i]], items of `item` bytes. */
void mx_take_at(int item, int64_t n, void *o, int64_t so, const void *x, const int64_t *at);

/* Asks for what will be read or written soon: the first `bytes` from p on, four lines at most. */
static inline void mx_fetch(const char *p, int64_t bytes) {
  for (int64_t k = 0; k < bytes && k < 256; k += 64) __builtin_prefetch(p + k);
}

/* As many of its lines as there are. */
static inline void mx_fetch_all(const char *p, int64_t bytes) {
  for (int64_t k = 0; k < bytes; k += 64) __builtin_prefetch(p + k);
}

/* Of an array of so many bytes or more, written once in order: past the caches. */
enum { MX_PAST_BYTES = 16 << 20 };

/* From this size on, items at random places of an array are asked for before they are read: most are not in the caches. */
enum { MX_FAR = 8 << 20, MX_FETCH_AHEAD = 8 };

#endif
