/* What a thread reads soon is fetched into its second cache, a few lines a tile, while it computes on what is there already. */
#include "backend/cpu/tile.h"

static _Thread_local struct {
  int n;
  int64_t elements; /* of work until then */
  struct {
    const char *at;
    int64_t lines, left;
  } part[MX_STREAMS];
} soon;

void mx_cpu_soon(int n, const void *const *data, const int64_t *bytes, int64_t elements) {
  soon.n = n < MX_STREAMS ? n : MX_STREAMS;
  soon.elements = elements > 0 ? elements : 1;
  for (int i = 0; i < soon.n; i++) {
    soon.part[i].at = data[i];
    soon.part[i].lines = soon.part[i].left = (bytes[i] + 63) / 64;
  }
}

bool mx_soon_any(void) { return soon.n > 0; }

void mx_soon_fetch(int64_t elements) {
  for (int i = 0; i < soon.n; i++) {
    int64_t lines = soon.part[i].lines * elements / soon.elements + 1;
    if (lines > soon.part[i].left) lines = soon.part[i].left;
    const char *at = soon.part[i].at;
    for (int64_t l = 0; l < lines; l++) __builtin_prefetch(at + 64 * l, 0, 2);
    soon.part[i].at += 64 * lines;
    soon.part[i].left -= lines;
  }
}
