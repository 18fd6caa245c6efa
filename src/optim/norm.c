/* The norm of all gradients together. */
#include "optim/optim.h"

mx_array *mx_optim_global_norm(mx_scope *s, int n, mx_array *const *gradients) {
  mx_array *sum = mx_scalar(s, MX_F32, 0);
  for (int i = 0; i < n; i++) sum = mx_add(s, sum, mx_sum(s, mx_square(s, gradients[i]), false));
  return mx_sqrt(s, sum);
}

int mx_optim_clip_by_norm(mx_scope *s, mx_list *out, int n, mx_array *const *gradients, mx_array *norm, mx_array *max_norm) {
  mx_array *scale = mx_divide(s, max_norm, mx_optim_plus(s, norm, 1e-6));
  scale = mx_minimum(s, scale, mx_optim_number(s, scale, 1));
  for (int i = 0; i < n && !s->rc; i++) {
    mx_array *clipped = mx_multiply(s, gradients[i], scale);
    clipped = clipped ? mx_astype(s, clipped, gradients[i]->dtype) : NULL;
    int rc = clipped ? mx_list_push(out, clipped) : 0;
    if (rc) mx_scope_error(s, rc);
  }
  return s->rc;
}
