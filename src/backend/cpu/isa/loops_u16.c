/* Element-wise loops of uint16_t and uint8_t. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_ints.h"

#define T uint16_t
#define TAG u16
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
#undef T
#undef TAG
#undef REAL_T

#define T uint8_t
#define TAG u8
#define REAL_T T
#include "backend/cpu/isa/loops.inc.h"
