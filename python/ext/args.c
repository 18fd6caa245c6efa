/* Arguments: distributing them over a signature, and converting one at a time to what the C API takes. */
#include "px.h"

/* ---- binding ---- */

static int search_param(const px_sig *s, PyObject *key) {
  for (int i = s->npositional_only; i < s->nparams; i++)
    if (PyUnicode_CompareWithASCIIString(key, s->params[i]) == 0) return i;
  for (size_t i = 0; i < sizeof s->renamed / sizeof *s->renamed && s->renamed[i].name; i++)
    if (PyUnicode_CompareWithASCIIString(key, s->renamed[i].name) == 0) return s->renamed[i].of;
  return -1;
}

/* What the keywords of a call come to. Those of a place in a program are the same tuple each time, so the answer is kept: which parameters they
 * are, when all is given that must be and nothing twice. The table holds on to the tuples. */
enum { KNOWN = 512 };
typedef struct known_call {
  const px_sig *sig;
  PyObject *kwnames;
  int have, n; /* parameters that were given by position; keywords */
  uint8_t param[PX_MAX_PARAMS];
} known_call;
static known_call known[KNOWN];

static known_call *known_at(const px_sig *s, PyObject *kwnames) {
  uint32_t h = (uint32_t)((uintptr_t)s >> 5) * 0x9E3779B1u ^ (uint32_t)((uintptr_t)kwnames >> 4) * 0x85EBCA6Bu;
  return &known[h >> 23];
}

static bool complete(const px_sig *s, PyObject *const *v) {
  for (int i = 0; i < s->nparams; i++)
    if ((s->required >> i & 1) && !v[i]) return false;
  return true;
}

/* v, whose first `have` are given, gets the values of the keywords; false: they do not fit. */
static bool bind_keywords(const px_sig *s, PyObject *kwnames, PyObject *const *values, int have, PyObject **v) {
  known_call *at = known_at(s, kwnames), now = {.sig = s, .have = have};
  if (at->sig == s && at->kwnames == kwnames && at->have == have) {
    for (int k = 0; k < at->n; k++) v[at->param[k]] = values[k];
    return true;
  }
  Py_ssize_t n = PyTuple_Size(kwnames);
  for (Py_ssize_t k = 0; k < n; k++) {
    int i = search_param(s, PyTuple_GetItem(kwnames, k));
    if (i < 0 || v[i]) return false;
    v[i] = values[k];
    now.param[now.n++] = (uint8_t)i;
  }
  if (!complete(s, v)) return false;
  now.kwnames = Py_NewRef(kwnames);
  Py_XDECREF(at->kwnames);
  *at = now;
  return true;
}

static int bind_variadic(PyObject *first, PyObject *const *args, Py_ssize_t nargs, PyObject **v) {
  int extra = first ? 1 : 0;
  PyObject *t = PyTuple_New(nargs + extra);
  if (!t) return PX_ERROR;
  if (first) PyTuple_SetItem(t, 0, Py_NewRef(first));
  for (Py_ssize_t i = 0; i < nargs; i++) PyTuple_SetItem(t, i + extra, Py_NewRef(args[i]));
  v[0] = t;
  return 0;
}

int px_bind(const px_sig *s, PyObject *first, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **v) {
  int have = 0;
  if (s->variadic) {
    for (int i = 0; i < s->nparams; i++) v[i] = NULL;
    if (bind_variadic(first, args, nargs, v)) return PX_ERROR;
    have = 1;
  } else {
    if (first) v[have++] = first;
    if (have + nargs > s->npositional) goto wrong;
    for (Py_ssize_t i = 0; i < nargs; i++) v[have++] = args[i];
    for (int i = have; i < s->nparams; i++) v[i] = NULL;
  }
  if (kwnames ? bind_keywords(s, kwnames, args + nargs, have, v) : !(s->required >> have)) return 0;
  if (s->variadic) Py_CLEAR(v[0]);
wrong:
  px_type_error(s, first, args, nargs, kwnames);
  return PX_ERROR;
}

/* ---- the TypeError ---- */

static int append(PyObject **text, const char *fmt, const char *s) {
  PyObject *piece = PyUnicode_FromFormat(fmt, s), *both = piece && *text ? PyUnicode_Concat(*text, piece) : NULL;
  Py_XDECREF(piece);
  Py_XDECREF(*text);
  *text = both;
  return both ? 0 : PX_ERROR;
}

static void append_type(PyObject **text, PyObject *o, bool comma) {
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
  const char *s = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
  if (!s) PyErr_Clear();
  bool ours = px_is_array(o);
  append(text, comma ? ", %s" : "%s", ours ? "mlx.core.array" : s ? s : "object");
  Py_XDECREF(name);
}

static PyObject *error_head(const px_sig *sig) {
  PyObject *text = PyUnicode_FromFormat("%s(): incompatible function arguments. The following argument types are supported:\n"
                                        "    1. %s",
                                        sig->name, sig->name);
  append(&text, "%s", sig->text);
  append(&text, "%s", "\n\nInvoked with types: ");
  return text;
}

static PyObject *raise_text(PyObject *text) {
  if (text) PyErr_SetObject(PyExc_TypeError, text);
  Py_XDECREF(text);
  return NULL;
}

PyObject *px_type_error(const px_sig *sig, PyObject *first, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  if (PyErr_Occurred()) return NULL;
  PyObject *text = error_head(sig);
  if (first) append_type(&text, first, false);
  for (Py_ssize_t i = 0; i < nargs; i++) append_type(&text, args[i], first || i);
  Py_ssize_t nkw = kwnames ? PyTuple_Size(kwnames) : 0;
  if (nkw) append(&text, "%s", first || nargs ? ", kwargs = { " : "kwargs = { ");
  for (Py_ssize_t k = 0; k < nkw; k++) {
    append(&text, k ? ", %s: " : "%s: ", PyUnicode_AsUTF8AndSize(PyTuple_GetItem(kwnames, k), NULL));
    append_type(&text, args[nargs + k], false);
  }
  if (nkw) append(&text, "%s", " }");
  return raise_text(text);
}

PyObject *px_type_error_tuple(const px_sig *sig, PyObject *args, PyObject *kwargs) {
  if (PyErr_Occurred()) return NULL;
  PyObject *text = error_head(sig), *key, *value;
  for (Py_ssize_t i = 0; i < PyTuple_Size(args); i++) append_type(&text, PyTuple_GetItem(args, i), i > 0);
  Py_ssize_t pos = 0;
  while (kwargs && PyDict_Next(kwargs, &pos, &key, &value)) append_type(&text, value, true);
  return raise_text(text);
}

/* ---- numbers and strings ---- */

int px_to_int64(PyObject *o, int64_t *v) {
  PyObject *i = PyLong_Check(o) ? Py_NewRef(o) : PyIndex_Check(o) ? PyNumber_Index(o) : NULL;
  if (!i) {
    PyErr_Clear();
    return PX_TYPE;
  }
  int overflow;
  long long x = PyLong_AsLongLongAndOverflow(i, &overflow);
  Py_DECREF(i);
  if (overflow || (x == -1 && PyErr_Occurred())) {
    PyErr_Clear();
    return PX_TYPE;
  }
  *v = x;
  return 0;
}

int px_to_int(PyObject *o, int *v) {
  int64_t x;
  int rc = px_to_int64(o, &x);
  if (rc) return rc;
  if (x < INT32_MIN || x > INT32_MAX) return PX_TYPE;
  *v = (int)x;
  return 0;
}

int px_to_size(PyObject *o, size_t *v) {
  int64_t x;
  int rc = px_to_int64(o, &x);
  if (rc) return rc;
  if (x < 0) return PX_TYPE;
  *v = (size_t)x;
  return 0;
}

int px_to_uint64(PyObject *o, uint64_t *v) {
  if (!PyIndex_Check(o)) return PX_TYPE;
  PyObject *i = PyNumber_Index(o);
  if (!i) {
    PyErr_Clear();
    return PX_TYPE;
  }
  unsigned long long x = PyLong_AsUnsignedLongLong(i);
  Py_DECREF(i);
  if (x == (unsigned long long)-1 && PyErr_Occurred()) {
    PyErr_Clear();
    return PX_TYPE;
  }
  *v = x;
  return 0;
}

int px_to_int_or_none(PyObject *o, mlx_optional_int *v) {
  *v = (mlx_optional_int){0, false};
  if (o == Py_None) return 0;
  v->has_value = true;
  return px_to_int(o, &v->value);
}

int px_to_bool(PyObject *o, bool *v) {
  if (!PyBool_Check(o)) return PX_TYPE;
  *v = o == Py_True;
  return 0;
}

int px_to_double(PyObject *o, double *v) {
  if (PyFloat_Check(o)) {
    *v = PyFloat_AsDouble(o);
    return 0;
  }
  if (PyUnicode_Check(o) || PyBytes_Check(o) || PyComplex_Check(o)) return PX_TYPE;
  PyObject *f = PyNumber_Float(o);
  if (!f) {
    PyErr_Clear();
    return PX_TYPE;
  }
  *v = PyFloat_AsDouble(f);
  Py_DECREF(f);
  return 0;
}

int px_to_float_or_none(PyObject *o, mlx_optional_float *v) {
  *v = (mlx_optional_float){0, false};
  if (o == Py_None) return 0;
  double d;
  int rc = px_to_double(o, &d);
  *v = (mlx_optional_float){(float)d, true};
  return rc;
}

int px_to_string(PyObject *o, const char **v) {
  if (!PyUnicode_Check(o)) return PX_TYPE;
  *v = PyUnicode_AsUTF8AndSize(o, NULL);
  return *v ? 0 : PX_ERROR;
}

/* ---- several integers ---- */

/* A size: a whole number that is too large is an OverflowError, as in MLX. */
static int to_dimension(PyObject *o, int *v) {
  int rc = px_to_int(o, v);
  if (rc != PX_TYPE || !PyLong_Check(o)) return rc;
  PyErr_Format(PyExc_OverflowError, "Integer value %S is outside the supported range [-2147483648, 2147483647].", o);
  return PX_ERROR;
}

Py_ssize_t px_length(PyObject *o) {
  if (px_is_array(o)) return mlx_array_ndim(px_handle(o)) ? mlx_array_shape(px_handle(o))[0] : -1;
  if (PyUnicode_Check(o) || PyBytes_Check(o) || PyDict_Check(o) || !PySequence_Check(o)) return -1;
  Py_ssize_t n = PySequence_Size(o);
  if (n < 0) PyErr_Clear();
  return n;
}

PyObject *px_element(PyObject *o, Py_ssize_t i) {
  if (!px_is_array(o)) return PySequence_GetItem(o, i);
  PyObject *at = PyLong_FromSsize_t(i), *item = at ? PyObject_GetItem(o, at) : NULL;
  Py_XDECREF(at);
  return item;
}

int px_to_shape(PyObject *o, px_ints *v) {
  v->single = false;
  Py_ssize_t n = px_length(o);
  if (n < 0) return PX_TYPE;
  if (n > PX_MAX_NDIM) {
    PyErr_Format(PyExc_ValueError, "%zd dimensions or axes were given; at most %d are supported.", n, PX_MAX_NDIM);
    return PX_ERROR;
  }
  v->n = (int)n;
  for (int i = 0; i < v->n; i++) {
    PyObject *item = px_element(o, i);
    if (!item) return PX_ERROR;
    int rc = to_dimension(item, &v->v[i]);
    Py_DECREF(item);
    if (rc) return rc;
  }
  return 0;
}

int px_to_size_or_shape(PyObject *o, px_ints *v) {
  bool plain = px_is_array(o) ? mlx_array_ndim(px_handle(o)) == 0 : PyIndex_Check(o) && !PySequence_Check(o);
  if (!plain) return px_to_shape(o, v);
  v->single = true;
  v->n = 1;
  return to_dimension(o, v->v);
}

int px_to_ints(PyObject *o, px_ints *v) {
  if (o == Py_None) {
    v->n = -1;
    v->single = false;
    return 0;
  }
  return px_to_size_or_shape(o, v);
}

int px_to_repeated(PyObject *o, int n, px_ints *v) {
  int rc = px_to_size_or_shape(o, v);
  if (rc) return rc;
  if (v->single)
    for (int i = 1; i < n; i++) v->v[i] = v->v[0];
  else if (v->n != n)
    return PX_TYPE;
  v->n = n;
  return 0;
}

int px_to_doubles(PyObject *o, px_doubles *v) {
  bool plain = !PyList_Check(o) && !PyTuple_Check(o);
  Py_ssize_t n = plain ? 1 : px_length(o);
  if (n < 0 || n > PX_MAX_NDIM) return PX_TYPE;
  v->n = (int)n;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *item = plain ? Py_NewRef(o) : px_element(o, i);
    int rc = item ? px_to_double(item, &v->v[i]) : PX_ERROR;
    Py_XDECREF(item);
    if (rc) return rc;
  }
  return 0;
}

/* ---- arrays ---- */

int px_to_array(PyObject *o, px_arg *a) {
  if (!px_is_array(o)) return PX_TYPE;
  a->h = px_handle(o);
  return 0;
}

int px_to_array_or_none(PyObject *o, px_arg *a) { return o == Py_None ? 0 : px_to_array(o, a); }

static int arrays_of(PyObject *o, px_arrays *out, int (*convert)(PyObject *, px_arg *)) {
  if (!PyList_Check(o) && !PyTuple_Check(o) && !(px_is_array(o) && mlx_array_ndim(px_handle(o)))) return PX_TYPE;
  Py_ssize_t n = px_length(o);
  out->h = mlx_vector_array_new();
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *item = px_element(o, i);
    if (!item) return PX_ERROR;
    px_arg a = {0};
    int rc = convert(item, &a);
    if (!rc && mlx_vector_array_append_value(out->h, a.h)) {
      px_raise();
      rc = PX_ERROR;
    }
    px_drop(&a);
    Py_DECREF(item);
    if (rc) return rc;
  }
  return 0;
}

int px_to_arrays(PyObject *o, px_arrays *out) { return arrays_of(o, out, px_to_array); }
int px_to_any_arrays(PyObject *o, px_arrays *out) { return arrays_of(o, out, px_to_any); }

/* Lists become arrays only where that is asked for. */
static int no_list(PyObject *o) {
  PyErr_Format(PyExc_ValueError, "Invalid type %s received in array initialization.", PyList_Check(o) ? "list" : "tuple");
  return PX_ERROR;
}

int px_to_any(PyObject *o, px_arg *a) {
  if (px_is_array(o)) {
    a->h = px_handle(o);
    return 0;
  }
  if (PyList_Check(o) || PyTuple_Check(o)) return no_list(o);
  return o == Py_None ? PX_TYPE : px_from_object(o, -1, a);
}

/* The dtype that a Python scalar takes beside an array of dtype like. */
mlx_dtype px_weak_dtype(PyObject *o, mlx_dtype like) {
  char k = px_dtype_kind(like);
  if (PyBool_Check(o)) return like;
  if (PyLong_Check(o)) return like == MLX_BOOL ? MLX_INT32 : like;
  if (PyFloat_Check(o)) return k == 'f' || k == 'c' ? like : MLX_FLOAT32;
  return MLX_COMPLEX64;
}

int px_to_weak(PyObject *o, mlx_dtype like, px_arg *a) {
  if (px_is_array(o)) {
    a->h = px_handle(o);
    return 0;
  }
  if (o == Py_None) return PX_TYPE;
  if (PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o)) {
    mlx_dtype t = px_weak_dtype(o, like);
    if (PyBool_Check(o) || !PyLong_Check(o) || like == MLX_BOOL) return px_from_object(o, t, a); /* beside bool, ints wrap */
    mlx_array h = px_own(a);
    return px_set_long(&h, o, (int)t);
  }
  if (PyList_Check(o) || PyTuple_Check(o)) return no_list(o);
  if (px_is_foreign(o)) return px_from_object(o, (int)like, a);
  return px_from_object(o, -1, a);
}

int px_to_weak_or_none(PyObject *o, mlx_dtype like, px_arg *a) { return o == Py_None ? 0 : px_to_weak(o, like, a); }

int px_to_pair(PyObject *x, PyObject *y, px_arg *a, px_arg *b) {
  int rc;
  if (px_is_array(x)) {
    a->h = px_handle(x);
    return px_to_weak(y, mlx_array_dtype(a->h), b);
  }
  if (px_is_array(y)) {
    b->h = px_handle(y);
    return px_to_weak(x, mlx_array_dtype(b->h), a);
  }
  rc = px_to_any(x, a);
  return rc ? rc : px_to_any(y, b);
}
