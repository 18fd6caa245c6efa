/*
 * mlx/c/random.h: Random numbers: Threefry-2x32, the same bits as MLX for the same key on every
 * machine. `key` is a u32 array of shape (2,); where it is empty the key comes from the calling
 * thread's generator, which mlx_random_seed sets. All but the scalar parameters broadcast to
 * `shape`. Negative dimensions are refused. Draws whose parameters are arrays take INT_MIN as their
 * only size for the shape that these broadcast to: bernoulli and truncated_normal here, those of
 * extras.h that are named after a distribution. Written by tools/opgen.py from the tables in ops.
 */
#ifndef MLX_C_RANDOM_H
#define MLX_C_RANDOM_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bool, true with probability `p`, which broadcasts to `shape`. */
int mlx_random_bernoulli(
    mlx_array* res,
    const mlx_array p,
    const int* shape,
    size_t shape_num,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Uniform bits in unsigned integers of `width` 1, 2 or 4 bytes. */
int mlx_random_bits(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    int width,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/**
 * Samples of the distributions softmax(logits) along `axis`; `shape` must be one that the logits
 * without that axis broadcast to. u32.
 */
int mlx_random_categorical_shape(
    mlx_array* res,
    const mlx_array logits,
    int axis,
    const int* shape,
    size_t shape_num,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** `num_samples` samples for each distribution, in a new last axis. u32. */
int mlx_random_categorical_num_samples(
    mlx_array* res,
    const mlx_array logits_,
    int axis,
    int num_samples,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** One sample for each distribution. u32. */
int mlx_random_categorical(
    mlx_array* res,
    const mlx_array logits,
    int axis,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The standard Gumbel distribution. */
int mlx_random_gumbel(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The key for `seed`: its high and its low 32 bits. */
int mlx_random_key(mlx_array* res, uint64_t seed);

/** The Laplace distribution around `loc`. */
int mlx_random_laplace(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    float loc,
    float scale,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Normal vectors with `mean` (..., n) and covariance `cov` (..., n, n). f32. */
int mlx_random_multivariate_normal(
    mlx_array* res,
    const mlx_array mean,
    const mlx_array cov,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The normal distribution with arrays for mean and deviation (empty: 0 and 1). */
int mlx_random_normal_broadcast(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array loc /* may be empty */,
    const mlx_array scale /* may be empty */,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The normal distribution. f16, bf16, f32 or c64. */
int mlx_random_normal(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    float loc,
    float scale,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** `x` with its slices along `axis` shuffled. */
int mlx_random_permutation(
    mlx_array* res,
    const mlx_array x,
    int axis,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** The numbers below `x` shuffled. u32. */
int mlx_random_permutation_arange(
    mlx_array* res,
    int x,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Integers from `low` up to but not including `high`. */
int mlx_random_randint(
    mlx_array* res,
    const mlx_array low,
    const mlx_array high,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** Sets the calling thread's generator. */
int mlx_random_seed(uint64_t seed);

/** `num` new keys, (num, 2). */
int mlx_random_split_num(mlx_array* res, const mlx_array key, int num, const mlx_stream s);

/** Two new keys from one. */
int mlx_random_split(mlx_array* res_0, mlx_array* res_1, const mlx_array key, const mlx_stream s);

/** The standard normal distribution between `lower` and `upper`. */
int mlx_random_truncated_normal(
    mlx_array* res,
    const mlx_array lower,
    const mlx_array upper,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

/** From `low` up to but not including `high`. f16, bf16 or f32. */
int mlx_random_uniform(
    mlx_array* res,
    const mlx_array low,
    const mlx_array high,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    const mlx_array key /* may be empty */,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_RANDOM_H */
