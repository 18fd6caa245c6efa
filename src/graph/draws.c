/* Distributions beyond MLX's, but for multivariate_normal. A NULL key takes the next one of this thread's state. */
#include <math.h>

#include "graph/build.h"
#include "graph/draw_shape.h"

/* ---- what they share ---- */

static mx_array *own_key(mx_scope *s, const char *tag, mx_array *key) {
  if (s->rc) return NULL;
  if (!key && !(key = mx_random_next(s))) return NULL;
  if (key->ndim != 1 || key->shape[0] != 2 || key->dtype != MX_U32)
    return mx_scope_fail(s, MX_EVALUE, "[%s] Expected key shape (2) and dtype uint32, received shape %s and dtype %s.", tag,
                         mx_shape_of(key), mx_dtype_name(key->dtype));
  return key;
}

static bool float_wanted(mx_scope *s, const char *tag, mx_dtype t) {
  if (!mx_is_float(t))
    mx_scope_fail(s, MX_EVALUE, "[%s] Can only generate numbers of a real floating type, not %s.", tag, mx_dtype_name(t));
  return mx_is_float(t) && !s->rc;
}

/* The dtype in which draws of t are computed. */
static mx_dtype wide(mx_dtype t) { return t == MX_F64 ? MX_F64 : MX_F32; }

/* A parameter, real, broadcast to the shape of the draws. */
static mx_array *parameter(mx_scope *s, const char *tag, mx_array *x, const int *shape, size_t n, mx_dtype t) {
  if (!x) return NULL;
  if (mx_is_complex(x->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[%s] Parameters are real numbers, not %s.", tag, mx_dtype_name(x->dtype));
  for (size_t i = 0; i < n; i++)
    if (shape[i] < 0) return mx_scope_fail(s, MX_EVALUE, "[%s] Each dimension must be non-negative, got %d.", tag, shape[i]);
  return mx_broadcast_to(s, mx_astype(s, x, t), shape, n);
}

/* Evenly in [0, 1): 24 bits of float, 53 of double. */
static mx_array *unit(mx_scope *s, const int *shape, size_t n, mx_dtype t, mx_array *key) {
  if (t != MX_F64) return mx_random_uniform(s, mx_scalar(s, MX_F32, 0), mx_scalar(s, MX_F32, 1), shape, n, MX_F32, key);
  int pairs[MX_MAX_NDIM];
  if (n >= MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[bits] Too many dimensions: %zu.", n);
  for (size_t i = 0; i < n; i++) pairs[i] = shape[i];
  pairs[n] = 2;
  mx_array *bits = mx_squeeze_axis(s, mx_view_as(s, mx_random_bits(s, pairs, n + 1, 4, key), MX_U64), -1);
  return bits ? mx_mul_k(s, mx_astype(s, mx_right_shift(s, bits, mx_int(s, MX_U64, 11)), MX_F64), 0x1p-53) : NULL;
}

/* The logarithm of gamma draws with parameter a, in the dtype `wide`. */
static mx_array *log_gamma(mx_scope *s, const char *tag, mx_array *a, const int *shape, size_t n, mx_dtype t, mx_array *key) {
  key = own_key(s, tag, key);
  return mx_node2(s, OP_random_loggamma, key, parameter(s, tag, a, shape, n, t), 0, NULL);
}

/* ---- distributions ---- */

mx_array *mx_random_exponential(mx_scope *s, mx_array *scale, const int *shape, size_t n, mx_dtype dtype, mx_array *key) {
  if (!float_wanted(s, "exponential", dtype)) return NULL;
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, scale, NULL, 0)) return NULL;
  mx_dtype t = wide(dtype);
  mx_array *by = parameter(s, "exponential", scale, shape, n, t), *u = by ? unit(s, shape, n, t, key) : NULL;
  u = u ? mx_negative(s, mx_log1p(s, mx_negative(s, u))) : NULL;
  return u ? mx_astype(s, mx_multiply(s, u, by), dtype) : NULL;
}

mx_array *mx_random_gamma(mx_scope *s, mx_array *a, mx_array *scale, const int *shape, size_t n, mx_dtype dtype, mx_array *key) {
  if (!float_wanted(s, "gamma", dtype)) return NULL;
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, a, scale, 0)) return NULL;
  mx_dtype t = wide(dtype);
  mx_array *by = parameter(s, "gamma", scale, shape, n, t), *l = by ? log_gamma(s, "gamma", a, shape, n, t, key) : NULL;
  return l ? mx_astype(s, mx_multiply(s, mx_exp(s, l), by), dtype) : NULL;
}

/* x / (x + y) of two gamma draws, by their logarithms. */
mx_array *mx_random_beta(mx_scope *s, mx_array *a, mx_array *b, const int *shape, size_t n, mx_dtype dtype, mx_array *key) {
  mx_array *keys[2];
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, a, b, 0) || !float_wanted(s, "beta", dtype) || !(key = own_key(s, "beta", key)) || mx_random_split(s, keys, key)) return NULL;
  mx_dtype t = wide(dtype);
  mx_array *x = log_gamma(s, "beta", a, shape, n, t, keys[0]), *y = x ? log_gamma(s, "beta", b, shape, n, t, keys[1]) : NULL;
  return y ? mx_astype(s, mx_sigmoid(s, mx_subtract(s, x, y)), dtype) : NULL;
}

mx_array *mx_random_dirichlet(mx_scope *s, mx_array *alpha, const int *shape, size_t n, mx_dtype dtype, mx_array *key) {
  if (!alpha || !float_wanted(s, "dirichlet", dtype)) return NULL;
  if (alpha->ndim < 1 || alpha->shape[alpha->ndim - 1] < 1)
    return mx_scope_fail(s, MX_EVALUE, "[dirichlet] alpha needs a last axis of one parameter or more, got shape %s.",
                         mx_shape_of(alpha));
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, alpha, NULL, 1)) return NULL;
  int full[MX_MAX_NDIM];
  if (n >= MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[dirichlet] Too many dimensions: %zu.", n);
  for (size_t i = 0; i < n; i++) full[i] = shape[i];
  full[n] = alpha->shape[alpha->ndim - 1];
  mx_array *l = log_gamma(s, "dirichlet", alpha, full, n + 1, wide(dtype), key);
  return l ? mx_astype(s, mx_softmax_axis(s, l, -1, false), dtype) : NULL;
}

mx_array *mx_random_poisson(mx_scope *s, mx_array *lam, const int *shape, size_t n, mx_dtype dtype, mx_array *key) {
  if (!lam) return NULL;
  int own[MX_MAX_NDIM];
  if (!mx_draw_shape(s, &shape, &n, own, lam, NULL, 0)) return NULL;
  if (!mx_is_integer(dtype) && !mx_is_float(dtype))
    return mx_scope_fail(s, MX_EVALUE, "[poisson] Can only generate integers or floating numbers, not %s.", mx_dtype_name(dtype));
  if (!(key = own_key(s, "poisson", key))) return NULL;
  mx_array *x = parameter(s, "poisson", mx_stop_gradient(s, lam), shape, n, lam->dtype == MX_F64 ? MX_F64 : MX_F32);
  return mx_astype(s, mx_node2(s, OP_random_poisson, key, x, 0, NULL), dtype);
}

/* ---- multivariate normal ---- */

mx_array *mx_random_multivariate_normal(mx_scope *s, mx_array *mean, mx_array *cov, const int *shape, size_t n, mx_dtype dtype,
                                        mx_array *key) {
  if (!mean || !cov) return NULL;
  const char *wrong = dtype != MX_F32      ? "dtype must be float32."
                      : mean->ndim < 1     ? "mean must have at least one dimension."
                      : cov->ndim < 2      ? "cov must have at least two dimensions."
                      : cov->shape[cov->ndim - 1] != cov->shape[cov->ndim - 2] ? "last two dimensions of cov must be equal."
                      : cov->shape[cov->ndim - 1] != mean->shape[mean->ndim - 1] ? "mean and cov must have compatible shapes."
                                                                                  : NULL;
  if (wrong)
    return mx_scope_fail(s, MX_EVALUE, "[multivariate_normal] %s Got mean of shape %s, cov of shape %s, dtype %s.", wrong,
                         mx_shape_of(mean), mx_shape_of(cov), mx_dtype_name(dtype));
  int both[MX_MAX_NDIM + 2], k = 0, size = mean->shape[mean->ndim - 1];
  int rc = n > MX_MAX_NDIM - 2 ? mx_fail(MX_EVALUE, "[multivariate_normal] Too many dimensions: %zu.", n) : 0;
  if (!rc) rc = mx_broadcast_shape((int)n, shape, mean->ndim - 1, mean->shape, &k, both);
  if (!rc) rc = mx_broadcast_shape(k, both, cov->ndim - 2, cov->shape, &k, both);
  if (!rc && k > MX_MAX_NDIM - 2) rc = mx_fail(MX_EVALUE, "[multivariate_normal] Too many dimensions: %d.", k);
  if (rc) return mx_scope_error(s, rc);
  /* factor = U sqrt(S) V^T; a row of normal numbers times it */
  mx_list usv = {0};
  if (mx_linalg_svd(s, &usv, mx_astype(s, cov, MX_F32), true)) return NULL;
  mx_array *scaled = mx_multiply(s, usv.at[0], mx_expand_dims(s, mx_sqrt(s, usv.at[1]), -2));
  mx_array *factor = scaled ? mx_matmul(s, scaled, usv.at[2]) : NULL;
  mx_list_clear(&usv);
  both[k] = 1;
  both[k + 1] = size;
  mx_array *z = mx_random_normal(s, both, (size_t)k + 2, MX_F32, 0, 1, key);
  mx_array *x = z && factor ? mx_squeeze_axis(s, mx_matmul(s, z, factor), -2) : NULL;
  return x ? mx_add(s, x, mean) : NULL;
}

/* ---- choice ---- */

/* Indices below `count`, each equally likely to 2^-32. */
static mx_array *any_index(mx_scope *s, int count, const int *shape, size_t n, mx_array *key) {
  mx_array *bits = mx_random_bits(s, shape, n, 4, key);
  mx_array *x = bits ? mx_multiply(s, mx_astype(s, bits, MX_U64), mx_int(s, MX_U64, count)) : NULL;
  return x ? mx_astype(s, mx_right_shift(s, x, mx_int(s, MX_U64, 32)), MX_U32) : NULL;
}

/* By the cumulated probabilities: those of 0 are never hit, for u is below the sum. */
static mx_array *weighted_index(mx_scope *s, mx_array *p, const int *shape, size_t n, mx_array *key) {
  mx_array *upto = mx_cumsum(s, mx_astype(s, mx_stop_gradient(s, p), MX_F64), 0, false, true);
  mx_array *u = unit(s, shape, n, MX_F64, key);
  mx_array *sum = mx_slice_axis(s, upto, 0, p->shape[0] - 1, p->shape[0]);
  mx_array *at = u && sum ? mx_searchsorted(s, upto, mx_multiply(s, u, mx_squeeze(s, sum)), true) : NULL;
  return at ? mx_minimum(s, at, mx_int(s, MX_U32, p->shape[0] - 1)) : NULL;
}

/* A race of exponential times with the rates p: who comes first is drawn first. */
static mx_array *weighted_order(mx_scope *s, mx_array *p, mx_array *key) {
  mx_array *time = unit(s, p->shape, 1, MX_F64, key);
  time = time ? mx_negative(s, mx_log1p(s, mx_negative(s, time))) : NULL;
  return time ? mx_argsort_axis(s, mx_divide(s, time, mx_astype(s, mx_stop_gradient(s, p), MX_F64)), 0) : NULL;
}

mx_array *mx_random_choice_arange(mx_scope *s, int x, const int *shape, size_t n, bool replace, mx_array *p, mx_array *key) {
  int64_t draws = 1;
  if (n > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[choice] Too many dimensions: %zu.", n);
  for (size_t i = 0; i < n; i++) {
    if (shape[i] < 0) return mx_scope_fail(s, MX_EVALUE, "[choice] Each dimension must be non-negative, got %d.", shape[i]);
    draws = draws > INT32_MAX ? draws : draws * shape[i];
    if (shape[i] == 0) draws = 0;
    if (draws == 0) break;
  }
  if (x < 0 || (x == 0 && draws > 0)) return mx_scope_fail(s, MX_EVALUE, "[choice] There are %d elements to choose from.", x);
  if (p && (p->ndim != 1 || p->shape[0] != x || !mx_is_float(p->dtype)))
    return mx_scope_fail(s, MX_EVALUE, "[choice] p must be %d floating numbers, got shape %s of %s.", x, mx_shape_of(p),
                         mx_dtype_name(p->dtype));
  if (!replace && draws > x)
    return mx_scope_fail(s, MX_EVALUE, "[choice] Cannot take %lld of %d elements without replacement.", (long long)draws, x);
  if (x == 0) return mx_zeros(s, shape, n, MX_U32);
  if (replace) return p ? weighted_index(s, p, shape, n, key) : any_index(s, x, shape, n, key);
  mx_array *order = p ? weighted_order(s, p, key) : mx_random_permutation_arange(s, x, key);
  return mx_reshape(s, mx_slice_axis(s, order, 0, 0, draws), shape, n);
}

mx_array *mx_random_choice(mx_scope *s, mx_array *a, const int *shape, size_t n, bool replace, mx_array *p, int axis,
                           mx_array *key) {
  if (!a) return NULL;
  int ax, rc = mx_norm_axis("choice", axis, a->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  return mx_take_axis(s, a, mx_random_choice_arange(s, a->shape[ax], shape, n, replace, p, key), ax);
}
