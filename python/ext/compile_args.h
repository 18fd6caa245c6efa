/* Arguments of compiled functions: the key that describes them, and objects that arrive as themselves. */
#ifndef PX_COMPILE_ARGS_H
#define PX_COMPILE_ARGS_H

#include "px_gen.h"

typedef struct px_key {
  char *at;
  size_t n, cap;
  PyObject *kept; /* a list for what the key names by address, so that it stays; or NULL */
  int inside;     /* depth of objects that arrive as themselves */
  bool objects;   /* there were some */
  bool bare;      /* without the attributes of objects */
} px_key;
int px_key_put(px_key *k, const void *data, size_t n);
/* Adds the structure and the constants of tree to the key, and its arrays to the list. */
int px_key_tree(px_key *k, PyObject *tree, px_list *arrays);

/* What a trace has lent: containers as they were before it. */
int px_lend(PyObject *lent, PyObject *tree, bool all); /* all: every container of tree; else only within objects */
int px_take_back(PyObject *lent);

/* The arguments for a trace: new containers with arrays[*next...], objects as themselves holding them. starts: of each object the place
 * of its first array, and the object; boxes: the array objects written to. */
typedef struct px_tracing {
  px_list *arrays;
  size_t next;
  PyObject *starts, *boxes;
  px_list *old; /* what the boxes held */
} px_tracing;
PyObject *px_traced_arguments(PyObject *given, px_tracing *t);
/* A tuple of the places of the arrays that the function has changed within objects; they are appended to out. */
PyObject *px_changed_arguments(px_tracing *t, px_list *out);
/* Writes v[from...] to these places of the arguments of a call. */
int px_write_changed(PyObject *args, PyObject *kwargs, PyObject *places, mlx_vector_array v, size_t from);

#endif
