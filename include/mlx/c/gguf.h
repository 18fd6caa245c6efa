/*
 * mlx/c/gguf.h: the contents of .gguf files, beyond what mlx-c offers (io_types.h).
 */
#ifndef MLX_C_GGUF_H
#define MLX_C_GGUF_H

#include "mlx/c/io_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The keys of the metadata, of all kinds. */
int mlx_io_gguf_get_metadata_keys(mlx_vector_string* keys, mlx_io_gguf io);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_GGUF_H */
