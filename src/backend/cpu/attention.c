/* Attention, tile by tile: a block of queries meets the keys block by block, with a running maximum and sum of each row (online softmax:
 * Milakov and Gimelshein, 2018; Dao et al., "FlashAttention", 2022), so that scores never leave the cache. A row's blocks follow
 * the shapes alone, so its bits do not depend on the number of threads. */
#include "backend/cpu/attention.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { ROWS = MX_ATTENTION_ROWS, KEYS = MX_ATTENTION_KEYS, SPLIT = 1024 };

void mx_attention_init(mx_attention *a, const mx_call *c) {
  const mx_view *in = c->in;
  *a = (mx_attention){.q = in, .k = in + 1, .v = in + 2, .mask = c->p[2] ? in + 3 : NULL, .scale = mx_unbits(c->p[0]), .causal = c->p[1] != 0};
  a->sinks = c->p[3] ? in + 3 + (a->mask != NULL) : NULL;
  a->batch = in->shape[0], a->heads = in->shape[1], a->rows = in->shape[2], a->width = in->shape[3];
  a->kv_heads = in[1].shape[1], a->keys = in[1].shape[2], a->value_width = in[2].shape[3];
  a->group = a->heads / a->kv_heads;
}

void mx_attention_load(const mx_view *x, int64_t b, int64_t h, int64_t first, int64_t n, float *o) {
  const int64_t *s = x->strides, width = x->shape[3];
  for (int64_t i = 0; i < n; i++)
    mx_load_f32((mx_dtype)x->dtype, mx_at(x, b * s[0] + h * s[1] + (first + i) * s[2]), s[3], width, o + i * width);
}

const float *mx_attention_block(const mx_view *x, int64_t b, int64_t h, int64_t first, int64_t n, float *o, int64_t *rs, int64_t *cs) {
  const int64_t *s = x->strides;
  if (x->dtype == MX_F32) {
    *rs = s[2], *cs = s[3];
    return mx_at(x, b * s[0] + h * s[1] + first * s[2]);
  }
  *rs = x->shape[3], *cs = 1;
  mx_attention_load(x, b, h, first, n, o);
  return o;
}

static float lowest(mx_dtype t) { return t == MX_F16 ? -65504.0f : t == MX_BF16 ? -0x1.fep127f : -FLT_MAX; }

bool mx_attention_lost(const mx_attention *a, float log_sum) {
  return a->mask && a->mask->dtype == MX_BOOL && log_sum < 0.99f * lowest((mx_dtype)a->q->dtype);
}

void mx_attention_mask(const mx_attention *a, int64_t b, int64_t h, int64_t t, int64_t first, int64_t n, float *x, float *row) {
  if (!a->mask) return;
  const int64_t *s = a->mask->strides;
  const void *at = mx_at(a->mask, b * s[0] + h * s[1] + t * s[2] + first * s[3]);
  if (a->mask->dtype == MX_BOOL) {
    const uint8_t *keep = at;
    float low = lowest((mx_dtype)a->q->dtype);
    for (int64_t i = 0; i < n; i++) x[i] = keep[i * s[3]] ? x[i] : low;
    return;
  }
  const float *add = mx_row_f32((mx_dtype)a->mask->dtype, at, s[3], n, row);
  for (int64_t i = 0; i < n; i++) x[i] += add[i];
}

/* A tile: rows [first, first + n) of the `stripe` of rows that one head of keys serves, against keys [from, to). Few rows of a head are
 * joined with those of the heads beside it. */
typedef struct tile {
  int64_t b, h, kv, first, n, from, to; /* h: of row 0 of the stripe */
} tile;

typedef struct job {
  mx_attention a;
  const mx_view *out, *logs;
  bool joined;
  int64_t stripes, stripe, rows, tiles, splits; /* of a batch, rows of one, of a tile, tiles of a stripe, pieces of the keys */
  float *pieces;                          /* splits > 1: rows of E numbers, the maximum and the sum */
} job;

static tile tile_of(const job *j, int64_t i) {
  int64_t split = i % j->splits, at = i / j->splits, first = at % j->tiles * j->rows;
  at /= j->tiles;
  tile t = {.b = at / j->stripes, .first = first, .n = j->stripe - first < j->rows ? j->stripe - first : j->rows, .from = split * SPLIT, .to = j->a.keys};
  t.kv = j->joined ? at % j->stripes : at % j->stripes / j->a.group;
  t.h = j->joined ? t.kv * j->a.group : at % j->stripes;
  if (j->splits > 1 && t.to > t.from + SPLIT) t.to = t.from + SPLIT;
  return t;
}

/* Rows [first, ...) of one head of keys or values as a matrix for the kernels of few rows: as they are stored where those read that, else n of
 * them converted into o. *step: from row to row. */
static const void *rows_as_stored(const mx_view *x, const tile *t, int64_t first, int64_t n, float *o, int64_t *step, int *type) {
  const int64_t *s = x->strides;
  *type = x->dtype == MX_F32 ? 0 : x->dtype == MX_F16 ? 1 : 2;
  *step = s[2];
  if ((s[3] == 1 || x->shape[3] == 1) && (*type < 2 || x->dtype == MX_BF16)) return mx_at(x, t->b * s[0] + t->kv * s[1] + first * s[2]);
  *type = 0;
  *step = x->shape[3];
  mx_attention_load(x, t->b, t->kv, first, n, o);
  return o;
}

/* scores (n, count), KEYS apart = scale q k^T. Few rows, which are scaled already, go through the keys together, as these are stored. */
static int scores_of(const job *j, const tile *t, int64_t key, int64_t count, const float *q, float *block, float *x) {
  int64_t d = j->a.width, rs, cs;
  if (t->n <= MX_FEW) {
    int type;
    const void *k = rows_as_stored(j->a.k, t, key, count, block, &rs, &type);
    mx_vec_now()->few_rows->turned[type][t->n - 1](count, d, q, d, k, rs, x, KEYS);
    return 0;
  }
  const float *k = mx_attention_block(j->a.k, t->b, t->kv, key, count, block, &rs, &cs);
  return mx_gemm(MX_F32, t->n, count, d, j->a.scale, (mx_matrix){q, d, 1}, (mx_matrix){k, cs, rs}, 0, x, KEYS);
}

/* o (n, E) += x (n, count) v. There is room for ROWS rows in o. */
static int add_values(const job *j, const tile *t, int64_t key, int64_t count, const float *x, float *block, float *o) {
  int64_t e = j->a.value_width, rs, cs;
  if (t->n <= MX_FEW) {
    int type;
    float *part = o + MX_FEW * e;
    const void *v = rows_as_stored(j->a.v, t, key, count, block, &rs, &type);
    mx_vec_now()->few_rows->plain[type][t->n - 1](e, count, x, KEYS, v, rs, part, e);
    for (int64_t i = 0; i < t->n * e; i++) o[i] += part[i];
    return 0;
  }
  const float *v = mx_attention_block(j->a.v, t->b, t->kv, key, count, block, &rs, &cs);
  return mx_gemm(MX_F32, t->n, e, count, 1, (mx_matrix){x, KEYS, 1}, (mx_matrix){v, rs, cs}, 1, o, e);
}

/* One block of keys: scores to weights, the rows' maxima and sums, and what was summed before scaled to the new maxima. */
static void weigh(const job *j, const tile *t, int64_t key, int64_t count, float *x, float *o, float *max, float *sum, float *room) {
  const mx_attention *a = &j->a;
  const mx_vec *v = mx_vec_now();
  int64_t e = a->value_width;
  for (int64_t i = 0; i < t->n; i++, x += KEYS, o += e) {
    int64_t row = t->first + i, time = row % a->rows, seen = mx_attention_sees(a, time) - key;
    if (seen > count) seen = count;
    if (seen < 0) seen = 0;
    mx_attention_mask(a, t->b, t->h + row / a->rows, time, key, seen, x, room);
    float m = v->largest(seen, x);
    if (!(m > max[i])) m = max[i];
    float before = max[i] == m ? 1 : expf(max[i] - m);
    if (m == -INFINITY) seen = 0; /* no weight so far */
    sum[i] = sum[i] * before + v->exp_sum(seen, x, m, x);
    memset(x + seen, 0, (size_t)(count - seen) * sizeof *x);
    if (before != 1)
      for (int64_t c = 0; c < e; c++) o[c] *= before;
    max[i] = m;
  }
}

/* o (n, E), not yet divided by the sums. room: scratch_size floats */
static int attend(const job *j, const tile *t, float *o, float *max, float *sum, float *room) {
  const mx_attention *a = &j->a;
  int64_t d = a->width, e = a->value_width, last = 0;
  float *q = room, *x = q + ROWS * d, *block = x + ROWS * KEYS, *row = block + KEYS * (d > e ? d : e);
  for (int64_t i = 0; i < t->n; i++) {
    int64_t r = t->first + i, sees = mx_attention_sees(a, r % a->rows);
    mx_attention_load(a->q, t->b, t->h + r / a->rows, r % a->rows, 1, q + i * d);
    max[i] = -INFINITY, sum[i] = 0;
    last = sees > last ? sees : last;
  }
  for (int64_t i = 0; t->n <= MX_FEW && i < t->n * d; i++) q[i] *= (float)a->scale;
  if (last > t->to) last = t->to;
  memset(o, 0, (size_t)(t->n * e) * sizeof *o);
  for (int64_t key = t->from; key < last; key += KEYS) {
    int64_t count = last - key < KEYS ? last - key : KEYS;
    int rc = scores_of(j, t, key, count, q, block, x);
    if (rc) return rc;
    weigh(j, t, key, count, x, o, max, sum, row);
    if ((rc = add_values(j, t, key, count, x, block, o))) return rc;
  }
  return 0;
}

/* The row divided by its sum, in which a sink counts, and the logarithm of that. */
static void finish(const job *j, const tile *t, int64_t i, float *o, float max, float sum) {
  const mx_attention *a = &j->a;
  int64_t e = a->value_width, row = t->first + i, h = t->h + row / a->rows, place = (t->b * a->heads + h) * a->rows + row % a->rows;
  if (a->sinks) {
    float sink;
    mx_load_f32((mx_dtype)a->sinks->dtype, mx_at(a->sinks, t->b * a->sinks->strides[0] + h * a->sinks->strides[1]), 1, 1, &sink);
    float m = sink > max ? sink : max, before = expf(max - m);
    sum = sum * before + expf(sink - m);
    for (int64_t c = 0; c < e; c++) o[c] *= before;
    max = m;
  }
  float by = 1 / sum;
  for (int64_t c = 0; c < e; c++) o[c] *= by;
  mx_store_f32((mx_dtype)j->out->dtype, o, e, mx_at(j->out, place * e));
  ((float *)j->logs->data)[place] = max + logf(sum);
}

static void tile_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  int64_t d = j->a.width, e = j->a.value_width;
  float *o = mx_scratch((size_t)(ROWS * (e + 2 + d + KEYS) + KEYS * ((d > e ? d : e) + 1)) * sizeof *o);
  if (!o) {
    j->a.rc = MX_EMEMORY;
    return;
  }
  float *max = o + ROWS * e, *sum = max + ROWS, *room = sum + ROWS;
  for (int64_t i = begin; i < end; i++) {
    tile t = tile_of(j, i);
    int rc = attend(j, &t, o, max, sum, room);
    if (rc) j->a.rc = rc;
    for (int64_t r = 0; r < t.n && !rc; r++) {
      if (j->splits == 1) {
        finish(j, &t, r, o + r * e, max[r], sum[r]);
        continue;
      }
      float *piece = j->pieces + (i * ROWS + r) * (e + 2);
      memcpy(piece, o + r * e, (size_t)e * sizeof *o);
      piece[e] = max[r], piece[e + 1] = sum[r];
    }
  }
  mx_scratch_free(o);
}

/* The pieces of a row put together, in order. */
static void join_pieces(const job *j, int64_t i) {
  int64_t e = j->a.value_width;
  tile t = tile_of(j, i * j->splits);
  for (int64_t r = 0; r < t.n; r++) {
    float *o = j->pieces + (i * j->splits * ROWS + r) * (e + 2), max = -INFINITY, sum = 0;
    for (int64_t s = 0; s < j->splits; s++) max = o[s * ROWS * (e + 2) + e] > max ? o[s * ROWS * (e + 2) + e] : max;
    for (int64_t s = 0; s < j->splits; s++) {
      float *p = o + s * ROWS * (e + 2), by = p[e] == max ? 1 : expf(p[e] - max);
      sum += p[e + 1] * by;
      for (int64_t c = 0; c < e; c++) o[c] = s ? o[c] + p[c] * by : p[c] * by;
    }
    finish(j, &t, r, o, max, sum);
  }
}

int mx_cpu_attention(const mx_call *c) {
  job j = {.out = c->out, .logs = c->out + 1};
  mx_attention *a = &j.a;
  mx_attention_init(a, c);
  if (!a->batch || !a->heads || !a->rows) return 0;
  j.joined = a->rows < 16 && a->group > 1;
  j.stripes = j.joined ? a->kv_heads : a->heads, j.stripe = j.joined ? a->group * a->rows : a->rows;
  j.rows = mx_attention_rows(a);
  j.tiles = (j.stripe + j.rows - 1) / j.rows;
  j.splits = j.stripe <= 16 ? (a->keys + SPLIT - 1) / SPLIT : 1;
  int64_t n = a->batch * j.stripes * j.tiles;
  if (j.splits > 1 && !(j.pieces = mx_scratch((size_t)(n * j.splits * ROWS * (a->value_width + 2)) * sizeof(float)))) return mx_fail_memory();
  double work = (double)(j.stripe < ROWS ? j.stripe : ROWS) * (double)(a->keys < SPLIT || j.splits == 1 ? a->keys : SPLIT) * (double)(a->width + a->value_width + 8);
  mx_parallel(n * j.splits, work > 1 << 16 ? 1 : (int64_t)((1 << 16) / work) + 1, tile_range, &j);
  for (int64_t i = 0; i < n && j.splits > 1 && !a->rc; i++) join_pieces(&j, i);
  mx_scratch_free(j.pieces);
  return a->rc ? mx_fail_memory() : 0;
}
