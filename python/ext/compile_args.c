/* Lists, tuples and dicts among the arguments of a compiled function are taken apart, and built again around traced arrays. An object
 * of a class made from list or dict (a Module) is what the function was written for, so it gets the object itself: for the length of
 * the trace its arrays hold traced values, then the old ones return, and so does what the function put into it. Where the trace
 * changed an array of such an object, each call writes the new one there, as the function itself would. */
#include "compile_args.h"

#include <stdlib.h>

/* ---- keys ---- */

int px_key_put(px_key *b, const void *data, size_t n) {
  if (b->n + n > b->cap) {
    size_t cap = 2 * (b->n + n) + 64;
    char *p = realloc(b->at, cap);
    if (!p) return PyErr_NoMemory(), PX_ERROR;
    b->at = p;
    b->cap = cap;
  }
  memcpy(b->at + b->n, data, n);
  b->n += n;
  return 0;
}
static int put_tag(px_key *b, char tag) { return px_key_put(b, &tag, 1); }
static int put_size(px_key *b, char tag, Py_ssize_t n) { return put_tag(b, tag) || px_key_put(b, &n, sizeof n); }

static int put_text(px_key *b, char tag, PyObject *o) {
  Py_ssize_t n;
  const char *s = PyUnicode_AsUTF8AndSize(o, &n);
  return !s || put_size(b, tag, n) || px_key_put(b, s, (size_t)n);
}

static int put_repr(px_key *b, char tag, PyObject *o) {
  PyObject *r = PyObject_Repr(o);
  int rc = r ? put_text(b, tag, r) : PX_ERROR;
  Py_XDECREF(r);
  return rc;
}

static bool is_constant(PyObject *o) {
  return o == Py_None || PyBool_Check(o) || PyUnicode_Check(o) || PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o) || PyBytes_Check(o) ||
         px_is_dtype(o);
}

static int put_constant(px_key *b, PyObject *o) {
  double d;
  if (o == Py_None) return put_tag(b, 'N');
  if (PyBool_Check(o)) return put_tag(b, o == Py_True ? 'T' : 'F');
  if (PyUnicode_Check(o)) return put_text(b, 's', o);
  if (PyLong_Check(o)) return put_repr(b, 'i', o);
  if (PyFloat_Check(o)) {
    d = PyFloat_AsDouble(o);
    return put_tag(b, 'f') || px_key_put(b, &d, sizeof d);
  }
  return put_repr(b, 'c', o);
}

static int put_address(px_key *b, PyObject *o) {
  if (b->kept && PyList_Append(b->kept, o)) return PX_ERROR;
  return put_tag(b, 'o') || px_key_put(b, &o, sizeof(PyObject *));
}

/* What an object has besides its elements: constants by value, all else by identity. */
static int put_attribute(px_key *b, PyObject *o) {
  if (is_constant(o)) return put_constant(b, o);
  if (PyAnySet_Check(o)) return put_repr(b, 'r', o);
  if (!PyTuple_Check(o)) return put_address(b, o);
  int rc = put_size(b, '(', PyTuple_Size(o));
  for (Py_ssize_t i = 0; !rc && i < PyTuple_Size(o); i++) rc = put_attribute(b, PyTuple_GetItem(o, i));
  return rc;
}

static int put_object(px_key *b, PyObject *o) {
  b->objects = true;
  if (b->bare) return 0;
  PyObject *attributes = PyObject_GetAttrString(o, "__dict__"), *key, *value;
  Py_ssize_t pos = 0;
  if (!attributes) PyErr_Clear();
  int rc = put_address(b, (PyObject *)Py_TYPE(o));
  if (attributes && PyDict_Check(attributes)) {
    rc = rc || put_size(b, '.', PyDict_Size(attributes));
    while (!rc && PyDict_Next(attributes, &pos, &key, &value)) rc = put_attribute(b, key) || put_attribute(b, value);
  }
  Py_XDECREF(attributes);
  return rc;
}

static int put_leaf(px_key *b, PyObject *o) {
  if (is_constant(o)) return put_constant(b, o);
  if (b->inside) return put_address(b, o); /* a function in a Module, say */
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
  PyErr_Format(
      PyExc_ValueError,
      "[compile] Function arguments must be trees of arrays or constants (floats, ints, strings, or None), but received type %S.",
      name);
  Py_XDECREF(name);
  return PX_ERROR;
}

static bool is_container(PyObject *o) { return PyList_Check(o) || PyTuple_Check(o) || PyDict_Check(o); }

static int put_container(px_key *b, PyObject *o, px_list *arrays) {
  int rc = 0;
  if (PyList_Check(o) || PyTuple_Check(o)) {
    bool list = PyList_Check(o);
    Py_ssize_t n = list ? PyList_Size(o) : PyTuple_Size(o);
    rc = put_size(b, list ? '[' : '(', n);
    for (Py_ssize_t i = 0; !rc && i < n; i++) rc = px_key_tree(b, list ? PyList_GetItem(o, i) : PyTuple_GetItem(o, i), arrays);
    return rc;
  }
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  rc = put_size(b, '{', PyDict_Size(o));
  while (!rc && PyDict_Next(o, &pos, &key, &value))
    rc = (PyUnicode_Check(key) ? put_text(b, 'k', key) : put_repr(b, 'r', key)) || px_key_tree(b, value, arrays);
  return rc;
}

int px_key_tree(px_key *b, PyObject *o, px_list *arrays) {
  if (px_is_array(o)) return put_tag(b, 'A') || px_list_push(arrays, px_handle(o));
  if (!is_container(o)) return put_leaf(b, o);
  if (Py_EnterRecursiveCall(" in a nested container")) return PX_ERROR;
  bool object = px_is_subclassed(o);
  b->inside += object;
  int rc = (object && put_object(b, o)) || put_container(b, o, arrays);
  b->inside -= object;
  Py_LeaveRecursiveCall();
  return rc;
}

/* ---- objects ---- */

static PyObject *copy_of(PyObject *container) {
  return PyDict_Check(container) ? PyDict_Copy(container) : PyList_GetSlice(container, 0, PyList_Size(container));
}

static int lend_items(PyObject *lent, PyObject *tree, bool all) {
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  int rc = 0;
  if (PyDict_Check(tree))
    while (!rc && PyDict_Next(tree, &pos, &key, &value)) rc = px_lend(lent, value, all);
  else
    for (bool list = PyList_Check(tree); !rc && pos < (list ? PyList_Size(tree) : PyTuple_Size(tree)); pos++)
      rc = px_lend(lent, list ? PyList_GetItem(tree, pos) : PyTuple_GetItem(tree, pos), all);
  return rc;
}

int px_lend(PyObject *lent, PyObject *tree, bool all) {
  if (px_is_array(tree) || !is_container(tree)) return 0;
  if (Py_EnterRecursiveCall(" in a nested container")) return PX_ERROR;
  all |= px_is_subclassed(tree);
  int rc = 0;
  if (all && !PyTuple_Check(tree)) {
    PyObject *pair = Py_BuildValue("(ON)", tree, copy_of(tree));
    rc = !pair || PyList_Append(lent, pair) ? PX_ERROR : 0;
    Py_XDECREF(pair);
  }
  rc = rc || lend_items(lent, tree, all);
  Py_LeaveRecursiveCall();
  return rc;
}

static int restore_list(PyObject *list, PyObject *was) {
  Py_ssize_t n = PyList_Size(was), same = 0;
  if (PyList_Size(list) == n)
    while (same < n && PyList_GetItem(list, same) == PyList_GetItem(was, same)) same++;
  return same < n || PyList_Size(list) != n ? PyList_SetSlice(list, 0, PyList_Size(list), was) : 0;
}

/* Through the object's own methods: it may keep an order of its own. */
static int restore_dict(PyObject *dict, PyObject *was) {
  PyObject *now = PyDict_Copy(dict), *key, *value;
  Py_ssize_t pos = 0;
  int rc = now ? 0 : PX_ERROR;
  while (!rc && PyDict_Next(now, &pos, &key, &value))
    if (!PyDict_GetItemWithError(was, key)) rc = PyErr_Occurred() ? PX_ERROR : PyObject_DelItem(dict, key);
  pos = 0;
  while (!rc && PyDict_Next(was, &pos, &key, &value))
    if (PyDict_GetItemWithError(now, key) != value) rc = PyErr_Occurred() ? PX_ERROR : PyObject_SetItem(dict, key, value);
  Py_XDECREF(now);
  return rc;
}

int px_take_back(PyObject *lent) {
  int rc = 0;
  for (Py_ssize_t i = 0; i < PyList_Size(lent); i++) {
    PyObject *pair = PyList_GetItem(lent, i), *container = PyTuple_GetItem(pair, 0), *was = PyTuple_GetItem(pair, 1);
    rc |= PyDict_Check(was) ? restore_dict(container, was) : restore_list(container, was);
  }
  return rc ? PX_ERROR : 0;
}

static int lend_box(PyObject *leaf, void *ctx) {
  px_tracing *t = ctx;
  if (!px_is_array(leaf)) return 0;
  mlx_array h = px_handle(leaf);
  if (PyList_Append(t->boxes, leaf) || px_list_push(t->old, h)) return PX_ERROR;
  return mlx_array_set(&h, px_list_at(t->arrays, t->next++)) ? px_failed() : 0;
}

static PyObject *trace_leaf(PyObject *leaf, void *ctx) {
  px_tracing *t = ctx;
  if (px_is_array(leaf)) {
    PyObject *a = px_new();
    if (!a) return NULL;
    mlx_array h = px_handle(a);
    return px_done(a, mlx_array_set(&h, px_list_at(t->arrays, t->next++)));
  }
  if (!px_is_subclassed(leaf)) return Py_NewRef(leaf);
  PyObject *start = Py_BuildValue("(nO)", (Py_ssize_t)t->next, leaf);
  int rc = !start || PyList_Append(t->starts, start) || px_tree_visit(leaf, lend_box, t);
  Py_XDECREF(start);
  return rc ? NULL : Py_NewRef(leaf);
}
PyObject *px_traced_arguments(PyObject *given, px_tracing *t) { return px_tree_map_plain(given, trace_leaf, t); }

PyObject *px_changed_arguments(px_tracing *t, px_list *out) {
  PyObject *places = PyList_New(0), *r = NULL;
  int rc = places ? 0 : PX_ERROR;
  for (Py_ssize_t i = 0; !rc && i < PyList_Size(t->starts); i++) {
    PyObject *start = PyList_GetItem(t->starts, i);
    size_t first = (size_t)PyLong_AsSize_t(PyTuple_GetItem(start, 0));
    px_list now = {0};
    rc = px_tree_arrays(PyTuple_GetItem(start, 1), &now, false);
    for (size_t k = 0; !rc && k < now.n; k++) {
      if (now.slot[k] == t->arrays->slot[first + k]) continue;
      PyObject *place = PyLong_FromSize_t(first + k);
      rc = !place || PyList_Append(places, place) || px_list_push(out, px_list_at(&now, k));
      Py_XDECREF(place);
    }
    px_list_clear(&now);
  }
  if (!rc) r = PyList_AsTuple(places);
  Py_XDECREF(places);
  return r;
}

typedef struct rewriting {
  PyObject *places;
  mlx_vector_array v;
  size_t from, at; /* at: the place of the next array */
  Py_ssize_t next; /* of the places */
} rewriting;
static PyObject *rewrite_array(PyObject *leaf, void *ctx) {
  rewriting *w = ctx;
  if (!px_is_array(leaf)) return NULL;
  size_t at = w->at++;
  if (w->next == PyTuple_Size(w->places) || PyLong_AsSize_t(PyTuple_GetItem(w->places, w->next)) != at) return NULL;
  PyObject *a = px_new();
  if (!a) return NULL;
  mlx_array h = px_handle(a);
  return px_done(a, mlx_vector_array_get(&h, w->v, w->from + (size_t)w->next++));
}
static PyObject *rewrite_leaf(PyObject *leaf, void *ctx) {
  rewriting *w = ctx;
  w->at += px_is_array(leaf);
  return px_is_subclassed(leaf) && px_tree_replace(leaf, rewrite_array, ctx) ? NULL : Py_NewRef(leaf);
}
int px_write_changed(PyObject *args, PyObject *kwargs, PyObject *places, mlx_vector_array v, size_t from) {
  rewriting w = {places, v, from, 0, 0};
  if (!PyTuple_Size(places)) return 0;
  PyObject *a = px_tree_map_plain(args, rewrite_leaf, &w), *k = a && kwargs ? px_tree_map_plain(kwargs, rewrite_leaf, &w) : NULL;
  int rc = a && (k || !kwargs) ? 0 : PX_ERROR;
  Py_XDECREF(a);
  Py_XDECREF(k);
  return rc;
}
