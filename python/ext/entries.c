/* The base of nn.Module: a dict whose entries are attributes, too, unless a plain attribute of the name exists. What a __getattr__ in Python does
 * would make, format and drop an AttributeError for each. */
#include <dlfcn.h>

#include "px.h"

/* The interpreter's own search through a class and its bases, which remembers its answers: borrowed, NULL without an error. It is no part of the
 * limited API, so it is looked for by name and may be missing. */
static PyObject *(*search_class)(PyTypeObject *, PyObject *);

/* Whether the object or its class has an attribute of this name; -1: an error. */
static int is_plain(PyObject *self, PyObject *name) {
  if (search_class(Py_TYPE(self), name)) return 1;
  PyObject *own = PyObject_GenericGetDict(self, NULL);
  int found = own ? PyDict_Contains(own, name) : -1;
  Py_XDECREF(own);
  return found;
}

/* Takes entry. */
static PyObject *attribute_or(PyObject *self, PyObject *name, PyObject *entry) {
  PyObject *attribute = PyObject_GenericGetAttr(self, name);
  if (attribute || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
    Py_DECREF(entry);
    return attribute;
  }
  PyErr_Clear();
  return entry;
}

static PyObject *get_attribute(PyObject *self, PyObject *name) {
  PyObject *entry = PyDict_GetItemWithError(self, name);
  if (!entry) return PyErr_Occurred() ? NULL : PyObject_GenericGetAttr(self, name);
  Py_INCREF(entry);
  int plain = search_class ? is_plain(self, name) : 1;
  if (!plain) return entry;
  if (plain > 0) return attribute_or(self, name, entry);
  Py_DECREF(entry);
  return NULL;
}

/* For subclasses whose own __getattr__ ends in super().__getattr__(key). */
static PyObject *missing(PyObject *self, PyObject *key) { return get_attribute(self, key); }

int px_init_entries(PyObject *m) {
  static PyMethodDef methods[] = {
      {"__getattr__", missing, METH_O, "__getattr__($self, key)\n--\n\nThe entry of this name, or an attribute."}, {0}};
  PyType_Slot slots[] = {{Py_tp_doc, (void *)"A dict whose entries are attributes, too."},
                         {Py_tp_base, &PyDict_Type},
                         {Py_tp_getattro, (void *)get_attribute},
                         {Py_tp_methods, methods},
                         /* dict's own: a class in Python would reach them through methods */
                         {Py_mp_subscript, PyType_GetSlot(&PyDict_Type, Py_mp_subscript)},
                         {Py_sq_contains, PyType_GetSlot(&PyDict_Type, Py_sq_contains)},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core._nn.Entries", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  search_class = (PyObject * (*)(PyTypeObject *, PyObject *)) dlsym(RTLD_DEFAULT, "_PyType_Lookup");
  PyObject *type = PyType_FromSpec(&spec);
  int rc = type ? PyModule_AddObjectRef(m, "Entries", type) : -1;
  Py_XDECREF(type);
  return rc;
}
