/* checkpoint: the forward graph is not used for gradients; they come from a second graph, built when they are asked for.
 *
 * The second graph is replayed from a copy of the first that holds no data, not from another call of the function: so random draws and
 * side effects happen once, and gradients reach what the function captured. */
#include "transforms/custom.h"
#include "transforms/replay.h"
#include "transforms/transforms.h"

static int run(void *replay, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  return mx_replay_run(replay, in, out);
}

/* res: the gradients of the wanted primals, NULL for the others. */
static int spread(int np, const bool *want, const mx_list *grads, mx_list *res) {
  int rc = 0;
  for (int i = 0, k = 0; i < np && !rc; i++) rc = mx_list_push(res, want[i] ? grads->at[k++] : NULL);
  return rc;
}

/* The primals are made to wait for the cotangents: what is computed from them again is not merged with the forward pass, and is not
 * computed before it is needed. What is not asked for, such as frozen weights that are arguments of a compiled function, may have no
 * derivative. */
static int checkpoint_vjp(void *replay, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no,
                          mx_array *const *outputs, const bool *want, mx_list *res) {
  (void)no;
  (void)outputs;
  mx_closure f = {.base = {.refs = 1}, .call = run, .payload = replay};
  mx_list late = {0}, again = {0}, grads = {0};
  int *which = mx_malloc((size_t)(np + 1) * sizeof *which), n = 0;
  if (!which) return mx_fail_memory();
  for (int i = 0; i < np; i++)
    if (want[i]) which[n++] = i;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = mx_depends(&s, &late, np, primals, nc, cot), end = mx_scope_end(&s);
  if (!rc) rc = end;
  if (!rc) rc = mx_vjp_of(&f, n, which, np, late.at, nc, cot, &again, &grads);
  if (!rc) rc = spread(np, want, &grads, res);
  mx_free(which);
  mx_list_clear(&grads);
  mx_list_clear(&late);
  mx_list_clear(&again);
  return rc;
}

/* r over placeholders: a graph like r's that never holds data. */
static int without_data(mx_replay **res, const mx_replay *r, const mx_list *inputs) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **in = mx_slots_new(inputs->n);
  int rc = in ? 0 : MX_EMEMORY;
  for (int i = 0; i < inputs->n && !rc; i++) {
    const mx_array *x = inputs->at[i];
    if (!(in[i] = mx_placeholder(&s, (mx_dtype)x->dtype, x->ndim, x->shape))) rc = s.rc;
  }
  if (!rc) rc = mx_replay_run(r, in, &out);
  if (!rc)
    rc = mx_any_shape_wanted ? mx_replay_new_recorded(res, inputs->n, in, out.n, out.at, false)
                             : mx_replay_new(res, inputs->n, in, out.n, out.at, MX_PLACEHOLDER, false);
  mx_free(in);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  if (!rc && end) mx_replay_release(*res);
  return rc ? rc : end;
}

/* The replay of what lies between inputs and outputs. inputs: the traced ones among in, and what the function captured. */
static int record(mx_replay **res, int n, mx_array *const *in, const mx_list *outputs, mx_list *inputs) {
  const uint8_t flags = MX_TRACER | MX_PLACEHOLDER;
  int rc = 0;
  for (int i = 0; i < n && !rc; i++)
    if (in[i]->flags & flags) rc = mx_list_push(inputs, in[i]);
  mx_tape t;
  if (!rc) rc = mx_tape_build(&t, inputs->n, inputs->at, outputs->n, outputs->at, flags,
                              mx_any_shape_wanted ? mx_follow_recorded : mx_follow_all, 0, NULL);
  if (rc) return rc;
  mx_replay *r = NULL;
  rc = mx_replay_from_tape(&r, &t, outputs->n, outputs->at, flags, inputs);
  mx_tape_clear(&t);
  if (!rc) rc = without_data(res, r, inputs);
  mx_replay_release(r);
  return rc;
}

static void release_replay(void *r) { mx_replay_release(r); }

static int checkpoint_call(void *f, int n, mx_array *const *in, mx_list *out) {
  if (!mx_traced(n, in)) return mx_closure_call(f, n, in, out);
  mx_list outputs = {0}, inputs = {0};
  mx_replay *r = NULL;
  int rc = mx_closure_call(f, n, in, &outputs);
  if (!rc && outputs.n) rc = record(&r, n, in, &outputs, &inputs);
  if (!rc && outputs.n) {
    mx_custom *c = mx_custom_new(&(mx_custom_rules){.vjp = checkpoint_vjp, .payload = r, .dtor = release_replay, .transparent = true});
    rc = c ? mx_custom_tie(c, inputs.n, inputs.at, &outputs, out) : MX_EMEMORY;
    if (c) mx_object_release(&c->base);
  }
  mx_list_clear(&outputs);
  mx_list_clear(&inputs);
  return rc;
}

static void release_closure(void *f) { mx_object_release(f); }

mx_closure *mx_checkpoint(mx_closure *f) { return mx_closure_new(checkpoint_call, mx_object_retain(&f->base), release_closure); }
