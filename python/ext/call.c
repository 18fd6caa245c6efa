/* The frame of a Python function, and the choices that the form of an argument makes between C functions. */
#include "px_gen.h"

PyObject *px_call(const px_sig *sig, px_body body, PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  PyObject *v[PX_MAX_PARAMS], *out = NULL;
  if (px_bind(sig, self, args, nargs, kwnames, v)) return NULL;
  int rc = body(v, &out);
  if (sig->variadic) Py_DECREF(v[0]);
  if (!rc) return out ? out : PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
  Py_XDECREF(out);
  if (rc == PX_TYPE) return px_type_error(sig, self, args, nargs, kwnames);
  return NULL;
}

int px_init_done(PyObject *self, PyObject *args, PyObject *kwargs) {
  (void)self;
  (void)args;
  (void)kwargs;
  return 0;
}

PyObject *px_method_init(PyObject *self, PyObject *args, PyObject *kwargs) { return px_init_done(self, args, kwargs) ? NULL : Py_NewRef(Py_None); }

PyObject *px_method_eq(PyObject *self, PyObject *other) {
  richcmpfunc compare = (richcmpfunc)PyType_GetSlot(Py_TYPE(self), Py_tp_richcompare);
  return compare(self, other, Py_EQ);
}

int px_failed(void) {
  px_raise();
  return PX_ERROR;
}

int px_finish(PyObject **out, int rc) {
  if (!rc) return 0;
  Py_CLEAR(*out);
  return px_failed();
}

PyObject *px_new_tuple(int n) {
  PyObject *t = PyTuple_New(n);
  for (int i = 0; t && i < n; i++) {
    PyObject *a = px_new();
    if (!a)
      Py_CLEAR(t);
    else
      PyTuple_SetItem(t, i, a);
  }
  return t;
}

static int fill_sequence(PyObject *seq, mlx_vector_array v, int (*set)(PyObject *, Py_ssize_t, PyObject *)) {
  size_t n = mlx_vector_array_size(v);
  for (size_t i = 0; i < n; i++) {
    PyObject *a = px_new();
    if (!a) return PX_ERROR;
    set(seq, (Py_ssize_t)i, a);
    mlx_array h = px_handle(a);
    if (mlx_vector_array_get(&h, v, i)) return px_failed();
  }
  return 0;
}

PyObject *px_vector_list(mlx_vector_array v) {
  PyObject *l = PyList_New((Py_ssize_t)mlx_vector_array_size(v));
  if (l && fill_sequence(l, v, PyList_SetItem)) Py_CLEAR(l);
  return l;
}

PyObject *px_vector_tuple(mlx_vector_array v) {
  PyObject *t = PyTuple_New((Py_ssize_t)mlx_vector_array_size(v));
  if (t && fill_sequence(t, v, PyTuple_SetItem)) Py_CLEAR(t);
  return t;
}

/* ---- small converters ---- */

int px_default_scalar(px_arg *a, double v) {
  mlx_array h = px_own(a);
  int rc = v == (int)v ? mlx_array_set_int(&h, (int)v) : mlx_array_set_float32(&h, (float)v);
  return rc ? px_failed() : 0;
}

int px_to_any_or_none(PyObject *o, px_arg *a) { return o == Py_None ? 0 : px_to_any(o, a); }

int px_to_shape_or_none(PyObject *o, px_ints *v) {
  if (o != Py_None) return px_to_shape(o, v);
  v->n = -1;
  v->single = false;
  return 0;
}

int px_to_dtype_or_none(PyObject *o, mlx_optional_dtype *v) {
  v->has_value = o != Py_None;
  return v->has_value ? px_to_dtype(o, &v->value) : 0;
}

/* ---- choices ---- */

int px_reduce(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, mlx_stream s, px_reduce_all all, px_reduce_one one,
              px_reduce_axes several) {
  if (axis->n < 0) return all(res, a, keepdims, s);
  if (axis->single) return one(res, a, axis->v[0], keepdims, s);
  return several(res, a, axis->v, (size_t)axis->n, keepdims, s);
}

int px_reduce_ddof(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, int ddof, mlx_stream s,
                   int (*all)(mlx_array *, mlx_array, bool, int, mlx_stream),
                   int (*several)(mlx_array *, mlx_array, const int *, size_t, bool, int, mlx_stream)) {
  if (axis->n < 0) return all(res, a, keepdims, ddof, s);
  return several(res, a, axis->v, (size_t)axis->n, keepdims, ddof, s);
}

int px_arg_reduce(mlx_array *res, mlx_array a, mlx_optional_int axis, bool keepdims, mlx_stream s, px_reduce_all all,
                  px_reduce_one one) {
  return axis.has_value ? one(res, a, axis.value, keepdims, s) : all(res, a, keepdims, s);
}

int px_by_axes(mlx_array *res, mlx_array a, const px_ints *axis, mlx_stream s, px_plain all, px_int1 one, px_intn several) {
  if (axis->n < 0) return all(res, a, s);
  if (axis->single) return one(res, a, axis->v[0], s);
  return several(res, a, axis->v, (size_t)axis->n, s);
}

int px_one_axis(mlx_array *res, mlx_array a, mlx_optional_int axis, mlx_stream s, px_plain all, px_int1 one) {
  return axis.has_value ? one(res, a, axis.value, s) : all(res, a, s);
}

int px_kth(mlx_array *res, mlx_array a, int k, mlx_optional_int axis, mlx_stream s, px_int1 all, px_int2 one) {
  return axis.has_value ? one(res, a, k, axis.value, s) : all(res, a, k, s);
}

int px_permute(mlx_array *res, mlx_array a, const px_ints *axes, mlx_stream s) {
  return axes->n < 0 ? mlx_transpose(res, a, s) : mlx_transpose_axes(res, a, axes->v, (size_t)axes->n, s);
}

static int all_axes(mlx_array a, int *axes) {
  int n = (int)mlx_array_ndim(a);
  for (int i = 0; i < n; i++) axes[i] = i;
  return n;
}

int px_median(mlx_array *res, mlx_array a, const px_ints *axis, bool keepdims, mlx_stream s) {
  int axes[PX_MAX_NDIM];
  if (axis->n >= 0) return mlx_median(res, a, axis->v, (size_t)axis->n, keepdims, s);
  return mlx_median(res, a, axes, (size_t)all_axes(a, axes), keepdims, s);
}

int px_softmax(mlx_array *res, mlx_array a, const px_ints *axis, bool precise, mlx_stream s) {
  if (axis->n < 0) return mlx_softmax(res, a, precise, s);
  if (axis->single) return mlx_softmax_axis(res, a, axis->v[0], precise, s);
  return mlx_softmax_axes(res, a, axis->v, (size_t)axis->n, precise, s);
}

/* axis None: joins the flattened arrays */
int px_join(mlx_array *res, mlx_vector_array v, mlx_optional_int axis, mlx_stream s,
            int (*join)(mlx_array *, mlx_vector_array, int, mlx_stream)) {
  if (axis.has_value) return join(res, v, axis.value, s);
  mlx_vector_array flat = mlx_vector_array_new();
  int rc = 0;
  for (size_t i = 0; i < mlx_vector_array_size(v) && !rc; i++) {
    void *slot = NULL;
    mlx_array h = {&slot};
    rc = mlx_vector_array_get(&h, v, i) || mlx_flatten(&h, h, 0, -1, s) || mlx_vector_array_append_value(flat, h);
    mlx_ext_clear(h);
  }
  if (!rc) rc = join(res, flat, 0, s);
  mlx_vector_array_free(flat);
  return rc;
}

int px_tile(mlx_array *res, mlx_array a, const px_ints *reps, mlx_stream s) {
  return mlx_tile(res, a, reps->v, (size_t)reps->n, s);
}

int px_fft_shift(mlx_array *res, mlx_array a, const px_ints *axes, mlx_stream s, px_intn several) {
  int every[PX_MAX_NDIM];
  if (axes->n >= 0) return several(res, a, axes->v, (size_t)axes->n, s);
  return several(res, a, every, (size_t)all_axes(a, every), s);
}

mlx_dtype px_promote(mlx_array a, mlx_array b) { return mlx_ext_promote(mlx_array_dtype(a), mlx_array_dtype(b)); }

mlx_dtype px_sum_dtype(mlx_array a) {
  switch (mlx_array_dtype(a)) {
  case MLX_BOOL:
  case MLX_INT8:
  case MLX_INT16: return MLX_INT32;
  case MLX_UINT8:
  case MLX_UINT16: return MLX_UINT32;
  default: return mlx_array_dtype(a);
  }
}
