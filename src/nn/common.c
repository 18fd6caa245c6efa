/* What the layers share. */
#include <stdio.h>
#include <string.h>

#include "graph/build.h"
#include "nn/nn.h"

mx_array *mx_weak(mx_scope *s, mx_array *x, double v) {
  return x ? mx_scalar(s, mx_is_inexact(x->dtype) ? x->dtype : MX_F32, v) : NULL;
}
mx_array *mx_weak_int(mx_scope *s, mx_array *x, int v) {
  return x ? mx_scalar(s, x->dtype == MX_BOOL ? MX_I32 : x->dtype, v) : NULL;
}
mx_array *mx_plus(mx_scope *s, mx_array *x, double v) { return x ? mx_add(s, x, mx_weak(s, x, v)) : NULL; }
mx_array *mx_times(mx_scope *s, mx_array *x, double v) { return x ? mx_multiply(s, x, mx_weak(s, x, v)) : NULL; }

mx_array *mx_nn_reduce(mx_scope *s, mx_array *loss, const char *reduction) {
  if (!loss) return NULL;
  if (!strcmp(reduction, "none")) return loss;
  if (!strcmp(reduction, "mean")) return mx_mean(s, loss, false);
  if (!strcmp(reduction, "sum")) return mx_sum(s, loss, false);
  return mx_scope_fail(s, MX_EVALUE, "Invalid reduction. Must be one of ('none', 'mean', 'sum').");
}

const char *mx_shape_words(const mx_array *a) {
  enum { BUFFERS = 4, ROOM = 13 * MX_MAX_NDIM + 4 };
  static _Thread_local char ring[BUFFERS][ROOM];
  static _Thread_local unsigned turn;
  char *text = ring[turn++ % BUFFERS];
  int at = snprintf(text, ROOM, "(");
  for (int i = 0; i < a->ndim; i++) at += snprintf(text + at, (size_t)(ROOM - at), i ? ", %d" : "%d", a->shape[i]);
  snprintf(text + at, (size_t)(ROOM - at), a->ndim == 1 ? ",)" : ")");
  return text;
}

mx_array *mx_nn_affine(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias) {
  if (!x) return NULL;
  if (weight) x = mx_multiply(s, weight, x);
  return bias ? mx_add(s, x, bias) : x;
}

bool mx_nn_spread(mx_scope *s, const char *tag, const char *what, const int *v, size_t n, int k, int standard, int *out) {
  if (n > 1 && n != (size_t)k) {
    mx_scope_fail(s, MX_EVALUE, "[%s] %zu values of %s for %d spatial dimensions.", tag, n, what, k);
    return false;
  }
  for (int i = 0; i < k; i++) out[i] = n ? v[n == 1 ? 0 : i] : standard;
  return true;
}
