/* Copies, to measure others against. `copy` uses ordinary vector stores: what any program that reads and writes these
 * arrays once must at least take. `copy_memcpy` is libc's, which at this size uses streaming stores. */
#include <stddef.h>
#include <string.h>

typedef float block __attribute__((vector_size(64), aligned(4), may_alias));

__attribute__((optimize("no-tree-loop-distribute-patterns")))
void copy(float *restrict out, const float *restrict in, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) *(block *)(out + i) = *(const block *)(in + i);
  for (; i < n; i++) out[i] = in[i];
}

void copy_memcpy(float *restrict out, const float *restrict in, size_t n) { memcpy(out, in, n * sizeof(float)); }
