/* compile: the library records what the function does with arrays; here stands what belongs to Python.
 *
 * A call is described by a key: the structure of the arguments and their constants, and dtype and shape (rank, when
 * shapeless) of each array. The part without arrays goes to the library as the constants of its own cache. For each key
 * the structure of the result is kept, since a replay gives arrays only. State (inputs=, outputs=) is read when called:
 * while the function is traced the state's arrays are traced ones, afterwards the containers get the new arrays. */
#include "func.h"

#include <stdlib.h>

static bool disabled;

int px_do_disable_compile(PyObject **v, PyObject **out) {
  (void)v;
  (void)out;
  disabled = true;
  return 0;
}
int px_do_enable_compile(PyObject **v, PyObject **out) {
  (void)v;
  (void)out;
  disabled = false;
  return 0;
}

/* ---- keys ---- */

typedef struct bytes {
  char *at;
  size_t n, cap;
} bytes;

static int put(bytes *b, const void *data, size_t n) {
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
static int put_tag(bytes *b, char tag) { return put(b, &tag, 1); }
static int put_size(bytes *b, char tag, Py_ssize_t n) { return put_tag(b, tag) || put(b, &n, sizeof n); }

static int put_text(bytes *b, char tag, PyObject *o) {
  Py_ssize_t n;
  const char *s = PyUnicode_AsUTF8AndSize(o, &n);
  return !s || put_size(b, tag, n) || put(b, s, (size_t)n);
}

static int put_repr(bytes *b, char tag, PyObject *o) {
  PyObject *r = PyObject_Repr(o);
  int rc = r ? put_text(b, tag, r) : PX_ERROR;
  Py_XDECREF(r);
  return rc;
}

static int put_constant(bytes *b, PyObject *o) {
  double d;
  if (o == Py_None) return put_tag(b, 'N');
  if (PyBool_Check(o)) return put_tag(b, o == Py_True ? 'T' : 'F');
  if (PyUnicode_Check(o)) return put_text(b, 's', o);
  if (PyLong_Check(o)) return put_repr(b, 'i', o);
  if (PyFloat_Check(o)) {
    d = PyFloat_AsDouble(o);
    return put_tag(b, 'f') || put(b, &d, sizeof d);
  }
  if (PyComplex_Check(o) || PyBytes_Check(o) || px_is_dtype(o)) return put_repr(b, 'c', o);
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__name__");
  PyErr_Format(
      PyExc_ValueError,
      "[compile] Function arguments must be trees of arrays or constants (floats, ints, strings, or None), but received type %S.",
      name);
  Py_XDECREF(name);
  return PX_ERROR;
}

static int put_tree(bytes *b, PyObject *o, px_list *arrays);
static int put_container(bytes *b, PyObject *o, px_list *arrays) {
  int rc = 0;
  if (PyList_Check(o) || PyTuple_Check(o)) {
    bool list = PyList_Check(o);
    Py_ssize_t n = list ? PyList_Size(o) : PyTuple_Size(o);
    rc = put_size(b, list ? '[' : '(', n);
    for (Py_ssize_t i = 0; !rc && i < n; i++) rc = put_tree(b, list ? PyList_GetItem(o, i) : PyTuple_GetItem(o, i), arrays);
    return rc;
  }
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  rc = put_size(b, '{', PyDict_Size(o));
  while (!rc && PyDict_Next(o, &pos, &key, &value))
    rc = (PyUnicode_Check(key) ? put_text(b, 'k', key) : put_repr(b, 'r', key)) || put_tree(b, value, arrays);
  return rc;
}
static int put_tree(bytes *b, PyObject *o, px_list *arrays) {
  if (px_is_array(o)) return put_tag(b, 'A') || px_list_push(arrays, px_handle(o));
  if (!PyList_Check(o) && !PyTuple_Check(o) && !PyDict_Check(o)) return put_constant(b, o);
  if (Py_EnterRecursiveCall(" in a nested container")) return PX_ERROR;
  int rc = put_container(b, o, arrays);
  Py_LeaveRecursiveCall();
  return rc;
}

static int put_arrays(bytes *b, px_list *l, bool shapeless) {
  for (size_t i = 0; i < l->n; i++) {
    mlx_array h = px_list_at(l, i);
    unsigned char head[2] = {(unsigned char)mlx_array_dtype(h), (unsigned char)mlx_array_ndim(h)};
    if (put(b, head, 2)) return PX_ERROR;
    if (!shapeless && put(b, mlx_array_shape(h), head[1] * sizeof(int))) return PX_ERROR;
  }
  return 0;
}

/* ---- state ---- */

static int state_leaf(PyObject *leaf, void *ctx) {
  if (px_is_array(leaf)) return px_list_push(ctx, px_handle(leaf));
  if (!px_is_random_state(leaf)) return 0;
  void *slot = NULL;
  mlx_array h = {&slot};
  int rc = mlx_ext_random_state(&h) ? px_failed() : px_list_push(ctx, h);
  mlx_ext_clear(h);
  return rc;
}
static int state_arrays(PyObject *tree, px_list *l) { return tree ? px_tree_visit(tree, state_leaf, l) : 0; }

/* Writes arrays into the objects of a state tree themselves: traced ones for the length of a trace, then the old. */
typedef struct writing {
  px_list *l;
  size_t i;
} writing;
static int write_leaf(PyObject *leaf, void *ctx) {
  writing *w = ctx;
  if (px_is_array(leaf)) {
    mlx_array h = px_handle(leaf);
    return w->i < w->l->n && mlx_array_set(&h, px_list_at(w->l, w->i++)) ? px_failed() : 0;
  }
  if (px_is_random_state(leaf) && w->i < w->l->n) return mlx_ext_random_set_state(px_list_at(w->l, w->i++)) ? px_failed() : 0;
  return 0;
}

typedef struct remembered { /* the array objects of the state, in order, with the random state as itself */
  PyObject *objects;
} remembered;
static int remember_leaf(PyObject *leaf, void *ctx) {
  return px_is_array(leaf) || px_is_random_state(leaf) ? PyList_Append(ctx, leaf) : 0;
}

/* New arrays for a state tree: containers get new objects. */
typedef struct updating {
  mlx_vector_array v;
  size_t i;
} updating;
static PyObject *update_leaf(PyObject *leaf, void *ctx) {
  updating *u = ctx;
  bool random = px_is_random_state(leaf);
  if ((!px_is_array(leaf) && !random) || u->i >= mlx_vector_array_size(u->v)) return NULL;
  PyObject *a = px_new();
  if (!a) return NULL;
  mlx_array h = px_handle(a);
  if (mlx_vector_array_get(&h, u->v, u->i++)) return px_done(a, 1);
  if (!random) return a;
  if (mlx_ext_random_set_state(h)) px_raise();
  Py_DECREF(a);
  return NULL;
}
static int update_state(PyObject *tree, mlx_vector_array v, size_t from) {
  updating u = {v, from};
  if (!tree) return 0;
  if (!PyList_Check(tree) && !PyTuple_Check(tree) && !PyDict_Check(tree)) { /* the state is one array, or the generator */
    PyObject *r = update_leaf(tree, &u);
    if (r && px_is_array(tree)) {
      mlx_array h = px_handle(tree);
      mlx_array_set(&h, px_handle(r));
    }
    Py_XDECREF(r);
    return PyErr_Occurred() ? PX_ERROR : 0;
  }
  return px_tree_replace(tree, update_leaf, &u);
}

/* ---- a call ---- */

enum { INPUTS, OUTPUTS, CACHE };

typedef struct traced_call {
  px_func *self;
  PyObject *args, *kwargs; /* as given; kwargs may be NULL */
  size_t nargs;            /* arrays among the arguments; the state's follow */
  PyObject *result;        /* what the trace noted: (template, number of arrays in it) */
} traced_call;

/* The call that this thread is in: the library traces within it. */
static _Thread_local traced_call *current;

/* What the latest call needed, for the next one. */
typedef struct latest {
  bytes key, constants;
  PyObject *result;     /* of this key, the cache's; or NULL */
  mlx_closure compiled; /* with these constants; empty while a call uses it */
} latest;

static PyObject *traced_arguments(PyObject *given, mlx_vector_array in, size_t *next) {
  PyObject *tmpl = px_template(given), *filled = tmpl ? px_fill(tmpl, in, next, NULL) : NULL;
  Py_XDECREF(tmpl);
  return filled;
}

static int trace_with_state(traced_call *c, mlx_vector_array *res, mlx_vector_array in) {
  px_func *f = c->self;
  PyObject *inputs = f->part[INPUTS], *objects = PyList_New(0);
  px_list all = {0}, old = {0}, out = {0};
  size_t next = 0;
  int rc = objects && !px_list_from_vector(&all, in) && !state_arrays(inputs, &old) ? 0 : PX_ERROR;
  if (!rc && inputs) rc = px_tree_visit(inputs, remember_leaf, objects);
  writing w = {&all, c->nargs}, back = {&old, 0};
  if (!rc) rc = px_tree_visit(objects, write_leaf, &w);
  PyObject *args = rc ? NULL : traced_arguments(c->args, in, &next), *kwargs = args && c->kwargs ? traced_arguments(c->kwargs, in, &next) : NULL;
  PyObject *value = args && (kwargs || !c->kwargs) ? px_call_user(f->fun, Py_NewRef(args), kwargs) : NULL, *tmpl = value ? px_template(value) : NULL;
  if (!tmpl || px_tree_arrays(value, &out, false)) rc = PX_ERROR;
  if (!rc) {
    PX_REPLACE(c->result, Py_BuildValue("(On)", tmpl, (Py_ssize_t)out.n));
    rc = !c->result || state_arrays(f->part[OUTPUTS], &out) || !(*res = px_list_vector(&out)).ctx ? PX_ERROR : 0;
  }
  PyObject *type, *error, *trace; /* the old state returns, whatever happened */
  PyErr_Fetch(&type, &error, &trace);
  if (objects) px_tree_visit(objects, write_leaf, &back);
  if (type) PyErr_Restore(type, error, trace);
  Py_XDECREF(objects);
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  Py_XDECREF(value);
  Py_XDECREF(tmpl);
  px_list_clear(&all);
  px_list_clear(&old);
  px_list_clear(&out);
  return rc;
}

/* Told to the trace of what ran. */
static void tell_name(PyObject *fun) {
  PyObject *name = PyObject_GetAttrString(fun, "__name__"), *text = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8String(name) : NULL;
  if (text) mlx_ext_compile_name(PyBytes_AsString(text));
  PyErr_Clear();
  Py_XDECREF(text);
  Py_XDECREF(name);
}

static int run_trace(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  traced_call *c = current;
  int rc = PX_ERROR;
  if (c && c->self == payload) {
    current = NULL;
    tell_name(c->self->fun);
    rc = trace_with_state(c, res, in);
    current = c;
  } else
    PyErr_SetString(PyExc_RuntimeError, "[compile] The function was traced after its call ended.");
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

static bool same_bytes(const bytes *b, const char *at, size_t n) { return b->at && b->n == n && !memcmp(b->at, at, n); }
static int keep_bytes(bytes *b, const char *at, size_t n) {
  b->n = 0;
  return put(b, at, n);
}

/* The library's compiled function for these constants: the latest one, or a new one. */
static mlx_closure take_compiled(px_func *f, const bytes *key, size_t words) {
  latest *l = f->extra;
  mlx_closure c = mlx_closure_new(), fun;
  if (l->compiled.ctx && same_bytes(&l->constants, key->at, 8 * words)) {
    c = l->compiled;
    l->compiled.ctx = NULL;
    return c;
  }
  fun = mlx_closure_new_func_payload(run_trace, f, NULL);
  if (mlx_detail_compile(&c, fun, (uintptr_t)f, f->flag, (const uint64_t *)(const void *)key->at, words)) {
    px_raise();
    mlx_closure_free(c);
    c.ctx = NULL;
  }
  mlx_closure_free(fun);
  return c;
}

static void give_back(px_func *f, mlx_closure c, const bytes *key, size_t words) {
  latest *l = f->extra;
  if (!l->compiled.ctx && (same_bytes(&l->constants, key->at, 8 * words) || !keep_bytes(&l->constants, key->at, 8 * words))) l->compiled = c;
  else mlx_closure_free(c);
}

/* *result: the note of the trace that was replayed, from this call or an earlier one; NULL: there is none. */
static int find_result(px_func *f, const bytes *key, PyObject *noted, PyObject **result) {
  latest *l = f->extra;
  if (!noted && l->result && same_bytes(&l->key, key->at, key->n)) {
    *result = Py_NewRef(l->result);
    return 0;
  }
  PyObject *k = PyBytes_FromStringAndSize(key->at, (Py_ssize_t)key->n);
  int rc = !k || (noted && PyDict_SetItem(f->part[CACHE], k, noted)) ? PX_ERROR : 0;
  *result = rc ? NULL : PyDict_GetItemWithError(f->part[CACHE], k);
  Py_XINCREF(*result);
  Py_XDECREF(k);
  l->result = NULL;
  if (*result && !keep_bytes(&l->key, key->at, key->n)) l->result = *result;
  return rc || PyErr_Occurred() ? PX_ERROR : 0;
}

/* Runs the recorded function. */
static int run(traced_call *c, const bytes *key, size_t words, px_list *inputs, mlx_vector_array *out, PyObject **result) {
  px_func *f = c->self;
  int rc = 0;
  for (int attempt = 0; !rc && attempt < 2; attempt++) {
    mlx_closure compiled = take_compiled(f, key, words);
    if (!compiled.ctx) return PX_ERROR;
    traced_call *around = current;
    current = c;
    rc = mlx_ext_apply(out, compiled, inputs->slot, inputs->n);
    current = around;
    if (rc) px_raise();
    give_back(f, compiled, key, words);
    if (rc || (rc = find_result(f, key, c->result, result)) || *result) break;
    mlx_detail_compile_erase((uintptr_t)f); /* the library replayed a trace that this key has not seen: trace again */
  }
  return rc || !*result ? PX_ERROR : 0;
}

static PyObject *call_compiled(px_func *self, PyObject *args, PyObject *kwargs) {
  if (disabled) return PyObject_Call(self->fun, args, kwargs);
  bytes key = {0};
  px_list inputs = {0};
  mlx_vector_array out = mlx_vector_array_new();
  PyObject *result = NULL, *value = NULL;
  traced_call c = {self, args, kwargs, 0, NULL};
  static const char zeros[8];
  int rc = put_tree(&key, args, &inputs) || (kwargs && put_tree(&key, kwargs, &inputs));
  c.nargs = inputs.n;
  if (!rc) rc = put(&key, zeros, (8 - key.n % 8) % 8); /* whole words: what goes to the library */
  size_t words = key.n / 8;
  if (!rc) rc = state_arrays(self->part[INPUTS], &inputs) || put_arrays(&key, &inputs, self->flag);
  if (!rc) rc = run(&c, &key, words, &inputs, &out, &result);
  if (!rc) {
    size_t next = 0, n = (size_t)PyLong_AsSize_t(PyTuple_GetItem(result, 1));
    value = px_fill(PyTuple_GetItem(result, 0), out, &next, NULL);
    if (value && update_state(self->part[OUTPUTS], out, n)) Py_CLEAR(value);
  }
  Py_CLEAR(c.result);
  Py_XDECREF(result);
  px_list_clear(&inputs);
  mlx_vector_array_free(out);
  free(key.at);
  return value;
}

static void gone(px_func *self) {
  latest *l = self->extra;
  self->extra = NULL;
  mlx_detail_compile_erase((uintptr_t)self);
  if (!l) return;
  mlx_closure_free(l->compiled);
  free(l->key.at);
  free(l->constants.at);
  free(l);
}

int px_do_compile(PyObject **v, PyObject **out) { /* fun, inputs, outputs, shapeless */
  bool shapeless = false;
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  if (v[3]) PX_TRY(px_to_bool(v[3], &shapeless));
  px_func *f = px_new_func(v[0], call_compiled);
  if (!f) return PX_ERROR;
  f->part[INPUTS] = v[1] && v[1] != Py_None ? Py_NewRef(v[1]) : NULL;
  f->part[OUTPUTS] = v[2] && v[2] != Py_None ? Py_NewRef(v[2]) : NULL;
  f->part[CACHE] = PyDict_New();
  f->gone = gone;
  f->flag = shapeless;
  *out = (PyObject *)f;
  f->extra = calloc(1, sizeof(latest));
  if (!f->extra) PyErr_NoMemory();
  return f->part[CACHE] && f->extra ? 0 : PX_ERROR;
}

int px_init_compile(PyObject *m) {
  (void)m;
  const char *off = getenv("MLX_DISABLE_COMPILE");
  disabled = off && *off && strcmp(off, "0") != 0;
  return 0;
}
