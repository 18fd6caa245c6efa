/* rms_norm and layer_norm over the last axis. Gradients are computed in f32 (f64 for f64), as the kernels do. */
#include "graph/rules/help.h"

#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)

/* p = eps, has_weight (, has_bias); inputs x (, weight) (, bias) */
static mx_array *weight_of(const mx_array *n, mx_array *const *in) { return n->p[1] ? in[1] : NULL; }
static int bias_at(const mx_array *n) { return n->op == OP_layer_norm && n->p[2] ? 1 + (n->p[1] != 0) : -1; }
static bool centres(int op) { return op == OP_layer_norm || op == OP_layer_norm_vjp; }

static int check_x(int op, const mx_array *x) {
  if (x->ndim == 0) return mx_fail(MX_EVALUE, "[%s] Input must have at least 1 dimension.", mx_ops[op].name);
  if (!mx_is_float(x->dtype)) return mx_fail(MX_EVALUE, "[%s] Received unsupported type %s.", mx_ops[op].name, mx_dtype_name(x->dtype));
  return 0;
}
static int check_vector(int op, const char *name, const mx_array *x, const mx_array *v) {
  int dim = x->shape[x->ndim - 1];
  if (v->ndim != 1 || v->shape[0] != dim)
    return mx_fail(MX_EVALUE, "[%s] %s must have one dimension of the same size as the last dimension of x, %d, but has shape %s.",
                   mx_ops[op].name, name, dim, mx_shape_of(v));
  if (v->dtype != x->dtype)
    return mx_fail(MX_EVALUE, "[%s] The dtypes %s and %s differ.", mx_ops[op].name, mx_dtype_name(x->dtype), mx_dtype_name(v->dtype));
  return 0;
}

int infer_norm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nout;
  NEED(op, np, centres(op) ? 3 : 2);
  int more = (p[1] != 0) + (centres(op) && p[2] != 0);
  if (nin != 1 + more) return mx_fail(MX_EVALUE, "[%s] %d inputs, expected %d.", mx_ops[op].name, nin, 1 + more);
  int rc = check_x(op, in[0]);
  for (int i = 1; i < nin && !rc; i++) rc = check_vector(op, i == 1 && p[1] ? "weight" : "bias", in[0], in[i]);
  if (!rc) mx_aval_of(out, in[0]);
  return rc;
}

static mx_array *mean_last(mx_scope *s, mx_array *x) { return x ? mx_mean_axis(s, x, -1, true) : NULL; }

/* What all need: x, centred for layer_norm, times its scale; computed in t. */
static mx_array *normalised(mx_scope *s, const mx_array *n, mx_array *x, mx_dtype t, mx_array **scale) {
  x = x ? mx_astype(s, x, t) : NULL;
  if (centres(n->op)) x = x ? mx_subtract(s, x, mean_last(s, x)) : NULL;
  mx_array *power = x ? mean_last(s, mx_square(s, x)) : NULL;
  *scale = power ? mx_rsqrt(s, mx_add_k(s, power, mx_unbits(n->p[0]))) : NULL;
  return *scale ? mx_multiply(s, x, *scale) : NULL;
}

/* g without its part along y (and its mean, for layer_norm). */
static mx_array *across(mx_scope *s, const mx_array *n, mx_array *g, mx_array *y) {
  if (!g || !y) return NULL;
  mx_array *along = mx_multiply(s, y, mean_last(s, mx_multiply(s, g, y)));
  return mx_subtract(s, centres(n->op) ? mx_subtract(s, g, mean_last(s, g)) : g, along);
}
/* The gradient through the normalisation of g, the (co)tangent of the normalised x: it is its own transpose. */
static mx_array *through(mx_scope *s, const mx_array *n, mx_array *g, mx_array *y, mx_array *scale) {
  mx_array *rest = across(s, n, g, y);
  return rest ? mx_multiply(s, scale, rest) : NULL;
}

/* Sums over all but the last axis and the first `lead`. */
static mx_array *sum_rows(mx_scope *s, mx_array *x, int lead) {
  int axes[MX_MAX_NDIM];
  for (int i = lead; x && i < x->ndim - 1; i++) axes[i - lead] = i;
  return x ? mx_sum_axes(s, x, axes, (size_t)(x->ndim - 1 - lead), false) : NULL;
}

static mx_dtype compute_type(mx_dtype t) { return t == MX_F64 ? MX_F64 : MX_F32; }
static mx_array *wide(mx_scope *s, mx_array *x) { return x ? mx_astype(s, x, compute_type((mx_dtype)x->dtype)) : NULL; }
static mx_array *times(mx_scope *s, mx_array *x, mx_array *y) { return x && y ? mx_multiply(s, x, y) : NULL; }
static mx_array *plus(mx_scope *s, mx_array *x, mx_array *y) { return x && y ? mx_add(s, x, y) : x ? x : y; }

static int vjp_norm(mx_scope *s, const mx_array *n, mx_array *const *cot, const bool *want, mx_array **res) {
  mx_array *w = weight_of(n, n->in), *in[3] = {cot[0], n->in[0], w}, *grad[3];
  int b = bias_at(n), nout = 1 + (w != NULL) + (b > 0);
  if (!cot[0]) return s->rc;
  if (!want[0] && !(w && want[1])) { /* the bias alone */
    if (b > 0 && want[b]) res[b] = mx_astype(s, sum_rows(s, wide(s, cot[0]), 0), n->dtype);
    return s->rc;
  }
  mx_opcode op = n->op == OP_layer_norm ? OP_layer_norm_vjp : OP_rms_norm_vjp;
  if (mx_node_multi(s, op, w ? 3 : 2, in, n->np, n->p, NULL, nout, grad)) return s->rc;
  for (int i = 0; i < nout; i++)
    if (want[i]) res[i] = grad[i];
  return s->rc;
}
VJP(rms_norm) {
  (void)out;
  return vjp_norm(s, n, cot, want, res);
}
VJP(layer_norm) {
  (void)out;
  return vjp_norm(s, n, cot, want, res);
}

static int jvp_norm(mx_scope *s, const mx_array *n, mx_array *const *tan, mx_array **res) {
  mx_dtype t = compute_type((mx_dtype)n->dtype);
  int b = bias_at(n);
  mx_array *w = weight_of(n, n->in), *sum = NULL, *scale;
  mx_array *y = tan[0] || (w && tan[1]) ? normalised(s, n, n->in[0], t, &scale) : NULL;
  if (tan[0]) {
    sum = through(s, n, mx_astype(s, tan[0], t), y, scale);
    if (sum && w) sum = mx_multiply(s, sum, mx_astype(s, w, t));
  }
  if (w && tan[1] && y) sum = plus(s, sum, mx_multiply(s, y, mx_astype(s, tan[1], t)));
  if (b > 0 && tan[b]) sum = plus(s, sum, mx_broadcast_to(s, mx_astype(s, tan[b], t), n->shape, n->ndim));
  res[0] = sum ? mx_astype(s, sum, n->dtype) : NULL;
  return s->rc;
}
JVP(rms_norm) {
  (void)out;
  return jvp_norm(s, n, tan, res);
}
JVP(layer_norm) {
  (void)out;
  return jvp_norm(s, n, tan, res);
}

/* v, (D,) or (B, D) of a batch, beside arrays of ndim dimensions. */
static mx_array *beside(mx_scope *s, mx_array *v, int ndim) {
  int shape[MX_MAX_NDIM];
  if (!v || v->ndim < 2) return v;
  for (int d = 0; d < ndim; d++) shape[d] = 1;
  shape[0] = v->shape[0], shape[ndim - 1] = v->shape[1];
  return mx_reshape(s, v, shape, (size_t)ndim);
}

/* Weights that differ over the batch are multiplied afterwards. */
int vmap_norm(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_array *x = mx_front(s, in[0], ax[0]);
  bool same = ax[0] >= 0;
  for (int i = 1; i < n->nin; i++) same = same && ax[i] < 0;
  *res_ax = 0;
  if (same) {
    mx_array *b[3] = {x, n->nin > 1 ? in[1] : NULL, n->nin > 2 ? in[2] : NULL};
    res[0] = mx_node_again(s, n, b);
    return s->rc;
  }
  x = mx_node1(s, n->op, x, n->op == OP_layer_norm ? 3 : 2, (int64_t[]){n->p[0], 0, 0});
  for (int i = 1; i < n->nin && x; i++) {
    mx_array *v = mx_front(s, in[i], ax[i]);
    if (ax[i] >= 0) v = beside(s, v, n->ndim + 1);
    x = v ? (i == 1 && n->p[1] ? mx_multiply : mx_add)(s, x, v) : NULL;
  }
  res[0] = x;
  return s->rc;
}

/* ---- the gradients as ops: p as the norm's; inputs cotangent, x (, weight) ---- */

enum { G, X, WEIGHT };

int infer_norm_vjp(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  NEED(op, np, centres(op) ? 3 : 2);
  int has_weight = p[1] != 0, results = 1 + has_weight + (centres(op) && p[2] != 0);
  if (nin != 2 + has_weight || nout != results)
    return mx_fail(MX_EVALUE, "[%s] %d inputs and %d results, expected %d and %d.", mx_ops[op].name, nin, nout, 2 + has_weight, results);
  const mx_array *x = in[X];
  int rc = check_x(op, x);
  if (!rc && has_weight) rc = check_vector(op, "weight", x, in[WEIGHT]);
  if (!rc && (in[G]->dtype != x->dtype || !mx_same_shape(in[G], x)))
    rc = mx_fail(MX_EVALUE, "[%s] The cotangent of shape %s and dtype %s is not like x, %s of %s.", mx_ops[op].name, mx_shape_of(in[G]),
                 mx_dtype_name((mx_dtype)in[G]->dtype), mx_shape_of(x), mx_dtype_name((mx_dtype)x->dtype));
  if (rc) return rc;
  mx_aval_of(&out[0], x);
  for (int i = 1; i < nout; i++) out[i] = (mx_aval){.dtype = (mx_dtype)x->dtype, .ndim = 1, .shape = {x->shape[x->ndim - 1]}};
  return 0;
}

/* From cotangents a of the gradient of x, b of that of the weight, c of that of the bias. With y the normalised x, r its scale and h = g w,
 * the gradient of x is r q, q = h across y. */
int vjp_norm_vjp(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out;
  bool has_weight = n->p[1] != 0;
  mx_array *g = wide(s, n->in[G]), *w = has_weight ? wide(s, n->in[WEIGHT]) : NULL, *r;
  mx_array *a = wide(s, cot[0]), *b = has_weight ? wide(s, cot[1]) : NULL, *c = n->nout > 1 + has_weight ? wide(s, cot[1 + has_weight]) : NULL;
  mx_array *y = normalised(s, n, n->in[X], compute_type((mx_dtype)n->in[X]->dtype), &r), *h = w ? times(s, g, w) : g;
  mx_array *back = through(s, n, a, y, r);
  if (want[G]) {
    res[G] = plus(s, w ? times(s, back, w) : back, times(s, y, b));
    if (c) res[G] = plus(s, res[G], mx_broadcast_to(s, c, n->in[G]->shape, n->in[G]->ndim));
  }
  if (has_weight && want[WEIGHT] && back) res[WEIGHT] = sum_rows(s, times(s, g, back), 0);
  if (want[X] && (a || b)) {
    mx_array *of_y = times(s, g, b);
    if (a) {
      mx_array *part = plus(s, times(s, h, mean_last(s, times(s, a, y))), times(s, a, mean_last(s, times(s, h, y))));
      of_y = plus(s, of_y, mx_negative(s, times(s, r, part)));
    }
    res[X] = through(s, n, of_y, y, r);
    if (a) res[X] = mx_subtract(s, res[X], times(s, times(s, times(s, r, r), y), mean_last(s, times(s, a, across(s, n, h, y)))));
  }
  for (int i = 0; i < n->nin; i++)
    if (res[i]) res[i] = mx_astype(s, res[i], n->in[i]->dtype);
  return s->rc;
}

/* Each has sums of its own: written out. */
int vmap_norm_vjp(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int size = mx_batch_size(n, in, ax), k = 1;
  mx_array *g = wide(s, mx_full_front(s, in[G], ax[G], size)), *x = mx_full_front(s, in[X], ax[X], size), *r;
  mx_array *y = normalised(s, n, x, compute_type((mx_dtype)n->in[X]->dtype), &r), *w = NULL;
  if (n->p[1]) w = wide(s, mx_front(s, in[WEIGHT], ax[WEIGHT]));
  if (w && ax[WEIGHT] >= 0) w = beside(s, w, n->in[X]->ndim + 1);
  res[0] = through(s, n, n->p[1] ? times(s, g, w) : g, y, r);
  if (n->p[1]) res[k++] = sum_rows(s, times(s, g, y), 1);
  if (k < n->nout) res[k++] = sum_rows(s, g, 1);
  for (int i = 0; i < n->nout; i++) {
    if (res[i]) res[i] = mx_astype(s, res[i], n->in[X]->dtype);
    res_ax[i] = 0;
  }
  return s->rc;
}
