/* Layers, losses and initialisers as functions over graph/: same names and argument order as the C API (mlx_nn_gelu -> mx_nn_gelu),
 * the scope first; conventions as in graph/functions.h. x is channels last: (N, spatial..., C). */
#ifndef MX_NN_H
#define MX_NN_H

#include "graph/graph.h"

/* ---- activations.c ---- */
mx_array *mx_nn_relu(mx_scope *s, mx_array *x);
mx_array *mx_nn_relu2(mx_scope *s, mx_array *x);
mx_array *mx_nn_relu6(mx_scope *s, mx_array *x);
mx_array *mx_nn_leaky_relu(mx_scope *s, mx_array *x, double negative_slope);
mx_array *mx_nn_prelu(mx_scope *s, mx_array *x, mx_array *alpha);
mx_array *mx_nn_elu(mx_scope *s, mx_array *x, double alpha);
mx_array *mx_nn_celu(mx_scope *s, mx_array *x, double alpha);
mx_array *mx_nn_selu(mx_scope *s, mx_array *x);
mx_array *mx_nn_silu(mx_scope *s, mx_array *x);
mx_array *mx_nn_softplus(mx_scope *s, mx_array *x);
mx_array *mx_nn_mish(mx_scope *s, mx_array *x);
mx_array *mx_nn_log_sigmoid(mx_scope *s, mx_array *x);
mx_array *mx_nn_softsign(mx_scope *s, mx_array *x);
mx_array *mx_nn_softshrink(mx_scope *s, mx_array *x, double lambd);
mx_array *mx_nn_hard_shrink(mx_scope *s, mx_array *x, double lambd);
mx_array *mx_nn_hard_tanh(mx_scope *s, mx_array *x, double min_val, double max_val);
mx_array *mx_nn_hardswish(mx_scope *s, mx_array *x);
mx_array *mx_nn_gelu(mx_scope *s, mx_array *x);
mx_array *mx_nn_gelu_approx(mx_scope *s, mx_array *x);
mx_array *mx_nn_gelu_fast_approx(mx_scope *s, mx_array *x);
mx_array *mx_nn_glu(mx_scope *s, mx_array *x, int axis);
mx_array *mx_nn_step(mx_scope *s, mx_array *x, double threshold);
mx_array *mx_nn_softmin(mx_scope *s, mx_array *x, int axis);
mx_array *mx_nn_log_softmax(mx_scope *s, mx_array *x, int axis);

/* ---- linear.c ---- */
mx_array *mx_nn_linear(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias);
mx_array *mx_nn_bilinear(mx_scope *s, mx_array *x1, mx_array *x2, mx_array *weight, mx_array *bias);
mx_array *mx_nn_embedding(mx_scope *s, mx_array *indices, mx_array *weight);

/* ---- convolution.c ---- */
mx_array *mx_nn_conv(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, const int *stride, size_t nstride,
                     const int *padding, size_t npadding, const int *dilation, size_t ndilation, int groups);
mx_array *mx_nn_conv_transpose(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, const int *stride, size_t nstride,
                               const int *padding, size_t npadding, const int *dilation, size_t ndilation,
                               const int *output_padding, size_t noutput_padding);

/* ---- pooling.c ---- */
mx_array *mx_nn_max_pool(mx_scope *s, mx_array *x, const int *kernel, size_t nkernel, const int *stride, size_t nstride,
                         const int *padding, size_t npadding);
mx_array *mx_nn_avg_pool(mx_scope *s, mx_array *x, const int *kernel, size_t nkernel, const int *stride, size_t nstride,
                         const int *padding, size_t npadding);

/* ---- normalization.c ---- */
mx_array *mx_nn_layer_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, double eps);
mx_array *mx_nn_rms_norm(mx_scope *s, mx_array *x, mx_array *weight, double eps);
mx_array *mx_nn_instance_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, double eps);
mx_array *mx_nn_group_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, int num_groups, double eps,
                           bool neighbours);
mx_array *mx_nn_batch_norm(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias, mx_array *mean, mx_array *var, double eps);
int mx_nn_batch_norm_train(mx_scope *s, mx_array *res[3], mx_array *x, mx_array *weight, mx_array *bias, mx_array *running_mean,
                           mx_array *running_var, double momentum, double eps);

/* ---- recurrent.c ---- */
mx_array *mx_nn_rnn(mx_scope *s, mx_array *x, mx_array *wxh, mx_array *whh, mx_array *bias, mx_array *hidden);
mx_array *mx_nn_gru(mx_scope *s, mx_array *x, mx_array *wx, mx_array *wh, mx_array *b, mx_array *bhn, mx_array *hidden);
int mx_nn_lstm(mx_scope *s, mx_array *res[2], mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, mx_array *hidden,
               mx_array *cell);
mx_array *mx_nn_gru_step(mx_scope *s, mx_array *now, mx_array *wh, mx_array *bhn, mx_array *hidden);
int mx_nn_lstm_step(mx_scope *s, mx_array *res[2], mx_array *now, mx_array *wh, mx_array *hidden, mx_array *cell);

/* ---- attention.c: attention, masks and positions ---- */
mx_array *mx_nn_multi_head_attention(mx_scope *s, mx_array *queries, mx_array *keys, mx_array *values, int num_heads,
                                     const char *mask_mode, mx_array *mask);
mx_array *mx_nn_causal_mask(mx_scope *s, int n, mx_dtype dtype);
mx_array *mx_nn_rope(mx_scope *s, mx_array *x, int dims, bool traditional, double base, double scale, int offset);
mx_array *mx_nn_sinusoidal_frequencies(mx_scope *s, int dims, double min_freq, double max_freq, bool full_turns);
mx_array *mx_nn_sinusoidal(mx_scope *s, mx_array *x, mx_array *frequencies, double scale, bool cos_first);
mx_array *mx_nn_alibi_slopes(mx_scope *s, int num_heads, mx_dtype dtype);
mx_array *mx_nn_alibi(mx_scope *s, int q_length, int k_length, int num_heads, int offset, mx_dtype dtype);

/* ---- dropout.c ---- */
mx_array *mx_nn_dropout(mx_scope *s, mx_array *x, double p, mx_array *key);
mx_array *mx_nn_dropout2d(mx_scope *s, mx_array *x, double p, mx_array *key);
mx_array *mx_nn_dropout3d(mx_scope *s, mx_array *x, double p, mx_array *key);

/* ---- losses.c ---- */
mx_array *mx_nn_cross_entropy(mx_scope *s, mx_array *logits, mx_array *targets, mx_array *weights, int axis,
                              double label_smoothing, const char *reduction);
mx_array *mx_nn_binary_cross_entropy(mx_scope *s, mx_array *inputs, mx_array *targets, mx_array *weights, bool with_logits,
                                     const char *reduction);
mx_array *mx_nn_l1_loss(mx_scope *s, mx_array *predictions, mx_array *targets, const char *reduction);
mx_array *mx_nn_mse_loss(mx_scope *s, mx_array *predictions, mx_array *targets, const char *reduction);
mx_array *mx_nn_nll_loss(mx_scope *s, mx_array *inputs, mx_array *targets, int axis, const char *reduction);
mx_array *mx_nn_gaussian_nll_loss(mx_scope *s, mx_array *inputs, mx_array *targets, mx_array *vars, bool full, double eps,
                                  const char *reduction);
mx_array *mx_nn_kl_div_loss(mx_scope *s, mx_array *inputs, mx_array *targets, int axis, const char *reduction);
mx_array *mx_nn_smooth_l1_loss(mx_scope *s, mx_array *predictions, mx_array *targets, double beta, const char *reduction);
mx_array *mx_nn_triplet_loss(mx_scope *s, mx_array *anchors, mx_array *positives, mx_array *negatives, int axis, double p,
                             double margin, double eps, const char *reduction);
mx_array *mx_nn_hinge_loss(mx_scope *s, mx_array *inputs, mx_array *targets, const char *reduction);
mx_array *mx_nn_huber_loss(mx_scope *s, mx_array *inputs, mx_array *targets, double delta, const char *reduction);
mx_array *mx_nn_log_cosh_loss(mx_scope *s, mx_array *inputs, mx_array *targets, const char *reduction);
mx_array *mx_nn_cosine_similarity_loss(mx_scope *s, mx_array *x1, mx_array *x2, int axis, double eps, const char *reduction);
mx_array *mx_nn_margin_ranking_loss(mx_scope *s, mx_array *inputs1, mx_array *inputs2, mx_array *targets, double margin,
                                    const char *reduction);

/* ---- init.c ---- */
mx_array *mx_nn_init_uniform(mx_scope *s, const int *shape, size_t n, double low, double high, mx_dtype dtype, mx_array *key);
mx_array *mx_nn_init_normal(mx_scope *s, const int *shape, size_t n, double mean, double std, mx_dtype dtype, mx_array *key);
mx_array *mx_nn_init_constant(mx_scope *s, const int *shape, size_t n, double value, mx_dtype dtype);

mx_array *mx_nn_init_identity(mx_scope *s, const int *shape, size_t n, mx_dtype dtype);
mx_array *mx_nn_init_glorot_normal(mx_scope *s, const int *shape, size_t n, double gain, mx_dtype dtype, mx_array *key);
mx_array *mx_nn_init_glorot_uniform(mx_scope *s, const int *shape, size_t n, double gain, mx_dtype dtype, mx_array *key);
mx_array *mx_nn_init_he_normal(mx_scope *s, const int *shape, size_t n, const char *mode, double gain, mx_dtype dtype,
                               mx_array *key);
mx_array *mx_nn_init_he_uniform(mx_scope *s, const int *shape, size_t n, const char *mode, double gain, mx_dtype dtype,
                                mx_array *key);
mx_array *mx_nn_init_sparse(mx_scope *s, const int *shape, size_t n, double sparsity, double mean, double std, mx_dtype dtype,
                            mx_array *key);
mx_array *mx_nn_init_orthogonal(mx_scope *s, const int *shape, size_t n, double gain, mx_dtype dtype, mx_array *key);

/* ---- upsample.c, sample.c, reparametrize.c, ctc.c ---- */
mx_array *mx_nn_upsample(mx_scope *s, mx_array *x, const double *scale, size_t nscale, const char *mode, bool align_corners,
                         bool antialias);
mx_array *mx_nn_adaptive_avg_pool(mx_scope *s, mx_array *x, const int *size, size_t n);
mx_array *mx_nn_adaptive_max_pool(mx_scope *s, mx_array *x, const int *size, size_t n);
mx_array *mx_nn_pixel_shuffle(mx_scope *s, mx_array *x, int factor);
mx_array *mx_nn_pixel_unshuffle(mx_scope *s, mx_array *x, int factor);
mx_array *mx_nn_grid_sample(mx_scope *s, mx_array *x, mx_array *grid, const char *mode, const char *padding_mode,
                            bool align_corners);
mx_array *mx_nn_embedding_bag(mx_scope *s, mx_array *indices, mx_array *weight, mx_array *offsets, mx_array *scales,
                              const char *mode);
mx_array *mx_nn_weight_norm(mx_scope *s, mx_array *v, mx_array *g, int axis);
int mx_nn_spectral_norm(mx_scope *s, mx_array *res[3], mx_array *weight, mx_array *u, mx_array *v, int iterations, double eps);
mx_array *mx_nn_moving_average(mx_scope *s, mx_array *average, mx_array *value, double decay);
mx_array *mx_nn_ctc_loss(mx_scope *s, mx_array *log_probs, mx_array *targets, mx_array *input_lengths, mx_array *target_lengths,
                         int blank, bool zero_infinity, const char *reduction);

/* ---- helpers (common.c) ---- */

/* The number v beside x, as a number in Python beside an array: x keeps its dtype, but an integer x becomes f32 by a float (weak) and a
 * bool an i32 by an integer (weak_int). */
mx_array *mx_weak(mx_scope *s, mx_array *x, double v);
mx_array *mx_weak_int(mx_scope *s, mx_array *x, int v);
/* x op v */
mx_array *mx_plus(mx_scope *s, mx_array *x, double v);
mx_array *mx_times(mx_scope *s, mx_array *x, double v);
/* What becomes of single losses: reduction is "none", "mean" or "sum". */
mx_array *mx_nn_reduce(mx_scope *s, mx_array *loss, const char *reduction);
/* A shape as Python writes it, "(2, 3)", in a small ring of buffers of this thread. */
const char *mx_shape_words(const mx_array *a);
/* weight * x + bias, either of which may be NULL. */
mx_array *mx_nn_affine(mx_scope *s, mx_array *x, mx_array *weight, mx_array *bias);
/* v[n] as k numbers: one for all or one each; an error tagged with the layer. */
bool mx_nn_spread(mx_scope *s, const char *tag, const char *what, const int *v, size_t n, int k, int standard, int *out);

#endif
