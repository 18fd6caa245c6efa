/*
 * mlx/c/optional.h: numbers that may be absent. `value` counts only where `has_value` is set.
 */
#ifndef MLX_C_OPTIONAL_H
#define MLX_C_OPTIONAL_H

#include <stdbool.h>

#include "mlx/c/array.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An int, or nothing. */
typedef struct mlx_optional_int_ {
  int value;
  bool has_value;
} mlx_optional_int;

/** A float, or nothing. */
typedef struct mlx_optional_float_ {
  float value;
  bool has_value;
} mlx_optional_float;

/** A dtype, or nothing. */
typedef struct mlx_optional_dtype_ {
  mlx_dtype value;
  bool has_value;
} mlx_optional_dtype;

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_OPTIONAL_H */
