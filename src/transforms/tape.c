/* Collecting a tape. */
#include "transforms/tape.h"

#include "graph/recorded.h"
#include "runtime/runtime.h"

#include <string.h>

/* ---- map ---- */

static uint32_t place(const mx_index *m, const void *key) {
  uint64_t h = ((uintptr_t)key >> 4) * 0x9e3779b97f4a7c15u;
  uint32_t mask = m->cap - 1, i = (uint32_t)(h >> 32) & mask;
  while (m->key[i] && m->key[i] != key) i = (i + 1) & mask;
  return i;
}

int32_t *mx_index_find(const mx_index *m, const void *key) {
  if (!m->cap) return NULL;
  uint32_t i = place(m, key);
  return m->key[i] ? &m->val[i] : NULL;
}

static int map_grow(mx_index *m) {
  mx_index w = {.cap = m->cap ? 2 * m->cap : 64};
  w.key = mx_calloc(w.cap, sizeof *w.key);
  w.val = mx_malloc(w.cap * sizeof *w.val);
  if (!w.key || !w.val) {
    mx_index_clear(&w);
    return mx_fail_memory();
  }
  for (uint32_t i = 0; i < m->cap; i++)
    if (m->key[i]) {
      uint32_t at = place(&w, m->key[i]);
      w.key[at] = m->key[i];
      w.val[at] = m->val[i];
    }
  w.n = m->n;
  mx_index_clear(m);
  *m = w;
  return 0;
}

int mx_index_put(mx_index *m, const void *key, int32_t val) {
  if (m->n * 2 >= m->cap) {
    int rc = map_grow(m);
    if (rc) return rc;
  }
  uint32_t i = place(m, key);
  m->key[i] = key;
  m->val[i] = val;
  m->n++;
  return 0;
}

void mx_index_clear(mx_index *m) {
  mx_free(m->key);
  mx_free(m->val);
  *m = (mx_index){0};
}

/* ---- tape ---- */

_Thread_local bool mx_rules_ran;

int mx_follow_all(const mx_array *node) { return node->nin; }
int mx_follow_recorded(const mx_array *node) { return node->op == OP_recorded ? node->nin - node->nout : node->nin; }

static int grow_bytes(void **p, size_t n, size_t item) {
  void *q = mx_realloc(*p, n * item);
  if (!q) return mx_fail_memory();
  *p = q;
  return 0;
}

static int room_for_node(mx_tape *t) {
  if (t->n < t->cap_node) return 0;
  int cap = t->cap_node ? 2 * t->cap_node : 32, rc = grow_bytes((void **)&t->node, (size_t)cap, sizeof *t->node);
  if (!rc) t->cap_node = cap;
  return rc;
}

static int room_for_inputs(mx_tape *t, int n) {
  if (t->nin + (size_t)n <= t->cap_in) return 0;
  size_t cap = 2 * (t->nin + (size_t)n) + 32;
  int rc = grow_bytes((void **)&t->in, cap, sizeof *t->in);
  if (!rc) t->cap_in = cap;
  return rc;
}

static int new_slots(mx_tape *t, int n) {
  if (!n) return 0;
  if (t->nslot > INT32_MAX - n) return mx_fail(MX_EVALUE, "[transforms] The graph has too many nodes.");
  if (t->nslot + n > t->cap_slot) {
    int cap = t->nslot + n < INT32_MAX / 2 ? 2 * (t->nslot + n) + 32 : INT32_MAX;
    int rc = grow_bytes((void **)&t->value, (size_t)cap, sizeof *t->value);
    if (rc) return rc;
    t->cap_slot = cap;
  }
  memset(t->value + t->nslot, 0, (size_t)n * sizeof *t->value);
  t->nslot += n;
  return 0;
}

/* A pick reads its tuple's slot. */
static int add_pick(mx_tape *t, mx_array *a, int32_t tuple) {
  int32_t slot = tuple < 0 ? -1 : tuple + (int32_t)a->p[0];
  if (slot >= 0 && !t->value[slot]) t->value[slot] = mx_retain(a);
  return mx_index_put(&t->slots, a, slot);
}

/* All inputs of a are in the map or do not count. */
static int add_node(mx_tape *t, mx_array *a, int followed) {
  if (a->op == OP_pick && a->nin == 1) return add_pick(t, a, mx_tape_slot(t, a->in[0]));
  int nin = a->nin, nres = mx_results(a), rc = room_for_inputs(t, nin);
  if (rc) return rc;
  bool active = false;
  for (int i = 0; i < nin; i++) {
    int32_t slot = i < followed ? mx_tape_slot(t, a->in[i]) : -1;
    t->in[t->nin + (size_t)i] = slot;
    active |= slot >= 0;
  }
  if (!active) return mx_index_put(&t->slots, a, -1);
  if ((rc = room_for_node(t)) || (rc = mx_index_put(&t->slots, a, t->nslot)) || (rc = new_slots(t, nres))) return rc;
  t->node[t->n++] = (mx_tape_node){mx_retain(a), t->nslot - nres, (uint32_t)t->nin};
  if (!a->outs) t->value[t->nslot - 1] = mx_retain(a);
  t->nin += (size_t)nin;
  return t->nin > UINT32_MAX ? mx_fail(MX_EVALUE, "[transforms] The graph has too many edges.") : 0;
}

typedef struct frame {
  mx_array *a;
  int next, follow;
} frame;

/* Nodes that are visited are kept until the end: what is not part of the trace could be evaluated, and let go of, by others. */
typedef struct walk {
  frame *at;
  int n, cap;
  mx_list visited;
} walk;

static int to_follow(const mx_array *a, mx_follow *follow) { return (a->op == OP_recorded ? mx_follow_recorded : follow)(a); }

static int push(walk *w, mx_array *a, mx_follow *follow) {
  if (w->n == w->cap) {
    int cap = w->cap ? 2 * w->cap : 64, rc = grow_bytes((void **)&w->at, (size_t)cap, sizeof *w->at);
    if (rc) return rc;
    w->cap = cap;
  }
  int rc = mx_list_push(&w->visited, a);
  if (!rc) w->at[w->n++] = (frame){a, 0, to_follow(a, follow)};
  return rc;
}

/* Someone computes a, and takes its inputs away meanwhile. */
static void wait_for(mx_array *a) {
  mx_graph_let_go();
  if (mx_wait(a)) mx_error_clear(); /* whoever needs its value will hear of it */
  mx_graph_hold();
}

static bool to_visit(const mx_tape *t, const mx_array *a, uint8_t flag) { return (a->flags & flag) && !mx_index_find(&t->slots, a); }

static int enter(walk *w, mx_array *a, mx_follow *follow) {
  int rc = push(w, a, follow);
  if (rc || atomic_load_explicit(&a->status, memory_order_acquire) != MX_SCHEDULED) return rc;
  wait_for(a);
  w->at[w->n - 1].follow = to_follow(a, follow);
  return 0;
}

/* A recorded call that depends on a source and is to be opened has no slots: its results are visited again as what they are copies of. */
enum { TO_OPEN = -2 };

static int mark_call(mx_tape *t, mx_array *a, int followed) {
  bool active = false;
  for (int i = 0; i < followed; i++) active |= mx_tape_slot(t, a->in[i]) >= 0;
  return mx_index_put(&t->slots, a, active ? TO_OPEN : -1);
}

/* All inputs of the last frame's node are in the map. */
static int finish(mx_tape *t, walk *w, frame *f, mx_follow *follow) {
  mx_array *a = f->a;
  if (mx_is_recorded(a) && mx_tape_slot(t, a->in[0]) == TO_OPEN) {
    mx_recorded_open(a);
    f->next = 0;
    f->follow = to_follow(a, follow);
    return 0;
  }
  w->n--;
  return a->op == OP_recorded && follow != mx_follow_recorded ? mark_call(t, a, f->follow) : add_node(t, a, f->follow);
}

static int collect(mx_tape *t, walk *w, mx_array *root, uint8_t flag, mx_follow *follow) {
  if (!to_visit(t, root, flag)) return 0;
  int rc = enter(w, root, follow);
  while (!rc && w->n) {
    frame *f = &w->at[w->n - 1];
    mx_array *a = f->a, *deeper = NULL;
    while (!deeper && f->next < f->follow && f->next < a->nin) {
      mx_array *x = a->in[f->next++];
      if (to_visit(t, x, flag)) deeper = x;
    }
    rc = deeper ? enter(w, deeper, follow) : finish(t, w, f, follow);
  }
  return rc;
}

static int put_once(mx_index *m, const void *key, int32_t val) { return mx_index_find(m, key) ? 0 : mx_index_put(m, key, val); }

int mx_tape_build(mx_tape *t, int nsrc, mx_array *const *src, int nroots, mx_array *const *roots, uint8_t flag, mx_follow *follow,
                  int nstop, mx_array *const *stop) {
  *t = (mx_tape){.nsrc = nsrc};
  walk w = {0};
  int rc = new_slots(t, nsrc);
  for (int i = 0; !rc && i < nsrc; i++) {
    t->value[i] = mx_retain(src[i]);
    rc = put_once(&t->slots, src[i], i);
  }
  for (int i = 0; !rc && i < nstop; i++) rc = put_once(&t->slots, stop[i], -1);
  mx_graph_hold();
  for (int i = 0; !rc && i < nroots; i++) rc = collect(t, &w, roots[i], flag, follow);
  mx_graph_let_go();
  mx_free(w.at);
  mx_list_clear(&w.visited);
  if (rc) mx_tape_clear(t);
  return rc;
}

void mx_tape_clear(mx_tape *t) {
  for (int i = 0; i < t->nslot; i++) mx_release(t->value[i]);
  for (int i = t->n - 1; i >= 0; i--) mx_release(t->node[i].a);
  mx_free(t->node);
  mx_free(t->in);
  mx_free(t->value);
  mx_index_clear(&t->slots);
  *t = (mx_tape){0};
}

int mx_tape_widest(const mx_tape *t) {
  int w = 1;
  for (int i = 0; i < t->n; i++) {
    if (t->node[i].a->nin > w) w = t->node[i].a->nin;
    if (mx_results(t->node[i].a) > w) w = mx_results(t->node[i].a);
  }
  return w;
}

mx_array **mx_slots_new(int n) {
  mx_array **t = mx_calloc((size_t)n + 1, sizeof *t);
  if (!t) mx_fail_memory();
  return t;
}

void mx_slots_free(mx_array **slots, int n) {
  if (!slots) return;
  for (int i = 0; i < n; i++) mx_release(slots[i]);
  mx_free(slots);
}
