/* Evaluation: collects what is unevaluated, claims it, plans it in pieces, runs it here or on a stream's worker.
 *
 * The graph lock guards the walk (walk_mark, walk_index), the planner and the claim: nodes that will be computed are SCHEDULED when it is
 * left, so no other thread enters them; it waits for them instead. Work is done outside the lock. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"
#include "graph/graph.h"
#include "runtime/key.h"
#include "runtime/plan.h"
#include "runtime/queue.h"
#include "runtime/runtime.h"
#include "runtime/profile.h"

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

/* A thread that waits. Woken on the CPU of the one that wakes it, it would stand behind that one's next work: so it is kept off that CPU until
 * it is awake. Under done_lock. */
typedef struct sleeper {
  struct sleeper *next;
  const mx_array *a;
  int tid;
  bool called;    /* a is computed */
  bool moved;
  cpu_set_t cpus; /* its own set */
} sleeper;
static sleeper *sleepers;

static void keep_off(sleeper *s, int cpu) {
  cpu_set_t others;
  if (s->moved || sched_getaffinity(s->tid, sizeof s->cpus, &s->cpus) || !CPU_ISSET(cpu, &s->cpus)) return;
  others = s->cpus;
  CPU_CLR(cpu, &others);
  s->moved = CPU_COUNT(&others) && !sched_setaffinity(s->tid, sizeof others, &others);
}

static void wait_computed(mx_array *a) {
  if (status_of(a) != MX_SCHEDULED) return;
  void *state = mx_wait_begin();
  sleeper me = {.a = a, .tid = (int)syscall(SYS_gettid)};
  atomic_fetch_add(&waiters, 1);
  mx_parallel_waiting(1);
  pthread_mutex_lock(&done_lock);
  me.next = sleepers;
  sleepers = &me;
  while (atomic_load(&a->status) == MX_SCHEDULED) pthread_cond_wait(&done_cond, &done_lock);
  sleeper **at = &sleepers;
  while (*at != &me) at = &(*at)->next;
  *at = me.next;
  if (!me.called) mx_parallel_waiting(-1);
  pthread_mutex_unlock(&done_lock);
  if (me.moved) sched_setaffinity(0, sizeof me.cpus, &me.cpus);
  atomic_fetch_sub(&waiters, 1);
  mx_wait_end(state);
}

static void announce(void) {
  enum { FEW = 4 };
  atomic_thread_fence(memory_order_seq_cst);
  int n = atomic_load(&waiters), cpu = sched_getcpu();
  if (!n) return;
  pthread_mutex_lock(&done_lock);
  for (sleeper *s = sleepers; s; s = s->next) {
    if (s->called || status_of(s->a) == MX_SCHEDULED) continue;
    s->called = true;
    mx_parallel_waiting(-1); /* from now on it needs a CPU */
    if (n <= FEW && cpu >= 0) keep_off(s, cpu);
  }
  pthread_mutex_unlock(&done_lock);
  pthread_cond_broadcast(&done_cond);
}

static int failure_of(const mx_array *a) {
  if (status_of(a) != MX_FAILED) return 0;
  const mx_failure *f = a->event;
  return f ? mx_fail(f->kind, "%s", f->text) : mx_fail_memory();
}

/* ---- pieces ---- */

int mx_more_places(mx_array ***at, int n, int *cap, mx_array **few) {
  if (!*cap) {
    *at = few;
    *cap = 8;
    return 0;
  }
  int c = *cap < 64 ? 64 : 2 * *cap;
  mx_array **p = mx_realloc(*at == few ? NULL : *at, (size_t)c * sizeof *p);
  if (!p) return mx_fail_memory();
  if (*at == few) memcpy(p, few, (size_t)n * sizeof *p);
  *at = p;
  *cap = c;
  return 0;
}

static void planned_free(mx_planned *q) {
  if (q->part.leaf != q->part.few_leaves) mx_free(q->part.leaf);
  mx_plan_release(q->plan);
}

void mx_work_free(mx_work *j) {
  for (mx_planned *q = j->first.next, *next; q; q = next) {
    next = q->next;
    planned_free(q);
    mx_free(q);
  }
  planned_free(&j->first);
  if (j->node != j->few_nodes) mx_free(j->node);
  j->node = NULL;
  j->nnode = 0;
  j->first = (mx_planned){0};
}

/* ---- collecting and planning ---- */

typedef struct frame { mx_array *a; int next; } frame;
static struct { frame *f; int n, cap; } stack; /* reused; under the graph lock */
static mx_key key;                             /* the same */

/* A walk. Every piece has a mark of its own; what has one of first ... mark was seen. */
typedef struct walk {
  mx_work *w;
  mx_planned *piece;
  uint32_t first;
  int start;       /* of the piece, in w->node */
  mx_list *opened; /* calls, to be let go of when the lock is left */
} walk;

static int grow_stack(void) {
  int cap = stack.cap ? 2 * stack.cap : 256;
  frame *f = mx_realloc(stack.f, (size_t)cap * sizeof *f);
  if (!f) return mx_fail_memory();
  stack.f = f;
  stack.cap = cap;
  return 0;
}

static int refuse_placeholder(void) {
  return mx_fail(MX_EVALUE, "[eval] Attempting to eval an array during function transformations like compile or vmap is not allowed. "
                            "The array depends on an argument that has no value while the function is traced.");
}

/* ---- compiled calls: evaluated as one node where all that is held of one is wanted, else opened ---- */

static mx_array *call_of(const mx_array *a) {
  return a->op == OP_pick && status_of(a) == MX_UNSCHEDULED && a->nin && a->in[0]->op == OP_compiled ? a->in[0] : NULL;
}

/* A call that is marked with `mark` has the number of its results among the roots in walk_index. */
static void count_results(int n, mx_array *const *roots) {
  for (int r = 0; r < n; r++) {
    mx_array *call = roots[r] && roots[r]->walk_mark != mark ? call_of(roots[r]) : NULL;
    if (!call) continue;
    if (call->walk_mark != mark) call->walk_index = 0;
    roots[r]->walk_mark = call->walk_mark = mark;
    call->walk_index++;
  }
}

/* The results are who holds a call. */
static bool stays_closed(const walk *k, const mx_array *call) {
  if (call->walk_mark - k->first <= mark - k->first) return true; /* it has been entered */
  if (call->walk_mark != k->first - 1 || (int32_t)call->walk_index != atomic_load(&call->refs) || mx_watched()) return false;
  for (int i = 0; i < call->nin; i++)
    if (status_of(call->in[i]) == MX_UNSCHEDULED) return false;
  return true;
}

/* Lets go of inputs that others hold: who counts holders shall not find the call among them. What would be freed waits with the call. */
static void let_inputs_go(mx_array *call) {
  int kept = 0;
  for (int i = 0; i < call->nin; i++) {
    mx_array *x = call->in[i];
    int32_t n = atomic_load(&x->refs);
    while (n > 1 && !atomic_compare_exchange_weak(&x->refs, &n, n - 1)) {}
    if (n <= 1) call->in[kept++] = x;
  }
  call->nin = (uint16_t)kept;
}

static int open_call(mx_array *call, mx_list *opened) {
  mx_control *c = (mx_control *)call->object;
  int rc = mx_list_push(opened, call);
  if (!rc && !(rc = c->open(c, call))) let_inputs_go(call);
  return rc;
}

int mx_open_call(mx_array *a) {
  mx_list opened = {0};
  pthread_mutex_lock(&graph_lock);
  mx_array *call = call_of(a);
  int rc = call ? open_call(call, &opened) : 0;
  pthread_mutex_unlock(&graph_lock);
  mx_list_clear(&opened);
  return rc;
}

/* Before its inputs are looked at: a call may put others there. */
static inline int enter(const walk *k, mx_array *a) {
  if (a->flags & MX_PLACEHOLDER) return refuse_placeholder();
  mx_array *call = a->op == OP_pick ? call_of(a) : NULL;
  int rc = call && !stays_closed(k, call) ? open_call(call, k->opened) : 0;
  if (!rc) a->walk_mark = mark;
  return rc;
}

static inline bool to_enter(const walk *k, const mx_array *x) { return x->walk_mark - k->first > mark - k->first && status_of(x) == MX_UNSCHEDULED; }

static int end_piece(walk *k) {
  mx_piece *p = &k->piece->part;
  p->node = k->w->node + k->start;
  p->nnode = key.nnode;
  mx_key_end(&key, p->node, k->w->keep);
  k->piece->plan = mx_plan_get(p, &key, k->w->backend);
  return k->piece->plan ? 0 : mx_error_kind();
}

static int next_piece(walk *k) {
  int rc = end_piece(k);
  if (rc) return rc;
  mx_planned *q = mx_calloc(1, sizeof *q);
  if (!q) return mx_fail_memory();
  k->piece->next = q;
  k->piece = q;
  k->start = k->w->nnode;
  mx_key_begin(&key, key.alone, &q->part, ++mark);
  return 0;
}

/* All inputs of a have been left, or are leaves. */
static inline int leave(walk *k, mx_array *a) {
  int rc = key.nnode == MX_PIECE ? next_piece(k) : 0;
  if (!rc) rc = mx_piece_push(&k->w->node, &k->w->nnode, &k->w->node_cap, k->w->few_nodes, a);
  return rc ? rc : mx_key_node(&key, a);
}

/* All unscheduled nodes below a root, each after its inputs. What is on the stack waits for an input. */
static int collect(walk *k, mx_array *root) {
  mx_array *a = root;
  int rc = enter(k, a), next = 0;
  stack.n = 0;
  while (!rc) {
    mx_array *const *in = a->in;
    int nin = a->nin;
    while (next < nin && !to_enter(k, in[next])) next++;
    if (next < nin) {
      if (stack.n == stack.cap && (rc = grow_stack())) break;
      stack.f[stack.n++] = (frame){a, next + 1};
      a = in[next];
      next = 0;
      rc = enter(k, a);
      continue;
    }
    if ((rc = leave(k, a)) || !stack.n) break;
    frame f = stack.f[--stack.n];
    a = f.a;
    next = f.next;
  }
  return rc;
}

/* ---- the order of several roots: those with the shortest way from a leaf first. The way to the gradient of the first layer's weight leads
 * through all layers: were it computed first, all that the other gradients need would be kept meanwhile. ---- */

enum { SEVERAL = 3 };
typedef struct ranked {
  mx_array *root;
  uint32_t length; /* of the longest way from a leaf */
  int at;
} ranked;

static int visit(mx_array *a) {
  int rc = stack.n == stack.cap ? grow_stack() : 0;
  if (rc) return rc;
  a->walk_mark = mark;
  a->walk_index = 0;
  stack.f[stack.n++] = (frame){a, 0};
  return 0;
}

/* walk_index of all unscheduled nodes below a root becomes the length of the longest way to them. */
static int measure(mx_array *root) {
  stack.n = 0;
  int rc = visit(root);
  while (!rc && stack.n) {
    frame *f = &stack.f[stack.n - 1];
    mx_array *a = f->a, *deeper = NULL;
    for (; f->next < a->nin; f->next++) {
      mx_array *x = a->in[f->next];
      if (status_of(x) != MX_UNSCHEDULED) continue;
      if (x->walk_mark != mark) {
        deeper = x; /* and come back to it */
        break;
      }
      if (a->walk_index <= x->walk_index) a->walk_index = x->walk_index + 1;
    }
    if (deeper) rc = visit(deeper);
    else stack.n--;
  }
  return rc;
}

static int by_length(const void *a, const void *b) {
  const ranked *p = a, *q = b;
  return p->length != q->length ? (p->length > q->length) - (p->length < q->length) : (p->at > q->at) - (p->at < q->at);
}

/* to[n] = roots in that order. */
static int rank(int n, mx_array *const *roots, ranked *to) {
  int rc = 0;
  mark++;
  for (int r = 0; r < n && !rc; r++) {
    to[r] = (ranked){roots[r], 0, r};
    if (!roots[r] || status_of(roots[r]) != MX_UNSCHEDULED) continue;
    if (roots[r]->walk_mark != mark) rc = measure(roots[r]);
    to[r].length = roots[r]->walk_index;
  }
  qsort(to, (size_t)n, sizeof *to, by_length);
  return rc;
}

static int plan_all(mx_work *w, int n, mx_array *const *roots, mx_list *opened) {
  if (mark > UINT32_MAX - (1u << 20)) mark = 0; /* no walk comes past the end to 0, which fresh arrays have */
  ranked *ranks = NULL;
  int rc = 0;
  if (n >= SEVERAL) {
    if (!(ranks = mx_malloc((size_t)n * sizeof *ranks))) return mx_fail_memory();
    rc = rank(n, roots, ranks);
  }
  mark++;
  count_results(n, roots);
  walk k = {.w = w, .piece = &w->first, .first = ++mark, .opened = opened};
  mx_key_begin(&key, mx_watched() & MX_WATCH_NAN, &w->first.part, mark);
  for (int r = 0; r < n && !rc; r++) {
    mx_array *root = ranks ? ranks[r].root : roots[r];
    if (root && to_enter(&k, root)) rc = collect(&k, root);
  }
  mx_free(ranks);
  if (!rc && key.nnode) rc = end_piece(&k);
  mx_array **at = w->node; /* the list may have moved */
  for (mx_planned *q = &w->first; q && !rc; at += q->part.nnode, q = q->next) q->part.node = at;
  return rc;
}

/* What the plans will compute becomes SCHEDULED. */
static void claim_all(mx_work *j) {
  for (const mx_planned *q = &j->first; q; q = q->next) {
    const mx_plan *plan = q->plan;
    mx_array **node = q->part.node;
    for (int s = 0; s < plan->nsteps; s++) {
      const mx_step *st = &plan->steps[s];
      int n = st->kind == MX_STEP_GROUP ? st->group->n_out : 1;
      for (int k = 0; k < n; k++)
        atomic_store_explicit(&node[st->kind == MX_STEP_GROUP ? st->group->out[k] : st->node]->status, MX_SCHEDULED, memory_order_relaxed);
    }
  }
}

static void run_work(mx_work *j) {
  for (mx_planned *q = &j->first; q && q->plan; q = q->next) {
    mx_piece *p = &q->part;
    for (int k = 0; k < p->nleaf; k++) wait_computed(p->leaf[k]); /* somebody else computes them */
    mx_run(q->plan, p, j->backend, j->keep);
  }
  announce();
}

/* Collects and claims under the lock. There are no nodes when there is nothing to do. then: called before the lock is left, if there is
 * something; it may hand the work to a thread that ends it. */
static int plan(mx_work *w, int n, mx_array *const *roots, bool keep, bool claim, void (*then)(void *), void *arg) {
  uint32_t watching = mx_watched();
  mx_watch_start start;
  if (watching) mx_watch_begin(&start);
  w->node = NULL;
  w->nnode = w->node_cap = 0;
  w->backend = &mx_cpu_backend;
  w->keep = keep;
  memset(&w->first, 0, offsetof(mx_planned, part.few_leaves));
  w->first.plan = NULL;
  w->first.next = NULL;
  mx_list opened = {0};
  pthread_mutex_lock(&graph_lock);
  int rc = plan_all(w, n, roots, &opened), nodes = w->nnode;
  if (!rc && nodes && claim) claim_all(w);
  if (!rc && nodes && then) then(arg);
  pthread_mutex_unlock(&graph_lock);
  mx_list_clear(&opened);
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
  mx_stream stream = j->w.node[j->w.nnode - 1]->stream;
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
