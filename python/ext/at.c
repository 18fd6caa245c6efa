/* Helpers of arrays: the iterator over the first dimension, and x.at[...]. */
#include "px.h"

/* ---- iteration ---- */

typedef struct iterator {
  PyObject_HEAD PyObject *array;
  Py_ssize_t i, n;
} iterator;
static PyTypeObject *iterator_type;

PyObject *px_iterate(PyObject *self) {
  mlx_array h = px_handle(self);
  if (!mlx_array_ndim(h)) return PyErr_SetString(PyExc_TypeError, "iteration over a 0-dimensional array"), NULL;
  iterator *it = PyObject_New(iterator, iterator_type);
  if (!it) return NULL;
  it->i = 0;
  it->n = mlx_array_shape(h)[0];
  it->array = px_wrap(h); /* what is iterated over does not follow x += 1 */
  if (!it->array) Py_CLEAR(it);
  return (PyObject *)it;
}
static PyObject *iterator_next(PyObject *self) {
  iterator *it = (iterator *)self;
  if (it->i >= it->n) return NULL;
  PyObject *i = PyLong_FromSsize_t(it->i++), *r = i ? px_getitem(it->array, i) : NULL;
  Py_XDECREF(i);
  return r;
}
static void iterator_dealloc(PyObject *self) {
  PyTypeObject *t = Py_TYPE(self);
  Py_XDECREF(((iterator *)self)->array);
  PyObject_Free(self);
  Py_DECREF(t);
}

/* ---- x.at[...]: an array and an index, waiting for what to do there ---- */

typedef struct at_object {
  PyObject_HEAD PyObject *array, *key;
} at_object;
static PyTypeObject *at_type;

static PyObject *new_at(PyObject *array, PyObject *key) {
  at_object *a = PyObject_New(at_object, at_type);
  if (!a) return NULL;
  a->array = Py_NewRef(array);
  a->key = Py_XNewRef(key);
  return (PyObject *)a;
}
PyObject *px_new_at(PyObject *array) { return new_at(array, NULL); }
static PyObject *at_getitem(PyObject *self, PyObject *key) { return new_at(((at_object *)self)->array, key); }
static void at_dealloc(PyObject *self) {
  PyTypeObject *t = Py_TYPE(self);
  Py_XDECREF(((at_object *)self)->array);
  Py_XDECREF(((at_object *)self)->key);
  PyObject_Free(self);
  Py_DECREF(t);
}
static PyObject *at_apply(PyObject *self, PyObject *value, px_update how) {
  at_object *a = (at_object *)self;
  if (!a->key) return PyErr_SetString(PyExc_ValueError, "Must give indices to array.at (e.g. `x.at[0].add(4)`)."), NULL;
  PyObject *r = px_new();
  if (!r) return NULL;
  mlx_array res = px_handle(r);
  if (px_updated(&res, a->array, a->key, value, how)) Py_CLEAR(r);
  return r;
}
/* subtract adds the negative and divide multiplies by the reciprocal, cast to the array's dtype first, as MLX does */
static PyObject *at_inverse(PyObject *self, PyObject *value, px_update how) {
  px_arg v = {0}, one = {0};
  mlx_array target = px_handle(((at_object *)self)->array);
  PyObject *r = NULL, *flipped = px_new();
  mlx_stream s = mlx_ext_default_stream();
  int rc = flipped ? px_to_weak(value, mlx_array_dtype(target), &v) : PX_ERROR;
  if (rc == PX_TYPE) PyErr_SetString(PyExc_TypeError, "The value of an update must be a scalar or an array.");
  if (!rc) {
    mlx_array res = px_handle(flipped);
    if (how == PX_MUL)
      rc = mlx_reciprocal(&res, v.h, s);
    else
      rc = mlx_astype(&res, v.h, mlx_array_dtype(target), s) || mlx_negative(&res, res, s);
    if (rc) px_raise();
  }
  if (!rc) r = at_apply(self, flipped, how);
  px_drop(&v);
  px_drop(&one);
  Py_XDECREF(flipped);
  return r;
}
static PyObject *at_add(PyObject *self, PyObject *v) { return at_apply(self, v, PX_ADD); }
static PyObject *at_multiply(PyObject *self, PyObject *v) { return at_apply(self, v, PX_MUL); }
static PyObject *at_maximum(PyObject *self, PyObject *v) { return at_apply(self, v, PX_MAX); }
static PyObject *at_minimum(PyObject *self, PyObject *v) { return at_apply(self, v, PX_MIN); }
static PyObject *at_subtract(PyObject *self, PyObject *v) { return at_inverse(self, v, PX_ADD); }
static PyObject *at_divide(PyObject *self, PyObject *v) { return at_inverse(self, v, PX_MUL); }

/* The one argument, given by position or as value=. */
#define AT_METHOD(name)                                                                                                          \
  static PyObject *at_##name##_call(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kw) {                         \
    static const px_sig sig = {#name, "(self, value: scalar | array | ndarray | ArrayLike) -> array", {"value"}, 0, 1, 1, false, \
                               1, {{NULL, 0}}};                                                                                             \
    PyObject *v[1];                                                                                                              \
    return px_bind(&sig, NULL, args, n, kw, v) ? NULL : at_##name(self, v[0]);                                                   \
  }
AT_METHOD(add)
AT_METHOD(subtract)
AT_METHOD(multiply)
AT_METHOD(divide)
AT_METHOD(maximum)
AT_METHOD(minimum)
#define AT_ROW(name, doc) \
  { #name, PX_FN(at_##name##_call), PX_FASTCALL, #name "($self, value)\n--\n\n" doc }
static PyMethodDef at_methods[] = {{"__getitem__", at_getitem, METH_O | METH_COEXIST,
                                    "__getitem__($self, indices)\n--\n\nThe array at these indices, to be updated."},
                                   AT_ROW(add, "A copy of the array with value added at the indices; repeated indices add up."),
                                   AT_ROW(subtract, "A copy of the array with value subtracted at the indices."),
                                   AT_ROW(multiply, "A copy of the array with the indexed elements multiplied by value."),
                                   AT_ROW(divide, "A copy of the array with the indexed elements divided by value."),
                                   AT_ROW(maximum, "A copy of the array with the larger of element and value at the indices."),
                                   AT_ROW(minimum, "A copy of the array with the smaller of element and value at the indices."),
                                   {0}};

/* ---- types ---- */

#define SLOT(name, f) \
  { Py_##name, (void *)(f) }

static PyTypeObject *make_type(PyObject *m, PyType_Spec *spec, const char *name) {
  PyObject *t = PyType_FromSpec(spec);
  if (t && PyModule_AddObjectRef(m, name, t)) Py_CLEAR(t);
  return (PyTypeObject *)t;
}

int px_init_at(PyObject *m) {
  PyType_Slot it[] = {SLOT(tp_doc, "Iterates over the first dimension."),
                      SLOT(tp_iter, PyObject_SelfIter),
                      SLOT(tp_iternext, iterator_next),
                      SLOT(tp_dealloc, iterator_dealloc),
                      {0, NULL}};
  PyType_Spec it_spec = {"mlx.core.ArrayIterator", sizeof(iterator), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                         it};
  PyType_Slot at[] = {SLOT(tp_doc, "Indexed updates of an array that return a new one."),
                      SLOT(tp_methods, at_methods),
                      SLOT(mp_subscript, at_getitem),
                      SLOT(tp_dealloc, at_dealloc),
                      {0, NULL}};
  PyType_Spec at_spec = {"mlx.core.ArrayAt", sizeof(at_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, at};
  if (!(iterator_type = make_type(m, &it_spec, "ArrayIterator"))) return -1;
  return (at_type = make_type(m, &at_spec, "ArrayAt")) ? 0 : -1;
}
