/*
 * mlx/c/map.h: maps from strings. A handle whose `ctx` is NULL is empty: fine to free and as a
 * place for a result, an error elsewhere.
 */
#ifndef MLX_C_MAP_H
#define MLX_C_MAP_H

#include "mlx/c/array.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A map from strings to arrays. */
typedef struct mlx_map_string_to_array_ {
  void* ctx;
} mlx_map_string_to_array;

/** Walks over a map. Inserting into the map while walking is fine; new entries are met too. */
typedef struct mlx_map_string_to_array_iterator_ {
  void* ctx;
  void* map_ctx;
} mlx_map_string_to_array_iterator;

/** A map from strings to strings. */
typedef struct mlx_map_string_to_string_ {
  void* ctx;
} mlx_map_string_to_string;

/** Walks over a map. Inserting into the map while walking is fine; new entries are met too. */
typedef struct mlx_map_string_to_string_iterator_ {
  void* ctx;
  void* map_ctx;
} mlx_map_string_to_string_iterator;

/* ---- Arrays */

/** A map without entries. */
mlx_map_string_to_array mlx_map_string_to_array_new(void);

/** Puts a copy of `src` into `map`. */
int mlx_map_string_to_array_set(mlx_map_string_to_array* map, const mlx_map_string_to_array src);

/** Frees the map. An empty handle is fine. */
int mlx_map_string_to_array_free(mlx_map_string_to_array map);

/** Sets the entry of `key`, whose text is copied. */
int mlx_map_string_to_array_insert(
    mlx_map_string_to_array map,
    const char* key,
    const mlx_array value);

/**
 * Puts the entry of `key` into `value`. Returns 2, and calls no error handler, when there is none.
 */
int mlx_map_string_to_array_get(
    mlx_array* value,
    const mlx_map_string_to_array map,
    const char* key);

/** An iterator before the first entry. It does not keep the map alive. */
mlx_map_string_to_array_iterator mlx_map_string_to_array_iterator_new(mlx_map_string_to_array map);

/** Frees the iterator. */
int mlx_map_string_to_array_iterator_free(mlx_map_string_to_array_iterator it);

/**
 * Gives the next entry, in no promised order; `key` lives as long as the entry. Returns 2, and
 * calls no error handler, at the end.
 */
int mlx_map_string_to_array_iterator_next(
    const char** key,
    mlx_array* value,
    mlx_map_string_to_array_iterator it);

/* ---- Strings */

/** A map without entries. */
mlx_map_string_to_string mlx_map_string_to_string_new(void);

/** Puts a copy of `src` into `map`. */
int mlx_map_string_to_string_set(mlx_map_string_to_string* map, const mlx_map_string_to_string src);

/** Frees the map. An empty handle is fine. */
int mlx_map_string_to_string_free(mlx_map_string_to_string map);

/** Sets the entry of `key`, whose text is copied. */
int mlx_map_string_to_string_insert(
    mlx_map_string_to_string map,
    const char* key,
    const char* value);

/**
 * Points `value` to the entry of `key`; valid until it is set again. Returns 2, and calls no error
 * handler, when there is none.
 */
int mlx_map_string_to_string_get(
    const char** value,
    const mlx_map_string_to_string map,
    const char* key);

/** An iterator before the first entry. It does not keep the map alive. */
mlx_map_string_to_string_iterator mlx_map_string_to_string_iterator_new(
    mlx_map_string_to_string map);

/** Frees the iterator. */
int mlx_map_string_to_string_iterator_free(mlx_map_string_to_string_iterator it);

/**
 * Gives the next entry, in no promised order; `key` lives as long as the entry. Returns 2, and
 * calls no error handler, at the end.
 */
int mlx_map_string_to_string_iterator_next(
    const char** key,
    const char** value,
    mlx_map_string_to_string_iterator it);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_MAP_H */
