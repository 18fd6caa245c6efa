/* What the rules of this room share. */
#ifndef MX_GRAPH_RULES_HELP_H
#define MX_GRAPH_RULES_HELP_H

#include "graph/build.h"
#include "graph/rules/rules.h"

/* Checks of imported parameters: at least n of them. */
#define NEED(op, np, n)                                                                                                 \
  do {                                                                                                                  \
    if ((np) < (n)) return mx_fail(MX_EVALUE, "[%s] %d parameters, but %d are needed.", mx_ops[op].name, np, (int)(n)); \
  } while (0)

/* out = dtype and shape of a. */
void mx_aval_of(mx_aval *out, const mx_array *a);
/* Sets a dimension; an error when it is negative or too large. */
int mx_set_dim(int op, mx_aval *out, int i, int64_t size);
/* An axis parameter: within [0, ndim). */
int mx_check_axis(int op, int64_t axis, int ndim);

/* The node's op on other inputs and parameters. */
mx_array *mx_redo(mx_scope *s, const mx_array *node, mx_array *const *in, int np, const int64_t *p);
/* An error for a gradient that is wanted for an index argument. */
int mx_no_index_gradient(mx_scope *s, const mx_array *node);

/* ---- batching ---- */

/* The size of the added axis. */
int mx_batch_size(const mx_array *node, mx_array *const *in, const int *ax);
/* x with its added axis in front; x itself when it is not mapped. */
mx_array *mx_front(mx_scope *s, mx_array *x, int ax);
/* x with the added axis in front, made of copies when it is not mapped. */
mx_array *mx_full_front(mx_scope *s, mx_array *x, int ax, int size);
/* 0..size-1 along the first of ndim axes, broadcast to shape[ndim]: the index of a batch. */
mx_array *mx_batch_index(mx_scope *s, int size, int ndim, const int *shape);

#endif
