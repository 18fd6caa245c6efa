/* Reverse and forward differentiation.
 *
 * A trace gives the function fresh copies of its primals, marked MX_TRACER, and then sweeps the tape between them and the
 * results. While it is open (mx_tracing) eval keeps the inputs of what depends on a tracer. Zero cotangents and tangents are NULL. */
#include <string.h>

#include "transforms/custom.h"
#include "transforms/diff.h"
#include "transforms/inner.h"
#include "transforms/transforms.h"

_Thread_local int mx_sweeping;

/* ---- sweeps ---- */

/* Scratch for the arguments of rules, as wide as the widest node. */
typedef struct scratch {
  mx_array **x, **res, **out;
  bool *want;
} scratch;

static int scratch_new(scratch *w, const mx_tape *t) {
  size_t n = (size_t)mx_tape_widest(t);
  mx_array **p = mx_malloc(n * (3 * sizeof *p + sizeof(bool)));
  if (!p) return mx_fail_memory();
  *w = (scratch){p, p + n, p + 2 * n, (bool *)(p + 3 * n)};
  return 0;
}

/* The results of a node; those that nobody picked are picked now. */
static mx_array *const *results(mx_scope *s, const mx_tape *t, const mx_tape_node *e, mx_array **room) {
  mx_array **value = t->value + e->slot;
  if (!e->a->outs) return value;
  for (int k = 0; k < e->a->nout; k++) room[k] = value[k] ? value[k] : mx_pick(s, e->a, k);
  return room;
}

static bool any_given(int n, mx_array *const *x) {
  for (int i = 0; i < n; i++)
    if (x[i]) return true;
  return false;
}

static void accumulate(mx_scope *s, mx_array **sum, mx_array *x) {
  mx_array *y = *sum ? mx_add(s, *sum, x) : x;
  if (y) mx_set(sum, mx_retain(y));
}

/* A rule that gives a cotangent of another shape would be found far from its cause. */
static void check_shape(mx_scope *s, const mx_array *node, int i, const mx_array *g) {
  if (!s->rc && !mx_same_shape(g, node->in[i]))
    mx_scope_fail(s, MX_ERUNTIME, "[%s] The gradient of input %d has shape %s, the input has shape %s.", mx_ops[node->op].name, i,
                  mx_shape_of(g), mx_shape_of(node->in[i]));
}

static int no_rule(const char *transform, const mx_array *node) {
  return mx_fail(MX_ENOTIMPL, "[%s] %s is not implemented for this transform.", transform, mx_ops[node->op].label);
}

static int back_through(const mx_tape *t, const mx_tape_node *e, mx_array **cot, scratch *w) {
  const mx_array *a = e->a;
  mx_scope s;
  mx_scope_begin(&s, a->stream);
  for (int i = 0; i < a->nin; i++) {
    w->want[i] = t->in[e->in + (uint32_t)i] >= 0;
    w->res[i] = NULL;
  }
  mx_array *const *out = results(&s, t, e, w->out);
  const mx_op *op = &mx_ops[a->op];
  int rc = s.rc ? s.rc : op->vjp ? op->vjp(&s, a, out, cot + e->slot, w->want, w->res) : no_rule("vjp", a);
  if (rc) mx_scope_error(&s, rc);
  for (int i = 0; i < a->nin && !s.rc; i++)
    if (w->want[i] && w->res[i]) {
      check_shape(&s, a, i, w->res[i]);
      accumulate(&s, &cot[t->in[e->in + (uint32_t)i]], w->res[i]);
    }
  return mx_scope_end(&s);
}

/* failed: the number of the node whose rule gave an error. */
static int sweep_back(const mx_tape *t, mx_array **cot, int *failed) {
  mx_rules_ran = true;
  scratch w;
  int rc = scratch_new(&w, t);
  if (rc) return rc;
  for (int i = t->n - 1; i >= 0 && !rc; i--) {
    const mx_tape_node *e = &t->node[i];
    int nres = mx_results(e->a);
    if (!any_given(nres, cot + e->slot)) continue;
    rc = back_through(t, e, cot, &w);
    *failed = i;
    for (int k = 0; k < nres; k++) mx_set(&cot[e->slot + k], NULL);
  }
  mx_free(w.x);
  return rc;
}

int mx_sweep_back(const mx_tape *t, mx_array **cot) {
  int failed;
  return sweep_back(t, cot, &failed);
}

/* Tells in the error of a node's rule which source led there: the way back goes by its integer inputs if it has any, as those are what rules
 * refuse. which: numbers of the sources. */
static int tell_source(int rc, const mx_tape *t, int failed, const int *which) {
  bool *seen = failed >= 0 && rc != MX_ECALLBACK ? mx_calloc((size_t)t->nslot + 1, sizeof *seen) : NULL;
  if (!seen) return rc;
  const mx_tape_node *e = &t->node[failed];
  bool any = false;
  for (int pass = 0; pass < 2 && !any; pass++)
    for (int k = 0; k < e->a->nin; k++) {
      int32_t slot = t->in[e->in + (uint32_t)k];
      if (slot >= 0 && (pass || !mx_is_inexact((mx_dtype)e->a->in[k]->dtype))) any = seen[slot] = true;
    }
  for (int i = failed - 1; i >= 0; i--) {
    bool read = false;
    e = &t->node[i];
    for (int k = 0; k < mx_results(e->a); k++) read |= seen[e->slot + k];
    for (int k = 0; read && k < e->a->nin; k++)
      if (t->in[e->in + (uint32_t)k] >= 0) seen[t->in[e->in + (uint32_t)k]] = true;
  }
  int from = 0;
  while (from < t->nsrc && !seen[from]) from++;
  if (from < t->nsrc) mx_error_reached_from(which ? which[from] : from);
  mx_free(seen);
  return rc;
}

static int forward_through(const mx_tape *t, const mx_tape_node *e, mx_array **tan, scratch *w) {
  const mx_array *a = e->a;
  int nres = mx_results(a);
  for (int i = 0; i < a->nin; i++) {
    int32_t slot = t->in[e->in + (uint32_t)i];
    w->x[i] = slot < 0 ? NULL : tan[slot];
  }
  if (!any_given(a->nin, w->x)) return 0;
  memset(w->res, 0, (size_t)nres * sizeof *w->res);
  mx_scope s;
  mx_scope_begin(&s, a->stream);
  mx_array *const *out = results(&s, t, e, w->out);
  const mx_op *op = &mx_ops[a->op];
  int rc = s.rc ? s.rc : op->jvp ? op->jvp(&s, a, out, w->x, w->res) : no_rule("jvp", a);
  if (rc) mx_scope_error(&s, rc);
  if (!s.rc)
    for (int k = 0; k < nres; k++) tan[e->slot + k] = mx_retain(w->res[k]);
  return mx_scope_end(&s);
}

static int sweep_forward(const mx_tape *t, mx_array **tan, int *failed) {
  mx_rules_ran = true;
  scratch w;
  int rc = scratch_new(&w, t);
  if (rc) return rc;
  for (int i = 0; i < t->n && !rc; i++) {
    rc = forward_through(t, &t->node[i], tan, &w);
    *failed = i;
  }
  mx_free(w.x);
  return rc;
}

int mx_sweep_forward(const mx_tape *t, mx_array **tan) {
  int failed;
  return sweep_forward(t, tan, &failed);
}

/* ---- traces ---- */

static mx_array *tracer(mx_scope *s, mx_array *x) {
  mx_array *t = mx_node(s, OP_copy, 1, &x, 0, NULL);
  if (t) t->flags |= MX_TRACER;
  return t;
}

static int push_all(mx_list *to, const mx_list *from) {
  int rc = 0;
  for (int i = 0; i < from->n && !rc; i++) rc = mx_list_push(to, from->at[i]);
  return rc;
}

int mx_diff_open(mx_diff_trace *t, mx_closure *f, int nsrc, const int *which, int n, mx_array *const *in) {
  *t = (mx_diff_trace){.n = n, .nsrc = nsrc, .which = which};
  mx_tracing++;
  mx_scope_begin(&t->s, mx_default_stream());
  t->args = mx_malloc((size_t)(n + nsrc + 1) * sizeof *t->args);
  if (!t->args) return mx_fail_memory();
  t->src = t->args + n;
  for (int i = 0; i < n; i++) t->args[i] = in[i];
  for (int i = 0; i < nsrc; i++) {
    int at = which ? which[i] : i;
    t->args[at] = t->src[i] = tracer(&t->s, in[at]);
  }
  return t->s.rc ? t->s.rc : mx_closure_call(f, n, t->args, &t->out);
}

int mx_diff_close(mx_diff_trace *t, int rc) {
  mx_list_clear(&t->out);
  int end = mx_scope_end(&t->s);
  mx_free(t->args);
  mx_tracing--;
  return rc ? rc : end;
}

static int sweep_trace(mx_diff_trace *t, mx_array *const *cot, mx_list *grads) {
  mx_tape tape;
  int failed = -1;
  int rc = mx_tape_build(&tape, t->nsrc, t->src, t->out.n, t->out.at, MX_TRACER, mx_custom_follow_vjp, 0, NULL);
  if (rc) return rc;
  mx_array **table = mx_slots_new(tape.nslot);
  if (!table) rc = MX_EMEMORY;
  for (int i = 0; i < t->out.n && !rc; i++) {
    int32_t slot = mx_tape_slot(&tape, t->out.at[i]);
    if (slot >= 0 && cot[i]) accumulate(&t->s, &table[slot], mx_astype(&t->s, cot[i], t->out.at[i]->dtype));
    rc = t->s.rc;
  }
  if (!rc && (rc = sweep_back(&tape, table, &failed))) tell_source(rc, &tape, failed, t->which);
  for (int i = 0; i < t->nsrc && !rc; i++) {
    mx_array *g = table[i] ? table[i] : mx_zeros_like(&t->s, t->src[i]);
    rc = g ? mx_list_push(grads, g) : t->s.rc;
  }
  mx_slots_free(table, tape.nslot);
  mx_tape_clear(&tape);
  return rc;
}

int mx_diff_back(mx_diff_trace *t, mx_array *const *cot, mx_list *grads) {
  mx_sweeping++;
  int rc = sweep_trace(t, cot, grads);
  mx_sweeping--;
  return rc;
}

static int check_cotangents(const mx_list *out, int ncot, mx_array *const *cot) {
  if (out->n != ncot)
    return mx_fail(MX_EVALUE, "[vjp] Number of outputs to compute gradients for (%d) does not match number of cotangents (%d).", out->n,
                   ncot);
  for (int i = 0; i < ncot; i++)
    if (!mx_same_shape(out->at[i], cot[i]))
      return mx_fail(MX_EVALUE, "[vjp] Output shape %s does not match cotangent shape %s.", mx_shape_of(out->at[i]), mx_shape_of(cot[i]));
  return 0;
}

int mx_vjp_of(mx_closure *f, int nsrc, const int *which, int n, mx_array *const *primals, int ncot, mx_array *const *cotangents,
              mx_list *outputs, mx_list *grads) {
  mx_within inner = {MX_INNER_VJP, n, ncot, which ? nsrc : -1, primals, cotangents, which};
  if (mx_within_wanted(&inner)) return mx_within_apply(&inner, f, outputs, grads);
  mx_diff_trace t;
  int rc = mx_diff_open(&t, f, nsrc, which, n, primals);
  if (!rc) rc = check_cotangents(&t.out, ncot, cotangents);
  if (!rc) rc = mx_diff_back(&t, cotangents, grads);
  if (!rc) rc = push_all(outputs, &t.out);
  return mx_diff_close(&t, rc);
}

int mx_vjp(mx_closure *f, int n, mx_array *const *primals, int ncot, mx_array *const *cotangents, mx_list *outputs, mx_list *grads) {
  return mx_vjp_of(f, n, NULL, n, primals, ncot, cotangents, outputs, grads);
}

int mx_check_argnums(const char *tag, int nargnums, const int *argnums, int n) {
  if (!nargnums) return mx_fail(MX_EVALUE, "[%s] Must specify at least one argument to differentiate.", tag);
  for (int i = 0; i < nargnums; i++) {
    if (argnums[i] < 0 || argnums[i] >= n)
      return mx_fail(MX_EVALUE,
                     "[%s] Can't compute the gradient of argument index %d because the function is called with only %d positional "
                     "arguments.",
                     tag, argnums[i], n);
    for (int k = 0; k < i; k++)
      if (argnums[k] == argnums[i]) return mx_fail(MX_EVALUE, "[%s] Duplicate argument index %d is not allowed.", tag, argnums[i]);
  }
  return 0;
}

/* One for the first output, nothing for the others. */
static int grad_of_first(mx_diff_trace *t, mx_list *grads) {
  if (!t->out.n) return mx_fail(MX_EVALUE, "[grad] The function must return a scalar array first, but it returned nothing.");
  mx_array *y = t->out.at[0];
  if (y->ndim)
    return mx_fail(MX_EVALUE,
                   "[vjp] Output shape %s does not match cotangent shape (). If you are using grad your function must return a scalar.",
                   mx_shape_of(y));
  mx_array **cot = mx_slots_new(t->out.n);
  if (!cot) return MX_EMEMORY;
  cot[0] = mx_int(&t->s, y->dtype, 1);
  int rc = cot[0] ? mx_diff_back(t, cot, grads) : t->s.rc;
  mx_free(cot);
  return rc;
}

int mx_value_and_grad(mx_closure *f, int nargnums, const int *argnums, int n, mx_array *const *in, mx_list *values, mx_list *grads) {
  int rc = mx_check_argnums("grad", nargnums, argnums, n);
  if (rc) return rc;
  mx_within inner = {MX_INNER_GRAD, n, 0, nargnums, in, NULL, argnums};
  if (mx_within_wanted(&inner)) return mx_within_apply(&inner, f, values, grads);
  mx_diff_trace t;
  rc = mx_diff_open(&t, f, nargnums, argnums, n, in);
  if (!rc) rc = grad_of_first(&t, grads);
  if (!rc) rc = push_all(values, &t.out);
  return mx_diff_close(&t, rc);
}

int mx_diff_forward(mx_diff_trace *t, mx_array *const *tangents, mx_list *res) {
  mx_tape tape;
  int failed = -1;
  int rc = mx_tape_build(&tape, t->nsrc, t->src, t->out.n, t->out.at, MX_TRACER, mx_custom_follow_jvp, 0, NULL);
  if (rc) return rc;
  mx_array **table = mx_slots_new(tape.nslot);
  if (!table) rc = MX_EMEMORY;
  for (int i = 0; i < t->nsrc && !rc; i++) {
    if (tangents[i]) table[i] = mx_retain(mx_astype(&t->s, tangents[i], t->src[i]->dtype));
    rc = t->s.rc;
  }
  if (!rc && (rc = sweep_forward(&tape, table, &failed))) tell_source(rc, &tape, failed, t->which);
  for (int i = 0; i < t->out.n && !rc; i++) {
    int32_t slot = mx_tape_slot(&tape, t->out.at[i]);
    mx_array *d = slot >= 0 && table[slot] ? table[slot] : mx_zeros_like(&t->s, t->out.at[i]);
    rc = d ? mx_list_push(res, d) : t->s.rc;
  }
  mx_slots_free(table, tape.nslot);
  mx_tape_clear(&tape);
  return rc;
}

int mx_jvp(mx_closure *f, int n, mx_array *const *primals, int ntan, mx_array *const *tangents, mx_list *outputs, mx_list *tangents_out) {
  if (n != ntan)
    return mx_fail(MX_EVALUE, "[jvp] Number of inputs (%d) does not match number of tangents (%d).", n, ntan);
  for (int i = 0; i < n; i++)
    if (!mx_same_shape(primals[i], tangents[i]))
      return mx_fail(MX_EVALUE, "[jvp] Input shape %s does not match shape of tangent %s.", mx_shape_of(primals[i]),
                     mx_shape_of(tangents[i]));
  mx_within inner = {MX_INNER_JVP, n, ntan, 0, primals, tangents, NULL};
  if (mx_within_wanted(&inner)) return mx_within_apply(&inner, f, outputs, tangents_out);
  mx_diff_trace t;
  mx_sweeping++;
  int rc = mx_diff_open(&t, f, n, NULL, n, primals);
  if (!rc) rc = mx_diff_forward(&t, tangents, tangents_out);
  if (!rc) rc = push_all(outputs, &t.out);
  mx_sweeping--;
  return mx_diff_close(&t, rc);
}

/* ---- a generic jvp ---- */

/* u -> vjp(u) is linear, so its own vjp at the tangents, for any u, is the jvp. */
int jvp_derived(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  int nres = mx_results(node), nin = node->nin;
  size_t n = (size_t)(nres + nin);
  mx_array **u = mx_malloc(n * (2 * sizeof *u + sizeof(bool)));
  if (!u) return mx_fail_memory();
  mx_array **g = u + nres, **stop = g + nin;
  bool *want = (bool *)(stop + n);
  for (int k = 0; k < nres; k++) {
    u[k] = tracer(s, mx_zeros_like(s, out[k]));
    stop[nin + k] = out[k];
  }
  int nroots = 0;
  for (int i = 0; i < nin; i++) {
    want[i] = tan[i] && (mx_is_inexact((mx_dtype)node->in[i]->dtype) || !mx_is_inexact((mx_dtype)out[0]->dtype)); /* not of indices */
    g[i] = NULL;
    stop[i] = node->in[i];
  }
  const mx_op *op = &mx_ops[node->op];
  int rc = s->rc ? s->rc : op->vjp ? op->vjp(s, node, out, u, want, g) : no_rule("vjp", node);
  mx_tape tape = {0};
  mx_array **cot = NULL, **roots = NULL;
  if (rc || (rc = s->rc)) goto done;
  if (!(roots = mx_slots_new(nin))) {
    rc = MX_EMEMORY;
    goto done;
  }
  for (int i = 0; i < nin; i++)
    if (want[i] && g[i]) roots[nroots++] = g[i];
  if ((rc = mx_tape_build(&tape, nres, u, nroots, roots, MX_TRACER, mx_custom_follow_vjp, (int)n, stop))) goto done;
  if (!(cot = mx_slots_new(tape.nslot))) {
    rc = MX_EMEMORY;
    goto done;
  }
  for (int i = 0; i < nin; i++) {
    int32_t slot = want[i] && g[i] ? mx_tape_slot(&tape, g[i]) : -1;
    if (slot >= 0) accumulate(s, &cot[slot], tan[i]);
  }
  rc = s->rc ? s->rc : mx_sweep_back(&tape, cot);
  for (int k = 0; k < nres && !rc; k++)
    if (cot[k]) res[k] = mx_own(s, mx_retain(cot[k]));
done:
  mx_slots_free(cot, tape.nslot);
  mx_tape_clear(&tape);
  mx_free(roots);
  mx_free(u);
  return rc ? rc : s->rc;
}
