/* Linear algebra that needs a factorisation: decompositions, inverses, systems, determinants. */
#include "graph/build.h"

static mx_array *checked(mx_scope *s, const char *tag, mx_array *a, bool square) {
  if (!a || s->rc) return mx_scope_error(s, mx_error_kind());
  if (a->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[linalg::%s] Arrays must have >= 2 dimensions. Received array with %d dimensions.", tag,
                         a->ndim);
  if (square && a->shape[a->ndim - 1] != a->shape[a->ndim - 2])
    return mx_scope_fail(s, MX_EVALUE, "[linalg::%s] Inputs must be square matrices. Received array with shape %s.", tag,
                         mx_shape_of(a));
  if (a->dtype != MX_F32 && a->dtype != MX_F64 && a->dtype != MX_C64)
    return mx_scope_fail(s, MX_EVALUE,
                         "[linalg::%s] Arrays must have type float32, float64 or complex64. Received array with type %s.", tag,
                         mx_dtype_name(a->dtype));
  return a;
}

static int triangle(mx_scope *s, const char *tag, const char *uplo, int64_t *upper) {
  char c = uplo && uplo[0] && !uplo[1] ? uplo[0] : 0;
  if (c != 'L' && c != 'U' && c != 'l' && c != 'u')
    mx_scope_fail(s, MX_EVALUE, "[linalg::%s] UPLO must be 'L' or 'U', got '%s'.", tag, uplo ? uplo : "");
  *upper = c == 'U' || c == 'u';
  return s->rc;
}

mx_array *mx_linalg_inv(mx_scope *s, mx_array *a) { return mx_node1(s, OP_inverse, checked(s, "inv", a, true), 0, NULL); }

mx_array *mx_linalg_cholesky(mx_scope *s, mx_array *a, bool upper) {
  int64_t p = upper;
  return mx_node1(s, OP_cholesky, checked(s, "cholesky", a, true), 1, &p);
}

/* Two operands of one dtype with equal batch dimensions; b a column when it is a vector. */
static int operands(mx_scope *s, const char *tag, mx_array **a, mx_array **b, bool *vector) {
  if (!(*a = checked(s, tag, *a, true)) || !*b) return mx_scope_error(s, mx_error_kind()), s->rc;
  mx_array *given = *b;
  *vector = (*b)->ndim == (*a)->ndim - 1 || (*b)->ndim == 1;
  mx_dtype t = mx_promote((*a)->dtype, (*b)->dtype);
  *a = mx_astype(s, *a, t);
  *b = mx_astype(s, *b, t);
  if (*vector) *b = mx_expand_dims(s, *b, -1);
  if (!(*b = checked(s, tag, *b, false))) return s->rc;
  if ((*b)->shape[(*b)->ndim - 2] != (*a)->shape[(*a)->ndim - 1]) {
    mx_scope_fail(s, MX_EVALUE,
                  "[linalg::%s] Last dimension of first input with shape %s must match second to last dimension of second input "
                  "with shape %s.",
                  tag, mx_shape_of(*a), mx_shape_of(given));
    return s->rc;
  }
  int32_t shape[MX_MAX_NDIM];
  int nd, rc = mx_broadcast_shape((*a)->ndim - 2, (*a)->shape, (*b)->ndim - 2, (*b)->shape, &nd, shape);
  if (rc) return mx_scope_error(s, rc), rc;
  mx_array **x[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    shape[nd] = (*x[i])->shape[(*x[i])->ndim - 2];
    shape[nd + 1] = (*x[i])->shape[(*x[i])->ndim - 1];
    *x[i] = mx_broadcast_to(s, *x[i], shape, (size_t)nd + 2);
    if (!*x[i]) return s->rc;
  }
  return 0;
}

static mx_array *system_of(mx_scope *s, const char *tag, mx_opcode op, mx_array *a, mx_array *b, int np, const int64_t *p) {
  bool vector;
  if (operands(s, tag, &a, &b, &vector)) return NULL;
  mx_array *x = mx_node2(s, op, a, b, np, p);
  int last = x ? x->ndim - 1 : 0;
  return vector ? mx_squeeze_axes(s, x, &last, 1) : x;
}

mx_array *mx_linalg_solve(mx_scope *s, mx_array *a, mx_array *b) { return system_of(s, "solve", OP_solve, a, b, 0, NULL); }

mx_array *mx_linalg_solve_triangular(mx_scope *s, mx_array *a, mx_array *b, bool upper) {
  int64_t p = upper;
  return system_of(s, "solve_triangular", OP_solve_triangular, a, b, 1, &p);
}

mx_array *mx_linalg_tri_inv(mx_scope *s, mx_array *a, bool upper) {
  if (!(a = checked(s, "tri_inv", a, true))) return NULL;
  mx_array *eye = mx_broadcast_to(s, mx_identity(s, a->shape[a->ndim - 1], a->dtype), a->shape, a->ndim);
  return mx_linalg_solve_triangular(s, a, eye, upper);
}

mx_array *mx_linalg_cholesky_inv(mx_scope *s, mx_array *a, bool upper) {
  if (!(a = checked(s, "cholesky_inv", a, true))) return NULL;
  mx_array *inv = mx_linalg_tri_inv(s, a, upper), *t = inv ? mx_conjugate(s, mx_swapaxes(s, inv, -1, -2)) : NULL;
  return upper ? mx_matmul(s, inv, t) : mx_matmul(s, t, inv);
}

mx_array *mx_linalg_det(mx_scope *s, mx_array *a) { return mx_node1(s, OP_det, checked(s, "det", a, true), 0, NULL); }

static int several(mx_scope *s, mx_opcode op, mx_array *a, int np, const int64_t *p, int nout, mx_array **res) {
  for (int i = 0; i < nout; i++) res[i] = NULL;
  return a ? mx_node_multi(s, op, 1, &a, np, p, NULL, nout, res) : s->rc;
}

int mx_linalg_slogdet(mx_scope *s, mx_array *res[2], mx_array *a) {
  return several(s, OP_slogdet, checked(s, "slogdet", a, true), 0, NULL, 2, res);
}
int mx_linalg_qr(mx_scope *s, mx_array *res[2], mx_array *a) {
  return several(s, OP_qr, checked(s, "qr", a, false), 0, NULL, 2, res);
}
int mx_linalg_lu_factor(mx_scope *s, mx_array *res[2], mx_array *a) {
  return several(s, OP_lu_factor, checked(s, "lu_factor", a, false), 0, NULL, 2, res);
}
int mx_linalg_eigh(mx_scope *s, mx_array *res[2], mx_array *a, const char *uplo) {
  int64_t p;
  res[0] = res[1] = NULL;
  return triangle(s, "eigh", uplo, &p) ? s->rc : several(s, OP_eigh, checked(s, "eigh", a, true), 1, &p, 2, res);
}
mx_array *mx_linalg_eigvalsh(mx_scope *s, mx_array *a, const char *uplo) {
  int64_t p;
  return triangle(s, "eigvalsh", uplo, &p) ? NULL : mx_node1(s, OP_eigvalsh, checked(s, "eigvalsh", a, true), 1, &p);
}
int mx_linalg_eig(mx_scope *s, mx_array *res[2], mx_array *a) {
  return several(s, OP_eig, checked(s, "eig", a, true), 0, NULL, 2, res);
}
mx_array *mx_linalg_eigvals(mx_scope *s, mx_array *a) { return mx_node1(s, OP_eigvals, checked(s, "eigvals", a, true), 0, NULL); }

int mx_linalg_svd(mx_scope *s, mx_list *out, mx_array *a, bool compute_uv) {
  mx_array *res[3] = {NULL};
  a = checked(s, "svd", a, false);
  if (compute_uv)
    several(s, OP_svd, a, 0, NULL, 3, res);
  else
    res[0] = mx_node1(s, OP_svdvals, a, 0, NULL);
  for (int i = 0; i < (compute_uv ? 3 : 1) && !s->rc; i++)
    if (mx_list_push(out, res[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}

/* Row order, L and U of a[order] = L @ U: the pivots, read as swaps, are applied to 0..M-1 one after the other. */
int mx_linalg_lu(mx_scope *s, mx_list *out, mx_array *a) {
  mx_array *f[2];
  if (!(a = checked(s, "lu", a, false)) || mx_linalg_lu_factor(s, f, a)) return s->rc;
  int m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1], k = m < n ? m : n, nd = a->ndim;
  mx_array *l = mx_slice_axis(s, f[0], nd - 1, 0, k), *u = mx_slice_axis(s, f[0], nd - 2, 0, k);
  l = mx_add(s, mx_tril(s, l, -1), mx_eye(s, m, k, 0, a->dtype));
  u = mx_triu(s, u, 0);
  int32_t shape[MX_MAX_NDIM];
  memcpy(shape, a->shape, (size_t)nd * sizeof *shape);
  shape[nd - 2] = m;
  mx_array *order = mx_broadcast_to(s, mx_arange(s, 0, m, 1, MX_U32), shape, (size_t)nd - 1);
  for (int i = 0; i < k && order; i++) { /* swap entries i and pivot[i] */
    mx_array *pivot = mx_slice_axis(s, f[1], nd - 2, i, i + 1), *at_i = mx_slice_axis(s, order, nd - 2, i, i + 1);
    mx_array *at_p = mx_take_along_axis(s, order, pivot, nd - 2), *self = mx_full_like(s, pivot, mx_int(s, MX_U32, i), MX_U32);
    order = mx_put_along_axis(s, order, pivot, at_i, nd - 2);
    order = mx_put_along_axis(s, order, self, at_p, nd - 2);
  }
  mx_array *res[3] = {order, l, u};
  for (int i = 0; i < 3 && !s->rc; i++)
    if (mx_list_push(out, res[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}

/* The Moore-Penrose inverse by the SVD: singular values below eps * max(M, N) * the largest count as 0. */
mx_array *mx_linalg_pinv(mx_scope *s, mx_array *a) {
  mx_array *r[3] = {NULL};
  if (several(s, OP_svd, checked(s, "pinv", a, false), 0, NULL, 3, r)) return NULL;
  int nd = a->ndim, m = a->shape[nd - 2], n = a->shape[nd - 1], k = m < n ? m : n, last = nd - 2;
  mx_array *u = mx_slice_axis(s, r[0], nd - 1, 0, k), *vt = mx_slice_axis(s, r[2], nd - 2, 0, k), *sv = r[1];
  double eps = sv && sv->dtype == MX_F64 ? 0x1p-52 : 0x1p-23;
  mx_array *cut = mx_mul_k(s, mx_max_axes(s, sv, &last, 1, true), eps * (m > n ? m : n));
  mx_array *zero = mx_const_like(s, sv, 0), *safe = mx_where(s, mx_greater(s, sv, cut), mx_reciprocal(s, sv), zero);
  mx_array *v = vt ? mx_conjugate(s, mx_swapaxes(s, vt, -1, -2)) : NULL,
           *uh = u ? mx_conjugate(s, mx_swapaxes(s, u, -1, -2)) : NULL;
  return mx_matmul(s, mx_multiply(s, v, safe ? mx_expand_dims(s, safe, -2) : NULL), uh);
}
