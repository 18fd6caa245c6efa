/* Linear algebra that needs a factorisation: decompositions, inverses, systems, determinants, the exponential. */
#include <math.h>

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

mx_array *mx_linalg_inv(mx_scope *s, mx_array *a) {
  int64_t lenient = 0;
  return mx_node1(s, OP_inverse, checked(s, "inv", a, true), 1, &lenient);
}

mx_array *mx_linalg_cholesky(mx_scope *s, mx_array *a, bool upper) {
  int64_t p = upper;
  return mx_node1(s, OP_cholesky, checked(s, "cholesky", a, true), 1, &p);
}

/* Two operands of one dtype with equal batch dimensions and as many rows; b a column when it is a vector. */
static int operands(mx_scope *s, const char *tag, bool square, mx_array **a, mx_array **b, bool *vector) {
  if (!(*a = checked(s, tag, *a, square)) || !*b) return mx_scope_error(s, mx_error_kind()), s->rc;
  mx_array *given = *b;
  *vector = (*b)->ndim == (*a)->ndim - 1 || (*b)->ndim == 1;
  mx_dtype t = mx_promote((*a)->dtype, (*b)->dtype);
  *a = mx_astype(s, *a, t);
  *b = mx_astype(s, *b, t);
  if (*vector) *b = mx_expand_dims(s, *b, -1);
  if (!(*b = checked(s, tag, *b, false))) return s->rc;
  if ((*b)->shape[(*b)->ndim - 2] != (*a)->shape[(*a)->ndim - 2]) {
    mx_scope_fail(s, MX_EVALUE,
                  "[linalg::%s] %s dimension of first input with shape %s must match second to last dimension of second input "
                  "with shape %s.",
                  tag, square ? "Last" : "Second to last", mx_shape_of(*a), mx_shape_of(given));
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
  if (operands(s, tag, true, &a, &b, &vector)) return NULL;
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

/* Determinants of integers and of half floats are computed in float32; those of half floats are half floats again, as in MLX. */
static bool is_half(mx_dtype t) { return t == MX_F16 || t == MX_BF16; }

static mx_array *real_matrix(mx_scope *s, mx_array *a) {
  return a && (mx_is_integer(a->dtype) || a->dtype == MX_BOOL || is_half(a->dtype)) ? mx_astype(s, a, MX_F32) : a;
}

mx_array *mx_linalg_det(mx_scope *s, mx_array *a) {
  mx_array *r = mx_node1(s, OP_det, checked(s, "det", real_matrix(s, a), true), 0, NULL);
  return r && is_half(a->dtype) ? mx_astype(s, r, a->dtype) : r;
}

static int several(mx_scope *s, mx_opcode op, mx_array *a, int np, const int64_t *p, int nout, mx_array **res) {
  for (int i = 0; i < nout; i++) res[i] = NULL;
  return a ? mx_node_multi(s, op, 1, &a, np, p, NULL, nout, res) : s->rc;
}

int mx_linalg_slogdet(mx_scope *s, mx_array *res[2], mx_array *a) {
  int rc = several(s, OP_slogdet, checked(s, "slogdet", real_matrix(s, a), true), 0, NULL, 2, res);
  if (rc || !is_half(a->dtype)) return rc;
  for (int i = 0; i < 2; i++) res[i] = mx_astype(s, res[i], a->dtype);
  return s->rc;
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

static mx_array *adjoint(mx_scope *s, mx_array *a) { return a ? mx_conjugate(s, mx_swapaxes(s, a, -1, -2)) : NULL; }

/* The square factor of a QR factorisation is decomposed; the other one makes its vectors long. */
static int svd_reduced(mx_scope *s, mx_array *res[3], mx_array *a) {
  mx_array *qr[2];
  for (int i = 0; i < 3; i++) res[i] = NULL;
  if (!(a = checked(s, "svd", a, false))) return s->rc;
  int m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1];
  if (m == n) return several(s, OP_svd, a, 0, NULL, 3, res);
  if (mx_linalg_qr(s, qr, m > n ? a : adjoint(s, a))) return s->rc;
  if (several(s, OP_svd, m > n ? qr[1] : adjoint(s, qr[1]), 0, NULL, 3, res)) return s->rc;
  if (m > n)
    res[0] = mx_matmul(s, qr[0], res[0]);
  else
    res[2] = mx_matmul(s, res[2], adjoint(s, qr[0]));
  return s->rc;
}

int mx_linalg_svd_reduced(mx_scope *s, mx_list *out, mx_array *a) {
  mx_array *res[3];
  svd_reduced(s, res, a);
  for (int i = 0; i < 3 && !s->rc; i++)
    if (mx_list_push(out, res[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}

/* Columns of the identity complete those of a. */
int mx_linalg_qr_complete(mx_scope *s, mx_array *res[2], mx_array *a) {
  res[0] = res[1] = NULL;
  if (!(a = checked(s, "qr", a, false))) return s->rc;
  int nd = a->ndim, m = a->shape[nd - 2], n = a->shape[nd - 1], shape[MX_MAX_NDIM];
  if (m <= n) return mx_linalg_qr(s, res, a);
  for (int d = 0; d < nd; d++) shape[d] = d == nd - 1 ? m : a->shape[d];
  mx_array *eye = mx_broadcast_to(s, mx_identity(s, m, a->dtype), shape, (size_t)nd);
  if (mx_linalg_qr(s, res, mx_concatenate_axis(s, 2, (mx_array *[]){a, eye}, nd - 1))) return s->rc;
  res[1] = mx_slice_axis(s, res[1], nd - 1, 0, n);
  return s->rc;
}

mx_array *mx_linalg_pinv_rtol(mx_scope *s, mx_array *a, mx_array *rtol) {
  mx_array *f[3];
  if (!rtol || !(a = checked(s, "pinv", a, false)) || svd_reduced(s, f, a)) return NULL;
  mx_array *cut = mx_expand_dims(s, mx_astype(s, rtol, f[1]->dtype), -1);
  cut = mx_multiply(s, cut, mx_max_axis(s, f[1], f[1]->ndim - 1, true));
  mx_array *kept = mx_greater(s, f[1], cut), *one = mx_const_like(s, f[1], 1);
  mx_array *inverse = mx_where(s, kept, mx_divide(s, one, mx_where(s, kept, f[1], one)), mx_const_like(s, f[1], 0));
  return inverse ? mx_matmul(s, mx_multiply(s, adjoint(s, f[2]), mx_expand_dims(s, inverse, -2)), adjoint(s, f[0])) : NULL;
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

/* ---- least squares and what follows from it ---- */

static double epsilon(const mx_array *a) { return a->dtype == MX_F64 ? 0x1p-52 : 0x1p-23; }

/* Below this part of the largest one a singular value counts as 0. */
static double default_cut(const mx_array *a) {
  int m = a->shape[a->ndim - 2], n = a->shape[a->ndim - 1];
  return epsilon(a) * (m > n ? m : n);
}

int mx_linalg_lstsq(mx_scope *s, mx_array *res[4], mx_array *a, mx_array *b, const float *rcond) {
  for (int i = 0; i < 4; i++) res[i] = NULL;
  bool vector;
  if (operands(s, "lstsq", false, &a, &b, &vector)) return s->rc;
  int64_t p = mx_bits(!rcond ? default_cut(a) : *rcond < 0 ? epsilon(a) : *rcond);
  mx_array *in[2] = {a, b}, *r[3];
  if (mx_node_multi(s, OP_lstsq, 2, in, 1, &p, NULL, 3, r)) return s->rc;
  int nd = a->ndim, last = nd - 1, none = 0;
  if (a->shape[nd - 2] > a->shape[nd - 1])
    res[1] = mx_sum_axis(s, mx_square(s, mx_abs(s, mx_subtract(s, b, mx_matmul(s, a, r[0])))), nd - 2, false);
  else /* no equation is left over */
    res[1] = mx_zeros(s, &none, 1, r[1] ? r[1]->dtype : MX_F32);
  res[0] = vector ? mx_squeeze_axes(s, r[0], &last, 1) : r[0];
  res[2] = r[2];
  res[3] = r[1];
  return s->rc;
}

/* The Moore-Penrose inverse: the shortest of the best solutions of a @ x = identity. */
mx_array *mx_linalg_pinv(mx_scope *s, mx_array *a) {
  if (!(a = checked(s, "pinv", a, false))) return NULL;
  int m = a->shape[a->ndim - 2], shape[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) shape[i] = i == a->ndim - 1 ? m : a->shape[i];
  int64_t p = mx_bits(default_cut(a));
  mx_array *in[2] = {a, mx_broadcast_to(s, mx_identity(s, m, a->dtype), shape, (size_t)a->ndim)}, *r[3];
  return mx_node_multi(s, OP_lstsq, 2, in, 1, &p, NULL, 3, r) ? NULL : r[0];
}

mx_array *mx_linalg_svdvals(mx_scope *s, mx_array *a) {
  return mx_node1(s, OP_svdvals, checked(s, "svdvals", a, false), 0, NULL);
}

mx_array *mx_linalg_expm(mx_scope *s, mx_array *a) { return mx_node1(s, OP_expm, checked(s, "expm", a, true), 0, NULL); }

/* How many singular values are above the tolerance: `tol`, or `rtol` times the largest. */
mx_array *mx_linalg_matrix_rank(mx_scope *s, mx_array *a, mx_array *tol, mx_array *rtol, bool hermitian) {
  if (!a) return NULL;
  if (tol && rtol) return mx_scope_fail(s, MX_EVALUE, "[linalg::matrix_rank] tol and rtol cannot both be given.");
  if (a->ndim < 2) return mx_astype(s, mx_any(s, mx_not_equal(s, a, mx_const_like(s, a, 0)), false), MX_I32);
  if (!(a = checked(s, "matrix_rank", a, hermitian))) return NULL;
  mx_array *sv = hermitian ? mx_abs(s, mx_linalg_eigvalsh(s, a, "L")) : mx_linalg_svdvals(s, a);
  if (!sv) return NULL;
  int last = sv->ndim - 1;
  if (sv->shape[last] == 0) return mx_zeros(s, sv->shape, (size_t)last, MX_I32);
  mx_array *given = tol ? tol : rtol, *cut = given ? mx_expand_dims(s, mx_astype(s, given, sv->dtype), -1) : NULL;
  if (!given) cut = mx_const_like(s, sv, default_cut(a));
  if (!tol) cut = mx_multiply(s, cut, mx_max_axis(s, sv, last, true));
  mx_array *above = mx_greater(s, sv, cut);
  return above ? mx_astype(s, mx_sum_axis(s, mx_astype(s, above, MX_I32), above->ndim - 1, false), MX_I32) : NULL;
}

mx_array *mx_linalg_matrix_power(mx_scope *s, mx_array *a, int n) {
  if (!a) return NULL;
  if (a->ndim < 2 || a->shape[a->ndim - 1] != a->shape[a->ndim - 2])
    return mx_scope_fail(s, MX_EVALUE, "[linalg::matrix_power] Inputs must be square matrices. Received array with shape %s.",
                         mx_shape_of(a));
  if (n == 0) return mx_broadcast_to(s, mx_identity(s, a->shape[a->ndim - 1], a->dtype), a->shape, (size_t)a->ndim);
  if (n < 0) a = mx_linalg_inv(s, a);
  mx_array *res = NULL;
  for (unsigned k = n < 0 ? 0u - (unsigned)n : (unsigned)n; k && !s->rc; k >>= 1) {
    if (k & 1) res = res ? mx_matmul(s, res, a) : a;
    if (k > 1) a = mx_matmul(s, a, a);
  }
  return res;
}

/* An infinity for a singular matrix. In the 2-norm the largest singular value by the smallest, else |a| |1/a|. */
mx_array *mx_linalg_cond(mx_scope *s, mx_array *a, double p) {
  if (!(a = checked(s, "cond", a, fabs(p) != 2))) return NULL;
  int axes[2] = {a->ndim - 2, a->ndim - 1}, n = a->shape[a->ndim - 1], m = a->shape[a->ndim - 2];
  if (n == 0 || m == 0)
    return mx_scope_fail(s, MX_EVALUE, "[linalg::cond] A matrix without elements has no condition number: shape %s.", mx_shape_of(a));
  if (fabs(p) == 2) {
    mx_array *sv = mx_linalg_svdvals(s, a);
    if (!sv) return NULL;
    mx_array *high = mx_max_axis(s, sv, sv->ndim - 1, false), *low = mx_min_axis(s, sv, sv->ndim - 1, false);
    mx_array *r = p > 0 ? mx_divide(s, high, low) : mx_divide(s, low, high);
    return r ? mx_where(s, mx_isnan(s, r), mx_const_like(s, r, INFINITY), r) : NULL; /* 0 / 0 of the zero matrix */
  }
  int64_t lenient = 1;
  mx_array *inv = mx_node1(s, OP_inverse, a, 1, &lenient), *x[2] = {a, inv}, *r[2];
  for (int i = 0; i < 2; i++)
    r[i] = isnan(p) ? mx_linalg_norm_matrix(s, x[i], "fro", axes, 2, false) : mx_linalg_norm(s, x[i], p, axes, 2, false);
  mx_array *res = mx_multiply(s, r[0], r[1]);
  return res ? mx_where(s, mx_isnan(s, res), mx_const_like(s, res, INFINITY), res) : NULL;
}
