#include "backend/cpu/rows.h"

#include <string.h>

#include "backend/cpu/isa.h"

#define LOOP(type, expr)                                                                                                     \
  {                                                                                                                          \
    const type *p = x;                                                                                                       \
    if (stride == 1)                                                                                                         \
      for (int64_t i = 0; i < n; i++) { type v = p[i]; out[i] = expr; }                                                      \
    else                                                                                                                     \
      for (int64_t i = 0; i < n; i++) { type v = p[i * stride]; out[i] = expr; }                                             \
    break;                                                                                                                   \
  }

void mx_load_f32(mx_dtype t, const void *x, int64_t stride, int64_t n, float *restrict out) {
  if (stride == 1 && mx_dtype_sizes[t] == 2) {
    mx_isa_now->halves[t == MX_BF16].load((size_t)n, out, x, NULL, NULL);
    return;
  }
  switch (t) {
    case MX_F16: LOOP(mx_f16, mx_f16_to_f32(v))
    case MX_BF16: LOOP(mx_bf16, mx_bf16_to_f32(v))
    case MX_F64: LOOP(double, (float)v)
    default: LOOP(float, v)
  }
}

void mx_load_f64(mx_dtype t, const void *x, int64_t stride, int64_t n, double *restrict out) {
  switch (t) {
    case MX_F16: LOOP(mx_f16, mx_f16_to_f32(v))
    case MX_BF16: LOOP(mx_bf16, mx_bf16_to_f32(v))
    case MX_F64: LOOP(double, v)
    default: LOOP(float, v)
  }
}

#undef LOOP

const float *mx_row_f32(mx_dtype t, const void *x, int64_t stride, int64_t n, float *scratch) {
  if (t == MX_F32 && stride == 1) return x;
  mx_load_f32(t, x, stride, n, scratch);
  return scratch;
}

void mx_store_f32(mx_dtype t, const float *restrict x, int64_t n, void *out) {
  switch (t) {
    case MX_F16:
    case MX_BF16: mx_isa_now->halves[t == MX_BF16].store((size_t)n, out, x, NULL, NULL); break;
    case MX_F64: {
      double *o = out;
      for (int64_t i = 0; i < n; i++) o[i] = x[i];
      break;
    }
    default: memcpy(out, x, (size_t)n * sizeof *x);
  }
}

void mx_store_f64(mx_dtype t, const double *restrict x, int64_t n, void *out) {
  switch (t) {
    case MX_F64: memcpy(out, x, (size_t)n * sizeof *x); break;
    default:
      for (int64_t i = 0; i < n; i++) {
        float v = (float)x[i];
        mx_store_f32(t, &v, 1, (char *)out + i * mx_dtype_sizes[t]);
      }
  }
}
