/* runtime/: plans, donation, lifetimes, errors that stay, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "core/parallel.h"
#include "graph/graph.h"
#include "runtime/queue.h"
#include "runtime/runtime.h"

#define F(a) ((const float *)(a)->data)

static mx_array *vector(mx_scope *s, int32_t n, float first) {
  mx_array *a = mx_array_empty(MX_F32, 1, &n);
  for (int i = 0; a && i < n; i++) ((float *)a->data)[i] = first + (float)i;
  return mx_own(s, a);
}

static mx_plan_stats stats(void) {
  mx_plan_stats st;
  mx_get_plan_stats(&st);
  return st;
}

static void held_intermediates_do_not_change_the_numbers(void **state) {
  (void)state;
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_array *x = vector(&s, 1000, -3), *half = mx_scalar(&s, MX_F32, 0.3);
  mx_array *y = mx_retain(mx_exp(&s, mx_multiply(&s, mx_sin(&s, x), half)));
  mx_array *t1 = mx_sin(&s, x), *t2 = mx_multiply(&s, t1, half), *z = mx_exp(&s, t2);
  assert_int_equal(mx_eval(1, &y), 0);
  assert_int_equal(mx_eval(3, (mx_array *[]){t1, t2, z}), 0);
  assert_memory_equal(y->data, z->data, 4000);
  mx_release(y);
  assert_int_equal(mx_scope_end(&s), 0);
}

static mx_array *chain(mx_array *x, int n) { /* takes x */
  mx_array *one = mx_array_float(MX_F32, 1);
  for (int i = 0; x && i < n; i++) {
    mx_scope s;
    mx_scope_begin(&s, 0);
    mx_array *y = mx_retain(mx_add(&s, x, one));
    mx_scope_end(&s);
    mx_set(&x, y);
  }
  mx_release(one);
  return x;
}

static void *million(void *ok) {
  float zero = 0;
  mx_array *x = chain(mx_array_scalar(MX_F32, &zero), 1000000);
  *(bool *)ok = mx_eval(1, &x) == 0 && F(x)[0] == 1000000;
  mx_release(x);
  mx_release(chain(mx_array_scalar(MX_F32, &zero), 1000000)); /* freed without being evaluated */
  return NULL;
}

static void a_million_nodes_need_no_stack(void **state) {
  (void)state;
  bool ok = false;
  pthread_attr_t attr;
  pthread_t t;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 256 * 1024);
  assert_int_equal(pthread_create(&t, &attr, million, &ok), 0);
  pthread_join(t, NULL);
  pthread_attr_destroy(&attr);
  assert_true(ok);
}

static void the_same_pattern_is_planned_once(void **state) {
  (void)state;
  uint64_t made = 0;
  for (int32_t n = 2; n < 300; n++) {
    mx_scope s;
    mx_scope_begin(&s, 0);
    mx_array *y = mx_multiply(&s, mx_add(&s, vector(&s, n, 0), mx_scalar(&s, MX_F32, n)), vector(&s, n, 1));
    assert_int_equal(mx_eval(1, &y), 0);
    assert_true(F(y)[1] == (float)((1 + n) * 2));
    mx_scope_end(&s);
    if (n == 2) made = stats().plans_made;
  }
  assert_int_equal(stats().plans_made, made);
}

static mx_array *random_like(mx_scope *s, int heads, int length, int width, uint64_t seed) {
  int shape[4] = {1, heads, length, width};
  return mx_random_normal(s, shape, 4, MX_F32, 0, 1, mx_random_key(s, seed));
}

/* One token of attention over a cache that grew by one: out = softmax(q k^T / 8) v, through a gate and a norm. */
static mx_array *decode_step(mx_scope *s, mx_array **k, mx_array **v, uint64_t i) {
  enum { HEADS = 8, WIDTH = 64 };
  mx_array *fresh_k = random_like(s, HEADS, 1, WIDTH, 3 * i), *fresh_v = random_like(s, HEADS, 1, WIDTH, 3 * i + 1);
  mx_array *q = random_like(s, HEADS, 1, WIDTH, 3 * i + 2);
  mx_array *keys = mx_concatenate_axis(s, 2, (mx_array *[]){*k, fresh_k}, 2);
  mx_array *values = mx_concatenate_axis(s, 2, (mx_array *[]){*v, fresh_v}, 2);
  mx_array *scores = mx_multiply(s, mx_matmul(s, q, mx_swapaxes(s, keys, -1, -2)), mx_scalar(s, MX_F32, 0.125));
  mx_array *out = mx_matmul(s, mx_softmax_axis(s, scores, -1, true), values);
  out = mx_fast_rms_norm(s, mx_multiply(s, out, mx_sigmoid(s, out)), NULL, 1e-5f);
  mx_set(k, mx_retain(keys));
  mx_set(v, mx_retain(values));
  return out;
}

static void a_growing_cache_makes_at_most_three_plans(void **state) {
  (void)state;
  mx_clear_plans();
  uint64_t before = stats().plans_made;
  mx_array *k = mx_array_empty(MX_F32, 4, (int32_t[]){1, 8, 0, 64}), *v = mx_array_empty(MX_F32, 4, (int32_t[]){1, 8, 0, 64});
  for (uint64_t i = 0; i < 200; i++) {
    mx_scope s;
    mx_scope_begin(&s, 0);
    mx_array *out = decode_step(&s, &k, &v, i);
    assert_int_equal(mx_eval(3, (mx_array *[]){out, k, v}), 0);
    assert_int_equal(mx_scope_end(&s), 0);
  }
  assert_int_equal(k->shape[2], 200);
  assert_in_range(stats().plans_made - before, 1, 3);
  mx_release(k);
  mx_release(v);
}

static void many_shapes_leave_memory_flat(void **state) {
  (void)state;
  size_t at_half = 0;
  for (int32_t n = 1; n <= 10000; n++) {
    mx_scope s;
    mx_scope_begin(&s, 0);
    mx_array *y = mx_exp(&s, vector(&s, 1 + (n * 7919) % 10007, 0));
    assert_int_equal(mx_eval(1, &y), 0);
    mx_scope_end(&s);
    if (n == 5000) at_half = mx_memory_cached() + mx_memory_active() + stats().cache_bytes;
  }
  assert_true(mx_memory_cached() + mx_memory_active() + stats().cache_bytes <= at_half + 65536);
}

static void a_dying_input_gives_its_memory(void **state) {
  (void)state;
  int32_t n = 100000;
  mx_array *x = mx_array_empty(MX_F32, 1, &n);
  memset(x->data, 0, (size_t)n * 4);
  void *memory = x->data;
  mx_array *y = chain(x, 3); /* x is held by the graph alone */
  assert_int_equal(mx_eval(1, &y), 0);
  assert_ptr_equal(y->data, memory);
  mx_array *z = chain(mx_retain(y), 1);
  assert_int_equal(mx_eval(1, &z), 0);
  assert_ptr_not_equal(z->data, memory); /* y is still held */
  assert_true(F(y)[5] == 3 && F(z)[5] == 4);
  mx_release(y);
  mx_release(z);
}

static void an_error_stays_with_its_value(void **state) {
  (void)state;
  mx_scope s;
  mx_scope_begin(&s, 0);
  int32_t far = 9;
  mx_array *at = mx_own(&s, mx_array_from_data(MX_I32, 1, (int32_t[]){1}, &far));
  mx_array *bad = mx_take_axis(&s, vector(&s, 5, 0), at, 0), *more = mx_exp(&s, bad);
  assert_int_equal(s.rc, 0);
  assert_int_equal(mx_eval(1, &more), MX_EINDEX);
  mx_error_clear();
  assert_int_equal(mx_eval(1, &bad), MX_EINDEX);
  assert_non_null(strstr(mx_error_message(), "9"));
  assert_int_equal(mx_eval(1, &more), MX_EINDEX);
  mx_array *later = mx_add(&s, more, more);
  assert_int_equal(mx_eval(1, &later), MX_EINDEX);
  mx_scope_end(&s);
}

static void placeholders_cannot_be_evaluated(void **state) {
  (void)state;
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_array *y = mx_exp(&s, mx_placeholder(&s, MX_F32, 0, NULL));
  assert_int_equal(mx_eval(1, &y), MX_EVALUE);
  assert_non_null(strstr(mx_error_message(), "[eval]"));
  mx_scope_end(&s);
}

static void async_work_is_waited_for(void **state) {
  (void)state;
  mx_stream side;
  assert_int_equal(mx_stream_new(&side, (mx_device){MX_CPU, 0}), 0);
  mx_scope s;
  mx_scope_begin(&s, side);
  mx_array *y = mx_exp(&s, vector(&s, 1 << 20, 0));
  assert_int_equal(mx_async_eval(1, &y), 0);
  s.stream = 0;
  mx_array *z = mx_multiply(&s, y, y); /* another stream reads it */
  assert_int_equal(mx_eval(1, &z), 0);
  assert_true(F(z)[0] == 1);
  assert_int_equal(mx_synchronize(side), 0);
  assert_true(mx_is_available(y));
  mx_scope_end(&s);
}

static void wait_at(void *lock) {
  pthread_mutex_lock(lock);
  pthread_mutex_unlock(lock);
}

/* Planned as held, then dropped before the worker comes to it: both are results of one program, one made from the other. */
static void a_result_may_be_dropped_while_it_waits_to_be_computed(void **state) {
  (void)state;
  pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
  mx_stream side;
  assert_int_equal(mx_stream_new(&side, (mx_device){MX_CPU, 0}), 0);
  mx_scope s;
  mx_scope_begin(&s, side);
  mx_array *x = mx_retain(vector(&s, 1000, 0));
  mx_array *e = mx_retain(mx_exp(&s, mx_negative(&s, x))), *y = mx_retain(mx_square(&s, mx_sin(&s, e)));
  assert_int_equal(mx_scope_end(&s), 0); /* now each is held once */
  pthread_mutex_lock(&busy);
  assert_int_equal(mx_queue_push(side, wait_at, &busy), 0);
  assert_int_equal(mx_async_eval(1, &y), 0);
  mx_release(e);
  pthread_mutex_unlock(&busy);
  assert_int_equal(mx_wait(y), 0);
  assert_true(F(y)[0] > 0.7080f && F(y)[0] < 0.7081f); /* sin(1)^2 */
  mx_release(y);
  mx_release(x);
  assert_int_equal(mx_synchronize(side), 0);
}

enum { THREADS = 4 };
static mx_array *shared[8];

static void *evaluate_shared(void *arg) {
  int from = (int)(intptr_t)arg;
  for (int i = 0; i < 8; i++)
    if (mx_eval(1, &shared[(i + from) % 8])) return (void *)1;
  return NULL;
}

static void threads_share_a_graph(void **state) {
  (void)state;
  for (int round = 0; round < 50; round++) {
    mx_scope s;
    mx_scope_begin(&s, 0);
    mx_array *x = vector(&s, 5000, 0);
    for (int i = 0; i < 8; i++) shared[i] = x = mx_sqrt(&s, mx_add(&s, mx_square(&s, x), mx_scalar(&s, MX_F32, 1)));
    pthread_t t[THREADS];
    void *res[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, evaluate_shared, (void *)(intptr_t)(i * 2));
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], &res[i]), assert_null(res[i]);
    assert_true(F(shared[7])[0] > 2.82f && F(shared[7])[0] < 2.84f); /* sqrt(8) */
    assert_int_equal(mx_scope_end(&s), 0);
  }
}

static void add_range(void *sum, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) atomic_fetch_add((_Atomic int64_t *)sum, i);
}
static void nested(void *sum, int64_t begin, int64_t end) { mx_parallel(end - begin, 3, add_range, sum); }

static void parallel_covers_every_item_once(void **state) {
  (void)state;
  for (int64_t n = 0; n < 200; n += 7)
    for (int64_t grain = 1; grain < 50; grain += 11) {
      _Atomic int64_t sum = 0;
      mx_parallel(n, grain, add_range, &sum);
      assert_int_equal(sum, n * (n - 1) / 2);
    }
  _Atomic int64_t sum = 0;
  mx_parallel(100, 10, nested, &sum);
  assert_int_equal(sum, 10 * 45);
}

enum { MOST_RANGES = 7, JOBS = 300000 };
typedef struct job {
  _Atomic int taken[MOST_RANGES];
} job;
static void take(void *ctx, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) atomic_fetch_add(&((job *)ctx)->taken[i], 1);
}
static void *keep_busy(void *stop) {
  while (!atomic_load((_Atomic bool *)stop)) {}
  return NULL;
}

/* Threads that lose their CPU at any point of taking a range: a late one must not take a range of the next job by the sizes of this one. */
static void jobs_of_changing_sizes_take_no_range_of_each_other(void **state) {
  (void)state;
  _Atomic bool stop = false;
  pthread_t busy[THREADS];
  for (int i = 0; i < THREADS; i++) pthread_create(&busy[i], NULL, keep_busy, &stop);
  static job jobs[2];
  int wrong = 0;
  for (int k = 0; k < JOBS && !wrong; k++) {
    job *j = &jobs[k & 1];
    int n = k & 1 ? MOST_RANGES : 2;
    memset(j, 0, sizeof *j);
    mx_parallel(n, 1, take, j);
    for (int i = 0; i < MOST_RANGES; i++) wrong += j->taken[i] != (i < n);
  }
  atomic_store(&stop, true);
  for (int i = 0; i < THREADS; i++) pthread_join(busy[i], NULL);
  assert_int_equal(wrong, 0);
}

enum { ITEMS = 10007 };
typedef struct runs_seen {
  _Atomic int times[ITEMS], inner;
} runs_seen;
static void take_inner(void *ctx, int64_t begin, int64_t end) { atomic_fetch_add(&((runs_seen *)ctx)->inner, (int)(end - begin)); }
static void take_run(void *ctx, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) atomic_fetch_add(&((runs_seen *)ctx)->times[i], 1);
  mx_parallel_runs(5, 1, take_inner, ctx); /* on its own thread */
}

static void ranges_in_runs_cover_every_item_once(void **state) {
  (void)state;
  static const int64_t sizes[][2] = {{0, 4}, {1, 4}, {7, 0}, {100, 64}, {129, 64}, {ITEMS, 64}, {ITEMS, 1}, {ITEMS, ITEMS + 1}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    static runs_seen seen;
    memset(&seen, 0, sizeof seen);
    int64_t n = sizes[k][0], grain = sizes[k][1] ? sizes[k][1] : 1;
    mx_parallel_runs(n, sizes[k][1], take_run, &seen);
    for (int i = 0; i < ITEMS; i++) assert_int_equal(seen.times[i], i < n);
    assert_int_equal(seen.inner, 5 * ((n + grain - 1) / grain));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(held_intermediates_do_not_change_the_numbers),
      cmocka_unit_test(a_million_nodes_need_no_stack),
      cmocka_unit_test(the_same_pattern_is_planned_once),
      cmocka_unit_test(a_growing_cache_makes_at_most_three_plans),
      cmocka_unit_test(many_shapes_leave_memory_flat),
      cmocka_unit_test(a_dying_input_gives_its_memory),
      cmocka_unit_test(an_error_stays_with_its_value),
      cmocka_unit_test(placeholders_cannot_be_evaluated),
      cmocka_unit_test(async_work_is_waited_for),
      cmocka_unit_test(a_result_may_be_dropped_while_it_waits_to_be_computed),
      cmocka_unit_test(threads_share_a_graph),
      cmocka_unit_test(parallel_covers_every_item_once),
      cmocka_unit_test(jobs_of_changing_sizes_take_no_range_of_each_other),
      cmocka_unit_test(ranges_in_runs_cover_every_item_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
