/*
 * mlx/c/fast_kernels.h: kernels in source, for Metal and for CUDA. There is no such device here: a kernel
 * is made and checked, and applying it is the error that says which back end is missing.
 */
#ifndef MLX_C_FAST_KERNELS_H
#define MLX_C_FAST_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "mlx/c/array.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a kernel for Metal is called once. */
typedef struct mlx_fast_metal_kernel_config_ {
  void* ctx;
} mlx_fast_metal_kernel_config;

/** A kernel for Metal. */
typedef struct mlx_fast_metal_kernel_ {
  void* ctx;
} mlx_fast_metal_kernel;

/** An empty configuration of one call: results are added, a grid and a thread group set. */
mlx_fast_metal_kernel_config mlx_fast_metal_kernel_config_new(void);

/** Frees it. An empty handle is fine. */
void mlx_fast_metal_kernel_config_free(mlx_fast_metal_kernel_config cls);

/** One more result, of this shape and dtype. */
int mlx_fast_metal_kernel_config_add_output_arg(
    mlx_fast_metal_kernel_config cls,
    const int* shape,
    size_t size,
    mlx_dtype dtype);

/** How many threads run, in three dimensions. */
int mlx_fast_metal_kernel_config_set_grid(
    mlx_fast_metal_kernel_config cls,
    int grid1,
    int grid2,
    int grid3);

/** How many threads form a group, in three dimensions. */
int mlx_fast_metal_kernel_config_set_thread_group(
    mlx_fast_metal_kernel_config cls,
    int thread1,
    int thread2,
    int thread3);

/** What the results hold before the kernel runs. */
int mlx_fast_metal_kernel_config_set_init_value(mlx_fast_metal_kernel_config cls, float value);

/** Whether the source is printed before it runs. */
int mlx_fast_metal_kernel_config_set_verbose(mlx_fast_metal_kernel_config cls, bool verbose);

/** A template argument that is a dtype. */
int mlx_fast_metal_kernel_config_add_template_arg_dtype(
    mlx_fast_metal_kernel_config cls,
    const char* name,
    mlx_dtype dtype);

/** A template argument that is a number. */
int mlx_fast_metal_kernel_config_add_template_arg_int(
    mlx_fast_metal_kernel_config cls,
    const char* name,
    int value);

/** A template argument that is a flag. */
int mlx_fast_metal_kernel_config_add_template_arg_bool(
    mlx_fast_metal_kernel_config cls,
    const char* name,
    bool value);

/** A kernel of this name from the body of a function. There must be a result. */
mlx_fast_metal_kernel mlx_fast_metal_kernel_new(
    const char* name,
    const mlx_vector_string input_names,
    const mlx_vector_string output_names,
    const char* source,
    const char* header,
    bool ensure_row_contiguous,
    bool atomic_outputs);

/** Frees it. An empty handle is fine. */
void mlx_fast_metal_kernel_free(mlx_fast_metal_kernel cls);

/**
 * Calls the kernel on `inputs`, one for each name. Always an error here: "[metal_kernel] No Metal
 * back-end."
 */
int mlx_fast_metal_kernel_apply(
    mlx_vector_array* outputs,
    mlx_fast_metal_kernel cls,
    const mlx_vector_array inputs,
    const mlx_fast_metal_kernel_config config,
    const mlx_stream stream);

/** How a kernel for CUDA is called once. */
typedef struct mlx_fast_cuda_kernel_config_ {
  void* ctx;
} mlx_fast_cuda_kernel_config;

/** A kernel for CUDA. */
typedef struct mlx_fast_cuda_kernel_ {
  void* ctx;
} mlx_fast_cuda_kernel;

/** An empty configuration of one call: results are added, a grid and a thread group set. */
mlx_fast_cuda_kernel_config mlx_fast_cuda_kernel_config_new(void);

/** Frees it. An empty handle is fine. */
void mlx_fast_cuda_kernel_config_free(mlx_fast_cuda_kernel_config cls);

/** One more result, of this shape and dtype. */
int mlx_fast_cuda_kernel_config_add_output_arg(
    mlx_fast_cuda_kernel_config cls,
    const int* shape,
    size_t size,
    mlx_dtype dtype);

/** How many threads run, in three dimensions. */
int mlx_fast_cuda_kernel_config_set_grid(
    mlx_fast_cuda_kernel_config cls,
    int grid1,
    int grid2,
    int grid3);

/** How many threads form a group, in three dimensions. */
int mlx_fast_cuda_kernel_config_set_thread_group(
    mlx_fast_cuda_kernel_config cls,
    int thread1,
    int thread2,
    int thread3);

/** What the results hold before the kernel runs. */
int mlx_fast_cuda_kernel_config_set_init_value(mlx_fast_cuda_kernel_config cls, float value);

/** Whether the source is printed before it runs. */
int mlx_fast_cuda_kernel_config_set_verbose(mlx_fast_cuda_kernel_config cls, bool verbose);

/** A template argument that is a dtype. */
int mlx_fast_cuda_kernel_config_add_template_arg_dtype(
    mlx_fast_cuda_kernel_config cls,
    const char* name,
    mlx_dtype dtype);

/** A template argument that is a number. */
int mlx_fast_cuda_kernel_config_add_template_arg_int(
    mlx_fast_cuda_kernel_config cls,
    const char* name,
    int value);

/** A template argument that is a flag. */
int mlx_fast_cuda_kernel_config_add_template_arg_bool(
    mlx_fast_cuda_kernel_config cls,
    const char* name,
    bool value);

/** A kernel of this name from the body of a function. There must be a result. */
mlx_fast_cuda_kernel mlx_fast_cuda_kernel_new(
    const char* name,
    const mlx_vector_string input_names,
    const mlx_vector_string output_names,
    const char* source,
    const char* header,
    bool ensure_row_contiguous,
    int shared_memory);

/** Frees it. An empty handle is fine. */
void mlx_fast_cuda_kernel_free(mlx_fast_cuda_kernel cls);

/**
 * Calls the kernel on `inputs`, one for each name. Always an error here: "[cuda_kernel] No CUDA
 * back-end."
 */
int mlx_fast_cuda_kernel_apply(
    mlx_vector_array* outputs,
    mlx_fast_cuda_kernel cls,
    const mlx_vector_array inputs,
    const mlx_fast_cuda_kernel_config config,
    const mlx_stream stream);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_FAST_KERNELS_H */
