/* Linear algebra: shapes, gradients, batching.
 *
 * Gradients follow M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008); the
 * one of qr S. Walter and L. Lehmann (2010), that of cholesky I. Murray (2016). H is the conjugate transpose. */
#include "graph/rules/help.h"

/* ---- shapes ---- */

static int check_matrix(int op, const mx_array *a, bool square) {
  const char *name = mx_ops[op].name;
  if (a->dtype != MX_F32 && a->dtype != MX_F64 && a->dtype != MX_C64)
    return mx_fail(MX_EVALUE, "[linalg::%s] Arrays must have type float32, float64 or complex64. Received array with type %s.",
                   name, mx_dtype_name(a->dtype));
  if (a->ndim < 2)
    return mx_fail(MX_EVALUE, "[linalg::%s] Arrays must have >= 2 dimensions. Received array with shape %s.", name,
                   mx_shape_of(a));
  if (square && a->shape[a->ndim - 1] != a->shape[a->ndim - 2])
    return mx_fail(MX_EVALUE, "[linalg::%s] Inputs must be square matrices. Received array with shape %s.", name, mx_shape_of(a));
  return 0;
}

static mx_dtype real_of(int dtype) { return dtype == MX_C64 ? MX_F32 : (mx_dtype)dtype; }

/* out = a's batch dimensions and then `n` more. */
static void batched(mx_aval *out, const mx_array *a, mx_dtype t, int n, int32_t d0, int32_t d1) {
  mx_aval_of(out, a);
  out->dtype = t;
  out->ndim = a->ndim - 2 + n;
  if (n > 0) out->shape[a->ndim - 2] = d0;
  if (n > 1) out->shape[a->ndim - 1] = d1;
}

int infer_square(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)p, (void)nout;
  if (op == OP_cholesky || op == OP_inverse) NEED(op, np, 1);
  int rc = check_matrix(op, in[0], true);
  if (!rc) mx_aval_of(out, in[0]);
  return rc;
}

int infer_solve(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)p, (void)nout;
  if (op == OP_solve_triangular) NEED(op, np, 1);
  const mx_array *a = in[0], *b = in[1];
  int rc = check_matrix(op, a, true);
  if (!rc) rc = check_matrix(op, b, false);
  if (rc) return rc;
  bool fits = a->ndim == b->ndim && a->dtype == b->dtype && a->shape[a->ndim - 1] == b->shape[b->ndim - 2];
  for (int d = 0; fits && d < a->ndim - 2; d++) fits = a->shape[d] == b->shape[d];
  if (!fits)
    return mx_fail(MX_EVALUE,
                   "[linalg::%s] First argument of shape %s and second of shape %s do not fit: the rows of b must be those of a.",
                   mx_ops[op].name, mx_shape_of(a), mx_shape_of(b));
  mx_aval_of(out, b);
  return 0;
}

int infer_det(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p;
  int rc = check_matrix(op, in[0], true);
  if (!rc && in[0]->dtype == MX_C64)
    rc = mx_fail(MX_EVALUE, "[linalg::%s] Arrays must have type float32 or float64. Received array with type complex64.",
                 mx_ops[op].name);
  for (int i = 0; i < nout && !rc; i++) batched(&out[i], in[0], in[0]->dtype, 0, 0, 0);
  return rc;
}

static int32_t rows(const mx_array *a) { return a->shape[a->ndim - 2]; }
static int32_t cols(const mx_array *a) { return a->shape[a->ndim - 1]; }
static int32_t narrow(const mx_array *a) { return rows(a) < cols(a) ? rows(a) : cols(a); }

int infer_lu(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p, (void)nout;
  int rc = check_matrix(op, in[0], false);
  if (rc) return rc;
  mx_aval_of(&out[0], in[0]);
  batched(&out[1], in[0], MX_U32, 1, narrow(in[0]), 0);
  return 0;
}

int infer_qr(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p, (void)nout;
  const mx_array *a = in[0];
  int rc = check_matrix(op, a, false);
  if (rc) return rc;
  batched(&out[0], a, a->dtype, 2, rows(a), narrow(a));
  batched(&out[1], a, a->dtype, 2, narrow(a), cols(a));
  return 0;
}

int infer_lstsq(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)p, (void)nout;
  NEED(op, np, 1);
  const mx_array *a = in[0], *b = in[1];
  int rc = check_matrix(op, a, false);
  if (!rc) rc = check_matrix(op, b, false);
  if (rc) return rc;
  bool fits = a->ndim == b->ndim && a->dtype == b->dtype;
  for (int d = 0; fits && d < a->ndim - 1; d++) fits = a->shape[d] == b->shape[d];
  if (!fits)
    return mx_fail(MX_EVALUE, "[linalg::lstsq] First argument of shape %s and second of shape %s must have equal rows.",
                   mx_shape_of(a), mx_shape_of(b));
  batched(&out[0], a, a->dtype, 2, cols(a), cols(b));
  batched(&out[1], a, real_of(a->dtype), 1, narrow(a), 0);
  batched(&out[2], a, MX_I32, 0, 0, 0);
  return 0;
}

int infer_svd(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p, (void)nout;
  const mx_array *a = in[0];
  int rc = check_matrix(op, a, false);
  if (rc) return rc;
  batched(op == OP_svd ? &out[1] : &out[0], a, real_of(a->dtype), 1, narrow(a), 0);
  if (op == OP_svdvals) return 0;
  batched(&out[0], a, a->dtype, 2, rows(a), rows(a));
  batched(&out[2], a, a->dtype, 2, cols(a), cols(a));
  return 0;
}

int infer_eigh(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)p, (void)nout;
  NEED(op, np, 1);
  const mx_array *a = in[0];
  int rc = check_matrix(op, a, true);
  if (rc) return rc;
  batched(&out[0], a, real_of(a->dtype), 1, rows(a), 0);
  if (op == OP_eigh) mx_aval_of(&out[1], a);
  return 0;
}

int infer_eig(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)np, (void)p, (void)nout;
  const mx_array *a = in[0];
  int rc = check_matrix(op, a, true);
  if (rc) return rc;
  batched(&out[0], a, MX_C64, 1, rows(a), 0);
  if (op == OP_eig) batched(&out[1], a, MX_C64, 2, rows(a), rows(a));
  return 0;
}

/* ---- gradients ---- */

static mx_array *H(mx_scope *s, mx_array *a) { return a ? mx_conjugate(s, mx_swapaxes(s, a, -1, -2)) : NULL; }
static mx_array *mul(mx_scope *s, mx_array *a, mx_array *b) { return mx_matmul(s, a, b); }
static mx_array *neg(mx_scope *s, mx_array *a) { return mx_negative(s, a); }
static mx_array *column(mx_scope *s, mx_array *v) { return mx_expand_dims(s, v, -1); }
static mx_array *row(mx_scope *s, mx_array *v) { return mx_expand_dims(s, v, -2); }
static mx_array *plus(mx_scope *s, mx_array *a, mx_array *b) { return a && b ? mx_add(s, a, b) : a ? a : b; }
static mx_array *mean_with_H(mx_scope *s, mx_array *a) { return mx_mul_k(s, mx_add(s, a, H(s, a)), 0.5); }
static mx_array *inverse(mx_scope *s, mx_array *a) { return mx_linalg_inv(s, a); }

/* x with its diagonal halved. */
static mx_array *half_diagonal(mx_scope *s, mx_array *x) {
  if (!x) return NULL;
  int n = cols(x);
  mx_array *weight = mx_subtract(s, mx_scalar(s, real_of(x->dtype), 1), mx_mul_k(s, mx_eye(s, n, n, 0, real_of(x->dtype)), 0.5));
  return mx_multiply(s, x, weight);
}

/* 1 / (b_j - a_i) off the diagonal, 0 on it. */
static mx_array *inverse_gaps(mx_scope *s, mx_array *v) {
  if (!v) return NULL;
  int n = v->shape[v->ndim - 1];
  mx_array *eye = mx_eye(s, n, n, 0, v->dtype);
  mx_array *gaps = mx_subtract(s, row(s, v), column(s, v));
  return mx_divide(s, mx_subtract(s, mx_scalar(s, v->dtype, 1), eye), mx_add(s, gaps, eye));
}

#define RULE_VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)

RULE_VJP(inverse) {
  (void)n, (void)want;
  mx_array *y = H(s, out[0]);
  res[0] = cot[0] ? neg(s, mul(s, mul(s, y, cot[0]), y)) : NULL;
  return s->rc;
}
int jvp_inverse(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)n;
  res[0] = tan[0] ? neg(s, mul(s, mul(s, out[0], tan[0]), out[0])) : NULL;
  return s->rc;
}

RULE_VJP(solve) {
  res[0] = res[1] = NULL;
  if (!cot[0]) return 0;
  mx_array *gb = mx_node2(s, OP_solve, H(s, n->in[0]), cot[0], 0, NULL);
  if (want[1]) res[1] = gb;
  if (want[0]) res[0] = neg(s, mul(s, gb, H(s, out[0])));
  return s->rc;
}

static mx_array *least(mx_scope *s, const mx_array *n, mx_array *a, mx_array *b) {
  mx_array *in[2] = {a, b}, *r[3] = {NULL};
  return a && b && !mx_node_multi(s, OP_lstsq, 2, in, n->np, n->p, NULL, 3, r) ? r[0] : NULL;
}
static mx_array *singular_value_gradient(mx_scope *s, mx_array *a, mx_array *g);

/* x = A+ b for A of constant rank (G. Golub and V. Pereyra, 1973): dA+ = -A+ dA A+ + A+ A+H dA^H (1 - A A+) + (1 - A+ A) dA^H A+H A+. */
RULE_VJP(lstsq) {
  res[0] = res[1] = NULL;
  mx_array *a = n->in[0], *x = out[0], *g = cot[0];
  if (g) {
    mx_array *ah = H(s, a), *y = least(s, n, ah, g);
    if (want[1]) res[1] = y;
    if (want[0]) {
      mx_array *left = mx_subtract(s, n->in[1], mul(s, a, x)), *outside = mx_subtract(s, g, mul(s, ah, y));
      res[0] = plus(s, neg(s, mul(s, y, H(s, x))), mul(s, left, H(s, least(s, n, a, y))));
      res[0] = plus(s, res[0], mul(s, least(s, n, ah, x), H(s, outside)));
    }
  }
  if (cot[1] && want[0]) res[0] = plus(s, res[0], singular_value_gradient(s, a, cot[1]));
  return s->rc;
}

/* The derivative of the exponential of a in the direction e is the corner of that of [[a, e], [0, a]] (R. Mathias, 1996). */
static mx_array *expm_along(mx_scope *s, mx_array *a, mx_array *e) {
  if (!a || !e) return NULL;
  int n = cols(a), nd = a->ndim;
  mx_array *top[2] = {a, e}, *low[2] = {mx_zeros_like(s, a), a}, *half[2];
  half[0] = mx_concatenate_axis(s, 2, top, nd - 1);
  half[1] = mx_concatenate_axis(s, 2, low, nd - 1);
  if (!half[0] || !half[1]) return NULL;
  mx_array *whole = mx_node1(s, OP_expm, mx_concatenate_axis(s, 2, half, nd - 2), 0, NULL);
  return mx_slice_axis(s, mx_slice_axis(s, whole, nd - 2, 0, n), nd - 1, n, 2 * (int64_t)n);
}
RULE_VJP(expm) {
  (void)out, (void)want;
  res[0] = cot[0] ? expm_along(s, H(s, n->in[0]), cot[0]) : NULL;
  return s->rc;
}
int jvp_expm(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res) {
  (void)out;
  res[0] = tan[0] ? expm_along(s, n->in[0], tan[0]) : NULL;
  return s->rc;
}

RULE_VJP(solve_triangular) {
  res[0] = res[1] = NULL;
  if (!cot[0]) return 0;
  int64_t other = !n->p[0];
  mx_array *gb = mx_node2(s, OP_solve_triangular, H(s, n->in[0]), cot[0], 1, &other);
  if (want[1]) res[1] = gb;
  if (want[0]) {
    mx_array *ga = neg(s, mul(s, gb, H(s, out[0])));
    res[0] = n->p[0] ? mx_triu(s, ga, 0) : mx_tril(s, ga, 0);
  }
  return s->rc;
}

RULE_VJP(cholesky) {
  (void)want;
  res[0] = NULL;
  if (!cot[0]) return 0;
  bool upper = n->p[0];
  mx_array *l = upper ? H(s, out[0]) : out[0], *g = upper ? H(s, cot[0]) : cot[0], *li = inverse(s, l);
  mx_array *phi = half_diagonal(s, mx_tril(s, mul(s, H(s, l), g), 0));
  res[0] = mean_with_H(s, mul(s, mul(s, H(s, li), phi), li));
  return s->rc;
}

RULE_VJP(det) {
  (void)want;
  res[0] =
      cot[0] ? mx_multiply(s, column(s, column(s, mx_multiply(s, cot[0], out[0]))), mx_swapaxes(s, inverse(s, n->in[0]), -1, -2))
             : NULL;
  return s->rc;
}

RULE_VJP(slogdet) { /* the sign is constant */
  (void)want, (void)out;
  res[0] = cot[1] ? mx_multiply(s, column(s, column(s, cot[1])), mx_swapaxes(s, inverse(s, n->in[0]), -1, -2)) : NULL;
  return s->rc;
}

/* Of as many rows as columns or more. The diagonal of R is real. */
static mx_array *qr_gradient(mx_scope *s, mx_array *q, mx_array *r, mx_array *gq, mx_array *gr) {
  mx_array *m = NULL;
  if (gr) m = mul(s, r, H(s, gr));
  if (gq) m = plus(s, m, neg(s, mul(s, H(s, gq), q)));
  m = half_diagonal(s, mx_tril(s, m, 0));
  return mul(s, plus(s, gq, mul(s, q, mx_add(s, m, H(s, m)))), H(s, inverse(s, r)));
}

/* A wide A = [A1 A2] has Q R1 = A1 and R2 = Q^H A2. */
RULE_VJP(qr) {
  (void)want;
  res[0] = NULL;
  mx_array *a = n->in[0], *gq = cot[0], *gr = cot[1], *part[2];
  int m = rows(a), k = cols(a), nd = a->ndim;
  if (!gq && !gr) return 0;
  if (m >= k) return res[0] = qr_gradient(s, out[0], out[1], gq, gr), s->rc;
  mx_array *g1 = gr ? mx_slice_axis(s, gr, nd - 1, 0, m) : NULL, *g2 = gr ? mx_slice_axis(s, gr, nd - 1, m, k) : NULL;
  if (g2) gq = plus(s, gq, mul(s, mx_slice_axis(s, a, nd - 1, m, k), H(s, g2)));
  part[0] = qr_gradient(s, out[0], mx_slice_axis(s, out[1], nd - 1, 0, m), gq, g1);
  part[1] = g2 ? mul(s, out[0], g2) : mx_zeros_like(s, mx_slice_axis(s, a, nd - 1, m, k));
  if (part[0] && part[1]) res[0] = mx_concatenate_axis(s, 2, part, nd - 1);
  return s->rc;
}

RULE_VJP(eigh) {
  (void)want, (void)n;
  res[0] = NULL;
  mx_array *w = out[0], *v = out[1], *inner = NULL;
  if (!cot[0] && !cot[1]) return 0;
  if (cot[1]) inner = mx_multiply(s, mul(s, H(s, v), cot[1]), inverse_gaps(s, w));
  if (cot[0]) {
    int k = cols(v);
    inner = plus(s, inner, mx_astype(s, mx_multiply(s, mx_eye(s, k, k, 0, w->dtype), row(s, cot[0])), v->dtype));
  }
  res[0] = mean_with_H(s, mul(s, mul(s, v, inner), H(s, v)));
  return s->rc;
}

RULE_VJP(eigvalsh) { /* the vectors are needed for it */
  (void)want, (void)out;
  res[0] = NULL;
  if (!cot[0]) return 0;
  mx_array *wv[2], *in = n->in[0];
  if (mx_node_multi(s, OP_eigh, 1, &in, 1, n->p, NULL, 2, wv)) return s->rc;
  res[0] = mul(s, mx_multiply(s, wv[1], row(s, cot[0])), H(s, wv[1]));
  return s->rc;
}

/* The first k columns (rows) of U (V^H), or of their cotangents. */
static mx_array *first(mx_scope *s, mx_array *x, int axis, int k) {
  return x && x->shape[x->ndim + axis] != k ? mx_slice_axis(s, x, x->ndim + axis, 0, k) : x;
}

/* The gradient of the thin decomposition A = U S V^H. */
static mx_array *svd_gradient(mx_scope *s, mx_array *u, mx_array *sv, mx_array *vt, mx_array *gu, mx_array *gs, mx_array *gvt) {
  if (!u || !sv || !vt) return NULL;
  mx_array *inner = NULL, *v = H(s, vt), *res = NULL;
  int k = sv->shape[sv->ndim - 1];
  mx_array *f = gu || gvt ? inverse_gaps(s, mx_square(s, sv)) : NULL;
  if (gu) {
    mx_array *x = mul(s, H(s, u), gu);
    inner = mx_multiply(s, mx_multiply(s, f, mx_subtract(s, x, H(s, x))), row(s, sv));
    if (mx_is_complex(u->dtype)) { /* the phases: what turns the columns of U turns those of V as well */
      mx_array *turn = mx_mul_k(s, mx_subtract(s, x, H(s, x)), 0.5);
      inner = plus(s, inner, mx_divide(s, mx_multiply(s, mx_eye(s, k, k, 0, sv->dtype), turn), row(s, sv)));
    }
  }
  if (gvt) {
    mx_array *x = mul(s, vt, H(s, gvt));
    inner = plus(s, inner, mx_multiply(s, column(s, sv), mx_multiply(s, f, mx_subtract(s, x, H(s, x)))));
  }
  if (gs) inner = plus(s, inner, mx_astype(s, mx_multiply(s, mx_eye(s, k, k, 0, sv->dtype), row(s, gs)), u->dtype));
  if (inner) res = mul(s, mul(s, u, inner), vt);
  if (gu && u->shape[u->ndim - 2] > k) { /* what leaves the span of U, and of V below */
    mx_array *out_of = mx_subtract(s, gu, mul(s, u, mul(s, H(s, u), gu)));
    res = plus(s, res, mul(s, mx_divide(s, out_of, row(s, sv)), vt));
  }
  if (gvt && vt->shape[vt->ndim - 1] > k) {
    mx_array *gv = H(s, gvt), *out_of = mx_subtract(s, gv, mul(s, v, mul(s, vt, gv)));
    res = plus(s, res, mul(s, mx_divide(s, u, row(s, sv)), H(s, out_of)));
  }
  return res;
}

RULE_VJP(svd) {
  (void)want;
  res[0] = NULL;
  if (!cot[0] && !cot[1] && !cot[2]) return 0;
  int k = narrow(n->in[0]);
  res[0] = svd_gradient(s, first(s, out[0], -1, k), out[1], first(s, out[2], -2, k), first(s, cot[0], -1, k), cot[1],
                        first(s, cot[2], -2, k));
  return s->rc;
}

static mx_array *singular_value_gradient(mx_scope *s, mx_array *a, mx_array *g) {
  mx_array *usv[3];
  int k = narrow(a);
  if (mx_node_multi(s, OP_svd, 1, &a, 0, NULL, NULL, 3, usv)) return NULL;
  return mul(s, mx_multiply(s, first(s, usv[0], -1, k), row(s, g)), first(s, usv[2], -2, k));
}
RULE_VJP(svdvals) {
  (void)want, (void)out;
  res[0] = cot[0] ? singular_value_gradient(s, n->in[0], cot[0]) : NULL;
  return s->rc;
}

/* ---- batching: an added axis in front is one more batch dimension ---- */

int vmap_matrix(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_array *b[2] = {0};
  int size = mx_batch_size(n, in, ax), nout = n->outs ? n->nout : 1;
  for (int i = 0; i < n->nin; i++) b[i] = mx_full_front(s, in[i], ax[i], size);
  for (int k = 0; k < nout; k++) res_ax[k] = 0;
  if (n->outs) return mx_node_multi(s, (mx_opcode)n->op, n->nin, b, n->np, n->p, NULL, nout, res);
  res[0] = mx_node_again(s, n, b);
  return s->rc;
}
