/*
 * mlx/c/export.h: functions written to files and read back.
 *
 * A function is traced: called once with stand-ins for its arguments, whose values must not be asked
 * for. What it built is stored; arrays that it captured are stored as data. A file may hold several
 * traces of one function, for arguments of other shapes, dtypes, numbers and keywords. The format is
 * this library's own (".mlxfn" files of MLX are not read), versioned and checked when it is read.
 */
#ifndef MLX_C_EXPORT_H
#define MLX_C_EXPORT_H

#include <stdbool.h>

#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/map.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A file being written: traces are added, and written when it is freed. */
typedef struct mlx_function_exporter_ {
  void* ctx;
} mlx_function_exporter;

/** The functions of a file. */
typedef struct mlx_imported_function_ {
  void* ctx;
} mlx_imported_function;

/**
 * Writes the trace of `fun` at `args` to `file`, which is replaced once all is written. shapeless:
 * it shall serve arguments of any shape with as many dimensions; a function that builds on shapes is
 * refused then.
 */
int mlx_export_function(
    const char* file,
    const mlx_closure fun,
    const mlx_vector_array args,
    bool shapeless);

/** The same for a function with keyword arguments. */
int mlx_export_function_kwargs(
    const char* file,
    const mlx_closure_kwargs fun,
    const mlx_vector_array args,
    const mlx_map_string_to_array kwargs,
    bool shapeless);

/**
 * Opens `file` for several traces of `fun`. The empty handle when it cannot be opened (the error is
 * reported).
 */
mlx_function_exporter mlx_function_exporter_new(const char* file, const mlx_closure fun, bool shapeless);

/** Writes what was traced and frees the handle. 1 when the file could not be written. */
int mlx_function_exporter_free(mlx_function_exporter xfunc);

/** Adds the trace at `args`. An error when there is one with the same shapes and dtypes. */
int mlx_function_exporter_apply(const mlx_function_exporter xfunc, const mlx_vector_array args);

/**
 * The same with keyword arguments, which a function that is no mlx_closure_kwargs gets behind the
 * others, in rising order of their names.
 */
int mlx_function_exporter_apply_kwargs(
    const mlx_function_exporter xfunc,
    const mlx_vector_array args,
    const mlx_map_string_to_array kwargs);

/** Reads the functions of `file`. The empty handle when it cannot be read (the error is reported). */
mlx_imported_function mlx_imported_function_new(const char* file);

/** Frees the handle. */
int mlx_imported_function_free(mlx_imported_function xfunc);

/** Calls the trace whose inputs have these shapes and dtypes; an error that lists all when none has. */
int mlx_imported_function_apply(
    mlx_vector_array* res,
    const mlx_imported_function xfunc,
    const mlx_vector_array args);

/**
 * The same with keyword arguments. Positional inputs of the trace may be given by any keyword that
 * it does not know: they follow the others in rising order.
 */
int mlx_imported_function_apply_kwargs(
    mlx_vector_array* res,
    const mlx_imported_function xfunc,
    const mlx_vector_array args,
    const mlx_map_string_to_array kwargs);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_EXPORT_H */
