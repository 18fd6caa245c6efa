/* Normalisations: mean 0 and variance 1 over some of the axes. */
#include "graph/build.h"
#include "nn/nn.h"

mx_array *mx_nn_layer_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, double eps) {
  return mx_fast_layer_norm(s, x, weight, bias, (float)eps);
}

mx_array *mx_nn_rms_norm(mx_scope *s, mx_array *x, mx_array *weight, double eps) {
  return mx_fast_rms_norm(s, x, weight, (float)eps);
}

/* (x - mean) / sqrt(var + eps) */
static mx_array *standard(mx_scope *s, mx_array *x, mx_array *mean, mx_array *var, double eps) {
  return mx_multiply(s, mx_subtract(s, x, mean), mx_rsqrt(s, mx_plus(s, var, eps)));
}

mx_array *mx_nn_instance_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, double eps) {
  if (!x) return NULL;
  int axes[MX_MAX_NDIM];
  if (x->ndim < 3)
    return mx_scope_fail(s, MX_EVALUE, "InstanceNorm expects inputs with at least 3 dimensions (N, ..., C) but the input has %d dimensions.",
                         x->ndim);
  size_t n = (size_t)x->ndim - 2;
  for (size_t i = 0; i < n; i++) axes[i] = 1 + (int)i;
  x = standard(s, x, mx_mean_axes(s, x, axes, n, true), mx_var_axes(s, x, axes, n, true, 0), eps);
  return mx_nn_affine(s, x, weight, bias);
}

/* Neighbouring channels as a group: one row for each sample and group. */
static mx_array *group_neighbours(mx_scope *s, mx_array *x, int groups, double eps) {
  int batch = x->shape[0], size = x->shape[x->ndim - 1] / groups;
  const int order[] = {0, 2, 1, 3};
  mx_array *y = mx_permute(s, mx_reshape(s, x, (int[]){batch, -1, groups, size}, 4), order);
  y = mx_fast_layer_norm(s, mx_reshape(s, y, (int[]){batch, groups, -1}, 3), NULL, NULL, (float)eps);
  return mx_permute(s, mx_reshape(s, y, (int[]){batch, groups, -1, size}, 4), order);
}

mx_array *mx_nn_group_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, int num_groups, double eps,
                           bool neighbours) {
  if (!x) return NULL;
  if (x->ndim < 2 || num_groups < 1 || x->shape[x->ndim - 1] % num_groups)
    return mx_scope_fail(s, MX_EVALUE, "[group_norm] %d groups do not divide the channels of an input of shape %s.", num_groups,
                         mx_shape_words(x));
  mx_array *y;
  if (x->size == 0) {
    y = x;
  } else if (neighbours) {
    y = group_neighbours(s, x, num_groups, eps);
  } else { /* every num_groups-th channel */
    y = mx_reshape(s, x, (int[]){x->shape[0], -1, num_groups}, 3);
    y = standard(s, y, mx_mean_axis(s, y, 1, true), mx_var_axis(s, y, 1, true, 0), eps);
  }
  return mx_nn_affine(s, mx_reshape_like(s, y, x), weight, bias);
}

/* The axes of all but the channels; 0 and an error for an input that is none of a batch norm. */
static size_t batch_axes(mx_scope *s, const mx_array *x, int *axes) {
  if (x->ndim < 2 || x->ndim > 4) {
    mx_scope_fail(s, MX_EVALUE, "Expected input tensor to have 2, 3 or 4 dimensions, but got %d", x->ndim);
    return 0;
  }
  for (int i = 0; i < x->ndim - 1; i++) axes[i] = i;
  return (size_t)x->ndim - 1;
}

mx_array *mx_nn_batch_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, mx_array *mean, mx_array *var,
                           double eps) {
  int axes[4];
  size_t n = x ? batch_axes(s, x, axes) : 0;
  if (!n) return NULL;
  if (!mean) mean = mx_mean_axes(s, x, axes, n, false);
  if (!var) var = mx_var_axes(s, x, axes, n, false, 0);
  return mx_nn_affine(s, standard(s, x, mean, var, eps), weight, bias);
}

/* (1 - momentum) * old + momentum * fresh */
static mx_array *moved(mx_scope *s, mx_array *old, mx_array *fresh, double momentum) {
  return old ? mx_add(s, mx_times(s, old, 1 - momentum), mx_times(s, fresh, momentum)) : fresh;
}

/* As one node, where there is a kernel: true. */
static bool in_one(mx_scope *s, mx_array *res[3], mx_array *x, mx_array *weight, mx_array *bias, double eps) {
  if (x->dtype != MX_F32 || !x->size) return false;
  int c = x->shape[x->ndim - 1];
  mx_array *row = x; /* of as many channels, whatever shape a trace is called with later */
  for (int i = 1; row && i < x->ndim; i++) row = mx_squeeze_axis(s, mx_slice_axis(s, row, 0, 0, 1), 0);
  mx_array *in[3] = {x, weight ? weight : mx_ones_like(s, row), bias ? bias : mx_zeros_like(s, row)};
  if (s->rc) return false;
  for (int i = 1; i < 3; i++)
    if (in[i]->dtype != MX_F32 || in[i]->ndim != 1 || in[i]->shape[0] != c) return false;
  mx_node_multi(s, OP_batch_norm, 3, in, 1, (int64_t[]){mx_bits(eps)}, NULL, 3, res);
  return true;
}

int mx_nn_batch_norm_train(mx_scope *s, mx_array *res[3], mx_array *x, mx_array *weight, mx_array *bias, mx_array *running_mean,
                           mx_array *running_var, double momentum, double eps) {
  int axes[4];
  size_t n = x ? batch_axes(s, x, axes) : 0;
  if (!n) return s->rc;
  int channels = x->shape[x->ndim - 1];
  if (x->size == channels)
    return mx_scope_fail(s, MX_EVALUE, "BatchNorm training requires more than one value per channel."), s->rc;
  mx_array *made[3] = {NULL};
  if (!in_one(s, made, x, weight, bias, eps)) {
    made[1] = mx_mean_axes(s, x, axes, n, false), made[2] = mx_var_axes(s, x, axes, n, false, 0);
    made[0] = mx_nn_affine(s, standard(s, x, made[1], made[2], eps), weight, bias);
  }
  res[0] = made[0];
  /* the estimate for the whole, as it will stand for other batches */
  int64_t count = channels ? x->size / channels : 0;
  mx_shape_used = true;
  res[1] = moved(s, running_mean, made[1], momentum);
  res[2] = moved(s, running_var, mx_times(s, made[2], (double)count / (double)(count > 1 ? count - 1 : 1)), momentum);
  return s->rc;
}
