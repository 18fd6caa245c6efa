/* Trees: nested lists, tuples and dicts (subclasses too) whose leaves are everything else. */
#include "px.h"

#include <stdlib.h>

static bool is_namedtuple(PyObject *t) { return Py_TYPE(t) != &PyTuple_Type && PyObject_HasAttrString(t, "_fields"); }

static int visit(PyObject *tree, px_visit f, void *ctx) {
  int rc = 0;
  if (PyList_Check(tree)) {
    for (Py_ssize_t i = 0; !rc && i < PyList_Size(tree); i++) {
      PyObject *item = Py_NewRef(PyList_GetItem(tree, i));
      rc = px_tree_visit(item, f, ctx);
      Py_DECREF(item);
    }
  } else if (PyTuple_Check(tree)) {
    for (Py_ssize_t i = 0; !rc && i < PyTuple_Size(tree); i++) rc = px_tree_visit(PyTuple_GetItem(tree, i), f, ctx);
  } else if (PyDict_Check(tree)) {
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (!rc && PyDict_Next(tree, &pos, &key, &value)) rc = px_tree_visit(value, f, ctx);
  } else
    rc = f(tree, ctx);
  return rc;
}

int px_tree_visit(PyObject *tree, px_visit f, void *ctx) {
  if (px_is_array(tree)) return f(tree, ctx);
  if (Py_EnterRecursiveCall(" in a nested container")) return PX_ERROR;
  int rc = visit(tree, f, ctx);
  Py_LeaveRecursiveCall();
  return rc;
}

typedef struct mapping {
  px_mapper f;
  void *ctx;
  bool plain; /* objects of classes made from list and dict are leaves */
} mapping;
static PyObject *map(PyObject *tree, const mapping *m);

static PyObject *map_tuple(PyObject *tree, const mapping *m) {
  Py_ssize_t n = PyTuple_Size(tree);
  PyObject *r = PyTuple_New(n);
  for (Py_ssize_t i = 0; r && i < n; i++) {
    PyObject *item = map(PyTuple_GetItem(tree, i), m);
    if (!item)
      Py_CLEAR(r);
    else
      PyTuple_SetItem(r, i, item);
  }
  if (r && is_namedtuple(tree)) {
    PyObject *named = PyObject_CallObject((PyObject *)Py_TYPE(tree), r);
    Py_DECREF(r);
    return named;
  }
  return r;
}

static PyObject *map_container(PyObject *tree, const mapping *m) {
  PyObject *r = NULL;
  if (m->plain && px_is_subclassed(tree)) return m->f(tree, m->ctx);
  if (PyList_Check(tree)) {
    Py_ssize_t n = PyList_Size(tree);
    r = PyList_New(n);
    for (Py_ssize_t i = 0; r && i < n; i++) {
      PyObject *item = map(PyList_GetItem(tree, i), m);
      if (!item)
        Py_CLEAR(r);
      else
        PyList_SetItem(r, i, item);
    }
  } else if (PyTuple_Check(tree))
    r = map_tuple(tree, m);
  else if (PyDict_Check(tree)) {
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    r = PyDict_New();
    while (r && PyDict_Next(tree, &pos, &key, &value)) {
      PyObject *item = map(value, m);
      if (!item || PyDict_SetItem(r, key, item)) Py_CLEAR(r);
      Py_XDECREF(item);
    }
  } else
    r = m->f(tree, m->ctx);
  return r;
}

static PyObject *map(PyObject *tree, const mapping *m) {
  if (px_is_array(tree)) return m->f(tree, m->ctx);
  if (Py_EnterRecursiveCall(" in a nested container")) return NULL;
  PyObject *r = map_container(tree, m);
  Py_LeaveRecursiveCall();
  return r;
}

PyObject *px_tree_map(PyObject *tree, px_mapper f, void *ctx) { return map(tree, &(mapping){f, ctx, false}); }
PyObject *px_tree_map_plain(PyObject *tree, px_mapper f, void *ctx) { return map(tree, &(mapping){f, ctx, true}); }

bool px_is_subclassed(PyObject *o) {
  return (PyList_Check(o) && !PyList_CheckExact(o)) || (PyDict_Check(o) && !PyDict_CheckExact(o));
}

static bool is_tree(PyObject *o) { return PyList_Check(o) || PyTuple_Check(o) || PyDict_Check(o); }

/* One element: NULL without error when it stays, else its replacement. */
static int replaced(PyObject *item, px_mapper f, void *ctx, PyObject **r) {
  *r = NULL;
  if (is_tree(item)) return px_tree_replace(item, f, ctx);
  *r = f(item, ctx);
  return !*r && PyErr_Occurred() ? PX_ERROR : 0;
}

static int replace(PyObject *tree, px_mapper f, void *ctx) {
  PyObject *r;
  if (PyList_Check(tree)) {
    for (Py_ssize_t i = 0; i < PyList_Size(tree); i++) {
      if (replaced(PyList_GetItem(tree, i), f, ctx, &r)) return PX_ERROR;
      if (r && PyList_SetItem(tree, i, r)) return PX_ERROR;
    }
  } else if (PyTuple_Check(tree)) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(tree); i++) { /* a tuple's own arrays are changed as objects */
      PyObject *item = PyTuple_GetItem(tree, i);
      if (replaced(item, f, ctx, &r)) return PX_ERROR;
      if (r && px_is_array(item)) {
        mlx_array h = px_handle(item);
        mlx_array_set(&h, px_handle(r));
      }
      Py_XDECREF(r);
    }
  } else if (PyDict_Check(tree)) {
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(tree, &pos, &key, &value)) {
      if (replaced(value, f, ctx, &r)) return PX_ERROR;
      if (r && PyDict_SetItem(tree, key, r)) return Py_DECREF(r), PX_ERROR; /* the key is there: no resize */
      Py_XDECREF(r);
    }
  }
  return 0;
}

int px_tree_replace(PyObject *tree, px_mapper f, void *ctx) {
  if (Py_EnterRecursiveCall(" in a nested container")) return PX_ERROR;
  int rc = replace(tree, f, ctx);
  Py_LeaveRecursiveCall();
  return rc;
}

/* ---- lists of arrays ---- */

int px_list_push(px_list *l, mlx_array h) {
  if (l->n == l->cap) {
    size_t cap = l->cap ? 2 * l->cap : 16;
    void **p = realloc(l->slot, cap * sizeof *p);
    if (!p) return PyErr_NoMemory(), PX_ERROR;
    l->slot = p;
    l->cap = cap;
  }
  l->slot[l->n] = NULL;
  mlx_array own = {&l->slot[l->n]};
  if (mlx_array_set(&own, h)) return px_raise(), PX_ERROR;
  l->n++;
  return 0;
}

void px_list_clear(px_list *l) {
  for (size_t i = 0; i < l->n; i++) mlx_ext_clear(px_list_at(l, i));
  free(l->slot);
  *l = (px_list){0};
}

int px_append_arrays(mlx_vector_array v, px_list *l) {
  for (size_t i = 0; i < l->n; i++)
    if (mlx_vector_array_append_value(v, px_list_at(l, i))) return px_raise(), PX_ERROR;
  return 0;
}

mlx_vector_array px_list_vector(px_list *l) {
  mlx_vector_array v = mlx_vector_array_new();
  if (v.ctx && !px_append_arrays(v, l)) return v;
  if (!PyErr_Occurred()) PyErr_NoMemory();
  mlx_vector_array_free(v);
  return (mlx_vector_array){NULL};
}

int px_list_from_vector(px_list *l, mlx_vector_array v) {
  void *slot = NULL;
  mlx_array h = {&slot};
  int rc = 0;
  for (size_t i = 0; !rc && i < mlx_vector_array_size(v); i++) {
    rc = mlx_vector_array_get(&h, v, i) ? (px_raise(), PX_ERROR) : px_list_push(l, h);
  }
  mlx_ext_clear(h);
  return rc;
}

typedef struct collecting {
  px_list *l;
  bool strict;
} collecting;
static int collect(PyObject *leaf, void *ctx) {
  collecting *c = ctx;
  if (px_is_array(leaf)) return px_list_push(c->l, px_handle(leaf));
  if (!c->strict) return 0;
  PyErr_SetString(PyExc_ValueError, "[tree_flatten] The argument should contain only arrays");
  return PX_ERROR;
}
int px_tree_arrays(PyObject *tree, px_list *l, bool strict) { return px_tree_visit(tree, collect, &(collecting){l, strict}); }
