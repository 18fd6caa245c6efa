/* Buffers: counted blocks of array data, 64-byte aligned, from a caching allocator with size classes (buffer.c), or
 * foreign memory with a destructor. Counted for the memory API. */
#ifndef MX_CORE_BUFFER_H
#define MX_CORE_BUFFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/refs.h"

typedef struct mx_buffer {
  _Atomic int refs;
  int class;                /* of our own: of its size */
  void *ptr;
  size_t size;              /* usable bytes */
  void (*dtor)(void *);     /* foreign memory: called once with payload; NULL for our own */
  void *payload;
} mx_buffer;

mx_buffer *mx_buffer_new(size_t size);  /* NULL and an error when there is no memory or the limit is reached */
mx_buffer *mx_buffer_foreign(void *ptr, size_t size, void (*dtor)(void *), void *payload);
void mx_buffer_destroy(mx_buffer *b);

static inline mx_buffer *mx_buffer_retain(mx_buffer *b) {
  if (b) mx_ref_take(&b->refs);
  return b;
}
static inline void mx_buffer_release(mx_buffer *b) {
  if (b && mx_ref_drop(&b->refs)) mx_buffer_destroy(b);
}

/* Memory API, bytes. The setters return the old value. */
size_t mx_memory_active(void);
size_t mx_memory_peak(void);
size_t mx_memory_cached(void);
void mx_memory_reset_peak(void);
void mx_memory_clear_cache(void);
size_t mx_memory_limit(void);
size_t mx_memory_set_limit(size_t bytes);
size_t mx_memory_set_cache_limit(size_t bytes);

#endif
