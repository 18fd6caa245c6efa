/* Reading at places given by index arrays. */
#include <string.h>

#include "backend/cpu/combine.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/offsets.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct gather_job {
  const mx_view *x, *out;
  const int64_t *offsets;
  mx_block block;
  mx_combine assign;
} gather_job;

static void gather_range(void *ctx, int64_t begin, int64_t end) {
  const gather_job *j = ctx;
  const mx_block *b = &j->block;
  int64_t size = mx_block_size(b);
  if (size == 1) { /* single elements */
    switch (mx_dtype_sizes[j->x->dtype]) {
#define ONE(bytes, type)                                                                                                     \
  case bytes: {                                                                                                              \
    const type *x = j->x->data;                                                                                              \
    type *o = j->out->data;                                                                                                  \
    for (int64_t i = begin; i < end; i++) o[i] = x[j->offsets[i]];                                                           \
    return;                                                                                                                  \
  }
      ONE(1, uint8_t)
      ONE(2, uint16_t)
      ONE(4, uint32_t)
      ONE(8, uint64_t)
#undef ONE
    }
  }
  for (int64_t i = begin; i < end; i++) {
    mx_cursor at;
    mx_walk_seek(&b->walk, &at, 0);
    for (int64_t r = 0; r < b->walk.n; r++, mx_walk_next(&b->walk, &at))
      j->assign(b->n, mx_at(j->out, i * size + at.off[1]), b->stride[1], mx_at(j->x, j->offsets[i] + at.off[0]), b->stride[0]);
  }
}

int mx_cpu_gather(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  int k = (int)c->p[0], nd = x->ndim;
  int32_t size[MX_MAX_NDIM];
  gather_job j = {.x = x, .out = out, .assign = mx_combine_of(MX_ASSIGN, x->dtype)};
  int64_t *offsets, block_items = 1;
  for (int d = 0; d < nd; d++) block_items *= size[d] = (int32_t)c->p[1 + k + d];
  int64_t n = k ? c->in[1].size : 1;
  int rc = mx_index_offsets("gather", x, k, c->p + 1, c->in + 1, size, n, &offsets);
  if (rc) return rc;
  j.offsets = offsets;
  if (out->size) {
    mx_block_init(&j.block, nd, size, x->strides, out->strides + out->ndim - nd);
    mx_parallel(n, (1 << 14) / block_items + 1, gather_range, &j);
  }
  mx_scratch_free(offsets);
  return 0;
}

