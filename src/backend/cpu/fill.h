/* Filling row-contiguous results. */
#ifndef MX_CPU_FILL_H
#define MX_CPU_FILL_H

#include "backend/backend.h"

/* Every element of the row-contiguous view becomes the one at `value`; NULL: zero. */
int mx_fill(const mx_view *out, const void *value);

#endif
