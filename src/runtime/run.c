/* Running a plan: views, memory, donation, errors. */
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"
#include "runtime/plan.h"
#include "runtime/profile.h"
#include "runtime/run.h"

static _Atomic uint64_t programs_run, kernels_run, donations;

void mx_run_stats(uint64_t *programs, uint64_t *kernels, uint64_t *donated) {
  *programs = programs_run;
  *kernels = kernels_run;
  *donated = donations;
}

void mx_count_run(bool program) { atomic_fetch_add_explicit(program ? &programs_run : &kernels_run, 1, memory_order_relaxed); }

typedef mx_runner runner;

/* ---- results ---- */

static void set_available(mx_array *a) { atomic_store_explicit(&a->status, MX_AVAILABLE, memory_order_release); }

/* NULL: there is no memory, which then is the error. */
static mx_failure *failure_new(int kind, const char *text) {
  size_t n = strlen(text) + 1;
  mx_failure *f = mx_malloc(sizeof *f + n);
  if (!f) return NULL;
  f->kind = kind;
  memcpy(f->text, text, n);
  return f;
}
static int raise_failure(const mx_failure *f) { return f ? mx_fail(f->kind, "%s", f->text) : mx_fail_memory(); }

void mx_set_failed(mx_array *a, int kind, const char *text) {
  a->event = failure_new(kind, text);
  atomic_store_explicit(&a->status, MX_FAILED, memory_order_release);
}

void mx_set_result_failed(mx_result *r, int kind, const char *text) {
  r->event = failure_new(kind, text);
  r->failed = true;
}

static void fail_with(mx_array *a, int kind) { mx_set_failed(a, kind, mx_error_message()); }

int mx_input_failure(const mx_array *x) {
  return atomic_load_explicit(&x->status, memory_order_acquire) == MX_FAILED ? raise_failure(x->event) : 0;
}

/* An evaluated node lets its inputs go; those that nobody else holds are freed here, as soon as they can be. */
static void detach(mx_array *n, bool keep) {
  if (keep && (n->flags & MX_TRACER)) return;
  int nin = n->nin;
  n->nin = 0;
  for (int i = 0; i < nin; i++) {
    mx_array *x = n->in[i];
    n->in[i] = NULL;
    mx_release(x);
  }
  if (n->object) {
    mx_object_release(n->object);
    n->object = NULL;
  }
}

/* ---- memory ---- */

bool mx_may_take(const mx_runner *r, const mx_array *x, int uses) {
  if (r->again) {
    if (!(x->flags & MX_BOUND) || x->last != r->now) return false;
    uses = atomic_load_explicit(&x->refs, memory_order_relaxed);
  }
  return x->buf && !x->buf->dtor && atomic_load_explicit(&x->refs, memory_order_acquire) == uses &&
         atomic_load_explicit(&x->buf->refs, memory_order_acquire) == 1;
}

int mx_give_buffer(mx_array *a) {
  if (a->buf) return 0; /* it has its place */
  if (!(a->buf = mx_buffer_new(mx_nbytes(a)))) return mx_error_kind();
  a->data = a->buf->ptr;
  return 0;
}

void mx_take_buffer(mx_array *a, mx_array *from) {
  a->buf = mx_buffer_retain(from->buf);
  a->data = from->data;
  atomic_fetch_add_explicit(&donations, 1, memory_order_relaxed);
}

static mx_view view_of(const mx_array *a) { return (mx_view){a->data, a->shape, a->strides, a->size, a->ndim, a->dtype}; }

/* ---- views ---- */

static void share(mx_array *n, const mx_array *x) {
  n->data = x->data;
  n->buf = mx_buffer_retain(x->buf);
}

/* A constant of one element lives in its own block: who shares its data needs a buffer of its own. */
static int with_buffer(mx_array *x, mx_array **res) {
  *res = mx_retain(x);
  if (x->buf || !x->data) return 0;
  mx_array *c = mx_array_empty(x->dtype, x->ndim, x->shape);
  if (!c) return mx_error_kind();
  memcpy(c->data, x->data, mx_nbytes(x));
  mx_set(res, c);
  return 0;
}

static int row_contiguous(const mx_backend *b, mx_array *x, mx_array **res) {
  mx_array *c = mx_array_empty(x->dtype, x->ndim, x->shape);
  if (!c) return mx_error_kind();
  mx_view in = view_of(x), out = view_of(c);
  int64_t no_col_major = 0;
  mx_call call = {.op = OP_contiguous, .nin = 1, .nout = 1, .np = 1, .in = &in, .out = &out, .p = &no_col_major};
  int rc = b->kernels[OP_contiguous](&call);
  if (rc) mx_release(c);
  else mx_set(res, c);
  return rc;
}

static int run_pick(mx_array *n) {
  mx_array *t = n->in[0];
  const mx_result *r = &t->outs[n->p[0]];
  if (r->failed) return raise_failure(r->event);
  n->data = r->data;
  n->buf = mx_buffer_retain(r->buf);
  memcpy(n->strides, r->strides, n->ndim * sizeof *n->strides);
  return 0;
}

static int run_alias(mx_array *n) {
  for (int i = 0; i < n->nout; i++) {
    mx_array *x, *given = n->in[n->nin - n->nout + i];
    int rc = with_buffer(given, &x);
    if (rc) return rc;
    n->outs[i].data = x->data;
    n->outs[i].buf = mx_buffer_retain(x->buf);
    memcpy(n->outs[i].strides, x->strides, x->ndim * sizeof *x->strides);
    mx_release(x);
  }
  return 0;
}

static int run_view(mx_array *n, const mx_backend *b) {
  if (n->op == OP_pick) return run_pick(n);
  if (n->outs) return run_alias(n);
  mx_array *x;
  int64_t offset = 0;
  int rc = with_buffer(n->in[0], &x);
  if (!rc && n->size && !mx_ops[n->op].view(x, n, n->strides, &offset)) {
    if (!(rc = row_contiguous(b, x, &x)) && !mx_ops[n->op].view(x, n, n->strides, &offset))
      rc = mx_fail(MX_ERUNTIME, "[%s] A contiguous array has no such view.", mx_ops[n->op].name);
  }
  if (!rc) {
    share(n, x);
    if (n->data) n->data = (char *)n->data + offset;
  }
  mx_release(x);
  return rc;
}

/* ---- kernels ---- */

enum { FEW = 8 };

/* Whether the first result, of this dtype and shape, may have the memory of input k, which nothing else needs. */
static bool may_reuse(const runner *r, const mx_array *n, int k, mx_dtype t, int ndim, const int32_t *shape) {
  if (k < 0 || k >= n->nin || r->keep) return false;
  const mx_array *x = n->in[k];
  if (x->dtype != t || !mx_may_take(r, x, 1) || x->ndim != ndim) return false;
  return (!ndim || !memcmp(x->shape, shape, (size_t)ndim * sizeof *shape)) && mx_is_row_contiguous(x);
}

static int allocate_tuple(const runner *r, mx_array *n, mx_view *out) {
  int k = mx_ops[n->op].inplace;
  bool reuse = n->nout && may_reuse(r, n, k, (mx_dtype)n->outs[0].dtype, n->outs[0].ndim, n->outs[0].shape);
  for (int i = 0; i < n->nout; i++) {
    mx_result *o = &n->outs[i];
    if (!i && reuse) {
      o->buf = mx_buffer_retain(n->in[k]->buf);
      o->data = n->in[k]->data;
      atomic_fetch_add_explicit(&donations, 1, memory_order_relaxed);
    } else {
      if (!(o->buf = mx_buffer_new((size_t)o->size * mx_dtype_sizes[o->dtype]))) return mx_error_kind();
      o->data = o->buf->ptr;
    }
    out[i] = (mx_view){o->data, o->shape, o->strides, o->size, o->ndim, o->dtype};
  }
  return 0;
}

static int allocate_results(const runner *r, mx_array *n, mx_view *out) {
  if (n->outs) return allocate_tuple(r, n, out);
  int k = mx_ops[n->op].inplace, rc = 0;
  if (!n->buf && may_reuse(r, n, k, (mx_dtype)n->dtype, n->ndim, n->shape)) mx_take_buffer(n, n->in[k]);
  else rc = mx_give_buffer(n);
  if (!rc) out[0] = view_of(n);
  return rc;
}

static int run_without_kernel(const runner *r, mx_array *n) {
  mx_control *c = (mx_control *)n->object;
  if (mx_ops[n->op].kind == MX_CONTROL && c) return c->run(c, n, !r->keep && !r->again);
  return mx_fail(MX_ENOTIMPL, "[%s] Not implemented by the %s back end.", mx_ops[n->op].name, r->b->name);
}

static int run_kernel(const runner *r, mx_array *n) {
  mx_kernel kernel = r->b->kernels[n->op];
  if (!kernel) return run_without_kernel(r, n);
  mx_view few[FEW], *v = few;
  int nv = n->nin + n->nout;
  if (nv > FEW && !(v = mx_malloc((size_t)nv * sizeof *v))) return mx_fail_memory();
  for (int i = 0; i < n->nin; i++) v[i] = view_of(n->in[i]);
  int rc = allocate_results(r, n, v + n->nin);
  if (!rc) {
    mx_call call = {.op = (mx_opcode)n->op, .nin = n->nin, .nout = n->nout, .np = n->np, .in = v, .out = v + n->nin, .p = n->p,
                    .object = n->object};
    rc = kernel(&call);
    mx_count_run(false);
  }
  if (v != few) mx_free(v);
  return rc;
}

/* All n steps from s on, or none: 0. */
static int run_joined(const runner *r, const mx_step *s, int *rc) {
  mx_call calls[MX_JOINED_CALLS];
  mx_view views[MX_JOINED_CALLS][FEW];
  int n = s->batch;
  for (int i = 0; i < n; i++) {
    const mx_array *a = r->p->node[s[i].node];
    if (a->nin + a->nout > FEW) return 0;
    for (int k = 0; k < a->nin; k++)
      if (atomic_load_explicit(&a->in[k]->status, memory_order_acquire) == MX_FAILED) return 0;
  }
  *rc = 0;
  for (int i = 0; i < n && !*rc; i++) {
    mx_array *a = r->p->node[s[i].node];
    for (int k = 0; k < a->nin; k++) views[i][k] = view_of(a->in[k]);
    *rc = allocate_results(r, a, views[i] + a->nin);
    calls[i] = (mx_call){.op = (mx_opcode)a->op, .nin = a->nin, .nout = a->nout, .np = a->np, .in = views[i], .out = views[i] + a->nin, .p = a->p};
    mx_count_run(false);
  }
  if (!*rc) *rc = r->b->joined(n, calls);
  return n;
}

static int single_failure(const mx_array *n) {
  for (int i = 0; i < n->nin; i++) {
    int rc = mx_input_failure(n->in[i]);
    if (rc) return rc;
  }
  return 0;
}

static int run_single(const runner *r, const mx_step *s) {
  mx_array *n = r->p->node[s->node];
  int rc = n->op == OP_compiled ? 0 : single_failure(n); /* a call tells its results apart */
  if (rc) return rc;
  return s->kind == MX_STEP_VIEW ? run_view(n, r->b) : run_kernel(r, n);
}

/* ---- groups ---- */

/* An output may take the memory of an input that dies with this group: same item size and full shape, read where it is written. */
static int group_output(const runner *r, mx_array *o, const mx_group *g, uint32_t *taken) {
  if (!r->keep && !o->buf)
    for (int i = 0; i < g->n_in; i++) {
      mx_array *x = mx_resolve(r->p, g->in[i]);
      if ((*taken >> i & 1) || x->size != o->size || mx_dtype_sizes[x->dtype] != mx_dtype_sizes[o->dtype]) continue;
      if (!mx_may_take(r, x, g->in_uses[i]) || !mx_same_shape(x, o) || !mx_is_row_contiguous(x)) continue;
      *taken |= 1u << i;
      mx_take_buffer(o, x);
      return 0;
    }
  return mx_give_buffer(o);
}

static mx_view broadcast_view(const mx_array *x, const mx_array *domain, int64_t *strides) {
  int extra = domain->ndim - x->ndim;
  for (int d = 0; d < domain->ndim; d++)
    strides[d] = d < extra || (x->shape[d - extra] == 1 && domain->shape[d] != 1) ? 0 : x->strides[d - extra];
  return (mx_view){x->data, domain->shape, strides, domain->size, domain->ndim, x->dtype};
}

int mx_group_failure(const mx_runner *r, const mx_group *g) {
  for (int i = 0; i < g->n_in; i++) {
    int rc = mx_input_failure(mx_resolve(r->p, g->in[i]));
    if (rc) return rc;
  }
  return 0;
}

int mx_bind_group(const mx_runner *r, const mx_group *g, uint32_t kept, mx_group_io *io) {
  const mx_array *domain = r->p->node[g->domain];
  for (int i = 0; i < g->n_in; i++) io->in[i] = broadcast_view(mx_resolve(r->p, g->in[i]), domain, io->strides[i]);
  for (int i = 0; i < g->n_out; i++) {
    mx_array *o = r->p->node[g->out[i]];
    int rc = g->program.out[i].reduce ? mx_give_buffer(o) : group_output(r, o, g, &kept);
    if (rc) return rc;
    io->out[i] = view_of(o);
  }
  return 0;
}

int mx_run_bound(const mx_runner *r, const mx_group *g, mx_group_io *io) {
  const mx_array *domain = r->p->node[g->domain];
  mx_count_run(true);
  return r->b->run(&g->program, domain->ndim, domain->shape, io->in, io->out);
}

static int run_program(const runner *r, const mx_group *g) {
  mx_group_io io;
  int rc = mx_group_failure(r, g);
  if (!rc) rc = mx_bind_group(r, g, 0, &io);
  return rc ? rc : mx_run_bound(r, g, &io);
}

/* ---- steps ---- */

static int run_step(const runner *r, const mx_step *s) {
  return s->kind == MX_STEP_GROUP ? run_program(r, s->group) : run_single(r, s);
}

static void finish(mx_array *n, int rc) {
  if (rc) fail_with(n, rc);
  else set_available(n);
}

/* The results of a step let go of what they were made from, first: the inputs of a node that others see computed do not change any more. */
static void finish_step(const mx_step *s, const mx_piece *p, bool keep, int rc) {
  if (s->kind != MX_STEP_GROUP) {
    detach(p->node[s->node], keep);
    finish(p->node[s->node], rc);
    return;
  }
  const mx_group *g = s->group;
  if (g->n_out == 1) {
    detach(p->node[g->out[0]], keep);
    finish(p->node[g->out[0]], rc);
    return;
  }
  /* a result that another one was made from may have lost all other holders since the plan was made */
  for (int i = 0; i < g->n_out; i++) mx_retain(p->node[g->out[i]]);
  for (int i = 0; i < g->n_out; i++) detach(p->node[g->out[i]], keep);
  for (int i = 0; i < g->n_out; i++) finish(p->node[g->out[i]], rc);
  for (int i = 0; i < g->n_out; i++) mx_release(p->node[g->out[i]]);
}

/* The same with somebody looking on. What the check for NaN reads must not be overwritten: nothing is donated. */
static int run_step_watched(const runner *run, const mx_step *s, uint32_t watching) {
  runner r = *run;
  mx_watch_start start;
  mx_watch_begin(&start);
  r.keep |= (watching & MX_WATCH_NAN) != 0;
  int rc = run_step(&r, s);
  if (!rc && (watching & MX_WATCH_TIMES)) mx_watch_step(&start, s, r.p);
  return !rc && (watching & MX_WATCH_NAN) ? mx_watch_values(s, r.p) : rc;
}

/* A band is seen as its last step. */
static int run_steps(const runner *r, const mx_plan *plan, int i, uint32_t watching, int *rc) {
  const mx_step *s = &plan->steps[i];
  if (plan->last_read && !(watching & MX_WATCH_NAN)) {
    mx_watch_start start;
    if (watching) mx_watch_begin(&start);
    int n = mx_band_run(r, plan, i, rc);
    if (n && !*rc && (watching & MX_WATCH_TIMES)) mx_watch_step(&start, s + n - 1, r->p);
    if (n) return n;
  }
  int n = watching || s->batch < 2 ? 0 : s->kind == MX_STEP_GROUP ? mx_batch_run(r, plan, i, rc) : run_joined(r, s, rc);
  if (n) return n;
  *rc = watching ? run_step_watched(r, s, watching) : run_step(r, s);
  return 1;
}

void mx_run(const mx_plan *plan, const mx_piece *p, const mx_backend *b, bool keep) {
  uint32_t watching = mx_watched();
  runner r = {.p = p, .b = b, .keep = keep};
  for (int i = 0; i < plan->nsteps;) {
    int rc;
    for (int end = i + run_steps(&r, plan, i, watching, &rc); i < end; i++) finish_step(&plan->steps[i], p, keep, rc);
  }
}

/* The results of a step of a graph that is run again have the error instead of data. The first of them. */
static const mx_array *fail_step(const mx_step *s, const mx_piece *p, int rc) {
  const mx_group *g = s->group;
  mx_array *a = NULL;
  for (int i = s->kind == MX_STEP_GROUP ? g->n_out : 1; i-- > 0;) {
    a = p->node[s->kind == MX_STEP_GROUP ? g->out[i] : s->node];
    mx_drop_data(a);
    fail_with(a, rc);
  }
  return a;
}

const mx_array *mx_run_again(const mx_plan *plan, const mx_piece *p, const mx_backend *b, uintptr_t first, mx_array *const *dead,
                             const uint32_t *ndead) {
  uint32_t watching = mx_watched();
  runner r = {.p = p, .b = b, .again = true};
  const mx_array *failed = NULL;
  for (int i = 0; i < plan->nsteps;) {
    int rc;
    r.now = first + (uintptr_t)i;
    for (int end = i + run_steps(&r, plan, i, watching, &rc); i < end; i++) {
      const mx_array *one = rc ? fail_step(&plan->steps[i], p, rc) : NULL;
      if (!failed) failed = one;
      for (uint32_t k = 0; k < ndead[i]; k++) mx_drop_data(*dead++);
    }
  }
  return failed;
}

void mx_drop_data(mx_array *a) {
  if (atomic_load_explicit(&a->status, memory_order_relaxed) == MX_FAILED) return; /* it has none */
  mx_buffer *buf = a->buf;
  a->buf = NULL;
  a->data = NULL;
  mx_buffer_release(buf);
  for (int i = 0; a->outs && i < a->nout; i++) {
    mx_buffer_release(a->outs[i].buf);
    a->outs[i].buf = NULL;
    a->outs[i].data = NULL;
  }
}
