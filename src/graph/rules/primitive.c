/* Rules of primitives registered at run time: the user's, or an error that names the primitive. */
#include "graph/primitive.h"
#include "graph/rules/help.h"

static int lacks(mx_scope *s, const char *rule, const mx_array *node) {
  mx_scope_fail(s, MX_EVALUE, "[Primitive::%s] Not implemented for %s.", rule, node->object ? mx_registered_of(node)->name : "a primitive");
  return s->rc;
}

static mx_primitive_site site_of(const mx_array *n, mx_array *const *in, mx_array *const *out) {
  return (mx_primitive_site){n->nin, n->nout, n->np - 1, in, out, n->p + 1};
}

/* res[i] = what the rule gave, owned by the scope. */
static int take(mx_scope *s, const mx_array *n, const char *rule, mx_list *got, int rc, int want, mx_array **res) {
  if (!rc && got->n != want)
    rc = mx_fail(MX_EVALUE, "[%s] The %s rule gave %d arrays, expected %d.", mx_registered_of(n)->name, rule, got->n, want);
  for (int i = 0; i < want && !rc; i++)
    if (!got->at[i] || !mx_own(s, res[i] = mx_retain(got->at[i]))) rc = got->at[i] ? s->rc : mx_fail(MX_EVALUE, "[%s] The %s rule gave an empty array.", mx_registered_of(n)->name, rule);
  mx_list_clear(got);
  return rc;
}

/* x, with zeros where there is nothing; like[i] has its shape and dtype. */
static mx_array **filled(mx_scope *s, int n, mx_array *const *x, mx_array *const *like) {
  mx_array **full = mx_malloc((size_t)(n + 1) * sizeof *full);
  if (!full) mx_scope_error(s, mx_fail_memory());
  for (int i = 0; full && i < n; i++) full[i] = x[i] ? x[i] : mx_zeros_like(s, like[i]);
  return full;
}

int vjp_primitive(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)want;
  mx_registered *r = mx_registered_of(node);
  if (!r || !r->rules.vjp) return lacks(s, "vjp", node);
  mx_primitive_site site = site_of(node, node->in, out);
  mx_array **full = filled(s, node->nout, cot, out);
  mx_list got = {0};
  int rc = s->rc ? s->rc : take(s, node, "vjp", &got, r->rules.vjp(r->rules.payload, &site, full, &got), node->nin, res);
  mx_free(full);
  return rc;
}

int jvp_primitive(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  mx_registered *r = mx_registered_of(node);
  if (r && !r->rules.jvp && r->rules.vjp) return jvp_derived(s, node, out, tan, res);
  if (!r || !r->rules.jvp) return lacks(s, "jvp", node);
  mx_primitive_site site = site_of(node, node->in, out);
  mx_array **full = filled(s, node->nin, tan, node->in);
  mx_list got = {0};
  int rc = s->rc ? s->rc : take(s, node, "jvp", &got, r->rules.jvp(r->rules.payload, &site, full, &got), node->nout, res);
  mx_free(full);
  for (int k = 0; k < node->nout && !rc; k++)
    if (!mx_same_shape(res[k], out[k]))
      rc = mx_fail(MX_EVALUE, "[%s] The jvp rule gave shape %s for output %d of shape %s.", r->name, mx_shape_of(res[k]), k, mx_shape_of(out[k]));
  return rc;
}

int vmap_primitive(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_registered *r = mx_registered_of(node);
  if (!r || !r->rules.vmap) return lacks(s, "vmap", node);
  mx_primitive_site site = site_of(node, in, NULL);
  mx_list got = {0};
  for (int k = 0; k < node->nout; k++) res_ax[k] = -1;
  int rc = take(s, node, "vmap", &got, r->rules.vmap(r->rules.payload, &site, ax, &got, res_ax), node->nout, res);
  for (int k = 0; k < node->nout && !rc; k++)
    if (res_ax[k] >= res[k]->ndim || res[k]->ndim != node->outs[k].ndim + (res_ax[k] >= 0))
      rc = mx_fail(MX_EVALUE, "[%s] The vmap rule gave shape %s and axis %d for output %d.", r->name, mx_shape_of(res[k]), res_ax[k], k);
  return rc;
}
