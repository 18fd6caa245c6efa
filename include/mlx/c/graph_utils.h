/*
 * mlx/c/graph_utils.h: looking at graphs. No other thread may evaluate their arrays meanwhile.
 */
#ifndef MLX_C_GRAPH_UTILS_H
#define MLX_C_GRAPH_UTILS_H

#include <stdio.h>

#include "mlx/c/array.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Names of arrays in what is printed: your own, or A, B, C... */
typedef struct mlx_node_namer_ {
  void* ctx;
} mlx_node_namer;

/** A namer without names. */
mlx_node_namer mlx_node_namer_new();

/** Frees the namer. An empty handle is fine. */
int mlx_node_namer_free(mlx_node_namer namer);

/** Names an array. The namer does not keep it alive. */
int mlx_node_namer_set_name(mlx_node_namer namer, const mlx_array arr, const char* name);

/** The array's name, made up if it has none; valid while the namer lives. */
int mlx_node_namer_get_name(const char** name, mlx_node_namer namer, const mlx_array arr);

/** Writes the graph that leads to `outputs` in the language of Graphviz. */
int mlx_export_to_dot(FILE* os, const mlx_node_namer namer, const mlx_vector_array outputs);

/** Writes the graph that leads to `outputs`, an operation a line. */
int mlx_print_graph(FILE* os, const mlx_node_namer namer, const mlx_vector_array outputs);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_GRAPH_UTILS_H */
