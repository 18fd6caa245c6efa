/* Dtypes and promotion. */
#include "core/dtype.h"

const uint8_t mx_dtype_sizes[MX_DTYPES] = {
#define DTYPE(e, name, type, tag, kind) sizeof(type),
#include "dtypes.def"
#undef DTYPE
};

const char mx_dtype_kinds[MX_DTYPES] = {
#define DTYPE(e, name, type, tag, kind) kind,
#include "dtypes.def"
#undef DTYPE
};

const char *mx_dtype_name(mx_dtype t) {
  static const char *const names[MX_DTYPES] = {
#define DTYPE(e, name, type, tag, kind) #name,
#include "dtypes.def"
#undef DTYPE
  };
  return (unsigned)t < MX_DTYPES ? names[t] : "?";
}

/* bool < integers < floats < complex. An unsigned and a signed integer give the smallest signed type that holds both, u64 with a
 * signed one float32; float16 with bfloat16 float32. */
mx_dtype mx_promote(mx_dtype a, mx_dtype b) {
  if (a == b) return a;
  if (a == MX_BOOL) return b;
  if (b == MX_BOOL) return a;
  if (a == MX_C64 || b == MX_C64) return MX_C64;
  bool fa = mx_is_float(a), fb = mx_is_float(b);
  if (fa && fb) {
    if (a == MX_F64 || b == MX_F64) return MX_F64;
    return MX_F32; /* two different ones of f16, bf16, f32 */
  }
  if (fa) return a;
  if (fb) return b;
  size_t sa = mx_dtype_sizes[a], sb = mx_dtype_sizes[b];
  if (mx_dtype_kinds[a] == mx_dtype_kinds[b]) return sa > sb ? a : b;
  mx_dtype u = mx_dtype_kinds[a] == 'u' ? a : b, i = u == a ? b : a;
  size_t su = u == a ? sa : sb, si = u == a ? sb : sa;
  if (si > su) return i;
  return su == 1 ? MX_I16 : su == 2 ? MX_I32 : su == 4 ? MX_I64 : MX_F32;
}

mx_dtype mx_at_least_float(mx_dtype t) { return mx_is_inexact(t) ? t : MX_F32; }
