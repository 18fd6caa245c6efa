/* Moving places about: adaptive pools, pixel shuffle, sampling at a grid, bags of embeddings. */
#include <math.h>
#include <string.h>

#include "graph/build.h"
#include "nn/nn.h"

/* ---- adaptive pools ---- */

static int bin_start(int i, int n, int m) { return (int)((int64_t)i * n / m); }
static int bin_stop(int i, int n, int m) { return (int)(((int64_t)(i + 1) * n + m - 1) / m); }

/* For bins that overlap or differ in size: the places (m * k) of their elements, the first again where one has fewer than k, and for a
 * mean the share of each. */
static bool bins(mx_scope *s, int n, int m, int k, mx_array **places, mx_array **shares) {
  if (!(*places = mx_own(s, mx_array_empty(MX_I32, 1, (int32_t[]){m * k})))) return false;
  if (shares && !(*shares = mx_own(s, mx_array_empty(MX_F32, 2, (int32_t[]){m, k})))) return false;
  int32_t *at = (*places)->data;
  float *share = shares ? (*shares)->data : NULL;
  for (int i = 0; i < m; i++) {
    int start = bin_start(i, n, m), size = bin_stop(i, n, m) - start;
    for (int j = 0; j < k; j++) at[i * k + j] = start + (j < size ? j : 0);
    for (int j = 0; j < k && share; j++) share[i * k + j] = j < size ? 1.0f / (float)size : 0;
  }
  return true;
}

/* The axis pooled to m bins. */
static mx_array *adapt(mx_scope *s, mx_array *x, int axis, int m, bool mean) {
  int n = x->shape[axis], shape[MX_MAX_NDIM + 1], k = n % m == 0 ? n / m : 1;
  mx_array *places = NULL, *shares = NULL;
  if (m == n) return x;
  mx_shape_used = true;
  if (n % m) {
    for (int i = 0; i < m; i++) {
      int size = bin_stop(i, n, m) - bin_start(i, n, m);
      if (size > k) k = size;
    }
    if ((int64_t)m * k > MX_MAX_DIM || x->ndim == MX_MAX_NDIM)
      return mx_scope_fail(s, MX_EVALUE, "[adaptive_pool] %d bins of %d places are too many.", m, k);
    if (!bins(s, n, m, k, &places, mean ? &shares : NULL) || !(x = mx_take_axis(s, x, places, axis))) return NULL;
  }
  for (int i = 0; i <= x->ndim; i++) shape[i] = i == axis ? m : i == axis + 1 ? k : x->shape[i > axis ? i - 1 : i];
  x = mx_reshape(s, x, shape, (size_t)x->ndim + 1);
  if (!x || !mean) return x ? mx_max_axis(s, x, axis + 1, false) : NULL;
  if (!shares) return mx_mean_axis(s, x, axis + 1, false);
  for (int i = 0; i < x->ndim; i++) shape[i] = i == axis ? m : i == axis + 1 ? k : 1;
  shares = mx_reshape(s, shares, shape, x->ndim);
  if (mx_is_inexact(x->dtype)) shares = mx_astype(s, shares, x->dtype);
  x = mx_multiply(s, x, shares);
  return x ? mx_sum_axis(s, x, axis + 1, false) : NULL;
}

static mx_array *adaptive(mx_scope *s, const char *tag, mx_array *x, const int *size, size_t n, bool mean) {
  if (!x) return NULL;
  int dims = x->ndim - 2;
  if (dims < 1 || (n != 1 && n != (size_t)dims))
    return mx_scope_fail(s, MX_EVALUE,
                         "[%s] %zu output sizes for an input of shape %s, expected one or one for each spatial dimension.", tag,
                         n, mx_shape_words(x));
  for (int axis = 1; axis <= dims && x; axis++) {
    int m = size[n == 1 ? 0 : axis - 1];
    if (m == -1) continue; /* stays */
    if (m < 1 || x->shape[axis] < 1)
      return mx_scope_fail(s, MX_EVALUE,
                           "[%s] An output size of %d for an axis of size %d, expected at least 1, or -1 to keep it.", tag, m,
                           x->shape[axis]);
    x = adapt(s, x, axis, m, mean);
  }
  return x;
}

mx_array *mx_nn_adaptive_avg_pool(mx_scope *s, mx_array *x, const int *size, size_t n) {
  return adaptive(s, "adaptive_avg_pool", x, size, n, true);
}
mx_array *mx_nn_adaptive_max_pool(mx_scope *s, mx_array *x, const int *size, size_t n) {
  return adaptive(s, "adaptive_max_pool", x, size, n, false);
}

/* ---- pixel shuffle ---- */

static bool shuffles(mx_scope *s, const char *tag, const mx_array *x, int factor, bool fits) {
  if (factor >= 1 && factor <= 1 << 14 && fits) return true;
  mx_scope_fail(s, MX_EVALUE, "[%s] A factor of %d does not fit an input (N, H, W, C) of shape %s.", tag, factor,
                mx_shape_words(x));
  return false;
}

mx_array *mx_nn_pixel_shuffle(mx_scope *s, mx_array *x, int factor) {
  if (!x || !shuffles(s, "pixel_shuffle", x, factor, x->ndim == 4 && factor && x->shape[3] % ((int64_t)factor * factor) == 0))
    return NULL;
  int n = x->shape[0], h = x->shape[1], w = x->shape[2], c = x->shape[3] / (factor * factor);
  int64_t tall = (int64_t)h * factor, wide = (int64_t)w * factor;
  if (tall > MX_MAX_DIM || wide > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("pixel_shuffle", tall > wide ? tall : wide));
  x = mx_permute(s, mx_reshape(s, x, (int[]){n, h, w, c, factor, factor}, 6), (int[]){0, 1, 4, 2, 5, 3});
  return mx_reshape(s, x, (int[]){n, (int)tall, (int)wide, c}, 4);
}

mx_array *mx_nn_pixel_unshuffle(mx_scope *s, mx_array *x, int factor) {
  if (!x || !shuffles(s, "pixel_unshuffle", x, factor,
                      x->ndim == 4 && factor && x->shape[1] % factor == 0 && x->shape[2] % factor == 0))
    return NULL;
  int n = x->shape[0], h = x->shape[1] / factor, w = x->shape[2] / factor, c = x->shape[3];
  int64_t deep = (int64_t)c * factor * factor;
  if (deep > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("pixel_unshuffle", deep));
  x = mx_permute(s, mx_reshape(s, x, (int[]){n, h, factor, w, factor, c}, 6), (int[]){0, 1, 3, 5, 2, 4});
  return mx_reshape(s, x, (int[]){n, h, w, (int)deep}, 4);
}

/* ---- grid_sample ---- */

enum padding { ZEROS, BORDER, REFLECTION };

typedef struct sampling {
  enum padding padding;
  bool nearest, align_corners;
} sampling;

/* x folded back at low and at low + span as often as needed */
static mx_array *reflected(mx_scope *s, mx_array *x, double low, double span) {
  if (span <= 0) return mx_times(s, x, 0);
  x = mx_abs(s, mx_plus(s, x, -low));
  mx_array *turn = mx_remainder(s, x, mx_weak(s, x, 2 * span));
  mx_array *back = mx_subtract(s, mx_weak(s, turn, 2 * span), turn);
  return mx_plus(s, mx_minimum(s, turn, back), low);
}

static mx_array *clamped(mx_scope *s, mx_array *x, int n) {
  return mx_minimum(s, mx_maximum(s, x, mx_weak_int(s, x, 0)), mx_weak_int(s, x, n - 1));
}

/* One coordinate of the grid, -1 to 1, as a place among n. */
static mx_array *place_of(mx_scope *s, mx_array *g, int n, const sampling *how) {
  mx_array *x = how->align_corners ? mx_times(s, mx_plus(s, g, 1), (n - 1) / 2.0)
                                   : mx_times(s, mx_plus(s, mx_times(s, mx_plus(s, g, 1), n), -1), 0.5);
  if (how->padding == REFLECTION) x = how->align_corners ? reflected(s, x, 0, n - 1) : reflected(s, x, -0.5, n);
  return how->padding == ZEROS ? x : clamped(s, x, n);
}

/* A neighbour along one axis: its index, and its weight, which is 0 outside. */
typedef struct neighbour {
  mx_array *index, *weight;
} neighbour;

static neighbour neighbour_at(mx_scope *s, mx_array *whole, mx_array *weight, int n, const sampling *how) {
  neighbour r;
  if (how->padding == ZEROS) {
    mx_array *inside =
        mx_logical_and(s, mx_greater_equal(s, whole, mx_weak(s, whole, 0)), mx_less_equal(s, whole, mx_weak(s, whole, n - 1)));
    inside = whole ? mx_astype(s, inside, whole->dtype) : NULL;
    weight = weight ? mx_multiply(s, weight, inside) : inside;
  }
  /* twice: what is no number is some number only then */
  r.index = clamped(s, mx_astype(s, clamped(s, whole, n), MX_I32), n);
  r.weight = weight;
  return r;
}

/* The one or two neighbours of the places along an axis of size n. */
static int neighbours(mx_scope *s, mx_array *x, int n, const sampling *how, neighbour out[2]) {
  if (how->nearest) {
    out[0] = neighbour_at(s, mx_rint(s, x), NULL, n, how);
    return 1;
  }
  mx_array *low = mx_stop_gradient(s, mx_floor(s, x)), *part = mx_subtract(s, x, low);
  out[0] = neighbour_at(s, low, mx_subtract(s, mx_weak(s, part, 1), part), n, how);
  out[1] = neighbour_at(s, mx_plus(s, low, 1), part, n, how);
  return 2;
}

/* The row of x, (N * places, C), that the indices point at. */
static mx_array *row_index(mx_scope *s, const mx_array *x, int k, const neighbour *at) {
  mx_array *row = mx_reshape(s, mx_arange(s, 0, x->shape[0], 1, MX_I32), (int[]){x->shape[0], 1, 1, 1}, (size_t)k + 1);
  for (int i = 0; i < k; i++) row = mx_add(s, mx_multiply(s, row, mx_int(s, MX_I32, x->shape[1 + i])), at[i].index);
  return row;
}

static bool read_sampling(mx_scope *s, const char *mode, const char *padding_mode, sampling *how) {
  static const char *const paddings[] = {"zeros", "border", "reflection"};
  int p = 0;
  while (p < 3 && strcmp(padding_mode, paddings[p])) p++;
  how->nearest = !strcmp(mode, "nearest");
  how->padding = (enum padding)p;
  if (!how->nearest && strcmp(mode, "bilinear"))
    mx_scope_fail(s, MX_EVALUE, "[grid_sample] Unknown mode '%.100s', expected 'bilinear' or 'nearest'.", mode);
  else if (p == 3)
    mx_scope_fail(s, MX_EVALUE, "[grid_sample] Unknown padding_mode '%.100s', expected 'zeros', 'border' or 'reflection'.",
                  padding_mode);
  return !s->rc;
}

mx_array *mx_nn_grid_sample(mx_scope *s, mx_array *x, mx_array *grid, const char *mode, const char *padding_mode,
                            bool align_corners) {
  sampling how = {.align_corners = align_corners};
  if (!x || !grid || !read_sampling(s, mode, padding_mode, &how)) return NULL;
  int k = x->ndim - 2;
  if ((k != 2 && k != 3) || grid->ndim != k + 2 || grid->shape[0] != x->shape[0] || grid->shape[k + 1] != k || x->size == 0 ||
      !mx_is_float(grid->dtype) || !mx_is_float(x->dtype))
    return mx_scope_fail(s, MX_EVALUE,
                         "[grid_sample] An input of shape %s and a grid of shape %s: expected (N, H, W, C) and (N, H', W', 2), "
                         "or with D, D' and 3, "
                         "of floating-point numbers.",
                         mx_shape_words(x), mx_shape_words(grid));
  if (x->size / x->shape[k + 1] > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim("grid_sample", x->size / x->shape[k + 1]));
  neighbour near[3][2];
  int count = 1;
  for (int i = 0; i < k; i++) { /* the grid's last coordinate is that of the first axis */
    mx_array *g = mx_squeeze_axis(s, mx_slice_axis(s, grid, k + 1, k - 1 - i, k - i), -1);
    count *= neighbours(s, place_of(s, g, x->shape[1 + i], &how), x->shape[1 + i], &how, near[i]);
  }
  mx_array *rows = mx_flatten(s, x, 0, k), *y = NULL;
  for (int corner = 0; corner < count && !s->rc; corner++) {
    neighbour at[3];
    mx_array *weight = NULL;
    for (int i = 0; i < k; i++) {
      at[i] = near[i][corner >> i & 1];
      if (at[i].weight) weight = weight ? mx_multiply(s, weight, at[i].weight) : at[i].weight;
    }
    mx_array *part = mx_take_axis(s, rows, row_index(s, x, k, at), 0);
    if (weight) part = mx_multiply(s, part, mx_astype(s, mx_expand_dims(s, weight, -1), x->dtype));
    y = y ? mx_add(s, y, part) : part;
  }
  return y;
}

/* ---- bags ---- */

/* How often each bag occurs among the bags of the elements, at least 1. */
static mx_array *bag_sizes(mx_scope *s, mx_array *bag, int bags) {
  mx_array *n = mx_zeros(s, (int[]){bags, 1}, 2, MX_F32);
  mx_array *one = bag ? mx_ones(s, (int[]){bag->shape[0], 1, 1}, 3, MX_F32) : NULL;
  return mx_scatter_add_single(s, n, bag, one, 0);
}

/* The greatest of each bag and column, the first of several: the gradient goes to it alone. */
static mx_array *bag_max(mx_scope *s, mx_array *rows, mx_array *bag, int bags) {
  int t = rows->shape[0], d = rows->shape[1];
  mx_array *least = mx_full(s, (int[]){bags, d}, 2, mx_scalar(s, MX_F32, -INFINITY), rows->dtype),
           *still = mx_stop_gradient(s, rows);
  mx_array *top = mx_scatter_max_single(s, least, bag, mx_expand_dims(s, still, 1), 0);
  top = top ? mx_take_axis(s, top, bag, 0) : NULL;
  mx_array *hit = mx_logical_or(s, mx_equal(s, still, top), mx_isnan(s, still));
  mx_array *place = mx_where(s, hit, mx_reshape(s, mx_arange(s, 0, t, 1, MX_I32), (int[]){t, 1}, 2), mx_int(s, MX_I32, t));
  mx_array *none = mx_full(s, (int[]){bags, d}, 2, mx_int(s, MX_I32, t - 1), MX_I32);
  mx_array *first = mx_scatter_min_single(s, none, bag, mx_expand_dims(s, place, 1), 0);
  return first ? mx_take_along_axis(s, rows, first, 0) : NULL;
}

/* Elements [offsets[i], offsets[i + 1]) are bag i. rows (T, D). */
static mx_array *bags_by_offsets(mx_scope *s, mx_array *rows, mx_array *offsets, const char *mode) {
  int t = rows->shape[0], d = rows->shape[1], bags = offsets->shape[0];
  mx_array *place = mx_arange(s, 0, t, 1, MX_I32);
  mx_array *bag = mx_searchsorted(s, mx_astype(s, offsets, MX_I32), place, true);
  bag = mx_subtract(s, mx_astype(s, bag, MX_I32), mx_int(s, MX_I32, 1));
  bag = mx_maximum(s, bag, mx_int(s, MX_I32, 0)); /* what lies before the first belongs to it */
  mx_array *updates = mx_expand_dims(s, rows, 1), *sizes = bag_sizes(s, bag, bags);
  mx_array *zero = mx_zeros(s, (int[]){bags, d}, 2, rows->dtype);
  if (t == 0) return zero;
  if (!strcmp(mode, "max")) return mx_where(s, mx_greater(s, sizes, mx_weak(s, sizes, 0)), bag_max(s, rows, bag, bags), zero);
  mx_array *sum = mx_scatter_add_single(s, zero, bag, updates, 0);
  if (strcmp(mode, "mean")) return sum;
  return mx_divide(s, sum, mx_astype(s, mx_maximum(s, sizes, mx_weak(s, sizes, 1)), rows->dtype));
}

mx_array *mx_nn_embedding_bag(mx_scope *s, mx_array *indices, mx_array *weight, mx_array *offsets, mx_array *scales,
                              const char *mode) {
  if (!indices || !weight) return NULL;
  bool mean = !strcmp(mode, "mean"), max = !strcmp(mode, "max");
  if (!mean && !max && strcmp(mode, "sum"))
    return mx_scope_fail(s, MX_EVALUE, "[embedding_bag] Unknown mode '%.100s', expected 'sum', 'mean' or 'max'.", mode);
  if (indices->ndim != (offsets ? 1 : 2) || weight->ndim != 2 || !mx_is_integer(indices->dtype) ||
      (offsets && (offsets->ndim != 1 || !mx_is_integer(offsets->dtype) || offsets->shape[0] < 1)))
    return mx_scope_fail(
        s, MX_EVALUE,
        "[embedding_bag] Indices of shape %s: expected integers (bags, L), or (T) with offsets (bags), and a weight (n, D).",
        mx_shape_words(indices));
  if (scales && (mean || max || !mx_same_shape(scales, indices)))
    return mx_scope_fail(s, MX_EVALUE, "[embedding_bag] Scales go with the mode 'sum' and have the shape of the indices.");
  if (!offsets && indices->shape[1] == 0) return mx_zeros(s, (int[]){indices->shape[0], weight->shape[1]}, 2, weight->dtype);
  mx_array *rows = mx_take_axis(s, weight, indices, 0);
  if (scales) rows = mx_multiply(s, rows, mx_expand_dims(s, scales, -1));
  if (!rows) return NULL;
  if (offsets) return bags_by_offsets(s, rows, offsets, mode);
  return max ? mx_max_axis(s, rows, 1, false) : mean ? mx_mean_axis(s, rows, 1, false) : mx_sum_axis(s, rows, 1, false);
}
