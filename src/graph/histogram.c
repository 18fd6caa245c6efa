/* Values sorted into bins: searchsorted, digitize, histogram. */
#include <math.h>

#include "graph/build.h"

mx_array *mx_searchsorted(mx_scope *s, mx_array *sorted, mx_array *values, bool right) {
  if (!sorted || !values) return NULL;
  if (sorted->ndim != 1)
    return mx_scope_fail(s, MX_EVALUE, "[searchsorted] The sorted sequence must be 1-D but has %d dimensions.", sorted->ndim);
  mx_dtype t = mx_promote(sorted->dtype, values->dtype);
  return mx_node2(s, OP_searchsorted, mx_astype(s, sorted, t), mx_astype(s, values, t), 2, (int64_t[]){right, 0});
}

/* The numbers of small arrays, to check them; false also where there are none yet, while compile or vmap trace. */
static bool known(mx_scope *s, int n, mx_array *const *a) {
  for (int i = 0; i < n; i++)
    if (!a[i] || a[i]->flags & MX_PLACEHOLDER) return false;
  int rc = mx_eval(n, a);
  if (rc) mx_scope_error(s, rc);
  return rc == 0;
}

/* 1: rising, -1: falling, 0: neither, 2: not known. Equal neighbours are fine. */
static int direction(mx_scope *s, mx_array *bins) {
  int n = bins->shape[0];
  if (n < 2) return 1;
  mx_array *low = mx_slice_axis(s, bins, 0, 0, n - 1), *high = mx_slice_axis(s, bins, 0, 1, n);
  mx_array *is[2] = {low ? mx_all(s, mx_less_equal(s, low, high), false) : NULL,
                     low ? mx_all(s, mx_greater_equal(s, low, high), false) : NULL};
  if (!known(s, 2, is)) return 2;
  return mx_item_i64(is[0]) ? 1 : mx_item_i64(is[1]) ? -1 : 0;
}

static int check_bins(mx_scope *s, const char *tag, mx_array *bins) {
  if (bins->ndim != 1) mx_scope_fail(s, MX_EVALUE, "[%s] The bins must have one dimension, got shape %s.", tag, mx_shape_of(bins));
  else if (mx_is_complex(bins->dtype)) mx_scope_fail(s, MX_ETYPE, "[%s] The bins must be real, got %s.", tag, mx_dtype_name(bins->dtype));
  return s->rc;
}

mx_array *mx_digitize(mx_scope *s, mx_array *x, mx_array *bins, bool right) {
  if (!x || !bins) return NULL;
  if (mx_is_complex(x->dtype)) return mx_scope_fail(s, MX_ETYPE, "[digitize] The values must be real, got %s.", mx_dtype_name(x->dtype));
  if (check_bins(s, "digitize", bins)) return NULL;
  int way = direction(s, bins), n = bins->shape[0];
  if (way == 0) return mx_scope_fail(s, MX_EVALUE, "[digitize] The bins must rise or fall monotonically.");
  if (s->rc) return NULL;
  mx_array *up = way >= 0 ? mx_searchsorted(s, bins, x, !right) : NULL;
  if (way == 1) return up;
  mx_array *down = mx_searchsorted(s, mx_flip(s, bins, NULL, 0), x, !right);
  down = down ? mx_subtract(s, mx_int(s, MX_U32, n), down) : NULL;
  mx_shape_used = true;
  if (way == -1) return down;
  mx_array *first = mx_slice_axis(s, bins, 0, 0, 1), *last = mx_slice_axis(s, bins, 0, n - 1, n);
  return first && up && down ? mx_where(s, mx_reshape(s, mx_less_equal(s, first, last), NULL, 0), up, down) : NULL;
}

/* ---- histogram ---- */

static mx_dtype edge_dtype(const mx_array *a) { return a->dtype == MX_F64 ? MX_F64 : MX_F32; }

/* The ends of the bins: those given, or the least and the greatest value; half a unit to each side of a single one. */
static int find_range(mx_scope *s, mx_array *a, mx_array *range, mx_array *ends[2]) {
  mx_dtype t = edge_dtype(a);
  if (range) {
    if (range->ndim != 1 || range->shape[0] != 2)
      return mx_scope_fail(s, MX_EVALUE, "[histogram] The range must be two numbers, got shape %s.", mx_shape_of(range)), s->rc;
    for (int i = 0; i < 2; i++) ends[i] = mx_reshape(s, mx_slice_axis(s, range, 0, i, i + 1), NULL, 0);
  } else if (a->size == 0) {
    for (int i = 0; i < 2; i++) ends[i] = mx_int(s, t, i);
  } else {
    ends[0] = mx_min(s, a, false);
    ends[1] = mx_max(s, a, false);
  }
  for (int i = 0; i < 2; i++) ends[i] = ends[i] ? mx_astype(s, mx_stop_gradient(s, ends[i]), t) : NULL;
  if (known(s, 2, ends)) {
    double low = mx_item_f64(ends[0]), high = mx_item_f64(ends[1]);
    if (!isfinite(low) || !isfinite(high))
      mx_scope_fail(s, MX_EVALUE, "[histogram] The range must be finite, got [%g, %g].", low, high);
    else if (low > high)
      mx_scope_fail(s, MX_EVALUE, "[histogram] The range must rise, got [%g, %g].", low, high);
  }
  if (s->rc) return s->rc;
  mx_array *one = mx_equal(s, ends[0], ends[1]), *half = mx_scalar(s, t, 0.5), *low = ends[0];
  ends[0] = mx_where(s, one, mx_subtract(s, low, half), low);
  ends[1] = mx_where(s, one, mx_add(s, ends[1], half), ends[1]);
  return s->rc;
}

mx_array *mx_histogram_bin_edges(mx_scope *s, mx_array *a, int bins, mx_array *range) {
  if (!a) return NULL;
  if (bins < 1) return mx_scope_fail(s, MX_EVALUE, "[histogram] The number of bins must be positive, got %d.", bins);
  if (mx_is_complex(a->dtype)) return mx_scope_fail(s, MX_ETYPE, "[histogram] The values must be real, got %s.", mx_dtype_name(a->dtype));
  mx_array *ends[2];
  if (find_range(s, a, range, ends)) return NULL;
  mx_array *step = mx_divide(s, mx_subtract(s, ends[1], ends[0]), mx_scalar(s, ends[0]->dtype, bins));
  mx_array *at = mx_arange(s, 0, (double)bins + 1, 1, ends[0]->dtype);
  mx_array *edges = step && at ? mx_add(s, ends[0], mx_multiply(s, at, step)) : NULL;
  return edges ? mx_where(s, mx_equal(s, at, mx_scalar(s, edges->dtype, bins)), ends[1], edges) : NULL; /* the last one exactly */
}

/* For every value the number of its bin, from 1; 0 and bins + 1 for those outside, among them NaN. */
static mx_array *bin_of(mx_scope *s, mx_array *a, mx_array *edges) {
  int n = edges->shape[0];
  mx_array *x = mx_stop_gradient(s, mx_flatten(s, mx_astype(s, a, mx_promote(a->dtype, edges->dtype)), 0, -1));
  mx_array *at = mx_searchsorted(s, edges, x, true);
  mx_array *last = mx_reshape(s, mx_slice_axis(s, edges, 0, n - 1, n), NULL, 0);
  return at && last ? mx_where(s, mx_equal(s, x, last), mx_int(s, MX_U32, n - 1), at) : NULL; /* the last bin is closed */
}

int mx_histogram(mx_scope *s, mx_array *res[2], mx_array *a, int bins, mx_array *edges, mx_array *range, mx_array *weights, bool density) {
  if (!a) return s->rc;
  if (edges) {
    if (mx_is_complex(a->dtype)) mx_scope_fail(s, MX_ETYPE, "[histogram] The values must be real, got %s.", mx_dtype_name(a->dtype));
    if (s->rc || check_bins(s, "histogram", edges)) return s->rc;
    if (edges->shape[0] < 2)
      mx_scope_fail(s, MX_EVALUE, "[histogram] The edges of bins must be two or more, got %d.", edges->shape[0]);
    else if (direction(s, edges) <= 0)
      mx_scope_fail(s, MX_EVALUE, "[histogram] The edges of bins must rise monotonically.");
  } else {
    edges = mx_histogram_bin_edges(s, a, bins, range);
  }
  if (weights && !mx_same_shape(weights, a))
    mx_scope_fail(s, MX_EVALUE, "[histogram] Expected weights of shape %s, got %s.", mx_shape_of(a), mx_shape_of(weights));
  if (s->rc || !edges) return s->rc;
  mx_shape_used = true;
  int n = edges->shape[0], slots = n + 1;
  mx_array *w = weights ? mx_flatten(s, weights, 0, -1) : NULL;
  mx_array *all = mx_bincount(s, bin_of(s, a, edges), w, 0, &slots);
  res[0] = mx_slice_axis(s, all, 0, 1, n);
  res[1] = edges;
  if (density && res[0]) {
    mx_array *h = mx_to_float(s, res[0]), *wide = mx_subtract(s, mx_slice_axis(s, edges, 0, 1, n), mx_slice_axis(s, edges, 0, 0, n - 1));
    mx_array *total = h && wide ? mx_multiply(s, mx_astype(s, wide, h->dtype), mx_sum(s, h, false)) : NULL;
    res[0] = total ? mx_divide(s, h, total) : NULL;
  }
  return s->rc;
}
