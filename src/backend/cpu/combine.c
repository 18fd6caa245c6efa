#include "backend/cpu/combine.h"

#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/walk.h"
#include "core/parallel.h"

#define MX_BODY "backend/cpu/combine.inc.h"
#include "backend/cpu/each_dtype.h"

#define ASSIGN(bytes, type)                                                                                                  \
  static void assign_##bytes(int64_t n, void *out, int64_t so, const void *update, int64_t su) {                             \
    type *restrict o = out;                                                                                                  \
    const type *restrict u = update;                                                                                         \
    if (so == 1 && su == 1) {                                                                                                \
      memcpy(o, u, (size_t)n * bytes);                                                                                       \
      return;                                                                                                                \
    }                                                                                                                        \
    for (int64_t i = 0; i < n; i++) o[i * so] = u[i * su];                                                                   \
  }                                                                                                                          \
  static void assign_at_##bytes(int64_t n, void *out, const int64_t *at, const void *update, int64_t su) {                   \
    type *o = out;                                                                                                           \
    const type *u = update;                                                                                                  \
    for (int64_t i = 0; i < n; i++) o[at[i]] = u[i * su];                                                                    \
  }                                                                                                                          \
  static void assign_dealt_##bytes(int64_t n, void *out, const void *dealt) {                                                \
    type *o = out;                                                                                                           \
    const MX_DEALT(type) *r = dealt;                                                                                         \
    for (int64_t i = 0; i < n; i++) o[r[i].at] = r[i].value;                                                                 \
  }
ASSIGN(1, uint8_t)
ASSIGN(2, uint16_t)
ASSIGN(4, uint32_t)
ASSIGN(8, uint64_t)

/* By mode, then by dtype; what is assigned depends on the width alone. */
#define CHOOSE(fn, suffix)                                                                                                   \
  fn fn##_of(int mode, mx_dtype t) {                                                                                         \
    static const fn op[][MX_DTYPES] = {[MX_ADD] = TABLE(add##suffix), [MX_MULTIPLY] = TABLE(multiply##suffix),               \
                                       [MX_MAXIMUM] = TABLE(maximum##suffix), [MX_MINIMUM] = TABLE(minimum##suffix)};        \
    if (mode != MX_ASSIGN) return op[mode][t];                                                                               \
    switch (mx_dtype_sizes[t]) {                                                                                             \
      case 1: return assign##suffix##_1;                                                                                     \
      case 2: return assign##suffix##_2;                                                                                     \
      case 4: return assign##suffix##_4;                                                                                     \
      default: return assign##suffix##_8;                                                                                    \
    }                                                                                                                        \
  }
CHOOSE(mx_combine, )
CHOOSE(mx_combine_at, _at)
CHOOSE(mx_combine_dealt, _dealt)

typedef struct combine_job {
  mx_walk walk;
  mx_combine fn;
  int64_t n, stride[MX_WALK_OPERANDS];
  const mx_view *update, *out;
} combine_job;

static void combine_range(void *ctx, int64_t begin, int64_t end) {
  const combine_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at))
    j->fn(j->n, mx_at(j->out, at.off[1]), j->stride[1], mx_at(j->update, at.off[0]), j->stride[0]);
}

int mx_combine_view(int mode, const mx_view *update, const mx_view *out) {
  combine_job j = {.fn = mx_combine_of(mode, out->dtype), .update = update, .out = out};
  if (mode == MX_ASSIGN) return update->size ? mx_copy_view(update, out) : 0;
  mx_walk_init(&j.walk, out->ndim, out->shape, -1, update->strides, out->strides, NULL);
  j.n = mx_walk_pop(&j.walk, j.stride);
  if (j.walk.n) mx_parallel(j.walk.n, (1 << 14) / (j.n + 1) + 1, combine_range, &j);
  return 0;
}
