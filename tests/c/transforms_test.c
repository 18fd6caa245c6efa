/* Gradients, batching and compilation of C closures. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "runtime/runtime.h"
#include "transforms/transforms.h"

/* ---- short ways ---- */

typedef mx_array *(*formula)(mx_scope *s, mx_array *const *in);
static int calls; /* of closures, since a test set it to 0 */

static int call_formula(void *f, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  calls++;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *y = ((formula)f)(&s, in);
  int rc = y ? mx_list_push(out, y) : s.rc, end = mx_scope_end(&s);
  return rc ? rc : end;
}

static mx_closure *closure(formula f) { return mx_closure_new(call_formula, (void *)f, NULL); }
static void drop(mx_closure *c) { mx_object_release(&c->base); }

static mx_array *scalar(float v) { return mx_array_float(MX_F32, v); }
static mx_array *vec(int n, const float *v) { return mx_array_from_data(MX_F32, 1, (int32_t[]){n}, v); }
#define VEC(...) vec(sizeof((float[]){__VA_ARGS__}) / sizeof(float), (float[]){__VA_ARGS__})

#define ok(call)                                                           \
  do {                                                                     \
    mx_error_clear();                                                      \
    if (call) fail_msg("%s fails: %s", #call, mx_error_message());         \
  } while (0)
#define refused(call, kind, phrase)                                                                              \
  do {                                                                                                           \
    assert_int_equal(call, kind);                                                                                \
    if (!strstr(mx_error_message(), phrase)) fail_msg("'%s' does not contain '%s'", mx_error_message(), phrase);  \
    assert_int_equal(mx_tracing, 0);                                                                             \
  } while (0)

static float item(mx_array *a, int i) {
  ok(mx_eval(1, &a));
  assert_true(i < a->size);
  assert_int_equal(a->dtype, MX_F32);
  return ((float *)a->data)[i * (a->ndim ? a->strides[a->ndim - 1] : 1)];
}
#define near(a, i, want) assert_float_equal(item(a, i), want, 1e-5 * (1 + fabs((double)(want))))

/* f' at x, by value_and_grad. */
static mx_array *grad_at(mx_closure *f, mx_array *x) {
  mx_list values = {0}, grads = {0};
  ok(mx_value_and_grad(f, 1, (int[]){0}, 1, &x, &values, &grads));
  mx_array *g = mx_retain(grads.at[0]);
  mx_list_clear(&values);
  mx_list_clear(&grads);
  return g;
}

/* ---- reverse mode ---- */

static mx_array *cube(mx_scope *s, mx_array *const *in) { return mx_multiply(s, in[0], mx_square(s, in[0])); }
static mx_array *sin_exp(mx_scope *s, mx_array *const *in) { return mx_sin(s, mx_exp(s, in[0])); }

static void gradient_of_a_cube(void **state) {
  (void)state;
  mx_closure *f = closure(cube);
  mx_array *x = scalar(3), *g = grad_at(f, x);
  near(g, 0, 27);
  mx_release(g);
  mx_release(x);
  drop(f);
}

/* A closure that gives the gradient of another. */
static int call_grad(void *f, int n, mx_array *const *in, mx_list *out) {
  mx_list values = {0};
  int rc = mx_value_and_grad(f, 1, (int[]){0}, n, in, &values, out);
  mx_list_clear(&values);
  return rc;
}
static mx_closure *grad_of(mx_closure *f) { return mx_closure_new(call_grad, f, NULL); }

static void gradient_of_gradient_of_gradient(void **state) {
  (void)state;
  mx_closure *f = closure(sin_exp), *d1 = grad_of(f), *d2 = grad_of(d1);
  mx_array *x = scalar(0.5f), *g = grad_at(d2, x);
  double e = exp(0.5); /* f'' = e cos e - e^2 sin e; f''' = e cos e - 3 e^2 sin e - e^3 cos e */
  near(g, 0, e * cos(e) - 3 * e * e * sin(e) - e * e * e * cos(e));
  mx_release(g);
  mx_release(x);
  drop(d2), drop(d1), drop(f);
}

static mx_array *second_only(mx_scope *s, mx_array *const *in) { return mx_exp(s, in[1]); }

static void an_input_without_effect_has_a_zero_gradient(void **state) {
  (void)state;
  mx_closure *f = closure(second_only);
  mx_array *in[] = {VEC(1, 2), scalar(0)};
  mx_list v = {0}, g = {0};
  ok(mx_value_and_grad(f, 2, (int[]){0, 1}, 2, in, &v, &g));
  assert_int_equal(g.n, 2);
  assert_int_equal(g.at[0]->size, 2);
  near(g.at[0], 1, 0);
  near(g.at[1], 0, 1);
  mx_list_clear(&v), mx_list_clear(&g);
  mx_release(in[0]), mx_release(in[1]);
  drop(f);
}

static void only_the_arguments_asked_for_are_differentiated(void **state) {
  (void)state;
  mx_closure *f = closure(second_only);
  mx_array *in[] = {scalar(1), scalar(0)};
  mx_list v = {0}, g = {0};
  ok(mx_value_and_grad(f, 1, (int[]){1}, 2, in, &v, &g));
  assert_int_equal(g.n, 1);
  near(v.at[0], 0, 1);
  mx_list_clear(&v), mx_list_clear(&g);
  refused(mx_value_and_grad(f, 1, (int[]){2}, 2, in, &v, &g), MX_EVALUE, "argument index 2");
  refused(mx_value_and_grad(f, 2, (int[]){0, 0}, 2, in, &v, &g), MX_EVALUE, "Duplicate argument index 0");
  refused(mx_value_and_grad(f, 0, NULL, 2, in, &v, &g), MX_EVALUE, "[grad]");
  mx_release(in[0]), mx_release(in[1]);
  drop(f);
}

static void cotangents_must_fit_the_outputs(void **state) {
  (void)state;
  mx_closure *f = closure(cube);
  mx_array *x = VEC(1, 2, 3), *two = VEC(1, 2);
  mx_list v = {0}, g = {0};
  refused(mx_vjp(f, 1, &x, 1, &two, &v, &g), MX_EVALUE, "[vjp] Output shape (3) does not match cotangent shape (2)");
  refused(mx_vjp(f, 1, &x, 0, NULL, &v, &g), MX_EVALUE, "number of cotangents (0)");
  refused(mx_value_and_grad(f, 1, (int[]){0}, 1, &x, &v, &g), MX_EVALUE, "must return a scalar");
  refused(mx_jvp(f, 1, &x, 1, &two, &v, &g), MX_EVALUE, "[jvp]");
  assert_int_equal(v.n + g.n, 0);
  ok(mx_vjp(f, 1, &x, 1, &x, &v, &g));
  near(g.at[0], 2, 81);
  mx_list_clear(&v), mx_list_clear(&g);
  mx_release(x), mx_release(two);
  drop(f);
}

static int fails(void *payload, int n, mx_array *const *in, mx_list *out) {
  (void)payload, (void)n;
  mx_list_push(out, in[0]);
  return mx_fail(MX_ECALLBACK, "boo");
}

static void a_failing_closure_stops_every_transform(void **state) {
  (void)state;
  mx_closure *f = mx_closure_new(fails, NULL, NULL), *c = mx_compile(f, 0, false, 0, NULL), *k = mx_checkpoint(f);
  mx_array *x = VEC(1, 2);
  mx_list a = {0}, b = {0};
  refused(mx_vjp(f, 1, &x, 1, &x, &a, &b), MX_ECALLBACK, "boo");
  refused(mx_jvp(f, 1, &x, 1, &x, &a, &b), MX_ECALLBACK, "boo");
  refused(mx_value_and_grad(f, 1, (int[]){0}, 1, &x, &a, &b), MX_ECALLBACK, "boo");
  refused(mx_closure_call(c, 1, &x, &a), MX_ECALLBACK, "boo");
  refused(mx_vjp(c, 1, &x, 1, &x, &a, &b), MX_ECALLBACK, "boo");
  refused(mx_vjp(k, 1, &x, 1, &x, &a, &b), MX_ECALLBACK, "boo");
  mx_list in = {0}, out = {0};
  refused(mx_vmap_trace(f, 1, &x, (int[]){0}, &in, &out), MX_ECALLBACK, "boo");
  assert_int_equal(a.n + b.n, 0);
  mx_list_clear(&in), mx_list_clear(&out);
  assert_int_equal(x->refs, 1);
  mx_release(x);
  drop(c), drop(k), drop(f);
}

static mx_array *evaluates_inside(mx_scope *s, mx_array *const *in) {
  mx_array *y = mx_exp(s, in[0]);
  mx_scope_error(s, mx_eval(1, &y));
  s->rc = 0;
  return mx_square(s, y);
}

static void values_may_be_looked_at_while_a_gradient_is_traced(void **state) {
  (void)state;
  mx_closure *f = closure(evaluates_inside);
  mx_array *x = scalar(0.5f), *g = grad_at(f, x);
  near(g, 0, 2 * exp(1));
  mx_release(g), mx_release(x);
  drop(f);
}

/* ---- forward mode ---- */

static mx_array *mixture(mx_scope *s, mx_array *const *in) {
  mx_array *x = in[0], *y = in[1];
  return mx_add(s, mx_multiply(s, mx_tanh(s, x), y), mx_divide(s, mx_sin(s, y), mx_add(s, mx_square(s, x), mx_exp(s, y))));
}

static double mixture_f64(double x, double y) { return tanh(x) * y + sin(y) / (x * x + exp(y)); }

static void jvp_agrees_with_finite_differences_and_with_vjp(void **state) {
  (void)state;
  mx_closure *f = closure(mixture);
  mx_array *in[] = {scalar(0.3f), scalar(0.7f)}, *t[] = {scalar(2), scalar(-1)}, *one = scalar(1);
  mx_list v = {0}, d = {0}, g = {0};
  ok(mx_jvp(f, 2, in, 2, t, &v, &d));
  double h = 1e-6, want = (mixture_f64(0.3 + 2 * h, 0.7 - h) - mixture_f64(0.3 - 2 * h, 0.7 + h)) / (2 * h);
  near(v.at[0], 0, mixture_f64(0.3, 0.7));
  near(d.at[0], 0, want);
  ok(mx_vjp(f, 2, in, 1, &one, &v, &g));
  near(d.at[0], 0, 2 * item(g.at[0], 0) - item(g.at[1], 0));
  mx_list_clear(&v), mx_list_clear(&d), mx_list_clear(&g);
  for (int i = 0; i < 2; i++) mx_release(in[i]), mx_release(t[i]);
  mx_release(one);
  drop(f);
}

static int call_jvp_ones(void *f, int n, mx_array *const *in, mx_list *out) {
  mx_list v = {0};
  mx_array *one = scalar(1);
  int rc = mx_jvp(f, n, in, 1, &one, &v, out);
  mx_list_clear(&v);
  mx_release(one);
  return rc;
}

static void forward_over_reverse_and_reverse_over_forward(void **state) {
  (void)state;
  mx_closure *f = closure(sin_exp), *d = grad_of(f), *j = mx_closure_new(call_jvp_ones, f, NULL);
  mx_array *x = scalar(0.5f), *one = scalar(1);
  double e = exp(0.5), want = e * cos(e) - e * e * sin(e);
  mx_list v = {0}, t = {0};
  ok(mx_jvp(d, 1, &x, 1, &one, &v, &t));
  near(t.at[0], 0, want);
  mx_array *g = grad_at(j, x);
  near(g, 0, want);
  mx_list_clear(&v), mx_list_clear(&t);
  mx_release(g), mx_release(one), mx_release(x);
  drop(j), drop(d), drop(f);
}

/* The rule that serves ops without a jvp of their own. */
int jvp_derived(mx_scope *s, const mx_array *node, mx_array *const *out, mx_array *const *tan, mx_array **res);

static void a_jvp_derived_from_the_vjp_is_the_same(void **state) {
  (void)state;
  mx_array *x = VEC(0.3f, 0.6f), *y = VEC(2, -1), *tx = VEC(1, 3), *ty = VEC(0.5f, 1);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *node = mx_power(&s, x, y), *t[] = {tx, ty}, *a[1] = {0}, *b[1] = {0};
  ok(mx_ops[OP_power].jvp(&s, node, &node, t, a));
  ok(jvp_derived(&s, node, &node, t, b));
  t[0] = NULL;
  mx_array *only_y[1] = {0};
  ok(jvp_derived(&s, node, &node, t, only_y));
  near(b[0], 0, item(a[0], 0));
  near(only_y[0], 0, 0.3 * 0.3 * log(0.3) * 0.5);
  ok(mx_scope_end(&s));
  mx_release(x), mx_release(y), mx_release(tx), mx_release(ty);
}

/* ---- vmap ---- */

/* out = vmap(f) over the given axes, one output. */
static int map(mx_closure *f, int n, mx_array *const *in, const int *axes, int out_axis, mx_list *res) {
  mx_list ti = {0}, to = {0};
  int rc = mx_vmap_trace(f, n, in, axes, &ti, &to);
  if (!rc) rc = mx_vmap_replace(n, in, ti.at, axes, to.n, to.at, &out_axis, res);
  mx_list_clear(&ti), mx_list_clear(&to);
  return rc;
}

static void vmap_of_a_gradient(void **state) {
  (void)state;
  mx_closure *f = closure(cube), *d = grad_of(f);
  mx_array *x = VEC(1, 2, 3);
  mx_list y = {0};
  ok(map(d, 1, &x, (int[]){0}, 0, &y));
  assert_int_equal(y.at[0]->ndim, 1);
  near(y.at[0], 2, 27);
  mx_list_clear(&y);
  mx_release(x);
  drop(d), drop(f);
}

static int call_map(void *f, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  return map(f, 1, in, (int[]){0}, 0, out);
}

static void gradient_of_a_vmap(void **state) {
  (void)state;
  mx_closure *f = closure(cube), *m = mx_closure_new(call_map, f, NULL);
  mx_array *x = VEC(1, 2, 3), *ones = VEC(1, 1, 1);
  mx_list v = {0}, g = {0};
  ok(mx_vjp(m, 1, &x, 1, &ones, &v, &g));
  near(g.at[0], 2, 27);
  near(v.at[0], 1, 8);
  mx_list_clear(&v), mx_list_clear(&g);
  mx_release(x), mx_release(ones);
  drop(m), drop(f);
}

static void vmap_says_what_is_wrong_with_its_axes(void **state) {
  (void)state;
  mx_closure *f = closure(mixture);
  mx_array *in[] = {VEC(1, 2, 3), VEC(1, 2)}, *x = scalar(1);
  mx_list y = {0};
  refused(map(f, 2, in, (int[]){0, 0}, 0, &y), MX_EVALUE, "[vmap] Inconsistent axis sizes: 3 and 2");
  refused(map(f, 2, in, (int[]){0, 3}, 0, &y), MX_EAXIS, "axis 3 for array with shape (2)");
  refused(map(f, 1, &x, (int[]){0}, 0, &y), MX_EAXIS, "with shape ()");
  refused(map(f, 2, in, (int[]){-1, -1}, 0, &y), MX_EVALUE, "[vmap]");
  refused(map(f, 2, (mx_array *[]){in[0], in[0]}, (int[]){0, 0}, 5, &y), MX_EAXIS, "[vmap]");
  mx_release(in[0]), mx_release(in[1]), mx_release(x);
  drop(f);
}

static mx_array *evaluates_its_argument(mx_scope *s, mx_array *const *in) {
  int rc = mx_eval(1, in);
  return rc ? mx_scope_error(s, rc) : in[0];
}

static void arguments_of_vmap_and_compile_have_no_value(void **state) {
  (void)state;
  mx_closure *f = closure(evaluates_its_argument), *c = mx_compile(f, 0, false, 0, NULL);
  mx_array *x = VEC(1, 2);
  mx_list y = {0};
  refused(map(f, 1, &x, (int[]){0}, 0, &y), MX_EVALUE, "[eval]");
  refused(mx_closure_call(c, 1, &x, &y), MX_EVALUE, "compile or vmap");
  mx_release(x);
  drop(c), drop(f);
}

/* ---- compile ---- */

static void compile_traces_once_a_signature(void **state) {
  (void)state;
  mx_closure *f = closure(cube), *c = mx_compile(f, 0, false, 0, NULL);
  mx_array *x = VEC(1, 2), *y = VEC(3, 4), *z = VEC(1, 2, 3);
  mx_list out = {0};
  calls = 0;
  ok(mx_closure_call(c, 1, &x, &out));
  ok(mx_closure_call(c, 1, &y, &out));
  assert_int_equal(calls, 1);
  near(out.at[0], 1, 8);
  near(out.at[1], 1, 64);
  ok(mx_closure_call(c, 1, &z, &out));
  assert_int_equal(calls, 2);
  ok(mx_closure_call(c, 1, &x, &out));
  assert_int_equal(calls, 2);
  mx_list_clear(&out);
  mx_release(x), mx_release(y), mx_release(z);
  drop(c), drop(f);
}

static void compiled_functions_share_a_trace_by_id_and_constants(void **state) {
  (void)state;
  mx_closure *f = closure(cube);
  mx_array *x = scalar(2);
  mx_list out = {0};
  calls = 0;
  for (int i = 0; i < 4; i++) {
    mx_closure *c = mx_compile(f, 77, false, 1, (uint64_t[]){i == 3});
    ok(mx_closure_call(c, 1, &x, &out));
    drop(c);
  }
  assert_int_equal(calls, 2);
  mx_compile_erase(77);
  mx_closure *c = mx_compile(f, 77, false, 1, (uint64_t[]){0});
  ok(mx_closure_call(c, 1, &x, &out));
  assert_int_equal(calls, 3);
  mx_compile_clear_cache();
  mx_set_compile_mode(MX_COMPILE_DISABLED);
  ok(mx_closure_call(c, 1, &x, &out));
  ok(mx_closure_call(c, 1, &x, &out));
  assert_int_equal(calls, 5);
  mx_set_compile_mode(MX_COMPILE_ENABLED);
  near(out.at[5], 0, 8);
  mx_list_clear(&out);
  mx_release(x);
  drop(c), drop(f);
}

static mx_array *wasteful(mx_scope *s, mx_array *const *in) {
  mx_array *a = mx_exp(s, in[0]), *b = mx_exp(s, in[0]);
  mx_sin(s, a);
  mx_array *half = mx_astype(s, mx_astype(s, mx_add(s, a, b), MX_F64), MX_F32);
  return mx_multiply(s, half, mx_scalar(s, MX_F32, 0.5));
}

static int graph_size(const mx_array *a) {
  int n = a->nin ? 1 : 0;
  for (int i = 0; i < a->nin; i++) n += graph_size(a->in[i]);
  return n;
}

static void compile_merges_and_drops(void **state) {
  (void)state;
  mx_closure *f = closure(wasteful), *c = mx_compile(f, 0, false, 0, NULL);
  mx_array *x = scalar(1);
  mx_list out = {0};
  ok(mx_closure_call(c, 1, &x, &out));
  assert_int_equal(graph_size(out.at[0]), 4); /* multiply, add, exp seen twice */
  assert_ptr_equal(out.at[0]->in[0]->in[0], out.at[0]->in[0]->in[1]);
  near(out.at[0], 0, exp(1));
  mx_list_clear(&out);
  mx_release(x);
  drop(c), drop(f);
}

static void gradient_of_compiled_and_compiled_gradient(void **state) {
  (void)state;
  mx_closure *f = closure(sin_exp), *c = mx_compile(f, 0, false, 0, NULL), *d = grad_of(f), *cd = mx_compile(d, 0, false, 0, NULL);
  mx_array *x = scalar(0.5f), *g = grad_at(c, x), *h = grad_at(cd, x);
  double e = exp(0.5);
  near(g, 0, e * cos(e));
  near(h, 0, e * cos(e) - e * e * sin(e));
  mx_list y = {0};
  mx_array *v = VEC(0.5f, 1);
  ok(map(cd, 1, &v, (int[]){0}, 0, &y));
  near(y.at[0], 0, e * cos(e));
  mx_list_clear(&y);
  mx_release(v), mx_release(g), mx_release(h), mx_release(x);
  drop(cd), drop(d), drop(c), drop(f);
}

static mx_array *row_sums(mx_scope *s, mx_array *const *in) { return mx_sum_axis(s, mx_exp(s, in[0]), -1, false); }
static mx_array *row_means(mx_scope *s, mx_array *const *in) { return mx_mean_axis(s, in[0], -1, false); }
static mx_array *flat(mx_scope *s, mx_array *const *in) { return mx_reshape(s, in[0], (int[]){(int)in[0]->size}, 1); }

static void a_shapeless_trace_serves_other_shapes_where_it_can(void **state) {
  (void)state;
  const struct { formula f; int calls; float second; } cases[] = {{row_sums, 1, 3}, {row_means, 2, 0}, {flat, 2, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mx_closure *f = closure(cases[i].f), *c = mx_compile(f, 0, true, 0, NULL);
    mx_array *x = mx_array_from_data(MX_F32, 2, (int32_t[]){1, 2}, (float[2]){0}), *v = VEC(0, 0);
    mx_array *y = mx_array_from_data(MX_F32, 2, (int32_t[]){2, 3}, (float[6]){0});
    mx_list out = {0};
    calls = 0;
    for (int k = 0; k < 2; k++) {
      ok(mx_closure_call(c, 1, &x, &out));
      ok(mx_closure_call(c, 1, &y, &out));
    }
    assert_int_equal(calls, cases[i].calls);
    near(out.at[3], 1, cases[i].second);
    ok(mx_closure_call(c, 1, &v, &out));
    assert_int_equal(calls, cases[i].calls + 1); /* another number of dimensions */
    mx_list_clear(&out);
    mx_release(x), mx_release(y), mx_release(v);
    drop(c), drop(f);
  }
}

static mx_array *captured;
static mx_array *with_captured(mx_scope *s, mx_array *const *in) { return mx_multiply(s, in[0], captured); }

static void what_a_compiled_function_captures(void **state) {
  (void)state;
  mx_closure *f = closure(with_captured), *c = mx_compile(f, 0, false, 0, NULL);
  mx_array *x = scalar(2);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_list out = {0};
  captured = mx_exp(&s, x); /* not evaluated, but nothing to do with the argument */
  mx_array *z = scalar(3);
  ok(mx_closure_call(c, 1, &z, &out));
  near(out.at[0], 0, 3 * exp(2));
  mx_compile_clear_cache();
  mx_array *arg = mx_exp(&s, x);
  captured = mx_square(&s, arg);
  refused(mx_closure_call(c, 1, &arg, &out), MX_EVALUE, "[compile]");
  mx_list_clear(&out);
  mx_release(x), mx_release(z);
  ok(mx_scope_end(&s));
  drop(c), drop(f);
}

/* A compiled function that captures the tracer around it. */
static mx_closure *captures;
static int call_capturing(void *payload, int n, mx_array *const *in, mx_list *out) {
  (void)payload;
  captured = in[0];
  return mx_closure_call(captures, n, in, out);
}

static void a_captured_tracer_keeps_its_gradient_and_is_not_kept(void **state) {
  (void)state;
  mx_closure *f = closure(with_captured), *g = mx_closure_new(call_capturing, NULL, NULL);
  captures = mx_compile(f, 0, false, 0, NULL);
  mx_array *x = scalar(3), *v = VEC(2, 5);
  for (int i = 0; i < 2; i++) {
    mx_array *d = grad_at(g, x);
    near(d, 0, 6);
    mx_release(d);
  }
  mx_list y = {0};
  for (int i = 0; i < 2; i++) ok(map(g, 1, &v, (int[]){0}, 0, &y));
  near(y.at[1], 1, 25);
  mx_list_clear(&y);
  mx_release(x), mx_release(v);
  drop(captures), drop(g), drop(f);
}

/* ---- checkpoint and custom functions ---- */

static mx_array *scaled_sin(mx_scope *s, mx_array *const *in) { return mx_sin(s, mx_multiply(s, captured, mx_exp(s, in[0]))); }
static mx_closure *inner;
static int checkpointed_with_captured(void *payload, int n, mx_array *const *in, mx_list *out) {
  (void)payload, (void)n;
  captured = in[1];
  return mx_closure_call(inner, 1, in, out);
}

static void checkpoint_gives_the_same_gradients(void **state) {
  (void)state;
  mx_closure *f = closure(scaled_sin), *g = mx_closure_new(checkpointed_with_captured, NULL, NULL);
  inner = mx_checkpoint(f);
  mx_array *in[] = {scalar(0.5f), scalar(2)};
  mx_list v = {0}, d = {0};
  calls = 0;
  ok(mx_value_and_grad(g, 2, (int[]){0, 1}, 2, in, &v, &d));
  assert_int_equal(calls, 1);
  double e = exp(0.5);
  near(v.at[0], 0, sin(2 * e));
  near(d.at[0], 0, 2 * e * cos(2 * e));
  near(d.at[1], 0, e * cos(2 * e)); /* what it captured counts too */
  mx_list_clear(&v), mx_list_clear(&d);
  mx_closure *d1 = grad_of(g);
  ok(mx_value_and_grad(d1, 1, (int[]){0}, 2, in, &v, &d));
  near(d.at[0], 0, 2 * e * cos(2 * e) - 4 * e * e * sin(2 * e));
  mx_list_clear(&v), mx_list_clear(&d);
  mx_release(in[0]), mx_release(in[1]);
  drop(d1), drop(inner), drop(g), drop(f);
}

/* A gradient that is not the true one, to be recognised. */
static int seven_times(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *outputs,
                       const bool *want, mx_list *res) {
  (void)payload, (void)np, (void)nc, (void)no, (void)outputs, (void)want;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *g = mx_multiply(&s, mx_multiply(&s, cot[0], primals[0]), mx_scalar(&s, MX_F32, 7));
  int rc = g ? mx_list_push(res, g) : s.rc, end = mx_scope_end(&s);
  return rc ? rc : end;
}
static int hundred(void *payload, int np, mx_array *const *primals, int nt, mx_array *const *tan, const int *argnums, mx_list *res) {
  (void)payload, (void)np, (void)primals, (void)nt;
  assert_int_equal(argnums[0], 0);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *t = mx_multiply(&s, tan[0], mx_scalar(&s, MX_F32, 100));
  int rc = t ? mx_list_push(res, t) : s.rc, end = mx_scope_end(&s);
  return rc ? rc : end;
}
static int payloads_freed;
static void count_free(void *p) {
  (void)p;
  payloads_freed++;
}

static void custom_rules_are_used(void **state) {
  (void)state;
  mx_closure *f = closure(cube);
  payloads_freed = 0;
  mx_closure *c = mx_custom_function(f, &(mx_custom_rules){.vjp = seven_times, .jvp = hundred, .dtor = count_free});
  mx_array *x = scalar(2), *g = grad_at(c, x), *one = scalar(1);
  near(g, 0, 14);
  mx_list v = {0}, t = {0};
  ok(mx_jvp(c, 1, &x, 1, &one, &v, &t));
  near(v.at[0], 0, 8);
  near(t.at[0], 0, 100);
  mx_list_clear(&v), mx_list_clear(&t);
  mx_closure *d = grad_of(c);
  mx_array *h = grad_at(d, x); /* of the rule */
  near(h, 0, 7);
  mx_array *vx = VEC(1, 2);
  ok(map(d, 1, &vx, (int[]){0}, 0, &v));
  near(v.at[0], 1, 14);
  mx_list_clear(&v);
  mx_release(vx), mx_release(h), mx_release(g), mx_release(one), mx_release(x);
  drop(d), drop(c);
  assert_int_equal(payloads_freed, 1);
  drop(f);
}

static void custom_rules_survive_a_vmap(void **state) {
  (void)state;
  mx_closure *f = closure(cube);
  mx_closure *c = mx_custom_function(f, &(mx_custom_rules){.vjp = seven_times, .jvp = hundred});
  mx_closure *m = mx_closure_new(call_map, c, NULL);
  mx_array *x = VEC(1, 2, 3), *ones = VEC(1, 1, 1);
  mx_list v = {0}, g = {0};
  ok(mx_vjp(m, 1, &x, 1, &ones, &v, &g));
  near(v.at[0], 2, 27);
  near(g.at[0], 2, 21);
  mx_list_clear(&v), mx_list_clear(&g);
  ok(mx_jvp(m, 1, &x, 1, &x, &v, &g));
  near(g.at[0], 2, 300);
  mx_list_clear(&v), mx_list_clear(&g);
  mx_release(x), mx_release(ones);
  drop(m), drop(c), drop(f);
}

static int gives_nothing(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *outputs,
                         const bool *want, mx_list *res) {
  (void)payload, (void)np, (void)primals, (void)nc, (void)cot, (void)no, (void)outputs, (void)want, (void)res;
  return 0;
}

static void a_rule_that_gives_too_little_is_an_error(void **state) {
  (void)state;
  mx_closure *f = closure(cube), *c = mx_custom_function(f, &(mx_custom_rules){.vjp = gives_nothing});
  mx_array *x = scalar(2);
  mx_list v = {0}, g = {0};
  refused(mx_value_and_grad(c, 1, (int[]){0}, 1, &x, &v, &g), MX_EVALUE, "[custom_function]");
  mx_release(x);
  drop(c), drop(f);
}

/* ---- size ---- */

enum { MILLION = 1000000 };
static int steps;
static mx_array *million_steps(mx_scope *s, mx_array *const *in) {
  mx_array *y = mx_retain(in[0]);
  for (int i = 0; i < steps && y; i++) {
    mx_scope step;
    mx_scope_begin(&step, s->stream);
    mx_array *z = mx_add(&step, y, in[0]);
    mx_set(&y, mx_retain(z));
    if (mx_scope_end(&step)) return mx_scope_error(s, step.rc);
  }
  return mx_own(s, y);
}

static void *million(void *unused) {
  steps = MILLION;
  mx_closure *f = closure(million_steps), *c = mx_compile(f, 0, false, 0, NULL);
  mx_array *x = scalar(1), *g = grad_at(f, x), *v = VEC(1, 2);
  near(g, 0, MILLION + 1);
  steps = MILLION / 4;
  mx_list y = {0};
  ok(mx_closure_call(c, 1, &x, &y));
  near(y.at[0], 0, steps + 1);
  mx_list_clear(&y);
  mx_compile_clear_cache();
  ok(map(f, 1, &v, (int[]){0}, 0, &y));
  near(y.at[0], 1, 2 * (steps + 1));
  mx_list_clear(&y);
  mx_release(x), mx_release(g), mx_release(v);
  drop(c), drop(f);
  return unused;
}

static void a_million_nodes_need_no_stack(void **state) {
  (void)state;
  pthread_attr_t attr;
  pthread_t t;
  pthread_attr_init(&attr);
  assert_int_equal(pthread_attr_setstacksize(&attr, 256 * 1024), 0);
  assert_int_equal(pthread_create(&t, &attr, million, NULL), 0);
  pthread_join(t, NULL);
  pthread_attr_destroy(&attr);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_of_a_cube),
      cmocka_unit_test(gradient_of_gradient_of_gradient),
      cmocka_unit_test(an_input_without_effect_has_a_zero_gradient),
      cmocka_unit_test(only_the_arguments_asked_for_are_differentiated),
      cmocka_unit_test(cotangents_must_fit_the_outputs),
      cmocka_unit_test(a_failing_closure_stops_every_transform),
      cmocka_unit_test(values_may_be_looked_at_while_a_gradient_is_traced),
      cmocka_unit_test(jvp_agrees_with_finite_differences_and_with_vjp),
      cmocka_unit_test(forward_over_reverse_and_reverse_over_forward),
      cmocka_unit_test(a_jvp_derived_from_the_vjp_is_the_same),
      cmocka_unit_test(vmap_of_a_gradient),
      cmocka_unit_test(gradient_of_a_vmap),
      cmocka_unit_test(vmap_says_what_is_wrong_with_its_axes),
      cmocka_unit_test(arguments_of_vmap_and_compile_have_no_value),
      cmocka_unit_test(compile_traces_once_a_signature),
      cmocka_unit_test(compiled_functions_share_a_trace_by_id_and_constants),
      cmocka_unit_test(compile_merges_and_drops),
      cmocka_unit_test(gradient_of_compiled_and_compiled_gradient),
      cmocka_unit_test(a_shapeless_trace_serves_other_shapes_where_it_can),
      cmocka_unit_test(what_a_compiled_function_captures),
      cmocka_unit_test(a_captured_tracer_keeps_its_gradient_and_is_not_kept),
      cmocka_unit_test(checkpoint_gives_the_same_gradients),
      cmocka_unit_test(custom_rules_are_used),
      cmocka_unit_test(custom_rules_survive_a_vmap),
      cmocka_unit_test(a_rule_that_gives_too_little_is_an_error),
      cmocka_unit_test(a_million_nodes_need_no_stack),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
