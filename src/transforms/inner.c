/* Gradients, tangents and maps of functions inside a function that is traced for all shapes. Their rules use shapes freely, so what is
 * kept is the transform itself: the inner function is traced for all shapes, too, and the transform of its replay is one call that is made again
 * (graph/recorded.h). */
#include "transforms/inner.h"

#include <string.h>

#include "graph/recorded.h"
#include "transforms/replay.h"
#include "transforms/transforms.h"

/* Inputs of a call: n arguments, nmore cotangents or tangents, then what the function captured. */
typedef struct inner {
  mx_recorded_function base;
  mx_replay *f;
  int kind, n, nmore, nnums;
  int nums[]; /* which arguments; of a map the axes of the arguments, then of the results */
} inner;

static void inner_destroy(mx_object *o) {
  mx_replay_release(((inner *)o)->f);
  mx_free(o);
}

/* The inner function with what it captured. */
typedef struct bound {
  const inner *t;
  int ncaptured;
  mx_array *const *captured;
} bound;

static int run_bound(void *payload, int n, mx_array *const *in, mx_list *out) {
  const bound *b = payload;
  mx_array **all = mx_slots_new(n + b->ncaptured);
  if (!all) return MX_EMEMORY;
  memcpy(all, in, (size_t)n * sizeof *all);
  if (b->ncaptured) memcpy(all + n, b->captured, (size_t)b->ncaptured * sizeof *all);
  int rc = mx_replay_run(b->t->f, all, out);
  mx_free(all);
  return rc;
}

static int map(const inner *t, mx_closure *f, mx_array *const *in, mx_list *out) {
  mx_list args = {0}, traced = {0};
  int rc = mx_vmap_trace(f, t->n, in, t->nums, &args, &traced);
  if (!rc) rc = mx_vmap_replace(t->n, in, args.at, t->nums, traced.n, traced.at, t->nums + t->n, out);
  mx_list_clear(&args);
  mx_list_clear(&traced);
  return rc;
}

static int call(mx_recorded_function *base, mx_scope *s, int nin, mx_array *const *in, mx_list *out) {
  const inner *t = (const inner *)base;
  bool wanted = mx_any_shape_wanted, rules = mx_rules_ran;
  bound b = {t, nin - t->n - t->nmore, in + t->n + t->nmore};
  mx_closure f = {.base = {.refs = 1}, .call = run_bound, .payload = &b};
  mx_list more = {0};
  int rc;
  (void)s;
  mx_any_shape_wanted = false;
  if (t->kind == MX_INNER_GRAD) rc = mx_value_and_grad(&f, t->nnums, t->nums, t->n, in, out, &more);
  else if (t->kind == MX_INNER_VJP) rc = mx_vjp_of(&f, t->nnums < 0 ? t->n : t->nnums, t->nnums < 0 ? NULL : t->nums, t->n, in, t->nmore, in + t->n, out, &more);
  else if (t->kind == MX_INNER_JVP) rc = mx_jvp(&f, t->n, in, t->nmore, in + t->n, out, &more);
  else rc = map(t, &f, in, out);
  for (int i = 0; i < more.n && !rc; i++) rc = mx_list_push(out, more.at[i]);
  mx_list_clear(&more);
  mx_any_shape_wanted = wanted;
  mx_rules_ran = rules;
  return rc;
}

static bool differentiated(int n, mx_array *const *a) {
  for (int i = 0; i < n; i++)
    if (a[i]->flags & MX_TRACER) return true;
  return false;
}

/* The replay between sources and outputs, with calls recorded. */
static int replay_between(mx_replay **res, int n, mx_array *const *src, const mx_list *out, mx_list *captured) {
  const uint8_t flags = MX_TRACER | MX_PLACEHOLDER;
  mx_tape t;
  int rc = mx_tape_build(&t, n, src, out->n, out->at, flags, mx_follow_recorded, 0, NULL);
  if (rc) return rc;
  rc = mx_replay_from_tape(res, &t, out->n, out->at, flags, captured);
  mx_tape_clear(&t);
  return rc;
}

static int trace(mx_replay **res, mx_closure *f, int n, mx_array *const *in, mx_list *captured) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **args = mx_slots_new(n);
  int rc = args ? 0 : MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++) { /* a copy, where there may be one: what f keeps for itself is then of the trace around */
    args[i] = in[i]->flags & MX_PLACEHOLDER ? mx_node(&s, OP_copy, 1, &in[i], 0, NULL)
                                            : mx_placeholder(&s, (mx_dtype)in[i]->dtype, in[i]->ndim, in[i]->shape);
    if (!args[i]) rc = s.rc;
  }
  if (!rc) rc = mx_closure_call(f, n, args, &out);
  if (!rc) rc = replay_between(res, n, args, &out, captured);
  mx_free(args);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

/* Takes r. The call over the arguments, recorded if the replay serves all shapes; results: nout of the function, then the others. */
static int apply(const mx_within *x, mx_replay *r, const mx_list *captured, bool general, mx_list *a, mx_list *b) {
  size_t nums = x->nnums > 0 ? (size_t)x->nnums * sizeof *x->nums : 0;
  inner *t = mx_malloc(sizeof *t + nums);
  mx_array **in = mx_slots_new(x->n + x->nmore + captured->n);
  mx_list out = {0};
  if (!t || !in) {
    mx_replay_release(r);
    mx_free(t);
    mx_free(in);
    return mx_fail_memory();
  }
  *t = (inner){{{1, inner_destroy}, call}, r, x->kind, x->n, x->nmore, x->nnums};
  if (nums) memcpy(t->nums, x->nums, nums);
  int nin = 0;
  for (int i = 0; i < x->n; i++) in[nin++] = x->in[i];
  for (int i = 0; i < x->nmore; i++) in[nin++] = x->more[i];
  for (int i = 0; i < captured->n; i++) in[nin++] = captured->at[i];
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = 0;
  if (!general) mx_shape_used = true;
  if (!general || !mx_record_function(&s, &t->base, nin, in, &out)) rc = call(&t->base, &s, nin, in, &out);
  if (!rc) rc = s.rc;
  for (int i = 0; i < out.n && !rc; i++) rc = mx_list_push(i < r->nout || !b ? a : b, out.at[i]);
  int end = mx_scope_end(&s);
  mx_list_clear(&out);
  mx_free(in);
  mx_object_release(&t->base.base);
  return rc ? rc : end;
}

bool mx_within_wanted(const mx_within *x) {
  return mx_any_shape_wanted && !differentiated(x->n, x->in) && !differentiated(x->nmore, x->more);
}

int mx_within_apply(const mx_within *x, mx_closure *f, mx_list *a, mx_list *b) {
  bool used = mx_shape_used, rules = mx_rules_ran;
  mx_list captured = {0};
  mx_replay *r = NULL;
  mx_shape_used = mx_rules_ran = false;
  int rc = trace(&r, f, x->n, x->in, &captured);
  bool general = !rc && mx_replay_fits_all_shapes(r);
  mx_shape_used |= used;
  mx_rules_ran |= rules;
  if (!rc) rc = apply(x, r, &captured, general, a, b);
  else mx_replay_release(r);
  mx_list_clear(&captured);
  return rc;
}

int mx_within_map(const mx_within *x, mx_array *const *src, const mx_list *traced, mx_list *res, bool *done) {
  mx_list captured = {0};
  mx_replay *r = NULL;
  int rc = replay_between(&r, x->n, src, traced, &captured);
  *done = !rc && mx_replay_fits_all_shapes(r);
  if (*done) rc = apply(x, r, &captured, true, res, NULL);
  else mx_replay_release(r);
  mx_list_clear(&captured);
  return rc;
}
