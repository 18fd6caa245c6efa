/* Writing updates into a result: assign, add, multiply, maximum or minimum with what is there. */
#ifndef MX_CPU_COMBINE_H
#define MX_CPU_COMBINE_H

#include "backend/backend.h"

enum mx_combine_mode { MX_ASSIGN, MX_ADD, MX_MULTIPLY, MX_MAXIMUM, MX_MINIMUM, MX_COMBINE_MODES };

/* out[i * so] = out[i * so] (op) update[i * su] for i in [0, n), in this order; strides in elements. */
typedef void (*mx_combine)(int64_t n, void *out, int64_t so, const void *update, int64_t su);
mx_combine mx_combine_of(int mode, mx_dtype t);

/* out[at[i]] = out[at[i]] (op) update[i * su], in this order. */
typedef void (*mx_combine_at)(int64_t n, void *out, const int64_t *at, const void *update, int64_t su);
mx_combine_at mx_combine_at_of(int mode, mx_dtype t);

/* An update and its place. Layout and size follow the width of the value alone. */
#define MX_DEALT(T)                                 \
  struct {                                          \
    uint32_t at;                                    \
    _Alignas(sizeof(T) > 4 ? 8 : 4) T value;        \
  }
/* out[at] = out[at] (op) value, for n records of MX_DEALT, in this order. */
typedef void (*mx_combine_dealt)(int64_t n, void *out, const void *dealt);
mx_combine_dealt mx_combine_dealt_of(int mode, mx_dtype t);

/* All of `update` into `out`, a view of the same shape and dtype. */
int mx_combine_view(int mode, const mx_view *update, const mx_view *out);

#endif
