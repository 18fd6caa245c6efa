/* Dtypes: their sizes, names, classes and promotion rules (the numbers are those of mlx_dtype). */
#ifndef MX_CORE_DTYPE_H
#define MX_CORE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/half.h"

typedef enum mx_dtype {
#define DTYPE(e, name, type, tag, kind) MX_##e,
#include "dtypes.def"
#undef DTYPE
  MX_DTYPES
} mx_dtype;

extern const uint8_t mx_dtype_sizes[MX_DTYPES];
extern const char mx_dtype_kinds[MX_DTYPES]; /* b u i f c */
const char *mx_dtype_name(mx_dtype t);       /* "float32" */

static inline size_t mx_dtype_size(mx_dtype t) { return mx_dtype_sizes[t]; }
static inline bool mx_is_float(mx_dtype t) { return mx_dtype_kinds[t] == 'f'; }
static inline bool mx_is_complex(mx_dtype t) { return t == MX_C64; }
static inline bool mx_is_inexact(mx_dtype t) { return mx_dtype_kinds[t] == 'f' || t == MX_C64; }
static inline bool mx_is_integer(mx_dtype t) { return mx_dtype_kinds[t] == 'i' || mx_dtype_kinds[t] == 'u'; }

/* The dtype of a sum of the two (behaviour: MLX's table). */
mx_dtype mx_promote(mx_dtype a, mx_dtype b);
/* Itself when inexact, else f32: the dtype in which exp, mean, … of it are computed. */
mx_dtype mx_at_least_float(mx_dtype t);

/* Sets of dtypes as bit masks, for the tables. */
#define MX_BIT(t) (1u << (t))
#define MX_T_BOOL MX_BIT(MX_BOOL)
#define MX_T_UINT (MX_BIT(MX_U8) | MX_BIT(MX_U16) | MX_BIT(MX_U32) | MX_BIT(MX_U64))
#define MX_T_SINT (MX_BIT(MX_I8) | MX_BIT(MX_I16) | MX_BIT(MX_I32) | MX_BIT(MX_I64))
#define MX_T_INT (MX_T_UINT | MX_T_SINT)
#define MX_T_BITS (MX_T_BOOL | MX_T_INT)
#define MX_T_FLT (MX_BIT(MX_F16) | MX_BIT(MX_BF16) | MX_BIT(MX_F32) | MX_BIT(MX_F64))
#define MX_T_CPX MX_BIT(MX_C64)
#define MX_T_FLT_CPX (MX_T_FLT | MX_T_CPX)
#define MX_T_REAL (MX_T_BITS | MX_T_FLT)
#define MX_T_NUM (MX_T_INT | MX_T_FLT_CPX)
#define MX_T_ANY (MX_T_BITS | MX_T_FLT_CPX)

#endif
