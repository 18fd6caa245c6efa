/* Products that sum over axes. */
#include <math.h>

#include "graph/build.h"

/* Both of the dtype of the product. */
static int product_dtype(mx_scope *s, mx_array **a, mx_array **b, mx_dtype t) {
  *a = mx_astype(s, *a, t);
  *b = mx_astype(s, *b, t);
  return s->rc;
}

static bool is_byte(mx_dtype t) { return t == MX_U8 || t == MX_I8; }

static int inner_fits(const char *tag, const mx_array *a, const mx_array *b) {
  if (a->ndim == 0 || b->ndim == 0)
    return mx_fail(MX_EVALUE, "[%s] Got 0 dimension input. Inputs must have at least one dimension.", tag);
  int k = b->ndim == 1 ? 0 : b->ndim - 2;
  if (a->shape[a->ndim - 1] == b->shape[k]) return 0;
  return mx_fail(
      MX_EVALUE,
      "[%s] Last dimension of first input with shape %s must match second to last dimension of second input with shape %s.", tag,
      mx_shape_of(a), mx_shape_of(b));
}

/* All dimensions but the last joined. */
static mx_array *as_rows(mx_scope *s, mx_array *a) {
  if (!a || a->ndim == 2) return a;
  int64_t rows = 1;
  for (int i = 0; i < a->ndim - 1; i++) rows *= a->shape[i];
  if (rows > MX_MAX_DIM) return NULL;
  return mx_reshape(s, a, (int[]){(int)rows, a->shape[a->ndim - 1]}, 2);
}

/* The batch dimensions of both, as those of the result. */
static int equal_batches(mx_scope *s, mx_array **a, mx_array **b) {
  int32_t shape[MX_MAX_NDIM];
  int n, rc = mx_broadcast_shape((*a)->ndim - 2, (*a)->shape, (*b)->ndim - 2, (*b)->shape, &n, shape);
  if (rc) return rc;
  for (int i = 0; i < 2; i++) {
    mx_array **x = i ? b : a;
    shape[n] = (*x)->shape[(*x)->ndim - 2];
    shape[n + 1] = (*x)->shape[(*x)->ndim - 1];
    if (!(*x = mx_broadcast_to(s, *x, shape, (size_t)n + 2))) return s->rc;
  }
  return 0;
}

static bool foldable(const mx_array *a, const mx_array *b) {
  int64_t rows = 1;
  for (int i = 0; i < a->ndim - 1; i++) rows *= a->shape[i];
  return a->ndim > 2 && b->ndim == 2 && rows <= MX_MAX_DIM;
}

mx_array *mx_matmul_as(mx_scope *s, mx_array *a, mx_array *b, mx_dtype t) {
  if (!a || !b) return NULL;
  /* sums of bytes in i32 have a kernel of their own */
  bool bytes = t == MX_I32 && is_byte(a->dtype) && is_byte(b->dtype);
  const int64_t p[1] = {t};
  int rc = inner_fits("matmul", a, b);
  if (!rc && !bytes) rc = product_dtype(s, &a, &b, t);
  if (rc) return mx_scope_error(s, rc);
  bool row = a->ndim == 1, col = b->ndim == 1;
  if (row) a = mx_expand_dims(s, a, 0);
  if (col) b = mx_expand_dims(s, b, 1);
  if (!a || !b) return NULL;
  mx_array *r;
  if (!foldable(a, b) && (rc = equal_batches(s, &a, &b))) return mx_scope_error(s, rc);
  r = mx_node2(s, OP_matmul, a, b, bytes, p);
  if (row) r = mx_squeeze_axis(s, r, -2);
  return col ? mx_squeeze_axis(s, r, -1) : r;
}

mx_array *mx_matmul_turned(mx_scope *s, mx_array *a, mx_array *b) {
  if (!a || !b) return NULL;
  mx_dtype t = mx_promote(a->dtype, b->dtype);
  bool fits = b->ndim == 2 && (a->ndim == 2 || foldable(a, b)) && a->shape[a->ndim - 1] == b->shape[1];
  if (!fits) return mx_matmul_as(s, a, mx_transpose(s, b), t);
  if (product_dtype(s, &a, &b, t)) return NULL;
  return mx_node2(s, OP_matmul, a, b, 1, (int64_t[]){MX_TURNED});
}

mx_array *mx_matmul(mx_scope *s, mx_array *a, mx_array *b) {
  return a && b ? mx_matmul_as(s, a, b, mx_promote(a->dtype, b->dtype)) : NULL;
}

/* alpha a b + beta c of integers, whose factors must be whole: the sums wrap as products do. */
static mx_array *whole_addmm(mx_scope *s, mx_array *c, mx_array *a, mx_array *b, mx_dtype t, float alpha, float beta) {
  if (alpha != rintf(alpha) || beta != rintf(beta) || fabsf(alpha) > 0x1p62f || fabsf(beta) > 0x1p62f)
    return mx_scope_fail(s, MX_EVALUE, "[addmm] alpha and beta must be whole numbers for arrays of %s, got %g and %g.", mx_dtype_name(t),
                         (double)alpha, (double)beta);
  a = mx_matmul_as(s, a, b, t);
  c = mx_astype(s, c, t);
  if (alpha != 1) a = mx_multiply(s, a, mx_astype(s, mx_int(s, MX_I64, (int64_t)alpha), t));
  if (beta != 1) c = mx_multiply(s, c, mx_astype(s, mx_int(s, MX_I64, (int64_t)beta), t));
  return mx_add(s, a, c);
}

mx_array *mx_addmm(mx_scope *s, mx_array *c, mx_array *a, mx_array *b, float alpha, float beta) {
  if (!c || !a || !b) return NULL;
  int rc = inner_fits("addmm", a, b);
  mx_dtype t = mx_promote(mx_promote(a->dtype, b->dtype), c->dtype);
  if (!rc && !mx_is_inexact(t)) return whole_addmm(s, c, a, b, t, alpha, beta);
  if (!rc) rc = product_dtype(s, &a, &b, t);
  if (rc) return mx_scope_error(s, rc);
  c = mx_astype(s, c, t);
  bool vector = a->ndim == 1 || b->ndim == 1, grows = false;
  int32_t shape[MX_MAX_NDIM];
  int nd = 0;
  if (!vector) {
    rc = mx_broadcast_shape(a->ndim - 2, a->shape, b->ndim - 2, b->shape, &nd, shape);
    if (rc) return mx_scope_error(s, rc);
    shape[nd++] = a->shape[a->ndim - 2];
    shape[nd++] = b->shape[b->ndim - 1];
    int32_t full[MX_MAX_NDIM];
    int n = 0;
    rc = mx_broadcast_shape(nd, shape, c->ndim, c->shape, &n, full);
    if (rc) return mx_scope_error(s, rc);
    grows = n != nd;
    for (int i = 0; i < nd && !grows; i++) grows = full[i] != shape[i];
  }
  if (vector || grows) return mx_add(s, mx_mul_k(s, mx_matmul(s, a, b), alpha), mx_mul_k(s, c, beta));
  int64_t p[2] = {mx_bits(alpha), mx_bits(beta)};
  mx_array *in[3] = {c, a, b};
  bool fold = foldable(a, b);
  if (fold) {
    in[1] = as_rows(s, a);
    /* a bias that is the same for all rows needs no batch */
    bool per_column = true;
    for (int i = 0; i < c->ndim - 1; i++) per_column = per_column && c->shape[i] == 1;
    mx_array *flat = per_column && c->ndim > 2 ? mx_reshape(s, c, (int[]){1, c->shape[c->ndim - 1]}, 2) : c;
    if (!in[1] || !flat) return NULL;
    int rows[2] = {in[1]->shape[0], b->shape[1]};
    in[0] = per_column ? mx_broadcast_to(s, flat, rows, 2) : mx_reshape(s, mx_broadcast_to(s, c, shape, nd), rows, 2);
  } else {
    if ((rc = equal_batches(s, &in[1], &in[2]))) return mx_scope_error(s, rc);
    in[0] = mx_broadcast_to(s, c, shape, nd);
  }
  mx_array *r = mx_node(s, OP_addmm, 3, in, 2, p);
  return fold ? mx_reshape(s, r, shape, nd) : r;
}

mx_array *mx_tensordot(mx_scope *s, mx_array *a, mx_array *b, const int *axes_a, size_t na, const int *axes_b, size_t nb) {
  if (!a || !b) return NULL;
  int aa[MX_MAX_NDIM], ab[MX_MAX_NDIM], rc = 0;
  if (na != nb) rc = mx_fail(MX_EVALUE, "[tensordot] axes must have the same size: got %zu and %zu.", na, nb);
  if (!rc && (na > (size_t)a->ndim || nb > (size_t)b->ndim))
    rc = mx_fail(MX_EVALUE, "[tensordot] %zu axes are too many for %s and %s.", na, mx_shape_of(a), mx_shape_of(b));
  if (!rc) rc = mx_norm_axes("tensordot", axes_a, na, a->ndim, aa);
  if (!rc) rc = mx_norm_axes("tensordot", axes_b, nb, b->ndim, ab);
  for (size_t i = 0; i < na && !rc; i++)
    if (a->shape[aa[i]] != b->shape[ab[i]])
      rc = mx_fail(MX_EVALUE, "[tensordot] a and b must have the same shape on the contracted axes: got %s and %s.",
                   mx_shape_of(a), mx_shape_of(b));
  if (!rc) rc = product_dtype(s, &a, &b, mx_promote(a->dtype, b->dtype));
  if (rc) return mx_scope_error(s, rc);
  /* (free of a, contracted) by (contracted, free of b) */
  int pa[MX_MAX_NDIM], pb[MX_MAX_NDIM], shape[2 * MX_MAX_NDIM], n = 0, ka = 0, kb = 0;
  uint32_t in_a = 0, in_b = 0;
  int64_t m = 1, k = 1, c = 1;
  for (size_t i = 0; i < na; i++) {
    in_a |= 1u << aa[i];
    in_b |= 1u << ab[i];
    k *= a->shape[aa[i]];
  }
  for (int i = 0; i < a->ndim; i++)
    if (!(in_a >> i & 1)) {
      m *= shape[n++] = a->shape[i];
      pa[ka++] = i;
    }
  for (size_t i = 0; i < na; i++) {
    pa[ka++] = aa[i];
    pb[kb++] = ab[i];
  }
  for (int i = 0; i < b->ndim; i++)
    if (!(in_b >> i & 1)) {
      c *= shape[n++] = b->shape[i];
      pb[kb++] = i;
    }
  if (n > MX_MAX_NDIM || m > MX_MAX_DIM || k > MX_MAX_DIM || c > MX_MAX_DIM)
    return mx_scope_fail(s, MX_EVALUE, "[tensordot] The product of %s and %s is too large.", mx_shape_of(a), mx_shape_of(b));
  a = mx_reshape(s, mx_permute(s, a, pa), (int[]){(int)m, (int)k}, 2);
  b = mx_reshape(s, mx_permute(s, b, pb), (int[]){(int)k, (int)c}, 2);
  return mx_reshape(s, mx_node2(s, OP_matmul, a, b, 0, NULL), shape, n);
}

mx_array *mx_tensordot_axis(mx_scope *s, mx_array *a, mx_array *b, int axis) {
  if (!a || !b) return NULL;
  if (axis < 0 || axis > a->ndim || axis > b->ndim)
    return mx_scope_fail(s, MX_EVALUE, "[tensordot] %d axes cannot be contracted in %s and %s.", axis, mx_shape_of(a),
                         mx_shape_of(b));
  int aa[MX_MAX_NDIM], ab[MX_MAX_NDIM];
  for (int i = 0; i < axis; i++) {
    aa[i] = a->ndim - axis + i;
    ab[i] = i;
  }
  return mx_tensordot(s, a, b, aa, axis, ab, axis);
}

mx_array *mx_inner(mx_scope *s, mx_array *a, mx_array *b) {
  if (!a || !b) return NULL;
  if (a->ndim == 0 || b->ndim == 0) return mx_multiply(s, a, b);
  if (a->shape[a->ndim - 1] != b->shape[b->ndim - 1])
    return mx_scope_fail(s, MX_EVALUE, "[inner] a and b must have the same last dimension: got %s and %s.", mx_shape_of(a),
                         mx_shape_of(b));
  return mx_tensordot(s, a, b, (int[]){-1}, 1, (int[]){-1}, 1);
}

mx_array *mx_outer(mx_scope *s, mx_array *a, mx_array *b) {
  a = mx_flatten(s, a, 0, -1);
  b = mx_flatten(s, b, 0, -1);
  return a && b ? mx_multiply(s, mx_expand_dims(s, a, 1), b) : NULL;
}

mx_array *mx_kron(mx_scope *s, mx_array *a, mx_array *b) {
  if (!a || !b) return NULL;
  int nd = a->ndim > b->ndim ? a->ndim : b->ndim, sa[MX_MAX_NDIM], sb[MX_MAX_NDIM], end[MX_MAX_NDIM];
  if (2 * nd > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[kron] Too many dimensions: %d.", nd);
  for (int i = 0; i < nd; i++) {
    int64_t x = i < nd - a->ndim ? 1 : a->shape[i - (nd - a->ndim)], y = i < nd - b->ndim ? 1 : b->shape[i - (nd - b->ndim)];
    sa[2 * i] = (int)x;
    sa[2 * i + 1] = sb[2 * i] = 1;
    sb[2 * i + 1] = (int)y;
    if (x * y > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("kron", x * y));
    end[i] = (int)(x * y);
  }
  mx_array *x = mx_reshape(s, a, sa, 2 * nd), *y = mx_reshape(s, b, sb, 2 * nd);
  return x && y ? mx_reshape(s, mx_multiply(s, x, y), end, nd) : NULL;
}

mx_array *mx_vecdot(mx_scope *s, mx_array *a, mx_array *b, int axis) {
  if (!a || !b) return NULL;
  return mx_sum_axis(s, mx_multiply(s, mx_conjugate(s, a), b), axis, false);
}
