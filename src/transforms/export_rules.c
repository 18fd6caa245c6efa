/* Rules of custom functions as data: each is traced into a graph, once as it is written, and runs from the graph once it is read. */
#include <string.h>

#include "transforms/export.h"

void mx_export_rule_clear(mx_export_rule *r) {
  mx_replay_release(r->f);
  mx_free(r->like);
  mx_free(r->at);
  *r = (mx_export_rule){0};
}

void mx_export_rule_inputs(mx_export_rule *r, int np, mx_array *const *primals, int nout, mx_array *const *outputs, bool forward) {
  r->nin = 0;
  for (int part = 0; part < 3; part++) { /* vjp: primals, cotangents, outputs; jvp: primals, tangents of those that may have one */
    int n = part == 0 || forward ? np : nout;
    mx_array *const *x = part == 0 || forward ? primals : outputs;
    for (int i = 0; i < n && (part < 2 || !forward); i++) {
      if (part == 1 && forward && !mx_is_inexact((mx_dtype)x[i]->dtype)) continue;
      mx_aval *a = &r->like[r->nin++];
      a->dtype = (mx_dtype)x[i]->dtype;
      a->ndim = x[i]->ndim;
      memcpy(a->shape, x[i]->shape, (size_t)x[i]->ndim * sizeof *x[i]->shape);
    }
  }
}

int mx_export_rule_new(mx_export_rule *r, int np, int nout, bool forward) {
  r->nres = forward ? nout : np;
  r->like = mx_calloc((size_t)(forward ? 2 * np : np + 2 * nout) + 1, sizeof *r->like);
  r->at = mx_calloc((size_t)r->nres + 1, sizeof *r->at);
  return r->like && r->at ? 0 : mx_fail_memory();
}

/* ---- tracing ---- */

static int call_rule(const mx_custom_rules *rules, bool forward, const mx_array *node, mx_array *const *in, mx_list *res) {
  int np = node->nin - node->nout, nout = node->nout, nt = 0, rc;
  int *argnums = mx_malloc((size_t)(np + 1) * (sizeof *argnums + sizeof(bool)));
  if (!argnums) return mx_fail_memory();
  bool *want = (bool *)(argnums + np + 1);
  for (int i = 0; i < np; i++)
    if ((want[i] = mx_is_inexact((mx_dtype)node->in[i]->dtype))) argnums[nt++] = i;
  if (forward) rc = rules->jvp(rules->payload, np, in, nt, in + np, argnums, res);
  else rc = rules->vjp(rules->payload, np, in, nout, in + np, nout, in + np + nout, want, res);
  mx_free(argnums);
  return rc;
}

int mx_export_rule_trace(mx_export_rule *r, const mx_array *node, bool forward) {
  const mx_custom_rules *rules = &((const mx_custom *)node->object)->rules;
  int np = node->nin - node->nout, nout = node->nout, rc = mx_export_rule_new(r, np, nout, forward);
  mx_list res = {0}, out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  if (!rc) mx_export_rule_inputs(r, np, node->in, nout, node->in + np, forward);
  mx_array **in = rc ? NULL : mx_slots_new(r->nin);
  if (!rc && !in) rc = MX_EMEMORY;
  for (int i = 0; i < r->nin && !rc; i++)
    if (!(in[i] = mx_placeholder(&s, r->like[i].dtype, r->like[i].ndim, r->like[i].shape))) rc = s.rc;
  if (!rc) rc = call_rule(rules, forward, node, in, &res);
  if (!rc && res.n != r->nres)
    rc = mx_fail(MX_EVALUE, "[custom_function] The %s function gave %d arrays, %d were expected.", forward ? "jvp" : "vjp", res.n, r->nres);
  for (int i = 0; i < res.n && !rc; i++) {
    r->at[i] = res.at[i] ? out.n : -1;
    if (res.at[i]) rc = mx_list_push(&out, res.at[i]);
  }
  if (!rc) rc = mx_replay_new(&r->f, r->nin, in, out.n, out.at, MX_PLACEHOLDER, true);
  if (!rc) rc = mx_eval(r->f->nconst, r->f->constant); /* they are stored as data */
  mx_free(in);
  mx_list_clear(&res);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

/* ---- running ---- */

typedef struct stored {
  mx_export_rule back, forward;
  bool any_shape;
} stored;

static void stored_free(void *p) {
  stored *s = p;
  mx_export_rule_clear(&s->back);
  mx_export_rule_clear(&s->forward);
  mx_free(s);
}

static int run(const mx_export_rule *r, bool any_shape, mx_array **in, mx_list *res) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = 0;
  for (int i = 0; i < r->nin && !rc; i++) {
    const mx_aval *a = &r->like[i];
    if (in[i]->dtype != a->dtype && !(in[i] = mx_astype(&s, in[i], a->dtype))) rc = s.rc;
    else if (in[i]->ndim != a->ndim || (!any_shape && memcmp(in[i]->shape, a->shape, (size_t)a->ndim * sizeof *a->shape)))
      rc = mx_fail(MX_EVALUE, "[custom_function] An imported rule was traced with shape %s for its input %d, it is given shape %s.",
                   mx_shape_str(a->ndim, a->shape), i, mx_shape_of(in[i]));
  }
  if (!rc) rc = mx_replay_run(r->f, in, &out);
  for (int i = 0; i < r->nres && !rc; i++) rc = mx_list_push(res, r->at[i] < 0 ? NULL : out.at[r->at[i]]);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

static int run_back(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *outputs,
                    const bool *want, mx_list *res) {
  const stored *st = payload;
  (void)want;
  mx_array **in = mx_slots_new(np + nc + no);
  if (!in) return MX_EMEMORY;
  memcpy(in, primals, (size_t)np * sizeof *in);
  memcpy(in + np, cot, (size_t)nc * sizeof *in);
  memcpy(in + np + nc, outputs, (size_t)no * sizeof *in);
  int rc = run(&st->back, st->any_shape, in, res);
  mx_free(in);
  return rc;
}

static int run_forward(void *payload, int np, mx_array *const *primals, int nt, mx_array *const *tangents, const int *argnums, mx_list *res) {
  const stored *st = payload;
  mx_array **in = mx_slots_new(2 * np);
  if (!in) return MX_EMEMORY;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  memcpy(in, primals, (size_t)np * sizeof *in);
  for (int i = 0, at = np; i < np; i++) {
    if (!mx_is_inexact(st->forward.like[i].dtype)) continue;
    mx_array *t = NULL;
    for (int k = 0; k < nt; k++)
      if (argnums[k] == i) t = tangents[k];
    in[at++] = t ? t : mx_zeros_like(&s, primals[i]);
  }
  int rc = s.rc ? s.rc : run(&st->forward, st->any_shape, in, res), end = mx_scope_end(&s);
  mx_free(in);
  return rc ? rc : end;
}

mx_custom *mx_export_rules_new(mx_export_rule *back, mx_export_rule *forward, bool any_shape) {
  stored *s = mx_malloc(sizeof *s);
  if (!s) {
    mx_export_rule_clear(back);
    mx_export_rule_clear(forward);
    mx_fail_memory();
    return NULL;
  }
  *s = (stored){*back, *forward, any_shape};
  *back = *forward = (mx_export_rule){0};
  return mx_custom_new(&(mx_custom_rules){.vjp = s->back.f ? run_back : NULL, .jvp = s->forward.f ? run_forward : NULL, .payload = s, .dtor = stored_free});
}
