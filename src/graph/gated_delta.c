/* The gated delta rule, step by step over time: built from other operations, so that gradients and batching follow. */
#include "graph/build.h"

typedef struct rule {
  mx_array *q, *k;    /* (B, T, Hv, 1, Dk) */
  mx_array *v, *beta; /* (B, T, Hv, Dv, 1), (B, T, Hv, 1, 1) */
  mx_array *gamma;    /* (B, T, Hv, 1, Dk or 1) */
  mx_array *mask;     /* (B, T, 1, 1, 1) or NULL */
} rule;

static bool shaped(const mx_array *a, int ndim, const int *shape) { /* -1: any size */
  if (a->ndim != ndim) return false;
  for (int i = 0; i < ndim; i++)
    if (shape[i] >= 0 && a->shape[i] != shape[i]) return false;
  return true;
}

static int check(mx_scope *s, const mx_array *q, const mx_array *k, const mx_array *v, const mx_array *gamma, const mx_array *beta,
                 const mx_array *state, const mx_array *mask) {
  static const char tag[] = "[gated_delta_update]";
  if (q->ndim != 4 || !mx_same_shape(q, k)) {
    mx_scope_fail(s, MX_EVALUE, "%s q and k have shapes %s and %s, expected both (B, T, Hk, Dk)", tag, mx_shape_of(q), mx_shape_of(k));
    return s->rc;
  }
  int B = q->shape[0], T = q->shape[1], Hk = q->shape[2], Dk = q->shape[3], Hv = v->ndim == 4 ? v->shape[2] : 0, Dv = v->ndim == 4 ? v->shape[3] : 0;
  if (!shaped(v, 4, (int[]){B, T, -1, -1}) || !Hk || Hv % Hk)
    mx_scope_fail(s, MX_EVALUE, "%s v has shape %s, expected (%d,%d,Hv,Dv) with %d heads dividing Hv", tag, mx_shape_of(v), B, T, Hk);
  else if (!shaped(gamma, 3, (int[]){B, T, Hv}) && !shaped(gamma, 4, (int[]){B, T, Hv, Dk}))
    mx_scope_fail(s, MX_EVALUE, "%s gamma has shape %s, expected (%d,%d,%d) or (%d,%d,%d,%d)", tag, mx_shape_of(gamma), B, T, Hv, B, T, Hv, Dk);
  else if (!shaped(beta, 3, (int[]){B, T, Hv}) && !shaped(beta, 3, (int[]){B, T, 1}))
    mx_scope_fail(s, MX_EVALUE, "%s beta has shape %s, expected (%d,%d,%d)", tag, mx_shape_of(beta), B, T, Hv);
  else if (state && !shaped(state, 4, (int[]){B, Hv, Dv, Dk}))
    mx_scope_fail(s, MX_EVALUE, "%s initial_state has shape %s, expected (%d,%d,%d,%d)", tag, mx_shape_of(state), B, Hv, Dv, Dk);
  else if (mask && !shaped(mask, 2, (int[]){B, T}))
    mx_scope_fail(s, MX_EVALUE, "%s mask has shape %s, expected (%d,%d)", tag, mx_shape_of(mask), B, T);
  return s->rc;
}

/* a (B, T, H, ...) as one step's part (B, H, ...). */
static mx_array *at(mx_scope *s, mx_array *a, int t) { return a ? mx_squeeze_axis(s, mx_slice_axis(s, a, 1, t, t + 1), 1) : NULL; }

/* Heads of q and k as often as v has them, one row each. */
static mx_array *heads(mx_scope *s, mx_array *a, int n, mx_dtype t) {
  a = mx_astype(s, a, t);
  if (a && n > 1) a = mx_repeat_axis(s, a, n, 2);
  return a ? mx_expand_dims(s, a, 3) : NULL;
}

static mx_array *last(mx_scope *s, mx_array *a) { return a ? mx_expand_dims(s, a, a->ndim) : NULL; }
static mx_array *dot(mx_scope *s, mx_array *a, mx_array *b, bool keep) {
  mx_array *p = mx_multiply(s, a, b);
  return p ? mx_sum_axis(s, p, p->ndim - 1, keep) : NULL;
}

/* One step: *state moves on; the result (B, Hv, Dv). */
static mx_array *step(mx_scope *s, const rule *r, int t, mx_array **state) {
  mx_array *k = at(s, r->k, t), *old = *state, *decayed = mx_multiply(s, old, at(s, r->gamma, t));
  mx_array *wrong = mx_subtract(s, at(s, r->v, t), dot(s, decayed, k, true));
  mx_array *now = mx_add(s, decayed, mx_multiply(s, mx_multiply(s, wrong, at(s, r->beta, t)), k));
  mx_array *y = dot(s, now, at(s, r->q, t), false);
  if (r->mask && now && y) {
    mx_array *on = at(s, r->mask, t); /* (B, 1, 1, 1) */
    now = mx_where(s, on, now, old);
    y = on ? mx_where(s, mx_squeeze_axis(s, on, 3), y, mx_zeros_like(s, y)) : NULL;
  }
  *state = now;
  return y;
}

static mx_array *run(mx_scope *s, const rule *r, mx_array **state, const mx_array *v) {
  int T = v->shape[1];
  mx_list steps = {0};
  mx_array *y = NULL;
  for (int t = 0; t < T && !s->rc; t++) {
    y = step(s, r, t, state);
    if (y && mx_list_push(&steps, y)) mx_scope_error(s, MX_EMEMORY);
  }
  if (!s->rc) y = T ? mx_stack_axis(s, T, steps.at, 1) : mx_astype(s, (mx_array *)v, (mx_dtype)r->q->dtype);
  mx_list_clear(&steps);
  return y;
}

int mx_fast_gated_delta_update(mx_scope *s, mx_list *out, mx_array *q, mx_array *k, mx_array *v, mx_array *gamma, mx_array *beta,
                               mx_array *initial_state, mx_array *mask) {
  if (!q || !k || !v || !gamma || !beta || check(s, q, k, v, gamma, beta, initial_state, mask)) return s->rc;
  mx_dtype t = mx_promote(q->dtype, k->dtype), given = mx_is_float(t) || mx_is_complex(t) ? t : MX_F32;
  mx_dtype inner = given == MX_F64 || mx_is_complex(given) ? given : MX_F32;
  int n = v->shape[2] / q->shape[2];
  mx_shape_used = true; /* there are as many steps in the graph as the shape has */
  rule r = {heads(s, q, n, inner), heads(s, k, n, inner), last(s, mx_astype(s, v, inner)), last(s, last(s, mx_astype(s, beta, inner))), NULL, NULL};
  gamma = mx_astype(s, gamma, inner);
  r.gamma = gamma && gamma->ndim == 4 ? mx_expand_dims(s, gamma, 3) : last(s, last(s, gamma));
  if (mask) r.mask = last(s, last(s, last(s, mx_astype(s, mask, MX_BOOL))));
  mx_array *state = initial_state ? mx_astype(s, initial_state, inner)
                                  : mx_zeros(s, (int[]){q->shape[0], v->shape[2], v->shape[3], q->shape[3]}, 4, inner);
  mx_array *y = r.gamma && state && !s->rc ? run(s, &r, &state, v) : NULL;
  mx_array *res[] = {y ? mx_astype(s, y, given) : NULL, state};
  for (int i = 0; i < 2 && !s->rc; i++)
    if (mx_list_push(out, res[i])) mx_scope_error(s, MX_EMEMORY);
  return s->rc;
}
