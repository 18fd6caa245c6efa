/* Every function that stands for an operation, called with whatever fits its types: empty handles are refused by name, and
 * no choice of arrays, axes, shapes, types and numbers does worse than an error. The calls come from ops/functions.def. */
#include "capi_testing.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Chooses arguments and takes results. */
typedef struct chooser {
  bool empty;        /* no arrays, no vectors */
  bool adrift;       /* no streams */
  uint64_t state;
  int ndim;          /* most arrays of this call have so many dimensions, most lists of numbers so many entries */
  int used;
  mlx_array primal;             /* stands for the first array of the call, in a trace */
  bool placed;                  /* and has done so */
  mlx_vector_array *outputs;    /* of the trace; else results are computed and dropped */
  mlx_vector_array vectors[4];
  int nvectors;
  int ints[8][8];
  int64_t longs[8][8];
  double doubles[8];
} chooser;

enum { POOL = 96, DIMS = 6 };
static mlx_array pool[POOL];
static int by_ndim[DIMS][POOL], count[DIMS]; /* places in the pool */
static mlx_stream cpu;

static uint32_t roll(chooser *g) { /* splitmix64 */
  uint64_t z = g->state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)(z >> 32);
}
#define PICK(g, ...) ((__VA_ARGS__)[roll(g) % (sizeof(__VA_ARGS__) / sizeof *(__VA_ARGS__))])

static mlx_array some_array(chooser *g) {
  if (g->empty || roll(g) % 16 == 0) return mlx_array_empty;
  if (g->primal.ctx && !g->placed) {
    g->placed = true;
    return g->primal;
  }
  return roll(g) % 4 ? pool[by_ndim[g->ndim][roll(g) % (uint32_t)count[g->ndim]]] : pool[roll(g) % POOL];
}
static mlx_stream some_stream(chooser *g) { return g->adrift ? (mlx_stream){NULL} : cpu; }
static mlx_vector_array some_vector(chooser *g) {
  if (g->empty) return (mlx_vector_array){NULL};
  mlx_array at[4];
  uint32_t n = roll(g) % 5, first = roll(g) % POOL;
  for (uint32_t i = 0; i < n; i++) at[i] = pool[roll(g) % 2 ? first : roll(g) % POOL]; /* often alike, so that they fit */
  return g->vectors[g->nvectors++] = mlx_vector_array_new_data(at, n);
}
static int some_int(chooser *g) {
  return roll(g) % 8 ? PICK(g, (int[]){-3, -2, -1, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5})
                     : PICK(g, (int[]){INT_MIN, INT_MIN + 1, INT_MAX, INT_MAX - 1, 1 << 30, 65536, -65536, 32, 33});
}
static double some_double(chooser *g) { return PICK(g, (double[]){0, 1, -1, 0.5, 1e-5, 10, 1e9, -1e30, 1e300, INFINITY, -INFINITY, NAN}); }
static mlx_dtype some_dtype(chooser *g) { return (mlx_dtype)((int)(roll(g) % 16) - 1); } /* two are none */
static const char *some_text(chooser *g) {
  return PICK(g, (const char *[]){"", "constant", "edge", "ij", "xy", "ij,jk->ik", "i,i", "...i->i...", "ijk,->", "->", ",", "ii", "fro", "nuc",
                                  "affine", "causal", "array", "none", "mean", "sum", "nearest", "linear", "bilinear", "zeros", "fan_in", "nonsense", "%s%n", NULL});
}
static const int *some_ints(chooser *g, size_t *n) {
  int *at = g->ints[g->used++];
  *n = roll(g) % 4 ? (size_t)g->ndim : roll(g) % 5;
  for (size_t i = 0; i < *n; i++) at[i] = roll(g) % 4 ? (int)i + (roll(g) % 4 == 0) : some_int(g); /* often good axes */
  return roll(g) % 32 ? at : NULL;
}
static const int64_t *some_longs(chooser *g, size_t *n) {
  int64_t *at = g->longs[g->used++];
  *n = roll(g) % 5;
  for (size_t i = 0; i < *n; i++) at[i] = roll(g) % 16 ? some_int(g) : INT64_MAX;
  return at;
}
static const double *some_doubles(chooser *g, size_t *n) {
  *n = roll(g) % 4 ? (size_t)(g->ndim > 2 ? g->ndim - 2 : 1) : roll(g) % 5;
  for (size_t i = 0; i < *n; i++) g->doubles[i] = roll(g) % 4 ? PICK(g, (double[]){0.5, 1, 1.5, 2}) : some_double(g);
  return g->doubles;
}

/* What came out is computed unless it is large. */
static void take_array(chooser *g, int rc, mlx_array a) {
  if (!rc && g->outputs) {
    mlx_vector_array_append_value(*g->outputs, a);
  } else if (!rc) {
    assert_non_null(a.ctx);
    if (mlx_array_size(a) <= 1 << 14) mlx_array_eval(a); /* an error is fine */
  }
  mlx_array_free(a);
}
static void take_vector(chooser *g, int rc, mlx_vector_array v) {
  for (size_t i = 0; !rc && i < mlx_vector_array_size(v) && i < 64; i++) {
    mlx_array a = mlx_array_new();
    assert_int_equal(mlx_vector_array_get(&a, v, i), 0);
    take_array(g, 0, a);
  }
  mlx_vector_array_free(v);
}

#include "capi_calls.inc.h"

static int trial(size_t i, chooser *g) {
  int rc = calls[i].call(g);
  while (g->nvectors) mlx_vector_array_free(g->vectors[--g->nvectors]);
  return rc;
}

/* ---- the pool: every type, shapes that fit each other and shapes that do not ---- */

static int begin(void **state) {
  static const struct {
    int n, shape[5];
  } shapes[] = {{0, {0}},       {1, {0}},       {1, {1}},          {1, {3}},          {1, {2}},          {1, {24}},         {2, {2, 3}},
                {2, {3, 2}},    {2, {3, 3}},    {2, {8, 8}},       {3, {2, 0, 3}},    {3, {1, 4, 2}},    {3, {2, 2, 3}},    {3, {3, 2, 2}},
                {4, {1, 5, 4, 2}}, {4, {3, 2, 2, 2}}, {4, {2, 1, 3, 8}}, {5, {1, 3, 2, 4, 2}}, {5, {2, 2, 1, 2, 2}}};
  enum { SHAPES = sizeof shapes / sizeof *shapes };
  size_t limit;
  cpu = mlx_default_cpu_stream_new();
  if (mlx_set_memory_limit(&limit, (size_t)1 << 30)) return 1; /* so that the absurd is refused, not swapped */
  for (int i = 0; i < POOL; i++) {
    const int n = shapes[i % SHAPES].n, *shape = shapes[i % SHAPES].shape;
    /* most f32, else any; what may be a random key is one; every eighth a view */
    mlx_dtype t = n == 1 && shape[0] == 2 ? MLX_UINT32 : i / SHAPES % 2 ? MLX_FLOAT32 : (mlx_dtype)(i * 5 % 14);
    mlx_array a = mlx_array_new();
    int size = 1, first = i % 3 ? 0 : -2, rc = mlx_arange(&a, first, first + 64, 1, MLX_FLOAT32, cpu);
    for (int k = 0; k < n; k++) size *= shape[k];
    rc = rc || mlx_slice(&a, a, (int[]){0}, 1, (int[]){size}, 1, (int[]){1}, 1, cpu) || mlx_reshape(&a, a, shape, (size_t)n, cpu) ||
         mlx_astype(&a, a, t, cpu) || (i % 8 == 7 && mlx_transpose(&a, a, cpu)) || mlx_array_eval(a);
    if (rc) return rc;
    pool[i] = a;
    by_ndim[n][count[n]++] = i;
  }
  return listen_to_errors(state);
}
static int end(void **state) {
  (void)state;
  for (int i = 0; i < POOL; i++) mlx_array_free(pool[i]);
  return mlx_stream_free(cpu);
}

/* Which call, when one crashes. */
static struct {
  const char *tag;
  uint64_t seed;
} current;
static int tell(void **state) {
  (void)state;
  if (current.tag) print_error("in mlx_%s, seed %llu\n", current.tag, (unsigned long long)current.seed);
  current.tag = NULL;
  return 0;
}

static void empty_handles_are_refused_by_name(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int adrift = 0; adrift < 2; adrift++) {
      chooser g = {.empty = true, .adrift = adrift};
      if (!calls[i].needs_array && !(adrift && calls[i].needs_stream)) continue;
      char tag[80];
      snprintf(tag, sizeof tag, "[%s]", calls[i].tag);
      current.tag = calls[i].tag;
      assert_refused(trial(i, &g), tag);
    }
  current.tag = NULL;
}

static void no_arguments_do_worse_than_an_error(void **state) {
  (void)state;
  int trials = getenv("CMLX_LONG") ? 20000 : 2000, done = 0;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int k = 0; k < trials; k++) {
      chooser g = {.state = (uint64_t)i << 32 | (uint64_t)k, .ndim = k % DIMS};
      current.tag = calls[i].tag;
      current.seed = g.state;
      heard[0] = 0;
      int rc = trial(i, &g);
      if (rc && !*heard) fail_msg("mlx_%s fails and says nothing", calls[i].tag);
      assert_in_range(rc, 0, 1);
      done += !rc;
    }
  current.tag = NULL;
  assert_true(done > 1000); /* the choices are not all nonsense */
}

/* ---- the same under the transforms ---- */

typedef struct traced {
  size_t i;
  uint64_t seed;
  int ndim;
} traced;

static int call_traced(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  const traced *t = payload;
  mlx_array x = mlx_array_new();
  *res = mlx_vector_array_new();
  int rc = mlx_vector_array_get(&x, in, 0);
  if (!rc) {
    chooser g = {.state = t->seed, .ndim = t->ndim, .primal = x, .outputs = res};
    rc = trial(t->i, &g);
  }
  mlx_array_free(x);
  return rc;
}

/* Results that are not large are computed; an error is fine. */
static void compute(mlx_vector_array v) {
  chooser g = {0};
  take_vector(&g, 0, v);
}

/* f, its gradient, its slope, its batch, and its compiled self at x. True if the plain call works. */
static bool transform(mlx_closure f, mlx_array x) {
  mlx_vector_array in = mlx_vector_array_new_value(x), out = mlx_vector_array_new(), cot = mlx_vector_array_new(),
                   a = mlx_vector_array_new(), b = mlx_vector_array_new();
  mlx_array o = mlx_array_new();
  bool works = !mlx_closure_apply(&out, f, in), small = true;
  for (size_t i = 0; works && i < mlx_vector_array_size(out) && i < 64; i++) {
    assert_int_equal(mlx_vector_array_get(&o, out, i), 0);
    small = small && mlx_array_size(o) <= 1 << 14;
    if (small && (mlx_ones_like(&o, o, cpu) || mlx_vector_array_append_value(cot, o))) small = false;
  }
  if (works && small) {
    if (!mlx_vjp(&a, &b, f, in, cot)) compute(b), b = mlx_vector_array_new();
    if (!mlx_jvp(&a, &b, f, in, in)) compute(b), b = mlx_vector_array_new();
    int none[64] = {0}, axis = 0;
    if (!mlx_detail_vmap_trace(&a, &b, f, in, &axis, 1) && mlx_vector_array_size(b) <= 64 &&
        !mlx_detail_vmap_replace(&out, in, a, b, &axis, 1, none, mlx_vector_array_size(b)))
      compute(out), out = mlx_vector_array_new();
    mlx_closure c = mlx_closure_new();
    if (!mlx_compile(&c, f, false) && !mlx_closure_apply(&out, c, in)) compute(out), out = mlx_vector_array_new();
    mlx_closure_free(c);
  }
  mlx_array_free(o);
  mlx_vector_array_free(in), mlx_vector_array_free(out), mlx_vector_array_free(cot);
  mlx_vector_array_free(a), mlx_vector_array_free(b);
  return works;
}

static void no_transform_does_worse_than_an_error(void **state) {
  (void)state;
  int trials = getenv("CMLX_LONG") ? 4000 : 150, done = 0;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int k = 0; calls[i].needs_array && k < trials; k++) {
      traced t = {i, (uint64_t)i << 32 | (uint64_t)k | 1u << 31, k % DIMS};
      current.tag = calls[i].tag;
      current.seed = t.seed;
      chooser g = {.state = t.seed, .ndim = t.ndim};
      mlx_array x = some_array(&g);
      if (!x.ctx) continue;
      mlx_closure f = mlx_closure_new_func_payload(call_traced, &t, NULL);
      done += transform(f, x);
      mlx_closure_free(f);
    }
  current.tag = NULL;
  assert_true(done > 1000);
}

/* Of the calls before: what an operation needs besides its arrays counts, too, or is small. */
static void the_memory_limit_was_kept(void **state) {
  (void)state;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
  skip(); /* most of it is theirs */
#endif
  struct rusage used;
  assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
  assert_in_range(used.ru_maxrss, 1, 3 << 19); /* in KB: half as much again as the limit */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(empty_handles_are_refused_by_name, NULL, tell),
      cmocka_unit_test_setup_teardown(no_arguments_do_worse_than_an_error, NULL, tell),
      cmocka_unit_test_setup_teardown(no_transform_does_worse_than_an_error, NULL, tell),
      cmocka_unit_test(the_memory_limit_was_kept),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
