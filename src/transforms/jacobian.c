/* The pullback as a function, and Jacobians: a sweep over a stand-in for one cotangent (or tangent), then batched over all unit vectors. */
#include <string.h>

#include "transforms/replay.h"
#include "transforms/diff.h"
#include "transforms/transforms.h"

/* ---- the pullback ---- */

typedef struct pullback {
  mx_replay *replay; /* from cotangents; its constants are the values of the function that the rules need */
  mx_aval like[];    /* of the cotangents */
} pullback;

static int call_pullback(void *payload, int n, mx_array *const *in, mx_list *out) {
  const pullback *p = payload;
  if (n != p->replay->nin)
    return mx_fail(MX_EVALUE, "[vjp] Number of outputs to compute gradients for (%d) does not match number of cotangents (%d).",
                   p->replay->nin, n);
  mx_array **cot = mx_slots_new(n);
  if (!cot) return MX_EMEMORY;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  for (int i = 0; i < n && !s.rc; i++) {
    const mx_aval *l = &p->like[i];
    if (in[i]->ndim != l->ndim || memcmp(in[i]->shape, l->shape, (size_t)l->ndim * sizeof *l->shape))
      mx_scope_fail(&s, MX_EVALUE, "[vjp] Output shape %s does not match cotangent shape %s.", mx_shape_str(l->ndim, l->shape),
                    mx_shape_of(in[i]));
    else cot[i] = mx_astype(&s, in[i], l->dtype);
  }
  int rc = s.rc ? s.rc : mx_replay_run(p->replay, cot, out);
  mx_free(cot);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

static void drop_pullback(void *payload) {
  pullback *p = payload;
  mx_replay_release(p->replay);
  mx_free(p);
}

/* Takes r. */
static int pullback_new(mx_closure **res, mx_replay *r, const mx_list *outputs) {
  pullback *p = mx_malloc(sizeof *p + (size_t)outputs->n * sizeof *p->like);
  if (!p) {
    mx_replay_release(r);
    return mx_fail_memory();
  }
  p->replay = r;
  for (int i = 0; i < outputs->n; i++) {
    const mx_array *y = outputs->at[i];
    p->like[i].dtype = (mx_dtype)y->dtype;
    p->like[i].ndim = y->ndim;
    memcpy(p->like[i].shape, y->shape, (size_t)y->ndim * sizeof *y->shape);
  }
  return (*res = mx_closure_new(call_pullback, p, drop_pullback)) ? 0 : mx_error_kind();
}

static mx_array *stand_in(mx_diff_trace *t, const mx_array *like) {
  return mx_placeholder(&t->s, (mx_dtype)like->dtype, like->ndim, like->shape);
}

int mx_vjp_function(mx_closure *f, int n, mx_array *const *primals, mx_list *outputs, mx_closure **res) {
  mx_diff_trace t;
  mx_list cot = {0}, grads = {0};
  mx_replay *r = NULL;
  int rc = mx_diff_open(&t, f, n, NULL, n, primals);
  for (int i = 0; i < t.out.n && !rc; i++) {
    mx_array *c = stand_in(&t, t.out.at[i]);
    rc = c ? mx_list_push(&cot, c) : t.s.rc;
  }
  if (!rc) rc = mx_diff_back(&t, cot.at, &grads);
  if (!rc) rc = mx_replay_new(&r, cot.n, cot.at, grads.n, grads.at, MX_PLACEHOLDER, true);
  if (!rc) rc = pullback_new(res, r, &t.out);
  for (int i = 0; i < t.out.n && !rc; i++) rc = mx_list_push(outputs, t.out.at[i]);
  mx_list_clear(&cot);
  mx_list_clear(&grads);
  return mx_diff_close(&t, rc);
}

/* ---- Jacobians ---- */

typedef struct jacobian {
  mx_closure *f;
  bool forward;
  int n;
  int argnums[];
} jacobian;

static const char *tag(bool forward) { return forward ? "jacfwd" : "jacrev"; }

/* y, of which one axis (the first, or the last) counts the elements of x, with x's axes in its place. */
static mx_array *spread(mx_scope *s, mx_array *y, bool forward, const mx_array *x) {
  int shape[2 * MX_MAX_NDIM], n = 0, lead = forward ? y->ndim - 1 : 0;
  if (y->ndim - 1 + x->ndim > MX_MAX_NDIM)
    return mx_scope_fail(s, MX_EVALUE, "[%s] The Jacobian has %d dimensions, more than %d.", tag(forward), y->ndim - 1 + x->ndim,
                         MX_MAX_NDIM);
  for (int d = 0; d < lead; d++) shape[n++] = y->shape[d];
  for (int d = 0; d < x->ndim; d++) shape[n++] = x->shape[d];
  for (int d = lead + 1; d < y->ndim; d++) shape[n++] = y->shape[d];
  return mx_reshape(s, y, shape, (size_t)n);
}

/* out, built from the stand-in c, for all unit vectors at once: their axis is the last of each result (forward) or the first. */
static int batched(mx_scope *s, mx_array *eye, mx_array *c, bool forward, const mx_list *out, mx_list *res) {
  int shape[MX_MAX_NDIM + 1] = {eye->shape[0]}, in_axis = 0;
  if (c->ndim == MX_MAX_NDIM) return mx_fail(MX_ENOTIMPL, "[vmap] Too many dimensions.");
  for (int d = 0; d < c->ndim; d++) shape[d + 1] = c->shape[d];
  mx_array *units = mx_reshape(s, eye, shape, (size_t)c->ndim + 1);
  int *to = mx_malloc((size_t)(out->n + 1) * sizeof *to);
  int rc = !to ? mx_fail_memory() : units ? 0 : s->rc;
  for (int k = 0; k < out->n && !rc; k++) to[k] = forward ? out->at[k]->ndim : 0;
  if (!rc) rc = mx_vmap_replace(1, &units, &c, &in_axis, out->n, out->at, to, res);
  mx_free(to);
  return rc;
}

/* The same by one unit vector after the other, for ops that cannot be batched. */
static int one_by_one(mx_scope *s, mx_array *eye, mx_array *c, bool forward, const mx_list *out, mx_list *res) {
  mx_replay *r = NULL;
  mx_list rows = {0}; /* by unit vector, then result */
  int n = eye->shape[0], rc = mx_replay_new(&r, 1, &c, out->n, out->at, MX_PLACEHOLDER, true);
  for (int i = 0; i < n && !rc; i++) {
    mx_shape_used = true;
    mx_array *row = mx_slice(s, eye, (int[]){i, 0}, 2, (int[]){i + 1, n}, 2, (int[]){1, 1}, 2);
    row = mx_reshape(s, row, c->shape, (size_t)c->ndim);
    rc = row ? mx_replay_run(r, &row, &rows) : s->rc;
  }
  mx_array **same = rc ? NULL : mx_slots_new(n);
  if (!rc && !same) rc = MX_EMEMORY;
  for (int k = 0; k < out->n && !rc; k++) {
    for (int i = 0; i < n; i++) same[i] = rows.at[i * out->n + k];
    mx_array *y = mx_stack_axis(s, n, same, forward ? out->at[k]->ndim : 0);
    rc = y ? mx_list_push(res, y) : s->rc;
  }
  mx_free(same);
  mx_list_clear(&rows);
  mx_replay_release(r);
  return rc;
}

/* out, built from the stand-in c, over c's unit vectors: pushes one Jacobian for each. */
static int over_units(mx_scope *s, mx_array *c, bool forward, const mx_list *out, mx_list *res) {
  mx_list got = {0};
  if (c->size > MX_MAX_DIM)
    return mx_fail(MX_EVALUE, "[%s] An array of shape %s has too many elements.", tag(forward), mx_shape_of(c));
  mx_array *eye = mx_eye(s, (int)c->size, (int)c->size, 0, (mx_dtype)c->dtype);
  int rc = eye ? batched(s, eye, c, forward, out, &got) : s->rc;
  if (c->size && (rc == MX_ENOTIMPL || rc == MX_EVALUE)) { /* EVALUE: what a registered primitive without the rule says */
    mx_error_clear();
    mx_list_clear(&got);
    got = (mx_list){0};
    rc = one_by_one(s, eye, c, forward, out, &got);
  }
  for (int k = 0; k < got.n && !rc; k++) {
    mx_array *y = spread(s, got.at[k], forward, c);
    rc = y ? mx_list_push(res, y) : s->rc;
  }
  mx_list_clear(&got);
  return rc;
}

/* Row by row: for each output the Jacobians by all sources. */
static int by_rows(mx_diff_trace *t, mx_list *res) {
  mx_array **cot = mx_slots_new(t->out.n);
  int rc = cot ? 0 : MX_EMEMORY;
  for (int o = 0; o < t->out.n && !rc; o++) {
    mx_list grads = {0};
    mx_array *c = cot[o] = stand_in(t, t->out.at[o]);
    rc = c ? mx_diff_back(t, cot, &grads) : t->s.rc;
    if (!rc) rc = over_units(&t->s, c, false, &grads, res);
    cot[o] = NULL;
    mx_list_clear(&grads);
  }
  mx_free(cot);
  return rc;
}

/* Column by column: for each source those of all outputs, put in the order of `by_rows`. */
static int by_columns(mx_diff_trace *t, mx_list *res) {
  mx_array **tan = mx_slots_new(t->nsrc);
  mx_list columns = {0};
  int rc = tan ? 0 : MX_EMEMORY;
  for (int i = 0; i < t->nsrc && !rc; i++) {
    mx_list slopes = {0};
    mx_array *c = tan[i] = stand_in(t, t->src[i]);
    rc = c ? mx_diff_forward(t, tan, &slopes) : t->s.rc;
    if (!rc) rc = over_units(&t->s, c, true, &slopes, &columns);
    tan[i] = NULL;
    mx_list_clear(&slopes);
  }
  for (int o = 0; o < t->out.n && !rc; o++)
    for (int i = 0; i < t->nsrc && !rc; i++) rc = mx_list_push(res, columns.at[i * t->out.n + o]);
  mx_free(tan);
  mx_list_clear(&columns);
  return rc;
}

static int call_jacobian(void *payload, int n, mx_array *const *in, mx_list *out) {
  const jacobian *j = payload;
  mx_diff_trace t;
  int rc = mx_check_argnums(tag(j->forward), j->n, j->argnums, n);
  if (rc) return rc;
  mx_sweeping += j->forward;
  rc = mx_diff_open(&t, j->f, j->n, j->argnums, n, in);
  if (!rc) rc = j->forward ? by_columns(&t, out) : by_rows(&t, out);
  mx_sweeping -= j->forward;
  return mx_diff_close(&t, rc);
}

static void drop_jacobian(void *payload) {
  jacobian *j = payload;
  mx_object_release(&j->f->base);
  mx_free(j);
}

static mx_closure *make(mx_closure *f, bool forward, int nargnums, const int *argnums) {
  jacobian *j = mx_malloc(sizeof *j + (size_t)nargnums * sizeof *argnums);
  if (!j) {
    mx_fail_memory();
    return NULL;
  }
  *j = (jacobian){mx_object_retain(&f->base), forward, nargnums};
  if (nargnums) memcpy(j->argnums, argnums, (size_t)nargnums * sizeof *argnums);
  return mx_closure_new(call_jacobian, j, drop_jacobian);
}

mx_closure *mx_jacfwd(mx_closure *f, int nargnums, const int *argnums) { return make(f, true, nargnums, argnums); }
mx_closure *mx_jacrev(mx_closure *f, int nargnums, const int *argnums) { return make(f, false, nargnums, argnums); }

mx_closure *mx_hessian(mx_closure *f, int nargnums, const int *argnums) {
  mx_closure *rows = mx_jacrev(f, nargnums, argnums), *h = rows ? mx_jacfwd(rows, nargnums, argnums) : NULL;
  if (rows) mx_object_release(&rows->base);
  return h;
}
