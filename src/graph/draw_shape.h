/* The shape of draws. */
#ifndef MX_GRAPH_DRAW_SHAPE_H
#define MX_GRAPH_DRAW_SHAPE_H

#include "graph/graph.h"

/* A single INT_MIN becomes the shape that the parameters a and b (or NULL) broadcast to, without the last `cut` axes; room[MX_MAX_NDIM] is its
 * place. false: the scope has failed. */
bool mx_draw_shape(mx_scope *s, const int **shape, size_t *n, int *room, const mx_array *a, const mx_array *b, int cut);

#endif
