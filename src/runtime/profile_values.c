/* The check for NaN, and for infinities if wanted: after each op that computes floating values. Plans made meanwhile fuse nothing, so
 * every op's values are there to be seen. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/half.h"
#include "graph/graph.h"
#include "runtime/profile.h"

/* The exponent all ones: an infinity, or, with a fraction, NaN. */
static bool bad_f32(uint32_t u, bool inf) { return inf ? (u & 0x7f800000u) == 0x7f800000u : (u & 0x7fffffffu) > 0x7f800000u; }
static bool bad_f64(uint64_t u, bool inf) {
  return inf ? (u & 0x7ff0000000000000u) == 0x7ff0000000000000u : (u & 0x7fffffffffffffffu) > 0x7ff0000000000000u;
}
static bool bad_f16(uint16_t u, bool inf) { return inf ? (u & 0x7c00u) == 0x7c00u : (u & 0x7fffu) > 0x7c00u; }
static bool bad_bf16(uint16_t u, bool inf) { return inf ? (u & 0x7f80u) == 0x7f80u : (u & 0x7fffu) > 0x7f80u; }

static bool bad_at(const char *p, int dtype, bool inf) {
  union {
    uint16_t h;
    uint32_t w[2];
    uint64_t d;
  } v;
  memcpy(&v, p, mx_dtype_sizes[dtype]);
  switch (dtype) {
    case MX_F16: return bad_f16(v.h, inf);
    case MX_BF16: return bad_bf16(v.h, inf);
    case MX_F32: return bad_f32(v.w[0], inf);
    case MX_F64: return bad_f64(v.d, inf);
    case MX_C64: return bad_f32(v.w[0], inf) || bad_f32(v.w[1], inf);
    default: return false;
  }
}

static bool may_be_bad(int dtype) { return mx_dtype_kinds[dtype] == 'f' || mx_dtype_kinds[dtype] == 'c'; }

/* Moves at to the next element of v; false after the last. */
static bool advance(const mx_view *v, int32_t *at, const char **p) {
  int64_t item = (int64_t)mx_dtype_sizes[v->dtype];
  for (int d = v->ndim - 1; d >= 0; d--) {
    if (++at[d] < v->shape[d]) {
      *p += v->strides[d] * item;
      return true;
    }
    *p -= (at[d] - 1) * v->strides[d] * item;
    at[d] = 0;
  }
  return false;
}

/* Whether v holds one; at: where. */
static bool find_bad(const mx_view *v, bool inf, int32_t *at, const char **where) {
  memset(at, 0, MX_MAX_NDIM * sizeof *at);
  if (!v->size || !v->data || !may_be_bad(v->dtype)) return false;
  const char *p = v->data;
  do {
    if (bad_at(p, v->dtype, inf)) {
      *where = p;
      return true;
    }
  } while (advance(v, at, &p));
  return false;
}

static bool is_nan_at(const char *p, int dtype) { return bad_at(p, dtype, false); }

static void tell_inputs(char *text, size_t size, const mx_array *n, bool inf) {
  int32_t at[MX_MAX_NDIM];
  const char *where;
  for (int i = 0; i < n->nin; i++) {
    const mx_array *x = n->in[i];
    mx_view v = {x->data, x->shape, x->strides, x->size, x->ndim, x->dtype};
    if (!find_bad(&v, inf, at, &where)) continue;
    snprintf(text, size, "Its input %d has %s already.", i, is_nan_at(where, x->dtype) ? "nan" : "inf");
    return;
  }
  snprintf(text, size, n->nin ? "Its inputs have none." : "It has no inputs.");
}

static int check(const mx_array *n, const mx_view *v, bool inf) {
  int32_t at[MX_MAX_NDIM];
  const char *where;
  if (!find_bad(v, inf, at, &where)) return 0;
  char inputs[64];
  tell_inputs(inputs, sizeof inputs, n, inf);
  return mx_fail(MX_EFLOAT, "[debug_nans] %s gave %s at %s of a result of shape %s and dtype %s. %s", mx_ops[n->op].label,
                 is_nan_at(where, v->dtype) ? "nan" : "inf", mx_shape_str(v->ndim, at), mx_shape_str(v->ndim, v->shape),
                 mx_dtype_name((mx_dtype)v->dtype), inputs);
}

static int check_node(const mx_array *n, bool inf) {
  mx_view one = {n->data, n->shape, n->strides, n->size, n->ndim, n->dtype};
  if (!n->outs) return check(n, &one, inf);
  int rc = 0;
  for (int i = 0; i < n->nout && !rc; i++) {
    const mx_result *r = &n->outs[i];
    if (!r->failed) rc = check(n, &(mx_view){r->data, r->shape, r->strides, r->size, r->ndim, r->dtype}, inf);
  }
  return rc;
}

int mx_watch_values(const mx_step *s, const mx_piece *p) {
  bool inf = mx_watched() & MX_WATCH_INF;
  if (s->kind == MX_STEP_VIEW) return 0; /* makes no values */
  if (s->kind != MX_STEP_GROUP) return check_node(p->node[s->node], inf);
  int rc = 0;
  for (int i = 0; i < s->group->n_out && !rc; i++) rc = check_node(p->node[s->group->out[i]], inf);
  return rc;
}
