/* Convolutions as matrix products over blocks of pixels (im2col): a row of `columns` holds what the kernel sees at one output pixel.
 * conv:             y = columns w'
 * conv_grad_input:  columns' cotangent = g w, added back to where each was read
 * conv_grad_weight: w's = g' columns
 * Blocks are ranges of output pixels of the whole batch; halves are computed in f32. */
#include "backend/cpu/conv.h"

#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/fill.h"
#include "backend/cpu/gemm.h"
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
  int64_t pixels, block;   /* output pixels in all, and in a block */
  int64_t depth;           /* kernel taps times channels of a group */
  bool direct;             /* 1 x 1 at stride 1: x itself is the columns */
  char *w_columns;         /* conv: w as (groups, depth, O / groups) */
  bool runs;               /* the taps of a kernel row lie next to each other in x */
  int64_t parts;           /* conv_grad_weight: partial sums, one a range */
  char *partial;
  _Atomic int rc;
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
    mx_conv_view(&j->g, v, v->ndim, &o->s);
    return 0;
  }
  int64_t strides[MX_CONV_DIMS + 2], size = 1, s[MX_WALK_OPERANDS];
  for (int d = v->ndim - 1; d >= 0; d--) strides[d] = size, size *= v->shape[d];
  if (!(o->scratch = mx_scratch((size_t)size * j->item))) return mx_fail_memory();
  o->data = o->scratch;
  mx_view res = *v;
  res.strides = strides;
  mx_conv_view(&j->g, &res, v->ndim, &o->s);
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
  mx_conv_view(&j->g, v, v->ndim, &o->s);
  if (v->dtype == j->t) return 0;
  if (!(o->scratch = mx_scratch((size_t)v->size * j->item))) return mx_fail_memory();
  o->data = o->scratch;
  return 0;
}

static void operand_store(const operand *o, const mx_view *v) {
  if (o->scratch) mx_store_f32(v->dtype, (const float *)o->scratch, v->size, v->data);
}

/* Where an output pixel lies. */
typedef struct pixel {
  int64_t n, o[MX_CONV_DIMS];
} pixel;

static void pixel_seek(const mx_conv *g, pixel *p, int64_t i) {
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) {
    p->o[d] = i % g->out[d];
    i /= g->out[d];
  }
  p->n = i;
}
static void pixel_next(const mx_conv *g, pixel *p) {
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) {
    if (++p->o[d] < g->out[d]) return;
    p->o[d] = 0;
  }
  p->n++;
}

/* Where the taps of one kernel row of a pixel lie: `taps` of them from `first` on are inside x, at `at`; next to each other in memory
 * when the job says so (j->runs), else there is one. */
typedef struct run {
  int64_t first, taps, at;
} run;

static inline run run_of(const conv_job *j, const pixel *p, int64_t base, int64_t k2) {
  const mx_conv *g = &j->g;
  const int64_t *s = j->x.s.s;
  if (!j->runs) {
    int64_t i2 = mx_conv_source(g, 2, p->o[2], k2);
    return (run){0, i2 >= 0, base + i2 * s[3]};
  }
  int64_t start = p->o[2] * g->stride[2] - g->low[2], first = start < 0 ? -start : 0, last = g->in[2] - start;
  if (last > g->kernel[2]) last = g->kernel[2];
  return (run){first, last > first ? last - first : 0, base + (start + first) * s[3]};
}

/* The body for every kernel row of pixel p (every tap, without runs): a run r of it, and how many taps the row has. */
#define EACH_RUN(j, p, ...)                                                                                                  \
  do {                                                                                                                       \
    const mx_conv *g_ = &(j)->g;                                                                                             \
    const int64_t *s_ = (j)->x.s.s;                                                                                          \
    const int64_t taps = (j)->runs ? g_->kernel[2] : 1;                                                                      \
    for (int64_t k0 = 0; k0 < g_->kernel[0]; k0++) {                                                                         \
      int64_t i0 = mx_conv_source(g_, 0, (p)->o[0], k0);                                                                     \
      for (int64_t k1 = 0; k1 < g_->kernel[1]; k1++) {                                                                       \
        int64_t i1 = mx_conv_source(g_, 1, (p)->o[1], k1), base = (p)->n * s_[0] + i0 * s_[1] + i1 * s_[2];                  \
        for (int64_t k2 = 0; k2 < g_->kernel[2]; k2 += taps) {                                                               \
          run r = run_of(j, p, base, k2);                                                                                    \
          if (i0 < 0 || i1 < 0) r.taps = 0;                                                                                  \
          __VA_ARGS__                                                                                                        \
        }                                                                                                                    \
      }                                                                                                                      \
    }                                                                                                                        \
  } while (0)

/* Words of 4 bytes, few of them at a time. */
static inline void copy_words(char *o, const char *x, int64_t words) {
  if (words >= 32) {
    memcpy(o, x, (size_t)words * 4);
    return;
  }
  for (; words >= 4; words -= 4, o += 16, x += 16) memcpy(o, x, 16);
  for (; words; words--, o += 4, x += 4) memcpy(o, x, 4);
}
static inline void zero_words(char *o, int64_t words) {
  for (; words; words--, o += 4) memset(o, 0, 4);
}

/* columns (end - begin, depth) of group q. */
static void gather_columns(const conv_job *j, int64_t begin, int64_t end, int64_t q, char *columns) {
  int64_t cg = j->g.c / j->g.groups, words = cg * (int64_t)j->item / 4;
  pixel p;
  pixel_seek(&j->g, &p, begin);
  for (int64_t i = begin; i < end; i++, pixel_next(&j->g, &p))
    EACH_RUN(j, &p, {
      if (r.taps < taps) zero_words(columns, taps * words);
      if (r.taps) copy_words(columns + r.first * words * 4, j->x.data + (r.at + q * cg) * (int64_t)j->item, r.taps * words);
      columns += taps * words * 4;
    });
}

/* Adds the columns back to where they were read. */
static void scatter_columns(const conv_job *j, int64_t begin, int64_t end, int64_t q, const char *columns) {
  int64_t cg = j->g.c / j->g.groups;
  pixel p;
  pixel_seek(&j->g, &p, begin);
  for (int64_t i = begin; i < end; i++, pixel_next(&j->g, &p))
    EACH_RUN(j, &p, {
      int64_t n = r.taps * cg;
      if (j->t == MX_F32) {
        float *restrict o = (float *)(void *)j->x.data + r.at + q * cg;
        const float *restrict c = (const float *)(const void *)columns + r.first * cg;
        for (int64_t k = 0; k < n; k++) o[k] += c[k];
      } else {
        double *restrict o = (double *)(void *)j->x.data + r.at + q * cg;
        const double *restrict c = (const double *)(const void *)columns + r.first * cg;
        for (int64_t k = 0; k < n; k++) o[k] += c[k];
      }
      columns += (size_t)(taps * cg) * j->item;
    });
}

/* y's rows (pixels, channels of group q); y is row-contiguous. */
static char *y_block(const conv_job *j, int64_t begin, int64_t q) {
  return j->y.data + (size_t)(begin * j->g.o + q * (j->g.o / j->g.groups)) * j->item;
}
static char *w_group(const conv_job *j, int64_t q) {
  return j->w.data + (size_t)(q * (j->g.o / j->g.groups) * j->depth) * j->item;
}

/* With `direct`: x's rows from a pixel on. */
static char *x_block(const conv_job *j, int64_t begin) { return j->x.data + (size_t)(begin * j->depth) * j->item; }

static void forward_range(void *ctx, int64_t begin, int64_t end) {
  conv_job *j = ctx;
  int64_t og = j->g.o / j->g.groups;
  char *columns = mx_scratch((size_t)(j->block * j->depth) * j->item);
  if (!columns) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t b = begin; b < end; b++) {
    int64_t first = b * j->block, last = first + j->block < j->pixels ? first + j->block : j->pixels;
    for (int64_t q = 0; q < j->g.groups; q++) {
      const char *from = j->direct ? x_block(j, first) : columns;
      if (!j->direct) gather_columns(j, first, last, q, columns);
      int rc = mx_gemm(j->t, last - first, og, j->depth, 1, (mx_matrix){from, j->depth, 1},
                       (mx_matrix){j->w_columns + (size_t)(q * og * j->depth) * j->item, og, 1}, 0, y_block(j, first, q), j->g.o);
      if (rc) j->rc = rc;
    }
  }
  mx_scratch_free(columns);
}

/* Ranges are of images: two ranges never add to the same one. */
static void input_range(void *ctx, int64_t begin, int64_t end) {
  conv_job *j = ctx;
  int64_t og = j->g.o / j->g.groups, image = j->pixels / j->g.batch;
  char *columns = mx_scratch((size_t)(j->block * j->depth) * j->item);
  if (!columns) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t first = begin * image; first < end * image; first += j->block) {
    int64_t last = first + j->block < end * image ? first + j->block : end * image;
    for (int64_t q = 0; q < j->g.groups; q++) {
      int rc = mx_gemm(j->t, last - first, j->depth, og, 1, (mx_matrix){y_block(j, first, q), j->g.o, 1},
                       (mx_matrix){w_group(j, q), j->depth, 1}, 0, j->direct ? x_block(j, first) : columns, j->depth);
      if (rc) j->rc = rc;
      else if (!j->direct) scatter_columns(j, first, last, q, columns);
    }
  }
  mx_scratch_free(columns);
}

/* A range sums its pixels into its own partial result. */
static void weight_range(void *ctx, int64_t begin, int64_t end) {
  conv_job *j = ctx;
  int64_t og = j->g.o / j->g.groups, per = (j->pixels + j->parts - 1) / j->parts;
  char *columns = mx_scratch((size_t)(j->block * j->depth) * j->item);
  if (!columns) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t part = begin; part < end; part++) {
    char *res = j->partial + (size_t)(part * j->g.o * j->depth) * j->item;
    int64_t stop = (part + 1) * per < j->pixels ? (part + 1) * per : j->pixels;
    if (part * per >= stop) memset(res, 0, (size_t)(j->g.o * j->depth) * j->item);
    for (int64_t first = part * per; first < stop; first += j->block) {
      int64_t last = first + j->block < stop ? first + j->block : stop;
      for (int64_t q = 0; q < j->g.groups; q++) {
        const char *from = j->direct ? x_block(j, first) : columns;
        if (!j->direct) gather_columns(j, first, last, q, columns);
        int rc = mx_gemm(j->t, og, j->depth, last - first, 1, (mx_matrix){y_block(j, first, q), 1, j->g.o},
                         (mx_matrix){from, j->depth, 1}, first != part * per, res + (size_t)(q * og * j->depth) * j->item, j->depth);
        if (rc) j->rc = rc;
      }
    }
  }
  mx_scratch_free(columns);
}

#define F32(o) ((float *)(void *)(o).data)
static bool depthwise(const conv_job *j) { return j->t == MX_F32 && mx_conv_is_depthwise(&j->g); }

static void job_init(conv_job *j, const mx_call *c, const mx_view *x, const mx_view *w, const mx_view *y) {
  memset(j, 0, sizeof *j);
  mx_conv_init(&j->g, c->p, x->shape, w->shape, y->shape);
  j->t = c->out->dtype == MX_F64 ? MX_F64 : MX_F32;
  j->item = mx_dtype_sizes[j->t];
  const int64_t *out = j->g.out, *kernel = j->g.kernel;
  j->pixels = j->g.batch * out[0] * out[1] * out[2];
  j->depth = kernel[0] * kernel[1] * kernel[2] * (j->g.c / j->g.groups);
  /* a block of columns should stay in L2 */
  j->block = (1 << 19) / (j->depth * (int64_t)j->item + 1);
  if (j->block < 32) j->block = 32;
  if (j->block > 1024) j->block = 1024;
}

/* Once x is known. */
static void find_runs(conv_job *j) {
  const mx_conv *g = &j->g;
  const int64_t *s = j->x.s.s;
  j->direct = g->groups == 1;
  for (int64_t d = MX_CONV_DIMS - 1, step = g->c; d >= 0; step *= g->in[d--])
    if (g->kernel[d] != 1 || g->stride[d] != 1 || g->low[d] || g->in[d] != g->out[d] || (g->in[d] != 1 && s[1 + d] != step))
      j->direct = false;
  if (g->batch != 1 && s[0] != g->in[0] * g->in[1] * g->in[2] * g->c) j->direct = false;
  j->runs = g->kernel_dilation[2] == 1 && g->input_dilation[2] == 1 && !g->flip && g->groups == 1 &&
            (g->in[2] == 1 || s[3] == g->c);
}

/* (rows, cols) into (cols, rows), in squares that stay in L1. */
static void transpose(const char *x, int64_t rows, int64_t cols, size_t item, char *o) {
  enum { B = 16 };
  for (int64_t r0 = 0; r0 < rows; r0 += B)
    for (int64_t c0 = 0; c0 < cols; c0 += B)
      for (int64_t r = r0; r < r0 + B && r < rows; r++)
        for (int64_t c = c0; c < c0 + B && c < cols; c++) {
          if (item == 4) memcpy(o + (c * rows + r) * 4, x + (r * cols + c) * 4, 4);
          else memcpy(o + (c * rows + r) * 8, x + (r * cols + c) * 8, 8);
        }
}

static int finish(conv_job *j, const operand *result, const mx_view *out, int rc) {
  if (!rc && j->rc) rc = mx_fail_memory();
  if (!rc) operand_store(result, out);
  mx_scratch_free(j->x.scratch);
  mx_scratch_free(j->w.scratch);
  mx_scratch_free(j->y.scratch);
  mx_scratch_free(j->w_columns);
  mx_scratch_free(j->partial);
  return rc;
}

int mx_cpu_conv(const mx_call *c) {
  const mx_view *x = &c->in[0], *w = &c->in[1], *y = c->out;
  conv_job j;
  int rc;
  if (!y->size) return 0;
  job_init(&j, c, x, w, y);
  if (!j.depth) return mx_fill(y, NULL);
  if ((rc = operand_init(&j.x, &j, x, false)) || (rc = operand_init(&j.w, &j, w, true)) || (rc = operand_result(&j.y, &j, y)))
    return finish(&j, &j.y, y, rc);
  if (depthwise(&j)) {
    j.rc = mx_conv_depthwise(&j.g, F32(j.x), &j.x.s, F32(j.w), F32(j.y));
    return finish(&j, &j.y, y, 0);
  }
  if (!(j.w_columns = mx_scratch((size_t)w->size * j.item))) return finish(&j, &j.y, y, mx_fail_memory());
  int64_t og = j.g.o / j.g.groups;
  for (int64_t q = 0; q < j.g.groups; q++) transpose(w_group(&j, q), og, j.depth, j.item, j.w_columns + (size_t)(q * og * j.depth) * j.item);
  find_runs(&j);
  mx_parallel((j.pixels + j.block - 1) / j.block, 1, forward_range, &j);
  return finish(&j, &j.y, y, 0);
}

int mx_cpu_conv_grad_input(const mx_call *c) {
  const mx_view *y = &c->in[0], *w = &c->in[1], *x = c->out;
  conv_job j;
  int rc;
  if (!x->size) return 0;
  job_init(&j, c, x, w, y);
  if ((rc = operand_result(&j.x, &j, x))) return finish(&j, &j.x, x, rc);
  memset(j.x.data, 0, (size_t)x->size * j.item);
  if (!y->size || !w->size) return finish(&j, &j.x, x, 0);
  if ((rc = operand_init(&j.w, &j, w, true)) || (rc = operand_init(&j.y, &j, y, true))) return finish(&j, &j.x, x, rc);
  if (depthwise(&j)) {
    j.rc = mx_conv_depthwise_input(&j.g, F32(j.y), F32(j.w), F32(j.x));
    return finish(&j, &j.x, x, 0);
  }
  find_runs(&j);
  int64_t image = j.pixels / j.g.batch, grain = j.block / image;
  mx_parallel(j.g.batch, grain ? grain : 1, input_range, &j);
  return finish(&j, &j.x, x, 0);
}

int mx_cpu_conv_grad_weight(const mx_call *c) {
  const mx_view *x = &c->in[0], *y = &c->in[1], *w = c->out;
  conv_job j;
  int rc;
  if (!w->size) return 0;
  job_init(&j, c, x, w, y);
  if (!y->size || !x->size) return mx_fill(w, NULL);
  /* as many partial sums as pay for being added */
  j.parts = j.pixels / (4 * j.block);
  if (j.parts > 16) j.parts = 16;
  if (j.parts < 1) j.parts = 1;
  if ((rc = operand_init(&j.x, &j, x, false)) || (rc = operand_init(&j.y, &j, y, true)) || (rc = operand_result(&j.w, &j, w)))
    return finish(&j, &j.w, w, rc);
  if (depthwise(&j)) {
    j.rc = mx_conv_depthwise_weight(&j.g, F32(j.x), &j.x.s, F32(j.y), F32(j.w));
    return finish(&j, &j.w, w, 0);
  }
  if (!(j.partial = mx_scratch((size_t)(j.parts * w->size) * j.item))) return finish(&j, &j.w, w, mx_fail_memory());
  find_runs(&j);
  mx_parallel(j.parts, 1, weight_range, &j);
  if (!j.rc)
    for (int64_t i = 0; i < w->size; i++) {
      if (j.t == MX_F32) {
        float s = 0, *p = (float *)(void *)j.partial;
        for (int64_t k = 0; k < j.parts; k++) s += p[k * w->size + i];
        ((float *)(void *)j.w.data)[i] = s;
      } else {
        double s = 0, *p = (double *)(void *)j.partial;
        for (int64_t k = 0; k < j.parts; k++) s += p[k * w->size + i];
        ((double *)(void *)j.w.data)[i] = s;
      }
    }
  return finish(&j, &j.w, w, 0);
}
