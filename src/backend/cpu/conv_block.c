/* Blocks of a convolution: which output places are computed together, and the places of x that they read. */
#include <string.h>

#include "backend/cpu/conv.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"

static int64_t common(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a;
}

/* Output places meet the same taps when they are this far apart. */
static int64_t period(const mx_conv *g, int d) {
  int64_t p = g->input_dilation[d] / common(g->stride[d], g->input_dilation[d]);
  return p < g->out[d] ? p : g->out[d];
}

int64_t mx_conv_phases(const mx_conv *g) { return period(g, 0) * period(g, 1) * period(g, 2); }

static void axis_init(const mx_conv *g, int d, int64_t phase, mx_conv_axis *a) {
  int64_t dilation = g->input_dilation[d], p = dilation / common(g->stride[d], dilation), kernel = g->kernel[d];
  int64_t start = phase * g->stride[d] - g->low[d], every = dilation / common(g->kernel_dilation[d], dilation), k = 0;
  while (k < every && k < kernel && (start + k * g->kernel_dilation[d]) % dilation) k++;
  *a = (mx_conv_axis){.n = (g->out[d] - phase + p - 1) / p, .out = phase, .out_step = p};
  a->taps = k < every && k < kernel ? (kernel - k + every - 1) / every : 0;
  a->first_tap = g->flip ? kernel - 1 - k : k;
  a->tap_step = g->flip ? -every : every;
  a->stride = p * g->stride[d] / dilation;
  a->first = (start + k * g->kernel_dilation[d]) / dilation;
  a->step = every * g->kernel_dilation[d] / dilation;
}

static int64_t span(const mx_conv_axis *a, int64_t n) { return a->taps ? (n - 1) * a->stride + (a->taps - 1) * a->step + 1 : 0; }

/* n in parts of at most `most`, as even as they come: the size of a part. */
static int64_t evenly(int64_t n, int64_t most) {
  if (most < 1) most = 1;
  if (most >= n) return n;
  int64_t parts = (n + most - 1) / most;
  return (n + parts - 1) / parts;
}

void mx_conv_phase_init(const mx_conv *g, int64_t i, int64_t room, int64_t places, mx_conv_phase *p) {
  room /= g->c / g->groups;
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) {
    mx_conv_axis *a = &p->at[d];
    axis_init(g, d, i % period(g, d), a);
    i /= period(g, d);
  }
  int64_t outer[MX_CONV_DIMS] = {1, 1, 1}, taken = 1; /* what single places of the axes further out take */
  for (int d = 1; d < MX_CONV_DIMS; d++) outer[d] = outer[d - 1] * (p->at[d - 1].taps ? span(&p->at[d - 1], 1) : 1);
  p->total = 1;
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) { /* whole rows first, then rows, then planes */
    mx_conv_axis *a = &p->at[d];
    int64_t fit = room / (taken * outer[d]), most = a->n;
    if (a->taps) most = fit > (a->taps - 1) * a->step + 1 ? (fit - (a->taps - 1) * a->step - 1) / a->stride + 1 : 1;
    a->block = evenly(a->n, most < places ? most : places);
    a->blocks = (a->n + a->block - 1) / a->block;
    a->span = span(a, a->block);
    taken *= a->span ? a->span : 1;
    places /= a->block;
    p->total *= a->blocks;
  }
  p->batch = g->batch;
  p->images = p->total > 1 ? 1 : evenly(g->batch, room / taken < places ? room / taken : places);
  p->total *= (g->batch + p->images - 1) / p->images;
}

void mx_conv_block_at(const mx_conv_phase *p, int64_t i, mx_conv_block *b) {
  for (int d = MX_CONV_DIMS - 1; d >= 0; d--) {
    const mx_conv_axis *a = &p->at[d];
    b->first[d] = i % a->blocks * a->block;
    b->n[d] = a->n - b->first[d] < a->block ? a->n - b->first[d] : a->block;
    i /= a->blocks;
  }
  b->image = i * p->images;
  b->images = p->batch - b->image < p->images ? p->batch - b->image : p->images;
}

/* Words of 4 bytes, few of them at a time. */
static inline void copy_words(char *o, const char *x, int64_t words) {
  if (words >= 64) {
    memcpy(o, x, (size_t)words * 4);
    return;
  }
  for (; words >= 16; words -= 16, o += 64, x += 64) memcpy(o, x, 64);
  for (; words >= 4; words -= 4, o += 16, x += 16) memcpy(o, x, 16);
  for (; words; words--, o += 4, x += 4) memcpy(o, x, 4);
}

static inline void load(const mx_conv_reader *x, int64_t at, int64_t stride, int64_t n, char *o) {
  const void *from = mx_at(x->v, at);
  if (stride == 1 && x->t == x->v->dtype) copy_words(o, from, n * (int64_t)mx_dtype_sizes[x->t] / 4);
  else if (x->t == MX_F64) mx_load_f64(x->v->dtype, from, stride, n, (double *)(void *)o);
  else mx_load_f32(x->v->dtype, from, stride, n, (float *)(void *)o);
}

/* A row of n places from `start` on. */
static void read_row(const mx_conv_reader *x, int64_t at, int64_t start, int64_t n, int64_t step, char *o) {
  const int64_t *s = x->s.s, c = x->channels, item = (int64_t)mx_dtype_sizes[x->t], len = x->in[2];
  int64_t left = start < 0 ? (-start < n ? -start : n) : 0, last = start + n < len ? n : len - start;
  if (last < left) last = left;
  bool even = step == c;
  if (even) {
    memset(o, 0, (size_t)(left * c * item));
    memset(o + last * c * item, 0, (size_t)((n - last) * c * item));
  } else {
    for (int64_t i = 0; i < left; i++) memset(o + i * step * item, 0, (size_t)(c * item));
    for (int64_t i = last; i < n; i++) memset(o + i * step * item, 0, (size_t)(c * item));
  }
  at += (start + left) * s[3];
  o += left * step * item;
  if (even && ((s[4] == 1 && s[3] == c) || c == 1)) { /* the channels of all places in one piece, or one channel */
    load(x, at, c == 1 ? s[3] : 1, (last - left) * c, o);
    return;
  }
  for (int64_t i = left; i < last; i++, at += s[3], o += step * item) load(x, at, s[4], c, o);
}

void mx_conv_read(const mx_conv_reader *x, int64_t image, int64_t images, const int64_t *start, const int64_t *n, int64_t q,
                  int64_t step_image, const int64_t *step, void *to) {
  const int64_t *s = x->s.s, item = (int64_t)mx_dtype_sizes[x->t];
  for (int64_t i = 0; i < images; i++)
    for (int64_t i0 = 0; i0 < n[0]; i0++)
      for (int64_t i1 = 0; i1 < n[1]; i1++) {
        char *o = (char *)to + (i * step_image + i0 * step[0] + i1 * step[1]) * item;
        int64_t p0 = start[0] + i0, p1 = start[1] + i1;
        bool inside = p0 >= 0 && p0 < x->in[0] && p1 >= 0 && p1 < x->in[1];
        read_row(x, inside ? (image + i) * s[0] + p0 * s[1] + p1 * s[2] + q * x->channels * s[4] : 0, inside ? start[2] : -n[2], n[2], step[2], o);
      }
}

void mx_conv_lay_out(const mx_conv_phase *p, int64_t channels, int64_t item, mx_conv_layout *l) {
  const mx_conv_axis *a = p->at;
  /* places 2048 bytes apart would share the same few lines of L1 */
  l->step[2] = channels * item % 2048 ? channels : channels + 64 / item;
  l->step[1] = a[2].span * l->step[2];
  l->step[0] = a[1].span * l->step[1];
  l->image = a[0].span * l->step[0];
  l->size = p->images * l->image;
}

void mx_conv_reads(const mx_conv_phase *p, const mx_conv_block *b, int64_t *start, int64_t *n) {
  for (int d = 0; d < MX_CONV_DIMS; d++) {
    start[d] = b->first[d] * p->at[d].stride + p->at[d].first;
    n[d] = (b->n[d] - 1) * p->at[d].stride + (p->at[d].taps - 1) * p->at[d].step + 1;
  }
}

void mx_conv_read_places(const mx_conv_phase *p, const mx_conv_block *b, const mx_conv_reader *from, int64_t column, int64_t n, int64_t width,
                         void *to) {
  const mx_conv_axis *a = p->at;
  const int64_t one[MX_CONV_DIMS] = {1, 1, b->n[2]}, step[MX_CONV_DIMS] = {0, 0, width}, item = (int64_t)mx_dtype_sizes[from->t];
  char *o = to;
  mx_view v = *from->v; /* of the phase's places, which are next to each other in it, and of these columns */
  mx_conv_reader y = *from;
  y.v = &v;
  y.channels = n;
  int64_t at = column * y.s.s[4];
  for (int d = 0; d < MX_CONV_DIMS; d++) {
    at += (a[d].out + b->first[d] * a[d].out_step) * y.s.s[1 + d];
    y.s.s[1 + d] *= a[d].out_step;
    y.in[d] = b->n[d];
  }
  v.data = mx_at(from->v, at);
  if (n < width) memset(o, 0, (size_t)(b->images * b->n[0] * b->n[1] * b->n[2] * width * item));
  for (int64_t i = 0; i < b->images; i++)
    for (int64_t i0 = 0; i0 < b->n[0]; i0++)
      for (int64_t i1 = 0; i1 < b->n[1]; i1++, o += b->n[2] * width * item)
        mx_conv_read(&y, b->image + i, 1, (int64_t[]){i0, i1, 0}, one, 0, 0, step, o);
}
