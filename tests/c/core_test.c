/* core/: promotion, half floats, buffers, arrays, failing allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/alloc.h"
#include "core/array.h"
#include "core/error.h"
#include "core/half.h"

static void promotion_follows_the_table(void **state) {
  (void)state;
  assert_int_equal(mx_promote(MX_BOOL, MX_U8), MX_U8);
  assert_int_equal(mx_promote(MX_U8, MX_I8), MX_I16);
  assert_int_equal(mx_promote(MX_U16, MX_I8), MX_I32);
  assert_int_equal(mx_promote(MX_U32, MX_I32), MX_I64);
  assert_int_equal(mx_promote(MX_U64, MX_I8), MX_F32);
  assert_int_equal(mx_promote(MX_U8, MX_I64), MX_I64);
  assert_int_equal(mx_promote(MX_I64, MX_F16), MX_F16);
  assert_int_equal(mx_promote(MX_F16, MX_BF16), MX_F32);
  assert_int_equal(mx_promote(MX_F64, MX_F16), MX_F64);
  assert_int_equal(mx_promote(MX_F64, MX_C64), MX_C64);
  for (int a = 0; a < MX_DTYPES; a++)
    for (int b = 0; b < MX_DTYPES; b++) assert_int_equal(mx_promote(a, b), mx_promote(b, a));
}

static void halves_survive_a_round_trip(void **state) {
  (void)state;
  for (uint32_t i = 0; i < 65536; i++) {
    mx_f16 h = {(uint16_t)i};
    mx_bf16 b = {(uint16_t)i};
    float f = mx_f16_to_f32(h), g = mx_bf16_to_f32(b);
    if (isnan(f)) assert_true(isnan(mx_f16_to_f32(mx_f32_to_f16(f))));
    else assert_int_equal(mx_f32_to_f16(f).bits, i);
    if (isnan(g)) assert_true(isnan(mx_bf16_to_f32(mx_f32_to_bf16(g))));
    else assert_int_equal(mx_f32_to_bf16(g).bits, i);
  }
}

static void halves_round_to_even(void **state) {
  (void)state;
  assert_int_equal(mx_f32_to_f16(1 + 0x1p-11f).bits, 0x3c00);         /* halfway: down to even */
  assert_int_equal(mx_f32_to_f16(1 + 3 * 0x1p-11f).bits, 0x3c02);     /* halfway: up to even */
  assert_int_equal(mx_f32_to_f16(65519.f).bits, 0x7bff);
  assert_int_equal(mx_f32_to_f16(65520.f).bits, 0x7c00);              /* rounds to infinity */
  assert_int_equal(mx_f32_to_f16(0x1p-24f).bits, 1);
  assert_int_equal(mx_f32_to_f16(0x1p-25f).bits, 0);
  assert_int_equal(mx_f32_to_bf16(1 + 0x1p-8f).bits, 0x3f80);
  assert_int_equal(mx_f32_to_bf16(1 + 3 * 0x1p-8f).bits, 0x3f82);
}

static void buffers_are_counted_and_kept(void **state) {
  (void)state;
  mx_memory_clear_cache();
  size_t before = mx_memory_active();
  mx_buffer *b = mx_buffer_new(100000);
  assert_true((uintptr_t)b->ptr % 64 == 0 && b->size >= 100000);
  assert_int_equal(mx_memory_active(), before + b->size);
  void *p = b->ptr;
  mx_buffer_release(b);
  assert_int_equal(mx_memory_active(), before);
  if (MX_KEEP_FREED) {
    assert_true(mx_memory_cached() >= 100000);
    b = mx_buffer_new(99000); /* the same class: the same memory */
    assert_ptr_equal(b->ptr, p);
    mx_buffer_release(b);
  }
  mx_memory_clear_cache();
  assert_int_equal(mx_memory_cached(), 0);
}

static void the_cache_keeps_its_limit(void **state) {
  (void)state;
  size_t old = mx_memory_set_cache_limit(1 << 20);
  for (int i = 0; i < 64; i++) mx_buffer_release(mx_buffer_new((size_t)(i + 1) * 10000));
  assert_true(mx_memory_cached() <= 1 << 20);
  mx_memory_set_cache_limit(old);
}

static void more_than_the_memory_limit_is_an_error(void **state) {
  (void)state;
  size_t old = mx_memory_set_limit(mx_memory_active() + (1 << 20));
  assert_null(mx_buffer_new(2 << 20));
  assert_int_equal(mx_error_kind(), MX_EMEMORY);
  assert_non_null(strstr(mx_error_message(), "memory limit"));
  mx_memory_set_limit(old);
}

static int dtor_calls;
static void count_call(void *p) { (void)p, dtor_calls++; }

static void foreign_memory_is_given_back_once(void **state) {
  (void)state;
  float data[4] = {1, 2, 3, 4};
  dtor_calls = 0;
  mx_array *a = mx_array_foreign(MX_F32, 1, (int32_t[]){4}, NULL, data, sizeof data, count_call, NULL);
  assert_true(mx_is_available(a) && a->data == data);
  mx_release(a);
  assert_int_equal(dtor_calls, 1);
  mx_alloc_fail_after(0);
  a = mx_array_foreign(MX_F32, 30, (int32_t[30]){1}, NULL, data, sizeof data, count_call, NULL);
  mx_alloc_fail_after(-1);
  mx_release(a);
  assert_int_equal(dtor_calls, 2);
}

static void contiguity_ignores_dimensions_of_one(void **state) {
  (void)state;
  mx_array *a = mx_array_empty(MX_F32, 3, (int32_t[]){2, 1, 3});
  assert_true(mx_is_row_contiguous(a));
  assert_false(mx_is_col_contiguous(a));
  a->strides[1] = 77;
  assert_true(mx_is_row_contiguous(a));
  a->strides[2] = 2;
  assert_false(mx_is_row_contiguous(a));
  mx_release(a);
}

static void impossible_shapes_are_refused(void **state) {
  (void)state;
  int32_t big[4] = {INT32_MAX, INT32_MAX, INT32_MAX, 1}, many[40] = {0};
  assert_null(mx_array_alloc(MX_F32, 4, big, 0, 0));
  assert_non_null(strstr(mx_error_message(), "too many elements"));
  assert_null(mx_array_alloc(MX_F32, 40, many, 0, 0));
  big[3] = 0;
  mx_array *a = mx_array_alloc(MX_F32, 4, big, 0, 0);
  assert_int_equal(a->size, 0);
  mx_release(a);
  int64_t strides[4], size;
  assert_int_equal(mx_row_layout(4, big, strides, &size), 0);
  assert_int_equal(size, 0);
  big[3] = 4;
  assert_int_not_equal(mx_row_layout(4, big, strides, &size), 0);
  assert_int_not_equal(mx_row_layout(2, (int32_t[]){INT32_MAX, INT32_MAX}, strides, &size), 0);
  assert_int_equal(mx_row_layout(3, (int32_t[]){2, 3, 5}, strides, &size), 0);
  assert_true(size == 30 && strides[0] == 15 && strides[1] == 5 && strides[2] == 1);
}

static void numbers_are_converted(void **state) {
  (void)state;
  mx_array *a = mx_array_int(MX_U8, 300);
  assert_int_equal(mx_item_i64(a), 44);
  mx_release(a);
  a = mx_array_float(MX_F16, 0.1);
  assert_true(fabs(mx_item_f64(a) - 0.1) < 1e-4);
  mx_release(a);
  a = mx_array_float(MX_I32, -3.9);
  assert_int_equal(mx_item_i64(a), -3);
  mx_release(a);
}

static void a_failing_allocation_is_an_error(void **state) {
  (void)state;
  mx_alloc_fail_after(0);
  mx_array *a = mx_array_empty(MX_F32, 1, (int32_t[]){100000});
  mx_alloc_fail_after(-1);
  assert_null(a);
  assert_int_equal(mx_error_kind(), MX_EMEMORY);
}

static void *release_all(void *list) {
  mx_list_clear(list);
  return NULL;
}

/* One thread makes and another frees, as with async_eval: memory goes round between them. */
static void blocks_come_back_from_the_thread_that_frees_them(void **state) {
  (void)state;
  if (!MX_KEEP_FREED) skip();
  enum { MADE = 2048, AGAIN = 1024 };
  mx_list all = {0}, again = {0};
  pthread_t other;
  for (int i = 0; i < MADE; i++) {
    mx_array *a = mx_array_int(MX_I32, i);
    assert_int_equal(mx_list_push(&all, a), 0);
    mx_release(a);
  }
  assert_int_equal(pthread_create(&other, NULL, release_all, &all), 0);
  assert_int_equal(pthread_join(other, NULL), 0);
  again.at = mx_malloc(AGAIN * sizeof *again.at);
  again.cap = AGAIN;
  mx_alloc_fail_after(0);
  for (mx_array *a; again.n < AGAIN && (a = mx_array_int(MX_I32, again.n));) again.at[again.n++] = a;
  mx_alloc_fail_after(-1);
  assert_int_equal(again.n, AGAIN);
  for (int i = 0; i < AGAIN; i++) assert_int_equal(mx_item_i64(again.at[i]), i);
  mx_list_clear(&again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(promotion_follows_the_table), cmocka_unit_test(halves_survive_a_round_trip),
      cmocka_unit_test(halves_round_to_even), cmocka_unit_test(buffers_are_counted_and_kept),
      cmocka_unit_test(the_cache_keeps_its_limit), cmocka_unit_test(more_than_the_memory_limit_is_an_error),
      cmocka_unit_test(foreign_memory_is_given_back_once), cmocka_unit_test(contiguity_ignores_dimensions_of_one),
      cmocka_unit_test(impossible_shapes_are_refused), cmocka_unit_test(numbers_are_converted),
      cmocka_unit_test(a_failing_allocation_is_an_error), cmocka_unit_test(blocks_come_back_from_the_thread_that_frees_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
