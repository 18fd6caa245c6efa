/* What python/ext needs beyond the public C API: handles whose box is part of the caller's own object, the kind of an
 * error, and what Python exposes but mlx-c does not. Not installed.
 *
 * A Python array embeds the box: `void *slot` holds one mx_array *, and (mlx_array){&slot} is a handle for every
 * argument and result. Such a handle must never go to mlx_array_free (the box is not the library's): mlx_ext_clear drops
 * what the box holds. */
#ifndef MX_CAPI_EXT_H
#define MX_CAPI_EXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The last error of this thread: its kind (enum mx_error_kind), the Python exception it becomes ("AxisError"), and its
 * text without the " at file:line" that the handler sees. */
int mlx_ext_error_kind(void);
const char *mlx_ext_error_python(void);
const char *mlx_ext_error_message(void);
/* Which input of a differentiated function led to it (-1: none), and what to call that in the text. */
int mlx_ext_error_input(void);
void mlx_ext_error_name_input(const char *name);
/* Records a failed callback, whose own error the caller keeps (a pending Python exception); returns non-zero. */
int mlx_ext_callback_failed(void);

/* mlx_closure_apply to n arrays that stand in boxes of the caller's, one behind the other. */
int mlx_ext_apply(mlx_vector_array *res, mlx_closure cls, void *const *boxes, size_t n);
/* Called by a function that compile traces: its name, for the trace of what ran. */
void mlx_ext_compile_name(const char *name);

/* Records an error as the kind that becomes this Python exception (else RuntimeError). */
void mlx_ext_fail(const char *python, const char *message);
/* Called around every wait for another thread's work: what before gives goes to after. */
void mlx_ext_set_wait_hooks(void *(*before)(void), void (*after)(void *));

/* Releases what the box holds and leaves it empty. */
void mlx_ext_clear(mlx_array a);

/* First element of an evaluated array, whatever its dtype; NULL before. */
void *mlx_ext_data(mlx_array a);
/* Whether the array depends on an argument of a function that compile or vmap is tracing, and so has no values. */
bool mlx_ext_is_traced(mlx_array a);
/* mlx_array_shape for those who make no number of it that a trace could keep. */
const int *mlx_ext_shape(mlx_array a);
/* The file that the array was loaded from; NULL where that is unknown. Valid as long as the array. */
const char *mlx_ext_origin(mlx_array a);
/* Bytes of the buffer behind an evaluated array. */
size_t mlx_ext_buffer_size(mlx_array a);

/* *res = a row-contiguous evaluated array of the given shape; *data is its uninitialised memory, to be filled at once. */
int mlx_ext_empty(mlx_array *res, int ndim, const int *shape, mlx_dtype dtype, void **data);

/* *res = foreign memory, not copied; strides count elements. dtor(payload) is called once, also when this fails. */
int mlx_ext_foreign(mlx_array *res, void *data, size_t nbytes, int ndim, const int *shape, const int64_t *strides,
                    mlx_dtype dtype, void (*dtor)(void *), void *payload);

/* The default stream of this thread without allocating: a handle that stays valid until the thread's next call here. */
mlx_stream mlx_ext_default_stream(void);

/* The dtype of a sum of the two. */
mlx_dtype mlx_ext_promote(mlx_dtype a, mlx_dtype b);

/* While a function is traced for all shapes, an extension's call that reads shapes may be recorded: `call` is made now, and again for other
 * shapes. There is one, told apart by its numbers, which files of exported functions keep. mlx_ext_record gives 0, 1 (an error), or -1 when
 * nothing is recorded. */
typedef int (*mlx_ext_call)(mlx_array *res, const mlx_array *in, size_t n, const int *ints, size_t ints_num);
void mlx_ext_set_call(mlx_ext_call call);
bool mlx_ext_any_shape(void);
int mlx_ext_record(mlx_array *res, const mlx_array *in, size_t n, const int *ints, size_t ints_num);

/* How einsum contracts: pairs (room for 2 * operands ints) of positions in a list from which both are taken and to whose end the
 * result goes; the labels of the largest step and the operations, of one step for all [0] and so [1]. */
int mlx_ext_einsum_path(const char *subscripts, mlx_vector_array operands, int *pairs, int scaling[2], double cost[2]);

/* The random generator's state of this thread: a key. */
int mlx_ext_random_state(mlx_array *key);
int mlx_ext_random_set_state(mlx_array key);

/* Digits after the point; -1: six significant digits. */
void mlx_ext_set_print_precision(int digits);
int mlx_ext_print_precision(void);

#ifdef __cplusplus
}
#endif
#endif
