/* Random numbers, all built of Threefry bits. A NULL key takes the next one of this thread's state. */
#include <limits.h>
#include <math.h>

#include "graph/build.h"
#include "graph/draw_shape.h"

bool mx_draw_shape(mx_scope *s, const int **shape, size_t *n, int *room, const mx_array *a, const mx_array *b, int cut) {
  int k = 0, rc = 0;
  if (*n != 1 || **shape != INT_MIN) return true;
  if (!a) return false;
  rc = mx_broadcast_shape(b ? b->ndim : 0, b ? b->shape : NULL, a->ndim, a->shape, &k, room);
  if (rc) mx_scope_error(s, rc);
  *shape = room;
  *n = k > cut ? (size_t)(k - cut) : 0;
  return !rc;
}

int mx_random_split(mx_scope *s, mx_array *res[2], mx_array *key) {
  mx_array *both = mx_random_split_num(s, key, 2);
  for (int i = 0; i < 2; i++) res[i] = mx_squeeze_axis(s, mx_slice_axis(s, both, 0, i, i + 1), 0);
  return s->rc;
}

mx_array *mx_random_split_num(mx_scope *s, mx_array *key, int num) {
  return key ? mx_random_bits(s, (int[]){num, 2}, 2, 4, key) : NULL;
}

mx_array *mx_random_bits(mx_scope *s, const int *shape, size_t n, int width, mx_array *key) {
  if (s->rc) return NULL;
  if (!key && !(key = mx_random_next(s))) return NULL;
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[bits] %zu dimensions are more than %d.", n, MX_MAX_NDIM);
  if (key->ndim != 1 || key->shape[0] != 2 || key->dtype != MX_U32)
    return mx_scope_fail(s, MX_EVALUE, "[bits] Expected key shape (2) and dtype uint32, received shape %s and dtype %s.",
                         mx_shape_of(key), mx_dtype_name(key->dtype));
  int64_t p[1 + MX_MAX_NDIM] = {width};
  for (size_t i = 0; i < n; i++) {
    if (shape[i] < 0) return mx_scope_fail(s, MX_EVALUE, "[bits] Each dimension must be non-negative, got %d.", shape[i]);
    p[1 + i] = shape[i];
  }
  return mx_node1(s, OP_random_bits, key, 1 + (int)n, p);
}

/* Whether x is known to be the number v. */
static bool is_number(const mx_array *x, double v) {
  return mx_is_available(x) && x->size == 1 && !mx_is_complex(x->dtype) && !(x->flags & (MX_TRACER | MX_PLACEHOLDER)) &&
         mx_item_f64(x) == v;
}

static bool shape_covers(mx_scope *s, const int *shape, size_t n, const mx_array *x) {
  int32_t both[MX_MAX_NDIM];
  int k, rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "Too many dimensions: %zu.", n)
                              : mx_broadcast_shape((int)n, shape, x->ndim, x->shape, &k, both);
  bool same = !rc && k == (int)n;
  for (int i = 0; same && i < k; i++) same = both[i] == shape[i];
  if (!rc && !same)
    rc = mx_fail(MX_EVALUE, "[broadcast_shapes] Cannot generate random values of shape %s from parameters of shape %s.",
                 mx_shape_str((int)n, shape), mx_shape_of(x));
  if (rc) mx_scope_error(s, rc);
  return !rc;
}

mx_array *mx_random_uniform(mx_scope *s, mx_array *low, mx_array *high, const int *shape, size_t n, mx_dtype dtype,
                            mx_array *key) {
  if (!low || !high) return NULL;
  if (dtype != MX_F32 && dtype != MX_F16 && dtype != MX_BF16)
    return mx_scope_fail(s, dtype == MX_F64 ? MX_ERUNTIME : MX_EVALUE,
                         "[uniform] Can only generate uniform numbers with real floating point type, not %s.",
                         mx_dtype_name(dtype));
  if (!shape_covers(s, shape, n, low) || !shape_covers(s, shape, n, high)) return NULL;
  mx_array *bits = mx_random_bits(s, shape, n, 4, key);
  /* below 1 also after rounding to dtype */
  double top = dtype == MX_F32 ? 0x1.fffffep-1 : dtype == MX_F16 ? 0x1.ffcp-1 : 0x1.fep-1;
  mx_array *u = mx_minimum(s, mx_mul_k(s, mx_astype(s, bits, MX_F32), 0x1p-32), mx_scalar(s, MX_F32, top));
  u = mx_astype(s, u, dtype);
  if (is_number(low, 0) && is_number(high, 1)) return u;
  low = mx_astype(s, low, dtype);
  mx_array *range = mx_subtract(s, mx_astype(s, high, dtype), low);
  return u && range ? mx_add(s, mx_multiply(s, u, range), low) : NULL;
}

/* f32 uniform in (-1, 1). */
static mx_array *symmetric(mx_scope *s, const int *shape, size_t n, mx_array *key) {
  return mx_random_uniform(s, mx_scalar(s, MX_F32, -0x1.fffffep-1), mx_scalar(s, MX_F32, 1), shape, n, MX_F32, key);
}

mx_array *mx_random_normal_broadcast(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, mx_array *loc, mx_array *scale,
                                     mx_array *key) {
  if (s->rc) return NULL;
  mx_array *x;
  if (dtype == MX_C64) {
    int pairs[MX_MAX_NDIM + 1];
    if (n >= MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[normal] Too many dimensions: %zu.", n);
    for (size_t i = 0; i < n; i++) pairs[i] = shape[i];
    pairs[n] = 2;
    x = symmetric(s, pairs, n + 1, key);
    x = x ? mx_view_as(s, mx_erfinv(s, x), MX_C64) : NULL;
    x = mx_squeeze_axis(s, x, -1);
  } else {
    if (!mx_is_float(dtype))
      return mx_scope_fail(s, MX_EVALUE, "[normal] Can only generate normal numbers with real floating point type, not %s.",
                           mx_dtype_name(dtype));
    x = symmetric(s, shape, n, key);
    x = x ? mx_astype(s, mx_erfinv(s, x), dtype) : NULL;
    mx_array *root = mx_scalar(s, dtype, M_SQRT2);
    scale = scale ? mx_multiply(s, root, mx_astype(s, scale, dtype)) : root;
  }
  if (x && scale) x = mx_multiply(s, x, mx_astype(s, scale, dtype));
  if (x && loc) x = mx_add(s, x, mx_astype(s, loc, dtype));
  return x;
}

mx_array *mx_random_normal(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, float loc, float scale, mx_array *key) {
  return mx_random_normal_broadcast(s, shape, n, dtype, loc != 0 ? mx_scalar(s, MX_F32, loc) : NULL,
                                    scale != 1 ? mx_scalar(s, MX_F32, scale) : NULL, key);
}

mx_array *mx_random_randint(mx_scope *s, mx_array *low, mx_array *high, const int *shape, size_t n, mx_dtype dtype,
                            mx_array *key) {
  if (!low || !high) return NULL;
  if (!mx_is_integer(dtype) && dtype != MX_BOOL)
    return mx_scope_fail(s, MX_EVALUE, "[randint] randint only accepts integer dtypes and bool, not %s.", mx_dtype_name(dtype));
  mx_array *u = mx_random_uniform(s, low, high, shape, n, MX_F32, key);
  mx_array *top = mx_subtract(s, high, mx_int(s, high->dtype, 1));
  mx_array *x = u ? mx_astype(s, mx_floor(s, u), dtype) : NULL;
  if (!x || !top) return NULL;
  return mx_maximum(s, mx_astype(s, low, dtype), mx_minimum(s, x, mx_astype(s, top, dtype)));
}

mx_array *mx_random_bernoulli(mx_scope *s, mx_array *p, const int *shape, size_t n, mx_array *key) {
  if (!p) return NULL;
  if (!mx_is_float(p->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[bernoulli] bernoulli probability `p` must be a float type, not %s.",
                         mx_dtype_name(p->dtype));
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, p, NULL, 0) || !shape_covers(s, shape, n, p)) return NULL;
  mx_array *bits = mx_random_bits(s, shape, n, 4, key);
  mx_array *limit = mx_multiply(s, p, mx_scalar(s, MX_F32, 0x1.fffffep31));
  return bits && limit ? mx_less(s, mx_astype(s, bits, limit->dtype), limit) : NULL;
}

mx_array *mx_random_truncated_normal(mx_scope *s, mx_array *lower, mx_array *upper, const int *shape, size_t n, mx_dtype dtype,
                                     mx_array *key) {
  if (!lower || !upper) return NULL;
  if (dtype != MX_F32 && dtype != MX_F16 && dtype != MX_BF16)
    return mx_scope_fail(s, dtype == MX_F64 ? MX_ERUNTIME : MX_EVALUE, "[trunc_normal] trunc_normal only accepts floating point dtypes, not %s.",
                         mx_dtype_name(dtype));
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, lower, upper, 0)) return NULL;
  lower = mx_astype(s, lower, dtype);
  upper = mx_astype(s, upper, dtype);
  mx_array *root = mx_scalar(s, dtype, M_SQRT2);
  mx_array *from = mx_erf(s, mx_divide(s, lower, root)), *to = mx_erf(s, mx_divide(s, upper, root));
  mx_array *u = mx_random_uniform(s, from, to, shape, n, dtype, key);
  mx_array *x = u ? mx_multiply(s, root, mx_erfinv(s, u)) : NULL;
  return x ? mx_maximum(s, mx_minimum(s, x, upper), lower) : NULL;
}

mx_array *mx_random_gumbel(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, mx_array *key) {
  mx_array *u = mx_random_uniform(s, mx_scalar(s, MX_F32, 0), mx_scalar(s, MX_F32, 1), shape, n, dtype, key);
  return u ? mx_negative(s, mx_log(s, mx_negative(s, mx_log(s, u)))) : NULL;
}

mx_array *mx_random_laplace(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, float loc, float scale, mx_array *key) {
  if (!mx_is_float(dtype))
    return mx_scope_fail(s, MX_EVALUE, "[laplace] Can only generate laplace numbers with real floating point type, not %s.",
                         mx_dtype_name(dtype));
  mx_array *u = symmetric(s, shape, n, key);
  if (dtype == MX_F64) u = mx_astype(s, u, MX_F64);
  mx_array *x = u ? mx_multiply(s, mx_sign(s, u), mx_log1p(s, mx_negative(s, mx_abs(s, u)))) : NULL;
  x = mx_astype(s, x, dtype); /* in f16 the logarithm would meet -1 */
  if (scale != 1) x = mx_mul_k(s, x, scale);
  return loc != 0 ? mx_add_k(s, x, loc) : x;
}

/* ---- categorical ---- */

static int categorical_axis(mx_scope *s, const mx_array *logits, int axis, int *ax) {
  int rc = mx_norm_axis("categorical", axis, logits->ndim, ax);
  if (rc) mx_scope_error(s, rc);
  return rc;
}

/* argmax over (gumbel + logits): noise of `shape` with logits' axis where logits have it. */
static mx_array *draw(mx_scope *s, mx_array *logits, int ax, const int *shape, int n, mx_array *key) {
  int full[MX_MAX_NDIM], at = n - (logits->ndim - 1) + ax; /* the axis counted from the end */
  if (n >= MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[categorical] Too many dimensions: %d.", n);
  for (int i = 0; i <= n; i++) full[i] = i == at ? logits->shape[ax] : shape[i - (i > at)];
  mx_dtype t = mx_at_least_float(logits->dtype);
  mx_array *noise = mx_random_gumbel(s, full, n + 1, t == MX_F64 ? MX_F32 : t, key);
  return noise ? mx_argmax_axis(s, mx_add(s, noise, logits), at, false) : NULL;
}

/* Whether the inverse is used: logits of one distribution, and samples with a shape. */
static bool one_row(const mx_array *logits, int ax, int n) { return n > 0 && logits->size == logits->shape[ax]; }

/* One row of logits for many samples: inverse of the cumulated probabilities. */
static mx_array *draw_by_inverse(mx_scope *s, mx_array *logits, const int *shape, size_t n, mx_array *key) {
  mx_array *x = mx_astype(s, mx_flatten(s, logits, 0, -1), MX_F32);
  x = x ? mx_exp(s, mx_subtract(s, x, mx_max(s, x, true))) : NULL;
  mx_array *below = mx_cumsum(s, x, 0, false, false),
           *u = mx_random_uniform(s, mx_scalar(s, MX_F32, 0), mx_scalar(s, MX_F32, 1), shape, n, MX_F32, key);
  mx_array *at = u && below ? mx_searchsorted(s, below, mx_multiply(s, u, mx_sum(s, x, false)), true) : NULL;
  return at ? mx_subtract(s, at, mx_int(s, MX_U32, 1)) : NULL;
}

mx_array *mx_random_categorical(mx_scope *s, mx_array *logits, int axis, mx_array *key) {
  int ax, shape[MX_MAX_NDIM], n = 0;
  if (!logits || categorical_axis(s, logits, axis, &ax)) return NULL;
  for (int i = 0; i < logits->ndim; i++)
    if (i != ax) shape[n++] = logits->shape[i];
  if (one_row(logits, ax, n)) return draw_by_inverse(s, logits, shape, (size_t)n, key);
  return draw(s, logits, ax, shape, n, key);
}

mx_array *mx_random_categorical_shape(mx_scope *s, mx_array *logits, int axis, const int *shape, size_t n, mx_array *key) {
  int ax, rest[MX_MAX_NDIM], k = 0;
  if (!logits || categorical_axis(s, logits, axis, &ax)) return NULL;
  for (int i = 0; i < logits->ndim; i++)
    if (i != ax) rest[k++] = logits->shape[i];
  int32_t both[MX_MAX_NDIM];
  int m = 0, rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[categorical] Too many dimensions: %zu.", n)
                                  : mx_broadcast_shape((int)n, shape, k, rest, &m, both);
  if (rc) return mx_scope_error(s, rc);
  bool same = m == (int)n;
  for (int i = 0; same && i < m; i++) same = both[i] == shape[i];
  if (!same)
    return mx_scope_fail(s, MX_EVALUE,
                         "[categorical] Requested shape %s is not broadcast compatible with reduced logits shape %s.",
                         mx_shape_str((int)n, shape), mx_shape_str(k, rest));
  if (one_row(logits, ax, (int)n)) return draw_by_inverse(s, logits, shape, n, key);
  return draw(s, logits, ax, shape, (int)n, key);
}

/* The samples come last. */
mx_array *mx_random_categorical_num_samples(mx_scope *s, mx_array *logits, int axis, int num_samples, mx_array *key) {
  int ax, shape[MX_MAX_NDIM], n = 0;
  if (!logits || categorical_axis(s, logits, axis, &ax)) return NULL;
  if (num_samples < 0)
    return mx_scope_fail(s, MX_EVALUE, "[categorical] The number of samples must not be negative: %d.", num_samples);
  for (int i = 0; i < logits->ndim; i++)
    if (i != ax) shape[n++] = logits->shape[i];
  shape[n++] = num_samples;
  if (one_row(logits, ax, n)) return draw_by_inverse(s, logits, shape, (size_t)n, key);
  /* (..., samples) with the axis where logits have it: counted from the front */
  mx_array *open = mx_expand_dims(s, logits, -1);
  return open ? draw(s, open, ax, shape, n, key) : NULL;
}

/* ---- permutations ---- */

mx_array *mx_random_permutation_arange(mx_scope *s, int x, mx_array *key) {
  return mx_argsort_axis(s, mx_random_bits(s, &x, 1, 4, key), 0);
}

mx_array *mx_random_permutation(mx_scope *s, mx_array *x, int axis, mx_array *key) {
  if (!x) return NULL;
  int ax, rc = mx_norm_axis("permutation", axis, x->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  return mx_take_axis(s, x, mx_random_permutation_arange(s, x->shape[ax], key), ax);
}
