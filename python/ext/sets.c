/* Functions whose results are as long as values say, and what sorts values into bins. What decides a length is evaluated here, with the
 * interpreter lock given up, before the C function asks for it. */
#include "px_gen.h"

static bool none(PyObject *o) { return !o || o == Py_None; }

/* size, and the values of a when there is none. */
static int to_size(PyObject *o, mlx_array a, mlx_optional_int *size) {
  *size = (mlx_optional_int){0, false};
  if (!none(o)) return px_to_int_or_none(o, size);
  return mlx_ext_is_traced(a) ? 0 : px_eval(a);
}

/* A list stands for an array here. */
static int to_listed(PyObject *o, px_arg *a) {
  return PyList_Check(o) || PyTuple_Check(o) ? px_from_object(o, -1, a) : px_to_any(o, a);
}

typedef struct where_args {
  px_arg a;
  mlx_optional_int size;
  int fill;
  px_stream s;
} where_args;

static int to_where(PyObject **v, where_args *w) { /* a, size, fill_value, stream */
  w->fill = 0;
  PX_TRY(px_to_array(v[0], &w->a));
  PX_TRY(to_size(v[1], w->a.h, &w->size));
  if (v[2]) PX_TRY(px_to_int(v[2], &w->fill));
  return px_stream_arg(v[3], &w->s);
}
static void drop_where(where_args *w) {
  px_drop(&w->a);
  px_drop_stream(&w->s);
}
#define WHERE_ARGS(w)                                              \
  __attribute__((cleanup(drop_where))) where_args w = {.fill = 0}; \
  PX_TRY(to_where(v, &w))

int px_do_nonzero(PyObject **v, PyObject **out) {
  WHERE_ARGS(w);
  mlx_vector_array r = mlx_vector_array_new();
  int rc = mlx_nonzero(&r, w.a.h, w.size, w.fill, w.s.h);
  *out = rc ? NULL : px_vector_tuple(r);
  mlx_vector_array_free(r);
  if (rc) return px_failed();
  return *out ? 0 : PX_ERROR;
}
int px_do_argwhere(PyObject **v, PyObject **out) {
  WHERE_ARGS(w);
  PX_RESULT(out, mlx_argwhere(&res, w.a.h, w.size, w.fill, w.s.h));
}
int px_do_flatnonzero(PyObject **v, PyObject **out) {
  WHERE_ARGS(w);
  PX_RESULT(out, mlx_flatnonzero(&res, w.a.h, w.size, w.fill, w.s.h));
}

/* A condition as a mask of bool. */
static int to_mask(PyObject *o, px_arg *given, px_arg *mask) {
  PX_TRY(to_listed(o, given));
  mlx_array h = px_own(mask);
  PX_CHECK(mlx_astype(&h, given->h, MLX_BOOL, mlx_ext_default_stream()));
  return 0;
}

int px_do_compress(PyObject **v, PyObject **out) { /* condition, a, axis, size, fill_value, stream */
  int axis = 0, at;
  mlx_optional_int size;
  PX_ARG(given);
  PX_ARG(mask);
  PX_ARG(a);
  PX_ARG(flat);
  PX_ARG(fill);
  PX_STREAM(s);
  PX_TRY(to_mask(v[0], &given, &mask));
  PX_TRY(px_to_array(v[1], &a));
  if (!none(v[2])) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(to_size(v[3], mask.h, &size));
  if (v[4]) PX_TRY(px_to_weak(v[4], mlx_array_dtype(a.h), &fill));
  PX_TRY(px_stream_arg(v[5], &s));
  mlx_array x = a.h;
  if (none(v[2])) {
    x = px_own(&flat);
    PX_CHECK(mlx_flatten(&x, a.h, 0, -1, s.h));
  }
  PX_TRY(px_axis_in(axis, (int)mlx_array_ndim(x), "compress", &at));
  if (mlx_array_ndim(mask.h) != 1) return PyErr_SetString(PyExc_ValueError, "[compress] The condition must have one dimension."), PX_ERROR;
  int n = mlx_array_shape(mask.h)[0], dim = mlx_array_shape(x)[at], start[PX_MAX_NDIM] = {0}, step[PX_MAX_NDIM], stop[PX_MAX_NDIM];
  if (n < dim) { /* what the condition does not reach is left out */
    size_t nd = mlx_array_ndim(x);
    for (size_t d = 0; d < nd; d++) stop[d] = mlx_array_shape(x)[d], step[d] = 1;
    stop[at] = n;
    PX_ARG(part);
    mlx_array h = px_own(&part);
    PX_CHECK(mlx_slice(&h, x, start, nd, stop, nd, step, nd, s.h));
    PX_RESULT(out, mlx_masked_select(&res, h, mask.h, at, size, fill.h, s.h));
  }
  PX_RESULT(out, mlx_masked_select(&res, x, mask.h, at, size, fill.h, s.h));
}

int px_do_extract(PyObject **v, PyObject **out) { /* condition, arr, size, fill_value, stream */
  mlx_optional_int size;
  PX_ARG(given);
  PX_ARG(mask);
  PX_ARG(a);
  PX_ARG(fill);
  PX_STREAM(s);
  PX_TRY(to_mask(v[0], &given, &mask));
  PX_TRY(px_to_array(v[1], &a));
  PX_TRY(to_size(v[2], mask.h, &size));
  if (v[3]) PX_TRY(px_to_weak(v[3], mlx_array_dtype(a.h), &fill));
  PX_TRY(px_stream_arg(v[4], &s));
  if (mlx_array_ndim(mask.h) != mlx_array_ndim(a.h))
    return PyErr_SetString(PyExc_ValueError, "[extract] The condition must have the shape of the array."), PX_ERROR;
  PX_RESULT(out, mlx_masked_select(&res, a.h, mask.h, 0, size, fill.h, s.h));
}

int px_do_unique(PyObject **v, PyObject **out) { /* a, size, return_index, return_inverse, return_counts, fill_value, stream */
  mlx_optional_int size;
  bool want[4] = {true, false, false, false};
  PX_ARG(a);
  PX_ARG(fill);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(to_size(v[1], a.h, &size));
  for (int i = 1; i < 4; i++)
    if (v[i + 1]) PX_TRY(px_to_bool(v[i + 1], &want[i]));
  if (v[5]) PX_TRY(px_to_weak_or_none(v[5], mlx_array_dtype(a.h), &fill));
  PX_TRY(px_stream_arg(v[6], &s));
  mlx_vector_array r = mlx_vector_array_new();
  int rc = mlx_unique(&r, a.h, size, fill.h, s.h), n = 0;
  PyObject *all = rc ? NULL : px_vector_list(r);
  mlx_vector_array_free(r);
  if (rc) return px_failed();
  PyObject *chosen = all ? PyTuple_New(want[0] + want[1] + want[2] + want[3]) : NULL;
  for (int i = 0; chosen && i < 4; i++)
    if (want[i]) PyTuple_SetItem(chosen, n++, Py_NewRef(PyList_GetItem(all, i)));
  if (chosen && n == 1) {
    *out = Py_NewRef(PyTuple_GetItem(chosen, 0));
    Py_DECREF(chosen);
  } else
    *out = chosen;
  Py_XDECREF(all);
  return *out ? 0 : PX_ERROR;
}

int px_do_isin(PyObject **v, PyObject **out) { /* element, test_elements, invert, stream */
  bool invert = false;
  PX_ARG(a);
  PX_ARG(test);
  PX_STREAM(s);
  PX_TRY(to_listed(v[0], &a));
  if (PyList_Check(v[1]) || PyTuple_Check(v[1])) PX_TRY(px_from_object(v[1], -1, &test));
  else PX_TRY(px_to_weak(v[1], mlx_array_dtype(a.h), &test));
  if (v[2]) PX_TRY(px_to_bool(v[2], &invert));
  PX_TRY(px_stream_arg(v[3], &s));
  PX_RESULT(out, mlx_isin(&res, a.h, test.h, invert, s.h));
}

/* ---- counts and bins ---- */

int px_do_bincount(PyObject **v, PyObject **out) { /* x, weights, minlength, length, stream */
  int minlength = 0;
  mlx_optional_int length;
  PX_ARG(x);
  PX_ARG(w);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &x));
  if (v[1]) PX_TRY(px_to_array_or_none(v[1], &w));
  if (v[2]) PX_TRY(px_to_int(v[2], &minlength));
  PX_TRY(to_size(v[3], x.h, &length));
  PX_TRY(px_stream_arg(v[4], &s));
  PX_RESULT(out, mlx_bincount(&res, x.h, w.h, minlength, length, s.h));
}

typedef struct bins_args {
  px_arg a, edges, range;
  int n;
} bins_args;
static void drop_bins(bins_args *b) {
  px_drop(&b->a);
  px_drop(&b->edges);
  px_drop(&b->range);
}

static int to_range(PyObject *o, px_arg *range) {
  double ends[2];
  if (none(o)) return 0;
  if (px_is_array(o)) return px_to_array(o, range);
  if (!PySequence_Check(o) || PyUnicode_Check(o)) return PX_TYPE;
  if (PySequence_Size(o) != 2) return PyErr_SetString(PyExc_ValueError, "[histogram] The range must be two numbers."), PX_ERROR;
  for (int i = 0; i < 2; i++) {
    PyObject *end = PySequence_GetItem(o, i);
    int rc = end ? px_to_double(end, &ends[i]) : PX_ERROR;
    Py_XDECREF(end);
    PX_TRY(rc);
  }
  mlx_array h = px_own(range);
  PX_CHECK(mlx_array_set_data(&h, ends, (int[]){2}, 1, MLX_FLOAT64));
  return 0;
}

static int to_bins(PyObject **v, bins_args *b) { /* a, bins, range */
  b->n = 10;
  PX_TRY(to_listed(v[0], &b->a));
  if (v[1] && PyUnicode_Check(v[1]))
    return PyErr_Format(PyExc_ValueError, "[histogram] Bins are a number or an array of edges, the rule %R is not known.", v[1]), PX_ERROR;
  if (v[1] && PyLong_Check(v[1])) PX_TRY(px_to_int(v[1], &b->n));
  else if (v[1]) PX_TRY(to_listed(v[1], &b->edges));
  PX_TRY(to_range(v[2], &b->range));
  return mlx_ext_is_traced(b->a.h) ? 0 : px_eval(b->a.h);
}
#define BINS_ARGS(b)                                            \
  __attribute__((cleanup(drop_bins))) bins_args b = {.n = 10};  \
  PX_TRY(to_bins(v, &b))

int px_do_histogram_bin_edges(PyObject **v, PyObject **out) { /* a, bins, range, stream */
  BINS_ARGS(b);
  PX_STREAM(s);
  PX_TRY(px_stream_arg(v[3], &s));
  if (b.edges.h.ctx) PX_RESULT(out, mlx_array_set(&res, b.edges.h));
  PX_RESULT(out, mlx_histogram_bin_edges(&res, b.a.h, b.n, b.range.h, s.h));
}

int px_do_histogram(PyObject **v, PyObject **out) { /* a, bins, range, weights, density, stream */
  bool density = false;
  PX_ARG(w);
  PX_STREAM(s);
  BINS_ARGS(b);
  if (v[3]) PX_TRY(px_to_array_or_none(v[3], &w));
  if (!none(v[4])) PX_TRY(px_to_bool(v[4], &density));
  PX_TRY(px_stream_arg(v[5], &s));
  if (!(*out = px_new_tuple(2))) return PX_ERROR;
  mlx_array counts = px_handle(PyTuple_GetItem(*out, 0)), edges = px_handle(PyTuple_GetItem(*out, 1));
  return px_finish(out, mlx_histogram(&counts, &edges, b.a.h, b.n, b.edges.h, b.range.h, w.h, density, s.h));
}

int px_do_digitize(PyObject **v, PyObject **out) { /* x, bins, right, stream */
  bool right = false;
  PX_ARG(x);
  PX_ARG(bins);
  PX_STREAM(s);
  PX_TRY(to_listed(v[0], &x));
  PX_TRY(to_listed(v[1], &bins));
  if (v[2]) PX_TRY(px_to_bool(v[2], &right));
  PX_TRY(px_stream_arg(v[3], &s));
  PX_RESULT(out, mlx_digitize(&res, x.h, bins.h, right, s.h));
}
