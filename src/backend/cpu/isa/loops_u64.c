/* Element-wise loops of uint64_t and uint32_t. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_ints.h"

#define T uint64_t
#define TAG u64
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
#undef T
#undef TAG
#undef REAL_T

#define T uint32_t
#define TAG u32
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
