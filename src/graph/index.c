/* Reading and writing at places given by arrays of integers. */
#include "graph/build.h"
#include "graph/relative.h"
#include "graph/modes.h"

/* The index arrays, integers, broadcast to one shape; axes normalised into ax. */
static int index_arrays(mx_scope *s, const char *tag, const mx_array *a, int n, mx_array *const *indices, const int *axes,
                        size_t naxes, mx_array **res, int *ax) {
  if ((size_t)n != naxes || n > a->ndim)
    return mx_fail(MX_EVALUE, "[%s] %d index arrays and %zu axes for array with %d dimensions.", tag, n, naxes, a->ndim);
  int rc = mx_norm_axes(tag, axes, naxes, a->ndim, ax), nd = 0;
  int32_t shape[MX_MAX_NDIM];
  for (int i = 0; i < n && !rc; i++) {
    if (!indices[i]) return s->rc;
    mx_dtype t = indices[i]->dtype;
    if (t == MX_BOOL)
      rc = mx_fail(MX_EVALUE, "[%s] Boolean indices are not supported.", tag);
    else if (!mx_is_integer(t))
      rc = mx_fail(MX_EVALUE, "[%s] Got indices with invalid dtype %s. Indices must be integral.", tag, mx_dtype_name(t));
    else
      rc = mx_broadcast_shape(nd, shape, indices[i]->ndim, indices[i]->shape, &nd, shape);
  }
  for (int i = 0; i < n && !rc; i++)
    if (!(res[i] = mx_broadcast_to(s, indices[i], shape, nd))) rc = s->rc;
  return rc;
}

/* whole: the sizes of other axes than those of the index are a's. */
static mx_array *gather(mx_scope *s, mx_array *a, int n, mx_array *const *indices, const int *axes, size_t naxes, const int *sizes,
                        size_t nsizes, bool whole) {
  if (!a) return NULL;
  mx_array *in[1 + MX_MAX_NDIM] = {a};
  int ax[MX_MAX_NDIM], rc = index_arrays(s, "gather", a, n, indices, axes, naxes, in + 1, ax);
  if (!rc && nsizes != a->ndim)
    rc = mx_fail(MX_EVALUE, "[gather] Got %zu slice sizes for array with %d dimensions.", nsizes, a->ndim);
  if (rc) return mx_scope_error(s, rc);
  int64_t p[1 + 2 * MX_MAX_NDIM];
  p[0] = n;
  for (int i = 0; i < n; i++) p[1 + i] = ax[i];
  for (int i = 0; i < a->ndim; i++) p[1 + n + i] = whole ? -1 : sizes[i];
  if (!whole) return mx_node(s, OP_gather, 1 + n, in, 1 + n + a->ndim, p);
  for (int i = 0; i < n; i++) p[1 + n + ax[i]] = 1;
  return mx_node_relative(s, OP_gather, 1 + n, in, 1 + n + a->ndim, p);
}

mx_array *mx_gather(mx_scope *s, mx_array *a, int n, mx_array *const *indices, const int *axes, size_t naxes, const int *sizes,
                    size_t nsizes) {
  return gather(s, a, n, indices, axes, naxes, sizes, nsizes, false);
}

mx_array *mx_gather_single(mx_scope *s, mx_array *a, mx_array *indices, int axis, const int *sizes, size_t nsizes) {
  return indices ? mx_gather(s, a, 1, &indices, &axis, 1, sizes, nsizes) : NULL;
}

mx_array *mx_take_axis(mx_scope *s, mx_array *a, mx_array *indices, int axis) {
  if (!a || !indices) return NULL;
  int ax, rc = mx_norm_axis("take", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  int sizes[MX_MAX_NDIM], perm[MX_MAX_NDIM], k = 0, ni = indices->ndim;
  for (int i = 0; i < a->ndim; i++) sizes[i] = i == ax ? 1 : a->shape[i];
  mx_array *r = gather(s, a, 1, &indices, &ax, 1, sizes, a->ndim, MX_FOR_ANY_SHAPE(a) || MX_FOR_ANY_SHAPE(indices));
  /* (index shape, a's shape with 1 at ax): the index shape goes where the axis was */
  r = mx_squeeze_axis(s, r, ni + ax);
  for (int i = 0; i < ax; i++) perm[k++] = ni + i;
  for (int i = 0; i < ni; i++) perm[k++] = i;
  for (int i = ax; i < a->ndim - 1; i++) perm[k++] = ni + i;
  return r ? mx_transpose_axes(s, r, perm, k) : NULL;
}

mx_array *mx_take(mx_scope *s, mx_array *a, mx_array *indices) { return mx_take_axis(s, mx_flatten(s, a, 0, -1), indices, 0); }

/* Both broadcast to each other but for the axis. */
static int along_axis(mx_scope *s, const char *tag, mx_array **a, mx_array **indices, int axis, int *ax) {
  int rc = mx_norm_axis(tag, axis, (*a)->ndim, ax);
  if (rc) return rc;
  if ((*indices)->ndim != (*a)->ndim)
    return mx_fail(MX_EVALUE, "[%s] Indices of dimension %d does not match array of dimension %d.", tag, (*indices)->ndim,
                   (*a)->ndim);
  if (!mx_is_integer((*indices)->dtype))
    return mx_fail(MX_EVALUE, "[%s] Got indices with invalid dtype %s. Indices must be integral.", tag,
                   mx_dtype_name((*indices)->dtype));
  int nd = (*a)->ndim, sa[MX_MAX_NDIM], si[MX_MAX_NDIM], both[MX_MAX_NDIM], n;
  for (int i = 0; i < nd; i++) {
    sa[i] = i == *ax ? 1 : (*a)->shape[i];
    si[i] = i == *ax ? 1 : (*indices)->shape[i];
  }
  if ((rc = mx_broadcast_shape(nd, sa, nd, si, &n, both))) return rc;
  both[*ax] = (*a)->shape[*ax];
  *a = mx_broadcast_to(s, *a, both, nd);
  both[*ax] = (*indices)->shape[*ax];
  *indices = mx_broadcast_to(s, *indices, both, nd);
  return s->rc;
}

mx_array *mx_take_along_axis(mx_scope *s, mx_array *a, mx_array *indices, int axis) {
  if (!a || !indices) return NULL;
  int ax, rc = along_axis(s, "take_along_axis", &a, &indices, axis, &ax);
  if (rc) return mx_scope_error(s, rc);
  return mx_node2(s, OP_gather_axis, a, indices, 1, (int64_t[]){ax});
}

static mx_array *put_along(mx_scope *s, const char *tag, int mode, mx_array *a, mx_array *indices, mx_array *values, int axis) {
  if (!a || !indices || !values) return NULL;
  mx_array *x = a;
  int ax, rc = along_axis(s, tag, &x, &indices, axis, &ax);
  if (rc) return mx_scope_error(s, rc);
  if (!mx_same_shape(x, a))
    return mx_scope_fail(s, MX_EVALUE, "[%s] Indices of shape %s do not fit array of shape %s.", tag, mx_shape_of(indices),
                         mx_shape_of(a));
  values = mx_broadcast_to(s, mx_astype(s, values, a->dtype), indices->shape, indices->ndim);
  return values ? mx_node(s, OP_scatter_axis, 3, (mx_array *[]){a, indices, values}, 2, (int64_t[]){ax, mode}) : NULL;
}

mx_array *mx_put_along_axis(mx_scope *s, mx_array *a, mx_array *indices, mx_array *values, int axis) {
  return put_along(s, "put_along_axis", MODE_ASSIGN, a, indices, values, axis);
}

mx_array *mx_scatter_add_axis(mx_scope *s, mx_array *a, mx_array *indices, mx_array *values, int axis) {
  return put_along(s, "scatter_add_axis", MODE_ADD, a, indices, values, axis);
}

static mx_array *scatter(mx_scope *s, const char *tag, int mode, mx_array *a, int n, mx_array *const *indices, mx_array *updates,
                         const int *axes, size_t naxes) {
  if (!a || !updates) return NULL;
  mx_array *in[2 + MX_MAX_NDIM] = {a};
  int ax[MX_MAX_NDIM], rc = index_arrays(s, tag, a, n, indices, axes, naxes, in + 2, ax);
  if (rc) return mx_scope_error(s, rc);
  int ni = n ? in[2]->ndim : 0, want[MX_MAX_NDIM];
  if (updates->ndim != ni + a->ndim)
    return mx_scope_fail(s, MX_EVALUE,
                         "[%s] Number of dimensions of updates %s must be those of the indices, %d, plus those of the array, %d.",
                         tag, mx_shape_of(updates), ni, a->ndim);
  /* the index dimensions of the updates may be broadcast */
  for (int i = 0; i < updates->ndim; i++) want[i] = i < ni ? in[2]->shape[i] : updates->shape[i];
  in[1] = mx_broadcast_to(s, mx_astype(s, updates, a->dtype), want, updates->ndim);
  if (!in[1]) return NULL;
  int64_t p[2 + MX_MAX_NDIM] = {mode, n};
  for (int i = 0; i < n; i++) p[2 + i] = ax[i];
  return mx_node(s, OP_scatter, 2 + n, in, 2 + n, p);
}

#define SCATTER(name, mode)                                                                                          \
  mx_array *mx_##name(mx_scope *s, mx_array *a, int n, mx_array *const *indices, mx_array *updates, const int *axes, \
                      size_t naxes) {                                                                                \
    return scatter(s, #name, mode, a, n, indices, updates, axes, naxes);                                             \
  }                                                                                                                  \
  mx_array *mx_##name##_single(mx_scope *s, mx_array *a, mx_array *indices, mx_array *updates, int axis) {           \
    return indices ? scatter(s, #name, mode, a, 1, &indices, updates, &axis, 1) : NULL;                              \
  }
SCATTER(scatter, MODE_ASSIGN)
SCATTER(scatter_add, MODE_ADD)
SCATTER(scatter_prod, MODE_MULTIPLY)
SCATTER(scatter_max, MODE_MAXIMUM)
SCATTER(scatter_min, MODE_MINIMUM)
