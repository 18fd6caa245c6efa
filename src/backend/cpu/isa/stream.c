/* Copies whole cache lines past the caches, and asks for lines that will be read. */
#include "backend/cpu/isa/common.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

/* `to` is aligned to 64 bytes; it and `prefetch` may be NULL */
static void stream(size_t lines, void *to, const void *from, const void *prefetch) {
  char *o = to;
  const char *a = from, *p = prefetch;
  if (!o) {
    for (size_t i = 0; i < lines; i++) __builtin_prefetch(p + 64 * i);
    return;
  }
  for (size_t i = 0; i < lines; i++, o += 64, a += 64) {
    if (p) __builtin_prefetch(p + 64 * i);
#if defined(__AVX512F__)
    _mm512_stream_si512((void *)o, _mm512_loadu_si512((const void *)a));
#elif defined(__AVX__)
    _mm256_stream_si256((void *)o, _mm256_loadu_si256((const void *)a));
    _mm256_stream_si256((void *)(o + 32), _mm256_loadu_si256((const void *)(a + 32)));
#elif defined(__SSE2__)
    for (int k = 0; k < 64; k += 16) _mm_stream_si128((void *)(o + k), _mm_loadu_si128((const void *)(a + k)));
#else
    __builtin_memcpy(o, a, 64);
#endif
  }
}

static void fence(void) {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

extern const mx_streamer CAT(mx_streamer, MX_ISA);
const mx_streamer CAT(mx_streamer, MX_ISA) = {stream, fence};
