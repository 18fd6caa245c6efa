/*
 * mlx/c/distributed_group.h: groups of processes. So far there are groups of one.
 */
#ifndef MLX_C_DISTRIBUTED_GROUP_H
#define MLX_C_DISTRIBUTED_GROUP_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Processes that compute together. */
typedef struct mlx_distributed_group_ {
  void* ctx;
} mlx_distributed_group;

/** An empty handle, which stands for the group of all processes. */
mlx_distributed_group mlx_distributed_group_new(void);

/** Gives the group back. An empty handle is fine. */
int mlx_distributed_group_free(mlx_distributed_group group);

/**
 * The group of all processes. `bk` names how they talk: "any" (or NULL), "mpi", "ring", "nccl" or
 * "jaccl". Where they cannot, it is a group of this process alone or, with `strict`, an error. An error
 * as well when the environment says that this process was started as one of several.
 */
int mlx_distributed_init(
    mlx_distributed_group* res,
    bool strict,
    const char* bk /* may be empty */);

/** This process's number in the group; -1 and an error for an empty handle. */
int mlx_distributed_group_rank(mlx_distributed_group group);

/** How many processes the group has; -1 and an error for an empty handle. */
int mlx_distributed_group_size(mlx_distributed_group group);

/**
 * The processes that give the same `color`, in the order of their `key` (negative: of their rank). A
 * group of one cannot be split.
 */
int mlx_distributed_group_split(
    mlx_distributed_group* res,
    mlx_distributed_group group,
    int color,
    int key);

/** Whether the back end (NULL: "any") is known; mlx_distributed_init with `strict` says whether it works. */
bool mlx_distributed_is_available(const char* bk /* may be empty */);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_DISTRIBUTED_GROUP_H */
