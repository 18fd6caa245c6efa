/* Element-wise loops of int64_t and int32_t. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_ints.h"

#define T int64_t
#define TAG i64
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
#undef T
#undef TAG
#undef REAL_T

#define T int32_t
#define TAG i32
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
