/*
 * mlx/c/string.h: text that the library owns.
 */
#ifndef MLX_C_STRING_H
#define MLX_C_STRING_H

#ifdef __cplusplus
extern "C" {
#endif

/** A string. `ctx` NULL is the empty handle; copies of the struct share the text. */
typedef struct mlx_string_ {
  void* ctx;
} mlx_string;

/** The empty handle. */
mlx_string mlx_string_new(void);

/** A copy of `str`. The empty handle when memory is short or `str` is NULL. */
mlx_string mlx_string_new_data(const char* str);

/** Puts a copy of `src` into `str`. */
int mlx_string_set(mlx_string* str, const mlx_string src);

/** The text, ended by a zero; valid until the string is set or freed. NULL for the empty handle. */
const char* mlx_string_data(mlx_string str);

/** Frees the text. An empty handle is fine. */
int mlx_string_free(mlx_string str);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_STRING_H */
