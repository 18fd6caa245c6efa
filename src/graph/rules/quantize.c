/* Quantized matrices: shapes, gradients and batching. Parameters start with mode, group and bits. */
#include "core/quant.h"

#include "graph/quantize.h"
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define JVP(name) int jvp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *tan, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)

static int read_quant(int op, int np, const int64_t *p, int need, mx_quant *q) {
  NEED(op, np, need);
  if (p[0] < 0 || p[0] >= MX_QUANT_MODES || p[1] != (int)p[1] || p[2] != (int)p[2])
    return mx_fail(MX_EVALUE, "[%s] Mode %lld, group size %lld and %lld bits.", mx_ops[op].name, (long long)p[0], (long long)p[1],
                   (long long)p[2]);
  *q = (mx_quant){(mx_quant_mode)p[0], (int)p[1], (int)p[2]};
  return mx_quant_supported(mx_ops[op].name, q);
}
static mx_quant quant_of(const mx_array *n) { return (mx_quant){(mx_quant_mode)n->p[0], (int)n->p[1], (int)n->p[2]}; }
static int parts(const mx_array *n) { return n->p[0] == MX_AFFINE ? 3 : 2; } /* words, scales and perhaps biases */

static bool same_but_last(const mx_array *a, const mx_array *b) {
  if (a->ndim != b->ndim) return false;
  for (int i = 0; i < a->ndim - 1; i++)
    if (a->shape[i] != b->shape[i]) return false;
  return true;
}

static int check_global(int op, const mx_quant *q, const mx_array *g) {
  if (q->mode == MX_NVFP4 && g->ndim == 0 && g->dtype == MX_F32) return 0;
  return mx_fail(MX_EVALUE, "[%s] A global scale of %s and shape %s.", mx_ops[op].name, mx_dtype_name(g->dtype), mx_shape_of(g));
}

/* ---- quantize: w (..., K) (, global scale) -> words (..., K bits / 32), scales (..., K / group) (, biases) ---- */

int mx_quant_divides(const mx_quant *q, const mx_array *w) {
  if (q->group < 1 || w->shape[w->ndim - 1] % q->group == 0) return 0;
  return mx_fail(MX_EVALUE,
                 "[quantize] The last dimension of the matrix needs to be divisible by the quantization group size %d. However the "
                 "provided  matrix has shape %s",
                 q->group, mx_shape_of(w));
}

INFER(quantize) {
  mx_quant q;
  int rc = read_quant(op, np, p, 3, &q);
  if (rc) return rc;
  const mx_array *w = in[0];
  if (nin < 1 || nin > 2 || nout != (q.mode == MX_AFFINE ? 3 : 2))
    return mx_fail(MX_EVALUE, "[quantize] %d inputs and %d results.", nin, nout);
  if (nin == 2 && (rc = check_global(op, &q, in[1]))) return rc;
  if (w->ndim < 2)
    return mx_fail(MX_EVALUE, "[quantize] The matrix to be quantized must have at least 2 dimension but it has only %d.", w->ndim);
  if (!mx_is_float(w->dtype))
    return mx_fail(MX_EVALUE, "[quantize] Only real floating types can be quantized but w has type %s.", mx_dtype_name(w->dtype));
  int last = w->ndim - 1;
  if ((rc = mx_quant_divides(&q, w))) return rc;
  for (int i = 0; i < nout; i++) {
    mx_aval_of(&out[i], w);
    out[i].dtype = i == 0 ? MX_U32 : q.mode == MX_AFFINE ? (mx_dtype)w->dtype : MX_U8;
    out[i].shape[last] = i == 0 ? (int32_t)mx_quant_words(&q, w->shape[last]) : w->shape[last] / q.group;
  }
  return 0;
}

/* (..., K) as (..., groups, group) */
static mx_array *grouped(mx_scope *s, mx_array *x, int group) {
  return x ? mx_unflatten(s, x, -1, (int[]){-1, group}, 2) : NULL;
}

/* v (..., 1) shared among the elements of x that are the extreme m (..., 1). */
static mx_array *to_extreme(mx_scope *s, mx_array *x, mx_array *m, mx_array *v) {
  mx_array *hit = x && m ? mx_astype(s, mx_equal(s, x, m), x->dtype) : NULL;
  mx_array *count = hit ? mx_sum_axis(s, hit, -1, true) : NULL;
  return count && v ? mx_multiply(s, hit, mx_divide(s, v, count)) : NULL;
}

/* Of scales and biases; see the kernel for the rule. The rounded edge / scale is a constant. */
VJP(quantize) {
  mx_quant q = quant_of(n);
  (void)want;
  if (q.mode != MX_AFFINE) {
    mx_scope_fail(s, MX_EVALUE, "[quantize] No gradient of %s quantization.", mx_quant_mode_name(q.mode));
    return s->rc;
  }
  if (!cot[1] && !cot[2]) return 0;
  mx_dtype t = n->in[0]->dtype == MX_F64 ? MX_F64 : MX_F32;
  mx_array *x = grouped(s, mx_astype(s, n->in[0], t), q.group), *zero = mx_scalar(s, t, 0);
  mx_array *g[2] = {NULL, NULL};
  for (int i = 0; i < 2; i++) g[i] = cot[i + 1] ? mx_expand_dims(s, mx_astype(s, cot[i + 1], t), -1) : zero;
  mx_array *lo = x ? mx_min_axis(s, x, -1, true) : NULL, *hi = x ? mx_max_axis(s, x, -1, true) : NULL;
  if (!lo || !hi || !g[0] || !g[1]) return s->rc;
  double levels = q.bits == 1 ? 1 : (1 << q.bits) - 1;
  mx_array *step = mx_mul_k(s, mx_subtract(s, hi, lo), 1 / levels), *grows = mx_greater(s, step, mx_scalar(s, t, 1e-7)), *d_lo, *d_hi;
  if (q.bits == 1) { /* scale hi - lo, bias lo */
    mx_array *wide = mx_where(s, grows, g[0], zero);
    d_hi = wide;
    d_lo = mx_subtract(s, g[1], wide);
  } else {
    mx_array *low = mx_greater(s, mx_abs(s, lo), mx_abs(s, hi)), *edge = mx_where(s, low, lo, hi);
    mx_array *sign = mx_where(s, low, mx_scalar(s, t, 1), mx_scalar(s, t, -1));
    mx_array *scale = mx_multiply(s, sign, mx_maximum(s, step, mx_scalar(s, t, 1e-7)));
    mx_array *q0 = mx_round(s, mx_divide(s, edge, scale), 0), *whole = mx_not_equal(s, q0, zero);
    mx_array *at_edge = mx_where(s, whole, mx_add(s, mx_divide(s, g[0], mx_where(s, whole, q0, mx_scalar(s, t, 1))), g[1]), zero);
    mx_array *spread = mx_where(s, mx_logical_and(s, grows, mx_logical_not(s, whole)), mx_mul_k(s, mx_multiply(s, sign, g[0]), 1 / levels), zero);
    d_hi = mx_add(s, mx_where(s, low, zero, at_edge), spread);
    d_lo = mx_subtract(s, mx_where(s, low, at_edge, zero), spread);
  }
  mx_array *sum = mx_add(s, to_extreme(s, x, lo, d_lo), to_extreme(s, x, hi, d_hi));
  (void)out;
  res[0] = sum ? mx_astype(s, mx_flatten(s, sum, -2, -1), n->in[0]->dtype) : NULL;
  return s->rc;
}

static int no_float_tangent(mx_scope *s, const mx_array *n) {
  mx_scope_fail(s, MX_EVALUE, "[%s] No tangent of %s quantization.", mx_ops[n->op].name, mx_quant_mode_name((int)n->p[0]));
  return s->rc;
}

JVP(quantize) {
  if (n->p[0] != MX_AFFINE) return no_float_tangent(s, n);
  return jvp_derived(s, n, out, tan, res);
}

/* All work along the last axis; a global scale is the same for the batch. */
static int vmap_rows(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, int rows, mx_array **b) {
  int size = mx_batch_size(n, in, ax);
  for (int i = 0; i < n->nin; i++) {
    if (i >= rows && ax[i] >= 0) return mx_scope_fail(s, MX_ENOTIMPL, "[vmap] %s over global scales.", mx_ops[n->op].name), s->rc;
    b[i] = i < rows ? mx_full_front(s, in[i], ax[i], size) : in[i];
  }
  return s->rc;
}

VMAP(quantize) {
  mx_array *b[2];
  int nout = parts(n);
  for (int i = 0; i < nout; i++) res_ax[i] = 0;
  if (vmap_rows(s, n, in, ax, 1, b)) return s->rc;
  return mx_node_multi(s, OP_quantize, n->nin, b, n->np, n->p, NULL, nout, res);
}

/* ---- dequantize: words, scales (, biases) (, global scale); p[3] in the floating modes: dtype ---- */

INFER(dequantize) {
  mx_quant q;
  (void)nout;
  int rc = NULL != p && np > 0 && p[0] != MX_AFFINE ? read_quant(op, np, p, 4, &q) : 0, n;
  if (rc) return rc;
  NEED(op, np, 3);
  if (nin < 1 || in[0]->ndim < 2)
    return mx_fail(MX_EVALUE, "[dequantize] The matrix to be dequantized must have at least 2 dimension but it has only %d.",
                   nin < 1 ? 0 : in[0]->ndim);
  n = p[0] == MX_AFFINE ? 3 : 2;
  if (nin != n && !(nin == 3 && n == 2)) return mx_fail(MX_EVALUE, "[dequantize] %d inputs, expected %d.", nin, n);
  const mx_array *w = in[0], *scales = in[1], *biases = n == 3 ? in[2] : NULL;
  if (w->dtype != MX_U32) return mx_fail(MX_EVALUE, "[dequantize] The matrix should be given as a uint32");
  if (!same_but_last(w, scales) || (biases && !mx_same_shape(scales, biases)))
    return mx_fail(MX_EVALUE, "[dequantize] Shape of scales%s does not match the matrix", biases ? " and biases" : "");
  int64_t words = w->shape[w->ndim - 1], groups = scales->shape[w->ndim - 1];
  if (p[2] < 1 || p[2] > 32 || words * 32 != groups * p[1] * p[2])
    return mx_fail(MX_EVALUE,
                   "[dequantize] Shape of scales%s does not match the matrix given the quantization parameters. Provided matrix of "
                   "shape %s and scales%s of shape %s with group_size=%lld and bits=%lld.",
                   biases ? " and biases" : "", mx_shape_of(w), biases ? "/biases" : "", mx_shape_of(scales), (long long)p[1],
                   (long long)p[2]);
  if ((rc = read_quant(op, np, p, n == 3 ? 3 : 4, &q))) return rc;
  if (nin > n && (rc = check_global(op, &q, in[2]))) return rc;
  mx_dtype t = n == 3 ? (mx_dtype)scales->dtype : (mx_dtype)p[3];
  if (n == 2 ? p[3] < 0 || p[3] >= MX_DTYPES || !mx_is_float(t) || scales->dtype != MX_U8
             : !mx_is_float(t) || biases->dtype != scales->dtype)
    return mx_fail(MX_EVALUE, "[dequantize] Scales of %s do not give numbers.", mx_dtype_name(scales->dtype));
  mx_aval_of(out, w);
  out->dtype = t;
  return mx_set_dim(op, out, w->ndim - 1, groups * q.group);
}

/* The bare codes of an affine matrix, of dtype t. */
static mx_array *codes(mx_scope *s, const mx_quant *q, mx_array *w, mx_array *scales) {
  mx_array *in[3] = {w, mx_ones_like(s, scales), mx_zeros_like(s, scales)};
  return mx_node(s, OP_dequantize, 3, in, 3, (int64_t[]){q->mode, q->group, q->bits});
}

/* Gradients of scales and biases from g, that of the numbers. */
static void affine_gradients(mx_scope *s, const mx_quant *q, mx_array *w, mx_array *scales, mx_array *g, bool want_scales,
                             bool want_biases, mx_array **d_scales, mx_array **d_biases) {
  g = grouped(s, g, q->group);
  if (want_biases) *d_biases = g ? mx_astype(s, mx_sum_axis(s, g, -1, false), scales->dtype) : NULL;
  if (!want_scales) return;
  mx_array *c = grouped(s, codes(s, q, w, scales), q->group);
  *d_scales = c && g ? mx_astype(s, mx_sum_axis(s, mx_multiply(s, g, c), -1, false), scales->dtype) : NULL;
}

VJP(dequantize) {
  (void)out;
  mx_quant q = quant_of(n);
  if (q.mode == MX_AFFINE) {
    affine_gradients(s, &q, n->in[0], n->in[1], cot[0], want[1], want[2], &res[1], &res[2]);
    return s->rc;
  }
  if (want[1])
    mx_scope_fail(s, MX_EVALUE, "[dequantize] No gradient with respect to the scales in %s quantization.", mx_quant_mode_name(q.mode));
  return s->rc;
}

JVP(dequantize) {
  (void)out;
  if (n->p[0] != MX_AFFINE) return no_float_tangent(s, n);
  if (!tan[1] && !tan[2]) return 0;
  mx_array *in[3] = {n->in[0], tan[1] ? tan[1] : mx_zeros_like(s, n->in[1]), tan[2] ? tan[2] : mx_zeros_like(s, n->in[2])};
  res[0] = mx_node_again(s, n, in);
  return s->rc;
}

VMAP(dequantize) {
  mx_array *b[3];
  *res_ax = 0;
  if (vmap_rows(s, n, in, ax, parts(n), b)) return s->rc;
  res[0] = mx_node_again(s, n, b);
  return s->rc;
}

/* ---- products: x, words, scales (, biases); p[3]: transpose ---- */

int mx_quant_fits(const char *tag, const mx_quant *q, const mx_array *x, const mx_array *w, const mx_array *scales,
                  const mx_array *biases, bool transpose) {
  if (w->dtype != MX_U32)
    return mx_fail(MX_EVALUE, "[%s] The weight matrix should be uint32 but received %s", tag, mx_dtype_name(w->dtype));
  if (biases && !mx_same_shape(scales, biases))
    return mx_fail(MX_EVALUE, "[%s] Scales and biases should have the same shape. Received scales with shape %s and biases with %s", tag,
                   mx_shape_of(scales), mx_shape_of(biases));
  bool batch = w->ndim >= 2 && w->ndim == scales->ndim;
  for (int i = 0; batch && i < w->ndim - 2; i++) batch = w->shape[i] == scales->shape[i];
  if (!batch)
    return mx_fail(MX_EVALUE, "[%s] Weight and scales should have the same batch shape. Received weight with shape %s, scales with %s.",
                   tag, mx_shape_of(w), mx_shape_of(scales));
  int last = w->ndim - 1;
  int64_t words = w->shape[last], wide = (int64_t)scales->shape[last] * q->group, rows = w->shape[last - 1];
  if (q->group < 1 || q->bits < 1 || words * 32 != wide * q->bits || scales->shape[last - 1] != rows)
    return mx_fail(MX_EVALUE,
                   "[%s] The shapes of the weight and scales are incompatible based on bits and group_size. w.shape() == %s and "
                   "scales.shape() == %s with group_size=%d and bits=%d",
                   tag, mx_shape_of(w), mx_shape_of(scales), q->group, q->bits);
  int rc = mx_quant_supported(tag, q);
  if (rc) return rc;
  int64_t k = transpose ? wide : rows, n = transpose ? rows : wide;
  if (n > MX_MAX_DIM || k > MX_MAX_DIM) return mx_fail(MX_EVALUE, "[%s] A dimension of %lld is too large.", tag, (long long)wide);
  if (x && x->ndim && x->shape[x->ndim - 1] != k)
    return mx_fail(MX_EVALUE,
                   "[%s] Last dimension of first input with shape (..., %d) does not match the expanded quantized matrix (%lld, %lld) "
                   "computed from shape %s with group_size=%d, bits=%d and transpose=%s",
                   tag, x->shape[x->ndim - 1], (long long)k, (long long)n, mx_shape_of(w), q->group, q->bits,
                   transpose ? "true" : "false");
  return 0;
}

/* Checks of a node: the parts, their dtypes, x's; *cols: of the result. */
static int check_node(int op, int nin, int more, mx_array *const *in, int np, const int64_t *p, int32_t *cols) {
  mx_quant q;
  const char *tag = mx_ops[op].name;
  int rc = read_quant(op, np, p, 4, &q), n = q.mode == MX_AFFINE ? 4 : 3;
  if (rc) return rc;
  if (nin != n + more) return mx_fail(MX_EVALUE, "[%s] %d inputs, expected %d.", tag, nin, n + more);
  bool fine = mx_is_float(in[0]->dtype);
  if (n == 4) fine = fine && mx_is_float(in[2]->dtype) && in[2]->dtype == in[3]->dtype;
  else fine = fine && in[2]->dtype == MX_U8;
  if (!fine)
    return mx_fail(MX_EVALUE, "[%s] x of %s and scales of %s.", tag, mx_dtype_name(in[0]->dtype), mx_dtype_name(in[2]->dtype));
  if ((rc = mx_quant_fits(tag, &q, in[0], in[1], in[2], n == 4 ? in[3] : NULL, p[3]))) return rc;
  *cols = p[3] ? in[1]->shape[in[1]->ndim - 2] : in[2]->shape[in[2]->ndim - 1] * q.group;
  return 0;
}

INFER(quantized_matmul) {
  (void)nout;
  int32_t cols;
  int rc = check_node(op, nin, 0, in, np, p, &cols);
  if (rc) return rc;
  const mx_array *x = in[0], *w = in[1];
  bool batch = w->ndim == 2 ? x->ndim >= 1 : x->ndim == w->ndim; /* one matrix for all of x, or one for each of its batch */
  for (int i = 0; batch && w->ndim > 2 && i < x->ndim - 2; i++) batch = x->shape[i] == w->shape[i];
  if (!batch) return mx_fail(MX_EVALUE, "[quantized_matmul] Shapes %s and %s.", mx_shape_of(x), mx_shape_of(w));
  mx_aval_of(out, x);
  out->shape[x->ndim - 1] = cols;
  return 0;
}

static mx_array *biases_of(const mx_array *n) { return n->p[0] == MX_AFFINE ? n->in[3] : NULL; }

/* Errors of gradients that are not there. */
static int no_gradient(mx_scope *s, const mx_array *n, const bool *want) {
  const char *label = mx_ops[n->op].label;
  if (want[1]) mx_scope_fail(s, MX_ERUNTIME, "[%s::vjp] no gradient wrt the quantized weights.", label);
  else if (n->p[0] != MX_AFFINE && want[2])
    mx_scope_fail(s, MX_EVALUE, "[%s::vjp] no gradient wrt scales in %s quantization.", label, mx_quant_mode_name((int)n->p[0]));
  return s->rc;
}

/* x (n->in[0]'s shape, behind `extra` dimensions) with as many dimensions as the matrix needs: all its rows in one. */
static mx_array *as_matrix(mx_scope *s, const mx_array *n, mx_array *x, int extra) {
  int shape[MX_MAX_NDIM + 2], last = x ? x->ndim - 1 : 0;
  if (!x || n->in[1]->ndim != 2 || n->in[0]->ndim == 2) return x;
  for (int i = 0; i < extra; i++) shape[i] = x->shape[i];
  int64_t rows = 1;
  for (int i = extra; i < last; i++) rows *= x->shape[i];
  if (rows > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, "[quantized_matmul] Shape %s has too many rows.", mx_shape_of(x));
  shape[extra] = (int)rows;
  shape[extra + 1] = x->shape[last];
  return mx_reshape(s, x, shape, (size_t)extra + 2);
}

VJP(quantized_matmul) {
  (void)out;
  mx_quant q = quant_of(n);
  bool transpose = n->p[3], affine = q.mode == MX_AFFINE;
  if (no_gradient(s, n, want)) return s->rc;
  if (want[0]) res[0] = mx_quant_product(s, &q, cot[0], n->in[1], n->in[2], biases_of(n), !transpose);
  if (!affine || !(want[2] || want[3])) return s->rc;
  mx_array *x = as_matrix(s, n, n->in[0], 0), *c = as_matrix(s, n, cot[0], 0);
  mx_array *g = x && c ? mx_matmul(s, mx_swapaxes(s, transpose ? c : x, -1, -2), transpose ? x : c) : NULL;
  affine_gradients(s, &q, n->in[1], n->in[2], g, want[2], want[3], &res[2], &res[3]);
  return s->rc;
}

/* Linear in x, and in scales and biases together. p: the tangents of x, scales, biases; in: the node's inputs with x replaced. */
static void sum_of_tangents(mx_scope *s, const mx_array *n, mx_array *const *tan, mx_array **res) {
  mx_array *in[6], *sum = NULL;
  for (int i = 0; i < n->nin; i++) in[i] = n->in[i];
  if (tan[0]) {
    in[0] = tan[0];
    sum = mx_node_again(s, n, in);
    in[0] = n->in[0];
  }
  if (tan[2] || (n->p[0] == MX_AFFINE && tan[3])) {
    in[2] = tan[2] ? tan[2] : mx_zeros_like(s, n->in[2]);
    in[3] = tan[3] ? tan[3] : mx_zeros_like(s, n->in[3]);
    mx_array *t = mx_node_again(s, n, in);
    sum = sum && t ? mx_add(s, sum, t) : t;
  }
  res[0] = sum;
}

static int jvp_product(mx_scope *s, const mx_array *n, mx_array *const *tan, mx_array **res) {
  if (tan[1] || (n->p[0] != MX_AFFINE && tan[2]))
    return mx_scope_fail(s, MX_ERUNTIME, "[%s::jvp] No JVP wrt the quantized matrix yet.", mx_ops[n->op].label), s->rc;
  sum_of_tangents(s, n, tan, res);
  return s->rc;
}
JVP(quantized_matmul) {
  (void)out;
  return jvp_product(s, n, tan, res);
}

/* words, scales and biases with the batch in front, if one of them is mapped. */
static bool batched_parts(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **b) {
  bool mapped = false;
  int size = mx_batch_size(n, in, ax);
  for (int i = 1; i <= parts(n); i++) mapped = mapped || ax[i] >= 0;
  for (int i = 1; i <= parts(n); i++) b[i] = mapped ? mx_full_front(s, in[i], ax[i], size) : in[i];
  return mapped;
}

VMAP(quantized_matmul) {
  mx_quant q = quant_of(n);
  mx_array *b[4] = {mx_front(s, in[0], ax[0]), NULL, NULL, NULL}, *r;
  const mx_array *x = n->in[0];
  *res_ax = 0;
  bool each = batched_parts(s, n, in, ax, b), joined = each && n->in[1]->ndim == 2 && x->ndim != 2;
  if (each) b[0] = as_matrix(s, n, b[0], ax[0] >= 0);
  res[0] = r = mx_quant_product(s, &q, b[0], b[1], b[2], b[3], n->p[3]);
  if (!r || !joined) return s->rc;
  int shape[MX_MAX_NDIM + 1] = {r->shape[0]};
  for (int i = 0; i < x->ndim - 1; i++) shape[i + 1] = x->shape[i];
  shape[x->ndim] = r->shape[r->ndim - 1];
  res[0] = mx_reshape(s, r, shape, (size_t)x->ndim + 1);
  return s->rc;
}

/* ---- gather_qmm: x (B, M, K), words, scales (, biases) (E, ., .), lhs, rhs (index shape) -> (index shape, M, N) ---- */

INFER(gather_qmm) {
  (void)nout;
  int32_t cols;
  int rc = check_node(op, nin, 2, in, np, p, &cols);
  if (rc) return rc;
  const mx_array *x = in[0], *w = in[1], *lhs = in[nin - 2], *rhs = in[nin - 1];
  if (x->ndim != 3 || w->ndim != 3) return mx_fail(MX_EVALUE, "[gather_qmm] Shapes %s and %s.", mx_shape_of(x), mx_shape_of(w));
  if (!mx_is_integer(lhs->dtype) || !mx_is_integer(rhs->dtype))
    return mx_fail(MX_EVALUE, "[gather_qmm] Got indices with invalid dtype. Indices must be integral.");
  if (!mx_same_shape(lhs, rhs))
    return mx_fail(MX_EVALUE, "[gather_qmm] Indices of shapes %s and %s.", mx_shape_of(lhs), mx_shape_of(rhs));
  if (lhs->ndim + 2 > MX_MAX_NDIM) return mx_fail(MX_EVALUE, "[gather_qmm] Indices of %d dimensions are too many.", lhs->ndim);
  mx_aval_of(out, lhs);
  out->dtype = in[0]->dtype;
  out->shape[out->ndim++] = x->shape[1];
  out->shape[out->ndim++] = cols;
  return 0;
}

/* add[i] is added to entry index[i] of zeros like x. */
static mx_array *scattered(mx_scope *s, mx_array *x, mx_array *index, mx_array *add) {
  if (!index || !add) return NULL;
  int shape[MX_MAX_NDIM] = {add->shape[0], 1};
  for (int i = 1; i < add->ndim; i++) shape[i + 1] = add->shape[i];
  add = mx_reshape(s, add, shape, (size_t)add->ndim + 1);
  return mx_scatter_add_single(s, mx_zeros_like(s, x), index, add, 0);
}

VJP(gather_qmm) {
  (void)out;
  mx_quant q = quant_of(n);
  bool transpose = n->p[3], affine = q.mode == MX_AFFINE;
  int last = n->nin - 1;
  if (no_gradient(s, n, want)) return s->rc;
  if (want[last] || want[last - 1])
    return mx_scope_fail(s, MX_ERUNTIME, "[GatherQMM::vjp] cannot compute the gradient wrt the indices."), s->rc;
  mx_array *x = n->in[0], *lhs = mx_flatten(s, n->in[last - 1], 0, -1), *rhs = mx_flatten(s, n->in[last], 0, -1);
  mx_array *g = lhs && rhs ? mx_reshape(s, cot[0], (int[]){lhs->shape[0], n->shape[n->ndim - 2], n->shape[n->ndim - 1]}, 3) : NULL;
  if (!g) return s->rc;
  mx_array *part[4] = {g, n->in[1], n->in[2], biases_of(n)};
  if (want[0]) {
    mx_array *each = mx_arange(s, 0, lhs->shape[0], 1, MX_U32);
    res[0] = scattered(s, x, lhs, each ? mx_quant_gather(s, &q, part, each, rhs, !transpose) : NULL);
  }
  if (!affine || !(want[2] || want[3])) return s->rc;
  mx_array *used = mx_take_axis(s, x, lhs, 0);
  mx_array *a = transpose ? g : used, *b = transpose ? used : g;
  mx_array *each = a && b ? mx_matmul(s, mx_swapaxes(s, a, -1, -2), b) : NULL, *d[2] = {NULL, NULL};
  mx_array *w = mx_take_axis(s, n->in[1], rhs, 0), *scales = mx_take_axis(s, n->in[2], rhs, 0);
  if (!each || !w || !scales) return s->rc;
  affine_gradients(s, &q, w, scales, each, want[2], want[3], &d[0], &d[1]);
  for (int i = 0; i < 2; i++)
    if (want[2 + i]) res[2 + i] = scattered(s, n->in[2], rhs, d[i]);
  return s->rc;
}

JVP(gather_qmm) {
  (void)out;
  return jvp_product(s, n, tan, res);
}

/* index + batch * size: into a batch that was put in front of what is indexed; negative ones made positive first. */
static mx_array *shifted(mx_scope *s, mx_array *index, int batch, int size) {
  if (!index) return NULL;
  mx_array *i = mx_astype(s, index, MX_I64), *n = mx_int(s, MX_I64, size);
  if (!i || !n) return NULL;
  i = mx_where(s, mx_less(s, i, mx_int(s, MX_I64, 0)), mx_add(s, i, n), i);
  mx_array *at = i ? mx_batch_index(s, batch, i->ndim, i->shape) : NULL;
  return at ? mx_add(s, i, mx_multiply(s, mx_astype(s, at, MX_I64), n)) : NULL;
}

VMAP(gather_qmm) {
  mx_quant q = quant_of(n);
  int last = n->nin - 1, size = mx_batch_size(n, in, ax);
  mx_array *b[4] = {mx_front(s, in[0], ax[0]), NULL, NULL, NULL};
  bool mapped = batched_parts(s, n, in, ax, b);
  mx_array *lhs = mx_full_front(s, in[last - 1], ax[last - 1], size), *rhs = mx_full_front(s, in[last], ax[last], size);
  if (ax[0] >= 0 && b[0]) {
    lhs = shifted(s, lhs, size, b[0]->shape[1]);
    b[0] = mx_flatten(s, b[0], 0, 1);
  }
  if (mapped && b[1]) {
    rhs = shifted(s, rhs, size, b[1]->shape[1]);
    for (int i = 1; i <= parts(n); i++) b[i] = b[i] ? mx_flatten(s, b[i], 0, 1) : NULL;
  }
  res[0] = mx_quant_gather(s, &q, b, lhs, rhs, n->p[3]);
  *res_ax = 0;
  return s->rc;
}

/* ---- 8-bit floats ---- */

INFER(to_fp8) {
  (void)nin, (void)np, (void)p, (void)nout;
  if (!mx_is_float(in[0]->dtype) || in[0]->dtype == MX_F64)
    return mx_fail(MX_EVALUE, "[%s] No floats of 8 bits from %s.", mx_ops[op].name, mx_dtype_name(in[0]->dtype));
  mx_aval_of(out, in[0]);
  out->dtype = MX_U8;
  return 0;
}

INFER(from_fp8) {
  (void)nin, (void)nout;
  NEED(op, np, 1);
  if (in[0]->dtype != MX_U8 || p[0] < 0 || p[0] >= MX_DTYPES || !mx_is_float((mx_dtype)p[0]))
    return mx_fail(MX_EVALUE, "[from_fp8] From %s to dtype %lld.", mx_dtype_name(in[0]->dtype), (long long)p[0]);
  mx_aval_of(out, in[0]);
  out->dtype = (mx_dtype)p[0];
  return 0;
}
