/* What the generated wrappers (pycore.c) and the functions written by hand share. */
#ifndef PX_GEN_H
#define PX_GEN_H

#include "px.h"

typedef int (*px_body)(PyObject **v, PyObject **out);
/* Binds, runs the body and turns PX_TYPE into the TypeError that lists the signature. */
PyObject *px_call(const px_sig *sig, px_body body, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

int px_finish(PyObject **out, int rc); /* drops *out and raises when rc is not 0 */
int px_failed(void);                   /* raises; PX_ERROR */
PyObject *px_new_tuple(int n);         /* of empty arrays */

int px_default_scalar(px_arg *a, double v);
int px_to_any_or_none(PyObject *o, px_arg *a);
int px_to_shape_or_none(PyObject *o, px_ints *v);
int px_to_dtype_or_none(PyObject *o, mlx_optional_dtype *v);

/* Locals that drop themselves: every way out of a function written by hand is clean. */
#define PX_ARG(name)    __attribute__((cleanup(px_drop))) px_arg name = {{0}, NULL}
#define PX_STREAM(name) __attribute__((cleanup(px_drop_stream))) px_stream name = {{0}, false}
#define PX_ARRAYS(name) __attribute__((cleanup(px_drop_arrays))) px_arrays name = {{0}}
#define PX_TRY(expr)     \
  do {                   \
    int rc_ = (expr);    \
    if (rc_) return rc_; \
  } while (0)
#define PX_CHECK(expr)            \
  do {                            \
    if (expr) return px_failed(); \
  } while (0)
static inline int px_stream_arg(PyObject *o, px_stream *s) { return o ? px_to_stream(o, s) : px_default_stream(s); }
/* device= of the array standard, in the place of stream=. */
int px_device_arg(PyObject *device, PyObject **stream);
/* Turns a tuple into the named one of that name (rows NAMED of ops/python.def). */
int px_name_results(PyObject **tuple, const char *name);
int px_init_named(PyObject *m);
/* PX_RESULT(out, mlx_...(&res, ...)): makes the result and returns. */
#define PX_RESULT(out, ...)                    \
  do {                                         \
    if (!(*(out) = px_new())) return PX_ERROR; \
    mlx_array res = px_handle(*(out));         \
    return px_finish(out, __VA_ARGS__);        \
  } while (0)
int px_axis_in(int axis, int ndim, const char *tag, int *v); /* normalised, or an AxisError */

/* One Python function, several C functions: chosen by the form of the axis argument. */
typedef int (*px_plain)(mlx_array *, mlx_array, mlx_stream);
typedef int (*px_int1)(mlx_array *, mlx_array, int, mlx_stream);
typedef int (*px_int2)(mlx_array *, mlx_array, int, int, mlx_stream);
typedef int (*px_intn)(mlx_array *, mlx_array, const int *, size_t, mlx_stream);
int px_reduce(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, mlx_stream s, px_reduce_all all, px_reduce_one one,
              px_reduce_axes several);
int px_reduce_ddof(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, int ddof, mlx_stream s,
                   int (*all)(mlx_array *, mlx_array, bool, int, mlx_stream),
                   int (*several)(mlx_array *, mlx_array, const int *, size_t, bool, int, mlx_stream));
int px_reduce_as(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, mlx_optional_dtype t, mlx_stream s, px_reduce_all all,
                 px_reduce_one one, px_reduce_axes several);
int px_moment(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, int ddof, mlx_optional_float correction, mlx_stream s,
              int (*all)(mlx_array *, mlx_array, bool, int, mlx_stream),
              int (*several)(mlx_array *, mlx_array, const int *, size_t, bool, int, mlx_stream));
int px_sort_falling(mlx_array *res, mlx_array a, mlx_stream s); /* of the flattened array */
int px_argsort_falling(mlx_array *res, mlx_array a, mlx_stream s);
int px_moveaxis(mlx_array *res, mlx_array a, const px_ints *source, const px_ints *destination, mlx_stream s);
int px_arg_reduce(mlx_array *res, mlx_array a, mlx_optional_int axis, bool keepdims, mlx_stream s, px_reduce_all all,
                  px_reduce_one one);
int px_by_axes(mlx_array *res, mlx_array a, const px_ints *axis, mlx_stream s, px_plain all, px_int1 one, px_intn several);
int px_one_axis(mlx_array *res, mlx_array a, mlx_optional_int axis, mlx_stream s, px_plain all, px_int1 one);
int px_kth(mlx_array *res, mlx_array a, int k, mlx_optional_int axis, mlx_stream s, px_int1 all, px_int2 one);
int px_permute(mlx_array *res, mlx_array a, const px_ints *axes, mlx_stream s);
int px_median(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, mlx_stream s);
int px_softmax(mlx_array *res, mlx_array a, const px_ints *axis, bool precise, mlx_stream s);
int px_join(mlx_array *res, mlx_vector_array v, mlx_optional_int axis, mlx_stream s,
            int (*join)(mlx_array *, mlx_vector_array, int, mlx_stream));
int px_tile(mlx_array *res, mlx_array a, const px_ints *reps, mlx_stream s);
int px_fft_shift(mlx_array *res, mlx_array a, const px_ints *axes, mlx_stream s, px_intn several);
mlx_dtype px_promote(mlx_array a, mlx_array b);
mlx_dtype px_sum_dtype(mlx_array a);

/* ---- files (io.c, gguf.c) ---- */
bool px_is_path(PyObject *o);
PyObject *px_path_bytes(PyObject *o, const char *suffix); /* as the file system has it, with the suffix where it is missing (or NULL) */
PyObject *px_load_gguf(PyObject *file, bool with_metadata, mlx_stream s);

/* Written by hand, shared by several rows. */
typedef int (*px_collective)(mlx_array *, mlx_array, mlx_distributed_group, mlx_stream);
int px_do_collective(PyObject **v, PyObject **out, px_collective fn);
typedef int (*px_scan)(mlx_array *, mlx_array, int, bool, bool, mlx_stream);
int px_do_scan_from(PyObject **v, PyObject **out, px_scan fn, px_scan initial);
int px_do_scan(PyObject **v, PyObject **out, px_scan fn, bool typed);
typedef int (*px_quantile)(mlx_array *, mlx_array, mlx_array, const int *, size_t, const char *, bool, mlx_stream);
int px_do_quantile(PyObject **v, PyObject **out, px_quantile fn);
int px_do_atleast(PyObject **v, PyObject **out, px_plain fn);
#ifdef PX_HAVE_mlx_fft_fft
typedef int (*px_fft1)(mlx_array *, mlx_array, int, int, mlx_fft_norm, mlx_stream);
typedef int (*px_fftn)(mlx_array *, mlx_array, const int *, size_t, const int *, size_t, mlx_fft_norm, mlx_stream);
int px_do_fft1(PyObject **v, PyObject **out, px_fft1 fn);
int px_do_fftn(PyObject **v, PyObject **out, px_fftn fn);
#endif

#endif
