#include "backend/cpu/scratch.h"

#include "backend/cpu/kernels.h"
#include "core/buffer.h"
#include "core/error.h"

enum { HEADER = 64 }; /* in front of what is given: the buffer */

void *mx_scratch(size_t bytes) {
  mx_buffer *b = mx_buffer_new(bytes + HEADER);
  if (!b) return NULL;
  *(mx_buffer **)b->ptr = b;
  return (char *)b->ptr + HEADER;
}

void mx_scratch_free(void *p) {
  if (p) mx_buffer_release(*(mx_buffer **)(void *)((char *)p - HEADER));
}

static bool is_packed(const mx_view *v) {
  int64_t want = 1;
  for (int d = v->ndim - 1; d >= 0; want *= v->shape[d--])
    if (v->shape[d] != 1 && v->strides[d] != want) return v->size == 0;
  return true;
}

const void *mx_packed(const mx_view *v, void **copy) {
  *copy = NULL;
  if (is_packed(v)) return v->data;
  if (!(*copy = mx_scratch((size_t)v->size * mx_dtype_sizes[v->dtype]))) {
    mx_fail_memory();
    return NULL;
  }
  int64_t strides[MX_MAX_NDIM];
  mx_view to = *v;
  mx_row_strides(v->ndim, v->shape, strides);
  to.data = *copy;
  to.strides = strides;
  mx_copy_view(v, &to);
  return *copy;
}
