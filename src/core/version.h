/* The two versions: ours, and that of the MLX whose behaviour is offered. */
#ifndef MX_CORE_VERSION_H
#define MX_CORE_VERSION_H

const char *mx_version(void);
const char *mx_mlx_version(void);

#endif
