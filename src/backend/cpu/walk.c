#include "backend/cpu/walk.h"

#include <string.h>

void mx_walk_init(mx_walk *w, int nd, const int32_t *shape, int skip, const int64_t *s0, const int64_t *s1, const int64_t *s2) {
  const int64_t *s[MX_WALK_OPERANDS] = {s0, s1, s2};
  w->nd = 0;
  w->n = 1;
  for (int d = 0; d < nd; d++) {
    if (d == skip) continue;
    w->n *= shape[d];
    if (shape[d] == 1) continue;
    int last = w->nd - 1;
    bool merge = last >= 0;
    for (int k = 0; merge && k < MX_WALK_OPERANDS; k++)
      if (s[k] && w->stride[k][last] != s[k][d] * shape[d]) merge = false;
    if (merge) {
      w->shape[last] *= shape[d];
      for (int k = 0; k < MX_WALK_OPERANDS; k++) w->stride[k][last] = s[k] ? s[k][d] : 0;
    } else {
      w->shape[w->nd] = shape[d];
      for (int k = 0; k < MX_WALK_OPERANDS; k++) w->stride[k][w->nd] = s[k] ? s[k][d] : 0;
      w->nd++;
    }
  }
}

int64_t mx_walk_pop(mx_walk *w, int64_t stride[MX_WALK_OPERANDS]) {
  if (w->nd == 0) {
    for (int k = 0; k < MX_WALK_OPERANDS; k++) stride[k] = 1;
    return w->n; /* 1, or 0 for an empty shape */
  }
  int d = --w->nd;
  for (int k = 0; k < MX_WALK_OPERANDS; k++) stride[k] = w->stride[k][d];
  if (w->n) w->n /= w->shape[d];
  return w->shape[d];
}

void mx_walk_seek(const mx_walk *w, mx_cursor *c, int64_t i) {
  memset(c->off, 0, sizeof c->off);
  for (int d = w->nd - 1; d >= 0; d--) {
    c->at[d] = i % w->shape[d];
    i /= w->shape[d];
    for (int k = 0; k < MX_WALK_OPERANDS; k++) c->off[k] += c->at[d] * w->stride[k][d];
  }
}

void mx_rows_init(mx_rows *r, const mx_view *in, const mx_view *out, int axis) {
  if (in->ndim == 0) { /* a scalar is a row of one */
    memset(r, 0, sizeof *r);
    r->walk.n = r->n[0] = r->n[1] = r->stride[0] = r->stride[1] = 1;
    return;
  }
  mx_walk_init(&r->walk, in->ndim, in->shape, axis, in->strides, out->strides, NULL);
  r->n[0] = in->shape[axis];
  r->n[1] = out->shape[axis];
  r->stride[0] = in->strides[axis];
  r->stride[1] = out->strides[axis];
}

int64_t mx_rows_grain(const mx_rows *r) {
  int64_t n = r->n[0] > r->n[1] ? r->n[0] : r->n[1];
  return n >= 1 << 15 ? 1 : (1 << 15) / (n ? n : 1);
}
