/*
 * mlx/c/nn_functions.h: Layers, losses and initialisers as functions over arrays; mlx/c/nn.h has
 * them as modules. Inputs are channels last: (N, spatial..., C). The rules of ops.h hold. Written
 * by tools/opgen.py from the tables in ops.
 */
#ifndef MLX_C_NN_FUNCTIONS_H
#define MLX_C_NN_FUNCTIONS_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Activations. */

/** max(x, 0). */
int mlx_nn_relu(mlx_array* res, const mlx_array x, const mlx_stream s);

/** max(x, 0) squared. */
int mlx_nn_relu2(mlx_array* res, const mlx_array x, const mlx_stream s);

/** min(max(x, 0), 6). */
int mlx_nn_relu6(mlx_array* res, const mlx_array x, const mlx_stream s);

/** max(negative_slope * x, x). */
int mlx_nn_leaky_relu(mlx_array* res, const mlx_array x, double negative_slope, const mlx_stream s);

/** max(0, x) + alpha * min(0, x). */
int mlx_nn_prelu(mlx_array* res, const mlx_array x, const mlx_array alpha, const mlx_stream s);

/** x where positive, else alpha * (exp(x) - 1). */
int mlx_nn_elu(mlx_array* res, const mlx_array x, double alpha, const mlx_stream s);

/** max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1). */
int mlx_nn_celu(mlx_array* res, const mlx_array x, double alpha, const mlx_stream s);

/** mlx_nn_elu with the two constants that keep mean and variance of a normal input. */
int mlx_nn_selu(mlx_array* res, const mlx_array x, const mlx_stream s);

/** x * sigmoid(x). */
int mlx_nn_silu(mlx_array* res, const mlx_array x, const mlx_stream s);

/** log(1 + exp(x)). */
int mlx_nn_softplus(mlx_array* res, const mlx_array x, const mlx_stream s);

/** x * tanh(softplus(x)). */
int mlx_nn_mish(mlx_array* res, const mlx_array x, const mlx_stream s);

/** log(sigmoid(x)), exact for large arguments. */
int mlx_nn_log_sigmoid(mlx_array* res, const mlx_array x, const mlx_stream s);

/** x / (1 + |x|). */
int mlx_nn_softsign(mlx_array* res, const mlx_array x, const mlx_stream s);

/** x moved by lambd towards 0, and 0 between. */
int mlx_nn_softshrink(mlx_array* res, const mlx_array x, double lambd, const mlx_stream s);

/** x where its size is above lambd, else 0. */
int mlx_nn_hard_shrink(mlx_array* res, const mlx_array x, double lambd, const mlx_stream s);

/** x cut off at both values. */
int mlx_nn_hard_tanh(
    mlx_array* res,
    const mlx_array x,
    double min_val,
    double max_val,
    const mlx_stream s);

/** x * min(max(x + 3, 0), 6) / 6. */
int mlx_nn_hardswish(mlx_array* res, const mlx_array x, const mlx_stream s);

/** x times the normal distribution function at x. */
int mlx_nn_gelu(mlx_array* res, const mlx_array x, const mlx_stream s);

/** mlx_nn_gelu by a tanh, off by less than 0.0005. */
int mlx_nn_gelu_approx(mlx_array* res, const mlx_array x, const mlx_stream s);

/** mlx_nn_gelu by x * sigmoid(1.702 * x), off by less than 0.015. */
int mlx_nn_gelu_fast_approx(mlx_array* res, const mlx_array x, const mlx_stream s);

/** The first half of x along `axis` times the sigmoid of the second. */
int mlx_nn_glu(mlx_array* res, const mlx_array x, int axis, const mlx_stream s);

/** 1 from `threshold` on, else 0. i32. */
int mlx_nn_step(mlx_array* res, const mlx_array x, double threshold, const mlx_stream s);

/** mlx_softmax_axis of -x. */
int mlx_nn_softmin(mlx_array* res, const mlx_array x, int axis, const mlx_stream s);

/** x - log(sum(exp(x))) along `axis`. */
int mlx_nn_log_softmax(mlx_array* res, const mlx_array x, int axis, const mlx_stream s);

/* ---- Linear layers. */

/** x @ weight.T + bias; the weight is (outputs, inputs). */
int mlx_nn_linear(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight,
    const mlx_array bias /* may be empty */,
    const mlx_stream s);

/**
 * x1 @ weight[k].T @ x2 for each output k, plus the bias; the weight is (outputs, inputs 2, inputs
 * 1).
 */
int mlx_nn_bilinear(
    mlx_array* res,
    const mlx_array x1,
    const mlx_array x2,
    const mlx_array weight,
    const mlx_array bias /* may be empty */,
    const mlx_stream s);

/** The rows of the weight (n, D) at `indices`, integers of any shape: (..., D). */
int mlx_nn_embedding(
    mlx_array* res,
    const mlx_array indices,
    const mlx_array weight,
    const mlx_stream s);

/**
 * The "sum", "mean" or "max" of rows of the weight (n, D), a bag for each row of `indices` (bags,
 * L), or of indices (T), of which each bag begins at its offset (bags), rising from 0. An empty bag
 * is 0. Scales, of the shape of the indices, multiply the rows of a sum. (bags, D).
 */
int mlx_nn_embedding_bag(
    mlx_array* res,
    const mlx_array indices,
    const mlx_array weight,
    const mlx_array offsets /* may be empty */,
    const mlx_array scales /* may be empty */,
    const char* mode,
    const mlx_stream s);

/**
 * v scaled so that its slices along `axis` have the lengths g, which broadcasts against v: (n, 1,
 * ...) for axis 0.
 */
int mlx_nn_weight_norm(
    mlx_array* res,
    const mlx_array v,
    const mlx_array g,
    int axis,
    const mlx_stream s);

/**
 * The weight, as a matrix (rows, the rest), divided by its largest singular value (res_0), which u
 * (rows) and v (the rest) tell after so many power iterations; both moved on (res_1, res_2).
 */
int mlx_nn_spectral_norm(
    mlx_array* res_0,
    mlx_array* res_1,
    mlx_array* res_2,
    const mlx_array weight,
    const mlx_array u,
    const mlx_array v,
    int iterations,
    double eps,
    const mlx_stream s);

/** decay * average + (1 - decay) * value. */
int mlx_nn_moving_average(
    mlx_array* res,
    const mlx_array average,
    const mlx_array value,
    double decay,
    const mlx_stream s);

/* ---- Convolutions and pools. */

/**
 * Convolution of x (N, spatial..., C) in 1 to 3 spatial dimensions with a weight (O, kernel..., C /
 * groups), plus the bias (O). Each list is one number for all spatial axes, or one each, or empty:
 * stride 1, padding 0, dilation 1.
 */
int mlx_nn_conv(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight,
    const mlx_array bias /* may be empty */,
    const int* stride /* may be empty */,
    size_t stride_num,
    const int* padding /* may be empty */,
    size_t padding_num,
    const int* dilation /* may be empty */,
    size_t dilation_num,
    int groups,
    const mlx_stream s);

/**
 * Transposed convolution with a weight (O, kernel..., C), plus the bias; lists as in mlx_nn_conv.
 */
int mlx_nn_conv_transpose(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight,
    const mlx_array bias /* may be empty */,
    const int* stride /* may be empty */,
    size_t stride_num,
    const int* padding /* may be empty */,
    size_t padding_num,
    const int* dilation /* may be empty */,
    size_t dilation_num,
    const int* output_padding /* may be empty */,
    size_t output_padding_num,
    const mlx_stream s);

/**
 * The largest value of each window over the axes between batch and channels; padding counts as
 * minus infinity. Lists are one number for all of these axes or one each; no stride: that of the
 * kernel, no padding: 0.
 */
int mlx_nn_max_pool(
    mlx_array* res,
    const mlx_array x,
    const int* kernel,
    size_t kernel_num,
    const int* stride /* may be empty */,
    size_t stride_num,
    const int* padding /* may be empty */,
    size_t padding_num,
    const mlx_stream s);

/** The mean of each window; padding counts as zeros. */
int mlx_nn_avg_pool(
    mlx_array* res,
    const mlx_array x,
    const int* kernel,
    size_t kernel_num,
    const int* stride /* may be empty */,
    size_t stride_num,
    const int* padding /* may be empty */,
    size_t padding_num,
    const mlx_stream s);

/**
 * Means over so many bins of each spatial axis; bin i of m over n places is [floor(i n / m),
 * ceil((i + 1) n / m)). One size for all axes or one each; -1 keeps an axis.
 */
int mlx_nn_adaptive_avg_pool(
    mlx_array* res,
    const mlx_array x,
    const int* output_size,
    size_t output_size_num,
    const mlx_stream s);

/** The largest values of such bins. */
int mlx_nn_adaptive_max_pool(
    mlx_array* res,
    const mlx_array x,
    const int* output_size,
    size_t output_size_num,
    const mlx_stream s);

/**
 * Resizes the axes between batch and channels, by one scale or one each. Mode "nearest", "linear"
 * or "cubic"; align_corners: the outer places stay where they are; antialias: shrinking takes in
 * all the places between.
 */
int mlx_nn_upsample(
    mlx_array* res,
    const mlx_array x,
    const double* scale,
    size_t scale_num,
    const char* mode,
    bool align_corners,
    bool antialias,
    const mlx_stream s);

/**
 * (N, H, W, C * factor * factor) to (N, H * factor, W * factor, C): the last axis is (C, factor,
 * factor), as in PyTorch.
 */
int mlx_nn_pixel_shuffle(mlx_array* res, const mlx_array x, int factor, const mlx_stream s);

/** The inverse of mlx_nn_pixel_shuffle. */
int mlx_nn_pixel_unshuffle(mlx_array* res, const mlx_array x, int factor, const mlx_stream s);

/**
 * x (N, H, W, C) at the places of the grid (N, H', W', 2), pairs of x and y from -1 to 1; or (N, D,
 * H, W, C) and (N, D', H', W', 3). Mode "bilinear" or "nearest"; outside are "zeros", the "border"
 * or the "reflection". -1 and 1 are the middles of the outer places (align_corners) or their edges.
 */
int mlx_nn_grid_sample(
    mlx_array* res,
    const mlx_array x,
    const mlx_array grid,
    const char* mode,
    const char* padding_mode,
    bool align_corners,
    const mlx_stream s);

/* ---- Normalisations. */

/** Mean 0 and variance 1 over the last axis, times the weight, plus the bias. */
int mlx_nn_layer_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    const mlx_array bias /* may be empty */,
    double eps,
    const mlx_stream s);

/** Root mean square 1 over the last axis, times the weight. */
int mlx_nn_rms_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    double eps,
    const mlx_stream s);

/** Each channel of each sample to mean 0 and variance 1 over its places; x is (N, ..., C). */
int mlx_nn_instance_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    const mlx_array bias /* may be empty */,
    double eps,
    const mlx_stream s);

/**
 * Mean 0 and variance 1 over the places and the channels of each group. A group is every
 * num_groups-th channel, or `neighbours`, as in PyTorch.
 */
int mlx_nn_group_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    const mlx_array bias /* may be empty */,
    int num_groups,
    double eps,
    bool neighbours,
    const mlx_stream s);

/**
 * (x - mean) / sqrt(var + eps) for each channel, times the weight, plus the bias. x has 2 to 4
 * dimensions; without a mean or a variance that of the batch is taken.
 */
int mlx_nn_batch_norm(
    mlx_array* res,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    const mlx_array bias /* may be empty */,
    const mlx_array mean /* may be empty */,
    const mlx_array var /* may be empty */,
    double eps,
    const mlx_stream s);

/**
 * mlx_nn_batch_norm with the batch's own statistics (res_0), and the running ones moved by the
 * share `momentum` towards them: mean (res_1) and variance, that of the whole (res_2). Without
 * running ones: the batch's.
 */
int mlx_nn_batch_norm_train(
    mlx_array* res_0,
    mlx_array* res_1,
    mlx_array* res_2,
    const mlx_array x,
    const mlx_array weight /* may be empty */,
    const mlx_array bias /* may be empty */,
    const mlx_array running_mean /* may be empty */,
    const mlx_array running_var /* may be empty */,
    double momentum,
    double eps,
    const mlx_stream s);

/* ---- Recurrent layers. */

/**
 * Elman's layer over x (..., L, D): h = tanh(wxh x + whh h + bias), beginning with `hidden` (...,
 * H) or zeros. All hidden states, (..., L, H).
 */
int mlx_nn_rnn(
    mlx_array* res,
    const mlx_array x,
    const mlx_array wxh,
    const mlx_array whh,
    const mlx_array bias /* may be empty */,
    const mlx_array hidden /* may be empty */,
    const mlx_stream s);

/**
 * Gated recurrent unit; all hidden states. The rows of wx (3H, D) and wh (3H, H) are the reset
 * gate's, the update gate's and the new state's; b belongs to the input's side of all three, bhn to
 * the hidden side of the new state.
 */
int mlx_nn_gru(
    mlx_array* res,
    const mlx_array x,
    const mlx_array wx,
    const mlx_array wh,
    const mlx_array b /* may be empty */,
    const mlx_array bhn /* may be empty */,
    const mlx_array hidden /* may be empty */,
    const mlx_stream s);

/**
 * Long short-term memory; all hidden states and all cells, (..., L, H) each. The rows of wx (4H, D)
 * and wh (4H, H) are those of the input gate, the forget gate, the new cell and the output gate.
 */
int mlx_nn_lstm(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array x,
    const mlx_array wx,
    const mlx_array wh,
    const mlx_array bias /* may be empty */,
    const mlx_array hidden /* may be empty */,
    const mlx_array cell /* may be empty */,
    const mlx_stream s);

/** One step of mlx_nn_gru; now is wx x + b at it, (..., 3H). */
int mlx_nn_gru_step(
    mlx_array* res,
    const mlx_array now,
    const mlx_array wh,
    const mlx_array bhn /* may be empty */,
    const mlx_array hidden /* may be empty */,
    const mlx_stream s);

/** One step of mlx_nn_lstm, the hidden state and the cell; now is wx x + bias at it, (..., 4H). */
int mlx_nn_lstm_step(
    mlx_array* res_0,
    mlx_array* res_1,
    const mlx_array now,
    const mlx_array wh,
    const mlx_array hidden /* may be empty */,
    const mlx_array cell /* may be empty */,
    const mlx_stream s);

/* ---- Attention and positions. */

/**
 * What stands between the projections: (N, L, features) each are split into heads, attended with
 * the scale 1/sqrt(features of a head) and joined again. Mask as in
 * mlx_fast_scaled_dot_product_attention.
 */
int mlx_nn_multi_head_attention(
    mlx_array* res,
    const mlx_array queries,
    const mlx_array keys,
    const mlx_array values,
    int num_heads,
    const char* mask_mode,
    const mlx_array mask /* may be empty */,
    const mlx_stream s);

/**
 * (n, n): 0 where a query may look, the smallest finite number of the dtype at what comes later.
 */
int mlx_nn_causal_mask(mlx_array* res, int n, mlx_dtype dtype, const mlx_stream s);

/**
 * Rotary encoding: turns pairs of the first `dims` features of x (..., L, D) by an angle that grows
 * with the position. Pairs are features half of `dims` apart, or neighbours if `traditional`.
 */
int mlx_nn_rope(
    mlx_array* res,
    const mlx_array x,
    int dims,
    bool traditional,
    double base,
    double scale,
    int offset,
    const mlx_stream s);

/** dims / 2 frequencies from max_freq to min_freq, by equal factors; full_turns: times 2 pi. */
int mlx_nn_sinusoidal_frequencies(
    mlx_array* res,
    int dims,
    double min_freq,
    double max_freq,
    bool full_turns,
    const mlx_stream s);

/** Sines and cosines of x[..., None] * frequencies, one behind the other, times `scale`. */
int mlx_nn_sinusoidal(
    mlx_array* res,
    const mlx_array x,
    const mlx_array frequencies,
    double scale,
    bool cos_first,
    const mlx_stream s);

/** The rate of each head, (heads, 1, 1). */
int mlx_nn_alibi_slopes(mlx_array* res, int num_heads, mlx_dtype dtype, const mlx_stream s);

/**
 * Minus the distance of queries offset ... q_length - 1 and keys times the rate of each head: (1,
 * heads, queries, keys).
 */
int mlx_nn_alibi(
    mlx_array* res,
    int q_length,
    int k_length,
    int num_heads,
    int offset,
    mlx_dtype dtype,
    const mlx_stream s);

/* ---- Dropout. */

/** Elements become 0 with probability p, and the others grow to keep the mean. */
int mlx_nn_dropout(
    mlx_array* res,
    const mlx_array x,
    double p,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * Channels of images ((N,) H, W, C) become 0 with probability p, and the others grow to keep the
 * mean.
 */
int mlx_nn_dropout2d(
    mlx_array* res,
    const mlx_array x,
    double p,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * Channels of volumes ((N,) D, H, W, C) become 0 with probability p, and the others grow to keep
 * the mean.
 */
int mlx_nn_dropout3d(
    mlx_array* res,
    const mlx_array x,
    double p,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/* ---- Losses. Single losses are reduced as `reduction` says: "none", "mean" or "sum". */

/**
 * Minus the log of the softmax along `axis` at the targets, class numbers, or probabilities of the
 * shape of logits. That share of the target is spread over all classes. Weights have the shape of
 * the losses.
 */
int mlx_nn_cross_entropy(
    mlx_array* res,
    const mlx_array logits,
    const mlx_array targets,
    const mlx_array weights /* may be empty */,
    int axis,
    double label_smoothing,
    const char* reduction,
    const mlx_stream s);

/**
 * Cross entropy of yes and no; inputs are logits, or probabilities, whose logs are cut off at -100.
 */
int mlx_nn_binary_cross_entropy(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    const mlx_array weights /* may be empty */,
    bool with_logits,
    const char* reduction,
    const mlx_stream s);

/** |predictions - targets|. */
int mlx_nn_l1_loss(
    mlx_array* res,
    const mlx_array predictions,
    const mlx_array targets,
    const char* reduction,
    const mlx_stream s);

/** (predictions - targets) squared. */
int mlx_nn_mse_loss(
    mlx_array* res,
    const mlx_array predictions,
    const mlx_array targets,
    const char* reduction,
    const mlx_stream s);

/** Minus the inputs, log probabilities, at the targets, class numbers. */
int mlx_nn_nll_loss(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    int axis,
    const char* reduction,
    const mlx_stream s);

/**
 * Minus the log density of the targets under normals of mean `inputs` and variance `vars`, at least
 * eps; the constant log(2 pi) / 2 only with `full`.
 */
int mlx_nn_gaussian_nll_loss(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    const mlx_array vars,
    bool full,
    double eps,
    const char* reduction,
    const mlx_stream s);

/** sum(exp(targets) * (targets - inputs)) along `axis`; both are log probabilities. */
int mlx_nn_kl_div_loss(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    int axis,
    const char* reduction,
    const mlx_stream s);

/** d * d / (2 beta) where the difference d is below beta, else d - beta / 2. */
int mlx_nn_smooth_l1_loss(
    mlx_array* res,
    const mlx_array predictions,
    const mlx_array targets,
    double beta,
    const char* reduction,
    const mlx_stream s);

/**
 * By how much the positives are not nearer to the anchors, by `margin` in the p-norm, than the
 * negatives.
 */
int mlx_nn_triplet_loss(
    mlx_array* res,
    const mlx_array anchors,
    const mlx_array positives,
    const mlx_array negatives,
    int axis,
    double p,
    double margin,
    double eps,
    const char* reduction,
    const mlx_stream s);

/** max(1 - inputs * targets, 0) with targets of -1 and 1. */
int mlx_nn_hinge_loss(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    const char* reduction,
    const mlx_stream s);

/** d * d / 2 where the difference d is up to delta, else delta * (d - delta / 2). */
int mlx_nn_huber_loss(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    double delta,
    const char* reduction,
    const mlx_stream s);

/** log(cosh(inputs - targets)). */
int mlx_nn_log_cosh_loss(
    mlx_array* res,
    const mlx_array inputs,
    const mlx_array targets,
    const char* reduction,
    const mlx_stream s);

/**
 * The cosine of the angle between x1 and x2 along `axis`; the product of their lengths counts as at
 * least eps.
 */
int mlx_nn_cosine_similarity_loss(
    mlx_array* res,
    const mlx_array x1,
    const mlx_array x2,
    int axis,
    double eps,
    const char* reduction,
    const mlx_stream s);

/** max(0, margin - targets * (inputs1 - inputs2)). */
int mlx_nn_margin_ranking_loss(
    mlx_array* res,
    const mlx_array inputs1,
    const mlx_array inputs2,
    const mlx_array targets,
    double margin,
    const char* reduction,
    const mlx_stream s);

/**
 * Connectionist temporal classification: minus the log of the probability that log_probs (N, T, C)
 * give to the labels `targets` (N, S), whichever steps they come at; lengths (N) say how many steps
 * and labels count. Infinite, or 0 with zero_infinity, where there are too few steps. "mean"
 * divides by the lengths of the targets first.
 */
int mlx_nn_ctc_loss(
    mlx_array* res,
    const mlx_array log_probs,
    const mlx_array targets,
    const mlx_array input_lengths,
    const mlx_array target_lengths,
    int blank,
    bool zero_infinity,
    const char* reduction,
    const mlx_stream s);

/* ---- Initialisers. */

/** Every element is `value`. */
int mlx_nn_init_constant(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double value,
    mlx_dtype dtype,
    const mlx_stream s);

/** Uniform between low and high. */
int mlx_nn_init_uniform(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double low,
    double high,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Normal with the given mean and deviation. */
int mlx_nn_init_normal(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double mean,
    double std,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The identity matrix; the shape must be square. */
int mlx_nn_init_identity(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_stream s);

/** Normal with the deviation gain * sqrt(2 / (fan in + fan out)) for a weight (out, ..., in). */
int mlx_nn_init_glorot_normal(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double gain,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Uniform within gain * sqrt(6 / (fan in + fan out)). */
int mlx_nn_init_glorot_uniform(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double gain,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Normal with the deviation gain / sqrt(fan); mode is "fan_in" or "fan_out". */
int mlx_nn_init_he_normal(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    const char* mode,
    double gain,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Uniform within gain * sqrt(3 / fan). */
int mlx_nn_init_he_uniform(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    const char* mode,
    double gain,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** A normal matrix in which that share of each row is 0. */
int mlx_nn_init_sparse(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double sparsity,
    double mean,
    double std,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** A matrix whose rows or columns, the fewer, are at right angles and `gain` long. */
int mlx_nn_init_orthogonal(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    double gain,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_NN_FUNCTIONS_H */
