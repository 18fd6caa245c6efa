/* export_to_dot: a graph for Graphviz. Keywords name arrays. */
#include "px_gen.h"

#include <stdlib.h>

static int name_leaf(PyObject *leaf, void *ctx) {
  if (px_is_array(leaf)) return px_list_push(ctx, px_handle(leaf));
  PyErr_SetString(PyExc_ValueError, "[tree_flatten] The argument should contain only arrays");
  return PX_ERROR;
}

/* The outputs: positional ones, then those by keyword, which get their names. */
static int collect(PyObject *args, PyObject *kwargs, mlx_node_namer namer, px_list *l) {
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  for (Py_ssize_t i = 1; i < PyTuple_Size(args); i++)
    if (px_tree_visit(PyTuple_GetItem(args, i), name_leaf, l)) return PX_ERROR;
  while (kwargs && PyDict_Next(kwargs, &pos, &key, &value)) {
    const char *name = PyUnicode_AsUTF8AndSize(key, NULL);
    if (!name || px_tree_visit(value, name_leaf, l)) return PX_ERROR;
    if (px_is_array(value) && mlx_node_namer_set_name(namer, px_handle(value), name)) return px_failed();
  }
  return 0;
}

static PyObject *write_text(PyObject *file, const char *text, size_t size) {
  bool path = !PyObject_HasAttrString(file, "write");
  PyObject *io = path ? PyImport_ImportModule("io") : NULL, *r = NULL;
  PyObject *target = path ? io ? PyObject_CallMethod(io, "open", "Os", file, "w") : NULL : Py_NewRef(file);
  if (target) r = PyObject_CallMethod(target, "write", "s#", text, (Py_ssize_t)size);
  if (target && path) {
    PyObject *closed = PyObject_CallMethod(target, "close", NULL);
    if (!closed) Py_CLEAR(r);
    Py_XDECREF(closed);
  }
  Py_XDECREF(target);
  Py_XDECREF(io);
  if (!r) return NULL;
  Py_DECREF(r);
  Py_RETURN_NONE;
}

static bool is_file(PyObject *o) { return PyUnicode_Check(o) || PyObject_HasAttrString(o, "write") || PyObject_HasAttrString(o, "__fspath__"); }

PyObject *px_export_to_dot(PyObject *m, PyObject *args, PyObject *kwargs) {
  static const px_sig sig = {.name = "export_to_dot", .text = "(file: object, *args, **kwargs) -> None"};
  (void)m;
  if (!PyTuple_Size(args)) return px_type_error_tuple(&sig, args, kwargs);
  if (!is_file(PyTuple_GetItem(args, 0))) {
    PyErr_SetString(PyExc_ValueError, "[export_to_dot] Accepts file-like objects or strings to be used as filenames.");
    return NULL;
  }
  px_list l = {0};
  mlx_node_namer namer = mlx_node_namer_new();
  int rc = collect(args, kwargs, namer, &l);
  mlx_vector_array outputs = rc ? (mlx_vector_array){NULL} : px_list_vector(&l);
  char *text = NULL;
  size_t size = 0;
  FILE *f = outputs.ctx ? open_memstream(&text, &size) : NULL;
  if (f) {
    rc = mlx_export_to_dot(f, namer, outputs) ? px_failed() : 0;
    if (fclose(f)) rc = PX_ERROR;
  } else rc = PX_ERROR;
  if (rc && !PyErr_Occurred()) PyErr_NoMemory();
  PyObject *r = rc ? NULL : write_text(PyTuple_GetItem(args, 0), text, size);
  free(text);
  mlx_node_namer_free(namer);
  if (outputs.ctx) mlx_vector_array_free(outputs);
  px_list_clear(&l);
  return r;
}
