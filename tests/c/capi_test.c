/* Operations, values and transforms through the C API: what mlx-c's functions promise. */
#include "capi_testing.h"

#include <math.h>

#include "core/alloc.h"

static mlx_stream cpu;

static int begin(void **state) {
  cpu = mlx_default_cpu_stream_new();
  return listen_to_errors(state);
}
static int end(void **state) {
  (void)state;
  return mlx_stream_free(cpu);
}

#define assert_values(a, ...)                                                                 \
  do {                                                                                        \
    const float expected_[] = {__VA_ARGS__};                                                  \
    assert_ok(mlx_array_eval(a));                                                             \
    assert_int_equal(mlx_array_size(a), sizeof expected_ / sizeof *expected_);                \
    for (size_t i_ = 0; i_ < sizeof expected_ / sizeof *expected_; i_++)                      \
      assert_float_equal(mlx_array_data_float32(a)[i_], expected_[i_], 1e-5);                 \
  } while (0)

/* ---- results ---- */

static void an_empty_result_gets_a_box_and_a_full_one_keeps_it(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2), r = mlx_array_new();
  assert_ok(mlx_add(&r, a, a, cpu));
  void *box = r.ctx;
  assert_non_null(box);
  mlx_array copy = r;
  assert_ok(mlx_multiply(&r, r, r, cpu)); /* the result may be an input */
  assert_ptr_equal(r.ctx, box);
  assert_values(copy, 4, 16);
  mlx_array_free(a), mlx_array_free(r);
}

static void what_cannot_be_is_refused_when_built(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2), b = FLOATS(1, 2, 3), e = mlx_array_new(), r = mlx_array_new();
  assert_refused(mlx_add(&r, a, b, cpu), "(2)");
  assert_non_null(strstr(heard, "(3)"));
  assert_non_null(strstr(heard, " at capi_ops.c:"));
  assert_null(strstr(mlx_last_error(), " at capi_ops.c:"));
  assert_refused(mlx_add(&r, a, e, cpu), "[add] empty array given for 'b'");
  assert_refused(mlx_add(&r, a, a, mlx_stream_new()), "[add] empty stream");
  assert_refused(mlx_add(NULL, a, a, cpu), "no place for the result");
  assert_refused(mlx_astype(&r, a, (mlx_dtype)77, cpu), "[astype] 77 given for 'dtype'");
  assert_refused(mlx_sum_axis(&r, a, 4, false, cpu), "[sum]");
  assert_refused(mlx_reshape(&r, a, NULL, 2, cpu), "[reshape] NULL given for 'shape'");
  assert_refused(mlx_concatenate(&r, (mlx_vector_array){NULL}, cpu), "[concatenate] empty vector");
  assert_null(r.ctx);
  mlx_array_free(a), mlx_array_free(b);
}

static void arguments_that_may_be_empty(void **state) {
  (void)state;
  mlx_array a = FLOATS(-1, 0, 1), low = mlx_array_new_float(0), none = mlx_array_new(), r = mlx_array_new();
  assert_ok(mlx_clip(&r, a, low, none, cpu));
  assert_values(r, 0, 0, 1);
  assert_refused(mlx_clip(&r, a, none, none, cpu), "[clip]");
  assert_values(r, 0, 0, 1); /* a failure leaves the result alone */
  mlx_array_free(a), mlx_array_free(low), mlx_array_free(r);
}

static void several_results(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2, 3, 4), part = mlx_array_new(), k0 = mlx_array_new(), k1 = mlx_array_new(), key = mlx_array_new();
  mlx_vector_array parts = mlx_vector_array_new();
  assert_ok(mlx_split(&parts, a, 2, 0, cpu));
  assert_int_equal(mlx_vector_array_size(parts), 2);
  assert_ok(mlx_vector_array_get(&part, parts, 1));
  assert_ok(mlx_copy(&part, part, cpu));
  assert_values(part, 3, 4);
  assert_refused(mlx_split(&parts, a, 3, 0, cpu), "[split]");
  assert_int_equal(mlx_vector_array_size(parts), 2);
  assert_ok(mlx_random_key(&key, 0));
  assert_ok(mlx_random_split(&k0, &k1, key, cpu));
  assert_ok(mlx_array_eval(k0));
  assert_ok(mlx_array_eval(k1));
  assert_int_equal(mlx_array_data_uint32(k0)[0], 4146024105u);
  assert_int_equal(mlx_array_data_uint32(k1)[0], 2718843009u);
  mlx_vector_array_free(parts);
  mlx_array_free(a), mlx_array_free(part), mlx_array_free(k0), mlx_array_free(k1), mlx_array_free(key);
}

static void optional_numbers(void **state) {
  (void)state;
  mlx_array a = FLOATS(INFINITY, NAN), r = mlx_array_new();
  mlx_optional_float none = {0, false}, seven = {7, true};
  assert_ok(mlx_nan_to_num(&r, a, 1, seven, none, cpu));
  assert_values(r, 7, 1);
  mlx_array_free(a), mlx_array_free(r);
}

/* ---- values ---- */

static void items_evaluate_and_convert(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_float(2.5f), r = mlx_array_new(), two = FLOATS(1, 2);
  assert_ok(mlx_add(&r, a, a, cpu));
  bool b;
  uint8_t u8;
  int64_t i64;
  double d;
  mlx_complex64_t c;
  assert_ok(mlx_array_item_bool(&b, r));
  assert_ok(mlx_array_item_uint8(&u8, r));
  assert_ok(mlx_array_item_int64(&i64, r));
  assert_ok(mlx_array_item_float64(&d, r));
  assert_ok(mlx_array_item_complex64(&c, r));
  assert_true(b);
  assert_int_equal(u8, 5);
  assert_int_equal(i64, 5);
  assert_true(d == 5);
  assert_true(c == 5);
#ifdef HAS_FLOAT16
  float16_t h;
  assert_ok(mlx_array_item_float16(&h, a));
  assert_true(h == (float16_t)2.5f);
#endif
  float f;
  assert_refused(mlx_array_item_float32(&f, two), "[item] an array of shape (2)");
  assert_refused(mlx_array_item_float32(NULL, a), "NULL given");
  mlx_array_free(a), mlx_array_free(r), mlx_array_free(two);
}

static void data_waits_for_an_eval(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2), r = mlx_array_new();
  bool there = true;
  assert_ok(mlx_add(&r, a, a, cpu));
  assert_ok(_mlx_array_is_available(&there, r));
  assert_false(there);
  heard[0] = 0;
  assert_null(mlx_array_data_float32(r));
  assert_non_null(strstr(heard, "not evaluated"));
  assert_refused(_mlx_array_wait(r), "evaluate it first");
  assert_refused(_mlx_array_is_row_contiguous(&there, r), "before it is evaluated");
  assert_ok(mlx_array_eval(r));
  assert_ok(_mlx_array_is_available(&there, r));
  assert_true(there);
  assert_ok(_mlx_array_wait(r));
  assert_true(mlx_array_data_float32(r)[1] == 4);
  mlx_array_free(a), mlx_array_free(r);
}

static void eval_takes_several(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2), r = mlx_array_new(), q = mlx_array_new();
  assert_ok(mlx_add(&r, a, a, cpu));
  assert_ok(mlx_exp(&q, r, cpu));
  mlx_vector_array v = mlx_vector_array_new_data((mlx_array[]){r, q}, 2);
  assert_ok(mlx_async_eval(v));
  assert_ok(mlx_eval(v));
  assert_ok(mlx_synchronize(cpu));
  assert_true(mlx_array_data_float32(r)[0] == 2);
  assert_refused(mlx_eval((mlx_vector_array){NULL}), "[eval] empty vector");
  assert_refused(mlx_array_eval(mlx_array_new()), "[eval] empty array");
  assert_refused(mlx_synchronize(mlx_stream_new()), "[synchronize] empty stream");
  mlx_vector_array_free(v);
  mlx_array_free(a), mlx_array_free(r), mlx_array_free(q);
}

static void layouts_are_told(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_data((float[6]){0}, (int[]){2, 3}, 2, MLX_FLOAT32), t = mlx_array_new(), s = mlx_array_new();
  bool all, row, col;
#define layout(x) (_mlx_array_is_contiguous(&all, x) || _mlx_array_is_row_contiguous(&row, x) || _mlx_array_is_col_contiguous(&col, x))
  assert_ok(layout(a));
  assert_true(all && row && !col);
  assert_ok(mlx_transpose(&t, a, cpu));
  assert_ok(mlx_array_eval(t));
  assert_ok(layout(t));
  assert_true(all && !row && col);
  assert_ok(mlx_slice(&s, a, (int[]){0, 0}, 2, (int[]){2, 2}, 2, (int[]){1, 1}, 2, cpu));
  assert_ok(mlx_array_eval(s));
  assert_ok(layout(s));
  assert_true(!all && !row && !col);
  mlx_array_free(a), mlx_array_free(t), mlx_array_free(s);
}

static void tostring_evaluates_and_prints_as_mlx(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2.5f), r = mlx_array_new();
  mlx_string text = mlx_string_new();
  assert_ok(mlx_add(&r, a, a, cpu));
  assert_ok(mlx_array_tostring(&text, r));
  assert_string_equal(mlx_string_data(text), "array([2, 5], dtype=float32)");
  mlx_string_free(text);
  mlx_array_free(a), mlx_array_free(r);
}

/* ---- transforms ---- */

static int calls;

/* sum(x * x), x */
static int sum_of_squares(mlx_vector_array *res, const mlx_vector_array in) {
  mlx_array x = mlx_array_new(), y = mlx_array_new();
  calls++;
  int rc = mlx_vector_array_get(&x, in, 0) || mlx_square(&y, x, cpu) || mlx_sum(&y, y, false, cpu) ||
           mlx_vector_array_set_data(res, (mlx_array[]){y, x}, 2);
  mlx_array_free(x), mlx_array_free(y);
  return rc;
}
static int sine(mlx_array *res, const mlx_array x) {
  calls++;
  return mlx_sin(res, x, cpu);
}
static int fails(mlx_array *res, const mlx_array x) {
  (void)res, (void)x;
  return 1;
}
static int evaluates(mlx_array *res, const mlx_array x) {
  float v;
  return mlx_array_item_float32(&v, x) || mlx_array_set_float(res, v);
}

static mlx_array only(mlx_vector_array v) {
  mlx_array a = mlx_array_new();
  assert_ok(mlx_vector_array_get(&a, v, 0));
  return a;
}

static void value_and_grad_gives_all_outputs_and_gradients(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_func(sum_of_squares);
  mlx_closure_value_and_grad g = mlx_closure_value_and_grad_new();
  assert_ok(mlx_value_and_grad(&g, f, (int[]){0}, 1));
  assert_refused(mlx_value_and_grad(&g, f, NULL, 0), "[grad]");
  assert_refused(mlx_value_and_grad(&g, mlx_closure_new(), (int[]){0}, 1), "empty closure");
  mlx_closure_free(f); /* g keeps it */
  mlx_array x = FLOATS(1, 2, 3);
  mlx_vector_array in = mlx_vector_array_new_value(x), values = mlx_vector_array_new(), grads = mlx_vector_array_new();
  assert_ok(mlx_closure_value_and_grad_apply(&values, &grads, g, in));
  assert_int_equal(mlx_vector_array_size(values), 2);
  mlx_array v = only(values), d = only(grads);
  assert_values(v, 14);
  assert_values(d, 2, 4, 6);
  mlx_closure_value_and_grad_free(g);
  mlx_vector_array_free(in), mlx_vector_array_free(values), mlx_vector_array_free(grads);
  mlx_array_free(x), mlx_array_free(v), mlx_array_free(d);
}

static void vjp_and_jvp(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(sine);
  mlx_array x = FLOATS(0), two = FLOATS(2), wide = FLOATS(1, 2);
  mlx_vector_array in = mlx_vector_array_new_value(x), ct = mlx_vector_array_new_value(two), a = mlx_vector_array_new(),
                   b = mlx_vector_array_new(), bad = mlx_vector_array_new_value(wide);
  assert_ok(mlx_vjp(&a, &b, f, in, ct));
  mlx_array v = only(a), d = only(b);
  assert_values(v, 0);
  assert_values(d, 2);
  assert_ok(mlx_jvp(&a, &b, f, in, ct));
  assert_ok(mlx_vector_array_get(&d, b, 0));
  assert_values(d, 2);
  assert_refused(mlx_vjp(&a, &b, f, in, bad), "[vjp]");
  assert_refused(mlx_jvp(&a, &b, f, in, bad), "[jvp]");
  mlx_closure_free(f);
  mlx_vector_array_free(in), mlx_vector_array_free(ct), mlx_vector_array_free(a), mlx_vector_array_free(b), mlx_vector_array_free(bad);
  mlx_array_free(x), mlx_array_free(two), mlx_array_free(wide), mlx_array_free(v), mlx_array_free(d);
}

static void a_closure_that_fails_stops_the_transform_and_leaves_no_trace(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(fails), g = mlx_closure_new_unary(sine), c = mlx_closure_new();
  mlx_array x = FLOATS(0);
  mlx_vector_array in = mlx_vector_array_new_value(x), a = mlx_vector_array_new(), b = mlx_vector_array_new();
  assert_refused(mlx_vjp(&a, &b, f, in, in), "mlx_closure returned a non-zero value");
  assert_refused(mlx_jvp(&a, &b, f, in, in), "mlx_closure returned a non-zero value");
  assert_ok(mlx_compile(&c, f, false));
  assert_refused(mlx_closure_apply(&a, c, in), "mlx_closure returned a non-zero value");
  assert_ok(mlx_vjp(&a, &b, g, in, in));
  mlx_array v = only(a);
  assert_values(v, 0);
  mlx_closure_free(f), mlx_closure_free(g), mlx_closure_free(c);
  mlx_vector_array_free(in), mlx_vector_array_free(a), mlx_vector_array_free(b);
  mlx_array_free(x), mlx_array_free(v);
}

static void a_compiled_closure_is_traced_once_a_shape(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(sine), c = mlx_closure_new(), e = mlx_closure_new_unary(evaluates), ce = mlx_closure_new();
  mlx_array x = FLOATS(0, 1), y = FLOATS(0, 1, 2);
  mlx_vector_array one = mlx_vector_array_new_value(x), two = mlx_vector_array_new_value(y), out = mlx_vector_array_new();
  assert_ok(mlx_compile(&c, f, false));
  calls = 0;
  for (int i = 0; i < 3; i++) assert_ok(mlx_closure_apply(&out, c, one));
  assert_int_equal(calls, 1);
  mlx_array r = only(out);
  assert_values(r, 0, 0.841470985f);
  assert_ok(mlx_closure_apply(&out, c, two));
  assert_int_equal(calls, 2);
  assert_ok(mlx_disable_compile());
  assert_ok(mlx_closure_apply(&out, c, one));
  assert_int_equal(calls, 3);
  assert_ok(mlx_enable_compile());
  assert_refused(mlx_set_compile_mode((mlx_compile_mode)9), "[set_compile_mode]");
  assert_ok(mlx_compile(&ce, e, false));
  assert_refused(mlx_closure_apply(&out, ce, one), "non-zero"); /* item inside a compile */
  assert_ok(mlx_detail_compile_clear_cache());
  mlx_closure_free(f), mlx_closure_free(c), mlx_closure_free(e), mlx_closure_free(ce);
  mlx_vector_array_free(one), mlx_vector_array_free(two), mlx_vector_array_free(out);
  mlx_array_free(x), mlx_array_free(y), mlx_array_free(r);
}

static void detail_compile_shares_by_id_and_constants(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(sine), c = mlx_closure_new(), d = mlx_closure_new();
  mlx_array x = FLOATS(0, 1);
  mlx_vector_array in = mlx_vector_array_new_value(x), out = mlx_vector_array_new();
  calls = 0;
  assert_ok(mlx_detail_compile(&c, f, 4711, false, (uint64_t[]){1}, 1));
  assert_ok(mlx_detail_compile(&d, f, 4711, false, (uint64_t[]){1}, 1));
  assert_ok(mlx_closure_apply(&out, c, in));
  assert_ok(mlx_closure_apply(&out, d, in));
  assert_int_equal(calls, 1);
  assert_ok(mlx_detail_compile(&d, f, 4711, false, (uint64_t[]){2}, 1));
  assert_ok(mlx_closure_apply(&out, d, in));
  assert_int_equal(calls, 2);
  assert_ok(mlx_detail_compile_erase(4711));
  assert_ok(mlx_closure_apply(&out, c, in));
  assert_int_equal(calls, 3);
  mlx_closure_free(f), mlx_closure_free(c), mlx_closure_free(d);
  mlx_vector_array_free(in), mlx_vector_array_free(out);
  mlx_array_free(x);
}

static void checkpoint_recomputes(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(sine), c = mlx_closure_new();
  mlx_array x = FLOATS(0), one = FLOATS(1);
  mlx_vector_array in = mlx_vector_array_new_value(x), ct = mlx_vector_array_new_value(one), a = mlx_vector_array_new(),
                   b = mlx_vector_array_new();
  assert_ok(mlx_checkpoint(&c, f));
  assert_ok(mlx_vjp(&a, &b, c, in, ct));
  mlx_array d = only(b);
  assert_values(d, 1);
  mlx_closure_free(f), mlx_closure_free(c);
  mlx_vector_array_free(in), mlx_vector_array_free(ct), mlx_vector_array_free(a), mlx_vector_array_free(b);
  mlx_array_free(x), mlx_array_free(one), mlx_array_free(d);
}

/* A rule that says the gradient is ten times the cotangent, and checks what it is given. */
static int tenfold(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array cotangents,
                   const mlx_vector_array outputs) {
  if (mlx_vector_array_size(primals) != 1 || mlx_vector_array_size(outputs) != 1) return 1;
  mlx_array ct = mlx_array_new(), ten = mlx_array_new_float(10);
  int rc = mlx_vector_array_get(&ct, cotangents, 0) || mlx_multiply(&ct, ct, ten, cpu) || mlx_vector_array_set_value(res, ct);
  mlx_array_free(ct), mlx_array_free(ten);
  return rc;
}
static int tenfold_jvp(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array tangents, const int *argnums,
                       size_t n) {
  (void)primals;
  if (n != 1 || argnums[0] != 0) return 1;
  mlx_array t = mlx_array_new(), ten = mlx_array_new_float(10);
  int rc = mlx_vector_array_get(&t, tangents, 0) || mlx_multiply(&t, t, ten, cpu) || mlx_vector_array_set_value(res, t);
  mlx_array_free(t), mlx_array_free(ten);
  return rc;
}
static int double_vmap(mlx_vector_array *res, mlx_vector_int *axes, const mlx_vector_array in, const int *in_axes, size_t n) {
  if (n != 1 || in_axes[0] != 0) return 1;
  mlx_array x = mlx_array_new();
  int rc = mlx_vector_array_get(&x, in, 0) || mlx_add(&x, x, x, cpu) || mlx_vector_array_set_value(res, x) ||
           mlx_vector_int_set_value(axes, 0);
  mlx_array_free(x);
  return rc;
}

static void custom_functions_have_their_own_rules(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(sine), c = mlx_closure_new();
  mlx_closure_custom vjp = mlx_closure_custom_new_func(tenfold);
  mlx_closure_custom_jvp jvp = mlx_closure_custom_jvp_new_func(tenfold_jvp);
  mlx_closure_custom_vmap vmap = mlx_closure_custom_vmap_new_func(double_vmap);
  mlx_array x = FLOATS(0), one = FLOATS(1), rows = mlx_array_new_data((float[]){1, 2, 3, 4}, (int[]){2, 2}, 2, MLX_FLOAT32);
  mlx_vector_array in = mlx_vector_array_new_value(x), ct = mlx_vector_array_new_value(one), a = mlx_vector_array_new(),
                   b = mlx_vector_array_new(), batch = mlx_vector_array_new_value(rows);
  assert_ok(mlx_custom_function(&c, f, vjp, jvp, vmap));
  assert_ok(mlx_vjp(&a, &b, c, in, ct));
  mlx_array d = only(b);
  assert_values(d, 10);
  assert_ok(mlx_jvp(&a, &b, c, in, ct));
  assert_ok(mlx_vector_array_get(&d, b, 0));
  assert_values(d, 10);
  assert_ok(mlx_detail_vmap_trace(&a, &b, c, batch, (int[]){0}, 1));
  assert_ok(mlx_detail_vmap_replace(&a, batch, a, b, (int[]){0}, 1, (int[]){0}, 1));
  assert_ok(mlx_vector_array_get(&d, a, 0));
  assert_values(d, 2, 4, 6, 8);
  assert_ok(mlx_custom_vjp(&c, f, vjp));
  assert_ok(mlx_vjp(&a, &b, c, in, ct));
  assert_ok(mlx_vector_array_get(&d, b, 0));
  assert_values(d, 10);
  assert_refused(mlx_custom_vjp(&c, f, mlx_closure_custom_new()), "empty closure");
  mlx_closure_free(f), mlx_closure_free(c), mlx_closure_custom_free(vjp), mlx_closure_custom_jvp_free(jvp);
  mlx_closure_custom_vmap_free(vmap);
  mlx_vector_array_free(in), mlx_vector_array_free(ct), mlx_vector_array_free(a), mlx_vector_array_free(b), mlx_vector_array_free(batch);
  mlx_array_free(x), mlx_array_free(one), mlx_array_free(d), mlx_array_free(rows);
}

static int row_sum(mlx_array *res, const mlx_array x) { return mlx_sum(res, x, false, cpu); }

static void vmap_in_two_steps(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_unary(row_sum);
  mlx_array x = mlx_array_new_data((float[]){1, 2, 3, 4, 5, 6}, (int[]){2, 3}, 2, MLX_FLOAT32);
  mlx_vector_array in = mlx_vector_array_new_value(x), si = mlx_vector_array_new(), so = mlx_vector_array_new(),
                   out = mlx_vector_array_new();
  assert_ok(mlx_detail_vmap_trace(&si, &so, f, in, (int[]){1}, 1));
  assert_ok(mlx_detail_vmap_replace(&out, in, si, so, (int[]){1}, 1, (int[]){0}, 1));
  mlx_array r = only(out);
  assert_values(r, 5, 7, 9);
  assert_refused(mlx_detail_vmap_trace(&si, &so, f, in, (int[]){1, 0}, 2), "[vmap] 2 axes given for 1 inputs");
  assert_refused(mlx_detail_vmap_trace(&si, &so, f, in, (int[]){5}, 1), "[vmap]");
  mlx_closure_free(f);
  mlx_vector_array_free(in), mlx_vector_array_free(si), mlx_vector_array_free(so), mlx_vector_array_free(out);
  mlx_array_free(x), mlx_array_free(r);
}

/* ---- graphs as text ---- */

static void graphs_print(void **state) {
  (void)state;
  mlx_array a = FLOATS(1, 2), r = mlx_array_new();
  assert_ok(mlx_exp(&r, a, cpu));
  assert_ok(mlx_add(&r, r, a, cpu));
  mlx_vector_array outputs = mlx_vector_array_new_value(r);
  mlx_node_namer names = mlx_node_namer_new();
  const char *name;
  char text[2048] = {0};
  assert_ok(mlx_node_namer_set_name(names, a, "x\"y"));
  assert_ok(mlx_node_namer_get_name(&name, names, r));
  assert_string_equal(name, "A");
  FILE *f = tmpfile();
  assert_non_null(f);
  assert_ok(mlx_print_graph(f, names, outputs));
  rewind(f);
  assert_true(fread(text, 1, sizeof text - 1, f) > 0);
  assert_string_equal(text, "Input x\"y float32 (2)\nExp x\"y -> B float32 (2)\nAdd B, x\"y -> A float32 (2)  (output)\n");
  rewind(f);
  assert_ok(mlx_export_to_dot(f, names, outputs));
  rewind(f);
  assert_true(fread(text, 1, sizeof text - 1, f) > 0);
  assert_non_null(strstr(text, "digraph {"));
  assert_non_null(strstr(text, "{ rank=source; \"x\\\"y\"; }"));
  assert_non_null(strstr(text, "[label =\"Exp\", shape=rectangle]"));
  assert_refused(mlx_print_graph(NULL, names, outputs), "[print_graph]");
  fclose(f);
  mlx_node_namer_free(names);
  mlx_vector_array_free(outputs);
  mlx_array_free(a), mlx_array_free(r);
}

/* ---- the nth allocation fails ---- */

/* A little of everything; 0, or 1 when a call failed. Frees all it made either way. */
static int everything(void) {
  mlx_array x = FLOATS(1, 2, 3), r = mlx_array_new(), q = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new(), a = mlx_vector_array_new(), b = mlx_vector_array_new();
  mlx_map_string_to_array map = mlx_map_string_to_array_new();
  mlx_map_string_to_string text = mlx_map_string_to_string_new();
  mlx_vector_string words = mlx_vector_string_new();
  mlx_string s = mlx_string_new();
  mlx_closure f = mlx_closure_new_func(sum_of_squares), c = mlx_closure_new();
  mlx_closure_value_and_grad g = mlx_closure_value_and_grad_new();
  mlx_stream st = mlx_default_cpu_stream_new();
  float v;
  int rc = !x.ctx || !in.ctx || !a.ctx || !b.ctx || !map.ctx || !text.ctx || !words.ctx || !f.ctx || !st.ctx ||
           mlx_add(&r, x, x, st) || mlx_exp(&q, r, st) || mlx_sum(&q, q, false, st) || mlx_array_item_float32(&v, q) ||
           mlx_split(&a, r, 3, 0, st) || mlx_concatenate(&q, a, st) || mlx_array_tostring(&s, q) ||
           mlx_vector_array_append_value(in, x) || mlx_map_string_to_array_insert(map, "x", x) ||
           mlx_map_string_to_string_insert(text, "x", "y") || mlx_vector_string_append_value(words, "w") ||
           mlx_value_and_grad(&g, f, (int[]){0}, 1) || mlx_closure_value_and_grad_apply(&a, &b, g, in) || mlx_eval(b) ||
           mlx_compile(&c, f, false) || mlx_closure_apply(&a, c, in) || mlx_eval(a);
  mlx_array_free(x), mlx_array_free(r), mlx_array_free(q);
  mlx_vector_array_free(in), mlx_vector_array_free(a), mlx_vector_array_free(b);
  mlx_map_string_to_array_free(map), mlx_map_string_to_string_free(text);
  mlx_vector_string_free(words), mlx_string_free(s);
  mlx_closure_free(f), mlx_closure_free(c), mlx_closure_value_and_grad_free(g);
  mlx_stream_free(st);
  return rc;
}

static void the_nth_allocation_failing_is_an_error(void **state) {
  (void)state;
  assert_int_equal(everything(), 0); /* caches are warm */
  int n = 0, rc = 1;
  for (; rc && n < 20000; n++) {
    heard[0] = 0;
    mx_alloc_fail_after(n);
    rc = everything();
    mx_alloc_fail_after(-1);
    if (rc && !*heard) fail_msg("allocation %d fails and nothing is said", n);
  }
  assert_int_equal(rc, 0);
  assert_true(n > 20);
  assert_int_equal(everything(), 0); /* nothing was left behind that hurts */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_result_gets_a_box_and_a_full_one_keeps_it),
      cmocka_unit_test(what_cannot_be_is_refused_when_built),
      cmocka_unit_test(arguments_that_may_be_empty),
      cmocka_unit_test(several_results),
      cmocka_unit_test(optional_numbers),
      cmocka_unit_test(items_evaluate_and_convert),
      cmocka_unit_test(data_waits_for_an_eval),
      cmocka_unit_test(eval_takes_several),
      cmocka_unit_test(layouts_are_told),
      cmocka_unit_test(tostring_evaluates_and_prints_as_mlx),
      cmocka_unit_test(value_and_grad_gives_all_outputs_and_gradients),
      cmocka_unit_test(vjp_and_jvp),
      cmocka_unit_test(a_closure_that_fails_stops_the_transform_and_leaves_no_trace),
      cmocka_unit_test(a_compiled_closure_is_traced_once_a_shape),
      cmocka_unit_test(detail_compile_shares_by_id_and_constants),
      cmocka_unit_test(checkpoint_recomputes),
      cmocka_unit_test(custom_functions_have_their_own_rules),
      cmocka_unit_test(vmap_in_two_steps),
      cmocka_unit_test(graphs_print),
      cmocka_unit_test(the_nth_allocation_failing_is_an_error),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
