/* rms_norm and layer_norm over the last axis. Gradients are computed in f32 (f64 for f64), as the kernels do. */
#include "graph/rules/help.h"

#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)

/* p = eps, has_weight (, has_bias); inputs x (, weight) (, bias) */
static mx_array *weight_of(const mx_array *n, mx_array *const *in) { return n->p[1] ? in[1] : NULL; }
static int bias_at(const mx_array *n) { return n->op == OP_layer_norm && n->p[2] ? 1 + (n->p[1] != 0) : -1; }

int infer_norm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nout;
  const char *tag = mx_ops[op].name;
  NEED(op, np, op == OP_layer_norm ? 3 : 2);
  int more = (p[1] != 0) + (op == OP_layer_norm && p[2] != 0);
  if (nin != 1 + more) return mx_fail(MX_EVALUE, "[%s] %d inputs, expected %d.", tag, nin, 1 + more);
  if (in[0]->ndim == 0) return mx_fail(MX_EVALUE, "[%s] Input must have at least 1 dimension.", tag);
  if (!mx_is_float(in[0]->dtype))
    return mx_fail(MX_EVALUE, "[%s] Received unsupported type %s.", tag, mx_dtype_name(in[0]->dtype));
  int dim = in[0]->shape[in[0]->ndim - 1];
  for (int i = 1; i < nin; i++) {
    const char *name = i == 1 && p[1] ? "weight" : "bias";
    if (in[i]->ndim != 1 || in[i]->shape[0] != dim)
      return mx_fail(MX_EVALUE,
                     "[%s] %s must have one dimension of the same size as the last dimension of x, %d, but has shape %s.", tag,
                     name, dim, mx_shape_of(in[i]));
    if (in[i]->dtype != in[0]->dtype)
      return mx_fail(MX_EVALUE, "[%s] The dtypes %s and %s differ.", tag, mx_dtype_name(in[0]->dtype),
                     mx_dtype_name(in[i]->dtype));
  }
  mx_aval_of(out, in[0]);
  return 0;
}

static mx_array *mean_last(mx_scope *s, mx_array *x) { return x ? mx_mean_axis(s, x, -1, true) : NULL; }

/* What both need: x, centred for layer_norm, times its scale; computed in t. */
static mx_array *normalised(mx_scope *s, const mx_array *n, mx_dtype t, mx_array **scale) {
  mx_array *x = mx_astype(s, n->in[0], t);
  if (n->op == OP_layer_norm) x = x ? mx_subtract(s, x, mean_last(s, x)) : NULL;
  mx_array *power = x ? mean_last(s, mx_square(s, x)) : NULL;
  *scale = power ? mx_rsqrt(s, mx_add_k(s, power, mx_unbits(n->p[0]))) : NULL;
  return *scale ? mx_multiply(s, x, *scale) : NULL;
}

/* The gradient through the normalisation of g, the (co)tangent of the normalised x: it is its own transpose. */
static mx_array *through(mx_scope *s, const mx_array *n, mx_array *g, mx_array *y, mx_array *scale) {
  if (!g || !y) return NULL;
  mx_array *along = mx_multiply(s, y, mean_last(s, mx_multiply(s, g, y)));
  mx_array *rest = mx_subtract(s, n->op == OP_layer_norm ? mx_subtract(s, g, mean_last(s, g)) : g, along);
  return mx_multiply(s, scale, rest);
}

/* Sums over all but the last axis. */
static mx_array *sum_rows(mx_scope *s, mx_array *x) {
  int axes[MX_MAX_NDIM];
  for (int i = 0; x && i < x->ndim - 1; i++) axes[i] = i;
  return x ? mx_sum_axes(s, x, axes, x->ndim - 1, false) : NULL;
}

static mx_dtype compute_type(const mx_array *n) { return n->dtype == MX_F64 ? MX_F64 : MX_F32; }

static int vjp_norm(mx_scope *s, const mx_array *n, mx_array *const *cot, const bool *want, mx_array **res) {
  mx_dtype t = compute_type(n);
  int b = bias_at(n);
  mx_array *w = weight_of(n, n->in), *g = cot[0] ? mx_astype(s, cot[0], t) : NULL, *scale;
  if (!g) return s->rc;
  bool inner = want[0] || (w && want[1]);
  mx_array *y = inner ? normalised(s, n, t, &scale) : NULL;
  if (want[0]) res[0] = through(s, n, w ? mx_multiply(s, g, mx_astype(s, w, t)) : g, y, scale);
  if (w && want[1] && y) res[1] = sum_rows(s, mx_multiply(s, g, y));
  if (b > 0 && want[b]) res[b] = sum_rows(s, g);
  for (int i = 0; i < n->nin; i++)
    if (res[i]) res[i] = mx_astype(s, res[i], n->in[i]->dtype);
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
  mx_dtype t = compute_type(n);
  int b = bias_at(n);
  mx_array *w = weight_of(n, n->in), *sum = NULL, *scale;
  mx_array *y = tan[0] || (w && tan[1]) ? normalised(s, n, t, &scale) : NULL;
  if (tan[0]) {
    sum = through(s, n, mx_astype(s, tan[0], t), y, scale);
    if (sum && w) sum = mx_multiply(s, sum, mx_astype(s, w, t));
  }
  if (w && tan[1] && y) {
    mx_array *part = mx_multiply(s, y, mx_astype(s, tan[1], t));
    sum = sum && part ? mx_add(s, sum, part) : part;
  }
  if (b > 0 && tan[b]) {
    mx_array *part = mx_broadcast_to(s, mx_astype(s, tan[b], t), n->shape, n->ndim);
    sum = sum && part ? mx_add(s, sum, part) : part;
  }
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
    int shape[MX_MAX_NDIM];
    for (int d = 0; d <= n->ndim && d < MX_MAX_NDIM; d++) shape[d] = 1;
    if (ax[i] >= 0) {
      shape[0] = v ? v->shape[0] : 1;
      shape[n->ndim] = n->shape[n->ndim - 1];
      v = mx_reshape(s, v, shape, (size_t)n->ndim + 1);
    }
    x = v ? (i == 1 && n->p[1] ? mx_multiply : mx_add)(s, x, v) : NULL;
  }
  res[0] = x;
  return s->rc;
}
