/* compile: the library records what the function does with arrays; here stands what belongs to Python.
 *
 * A call is described by a key: the structure of the arguments and their constants, and dtype and shape (rank, when
 * shapeless) of each array. The part without arrays goes to the library as the constants of its own cache. For each key
 * the structure of the result is kept, since a replay gives arrays only. State (inputs=, outputs=) is read when called:
 * while the function is traced the state's arrays are traced ones, afterwards the containers get the new arrays. */
#include "compile_args.h"
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

static int put_arrays(px_key *b, px_list *l, bool shapeless) {
  for (size_t i = 0; i < l->n; i++) {
    mlx_array h = px_list_at(l, i);
    unsigned char head[2] = {(unsigned char)mlx_array_dtype(h), (unsigned char)mlx_array_ndim(h)};
    if (px_key_put(b, head, 2)) return PX_ERROR;
    if (!shapeless && px_key_put(b, mlx_ext_shape(h), head[1] * sizeof(int))) return PX_ERROR;
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
  bool objects;            /* some arguments arrive as themselves */
  PyObject *result;        /* what the trace noted: (template, number of arrays in it, places of arrays changed within objects, what the key names) */
} traced_call;

/* The call that this thread is in: the library traces within it. */
static _Thread_local traced_call *current;

/* What the latest call needed, for the next one. */
typedef struct latest {
  px_key key, constants;
  PyObject *result;     /* of this key, the cache's; or NULL */
  mlx_closure compiled; /* with these constants; empty while a call uses it */
} latest;

/* One trace at a time, since it changes what other threads may hold: the arrays of its state and of objects among its arguments. */
static PyThread_type_lock tracing;
static int traces; /* of the thread that has the lock */
static _Thread_local bool mine;

static void start_tracing(bool wanted) {
  if (!wanted) return;
  if (!mine) {
    Py_BEGIN_ALLOW_THREADS;
    PyThread_acquire_lock(tracing, WAIT_LOCK);
    Py_END_ALLOW_THREADS;
    mine = true;
  }
  traces++;
}
static void end_tracing(bool wanted) {
  if (!wanted || --traces) return;
  mine = false;
  PyThread_release_lock(tracing);
}

/* The key of a call's arguments; NULL: their arrays are not wanted. */
static int describe(px_key *k, traced_call *c, px_list *arrays) {
  px_list own = {0};
  px_list *l = arrays ? arrays : &own;
  int rc = px_key_tree(k, c->args, l) || (c->kwargs && px_key_tree(k, c->kwargs, l)) ? PX_ERROR : 0;
  px_list_clear(&own);
  return rc;
}

/* What a trace changes in the program around it, to be put back. */
typedef struct lending {
  PyObject *lent;             /* containers: of objects among the arguments; after a failure also those of the state */
  PyObject *state, *contents; /* the state's array objects; its containers */
  px_list old;                /* what the state's array objects held */
  px_list arrays, replaced;
  px_tracing args;
  PyObject *kept; /* what the key names by address */
} lending;

static int start_lending(lending *l, traced_call *c, mlx_vector_array in) {
  px_func *f = c->self;
  PyObject *inputs = f->part[INPUTS], *outputs = f->part[OUTPUTS];
  *l = (lending){.lent = PyList_New(0), .state = PyList_New(0), .contents = PyList_New(0), .kept = PyList_New(0)};
  l->args = (px_tracing){&l->arrays, 0, PyList_New(0), PyList_New(0), &l->replaced};
  if (!l->lent || !l->state || !l->contents || !l->kept || !l->args.starts || !l->args.boxes) return PX_ERROR;
  px_key key = {.kept = l->kept};
  int rc = describe(&key, c, NULL);
  free(key.at);
  if (rc) return PX_ERROR;
  if (px_list_from_vector(&l->arrays, in) || state_arrays(inputs, &l->old) || (inputs && px_tree_visit(inputs, remember_leaf, l->state)))
    return PX_ERROR;
  if (px_lend(l->lent, c->args, false) || (c->kwargs && px_lend(l->lent, c->kwargs, false))) return PX_ERROR;
  if ((inputs && px_lend(l->contents, inputs, true)) || (outputs && px_lend(l->contents, outputs, true))) return PX_ERROR;
  writing w = {&l->arrays, c->nargs};
  return px_tree_visit(l->state, write_leaf, &w);
}

/* The old arrays return, whatever happened. */
static void end_lending(lending *l, bool failed) {
  PyObject *type, *error, *trace;
  PyErr_Fetch(&type, &error, &trace);
  for (size_t i = l->replaced.n; i--;) {
    mlx_array h = px_handle(PyList_GetItem(l->args.boxes, (Py_ssize_t)i));
    mlx_array_set(&h, px_list_at(&l->replaced, i));
  }
  writing back = {&l->old, 0};
  if (l->state) px_tree_visit(l->state, write_leaf, &back);
  if (l->lent) px_take_back(l->lent);
  if (l->contents && failed) px_take_back(l->contents);
  if (type) PyErr_Restore(type, error, trace);
  px_list_clear(&l->old);
  px_list_clear(&l->arrays);
  px_list_clear(&l->replaced);
  Py_XDECREF(l->lent);
  Py_XDECREF(l->state);
  Py_XDECREF(l->contents);
  Py_XDECREF(l->kept);
  Py_XDECREF(l->args.starts);
  Py_XDECREF(l->args.boxes);
}

static int check_structure(const px_key *was, traced_call *c) {
  px_key now = {.bare = true};
  int rc = describe(&now, c, NULL);
  if (!rc && (now.n != was->n || memcmp(now.at, was->at, now.n))) {
    PyErr_SetString(PyExc_ValueError, "[compile] The function changed an object that it was given (a Module, or another subclass of dict or list): "
                                      "it may replace arrays there, but not add, remove or change anything else.");
    rc = PX_ERROR;
  }
  free(now.at);
  return rc;
}

/* What the trace gives: the arrays of the result, those changed within objects, the state's. */
static int note_results(traced_call *c, lending *l, PyObject *value, const px_key *before, mlx_vector_array *res) {
  px_list out = {0};
  PyObject *tmpl = px_template(value), *places = NULL;
  int rc = !tmpl || px_tree_arrays(value, &out, false) || (c->objects && check_structure(before, c)) ? PX_ERROR : 0;
  size_t n = out.n;
  if (!rc) rc = (places = px_changed_arguments(&l->args, &out)) ? 0 : PX_ERROR;
  if (!rc) PX_REPLACE(c->result, Py_BuildValue("(OnOO)", tmpl, (Py_ssize_t)n, places, l->kept));
  if (!rc) rc = !c->result || state_arrays(c->self->part[OUTPUTS], &out) || !(*res = px_list_vector(&out)).ctx ? PX_ERROR : 0;
  px_list_clear(&out);
  Py_XDECREF(places);
  Py_XDECREF(tmpl);
  return rc;
}

static int trace_with_state(traced_call *c, mlx_vector_array *res, mlx_vector_array in) {
  lending l = {0};
  px_key before = {.bare = true};
  bool lends = c->objects || c->self->part[INPUTS];
  start_tracing(lends);
  int rc = start_lending(&l, c, in) || (c->objects && describe(&before, c, NULL)) ? PX_ERROR : 0;
  PyObject *args = rc ? NULL : px_traced_arguments(c->args, &l.args), *kwargs = args && c->kwargs ? px_traced_arguments(c->kwargs, &l.args) : NULL;
  PyObject *value = args && (kwargs || !c->kwargs) ? px_call_user(c->self->fun, Py_NewRef(args), kwargs) : NULL;
  rc = value ? note_results(c, &l, value, &before, res) : PX_ERROR;
  end_lending(&l, rc);
  end_tracing(lends);
  free(before.at);
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  Py_XDECREF(value);
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

static bool same_bytes(const px_key *b, const char *at, size_t n) { return b->at && b->n == n && !memcmp(b->at, at, n); }
static int keep_bytes(px_key *b, const char *at, size_t n) {
  b->n = 0;
  return px_key_put(b, at, n);
}

/* The library's compiled function for these constants: the latest one, or a new one. */
static mlx_closure take_compiled(px_func *f, const px_key *key, size_t words) {
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

static void give_back(px_func *f, mlx_closure c, const px_key *key, size_t words) {
  latest *l = f->extra;
  if (!l->compiled.ctx && (same_bytes(&l->constants, key->at, 8 * words) || !keep_bytes(&l->constants, key->at, 8 * words))) l->compiled = c;
  else mlx_closure_free(c);
}

/* *result: the note of the trace that was replayed, from this call or an earlier one; NULL: there is none. */
static int find_result(px_func *f, const px_key *key, PyObject *noted, PyObject **result) {
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
static int run(traced_call *c, const px_key *key, size_t words, px_list *inputs, mlx_vector_array *out, PyObject **result) {
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
  px_key key = {0};
  px_list inputs = {0};
  mlx_vector_array out = mlx_vector_array_new();
  PyObject *result = NULL, *value = NULL;
  traced_call c = {.self = self, .args = args, .kwargs = kwargs};
  static const char zeros[8];
  int rc = describe(&key, &c, &inputs);
  while (!rc && traces && !mine && (key.objects || self->part[INPUTS])) { /* another thread's trace has our arrays */
    start_tracing(true);
    px_list_clear(&inputs);
    key.n = 0;
    rc = describe(&key, &c, &inputs);
    end_tracing(true);
  }
  c.nargs = inputs.n;
  c.objects = key.objects;
  if (!rc) rc = px_key_put(&key, zeros, (8 - key.n % 8) % 8); /* whole words: what goes to the library */
  size_t words = key.n / 8;
  if (!rc) rc = state_arrays(self->part[INPUTS], &inputs) || put_arrays(&key, &inputs, self->flag);
  if (!rc) rc = run(&c, &key, words, &inputs, &out, &result);
  if (!rc) {
    size_t next = 0, n = (size_t)PyLong_AsSize_t(PyTuple_GetItem(result, 1));
    PyObject *places = PyTuple_GetItem(result, 2);
    value = px_fill(PyTuple_GetItem(result, 0), out, &next, NULL);
    if (value && (px_write_changed(args, kwargs, places, out, n) || update_state(self->part[OUTPUTS], out, n + (size_t)PyTuple_Size(places))))
      Py_CLEAR(value);
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
  if (!tracing && !(tracing = PyThread_allocate_lock())) return PyErr_NoMemory(), -1;
  const char *off = getenv("MLX_DISABLE_COMPILE");
  disabled = off && *off && strcmp(off, "0") != 0;
  return 0;
}
