/* What the Python array API standard asks for beyond MLX: results with names, the device of an array, keywords of reductions. */
#include "px_gen.h"

#include <math.h>

static bool none(PyObject *o) { return !o || o == Py_None; }

/* ---- devices ---- */

int px_device_arg(PyObject *device, PyObject **stream) {
  if (none(device)) return 0;
  if (!none(*stream)) return PyErr_SetString(PyExc_ValueError, "[device] Only one of device and stream may be given."), PX_ERROR;
  *stream = device;
  return 0;
}

static PyObject *where_it_is(void) { /* memory is the host's until a back end has its own */
  PyObject *type = PyObject_GetAttrString(px_module, "Device"), *cpu = PyObject_GetAttrString(px_module, "cpu");
  PyObject *d = type && cpu ? PyObject_CallFunctionObjArgs(type, cpu, NULL) : NULL;
  Py_XDECREF(type);
  Py_XDECREF(cpu);
  return d;
}

PyObject *px_array_device(PyObject *self, void *closure) {
  (void)self;
  (void)closure;
  return where_it_is();
}

PyObject *px_array_to_device(PyObject *self, PyObject *args, PyObject *kwargs) {
  PyObject *device, *stream = NULL;
  static char *names[] = {"", "stream", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:to_device", names, &device, &stream)) return NULL;
  PX_STREAM(d);
  PX_STREAM(s);
  int rc = none(device) ? PX_TYPE : px_to_stream(device, &d);
  if (!rc && !none(stream)) rc = px_to_stream(stream, &s);
  if (rc == PX_TYPE) PyErr_SetString(PyExc_TypeError, "[to_device] The device must be a Device or a DeviceType, the stream one of MLX's.");
  return rc ? NULL : Py_NewRef(self);
}

/* ---- results with names ---- */

enum { MAX_NAMED = 16 };
static PyObject *named_types[MAX_NAMED];

int px_init_named(PyObject *m) {
  PyObject *collections = PyImport_ImportModule("collections");
  int rc = collections ? 0 : -1;
  for (int i = 0; !rc && px_named_results[i].name; i++) {
    const px_named *n = &px_named_results[i];
    bool core = strcmp(n->room, "core") == 0;
    PyObject *room = core ? Py_NewRef(m) : PyObject_GetAttrString(m, n->room);
    PyObject *type = room ? PyObject_CallMethod(collections, "namedtuple", "ss", n->name, n->fields) : NULL;
    PyObject *module = type ? PyUnicode_FromFormat(core ? "mlx.core" : "mlx.core.%s", n->room) : NULL;
    rc = i < MAX_NAMED && module && !PyObject_SetAttrString(type, "__module__", module) &&
                 !PyModule_AddObjectRef(room, n->name, type)
             ? 0
             : -1;
    Py_XDECREF(module);
    Py_XDECREF(room);
    if (rc)
      Py_XDECREF(type);
    else
      named_types[i] = type;
  }
  Py_XDECREF(collections);
  return rc;
}

int px_name_results(PyObject **tuple, const char *name) {
  int i = 0;
  while (px_named_results[i].name && strcmp(px_named_results[i].name, name)) i++;
  PX_REPLACE(*tuple, PyObject_CallObject(named_types[i], *tuple));
  return *tuple ? 0 : PX_ERROR;
}

/* ---- distinct elements ---- */

/* Those of values, first indices, inverse and counts that are wanted, under the given name. */
static int distinct(PyObject **v, PyObject **out, const char *which, const char *name) { /* x, stream */
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_stream_arg(v[1], &s));
  if (!mlx_ext_is_traced(a.h)) PX_TRY(px_eval(a.h));
  mlx_vector_array r = mlx_vector_array_new();
  int rc = mlx_unique(&r, a.h, (mlx_optional_int){0, false}, (mlx_array){NULL}, s.h);
  PyObject *all = rc ? NULL : px_vector_tuple(r);
  mlx_vector_array_free(r);
  if (rc) return px_failed();
  if (!all) return PX_ERROR;
  Py_ssize_t n = (Py_ssize_t)strlen(which);
  *out = n == 1 ? Py_NewRef(PyTuple_GetItem(all, 0)) : PyTuple_New(n);
  for (Py_ssize_t i = 0; n > 1 && *out && i < n; i++) PyTuple_SetItem(*out, i, Py_NewRef(PyTuple_GetItem(all, which[i] - '0')));
  Py_DECREF(all);
  if (!*out) return PX_ERROR;
  return n > 1 ? px_name_results(out, name) : 0;
}
int px_do_unique_all(PyObject **v, PyObject **out) { return distinct(v, out, "0123", "UniqueAllResult"); }
int px_do_unique_counts(PyObject **v, PyObject **out) { return distinct(v, out, "03", "UniqueCountsResult"); }
int px_do_unique_inverse(PyObject **v, PyObject **out) { return distinct(v, out, "02", "UniqueInverseResult"); }
int px_do_unique_values(PyObject **v, PyObject **out) { return distinct(v, out, "0", ""); }

/* ---- reductions ---- */

/* In a dtype of choice: cast before, and after, since small integers widen. */
int px_reduce_as(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, mlx_optional_dtype t, mlx_stream s, px_reduce_all all,
                 px_reduce_one one, px_reduce_axes several) {
  if (!t.has_value) return px_reduce(res, a, axis, keepdims, s, all, one, several);
  PX_ARG(cast);
  mlx_array h = px_own(&cast);
  return mlx_astype(&h, a, t.value, s) || px_reduce(res, h, axis, keepdims, s, all, one, several) ||
         (mlx_array_dtype(*res) != t.value && mlx_astype(res, *res, t.value, s));
}

/* How many elements one result of a reduction is made of; an axis out of range is found by the reduction. */
static double count(mlx_array a, const px_ints *axis) {
  int nd = (int)mlx_array_ndim(a);
  if (axis->n < 0) return (double)mlx_array_size(a);
  double n = 1;
  for (int i = 0; i < axis->n; i++) {
    int d = axis->v[i] < 0 ? axis->v[i] + nd : axis->v[i];
    if (d >= 0 && d < nd) n *= mlx_array_shape(a)[d];
  }
  return n;
}

/* Variance or standard deviation, divided by n - correction: ddof, unless a correction is given, which need not be whole. */
int px_moment(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, int ddof, mlx_optional_float correction, mlx_stream s,
              int (*all)(mlx_array *, mlx_array, bool, int, mlx_stream),
              int (*several)(mlx_array *, mlx_array, const int *, size_t, bool, int, mlx_stream)) {
  float c = correction.value;
  if (!correction.has_value) return px_reduce_ddof(res, a, axis, keepdims, ddof, s, all, several);
  if (c == floorf(c) && fabsf(c) < 1e9f) return px_reduce_ddof(res, a, axis, keepdims, (int)c, s, all, several);
  double n = count(a, axis), factor = n / fmax(n - c, 0);
  if (all == mlx_std) factor = sqrt(factor);
  PX_ARG(by);
  mlx_array h = px_own(&by);
  return px_reduce_ddof(res, a, axis, keepdims, 0, s, all, several) ||
         mlx_array_set_data(&h, &(float){(float)factor}, NULL, 0, MLX_FLOAT32) || mlx_astype(&h, h, mlx_array_dtype(*res), s) ||
         mlx_multiply(res, *res, h, s);
}

/* ---- order ---- */

int px_sort_falling(mlx_array *res, mlx_array a, mlx_stream s) {
  return mlx_flatten(res, a, 0, -1, s) || mlx_sort_descending(res, *res, 0, s);
}
int px_argsort_falling(mlx_array *res, mlx_array a, mlx_stream s) {
  return mlx_flatten(res, a, 0, -1, s) || mlx_argsort_descending(res, *res, 0, s);
}

int px_moveaxis(mlx_array *res, mlx_array a, const px_ints *source, const px_ints *destination, mlx_stream s) {
  if (source->single && destination->single) return mlx_moveaxis(res, a, source->v[0], destination->v[0], s);
  int nd = (int)mlx_array_ndim(a), order[PX_MAX_NDIM], next = 0, from, to;
  bool moved[PX_MAX_NDIM] = {false};
  if (source->n != destination->n)
    return PyErr_Format(PyExc_ValueError, "[moveaxis] %d sources do not match %d destinations.", source->n, destination->n), PX_ERROR;
  for (int d = 0; d < nd; d++) order[d] = -1;
  for (int i = 0; i < source->n; i++) {
    PX_TRY(px_axis_in(source->v[i], nd, "moveaxis", &from));
    PX_TRY(px_axis_in(destination->v[i], nd, "moveaxis", &to));
    if (moved[from] || order[to] >= 0)
      return PyErr_SetString(PyExc_ValueError, "[moveaxis] An axis is given twice."), PX_ERROR;
    moved[from] = true;
    order[to] = from;
  }
  for (int d = 0; d < nd; d++) {
    if (order[d] >= 0) continue;
    while (moved[next]) next++;
    order[d] = next++;
  }
  return mlx_transpose_axes(res, a, order, (size_t)nd, s);
}

int px_do_repeat(PyObject **v, PyObject **out) { /* array, repeats, axis, stream */
  int n = 0, axis = 0;
  PX_ARG(a);
  PX_ARG(repeats);
  PX_ARG(flat);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  bool each = px_is_array(v[1]);
  PX_TRY(each ? px_to_array(v[1], &repeats) : px_to_int(v[1], &n));
  if (!none(v[2])) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(px_stream_arg(v[3], &s));
  if (each && !mlx_ext_is_traced(repeats.h)) PX_TRY(px_eval(repeats.h));
  mlx_array x = a.h;
  if (none(v[2])) {
    x = px_own(&flat);
    PX_CHECK(mlx_flatten(&x, a.h, 0, -1, s.h));
  }
  PX_RESULT(out, each ? mlx_repeat_each(&res, x, repeats.h, axis, s.h) : mlx_repeat_axis(&res, x, n, axis, s.h));
}

/* What is put before or behind: a number or an array with one dimension less is repeated to the size 1 along the axis. */
static int joined(PyObject *o, mlx_array a, int axis, mlx_stream s, mlx_vector_array parts) {
  if (none(o)) return 0;
  int shape[PX_MAX_NDIM], nd = (int)mlx_array_ndim(a);
  PX_ARG(x);
  PX_ARG(wide);
  PX_TRY(px_to_weak(o, mlx_array_dtype(a), &x));
  mlx_array h = x.h;
  if (mlx_array_ndim(h) == 0) {
    for (int d = 0; d < nd; d++) shape[d] = d == axis ? 1 : mlx_array_shape(a)[d];
    mlx_array w = px_own(&wide);
    PX_CHECK(mlx_broadcast_to(&w, h, shape, (size_t)nd, s));
    h = w;
  }
  PX_CHECK(mlx_vector_array_append_value(parts, h));
  return 0;
}

int px_do_diff(PyObject **v, PyObject **out) { /* a, n, axis, stream, prepend, append */
  int n = 1, axis = -1, at;
  PX_ARG(a);
  PX_ARG(whole);
  PX_STREAM(s);
  PX_ARRAYS(parts);
  PX_TRY(px_to_array(v[0], &a));
  if (v[1]) PX_TRY(px_to_int(v[1], &n));
  if (v[2]) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(px_stream_arg(v[3], &s));
  if (none(v[4]) && none(v[5])) PX_RESULT(out, mlx_diff(&res, a.h, n, axis, s.h));
  PX_TRY(px_axis_in(axis, (int)mlx_array_ndim(a.h), "diff", &at));
  parts.h = mlx_vector_array_new();
  PX_TRY(joined(v[4], a.h, at, s.h, parts.h));
  PX_CHECK(mlx_vector_array_append_value(parts.h, a.h));
  PX_TRY(joined(v[5], a.h, at, s.h, parts.h));
  mlx_array h = px_own(&whole);
  PX_CHECK(mlx_concatenate_axis(&h, parts.h, at, s.h));
  PX_RESULT(out, mlx_diff(&res, h, n, axis, s.h));
}

int px_do_qr(PyObject **v, PyObject **out) { /* a, stream, mode */
  const char *mode = "reduced";
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_stream_arg(v[1], &s));
  if (v[2]) PX_TRY(px_to_string(v[2], &mode));
  bool complete = strcmp(mode, "complete") == 0;
  if (!complete && strcmp(mode, "reduced"))
    return PyErr_Format(PyExc_ValueError, "[linalg::qr] Invalid mode '%s'; it must be reduced or complete.", mode), PX_ERROR;
  if (!(*out = px_new_tuple(2))) return PX_ERROR;
  mlx_array q = px_handle(PyTuple_GetItem(*out, 0)), r = px_handle(PyTuple_GetItem(*out, 1));
  PX_TRY(px_finish(out, complete ? mlx_linalg_qr_complete(&q, &r, a.h, s.h) : mlx_linalg_qr(&q, &r, a.h, s.h)));
  return px_name_results(out, "QRResult");
}
