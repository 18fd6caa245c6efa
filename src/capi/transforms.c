/* Functions made from functions: handles in, the transforms of src/transforms, handles out. */
#include "mlx/c/transforms.h"

#include <string.h>

#include "capi/callback.h"
#include "mlx/c/compile.h"
#include "mlx/c/transforms_impl.h"
#include "transforms/transforms.h"

/* Two lists of results go to two handles, or an error to the handler. Clears the lists. */
static int give_two(int rc, mlx_vector_array *res_0, mx_list *a, mlx_vector_array *res_1, mx_list *b) {
  if (!rc) rc = mx_put_list(res_0, a);
  if (!rc) rc = mx_put_list(res_1, b);
  mx_list_clear(a);
  mx_list_clear(b);
  return MX_STATUS(rc);
}

/* A new closure, or NULL and a recorded error, goes to the handle. */
static int give_closure(mlx_closure *res, mx_closure *c) {
  return MX_STATUS(c ? mx_put_closure(res, c) : mx_error_kind());
}

int mlx_vjp(mlx_vector_array *res_0, mlx_vector_array *res_1, const mlx_closure fun, const mlx_vector_array primals,
            const mlx_vector_array cotangents) {
  mx_closure *f;
  const mx_list *in, *cot;
  mx_list outputs = {0}, grads = {0};
  int rc = mx_need_closure(&f, fun, "vjp");
  if (!rc) rc = mx_need_list(&in, primals, "vjp", "primals");
  if (!rc) rc = mx_need_list(&cot, cotangents, "vjp", "cotangents");
  if (!rc) rc = mx_vjp(f, in->n, in->at, cot->n, cot->at, &outputs, &grads);
  return give_two(rc, res_0, &outputs, res_1, &grads);
}

int mlx_jvp(mlx_vector_array *res_0, mlx_vector_array *res_1, const mlx_closure fun, const mlx_vector_array primals,
            const mlx_vector_array tangents) {
  mx_closure *f;
  const mx_list *in, *tan;
  mx_list outputs = {0}, slopes = {0};
  int rc = mx_need_closure(&f, fun, "jvp");
  if (!rc) rc = mx_need_list(&in, primals, "jvp", "primals");
  if (!rc) rc = mx_need_list(&tan, tangents, "jvp", "tangents");
  if (!rc) rc = mx_jvp(f, in->n, in->at, tan->n, tan->at, &outputs, &slopes);
  return give_two(rc, res_0, &outputs, res_1, &slopes);
}

/* ---- value_and_grad: a closure whose function is ours ---- */

typedef struct value_and_grad {
  mx_closure *f;
  int n;
  int argnums[];
} value_and_grad;

static int call_value_and_grad(mlx_vector_array *values, mlx_vector_array *grads, const mlx_vector_array input, void *payload) {
  value_and_grad *g = payload;
  const mx_list *in;
  mx_list v = {0}, d = {0};
  int rc = mx_need_list(&in, input, "value_and_grad", "input");
  if (!rc) rc = mx_value_and_grad(g->f, g->n, g->argnums, in->n, in->at, &v, &d);
  return give_two(rc, values, &v, grads, &d);
}

static void drop_value_and_grad(void *payload) {
  value_and_grad *g = payload;
  mx_object_release(&g->f->base);
  mx_free(g);
}

int mlx_value_and_grad(mlx_closure_value_and_grad *res, const mlx_closure fun, const int *argnums, size_t argnums_num) {
  mx_closure *f;
  int rc = mx_need_closure(&f, fun, "value_and_grad");
  if (!rc && (!res || !argnums || !argnums_num || argnums_num > INT16_MAX))
    rc = mx_fail(MX_EVALUE, "[grad] %zu numbers of arguments given, expected at least one and a place for the result", argnums_num);
  if (rc) return MX_REPORT();
  value_and_grad *g = mx_malloc(sizeof *g + argnums_num * sizeof(int));
  if (!g) {
    mx_fail_memory();
    return MX_REPORT();
  }
  g->f = mx_object_retain(&f->base);
  g->n = (int)argnums_num;
  memcpy(g->argnums, argnums, argnums_num * sizeof(int));
  mlx_closure_value_and_grad made = mlx_closure_value_and_grad_new_func_payload(call_value_and_grad, g, drop_value_and_grad);
  if (!made.ctx) return 1;
  rc = mlx_closure_value_and_grad_set(res, made);
  mlx_closure_value_and_grad_free(made);
  return rc;
}

/* ---- batching in two steps ---- */

int mlx_detail_vmap_trace(mlx_vector_array *res_0, mlx_vector_array *res_1, const mlx_closure fun, const mlx_vector_array inputs,
                          const int *in_axes, size_t in_axes_num) {
  mx_closure *f;
  const mx_list *in;
  mx_list stand_ins = {0}, outputs = {0};
  int rc = mx_need_closure(&f, fun, "vmap");
  if (!rc) rc = mx_need_list(&in, inputs, "vmap", "inputs");
  if (!rc && (size_t)in->n != in_axes_num)
    rc = mx_fail(MX_EVALUE, "[vmap] %zu axes given for %d inputs, expected one for each", in_axes_num, in->n);
  if (!rc) rc = mx_vmap_trace(f, in->n, in->at, in_axes, &stand_ins, &outputs);
  return give_two(rc, res_0, &stand_ins, res_1, &outputs);
}

int mlx_detail_vmap_replace(mlx_vector_array *res, const mlx_vector_array inputs, const mlx_vector_array s_inputs,
                            const mlx_vector_array s_outputs, const int *in_axes, size_t in_axes_num, const int *out_axes,
                            size_t out_axes_num) {
  const mx_list *in, *from, *to;
  mx_list outputs = {0};
  int rc = mx_need_list(&in, inputs, "vmap", "inputs");
  if (!rc) rc = mx_need_list(&from, s_inputs, "vmap", "s_inputs");
  if (!rc) rc = mx_need_list(&to, s_outputs, "vmap", "s_outputs");
  if (!rc && ((size_t)in->n != in_axes_num || from->n != in->n || (size_t)to->n != out_axes_num))
    rc = mx_fail(MX_EVALUE, "[vmap] %d inputs, %d stand-ins, %zu input axes, %d outputs and %zu output axes do not belong together",
                 in->n, from->n, in_axes_num, to->n, out_axes_num);
  if (!rc) rc = mx_vmap_replace(in->n, in->at, from->at, in_axes, to->n, to->at, out_axes, &outputs);
  if (!rc) rc = mx_put_list(res, &outputs);
  mx_list_clear(&outputs);
  return MX_STATUS(rc);
}

/* ---- compile, checkpoint ---- */

int mlx_detail_compile(mlx_closure *res, const mlx_closure fun, uintptr_t fun_id, bool shapeless, const uint64_t *constants,
                       size_t constants_num) {
  mx_closure *f;
  int rc = mx_need_closure(&f, fun, "compile");
  if (!rc && ((constants_num && !constants) || constants_num > INT32_MAX))
    rc = mx_fail(MX_EVALUE, "[compile] %zu constants cannot be read", constants_num);
  return rc ? MX_REPORT() : give_closure(res, mx_compile(f, fun_id, shapeless, (int)constants_num, constants));
}

int mlx_compile(mlx_closure *res, const mlx_closure fun, bool shapeless) {
  return mlx_detail_compile(res, fun, 0, shapeless, NULL, 0);
}

int mlx_detail_compile_clear_cache(void) {
  mx_compile_clear_cache();
  return 0;
}

int mlx_detail_compile_erase(uintptr_t fun_id) {
  mx_compile_erase(fun_id);
  return 0;
}

int mlx_set_compile_mode(mlx_compile_mode mode) {
  if (mode < MLX_COMPILE_MODE_DISABLED || mode > MLX_COMPILE_MODE_ENABLED)
    return MX_REFUSE(MX_EVALUE, "[set_compile_mode] %d given, expected a compile mode", (int)mode);
  mx_set_compile_mode((int)mode);
  return 0;
}

int mlx_disable_compile(void) { return mlx_set_compile_mode(MLX_COMPILE_MODE_DISABLED); }
int mlx_enable_compile(void) { return mlx_set_compile_mode(MLX_COMPILE_MODE_ENABLED); }

int mlx_checkpoint(mlx_closure *res, const mlx_closure fun) {
  mx_closure *f;
  int rc = mx_need_closure(&f, fun, "checkpoint");
  return rc ? MX_REPORT() : give_closure(res, mx_checkpoint(f));
}

/* ---- rules of the caller ---- */

typedef struct rules {
  mx_callback *vjp, *jvp, *vmap;
} rules;

static void drop_rules(void *payload) {
  rules *r = payload;
  if (r->vjp) mx_object_release(&r->vjp->base);
  if (r->jvp) mx_object_release(&r->jvp->base);
  if (r->vmap) mx_object_release(&r->vmap->base);
  mx_free(r);
}

static int call_vjp(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cotangents, int no,
                    mx_array *const *outputs, const bool *want, mx_list *res) {
  (void)want;
  rules *r = payload;
  mx_callback *c = r->vjp;
  mx_list p, t, o;
  mlx_vector_array got = {NULL};
  mlx_closure_custom f = {&c};
  int rc = mlx_closure_custom_apply(&got, f, MX_BORROWED(p, np, primals), MX_BORROWED(t, nc, cotangents),
                                    MX_BORROWED(o, no, outputs));
  return mx_callback_result(rc, got, NULL, res);
}

static int call_jvp(void *payload, int np, mx_array *const *primals, int nt, mx_array *const *tangents, const int *argnums,
                    mx_list *res) {
  rules *r = payload;
  mx_callback *c = r->jvp;
  mx_list p, t;
  mlx_vector_array got = {NULL};
  mlx_closure_custom_jvp f = {&c};
  int rc = mlx_closure_custom_jvp_apply(&got, f, MX_BORROWED(p, np, primals), MX_BORROWED(t, nt, tangents), argnums, (size_t)nt);
  return mx_callback_result(rc, got, NULL, res);
}

static int call_vmap(void *payload, int n, mx_array *const *inputs, const int *axes, mx_list *res, int *res_axes, int res_cap) {
  rules *r = payload;
  mx_callback *c = r->vmap;
  mx_list in;
  mlx_vector_array got = {NULL};
  mlx_vector_int got_axes = {NULL};
  mlx_closure_custom_vmap f = {&c};
  int rc = mlx_closure_custom_vmap_apply(&got, &got_axes, f, MX_BORROWED(in, n, inputs), axes, (size_t)n);
  size_t count = !rc && got_axes.ctx ? mlx_vector_int_size(got_axes) : 0;
  rc = mx_callback_result(rc, got, NULL, res);
  if (!rc && (count != (size_t)res->n || res->n > res_cap))
    rc = mx_fail(MX_EVALUE, "[custom_function] the vmap rule gave %d outputs and %zu axes, expected one for each of at most %d",
                 res->n, count, res_cap);
  for (size_t i = 0; !rc && i < count; i++) mlx_vector_int_get(&res_axes[i], got_axes, i);
  mlx_vector_int_free(got_axes);
  return rc;
}

int mlx_custom_function(mlx_closure *res, const mlx_closure fun, const mlx_closure_custom fun_vjp /* may be empty */,
                        const mlx_closure_custom_jvp fun_jvp /* may be empty */,
                        const mlx_closure_custom_vmap fun_vmap /* may be empty */) {
  mx_closure *f;
  if (mx_need_closure(&f, fun, "custom_function")) return MX_REPORT();
  rules *r = mx_malloc(sizeof *r);
  if (!r) {
    mx_fail_memory();
    return MX_REPORT();
  }
  *r = (rules){mx_object_retain((mx_object *)mx_callback_of(fun_vjp.ctx)), mx_object_retain((mx_object *)mx_callback_of(fun_jvp.ctx)),
               mx_object_retain((mx_object *)mx_callback_of(fun_vmap.ctx))};
  mx_custom_rules table = {r->vjp ? call_vjp : NULL, r->jvp ? call_jvp : NULL, r->vmap ? call_vmap : NULL, r, drop_rules, false};
  return give_closure(res, mx_custom_function(f, &table));
}

int mlx_custom_vjp(mlx_closure *res, const mlx_closure fun, const mlx_closure_custom fun_vjp) {
  if (!fun_vjp.ctx) return MX_REFUSE(MX_EVALUE, "[custom_vjp] empty closure given, expected a function");
  return mlx_custom_function(res, fun, fun_vjp, (mlx_closure_custom_jvp){NULL}, (mlx_closure_custom_vmap){NULL});
}
