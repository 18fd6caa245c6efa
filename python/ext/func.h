/* Functions made from functions (grad, vmap, compile, ...) and the closures that carry Python functions into the library. */
#ifndef PX_FUNC_H
#define PX_FUNC_H

#include "px_gen.h"

/* What grad and its kin return: callable, collected by the garbage collector, with the name, the doc and the signature of
 * the function it was made from. */
typedef struct px_func {
  PyObject_HEAD PyObject *fun;
  PyObject *part[3]; /* what else it holds; may be NULL */
  PyObject *(*call)(struct px_func *self, PyObject *args, PyObject *kwargs);
  void (*gone)(struct px_func *self); /* before it is freed; may be NULL */
  void *extra;
  bool flag;
  PyObject *weak;
} px_func;
px_func *px_new_func(PyObject *fun, PyObject *(*call)(px_func *, PyObject *, PyObject *));

/* A tree with its arrays taken out: px_hole stands for each. */
#define px_hole ((PyObject *)px_array_type)
PyObject *px_template(PyObject *tree);
/* The tree again, with arrays from v, from *next on; new array objects are also appended to made, if not NULL. */
PyObject *px_fill(PyObject *tmpl, mlx_vector_array v, size_t *next, PyObject *made);

/* In a callback: calls fun(*args, **kwargs); steals args. */
PyObject *px_call_user(PyObject *fun, PyObject *args, PyObject *kwargs);
/* *res = the arrays of a tree; 0 or PX_ERROR. */
int px_give_arrays(mlx_vector_array *res, PyObject *tree, bool strict);
/* What a callback returns: 0, or the code of a failed callback whose exception is pending. */
int px_callback_result(int rc);

#endif
