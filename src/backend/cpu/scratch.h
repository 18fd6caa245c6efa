/* Scratch memory of kernels, from the caching allocator: large blocks of malloc would be mapped, zeroed and unmapped at each call. */
#ifndef MX_CPU_SCRATCH_H
#define MX_CPU_SCRATCH_H

#include <stddef.h>

#include "backend/backend.h"

void *mx_scratch(size_t bytes); /* 64-byte aligned; NULL when there is no memory */
void mx_scratch_free(void *p);  /* NULL is fine */

/* The same where most often little is needed: `near`, room on the stack, if that will do. */
static inline void *mx_scratch_near(void *near, size_t room, size_t bytes) { return bytes <= room ? near : mx_scratch(bytes); }
static inline void mx_scratch_leave(void *p, const void *near) {
  if (p != near) mx_scratch_free(p);
}

/* The data of v in row order without gaps: its own, or a copy that *copy holds, for mx_scratch_free. NULL and an error: no memory. */
const void *mx_packed(const mx_view *v, void **copy);

#endif
