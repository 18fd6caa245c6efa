/*
 * mlx/c/export_extras.h: what mlx-c's export.h leaves out: metadata, several traces of a function
 * with keyword arguments, and traces told to a callback.
 */
#ifndef MLX_C_EXPORT_EXTRAS_H
#define MLX_C_EXPORT_EXTRAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/export.h"
#include "mlx/c/string.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * As mlx_function_exporter_new, for a function with keyword arguments, and with a text that the file
 * keeps (NULL: none).
 */
mlx_function_exporter mlx_function_exporter_new_kwargs(
    const char* file,
    const mlx_closure_kwargs fun,
    bool shapeless,
    const char* metadata);

/** Frees an exporter without writing: a file that was there stays as it was. */
int mlx_function_exporter_discard(mlx_function_exporter xfunc);

/** The text that was stored with the functions, "" when there was none. */
int mlx_imported_function_metadata(mlx_string* res, const mlx_imported_function xfunc);

/** What a step of a trace tells. */
typedef enum mlx_export_step_kind_ {
  MLX_EXPORT_INPUTS, /* all inputs */
  MLX_EXPORT_KEYWORD_INPUTS, /* those with a keyword */
  MLX_EXPORT_OUTPUTS,
  MLX_EXPORT_CONSTANTS, /* captured arrays, with their data */
  MLX_EXPORT_PRIMITIVE, /* an operation */
} mlx_export_step_kind;

/** A value of the trace, known by its name ("A", "B", ...). */
typedef struct mlx_export_value_ {
  const char* name;
  const char* keyword; /* of an input, or NULL */
  mlx_dtype dtype;
  size_t ndim;
  const int* shape;
  mlx_array array; /* of a constant, else empty; borrowed */
} mlx_export_value;

typedef enum mlx_export_argument_kind_ {
  MLX_EXPORT_INT,
  MLX_EXPORT_BOOL,
  MLX_EXPORT_FLOAT, /* the bits of a double */
  MLX_EXPORT_DTYPE,
  MLX_EXPORT_LETTER,
  MLX_EXPORT_LIST,
  MLX_EXPORT_SHAPE,
} mlx_export_argument_kind;

/** An argument of an operation: `size` numbers, one but for lists and shapes. */
typedef struct mlx_export_argument_ {
  mlx_export_argument_kind kind;
  size_t size;
  const int64_t* value;
} mlx_export_argument;

/** A step. `name` is the operation's, as MLX calls its primitives; other steps have inputs alone. */
typedef struct mlx_export_step_ {
  mlx_export_step_kind kind;
  const char* name;
  const mlx_export_value* inputs;
  size_t inputs_num;
  const mlx_export_value* outputs;
  size_t outputs_num;
  const mlx_export_argument* arguments;
  size_t arguments_num;
} mlx_export_step;

/**
 * Traces `fun` at the arguments and calls `callback` for the inputs, the keyword inputs, the outputs,
 * the constants, and each operation in an order in which it can be done. The step is valid during the
 * call. A callback that returns non-zero ends the export with an error.
 */
int mlx_export_function_callback(
    int (*callback)(const mlx_export_step* step, void* payload),
    void* payload,
    const mlx_closure_kwargs fun,
    const mlx_vector_array args,
    const mlx_map_string_to_array kwargs,
    bool shapeless);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_EXPORT_EXTRAS_H */
