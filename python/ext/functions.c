/* Functions of arrays whose arguments need more than a conversion each: forms of an argument, defaults taken from another
 * one, and what is composed of several C functions. v holds the bound arguments in the order of ops/python.def. */
#include "px_gen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int px_axis_in(int axis, int ndim, const char *tag, int *v) {
  *v = axis < 0 ? axis + ndim : axis;
  if (*v >= 0 && *v < ndim) return 0;
  PyErr_Format(px_axis_error, "[%s] Axis %d is out of bounds for array with %d dimensions.", tag, axis, ndim);
  return PX_ERROR;
}

static int int_or(PyObject *o, int otherwise, int *v) {
  *v = otherwise;
  return o ? px_to_int(o, v) : 0;
}
static int none(PyObject *o) { return !o || o == Py_None; }
static int ndim(mlx_array a) { return (int)mlx_array_ndim(a); }

/* ---- creation ---- */

typedef struct bound {
  double v;
  bool integral;
} bound;
static int to_bound(PyObject *o, bound *b) {
  if (PyBool_Check(o)) {
    PyErr_SetString(PyExc_ValueError, "bool not supported for arange.");
    return PX_ERROR;
  }
  if (!PyLong_Check(o) && !PyFloat_Check(o)) return PX_TYPE;
  b->integral = PyLong_Check(o);
  return px_to_double(o, &b->v);
}

static bool fits_int32(double x) { return x >= INT32_MIN && x <= INT32_MAX; }

int px_do_arange(PyObject **v, PyObject **out) {
  bound start = {0, true}, stop, step = {1, true};
  mlx_optional_dtype t = {MLX_FLOAT32, false};
  PX_STREAM(s);
  if (none(v[1])) { /* arange(stop) */
    if (none(v[0])) return PX_TYPE;
    PX_TRY(to_bound(v[0], &stop));
  } else {
    if (!none(v[0])) PX_TRY(to_bound(v[0], &start));
    PX_TRY(to_bound(v[1], &stop));
  }
  if (!none(v[2])) PX_TRY(to_bound(v[2], &step));
  if (v[3]) PX_TRY(px_to_dtype_or_none(v[3], &t));
  PX_TRY(px_stream_arg(v[4], &s));
  if (!t.has_value && start.integral && stop.integral && step.integral)
    t.value = fits_int32(start.v) && fits_int32(stop.v) && fits_int32(step.v) ? MLX_INT32 : MLX_INT64;
  if (t.value == MLX_BOOL) {
    PyErr_SetString(PyExc_ValueError, "bool not supported for arange.");
    return PX_ERROR;
  }
  PX_RESULT(out, mlx_arange(&res, start.v, stop.v, step.v, t.value, s.h));
}

int px_do_linspace(PyObject **v, PyObject **out) {
  double start, stop;
  int n = 50;
  bool endpoint = true;
  mlx_dtype t = MLX_FLOAT32;
  PX_STREAM(s);
  PX_TRY(px_to_double(v[0], &start));
  PX_TRY(px_to_double(v[1], &stop));
  if (!none(v[2])) PX_TRY(px_to_int(v[2], &n));
  if (v[3]) PX_TRY(px_to_bool(v[3], &endpoint));
  if (v[4]) PX_TRY(px_to_dtype_or(v[4], MLX_FLOAT32, &t));
  PX_TRY(px_stream_arg(v[5], &s));
  if (!endpoint && n > 0) stop -= (stop - start) / n;
  PX_RESULT(out, mlx_linspace(&res, start, stop, n, t, s.h));
}

/* The value of full: a Python int must fit an integer dtype. */
static int fill_value(PyObject *o, mlx_optional_dtype t, px_arg *a) {
  bool fit = t.has_value && t.value != MLX_BOOL && PyLong_Check(o) && !PyBool_Check(o);
  return fit ? px_to_weak(o, t.value, a) : px_to_any(o, a);
}

int px_do_full(PyObject **v, PyObject **out) {
  px_ints shape;
  mlx_optional_dtype t = {MLX_FLOAT32, false};
  PX_ARG(vals);
  PX_STREAM(s);
  PX_TRY(px_to_size_or_shape(v[0], &shape));
  if (v[2]) PX_TRY(px_to_dtype_or_none(v[2], &t));
  PX_TRY(fill_value(v[1], t, &vals));
  PX_TRY(px_stream_arg(v[3], &s));
  PX_RESULT(out, mlx_full(&res, shape.v, (size_t)shape.n, vals.h, t.has_value ? t.value : mlx_array_dtype(vals.h), s.h));
}

int px_do_full_like(PyObject **v, PyObject **out) {
  mlx_optional_dtype t = {MLX_FLOAT32, false};
  PX_ARG(a);
  PX_ARG(vals);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[2]) PX_TRY(px_to_dtype_or_none(v[2], &t));
  if (!t.has_value) t = (mlx_optional_dtype){mlx_array_dtype(a.h), true};
  PX_TRY(fill_value(v[1], t, &vals));
  PX_TRY(px_stream_arg(v[3], &s));
  PX_RESULT(out, mlx_full_like(&res, a.h, vals.h, t.value, s.h));
}

typedef int (*like_fn)(mlx_array *, const mlx_array, const mlx_stream);

static int constant_like(PyObject **v, PyObject **out, like_fn make) {
  mlx_optional_dtype t = {MLX_FLOAT32, false};
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[1]) PX_TRY(px_to_dtype_or_none(v[1], &t));
  PX_TRY(px_stream_arg(v[2], &s));
  if (!t.has_value || t.value == mlx_array_dtype(a.h)) PX_RESULT(out, make(&res, a.h, s.h));
  mlx_array value = mlx_array_new_int(make == mlx_ones_like);
  PyObject *r = px_new();
  mlx_array res = r ? px_handle(r) : value;
  int rc = r ? mlx_full_like(&res, a.h, value, t.value, s.h) : 1;
  mlx_array_free(value);
  *out = r;
  return r ? px_finish(out, rc) : PX_ERROR;
}
int px_do_zeros_like(PyObject **v, PyObject **out) { return constant_like(v, out, mlx_zeros_like); }
int px_do_ones_like(PyObject **v, PyObject **out) { return constant_like(v, out, mlx_ones_like); }

static int no_copy(const char *tag) {
  PyErr_Format(PyExc_ValueError, "[%s] The array cannot be made without a copy.", tag);
  return PX_ERROR;
}

int px_do_asarray(PyObject **v, PyObject **out) {
  mlx_optional_dtype t = {MLX_FLOAT32, false};
  PX_ARG(a);
  if (v[0] == Py_None) return PX_TYPE;
  if (v[1]) PX_TRY(px_to_dtype_or_none(v[1], &t));
  PX_STREAM(s);
  PX_TRY(px_stream_arg(v[3], &s)); /* a device that is not there is an error */
  bool is = px_is_array(v[0]), same = is && (!t.has_value || t.value == mlx_array_dtype(px_handle(v[0])));
  if (v[2] == Py_False && !same) return no_copy("asarray");
  if (same && v[2] != Py_True) {
    *out = Py_NewRef(v[0]);
    return 0;
  }
  PX_TRY(px_from_object(v[0], t.has_value ? (int)t.value : -1, &a));
  if (same) PX_RESULT(out, mlx_copy(&res, a.h, mlx_ext_default_stream()));
  PX_RESULT(out, mlx_array_set(&res, a.h));
}

int px_do_from_dlpack(PyObject **v, PyObject **out) {
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_stream_arg(v[2], &s));
  if (v[1] == Py_False) return no_copy("from_dlpack");
  if (!PyCapsule_CheckExact(v[0]) && !PyObject_HasAttrString(v[0], "__dlpack__")) return PX_TYPE;
  PX_TRY(px_from_dlpack(v[0], &a));
  if (v[1] == Py_True) return (*out = px_own_copy(a.h)) ? 0 : PX_ERROR;
  PX_RESULT(out, mlx_array_set(&res, a.h));
}

/* ---- shapes ---- */

int px_do_roll(PyObject **v, PyObject **out) {
  px_ints shift, axis = {.n = -1};
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_to_size_or_shape(v[1], &shift));
  if (v[2]) PX_TRY(px_to_ints(v[2], &axis));
  PX_TRY(px_stream_arg(v[3], &s));
  size_t n = (size_t)shift.n;
  if (axis.n < 0) PX_RESULT(out, mlx_roll(&res, a.h, shift.v, n, s.h));
  if (axis.single) PX_RESULT(out, mlx_roll_axis(&res, a.h, shift.v, n, axis.v[0], s.h));
  PX_RESULT(out, mlx_roll_axes(&res, a.h, shift.v, n, axis.v, (size_t)axis.n, s.h));
}

/* Where to cut: as many integers as are given, unlike axes. */
static int cuts_of(PyObject *o, int **at, size_t *n) {
  Py_ssize_t len = px_length(o);
  if (len < 0) return PX_TYPE;
  *n = (size_t)len;
  if (!(*at = PyMem_Malloc((*n + 1) * sizeof(int)))) {
    PyErr_NoMemory();
    return PX_ERROR;
  }
  int rc = 0;
  for (Py_ssize_t i = 0; i < len && !rc; i++) {
    PyObject *item = px_element(o, i);
    rc = item ? px_to_int(item, *at + i) : PX_ERROR;
    Py_XDECREF(item);
  }
  return rc;
}

int px_do_split(PyObject **v, PyObject **out) { /* a, indices_or_sections, axis, stream */
  int parts = 0, axis = 0, *at = NULL;
  size_t n = 0;
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[2]) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(px_stream_arg(v[3], &s));
  bool several = px_to_int(v[1], &parts) != 0;
  int rc = several ? cuts_of(v[1], &at, &n) : 0;
  if (!rc) {
    mlx_vector_array r = mlx_vector_array_new();
    rc = several ? mlx_split_sections(&r, a.h, at, n, axis, s.h) : mlx_split(&r, a.h, parts, axis, s.h);
    rc = rc ? px_failed() : (*out = px_vector_list(r)) ? 0 : PX_ERROR;
    mlx_vector_array_free(r);
  }
  PyMem_Free(at);
  return rc;
}

int px_do_as_strided(PyObject **v, PyObject **out) {
  px_ints shape = {.n = -1};
  int64_t strides[PX_MAX_NDIM], step = 1;
  size_t offset = 0;
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[1]) PX_TRY(px_to_shape_or_none(v[1], &shape));
  if (v[3]) PX_TRY(px_to_size(v[3], &offset));
  PX_TRY(px_stream_arg(v[4], &s));
  if (shape.n < 0)
    for (shape.n = 0; shape.n < ndim(a.h); shape.n++) shape.v[shape.n] = mlx_array_shape(a.h)[shape.n];
  for (int d = shape.n - 1; d >= 0; d--) strides[d] = step, step *= shape.v[d];
  if (!none(v[2])) {
    Py_ssize_t n = px_length(v[2]);
    if (n < 0) return PX_TYPE;
    if (n != shape.n) {
      PyErr_SetString(PyExc_ValueError, "[as_strided] shape and strides must have the same length.");
      return PX_ERROR;
    }
    for (int d = 0; d < shape.n; d++) {
      PyObject *item = px_element(v[2], d);
      int rc = item ? px_to_int64(item, &strides[d]) : PX_ERROR;
      Py_XDECREF(item);
      PX_TRY(rc);
    }
  }
  PX_RESULT(out, mlx_as_strided(&res, a.h, shape.v, (size_t)shape.n, strides, (size_t)shape.n, offset, s.h));
}

/* pad_width: an int, (n,), (before, after), or a pair for each axis. */
int px_do_pad(PyObject **v, PyObject **out) {
  px_ints flat, pair;
  int axes[PX_MAX_NDIM], low[PX_MAX_NDIM], high[PX_MAX_NDIM], n, one;
  const char *mode = "constant";
  PX_ARG(a);
  PX_ARG(value);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[2]) PX_TRY(px_to_string(v[2], &mode));
  PX_TRY(v[3] ? px_to_weak(v[3], mlx_array_dtype(a.h), &value) : px_default_scalar(&value, 0));
  PX_TRY(px_stream_arg(v[4], &s));
  if (px_to_int(v[1], &one) == 0) PX_RESULT(out, mlx_pad_symmetric(&res, a.h, one, value.h, mode, s.h));
  n = ndim(a.h);
  for (int d = 0; d < n; d++) axes[d] = d;
  if (px_to_shape(v[1], &flat) == 0) {
    if (flat.n != 1 && flat.n != 2) return PX_TYPE;
    for (int d = 0; d < n; d++) low[d] = flat.v[0], high[d] = flat.v[flat.n - 1];
  } else {
    PyErr_Clear();
    if (!PySequence_Check(v[1])) return PX_TYPE;
    Py_ssize_t given = PySequence_Size(v[1]);
    for (Py_ssize_t d = 0; d < given && d < PX_MAX_NDIM; d++) {
      PyObject *item = PySequence_GetItem(v[1], d);
      int rc = item ? px_to_size_or_shape(item, &pair) : PX_ERROR;
      Py_XDECREF(item);
      PX_TRY(rc);
      if (pair.n < 1 || pair.n > 2) return PX_TYPE;
      low[d] = pair.v[0], high[d] = pair.v[pair.n - 1];
    }
    if (given != n && given != 1) {
      PyErr_Format(PyExc_ValueError, "[pad] Invalid number of padding sizes: %zd for an array with %d dimensions.", given, n);
      return PX_ERROR;
    }
    for (int d = 1; given == 1 && d < n; d++) low[d] = low[0], high[d] = high[0];
  }
  size_t k = (size_t)n;
  PX_RESULT(out, mlx_pad(&res, a.h, axes, k, low, k, high, k, value.h, mode, s.h));
}

int px_do_atleast(PyObject **v, PyObject **out, px_plain fn) {
  PX_STREAM(s);
  PX_TRY(px_stream_arg(v[1], &s));
  Py_ssize_t n = PyTuple_Size(v[0]);
  PyObject *list = PyList_New(n);
  for (Py_ssize_t i = 0; list && i < n; i++) {
    PX_ARG(a);
    int rc = px_to_any(PyTuple_GetItem(v[0], i), &a);
    PyObject *r = rc ? NULL : px_new();
    if (!r) {
      Py_DECREF(list);
      return rc ? rc : PX_ERROR;
    }
    PyList_SetItem(list, i, r);
    mlx_array res = px_handle(r);
    if (fn(&res, a.h, s.h)) {
      Py_DECREF(list);
      return px_failed();
    }
  }
  if (list && n == 1) {
    *out = Py_NewRef(PyList_GetItem(list, 0));
    Py_DECREF(list);
  } else
    *out = list;
  return *out ? 0 : PX_ERROR;
}

int px_do_broadcast_shapes(PyObject **v, PyObject **out) {
  int shape[PX_MAX_NDIM], n = 0;
  for (Py_ssize_t i = 0; i < PyTuple_Size(v[0]); i++) {
    px_ints one;
    PX_TRY(px_to_shape(PyTuple_GetItem(v[0], i), &one));
    int grow = one.n - n;
    if (grow > 0) {
      memmove(shape + grow, shape, (size_t)n * sizeof *shape);
      for (int d = 0; d < grow; d++) shape[d] = 1;
      n = one.n;
    }
    for (int d = 0; d < one.n; d++) {
      int *r = &shape[n - one.n + d], x = one.v[d];
      if (*r == 1)
        *r = x;
      else if (x != 1 && x != *r) {
        PyErr_Format(PyExc_ValueError, "[broadcast_shapes] Shapes cannot be broadcast: sizes %d and %d of dimension %d.", *r, x,
                     n - one.n + d);
        return PX_ERROR;
      }
    }
  }
  *out = PyTuple_New(n);
  for (int d = 0; *out && d < n; d++) PyTuple_SetItem(*out, d, PyLong_FromLong(shape[d]));
  return *out ? 0 : PX_ERROR;
}

static int one_or_many(PyObject *o, px_arrays *a) {
  if (!px_is_array(o)) return px_to_arrays(o, a);
  a->h = mlx_vector_array_new_value(px_handle(o));
  return 0;
}
int px_do_depends(PyObject **v, PyObject **out) {
  PX_ARRAYS(in);
  PX_ARRAYS(deps);
  PX_TRY(one_or_many(v[0], &in));
  PX_TRY(one_or_many(v[1], &deps));
  mlx_vector_array r = mlx_vector_array_new();
  int rc = mlx_depends(&r, in.h, deps.h);
  PyObject *list = rc ? NULL : px_vector_list(r);
  mlx_vector_array_free(r);
  if (rc) return px_failed();
  if (list && px_is_array(v[0])) {
    *out = Py_NewRef(PyList_GetItem(list, 0));
    Py_DECREF(list);
  } else
    *out = list;
  return *out ? 0 : PX_ERROR;
}

/* ---- taking ---- */

int px_do_take(PyObject **v, PyObject **out) {
  int axis = 0, i;
  PX_ARG(a);
  PX_ARG(idx);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (px_is_array(v[1]))
    PX_TRY(px_to_array(v[1], &idx));
  else {
    PX_TRY(px_to_int(v[1], &i));
    mlx_array h = px_own(&idx);
    PX_CHECK(mlx_array_set_int(&h, i));
  }
  if (!none(v[2])) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(px_stream_arg(v[3], &s));
  PX_RESULT(out, none(v[2]) ? mlx_take(&res, a.h, idx.h, s.h) : mlx_take_axis(&res, a.h, idx.h, axis, s.h));
}

int px_do_take_along_axis(PyObject **v, PyObject **out) {
  int axis = -1;
  PX_ARG(a);
  PX_ARG(idx);
  PX_ARG(flat);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_to_array(v[1], &idx));
  if (v[2] && v[2] != Py_None) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(px_stream_arg(v[3], &s));
  if (v[2] == Py_None) {
    mlx_array h = px_own(&flat);
    PX_CHECK(mlx_flatten(&h, a.h, 0, -1, s.h));
    PX_RESULT(out, mlx_take_along_axis(&res, flat.h, idx.h, 0, s.h));
  }
  PX_RESULT(out, mlx_take_along_axis(&res, a.h, idx.h, axis, s.h));
}

int px_do_put_along_axis(PyObject **v, PyObject **out) {
  int axis = 0;
  PX_ARG(a);
  PX_ARG(idx);
  PX_ARG(values);
  PX_ARG(flat);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_to_array(v[1], &idx));
  PX_TRY(px_to_array(v[2], &values));
  if (!none(v[3])) PX_TRY(px_to_int(v[3], &axis));
  PX_TRY(px_stream_arg(v[4], &s));
  if (!none(v[3])) PX_RESULT(out, mlx_put_along_axis(&res, a.h, idx.h, values.h, axis, s.h));
  mlx_array h = px_own(&flat);
  PX_CHECK(mlx_flatten(&h, a.h, 0, -1, s.h) || mlx_put_along_axis(&h, h, idx.h, values.h, 0, s.h));
  PX_RESULT(out, mlx_reshape(&res, h, mlx_array_shape(a.h), mlx_array_ndim(a.h), s.h));
}

/* ---- reductions and scans ---- */

int px_do_scan(PyObject **v, PyObject **out, px_scan fn, bool typed) {
  int axis = 0;
  bool reverse = false, inclusive = true;
  mlx_optional_dtype t = {MLX_FLOAT32, false};
  PX_ARG(a);
  PX_ARG(flat);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (!none(v[1])) PX_TRY(px_to_int(v[1], &axis));
  if (v[2]) PX_TRY(px_to_bool(v[2], &reverse));
  if (v[3]) PX_TRY(px_to_bool(v[3], &inclusive));
  if (typed && v[4]) PX_TRY(px_to_dtype_or_none(v[4], &t));
  PX_TRY(px_stream_arg(v[4 + typed], &s));
  mlx_array x = a.h;
  if (none(v[1]) && ndim(x) != 1) {
    mlx_array h = px_own(&flat);
    PX_CHECK(mlx_flatten(&h, x, 0, -1, s.h));
    x = h;
  }
  if (t.has_value) {
    mlx_array h = px_own(&flat);
    PX_CHECK(mlx_astype(&h, x, t.value, s.h));
    x = h;
  }
  PX_RESULT(out, fn(&res, x, axis, reverse, inclusive, s.h));
}

int px_do_scan_from(PyObject **v, PyObject **out, px_scan fn, px_scan initial) { /* ..., dtype, stream, include_initial */
  bool from = false;
  if (v[6]) PX_TRY(px_to_bool(v[6], &from));
  return px_do_scan(v, out, from ? initial : fn, true);
}

/* ---- products ---- */

int px_do_tensordot(PyObject **v, PyObject **out) {
  int n = 2;
  px_ints left, right;
  PX_ARG(a);
  PX_ARG(b);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_to_array(v[1], &b));
  PX_TRY(px_stream_arg(v[3], &s));
  bool list = v[2] && PySequence_Check(v[2]) && !(px_is_array(v[2]) && mlx_array_ndim(px_handle(v[2])) == 0);
  if (!list) {
    PX_TRY(int_or(v[2], 2, &n));
    PX_RESULT(out, mlx_tensordot_axis(&res, a.h, b.h, n, s.h));
  }
  if (PySequence_Size(v[2]) != 2) {
    PyErr_Clear();
    return PX_TYPE;
  }
  PyObject *x = PySequence_GetItem(v[2], 0), *y = PySequence_GetItem(v[2], 1);
  int rc = x && y ? px_to_size_or_shape(x, &left) : PX_ERROR;
  if (!rc) rc = px_to_size_or_shape(y, &right);
  Py_XDECREF(x);
  Py_XDECREF(y);
  PX_TRY(rc);
  PX_RESULT(out, mlx_tensordot(&res, a.h, b.h, left.v, (size_t)left.n, right.v, (size_t)right.n, s.h));
}

/* ---- searching ---- */

int px_do_searchsorted(PyObject **v, PyObject **out) { /* sorted_sequence, values, side, stream, sorter */
  const char *side = "left";
  PX_ARG(a);
  PX_ARG(x);
  PX_ARG(sorter);
  PX_ARG(sorted);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_to_array(v[1], &x));
  if (v[2]) PX_TRY(px_to_string(v[2], &side));
  PX_TRY(px_stream_arg(v[3], &s));
  if (v[4]) PX_TRY(px_to_array_or_none(v[4], &sorter));
  if (sorter.h.ctx) {
    mlx_array h = px_own(&sorted);
    PX_CHECK(mlx_take_axis(&h, a.h, sorter.h, 0, s.h));
    a.h = h;
  }
  bool right = strcmp(side, "right") == 0;
  if (!right && strcmp(side, "left")) {
    PyErr_Format(PyExc_ValueError, "[searchsorted] Invalid side '%s'. Expected 'left' or 'right'.", side);
    return PX_ERROR;
  }
  PX_RESULT(out, mlx_searchsorted(&res, a.h, x.h, right, s.h));
}

/* ---- convolution ---- */

static int spread(PyObject *o, int n, int otherwise, px_ints *v) {
  v->n = n;
  v->single = false;
  for (int i = 0; i < n; i++) v->v[i] = otherwise;
  if (!o) return 0;
  PX_TRY(px_to_size_or_shape(o, v));
  if (v->n == 1)
    for (; v->n < n; v->n++) v->v[v->n] = v->v[0];
  return 0;
}

/* padding: an int, one for each dimension, or the two sequences (before, after). */
static int paddings(PyObject *o, int n, px_ints *lo, px_ints *hi) {
  if (o && PySequence_Check(o) && !px_is_array(o) && PySequence_Size(o) == 2) {
    PyObject *x = PySequence_GetItem(o, 0), *y = PySequence_GetItem(o, 1);
    bool nested = x && PySequence_Check(x) && !PyIndex_Check(x);
    int rc = nested ? spread(x, n, 0, lo) : 0;
    if (nested && !rc) rc = spread(y, n, 0, hi);
    Py_XDECREF(x);
    Py_XDECREF(y);
    if (nested) return rc;
  }
  PX_TRY(spread(o, n, 0, lo));
  *hi = *lo;
  return 0;
}

int px_do_conv_general(PyObject **v, PyObject **out) {
  px_ints stride, lo, hi, kernel, input;
  int groups;
  bool flip = false;
  PX_ARG(x);
  PX_ARG(w);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &x));
  PX_TRY(px_to_array(v[1], &w));
  int n = ndim(x.h) > 2 ? ndim(x.h) - 2 : 1;
  PX_TRY(spread(v[2], n, 1, &stride));
  PX_TRY(paddings(v[3], n, &lo, &hi));
  PX_TRY(spread(v[4], n, 1, &kernel));
  PX_TRY(spread(v[5], n, 1, &input));
  PX_TRY(int_or(v[6], 1, &groups));
  if (v[7]) PX_TRY(px_to_bool(v[7], &flip));
  PX_TRY(px_stream_arg(v[8], &s));
  PX_RESULT(out, mlx_conv_general(&res, x.h, w.h, stride.v, (size_t)stride.n, lo.v, (size_t)lo.n, hi.v, (size_t)hi.n, kernel.v,
                                  (size_t)kernel.n, input.v, (size_t)input.n, groups, flip, s.h));
}

int px_do_convolve(PyObject **v, PyObject **out) {
  const char *mode = "full";
  PX_ARG(a);
  PX_ARG(w);
  PX_ARG(x3);
  PX_ARG(w3);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(px_to_array(v[1], &w));
  if (v[2]) PX_TRY(px_to_string(v[2], &mode));
  PX_TRY(px_stream_arg(v[3], &s));
  if (ndim(a.h) != 1 || ndim(w.h) != 1) return PyErr_SetString(PyExc_ValueError, "[convolve] Inputs must be 1D."), PX_ERROR;
  if (!mlx_array_size(a.h) || !mlx_array_size(w.h))
    return PyErr_SetString(PyExc_ValueError, "[convolve] Inputs cannot be empty."), PX_ERROR;
  bool swap = mlx_array_size(w.h) > mlx_array_size(a.h);
  mlx_array big = swap ? w.h : a.h, small = swap ? a.h : w.h, x = px_own(&x3), k = px_own(&w3);
  int n = (int)mlx_array_size(big), m = (int)mlx_array_size(small), lo, hi, one = 1;
  if (strcmp(mode, "full") == 0)
    lo = hi = m - 1;
  else if (strcmp(mode, "same") == 0)
    lo = m / 2, hi = m - 1 - lo;
  else if (strcmp(mode, "valid") == 0)
    lo = hi = 0;
  else
    return PyErr_Format(PyExc_ValueError, "[convolve] Unsupported mode '%s'; it must be full, same or valid.", mode), PX_ERROR;
  PX_CHECK(mlx_reshape(&x, big, (const int[]){1, n, 1}, 3, s.h) || mlx_reshape(&k, small, (const int[]){1, m, 1}, 3, s.h));
  PX_CHECK(mlx_conv_general(&x, x, k, &one, 1, &lo, 1, &hi, 1, &one, 1, &one, 1, 1, true, s.h));
  PX_RESULT(out, mlx_flatten(&res, x, 0, -1, s.h));
}
