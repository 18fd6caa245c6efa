/* while_loop: OP_while_loop. Its inputs are whether to begin, the carry, constants. The body gives the next carry and whether to go on. */
#include <string.h>

#include "graph/rules/help.h"
#include "transforms/body.h"
#include "transforms/control.h"

typedef struct mx_while {
  mx_control control;
  mx_body *body;   /* (carry, constants) -> (carry, go on) */
  int ncarry;
  mx_list extra;   /* the last constants */
} mx_while;

static void while_destroy(mx_object *o) {
  mx_while *w = (mx_while *)o;
  mx_body_release(w->body);
  mx_list_clear(&w->extra);
  mx_free(w);
}

static int while_run(mx_control *c, mx_array *node, bool may_take);

static mx_array *while_again(mx_control *c, mx_scope *s, const mx_array *node, mx_array *const *in);

/* Takes the body and the arrays of extra. */
static mx_while *while_new(mx_body *body, int ncarry, mx_list *extra) {
  mx_while *w = mx_calloc(1, sizeof *w);
  if (!w) {
    mx_body_release(body);
    mx_list_clear(extra);
    mx_fail_memory();
    return NULL;
  }
  *w = (mx_while){.control = {{1, while_destroy}, while_run, while_again}, .body = body, .ncarry = ncarry, .extra = *extra};
  *extra = (mx_list){0};
  if (body->fresh != ncarry) body->fresh = ncarry; /* once: other threads may read it */
  return w;
}

static int check_step(const mx_body *b, int ncarry) {
  if (b->nout != ncarry + 1 || ncarry > b->nin) return mx_fail(MX_EVALUE, "[while_loop] The body gives %d arrays, the carry has %d.", b->nout, ncarry);
  int rc = 0;
  for (int i = 0; i < ncarry && !rc; i++) rc = mx_check_same("while_loop", "Carry", i, mx_body_out(b, i), mx_body_in(b, i));
  const mx_array *on = mx_body_out(b, ncarry);
  if (!rc && (on->dtype != MX_BOOL || on->ndim))
    rc = mx_fail(MX_EVALUE, "[while_loop] The condition gave shape %s and dtype %s, expected one boolean.", mx_shape_of(on), mx_dtype_name((mx_dtype)on->dtype));
  return rc;
}

/* Over all inputs of the node, of the shapes of the body or, where it serves all, of others. */
static mx_array *while_over(mx_scope *s, mx_body *given, int ncarry, int nin, mx_array *const *in) {
  mx_list none = {0};
  mx_body *body = mx_body_refit(given, in + 1, "while_loop");
  if (!body) return mx_scope_error(s, mx_error_kind());
  int rc = check_step(body, ncarry);
  if (rc) {
    mx_body_release(body);
    return mx_scope_error(s, rc);
  }
  mx_array **like = body->like + body->nin, *t = NULL;
  mx_while *w = while_new(body, ncarry, &none);
  if (!w) return mx_scope_error(s, MX_EMEMORY);
  t = mx_control_node(s, OP_while_loop, nin, in, ncarry, like, 0, -1, &w->control);
  mx_object_release(&w->control.base);
  return t;
}

static mx_array *while_again(mx_control *c, mx_scope *s, const mx_array *node, mx_array *const *in) {
  mx_while *w = (mx_while *)c;
  mx_stream outer = s->stream;
  s->stream = node->stream;
  mx_array *t = while_over(s, w->body, w->ncarry, node->nin, in);
  s->stream = outer;
  return t;
}

/* ---- as data ---- */

void mx_while_take_apart(const mx_array *node, mx_control_parts *parts) { parts->body[0] = ((mx_while *)node->object)->body; }

mx_array *mx_while_put_together(mx_scope *s, const mx_control_parts *p, int nin, mx_array *const *in) {
  mx_body *b = p->body[0];
  if (nin < 2 || b->nin != nin - 1 || b->nout < 2)
    return mx_scope_fail(s, MX_EVALUE, "[while_loop] %d inputs and a body of %d that gives %d: these do not go together.", nin, b->nin, b->nout);
  if (in[0]->dtype != MX_BOOL || in[0]->ndim)
    return mx_scope_fail(s, MX_EVALUE, "[while_loop] Whether to begin has shape %s, expected one boolean.", mx_shape_of(in[0]));
  return while_over(s, b, b->nout - 1, nin, in);
}

/* The tuple; in: whether to begin, carry, constants but for the extra ones. */
static mx_array *while_node(mx_scope *s, mx_while *w, mx_array *const *in) {
  int nin = 1 + w->body->nin, n = nin - w->extra.n;
  mx_array **all = mx_slots_new(nin);
  if (!all) return mx_scope_error(s, MX_EMEMORY);
  memcpy(all, in, (size_t)n * sizeof *all);
  for (int i = n; i < nin; i++) all[i] = w->extra.at[i - n];
  mx_array *t = mx_control_node(s, OP_while_loop, nin, all, w->ncarry, w->body->like + w->body->nin, 0, -1, &w->control);
  mx_free(all);
  return t;
}

static bool is_true(const mx_array *a) { return a->data && *(const bool *)a->data; }

static int while_run(mx_control *c, mx_array *node, bool may_take) {
  mx_while *w = (mx_while *)c;
  mx_routine *r = mx_body_begin(w->body, "while_loop");
  if (!r) return mx_error_kind();
  int rc = 0, k = w->ncarry;
  for (int i = 0; i < w->body->nin && !rc; i++) rc = mx_body_give(w->body, r, i, node->in[1 + i], may_take && i < k, "while_loop");
  for (bool more = is_true(node->in[0]); more && !rc;) {
    if (!(rc = mx_routine_run(r))) {
      more = is_true(mx_routine_result(r, k));
      mx_routine_feed(r, k);
    }
  }
  for (int i = 0; i < k && !rc; i++) rc = mx_body_carry(r, i, &node->outs[i]);
  mx_body_end(w->body, r);
  return rc;
}

/* ---- rules ---- */

int vjp_while_loop(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)s, (void)node, (void)out, (void)cot, (void)want, (void)res;
  return mx_fail(MX_EVALUE, "[while_loop] There is no gradient: how often the body runs is not known when the graph is built, so its steps cannot be kept. "
                            "Use scan with a length, or jvp.");
}

/* carry, its tangents, constants, their tangents. */
int jvp_while_loop(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  mx_while *w = (mx_while *)node->object, *both = NULL;
  int n = w->body->nin, nout = w->body->nout, k = w->ncarry, rc = 0, nsrc = 0, ncarry = 0;
  mx_list src = {0}, in = {0}, outs = {0}, all = {0}, extra = {0};
  mx_scope j;
  mx_scope_begin(&j, s->stream);
  mx_array **arg = mx_slots_new(3 * n + nout), **active = mx_slots_from(arg, n), **dot = mx_slots_from(active, n), **slope = mx_slots_from(dot, n);
  if (!arg) rc = MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++)
    if (!(arg[i] = mx_body_stand_in(&j, mx_body_in(w->body, i)))) rc = j.rc;
  if (!rc) rc = mx_body_build(w->body, arg, &outs);
  if (!rc) rc = mx_list_push(&in, node->in[0]);
  for (int part = 0; part < 2 && !rc; part++) {
    for (int i = part ? k : 0; i < (part ? n : k) && !rc; i++) {
      rc = mx_list_push(&src, arg[i]);
      if (!rc) rc = mx_list_push(&in, node->in[1 + i]);
    }
    for (int i = part ? k : 0; i < (part ? n : k) && !rc; i++) {
      mx_array *t = tan[1 + i];
      if (!mx_has_slope(arg[i]) || (part && !t)) continue;
      active[nsrc] = arg[i];
      if (!(dot[nsrc] = mx_body_stand_in(&j, arg[i]))) rc = j.rc;
      if (!rc) rc = mx_list_push(&src, dot[nsrc++]);
      if (!rc && !t && !(t = mx_zeros_like(s, node->in[1 + i]))) rc = s->rc;
      if (!rc) rc = mx_list_push(&in, t);
    }
    if (!part) ncarry = src.n;
  }
  if (!rc) rc = mx_push_forward(&j, nsrc, active, dot, nout, outs.at, slope);
  for (int i = 0; i < k && !rc; i++) rc = mx_list_push(&all, outs.at[i]);
  for (int i = 0; i < k && !rc; i++)
    if (mx_has_slope(outs.at[i])) {
      mx_array *d = slope[i] ? slope[i] : mx_zeros_like(&j, outs.at[i]);
      rc = d ? mx_list_push(&all, d) : j.rc;
    }
  if (!rc) rc = mx_list_push(&all, outs.at[k]);
  mx_body *body = NULL;
  if (!rc) rc = mx_body_new(&body, src.n, src.at, all.n, all.at, &extra);
  if (!rc && !(both = while_new(body, ncarry, &extra))) rc = MX_EMEMORY;
  mx_array *t = rc ? NULL : while_node(s, both, in.at);
  for (int i = 0, at = k; i < k && t; i++)
    if (mx_has_slope(out[i])) res[i] = mx_pick(s, t, at++);
  if (both) mx_object_release(&both->control.base);
  mx_list_clear(&src);
  mx_list_clear(&in);
  mx_list_clear(&outs);
  mx_list_clear(&all);
  mx_list_clear(&extra);
  mx_free(arg);
  int end = mx_scope_end(&j);
  return rc ? rc : end ? end : s->rc;
}

/* Elements that are done keep their carry until all are: then each has its own "go on", a further part of the carry. */
typedef struct wide {
  mx_scope j;
  const mx_while *w;
  int32_t size;
  bool each;            /* every element has its own condition */
  bool *mapped, *out;   /* [nin], [nout] */
  mx_array **arg;       /* [nin + 1] the last: who goes on */
  mx_list src, res, extra;
} wide;

static int spread(wide *x, bool begin_mapped) {
  const mx_while *w = x->w;
  for (bool more = true; more;) {
    int rc = mx_body_spread(w->body, x->mapped, x->out);
    if (rc) return rc;
    more = false;
    x->each = begin_mapped || x->out[w->ncarry];
    for (int i = 0; i < w->ncarry; i++) {
      bool should = x->out[i] || x->each;
      more |= should && !x->mapped[i];
      x->mapped[i] |= should;
    }
  }
  for (int i = 0; i < w->ncarry; i++) x->out[i] = x->mapped[i];
  x->out[w->ncarry] = x->each;
  return 0;
}

/* where(going, a, b), one condition an element of the first axis. */
static mx_array *choose(mx_scope *s, mx_array *going, mx_array *a, mx_array *b) {
  int shape[MX_MAX_NDIM];
  for (int d = 0; d < a->ndim; d++) shape[d] = d ? 1 : a->shape[0];
  return mx_where(s, mx_reshape(s, going, shape, (size_t)a->ndim), a, b);
}

static int wide_step(wide *x) {
  const mx_while *w = x->w;
  int n = w->body->nin, k = w->ncarry, rc = 0;
  mx_list out = {0};
  for (int i = 0; i < n && !rc; i++) {
    const mx_array *like = mx_body_in(w->body, i);
    x->arg[i] = x->mapped[i] ? mx_body_batched(&x->j, like, x->size) : mx_body_stand_in(&x->j, like);
    rc = x->j.rc;
  }
  if (!rc && !(x->arg[n] = mx_placeholder(&x->j, MX_BOOL, 1, &x->size))) rc = x->j.rc;
  if (!rc) rc = mx_body_batch(&x->j, w->body, x->arg, x->mapped, x->out, &out);
  for (int i = 0; i < k && !rc; i++) rc = mx_list_push(&x->src, x->arg[i]);
  if (!rc && x->each) rc = mx_list_push(&x->src, x->arg[n]);
  for (int i = k; i < n && !rc; i++) rc = mx_list_push(&x->src, x->arg[i]);
  mx_array *going = x->arg[n];
  for (int i = 0; i < k && !rc; i++) {
    mx_array *y = x->each ? choose(&x->j, going, out.at[i], x->arg[i]) : out.at[i];
    rc = y ? mx_list_push(&x->res, y) : x->j.rc;
  }
  mx_array *on = rc ? NULL : out.at[k];
  if (x->each && on) {
    on = mx_logical_and(&x->j, going, on);
    rc = on ? mx_list_push(&x->res, on) : x->j.rc;
    on = rc ? NULL : mx_any_axis(&x->j, on, 0, false);
  }
  if (!rc) rc = on ? mx_list_push(&x->res, on) : x->j.rc;
  mx_list_clear(&out);
  return rc;
}

static mx_array *wide_node(mx_scope *s, wide *x, mx_while *w, const mx_array *node, mx_array *const *in, const int *ax) {
  int n = x->w->body->nin, k = x->w->ncarry, at = 1;
  mx_array **full = mx_slots_new(n + 2), *begin = in[0];
  if (!full) return mx_scope_error(s, MX_EMEMORY);
  (void)node;
  for (int i = 0; i < k; i++) full[at++] = x->mapped[i] ? mx_full_front(s, in[1 + i], ax[1 + i], x->size) : in[1 + i];
  if (x->each) {
    begin = full[at++] = mx_full_front(s, in[0], ax[0], x->size);
    begin = mx_any_axis(s, begin, 0, false);
  }
  full[0] = begin;
  for (int i = k; i < n; i++) full[at++] = mx_front(s, in[1 + i], ax[1 + i]);
  mx_array *t = while_node(s, w, full);
  mx_free(full);
  return t;
}

int vmap_while_loop(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_while *w = (mx_while *)node->object, *more = NULL;
  int n = w->body->nin, rc = 0;
  wide x = {.w = w, .size = mx_batch_size(node, in, ax)};
  mx_scope_begin(&x.j, s->stream);
  x.arg = mx_slots_new(2 * n + 2 + w->body->nout);
  if (!x.arg) rc = MX_EMEMORY;
  else {
    x.mapped = (bool *)(x.arg + n + 1);
    x.out = x.mapped + n;
    for (int i = 0; i < n; i++) x.mapped[i] = ax[1 + i] >= 0;
  }
  mx_body *body = NULL;
  if (!rc) rc = spread(&x, ax[0] >= 0);
  if (!rc) rc = wide_step(&x);
  if (!rc) rc = mx_body_new(&body, x.src.n, x.src.at, x.res.n, x.res.at, &x.extra);
  if (!rc && !(more = while_new(body, w->ncarry + x.each, &x.extra))) rc = MX_EMEMORY;
  mx_array *t = rc ? NULL : wide_node(s, &x, more, node, in, ax);
  for (int i = 0; i < w->ncarry && t; i++) {
    res[i] = mx_pick(s, t, i);
    res_ax[i] = x.mapped[i] ? 0 : -1;
  }
  if (more) mx_object_release(&more->control.base);
  mx_list_clear(&x.src);
  mx_list_clear(&x.res);
  mx_list_clear(&x.extra);
  mx_free(x.arg);
  int end = mx_scope_end(&x.j);
  return rc ? rc : end ? end : s->rc;
}

/* ---- the function ---- */

static mx_array *as_condition(mx_scope *s, mx_array *a) {
  if (a && a->size != 1) return mx_scope_fail(s, MX_EVALUE, "[while_loop] The condition gave shape %s, expected one boolean.", mx_shape_of(a));
  if (a && a->ndim) a = mx_reshape(s, a, NULL, 0);
  return a && a->dtype != MX_BOOL ? mx_not_equal(s, a, mx_const_like(s, a, 0)) : a;
}

typedef struct pair {
  mx_closure *condition, *body;
  int n;
} pair;

/* carry -> the next carry, and the condition on it. */
static int next_and_condition(void *payload, int n, mx_array *const *in, mx_list *out) {
  pair *p = payload;
  mx_list on = {0};
  int rc = mx_closure_call(p->body, n, in, out);
  if (!rc && out->n != n) rc = mx_fail(MX_EVALUE, "[while_loop] The body gave %d arrays, the carry has %d.", out->n, n);
  for (int i = 0; i < n && !rc; i++)
    if (out->at[i]->dtype != in[i]->dtype || !mx_same_shape(out->at[i], in[i]))
      rc = mx_fail(MX_EVALUE, "[while_loop] The carry must keep its shapes and dtypes: its array %d went in with shape %s and dtype %s and came out with "
                              "shape %s and dtype %s.", i, mx_shape_of(in[i]), mx_dtype_name((mx_dtype)in[i]->dtype), mx_shape_of(out->at[i]),
                   mx_dtype_name((mx_dtype)out->at[i]->dtype));
  if (!rc) rc = mx_closure_call(p->condition, n, out->at, &on);
  if (!rc && on.n != 1) rc = mx_fail(MX_EVALUE, "[while_loop] The condition gave %d arrays, expected one boolean.", on.n);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *c = rc ? NULL : as_condition(&s, on.at[0]);
  if (!rc) rc = c ? mx_list_push(out, c) : s.rc;
  mx_list_clear(&on);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

int mx_while_loop(mx_closure *condition, mx_closure *body, int n, mx_array *const *init, mx_list *res) {
  if (!n) return mx_fail(MX_EVALUE, "[while_loop] The carry has no arrays.");
  pair p = {condition, body, n};
  mx_closure f = {.base = {.refs = 1}, .call = next_and_condition, .payload = &p};
  mx_list captured = {0}, on = {0}, in = {0}, none = {0};
  mx_body *step = NULL;
  mx_while *w = NULL;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = mx_body_trace(&step, &f, n, init, &captured);
  if (!rc && !(w = while_new(step, n, &none))) rc = MX_EMEMORY;
  if (!rc) rc = mx_closure_call(condition, n, init, &on);
  if (!rc && on.n != 1) rc = mx_fail(MX_EVALUE, "[while_loop] The condition gave %d arrays, expected one boolean.", on.n);
  mx_array *begin = rc ? NULL : as_condition(&s, on.at[0]);
  if (!rc) rc = begin ? mx_list_push(&in, begin) : s.rc;
  for (int i = 0; i < n && !rc; i++) rc = mx_list_push(&in, init[i]);
  for (int i = 0; i < captured.n && !rc; i++) rc = mx_list_push(&in, captured.at[i]);
  mx_array *t = rc ? NULL : while_node(&s, w, in.at);
  for (int i = 0; i < n && t && !rc; i++) {
    mx_array *y = mx_pick(&s, t, i);
    rc = y ? mx_list_push(res, y) : s.rc;
  }
  if (w) mx_object_release(&w->control.base);
  mx_list_clear(&captured);
  mx_list_clear(&on);
  mx_list_clear(&in);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}
