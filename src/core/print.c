/* Printing arrays as MLX prints them: six significant digits, the first and last three of an axis longer than six. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/alloc.h"
#include "core/array.h"
#include "core/error.h"

enum { EDGE = 3, INDENT = 7 };

static _Atomic int precision = -1;

void mx_set_print_precision(int digits) { precision = digits; }
int mx_print_precision(void) { return precision; }

typedef struct text {
  char *s;
  size_t n, cap;
  bool failed;
} text;

static void put(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(text *t, const char *fmt, ...) {
  char part[512];
  va_list ap;
  va_start(ap, fmt);
  int k = vsnprintf(part, sizeof part, fmt, ap);
  va_end(ap);
  size_t n = k < 0 ? 0 : (size_t)k < sizeof part ? (size_t)k : sizeof part - 1;
  if (t->failed) return;
  if (t->n + n + 1 > t->cap) {
    size_t cap = 2 * (t->n + n + 64);
    char *s = mx_realloc(t->s, cap);
    if (!s) {
      t->failed = true;
      return;
    }
    t->s = s;
    t->cap = cap;
  }
  memcpy(t->s + t->n, part, n + 1);
  t->n += n;
}

static void put_float(text *t, double v) {
  if (precision < 0) put(t, "%g", v);
  else put(t, "%.*f", precision, v);
}

static void put_complex(text *t, mx_c64 z) {
  put_float(t, crealf(z));
  if (!__builtin_signbit(cimagf(z))) put(t, "+");
  put_float(t, cimagf(z));
  put(t, "j");
}

static void put_element(text *t, mx_dtype d, const void *p) {
  switch (d) {
    case MX_BOOL: put(t, *(const uint8_t *)p ? "True" : "False"); break;
    case MX_U8: put(t, "%d", *(const uint8_t *)p); break;
    case MX_U16: put(t, "%d", *(const uint16_t *)p); break;
    case MX_U32: put(t, "%" PRIu32, *(const uint32_t *)p); break;
    case MX_U64: put(t, "%" PRIu64, *(const uint64_t *)p); break;
    case MX_I8: put(t, "%d", *(const int8_t *)p); break;
    case MX_I16: put(t, "%d", *(const int16_t *)p); break;
    case MX_I32: put(t, "%" PRId32, *(const int32_t *)p); break;
    case MX_I64: put(t, "%" PRId64, *(const int64_t *)p); break;
    case MX_F16: put_float(t, mx_f16_to_f32(*(const mx_f16 *)p)); break;
    case MX_BF16: put_float(t, mx_bf16_to_f32(*(const mx_bf16 *)p)); break;
    case MX_F32: put_float(t, *(const float *)p); break;
    case MX_F64: put_float(t, *(const double *)p); break;
    case MX_C64: put_complex(t, *(const mx_c64 *)p); break;
    default: break;
  }
}

static void put_axis(text *t, const mx_array *a, int axis, const char *p) {
  if (axis == a->ndim) {
    put_element(t, (mx_dtype)a->dtype, p);
    return;
  }
  bool rows = axis + 1 < a->ndim;
  int64_t n = a->shape[axis], step = a->strides[axis] * (int64_t)mx_dtype_sizes[a->dtype];
  put(t, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i && rows) put(t, ",\n%*s", INDENT + axis, "");
    else if (i) put(t, ", ");
    if (n > 2 * EDGE && i == EDGE) {
      put(t, "...");
      i = n - EDGE - 1;
    } else {
      put_axis(t, a, axis + 1, p + i * step);
    }
  }
  put(t, "]");
}

char *mx_array_tostring(const mx_array *a) {
  text t = {0};
  put(&t, "array(");
  put_axis(&t, a, 0, a->data);
  put(&t, ", dtype=%s)", mx_dtype_name((mx_dtype)a->dtype));
  if (!t.failed) return t.s;
  mx_free(t.s);
  mx_fail_memory();
  return NULL;
}
