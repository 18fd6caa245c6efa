/* The rules that the tables name: see mx_op in graph.h for what each kind does, and the tables for the layout of parameters.
 * infer is called with whatever an imported file holds, so it trusts no parameter. */
#ifndef MX_GRAPH_RULES_H
#define MX_GRAPH_RULES_H

#include "graph/graph.h"

typedef int mx_infer_rule(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out);
typedef int mx_vjp_rule(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res);
typedef int mx_jvp_rule(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res);
typedef int mx_vmap_rule(mx_scope *s, const mx_array *node, mx_array *const *in, const int *ax, mx_array **res, int *res_ax);
typedef bool mx_view_rule(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset);

#define OP(name, label, kind, nin, nout, inplace, infer, vjp, jvp, vmap, doc) \
  mx_infer_rule infer;                                                        \
  mx_vjp_rule vjp;                                                            \
  mx_jvp_rule jvp;                                                            \
  mx_vmap_rule vmap;
#include "structured.def"
#undef OP

/* VIEW ops: view_<name>, views.c */
mx_view_rule view_reshape, view_transpose, view_slice, view_broadcast_to, view_expand_dims, view_squeeze, view_as_strided, view_view,
    view_copy, view_stop_gradient, view_pick;

/* Reductions: RULES_<name> are the vjp and jvp of the row; infer_reduce and vmap_reduce serve all. reduce.c */
mx_infer_rule infer_reduce;
mx_vmap_rule vmap_reduce;
mx_vjp_rule vjp_sum, vjp_prod, vjp_minmax;
mx_jvp_rule jvp_prod, jvp_minmax;
#define RULES_sum vjp_sum, jvp_linear
#define RULES_prod vjp_prod, jvp_prod
#define RULES_max vjp_minmax, jvp_minmax
#define RULES_min vjp_minmax, jvp_minmax
#define RULES_all vjp_none, jvp_none
#define RULES_any vjp_none, jvp_none

#endif
