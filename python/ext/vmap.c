/* vmap: traces the function on one element each and replays the trace with the axes put in. */
#include "func.h"

#include <stdlib.h>

typedef struct axes_list {
  int *at;
  size_t n, cap;
} axes_list;
enum { NOT_MAPPED = -1 };

static int push_axis(axes_list *l, int axis) {
  if (l->n == l->cap) {
    size_t cap = l->cap ? 2 * l->cap : 16;
    int *p = realloc(l->at, cap * sizeof *p);
    if (!p) return PyErr_NoMemory(), PX_ERROR;
    l->at = p;
    l->cap = cap;
  }
  l->at[l->n++] = axis;
  return 0;
}

typedef struct same_axis {
  axes_list *l;
  int axis;
  bool mapped, outer; /* outer: the axis is counted in the result, which has one dimension more */
  const char *which;
} same_axis;

static int one_axis(PyObject *leaf, void *ctx) {
  same_axis *s = ctx;
  int at = NOT_MAPPED;
  if (!px_is_array(leaf)) {
    PyErr_SetString(PyExc_ValueError, "[tree_flatten] The argument should contain only arrays");
    return PX_ERROR;
  }
  int ndim = (int)mlx_array_ndim(px_handle(leaf)) + s->outer;
  if (s->mapped && px_axis_in(s->axis, ndim, "vmap", &at)) return PX_ERROR;
  return push_axis(s->l, at);
}

static int malformed(const char *which) {
  PyErr_Format(PyExc_ValueError, "[vmap] %s should match the arguments or be a prefix of them: None, an int, or a tree of those.",
               which);
  return PX_ERROR;
}

/* The axis of each leaf of tree, where axes is a prefix of it. */
static int spread_axes(PyObject *tree, PyObject *axes, same_axis *s) {
  if (axes == Py_None || PyLong_Check(axes)) {
    s->mapped = axes != Py_None;
    s->axis = s->mapped ? (int)PyLong_AsLong(axes) : NOT_MAPPED;
    return px_tree_visit(tree, one_axis, s);
  }
  bool list = PyList_Check(axes) || PyTuple_Check(axes);
  if (list && (PyList_Check(tree) || PyTuple_Check(tree)) && PySequence_Size(axes) == PySequence_Size(tree)) {
    for (Py_ssize_t i = 0; i < PySequence_Size(tree); i++) {
      PyObject *sub = PySequence_GetItem(tree, i), *ax = PySequence_GetItem(axes, i);
      int rc = spread_axes(sub, ax, s);
      Py_XDECREF(sub);
      Py_XDECREF(ax);
      if (rc) return rc;
    }
    return 0;
  }
  if (PyDict_Check(axes) && PyDict_Check(tree)) {
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(tree, &pos, &key, &value)) {
      PyObject *ax = PyDict_GetItemWithError(axes, key);
      if (!ax) return PyErr_Occurred() ? PX_ERROR : malformed(s->which);
      if (spread_axes(value, ax, s)) return PX_ERROR;
    }
    return 0;
  }
  return malformed(s->which);
}

typedef struct vmap_call {
  PyObject *fun, *tmpl, *kwargs, *value;
} vmap_call;

static int run_element(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  vmap_call *c = payload;
  size_t next = 0;
  PX_REPLACE(c->value, px_call_user(c->fun, px_fill(c->tmpl, in, &next, NULL), c->kwargs));
  int rc = !c->value || px_give_arrays(res, c->value, true);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static PyObject *call_vmap(px_func *self, PyObject *args, PyObject *kwargs) {
  vmap_call c = {self->fun, px_template(args), kwargs, NULL};
  axes_list in_axes = {0}, out_axes = {0};
  px_list inputs = {0};
  mlx_vector_array in = {NULL}, traced_in = mlx_vector_array_new(), traced_out = mlx_vector_array_new(),
                   out = mlx_vector_array_new();
  PyObject *r = NULL;
  bool any = false;
  same_axis s = {&in_axes, 0, true, false, "in_axes"};
  if (!c.tmpl || spread_axes(args, self->part[0], &s) || px_tree_arrays(args, &inputs, true) ||
      !(in = px_list_vector(&inputs)).ctx)
    goto done;
  for (size_t i = 0; i < in_axes.n; i++) any |= in_axes.at[i] != NOT_MAPPED;
  if (!any) {
    PyErr_SetString(PyExc_ValueError, "At least one of in_axes must be non-None.");
    goto done;
  }
  mlx_closure fun = mlx_closure_new_func_payload(run_element, &c, NULL);
  int rc = mlx_detail_vmap_trace(&traced_in, &traced_out, fun, in, in_axes.at, in_axes.n);
  mlx_closure_free(fun);
  if (rc) {
    px_raise();
    goto done;
  }
  s = (same_axis){&out_axes, 0, true, true, "out_axes"};
  if (spread_axes(c.value, self->part[1], &s)) goto done;
  if (mlx_detail_vmap_replace(&out, in, traced_in, traced_out, in_axes.at, in_axes.n, out_axes.at, out_axes.n)) {
    px_raise();
    goto done;
  }
  PyObject *tmpl = px_template(c.value);
  size_t next = 0;
  r = tmpl ? px_fill(tmpl, out, &next, NULL) : NULL;
  Py_XDECREF(tmpl);
done:
  free(in_axes.at);
  free(out_axes.at);
  px_list_clear(&inputs);
  if (in.ctx) mlx_vector_array_free(in);
  mlx_vector_array_free(traced_in);
  mlx_vector_array_free(traced_out);
  mlx_vector_array_free(out);
  Py_XDECREF(c.tmpl);
  Py_XDECREF(c.value);
  return r;
}

int px_do_vmap(PyObject **v, PyObject **out) { /* fun, in_axes, out_axes */
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  px_func *f = px_new_func(v[0], call_vmap);
  if (!f) return PX_ERROR;
  f->part[0] = v[1] ? Py_NewRef(v[1]) : PyLong_FromLong(0);
  f->part[1] = v[2] ? Py_NewRef(v[2]) : PyLong_FromLong(0);
  *out = (PyObject *)f;
  return 0;
}
