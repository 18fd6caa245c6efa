/* Closures: the caller's functions as counted values. mlx_closure is core's mx_closure, which the transforms call; the
 * other kinds are only ever called from here. */
#include "mlx/c/closure.h"

#include "capi/callback.h"

static void callback_destroy(mx_object *o) {
  mx_callback *c = (mx_callback *)o;
  if (c->dtor) c->dtor(c->payload);
  mx_free(c);
}

static mx_callback *callback(void (*fun)(void), bool loaded, void *payload, void (*dtor)(void *)) {
  mx_callback *c = fun ? mx_malloc(sizeof *c) : NULL;
  if (c) {
    *c = (mx_callback){{1, callback_destroy}, fun, loaded, payload, dtor};
    return c;
  }
  if (fun)
    mx_fail_memory();
  else
    mx_fail(MX_EVALUE, "[closure] NULL given, expected a function");
  if (dtor) dtor(payload);
  return NULL;
}

int mx_put_callback(void **box, mx_callback *c) {
  if (!*box && !(*box = mx_calloc(1, sizeof(mx_callback *)))) return mx_fail_memory();
  mx_callback *old = mx_callback_of(*box);
  *(mx_callback **)*box = mx_object_retain(&c->base);
  if (old) mx_object_release(&old->base);
  return 0;
}

void *mx_callback_new(void (*fun)(void), bool loaded, void *payload, void (*dtor)(void *)) {
  mx_callback *c = callback(fun, loaded, payload, dtor);
  void *box = NULL;
  if (!c || mx_put_callback(&box, c)) MX_REPORT();
  if (c) mx_object_release(&c->base);
  return box;
}

int mx_callback_free(void *box) {
  if (mx_callback_of(box)) mx_object_release(&mx_callback_of(box)->base);
  mx_free(box);
  return 0;
}

int mx_callback_result(int rc, mlx_vector_array h, const mx_list *borrowed, mx_list *out) {
  mx_list *got = mx_list_of(h);
  if (rc) rc = mx_fail(MX_ECALLBACK, "mlx_closure returned a non-zero value");
  for (int i = 0; !rc && got && i < got->n; i++) rc = mx_list_push(out, got->at[i]);
  if (got != borrowed) mlx_vector_array_free(h);
  return rc;
}

/* ---- mlx_closure ---- */

typedef int plain_fun(mlx_vector_array *, const mlx_vector_array);
typedef int loaded_fun(mlx_vector_array *, const mlx_vector_array, void *);
typedef int unary_fun(mlx_array *, const mlx_array);

static int call_func(void *payload, int nin, mx_array *const *in, mx_list *out) {
  mx_callback *c = payload;
  mx_list borrowed;
  mlx_vector_array res = {NULL}, args = MX_BORROWED(borrowed, nin, in);
  int rc = c->loaded ? ((loaded_fun *)c->fun)(&res, args, c->payload) : ((plain_fun *)c->fun)(&res, args);
  return mx_callback_result(rc, res, &borrowed, out);
}

static int call_unary(void *payload, int nin, mx_array *const *in, mx_list *out) {
  mx_callback *c = payload;
  if (nin != 1) return mx_fail(MX_EVALUE, "[closure] a unary closure was given %d arrays, expected 1", nin);
  mx_array *x = in[0];
  mlx_array res = {NULL};
  int rc = ((unary_fun *)c->fun)(&res, (mlx_array){&x});
  if (rc)
    rc = mx_fail(MX_ECALLBACK, "mlx_closure returned a non-zero value");
  else if (!mx_array_of(res))
    rc = mx_fail(MX_EVALUE, "[closure] a unary closure gave no array");
  else
    rc = mx_list_push(out, mx_array_of(res));
  if (res.ctx != &x) mlx_array_free(res);
  return rc;
}

static void drop_callback(void *payload) { mx_object_release(payload); }

/* Takes the callback, which is NULL when an error is recorded. */
static mlx_closure wrap(mx_callback *c, int (*call)(void *, int, mx_array *const *, mx_list *)) {
  mlx_closure res = {NULL};
  mx_closure *f = c ? mx_closure_new(call, c, drop_callback) : NULL;
  if (!f || mx_put_closure(&res, f)) MX_REPORT();
  return res;
}

int mx_put_closure(mlx_closure *res, mx_closure *c) {
  int rc = 0;
  if (!res)
    rc = mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  else if (!res->ctx && !(res->ctx = mx_calloc(1, sizeof(mx_closure *))))
    rc = mx_fail_memory();
  if (rc) {
    mx_object_release(&c->base);
    return rc;
  }
  mx_closure *old = mx_closure_of(*res);
  *(mx_closure **)res->ctx = c;
  if (old) mx_object_release(&old->base);
  return 0;
}

mlx_closure mlx_closure_new(void) { return (mlx_closure){NULL}; }

int mlx_closure_free(mlx_closure cls) {
  if (mx_closure_of(cls)) mx_object_release(&mx_closure_of(cls)->base);
  mx_free(cls.ctx);
  return 0;
}

mlx_closure mlx_closure_new_func(int (*fun)(mlx_vector_array *, const mlx_vector_array)) {
  return wrap(callback((void (*)(void))fun, false, NULL, NULL), call_func);
}

mlx_closure mlx_closure_new_func_payload(int (*fun)(mlx_vector_array *, const mlx_vector_array, void *), void *payload,
                                         void (*dtor)(void *)) {
  return wrap(callback((void (*)(void))fun, true, payload, dtor), call_func);
}

mlx_closure mlx_closure_new_unary(int (*fun)(mlx_array *, const mlx_array)) {
  return wrap(callback((void (*)(void))fun, false, NULL, NULL), call_unary);
}

int mlx_closure_set(mlx_closure *cls, const mlx_closure src) {
  mx_closure *c;
  int rc = mx_need_closure(&c, src, "closure_set");
  return MX_STATUS(rc ? rc : mx_put_closure(cls, mx_object_retain(&c->base)));
}

int mlx_closure_apply(mlx_vector_array *res, mlx_closure cls, const mlx_vector_array input) {
  mx_closure *c;
  const mx_list *in;
  mx_list out = {0};
  int rc = mx_need_closure(&c, cls, "closure_apply");
  if (!rc) rc = mx_need_list(&in, input, "closure_apply", "input");
  if (!rc) rc = mx_closure_call(c, in->n, in->at, &out);
  if (!rc) rc = mx_put_list(res, &out);
  mx_list_clear(&out);
  return MX_STATUS(rc);
}

/* ---- the other kinds ---- */

/* The callback behind a handle, or NULL and a reported error. */
static mx_callback *need(void *box) {
  mx_callback *c = mx_callback_of(box);
  if (!c) MX_REFUSE(MX_EVALUE, "[closure_apply] empty closure given, expected a function");
  return c;
}

/* What a callback returned, as the status of the apply function that called it. */
static int applied(int rc) { return rc ? MX_REFUSE(MX_ECALLBACK, "mlx_closure returned a non-zero value") : 0; }

#define CLS mlx_closure_kwargs
#define F(name) mlx_closure_kwargs_##name
#define PLAIN (mlx_vector_array *, const mlx_vector_array, const mlx_map_string_to_array)
#define LOADED (mlx_vector_array *, const mlx_vector_array, const mlx_map_string_to_array, void *)
typedef int kwargs_plain PLAIN;
typedef int kwargs_loaded LOADED;
#include "capi/callback.inc.h"

int mlx_closure_kwargs_apply(mlx_vector_array *res, mlx_closure_kwargs cls, const mlx_vector_array input_0,
                             const mlx_map_string_to_array input_1) {
  mx_callback *c = need(cls.ctx);
  if (!c) return 1;
  return applied(c->loaded ? ((kwargs_loaded *)c->fun)(res, input_0, input_1, c->payload)
                           : ((kwargs_plain *)c->fun)(res, input_0, input_1));
}

#define CLS mlx_closure_value_and_grad
#define F(name) mlx_closure_value_and_grad_##name
#define PLAIN (mlx_vector_array *, mlx_vector_array *, const mlx_vector_array)
#define LOADED (mlx_vector_array *, mlx_vector_array *, const mlx_vector_array, void *)
typedef int value_and_grad_plain PLAIN;
typedef int value_and_grad_loaded LOADED;
#include "capi/callback.inc.h"

int mlx_closure_value_and_grad_apply(mlx_vector_array *res_0, mlx_vector_array *res_1, mlx_closure_value_and_grad cls,
                                     const mlx_vector_array input) {
  mx_callback *c = need(cls.ctx);
  if (!c) return 1;
  mx_error_clear();
  int rc = c->loaded ? ((value_and_grad_loaded *)c->fun)(res_0, res_1, input, c->payload)
                     : ((value_and_grad_plain *)c->fun)(res_0, res_1, input);
  return rc && mx_error_kind() ? 1 : applied(rc); /* what mlx_value_and_grad made has reported its own error */
}

#define CLS mlx_closure_custom
#define F(name) mlx_closure_custom_##name
#define PLAIN (mlx_vector_array *, const mlx_vector_array, const mlx_vector_array, const mlx_vector_array)
#define LOADED (mlx_vector_array *, const mlx_vector_array, const mlx_vector_array, const mlx_vector_array, void *)
typedef int custom_plain PLAIN;
typedef int custom_loaded LOADED;
#include "capi/callback.inc.h"

int mlx_closure_custom_apply(mlx_vector_array *res, mlx_closure_custom cls, const mlx_vector_array input_0,
                             const mlx_vector_array input_1, const mlx_vector_array input_2) {
  mx_callback *c = need(cls.ctx);
  if (!c) return 1;
  return applied(c->loaded ? ((custom_loaded *)c->fun)(res, input_0, input_1, input_2, c->payload)
                           : ((custom_plain *)c->fun)(res, input_0, input_1, input_2));
}

#define CLS mlx_closure_custom_jvp
#define F(name) mlx_closure_custom_jvp_##name
#define PLAIN (mlx_vector_array *, const mlx_vector_array, const mlx_vector_array, const int *, size_t)
#define LOADED (mlx_vector_array *, const mlx_vector_array, const mlx_vector_array, const int *, size_t, void *)
typedef int custom_jvp_plain PLAIN;
typedef int custom_jvp_loaded LOADED;
#include "capi/callback.inc.h"

int mlx_closure_custom_jvp_apply(mlx_vector_array *res, mlx_closure_custom_jvp cls, const mlx_vector_array input_0,
                                 const mlx_vector_array input_1, const int *input_2, size_t input_2_num) {
  mx_callback *c = need(cls.ctx);
  if (!c) return 1;
  return applied(c->loaded ? ((custom_jvp_loaded *)c->fun)(res, input_0, input_1, input_2, input_2_num, c->payload)
                           : ((custom_jvp_plain *)c->fun)(res, input_0, input_1, input_2, input_2_num));
}

#define CLS mlx_closure_custom_vmap
#define F(name) mlx_closure_custom_vmap_##name
#define PLAIN (mlx_vector_array *, mlx_vector_int *, const mlx_vector_array, const int *, size_t)
#define LOADED (mlx_vector_array *, mlx_vector_int *, const mlx_vector_array, const int *, size_t, void *)
typedef int custom_vmap_plain PLAIN;
typedef int custom_vmap_loaded LOADED;
#include "capi/callback.inc.h"

int mlx_closure_custom_vmap_apply(mlx_vector_array *res_0, mlx_vector_int *res_1, mlx_closure_custom_vmap cls,
                                  const mlx_vector_array input_0, const int *input_1, size_t input_1_num) {
  mx_callback *c = need(cls.ctx);
  if (!c) return 1;
  return applied(c->loaded ? ((custom_vmap_loaded *)c->fun)(res_0, res_1, input_0, input_1, input_1_num, c->payload)
                           : ((custom_vmap_plain *)c->fun)(res_0, res_1, input_0, input_1, input_1_num));
}
