/* Element-wise loops of float. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_floats.h"

#define SCALARS
#define OVERRIDES "backend/cpu/isa/overrides_f32.inc.h"
#define T float
#define TAG f32
#define REAL_T float
#include "backend/cpu/isa/loops.inc.h"
