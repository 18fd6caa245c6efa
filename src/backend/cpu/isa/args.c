/* Where the smallest and largest elements are. */
#include "backend/cpu/args.h"

#include "backend/cpu/isa/common.h"

#define ISNAN(x) 0
#define T uint8_t
#define TAG u8
#define BITS uint8_t
#include "backend/cpu/isa/args.inc.h"
#define T uint16_t
#define TAG u16
#define BITS uint16_t
#include "backend/cpu/isa/args.inc.h"
#define T uint32_t
#define TAG u32
#define BITS uint32_t
#include "backend/cpu/isa/args.inc.h"
#define T uint64_t
#define TAG u64
#define BITS uint64_t
#include "backend/cpu/isa/args.inc.h"
#define T int8_t
#define TAG i8
#define BITS uint8_t
#include "backend/cpu/isa/args.inc.h"
#define T int16_t
#define TAG i16
#define BITS uint16_t
#include "backend/cpu/isa/args.inc.h"
#define T int32_t
#define TAG i32
#define BITS uint32_t
#include "backend/cpu/isa/args.inc.h"
#define T int64_t
#define TAG i64
#define BITS uint64_t
#include "backend/cpu/isa/args.inc.h"

#undef ISNAN
#define ISNAN(x) ((x) != (x))
#define T float
#define TAG f32
#define BITS uint32_t
#include "backend/cpu/isa/args.inc.h"
#define T double
#define TAG f64
#define BITS uint64_t
#include "backend/cpu/isa/args.inc.h"

#define ENTRY(as, tag) [MX_TAG_##as] = {find_##tag, {cols_min_##tag, cols_max_##tag}}
extern const mx_arg CAT(mx_args, MX_ISA)[MX_N_TAGS];
const mx_arg CAT(mx_args, MX_ISA)[MX_N_TAGS] = {
    ENTRY(b8, u8),   ENTRY(u8, u8),   ENTRY(u16, u16), ENTRY(u32, u32), ENTRY(u64, u64), ENTRY(i8, i8),
    ENTRY(i16, i16), ENTRY(i32, i32), ENTRY(i64, i64), ENTRY(f32, f32), ENTRY(f64, f64),
};
