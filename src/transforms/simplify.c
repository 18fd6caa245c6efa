/* Simplifying a replay: one forward pass that merges equal nodes and cancels inverse ones, one backward pass that drops the rest.
 * Only what leaves every bit of the results as it is. */
#include <string.h>

#include "transforms/replay.h"

typedef struct pass {
  mx_replay *r;
  int32_t *rep;       /* [nslot] the slot to read instead */
  int32_t *maker;     /* [nslot] the node that gives a slot, or -1 */
  int32_t *table;     /* open addressing: node + 1 */
  uint32_t mask;
} pass;

/* ---- constants ---- */

static bool same_scalar(const mx_array *a, const mx_array *b) {
  return a->dtype == b->dtype && a->size == 1 && b->size == 1 && mx_same_shape(a, b) && mx_is_available(a) && mx_is_available(b) &&
         memcmp(a->data, b->data, mx_dtype_sizes[a->dtype]) == 0;
}

/* Quadratic in the number of different scalars, so only the first few are compared. */
static void merge_constants(pass *p) {
  enum { FEW = 64 };
  mx_replay *r = p->r;
  int32_t seen[FEW];
  int n = 0;
  for (int i = 0; i < r->nconst; i++) {
    if (r->constant[i]->size != 1) continue;
    int k = 0;
    while (k < n && !same_scalar(r->constant[seen[k]], r->constant[i])) k++;
    if (k < n) p->rep[r->nin + i] = r->nin + seen[k];
    else if (n < FEW) seen[n++] = i;
  }
}

/* ---- nodes that cancel ---- */

/* Whether every value of a survives the way to b and back. */
static bool exact(mx_dtype a, mx_dtype b) {
  if (a == b || a == MX_BOOL) return true;
  if (b == MX_BOOL) return false;
  size_t na = mx_dtype_sizes[a], nb = mx_dtype_sizes[b];
  char ka = mx_dtype_kinds[a], kb = mx_dtype_kinds[b];
  if (b == MX_C64) return a == MX_F32 || a == MX_F16 || a == MX_BF16 || (ka != 'f' && ka != 'c' && na <= 2);
  if (a == MX_C64) return false;
  if (ka == 'f') return kb == 'f' && nb > na;
  if (kb == 'f') return na == 1 || nb > na; /* significands: bf16 8, f16 11, f32 24, f64 53 bits */
  if (ka == kb) return nb >= na;
  return nb > na || nb == na; /* between signed and unsigned of one width the bits stay */
}

static const mx_array *made_by(const pass *p, int32_t slot, int op, int *node) {
  *node = p->maker[slot];
  if (*node < 0) return NULL;
  const mx_array *a = p->r->node[*node].proto;
  return a->op == op ? a : NULL;
}

/* The slot that node i repeats, or -1. */
static int32_t cancels(const pass *p, int i) {
  const mx_replay *r = p->r;
  const mx_array *a = r->node[i].proto;
  if (a->outs || a->nin != 1) return -1;
  int32_t in = r->in[r->node[i].in];
  int inner;
  const mx_array *b = made_by(p, in, a->op, &inner);
  switch (a->op) {
    case OP_copy: return in;
    case OP_astype: {
      if (!b || b->nin != 1) return -1;
      mx_dtype from = (mx_dtype)b->in[0]->dtype;
      return from == a->dtype && exact(from, (mx_dtype)b->dtype) ? r->in[r->node[inner].in] : -1;
    }
    case OP_transpose:
      if (!b) return -1;
      for (int d = 0; d < a->ndim; d++)
        if (b->p[a->p[d]] != d) return -1;
      return r->in[r->node[inner].in];
    default: return -1;
  }
}

/* ---- equal nodes ---- */

static uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x9e3779b97f4a7c15u ^ (h >> 29); }

static uint64_t hash_node(const mx_replay *r, int i) {
  const mx_array *a = r->node[i].proto;
  uint64_t h = mix(mix(a->op, (uint64_t)a->np << 32 | a->nin), (uintptr_t)a->object ^ (uint64_t)(uint16_t)a->stream << 48);
  for (int k = 0; k < a->np; k++) h = mix(h, (uint64_t)a->p[k]);
  for (int k = 0; k < a->nin; k++) h = mix(h, (uint64_t)r->in[r->node[i].in + (uint32_t)k]);
  return h ^ h >> 32;
}

static bool equal_nodes(const mx_replay *r, int i, int j) {
  const mx_array *a = r->node[i].proto, *b = r->node[j].proto;
  return a->op == b->op && a->np == b->np && a->nin == b->nin && a->object == b->object && a->stream == b->stream && a->dtype == b->dtype &&
         mx_results(a) == mx_results(b) && memcmp(a->p, b->p, (size_t)a->np * sizeof *a->p) == 0 &&
         memcmp(r->in + r->node[i].in, r->in + r->node[j].in, (size_t)a->nin * sizeof *r->in) == 0 &&
         (a->flags & MX_RELATIVE) == (b->flags & MX_RELATIVE) && /* equal for these shapes need not be equal for all */
         (!(a->flags & MX_RELATIVE) || memcmp(a->p + a->np, b->p + a->np, (size_t)a->np * sizeof *a->p) == 0);
}

/* The earlier node that equals i, or i itself, which is then remembered. */
static int first_equal(pass *p, int i) {
  for (uint32_t at = (uint32_t)hash_node(p->r, i) & p->mask;; at = (at + 1) & p->mask) {
    if (!p->table[at]) {
      p->table[at] = i + 1;
      return i;
    }
    if (equal_nodes(p->r, p->table[at] - 1, i)) return p->table[at] - 1;
  }
}

static void forward(pass *p) {
  mx_replay *r = p->r;
  for (int i = 0; i < r->n; i++) {
    mx_replay_node *e = &r->node[i];
    for (int k = 0; k < e->proto->nin; k++) {
      int32_t *in = &r->in[e->in + (uint32_t)k];
      *in = p->rep[*in];
    }
    int32_t same = cancels(p, i);
    int j = same < 0 ? first_equal(p, i) : i;
    for (int k = 0; k < mx_results(e->proto); k++) {
      p->maker[e->slot + k] = i;
      if (same >= 0) p->rep[e->slot] = same;
      if (j != i) {
        p->rep[e->slot + k] = r->node[j].slot + k;
        r->picked[r->node[j].slot + k] |= r->picked[e->slot + k];
      }
    }
  }
  for (int i = 0; i < r->nout; i++) r->out[i] = p->rep[r->out[i]];
}

/* ---- what is needed ---- */

static void drop_unused(mx_replay *r, uint8_t *needed) {
  for (int i = 0; i < r->nout; i++) needed[r->out[i]] = 1;
  for (int i = r->n - 1; i >= 0; i--) {
    const mx_replay_node *e = &r->node[i];
    bool any = false;
    for (int k = 0; k < mx_results(e->proto); k++) any |= needed[e->slot + k];
    for (int k = 0; k < e->proto->nin && any; k++) needed[r->in[e->in + (uint32_t)k]] = 1;
    if (!any) mx_set(&r->node[i].proto, NULL);
  }
  int n = 0;
  for (int i = 0; i < r->n; i++)
    if (r->node[i].proto) r->node[n++] = r->node[i];
  r->n = n;
  memcpy(r->picked, needed, (size_t)r->nslot);
}

int mx_replay_simplify(mx_replay *r) {
  uint32_t size = 16;
  while (size < 2u * (uint32_t)r->n) size *= 2;
  size_t slots = (size_t)r->nslot + 1;
  pass p = {.r = r, .mask = size - 1};
  p.rep = mx_malloc(2 * slots * sizeof *p.rep);
  p.table = mx_calloc(size, sizeof *p.table);
  uint8_t *needed = mx_calloc(slots, 1);
  int rc = p.rep && p.table && needed ? 0 : mx_fail_memory();
  if (!rc) {
    p.maker = p.rep + slots;
    for (int i = 0; i < r->nslot; i++) p.rep[i] = i, p.maker[i] = -1;
    merge_constants(&p);
    forward(&p);
    drop_unused(r, needed);
  }
  mx_free(needed);
  mx_free(p.table);
  mx_free(p.rep);
  return rc;
}
