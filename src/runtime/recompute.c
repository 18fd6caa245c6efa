/* Values that are computed again. Grouping puts a node where its inputs are ready, so what only the way back reads, as the derivative of an
 * activation, is computed beside the activation and kept until then. A group that reads such values from another one, with kernels in between
 * (else both may be a band, where keeping costs nothing), computes them itself where that takes less: from arrays that are there anyway, or
 * from smaller ones, as the bools that a mask of floats was made of.
 *
 * A cut through the first group says what: nodes above it are computed by the second group (`made`), nodes on it (`front`) are stored and read.
 * It begins at the values in question and is pushed towards the group's inputs, node by node; the best place on the way is taken where no more
 * memory is held for it than before. */
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"
#include "runtime/key.h"
#include "runtime/maker.h"

/* Of an element: what an instruction takes and what moving a byte takes, about. */
enum { PLAIN = 1, DIVISION = 2, FUNCTION = 6, ROOM = MX_PROGRAM_MAX - 4 };

typedef struct pass {
  mx_maker *m;
  uint8_t *stored;
  int *last;    /* of values: the last step that reads it */
  int *only;    /* of nodes in groups: the draft that alone reads it from outside, NOBODY, or SEVERAL */
  int *kernels; /* of steps: how many kernels come before */
  int *place;   /* of nodes: scratch */
  uint8_t *copied; /* of nodes: a group that does not own it computes it, too */
} pass;

/* Sets of nodes of the first group, by their places in it. */
typedef struct cut {
  uint64_t made, front;
  mx_ref more[MX_PROGRAM_IO]; /* what the second group reads besides */
  int nmore;
} cut;
_Static_assert(MX_PROGRAM_MAX <= 64, "a set is a word");

/* A draft stores only nodes of its own; copies of others' are for itself. A node that was copied is not stored later on: what is stored lets
 * go of its inputs, and nobody would keep those for the copy. */
static bool owns(const pass *s, const mx_draft *d, uint32_t node) { return &s->m->drafts[s->m->group_of[node]] == d; }

static uint64_t bit(int k) { return UINT64_C(1) << k; }
static int highest(uint64_t set) { return 63 - __builtin_clzll(set); }
static int step_of(const mx_maker *m, int node) { return m->ready[node] / 2; }
static bool in_group(const mx_maker *m, int node) { return m->group_of[node] >= 0 && !(m->ready[node] & 1); }

/* ---- who reads what ---- */

static void note_reader(int *only, int d) { *only = *only == NOBODY || *only == d ? d : SEVERAL; }

static void find_readers(pass *s) {
  const mx_maker *m = s->m;
  int all = m->p->nnode + m->p->nleaf;
  for (int i = 0; i < all; i++) s->last[i] = -1;
  for (int i = 0; i < m->p->nnode; i++) s->only[i] = NOBODY;
  for (int i = 0; i < m->p->nnode; i++) {
    const mx_array *n = m->p->node[i];
    for (int k = 0; k < n->nin; k++) {
      mx_ref r = n->in[k]->walk_index;
      int *last = &s->last[mx_ref_index(m, r)];
      if (*last < step_of(m, i)) *last = step_of(m, i);
      if (r & MX_LEAF || (m->group_of[r] >= 0 && m->group_of[r] == m->group_of[i])) continue;
      if (in_group(m, i)) note_reader(&s->only[r], m->group_of[i]);
      else s->only[r] = SEVERAL;
    }
  }
  for (int i = 0, n = 0; i < m->nsteps; i++) {
    s->kernels[i] = n;
    n += m->steps[i].kind == MX_STEP_KERNEL && !mx_is_reduction(m->p->node[m->steps[i].node]->op);
  }
}

/* ---- cuts ---- */

/* Bytes for each element: moved, and held until the second group has run. */
typedef struct bytes {
  int moved, held;
} bytes;

static int size_of(const pass *s, mx_ref r) { return (int)mx_dtype_sizes[mx_ref_array(s->m, r)->dtype]; }
static bool is_read_later(const pass *s, const mx_draft *to, mx_ref r) { return s->last[mx_ref_index(s->m, r)] >= to->step; }

/* The second group reads r, which is there or stored anyway. */
static void add_read(const pass *s, const mx_draft *to, mx_ref r, bytes *b) {
  if (mx_ref_array(s->m, r)->size == 1 || mx_draft_input(to, r) >= 0) return;
  b->moved += size_of(s, r);
  if (!is_read_later(s, to, r)) b->held += size_of(s, r);
}

/* Puts the inputs of the node at place k on the cut, or among what is read besides. */
static bool push(const pass *s, const mx_draft *from, const mx_draft *to, int k, cut *c) {
  const mx_array *n = s->m->p->node[from->node[k]];
  cut next = *c;
  next.made |= bit(k);
  next.front &= ~bit(k);
  for (int i = 0; i < n->nin; i++) {
    mx_ref r = n->in[i]->walk_index;
    bool inner = !(r & MX_LEAF) && s->place[r] >= 0;
    if (inner) {
      next.front |= bit(s->place[r]) & ~next.made;
      continue;
    }
    int known = mx_draft_input(to, r) >= 0;
    for (int j = 0; j < next.nmore; j++) known |= next.more[j] == r;
    if (known) continue;
    if (next.nmore == MX_PROGRAM_IO) return false;
    next.more[next.nmore++] = r;
  }
  *c = next;
  return true;
}

/* What the cut takes; others: what is stored anyway. false: it cannot be. */
static bool weigh(const pass *s, const mx_draft *from, const mx_draft *to, const cut *c, uint64_t others, bytes *b) {
  *b = (bytes){0, 0};
  for (int i = 0; i < c->nmore; i++) add_read(s, to, c->more[i], b);
  for (uint64_t front = c->front; front; front &= front - 1) {
    int k = __builtin_ctzll(front);
    uint32_t node = from->node[k];
    if (!owns(s, from, node) || s->copied[node]) return false;
    if (others & bit(k)) {
      add_read(s, to, node, b);
    } else {
      b->moved += 2 * size_of(s, node);
      b->held += size_of(s, node);
    }
  }
  return true;
}

/* The nodes that the first group still computes when it stores these. */
static uint64_t needed(const pass *s, const mx_draft *from, uint64_t stores) {
  for (int i = 0; i < from->n_red; i++) stores |= bit(s->place[s->m->p->node[from->reduction[i]]->in[0]->walk_index]);
  for (int k = from->n_node - 1; k >= 0; k--) {
    const mx_array *n = s->m->p->node[from->node[k]];
    if (!(stores & bit(k))) continue;
    for (int i = 0; i < n->nin; i++) {
      mx_ref r = n->in[i]->walk_index;
      if (!(r & MX_LEAF) && s->place[r] >= 0) stores |= bit(s->place[r]);
    }
  }
  return stores;
}

/* Whether r is there when the second group runs. A step overwrites an input when nobody but its nodes refers to it, and a copied node is one
 * of those: somebody else must, a later reader or a node that is no longer computed where it was. */
static bool stays(const pass *s, const mx_draft *from, const mx_draft *to, mx_ref r, uint64_t moved) {
  bool referred = is_read_later(s, to, r) || mx_ref_array(s->m, r)->size == 1; /* too small to be taken */
  for (; moved && !referred; moved &= moved - 1) {
    uint32_t node = from->node[__builtin_ctzll(moved)];
    const mx_array *n = s->m->p->node[node];
    if (!owns(s, from, node) || s->copied[node]) continue;
    for (int k = 0; k < n->nin; k++) referred |= n->in[k]->walk_index == r;
  }
  return referred;
}

static bool all_stay(const pass *s, const mx_draft *from, const mx_draft *to, const cut *c, uint64_t moved) {
  bool stay = true;
  for (int i = 0; i < c->nmore && stay; i++) stay = stays(s, from, to, c->more[i], moved);
  for (uint64_t f = c->front; f && stay; f &= f - 1) stay = stays(s, from, to, from->node[__builtin_ctzll(f)], moved);
  return stay;
}

static int cost_of(int op) {
  switch (op) {
    case OP_divide: case OP_sqrt: case OP_rsqrt: case OP_remainder: case OP_floor_divide: return DIVISION;
    case OP_astype: case OP_add: case OP_subtract: case OP_multiply: case OP_negative: case OP_square: case OP_abs: case OP_maximum:
    case OP_minimum: case OP_equal: case OP_not_equal: case OP_less: case OP_less_equal: case OP_greater: case OP_greater_equal:
    case OP_select: case OP_logical_and: case OP_logical_or: case OP_logical_not: return PLAIN;
    default: return FUNCTION;
  }
}

static int cost(const pass *s, const mx_draft *from, uint64_t set) {
  int sum = 0;
  for (; set; set &= set - 1) sum += cost_of(s->m->p->node[from->node[__builtin_ctzll(set)]]->op);
  return sum;
}

/* The latest node of the cut that can be pushed, those first that made their values larger; -1: none. */
static int next_node(const pass *s, const mx_draft *from, uint64_t set) {
  for (uint64_t left = set; left; left &= ~bit(highest(left))) {
    const mx_array *n = s->m->p->node[from->node[highest(left)]];
    if (n->op == OP_astype && mx_dtype_sizes[n->in[0]->dtype] < mx_dtype_sizes[n->dtype]) return highest(left);
  }
  return set ? highest(set) : -1;
}

/* The best cut for these values, all stored for `to` alone; others: what else is stored. false: they are best kept. */
static bool find_cut(const pass *s, const mx_draft *from, const mx_draft *to, uint64_t values, uint64_t others, cut *best) {
  cut c = {.front = values};
  uint64_t fixed = others;
  bytes before, now;
  int most = 0, k;
  if (!weigh(s, from, to, &c, others, &before)) return false;
  while ((k = next_node(s, from, c.front & ~fixed)) >= 0) {
    if (!push(s, from, to, k, &c)) {
      fixed |= bit(k);
      continue;
    }
    if (to->n_node + __builtin_popcountll(c.made) > ROOM) break;
    if (to->n_in + c.nmore + __builtin_popcountll(c.front) - __builtin_popcountll(values) > MAX_GROUP_INPUTS) continue;
    if (!weigh(s, from, to, &c, others, &now) || now.held > before.held) continue;
    uint64_t again = c.made & needed(s, from, others | c.front);
    int gain = before.moved - now.moved - cost(s, from, again);
    if (gain > most && all_stay(s, from, to, &c, c.made & ~again)) {
      most = gain;
      *best = c;
    }
  }
  return most > 0;
}

/* ---- changing the groups ---- */

/* Finds again what a draft reads. */
static void find_inputs(const pass *s, mx_draft *d) {
  d->n_in = 0;
  for (int i = 0; i < d->n_node; i++) s->place[d->node[i]] = i;
  for (int i = 0; i < d->n_node; i++) {
    const mx_array *n = s->m->p->node[d->node[i]];
    for (int k = 0; k < n->nin; k++) {
      mx_ref r = n->in[k]->walk_index;
      if (!(r & MX_LEAF) && s->place[r] >= 0) continue;
      int at = mx_draft_input(d, r);
      if (at < 0) {
        at = d->n_in++;
        d->in[at] = r;
        d->uses[at] = 0;
      }
      d->uses[at]++;
    }
  }
  for (int i = 0; i < d->n_node; i++) s->place[d->node[i]] = -1;
}

static void add_nodes(const mx_draft *from, uint64_t made, mx_draft *to) {
  uint32_t node[2 * MX_PROGRAM_MAX];
  int n = 0;
  for (int i = 0; i < to->n_node || made;) {
    uint32_t next = made ? from->node[__builtin_ctzll(made)] : UINT32_MAX;
    if (i < to->n_node && to->node[i] <= next) {
      if (to->node[i] == next) made &= made - 1; /* it has it already */
      node[n++] = to->node[i++];
    } else {
      node[n++] = next;
      made &= made - 1;
    }
  }
  memcpy(to->node, node, (size_t)n * sizeof *node);
  to->n_node = n;
}

static void apply(pass *s, mx_draft *from, int to, uint64_t values, uint64_t others, const cut *c) {
  mx_maker *m = s->m;
  mx_draft *t = &m->drafts[to];
  uint64_t keep = needed(s, from, others | c->front);
  int n = 0;
  for (int k = 0; k < from->n_node; k++) {
    uint32_t node = from->node[k];
    s->place[node] = -1;
    if (values & ~c->front & bit(k)) s->stored[node] = 0, s->only[node] = NOBODY;
    if (c->front & bit(k)) s->stored[node] = 1, note_reader(&s->only[node], to);
  }
  add_nodes(from, c->made, t);
  for (int k = 0; k < from->n_node; k++) {
    uint32_t node = from->node[k];
    if (keep & c->made & bit(k)) s->copied[node] = 1;
    if (keep & bit(k)) from->node[n++] = node;
    else if (owns(s, from, node)) m->group_of[node] = to;
  }
  from->n_node = n;
  find_inputs(s, from);
  find_inputs(s, t);
  for (int i = 0; i < c->nmore; i++)
    if (!(c->more[i] & MX_LEAF)) note_reader(&s->only[c->more[i]], to);
  if (!n) m->steps[from->step].draft = NOBODY;
}

/* Those of the group's values that are stored for draft `to` alone; *others: what else is stored. */
static uint64_t values_for(const pass *s, const mx_draft *from, int to, uint64_t *others) {
  uint64_t values = 0;
  *others = 0;
  for (int k = 0; k < from->n_node; k++) {
    uint32_t node = from->node[k];
    if (!s->stored[node] || !owns(s, from, node)) continue;
    if (s->only[node] == to && !s->m->held[node]) values |= bit(k);
    else *others |= bit(k);
  }
  return values;
}

/* What draft f computes for draft t: all values together, or else each by itself. */
static void try_pair(pass *s, int f, int t) {
  mx_draft *from = &s->m->drafts[f];
  const mx_draft *to = &s->m->drafts[t];
  if (from->class != to->class || from->class & MX_SHAPE_ONE || from->stream != to->stream || s->kernels[to->step] == s->kernels[from->step]) return;
  for (int k = 0; k < from->n_node; k++) s->place[from->node[k]] = k;
  uint64_t others, values = values_for(s, from, t, &others), tried = values;
  cut best;
  while (tried && !find_cut(s, from, to, tried, others | (values & ~tried), &best)) {
    uint64_t left = tried == values && (values & (values - 1)) ? values : tried == values ? 0 : values & ~(tried | (tried - 1));
    tried = left & -left;
  }
  if (tried) apply(s, from, t, tried, others | (values & ~tried), &best);
  for (int k = 0; k < from->n_node; k++) s->place[from->node[k]] = -1;
}

static void look_through(pass *s) {
  mx_maker *m = s->m;
  for (int f = 0; f < m->ndraft; f++) {
    mx_draft *from = &m->drafts[f];
    if (from->into >= 0) continue;
    int tried[MX_PROGRAM_MAX], n = 0;
    for (int k = 0; k < from->n_node; k++) {
      uint32_t node = from->node[k];
      int t = s->stored[node] && !m->held[node] && owns(s, from, node) ? s->only[node] : NOBODY;
      if (t < 0 || n == MX_PROGRAM_MAX) continue;
      for (int i = 0; i < n; i++)
        if (tried[i] == t) t = NOBODY;
      if (t < 0) continue;
      tried[n++] = t;
      try_pair(s, f, t);
      k = -1; /* the group has changed */
    }
  }
}

int mx_recompute(mx_maker *m, uint8_t *stored) {
  size_t n = (size_t)m->p->nnode, all = n + (size_t)m->p->nleaf, steps = (size_t)m->nsteps;
  int *ints = mx_calloc(2 * n + all + steps + (n + 3) / sizeof *ints, sizeof *ints);
  if (!ints) return mx_fail_memory();
  pass s = {m, stored, ints, ints + all, ints + all + n, ints + all + n + steps, (uint8_t *)(ints + all + 2 * n + steps)};
  for (size_t i = 0; i < n; i++) s.place[i] = -1;
  find_readers(&s);
  look_through(&s);
  mx_free(ints);
  return 0;
}
