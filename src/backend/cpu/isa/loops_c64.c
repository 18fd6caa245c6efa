/* Element-wise loops of complex float. */
#include "backend/cpu/isa/common.h"

#define ON_MX_T_ANY ON
#define ON_MX_T_NUM ON
#define ON_MX_T_FLT_CPX ON
#define ON_MX_T_FLT OFF
#define ON_MX_T_REAL OFF
#define ON_MX_T_BOOL OFF
#define ON_MX_T_BITS OFF
#define ON_MX_T_INT OFF
#define T mx_c64
#define TAG c64
#define REAL_T float
#include "backend/cpu/isa/loops.inc.h"
