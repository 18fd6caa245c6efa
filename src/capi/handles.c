/* The frame of the generated wrappers: arguments are looked up in their boxes, the first fault marks the scope, and one
 * exit either fills the result or reports. */
#include "capi/handles.h"

#include <string.h>

int mx_put(mlx_array *res, mx_array *a) {
  if (!res) {
    mx_release(a);
    return mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  }
  if (!res->ctx) {
    res->ctx = mx_calloc(1, sizeof(mx_array *));
    if (!res->ctx) {
      mx_release(a);
      return mx_fail_memory();
    }
  }
  mx_set(res->ctx, a);
  return 0;
}

int mx_put_list(mlx_vector_array *res, mx_list *items) {
  int rc = 0;
  if (!res)
    rc = mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  else if (!res->ctx && !(res->ctx = mx_calloc(1, sizeof(mx_list))))
    rc = mx_fail_memory();
  if (rc) {
    mx_list_clear(items);
    return rc;
  }
  mx_list old = *mx_list_of(*res);
  *mx_list_of(*res) = *items;
  *items = (mx_list){0};
  mx_list_clear(&old);
  return 0;
}

int mx_need_list(const mx_list **res, mlx_vector_array h, const char *tag, const char *name) {
  *res = mx_list_of(h);
  return *res ? 0 : mx_fail(MX_EVALUE, "[%s] empty vector given for '%s', expected a vector of arrays", tag, name);
}

int mx_need_closure(mx_closure **res, mlx_closure h, const char *tag) {
  *res = mx_closure_of(h);
  return *res ? 0 : mx_fail(MX_EVALUE, "[%s] empty closure given, expected a function", tag);
}

void mx_capi_begin_no_stream(mx_capi *c, const char *tag) {
  c->tag = tag;
  mx_scope_begin(&c->scope, mx_default_stream());
}

void mx_capi_begin(mx_capi *c, const char *tag, mlx_stream s) {
  c->tag = tag;
  mx_scope_begin(&c->scope, s.ctx ? *(mx_stream *)s.ctx : 0);
  if (!s.ctx) mx_scope_fail(&c->scope, MX_EVALUE, "[%s] empty stream given, expected a stream", tag);
}

mx_array *mx_capi_in(mx_capi *c, mlx_array h, const char *name) {
  mx_array *a = mx_array_of(h);
  if (!a && !c->scope.rc)
    mx_scope_fail(&c->scope, MX_EVALUE, "[%s] empty array given for '%s', expected a value", c->tag, name);
  return a;
}

mx_array *mx_capi_maybe(mx_capi *c, mlx_array h, const char *name) {
  (void)c, (void)name;
  return mx_array_of(h);
}

const mx_list *mx_capi_vector(mx_capi *c, mlx_vector_array h, const char *name) {
  static const mx_list none = {0};
  const mx_list *l;
  if (c->scope.rc) return &none;
  int rc = mx_need_list(&l, h, c->tag, name);
  if (rc) mx_scope_error(&c->scope, rc);
  return rc ? &none : l;
}

void mx_capi_need(mx_capi *c, bool present, const char *name) {
  if (!present && !c->scope.rc)
    mx_scope_fail(&c->scope, MX_EVALUE, "[%s] NULL given for '%s', expected a value", c->tag, name);
}

void mx_capi_dtype(mx_capi *c, mlx_dtype t, const char *name) {
  if ((unsigned)t >= MX_DTYPES && !c->scope.rc)
    mx_scope_fail(&c->scope, MX_EVALUE, "[%s] %d given for '%s', expected a dtype", c->tag, (int)t, name);
}

int mx_capi_pair(mlx_array *res, mlx_array a, mlx_array b, mlx_stream s, mx_opcode op, mx_capi_binary *other) {
  if (!res || !res->ctx || !a.ctx || !b.ctx || !s.ctx) return other(res, a, b, s);
  mx_array *x = mx_array_of(a), *y = mx_array_of(b);
  const mx_array *shaped = x && y ? mx_pair_shape(op, x, y) : NULL;
  if (!shaped) return other(res, a, b, s);
  mx_array *r = mx_array_pair(mx_result_dtype(op, x->dtype), shaped, (uint16_t)op, *(mx_stream *)s.ctx, x, y);
  if (!r) return MX_STATUS(mx_fail_memory());
  mx_set(res->ctx, r);
  return 0;
}

/* A graph function that gives nothing has recorded why; this catches one that forgot to. */
static int finish(const char *file, int line, mx_capi *c, int rc) {
  int marked = mx_scope_end(&c->scope);
  return marked || rc ? mx_capi_report(file, line) : 0;
}

int mx_capi_end_at(const char *file, int line, mx_capi *c, mlx_array *res, mx_array *r) {
  int rc = c->scope.rc;
  mx_array *own = mx_scope_result(&c->scope, r); /* mostly the scope's own reference: nothing is counted up and down */
  if (!rc) rc = own ? mx_put(res, own) : mx_fail(MX_ERUNTIME, "[%s] gave no result", c->tag);
  return finish(file, line, c, rc);
}

int mx_capi_end_many_at(const char *file, int line, mx_capi *c, int rc, int n, mlx_array *const *res, mx_array *const *r) {
  if (c->scope.rc) rc = c->scope.rc;
  for (int i = 0; i < n && !rc; i++)
    rc = r[i] ? mx_put(res[i], mx_retain(r[i])) : mx_fail(MX_ERUNTIME, "[%s] gave no result %d", c->tag, i);
  return finish(file, line, c, rc);
}

int mx_capi_end_vector_at(const char *file, int line, mx_capi *c, int rc, mlx_vector_array *res, mx_list *r) {
  if (c->scope.rc) rc = c->scope.rc;
  if (!rc) rc = mx_put_list(res, r);
  mx_list_clear(r);
  return finish(file, line, c, rc);
}

int mx_capi_end_plain_at(const char *file, int line, mx_capi *c, int rc) { return finish(file, line, c, rc); }

int mx_capi_end_recorded_at(const char *file, int line, mx_capi *c, int n, mlx_array *const *res, mx_list *r) {
  int rc = c->scope.rc;
  for (int i = 0; i < n && !rc; i++) rc = mx_put(res[i], mx_retain(r->at[i]));
  mx_list_clear(r);
  return finish(file, line, c, rc);
}

int mx_capi_push(mx_scope *s, mx_list *out, mx_array *r) { return mx_capi_push_many(s, out, 1, &r); }

int mx_capi_push_many(mx_scope *s, mx_list *out, int n, mx_array *const *r) {
  int rc = s->rc;
  for (int i = 0; i < n && !rc; i++) rc = r[i] ? mx_list_push(out, r[i]) : mx_fail(MX_ERUNTIME, "[recorded] A function gave no result %d.", i);
  return rc;
}
