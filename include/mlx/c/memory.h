/*
 * mlx/c/memory.h: the allocator's counts and limits, in bytes. Freed blocks go to a cache first and are used again.
 */
#ifndef MLX_C_MEMORY_H
#define MLX_C_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Gives the cached blocks back to the system. */
int mlx_clear_cache(void);

/** What arrays use now, without the cache. */
int mlx_get_active_memory(size_t* res);

/** What the cache holds. */
int mlx_get_cache_memory(size_t* res);

/** The limit set by mlx_set_memory_limit. */
int mlx_get_memory_limit(size_t* res);

/** The most that arrays used since the start or mlx_reset_peak_memory. */
int mlx_get_peak_memory(size_t* res);

/** Sets the peak to zero. */
int mlx_reset_peak_memory(void);

/** How much the cache may hold; 0 turns it off. The previous limit goes to `res`. */
int mlx_set_cache_limit(size_t* res, size_t limit);

/** Above this the allocator empties the cache before it grows. The previous limit goes to `res`. */
int mlx_set_memory_limit(size_t* res, size_t limit);

/** For GPUs that wire memory, of which there is none: without effect, and `res` is 0. */
int mlx_set_wired_limit(size_t* res, size_t limit);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_MEMORY_H */
