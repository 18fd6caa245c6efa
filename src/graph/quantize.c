/* Quantized matrices: packing, unpacking and products with them. The layout is in core/quant.h. */
#include "core/quant.h"

#include "graph/build.h"
#include "graph/quantize.h"

static const struct {
  const char *name;
  int group, bits;
} modes[MX_QUANT_MODES] = {[MX_AFFINE] = {"affine", 64, 4}, [MX_MXFP4] = {"mxfp4", 32, 4}, [MX_MXFP8] = {"mxfp8", 32, 8},
                           [MX_NVFP4] = {"nvfp4", 16, 4}};

/* The mode by its name, with its own group and bits where none are given. */
static int read_mode(const char *tag, const char *mode, const int *group, const int *bits, mx_quant *q) {
  for (int m = 0; m < MX_QUANT_MODES; m++)
    if (!strcmp(mode, modes[m].name)) {
      *q = (mx_quant){(mx_quant_mode)m, group ? *group : modes[m].group, bits ? *bits : modes[m].bits};
      return 0;
    }
  return mx_fail(MX_EVALUE, "[%s] Invalid quantization mode '%s'.", tag, mode);
}

int mx_quant_supported(const char *tag, const mx_quant *q) {
  const char *name = modes[q->mode].name;
  if (q->mode != MX_AFFINE) {
    if (q->group != modes[q->mode].group)
      return mx_fail(MX_EVALUE, "[%s] %s quantization requires group size %d but got %d.", tag, name, modes[q->mode].group, q->group);
    if (q->bits != modes[q->mode].bits)
      return mx_fail(MX_EVALUE, "[%s] %s quantization requires bits to be %d but got %d.", tag, name, modes[q->mode].bits, q->bits);
    return 0;
  }
  if (q->group != 32 && q->group != 64 && q->group != 128)
    return mx_fail(MX_EVALUE, "[%s] The requested group size %d is not supported. The supported group sizes are 32, 64, and 128.", tag,
                   q->group);
  if (q->bits < 1 || q->bits == 7 || q->bits > 8)
    return mx_fail(MX_EVALUE, "[%s] The requested number of bits %d is not supported. The supported bits are 1, 2, 3, 4, 5, 6 and 8.",
                   tag, q->bits);
  return 0;
}

const char *mx_quant_mode_name(int mode) { return modes[mode].name; }

static int check_global_scale(const char *tag, const mx_quant *q, const mx_array *g) {
  if (!g) return 0;
  if (q->mode != MX_NVFP4) return mx_fail(MX_EVALUE, "[%s] Global scale is only supported for 'nvfp4' quantization mode.", tag);
  if (g->size != 1) return mx_fail(MX_EVALUE, "[%s] Global scale must be a scalar but got shape %s.", tag, mx_shape_of(g));
  if (g->dtype != MX_F32)
    return mx_fail(MX_EVALUE, "[%s] Global scale must have dtype float32 but got %s.", tag, mx_dtype_name(g->dtype));
  return 0;
}

/* A global scale as an input of a node: 0-d. */
static mx_array *scalar_input(mx_scope *s, mx_array *g) { return mx_reshape(s, g, NULL, 0); }

static void put(const mx_quant *q, int64_t *p) {
  p[0] = q->mode;
  p[1] = q->group;
  p[2] = q->bits;
}

/* Results: words, scales, and in affine mode biases. */
static int quantize(mx_scope *s, mx_array *w, const mx_quant *q, mx_array *global_scale, mx_array *res[3]) {
  mx_array *in[2] = {w, global_scale ? scalar_input(s, global_scale) : NULL};
  int64_t p[3];
  put(q, p);
  res[2] = NULL;
  return mx_node_multi(s, OP_quantize, 1 + (global_scale != NULL), in, 3, p, NULL, q->mode == MX_AFFINE ? 3 : 2, res);
}

int mx_quantize(mx_scope *s, mx_list *out, mx_array *w, const int *group_size, const int *bits, const char *mode,
                mx_array *global_scale) {
  mx_quant q;
  mx_array *res[3];
  if (!w) return s->rc;
  int rc = read_mode("quantize", mode, group_size, bits, &q);
  if (!rc && w->ndim >= 2) rc = mx_quant_divides(&q, w);
  if (!rc) rc = check_global_scale("quantize", &q, global_scale);
  if (rc) return mx_scope_error(s, rc), rc;
  rc = quantize(s, w, &q, global_scale, res);
  for (int i = 0; i < 3 && !rc && res[i]; i++) rc = mx_list_push(out, res[i]);
  return rc;
}

/* What dequantize and the products ask of the packed arrays, but for their shapes. */
static int check_parts(const char *tag, const mx_quant *q, const mx_array *scales, const mx_array *biases) {
  if (q->mode == MX_AFFINE) {
    if (!biases) return mx_fail(MX_EVALUE, "[%s] Biases must be provided for affine quantization.", tag);
    if (!mx_is_float(scales->dtype) || !mx_is_float(biases->dtype))
      return mx_fail(MX_EVALUE, "[%s] Only real floating types are supported but scales.dtype() == %s and biases.dtype() == %s.", tag,
                     mx_dtype_name(scales->dtype), mx_dtype_name(biases->dtype));
    return 0;
  }
  if (scales->dtype != MX_U8)
    return mx_fail(MX_EVALUE, "[%s] Scale type must be uint8 but received type %s.", tag, mx_dtype_name(scales->dtype));
  if (biases) return mx_fail(MX_EVALUE, "[%s] Biases must be null for quantization mode '%s'.", tag, modes[q->mode].name);
  return 0;
}

/* Scales and biases of one dtype. */
static void same_dtype(mx_scope *s, mx_array **scales, mx_array **biases) {
  if (!*biases) return;
  mx_dtype t = mx_promote((*scales)->dtype, (*biases)->dtype);
  *scales = mx_astype(s, *scales, t);
  *biases = mx_astype(s, *biases, t);
}

/* The node; dtype: of the result in the floating modes, which is f32 where there is a global scale. */
static mx_array *dequantize(mx_scope *s, mx_array *w, mx_array *scales, mx_array *biases, const mx_quant *q, mx_array *global_scale,
                            mx_dtype dtype) {
  mx_array *in[3] = {w, scales, biases};
  int64_t p[4];
  put(q, p);
  p[3] = dtype;
  int n = q->mode == MX_AFFINE ? 3 : 2;
  if (global_scale) in[n++] = scalar_input(s, global_scale);
  return mx_node(s, OP_dequantize, n, in, q->mode == MX_AFFINE ? 3 : 4, p);
}

mx_array *mx_dequantize(mx_scope *s, mx_array *w, mx_array *scales, mx_array *biases, const int *group_size, const int *bits,
                        const char *mode, mx_array *global_scale, const mx_dtype *dtype) {
  mx_quant q;
  if (!w || !scales) return NULL;
  int rc = read_mode("dequantize", mode, group_size, bits, &q);
  if (!rc && q.mode != MX_AFFINE) rc = mx_quant_supported("dequantize", &q);
  if (!rc) rc = check_parts("dequantize", &q, scales, biases);
  if (!rc && dtype && !mx_is_float(*dtype))
    rc = mx_fail(MX_EVALUE, "[dequantize] Only real floating types are supported but output dtype == %s.", mx_dtype_name(*dtype));
  if (!rc) rc = check_global_scale("dequantize", &q, global_scale);
  if (rc) return mx_scope_error(s, rc);
  same_dtype(s, &scales, &biases);
  mx_array *x = dequantize(s, w, scales, biases, &q, global_scale, global_scale ? MX_F32 : dtype ? *dtype : MX_BF16);
  return dtype && x ? mx_astype(s, x, *dtype) : x;
}

/* ---- products ---- */

/* Checks of a product with packed w; the dtype of the result. */
static int check_product(const char *tag, const mx_quant *q, const mx_array *x, const mx_array *w, const mx_array *scales,
                         const mx_array *biases, bool transpose, mx_dtype *dtype) {
  int rc = check_parts(tag, q, scales, biases);
  if (rc) return rc;
  *dtype = q->mode == MX_AFFINE ? mx_promote(mx_promote(x->dtype, scales->dtype), biases->dtype) : (mx_dtype)x->dtype;
  if (!mx_is_float(*dtype))
    return mx_fail(MX_EVALUE, "[%s] Only real floating types are supported but x.dtype() == %s.", tag, mx_dtype_name(x->dtype));
  if (x->ndim == 0) return mx_fail(MX_EVALUE, "[%s] The first input must have at least one dimension but has none.", tag);
  return mx_quant_fits(tag, q, x, w, scales, biases, transpose);
}

/* All of x, w, scales and biases with the batch dimensions that they broadcast to. */
static int same_batch(mx_scope *s, int n, mx_array **in) {
  int32_t shape[MX_MAX_NDIM];
  int nd, rc = mx_broadcast_shape(in[0]->ndim - 2, in[0]->shape, in[1]->ndim - 2, in[1]->shape, &nd, shape);
  if (rc) return rc;
  for (int i = 0; i < n; i++) {
    shape[nd] = in[i]->shape[in[i]->ndim - 2];
    shape[nd + 1] = in[i]->shape[in[i]->ndim - 1];
    if (!(in[i] = mx_broadcast_to(s, in[i], shape, (size_t)nd + 2))) return s->rc;
  }
  return 0;
}

mx_array *mx_quant_product(mx_scope *s, const mx_quant *q, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases,
                           bool transpose) {
  if (!x || !w || !scales) return NULL;
  mx_array *in[4] = {x, w, scales, biases};
  int64_t p[4];
  int n = q->mode == MX_AFFINE ? 4 : 3, rc;
  put(q, p);
  p[3] = transpose;
  if (w->ndim == 2) return mx_node(s, OP_quantized_matmul, n, in, 4, p);
  bool row = x->ndim == 1;
  if (row && !(in[0] = mx_expand_dims(s, x, 0))) return NULL;
  if ((rc = same_batch(s, n, in))) return mx_scope_error(s, rc);
  mx_array *r = mx_node(s, OP_quantized_matmul, n, in, 4, p);
  return row ? mx_squeeze_axis(s, r, -2) : r;
}

static mx_array *product(mx_scope *s, const char *tag, const mx_quant *q, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases,
                         bool transpose) {
  mx_dtype dtype;
  int rc = check_product(tag, q, x, w, scales, biases, transpose, &dtype);
  if (rc) return mx_scope_error(s, rc);
  same_dtype(s, &scales, &biases);
  return mx_quant_product(s, q, mx_astype(s, x, dtype), w, scales, biases, transpose);
}

mx_array *mx_quantized_matmul(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases, bool transpose,
                              const int *group_size, const int *bits, const char *mode) {
  mx_quant q;
  if (!x || !w || !scales) return NULL;
  int rc = read_mode("quantized_matmul", mode, group_size, bits, &q);
  if (rc) return mx_scope_error(s, rc);
  return product(s, "quantized_matmul", &q, x, w, scales, biases, transpose);
}

/* 0, 1, ... in the shape of x's batch. */
static mx_array *each_matrix(mx_scope *s, const mx_array *x) {
  int64_t n = 1;
  for (int i = 0; i < x->ndim - 2; i++) n *= x->shape[i];
  return mx_reshape(s, mx_arange(s, 0, (double)n, 1, MX_U32), x->shape, x->ndim - 2);
}

/* The batch of x as one dimension. */
static mx_array *flat_batch(mx_scope *s, mx_array *x) {
  if (!x) return NULL;
  return x->ndim == 2 ? mx_expand_dims(s, x, 0) : x->ndim == 3 ? x : mx_flatten(s, x, 0, -3);
}

mx_array *mx_quant_gather(mx_scope *s, const mx_quant *q, mx_array *const part[4], mx_array *lhs, mx_array *rhs, bool transpose) {
  mx_array *in[6];
  int64_t p[4];
  int n = 0;
  put(q, p);
  p[3] = transpose;
  for (int i = 0; i < (q->mode == MX_AFFINE ? 4 : 3); i++) in[n++] = part[i];
  in[n++] = lhs;
  in[n++] = rhs;
  return mx_node(s, OP_gather_qmm, n, in, 4, p);
}

static int check_expert_scales(const mx_quant *q, const mx_array *w, const mx_array *g, bool indices) {
  if (!g) return 0;
  if (q->mode != MX_NVFP4) return mx_fail(MX_EVALUE, "[gather_qmm] Global scale is only supported for 'nvfp4' quantization mode.");
  if (!indices) return mx_fail(MX_EVALUE, "[gather_qmm] Global scale is not supported without indices.");
  if (g->dtype != MX_F32)
    return mx_fail(MX_EVALUE, "[gather_qmm] Global scale must have dtype float32 but got %s.", mx_dtype_name(g->dtype));
  int64_t experts = 1;
  for (int i = 0; i < w->ndim - 2; i++) experts *= w->shape[i];
  if (g->ndim == 1 && g->shape[0] == experts) return 0;
  return mx_fail(MX_EVALUE, "[gather_qmm] Global scale must have one entry per expert with shape (%lld) but got %s.", (long long)experts,
                 mx_shape_of(g));
}

mx_array *mx_gather_qmm_scaled(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases, mx_array *lhs_indices,
                               mx_array *rhs_indices, bool transpose, const int *group_size, const int *bits, const char *mode,
                               mx_array *global_scale, bool sorted_indices) {
  (void)sorted_indices; /* the kernel looks for itself */
  mx_quant q;
  mx_dtype dtype;
  if (!x || !w || !scales) return NULL;
  int rc = read_mode("gather_qmm", mode, group_size, bits, &q), nd;
  if (!rc && x->ndim < 2)
    rc = mx_fail(MX_EVALUE, "[gather_qmm] Input must have at least two dimensions but got input with shape %s.", mx_shape_of(x));
  if (!rc && ((lhs_indices && !mx_is_integer(lhs_indices->dtype)) || (rhs_indices && !mx_is_integer(rhs_indices->dtype))))
    rc = mx_fail(MX_EVALUE, "[gather_qmm] Got indices with invalid dtype. Indices must be integral.");
  if (!rc) rc = check_expert_scales(&q, w, global_scale, lhs_indices || rhs_indices);
  if (rc) return mx_scope_error(s, rc);
  if (!lhs_indices && !rhs_indices) return product(s, "gather_qmm", &q, x, w, scales, biases, transpose);
  if ((rc = check_product("gather_qmm", &q, x, w, scales, biases, transpose, &dtype))) return mx_scope_error(s, rc);
  same_dtype(s, &scales, &biases);
  mx_array *lhs = lhs_indices ? lhs_indices : each_matrix(s, x), *rhs = rhs_indices ? rhs_indices : each_matrix(s, w);
  if (!lhs || !rhs) return NULL;
  int32_t shape[MX_MAX_NDIM];
  if ((rc = mx_broadcast_shape(lhs->ndim, lhs->shape, rhs->ndim, rhs->shape, &nd, shape))) return mx_scope_error(s, rc);
  bool half = dtype == MX_F16 || dtype == MX_BF16;
  mx_array *part[4] = {mx_astype(s, x, global_scale && half ? MX_F32 : dtype), w, scales, biases};
  for (int i = 0; i < 4; i++) part[i] = flat_batch(s, part[i]);
  rhs = mx_broadcast_to(s, rhs, shape, nd);
  mx_array *r = mx_quant_gather(s, &q, part, mx_broadcast_to(s, lhs, shape, nd), rhs, transpose);
  if (!global_scale || !r) return r;
  mx_array *scale = mx_mul_k(s, mx_take_axis(s, global_scale, rhs, 0), 1 / (448. * 6));
  scale = scale ? mx_expand_dims_axes(s, scale, (int[]){-1, -2}, 2) : NULL;
  return mx_astype(s, scale ? mx_multiply(s, r, scale) : NULL, dtype);
}

mx_array *mx_gather_qmm(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases, mx_array *lhs_indices,
                        mx_array *rhs_indices, bool transpose, const int *group_size, const int *bits, const char *mode,
                        bool sorted_indices) {
  return mx_gather_qmm_scaled(s, x, w, scales, biases, lhs_indices, rhs_indices, transpose, group_size, bits, mode, NULL,
                              sorted_indices);
}

mx_array *mx_gather_qqmm(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *lhs_indices, mx_array *rhs_indices,
                         const int *group_size, const int *bits, const char *mode, mx_array *global_scale_x, mx_array *global_scale_w,
                         bool sorted_indices) {
  mx_quant q;
  (void)scales, (void)lhs_indices, (void)rhs_indices, (void)global_scale_x, (void)global_scale_w, (void)sorted_indices;
  if (!x || !w) return NULL;
  int rc = read_mode("gather_qqmm", mode, group_size, bits, &q);
  if (rc) return mx_scope_error(s, rc);
  return mx_scope_fail(s, MX_ERUNTIME, "[GatherQQMM] NYI: this product needs a GPU.");
}

/* What x stands for once it is quantized, with the gradient of x itself. */
static mx_array *as_quantized(mx_scope *s, mx_array *x, const mx_quant *q, mx_array *global_scale) {
  mx_array *part[3], *plain = mx_stop_gradient(s, x);
  if (!plain || quantize(s, plain, q, global_scale, part)) return NULL;
  mx_array *seen = dequantize(s, part[0], part[1], part[2], q, global_scale, global_scale ? MX_F32 : (mx_dtype)x->dtype);
  seen = seen ? mx_astype(s, seen, x->dtype) : NULL;
  return seen ? mx_add(s, seen, mx_subtract(s, x, plain)) : NULL; /* x - x is 0 */
}

static int check_qqmm(const mx_quant *q, const mx_array *x, const mx_array *w, const mx_array *scales, const mx_array *gx,
                      const mx_array *gw) {
  if (!mx_is_float(x->dtype) || x->dtype == MX_F64)
    return mx_fail(MX_EVALUE, "[qqmm] Only real floating types except float64 are supported but first argument dtype == %s.",
                   mx_dtype_name(x->dtype));
  bool packed = w->dtype == MX_U32;
  if (packed && !scales) return mx_fail(MX_EVALUE, "[qqmm] Scales must be provided if second argument is quantized.");
  if (!packed && (!mx_is_float(w->dtype) || w->dtype == MX_F64))
    return mx_fail(MX_EVALUE, "[qqmm] Only real floating types except float64 are supported but second argument dtype == %s.",
                   mx_dtype_name(w->dtype));
  if (x->ndim < 1 || w->ndim != 2)
    return mx_fail(MX_EVALUE, "[qqmm] Only 2D inputs are supported but x.ndim() == %d and w.ndim() == %d.", x->ndim, w->ndim);
  if (q->mode == MX_AFFINE && packed) return mx_fail(MX_EVALUE, "[qqmm] Affine quantization of the second argument has biases.");
  if (!packed && x->shape[x->ndim - 1] != w->shape[1])
    return mx_fail(MX_EVALUE,
                   "[qqmm] Last dimension of first input with shape %s must match last dimension of second input with shape %s.",
                   mx_shape_of(x), mx_shape_of(w));
  int rc = check_global_scale("qqmm", q, gx);
  if (!rc) rc = check_global_scale("qqmm", q, gw);
  if (rc) return rc;
  if ((gx != NULL) != (gw != NULL))
    return mx_fail(MX_EVALUE, "[qqmm] For nvfp4 mode, either both global_scale_x and global_scale_w must be provided, or neither.");
  return 0;
}

/* x and w are both quantized; the product itself is that of the numbers they then stand for. */
mx_array *mx_qqmm(mx_scope *s, mx_array *x, mx_array *w, mx_array *w_scales, const int *group_size, const int *bits, const char *mode,
                  mx_array *global_scale_x, mx_array *global_scale_w) {
  mx_quant q;
  if (!x || !w) return NULL;
  int rc = read_mode("qqmm", mode, group_size, bits, &q);
  if (!rc) rc = check_qqmm(&q, x, w, w_scales, global_scale_x, global_scale_w);
  if (!rc && w->dtype == MX_U32) rc = mx_quant_fits("qqmm", &q, x, w, w_scales, NULL, true);
  if (!rc) rc = mx_quant_supported("qqmm", &q);
  if (rc) return mx_scope_error(s, rc);
  mx_array *rows = x->ndim == 1 ? mx_expand_dims(s, x, 0) : x, *r;
  if (!rows || !(rows = as_quantized(s, rows, &q, global_scale_x))) return NULL;
  if (w->dtype == MX_U32) {
    r = mx_quant_product(s, &q, rows, w, w_scales, NULL, true);
    if (global_scale_w) r = mx_multiply(s, r, mx_mul_k(s, scalar_input(s, global_scale_w), 1 / (448. * 6)));
  } else {
    w = as_quantized(s, w, &q, global_scale_w);
    r = w ? mx_matmul(s, rows, mx_transpose(s, w)) : NULL;
  }
  if (r && x->ndim == 1) r = mx_squeeze_axis(s, r, 0);
  return mx_astype(s, r, x->dtype);
}

/* ---- 8-bit floats ---- */

mx_array *mx_to_fp8(mx_scope *s, mx_array *x) {
  if (!x) return NULL;
  if (!mx_is_float(x->dtype))
    return mx_scope_fail(s, MX_EVALUE, "[to_fp8] Only real floating types are supported but x.dtype() == %s.", mx_dtype_name(x->dtype));
  return mx_node1(s, OP_to_fp8, mx_astype(s, x, x->dtype == MX_F64 ? MX_F32 : x->dtype), 0, NULL);
}

mx_array *mx_from_fp8(mx_scope *s, mx_array *x, mx_dtype dtype) {
  if (!x) return NULL;
  if (x->dtype != MX_U8)
    return mx_scope_fail(s, MX_EVALUE, "[from_fp8] Input must have type uint8 but x.dtype() == %s.", mx_dtype_name(x->dtype));
  if (!mx_is_float(dtype))
    return mx_scope_fail(s, MX_EVALUE, "[from_fp8] Only real floating types are supported but dtype == %s.", mx_dtype_name(dtype));
  return mx_node1(s, OP_from_fp8, x, 1, (int64_t[]){dtype});
}
