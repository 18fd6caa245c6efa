/* The functions that build the graph, besides the element-wise ones: same names and argument order as the C API (mlx_sum_axes
 * -> mx_sum_axes), the scope first and no result argument. A vector of arrays is (int n, mx_array *const *); of integers (const
 * int *, size_t). Optional arrays, numbers and dtypes are pointers that may be NULL. A vector result is pushed on `out` and the
 * function gives 0 or the kind of the error; several results go to res[], borrowed from the scope. */
#ifndef MX_GRAPH_FUNCTIONS_H
#define MX_GRAPH_FUNCTIONS_H

#include "core/array.h"

typedef struct mx_scope mx_scope;

/* shape.c */
mx_array *mx_reshape(mx_scope *s, mx_array *a, const int *shape, size_t n);
mx_array *mx_flatten(mx_scope *s, mx_array *a, int start_axis, int end_axis);
mx_array *mx_unflatten(mx_scope *s, mx_array *a, int axis, const int *shape, size_t n);
mx_array *mx_transpose_axes(mx_scope *s, mx_array *a, const int *axes, size_t n);
mx_array *mx_transpose(mx_scope *s, mx_array *a);
mx_array *mx_matrix_transpose(mx_scope *s, mx_array *a);
mx_array *mx_swapaxes(mx_scope *s, mx_array *a, int axis1, int axis2);
mx_array *mx_moveaxis(mx_scope *s, mx_array *a, int source, int destination);
mx_array *mx_broadcast_to(mx_scope *s, mx_array *a, const int *shape, size_t n);
int mx_broadcast_arrays(mx_scope *s, mx_list *out, int n, mx_array *const *a);
mx_array *mx_expand_dims(mx_scope *s, mx_array *a, int axis);
mx_array *mx_expand_dims_axes(mx_scope *s, mx_array *a, const int *axes, size_t n);
mx_array *mx_squeeze(mx_scope *s, mx_array *a);
mx_array *mx_squeeze_axis(mx_scope *s, mx_array *a, int axis);
mx_array *mx_squeeze_axes(mx_scope *s, mx_array *a, const int *axes, size_t n);
mx_array *mx_atleast_1d(mx_scope *s, mx_array *a);
mx_array *mx_atleast_2d(mx_scope *s, mx_array *a);
mx_array *mx_atleast_3d(mx_scope *s, mx_array *a);
mx_array *mx_as_strided(mx_scope *s, mx_array *a, const int *shape, size_t n, const int64_t *strides, size_t nstrides,
                        size_t offset);
mx_array *mx_view_as(mx_scope *s, mx_array *a, mx_dtype dtype); /* mlx_view; mx_view is the type of backend.h */
mx_array *mx_copy(mx_scope *s, mx_array *a);
mx_array *mx_contiguous(mx_scope *s, mx_array *a, bool allow_col_major);
mx_array *mx_stop_gradient(mx_scope *s, mx_array *a);
int mx_depends(mx_scope *s, mx_list *out, int n, mx_array *const *inputs, int ndeps, mx_array *const *dependencies);
mx_array *mx_number_of_elements(mx_scope *s, mx_array *a, const int *axes, size_t n, bool inverted, mx_dtype dtype);
mx_array *mx_flip(mx_scope *s, mx_array *a, const int *axes, size_t n); /* axes NULL: all */

/* assemble.c */
mx_array *mx_concatenate(mx_scope *s, int n, mx_array *const *arrays);
mx_array *mx_concatenate_axis(mx_scope *s, int n, mx_array *const *arrays, int axis);
mx_array *mx_stack(mx_scope *s, int n, mx_array *const *arrays);
mx_array *mx_stack_axis(mx_scope *s, int n, mx_array *const *arrays, int axis);
int mx_split(mx_scope *s, mx_list *out, mx_array *a, int num_splits, int axis);
int mx_split_sections(mx_scope *s, mx_list *out, mx_array *a, const int *indices, size_t n, int axis);
int mx_unstack(mx_scope *s, mx_list *out, mx_array *a, int axis);
mx_array *mx_tile(mx_scope *s, mx_array *a, const int *reps, size_t n);
mx_array *mx_repeat(mx_scope *s, mx_array *a, int repeats);
mx_array *mx_repeat_axis(mx_scope *s, mx_array *a, int repeats, int axis);
mx_array *mx_pad(mx_scope *s, mx_array *a, const int *axes, size_t n, const int *low, size_t nlow, const int *high, size_t nhigh,
                 mx_array *value, const char *mode);
mx_array *mx_pad_symmetric(mx_scope *s, mx_array *a, int width, mx_array *value, const char *mode);
mx_array *mx_roll(mx_scope *s, mx_array *a, const int *shift, size_t n);
mx_array *mx_roll_axis(mx_scope *s, mx_array *a, const int *shift, size_t n, int axis);
mx_array *mx_roll_axes(mx_scope *s, mx_array *a, const int *shift, size_t n, const int *axes, size_t naxes);
int mx_meshgrid(mx_scope *s, mx_list *out, int n, mx_array *const *arrays, bool sparse, const char *indexing);

/* slice.c */
mx_array *mx_slice(mx_scope *s, mx_array *a, const int *start, size_t nstart, const int *stop, size_t nstop, const int *strides,
                   size_t nstrides);
mx_array *mx_slice_dynamic(mx_scope *s, mx_array *a, mx_array *start, const int *axes, size_t n, const int *size, size_t nsize);
mx_array *mx_slice_update(mx_scope *s, mx_array *src, mx_array *update, const int *start, size_t nstart, const int *stop,
                          size_t nstop, const int *strides, size_t nstrides);
mx_array *mx_slice_update_dynamic(mx_scope *s, mx_array *src, mx_array *update, mx_array *start, const int *axes, size_t n);
mx_array *mx_slice_update_add(mx_scope *s, mx_array *src, mx_array *update, const int *start, size_t nstart, const int *stop,
                              size_t nstop, const int *strides, size_t nstrides);
mx_array *mx_slice_update_max(mx_scope *s, mx_array *src, mx_array *update, const int *start, size_t nstart, const int *stop,
                              size_t nstop, const int *strides, size_t nstrides);
mx_array *mx_slice_update_min(mx_scope *s, mx_array *src, mx_array *update, const int *start, size_t nstart, const int *stop,
                              size_t nstop, const int *strides, size_t nstrides);
mx_array *mx_slice_update_prod(mx_scope *s, mx_array *src, mx_array *update, const int *start, size_t nstart, const int *stop,
                               size_t nstop, const int *strides, size_t nstrides);

/* index.c */
mx_array *mx_gather(mx_scope *s, mx_array *a, int n, mx_array *const *indices, const int *axes, size_t naxes, const int *sizes,
                    size_t nsizes);
mx_array *mx_gather_single(mx_scope *s, mx_array *a, mx_array *indices, int axis, const int *sizes, size_t nsizes);
mx_array *mx_take(mx_scope *s, mx_array *a, mx_array *indices);
mx_array *mx_take_axis(mx_scope *s, mx_array *a, mx_array *indices, int axis);
mx_array *mx_take_along_axis(mx_scope *s, mx_array *a, mx_array *indices, int axis);
mx_array *mx_put_along_axis(mx_scope *s, mx_array *a, mx_array *indices, mx_array *values, int axis);
mx_array *mx_scatter_add_axis(mx_scope *s, mx_array *a, mx_array *indices, mx_array *values, int axis);
#define SCATTER(name)                                                                                                \
  mx_array *mx_##name(mx_scope *s, mx_array *a, int n, mx_array *const *indices, mx_array *updates, const int *axes, \
                      size_t naxes);                                                                                 \
  mx_array *mx_##name##_single(mx_scope *s, mx_array *a, mx_array *indices, mx_array *updates, int axis);
SCATTER(scatter)
SCATTER(scatter_add)
SCATTER(scatter_prod)
SCATTER(scatter_max)
SCATTER(scatter_min)
#undef SCATTER

/* reduce.c */
#define REDUCE3(name)                                                            \
  mx_array *mx_##name(mx_scope *s, mx_array *a, bool keepdims);                  \
  mx_array *mx_##name##_axis(mx_scope *s, mx_array *a, int axis, bool keepdims); \
  mx_array *mx_##name##_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
REDUCE3(sum)
REDUCE3(prod)
REDUCE3(max)
REDUCE3(min)
REDUCE3(all)
REDUCE3(any)
REDUCE3(mean)
REDUCE3(logsumexp)
#undef REDUCE3
mx_array *mx_argmin(mx_scope *s, mx_array *a, bool keepdims);
mx_array *mx_argmin_axis(mx_scope *s, mx_array *a, int axis, bool keepdims);
mx_array *mx_argmax(mx_scope *s, mx_array *a, bool keepdims);
mx_array *mx_argmax_axis(mx_scope *s, mx_array *a, int axis, bool keepdims);
mx_array *mx_count_nonzero(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims); /* no axes: all */
int mx_minmax(mx_scope *s, mx_array *res[2], mx_array *a, const int *axes, size_t n, bool keepdims);

/* stats.c */
#define MOMENT3(name)                                                                      \
  mx_array *mx_##name(mx_scope *s, mx_array *a, bool keepdims, int ddof);                  \
  mx_array *mx_##name##_axis(mx_scope *s, mx_array *a, int axis, bool keepdims, int ddof); \
  mx_array *mx_##name##_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof);
MOMENT3(var)
MOMENT3(std)
#undef MOMENT3
mx_array *mx_median(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims); /* no axes: all */
mx_array *mx_softmax(mx_scope *s, mx_array *a, bool precise);
mx_array *mx_softmax_axis(mx_scope *s, mx_array *a, int axis, bool precise);
mx_array *mx_softmax_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool precise);
mx_array *mx_isclose(mx_scope *s, mx_array *a, mx_array *b, double rtol, double atol, bool equal_nan);
mx_array *mx_allclose(mx_scope *s, mx_array *a, mx_array *b, double rtol, double atol, bool equal_nan);
mx_array *mx_array_equal(mx_scope *s, mx_array *a, mx_array *b, bool equal_nan);

/* nan.c, quantile.c: no axes are all */
mx_array *mx_nansum(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
mx_array *mx_nanprod(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
mx_array *mx_nanmax(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
mx_array *mx_nanmin(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
mx_array *mx_nanmean(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
mx_array *mx_nanvar(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof);
mx_array *mx_nanstd(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims, int ddof);
mx_array *mx_nanmedian(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
mx_array *mx_nanargmax(mx_scope *s, mx_array *a, bool keepdims);
mx_array *mx_nanargmax_axis(mx_scope *s, mx_array *a, int axis, bool keepdims);
mx_array *mx_nanargmin(mx_scope *s, mx_array *a, bool keepdims);
mx_array *mx_nanargmin_axis(mx_scope *s, mx_array *a, int axis, bool keepdims);
mx_array *mx_nancumsum(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_nancumprod(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
#define QUANTILE(name) \
  mx_array *mx_##name(mx_scope *s, mx_array *a, mx_array *q, const int *axes, size_t n, const char *method, bool keepdims);
QUANTILE(quantile)
QUANTILE(percentile)
QUANTILE(nanquantile)
QUANTILE(nanpercentile)
#undef QUANTILE

/* moments.c, samples.c */
mx_array *mx_ptp(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);
int mx_average(mx_scope *s, mx_array *res[2], mx_array *a, mx_array *weights, const int *axes, size_t n, bool keepdims);
mx_array *mx_cov(mx_scope *s, mx_array *m, mx_array *y, bool rowvar, int ddof, mx_array *fweights, mx_array *aweights);
mx_array *mx_corrcoef(mx_scope *s, mx_array *m, mx_array *y, bool rowvar);
mx_array *mx_interp(mx_scope *s, mx_array *x, mx_array *xp, mx_array *fp, mx_array *left, mx_array *right, mx_array *period);
mx_array *mx_trapezoid(mx_scope *s, mx_array *y, mx_array *x, double dx, int axis);
int mx_gradient(mx_scope *s, mx_list *out, mx_array *f, int nspacing, mx_array *const *spacing, const int *axes, size_t naxes,
                int edge_order);

/* sort.c */
mx_array *mx_sort(mx_scope *s, mx_array *a);
mx_array *mx_sort_axis(mx_scope *s, mx_array *a, int axis);
mx_array *mx_argsort(mx_scope *s, mx_array *a);
mx_array *mx_argsort_axis(mx_scope *s, mx_array *a, int axis);
mx_array *mx_sort_descending(mx_scope *s, mx_array *a, int axis);
mx_array *mx_argsort_descending(mx_scope *s, mx_array *a, int axis);
mx_array *mx_partition(mx_scope *s, mx_array *a, int kth);
mx_array *mx_partition_axis(mx_scope *s, mx_array *a, int kth, int axis);
mx_array *mx_argpartition(mx_scope *s, mx_array *a, int kth);
mx_array *mx_argpartition_axis(mx_scope *s, mx_array *a, int kth, int axis);
mx_array *mx_topk(mx_scope *s, mx_array *a, int k);
mx_array *mx_topk_axis(mx_scope *s, mx_array *a, int k, int axis);

/* sets.c; size NULL: as long as the values say, which evaluates what decides it */
int mx_nonzero(mx_scope *s, mx_list *out, mx_array *a, const int *size, int fill);
mx_array *mx_argwhere(mx_scope *s, mx_array *a, const int *size, int fill);
mx_array *mx_flatnonzero(mx_scope *s, mx_array *a, const int *size, int fill);
/* The elements under a mask that stands for the dimensions from axis on. fill may be NULL: zeros. */
mx_array *mx_masked_select(mx_scope *s, mx_array *a, mx_array *mask, int axis, const int *size, mx_array *fill);
/* The true places of the mask take the elements of src in order. mask stands for a's leading dimensions. */
mx_array *mx_masked_scatter(mx_scope *s, mx_array *a, mx_array *mask, mx_array *src);
mx_array *mx_repeat_each(mx_scope *s, mx_array *a, mx_array *repeats, int axis);
int mx_unique(mx_scope *s, mx_list *out, mx_array *a, const int *size, mx_array *fill);
mx_array *mx_isin(mx_scope *s, mx_array *a, mx_array *test, bool invert);
mx_array *mx_bincount(mx_scope *s, mx_array *x, mx_array *weights, int minlength, const int *length);

/* histogram.c */
mx_array *mx_searchsorted(mx_scope *s, mx_array *sorted, mx_array *values, bool right);
mx_array *mx_digitize(mx_scope *s, mx_array *x, mx_array *bins, bool right);
mx_array *mx_histogram_bin_edges(mx_scope *s, mx_array *a, int bins, mx_array *range);
int mx_histogram(mx_scope *s, mx_array *res[2], mx_array *a, int bins, mx_array *edges, mx_array *range, mx_array *weights, bool density);

/* scan.c */
mx_array *mx_cumsum(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_cumprod(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_cummax(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_cummin(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_cumsum_initial(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_cumprod_initial(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_logcumsumexp(mx_scope *s, mx_array *a, int axis, bool reverse, bool inclusive);
mx_array *mx_diff(mx_scope *s, mx_array *a, int n, int axis);

/* contract.c, einsum.c */
mx_array *mx_matmul(mx_scope *s, mx_array *a, mx_array *b);
/* Of factors and sums of dtype t. */
mx_array *mx_matmul_as(mx_scope *s, mx_array *a, mx_array *b, mx_dtype t);
/* a times b transposed, which is no node of its own where b is a matrix. */
mx_array *mx_matmul_turned(mx_scope *s, mx_array *a, mx_array *b);
mx_array *mx_addmm(mx_scope *s, mx_array *c, mx_array *a, mx_array *b, float alpha, float beta);
mx_array *mx_inner(mx_scope *s, mx_array *a, mx_array *b);
mx_array *mx_outer(mx_scope *s, mx_array *a, mx_array *b);
mx_array *mx_tensordot(mx_scope *s, mx_array *a, mx_array *b, const int *axes_a, size_t na, const int *axes_b, size_t nb);
mx_array *mx_tensordot_axis(mx_scope *s, mx_array *a, mx_array *b, int axis);
mx_array *mx_kron(mx_scope *s, mx_array *a, mx_array *b);
mx_array *mx_vecdot(mx_scope *s, mx_array *a, mx_array *b, int axis);
mx_array *mx_einsum(mx_scope *s, const char *subscripts, int n, mx_array *const *operands);
/* The order of contraction that mx_einsum takes: pairs (at most 2*(n-1) ints) of positions in a list from which both are taken
 * and to whose end the result goes; how many labels one step has, and how many operations there are, in one step for all and
 * so. */
int mx_einsum_path(const char *subscripts, int n, mx_array *const *operands, int *pairs, int scaling[2], double cost[2]);
mx_array *mx_gather_mm(mx_scope *s, mx_array *a, mx_array *b, mx_array *lhs_indices, mx_array *rhs_indices, bool sorted_indices);
mx_array *mx_block_masked_mm(mx_scope *s, mx_array *a, mx_array *b, int block_size, mx_array *mask_out, mx_array *mask_lhs,
                             mx_array *mask_rhs);
mx_array *mx_segmented_mm(mx_scope *s, mx_array *a, mx_array *b, mx_array *segments);
mx_array *mx_hadamard_transform(mx_scope *s, mx_array *a, const float *scale);

/* quantize.c */
int mx_quantize(mx_scope *s, mx_list *out, mx_array *w, const int *group_size, const int *bits, const char *mode,
                mx_array *global_scale);
mx_array *mx_dequantize(mx_scope *s, mx_array *w, mx_array *scales, mx_array *biases, const int *group_size, const int *bits,
                        const char *mode, mx_array *global_scale, const mx_dtype *dtype);
mx_array *mx_quantized_matmul(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases, bool transpose,
                              const int *group_size, const int *bits, const char *mode);
mx_array *mx_gather_qmm(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases, mx_array *lhs_indices,
                        mx_array *rhs_indices, bool transpose, const int *group_size, const int *bits, const char *mode,
                        bool sorted_indices);
mx_array *mx_gather_qmm_scaled(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *biases, mx_array *lhs_indices,
                               mx_array *rhs_indices, bool transpose, const int *group_size, const int *bits, const char *mode,
                               mx_array *global_scale, bool sorted_indices);
mx_array *mx_gather_qqmm(mx_scope *s, mx_array *x, mx_array *w, mx_array *scales, mx_array *lhs_indices, mx_array *rhs_indices,
                         const int *group_size, const int *bits, const char *mode, mx_array *global_scale_x, mx_array *global_scale_w,
                         bool sorted_indices);
mx_array *mx_qqmm(mx_scope *s, mx_array *x, mx_array *w, mx_array *w_scales, const int *group_size, const int *bits, const char *mode,
                  mx_array *global_scale_x, mx_array *global_scale_w);
mx_array *mx_to_fp8(mx_scope *s, mx_array *x);
mx_array *mx_from_fp8(mx_scope *s, mx_array *x, mx_dtype dtype);

/* convolution.c */
mx_array *mx_conv1d(mx_scope *s, mx_array *input, mx_array *weight, int stride, int padding, int dilation, int groups);
mx_array *mx_conv2d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int padding_0, int padding_1,
                    int dilation_0, int dilation_1, int groups);
mx_array *mx_conv3d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int stride_2, int padding_0,
                    int padding_1, int padding_2, int dilation_0, int dilation_1, int dilation_2, int groups);
mx_array *mx_conv_general(mx_scope *s, mx_array *input, mx_array *weight, const int *stride, size_t nstride,
                          const int *padding_lo, size_t nlo, const int *padding_hi, size_t nhi, const int *kernel_dilation,
                          size_t nkd, const int *input_dilation, size_t nid, int groups, bool flip);
mx_array *mx_conv_transpose1d(mx_scope *s, mx_array *input, mx_array *weight, int stride, int padding, int dilation,
                              int output_padding, int groups);
mx_array *mx_conv_transpose2d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int padding_0,
                              int padding_1, int dilation_0, int dilation_1, int output_padding_0, int output_padding_1,
                              int groups);
mx_array *mx_conv_transpose3d(mx_scope *s, mx_array *input, mx_array *weight, int stride_0, int stride_1, int stride_2,
                              int padding_0, int padding_1, int padding_2, int dilation_0, int dilation_1, int dilation_2,
                              int output_padding_0, int output_padding_1, int output_padding_2, int groups);

/* creation.c */
mx_array *mx_arange(mx_scope *s, double start, double stop, double step, mx_dtype dtype);
mx_array *mx_linspace(mx_scope *s, double start, double stop, int num, mx_dtype dtype);
mx_array *mx_full(mx_scope *s, const int *shape, size_t n, mx_array *vals, mx_dtype dtype);
mx_array *mx_full_like(mx_scope *s, mx_array *a, mx_array *vals, mx_dtype dtype);
mx_array *mx_zeros(mx_scope *s, const int *shape, size_t n, mx_dtype dtype);
mx_array *mx_ones(mx_scope *s, const int *shape, size_t n, mx_dtype dtype);
mx_array *mx_eye(mx_scope *s, int n, int m, int k, mx_dtype dtype);
mx_array *mx_identity(mx_scope *s, int n, mx_dtype dtype);
mx_array *mx_tri(mx_scope *s, int n, int m, int k, mx_dtype dtype);
mx_array *mx_tril(mx_scope *s, mx_array *x, int k);
mx_array *mx_triu(mx_scope *s, mx_array *x, int k);
mx_array *mx_diag(mx_scope *s, mx_array *a, int k);
mx_array *mx_diagonal(mx_scope *s, mx_array *a, int offset, int axis1, int axis2);
mx_array *mx_trace(mx_scope *s, mx_array *a, int offset, int axis1, int axis2, mx_dtype dtype);
mx_array *mx_hanning(mx_scope *s, int m);
mx_array *mx_hamming(mx_scope *s, int m);
mx_array *mx_blackman(mx_scope *s, int m);
mx_array *mx_bartlett(mx_scope *s, int m);
mx_array *mx_fft_fftfreq(mx_scope *s, int n, double d);
mx_array *mx_fft_rfftfreq(mx_scope *s, int n, double d);
mx_array *mx_fft_fftfreq_as(mx_scope *s, int n, double d, mx_dtype dtype);
mx_array *mx_fft_rfftfreq_as(mx_scope *s, int n, double d, mx_dtype dtype);
mx_array *mx_fft_fftshift(mx_scope *s, mx_array *a, const int *axes, size_t n); /* no axes: all */
mx_array *mx_fft_ifftshift(mx_scope *s, mx_array *a, const int *axes, size_t n);

/* misc.c */
mx_array *mx_clip(mx_scope *s, mx_array *a, mx_array *a_min, mx_array *a_max);
mx_array *mx_round(mx_scope *s, mx_array *a, int decimals);
mx_array *mx_degrees(mx_scope *s, mx_array *a);
mx_array *mx_radians(mx_scope *s, mx_array *a);
mx_array *mx_isposinf(mx_scope *s, mx_array *a);
mx_array *mx_isneginf(mx_scope *s, mx_array *a);
mx_array *mx_relu(mx_scope *s, mx_array *a);
mx_array *mx_nextafter(mx_scope *s, mx_array *x, mx_array *y);
mx_array *mx_logical_xor(mx_scope *s, mx_array *a, mx_array *b);
mx_array *mx_nan_to_num(mx_scope *s, mx_array *a, float nan, const float *posinf, const float *neginf);
int mx_divmod(mx_scope *s, mx_list *out, mx_array *a, mx_array *b);

/* linalg.c: what needs no factorisation */
mx_array *mx_linalg_norm(mx_scope *s, mx_array *a, double ord, const int *axis, size_t n, bool keepdims);
mx_array *mx_linalg_norm_matrix(mx_scope *s, mx_array *a, const char *ord, const int *axis, size_t n, bool keepdims);
mx_array *mx_linalg_norm_l2(mx_scope *s, mx_array *a, const int *axis, size_t n, bool keepdims);
mx_array *mx_linalg_vector_norm(mx_scope *s, mx_array *a, double ord, const int *axes, size_t n, bool keepdims);
mx_array *mx_linalg_multi_dot(mx_scope *s, int n, mx_array *const *arrays);
mx_array *mx_linalg_cross(mx_scope *s, mx_array *a, mx_array *b, int axis);

/* factor.c */
mx_array *mx_linalg_inv(mx_scope *s, mx_array *a);
mx_array *mx_linalg_tri_inv(mx_scope *s, mx_array *a, bool upper);
mx_array *mx_linalg_cholesky(mx_scope *s, mx_array *a, bool upper);
mx_array *mx_linalg_cholesky_inv(mx_scope *s, mx_array *a, bool upper);
mx_array *mx_linalg_pinv(mx_scope *s, mx_array *a);
mx_array *mx_linalg_solve(mx_scope *s, mx_array *a, mx_array *b);
mx_array *mx_linalg_solve_triangular(mx_scope *s, mx_array *a, mx_array *b, bool upper);
mx_array *mx_linalg_det(mx_scope *s, mx_array *a);
int mx_linalg_slogdet(mx_scope *s, mx_array *res[2], mx_array *a);
int mx_linalg_qr(mx_scope *s, mx_array *res[2], mx_array *a);
int mx_linalg_lu_factor(mx_scope *s, mx_array *res[2], mx_array *a);
int mx_linalg_lu(mx_scope *s, mx_list *out, mx_array *a);
int mx_linalg_svd(mx_scope *s, mx_list *out, mx_array *a, bool compute_uv);
int mx_linalg_eigh(mx_scope *s, mx_array *res[2], mx_array *a, const char *uplo);
mx_array *mx_linalg_eigvalsh(mx_scope *s, mx_array *a, const char *uplo);
int mx_linalg_eig(mx_scope *s, mx_array *res[2], mx_array *a);
mx_array *mx_linalg_eigvals(mx_scope *s, mx_array *a);
int mx_linalg_lstsq(mx_scope *s, mx_array *res[4], mx_array *a, mx_array *b, const float *rcond);
int mx_linalg_svd_reduced(mx_scope *s, mx_list *out, mx_array *a);
int mx_linalg_qr_complete(mx_scope *s, mx_array *res[2], mx_array *a);
mx_array *mx_linalg_pinv_rtol(mx_scope *s, mx_array *a, mx_array *rtol);
mx_array *mx_linalg_svdvals(mx_scope *s, mx_array *a);
mx_array *mx_linalg_expm(mx_scope *s, mx_array *a);
mx_array *mx_linalg_matrix_rank(mx_scope *s, mx_array *a, mx_array *tol, mx_array *rtol, bool hermitian);
mx_array *mx_linalg_matrix_power(mx_scope *s, mx_array *a, int n);
mx_array *mx_linalg_cond(mx_scope *s, mx_array *a, double p); /* p NaN: Frobenius */

/* fft.c; norm: mlx_fft_norm. The last axis of the real ones is halved. */
mx_array *mx_fft_fft(mx_scope *s, mx_array *a, int n, int axis, int norm);
mx_array *mx_fft_ifft(mx_scope *s, mx_array *a, int n, int axis, int norm);
mx_array *mx_fft_rfft(mx_scope *s, mx_array *a, int n, int axis, int norm);
mx_array *mx_fft_irfft(mx_scope *s, mx_array *a, int n, int axis, int norm);
mx_array *mx_fft_hfft(mx_scope *s, mx_array *a, int n, int axis, int norm);
mx_array *mx_fft_ihfft(mx_scope *s, mx_array *a, int n, int axis, int norm);
mx_array *mx_fft_fft2(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_ifft2(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_rfft2(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_irfft2(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_fftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_ifftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_rfftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);
mx_array *mx_fft_irfftn(mx_scope *s, mx_array *a, const int *n, size_t n_num, const int *axes, size_t axes_num, int norm);

/* stft.c */
mx_array *mx_fft_stft(mx_scope *s, mx_array *x, int n_fft, const int *hop_length, const int *win_length, mx_array *window,
                      bool center, const char *pad_mode, int norm, const int *onesided);
mx_array *mx_fft_istft(mx_scope *s, mx_array *a, const int *n_fft, const int *hop_length, const int *win_length,
                       mx_array *window, bool center, int norm, const int *onesided, const int *length);

/* random.c; the generator's state, one a thread, in random_state.c. A NULL key draws from it. */
mx_array *mx_random_key(mx_scope *s, uint64_t seed);
int mx_random_seed(uint64_t seed);
mx_array *mx_random_state(void);        /* the key of this thread, borrowed; NULL and an error */
int mx_random_set_state(mx_array *key); /* keeps key: uint32 (2,) */
mx_array *mx_random_next(mx_scope *s);  /* a fresh key; the state moves on */
int mx_random_split(mx_scope *s, mx_array *res[2], mx_array *key);
mx_array *mx_random_split_num(mx_scope *s, mx_array *key, int num);
mx_array *mx_random_bits(mx_scope *s, const int *shape, size_t n, int width, mx_array *key);
mx_array *mx_random_uniform(mx_scope *s, mx_array *low, mx_array *high, const int *shape, size_t n, mx_dtype dtype,
                            mx_array *key);
mx_array *mx_random_normal(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, float loc, float scale, mx_array *key);
mx_array *mx_random_normal_broadcast(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, mx_array *loc, mx_array *scale,
                                     mx_array *key);
mx_array *mx_random_randint(mx_scope *s, mx_array *low, mx_array *high, const int *shape, size_t n, mx_dtype dtype,
                            mx_array *key);
mx_array *mx_random_bernoulli(mx_scope *s, mx_array *p, const int *shape, size_t n, mx_array *key);
mx_array *mx_random_truncated_normal(mx_scope *s, mx_array *lower, mx_array *upper, const int *shape, size_t n, mx_dtype dtype,
                                     mx_array *key);
mx_array *mx_random_gumbel(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, mx_array *key);
mx_array *mx_random_laplace(mx_scope *s, const int *shape, size_t n, mx_dtype dtype, float loc, float scale, mx_array *key);
mx_array *mx_random_categorical(mx_scope *s, mx_array *logits, int axis, mx_array *key);
mx_array *mx_random_categorical_shape(mx_scope *s, mx_array *logits, int axis, const int *shape, size_t n, mx_array *key);
mx_array *mx_random_categorical_num_samples(mx_scope *s, mx_array *logits, int axis, int num_samples, mx_array *key);
mx_array *mx_random_permutation(mx_scope *s, mx_array *x, int axis, mx_array *key);
mx_array *mx_random_permutation_arange(mx_scope *s, int x, mx_array *key);

/* draws.c */
mx_array *mx_random_exponential(mx_scope *s, mx_array *scale, const int *shape, size_t n, mx_dtype dtype, mx_array *key);
mx_array *mx_random_gamma(mx_scope *s, mx_array *a, mx_array *scale, const int *shape, size_t n, mx_dtype dtype, mx_array *key);
mx_array *mx_random_beta(mx_scope *s, mx_array *a, mx_array *b, const int *shape, size_t n, mx_dtype dtype, mx_array *key);
mx_array *mx_random_dirichlet(mx_scope *s, mx_array *alpha, const int *shape, size_t n, mx_dtype dtype, mx_array *key);
mx_array *mx_random_poisson(mx_scope *s, mx_array *lam, const int *shape, size_t n, mx_dtype dtype, mx_array *key);
mx_array *mx_random_multivariate_normal(mx_scope *s, mx_array *mean, mx_array *cov, const int *shape, size_t n, mx_dtype dtype,
                                        mx_array *key);
mx_array *mx_random_choice(mx_scope *s, mx_array *a, const int *shape, size_t n, bool replace, mx_array *p, int axis,
                           mx_array *key);
mx_array *mx_random_choice_arange(mx_scope *s, int x, const int *shape, size_t n, bool replace, mx_array *p, mx_array *key);

/* fast.c, attention.c */
mx_array *mx_fast_rms_norm(mx_scope *s, mx_array *x, mx_array *weight, float eps);
mx_array *mx_fast_layer_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, float eps);
mx_array *mx_fast_rope(mx_scope *s, mx_array *x, int dims, bool traditional, const float *base, float scale, int offset,
                       mx_array *freqs);
mx_array *mx_fast_rope_dynamic(mx_scope *s, mx_array *x, int dims, bool traditional, const float *base, float scale,
                               mx_array *offset, mx_array *freqs);
mx_array *mx_fast_cross_entropy(mx_scope *s, mx_array *logits, mx_array *targets);
/* The gated delta rule: results and the last state. */
int mx_fast_gated_delta_update(mx_scope *s, mx_list *out, mx_array *q, mx_array *k, mx_array *v, mx_array *gamma, mx_array *beta,
                               mx_array *initial_state, mx_array *mask);
/* The weights of attention (B, M, N / M * T, S) of q (B, N, T, D), k (B, M, S, D), [mask (B, N, T, S)], [sinks (B, N)]. */
mx_array *mx_attention_weights(mx_scope *s, mx_array *q, mx_array *k, double scale, bool causal, mx_array *mask, mx_array *sinks);
mx_array *mx_fast_scaled_dot_product_attention(mx_scope *s, mx_array *queries, mx_array *keys, mx_array *values, float scale,
                                               const char *mask_mode, mx_array *mask_arr, mx_array *sinks);

#endif
