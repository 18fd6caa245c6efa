/* Matrix products with choices: of matrices by index, of blocks by mask, of segments; the Hadamard transform. */
#include <math.h>

#include "graph/build.h"

/* The matrices of x as (batch, rows, columns), and which of them are meant: `index`, or all in order, of the batch's shape. */
static mx_array *matrices(mx_scope *s, mx_array *x, mx_array **index) {
  if (!x) return NULL;
  if (*index && !mx_is_integer((*index)->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[gather_mm] Got indices with invalid dtype %s. Indices must be integral.",
                         mx_dtype_name((*index)->dtype));
  if (x->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[gather_mm] Inputs must have at least two dimensions, not shape %s.", mx_shape_of(x));
  int shape[MX_MAX_NDIM];
  for (int i = 0; i < x->ndim - 2; i++) shape[i] = x->shape[i];
  size_t batch = (size_t)x->ndim - 2;
  x = x->ndim == 2 ? mx_expand_dims(s, x, 0) : mx_flatten(s, x, 0, -3);
  if (x && !*index) *index = mx_reshape(s, mx_arange(s, 0, x->shape[0], 1, MX_U32), shape, batch);
  return x;
}

mx_array *mx_gather_mm(mx_scope *s, mx_array *a, mx_array *b, mx_array *l, mx_array *r, bool sorted_indices) {
  (void)sorted_indices; /* the kernel groups them in any case */
  if (!a || !b) return NULL;
  if (!l && !r) return mx_matmul(s, a, b);
  mx_dtype t = mx_promote(a->dtype, b->dtype);
  a = matrices(s, mx_astype(s, a, t), &l);
  b = matrices(s, mx_astype(s, b, t), &r);
  if (!a || !b || !l || !r) return NULL;
  if (a->shape[2] != b->shape[1])
    return mx_scope_fail(
        s, MX_EVALUE,
        "[gather_mm] Last dimension of first input with shape %s must match second to last dimension of second input with shape %s.",
        mx_shape_of(a), mx_shape_of(b));
  int32_t shape[MX_MAX_NDIM];
  int n, rc = mx_broadcast_shape(l->ndim, l->shape, r->ndim, r->shape, &n, shape);
  if (rc) return mx_scope_error(s, rc);
  if (n + 2 > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[gather_mm] Too many dimensions: %d.", n + 2);
  l = mx_broadcast_to(s, l, shape, n);
  r = mx_broadcast_to(s, r, shape, n);
  if (!mx_is_inexact(t)) return mx_matmul(s, mx_take_axis(s, a, l, 0), mx_take_axis(s, b, r, 0));
  mx_array *in[4] = {a, b, mx_flatten(s, l, 0, -1), mx_flatten(s, r, 0, -1)};
  shape[n] = a->shape[1];
  shape[n + 1] = b->shape[2];
  return mx_reshape(s, mx_node(s, OP_gather_mm, 4, in, 0, NULL), shape, (size_t)n + 2);
}

/* mask (..., rows / size, cols / size) spread over blocks, cut to (rows, cols). */
static mx_array *masked(mx_scope *s, mx_array *x, mx_array *mask, int size, const char *name) {
  if (!x || !mask) return x;
  int rows = x->shape[x->ndim - 2], cols = x->shape[x->ndim - 1];
  if (mask->ndim < 2 || mask->shape[mask->ndim - 2] != (rows + size - 1) / size ||
      mask->shape[mask->ndim - 1] != (cols + size - 1) / size)
    return mx_scope_fail(s, MX_EVALUE, "[block_masked_mm] %s of shape %s does not fit %s in blocks of %d.", name,
                         mx_shape_of(mask), mx_shape_of(x), size);
  mask = mx_repeat_axis(s, mx_repeat_axis(s, mask, size, -1), size, -2);
  if (!mask) return NULL;
  mask = mx_slice_axis(s, mx_slice_axis(s, mask, mask->ndim - 2, 0, rows), mask->ndim - 1, 0, cols);
  if (!mask) return NULL;
  if (mask->dtype == MX_BOOL) return mx_where(s, mask, x, mx_const_like(s, x, 0));
  return mx_multiply(s, x, mx_astype(s, mask, x->dtype));
}

mx_array *mx_block_masked_mm(mx_scope *s, mx_array *a, mx_array *b, int block_size, mx_array *mask_out, mx_array *mask_lhs,
                             mx_array *mask_rhs) {
  if (!a || !b) return NULL;
  if (block_size != 32 && block_size != 64 && block_size != 16)
    return mx_scope_fail(s, MX_EVALUE, "[block_masked_mm] Only block_size = 32, 64 are supported. Got block_size = %d.",
                         block_size);
  if (a->ndim < 2 || b->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[block_masked_mm] Inputs must have at least two dimensions, not %s and %s.",
                         mx_shape_of(a), mx_shape_of(b));
  a = masked(s, a, mask_lhs, block_size, "mask_lhs");
  b = masked(s, b, mask_rhs, block_size, "mask_rhs");
  return masked(s, mx_matmul(s, a, b), mask_out, block_size, "mask_out");
}

/* a (M, K), b (K, N), segments (..., 2): for each the product over the columns and rows [start, stop). */
mx_array *mx_segmented_mm(mx_scope *s, mx_array *a, mx_array *b, mx_array *segments) {
  if (!a || !b || !segments) return NULL;
  if (a->ndim != 2 || b->ndim != 2)
    return mx_scope_fail(s, MX_EVALUE, "[segmented_mm] Batched matmul not supported: shapes %s and %s.", mx_shape_of(a),
                         mx_shape_of(b));
  if (segments->ndim < 1 || segments->shape[segments->ndim - 1] != 2 || !mx_is_integer(segments->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[segmented_mm] The segments must be integers of shape (..., 2), got %s of %s.",
                         mx_shape_of(segments), mx_dtype_name(segments->dtype));
  int last = segments->ndim - 1;
  mx_array *from = mx_slice_axis(s, segments, last, 0, 1), *to = mx_slice_axis(s, segments, last, 1, 2);
  mx_array *k = mx_arange(s, 0, a->shape[1], 1, MX_I32);
  if (!from || !to || !k) return NULL;
  mx_array *within = mx_logical_and(s, mx_greater_equal(s, k, from), mx_less(s, k, to)); /* (..., K) */
  mx_array *cut = mx_where(s, mx_expand_dims(s, within, -2), a, mx_const_like(s, a, 0));
  return mx_matmul(s, cut, b);
}

/* Hadamard matrices of the orders that are no powers of two: bit j of row i is set where the entry is -1. */
static const uint32_t hadamard_12[] = {0x2, 0xaab, 0x3c8, 0x96e, 0xf20, 0x5ba, 0xc8c, 0x6e6, 0x23c, 0xb96, 0x8f0, 0xe5a};
static const uint32_t hadamard_20[] = {0x933de, 0x2e3bd, 0x5477b, 0xa0ef7, 0x499ef, 0x637c1, 0xc6ba2, 0x8d764, 0x1aee8, 0x359f0,
                                       0xfa53,  0x174a7, 0x26d4e, 0x45e9c, 0x83d39, 0xf7a6d, 0xef4fa, 0xdedd5, 0xbdf8b, 0x7bf36};
static const uint32_t hadamard_28[] = {0xcd69e7e, 0x9ad7c7d, 0x37ab8fb, 0x6d571f7, 0xd8ae3ef, 0xb3587df, 0x66b4f3f,
                                       0xb467f43, 0x6acbe87, 0xd593d8e, 0xab27b9c, 0x564f7b8, 0xac9aff0, 0x5b31fe1,
                                       0x87fb325, 0xff66ca,  0x1decd95, 0x39ddb2a, 0x71bf654, 0xe17eca9, 0xc2fd9d2,
                                       0xfcf1299, 0xfbe2532, 0xf7c4ae4, 0xef8d549, 0xdf1ea13, 0xbe3d4a6, 0x7e7a94c};

static mx_array *hadamard_matrix(mx_scope *s, int m, mx_dtype t) {
  const uint32_t *rows = m == 12 ? hadamard_12 : m == 20 ? hadamard_20 : hadamard_28;
  float v[28 * 28];
  for (int i = 0; i < m; i++)
    for (int j = 0; j < m; j++) v[i * m + j] = rows[i] >> j & 1 ? -1 : 1;
  return mx_astype(s, mx_own(s, mx_array_from_data(MX_F32, 2, (int32_t[]){m, m}, v)), t);
}

/* One step for each power of two: (..., 2, h) -> sums and differences. */
static mx_array *butterflies(mx_scope *s, mx_array *x, int n, int block) {
  for (int h = block; h < n && x; h *= 2) {
    mx_array *pairs = mx_unflatten(s, x, -1, (int[]){n / (2 * h), 2, h}, 3);
    if (!pairs) return NULL;
    int axis = pairs->ndim - 2;
    mx_array *lo = mx_slice_axis(s, pairs, axis, 0, 1), *hi = mx_slice_axis(s, pairs, axis, 1, 2);
    x = mx_concatenate_axis(s, 2, (mx_array *[]){mx_add(s, lo, hi), mx_subtract(s, lo, hi)}, axis);
    x = mx_flatten(s, x, -3, -1);
  }
  return x;
}

mx_array *mx_hadamard_transform(mx_scope *s, mx_array *a, const float *scale) {
  if (!a) return NULL;
  if (a->ndim == 0) return mx_squeeze_axis(s, mx_hadamard_transform(s, mx_expand_dims(s, a, 0), scale), 0);
  int n = a->shape[a->ndim - 1], m = n;
  while (m > 1 && m % 2 == 0 && m != 12 && m != 20 && m != 28) m /= 2;
  if (n < 1 || (m != 1 && m != 12 && m != 20 && m != 28))
    return mx_scope_fail(s, MX_EVALUE, "[hadamard] Only supports n = m*2^k where m in (1, 12, 20, 28), got %d.", n);
  mx_array *x = mx_to_float(s, a);
  if (m == 1)
    x = butterflies(s, x, n, 1);
  else {
    x = butterflies(s, mx_unflatten(s, x, -1, (int[]){m, n / m}, 2), n / m, 1);
    x = x ? mx_flatten(s, mx_matmul(s, hadamard_matrix(s, m, x->dtype), x), -2, -1) : NULL;
  }
  return mx_mul_k(s, x, scale ? *scale : 1 / sqrt(n));
}
