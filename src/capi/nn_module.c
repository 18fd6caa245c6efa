/* Modules behind handles: making, members, calls, gradients. */
#include <stdio.h>

#include "capi/nn.h"

/* ---- handles ---- */

int mx_put_module(mlx_nn_module *res, mx_module *m) {
  int rc = m ? 0 : mx_error_kind();
  if (!rc && !res)
    rc = mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  else if (!rc && !res->ctx && !(res->ctx = mx_calloc(1, sizeof(mx_module *))))
    rc = mx_fail_memory();
  if (rc) {
    mx_module_release(m);
    return rc;
  }
  mx_module *old = mx_module_of(*res);
  *(mx_module **)res->ctx = m;
  mx_module_release(old);
  return 0;
}

int mx_need_module(mx_module **res, mlx_nn_module h, const char *tag) {
  *res = mx_module_of(h);
  return *res ? 0 : mx_fail(MX_EVALUE, "[%s] empty module given, expected one", tag);
}

mlx_nn_module mlx_nn_module_new(void) { return (mlx_nn_module){NULL}; }

int mlx_nn_module_free(mlx_nn_module module) {
  mx_module_release(mx_module_of(module));
  mx_free(module.ctx);
  return 0;
}

int mlx_nn_module_set(mlx_nn_module *module, const mlx_nn_module src) {
  mx_module *m;
  int rc = mx_need_module(&m, src, "nn_module_set");
  return MX_STATUS(rc ? rc : mx_put_module(module, mx_module_retain(m)));
}

/* ---- functions of the caller ---- */

typedef struct own {
  mlx_nn_forward forward;
  mlx_nn_unary unary;
  void *payload;
  void (*dtor)(void *);
} own;

static void own_drop(void *p) {
  own *o = p;
  if (o->dtor) o->dtor(o->payload);
  mx_free(o);
}

/* The function that failed has mostly said why. */
static int failed(const mx_module *m) {
  char why[512];
  const char *said = mx_error_message();
  snprintf(why, sizeof why, "%s%s", *said ? ": " : "", said);
  return mx_fail(MX_ECALLBACK, "[%s] the forward function returned a non-zero value%s", mx_module_type(m), why);
}

static int call_forward(void *payload, mx_module *m, int n, mx_array *const *in, mx_list *out) {
  own *o = payload;
  mx_list borrowed = {.at = (mx_array **)in, .n = n};
  mlx_vector_array res = {NULL}, args = {&borrowed};
  mx_module *self = m;
  mx_error_clear();
  int rc = o->forward(&res, (mlx_nn_module){&self}, args, o->payload);
  if (rc) rc = failed(m);
  mx_list *got = mx_list_of(res);
  for (int i = 0; !rc && got && i < got->n; i++) rc = mx_list_push(out, got->at[i]);
  if (got != &borrowed) mlx_vector_array_free(res);
  return rc;
}

static int call_unary(void *payload, mx_module *m, int n, mx_array *const *in, mx_list *out) {
  own *o = payload;
  if (n != 1) return mx_fail(MX_EVALUE, "[%s] %d inputs given, expected 1", mx_module_type(m), n);
  mx_array *x = in[0];
  mx_stream stream = mx_default_stream();
  mlx_array res = {NULL};
  mx_error_clear();
  int rc = o->unary(&res, (mlx_array){&x}, (mlx_stream){&stream});
  if (rc)
    rc = failed(m);
  else
    rc = mx_array_of(res) ? mx_list_push(out, mx_array_of(res)) : mx_fail(MX_EVALUE, "[%s] gave no array", mx_module_type(m));
  if (res.ctx != &x) mlx_array_free(res);
  return rc;
}

static mlx_nn_module custom(const char *type, mx_forward *call, own given) {
  mlx_nn_module res = {NULL};
  mx_module *m = NULL;
  own *o = type ? mx_malloc(sizeof *o) : NULL;
  if (!type)
    mx_fail(MX_EVALUE, "[nn_module] NULL given, expected the name of a type");
  else if (!o)
    mx_fail_memory();
  else
    m = mx_module_named(type);
  if (m) {
    *o = given;
    mx_module_set_forward(m, call, o, own_drop);
  } else {
    mx_free(o);
    if (given.dtor) given.dtor(given.payload);
  }
  if (mx_put_module(&res, m)) MX_REPORT();
  return res;
}

mlx_nn_module mlx_nn_module_new_custom(const char *type, mlx_nn_forward forward, void *payload, void (*dtor)(void *)) {
  return custom(type, forward ? call_forward : NULL, (own){forward, NULL, payload, dtor});
}

mlx_nn_module mlx_nn_function_new(mlx_nn_unary function) {
  if (!function) {
    MX_REFUSE(MX_EVALUE, "[nn_function] NULL given, expected a function");
    return (mlx_nn_module){NULL};
  }
  return custom("Function", call_unary, (own){NULL, function, NULL, NULL});
}

/* ---- members ---- */

static int need_text(const char *text, const char *tag) {
  return text ? 0 : mx_fail(MX_EVALUE, "[%s] NULL given, expected a name", tag);
}

int mlx_nn_module_add(const mlx_nn_module module, const char *name, mlx_nn_module child) {
  mx_module *m, *c;
  int rc = mx_need_module(&m, module, "nn_module_add");
  if (!rc) rc = mx_need_module(&c, child, "nn_module_add");
  if (!rc) rc = need_text(name, "nn_module_add");
  if (!rc) rc = mx_module_add(m, name, mx_module_retain(c));
  rc = MX_STATUS(rc);
  mlx_nn_module_free(child);
  return rc;
}

int mlx_nn_module_set_array(const mlx_nn_module module, const char *name, const mlx_array value) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_set_array");
  if (!rc) rc = need_text(name, "nn_module_set_array");
  if (!rc && !mx_array_of(value))
    rc = mx_fail(MX_EVALUE, "[nn_module_set_array] empty array given for '%.200s', expected a value", name);
  return MX_STATUS(rc ? rc : mx_module_set_array(m, name, mx_array_of(value)));
}

int mlx_nn_module_get_array(mlx_array *res, const mlx_nn_module module, const char *path) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_get_array");
  if (!rc) rc = need_text(path, "nn_module_get_array");
  if (rc) return MX_REPORT();
  mx_array *a = mx_module_array(m, path);
  return a ? MX_STATUS(mx_put(res, mx_retain(a))) : 2;
}

int mlx_nn_module_get_module(mlx_nn_module *res, const mlx_nn_module module, const char *path) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_get_module");
  if (!rc) rc = need_text(path, "nn_module_get_module");
  if (rc) return MX_REPORT();
  m = mx_module_at(m, path);
  return m ? MX_STATUS(mx_put_module(res, mx_module_retain(m))) : 2;
}

const char *mlx_nn_module_type(const mlx_nn_module module) {
  mx_module *m = mx_module_of(module);
  return m ? mx_module_type(m) : NULL;
}

/* ---- calls ---- */

int mlx_nn_module_apply(mlx_vector_array *res, const mlx_nn_module module, const mlx_vector_array inputs) {
  mx_module *m;
  const mx_list *in;
  mx_list out = {0};
  int rc = mx_need_module(&m, module, "nn_module_apply");
  if (!rc) rc = mx_need_list(&in, inputs, "nn_module_apply", "inputs");
  if (!rc) rc = mx_module_call(m, in->n, in->at, &out);
  if (!rc) rc = mx_put_list(res, &out);
  mx_list_clear(&out);
  return MX_STATUS(rc);
}

static int call_one(mlx_array *res, mx_module *m, mlx_array h, const char *tag) {
  mx_array *x = mx_array_of(h);
  mx_list out = {0};
  int rc = x ? mx_module_call(m, 1, &x, &out) : mx_fail(MX_EVALUE, "[%s] empty array given, expected a value", tag);
  if (!rc && out.n < 1) rc = mx_fail(MX_EVALUE, "[%s] gave no result", mx_module_type(m));
  if (!rc) rc = mx_put(res, mx_retain(out.at[0]));
  mx_list_clear(&out);
  return rc;
}

int mlx_nn_module_call(mlx_array *res, const mlx_nn_module module, const mlx_array x) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_call");
  return MX_STATUS(rc ? rc : call_one(res, m, x, "nn_module_call"));
}

int mlx_nn_module_call_child(mlx_array *res, const mlx_nn_module module, const char *path, const mlx_array x) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_call_child");
  if (!rc) rc = need_text(path, "nn_module_call_child");
  if (rc) return MX_REPORT();
  mx_module *child = mx_module_at(m, path);
  if (!child) return MX_REFUSE(MX_EKEY, "[nn_module_call_child] %s has no module '%.200s'", mx_module_type(m), path);
  return MX_STATUS(call_one(res, child, x, "nn_module_call_child"));
}

/* ---- gradients ---- */

typedef struct naming {
  mlx_map_string_to_array map;
  const mx_list *values;
  int at;
} naming;

static int name_one(void *to, const char *path, mx_module *owner, int place) {
  (void)owner, (void)place;
  naming *n = to;
  if (n->at >= n->values->n) return mx_fail(MX_EVALUE, "[nn_value_and_grad] the loss has changed which parameters are trainable");
  return mlx_map_string_to_array_insert(n->map, path, (mlx_array){&n->values->at[n->at++]}) ? mx_error_kind() : 0;
}

int mlx_nn_value_and_grad(mlx_vector_array *res_0, mlx_map_string_to_array *res_1, const mlx_nn_module module,
                          const mlx_closure loss, const mlx_vector_array inputs) {
  mx_module *m;
  mx_closure *f;
  const mx_list *in;
  mx_list values = {0}, grads = {0};
  naming named = {mlx_map_string_to_array_new(), &grads, 0};
  int rc = named.map.ctx ? 0 : MX_EMEMORY;
  if (!rc) rc = mx_need_module(&m, module, "nn_value_and_grad");
  if (!rc) rc = mx_need_closure(&f, loss, "nn_value_and_grad");
  if (!rc) rc = mx_need_list(&in, inputs, "nn_value_and_grad", "inputs");
  if (!rc) rc = mx_module_value_and_grad(m, f, in->n, in->at, &values, &grads);
  if (!rc) rc = mx_module_walk(m, MX_WALK_TRAINABLE, name_one, &named);
  if (!rc) rc = mx_put_list(res_0, &values);
  if (!rc && mlx_map_string_to_array_set(res_1, named.map)) rc = mx_error_kind();
  mlx_map_string_to_array_free(named.map);
  mx_list_clear(&values);
  mx_list_clear(&grads);
  return MX_STATUS(rc);
}

int mlx_nn_functional(mlx_closure *res, const mlx_nn_module module, const mlx_closure fun, bool state) {
  mx_module *m;
  mx_closure *f;
  int rc = mx_need_module(&m, module, "nn_functional");
  if (!rc) rc = mx_need_closure(&f, fun, "nn_functional");
  if (rc) return MX_REPORT();
  mx_closure *c = mx_module_functional(m, f, state ? MX_WALK_ALL : MX_WALK_TRAINABLE);
  return MX_STATUS(c ? mx_put_closure(res, c) : mx_error_kind());
}
