/* Primitives of the caller: what is refused, who owns the payload, and errors of their functions. */
#include "capi_testing.h"

static int dropped;
static void drop(void *payload) {
  (void)payload;
  dropped++;
}

static int same_shape(mlx_primitive_shape *out, const mlx_vector_array in, const int64_t *p, size_t np, void *payload) {
  (void)payload;
  mlx_array x = mlx_array_new();
  if (mlx_vector_array_get(&x, in, 0)) return 1;
  out->dtype = MLX_FLOAT32;
  out->ndim = np && p[0] == 1 ? 40 : (int)mlx_array_ndim(x);
  for (int d = 0; d < out->ndim && d < 32; d++) out->shape[d] = np && p[0] == 2 ? -1 : mlx_array_dim(x, d);
  mlx_array_free(x);
  return np && p[0] == 3 ? mlx_primitive_error("[Twice] no shape today") : np && p[0] == 4;
}

static int twice(const mlx_primitive_call *c, void *payload) {
  const float *x = c->inputs[0].data;
  if (c->params_num && c->params[0] == 5) return mlx_primitive_error("[Twice] no values today");
  for (size_t i = 0; i < c->outputs[0].size; i++) ((float *)c->outputs[0].data)[i] = *(float *)payload * x[(int64_t)i * c->inputs[0].strides[0]];
  return c->params_num && c->params[0] == 6;
}

static float two = 2;
static mlx_primitive_rules rules(void) {
  return (mlx_primitive_rules){.outputs_num = 1, .shape = same_shape, .eval = twice, .payload = &two, .dtor = drop};
}

static int apply(mlx_vector_array *res, mlx_vector_array in, int64_t p) {
  mlx_stream s = mlx_default_cpu_stream_new();
  int rc = mlx_primitive_apply(res, "Twice", in, &p, p ? 1 : 0, s);
  mlx_stream_free(s);
  return rc;
}

static void what_is_refused(void **state) {
  (void)state;
  mlx_primitive_rules r = rules();
  dropped = 0;
  assert_refused(mlx_primitive_register("", &r), "A name of 1 to 200 bytes");
  assert_refused(mlx_primitive_register(NULL, &r), "A name of 1 to 200 bytes");
  assert_refused(mlx_primitive_register("Twice", NULL), "NULL given for the rules");
  r.outputs_num = 0;
  assert_refused(mlx_primitive_register("Twice", &r), "1 to 256 outputs are needed");
  r.outputs_num = (size_t)1 << 40;
  assert_refused(mlx_primitive_register("Twice", &r), "1 to 256 outputs are needed");
  r = rules();
  r.eval = NULL;
  assert_refused(mlx_primitive_register("Twice", &r), "an evaluation");
  assert_int_equal(dropped, 5);
  mlx_vector_array in = mlx_vector_array_new(), out = mlx_vector_array_new();
  assert_false(mlx_primitive_is_registered("Twice"));
  assert_refused(apply(&out, in, 0), "The primitive 'Twice' is not registered");
  assert_refused(mlx_primitive_unregister("Twice"), "There is no primitive 'Twice'");
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
}

static void errors_of_its_functions(void **state) {
  (void)state;
  mlx_primitive_rules r = rules();
  assert_ok(mlx_primitive_register("Twice", &r));
  assert_true(mlx_primitive_is_registered("Twice"));
  mlx_array x = FLOATS(1, 2);
  mlx_vector_array in = mlx_vector_array_new_value(x), out = mlx_vector_array_new();
  assert_refused(apply(&out, in, 1), "no valid shape and dtype for output 0");
  assert_refused(apply(&out, in, 2), "no valid shape and dtype for output 0");
  assert_refused(apply(&out, in, 3), "[Twice] no shape today");
  assert_refused(apply(&out, in, 4), "[Twice] The shape function returned a non-zero value");
  assert_ok(apply(&out, in, 5));
  assert_refused(mlx_eval(out), "[Twice] no values today");
  assert_refused(mlx_eval(out), "[Twice] no values today");
  assert_ok(apply(&out, in, 6));
  assert_refused(mlx_eval(out), "[Twice] The eval function returned a non-zero value");
  mlx_array_free(x);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
}

static void nodes_keep_their_primitive(void **state) {
  (void)state;
  dropped = 0;
  mlx_primitive_rules r = rules();
  assert_ok(mlx_primitive_register("Twice", &r)); /* the one of the test before is gone with its name */
  assert_int_equal(dropped, 1);
  mlx_array x = FLOATS(1, 2), y = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new_value(x), out = mlx_vector_array_new();
  assert_ok(apply(&out, in, 0));
  assert_ok(mlx_primitive_unregister("Twice"));
  assert_int_equal(dropped, 1);
  assert_ok(mlx_vector_array_get(&y, out, 0));
  assert_ok(mlx_array_eval(y));
  assert_float_equal(mlx_array_data_float32(y)[1], 4, 0);
  mlx_array_free(x);
  mlx_array_free(y);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
  assert_int_equal(dropped, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_refused), cmocka_unit_test(errors_of_its_functions),
                                     cmocka_unit_test(nodes_keep_their_primitive)};
  return cmocka_run_group_tests(tests, listen_to_errors, NULL);
}
