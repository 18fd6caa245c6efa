/* Making plans and keeping them, by the keys that key.c writes.
 *
 * Grouping: steps are made in order. A node may join the group at step g when all it reads is ready by then: a value computed in the
 * group itself (ready 2g) or by an earlier step (2k + 1 <= 2g). So no cycle can arise, and no search is needed. */
#include "runtime/plan.h"

#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"
#include "runtime/key.h"
#include "runtime/maker.h"
#include "runtime/profile.h"
#include "runtime/run.h"

enum { BUCKETS = 4096, CACHE_BYTES = 64 << 20 };

static mx_plan *buckets[BUCKETS];
static size_t cache_bytes;
static uint64_t made_count, hit_count;

/* ---- making a plan ---- */

static int ready_of(const mx_maker *m, const mx_array *x) { return x->walk_index & MX_LEAF ? -1 : m->ready[x->walk_index]; }
static int *reader_of(mx_maker *m, const mx_array *x) { return &m->reader[mx_ref_index(m, x->walk_index)]; }
static bool in_draft(const mx_maker *m, const mx_array *x, int d) {
  return !(x->walk_index & MX_LEAF) && m->group_of[x->walk_index] == d && m->ready[x->walk_index] == 2 * m->drafts[d].step;
}

static int standing(const mx_maker *m, int di) {
  while (di >= 0 && m->drafts[di].into >= 0) di = m->drafts[di].into;
  return di;
}

/* Something outside of x's draft reads x: draft `by`, or another step. */
static void see(mx_maker *m, const mx_array *x, int by) {
  if (x->walk_index & MX_LEAF || m->group_of[x->walk_index] < 0) return;
  int *seen = &m->drafts[m->group_of[x->walk_index]].seen_by;
  *seen = *seen == NOBODY || (*seen >= 0 && standing(m, *seen) == by) ? by : SEVERAL;
}

static bool can_join(const mx_maker *m, int di, const mx_array *n, uint32_t class) {
  if (di < 0) return false;
  const mx_draft *d = &m->drafts[di];
  if (d->class != class || d->stream != n->stream || d->n_node >= m->max_ins) return false;
  int fresh = 0;
  for (int k = 0; k < n->nin; k++) {
    if (ready_of(m, n->in[k]) > 2 * d->step) return false;
    if (!in_draft(m, n->in[k], di) && mx_draft_input(d, n->in[k]->walk_index) < 0) fresh++;
  }
  return d->n_in + fresh <= MAX_GROUP_INPUTS;
}

static int new_step(mx_maker *m, int kind, uint32_t node, int d) {
  m->steps[m->nsteps].kind = (uint8_t)kind;
  m->steps[m->nsteps].node = node;
  m->steps[m->nsteps].draft = d;
  return m->nsteps++;
}

static int new_draft(mx_maker *m, uint32_t class, mx_stream stream) {
  if (m->ndraft == m->draft_cap) {
    int cap = m->draft_cap ? 2 * m->draft_cap : 16;
    mx_draft *d = mx_realloc(m->drafts, (size_t)cap * sizeof *d);
    if (!d) {
      mx_fail_memory();
      return -1;
    }
    m->drafts = d;
    m->draft_cap = cap;
  }
  mx_draft *d = &m->drafts[m->ndraft];
  memset(d, 0, offsetof(mx_draft, node));
  d->n_red = 0;
  d->seen_by = d->into = NOBODY;
  d->class = class;
  d->stream = stream;
  d->step = new_step(m, MX_STEP_GROUP, 0, m->ndraft);
  return m->ndraft++;
}

static void join(mx_maker *m, int di, uint32_t i, const mx_array *n) {
  mx_draft *d = &m->drafts[di];
  for (int k = 0; k < n->nin; k++) {
    if (in_draft(m, n->in[k], di)) continue;
    int at = mx_draft_input(d, n->in[k]->walk_index);
    if (at < 0) {
      at = d->n_in++;
      d->in[at] = n->in[k]->walk_index;
      d->uses[at] = 0;
    }
    d->uses[at]++;
    *reader_of(m, n->in[k]) = di;
    see(m, n->in[k], di);
  }
  d->node[d->n_node++] = i;
  m->group_of[i] = di;
  m->ready[i] = 2 * d->step;
}

/* Whether draft `from` may be done as late as draft `to`, and both fit one program with room for a node. */
static bool can_merge(const mx_maker *m, int from, int to) {
  const mx_draft *f = &m->drafts[from], *t = &m->drafts[to];
  if (f->class != t->class || f->stream != t->stream || f->n_red || f->n_node + t->n_node >= m->max_ins) return false;
  if (f->seen_by != NOBODY && (f->seen_by == SEVERAL || standing(m, f->seen_by) != to)) return false;
  int n = f->n_in;
  for (int i = 0; i < t->n_in; i++) {
    bool inner = !(t->in[i] & MX_LEAF) && m->group_of[t->in[i]] == from;
    n += !inner && mx_draft_input(f, t->in[i]) < 0;
  }
  return n <= MAX_GROUP_INPUTS;
}

/* The inputs of `to`, but for what is computed in `from`, after those of `from`. */
static void merge_inputs(const mx_maker *m, mx_draft *f, const mx_draft *t, int from) {
  for (int i = 0; i < t->n_in; i++) {
    if (!(t->in[i] & MX_LEAF) && m->group_of[t->in[i]] == from) continue;
    int at = mx_draft_input(f, t->in[i]);
    if (at < 0) {
      at = f->n_in++;
      f->in[at] = t->in[i];
      f->uses[at] = 0;
    }
    f->uses[at] = (uint16_t)(f->uses[at] + t->uses[i]);
  }
}

static void merge(mx_maker *m, int from, int to) {
  mx_draft *f = &m->drafts[from], *t = &m->drafts[to];
  uint32_t node[MX_PROGRAM_MAX];
  int n = 0, i = 0, j = 0;
  while (i < f->n_node || j < t->n_node) node[n++] = j == t->n_node || (i < f->n_node && f->node[i] < t->node[j]) ? f->node[i++] : t->node[j++];
  merge_inputs(m, f, t, from);
  memcpy(t->in, f->in, (size_t)f->n_in * sizeof *f->in);
  memcpy(t->uses, f->uses, (size_t)f->n_in * sizeof *f->uses);
  t->n_in = f->n_in;
  for (i = 0; i < f->n_node; i++) {
    m->group_of[f->node[i]] = to;
    m->ready[f->node[i]] = 2 * t->step;
  }
  memcpy(t->node, node, (size_t)n * sizeof *node);
  t->n_node = n;
  f->into = to;
  m->steps[f->step].draft = NOBODY;
}

/* The latest of the groups of the inputs that n can join; the others come to it, where they may. */
static int group_of_inputs(mx_maker *m, const mx_array *n, uint32_t class) {
  int best = -1;
  for (int k = 0; k < n->nin; k++) {
    int d = n->in[k]->walk_index & MX_LEAF ? -1 : m->group_of[n->in[k]->walk_index];
    if ((best < 0 || m->drafts[d < 0 ? best : d].step > m->drafts[best].step) && can_join(m, d, n, class)) best = d;
  }
  for (int k = 0; k < n->nin && best >= 0 && m->merge; k++) {
    int d = n->in[k]->walk_index & MX_LEAF ? -1 : m->group_of[n->in[k]->walk_index];
    if (d >= 0 && d != best && m->drafts[d].step < m->drafts[best].step && can_merge(m, d, best)) merge(m, d, best);
  }
  return best;
}

static int place_elementwise(mx_maker *m, uint32_t i) {
  const mx_array *n = m->p->node[i];
  uint32_t class = m->class_of[i];
  int best = group_of_inputs(m, n, class);
  for (int k = 0; k < n->nin && best < 0; k++) { /* a group that reads the same value */
    int d = standing(m, *reader_of(m, n->in[k]));
    if (can_join(m, d, n, class)) best = d;
  }
  if (best < 0 && (best = new_draft(m, class, n->stream)) < 0) return MX_EMEMORY;
  join(m, best, i, n);
  return 0;
}

/* A reduction ends the group that computes what it reduces. */
static bool place_reduction(mx_maker *m, uint32_t i) {
  const mx_array *n = m->p->node[i], *x = n->in[0];
  if (m->alone || !m->backend->fuses_reductions || !mx_is_float(x->dtype) || (x->walk_index & MX_LEAF)) return false;
  int di = m->group_of[x->walk_index];
  uint32_t axes = mx_axes_mask(n);
  if (di < 0 || !in_draft(m, x, di)) return false;
  mx_draft *d = &m->drafts[di];
  if (d->n_red >= 4 || (d->axes && d->axes != axes) || d->stream != n->stream || (d->class & MX_SHAPE_ONE)) return false;
  d->axes = axes;
  d->reduction[d->n_red++] = i;
  m->group_of[i] = di;
  m->ready[i] = 2 * d->step + 1;
  return true;
}

static int place_all(mx_maker *m) {
  for (uint32_t i = 0; i < (uint32_t)m->p->nnode; i++) {
    const mx_array *n = m->p->node[i];
    m->group_of[i] = -1;
    if (mx_is_elementwise(n->op)) {
      int rc = place_elementwise(m, i);
      if (rc) return rc;
    } else if (!mx_is_reduction(n->op) || !place_reduction(m, i)) {
      uint8_t kind = mx_ops[n->op].kind;
      for (int k = 0; k < n->nin; k++) see(m, n->in[k], SEVERAL);
      m->ready[i] = 2 * new_step(m, kind == MX_VIEW || kind == MX_ALIAS ? MX_STEP_VIEW : MX_STEP_KERNEL, i, -1) + 1;
    }
  }
  return 0;
}

/* Which nodes of groups must be stored: held ones, and those that something outside the group reads. */
static void mark_stored(mx_maker *m, uint8_t *stored) {
  for (int i = 0; i < m->p->nnode; i++) stored[i] = m->held[i];
  for (int i = 0; i < m->p->nnode; i++) {
    const mx_array *n = m->p->node[i];
    for (int k = 0; k < n->nin; k++) {
      uint32_t r = n->in[k]->walk_index;
      if (!(r & MX_LEAF) && (m->group_of[r] < 0 || m->group_of[r] != m->group_of[i])) stored[r] = 1;
    }
  }
}

/* Where the values of a group are while it is written down. */
typedef struct writer {
  int *reg, *last;        /* of nodes: its register, the instruction that reads it last */
  const mx_draft **group; /* of nodes: the latest draft that had it */
} writer;

static bool is_inside(const writer *w, const mx_draft *d, const mx_array *x) { return !(x->walk_index & MX_LEAF) && w->group[x->walk_index] == d; }

/* Instructions and registers of a group. Input registers are never written: they may point at the input itself.
 * false: more registers or outputs than a program has. */
static bool emit(const mx_maker *m, const mx_draft *d, const uint8_t *stored, mx_group *g, const writer *w) {
  mx_program *pr = &g->program;
  int *reg = w->reg, *last = w->last, di = (int)(d - m->drafts);
  g->n_in = (uint16_t)d->n_in;
  g->domain = d->node[d->n_node - 1]; /* there when the group runs: it is stored or reduced */
  g->n_out = 0;
  pr->n_in = (uint16_t)d->n_in;
  for (int i = 0; i < d->n_in; i++) {
    const mx_array *x = mx_ref_array(m, d->in[i]);
    g->in[i] = d->in[i];
    g->in_uses[i] = d->uses[i];
    pr->in[i] = (mx_port){.dtype = x->dtype, .reg = (uint8_t)i, .scalar = x->size == 1 && !(d->class & MX_SHAPE_ONE)};
  }
  for (int i = 0; i < d->n_node; i++) {
    const mx_array *n = m->p->node[d->node[i]];
    w->group[d->node[i]] = d;
    last[d->node[i]] = stored[d->node[i]] && m->group_of[d->node[i]] == di ? MX_PROGRAM_MAX : -1;
    for (int k = 0; k < n->nin; k++)
      if (is_inside(w, d, n->in[k]) && last[n->in[k]->walk_index] < i) last[n->in[k]->walk_index] = i;
  }
  for (int i = 0; i < d->n_red; i++) last[m->p->node[d->reduction[i]]->in[0]->walk_index] = MX_PROGRAM_MAX;
  bool used[MX_PROGRAM_REGS] = {false};
  int n_reg = d->n_in;
  for (int i = 0; i < d->n_node; i++) {
    const mx_array *n = m->p->node[d->node[i]];
    uint8_t operand[3] = {0};
    for (int k = 0; k < n->nin; k++) {
      bool inside = is_inside(w, d, n->in[k]);
      operand[k] = (uint8_t)(inside ? reg[n->in[k]->walk_index] : mx_draft_input(d, n->in[k]->walk_index));
      if (inside && last[n->in[k]->walk_index] == i) used[operand[k]] = false;
    }
    int dst = d->n_in;
    /* a result of another width than an operand that dies here must not take its register */
    while (dst < MX_PROGRAM_REGS) {
      bool clash = used[dst];
      for (int k = 0; k < n->nin; k++) clash |= operand[k] == dst && n->in[k]->dtype != n->dtype;
      if (!clash) break;
      dst++;
    }
    if (dst == MX_PROGRAM_REGS) return false;
    used[dst] = true;
    if (dst >= n_reg) n_reg = dst + 1;
    reg[d->node[i]] = dst;
    uint8_t dtype = n->in[n->nin - 1]->dtype;
    pr->ins[i] = (mx_instr){n->op, dtype, n->dtype, (uint8_t)dst, operand[0], operand[1], operand[2]};
    if (stored[d->node[i]] && m->group_of[d->node[i]] == di) {
      if (g->n_out == MX_PROGRAM_IO) return false;
      pr->out[g->n_out] = (mx_port){.dtype = n->dtype, .reg = (uint8_t)dst};
      g->out[g->n_out++] = d->node[i];
    }
  }
  for (int i = 0; i < d->n_red; i++) {
    const mx_array *n = m->p->node[d->reduction[i]];
    if (g->n_out == MX_PROGRAM_IO) return false;
    pr->out[g->n_out] = (mx_port){.dtype = n->dtype, .reg = (uint8_t)reg[n->in[0]->walk_index], .reduce = n->op};
    g->out[g->n_out++] = d->reduction[i];
  }
  pr->n_ins = (uint16_t)d->n_node;
  pr->n_out = g->n_out;
  pr->n_reg = (uint16_t)n_reg;
  return true;
}

static void plan_free(mx_plan *p) {
  for (int i = 0; i < p->nsteps; i++) mx_free(p->steps[i].group);
  mx_free(p->steps);
  mx_free(p->last_read);
  mx_free(p->key);
  mx_free(p);
}

void mx_plan_release(mx_plan *p) {
  if (p && mx_ref_drop(&p->refs)) plan_free(p);
}

/* 0, an error, or -1: a group needs more registers than there are, try with smaller ones. */
static int write_plan(mx_maker *m, mx_plan *plan, const writer *w, uint8_t *stored) {
  mark_stored(m, stored);
  int rc = m->merge ? mx_recompute(m, stored) : 0;
  if (rc) return rc;
  if (!(plan->steps = mx_calloc((size_t)m->nsteps, sizeof *plan->steps))) return mx_fail_memory();
  plan->bytes = sizeof *plan + (size_t)m->nsteps * sizeof *plan->steps;
  for (int i = 0; i < m->nsteps; i++) {
    if (m->steps[i].kind == MX_STEP_GROUP && m->steps[i].draft == NOBODY) continue; /* others do it */
    mx_step *s = &plan->steps[plan->nsteps++];
    s->kind = m->steps[i].kind;
    s->node = m->steps[i].node;
    if (s->kind != MX_STEP_GROUP) continue;
    const mx_draft *d = &m->drafts[m->steps[i].draft];
    mx_group g;
    if (!emit(m, d, stored, &g, w)) return -1;
    size_t bytes = offsetof(mx_group, program.ins) + g.program.n_ins * sizeof(mx_instr);
    if (!(s->group = mx_malloc(bytes))) return mx_fail_memory();
    memcpy(s->group, &g, bytes);
    plan->bytes += bytes;
  }
  if (m->alone) return 0;
  mx_join_prepare(plan, m->p, m->backend);
  mx_batch_prepare(plan, m->p->nnode, m->ready, m->reader, m->p->nnode + m->p->nleaf);
  return mx_band_prepare(plan, m->p, m->held);
}

static mx_plan *try_make(const mx_piece *p, const uint8_t *held, const mx_backend *b, const uint32_t *class_of, int max_ins,
                         bool alone, bool merge, int *rc) {
  size_t n = (size_t)p->nnode, all = n + (size_t)p->nleaf;
  mx_plan *plan = mx_calloc(1, sizeof *plan);
  mx_maker m = {.p = p, .held = held, .backend = b, .class_of = class_of, .max_ins = max_ins, .alone = alone, .merge = merge && !alone};
  int *ints = mx_malloc((4 * n + all) * sizeof *ints);
  uint8_t *stored = mx_malloc(n);
  const mx_draft **group = mx_calloc(n, sizeof *group);
  m.steps = mx_malloc(n * sizeof *m.steps);
  *rc = MX_EMEMORY;
  if (plan && ints && stored && group && m.steps) {
    m.ready = ints;
    m.group_of = ints + n;
    m.reader = ints + 4 * n;
    for (size_t i = 0; i < all; i++) m.reader[i] = -1;
    if (!(*rc = place_all(&m))) *rc = write_plan(&m, plan, &(writer){ints + 2 * n, ints + 3 * n, group}, stored);
  } else {
    mx_fail_memory();
  }
  mx_free(ints);
  mx_free(stored);
  mx_free(group);
  mx_free(m.steps);
  mx_free(m.drafts);
  if (*rc && plan) {
    plan_free(plan);
    plan = NULL;
  }
  return plan;
}

static mx_plan *make(const mx_piece *p, const uint8_t *held, const mx_backend *b, const uint32_t *class_of, bool alone) {
  int rc = -1;
  mx_plan *plan = try_make(p, held, b, class_of, alone ? 1 : MX_PROGRAM_MAX, alone, true, &rc);
  for (int max = alone ? 1 : MX_PROGRAM_MAX; rc == -1 && max >= 1; max /= 4) plan = try_make(p, held, b, class_of, max, alone, false, &rc);
  if (!plan) return NULL;
  plan->refs = 1;
  return plan;
}

/* ---- the cache ---- */

void mx_plan_clear(void) {
  for (int i = 0; i < BUCKETS; i++)
    for (mx_plan *p = buckets[i], *next; p; p = next) {
      next = p->next;
      mx_plan_release(p);
      buckets[i] = NULL;
    }
  cache_bytes = 0;
}

mx_plan *mx_plan_get(const mx_piece *p, const mx_key *key, const mx_backend *b) {
  uint64_t h = mx_key_hash(key);
  size_t bytes = (size_t)key->n * sizeof *key->w;
  for (mx_plan *q = buckets[h % BUCKETS]; q; q = q->next)
    if (q->hash == h && q->key_words == key->n && !memcmp(q->key, key->w, bytes)) {
      hit_count++;
      mx_ref_take(&q->refs);
      return q;
    }
  mx_plan *plan = make(p, key->held, b, key->class_of, key->alone);
  if (!plan) return NULL;
  made_count++;
  plan->hash = h;
  plan->key_words = key->n;
  if (!(plan->key = mx_malloc(bytes))) return plan; /* runs, but is not kept */
  memcpy(plan->key, key->w, bytes);
  plan->bytes += bytes;
  if (cache_bytes + plan->bytes > CACHE_BYTES) mx_plan_clear();
  if (plan->bytes <= CACHE_BYTES) {
    plan->next = buckets[h % BUCKETS];
    buckets[h % BUCKETS] = plan;
    cache_bytes += plan->bytes;
    mx_ref_take(&plan->refs);
  }
  return plan;
}

void mx_plan_made_stats(uint64_t *made, uint64_t *hits, size_t *bytes) {
  *made = made_count;
  *hits = hit_count;
  *bytes = cache_bytes;
}
