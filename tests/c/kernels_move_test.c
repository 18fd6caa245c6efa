/* Kernels that move elements: contiguous, concatenate, pad, slices, gather and scatter, against plain loops over indices. */
#include "backend/cpu/isa.h"
#include "kernels_testing.h"

static const mx_dtype all[] = {MX_BOOL, MX_U8, MX_U16, MX_U32, MX_U64, MX_I8, MX_I16, MX_I32, MX_I64, MX_F16, MX_BF16, MX_F32, MX_F64, MX_C64};
enum { ALL = 14 };

static bool same(const void *a, const void *b, mx_dtype t) { return !memcmp(a, b, mx_dtype_sizes[t]); }

/* Multi-index of the ith element of a shape, and back. */
static void unravel(int nd, const int32_t *shape, int64_t i, int64_t *at) {
  for (int d = nd - 1; d >= 0; d--) at[d] = i % shape[d], i /= shape[d];
}
static int64_t ravel(int nd, const int32_t *shape, const int64_t *at) {
  int64_t i = 0;
  for (int d = 0; d < nd; d++) i = i * shape[d] + at[d];
  return i;
}

static double combine(int mode, double a, double b, mx_dtype t) {
  if (t == MX_BOOL) return mode == 0 ? b : mode == 1 || mode == 3 ? (a != 0 || b != 0) : (a != 0 && b != 0);
  switch (mode) {
    case 0: return b;
    case 1: return a + b;
    case 2: return a * b;
    case 3: return a > b ? a : b;
    default: return a < b ? a : b;
  }
}

static void contiguous_copies_any_layout(void **state) {
  (void)state;
  for (int t = 0; t < ALL; t++)
    for (int layout = 0; layout < LAYOUTS; layout++) {
      int32_t shape[] = {5, 1, 7, 3};
      tensor x = tensor_new(all[t], 4, shape, layout), out = tensor_new(all[t], 4, shape, 0), *in[] = {&x};
      tensor_fill(&x, true);
      assert_int_equal(call_kernel(OP_contiguous, 1, in, &out, 1, (int64_t[]){0}), 0);
      for (int64_t i = 0; i < x.v.size; i++) assert_true(same(tensor_ptr(&out, i), tensor_ptr(&x, i), all[t]));
      tensor_free(&x), tensor_free(&out);
    }
}

static void transposed_copies_in_squares_and_their_rests(void **state) {
  (void)state;
  static const char *const isas[] = {"scalar", "avx2", "avx512"};
  static const mx_dtype types[] = {MX_U8, MX_F16, MX_F32, MX_F64};
  static const int32_t sizes[] = {3, 8, 16, 17, 33, 64, 65, 130, 300};
  enum { SIZES = 9 };
  const char *best = mx_isa_now->name;
  for (int k = 0; k < 3 * 4 * SIZES * SIZES; k++) {
    if (mx_isa_use(isas[k / (4 * SIZES * SIZES)])) continue;
    mx_dtype t = types[k / (SIZES * SIZES) % 4];
    int32_t shape[] = {2, sizes[k / SIZES % SIZES], sizes[k % SIZES]};
    tensor x = tensor_new(t, 3, shape, 0), out = tensor_new(t, 3, shape, 0), *in[] = {&x};
    for (int64_t i = 0; i < x.v.size * mx_dtype_sizes[t]; i++) ((uint8_t *)x.v.data)[i] = (uint8_t)test_random();
    x.strides[1] = 1; /* each of the two is turned over */
    x.strides[2] = shape[1];
    assert_int_equal(call_kernel(OP_contiguous, 1, in, &out, 1, (int64_t[]){0}), 0);
    for (int64_t i = 0; i < x.v.size; i++) assert_true(same(tensor_ptr(&out, i), tensor_ptr(&x, i), t));
    tensor_free(&x), tensor_free(&out);
  }
  mx_isa_use(best);
}

static void concatenate_joins_along_each_axis(void **state) {
  (void)state;
  for (int t = 0; t < ALL; t++)
    for (int axis = 0; axis < 3; axis++) {
      static const int sizes[] = {2, 0, 5, 1};
      tensor part[4], *in[4], out;
      int32_t shape[] = {3, 4, 5}, joined[] = {3, 4, 5};
      joined[axis] = 8;
      for (int k = 0; k < 4; k++) {
        shape[axis] = sizes[k];
        part[k] = tensor_new(all[t], 3, shape, k);
        tensor_fill(&part[k], true);
        in[k] = &part[k];
      }
      out = tensor_new(all[t], 3, joined, 0);
      assert_int_equal(call_kernel(OP_concatenate, 4, in, &out, 1, (int64_t[]){axis}), 0);
      for (int64_t i = 0; i < out.v.size; i++) {
        int64_t at[3], k = 0;
        unravel(3, joined, i, at);
        while (at[axis] >= sizes[k]) at[axis] -= sizes[k++];
        assert_true(same(tensor_ptr(&out, i), tensor_ptr(&part[k], ravel(3, part[k].shape, at)), all[t]));
      }
      for (int k = 0; k < 4; k++) tensor_free(&part[k]);
      tensor_free(&out);
    }
}

static void pad_puts_the_value_around(void **state) {
  (void)state;
  for (int t = 0; t < ALL; t++)
    for (int layout = 0; layout < LAYOUTS; layout++) {
      int32_t shape[] = {3, 4}, padded[] = {3 + 1 + 0, 4 + 2 + 3};
      tensor x = tensor_new(all[t], 2, shape, layout), v = tensor_new(all[t], 0, NULL, 0), out = tensor_new(all[t], 2, padded, 0);
      tensor *in[] = {&x, &v};
      tensor_fill(&x, true);
      tensor_set(&v, 0, 7);
      assert_int_equal(call_kernel(OP_pad, 2, in, &out, 4, (int64_t[]){1, 2, 0, 3}), 0);
      for (int i = 0; i < 4; i++)
        for (int k = 0; k < 9; k++) {
          bool inside = i >= 1 && k >= 2 && k < 6;
          assert_true(same(tensor_ptr(&out, i * 9 + k), inside ? tensor_ptr(&x, (i - 1) * 4 + k - 2) : v.v.data, all[t]));
        }
      tensor_free(&x), tensor_free(&v), tensor_free(&out);
    }
}

static void slice_update_combines_in_every_mode_and_direction(void **state) {
  (void)state;
  for (int t = 0; t < ALL; t++)
    for (int mode = 0; mode < 5; mode++)
      for (int layout = 0; layout < LAYOUTS; layout++)
        for (int inplace = 0; inplace < 2; inplace++) {
          int32_t shape[] = {6, 9}, part[] = {2, 3};
          tensor src = tensor_new(all[t], 2, shape, inplace ? 0 : layout), u = tensor_new(all[t], 2, part, layout);
          tensor out = tensor_new(all[t], 2, shape, 0), want = tensor_new(all[t], 2, shape, 0), *in[] = {&src, &u};
          tensor_fill(&src, true), tensor_fill(&u, true);
          for (int64_t i = 0; i < 54; i++) memcpy(tensor_ptr(&want, i), tensor_ptr(&src, i), mx_dtype_sizes[all[t]]);
          int64_t p[] = {mode, 1, 8, 5, -1, 3, -4}; /* rows 1, 4; columns 8, 4, 0 */
          assert_int_equal(call_kernel(OP_slice_update, 2, in, inplace ? &src : &out, 7, p), 0);
          for (int i = 0; i < 2; i++)
            for (int k = 0; k < 3; k++) {
              int64_t at = (1 + 3 * i) * 9 + 8 - 4 * k;
              if (all[t] == MX_C64) continue;
              tensor_set(&want, at, combine(mode, tensor_get(&want, at), tensor_get(&u, i * 3 + k), all[t]));
            }
          for (int64_t i = 0; i < 54; i++)
            if (all[t] != MX_C64) ASSERT_CLOSE(tensor_get(inplace ? &src : &out, i), tensor_get(&want, i), 0);
          tensor_free(&src), tensor_free(&u), tensor_free(&out), tensor_free(&want);
        }
}

static void dynamic_slices_are_clamped(void **state) {
  (void)state;
  static const int starts[][2] = {{0, 0}, {2, 3}, {-5, 100}, {100, -1}};
  for (int s = 0; s < 4; s++)
    for (int layout = 0; layout < LAYOUTS; layout++)
      for (int t = 0; t < ALL; t++) {
        int32_t shape[] = {5, 3, 7}, size[] = {2, 3, 4};
        tensor x = tensor_new(all[t], 3, shape, layout), start = tensor_new(MX_I32, 1, (int32_t[]){2}, layout == 3 ? 1 : 0);
        tensor out = tensor_new(all[t], 3, size, 0), whole = tensor_new(all[t], 3, shape, 0);
        tensor_fill(&x, true);
        tensor_set(&start, 0, starts[s][0]), tensor_set(&start, 1, starts[s][1]);
        int64_t r = starts[s][0] < 0 ? 0 : starts[s][0] > 3 ? 3 : starts[s][0];
        int64_t c = starts[s][1] < 0 ? 0 : starts[s][1] > 3 ? 3 : starts[s][1];
        tensor *in[] = {&x, &start};
        assert_int_equal(call_kernel(OP_dynamic_slice, 2, in, &out, 6, (int64_t[]){2, 0, 2, 2, 3, 4}), 0);
        for (int64_t i = 0; i < out.v.size; i++) {
          int64_t at[3];
          unravel(3, size, i, at);
          at[0] += r, at[2] += c;
          assert_true(same(tensor_ptr(&out, i), tensor_ptr(&x, ravel(3, shape, at)), all[t]));
        }
        tensor *in2[] = {&x, &out, &start};
        tensor_fill(&out, true);
        assert_int_equal(call_kernel(OP_dynamic_slice_update, 3, in2, &whole, 3, (int64_t[]){2, 0, 2}), 0);
        for (int64_t i = 0; i < whole.v.size; i++) {
          int64_t at[3];
          unravel(3, shape, i, at);
          bool inside = at[0] >= r && at[0] < r + 2 && at[2] >= c && at[2] < c + 4;
          int64_t from[] = {at[0] - r, at[1], at[2] - c};
          assert_true(same(tensor_ptr(&whole, i), inside ? tensor_ptr(&out, ravel(3, size, from)) : tensor_ptr(&x, i), all[t]));
        }
        tensor_free(&x), tensor_free(&start), tensor_free(&out), tensor_free(&whole);
      }
}

static void as_strided_grad_adds_where_elements_were_read(void **state) {
  (void)state;
  /* windows of 3, one apart, over 6 elements; and each element read four times by a stride of 0 */
  tensor g = tensor_new(MX_F32, 2, (int32_t[]){4, 3}, 1), out = tensor_new(MX_F32, 1, (int32_t[]){6}, 0), *in[] = {&g};
  for (int i = 0; i < 12; i++) tensor_set(&g, i, i + 1);
  assert_int_equal(call_kernel(OP_as_strided_grad, 1, in, &out, 7, (int64_t[]){2, 4, 3, 1, 1, 0, 6}), 0);
  double want[6] = {0};
  for (int i = 0; i < 12; i++) want[i / 3 + i % 3] += i + 1;
  for (int i = 0; i < 6; i++) ASSERT_CLOSE(tensor_get(&out, i), want[i], 0);
  assert_int_equal(call_kernel(OP_as_strided_grad, 1, in, &out, 7, (int64_t[]){2, 4, 3, -1, 0, 5, 6}), 0);
  for (int i = 0; i < 6; i++) ASSERT_CLOSE(tensor_get(&out, i), i < 2 ? 0 : (5 - i) * 9 + 6, 0);
  assert_int_equal(call_kernel(OP_as_strided_grad, 1, in, &out, 7, (int64_t[]){2, 4, 3, 2, 1, 0, 6}), MX_EINDEX);
  tensor_free(&g), tensor_free(&out);
  /* windows of 3 in each of 50 rows of 400: rows are apart */
  g = tensor_new(MX_F32, 3, (int32_t[]){50, 398, 3}, 2), out = tensor_new(MX_F32, 2, (int32_t[]){50, 400}, 0);
  tensor_fill(&g, true);
  int64_t p[] = {3, 50, 398, 3, 400, 1, 1, 0, 50, 400};
  assert_int_equal(call_kernel(OP_as_strided_grad, 1, in, &out, 10, p), 0);
  for (int r = 0; r < 50; r++)
    for (int k = 0; k < 400; k++) {
      double sum = 0;
      for (int q = 0; q < 3; q++)
        if (k - q >= 0 && k - q < 398) sum += tensor_get(&g, (r * 398 + k - q) * 3 + q);
      ASSERT_CLOSE(tensor_get(&out, r * 400 + k), sum, 0);
    }
  tensor_free(&g), tensor_free(&out);
}

/* ---- indexing ---- */

static const mx_dtype index_types[] = {MX_U8, MX_U16, MX_U32, MX_U64, MX_I8, MX_I16, MX_I32, MX_I64};

static void gather_reads_blocks_at_two_index_arrays(void **state) {
  (void)state;
  for (int t = 0; t < ALL; t++)
    for (int it = 0; it < 8; it++)
      for (int layout = 0; layout < LAYOUTS; layout++) {
        int32_t shape[] = {5, 4, 6, 3}, index[] = {2, 7}, size[] = {1, 4, 2, 3}, res[] = {2, 7, 1, 4, 2, 3};
        tensor x = tensor_new(all[t], 4, shape, layout), out = tensor_new(all[t], 6, res, 0);
        tensor i0 = tensor_new(index_types[it], 2, index, layout), i2 = tensor_new(MX_I32, 2, index, 4);
        bool is_signed = mx_dtype_kinds[index_types[it]] == 'i';
        tensor_fill(&x, true);
        for (int i = 0; i < 14; i++) {
          tensor_set(&i0, i, is_signed ? (double)(test_random() % 10) - 5 : test_random() % 5);
          tensor_set(&i2, i, (double)(test_random() % 5));
        }
        tensor *in[] = {&x, &i0, &i2};
        assert_int_equal(call_kernel(OP_gather, 3, in, &out, 7, (int64_t[]){2, 0, 2, size[0], size[1], size[2], size[3]}), 0);
        for (int64_t i = 0; i < out.v.size; i++) {
          int64_t at[6];
          unravel(6, res, i, at);
          int64_t n = at[0] * 7 + at[1], a = (int64_t)tensor_get(&i0, n), from[4] = {at[2], at[3], at[4], at[5]};
          from[0] += a < 0 ? a + 5 : a;
          from[2] += (int64_t)tensor_get(&i2, n);
          assert_true(same(tensor_ptr(&out, i), tensor_ptr(&x, ravel(4, shape, from)), all[t]));
        }
        tensor_free(&x), tensor_free(&i0), tensor_free(&i2), tensor_free(&out);
      }
}

static void scatter_applies_updates_in_order_in_every_mode(void **state) {
  (void)state;
  static const int widths[] = {1, 5, 300};
  for (int t = 0; t < ALL; t++)
    for (int mode = 0; mode < 5; mode++)
      for (int w = 0; w < 3; w++)
        for (int big = 0; big < 2; big++) {
          if (all[t] == MX_C64 || (mode == 2 && mx_is_inexact(all[t]))) continue;
          int32_t n = big ? 33000 / widths[w] + 200 : 11, rows = 7, shape[] = {rows, widths[w]}, index[] = {n}, up[] = {n, 1, widths[w]};
          if (big && t % 3) continue;
          tensor x = tensor_new(all[t], 2, shape, big), u = tensor_new(all[t], 3, up, w), i0 = tensor_new(MX_I64, 1, index, 1);
          tensor out = tensor_new(all[t], 2, shape, 0), want = tensor_new(all[t], 2, shape, 0), *in[] = {&x, &u, &i0};
          tensor_fill(&x, true);
          for (int64_t i = 0; i < u.v.size; i++) tensor_set(&u, i, test_random() % 3); /* sums stay exact in halves */
          for (int i = 0; i < n; i++) tensor_set(&i0, i, i % 9 == 1 ? -(double)(test_random() % rows) - 1 : test_random() % rows);
          if (mx_is_float(all[t]) && mx_dtype_sizes[all[t]] == 2 && big) for (int i = 0; i < n; i++) tensor_set(&u, i, 0);
          for (int64_t i = 0; i < x.v.size; i++) tensor_set(&want, i, tensor_get(&x, i));
          for (int i = 0; i < n; i++)
            for (int k = 0; k < widths[w]; k++) {
              int64_t r = (int64_t)tensor_get(&i0, i), at = (r < 0 ? r + rows : r) * widths[w] + k;
              tensor_set(&want, at, combine(mode, tensor_get(&want, at), tensor_get(&u, (int64_t)i * widths[w] + k), all[t]));
            }
          assert_int_equal(call_kernel(OP_scatter, 3, in, &out, 3, (int64_t[]){mode, 1, 0}), 0);
          for (int64_t i = 0; i < out.v.size; i++) ASSERT_CLOSE(tensor_get(&out, i), tensor_get(&want, i), 0);
          tensor_free(&x), tensor_free(&u), tensor_free(&i0), tensor_free(&out), tensor_free(&want);
        }
}

/* Enough updates for several rounds, places for several bins. */
static void scatter_of_many_updates_is_in_order(void **state) {
  (void)state;
  static const struct { mx_dtype t; int32_t rows, width, n; int layout; } of[] = {
      {MX_I32, 200000, 1, 300001, 0}, {MX_U8, 3000000, 1, 270000, 3}, {MX_I64, 70001, 1, 33000, 0},
      {MX_U16, 100, 1, 40000, 1},     {MX_F32, 30011, 3, 290000, 0},  {MX_I16, 5000, 40, 9000, 3}};
  for (int c = 0; c < 6; c++)
    for (int mode = 0; mode < 2; mode++) {
      int32_t rows = of[c].rows, width = of[c].width, n = of[c].n, shape[] = {rows, width}, up[] = {n, 1, width};
      tensor x = tensor_new(of[c].t, 2, shape, 0), u = tensor_new(of[c].t, 3, up, of[c].layout), index = tensor_new(MX_I32, 1, &n, 0);
      tensor out = tensor_new(of[c].t, 2, shape, 0), want = tensor_new(of[c].t, 2, shape, 0), *in[] = {&x, &u, &index};
      for (int64_t i = 0; i < x.v.size; i++) tensor_set(&x, i, i % 5), tensor_set(&want, i, i % 5);
      for (int64_t i = 0; i < u.v.size; i++) tensor_set(&u, i, test_random() % 9);
      for (int64_t i = 0; i < n; i++) {
        int64_t r = test_random() % (test_random() % 2 ? rows : rows / 50);
        tensor_set(&index, i, (double)(i % 3 ? r : r - rows));
        for (int64_t k = 0; k < width; k++)
          tensor_set(&want, r * width + k, combine(mode, tensor_get(&want, r * width + k), tensor_get(&u, i * width + k), of[c].t));
      }
      assert_int_equal(call_kernel(OP_scatter, 3, in, &out, 3, (int64_t[]){mode, 1, 0}), 0);
      for (int64_t i = 0; i < out.v.size; i++)
        if (tensor_get(&out, i) != tensor_get(&want, i)) fail_msg("case %d mode %d element %lld", c, mode, (long long)i);
      tensor_set(&index, n - 2, rows);
      assert_int_equal(call_kernel(OP_scatter, 3, in, &out, 3, (int64_t[]){mode, 1, 0}), MX_EINDEX);
      tensor_free(&x), tensor_free(&u), tensor_free(&index), tensor_free(&out), tensor_free(&want);
    }
}

static void scatter_of_overlapping_blocks_is_in_order(void **state) {
  (void)state;
  /* blocks of 3 columns that begin where the index says */
  tensor x = tensor_new(MX_F32, 2, (int32_t[]){4, 400}, 0), u = tensor_new(MX_F32, 3, (int32_t[]){90, 4, 260}, 0);
  tensor index = tensor_new(MX_I32, 1, (int32_t[]){90}, 0), out = tensor_new(MX_F32, 2, (int32_t[]){4, 400}, 0);
  tensor want = tensor_new(MX_F32, 2, (int32_t[]){4, 400}, 0), *in[] = {&x, &u, &index};
  tensor_fill(&u, false);
  for (int i = 0; i < 90; i++) tensor_set(&index, i, (i * 37) % 141);
  for (int i = 0; i < 90; i++)
    for (int r = 0; r < 4; r++)
      for (int k = 0; k < 260; k++) tensor_set(&want, r * 400 + (i * 37) % 141 + k, tensor_get(&u, (i * 4 + r) * 260 + k));
  assert_int_equal(call_kernel(OP_scatter, 3, in, &out, 3, (int64_t[]){0, 1, 1}), 0);
  for (int64_t i = 0; i < 1600; i++) ASSERT_CLOSE(tensor_get(&out, i), tensor_get(&want, i), 0);
  tensor_free(&x), tensor_free(&u), tensor_free(&index), tensor_free(&out), tensor_free(&want);
}

static void along_an_axis_every_line_has_its_own_indices(void **state) {
  (void)state;
  for (int axis = 0; axis < 3; axis++)
    for (int layout = 0; layout < 4; layout++)
      for (int t = 0; t < ALL; t++) {
        int32_t shape[] = {4, 5, 6}, few[] = {4, 5, 6};
        few[axis] = 3;
        tensor x = tensor_new(all[t], 3, shape, layout), index = tensor_new(MX_I16, 3, few, layout), out = tensor_new(all[t], 3, few, 0);
        tensor sum = tensor_new(all[t], 3, shape, 0), values = tensor_new(all[t], 3, few, layout), want = tensor_new(all[t], 3, shape, 0);
        tensor_fill(&x, true), tensor_fill(&values, true);
        for (int64_t i = 0; i < index.v.size; i++) tensor_set(&index, i, (double)(test_random() % (2 * shape[axis])) - shape[axis]);
        tensor *in[] = {&x, &index}, *in2[] = {&x, &index, &values};
        assert_int_equal(call_kernel(OP_gather_axis, 2, in, &out, 1, (int64_t[]){axis}), 0);
        for (int mode = 0; mode < 2; mode++) {
          for (int64_t i = 0; i < want.v.size; i++) memcpy(tensor_ptr(&want, i), tensor_ptr(&x, i), mx_dtype_sizes[all[t]]);
          assert_int_equal(call_kernel(OP_scatter_axis, 3, in2, &sum, 2, (int64_t[]){axis, mode}), 0);
          for (int64_t i = 0; i < index.v.size; i++) {
            int64_t at[3];
            unravel(3, few, i, at);
            at[axis] = (int64_t)tensor_get(&index, i);
            if (at[axis] < 0) at[axis] += shape[axis];
            int64_t to = ravel(3, shape, at);
            if (!mode) assert_true(same(tensor_ptr(&out, i), tensor_ptr(&x, to), all[t]));
            tensor_set(&want, to, combine(mode, tensor_get(&want, to), tensor_get(&values, i), all[t]));
          }
          for (int64_t i = 0; i < want.v.size; i++) ASSERT_CLOSE(tensor_get(&sum, i), tensor_get(&want, i), 0);
        }
        tensor_free(&x), tensor_free(&index), tensor_free(&out), tensor_free(&sum), tensor_free(&values), tensor_free(&want);
      }
}

/* Packed blocks of columns, blocks too long to be packed, and lines so long that they are scattered by bins. */
static void along_an_axis_of_long_lines(void **state) {
  (void)state;
  static const struct { int32_t dim, other, n; int axis; } of[] = {{3000, 70, 2000, 0}, {40000, 9, 30, 0}, {5000, 3, 40000, 1}};
  for (int c = 0; c < 3; c++)
    for (int mode = 0; mode < 2; mode++) {
      int axis = of[c].axis;
      int32_t shape[] = {of[c].other, of[c].other}, few[] = {of[c].other, of[c].other};
      shape[axis] = of[c].dim, few[axis] = of[c].n;
      tensor x = tensor_new(MX_I32, 2, shape, 0), index = tensor_new(MX_I64, 2, few, 0), values = tensor_new(MX_I32, 2, few, 0);
      tensor got = tensor_new(MX_I32, 2, few, 0), out = tensor_new(MX_I32, 2, shape, 0), want = tensor_new(MX_I32, 2, shape, 0);
      tensor *in[] = {&x, &index}, *in2[] = {&x, &index, &values};
      for (int64_t i = 0; i < x.v.size; i++) tensor_set(&x, i, (double)i), tensor_set(&want, i, (double)i);
      for (int64_t i = 0; i < index.v.size; i++) {
        int64_t at[2];
        unravel(2, few, i, at);
        at[axis] = test_random() % shape[axis];
        tensor_set(&index, i, (double)(i % 2 ? at[axis] : at[axis] - shape[axis])), tensor_set(&values, i, (double)(i % 100));
        int64_t to = ravel(2, shape, at);
        tensor_set(&want, to, combine(mode, tensor_get(&want, to), tensor_get(&values, i), MX_I32));
      }
      assert_int_equal(call_kernel(OP_gather_axis, 2, in, &got, 1, (int64_t[]){axis}), 0);
      for (int64_t i = 0; i < index.v.size; i++) {
        int64_t at[2], k = (int64_t)tensor_get(&index, i);
        unravel(2, few, i, at);
        at[axis] = k < 0 ? k + shape[axis] : k;
        if (tensor_get(&got, i) != (double)ravel(2, shape, at)) fail_msg("case %d element %lld", c, (long long)i);
      }
      assert_int_equal(call_kernel(OP_scatter_axis, 3, in2, &out, 2, (int64_t[]){axis, mode}), 0);
      for (int64_t i = 0; i < out.v.size; i++)
        if (tensor_get(&out, i) != tensor_get(&want, i)) fail_msg("case %d mode %d element %lld", c, mode, (long long)i);
      tensor_set(&index, 7, shape[axis]);
      assert_int_equal(call_kernel(OP_gather_axis, 2, in, &got, 1, (int64_t[]){axis}), MX_EINDEX);
      assert_int_equal(call_kernel(OP_scatter_axis, 3, in2, &out, 2, (int64_t[]){axis, mode}), MX_EINDEX);
      tensor_free(&x), tensor_free(&index), tensor_free(&values), tensor_free(&got), tensor_free(&out), tensor_free(&want);
    }
}

static void an_index_out_of_bounds_is_an_error_that_names_it(void **state) {
  (void)state;
  tensor x = tensor_new(MX_F32, 2, (int32_t[]){5, 4}, 0), index = tensor_new(MX_I32, 1, (int32_t[]){3}, 0);
  tensor out = tensor_new(MX_F32, 3, (int32_t[]){3, 5, 1}, 0), u = tensor_new(MX_F32, 3, (int32_t[]){3, 5, 1}, 0);
  tensor *in[] = {&x, &index}, *in2[] = {&x, &u, &index};
  static const int bad[] = {4, -5, INT32_MAX, INT32_MIN};
  for (int b = 0; b < 4; b++) {
    char want[80];
    tensor_set(&index, 1, bad[b]);
    snprintf(want, sizeof want, "index %d is out of bounds for axis 1 with size 4", bad[b]);
    assert_int_equal(call_kernel(OP_gather, 2, in, &out, 4, (int64_t[]){1, 1, 5, 1}), MX_EINDEX);
    assert_non_null(strstr(mx_error_message(), want));
    assert_int_equal(call_kernel(OP_scatter, 3, in2, &x, 3, (int64_t[]){1, 1, 1}), MX_EINDEX);
    assert_non_null(strstr(mx_error_message(), want));
    for (int i = 0; i < 20; i++) ASSERT_CLOSE(tensor_get(&x, i), 0, 0);
  }
  tensor rows = tensor_new(MX_I64, 2, (int32_t[]){5, 2}, 0), res = tensor_new(MX_F32, 2, (int32_t[]){5, 2}, 0);
  tensor whole = tensor_new(MX_F32, 2, (int32_t[]){5, 4}, 0), *in3[] = {&x, &rows}, *in4[] = {&x, &rows, &res};
  *(int64_t *)tensor_ptr(&rows, 7) = INT64_MIN;
  assert_int_equal(call_kernel(OP_gather_axis, 2, in3, &res, 1, (int64_t[]){1}), MX_EINDEX);
  assert_int_equal(call_kernel(OP_scatter_axis, 3, in4, &whole, 2, (int64_t[]){1, 1}), MX_EINDEX);
  assert_non_null(strstr(mx_error_message(), "index -9223372036854775808 is out of bounds for axis 1 with size 4"));
  tensor_free(&x), tensor_free(&index), tensor_free(&out), tensor_free(&u), tensor_free(&rows), tensor_free(&res), tensor_free(&whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(contiguous_copies_any_layout),
      cmocka_unit_test(transposed_copies_in_squares_and_their_rests),
      cmocka_unit_test(concatenate_joins_along_each_axis),
      cmocka_unit_test(pad_puts_the_value_around),
      cmocka_unit_test(slice_update_combines_in_every_mode_and_direction),
      cmocka_unit_test(dynamic_slices_are_clamped),
      cmocka_unit_test(as_strided_grad_adds_where_elements_were_read),
      cmocka_unit_test(gather_reads_blocks_at_two_index_arrays),
      cmocka_unit_test(scatter_applies_updates_in_order_in_every_mode),
      cmocka_unit_test(scatter_of_many_updates_is_in_order),
      cmocka_unit_test(scatter_of_overlapping_blocks_is_in_order),
      cmocka_unit_test(along_an_axis_every_line_has_its_own_indices),
      cmocka_unit_test(along_an_axis_of_long_lines),
      cmocka_unit_test(an_index_out_of_bounds_is_an_error_that_names_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
