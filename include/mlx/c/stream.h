/*
 * mlx/c/stream.h: streams: queues of work on a device, run in order.
 */
#ifndef MLX_C_STREAM_H
#define MLX_C_STREAM_H

#include <stdbool.h>

#include "mlx/c/device.h"
#include "mlx/c/string.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A stream. `ctx` NULL is the empty handle. */
typedef struct mlx_stream_ {
  void* ctx;
} mlx_stream;

/** The empty handle. */
mlx_stream mlx_stream_new(void);

/** A fresh stream on a device; the empty handle when it is not there. */
mlx_stream mlx_stream_new_device(mlx_device dev);

/** Makes `stream` the stream of `src`. */
int mlx_stream_set(mlx_stream* stream, const mlx_stream src);

/** Frees the handle; the stream lives on. An empty handle is fine. */
int mlx_stream_free(mlx_stream stream);

/** As "Stream(Device(cpu, 0), 0)". */
int mlx_stream_tostring(mlx_string* str, mlx_stream stream);

/** Whether both are the same stream. An empty handle equals only an empty one. */
bool mlx_stream_equal(mlx_stream lhs, mlx_stream rhs);

/** The stream's device. */
int mlx_stream_get_device(mlx_device* dev, mlx_stream stream);

/** The stream's number. */
int mlx_stream_get_index(int* index, mlx_stream stream);

/** Waits until all work that was given to the stream is done. */
int mlx_synchronize(mlx_stream stream);

/** The calling thread's default stream on a device. */
int mlx_get_default_stream(mlx_stream* stream, mlx_device dev);

/** Makes it the calling thread's default stream on its device. */
int mlx_set_default_stream(mlx_stream stream);

/** A handle of the calling thread's default stream on the CPU. */
mlx_stream mlx_default_cpu_stream_new(void);

/** The same for the GPU; the empty handle, and an error, without one. */
mlx_stream mlx_default_gpu_stream_new(void);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_STREAM_H */
