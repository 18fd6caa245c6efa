/* Normalisation, cross entropy and rotary position encoding. */
#include <math.h>

#include "graph/build.h"

static mx_array *norm(mx_scope *s, mx_opcode op, mx_array *x, mx_array *weight, mx_array *bias, float eps) {
  if (!x) return NULL;
  const char *tag = mx_ops[op].name;
  if (x->ndim == 0)
    return mx_scope_fail(s, MX_EVALUE, "[%s] Input must have at least 1 dimension but got input with 0 dimensions.", tag);
  mx_dtype t = x->dtype;
  mx_array *in[3] = {x}, *more[2] = {weight, bias};
  int n = 1;
  for (int i = 0; i < 2; i++) {
    if (!more[i]) continue;
    const char *name = i ? "bias" : "weight";
    if (more[i]->ndim != 1)
      return mx_scope_fail(s, MX_EVALUE, "[%s] %s must have 1 dimension but has %d dimensions.", tag, name, more[i]->ndim);
    if (more[i]->shape[0] != x->shape[x->ndim - 1])
      return mx_scope_fail(s, MX_EVALUE,
                           "[%s] %s must have the same size as the last dimension of x but has %d elements; x has shape %s.", tag,
                           name, more[i]->shape[0], mx_shape_of(x));
    t = mx_promote(t, more[i]->dtype);
    in[n++] = more[i];
  }
  if (!mx_is_float(t)) return mx_scope_fail(s, MX_EVALUE, "[%s] Received unsupported type %s.", tag, mx_dtype_name(t));
  for (int i = 0; i < n; i++) in[i] = mx_astype(s, in[i], t);
  return mx_node(s, op, n, in, op == OP_layer_norm ? 3 : 2, (int64_t[]){mx_bits(eps), weight != NULL, bias != NULL});
}

mx_array *mx_fast_rms_norm(mx_scope *s, mx_array *x, mx_array *weight, float eps) {
  return norm(s, OP_rms_norm, x, weight, NULL, eps);
}
mx_array *mx_fast_layer_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, float eps) {
  return norm(s, OP_layer_norm, x, weight, bias, eps);
}

/* logsumexp(logits) - logits[target] over the last axis, in f32 (f64 for f64). */
mx_array *mx_fast_cross_entropy(mx_scope *s, mx_array *logits, mx_array *targets) {
  if (!logits || !targets) return NULL;
  if (!mx_is_float(logits->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[cross_entropy] Received unsupported logits type %s.", mx_dtype_name(logits->dtype));
  if (!mx_is_integer(targets->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[cross_entropy] targets must be integer class indices but got %s.",
                         mx_dtype_name(targets->dtype));
  bool fits = logits->ndim == targets->ndim + 1;
  for (int i = 0; fits && i < targets->ndim; i++) fits = logits->shape[i] == targets->shape[i];
  if (!fits)
    return mx_scope_fail(s, MX_EVALUE,
                         "[cross_entropy] targets shape %s does not match logits shape %s with the last axis removed.",
                         mx_shape_of(targets), mx_shape_of(logits));
  mx_array *x = mx_astype(s, logits, logits->dtype == MX_F64 ? MX_F64 : MX_F32), *total = mx_logsumexp_axis(s, x, -1, true);
  mx_array *chosen = mx_take_along_axis(s, x, mx_expand_dims(s, targets, -1), -1);
  return total && chosen ? mx_squeeze_axis(s, mx_subtract(s, total, chosen), -1) : NULL;
}

/* ---- rope: x (B, ..., T, D) ---- */

static int check_rope(mx_scope *s, const mx_array *x, int dims, const float *base, const mx_array *freqs,
                      const mx_array *offset) {
  if (x->ndim < 3)
    mx_scope_fail(s, MX_EVALUE, "[rope] Input must have at least 3 dimensions but got input with %d dimensions.", x->ndim);
  else if (!mx_is_float(x->dtype))
    mx_scope_fail(s, MX_EVALUE, "[rope] Input must be a floating type but got %s.", mx_dtype_name(x->dtype));
  else if (dims <= 0)
    mx_scope_fail(s, MX_EVALUE, "[rope] dims must be positive but got %d.", dims);
  else if (dims > x->shape[x->ndim - 1])
    mx_scope_fail(s, MX_EVALUE, "[rope] dims must not exceed the input's last dimension (%d) but got %d.", x->shape[x->ndim - 1],
                  dims);
  else if (dims % 2)
    mx_scope_fail(s, MX_EVALUE, "[rope] dims must be even but got %d.", dims);
  else if (!base && !freqs)
    mx_scope_fail(s, MX_EVALUE, "[rope] Neither base nor freqs has a value.");
  else if (base && freqs)
    mx_scope_fail(s, MX_EVALUE, "[rope] Only one of base or freqs can have a value.");
  else if (freqs && (freqs->ndim != 1 || freqs->shape[0] != dims / 2))
    mx_scope_fail(s, MX_EVALUE, "[rope] freqs must be one dimensional with size %d but got shape %s.", dims / 2,
                  mx_shape_of(freqs));
  else if (offset->ndim > 1 || (offset->ndim == 1 && offset->shape[0] != 1 && offset->shape[0] != x->shape[0]))
    mx_scope_fail(s, MX_EVALUE, "[rope] offset must be a scalar or vector with %d elements but has shape %s.", x->shape[0],
                  mx_shape_of(offset));
  else if (!mx_is_integer(offset->dtype))
    mx_scope_fail(s, MX_EVALUE, "[rope] offset must be an integer but got %s.", mx_dtype_name(offset->dtype));
  return s->rc;
}

/* The angles (T, dims/2), or (B, 1..., T, dims/2) for an offset a batch; f32. */
static mx_array *angles(mx_scope *s, const mx_array *x, int dims, const float *base, float scale, mx_array *offset,
                        mx_array *freqs) {
  mx_array *at = mx_arange(s, 0, x->shape[x->ndim - 2], 1, MX_F32), *turn;
  offset = mx_astype(s, offset, MX_F32);
  if (offset && offset->ndim == 1 && offset->shape[0] == 1) offset = mx_reshape(s, offset, NULL, 0);
  if (offset && offset->ndim) {
    int shape[MX_MAX_NDIM];
    for (int i = 0; i < x->ndim - 1; i++) shape[i] = i ? 1 : offset->shape[0];
    offset = mx_reshape(s, offset, shape, x->ndim - 1);
  }
  if (!at || !offset) return NULL;
  at = mx_mul_k(s, mx_add(s, at, offset), scale);
  if (freqs)
    turn = mx_reciprocal(s, mx_astype(s, freqs, MX_F32));
  else
    turn = mx_exp(s, mx_mul_k(s, mx_arange(s, 0, dims / 2, 1, MX_F32), -log(*base) / (dims / 2.0)));
  return at && turn ? mx_multiply(s, mx_expand_dims(s, at, -1), turn) : NULL;
}

mx_array *mx_fast_rope_dynamic(mx_scope *s, mx_array *x, int dims, bool traditional, const float *base, float scale,
                               mx_array *offset, mx_array *freqs) {
  if (!x || !offset || check_rope(s, x, dims, base, freqs, offset)) return NULL;
  mx_array *in[3] = {x, offset, freqs};
  if (x->dtype != MX_F64 && (!freqs || (mx_is_float(freqs->dtype) && freqs->dtype != MX_F64)) && mx_untraced(3, in))
    return mx_node(s, OP_rope, freqs ? 3 : 2, in, 4, (int64_t[]){dims, traditional, mx_bits(base ? *base : 1), mx_bits(scale)});
  int nd = x->ndim, last = nd - 1, dim = x->shape[last];
  mx_array *angle = angles(s, x, dims, base, scale, offset, freqs);
  mx_array *c = angle ? mx_cos(s, angle) : NULL, *d = angle ? mx_sin(s, angle) : NULL;
  mx_array *used = mx_slice_axis(s, x, last, 0, dims), *a, *b;
  if (!c || !d || !used) return NULL;
  if (traditional) { /* neighbours */
    mx_array *pairs = mx_unflatten(s, used, -1, (int[]){dims / 2, 2}, 2);
    a = mx_squeeze_axis(s, mx_slice_axis(s, pairs, nd, 0, 1), nd);
    b = mx_squeeze_axis(s, mx_slice_axis(s, pairs, nd, 1, 2), nd);
  } else { /* halves */
    a = mx_slice_axis(s, used, last, 0, dims / 2);
    b = mx_slice_axis(s, used, last, dims / 2, dims);
  }
  if (!a || !b) return NULL;
  mx_array *u = mx_subtract(s, mx_multiply(s, a, c), mx_multiply(s, b, d)),
           *v = mx_add(s, mx_multiply(s, a, d), mx_multiply(s, b, c));
  mx_array *part[3] = {mx_astype(s, u, x->dtype), mx_astype(s, v, x->dtype), NULL};
  if (traditional) {
    part[0] = mx_flatten(s, mx_stack_axis(s, 2, part, nd), -2, -1);
    part[1] = dims < dim ? mx_slice_axis(s, x, last, dims, dim) : NULL;
    return mx_concatenate_axis(s, dims < dim ? 2 : 1, part, last);
  }
  if (dims < dim) part[2] = mx_slice_axis(s, x, last, dims, dim);
  return mx_concatenate_axis(s, dims < dim ? 3 : 2, part, last);
}

mx_array *mx_fast_rope(mx_scope *s, mx_array *x, int dims, bool traditional, const float *base, float scale, int offset,
                       mx_array *freqs) {
  return mx_fast_rope_dynamic(s, x, dims, traditional, base, scale, mx_int(s, MX_I32, offset), freqs);
}
