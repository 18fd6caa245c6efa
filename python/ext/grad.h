/* What grad and the Jacobians share: a call whose chosen arguments become traced arrays. */
#ifndef PX_GRAD_H
#define PX_GRAD_H

#include "func.h"

typedef struct px_grad_call {
  const char *tag;
  /* 0, or PX_ERROR when the function may not return value. */
  int (*check)(const struct px_grad_call *g, PyObject *value);
  bool strict;                   /* the function may return nothing but arrays */
  PyObject *fun, *args, *kwargs; /* as given */
  PyObject *argnums, *argnames;  /* tuples */
  PyObject *value;               /* what the function returned, around traced arrays */
  PyObject *traced;              /* list of the array objects handed to it */
} px_grad_call;

/* A mapper that puts the arrays of v, from i on, in place of those of a tree. */
typedef struct px_next_array {
  mlx_vector_array v;
  size_t i;
  PyObject *made; /* list that they are appended to; may be NULL */
} px_next_array;
PyObject *px_next_traced(PyObject *leaf, void *next);

/* The arrays of the chosen arguments. */
int px_grad_inputs(const px_grad_call *g, px_list *inputs);
/* The function of a closure whose payload is a px_grad_call. */
int px_grad_run(mlx_vector_array *res, const mlx_vector_array in, void *payload);
/* The chosen arguments as grad arranges them, mapped. */
PyObject *px_grad_map(const px_grad_call *g, px_mapper f, void *ctx);
/* The error of the library says by which input an operation without a gradient was reached: here this input has a name. */
void px_grad_name_input(const px_grad_call *g);
/* Ends the call: traced arrays become the arrays they stood for. */
void px_grad_end(px_grad_call *g, px_list *inputs);
/* v: fun, argnums, argnames. The function that runs `call`, with argnums and argnames as tuples in part 0 and 1. */
int px_grad_new(PyObject **v, const char *tag, PyObject *(*call)(px_func *, PyObject *, PyObject *), px_func **res);

#endif
