/* Element-wise loops of bool: arithmetic in int, results 0 or 1. */
#include "backend/cpu/isa/common.h"

#define ON_MX_T_ANY ON
#define ON_MX_T_NUM OFF
#define ON_MX_T_FLT_CPX OFF
#define ON_MX_T_FLT OFF
#define ON_MX_T_REAL ON
#define ON_MX_T_BOOL ON
#define ON_MX_T_BITS ON
#define ON_MX_T_INT OFF
#define T uint8_t
#define TAG b8
#define REAL_T uint8_t
#define STORE(O, v) ((O)((v) != 0))
#include "backend/cpu/isa/loops.inc.h"
