/* searchsorted: where values would be inserted into sorted rows. NaN stands behind all numbers. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

enum { SIDE = 8 }; /* values sought at a time */

#define MX_BODY "backend/cpu/search.inc.h"
#include "backend/cpu/each_dtype.h"

typedef void (*search_fn)(int64_t n, const void *sorted, int64_t m, const void *values, bool right, uint32_t *out);

typedef struct search_job {
  search_fn fn;
  const char *sorted, *values; /* (batches, n), (batches, m), packed */
  uint32_t *out;
  int64_t n, m, piece, pieces; /* the values of a batch are cut into pieces */
  size_t item;
  bool right;
} search_job;

static void search_range(void *ctx, int64_t begin, int64_t end) {
  const search_job *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    int64_t batch = i / j->pieces, at = i % j->pieces * j->piece, m = j->m - at < j->piece ? j->m - at : j->piece;
    int64_t first = batch * j->m + at;
    j->fn(j->n, j->sorted + (size_t)(batch * j->n) * j->item, m, j->values + (size_t)first * j->item, j->right, j->out + first);
  }
}

/* p = right, batch dimensions; in sorted (batches, n), values (batches, ...) of its dtype; out like the values. */
int mx_cpu_searchsorted(const mx_call *c) {
  static const search_fn table[MX_DTYPES] = TABLE(search);
  const mx_view *sorted = &c->in[0], *values = &c->in[1];
  if (!values->size) return 0;
  int64_t batches = 1;
  for (int d = 0; d < c->p[1]; d++) batches *= sorted->shape[d];
  search_job j = {.fn = table[sorted->dtype], .out = c->out->data, .n = sorted->shape[c->p[1]], .m = values->size / batches,
                  .piece = 1 << 12, .item = mx_dtype_sizes[sorted->dtype], .right = c->p[0]};
  j.pieces = (j.m + j.piece - 1) / j.piece;
  void *copies[2] = {NULL, NULL};
  int rc = 0;
  j.sorted = mx_packed(sorted, &copies[0]);
  j.values = mx_packed(values, &copies[1]);
  if ((!j.sorted && sorted->size) || !j.values) rc = mx_error_kind();
  else mx_parallel(batches * j.pieces, (1 << 12) / (j.m + 1) + 1, search_range, &j);
  mx_scratch_free(copies[0]);
  mx_scratch_free(copies[1]);
  return rc;
}
