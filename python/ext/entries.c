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

/* ---- subclasses: as there is a __getattr__, Python gives them a slot that looks for it and for __getattribute__ at each access, makes a bound
 * object of the one and calls it with a tuple. Where both are the ones below, what they come to stands in the slot instead; setting another one
 * later sets the slot again. The limited API can only read a slot, so its place is found by what stands there. ---- */

static PyTypeObject *entries_type;
static size_t slot_at; /* in bytes from the start of a type; 0: not found */

static void **slot_of(PyTypeObject *t) { return (void **)(void *)((char *)t + slot_at); }

static void find_slot(void) {
  enum { SLOTS = 32 }; /* of the first fields of a type, which all versions have */
  void *generic = PyType_GetSlot(&PyDict_Type, Py_tp_getattro);
  void **ours = (void **)entries_type, **dict = (void **)&PyDict_Type;
  for (size_t i = 0; i < SLOTS; i++) {
    if (ours[i] != (void *)get_attribute || dict[i] != generic) continue;
    slot_at = slot_at ? SIZE_MAX : i * sizeof(void *);
  }
  if (slot_at == SIZE_MAX) slot_at = 0;
}

static bool inherits(PyTypeObject *t, const char *name) {
  PyObject *key = PyUnicode_InternFromString(name);
  bool same = key && search_class(t, key) == search_class(entries_type, key);
  Py_XDECREF(key);
  PyErr_Clear();
  return same;
}

static PyObject *init_subclass(PyObject *class, PyObject *args, PyObject *kwargs) {
  PyObject *super = PyObject_CallFunctionObjArgs((PyObject *)&PySuper_Type, entries_type, class, NULL);
  PyObject *next = super ? PyObject_GetAttrString(super, "__init_subclass__") : NULL;
  PyObject *done = next ? PyObject_Call(next, args, kwargs) : NULL;
  Py_XDECREF(super);
  Py_XDECREF(next);
  PyTypeObject *t = (PyTypeObject *)class;
  if (done && slot_at && search_class && inherits(t, "__getattr__") && inherits(t, "__getattribute__") &&
      *slot_of(t) == PyType_GetSlot(t, Py_tp_getattro))
    *slot_of(t) = (void *)get_attribute;
  return done;
}

int px_init_entries(PyObject *m) {
  static PyMethodDef methods[] = {
      {"__getattr__", missing, METH_O, "__getattr__($self, key)\n--\n\nThe entry of this name, or an attribute."},
      {"__init_subclass__", PX_FN(init_subclass), METH_VARARGS | METH_KEYWORDS | METH_CLASS, "Makes access to attributes of the class faster."},
      {0}};
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
  entries_type = (PyTypeObject *)PyType_FromSpec(&spec);
  if (!entries_type) return -1;
  find_slot();
  return PyModule_AddObjectRef(m, "Entries", (PyObject *)entries_type);
}
