/* The array class: life, operators, protocols, properties and the methods that the table of functions does not give.
 *
 * The object is a header, the box of the handle and a list of weak references. Freed objects of the exact class wait in
 * a free list. An operator on two arrays makes one object and one call. */
#include "px.h"

PyTypeObject *px_array_type;
PyObject *px_axis_error;

/* ---- life ---- */

enum { FREE_MAX = 512 };
static PyObject *free_list[FREE_MAX]; /* as they are given out: with one reference, an empty box, and their reference to the class */
static int free_count;

PyObject *px_new(void) {
  if (free_count) return free_list[--free_count];
  px_array *a = PyObject_New(px_array, px_array_type);
  if (!a) return NULL;
  a->slot = NULL;
  a->weak = NULL;
  return (PyObject *)a;
}

static void dealloc(PyObject *self) {
  px_array *a = (px_array *)self;
  PyTypeObject *t = Py_TYPE(self);
  if (a->weak) PyObject_ClearWeakRefs(self);
  if (a->slot) mlx_ext_clear(px_handle(self));
  if (t == px_array_type && free_count < FREE_MAX) {
    Py_SET_REFCNT(self, 1);
    free_list[free_count++] = self;
    return;
  }
  ((freefunc)PyType_GetSlot(t, Py_tp_free))(self);
  Py_DECREF(t);
}

PyObject *px_wrap(mlx_array h) {
  PyObject *r = px_new();
  if (!r) return NULL;
  mlx_array res = px_handle(r);
  return px_done(r, mlx_array_set(&res, h));
}

PyObject *px_raise(void) {
  if (PyErr_Occurred()) return NULL;
  const char *kind = mlx_ext_error_python(), *text = mlx_ext_error_message();
  PyObject *type = PyExc_RuntimeError;
  if (strcmp(kind, "AxisError") == 0)
    type = px_axis_error;
  else if (strcmp(kind, "ValueError") == 0)
    type = PyExc_ValueError;
  else if (strcmp(kind, "IndexError") == 0)
    type = PyExc_IndexError;
  else if (strcmp(kind, "TypeError") == 0)
    type = PyExc_TypeError;
  else if (strcmp(kind, "KeyError") == 0)
    type = PyExc_KeyError;
  else if (strcmp(kind, "MemoryError") == 0)
    type = PyExc_MemoryError;
  else if (strcmp(kind, "OverflowError") == 0)
    type = PyExc_OverflowError;
  else if (strcmp(kind, "FloatingPointError") == 0)
    type = PyExc_FloatingPointError;
  else if (strcmp(kind, "NotImplementedError") == 0)
    type = PyExc_NotImplementedError;
  PyErr_SetString(type, text && *text ? text : "The operation failed.");
  return NULL;
}

PyObject *px_done(PyObject *result, int rc) {
  if (!rc) return result;
  Py_XDECREF(result);
  return px_raise();
}

static const px_sig sig_init = {
    "__init__",
    "(self, val: scalar | list | tuple | DLPackCompatible | array, dtype: Dtype | None = None) -> None",
    {"self", "val", "dtype"},
    1,
    3,
    3,
    false,
    3,
    {{NULL, 0}}};

static PyObject *new_object(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  (void)args;
  (void)kwargs;
  return t == px_array_type ? px_new() : ((allocfunc)PyType_GetSlot(t, Py_tp_alloc))(t, 0);
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs) {
  PyObject *val = NULL, *dtype = NULL;
  static char *names[] = {"val", "dtype", NULL};
  mlx_dtype t = MLX_BOOL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:array", names, &val, &dtype)) {
    PyErr_Clear();
    px_type_error_tuple(&sig_init, args, kwargs);
    return -1;
  }
  bool typed = dtype && dtype != Py_None;
  if (val == Py_None || (typed && px_to_dtype(dtype, &t))) {
    px_type_error_tuple(&sig_init, args, kwargs);
    return -1;
  }
  px_arg a = {0};
  mlx_array res = px_handle(self);
  int rc = px_from_object(val, typed ? (int)t : -1, &a);
  if (!rc && mlx_array_set(&res, a.h)) {
    px_raise();
    rc = -1;
  }
  px_drop(&a);
  return rc ? -1 : 0;
}

static Py_hash_t hash(PyObject *self) {
  size_t p = (size_t)self;
  Py_hash_t h = (Py_hash_t)(p >> 4 | p << (8 * sizeof p - 4));
  return h == -1 ? -2 : h;
}

/* ---- operators ---- */

typedef int (*binary_fn)(mlx_array *, mlx_array, mlx_array, mlx_stream);
typedef struct op {
  const char *name, *verb;
  binary_fn fn;
  bool bits; /* refuses floats */
} op;

static PyObject *operand_type_error(const op *o, PyObject *x, PyObject *y) {
  px_sig sig = {.name = o->name, .text = "(self, other: bool | int | float | complex | array | ndarray | ArrayLike) -> array"};
  return px_type_error(&sig, px_is_array(x) ? x : y, px_is_array(x) ? &y : &x, 1, NULL);
}

static bool convertible(PyObject *o) {
  return px_is_array(o) || PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o) || px_is_foreign(o) ||
         PyObject_HasAttrString((PyObject *)Py_TYPE(o), "__mlx_array__");
}

static bool floats(mlx_array h) { return strchr("fc", px_dtype_kind(mlx_array_dtype(h))); }

static int operands(const op *o, PyObject *x, PyObject *y, px_arg *a, px_arg *b) {
  PyObject *other = px_is_array(x) ? y : x;
  if (other == Py_None) {
    operand_type_error(o, x, y);
    return PX_ERROR;
  }
  if (!convertible(other)) {
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(other), "__name__");
    PyErr_Format(PyExc_ValueError, "Cannot perform %s on an mlx.core.array and %S.", o->verb, name);
    Py_XDECREF(name);
    return PX_ERROR;
  }
  if (px_to_pair(x, y, a, b)) return PX_ERROR;
  if (o->bits && (floats(a->h) || floats(b->h))) {
    PyErr_Format(PyExc_ValueError, "Floating point types not allowed with %s.", o->verb);
    return PX_ERROR;
  }
  return 0;
}

static PyObject *binary(const op *o, PyObject *x, PyObject *y) {
  if (px_is_array(x) && px_is_array(y) && !o->bits) {
    PyObject *r = px_new();
    if (!r) return NULL;
    mlx_array res = px_handle(r);
    return px_done(r, o->fn(&res, px_handle(x), px_handle(y), mlx_ext_default_stream()));
  }
  px_arg a = {0}, b = {0};
  PyObject *r = NULL;
  if (!operands(o, x, y, &a, &b) && (r = px_new())) {
    mlx_array res = px_handle(r);
    r = px_done(r, o->fn(&res, a.h, b.h, mlx_ext_default_stream()));
  }
  px_drop(&a);
  px_drop(&b);
  return r;
}

/* x += y keeps the object and gives it a new value, of another dtype or shape if need be. */
static PyObject *inplace(const op *o, PyObject *x, PyObject *y) {
  px_arg a = {0}, b = {0};
  PyObject *r = NULL;
  if (!operands(o, x, y, &a, &b)) {
    mlx_array res = px_handle(x);
    int rc = o->fn(&res, a.h, b.h, mlx_ext_default_stream());
    r = rc ? px_raise() : Py_NewRef(x);
  }
  px_drop(&a);
  px_drop(&b);
  return r;
}

#define OPERATOR(name, verb, fn, bits)                           \
  static const op op_##name = {"__" #name "__", verb, fn, bits}; \
  static PyObject *nb_##name(PyObject *x, PyObject *y) { return binary(&op_##name, x, y); }
#define WITH_INPLACE(name, verb, fn, bits) \
  OPERATOR(name, verb, fn, bits)           \
  static PyObject *nb_i##name(PyObject *x, PyObject *y) { return inplace(&op_##name, x, y); }
WITH_INPLACE(add, "addition", mlx_add, false)
WITH_INPLACE(sub, "subtraction", mlx_subtract, false)
WITH_INPLACE(mul, "multiplication", mlx_multiply, false)
OPERATOR(truediv, "division", mlx_divide, false)
WITH_INPLACE(floordiv, "floor division", mlx_floor_divide, false)
WITH_INPLACE(mod, "modulus", mlx_remainder, false)
WITH_INPLACE(and, "bitwise and", mlx_bitwise_and, true)
WITH_INPLACE(or, "bitwise or", mlx_bitwise_or, true)
WITH_INPLACE(xor, "bitwise xor", mlx_bitwise_xor, true)
WITH_INPLACE(lshift, "left shift", mlx_left_shift, true)
WITH_INPLACE(rshift, "right shift", mlx_right_shift, true)
static const op op_pow = {"__pow__", "power", mlx_power, false};
static const op op_eq = {"__eq__", "comparison", mlx_equal, false}, op_ne = {"__ne__", "comparison", mlx_not_equal, false},
                op_lt = {"__lt__", "comparison", mlx_less, false}, op_le = {"__le__", "comparison", mlx_less_equal, false},
                op_gt = {"__gt__", "comparison", mlx_greater, false}, op_ge = {"__ge__", "comparison", mlx_greater_equal, false};

static PyObject *nb_itruediv(PyObject *x, PyObject *y) {
  if (!floats(px_handle(x))) {
    PyErr_SetString(PyExc_ValueError, "In place division cannot cast to non-floating point type.");
    return NULL;
  }
  return inplace(&op_truediv, x, y);
}

static PyObject *nb_pow(PyObject *x, PyObject *y, PyObject *mod) {
  if (mod != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary(&op_pow, x, y);
}
static PyObject *nb_ipow(PyObject *x, PyObject *y, PyObject *mod) {
  (void)mod;
  return inplace(&op_pow, x, y);
}

static const op op_matmul = {"__matmul__", "matrix multiplication", mlx_matmul, false};
static PyObject *matmul_type_error(PyObject *x, PyObject *y) {
  px_sig sig = {.name = "__matmul__", .text = "(self, other: array) -> array"};
  return px_type_error(&sig, x, &y, 1, NULL);
}
static PyObject *nb_matmul(PyObject *x, PyObject *y) {
  return px_is_array(x) && px_is_array(y) ? binary(&op_matmul, x, y) : matmul_type_error(x, y);
}
static PyObject *nb_imatmul(PyObject *x, PyObject *y) {
  return px_is_array(y) ? inplace(&op_matmul, x, y) : matmul_type_error(x, y);
}

static PyObject *compare(PyObject *x, PyObject *y, int how) {
  static const op *const ops[] = {
      [Py_EQ] = &op_eq, [Py_NE] = &op_ne, [Py_LT] = &op_lt, [Py_LE] = &op_le, [Py_GT] = &op_gt, [Py_GE] = &op_ge};
  if ((how == Py_EQ || how == Py_NE) && y != Py_None && !convertible(y)) return PyBool_FromLong(how == Py_NE);
  return binary(ops[how], x, y);
}

typedef int (*unary_fn)(mlx_array *, mlx_array, mlx_stream);
static PyObject *unary(PyObject *x, unary_fn fn) {
  PyObject *r = px_new();
  if (!r) return NULL;
  mlx_array res = px_handle(r);
  return px_done(r, fn(&res, px_handle(x), mlx_ext_default_stream()));
}
static PyObject *nb_negative(PyObject *x) { return unary(x, mlx_negative); }
static PyObject *nb_positive(PyObject *x) { return px_wrap(px_handle(x)); }
static PyObject *nb_absolute(PyObject *x) { return unary(x, mlx_abs); }
static PyObject *nb_invert(PyObject *x) {
  if (floats(px_handle(x))) {
    PyErr_SetString(PyExc_ValueError, "Floating point types not allowed with bitwise inversion.");
    return NULL;
  }
  return unary(x, mlx_bitwise_invert);
}

/* ---- to numbers ---- */

static PyObject *via_item(PyObject *x, PyObject *(*f)(PyObject *)) {
  PyObject *item = px_item(x), *r = item ? f(item) : NULL;
  Py_XDECREF(item);
  return r;
}
static PyObject *real_part(PyObject *o) {
  return PyComplex_Check(o) ? PyFloat_FromDouble(PyComplex_RealAsDouble(o)) : Py_NewRef(o);
}
static PyObject *to_long(PyObject *o) {
  PyObject *r = real_part(o), *i = r ? PyNumber_Long(r) : NULL;
  Py_XDECREF(r);
  return i;
}
static PyObject *to_float(PyObject *o) {
  PyObject *r = real_part(o), *f = r ? PyNumber_Float(r) : NULL;
  Py_XDECREF(r);
  return f;
}
static PyObject *nb_int(PyObject *x) { return via_item(x, to_long); }
static PyObject *nb_float(PyObject *x) { return via_item(x, to_float); }
static PyObject *nb_index(PyObject *x) {
  mlx_array h = px_handle(x);
  if (mlx_array_ndim(h) || !strchr("ui", px_dtype_kind(mlx_array_dtype(h)))) {
    PyErr_SetString(PyExc_TypeError, "Only 0-dimensional integer arrays can be converted to an index.");
    return NULL;
  }
  return px_item(x);
}
static int nb_bool(PyObject *x) {
  PyObject *item = px_item(x);
  int r = item ? PyObject_IsTrue(item) : -1;
  Py_XDECREF(item);
  return r;
}
static PyObject *m_complex(PyObject *self, PyObject *unused) {
  (void)unused;
  PyObject *item = px_item(self);
  PyObject *r = item ? PyObject_CallFunctionObjArgs((PyObject *)&PyComplex_Type, item, NULL) : NULL;
  Py_XDECREF(item);
  return r;
}

/* ---- printing ---- */

static PyObject *repr(PyObject *self) {
  if (px_eval(px_handle(self))) return NULL;
  mlx_string s = mlx_string_new();
  PyObject *r = mlx_array_tostring(&s, px_handle(self)) ? px_raise() : PyUnicode_FromString(mlx_string_data(s));
  mlx_string_free(s);
  return r;
}

static PyObject *m_format(PyObject *self, PyObject *spec) {
  if (!PyUnicode_Check(spec)) return PyErr_SetString(PyExc_TypeError, "__format__ takes a string"), NULL;
  if (mlx_array_ndim(px_handle(self)) == 0) {
    PyObject *item = px_item(self), *r = item ? PyObject_Format(item, spec) : NULL;
    Py_XDECREF(item);
    return r;
  }
  if (PyUnicode_GetLength(spec))
    return PyErr_SetString(PyExc_TypeError, "unsupported format string passed to mx.array.__format__"), NULL;
  return repr(self);
}

/* ---- container ---- */

static Py_ssize_t length(PyObject *self) {
  mlx_array h = px_handle(self);
  if (mlx_array_ndim(h)) return mlx_array_shape(h)[0];
  PyErr_SetString(PyExc_TypeError, "len() of a 0-dimensional array");
  return -1;
}

static int contains(PyObject *self, PyObject *value) {
  PyObject *eq = compare(self, value, Py_EQ);
  if (!eq || !px_is_array(eq)) {
    int r = eq ? PyObject_IsTrue(eq) : -1;
    Py_XDECREF(eq);
    return r;
  }
  mlx_array res = px_handle(eq);
  int r = mlx_any(&res, res, false, mlx_ext_default_stream()) ? (px_raise(), -1) : nb_bool(eq);
  Py_DECREF(eq);
  return r;
}

/* ---- properties ---- */

static PyObject *get_size(PyObject *x, void *c) {
  (void)c;
  return PyLong_FromSize_t(mlx_array_size(px_handle(x)));
}
static PyObject *get_ndim(PyObject *x, void *c) {
  (void)c;
  return PyLong_FromSize_t(mlx_array_ndim(px_handle(x)));
}
static PyObject *get_itemsize(PyObject *x, void *c) {
  (void)c;
  return PyLong_FromSize_t(mlx_array_itemsize(px_handle(x)));
}
static PyObject *get_nbytes(PyObject *x, void *c) {
  (void)c;
  return PyLong_FromSize_t(mlx_array_nbytes(px_handle(x)));
}
static PyObject *get_dtype(PyObject *x, void *c) {
  (void)c;
  return Py_NewRef(px_dtype_object(mlx_array_dtype(px_handle(x))));
}
static PyObject *get_shape(PyObject *x, void *c) {
  (void)c;
  mlx_array h = px_handle(x);
  int n = (int)mlx_array_ndim(h);
  const int *shape = mlx_array_shape(h);
  PyObject *t = PyTuple_New(n);
  for (int i = 0; t && i < n; i++) PyTuple_SetItem(t, i, PyLong_FromLong(shape[i]));
  return t;
}
static PyObject *get_real(PyObject *x, void *c) {
  (void)c;
  return unary(x, mlx_real);
}
static PyObject *get_imag(PyObject *x, void *c) {
  (void)c;
  return unary(x, mlx_imag);
}
static PyObject *get_at(PyObject *x, void *c) {
  (void)c;
  return px_new_at(x);
}
static PyObject *get_T(PyObject *x, void *c) {
  (void)c;
  return unary(x, mlx_transpose);
}
static int matrix_transpose(mlx_array *res, mlx_array a, mlx_stream s) { return mlx_swapaxes(res, a, -1, -2, s); }
static PyObject *get_mT(PyObject *x, void *c) {
  (void)c;
  if (mlx_array_ndim(px_handle(x)) < 2)
    return PyErr_SetString(PyExc_ValueError, "[mT] A matrix transpose needs at least 2 dimensions."), NULL;
  return unary(x, matrix_transpose);
}

static PyGetSetDef getset[] = {{"size", get_size, NULL, "Number of elements.", NULL},
                               {"ndim", get_ndim, NULL, "Number of dimensions.", NULL},
                               {"itemsize", get_itemsize, NULL, "Bytes of one element.", NULL},
                               {"nbytes", get_nbytes, NULL, "Bytes of all elements.", NULL},
                               {"shape", get_shape, NULL, "Sizes of the dimensions, a tuple.", NULL},
                               {"dtype", get_dtype, NULL, "Type of the elements.", NULL},
                               {"real", get_real, NULL, "Real part.", NULL},
                               {"imag", get_imag, NULL, "Imaginary part.", NULL},
                               {"at", get_at, NULL, "Updates that return a new array: x.at[i].add(v).", NULL},
                               {"device", px_array_device, NULL, "Where the elements are.", NULL},
                               {"T", get_T, NULL, "All dimensions reversed.", NULL},
                               {"mT", get_mT, NULL, "The last two dimensions swapped.", NULL},
                               {0}};

/* ---- methods ---- */

static PyObject *m_reversed(PyObject *self, PyObject *none) {
  (void)none;
  PyObject *rows = PySequence_List(self);
  PyObject *it = rows && !PyList_Reverse(rows) ? PyObject_GetIter(rows) : NULL;
  Py_XDECREF(rows);
  return it;
}

static PyObject *m_item(PyObject *self, PyObject *unused) {
  (void)unused;
  return px_item(self);
}
static PyObject *m_tolist(PyObject *self, PyObject *unused) {
  (void)unused;
  return px_tolist(self);
}
static PyObject *m_bytes(PyObject *self, PyObject *unused) {
  (void)unused;
  PyObject *view = PyMemoryView_FromObject(self), *r = view ? PyObject_CallMethod(view, "tobytes", NULL) : NULL;
  Py_XDECREF(view);
  return r;
}
static PyObject *m_copy(PyObject *self, PyObject *unused) {
  (void)unused;
  return px_wrap(px_handle(self));
}
static PyObject *m_namespace(PyObject *self, PyObject *args, PyObject *kwargs) {
  PyObject *version = NULL;
  static char *names[] = {"api_version", NULL};
  (void)self;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__array_namespace__", names, &version)) return NULL;
  static const char *const versions[] = {"2021.12", "2022.12", "2023.12", CMLX_ARRAY_API};
  bool known = !version || version == Py_None;
  for (size_t i = 0; !known && PyUnicode_Check(version) && i < sizeof versions / sizeof *versions; i++)
    known = PyUnicode_CompareWithASCIIString(version, versions[i]) == 0;
  if (!known) return PyErr_Format(PyExc_ValueError, "[__array_namespace__] The version %R is none of 2021.12 to " CMLX_ARRAY_API ".", version);
  return Py_NewRef(px_module);
}

static PyObject *m_array(PyObject *self, PyObject *args, PyObject *kwargs) {
  PyObject *dtype = NULL, *copy = NULL;
  static char *names[] = {"dtype", "copy", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__", names, &dtype, &copy)) return NULL;
  PyObject *r = px_numpy(self);
  if (r && dtype && dtype != Py_None) {
    PyObject *cast = PyObject_CallMethod(r, "astype", "O", dtype);
    PX_REPLACE(r, cast);
  } else if (r && copy == Py_True) {
    PyObject *own = PyObject_CallMethod(r, "copy", NULL);
    PX_REPLACE(r, own);
  }
  return r;
}

static PyObject *m_getstate(PyObject *self, PyObject *unused) {
  (void)unused;
  mlx_dtype t = mlx_array_dtype(px_handle(self));
  PyObject *data, *bits = t == MLX_BFLOAT16 ? px_new() : Py_NewRef(self);
  if (!bits) return NULL;
  mlx_array res = px_handle(bits);
  if (t == MLX_BFLOAT16 && mlx_view(&res, px_handle(self), MLX_UINT16, mlx_ext_default_stream())) {
    Py_DECREF(bits);
    return px_raise();
  }
  data = px_numpy(bits);
  Py_DECREF(bits);
  return data ? Py_BuildValue("(Ni)", data, (int)t) : NULL;
}

static PyObject *m_setstate(PyObject *self, PyObject *state) {
  PyObject *data;
  int t;
  if (!PyTuple_Check(state) || !PyArg_ParseTuple(state, "Oi", &data, &t)) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "__setstate__ takes what __getstate__ gives");
    return NULL;
  }
  if (t < 0 || t > MLX_COMPLEX64)
    return PyErr_SetString(PyExc_ValueError, "[array] The pickled state holds an unknown dtype."), NULL;
  px_arg a = {0};
  mlx_array res = px_handle(self);
  int rc = px_from_object(data, t == MLX_FLOAT64 ? t : -1, &a);
  if (!rc && t == MLX_BFLOAT16 && mlx_array_dtype(a.h) == MLX_UINT16)
    rc = mlx_view(&res, a.h, MLX_BFLOAT16, mlx_ext_default_stream());
  else if (!rc)
    rc = mlx_astype(&res, a.h, (mlx_dtype)t, mlx_ext_default_stream());
  px_drop(&a);
  if (rc) return px_raise();
  Py_RETURN_NONE;
}

/* x.reshape(2, 3), the form that models use most: no tuple is needed. */
static bool plain_ints(PyObject *const *args, Py_ssize_t n, PyObject *kw, px_ints *ints) {
  if (kw || n < 1 || n > PX_MAX_NDIM) return false;
  for (Py_ssize_t i = 0; i < n; i++)
    if (!PyLong_Check(args[i]) || px_to_int(args[i], &ints->v[i])) return false;
  ints->single = false;
  ints->n = (int)n;
  return true;
}

/* Positional integers, or one sequence: x.reshape(2, 3) and x.reshape((2, 3)). */
static int int_args(const px_sig *sig, PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kw, px_ints *ints,
                    px_stream *s) {
  PyObject *v[2];
  if (plain_ints(args, n, kw, ints)) return px_default_stream(s);
  if (px_bind(sig, NULL, args, n, kw, v)) return PX_ERROR;
  PyObject *one = n == 1 ? PyTuple_GetItem(v[0], 0) : NULL;
  int rc;
  if (one == Py_None && sig->npositional_only) {
    rc = 0;
    ints->n = 0;
  } else
    rc = px_to_shape(one && !PyIndex_Check(one) ? one : v[0], ints);
  Py_DECREF(v[0]);
  if (!rc) rc = v[1] ? px_to_stream(v[1], s) : px_default_stream(s);
  if (rc > 0) px_type_error(sig, self, args, n, kw);
  return rc;
}

static PyObject *m_reshape(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kw) {
  static const px_sig sig = {
      "reshape", "(self, *shape, stream: None | Stream | Device = None) -> array", {"shape", "stream"}, 0, 0, 2, true, 0, {{NULL, 0}}};
  px_ints shape;
  px_stream s = {0};
  PyObject *r = NULL;
  if (!int_args(&sig, self, args, n, kw, &shape, &s) && (r = px_new())) {
    mlx_array res = px_handle(r);
    r = px_done(r, mlx_reshape(&res, px_handle(self), shape.v, (size_t)shape.n, s.h));
  }
  px_drop_stream(&s);
  return r;
}

static PyObject *m_transpose(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kw) {
  static const px_sig sig = {
      "transpose", "(self, *axes, stream: None | Stream | Device = None) -> array", {"axes", "stream"}, 1, 0, 2, true, 0, {{NULL, 0}}};
  px_ints axes;
  px_stream s = {0};
  PyObject *r = NULL;
  if (!int_args(&sig, self, args, n, kw, &axes, &s) && (r = px_new())) {
    mlx_array res = px_handle(r);
    r = px_done(r, axes.n == 0 ? mlx_transpose(&res, px_handle(self), s.h)
                               : mlx_transpose_axes(&res, px_handle(self), axes.v, (size_t)axes.n, s.h));
  }
  px_drop_stream(&s);
  return r;
}

/* x.__add__(y) and its kin: the slots make such methods too, with another name for the operand. */
#define REFLECTED(name) \
  static PyObject *r_##name(PyObject *self, PyObject *other) { return nb_##name(other, self); }
REFLECTED(add)
REFLECTED(sub)
REFLECTED(mul)
REFLECTED(truediv)
REFLECTED(floordiv)
REFLECTED(mod)
static PyObject *m_pow(PyObject *self, PyObject *other) { return binary(&op_pow, self, other); }
static PyObject *m_rpow(PyObject *self, PyObject *other) { return binary(&op_pow, other, self); }
static PyObject *m_ipow(PyObject *self, PyObject *other) { return inplace(&op_pow, self, other); }
#define COMPARISON(name, how) \
  static PyObject *m_##name(PyObject *self, PyObject *other) { return compare(self, other, how); }
COMPARISON(eq, Py_EQ)
COMPARISON(ne, Py_NE)
COMPARISON(lt, Py_LT)
COMPARISON(le, Py_LE)
COMPARISON(gt, Py_GT)
COMPARISON(ge, Py_GE)
static PyObject *m_getitem(PyObject *self, PyObject *key) { return px_getitem(self, key); }
static PyObject *m_setitem(PyObject *self, PyObject *args) {
  PyObject *key, *value;
  if (!PyArg_ParseTuple(args, "OO:__setitem__", &key, &value) || px_setitem(self, key, value)) return NULL;
  Py_RETURN_NONE;
}

static PyObject *m_init(PyObject *self, PyObject *args, PyObject *kwargs) { return init(self, args, kwargs) ? NULL : Py_NewRef(Py_None); }

#define KEYWORDS (METH_VARARGS | METH_KEYWORDS)
#define NAMED(name, f, doc) \
  { "__" #name "__", f, METH_O | METH_COEXIST, "__" #name "__($self, other, /)\n--\n\n" doc }
static PyMethodDef operator_methods[] = {
    {"__init__", PX_FN(m_init), KEYWORDS | METH_COEXIST, "__init__($self, val, dtype=None)\n--\n\nFills the array."},
    NAMED(add, nb_add, "self + other"),
    NAMED(iadd, nb_iadd, "self += other"),
    NAMED(radd, r_add, "other + self"),
    NAMED(sub, nb_sub, "self - other"),
    NAMED(isub, nb_isub, "self -= other"),
    NAMED(rsub, r_sub, "other - self"),
    NAMED(mul, nb_mul, "self * other"),
    NAMED(imul, nb_imul, "self *= other"),
    NAMED(rmul, r_mul, "other * self"),
    NAMED(truediv, nb_truediv, "self / other"),
    NAMED(itruediv, nb_itruediv, "self /= other"),
    NAMED(rtruediv, r_truediv, "other / self"),
    NAMED(div, nb_truediv, "self / other"),
    NAMED(rdiv, r_truediv, "other / self"),
    NAMED(floordiv, nb_floordiv, "self // other"),
    NAMED(ifloordiv, nb_ifloordiv, "self //= other"),
    NAMED(rfloordiv, r_floordiv, "other // self"),
    NAMED(mod, nb_mod, "self % other"),
    NAMED(imod, nb_imod, "self %= other"),
    NAMED(rmod, r_mod, "other % self"),
    NAMED(pow, m_pow, "self ** other"),
    NAMED(ipow, m_ipow, "self **= other"),
    NAMED(rpow, m_rpow, "other ** self"),
    NAMED(matmul, nb_matmul, "self @ other"),
    NAMED(imatmul, nb_imatmul, "self @= other"),
    NAMED(and, nb_and, "self & other"),
    NAMED(iand, nb_iand, "self &= other"),
    NAMED(or, nb_or, "self | other"),
    NAMED(ior, nb_ior, "self |= other"),
    NAMED(xor, nb_xor, "self ^ other"),
    NAMED(ixor, nb_ixor, "self ^= other"),
    NAMED(lshift, nb_lshift, "self << other"),
    NAMED(ilshift, nb_ilshift, "self <<= other"),
    NAMED(rshift, nb_rshift, "self >> other"),
    NAMED(irshift, nb_irshift, "self >>= other"),
    NAMED(eq, m_eq, "self == other"),
    NAMED(ne, m_ne, "self != other"),
    NAMED(lt, m_lt, "self < other"),
    NAMED(le, m_le, "self <= other"),
    NAMED(gt, m_gt, "self > other"),
    NAMED(ge, m_ge, "self >= other"),
    {"__getitem__", m_getitem, METH_O | METH_COEXIST, "__getitem__($self, arg, /)\n--\n\nself[arg]"},
    {"__setitem__", m_setitem, METH_VARARGS | METH_COEXIST, "__setitem__($self, arg0, arg1, /)\n--\n\nself[arg0] = arg1"},
    {0}};

static PyMethodDef own_methods[] = {
    {"__reversed__", m_reversed, METH_NOARGS, "__reversed__($self, /)\n--\n\nThe elements along the first axis, last first."},
    {"item", m_item, METH_NOARGS, "item($self)\n--\n\nThe one element as a Python number."},
    {"tolist", m_tolist, METH_NOARGS, "tolist($self)\n--\n\nNested lists of Python numbers; a 0-d array gives a number."},
    {"reshape", PX_FN(m_reshape), PX_FASTCALL,
     "reshape($self, *shape, stream=None)\n--\n\nThe same elements in another shape; one size may be -1."},
    {"transpose", PX_FN(m_transpose), PX_FASTCALL,
     "transpose($self, *axes, stream=None)\n--\n\nDimensions permuted, or reversed when no axes are given."},
    {"__array_namespace__", PX_FN(m_namespace), KEYWORDS,
     "__array_namespace__($self, api_version=None)\n--\n\nThe module of array functions."},
    {"to_device", PX_FN(px_array_to_device), KEYWORDS,
     "to_device($self, device, /, *, stream=None)\n--\n\nThe array on a device, itself if it is there."},
    {"__array__", PX_FN(m_array), KEYWORDS,
     "__array__($self, dtype=None, copy=None)\n--\n\nA NumPy array, sharing memory where it can."},
    {"__dlpack__", PX_FN(px_dlpack), KEYWORDS,
     "__dlpack__($self, *, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\nA DLPack capsule."},
    {"__dlpack_device__", px_dlpack_device, METH_NOARGS, "__dlpack_device__($self)\n--\n\nDLPack's number of the device."},
    {"__getstate__", m_getstate, METH_NOARGS, "__getstate__($self)\n--\n\nWhat pickle stores."},
    {"__setstate__", m_setstate, METH_O, "__setstate__($self, arg, /)\n--\n\nTakes what __getstate__ gave."},
    {"__copy__", m_copy, METH_NOARGS, "__copy__($self)\n--\n\nA second object with the same value."},
    {"__deepcopy__", m_copy, METH_O, "__deepcopy__($self, memo)\n--\n\nA second object with the same value."},
    {"__bytes__", m_bytes, METH_NOARGS, "__bytes__($self)\n--\n\nThe elements as bytes in row order."},
    {"__complex__", m_complex, METH_NOARGS, "__complex__($self)\n--\n\nThe one element as a complex number."},
    {"__format__", m_format, METH_O, "__format__($self, spec, /)\n--\n\nFormats a 0-d array as its number."},
    {0}};

static int assign(PyObject *self, PyObject *key, PyObject *value) {
  if (!value) return PyErr_SetString(PyExc_AttributeError, "'array' object has no attribute '__delitem__'"), -1;
  return px_setitem(self, key, value);
}

/* ---- types ---- */

#define SLOT(name, f) \
  { Py_##name, (void *)(f) }

static PyTypeObject *make_type(PyObject *m, PyType_Spec *spec, const char *name) {
  PyObject *t = PyType_FromSpec(spec);
  if (t && PyModule_AddObjectRef(m, name, t)) Py_CLEAR(t);
  return (PyTypeObject *)t;
}

static int make_array(PyObject *m) {
  static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(px_array, weak), READONLY, NULL}, {0}};
  static PyMethodDef methods[160];
  int n = 0;
  for (PyMethodDef *d = own_methods; d->ml_name; d++) methods[n++] = *d;
  for (PyMethodDef *d = operator_methods; d->ml_name; d++) methods[n++] = *d;
  for (PyMethodDef *d = px_array_generated; d->ml_name; d++) methods[n++] = *d;
  PyType_Slot slots[] = {SLOT(tp_doc, "array(val, dtype=None)\n--\n\nAn n-dimensional array, evaluated when its value is needed."),
                         SLOT(tp_new, new_object),
                         SLOT(tp_init, init),
                         SLOT(tp_dealloc, dealloc),
                         SLOT(tp_repr, repr),
                         SLOT(tp_hash, hash),
                         SLOT(tp_richcompare, compare),
                         SLOT(tp_iter, px_iterate),
                         SLOT(tp_methods, methods),
                         SLOT(tp_getset, getset),
                         SLOT(tp_members, members),
                         SLOT(nb_add, nb_add),
                         SLOT(nb_subtract, nb_sub),
                         SLOT(nb_multiply, nb_mul),
                         SLOT(nb_true_divide, nb_truediv),
                         SLOT(nb_floor_divide, nb_floordiv),
                         SLOT(nb_remainder, nb_mod),
                         SLOT(nb_power, nb_pow),
                         SLOT(nb_matrix_multiply, nb_matmul),
                         SLOT(nb_and, nb_and),
                         SLOT(nb_or, nb_or),
                         SLOT(nb_xor, nb_xor),
                         SLOT(nb_lshift, nb_lshift),
                         SLOT(nb_rshift, nb_rshift),
                         SLOT(nb_inplace_add, nb_iadd),
                         SLOT(nb_inplace_subtract, nb_isub),
                         SLOT(nb_inplace_multiply, nb_imul),
                         SLOT(nb_inplace_true_divide, nb_itruediv),
                         SLOT(nb_inplace_floor_divide, nb_ifloordiv),
                         SLOT(nb_inplace_remainder, nb_imod),
                         SLOT(nb_inplace_power, nb_ipow),
                         SLOT(nb_inplace_matrix_multiply, nb_imatmul),
                         SLOT(nb_inplace_and, nb_iand),
                         SLOT(nb_inplace_or, nb_ior),
                         SLOT(nb_inplace_xor, nb_ixor),
                         SLOT(nb_inplace_lshift, nb_ilshift),
                         SLOT(nb_inplace_rshift, nb_irshift),
                         SLOT(nb_negative, nb_negative),
                         SLOT(nb_positive, nb_positive),
                         SLOT(nb_absolute, nb_absolute),
                         SLOT(nb_invert, nb_invert),
                         SLOT(nb_bool, nb_bool),
                         SLOT(nb_int, nb_int),
                         SLOT(nb_float, nb_float),
                         SLOT(nb_index, nb_index),
                         SLOT(mp_length, length),
                         SLOT(mp_subscript, px_getitem),
                         SLOT(mp_ass_subscript, assign),
                         SLOT(sq_contains, contains),
                         SLOT(bf_getbuffer, px_getbuffer),
                         SLOT(bf_releasebuffer, px_releasebuffer),
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core.array", sizeof(px_array), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  px_array_type = make_type(m, &spec, "array");
  return px_array_type ? 0 : -1;
}

int px_init_array(PyObject *m) {
  PyObject *bases = PyTuple_Pack(2, PyExc_IndexError, PyExc_ValueError);
  px_axis_error = bases ? PyErr_NewExceptionWithDoc("mlx.core.AxisError", "An axis is out of range.", bases, NULL) : NULL;
  Py_XDECREF(bases);
  if (!px_axis_error || make_array(m)) return -1;
  return px_init_index(m) ? -1 : px_init_at(m);
}
