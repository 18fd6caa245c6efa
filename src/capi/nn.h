/* What the functions over modules share. A handle's box holds one reference. */
#ifndef MX_CAPI_NN_H
#define MX_CAPI_NN_H

#include "capi/handles.h"
#include "mlx/c/nn.h"
#include "nn/module.h"

static inline mx_module *mx_module_of(mlx_nn_module h) { return h.ctx ? *(mx_module **)h.ctx : NULL; }
/* *res = m, taking the reference, also when it fails. m NULL: an error is recorded. 0 or its kind. */
int mx_put_module(mlx_nn_module *res, mx_module *m);
/* The module of a handle that must not be empty, or an error tagged with the function's name. */
int mx_need_module(mx_module **res, mlx_nn_module h, const char *tag);

#endif
