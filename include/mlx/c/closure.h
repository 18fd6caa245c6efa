/*
 * mlx/c/closure.h: functions of the caller as values.
 *
 * A function borrows its inputs and fills its results, which arrive empty. Non-zero from it makes
 * the transform that called it fail with "mlx_closure returned a non-zero value". Copies of a
 * handle share the function.
 */
#ifndef MLX_C_CLOSURE_H
#define MLX_C_CLOSURE_H

#include <stddef.h>

#include "mlx/c/array.h"
#include "mlx/c/map.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A function from arrays to arrays. */
typedef struct mlx_closure_ {
  void* ctx;
} mlx_closure;

/** A function from arrays and named arrays to arrays. */
typedef struct mlx_closure_kwargs_ {
  void* ctx;
} mlx_closure_kwargs;

/** A function that gives values and gradients: what mlx_value_and_grad makes. */
typedef struct mlx_closure_value_and_grad_ {
  void* ctx;
} mlx_closure_value_and_grad;

/**
 * A rule for the gradient of a function: from its primals, the cotangents of its outputs, and the
 * outputs to the cotangents of the primals.
 */
typedef struct mlx_closure_custom_ {
  void* ctx;
} mlx_closure_custom;

/**
 * A rule for the derivative of a function: from its primals, tangents and the numbers of the
 * primals they belong to, to the tangents of the outputs.
 */
typedef struct mlx_closure_custom_jvp_ {
  void* ctx;
} mlx_closure_custom_jvp;

/**
 * A rule for a batched function: from its inputs and the batched axis of each (-1: not batched) to
 * the outputs and the batched axis of each.
 */
typedef struct mlx_closure_custom_vmap_ {
  void* ctx;
} mlx_closure_custom_vmap;

/* ---- mlx_closure */

/** The empty handle. */
mlx_closure mlx_closure_new(void);

/** Gives the handle's share of the function back. An empty handle is fine. */
int mlx_closure_free(mlx_closure cls);

/** A closure that calls `fun`. */
mlx_closure mlx_closure_new_func(int (*fun)(mlx_vector_array*, const mlx_vector_array));

/**
 * A closure that calls `fun` with `payload`. `dtor`, if any, is called with it when the last share
 * of the closure is gone, on any thread, also when this call fails.
 */
mlx_closure mlx_closure_new_func_payload(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, void*),
    void* payload,
    void (*dtor)(void*));

/** Makes `cls` hold the function of `src`. */
int mlx_closure_set(mlx_closure* cls, const mlx_closure src);

/** Calls the function. */
int mlx_closure_apply(mlx_vector_array* res, mlx_closure cls, const mlx_vector_array input);

/** A closure that calls `fun` with its only input and gives its only output. */
mlx_closure mlx_closure_new_unary(int (*fun)(mlx_array*, const mlx_array));

/* ---- mlx_closure_kwargs */

/** The empty handle. */
mlx_closure_kwargs mlx_closure_kwargs_new(void);

/** Gives the handle's share of the function back. An empty handle is fine. */
int mlx_closure_kwargs_free(mlx_closure_kwargs cls);

/** A closure that calls `fun`. */
mlx_closure_kwargs mlx_closure_kwargs_new_func(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, const mlx_map_string_to_array));

/**
 * A closure that calls `fun` with `payload`. `dtor`, if any, is called with it when the last share
 * of the closure is gone, on any thread, also when this call fails.
 */
mlx_closure_kwargs mlx_closure_kwargs_new_func_payload(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, const mlx_map_string_to_array, void*),
    void* payload,
    void (*dtor)(void*));

/** Makes `cls` hold the function of `src`. */
int mlx_closure_kwargs_set(mlx_closure_kwargs* cls, const mlx_closure_kwargs src);

/** Calls the function. */
int mlx_closure_kwargs_apply(
    mlx_vector_array* res,
    mlx_closure_kwargs cls,
    const mlx_vector_array input_0,
    const mlx_map_string_to_array input_1);

/* ---- mlx_closure_value_and_grad */

/** The empty handle. */
mlx_closure_value_and_grad mlx_closure_value_and_grad_new(void);

/** Gives the handle's share of the function back. An empty handle is fine. */
int mlx_closure_value_and_grad_free(mlx_closure_value_and_grad cls);

/** A closure that calls `fun`. */
mlx_closure_value_and_grad mlx_closure_value_and_grad_new_func(
    int (*fun)(mlx_vector_array*, mlx_vector_array*, const mlx_vector_array));

/**
 * A closure that calls `fun` with `payload`. `dtor`, if any, is called with it when the last share
 * of the closure is gone, on any thread, also when this call fails.
 */
mlx_closure_value_and_grad mlx_closure_value_and_grad_new_func_payload(
    int (*fun)(mlx_vector_array*, mlx_vector_array*, const mlx_vector_array, void*),
    void* payload,
    void (*dtor)(void*));

/** Makes `cls` hold the function of `src`. */
int mlx_closure_value_and_grad_set(
    mlx_closure_value_and_grad* cls,
    const mlx_closure_value_and_grad src);

/** Calls the function. */
int mlx_closure_value_and_grad_apply(
    mlx_vector_array* res_0,
    mlx_vector_array* res_1,
    mlx_closure_value_and_grad cls,
    const mlx_vector_array input);

/* ---- mlx_closure_custom */

/** The empty handle. */
mlx_closure_custom mlx_closure_custom_new(void);

/** Gives the handle's share of the function back. An empty handle is fine. */
int mlx_closure_custom_free(mlx_closure_custom cls);

/** A closure that calls `fun`. */
mlx_closure_custom mlx_closure_custom_new_func(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, const mlx_vector_array, const mlx_vector_array));

/**
 * A closure that calls `fun` with `payload`. `dtor`, if any, is called with it when the last share
 * of the closure is gone, on any thread, also when this call fails.
 */
mlx_closure_custom mlx_closure_custom_new_func_payload(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, const mlx_vector_array, const mlx_vector_array, void*),
    void* payload,
    void (*dtor)(void*));

/** Makes `cls` hold the function of `src`. */
int mlx_closure_custom_set(mlx_closure_custom* cls, const mlx_closure_custom src);

/** Calls the function. */
int mlx_closure_custom_apply(
    mlx_vector_array* res,
    mlx_closure_custom cls,
    const mlx_vector_array input_0,
    const mlx_vector_array input_1,
    const mlx_vector_array input_2);

/* ---- mlx_closure_custom_jvp */

/** The empty handle. */
mlx_closure_custom_jvp mlx_closure_custom_jvp_new(void);

/** Gives the handle's share of the function back. An empty handle is fine. */
int mlx_closure_custom_jvp_free(mlx_closure_custom_jvp cls);

/** A closure that calls `fun`. */
mlx_closure_custom_jvp mlx_closure_custom_jvp_new_func(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, const mlx_vector_array, const int*, size_t _num));

/**
 * A closure that calls `fun` with `payload`. `dtor`, if any, is called with it when the last share
 * of the closure is gone, on any thread, also when this call fails.
 */
mlx_closure_custom_jvp mlx_closure_custom_jvp_new_func_payload(
    int (*fun)(mlx_vector_array*, const mlx_vector_array, const mlx_vector_array, const int*, size_t _num, void*),
    void* payload,
    void (*dtor)(void*));

/** Makes `cls` hold the function of `src`. */
int mlx_closure_custom_jvp_set(mlx_closure_custom_jvp* cls, const mlx_closure_custom_jvp src);

/** Calls the function. */
int mlx_closure_custom_jvp_apply(
    mlx_vector_array* res,
    mlx_closure_custom_jvp cls,
    const mlx_vector_array input_0,
    const mlx_vector_array input_1,
    const int* input_2,
    size_t input_2_num);

/* ---- mlx_closure_custom_vmap */

/** The empty handle. */
mlx_closure_custom_vmap mlx_closure_custom_vmap_new(void);

/** Gives the handle's share of the function back. An empty handle is fine. */
int mlx_closure_custom_vmap_free(mlx_closure_custom_vmap cls);

/** A closure that calls `fun`. */
mlx_closure_custom_vmap mlx_closure_custom_vmap_new_func(
    int (*fun)(mlx_vector_array*, mlx_vector_int*, const mlx_vector_array, const int*, size_t _num));

/**
 * A closure that calls `fun` with `payload`. `dtor`, if any, is called with it when the last share
 * of the closure is gone, on any thread, also when this call fails.
 */
mlx_closure_custom_vmap mlx_closure_custom_vmap_new_func_payload(
    int (*fun)(mlx_vector_array*, mlx_vector_int*, const mlx_vector_array, const int*, size_t _num, void*),
    void* payload,
    void (*dtor)(void*));

/** Makes `cls` hold the function of `src`. */
int mlx_closure_custom_vmap_set(mlx_closure_custom_vmap* cls, const mlx_closure_custom_vmap src);

/** Calls the function. */
int mlx_closure_custom_vmap_apply(
    mlx_vector_array* res_0,
    mlx_vector_int* res_1,
    mlx_closure_custom_vmap cls,
    const mlx_vector_array input_0,
    const int* input_1,
    size_t input_1_num);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_CLOSURE_H */
