/* mx.fast.metal_kernel and cuda_kernel. An object that can be called holds the library's handle in a capsule. */
#include "px_gen.h"

#include "mlx/c/fast_kernels.h"

/* ---- arguments ---- */

static int to_names(PyObject *o, mlx_vector_string *names) {
  if (!PyList_Check(o) && !PyTuple_Check(o)) return PX_TYPE;
  *names = mlx_vector_string_new();
  for (Py_ssize_t i = 0; i < PySequence_Size(o); i++) {
    PyObject *name = PySequence_GetItem(o, i);
    const char *text;
    int rc = name ? px_to_string(name, &text) : PX_ERROR;
    if (!rc && mlx_vector_string_append_value(*names, text)) rc = px_failed();
    Py_XDECREF(name);
    PX_TRY(rc);
  }
  return 0;
}

static int to_triple(PyObject *o, int v[3]) {
  px_ints n;
  if (!PyTuple_Check(o) && !PyList_Check(o)) return PX_TYPE;
  PX_TRY(px_to_shape(o, &n));
  if (n.n != 3) return PX_TYPE;
  memcpy(v, n.v, 3 * sizeof *v);
  return 0;
}

static int add_outputs(mlx_fast_metal_kernel_config c, PyObject *shapes, PyObject *dtypes) {
  if (!PySequence_Check(shapes) || !PySequence_Check(dtypes)) return PX_TYPE;
  Py_ssize_t n = PySequence_Size(shapes);
  if (n != PySequence_Size(dtypes)) {
    PyErr_Format(PyExc_ValueError, "[metal_kernel] Expected as many `output_dtypes` as `output_shapes`, %zd, but got %zd.", n,
                 PySequence_Size(dtypes));
    return PX_ERROR;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    px_ints shape;
    mlx_dtype t;
    PyObject *o = PySequence_GetItem(shapes, i), *d = PySequence_GetItem(dtypes, i);
    int rc = o && d ? px_to_shape(o, &shape) : PX_ERROR;
    if (!rc) rc = px_to_dtype(d, &t);
    if (!rc && mlx_fast_metal_kernel_config_add_output_arg(c, shape.v, (size_t)shape.n, t)) rc = px_failed();
    Py_XDECREF(o);
    Py_XDECREF(d);
    PX_TRY(rc);
  }
  return 0;
}

static int add_template(mlx_fast_metal_kernel_config c, PyObject *pair) {
  const char *name;
  int n;
  mlx_dtype t;
  if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) return PX_TYPE;
  PyObject *value = PyTuple_GetItem(pair, 1);
  PX_TRY(px_to_string(PyTuple_GetItem(pair, 0), &name));
  if (PyBool_Check(value)) {
    PX_CHECK(mlx_fast_metal_kernel_config_add_template_arg_bool(c, name, value == Py_True));
  } else if (px_is_dtype(value)) {
    PX_TRY(px_to_dtype(value, &t));
    PX_CHECK(mlx_fast_metal_kernel_config_add_template_arg_dtype(c, name, t));
  } else {
    PX_TRY(px_to_int(value, &n));
    PX_CHECK(mlx_fast_metal_kernel_config_add_template_arg_int(c, name, n));
  }
  return 0;
}

static int add_templates(mlx_fast_metal_kernel_config c, PyObject *list) {
  if (!list || list == Py_None) return 0;
  if (!PyList_Check(list) && !PyTuple_Check(list)) return PX_TYPE;
  for (Py_ssize_t i = 0; i < PySequence_Size(list); i++) {
    PyObject *pair = PySequence_GetItem(list, i);
    int rc = pair ? add_template(c, pair) : PX_ERROR;
    Py_XDECREF(pair);
    PX_TRY(rc);
  }
  return 0;
}

/* ---- calls ---- */

enum { SELF, INPUTS, SHAPES, DTYPES, GRID, THREADS, TEMPLATE, INIT, VERBOSE, STREAM };

static void free_config(mlx_fast_metal_kernel_config *c) { mlx_fast_metal_kernel_config_free(*c); }

static int body_call(PyObject **v, PyObject **out) {
  int grid[3], threads[3];
  double init;
  bool verbose;
  PX_ARRAYS(inputs);
  PX_STREAM(s);
  __attribute__((cleanup(free_config))) mlx_fast_metal_kernel_config c = mlx_fast_metal_kernel_config_new();
  if (!PyList_Check(v[INPUTS]) && !PyTuple_Check(v[INPUTS])) return PX_TYPE;
  PX_TRY(px_to_any_arrays(v[INPUTS], &inputs));
  PX_TRY(add_outputs(c, v[SHAPES], v[DTYPES]));
  PX_TRY(to_triple(v[GRID], grid));
  PX_TRY(to_triple(v[THREADS], threads));
  PX_CHECK(mlx_fast_metal_kernel_config_set_grid(c, grid[0], grid[1], grid[2]));
  PX_CHECK(mlx_fast_metal_kernel_config_set_thread_group(c, threads[0], threads[1], threads[2]));
  PX_TRY(add_templates(c, v[TEMPLATE]));
  if (v[INIT] && v[INIT] != Py_None) {
    PX_TRY(px_to_double(v[INIT], &init));
    PX_CHECK(mlx_fast_metal_kernel_config_set_init_value(c, (float)init));
  }
  if (v[VERBOSE]) {
    PX_TRY(px_to_bool(v[VERBOSE], &verbose));
    PX_CHECK(mlx_fast_metal_kernel_config_set_verbose(c, verbose));
  }
  PX_TRY(px_stream_arg(v[STREAM], &s));
  mlx_vector_array res = mlx_vector_array_new();
  int rc = mlx_fast_metal_kernel_apply(&res, (mlx_fast_metal_kernel){PyCapsule_GetPointer(v[SELF], NULL)}, inputs.h, c, s.h);
  if (!rc) *out = px_vector_list(res);
  mlx_vector_array_free(res);
  return rc ? px_failed() : 0;
}

static PyObject *call(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const px_sig sig = {"__call__",
                             "(self, *, inputs: list[scalar | array], output_shapes: list[Sequence[int]], output_dtypes: list[Dtype], grid: "
                             "tuple[int, int, int], threadgroup: tuple[int, int, int], template: list[tuple[str, bool | int | Dtype]] | None = "
                             "None, init_value: float | None = None, verbose: bool = False, stream: StreamLike = None)",
                             {"self", "inputs", "output_shapes", "output_dtypes", "grid", "threadgroup", "template", "init_value", "verbose", "stream"},
                             1,
                             1,
                             10,
                             false,
                             0x3f, {{NULL, 0}}};
  return px_call(&sig, body_call, self, args, nargs, kwnames);
}

static void free_kernel(PyObject *capsule) { mlx_fast_metal_kernel_free((mlx_fast_metal_kernel){PyCapsule_GetPointer(capsule, NULL)}); }

int px_do_fast_metal_kernel(PyObject **v, PyObject **out) { /* name, inputs, outputs, source, header, contiguous, atomic, options */
  static PyMethodDef def = {"metal_kernel", PX_FN(call), PX_FASTCALL,
                            "metal_kernel($self, /, *, inputs, output_shapes, output_dtypes, grid, threadgroup, template=None, init_value=None, "
                            "verbose=False, stream=None)\n--\n\nRuns the kernel; needs a Metal device."};
  const char *name, *source, *header = "";
  bool contiguous = true, atomic = false;
  mlx_vector_string in = {NULL}, res = {NULL};
  int rc = px_to_string(v[0], &name);
  if (!rc) rc = px_to_string(v[3], &source);
  if (!rc && v[4]) rc = px_to_string(v[4], &header);
  if (!rc && v[5]) rc = px_to_bool(v[5], &contiguous);
  if (!rc && v[6]) rc = px_to_bool(v[6], &atomic);
  if (!rc && v[7] && v[7] != Py_None && !PyDict_Check(v[7])) {
    PyErr_SetString(PyExc_ValueError, "[metal_kernel] Expected `compile_options` to be a dict.");
    rc = PX_ERROR;
  }
  if (!rc) rc = to_names(v[1], &in);
  if (!rc) rc = to_names(v[2], &res);
  if (!rc) {
    mlx_fast_metal_kernel k = mlx_fast_metal_kernel_new(name, in, res, source, header, contiguous, atomic);
    PyObject *capsule = k.ctx ? PyCapsule_New(k.ctx, NULL, free_kernel) : px_raise();
    if (k.ctx && !capsule) mlx_fast_metal_kernel_free(k);
    *out = capsule ? PyCFunction_New(&def, capsule) : NULL;
    Py_XDECREF(capsule);
    rc = *out ? 0 : PX_ERROR;
  }
  mlx_vector_string_free(in);
  mlx_vector_string_free(res);
  return rc;
}

/* As in MLX, there are not even objects without a CUDA back end. */
int px_do_fast_cuda_kernel(PyObject **v, PyObject **out) {
  (void)v;
  (void)out;
  PyErr_SetString(PyExc_RuntimeError, "[cuda_kernel] No CUDA back-end.");
  return PX_ERROR;
}
int px_do_fast_precompiled_cuda_kernel(PyObject **v, PyObject **out) { return px_do_fast_cuda_kernel(v, out); }
