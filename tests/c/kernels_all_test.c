/* What holds for all kernels: failed allocations are errors, and the number of threads does not change a bit. */
#include "kernels_testing.h"

#include "core/alloc.h"
#include "core/buffer.h"
#include "core/parallel.h"

/* A call: shapes and dtypes of inputs and of the output. Index inputs hold small numbers. */
typedef struct example {
  mx_opcode op;
  int nin;
  struct { mx_dtype t; int32_t shape[5]; int nd; int layout; } in[4], out;
  int np;
  int64_t p[24];
} example;

#define F(l, ...) {MX_F32, {__VA_ARGS__}, (int)(sizeof((int32_t[]){__VA_ARGS__}) / 4), l}
#define H(l, ...) {MX_BF16, {__VA_ARGS__}, (int)(sizeof((int32_t[]){__VA_ARGS__}) / 4), l}
#define N(l, ...) {MX_I32, {__VA_ARGS__}, (int)(sizeof((int32_t[]){__VA_ARGS__}) / 4), l}
#define U(l, ...) {MX_U32, {__VA_ARGS__}, (int)(sizeof((int32_t[]){__VA_ARGS__}) / 4), l}

static const example examples[] = {
    {OP_contiguous, 1, {F(2, 300, 200)}, F(0, 300, 200), 1, {0}},
    {OP_concatenate, 2, {F(0, 300, 100), F(1, 300, 50)}, F(0, 300, 150), 1, {1}},
    {OP_gather, 2, {F(0, 50, 40), N(0, 2000)}, F(0, 2000, 1, 40), 4, {1, 0, 1, 40}},
    {OP_scatter, 3, {F(0, 50, 40), F(0, 2000, 1, 40), N(0, 2000)}, F(0, 50, 40), 3, {1, 1, 0}},
    {OP_scatter, 3, {F(0, 50, 400), F(0, 200, 1, 400), N(0, 200)}, F(0, 50, 400), 3, {1, 1, 0}},
    {OP_gather_axis, 2, {F(0, 400, 50), N(0, 400, 60)}, F(0, 400, 60), 1, {1}},
    {OP_scatter_axis, 3, {F(0, 400, 50), N(0, 400, 60), F(0, 400, 60)}, F(0, 400, 50), 2, {1, 1}},
    {OP_argmax, 1, {F(0, 300, 500)}, U(0, 300, 1), 1, {1}},
    {OP_cumsum, 1, {F(0, 300, 500)}, F(0, 300, 500), 3, {1, 0, 1}},
    {OP_cumsum, 1, {F(0, 300, 500)}, F(0, 300, 500), 3, {0, 1, 0}},
    {OP_softmax, 1, {F(2, 300, 500)}, F(0, 300, 500), 1, {0}},
    {OP_softmax, 1, {H(0, 300, 500)}, H(0, 300, 500), 1, {0}},
    {OP_logsumexp, 1, {F(0, 300, 500)}, F(0, 300, 1), 0, {0}},
    {OP_sort, 1, {F(0, 200000)}, F(0, 200000), 1, {0}},
    {OP_sort, 1, {F(0, 300, 50)}, F(0, 300, 50), 1, {0}},
    {OP_argsort, 1, {F(0, 200000)}, U(0, 200000), 1, {0}},
    {OP_partition, 1, {F(0, 300, 500)}, F(0, 300, 500), 2, {1, 20}},
    {OP_matmul, 2, {F(0, 2, 300, 400), F(2, 2, 400, 350)}, F(0, 2, 300, 350), 0, {0}},
    {OP_matmul, 2, {F(0, 1, 700), F(0, 700, 3000)}, F(0, 1, 3000), 0, {0}},
    {OP_matmul, 2, {H(0, 300, 400), H(2, 400, 350)}, H(0, 300, 350), 0, {0}},
    {OP_matmul, 2, {H(0, 1, 700), H(0, 700, 3000)}, H(0, 1, 3000), 0, {0}},
    {OP_addmm, 3, {H(4, 300, 350), H(0, 300, 400), H(0, 400, 350)}, H(0, 300, 350), 2, {0x3ff0000000000000, 0x3ff0000000000000}},
    {OP_conv, 2, {F(0, 40, 9, 9, 16), F(0, 8, 3, 3, 16)}, F(0, 40, 9, 9, 8), 13, {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}},
    {OP_conv, 2, {H(0, 40, 9, 9, 16), H(0, 8, 3, 3, 16)}, H(0, 40, 9, 9, 8), 13, {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}},
    {OP_conv_grad_input, 2, {F(0, 40, 9, 9, 8), F(0, 8, 3, 3, 16)}, F(0, 40, 9, 9, 16), 15, {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 9, 9}},
    {OP_conv_grad_weight, 2, {F(0, 40, 9, 9, 16), F(1, 40, 9, 9, 8)}, F(0, 8, 3, 3, 16), 15, {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 3, 3}},
    {OP_rms_norm, 2, {F(0, 300, 500), F(0, 500)}, F(0, 300, 500), 2, {0x3ee4f8b588e368f1, 1}},
    {OP_layer_norm, 3, {H(0, 300, 500), H(0, 500), H(0, 500)}, H(0, 300, 500), 3, {0x3ee4f8b588e368f1, 1, 1}},
    {OP_rms_norm_vjp, 2, {F(0, 300, 500), F(2, 300, 500)}, F(0, 300, 500), 2, {0x3ee4f8b588e368f1, 0}},
    {OP_layer_norm_vjp, 2, {H(0, 300, 500), H(0, 300, 500)}, H(0, 300, 500), 3, {0x3ee4f8b588e368f1, 0, 0}},
    {OP_rope, 2, {F(1, 2, 3, 150, 64), N(0, 2)}, F(0, 2, 3, 150, 64), 4, {48, 0, 0x40c3880000000000, 0x3ff0000000000000}},
    {OP_random_bits, 1, {U(0, 3, 2)}, U(0, 3, 30001), 2, {4, 30001}},
    {OP_random_loggamma, 2, {U(0, 3, 2), F(2, 3, 3001)}, F(0, 3, 3001), 0, {0}},
    {OP_loggamma_grad, 2, {F(0, 3, 3001), F(2, 3, 3001)}, F(0, 3, 3001), 0, {0}},
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

typedef struct call {
  tensor in[4], out;
  mx_view views[4], o;
  mx_call c;
  int rc;
} call;

static void call_make(call *k, const example *e) {
  for (int i = 0; i < e->nin; i++) {
    k->in[i] = tensor_new(e->in[i].t, e->in[i].nd, e->in[i].shape, e->in[i].layout);
    for (int64_t q = 0; q < k->in[i].v.size; q++)
      tensor_set(&k->in[i], q, e->in[i].t == MX_I32 ? (double)(test_random() % 50) : test_uniform());
    k->views[i] = *tv(&k->in[i]);
  }
  k->out = tensor_new(e->out.t, e->out.nd, e->out.shape, 0);
  k->o = *tv(&k->out);
  k->c = (mx_call){e->op, e->nin, 1, e->np, k->views, &k->o, e->p, NULL};
}
static void call_free(call *k) {
  for (int i = 0; i < k->c.nin; i++) tensor_free(&k->in[i]);
  tensor_free(&k->out);
}
static void call_run(void *ctx, int64_t begin, int64_t end) {
  call *k = ctx;
  for (int64_t i = begin; i < end; i++)
    if (i == 0) k->rc = mx_cpu_backend.kernels[k->c.op](&k->c);
}

static void a_failed_allocation_is_an_error(void **state) {
  (void)state;
  for (int e = 0; e < EXAMPLES; e++) {
    call k;
    call_make(&k, &examples[e]);
    call_run(&k, 0, 1); /* what is allocated once, is */
    assert_int_equal(k.rc, 0);
    int n = 0;
    for (; n < 200; n++) {
      mx_memory_clear_cache();
      mx_error_clear();
      mx_alloc_fail_after(n);
      call_run(&k, 0, 1);
      mx_alloc_fail_after(-1);
      if (!k.rc) break;
      if (k.rc != MX_EMEMORY) fail_msg("example %d, allocation %d: error %d, %s", e, n, k.rc, mx_error_message());
    }
    assert_true(n < 200);
    call_free(&k);
  }
}

/* Inside a range of the pool a kernel runs on its own thread. */
static void one_thread_and_many_give_the_same_bits(void **state) {
  (void)state;
  for (int e = 0; e < EXAMPLES; e++) {
    call k;
    call_make(&k, &examples[e]);
    size_t bytes = (size_t)k.out.v.size * mx_dtype_sizes[k.out.v.dtype];
    char *first = malloc(bytes);
    call_run(&k, 0, 1);
    assert_int_equal(k.rc, 0);
    memcpy(first, k.out.v.data, bytes);
    memset(k.out.v.data, 0, bytes);
    mx_parallel(2, 1, call_run, &k);
    assert_int_equal(k.rc, 0);
    if (memcmp(first, k.out.v.data, bytes)) fail_msg("example %d", e);
    free(first);
    call_free(&k);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_failed_allocation_is_an_error),
      cmocka_unit_test(one_thread_and_many_give_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
