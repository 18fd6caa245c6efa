/* What the tests of kernels share: views with odd strides, plain reading and writing of any dtype, calling a kernel. */
#ifndef KERNELS_TESTING_H
#define KERNELS_TESTING_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backend/backend.h"
#include "core/error.h"

/* A view that owns its memory. */
typedef struct tensor {
  mx_view v;
  int32_t shape[8];
  int64_t strides[8];
  char *memory;
} tensor;

static uint64_t test_state = 88172645463325252ull;
static inline uint32_t test_random(void) {
  test_state ^= test_state << 13;
  test_state ^= test_state >> 7;
  test_state ^= test_state << 17;
  return (uint32_t)(test_state >> 32);
}
static inline double test_uniform(void) { return test_random() * 0x1p-31 - 1; }

/* layout: 0 row-contiguous, 1 reversed last axis, 2 transposed memory, 3 every second element, 4 first axis repeated */
enum { LAYOUTS = 5 };
static inline tensor tensor_new(mx_dtype t, int nd, const int32_t *shape, int layout) {
  tensor x = {.v = {.ndim = (uint8_t)nd, .dtype = (uint8_t)t, .size = 1}};
  int64_t step = layout == 3 ? 2 : 1, at = 0, n = 1;
  for (int d = 0; d < nd; d++) x.shape[d] = shape[d], x.v.size *= shape[d], n *= shape[d] ? shape[d] : 1;
  if (layout == 2) {
    int64_t s = 1;
    for (int d = 0; d < nd; d++) x.strides[d] = s, s *= shape[d] ? shape[d] : 1;
  } else {
    int64_t s = step;
    for (int d = nd - 1; d >= 0; d--) x.strides[d] = s, s *= shape[d] ? shape[d] : 1;
  }
  if (layout == 1 && nd && shape[nd - 1]) {
    at = (shape[nd - 1] - 1) * x.strides[nd - 1];
    x.strides[nd - 1] = -x.strides[nd - 1];
  }
  if (layout == 4 && nd) x.strides[0] = 0;
  size_t item = mx_dtype_sizes[t];
  x.memory = calloc((size_t)(n * step) + 2, item);
  x.v.data = x.memory + (size_t)(at + 1) * item; /* not aligned to more than the item */
  return x;
}
/* The pointers into the struct, set where it has come to rest. */
static inline mx_view *tv(tensor *x) {
  x->v.shape = x->shape;
  x->v.strides = x->strides;
  return &x->v;
}
static inline void tensor_free(tensor *x) { free(x->memory); }

static inline double scalar_get(mx_dtype t, const void *p) {
  switch (t) {
    case MX_BOOL:
    case MX_U8: return *(const uint8_t *)p;
    case MX_U16: return *(const uint16_t *)p;
    case MX_U32: return *(const uint32_t *)p;
    case MX_U64: return (double)*(const uint64_t *)p;
    case MX_I8: return *(const int8_t *)p;
    case MX_I16: return *(const int16_t *)p;
    case MX_I32: return *(const int32_t *)p;
    case MX_I64: return (double)*(const int64_t *)p;
    case MX_F16: return mx_f16_to_f32(*(const mx_f16 *)p);
    case MX_BF16: return mx_bf16_to_f32(*(const mx_bf16 *)p);
    case MX_F32: return *(const float *)p;
    case MX_F64: return *(const double *)p;
    default: return crealf(*(const mx_c64 *)p);
  }
}
static inline void scalar_set(mx_dtype t, void *p, double v) {
  switch (t) {
    case MX_BOOL: *(uint8_t *)p = v != 0; break;
    case MX_U8: *(uint8_t *)p = (uint8_t)(int64_t)v; break;
    case MX_U16: *(uint16_t *)p = (uint16_t)(int64_t)v; break;
    case MX_U32: *(uint32_t *)p = (uint32_t)(int64_t)v; break;
    case MX_U64: *(uint64_t *)p = (uint64_t)(int64_t)v; break;
    case MX_I8: *(int8_t *)p = (int8_t)v; break;
    case MX_I16: *(int16_t *)p = (int16_t)v; break;
    case MX_I32: *(int32_t *)p = (int32_t)v; break;
    case MX_I64: *(int64_t *)p = (int64_t)v; break;
    case MX_F16: *(mx_f16 *)p = mx_f32_to_f16((float)v); break;
    case MX_BF16: *(mx_bf16 *)p = mx_f32_to_bf16((float)v); break;
    case MX_F32: *(float *)p = (float)v; break;
    case MX_F64: *(double *)p = v; break;
    default: *(mx_c64 *)p = CMPLXF((float)v, (float)(v / 2)); break;
  }
}

/* Where the ith element (in row order) lies. */
static inline int64_t tensor_offset(const tensor *x, int64_t i) {
  int64_t at = 0;
  for (int d = x->v.ndim - 1; d >= 0; d--) {
    at += i % x->shape[d] * x->strides[d];
    i /= x->shape[d];
  }
  return at;
}
static inline void *tensor_ptr(const tensor *x, int64_t i) {
  return (char *)x->v.data + tensor_offset(x, i) * mx_dtype_sizes[x->v.dtype];
}
static inline double tensor_get(const tensor *x, int64_t i) { return scalar_get(x->v.dtype, tensor_ptr(x, i)); }
static inline void tensor_set(tensor *x, int64_t i, double v) { scalar_set(x->v.dtype, tensor_ptr(x, i), v); }

/* Small whole numbers where exactness matters (most of them in the dtype's range), else uniform in [-1, 1). */
static inline void tensor_fill(tensor *x, bool whole) {
  bool is_unsigned = mx_dtype_kinds[x->v.dtype] == 'u' || x->v.dtype == MX_BOOL;
  for (int64_t i = 0; i < x->v.size; i++) {
    double v = whole || !mx_is_inexact(x->v.dtype) ? (double)(test_random() % 17) - (is_unsigned ? 0 : 8) : test_uniform();
    tensor_set(x, i, v);
  }
}

static inline int call_kernel(mx_opcode op, int nin, tensor **in, tensor *out, int np, const int64_t *p) {
  mx_view views[8], o = *tv(out);
  for (int i = 0; i < nin; i++) views[i] = *tv(in[i]);
  mx_call c = {op, nin, 1, np, views, &o, p, NULL};
  assert_non_null(mx_cpu_backend.kernels[op]);
  return mx_cpu_backend.kernels[op](&c);
}

#define ASSERT_CLOSE(a, b, tol)                                                                                              \
  do {                                                                                                                       \
    double a_ = (a), b_ = (b);                                                                                               \
    bool same_ = a_ == b_ || (a_ != a_ && b_ != b_) || fabs(a_ - b_) <= (tol);                                               \
    if (!same_) fail_msg("%s:%d: %.9g is not %.9g", __FILE__, __LINE__, a_, b_);                                             \
  } while (0)

#endif
