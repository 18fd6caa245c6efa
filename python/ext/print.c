/* How arrays print: the number of digits, for good or for the length of a with block. */
#include "px_gen.h"

typedef struct options_object {
  PyObject_HEAD int precision;
} options_object;
typedef struct context_object {
  PyObject_HEAD int precision, old;
} context_object;
static PyTypeObject *options_type, *context_type;

static int precision_arg(PyObject *o, int *p) {
  *p = -1;
  return o ? px_to_int(o, p) : 0;
}

int px_do_set_printoptions(PyObject **v, PyObject **out) {
  int p;
  (void)out;
  PX_TRY(precision_arg(v[0], &p));
  mlx_ext_set_print_precision(p);
  return 0;
}

static PyObject *new_options(int p) {
  options_object *o = PyObject_New(options_object, options_type);
  if (o) o->precision = p;
  return (PyObject *)o;
}
int px_do_get_printoptions(PyObject **v, PyObject **out) {
  (void)v;
  *out = new_options(mlx_ext_print_precision());
  return *out ? 0 : PX_ERROR;
}
static PyObject *options_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"precision", NULL};
  int p = -1;
  (void)t;
  return PyArg_ParseTupleAndKeywords(args, kwargs, "|i:PrintOptions", names, &p) ? new_options(p) : NULL;
}
static PyObject *get_precision(PyObject *o, void *c) {
  (void)c;
  return PyLong_FromLong(((options_object *)o)->precision);
}
static int set_precision(PyObject *o, PyObject *value, void *c) {
  (void)c;
  int p;
  if (!value || px_to_int(value, &p)) return PyErr_SetString(PyExc_TypeError, "precision must be an int"), -1;
  ((options_object *)o)->precision = p;
  return 0;
}
static void plain_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_Free(o);
  Py_DECREF(t);
}

static PyObject *new_context(int p) {
  context_object *c = PyObject_New(context_object, context_type);
  if (c) c->precision = p, c->old = -1;
  return (PyObject *)c;
}
int px_do_printoptions(PyObject **v, PyObject **out) {
  int p;
  PX_TRY(precision_arg(v[0], &p));
  *out = new_context(p);
  return *out ? 0 : PX_ERROR;
}
static PyObject *context_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  PyObject *o;
  (void)t;
  (void)kwargs;
  if (!PyArg_ParseTuple(args, "O:_PrintOptionsContext", &o)) return NULL;
  if (Py_TYPE(o) != options_type) return PyErr_SetString(PyExc_TypeError, "_PrintOptionsContext takes a PrintOptions"), NULL;
  return new_context(((options_object *)o)->precision);
}
static PyObject *context_enter(PyObject *o, PyObject *unused) {
  (void)unused;
  context_object *c = (context_object *)o;
  c->old = mlx_ext_print_precision();
  mlx_ext_set_print_precision(c->precision);
  return Py_NewRef(o);
}
static PyObject *context_exit(PyObject *o, PyObject *args) {
  (void)args;
  mlx_ext_set_print_precision(((context_object *)o)->old);
  Py_RETURN_NONE;
}

int px_init_print(PyObject *m) {
  static PyGetSetDef getset[] = {
      {"precision", get_precision, set_precision, "Digits after the point; -1: six significant digits.", NULL}, {0}};
  static PyMethodDef options_methods[] = {PX_INIT(", precision=-1"), {0}};
  static PyMethodDef methods[] = {PX_INIT(", arg, /"),
      {"__enter__", context_enter, METH_NOARGS, NULL}, {"__exit__", context_exit, METH_VARARGS, NULL}, {0}};
  PyType_Slot options[] = {{Py_tp_doc, (void *)"PrintOptions(precision=-1)\n--\n\nHow arrays print."}, {Py_tp_methods, options_methods}, {Py_tp_new, (void *)options_new},
                           {Py_tp_init, (void *)px_init_done},       {Py_tp_getset, getset},
                           {Py_tp_dealloc, (void *)plain_dealloc},   {0, NULL}};
  PyType_Slot context[] = {{Py_tp_doc, (void *)"Prints in another way inside a with block."},
                           {Py_tp_new, (void *)context_new},
                           {Py_tp_init, (void *)px_init_done},
                           {Py_tp_methods, methods},
                           {Py_tp_dealloc, (void *)plain_dealloc},
                           {0, NULL}};
  PyType_Spec specs[] = {{"mlx.core.PrintOptions", sizeof(options_object), 0, Py_TPFLAGS_DEFAULT, options},
                         {"mlx.core._PrintOptionsContext", sizeof(context_object), 0, Py_TPFLAGS_DEFAULT, context}};
  options_type = (PyTypeObject *)PyType_FromSpec(&specs[0]);
  context_type = (PyTypeObject *)PyType_FromSpec(&specs[1]);
  if (!options_type || !context_type || PyModule_AddObjectRef(m, "PrintOptions", (PyObject *)options_type)) return -1;
  return PyModule_AddObjectRef(m, "_PrintOptionsContext", (PyObject *)context_type);
}
