/* Statistics whose arguments need more than a conversion each. */
#include "px_gen.h"

static int none(PyObject *o) { return !o || o == Py_None; }

int px_do_quantile(PyObject **v, PyObject **out, px_quantile fn) { /* a, q, axis, method, keepdims, stream */
  const char *method = "linear";
  bool keepdims = false;
  px_ints axis = {.n = -1};
  PX_ARG(a);
  PX_ARG(q);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  /* numbers in double precision: the places in a long axis need it */
  PX_TRY(px_from_object(v[1], px_is_array(v[1]) ? -1 : MLX_FLOAT64, &q));
  if (v[2]) PX_TRY(px_to_ints(v[2], &axis));
  if (v[3]) PX_TRY(px_to_string(v[3], &method));
  if (v[4]) PX_TRY(px_to_bool(v[4], &keepdims));
  PX_TRY(px_stream_arg(v[5], &s));
  PX_RESULT(out, fn(&res, a.h, q.h, axis.v, axis.n < 0 ? 0 : (size_t)axis.n, method, keepdims, s.h));
}

int px_do_average(PyObject **v, PyObject **out) { /* a, axis, weights, returned, keepdims, stream */
  bool returned = false, keepdims = false;
  px_ints axis = {.n = -1};
  PX_ARG(a);
  PX_ARG(w);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[1]) PX_TRY(px_to_ints(v[1], &axis));
  if (!none(v[2])) PX_TRY(px_to_array(v[2], &w));
  if (v[3]) PX_TRY(px_to_bool(v[3], &returned));
  if (v[4]) PX_TRY(px_to_bool(v[4], &keepdims));
  PX_TRY(px_stream_arg(v[5], &s));
  PyObject *both = px_new_tuple(2);
  if (!both) return PX_ERROR;
  mlx_array mean = px_handle(PyTuple_GetItem(both, 0)), sum = px_handle(PyTuple_GetItem(both, 1));
  if (mlx_average(&mean, &sum, a.h, w.h, axis.v, axis.n < 0 ? 0 : (size_t)axis.n, keepdims, s.h)) {
    Py_DECREF(both);
    return px_failed();
  }
  *out = returned ? Py_NewRef(both) : Py_NewRef(PyTuple_GetItem(both, 0));
  Py_DECREF(both);
  return 0;
}

int px_do_gradient(PyObject **v, PyObject **out) { /* (f, distances or coordinates), axis, edge_order, stream */
  int order = 1;
  px_ints axis = {.n = -1};
  PX_ARG(f);
  PX_ARRAYS(spacing);
  PX_STREAM(s);
  Py_ssize_t n = PyTuple_Size(v[0]);
  if (n < 1) return PX_TYPE;
  PX_TRY(px_to_array(PyTuple_GetItem(v[0], 0), &f));
  spacing.h = mlx_vector_array_new();
  for (Py_ssize_t i = 1; i < n; i++) {
    PX_ARG(h);
    PX_TRY(px_from_object(PyTuple_GetItem(v[0], i), px_is_array(PyTuple_GetItem(v[0], i)) ? -1 : MLX_FLOAT64, &h));
    PX_CHECK(mlx_vector_array_append_value(spacing.h, h.h));
  }
  if (v[1]) PX_TRY(px_to_ints(v[1], &axis));
  if (v[2]) PX_TRY(px_to_int(v[2], &order));
  PX_TRY(px_stream_arg(v[3], &s));
  mlx_vector_array r = mlx_vector_array_new();
  int rc = mlx_gradient(&r, f.h, spacing.h, axis.v, axis.n < 0 ? 0 : (size_t)axis.n, order, s.h);
  PyObject *all = rc ? NULL : px_vector_list(r);
  mlx_vector_array_free(r);
  if (rc) return px_failed();
  if (all && PyList_Size(all) == 1) {
    *out = Py_NewRef(PyList_GetItem(all, 0));
    Py_DECREF(all);
  } else
    *out = all;
  return *out ? 0 : PX_ERROR;
}
