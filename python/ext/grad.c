/* eval, and the derivatives: grad, value_and_grad, vjp, jvp.
 *
 * The library calls back with traced arrays; the user's function is called with its arguments rebuilt around them. When it
 * is done the traced Python arrays get their old values back, so that what the function stored them in (a module's
 * parameters) is left as it was. */
#include "grad.h"

#include <stdlib.h>

#include "mlx/c/jacobian.h"

/* ---- eval ---- */

static int eval_tree(PyObject **v, int (*eval)(const mlx_vector_array)) {
  px_list l = {0};
  int rc = px_tree_arrays(v[0], &l, false);
  mlx_vector_array arrays = rc ? (mlx_vector_array){NULL} : px_list_vector(&l);
  px_list_clear(&l);
  if (!arrays.ctx) return PX_ERROR;
  Py_BEGIN_ALLOW_THREADS rc = eval(arrays);
  Py_END_ALLOW_THREADS if (rc) px_raise();
  mlx_vector_array_free(arrays);
  return rc ? PX_ERROR : 0;
}
int px_do_eval(PyObject **v, PyObject **out) {
  (void)out;
  return eval_tree(v, mlx_eval);
}
int px_do_async_eval(PyObject **v, PyObject **out) {
  (void)out;
  return eval_tree(v, mlx_async_eval);
}

/* ---- value_and_grad ---- */

PyObject *px_next_traced(PyObject *leaf, void *ctx) {
  px_next_array *n = ctx;
  if (!px_is_array(leaf)) return Py_NewRef(leaf);
  PyObject *a = px_new();
  if (!a) return NULL;
  mlx_array h = px_handle(a);
  if (mlx_vector_array_get(&h, n->v, n->i++)) return px_done(a, 1);
  if (n->made && PyList_Append(n->made, a)) Py_CLEAR(a);
  return a;
}

static PyObject *argument(const px_grad_call *g, Py_ssize_t i, bool named) {
  if (!named) return PyTuple_GetItem(g->args, PyLong_AsSsize_t(PyTuple_GetItem(g->argnums, i)));
  return PyDict_GetItemWithError(g->kwargs, PyTuple_GetItem(g->argnames, i));
}

/* The arguments with traced arrays in place of those that are differentiated. */
static int rebuild(px_grad_call *g, mlx_vector_array v, PyObject **args, PyObject **kwargs) {
  px_next_array n = {v, 0, g->traced};
  Py_ssize_t count = PyTuple_Size(g->args);
  *args = PyTuple_New(count);
  *kwargs = g->kwargs ? PyDict_Copy(g->kwargs) : NULL;
  for (Py_ssize_t i = 0; i < PyTuple_Size(g->argnums); i++) {
    PyObject *mapped = px_tree_map(argument(g, i, false), px_next_traced, &n);
    if (!mapped) return PX_ERROR;
    PyTuple_SetItem(*args, PyLong_AsSsize_t(PyTuple_GetItem(g->argnums, i)), mapped);
  }
  for (Py_ssize_t i = 0; i < PyTuple_Size(g->argnames); i++) {
    PyObject *mapped = px_tree_map(argument(g, i, true), px_next_traced, &n);
    int rc = !mapped || PyDict_SetItem(*kwargs, PyTuple_GetItem(g->argnames, i), mapped);
    Py_XDECREF(mapped);
    if (rc) return PX_ERROR;
  }
  for (Py_ssize_t i = 0; i < count; i++)
    if (!PyTuple_GetItem(*args, i)) {
      PyErr_Clear();
      PyTuple_SetItem(*args, i, Py_NewRef(PyTuple_GetItem(g->args, i)));
    }
  return 0;
}

static int wrong_value(const px_grad_call *g, PyObject *value, const char *wanted) {
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
  PyErr_Format(PyExc_ValueError,
               "[%s] The return value of the function whose gradient we want to compute should be %s; but %S was returned.",
               g->tag, wanted, name);
  Py_XDECREF(name);
  return PX_ERROR;
}
static int check_scalar(const px_grad_call *g, PyObject *value) {
  return px_is_array(value) ? 0 : wrong_value(g, value, "a scalar array");
}
static int check_scalar_first(const px_grad_call *g, PyObject *value) {
  if (px_is_array(value) || (PyTuple_Check(value) && PyTuple_Size(value) && px_is_array(PyTuple_GetItem(value, 0)))) return 0;
  return wrong_value(g, value,
                     "either a scalar array or a tuple with the first value being a scalar array (Union[array, tuple[array, Any, ...]])");
}

int px_grad_run(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  px_grad_call *g = payload;
  PyObject *args = NULL, *kwargs = NULL;
  int rc = rebuild(g, in, &args, &kwargs);
  if (!rc) {
    PX_REPLACE(g->value, px_call_user(g->fun, args, kwargs));
    args = NULL;
    rc = !g->value || g->check(g, g->value) || px_give_arrays(res, g->value, g->strict);
  }
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

void px_grad_end(px_grad_call *g, px_list *inputs) {
  for (Py_ssize_t i = 0; g->traced && i < PyList_Size(g->traced) && (size_t)i < inputs->n; i++) {
    mlx_array h = px_handle(PyList_GetItem(g->traced, i));
    mlx_array_set(&h, px_list_at(inputs, (size_t)i));
  }
  px_list_clear(inputs);
  Py_XDECREF(g->value);
  Py_XDECREF(g->traced);
}

PyObject *px_grad_map(const px_grad_call *g, px_mapper f, void *ctx) {
  Py_ssize_t count = PyTuple_Size(g->argnums), names = PyTuple_Size(g->argnames);
  PyObject *positional = count == 1 ? px_tree_map(argument(g, 0, false), f, ctx)
                         : count    ? PyTuple_New(count)
                                    : Py_NewRef(Py_None);
  for (Py_ssize_t i = 0; count > 1 && positional && i < count; i++) {
    PyObject *one = px_tree_map(argument(g, i, false), f, ctx);
    if (!one)
      Py_CLEAR(positional);
    else
      PyTuple_SetItem(positional, i, one);
  }
  if (!names || !positional) return positional;
  PyObject *named = PyDict_New();
  for (Py_ssize_t i = 0; named && i < names; i++) {
    PyObject *one = px_tree_map(argument(g, i, true), f, ctx);
    if (!one || PyDict_SetItem(named, PyTuple_GetItem(g->argnames, i), one)) Py_CLEAR(named);
    Py_XDECREF(one);
  }
  PyObject *both = named ? PyTuple_Pack(2, positional, named) : NULL;
  Py_XDECREF(named);
  Py_DECREF(positional);
  return both;
}

int px_grad_inputs(const px_grad_call *g, px_list *inputs) {
  const char *tag = g->tag;
  Py_ssize_t given = PyTuple_Size(g->args);
  for (Py_ssize_t i = 0; i < PyTuple_Size(g->argnums); i++) {
    Py_ssize_t at = PyLong_AsSsize_t(PyTuple_GetItem(g->argnums, i));
    if (at >= given) {
      PyErr_Format(PyExc_ValueError,
                   "[%s] Can't compute the gradient of argument index %zd because the function is called with only %zd "
                   "positional arguments.",
                   tag, at, given);
      return PX_ERROR;
    }
    if (px_tree_arrays(PyTuple_GetItem(g->args, at), inputs, true)) return PX_ERROR;
  }
  for (Py_ssize_t i = 0; i < PyTuple_Size(g->argnames); i++) {
    PyObject *name = PyTuple_GetItem(g->argnames, i), *value = g->kwargs ? PyDict_GetItemWithError(g->kwargs, name) : NULL;
    if (!value) {
      if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError,
                     "[%s] Can't compute the gradient of keyword argument '%U' because the function is called without it.", tag,
                     name);
      return PX_ERROR;
    }
    if (px_tree_arrays(value, inputs, true)) return PX_ERROR;
  }
  return 0;
}

/* Finds leaf *left of a tree, and writes the way to it. */
static bool find_leaf(PyObject *tree, int *left, char *at, size_t room) {
  if (!PyList_Check(tree) && !PyTuple_Check(tree) && !PyDict_Check(tree)) return (*left)-- == 0;
  bool found = false;
  PyObject *key, *value;
  if (!room || Py_EnterRecursiveCall(" in a nested container")) return PyErr_Clear(), false;
  if (PyDict_Check(tree)) {
    Py_ssize_t pos = 0;
    while (!found && PyDict_Next(tree, &pos, &key, &value)) {
      PyObject *repr = PyObject_Repr(key);
      const char *text = repr ? PyUnicode_AsUTF8AndSize(repr, NULL) : NULL;
      size_t n = (size_t)PyOS_snprintf(at, room, "[%s]", text ? text : "?");
      Py_XDECREF(repr);
      PyErr_Clear();
      found = n < room && find_leaf(value, left, at + n, room - n);
    }
  } else
    for (Py_ssize_t i = 0, end = PySequence_Size(tree); !found && i < end; i++) {
      size_t n = (size_t)PyOS_snprintf(at, room, "[%zd]", i);
      value = PySequence_GetItem(tree, i);
      found = value && n < room && find_leaf(value, left, at + n, room - n);
      Py_XDECREF(value);
    }
  Py_LeaveRecursiveCall();
  if (!found) *at = 0;
  return found;
}

void px_grad_name_input(const px_grad_call *g) {
  char name[400];
  int left = mlx_ext_error_input();
  if (left < 0) return;
  Py_ssize_t n = PyTuple_Size(g->argnums), all = n + PyTuple_Size(g->argnames);
  for (Py_ssize_t i = 0; i < all; i++) {
    size_t used = 0;
    PyObject *what = PyTuple_GetItem(i < n ? g->argnums : g->argnames, i < n ? i : i - n);
    if (i < n) used = (size_t)PyOS_snprintf(name, sizeof name, "argument %ld", PyLong_AsLong(what));
    else {
      const char *text = PyUnicode_AsUTF8AndSize(what, NULL);
      used = (size_t)PyOS_snprintf(name, sizeof name, "argument '%.200s'", text ? text : "?");
    }
    name[used] = 0;
    if (!find_leaf(argument(g, i < n ? i : i - n, i >= n), &left, name + used, sizeof name - used)) continue;
    mlx_ext_error_name_input(name);
    return;
  }
}

static int differentiate(px_grad_call *g, px_list *inputs, mlx_vector_array *values, mlx_vector_array *grads) {
  int *argnums = malloc((inputs->n + 1) * sizeof *argnums), rc;
  mlx_vector_array in = px_list_vector(inputs);
  if (!argnums || !in.ctx) {
    free(argnums);
    return PX_ERROR;
  }
  for (size_t i = 0; i < inputs->n; i++) argnums[i] = (int)i;
  mlx_closure fun = mlx_closure_new_func_payload(px_grad_run, g, NULL);
  mlx_closure_value_and_grad both = mlx_closure_value_and_grad_new();
  rc = mlx_value_and_grad(&both, fun, argnums, inputs->n) || mlx_closure_value_and_grad_apply(values, grads, both, in);
  if (rc) {
    px_grad_name_input(g);
    px_raise();
  }
  mlx_closure_value_and_grad_free(both);
  mlx_closure_free(fun);
  mlx_vector_array_free(in);
  free(argnums);
  return rc ? PX_ERROR : 0;
}

static PyObject *call_grad(px_func *self, PyObject *args, PyObject *kwargs) {
  bool with_value = self->flag;
  px_grad_call g = {.tag = with_value ? "value_and_grad" : "grad",
                    .check = with_value ? check_scalar_first : check_scalar,
                    .fun = self->fun,
                    .args = args,
                    .kwargs = kwargs,
                    .argnums = self->part[0],
                    .argnames = self->part[1],
                    .traced = PyList_New(0)};
  px_list inputs = {0};
  mlx_vector_array values = mlx_vector_array_new(), grads = mlx_vector_array_new();
  PyObject *r = NULL;
  if (g.traced && !px_grad_inputs(&g, &inputs) && !differentiate(&g, &inputs, &values, &grads)) {
    px_next_array n = {values, 0, NULL}, d = {grads, 0, NULL};
    PyObject *gr = px_grad_map(&g, px_next_traced, &d), *value = gr && with_value ? px_tree_map(g.value, px_next_traced, &n) : NULL;
    r = !with_value ? Py_XNewRef(gr) : value ? PyTuple_Pack(2, value, gr) : NULL;
    Py_XDECREF(value);
    Py_XDECREF(gr);
  }
  px_grad_end(&g, &inputs);
  mlx_vector_array_free(values);
  mlx_vector_array_free(grads);
  return r;
}

static int to_argnums(PyObject *o, bool names_given, const char *tag, PyObject **tuple) {
  px_ints nums = {.n = 1, .v = {0}};
  if (!o || o == Py_None)
    nums.n = names_given ? 0 : 1;
  else
    PX_TRY(px_to_size_or_shape(o, &nums));
  for (int i = 0; i < nums.n; i++) {
    if (nums.v[i] < 0) {
      PyErr_Format(PyExc_ValueError, "[%s] Can't compute the gradient of negative argument index %d.", tag, nums.v[i]);
      return PX_ERROR;
    }
    for (int j = 0; j < i; j++)
      if (nums.v[i] == nums.v[j]) {
        PyErr_Format(PyExc_ValueError, "[%s] Duplicate argument index %d is not allowed.", tag, nums.v[i]);
        return PX_ERROR;
      }
  }
  *tuple = PyTuple_New(nums.n);
  for (int i = 0; *tuple && i < nums.n; i++) PyTuple_SetItem(*tuple, i, PyLong_FromLong(nums.v[i]));
  return *tuple ? 0 : PX_ERROR;
}

static int to_argnames(PyObject *o, const char *tag, PyObject **tuple) {
  if (!o || o == Py_None)
    *tuple = PyTuple_New(0);
  else if (PyUnicode_Check(o))
    *tuple = PyTuple_Pack(1, o);
  else if (!PySequence_Check(o))
    return PX_TYPE;
  else
    *tuple = PySequence_Tuple(o);
  for (Py_ssize_t i = 0; *tuple && i < PyTuple_Size(*tuple); i++) {
    if (!PyUnicode_Check(PyTuple_GetItem(*tuple, i))) return PX_TYPE;
    for (Py_ssize_t j = 0; j < i; j++)
      if (PyUnicode_Compare(PyTuple_GetItem(*tuple, i), PyTuple_GetItem(*tuple, j)) == 0) {
        PyErr_Format(PyExc_ValueError, "[%s] Duplicate argument name %R is not allowed.", tag, PyTuple_GetItem(*tuple, i));
        return PX_ERROR;
      }
  }
  return *tuple ? 0 : PX_ERROR;
}

int px_grad_new(PyObject **v, const char *tag, PyObject *(*call)(px_func *, PyObject *, PyObject *), px_func **res) {
  PyObject *nums = NULL, *names = NULL;
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  int rc = to_argnames(v[2], tag, &names);
  if (!rc) rc = to_argnums(v[1], names && PyTuple_Size(names) > 0, tag, &nums);
  if (!rc && PyTuple_Size(nums) + PyTuple_Size(names) == 0) {
    PyErr_Format(PyExc_ValueError, "[%s] Gradient wrt no argument requested", tag);
    rc = PX_ERROR;
  }
  px_func *f = *res = rc ? NULL : px_new_func(v[0], call);
  if (f) {
    f->part[0] = Py_NewRef(nums);
    f->part[1] = Py_NewRef(names);
  }
  Py_XDECREF(nums);
  Py_XDECREF(names);
  return rc ? rc : f ? 0 : PX_ERROR;
}
static int make_grad(PyObject **v, PyObject **out, bool with_value) {
  px_func *f;
  PX_TRY(px_grad_new(v, with_value ? "value_and_grad" : "grad", call_grad, &f));
  f->flag = with_value;
  *out = (PyObject *)f;
  return 0;
}
int px_do_value_and_grad(PyObject **v, PyObject **out) { return make_grad(v, out, true); }
int px_do_grad(PyObject **v, PyObject **out) { return make_grad(v, out, false); }

/* ---- vjp, jvp ---- */

static int run_plain(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  PyObject *value = px_call_user(payload, px_vector_tuple(in), NULL);
  int rc = !value;
  if (!rc && !px_is_array(value) && !PyList_Check(value) && !PyTuple_Check(value)) {
    PyErr_SetString(PyExc_ValueError, "The function must return an array or a list or tuple of arrays.");
    rc = PX_ERROR;
  }
  if (!rc) rc = px_give_arrays(res, value, true);
  Py_XDECREF(value);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

typedef int (*product_fn)(mlx_vector_array *, mlx_vector_array *, const mlx_closure, const mlx_vector_array,
                          const mlx_vector_array);
static int product(PyObject **v, PyObject **out, product_fn fn) {
  PX_ARRAYS(primals);
  PX_ARRAYS(others);
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  PX_TRY(px_to_arrays(v[1], &primals));
  PX_TRY(px_to_arrays(v[2], &others));
  mlx_vector_array values = mlx_vector_array_new(), products = mlx_vector_array_new();
  mlx_closure fun = mlx_closure_new_func_payload(run_plain, v[0], NULL);
  int rc = fn(&values, &products, fun, primals.h, others.h);
  mlx_closure_free(fun);
  if (rc)
    px_raise();
  else {
    PyObject *a = px_vector_list(values), *b = px_vector_list(products);
    *out = a && b ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
  }
  mlx_vector_array_free(values);
  mlx_vector_array_free(products);
  return *out ? 0 : PX_ERROR;
}
int px_do_jvp(PyObject **v, PyObject **out) { return product(v, out, mlx_jvp); }

/* ---- the pullback: a closure in a capsule, which is the self of a function ---- */

static void free_closure(PyObject *capsule) { mlx_closure_free((mlx_closure){PyCapsule_GetPointer(capsule, NULL)}); }

static PyObject *call_pullback(PyObject *capsule, PyObject *args) {
  static const px_sig sig = {.name = "vjp_fun", .text = "(*cotangents: array|list[array]) -> list[array]"};
  PX_ARRAYS(cot);
  bool packed = PyTuple_Size(args) == 1 && !px_is_array(PyTuple_GetItem(args, 0));
  int rc = px_to_arrays(packed ? PyTuple_GetItem(args, 0) : args, &cot);
  if (rc) return rc == PX_TYPE ? px_type_error_tuple(&sig, args, NULL) : NULL;
  mlx_vector_array out = mlx_vector_array_new();
  mlx_closure pull = {PyCapsule_GetPointer(capsule, NULL)};
  PyObject *r = mlx_closure_apply(&out, pull, cot.h) ? px_raise() : px_vector_list(out);
  mlx_vector_array_free(out);
  return r;
}
static PyMethodDef pullback_def = {"vjp_fun", call_pullback, METH_VARARGS,
                                   "vjp_fun(*cotangents)\n--\n\nOne cotangent an output, or a list of them: those of the primals, in a list."};

/* Takes pull. */
static PyObject *new_pullback(mlx_closure pull) {
  PyObject *capsule = PyCapsule_New(pull.ctx, NULL, free_closure);
  if (!capsule) mlx_closure_free(pull);
  PyObject *f = capsule ? PyCFunction_New(&pullback_def, capsule) : NULL;
  Py_XDECREF(capsule);
  return f;
}

static int vjp_function(PyObject **v, PyObject **out) {
  PX_ARRAYS(primals);
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  PX_TRY(px_to_arrays(v[1], &primals));
  mlx_vector_array values = mlx_vector_array_new();
  mlx_closure fun = mlx_closure_new_func_payload(run_plain, v[0], NULL), pull = {NULL};
  int rc = mlx_vjp_function(&values, &pull, fun, primals.h);
  mlx_closure_free(fun);
  if (rc)
    px_raise();
  else {
    PyObject *a = px_vector_list(values), *b = new_pullback(pull);
    *out = a && b ? PyTuple_Pack(2, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
  }
  mlx_vector_array_free(values);
  return *out ? 0 : PX_ERROR;
}
int px_do_vjp(PyObject **v, PyObject **out) {
  return v[2] && v[2] != Py_None ? product(v, out, mlx_vjp) : vjp_function(v, out);
}
