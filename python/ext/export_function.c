/* export_function, exporter, import_function: Python functions traced with positional and keyword arrays, and the dicts that an export
 * to a callback is told in. */
#include "func.h"

#include "mlx/c/export.h"
#include "mlx/c/export_extras.h"

/* ---- arguments: arrays by place and by name ---- */

typedef struct inputs {
  mlx_vector_array args;
  mlx_map_string_to_array kwargs;
} inputs;

static void drop_inputs(inputs *in) {
  mlx_vector_array_free(in->args);
  mlx_map_string_to_array_free(in->kwargs);
}

static int add_positional(inputs *in, PyObject *sequence) {
  Py_ssize_t n = PySequence_Size(sequence);
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(sequence, i);
    int rc = !x ? PX_ERROR : !px_is_array(x) ? PX_TYPE : mlx_vector_array_append_value(in->args, px_handle(x)) ? px_failed() : 0;
    Py_XDECREF(x);
    if (rc) return rc;
  }
  return 0;
}

static int add_named(inputs *in, PyObject *dict) {
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  while (PyDict_Next(dict, &pos, &key, &value)) {
    if (!PyUnicode_Check(key) || !px_is_array(value)) return PX_TYPE;
    const char *name = PyUnicode_AsUTF8AndSize(key, NULL);
    if (!name) return PX_ERROR;
    if (mlx_map_string_to_array_insert(in->kwargs, name, px_handle(value))) return px_failed();
  }
  return 0;
}

static bool is_sequence(PyObject *o) { return PyTuple_Check(o) || PyList_Check(o); }

/* args from `first` on: arrays, or a sequence and a dict of them, either of which may be missing. */
static int to_inputs(PyObject *args, Py_ssize_t first, PyObject *kwargs, const char *tag, inputs *in) {
  Py_ssize_t n = PyTuple_Size(args) - first;
  *in = (inputs){mlx_vector_array_new(), mlx_map_string_to_array_new()};
  PyObject *a = n > 0 ? PyTuple_GetItem(args, first) : NULL, *b = n > 1 ? PyTuple_GetItem(args, first + 1) : NULL;
  bool named = kwargs && PyDict_Size(kwargs);
  int rc = 0;
  if (!named && n == 1 && PyDict_Check(a))
    rc = add_named(in, a);
  else if (!named && a && is_sequence(a) && (n == 1 || (n == 2 && PyDict_Check(b))))
    rc = add_positional(in, a) || (b && add_named(in, b)) ? (PyErr_Occurred() ? PX_ERROR : PX_TYPE) : 0;
  else {
    PyObject *rest = PyTuple_GetSlice(args, first, first + n);
    rc = rest ? add_positional(in, rest) : PX_ERROR;
    if (!rc && kwargs) rc = add_named(in, kwargs);
    Py_XDECREF(rest);
  }
  if (!rc) return 0;
  if (rc == PX_TYPE)
    PyErr_Format(PyExc_ValueError,
                 "[%s] Inputs can either be a variable number of positional and keyword arrays or a single tuple and/or dictionary of "
                 "arrays.",
                 tag);
  drop_inputs(in);
  return PX_ERROR;
}

/* ---- the function as a closure ---- */

static PyObject *named_arrays(mlx_map_string_to_array map) {
  PyObject *dict = PyDict_New();
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(map);
  const char *key;
  while (dict) {
    PyObject *x = px_new();
    mlx_array h = x ? px_handle(x) : (mlx_array){NULL};
    int rc = x ? mlx_map_string_to_array_iterator_next(&key, &h, it) : 1;
    if (rc == 2) {
      Py_DECREF(x);
      break;
    }
    if (rc || PyDict_SetItemString(dict, key, x)) {
      if (x && rc) px_failed();
      Py_CLEAR(dict);
    }
    Py_XDECREF(x);
  }
  mlx_map_string_to_array_iterator_free(it);
  return dict;
}

static bool only_arrays(PyObject *value) {
  if (px_is_array(value)) return true;
  if (!is_sequence(value)) return false;
  Py_ssize_t n = PySequence_Size(value);
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *x = PySequence_GetItem(value, i);
    bool array = x && px_is_array(x);
    Py_XDECREF(x);
    if (!array) return false;
  }
  return true;
}

static int run(mlx_vector_array *res, const mlx_vector_array args, const mlx_map_string_to_array kwargs, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  PyObject *named = named_arrays(kwargs), *value = named ? px_call_user(payload, px_vector_tuple(args), named) : NULL;
  int rc = !value;
  if (value && !only_arrays(value)) {
    PyErr_SetString(PyExc_ValueError, "[export_function] Outputs can be either a single array, a tuple, or a list of arrays.");
    rc = PX_ERROR;
  }
  if (!rc) rc = px_give_arrays(res, value, true);
  Py_XDECREF(named);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static void drop(void *payload) { px_release_later(payload); }
static mlx_closure_kwargs closure_of(PyObject *fun) { return mlx_closure_kwargs_new_func_payload(run, Py_NewRef(fun), drop); }

/* ---- steps as dicts ---- */

static PyObject *shape_of(const int *shape, size_t n) {
  PyObject *t = PyTuple_New((Py_ssize_t)n);
  for (size_t i = 0; t && i < n; i++) PyTuple_SetItem(t, (Py_ssize_t)i, PyLong_FromLong(shape[i]));
  return t;
}

static PyObject *value_of(mlx_export_step_kind kind, const mlx_export_value *v) {
  if (kind == MLX_EXPORT_KEYWORD_INPUTS) return Py_BuildValue("(ss)", v->keyword, v->name);
  if (kind == MLX_EXPORT_CONSTANTS) return Py_BuildValue("(sN)", v->name, px_wrap(v->array));
  return Py_BuildValue("(sNO)", v->name, shape_of(v->shape, v->ndim), px_dtype_object(v->dtype));
}

static PyObject *list_of(mlx_export_step_kind kind, const mlx_export_value *v, size_t n) {
  PyObject *list = PyList_New(0);
  for (size_t i = 0; list && i < n; i++) {
    PyObject *x = value_of(kind, &v[i]);
    if (!x || PyList_Append(list, x)) Py_CLEAR(list);
    Py_XDECREF(x);
  }
  return list;
}

static PyObject *argument_of(const mlx_export_argument *a) {
  double d;
  switch (a->kind) {
    case MLX_EXPORT_INT: return PyLong_FromLongLong(a->value[0]);
    case MLX_EXPORT_BOOL: return PyBool_FromLong(a->value[0] != 0);
    case MLX_EXPORT_FLOAT: memcpy(&d, a->value, sizeof d); return PyFloat_FromDouble(d);
    case MLX_EXPORT_DTYPE: return Py_NewRef(px_dtype_object((mlx_dtype)a->value[0]));
    case MLX_EXPORT_LETTER: return PyUnicode_FromFormat("%c", (int)a->value[0]);
    default: break;
  }
  PyObject *list = PyList_New((Py_ssize_t)a->size);
  for (size_t i = 0; list && i < a->size; i++) PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLongLong(a->value[i]));
  if (a->kind == MLX_EXPORT_LIST || !list) return list;
  PyObject *tuple = PyList_AsTuple(list);
  Py_DECREF(list);
  return tuple;
}

static PyObject *primitive_of(const mlx_export_step *s) {
  PyObject *arguments = PyList_New((Py_ssize_t)s->arguments_num);
  for (size_t i = 0; arguments && i < s->arguments_num; i++) PyList_SetItem(arguments, (Py_ssize_t)i, argument_of(&s->arguments[i]));
  if (!arguments) return NULL;
  return Py_BuildValue("{ss,ss,sN,sN,sN}", "type", "primitive", "name", s->name, "inputs", list_of(s->kind, s->inputs, s->inputs_num), "outputs",
                       list_of(s->kind, s->outputs, s->outputs_num), "arguments", arguments);
}

static int tell(const mlx_export_step *s, void *payload) {
  static const char *const key[] = {"inputs", "keywords", "outputs", "constants"};
  static const char *const type[] = {"inputs", "keyword_inputs", "outputs", "constants"};
  PyGILState_STATE lock = PyGILState_Ensure();
  PyObject *d = s->kind == MLX_EXPORT_PRIMITIVE
                    ? primitive_of(s)
                    : Py_BuildValue("{ss,sN}", "type", type[s->kind], key[s->kind], list_of(s->kind, s->inputs, s->inputs_num));
  PyObject *r = d ? PyObject_CallFunctionObjArgs(payload, d, NULL) : NULL;
  int rc = !r;
  Py_XDECREF(d);
  Py_XDECREF(r);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

/* ---- FunctionExporter ---- */

typedef struct exporter_object {
  PyObject_HEAD mlx_function_exporter h;
} exporter_object;

static PyTypeObject *exporter_type, *imported_type;

static PyObject *exporter_call(PyObject *o, PyObject *args, PyObject *kwargs) {
  exporter_object *x = (exporter_object *)o;
  inputs in;
  if (!x->h.ctx) {
    PyErr_SetString(PyExc_RuntimeError, "[export_function] Attempting to write after exporting is closed.");
    return NULL;
  }
  if (to_inputs(args, 0, kwargs, "export_function", &in)) return NULL;
  int rc = mlx_function_exporter_apply_kwargs(x->h, in.args, in.kwargs);
  drop_inputs(&in);
  if (rc) return px_raise();
  Py_RETURN_NONE;
}

static PyObject *exporter_close(PyObject *o, PyObject *unused) {
  (void)unused;
  exporter_object *x = (exporter_object *)o;
  mlx_function_exporter h = x->h;
  x->h.ctx = NULL;
  if (mlx_function_exporter_free(h)) return px_raise();
  Py_RETURN_NONE;
}

static PyObject *exporter_enter(PyObject *o, PyObject *unused) {
  (void)unused;
  return Py_NewRef(o);
}

static PyObject *exporter_exit(PyObject *o, PyObject *args, PyObject *kwargs) {
  (void)args, (void)kwargs;
  return exporter_close(o, NULL);
}

static void exporter_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  exporter_object *x = (exporter_object *)o;
  if (x->h.ctx) mlx_function_exporter_free(x->h);
  PyObject_Free(o);
  Py_DECREF(t);
}

static PyObject *new_exporter(const char *file, PyObject *fun, bool shapeless, const char *metadata) {
  exporter_object *x = PyObject_New(exporter_object, exporter_type);
  if (!x) return NULL;
  mlx_closure_kwargs f = closure_of(fun);
  x->h = mlx_function_exporter_new_kwargs(file, f, shapeless, metadata);
  mlx_closure_kwargs_free(f);
  if (x->h.ctx) return (PyObject *)x;
  Py_DECREF(x);
  return px_raise();
}

static const char *to_metadata(PyObject *o) { return o && o != Py_None ? PyUnicode_AsUTF8AndSize(o, NULL) : NULL; }

int px_do_exporter(PyObject **v, PyObject **out) { /* file, fun, shapeless, metadata */
  const char *file;
  bool shapeless = false;
  PX_TRY(px_to_string(v[0], &file));
  if (!PyCallable_Check(v[1]) || (v[3] && v[3] != Py_None && !PyUnicode_Check(v[3]))) return PX_TYPE;
  if (v[2]) PX_TRY(px_to_bool(v[2], &shapeless));
  const char *metadata = to_metadata(v[3]);
  if (PyErr_Occurred()) return PX_ERROR;
  return (*out = new_exporter(file, v[1], shapeless, metadata)) ? 0 : PX_ERROR;
}

/* ---- export_function ---- */

/* Takes keyword `name` out of kwargs: a new reference or NULL. */
static PyObject *taken(PyObject *kwargs, const char *name) {
  PyObject *key = kwargs ? PyUnicode_FromString(name) : NULL, *v = key ? PyDict_GetItemWithError(kwargs, key) : NULL;
  Py_XINCREF(v);
  if (v) PyDict_DelItem(kwargs, key);
  Py_XDECREF(key);
  return v;
}

static int export_to_file(const char *file, PyObject *fun, inputs *in, bool shapeless, const char *metadata) {
  exporter_object *x = (exporter_object *)new_exporter(file, fun, shapeless, metadata);
  if (!x) return PX_ERROR;
  int rc = mlx_function_exporter_apply_kwargs(x->h, in->args, in->kwargs) ? px_failed() : 0;
  mlx_function_exporter h = x->h;
  x->h.ctx = NULL;
  if (rc) mlx_function_exporter_discard(h);
  else if (mlx_function_exporter_free(h)) rc = px_failed();
  Py_DECREF(x);
  return rc;
}

static PyObject *export_function(PyObject *m, PyObject *args, PyObject *kwargs) {
  (void)m;
  static const px_sig sig = {
      .name = "export_function",
      .text = "(file_or_callback: str | Callable, fun: Callable, *args, shapeless: bool = False, metadata: str | None = None, **kwargs) -> None"};
  PyObject *named = kwargs ? PyDict_Copy(kwargs) : NULL, *s = taken(named, "shapeless"), *meta = taken(named, "metadata");
  PyObject *to = PyTuple_Size(args) > 1 ? PyTuple_GetItem(args, 0) : NULL, *fun = to ? PyTuple_GetItem(args, 1) : NULL;
  bool shapeless = false;
  const char *file = NULL;
  int rc = !to || !PyCallable_Check(fun) || (meta && meta != Py_None && !PyUnicode_Check(meta)) ? PX_TYPE : 0;
  if (!rc && s) rc = px_to_bool(s, &shapeless);
  if (!rc && !PyCallable_Check(to)) rc = px_to_string(to, &file);
  if (rc == PX_TYPE) px_type_error_tuple(&sig, args, kwargs);
  inputs in;
  if (!rc) rc = to_inputs(args, 2, named, "export_function", &in);
  if (!rc) {
    const char *metadata = to_metadata(meta);
    if (PyErr_Occurred())
      rc = PX_ERROR;
    else if (file)
      rc = export_to_file(file, fun, &in, shapeless, metadata);
    else {
      mlx_closure_kwargs f = closure_of(fun);
      rc = mlx_export_function_callback(tell, to, f, in.args, in.kwargs, shapeless) ? px_failed() : 0;
      mlx_closure_kwargs_free(f);
    }
    drop_inputs(&in);
  }
  Py_XDECREF(named);
  Py_XDECREF(s);
  Py_XDECREF(meta);
  return rc ? NULL : Py_NewRef(Py_None);
}

/* ---- import_function ---- */

typedef struct imported_object {
  PyObject_HEAD mlx_imported_function h;
} imported_object;

static PyObject *imported_call(PyObject *o, PyObject *args, PyObject *kwargs) {
  inputs in;
  if (to_inputs(args, 0, kwargs, "import_function::call", &in)) return NULL;
  mlx_vector_array out = mlx_vector_array_new();
  int rc = mlx_imported_function_apply_kwargs(&out, ((imported_object *)o)->h, in.args, in.kwargs);
  drop_inputs(&in);
  PyObject *r = rc ? px_raise() : px_vector_tuple(out);
  mlx_vector_array_free(out);
  return r;
}

static void imported_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  mlx_imported_function_free(((imported_object *)o)->h);
  PyObject_Free(o);
  Py_DECREF(t);
}

static PyObject *with_metadata(PyObject *f) {
  mlx_string text = mlx_string_new();
  PyObject *r = mlx_imported_function_metadata(&text, ((imported_object *)f)->h)
                    ? px_raise()
                    : Py_BuildValue("(Os)", f, mlx_string_data(text));
  mlx_string_free(text);
  Py_DECREF(f);
  return r;
}

int px_do_import_function(PyObject **v, PyObject **out) { /* file, return_metadata */
  const char *file;
  bool metadata = false;
  PX_TRY(px_to_string(v[0], &file));
  if (v[1]) PX_TRY(px_to_bool(v[1], &metadata));
  imported_object *f = PyObject_New(imported_object, imported_type);
  if (!f) return PX_ERROR;
  f->h = mlx_imported_function_new(file);
  if (!f->h.ctx) {
    Py_DECREF(f);
    return px_failed();
  }
  *out = metadata ? with_metadata((PyObject *)f) : (PyObject *)f;
  return *out ? 0 : PX_ERROR;
}

/* ---- set up ---- */

static PyObject *refuse_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  (void)t, (void)args, (void)kwargs;
  PyErr_SetString(PyExc_TypeError, "mlx.core.FunctionExporter: no constructor defined! Use mlx.core.exporter.");
  return NULL;
}

int px_init_export(PyObject *m) {
  static PyMethodDef functions[] = {
      {"export_function", PX_FN(export_function), METH_VARARGS | METH_KEYWORDS,
       "export_function($module, file_or_callback, fun, /, *args, shapeless=False, metadata=None, **kwargs)\n--\n\n"
       "Writes what fun does with arrays like the arguments to a file, or tells it to a callback."},
      {0}};
  static PyMethodDef methods[] = {
      {"close", exporter_close, METH_NOARGS, "close($self)\n--\n\nWrites the file."},
      {"__enter__", exporter_enter, METH_NOARGS, "__enter__($self)\n--\n\nThe exporter itself."},
      {"__exit__", PX_FN(exporter_exit), METH_VARARGS | METH_KEYWORDS,
       "__exit__($self, exc_type=None, exc_value=None, traceback=None)\n--\n\nWrites the file."},
      {0}};
  PyType_Slot exporter[] = {{Py_tp_doc, (void *)"Adds traces of a function to a file: call it with example arguments."},
                            {Py_tp_new, (void *)refuse_new},
                            {Py_tp_call, (void *)exporter_call},
                            {Py_tp_dealloc, (void *)exporter_dealloc},
                            {Py_tp_methods, methods},
                            {0, NULL}};
  PyType_Slot imported[] = {{Py_tp_doc, (void *)"A function read from a file: takes and gives arrays."},
                            {Py_tp_new, (void *)refuse_new},
                            {Py_tp_call, (void *)imported_call},
                            {Py_tp_dealloc, (void *)imported_dealloc},
                            {0, NULL}};
  PyType_Spec exporter_spec = {"mlx.core.FunctionExporter", sizeof(exporter_object), 0, Py_TPFLAGS_DEFAULT, exporter};
  PyType_Spec imported_spec = {"mlx.core.ImportedFunction", sizeof(imported_object), 0, Py_TPFLAGS_DEFAULT, imported};
  exporter_type = (PyTypeObject *)PyType_FromSpec(&exporter_spec);
  imported_type = (PyTypeObject *)PyType_FromSpec(&imported_spec);
  if (!exporter_type || !imported_type || PyModule_AddObjectRef(m, "FunctionExporter", (PyObject *)exporter_type)) return -1;
  return PyModule_AddFunctions(m, functions);
}
