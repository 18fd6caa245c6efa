/* custom_primitive: operations whose evaluation is a Python function of NumPy arrays and whose rules are functions of mx arrays.
 *
 * Rules run where the graph is built, under the interpreter lock: their exceptions come out as they are. An evaluation may run on a thread
 * of the library, which takes the lock for it; who waits for that thread meanwhile gives the lock up (the hooks at the end). Its inputs are
 * copies, so that what a function keeps of them stays valid; its exceptions become errors of the arrays. */
#include "func.h"

#include <dlfcn.h>

#include "mlx/c/custom.h"

typedef struct primitive_object {
  PyObject_HEAD PyObject *name, *eval, *shape, *vjp, *jvp, *vmap, *parameters; /* parameters: a dict of defaults */
  size_t nout;
} primitive_object;

static PyTypeObject *primitive_type;

/* ---- parameters: integers, or the bits of doubles, in the order of the defaults ---- */

static PyObject *from_param(PyObject *like, int64_t p) {
  if (PyBool_Check(like)) return PyBool_FromLong(p != 0);
  return PyFloat_Check(like) ? PyFloat_FromDouble(mlx_double_param(p)) : PyLong_FromLongLong(p);
}

static PyObject *params_dict(const primitive_object *o, const int64_t *p, size_t n) {
  PyObject *dict = PyDict_New(), *key, *like;
  Py_ssize_t pos = 0;
  size_t i = 0;
  while (dict && i < n && PyDict_Next(o->parameters, &pos, &key, &like)) {
    PyObject *v = from_param(like, p[i++]);
    if (!v || PyDict_SetItem(dict, key, v)) Py_CLEAR(dict);
    Py_XDECREF(v);
  }
  return dict;
}

static int to_param(PyObject *like, PyObject *v, int64_t *p) {
  if (PyFloat_Check(like)) {
    double d = PyFloat_AsDouble(v);
    *p = mlx_param_double(d);
  } else
    *p = PyLong_AsLongLong(v);
  return PyErr_Occurred() ? PX_ERROR : 0;
}

/* ---- rules ---- */

/* The arrays of v; one is itself, as in custom_function. */
static PyObject *arrays_of(mlx_vector_array v) {
  PyObject *t = px_vector_tuple(v);
  if (!t || PyTuple_Size(t) != 1) return t;
  PyObject *one = Py_NewRef(PyTuple_GetItem(t, 0));
  Py_DECREF(t);
  return one;
}

/* rule(*parts, **params); steals the parts. */
static PyObject *call(const primitive_object *o, PyObject *rule, PyObject *parts, const int64_t *p, size_t n) {
  PyObject *kwargs = parts ? params_dict(o, p, n) : NULL, *r = kwargs ? PyObject_Call(rule, parts, kwargs) : NULL;
  Py_XDECREF(parts);
  Py_XDECREF(kwargs);
  return r;
}

static int one_shape(PyObject *v, mlx_primitive_shape *out) {
  bool pair = PyTuple_Check(v) && PyTuple_Size(v) == 2;
  PyObject *shape = pair ? Py_NewRef(PyTuple_GetItem(v, 0)) : PyObject_GetAttrString(v, "shape");
  PyObject *dtype = pair ? Py_NewRef(PyTuple_GetItem(v, 1)) : shape ? PyObject_GetAttrString(v, "dtype") : NULL;
  px_ints dims;
  int rc = shape && dtype ? px_to_shape(shape, &dims) : PX_TYPE;
  if (!rc) rc = px_to_dtype(dtype, &out->dtype);
  if (rc && !(PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError))) {
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "A shape rule must give (shape, dtype), or an array of that shape and dtype, got %R.", v);
  }
  if (!rc) {
    out->ndim = dims.n;
    memcpy(out->shape, dims.v, (size_t)dims.n * sizeof(int));
  }
  Py_XDECREF(shape);
  Py_XDECREF(dtype);
  return rc;
}

static int give_shapes(const primitive_object *o, PyObject *v, mlx_primitive_shape *out) {
  if (o->nout == 1) return one_shape(v, out);
  if (!PySequence_Check(v) || PySequence_Size(v) != (Py_ssize_t)o->nout) {
    PyErr_Format(PyExc_ValueError, "The shape rule of %U must give %zu shapes and dtypes.", o->name, o->nout);
    return PX_ERROR;
  }
  int rc = 0;
  for (size_t i = 0; i < o->nout && !rc; i++) {
    PyObject *x = PySequence_GetItem(v, (Py_ssize_t)i);
    rc = x ? one_shape(x, &out[i]) : PX_ERROR;
    Py_XDECREF(x);
  }
  return rc;
}

static int run_shape(mlx_primitive_shape *out, const mlx_vector_array in, const int64_t *p, size_t n, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  primitive_object *o = payload;
  PyObject *t = px_vector_tuple(in), *v = NULL;
  if (t && o->shape != Py_None)
    v = call(o, o->shape, t, p, n);
  else if (t) { /* as the first input */
    v = PyTuple_Size(t) ? Py_NewRef(PyTuple_GetItem(t, 0)) : NULL;
    if (!v) PyErr_Format(PyExc_ValueError, "%U needs a shape rule: it has no input.", o->name);
    Py_DECREF(t);
  }
  int rc = v ? o->shape == Py_None && o->nout > 1 ? (PyErr_Format(PyExc_ValueError, "%U needs a shape rule: it has %zu outputs.", o->name, o->nout), PX_ERROR)
                                                  : give_shapes(o, v, out)
             : PX_ERROR;
  Py_XDECREF(v);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

/* The arrays of a result; None, where there is a `like`, stands for zeros. */
static int give(PyObject *v, mlx_vector_array like, mlx_vector_array *res) {
  PyObject *seq = PyTuple_Check(v) || PyList_Check(v) ? Py_NewRef(v) : PyTuple_Pack(1, v);
  px_list l = {0};
  int rc = seq ? 0 : PX_ERROR;
  for (Py_ssize_t i = 0; !rc && i < PySequence_Size(seq); i++) {
    PyObject *x = PySequence_GetItem(seq, i);
    PX_ARG(a);
    if (x == Py_None && like.ctx && (size_t)i < mlx_vector_array_size(like)) {
      mlx_array to = px_own(&a);
      mlx_stream s = mlx_ext_default_stream();
      rc = mlx_vector_array_get(&to, like, (size_t)i) || mlx_zeros_like(&to, to, s) ? px_failed() : 0;
    } else if (x && px_to_array(x, &a)) {
      PyErr_Format(PyExc_ValueError, "A rule of a custom primitive must give arrays, got %R.", x);
      rc = PX_ERROR;
    }
    if (!rc) rc = px_list_push(&l, a.h);
    Py_XDECREF(x);
  }
  if (!rc && !(*res = px_list_vector(&l)).ctx) rc = PX_ERROR;
  px_list_clear(&l);
  Py_XDECREF(seq);
  return rc;
}

static int run_vjp(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array cot, const mlx_vector_array out,
                   const int64_t *p, size_t n, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  primitive_object *o = payload;
  PyObject *v = call(o, o->vjp, Py_BuildValue("(NNN)", arrays_of(primals), arrays_of(cot), arrays_of(out)), p, n);
  int rc = v ? give(v, primals, res) : PX_ERROR;
  Py_XDECREF(v);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static int run_jvp(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array tan, const int64_t *p, size_t n,
                   void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  primitive_object *o = payload;
  PyObject *v = call(o, o->jvp, Py_BuildValue("(NN)", arrays_of(primals), arrays_of(tan)), p, n);
  int rc = v ? give(v, (mlx_vector_array){NULL}, res) : PX_ERROR;
  Py_XDECREF(v);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static PyObject *axes_of(const int *axes, size_t n) {
  PyObject *t = PyTuple_New((Py_ssize_t)n);
  for (size_t i = 0; t && i < n; i++) PyTuple_SetItem(t, (Py_ssize_t)i, axes[i] < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(axes[i]));
  if (!t || n != 1) return t;
  PyObject *one = Py_NewRef(PyTuple_GetItem(t, 0));
  Py_DECREF(t);
  return one;
}

static int to_axis(PyObject *o, int *axis) {
  *axis = -1;
  return o == Py_None ? 0 : px_to_int(o, axis);
}

static int give_axes(const primitive_object *o, PyObject *axes, int *to) {
  bool many = PyTuple_Check(axes) || PyList_Check(axes);
  int rc = many && PySequence_Size(axes) != (Py_ssize_t)o->nout ? PX_TYPE : 0;
  for (size_t i = 0; i < o->nout && !rc; i++) {
    PyObject *a = many ? PySequence_GetItem(axes, (Py_ssize_t)i) : Py_NewRef(axes);
    rc = to_axis(a, &to[i]);
    Py_XDECREF(a);
  }
  if (rc && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "A vmap rule must give an int or None for each output.");
  return rc;
}

static int run_vmap(mlx_vector_array *res, int *res_axes, const mlx_vector_array in, const int *axes, const int64_t *p, size_t n,
                    void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  primitive_object *o = payload;
  PyObject *v = call(o, o->vmap, Py_BuildValue("(NN)", arrays_of(in), axes_of(axes, mlx_vector_array_size(in))), p, n);
  int rc = v ? 0 : PX_ERROR;
  if (!rc && (!PyTuple_Check(v) || PyTuple_Size(v) != 2)) {
    PyErr_SetString(PyExc_ValueError, "A vmap rule must give the outputs and their axes.");
    rc = PX_ERROR;
  }
  if (!rc) rc = give(PyTuple_GetItem(v, 0), (mlx_vector_array){NULL}, res);
  if (!rc) rc = give_axes(o, PyTuple_GetItem(v, 1), res_axes);
  Py_XDECREF(v);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

/* ---- evaluation ---- */

static float bf16_value(uint16_t bits) {
  uint32_t u = (uint32_t)bits << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}
static uint16_t bf16_bits(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return f != f ? 0x7fc0 : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* The elements from axis on, in row order; bfloat16 ones become floats. Gives where the next goes. */
static char *gather(char *to, const mlx_primitive_buffer *b, size_t axis, const char *from) {
  size_t item = mlx_dtype_size(b->dtype);
  if (axis < b->ndim) {
    for (int i = 0; i < b->shape[axis]; i++) to = gather(to, b, axis + 1, from + (int64_t)i * b->strides[axis] * (int64_t)item);
    return to;
  }
  if (b->dtype != MLX_BFLOAT16) return (char *)memcpy(to, from, item) + item;
  uint16_t bits;
  memcpy(&bits, from, sizeof bits);
  float f = bf16_value(bits);
  return (char *)memcpy(to, &f, sizeof f) + sizeof f;
}

/* A NumPy array of its own memory. */
static PyObject *copied(const mlx_primitive_buffer *b) {
  PyObject *a = px_new(), *r = NULL;
  void *data = NULL;
  if (!a) return NULL;
  mlx_array h = px_handle(a);
  if (mlx_ext_empty(&h, (int)b->ndim, b->shape, b->dtype == MLX_BFLOAT16 ? MLX_FLOAT32 : b->dtype, &data))
    px_raise();
  else {
    if (b->size) gather(data, b, 0, b->data);
    r = px_numpy(a);
  }
  Py_DECREF(a);
  return r;
}

static bool same_format(const char *given, const char *want) {
  char g = given && given[0] && !given[1] ? given[0] : 0, w = want[0];
  if (want[1]) return given && !strcmp(given, want); /* Zf */
  g = g == 'l' ? 'q' : g == 'L' ? 'Q' : g;
  return g == (w == 'l' ? 'q' : w == 'L' ? 'Q' : w);
}

static int store(PyObject *value, const mlx_primitive_buffer *b, size_t i) {
  mlx_dtype dtype = b->dtype == MLX_BFLOAT16 ? MLX_FLOAT32 : b->dtype;
  PyObject *numpy = PyImport_ImportModule("numpy");
  PyObject *dense = numpy ? PyObject_CallMethod(numpy, "asarray", "OOs", value, Py_None, "C") : NULL;
  Py_buffer view;
  int rc = dense && !PyObject_GetBuffer(dense, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) ? 0 : PX_ERROR;
  if (!rc) {
    bool fits = (size_t)view.ndim == b->ndim && same_format(view.format, px_format(dtype));
    for (size_t d = 0; fits && d < b->ndim; d++) fits = view.shape[d] == b->shape[d];
    if (!fits) {
      PyErr_Format(PyExc_ValueError, "The evaluation gave output %zu of another shape or dtype than its shape rule: %d dimensions of '%s', expected %zu of '%s'.",
                   i, view.ndim, view.format ? view.format : "B", b->ndim, px_format(dtype));
      rc = PX_ERROR;
    } else if (b->dtype == MLX_BFLOAT16)
      for (size_t k = 0; k < b->size; k++) ((uint16_t *)b->data)[k] = bf16_bits(((const float *)view.buf)[k]);
    else if (b->size)
      memcpy(b->data, view.buf, b->size * mlx_dtype_size(b->dtype));
    PyBuffer_Release(&view);
  }
  Py_XDECREF(dense);
  Py_XDECREF(numpy);
  return rc;
}

static int store_all(const primitive_object *o, PyObject *v, const mlx_primitive_call *c) {
  if (c->outputs_num == 1) return store(v, c->outputs, 0);
  if ((!PyTuple_Check(v) && !PyList_Check(v)) || PySequence_Size(v) != (Py_ssize_t)c->outputs_num) {
    PyErr_Format(PyExc_ValueError, "The evaluation of %U must give %zu arrays.", o->name, c->outputs_num);
    return PX_ERROR;
  }
  int rc = 0;
  for (size_t i = 0; i < c->outputs_num && !rc; i++) {
    PyObject *x = PySequence_GetItem(v, (Py_ssize_t)i);
    rc = x ? store(x, &c->outputs[i], i) : PX_ERROR;
    Py_XDECREF(x);
  }
  return rc;
}

/* The pending exception becomes the library's error, which the arrays keep. */
static void keep_exception(const primitive_object *o) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  PyObject *kind = type ? PyObject_GetAttrString(type, "__name__") : NULL, *text = PyUnicode_FromFormat("[%U] %S: %S", o->name, kind, value);
  const char *name = kind ? PyUnicode_AsUTF8AndSize(kind, NULL) : NULL, *message = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  mlx_ext_fail(name ? name : "RuntimeError", message ? message : "The evaluation of a custom primitive failed.");
  PyErr_Clear();
  Py_XDECREF(kind);
  Py_XDECREF(text);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(trace);
}

static int run_eval(const mlx_primitive_call *c, void *payload) {
  if (!Py_IsInitialized()) return mlx_primitive_error("The interpreter has ended.");
  PyGILState_STATE lock = PyGILState_Ensure();
  primitive_object *o = payload;
  PyObject *in = PyTuple_New((Py_ssize_t)c->inputs_num);
  for (size_t i = 0; in && i < c->inputs_num; i++) {
    PyObject *x = copied(&c->inputs[i]);
    if (!x)
      Py_CLEAR(in);
    else
      PyTuple_SetItem(in, (Py_ssize_t)i, x);
  }
  PyObject *v = call(o, o->eval, in, c->params, c->params_num);
  int rc = v ? store_all(o, v, c) : PX_ERROR;
  Py_XDECREF(v);
  if (rc) keep_exception(o);
  PyGILState_Release(lock);
  return rc != 0;
}

/* ---- the object ---- */

static void drop(void *payload) { px_release_later(payload); }

static int register_it(primitive_object *o) {
  const char *name = PyUnicode_AsUTF8AndSize(o->name, NULL);
  if (!name) return PX_ERROR;
  mlx_primitive_rules r = {.outputs_num = o->nout,
                           .shape = run_shape,
                           .eval = run_eval,
                           .vjp = o->vjp != Py_None ? run_vjp : NULL,
                           .jvp = o->jvp != Py_None ? run_jvp : NULL,
                           .vmap = o->vmap != Py_None ? run_vmap : NULL,
                           .payload = Py_NewRef((PyObject *)o),
                           .dtor = drop};
  return mlx_primitive_register(name, &r) ? px_failed() : 0;
}

/* Values of all parameters, in order: those given, else the defaults. kwargs loses what was taken. */
static int to_params(const primitive_object *o, PyObject *kwargs, int64_t *p) {
  PyObject *key, *like;
  Py_ssize_t pos = 0;
  size_t i = 0, given = 0;
  while (PyDict_Next(o->parameters, &pos, &key, &like)) {
    PyObject *v = kwargs ? PyDict_GetItemWithError(kwargs, key) : NULL;
    given += v != NULL;
    if (PyErr_Occurred() || to_param(like, v ? v : like, &p[i++])) return PX_ERROR;
  }
  if (!kwargs || given == (size_t)PyDict_Size(kwargs)) return 0;
  PyErr_Format(PyExc_TypeError, "%U() takes the keyword arguments %R and stream, got %R.", o->name, o->parameters, kwargs);
  return PX_ERROR;
}

static int to_operands(PyObject *args, px_list *l) {
  int rc = 0;
  for (Py_ssize_t i = 0; !rc && i < PyTuple_Size(args); i++) {
    PX_ARG(a);
    rc = px_to_any(PyTuple_GetItem(args, i), &a);
    if (rc == PX_TYPE) PyErr_Format(PyExc_TypeError, "Argument %zd of a custom primitive is no array: %R.", i, PyTuple_GetItem(args, i));
    if (!rc) rc = px_list_push(l, a.h);
  }
  return rc;
}

static PyObject *apply(const primitive_object *o, px_list *l, const int64_t *p, mlx_stream s) {
  const char *name = PyUnicode_AsUTF8AndSize(o->name, NULL);
  mlx_vector_array in = name ? px_list_vector(l) : (mlx_vector_array){NULL}, out = mlx_vector_array_new();
  PyObject *r = NULL;
  if (in.ctx) {
    r = mlx_primitive_apply(&out, name, in, p, (size_t)PyDict_Size(o->parameters), s) ? px_raise() : px_vector_tuple(out);
    mlx_vector_array_free(in);
  }
  mlx_vector_array_free(out);
  if (!r || PyTuple_Size(r) != 1) return r;
  PyObject *one = Py_NewRef(PyTuple_GetItem(r, 0));
  Py_DECREF(r);
  return one;
}

static PyObject *primitive_call(PyObject *self, PyObject *args, PyObject *kwargs) {
  const primitive_object *o = (primitive_object *)self;
  PyObject *named = kwargs ? PyDict_Copy(kwargs) : NULL, *stream = named ? PyDict_GetItemString(named, "stream") : NULL, *r = NULL;
  int64_t *p = PyMem_Malloc((size_t)(PyDict_Size(o->parameters) + 1) * sizeof *p);
  px_list l = {0};
  PX_STREAM(s);
  int rc = p ? px_stream_arg(stream, &s) : (PyErr_NoMemory(), PX_ERROR);
  if (rc == PX_TYPE) PyErr_SetString(PyExc_TypeError, "stream must be a stream, a device or None.");
  if (!rc && stream) rc = PyDict_DelItemString(named, "stream");
  if (!rc) rc = to_params(o, named, p) || to_operands(args, &l);
  if (!rc) r = apply(o, &l, p, s.h);
  px_list_clear(&l);
  PyMem_Free(p);
  Py_XDECREF(named);
  return r;
}

static PyObject **members(primitive_object *o, int i) {
  PyObject **all[] = {&o->name, &o->eval, &o->shape, &o->vjp, &o->jvp, &o->vmap, &o->parameters};
  return i < 7 ? all[i] : NULL;
}
static int primitive_traverse(PyObject *o, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(o));
  for (int i = 0; i < 7; i++) Py_VISIT(*members((primitive_object *)o, i));
  return 0;
}
static int primitive_clear(PyObject *o) {
  for (int i = 0; i < 7; i++) Py_CLEAR(*members((primitive_object *)o, i));
  return 0;
}
static void primitive_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  primitive_clear(o);
  PyObject_GC_Del(o);
  Py_DECREF(t);
}
static PyObject *primitive_repr(PyObject *o) { return PyUnicode_FromFormat("<custom primitive %U>", ((primitive_object *)o)->name); }
static PyObject *primitive_name(PyObject *o, void *unused) {
  (void)unused;
  return Py_NewRef(((primitive_object *)o)->name);
}

static bool are_numbers(PyObject *dict) {
  PyObject *key, *v;
  Py_ssize_t pos = 0;
  while (PyDict_Next(dict, &pos, &key, &v))
    if (!PyUnicode_Check(key) || (!PyLong_Check(v) && !PyFloat_Check(v))) return false;
  return true;
}

int px_do_custom_primitive(PyObject **v, PyObject **out) { /* name, eval, shape, vjp, jvp, vmap, outputs, parameters */
  int nout = 1;
  if (!PyUnicode_Check(v[0])) return PX_TYPE;
  for (int i = 1; i < 6; i++)
    if (v[i] && v[i] != Py_None && !PyCallable_Check(v[i])) return PX_TYPE;
  if (v[6]) PX_TRY(px_to_int(v[6], &nout));
  if (v[7] && v[7] != Py_None && (!PyDict_Check(v[7]) || !are_numbers(v[7]))) return PX_TYPE;
  const char *name = PyUnicode_AsUTF8AndSize(v[0], NULL);
  if (!name) return PX_ERROR;
  bool given = v[1] && v[1] != Py_None;
  if (!given && !mlx_primitive_is_registered(name)) {
    PyErr_Format(PyExc_KeyError, "[custom_primitive] The primitive '%s' is not registered, and no eval is given.", name);
    return PX_ERROR;
  }
  if (nout < 1) {
    PyErr_Format(PyExc_ValueError, "[custom_primitive] %d outputs given, expected 1 or more.", nout);
    return PX_ERROR;
  }
  primitive_object *o = PyObject_GC_New(primitive_object, primitive_type);
  if (!o) return PX_ERROR;
  for (int i = 0; i < 6; i++) *members(o, i) = Py_NewRef(v[i] ? v[i] : Py_None);
  o->parameters = v[7] && v[7] != Py_None ? PyDict_Copy(v[7]) : PyDict_New();
  o->nout = (size_t)nout;
  PyObject_GC_Track(o);
  if (!o->parameters || (given && register_it(o))) {
    Py_DECREF(o);
    return PX_ERROR;
  }
  *out = (PyObject *)o;
  return 0;
}

/* ---- waiting without the interpreter lock ---- */

static int (*holds_lock)(void); /* PyGILState_Check, which is not part of the limited API */

static void *before_wait(void) { return holds_lock && Py_IsInitialized() && holds_lock() ? PyEval_SaveThread() : NULL; }
static void after_wait(void *state) {
  if (state) PyEval_RestoreThread(state);
}

int px_init_primitive(PyObject *m) {
  (void)m;
  static PyGetSetDef getset[] = {{"__name__", primitive_name, NULL, NULL, NULL}, {0}};
  PyType_Slot slots[] = {{Py_tp_doc, (void *)"An operation made by custom_primitive: takes arrays and its parameters as keywords."},
                         {Py_tp_call, (void *)primitive_call},
                         {Py_tp_traverse, (void *)primitive_traverse},
                         {Py_tp_clear, (void *)primitive_clear},
                         {Py_tp_dealloc, (void *)primitive_dealloc},
                         {Py_tp_repr, (void *)primitive_repr},
                         {Py_tp_getset, getset},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core.CustomPrimitive", sizeof(primitive_object), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  *(void **)&holds_lock = dlsym(RTLD_DEFAULT, "PyGILState_Check");
  mlx_ext_set_wait_hooks(before_wait, after_wait);
  primitive_type = (PyTypeObject *)PyType_FromSpec(&spec);
  return primitive_type ? 0 : -1;
}
