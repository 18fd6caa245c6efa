/* Element-wise loops of int16_t and int8_t. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_ints.h"

#define T int16_t
#define TAG i16
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
#undef T
#undef TAG
#undef REAL_T

#define T int8_t
#define TAG i8
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
