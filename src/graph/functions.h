/* The functions that build the graph, besides the element-wise ones: same names and argument order as the C API (mlx_sum_axes ->
 * mx_sum_axes), the scope first and no result argument. Results that may be several are pushed on a list (mx_list) or stored in res[]. */
#ifndef MX_GRAPH_FUNCTIONS_H
#define MX_GRAPH_FUNCTIONS_H

#include "core/array.h"

typedef struct mx_scope mx_scope;

/* shape.c */
mx_array *mx_reshape(mx_scope *s, mx_array *a, const int *shape, size_t n);
mx_array *mx_transpose_axes(mx_scope *s, mx_array *a, const int *axes, size_t n);
mx_array *mx_moveaxis(mx_scope *s, mx_array *a, int source, int destination);
mx_array *mx_broadcast_to(mx_scope *s, mx_array *a, const int *shape, size_t n);
mx_array *mx_expand_dims(mx_scope *s, mx_array *a, int axis);
mx_array *mx_expand_dims_axes(mx_scope *s, mx_array *a, const int *axes, size_t n);
mx_array *mx_squeeze_axes(mx_scope *s, mx_array *a, const int *axes, size_t n);

/* reduce.c */
mx_array *mx_sum_axes(mx_scope *s, mx_array *a, const int *axes, size_t n, bool keepdims);

#endif
