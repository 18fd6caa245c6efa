/* Batches, on the CPU: groups over small arrays that do not depend on each other, as an optimizer's update of many parameters, are too small to
 * be split among threads, so threads take whole ones.
 *
 * A plan says how many of the steps from one on are groups of which none reads what another makes. Memory is given before any of them runs:
 * an input that another of them reads too is not overwritten. */
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"
#include "runtime/run.h"

enum { MOST = 16, LARGEST = 8192, WORTH = 12288, SHARE = 4096 }; /* the last ones: elements of a group, of a batch, for a thread */

void mx_batch_prepare(mx_plan *plan, int nnode, int *made, int *reader, int all) {
  int start = 0, n = plan->nsteps;
  for (int i = 0; i < nnode; i++) made[i] = -1;
  for (int i = 0; i < all; i++) reader[i] = -1;
  for (int k = 0; k < n; k++) {
    mx_group *g = plan->steps[k].group;
    if (!g) {
      start = k + 1;
      continue;
    }
    plan->steps[k].batch = 1;
    for (int i = 0; i < g->n_in; i++)
      if (!(g->in[i] & MX_LEAF) && made[g->in[i]] >= start) start = k;
    g->shared = 0;
    for (int i = 0; i < g->n_in; i++) {
      int *last = &reader[g->in[i] & MX_LEAF ? (uint32_t)nnode + (g->in[i] & ~MX_LEAF) : g->in[i]];
      if (*last >= start) g->shared |= 1u << i;
      *last = k;
    }
    for (int i = 0; i < g->n_out; i++) made[g->out[i]] = k;
    for (int j = k; j > start && k - j < MOST - 1; j--) plan->steps[j - 1].batch++;
  }
}

/* A product whose other inputs are leaves may be made as soon as the first one's x is there. */
void mx_join_prepare(mx_plan *plan, const mx_piece *p, const mx_backend *b) {
  enum { AWAY = 24 };
  for (int i = 0, n; i < plan->nsteps; i += n) {
    mx_step *s = plan->steps;
    const mx_array *first = s[i].kind == MX_STEP_KERNEL ? p->node[s[i].node] : NULL;
    n = 1;
    if (!first || !b->joins || !b->joins(first->op)) continue;
    for (int j = i + 1; j < plan->nsteps && j < i + AWAY && n < MX_JOINED_CALLS; j++) {
      const mx_array *other = s[j].kind == MX_STEP_KERNEL ? p->node[s[j].node] : NULL;
      bool joins = other && other->op == first->op && other->nin == first->nin && other->in[0] == first->in[0];
      for (int k = 1; joins && k < other->nin; k++) joins = other->in[k]->walk_index & MX_LEAF;
      if (!joins) continue;
      mx_step moved = s[j];
      memmove(&s[i + n + 1], &s[i + n], (size_t)(j - i - n) * sizeof *s);
      s[i + n++] = moved;
    }
    s[i].batch = (uint8_t)n;
  }
}

typedef struct batch {
  const mx_runner *r;
  const mx_step *steps;
  _Atomic int failed;
  char text[512];
  mx_group_io io[MOST];
} batch;

static void run_some(void *ctx, int64_t begin, int64_t end) {
  batch *b = ctx;
  for (int64_t i = begin; i < end; i++) {
    int none = 0, rc = mx_run_bound(b->r, b->steps[i].group, &b->io[i]);
    if (rc && atomic_compare_exchange_strong(&b->failed, &none, rc)) strncpy(b->text, mx_error_message(), sizeof b->text - 1);
  }
}

/* How many steps make a batch that is worth it; *elements of all of them. */
static int count(const mx_runner *r, const mx_step *s, int64_t *elements) {
  int n = 0, most = s->batch < MOST ? s->batch : MOST;
  *elements = 0;
  for (; n < most; n++) {
    int64_t size = r->p->node[s[n].group->domain]->size;
    if (size > LARGEST || mx_group_failure(r, s[n].group)) break;
    *elements += size;
  }
  return n > 1 && *elements >= WORTH && mx_num_threads() > 1 ? n : 0;
}

int mx_batch_run(const mx_runner *r, const mx_plan *plan, int first, int *rc) {
  const mx_step *s = &plan->steps[first];
  int64_t elements;
  if (s->batch < 2 || r->b != &mx_cpu_backend || r->p->node[s->group->domain]->size < WORTH / MOST) return 0;
  int n = count(r, s, &elements);
  batch *b = n ? mx_malloc(sizeof *b) : NULL;
  if (!b) return 0;
  memset(b, 0, offsetof(batch, io));
  b->r = r;
  b->steps = s;
  *rc = 0;
  for (int i = 0; i < n && !*rc; i++) {
    mx_runner one = *r;
    one.now += (uintptr_t)i;
    *rc = mx_bind_group(&one, s[i].group, s[i].group->shared, &b->io[i]);
  }
  if (!*rc) {
    int64_t grain = SHARE * n / elements;
    mx_parallel(n, grain > 1 ? grain : 1, run_some, b);
    int failed = atomic_load(&b->failed);
    if (failed) *rc = mx_fail(failed, "%s", b->text);
  }
  mx_free(b);
  return n;
}
