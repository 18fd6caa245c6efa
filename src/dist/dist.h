/* Groups of processes and collectives. A NULL group is the one of all processes. */
#ifndef MX_DIST_H
#define MX_DIST_H

#include "graph/graph.h"

typedef struct mx_group {
  mx_object base;
  int rank, size;
} mx_group;

/* The group of all processes over a back end ("any", "mpi", "ring", "nccl", "jaccl"). None of them joins processes here: it is a group of
 * one, or with `strict` an error. An error, too, where the environment says that this process is one of several. */
int mx_group_init(mx_group **res, bool strict, const char *backend);
/* Whether MLX's build for CPUs knows the back end; what can be had is told by mx_group_init with `strict`. */
bool mx_group_available(const char *backend);
int mx_group_split(mx_group **res, const mx_group *g, int color, int key);

typedef mx_array *(*mx_collective)(mx_scope *s, mx_array *x, const mx_group *g);
mx_array *mx_all_sum(mx_scope *s, mx_array *x, const mx_group *g);
mx_array *mx_all_max(mx_scope *s, mx_array *x, const mx_group *g);
mx_array *mx_all_min(mx_scope *s, mx_array *x, const mx_group *g);
mx_array *mx_all_gather(mx_scope *s, mx_array *x, const mx_group *g);  /* along axis 0 */
mx_array *mx_sum_scatter(mx_scope *s, mx_array *x, const mx_group *g); /* this process's part of axis 0 */
mx_array *mx_send(mx_scope *s, mx_array *x, int dst, const mx_group *g); /* x, once it is sent */
mx_array *mx_recv(mx_scope *s, const int *shape, size_t ndim, mx_dtype t, int src, const mx_group *g);

#endif
