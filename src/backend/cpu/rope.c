/* Rotary position encoding of x (B, ..., T, dim): pairs of a row's first `dims` elements are turned by angles of the row's position. The
 * angles are floats, and each operation on halves is done and rounded as a float, as the ops that graph/fast.c composes otherwise do. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/index.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

typedef struct rope_job {
  const mx_view *x, *out, *offset, *freqs; /* freqs NULL: powers of base */
  mx_walk walk;            /* of the rows of one position: operands x, out */
  int64_t positions, dim, half, dx;
  bool traditional, many;  /* many: an offset for each x[b] */
  float log_step, scale;
  _Atomic bool no_memory;
} rope_job;

static void loop1(int op, int64_t n, float *o, const float *a) { mx_isa_now->loops[MX_TAG_f32][op]((size_t)n, o, a, NULL, NULL); }

/* What a position is multiplied by: of each pair. */
static void turns(const rope_job *j, float *turn) {
  if (j->freqs) {
    mx_load_f32(j->freqs->dtype, j->freqs->data, j->freqs->strides[0], j->half, turn);
    for (int64_t i = 0; i < j->half; i++) turn[i] = 1 / turn[i];
    return;
  }
  for (int64_t i = 0; i < j->half; i++) turn[i] = (float)i * j->log_step;
  loop1(OP_exp, j->half, turn, turn);
}

/* o = x turned; both have dim elements, c and s half. */
static void turn_row(const rope_job *j, const float *x, const float *c, const float *s, float *o) {
  int64_t h = j->half;
  if (j->traditional) {
    for (int64_t i = 0; i < h; i++) {
      float a = x[2 * i], b = x[2 * i + 1];
      o[2 * i] = a * c[i] - b * s[i];
      o[2 * i + 1] = a * s[i] + b * c[i];
    }
  } else {
    for (int64_t i = 0; i < h; i++) o[i] = x[i] * c[i] - x[h + i] * s[i];
    for (int64_t i = 0; i < h; i++) o[h + i] = x[i] * s[i] + x[h + i] * c[i];
  }
  if (2 * h < j->dim) memcpy(o + 2 * h, x + 2 * h, (size_t)(j->dim - 2 * h) * sizeof *o);
}

static void rope_range(void *ctx, int64_t begin, int64_t end) {
  rope_job *j = ctx;
  int64_t h = j->half;
  float *turn = mx_scratch((size_t)(3 * h + 2 * j->dim) * sizeof *turn), *c = turn + h, *s = c + h, *row = s + h, *res = row + j->dim;
  if (!turn) {
    j->no_memory = true;
    return;
  }
  int nd = j->x->ndim;
  turns(j, turn);
  for (int64_t i = begin; i < end; i++) {
    int64_t b = i / j->positions, t = i % j->positions;
    float at = ((float)t + (float)mx_index_at(j->offset, j->many ? b * j->offset->strides[0] : 0)) * j->scale;
    for (int64_t k = 0; k < h; k++) c[k] = at * turn[k];
    loop1(OP_sin, h, s, c);
    loop1(OP_cos, h, c, c);
    int64_t x0 = b * (j->many ? j->x->strides[0] : 0) + t * j->x->strides[nd - 2];
    int64_t o0 = b * (j->many ? j->out->strides[0] : 0) + t * j->out->strides[nd - 2];
    mx_cursor cur;
    mx_walk_seek(&j->walk, &cur, 0);
    for (int64_t r = 0; r < j->walk.n; r++, mx_walk_next(&j->walk, &cur)) {
      void *o = mx_at(j->out, o0 + cur.off[1]);
      bool direct = j->out->dtype == MX_F32;
      turn_row(j, mx_row_f32(j->x->dtype, mx_at(j->x, x0 + cur.off[0]), j->dx, j->dim, row), c, s, direct ? o : res);
      if (!direct) mx_store_f32(j->out->dtype, res, j->dim, o);
    }
  }
  mx_scratch_free(turn);
}

int mx_cpu_rope(const mx_call *call) {
  const mx_view *x = &call->in[0];
  int nd = x->ndim, skip;
  rope_job j = {.x = x, .out = call->out, .offset = &call->in[1], .freqs = call->nin > 2 ? &call->in[2] : NULL};
  if (!x->size) return 0;
  j.positions = x->shape[nd - 2];
  j.dim = x->shape[nd - 1];
  j.dx = x->strides[nd - 1];
  j.half = call->p[0] / 2;
  j.traditional = call->p[1];
  j.log_step = (float)(-log(mx_unbits(call->p[2])) / (double)j.half);
  j.scale = (float)mx_unbits(call->p[3]);
  j.many = j.offset->size > 1;
  skip = j.many;
  mx_walk_init(&j.walk, nd - 2 - skip, x->shape + skip, -1, x->strides + skip, call->out->strides + skip, NULL);
  int64_t n = j.positions * (j.many ? x->shape[0] : 1), work = j.walk.n * j.dim + 16 * j.half;
  mx_parallel(n, (1 << 14) / work + 1, rope_range, &j);
  return j.no_memory ? mx_fail_memory() : 0;
}
