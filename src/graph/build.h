/* Small helpers that the builders of this room share. */
#ifndef MX_GRAPH_BUILD_H
#define MX_GRAPH_BUILD_H

#include <string.h>

#include "graph/graph.h"

/* Axes normalised to [0, ndim), in the order given; an axis named twice is an error. */
int mx_norm_axes(const char *tag, const int *axes, size_t n, int ndim, int *out);
/* The same, ascending. */
int mx_sorted_axes(const char *tag, const int *axes, size_t n, int ndim, int *out);
/* A node with one input. */
mx_array *mx_node1(mx_scope *s, mx_opcode op, mx_array *a, int np, const int64_t *p);
/* A node of two inputs. */
mx_array *mx_node2(mx_scope *s, mx_opcode op, mx_array *a, mx_array *b, int np, const int64_t *p);
/* a cast to the dtype in which floating-point functions of it are computed. */
mx_array *mx_to_float(mx_scope *s, mx_array *a);
/* -a for an array of the promoted dtype etc. is in graph.h; these take a C number as the other operand, of x's dtype. */
mx_array *mx_add_k(mx_scope *s, mx_array *x, double k);
mx_array *mx_mul_k(mx_scope *s, mx_array *x, double k);
/* Neither a gradient nor a function that is traced to be run again follows what is built of in[n], some of which may be NULL: then an op without
 * rules may do the work of several that have them. */
bool mx_untraced(int n, mx_array *const *in);
/* In the dtype in which statistics of a are computed: f16, bf16, integers and bool in f32. */
mx_array *mx_wide(mx_scope *s, mx_array *a);
/* axes[n] normalised and ascending in ax[*k], all of a's for n = 0; false: the scope has failed. */
bool mx_axes_or_all(mx_scope *s, const char *tag, const mx_array *a, const int *axes, size_t n, int *ax, size_t *k);
/* The axes ax[n] moved behind the others and joined into one. */
mx_array *mx_joined_last(mx_scope *s, mx_array *a, const int *ax, size_t n);
/* The slice [start, stop) of one axis. */
mx_array *mx_slice_axis(mx_scope *s, mx_array *a, int axis, int64_t start, int64_t stop);
/* x reshaped to (ndim, shape). */
static inline mx_array *mx_reshape_like(mx_scope *s, mx_array *x, const mx_array *like) {
  return x && like ? mx_reshape(s, x, like->shape, like->ndim) : NULL;
}
/* x with its axes permuted by perm[x->ndim]. */
mx_array *mx_permute(mx_scope *s, mx_array *x, const int *perm);

#endif
