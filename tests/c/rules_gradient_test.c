/* Every structured op and reduction: vjp and jvp against finite differences, the gradient of the gradient against differences
 * of the gradient, vmap against a loop, and no crash when an allocation fails. One table names a function of f64 arrays for
 * each op; a test fails when an op has none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/build.h"
#include "transforms/transforms.h"

typedef mx_array *(*function)(mx_scope *s, mx_array *const *x);

typedef struct row {
  const char *name;
  mx_opcode op; /* the op that it is the check of */
  function f;
  const char *shapes; /* of the inputs: "2,3;3,4" */
  int flags;
} row;
enum { NO_SECOND = 1, POSITIVE = 2, INTEGERS = 4 /* values far apart, with ties */, ROUNDED = 8 };

static mx_array *idx(mx_scope *s, int n, const int32_t *v) { return mx_own(s, mx_array_from_data(MX_I32, 1, (int32_t[]){n}, v)); }
static mx_array *idx2(mx_scope *s, int n, int m, const int32_t *v) {
  return mx_own(s, mx_array_from_data(MX_I32, 2, (int32_t[]){n, m}, v));
}
#define IDX(...)    idx(s, sizeof((int32_t[]){__VA_ARGS__}) / 4, (int32_t[]){__VA_ARGS__})
#define INTS(...)   (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int)
#define INTS1(i)    (int[]){i}
#define LENGTH(...) sizeof((int[]){__VA_ARGS__}) / sizeof(int)
#define F(name, expr)                                          \
  static mx_array *f_##name(mx_scope *s, mx_array *const *x) { \
    (void)s;                                                   \
    return expr;                                               \
  }

/* ---- the functions ---- */

F(reshape, mx_reshape(s, x[0], INTS(3, -1)))
F(transpose, mx_transpose_axes(s, x[0], INTS(2, 0, 1)))
F(slice, mx_slice(s, x[0], INTS(1, 0), INTS(4, 3), INTS(1, 1)))
F(slice_steps, mx_slice(s, x[0], INTS(3, 0), INTS(-5, 3), INTS(-2, 2)))
F(broadcast, mx_broadcast_to(s, x[0], INTS(4, 2, 3)))
F(expand, mx_expand_dims_axes(s, x[0], INTS(0, 2)))
F(squeeze, mx_squeeze(s, x[0]))
F(strided, mx_as_strided(s, x[0], INTS(2, 3), (int64_t[]){1, 2}, 2, 1))
F(strided_grad, mx_node1(s, OP_as_strided_grad, x[0], 7, (int64_t[]){2, 2, 3, 1, 2, 1, 7}))
F(copy, mx_copy(s, x[0]))
F(contiguous, mx_contiguous(s, mx_transpose(s, x[0]), false))
F(concatenate, mx_concatenate_axis(s, 3, (mx_array *[]){x[0], x[1], x[0]}, 1))
F(pad, mx_pad(s, x[0], INTS(0, 1), INTS(1, 0), INTS(0, 2), x[1], "constant"))
static mx_array *update(mx_scope *s, mx_array *const *x, int mode) {
  return mx_node2(s, OP_slice_update, x[0], x[1], 7, (int64_t[]){mode, 3, 0, -1, 3, -2, 1});
}
F(update_assign, update(s, x, 0))
F(update_add, update(s, x, 1))
F(update_multiply, update(s, x, 2))
F(update_maximum, update(s, x, 3))
F(update_minimum, update(s, x, 4))
F(dynamic_slice, mx_slice_dynamic(s, x[0], IDX(1, 7), INTS(0, 1), INTS(2, 2)))
F(dynamic_update, mx_slice_update_dynamic(s, x[0], x[1], IDX(1), INTS(1)))
F(gather, mx_gather(s, x[0], 2, (mx_array *[]){IDX(0, 2, 2, -1), IDX(1, 1, 0, 2)}, INTS(0, 2), INTS(1, 2, 1)))
F(take, mx_take_axis(s, x[0], idx2(s, 2, 2, (int32_t[]){0, 2, -1, 0}), 1))
static mx_array *scatter(mx_scope *s, mx_array *const *x, int mode) {
  return mx_node(s, OP_scatter, 4, (mx_array *[]){x[0], x[1], IDX(0, 2, 0), IDX(1, 0, 1)}, 4, (int64_t[]){mode, 2, 0, 1});
}
static mx_array *scatter_apart(mx_scope *s, mx_array *const *x) {
  return mx_node(s, OP_scatter, 4, (mx_array *[]){x[0], x[1], IDX(0, 2, 1), IDX(1, 0, -1)}, 4, (int64_t[]){0, 2, 0, 1});
}
F(scatter_assign, scatter_apart(s, x))
F(scatter_add, scatter(s, x, 1))
F(scatter_multiply, scatter(s, x, 2))
F(scatter_maximum, scatter(s, x, 3))
F(scatter_minimum, scatter(s, x, 4))
F(gather_axis, mx_take_along_axis(s, x[0], idx2(s, 2, 2, (int32_t[]){0, 2, 1, 1}), 1))
F(scatter_axis, mx_put_along_axis(s, x[0], idx2(s, 2, 2, (int32_t[]){0, 2, 1, -1}), x[1], 1))
F(scatter_axis_add, mx_scatter_add_axis(s, x[0], idx2(s, 2, 2, (int32_t[]){0, 0, 1, -1}), x[1], 1))
F(sum, mx_sum_axes(s, x[0], INTS(0, 2), false))
F(prod, mx_prod_axes(s, x[0], INTS(0, 2), true))
F(prod_all, mx_prod(s, x[0], false))
F(max, mx_max_axis(s, x[0], 1, false))
F(min, mx_min_axes(s, x[0], INTS(0, 1), false))
F(cumsum, mx_cumsum(s, x[0], 1, true, false))
F(cumprod, mx_cumprod(s, x[0], 1, false, true))
F(cumprod_exclusive, mx_cumprod(s, x[0], 1, true, false))
F(cummax, mx_cummax(s, x[0], 1, false, true))
F(cummin, mx_cummin(s, x[0], 0, true, true))
F(logcumsumexp, mx_logcumsumexp(s, x[0], 1, false, true))
F(logcumsumexp_reverse, mx_logcumsumexp(s, x[0], 1, true, true))
F(softmax, mx_softmax_axis(s, x[0], -1, true))
F(softmax_axes, mx_softmax_axes(s, x[0], INTS(0, 2), false))
F(logsumexp, mx_logsumexp_axes(s, x[0], INTS(0, 1), false))
F(sort, mx_sort_axis(s, x[0], 0))
F(partition, mx_partition_axis(s, x[0], 1, 1))
F(topk, mx_topk_axis(s, x[0], 2, 1))
F(matmul, mx_matmul(s, x[0], x[1]))
F(matmul_turned, mx_matmul_turned(s, x[0], x[1]))
F(addmm, mx_addmm(s, x[0], x[1], x[2], 0.5f, 2))
F(gather_mm, mx_gather_mm(s, x[0], x[1], IDX(0, 2, -1, 0), IDX(1, 1, 0, -1), false))
static mx_array *conv(mx_scope *s, mx_array *const *x, int groups, bool flip) {
  return mx_conv_general(s, x[0], x[1], INTS(2, 1), INTS(1, 0), INTS(0, 1), INTS(1, 2), INTS(2, 1), groups, flip);
}
F(conv, conv(s, x, 1, false))
F(conv_flip, conv(s, x, 2, true))
F(conv1d, mx_conv1d(s, x[0], x[1], 2, 1, 1, 1))
F(conv_grad_input, mx_node2(s, OP_conv_grad_input, x[0], x[1], 9, (int64_t[]){1, 2, 1, 0, 1, 1, 2, 0, 5}))
F(conv_grad_weight, mx_node2(s, OP_conv_grad_weight, x[0], x[1], 9, (int64_t[]){1, 2, 1, 0, 1, 1, 2, 0, 2}))
F(conv_transpose, mx_conv_transpose2d(s, x[0], x[1], 2, 1, 1, 0, 1, 2, 1, 0, 2))
F(rms_norm, mx_fast_rms_norm(s, x[0], x[1], 1e-3f))
F(layer_norm, mx_fast_layer_norm(s, x[0], x[1], x[2], 1e-3f))
/* The gradients of a norm, all results added up. x: cotangent, x, [weight] */
static mx_array *norm_vjp(mx_scope *s, mx_opcode op, mx_array *const *x, bool weight, bool bias) {
  mx_array *out[3], *sum = NULL;
  int n = 1 + weight + bias;
  if (mx_node_multi(s, op, 2 + weight, x, 2 + (op == OP_layer_norm_vjp), (int64_t[]){mx_bits(1e-3), weight, bias}, NULL, n, out)) return NULL;
  for (int i = 0; i < n; i++) sum = i ? mx_add(s, sum, mx_mul_k(s, out[i], 1 + 0.5 * i)) : out[i];
  return sum;
}
F(rms_norm_vjp, norm_vjp(s, OP_rms_norm_vjp, x, true, false))
F(rms_norm_vjp_bare, norm_vjp(s, OP_rms_norm_vjp, x, false, false))
F(layer_norm_vjp, norm_vjp(s, OP_layer_norm_vjp, x, true, true))
F(layer_norm_vjp_bias, norm_vjp(s, OP_layer_norm_vjp, x, false, true))
F(layer_norm_bare, mx_fast_layer_norm(s, x[0], NULL, NULL, 1e-3f))
F(var, mx_var_axes(s, x[0], INTS(0, 1), false, 1))
F(median, mx_median(s, x[0], INTS(1), false))
F(einsum, mx_einsum(s, "bij,jk,bk->ib", 3, x))
F(einsum_diagonal, mx_einsum(s, "iij,kj->k", 2, x))
F(attention, mx_fast_scaled_dot_product_attention(s, x[0], x[1], x[2], 0.7f, "causal", NULL, NULL))
F(rope, mx_fast_rope(s, x[0], 4, true, (float[]){100}, 0.5f, 3, NULL))
F(diagonal, mx_diagonal(s, x[0], 1, 0, 2))
F(norm, mx_linalg_norm(s, x[0], 3, INTS(1), false))
F(pad_edge, mx_pad(s, x[0], INTS(0, 1), INTS(1, 0), INTS(0, 2), mx_scalar(s, MX_F64, 0), "edge"))
/* a (..., N, N) made well conditioned: symmetric and positive definite, or with a strong diagonal. */
static mx_array *definite(mx_scope *s, mx_array *a) {
  mx_array *eye = a ? mx_eye(s, a->shape[a->ndim - 1], a->shape[a->ndim - 1], 0, MX_F64) : NULL;
  return mx_add(s, mx_matmul(s, a, mx_swapaxes(s, a, -1, -2)), eye);
}
static mx_array *strong(mx_scope *s, mx_array *a) {
  return mx_add(s, a, mx_mul_k(s, a ? mx_eye(s, a->shape[a->ndim - 1], a->shape[a->ndim - 1], 0, MX_F64) : NULL, 3));
}
/* Result i of an op with several. */
static mx_array *one_of(mx_scope *s, mx_opcode op, mx_array *a, int np, int nout, int i) {
  mx_array *res[3] = {NULL};
  int64_t p = 0;
  if (a) mx_node_multi(s, op, 1, &a, np, &p, NULL, nout, res);
  return res[i];
}
/* Rows of 32 packed codes of 4 bits. */
static mx_array *words(mx_scope *s, int nd, const int32_t *shape) {
  uint32_t v[16];
  for (uint32_t i = 0; i < 16; i++) v[i] = 0x9e3779b9u * (i + 1);
  return mx_own(s, mx_array_from_data(MX_U32, nd, shape, v));
}
#define WORDS(...) words(s, sizeof((int32_t[]){__VA_ARGS__}) / 4, (int32_t[]){__VA_ARGS__})
F(dequantize, mx_dequantize(s, WORDS(3, 4), x[0], x[1], INTS1(32), NULL, "affine", NULL, NULL))
F(qmm, mx_quantized_matmul(s, x[0], WORDS(3, 4), x[1], x[2], true, INTS1(32), NULL, "affine"))
F(qmm_plain, mx_quantized_matmul(s, x[0], WORDS(2, 2, 4), x[1], x[2], false, INTS1(32), NULL, "affine"))
F(qmm_float, mx_quantized_matmul(s, x[0], WORDS(3, 4), mx_full(s, INTS(3, 1), mx_scalar(s, MX_U8, 126), MX_U8), NULL, true, NULL, NULL, "mxfp4"))
F(gather_qmm, mx_gather_qmm(s, x[0], WORDS(2, 2, 4), x[1], x[2], IDX(1, 0, 1), IDX(-1, 1, 0), true, INTS1(32), NULL, "affine", false))
F(inv, mx_linalg_inv(s, strong(s, x[0])))
F(solve, mx_linalg_solve(s, strong(s, x[0]), x[1]))
F(solve_upper, mx_linalg_solve_triangular(s, strong(s, x[0]), x[1], true))
F(cholesky, mx_linalg_cholesky(s, definite(s, x[0]), false))
F(det, mx_linalg_det(s, x[0]))
F(slogdet, one_of(s, OP_slogdet, strong(s, x[0]), 0, 2, 1))
F(expm, mx_linalg_expm(s, x[0]))
static mx_array *f_lstsq(mx_scope *s, mx_array *const *x) {
  mx_array *res[4];
  return x[0] && x[1] && !mx_linalg_lstsq(s, res, x[0], x[1], NULL) ? res[0] : NULL;
}
F(qr_q, one_of(s, OP_qr, x[0], 0, 2, 0))
F(qr_r, one_of(s, OP_qr, x[0], 0, 2, 1))
F(svd_s, one_of(s, OP_svd, x[0], 0, 3, 1))
F(svd_u, mx_square(s, one_of(s, OP_svd, x[0], 0, 3, 0)))
F(svdvals, mx_node1(s, OP_svdvals, x[0], 0, NULL))
F(eigh_v, mx_square(s, one_of(s, OP_eigh, definite(s, x[0]), 1, 2, 1)))
F(eigvalsh, mx_linalg_eigvalsh(s, definite(s, x[0]), "L"))
static mx_array *f_depends(mx_scope *s, mx_array *const *x) {
  mx_list l = {0};
  mx_depends(s, &l, 1, (mx_array *[]){x[0]}, 1, (mx_array *[]){x[1]});
  mx_array *r = l.n ? mx_own(s, mx_retain(l.at[0])) : NULL;
  mx_list_clear(&l);
  return r;
}

/* true, false, true / true, true, false: four trues */
static mx_array *mask(mx_scope *s) { return mx_own(s, mx_array_from_data(MX_BOOL, 2, (int32_t[]){2, 3}, (uint8_t[]){1, 0, 1, 1, 1, 0})); }
static mx_array *compress(mx_scope *s, mx_array *x, int64_t size) { return mx_node2(s, OP_compress, x, mask(s), 2, (int64_t[]){0, size}); }
F(compress, compress(s, x[0], 4))
F(compress_less, compress(s, x[0], 3))
F(compress_more, compress(s, x[0], 5))
F(masked_select, mx_masked_select(s, x[0], mask(s), 1, (int[]){5}, NULL))
F(masked_scatter, mx_masked_scatter(s, x[0], mask(s), x[1]))
F(masked_scatter_short, mx_node(s, OP_masked_scatter, 3, (mx_array *[]){x[0], mask(s), x[1]}, 2, (int64_t[]){0, 0}))
F(bincount, mx_bincount(s, IDX(3, 0, 1, 3, 3), x[0], 0, (int[]){5}))
static const row rows[] = {
    {"reshape", OP_reshape, f_reshape, "2,6", 0},
    {"transpose", OP_transpose, f_transpose, "2,3,4", 0},
    {"slice", OP_slice, f_slice, "4,3", 0},
    {"slice with steps", OP_slice, f_slice_steps, "4,3", 0},
    {"broadcast_to", OP_broadcast_to, f_broadcast, "2,1", 0},
    {"expand_dims", OP_expand_dims, f_expand, "2,3", 0},
    {"squeeze", OP_squeeze, f_squeeze, "1,3,1", 0},
    {"as_strided", OP_as_strided, f_strided, "7", 0},
    {"as_strided_grad", OP_as_strided_grad, f_strided_grad, "2,3", 0},
    {"copy", OP_copy, f_copy, "2,3", 0},
    {"contiguous", OP_contiguous, f_contiguous, "2,3", 0},
    {"concatenate", OP_concatenate, f_concatenate, "2,3;2,1", 0},
    {"pad", OP_pad, f_pad, "2,3;", 0},
    {"pad with edges", OP_pad, f_pad_edge, "2,3", 0},
    {"slice_update assign", OP_slice_update, f_update_assign, "4,3;2,3", 0},
    {"slice_update add", OP_slice_update, f_update_add, "4,3;2,3", 0},
    {"slice_update multiply", OP_slice_update, f_update_multiply, "4,3;2,3", 0},
    {"slice_update maximum", OP_slice_update, f_update_maximum, "4,3;2,3", 0},
    {"slice_update minimum", OP_slice_update, f_update_minimum, "4,3;2,3", 0},
    {"dynamic_slice", OP_dynamic_slice, f_dynamic_slice, "4,3", 0},
    {"dynamic_slice_update", OP_dynamic_slice_update, f_dynamic_update, "2,4;2,2", 0},
    {"gather", OP_gather, f_gather, "3,2,3", 0},
    {"take", OP_gather, f_take, "2,3", 0},
    {"scatter assign", OP_scatter, f_scatter_assign, "3,2;3,1,1", 0},
    {"scatter add", OP_scatter, f_scatter_add, "3,2;3,1,1", 0},
    {"scatter multiply", OP_scatter, f_scatter_multiply, "3,2;3,1,1", 0},
    {"scatter maximum", OP_scatter, f_scatter_maximum, "3,2;3,1,1", 0},
    {"scatter minimum", OP_scatter, f_scatter_minimum, "3,2;3,1,1", 0},
    {"compress", OP_compress, f_compress, "2,3,2", 0},
    {"compress, one left out", OP_compress, f_compress_less, "2,3,2", 0},
    {"compress, filled up", OP_compress, f_compress_more, "2,3", 0},
    {"masked_select of inner axes", OP_compress, f_masked_select, "2,2,3", 0},
    {"masked_scatter", OP_masked_scatter, f_masked_scatter, "2,3,2;5,2", 0},
    {"masked_scatter, too few", OP_masked_scatter, f_masked_scatter_short, "2,3,2;3,2", 0},
    {"bincount", OP_bincount, f_bincount, "5", 0},
    {"gather_axis", OP_gather_axis, f_gather_axis, "2,3", 0},
    {"scatter_axis", OP_scatter_axis, f_scatter_axis, "2,3;2,2", 0},
    {"scatter_axis add", OP_scatter_axis, f_scatter_axis_add, "2,3;2,2", 0},
    {"sum", OP_sum, f_sum, "2,3,2", 0},
    {"prod", OP_prod, f_prod, "2,3,2", 0},
    {"prod of all", OP_prod, f_prod_all, "4", 0},
    {"max", OP_max, f_max, "3,4", 0},
    {"min", OP_min, f_min, "3,4", 0},
    {"cumsum", OP_cumsum, f_cumsum, "2,4", 0},
    {"cumprod", OP_cumprod, f_cumprod, "2,4", 0},
    {"cumprod exclusive", OP_cumprod, f_cumprod_exclusive, "2,4", 0},
    {"cummax", OP_cummax, f_cummax, "2,4", 0},
    {"cummin", OP_cummin, f_cummin, "3,2", 0},
    {"logcumsumexp", OP_logcumsumexp, f_logcumsumexp, "2,4", 0},
    {"logcumsumexp reverse", OP_logcumsumexp, f_logcumsumexp_reverse, "2,4", 0},
    {"softmax", OP_softmax, f_softmax, "2,4", 0},
    {"softmax over axes", OP_softmax, f_softmax_axes, "2,3,2", 0},
    {"logsumexp", OP_logsumexp, f_logsumexp, "2,3,2", 0},
    {"sort", OP_sort, f_sort, "4,2", 0},
    {"partition", OP_partition, f_partition, "2,4", 0},
    {"topk", OP_partition, f_topk, "2,4", 0},
    {"matmul", OP_matmul, f_matmul, "2,3,4;4,2", 0},
    {"matmul of batches", OP_matmul, f_matmul, "2,1,2,3;3,3,2", 0},
    {"matmul of a vector", OP_matmul, f_matmul, "3;2,3,2", 0},
    {"matmul by a turned matrix", OP_matmul, f_matmul_turned, "3,4;2,4", 0},
    {"matmul of batches by a turned matrix", OP_matmul, f_matmul_turned, "2,3,4;2,4", 0},
    {"addmm", OP_addmm, f_addmm, "2;3,4;4,2", 0},
    {"addmm of batches", OP_addmm, f_addmm, "3,1;2,3,4;4,2", 0},
    {"gather_mm", OP_gather_mm, f_gather_mm, "3,2,3;2,3,2", 0},
    {"conv", OP_conv, f_conv, "2,4,3,2;3,2,2,2", 0},
    {"conv flipped in groups", OP_conv, f_conv_flip, "1,4,3,2;2,2,2,1", 0},
    {"conv1d", OP_conv, f_conv1d, "2,5,2;3,3,2", 0},
    {"conv_grad_input", OP_conv_grad_input, f_conv_grad_input, "2,3,4;4,2,3", 0},
    {"conv_grad_weight", OP_conv_grad_weight, f_conv_grad_weight, "2,5,6;2,3,4", 0},
    {"conv_transpose", OP_conv_grad_input, f_conv_transpose, "1,3,2,2;4,2,2,1", 0},
    {"dequantize", OP_dequantize, f_dequantize, "3,1;3,1", 0},
    {"quantized_matmul", OP_quantized_matmul, f_qmm, "2,2,32;3,1;3,1", 0},
    {"quantized_matmul not transposed", OP_quantized_matmul, f_qmm_plain, "3,2;2,2,1;2,2,1", 0},
    {"quantized_matmul of small floats", OP_quantized_matmul, f_qmm_float, "2,32", 0},
    {"gather_qmm", OP_gather_qmm, f_gather_qmm, "2,2,32;2,2,1;2,2,1", 0},
    {"rms_norm", OP_rms_norm, f_rms_norm, "2,3,4;4", 0},
    {"layer_norm", OP_layer_norm, f_layer_norm, "2,4;4;4", 0},
    {"layer_norm without weights", OP_layer_norm, f_layer_norm_bare, "2,4", 0},
    {"rms_norm_vjp", OP_rms_norm_vjp, f_rms_norm_vjp, "2,3,4;2,3,4;4", 0},
    {"rms_norm_vjp without a weight", OP_rms_norm_vjp, f_rms_norm_vjp_bare, "2,4;2,4", 0},
    {"layer_norm_vjp", OP_layer_norm_vjp, f_layer_norm_vjp, "3,4;3,4;4", 0},
    {"layer_norm_vjp with a bias alone", OP_layer_norm_vjp, f_layer_norm_vjp_bias, "3,4;3,4", 0},
    {"depends", OP_depends, f_depends, "2;3", 0},
    {"var", OP_sum, f_var, "2,3", 0},
    {"median", OP_sort, f_median, "2,4", 0},
    {"einsum", OP_matmul, f_einsum, "2,3,2;2,3;2,3", 0},
    {"einsum with a diagonal", OP_matmul, f_einsum_diagonal, "2,2,3;2,3", 0},
    {"attention", OP_matmul, f_attention, "1,4,2,3;1,2,3,3;1,2,3,2", 0},
    {"rope", OP_slice, f_rope, "1,2,3,6", 0},
    {"diagonal", OP_gather, f_diagonal, "3,2,3", 0},
    {"norm", OP_sum, f_norm, "2,3", POSITIVE},
    {"inverse", OP_inverse, f_inv, "2,3,3", 0},
    {"solve", OP_solve, f_solve, "3,3;3,2", 0},
    {"solve_triangular", OP_solve_triangular, f_solve_upper, "3,3;3,2", 0},
    {"cholesky", OP_cholesky, f_cholesky, "3,3", 0},
    {"det", OP_det, f_det, "2,3,3", 0},
    {"slogdet", OP_slogdet, f_slogdet, "3,3", 0},
    {"lstsq", OP_lstsq, f_lstsq, "2,4,3;2,4,2", 0},
    {"lstsq, underdetermined", OP_lstsq, f_lstsq, "2,3;2,2", 0},
    {"expm", OP_expm, f_expm, "2,3,3", 0},
    {"qr: wide", OP_qr, f_qr_r, "2,4", 0},
    {"qr: Q", OP_qr, f_qr_q, "3,2", 0},
    {"qr: R", OP_qr, f_qr_r, "3,2", 0},
    {"svd: S", OP_svd, f_svd_s, "3,2", 0},
    {"svd: U", OP_svd, f_svd_u, "2,2", 0},
    {"svdvals", OP_svdvals, f_svdvals, "2,3", 0},
    {"eigh: V", OP_eigh, f_eigh_v, "2,2", 0},
    {"eigvalsh", OP_eigvalsh, f_eigvalsh, "3,3", 0},
};
enum { ROWS = sizeof rows / sizeof *rows, MAX_IN = 3 };

/* Ops without a derivative, without float64, or that only the transforms build; their rules are checked elsewhere. */
static const mx_opcode no_derivative[] = {OP_primitive, OP_view,      OP_stop_gradient, OP_pick,    OP_custom,      OP_argmin, OP_argmax,
                                          OP_argsort,   OP_argpartition,  OP_arange,  OP_random_bits, OP_all,    OP_any,
                                          OP_random_loggamma, OP_random_poisson, OP_loggamma_grad, OP_lu_factor, OP_eig,           OP_eigvals, OP_fft,
                                          OP_nonzero,   OP_searchsorted,
                                          OP_rfft,      OP_irfft,
                                          OP_to_fp8,    OP_from_fp8,      OP_quantize, OP_rope, OP_attention, OP_attention_vjp, OP_lstm, OP_lstm_vjp, OP_batch_norm, OP_batch_norm_vjp, OP_loop,      OP_while_loop, OP_cond, OP_compiled, OP_recorded};

static void test_every_op_has_a_row(void **state) {
  (void)state;
  for (int op = OP_elementwise_end + 1; op < MX_OPS; op++) {
    bool found = op == OP_reduce_end;
    for (size_t i = 0; i < ROWS; i++) found = found || rows[i].op == (mx_opcode)op;
    for (size_t i = 0; i < sizeof no_derivative / sizeof *no_derivative; i++) found = found || no_derivative[i] == (mx_opcode)op;
    if (!found) fail_msg("%s has no row in this table", mx_ops[op].name);
    if (op != OP_reduce_end) {
      assert_non_null(mx_ops[op].infer);
      assert_non_null(mx_ops[op].vjp);
      assert_non_null(mx_ops[op].jvp);
      assert_non_null(mx_ops[op].vmap);
    }
  }
}

/* ---- arrays of doubles ---- */

static uint64_t seed;
static double uniform(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) * 0x1p-53;
}

static mx_array *sample(int nd, const int32_t *shape, int flags) {
  int64_t n = 1;
  for (int i = 0; i < nd; i++) n *= shape[i];
  double *v = calloc((size_t)n + 1, sizeof *v);
  for (int64_t i = 0; i < n; i++) v[i] = flags & POSITIVE ? 0.5 + uniform() : 2 * uniform() - 1;
  mx_array *a = mx_array_from_data(MX_F64, nd, shape, v);
  free(v);
  assert_non_null(a);
  return a;
}

/* The elements in row order; the caller frees. */
static double *values(mx_array *a) {
  assert_int_equal(a->dtype, MX_F64);
  if (mx_eval(1, &a)) fail_msg("eval: %s", mx_error_message());
  double *v = calloc((size_t)a->size + 1, sizeof *v);
  for (int64_t i = 0; i < a->size; i++) {
    int64_t at = 0, left = i;
    for (int d = a->ndim - 1; d >= 0; d--) {
      at += left % a->shape[d] * a->strides[d];
      left /= a->shape[d];
    }
    v[i] = ((double *)a->data)[at];
  }
  return v;
}

static double dot(mx_array *a, mx_array *b) {
  assert_int_equal(a->size, b->size);
  double *x = values(a), *y = values(b), sum = 0;
  for (int64_t i = 0; i < a->size; i++) sum += x[i] * y[i];
  free(x);
  free(y);
  return sum;
}

static void expect_near(const char *what, const row *r, double got, double want) {
  if (!(fabs(got - want) <= 2e-5 * (1 + fabs(want)))) fail_msg("%s of %s: got %.9g, expected %.9g", what, r->name, got, want);
}

static void expect_equal(const char *what, const row *r, mx_array *a, mx_array *b) {
  if (!mx_same_shape(a, b)) fail_msg("%s of %s: shape %s, expected %s", what, r->name, mx_shape_of(a), mx_shape_of(b));
  double *x = values(a), *y = values(b);
  for (int64_t i = 0; i < a->size; i++)
    if (!(fabs(x[i] - y[i]) <= 1e-9 * (1 + fabs(y[i]))))
      fail_msg("%s of %s: element %d is %.12g, expected %.12g", what, r->name, (int)i, x[i], y[i]);
  free(x);
  free(y);
}

/* "2,3;4;" -> shapes */
static int inputs_of(const row *r, mx_array **x, int extra_axis, int extra) {
  int n = 0, nd = 0;
  int32_t shape[MX_MAX_NDIM];
  for (const char *c = r->shapes;; c++) {
    if (*c >= '0' && *c <= '9') {
      char *end;
      shape[nd++] = (int32_t)strtol(c, &end, 10);
      c = end;
    }
    if (*c && *c != ';') continue;
    if (extra > 0) {
      int at = extra_axis < 0 ? nd : extra_axis;
      memmove(shape + at + 1, shape + at, sizeof *shape * (size_t)(nd - at));
      shape[at] = extra;
      nd++;
    }
    x[n++] = sample(nd, shape, r->flags);
    nd = 0;
    if (!*c) return n;
  }
}

static void release_all(int n, mx_array **x) {
  for (int i = 0; i < n; i++) mx_release(x[i]);
}

/* ---- calling ---- */

static int call_row(void *payload, int nin, mx_array *const *in, mx_list *out) {
  (void)nin;
  const row *r = payload;
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_array *y = r->f(&s, in);
  int pushed = y ? mx_list_push(out, y) : 0, rc = mx_scope_end(&s);
  return rc ? rc : pushed;
}

static mx_array *apply(const row *r, mx_array *const *x) {
  mx_list out = {0};
  int rc = call_row((void *)(uintptr_t)r, 0, x, &out);
  if (rc || out.n != 1) fail_msg("%s: %s", r->name, mx_error_message());
  mx_array *y = mx_retain(out.at[0]);
  mx_list_clear(&out);
  return y;
}

static void pull(const row *r, mx_closure *f, int n, mx_array *const *x, mx_array *cot, mx_list *grads) {
  mx_list out = {0};
  (void)r;
  if (mx_vjp(f, n, x, 1, &cot, &out, grads)) fail_msg("vjp of %s: %s", r->name, mx_error_message());
  mx_list_clear(&out);
}

static mx_array *push(const row *r, mx_closure *f, int n, mx_array *const *x, mx_array *const *t) {
  mx_list out = {0}, tan = {0};
  if (mx_jvp(f, n, x, n, t, &out, &tan)) fail_msg("jvp of %s: %s", r->name, mx_error_message());
  mx_array *y = mx_retain(tan.at[0]);
  mx_list_clear(&out);
  mx_list_clear(&tan);
  return y;
}

/* x + h t for all inputs */
static void moved(int n, mx_array *const *x, mx_array *const *t, double h, mx_array **res) {
  for (int i = 0; i < n; i++) {
    double *v = values(x[i]), *d = values(t[i]);
    for (int64_t k = 0; k < x[i]->size; k++) v[k] += h * d[k];
    res[i] = mx_array_from_data(MX_F64, x[i]->ndim, x[i]->shape, v);
    free(v);
    free(d);
  }
}

static void test_gradients(void **state) {
  const row *r = *state;
  mx_array *x[MAX_IN], *t[MAX_IN], *up[MAX_IN], *down[MAX_IN];
  seed = 7;
  int n = inputs_of(r, x, 0, 0);
  inputs_of(&(row){.shapes = r->shapes}, t, 0, 0);
  mx_closure *f = mx_closure_new(call_row, (void *)(uintptr_t)r, NULL);
  mx_array *y = apply(r, x), *cot = sample(y->ndim, y->shape, 0);
  const double h = 1e-5;
  moved(n, x, t, h, up);
  moved(n, x, t, -h, down);
  mx_array *yu = apply(r, up), *yd = apply(r, down);
  double want = (dot(yu, cot) - dot(yd, cot)) / (2 * h);

  mx_list grads = {0};
  pull(r, f, n, x, cot, &grads);
  double got = 0;
  for (int i = 0; i < n; i++) {
    if (!mx_same_shape(grads.at[i], x[i]))
      fail_msg("gradient of %s: shape %s for %s", r->name, mx_shape_of(grads.at[i]), mx_shape_of(x[i]));
    got += dot(grads.at[i], t[i]);
  }
  expect_near("gradient", r, got, want);

  mx_array *dy = push(r, f, n, x, t);
  if (!mx_same_shape(dy, y)) fail_msg("tangent of %s: shape %s, expected %s", r->name, mx_shape_of(dy), mx_shape_of(y));
  expect_near("tangent", r, dot(dy, cot), want);
  for (int i = 0; i < n; i++) { /* one tangent alone: the others are absent or zero */
    mx_array *alone[MAX_IN];
    mx_scope s;
    mx_scope_begin(&s, 0);
    for (int k = 0; k < n; k++) alone[k] = k == i ? t[k] : mx_zeros_like(&s, t[k]);
    mx_array *d = push(r, f, n, x, alone);
    expect_near("tangent of one input", r, dot(d, cot), dot(grads.at[i], t[i]));
    mx_release(d);
    mx_scope_end(&s);
  }
  mx_release(dy);
  mx_list_clear(&grads);
  mx_release(yu);
  mx_release(yd);
  mx_release(y);
  mx_release(cot);
  release_all(n, x);
  release_all(n, t);
  release_all(n, up);
  release_all(n, down);
  mx_object_release(&f->base);
}

/* sum over the inputs of <gradient, t>, as a function of the inputs: its gradient is checked against its own differences. */
typedef struct inner {
  const row *r;
  mx_closure *f;
  mx_array *cot;
  mx_array **t;
  int n;
} inner;

static int call_inner(void *payload, int nin, mx_array *const *in, mx_list *out) {
  inner *p = payload;
  mx_list values = {0}, grads = {0};
  int rc = mx_vjp(p->f, nin, in, 1, &p->cot, &values, &grads);
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_array *sum = mx_scalar(&s, MX_F64, 0);
  for (int i = 0; i < grads.n; i++) sum = mx_add(&s, sum, mx_sum(&s, mx_multiply(&s, grads.at[i], p->t[i]), false));
  if (!rc && sum) rc = mx_list_push(out, sum);
  mx_list_clear(&values);
  mx_list_clear(&grads);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

static double inner_value(inner *p, mx_array *const *x) {
  mx_list out = {0};
  if (call_inner(p, p->n, x, &out)) fail_msg("gradient of %s: %s", p->r->name, mx_error_message());
  double *v = values(out.at[0]), d = v[0];
  free(v);
  mx_list_clear(&out);
  return d;
}

static void test_second_gradients(void **state) {
  const row *r = *state;
  if (r->flags & NO_SECOND) skip();
  mx_array *x[MAX_IN], *t[MAX_IN], *d[MAX_IN], *up[MAX_IN], *down[MAX_IN];
  seed = 11;
  int n = inputs_of(r, x, 0, 0);
  inputs_of(&(row){.shapes = r->shapes}, t, 0, 0);
  inputs_of(&(row){.shapes = r->shapes}, d, 0, 0);
  mx_closure *f = mx_closure_new(call_row, (void *)(uintptr_t)r, NULL);
  mx_array *y = apply(r, x);
  inner p = {r, f, sample(y->ndim, y->shape, 0), t, n};
  mx_closure *g = mx_closure_new(call_inner, &p, NULL);
  const double h = 1e-5;
  moved(n, x, d, h, up);
  moved(n, x, d, -h, down);
  double want = (inner_value(&p, up) - inner_value(&p, down)) / (2 * h);
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_list grads = {0};
  pull(r, g, n, x, mx_scalar(&s, MX_F64, 1), &grads);
  double got = 0;
  for (int i = 0; i < n; i++) got += dot(grads.at[i], d[i]);
  expect_near("gradient of the gradient", r, got, want);
  mx_array *forward = push(r, g, n, x, d);
  double *v = values(forward);
  expect_near("tangent of the gradient", r, v[0], want);
  free(v);
  mx_release(forward);
  mx_list_clear(&grads);
  mx_scope_end(&s);
  mx_release(y);
  mx_release(p.cot);
  release_all(n, x);
  release_all(n, t);
  release_all(n, d);
  release_all(n, up);
  release_all(n, down);
  mx_object_release(&g->base);
  mx_object_release(&f->base);
}

/* ---- vmap: each choice of mapped inputs, the axis first or last ---- */

static void check_batched(const row *r, mx_closure *f, int choice, int axis, int out_axis) {
  enum { BATCH = 3 };
  mx_array *x[MAX_IN], *plain[MAX_IN], *one[MAX_IN];
  int in_axes[MAX_IN];
  seed = 23;
  int n = inputs_of(r, x, axis, BATCH);
  inputs_of(r, plain, 0, 0);
  for (int i = 0; i < n; i++) {
    bool mapped = choice >> i & 1;
    in_axes[i] = mapped ? (axis < 0 ? x[i]->ndim - 1 : axis) : -1;
    if (!mapped) {
      mx_release(x[i]);
      x[i] = mx_retain(plain[i]);
    }
  }
  mx_list ti = {0}, to = {0}, res = {0};
  if (mx_vmap_trace(f, n, x, in_axes, &ti, &to)) fail_msg("vmap of %s: %s", r->name, mx_error_message());
  int at = out_axis < 0 ? to.at[0]->ndim : 0;
  if (mx_vmap_replace(n, x, ti.at, in_axes, 1, to.at, &at, &res))
    fail_msg("vmap of %s, inputs %d: %s", r->name, choice, mx_error_message());
  mx_scope s;
  mx_scope_begin(&s, 0);
  for (int b = 0; b < BATCH; b++) {
    for (int i = 0; i < n; i++)
      one[i] = in_axes[i] < 0 ? x[i] : mx_squeeze_axis(&s, mx_slice_axis(&s, x[i], in_axes[i], b, b + 1), in_axes[i]);
    mx_array *want = apply(r, one), *got = mx_squeeze_axis(&s, mx_slice_axis(&s, res.at[0], at, b, b + 1), at);
    if (!got) fail_msg("vmap of %s: %s", r->name, mx_error_message());
    expect_equal("vmap", r, got, want);
    mx_release(want);
  }
  mx_scope_end(&s);
  mx_list_clear(&res);
  mx_list_clear(&ti);
  mx_list_clear(&to);
  release_all(n, x);
  release_all(n, plain);
}

static void test_batching(void **state) {
  const row *r = *state;
  mx_closure *f = mx_closure_new(call_row, (void *)(uintptr_t)r, NULL);
  mx_array *x[MAX_IN];
  int n = inputs_of(r, x, 0, 0);
  release_all(n, x);
  for (int choice = 1; choice < 1 << n; choice++)
    for (int axis = -1; axis <= 0; axis++) {
      if (r->op == OP_depends && !(choice & 1)) continue; /* the result would not be mapped */
      check_batched(r, f, choice, axis, -1 - axis);
    }
  mx_object_release(&f->base);
}

/* ---- each allocation fails in turn: an error every time, and success in the end ---- */

static int build_all(mx_closure *f, int n, mx_array *const *x, mx_array *const *batched, mx_array *cot) {
  mx_list out = {0}, more = {0}, res = {0};
  int axes[MAX_IN] = {0}, rc = mx_vjp(f, n, x, 1, &cot, &out, &more);
  mx_list_clear(&out);
  mx_list_clear(&more);
  if (!rc) rc = mx_jvp(f, n, x, n, x, &out, &more);
  mx_list_clear(&out);
  mx_list_clear(&more);
  if (!rc) rc = mx_vmap_trace(f, n, batched, axes, &out, &more);
  if (!rc) rc = mx_vmap_replace(n, batched, out.at, axes, 1, more.at, axes, &res);
  mx_list_clear(&out);
  mx_list_clear(&more);
  mx_list_clear(&res);
  return rc;
}

static void test_failing_allocations(void **state) {
  const row *r = *state;
  mx_array *x[MAX_IN], *batched[MAX_IN];
  seed = 3;
  int n = inputs_of(r, x, 0, 0), rc = 1;
  inputs_of(r, batched, 0, 2);
  mx_closure *f = mx_closure_new(call_row, (void *)(uintptr_t)r, NULL);
  mx_array *y = apply(r, x), *cot = sample(y->ndim, y->shape, 0);
  for (int64_t k = 0; rc; k++) {
    if (k > 100000) fail_msg("%s: never succeeds", r->name);
    mx_error_clear();
    mx_alloc_fail_after(k);
    rc = build_all(f, n, x, batched, cot);
    mx_alloc_fail_after(-1);
    if (rc && mx_error_kind() != MX_EMEMORY) fail_msg("%s, allocation %d: %s", r->name, (int)k, mx_error_message());
  }
  for (int64_t k = 0; k < 200; k++) { /* of integers: casts come in, or a refusal */
    mx_scope s;
    mx_list out = {0};
    mx_scope_begin(&s, 0);
    mx_array *ints[MAX_IN];
    for (int i = 0; i < n; i++) ints[i] = mx_astype(&s, x[i], MX_I16);
    mx_alloc_fail_after(k);
    call_row((void *)(uintptr_t)r, n, ints, &out);
    mx_alloc_fail_after(-1);
    mx_list_clear(&out);
    mx_scope_end(&s);
  }
  mx_release(y);
  mx_release(cot);
  release_all(n, x);
  release_all(n, batched);
  mx_object_release(&f->base);
}

int main(void) {
  static struct CMUnitTest tests[1 + 4 * ROWS];
  static char names[4 * ROWS][64];
  size_t n = 0;
  tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_every_op_has_a_row);
  CMUnitTestFunction f[4] = {test_gradients, test_second_gradients, test_batching, test_failing_allocations};
  const char *what[4] = {"gradients", "second gradients", "batching", "failing allocations"};
  const char *only = getenv("RULES_ONLY");
  for (size_t i = 0; i < ROWS; i++)
    for (int k = 0; k < 4; k++) {
      if (only && strcmp(only, rows[i].name)) continue;
      snprintf(names[4 * i + k], sizeof *names, "%s: %s", rows[i].name, what[k]);
      tests[n++] = (struct CMUnitTest){names[4 * i + k], f[k], NULL, NULL, (void *)(uintptr_t)&rows[i]};
    }
  return _cmocka_run_group_tests("rules", tests, n, NULL, NULL);
}
