/*
 * mlx/c/metal.h: Apple's Metal, which this library does not have.
 */
#ifndef MLX_C_METAL_H
#define MLX_C_METAL_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Puts false into `res`. */
int mlx_metal_is_available(bool* res);

/** Without Metal there is nothing to capture: succeeds and writes nothing, as MLX does. */
int mlx_metal_start_capture(const char* path);

/** Succeeds, as mlx_metal_start_capture. */
int mlx_metal_stop_capture(void);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_METAL_H */
