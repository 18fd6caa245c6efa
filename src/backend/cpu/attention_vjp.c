/* The gradient of attention: the weights of a tile are computed again from the logarithms of the rows' sums (Dao et al.,
 * "FlashAttention", 2022). One task does a head of keys with all heads of queries that share it, block by block of its keys. */
#include <string.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { ROWS = MX_ATTENTION_ROWS, KEYS = 256 };

typedef struct job {
  mx_attention a;
  const mx_view *logs, *sums, *g, *dq, *dk, *dv;
} job;

/* A task's place, scratch and results. */
typedef struct task {
  int64_t b, kv, key, count;   /* the block of keys */
  float *q, *g, *k, *v;        /* converted, where they are not f32 */
  float *weights, *x, *row;
  float *dq, *dk, *dv;         /* (group, T, D), (S, D), (S, E): results or scratch */
} task;

typedef struct matrix {
  const float *at;
  int64_t rs, cs;
} matrix;

static matrix block(const mx_view *x, int64_t b, int64_t h, int64_t first, int64_t n, float *room) {
  matrix m;
  m.at = mx_attention_block(x, b, h, first, n, room, &m.rs, &m.cs);
  return m;
}
static mx_matrix plain(matrix m) { return (mx_matrix){m.at, m.rs, m.cs}; }
static mx_matrix flipped(matrix m) { return (mx_matrix){m.at, m.cs, m.rs}; }

static float number(const mx_view *x, int64_t b, int64_t h, int64_t t) {
  return *(const float *)mx_at(x, b * x->strides[0] + h * x->strides[1] + t * x->strides[2]);
}

/* From the scores of rows [first, first + n) of head h on the first `count` keys of the block to weights. */
static void weigh(const job *j, const task *w, int64_t h, int64_t first, int64_t n, int64_t count) {
  const mx_attention *a = &j->a;
  for (int64_t i = 0; i < n; i++) {
    float *x = w->weights + i * KEYS;
    int64_t seen = mx_attention_sees(a, first + i) - w->key;
    seen = seen > count ? count : seen < 0 ? 0 : seen;
    mx_attention_mask(a, w->b, h, first + i, w->key, seen, x, w->row);
    float log_sum = number(j->logs, w->b, h, first + i);
    if (mx_attention_lost(a, log_sum))
      for (int64_t c = 0; c < seen; c++) x[c] = 1 / (float)a->keys;
    else mx_vec_now()->exp_sum(seen, x, log_sum, x);
    memset(x + seen, 0, (size_t)(count - seen) * sizeof *x);
  }
}

/* Gradients of the scores, in x, from those of the weights there. */
static void through_softmax(const job *j, const task *w, int64_t h, int64_t first, int64_t n, int64_t count) {
  const mx_attention *a = &j->a;
  for (int64_t i = 0; i < n; i++) {
    float *x = w->x + i * KEYS;
    if (mx_attention_lost(a, number(j->logs, w->b, h, first + i))) memset(x, 0, (size_t)count * sizeof *x); /* constant weights */
    else mx_vec_now()->softmax_vjp(count, w->weights + i * KEYS, x, number(j->sums, w->b, h, first + i), (float)a->scale, x);
  }
}

/* Rows [first, first + n) of head h against those of the block of keys that one of them sees. fresh: the first to add to its gradients,
 * which sees all of it. */
static int tile(const job *j, const task *w, matrix k, matrix v, int64_t h, int64_t first, int64_t n, bool fresh) {
  const mx_attention *a = &j->a;
  int64_t d = a->width, e = a->value_width, sees = mx_attention_sees(a, first + n - 1) - w->key, c = sees < w->count ? sees : w->count;
  matrix q = block(a->q, w->b, h, first, n, w->q), g = block(j->g, w->b, h, first, n, w->g);
  mx_matrix rows = {w->weights, 1, KEYS}, x = {w->x, KEYS, 1}, down = {w->x, 1, KEYS};
  float *dq = w->dq + ((h - w->kv * a->group) * a->rows + first) * d;
  int rc = mx_gemm(MX_F32, n, c, d, a->scale, plain(q), flipped(k), 0, w->weights, KEYS);
  if (rc) return rc;
  weigh(j, w, h, first, n, c);
  if ((rc = mx_gemm(MX_F32, c, e, n, 1, rows, plain(g), fresh ? 0 : 1, w->dv + w->key * e, e))) return rc;
  if ((rc = mx_gemm(MX_F32, n, c, e, 1, plain(g), flipped(v), 0, w->x, KEYS))) return rc;
  through_softmax(j, w, h, first, n, c);
  if ((rc = mx_gemm(MX_F32, n, d, c, 1, x, plain(k), w->key ? 1 : 0, dq, d))) return rc;
  return mx_gemm(MX_F32, c, d, n, 1, down, plain(q), fresh ? 0 : 1, w->dk + w->key * d, d);
}

static int keys_of(const job *j, task *w) {
  const mx_attention *a = &j->a;
  const int64_t rows = mx_attention_rows(a);
  for (w->key = 0; w->key < a->keys; w->key += KEYS) {
    w->count = a->keys - w->key < KEYS ? a->keys - w->key : KEYS;
    matrix k = block(a->k, w->b, w->kv, w->key, w->count, w->k), v = block(a->v, w->b, w->kv, w->key, w->count, w->v);
    bool fresh = true;
    for (int64_t h = w->kv * a->group; h < (w->kv + 1) * a->group; h++)
      for (int64_t first = (a->rows - 1) / rows * rows; first >= 0; first -= rows) { /* the last ones see most */
        int64_t n = a->rows - first < rows ? a->rows - first : rows;
        if (mx_attention_sees(a, first + n - 1) <= w->key) break;
        int rc = tile(j, w, k, v, h, first, n, fresh);
        if (rc) return rc;
        fresh = false;
      }
  }
  return 0;
}

static void head_range(void *ctx, int64_t begin, int64_t end) {
  job *j = ctx;
  mx_attention *a = &j->a;
  mx_dtype t = (mx_dtype)a->q->dtype;
  int64_t d = a->width, e = a->value_width, nq = a->group * a->rows * d, nk = a->keys * d, nv = a->keys * e;
  int64_t whole = t == MX_F32 ? 0 : nq + nk + nv;
  float *room = mx_scratch((size_t)((2 * ROWS + 1) * KEYS + (ROWS + KEYS) * (d + e) + whole) * sizeof *room);
  if (!room) {
    a->rc = MX_EMEMORY;
    return;
  }
  task w = {.weights = room, .x = room + ROWS * KEYS, .row = room + 2 * ROWS * KEYS};
  w.q = w.row + KEYS, w.g = w.q + ROWS * d, w.k = w.g + ROWS * e, w.v = w.k + KEYS * d;
  w.dq = w.v + KEYS * e, w.dk = w.dq + nq, w.dv = w.dk + nk;
  for (int64_t i = begin; i < end; i++) {
    w.b = i / a->kv_heads, w.kv = i % a->kv_heads;
    if (t == MX_F32) w.dq = (float *)j->dq->data + i * nq, w.dk = (float *)j->dk->data + i * nk, w.dv = (float *)j->dv->data + i * nv;
    int rc = keys_of(j, &w);
    if (rc) a->rc = rc;
    else if (t != MX_F32) {
      mx_store_f32(t, w.dq, nq, mx_at(j->dq, i * nq));
      mx_store_f32(t, w.dk, nk, mx_at(j->dk, i * nk));
      mx_store_f32(t, w.dv, nv, mx_at(j->dv, i * nv));
    }
  }
  mx_scratch_free(room);
}

int mx_cpu_attention_vjp(const mx_call *c) {
  job j = {.dq = c->out, .dk = c->out + 1, .dv = c->out + 2};
  mx_attention_init(&j.a, c);
  int at = 3 + (j.a.mask != NULL);
  j.logs = c->in + at, j.sums = c->in + at + 1, j.g = c->in + at + 2;
  if (!j.a.rows || !j.a.heads) {
    for (int i = 0; i < 3; i++) memset(c->out[i].data, 0, (size_t)c->out[i].size * mx_dtype_sizes[c->out[i].dtype]);
    return 0;
  }
  mx_parallel(j.a.batch * j.a.kv_heads, 1, head_range, &j);
  return j.a.rc ? mx_fail_memory() : 0;
}
