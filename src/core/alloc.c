/* Small blocks: malloc behind a switch that lets a test fail the nth allocation. */
#include "core/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int64_t fail_after = -1; /* -1: never */

static int may_allocate(void) {
  int64_t n = atomic_load_explicit(&fail_after, memory_order_relaxed);
  if (__builtin_expect(n < 0, 1)) return 1;
  if (n == 0) return 0;
  atomic_fetch_sub_explicit(&fail_after, 1, memory_order_relaxed);
  return 1;
}

void mx_alloc_fail_after(int64_t n) { atomic_store(&fail_after, n); }

void *mx_malloc(size_t n) { return may_allocate() ? malloc(n ? n : 1) : NULL; }

void *mx_calloc(size_t count, size_t n) {
  if (n && count > SIZE_MAX / n) return NULL;
  return may_allocate() ? calloc(count ? count : 1, n ? n : 1) : NULL;
}

void *mx_realloc(void *p, size_t n) { return may_allocate() ? realloc(p, n ? n : 1) : NULL; }

void mx_free(void *p) { free(p); }

char *mx_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  char *d = mx_malloc(n);
  if (d) memcpy(d, s, n);
  return d;
}
