/* cond: one of two graphs, by a predicate; OP_cond. Both have the same inputs, those of the node after the predicate. */
#include <string.h>

#include "graph/rules/help.h"
#include "runtime/runtime.h"
#include "transforms/body.h"
#include "transforms/control.h"

typedef struct mx_branch {
  mx_control control;
  mx_body *body[2];  /* if false, if true */
  mx_list extra;     /* the last inputs */
} mx_branch;

static void branch_destroy(mx_object *o) {
  mx_branch *b = (mx_branch *)o;
  mx_body_release(b->body[0]);
  mx_body_release(b->body[1]);
  mx_list_clear(&b->extra);
  mx_free(b);
}

static int branch_run(mx_control *c, mx_array *node, bool may_take) {
  mx_branch *b = (mx_branch *)c;
  const mx_array *p = node->in[0];
  mx_body *body = b->body[p->data && *(const bool *)p->data];
  mx_routine *r = mx_body_begin(body, "cond");
  if (!r) return mx_error_kind();
  int rc = 0;
  for (int i = 0; i < body->nin && !rc; i++) rc = mx_body_give(body, r, i, node->in[1 + i], may_take, "cond");
  if (!rc) rc = mx_routine_run(r);
  for (int i = 0; i < body->nout && !rc; i++) rc = mx_body_result(r, i, &node->outs[i]);
  mx_body_end(body, r);
  return rc;
}

static mx_array *branch_over(mx_scope *s, mx_body *const *body, int nin, mx_array *const *in);

static mx_array *branch_again(mx_control *c, mx_scope *s, const mx_array *node, mx_array *const *in) {
  mx_stream outer = s->stream;
  s->stream = node->stream;
  mx_array *t = branch_over(s, ((mx_branch *)c)->body, node->nin, in);
  s->stream = outer;
  return t;
}

/* What a graph of one branch is made of, while both are made. */
typedef struct made {
  mx_list src, out[2]; /* stand-ins that both have, and results */
} made;

static void made_clear(made *m) {
  mx_list_clear(&m->src);
  mx_list_clear(&m->out[0]);
  mx_list_clear(&m->out[1]);
}

static int check_results(int nt, mx_array *const *t, int nf, mx_array *const *f) {
  if (nt != nf) return mx_fail(MX_EVALUE, "[cond] The functions gave %d and %d arrays: they must give alike.", nt, nf);
  if (!nt) return mx_fail(MX_EVALUE, "[cond] The functions gave no arrays.");
  for (int i = 0; i < nt; i++)
    if (t[i]->dtype != f[i]->dtype || !mx_same_shape(t[i], f[i]))
      return mx_fail(MX_EVALUE, "[cond] Both functions must give the same shapes and dtypes: their array %d has shape %s and dtype %s if true, shape %s and "
                                "dtype %s if false.", i, mx_shape_of(t[i]), mx_dtype_name((mx_dtype)t[i]->dtype), mx_shape_of(f[i]),
                     mx_dtype_name((mx_dtype)f[i]->dtype));
  return 0;
}

/* The two graphs as bodies. What the first reads besides the stand-ins, the second gets too, and in reverse. */
static mx_branch *branch_new(const made *m) {
  mx_branch *b = mx_calloc(1, sizeof *b);
  if (!b) {
    mx_fail_memory();
    return NULL;
  }
  b->control = (mx_control){{1, branch_destroy}, branch_run, branch_again, NULL};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int n = m->src.n, rc = 0;
  mx_body *own[2] = {NULL, NULL};
  int count[2] = {0, 0};
  for (int k = 0; k < 2 && !rc; k++) {
    rc = mx_body_new(&own[k], n, m->src.at, m->out[k].n, m->out[k].at, &b->extra);
    if (!rc) count[k] = own[k]->nin - n;
  }
  if (!rc && !b->extra.n) {
    b->body[0] = mx_body_retain(own[0]);
    b->body[1] = mx_body_retain(own[1]);
  }
  mx_array **all = mx_slots_new(2 * (n + b->extra.n)), **in = all ? all + n + b->extra.n : NULL;
  if (!all) rc = MX_EMEMORY;
  for (int i = 0; i < n + b->extra.n && !rc; i++)
    if (!(all[i] = mx_body_stand_in(&s, i < n ? m->src.at[i] : b->extra.at[i - n]))) rc = s.rc;
  for (int k = 0; k < 2 && !rc && !b->body[k]; k++) {
    mx_list out = {0}, none = {0};
    if (n) memcpy(in, all, (size_t)n * sizeof *in);
    for (int i = 0; i < count[k]; i++) in[n + i] = all[n + i + (k ? count[0] : 0)];
    rc = mx_body_build(own[k], in, &out);
    if (!rc) rc = mx_body_new(&b->body[k], n + b->extra.n, all, out.n, out.at, &none);
    if (!rc && none.n) rc = mx_fail(MX_ERUNTIME, "[cond] A branch reads more when it is built again.");
    mx_list_clear(&out);
    mx_list_clear(&none);
  }
  mx_free(all);
  mx_body_release(own[0]);
  mx_body_release(own[1]);
  int end = mx_scope_end(&s);
  if (!rc && !end) {
    for (int k = 0; k < 2; k++) b->body[k]->fresh = b->body[k]->nin;
    return b;
  }
  mx_object_release(&b->control.base);
  return NULL;
}

/* The tuple; in: predicate, and what stands for the stand-ins. Takes the branch, NULL when that failed. */
static mx_array *branch_node(mx_scope *s, mx_branch *b, mx_array *const *in) {
  if (!b) return mx_scope_error(s, mx_error_kind());
  int nin = 1 + b->body[0]->nin, n = nin - b->extra.n;
  mx_array **all = mx_slots_new(nin), *t = NULL;
  if (all) {
    memcpy(all, in, (size_t)n * sizeof *all);
    for (int i = n; i < nin; i++) all[i] = b->extra.at[i - n];
    t = mx_control_node(s, OP_cond, nin, all, b->body[0]->nout, b->body[0]->like + b->body[0]->nin, 0, -1, &b->control);
  } else mx_scope_error(s, MX_EMEMORY);
  mx_free(all);
  mx_object_release(&b->control.base);
  return t;
}

/* Over all inputs of the node, of the shapes of the bodies or, where these serve all, of others. */
static mx_array *branch_over(mx_scope *s, mx_body *const *body, int nin, mx_array *const *in) {
  mx_branch *b = mx_calloc(1, sizeof *b);
  if (!b) return mx_scope_error(s, mx_fail_memory());
  b->control = (mx_control){{1, branch_destroy}, branch_run, branch_again, NULL};
  int rc = 0;
  for (int k = 0; k < 2 && !rc; k++)
    if (!(b->body[k] = mx_body_refit(body[k], in + 1, "cond"))) rc = mx_error_kind();
  if (!rc) rc = check_results(b->body[1]->nout, b->body[1]->like + nin - 1, b->body[0]->nout, b->body[0]->like + nin - 1);
  for (int k = 0; k < 2 && !rc; k++) /* written once: other threads may read it */
    if (b->body[k]->fresh != b->body[k]->nin) b->body[k]->fresh = b->body[k]->nin;
  mx_array *t = rc ? mx_scope_error(s, rc)
                   : mx_control_node(s, OP_cond, nin, in, b->body[0]->nout, b->body[0]->like + nin - 1, 0, -1, &b->control);
  mx_object_release(&b->control.base);
  return t;
}

/* ---- as data ---- */

void mx_cond_take_apart(const mx_array *node, mx_control_parts *parts) {
  for (int k = 0; k < 2; k++) parts->body[k] = ((mx_branch *)node->object)->body[k];
}

mx_array *mx_cond_put_together(mx_scope *s, const mx_control_parts *p, int nin, mx_array *const *in) {
  if (nin < 1 || p->body[0]->nin != nin - 1 || p->body[1]->nin != nin - 1)
    return mx_scope_fail(s, MX_EVALUE, "[cond] %d inputs and functions of %d and %d: these do not go together.", nin, p->body[0]->nin, p->body[1]->nin);
  if (in[0]->dtype != MX_BOOL || in[0]->ndim)
    return mx_scope_fail(s, MX_EVALUE, "[cond] The predicate has shape %s, expected one boolean.", mx_shape_of(in[0]));
  return branch_over(s, p->body, nin, in);
}

/* ---- rules ---- */

/* Stand-ins for the inputs, on src. */
static int stand_ins(mx_scope *s, const mx_branch *b, made *m) {
  int rc = 0;
  for (int i = 0; i < b->body[0]->nin && !rc; i++) {
    mx_array *x = mx_body_stand_in(s, mx_body_in(b->body[0], i));
    rc = x ? mx_list_push(&m->src, x) : s->rc;
  }
  return rc;
}

/* Stand-ins for what goes with some inputs or results; at[i] NULL: none. */
static int more_stand_ins(mx_scope *s, made *m, int n, mx_array *const *given, mx_array *const *like, mx_array **at, mx_list *in) {
  int rc = 0;
  for (int i = 0; i < n && !rc; i++) {
    if (!given[i] || !mx_has_slope(like[i])) continue;
    if (!(at[i] = mx_body_stand_in(s, like[i]))) rc = s->rc;
    if (!rc) rc = mx_list_push(&m->src, at[i]);
    if (!rc) rc = mx_list_push(in, given[i]);
  }
  return rc;
}

/* The chosen branch is run again, and back. */
int vjp_cond(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  const mx_branch *b = (const mx_branch *)node->object;
  int n = b->body[0]->nin, nout = b->body[0]->nout, rc = 0, nsrc = 0;
  made m = {0};
  mx_list in = {0};
  mx_scope j;
  mx_scope_begin(&j, s->stream);
  mx_array **c = mx_slots_new(nout + 2 * n), **active = mx_slots_from(c, nout), **grad = mx_slots_from(active, n);
  if (!c) rc = MX_EMEMORY;
  for (int i = 0; i < node->nin && !rc; i++) rc = mx_list_push(&in, node->in[i]);
  if (!rc) rc = stand_ins(&j, b, &m);
  if (!rc) rc = more_stand_ins(&j, &m, nout, cot, out, c, &in);
  for (int i = 0; i < n && !rc; i++)
    if (want[1 + i] && mx_has_slope(node->in[1 + i])) active[nsrc++] = m.src.at[i];
  for (int k = 0; k < 2 && !rc; k++) {
    mx_list outs = {0};
    rc = mx_body_build(b->body[k], m.src.at, &outs);
    if (!rc) rc = mx_pull_back(&j, nsrc, active, nout, outs.at, MX_PLACEHOLDER, c, grad);
    for (int i = 0; i < nsrc && !rc; i++) {
      mx_array *g = grad[i] ? grad[i] : mx_zeros_like(&j, active[i]);
      rc = g ? mx_list_push(&m.out[k], g) : j.rc;
    }
    mx_list_clear(&outs);
  }
  mx_array *t = rc || !nsrc ? NULL : branch_node(s, branch_new(&m), in.at);
  for (int i = 0, at = 0; i < n && t; i++)
    if (want[1 + i] && mx_has_slope(node->in[1 + i])) res[1 + i] = mx_pick(s, t, at++);
  made_clear(&m);
  mx_list_clear(&in);
  mx_free(c);
  int end = mx_scope_end(&j);
  return rc ? rc : end ? end : s->rc;
}

int jvp_cond(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  const mx_branch *b = (const mx_branch *)node->object;
  int n = b->body[0]->nin, nout = b->body[0]->nout, rc = 0, nsrc = 0;
  made m = {0};
  mx_list in = {0};
  mx_scope j;
  mx_scope_begin(&j, s->stream);
  mx_array **dot = mx_slots_new(2 * n + nout), **active = mx_slots_from(dot, n), **slope = mx_slots_from(active, n);
  if (!dot) rc = MX_EMEMORY;
  for (int i = 0; i < node->nin && !rc; i++) rc = mx_list_push(&in, node->in[i]);
  if (!rc) rc = stand_ins(&j, b, &m);
  if (!rc) rc = more_stand_ins(&j, &m, n, tan + 1, node->in + 1, dot, &in);
  for (int i = 0; i < n && !rc; i++)
    if (dot[i]) active[nsrc] = m.src.at[i], dot[nsrc++] = dot[i];
  for (int k = 0; k < 2 && !rc && nsrc; k++) {
    mx_list outs = {0};
    rc = mx_body_build(b->body[k], m.src.at, &outs);
    if (!rc) rc = mx_push_forward(&j, nsrc, active, dot, nout, outs.at, slope);
    for (int i = 0; i < nout && !rc; i++) {
      if (!mx_has_slope(out[i])) continue;
      mx_array *d = slope[i] ? slope[i] : mx_zeros_like(&j, outs.at[i]);
      rc = d ? mx_list_push(&m.out[k], d) : j.rc;
    }
    mx_list_clear(&outs);
  }
  mx_array *t = rc || !m.out[0].n ? NULL : branch_node(s, branch_new(&m), in.at);
  for (int i = 0, at = 0; i < nout && t; i++)
    if (mx_has_slope(out[i])) res[i] = mx_pick(s, t, at++);
  made_clear(&m);
  mx_list_clear(&in);
  mx_free(dot);
  int end = mx_scope_end(&j);
  return rc ? rc : end ? end : s->rc;
}

/* A predicate for each element: both branches are computed, and each element takes from one. */
static int choose_each(mx_scope *s, const mx_branch *b, mx_array *predicate, mx_array *const *in, const bool *mapped, mx_array **res, int *res_ax) {
  int nout = b->body[0]->nout, rc = 0;
  mx_list out[2] = {{0}, {0}};
  bool *all = mx_malloc((size_t)nout + 1), any = false;
  if (!all) return mx_fail_memory();
  for (int i = 0; i < b->body[0]->nin; i++) any |= mapped[i];
  for (int i = 0; i < nout; i++) all[i] = any;
  for (int k = 0; k < 2 && !rc; k++) rc = mx_body_batch(s, b->body[k], in, mapped, all, &out[k]);
  for (int i = 0; i < nout && !rc; i++) {
    int shape[MX_MAX_NDIM], ndim = out[0].at[i]->ndim + !any;
    for (int d = 0; d < ndim && d < MX_MAX_NDIM; d++) shape[d] = d ? 1 : predicate->shape[0];
    res[i] = ndim > MX_MAX_NDIM ? mx_scope_fail(s, MX_EVALUE, "[vmap] Too many dimensions.")
                                : mx_where(s, mx_reshape(s, predicate, shape, (size_t)ndim), out[1].at[i], out[0].at[i]);
    res_ax[i] = 0;
    rc = s->rc;
  }
  mx_list_clear(&out[0]);
  mx_list_clear(&out[1]);
  mx_free(all);
  return rc;
}

int vmap_cond(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  const mx_branch *b = (const mx_branch *)node->object;
  int n = b->body[0]->nin, nout = b->body[0]->nout, rc = 0, size = mx_batch_size(node, in, ax);
  made m = {0};
  mx_scope j;
  mx_scope_begin(&j, s->stream);
  mx_array **full = mx_slots_new(2 * n + 2 + nout), *t = NULL;
  bool *mapped = (bool *)mx_slots_from(full, n + 1), *out = mapped ? mapped + n : NULL;
  if (!full) rc = MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++) {
    mapped[i] = ax[1 + i] >= 0;
    full[1 + i] = mx_front(s, in[1 + i], ax[1 + i]);
    rc = s->rc;
  }
  if (!rc && ax[0] >= 0) rc = choose_each(s, b, in[0], full + 1, mapped, res, res_ax);
  else if (!rc) {
    full[0] = in[0];
    for (int i = 0; i < nout; i++) out[i] = true;
    for (int i = 0; i < n && !rc; i++) {
      const mx_array *like = mx_body_in(b->body[0], i);
      mx_array *x = mapped[i] ? mx_body_batched(&j, like, size) : mx_body_stand_in(&j, like);
      rc = x ? mx_list_push(&m.src, x) : j.rc;
    }
    for (int k = 0; k < 2 && !rc; k++) rc = mx_body_batch(&j, b->body[k], m.src.at, mapped, out, &m.out[k]);
    t = rc ? NULL : branch_node(s, branch_new(&m), full);
    for (int i = 0; i < nout && t; i++) res[i] = mx_pick(s, t, i), res_ax[i] = 0;
  }
  made_clear(&m);
  mx_free(full);
  int end = mx_scope_end(&j);
  return rc ? rc : end ? end : s->rc;
}

/* ---- the function ---- */

/* A branch is traced a level deeper than what it captures, so that what it builds is computed only when it is taken, also where that
 * depends on no operand. */
static int trace_branch(mx_closure *f, int n, mx_array *const *x, mx_list *out) {
  uint8_t around = mx_level;
  if (mx_level < 15) mx_level++;
  atomic_fetch_add(&mx_levels_open, 1);
  int rc = mx_closure_call(f, n, x, out);
  atomic_fetch_sub(&mx_levels_open, 1);
  mx_level = around;
  return rc;
}

static bool built_inside(const mx_array *a) {
  int level = mx_level < 15 ? mx_level + 1 : 15;
  return a->nin && a->flags / MX_LEVEL >= level && atomic_load_explicit(&a->status, memory_order_acquire) == MX_UNSCHEDULED;
}

/* Pushes what a branch captured on src. What it built is marked as part of a trace. */
static int find_captured(const mx_list *out, mx_list *src) {
  mx_index seen = {0};
  mx_list todo = {0};
  int rc = 0, operands = src->n;
  for (int i = 0; i < operands && !rc; i++) rc = mx_index_put(&seen, src->at[i], 0);
  for (int i = 0; i < out->n && !rc; i++) rc = mx_list_push(&todo, out->at[i]);
  mx_graph_hold();
  for (int at = 0; at < todo.n && !rc; at++) {
    mx_array *a = todo.at[at];
    if (mx_index_find(&seen, a)) continue;
    rc = mx_index_put(&seen, a, 0);
    if (!rc && !built_inside(a)) rc = mx_list_push(src, a);
    else a->flags |= MX_PLACEHOLDER;
    for (int i = 0; !rc && built_inside(a) && i < a->nin; i++) rc = mx_list_push(&todo, a->in[i]);
  }
  mx_graph_let_go();
  mx_index_clear(&seen);
  mx_list_clear(&todo);
  return rc;
}

static int trace_both(mx_scope *s, mx_closure *const *f, int n, mx_array *const *operands, made *m) {
  int rc = 0;
  for (int i = 0; i < n && !rc; i++) {
    mx_array *x = mx_body_stand_in(s, operands[i]);
    rc = x ? mx_list_push(&m->src, x) : s->rc;
  }
  for (int k = 1; k >= 0 && !rc; k--) rc = trace_branch(f[k], n, m->src.at, &m->out[k]);
  if (!rc) rc = check_results(m->out[1].n, m->out[1].at, m->out[0].n, m->out[0].at);
  for (int k = 1; k >= 0 && !rc; k--) rc = find_captured(&m->out[k], &m->src);
  return rc;
}

int mx_cond(mx_array *predicate, mx_closure *if_true, mx_closure *if_false, int n, mx_array *const *operands, mx_list *res) {
  if (predicate->size != 1) return mx_fail(MX_EVALUE, "[cond] The predicate has shape %s, expected one boolean.", mx_shape_of(predicate));
  mx_closure *f[2] = {if_false, if_true};
  made m = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = trace_both(&s, f, n, operands, &m);
  mx_array **in = mx_slots_new(m.src.n + 1);
  if (!rc && !in) rc = MX_EMEMORY;
  if (!rc) {
    mx_array *p = predicate->ndim ? mx_reshape(&s, predicate, NULL, 0) : predicate;
    in[0] = p && p->dtype != MX_BOOL ? mx_not_equal(&s, p, mx_const_like(&s, p, 0)) : p;
    for (int i = 0; i < m.src.n; i++) in[1 + i] = i < n ? operands[i] : m.src.at[i];
    mx_array *t = branch_node(&s, branch_new(&m), in);
    for (int i = 0; i < m.out[0].n && t && !rc; i++) {
      mx_array *y = mx_pick(&s, t, i);
      rc = y ? mx_list_push(res, y) : s.rc;
    }
  }
  made_clear(&m);
  mx_free(in);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}
