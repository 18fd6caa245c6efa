/* Reductions, alone or as endings of fused programs.
 *
 * Seen from its last reduced axes, a domain is (A, R, K) in row order: R elements are reduced for each of A x K results. K = 1: rows; blocks of
 * MX_REDUCE_ROW elements are reduced in lanes. K > 1: columns; blocks of rows are reduced one row after the other. Blocks are joined
 * pairwise: the second half of a chunk of 2^k blocks to the first, again and again; lanes are joined last. Chunks are what threads take;
 * their results are joined in the same way.
 * So the order depends on (A, R, K) alone: not on strides, tiles, threads or on what was fused. Reduced axes further out are done in
 * passes over the result of the inner ones.
 *
 * Contiguous inputs that nothing is computed of are read where they are, others tile by tile. */
#include <stdalign.h>
#include <string.h>

#include "backend/cpu/scratch.h"
#include "backend/cpu/tile.h"
#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  STRIP = 1024,        /* columns */
  STRIP_BYTES = 16384, /* of the accumulators of one reduction */
  CHUNK = 32768,
  LARGE = 1 << 18,
  GROUP = 4          /* reductions of one pass */
};

static const uint8_t tag_dtype[MX_N_TAGS] = {MX_BOOL, MX_U8, MX_U16, MX_U32, MX_U64, MX_I8, MX_I16, MX_I32, MX_I64, MX_F32, MX_F64, MX_C64};

typedef struct target { /* one reduced output of a pass */
  const mx_reducer *r, *join; /* of the elements, of the accumulators */
  int o, size, item;    /* the output; bytes of an element, of an accumulator */
  char *dst;            /* (A, K) accumulators */
  char *partial;        /* (A, chunks, K) accumulators, where there are several chunks */
} target;

static target target_of(const mx_isa *isa, int op, int tag, int o) {
  const mx_reducer *r = mx_reducer_of(isa, op, tag);
  return (target){.r = r, .join = mx_reducer_of(isa, op, r->acc), .o = o, .size = mx_tag_sizes[tag], .item = mx_tag_sizes[r->acc]};
}

typedef struct pass {
  const mx_bound *b;
  int64_t A, R, K;
  int64_t block, chunk_blocks, chunks, strip, strips, together;
  int n, half;          /* half: 1 + index into mx_isa.halves of what is read in place */
  const char *x;        /* the elements, `item` bytes each, where nothing is computed; or NULL */
  int item;
  int n_ahead;          /* inputs of a program, fetched a tile ahead: the loops over a tile keep too few lines under way */
  mx_ref ahead[MX_STREAMS];
  target t[GROUP];
} pass;

static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* Whether all that a pass does is to reduce one contiguous array. */
static void find_plain(pass *p) {
  const mx_bound *b = p->b;
  p->x = NULL;
  p->half = 0;
  if (b->n_steps || b->n_saves) return;
  for (int i = 1; i < p->n; i++)
    if (b->value[p->t[i].o].off != b->value[p->t[0].o].off) return;
  mx_ref v = b->value[p->t[0].o];
  const mx_loader *l = b->loads;
  if (v.where == MX_IN_MEMORY && v.scale) {
    p->x = (const char *)v.off;
    p->item = (int)v.scale;
  } else if (b->n_loads == 1 && l->half && l->nd == 1 && l->stride[0] == 1 && l->to.off == v.off) {
    p->x = l->data;
    p->item = 2;
    p->half = l->half;
  }
}

static void add_ahead(pass *p, mx_ref r) {
  if (r.where != MX_IN_MEMORY || !r.scale || p->n_ahead == MX_STREAMS) return;
  for (int i = 0; i < p->n_ahead; i++)
    if (p->ahead[i].off == r.off) return;
  p->ahead[p->n_ahead++] = r;
}
/* The contiguous inputs of a program, where they are too large to be in a cache already. */
static void find_ahead(pass *p) {
  p->n_ahead = 0;
  if (p->A * p->R * p->K < LARGE) return;
  for (int i = 0; i < p->b->n_steps; i++) {
    const mx_step *s = &p->b->steps[i];
    if (s->heavy) { /* there is time enough */
      p->n_ahead = 0;
      return;
    }
    if (s->wa) add_ahead(p, s->a);
    if (s->wb) add_ahead(p, s->b);
    if (s->wc) add_ahead(p, s->c);
  }
}

/* Of the elements from start on, n in a row. */
static const void *values(const pass *p, const target *t, char *scratch, int64_t start) {
  return p->x && !p->half ? p->x + start * p->item : mx_tile_at(p->b->value[t->o], scratch, start);
}
static void exec(const pass *p, char *scratch, int64_t start, int64_t n) {
  if (p->x && !p->half) {
    mx_soon_fetch(n);
    return;
  }
  for (int i = 0; i < p->n_ahead; i++) {
    const char *next = mx_tile_at(p->ahead[i], NULL, start + n);
    for (int64_t l = 0; l < n * p->ahead[i].scale; l += 64) __builtin_prefetch(next + l);
  }
  mx_tile_exec(p->b, scratch, start, (int)n);
}
/* Elements in one go: of a row that is read in place all, of halves what stays in L1, of others a block. */
static int64_t at_once(const pass *p) { return !p->x || mx_soon_any() ? MX_REDUCE_ROW : p->half ? 4 * MX_REDUCE_ROW : CHUNK; }

/* acc[k] = reduction of column k of x (rows, len) with len <= MX_REDUCE_NARROW: groups of rows side by side, which are joined one after the
 * other. */
static void reduce_narrow(const target *t, size_t rows, size_t len, char *acc, const char *x) {
  enum { LANES = 64, ROWS = 8, AHEAD = 6144 };
  alignas(64) char lane[LANES * 8];
  size_t group = rows < LANES / len ? rows : LANES / len, width = group * len, bytes = width * (size_t)t->size, n = rows / group;
  t->join->start(width, lane);
  for (; n >= ROWS; n -= ROWS, x += ROWS * bytes) { /* read row by row side by side, which no processor foresees */
    for (size_t l = 0; l < ROWS * bytes; l += 64) __builtin_prefetch(x + AHEAD + l);
    t->r->cols(ROWS, width, width, lane, x);
  }
  t->r->cols(n, width, width, lane, x);
  t->r->cols(1, rows % group * len, 0, lane, x + n * bytes);
  memcpy(acc, lane, len * (size_t)t->item);
  t->join->cols(group - 1, len, len, acc, lane + len * (size_t)t->item);
}

static void put(const target *t, const pass *p, int64_t a, int64_t chunk, int64_t k, int64_t n, const char *acc) {
  char *to = p->chunks == 1 ? t->dst + (a * p->K + k) * t->item : t->partial + ((a * p->chunks + chunk) * p->K + k) * t->item;
  memcpy(to, acc, (size_t)(n * t->item));
}

/* Several short rows, or several small (R, K), in one tile. */
static void run_together(void *ctx, int64_t begin, int64_t end) {
  const pass *p = ctx;
  alignas(64) char scratch[MX_SCRATCH];
  mx_tile_begin(p->b, scratch);
  int64_t size = p->R * p->K, most = p->x && !p->half ? end - begin : p->together;
  for (int64_t a = begin; a < end; a += most) {
    int64_t m = at_most(most, end - a);
    exec(p, scratch, a * size, m * size);
    for (int i = 0; i < p->n; i++) {
      const target *t = &p->t[i];
      const char *x = values(p, t, scratch, a * size);
      char *dst = t->dst + a * p->K * t->item;
      if (p->K == 1) {
        t->r->rows((size_t)m, (size_t)p->R, dst, x);
        continue;
      }
      for (int64_t j = 0; j < m; j++, x += size * t->size, dst += p->K * t->item) {
        if (p->K <= MX_REDUCE_NARROW) {
          reduce_narrow(t, (size_t)p->R, (size_t)p->K, dst, x);
        } else {
          t->join->start((size_t)p->K, dst);
          t->r->cols((size_t)p->R, (size_t)p->K, (size_t)p->K, dst, x);
        }
      }
    }
  }
}

/* Chunks of long rows. */
static void run_rows(void *ctx, int64_t begin, int64_t end) {
  enum { BLOCKS = CHUNK / MX_REDUCE_ROW };
  const pass *p = ctx;
  alignas(64) char scratch[MX_SCRATCH];
  alignas(64) char part[GROUP][BLOCKS * MX_REDUCE_LANES * 8];
  mx_tile_begin(p->b, scratch);
  for (int64_t item = begin; item < end; item++) {
    int64_t a = item / p->chunks, c = item % p->chunks, count = 0;
    int64_t from = c * CHUNK, to = at_most(p->R, from + CHUNK), step = at_once(p);
    for (int64_t r = from; r < to; r += step, count += step / MX_REDUCE_ROW * MX_REDUCE_LANES) {
      int64_t n = at_most(step, to - r), start = a * p->R + r;
      if (p->half) {
        mx_soon_fetch(n);
        p->b->isa->halves[p->half - 1].load((size_t)n, scratch, p->x + 2 * start, NULL, NULL);
      } else {
        exec(p, scratch, start, n);
      }
      for (int i = 0; i < p->n; i++)
        p->t[i].r->blocks((size_t)n, part[i] + count * p->t[i].item, p->half ? scratch : values(p, &p->t[i], scratch, start));
    }
    for (int i = 0; i < p->n; i++) {
      p->t[i].join->tree((size_t)(to - from + MX_REDUCE_ROW - 1) / MX_REDUCE_ROW, MX_REDUCE_LANES, MX_REDUCE_LANES, part[i]);
      p->t[i].join->tree(MX_REDUCE_LANES, 1, 1, part[i]);
      put(&p->t[i], p, a, c, 0, 1, part[i]);
    }
  }
}

/* Rows of halves of a strip of columns, some at a time. */
static void half_cols(const pass *p, char *scratch, char (*acc)[STRIP * 8], int64_t at, int64_t a, int64_t from, int64_t to, int64_t k,
                      int64_t len) {
  mx_loop load = p->b->isa->halves[p->half - 1].load;
  enum { ROWS = 8 }; /* of at most GROUP * STRIP / 2 columns */
  for (int64_t r = from; r < to; r += ROWS) {
    int64_t rows = at_most(ROWS, to - r);
    for (int64_t i = 0; i < rows; i++)
      load((size_t)len, scratch + 4 * i * len, p->x + 2 * ((a * p->R + r + i) * p->K + k), NULL, NULL);
    for (int i = 0; i < p->n; i++) p->t[i].r->cols((size_t)rows, (size_t)len, (size_t)len, acc[i] + at * p->t[i].item, scratch);
  }
}

/* One block of rows of one strip of columns, into acc[i] + at accumulators. */
static void run_block(const pass *p, char *scratch, char (*acc)[STRIP * 8], int64_t at, int64_t a, int64_t from, int64_t to, int64_t k,
                      int64_t len) {
  bool narrow = p->K <= MX_REDUCE_NARROW, in_place = p->x && !p->half, several = len == p->K && len <= p->b->tile;
  int64_t m = in_place ? to - from : several ? at_most(p->b->tile / len, to - from) : 1, wide = in_place ? len : at_most(len, p->b->tile);
  for (int i = 0; i < p->n && !narrow; i++) p->t[i].join->start((size_t)len, acc[i] + at * p->t[i].item);
  if (p->half && !narrow) {
    half_cols(p, scratch, acc, at, a, from, to, k, len);
    return;
  }
  for (int64_t r = from; r < to; r += m) {
    int64_t rows = at_most(m, to - r);
    for (int64_t c = 0; c < len; c += wide) {
      int64_t n = at_most(wide, len - c), start = (a * p->R + r) * p->K + k + c;
      exec(p, scratch, start, rows * n);
      for (int i = 0; i < p->n; i++) {
        const target *t = &p->t[i];
        const void *x = values(p, t, scratch, start);
        if (narrow) reduce_narrow(t, (size_t)rows, (size_t)n, acc[i] + at * t->item, x);
        else t->r->cols((size_t)rows, (size_t)n, (size_t)(in_place ? p->K : n), acc[i] + (at + c) * t->item, x);
      }
    }
  }
}

/* Chunks of rows of strips of columns. */
static void run_cols(void *ctx, int64_t begin, int64_t end) {
  const pass *p = ctx;
  alignas(64) char scratch[MX_SCRATCH];
  alignas(64) char acc[GROUP][STRIP * 8];
  mx_tile_begin(p->b, scratch);
  for (int64_t item = begin; item < end; item++) {
    int64_t s = item % p->strips, c = item / p->strips % p->chunks, a = item / p->strips / p->chunks;
    int64_t k = s * p->strip, len = at_most(p->strip, p->K - k), rows = p->chunk_blocks * p->block, count = 0;
    int64_t from = c * rows, to = at_most(p->R, from + rows);
    for (int64_t r = from; r < to; r += p->block, count++)
      run_block(p, scratch, acc, count * len, a, r, at_most(to, r + p->block), k, len);
    for (int i = 0; i < p->n; i++) {
      p->t[i].join->tree((size_t)count, (size_t)len, (size_t)len, acc[i]);
      put(&p->t[i], p, a, c, k, len, acc[i]);
    }
  }
}

/* The chunks of one result row, strip by strip. */
static void join_chunks(void *ctx, int64_t begin, int64_t end) {
  const pass *p = ctx;
  for (int64_t item = begin; item < end; item++) {
    int64_t a = item / p->strips, k = item % p->strips * p->strip, len = at_most(p->strip, p->K - k);
    for (int i = 0; i < p->n; i++) {
      const target *t = &p->t[i];
      char *first = t->partial + (a * p->chunks * p->K + k) * t->item;
      t->join->tree((size_t)p->chunks, (size_t)p->K, (size_t)len, first);
      memcpy(t->dst + (a * p->K + k) * t->item, first, (size_t)(len * t->item));
    }
  }
}

/* Columns that one thread takes at a time: many, so that rows are read as long runs. No number depends on it. */
static int64_t strip_of(const pass *p) {
  int64_t strip = p->n > 1 ? STRIP : STRIP_BYTES / (p->half ? 8 : p->t[0].item);
  return at_most(at_most(strip, GROUP * STRIP), p->K);
}

static int run_pass(pass *p) {
  int64_t size = p->R * p->K, work, items;
  void (*fn)(void *, int64_t, int64_t);
  int rc = 0;
  find_plain(p);
  find_ahead(p);
  p->strip = strip_of(p);
  p->strips = (p->K + p->strip - 1) / p->strip;
  p->chunks = 1;
  p->block = p->K == 1 ? MX_REDUCE_ROW : mx_reduce_block(p->K);
  if (p->K <= STRIP && p->R <= p->block && (p->K == 1 || 2 * size <= MX_REDUCE_ROW)) {
    p->together = p->b->tile / (size ? size : 1);
    fn = run_together, items = p->A, work = size;
  } else {
    for (p->chunk_blocks = 1; p->chunk_blocks * p->block * at_most(STRIP, p->K) < CHUNK;) p->chunk_blocks *= 2;
    work = p->chunk_blocks * p->block;
    p->chunks = (p->R + work - 1) / work;
    fn = p->K == 1 ? run_rows : run_cols, items = p->A * p->chunks * p->strips, work = at_most(work, p->R) * p->strip;
  }
  for (int i = 0; i < p->n; i++) p->t[i].partial = NULL;
  for (int i = 0; i < p->n && p->chunks > 1; i++) {
    p->t[i].partial = mx_scratch((size_t)(p->A * p->chunks * p->K * p->t[i].item));
    if (!p->t[i].partial) {
      rc = mx_fail_memory();
      goto done;
    }
  }
  mx_parallel(items, work < 16384 ? 16384 / work : 1, fn, p);
  if (p->chunks > 1) {
    work = p->chunks * p->strip;
    mx_parallel(p->A * p->strips, work < 16384 ? 16384 / work : 1, join_chunks, p);
  }
done:
  for (int i = 0; i < p->n; i++) mx_scratch_free(p->t[i].partial);
  return rc;
}

/* ---- the axes of a reduction, innermost last: runs of kept and reduced axes by turns ---- */

typedef struct pattern {
  int n;
  bool reduced[MX_MAX_NDIM + 1];
  int64_t size[MX_MAX_NDIM + 1];
} pattern;

static void pattern_of(pattern *p, int ndim, const int32_t *shape, const int32_t *out) {
  p->n = 0;
  for (int i = 0; i < ndim; i++) {
    if (shape[i] == 1) continue;
    bool reduced = out[i] == 1;
    if (p->n && p->reduced[p->n - 1] == reduced) {
      p->size[p->n - 1] *= shape[i];
    } else {
      p->reduced[p->n] = reduced;
      p->size[p->n++] = shape[i];
    }
  }
}

/* Takes the innermost reduced run out; false when there was none. */
static bool pattern_pop(pattern *p, int64_t *A, int64_t *R, int64_t *K) {
  int n = p->n;
  *A = *R = *K = 1;
  if (n && !p->reduced[n - 1]) *K = p->size[--n];
  bool found = n > 0;
  if (found) *R = p->size[--n];
  for (int i = 0; i < n; i++) *A *= p->size[i];
  if (*K > 1 && n) { /* what was outside the run is kept, and so is K */
    p->size[n - 1] *= *K;
    p->n = n;
  } else if (*K > 1) {
    p->reduced[0] = false;
    p->size[0] = *K;
    p->n = 1;
  } else {
    p->n = n;
  }
  return found;
}
static bool pattern_has_reduced(const pattern *p) {
  for (int i = 0; i < p->n; i++)
    if (p->reduced[i]) return true;
  return false;
}

/* A program that does nothing but end in the reduction of a contiguous array. */
static int reduce_plain(int op, int dtype, const void *data, int64_t A, int64_t R, int64_t K, char *dst) {
  mx_program g = {.n_in = 1, .n_out = 1, .n_reg = 1};
  int32_t shape[1] = {2}; /* contiguous: the lengths are not looked at */
  int64_t stride[1] = {1};
  mx_view in = {(void *)data, shape, stride, A * R * K, 1, (uint8_t)dtype};
  mx_view out = {dst, shape, stride, A * K, 1, (uint8_t)dtype};
  mx_bound b;
  g.in[0].dtype = g.out[0].dtype = (uint8_t)dtype;
  g.out[0].reduce = (uint16_t)op;
  mx_tile_bind(&b, &g, 1, shape, &in, &out, 1, MX_REDUCE_ROW, false);
  pass p = {.b = &b, .A = A, .R = R, .K = K, .n = 1, .t = {target_of(b.isa, op, mx_dtype_tags[dtype], 0)}};
  p.t[0].dst = dst;
  return run_pass(&p);
}

/* The passes after the first, over accumulators `from`, and the conversion to half, into out. Frees from. */
static int finish(pattern *p, const mx_reducer *r, int op, char *from, const mx_view *out, const mx_isa *isa) {
  int64_t A, R, K;
  int rc = 0, item = mx_tag_sizes[r->acc], half = out->dtype == MX_F16 ? 1 : out->dtype == MX_BF16 ? 2 : 0;
  while (pattern_has_reduced(p)) {
    pattern_pop(p, &A, &R, &K);
    bool last = !half && !pattern_has_reduced(p);
    char *to = last ? out->data : mx_malloc((size_t)(A * K * item));
    rc = to ? reduce_plain(op, tag_dtype[r->acc], from, A, R, K, to) : mx_fail_memory();
    mx_free(from);
    from = last ? NULL : to;
    if (rc) goto done;
  }
  if (half) isa->halves[half - 1].store((size_t)out->size, out->data, from, NULL, NULL);
done:
  mx_free(from);
  return rc;
}

static int start_of_nothing(int op, int tag, const mx_view *out, const mx_isa *isa) {
  const mx_reducer *r = target_of(isa, op, tag, 0).join;
  if (out->dtype != MX_F16 && out->dtype != MX_BF16) {
    r->start((size_t)out->size, out->data);
    return 0;
  }
  float v;
  r->start(1, &v);
  for (int64_t i = 0; i < out->size; i++)
    isa->halves[out->dtype == MX_BF16].store(1, (char *)out->data + 2 * i, &v, NULL, NULL);
  return 0;
}

/* Programs of so many registers that a block does not fit: what is to be reduced is written out first. */
static int run_unfused(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out, const uint8_t *tags) {
  mx_program all; /* plans keep no more of a program than its instructions */
  memcpy(&all, g, offsetof(mx_program, ins) + g->n_ins * sizeof *g->ins);
  mx_view to[MX_PROGRAM_IO];
  int64_t n = 1, strides[MX_MAX_NDIM];
  int rc = 0;
  for (int i = ndim - 1; i >= 0; i--) strides[i] = n, n *= shape[i];
  for (int o = 0; o < g->n_out; o++) {
    to[o] = out[o];
    if (!g->out[o].reduce) continue;
    all.out[o].reduce = 0;
    all.out[o].dtype = tag_dtype[tags[o]];
    to[o] = (mx_view){rc ? NULL : mx_malloc((size_t)n * mx_tag_sizes[tags[o]]), shape, strides, n, (uint8_t)ndim, all.out[o].dtype};
    if (!to[o].data && !rc) rc = mx_fail_memory();
  }
  if (!rc) rc = mx_cpu_run(&all, ndim, shape, in, to);
  for (int o = 0; o < g->n_out; o++) {
    if (!g->out[o].reduce) continue;
    mx_program one = {.n_in = 1, .n_out = 1, .n_reg = 1};
    one.in[0].dtype = to[o].dtype;
    one.out[0] = g->out[o];
    one.out[0].reg = 0;
    if (!rc) rc = mx_cpu_run(&one, ndim, shape, &to[o], &out[o]);
    mx_free(to[o].data);
  }
  return rc;
}

/* The compute type of each reduced output's values. */
static void value_tags(const mx_program *g, uint8_t *tags) {
  uint8_t dtype[256];
  for (int i = 0; i < g->n_in; i++) dtype[g->in[i].reg] = g->in[i].dtype;
  for (int i = 0; i < g->n_ins; i++) dtype[g->ins[i].dst] = g->ins[i].out_dtype;
  for (int o = 0; o < g->n_out; o++)
    if (g->out[o].reduce) tags[o] = mx_dtype_tags[dtype[g->out[o].reg]];
}

/* One pass of the program, with the reduced outputs that have the first one's (A, R, K). */
static int run_group(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out, const uint8_t *tags,
                     uint32_t *todo) {
  const mx_isa *isa = mx_isa_now;
  pattern pat[GROUP];
  pass p = {0};
  uint32_t only = 0;
  int rc = 0;
  for (int o = 0; o < g->n_out && p.n < GROUP; o++) {
    int64_t A, R, K;
    if (!(*todo >> o & 1)) continue;
    pattern_of(&pat[p.n], ndim, shape, out[o].shape);
    pattern_pop(&pat[p.n], &A, &R, &K);
    if (p.n && (A != p.A || R != p.R || K != p.K)) continue;
    p.A = A, p.R = R, p.K = K;
    p.t[p.n++] = target_of(isa, g->out[o].reduce, tags[o], o);
    only |= 1u << o;
  }
  *todo &= ~only;
  if (!*todo) /* what is stored is stored in the last pass: an output may lie over an input */
    for (int o = 0; o < g->n_out; o++)
      if (!g->out[o].reduce) only |= 1u << o;

  for (int i = 0; i < p.n; i++) {
    const mx_view *v = &out[p.t[i].o];
    bool direct = v->dtype != MX_F16 && v->dtype != MX_BF16 && !pattern_has_reduced(&pat[i]);
    p.t[i].dst = direct ? v->data : mx_malloc((size_t)(p.A * p.K * p.t[i].item));
    if (!p.t[i].dst) rc = mx_fail_memory();
  }
  if (!rc) {
    mx_bound b;
    mx_tile_bind(&b, g, ndim, shape, in, out, only, MX_REDUCE_ROW, false);
    p.b = &b;
    rc = run_pass(&p);
  }
  for (int i = 0; i < p.n; i++) {
    const mx_view *v = &out[p.t[i].o];
    if (p.t[i].dst == v->data) continue;
    if (rc)
      mx_free(p.t[i].dst);
    else
      rc = finish(&pat[i], p.t[i].r, g->out[p.t[i].o].reduce, p.t[i].dst, v, isa);
  }
  return rc;
}

int mx_run_reductions(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out) {
  uint8_t tags[MX_PROGRAM_IO];
  uint32_t todo = 0;
  int64_t n = 1;
  int rc = 0;
  for (int i = 0; i < ndim; i++) n *= shape[i];
  value_tags(g, tags);
  for (int o = 0; o < g->n_out; o++) {
    if (!g->out[o].reduce) continue;
    todo |= 1u << o;
    if (n == 0) start_of_nothing(g->out[o].reduce, tags[o], &out[o], mx_isa_now);
  }
  if (n == 0) return 0;
  if (g->n_ins && mx_tile_room(g) < MX_REDUCE_ROW) return run_unfused(g, ndim, shape, in, out, tags);
  while (todo && !rc) rc = run_group(g, ndim, shape, in, out, tags, &todo);
  return rc;
}

int mx_cpu_reduce(const mx_call *c) {
  mx_program g = {.n_in = 1, .n_out = 1, .n_reg = 1};
  g.in[0].dtype = c->in->dtype;
  g.out[0].dtype = c->out->dtype;
  g.out[0].reduce = (uint16_t)c->op;
  return mx_cpu_run(&g, c->in->ndim, c->in->shape, c->in, c->out);
}
