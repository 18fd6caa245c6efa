/*
 * mlx/c/version.h: which MLX this is.
 */
#ifndef MLX_C_VERSION_H
#define MLX_C_VERSION_H

#include "mlx/c/string.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of MLX whose behaviour the library offers, as "0.32.4". */
int mlx_version(mlx_string* str_);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_VERSION_H */
