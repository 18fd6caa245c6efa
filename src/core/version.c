#include "core/version.h"

/* Both come from CMakeLists.txt, the one place that names them. */
const char *mx_version(void) { return CMLX_VERSION; }
const char *mx_mlx_version(void) { return CMLX_MLX_VERSION; }
