/* Shape rules: what they refuse and how, and that no parameters or inputs whatever make them read or promise what is not there
 * (an imported graph brings its own). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "graph/build.h"
#include "graph/rules/rules.h"

static uint64_t state = 88172645463325252ull;
static uint32_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}
static int below(int n) { return (int)(next() % (uint32_t)n); }

static int64_t parameter(void) {
  static const int64_t odd[] = {-1, INT32_MAX, INT64_MAX, INT64_MIN, (int64_t)1 << 40, -((int64_t)1 << 40), 33, -33};
  return below(8) == 0 ? odd[below(8)] : below(7) - 1;
}

static mx_array *any_array(mx_scope *s) {
  static const mx_dtype types[] = {MX_F32, MX_F32, MX_I32, MX_U32, MX_BOOL, MX_F16, MX_C64, MX_U8};
  int32_t shape[5];
  int nd = below(5);
  for (int i = 0; i < nd; i++) shape[i] = below(5);
  return mx_placeholder(s, types[below(8)], nd, shape);
}

static void check_results(int op, int n, const mx_aval *out) {
  for (int i = 0; i < n; i++) {
    if (out[i].dtype >= MX_DTYPES || out[i].ndim < 0 || out[i].ndim > MX_MAX_NDIM)
      fail_msg("%s: dtype %d, ndim %d", mx_ops[op].name, (int)out[i].dtype, out[i].ndim);
    for (int d = 0; d < out[i].ndim; d++)
      if (out[i].shape[d] < 0) fail_msg("%s: dimension %d", mx_ops[op].name, out[i].shape[d]);
  }
}

/* Whose shapes chance does not meet: they must agree in many places, or be multiples of 32, or a parameter must name a float. */
static const uint8_t seldom[] = {OP_conv,   OP_conv_grad_input, OP_conv_grad_weight, OP_rms_norm,         OP_layer_norm, OP_addmm,
                                 OP_gather_mm, OP_quantize,     OP_dequantize,       OP_quantized_matmul, OP_gather_qmm,
                                 OP_from_fp8, OP_rope, OP_attention, OP_attention_vjp, OP_lstm, OP_lstm_vjp, OP_batch_norm, OP_batch_norm_vjp,
                                 OP_rms_norm_vjp, OP_layer_norm_vjp};
_Static_assert(MX_OPS <= 256, "opcodes fit a byte");

static void test_any_parameters(void **unused) {
  (void)unused;
  for (int op = OP_elementwise_end + 1; op < MX_OPS; op++) {
    if (op == OP_reduce_end || op == OP_pick || op == OP_custom || op == OP_primitive || op == OP_compiled || op == OP_recorded) continue;
    int good = 0;
    for (int round = 0; round < 20000; round++) {
      mx_scope s;
      mx_scope_begin(&s, 0);
      int nin = mx_ops[op].nin >= 0 ? mx_ops[op].nin : below(5), np = below(16);
      mx_array *in[5];
      for (int i = 0; i < nin; i++) in[i] = i && below(2) ? in[0] : any_array(&s);
      int64_t p[16];
      for (int i = 0; i < np; i++) p[i] = parameter();
      int nout = mx_ops[op].nout >= 0 ? mx_ops[op].nout : below(3);
      mx_aval out[3];
      memset(out, -1, sizeof out);
      int rc = mx_ops[op].infer(op, nin, in, np, p, nout, out);
      if (!rc) {
        check_results(op, nout, out);
        good++;
      }
      mx_scope_end(&s);
    }
    if (!good && !memchr(seldom, op, sizeof seldom)) fail_msg("%s: no parameters were ever right", mx_ops[op].name);
  }
}

/* ---- refusals: kind and tag ---- */

static mx_array *zeros(mx_scope *s, mx_dtype t, int nd, const int *shape) { return mx_zeros(s, shape, (size_t)nd, t); }
#define Z(...) zeros(&s, MX_F32, sizeof((int[]){__VA_ARGS__}) / sizeof(int), (int[]){__VA_ARGS__})
#define REFUSED(kind, tag, call)                                                                                     \
  do {                                                                                                               \
    mx_scope s;                                                                                                      \
    mx_scope_begin(&s, 0);                                                                                           \
    mx_error_clear();                                                                                                \
    mx_array *r = (call);                                                                                            \
    if (r || s.rc != (kind)) fail_msg("%s gave %d (%s), expected %d", #call, s.rc, mx_error_message(), (int)(kind)); \
    if (strncmp(mx_error_message(), tag, strlen(tag))) fail_msg("%s: %s", #call, mx_error_message());                \
    mx_scope_end(&s);                                                                                                \
  } while (0)
#define A(...) (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int)

static void test_refusals(void **unused) {
  (void)unused;
  REFUSED(MX_EVALUE, "[reshape]", mx_reshape(&s, Z(2, 3), A(4, 2)));
  REFUSED(MX_EVALUE, "[reshape]", mx_reshape(&s, Z(2, 3), A(-1, -1)));
  REFUSED(MX_EVALUE, "[reshape]", mx_reshape(&s, Z(2, 3), A(-1, 4)));
  REFUSED(MX_EVALUE, "[reshape]", mx_reshape(&s, Z(0), A(-1, 0)));
  REFUSED(MX_EAXIS, "[sum]", mx_sum_axis(&s, Z(2, 3), 2, false));
  REFUSED(MX_EVALUE, "[sum]", mx_sum_axes(&s, Z(2, 3), A(0, -2), false));
  REFUSED(MX_EAXIS, "[softmax]", mx_softmax_axis(&s, Z(2, 3), 3, false));
  REFUSED(MX_EVALUE, "[transpose]", mx_transpose_axes(&s, Z(2, 3), A(0, 0)));
  REFUSED(MX_EVALUE, "[transpose]", mx_transpose_axes(&s, Z(2, 3), A(0)));
  REFUSED(MX_EAXIS, "[transpose]", mx_transpose_axes(&s, Z(2, 3), A(0, 5)));
  REFUSED(MX_EVALUE, "[squeeze]", mx_squeeze_axis(&s, Z(2, 3), 0));
  REFUSED(MX_EAXIS, "[squeeze]", mx_squeeze_axis(&s, Z(2, 3), 4));
  REFUSED(MX_EVALUE, "[broadcast_shapes]", mx_broadcast_to(&s, Z(2, 3), A(3, 3)));
  REFUSED(MX_EVALUE, "[concatenate]", mx_concatenate_axis(&s, 2, (mx_array *[]){Z(2, 3), Z(2, 4)}, 0));
  REFUSED(MX_EVALUE, "[concatenate]", mx_concatenate_axis(&s, 0, NULL, 0));
  REFUSED(MX_EVALUE, "[stack]", mx_stack(&s, 2, (mx_array *[]){Z(2, 3), Z(2, 4)}));
  REFUSED(MX_EVALUE, "[matmul]", mx_matmul(&s, Z(2, 3), Z(2, 3)));
  REFUSED(MX_EVALUE, "[matmul]", mx_matmul(&s, mx_scalar(&s, MX_F32, 1), Z(2, 3)));
  REFUSED(MX_EVALUE, "[addmm]", mx_addmm(&s, zeros(&s, MX_I32, 1, (int[]){2}), zeros(&s, MX_I32, 1, (int[]){2}), zeros(&s, MX_I32, 1, (int[]){2}), 0.5f, 1));
  REFUSED(MX_EVALUE, "[addmm]", mx_addmm(&s, Z(3), Z(2, 5), Z(4, 3), 1, 1));
  REFUSED(MX_EVALUE, "[gather]", mx_take_axis(&s, Z(2, 3), Z(1), 1));
  REFUSED(MX_EAXIS, "[take]", mx_take_axis(&s, Z(2, 3), zeros(&s, MX_I32, 1, (int[]){1}), 4));
  REFUSED(MX_EVALUE, "[take_along_axis]", mx_take_along_axis(&s, Z(2, 3), zeros(&s, MX_I32, 1, (int[]){1}), 1));
  REFUSED(MX_EVALUE, "[slice]", mx_slice(&s, Z(4), A(0), A(2), A(0)));
  REFUSED(MX_EVALUE, "[full]", mx_zeros(&s, A(-1, 2), MX_F32));
  REFUSED(MX_EVALUE, "[arange]", mx_arange(&s, 0, 10, 0, MX_I32));
  REFUSED(MX_EVALUE, "[arange]", mx_arange(&s, 0, __builtin_inf(), 1, MX_F32));
  REFUSED(MX_EVALUE, "[eye]", mx_eye(&s, -1, 2, 0, MX_F32));
  REFUSED(MX_EVALUE, "[linspace]", mx_linspace(&s, 0, 1, -1, MX_F32));
  REFUSED(MX_EVALUE, "[max]", mx_max(&s, Z(0), false));
  REFUSED(MX_EVALUE, "[argmax]", mx_argmax(&s, Z(0), false));
  REFUSED(MX_EVALUE, "[median]", mx_median(&s, Z(0), NULL, 0, false));
  REFUSED(MX_EVALUE, "[topk]", mx_topk_axis(&s, Z(2, 3), 9, -1));
  REFUSED(MX_EVALUE, "[partition]", mx_partition_axis(&s, Z(2, 3), 9, -1));
  REFUSED(MX_EAXIS, "[sort]", mx_sort_axis(&s, Z(2, 3), 3));
  REFUSED(MX_EVALUE, "[repeat]", mx_repeat(&s, Z(2, 3), -1));
  REFUSED(MX_EVALUE, "[broadcast_to]", mx_tile(&s, Z(2, 3), A(-1)));
  REFUSED(MX_EVALUE, "[pad]", mx_pad(&s, Z(2, 3), A(0), A(-1), A(0), mx_scalar(&s, MX_F32, 0), "constant"));
  REFUSED(MX_EVALUE, "[pad]", mx_pad(&s, Z(2, 3), A(0), A(1), A(0), mx_scalar(&s, MX_F32, 0), "foo"));
  REFUSED(MX_EVALUE, "[conv]", mx_conv1d(&s, Z(1, 4, 3), Z(2, 2, 4), 1, 0, 1, 1));
  REFUSED(MX_EVALUE, "[conv]", mx_conv2d(&s, Z(1, 4, 4, 3), Z(2, 9, 9, 3), 1, 1, 0, 0, 1, 1, 1));
  REFUSED(MX_EVALUE, "[conv]", mx_conv2d(&s, Z(1, 4, 4, 3), Z(2, 2, 2, 3), 0, 1, 0, 0, 1, 1, 1));
  REFUSED(MX_EVALUE, "[einsum]", mx_einsum(&s, "ij,jk", 1, (mx_array *[]){Z(2, 3)}));
  REFUSED(MX_EVALUE, "[einsum]", mx_einsum(&s, "ij,jk->ik", 2, (mx_array *[]){Z(2, 3), Z(2, 3)}));
  REFUSED(MX_EVALUE, "[einsum]", mx_einsum(&s, "i..j", 1, (mx_array *[]){Z(2, 3)}));
  REFUSED(MX_EVALUE, "[einsum]", mx_einsum(&s, "ij->ii", 1, (mx_array *[]){Z(2, 3)}));
  REFUSED(MX_EVALUE, "[einsum]", mx_einsum(&s, "ij->k", 1, (mx_array *[]){Z(2, 3)}));
  REFUSED(MX_EVALUE, "[tensordot]", mx_tensordot_axis(&s, Z(2, 3), Z(2, 3), 1));
  REFUSED(MX_EVALUE, "[bits]", mx_random_bits(&s, A(2), 4, Z(2)));
  REFUSED(MX_EVALUE, "[bits]", mx_random_bits(&s, A(-2), 4, mx_random_key(&s, 0)));
  REFUSED(MX_EVALUE, "[rms_norm]", mx_fast_rms_norm(&s, Z(2, 3), Z(4), 1e-5f));
  REFUSED(MX_EVALUE, "[rope]", mx_fast_rope(&s, Z(2, 4), 4, false, (float[]){1e4f}, 1, 0, NULL));
  REFUSED(MX_EVALUE, "[scaled_dot_product_attention]",
          mx_fast_scaled_dot_product_attention(&s, Z(1, 2, 3, 4), Z(1, 3, 3, 4), Z(1, 3, 3, 4), 1, "", NULL, NULL));
  REFUSED(MX_EVALUE, "[as_strided]", mx_as_strided(&s, Z(4), A(2, 2), (int64_t[]){2, 2}, 2, 0));
  REFUSED(MX_EVALUE, "[as_strided]", mx_as_strided(&s, Z(4), A(2), (int64_t[]){-1}, 1, 0));
  REFUSED(MX_EVALUE, "[view]", mx_view_as(&s, zeros(&s, MX_I16, 1, (int[]){3}), MX_I32));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_parameters), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
