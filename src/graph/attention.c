/* Scaled dot-product attention of matrix products and softmax: q (B, N, T, D), k (B, M, S, D), v (B, M, S, E), M dividing N.
 * The heads that share keys are joined to rows of one product, so that keys and values are never repeated. */
#include "graph/build.h"

#define TAG "[scaled_dot_product_attention] "

static bool shapes_fit(mx_scope *s, const mx_array *q, const mx_array *k, const mx_array *v) {
  const mx_array *x[3] = {q, k, v};
  for (int i = 0; i < 3; i++)
    if (x[i]->ndim != 4) {
      mx_scope_fail(s, MX_EVALUE, TAG "input with shape %s expected to be rank 4", mx_shape_of(x[i]));
      return false;
    }
  if (q->shape[0] != k->shape[0] || q->shape[0] != v->shape[0])
    mx_scope_fail(s, MX_EVALUE, TAG "mismatching batch dimension for q, k, v: %s, %s, %s.", mx_shape_of(q), mx_shape_of(k),
                  mx_shape_of(v));
  else if (q->shape[3] != k->shape[3])
    mx_scope_fail(s, MX_EVALUE,
                  TAG "query, keys expected to have matching last dimension; found query shape %s for keys shape %s.",
                  mx_shape_of(q), mx_shape_of(k));
  else if (k->shape[1] != v->shape[1] || k->shape[2] != v->shape[2])
    mx_scope_fail(s, MX_EVALUE, TAG "keys, values expected to have matching heads and lengths; found shapes %s and %s.",
                  mx_shape_of(k), mx_shape_of(v));
  else if (k->shape[1] == 0 || q->shape[1] % k->shape[1])
    mx_scope_fail(s, MX_EVALUE, TAG "n_heads must be a multiple of n_kv_heads, found n_heads %d for n_kv_heads %d.", q->shape[1],
                  k->shape[1]);
  return !s->rc;
}

static double lowest(mx_dtype t) {
  return t == MX_F16 ? -65504.0 : t == MX_BF16 ? -0x1.fep127 : t == MX_F64 ? -0x1.fffffffffffffp1023 : -0x1.fffffep127;
}

/* scores (B, M, G, T, S) with the mask, (..., T, S) that fits (B, N, T, S). A masked score is the lowest number, not -inf: a
 * row that is masked out is the mean of the values. */
static mx_array *with_mask(mx_scope *s, mx_array *scores, mx_array *mask) {
  if (!scores || !mask) return NULL;
  int m = scores->shape[1], g = scores->shape[2], full[4] = {scores->shape[0], m * g, scores->shape[3], scores->shape[4]}, n;
  int32_t both[MX_MAX_NDIM];
  int rc = mx_broadcast_shape(mask->ndim, mask->shape, 4, full, &n, both);
  bool fits = !rc && n == 4;
  for (int i = 0; fits && i < 4; i++) fits = both[i] == full[i];
  if (rc) return mx_scope_error(s, rc);
  if (!fits)
    return mx_scope_fail(s, MX_EVALUE, TAG "The mask %s does not fit scores of shape %s.", mx_shape_of(mask),
                         mx_shape_str(4, full));
  if (mask->dtype != MX_BOOL && mx_promote(mask->dtype, scores->dtype) != scores->dtype)
    return mx_scope_fail(s, MX_EVALUE, TAG "Mask type must promote to output type %s.", mx_dtype_name(scores->dtype));
  if (mask->ndim >= 3) {
    int heads = mask->shape[mask->ndim - 3];
    mask = heads == 1 ? mx_expand_dims(s, mask, -3) : mx_unflatten(s, mask, -3, (int[]){m, g}, 2);
  }
  if (!mask) return NULL;
  if (mask->dtype == MX_BOOL) return mx_where(s, mask, scores, mx_const_like(s, scores, lowest(scores->dtype)));
  return mx_add(s, scores, mask);
}

static mx_array *causal_mask(mx_scope *s, int t, int len) { return mx_tri(s, t, len, len - t, MX_BOOL); }

/* softmax over the scores and one more logit a head, which takes no value. */
static mx_array *softmax_with_sinks(mx_scope *s, mx_array *scores, mx_array *sinks) {
  if (!scores || !sinks) return NULL;
  int *d = scores->shape, len = d[4], shape[5] = {d[0], d[1], d[2], d[3], 1};
  mx_array *sink = mx_reshape(s, mx_astype(s, sinks, scores->dtype), (int[]){1, d[1], d[2], 1, 1}, 5);
  mx_array *all = mx_concatenate_axis(s, 2, (mx_array *[]){mx_broadcast_to(s, sink, shape, 5), scores}, 4);
  return mx_slice_axis(s, mx_softmax_axis(s, all, -1, true), 4, 1, (int64_t)len + 1);
}

mx_array *mx_fast_scaled_dot_product_attention(mx_scope *s, mx_array *q, mx_array *k, mx_array *v, float scale,
                                               const char *mask_mode, mx_array *mask_arr, mx_array *sinks) {
  if (!q || !k || !v || !shapes_fit(s, q, k, v)) return NULL;
  bool causal = mask_mode && !strcmp(mask_mode, "causal"), array = mask_mode && !strcmp(mask_mode, "array");
  if (mask_mode && *mask_mode && !causal && !array)
    return mx_scope_fail(s, MX_EVALUE, TAG "Invalid mask_mode '%s'. mask_mode must be 'causal', 'array' or ''.", mask_mode);
  if (causal && mask_arr) return mx_scope_fail(s, MX_EVALUE, TAG "A mask array cannot be given with mask_mode 'causal'.");
  if (array && !mask_arr) return mx_scope_fail(s, MX_EVALUE, TAG "mask_mode 'array' needs a mask array.");
  mx_dtype type = mx_promote(mx_promote(q->dtype, k->dtype), v->dtype);
  if (!mx_is_float(type)) return mx_scope_fail(s, MX_EVALUE, TAG "Received unsupported type %s.", mx_dtype_name(type));
  int b = q->shape[0], n = q->shape[1], t = q->shape[2], dim = q->shape[3], m = k->shape[1], len = k->shape[2], g = n / m;
  if (sinks && (sinks->ndim != 1 || sinks->shape[0] != n))
    return mx_scope_fail(s, MX_EVALUE, TAG "Received invalid shape for sinks %s.", mx_shape_of(sinks));
  int out[4] = {b, n, t, v->shape[3]};
  if ((int64_t)g * t > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, TAG "The queries %s are too many.", mx_shape_of(q));
  q = mx_mul_k(s, mx_astype(s, q, type), scale);
  q = mx_reshape(s, q, (int[]){b, m, g * t, dim}, 4);
  mx_array *scores = mx_matmul(s, q, mx_swapaxes(s, mx_astype(s, k, type), -1, -2)), *weights;
  bool masks = mask_arr || (causal && t > 1);
  if (masks || sinks) scores = mx_reshape(s, scores, (int[]){b, m, g, t, len}, 5);
  if (masks) scores = with_mask(s, scores, mask_arr ? mask_arr : causal_mask(s, t, len));
  weights = sinks ? softmax_with_sinks(s, scores, sinks) : mx_softmax_axis(s, scores, -1, true);
  weights = mx_reshape(s, weights, (int[]){b, m, g * t, len}, 4);
  return mx_reshape(s, mx_matmul(s, weights, mx_astype(s, v, type)), out, 4);
}
