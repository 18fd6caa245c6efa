/* eval, and the derivatives: grad, value_and_grad, vjp, jvp.
 *
 * The library calls back with traced arrays; the user's function is called with its arguments rebuilt around them. When it
 * is done the traced Python arrays get their old values back, so that what the function stored them in (a module's
 * parameters) is left as it was. */
#include "func.h"

#include <stdlib.h>

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

typedef struct grad_call {
  PyObject *fun, *args, *kwargs; /* as given */
  PyObject *argnums, *argnames;  /* tuples */
  bool with_value;
  PyObject *value;  /* what the function returned, around traced arrays */
  PyObject *traced; /* list of the array objects handed to it */
} grad_call;

typedef struct next_array {
  mlx_vector_array v;
  size_t i;
  PyObject *made;
} next_array;
static PyObject *next_traced(PyObject *leaf, void *ctx) {
  next_array *n = ctx;
  if (!px_is_array(leaf)) return Py_NewRef(leaf);
  PyObject *a = px_new();
  if (!a) return NULL;
  mlx_array h = px_handle(a);
  if (mlx_vector_array_get(&h, n->v, n->i++)) return px_done(a, 1);
  if (n->made && PyList_Append(n->made, a)) Py_CLEAR(a);
  return a;
}

static PyObject *argument(const grad_call *g, Py_ssize_t i, bool named) {
  if (!named) return PyTuple_GetItem(g->args, PyLong_AsSsize_t(PyTuple_GetItem(g->argnums, i)));
  return PyDict_GetItemWithError(g->kwargs, PyTuple_GetItem(g->argnames, i));
}

/* The arguments with traced arrays in place of those that are differentiated. */
static int rebuild(grad_call *g, mlx_vector_array v, PyObject **args, PyObject **kwargs) {
  next_array n = {v, 0, g->traced};
  Py_ssize_t count = PyTuple_Size(g->args);
  *args = PyTuple_New(count);
  *kwargs = g->kwargs ? PyDict_Copy(g->kwargs) : NULL;
  for (Py_ssize_t i = 0; i < PyTuple_Size(g->argnums); i++) {
    PyObject *mapped = px_tree_map(argument(g, i, false), next_traced, &n);
    if (!mapped) return PX_ERROR;
    PyTuple_SetItem(*args, PyLong_AsSsize_t(PyTuple_GetItem(g->argnums, i)), mapped);
  }
  for (Py_ssize_t i = 0; i < PyTuple_Size(g->argnames); i++) {
    PyObject *mapped = px_tree_map(argument(g, i, true), next_traced, &n);
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

static int check_value(const grad_call *g, PyObject *value) {
  const char *wanted;
  if (px_is_array(value)) return 0;
  if (!g->with_value)
    wanted = "a scalar array";
  else if (PyTuple_Check(value) && PyTuple_Size(value) && px_is_array(PyTuple_GetItem(value, 0)))
    return 0;
  else
    wanted = "either a scalar array or a tuple with the first value being a scalar array (Union[array, tuple[array, Any, ...]])";
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
  PyErr_Format(PyExc_ValueError,
               "[%s] The return value of the function whose gradient we want to compute should be %s; but %S was returned.",
               g->with_value ? "value_and_grad" : "grad", wanted, name);
  Py_XDECREF(name);
  return PX_ERROR;
}

static int run_traced(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  PyGILState_STATE lock = PyGILState_Ensure();
  grad_call *g = payload;
  PyObject *args = NULL, *kwargs = NULL;
  int rc = rebuild(g, in, &args, &kwargs);
  if (!rc) {
    PX_REPLACE(g->value, px_call_user(g->fun, args, kwargs));
    args = NULL;
    rc = !g->value || check_value(g, g->value) || px_give_arrays(res, g->value, false);
  }
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  PyGILState_Release(lock);
  return px_callback_result(rc);
}

/* Traced arrays become the arrays they stood for. */
static void restore(PyObject *traced, px_list *inputs) {
  for (Py_ssize_t i = 0; traced && i < PyList_Size(traced) && (size_t)i < inputs->n; i++) {
    mlx_array h = px_handle(PyList_GetItem(traced, i));
    mlx_array_set(&h, px_list_at(inputs, (size_t)i));
  }
}

static PyObject *grads_of(const grad_call *g, mlx_vector_array v) {
  next_array n = {v, 0, NULL};
  Py_ssize_t count = PyTuple_Size(g->argnums), names = PyTuple_Size(g->argnames);
  PyObject *positional = count == 1 ? px_tree_map(argument(g, 0, false), next_traced, &n)
                         : count    ? PyTuple_New(count)
                                    : Py_NewRef(Py_None);
  for (Py_ssize_t i = 0; count > 1 && positional && i < count; i++) {
    PyObject *one = px_tree_map(argument(g, i, false), next_traced, &n);
    if (!one)
      Py_CLEAR(positional);
    else
      PyTuple_SetItem(positional, i, one);
  }
  if (!names || !positional) return positional;
  PyObject *named = PyDict_New();
  for (Py_ssize_t i = 0; named && i < names; i++) {
    PyObject *one = px_tree_map(argument(g, i, true), next_traced, &n);
    if (!one || PyDict_SetItem(named, PyTuple_GetItem(g->argnames, i), one)) Py_CLEAR(named);
    Py_XDECREF(one);
  }
  PyObject *both = named ? PyTuple_Pack(2, positional, named) : NULL;
  Py_XDECREF(named);
  Py_DECREF(positional);
  return both;
}

static int gather_inputs(const grad_call *g, px_list *inputs) {
  const char *tag = g->with_value ? "value_and_grad" : "grad";
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

static int differentiate(grad_call *g, px_list *inputs, mlx_vector_array *values, mlx_vector_array *grads) {
  int *argnums = malloc((inputs->n + 1) * sizeof *argnums), rc;
  mlx_vector_array in = px_list_vector(inputs);
  if (!argnums || !in.ctx) {
    free(argnums);
    return PX_ERROR;
  }
  for (size_t i = 0; i < inputs->n; i++) argnums[i] = (int)i;
  mlx_closure fun = mlx_closure_new_func_payload(run_traced, g, NULL);
  mlx_closure_value_and_grad both = mlx_closure_value_and_grad_new();
  rc = mlx_value_and_grad(&both, fun, argnums, inputs->n) || mlx_closure_value_and_grad_apply(values, grads, both, in);
  if (rc) px_raise();
  mlx_closure_value_and_grad_free(both);
  mlx_closure_free(fun);
  mlx_vector_array_free(in);
  free(argnums);
  return rc ? PX_ERROR : 0;
}

static PyObject *call_grad(px_func *self, PyObject *args, PyObject *kwargs) {
  grad_call g = {self->fun, args, kwargs, self->part[0], self->part[1], self->flag, NULL, PyList_New(0)};
  px_list inputs = {0};
  mlx_vector_array values = mlx_vector_array_new(), grads = mlx_vector_array_new();
  PyObject *r = NULL;
  if (g.traced && !gather_inputs(&g, &inputs) && !differentiate(&g, &inputs, &values, &grads)) {
    next_array n = {values, 0, NULL};
    PyObject *gr = grads_of(&g, grads), *value = gr && g.with_value ? px_tree_map(g.value, next_traced, &n) : NULL;
    r = !g.with_value ? Py_XNewRef(gr) : value ? PyTuple_Pack(2, value, gr) : NULL;
    Py_XDECREF(value);
    Py_XDECREF(gr);
  }
  restore(g.traced, &inputs);
  mlx_vector_array_free(values);
  mlx_vector_array_free(grads);
  px_list_clear(&inputs);
  Py_XDECREF(g.value);
  Py_XDECREF(g.traced);
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

static int make_grad(PyObject **v, PyObject **out, bool with_value) {
  const char *tag = with_value ? "value_and_grad" : "grad";
  PyObject *nums = NULL, *names = NULL;
  if (!PyCallable_Check(v[0])) return PX_TYPE;
  int rc = to_argnames(v[2], tag, &names);
  if (!rc) rc = to_argnums(v[1], names && PyTuple_Size(names) > 0, tag, &nums);
  if (!rc && PyTuple_Size(nums) + PyTuple_Size(names) == 0) {
    PyErr_Format(PyExc_ValueError, "[%s] Gradient wrt no argument requested", tag);
    rc = PX_ERROR;
  }
  px_func *f = rc ? NULL : px_new_func(v[0], call_grad);
  if (f) {
    f->part[0] = Py_NewRef(nums);
    f->part[1] = Py_NewRef(names);
    f->flag = with_value;
    *out = (PyObject *)f;
  }
  Py_XDECREF(nums);
  Py_XDECREF(names);
  return rc ? rc : f ? 0 : PX_ERROR;
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
int px_do_vjp(PyObject **v, PyObject **out) { return product(v, out, mlx_vjp); }
int px_do_jvp(PyObject **v, PyObject **out) { return product(v, out, mlx_jvp); }
