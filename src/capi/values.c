/* The values of arrays: eval, single items, layout, printing. */
#include "capi/handles.h"
#include "mlx/c/transforms.h"
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

/* Every compiler gets these two, whether or not it has a type for them: only their bits are moved. */
#ifndef HAS_FLOAT16
typedef mx_f16 float16_t;
int mlx_array_item_float16(float16_t *res, const mlx_array arr);
#endif
#ifndef HAS_BFLOAT16
typedef mx_bf16 bfloat16_t;
int mlx_array_item_bfloat16(bfloat16_t *res, const mlx_array arr);
#endif

static int need(mx_array **a, mlx_array h, const char *tag) {
  *a = mx_array_of(h);
  return *a ? 0 : mx_fail(MX_EVALUE, "[%s] empty array given, expected a value", tag);
}

int mlx_array_eval(mlx_array arr) {
  mx_array *a;
  int rc = need(&a, arr, "eval");
  return MX_STATUS(rc ? rc : mx_eval(1, &a));
}

int mlx_eval(const mlx_vector_array outputs) {
  const mx_list *l;
  int rc = mx_need_list(&l, outputs, "eval", "outputs");
  return MX_STATUS(rc ? rc : mx_eval(l->n, l->at));
}

int mlx_async_eval(const mlx_vector_array outputs) {
  const mx_list *l;
  int rc = mx_need_list(&l, outputs, "async_eval", "outputs");
  return MX_STATUS(rc ? rc : mx_async_eval(l->n, l->at));
}

int mlx_synchronize(mlx_stream stream) {
  if (!stream.ctx) return MX_REFUSE(MX_EVALUE, "[synchronize] empty stream given, expected a stream");
  return MX_STATUS(mx_synchronize(*(mx_stream *)stream.ctx));
}

/* ---- items ---- */

/* One element converted to dtype t, in *out. The conversion is astype's, so that item and astype never disagree. */
static int item(mlx_array h, mx_dtype t, void *out) {
  mx_array *a;
  if (!out) return MX_REFUSE(MX_EVALUE, "[item] NULL given for the result");
  if (need(&a, h, "item")) return MX_REPORT();
  if (a->size != 1)
    return MX_REFUSE(MX_EVALUE, "[item] an array of shape %s has %lld elements, expected one", mx_shape_of(a),
                     (long long)a->size);
  mx_scope s;
  mx_scope_begin(&s, a->stream);
  mx_array *x = mx_astype(&s, a, t);
  int rc = x ? mx_eval(1, &x) : s.rc;
  if (!rc) memcpy(out, x->data, mx_dtype_size(t));
  mx_scope_end(&s);
  return MX_STATUS(rc);
}

int mlx_array_item_bool(bool *res, const mlx_array arr) { return item(arr, MX_BOOL, res); }
int mlx_array_item_uint8(uint8_t *res, const mlx_array arr) { return item(arr, MX_U8, res); }
int mlx_array_item_uint16(uint16_t *res, const mlx_array arr) { return item(arr, MX_U16, res); }
int mlx_array_item_uint32(uint32_t *res, const mlx_array arr) { return item(arr, MX_U32, res); }
int mlx_array_item_uint64(uint64_t *res, const mlx_array arr) { return item(arr, MX_U64, res); }
int mlx_array_item_int8(int8_t *res, const mlx_array arr) { return item(arr, MX_I8, res); }
int mlx_array_item_int16(int16_t *res, const mlx_array arr) { return item(arr, MX_I16, res); }
int mlx_array_item_int32(int32_t *res, const mlx_array arr) { return item(arr, MX_I32, res); }
int mlx_array_item_int64(int64_t *res, const mlx_array arr) { return item(arr, MX_I64, res); }
int mlx_array_item_float32(float *res, const mlx_array arr) { return item(arr, MX_F32, res); }
int mlx_array_item_float64(double *res, const mlx_array arr) { return item(arr, MX_F64, res); }
int mlx_array_item_complex64(mlx_complex64_t *res, const mlx_array arr) { return item(arr, MX_C64, res); }
int mlx_array_item_float16(float16_t *res, const mlx_array arr) { return item(arr, MX_F16, res); }
int mlx_array_item_bfloat16(bfloat16_t *res, const mlx_array arr) { return item(arr, MX_BF16, res); }

/* ---- the state of an array ---- */

int _mlx_array_is_available(bool *res, const mlx_array arr) {
  mx_array *a;
  if (need(&a, arr, "is_available")) return MX_REPORT();
  if (!res) return MX_REFUSE(MX_EVALUE, "[is_available] NULL given for the result");
  *res = mx_is_available(a);
  return 0;
}

int _mlx_array_wait(const mlx_array arr) {
  mx_array *a;
  if (need(&a, arr, "wait")) return MX_REPORT();
  if (atomic_load(&a->status) == MX_UNSCHEDULED)
    return MX_REFUSE(MX_ERUNTIME, "[wait] an array of shape %s is not being computed: evaluate it first", mx_shape_of(a));
  return MX_STATUS(mx_wait(a));
}

/* The evaluated array of a question about its layout, whose answer goes to res. */
static int evaluated(mx_array **a, const bool *res, mlx_array h, const char *tag) {
  int rc = need(a, h, tag);
  if (!rc && !res) rc = mx_fail(MX_EVALUE, "[%s] NULL given for the result", tag);
  if (!rc && !mx_is_available(*a))
    rc = mx_fail(MX_ERUNTIME, "[%s] an array of shape %s has no layout before it is evaluated", tag, mx_shape_of(*a));
  return rc;
}

int _mlx_array_is_row_contiguous(bool *res, const mlx_array arr) {
  mx_array *a;
  if (evaluated(&a, res, arr, "is_row_contiguous")) return MX_REPORT();
  *res = mx_is_row_contiguous(a);
  return 0;
}

int _mlx_array_is_col_contiguous(bool *res, const mlx_array arr) {
  mx_array *a;
  if (evaluated(&a, res, arr, "is_col_contiguous")) return MX_REPORT();
  *res = mx_is_col_contiguous(a);
  return 0;
}

/* Whether the elements fill a block without gaps or overlap: each axis, by rising stride, steps over the ones before. */
static bool fills_block(const mx_array *a) {
  int64_t step = 1;
  bool done[MX_MAX_NDIM] = {false};
  for (int k = 0; k < a->ndim; k++) {
    int next = -1;
    for (int i = 0; i < a->ndim; i++)
      if (!done[i] && (a->shape[i] == 1 || llabs(a->strides[i]) == step)) next = i;
    if (next < 0) return a->size == 0;
    done[next] = true;
    if (a->shape[next] != 1) step *= a->shape[next];
  }
  return true;
}

int _mlx_array_is_contiguous(bool *res, const mlx_array arr) {
  mx_array *a;
  if (evaluated(&a, res, arr, "is_contiguous")) return MX_REPORT();
  *res = fills_block(a);
  return 0;
}

int mlx_array_tostring(mlx_string *str, const mlx_array arr) {
  mx_array *a;
  if (need(&a, arr, "tostring") || mx_eval(1, &a)) return MX_REPORT();
  char *text = mx_array_tostring(a);
  int rc = text ? mx_put_string(str, text) : mx_error_kind();
  mx_free(text);
  return MX_STATUS(rc);
}
