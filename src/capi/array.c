/* Arrays made from the caller's numbers, and what is known of an array, or there, without computing it. */
#include "mlx/c/array.h"

#include "capi/handles.h"
#include "graph/relative.h"

mlx_array mlx_array_new(void) { return (mlx_array){NULL}; }

int mlx_array_free(mlx_array arr) {
  if (arr.ctx) {
    mx_release(*(mx_array **)arr.ctx);
    mx_free(arr.ctx);
  }
  return 0;
}

int mlx_array_set(mlx_array *arr, const mlx_array src) {
  if (!mx_array_of(src)) return MX_REFUSE(MX_EVALUE, "[array_set] empty array given, expected a value");
  return MX_STATUS(mx_put(arr, mx_retain(mx_array_of(src))));
}

size_t mlx_dtype_size(mlx_dtype dtype) {
  return (unsigned)dtype < MX_DTYPES ? mx_dtype_size((mx_dtype)dtype) : 0;
}

/* ---- constructors: set_* fills a handle, new_* fills an empty one ---- */

/* Takes a, which is NULL when an error is recorded. */
static int fill(mlx_array *res, mx_array *a) {
  if (!a) return MX_REPORT();
  return MX_STATUS(mx_put(res, a));
}

static int fill_scalar(mlx_array *res, mx_dtype t, const void *value) { return fill(res, mx_array_scalar(t, value)); }

int mlx_array_set_bool(mlx_array *arr, bool val) { return fill_scalar(arr, MX_BOOL, &val); }
int mlx_array_set_int(mlx_array *arr, int val) { return fill_scalar(arr, MX_I32, &(int32_t){val}); }
int mlx_array_set_float32(mlx_array *arr, float val) { return fill_scalar(arr, MX_F32, &val); }
int mlx_array_set_float(mlx_array *arr, float val) { return fill_scalar(arr, MX_F32, &val); }
int mlx_array_set_float64(mlx_array *arr, double val) { return fill_scalar(arr, MX_F64, &val); }
int mlx_array_set_double(mlx_array *arr, double val) { return fill_scalar(arr, MX_F64, &val); }
int mlx_array_set_complex(mlx_array *arr, float real_val, float imag_val) {
  return fill_scalar(arr, MX_C64, (float[2]){real_val, imag_val});
}

mlx_array mlx_array_new_bool(bool val) {
  mlx_array a = {NULL};
  mlx_array_set_bool(&a, val);
  return a;
}
mlx_array mlx_array_new_int(int val) {
  mlx_array a = {NULL};
  mlx_array_set_int(&a, val);
  return a;
}
mlx_array mlx_array_new_float32(float val) {
  mlx_array a = {NULL};
  mlx_array_set_float32(&a, val);
  return a;
}
mlx_array mlx_array_new_float(float val) { return mlx_array_new_float32(val); }
mlx_array mlx_array_new_float64(double val) {
  mlx_array a = {NULL};
  mlx_array_set_float64(&a, val);
  return a;
}
mlx_array mlx_array_new_double(double val) { return mlx_array_new_float64(val); }
mlx_array mlx_array_new_complex(float real_val, float imag_val) {
  mlx_array a = {NULL};
  mlx_array_set_complex(&a, real_val, imag_val);
  return a;
}

/* What the caller says of its memory: a shape that can be, a dtype, and the number of bytes. */
static int check_data(const void *data, const int *shape, int dim, mlx_dtype dtype, size_t *nbytes) {
  if (dim < 0 || dim > MX_MAX_NDIM)
    return mx_fail(MX_EVALUE, "[array] %d dimensions given, expected 0 to %d", dim, MX_MAX_NDIM);
  if (dim && !shape) return mx_fail(MX_EVALUE, "[array] NULL given for the shape of %d dimensions", dim);
  if ((unsigned)dtype >= MX_DTYPES) return mx_fail(MX_EVALUE, "[array] %d given, expected a dtype", (int)dtype);
  size_t n = mx_dtype_size((mx_dtype)dtype);
  for (int i = 0; i < dim; i++) {
    if (shape[i] < 0) return mx_fail(MX_EVALUE, "[array] negative dimension in shape %s", mx_shape_str(dim, shape));
    if (__builtin_mul_overflow(n, (size_t)shape[i], &n) || n > PTRDIFF_MAX)
      return mx_fail(MX_EVALUE, "[array] shape %s is too large", mx_shape_str(dim, shape));
  }
  if (n && !data) return mx_fail(MX_EVALUE, "[array] NULL given for the data of shape %s", mx_shape_str(dim, shape));
  *nbytes = n;
  return 0;
}

int mlx_array_set_data(mlx_array *arr, const void *data, const int *shape, int dim, mlx_dtype dtype) {
  size_t nbytes;
  if (check_data(data, shape, dim, dtype, &nbytes)) return MX_REPORT();
  return fill(arr, mx_array_from_data((mx_dtype)dtype, dim, shape, data));
}

mlx_array mlx_array_new_data(const void *data, const int *shape, int dim, mlx_dtype dtype) {
  mlx_array a = {NULL};
  mlx_array_set_data(&a, data, shape, dim, dtype);
  return a;
}

mlx_array mlx_array_new_data_managed_payload(void *data, const int *shape, int dim, mlx_dtype dtype, void *payload,
                                             void (*dtor)(void *)) {
  mlx_array a = {NULL};
  size_t nbytes;
  if (check_data(data, shape, dim, dtype, &nbytes)) {
    MX_REPORT();
    if (dtor) dtor(payload);
    return a;
  }
  int64_t strides[MX_MAX_NDIM];
  mx_row_strides(dim, shape, strides);
  fill(&a, mx_array_foreign((mx_dtype)dtype, dim, shape, strides, data, nbytes, dtor, payload));
  return a;
}

mlx_array mlx_array_new_data_managed(void *data, const int *shape, int dim, mlx_dtype dtype, void (*dtor)(void *)) {
  return mlx_array_new_data_managed_payload(data, shape, dim, dtype, data, dtor);
}

/* ---- what is known ---- */

/* The array, or NULL and a reported error. */
static mx_array *need(mlx_array h, const char *tag) {
  mx_array *a = mx_array_of(h);
  if (!a) MX_REFUSE(MX_EVALUE, "[%s] empty array given, expected a value", tag);
  return a;
}

size_t mlx_array_itemsize(const mlx_array arr) {
  mx_array *a = need(arr, "itemsize");
  return a ? mx_dtype_sizes[a->dtype] : 0;
}
/* A size that is read while a function is traced for all shapes may come back as a number: the trace is then for these shapes. */
static mx_array *need_shape(mlx_array arr, const char *what) {
  mx_array *a = need(arr, what);
  if (a && MX_FOR_ANY_SHAPE(a)) mx_shape_used = true;
  return a;
}
size_t mlx_array_size(const mlx_array arr) {
  mx_array *a = need_shape(arr, "size");
  return a ? (size_t)a->size : 0;
}
size_t mlx_array_nbytes(const mlx_array arr) {
  mx_array *a = need_shape(arr, "nbytes");
  return a ? mx_nbytes(a) : 0;
}
size_t mlx_array_ndim(const mlx_array arr) {
  mx_array *a = need(arr, "ndim");
  return a ? a->ndim : 0;
}
const int *mlx_array_shape(const mlx_array arr) {
  mx_array *a = need_shape(arr, "shape");
  return a ? a->shape : NULL;
}
const size_t *mlx_array_strides(const mlx_array arr) {
  mx_array *a = need_shape(arr, "strides");
  return a ? (const size_t *)a->strides : NULL;
}
mlx_dtype mlx_array_dtype(const mlx_array arr) {
  mx_array *a = need(arr, "dtype");
  return a ? (mlx_dtype)a->dtype : MLX_BOOL;
}

int mlx_array_dim(const mlx_array arr, int dim) {
  mx_array *a = need_shape(arr, "dim");
  int axis;
  if (!a) return 0;
  if (mx_norm_axis("dim", dim, a->ndim, &axis)) {
    MX_REPORT();
    return 0;
  }
  return a->shape[axis];
}

/* ---- values in memory ---- */

/* Every compiler gets these two, whether or not it has a type for them: only their bits are moved. */
#ifndef HAS_FLOAT16
typedef mx_f16 float16_t;
const float16_t *mlx_array_data_float16(const mlx_array arr);
#endif
#ifndef HAS_BFLOAT16
typedef mx_bf16 bfloat16_t;
const bfloat16_t *mlx_array_data_bfloat16(const mlx_array arr);
#endif

static const void *data(mlx_array h) {
  mx_array *a = need(h, "data");
  if (a && mx_is_available(a)) return a->data;
  if (a) MX_REFUSE(MX_ERUNTIME, "[data] an array of shape %s is not evaluated: call mlx_array_eval first", mx_shape_of(a));
  return NULL;
}

const bool *mlx_array_data_bool(const mlx_array arr) { return data(arr); }
const uint8_t *mlx_array_data_uint8(const mlx_array arr) { return data(arr); }
const uint16_t *mlx_array_data_uint16(const mlx_array arr) { return data(arr); }
const uint32_t *mlx_array_data_uint32(const mlx_array arr) { return data(arr); }
const uint64_t *mlx_array_data_uint64(const mlx_array arr) { return data(arr); }
const int8_t *mlx_array_data_int8(const mlx_array arr) { return data(arr); }
const int16_t *mlx_array_data_int16(const mlx_array arr) { return data(arr); }
const int32_t *mlx_array_data_int32(const mlx_array arr) { return data(arr); }
const int64_t *mlx_array_data_int64(const mlx_array arr) { return data(arr); }
const float *mlx_array_data_float32(const mlx_array arr) { return data(arr); }
const double *mlx_array_data_float64(const mlx_array arr) { return data(arr); }
const mlx_complex64_t *mlx_array_data_complex64(const mlx_array arr) { return data(arr); }
const float16_t *mlx_array_data_float16(const mlx_array arr) { return data(arr); }
const bfloat16_t *mlx_array_data_bfloat16(const mlx_array arr) { return data(arr); }
