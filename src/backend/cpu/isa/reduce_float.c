/* Reductions of floating and complex numbers and of bool. */
#include "backend/cpu/isa/common.h"

#define ON_MX_T_ANY ON
#define ON_MX_T_BOOL OFF

#define T float
#define TAG f32
#include "backend/cpu/isa/reduce.inc.h"

#define T double
#define TAG f64
#include "backend/cpu/isa/reduce.inc.h"

#define T mx_c64
#define TAG c64
#include "backend/cpu/isa/reduce.inc.h"

#undef ON_MX_T_BOOL
#define ON_MX_T_BOOL ON

#define T uint8_t
#define TAG b8
#define SUM_T int32_t
#define SUM_TAG i32
#include "backend/cpu/isa/reduce.inc.h"
