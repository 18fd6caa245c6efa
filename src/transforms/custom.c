/* custom_function, and the rules of OP_custom. */
#include "transforms/custom.h"

#include <string.h>

#include "graph/rules/rules.h"
#include "transforms/tape.h"

static void custom_destroy(mx_object *o) {
  mx_custom *c = (mx_custom *)o;
  if (c->rules.dtor) c->rules.dtor(c->rules.payload);
  mx_free(c);
}

mx_custom *mx_custom_new(const mx_custom_rules *rules) {
  mx_custom *c = mx_malloc(sizeof *c);
  if (!c) {
    if (rules->dtor) rules->dtor(rules->payload);
    mx_fail_memory();
    return NULL;
  }
  *c = (mx_custom){{1, custom_destroy}, *rules};
  return c;
}

static mx_custom *custom_of(const mx_array *node) { return (mx_custom *)node->object; }
static int primals_of(const mx_array *node) { return node->nin - node->nout; }

/* One that is evaluated has let its rules go. */
static bool is_custom(const mx_array *n) { return n->op == OP_custom && n->object; }

int mx_custom_follow_vjp(const mx_array *n) { return is_custom(n) && custom_of(n)->rules.vjp ? primals_of(n) : n->nin; }
int mx_custom_follow_jvp(const mx_array *n) { return is_custom(n) && custom_of(n)->rules.jvp ? primals_of(n) : n->nin; }
int mx_custom_follow_vmap(const mx_array *n) { return is_custom(n) && custom_of(n)->rules.vmap ? primals_of(n) : n->nin; }

bool mx_custom_is_transparent(const mx_array *n) {
  if (!is_custom(n)) return true;
  const mx_custom_rules *r = &custom_of(n)->rules;
  return r->transparent || (!r->vjp && !r->jvp && !r->vmap);
}

/* ---- the closure ---- */

typedef struct custom_call {
  mx_closure *f;
  mx_custom *custom;
} custom_call;

static void custom_call_free(void *p) {
  custom_call *c = p;
  mx_object_release(&c->f->base);
  if (c->custom) mx_object_release(&c->custom->base);
  mx_free(c);
}

int mx_custom_tie(mx_custom *c, int n, mx_array *const *in, const mx_list *outputs, mx_list *out) {
  int nout = outputs->n, rc = 0;
  mx_array **x = mx_malloc((size_t)(n + 2 * nout + 1) * sizeof *x), **res = x ? x + n + nout : NULL;
  if (!x) return mx_fail_memory();
  memcpy(x, in, (size_t)n * sizeof *x);
  memcpy(x + n, outputs->at, (size_t)nout * sizeof *x);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_node_multi(&s, OP_custom, n + nout, x, 1, (int64_t[]){nout}, &c->base, nout, res);
  for (int i = 0; i < nout && !s.rc && !rc; i++) rc = mx_list_push(out, res[i]);
  int end = mx_scope_end(&s);
  mx_free(x);
  return rc ? rc : end;
}

bool mx_traced(int n, mx_array *const *in) {
  for (int i = 0; i < n; i++)
    if (in[i]->flags & (MX_TRACER | MX_PLACEHOLDER)) return true;
  return false;
}

static int custom_run(void *payload, int n, mx_array *const *in, mx_list *out) {
  custom_call *c = payload;
  if (!mx_traced(n, in)) return mx_closure_call(c->f, n, in, out);
  mx_list outputs = {0};
  int rc = mx_closure_call(c->f, n, in, &outputs);
  if (!rc && outputs.n) rc = mx_custom_tie(c->custom, n, in, &outputs, out);
  mx_list_clear(&outputs);
  return rc;
}

mx_closure *mx_custom_function(mx_closure *f, const mx_custom_rules *rules) {
  mx_custom *custom = mx_custom_new(rules);
  custom_call *c = custom ? mx_malloc(sizeof *c) : NULL;
  if (!c) {
    if (custom) {
      mx_fail_memory();
      mx_object_release(&custom->base);
    }
    return NULL;
  }
  *c = (custom_call){mx_object_retain(&f->base), custom};
  return mx_closure_new(custom_run, c, custom_call_free);
}

/* ---- rules of the node ---- */

/* res[i] = the i-th array of a rule's answer, kept by the scope. */
static int take_results(mx_scope *s, const char *rule, const char *what, mx_list *got, int n, mx_array **res) {
  int rc = 0;
  if (got->n != n) rc = mx_fail(MX_EVALUE, "[custom_function] The %s function gave %d arrays for %d %s.", rule, got->n, n, what);
  for (int i = 0; i < n && !rc; i++)
    if (got->at[i] && !mx_own(s, res[i] = mx_retain(got->at[i]))) rc = s->rc;
  mx_list_clear(got);
  return rc;
}

int vjp_custom(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  mx_custom *c = custom_of(node);
  int np = primals_of(node), nout = node->nout;
  if (!c->rules.vjp) {
    for (int k = 0; k < nout; k++) res[np + k] = cot[k];
    return 0;
  }
  mx_array **full = mx_slots_new(nout);
  if (!full) return MX_EMEMORY;
  for (int k = 0; k < nout; k++) full[k] = cot[k] ? cot[k] : mx_zeros_like(s, out[k]);
  mx_list got = {0};
  int rc = s->rc ? s->rc : c->rules.vjp(c->rules.payload, np, node->in, nout, full, nout, out, want, &got);
  mx_free(full);
  if (rc) {
    mx_list_clear(&got);
    return rc;
  }
  if ((rc = take_results(s, "vjp", "inputs", &got, np, res))) return rc;
  for (int i = 0; i < np; i++)
    if (res[i] && !mx_same_shape(res[i], node->in[i]))
      return mx_fail(MX_EVALUE, "[custom_function] The vjp function gave a cotangent of shape %s for input %d of shape %s.",
                     mx_shape_of(res[i]), i, mx_shape_of(node->in[i]));
  return 0;
}

int jvp_custom(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  mx_custom *c = custom_of(node);
  int np = primals_of(node), nout = node->nout, nt = 0;
  if (!c->rules.jvp) {
    for (int k = 0; k < nout; k++) res[k] = tan[np + k];
    return 0;
  }
  mx_array **t = mx_malloc((size_t)(np + 1) * (sizeof *t + sizeof(int)));
  if (!t) return mx_fail_memory();
  int *argnums = (int *)(t + np + 1);
  for (int i = 0; i < np; i++)
    if (tan[i]) t[nt] = tan[i], argnums[nt++] = i;
  mx_list got = {0};
  int rc = c->rules.jvp(c->rules.payload, np, node->in, nt, t, argnums, &got);
  mx_free(t);
  if (rc) {
    mx_list_clear(&got);
    return rc;
  }
  if ((rc = take_results(s, "jvp", "outputs", &got, nout, res))) return rc;
  for (int k = 0; k < nout; k++)
    if (res[k] && !mx_same_shape(res[k], out[k]))
      return mx_fail(MX_EVALUE, "[custom_function] The jvp function gave a tangent of shape %s for output %d of shape %s.",
                     mx_shape_of(res[k]), k, mx_shape_of(out[k]));
  return 0;
}

/* ---- rules over an added axis: the original rule, itself mapped ---- */

/* The rules of a mapped custom function. axes: those of the primals, then of the outputs (-1: not mapped). */
typedef struct batched {
  mx_custom *inner;
  int np, nout;
  const int *argnums; /* while jvp runs: the primals that have tangents */
  int nt;
  const bool *want; /* while vjp runs */
  int axis[];
} batched;

static void batched_free(void *p) {
  batched *b = p;
  mx_object_release(&b->inner->base);
  mx_free(b);
}

/* (primals..., cotangents..., outputs...) -> the inner vjp; what is not wanted is a zero that nobody computes */
static int inner_vjp(void *payload, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  batched *b = payload;
  mx_custom_rules *r = &b->inner->rules;
  int rc = r->vjp(r->payload, b->np, in, b->nout, in + b->np, b->nout, in + b->np + b->nout, b->want, out);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  for (int i = 0; i < b->np && i < out->n && !rc && !s.rc; i++)
    if (!out->at[i]) out->at[i] = mx_retain(mx_zeros_like(&s, in[i]));
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

/* (primals..., tangents...) -> the inner jvp */
static int inner_jvp(void *payload, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  batched *b = payload;
  mx_custom_rules *r = &b->inner->rules;
  return r->jvp(r->payload, b->np, in, b->nt, in + b->np, b->argnums, out);
}

/* f mapped over x; result k has its axis at res_axes[k], or, where that is -1, is summed over it if `sum`. */
static int map_rule(int (*call)(void *, int, mx_array *const *, mx_list *), batched *b, int n, mx_array *const *x, const int *axes,
                    const int *res_axes, int nres, bool sum, mx_list *res) {
  mx_closure f = {.base = {.refs = 1}, .call = call, .payload = b};
  mx_list in = {0}, out = {0}, full = {0};
  int *at = NULL, rc = mx_vmap_trace(&f, n, x, axes, &in, &out);
  if (!rc && out.n != nres) rc = mx_fail(MX_EVALUE, "[custom_function] A rule gave %d arrays, %d were expected.", out.n, nres);
  if (!rc && !(at = mx_malloc((size_t)(nres + 1) * sizeof *at))) rc = mx_fail_memory();
  for (int k = 0; k < nres && !rc; k++) at[k] = res_axes[k] < 0 ? 0 : res_axes[k];
  if (!rc) rc = mx_vmap_replace(n, x, in.at, axes, nres, out.at, at, &full);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  for (int k = 0; k < nres && !rc; k++) {
    mx_array *y = full.at[k];
    if (res_axes[k] < 0 && sum) y = mx_sum_axis(&s, y, 0, false);
    rc = y ? mx_list_push(res, y) : s.rc;
  }
  int end = mx_scope_end(&s);
  mx_free(at);
  mx_list_clear(&in);
  mx_list_clear(&out);
  mx_list_clear(&full);
  return rc ? rc : end;
}

static int batched_vjp(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *outputs,
                       const bool *want, mx_list *res) {
  batched *b = payload;
  int n = np + nc + no;
  mx_array **x = mx_malloc((size_t)n * (sizeof *x + sizeof(int)));
  if (!x) return mx_fail_memory();
  batched call = {.inner = b->inner, .np = np, .nout = b->nout, .want = want};
  int *axes = (int *)(x + n);
  memcpy(x, primals, (size_t)np * sizeof *x);
  memcpy(x + np, cot, (size_t)nc * sizeof *x);
  memcpy(x + np + nc, outputs, (size_t)no * sizeof *x);
  memcpy(axes, b->axis, (size_t)(np + nc) * sizeof *axes);
  memcpy(axes + np + nc, b->axis + np, (size_t)no * sizeof *axes);
  int rc = map_rule(inner_vjp, &call, n, x, axes, b->axis, np, true, res);
  mx_free(x);
  return rc;
}

static int batched_jvp(void *payload, int np, mx_array *const *primals, int nt, mx_array *const *tangents, const int *argnums,
                       mx_list *res) {
  batched *b = payload;
  int n = np + nt;
  mx_array **x = mx_malloc((size_t)n * (sizeof *x + sizeof(int)));
  batched *call = x ? mx_malloc(sizeof *call) : NULL;
  if (!call) {
    mx_free(x);
    return mx_fail_memory();
  }
  int *axes = (int *)(x + n);
  memcpy(x, primals, (size_t)np * sizeof *x);
  memcpy(x + np, tangents, (size_t)nt * sizeof *x);
  memcpy(axes, b->axis, (size_t)np * sizeof *axes);
  for (int i = 0; i < nt; i++) axes[np + i] = b->axis[argnums[i]];
  *call = (batched){.inner = b->inner, .np = np, .nout = b->nout, .argnums = argnums, .nt = nt};
  int rc = map_rule(inner_jvp, call, n, x, axes, b->axis + np, b->nout, false, res);
  mx_free(call);
  mx_free(x);
  return rc;
}

/* The function's own rule. */
static int vmap_by_rule(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_custom *c = custom_of(node);
  int np = primals_of(node), nout = node->nout;
  for (int k = 0; k < nout; k++) res_ax[k] = -1;
  mx_list got = {0};
  int rc = c->rules.vmap(c->rules.payload, np, in, ax, &got, res_ax, nout);
  if (rc) {
    mx_list_clear(&got);
    return rc;
  }
  if ((rc = take_results(s, "vmap", "outputs", &got, nout, res))) return rc;
  for (int k = 0; k < nout; k++)
    if (!res[k] || res_ax[k] >= res[k]->ndim)
      return mx_fail(MX_EVALUE, "[custom_function] The vmap function gave axis %d for output %d.", res_ax[k], k);
  return 0;
}

static mx_array *repeated(mx_scope *s, mx_array *x, int32_t size) {
  int shape[MX_MAX_NDIM + 1] = {size};
  for (int i = 0; i < x->ndim; i++) shape[i + 1] = x->shape[i];
  return mx_broadcast_to(s, x, shape, (size_t)x->ndim + 1);
}

int vmap_custom(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_custom *c = custom_of(node);
  if (c->rules.vmap) return vmap_by_rule(s, node, in, ax, res, res_ax);
  int np = primals_of(node), nout = node->nout;
  for (int k = 0; k < nout; k++) {
    res[k] = in[np + k];
    res_ax[k] = ax[np + k];
  }
  if (!c->rules.vjp && !c->rules.jvp) return 0;
  int32_t size = 0;
  for (int i = 0; i < node->nin; i++)
    if (ax[i] >= 0) size = in[i]->shape[ax[i]];
  for (int k = 0; k < nout; k++)
    if (ax[np + k] < 0) { /* every output is mapped, so that its cotangent is one an element of the axis */
      res[k] = repeated(s, in[np + k], size);
      res_ax[k] = 0;
    }
  if (s->rc) return s->rc;
  batched *b = mx_malloc(sizeof *b + (size_t)(np + nout) * sizeof *b->axis);
  mx_array **x = b ? mx_malloc((size_t)(np + nout) * sizeof *x) : NULL;
  if (!x) {
    mx_free(b);
    return mx_fail_memory();
  }
  *b = (batched){.inner = mx_object_retain(&c->base), .np = np, .nout = nout};
  memcpy(b->axis, ax, (size_t)np * sizeof *ax);
  memcpy(b->axis + np, res_ax, (size_t)nout * sizeof *ax);
  memcpy(x, in, (size_t)np * sizeof *x);
  memcpy(x + np, res, (size_t)nout * sizeof *x);
  mx_custom *mapped = mx_custom_new(&(mx_custom_rules){.vjp = c->rules.vjp ? batched_vjp : NULL,
                                                       .jvp = c->rules.jvp ? batched_jvp : NULL,
                                                       .payload = b,
                                                       .dtor = batched_free});
  int rc = mapped ? mx_node_multi(s, OP_custom, np + nout, x, 1, (int64_t[]){nout}, &mapped->base, nout, res) : MX_EMEMORY;
  if (mapped) mx_object_release(&mapped->base);
  mx_free(x);
  return rc;
}
