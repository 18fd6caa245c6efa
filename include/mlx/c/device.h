/*
 * mlx/c/device.h: devices, and what is known of them.
 */
#ifndef MLX_C_DEVICE_H
#define MLX_C_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "mlx/c/string.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A device. `ctx` NULL is the empty handle. */
typedef struct mlx_device_ {
  void* ctx;
} mlx_device;

/** Kinds of devices. */
typedef enum mlx_device_type_ { MLX_CPU, MLX_GPU } mlx_device_type;

/** Facts about a device, by name. */
typedef struct mlx_device_info_ {
  void* ctx;
} mlx_device_info;

/** The empty handle. */
mlx_device mlx_device_new(void);

/** Device `index` of a kind, whether or not there is one. */
mlx_device mlx_device_new_type(mlx_device_type type, int index);

/** Frees the handle. An empty one is fine. */
int mlx_device_free(mlx_device dev);

/** Makes `dev` the device of `src`. */
int mlx_device_set(mlx_device* dev, const mlx_device src);

/** As "Device(cpu, 0)". */
int mlx_device_tostring(mlx_string* str, mlx_device dev);

/** Whether both are the same device. An empty handle equals only an empty one. */
bool mlx_device_equal(mlx_device lhs, mlx_device rhs);

/** The device's index. */
int mlx_device_get_index(int* index, mlx_device dev);

/** The device's kind. */
int mlx_device_get_type(mlx_device_type* type, mlx_device dev);

/** Where operations run that are given the default stream. */
int mlx_get_default_device(mlx_device* dev);

/** Sets the default device. One that is not there is an error. */
int mlx_set_default_device(mlx_device dev);

/** Whether the device is there. */
int mlx_device_is_available(bool* avail, mlx_device dev);

/** How many devices of a kind there are. */
int mlx_device_count(int* count, mlx_device_type type);

/* ---- Facts. A missing key and one of the other type return 2 and call no error handler. */

/** The empty handle. */
mlx_device_info mlx_device_info_new(void);

/** The facts about `dev`: "device_name" and "architecture" of the CPU. */
int mlx_device_info_get(mlx_device_info* info, mlx_device dev);

/** Frees the facts. An empty handle is fine. */
int mlx_device_info_free(mlx_device_info info);

/** Whether there is a fact `key`. */
int mlx_device_info_has_key(bool* exists, mlx_device_info info, const char* key);

/** Whether fact `key` is text; else it is a size. */
int mlx_device_info_is_string(bool* is_string, mlx_device_info info, const char* key);

/** Points `value` to a text; valid until the facts are freed. */
int mlx_device_info_get_string(const char** value, mlx_device_info info, const char* key);

/** A size. */
int mlx_device_info_get_size(size_t* value, mlx_device_info info, const char* key);

/** All keys. */
int mlx_device_info_get_keys(mlx_vector_string* keys, mlx_device_info info);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_DEVICE_H */
