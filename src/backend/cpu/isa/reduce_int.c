/* Reductions of integers. */
#include "backend/cpu/isa/common.h"
#include "backend/cpu/isa/on_ints.h"

#define T int64_t
#define TAG i64
#include "backend/cpu/isa/reduce.inc.h"

#define T int32_t
#define TAG i32
#include "backend/cpu/isa/reduce.inc.h"

#define T int16_t
#define TAG i16
#define SUM_T int32_t
#define SUM_TAG i32
#include "backend/cpu/isa/reduce.inc.h"

#define T int8_t
#define TAG i8
#define SUM_T int32_t
#define SUM_TAG i32
#include "backend/cpu/isa/reduce.inc.h"

#define T uint64_t
#define TAG u64
#define SUM_TWIN i64
#include "backend/cpu/isa/reduce.inc.h"

#define T uint32_t
#define TAG u32
#define SUM_TWIN i32
#include "backend/cpu/isa/reduce.inc.h"

#define T uint16_t
#define TAG u16
#define SUM_T uint32_t
#define SUM_TAG u32
#include "backend/cpu/isa/reduce.inc.h"

#define T uint8_t
#define TAG u8
#define SUM_T uint32_t
#define SUM_TAG u32
#include "backend/cpu/isa/reduce.inc.h"
