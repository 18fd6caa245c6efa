/*
 * mlx/c/distributed.h: what the processes of a group compute together. An empty group is that of all
 * processes. In a group of one the collectives give `x` back; there is nobody to send to.
 */
#ifndef MLX_C_DISTRIBUTED_H
#define MLX_C_DISTRIBUTED_H

#include <stddef.h>

#include "mlx/c/array.h"
#include "mlx/c/distributed_group.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The processes' arrays, one behind the other along the first axis. */
int mlx_distributed_all_gather(
    mlx_array* res,
    const mlx_array x,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream S);

/** The element-wise maximum over the processes. */
int mlx_distributed_all_max(
    mlx_array* res,
    const mlx_array x,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

/** The element-wise minimum over the processes. */
int mlx_distributed_all_min(
    mlx_array* res,
    const mlx_array x,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

/** The sum over the processes. */
int mlx_distributed_all_sum(
    mlx_array* res,
    const mlx_array x,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

/** An array of this shape and dtype that process `src` sends. A group of one is refused. */
int mlx_distributed_recv(
    mlx_array* res,
    const int* shape,
    size_t shape_num,
    mlx_dtype dtype,
    int src,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

/** mlx_distributed_recv with the shape and dtype of `x`. */
int mlx_distributed_recv_like(
    mlx_array* res,
    const mlx_array x,
    int src,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

/** `x`, which evaluated sends it to process `dst`. A group of one is refused. */
int mlx_distributed_send(
    mlx_array* res,
    const mlx_array x,
    int dst,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

/** This process's part, along the first axis, of the sum over the processes. */
int mlx_distributed_sum_scatter(
    mlx_array* res,
    const mlx_array x,
    const mlx_distributed_group group /* may be empty */,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_DISTRIBUTED_H */
