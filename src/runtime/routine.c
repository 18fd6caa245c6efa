/* Routines: lifetimes, runs, and how results become inputs. */
#include "runtime/routine.h"

#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"
#include "runtime/plan.h"
#include "runtime/profile.h"
#include "runtime/run.h"

struct mx_routine {
  int nin, nout;
  mx_array **in, **out;  /* retained */
  bool *placeable;       /* [nout] */
  mx_array **held;       /* [nout] what a result hands to an input: data, buf, strides */
  mx_work work;
  bool alone;            /* planned for debug_nans */
  bool failed;           /* it cannot be run again: some of its nodes have errors */
  mx_array **dead;       /* in the order of the steps */
  uint32_t *ndead;       /* [steps] */
};

mx_array *mx_routine_leaf(mx_dtype t, int ndim, const int32_t *shape) {
  mx_array *a = mx_array_alloc(t, ndim, shape, 0, 0);
  if (!a) return NULL;
  a->flags = MX_BOUND;
  atomic_store_explicit(&a->status, MX_AVAILABLE, memory_order_relaxed);
  return a;
}

/* ---- lifetimes ---- */

enum { NEVER = 0, FIRST = 1 };
#define ALWAYS UINTPTR_MAX

typedef void visit(mx_array *x, uintptr_t step, void *ctx);

static void read_by(const mx_step *s, const mx_piece *p, uintptr_t now, visit *f, void *ctx) {
  if (s->kind == MX_STEP_GROUP) {
    const mx_group *g = s->group;
    for (int i = 0; i < g->n_in; i++) f(g->in[i] & MX_LEAF ? p->leaf[g->in[i] & ~MX_LEAF] : p->node[g->in[i]], now, ctx);
    return;
  }
  const mx_array *n = p->node[s->node];
  for (int i = 0; i < n->nin; i++) f(n->in[i], now, ctx);
}

static void read_all(const mx_work *w, visit *f, void *ctx) {
  uintptr_t now = FIRST;
  for (const mx_planned *q = &w->first; q && q->plan; q = q->next)
    for (int k = 0; k < q->plan->nsteps; k++) read_by(&q->plan->steps[k], &q->part, now++, f, ctx);
}

static void set_last(mx_array *x, uintptr_t now, void *unused) {
  (void)unused;
  if ((x->flags & MX_BOUND) && x->last != ALWAYS) x->last = now;
}

typedef struct listing {
  mx_array **dead;
  uint32_t *ndead;
  uintptr_t step; /* the array that was listed last is of this step */
  size_t start, n;
} listing;

static void list_dead(mx_array *x, uintptr_t now, void *ctx) {
  listing *l = ctx;
  if (!(x->flags & MX_BOUND) || x->last != now) return;
  if (l->step != now) l->step = now, l->start = l->n;
  for (size_t i = l->start; i < l->n; i++)
    if (l->dead[i] == x) return;
  l->dead[l->n++] = x;
  l->ndead[now - FIRST]++;
}

static int find_lifetimes(mx_routine *r, int fresh) {
  size_t steps = 0;
  mx_work *w = &r->work;
  for (const mx_planned *q = &w->first; q && q->plan; q = q->next) steps += (size_t)q->plan->nsteps;
  for (int i = 0; i < w->nnode; i++) {
    w->node[i]->flags |= MX_BOUND;
    w->node[i]->last = NEVER;
  }
  for (int i = 0; i < r->nin; i++) r->in[i]->last = i < fresh ? NEVER : ALWAYS;
  for (int i = 0; i < r->nout; i++)
    if (r->out[i]->flags & MX_BOUND) r->out[i]->last = ALWAYS;
  read_all(w, set_last, NULL);
  r->ndead = mx_calloc(steps + 1, sizeof *r->ndead);
  r->dead = mx_malloc(((size_t)w->nnode + (size_t)r->nin + 1) * sizeof *r->dead);
  if (!r->ndead || !r->dead) return mx_fail_memory();
  read_all(w, list_dead, &(listing){.dead = r->dead, .ndead = r->ndead});
  return 0;
}

/* What a group or a kernel with one result computes for the first time among the results. */
static void find_placeable(mx_routine *r) {
  for (int i = 0; i < r->nout; i++) {
    const mx_array *a = r->out[i];
    int kind = mx_ops[a->op].kind;
    r->placeable[i] = (a->flags & MX_BOUND) && a->op != OP_none && (kind == MX_ELEMENTWISE || kind == MX_REDUCTION || kind == MX_KERNEL);
    for (int k = 0; k < i; k++) r->placeable[i] &= !(r->placeable[k] && r->out[k] == a);
  }
}

/* ---- making ---- */

static int keep_ends(mx_routine *r, mx_array *const *in, mx_array *const *out) {
  r->in = mx_calloc((size_t)r->nin + 1, sizeof *r->in);
  r->out = mx_calloc(2 * (size_t)r->nout + 1, sizeof *r->out);
  r->held = r->out ? r->out + r->nout : NULL;
  r->placeable = mx_calloc((size_t)r->nout + 1, sizeof *r->placeable);
  if (!r->in || !r->out || !r->placeable) return mx_fail_memory();
  for (int i = 0; i < r->nin; i++) r->in[i] = mx_retain(in[i]);
  for (int i = 0; i < r->nout; i++) {
    r->out[i] = mx_retain(out[i]);
    if (!(r->held[i] = mx_routine_leaf((mx_dtype)out[i]->dtype, out[i]->ndim, out[i]->shape))) return mx_error_kind();
  }
  return 0;
}

mx_routine *mx_routine_new(int nin, mx_array *const *in, int fresh, int nout, mx_array *const *out) {
  mx_routine *r = mx_calloc(1, sizeof *r);
  if (!r) {
    mx_fail_memory();
    return NULL;
  }
  r->nin = nin;
  r->nout = nout;
  int rc = keep_ends(r, in, out);
  r->alone = mx_watched() & MX_WATCH_NAN;
  if (!rc) rc = mx_work_plan(&r->work, nout, r->out, false, false);
  if (!rc) rc = find_lifetimes(r, fresh);
  if (rc) {
    mx_routine_free(r);
    return NULL;
  }
  find_placeable(r);
  return r;
}

void mx_routine_free(mx_routine *r) {
  if (!r) return;
  for (int i = 0; r->in && i < r->nin; i++) mx_release(r->in[i]);
  mx_work_free(&r->work);
  for (int i = 0; r->out && i < r->nout; i++) {
    mx_release(r->out[i]);
    if (r->held) mx_release(r->held[i]);
  }
  mx_free(r->in);
  mx_free(r->out);
  mx_free(r->placeable);
  mx_free(r->dead);
  mx_free(r->ndead);
  mx_free(r);
}

bool mx_routine_fits(const mx_routine *r) { return !r->failed && r->alone == ((mx_watched() & MX_WATCH_NAN) != 0); }

/* ---- running ---- */

static void give(mx_array *a, void *data, mx_buffer *buf, const int64_t *strides) {
  mx_drop_data(a);
  a->data = data;
  a->buf = buf;
  memcpy(a->strides, strides, a->ndim * sizeof *strides);
}

void mx_routine_give(mx_routine *r, int i, void *data, mx_buffer *buf, const int64_t *strides) { give(r->in[i], data, buf, strides); }

bool mx_routine_fail_input(mx_routine *r, int i, const mx_array *x) {
  int rc = mx_input_failure(x);
  if (!rc) return false;
  mx_drop_data(r->in[i]);
  mx_set_failed(r->in[i], rc, mx_error_message());
  return r->failed = true;
}

bool mx_routine_place(mx_routine *r, int i, void *data, mx_buffer *buf) {
  mx_array *a = r->out[i];
  if (!r->placeable[i]) return false;
  mx_drop_data(a);
  a->data = data;
  a->buf = mx_buffer_retain(buf);
  mx_row_strides(a->ndim, a->shape, a->strides);
  return true;
}

int mx_routine_run(mx_routine *r) {
  uintptr_t now = FIRST;
  mx_array **dead = r->dead;
  const mx_array *failed = NULL;
  for (const mx_planned *q = &r->work.first; q && q->plan; q = q->next) {
    const mx_plan *plan = q->plan;
    const uint32_t *ndead = r->ndead + (now - FIRST);
    const mx_array *one = mx_run_again(plan, &q->part, r->work.backend, now, dead, ndead);
    if (!failed) failed = one;
    for (int k = 0; k < plan->nsteps; k++) dead += ndead[k];
    now += (uintptr_t)plan->nsteps;
  }
  r->failed |= failed != NULL;
  return failed ? mx_input_failure(failed) : 0;
}

int mx_routine_failure(const mx_routine *r, int i) { return mx_input_failure(r->out[i]); }
const mx_array *mx_routine_result(const mx_routine *r, int i) { return r->out[i]; }
const mx_array *mx_routine_input(const mx_routine *r, int i) { return r->in[i]; }

int mx_routine_copy_out(mx_routine *r, int i, void *data) {
  const mx_array *a = r->out[i];
  if (a->data == data || !a->size) return 0;
  if (mx_is_row_contiguous(a)) {
    memcpy(data, a->data, mx_nbytes(a));
    return 0;
  }
  int64_t strides[MX_MAX_NDIM], no_col_major = 0;
  mx_row_strides(a->ndim, a->shape, strides);
  mx_view from = {a->data, a->shape, a->strides, a->size, a->ndim, a->dtype}, to = {data, a->shape, strides, a->size, a->ndim, a->dtype};
  return r->work.backend->kernels[OP_contiguous](
      &(mx_call){.op = OP_contiguous, .nin = 1, .nout = 1, .np = 1, .in = &from, .out = &to, .p = &no_col_major});
}

static void hand_over(mx_array *to, const mx_array *from) { give(to, from->data, mx_buffer_retain(from->buf), from->strides); }

void mx_routine_feed(mx_routine *r, int n) {
  for (int i = 0; i < n; i++) hand_over(r->held[i], r->out[i]);
  for (int i = 0; i < r->nout; i++)
    if ((r->out[i]->flags & MX_BOUND) && r->out[i]->op != OP_none) mx_drop_data(r->out[i]);
  for (int i = 0; i < n; i++) {
    mx_array *h = r->held[i];
    give(r->in[i], h->data, h->buf, h->strides);
    h->data = NULL;
    h->buf = NULL;
  }
}

void mx_routine_rest(mx_routine *r) {
  for (int i = 0; i < r->nin; i++) mx_drop_data(r->in[i]);
  for (int i = 0; i < r->work.nnode; i++) mx_drop_data(r->work.node[i]);
}
