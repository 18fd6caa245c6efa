/* Convolution and its gradients: depthwise (conv_depthwise.c), else as products of matrices (conv_product.c, conv_weight.c), which read x and
 * the cotangent as they are. Halves are computed in f32. */
#include "backend/cpu/conv.h"

#include <string.h>

#include "backend/cpu/fill.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

/* An operand in the compute type, row-contiguous where it had to be converted. */
typedef struct operand {
  char *data;
  mx_conv_strides s;
  void *scratch;
} operand;

typedef struct conv_job {
  mx_conv g;
  mx_dtype t;              /* compute type: f32 or f64 */
  size_t item;
  operand x, w, y;         /* the result's is row-contiguous */
} conv_job;

static void load(mx_dtype t, mx_dtype from, const void *x, int64_t stride, int64_t n, void *out) {
  if (t == MX_F64) mx_load_f64(from, x, stride, n, out);
  else mx_load_f32(from, x, stride, n, out);
}

typedef struct load_job {
  const mx_view *v;
  mx_walk walk;
  int64_t n, stride;
  mx_dtype t;
  char *out;
} load_job;

static void load_range(void *ctx, int64_t begin, int64_t end) {
  const load_job *j = ctx;
  mx_cursor at;
  mx_walk_seek(&j->walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->walk, &at))
    load(j->t, j->v->dtype, mx_at(j->v, at.off[0]), j->stride, j->n, j->out + (size_t)(i * j->n) * mx_dtype_sizes[j->t]);
}

/* v in the compute type; row-contiguous if its last axis is not contiguous, or all of it when `whole`. */
static int operand_init(operand *o, const conv_job *j, const mx_view *v, bool whole) {
  bool row = v->strides[v->ndim - 1] == 1 || v->shape[v->ndim - 1] == 1;
  if (whole)
    for (int64_t d = v->ndim - 1, s = 1; d >= 0; s *= v->shape[d--])
      if (v->shape[d] != 1 && v->strides[d] != s) row = false;
  o->scratch = NULL;
  if (v->dtype == j->t && row) {
    o->data = v->data;
    mx_conv_view(v, &o->s);
    return 0;
  }
  int64_t strides[MX_CONV_DIMS + 2], size = 1, s[MX_WALK_OPERANDS];
  for (int d = v->ndim - 1; d >= 0; d--) strides[d] = size, size *= v->shape[d];
  if (!(o->scratch = mx_scratch((size_t)size * j->item))) return mx_fail_memory();
  o->data = o->scratch;
  mx_view res = *v;
  res.strides = strides;
  mx_conv_view(&res, &o->s);
  load_job l = {.v = v, .t = j->t, .out = o->data};
  mx_walk_init(&l.walk, v->ndim, v->shape, -1, v->strides, NULL, NULL);
  l.n = mx_walk_pop(&l.walk, s);
  l.stride = s[0];
  mx_parallel(l.walk.n, (1 << 15) / (l.n + 1) + 1, load_range, &l);
  return 0;
}

/* The result in the compute type: the output itself or scratch that operand_store rounds into it. */
static int operand_result(operand *o, const conv_job *j, const mx_view *v) {
  o->scratch = NULL;
  o->data = v->data;
  mx_conv_view(v, &o->s);
  if (v->dtype == j->t) return 0;
  if (!(o->scratch = mx_scratch((size_t)v->size * j->item))) return mx_fail_memory();
  o->data = o->scratch;
  return 0;
}

static void operand_store(const operand *o, const mx_view *v) {
  if (o->scratch) mx_store_f32(v->dtype, (const float *)o->scratch, v->size, v->data);
}

#define F32(o) ((float *)(void *)(o).data)
static bool depthwise(const conv_job *j) { return j->t == MX_F32 && mx_conv_is_depthwise(&j->g); }

static void job_init(conv_job *j, const mx_call *c, const mx_view *x, const mx_view *w, const mx_view *y) {
  memset(j, 0, sizeof *j);
  mx_conv_init(&j->g, c->p, x->shape, w->shape, y->shape);
  j->t = c->out->dtype == MX_F64 ? MX_F64 : MX_F32;
  j->item = mx_dtype_sizes[j->t];
}

/* failed: 0 or MX_EMEMORY, without a message; rc: with one. */
static int finish(conv_job *j, const operand *result, const mx_view *out, int failed, int rc) {
  if (!rc && failed) rc = mx_fail_memory();
  if (!rc && result) operand_store(result, out);
  mx_scratch_free(j->x.scratch);
  mx_scratch_free(j->w.scratch);
  mx_scratch_free(j->y.scratch);
  return rc;
}

int mx_cpu_conv(const mx_call *c) {
  const mx_view *x = &c->in[0], *w = &c->in[1], *y = c->out;
  conv_job j;
  int rc;
  if (!y->size) return 0;
  job_init(&j, c, x, w, y);
  if (!w->size || !x->size) return mx_fill(y, NULL);
  if ((rc = operand_init(&j.w, &j, w, true))) return finish(&j, NULL, y, 0, rc);
  if (!depthwise(&j)) {
    int64_t cg = j.g.c / j.g.groups, og = j.g.o / j.g.groups, taps = j.g.kernel[0] * j.g.kernel[1] * j.g.kernel[2];
    mx_conv_weight k = {j.w.data, og * taps * cg, taps * cg, cg, 1};
    return finish(&j, NULL, y, mx_conv_product(&j.g, j.t, x, &k, y), 0);
  }
  if ((rc = operand_init(&j.x, &j, x, false)) || (rc = operand_result(&j.y, &j, y))) return finish(&j, NULL, y, 0, rc);
  return finish(&j, &j.y, y, mx_conv_depthwise(&j.g, F32(j.x), &j.x.s, F32(j.w), F32(j.y)), 0);
}

/* The convolution of y that gives x's cotangent. */
static mx_conv backwards(const mx_conv *g) {
  mx_conv b = *g;
  b.c = g->o;
  b.o = g->c;
  b.flip = !g->flip;
  for (int d = 0; d < MX_CONV_DIMS; d++) {
    b.in[d] = g->out[d];
    b.out[d] = g->in[d];
    b.stride[d] = g->input_dilation[d];
    b.input_dilation[d] = g->stride[d];
    b.low[d] = (g->kernel[d] - 1) * g->kernel_dilation[d] - g->low[d];
  }
  return b;
}

int mx_cpu_conv_grad_input(const mx_call *c) {
  const mx_view *y = &c->in[0], *w = &c->in[1], *x = c->out;
  conv_job j;
  int rc;
  if (!x->size) return 0;
  job_init(&j, c, x, w, y);
  if (!y->size || !w->size) return mx_fill(x, NULL);
  if ((rc = operand_init(&j.w, &j, w, true))) return finish(&j, NULL, x, 0, rc);
  if (!depthwise(&j)) {
    int64_t cg = j.g.c / j.g.groups, og = j.g.o / j.g.groups, taps = j.g.kernel[0] * j.g.kernel[1] * j.g.kernel[2];
    mx_conv_weight k = {j.w.data, og * taps * cg, 1, cg, taps * cg};
    mx_conv g = backwards(&j.g);
    return finish(&j, NULL, x, mx_conv_product(&g, j.t, y, &k, x), 0);
  }
  if ((rc = operand_init(&j.y, &j, y, true)) || (rc = operand_result(&j.x, &j, x))) return finish(&j, NULL, x, 0, rc);
  return finish(&j, &j.x, x, mx_conv_depthwise_input(&j.g, F32(j.y), F32(j.w), F32(j.x)), 0);
}

int mx_cpu_conv_grad_weight(const mx_call *c) {
  const mx_view *x = &c->in[0], *y = &c->in[1], *w = c->out;
  conv_job j;
  int rc;
  if (!w->size) return 0;
  job_init(&j, c, x, w, y);
  if (!y->size || !x->size) return mx_fill(w, NULL);
  if ((rc = operand_result(&j.w, &j, w))) return finish(&j, NULL, w, 0, rc);
  if (!depthwise(&j)) return finish(&j, &j.w, w, mx_conv_to_weight(&j.g, j.t, x, y, j.w.data), 0);
  if ((rc = operand_init(&j.x, &j, x, false)) || (rc = operand_init(&j.y, &j, y, true))) return finish(&j, NULL, w, 0, rc);
  return finish(&j, &j.w, w, mx_conv_depthwise_weight(&j.g, F32(j.x), &j.x.s, F32(j.y), F32(j.w)), 0);
}
