/*
 * mlx/c/extras.h: Operations that MLX offers in Python and mlx-c leaves out. The rules of ops.h
 * hold. Written by tools/opgen.py from ops/functions.def.
 */
#ifndef MLX_C_EXTRAS_H
#define MLX_C_EXTRAS_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The whole number next to a towards zero. Keeps the type; complex is refused. */
int mlx_trunc(mlx_array* res, const mlx_array a, const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_EXTRAS_H */
