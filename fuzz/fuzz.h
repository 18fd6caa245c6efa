/* What a fuzz target offers. */
#ifndef MX_FUZZ_H
#define MX_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Valid files to start from: writes the i-th to w; non-zero when there are no more. */
int mx_fuzz_seed(int i, mx_writer *w);

/* A reader of bytes in memory. */
typedef struct mx_memory_reader {
  mx_reader base;
  const uint8_t *data;
} mx_memory_reader;

static inline int mx_memory_read(mx_reader *r, void *to, size_t n, uint64_t at) {
  __builtin_memcpy(to, ((mx_memory_reader *)r)->data + at, n);
  return 0;
}
static inline const char *mx_memory_label(mx_reader *r) {
  (void)r;
  return "memory";
}
static inline mx_memory_reader mx_memory_reader_of(const uint8_t *data, size_t size) {
  return (mx_memory_reader){{mx_memory_read, mx_memory_label, size}, data};
}

#endif
