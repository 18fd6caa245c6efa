/* The functions of ext.h, for the Python extension. */
#include "capi/ext.h"

#include "capi/handles.h"
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/functions.h"
#include "graph/recorded.h"
#include "io/io.h"
#include "runtime/runtime.h"
#include "transforms/transforms.h"

int mlx_ext_error_kind(void) { return mx_error_kind(); }
const char *mlx_ext_error_python(void) { return mx_error_python(mx_error_kind()); }
const char *mlx_ext_error_message(void) { return mx_error_message(); }
int mlx_ext_error_input(void) { return mx_error_input(); }
void mlx_ext_error_name_input(const char *name) { mx_error_name_input(name); }
int mlx_ext_callback_failed(void) { return mx_fail(MX_ECALLBACK, "A callback failed."); }

void mlx_ext_fail(const char *python, const char *message) {
  int kind = MX_ERUNTIME;
  for (int k = 1; k < MX_ERROR_KINDS; k++)
    if (k != MX_ECALLBACK && !strcmp(mx_error_python(k), python)) kind = k;
  mx_fail(kind, "%s", message);
}
void mlx_ext_set_wait_hooks(void *(*before)(void), void (*after)(void *)) { mx_set_wait_hooks(before, after); }

void mlx_ext_clear(mlx_array a) {
  mx_array **box = a.ctx, *old = *box;
  *box = NULL;
  mx_release(old);
}

void *mlx_ext_data(mlx_array a) {
  mx_array *x = mx_array_of(a);
  return x && mx_is_available(x) ? x->data : NULL;
}

bool mlx_ext_is_traced(mlx_array h) {
  const mx_array *a = mx_array_of(h);
  return a && a->flags & MX_PLACEHOLDER;
}

const int *mlx_ext_shape(mlx_array a) {
  const mx_array *x = mx_array_of(a);
  return x ? x->shape : NULL;
}

const char *mlx_ext_origin(mlx_array a) {
  mx_array *x = mx_array_of(a);
  return x ? mx_origin_of(x) : NULL;
}

size_t mlx_ext_buffer_size(mlx_array a) {
  mx_array *x = mx_array_of(a);
  if (!x || !mx_is_available(x)) return 0;
  return x->buf ? x->buf->size : mx_nbytes(x);
}

int mlx_ext_empty(mlx_array *res, int ndim, const int *shape, mlx_dtype dtype, void **data) {
  mx_array *x = mx_array_empty((mx_dtype)dtype, ndim, shape);
  if (!x) return MX_REPORT();
  *data = x->data;
  return MX_STATUS(mx_put(res, x));
}

int mlx_ext_foreign(mlx_array *res, void *data, size_t nbytes, int ndim, const int *shape, const int64_t *strides,
                    mlx_dtype dtype, void (*dtor)(void *), void *payload) {
  mx_array *x = mx_array_foreign((mx_dtype)dtype, ndim, shape, strides, data, nbytes, dtor, payload);
  return x ? MX_STATUS(mx_put(res, x)) : MX_REPORT();
}

mlx_stream mlx_ext_default_stream(void) {
  return (mlx_stream){(void *)mx_default_stream_place()};
}

mlx_dtype mlx_ext_promote(mlx_dtype a, mlx_dtype b) { return (mlx_dtype)mx_promote((mx_dtype)a, (mx_dtype)b); }

int mlx_ext_einsum_path(const char *subscripts, mlx_vector_array operands, int *pairs, int scaling[2], double cost[2]) {
  const mx_list *l = mx_list_of(operands);
  return MX_STATUS(mx_einsum_path(subscripts, l ? l->n : 0, l ? l->at : NULL, pairs, scaling, cost));
}

/* ---- the extension's own call ---- */

static mlx_ext_call extension;

void mlx_ext_set_call(mlx_ext_call call) { extension = call; }
bool mlx_ext_any_shape(void) { return mx_any_shape_wanted; }

int mx_capi_extension(mx_scope *s, const mx_argument *x, mx_list *out) {
  enum { MOST = 128 };
  mlx_array in[MOST];
  mx_array *box[MOST], *made = NULL;
  mlx_array res = {&made};
  if (!extension || x[0].n > MOST || !x[1].ints)
    return mx_fail(MX_ERUNTIME, "[extension] The function was made in Python, with mlx.core, and needs it.");
  for (size_t i = 0; i < x[0].n; i++) {
    box[i] = x[0].arrays[i];
    in[i] = (mlx_array){&box[i]};
  }
  int rc = extension(&res, in, x[0].n, x[1].ints, x[1].n);
  if (!rc && !made) rc = mx_fail(MX_ERUNTIME, "[extension] gave no result");
  if (!rc) rc = mx_capi_push(s, out, made);
  mx_release(made);
  return rc;
}

int mlx_ext_record(mlx_array *res, const mlx_array *in, size_t n, const int *ints, size_t ints_num) {
  mx_list arrays = {0}, out = {0};
  mx_scope s;
  int rc = 0;
  for (size_t i = 0; i < n && !rc; i++) rc = mx_list_push(&arrays, mx_array_of(in[i]));
  mx_scope_begin(&s, mx_default_stream());
  mx_argument x[2] = {{.arrays = arrays.at, .n = n}, {.ints = ints, .n = ints_num}};
  bool recorded = !rc && mx_record(&s, mx_recordable_named("extension"), x, &out);
  if (!rc) rc = s.rc;
  if (!rc && recorded) rc = mx_put(res, mx_retain(out.at[0]));
  mx_list_clear(&arrays);
  mx_list_clear(&out);
  mx_scope_end(&s);
  return rc ? MX_REPORT() : recorded ? 0 : -1;
}

int mlx_ext_random_state(mlx_array *key) {
  mx_array *k = mx_random_state();
  return k ? MX_STATUS(mx_put(key, mx_retain(k))) : MX_REPORT();
}

int mlx_ext_random_set_state(mlx_array key) {
  mx_array *k = mx_array_of(key);
  if (!k) return MX_REFUSE(MX_EVALUE, "[random] The state cannot be empty.");
  return MX_STATUS(mx_random_set_state(k));
}

int mlx_ext_apply(mlx_vector_array *res, mlx_closure cls, void *const *boxes, size_t n) {
  mx_closure *c;
  mx_list out = {0};
  int rc = mx_need_closure(&c, cls, "closure_apply");
  if (!rc) rc = mx_closure_call(c, (int)n, (mx_array *const *)boxes, &out);
  if (!rc) rc = mx_put_list(res, &out);
  mx_list_clear(&out);
  return MX_STATUS(rc);
}

void mlx_ext_compile_name(const char *name) { mx_compile_name(name); }

void mlx_ext_set_print_precision(int digits) { mx_set_print_precision(digits); }
int mlx_ext_print_precision(void) { return mx_print_precision(); }
