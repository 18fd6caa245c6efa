/* Where the elements of a view lie in its input's data. */
#include "graph/rules/help.h"

/* Each run of the input's dimensions that lie without gaps can be cut otherwise; size-1 dimensions are nowhere. */
bool view_reshape(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  *offset = 0;
  if (in->size == 0) {
    mx_row_strides(out->ndim, out->shape, strides);
    return true;
  }
  int64_t dim[MX_MAX_NDIM], stride[MX_MAX_NDIM];
  int n = 0;
  for (int i = 0; i < in->ndim; i++) {
    if (in->shape[i] == 1) continue;
    if (n && stride[n - 1] == in->strides[i] * in->shape[i]) {
      dim[n - 1] *= in->shape[i];
      stride[n - 1] = in->strides[i];
    } else {
      dim[n] = in->shape[i];
      stride[n++] = in->strides[i];
    }
  }
  int k = n - 1;
  int64_t left = n ? dim[k] : 1, step = n ? stride[k] : 1;
  for (int i = out->ndim - 1; i >= 0; i--) {
    strides[i] = step;
    if (out->shape[i] == 1) continue;
    while (left == 1 && k > 0) {
      k--;
      left = dim[k];
      strides[i] = step = stride[k];
    }
    if (left % out->shape[i]) return false;
    left /= out->shape[i];
    step *= out->shape[i];
  }
  return true;
}

bool view_transpose(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  *offset = 0;
  for (int i = 0; i < out->ndim; i++) strides[i] = in->strides[out->p[i]];
  return true;
}

bool view_slice(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  int nd = in->ndim;
  int64_t at = 0;
  for (int i = 0; i < nd; i++) {
    strides[i] = in->strides[i] * out->p[2 * nd + i];
    at += in->strides[i] * out->p[i];
  }
  *offset = out->size ? at * (int64_t)mx_dtype_size(in->dtype) : 0;
  return true;
}

bool view_broadcast_to(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  int extra = out->ndim - in->ndim;
  *offset = 0;
  for (int i = 0; i < out->ndim; i++)
    strides[i] = i < extra || in->shape[i - extra] != out->shape[i] ? 0 : in->strides[i - extra];
  return true;
}

bool view_expand_dims(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  *offset = 0;
  int j = in->ndim - 1, k = out->np - 1;
  for (int i = out->ndim - 1; i >= 0; i--) {
    if (k < 0 || out->p[k] != i) {
      strides[i] = in->strides[j--];
      continue;
    }
    strides[i] = i + 1 < out->ndim ? strides[i + 1] * out->shape[i + 1] : 1;
    k--;
  }
  return true;
}

bool view_squeeze(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  *offset = 0;
  for (int i = 0, k = 0, j = 0; i < in->ndim; i++) {
    if (k < out->np && out->p[k] == i)
      k++;
    else
      strides[j++] = in->strides[i];
  }
  return true;
}

bool view_as_strided(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  if (!mx_is_row_contiguous(in)) return false;
  int nd = (int)out->p[0];
  for (int i = 0; i < nd; i++) strides[i] = out->p[1 + nd + i];
  *offset = out->size ? out->p[1 + 2 * nd] * (int64_t)mx_dtype_size(in->dtype) : 0;
  return true;
}

bool view_view(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  int64_t from = (int64_t)mx_dtype_size(in->dtype), to = (int64_t)mx_dtype_size(out->dtype);
  int last = in->ndim - 1;
  *offset = 0;
  if (from != to && in->strides[last] != 1 && in->shape[last] != 1) return false;
  for (int i = 0; i < out->ndim; i++) {
    if (i == last && from != to) {
      strides[i] = 1;
      continue;
    }
    if (in->strides[i] * from % to) return false;
    strides[i] = in->strides[i] * from / to;
  }
  return true;
}

bool view_copy(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  *offset = 0;
  for (int i = 0; i < out->ndim; i++) strides[i] = in->strides[i];
  return true;
}

bool view_stop_gradient(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  return view_copy(in, out, strides, offset);
}

/* The runtime takes the result from the tuple; there is nothing to lay out. */
bool view_pick(const mx_array *in, const mx_array *out, int64_t *strides, int64_t *offset) {
  (void)in, (void)out, (void)strides;
  *offset = 0;
  return false;
}
