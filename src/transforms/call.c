/* Compiled calls that wait: made, run, opened.
 *
 * A call is a tuple node of OP_compiled with the arguments as inputs; its results are picks. Nobody but eval meets one: what is traced is
 * built as it always was, and eval opens a call (graph/graph.h) unless all of its results that somebody holds are wanted and its inputs are
 * there. Then the node runs a routine of the replay: no node is made, no key written, no plan looked up. */
#include "transforms/call.h"

#include <string.h>

#include "runtime/plan.h"
#include "runtime/profile.h"
#include "runtime/runtime.h"
#include "transforms/body.h"

enum { SPARE = 4, MISSES = 3, AGAIN = 64, LARGEST = 1 << 15 };

struct mx_callee {
  mx_control control;
  mx_replay *f;
  bool may_wait;
  mx_stream stream;
  int nmade;                 /* results that nodes compute */
  int32_t *made;             /* [f->nout] which one output i is; -1: an input or a constant */
  int32_t *slot;             /* [nmade] */
  const mx_array **node;     /* [nmade] prototypes */
  mx_result *like;           /* [nmade] dtypes and shapes, the prototypes' */
  _Atomic bool settled;      /* all constants are available */
  _Atomic uint32_t calls, misses; /* misses: calls opened since one was run */
  _Atomic(mx_routine *) spare[SPARE];
};

mx_replay *mx_callee_replay(const mx_callee *c) { return c->f; }

/* ---- making ---- */

static void destroy(mx_object *o) {
  mx_callee *c = (mx_callee *)o;
  for (int i = 0; i < SPARE; i++) mx_routine_free(atomic_load(&c->spare[i]));
  mx_replay_release(c->f);
  mx_free(c->made);
  mx_free(c->slot);
  mx_free(c->node);
  mx_free(c->like);
  mx_free(c);
}

static mx_result like_array(const mx_array *a) {
  return (mx_result){.dtype = a->dtype, .ndim = a->ndim, .shape = a->shape, .size = a->size};
}

/* The results that nodes compute, each once. */
static int find_made(mx_callee *c) {
  const mx_replay *r = c->f;
  int32_t *maker = mx_malloc(((size_t)r->nslot + 1) * 2 * sizeof *maker), *which = maker ? maker + r->nslot : NULL;
  if (!maker) return mx_fail_memory();
  for (int i = 0; i < r->nslot; i++) maker[i] = which[i] = -1;
  for (int i = 0; i < r->n; i++)
    for (int k = 0; k < mx_results(r->node[i].proto); k++) maker[r->node[i].slot + k] = i;
  for (int i = 0; i < r->nout; i++) {
    int32_t slot = r->out[i], m = maker[slot];
    if (m >= 0 && which[slot] < 0) {
      const mx_array *a = c->node[c->nmade] = r->node[m].proto;
      c->like[c->nmade] = a->outs ? a->outs[slot - r->node[m].slot] : like_array(a);
      c->slot[c->nmade] = slot;
      which[slot] = c->nmade++;
    }
    c->made[i] = which[slot];
  }
  mx_free(maker);
  return 0;
}

static int run(mx_control *control, mx_array *node, bool may_take);
static int open_call(mx_control *control, mx_array *node);

static bool could_wait(const mx_callee *c) {
  const mx_replay *r = c->f;
  if (!c->nmade || r->nin > UINT16_MAX || c->nmade > UINT16_MAX || r->n > LARGEST || r->n <= c->nmade + 1) return false;
  for (int i = 0; i < r->n; i++)
    if (mx_ops[r->node[i].proto->op].kind == MX_CONTROL) return false; /* these know best how they are built again */
  return true;
}

mx_callee *mx_callee_new(mx_replay *r) {
  mx_callee *c = mx_calloc(1, sizeof *c);
  if (!c) {
    mx_replay_release(r);
    mx_fail_memory();
    return NULL;
  }
  size_t n = (size_t)r->nout + 1;
  c->control = (mx_control){{1, destroy}, run, NULL, open_call};
  c->f = r;
  c->made = mx_malloc(n * sizeof *c->made);
  c->slot = mx_malloc(n * sizeof *c->slot);
  c->node = mx_malloc(n * sizeof *c->node);
  c->like = mx_malloc(n * sizeof *c->like);
  if (c->made && c->slot && c->node && c->like) {
    if (!find_made(c)) {
      c->may_wait = could_wait(c);
      c->stream = r->n ? r->node[r->n - 1].proto->stream : 0;
      return c;
    }
  } else mx_fail_memory();
  mx_object_release(&c->control.base);
  return NULL;
}

/* ---- calls ---- */

static bool settled(mx_callee *c) {
  if (atomic_load_explicit(&c->settled, memory_order_acquire)) return true;
  for (int i = 0; i < c->f->nconst; i++)
    if (!mx_is_available(c->f->constant[i])) return false;
  atomic_store_explicit(&c->settled, true, memory_order_release);
  return true;
}

/* The first call is built: there may be no other. So is one whose like were opened: results that are read by more of a graph fuse with it. */
static bool shall_wait(mx_callee *c, mx_array *const *in) {
  if (!c->may_wait) return false;
  uint32_t call = atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
  if (!call || (atomic_load_explicit(&c->misses, memory_order_relaxed) >= MISSES && call % AGAIN)) return false;
  if (mx_watched() || atomic_load_explicit(&mx_levels_open, memory_order_relaxed)) return false;
  for (int i = 0; i < c->f->nin; i++)
    if (in[i]->flags & ~MX_RELATIVE) return false; /* traced */
  return settled(c);
}

static int wait(mx_callee *c, mx_array *const *in, mx_list *out) {
  enum { SMALL = 64 };
  mx_array *small[SMALL], **made = c->nmade <= SMALL ? small : mx_malloc((size_t)c->nmade * sizeof *made);
  mx_array *call = made ? mx_call_node(&c->control.base, c->stream, c->f->nin, in, c->nmade, c->like) : (mx_fail_memory(), NULL);
  int rc = call ? 0 : mx_error_kind(), n = 0;
  for (; n < c->nmade && !rc; n++)
    if (!(made[n] = mx_call_result(call, n, c->node[n]))) {
      rc = mx_error_kind();
      break;
    }
  for (int i = 0; i < c->f->nout && !rc; i++) {
    int32_t slot = c->f->out[i];
    rc = mx_list_push(out, c->made[i] >= 0 ? made[c->made[i]] : slot < c->f->nin ? in[slot] : c->f->constant[slot - c->f->nin]);
  }
  for (int i = 0; i < n; i++) mx_release(made[i]);
  mx_release(call);
  if (made != small) mx_free(made);
  return rc;
}

int mx_callee_call(mx_callee *c, mx_array *const *in, mx_list *out) {
  return shall_wait(c, in) ? wait(c, in, out) : mx_replay_run_as_traced(c->f, in, out);
}

/* ---- running ---- */

static mx_routine *routine_over(const mx_callee *c, mx_array *const *leaf) {
  mx_list out = {0};
  mx_routine *r = NULL;
  mx_array **held = mx_slots_new(c->nmade);
  int rc = held ? mx_replay_run_as_traced(c->f, leaf, &out) : MX_EMEMORY;
  for (int i = 0; i < c->f->nout && !rc; i++)
    if (c->made[i] >= 0) held[c->made[i]] = out.at[i];
  if (!rc) r = mx_routine_new(c->f->nin, leaf, c->f->nin, c->nmade, held);
  mx_free(held);
  mx_list_clear(&out);
  return r;
}

static mx_routine *routine_like(const mx_callee *c, mx_array *const *like) {
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_array **leaf = mx_slots_new(c->f->nin);
  for (int i = 0; i < c->f->nin && leaf; i++) leaf[i] = mx_own(&s, mx_routine_leaf((mx_dtype)like[i]->dtype, like[i]->ndim, like[i]->shape));
  mx_routine *r = leaf && !s.rc ? routine_over(c, leaf) : NULL;
  mx_free(leaf);
  mx_scope_end(&s);
  return r;
}

static mx_routine *begin(mx_callee *c, mx_array *const *like) {
  for (int i = 0; i < SPARE; i++) {
    mx_routine *r = atomic_load_explicit(&c->spare[i], memory_order_relaxed) ? atomic_exchange(&c->spare[i], NULL) : NULL;
    if (r && mx_routine_fits(r)) return r;
    mx_routine_free(r);
  }
  return routine_like(c, like);
}

static void end(mx_callee *c, mx_routine *r) {
  mx_routine_rest(r);
  for (int i = 0; i < SPARE; i++) {
    mx_routine *none = NULL;
    if (atomic_compare_exchange_strong(&c->spare[i], &none, r)) return;
  }
  mx_routine_free(r);
}

static int run(mx_control *control, mx_array *node, bool may_take) {
  mx_callee *c = (mx_callee *)control;
  mx_routine *r = begin(c, node->in);
  if (!r) return mx_error_kind();
  atomic_store_explicit(&c->misses, 0, memory_order_relaxed);
  for (int i = 0; i < c->f->nin; i++)
    if (!mx_routine_fail_input(r, i, node->in[i])) mx_give_input(r, i, node->in[i], may_take);
  bool failed = mx_routine_run(r);
  for (int i = 0; i < c->nmade; i++) {
    int rc = failed ? mx_routine_failure(r, i) : 0;
    if (!rc) rc = mx_body_result(r, i, &node->outs[i]);
    if (rc) mx_set_result_failed(&node->outs[i], rc, mx_error_message());
  }
  end(c, r);
  return 0;
}

/* ---- opening ---- */

/* Node i over the values so far, which are retained; a result that waits becomes what it stands for. */
static int open_node(const mx_replay *r, int i, mx_array **value, mx_array *const *waiting, mx_array **x) {
  const mx_replay_node *e = &r->node[i];
  for (int k = 0; k < e->proto->nin; k++) x[k] = value[r->in[e->in + (uint32_t)k]];
  if (!e->proto->outs && waiting[e->slot]) {
    value[e->slot] = mx_retain(waiting[e->slot]);
    mx_call_become(value[e->slot], e->proto, x);
    return 0;
  }
  mx_array *a = mx_node_copy(e->proto, x);
  if (!a) return mx_error_kind();
  if (!e->proto->outs) value[e->slot] = a;
  for (int k = 0, rc = 0; a->outs && k < a->nout; k++) {
    int32_t slot = e->slot + k;
    if (!r->picked[slot]) continue;
    if (waiting[slot]) mx_call_become_pick(value[slot] = mx_retain(waiting[slot]), a, k);
    else if (!(value[slot] = mx_pick_alone(a, k))) rc = mx_error_kind();
    if (rc) {
      mx_release(a);
      return rc;
    }
  }
  if (e->proto->outs) mx_release(a);
  return 0;
}

/* Where memory ends in the middle, results that did not become anything yet still wait. */
static int open_call(mx_control *control, mx_array *node) {
  mx_callee *c = (mx_callee *)control;
  const mx_replay *r = c->f;
  atomic_fetch_add_explicit(&c->misses, 1, memory_order_relaxed);
  mx_array **value = mx_slots_new(2 * r->nslot + r->widest + c->nmade);
  if (!value) return MX_EMEMORY;
  mx_array **waiting = value + r->nslot, **live = waiting + r->nslot, **x = live + c->nmade;
  mx_call_live(node, live);
  for (int i = 0; i < c->nmade; i++) waiting[c->slot[i]] = live[i];
  for (int i = 0; i < r->nin; i++) value[i] = mx_retain(node->in[i]);
  for (int i = 0; i < r->nconst; i++) value[r->nin + i] = mx_retain(r->constant[i]);
  int rc = 0;
  for (int i = 0; i < r->n && !rc; i++) rc = open_node(r, i, value, waiting, x);
  for (int i = 0; i < r->nslot; i++) mx_release(value[i]);
  for (int i = 0; i < c->nmade; i++) mx_release(live[i]);
  mx_free(value);
  return rc;
}
