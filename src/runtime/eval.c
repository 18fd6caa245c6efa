/* Evaluation: collects what is unevaluated, claims it, plans it in pieces, runs it here or on a stream's worker.
 *
 * The graph lock guards the walk (walk_mark, walk_index), the planner and the claim: nodes that will be computed are SCHEDULED when it is
 * left, so no other thread enters them; it waits for them instead. Work is done outside the lock. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"
#include "runtime/plan.h"
#include "runtime/queue.h"
#include "runtime/runtime.h"
#include "runtime/profile.h"

enum { PIECE = 1024 }; /* nodes planned together */

_Thread_local int mx_tracing;

static pthread_mutex_t graph_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t mark;
static _Atomic uint64_t evals;

/* Threads that wait for somebody else's nodes. */
static pthread_mutex_t done_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done_cond = PTHREAD_COND_INITIALIZER;
static _Atomic int waiters;

static int status_of(const mx_array *a) { return atomic_load_explicit(&a->status, memory_order_acquire); }

static void *(*before_wait)(void);
static void (*after_wait)(void *);

void mx_set_wait_hooks(void *(*before)(void), void (*after)(void *)) {
  before_wait = before;
  after_wait = after;
}
void *mx_wait_begin(void) { return before_wait ? before_wait() : NULL; }
void mx_wait_end(void *state) {
  if (state) after_wait(state);
}

static void wait_computed(mx_array *a) {
  if (status_of(a) != MX_SCHEDULED) return;
  void *state = mx_wait_begin();
  atomic_fetch_add(&waiters, 1);
  pthread_mutex_lock(&done_lock);
  while (atomic_load(&a->status) == MX_SCHEDULED) pthread_cond_wait(&done_cond, &done_lock);
  pthread_mutex_unlock(&done_lock);
  atomic_fetch_sub(&waiters, 1);
  mx_wait_end(state);
}

static void announce(void) {
  atomic_thread_fence(memory_order_seq_cst);
  if (!atomic_load(&waiters)) return;
  pthread_mutex_lock(&done_lock);
  pthread_cond_broadcast(&done_cond);
  pthread_mutex_unlock(&done_lock);
}

static int failure_of(const mx_array *a) {
  if (status_of(a) != MX_FAILED) return 0;
  const mx_failure *f = a->event;
  return f ? mx_fail(f->kind, "%s", f->text) : mx_fail_memory();
}

/* ---- pieces ---- */

static int piece_push(mx_array ***at, int *n, int *cap, mx_array *a) {
  if (*n == *cap) {
    int c = *cap ? 2 * *cap : 64;
    mx_array **p = mx_realloc(*at, (size_t)c * sizeof *p);
    if (!p) return mx_fail_memory();
    *at = p;
    *cap = c;
  }
  (*at)[(*n)++] = a;
  return 0;
}

static void piece_free(mx_piece *p) {
  mx_free(p->node);
  mx_free(p->leaf);
  *p = (mx_piece){0};
}

void mx_work_free(mx_work *j) {
  for (int i = 0; i < j->npieces; i++) {
    mx_plan_release(j->pieces[i].plan);
    mx_free(j->pieces[i].part.leaf);
  }
  mx_free(j->pieces);
  piece_free(&j->all);
  j->pieces = NULL;
  j->npieces = 0;
}

/* ---- collecting ---- */

typedef struct frame { mx_array *a; int next; } frame;
static struct { frame *f; int n, cap; } stack; /* reused; under the graph lock */

static int enter(mx_array *a) {
  if (stack.n == stack.cap) {
    int cap = stack.cap ? 2 * stack.cap : 256;
    frame *f = mx_realloc(stack.f, (size_t)cap * sizeof *f);
    if (!f) return mx_fail_memory();
    stack.f = f;
    stack.cap = cap;
  }
  a->walk_mark = mark;
  stack.f[stack.n++] = (frame){a, 0};
  return 0;
}

static int refuse_placeholder(void) {
  return mx_fail(MX_EVALUE, "[eval] Attempting to eval an array during function transformations like compile or vmap is not allowed. "
                            "The array depends on an argument that has no value while the function is traced.");
}

/* All unscheduled nodes below the roots, each after its inputs. */
static int collect(int n, mx_array *const *roots, mx_piece *all) {
  mark++;
  for (int r = 0; r < n; r++) {
    if (!roots[r] || status_of(roots[r]) != MX_UNSCHEDULED || roots[r]->walk_mark == mark) continue;
    if (roots[r]->flags & MX_PLACEHOLDER) return refuse_placeholder();
    stack.n = 0;
    int rc = enter(roots[r]);
    while (!rc && stack.n) {
      frame *f = &stack.f[stack.n - 1];
      if (f->next < f->a->nin) {
        mx_array *x = f->a->in[f->next++];
        if (x->walk_mark != mark && status_of(x) == MX_UNSCHEDULED) rc = x->flags & MX_PLACEHOLDER ? refuse_placeholder() : enter(x);
      } else {
        rc = piece_push(&all->node, &all->nnode, &all->node_cap, f->a);
        stack.n--;
      }
    }
    if (rc) return rc;
  }
  return 0;
}

/* ---- planning ---- */

/* Numbers the values of a piece. A node's uses by the piece's other nodes are counted: who has more references is held by someone else. */
static int number_piece(mx_piece *p, uint8_t *held, int *uses, bool keep) {
  mark++;
  for (int i = 0; i < p->nnode; i++) {
    mx_array *n = p->node[i];
    uses[i] = 0;
    for (int k = 0; k < n->nin; k++) {
      mx_array *x = n->in[k];
      if (x->walk_mark != mark) {
        x->walk_mark = mark;
        x->walk_index = MX_LEAF | (uint32_t)p->nleaf;
        int rc = piece_push(&p->leaf, &p->nleaf, &p->leaf_cap, x);
        if (rc) return rc;
      } else if (!(x->walk_index & MX_LEAF)) {
        uses[x->walk_index]++;
      }
    }
    n->walk_mark = mark;
    n->walk_index = (uint32_t)i;
  }
  for (int i = 0; i < p->nnode; i++) {
    mx_array *n = p->node[i];
    held[i] = atomic_load_explicit(&n->refs, memory_order_relaxed) > uses[i] || (keep && (n->flags & MX_TRACER));
  }
  return 0;
}

static int plan_pieces(mx_work *j) {
  uint8_t held[PIECE];
  int uses[PIECE];
  int npieces = (j->all.nnode + PIECE - 1) / PIECE;
  if (!(j->pieces = mx_calloc((size_t)npieces, sizeof *j->pieces))) return mx_fail_memory();
  j->npieces = npieces;
  for (int i = 0; i < npieces; i++) {
    mx_piece *p = &j->pieces[i].part;
    p->node = j->all.node + i * PIECE;
    p->nnode = j->all.nnode - i * PIECE < PIECE ? j->all.nnode - i * PIECE : PIECE;
    int rc = number_piece(p, held, uses, j->keep);
    if (rc) return rc;
    if (!(j->pieces[i].plan = mx_plan_get(p, held, j->backend))) return mx_error_kind();
  }
  return 0;
}

/* What the plans will compute becomes SCHEDULED. */
static void claim_all(mx_work *j) {
  for (int i = 0; i < j->npieces; i++) {
    const mx_plan *plan = j->pieces[i].plan;
    mx_array **node = j->pieces[i].part.node;
    for (int s = 0; s < plan->nsteps; s++) {
      const mx_step *st = &plan->steps[s];
      int n = st->kind == MX_STEP_GROUP ? st->group->n_out : 1;
      for (int k = 0; k < n; k++)
        atomic_store_explicit(&node[st->kind == MX_STEP_GROUP ? st->group->out[k] : st->node]->status, MX_SCHEDULED, memory_order_relaxed);
    }
  }
}

static void run_work(mx_work *j) {
  for (int i = 0; i < j->npieces; i++) {
    mx_piece *p = &j->pieces[i].part;
    for (int k = 0; k < p->nleaf; k++) wait_computed(p->leaf[k]); /* somebody else computes them */
    mx_run(j->pieces[i].plan, p, j->backend, j->keep);
  }
  announce();
}

/* Collects and claims under the lock. all is empty when there is nothing to do. then: called before the lock is left, if there is
 * something; it may hand the work to a thread that ends it. */
static int plan(mx_work *w, int n, mx_array *const *roots, bool keep, bool claim, void (*then)(void *), void *arg) {
  uint32_t watching = mx_watched();
  mx_watch_start start;
  if (watching) mx_watch_begin(&start);
  *w = (mx_work){.backend = &mx_cpu_backend, .keep = keep};
  pthread_mutex_lock(&graph_lock);
  int rc = collect(n, roots, &w->all), nodes = w->all.nnode;
  if (!rc && nodes && !(rc = plan_pieces(w)) && claim) claim_all(w);
  if (!rc && nodes && then) then(arg);
  pthread_mutex_unlock(&graph_lock);
  if (watching & MX_WATCH_TIMES) mx_watch_planned(&start, nodes);
  if (rc) mx_work_free(w);
  return rc;
}

int mx_work_plan(mx_work *w, int n, mx_array *const *roots, bool keep, bool claim) { return plan(w, n, roots, keep, claim, NULL, NULL); }

/* Work for a stream's worker. */
typedef struct job {
  mx_work w;
  int nroots;
  mx_array **roots; /* retained */
} job;

static void run_queued(void *p) {
  job *j = p;
  run_work(&j->w);
  for (int i = 0; i < j->nroots; i++) mx_release(j->roots[i]);
  mx_free(j->roots);
  mx_work_free(&j->w);
  mx_free(j);
}

static bool nothing_to_do(int n, mx_array *const *a) {
  for (int i = 0; i < n; i++)
    if (a[i] && !mx_is_available(a[i])) return false;
  return true;
}

int mx_eval(int n, mx_array *const *a) {
  if (nothing_to_do(n, a)) return 0;
  mx_work w;
  int rc = mx_work_plan(&w, n, a, mx_tracing > 0, true);
  if (rc) return rc;
  atomic_fetch_add_explicit(&evals, 1, memory_order_relaxed);
  run_work(&w);
  mx_work_free(&w);
  for (int i = 0; i < n; i++) {
    if (!a[i]) continue;
    wait_computed(a[i]);
    int failed = failure_of(a[i]);
    if (!rc) rc = failed;
  }
  return rc;
}

typedef struct queueing {
  job *j;
  mx_array *const *roots;
  bool some, refused;
} queueing;

/* Under the graph lock: a queue is in the order of the claims, so that a job waits for nothing that stands behind it. */
static void push_job(void *arg) {
  queueing *q = arg;
  job *j = q->j;
  mx_stream stream = j->w.all.node[j->w.all.nnode - 1]->stream;
  for (int i = 0; i < j->nroots; i++) j->roots[i] = mx_retain(q->roots[i]);
  q->some = true;
  q->refused = mx_queue_push(stream, run_queued, j);
}

int mx_async_eval(int n, mx_array *const *a) {
  if (nothing_to_do(n, a)) return 0;
  job *j = mx_malloc(sizeof *j);
  mx_array **roots = mx_malloc((size_t)n * sizeof *roots);
  if (!j || !roots) {
    mx_free(j);
    mx_free(roots);
    return mx_fail_memory();
  }
  j->nroots = n;
  j->roots = roots;
  queueing q = {j, a, false, false};
  int rc = plan(&j->w, n, a, mx_tracing > 0, true, push_job, &q);
  if (!q.some) {
    if (!rc) mx_work_free(&j->w);
    mx_free(j);
    mx_free(roots);
    return rc;
  }
  atomic_fetch_add_explicit(&evals, 1, memory_order_relaxed);
  if (q.refused) run_queued(j); /* no worker could be started: run it here */
  return 0;
}

int mx_wait(mx_array *a) { return mx_eval(1, &a); }

void mx_graph_hold(void) { pthread_mutex_lock(&graph_lock); }
void mx_graph_let_go(void) { pthread_mutex_unlock(&graph_lock); }

int mx_synchronize(mx_stream s) { return mx_queue_wait(s); }

void mx_get_plan_stats(mx_plan_stats *st) {
  pthread_mutex_lock(&graph_lock);
  mx_plan_made_stats(&st->plans_made, &st->plan_hits, &st->cache_bytes);
  pthread_mutex_unlock(&graph_lock);
  mx_run_stats(&st->programs_run, &st->kernels_run, &st->donations);
  st->evals = evals;
}

void mx_clear_plans(void) {
  pthread_mutex_lock(&graph_lock);
  mx_plan_clear();
  pthread_mutex_unlock(&graph_lock);
}
