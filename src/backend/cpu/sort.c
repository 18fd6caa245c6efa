/* sort, argsort, partition, argpartition along an axis: stable, NaN last, complex numbers by real, then imaginary part. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

#define MX_BODY "backend/cpu/sort.inc.h"
#include "backend/cpu/each_dtype.h"

/* Sorts n elements at x into out (contiguous, room for n) with scratch for n more; index likewise gives positions. */
typedef void (*sort_fn)(int64_t n, const void *x, int64_t stride, void *out, void *scratch);
typedef void (*argsort_fn)(int64_t n, const void *x, int64_t stride, uint32_t *out, uint32_t *scratch);

typedef struct sort_job {
  mx_rows rows;
  const mx_view *in, *out;
  sort_fn sort;
  argsort_fn argsort;
  _Atomic bool no_memory;
} sort_job;

static void sort_range(void *ctx, int64_t begin, int64_t end) {
  sort_job *j = ctx;
  int64_t n = j->rows.n[0], so = j->rows.stride[1];
  size_t item = mx_dtype_sizes[j->out->dtype];
  char *scratch = mx_malloc((size_t)n * item * 2);
  if (!scratch) {
    j->no_memory = true;
    return;
  }
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at)) {
    char *out = mx_at(j->out, at.off[1]), *row = so == 1 ? out : scratch + (size_t)n * item;
    const void *x = mx_at(j->in, at.off[0]);
    if (j->argsort) j->argsort(n, x, j->rows.stride[0], (uint32_t *)(void *)row, (uint32_t *)(void *)scratch);
    else j->sort(n, x, j->rows.stride[0], row, scratch);
    if (so != 1)
      for (int64_t k = 0; k < n; k++) memcpy(out + (size_t)(k * so) * item, row + (size_t)k * item, item);
  }
  mx_free(scratch);
}

static int sort_run(const mx_call *c, bool arg) {
  static const sort_fn sorts[MX_DTYPES] = TABLE(sort);
  static const argsort_fn argsorts[MX_DTYPES] = TABLE(argsort);
  sort_job j = {.in = c->in, .out = c->out};
  if (!c->out->size) return 0;
  if (arg) j.argsort = argsorts[c->in->dtype];
  else j.sort = sorts[c->in->dtype];
  mx_rows_init(&j.rows, c->in, c->out, (int)c->p[0]);
  mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), sort_range, &j);
  return j.no_memory ? mx_fail_memory() : 0;
}

int mx_cpu_sort(const mx_call *c) { return sort_run(c, false); }
int mx_cpu_argsort(const mx_call *c) { return sort_run(c, true); }
int mx_cpu_partition(const mx_call *c) { return sort_run(c, false); }
int mx_cpu_argpartition(const mx_call *c) { return sort_run(c, true); }
