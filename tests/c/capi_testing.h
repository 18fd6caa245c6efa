/* Shared by the tests of the C API: the last message that the error handler saw, and short ways to make arrays. */
#ifndef CAPI_TESTING_H
#define CAPI_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mlx/c/mlx.h"

static char heard[4096]; /* the last message, "" when none since expect_* */
static int heard_count;

static void hear(const char *msg, void *data) {
  (void)data;
  snprintf(heard, sizeof heard, "%s", msg);
  heard_count++;
}

static int listen_to_errors(void **state) {
  (void)state;
  mlx_set_error_handler(hear, NULL, NULL);
  return 0;
}

/* Fails with the message in view, which ends with " at file:line". */
#define assert_refused(call, phrase)                                              \
  do {                                                                            \
    heard[0] = 0;                                                                 \
    assert_int_equal(call, 1);                                                    \
    if (!strstr(heard, phrase)) fail_msg("'%s' does not contain '%s'", heard, phrase); \
  } while (0)

#define assert_ok(call)                                        \
  do {                                                         \
    heard[0] = 0;                                              \
    if (call) fail_msg("%s fails: %s", #call, heard);          \
  } while (0)

static inline mlx_array floats(int n, const float *v) { return mlx_array_new_data(v, &n, 1, MLX_FLOAT32); }
#define FLOATS(...) floats(sizeof((float[]){__VA_ARGS__}) / sizeof(float), (float[]){__VA_ARGS__})

#endif
