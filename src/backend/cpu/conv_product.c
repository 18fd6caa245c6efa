/* Convolution as products of matrices without columns: a block of output places takes a copy of what it reads of x, with the padding, that
 * stays in L2; there the rows of a product lie at even distances, in one piece for every row of the kernel (mx_strip). The weights are packed
 * once. conv_grad_input is the same with the weights turned round.
 *
 * To few channels (one, or red, green and blue) vectors go along the pieces, not across the channels, of which they would be nearly empty. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/conv.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  ROOM = 3 << 16,            /* bytes of x in a block */
  DEPTH = 1 << 17,           /* bytes of a panel of weights that are gone through at a time */
  ITEMS = 16,                /* that the pool should have */
  WORK = 1 << 20,            /* multiplications that an item is worth */
  FEW = 4, LONG = 16         /* so many channels by pieces of that length are few */
};

typedef struct product_job {
  mx_conv g;
  mx_dtype t;
  int64_t item, width;       /* of an element, in bytes; of a panel, in elements */
  mx_conv_reader x;
  const mx_conv_weight *w;
  const mx_view *y;
  mx_conv_phase p;
  bool in_place;             /* x is read where it is */
  bool few;                  /* a panel is a row of weights for each channel */
  mx_conv_layout l;          /* of what the products read */
  mx_strip strip;
  int64_t *at;               /* pieces */
  int64_t cg, og, depth, panels, chunks; /* panels of a group, and into how many items they are cut */
  char *packed;              /* (groups, panels, depth, width) */
  _Atomic int rc;
} product_job;

/* The weights of n columns of a tap, from x on, as rows of a panel. */
static void turn(const product_job *j, const char *x, int64_t n, char *to) {
  const int64_t out = j->w->out, in = j->w->in;
  if (j->few) { /* as parts of columns */
    float *o = (float *)(void *)to;
    for (int64_t c = 0; c < n; c++)
      for (int64_t k = 0; k < j->cg; k++) o[c * j->depth + k] = ((const float *)(const void *)x)[c * out + k * in];
  } else if (out == 1) {
    for (int64_t k = 0; k < j->cg; k++) memcpy(to + k * j->width * j->item, x + k * in * j->item, (size_t)(n * j->item));
  } else if (j->item == 4) {
    float *o = (float *)(void *)to;
    for (int64_t c = 0; c < n; c++)
      for (int64_t k = 0; k < j->cg; k++) o[k * j->width + c] = ((const float *)(const void *)x)[c * out + k * in];
  } else {
    double *o = (double *)(void *)to;
    for (int64_t c = 0; c < n; c++)
      for (int64_t k = 0; k < j->cg; k++) o[k * j->width + c] = ((const double *)(const void *)x)[c * out + k * in];
  }
}

/* Panel i % panels of group i / panels. */
static void pack_range(void *ctx, int64_t begin, int64_t end) {
  const product_job *j = ctx;
  const mx_conv_weight *w = j->w;
  const mx_conv_axis *a = j->p.at;
  for (int64_t i = begin; i < end; i++) {
    int64_t q = i / j->panels, o0 = i % j->panels * j->width, n = j->og - o0 < j->width ? j->og - o0 : j->width;
    char *to = j->packed + i * j->depth * j->width * j->item;
    if (n < j->width) memset(to, 0, (size_t)(j->depth * j->width * j->item));
    for (int64_t t0 = 0; t0 < a[0].taps; t0++)
      for (int64_t t1 = 0; t1 < a[1].taps; t1++)
        for (int64_t t2 = 0; t2 < a[2].taps; t2++, to += j->cg * (j->few ? 1 : j->width) * j->item) {
          int64_t k0 = a[0].first_tap + t0 * a[0].tap_step, k1 = a[1].first_tap + t1 * a[1].tap_step, k2 = a[2].first_tap + t2 * a[2].tap_step;
          int64_t from = q * w->group + o0 * w->out + ((k0 * j->g.kernel[1] + k1) * j->g.kernel[2] + k2) * w->tap;
          turn(j, (const char *)w->data + from * j->item, n, to);
        }
  }
}

/* One panel of one block: its rows one after the other, for a part of the depth at a time. own: room for (places, width), from which
 * y is rounded when it is not of type t. */
static void multiply(const product_job *j, const mx_conv_block *b, const char *x, int64_t q, int64_t panel, char *own) {
  const mx_conv_axis *a = j->p.at;
  const mx_strip_fn fn = j->item == 4 ? mx_vec_now()->strip_f32 : mx_vec_now()->strip_f64;
  const int64_t column = q * j->og + panel * j->width, left = j->og - panel * j->width, n = left < j->width ? left : j->width;
  const int64_t pieces = j->few ? j->strip.count + 1 : DEPTH / (j->strip.len * j->width * j->item + 1) + 1, item = j->item;
  const char *w = j->packed + (q * j->panels + panel) * j->depth * j->width * item;
  const int64_t rows = b->images * b->n[0] * b->n[1];
  for (int64_t first = 0; first == 0 || first < j->strip.count; first += pieces) {
    mx_strip s = j->strip;
    s.at += first;
    s.count = s.count - first < pieces ? s.count - first : pieces;
    for (int64_t r = 0; r < rows; r++) {
      int64_t i1 = r % b->n[1], i0 = r / b->n[1] % b->n[0], i = r / b->n[1] / b->n[0];
      const char *from = x + (i * j->l.image + i0 * a[0].stride * j->l.step[0] + i1 * a[1].stride * j->l.step[1]) * item;
      int64_t place = mx_conv_place(&j->g, &j->p, b->image + i, b->first[0] + i0, b->first[1] + i1, b->first[2]);
      char *to = own ? own + r * b->n[2] * j->width * item : (char *)j->y->data + (place + column) * item;
      int64_t ldo = own ? j->width : a[2].out_step * j->g.o;
      if (j->few) mx_vec_now()->strip_few(b->n[2], n, &s, (const void *)from, (const void *)w, (void *)to, ldo);
      else fn(b->n[2], n, &s, from, w + first * s.len * j->width * item, to, ldo, first > 0);
    }
  }
  for (int64_t r = 0; own && r < rows; r++)
    for (int64_t i2 = 0; i2 < b->n[2]; i2++, own += j->width * item) {
      int64_t i1 = r % b->n[1], i0 = r / b->n[1] % b->n[0], i = r / b->n[1] / b->n[0];
      void *to = mx_at(j->y, mx_conv_place(&j->g, &j->p, b->image + i, b->first[0] + i0, b->first[1] + i1, b->first[2] + i2) + column);
      mx_store_f32(j->y->dtype, (const float *)(void *)own, n, to);
    }
}

/* Items: (block, group, chunk of panels). */
static void product_range(void *ctx, int64_t begin, int64_t end) {
  product_job *j = ctx;
  const mx_conv_axis *a = j->p.at;
  bool round = j->y->dtype != j->t;
  int64_t places = j->p.images * a[0].block * a[1].block * a[2].block, copy = j->in_place ? 0 : j->l.size;
  char *scratch = mx_scratch((size_t)((copy + (round ? places * j->width : 0)) * j->item) + 64), *own = round ? scratch + copy * j->item : NULL;
  if (!scratch) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t chunk = i % j->chunks, q = i / j->chunks % j->g.groups, start[MX_CONV_DIMS], n[MX_CONV_DIMS];
    mx_conv_block b;
    mx_conv_block_at(&j->p, i / j->chunks / j->g.groups, &b);
    mx_conv_reads(&j->p, &b, start, n);
    const char *x = scratch;
    if (!j->in_place && j->strip.count) mx_conv_read(&j->x, b.image, b.images, start, n, q, j->l.image, j->l.step, scratch);
    const int64_t *s = j->x.s.s;
    if (j->in_place)
      x = mx_at(j->x.v, b.image * s[0] + start[0] * s[1] + start[1] * s[2] + start[2] * s[3] + q * j->cg);
    for (int64_t panel = chunk * j->panels / j->chunks; panel < (chunk + 1) * j->panels / j->chunks; panel++) multiply(j, &b, x, q, panel, own);
  }
  mx_scratch_free(scratch);
}

/* The pieces that lie in one row of the kernel are one where they are next to each other. */
static void find_pieces(product_job *j) {
  const mx_conv_axis *a = j->p.at;
  bool merge = j->l.step[2] == j->cg && (a[2].step == 1 || a[2].taps == 1);
  int64_t taps2 = merge ? a[2].taps > 0 : a[2].taps, k = 0;
  for (int64_t t0 = 0; t0 < a[0].taps; t0++)
    for (int64_t t1 = 0; t1 < a[1].taps; t1++)
      for (int64_t t2 = 0; t2 < taps2; t2++)
        j->at[k++] = t0 * a[0].step * j->l.step[0] + t1 * a[1].step * j->l.step[1] + t2 * a[2].step * j->l.step[2];
  j->strip = (mx_strip){a[2].stride * j->l.step[2], 1, merge ? a[2].taps * j->cg : j->cg, k, j->at, NULL, 0};
}

/* Where the products of a phase read: in x itself when there is no padding and every place is read once, else in copies of blocks. */
static void lay_out(product_job *j) {
  const mx_conv_axis *a = j->p.at;
  const int64_t *s = j->x.s.s;
  j->in_place = j->x.v->dtype == j->t && s[4] == 1 && a[2].stride * s[3] * j->item % 2048;
  for (int d = 0; d < MX_CONV_DIMS; d++)
    if (a[d].taps != 1 || a[d].first < 0 || (a[d].n - 1) * a[d].stride + a[d].first >= j->x.in[d]) j->in_place = false;
  if (j->in_place) {
    for (int d = 0; d < MX_CONV_DIMS; d++) j->l.step[d] = s[1 + d];
    j->l.image = s[0];
    return;
  }
  mx_conv_lay_out(&j->p, j->cg, j->item, &j->l);
}

static int phase(product_job *j, int64_t i) {
  int64_t taps = j->g.kernel[0] * j->g.kernel[1] * j->g.kernel[2], places = j->g.batch * j->g.out[0] * j->g.out[1] * j->g.out[2] / ITEMS + 1;
  int64_t least = WORK / (taps * j->cg * j->og + 1) + 1;
  mx_conv_phase_init(&j->g, i, ROOM / j->item, places > least ? places : least, &j->p);
  lay_out(j);
  find_pieces(j);
  j->depth = j->strip.count * j->strip.len;
  j->few = j->t == MX_F32 && j->og <= FEW && j->strip.len >= LONG;
  int64_t items = j->p.total * j->g.groups;
  j->chunks = items < ITEMS ? (ITEMS + items - 1) / items : 1;
  if (j->chunks > j->panels) j->chunks = j->panels;
  mx_parallel(j->g.groups * j->panels, (1 << 15) / (j->depth * j->width + 1) + 1, pack_range, j);
  mx_parallel(items * j->chunks, 1, product_range, j);
  return j->rc;
}

/* All places in one row, when nothing but the channels of single places meets. */
static void flatten(product_job *j) {
  mx_conv *g = &j->g;
  int64_t *s = j->x.s.s, step = 0, n = 1;
  for (int d = MX_CONV_DIMS; d >= 0; d--) {
    int64_t size = d ? g->in[d - 1] : g->batch;
    if (d && (g->kernel[d - 1] != 1 || g->stride[d - 1] != 1 || g->low[d - 1] || g->in[d - 1] != g->out[d - 1])) return;
    if (d && g->input_dilation[d - 1] != 1) return;
    if (size == 1) continue;
    if (n > 1 && s[d] != step * n) return;
    if (n == 1) step = s[d];
    n *= size;
  }
  g->batch = g->in[0] = g->out[0] = g->in[1] = g->out[1] = 1;
  g->in[2] = g->out[2] = n;
  s[0] = s[1] = s[2] = 0;
  s[3] = step;
}

int mx_conv_product(const mx_conv *g, mx_dtype t, const mx_view *x, const mx_conv_weight *w, const mx_view *y) {
  product_job j = {.g = *g, .t = t, .item = (int64_t)mx_dtype_sizes[t], .x = {.v = x, .t = t}, .w = w, .y = y};
  mx_conv_view(x, &j.x.s);
  flatten(&j);
  memcpy(j.x.in, j.g.in, sizeof j.x.in);
  j.cg = j.x.channels = g->c / g->groups;
  j.og = g->o / g->groups;
  j.width = *mx_vec_now()->panel / j.item;
  j.panels = (j.og + j.width - 1) / j.width;
  int64_t taps = g->kernel[0] * g->kernel[1] * g->kernel[2], size = g->groups * j.panels * taps * j.cg * j.width * j.item;
  if (!(j.packed = mx_scratch((size_t)(size + taps * (int64_t)sizeof *j.at) + 64))) return MX_EMEMORY;
  j.at = (int64_t *)(void *)(j.packed + (size + 7) / 8 * 8);
  int rc = 0;
  for (int64_t i = 0; !rc && i < mx_conv_phases(&j.g); i++) rc = phase(&j, i);
  mx_scratch_free(j.packed);
  return rc;
}
