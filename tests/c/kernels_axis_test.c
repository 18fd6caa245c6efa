/* Kernels along an axis: scans, sorts, argmin and argmax, softmax, logsumexp and the norms, against plain loops. */
#include "kernels_testing.h"

static const mx_dtype all[] = {MX_BOOL, MX_U8, MX_U16, MX_U32, MX_U64, MX_I8, MX_I16, MX_I32, MX_I64, MX_F16, MX_BF16, MX_F32, MX_F64, MX_C64};
static const mx_dtype floats[] = {MX_F32, MX_F64, MX_F16, MX_BF16};
enum { ALL = 14 };

static double tolerance(mx_dtype t) { return t == MX_F64 ? 1e-13 : t == MX_F16 ? 2e-3 : t == MX_BF16 ? 1.6e-2 : 2e-6; }

/* One row of x along an axis, with the offsets of its elements. */
typedef struct line {
  int64_t n, index[4096];
} line;
static void line_of(const tensor *x, int axis, int64_t i, line *l) {
  int64_t inner = 1, n = x->shape[axis];
  for (int d = axis + 1; d < x->v.ndim; d++) inner *= x->shape[d];
  l->n = n;
  for (int64_t k = 0; k < n; k++) l->index[k] = (i / inner * n + k) * inner + i % inner;
}

/* ---- order: NaN last, complex numbers lexicographic; of those with NaN, as in NumPy, the ones with a real part first ---- */

static bool before(double a, double b) { return a < b || (b != b && a == a); }
static int nans(mx_c64 z) { return 2 * (crealf(z) != crealf(z)) + (cimagf(z) != cimagf(z)); }
static bool sorts_before(const tensor *x, int64_t a, int64_t b) {
  double p = tensor_get(x, a), q = tensor_get(x, b);
  if (x->v.dtype != MX_C64) return before(p, q);
  mx_c64 v = *(mx_c64 *)tensor_ptr(x, a), w = *(mx_c64 *)tensor_ptr(x, b);
  if (nans(v) != nans(w)) return nans(v) < nans(w);
  return before(p, q) || before(q, p) ? before(p, q) : before(cimagf(v), cimagf(w));
}

static void check_sort(mx_dtype t, int32_t n, int layout, int range) {
  static line l;
  int32_t shape[] = {2, n, 3};
  tensor x = tensor_new(t, 3, shape, layout), sorted = tensor_new(t, 3, shape, 0), where = tensor_new(MX_U32, 3, shape, 0);
  tensor_fill(&x, true);
  for (int64_t i = 0; i < x.v.size; i++) {
    double v = (double)(test_random() % (unsigned)range) - (mx_dtype_kinds[t] == 'u' ? 0 : range / 2);
    tensor_set(&x, i, v);
    if (mx_is_inexact(t) && test_random() % 5 == 0) tensor_set(&x, i, test_random() % 3 ? -0.0 : test_random() % 2 ? NAN : -NAN);
    if (mx_is_inexact(t) && test_random() % 40 == 0) tensor_set(&x, i, test_random() % 2 ? INFINITY : -INFINITY);
    if (t == MX_C64) *(mx_c64 *)tensor_ptr(&x, i) = CMPLXF((float)tensor_get(&x, i), test_random() % 4 ? (float)(test_random() % 3) : NAN);
  }
  for (int axis = 0; axis < 3; axis++) {
    tensor *in[] = {&x};
    int64_t p[] = {axis, shape[axis] / 2};
    for (int op = 0; op < 2; op++) {
      assert_int_equal(call_kernel(op ? OP_partition : OP_sort, 1, in, &sorted, 1 + op, p), 0);
      assert_int_equal(call_kernel(op ? OP_argpartition : OP_argsort, 1, in, &where, 1 + op, p), 0);
      for (int64_t i = 0; i < x.v.size / shape[axis]; i++) {
        static int seen[4096];
        memset(seen, 0, sizeof seen);
        line_of(&x, axis, i, &l);
        for (int64_t k = 0; k < l.n; k++) {
          int64_t at = (int64_t)tensor_get(&where, l.index[k]);
          assert_true(at < l.n && !seen[at]++);
          if (op) { /* what is left of kth is not larger, what is right not smaller */
            int64_t kth = (int64_t)tensor_get(&where, l.index[p[1]]), mid = l.index[p[1]];
            assert_false(k < p[1] && sorts_before(&x, l.index[kth], l.index[at]));
            assert_false(k > p[1] && sorts_before(&x, l.index[at], l.index[kth]));
            assert_false(k < p[1] && sorts_before(&sorted, mid, l.index[k]));
            assert_false(k > p[1] && sorts_before(&sorted, l.index[k], mid));
            continue;
          }
          double a = tensor_get(&sorted, l.index[k]), b = tensor_get(&x, l.index[at]);
          if (!(a == b || (a != a && b != b))) fail_msg("%s, %d: %g at %d, argsort gives %g", mx_dtype_name(t), n, a, (int)k, b);
          if (!k) continue;
          int64_t last = (int64_t)tensor_get(&where, l.index[k - 1]);
          assert_false(sorts_before(&x, l.index[at], l.index[last]));
          assert_true(sorts_before(&x, l.index[last], l.index[at]) || last < at); /* stable */
        }
      }
    }
  }
  tensor_free(&x), tensor_free(&sorted), tensor_free(&where);
}

static void sorts_are_stable_with_nan_last(void **state) {
  (void)state;
  static const int sizes[] = {1, 2, 3, 15, 16, 17, 33, 100, 257};
  for (int t = 0; t < ALL; t++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (int layout = 0; layout < 4; layout++) check_sort(all[t], sizes[s], layout, 20);
  for (int t = 0; t < ALL; t++) check_sort(all[t], 3000, 0, all[t] == MX_BOOL ? 2 : mx_dtype_sizes[all[t]] == 1 ? 100 : 1500);
}

static int compare_floats(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}
static void a_long_sort_agrees_with_qsort(void **state) {
  (void)state;
  enum { N = 300000 };
  tensor x = tensor_new(MX_F32, 1, (int32_t[]){N}, 0), out = tensor_new(MX_F32, 1, (int32_t[]){N}, 0), *in[] = {&x};
  tensor where = tensor_new(MX_U32, 1, (int32_t[]){N}, 0);
  tensor_fill(&x, false);
  assert_int_equal(call_kernel(OP_sort, 1, in, &out, 1, (int64_t[]){0}), 0);
  assert_int_equal(call_kernel(OP_argsort, 1, in, &where, 1, (int64_t[]){0}), 0);
  for (int i = 0; i < N; i++) ASSERT_CLOSE(tensor_get(&x, (int64_t)tensor_get(&where, i)), tensor_get(&out, i), 0);
  qsort(x.v.data, N, sizeof(float), compare_floats);
  assert_memory_equal(x.v.data, out.v.data, N * sizeof(float));
  tensor_free(&x), tensor_free(&out), tensor_free(&where);
}

static int compare_words(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}
/* Rows that make a quicksort go astray. */
static void sorts_of_patterns(void **state) {
  (void)state;
  static const int sizes[] = {5, 16, 17, 100, 255, 256, 257, 300, 511, 600, 5000, 200000};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int pattern = 0; pattern < 9; pattern++) {
      int n = sizes[s];
      tensor x = tensor_new(MX_U32, 1, (int32_t[]){n}, 0), out = tensor_new(MX_U32, 1, (int32_t[]){n}, 0), *in[] = {&x};
      uint32_t *a = x.v.data;
      for (int i = 0; i < n; i++) {
        const uint32_t values[] = {7, UINT32_MAX, 0, (uint32_t)i, (uint32_t)(n - i), test_random() % 2 ? UINT32_MAX : 3,
                                   i == n / 2 ? 0 : UINT32_MAX, i == n / 3 ? UINT32_MAX : 5, (uint32_t)i % 64 < 60 ? 9 : test_random()};
        a[i] = values[pattern];
      }
      assert_int_equal(call_kernel(OP_sort, 1, in, &out, 1, (int64_t[]){0}), 0);
      qsort(a, (size_t)n, sizeof *a, compare_words);
      assert_memory_equal(a, out.v.data, (size_t)n * sizeof *a);
      tensor_free(&x), tensor_free(&out);
    }
}

static void argmin_and_argmax_give_the_first_and_nan_wins(void **state) {
  (void)state;
  static line l;
  for (int t = 0; t < ALL; t++)
    for (int layout = 0; layout < LAYOUTS; layout++)
      for (int axis = 0; axis < 3; axis++)
        for (int nan = 0; nan < 2; nan++)
          for (int n = 1; n < 90; n += 11) {
            int32_t shape[] = {3, n, 4}, kept[] = {3, n, 4};
            kept[axis] = 1;
            tensor x = tensor_new(all[t], 3, shape, layout), out = tensor_new(MX_U32, 3, kept, 0), *in[] = {&x};
            tensor_fill(&x, true);
            if (nan && mx_is_inexact(all[t]))
              for (int64_t i = 0; i < x.v.size; i += 7) tensor_set(&x, i, NAN);
            for (int max = 0; max < 2; max++) {
              assert_int_equal(call_kernel(max ? OP_argmax : OP_argmin, 1, in, &out, 1, (int64_t[]){axis}), 0);
              for (int64_t i = 0; i < out.v.size; i++) {
                int64_t best = 0;
                line_of(&x, axis, i, &l);
                for (int64_t k = 0; k < l.n; k++) {
                  double v = tensor_get(&x, l.index[k]), b = tensor_get(&x, l.index[best]);
                  if (b != b) break;
                  if (v != v || (max ? v > b : v < b)) best = k;
                }
                assert_int_equal((int64_t)tensor_get(&out, i), best);
              }
            }
            tensor_free(&x), tensor_free(&out);
          }
}

/* ---- scans ---- */

static double scan_start(mx_opcode op, mx_dtype t) {
  static const double low[] = {[MX_I8] = INT8_MIN, [MX_I16] = INT16_MIN, [MX_I32] = INT32_MIN, [MX_I64] = (double)INT64_MIN};
  static const double high[] = {[MX_BOOL] = 1, [MX_U8] = UINT8_MAX, [MX_U16] = UINT16_MAX, [MX_U32] = UINT32_MAX,
                                [MX_U64] = (double)UINT64_MAX, [MX_I8] = INT8_MAX, [MX_I16] = INT16_MAX, [MX_I32] = INT32_MAX,
                                [MX_I64] = (double)INT64_MAX};
  switch (op) {
    case OP_cumsum: return 0;
    case OP_cumprod: return 1;
    case OP_cummax: return mx_is_inexact(t) ? -INFINITY : mx_dtype_kinds[t] == 'i' ? low[t] : 0;
    case OP_cummin: return mx_is_inexact(t) ? INFINITY : high[t];
    default: return -INFINITY;
  }
}
static double scan_step(mx_opcode op, mx_dtype t, double a, double b) {
  if (t == MX_BOOL) return op == OP_cumsum || op == OP_cummax ? a != 0 || b != 0 : a != 0 && b != 0;
  switch (op) {
    case OP_cumsum: return a + b;
    case OP_cumprod: return a * b;
    case OP_cummax: return a != a || a > b ? a : b;
    case OP_cummin: return a != a || a < b ? a : b;
    default: return a == -INFINITY ? b : b == -INFINITY ? a : a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
  }
}
static double wrap(mx_dtype t, double v) { /* exact while |v| < 2^53 */
  if (mx_dtype_kinds[t] != 'u' && mx_dtype_kinds[t] != 'i') return v;
  char room[8];
  if (v > -0x1p62 && v < 0x1p62) scalar_set(t, room, 0), memcpy(room, &(int64_t){(int64_t)v}, mx_dtype_sizes[t]);
  else return v;
  return scalar_get(t, room);
}

static void scans_go_both_ways_inclusive_or_not(void **state) {
  (void)state;
  static line l;
  static const mx_opcode ops[] = {OP_cumsum, OP_cumprod, OP_cummax, OP_cummin, OP_logcumsumexp};
  for (int q = 0; q < 5; q++)
    for (int t = 0; t < ALL; t++) {
      mx_dtype type = all[t];
      if (ops[q] == OP_logcumsumexp && !mx_is_float(type)) continue;
      if (type == MX_C64 && ops[q] != OP_cumsum) continue;
      for (int layout = 0; layout < LAYOUTS; layout++)
        for (int axis = 0; axis < 3; axis++)
          for (int way = 0; way < 4; way++)
            for (int inplace = 0; inplace < (layout ? 1 : 2); inplace++) {
              int32_t shape[] = {3, 7, axis == 1 ? 140 : 5};
              tensor x = tensor_new(type, 3, shape, layout), copy = tensor_new(type, 3, shape, 0), out = tensor_new(type, 3, shape, 0);
              tensor *in[] = {&x}, *res = inplace ? &x : &out;
              tensor_fill(&x, ops[q] != OP_cumprod);
              if (mx_is_inexact(type) && q >= 2 && q < 4) tensor_set(&x, 40, NAN);
              for (int64_t i = 0; i < x.v.size; i++) tensor_set(&copy, i, tensor_get(&x, i));
              assert_int_equal(call_kernel(ops[q], 1, in, res, 3, (int64_t[]){axis, way & 1, way >> 1}), 0);
              for (int64_t i = 0; i < x.v.size / shape[axis]; i++) {
                line_of(&x, axis, i, &l);
                double a = scan_start(ops[q], type);
                for (int64_t k = 0; k < l.n; k++) {
                  int64_t at = l.index[way & 1 ? l.n - 1 - k : k];
                  double next = wrap(type, scan_step(ops[q], type, a, tensor_get(&copy, at)));
                  ASSERT_CLOSE(tensor_get(res, at), way >> 1 ? next : a, mx_is_inexact(type) ? 30 * tolerance(type) : 0);
                  a = next;
                }
              }
              tensor_free(&x), tensor_free(&copy), tensor_free(&out);
            }
    }
}

/* ---- softmax and norms ---- */

static void softmax_and_logsumexp_match_doubles(void **state) {
  (void)state;
  static const int sizes[] = {1, 2, 5, 16, 33, 1000};
  for (int t = 0; t < 4; t++)
    for (size_t s = 0; s < 6; s++)
      for (int layout = 0; layout < LAYOUTS; layout++) {
        int32_t n = sizes[s], shape[] = {3, 2, n}, one[] = {3, 2, 1};
        tensor x = tensor_new(floats[t], 3, shape, layout), out = tensor_new(floats[t], 3, shape, 0), sum = tensor_new(floats[t], 3, one, 0);
        tensor_fill(&x, false);
        for (int64_t i = 0; i < x.v.size; i += 3) tensor_set(&x, i, 20 * tensor_get(&x, i) + 50);
        tensor *in[] = {&x};
        assert_int_equal(call_kernel(OP_softmax, 1, in, &out, 1, (int64_t[]){1}), 0);
        assert_int_equal(call_kernel(OP_logsumexp, 1, in, &sum, 0, NULL), 0);
        for (int r = 0; r < 6; r++) {
          double top = -INFINITY, total = 0;
          for (int k = 0; k < n; k++) top = fmax(top, tensor_get(&x, r * n + k));
          for (int k = 0; k < n; k++) total += exp(tensor_get(&x, r * n + k) - top);
          for (int k = 0; k < n; k++) ASSERT_CLOSE(tensor_get(&out, r * n + k), exp(tensor_get(&x, r * n + k) - top) / total, tolerance(floats[t]));
          ASSERT_CLOSE(tensor_get(&sum, r), top + log(total), 60 * tolerance(floats[t]));
        }
        tensor_free(&x), tensor_free(&out), tensor_free(&sum);
      }
}

static void softmax_of_infinities_and_nan(void **state) {
  (void)state;
  static const double rows[][4] = {{-INFINITY, 1, 1, -INFINITY}, {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, {0, INFINITY, 0, 1}, {0, NAN, 1, 2}};
  static const double sums[] = {1.6931471805599454, -INFINITY, INFINITY, NAN};
  for (int t = 0; t < 4; t++)
    for (int r = 0; r < 4; r++) {
      tensor x = tensor_new(floats[t], 1, (int32_t[]){4}, 0), out = tensor_new(floats[t], 1, (int32_t[]){4}, 0), *in[] = {&x};
      tensor sum = tensor_new(floats[t], 1, (int32_t[]){1}, 0);
      for (int i = 0; i < 4; i++) tensor_set(&x, i, rows[r][i]);
      assert_int_equal(call_kernel(OP_softmax, 1, in, &out, 1, (int64_t[]){0}), 0);
      assert_int_equal(call_kernel(OP_logsumexp, 1, in, &sum, 0, NULL), 0);
      ASSERT_CLOSE(tensor_get(&sum, 0), sums[r], tolerance(floats[t]));
      if (r == 0)
        for (int i = 0; i < 4; i++) ASSERT_CLOSE(tensor_get(&out, i), i == 0 || i == 3 ? 0 : 0.5, 1e-6);
      else
        ASSERT_CLOSE(tensor_get(&out, 1), NAN, 0);
      tensor_free(&x), tensor_free(&out), tensor_free(&sum);
    }
}

static void softmax_of_complex_numbers(void **state) {
  (void)state;
  tensor x = tensor_new(MX_C64, 1, (int32_t[]){3}, 1), out = tensor_new(MX_C64, 1, (int32_t[]){3}, 0), *in[] = {&x};
  static const float re[] = {1, 90, 91}, im[] = {0.5f, -1, 2};
  double _Complex total = 0;
  for (int i = 0; i < 3; i++) {
    *(mx_c64 *)tensor_ptr(&x, i) = CMPLXF(re[i], im[i]);
    total += cexp(re[i] - 91 + im[i] * I);
  }
  assert_int_equal(call_kernel(OP_softmax, 1, in, &out, 1, (int64_t[]){1}), 0);
  for (int i = 0; i < 3; i++) {
    double _Complex want = cexp(re[i] - 91 + im[i] * I) / total;
    ASSERT_CLOSE(crealf(*(mx_c64 *)tensor_ptr(&out, i)), creal(want), 1e-6);
    ASSERT_CLOSE(cimagf(*(mx_c64 *)tensor_ptr(&out, i)), cimag(want), 1e-6);
  }
  tensor_free(&x), tensor_free(&out);
}

static void norms_match_doubles(void **state) {
  (void)state;
  static const int sizes[] = {1, 3, 16, 31, 64, 500};
  for (int t = 0; t < 4; t++)
    for (size_t s = 0; s < 6; s++)
      for (int layout = 0; layout < LAYOUTS; layout++)
        for (int given = 0; given < 4; given++) {
          int32_t n = sizes[s], shape[] = {3, 2, n};
          mx_dtype type = floats[t];
          tensor x = tensor_new(type, 3, shape, layout), w = tensor_new(type, 1, &n, layout % 4), b = tensor_new(type, 1, &n, 0);
          tensor out = tensor_new(type, 3, shape, 0), *in[3] = {&x};
          int nin = 1, has_w = given & 1, has_b = given >> 1;
          tensor_fill(&x, false), tensor_fill(&w, false), tensor_fill(&b, false);
          for (int64_t i = 0; i < x.v.size; i++) tensor_set(&x, i, tensor_get(&x, i) * 3 + 1);
          if (has_w) in[nin++] = &w;
          if (has_b) in[nin++] = &b;
          for (int centre = 0; centre < 2; centre++) {
            if (!centre && has_b) continue;
            int64_t p[] = {mx_bits(1e-5), has_w, has_b};
            assert_int_equal(call_kernel(centre ? OP_layer_norm : OP_rms_norm, nin, in, &out, 2 + centre, p), 0);
            for (int r = 0; r < 6; r++) {
              double mean = 0, square = 0;
              for (int k = 0; k < n && centre; k++) mean += tensor_get(&x, r * n + k) / n;
              for (int k = 0; k < n; k++) square += pow(tensor_get(&x, r * n + k) - mean, 2) / n;
              for (int k = 0; k < n; k++) {
                double v = (tensor_get(&x, r * n + k) - mean) / sqrt(square + 1e-5);
                if (has_w) v *= tensor_get(&w, k);
                if (has_b) v += tensor_get(&b, k);
                ASSERT_CLOSE(tensor_get(&out, r * n + k), v, 6 * tolerance(type));
              }
            }
          }
          tensor_free(&x), tensor_free(&w), tensor_free(&b), tensor_free(&out);
        }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sorts_are_stable_with_nan_last),
      cmocka_unit_test(a_long_sort_agrees_with_qsort),
      cmocka_unit_test(sorts_of_patterns),
      cmocka_unit_test(argmin_and_argmax_give_the_first_and_nan_wins),
      cmocka_unit_test(scans_go_both_ways_inclusive_or_not),
      cmocka_unit_test(softmax_and_logsumexp_match_doubles),
      cmocka_unit_test(softmax_of_infinities_and_nan),
      cmocka_unit_test(softmax_of_complex_numbers),
      cmocka_unit_test(norms_match_doubles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
