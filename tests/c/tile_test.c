/* The tile interpreter against a run of the same instructions one element at a time, bit for bit; reductions against plain sums. */
#include "kernels_testing.h"

#include "backend/cpu/tile.h"

static const char *const isas[] = {"base", "avx2", "avx512"};
enum { ISAS = 3 };

static int half_of(int t) { return t == MX_F16 ? 1 : t == MX_BF16 ? 2 : 0; }

/* ---- one element at a time ---- */

typedef struct cell { _Alignas(16) char c[16]; } cell;

static void load_cell(cell *r, int dtype, const void *from) {
  memset(r, 0, sizeof *r);
  if (half_of(dtype))
    mx_isa_now->halves[half_of(dtype) - 1].load(1, r, from, NULL, NULL);
  else
    memcpy(r, from, mx_dtype_sizes[dtype]);
}
static void store_cell(void *to, int dtype, const cell *r) {
  if (half_of(dtype))
    mx_isa_now->halves[half_of(dtype) - 1].store(1, to, r, NULL, NULL);
  else
    memcpy(to, r, mx_dtype_sizes[dtype]);
}
static void plain_instr(cell *reg, const mx_instr *x) {
  int from = mx_dtype_tags[x->dtype], to = mx_dtype_tags[x->out_dtype];
  mx_loop f = x->op == OP_astype && from != to ? mx_isa_now->casts[from][to] : mx_isa_now->loops[from][x->op];
  cell r = {0};
  assert_non_null(f);
  f(1, &r, &reg[x->a], &reg[x->b], &reg[x->c]);
  if (half_of(x->out_dtype)) mx_isa_now->halves[half_of(x->out_dtype) - 1].round(1, &r, &r, NULL, NULL);
  reg[x->dst] = r;
}
/* Output o of element i, into a cell. */
static void plain_run(const mx_program *g, tensor *in, int64_t i, int o, cell *res) {
  cell reg[MX_PROGRAM_REGS];
  memset(reg, 0, sizeof reg);
  for (int k = 0; k < g->n_in; k++) load_cell(&reg[g->in[k].reg], g->in[k].dtype, tensor_ptr(&in[k], g->in[k].scalar ? 0 : i));
  for (int k = 0; k < g->n_ins; k++) plain_instr(reg, &g->ins[k]);
  *res = reg[g->out[o].reg];
}

/* ---- random programs ---- */

static const int dtypes[] = {MX_F32, MX_F16, MX_BF16, MX_F64, MX_C64, MX_I32, MX_U8, MX_I64, MX_BOOL, MX_U16, MX_I8};

static bool legal(int op, int dtype) { return mx_isa_now->loops[mx_dtype_tags[dtype]][op] != NULL; }
static int out_of(int op, int dtype) {
  switch (op) {
#define RESULT_SAME return dtype
#define RESULT_BOOL return MX_BOOL
#define RESULT_REAL return dtype == MX_C64 ? MX_F32 : dtype
#define UNARY(name, label, types, result, ...) case OP_##name: RESULT_##result;
#define UNARY_OWN UNARY
#define BINARY UNARY
#define TERNARY UNARY
#include "elementwise.def"
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY
    default: return dtype;
  }
}

static int pick_reg(const int *type, int n, int dtype) {
  int start = (int)(test_random() % (unsigned)n);
  for (int i = 0; i < n; i++)
    if (type[(start + i) % n] == dtype) return (start + i) % n;
  return -1;
}

static bool neighbours; /* of float alone, each often of the one before: two become one step */
static const int joined[][2] = {{OP_add, OP_multiply}, {OP_multiply, OP_add}, {OP_subtract, OP_exp}, {OP_sqrt, OP_add}, {OP_divide, OP_subtract}};

static void random_program(mx_program *g, int *type) {
  memset(g, 0, sizeof *g);
  g->n_in = 1 + test_random() % 4;
  g->n_reg = g->n_in + 3;
  for (int i = 0; i < g->n_in; i++) {
    type[i] = dtypes[test_random() % (i ? sizeof dtypes / sizeof *dtypes : 3)];
    if (i && test_random() % 2) type[i] = type[0];
    if (neighbours) type[i] = MX_F32;
    g->in[i] = (mx_port){(uint8_t)type[i], (uint8_t)i, test_random() % (neighbours ? 2 : 5) == 0, 0, 0};
  }
  for (int i = g->n_in; i < g->n_reg; i++) type[i] = -1;
  int want = (int)(test_random() % 9);
  for (int tries = 0; g->n_ins < want && tries < 400; tries++) {
    int op = 1 + (int)(test_random() % (OP_elementwise_end - 1)), a = (int)(test_random() % g->n_reg), b = a, c = a;
    bool second = false;
    if (type[a] < 0) continue;
    if (neighbours) {
      const mx_instr *before = g->n_ins ? &g->ins[g->n_ins - 1] : NULL;
      int pair = (int)(test_random() % 5);
      for (int k = 0; k < 5 && before; k++)
        if (joined[k][0] == before->op) pair = k;
      second = before && before->op == joined[pair][0] && test_random() % 4;
      op = joined[pair][second];
      if (second) a = before->dst;
    }
    int dtype = type[a], to;
    if (op == OP_select) {
      if (dtype != MX_BOOL) continue;
      b = (int)(test_random() % g->n_reg);
      if (type[b] < 0) continue;
      c = pick_reg(type, g->n_reg, type[b]);
      dtype = type[b];
      to = dtype;
    } else {
      b = pick_reg(type, g->n_reg, dtype);
      if (second && op != OP_exp && test_random() % 2) c = a, a = b, b = c;
      to = op == OP_astype ? dtypes[test_random() % (sizeof dtypes / sizeof *dtypes)] : out_of(op, dtype);
    }
    if (!legal(op, dtype)) continue;
    int dst = g->n_in + (int)(test_random() % 3);
    bool clash = mx_tag_sizes[mx_dtype_tags[dtype]] != mx_tag_sizes[mx_dtype_tags[to]] || op == OP_select;
    if (clash && (dst == a || dst == b || dst == c)) continue;
    g->ins[g->n_ins++] = (mx_instr){(uint16_t)op, (uint8_t)dtype, (uint8_t)to, (uint8_t)dst, (uint8_t)a, (uint8_t)b, (uint8_t)c};
    type[dst] = to;
  }
  g->n_out = 1 + test_random() % 3;
  for (int o = 0; o < g->n_out; o++) {
    int r = (int)(test_random() % g->n_reg);
    if (type[r] < 0) r = 0;
    g->out[o] = (mx_port){(uint8_t)type[r], (uint8_t)r, 0, test_random() % 2, 0};
  }
}

static const struct {
  int nd;
  int32_t shape[4];
} shapes[] = {{0, {0}}, {1, {1}}, {1, {7}}, {1, {100}}, {2, {3, 50}}, {1, {5000}}, {2, {70, 65}}, {3, {5, 1, 301}}, {3, {33, 3, 2}},
              {2, {1, 1000}}, {4, {3, 4, 5, 6}}, {2, {40000, 1}}, {2, {2, 9000}}, {3, {0, 4, 2}}, {2, {190, 170}}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static bool same_bits(int dtype, const void *a, const void *b) {
  if (!memcmp(a, b, mx_dtype_sizes[dtype])) return true;
  /* which NaN it is may depend on how a compiler orders the operands of a commutative instruction */
  if (dtype == MX_C64) {
    const float *x = a, *y = b;
    return (x[0] == y[0] || (x[0] != x[0] && y[0] != y[0])) && (x[1] == y[1] || (x[1] != x[1] && y[1] != y[1]));
  }
  double x = scalar_get(dtype, a), y = scalar_get(dtype, b);
  return x != x && y != y;
}

static void fill_any(tensor *x) {
  tensor_fill(x, false);
  if (mx_is_float(x->v.dtype) && x->v.size)
    for (int i = 0; i < 4; i++) {
      static const double odd[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, 1e30, -3, 700};
      tensor_set(x, test_random() % x->v.size, odd[test_random() % 8]);
    }
}

static void check_program(const mx_program *g, int nd, const int32_t *shape, bool donate) {
  tensor in[MX_PROGRAM_IO], out[MX_PROGRAM_IO];
  mx_view vin[MX_PROGRAM_IO], vout[MX_PROGRAM_IO];
  int64_t n = 1;
  for (int d = 0; d < nd; d++) n *= shape[d];
  static const int32_t ones[4] = {1, 1, 1, 1};
  for (int i = 0; i < g->n_in; i++) {
    in[i] = tensor_new(g->in[i].dtype, nd, g->in[i].scalar ? ones : shape, donate && i == 0 ? 0 : (int)(test_random() % LAYOUTS));
    fill_any(&in[i]);
    if (g->in[i].scalar)
      for (int d = 0; d < nd; d++) in[i].shape[d] = shape[d], in[i].strides[d] = 0;
    vin[i] = *tv(&in[i]);
  }
  cell *want = malloc(((size_t)n * g->n_out + 1) * sizeof *want);
  for (int64_t i = 0; i < n; i++)
    for (int o = 0; o < g->n_out; o++) plain_run(g, in, i, o, &want[i * g->n_out + o]);
  bool donated = false;
  for (int o = 0; o < g->n_out; o++) {
    out[o] = tensor_new(g->out[o].dtype, nd, shape, 0);
    vout[o] = *tv(&out[o]);
    if (donate && !donated && !g->in[0].scalar && mx_dtype_sizes[g->in[0].dtype] == mx_dtype_sizes[g->out[o].dtype]) {
      vout[o].data = vin[0].data;
      donated = true;
    }
  }
  assert_int_equal(mx_cpu_run(g, nd, shape, vin, vout), 0);
  for (int64_t i = 0; i < n; i++)
    for (int o = 0; o < g->n_out; o++) {
      cell r = {0};
      int t = g->out[o].dtype;
      store_cell(&r, t, &want[i * g->n_out + o]);
      if (same_bits(t, &r, (char *)vout[o].data + i * mx_dtype_sizes[t])) continue;
      char line[1000];
      int len = 0;
      for (int k = 0; k < g->n_ins; k++)
        len += snprintf(line + len, sizeof line - (size_t)len, " r%d=%d(%d>%d:r%d,r%d,r%d)", g->ins[k].dst, g->ins[k].op, g->ins[k].dtype,
                        g->ins[k].out_dtype, g->ins[k].a, g->ins[k].b, g->ins[k].c);
      fail_msg("element %lld of output %d (r%d, dtype %d): %.9g is not %.9g:%s", (long long)i, o, g->out[o].reg, t,
               scalar_get(t, (char *)vout[o].data + i * mx_dtype_sizes[t]), scalar_get(t, &r), line);
    }
  free(want);
  for (int i = 0; i < g->n_in; i++) tensor_free(&in[i]);
  for (int o = 0; o < g->n_out; o++) tensor_free(&out[o]);
}

static void programs_equal_their_instructions_one_element_at_a_time(void **state) {
  (void)state;
  for (int k = 0; k < ISAS; k++) {
    if (mx_isa_use(isas[k])) continue;
    for (int round = 0; round < 700; round++) {
      mx_program g;
      int type[MX_PROGRAM_REGS];
      random_program(&g, type);
      int s = round % SHAPES;
      check_program(&g, shapes[s].nd, shapes[s].shape, round % 3 == 0);
      neighbours = round % 2;
    }
    neighbours = false;
  }
}

static void outputs_may_lie_over_inputs_that_are_given_out(void **state) {
  (void)state;
  /* out0 = in1 lies over in0, out1 = in0 + in1 */
  mx_program g = {.n_in = 2, .n_out = 2, .n_reg = 3, .n_ins = 1};
  g.in[0] = (mx_port){MX_F32, 0, 0, 0, 0}, g.in[1] = (mx_port){MX_F32, 1, 0, 0, 0};
  g.ins[0] = (mx_instr){OP_add, MX_F32, MX_F32, 2, 0, 1, 0};
  g.out[0] = (mx_port){MX_F32, 1, 0, 0, 0}, g.out[1] = (mx_port){MX_F32, 2, 0, 0, 0};
  for (int s = 0; s < SHAPES; s++) check_program(&g, shapes[s].nd, shapes[s].shape, true);
}

/* Results large enough to be streamed past the caches, against the same program over parts that are not. */
static void streamed_results_are_whole(void **state) {
  (void)state;
  enum { N = 2 * 1024 * 1024 + 77, PART = 65536 };
  int32_t n = N, one = 1;
  int64_t step = 1, none = 0;
  float k = 0.75f;
  mx_program g = {.n_in = 3, .n_out = 3, .n_reg = 6, .n_ins = 5};
  g.in[0] = (mx_port){MX_F32, 0, 0, 0, 0}, g.in[1] = (mx_port){MX_F32, 1, 1, 0, 0}, g.in[2] = (mx_port){MX_F16, 2, 0, 0, 0};
  g.ins[0] = (mx_instr){OP_multiply, MX_F32, MX_F32, 3, 0, 1, 0};
  g.ins[1] = (mx_instr){OP_exp, MX_F32, MX_F32, 4, 3, 0, 0};
  g.ins[2] = (mx_instr){OP_astype, MX_F16, MX_F32, 5, 2, 0, 0};
  g.ins[3] = (mx_instr){OP_add, MX_F32, MX_F32, 4, 4, 5, 0};
  g.ins[4] = (mx_instr){OP_less, MX_F32, MX_BOOL, 5, 4, 1, 0};
  g.out[0] = (mx_port){MX_F32, 4, 0, 1, 0}, g.out[1] = (mx_port){MX_BOOL, 5, 0, 1, 0}, g.out[2] = (mx_port){MX_F32, 3, 0, 1, 0};
  float *x = malloc(N * 4);
  mx_f16 *h = malloc(N * 2);
  char *res[2][3];
  for (int i = 0; i < N; i++) x[i] = (float)test_uniform() * 4, h[i] = mx_f32_to_f16((float)(i % 100));
  for (int r = 0; r < 2; r++)
    for (int o = 0; o < 3; o++) res[r][o] = aligned_alloc(64, (N * 4 / 64 + 1) * 64);
  for (int isa = 0; isa < ISAS; isa++) {
    if (mx_isa_use(isas[isa])) continue;
    for (int skew = 0; skew < 2; skew++) { /* the second time no output is aligned */
      mx_view all[3] = {{x, &n, &step, N, 1, MX_F32}, {&k, &n, &none, N, 1, MX_F32}, {h, &n, &step, N, 1, MX_F16}};
      int32_t m = n - skew;
      mx_view out[3] = {{res[0][0] + 4 * skew, &m, &step, m, 1, MX_F32}, {res[0][1] + skew, &m, &step, m, 1, MX_BOOL},
                        {res[0][2] + 4 * skew, &m, &step, m, 1, MX_F32}};
      assert_int_equal(mx_cpu_run(&g, 1, &m, all, out), 0);
      for (int at = 0; at < m; at += PART) {
        int32_t len = m - at < PART ? m - at : PART;
        mx_view part[3] = {{x + at, &len, &step, len, 1, MX_F32}, {&k, &one, &none, 1, 1, MX_F32}, {h + at, &len, &step, len, 1, MX_F16}};
        mx_view to[3] = {{res[1][0], &len, &step, len, 1, MX_F32}, {res[1][1], &len, &step, len, 1, MX_BOOL},
                         {res[1][2], &len, &step, len, 1, MX_F32}};
        assert_int_equal(mx_cpu_run(&g, 1, &len, part, to), 0);
        assert_memory_equal(res[1][0], res[0][0] + 4 * (at + skew), (size_t)len * 4);
        assert_memory_equal(res[1][1], res[0][1] + at + skew, (size_t)len);
        assert_memory_equal(res[1][2], res[0][2] + 4 * (at + skew), (size_t)len * 4);
      }
    }
  }
  free(x), free(h);
  for (int r = 0; r < 2; r++)
    for (int o = 0; o < 3; o++) free(res[r][o]);
}

/* ---- reductions ---- */

static const struct {
  int nd;
  int32_t shape[4];
  int axes; /* bits */
} cases[] = {{1, {1}, 1},       {1, {5}, 1},          {1, {31}, 1},        {1, {100}, 1},      {1, {300}, 1},     {1, {5000}, 1},
             {1, {100000}, 1},  {2, {7, 9}, 1},       {2, {7, 9}, 2},      {2, {7, 9}, 3},     {2, {300, 40}, 1}, {2, {2000, 3}, 1},
             {2, {5, 3000}, 1}, {2, {200, 1500}, 1},  {2, {3, 70000}, 2},  {2, {900, 17}, 1},  {3, {4, 5, 6}, 2}, {3, {4, 5, 6}, 5},
             {3, {9, 50, 80}, 5}, {4, {3, 4, 5, 6}, 10}, {4, {3, 4, 5, 6}, 5}, {3, {40, 33, 2}, 2}, {2, {0, 4}, 1}, {2, {4, 0}, 1},
             {3, {2, 1, 700}, 2}, {2, {70000, 5}, 1}, {3, {2, 3000, 40}, 2}, {2, {66000, 33}, 3}, {2, {200, 1030}, 1}};
enum { CASES = sizeof cases / sizeof *cases };

static int sum_dtype(int t) {
  switch (t) {
    case MX_BOOL: case MX_I8: case MX_I16: return MX_I32;
    case MX_U8: case MX_U16: return MX_U32;
    default: return t;
  }
}

static void check_reduction(int op, int dtype, int c, int layout) {
  int nd = cases[c].nd;
  const int32_t *shape = cases[c].shape;
  int32_t kept[4];
  for (int d = 0; d < nd; d++) kept[d] = cases[c].axes >> d & 1 ? 1 : shape[d];
  int to = op == OP_sum || op == OP_prod ? sum_dtype(dtype) : dtype;
  tensor x = tensor_new(dtype, nd, shape, layout), y = tensor_new(to, nd, kept, 0), *in = &x;
  tensor_fill(&x, op == OP_sum);
  if (op == OP_prod)
    for (int64_t i = 0; i < x.v.size; i++)
      tensor_set(&x, i, test_random() % 50 ? 1 : mx_dtype_kinds[dtype] == 'u' || dtype == MX_BOOL ? 1 : -1);
  if (op == OP_max && mx_is_float(dtype) && x.v.size > 4) tensor_set(&x, 3, NAN);
  double *want = calloc((size_t)y.v.size + 1, sizeof *want), *bound = calloc((size_t)y.v.size + 1, sizeof *bound);
  for (int64_t i = 0; i < y.v.size; i++) want[i] = op == OP_prod || op == OP_all ? 1 : op == OP_max ? -INFINITY : op == OP_min ? INFINITY : 0;
  for (int64_t i = 0; i < x.v.size; i++) {
    int64_t at = 0, rest = i, step = 1;
    for (int d = nd - 1; d >= 0; d--) {
      at += (kept[d] == 1 ? 0 : rest % shape[d]) * step;
      rest /= shape[d];
      step *= kept[d];
    }
    double v = tensor_get(&x, i), *w = &want[at];
    switch (op) {
      case OP_sum: *w += v; break;
      case OP_prod: *w *= v; break;
      case OP_max: *w = *w != *w || v != v ? NAN : fmax(*w, v); break;
      case OP_min: *w = fmin(*w, v); break;
      case OP_all: *w = *w && v; break;
      default: *w = *w || v; break;
    }
    bound[at] += fabs(v);
  }
  int64_t axes[4], np = 0;
  for (int d = 0; d < nd; d++)
    if (cases[c].axes >> d & 1) axes[np++] = d;
  bool empty_limit = x.v.size == 0 && (op == OP_max || op == OP_min); /* refused when the graph is built */
  if (!empty_limit) {
    assert_int_equal(call_kernel(op, 1, &in, &y, (int)np, axes), 0);
    double ulp = to == MX_F16 ? 0x1p-11 : to == MX_BF16 ? 0x1p-8 : to == MX_F64 ? 0x1p-50 : 0x1p-22;
    for (int64_t i = 0; i < y.v.size; i++) {
      double tol = mx_is_inexact(to) ? ulp * (op == OP_sum ? fabs(want[i]) + bound[i] * 0x1p-10 : 1) : 0;
      ASSERT_CLOSE(tensor_get(&y, i), want[i], tol);
    }
  }
  free(want), free(bound), tensor_free(&x), tensor_free(&y);
}

static void reductions_equal_plain_loops(void **state) {
  (void)state;
  static const int ops[] = {OP_sum, OP_prod, OP_max, OP_min};
  for (int k = 0; k < ISAS; k++) {
    if (mx_isa_use(isas[k])) continue;
    for (int c = 0; c < CASES; c++)
      for (int op = 0; op < 4; op++) {
        check_reduction(ops[op], dtypes[(c + op) % 11 == 4 ? 0 : (c + op) % 11], c, (c + op) % LAYOUTS);
        check_reduction(ops[op], MX_F32, c, op);
      }
    for (int c = 0; c < CASES; c++) {
      check_reduction(OP_all, MX_BOOL, c, 0);
      check_reduction(OP_any, MX_BOOL, c, 2);
    }
  }
}

/* Sums of numbers of many sizes: any other order would show. */
static void sums_do_not_depend_on_strides_or_fusion(void **state) {
  (void)state;
  for (int c = 0; c < CASES; c++) {
    int nd = cases[c].nd;
    const int32_t *shape = cases[c].shape;
    int32_t kept[4];
    for (int d = 0; d < nd; d++) kept[d] = cases[c].axes >> d & 1 ? 1 : shape[d];
    tensor x = tensor_new(MX_F32, nd, shape, 0), t = tensor_new(MX_F32, nd, shape, 2), e = tensor_new(MX_F32, nd, shape, 0);
    tensor y[4];
    for (int i = 0; i < 4; i++) y[i] = tensor_new(MX_F32, nd, kept, 0);
    for (int64_t i = 0; i < x.v.size; i++) {
      double v = ldexp(test_uniform(), (int)(test_random() % 20));
      tensor_set(&x, i, v), tensor_set(&t, i, v);
      tensor_set(&e, i, (float)((float)v * (float)v) + (float)v); /* what the program below computes */
    }
    mx_program g = {.n_in = 1, .n_out = 2, .n_reg = 3, .n_ins = 2};
    g.in[0] = (mx_port){MX_F32, 0, 0, 0, 0};
    g.ins[0] = (mx_instr){OP_square, MX_F32, MX_F32, 1, 0, 0, 0};
    g.ins[1] = (mx_instr){OP_add, MX_F32, MX_F32, 2, 1, 0, 0};
    g.out[0] = (mx_port){MX_F32, 2, 0, 0, OP_sum};
    g.out[1] = (mx_port){MX_F32, 2, 0, 0, OP_max};
    mx_view out[2] = {*tv(&y[0]), *tv(&y[1])}, plain = *tv(&y[2]), other = *tv(&y[3]);
    assert_int_equal(mx_cpu_run(&g, nd, shape, tv(&x), out), 0);
    mx_program s = {.n_in = 1, .n_out = 1, .n_reg = 1};
    s.in[0] = (mx_port){MX_F32, 0, 0, 0, 0}, s.out[0] = (mx_port){MX_F32, 0, 0, 0, OP_sum};
    assert_int_equal(mx_cpu_run(&s, nd, shape, tv(&e), &plain), 0);
    assert_memory_equal(y[0].v.data, y[2].v.data, (size_t)y[0].v.size * 4);
    assert_int_equal(mx_cpu_run(&s, nd, shape, tv(&x), &plain), 0);
    assert_int_equal(mx_cpu_run(&s, nd, shape, tv(&t), &other), 0);
    assert_memory_equal(y[2].v.data, y[3].v.data, (size_t)y[0].v.size * 4);
    tensor_free(&x), tensor_free(&t), tensor_free(&e);
    for (int i = 0; i < 4; i++) tensor_free(&y[i]);
  }
}

/* Programs that store, reduce over different axes and donate an input at once. */
static void one_program_may_reduce_in_several_ways(void **state) {
  (void)state;
  int32_t shape[2] = {300, 70}, rows[2] = {300, 1}, cols[2] = {1, 70}, all[2] = {1, 1};
  tensor x = tensor_new(MX_F32, 2, shape, 0), r = tensor_new(MX_F32, 2, rows, 0), c = tensor_new(MX_F16, 2, cols, 0),
         a = tensor_new(MX_F32, 2, all, 0);
  tensor_fill(&x, true);
  double sum = 0, first_row = 0, col3 = 0;
  for (int i = 0; i < 300; i++)
    for (int j = 0; j < 70; j++) {
      double v = 2 * tensor_get(&x, i * 70 + j);
      sum += v;
      if (i == 0) first_row += v;
      if (j == 3) col3 = i == 0 || v > col3 ? v : col3;
    }
  double x5 = tensor_get(&x, 5);
  mx_program g = {.n_in = 1, .n_out = 4, .n_reg = 3, .n_ins = 2};
  g.in[0] = (mx_port){MX_F32, 0, 0, 0, 0};
  g.ins[0] = (mx_instr){OP_add, MX_F32, MX_F32, 1, 0, 0, 0};
  g.ins[1] = (mx_instr){OP_astype, MX_F32, MX_F16, 2, 1, 0, 0};
  g.out[0] = (mx_port){MX_F32, 1, 0, 0, 0};
  g.out[1] = (mx_port){MX_F32, 1, 0, 0, OP_sum};
  g.out[2] = (mx_port){MX_F16, 2, 0, 0, OP_max};
  g.out[3] = (mx_port){MX_F32, 1, 0, 0, OP_sum};
  mx_view out[4] = {*tv(&x), *tv(&r), *tv(&c), *tv(&a)};
  assert_int_equal(mx_cpu_run(&g, 2, shape, tv(&x), out), 0);
  ASSERT_CLOSE(tensor_get(&x, 5), 2 * x5, 0);
  ASSERT_CLOSE(tensor_get(&r, 0), first_row, 0);
  ASSERT_CLOSE(tensor_get(&c, 3), col3, 0);
  ASSERT_CLOSE(tensor_get(&a, 0), sum, 0);
  tensor_free(&x), tensor_free(&r), tensor_free(&c), tensor_free(&a);
}

static void programs_of_many_registers_reduce_too(void **state) {
  (void)state;
  int32_t shape[2] = {3, 5000}, kept[2] = {3, 1};
  tensor x = tensor_new(MX_F64, 2, shape, 0), y = tensor_new(MX_F64, 2, kept, 0);
  tensor_fill(&x, true);
  double want = 0;
  for (int i = 0; i < 5000; i++) want += 20 * tensor_get(&x, 5000 + i);
  mx_program g = {.n_in = 1, .n_out = 1, .n_reg = 28, .n_ins = 19};
  g.in[0] = (mx_port){MX_F64, 0, 0, 0, 0};
  for (int i = 0; i < 19; i++) g.ins[i] = (mx_instr){OP_add, MX_F64, MX_F64, (uint8_t)(i + 9), (uint8_t)(i ? i + 8 : 0), 0, 0};
  g.out[0] = (mx_port){MX_F64, 27, 0, 0, OP_sum};
  assert_int_equal(mx_cpu_run(&g, 2, shape, tv(&x), tv(&y)), 0);
  ASSERT_CLOSE(tensor_get(&y, 1), want, 0);
  tensor_free(&x), tensor_free(&y);
}

static void copies_keep_every_element(void **state) {
  (void)state;
  for (int s = 0; s < CASES; s++)
    for (int from = 0; from < LAYOUTS; from++)
      for (int to = 0; to < 4; to++) {
        int t = dtypes[(s + from + to) % 11];
        tensor x = tensor_new(t, cases[s].nd, cases[s].shape, from), y = tensor_new(t, cases[s].nd, cases[s].shape, to);
        tensor_fill(&x, false);
        assert_int_equal(mx_copy_view(tv(&x), tv(&y)), 0);
        for (int64_t i = 0; i < x.v.size; i++)
          if (memcmp(tensor_ptr(&x, i), tensor_ptr(&y, i), mx_dtype_sizes[t])) fail_msg("case %d, %d to %d, element %lld", s, from, to, (long long)i);
        tensor_free(&x), tensor_free(&y);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(programs_equal_their_instructions_one_element_at_a_time),
      cmocka_unit_test(outputs_may_lie_over_inputs_that_are_given_out),
      cmocka_unit_test(streamed_results_are_whole),
      cmocka_unit_test(reductions_equal_plain_loops),
      cmocka_unit_test(sums_do_not_depend_on_strides_or_fusion),
      cmocka_unit_test(one_program_may_reduce_in_several_ways),
      cmocka_unit_test(programs_of_many_registers_reduce_too),
      cmocka_unit_test(copies_keep_every_element),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
