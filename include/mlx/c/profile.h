/*
 * mlx/c/profile.h: seeing inside. What ran and for how long, as a table or as a trace; a check for NaN. An addition to mlx-c.
 */
#ifndef MLX_C_PROFILE_H
#define MLX_C_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/string.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What ran between a start and a stop, by operation. Any number of profiles may run at a time. */
typedef struct mlx_profile_ {
  void* ctx;
} mlx_profile;

/** One operation, or one kind of fused group, whose name lists its operations. */
typedef struct mlx_profile_row_ {
  const char* name;       /* valid until the profile is started again or freed */
  uint64_t calls;
  double seconds;         /* without what operations inside it took */
  uint64_t bytes_read;    /* of the inputs, each counted whole */
  uint64_t bytes_written; /* of the results */
  double flops;           /* additions, multiplications and the like; negative: not known */
} mlx_profile_row;

/** A profile that has not been started. Empty when there is no memory. */
mlx_profile mlx_profile_new(void);

/** Frees the profile, which is stopped. An empty handle is fine. */
int mlx_profile_free(mlx_profile profile);

/** Begins to count what any thread evaluates. What was counted before is forgotten. */
int mlx_profile_start(mlx_profile profile);

/** Counts no longer. What was handed over by mlx_async_eval and has not run yet is not waited for. */
int mlx_profile_stop(mlx_profile profile);

/** How many rows there are, and what mlx_profile_get_row gives: the rows as they stand now, the longest time first. */
int mlx_profile_num_rows(size_t* res, mlx_profile profile);

/** Row `i` of those that the last mlx_profile_num_rows saw. */
int mlx_profile_get_row(mlx_profile_row* res, mlx_profile profile, size_t i);

/** Seconds from start to stop, or until now. */
int mlx_profile_seconds(double* res, mlx_profile profile);

/** The rows as a table to print: calls, time, share of the time, bytes, GB/s and GFLOP/s. */
int mlx_profile_table(mlx_string* res, mlx_profile profile);

/**
 * Begins to write what runs to a file that Perfetto and chrome://tracing open; "%p" in its name
 * becomes the number of the process. A trace that is going on ends first. The environment variable
 * MLX_TRACE does this when the library is loaded.
 */
int mlx_trace_start(const char* file);

/** Writes out what is waiting to be written. */
int mlx_trace_flush(void);

/** Ends the file. It also ends when the process does; a process that is killed leaves a file that can be opened. */
int mlx_trace_stop(void);

/**
 * While `nan` is on, evaluating an operation whose result holds NaN (with `inf` also an infinity)
 * fails with a message that names the operation and the place. Nothing is fused meanwhile. The
 * environment variable MLX_DEBUG_NANS, with the value "inf" for both, does this from the start.
 */
int mlx_set_debug_nans(bool nan, bool inf);

/** What mlx_set_debug_nans has set. */
int mlx_get_debug_nans(bool* nan, bool* inf);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_PROFILE_H */
