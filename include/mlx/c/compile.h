/*
 * mlx/c/compile.h: functions traced once and replayed.
 */
#ifndef MLX_C_COMPILE_H
#define MLX_C_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/closure.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How much of compiling is done. */
typedef enum mlx_compile_mode_ {
  MLX_COMPILE_MODE_DISABLED,
  MLX_COMPILE_MODE_NO_SIMPLIFY,
  MLX_COMPILE_MODE_NO_FUSE,
  MLX_COMPILE_MODE_ENABLED
} mlx_compile_mode;

/**
 * A closure that traces `fun` once for the shapes and types of its inputs (once for their types and
 * numbers of dimensions when `shapeless`) and later replays what was traced. An eval inside `fun`
 * is an error.
 */
int mlx_compile(mlx_closure* res, const mlx_closure fun, bool shapeless);

/**
 * mlx_compile whose cache is shared by all closures of one `fun_id` and one list of `constants`:
 * for bindings of other languages.
 */
int mlx_detail_compile(
    mlx_closure* res,
    const mlx_closure fun,
    uintptr_t fun_id,
    bool shapeless,
    const uint64_t* constants,
    size_t constants_num);

/** Forgets what all functions have traced. */
int mlx_detail_compile_clear_cache(void);

/** Forgets what the functions of one `fun_id` have traced. */
int mlx_detail_compile_erase(uintptr_t fun_id);

/** Compiled closures call their function from now on. */
int mlx_disable_compile(void);

/** Undoes mlx_disable_compile. */
int mlx_enable_compile(void);

/** Sets how much of compiling is done. */
int mlx_set_compile_mode(mlx_compile_mode mode);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_COMPILE_H */
