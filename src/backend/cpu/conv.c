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

typedef struct conv_job {
  mx_conv g;
  mx_dtype t;              /* compute type: f32 or f64 */
  size_t item;
  void *w, *scratch;       /* the weight or its gradient, row-contiguous of type t: itself, or in scratch */
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

/* The weight in the compute type. */
static int weight_init(conv_job *j, const mx_view *v) {
  bool row = v->dtype == j->t;
  int64_t size = 1, s[MX_WALK_OPERANDS];
  for (int d = v->ndim - 1; d >= 0; size *= v->shape[d--])
    if (v->shape[d] != 1 && v->strides[d] != size) row = false;
  if (row) {
    j->w = v->data;
    return 0;
  }
  if (!(j->w = j->scratch = mx_scratch((size_t)size * j->item))) return mx_fail_memory();
  load_job l = {.v = v, .t = j->t, .out = j->scratch};
  mx_walk_init(&l.walk, v->ndim, v->shape, -1, v->strides, NULL, NULL);
  l.n = mx_walk_pop(&l.walk, s);
  l.stride = s[0];
  mx_parallel(l.walk.n, (1 << 15) / (l.n + 1) + 1, load_range, &l);
  return 0;
}

/* Its gradient: the output itself, or scratch that finish rounds into it. */
static int weight_result(conv_job *j, const mx_view *v) {
  j->w = v->data;
  if (v->dtype != j->t && !(j->w = j->scratch = mx_scratch((size_t)v->size * j->item))) return mx_fail_memory();
  return 0;
}

static bool depthwise(const conv_job *j) { return j->t == MX_F32 && mx_conv_is_depthwise(&j->g); }

static void job_init(conv_job *j, const mx_call *c, const mx_view *x, const mx_view *w, const mx_view *y) {
  memset(j, 0, sizeof *j);
  mx_conv_init(&j->g, c->p, x->shape, w->shape, y->shape);
  j->t = c->out->dtype == MX_F64 ? MX_F64 : MX_F32;
  j->item = mx_dtype_sizes[j->t];
}

/* failed: 0 or MX_EMEMORY, without a message. dw: where the weight's gradient goes, or NULL. */
static int finish(conv_job *j, const mx_view *dw, int failed) {
  if (!failed && dw && j->scratch) mx_store_f32(dw->dtype, j->scratch, dw->size, dw->data);
  mx_scratch_free(j->scratch);
  return failed ? mx_fail_memory() : 0;
}

int mx_cpu_conv(const mx_call *c) {
  const mx_view *x = &c->in[0], *w = &c->in[1], *y = c->out;
  conv_job j;
  int rc;
  if (!y->size) return 0;
  job_init(&j, c, x, w, y);
  if (!w->size || !x->size) return mx_fill(y, NULL);
  if ((rc = weight_init(&j, w))) return rc;
  if (!depthwise(&j)) {
    int64_t cg = j.g.c / j.g.groups, og = j.g.o / j.g.groups, taps = j.g.kernel[0] * j.g.kernel[1] * j.g.kernel[2];
    mx_conv_weight k = {j.w, og * taps * cg, taps * cg, cg, 1};
    return finish(&j, NULL, mx_conv_product(&j.g, j.t, x, &k, y));
  }
  return finish(&j, NULL, mx_conv_depthwise(&j.g, x, j.w, y));
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
  if ((rc = weight_init(&j, w))) return rc;
  mx_conv g = backwards(&j.g);
  if (!depthwise(&j)) {
    int64_t cg = j.g.c / j.g.groups, og = j.g.o / j.g.groups, taps = j.g.kernel[0] * j.g.kernel[1] * j.g.kernel[2];
    mx_conv_weight k = {j.w, og * taps * cg, 1, cg, taps * cg};
    return finish(&j, NULL, mx_conv_product(&g, j.t, y, &k, x));
  }
  return finish(&j, NULL, mx_conv_depthwise(&g, y, j.w, x));
}

int mx_cpu_conv_grad_weight(const mx_call *c) {
  const mx_view *x = &c->in[0], *y = &c->in[1], *w = c->out;
  conv_job j;
  int rc;
  if (!w->size) return 0;
  job_init(&j, c, x, w, y);
  if (!y->size || !x->size) return mx_fill(w, NULL);
  if ((rc = weight_result(&j, w))) return rc;
  if (!depthwise(&j)) return finish(&j, w, mx_conv_to_weight(&j.g, j.t, x, y, j.w));
  return finish(&j, w, mx_conv_depthwise_weight(&j.g, x, y, j.w));
}
