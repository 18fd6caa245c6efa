/* matmul, addmm and the convolutions against plain sums in double. */
#include "kernels_testing.h"

#include "backend/cpu/conv.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/isa.h"

static double tolerance(mx_dtype t, double terms) {
  return (t == MX_F64 ? 1e-13 : t == MX_F16 ? 2e-3 : t == MX_BF16 ? 1.6e-2 : 1e-6) * (sqrt(terms) + 2);
}

static mx_c64 element(const tensor *x, int64_t i) {
  return x->v.dtype == MX_C64 ? *(mx_c64 *)tensor_ptr(x, i) : (mx_c64)CMPLXF((float)tensor_get(x, i), 0);
}

/* Checks that out (batch, m, n) = alpha a b + beta c. */
static void check_product(mx_dtype t, int batch, int m, int n, int k, int la, int lb, bool with_c) {
  tensor a = tensor_new(t, 3, (int32_t[]){batch, m, k}, la), b = tensor_new(t, 3, (int32_t[]){batch, k, n}, lb);
  tensor c = tensor_new(t, 3, (int32_t[]){batch, m, n}, la), out = tensor_new(t, 3, (int32_t[]){batch, m, n}, 0);
  tensor_fill(&a, false);
  tensor_fill(&b, false);
  tensor_fill(&c, false);
  tensor_fill(&out, false);
  double alpha = with_c ? 0.5 : 1, beta = with_c ? -2 : 0;
  tensor *in[] = {&c, &a, &b};
  if (with_c) assert_int_equal(call_kernel(OP_addmm, 3, in, &out, 2, (int64_t[]){mx_bits(alpha), mx_bits(beta)}), 0);
  else assert_int_equal(call_kernel(OP_matmul, 2, in + 1, &out, 0, NULL), 0);
  int64_t step = out.v.size > 4000 ? 61 : out.v.size > 300 ? 3 : 1; /* of many, some */
  for (int64_t i = 0; i < out.v.size; i += step) {
    int64_t col = i % n, row = i / n % m, q = i / n / m;
    double re = 0, im = 0;
    for (int64_t p = 0; p < k; p++) {
      int64_t ia = (q * m + row) * k + p, ib = (q * k + p) * n + col;
      if (t == MX_F64) {
        re += tensor_get(&a, ia) * tensor_get(&b, ib);
        continue;
      }
      double _Complex x = element(&a, ia), y = element(&b, ib);
      re += creal(x) * creal(y) - cimag(x) * cimag(y);
      im += creal(x) * cimag(y) + cimag(x) * creal(y);
    }
    double tol = tolerance(t, k);
    ASSERT_CLOSE(tensor_get(&out, i), alpha * re + beta * tensor_get(&c, i), tol);
    if (t == MX_C64) ASSERT_CLOSE(cimagf(element(&out, i)), alpha * im + beta * cimagf(element(&c, i)), tol);
  }
  tensor_free(&a), tensor_free(&b), tensor_free(&c), tensor_free(&out);
}

static const mx_dtype floats[] = {MX_F32, MX_F64, MX_F16, MX_BF16, MX_C64};

static void products_of_any_layout_match_plain_sums(void **state) {
  (void)state;
  static const int sizes[][4] = {{1, 1, 1, 1}, {1, 3, 5, 7}, {2, 1, 9, 33}, {2, 17, 1, 40}, {3, 8, 16, 0}, {1, 33, 65, 19}, {4, 5, 6, 300}};
  for (size_t t = 0; t < 5; t++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (int la = 0; la < LAYOUTS; la++)
        for (int lb = 0; lb < LAYOUTS; lb++)
          for (int c = 0; c < 2; c++)
            check_product(floats[t], sizes[s][0], sizes[s][1], sizes[s][2], sizes[s][3], la, lb, c);
}

static void large_products_are_cut_into_tiles(void **state) {
  (void)state;
  check_product(MX_F32, 1, 300, 700, 260, 0, 0, false);
  check_product(MX_F32, 1, 270, 330, 400, 2, 2, true);
  check_product(MX_BF16, 3, 200, 330, 300, 0, 4, false);
  check_product(MX_F32, 1, 1, 3000, 500, 0, 0, false);
  check_product(MX_F32, 1, 3000, 1, 500, 0, 0, true);
}

static void transposed_matrices_need_no_copy_and_give_the_same(void **state) {
  (void)state;
  enum { M = 37, N = 29, K = 51 };
  static float a[M * K], at[K * M], b[K * N], bt[N * K], c[4][M * N];
  for (int i = 0; i < M; i++)
    for (int p = 0; p < K; p++) at[p * M + i] = a[i * K + p] = (float)test_uniform();
  for (int p = 0; p < K; p++)
    for (int j = 0; j < N; j++) bt[j * K + p] = b[p * N + j] = (float)test_uniform();
  for (int q = 0; q < 4; q++) {
    mx_matrix ma = q & 1 ? (mx_matrix){at, 1, M} : (mx_matrix){a, K, 1}, mb = q & 2 ? (mx_matrix){bt, 1, K} : (mx_matrix){b, N, 1};
    assert_int_equal(mx_gemm(MX_F32, M, N, K, 1, ma, mb, 0, c[q], N), 0);
    for (int i = 0; i < M * N; i++) ASSERT_CLOSE(c[q][i], c[0][i], 1e-5);
  }
}

static void our_own_product_matches_plain_sums(void **state) {
  (void)state;
  static const int sizes[][3] = {{1, 1, 1}, {7, 5, 3}, {6, 16, 256}, {97, 513, 257}, {100, 30, 600}, {1, 1000, 300}, {300, 1, 1000}, {14, 14, 300}, {6, 6, 40}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int t = 0; t < 2; t++) {
      int m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      mx_dtype type = t ? MX_F64 : MX_F32;
      tensor a = tensor_new(type, 2, (int32_t[]){m, k}, 2), b = tensor_new(type, 2, (int32_t[]){k, n}, 1);
      tensor c = tensor_new(type, 2, (int32_t[]){m, n}, 0);
      tensor_fill(&a, false), tensor_fill(&b, false), tensor_fill(&c, false);
      double before = tensor_get(&c, 0);
      mx_matrix ma = {a.v.data, a.strides[0], a.strides[1]}, mb = {b.v.data, b.strides[0], b.strides[1]};
      assert_int_equal(mx_gemm_own(type, m, n, k, 2, ma, mb, 0.5, c.v.data, n), 0);
      int64_t some[] = {0, (int64_t)m * n - 1, (int64_t)m * n / 2};
      for (int q = 0; q < 3; q++) {
        double s2 = 0;
        for (int p = 0; p < k; p++) s2 += tensor_get(&a, some[q] / n * k + p) * tensor_get(&b, (int64_t)p * n + some[q] % n);
        if (q == 0) ASSERT_CLOSE(tensor_get(&c, 0), 2 * s2 + 0.5 * before, tolerance(type, k));
      }
      for (int q = 0; q < 2; q++) { /* beta 0 does not read c */
        if (q) tensor_set(&c, 0, NAN);
        assert_int_equal(mx_gemm_own(type, m, n, k, 1, ma, mb, 0, c.v.data, n), 0);
      }
      for (int q = 0; q < 3; q++) {
        double s2 = 0;
        for (int p = 0; p < k; p++) s2 += tensor_get(&a, some[q] / n * k + p) * tensor_get(&b, (int64_t)p * n + some[q] % n);
        ASSERT_CLOSE(tensor_get(&c, some[q]), s2, tolerance(type, k));
      }
      tensor_free(&a), tensor_free(&b), tensor_free(&c);
    }
}

/* Rows of any layout, also those that cannot be joined, by one matrix (k, n) or a turned (n, k). */
static void check_rows_by_matrix(mx_dtype t, int m, int n, int k, int la, int lb, bool turned) {
  tensor a = tensor_new(t, 3, (int32_t[]){3, m, k}, la), b = tensor_new(t, 2, turned ? (int32_t[]){n, k} : (int32_t[]){k, n}, lb);
  tensor out = tensor_new(t, 3, (int32_t[]){3, m, n}, 0), *in[] = {&a, &b};
  tensor_fill(&a, false), tensor_fill(&b, false), tensor_fill(&out, false);
  assert_int_equal(call_kernel(OP_matmul, 2, in, &out, turned, (int64_t[]){MX_TURNED}), 0);
  for (int64_t i = 0; i < out.v.size; i += out.v.size > 300 ? 7 : 1) {
    double sum = 0;
    for (int64_t p = 0; p < k; p++) sum += tensor_get(&a, i / n * k + p) * tensor_get(&b, turned ? i % n * k + p : p * n + i % n);
    ASSERT_CLOSE(tensor_get(&out, i), sum, tolerance(t, k));
  }
  tensor_free(&a), tensor_free(&b), tensor_free(&out);
}

static void one_matrix_multiplies_all_rows(void **state) {
  (void)state;
  static const int sizes[][3] = {{1, 1, 1}, {1, 90, 200}, {5, 7, 0}, {6, 33, 19}, {40, 130, 300}};
  for (int t = 0; t < 4; t++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (int layout = 0; layout < LAYOUTS * LAYOUTS; layout++)
        for (int turned = 0; turned < 2; turned++)
          check_rows_by_matrix(floats[t], sizes[s][0], sizes[s][1], sizes[s][2], layout / LAYOUTS, layout % LAYOUTS, turned);
}

/* For each instruction set that there is. */
#define EACH_ISA                                                                                       \
  for (const char *const *isa_ = (const char *const[]){"base", "avx2", "avx512", "avx512_bf16", NULL}; \
       *isa_ || (mx_isa_use(best_isa), 0); isa_++)                                                     \
    if (!mx_isa_use(*isa_))
static const char *best_isa;

static void products_of_integers_wrap(void **state) {
  (void)state;
  static const mx_dtype types[] = {MX_BOOL, MX_U8, MX_U16, MX_U32, MX_U64, MX_I8, MX_I16, MX_I32, MX_I64};
  static const int sizes[][4] = {{1, 1, 1, 1}, {2, 1, 9, 33}, {2, 17, 1, 40}, {3, 8, 16, 0}, {2, 13, 131, 300}, {1, 200, 70, 3}};
  EACH_ISA for (size_t t = 0; t < sizeof types / sizeof *types; t++)
    for (size_t q = 0; q < sizeof sizes / sizeof *sizes; q++)
      for (int layout = 0; layout < 25; layout++) {
        int batch = sizes[q][0], m = sizes[q][1], n = sizes[q][2], k = sizes[q][3];
        tensor a = tensor_new(types[t], 3, (int32_t[]){batch, m, k}, layout / 5), b = tensor_new(types[t], 3, (int32_t[]){batch, k, n}, layout % 5);
        tensor out = tensor_new(types[t], 3, (int32_t[]){batch, m, n}, 0), *in[] = {&a, &b};
        tensor_fill(&a, true), tensor_fill(&b, true);
        assert_int_equal(call_kernel(OP_matmul, 2, in, &out, 0, NULL), 0);
        for (int64_t i = 0; i < out.v.size; i += out.v.size > 300 ? 7 : 1) {
          int64_t col = i % n, row = i / n % m, z = i / n / m, sum = 0;
          for (int64_t p = 0; p < k; p++) sum += (int64_t)(tensor_get(&a, (z * m + row) * k + p) * tensor_get(&b, (z * k + p) * n + col));
          double want;
          uint64_t memory;
          scalar_set(types[t], &memory, (double)(types[t] == MX_BOOL ? sum != 0 : sum));
          want = scalar_get(types[t], &memory);
          if (types[t] == MX_U8 || types[t] == MX_I8 || types[t] == MX_U16 || types[t] == MX_I16 || sum >= 0 || mx_dtype_kinds[types[t]] == 'i')
            ASSERT_CLOSE(tensor_get(&out, i), want, 0);
        }
        tensor_free(&a), tensor_free(&b), tensor_free(&out);
      }
}

static void sums_of_bytes_are_exact(void **state) {
  (void)state;
  static const int sizes[][3] = {{1, 1, 1}, {1, 40, 5}, {9, 33, 7}, {3, 70, 1030}, {23, 64, 130}, {15, 1, 2050}};
  EACH_ISA for (int sign = 0; sign < 4; sign++)
    for (size_t q = 0; q < sizeof sizes / sizeof *sizes; q++)
      for (int layout = 0; layout < 16; layout++) {
        int m = sizes[q][0], n = sizes[q][1], k = sizes[q][2];
        tensor a = tensor_new(sign & 1 ? MX_I8 : MX_U8, 2, (int32_t[]){m, k}, layout / 4);
        tensor b = tensor_new(sign & 2 ? MX_I8 : MX_U8, 2, (int32_t[]){k, n}, layout % 4);
        tensor out = tensor_new(MX_I32, 2, (int32_t[]){m, n}, 0), *in[] = {&a, &b};
        for (int64_t i = 0; i < a.v.size; i++) *(uint8_t *)tensor_ptr(&a, i) = (uint8_t)(i % 3 ? test_random() : 0x80 - i % 2);
        for (int64_t i = 0; i < b.v.size; i++) *(uint8_t *)tensor_ptr(&b, i) = (uint8_t)(i % 3 ? test_random() : 0xff);
        assert_int_equal(call_kernel(OP_matmul, 2, in, &out, 1, (int64_t[]){MX_I32}), 0);
        for (int64_t i = 0; i < out.v.size; i += 3) {
          double sum = 0;
          for (int64_t p = 0; p < k; p++) sum += tensor_get(&a, i / n * k + p) * tensor_get(&b, p * n + i % n);
          ASSERT_CLOSE(tensor_get(&out, i), sum, 0);
        }
        tensor_free(&a), tensor_free(&b), tensor_free(&out);
      }
}

static void halves_match_plain_sums_under_every_instruction_set(void **state) {
  (void)state;
  EACH_ISA for (int t = 2; t < 4; t++)
    for (int layout = 0; layout < 16; layout++) {
      check_product(floats[t], 2, 31, 75, 300, layout / 4, layout % 4, layout % 2);
      check_product(floats[t], 1, 1, 1030, 37, layout / 4, layout % 4, false);
      check_product(floats[t], 1, 70, 1, 1100, layout / 4, layout % 4, true);
    }
}

/* Packed once: parts of k (odd ones too), of n and tiles that are not whole, rows that lie a power of two apart. */
static void large_products_match_plain_sums_under_every_instruction_set(void **state) {
  (void)state;
  static const mx_dtype types[] = {MX_F32, MX_F16, MX_BF16, MX_F64};
  EACH_ISA for (int t = 0; t < 4; t++)
    for (int layout = 0; layout < 16; layout++) {
      check_product(types[t], 1, 130, 77, 515, layout / 4, layout % 4, layout % 2);
      check_product(types[t], 2, 33, 520, 256, layout / 4, layout % 4, false);
    }
  for (int t = 0; t < 4; t++) check_product(types[t], 1, 32, 1100, 8200, 0, 2 * (t % 2), t == 1); /* b in two goes */
}

/* Few rows, and few columns: whole vectors and parts of them, pieces of k, both ways that W may lie. */
static void few_rows_match_plain_sums_under_every_instruction_set(void **state) {
  (void)state;
  static const mx_dtype types[] = {MX_F32, MX_F16, MX_BF16};
  EACH_ISA for (int t = 0; t < 3; t++)
    for (int m = 1; m <= 9; m++)
      for (int layout = 0; layout < 9; layout++) {
        check_product(types[t], 2, m, 275, 67, layout / 3, layout % 3, m % 2);
        check_product(types[t], 1, 33, m, 1030, layout / 3, layout % 3, m % 2);
      }
}

/* ---- convolutions ---- */

typedef struct conv_case {
  int n;                               /* spatial dimensions */
  int batch, c, o, groups, flip;
  int in[3], kernel[3], stride[3], low[3], high[3], kernel_dilation[3], input_dilation[3];
} conv_case;

static void check_conv(const conv_case *k, mx_dtype t, int layout) {
  int n = k->n, nd = n + 2;
  int32_t xs[5], ws[5], ys[5];
  int64_t p[32];
  int np = 0;
  xs[0] = ys[0] = k->batch;
  ws[0] = ys[nd - 1] = k->o;
  xs[nd - 1] = k->c;
  ws[nd - 1] = k->c / k->groups;
  p[np++] = n;
  for (int d = 0; d < n; d++) p[np++] = k->stride[d];
  for (int d = 0; d < n; d++) p[np++] = k->low[d];
  for (int d = 0; d < n; d++) p[np++] = k->high[d];
  for (int d = 0; d < n; d++) p[np++] = k->kernel_dilation[d];
  for (int d = 0; d < n; d++) p[np++] = k->input_dilation[d];
  p[np++] = k->groups;
  p[np++] = k->flip;
  for (int d = 0; d < n; d++) {
    int in = (k->in[d] - 1) * k->input_dilation[d] + 1 + k->low[d] + k->high[d];
    xs[1 + d] = k->in[d];
    ws[1 + d] = k->kernel[d];
    ys[1 + d] = (in - (k->kernel[d] - 1) * k->kernel_dilation[d] - 1) / k->stride[d] + 1;
  }
  tensor x = tensor_new(t, nd, xs, layout), w = tensor_new(t, nd, ws, layout), y = tensor_new(t, nd, ys, layout);
  tensor rx = tensor_new(t, nd, xs, 0), rw = tensor_new(t, nd, ws, 0), ry = tensor_new(t, nd, ys, 0);
  tensor px = tensor_new(t, nd, xs, 0), pw = tensor_new(t, nd, ws, 0), py = tensor_new(t, nd, ys, 0);
  tensor_fill(&x, false), tensor_fill(&w, false), tensor_fill(&y, false);
  const struct { mx_opcode op; tensor *a, *b, *res, *plain; const int32_t *extra; double terms; } ops[] = {
      {OP_conv, &x, &w, &ry, &py, NULL, (double)w.v.size / k->o},
      {OP_conv_grad_input, &y, &w, &rx, &px, xs, (double)w.v.size / k->o * 2},
      {OP_conv_grad_weight, &x, &y, &rw, &pw, ws, (double)y.v.size / k->o}};
  for (int q = 0; q < 3; q++) {
    for (int d = 0; d < n && ops[q].extra; d++) p[np + d] = ops[q].extra[1 + d];
    tensor *in[] = {ops[q].a, ops[q].b};
    mx_view views[] = {*tv(in[0]), *tv(in[1])}, plain = *tv(ops[q].plain);
    mx_call call = {ops[q].op, 2, 1, np + n, views, &plain, p, NULL};
    assert_int_equal(mx_conv_plain(&call), 0);
    assert_int_equal(call_kernel(ops[q].op, 2, in, ops[q].res, np + n, p), 0);
    for (int64_t i = 0; i < plain.size; i++)
      ASSERT_CLOSE(tensor_get(ops[q].res, i), tensor_get(ops[q].plain, i), 2 * tolerance(t, ops[q].terms));
  }
  tensor *all[] = {&x, &w, &y, &rx, &rw, &ry, &px, &pw, &py};
  for (int q = 0; q < 9; q++) tensor_free(all[q]);
}

/* Pixel by pixel in one place by hand, so that the plain kernel itself is checked. */
static void the_plain_convolution_is_right_by_hand(void **state) {
  (void)state;
  tensor x = tensor_new(MX_F32, 3, (int32_t[]){1, 4, 1}, 0), w = tensor_new(MX_F32, 3, (int32_t[]){1, 2, 1}, 0);
  tensor y = tensor_new(MX_F32, 3, (int32_t[]){1, 5, 1}, 0);
  for (int i = 0; i < 4; i++) tensor_set(&x, i, i + 1);
  tensor_set(&w, 0, 10);
  tensor_set(&w, 1, 1);
  static const double plain[] = {1, 12, 23, 34, 40}, flipped[] = {10, 21, 32, 43, 4};
  for (int flip = 0; flip < 2; flip++) {
    tensor *in[] = {&x, &w};
    mx_view views[] = {*tv(in[0]), *tv(in[1])}, out = *tv(&y);
    int64_t p[] = {1, 1, 1, 1, 1, 1, 1, flip};
    mx_call call = {OP_conv, 2, 1, 8, views, &out, p, NULL};
    assert_int_equal(mx_conv_plain(&call), 0);
    for (int i = 0; i < 5; i++) ASSERT_CLOSE(tensor_get(&y, i), flip ? flipped[i] : plain[i], 0);
  }
  tensor_free(&x), tensor_free(&w), tensor_free(&y);
}

static void convolutions_and_their_gradients_match_plain_loops(void **state) {
  (void)state;
  static const conv_case cases[] = {
      {1, 2, 3, 4, 1, 0, {9}, {3}, {1}, {0}, {0}, {1}, {1}},
      {1, 1, 4, 6, 2, 1, {13}, {4}, {2}, {2}, {1}, {2}, {1}},
      {2, 3, 1, 16, 1, 0, {8, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
      {2, 5, 16, 8, 1, 0, {9, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
      {2, 2, 6, 4, 2, 0, {10, 11}, {3, 2}, {2, 3}, {1, 0}, {2, 1}, {2, 1}, {1, 1}},
      {2, 2, 3, 5, 1, 1, {5, 6}, {3, 3}, {1, 1}, {2, 1}, {2, 3}, {1, 1}, {2, 3}},
      {2, 2, 8, 8, 8, 0, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
      {2, 3, 7, 9, 1, 0, {6, 5}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
      {2, 3, 33, 20, 1, 0, {16, 15}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
      {2, 3, 7, 9, 1, 0, {6, 5}, {1, 1}, {2, 2}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
      {2, 34, 8, 9, 1, 0, {8, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
      {3, 2, 3, 4, 1, 0, {4, 5, 6}, {2, 3, 2}, {1, 2, 1}, {1, 0, 1}, {0, 1, 1}, {1, 1, 2}, {1, 2, 1}},
      {2, 1, 4, 70, 2, 1, {7, 6}, {3, 2}, {2, 1}, {2, 1}, {1, 0}, {1, 2}, {3, 2}},
      {2, 1, 80, 6, 2, 0, {3, 17}, {2, 3}, {1, 1}, {-1, -2}, {0, -1}, {1, 1}, {1, 1}},
      {2, 2, 3, 33, 1, 1, {9, 8}, {2, 2}, {4, 2}, {1, 0}, {1, 2}, {3, 2}, {2, 6}},
      {2, 2, 70, 70, 70, 0, {9, 7}, {3, 2}, {2, 1}, {1, 0}, {2, 1}, {1, 2}, {1, 1}},
      {2, 2, 37, 37, 37, 1, {5, 4}, {4, 5}, {3, 2}, {2, 1}, {2, 3}, {1, 2}, {2, 3}},
  };
  EACH_ISA for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int layout = 0; layout < 4; layout++)
      for (int t = 0; t < (i % 2 ? 1 : 4); t++) check_conv(&cases[i], floats[t], layout);
}

/* More than a block's room or places: cut along every axis, and the images; deep enough for the weights to be gone through in parts. */
static void large_convolutions_are_cut_into_blocks(void **state) {
  (void)state;
  static const conv_case cases[] = {
      {1, 1, 40, 5, 1, 0, {4000}, {3}, {1}, {1}, {1}, {1}, {1}},
      {2, 1, 3, 4, 1, 0, {130, 150}, {5, 5}, {2, 1}, {2, 2}, {2, 2}, {1, 1}, {1, 1}},
      {2, 70, 16, 20, 1, 0, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
      {2, 2, 512, 34, 1, 0, {4, 3}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
      {3, 2, 8, 4, 1, 0, {14, 20, 22}, {3, 2, 1}, {1, 1, 1}, {1, 1, 0}, {1, 0, 0}, {1, 1, 1}, {1, 1, 1}},
      {2, 1, 8, 8, 1, 0, {150, 30}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
  };
  EACH_ISA for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int t = 0; t < (i == 2 ? 3 : 1); t++) check_conv(&cases[i], floats[t], (int)i % 2);
}

int main(void) {
  best_isa = mx_isa_now->name;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_of_any_layout_match_plain_sums), cmocka_unit_test(one_matrix_multiplies_all_rows),
      cmocka_unit_test(large_products_are_cut_into_tiles),
      cmocka_unit_test(transposed_matrices_need_no_copy_and_give_the_same),
      cmocka_unit_test(our_own_product_matches_plain_sums),
      cmocka_unit_test(products_of_integers_wrap),
      cmocka_unit_test(sums_of_bytes_are_exact),
      cmocka_unit_test(halves_match_plain_sums_under_every_instruction_set),
      cmocka_unit_test(large_products_match_plain_sums_under_every_instruction_set),
      cmocka_unit_test(few_rows_match_plain_sums_under_every_instruction_set),
      cmocka_unit_test(the_plain_convolution_is_right_by_hand),
      cmocka_unit_test(convolutions_and_their_gradients_match_plain_loops),
      cmocka_unit_test(large_convolutions_are_cut_into_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
