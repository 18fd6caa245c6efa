/* Python values to arrays: scalars, nested lists, buffers (NumPy and others).
 *
 * A list is walked twice: once for its shape and the kind of its leaves, once to fill memory that the array already owns.
 * Lists that hold arrays are stacked. Floats become float32, integers int32 or, where one does not fit, int64. */
#include "half.h"
#include "px.h"

static int fail(int rc) {
  if (!rc) return 0;
  px_raise();
  return PX_ERROR;
}

static int bad_type(PyObject *o) {
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
  PyErr_Format(PyExc_ValueError, "Invalid type %S received in array initialization.", name);
  Py_XDECREF(name);
  return PX_ERROR;
}

static int cast(px_arg *a, int dtype) {
  if (dtype < 0 || mlx_array_dtype(a->h) == (mlx_dtype)dtype) return 0;
  mlx_array src = a->h, res = px_own(a);
  return fail(mlx_astype(&res, src, (mlx_dtype)dtype, mlx_ext_default_stream()));
}

/* ---- scalars ---- */

static int set_scalar(mlx_array *res, const void *value, mlx_dtype t) { return fail(mlx_array_set_data(res, value, NULL, 0, t)); }

static int set_double(mlx_array *res, double d, mlx_dtype t) {
  float f = (float)d, c[2] = {f, 0};
  uint16_t h;
  switch (t) {
  case MLX_FLOAT64: return set_scalar(res, &d, t);
  case MLX_FLOAT32: return set_scalar(res, &f, t);
  case MLX_COMPLEX64: return set_scalar(res, c, t);
  case MLX_FLOAT16: h = px_f32_to_f16(f); return set_scalar(res, &h, t);
  default: h = px_f32_to_bf16(f); return set_scalar(res, &h, MLX_BFLOAT16);
  }
}

static int set_int64(mlx_array *res, int64_t v, mlx_dtype t) {
  uint8_t truth = v != 0;
  switch (px_dtype_kind(t)) {
  case 'b': return set_scalar(res, &truth, t);
  case 'f':
  case 'c': return set_double(res, (double)v, t);
  default: return set_scalar(res, &v, t); /* little endian: the low bytes, as a C cast would keep */
  }
}

static int64_t int_limit(mlx_dtype t, bool low) {
  static const int64_t lo[] = {[MLX_INT8] = INT8_MIN, [MLX_INT16] = INT16_MIN, [MLX_INT32] = INT32_MIN};
  static const int64_t hi[] = {[MLX_UINT8] = UINT8_MAX, [MLX_UINT16] = UINT16_MAX, [MLX_UINT32] = UINT32_MAX,
                               [MLX_INT8] = INT8_MAX,   [MLX_INT16] = INT16_MAX,   [MLX_INT32] = INT32_MAX};
  switch (t) {
  case MLX_UINT8:
  case MLX_UINT16:
  case MLX_UINT32: return low ? 0 : hi[t];
  case MLX_INT8:
  case MLX_INT16:
  case MLX_INT32: return low ? lo[t] : hi[t];
  default: return low ? INT64_MIN : INT64_MAX;
  }
}

int px_set_long(mlx_array *res, PyObject *o, int like) {
  int overflow;
  long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (v == -1 && PyErr_Occurred()) return PX_ERROR;
  if (like >= 0 && (px_dtype_kind((mlx_dtype)like) == 'f' || px_dtype_kind((mlx_dtype)like) == 'c')) {
    double d = overflow ? PyLong_AsDouble(o) : (double)v;
    if (PyErr_Occurred()) return PX_ERROR;
    return set_double(res, d, (mlx_dtype)like);
  }
  if (overflow) {
    if (overflow > 0 && like == MLX_UINT64) {
      uint64_t u = PyLong_AsUnsignedLongLong(o);
      if (!PyErr_Occurred()) return set_scalar(res, &u, MLX_UINT64);
      PyErr_Clear();
    }
    PyErr_SetString(PyExc_RuntimeError, "The integer does not fit in 64 bits and cannot become an array.");
    return PX_ERROR;
  }
  if (like < 0)
    like = v >= INT32_MIN && v <= INT32_MAX ? MLX_INT32 : MLX_INT64;
  else if (v < int_limit((mlx_dtype)like, true) || v > int_limit((mlx_dtype)like, false)) {
    PyErr_Format(PyExc_ValueError, "Converting %lld to %s would result in overflow.", v,
                 px_dtype_name((mlx_dtype)like));
    return PX_ERROR;
  }
  return set_int64(res, v, (mlx_dtype)like);
}

static int set_complex(mlx_array *res, PyObject *o) {
  float c[2] = {(float)PyComplex_RealAsDouble(o), (float)PyComplex_ImagAsDouble(o)};
  return set_scalar(res, c, MLX_COMPLEX64);
}

/* ---- lists ---- */

enum { HAS_BOOL = 1, HAS_INT = 2, HAS_LONG = 4, HAS_FLOAT = 8, HAS_COMPLEX = 16, HAS_ARRAY = 32, HAS_HUGE = 64 };

typedef struct scan {
  int ndim, found; /* found: bits of the leaf kinds; ndim: depth, -1 unknown yet */
  int shape[PX_MAX_NDIM];
  int dtype; /* the promoted dtype of array leaves, or -1 */
} scan;

static inline bool is_list(PyObject *o) { return PyList_Check(o) || PyTuple_Check(o); }
static inline Py_ssize_t list_size(PyObject *o) { return PyList_Check(o) ? PyList_Size(o) : PyTuple_Size(o); }
static inline PyObject *list_at(PyObject *o, Py_ssize_t i) {
  return PyList_Check(o) ? PyList_GetItem(o, i) : PyTuple_GetItem(o, i);
}

static int ragged(void) {
  PyErr_SetString(PyExc_ValueError, "Initialization encountered non-uniform length.");
  return PX_ERROR;
}

static int scan_leaf(scan *s, PyObject *o, int depth) {
  int extra = 0;
  if (PyFloat_CheckExact(o))
    s->found |= HAS_FLOAT;
  else if (PyBool_Check(o))
    s->found |= HAS_BOOL;
  else if (PyLong_Check(o)) {
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    s->found |= overflow ? HAS_HUGE | HAS_INT : v < INT32_MIN || v > INT32_MAX ? HAS_LONG | HAS_INT : HAS_INT;
  } else if (PyFloat_Check(o))
    s->found |= HAS_FLOAT;
  else if (PyComplex_Check(o))
    s->found |= HAS_COMPLEX;
  else if (px_is_array(o)) {
    mlx_array h = px_handle(o);
    mlx_dtype t = mlx_array_dtype(h);
    s->found |= HAS_ARRAY;
    s->dtype = s->dtype < 0 ? (int)t : (int)mlx_ext_promote((mlx_dtype)s->dtype, t);
    extra = (int)mlx_array_ndim(h);
    for (int d = 0; d < extra; d++) {
      if (depth + d >= PX_MAX_NDIM) return ragged();
      int n = mlx_array_shape(h)[d];
      if (s->ndim < 0)
        s->shape[depth + d] = n;
      else if (depth + d >= s->ndim || s->shape[depth + d] != n)
        return ragged();
    }
  } else
    return bad_type(o);
  if (s->ndim < 0)
    s->ndim = depth + extra;
  else if (depth + extra != s->ndim) {
    PyErr_SetString(PyExc_ValueError, depth + extra > s->ndim ? "Initialization encountered extra dimension."
                                                              : "Initialization encountered non-uniform length.");
    return PX_ERROR;
  }
  return 0;
}

static int scan_list(scan *s, PyObject *o, int depth) {
  Py_ssize_t n = list_size(o);
  if (depth >= PX_MAX_NDIM || n > INT32_MAX) {
    PyErr_Format(PyExc_ValueError, "Initialization encountered more than %d dimensions.", PX_MAX_NDIM);
    return PX_ERROR;
  }
  if (s->ndim >= 0 && depth >= s->ndim) {
    PyErr_SetString(PyExc_ValueError, "Initialization encountered extra dimension.");
    return PX_ERROR;
  }
  if (s->shape[depth] < 0)
    s->shape[depth] = (int)n;
  else if (s->shape[depth] != n)
    return ragged();
  if (n == 0 && s->ndim < 0) s->ndim = depth + 1;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *item = list_at(o, i);
    int rc = is_list(item) ? scan_list(s, item, depth + 1) : scan_leaf(s, item, depth + 1);
    if (rc) return rc;
  }
  return 0;
}

static int list_dtype(const scan *s) {
  int t = s->dtype;
  if (!s->found) return MLX_FLOAT32;
  if (s->found & HAS_COMPLEX) return MLX_COMPLEX64;
  if (s->found & HAS_FLOAT) return t >= 0 && strchr("fc", px_dtype_kind((mlx_dtype)t)) ? t : MLX_FLOAT32;
  if (s->found & HAS_INT) {
    if (t >= 0 && t != MLX_BOOL) return t;
    return s->found & HAS_LONG ? MLX_INT64 : MLX_INT32;
  }
  return t >= 0 ? t : MLX_BOOL;
}

static double as_double(PyObject *o) { return PyFloat_Check(o) ? PyFloat_AsDouble(o) : PyLong_AsDouble(o); }

/* Writes the leaves of o to *p in order and advances it. t: one of the dtypes that list_dtype or leaf_dtype names. */
static void fill(PyObject *o, mlx_dtype t, char **p) {
  if (is_list(o)) {
    Py_ssize_t n = list_size(o);
    for (Py_ssize_t i = 0; i < n; i++) fill(list_at(o, i), t, p);
    return;
  }
  switch (t) {
  case MLX_BOOL: *(*p)++ = o == Py_True; break;
  case MLX_INT32:
    *(int32_t *)*p = (int32_t)PyLong_AsLong(o);
    *p += 4;
    break;
  case MLX_INT64:
    *(int64_t *)*p = PyLong_AsLongLong(o);
    *p += 8;
    break;
  case MLX_UINT64:
    *(uint64_t *)*p = PyLong_AsUnsignedLongLongMask(o);
    *p += 8;
    break;
  case MLX_FLOAT32:
    *(float *)*p = (float)as_double(o);
    *p += 4;
    break;
  case MLX_FLOAT64:
    *(double *)*p = as_double(o);
    *p += 8;
    break;
  default: {
    float *c = (float *)*p;
    c[0] = (float)PyComplex_RealAsDouble(o);
    c[1] = (float)PyComplex_ImagAsDouble(o);
    *p += 8;
  }
  }
}

static int stack_list(PyObject *o, mlx_dtype t, px_arg *a) {
  if (!is_list(o)) {
    if (!px_is_array(o)) return px_from_object(o, (int)t, a);
    a->h = px_handle(o);
    return cast(a, (int)t);
  }
  Py_ssize_t n = list_size(o);
  mlx_vector_array parts = mlx_vector_array_new();
  int rc = 0;
  for (Py_ssize_t i = 0; i < n && !rc; i++) {
    px_arg part = {0};
    rc = stack_list(list_at(o, i), t, &part);
    if (!rc) rc = fail(mlx_vector_array_append_value(parts, part.h));
    px_drop(&part);
  }
  mlx_array res = px_own(a);
  if (!rc) rc = fail(mlx_stack(&res, parts, mlx_ext_default_stream()));
  mlx_vector_array_free(parts);
  return rc;
}

static int from_list(PyObject *o, int dtype, px_arg *a) {
  scan s = {.ndim = -1, .dtype = -1};
  for (int i = 0; i < PX_MAX_NDIM; i++) s.shape[i] = -1;
  if (scan_list(&s, o, 0)) return PX_ERROR;
  int t = list_dtype(&s);
  if (s.found & HAS_ARRAY) {
    int rc = stack_list(o, (mlx_dtype)t, a);
    return rc ? rc : cast(a, dtype);
  }
  if (dtype == MLX_FLOAT64 && t == MLX_FLOAT32) t = MLX_FLOAT64; /* do not lose digits on the way */
  if (s.found & HAS_HUGE && !(s.found & (HAS_FLOAT | HAS_COMPLEX))) {
    if (dtype != MLX_UINT64) {
      PyErr_SetString(PyExc_RuntimeError, "The integer does not fit in 64 bits and cannot become an array.");
      return PX_ERROR;
    }
    t = MLX_UINT64;
  }
  mlx_array res = px_own(a);
  void *data;
  if (mlx_ext_empty(&res, s.ndim, s.shape, (mlx_dtype)t, &data)) return fail(1);
  char *p = data;
  fill(o, (mlx_dtype)t, &p);
  if (PyErr_Occurred()) return PX_ERROR;
  return cast(a, dtype);
}

/* ---- buffers ---- */

/* The dtype of a buffer's elements; a wide one (float64, complex128) is narrowed when it is copied. -1: none of ours. */
enum { C128 = 100 };
static int buffer_dtype(const Py_buffer *b) {
  const char *f = b->format ? b->format : "B";
  if (*f == '>' || (*f == '!' && b->itemsize > 1)) return -1;
  if (strchr("<=@|!", *f)) f++;
  if (strcmp(f, "Zf") == 0) return MLX_COMPLEX64;
  if (strcmp(f, "Zd") == 0) return C128;
  if (strcmp(f, "bfloat16") == 0) return MLX_BFLOAT16;
  if (f[0] == 0 || f[1]) return -1;
  static const int sints[] = {[1] = MLX_INT8, [2] = MLX_INT16, [4] = MLX_INT32, [8] = MLX_INT64};
  static const int uints[] = {[1] = MLX_UINT8, [2] = MLX_UINT16, [4] = MLX_UINT32, [8] = MLX_UINT64};
  switch (*f) {
  case '?': return MLX_BOOL;
  case 'b':
  case 'h':
  case 'i':
  case 'l':
  case 'q':
  case 'n': return sints[b->itemsize];
  case 'B':
  case 'H':
  case 'I':
  case 'L':
  case 'Q':
  case 'N':
  case 'c': return uints[b->itemsize];
  case 'e': return MLX_FLOAT16;
  case 'f': return MLX_FLOAT32;
  case 'd': return MLX_FLOAT64;
  default: return -1;
  }
}

static void narrow(float *out, const double *in, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = (float)in[i];
}

static int copy_buffer(Py_buffer *b, int t, bool keep_f64, mlx_array *res) {
  int shape[PX_MAX_NDIM];
  for (int i = 0; i < b->ndim; i++) {
    if (b->shape[i] > INT32_MAX) {
      PyErr_SetString(PyExc_ValueError, "A dimension of the given array is too large.");
      return PX_ERROR;
    }
    if (b->strides && b->strides[i] < 0 && b->shape[i] > 1) {
      PyErr_SetString(PyExc_ValueError, "Negative strides are not supported: copy the array first.");
      return PX_ERROR;
    }
    shape[i] = (int)b->shape[i];
  }
  bool wide = (t == MLX_FLOAT64 && !keep_f64) || t == C128;
  mlx_dtype to = t == C128 ? MLX_COMPLEX64 : wide ? MLX_FLOAT32 : (mlx_dtype)t;
  void *data, *tmp = NULL;
  if (mlx_ext_empty(res, b->ndim, shape, to, &data)) return fail(1);
  if (b->len == 0) return 0;
  bool flat = PyBuffer_IsContiguous(b, 'C');
  if (!wide && flat)
    memcpy(data, b->buf, (size_t)b->len);
  else if (!wide)
    return PyBuffer_ToContiguous(data, b, b->len, 'C');
  else {
    const double *src = b->buf;
    if (!flat) {
      if (!(src = tmp = PyMem_Malloc((size_t)b->len))) return PyErr_NoMemory(), PX_ERROR;
      if (PyBuffer_ToContiguous(tmp, b, b->len, 'C')) return PyMem_Free(tmp), PX_ERROR;
    }
    narrow(data, src, (size_t)b->len / 8);
    PyMem_Free(tmp);
  }
  return 0;
}

static int from_buffer(PyObject *o, bool keep_f64, px_arg *a) {
  Py_buffer b;
  if (PyObject_GetBuffer(o, &b, PyBUF_FULL_RO)) return PX_ERROR;
  int t = buffer_dtype(&b), rc;
  if (t < 0 || b.ndim > PX_MAX_NDIM) {
    PyErr_Format(PyExc_RuntimeError, "Elements of the format '%s' cannot become an array.", b.format ? b.format : "");
    rc = PX_ERROR;
  } else {
    mlx_array res = px_own(a);
    rc = copy_buffer(&b, t, keep_f64, &res);
  }
  PyBuffer_Release(&b);
  return rc;
}

int px_from_buffer(PyObject *o, px_arg *a) { return from_buffer(o, false, a); }

/* Where NumPy has no buffer for a dtype, such as dates, its error becomes one that names the dtype. */
static void tell_dtype(PyObject *o, PyObject *dtype_name) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyObject *view = PyMemoryView_FromObject(o);
  if (view) {
    Py_DECREF(view);
    PyErr_Restore(type, value, trace);
    return;
  }
  PyErr_Format(PyExc_RuntimeError, "Elements of the dtype %S cannot become an array.", dtype_name);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(trace);
}

/* NumPy exports no buffer for the bfloat16 of ml_dtypes and for byte-swapped data: go through a view or a copy. */
static int from_numpy_like(PyObject *o, bool keep_f64, px_arg *a) {
  PyObject *dt = PyObject_GetAttrString(o, "dtype"), *name = dt ? PyObject_GetAttrString(dt, "name") : NULL;
  PyObject *native = dt ? PyObject_GetAttrString(dt, "isnative") : NULL;
  int rc = PX_ERROR;
  PyErr_Clear();
  if (name && PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "bfloat16") == 0) {
    PyObject *flat = PyObject_CallMethod(o, "view", "s", "uint16");
    if (flat && !(rc = from_buffer(flat, false, a))) {
      mlx_array h = a->h;
      rc = fail(mlx_view(&h, a->h, MLX_BFLOAT16, mlx_ext_default_stream()));
    }
    Py_XDECREF(flat);
  } else if (native == Py_False) {
    PyObject *order = PyObject_CallMethod(dt, "newbyteorder", "s", "="),
             *c = order ? PyObject_CallMethod(o, "astype", "O", order) : NULL;
    if (c) rc = from_buffer(c, keep_f64, a);
    Py_XDECREF(order);
    Py_XDECREF(c);
  } else if ((rc = from_buffer(o, keep_f64, a)) && name)
    tell_dtype(o, name);
  Py_XDECREF(dt);
  Py_XDECREF(name);
  Py_XDECREF(native);
  return rc;
}

static bool has(PyObject *o, const char *attr) { return PyObject_HasAttrString((PyObject *)Py_TYPE(o), attr); }

bool px_is_foreign(PyObject *o) {
  if (PyUnicode_Check(o) || is_list(o) || PyDict_Check(o)) return false;
  return PyObject_CheckBuffer(o) || has(o, "__dlpack__") || has(o, "__array__");
}

static int from_array_protocol(PyObject *o, bool keep_f64, px_arg *a) {
  PyObject *np = PyObject_CallMethod(o, "__array__", NULL);
  if (!np) return PX_ERROR;
  int rc = from_numpy_like(np, keep_f64, a);
  Py_DECREF(np);
  return rc;
}

/* Objects that say themselves which array they stand for. */
static int from_mlx_array(PyObject *o, px_arg *a) {
  PyObject *r = PyObject_CallMethod(o, "__mlx_array__", NULL);
  if (!r) return PX_ERROR;
  int rc = px_is_array(r) ? 0 : bad_type(o);
  mlx_array res = px_own(a);
  if (!rc) rc = fail(mlx_array_set(&res, px_handle(r)));
  Py_DECREF(r);
  return rc;
}

PyObject *px_own_copy(mlx_array h) {
  PyObject *a = px_wrap(h), *r = a ? px_new() : NULL;
  Py_buffer b = {0};
  void *data;
  int rc = r ? PyObject_GetBuffer(a, &b, PyBUF_STRIDES) : -1;
  if (!rc) {
    mlx_array res = px_handle(r);
    rc = mlx_ext_empty(&res, (int)mlx_array_ndim(h), mlx_array_shape(h), mlx_array_dtype(h), &data) ? fail(1) : 0;
    if (!rc && b.len) rc = PyBuffer_ToContiguous(data, &b, b.len, 'C');
    PyBuffer_Release(&b);
  }
  Py_XDECREF(a);
  if (rc) Py_CLEAR(r);
  return r;
}

int px_from_object(PyObject *o, int dtype, px_arg *a) {
  int rc;
  if (px_is_array(o)) {
    a->h = px_handle(o);
    return cast(a, dtype);
  }
  mlx_array res = px_own(a);
  if (PyBool_Check(o)) {
    return set_int64(&res, o == Py_True, dtype < 0 ? MLX_BOOL : (mlx_dtype)dtype);
  } else if (PyLong_Check(o)) {
    bool follow = dtype >= 0 && (strchr("fc", px_dtype_kind((mlx_dtype)dtype)) || dtype == MLX_UINT64 || dtype == MLX_INT64);
    rc = px_set_long(&res, o, follow ? dtype : -1);
  } else if (PyFloat_Check(o)) {
    bool follow = dtype >= 0 && strchr("fc", px_dtype_kind((mlx_dtype)dtype));
    rc = set_double(&res, PyFloat_AsDouble(o), follow ? (mlx_dtype)dtype : MLX_FLOAT32);
  } else if (PyComplex_Check(o))
    rc = set_complex(&res, o);
  else if (is_list(o))
    return from_list(o, dtype, a);
  else if (has(o, "__mlx_array__"))
    rc = from_mlx_array(o, a);
  else if (PyUnicode_Check(o))
    return bad_type(o);
  else if (PyObject_CheckBuffer(o))
    rc = has(o, "__array__") ? from_numpy_like(o, dtype == MLX_FLOAT64, a) : from_buffer(o, dtype == MLX_FLOAT64, a);
  else if (has(o, "__dlpack__"))
    rc = px_from_dlpack(o, a);
  else if (has(o, "__array__"))
    rc = from_array_protocol(o, dtype == MLX_FLOAT64, a);
  else
    return bad_type(o);
  return rc ? rc : cast(a, dtype);
}
