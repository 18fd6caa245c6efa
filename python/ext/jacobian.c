/* jacfwd, jacrev, hessian: the library's Jacobians of the chosen arguments, arranged in the containers of the function. */
#include "grad.h"

#include <stdlib.h>

#include "mlx/c/jacobian.h"

typedef int (*transform)(mlx_closure *, const mlx_closure, const int *, size_t);
static const struct {
  const char *name;
  transform f;
  int order;
} kinds[] = {{"jacfwd", mlx_jacfwd, 1}, {"jacrev", mlx_jacrev, 1}, {"hessian", mlx_hessian, 2}};

static int check_leaf(PyObject *leaf, void *tag) {
  if (px_is_array(leaf)) return 0;
  PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(leaf), "__name__");
  PyErr_Format(PyExc_ValueError, "[%s] The function must return an array, or lists, tuples and dicts of arrays; but %S was returned.",
               (const char *)tag, name);
  Py_XDECREF(name);
  return PX_ERROR;
}
static int check_arrays(const px_grad_call *g, PyObject *value) { return px_tree_visit(value, check_leaf, (void *)g->tag); }

/* In place of a leaf stands the structure of the chosen arguments, and so on, `order` deep. */
typedef struct arranged {
  const px_grad_call *g;
  px_next_array *next;
  int order;
} arranged;
static PyObject *arrange(PyObject *leaf, void *ctx) {
  const arranged *a = ctx;
  if (!px_is_array(leaf)) return Py_NewRef(leaf);
  if (!a->order) return px_next_traced(leaf, a->next);
  return px_grad_map(a->g, arrange, &(arranged){a->g, a->next, a->order - 1});
}

static int jacobian(px_grad_call *g, px_list *inputs, transform f, mlx_vector_array *res) {
  if (!inputs->n) {
    PyErr_Format(PyExc_ValueError, "[%s] The chosen arguments hold no array.", g->tag);
    return PX_ERROR;
  }
  int *argnums = malloc(inputs->n * sizeof *argnums), rc;
  mlx_vector_array in = px_list_vector(inputs);
  if (!argnums || !in.ctx) {
    free(argnums);
    return PX_ERROR;
  }
  for (size_t i = 0; i < inputs->n; i++) argnums[i] = (int)i;
  mlx_closure fun = mlx_closure_new_func_payload(px_grad_run, g, NULL), jac = mlx_closure_new();
  rc = f(&jac, fun, argnums, inputs->n) || mlx_closure_apply(res, jac, in);
  if (rc) {
    px_grad_name_input(g);
    px_raise();
  }
  mlx_closure_free(jac);
  mlx_closure_free(fun);
  mlx_vector_array_free(in);
  free(argnums);
  return rc ? PX_ERROR : 0;
}

static PyObject *call_jacobian(px_func *self, PyObject *args, PyObject *kwargs) {
  long kind = PyLong_AsLong(self->part[2]);
  px_grad_call g = {.tag = kinds[kind].name,
                    .check = check_arrays,
                    .strict = true,
                    .fun = self->fun,
                    .args = args,
                    .kwargs = kwargs,
                    .argnums = self->part[0],
                    .argnames = self->part[1],
                    .traced = PyList_New(0)};
  px_list inputs = {0};
  mlx_vector_array res = mlx_vector_array_new();
  PyObject *r = NULL;
  if (g.traced && !px_grad_inputs(&g, &inputs) && !jacobian(&g, &inputs, kinds[kind].f, &res)) {
    px_next_array next = {res, 0, NULL};
    r = px_tree_map(g.value, arrange, &(arranged){&g, &next, kinds[kind].order});
  }
  px_grad_end(&g, &inputs);
  mlx_vector_array_free(res);
  return r;
}

static int make(PyObject **v, PyObject **out, int kind) { /* fun, argnums, argnames */
  px_func *f;
  PX_TRY(px_grad_new(v, kinds[kind].name, call_jacobian, &f));
  *out = (PyObject *)f;
  return (f->part[2] = PyLong_FromLong(kind)) ? 0 : PX_ERROR;
}
int px_do_jacfwd(PyObject **v, PyObject **out) { return make(v, out, 0); }
int px_do_jacrev(PyObject **v, PyObject **out) { return make(v, out, 1); }
int px_do_hessian(PyObject **v, PyObject **out) { return make(v, out, 2); }
