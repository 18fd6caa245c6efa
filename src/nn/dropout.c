/* Dropout: inputs become 0 with a probability and the others grow to keep the mean. */
#include "graph/build.h"
#include "nn/nn.h"

/* One draw for each element of x, or with `axes` axes before the last drawn together. */
static mx_array *drop(mx_scope *s, mx_array *x, double p, mx_array *key, int axes) {
  if (!x) return NULL;
  if (!(p >= 0 && p < 1)) return mx_scope_fail(s, MX_EVALUE, "The dropout probability %g is not in [0, 1)", p);
  if (axes && x->ndim != axes + 1 && x->ndim != axes + 2)
    return mx_scope_fail(s, MX_EVALUE, "Received input with %d dimensions. Expected %d or %d dimensions.", x->ndim, axes + 1,
                         axes + 2);
  if (p == 0) return x;
  int shape[MX_MAX_NDIM];
  for (int i = 0; i < x->ndim; i++) shape[i] = i < x->ndim - 1 && i >= x->ndim - 1 - axes ? 1 : x->shape[i];
  double stays = 1 - p;
  mx_array *kept = mx_random_bernoulli(s, mx_scalar(s, MX_F32, stays), shape, x->ndim, key);
  return mx_times(s, mx_multiply(s, kept, x), 1 / stays);
}

mx_array *mx_nn_dropout(mx_scope *s, mx_array *x, double p, mx_array *key) { return drop(s, x, p, key, 0); }
mx_array *mx_nn_dropout2d(mx_scope *s, mx_array *x, double p, mx_array *key) { return drop(s, x, p, key, 2); }
mx_array *mx_nn_dropout3d(mx_scope *s, mx_array *x, double p, mx_array *key) { return drop(s, x, p, key, 3); }
