/* Dtypes, their categories, finfo and iinfo, and the questions about them. */
#include "px_gen.h"

#include <float.h>
#include <math.h>

#define NDTYPES 14
static const struct {
  const char *name, *python;
  char kind;
} dtypes[NDTYPES] = {[MLX_BOOL] = {"bool", "bool_", 'b'},
                     [MLX_UINT8] = {"uint8", "uint8", 'u'},
                     [MLX_UINT16] = {"uint16", "uint16", 'u'},
                     [MLX_UINT32] = {"uint32", "uint32", 'u'},
                     [MLX_UINT64] = {"uint64", "uint64", 'u'},
                     [MLX_INT8] = {"int8", "int8", 'i'},
                     [MLX_INT16] = {"int16", "int16", 'i'},
                     [MLX_INT32] = {"int32", "int32", 'i'},
                     [MLX_INT64] = {"int64", "int64", 'i'},
                     [MLX_FLOAT16] = {"float16", "float16", 'f'},
                     [MLX_FLOAT32] = {"float32", "float32", 'f'},
                     [MLX_FLOAT64] = {"float64", "float64", 'f'},
                     [MLX_BFLOAT16] = {"bfloat16", "bfloat16", 'f'},
                     [MLX_COMPLEX64] = {"complex64", "complex64", 'c'}};

typedef struct dtype_object {
  PyObject_HEAD mlx_dtype t;
} dtype_object;

static PyTypeObject *dtype_type, *finfo_type, *iinfo_type;
static PyObject *objects[NDTYPES], *category_type;

const char *px_dtype_name(mlx_dtype t) { return dtypes[t].name; }
char px_dtype_kind(mlx_dtype t) { return dtypes[t].kind; }
PyObject *px_dtype_object(mlx_dtype t) { return objects[t]; }
bool px_is_dtype(PyObject *o) { return Py_TYPE(o) == dtype_type; }

int px_to_dtype(PyObject *o, mlx_dtype *v) {
  if (!px_is_dtype(o)) return PX_TYPE;
  *v = ((dtype_object *)o)->t;
  return 0;
}

int px_to_dtype_or(PyObject *o, mlx_dtype otherwise, mlx_dtype *v) {
  *v = otherwise;
  return o == Py_None ? 0 : px_to_dtype(o, v);
}

static PyObject *dtype_repr(PyObject *o) { return PyUnicode_FromFormat("mlx.core.%s", dtypes[((dtype_object *)o)->t].name); }
static Py_hash_t dtype_hash(PyObject *o) { return ((dtype_object *)o)->t + 1; }
static PyObject *dtype_compare(PyObject *a, PyObject *b, int how) {
  if (how != Py_EQ && how != Py_NE) Py_RETURN_NOTIMPLEMENTED;
  bool same = px_is_dtype(a) && px_is_dtype(b) && ((dtype_object *)a)->t == ((dtype_object *)b)->t;
  return PyBool_FromLong(same == (how == Py_EQ));
}
static PyObject *dtype_size(PyObject *o, void *c) {
  (void)c;
  return PyLong_FromSize_t(mlx_dtype_size(((dtype_object *)o)->t));
}
static PyObject *dtype_reduce(PyObject *o, PyObject *unused) { /* pickled as a name of the module */
  (void)unused;
  return PyUnicode_FromString(dtypes[((dtype_object *)o)->t].python);
}
static void plain_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_Free(o);
  Py_DECREF(t);
}

/* ---- finfo, iinfo ---- */

typedef struct info_object {
  PyObject_HEAD mlx_dtype t;
} info_object;

typedef struct float_facts {
  int bits;
  double max, eps, smallest;
} float_facts;
static float_facts facts(mlx_dtype t) {
  switch (t) {
  case MLX_FLOAT16: return (float_facts){16, 65504, 0x1p-10, 0x1p-14};
  case MLX_BFLOAT16: return (float_facts){16, 0x1.fep127, 0x1p-7, 0x1p-126};
  case MLX_FLOAT64: return (float_facts){64, DBL_MAX, DBL_EPSILON, DBL_MIN};
  default: return (float_facts){32, FLT_MAX, FLT_EPSILON, FLT_MIN};
  }
}

static PyObject *info_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  bool floating = type == finfo_type;
  static const px_sig sigs[] = {{.name = "__init__", .text = "(self, arg: Dtype, /) -> None"}};
  if (PyTuple_Size(args) != 1 || (kwargs && PyDict_Size(kwargs)) || !px_is_dtype(PyTuple_GetItem(args, 0)))
    return px_type_error_tuple(sigs, args, kwargs);
  mlx_dtype t = ((dtype_object *)PyTuple_GetItem(args, 0))->t;
  char k = dtypes[t].kind;
  if (floating ? k != 'f' && k != 'c' : k != 'i' && k != 'u')
    return PyErr_Format(PyExc_ValueError, floating ? "[finfo] dtype %s is not inexact." : "[iinfo] dtype %s is not an integer.",
                        dtypes[t].name);
  info_object *o = PyObject_New(info_object, type);
  if (o) o->t = k == 'c' ? MLX_FLOAT32 : t;
  return (PyObject *)o;
}

static mlx_dtype info_t(PyObject *o) { return ((info_object *)o)->t; }
static PyObject *info_dtype(PyObject *o, void *c) {
  (void)c;
  return Py_NewRef(objects[info_t(o)]);
}
static PyObject *finfo_bits(PyObject *o, void *c) {
  (void)c;
  return PyLong_FromLong(facts(info_t(o)).bits);
}
static PyObject *finfo_max(PyObject *o, void *c) {
  (void)c;
  return PyFloat_FromDouble(facts(info_t(o)).max);
}
static PyObject *finfo_min(PyObject *o, void *c) {
  (void)c;
  return PyFloat_FromDouble(-facts(info_t(o)).max);
}
static PyObject *finfo_eps(PyObject *o, void *c) {
  (void)c;
  return PyFloat_FromDouble(facts(info_t(o)).eps);
}
static PyObject *finfo_smallest(PyObject *o, void *c) {
  (void)c;
  return PyFloat_FromDouble(facts(info_t(o)).smallest);
}
static PyObject *finfo_repr(PyObject *o) {
  char text[128];
  double max = facts(info_t(o)).max;
  PyOS_snprintf(text, sizeof text, "finfo(min=%g, max=%g, dtype=%s)", -max, max, dtypes[info_t(o)].name);
  return PyUnicode_FromString(text);
}
static int width(PyObject *o) { return (int)(8 * mlx_dtype_size(info_t(o))); }
static PyObject *iinfo_max(PyObject *o, void *c) {
  (void)c;
  bool u = dtypes[info_t(o)].kind == 'u';
  return PyLong_FromUnsignedLongLong(UINT64_MAX >> (64 - width(o) + !u));
}
static PyObject *iinfo_min(PyObject *o, void *c) {
  (void)c;
  return PyLong_FromLongLong(dtypes[info_t(o)].kind == 'u' ? 0 : INT64_MIN >> (64 - width(o)));
}
static PyObject *iinfo_bits(PyObject *o, void *c) {
  (void)c;
  return PyLong_FromLong(width(o));
}
static PyObject *iinfo_repr(PyObject *o) {
  PyObject *lo = iinfo_min(o, NULL), *hi = iinfo_max(o, NULL);
  PyObject *r = lo && hi ? PyUnicode_FromFormat("iinfo(min=%S, max=%S, dtype=%s)", lo, hi, dtypes[info_t(o)].name) : NULL;
  Py_XDECREF(lo);
  Py_XDECREF(hi);
  return r;
}

/* ---- questions ---- */

enum { COMPLEX, FLOATING, INEXACT, SIGNED, UNSIGNED, INTEGER, NUMBER, GENERIC, NCATEGORIES };
static const char *const category_names[] = {"complexfloating", "floating", "inexact", "signedinteger",
                                             "unsignedinteger", "integer",  "number",  "generic"};

static int category_of(mlx_dtype t) {
  switch (dtypes[t].kind) {
  case 'c': return COMPLEX;
  case 'f': return FLOATING;
  case 'i': return SIGNED;
  case 'u': return UNSIGNED;
  default: return GENERIC;
  }
}
static bool within(int c, int outer) {
  static const int parent[] = {INEXACT, INEXACT, NUMBER, INTEGER, INTEGER, NUMBER, GENERIC, -1};
  for (; c >= 0; c = parent[c])
    if (c == outer) return true;
  return false;
}

/* A dtype (*t set) or a category (*t -1). */
static int dtype_or_category(PyObject *o, int *t, int *category, const char *which) {
  *t = -1;
  if (px_is_dtype(o)) {
    *t = (int)((dtype_object *)o)->t;
    *category = category_of((mlx_dtype)*t);
    return 0;
  }
  int is = PyObject_IsInstance(o, category_type);
  if (is > 0) {
    PyObject *v = PyObject_GetAttrString(o, "value");
    *category = v ? (int)PyLong_AsLong(v) : 0;
    Py_XDECREF(v);
    return v ? 0 : PX_ERROR;
  }
  PyErr_Format(PyExc_ValueError, "[issubdtype] Received invalid type for %s input.", which);
  return PX_ERROR;
}

int px_do_issubdtype(PyObject **v, PyObject **out) {
  int ta, ca, tb, cb;
  if (dtype_or_category(v[0], &ta, &ca, "first") || dtype_or_category(v[1], &tb, &cb, "second")) return PX_ERROR;
  *out = PyBool_FromLong(tb >= 0 ? ta == tb : within(ca, cb));
  return 0;
}

static int dtype_of(PyObject *o, mlx_dtype *t) {
  if (!px_is_array(o)) return px_to_dtype(o, t);
  *t = mlx_array_dtype(px_handle(o));
  return 0;
}

/* Arrays and dtypes promote; Python's numbers then follow the dtype that these give. */
int px_do_result_type(PyObject **v, PyObject **out) {
  mlx_dtype t = MLX_BOOL, one;
  Py_ssize_t n = PyTuple_Size(v[0]), typed = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *o = PyTuple_GetItem(v[0], i);
    if (PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o)) continue;
    if (dtype_of(o, &one)) {
      PyErr_SetString(PyExc_ValueError, "[result_type] Inputs must be arrays or dtypes, or Python numbers beside one.");
      return PX_ERROR;
    }
    t = typed++ ? mlx_ext_promote(t, one) : one;
  }
  if (!typed) return PyErr_SetString(PyExc_ValueError, "[result_type] At least one array or dtype is needed."), PX_ERROR;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *o = PyTuple_GetItem(v[0], i);
    if (PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o)) t = mlx_ext_promote(t, px_weak_dtype(o, t));
  }
  *out = Py_NewRef(objects[t]);
  return 0;
}

int px_do_can_cast(PyObject **v, PyObject **out) {
  mlx_dtype from, to;
  if (px_to_dtype(v[1], &to)) return PX_TYPE;
  if (dtype_of(v[0], &from))
    return PyErr_SetString(PyExc_ValueError, "[can_cast] `from_` must be an array or a dtype."), PX_ERROR;
  *out = PyBool_FromLong(mlx_ext_promote(from, to) == to);
  return 0;
}

static int is_kind(mlx_dtype t, PyObject *kind) {
  static const struct {
    const char *name, *kinds;
  } kinds[] = {{"bool", "b"},          {"signed integer", "i"},   {"unsigned integer", "u"}, {"integral", "iu"},
               {"real floating", "f"}, {"complex floating", "c"}, {"numeric", "iufc"}};
  mlx_dtype other;
  if (!px_to_dtype(kind, &other)) return t == other;
  if (PyUnicode_Check(kind)) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
      if (PyUnicode_CompareWithASCIIString(kind, kinds[i].name) == 0) return strchr(kinds[i].kinds, dtypes[t].kind) != NULL;
    PyErr_Format(PyExc_ValueError, "[isdtype] Unknown data type kind: %R.", kind);
    return PX_ERROR;
  }
  if (PyTuple_Check(kind)) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(kind); i++) {
      int r = is_kind(t, PyTuple_GetItem(kind, i));
      if (r) return r;
    }
    return 0;
  }
  PyErr_SetString(PyExc_ValueError, "[isdtype] `kind` must be a dtype, a string, or a tuple of dtypes and strings.");
  return PX_ERROR;
}

int px_do_isdtype(PyObject **v, PyObject **out) {
  mlx_dtype t;
  if (px_to_dtype(v[0], &t)) return PX_TYPE;
  int r = is_kind(t, v[1]);
  if (r < 0) return PX_ERROR;
  *out = PyBool_FromLong(r);
  return 0;
}

/* ---- set up ---- */

/* enum.Enum(name, members) whose members print as "Name.member". */
PyObject *px_make_enum(const char *name, const char *const *members, int n, const char *doc) {
  static const char code[] = "import enum\n"
                             "def make(name, members, doc):\n"
                             "    kind, base = type(enum.Enum), (enum.Enum,)\n"
                             "    ns = kind.__prepare__(name, base)\n"
                             "    ns['__module__'], ns['__qualname__'], ns['__doc__'] = 'mlx.core', name, doc\n"
                             "    ns['__repr__'] = lambda self: f'{name}.{self.name}'\n"
                             "    def eq(self, arg, /): return True if self is arg else NotImplemented\n"
                             "    ns['__eq__'], ns['__hash__'] = eq, enum.Enum.__hash__\n"
                             "    for i, k in enumerate(members): ns[k] = i\n"
                             "    return kind(name, base, ns)\n";
  PyObject *compiled = Py_CompileString(code, "<mlx.core>", Py_file_input), *ns = PyDict_New(), *list = PyList_New(n), *r = NULL;
  for (int i = 0; list && i < n; i++) PyList_SetItem(list, i, PyUnicode_FromString(members[i]));
  if (compiled && ns && list && !PyDict_SetItemString(ns, "__builtins__", PyEval_GetBuiltins())) {
    PyObject *done = PyEval_EvalCode(compiled, ns, ns), *make = done ? PyDict_GetItemString(ns, "make") : NULL;
    r = make ? PyObject_CallFunction(make, "sOs", name, list, doc) : NULL;
    Py_XDECREF(done);
  }
  Py_XDECREF(compiled);
  Py_XDECREF(ns);
  Py_XDECREF(list);
  return r;
}

#define SLOT(name, f) \
  { Py_##name, (void *)(f) }

static PyTypeObject *add_type(PyObject *m, const char *name, PyType_Spec *spec) {
  PyObject *t = PyType_FromSpec(spec);
  if (t && PyModule_AddObjectRef(m, name, t)) Py_CLEAR(t);
  return (PyTypeObject *)t;
}

static int add_types(PyObject *m) {
  static PyGetSetDef dtype_getset[] = {{"size", dtype_size, NULL, "Bytes of one element.", NULL}, {0}};
  static PyMethodDef dtype_methods[] = {PX_EQ, {"__reduce__", dtype_reduce, METH_NOARGS, NULL}, {0}};
  static PyMethodDef info_methods[] = {PX_INIT(", arg, /"), {0}};
  static PyGetSetDef finfo_getset[] = {{"bits", finfo_bits, NULL, "Bits of one number.", NULL},
                                       {"min", finfo_min, NULL, "Lowest finite number.", NULL},
                                       {"max", finfo_max, NULL, "Largest finite number.", NULL},
                                       {"eps", finfo_eps, NULL, "1 to the next larger number.", NULL},
                                       {"smallest_normal", finfo_smallest, NULL, "Smallest positive normal number.", NULL},
                                       {"dtype", info_dtype, NULL, "The dtype.", NULL},
                                       {0}};
  static PyGetSetDef iinfo_getset[] = {{"bits", iinfo_bits, NULL, "Bits of one number.", NULL},
                                       {"min", iinfo_min, NULL, "Lowest number.", NULL},
                                       {"max", iinfo_max, NULL, "Largest number.", NULL},
                                       {"dtype", info_dtype, NULL, "The dtype.", NULL},
                                       {0}};
  PyType_Slot dtype_slots[] = {SLOT(tp_doc, "The type of an array's elements."),
                               SLOT(tp_repr, dtype_repr),
                               SLOT(tp_hash, dtype_hash),
                               SLOT(tp_dealloc, plain_dealloc),
                               SLOT(tp_richcompare, dtype_compare),
                               SLOT(tp_getset, dtype_getset),
                               SLOT(tp_methods, dtype_methods),
                               {0, NULL}};
  PyType_Slot finfo_slots[] = {SLOT(tp_doc, "finfo(arg, /)\n--\n\nLimits of a floating dtype."),
                               SLOT(tp_methods, info_methods),
                               SLOT(tp_new, info_new),
                               SLOT(tp_init, px_init_done),
                               SLOT(tp_repr, finfo_repr),
                               SLOT(tp_dealloc, plain_dealloc),
                               SLOT(tp_getset, finfo_getset),
                               {0, NULL}};
  PyType_Slot iinfo_slots[] = {SLOT(tp_doc, "iinfo(arg, /)\n--\n\nLimits of an integer dtype."),
                               SLOT(tp_methods, info_methods),
                               SLOT(tp_new, info_new),
                               SLOT(tp_init, px_init_done),
                               SLOT(tp_repr, iinfo_repr),
                               SLOT(tp_dealloc, plain_dealloc),
                               SLOT(tp_getset, iinfo_getset),
                               {0, NULL}};
  PyType_Spec specs[] = {
      {"mlx.core.Dtype", sizeof(dtype_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, dtype_slots},
      {"mlx.core.finfo", sizeof(info_object), 0, Py_TPFLAGS_DEFAULT, finfo_slots},
      {"mlx.core.iinfo", sizeof(info_object), 0, Py_TPFLAGS_DEFAULT, iinfo_slots}};
  return (dtype_type = add_type(m, "Dtype", &specs[0])) && (finfo_type = add_type(m, "finfo", &specs[1])) &&
                 (iinfo_type = add_type(m, "iinfo", &specs[2]))
             ? 0
             : -1;
}

int px_init_dtype(PyObject *m) {
  if (add_types(m)) return -1;
  for (int t = 0; t < NDTYPES; t++) {
    dtype_object *o = PyObject_New(dtype_object, dtype_type);
    if (!o) return -1;
    o->t = (mlx_dtype)t;
    objects[t] = (PyObject *)o;
    if (PyModule_AddObjectRef(m, dtypes[t].python, objects[t])) return -1;
  }
  if (PyModule_AddObjectRef(m, "bool", objects[MLX_BOOL])) return -1; /* the array standard's name of bool_ */
  category_type = px_make_enum("DtypeCategory", category_names, NCATEGORIES, "Kinds of dtypes, for issubdtype.");
  if (!category_type || PyModule_AddObjectRef(m, "DtypeCategory", category_type)) return -1;
  for (int i = 0; i < NCATEGORIES; i++) {
    PyObject *c = PyObject_GetAttrString(category_type, category_names[i]);
    if (!c || PyModule_AddObjectRef(m, category_names[i], c)) return -1;
    Py_DECREF(c);
  }
  return 0;
}
