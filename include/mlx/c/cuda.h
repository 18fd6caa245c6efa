/*
 * mlx/c/cuda.h: NVIDIA's CUDA.
 */
#ifndef MLX_C_CUDA_H
#define MLX_C_CUDA_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Whether arrays can be computed on a CUDA device. */
int mlx_cuda_is_available(bool* res);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_CUDA_H */
