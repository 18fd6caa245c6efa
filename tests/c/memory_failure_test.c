/* Each piece of work is done with the first, the second, … allocation failing, until one run needs no more: every failure is an
 * error that says so, nothing leaks, and the work can be done afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/alloc.h"
#include "core/buffer.h"
#include "graph/graph.h"
#include "nn/layers.h"
#include "optim/optimizer.h"
#include "runtime/runtime.h"
#include "transforms/transforms.h"

enum { MOST = 20000 };

static mx_array *numbers(mx_scope *s, int rows, int cols) {
  mx_array *x = mx_arange(s, 0, rows * cols, 1, MX_F32);
  return mx_reshape(s, mx_multiply(s, x, mx_scalar(s, MX_F32, 0.01)), (int[]){rows, cols}, 2);
}

/* Evaluates and lets go: 0, or the kind of the first error. */
static int finish(mx_scope *s, int n, mx_array *const *out) {
  if (!s->rc) {
    int rc = mx_eval(n, out);
    if (rc) mx_scope_error(s, rc);
  }
  return mx_scope_end(s);
}

static int arithmetic(void) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *x = numbers(&s, 40, 50), *y = mx_exp(&s, mx_add(&s, x, mx_ones_like(&s, x)));
  return finish(&s, 2, (mx_array *[]){mx_sum_axes(&s, mx_multiply(&s, y, x), (int[]){0}, 1, false), y});
}

static int products(void) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *x = numbers(&s, 30, 40), *p = mx_matmul(&s, x, mx_transpose_axes(&s, x, (int[]){1, 0}, 2));
  return finish(&s, 2, (mx_array *[]){mx_softmax_axis(&s, p, 1, false), mx_sort_axis(&s, p, 0)});
}

static int indexing(void) {
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *x = numbers(&s, 8, 9), *i = mx_astype(&s, mx_arange(&s, 0, 4, 1, MX_F32), MX_I32);
  mx_array *t = mx_take_axis(&s, x, i, 0), *pair[] = {t, x};
  return finish(&s, 1, (mx_array *[]){mx_concatenate_axis(&s, 2, pair, 0)});
}

/* f(x, w) = sum(exp(x w)) */
static int model(void *payload, int nin, mx_array *const *in, mx_list *out) {
  (void)payload, (void)nin;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *loss = mx_sum(&s, mx_exp(&s, mx_matmul(&s, in[0], in[1])), false);
  if (loss) {
    int rc = mx_list_push(out, loss);
    if (rc) mx_scope_error(&s, rc);
  }
  return mx_scope_end(&s);
}

static int transformed(int which) {
  mx_scope s;
  mx_list values = {0}, grads = {0};
  mx_scope_begin(&s, mx_default_stream());
  mx_array *in[] = {numbers(&s, 5, 6), numbers(&s, 6, 4)};
  mx_closure *f = mx_closure_new(model, NULL, NULL), *g = f && which == 1 ? mx_compile(f, 0, false, 0, NULL) : NULL;
  int rc = s.rc ? s.rc : (!f || (which == 1 && !g)) ? mx_error_kind() : 0;
  if (!rc && which == 0) rc = mx_value_and_grad(f, 2, (int[]){0, 1}, 2, in, &values, &grads);
  if (!rc && which == 1) rc = mx_closure_call(g, 2, in, &values);
  if (!rc && which == 2) rc = mx_vmap_trace(f, 2, (mx_array *[]){in[1], in[0]}, (int[]){-1, -1}, &grads, &values);
  if (!rc && which == 3) {
    mx_list inner = {0};
    rc = mx_jvp(f, 2, in, 2, in, &values, &inner);
    mx_list_clear(&inner);
  }
  if (which == 2) rc = rc == MX_EVALUE || !rc ? 0 : rc; /* (6,4) by (5,6) does not fit: an error of another kind is right */
  else if (!rc) rc = mx_eval(values.n, values.at);
  if (!rc && which == 0) rc = mx_eval(grads.n, grads.at);
  mx_list_clear(&values);
  mx_list_clear(&grads);
  if (f) mx_object_release(&f->base);
  if (g) mx_object_release(&g->base);
  int ended = mx_scope_end(&s);
  return rc ? rc : ended;
}
static int gradients(void) { return transformed(0); }
static int compiled(void) { return transformed(1); }
static int wrong_shapes(void) { return transformed(2); }
static int tangents(void) { return transformed(3); }

/* Two steps of AdamW with a schedule, its state read and put back. */
static int listed(void *to, const char *name, mx_array **place) {
  (void)name;
  return mx_list_push(to, *place);
}

static int steps(mx_optimizer *o, mx_closure *schedule, mx_list *state) {
  mx_scope s;
  mx_list out = {0};
  mx_scope_begin(&s, mx_default_stream());
  mx_array *p[] = {numbers(&s, 5, 6), numbers(&s, 6, 4)};
  const char *names[] = {"a.weight", "b.0.weight"};
  int rc = s.rc ? s.rc : mx_optimizer_set_schedule(o, schedule);
  if (!rc) rc = mx_optimizer_apply(o, mx_default_stream(), 2, names, p, p, &out);
  if (!rc) rc = mx_optimizer_apply(o, mx_default_stream(), 2, names, p, out.at, &out);
  if (!rc) rc = mx_optimizer_walk(o, listed, state);
  if (!rc) rc = mx_optimizer_set_state(o, 1, (const char *[]){"a.weight.m"}, state->at + 2);
  if (!rc) rc = mx_eval(out.n, out.at);
  mx_list_clear(&out);
  int ended = mx_scope_end(&s);
  return rc ? rc : ended;
}

static int optimizers(void) {
  mx_list state = {0};
  mx_optimizer_settings set = {.beta_1 = 0.9, .beta_2 = 0.99, .eps = 1e-8, .weight_decay = 0.1, .bias_correction = true};
  mx_optimizer *o = mx_optimizer_new(&mx_adam, &set, 0.1);
  mx_closure *line = o ? mx_schedule_linear(0, 1, 3) : NULL, *two[] = {line, line};
  mx_closure *schedule = line ? mx_schedule_join(2, two, (int[]){2}) : NULL;
  int rc = schedule ? steps(o, schedule, &state) : mx_error_kind();
  mx_list_clear(&state);
  mx_optimizer_release(o);
  if (line) mx_object_release(&line->base);
  if (schedule) mx_object_release(&schedule->base);
  return rc;
}

/* A model made, called, differentiated, quantized and printed. */
static int square_sum(void *payload, int nin, mx_array *const *in, mx_list *out) {
  mx_list y = {0};
  int rc = mx_module_call(payload, nin, in, &y);
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *loss = rc ? NULL : mx_sum(&s, mx_square(&s, y.at[0]), false);
  if (loss) rc = mx_list_push(out, loss);
  mx_list_clear(&y);
  int ended = mx_scope_end(&s);
  return rc ? rc : ended;
}

static int with_module(mx_module *m) {
  mx_list values = {0}, grads = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *x = numbers(&s, 4, 32);
  mx_closure *f = mx_closure_new(square_sum, m, NULL);
  int rc = s.rc ? s.rc : f ? mx_module_value_and_grad(m, f, 1, &x, &values, &grads) : mx_error_kind();
  if (!rc) rc = mx_eval(grads.n, grads.at);
  if (!rc) rc = mx_module_freeze(m, true, true, (const char *[]){"bias"}, 1, true);
  if (!rc) rc = mx_module_quantize(m, 32, 8, "affine", NULL, NULL);
  char *text = rc ? NULL : mx_module_summary(m);
  if (!rc && !text) rc = mx_error_kind();
  mx_free(text);
  if (f) mx_object_release(&f->base);
  mx_list_clear(&values);
  mx_list_clear(&grads);
  int ended = mx_scope_end(&s);
  return rc ? rc : ended;
}

static int modules(void) {
  mx_module *made[] = {mx_linear_layer(32, 32, true), mx_batch_norm_layer(32, 1e-5, 0.1, true, true), NULL};
  mx_module *inner = made[0] && made[1] ? mx_linear_layer(32, 32, true) : NULL;
  made[2] = inner ? mx_weight_norm_layer(inner, 0) : NULL;
  mx_module *m = made[2] ? mx_sequential_layer(3, made) : NULL;
  int rc = m ? with_module(m) : mx_error_kind();
  for (int i = 0; i < 3; i++) mx_module_release(made[i]);
  mx_module_release(inner);
  mx_module_release(m);
  return rc;
}

static void walk(int (*work)(void)) {
  assert_int_equal(work(), 0);
  mx_memory_clear_cache();
  size_t active = mx_memory_active();
  for (int n = 0; n < MOST; n++) {
    mx_error_clear();
    mx_clear_plans();
    mx_alloc_fail_after(n);
    int rc = work();
    mx_alloc_fail_after(-1);
    if (!rc) {
      assert_true(n > 0);
      assert_int_equal(mx_memory_active(), active);
      assert_int_equal(work(), 0);
      return;
    }
    if (rc != MX_EMEMORY) print_error("allocation %d: kind %d, %s\n", n, rc, mx_error_message());
    assert_int_equal(rc, MX_EMEMORY);
    assert_int_equal(mx_memory_active(), active);
  }
  fail_msg("still failing after %d allocations", MOST);
}

#define WALK(work) \
  static void work##_survives(void **state) { (void)state; walk(work); }
WALK(arithmetic)
WALK(products)
WALK(indexing)
WALK(gradients)
WALK(compiled)
WALK(wrong_shapes)
WALK(tangents)
WALK(optimizers)
WALK(modules)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arithmetic_survives), cmocka_unit_test(products_survives), cmocka_unit_test(indexing_survives),
      cmocka_unit_test(gradients_survives),  cmocka_unit_test(compiled_survives), cmocka_unit_test(wrong_shapes_survives),
      cmocka_unit_test(tangents_survives),  cmocka_unit_test(optimizers_survives), cmocka_unit_test(modules_survives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
