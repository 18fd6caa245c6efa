/* Where the smallest and largest elements are: kernels compiled once per instruction set, by compute type (isa.h). */
#ifndef MX_CPU_ARGS_H
#define MX_CPU_ARGS_H

#include <stdint.h>

#include "backend/cpu/isa.h"

typedef struct mx_arg {
  /* index of the first of the n > 0 elements that equals *value, or is NaN where that is; the last one when there is none */
  int64_t (*find)(int64_t n, const void *x, const void *value);
  /* [0] smallest, [1] largest. Goes over the rows of x (rows, len), which are ld elements apart: where column k of row i is better than
   * best[k], best[k] becomes it and at[k] becomes first + i. The first of equals stays; the first NaN is best. */
  void (*cols[2])(int64_t rows, int64_t len, int64_t ld, uint32_t first, void *best, uint32_t *at, const void *x);
} mx_arg;

#endif
