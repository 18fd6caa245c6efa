#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/version.h"

static void names_the_mlx_it_offers(void **state) {
  (void)state;
  assert_string_equal(mx_mlx_version(), "0.32.4");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(names_the_mlx_it_offers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
