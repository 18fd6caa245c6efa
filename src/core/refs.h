/* Reference counts. While the process has one thread (glibc knows) no locked instruction is needed: it would cost more than most of what is
 * done with the thing that is counted. */
#ifndef MX_CORE_REFS_H
#define MX_CORE_REFS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define MX_ONE_THREAD __libc_single_threaded
#endif
#endif
#ifndef MX_ONE_THREAD
#define MX_ONE_THREAD 0
#endif

static inline void mx_ref_take(_Atomic int32_t *refs) {
  if (MX_ONE_THREAD)
    atomic_store_explicit(refs, atomic_load_explicit(refs, memory_order_relaxed) + 1, memory_order_relaxed);
  else
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* Whether it was the last. */
static inline bool mx_ref_drop(_Atomic int32_t *refs) {
  if (!MX_ONE_THREAD) return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
  int32_t left = atomic_load_explicit(refs, memory_order_relaxed) - 1;
  atomic_store_explicit(refs, left, memory_order_relaxed);
  return left == 0;
}

#endif
