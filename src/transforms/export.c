/* Exported functions: traced, kept, and called again. */
#include "transforms/export.h"

#include <stdio.h>
#include <string.h>

#include "transforms/custom.h"

void mx_exported_clear(mx_exported *x) {
  mx_replay_release(x->replay);
  for (int i = 0; i < x->nkw && x->keyword; i++) mx_free(x->keyword[i]);
  mx_free(x->keyword);
  mx_free(x->input);
  *x = (mx_exported){0};
}

void mx_exports_clear(mx_exports *e) {
  for (int i = 0; i < e->n; i++) mx_exported_clear(&e->at[i]);
  mx_free(e->at);
  mx_free(e->metadata);
  *e = (mx_exports){0};
}

int mx_exports_push(mx_exports *e, mx_exported *x) {
  if (e->n == e->cap) {
    int cap = e->cap ? 2 * e->cap : 4;
    mx_exported *at = mx_realloc(e->at, (size_t)cap * sizeof *at);
    if (!at) {
      mx_exported_clear(x);
      return mx_fail_memory();
    }
    e->at = at;
    e->cap = cap;
  }
  e->at[e->n++] = *x;
  return 0;
}

const char *mx_export_layout(int op, size_t *len) {
  const char *doc = mx_ops[op].doc;
  *len = 0;
  if (op == OP_astype) doc = "p: dtype";
  else if (op == OP_custom) doc = "p: rules, then their graphs";
  else if (op == OP_loop) doc = "p: carry, elements, length, flags, then the graph";
  else if (mx_ops[op].kind == MX_CONTROL) doc = "p: none, then the graphs";
  else if (mx_is_reduction(op)) doc = "p: axes";
  else if (mx_is_elementwise(op)) doc = "p: none";
  while (doc[*len] && doc[*len] != ';') ++*len;
  return doc;
}

/* ---- tracing ---- */

/* Where rules give what the graph does, as those of checkpoint, the graph alone is kept. */
static int unwrap_customs(mx_replay *r) {
  int32_t *rep = mx_malloc(((size_t)r->nslot + 1) * sizeof *rep);
  if (!rep) return mx_fail_memory();
  int kept = 0;
  for (int i = 0; i < r->nslot; i++) rep[i] = i;
  for (int i = 0; i < r->n; i++) {
    mx_replay_node e = r->node[i];
    int32_t *in = r->in + e.in;
    for (int k = 0; k < e.proto->nin; k++) in[k] = rep[in[k]];
    if (e.proto->op != OP_custom || !mx_custom_is_transparent(e.proto)) {
      r->node[kept++] = e;
      continue;
    }
    for (int k = 0; k < e.proto->nout; k++) rep[e.slot + k] = in[e.proto->nin - e.proto->nout + k];
    mx_release(e.proto);
  }
  r->n = kept;
  for (int i = 0; i < r->nout; i++) r->out[i] = rep[r->out[i]];
  mx_free(rep);
  return 0;
}

static int trace(mx_replay **r, mx_closure *f, int n, mx_array *const *in, bool shapeless) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **args = mx_slots_new(n);
  int rc = args ? 0 : MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++)
    if (!(args[i] = mx_placeholder(&s, (mx_dtype)in[i]->dtype, in[i]->ndim, in[i]->shape))) rc = s.rc;
  *r = NULL;
  if (!rc) rc = mx_closure_call(f, n, args, &out);
  if (!rc)
    rc = shapeless ? mx_replay_new_recorded(r, n, args, out.n, out.at, false) : mx_replay_new(r, n, args, out.n, out.at, MX_PLACEHOLDER, false);
  if (!rc) rc = unwrap_customs(*r);
  if (!rc) rc = mx_replay_simplify(*r);
  mx_free(args);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

/* A gradient, tangent or map, whose rules are no data. */
static const mx_array *transform_in(const mx_replay *r) {
  for (int i = 0; i < r->n; i++)
    if (r->node[i].proto->op == OP_recorded && r->node[i].proto->object) return r->node[i].proto;
  return NULL;
}

static int serves_all_shapes(const mx_replay *r) {
  if (mx_replay_fits_all_shapes(r) && !transform_in(r)) return 0;
  const mx_array *bound = mx_replay_shape_bound(r);
  if (!bound) bound = transform_in(r);
  return mx_fail(MX_EVALUE, "[export_function] The function cannot be exported for all shapes (shapeless): %s%s.",
                 bound ? mx_ops[bound->op].label : "a number made from a shape", bound ? " was built for the shapes of this trace" : " is part of it");
}

static int to_nowhere(void *to, const void *bytes, size_t n) {
  (void)to, (void)bytes, (void)n;
  return 0;
}

/* Rules are code until they are traced, which is when they are written: what cannot be written is refused now. */
static int rules_can_be_written(const mx_exported *x, bool shapeless) {
  bool any = false;
  for (int i = 0; i < x->replay->n; i++) any |= x->replay->node[i].proto->op == OP_custom || mx_ops[x->replay->node[i].proto->op].kind == MX_CONTROL;
  if (!any) return 0;
  return mx_exports_write(&(mx_exports){.at = (mx_exported *)x, .n = 1, .shapeless = shapeless}, &(mx_sink){to_nowhere, NULL});
}

/* Constants are stored as data, so they are computed now. */
static int settle(mx_replay *r) { return mx_eval(r->nconst, r->constant); }

static int describe(mx_exported *x, int npos, int nkw, const char *const *keyword, mx_array *const *in) {
  x->npos = npos;
  x->nkw = nkw;
  x->keyword = mx_calloc((size_t)nkw + 1, sizeof *x->keyword);
  x->input = mx_calloc((size_t)(npos + nkw) + 1, sizeof *x->input);
  if (!x->keyword || !x->input) return mx_fail_memory();
  for (int i = 0; i < nkw; i++)
    if (!(x->keyword[i] = mx_strdup(keyword[i]))) return mx_fail_memory();
  for (int i = 0; i < npos + nkw; i++) {
    x->input[i].dtype = (mx_dtype)in[i]->dtype;
    x->input[i].ndim = in[i]->ndim;
    memcpy(x->input[i].shape, in[i]->shape, in[i]->ndim * sizeof(int32_t));
  }
  return 0;
}

static bool fits(const mx_aval *want, const mx_array *x, bool shapeless) {
  if (want->dtype != x->dtype || want->ndim != x->ndim) return false;
  for (int d = 0; d < x->ndim && !shapeless; d++)
    if (want->shape[d] != x->shape[d]) return false;
  return true;
}

static bool same_keywords(const mx_exported *x, int nkw, const char *const *keyword) {
  if (x->nkw != nkw) return false;
  for (int i = 0; i < nkw; i++)
    if (strcmp(x->keyword[i], keyword[i])) return false;
  return true;
}

int mx_exports_trace(mx_exports *e, mx_closure *f, int npos, int nkw, const char *const *keyword, mx_array *const *in) {
  for (int i = 0; i < e->n; i++) {
    bool same = e->at[i].npos == npos && same_keywords(&e->at[i], nkw, keyword);
    for (int k = 0; k < npos + nkw && same; k++) same = fits(&e->at[i].input[k], in[k], e->shapeless);
    if (same)
      return mx_fail(MX_ERUNTIME, "[export_function] Attempting to export a function twice with the same signature is not allowed.");
  }
  mx_exported x = {0};
  bool outer = mx_shape_used, rules = mx_rules_ran, wanted = mx_any_shape_wanted;
  mx_shape_used = mx_rules_ran = false;
  mx_any_shape_wanted = e->shapeless;
  int rc = trace(&x.replay, f, npos + nkw, in, e->shapeless);
  mx_any_shape_wanted = wanted;
  if (!rc && e->shapeless) rc = serves_all_shapes(x.replay);
  mx_shape_used = outer;
  mx_rules_ran |= rules;
  if (!rc) rc = settle(x.replay);
  if (!rc) rc = describe(&x, npos, nkw, keyword, in);
  if (!rc) rc = rules_can_be_written(&x, e->shapeless);
  if (!rc) return mx_exports_push(e, &x);
  mx_exported_clear(&x);
  return rc;
}

/* ---- calling ---- */

/* Where the inputs of a call go: those with a keyword to their places, the others in order. false: the trace does not fit. */
static bool arrange(const mx_exported *x, bool shapeless, int npos, int nkw, const char *const *keyword, mx_array *const *in,
                    mx_array **args) {
  int n = x->npos + x->nkw, next = npos;
  if (npos + nkw != n || npos > x->npos) return false;
  for (int i = 0; i < npos; i++) args[i] = in[i];
  for (int i = 0; i < nkw; i++) {
    int k = 0;
    while (k < x->nkw && strcmp(x->keyword[k], keyword[i])) k++;
    if (k == x->nkw && next == x->npos) return false;
    args[k < x->nkw ? x->npos + k : next++] = in[npos + i];
  }
  if (next != x->npos) return false;
  for (int i = 0; i < n; i++)
    if (!fits(&x->input[i], args[i], shapeless)) return false;
  return true;
}

typedef struct text {
  char at[1900];
  size_t n;
} text;

#define say(t, ...) ((t)->n += (size_t)snprintf((t)->at + (t)->n, sizeof(t)->at - (t)->n, __VA_ARGS__), (t)->n = (t)->n < sizeof(t)->at ? (t)->n : sizeof(t)->at - 1)

static void say_input(text *t, const char *margin, int i, const char *keyword, int ndim, const int32_t *shape, mx_dtype dtype) {
  if (keyword) say(t, "%s\"%s\": ", margin, keyword);
  else say(t, "%s%d: ", margin, i + 1);
  say(t, "%s %s\n", mx_shape_str(ndim, shape), mx_dtype_name(dtype));
}

static int no_match(const mx_exports *e, int npos, int nkw, const char *const *keyword, mx_array *const *in) {
  text t = {.n = 0};
  say(&t, "[import_function::call] No imported function found which matches the given positional and keyword arguments. "
          "Possible functions include:\n");
  for (int i = 0; i < e->n && i < 5; i++) {
    const mx_exported *x = &e->at[i];
    say(&t, " %d. Function with %d positional inputs and %d keyword inputs:\n", i + 1, x->npos, x->nkw);
    for (int k = 0; k < x->npos + x->nkw; k++)
      say_input(&t, "   ", k, k < x->npos ? NULL : x->keyword[k - x->npos], x->input[k].ndim, x->input[k].shape, x->input[k].dtype);
  }
  if (e->n > 5) say(&t, " and %d more.\n", e->n - 5);
  say(&t, "\nCalled with %d positional inputs and %d keyword inputs:\n", npos, nkw);
  for (int k = 0; k < npos + nkw; k++)
    say_input(&t, "  ", k, k < npos ? NULL : keyword[k - npos], in[k]->ndim, in[k]->shape, (mx_dtype)in[k]->dtype);
  return mx_fail(MX_EVALUE, "%s", t.at);
}

int mx_exports_call(const mx_exports *e, int npos, int nkw, const char *const *keyword, mx_array *const *in, mx_list *out) {
  mx_array **args = mx_slots_new(npos + nkw);
  if (!args) return MX_EMEMORY;
  const mx_replay *r = NULL;
  for (int i = 0; i < e->n && !r; i++)
    if (arrange(&e->at[i], e->shapeless, npos, nkw, keyword, in, args)) r = e->at[i].replay;
  int rc = r ? mx_replay_run(r, args, out) : no_match(e, npos, nkw, keyword, in);
  mx_free(args);
  return rc;
}
