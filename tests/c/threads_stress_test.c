/* Graphs built, transformed, compiled and evaluated by eight threads at once, over shared arrays and functions. Worth running in a build
 * with CMLX_SANITIZE=thread. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "transforms/transforms.h"

enum { THREADS = 8, ROUNDS = 60, LAPS = 5, N = 64 };

/* ---- functions ---- */

typedef mx_array *(*formula)(mx_scope *s, mx_array *const *in);

static int call_formula(void *f, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *y = ((formula)f)(&s, in);
  int rc = y ? mx_list_push(out, y) : s.rc, end = mx_scope_end(&s);
  return rc ? rc : end;
}

static mx_array *weighted(mx_scope *s, mx_array *const *in) {
  return mx_sum(s, mx_multiply(s, mx_sin(s, in[0]), mx_add(s, in[1], mx_exp(s, in[0]))), false);
}
static mx_array *square(mx_scope *s, mx_array *const *in) { return mx_multiply(s, in[0], in[0]); }

/* ---- what is shared ---- */

static struct {
  mx_array *leaf;           /* evaluated */
  mx_array *lazy[ROUNDS];   /* not yet, each over the one before: threads race to evaluate them */
  mx_closure *plain, *compiled, *shapeless;
  _Atomic int wrong;
} shared;

static float first(mx_array *a) { return mx_eval(1, &a) ? NAN : ((const float *)a->data)[0]; }
static void expect(float got, double want) {
  if (!(fabs((double)got - want) <= 1e-4 * (1 + fabs(want)))) shared.wrong++;
}

static double weighted_at(double x, double w) { return N * sin(x) * (w + exp(x)); }
static double slope_at(double x, double w) { return cos(x) * (w + exp(x)) + sin(x) * exp(x); }

static void gradients(mx_array *x, mx_closure *f, double at) {
  mx_list values = {0}, grads = {0};
  if (mx_value_and_grad(f, 1, (int[]){0}, 2, (mx_array *[]){x, shared.leaf}, &values, &grads)) shared.wrong++;
  else {
    expect(first(grads.at[0]), slope_at(at, 0.5));
    expect(first(values.at[0]), weighted_at(at, 0.5));
  }
  mx_list_clear(&values);
  mx_list_clear(&grads);
}

static void batches(mx_array *x, double at) {
  mx_closure f = {.base = {.refs = 1}, .call = call_formula, .payload = (void *)square};
  mx_list in = {0}, traced = {0}, out = {0};
  int axis = 0;
  if (mx_vmap_trace(&f, 1, &x, &axis, &in, &traced) || mx_vmap_replace(1, &x, in.at, &axis, 1, traced.at, &axis, &out)) shared.wrong++;
  else expect(first(out.at[0]), at * at);
  mx_list_clear(&in);
  mx_list_clear(&traced);
  mx_list_clear(&out);
}

static void pullbacks(mx_array *x, double at) {
  mx_list outputs = {0}, grads = {0};
  mx_closure *pull = NULL;
  if (mx_vjp_function(shared.plain, 2, (mx_array *[]){x, shared.leaf}, &outputs, &pull)) shared.wrong++;
  else {
    mx_array *one = mx_array_float(MX_F32, 1);
    if (mx_closure_call(pull, 1, &one, &grads)) shared.wrong++;
    else expect(first(grads.at[0]), slope_at(at, 0.5));
    mx_release(one);
    mx_object_release(&pull->base);
  }
  mx_list_clear(&outputs);
  mx_list_clear(&grads);
}

/* Values of a trace that is still open are evaluated by this thread and, below, by others. */
static int traced_eval(void *unused, int n, mx_array *const *in, mx_list *out) {
  (void)unused, (void)n;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *y = mx_exp(&s, mx_multiply(&s, in[0], shared.leaf)), *z = y;
  int rc = y ? mx_async_eval(1, &z) : s.rc;
  mx_array *r = rc ? NULL : mx_sum(&s, mx_multiply(&s, y, y), false);
  if (!rc) rc = r ? mx_list_push(out, r) : s.rc;
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

static void open_traces(mx_array *x, double at) {
  mx_closure f = {.base = {.refs = 1}, .call = traced_eval};
  mx_list values = {0}, grads = {0};
  if (mx_value_and_grad(&f, 1, (int[]){0}, 1, &x, &values, &grads)) shared.wrong++;
  else expect(first(grads.at[0]), exp(at));
  mx_list_clear(&values);
  mx_list_clear(&grads);
}

static void calls(mx_closure *f, mx_array *x, double at) {
  mx_list out = {0};
  if (mx_closure_call(f, 2, (mx_array *[]){x, shared.leaf}, &out)) shared.wrong++;
  else expect(first(out.at[0]), weighted_at(at, 0.5));
  mx_list_clear(&out);
}

static void *work(void *number) {
  int me = (int)(intptr_t)number;
  for (int i = 0; i < ROUNDS; i++) {
    mx_array *x = shared.lazy[(i + me) % ROUNDS];
    double at = 0.25 + 0.01 * ((i + me) % ROUNDS);
    switch ((i + me) % 8) {
      case 0: gradients(x, shared.plain, at); break;
      case 1: gradients(x, shared.compiled, at); break;
      case 2: calls(shared.compiled, x, at); break;
      case 3: calls(shared.shapeless, x, at); break;
      case 4: batches(x, at); break;
      case 5: pullbacks(x, at); break;
      case 6: open_traces(x, at); break;
      default:
        if (mx_async_eval(1, &x)) shared.wrong++;
        expect(first(x), at);
    }
    if (i % 16 == 15) mx_compile_clear_cache();
  }
  return NULL;
}

static void share(void) {
  const int32_t shape[] = {N};
  shared.plain = mx_closure_new(call_formula, (void *)weighted, NULL);
  shared.compiled = mx_compile(shared.plain, 0, false, 0, NULL);
  shared.shapeless = mx_compile(shared.plain, 0, true, 0, NULL);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  shared.leaf = mx_array_empty(MX_F32, 1, shape);
  for (int k = 0; k < N; k++) ((float *)shared.leaf->data)[k] = 0.5f;
  mx_array *x = mx_multiply(&s, shared.leaf, mx_scalar(&s, MX_F32, 0.5));
  for (int i = 0; i < ROUNDS; i++) {
    shared.lazy[i] = mx_retain(x);
    x = mx_add(&s, x, mx_scalar(&s, MX_F32, 0.01));
  }
  assert_int_equal(mx_scope_end(&s), 0);
}

static void drop(void) {
  for (int i = 0; i < ROUNDS; i++) mx_release(shared.lazy[i]);
  mx_release(shared.leaf);
  mx_object_release(&shared.plain->base);
  mx_object_release(&shared.compiled->base);
  mx_object_release(&shared.shapeless->base);
}

static void all_at_once(void **state) {
  (void)state;
  for (int lap = 0; lap < LAPS; lap++) {
    share();
    pthread_t t[THREADS];
    for (intptr_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    assert_int_equal(shared.wrong, 0);
    drop();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_at_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
