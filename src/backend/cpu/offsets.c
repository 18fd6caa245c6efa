#include "backend/cpu/offsets.h"

#include <string.h>

#include "backend/cpu/index.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"

int mx_places_init(mx_places *p, const char *tag, const mx_view *x, int k, const int64_t *axes, const mx_view *index, const int32_t *size) {
  p->tag = tag;
  p->k = k;
  p->n = k ? index[0].size : 1;
  p->bad = INT64_MAX;
  if (!(p->at = mx_scratch((size_t)(k + 1) * sizeof *p->at))) return mx_fail_memory();
  for (int i = 0; i < k; i++) {
    mx_place *q = &p->at[i];
    int64_t s[MX_WALK_OPERANDS];
    q->index = &index[i];
    q->axis = (int)axes[i];
    q->into = (mx_index_axis){x->shape[axes[i]], x->shape[axes[i]] - size[axes[i]] + 1, x->strides[axes[i]], 0};
    mx_walk_init(&q->walk, index[i].ndim, index[i].shape, -1, index[i].strides, NULL, NULL);
    q->n = mx_walk_pop(&q->walk, s);
    q->along = s[0];
  }
  return 0;
}

bool mx_places_fill(mx_places *p, int64_t begin, int64_t end, int64_t *o) {
  if (!p->k) memset(o, 0, (size_t)(end - begin) * sizeof *o);
  for (int k = 0; k < p->k; k++) {
    const mx_place *q = &p->at[k];
    mx_cursor at;
    mx_walk_seek(&q->walk, &at, begin / q->n);
    for (int64_t i = begin, first = begin % q->n; i < end; first = 0, mx_walk_next(&q->walk, &at)) {
      int64_t n = q->n - first < end - i ? q->n - first : end - i;
      int64_t bad = mx_index_places(q->index, at.off[0] + first * q->along, q->along, n, &q->into, k > 0, o + (i - begin));
      if (bad >= 0) {
        int64_t seen = atomic_load(&p->bad);
        while (i + bad < seen && !atomic_compare_exchange_weak(&p->bad, &seen, i + bad)) {}
        return false;
      }
      i += n;
      if (q->along == 1) /* what the next call will read: fetched while the caller waits for something else */
        mx_fetch_all(mx_at(q->index, at.off[0] + first + n), (end - begin) * mx_dtype_sizes[q->index->dtype]);
    }
  }
  return true;
}

int mx_places_end(mx_places *p) {
  int rc = 0;
  for (int k = 0; k < p->k && p->bad != INT64_MAX && !rc; k++) {
    const mx_place *q = &p->at[k];
    mx_cursor at;
    mx_walk_seek(&q->walk, &at, p->bad / q->n);
    int64_t i = mx_index_at(q->index, at.off[0] + p->bad % q->n * q->along);
    if (i < -q->into.dim || (i < 0 ? i + q->into.dim : i) >= q->into.room)
      rc = mx_fail(MX_EINDEX, "[%s] index %lld is out of bounds for axis %d with size %lld", p->tag, (long long)i, q->axis, (long long)q->into.dim);
  }
  mx_scratch_free(p->at);
  return rc;
}

void mx_block_init(mx_block *b, int nd, const int32_t *size, const int64_t *s0, const int64_t *s1) {
  mx_walk_init(&b->walk, nd, size, -1, s0, s1, NULL);
  b->n = mx_walk_pop(&b->walk, b->stride);
}
