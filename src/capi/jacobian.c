/* Pullbacks and Jacobians as closures: handles in, the functions of src/transforms/jacobian.c, handles out. */
#include "mlx/c/jacobian.h"

#include "capi/handles.h"
#include "transforms/transforms.h"

int mlx_vjp_function(mlx_vector_array *outputs, mlx_closure *pullback, const mlx_closure fun, const mlx_vector_array primals) {
  mx_closure *f, *pull = NULL;
  const mx_list *in;
  mx_list out = {0};
  int rc = mx_need_closure(&f, fun, "vjp");
  if (!rc) rc = mx_need_list(&in, primals, "vjp", "primals");
  if (!rc) rc = mx_vjp_function(f, in->n, in->at, &out, &pull);
  if (!rc) rc = mx_put_list(outputs, &out);
  if (!rc) rc = mx_put_closure(pullback, pull);
  else if (pull) mx_object_release(&pull->base);
  mx_list_clear(&out);
  return MX_STATUS(rc);
}

static int make(mlx_closure *res, mlx_closure fun, const int *argnums, size_t n, const char *tag,
                mx_closure *(*transform)(mx_closure *, int, const int *)) {
  mx_closure *f;
  int rc = mx_need_closure(&f, fun, tag);
  if (!rc && (!argnums || !n || n > INT16_MAX))
    rc = mx_fail(MX_EVALUE, "[%s] %zu numbers of arguments given, expected at least one", tag, n);
  if (rc) return MX_REPORT();
  mx_closure *made = transform(f, (int)n, argnums);
  return MX_STATUS(made ? mx_put_closure(res, made) : mx_error_kind());
}

int mlx_jacfwd(mlx_closure *res, const mlx_closure fun, const int *argnums, size_t argnums_num) {
  return make(res, fun, argnums, argnums_num, "jacfwd", mx_jacfwd);
}
int mlx_jacrev(mlx_closure *res, const mlx_closure fun, const int *argnums, size_t argnums_num) {
  return make(res, fun, argnums, argnums_num, "jacrev", mx_jacrev);
}
int mlx_hessian(mlx_closure *res, const mlx_closure fun, const int *argnums, size_t argnums_num) {
  return make(res, fun, argnums, argnums_num, "hessian", mx_hessian);
}
