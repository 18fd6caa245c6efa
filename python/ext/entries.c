/* The base of nn.Module: a dict whose entries are attributes, too, unless a plain attribute of the name exists. What a __getattr__ in Python does
 * would make, format and drop an AttributeError for each. */
#include "px.h"

static PyObject *views_name; /* under which a class keeps what own_views gives */
static PyObject *common;     /* dict: the names in dict, object and the type below, which stay as they are */
static PyObject *entries_type;

static bool is_common(PyObject *class) { return class == entries_type || class == (PyObject *)&PyDict_Type || class == (PyObject *)&PyBaseObject_Type; }

/* A tuple: the type, then the dicts of the other classes in its __mro__, as views, so that what is set in a class later is
 * seen. Borrowed. */
static PyObject *make_views(PyTypeObject *t) {
  PyObject *mro = PyObject_GetAttrString((PyObject *)t, "__mro__"), *list = PyList_New(0);
  Py_ssize_t n = mro ? PyTuple_Size(mro) : -1;
  int rc = !list || n < 0 || PyList_Append(list, (PyObject *)t);
  for (Py_ssize_t i = 0; !rc && i < n; i++) {
    PyObject *class = PyTuple_GetItem(mro, i), *view;
    if (is_common(class)) continue;
    view = PyObject_GetAttrString(class, "__dict__");
    rc = !view || PyList_Append(list, view);
    Py_XDECREF(view);
  }
  PyObject *views = rc ? NULL : PyList_AsTuple(list);
  Py_XDECREF(list);
  Py_XDECREF(mro);
  if (views && PyObject_SetAttr((PyObject *)t, views_name, views)) Py_CLEAR(views);
  Py_XDECREF(views); /* the class holds them */
  return views;
}

static PyObject *own_views(PyObject *self) {
  PyObject *views = PyObject_GenericGetAttr(self, views_name);
  if (views && PyTuple_Check(views) && PyTuple_GetItem(views, 0) == (PyObject *)Py_TYPE(self)) {
    Py_DECREF(views);
    return views;
  }
  Py_XDECREF(views); /* of a base class */
  PyErr_Clear();
  return make_views(Py_TYPE(self));
}

/* Whether the object or its class has an attribute of this name; -1: an error. */
static int is_plain(PyObject *self, PyObject *name) {
  PyObject *own = PyObject_GenericGetDict(self, NULL), *views = own ? own_views(self) : NULL;
  int found = views ? PyDict_Contains(own, name) : -1;
  Py_ssize_t n = views ? PyTuple_Size(views) : 0;
  if (!found) found = PyDict_Contains(common, name);
  for (Py_ssize_t i = 1; !found && i < n; i++) found = PySequence_Contains(PyTuple_GetItem(views, i), name);
  Py_XDECREF(own);
  return found;
}

static PyObject *get_attribute(PyObject *self, PyObject *name) {
  PyObject *entry = PyDict_GetItemWithError(self, name);
  if (!entry) return PyErr_Occurred() ? NULL : PyObject_GenericGetAttr(self, name);
  Py_INCREF(entry);
  int plain = is_plain(self, name);
  if (!plain) return entry;
  Py_DECREF(entry);
  return plain < 0 ? NULL : PyObject_GenericGetAttr(self, name);
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
  views_name = PyUnicode_InternFromString("_views_of_classes");
  common = PyDict_New();
  entries_type = views_name && common ? PyType_FromSpec(&spec) : NULL;
  PyObject *classes[] = {entries_type, (PyObject *)&PyDict_Type, (PyObject *)&PyBaseObject_Type};
  int rc = entries_type ? 0 : -1;
  for (int i = 0; i < 3 && !rc; i++) {
    PyObject *names = PyObject_GetAttrString(classes[i], "__dict__");
    rc = names ? PyDict_Update(common, names) : -1;
    Py_XDECREF(names);
  }
  return rc ? rc : PyModule_AddObjectRef(m, "Entries", entries_type);
}
