/* The function object that transforms return, and trees with holes. */
#include "func.h"

static PyTypeObject *func_type;

px_func *px_new_func(PyObject *fun, PyObject *(*call)(px_func *, PyObject *, PyObject *)) {
  px_func *f = PyObject_GC_New(px_func, func_type);
  if (!f) return NULL;
  f->fun = Py_NewRef(fun);
  f->part[0] = f->part[1] = f->part[2] = NULL;
  f->call = call;
  f->gone = NULL;
  f->extra = NULL;
  f->flag = false;
  f->weak = NULL;
  PyObject_GC_Track(f);
  return f;
}

static PyObject *func_call(PyObject *o, PyObject *args, PyObject *kwargs) {
  return ((px_func *)o)->call((px_func *)o, args, kwargs);
}
static int func_traverse(PyObject *o, visitproc visit, void *arg) {
  px_func *f = (px_func *)o;
  Py_VISIT(Py_TYPE(o));
  Py_VISIT(f->fun);
  for (int i = 0; i < 3; i++) Py_VISIT(f->part[i]);
  return 0;
}
static int func_clear(PyObject *o) {
  px_func *f = (px_func *)o;
  Py_CLEAR(f->fun);
  for (int i = 0; i < 3; i++) Py_CLEAR(f->part[i]);
  return 0;
}
static void func_dealloc(PyObject *o) {
  px_func *f = (px_func *)o;
  PyTypeObject *t = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  if (f->weak) PyObject_ClearWeakRefs(o);
  if (f->gone) f->gone(f);
  func_clear(o);
  PyObject_GC_Del(o);
  Py_DECREF(t);
}

/* Attributes of the wrapped function. */
static PyObject *func_attribute(PyObject *o, void *name) {
  PyObject *fun = ((px_func *)o)->fun, *r = fun ? PyObject_GetAttrString(fun, name) : NULL;
  if (r || strcmp(name, "__doc__")) return r;
  PyErr_Clear();
  Py_RETURN_NONE;
}
static PyObject *func_signature(PyObject *o, void *unused) {
  (void)unused;
  PyObject *inspect = PyImport_ImportModule("inspect");
  PyObject *r = inspect ? PyObject_CallMethod(inspect, "signature", "O", ((px_func *)o)->fun) : NULL;
  Py_XDECREF(inspect);
  return r;
}

/* ---- trees with holes ---- */

static PyObject *make_hole(PyObject *leaf, void *ctx) {
  (void)ctx;
  return Py_NewRef(px_is_array(leaf) ? px_hole : leaf);
}
PyObject *px_template(PyObject *tree) { return px_tree_map(tree, make_hole, NULL); }

typedef struct filling {
  mlx_vector_array v;
  size_t *next;
  PyObject *made;
} filling;
static PyObject *fill_hole(PyObject *leaf, void *ctx) {
  filling *f = ctx;
  if (leaf != px_hole) return Py_NewRef(leaf);
  PyObject *a = px_new();
  if (!a) return NULL;
  mlx_array h = px_handle(a);
  if (mlx_vector_array_get(&h, f->v, (*f->next)++)) return px_done(a, 1);
  if (f->made && PyList_Append(f->made, a)) Py_CLEAR(a);
  return a;
}
PyObject *px_fill(PyObject *tmpl, mlx_vector_array v, size_t *next, PyObject *made) {
  return px_tree_map(tmpl, fill_hole, &(filling){v, next, made});
}

PyObject *px_call_user(PyObject *fun, PyObject *args, PyObject *kwargs) {
  PyObject *r = args ? PyObject_Call(fun, args, kwargs && PyDict_Size(kwargs) ? kwargs : NULL) : NULL;
  Py_XDECREF(args);
  return r;
}

int px_give_arrays(mlx_vector_array *res, PyObject *tree, bool strict) {
  px_list l = {0};
  int rc = px_tree_arrays(tree, &l, strict);
  if (!rc && !(*res = px_list_vector(&l)).ctx) rc = PX_ERROR;
  px_list_clear(&l);
  return rc;
}

int px_callback_result(int rc) { return rc ? mlx_ext_callback_failed() : 0; }

static int add_func_type(PyObject *m) {
  static PyGetSetDef getset[] = {{"__name__", func_attribute, NULL, NULL, (void *)"__name__"},
                                 {"__qualname__", func_attribute, NULL, NULL, (void *)"__qualname__"},
                                 {"__module__", func_attribute, NULL, NULL, (void *)"__module__"},
                                 {"__doc__", func_attribute, NULL, NULL, (void *)"__doc__"},
                                 {"__signature__", func_signature, NULL, NULL, NULL},
                                 {0}};
  static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(px_func, weak), READONLY, NULL}, {0}};
  PyType_Slot slots[] = {{Py_tp_call, (void *)func_call},
                         {Py_tp_traverse, (void *)func_traverse},
                         {Py_tp_clear, (void *)func_clear},
                         {Py_tp_dealloc, (void *)func_dealloc},
                         {Py_tp_getset, getset},
                         {Py_tp_members, members},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core._gc_func", sizeof(px_func), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  func_type = (PyTypeObject *)PyType_FromSpec(&spec);
  return !func_type || PyModule_AddObjectRef(m, "_gc_func", (PyObject *)func_type) ? -1 : 0;
}
int px_init_transforms(PyObject *m) { return add_func_type(m); }
