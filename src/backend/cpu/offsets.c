#include "backend/cpu/offsets.h"

#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/index.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

/* Places that indices into one axis mean: offsets[i] = or += index * stride. */
typedef struct offsets_job {
  const mx_view *index;
  mx_walk walk;            /* rows of the indices */
  int64_t n, along;        /* of a row */
  int64_t room;            /* indices in [-dim, room) are good */
  int64_t dim, stride;
  bool add;
  int64_t *offsets;
  _Atomic int64_t bad;     /* position of the first bad index, or INT64_MAX */
} offsets_job;

static void offsets_range(void *ctx, int64_t begin, int64_t end) {
  offsets_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin / j->n);
  for (int64_t i = begin, first = begin % j->n; i < end; first = 0, mx_walk_next(&j->walk, &at)) {
    int64_t n = j->n - first < end - i ? j->n - first : end - i;
    int64_t bad = mx_index_places(j->index, at.off[0] + first * j->along, j->along, n, j->dim, j->room, j->stride, j->add, j->offsets + i);
    if (bad >= 0) {
      int64_t seen = atomic_load(&j->bad);
      while (i + bad < seen && !atomic_compare_exchange_weak(&j->bad, &seen, i + bad)) {}
      return;
    }
    i += n;
  }
}

int mx_index_offsets(const char *tag, const mx_view *x, int k, const int64_t *axes, const mx_view *index, const int32_t *size,
                     int64_t n, int64_t **res) {
  int64_t *offsets = *res = mx_scratch((size_t)(n ? n : 1) * sizeof *offsets);
  if (!offsets) return mx_fail_memory();
  if (!k) memset(offsets, 0, (size_t)n * sizeof *offsets);
  for (int i = 0; i < k; i++) {
    int axis = (int)axes[i];
    offsets_job j = {.index = &index[i], .dim = x->shape[axis], .room = x->shape[axis] - size[axis] + 1,
                     .stride = x->strides[axis], .add = i > 0, .offsets = offsets, .bad = INT64_MAX};
    mx_walk whole;
    int64_t s[MX_WALK_OPERANDS];
    mx_walk_init(&whole, index[i].ndim, index[i].shape, -1, index[i].strides, NULL, NULL);
    j.walk = whole;
    j.n = mx_walk_pop(&j.walk, s);
    j.along = s[0];
    if (n) mx_parallel(n, 1 << 14, offsets_range, &j);
    if (j.bad != INT64_MAX) {
      mx_cursor at;
      mx_walk_seek(&whole, &at, j.bad);
      mx_scratch_free(offsets);
      return mx_fail(MX_EINDEX, "[%s] index %lld is out of bounds for axis %d with size %d", tag,
                     (long long)mx_index_at(&index[i], at.off[0]), axis, x->shape[axis]);
    }
  }
  return 0;
}

void mx_block_init(mx_block *b, int nd, const int32_t *size, const int64_t *s0, const int64_t *s1) {
  mx_walk_init(&b->walk, nd, size, -1, s0, s1, NULL);
  b->n = mx_walk_pop(&b->walk, b->stride);
}
