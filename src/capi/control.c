/* Control flow: handles in, the functions of src/transforms/control.h, handles out. */
#include "mlx/c/control.h"

#include "capi/handles.h"
#include "transforms/control.h"

int mlx_scan(mlx_vector_array *carry, mlx_vector_array *ys, const mlx_closure f, const mlx_vector_array init, const mlx_vector_array xs,
             int64_t length, bool reverse, bool checkpoint) {
  mx_closure *c;
  const mx_list *from, *x;
  mx_list last = {0}, results = {0};
  int rc = mx_need_closure(&c, f, "scan");
  if (!rc) rc = mx_need_list(&from, init, "scan", "init");
  if (!rc) rc = mx_need_list(&x, xs, "scan", "xs");
  if (!rc) rc = mx_scan_loop(c, from->n, from->at, x->n, x->at, length, reverse, checkpoint, &last, &results);
  if (!rc) rc = mx_put_list(carry, &last);
  if (!rc) rc = mx_put_list(ys, &results);
  mx_list_clear(&last);
  mx_list_clear(&results);
  return MX_STATUS(rc);
}

/* A list of results goes to its handle, or an error to the handler. */
static int give(int rc, mlx_vector_array *res, mx_list *out) {
  if (!rc) rc = mx_put_list(res, out);
  mx_list_clear(out);
  return MX_STATUS(rc);
}

int mlx_while_loop(mlx_vector_array *res, const mlx_closure condition, const mlx_closure body, const mlx_vector_array init) {
  mx_closure *c, *b;
  const mx_list *from;
  mx_list out = {0};
  int rc = mx_need_closure(&c, condition, "while_loop");
  if (!rc) rc = mx_need_closure(&b, body, "while_loop");
  if (!rc) rc = mx_need_list(&from, init, "while_loop", "init");
  if (!rc) rc = mx_while_loop(c, b, from->n, from->at, &out);
  return give(rc, res, &out);
}

int mlx_cond(mlx_vector_array *res, const mlx_array predicate, const mlx_closure if_true, const mlx_closure if_false,
             const mlx_vector_array operands) {
  mx_closure *t, *f;
  const mx_list *x;
  mx_list out = {0};
  mx_array *p = mx_array_of(predicate);
  int rc = p ? mx_need_closure(&t, if_true, "cond") : mx_fail(MX_EVALUE, "[cond] empty array given as the predicate");
  if (!rc) rc = mx_need_closure(&f, if_false, "cond");
  if (!rc) rc = mx_need_list(&x, operands, "cond", "operands");
  if (!rc) rc = mx_cond(p, t, f, x->n, x->at, &out);
  return give(rc, res, &out);
}

int mlx_associative_scan(mlx_vector_array *res, const mlx_closure f, const mlx_vector_array xs, bool reverse, int axis) {
  mx_closure *c;
  const mx_list *x;
  mx_list out = {0};
  int rc = mx_need_closure(&c, f, "associative_scan");
  if (!rc) rc = mx_need_list(&x, xs, "associative_scan", "xs");
  if (!rc) rc = mx_associative_scan(c, x->n, x->at, reverse, axis, &out);
  return give(rc, res, &out);
}
