/* Attention in several heads, and what tells it positions. */
#include <math.h>

#include "graph/build.h"
#include "nn/nn.h"

/* (N, L, H * D) -> (N, H, L, D) */
static mx_array *heads_of(mx_scope *s, mx_array *x, int heads) {
  return mx_permute(s, mx_unflatten(s, x, -1, (int[]){heads, -1}, 2), (int[]){0, 2, 1, 3});
}

mx_array *mx_nn_multi_head_attention(mx_scope *s, mx_array *queries, mx_array *keys, mx_array *values, int num_heads,
                                     const char *mask_mode, mx_array *mask) {
  if (!queries || !keys || !values) return NULL;
  if (queries->ndim != 3 || keys->ndim != 3 || values->ndim != 3)
    return mx_scope_fail(
        s, MX_EVALUE,
        "[multi_head_attention] Queries, keys and values must be (N, L, features), but their shapes are %s, %s and %s.",
        mx_shape_words(queries), mx_shape_words(keys), mx_shape_words(values));
  if (num_heads < 1 || queries->shape[2] < num_heads || queries->shape[2] % num_heads || keys->shape[2] % num_heads ||
      values->shape[2] % num_heads)
    return mx_scope_fail(s, MX_EVALUE, "[multi_head_attention] %d heads do not divide the features of shapes %s, %s and %s.",
                         num_heads, mx_shape_words(queries), mx_shape_words(keys), mx_shape_words(values));
  float scale = (float)sqrt(1.0 / (queries->shape[2] / num_heads));
  mx_array *y = mx_fast_scaled_dot_product_attention(s, heads_of(s, queries, num_heads), heads_of(s, keys, num_heads),
                                                     heads_of(s, values, num_heads), scale, mask_mode, mask, NULL);
  return mx_flatten(s, mx_permute(s, y, (int[]){0, 2, 1, 3}), -2, -1);
}

/* The lowest finite number of a floating dtype. */
static double lowest(mx_dtype t) {
  return t == MX_F64 ? -0x1.fffffffffffffp1023 : t == MX_F16 ? -65504.0 : t == MX_BF16 ? -0x1.fep127 : -0x1.fffffep127;
}

mx_array *mx_nn_causal_mask(mx_scope *s, int n, mx_dtype dtype) {
  if (s->rc) return NULL;
  if (!mx_is_float(dtype))
    return mx_scope_fail(s, MX_EVALUE, "[causal_mask] Expected a floating-point dtype, got %s.", mx_dtype_name(dtype));
  if (n < 0) return mx_scope_fail(s, MX_EVALUE, "[causal_mask] Expected a length of at least 0, got %d.", n);
  mx_array *places = mx_arange(s, 0, n, 1, MX_I32);
  mx_array *later = mx_less(s, mx_expand_dims(s, places, 1), mx_expand_dims(s, places, 0));
  return mx_times(s, mx_astype(s, later, dtype), lowest(dtype));
}

mx_array *mx_nn_rope(mx_scope *s, mx_array *x, int dims, bool traditional, double base, double scale, int offset) {
  float b = (float)base;
  return mx_fast_rope(s, x, dims, traditional, &b, (float)scale, offset, NULL);
}

mx_array *mx_nn_sinusoidal_frequencies(mx_scope *s, int dims, double min_freq, double max_freq, bool full_turns) {
  if (s->rc) return NULL;
  int half = dims / 2;
  if (half < 1 || dims % 2)
    return mx_scope_fail(s, MX_EVALUE, "[SinusoidalPositionalEncoding] dims must be positive and even but got %d.", dims);
  if (!(min_freq > 0) || !(max_freq > 0))
    return mx_scope_fail(s, MX_EVALUE, "[SinusoidalPositionalEncoding] Expected frequencies above 0, got %g and %g.", min_freq, max_freq);
  double low = log(min_freq), high = log(max_freq);
  mx_array *place = mx_astype(s, mx_arange(s, 0, half, 1, MX_I32), MX_F32);
  mx_array *one_zero = mx_divide(s, place, mx_weak(s, place, half - 1));
  one_zero = mx_subtract(s, mx_weak(s, one_zero, 1), one_zero);
  mx_array *y = mx_exp(s, mx_plus(s, mx_times(s, one_zero, high - low), low));
  return full_turns ? mx_times(s, y, 2 * M_PI) : y;
}

mx_array *mx_nn_sinusoidal(mx_scope *s, mx_array *x, mx_array *frequencies, double scale, bool cos_first) {
  if (!x || !frequencies) return NULL;
  mx_array *angle = mx_multiply(s, mx_expand_dims(s, x, -1), frequencies);
  mx_array *sine = mx_sin(s, angle), *cosine = mx_cos(s, angle);
  if (!sine || !cosine) return NULL;
  mx_array *both[] = {cos_first ? cosine : sine, cos_first ? sine : cosine};
  mx_array *y = mx_concatenate_axis(s, 2, both, -1);
  return scale == 1 ? y : mx_times(s, y, scale);
}

enum { MOST_HEADS = 1 << 20 };

mx_array *mx_nn_alibi_slopes(mx_scope *s, int num_heads, mx_dtype dtype) {
  if (s->rc) return NULL;
  if (num_heads < 1 || num_heads > MOST_HEADS)
    return mx_scope_fail(s, MX_EVALUE, "[alibi] Expected 1 to %d heads, got %d.", MOST_HEADS, num_heads);
  /* for a power of two the powers 1, 2, ... of 2^-(8 / heads); else those of the power below, then every other one of the next above */
  int below = 1;
  while (2 * below <= num_heads) below *= 2;
  float *v = mx_malloc((size_t)num_heads * sizeof *v);
  if (!v) return mx_scope_error(s, mx_fail_memory());
  for (int i = 0; i < num_heads; i++)
    v[i] = (float)(i < below ? pow(2, -8.0 * (i + 1) / below) : pow(2, -8.0 * (2 * (i - below) + 1) / (2 * below)));
  mx_array *slopes = mx_own(s, mx_array_from_data(MX_F32, 3, (int32_t[]){num_heads, 1, 1}, v));
  mx_free(v);
  return mx_astype(s, slopes, dtype);
}

mx_array *mx_nn_alibi(mx_scope *s, int q_length, int k_length, int num_heads, int offset, mx_dtype dtype) {
  if (s->rc) return NULL;
  if (q_length < offset || k_length < 0)
    return mx_scope_fail(s, MX_EVALUE, "[alibi] Queries from %d to %d and %d keys: a length is below 0.", offset, q_length,
                         k_length);
  mx_array *queries = mx_arange(s, offset, q_length, 1, MX_I32), *keys = mx_arange(s, 0, k_length, 1, MX_I32);
  mx_array *distance = mx_subtract(s, mx_expand_dims(s, queries, 1), mx_expand_dims(s, keys, 0));
  distance = mx_negative(s, mx_abs(s, mx_expand_dims_axes(s, distance, (int[]){0, 1}, 2)));
  return mx_multiply(s, mx_astype(s, distance, dtype), mx_nn_alibi_slopes(s, num_heads, dtype));
}
