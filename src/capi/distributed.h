/* Groups in handles. A group's box: mx_group *, one counted reference. */
#ifndef MX_CAPI_DISTRIBUTED_H
#define MX_CAPI_DISTRIBUTED_H

#include "dist/dist.h"
#include "mlx/c/distributed.h"

static inline mx_group *mx_group_of(mlx_distributed_group h) { return h.ctx ? *(mx_group **)h.ctx : NULL; }

#endif
