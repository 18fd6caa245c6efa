#include "backend/cpu/fill.h"

#include <string.h>

#include "core/parallel.h"

typedef struct fill_job {
  char *out;
  const void *value;
  size_t item;
} fill_job;

static void fill_range(void *ctx, int64_t begin, int64_t end) {
  const fill_job *j = ctx;
  size_t n = (size_t)(end - begin);
  char *out = j->out + (size_t)begin * j->item;
  if (!j->value || !n) {
    memset(out, 0, n * j->item);
    return;
  }
  switch (j->item) {
    case 1: memset(out, *(const uint8_t *)j->value, n); break;
#define FILL(bytes, type)                                                                                                    \
  case bytes: {                                                                                                              \
    type v, *o = (type *)out;                                                                                                \
    memcpy(&v, j->value, bytes);                                                                                             \
    for (size_t i = 0; i < n; i++) o[i] = v;                                                                                 \
    break;                                                                                                                   \
  }
    FILL(2, uint16_t)
    FILL(4, uint32_t)
    FILL(8, uint64_t)
#undef FILL
  }
}

int mx_fill(const mx_view *out, const void *value) {
  fill_job j = {out->data, value, mx_dtype_sizes[out->dtype]};
  mx_parallel(out->size, 1 << 16, fill_range, &j);
  return 0;
}
