/* What ran, gathered from steps, and added up in profiles. */
#include "runtime/profile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"

_Atomic uint32_t mx_watching;
static _Thread_local double inner_seconds; /* of the watched steps that this thread has finished */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* profiles and the count of who looks */
static int times_wanted;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void set_bits(uint32_t bits, bool on) {
  if (on) atomic_fetch_or(&mx_watching, bits);
  else atomic_fetch_and(&mx_watching, ~bits);
}

static void want_times(int more) {
  times_wanted += more;
  set_bits(MX_WATCH_TIMES, times_wanted > 0);
}

void mx_watch_times(int more) {
  pthread_mutex_lock(&lock);
  want_times(more);
  pthread_mutex_unlock(&lock);
}

void mx_watch_after_fork(int more) {
  pthread_mutex_init(&lock, NULL);
  want_times(more);
}

void mx_set_debug_nans(bool nan, bool inf) {
  set_bits(MX_WATCH_INF, nan && inf);
  set_bits(MX_WATCH_NAN, nan);
}

/* ---- rows ---- */

enum { BUCKETS = 256 };

typedef struct row {
  struct row *next;
  uint64_t hash;
  mx_profile_row r;
} row;

struct mx_profile {
  mx_profile *next; /* of the running ones */
  bool running;
  double begin, seconds;
  int n;
  row *bucket[BUCKETS];
  mx_profile_row *sorted; /* the last answer of mx_profile_rows; names belong to the rows */
};

static mx_profile *running;

static uint64_t hash_of(const char *s) {
  uint64_t h = 0xcbf29ce484222325u;
  for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001b3u;
  return h ^ h >> 32;
}

/* Without memory the row is left out. */
static row *find_row(mx_profile *p, const char *name, uint64_t h) {
  row **at = &p->bucket[h % BUCKETS];
  for (row *r = *at; r; r = r->next)
    if (r->hash == h && strcmp(r->r.name, name) == 0) return r;
  row *r = mx_calloc(1, sizeof *r);
  char *copy = r ? mx_strdup(name) : NULL;
  if (!copy) {
    mx_free(r);
    return NULL;
  }
  *r = (row){.next = *at, .hash = h, .r.name = copy};
  p->n++;
  return *at = r;
}

static void tell(const mx_run_event *e) {
  uint64_t h = hash_of(e->name);
  pthread_mutex_lock(&lock);
  for (mx_profile *p = running; p; p = p->next) {
    row *r = find_row(p, e->name, h);
    if (!r) continue;
    r->r.calls++;
    r->r.seconds += e->self;
    r->r.read += e->read;
    r->r.written += e->written;
    r->r.flops = e->flops < 0 || r->r.flops < 0 ? -1 : r->r.flops + e->flops;
  }
  pthread_mutex_unlock(&lock);
  if (atomic_load_explicit(&mx_tracing_file, memory_order_relaxed)) mx_trace_event(e);
}

/* ---- events ---- */

void mx_watch_begin(mx_watch_start *start) { *start = (mx_watch_start){now(), inner_seconds}; }

static void end_event(mx_run_event *e, const mx_watch_start *start) {
  e->begin = start->begin;
  e->end = now();
  e->self = e->end - e->begin - (inner_seconds - start->inner);
  inner_seconds = start->inner + (e->end - e->begin);
}

/* "Add*3+Exp+Sum": the labels in order, repeated ones counted. */
static void name_ops(mx_run_event *e) {
  int at = 0;
  for (int i = 0, n; i < e->nops; i += n) {
    n = 1;
    while (i + n < e->nops && e->op[i + n] == e->op[i]) n++;
    const char *label = mx_ops[e->op[i]].label, *plus = i ? "+" : "";
    int left = MX_EVENT_NAME - at;
    if (left < 48) {
      snprintf(e->name + at, (size_t)left, "+...(%d)", e->nops - i);
      return;
    }
    at += n > 1 ? snprintf(e->name + at, (size_t)left, "%s%s*%d", plus, label, n) : snprintf(e->name + at, (size_t)left, "%s%s", plus, label);
  }
}

static void add_in(mx_run_event *e, const mx_array *x) {
  e->read += mx_nbytes(x);
  if (e->nin < MX_EVENT_IO) e->in[e->nin++] = x;
}

static void add_out(mx_run_event *e, mx_view v) {
  e->written += (uint64_t)v.size * mx_dtype_sizes[v.dtype];
  if (e->nout < MX_EVENT_IO) e->out[e->nout++] = v;
}

static void add_result(mx_run_event *e, const mx_array *a) {
  if (!a->outs) add_out(e, (mx_view){a->data, a->shape, a->strides, a->size, a->ndim, a->dtype});
  for (int i = 0; a->outs && i < a->nout; i++) {
    const mx_result *r = &a->outs[i];
    add_out(e, (mx_view){r->data, r->shape, r->strides, r->size, r->ndim, r->dtype});
  }
}

/* Multiplications and additions; < 0 where the op's parameters do not tell. */
static double flops_of(const mx_array *a) {
  if (mx_is_reduction(a->op)) return (double)a->in[0]->size;
  const mx_array *x = a->nin ? a->in[0] : a;
  switch (a->op) {
    case OP_matmul: return 2.0 * (double)a->size * (x->ndim ? x->shape[x->ndim - 1] : 1);
    case OP_addmm: return 2.0 * (double)a->size * a->in[1]->shape[a->in[1]->ndim - 1];
    case OP_conv: return a->in[1]->shape[0] ? 2.0 * (double)a->size * (double)a->in[1]->size / a->in[1]->shape[0] : 0;
    case OP_conv_grad_input: return a->in[1]->shape[0] ? 2.0 * (double)x->size * (double)a->in[1]->size / a->in[1]->shape[0] : 0;
    case OP_conv_grad_weight: return a->shape[0] ? 2.0 * (double)a->in[1]->size * (double)a->size / a->shape[0] : 0;
    default: return -1;
  }
}

static void of_group(mx_run_event *e, const mx_group *g, const mx_piece *p) {
  const mx_array *domain = p->node[g->domain];
  for (int i = 0; i < g->n_in; i++) add_in(e, g->in[i] & MX_LEAF ? p->leaf[g->in[i] & ~MX_LEAF] : p->node[g->in[i]]);
  for (int i = 0; i < g->program.n_ins; i++) e->op[e->nops++] = g->program.ins[i].op;
  e->flops = (double)domain->size * g->program.n_ins;
  for (int i = 0; i < g->n_out; i++) {
    const mx_array *o = p->node[g->out[i]];
    add_result(e, o);
    if (!g->program.out[i].reduce) continue;
    e->op[e->nops++] = o->op;
    e->flops += (double)domain->size;
  }
  e->category = e->nops > 1 ? "fused" : "kernel";
  e->stream = domain->stream;
}

static void of_single(mx_run_event *e, const mx_step *s, const mx_array *n) {
  e->op[e->nops++] = n->op;
  e->stream = n->stream;
  e->category = s->kind == MX_STEP_VIEW ? "view" : "kernel";
  e->flops = s->kind == MX_STEP_VIEW ? 0 : flops_of(n);
  for (int i = 0; i < n->nin; i++) add_in(e, n->in[i]);
  add_result(e, n);
  if (s->kind == MX_STEP_VIEW) e->read = e->written = 0;
}

void mx_watch_step(const mx_watch_start *start, const mx_step *s, const mx_piece *p) {
  mx_run_event e;
  memset(&e, 0, offsetof(mx_run_event, in));
  e.why = NULL;
  end_event(&e, start);
  if (s->kind == MX_STEP_GROUP) of_group(&e, s->group, p);
  else of_single(&e, s, p->node[s->node]);
  name_ops(&e);
  tell(&e);
}

static void tell_plain(const mx_watch_start *start, const char *category, const char *name, const char *why) {
  mx_run_event e;
  memset(&e, 0, offsetof(mx_run_event, in));
  e.category = category;
  e.why = why;
  snprintf(e.name, sizeof e.name, "%s", name);
  end_event(&e, start);
  tell(&e);
}

void mx_watch_planned(const mx_watch_start *start, int nodes) {
  if (nodes) tell_plain(start, "plan", "(plan)", NULL);
}

void mx_watch_compiled(const mx_watch_start *start, const char *name, const char *why) {
  char text[MX_EVENT_NAME];
  snprintf(text, sizeof text, *name ? "(compile %s)" : "(compile)", name);
  tell_plain(start, "compile", text, why);
}

/* ---- profiles ---- */

mx_profile *mx_profile_new(void) {
  mx_profile *p = mx_calloc(1, sizeof *p);
  if (!p) mx_fail_memory();
  return p;
}

static void forget(mx_profile *p) {
  for (int i = 0; i < BUCKETS; i++)
    for (row *r = p->bucket[i], *next; r; r = next) {
      next = r->next;
      mx_free(r->r.name);
      mx_free(r);
    }
  memset(p->bucket, 0, sizeof p->bucket);
  mx_free(p->sorted);
  p->sorted = NULL;
  p->n = 0;
  p->seconds = 0;
}

static void stop(mx_profile *p) {
  if (!p->running) return;
  p->running = false;
  p->seconds = now() - p->begin;
  mx_profile **at = &running;
  while (*at != p) at = &(*at)->next;
  *at = p->next;
  want_times(-1);
}

void mx_profile_start(mx_profile *p) {
  pthread_mutex_lock(&lock);
  stop(p);
  forget(p);
  p->running = true;
  p->next = running;
  running = p;
  want_times(1);
  p->begin = now();
  pthread_mutex_unlock(&lock);
}

void mx_profile_stop(mx_profile *p) {
  pthread_mutex_lock(&lock);
  stop(p);
  pthread_mutex_unlock(&lock);
}

void mx_profile_free(mx_profile *p) {
  if (!p) return;
  pthread_mutex_lock(&lock);
  stop(p);
  forget(p);
  pthread_mutex_unlock(&lock);
  mx_free(p);
}

double mx_profile_seconds(mx_profile *p) {
  pthread_mutex_lock(&lock);
  double s = p->running ? now() - p->begin : p->seconds;
  pthread_mutex_unlock(&lock);
  return s;
}

static int by_time(const void *a, const void *b) {
  const mx_profile_row *x = a, *y = b;
  return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : strcmp(x->name, y->name);
}

int mx_profile_rows(mx_profile *p, const mx_profile_row **rows, int *n) {
  pthread_mutex_lock(&lock);
  mx_profile_row *all = mx_malloc((size_t)(p->n + 1) * sizeof *all);
  if (all) {
    *n = 0;
    for (int i = 0; i < BUCKETS; i++)
      for (row *r = p->bucket[i]; r; r = r->next) all[(*n)++] = r->r;
    qsort(all, (size_t)*n, sizeof *all, by_time);
    mx_free(p->sorted);
    *rows = p->sorted = all;
  }
  pthread_mutex_unlock(&lock);
  return all ? 0 : mx_fail_memory();
}

/* ---- the table ---- */

static const char *rate(char *text, size_t size, double amount, double seconds) {
  if (amount <= 0 || seconds <= 0) return "-";
  snprintf(text, size, "%.2f", amount / seconds * 1e-9);
  return text;
}

static int write_table(FILE *f, const mx_profile_row *rows, int n, double wall) {
  double total = 0;
  uint64_t calls = 0;
  for (int i = 0; i < n; i++) total += rows[i].seconds, calls += rows[i].calls;
  fprintf(f, "%-44s %9s %11s %7s %11s %8s %8s\n", "op", "calls", "ms", "share", "MB", "GB/s", "GFLOP/s");
  for (int i = 0; i < n; i++) {
    const mx_profile_row *r = &rows[i];
    char gb[32], gf[32];
    double bytes = (double)(r->read + r->written);
    fprintf(f, "%-44s %9llu %11.3f %6.1f%% %11.3f %8s %8s\n", r->name, (unsigned long long)r->calls, 1e3 * r->seconds,
            total > 0 ? 100 * r->seconds / total : 0, 1e-6 * bytes, rate(gb, sizeof gb, bytes, r->seconds),
            rate(gf, sizeof gf, r->flops, r->seconds));
  }
  fprintf(f, "%-44s %9llu %11.3f %6.1f%%   of %.3f ms\n", "total", (unsigned long long)calls, 1e3 * total, 100.0, 1e3 * wall);
  return ferror(f);
}

int mx_profile_table(mx_profile *p, char **text) {
  const mx_profile_row *rows;
  int n, rc = mx_profile_rows(p, &rows, &n);
  if (rc) return rc;
  char *made = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&made, &size);
  bool bad = !f || write_table(f, rows, n, mx_profile_seconds(p));
  if (f && fclose(f)) bad = true;
  *text = bad ? NULL : mx_strdup(made);
  free(made);
  return *text ? 0 : mx_fail_memory();
}
