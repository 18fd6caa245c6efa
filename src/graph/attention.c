/* Scaled dot-product attention: q (B, N, T, D), k (B, M, S, D), v (B, M, S, E), M dividing N. One op, or, for f64 and for what has
 * rows without keys, matrix products and softmax, where the heads that share keys are joined to rows of one product. */
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

/* The mask as (B, N, T, S), boolean or of dtype t. */
static mx_array *fit_mask(mx_scope *s, mx_array *mask, const int *full, mx_dtype t) {
  int n;
  int32_t both[MX_MAX_NDIM];
  int rc = mx_broadcast_shape(mask->ndim, mask->shape, 4, full, &n, both);
  bool fits = !rc && n == 4;
  for (int i = 0; fits && i < 4; i++) fits = both[i] == full[i];
  if (rc) return mx_scope_error(s, rc);
  if (!fits)
    return mx_scope_fail(s, MX_EVALUE, TAG "The mask %s does not fit scores of shape %s.", mx_shape_of(mask), mx_shape_str(4, full));
  if (mask->dtype != MX_BOOL && mx_promote(mask->dtype, t) != t)
    return mx_scope_fail(s, MX_EVALUE, TAG "Mask type must promote to output type %s.", mx_dtype_name(t));
  return mx_broadcast_to(s, mask->dtype == MX_BOOL ? mask : mx_astype(s, mask, t), full, 4);
}

/* softmax over the scores (B, M, G, T, S) and one more logit a head, which takes no value. */
static mx_array *softmax_with_sinks(mx_scope *s, mx_array *scores, mx_array *sinks) {
  if (!scores || !sinks) return NULL;
  int *d = scores->shape, len = d[4], shape[5] = {d[0], d[1], d[2], d[3], 1};
  mx_array *sink = mx_reshape(s, mx_astype(s, sinks, scores->dtype), (int[]){d[0], d[1], d[2], 1, 1}, 5);
  mx_array *all = mx_concatenate_axis(s, 2, (mx_array *[]){mx_broadcast_to(s, sink, shape, 5), scores}, 4);
  return mx_slice_axis(s, mx_softmax_axis(s, all, -1, true), 4, 1, (int64_t)len + 1);
}

/* A masked score is the lowest number, not -inf: a row that is masked out is the mean of the values. */
mx_array *mx_attention_weights(mx_scope *s, mx_array *q, mx_array *k, double scale, bool causal, mx_array *mask, mx_array *sinks) {
  if (!q || !k) return NULL;
  int b = q->shape[0], n = q->shape[1], t = q->shape[2], m = k->shape[1], len = k->shape[2], g = n / m, five[5] = {b, m, g, t, len};
  q = mx_reshape(s, mx_mul_k(s, q, scale), (int[]){b, m, g * t, q->shape[3]}, 4);
  mx_array *scores = mx_reshape(s, mx_matmul(s, q, mx_swapaxes(s, k, -1, -2)), five, 5);
  if (causal && t > 1 && scores)
    scores = mx_where(s, mx_tri(s, t, len, len - t, MX_BOOL), scores, mx_const_like(s, scores, lowest(scores->dtype)));
  if (mask && scores) {
    mx_array *wide = mx_reshape(s, mask, five, 5);
    scores = mask->dtype == MX_BOOL ? mx_where(s, wide, scores, mx_const_like(s, scores, lowest(scores->dtype)))
                                    : mx_add(s, scores, mx_astype(s, wide, scores->dtype));
  }
  mx_array *weights = sinks ? softmax_with_sinks(s, scores, sinks) : mx_softmax_axis(s, scores, -1, true);
  return mx_reshape(s, weights, (int[]){b, m, g * t, len}, 4);
}

static mx_array *fused(mx_scope *s, mx_array *const *in, float scale, bool causal, mx_array *mask, mx_array *sinks) {
  mx_array *all[5] = {in[0], in[1], in[2]};
  int n = 3;
  if (mask) all[n++] = mask;
  if (sinks) all[n++] = sinks;
  int64_t p[4] = {mx_bits(scale), causal, mask != NULL, sinks != NULL};
  mx_array *res[2] = {NULL, NULL};
  mx_node_multi(s, OP_attention, n, all, 4, p, NULL, 2, res);
  return res[0];
}

mx_array *mx_fast_scaled_dot_product_attention(mx_scope *s, mx_array *q, mx_array *k, mx_array *v, float scale,
                                               const char *mask_mode, mx_array *mask, mx_array *sinks) {
  if (!q || !k || !v || !shapes_fit(s, q, k, v)) return NULL;
  bool causal = mask_mode && !strcmp(mask_mode, "causal"), array = mask_mode && !strcmp(mask_mode, "array");
  if (mask_mode && *mask_mode && !causal && !array)
    return mx_scope_fail(s, MX_EVALUE, TAG "Invalid mask_mode '%s'. mask_mode must be 'causal', 'array' or ''.", mask_mode);
  if (causal && mask) return mx_scope_fail(s, MX_EVALUE, TAG "A mask array cannot be given with mask_mode 'causal'.");
  if (array && !mask) return mx_scope_fail(s, MX_EVALUE, TAG "mask_mode 'array' needs a mask array.");
  mx_dtype type = mx_promote(mx_promote(q->dtype, k->dtype), v->dtype);
  if (!mx_is_float(type)) return mx_scope_fail(s, MX_EVALUE, TAG "Received unsupported type %s.", mx_dtype_name(type));
  int b = q->shape[0], n = q->shape[1], t = q->shape[2], m = k->shape[1], len = k->shape[2];
  if (sinks && (sinks->ndim != 1 || sinks->shape[0] != n))
    return mx_scope_fail(s, MX_EVALUE, TAG "Received invalid shape for sinks %s.", mx_shape_of(sinks));
  if ((int64_t)(n / m) * t > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, TAG "The queries %s are too many.", mx_shape_of(q));
  if (mask && !(mask = fit_mask(s, mask, (int[]){b, n, t, len}, type))) return NULL;
  if (sinks) sinks = mx_broadcast_to(s, mx_astype(s, sinks, type), (int[]){b, n}, 2);
  mx_array *in[3] = {mx_astype(s, q, type), mx_astype(s, k, type), mx_astype(s, v, type)};
  if (s->rc) return NULL;
  if (type != MX_F64 && len && !(causal && t > len)) return fused(s, in, scale, causal, mask, sinks);
  mx_array *weights = mx_attention_weights(s, in[0], in[1], scale, causal, mask, sinks);
  return mx_reshape(s, mx_matmul(s, weights, in[2]), (int[]){b, n, t, v->shape[3]}, 4);
}
