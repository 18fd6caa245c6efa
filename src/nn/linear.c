/* Products with a weight, and tables that are looked up. */
#include "graph/build.h"
#include "nn/nn.h"

mx_array *mx_nn_linear(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias) {
  if (!x || !weight) return NULL;
  return bias ? mx_addmm(s, bias, x, mx_transpose(s, weight), 1, 1) : mx_matmul_turned(s, x, weight);
}

mx_array *mx_nn_bilinear(mx_scope *s, mx_array *x1, mx_array *x2, mx_array *weight, mx_array *bias) {
  if (!x1 || !x2 || !weight) return NULL;
  if (weight->ndim != 3 || x1->ndim < 1 || x2->ndim < 1 || x1->shape[x1->ndim - 1] != weight->shape[2] ||
      x2->shape[x2->ndim - 1] != weight->shape[1])
    return mx_scope_fail(s, MX_EVALUE,
                         "[bilinear] Inputs of shapes %s and %s do not fit a weight (outputs, inputs 2, inputs 1) of shape %s.",
                         mx_shape_words(x1), mx_shape_words(x2), mx_shape_words(weight));
  int out = weight->shape[0], in2 = weight->shape[1], in1 = weight->shape[2];
  int64_t rows = in1 ? x1->size / in1 : 0;
  if (x2->size != rows * in2)
    return mx_scope_fail(s, MX_EVALUE, "[bilinear] Inputs of shapes %s and %s differ in their number of rows.",
                         mx_shape_words(x1), mx_shape_words(x2));
  /* one product with all of the weight, then one small product a row */
  int n = (int)rows;
  mx_array *w = mx_transpose(s, mx_reshape(s, weight, (int[]){out * in2, in1}, 2));
  mx_array *y = mx_matmul(s, mx_reshape(s, x1, (int[]){n, in1}, 2), w);
  y = mx_swapaxes(s, mx_reshape(s, y, (int[]){n, out, in2}, 3), -2, -1);
  y = mx_matmul(s, mx_reshape(s, x2, (int[]){n, 1, in2}, 3), y);
  int shape[MX_MAX_NDIM];
  for (int i = 0; i < x1->ndim; i++) shape[i] = i + 1 < x1->ndim ? x1->shape[i] : out;
  y = mx_reshape(s, y, shape, x1->ndim);
  return bias ? mx_add(s, y, bias) : y;
}

mx_array *mx_nn_embedding(mx_scope *s, mx_array *indices, mx_array *weight) {
  if (!indices || !weight) return NULL;
  if (!mx_is_integer(indices->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[embedding] Expected whole numbers as indices, got %s.", mx_dtype_name(indices->dtype));
  return mx_take_axis(s, weight, indices, 0);
}
