/* The rules that the tables name: see mx_op in graph.h for what each kind does, and the tables for the layout of parameters.
 * infer is called with whatever an imported file holds, so it trusts no parameter. */
#ifndef MX_GRAPH_RULES_H
#define MX_GRAPH_RULES_H

#include "graph/graph.h"

typedef int mx_infer_rule(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out);
typedef int mx_vjp_rule(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *cot, const bool *want,
                        mx_array **res);
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

/* For ops that are not linear and have no forward rule of their own: vjp, transposed again. Defined by transforms/. */
mx_jvp_rule jvp_derived;

/* VIEW ops: view_<name>, layout.c */
mx_view_rule view_reshape, view_transpose, view_slice, view_broadcast_to, view_expand_dims, view_squeeze, view_as_strided,
    view_view, view_copy, view_stop_gradient, view_pick;

/* Reductions: reduce.c */
mx_infer_rule infer_reduce;
mx_vmap_rule vmap_reduce;
#define REDUCE(name, ...) \
  mx_vjp_rule vjp_##name; \
  mx_jvp_rule jvp_##name;
#include "reduce.def"
#undef REDUCE

#endif
