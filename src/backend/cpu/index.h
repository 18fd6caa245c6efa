/* Integers read from index arrays of any integer dtype. */
#ifndef MX_CPU_INDEX_H
#define MX_CPU_INDEX_H

#include "backend/backend.h"

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

/* Places that n indices (of v from element `at` on, `stride` apart) into an axis of `dim` elements mean: o[i] = or += index * step. Negative
 * ones count from the end. Returns the position of the first that is not in [-dim, room), or -1. */
int64_t mx_index_places(const mx_view *v, int64_t at, int64_t stride, int64_t n, int64_t dim, int64_t room, int64_t step, bool add,
                        int64_t *o);

#endif
