/* Kernels that only move elements: contiguous, concatenate, pad. */
#include "backend/cpu/kernels.h"

#include <string.h>

#include "backend/cpu/fill.h"

int mx_cpu_contiguous(const mx_call *c) { return mx_copy_view(c->in, c->out); }

int mx_cpu_concatenate(const mx_call *c) {
  int axis = (int)c->p[0], rc = 0;
  int64_t at = 0;
  for (int i = 0; i < c->nin && !rc; i++) {
    mx_view part = c->in[i];
    part.data = mx_at(c->out, at * c->out->strides[axis]);
    part.strides = c->out->strides;
    at += part.shape[axis];
    if (part.size) rc = mx_copy_view(&c->in[i], &part);
  }
  return rc;
}

int mx_cpu_pad(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  int64_t start = 0;
  int rc = mx_fill(out, c->in[1].data);
  if (rc || !x->size) return rc;
  for (int d = 0; d < x->ndim; d++) start += c->p[d] * out->strides[d];
  mx_view part = *x;
  part.data = mx_at(out, start);
  part.strides = out->strides;
  return mx_copy_view(x, &part);
}
