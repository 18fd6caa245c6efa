/* The library's only source of memory. Small blocks come from per-thread free lists; array data from mx_buffer (buffer.h).
 * Tests make the nth allocation fail with mx_alloc_fail_after. */
#ifndef MX_CORE_ALLOC_H
#define MX_CORE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* Under the address sanitizer nothing freed is kept for reuse, so that a use after free is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define MX_KEEP_FREED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MX_KEEP_FREED 0
#endif
#endif
#ifndef MX_KEEP_FREED
#define MX_KEEP_FREED 1
#endif

void *mx_malloc(size_t n);                 /* NULL when there is no memory: report with mx_fail_memory() */
void *mx_calloc(size_t count, size_t n);   /* zeroed; NULL also when count*n overflows */
void *mx_realloc(void *p, size_t n);
void mx_free(void *p);
char *mx_strdup(const char *s);

/* For tests: the nth allocation from now (0 = the next) fails, and every later one until called with -1. */
void mx_alloc_fail_after(int64_t n);

#endif
