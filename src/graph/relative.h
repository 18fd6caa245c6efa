/* Parameters that follow from shapes. A node that is built while a function is traced for all shapes keeps, behind its parameters, those that they
 * followed from: built again over inputs of other shapes (mx_node_again) it gets the parameters that fit them. */
#ifndef MX_GRAPH_RELATIVE_H
#define MX_GRAPH_RELATIVE_H

#include "graph/graph.h"

/* One more flag of an array, beside those of core/array.h: p[np] ... p[2 np - 1] are what its parameters followed from. */
enum { MX_RELATIVE = 8 };
_Static_assert(!((int)MX_RELATIVE & (int)(MX_TRACER | MX_PLACEHOLDER | MX_BOUND)) && (int)MX_RELATIVE < (int)MX_LEVEL, "a flag of its own");

/* A node with one result whose parameters follow from raw[np].
 * reshape: sizes, MX_AXES and MX_REST; slice: Python's bounds, INT_MAX and -INT_MAX for the ends; gather: sizes, -1 for a whole axis. */
mx_array *mx_node_relative(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int np, const int64_t *raw);
/* Of a reshape: the product of the sizes of the axes from lo to hi; the size of an axis by n. */
#define MX_AXES(lo, hi) (-2 - ((int64_t)(lo) * MX_MAX_NDIM + (hi)))
#define MX_REST(axis, n) (INT64_MIN + ((int64_t)(axis) << 32) + (n))
/* p[np] from raw[np]. Trusts neither number nor values. */
int mx_settle_parameters(int op, int nin, mx_array *const *in, int np, const int64_t *raw, int64_t *p);
/* Whether a is traced for all shapes: then parameters shall be relative, where they can be. */
#define MX_FOR_ANY_SHAPE(a) (mx_any_shape_wanted && ((a)->flags & MX_PLACEHOLDER))
/* Python's rules for the bounds of a slice in a dimension, then within it: *e is -1 for a negative step that reaches the first element. */
int mx_slice_bounds(const char *tag, int dim, int start, int stop, int step, int64_t *b, int64_t *e, int *size);

#endif
