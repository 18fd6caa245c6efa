/* The gradient in the weight: for every tap and channel of x the sum over output places of x times the cotangent y, as products of matrices
 * whose sums run over the places of a block. x is copied as in conv_product.c, y into panels. Parts of the blocks, cut by shape, have sums of
 * their own, (taps, C / groups, O / groups) a group. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/conv.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  ROOM = 3 << 16,            /* bytes of x in a block */
  ITEMS = 16,                /* that the pool should have */
  SUMS = 1 << 21             /* elements of all partial sums, at most, when there are several */
};

typedef struct weight_job {
  mx_conv g;
  int64_t item, width;       /* of an element, in bytes; of a panel, in elements */
  mx_conv_reader x, y;
  mx_conv_phase p;
  mx_conv_layout l;
  int64_t cg, og, taps, panels, chunks, parts;
  char *sums, *dw;
  _Atomic int rc;
} weight_job;

/* One panel of a block, added to sums (taps, cg, og) from its first column on. rows: where those of the block start in its copy. */
static void multiply(const weight_job *j, const mx_conv_block *b, const int64_t *rows, const char *x, const char *panel, int64_t n, char *sums) {
  const mx_conv_axis *a = j->p.at;
  const mx_strip_fn fn = j->item == 4 ? mx_vec_now()->strip_f32 : mx_vec_now()->strip_f64;
  const mx_strip s = {1, a[2].stride * j->l.step[2], b->n[2], b->images * b->n[0] * b->n[1], rows, NULL, 0};
  /* the taps of a row of the kernel in one piece, where they are in x and in w */
  bool merge = j->l.step[2] == j->cg && a[2].step == 1 && a[2].tap_step == 1;
  int64_t taps2 = merge ? a[2].taps > 0 : a[2].taps, m = merge ? a[2].taps * j->cg : j->cg;
  for (int64_t t0 = 0; t0 < a[0].taps; t0++)
    for (int64_t t1 = 0; t1 < a[1].taps; t1++)
      for (int64_t t2 = 0; t2 < taps2; t2++) {
        int64_t k0 = a[0].first_tap + t0 * a[0].tap_step, k1 = a[1].first_tap + t1 * a[1].tap_step, k2 = a[2].first_tap + t2 * a[2].tap_step;
        int64_t from = t0 * a[0].step * j->l.step[0] + t1 * a[1].step * j->l.step[1] + t2 * a[2].step * j->l.step[2];
        int64_t to = ((k0 * j->g.kernel[1] + k1) * j->g.kernel[2] + k2) * j->cg * j->og;
        fn(m, n, &s, x + from * j->item, panel, sums + to * j->item, j->og, true);
      }
}

/* Items: (part, group, chunk of panels). */
static void weight_range(void *ctx, int64_t begin, int64_t end) {
  weight_job *j = ctx;
  const mx_conv_axis *a = j->p.at;
  const int64_t places = j->p.images * a[0].block * a[1].block * a[2].block, copy = (j->l.size * j->item + 7) / 8 * 8;
  const int64_t most_rows = j->p.images * a[0].block * a[1].block;
  int64_t *rows = mx_scratch((size_t)(most_rows * (int64_t)sizeof *rows + copy + places * j->width * j->item) + 64);
  char *x = (char *)(rows + most_rows), *panel = x + copy;
  if (!rows) {
    j->rc = MX_EMEMORY;
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t chunk = i % j->chunks, q = i / j->chunks % j->g.groups, part = i / j->chunks / j->g.groups, start[MX_CONV_DIMS], n[MX_CONV_DIMS];
    char *sums = j->sums + (part * j->g.groups + q) * j->taps * j->cg * j->og * j->item;
    for (int64_t k = part * j->p.total / j->parts; k < (part + 1) * j->p.total / j->parts; k++) {
      mx_conv_block b;
      mx_conv_block_at(&j->p, k, &b);
      mx_conv_reads(&j->p, &b, start, n);
      mx_conv_read(&j->x, b.image, b.images, start, n, q, j->l.image, j->l.step, x);
      for (int64_t r = 0; r < b.images * b.n[0] * b.n[1]; r++)
        rows[r] = r / b.n[1] / b.n[0] * j->l.image + r / b.n[1] % b.n[0] * a[0].stride * j->l.step[0] + r % b.n[1] * a[1].stride * j->l.step[1];
      for (int64_t p = chunk * j->panels / j->chunks; p < (chunk + 1) * j->panels / j->chunks; p++) {
        int64_t column = p * j->width, left = j->og - column, width = left < j->width ? left : j->width;
        mx_conv_read_places(&j->p, &b, &j->y, q * j->og + column, width, j->width, panel);
        multiply(j, &b, rows, x, panel, width, sums + column * j->item);
      }
    }
  }
  mx_scratch_free(rows);
}

static int phase(weight_job *j, int64_t i) {
  int64_t places = j->g.batch * j->g.out[0] * j->g.out[1] * j->g.out[2] / ITEMS + 1;
  mx_conv_phase_init(&j->g, i, ROOM / j->item, places > 256 ? places : 256, &j->p);
  const mx_conv_axis *a = j->p.at;
  if (!a[0].taps || !a[1].taps || !a[2].taps) return 0;
  mx_conv_lay_out(&j->p, j->cg, j->item, &j->l);
  mx_parallel(j->parts * j->g.groups * j->chunks, 1, weight_range, j);
  return j->rc;
}

/* dw of 16 output channels: the parts added up, and turned from (taps, C / groups, O / groups). */
enum { TILE = 16 };
#define FINISH(T, name)                                                                                                      \
  static void name(void *ctx, int64_t begin, int64_t end) {                                                                  \
    const weight_job *j = ctx;                                                                                               \
    const int64_t depth = j->taps * j->cg, tiles = (j->og + TILE - 1) / TILE, all = j->g.groups * depth * j->og;             \
    for (int64_t i = begin; i < end; i++) {                                                                                  \
      int64_t q = i / tiles, o0 = i % tiles * TILE, n = j->og - o0 < TILE ? j->og - o0 : TILE;                               \
      const T *from = (const T *)(const void *)j->sums + q * depth * j->og + o0;                                             \
      T *to = (T *)(void *)j->dw + (q * j->og + o0) * depth;                                                                 \
      for (int64_t r0 = 0; r0 < depth; r0 += TILE) {                                                                         \
        T tile[TILE][TILE];                                                                                                  \
        int64_t rows = depth - r0 < TILE ? depth - r0 : TILE;                                                                \
        for (int64_t r = 0; r < rows; r++) {                                                                                 \
          for (int64_t o = 0; o < n; o++) tile[r][o] = from[(r0 + r) * j->og + o];                                           \
          for (int64_t p = 1; p < j->parts; p++)                                                                             \
            for (int64_t o = 0; o < n; o++) tile[r][o] += from[p * all + (r0 + r) * j->og + o];                              \
        }                                                                                                                    \
        for (int64_t o = 0; o < n; o++)                                                                                      \
          for (int64_t r = 0; r < rows; r++) to[o * depth + r0 + r] = tile[r][o];                                            \
      }                                                                                                                      \
    }                                                                                                                        \
  }
FINISH(float, finish_f32)
FINISH(double, finish_f64)

static void zero_range(void *ctx, int64_t begin, int64_t end) { memset((char *)ctx + begin, 0, (size_t)(end - begin)); }

int mx_conv_to_weight(const mx_conv *g, mx_dtype t, const mx_view *x, const mx_view *y, void *dw) {
  weight_job j = {.g = *g, .item = (int64_t)mx_dtype_sizes[t], .x = {.v = x, .t = t}, .y = {.v = y, .t = t}, .dw = dw};
  mx_conv_view(x, &j.x.s);
  mx_conv_view(y, &j.y.s);
  memcpy(j.x.in, g->in, sizeof j.x.in);
  j.cg = j.x.channels = g->c / g->groups;
  j.og = g->o / g->groups;
  j.width = *mx_vec_now()->panel / j.item;
  j.panels = (j.og + j.width - 1) / j.width;
  j.taps = g->kernel[0] * g->kernel[1] * g->kernel[2];
  /* as many partial sums as pay for being added, and as the memory is worth */
  int64_t places = g->batch * g->out[0] * g->out[1] * g->out[2], size = g->groups * j.taps * j.cg * j.og;
  j.parts = places / 512 + 1;
  if (j.parts > ITEMS) j.parts = ITEMS;
  if (j.parts > SUMS / size) j.parts = SUMS / size;
  if (j.parts < 1) j.parts = 1;
  j.chunks = (ITEMS + j.parts * g->groups - 1) / (j.parts * g->groups);
  if (j.chunks > j.panels) j.chunks = j.panels;
  if (!(j.sums = mx_scratch((size_t)(j.parts * size * j.item)))) return MX_EMEMORY;
  mx_parallel(j.parts * size * j.item, 1 << 20, zero_range, j.sums);
  int rc = 0;
  for (int64_t i = 0; !rc && i < mx_conv_phases(g); i++) rc = phase(&j, i);
  int64_t grain = (1 << 14) / (TILE * j.taps * j.cg * j.parts) + 1;
  if (!rc) mx_parallel(g->groups * ((j.og + TILE - 1) / TILE), grain, t == MX_F64 ? finish_f64 : finish_f32, &j);
  mx_scratch_free(j.sums);
  return rc;
}
