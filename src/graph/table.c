/* mx_ops: the tables of ops/ as one record an op. */
#include "graph/graph.h"

/* The rules that rows name. */
#define INFER(f) int f(int, int, mx_array *const *, int, const int64_t *, int, mx_aval *)
#define VJP(f) int f(mx_scope *, const mx_array *, mx_array *const *, mx_array *const *, const bool *, mx_array **)
#define JVP(f) int f(mx_scope *, const mx_array *, mx_array *const *, mx_array *const *, mx_array **)
#define VMAP(f) int f(mx_scope *, const mx_array *, mx_array *const *, const int *, mx_array **, int *)
#define VIEW_RULE(f) bool f(const mx_array *, const mx_array *, int64_t *, int64_t *)

INFER(infer_elementwise);
INFER(infer_reduce);
VJP(vjp_elementwise);
JVP(jvp_elementwise);
VMAP(vmap_elementwise);
VMAP(vmap_reduce);

#define UNARY_OWN(name, ...) VJP(vjp_##name); JVP(jvp_##name);
#define TERNARY(name, ...) VJP(vjp_##name); JVP(jvp_##name);
#define UNARY(...)
#define BINARY(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef UNARY_OWN
#undef TERNARY
#define REDUCE(name, ...) VJP(vjp_##name); JVP(jvp_##name);
#include "reduce.def"
#undef REDUCE
#define DECLARE_VIEW(name) VIEW_RULE(view_##name);
#define DECLARE_ALIAS(name)
#define DECLARE_KERNEL(name)
#define DECLARE_CONTROL(name)
#define OP(name, label, kind, nin, nout, inplace, infer, vjp, jvp, vmap, doc) \
  INFER(infer); VJP(vjp); JVP(jvp); VMAP(vmap); DECLARE_##kind(name)
#include "structured.def"
#undef OP

#define RULE_VIEW(name) view_##name
#define RULE_ALIAS(name) NULL
#define RULE_KERNEL(name) NULL
#define RULE_CONTROL(name) NULL

const mx_op mx_ops[MX_OPS] = {
#define UNARY(name, label, types, res, dx, body, doc) \
  [OP_##name] = {#name, #label, MX_ELEMENTWISE, 1, 1, 0, MX_RESULT_##res, types, infer_elementwise, vjp_elementwise, jvp_elementwise, vmap_elementwise, NULL, doc},
#define UNARY_OWN(name, label, types, res, body, doc) \
  [OP_##name] = {#name, #label, MX_ELEMENTWISE, 1, 1, 0, MX_RESULT_##res, types, infer_elementwise, vjp_##name, jvp_##name, vmap_elementwise, NULL, doc},
#define BINARY(name, label, types, res, dx, dy, body, doc) \
  [OP_##name] = {#name, #label, MX_ELEMENTWISE, 2, 1, 0, MX_RESULT_##res, types, infer_elementwise, vjp_elementwise, jvp_elementwise, vmap_elementwise, NULL, doc},
#define TERNARY(name, label, types, res, body, doc) \
  [OP_##name] = {#name, #label, MX_ELEMENTWISE, 3, 1, 0, MX_RESULT_##res, types, infer_elementwise, vjp_##name, jvp_##name, vmap_elementwise, NULL, doc},
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef UNARY_OWN
#undef TERNARY
#define REDUCE(name, label, types, res, start, step, doc) \
  [OP_##name] = {#name, #label, MX_REDUCTION, 1, 1, -1, MX_RESULT_##res, types, infer_reduce, vjp_##name, jvp_##name, vmap_reduce, NULL, doc},
#include "reduce.def"
#undef REDUCE
#define OP(name, label, kind, nin, nout, inplace, infer, vjp, jvp, vmap, doc) \
  [OP_##name] = {#name, #label, MX_##kind, nin, nout, inplace, MX_RESULT_SAME, MX_T_ANY, infer, vjp, jvp, vmap, RULE_##kind(name), doc},
#include "structured.def"
#undef OP
};
