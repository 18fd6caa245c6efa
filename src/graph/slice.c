/* Slices, with bounds given as numbers or as an array, and updates of slices. */
#include <limits.h>

#include "graph/build.h"
#include "graph/relative.h"
#include "graph/modes.h"

int mx_slice_bounds(const char *tag, int dim, int start, int stop, int step, int64_t *b, int64_t *e, int *size) {
  if (step == 0) return mx_fail(MX_EVALUE, "[%s] The step of a slice must not be 0.", tag);
  int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? dim : (int64_t)dim - 1;
  int64_t from = start < 0 ? (int64_t)start + dim : start, to = stop < 0 ? (int64_t)stop + dim : stop;
  if (from < lo) from = lo;
  if (from > hi) from = hi;
  if (to < lo) to = lo;
  if (to > hi) to = hi;
  int64_t n = step > 0 ? (to - from + step - 1) / step : (from - to - (int64_t)step - 1) / -(int64_t)step;
  if (n <= 0) { /* empty: any bounds that say so */
    n = 0;
    from = to = 0;
  }
  *b = from;
  *e = to;
  *size = (int)n;
  return 0;
}

/* p = start, stop, step of a's dimensions; size = the slice's shape. Missing strides are 1. */
static int slice_params(const char *tag, const mx_array *a, const int *start, size_t nstart, const int *stop, size_t nstop,
                        const int *strides, size_t nstrides, int64_t *p, int *size) {
  int nd = a->ndim, rc = 0;
  if (nstart != (size_t)nd || nstop != (size_t)nd || (nstrides && nstrides != (size_t)nd))
    return mx_fail(
        MX_EVALUE,
        "[%s] Invalid number of indices or strides for array with dimension %d: got %zu starts, %zu stops, %zu strides.", tag, nd,
        nstart, nstop, nstrides);
  for (int i = 0; i < nd && !rc; i++) {
    int step = nstrides ? strides[i] : 1;
    rc = mx_slice_bounds(tag, a->shape[i], start[i], stop[i], step, &p[i], &p[nd + i], &size[i]);
    if (!rc && size[i] == 0) step = 1;
    p[2 * nd + i] = step;
  }
  return rc;
}

/* With the bounds as they were given. */
static mx_array *slice_any(mx_scope *s, mx_array *a, const int *start, const int *stop, const int *strides) {
  int64_t p[3 * MX_MAX_NDIM];
  int nd = a->ndim;
  bool whole = true;
  for (int i = 0; i < nd; i++) {
    p[i] = start[i] == INT_MIN ? -INT_MAX : start[i];
    p[nd + i] = stop[i] == INT_MIN ? -INT_MAX : stop[i];
    p[2 * nd + i] = strides ? strides[i] : 1;
    whole &= p[i] == 0 && p[nd + i] == INT_MAX && p[2 * nd + i] == 1;
  }
  return whole ? a : mx_node_relative(s, OP_slice, 1, &a, 3 * nd, p);
}

mx_array *mx_slice(mx_scope *s, mx_array *a, const int *start, size_t nstart, const int *stop, size_t nstop, const int *strides,
                   size_t nstrides) {
  if (!a) return NULL;
  int64_t p[3 * MX_MAX_NDIM];
  int size[MX_MAX_NDIM], rc = slice_params("slice", a, start, nstart, stop, nstop, strides, nstrides, p, size);
  if (rc) return mx_scope_error(s, rc);
  if (MX_FOR_ANY_SHAPE(a)) return slice_any(s, a, start, stop, nstrides ? strides : NULL);
  bool same = true;
  for (int i = 0; i < a->ndim; i++) same = same && size[i] == a->shape[i] && p[2 * a->ndim + i] == 1;
  return same ? a : mx_node1(s, OP_slice, a, 3 * a->ndim, p);
}

static mx_array *update(mx_scope *s, int mode, mx_array *src, mx_array *upd, const int *start, size_t nstart, const int *stop,
                        size_t nstop, const int *strides, size_t nstrides) {
  if (!src || !upd) return NULL;
  int64_t p[1 + 3 * MX_MAX_NDIM];
  int size[MX_MAX_NDIM], rc = slice_params("slice_update", src, start, nstart, stop, nstop, strides, nstrides, p + 1, size);
  if (rc) return mx_scope_error(s, rc);
  p[0] = mode;
  upd = mx_astype(s, upd, src->dtype);
  while (upd && upd->ndim > src->ndim && upd->shape[0] == 1) upd = mx_squeeze_axis(s, upd, 0);
  upd = mx_broadcast_to(s, upd, size, src->ndim);
  return mx_node2(s, OP_slice_update, src, upd, 1 + 3 * src->ndim, p);
}

#define UPDATE(name, mode)                                                                                                       \
  mx_array *mx_##name(mx_scope *s, mx_array *src, mx_array *upd, const int *start, size_t nstart, const int *stop, size_t nstop, \
                      const int *strides, size_t nstrides) {                                                                     \
    return update(s, mode, src, upd, start, nstart, stop, nstop, strides, nstrides);                                             \
  }
UPDATE(slice_update, MODE_ASSIGN)
UPDATE(slice_update_add, MODE_ADD)
UPDATE(slice_update_prod, MODE_MULTIPLY)
UPDATE(slice_update_max, MODE_MAXIMUM)
UPDATE(slice_update_min, MODE_MINIMUM)

/* The start of a dynamic slice: integers, one for each axis. */
static mx_array *start_array(mx_scope *s, const char *tag, mx_array *start, size_t n) {
  if (!start) return NULL;
  if (!mx_is_integer(start->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[%s] The start must be integers, not %s.", tag, mx_dtype_name(start->dtype));
  if (start->ndim > 1 || (size_t)start->size != n)
    return mx_scope_fail(s, MX_EVALUE, "[%s] The start has shape %s, but there are %zu axes.", tag, mx_shape_of(start), n);
  return mx_reshape(s, start, (int[]){(int)n}, 1);
}

mx_array *mx_slice_dynamic(mx_scope *s, mx_array *a, mx_array *start, const int *axes, size_t n, const int *size, size_t nsize) {
  if (!a || !start) return NULL;
  if (nsize != a->ndim)
    return mx_scope_fail(s, MX_EVALUE, "[slice] %zu slice sizes for array with dimension %d.", nsize, a->ndim);
  int ax[MX_MAX_NDIM],
      rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[slice] Too many axes: %zu.", n) : mx_norm_axes("slice", axes, n, a->ndim, ax);
  if (rc) return mx_scope_error(s, rc);
  int64_t p[1 + 2 * MX_MAX_NDIM];
  p[0] = (int64_t)n;
  for (size_t i = 0; i < n; i++) p[1 + i] = ax[i];
  for (int i = 0; i < a->ndim; i++) p[1 + n + i] = size[i];
  return mx_node2(s, OP_dynamic_slice, a, start_array(s, "slice", start, n), 1 + (int)n + a->ndim, p);
}

mx_array *mx_slice_update_dynamic(mx_scope *s, mx_array *src, mx_array *upd, mx_array *start, const int *axes, size_t n) {
  if (!src || !upd || !start) return NULL;
  int ax[MX_MAX_NDIM], rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[slice_update] Too many axes: %zu.", n)
                                            : mx_norm_axes("slice_update", axes, n, src->ndim, ax);
  if (rc) return mx_scope_error(s, rc);
  int size[MX_MAX_NDIM], missing = src->ndim - upd->ndim;
  bool moves[MX_MAX_NDIM] = {0};
  int64_t p[1 + MX_MAX_NDIM];
  p[0] = (int64_t)n;
  for (size_t i = 0; i < n; i++) {
    p[1 + i] = ax[i];
    moves[ax[i]] = true;
  }
  if (missing < 0)
    return mx_scope_fail(s, MX_EVALUE, "[slice_update] The update %s has more dimensions than the array %s.", mx_shape_of(upd),
                         mx_shape_of(src));
  for (int i = 0; i < src->ndim; i++) size[i] = moves[i] && i >= missing ? upd->shape[i - missing] : moves[i] ? 1 : src->shape[i];
  upd = mx_broadcast_to(s, mx_astype(s, upd, src->dtype), size, src->ndim);
  start = start_array(s, "slice_update", start, n);
  return upd && start ? mx_node(s, OP_dynamic_slice_update, 3, (mx_array *[]){src, upd, start}, 1 + (int)n, p) : NULL;
}
