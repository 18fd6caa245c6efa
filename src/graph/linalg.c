/* Norms, the cross product, chains of products. */
#include <math.h>

#include "graph/build.h"

static mx_array *magnitude(mx_scope *s, mx_array *a) {
  a = mx_to_float(s, a);
  return a ? mx_abs(s, a) : NULL;
}

/* The root of the sum of squares. */
static mx_array *euclidean(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims) {
  mx_array *x = mx_to_float(s, a);
  if (x && mx_is_complex(x->dtype)) x = mx_abs(s, x);
  return x ? mx_sqrt(s, mx_sum_axes(s, mx_square(s, x), axes, n, keepdims)) : NULL;
}

static mx_array *vector_norm(mx_scope *s, mx_array *a, double ord, const int *ax, size_t n, bool keepdims) {
  if (ord == 2) return euclidean(s, a, ax, n, keepdims);
  mx_array *x = magnitude(s, a);
  if (!x) return NULL;
  if (ord == INFINITY) return mx_max_axes(s, x, ax, n, keepdims);
  if (ord == -INFINITY) return mx_min_axes(s, x, ax, n, keepdims);
  if (ord == 0) return mx_sum_axes(s, mx_astype(s, mx_not_equal(s, x, mx_const_like(s, x, 0)), x->dtype), ax, n, keepdims);
  if (ord == 1) return mx_sum_axes(s, x, ax, n, keepdims);
  mx_array *sum = mx_sum_axes(s, mx_power(s, x, mx_const_like(s, x, ord)), ax, n, keepdims);
  return sum ? mx_power(s, sum, mx_const_like(s, sum, 1 / ord)) : NULL;
}

/* The largest (+2), the smallest (-2) or the sum (0) of the singular values of the matrices on two axes. */
static mx_array *singular_norm(mx_scope *s, mx_array *a, int which, const int *axes, bool keepdims) {
  int rest[MX_MAX_NDIM], n = 0;
  for (int i = 0; i < a->ndim; i++)
    if (i != axes[0] && i != axes[1]) rest[n++] = i;
  rest[n] = axes[0];
  rest[n + 1] = axes[1];
  mx_array *x = mx_permute(s, mx_to_float(s, a), rest), *sv = x ? mx_node1(s, OP_svdvals, x, 0, NULL) : NULL;
  if (!sv) return NULL;
  mx_array *r = which == 0  ? mx_sum_axis(s, sv, n, false)
                : which > 0 ? mx_max_axis(s, sv, n, false)
                            : mx_min_axis(s, sv, n, false);
  int sorted[2] = {axes[0] < axes[1] ? axes[0] : axes[1], axes[0] < axes[1] ? axes[1] : axes[0]};
  return keepdims ? mx_expand_dims_axes(s, r, sorted, 2) : r;
}

static mx_array *matrix_norm(mx_scope *s, mx_array *a, double ord, const int *axes, bool keepdims) {
  bool columns = fabs(ord) == 1, rows = isinf(ord);
  if (fabs(ord) == 2) return singular_norm(s, a, (int)ord, axes, keepdims);
  if (!columns && !rows) return mx_scope_fail(s, MX_EVALUE, "[linalg::norm] Invalid ord %g for matrix norm.", ord);
  mx_array *sums = mx_sum_axis(s, magnitude(s, a), axes[columns ? 0 : 1], true);
  int other = axes[columns ? 1 : 0];
  mx_array *r = ord > 0 ? mx_max_axis(s, sums, other, true) : mx_min_axis(s, sums, other, true);
  return keepdims ? r : mx_squeeze_axes(s, r, axes, 2);
}

/* The axes given, normalised, or all. */
static int norm_axes(const mx_array *a, const int *axis, size_t n, int *ax, size_t *count) {
  *count = axis ? n : (size_t)a->ndim;
  if (axis)
    return n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[linalg::norm] Received too many axes for norm.")
                           : mx_norm_axes("linalg::norm", axis, n, a->ndim, ax);
  for (int i = 0; i < a->ndim; i++) ax[i] = i;
  return 0;
}

mx_array *mx_linalg_norm(mx_scope *s, mx_array *a, double ord, const int *axis, size_t n, bool keepdims) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], rc = norm_axes(a, axis, n, ax, &n);
  if (rc) return mx_scope_error(s, rc);
  if (n == 0) return magnitude(s, a);
  if (n == 1) return vector_norm(s, a, ord, ax, 1, keepdims);
  if (n == 2) return matrix_norm(s, a, ord, ax, keepdims);
  return mx_scope_fail(s, MX_EVALUE, "[linalg::norm] Received too many axes for norm.");
}

mx_array *mx_linalg_norm_matrix(mx_scope *s, mx_array *a, const char *ord, const int *axis, size_t n, bool keepdims) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], rc = norm_axes(a, axis, n, ax, &n);
  if (rc) return mx_scope_error(s, rc);
  bool f = !strcmp(ord, "f") || !strcmp(ord, "fro"), nuc = !strcmp(ord, "nuc");
  if (!f && !nuc) return mx_scope_fail(s, MX_EVALUE, "[linalg::norm] Invalid ord '%s'.", ord);
  if (n != 2)
    return mx_scope_fail(s, MX_EVALUE, "[linalg::norm] Norm '%s' only supported for matrices, but received %zu axis/axes.", ord,
                         n);
  if (nuc) return singular_norm(s, a, 0, ax, keepdims);
  return euclidean(s, a, ax, n, keepdims);
}

mx_array *mx_linalg_norm_l2(mx_scope *s, mx_array *a, const int *axis, size_t n, bool keepdims) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], rc = norm_axes(a, axis, n, ax, &n);
  if (rc) return mx_scope_error(s, rc);
  return euclidean(s, a, ax, n, keepdims);
}

/* As if the axes, or all without any, were one. */
mx_array *mx_linalg_vector_norm(mx_scope *s, mx_array *a, double ord, const int *axes, size_t n, bool keepdims) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], rc = norm_axes(a, n ? axes : NULL, n, ax, &n);
  if (rc) return mx_scope_error(s, rc);
  if (n == 0) return vector_norm(s, mx_reshape(s, a, (int[]){1}, 1), ord, (int[]){0}, 1, false); /* a number: a vector of one */
  return vector_norm(s, a, ord, ax, n, keepdims);
}

/* ---- chains of products ---- */

/* The product of matrices i..j, split where split[i * n + j] says. The depth is below n. */
static mx_array *chain(mx_scope *s, mx_array **m, const int *split, int n, int i, int j) {
  if (i == j) return m[i];
  int k = split[i * n + j];
  return mx_matmul(s, chain(s, m, split, n, i, k), chain(s, m, split, n, k + 1, j));
}

/* Where to split so that the fewest multiplications are needed: cost[i][j] is the least for matrices i..j. */
static void best_splits(int n, mx_array *const *m, double *cost, int *split) {
  for (int len = 1; len < n; len++)
    for (int i = 0; i + len < n; i++) {
      int j = i + len;
      double best = INFINITY, outer = (double)m[i]->shape[0] * m[j]->shape[1];
      for (int k = i; k < j; k++) {
        double c = (k > i ? cost[i * n + k] : 0) + (k + 1 < j ? cost[(k + 1) * n + j] : 0) + outer * m[k]->shape[1];
        if (c < best) {
          best = c;
          split[i * n + j] = k;
        }
      }
      cost[i * n + j] = best;
    }
}

mx_array *mx_linalg_multi_dot(mx_scope *s, int n, mx_array *const *arrays) {
  enum { MOST = 64 };
  mx_array *m[MOST];
  if (n < 2 || n > MOST)
    return mx_scope_fail(s, MX_EVALUE, "[linalg::multi_dot] Expected 2 to %d arrays, got %d.", MOST, n);
  for (int i = 0; i < n; i++) {
    bool end = i == 0 || i == n - 1;
    if (arrays[i]->ndim != 2 && !(end && arrays[i]->ndim == 1))
      return mx_scope_fail(s, MX_EVALUE, "[linalg::multi_dot] Array %d must be a matrix%s, got shape %s.", i,
                           end ? " or a vector" : "", mx_shape_of(arrays[i]));
    m[i] = arrays[i]->ndim == 2 ? arrays[i] : mx_expand_dims(s, arrays[i], i ? 1 : 0);
    if (!m[i]) return NULL;
    if (i && m[i]->shape[0] != m[i - 1]->shape[1])
      return mx_scope_fail(s, MX_EVALUE, "[linalg::multi_dot] Arrays %d and %d of shapes %s and %s do not fit.", i - 1, i,
                           mx_shape_of(arrays[i - 1]), mx_shape_of(arrays[i]));
  }
  double *cost = mx_calloc((size_t)n * (size_t)n, sizeof *cost);
  int *split = mx_calloc((size_t)n * (size_t)n, sizeof *split), axes[2], k = 0;
  mx_array *r = NULL;
  if (!cost || !split) {
    mx_scope_error(s, mx_fail_memory());
  } else {
    best_splits(n, m, cost, split);
    r = chain(s, m, split, n, 0, n - 1);
  }
  mx_free(cost);
  mx_free(split);
  if (arrays[0]->ndim == 1) axes[k++] = 0;
  if (arrays[n - 1]->ndim == 1) axes[k++] = 1;
  return r && k ? mx_squeeze_axes(s, r, axes, (size_t)k) : r;
}

/* Vectors of two elements have a third that is 0. */
mx_array *mx_linalg_cross(mx_scope *s, mx_array *a, mx_array *b, int axis) {
  if (!a || !b) return NULL;
  mx_array *x[2] = {a, b}, *part[2][3];
  int ax[2];
  for (int i = 0; i < 2; i++) {
    int rc = mx_norm_axis("linalg::cross", axis, x[i]->ndim, &ax[i]);
    if (rc) return mx_scope_error(s, rc);
    int dim = x[i]->shape[ax[i]];
    if (dim != 2 && dim != 3)
      return mx_scope_fail(s, MX_EVALUE, "[linalg::cross] The specified axis must have size 2 or 3, not %d (shape %s).", dim,
                           mx_shape_of(x[i]));
    for (int k = 0; k < 3; k++) part[i][k] = k < dim ? mx_slice_axis(s, x[i], ax[i], k, k + 1) : mx_const_like(s, x[i], 0);
    /* one shape for all parts, so that they can be joined */
    part[i][2] = mx_broadcast_to(s, part[i][2], part[i][0] ? part[i][0]->shape : NULL, part[i][0] ? part[i][0]->ndim : 0);
  }
  mx_array *r[3];
  for (int k = 0; k < 3; k++) {
    int u = (k + 1) % 3, v = (k + 2) % 3;
    if (!part[0][u] || !part[0][v] || !part[1][u] || !part[1][v]) return NULL;
    r[k] = mx_subtract(s, mx_multiply(s, part[0][u], part[1][v]), mx_multiply(s, part[0][v], part[1][u]));
  }
  if (!r[0]) return NULL;
  return mx_concatenate_axis(s, 3, r, axis < 0 ? r[0]->ndim + axis : axis);
}
