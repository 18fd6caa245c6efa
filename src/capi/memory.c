/* The allocator's counts and limits, and the back ends that are not there. */
#include "mlx/c/memory.h"

#include "capi/handles.h"
#include "mlx/c/cuda.h"
#include "mlx/c/metal.h"

static int answer(size_t *res, size_t value) {
  if (!res) return MX_REFUSE(MX_EVALUE, "[memory] no place for the result: NULL given");
  *res = value;
  return 0;
}

int mlx_clear_cache(void) {
  mx_memory_clear_cache();
  return 0;
}
int mlx_get_active_memory(size_t *res) { return answer(res, mx_memory_active()); }
int mlx_get_cache_memory(size_t *res) { return answer(res, mx_memory_cached()); }
int mlx_get_memory_limit(size_t *res) { return answer(res, mx_memory_limit()); }
int mlx_get_peak_memory(size_t *res) { return answer(res, mx_memory_peak()); }
int mlx_reset_peak_memory(void) {
  mx_memory_reset_peak();
  return 0;
}
int mlx_set_cache_limit(size_t *res, size_t limit) { return res ? answer(res, mx_memory_set_cache_limit(limit)) : answer(res, 0); }
int mlx_set_memory_limit(size_t *res, size_t limit) { return res ? answer(res, mx_memory_set_limit(limit)) : answer(res, 0); }
int mlx_set_wired_limit(size_t *res, size_t limit) {
  (void)limit; /* no device here wires memory */
  return answer(res, 0);
}

/* ---- what is not there ---- */

static int absent(bool *res) {
  if (!res) return MX_REFUSE(MX_EVALUE, "[is_available] no place for the result: NULL given");
  *res = false;
  return 0;
}

int mlx_metal_is_available(bool *res) { return absent(res); }
int mlx_metal_start_capture(const char *path) {
  (void)path;
  return 0;
}
int mlx_metal_stop_capture(void) { return 0; }
int mlx_cuda_is_available(bool *res) { return absent(res); }
