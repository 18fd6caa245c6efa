/*
 * mlx/c/vector.h: lists. A handle whose `ctx` is NULL is empty: fine to free and as a place for a
 * result, an error
 * elsewhere. Functions that return a handle give the empty one when they fail.
 */
#ifndef MLX_C_VECTOR_H
#define MLX_C_VECTOR_H

#include <stddef.h>

#include "mlx/c/array.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A growing list of arrays. */
typedef struct mlx_vector_array_ {
  void* ctx;
} mlx_vector_array;

/** A growing list of vectors of arrays. */
typedef struct mlx_vector_vector_array_ {
  void* ctx;
} mlx_vector_vector_array;

/** A growing list of ints. */
typedef struct mlx_vector_int_ {
  void* ctx;
} mlx_vector_int;

/** A growing list of strings. */
typedef struct mlx_vector_string_ {
  void* ctx;
} mlx_vector_string;

/* ---- Arrays */

/** A vector without items. */
mlx_vector_array mlx_vector_array_new(void);

/** Puts a copy of `src` into `vec`. */
int mlx_vector_array_set(mlx_vector_array* vec, const mlx_vector_array src);

/** Frees the vector. An empty handle is fine. */
int mlx_vector_array_free(mlx_vector_array vec);

/** A vector of the `size` items at `data`. The arrays are shared, not copied. */
mlx_vector_array mlx_vector_array_new_data(const mlx_array* data, size_t size);

/** A vector of one item. */
mlx_vector_array mlx_vector_array_new_value(const mlx_array val);

/** Replaces what is in `vec`. */
int mlx_vector_array_set_data(mlx_vector_array* vec, const mlx_array* data, size_t size);

/** Replaces what is in `vec` by one item. */
int mlx_vector_array_set_value(mlx_vector_array* vec, const mlx_array val);

/** Appends `size` items. */
int mlx_vector_array_append_data(mlx_vector_array vec, const mlx_array* data, size_t size);

/** Appends one item. */
int mlx_vector_array_append_value(mlx_vector_array vec, const mlx_array val);

/** The number of items. */
size_t mlx_vector_array_size(mlx_vector_array vec);

/** Puts item `idx` into `res`. An index out of bounds is an error. */
int mlx_vector_array_get(mlx_array* res, const mlx_vector_array vec, size_t idx);

/* ---- Vectors of arrays */

/** A vector without items. */
mlx_vector_vector_array mlx_vector_vector_array_new(void);

/** Puts a copy of `src` into `vec`. */
int mlx_vector_vector_array_set(mlx_vector_vector_array* vec, const mlx_vector_vector_array src);

/** Frees the vector. An empty handle is fine. */
int mlx_vector_vector_array_free(mlx_vector_vector_array vec);

/** A vector of the `size` items at `data`. The vectors are copied, their arrays shared. */
mlx_vector_vector_array mlx_vector_vector_array_new_data(const mlx_vector_array* data, size_t size);

/** A vector of one item. */
mlx_vector_vector_array mlx_vector_vector_array_new_value(const mlx_vector_array val);

/** Replaces what is in `vec`. */
int mlx_vector_vector_array_set_data(
    mlx_vector_vector_array* vec,
    const mlx_vector_array* data,
    size_t size);

/** Replaces what is in `vec` by one item. */
int mlx_vector_vector_array_set_value(mlx_vector_vector_array* vec, const mlx_vector_array val);

/** Appends `size` items. */
int mlx_vector_vector_array_append_data(
    mlx_vector_vector_array vec,
    const mlx_vector_array* data,
    size_t size);

/** Appends one item. */
int mlx_vector_vector_array_append_value(mlx_vector_vector_array vec, const mlx_vector_array val);

/** The number of items. */
size_t mlx_vector_vector_array_size(mlx_vector_vector_array vec);

/** Puts a copy of item `idx` into `res`. An index out of bounds is an error. */
int mlx_vector_vector_array_get(
    mlx_vector_array* res,
    const mlx_vector_vector_array vec,
    size_t idx);

/* ---- Ints */

/** A vector without items. */
mlx_vector_int mlx_vector_int_new(void);

/** Puts a copy of `src` into `vec`. */
int mlx_vector_int_set(mlx_vector_int* vec, const mlx_vector_int src);

/** Frees the vector. An empty handle is fine. */
int mlx_vector_int_free(mlx_vector_int vec);

/** A vector of the `size` items at `data`. Copied. */
mlx_vector_int mlx_vector_int_new_data(int* data, size_t size);

/** A vector of one item. */
mlx_vector_int mlx_vector_int_new_value(int val);

/** Replaces what is in `vec`. */
int mlx_vector_int_set_data(mlx_vector_int* vec, int* data, size_t size);

/** Replaces what is in `vec` by one item. */
int mlx_vector_int_set_value(mlx_vector_int* vec, int val);

/** Appends `size` items. */
int mlx_vector_int_append_data(mlx_vector_int vec, int* data, size_t size);

/** Appends one item. */
int mlx_vector_int_append_value(mlx_vector_int vec, int val);

/** The number of items. */
size_t mlx_vector_int_size(mlx_vector_int vec);

/** Puts item `idx` into `res`. An index out of bounds is an error. */
int mlx_vector_int_get(int* res, const mlx_vector_int vec, size_t idx);

/* ---- Strings */

/** A vector without items. */
mlx_vector_string mlx_vector_string_new(void);

/** Puts a copy of `src` into `vec`. */
int mlx_vector_string_set(mlx_vector_string* vec, const mlx_vector_string src);

/** Frees the vector. An empty handle is fine. */
int mlx_vector_string_free(mlx_vector_string vec);

/** A vector of the `size` items at `data`. The text is copied. */
mlx_vector_string mlx_vector_string_new_data(const char** data, size_t size);

/** A vector of one item. */
mlx_vector_string mlx_vector_string_new_value(const char* val);

/** Replaces what is in `vec`. */
int mlx_vector_string_set_data(mlx_vector_string* vec, const char** data, size_t size);

/** Replaces what is in `vec` by one item. */
int mlx_vector_string_set_value(mlx_vector_string* vec, const char* val);

/** Appends `size` items. */
int mlx_vector_string_append_data(mlx_vector_string vec, const char** data, size_t size);

/** Appends one item. */
int mlx_vector_string_append_value(mlx_vector_string vec, const char* val);

/** The number of items. */
size_t mlx_vector_string_size(mlx_vector_string vec);

/**
 * Points `res` to item `idx`; valid while the vector lives unchanged. An index out of bounds is an
 * error.
 */
int mlx_vector_string_get(char** res, const mlx_vector_string vec, size_t idx);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_VECTOR_H */
