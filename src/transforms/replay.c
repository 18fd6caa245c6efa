/* Replays: made from tapes, run by building each node again. */
#include "transforms/replay.h"

#include <string.h>

#include "graph/recorded.h"

static void replay_destroy(mx_object *o) {
  mx_replay *r = (mx_replay *)o;
  for (int i = 0; i < r->n; i++) mx_release(r->node[i].proto);
  for (int i = 0; i < r->nconst; i++) mx_release(r->constant[i]);
  mx_free(r->node);
  mx_free(r->constant);
  mx_free(r->in);
  mx_free(r->out);
  mx_free(r->picked);
  mx_free(r);
}

/* Slots of arrays that are not on the tape: one a distinct constant. */
typedef struct constants {
  mx_index at;
  mx_list list;
} constants;

static int constant_of(constants *c, mx_array *a, int32_t *index) {
  int32_t *found = mx_index_find(&c->at, a);
  if (found) {
    *index = *found;
    return 0;
  }
  *index = c->list.n;
  int rc = mx_index_put(&c->at, a, c->list.n);
  return rc ? rc : mx_list_push(&c->list, a);
}

/* While it is made, constant i is slot -1 - i: their number is not known. */
static int collect_inputs(mx_replay *r, const mx_tape *t, constants *c) {
  int rc = 0;
  for (int i = 0; i < t->n && !rc; i++) {
    const mx_tape_node *e = &t->node[i];
    mx_array *proto = e->a->op == OP_recorded ? mx_recorded_bare(e->a) : mx_retain(e->a);
    if (!proto) return mx_error_kind();
    r->node[r->n++] = (mx_replay_node){proto, e->slot, e->in};
    for (int k = 0; k < proto->nin && !rc; k++) {
      int32_t slot = t->in[e->in + (uint32_t)k], index = 0;
      if (slot < 0) {
        rc = constant_of(c, e->a->in[k], &index);
        slot = -1 - index;
      }
      r->in[e->in + (uint32_t)k] = slot;
    }
  }
  return rc;
}

static bool is_lifted(const mx_array *a, uint8_t lift) {
  return (a->flags & lift & ~MX_LIFT_LAZY) || ((lift & MX_LIFT_LAZY) && !mx_is_available(a));
}

/* order[i]: where constant i goes, those to be lifted first. */
static int place_constants(mx_replay *r, const mx_list *all, uint8_t lift, mx_list *lifted, int32_t *order) {
  int first = 0, rc = 0;
  for (int i = 0; i < all->n; i++) first += order[i] = is_lifted(all->at[i], lift); /* once: what is computed meanwhile changes it */
  int last = first, next = 0;
  for (int i = 0; i < all->n && !rc; i++) {
    bool up = order[i];
    order[i] = up ? next++ : last++;
    if (up) rc = mx_list_push(lifted, all->at[i]);
    else r->constant[order[i] - first] = mx_retain(all->at[i]), r->nconst++;
  }
  r->nin += first;
  return rc;
}

static int32_t final_slot(const mx_replay *r, int nsrc, const int32_t *order, int32_t slot) {
  if (slot < 0) return nsrc + order[-1 - slot];
  return slot < nsrc ? slot : slot - nsrc + r->nin + r->nconst;
}

int mx_replay_from_tape(mx_replay **res, const mx_tape *t, int nout, mx_array *const *outputs, uint8_t lift, mx_list *lifted) {
  mx_replay *r = mx_calloc(1, sizeof *r);
  if (!r) return mx_fail_memory();
  r->base = (mx_object){1, replay_destroy};
  r->nin = t->nsrc;
  r->nout = nout;
  r->widest = mx_tape_widest(t);
  r->node = mx_malloc((size_t)(t->n + 1) * sizeof *r->node);
  r->in = mx_malloc((t->nin + 1) * sizeof *r->in);
  r->out = mx_malloc((size_t)(nout + 1) * sizeof *r->out);
  constants c = {0};
  int rc = r->node && r->in && r->out ? collect_inputs(r, t, &c) : mx_fail_memory();
  for (int i = 0; i < nout && !rc; i++) {
    int32_t index = 0;
    r->out[i] = mx_tape_slot(t, outputs[i]);
    if (r->out[i] < 0) {
      rc = constant_of(&c, outputs[i], &index);
      r->out[i] = -1 - index;
    }
  }
  size_t nslot = (size_t)t->nslot + (size_t)c.list.n;
  int32_t *order = mx_malloc((size_t)(c.list.n + 1) * sizeof *order);
  r->constant = mx_malloc((size_t)(c.list.n + 1) * sizeof *r->constant);
  r->picked = mx_calloc(nslot + 1, 1);
  if (!rc && !(order && r->constant && r->picked)) rc = mx_fail_memory();
  if (!rc) rc = place_constants(r, &c.list, lift, lifted, order);
  if (!rc) {
    r->nslot = (int)nslot;
    for (int i = 0; i < r->n; i++) {
      mx_replay_node *e = &r->node[i];
      e->slot = final_slot(r, t->nsrc, order, e->slot);
      for (int k = 0; k < e->proto->nin; k++) r->in[e->in + (uint32_t)k] = final_slot(r, t->nsrc, order, r->in[e->in + (uint32_t)k]);
    }
    for (int i = 0; i < nout; i++) r->out[i] = final_slot(r, t->nsrc, order, r->out[i]);
    for (int i = t->nsrc; i < t->nslot; i++) r->picked[i + c.list.n] = t->value[i] != NULL;
    *res = r;
  } else mx_replay_release(r);
  mx_list_clear(&c.list);
  mx_index_clear(&c.at);
  mx_free(order);
  return rc;
}

static int replay_over(mx_replay **res, int nin, mx_array *const *inputs, int nout, mx_array *const *outputs, uint8_t flag, mx_follow *follow,
                       bool simplify) {
  mx_tape t;
  int rc = mx_tape_build(&t, nin, inputs, nout, outputs, flag, follow, 0, NULL);
  if (rc) return rc;
  mx_replay *r = NULL;
  rc = mx_replay_from_tape(&r, &t, nout, outputs, 0, NULL);
  mx_tape_clear(&t);
  if (!rc && simplify) rc = mx_replay_simplify(r);
  if (rc) mx_replay_release(r);
  else *res = r;
  return rc;
}

int mx_replay_new(mx_replay **res, int nin, mx_array *const *inputs, int nout, mx_array *const *outputs, uint8_t flag, bool simplify) {
  return replay_over(res, nin, inputs, nout, outputs, flag, mx_follow_all, simplify);
}

int mx_replay_new_recorded(mx_replay **res, int nin, mx_array *const *inputs, int nout, mx_array *const *outputs, bool simplify) {
  return replay_over(res, nin, inputs, nout, outputs, MX_PLACEHOLDER, mx_follow_recorded, simplify);
}

static bool is_plain(const mx_array *proto) { return !proto->outs && mx_ops[proto->op].kind != MX_CONTROL; }

static int replay_recorded(const mx_replay_node *e, mx_array **value, mx_array **x, mx_scope *s) {
  mx_list out = {0};
  int rc = mx_recorded_again(s, e->proto, x, &out);
  for (int k = 0; k < out.n && !rc; k++)
    if (!(value[e->slot + k] = mx_own(s, mx_retain(out.at[k])))) rc = s->rc;
  mx_list_clear(&out);
  return rc;
}

/* Node i over the values so far. as_traced: what is plain is copied, which owns its value itself; the scope owns the rest. */
static int replay_node(const mx_replay *r, int i, bool as_traced, mx_array **value, mx_array **x, mx_scope *s) {
  const mx_replay_node *e = &r->node[i];
  for (int k = 0; k < e->proto->nin; k++) x[k] = value[r->in[e->in + (uint32_t)k]];
  if (e->proto->op == OP_recorded) return replay_recorded(e, value, x, s);
  if (as_traced && is_plain(e->proto)) return (value[e->slot] = mx_node_copy(e->proto, x)) ? 0 : mx_error_kind();
  bool copied = as_traced && mx_ops[e->proto->op].kind != MX_CONTROL;
  mx_array *a = copied ? mx_own(s, mx_node_copy(e->proto, x)) : mx_node_again(s, e->proto, x);
  if (!a) return s->rc;
  if (!e->proto->outs) value[e->slot] = a;
  else
    for (int k = 0; k < e->proto->nout; k++) value[e->slot + k] = r->picked[e->slot + k] ? mx_pick(s, a, k) : NULL;
  return s->rc;
}

static int replay(const mx_replay *r, bool as_traced, mx_array *const *in, mx_list *out) {
  enum { SMALL = 128 };
  mx_array *small[SMALL];
  size_t room = (size_t)r->nslot + (size_t)r->widest;
  mx_array **value = room <= SMALL ? small : mx_malloc(room * sizeof *value), **x = value + r->nslot;
  if (!value) return mx_fail_memory();
  memcpy(value, in, (size_t)r->nin * sizeof *value);
  memcpy(value + r->nin, r->constant, (size_t)r->nconst * sizeof *value);
  mx_scope s;
  mx_scope_begin(&s, 0);
  int rc = 0, n = 0;
  while (n < r->n && !(rc = replay_node(r, n, as_traced, value, x, &s))) n++;
  for (int i = 0; i < r->nout && !rc; i++) rc = mx_list_push(out, value[r->out[i]]);
  for (int i = 0; i < n && as_traced; i++)
    if (is_plain(r->node[i].proto)) mx_release(value[r->node[i].slot]);
  mx_scope_end(&s);
  if (value != small) mx_free(value);
  return rc;
}

int mx_replay_run(const mx_replay *r, mx_array *const *in, mx_list *out) { return replay(r, false, in, out); }
int mx_replay_run_as_traced(const mx_replay *r, mx_array *const *in, mx_list *out) { return replay(r, true, in, out); }
