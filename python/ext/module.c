/* The module mlx.core and its submodules. */
#include "px_gen.h"

#include <math.h>

#ifndef Py_LIMITED_API
#error "mlx.core is built for the limited API"
#endif

PyObject *px_module;
PyObject *px_savez(PyObject *args, PyObject *kwargs, bool compressed);

#if __has_include("mlx/c/io.h")
static PyObject *savez(PyObject *m, PyObject *args, PyObject *kwargs) {
  (void)m;
  return px_savez(args, kwargs, false);
}
static PyObject *savez_compressed(PyObject *m, PyObject *args, PyObject *kwargs) {
  (void)m;
  return px_savez(args, kwargs, true);
}
static PyMethodDef archive_functions[] =
    {/* the only ones that take **kwargs */
     {"savez", PX_FN(savez), METH_VARARGS | METH_KEYWORDS,
      "savez($module, /, file, *args, **kwargs)\n--\n\nWrites arrays to a .npz file."},
     {"savez_compressed", PX_FN(savez_compressed), METH_VARARGS | METH_KEYWORDS,
      "savez_compressed($module, /, file, *args, **kwargs)\n--\n\nWrites arrays to a compressed .npz file."},
     {0}};
#else
static PyMethodDef archive_functions[] = {{0}};
#endif

/* ---- ArrayLike: anything that can become an array ---- */

typedef struct like_object {
  PyObject_HEAD PyObject *object;
} like_object;
static PyObject *like_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  PyObject *o;
  if ((kwargs && PyDict_Size(kwargs)) || !PyArg_ParseTuple(args, "O:ArrayLike", &o)) return NULL;
  like_object *l = PyObject_New(like_object, t);
  if (l) l->object = Py_NewRef(o);
  return (PyObject *)l;
}
static PyObject *like_array(PyObject *o, PyObject *unused) {
  (void)unused;
  px_arg a = {0};
  PyObject *r = px_from_object(((like_object *)o)->object, -1, &a) ? NULL : px_wrap(a.h);
  px_drop(&a);
  return r;
}
static void like_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  Py_XDECREF(((like_object *)o)->object);
  PyObject_Free(o);
  Py_DECREF(t);
}
static int add_array_like(PyObject *m) {
  static PyMethodDef methods[] = {PX_INIT(", arg, /"), {"__mlx_array__", like_array, METH_NOARGS, NULL}, {0}};
  PyType_Slot slots[] = {{Py_tp_doc, (void *)"ArrayLike(arg, /)\n--\n\nAnything that can become an array."},
                         {Py_tp_new, (void *)like_new},
                         {Py_tp_init, (void *)px_init_done},
                         {Py_tp_methods, methods},
                         {Py_tp_dealloc, (void *)like_dealloc},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core.ArrayLike", sizeof(like_object), 0, Py_TPFLAGS_DEFAULT, slots};
  PyObject *t = PyType_FromSpec(&spec);
  int rc = !t || PyModule_AddObjectRef(m, "ArrayLike", t) ? -1 : 0;
  Py_XDECREF(t);
  return rc;
}

/* ---- what stands in Python files of the package ---- */

static PyObject *namespace_info(PyObject *m, PyObject *unused) {
  (void)m;
  (void)unused;
  PyObject *file = PyImport_ImportModule("mlx.__array_api_info");
  PyObject *r = file ? PyObject_CallMethod(file, "__array_namespace_info__", NULL) : NULL;
  Py_XDECREF(file);
  return r;
}
static PyMethodDef package_functions[] = {
    {"export_to_dot", PX_FN(px_export_to_dot), METH_VARARGS | METH_KEYWORDS,
     "export_to_dot($module, file, /, *args, **kwargs)\n--\n\nWrites a graph in the language of Graphviz. Keywords name arrays."},
    {"__array_namespace_info__", namespace_info, METH_NOARGS,
     "__array_namespace_info__($module, /)\n--\n\nWhat the Python array API asks of a namespace."},
    {0}};

static void fix_reprlib(void) { /* the extension works without the package around it */
  PyObject *fix = PyImport_ImportModule("mlx._reprlib_fix");
  if (!fix) PyErr_Clear();
  Py_XDECREF(fix);
}

/* ---- set up ---- */

static PyObject *add_submodule(PyObject *m, const char *name, const char *full, PyMethodDef *functions) {
  PyObject *sub = PyModule_New(full), *modules = PyImport_GetModuleDict();
  if (!sub || PyModule_AddFunctions(sub, functions)) return NULL;
  if (PyDict_SetItemString(modules, full, sub) || PyModule_AddObjectRef(m, name, sub)) return NULL;
  Py_DECREF(sub);
  return sub; /* borrowed: the parent holds it */
}

static int add_constants(PyObject *m) {
  static const struct {
    const char *name;
    double value;
  } floats[] = {
      {"e", 2.718281828459045}, {"euler_gamma", 0.5772156649015329}, {"pi", 3.141592653589793}, {"inf", INFINITY}, {"nan", NAN}};
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
    PyObject *f = PyFloat_FromDouble(floats[i].value);
    if (!f || PyModule_AddObjectRef(m, floats[i].name, f)) return -1;
    Py_DECREF(f);
  }
  return PyModule_AddObjectRef(m, "newaxis", Py_None) || PyModule_AddStringConstant(m, "__version__", CMLX_MLX_VERSION) ||
         PyModule_AddStringConstant(m, "__array_api_version__", CMLX_ARRAY_API) ||
         PyModule_AddStringConstant(m, "cmlx_version", CMLX_VERSION);
}

static int fill(PyObject *m) {
  if (px_init_dtype(m) || px_init_device(m) || px_init_array(m) || px_init_transforms(m) || px_init_compile(m) ||
      px_init_custom(m) || px_init_export(m) || px_init_primitive(m) || px_init_print(m) || px_init_profile(m) || add_array_like(m) || add_constants(m) ||
      PyModule_AddFunctions(m, archive_functions) || PyModule_AddFunctions(m, package_functions))
    return -1;
  PyObject *random = add_submodule(m, "random", "mlx.core.random", px_random_functions);
  if (!random || px_init_random(m, random)) return -1;
  return add_submodule(m, "linalg", "mlx.core.linalg", px_linalg_functions) &&
                 add_submodule(m, "fft", "mlx.core.fft", px_fft_functions) &&
                 add_submodule(m, "fast", "mlx.core.fast", px_fast_functions) &&
                 px_init_distributed(add_submodule(m, "distributed", "mlx.core.distributed", px_distributed_functions)) == 0 &&
                 add_submodule(m, "metal", "mlx.core.metal", px_metal_functions) &&
                 add_submodule(m, "cuda", "mlx.core.cuda", px_cuda_functions) &&
                 add_submodule(m, "_optim", "mlx.core._optim", px_optim_functions) &&
                 px_init_entries(add_submodule(m, "_nn", "mlx.core._nn", px_nn_functions)) == 0
             ? px_init_named(m)
             : -1;
}

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "mlx.core",
                                        .m_doc = "Arrays, their functions and the transforms of functions.", .m_size = -1};

PyMODINIT_FUNC PyInit_core(void) {
  definition.m_methods = px_core_functions;
  px_module = PyModule_Create(&definition);
  if (px_module && fill(px_module)) Py_CLEAR(px_module);
  if (px_module) fix_reprlib();
  return px_module;
}
