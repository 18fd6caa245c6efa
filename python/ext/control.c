/* scan, while_loop, cond, associative_scan: the library's control flow over nested containers. */
#include "func.h"

#include "mlx/c/control.h"

/* ---- trees of arrays ---- */

static bool becomes_array(PyObject *o) {
  return PyBool_Check(o) || PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o) || px_is_foreign(o);
}

static PyObject *leaf_to_array(PyObject *leaf, void *unused) {
  (void)unused;
  if (px_is_array(leaf) || !becomes_array(leaf)) return Py_NewRef(leaf);
  PX_ARG(a);
  if (px_from_object(leaf, -1, &a)) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "A leaf cannot become an array.");
    return NULL;
  }
  return px_wrap(a.h);
}

/* The tree with numbers as arrays, its template and its arrays. */
typedef struct tree {
  PyObject *value, *tmpl;
  px_list arrays;
} tree;

static int tree_of(tree *t, PyObject *value) {
  *t = (tree){.value = px_tree_map(value, leaf_to_array, NULL)};
  t->tmpl = t->value ? px_template(t->value) : NULL;
  return !t->tmpl || px_tree_arrays(t->value, &t->arrays, false) ? PX_ERROR : 0;
}

static void tree_clear(tree *t) {
  Py_CLEAR(t->value);
  Py_CLEAR(t->tmpl);
  px_list_clear(&t->arrays);
}

static int other_structure(const char *tag, const char *what, PyObject *tmpl, PyObject *value) {
  PyObject *t = (PyObject *)Py_TYPE(value);
  if (tmpl == px_hole) PyErr_Format(PyExc_ValueError, "[%s] %s has another structure: %R stands where an array is expected.", tag, what, t);
  else PyErr_Format(PyExc_ValueError, "[%s] %s has another structure: %R stands where %R is expected.", tag, what, t, (PyObject *)Py_TYPE(tmpl));
  return PX_ERROR;
}

/* Collects the arrays of a tree in the order of a template, whose structure it must have. Numbers follow the dtypes of `like`. */
typedef struct matching {
  const char *tag, *what;
  px_list *like, *out;
  size_t at;
} matching;

static int match(matching *m, PyObject *tmpl, PyObject *value);

static int match_leaf(matching *m, PyObject *tmpl, PyObject *value) {
  PX_ARG(a);
  if (tmpl != px_hole) {
    int same = tmpl == value ? 1 : PyObject_RichCompareBool(tmpl, value, Py_EQ);
    return same < 0 ? PX_ERROR : same ? 0 : other_structure(m->tag, m->what, tmpl, value);
  }
  if (px_is_array(value)) return px_list_push(m->out, px_handle(value));
  if (!becomes_array(value)) return other_structure(m->tag, m->what, tmpl, value);
  bool known = m->like && m->at < m->like->n;
  int rc = known ? px_to_weak(value, mlx_array_dtype(px_list_at(m->like, m->at)), &a) : px_to_any(value, &a);
  if (rc == PX_TYPE) return other_structure(m->tag, m->what, tmpl, value);
  return rc ? rc : px_list_push(m->out, a.h);
}

static int match_dict(matching *m, PyObject *tmpl, PyObject *value) {
  PyObject *key, *inner;
  Py_ssize_t pos = 0;
  int rc = PyDict_Check(value) && PyDict_Size(value) == PyDict_Size(tmpl) ? 0 : other_structure(m->tag, m->what, tmpl, value);
  while (!rc && PyDict_Next(tmpl, &pos, &key, &inner)) {
    PyObject *item = PyDict_GetItemWithError(value, key);
    if (!item) {
      if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "[%s] %s has another structure: the key %R is missing.", m->tag, m->what, key);
      return PX_ERROR;
    }
    rc = match(m, inner, item);
  }
  return rc;
}

static int match_inside(matching *m, PyObject *tmpl, PyObject *value) {
  if (PyDict_Check(tmpl)) return match_dict(m, tmpl, value);
  bool list = PyList_Check(tmpl);
  if (!list && !PyTuple_Check(tmpl)) {
    int rc = match_leaf(m, tmpl, value);
    if (tmpl == px_hole) m->at++;
    return rc;
  }
  Py_ssize_t n = PySequence_Size(tmpl);
  if (!(list ? PyList_Check(value) : PyTuple_Check(value))) return other_structure(m->tag, m->what, tmpl, value);
  if (PySequence_Size(value) != n) {
    PyErr_Format(PyExc_ValueError, "[%s] %s has another structure: %zd items stand where %zd are expected.", m->tag, m->what, PySequence_Size(value), n);
    return PX_ERROR;
  }
  int rc = 0;
  for (Py_ssize_t i = 0; i < n && !rc; i++)
    rc = match(m, list ? PyList_GetItem(tmpl, i) : PyTuple_GetItem(tmpl, i), list ? PyList_GetItem(value, i) : PyTuple_GetItem(value, i));
  return rc;
}

static int match(matching *m, PyObject *tmpl, PyObject *value) {
  if (Py_EnterRecursiveCall(" in a nested container")) return PX_ERROR;
  int rc = match_inside(m, tmpl, value);
  Py_LeaveRecursiveCall();
  return rc;
}

static int matched(mlx_vector_array *res, const char *tag, const char *what, PyObject *tmpl, px_list *like, PyObject *value) {
  px_list out = {0};
  matching m = {tag, what, like, &out, 0};
  int rc = match(&m, tmpl, value);
  if (!rc && !(*res = px_list_vector(&out)).ctx) rc = PX_ERROR;
  px_list_clear(&out);
  return rc;
}

static PyObject *filled(PyObject *tmpl, mlx_vector_array v) {
  size_t next = 0;
  return px_fill(tmpl, v, &next, NULL);
}

/* ---- scan ---- */

typedef struct scan_call {
  PyObject *fun;
  tree carry, xs, y; /* of y the template */
} scan_call;

/* (carry, y), and what y looks like. */
static int take_step(scan_call *c, PyObject *value, mlx_vector_array *res) {
  if (!PyTuple_Check(value) || PyTuple_Size(value) != 2) {
    PyErr_SetString(PyExc_ValueError, "[scan] The function must return a tuple of two: the carry and the results of the step.");
    return PX_ERROR;
  }
  tree_clear(&c->y);
  if (matched(res, "scan", "The carry that the function returned", c->carry.tmpl, &c->carry.arrays, PyTuple_GetItem(value, 0)) ||
      tree_of(&c->y, PyTuple_GetItem(value, 1)))
    return PX_ERROR;
  Py_CLEAR(c->y.value);
  int rc = px_append_arrays(*res, &c->y.arrays);
  px_list_clear(&c->y.arrays);
  return rc;
}

static int run_step(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  scan_call *c = payload;
  size_t next = 0;
  PyObject *carry = px_fill(c->carry.tmpl, in, &next, NULL), *x = carry ? px_fill(c->xs.tmpl, in, &next, NULL) : NULL;
  PyObject *value = x ? px_call_user(c->fun, PyTuple_Pack(2, carry, x), NULL) : NULL;
  int rc = value ? take_step(c, value, res) : PX_ERROR;
  Py_XDECREF(carry);
  Py_XDECREF(x);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static PyObject *scan(scan_call *c, int64_t length, bool reverse, bool checkpoint) {
  mlx_vector_array carry = mlx_vector_array_new(), ys = mlx_vector_array_new(), init = px_list_vector(&c->carry.arrays),
                   xs = px_list_vector(&c->xs.arrays);
  mlx_closure f = mlx_closure_new_func_payload(run_step, c, NULL);
  PyObject *r = NULL, *last = NULL, *all = NULL;
  if (init.ctx && xs.ctx) {
    if (mlx_scan(&carry, &ys, f, init, xs, length, reverse, checkpoint)) px_raise();
    else if ((last = filled(c->carry.tmpl, carry)) && (all = filled(c->y.tmpl, ys))) r = PyTuple_Pack(2, last, all);
  }
  Py_XDECREF(last);
  Py_XDECREF(all);
  mlx_closure_free(f);
  mlx_vector_array_free(carry);
  mlx_vector_array_free(ys);
  if (init.ctx) mlx_vector_array_free(init);
  if (xs.ctx) mlx_vector_array_free(xs);
  return r;
}

int px_do_loop_scan(PyObject **v, PyObject **out) { /* f, init, xs, length, reverse, checkpoint */
  int64_t length = -1;
  bool reverse = false, checkpoint = false;
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  if (v[3] && v[3] != Py_None) {
    PX_TRY(px_to_int64(v[3], &length));
    if (length < 0) {
      PyErr_Format(PyExc_ValueError, "[scan] The length %lld is negative.", (long long)length);
      return PX_ERROR;
    }
  }
  if (v[4]) PX_TRY(px_to_bool(v[4], &reverse));
  if (v[5]) PX_TRY(px_to_bool(v[5], &checkpoint));
  scan_call c = {.fun = v[0]};
  if (!tree_of(&c.carry, v[1]) && !tree_of(&c.xs, v[2] ? v[2] : Py_None)) *out = scan(&c, length, reverse, checkpoint);
  tree_clear(&c.carry);
  tree_clear(&c.xs);
  tree_clear(&c.y);
  return *out ? 0 : PX_ERROR;
}

/* ---- while_loop ---- */

typedef struct while_call {
  PyObject *condition, *body;
  tree carry;
} while_call;

static int run_condition(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  while_call *c = payload;
  PyObject *carry = filled(c->carry.tmpl, in), *value = carry ? px_call_user(c->condition, PyTuple_Pack(1, carry), NULL) : NULL;
  int rc = value ? matched(res, "while_loop", "What the condition returned", px_hole, NULL, value) : PX_ERROR;
  Py_XDECREF(carry);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static int run_body(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  while_call *c = payload;
  PyObject *carry = filled(c->carry.tmpl, in), *value = carry ? px_call_user(c->body, PyTuple_Pack(1, carry), NULL) : NULL;
  int rc = value ? matched(res, "while_loop", "The carry that the body returned", c->carry.tmpl, &c->carry.arrays, value) : PX_ERROR;
  Py_XDECREF(carry);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

int px_do_while_loop(PyObject **v, PyObject **out) { /* cond, body, init */
  if (!PyCallable_Check(v[0]) || !PyCallable_Check(v[1])) return PX_TYPE;
  while_call c = {.condition = v[0], .body = v[1]};
  if (!tree_of(&c.carry, v[2])) {
    mlx_vector_array res = mlx_vector_array_new(), init = px_list_vector(&c.carry.arrays);
    mlx_closure condition = mlx_closure_new_func_payload(run_condition, &c, NULL), body = mlx_closure_new_func_payload(run_body, &c, NULL);
    if (init.ctx) {
      if (mlx_while_loop(&res, condition, body, init)) px_raise();
      else *out = filled(c.carry.tmpl, res);
      mlx_vector_array_free(init);
    }
    mlx_closure_free(condition);
    mlx_closure_free(body);
    mlx_vector_array_free(res);
  }
  tree_clear(&c.carry);
  return *out ? 0 : PX_ERROR;
}

/* ---- cond ---- */

typedef struct cond_call {
  PyObject *fun;   /* of the branch */
  tree *operands;
  PyObject **tmpl; /* of the results: the first branch that runs gives it */
} cond_call;

static int run_branch(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  cond_call *c = payload;
  PyObject *value = px_call_user(c->fun, filled(c->operands->tmpl, in), NULL);
  tree t = {0};
  int rc = value ? tree_of(&t, value) : PX_ERROR;
  if (!rc && !*c->tmpl) *c->tmpl = Py_NewRef(t.tmpl);
  if (!rc) rc = matched(res, "cond", "What the second function returned", *c->tmpl, NULL, t.value);
  tree_clear(&t);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

int px_do_choose(PyObject **v, PyObject **out) { /* variadic: pred, true_fn, false_fn, operands */
  Py_ssize_t n = PyTuple_Size(v[0]);
  if (n < 3 || !PyCallable_Check(PyTuple_GetItem(v[0], 1)) || !PyCallable_Check(PyTuple_GetItem(v[0], 2))) return PX_TYPE;
  PX_ARG(predicate);
  PX_TRY(px_to_any(PyTuple_GetItem(v[0], 0), &predicate));
  PyObject *rest = PyTuple_GetSlice(v[0], 3, n), *tmpl = NULL;
  tree operands = {0};
  if (rest && !tree_of(&operands, rest)) {
    cond_call if_true = {PyTuple_GetItem(v[0], 1), &operands, &tmpl}, if_false = {PyTuple_GetItem(v[0], 2), &operands, &tmpl};
    mlx_vector_array res = mlx_vector_array_new(), x = px_list_vector(&operands.arrays);
    mlx_closure t = mlx_closure_new_func_payload(run_branch, &if_true, NULL), f = mlx_closure_new_func_payload(run_branch, &if_false, NULL);
    if (x.ctx) {
      if (mlx_cond(&res, predicate.h, t, f, x)) px_raise();
      else *out = filled(tmpl, res);
      mlx_vector_array_free(x);
    }
    mlx_closure_free(t);
    mlx_closure_free(f);
    mlx_vector_array_free(res);
  }
  tree_clear(&operands);
  Py_XDECREF(tmpl);
  Py_XDECREF(rest);
  return *out ? 0 : PX_ERROR;
}

/* ---- associative_scan ---- */

typedef struct pairs_call {
  PyObject *fun;
  tree xs;
} pairs_call;

static int run_pairs(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  pairs_call *c = payload;
  size_t next = 0;
  PyObject *a = px_fill(c->xs.tmpl, in, &next, NULL), *b = a ? px_fill(c->xs.tmpl, in, &next, NULL) : NULL;
  PyObject *value = b ? px_call_user(c->fun, PyTuple_Pack(2, a, b), NULL) : NULL;
  int rc = value ? matched(res, "associative_scan", "What the function returned", c->xs.tmpl, &c->xs.arrays, value) : PX_ERROR;
  Py_XDECREF(a);
  Py_XDECREF(b);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

int px_do_associative_scan(PyObject **v, PyObject **out) { /* f, xs, reverse, axis */
  bool reverse = false;
  int axis = 0;
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  if (v[2]) PX_TRY(px_to_bool(v[2], &reverse));
  if (v[3]) PX_TRY(px_to_int(v[3], &axis));
  pairs_call c = {.fun = v[0]};
  if (!tree_of(&c.xs, v[1])) {
    mlx_vector_array res = mlx_vector_array_new(), xs = px_list_vector(&c.xs.arrays);
    mlx_closure f = mlx_closure_new_func_payload(run_pairs, &c, NULL);
    if (xs.ctx) {
      if (mlx_associative_scan(&res, f, xs, reverse, axis)) px_raise();
      else *out = filled(c.xs.tmpl, res);
      mlx_vector_array_free(xs);
    }
    mlx_closure_free(f);
    mlx_vector_array_free(res);
  }
  tree_clear(&c.xs);
  return *out ? 0 : PX_ERROR;
}
