/* Random functions give MLX's bits; a logarithm or erfinv may differ by two units in the last place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/build.h"

static uint32_t word(const mx_array *a, int i) {
  int64_t at = 0, left = i;
  for (int d = a->ndim - 1; d >= 0; d--) {
    at += left % a->shape[d] * a->strides[d];
    left /= a->shape[d];
  }
  switch (mx_dtype_size(a->dtype)) {
  case 1: return ((uint8_t *)a->data)[at];
  case 2: return ((uint16_t *)a->data)[at];
  default: return ((uint32_t *)a->data)[at];
  }
}

/* The result's elements are these, as bits, or up to `ulp` off. */
static void expect(mx_scope *s, mx_array *a, int ulp, int n, const uint32_t *want) {
  if (!a || s->rc) fail_msg("%s", mx_error_message());
  if (mx_eval(1, &a)) fail_msg("%s", mx_error_message());
  assert_int_equal(a->size, n);
  for (int i = 0; i < n; i++) {
    int64_t off = (int64_t)word(a, i) - (int64_t)want[i];
    if (llabs(off) > ulp) fail_msg("element %d: %#x, expected %#x", i, word(a, i), want[i]);
  }
}
#define EXPECT(ulp, call, ...)                                                               \
  do {                                                                                       \
    mx_scope s;                                                                              \
    mx_scope_begin(&s, 0);                                                                   \
    mx_array *k = mx_random_key(&s, 0);                                                      \
    (void)k;                                                                                 \
    expect(&s, call, ulp, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__}); \
    mx_scope_end(&s);                                                                        \
  } while (0)
#define SHAPE(...) (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int)
#define F(v)       mx_scalar(&s, MX_F32, v)
#define INT(v)     mx_int(&s, MX_I32, v)

static void test_keys(void **state) {
  (void)state;
  EXPECT(0, mx_random_key(&s, 1), 0, 1);
  EXPECT(0, mx_random_key(&s, ((uint64_t)1 << 32) + 5), 1, 5);
  EXPECT(0, mx_random_split_num(&s, k, 2), 4146024105u, 967050713u, 2718843009u, 1272950319u);
  EXPECT(0, mx_random_split_num(&s, k, 3), 2467461003u, 428148500u, 3186719485u, 3840466878u, 2562233961u, 1946702221u);
  EXPECT(0, mx_random_split_num(&s, mx_random_key(&s, 42), 2), 2465931498u, 3679230171u, 255383827u, 267815257u);
}

static mx_array *unit(mx_scope *s, const int *shape, size_t n, mx_dtype t, mx_array *k) {
  return mx_random_uniform(s, mx_scalar(s, MX_F32, 0), mx_scalar(s, MX_F32, 1), shape, n, t, k);
}

static void test_uniform(void **state) {
  (void)state;
  EXPECT(0, unit(&s, SHAPE(1), MX_F32, k), 0x3ed64003);
  EXPECT(0, unit(&s, SHAPE(2), MX_F32, k), 0x3e5d7c8e, 0x3f4ddb15);
  EXPECT(0, unit(&s, SHAPE(3), MX_F32, k), 0x3f771f4f, 0x3ea11df6, 0x3f220e41);
  EXPECT(0, unit(&s, SHAPE(2, 2), MX_F32, k), 0x3f771f4f, 0x3e669017, 0x3f220e41, 0x3e97bf5c);
  EXPECT(0, unit(&s, SHAPE(5), MX_F32, k), 0x3f131278, 0x3dcc2839, 0x3ec94c4e, 0x3f64e8e0, 0x3f18b896);
  EXPECT(0, mx_random_uniform(&s, F(-1), F(3), SHAPE(4), MX_F32, k), 0x40371f4f, 0xbdcb7f48, 0x3fc41c82, 0x3e3dfae0);
  EXPECT(0, unit(&s, SHAPE(4), MX_BF16, k), 0x3f77, 0x3e67, 0x3f22, 0x3e98);
}

static void test_normal(void **state) {
  (void)state;
  EXPECT(2, mx_random_normal(&s, SHAPE(4), MX_F32, 0, 1, k), 0x3fe8758b, 0xbf414021, 0x3eae05f7, 0xbf08eaf8);
  EXPECT(2, mx_random_normal(&s, SHAPE(4), MX_F32, 1, 2, k), 0x40943ac6, 0xbf028042, 0x3fd702fc, 0xbd8eaf80);
  EXPECT(2, mx_random_gumbel(&s, SHAPE(4), MX_F32, k), 0x405604bf, 0xbecc7fc7, 0x3f48555a, 0xbe4859a6);
  EXPECT(2, mx_random_laplace(&s, SHAPE(4), MX_F32, 0, 1, k), 0xc02ac884, 0x3f4c3cb1, 0xbe9e6040, 0x3f05e0ab);
}

static void test_integers(void **state) {
  (void)state;
  EXPECT(0, mx_random_randint(&s, INT(0), INT(10), SHAPE(6), MX_I32, k), 5, 0, 7, 8, 5, 4);
  EXPECT(0, mx_random_randint(&s, INT(-5), INT(5), SHAPE(6), MX_I32, k), 0, (uint32_t)-5, 2, 3, 0, (uint32_t)-1);
  EXPECT(0, mx_random_randint(&s, INT(0), INT(INT32_MAX), SHAPE(3), MX_I32, k), 2073012096, 675773824, 1359421568);
  EXPECT(0, mx_random_randint(&s, INT(0), INT(10), SHAPE(4), MX_I8, k), 9, 2, 6, 2);
  EXPECT(0, mx_random_bernoulli(&s, F(0.5), SHAPE(8), k), 0, 1, 1, 0, 1, 0, 1, 0);
  EXPECT(0, mx_random_permutation_arange(&s, 6, k), 1, 5, 0, 4, 2, 3);
  EXPECT(0, mx_random_permutation(&s, mx_reshape(&s, mx_arange(&s, 0, 6, 1, MX_I32), SHAPE(2, 3)), 1, k), 1, 2, 0, 4, 5, 3);
}

static void test_categorical(void **state) {
  (void)state;
#define ZEROS(...) mx_zeros(&s, SHAPE(__VA_ARGS__), MX_F32)
  EXPECT(0, mx_random_categorical(&s, ZEROS(3, 4), -1, k), 0, 1, 3);
  EXPECT(0, mx_random_categorical_num_samples(&s, ZEROS(4), -1, 6, k), 2, 0, 2, 3, 2, 1);
  EXPECT(0, mx_random_categorical_num_samples(&s, ZEROS(2, 4), -1, 3, k), 3, 1, 3, 2, 3, 3);
  EXPECT(0, mx_random_categorical_shape(&s, ZEROS(2, 4), -1, SHAPE(5, 2), k), 2, 1, 0, 3, 3, 1, 3, 3, 1, 2);
  /* one distribution among axes of size 1 is drawn from by its inverse, but for the single sample of a vector */
  EXPECT(0, mx_random_categorical(&s, ZEROS(1, 1, 20), -1, k), 8);
  EXPECT(0, mx_random_categorical(&s, ZEROS(20, 1), 0, k), 8);
  EXPECT(0, mx_random_categorical(&s, ZEROS(20), -1, k), 18);
  EXPECT(0, mx_random_categorical_num_samples(&s, ZEROS(1, 20), -1, 3, k), 19, 6, 12);
  EXPECT(0, mx_random_categorical_shape(&s, ZEROS(1, 20), -1, SHAPE(4, 1), k), 19, 4, 12, 5);
}

static void test_state(void **state) {
  (void)state;
  assert_int_equal(mx_random_seed(0), 0);
  EXPECT(0, unit(&s, SHAPE(4), MX_F32, NULL), 0x3f5f568c, 0x3ee2d3a6, 0x3e8ddd80, 0x3f495e4b);
  EXPECT(0, unit(&s, SHAPE(4), MX_F32, NULL), 0x3ef28393, 0x3f493a6a, 0x3f616f28, 0x3ec4450c);
  /* a state that is still to be computed goes on the same way */
  mx_scope s;
  mx_scope_begin(&s, 0);
  mx_array *key = mx_copy(&s, mx_random_key(&s, 0));
  assert_int_equal(mx_random_set_state(key), 0);
  expect(&s, unit(&s, SHAPE(4), MX_F32, NULL), 0, 4, (uint32_t[]){0x3f5f568c, 0x3ee2d3a6, 0x3e8ddd80, 0x3f495e4b});
  expect(&s, mx_random_state(), 0, 2, (uint32_t[]){4146024105u, 967050713u});
  assert_int_equal(mx_random_set_state(mx_scalar(&s, MX_F32, 1)), MX_EVALUE);
  mx_scope_end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys),        cmocka_unit_test(test_uniform),
                                     cmocka_unit_test(test_normal),      cmocka_unit_test(test_integers),
                                     cmocka_unit_test(test_categorical), cmocka_unit_test(test_state)};
  return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
