/* Element-wise ops: shapes, gradients, batching. The derivatives themselves stand in ops/elementwise.def. */
#include <string.h>

#include "graph/graph.h"

/* ---- shape and dtype ---- */

int mx_broadcast_shape(int na, const int32_t *a, int nb, const int32_t *b, int *n, int32_t *shape) {
  int nd = na > nb ? na : nb;
  for (int i = 1; i <= nd; i++) {
    int32_t x = i <= na ? a[na - i] : 1, y = i <= nb ? b[nb - i] : 1;
    if (x != y && x != 1 && y != 1)
      return mx_fail(MX_EVALUE, "[broadcast_shapes] Shapes %s and %s cannot be broadcast.", mx_shape_str(na, a), mx_shape_str(nb, b));
    shape[nd - i] = x == 1 ? y : x;
  }
  *n = nd;
  return 0;
}

int infer_elementwise(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nout;
  const mx_array *first = in[0], *typed = in[nin - 1];
  out->ndim = first->ndim;
  memcpy(out->shape, first->shape, first->ndim * sizeof *out->shape);
  for (int i = 1; i < nin; i++) {
    if (in[i]->ndim == 0) continue;
    int rc = mx_broadcast_shape(out->ndim, out->shape, in[i]->ndim, in[i]->shape, &out->ndim, out->shape);
    if (rc) return rc;
  }
  if (op == OP_astype) {
    if (np != 1 || p[0] < 0 || p[0] >= MX_DTYPES) return mx_fail(MX_EVALUE, "[astype] %lld is no dtype.", np ? (long long)p[0] : -1);
    out->dtype = (mx_dtype)p[0];
    return 0;
  }
  for (int i = 0; i < nin; i++)
    if (in[i]->dtype != (op == OP_select && i == 0 ? MX_BOOL : typed->dtype))
      return mx_fail(MX_EVALUE, "[%s] The dtypes %s and %s do not fit.", mx_ops[op].name, mx_dtype_name(in[i]->dtype), mx_dtype_name(typed->dtype));
  if (!(mx_ops[op].dtypes & MX_BIT(typed->dtype)))
    return mx_fail(MX_EVALUE, "[%s] The dtype %s is not supported.", mx_ops[op].name, mx_dtype_name(typed->dtype));
  out->dtype = mx_result_dtype(op, typed->dtype);
  return 0;
}

/* ---- gradients ---- */

/* Derivatives that are no arrays: the cotangent itself, its negative, nothing. */
static mx_array one_tag, neg_tag, zero_tag;
#define ONE (&one_tag)
#define NEG (&neg_tag)
#define ZERO (&zero_tag)
#define K(c) mx_const_like(S, X, c)
#define ADD(a, b) mx_add(S, a, b)
#define SUB(a, b) mx_subtract(S, a, b)
#define MUL(a, b) mx_multiply(S, a, b)
#define DIV(a, b) mx_divide(S, a, b)
#define POW(a, b) mx_power(S, a, b)
#define RECIP(a) mx_reciprocal(S, a)
#define NEGATE(a) mx_negative(S, a)
#define SQUARE(a) mx_square(S, a)
#define RSQRT(a) mx_rsqrt(S, a)
#define EXP(a) mx_exp(S, a)
#define LOG(a) mx_log(S, a)
#define SIN(a) mx_sin(S, a)
#define COS(a) mx_cos(S, a)
#define SINH(a) mx_sinh(S, a)
#define COSH(a) mx_cosh(S, a)
#define SIGN(a) mx_sign(S, a)
#define COPYSIGN(a, b) mx_copysign(S, a, b)
#define FLOORDIV(a, b) mx_floor_divide(S, a, b)
#define GREATER(a, b) mx_greater(S, a, b)
#define GREATEREQ(a, b) mx_greater_equal(S, a, b)
#define LESS(a, b) mx_less(S, a, b)
#define LESSEQ(a, b) mx_less_equal(S, a, b)
#define EQUAL(a, b) mx_equal(S, a, b)
#define SELECT(c, a, b) mx_where(S, c, a, b)
#define CAST(a) mx_astype(S, a, X->dtype)
#define ABS_DX mx_conjugate(S, mx_sign(S, X))

#define ARGS mx_scope *S, mx_array *X, mx_array *Y, mx_array *R
#define UNUSED (void)S, (void)X, (void)Y, (void)R
#define UNARY(name, label, types, res, dx, body, doc) static mx_array *dx_##name(ARGS) { UNUSED; return dx; }
#define BINARY(name, label, types, res, dx, dy, body, doc) \
  static mx_array *dx_##name(ARGS) { UNUSED; return dx; }  \
  static mx_array *dy_##name(ARGS) { UNUSED; return dy; }
#define UNARY_OWN(...)
#define TERNARY(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef UNARY_OWN
#undef TERNARY

static mx_array *(*const derivative[OP_elementwise_end][2])(ARGS) = {
#define UNARY(name, ...) [OP_##name] = {dx_##name},
#define BINARY(name, ...) [OP_##name] = {dx_##name, dy_##name},
#define UNARY_OWN(...)
#define TERNARY(...)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef UNARY_OWN
#undef TERNARY
};

static mx_array *derivative_of(mx_scope *s, const mx_array *n, mx_array *out, int i) {
  return derivative[n->op][i](s, n->in[0], n->nin > 1 ? n->in[1] : NULL, out);
}

mx_array *mx_unbroadcast(mx_scope *s, mx_array *x, const mx_array *like) {
  if (!x || mx_same_shape(x, like)) return x;
  int axes[MX_MAX_NDIM], n = 0, extra = x->ndim - like->ndim;
  for (int i = 0; i < x->ndim; i++)
    if (i < extra || (like->shape[i - extra] == 1 && x->shape[i] != 1)) axes[n++] = i;
  if (n) x = mx_sum_axes(s, x, axes, (size_t)n, true);
  return extra ? mx_reshape(s, x, like->shape, like->ndim) : x;
}

/* The derivative of z/|z|, forward or back: what of t turns z, by |z|. At 0 it is 0. */
static mx_array *turning(mx_scope *s, mx_array *z, mx_array *sign, mx_array *t) {
  mx_array *r = mx_abs(s, z), *zero = mx_const_like(s, r, 0), *none = mx_equal(s, r, zero);
  mx_array *inverse = mx_where(s, none, zero, mx_reciprocal(s, mx_where(s, none, mx_const_like(s, r, 1), r)));
  mx_array *along = mx_multiply(s, sign, mx_astype(s, mx_real(s, mx_multiply(s, mx_conjugate(s, sign), t)), MX_C64));
  return mx_multiply(s, mx_subtract(s, t, along), mx_astype(s, inverse, MX_C64));
}
static bool is_complex_sign(const mx_array *n) { return n->op == OP_sign && mx_is_complex(n->dtype); }

int vjp_elementwise(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  for (int i = 0; i < n->nin; i++) {
    res[i] = NULL;
    if (!want[i] || !cot[0]) continue;
    if (is_complex_sign(n)) {
      res[i] = turning(s, n->in[0], out[0], cot[0]);
      continue;
    }
    mx_array *d = derivative_of(s, n, out[0], i), *g;
    if (d == ZERO) continue;
    if (d == ONE) g = cot[0];
    else if (d == NEG) g = mx_negative(s, cot[0]);
    else g = mx_multiply(s, cot[0], d && mx_is_complex(d->dtype) ? mx_conjugate(s, d) : d);
    res[i] = mx_unbroadcast(s, g ? mx_astype(s, g, n->in[i]->dtype) : NULL, n->in[i]);
  }
  return s->rc;
}

static mx_array *tangent_sum(mx_scope *s, mx_array *a, mx_array *b) { return a ? (b ? mx_add(s, a, b) : a) : b; }

int jvp_elementwise(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  mx_array *sum = NULL;
  for (int i = 0; i < n->nin; i++) {
    if (!tan[i]) continue;
    if (is_complex_sign(n)) {
      res[0] = turning(s, n->in[0], out[0], tan[0]);
      return s->rc;
    }
    mx_array *d = derivative_of(s, n, out[0], i), *t = tan[i];
    if (d == ZERO) continue;
    if (d == NEG) t = mx_negative(s, t);
    else if (d != ONE) t = mx_multiply(s, t, d);
    if (t && mx_is_complex(t->dtype) && !mx_is_complex(n->dtype)) t = mx_real(s, t);
    sum = tangent_sum(s, sum, t);
  }
  if (sum && !mx_same_shape(sum, n)) sum = mx_broadcast_to(s, sum, n->shape, n->ndim);
  res[0] = sum;
  return s->rc;
}

/* ---- ops with rules of their own ---- */

int vjp_real(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)want;
  res[0] = cot[0] ? mx_astype(s, cot[0], n->in[0]->dtype) : NULL;
  return s->rc;
}
int jvp_real(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)n, (void)out;
  res[0] = tan[0] ? mx_real(s, tan[0]) : NULL;
  return s->rc;
}

static mx_array *imaginary_unit(mx_scope *s) {
  mx_c64 i = 1.0f * _Complex_I;
  return mx_own(s, mx_array_scalar(MX_C64, &i));
}
int vjp_imag(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)want;
  bool real = !mx_is_complex(n->in[0]->dtype);
  res[0] = cot[0] && !real ? mx_multiply(s, cot[0], imaginary_unit(s)) : NULL;
  return s->rc;
}
int jvp_imag(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)n, (void)out;
  res[0] = tan[0] ? mx_imag(s, tan[0]) : NULL;
  return s->rc;
}

int vjp_conjugate(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)n, (void)out, (void)want;
  res[0] = cot[0] ? mx_conjugate(s, cot[0]) : NULL;
  return s->rc;
}
int jvp_conjugate(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)n, (void)out;
  res[0] = tan[0] ? mx_conjugate(s, tan[0]) : NULL;
  return s->rc;
}

int vjp_astype(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out, (void)want;
  res[0] = cot[0] ? mx_astype(s, cot[0], n->in[0]->dtype) : NULL;
  return s->rc;
}
int jvp_astype(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)out;
  res[0] = tan[0] ? mx_astype(s, tan[0], n->dtype) : NULL;
  return s->rc;
}

int vjp_select(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out;
  res[0] = res[1] = res[2] = NULL;
  if (!cot[0]) return 0;
  mx_array *zero = mx_const_like(s, cot[0], 0);
  if (want[1]) res[1] = mx_unbroadcast(s, mx_where(s, n->in[0], cot[0], zero), n->in[1]);
  if (want[2]) res[2] = mx_unbroadcast(s, mx_where(s, n->in[0], zero, cot[0]), n->in[2]);
  return s->rc;
}
int jvp_select(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)out;
  res[0] = NULL;
  if (!tan[1] && !tan[2]) return 0;
  mx_array *zero = mx_const_like(s, n->in[1], 0);
  mx_array *t = mx_where(s, n->in[0], tan[1] ? tan[1] : zero, tan[2] ? tan[2] : zero);
  res[0] = t && !mx_same_shape(t, n) ? mx_broadcast_to(s, t, n->shape, n->ndim) : t;
  return s->rc;
}

/* ---- batching ---- */

mx_array *mx_batch_front(mx_scope *s, mx_array *x, int ax) {
  return ax < 0 ? mx_expand_dims(s, x, 0) : ax == 0 ? x : mx_moveaxis(s, x, ax, 0);
}

/* Mapped inputs get their extra axis in front, then size-1 dimensions up to the result's number. */
static mx_array *aligned(mx_scope *s, mx_array *x, int ax, int ndim) {
  x = mx_batch_front(s, x, ax);
  int axes[MX_MAX_NDIM], missing = x ? ndim + 1 - x->ndim : 0;
  for (int i = 0; i < missing; i++) axes[i] = 1 + i;
  return missing > 0 ? mx_expand_dims_axes(s, x, axes, (size_t)missing) : x;
}

int vmap_elementwise(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int at = -1;
  bool easy = true; /* one axis for all mapped inputs, and nothing that broadcasting would misplace */
  for (int i = 0; i < n->nin; i++) {
    if (ax[i] < 0) {
      easy &= in[i]->ndim == 0;
      continue;
    }
    easy &= (at < 0 || at == ax[i]) && in[i]->ndim == n->ndim + 1;
    at = ax[i];
  }
  mx_array *b[3] = {0};
  for (int i = 0; i < n->nin; i++) b[i] = easy || ax[i] < 0 ? in[i] : aligned(s, in[i], ax[i], n->ndim);
  res[0] = mx_node_again(s, n, b);
  *res_ax = easy ? at : 0;
  return s->rc;
}
