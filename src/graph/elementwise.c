/* Building element-wise nodes: which dtype the operands are brought to. */
#include "graph/graph.h"

/* The dtype in which op computes operands of dtype t; MX_DTYPES when it refuses them. */
static mx_dtype computed_in(int op, mx_dtype t) {
  uint32_t ok = mx_ops[op].dtypes;
  if (ok & MX_BIT(t)) return t;
  if (ok == MX_T_BOOL) return MX_BOOL;
  if (t == MX_BOOL && ok == MX_T_INT) return MX_U8; /* shifts */
  if ((MX_T_BITS & MX_BIT(t)) && !(ok & MX_T_INT)) return MX_F32;
  return MX_DTYPES;
}

static mx_array *refuse(mx_scope *s, int op, mx_dtype t) {
  const char *name = mx_ops[op].name;
  if (op == OP_negative) return mx_scope_fail(s, MX_EVALUE, "[negative] Not supported for bool, use logical_not instead.");
  if (mx_ops[op].dtypes == MX_T_BITS || mx_ops[op].dtypes == MX_T_INT)
    return mx_scope_fail(s, op == OP_bitwise_invert ? MX_EVALUE : MX_ERUNTIME /* as MLX */,
                         "[%s] Only integers and booleans are allowed, got %s.", name, mx_dtype_name(t));
  return mx_scope_fail(s, MX_EVALUE, "[%s] The dtype %s is not supported.", name, mx_dtype_name(t));
}

static mx_array *unary(mx_scope *s, mx_opcode op, mx_array *x) {
  if (!x || s->rc) return mx_scope_error(s, mx_error_kind());
  mx_dtype t = computed_in(op, x->dtype);
  if (t == MX_DTYPES) return refuse(s, op, x->dtype);
  if (t != x->dtype) x = mx_astype(s, x, t);
  return mx_node(s, op, 1, &x, 0, NULL);
}

static mx_array *binary(mx_scope *s, mx_opcode op, mx_array *x, mx_array *y) {
  if (!x || !y || s->rc) return mx_scope_error(s, mx_error_kind());
  mx_dtype p = mx_promote(x->dtype, y->dtype), t = computed_in(op, p);
  if (t == MX_DTYPES) return refuse(s, op, p);
  mx_array *in[2] = {mx_astype(s, x, t), mx_astype(s, y, t)};
  return mx_node(s, op, 2, in, 0, NULL);
}

#define UNARY(name, ...) mx_array *mx_##name(mx_scope *s, mx_array *x) { return unary(s, OP_##name, x); }
#define BINARY(name, ...) mx_array *mx_##name(mx_scope *s, mx_array *x, mx_array *y) { return binary(s, OP_##name, x, y); }
#define UNARY_OWN(...)
#define TERNARY(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef UNARY_OWN
#undef TERNARY

mx_array *mx_real(mx_scope *s, mx_array *x) { return x && !mx_is_complex(x->dtype) ? x : unary(s, OP_real, x); }
mx_array *mx_imag(mx_scope *s, mx_array *x) { return unary(s, OP_imag, x); }
mx_array *mx_conjugate(mx_scope *s, mx_array *x) { return x && !mx_is_complex(x->dtype) ? x : unary(s, OP_conjugate, x); }

mx_array *mx_astype(mx_scope *s, mx_array *x, mx_dtype t) {
  if (!x || x->dtype == t) return x;
  int64_t p = t;
  return mx_node(s, OP_astype, 1, &x, 1, &p);
}

mx_array *mx_where(mx_scope *s, mx_array *condition, mx_array *x, mx_array *y) {
  if (!condition || !x || !y || s->rc) return mx_scope_error(s, mx_error_kind());
  mx_dtype t = mx_promote(x->dtype, y->dtype);
  mx_array *in[3] = {mx_astype(s, condition, MX_BOOL), mx_astype(s, x, t), mx_astype(s, y, t)};
  return mx_node(s, OP_select, 3, in, 0, NULL);
}

mx_array *mx_scalar(mx_scope *s, mx_dtype t, double v) { return mx_own(s, mx_array_float(t, v)); }
mx_array *mx_int(mx_scope *s, mx_dtype t, int64_t v) { return mx_own(s, mx_array_int(t, v)); }
mx_array *mx_const_like(mx_scope *s, mx_array *x, double v) { return x ? mx_scalar(s, x->dtype, v) : NULL; }

int mx_norm_axis(const char *tag, int axis, int ndim, int *res) {
  if (axis < -ndim || axis >= ndim)
    return mx_fail(MX_EAXIS, "[%s] Axis %d is out of bounds for array with %d dimensions.", tag, axis, ndim);
  *res = axis < 0 ? axis + ndim : axis;
  return 0;
}
