/* checkpoint and custom_function: the library keeps the Python functions and calls them again when it differentiates, so
 * what they need lives in a counted record that is given back under the interpreter lock. */
#include "func.h"

#include <stdlib.h>

/* ---- the record: a capsule, so that Python counts it ---- */

typedef struct record {
  PyObject *fun, *vjp, *jvp, *vmap;
  PyObject *args, *kwargs; /* templates */
  PyObject *out;           /* template of the last result */
} record;

static record *record_of(void *capsule) { return PyCapsule_GetPointer(capsule, NULL); }

static void free_record(PyObject *capsule) {
  record *r = record_of(capsule);
  Py_XDECREF(r->fun);
  Py_XDECREF(r->vjp);
  Py_XDECREF(r->jvp);
  Py_XDECREF(r->vmap);
  Py_XDECREF(r->args);
  Py_XDECREF(r->kwargs);
  Py_XDECREF(r->out);
  free(r);
}

static void drop(void *payload) { px_release_later(payload); }

static PyObject *new_record(PyObject *fun, PyObject *args, PyObject *kwargs) {
  record *r = calloc(1, sizeof *r);
  PyObject *capsule = r ? PyCapsule_New(r, NULL, free_record) : PyErr_NoMemory();
  if (!capsule) {
    free(r);
    return NULL;
  }
  r->fun = Py_NewRef(fun);
  r->args = px_template(args);
  r->kwargs = kwargs ? px_template(kwargs) : PyDict_New();
  if (!r->args || !r->kwargs) Py_CLEAR(capsule);
  return capsule;
}

static int run(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  record *r = record_of(payload);
  size_t next = 0;
  PyObject *args = px_fill(r->args, in, &next, NULL), *kwargs = args ? px_fill(r->kwargs, in, &next, NULL) : NULL;
  PyObject *value = NULL;
  if (kwargs)
    value = px_call_user(r->fun, args, kwargs);
  else
    Py_XDECREF(args);
  Py_XDECREF(kwargs);
  int rc = !value || px_give_arrays(res, value, false);
  if (!rc) {
    PX_REPLACE(r->out, px_template(value));
    rc = !r->out;
  }
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static int inputs_of(PyObject *args, PyObject *kwargs, mlx_vector_array *in) {
  px_list l = {0};
  int rc = px_tree_arrays(args, &l, false) || (kwargs && px_tree_arrays(kwargs, &l, false));
  if (!rc) rc = !(*in = px_list_vector(&l)).ctx;
  px_list_clear(&l);
  return rc;
}

static PyObject *apply(record *r, mlx_closure fun, PyObject *args, PyObject *kwargs) {
  mlx_vector_array in = {NULL}, out = mlx_vector_array_new();
  PyObject *value = NULL;
  size_t next = 0;
  if (!inputs_of(args, kwargs, &in)) {
    if (mlx_closure_apply(&out, fun, in))
      px_raise();
    else if (r->out)
      value = px_fill(r->out, out, &next, NULL);
    mlx_vector_array_free(in);
  }
  mlx_vector_array_free(out);
  return value;
}

/* ---- checkpoint ---- */

static PyObject *call_checkpoint(px_func *self, PyObject *args, PyObject *kwargs) {
  PyObject *r = new_record(self->fun, args, kwargs);
  if (!r) return NULL;
  mlx_closure fun = mlx_closure_new_func_payload(run, Py_NewRef(r), drop), kept = mlx_closure_new();
  PyObject *value = NULL;
  if (mlx_checkpoint(&kept, fun))
    px_raise();
  else
    value = apply(record_of(r), kept, args, kwargs);
  mlx_closure_free(kept);
  mlx_closure_free(fun);
  Py_DECREF(r);
  return value;
}

int px_do_checkpoint(PyObject **v, PyObject **out) {
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  return (*out = (PyObject *)px_new_func(v[0], call_checkpoint)) ? 0 : PX_ERROR;
}

/* ---- custom_function ---- */

typedef struct custom_object {
  PyObject_HEAD PyObject *fun, *vjp, *jvp, *vmap;
} custom_object;

/* Arguments as the user's rule sees them: the tuple, or the one argument itself. */
static PyObject *primals(PyObject *tuple) {
  if (!tuple || PyTuple_Size(tuple) != 1) return tuple;
  PyObject *one = Py_NewRef(PyTuple_GetItem(tuple, 0));
  Py_DECREF(tuple);
  return one;
}

/* Calls rule(*parts, **kwargs); steals the parts, any of which may be NULL after an error. */
static PyObject *call_rule(PyObject *rule, PyObject *a, PyObject *b, PyObject *c, PyObject *kwargs) {
  PyObject *t = NULL, *r = NULL;
  if (!PyErr_Occurred() && kwargs) t = c ? PyTuple_Pack(3, a, b, c) : PyTuple_Pack(2, a, b);
  if (t) r = px_call_user(rule, t, kwargs);
  Py_XDECREF(a);
  Py_XDECREF(b);
  Py_XDECREF(c);
  Py_XDECREF(kwargs);
  return r;
}

/* The arrays of a rule's result, one for each array of the arguments; what it left out (None, a number) is zeros. */
static int collect_like(PyObject *tmpl, PyObject *value, mlx_vector_array like, size_t *at, px_list *l) {
  if (tmpl == px_hole) {
    if (px_is_array(value)) {
      (*at)++;
      return px_list_push(l, px_handle(value));
    }
    if (value != Py_None) {
      PyErr_SetString(PyExc_ValueError,
                      "[custom_function] A rule must return an array, or None, for each array among the arguments.");
      return PX_ERROR;
    }
    void *slot = NULL;
    mlx_array h = {&slot};
    int rc = mlx_vector_array_get(&h, like, (*at)++) || mlx_zeros_like(&h, h, mlx_ext_default_stream()) ? px_failed()
                                                                                                        : px_list_push(l, h);
    mlx_ext_clear(h);
    return rc;
  }
  bool list = PyList_Check(tmpl) || PyTuple_Check(tmpl);
  if (list && (PyList_Check(value) || PyTuple_Check(value)) && PySequence_Size(tmpl) == PySequence_Size(value)) {
    for (Py_ssize_t i = 0; i < PySequence_Size(tmpl); i++) {
      PyObject *t = PySequence_GetItem(tmpl, i), *x = PySequence_GetItem(value, i);
      int rc = collect_like(t, x, like, at, l);
      Py_XDECREF(t);
      Py_XDECREF(x);
      if (rc) return rc;
    }
    return 0;
  }
  if (PyDict_Check(tmpl) && PyDict_Check(value)) {
    PyObject *key, *t;
    Py_ssize_t pos = 0;
    while (PyDict_Next(tmpl, &pos, &key, &t)) {
      PyObject *x = PyDict_GetItemWithError(value, key);
      if (collect_like(t, x ? x : Py_None, like, at, l)) return PX_ERROR;
    }
    return 0;
  }
  if (!list && !PyDict_Check(tmpl)) return 0; /* a constant argument */
  PyErr_SetString(PyExc_ValueError, "[custom_function] The result of a rule must have the structure of the arguments.");
  return PX_ERROR;
}

static int give(mlx_vector_array *res, PyObject *tmpl, PyObject *value, mlx_vector_array like) {
  px_list l = {0};
  size_t at = 0;
  PyObject *one = PyTuple_Check(tmpl) && PyTuple_Size(tmpl) == 1 ? PyTuple_GetItem(tmpl, 0) : tmpl;
  int rc = collect_like(one, value, like, &at, &l);
  void *slot = NULL;
  mlx_array h = {&slot};
  for (; !rc && at < mlx_vector_array_size(like); at++) /* keyword arguments: no gradient */
    rc =
        mlx_vector_array_get(&h, like, at) || mlx_zeros_like(&h, h, mlx_ext_default_stream()) ? px_failed() : px_list_push(&l, h);
  mlx_ext_clear(h);
  if (!rc) rc = !(*res = px_list_vector(&l)).ctx;
  px_list_clear(&l);
  return rc;
}

static int run_vjp(mlx_vector_array *res, const mlx_vector_array in, const mlx_vector_array cotangents,
                   const mlx_vector_array outputs, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  record *r = record_of(payload);
  size_t n = 0, c = 0, o = 0;
  PyObject *args = primals(px_fill(r->args, in, &n, NULL)), *kwargs = args ? px_fill(r->kwargs, in, &n, NULL) : NULL;
  PyObject *ct = kwargs ? px_fill(r->out, cotangents, &c, NULL) : NULL, *y = ct ? px_fill(r->out, outputs, &o, NULL) : NULL;
  PyObject *value = call_rule(r->vjp, args, ct, y, kwargs);
  int rc = !value || give(res, r->args, value, in);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

typedef struct sparse {
  mlx_vector_array v;
  const int *argnums;
  size_t n, leaf;
} sparse;
static PyObject *next_tangent(PyObject *leaf, void *ctx) { /* None where the argument is not differentiated */
  sparse *s = ctx;
  if (leaf != px_hole) return Py_NewRef(leaf);
  size_t at = s->leaf++;
  for (size_t i = 0; i < s->n; i++) {
    if ((size_t)s->argnums[i] != at) continue;
    PyObject *a = px_new();
    if (!a) return NULL;
    mlx_array h = px_handle(a);
    return px_done(a, mlx_vector_array_get(&h, s->v, mlx_vector_array_size(s->v) == s->n ? i : at));
  }
  Py_RETURN_NONE;
}

static int run_jvp(mlx_vector_array *res, const mlx_vector_array in, const mlx_vector_array tangents, const int *argnums,
                   size_t nargnums, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  record *r = record_of(payload);
  size_t n = 0;
  sparse s = {tangents, argnums, nargnums, 0};
  PyObject *args = primals(px_fill(r->args, in, &n, NULL)), *kwargs = args ? px_fill(r->kwargs, in, &n, NULL) : NULL;
  PyObject *t = kwargs ? primals(px_tree_map(r->args, next_tangent, &s)) : NULL;
  PyObject *value = call_rule(r->jvp, args, t, NULL, kwargs);
  int rc = !value || px_give_arrays(res, value, false);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static PyObject *next_axis(PyObject *leaf, void *ctx) {
  sparse *s = ctx;
  if (leaf != px_hole) return Py_NewRef(leaf);
  int axis = s->leaf < s->n ? s->argnums[s->leaf] : -1;
  s->leaf++;
  return axis < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(axis);
}

/* The axis of each array of value: axes is an int, None or a tree that value extends. */
static int give_axes(PyObject *value, PyObject *axes, mlx_vector_int v) {
  if (px_is_array(value)) {
    int axis = -1;
    if (axes != Py_None && px_to_int(axes, &axis))
      return PyErr_SetString(PyExc_ValueError, "[custom_function] vmap must return an int or None for each output."), PX_ERROR;
    return mlx_vector_int_append_value(v, axis) ? px_failed() : 0;
  }
  if (!PyList_Check(value) && !PyTuple_Check(value)) return 0;
  bool spread = axes == Py_None || PyLong_Check(axes);
  if (!spread && (!PySequence_Check(axes) || PySequence_Size(axes) != PySequence_Size(value))) {
    PyErr_SetString(PyExc_ValueError, "[custom_function] vmap must return as many axes as outputs.");
    return PX_ERROR;
  }
  for (Py_ssize_t i = 0; i < PySequence_Size(value); i++) {
    PyObject *x = PySequence_GetItem(value, i), *a = spread ? Py_NewRef(axes) : PySequence_GetItem(axes, i);
    int rc = give_axes(x, a, v);
    Py_XDECREF(x);
    Py_XDECREF(a);
    if (rc) return rc;
  }
  return 0;
}

static int run_vmap(mlx_vector_array *res, mlx_vector_int *out_axes, const mlx_vector_array in, const int *in_axes,
                    size_t nin_axes, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  record *r = record_of(payload);
  size_t n = 0;
  sparse s = {{NULL}, in_axes, nin_axes, 0};
  PyObject *args = primals(px_fill(r->args, in, &n, NULL)), *kwargs = args ? px_fill(r->kwargs, in, &n, NULL) : NULL;
  PyObject *axes = kwargs ? primals(px_tree_map(r->args, next_axis, &s)) : NULL;
  PyObject *value = call_rule(r->vmap, args, axes, NULL, kwargs);
  int rc = !value;
  if (!rc && (!PyTuple_Check(value) || PyTuple_Size(value) != 2)) {
    PyErr_SetString(PyExc_ValueError, "[custom_function] vmap must return the outputs and their axes.");
    rc = PX_ERROR;
  }
  if (!rc) rc = px_give_arrays(res, PyTuple_GetItem(value, 0), false);
  if (!rc) {
    *out_axes = mlx_vector_int_new();
    rc = give_axes(PyTuple_GetItem(value, 0), PyTuple_GetItem(value, 1), *out_axes);
  }
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static PyObject *custom_call(PyObject *o, PyObject *args, PyObject *kwargs) {
  custom_object *c = (custom_object *)o;
  if (!c->vjp && !c->jvp && !c->vmap) return PyObject_Call(c->fun, args, kwargs);
  PyObject *shared = new_record(c->fun, args, kwargs);
  if (!shared) return NULL;
  record *r = record_of(shared);
  r->vjp = Py_XNewRef(c->vjp);
  r->jvp = Py_XNewRef(c->jvp);
  r->vmap = Py_XNewRef(c->vmap);
  mlx_closure fun = mlx_closure_new_func_payload(run, Py_NewRef(shared), drop), both = mlx_closure_new();
  mlx_closure_custom vjp =
      r->vjp ? mlx_closure_custom_new_func_payload(run_vjp, Py_NewRef(shared), drop) : (mlx_closure_custom){NULL};
  mlx_closure_custom_jvp jvp =
      r->jvp ? mlx_closure_custom_jvp_new_func_payload(run_jvp, Py_NewRef(shared), drop) : (mlx_closure_custom_jvp){NULL};
  mlx_closure_custom_vmap vmap =
      r->vmap ? mlx_closure_custom_vmap_new_func_payload(run_vmap, Py_NewRef(shared), drop) : (mlx_closure_custom_vmap){NULL};
  PyObject *value = NULL;
  if (mlx_custom_function(&both, fun, vjp, jvp, vmap))
    px_raise();
  else
    value = apply(r, both, args, kwargs);
  mlx_closure_free(both);
  mlx_closure_free(fun);
  mlx_closure_custom_free(vjp);
  mlx_closure_custom_jvp_free(jvp);
  mlx_closure_custom_vmap_free(vmap);
  Py_DECREF(shared);
  return value;
}

static PyObject *custom_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  static const px_sig sig = {.name = "__init__", .text = "(self, f: Callable) -> None"};
  static char *names[] = {"f", NULL};
  PyObject *f;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &f) || !PyCallable_Check(f)) {
    PyErr_Clear();
    return px_type_error_tuple(&sig, args, kwargs);
  }
  custom_object *c = PyObject_GC_New(custom_object, t);
  if (!c) return NULL;
  c->fun = Py_NewRef(f);
  c->vjp = c->jvp = c->vmap = NULL;
  PyObject_GC_Track(c);
  return (PyObject *)c;
}
static int custom_traverse(PyObject *o, visitproc visit, void *arg) {
  custom_object *c = (custom_object *)o;
  Py_VISIT(Py_TYPE(o));
  Py_VISIT(c->fun);
  Py_VISIT(c->vjp);
  Py_VISIT(c->jvp);
  Py_VISIT(c->vmap);
  return 0;
}
static int custom_clear(PyObject *o) {
  custom_object *c = (custom_object *)o;
  Py_CLEAR(c->fun);
  Py_CLEAR(c->vjp);
  Py_CLEAR(c->jvp);
  Py_CLEAR(c->vmap);
  return 0;
}
static void custom_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  custom_clear(o);
  PyObject_GC_Del(o);
  Py_DECREF(t);
}
static PyObject *set_rule(PyObject **rule, PyObject *f) {
  if (!PyCallable_Check(f)) return PyErr_SetString(PyExc_TypeError, "A rule of a custom function must be callable."), NULL;
  PX_REPLACE(*rule, Py_NewRef(f));
  return Py_NewRef(f);
}
static PyObject *custom_vjp(PyObject *o, PyObject *f) { return set_rule(&((custom_object *)o)->vjp, f); }
static PyObject *custom_jvp(PyObject *o, PyObject *f) { return set_rule(&((custom_object *)o)->jvp, f); }
static PyObject *custom_vmap(PyObject *o, PyObject *f) { return set_rule(&((custom_object *)o)->vmap, f); }
static PyObject *custom_attribute(PyObject *o, void *name) { return PyObject_GetAttrString(((custom_object *)o)->fun, name); }

int px_init_custom(PyObject *m) {
  static PyMethodDef methods[] = {
      PX_INIT(", f"),
      {"vjp", custom_vjp, METH_O, "vjp($self, f)\n--\n\nf(primals, cotangents, outputs) gives the gradient."},
      {"jvp", custom_jvp, METH_O, "jvp($self, f)\n--\n\nf(primals, tangents) gives the tangents of the outputs."},
      {"vmap", custom_vmap, METH_O, "vmap($self, f)\n--\n\nf(inputs, axes) gives the outputs and their axes."},
      {0}};
  static PyGetSetDef getset[] = {{"__name__", custom_attribute, NULL, NULL, (void *)"__name__"},
                                 {"__wrapped__", custom_attribute, NULL, NULL, (void *)"__call__"},
                                 {0}};
  PyType_Slot slots[] = {{Py_tp_doc, (void *)"custom_function(f)\n--\n\nA function with derivatives and batching of its own."},
                         {Py_tp_new, (void *)custom_new},
                         {Py_tp_init, (void *)px_init_done},
                         {Py_tp_call, (void *)custom_call},
                         {Py_tp_traverse, (void *)custom_traverse},
                         {Py_tp_clear, (void *)custom_clear},
                         {Py_tp_dealloc, (void *)custom_dealloc},
                         {Py_tp_methods, methods},
                         {Py_tp_getset, getset},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core.custom_function", sizeof(custom_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};
  PyObject *t = PyType_FromSpec(&spec);
  return !t || PyModule_AddObjectRef(m, "custom_function", t) ? -1 : 0;
}
