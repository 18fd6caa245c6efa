/*
 * mlx/c/last_error.h: the last error of the calling thread. An addition to mlx-c.
 */
#ifndef MLX_C_LAST_ERROR_H
#define MLX_C_LAST_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What the last function that failed on this thread said, without the " at file:line" that a handler sees; "" when
 * none has. Valid until the next failure on this thread. A success does not clear it.
 */
const char* mlx_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_LAST_ERROR_H */
