/* Primitives of the caller: its functions as rules of the graph. */
#include "mlx/c/custom.h"

#include "capi/callback.h"
#include "graph/primitive.h"

typedef struct made {
  mlx_primitive_rules r;
  char name[];
} made;

static void drop(void *payload) {
  made *m = payload;
  if (m->r.dtor) m->r.dtor(m->r.payload);
  mx_free(m);
}

/* What a function returned, as the kind of an error: its own, said by mlx_primitive_error or by a function of the library. */
static int outcome(const made *m, const char *rule, int rc) {
  if (!rc) return 0;
  if (mx_error_kind()) return mx_error_kind();
  return mx_fail(MX_ERUNTIME, "[%s] The %s function returned a non-zero value.", m->name, rule);
}

static int shape_rule(void *payload, const mx_primitive_site *s, mx_aval *out) {
  made *m = payload;
  mx_list in;
  size_t n = m->r.outputs_num;
  mlx_primitive_shape *shape = mx_calloc(n, sizeof *shape);
  if (!shape) return mx_fail_memory();
  mx_error_clear();
  int rc = outcome(m, "shape", m->r.shape(shape, MX_BORROWED(in, s->nin, s->in), s->p, (size_t)s->np, m->r.payload));
  for (size_t i = 0; i < n && !rc; i++) {
    bool good = shape[i].ndim >= 0 && shape[i].ndim <= MX_MAX_NDIM;
    out[i].dtype = (mx_dtype)shape[i].dtype;
    out[i].ndim = good ? shape[i].ndim : -1; /* refused by infer */
    for (int d = 0; good && d < shape[i].ndim; d++) out[i].shape[d] = shape[i].shape[d];
  }
  mx_free(shape);
  return rc;
}

static int eval_rule(void *payload, const mx_primitive_call *c) {
  made *m = payload;
  int n = c->nin + c->nout;
  mlx_primitive_buffer *b = mx_malloc((size_t)(n + 1) * sizeof *b);
  if (!b) return mx_fail_memory();
  for (int i = 0; i < n; i++) {
    const mx_primitive_view *v = i < c->nin ? &c->in[i] : &c->out[i - c->nin];
    b[i] = (mlx_primitive_buffer){v->data, v->shape, v->strides, (size_t)v->ndim, (size_t)v->size, (mlx_dtype)v->dtype};
  }
  mlx_primitive_call call = {b, (size_t)c->nin, b + c->nin, (size_t)c->nout, c->p, (size_t)c->np};
  mx_error_clear();
  int rc = outcome(m, "eval", m->r.eval(&call, m->r.payload));
  mx_free(b);
  return rc;
}

static int vjp_rule(void *payload, const mx_primitive_site *s, mx_array *const *cotangents, mx_list *res) {
  made *m = payload;
  mx_list p, t, o;
  mlx_vector_array got = {NULL};
  mx_error_clear();
  int rc = m->r.vjp(&got, MX_BORROWED(p, s->nin, s->in), MX_BORROWED(t, s->nout, cotangents), MX_BORROWED(o, s->nout, s->out), s->p,
                    (size_t)s->np, m->r.payload);
  int why = outcome(m, "vjp", rc), end = mx_callback_result(0, got, NULL, res);
  return why ? why : end;
}

static int jvp_rule(void *payload, const mx_primitive_site *s, mx_array *const *tangents, mx_list *res) {
  made *m = payload;
  mx_list p, t;
  mlx_vector_array got = {NULL};
  mx_error_clear();
  int rc = m->r.jvp(&got, MX_BORROWED(p, s->nin, s->in), MX_BORROWED(t, s->nin, tangents), s->p, (size_t)s->np, m->r.payload);
  int why = outcome(m, "jvp", rc), end = mx_callback_result(0, got, NULL, res);
  return why ? why : end;
}

static int vmap_rule(void *payload, const mx_primitive_site *s, const int *axes, mx_list *res, int *res_axes) {
  made *m = payload;
  mx_list in;
  mlx_vector_array got = {NULL};
  mx_error_clear();
  int rc = m->r.vmap(&got, res_axes, MX_BORROWED(in, s->nin, s->in), axes, s->p, (size_t)s->np, m->r.payload);
  int why = outcome(m, "vmap", rc), end = mx_callback_result(0, got, NULL, res);
  return why ? why : end;
}

int mlx_primitive_register(const char *name, const mlx_primitive_rules *rules) {
  if (!rules) return MX_REFUSE(MX_EVALUE, "[primitive_register] NULL given for the rules");
  size_t n = name ? strlen(name) + 1 : 1;
  made *m = mx_malloc(sizeof *m + n);
  if (!m) {
    if (rules->dtor) rules->dtor(rules->payload);
    mx_fail_memory();
    return MX_REPORT();
  }
  m->r = *rules;
  memcpy(m->name, name ? name : "", n);
  mx_primitive_rules r = {.nout = rules->outputs_num <= MX_PRIMITIVE_MAX_OUT ? (int)rules->outputs_num : -1,
                          .shape = rules->shape ? shape_rule : NULL,
                          .eval = rules->eval ? eval_rule : NULL,
                          .vjp = rules->vjp ? vjp_rule : NULL,
                          .jvp = rules->jvp ? jvp_rule : NULL,
                          .vmap = rules->vmap ? vmap_rule : NULL,
                          .payload = m,
                          .dtor = drop};
  return MX_STATUS(mx_primitive_register(name, &r));
}

int mlx_primitive_unregister(const char *name) { return MX_STATUS(mx_primitive_unregister(name)); }

bool mlx_primitive_is_registered(const char *name) {
  mx_registered *r = mx_primitive_named(name, "primitive");
  if (r) mx_object_release(&r->base.base);
  else mx_error_clear();
  return r != NULL;
}

int mlx_primitive_apply(mlx_vector_array *res, const char *name, const mlx_vector_array inputs, const int64_t *params, size_t params_num,
                        const mlx_stream s) {
  mx_capi c;
  mx_list out = {0};
  mx_array *made_of[MX_PRIMITIVE_MAX_OUT];
  mx_capi_begin(&c, "primitive_apply", s);
  const mx_list *in = mx_capi_vector(&c, inputs, "inputs");
  mx_registered *r = c.scope.rc ? NULL : mx_primitive_named(name, "primitive_apply");
  int rc = c.scope.rc ? c.scope.rc : r ? 0 : MX_EKEY;
  if (!rc && params_num > MX_PRIMITIVE_MAX_P) rc = mx_fail(MX_EVALUE, "[primitive_apply] %zu parameters are too many", params_num);
  if (!rc) rc = mx_primitive_apply(&c.scope, r, in->n, in->at, (int)params_num, params, made_of);
  for (int i = 0; !rc && i < r->rules.nout; i++) rc = mx_list_push(&out, made_of[i]);
  if (r) mx_object_release(&r->base.base);
  return mx_capi_end_vector(&c, rc, res, &out);
}

int mlx_primitive_error(const char *message) {
  mx_fail(MX_ERUNTIME, "%s", message ? message : "");
  return 1;
}
