/* Runs the programs of fused groups tile by tile: the tiles stay in the cache, an instruction is one vector loop over a tile.
 *
 * Inputs that are contiguous and of a compute type are read in place, others are gathered and converted into a register first; the last
 * instruction that writes an output's register writes the output itself. Ranges are split by the domain's size alone. */
#include <stdalign.h>
#include <string.h>

#include "backend/cpu/tile.h"
#include "core/error.h"
#include "core/parallel.h"

enum {
  SMALL = 128,            /* domains up to this many elements run without binding */
  L1_BYTES = 20 * 1024,
  STREAM_BYTES = 16 << 20 /* outputs of this size are not expected to be found in a cache again */
};

static inline int half_of(int dtype) { return dtype == MX_F16 ? 1 : dtype == MX_BF16 ? 2 : 0; }

/* Ops that cost a few clocks an element or less; after them memory is what a program waits for. */
static bool is_light(int op) {
  switch (op) {
    case OP_abs: case OP_negative: case OP_sign: case OP_square: case OP_add: case OP_subtract: case OP_multiply: case OP_maximum:
    case OP_minimum: case OP_floor: case OP_ceil: case OP_trunc: case OP_rint: case OP_logical_not: case OP_logical_and:
    case OP_logical_or: case OP_equal: case OP_not_equal: case OP_less: case OP_less_equal: case OP_greater: case OP_greater_equal:
    case OP_isnan: case OP_isinf: case OP_isfinite: case OP_bitwise_and: case OP_bitwise_or: case OP_bitwise_xor:
    case OP_left_shift: case OP_right_shift: case OP_bitwise_invert: case OP_real: case OP_imag: case OP_conjugate: case OP_astype:
    case OP_select:
      return true;
    default: return false;
  }
}
/* Ops whose result is a value that they were given, so that it needs no rounding to half. */
static bool is_exact(int op) {
  switch (op) {
    case OP_abs: case OP_negative: case OP_sign: case OP_maximum: case OP_minimum: case OP_floor: case OP_ceil: case OP_trunc:
    case OP_real: case OP_imag: case OP_conjugate: case OP_select:
      return true;
    default: return false;
  }
}

static mx_loop loop_of(const mx_isa *isa, const mx_instr *i) {
  int tag = mx_dtype_tags[i->dtype], to = mx_dtype_tags[i->out_dtype];
  if (i->op == OP_astype && tag != to) return isa->casts[tag][to];
  return isa->loops[tag][i->op];
}
static mx_loop round_of(const mx_isa *isa, const mx_instr *i) {
  int h = half_of(i->out_dtype);
  return h && !is_exact(i->op) && !(i->op == OP_astype && i->dtype == i->out_dtype) ? isa->halves[h - 1].round : NULL;
}
static int operands_of(int op) {
  switch (op) {
#define UNARY(name, ...)
#define UNARY_OWN(name, ...)
#define BINARY(name, ...) case OP_##name: return 2;
#define TERNARY(name, ...) case OP_##name: return 3;
#include "elementwise.def"
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY
    default: return 1;
  }
}

/* ---- binding ---- */

/* Whether the instruction has a loop that takes register r as one number, and so needs no tile of it. */
static mx_loop scalar_loop(const mx_isa *isa, const mx_instr *i, const bool *single) {
  if (mx_dtype_tags[i->dtype] != MX_TAG_f32 || !isa->right[i->op]) return NULL;
  return single[i->b] ? isa->right[i->op] : single[i->a] ? isa->left[i->op] : NULL;
}
/* `single`: registers that hold one number for the whole domain, or row. Which of these must be spread over a tile all the same. */
static void find_spread(const mx_isa *isa, const mx_program *g, bool *single, bool *spread) {
  memset(spread, 0, MX_PROGRAM_REGS + 1);
  for (int i = 0; i < g->n_ins; i++) single[g->ins[i].dst] = false; /* written again: too rare to bother */
  for (int i = 0; i < g->n_ins; i++) {
    const mx_instr *x = &g->ins[i];
    bool fits = scalar_loop(isa, x, single) != NULL;
    int k = operands_of(x->op);
    if (!fits || single[x->b]) spread[x->a] |= single[x->a] && !(fits && !single[x->b]);
    if (k > 1 && !fits) spread[x->b] |= single[x->b];
    if (k > 2) spread[x->c] |= single[x->c];
  }
  for (int o = 0; o < g->n_out; o++) spread[g->out[o].reg] = true;
}

/* Bytes of the widest register. */
static int width_of(const mx_program *g) {
  int width = 1;
  for (int i = 0; i < g->n_ins; i++) {
    int w = mx_tag_sizes[mx_dtype_tags[g->ins[i].dtype]], w2 = mx_tag_sizes[mx_dtype_tags[g->ins[i].out_dtype]];
    if (w < w2) w = w2;
    if (width < w) width = w;
  }
  for (int i = 0; i < g->n_in; i++)
    if (width < mx_tag_sizes[mx_dtype_tags[g->in[i].dtype]]) width = mx_tag_sizes[mx_dtype_tags[g->in[i].dtype]];
  return width;
}

/* At the end of the scratch: the row that a register holds the value of (or the place in a row), and for how many elements; where rows that
 * are read in place go on. */
typedef struct held_row {
  int64_t row, n;
} held_row;
enum { AIMS = (MX_PROGRAM_IO * sizeof(void *) + 63) / 64 * 64, HELD_ROWS = AIMS + (MX_PROGRAM_IO * sizeof(held_row) + 63) / 64 * 64 };
static held_row *held_rows(char *scratch) { return (held_row *)(void *)(scratch + MX_SCRATCH - HELD_ROWS); }
static const void **aims(char *scratch) { return (const void **)(void *)(scratch + MX_SCRATCH - AIMS); }

/* The scratch has two registers more: room for gathered halves. */
static int room(const mx_program *g, int width, int extra) { return ((MX_SCRATCH - HELD_ROWS) / (g->n_reg + 2 + extra) - 192) / width & ~63; }
int mx_tile_room(const mx_program *g) { return room(g, width_of(g), 0); }

/* So that what a tile touches stays in L1, also when a core runs two threads. */
static int tile_size(const mx_program *g, int width, const bool *spread) {
  bool used[MX_PROGRAM_REGS + 1] = {false};
  int n = 0;
  for (int i = 0; i < g->n_in; i++) used[g->in[i].reg] = !g->in[i].scalar || spread[g->in[i].reg];
  for (int i = 0; i < g->n_ins; i++) used[g->ins[i].dst] = true;
  for (int r = 0; r < g->n_reg; r++) n += used[r];
  int tile = L1_BYTES / (n + 1) / width & ~127;
  return tile < MX_TILE_MIN ? MX_TILE_MIN : tile > MX_TILE_MAX ? MX_TILE_MAX : tile;
}

/* Streaming tiles: the work is cut into pieces, heavy steps into several, and after each some lines are moved. */
enum { HEAVY_PIECES = 3 };
static void plan_pieces(mx_bound *b) {
  int64_t lines = 0;
  b->pieces = 0;
  for (int i = 0; i < b->n_steps; i++) b->pieces += b->steps[i].heavy ? HEAVY_PIECES : 1;
  for (int i = 0; i < b->n_streams; i++) lines = lines < (int64_t)b->tile * b->streams[i].item / 64 ? (int64_t)b->tile * b->streams[i].item / 64 : lines;
  for (int i = 0; i < b->n_ahead; i++) lines = lines < (int64_t)b->tile * b->ahead[i].scale / 64 ? (int64_t)b->tile * b->ahead[i].scale / 64 : lines;
  b->piece_lines = b->pieces ? (int)((lines + b->pieces - 1) / b->pieces) : 0;
}

static bool overlap(const mx_view *a, const mx_view *b) {
  /* the contract: the same memory, or disjoint */
  return a->data == b->data;
}

/* Whether the value that instruction i writes is read by the next one alone. */
static bool dies_next(const mx_program *g, int i, const bool *is_out) {
  int r = g->ins[i].dst;
  if (g->ins[i + 1].dst == r) return true;
  for (int j = i + 2; j < g->n_ins; j++) {
    const mx_instr *x = &g->ins[j];
    int k = operands_of(x->op);
    if (x->a == r || (k > 1 && x->b == r) || (k > 2 && x->c == r)) return false;
    if (x->dst == r) return true;
  }
  return !is_out[r];
}

static bool is_float(const mx_instr *x) { return x->dtype == MX_F32 && x->out_dtype == MX_F32; }
static bool is_pairable(const mx_instr *x) { return x->op == OP_add || x->op == OP_multiply; }

/* Two sums or products, the second of the first's result, as one step: s, which was the first's; t is the second's. */
static void join_sums(const mx_isa *isa, mx_step *s, const mx_step *t, const mx_instr *x, const mx_instr *y, const bool *single) {
  bool left = !single[x->b] && single[x->a]; /* a number comes second: the operations commute */
  bool b_single = left || single[x->b], c_single = single[y->a == x->dst ? y->b : y->a];
  if (left) {
    mx_ref r = s->a;
    s->a = s->b, s->b = r;
  }
  s->wa = 4, s->wb = b_single ? 0 : 4, s->wc = c_single ? 0 : 4;
  s->c = y->a == x->dst ? t->b : t->a;
  s->fn = isa->pairs[(x->op == OP_multiply) * 8 + (y->op == OP_multiply) * 4 + b_single * 2 + c_single];
}

/* The same for others: whether there is a loop for both. */
static bool join_others(const mx_isa *isa, mx_step *s, const mx_step *t, const mx_instr *x, const mx_instr *y, const bool *single) {
  bool first = y->a == x->dst;
  int other = first ? y->b : y->a;
  if (x->op == OP_subtract && y->op == OP_exp && single[x->b]) {
    s->fn = isa->joins[MX_JOIN_SUB_EXP];
    s->wa = 4, s->wb = 0;
  } else if (x->op == OP_sqrt && y->op == OP_add && other != x->dst && single[other]) {
    s->fn = isa->joins[MX_JOIN_SQRT_ADD];
    s->b = first ? t->b : t->a;
    s->wa = 4, s->wb = 0;
  } else if (x->op == OP_divide && y->op == OP_subtract && !first && !single[x->a] && !single[x->b] && !single[other]) {
    s->fn = isa->joins[MX_JOIN_DIV_SUB];
    s->c = t->a;
    s->wa = s->wb = s->wc = 4;
  } else
    return false;
  s->heavy = true;
  return true;
}

/* Two steps, the second of the first's result, become one: a tile less to write and to read. How many steps are left. */
static int join_pairs(const mx_isa *isa, mx_step *steps, const mx_program *g, const bool *single, const bool *is_out) {
  int to = 0;
  for (int i = 0; i < g->n_ins; i++, to++) {
    const mx_instr *x = &g->ins[i], *y = x + 1;
    mx_step *s = &steps[to];
    *s = steps[i];
    if (i + 1 == g->n_ins || !is_float(x) || !is_float(y)) continue;
    bool reads_a = y->a == x->dst, reads_b = operands_of(y->op) > 1 && y->b == x->dst;
    if (reads_a == reads_b || !dies_next(g, i, is_out)) continue;
    if (is_pairable(x) && is_pairable(y)) join_sums(isa, s, &steps[i + 1], x, y, single);
    else if (!join_others(isa, s, &steps[i + 1], x, y, single)) continue;
    s->d = steps[++i].d;
  }
  return to;
}

/* The step's loop, and which of its operands are one number. */
static void bind_loop(const mx_isa *isa, mx_step *s, const mx_instr *x, const bool *single) {
  mx_loop with_scalar = scalar_loop(isa, x, single);
  s->fn = with_scalar ? with_scalar : loop_of(isa, x);
  s->wa = mx_tag_sizes[mx_dtype_tags[x->op == OP_select ? MX_BOOL : x->dtype]];
  s->wb = s->wc = mx_tag_sizes[mx_dtype_tags[x->dtype]];
  if (with_scalar && single[x->b]) s->wb = 0;
  else if (with_scalar) s->wa = 0;
}

static bool is_written(const mx_program *g, int reg) {
  for (int i = 0; i < g->n_ins; i++)
    if (g->ins[i].dst == reg) return true;
  for (int o = 0; o < g->n_out; o++)
    if (g->out[o].reg == reg) return true;
  return false;
}

/* Which inputs tiles within a row can read where they are: rows themselves, and what has one value a row as a number.
 * b->cols: the length of the rows, or 0. */
static void find_rows(mx_bound *b, const mx_program *g, bool *single) {
  bool spread[MX_PROGRAM_REGS + 1];
  enum { SHORT = 128 };
  b->cols = 0;
  for (int i = 0; i < b->n_loads; i++) {
    const mx_loader *l = &b->loads[i];
    single[l->reg] |= l->repeats;
    if (l->nd < 2 || (l->half && !l->repeats) || l->shape[l->nd - 1] < SHORT) continue;
    if ((l->repeats || l->stride[l->nd - 1] == 1) && b->cols < l->shape[l->nd - 1]) b->cols = l->shape[l->nd - 1];
  }
  if (!b->cols) return;
  for (int i = 0; i < b->n_loads; i++) single[b->loads[i].reg] &= b->loads[i].nd < 2 || b->loads[i].shape[b->loads[i].nd - 1] == b->cols;
  find_spread(b->isa, g, single, spread);
  for (int i = 0; i < b->n_loads; i++) {
    mx_loader *l = &b->loads[i];
    if (l->nd < 2 || l->half || l->shape[l->nd - 1] != b->cols) continue;
    l->in_row = l->repeats ? !spread[l->reg] : l->stride[l->nd - 1] == 1 && !is_written(g, l->reg);
  }
}

/* The steps of tiles within a row; steps: of others, not yet joined. */
static void bind_rows(mx_bound *b, const mx_program *g, bool *single, const bool *is_out) {
  mx_ref to[MX_PROGRAM_REGS + 1];
  bool in_row[MX_PROGRAM_REGS + 1] = {false};
  find_rows(b, g, single);
  if (!b->cols) return;
  for (int i = 0; i < b->n_loads; i++) {
    if (!b->loads[i].in_row) continue;
    in_row[b->loads[i].reg] = true;
    to[b->loads[i].reg] = (mx_ref){MX_SCRATCH - AIMS + i * (intptr_t)sizeof(void *), 0, MX_AIMED};
  }
  for (int i = 0; i < g->n_ins; i++) {
    const mx_instr *x = &g->ins[i];
    mx_step *s = &b->row_steps[i];
    *s = b->steps[i];
    bind_loop(b->isa, s, x, single);
    int k = operands_of(x->op);
    if (in_row[x->a]) s->a = to[x->a];
    if (k > 1 && in_row[x->b]) s->b = to[x->b];
    if (k > 2 && in_row[x->c]) s->c = to[x->c];
  }
  b->n_row_steps = join_pairs(b->isa, b->row_steps, g, single, is_out);
}

/* Tiles that do not go beyond a row, or are whole rows. Streamed ones must begin at whole lines. */
static void fit_rows(mx_bound *b) {
  b->cut = 0;
  int64_t cols = b->cols;
  if (cols >= MX_TILE_MIN && (!b->n_streams || cols % 64 == 0)) {
    int64_t parts = (cols + b->tile - 1) / b->tile;
    b->tile = (int)(((cols + parts - 1) / parts + 63) & ~63);
    b->cut = cols;
    return;
  }
  for (int i = 0; i < b->n_loads && !cols; i++)
    if (b->loads[i].cycles) cols = b->loads[i].shape[1];
  int64_t whole = cols && cols <= b->tile ? b->tile / cols * cols : 0;
  if (whole && (!b->n_streams || whole % 64 == 0)) b->tile = (int)whole;
}

void mx_tile_bind(mx_bound *b, const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out,
                  uint32_t only, int tile, bool stream) {
  mx_ref reg[MX_PROGRAM_REGS + 1];
  int8_t from[MX_PROGRAM_REGS + 1];   /* the input that a register is read from in place, or -1 */
  bool single[MX_PROGRAM_REGS + 1], spread[MX_PROGRAM_REGS + 1];
  const mx_isa *isa = b->isa = mx_isa_now;
  memset(single, 0, sizeof single);
  for (int i = 0; i < g->n_in; i++) single[g->in[i].reg] = g->in[i].scalar;
  find_spread(isa, g, single, spread);
  int width = width_of(g);
  b->heavy = false;
  for (int i = 0; i < g->n_ins; i++)
    if (!is_light(g->ins[i].op)) b->heavy = true;
  if (stream && g->n_out > MX_STREAMS) stream = false;
  b->tile = tile ? tile : tile_size(g, width, spread);
  int most = room(g, width, stream ? 2 * g->n_out : 0);
  if (b->tile > most) b->tile = most;
  b->n_streams = b->n_ahead = 0;
  b->slot = (int64_t)b->tile * width + 192; /* registers do not start at the same address modulo 4096 */
  for (int r = 0; r < g->n_reg; r++) {
    reg[r] = (mx_ref){(r + 2) * b->slot, 0, MX_IN_SCRATCH};
    from[r] = -1;
  }
  mx_ref slot0 = {2 * b->slot, 0, MX_IN_SCRATCH};

  /* An output may lie over an input. It is written early only when no later instruction reads that input in place. */
  bool over[MX_PROGRAM_IO] = {false}, any_over = false, is_out[MX_PROGRAM_REGS + 1] = {false};
  for (int o = 0; o < g->n_out; o++) {
    if (!(only >> o & 1)) continue;
    is_out[g->out[o].reg] = true;
    for (int i = 0; i < g->n_in && !g->out[o].reduce; i++)
      if (overlap(&in[i], &out[o])) over[i] = any_over = true;
  }

  b->n_loads = 0;
  for (int i = 0; i < g->n_in; i++) {
    const mx_port *p = &g->in[i];
    mx_loader *l = &b->loads[b->n_loads];
    int item = mx_dtype_sizes[p->dtype], half = half_of(p->dtype);
    l->nd = p->scalar ? 0 : (uint8_t)mx_merge_dims(ndim, shape, in[i].strides, l->shape, l->stride);
    bool plain = l->nd == 1 && l->stride[0] == 1;
    if (plain && !half && !(any_over && is_out[p->reg])) {
      reg[p->reg] = (mx_ref){(intptr_t)in[i].data, (uint32_t)item, MX_IN_MEMORY};
      from[p->reg] = (int8_t)i;
      if (stream && b->n_ahead < MX_STREAMS) b->ahead[b->n_ahead++] = reg[p->reg];
      continue;
    }
    if (single[p->reg] && !spread[p->reg] && !half) {
      reg[p->reg] = (mx_ref){(intptr_t)in[i].data, 0, MX_IN_MEMORY};
      continue;
    }
    l->data = in[i].data;
    l->item = (uint8_t)item;
    l->half = (uint8_t)half;
    l->fixed = l->nd == 0;
    l->repeats = l->nd > 1 && l->stride[l->nd - 1] == 0;
    l->cycles = l->nd == 2 && l->stride[0] == 0;
    for (int j = 0; j < g->n_ins; j++) /* a register that is written again must be filled each tile */
      if (g->ins[j].dst == p->reg) l->fixed = l->repeats = l->cycles = false;
    l->in_row = false;
    l->reg = p->reg;
    l->to = reg[p->reg];
    b->n_loads++;
  }

  int last[MX_PROGRAM_REGS + 1]; /* the last instruction that writes a register */
  for (int r = 0; r < g->n_reg; r++) last[r] = -1;
  for (int i = 0; i < g->n_ins; i++) last[g->ins[i].dst] = i;
  int reads_until[MX_PROGRAM_IO]; /* the last instruction that reads an input in place */
  for (int i = 0; i < g->n_in; i++) reads_until[i] = -1;
  {
    int8_t f[MX_PROGRAM_REGS + 1];
    memcpy(f, from, sizeof f);
    for (int i = 0; i < g->n_ins; i++) {
      const mx_instr *x = &g->ins[i];
      int k = operands_of(x->op);
      if (f[x->a] >= 0) reads_until[f[x->a]] = i;
      if (k > 1 && f[x->b] >= 0) reads_until[f[x->b]] = i;
      if (k > 2 && f[x->c] >= 0) reads_until[f[x->c]] = i;
      f[x->dst] = -1;
    }
  }

  int8_t direct[MX_PROGRAM_REGS + 1]; /* the output that the last write of a register goes to */
  memset(direct, -1, sizeof direct);
  for (int o = 0; o < g->n_out; o++) {
    const mx_port *p = &g->out[o];
    if (!(only >> o & 1) || p->reduce || half_of(p->dtype) || last[p->reg] < 0 || direct[p->reg] >= 0) continue;
    bool ok = true;
    for (int i = 0; i < g->n_in && ok; i++)
      if (over[i] && overlap(&in[i], &out[o]) && reads_until[i] > last[p->reg]) ok = false;
    if (ok) direct[p->reg] = (int8_t)o;
  }

  b->n_steps = g->n_ins;
  for (int i = 0; i < g->n_ins; i++) {
    const mx_instr *x = &g->ins[i];
    mx_step *s = &b->steps[i];
    int k = operands_of(x->op);
    bind_loop(isa, s, x, single);
    s->round = round_of(isa, x);
    s->a = reg[x->a];
    s->b = k > 1 ? reg[x->b] : slot0;
    s->c = k > 2 ? reg[x->c] : slot0;
    if (last[x->dst] == i && direct[x->dst] >= 0) {
      const mx_view *v = &out[(int)direct[x->dst]];
      uint8_t item = mx_dtype_sizes[v->dtype];
      bool fresh = true; /* over an input, ordinary stores find their lines in the cache */
      for (int k2 = 0; k2 < g->n_in; k2++) fresh = fresh && in[k2].data != v->data;
      if (stream && fresh && !((uintptr_t)v->data & 63)) {
        reg[x->dst] = (mx_ref){(g->n_reg + 2 + 2 * b->n_streams) * b->slot, (uint32_t)b->slot, MX_IN_SCRATCH};
        b->streams[b->n_streams++] = (mx_streamed){v->data, reg[x->dst], item};
      } else
        reg[x->dst] = (mx_ref){(intptr_t)v->data, mx_dtype_sizes[v->dtype], MX_IN_MEMORY};
    } else {
      reg[x->dst] = (mx_ref){(x->dst + 2) * b->slot, 0, MX_IN_SCRATCH};
    }
    s->d = reg[x->dst];
    s->heavy = !is_light(x->op);
    s->wd = mx_tag_sizes[mx_dtype_tags[x->out_dtype]];
  }

  b->n_saves = 0;
  for (int o = 0; o < g->n_out; o++) {
    const mx_port *p = &g->out[o];
    if (!(only >> o & 1)) continue;
    if (p->reduce) {
      b->value[o] = reg[p->reg];
      continue;
    }
    if (direct[p->reg] == o) continue;
    int half = half_of(p->dtype);
    uint8_t item = mx_dtype_sizes[p->dtype];
    b->saves[b->n_saves++] =
        (mx_saver){half ? isa->halves[half - 1].store : NULL, {(intptr_t)out[o].data, item, MX_IN_MEMORY}, reg[p->reg], item};
  }
  bool row_single[MX_PROGRAM_REGS + 1];
  memcpy(row_single, single, sizeof single);
  bind_rows(b, g, row_single, is_out);
  b->n_steps = join_pairs(isa, b->steps, g, single, is_out);
  b->cut = 0;
  if (!tile) fit_rows(b);
  plan_pieces(b);
}

/* ---- execution ---- */

/* Whether the register has what the tile needs from the tile before; else notes what it will have. */
static bool holds(const mx_bound *b, const mx_loader *l, char *scratch, int64_t start, int n) {
  held_row *h = held_rows(scratch) + (l - b->loads);
  int64_t cols = l->shape[l->nd - 1], row = start / cols;
  bool within = start - row * cols + n <= cols;
  if (l->cycles) row = start - row * cols, within = true;
  if (within && h->row == row && h->n >= n) return true;
  *h = (held_row){within ? row : -1, n};
  return false;
}

static void load(const mx_bound *b, const mx_loader *l, char *scratch, int64_t start, int n) {
  void *to = mx_tile_at(l->to, scratch, start);
  if ((l->repeats || l->cycles) && holds(b, l, scratch, start, n)) return;
  if (!l->half) {
    mx_tile_gather(l, start, n, to);
  } else if (l->nd == 1 && l->stride[0] == 1) {
    b->isa->halves[l->half - 1].load((size_t)n, to, l->data + start * 2, NULL, NULL);
  } else {
    mx_tile_gather(l, start, n, scratch);
    b->isa->halves[l->half - 1].load((size_t)n, to, scratch, NULL, NULL);
  }
}

void mx_tile_begin(const mx_bound *b, char *scratch) {
  for (int i = 0; i < b->n_loads; i++) {
    held_rows(scratch)[i].row = -1;
    if (b->loads[i].fixed) load(b, &b->loads[i], scratch, 0, b->tile);
  }
}

static void save(const mx_bound *b, char *scratch, int64_t start, int n, int turn) {
  for (int i = 0; i < b->n_saves; i++) {
    const mx_saver *s = &b->saves[i];
    void *to = mx_tile_at(s->to, scratch, start), *from = mx_tile_turn(s->from, scratch, start, turn);
    if (s->fn)
      s->fn((size_t)n, to, from, NULL, NULL);
    else if (to != from)
      memcpy(to, from, (size_t)n * s->item);
  }
}

/* Element col of a row of the domain. */
static const void *in_row(const mx_loader *l, int64_t row, int64_t col) {
  int64_t off = col * l->stride[l->nd - 1];
  for (int d = l->nd - 2; d > 0; d--) {
    int64_t next = row / l->shape[d];
    off += (row - next * l->shape[d]) * l->stride[d];
    row = next;
  }
  return l->data + (off + row * l->stride[0]) * l->item;
}

/* Brings the tile's inputs to where the steps look for them. */
static const mx_step *begin_tile(const mx_bound *b, char *scratch, int64_t start, int n, int *n_steps) {
  int64_t row = b->cols ? start / b->cols : 0, col = start - row * b->cols;
  bool within = b->cols && col + n <= b->cols;
  mx_soon_fetch(n);
  for (int i = 0; i < b->n_loads; i++) {
    const mx_loader *l = &b->loads[i];
    if (within && l->in_row) aims(scratch)[i] = in_row(l, row, col);
    else if (!l->fixed) load(b, l, scratch, start, n);
  }
  *n_steps = within ? b->n_row_steps : b->n_steps;
  return within ? b->row_steps : b->steps;
}

void mx_tile_exec(const mx_bound *b, char *scratch, int64_t start, int n) {
  int n_steps;
  const mx_step *s = begin_tile(b, scratch, start, n, &n_steps);
  for (const mx_step *end = s + n_steps; s < end; s++) {
    void *d = mx_tile_at(s->d, scratch, start);
    s->fn((size_t)n, d, mx_tile_at(s->a, scratch, start), mx_tile_at(s->b, scratch, start), mx_tile_at(s->c, scratch, start));
    if (s->round) s->round((size_t)n, d, d, NULL, NULL);
  }
  save(b, scratch, start, n, 0);
}

/* ---- streaming: while a tile is computed, the one before is written out and the inputs of the next are fetched ---- */

typedef struct pump {
  int n;
  struct {
    char *to;          /* NULL: fetch only */
    const char *from, *fetch;
    int lines;         /* left of the tile */
  } at[2 * MX_STREAMS];
} pump;

static void pump_lines(const mx_bound *b, pump *p, int lines) {
  for (int i = 0; i < p->n; i++) {
    int now = p->at[i].lines < lines ? p->at[i].lines : lines;
    if (now <= 0) continue;
    p->at[i].lines -= now;
    b->isa->streamer->stream((size_t)now, p->at[i].to, p->at[i].from, p->at[i].fetch);
    if (p->at[i].to) p->at[i].to += now * 64, p->at[i].from += now * 64;
    if (p->at[i].fetch) p->at[i].fetch += now * 64;
  }
}

/* The outputs of the tile at `done` (n elements, NULL scratch: none) are to go out, the inputs of the tile at `next` (-1: none) to come. */
static void pump_aim(const mx_bound *b, pump *p, char *scratch, int64_t done, int n, int turn, int64_t next) {
  int fetches = next < 0 ? 0 : b->n_ahead, k = 0;
  p->n = 0;
  for (int i = 0; i < b->n_streams && n; i++, p->n++) {
    const mx_streamed *s = &b->streams[i];
    int64_t bytes = (int64_t)n * s->item;
    p->at[i].to = s->to + done * s->item;
    p->at[i].from = mx_tile_turn(s->from, scratch, 0, turn);
    p->at[i].lines = (int)(bytes / 64);
    memcpy(p->at[i].to + bytes / 64 * 64, p->at[i].from + bytes / 64 * 64, (size_t)(bytes % 64));
    bool same = k < fetches && b->ahead[k].scale == s->item;
    p->at[i].fetch = same ? mx_tile_at(b->ahead[k++], NULL, next) : NULL;
  }
  for (; k < fetches; k++, p->n++) {
    p->at[p->n].to = NULL;
    p->at[p->n].from = NULL;
    p->at[p->n].fetch = mx_tile_at(b->ahead[k], NULL, next);
    p->at[p->n].lines = (int)((int64_t)b->tile * b->ahead[k].scale / 64);
  }
}

static void exec_streaming(const mx_bound *b, char *scratch, int64_t start, int n, int turn, pump *p) {
  int n_steps;
  const mx_step *s = begin_tile(b, scratch, start, n, &n_steps);
  for (const mx_step *end = s + n_steps; s < end; s++) {
    char *d = mx_tile_turn(s->d, scratch, start, turn), *x = mx_tile_turn(s->a, scratch, start, turn);
    char *y = mx_tile_turn(s->b, scratch, start, turn), *z = mx_tile_turn(s->c, scratch, start, turn);
    int part = s->heavy ? (b->tile / HEAVY_PIECES + 63) & ~63 : b->tile;
    for (int at = 0; at < n; at += part) {
      size_t m = (size_t)(n - at < part ? n - at : part);
      s->fn(m, d + at * s->wd, x + at * s->wa, y + at * s->wb, z + at * s->wc);
      if (s->round) s->round(m, d + at * s->wd, d + at * s->wd, NULL, NULL);
      pump_lines(b, p, b->piece_lines);
    }
  }
  save(b, scratch, start, n, turn);
}

/* Elements of the tile that begins at s. */
static int tile_at(const mx_bound *b, int64_t s, int64_t end) {
  int64_t n = end - s < b->tile ? end - s : b->tile, left = b->cut ? b->cut - s % b->cut : n;
  return (int)(n < left ? n : left);
}

static void run_streaming(void *ctx, int64_t begin, int64_t end) {
  const mx_bound *b = ctx;
  alignas(64) char scratch[MX_SCRATCH];
  pump p;
  int turn = 0, n = 0;
  mx_tile_begin(b, scratch);
  for (int64_t s = begin; s < end; s += n, turn ^= 1) {
    int now = tile_at(b, s, end);
    /* what follows the range is likely to be the thread's, too */
    pump_aim(b, &p, scratch, s - n, n, turn ^ 1, s + now + b->tile <= b->all ? s + now : -1);
    n = now;
    exec_streaming(b, scratch, s, n, turn, &p);
    pump_lines(b, &p, b->tile); /* what is left */
  }
  pump_aim(b, &p, scratch, end - n, n, turn ^ 1, -1);
  pump_lines(b, &p, b->tile);
  b->isa->streamer->fence();
}

static void run_range(void *ctx, int64_t begin, int64_t end) {
  const mx_bound *b = ctx;
  alignas(64) char scratch[MX_SCRATCH];
  mx_tile_begin(b, scratch);
  for (int64_t n, s = begin; s < end; s += n) mx_tile_exec(b, scratch, s, (int)(n = tile_at(b, s, end)));
}

/* ---- small domains: no binding, registers are always scratch or an input itself ---- */

static void run_small(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out, int n) {
  enum { SLOT = SMALL * 8 };
  alignas(64) char scratch[(MX_PROGRAM_REGS + 1) * SLOT];
  void *reg[MX_PROGRAM_REGS + 1];
  const mx_isa *isa = mx_isa_now;
  bool mine[MX_PROGRAM_REGS + 1];
  reg[0] = scratch;
  for (int i = 0; i < g->n_in; i++) {
    const mx_port *p = &g->in[i];
    int half = half_of(p->dtype), item = mx_dtype_sizes[p->dtype];
    mine[p->reg] = false;
    reg[p->reg] = in[i].data;
    if (n == 1 && !half) continue;
    mx_loader l; /* not cleared: it is large */
    l.data = in[i].data;
    l.item = (uint8_t)item;
    l.nd = p->scalar ? 0 : (uint8_t)mx_merge_dims(ndim, shape, in[i].strides, l.shape, l.stride);
    bool plain = n == 1 || (l.nd == 1 && l.stride[0] == 1);
    if (plain && !half) continue;
    char *to = scratch + p->reg * SLOT;
    mine[p->reg] = true;
    reg[p->reg] = to;
    if (half) {
      const void *src = in[i].data;
      if (!plain) mx_tile_gather(&l, 0, n, scratch + MX_PROGRAM_REGS * SLOT), src = scratch + MX_PROGRAM_REGS * SLOT;
      isa->halves[half - 1].load((size_t)n, to, src, NULL, NULL);
    } else {
      mx_tile_gather(&l, 0, n, to);
    }
  }
  for (int i = 0; i < g->n_ins; i++) {
    const mx_instr *x = &g->ins[i];
    char *d = scratch + x->dst * SLOT;
    loop_of(isa, x)((size_t)n, d, reg[x->a], reg[x->b], reg[x->c]); /* what it does not have is register 0 */
    mx_loop round = round_of(isa, x);
    if (round) round((size_t)n, d, d, NULL, NULL);
    reg[x->dst] = d;
    mine[x->dst] = true;
  }
  for (int o = 0; o < g->n_out; o++) /* an input given out again: an output may lie over it */
    if (!mine[g->out[o].reg] && reg[g->out[o].reg] != out[o].data) {
      char *to = scratch + g->out[o].reg * SLOT;
      memcpy(to, reg[g->out[o].reg], (size_t)n * mx_dtype_sizes[g->out[o].dtype]);
      reg[g->out[o].reg] = to;
      mine[g->out[o].reg] = true;
    }
  for (int o = 0; o < g->n_out; o++) {
    const mx_port *p = &g->out[o];
    int half = half_of(p->dtype);
    if (half)
      isa->halves[half - 1].store((size_t)n, out[o].data, reg[p->reg], NULL, NULL);
    else if (reg[p->reg] != out[o].data)
      memcpy(out[o].data, reg[p->reg], (size_t)n * mx_dtype_sizes[p->dtype]);
  }
}

static int run_views(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out, int64_t n) {
  int64_t bytes = 0;
  bool part = false; /* of outputs that large */
  for (int o = 0; o < g->n_out; o++) {
    if (g->out[o].reduce) return mx_run_reductions(g, ndim, shape, in, out);
    bytes += n * mx_dtype_sizes[g->out[o].dtype];
    part |= g->out[o].stream;
  }
  mx_bound b;
  mx_tile_bind(&b, g, ndim, shape, in, out, ~0u, 0, g->n_ins && (part || bytes >= STREAM_BYTES));
  int64_t grain = b.heavy ? 8192 : 32768;
  if (grain < n / 256) grain = n / 256; /* long ranges of large arrays: what is filled once a range costs nothing */
  int64_t whole = b.cut && b.cut <= 2 * grain ? b.cut : b.tile; /* rows, or tiles */
  b.all = n;
  grain = (grain + whole - 1) / whole * whole;
  if (b.n_streams || b.n_ahead) mx_parallel_runs(n, grain, run_streaming, &b);
  else mx_parallel(n, grain, run_range, &b);
  return 0;
}

/* Transposed inputs are copied first, square by square: a tile is a range in row order, which would read them a line an element. */
static int run_crosswise(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out, int64_t n) {
  mx_view views[MX_PROGRAM_IO];
  mx_buffer *made[MX_PROGRAM_IO];
  int64_t strides[MX_MAX_NDIM], step = 1;
  int count = 0, rc = 0;
  for (int d = ndim - 1; d >= 0; d--) strides[d] = step, step *= shape[d];
  for (int i = 0; i < g->n_in; i++) {
    mx_loader l;
    views[i] = in[i];
    l.item = mx_dtype_sizes[g->in[i].dtype];
    if (g->in[i].scalar || rc) continue;
    l.nd = (uint8_t)mx_merge_dims(ndim, shape, in[i].strides, l.shape, l.stride);
    if (!mx_is_crosswise(&l, n)) continue;
    mx_buffer *buffer = mx_buffer_new((size_t)n * l.item);
    if (!buffer) {
      rc = mx_fail_memory();
      continue;
    }
    made[count++] = buffer;
    mx_view from = {in[i].data, shape, in[i].strides, n, (uint8_t)ndim, g->in[i].dtype};
    views[i] = (mx_view){buffer->ptr, shape, strides, n, (uint8_t)ndim, g->in[i].dtype};
    rc = mx_copy_view(&from, &views[i]);
  }
  if (!rc) rc = run_views(g, ndim, shape, views, out, n);
  while (count--) mx_buffer_release(made[count]);
  return rc;
}

int mx_cpu_run(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out) {
  int64_t n = 1;
  bool reduces = false;
  for (int i = 0; i < ndim; i++) n *= shape[i];
  for (int o = 0; o < g->n_out; o++) reduces |= g->out[o].reduce != 0;
  if (n > 8192) return run_crosswise(g, ndim, shape, in, out, n);
  if (reduces || n > SMALL) return run_views(g, ndim, shape, in, out, n);
  if (n) run_small(g, ndim, shape, in, out, (int)n);
  return 0;
}
