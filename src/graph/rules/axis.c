/* Scans, sorts, softmax, logsumexp: ops along one axis. */
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name)  int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define UNUSED     (void)op, (void)nin, (void)nout, (void)np, (void)p
#define UNUSED_VJP (void)out, (void)want

/* ---- scans: p = axis, reverse, inclusive ---- */

INFER(scan) {
  UNUSED;
  NEED(op, np, 3);
  int rc = mx_check_axis(op, p[0], in[0]->ndim);
  if (!rc) mx_aval_of(out, in[0]);
  return rc;
}

/* The scan op of n in the other direction. */
static mx_array *back(mx_scope *s, const mx_array *n, mx_opcode op, mx_array *x) {
  return mx_node1(s, op, x, 3, (int64_t[]){n->p[0], !n->p[1], n->p[2]});
}
static mx_array *forth(mx_scope *s, const mx_array *n, mx_opcode op, mx_array *x) { return mx_node1(s, op, x, 3, n->p); }

VJP(cumsum) {
  UNUSED_VJP;
  res[0] = back(s, n, OP_cumsum, cot[0]);
  return s->rc;
}

/* Before the first zero of the axis the gradient is a sum of cotangent times product over x; at the first zero it is the same sum
 * with that zero left out of the products; behind it there is none. */
typedef struct zeros {
  mx_array *first;  /* whether it is the first zero */
  mx_array *behind; /* whether a zero stands before it */
  mx_array *safe;   /* x with 1 for every zero */
  mx_array *rest;   /* the scan of x with 1 for the first zero */
} zeros;

static zeros find_zeros(mx_scope *s, const mx_array *n) {
  mx_array *x = n->in[0], *one = mx_const_like(s, x, 1), *zero = mx_equal(s, x, mx_const_like(s, x, 0));
  mx_array *seen = mx_node1(s, OP_cumsum, zero ? mx_astype(s, zero, MX_I32) : NULL, 3, (int64_t[]){n->p[0], n->p[1], 1});
  if (!seen) return (zeros){0};
  zeros z = {.first = mx_logical_and(s, zero, mx_equal(s, seen, mx_int(s, MX_I32, 1)))};
  z.behind = mx_logical_and(s, mx_greater(s, seen, mx_int(s, MX_I32, 0)), mx_logical_not(s, z.first));
  z.safe = mx_where(s, zero, one, x);
  z.rest = forth(s, n, OP_cumprod, mx_where(s, z.first, one, x));
  return z;
}

VJP(cumprod) {
  (void)want;
  zeros z = find_zeros(s, n);
  if (!z.rest) return s->rc;
  mx_array *plain = mx_divide(s, back(s, n, OP_cumsum, mx_multiply(s, cot[0], mx_conjugate(s, out[0]))), mx_conjugate(s, z.safe));
  mx_array *at = back(s, n, OP_cumsum, mx_multiply(s, cot[0], mx_conjugate(s, z.rest))),
           *none = at ? mx_const_like(s, at, 0) : NULL;
  mx_array *g = none ? mx_where(s, z.first, at, mx_where(s, z.behind, none, plain)) : NULL;
  res[0] = g ? mx_astype(s, g, n->in[0]->dtype) : NULL;
  return s->rc;
}

/* The index that each element of cummax or cummin was taken from: of equals the one the scan met last. */
static mx_array *taken_from(mx_scope *s, const mx_array *n) {
  int axis = (int)n->p[0], dim = n->shape[axis], ones[MX_MAX_NDIM];
  bool reverse = n->p[1];
  for (int i = 0; i < n->ndim; i++) ones[i] = i == axis ? dim : 1;
  mx_array *at = mx_reshape(s, mx_arange(s, 0, dim, 1, MX_I32), ones, n->ndim);
  mx_array *run = mx_node1(s, n->op, n->in[0], 3, (int64_t[]){axis, reverse, 1});
  mx_array *hit = run ? mx_equal(s, n->in[0], run) : NULL;
  if (!hit) return NULL;
  at = mx_where(s, hit, at, mx_int(s, MX_I32, reverse ? dim - 1 : 0));
  return mx_stop_gradient(s, mx_node1(s, reverse ? OP_cummin : OP_cummax, at, 3, (int64_t[]){axis, reverse, 1}));
}

/* x moved by one place along the axis, against the scan (or with it), zeros entering: what an exclusive scan shifts. */
static mx_array *shifted(mx_scope *s, const mx_array *n, mx_array *x, bool with) {
  int axis = (int)n->p[0], dim = n->shape[axis];
  if (!x || dim == 0) return x;
  bool up = with != (n->p[1] != 0); /* towards higher indices */
  mx_array *kept = up ? mx_slice_axis(s, x, axis, 0, dim - 1) : mx_slice_axis(s, x, axis, 1, dim);
  int one = 1, none = 0;
  return mx_pad(s, kept, &axis, 1, up ? &one : &none, 1, up ? &none : &one, 1, mx_const_like(s, x, 0), "constant");
}

static int vjp_extreme(mx_scope *s, const mx_array *n, mx_array *const *cot, mx_array **res) {
  mx_array *from = taken_from(s, n), *c = n->p[2] ? cot[0] : shifted(s, n, cot[0], false);
  res[0] = from && c
               ? mx_node(s, OP_scatter_axis, 3, (mx_array *[]){mx_zeros_like(s, n->in[0]), from, c}, 2, (int64_t[]){n->p[0], 1})
               : NULL;
  return s->rc;
}
static int jvp_extreme(mx_scope *s, const mx_array *n, mx_array *const *tan, mx_array **res) {
  res[0] = NULL;
  if (!tan[0]) return 0;
  mx_array *t = mx_node2(s, OP_gather_axis, tan[0], taken_from(s, n), 1, n->p);
  res[0] = n->p[2] ? t : shifted(s, n, t, true);
  return s->rc;
}
VJP(cummax) {
  UNUSED_VJP;
  return vjp_extreme(s, n, cot, res);
}
VJP(cummin) {
  UNUSED_VJP;
  return vjp_extreme(s, n, cot, res);
}
JVP(cummax) {
  (void)out;
  return jvp_extreme(s, n, tan, res);
}
JVP(cummin) {
  (void)out;
  return jvp_extreme(s, n, tan, res);
}

/* log(c) where c > 0, else -inf; with a finite derivative everywhere. */
static mx_array *log_of_positive(mx_scope *s, mx_array *c) {
  mx_array *zero = mx_const_like(s, c, 0), *positive = mx_greater(s, c, zero);
  return mx_where(s, positive, mx_log(s, mx_where(s, positive, c, mx_const_like(s, c, 1))),
                  mx_const_like(s, c, -__builtin_inf()));
}

/* exp(a + scan of log c + b), for c split by its sign: sums of large exponentials without overflow. */
typedef mx_array *(*log_scan)(mx_scope *, const mx_array *, mx_array *x, mx_array *r, mx_array *log_c);
static mx_array *by_sign(mx_scope *s, const mx_array *n, mx_array *r, mx_array *c, log_scan f) {
  mx_array *up = f(s, n, n->in[0], r, log_of_positive(s, c)), *down = f(s, n, n->in[0], r, log_of_positive(s, mx_negative(s, c)));
  return up && down ? mx_subtract(s, mx_exp(s, up), mx_exp(s, down)) : NULL;
}
static mx_array *lcse_back(mx_scope *s, const mx_array *n, mx_array *x, mx_array *r, mx_array *lc) {
  mx_array *sum = lc ? back(s, n, OP_logcumsumexp, mx_subtract(s, lc, r)) : NULL;
  return sum ? mx_add(s, x, sum) : NULL;
}
static mx_array *lcse_forth(mx_scope *s, const mx_array *n, mx_array *x, mx_array *r, mx_array *lc) {
  mx_array *sum = lc ? forth(s, n, OP_logcumsumexp, mx_add(s, x, lc)) : NULL;
  return sum ? mx_subtract(s, sum, r) : NULL;
}

/* A sum of nothing, or of exp(-inf), is -inf: a finite number there keeps NaN away. */
static mx_array *finite(mx_scope *s, mx_array *r) {
  return mx_where(s, mx_equal(s, r, mx_const_like(s, r, -__builtin_inf())), mx_const_like(s, r, 0), r);
}

VJP(logcumsumexp) {
  (void)want;
  mx_array *r = finite(s, out[0]);
  res[0] = cot[0] ? by_sign(s, n, r, cot[0], lcse_back) : NULL;
  return s->rc;
}
JVP(logcumsumexp) {
  mx_array *r = finite(s, out[0]);
  res[0] = tan[0] ? by_sign(s, n, r, tan[0], lcse_forth) : NULL;
  return s->rc;
}

/* Tangent of cumprod: that of x_i enters all later products. With zeros: product without the first zero, where it has one. */
JVP(cumprod) {
  res[0] = NULL;
  if (!tan[0]) return 0;
  zeros z = find_zeros(s, n);
  if (!z.rest) return s->rc;
  mx_array *none = mx_const_like(s, n->in[0], 0);
  /* before the first zero: out * sum t/x. From it on: rest * t(first zero), as every other term has the zero as a factor. */
  mx_array *before = mx_logical_not(s, mx_logical_or(s, z.first, z.behind));
  mx_array *ratio = mx_where(s, before, mx_divide(s, tan[0], z.safe), none), *of_zero = mx_where(s, z.first, tan[0], none);
  mx_array *a = mx_multiply(s, out[0], forth(s, n, OP_cumsum, ratio)),
           *b = mx_multiply(s, z.rest, forth(s, n, OP_cumsum, of_zero));
  res[0] = a && b ? mx_add(s, a, b) : NULL;
  return s->rc;
}

/* ---- sorts: p = axis (, kth) ---- */

INFER(argsort) {
  UNUSED;
  NEED(op, np, op == OP_argpartition ? 2 : 1);
  int rc = mx_check_axis(op, p[0], in[0]->ndim);
  if (rc) return rc;
  if (op == OP_argpartition && (p[1] < 0 || p[1] >= in[0]->shape[p[0]]))
    return mx_fail(MX_EVALUE, "[argpartition] Received invalid kth %lld for shape %s.", (long long)p[1], mx_shape_of(in[0]));
  mx_aval_of(out, in[0]);
  out->dtype = MX_U32;
  return 0;
}

static mx_array *order_of(mx_scope *s, const mx_array *n) {
  return mx_stop_gradient(s, mx_node1(s, n->op == OP_sort ? OP_argsort : OP_argpartition, n->in[0], n->np, n->p));
}

VJP(sort) {
  UNUSED_VJP;
  mx_array *order = order_of(s, n);
  res[0] = order && cot[0] ? mx_node(s, OP_scatter_axis, 3, (mx_array *[]){mx_zeros_like(s, n->in[0]), order, cot[0]}, 2,
                                     (int64_t[]){n->p[0], 0})
                           : NULL;
  return s->rc;
}

JVP(sort) {
  (void)out;
  res[0] = tan[0] ? mx_node2(s, OP_gather_axis, tan[0], order_of(s, n), 1, n->p) : NULL;
  return s->rc;
}

/* ---- softmax and logsumexp, along the last axis ---- */

static mx_array *sum_last(mx_scope *s, mx_array *x) { return x ? mx_sum_axis(s, x, -1, true) : NULL; }

VJP(softmax) {
  (void)n, (void)want;
  mx_array *r = out[0], *g = cot[0] ? mx_multiply(s, cot[0], r) : NULL;
  res[0] = g ? mx_subtract(s, g, mx_multiply(s, r, sum_last(s, g))) : NULL;
  return s->rc;
}

JVP(softmax) {
  (void)n;
  mx_array *r = out[0], *g = tan[0] ? mx_multiply(s, tan[0], r) : NULL;
  res[0] = g ? mx_subtract(s, g, mx_multiply(s, r, sum_last(s, g))) : NULL;
  return s->rc;
}

INFER(logsumexp) {
  UNUSED;
  mx_aval_of(out, in[0]);
  if (out->ndim == 0) return mx_fail(MX_EVALUE, "[logsumexp] The array has no axis.");
  out->shape[out->ndim - 1] = 1;
  return 0;
}

static mx_array *weights(mx_scope *s, const mx_array *n, mx_array *r) { return mx_exp(s, mx_subtract(s, n->in[0], r)); }

VJP(logsumexp) {
  (void)want;
  res[0] = cot[0] ? mx_multiply(s, cot[0], weights(s, n, out[0])) : NULL;
  return s->rc;
}

JVP(logsumexp) {
  res[0] = tan[0] ? sum_last(s, mx_multiply(s, tan[0], weights(s, n, out[0]))) : NULL;
  return s->rc;
}
