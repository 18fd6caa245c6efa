#include "backend/cpu/index.h"

int64_t mx_index_places(const mx_view *v, int64_t at, int64_t stride, int64_t n, const mx_index_axis *axis, bool add, int64_t *o) {
  const void *data = (const char *)v->data + at * mx_dtype_sizes[v->dtype];
  bool bad = mx_vec_now()->places[v->dtype](data, stride, n, axis, add, o);
  if (!bad && v->dtype != MX_U64) return -1;
  for (int64_t i = 0; i < n; i++) { /* which one; u64 that look negative are none of the good ones */
    int64_t k = mx_index_at(v, at + i * stride);
    if (k < -axis->dim || (k < 0 ? k + axis->dim : k) >= axis->room) return i;
  }
  return -1;
}

void mx_take_at(int item, int64_t n, void *o, int64_t so, const void *x, const int64_t *at) {
  switch (item) {
#define ONE(bytes, T)                                                                                                        \
  case bytes: {                                                                                                              \
    const T *from = x;                                                                                                       \
    T *to = o;                                                                                                               \
    if (so == 1)                                                                                                             \
      for (int64_t i = 0; i < n; i++) to[i] = from[at[i]];                                                                   \
    else                                                                                                                     \
      for (int64_t i = 0; i < n; i++) to[i * so] = from[at[i]];                                                              \
    break;                                                                                                                   \
  }
    ONE(1, uint8_t)
    ONE(2, uint16_t)
    ONE(4, uint32_t)
    ONE(8, uint64_t)
#undef ONE
  }
}
