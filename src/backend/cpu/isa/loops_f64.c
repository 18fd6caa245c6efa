/* Element-wise loops of double. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_floats.h"

#define T double
#define TAG f64
#define REAL_T double
#include "backend/cpu/isa/loops.inc.h"
