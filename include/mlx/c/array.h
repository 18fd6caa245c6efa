/*
 * mlx/c/array.h: the array, its values and what is known of it.
 *
 * A handle is a struct with one pointer. `ctx` NULL is the empty handle: fine to free and as a place for a result,
 * an error where a value is due. A result that has a box already gets new content in it, an empty one gets a box;
 * copies of the struct share the box. Arrays are lazy: an operation's result has shape and type at once and values
 * after an eval. Functions that return int return 0, or 1 after the error handler was told (mlx/c/error.h).
 */
#ifndef MLX_C_ARRAY_H
#define MLX_C_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/half.h"
#include "mlx/c/string.h"

/* Complex numbers need no header of the system, but for one compiler. */
#ifdef _MSC_VER
#define _CRT_USE_C_COMPLEX_H
#include <complex.h>
typedef _Fcomplex mlx_complex64_t;
#elif defined(__GNUC__)
__extension__ typedef float _Complex mlx_complex64_t;
#else
typedef float _Complex mlx_complex64_t;
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** An array of up to any number of dimensions, each below 2^31. */
typedef struct mlx_array_ {
  void* ctx;
} mlx_array;

/** The type of an array's elements. */
typedef enum mlx_dtype_ {
  MLX_BOOL,
  MLX_UINT8,
  MLX_UINT16,
  MLX_UINT32,
  MLX_UINT64,
  MLX_INT8,
  MLX_INT16,
  MLX_INT32,
  MLX_INT64,
  MLX_FLOAT16,
  MLX_FLOAT32,
  MLX_FLOAT64,
  MLX_BFLOAT16,
  MLX_COMPLEX64
} mlx_dtype;

/** The empty handle, to compare with or to begin with. */
static
#if defined(__GNUC__)
    __attribute__((unused))
#endif
    mlx_array mlx_array_empty;

/** Bytes of one element; 0 for what is no dtype. */
size_t mlx_dtype_size(mlx_dtype dtype);

/** Evaluates, then prints as MLX prints: "array([1, 2, 3], dtype=int32)". */
int mlx_array_tostring(mlx_string* str, const mlx_array arr);

/** The empty handle. */
mlx_array mlx_array_new(void);

/** Gives the handle's share of the array back. An empty handle is fine. */
int mlx_array_free(mlx_array arr);

/* ---- Making arrays from numbers. These return the empty handle when they fail. */

/** A 0-d bool. */
mlx_array mlx_array_new_bool(bool val);

/** A 0-d i32. */
mlx_array mlx_array_new_int(int val);

/** A 0-d f32. */
mlx_array mlx_array_new_float32(float val);

/** The same as mlx_array_new_float32. */
mlx_array mlx_array_new_float(float val);

/** A 0-d f64. */
mlx_array mlx_array_new_float64(double val);

/** The same as mlx_array_new_float64. */
mlx_array mlx_array_new_double(double val);

/** A 0-d c64. */
mlx_array mlx_array_new_complex(float real_val, float imag_val);

/** A copy of row-contiguous `data`, whose size follows from `shape` (`dim` entries) and `dtype`. */
mlx_array mlx_array_new_data(
    const void* data,
    const int* shape,
    int dim,
    mlx_dtype dtype);

/**
 * An array on your own memory, which is not copied. `dtor` is called with `data` when nothing needs it any more, also
 * when the call fails; it may run on any thread.
 */
mlx_array mlx_array_new_data_managed(
    void* data,
    const int* shape,
    int dim,
    mlx_dtype dtype,
    void (*dtor)(void*));

/** mlx_array_new_data_managed whose `dtor` is called with `payload`. */
mlx_array mlx_array_new_data_managed_payload(
    void* data,
    const int* shape,
    int dim,
    mlx_dtype dtype,
    void* payload,
    void (*dtor)(void*));

/* ---- Putting something else into a handle. */

/** Makes `arr` hold the array of `src`; no values are copied. */
int mlx_array_set(mlx_array* arr, const mlx_array src);

/** Puts a 0-d bool into `arr`. */
int mlx_array_set_bool(mlx_array* arr, bool val);

/** Puts a 0-d i32 into `arr`. */
int mlx_array_set_int(mlx_array* arr, int val);

/** Puts a 0-d f32 into `arr`. */
int mlx_array_set_float32(mlx_array* arr, float val);

/** The same as mlx_array_set_float32. */
int mlx_array_set_float(mlx_array* arr, float val);

/** Puts a 0-d f64 into `arr`. */
int mlx_array_set_float64(mlx_array* arr, double val);

/** The same as mlx_array_set_float64. */
int mlx_array_set_double(mlx_array* arr, double val);

/** Puts a 0-d c64 into `arr`. */
int mlx_array_set_complex(mlx_array* arr, float real_val, float imag_val);

/** Puts a copy of `data` into `arr`, as mlx_array_new_data. */
int mlx_array_set_data(
    mlx_array* arr,
    const void* data,
    const int* shape,
    int dim,
    mlx_dtype dtype);

/* ---- What is known without computing. An empty handle is an error and gives 0, NULL or MLX_BOOL. */

/** Bytes of one element. */
size_t mlx_array_itemsize(const mlx_array arr);

/** Number of elements. */
size_t mlx_array_size(const mlx_array arr);

/** Bytes of all elements. */
size_t mlx_array_nbytes(const mlx_array arr);

/** Number of dimensions. */
size_t mlx_array_ndim(const mlx_array arr);

/** The sizes of the dimensions; valid while the handle lives and is not set. */
const int* mlx_array_shape(const mlx_array arr);

/** Steps between neighbours, in elements: signed 64-bit values, whatever the type says. Valid as mlx_array_shape. */
const size_t* mlx_array_strides(const mlx_array arr);

/** The size of dimension `dim`, which may be negative; out of range is an error and gives 0. */
int mlx_array_dim(const mlx_array arr, int dim);

/** The type of the elements. */
mlx_dtype mlx_array_dtype(const mlx_array arr);

/* ---- Values. */

/** Computes the array, and waits. */
int mlx_array_eval(mlx_array arr);

/* The value of an array of one element, converted to the type asked for. These evaluate. */
int mlx_array_item_bool(bool* res, const mlx_array arr);
int mlx_array_item_uint8(uint8_t* res, const mlx_array arr);
int mlx_array_item_uint16(uint16_t* res, const mlx_array arr);
int mlx_array_item_uint32(uint32_t* res, const mlx_array arr);
int mlx_array_item_uint64(uint64_t* res, const mlx_array arr);
int mlx_array_item_int8(int8_t* res, const mlx_array arr);
int mlx_array_item_int16(int16_t* res, const mlx_array arr);
int mlx_array_item_int32(int32_t* res, const mlx_array arr);
int mlx_array_item_int64(int64_t* res, const mlx_array arr);
int mlx_array_item_float32(float* res, const mlx_array arr);
int mlx_array_item_float64(double* res, const mlx_array arr);
int mlx_array_item_complex64(mlx_complex64_t* res, const mlx_array arr);
#ifdef HAS_FLOAT16
int mlx_array_item_float16(float16_t* res, const mlx_array arr);
#endif
#ifdef HAS_BFLOAT16
int mlx_array_item_bfloat16(bfloat16_t* res, const mlx_array arr);
#endif

/*
 * The first element in memory, as a pointer of the type in the name: what the bytes mean is said by mlx_array_dtype, so
 * mlx_array_data_uint8 reads the bytes of any array. The elements are laid out as the strides say. These do not evaluate:
 * before an eval they report an error and give NULL. Valid while the handle lives and is not set.
 */
const bool* mlx_array_data_bool(const mlx_array arr);
const uint8_t* mlx_array_data_uint8(const mlx_array arr);
const uint16_t* mlx_array_data_uint16(const mlx_array arr);
const uint32_t* mlx_array_data_uint32(const mlx_array arr);
const uint64_t* mlx_array_data_uint64(const mlx_array arr);
const int8_t* mlx_array_data_int8(const mlx_array arr);
const int16_t* mlx_array_data_int16(const mlx_array arr);
const int32_t* mlx_array_data_int32(const mlx_array arr);
const int64_t* mlx_array_data_int64(const mlx_array arr);
const float* mlx_array_data_float32(const mlx_array arr);
const double* mlx_array_data_float64(const mlx_array arr);
const mlx_complex64_t* mlx_array_data_complex64(const mlx_array arr);
#ifdef HAS_FLOAT16
const float16_t* mlx_array_data_float16(const mlx_array arr);
#endif
#ifdef HAS_BFLOAT16
const bfloat16_t* mlx_array_data_bfloat16(const mlx_array arr);
#endif

/* ---- For tests and bindings. */

/** Whether the values are there: nothing is computed and nobody waits. */
int _mlx_array_is_available(bool* res, const mlx_array arr);

/** Waits for an array that is being computed; one that nobody asked for stays lazy and is an error. */
int _mlx_array_wait(const mlx_array arr);

/** Whether the elements fill their memory without gaps, in whatever order. Needs an evaluated array. */
int _mlx_array_is_contiguous(bool* res, const mlx_array arr);

/** Whether they do so in row-major order. Needs an evaluated array. */
int _mlx_array_is_row_contiguous(bool* res, const mlx_array arr);

/** Whether they do so in column-major order. Needs an evaluated array. */
int _mlx_array_is_col_contiguous(bool* res, const mlx_array arr);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_ARRAY_H */
