/* Element-wise functions that are built of others. */
#include <math.h>

#include "graph/build.h"

mx_array *mx_clip(mx_scope *s, mx_array *a, mx_array *a_min, mx_array *a_max) {
  if (!a) return NULL;
  if (!a_min && !a_max) return mx_scope_fail(s, MX_EVALUE, "[clip] At most one of a_min and a_max may be None.");
  if (a_min) a = mx_maximum(s, a, a_min);
  return a_max ? mx_minimum(s, a, a_max) : a;
}

mx_array *mx_round(mx_scope *s, mx_array *a, int decimals) {
  if (!a) return NULL;
  if (decimals == 0) return mx_rint(s, a);
  if (decimals > 0 && !mx_is_inexact(a->dtype)) return a;
  mx_array *x = mx_to_float(s, a);
  if (!x) return NULL;
  /* in float, as a scale of 10^d and its reciprocal */
  float scale = powf(10.0f, (float)decimals);
  x = mx_rint(s, mx_mul_k(s, x, scale));
  return mx_astype(s, mx_mul_k(s, x, 1.0f / scale), a->dtype);
}

mx_array *mx_degrees(mx_scope *s, mx_array *a) { return mx_mul_k(s, mx_to_float(s, a), 180 / M_PI); }
mx_array *mx_radians(mx_scope *s, mx_array *a) { return mx_mul_k(s, mx_to_float(s, a), M_PI / 180); }

static mx_array *is_inf(mx_scope *s, mx_array *a, double v) {
  if (!a) return NULL;
  if (!mx_is_float(a->dtype)) return mx_full(s, a->shape, a->ndim, mx_int(s, MX_BOOL, 0), MX_BOOL);
  return mx_equal(s, a, mx_const_like(s, a, v));
}
mx_array *mx_isposinf(mx_scope *s, mx_array *a) { return is_inf(s, a, INFINITY); }
mx_array *mx_isneginf(mx_scope *s, mx_array *a) { return is_inf(s, a, -INFINITY); }

mx_array *mx_logical_xor(mx_scope *s, mx_array *a, mx_array *b) {
  if (!a || !b) return NULL;
  return mx_not_equal(s, mx_astype(s, a, MX_BOOL), mx_astype(s, b, MX_BOOL));
}

mx_array *mx_relu(mx_scope *s, mx_array *a) { return a ? mx_maximum(s, a, mx_const_like(s, a, 0)) : NULL; }

/* By the bits: those of neighbours of one sign differ by 1 as integers. */
mx_array *mx_nextafter(mx_scope *s, mx_array *x, mx_array *y) {
  if (!x || !y) return NULL;
  mx_dtype t = mx_promote(x->dtype, y->dtype);
  if (mx_is_complex(t)) return mx_scope_fail(s, MX_EVALUE, "[nextafter] The dtype %s is not supported.", mx_dtype_name(t));
  t = mx_at_least_float(t);
  mx_dtype whole = t == MX_F64 ? MX_I64 : t == MX_F32 ? MX_I32 : MX_I16;
  x = mx_stop_gradient(s, mx_astype(s, x, t));
  y = mx_stop_gradient(s, mx_astype(s, y, t));
  if (!x || !y) return NULL;
  mx_array *zero = mx_const_like(s, x, 0), *one = mx_int(s, whole, 1), *less = mx_int(s, whole, -1);
  mx_array *grows = mx_equal(s, mx_less(s, x, y), mx_greater(s, x, zero)); /* the magnitude */
  mx_array *next = mx_view_as(s, mx_add(s, mx_view_as(s, x, whole), mx_where(s, grows, one, less)), t);
  mx_array *least = mx_copysign(s, mx_view_as(s, one, t), y); /* from 0 */
  next = mx_where(s, mx_equal(s, x, zero), least, next);
  next = mx_where(s, mx_equal(s, x, y), y, next);
  return mx_where(s, mx_logical_or(s, mx_isnan(s, x), mx_isnan(s, y)), mx_add(s, x, y), next);
}

static double largest(mx_dtype t) {
  switch (t) {
  case MX_F16: return 65504;
  case MX_BF16: return 0x1.fep127;
  case MX_F64: return 0x1.fffffffffffffp1023;
  default: return 0x1.fffffep127;
  }
}

mx_array *mx_nan_to_num(mx_scope *s, mx_array *a, float nan, const float *posinf, const float *neginf) {
  if (!a) return NULL;
  if (a->dtype == MX_F64 || a->dtype == MX_C64)
    return mx_scope_fail(s, MX_EVALUE, "[nan_to_num] The dtype %s is not supported.", mx_dtype_name(a->dtype));
  if (!mx_is_float(a->dtype)) return a;
  mx_array *r = mx_where(s, mx_isnan(s, a), mx_const_like(s, a, nan), a);
  r = mx_where(s, mx_isposinf(s, a), mx_const_like(s, a, posinf ? *posinf : largest(a->dtype)), r);
  return mx_where(s, mx_isneginf(s, a), mx_const_like(s, a, neginf ? *neginf : -largest(a->dtype)), r);
}

int mx_divmod(mx_scope *s, mx_list *out, mx_array *a, mx_array *b) {
  if (!a || !b) return s->rc;
  mx_dtype t = mx_promote(a->dtype, b->dtype);
  if (mx_is_complex(t)) return mx_scope_fail(s, MX_EVALUE, "[divmod] Complex type not supported."), s->rc;
  a = mx_astype(s, a, t);
  b = mx_astype(s, b, t);
  mx_array *r[2] = {mx_floor_divide(s, a, b), mx_remainder(s, a, b)};
  for (int i = 0; i < 2 && !s->rc; i++)
    if (mx_list_push(out, r[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}
