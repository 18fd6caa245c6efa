/* A primitive of one's own: the values of a polynomial, by Horner's rule, with its derivative and its batching. */
#include <math.h>
#include <stdio.h>

#include "mlx/c/mlx.h"

/* Inputs: x (any shape) and coefficients c (N,), highest first. */
static int poly_shape(mlx_primitive_shape *out, const mlx_vector_array in, const int64_t *p, size_t np, void *payload) {
  (void)p, (void)np, (void)payload;
  if (mlx_vector_array_size(in) != 2) return mlx_primitive_error("[Polynomial] needs x and coefficients");
  mlx_array x = mlx_array_new(), c = mlx_array_new();
  int rc = mlx_vector_array_get(&x, in, 0) || mlx_vector_array_get(&c, in, 1);
  if (!rc && (mlx_array_dtype(x) != MLX_FLOAT32 || mlx_array_dtype(c) != MLX_FLOAT32 || mlx_array_ndim(c) != 1))
    rc = mlx_primitive_error("[Polynomial] needs float32 arrays, the coefficients in one dimension");
  out->dtype = MLX_FLOAT32;
  out->ndim = (int)mlx_array_ndim(x);
  for (int d = 0; d < out->ndim; d++) out->shape[d] = mlx_array_dim(x, d);
  mlx_array_free(x);
  mlx_array_free(c);
  return rc;
}

static int poly_eval(const mlx_primitive_call *call, void *payload) {
  (void)payload;
  const mlx_primitive_buffer *x = &call->inputs[0], *c = &call->inputs[1], *y = &call->outputs[0];
  for (size_t i = 0; i < y->size; i++) {
    size_t rest = i, n = c->shape[0];
    int64_t at = 0;
    for (size_t d = x->ndim; d-- > 0; rest /= (size_t)x->shape[d]) at += (int64_t)(rest % (size_t)x->shape[d]) * x->strides[d];
    float v = 0, t = ((const float *)x->data)[at];
    for (size_t k = 0; k < n; k++) v = v * t + ((const float *)c->data)[(int64_t)k * c->strides[0]];
    ((float *)y->data)[i] = v;
  }
  return 0;
}

/* d/dx: the polynomial of the derived coefficients; d/dc[k]: sums of powers of x. */
static int poly_vjp(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array cotangents, const mlx_vector_array outputs,
                    const int64_t *p, size_t np, void *payload) {
  (void)outputs, (void)p, (void)np, (void)payload;
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_array x = mlx_array_new(), c = mlx_array_new(), g = mlx_array_new(), k = mlx_array_new(), d = mlx_array_new(), gx = mlx_array_new(),
            gc = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new(), derived = mlx_vector_array_new();
  int rc = mlx_vector_array_get(&x, primals, 0) || mlx_vector_array_get(&c, primals, 1) || mlx_vector_array_get(&g, cotangents, 0);
  int n = mlx_array_dim(c, 0), from = 0, to = n - 1, one = 1;
  rc = rc || mlx_arange(&k, n - 1, -1, -1, MLX_FLOAT32, s);
  rc = rc || mlx_multiply(&d, c, k, s) || mlx_slice(&d, d, &from, 1, &to, 1, &one, 1, s);
  rc = rc || mlx_vector_array_append_value(in, x) || mlx_vector_array_append_value(in, d);
  rc = rc || mlx_primitive_apply(&derived, "Polynomial", in, NULL, 0, s) || mlx_vector_array_get(&gx, derived, 0) || mlx_multiply(&gx, gx, g, s);
  rc = rc || mlx_reshape(&x, x, (int[]){-1, 1}, 2, s) || mlx_power(&x, x, k, s) || mlx_reshape(&g, g, (int[]){1, -1}, 2, s);
  rc = rc || mlx_matmul(&gc, g, x, s) || mlx_reshape(&gc, gc, &n, 1, s);
  *res = mlx_vector_array_new();
  rc = rc || mlx_vector_array_append_value(*res, gx) || mlx_vector_array_append_value(*res, gc);
  mlx_vector_array_free(in);
  mlx_vector_array_free(derived);
  for (int i = 0; i < 7; i++) mlx_array_free(((mlx_array[]){x, c, g, k, d, gx, gc})[i]);
  mlx_stream_free(s);
  return rc;
}

/* More values of x are more elements; other coefficients for each are not provided for. */
static int poly_vmap(mlx_vector_array *res, int *res_axes, const mlx_vector_array in, const int *axes, const int64_t *p, size_t np,
                     void *payload) {
  (void)payload;
  if (axes[1] >= 0) return mlx_primitive_error("[Polynomial] cannot be batched over its coefficients");
  mlx_stream s = mlx_default_cpu_stream_new();
  int rc = mlx_primitive_apply(res, "Polynomial", in, p, np, s);
  res_axes[0] = axes[0];
  mlx_stream_free(s);
  return rc;
}

static int poly(mlx_vector_array *res, const mlx_vector_array in) {
  mlx_stream s = mlx_default_cpu_stream_new();
  int rc = mlx_primitive_apply(res, "Polynomial", in, NULL, 0, s);
  mlx_stream_free(s);
  return rc;
}

int main(void) {
  mlx_primitive_rules rules = {.outputs_num = 1, .shape = poly_shape, .eval = poly_eval, .vjp = poly_vjp, .vmap = poly_vmap};
  if (mlx_primitive_register("Polynomial", &rules)) return 1;
  mlx_array x = mlx_array_new_float(3), c = mlx_array_new_data((float[]){2, 0, -1, 5}, (int[]){4}, 1, MLX_FLOAT32); /* 2x^3 - x + 5 */
  mlx_vector_array in = mlx_vector_array_new_data((mlx_array[]){x, c}, 2), y = mlx_vector_array_new(), g = mlx_vector_array_new();
  mlx_closure f = mlx_closure_new_func(poly), compiled = mlx_closure_new();
  mlx_closure_value_and_grad df = {NULL};
  float value = 0, slope = 0, at_c[4] = {0};
  mlx_array v = mlx_array_new(), d = mlx_array_new();
  int rc = mlx_compile(&compiled, f, false) || mlx_value_and_grad(&df, compiled, (int[]){0, 1}, 2);
  rc = rc || mlx_closure_value_and_grad_apply(&y, &g, df, in) || mlx_vector_array_get(&v, y, 0) || mlx_vector_array_get(&d, g, 0);
  rc = rc || mlx_eval(y) || mlx_eval(g) || mlx_array_item_float32(&value, v) || mlx_array_item_float32(&slope, d);
  rc = rc || mlx_vector_array_get(&d, g, 1);
  for (int k = 0; k < 4 && !rc; k++) at_c[k] = mlx_array_data_float32(d)[k];
  printf("f(3) = %g, f'(3) = %g, by the coefficients %g %g %g %g\n", value, slope, at_c[0], at_c[1], at_c[2], at_c[3]);
  bool good = !rc && value == 56 && slope == 53 && at_c[0] == 27 && at_c[3] == 1;
  mlx_array_free(x), mlx_array_free(c), mlx_array_free(v), mlx_array_free(d);
  mlx_vector_array_free(in), mlx_vector_array_free(y), mlx_vector_array_free(g);
  mlx_closure_free(f), mlx_closure_free(compiled);
  mlx_closure_value_and_grad_free(df);
  mlx_primitive_unregister("Polynomial");
  return good ? 0 : 1;
}
