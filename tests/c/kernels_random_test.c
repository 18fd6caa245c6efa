/* Random bits and arange against values of MLX. */
#include "kernels_testing.h"

/* The generator once more, from its description, one word at a time. */
static uint32_t word(uint32_t k0, uint32_t k1, int64_t n, int64_t i) {
  static const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  int64_t h = n / 2;
  uint32_t c[2], ks[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDA};
  bool second = i > h || (i == h && n % 2 == 0);
  if (n % 2 && i == h) c[0] = (uint32_t)h, c[1] = 0;
  else if (second) c[0] = (uint32_t)(i - h - n % 2), c[1] = (uint32_t)i;
  else c[0] = (uint32_t)i, c[1] = (uint32_t)(i + h + n % 2);
  c[0] += ks[0];
  c[1] += ks[1];
  for (int g = 0; g < 5; g++) {
    for (int r = 0; r < 4; r++) {
      int s = rotations[g % 2][r];
      c[0] += c[1];
      c[1] = (c[1] << s | c[1] >> (32 - s)) ^ c[0];
    }
    c[0] += ks[(g + 1) % 3];
    c[1] += ks[(g + 2) % 3] + (uint32_t)g + 1;
  }
  return c[second];
}

static void bits_are_those_of_mlx(void **state) {
  (void)state;
  /* mx.random.split(mx.random.key(0), 3) and mx.random.split(mx.random.key(42)) */
  static const uint32_t three[] = {2467461003u, 428148500u, 3186719485u, 3840466878u, 2562233961u, 1946702221u};
  static const uint32_t two[] = {2465931498u, 3679230171u, 255383827u, 267815257u};
  tensor key = tensor_new(MX_U32, 1, (int32_t[]){2}, 0), a = tensor_new(MX_U32, 2, (int32_t[]){3, 2}, 0);
  tensor b = tensor_new(MX_U32, 2, (int32_t[]){2, 2}, 0), *in[] = {&key};
  assert_int_equal(call_kernel(OP_random_bits, 1, in, &a, 3, (int64_t[]){4, 3, 2}), 0);
  for (int i = 0; i < 6; i++) assert_int_equal((uint32_t)tensor_get(&a, i), three[i]);
  tensor_set(&key, 1, 42);
  assert_int_equal(call_kernel(OP_random_bits, 1, in, &b, 3, (int64_t[]){4, 2, 2}), 0);
  for (int i = 0; i < 4; i++) assert_int_equal((uint32_t)tensor_get(&b, i), two[i]);
  tensor_free(&key), tensor_free(&a), tensor_free(&b);
}

static void every_width_and_size_has_the_words_of_its_key(void **state) {
  (void)state;
  static const mx_dtype types[] = {MX_U8, MX_U16, MX_U32};
  static const int sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 17, 64, 1001, 70000};
  for (int t = 0; t < 3; t++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (int layout = 0; layout < 4; layout++) {
        int32_t n = sizes[s];
        tensor key = tensor_new(MX_U32, 2, (int32_t[]){3, 2}, layout), out = tensor_new(types[t], 2, (int32_t[]){3, n}, 0);
        for (int i = 0; i < 6; i++) *(uint32_t *)tensor_ptr(&key, i) = test_random();
        tensor *in[] = {&key};
        int64_t item = (int64_t)mx_dtype_sizes[types[t]], words = (n * item + 3) / 4;
        assert_int_equal(call_kernel(OP_random_bits, 1, in, &out, 2, (int64_t[]){item, n}), 0);
        for (int k = 0; k < 3; k++)
          for (int64_t b = 0; b < n * item; b++) {
            uint32_t w = word(*(uint32_t *)tensor_ptr(&key, 2 * k), *(uint32_t *)tensor_ptr(&key, 2 * k + 1), words, b / 4);
            if (((uint8_t *)out.v.data)[k * n * item + b] != (uint8_t)(w >> (8 * (b % 4))))
              fail_msg("width %d, %d of them, key %d, byte %d", (int)item, (int)n, k, (int)b);
          }
        tensor_free(&key), tensor_free(&out);
      }
}

static void arange_adds_the_step_in_its_own_dtype(void **state) {
  (void)state;
  tensor i = tensor_new(MX_I32, 1, (int32_t[]){4}, 0), f = tensor_new(MX_F32, 1, (int32_t[]){4}, 0);
  tensor h = tensor_new(MX_F16, 1, (int32_t[]){10}, 0), u = tensor_new(MX_U8, 1, (int32_t[]){4}, 0);
  assert_int_equal(call_kernel(OP_arange, 0, NULL, &i, 4, (int64_t[]){MX_I32, 4, 5, -3}), 0);
  assert_int_equal(call_kernel(OP_arange, 0, NULL, &u, 4, (int64_t[]){MX_U8, 4, 250, 3}), 0);
  for (int k = 0; k < 4; k++) {
    ASSERT_CLOSE(tensor_get(&i, k), 5 - 3 * k, 0);
    ASSERT_CLOSE(tensor_get(&u, k), (250 + 3 * k) % 256, 0);
  }
  assert_int_equal(call_kernel(OP_arange, 0, NULL, &f, 4, (int64_t[]){MX_F32, 4, mx_bits(1), mx_bits(0.3)}), 0);
  static const double steps[] = {1, 1.2999999523162842, 1.5999999046325684, 1.8999998569488525};
  for (int k = 0; k < 4; k++) ASSERT_CLOSE(tensor_get(&f, k), steps[k], 0);
  /* mx.arange(0, 1, 0.1, dtype=mx.float16) prints 0.8003 and 0.9004 */
  assert_int_equal(call_kernel(OP_arange, 0, NULL, &h, 4, (int64_t[]){MX_F16, 10, mx_bits(0), mx_bits(0.1)}), 0);
  ASSERT_CLOSE(tensor_get(&h, 8), 0.80029296875, 0);
  ASSERT_CLOSE(tensor_get(&h, 9), 0.900390625, 0);
  tensor_free(&i), tensor_free(&f), tensor_free(&h), tensor_free(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_are_those_of_mlx),
      cmocka_unit_test(every_width_and_size_has_the_words_of_its_key),
      cmocka_unit_test(arange_adds_the_step_in_its_own_dtype),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
