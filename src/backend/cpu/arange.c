/* arange: each element is the one before plus the step, in the dtype's own arithmetic, as in MLX. */
#include "backend/cpu/kernels.h"

#define MX_BODY "backend/cpu/arange.inc.h"
#include "backend/cpu/each_dtype.h"

int mx_cpu_arange(const mx_call *c) {
  typedef void (*arange_fn)(int64_t n, int64_t start, int64_t step, void *out);
  static const arange_fn table[MX_DTYPES] = TABLE(arange);
  table[c->out->dtype](c->out->size, c->p[2], c->p[3], c->out->data);
  return 0;
}
