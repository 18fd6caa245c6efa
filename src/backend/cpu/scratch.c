#include "backend/cpu/scratch.h"

#include "core/buffer.h"

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
