/* sort, argsort, partition, argpartition along an axis: stable, NaN last, complex numbers by real, then imaginary part. A partition selects
 * where the instruction set can, and sorts where not.
 *
 * Rows of real numbers become unsigned keys of the same order, which are sorted (with their positions for argsort) and turned back.
 * -0 sorts before 0 by value, but they are equal to argsort. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/error.h"
#include "core/parallel.h"

enum { RADIX_CHUNK = 1 << 16, RADIX_LEAST = 400 };
#define RADIX_COUNTS(n) ((((n) + RADIX_CHUNK - 1) / RADIX_CHUNK) << 11)

#define IDENTITY(e) (e)
#define LESS(x, y) ((x) < (y))
#define E uint8_t
#define E_KEY IDENTITY
#define E_LESS LESS
#define KEY uint8_t
#define KEY_BITS 8
#define NAME(f) f##_u8
#include "backend/cpu/radix.inc.h"
#define E uint16_t
#define E_KEY IDENTITY
#define E_LESS LESS
#define KEY uint16_t
#define KEY_BITS 16
#define NAME(f) f##_u16
#include "backend/cpu/radix.inc.h"
#define E uint32_t
#define E_KEY IDENTITY
#define E_LESS LESS
#define KEY uint32_t
#define KEY_BITS 32
#define NAME(f) f##_u32
#include "backend/cpu/radix.inc.h"
#define E uint64_t
#define E_KEY IDENTITY
#define E_LESS LESS
#define KEY uint64_t
#define KEY_BITS 64
#define NAME(f) f##_u64
#include "backend/cpu/radix.inc.h"

/* With positions: keys of up to 32 bits above them in one number, longer ones beside them. */
typedef uint64_t at32;
typedef struct at64 {
  uint64_t key;
  uint32_t at;
} at64;
#define AT32(key, at) ((at32)(key) << 32 | (at))
#define AT64(key, at) ((at64){key, at})
#define POSITION_at32(e) (uint32_t)(e)
#define POSITION_at64(e) (e).at
#define HIGH(e) (uint32_t)((e) >> 32)
#define E at32
#define E_KEY HIGH
#define E_LESS LESS
#define KEY uint32_t
#define KEY_BITS 32
#define NAME(f) f##_at32
#include "backend/cpu/radix.inc.h"
#define KEY_OF(e) ((e).key)
#define PAIR_LESS(x, y) ((x).key < (y).key || ((x).key == (y).key && (x).at < (y).at))
#define E at64
#define E_KEY KEY_OF
#define E_LESS PAIR_LESS
#define KEY uint64_t
#define KEY_BITS 64
#define NAME(f) f##_at64
#include "backend/cpu/radix.inc.h"

/* Keys of floats: the sign bit flipped when it is clear, all bits when it is set; NaN is the largest. */
#define FLOAT_KEYS(T, U, TAG, NAN_ABOVE)                                                                                     \
  static inline U key_##TAG(T x) {                                                                                           \
    U u, sign = (U)((U)1 << (sizeof(U) * 8 - 1));                                                                            \
    memcpy(&u, &x, sizeof u);                                                                                                \
    U flip = (U)((U)0 - (U)(u >> (sizeof(U) * 8 - 1))) | sign; /* no branch: signs are not foreseen */                       \
    return (U)(u & (U)~sign) > (U)NAN_ABOVE ? (U)~(U)0 : (U)(u ^ flip);                                                      \
  }                                                                                                                          \
  static inline T value_##TAG(U k) {                                                                                         \
    U sign = (U)((U)1 << (sizeof(U) * 8 - 1)), u = k & sign ? (U)(k ^ sign) : (U)~k;                                         \
    T x;                                                                                                                     \
    memcpy(&x, &u, sizeof x);                                                                                                \
    return x;                                                                                                                \
  }
#define WHOLE_KEYS(T, U, TAG, FLIP)                                                                                          \
  static inline U key_##TAG(T x) { return (U)x ^ (U)FLIP; }                                                                  \
  static inline T value_##TAG(U k) { return (T)(k ^ (U)FLIP); }
WHOLE_KEYS(uint8_t, uint8_t, boolean, 0)
WHOLE_KEYS(uint8_t, uint8_t, uint8, 0)
WHOLE_KEYS(uint16_t, uint16_t, uint16, 0)
WHOLE_KEYS(uint32_t, uint32_t, uint32, 0)
WHOLE_KEYS(uint64_t, uint64_t, uint64, 0)
WHOLE_KEYS(int8_t, uint8_t, int8, 0x80)
WHOLE_KEYS(int16_t, uint16_t, int16, 0x8000)
WHOLE_KEYS(int32_t, uint32_t, int32, 0x80000000)
WHOLE_KEYS(int64_t, uint64_t, int64, 0x8000000000000000)
FLOAT_KEYS(mx_f16, uint16_t, float16, 0x7c00)
FLOAT_KEYS(mx_bf16, uint16_t, bfloat16, 0x7f80)
FLOAT_KEYS(float, uint32_t, float32, 0x7f800000)
FLOAT_KEYS(double, uint64_t, float64, 0x7ff0000000000000)

/* Sorts the row at x into out (contiguous), or its positions; kth >= 0: selects the kth only. scratch: counts, then
 * two rows of keys with their positions, or one of keys (complex: two). out may be x. */
typedef void (*sort_fn)(int64_t n, const void *x, int64_t stride, void *out, void *scratch, int64_t kth);
static size_t row_scratch(int64_t n, size_t key) { return ((size_t)n + 256) * key + (size_t)RADIX_COUNTS(n) * 4; }

/* By vectors where the instruction set has it. */
#define NOT_FAST(u, U) \
  static inline bool fast_##u(int64_t n, U *a, int64_t kth) { return (void)n, (void)a, (void)kth, false; }
#define FAST(u, U)                                                   \
  static inline bool fast_##u(int64_t n, U *a, int64_t kth) {        \
    const mx_vec *v = mx_vec_now();                                  \
    return kth >= 0 ? v->select_##u(n, a, kth) : v->sort_##u(n, a);  \
  }
NOT_FAST(u8, uint8_t)
NOT_FAST(u16, uint16_t)
FAST(u32, uint32_t)
FAST(u64, uint64_t)

/* Keys above their positions are such numbers too. With no numbers it says whether there are vectors. */
static inline bool fast_at32(int64_t n, at32 *a) { return mx_vec_now()->sort_u64(n, a); }
static inline bool fast_at64(int64_t n, at64 *a) { return (void)n, (void)a, false; }

/* Rows that stand next to each other, by vectors too. */
#define NO_ROW_KEYS(TAG, T, U)                                                                                               \
  static inline bool row_keys_##TAG(int64_t n, const T *x, U *o) { return (void)n, (void)x, (void)o, false; }                \
  static inline bool row_values_##TAG(int64_t n, const U *k, T *o) { return (void)n, (void)k, (void)o, false; }
#define ROW_KEYS(TAG, T, U)                                                                                                  \
  static inline bool row_keys_##TAG(int64_t n, const T *x, U *o) { return mx_vec_now()->keys_##T(n, x, o), true; }           \
  static inline bool row_values_##TAG(int64_t n, const U *k, T *o) { return mx_vec_now()->values_##T(n, k, o), true; }
NO_ROW_KEYS(boolean, uint8_t, uint8_t)
NO_ROW_KEYS(uint8, uint8_t, uint8_t)
NO_ROW_KEYS(int8, int8_t, uint8_t)
NO_ROW_KEYS(uint16, uint16_t, uint16_t)
NO_ROW_KEYS(int16, int16_t, uint16_t)
NO_ROW_KEYS(float16, mx_f16, uint16_t)
NO_ROW_KEYS(bfloat16, mx_bf16, uint16_t)
NO_ROW_KEYS(uint32, uint32_t, uint32_t)
NO_ROW_KEYS(int32, int32_t, uint32_t)
NO_ROW_KEYS(uint64, uint64_t, uint64_t)
NO_ROW_KEYS(int64, int64_t, uint64_t)
ROW_KEYS(float32, float, uint32_t)
ROW_KEYS(float64, double, uint64_t)

#define ROWS(TAG, T, U, u, AT, NEW)                                                                                          \
  static void sort_##TAG(int64_t n, const void *in, int64_t stride, void *out, void *scratch, int64_t kth) {                 \
    const T *x = in;                                                                                                         \
    T *o = out;                                                                                                              \
    uint32_t *counts = scratch;                                                                                              \
    U *a = out, *b = (U *)(void *)(counts + RADIX_COUNTS(n));                                                                \
    if (stride != 1 || !row_keys_##TAG(n, x, a))                                                                             \
      for (int64_t i = 0; i < n; i++) a[i] = key_##TAG(x[i * stride]);                                                       \
    if (!fast_##u(n, a, kth)) sort_##u(n, a, b, counts);                                                                  \
    if (!row_values_##TAG(n, a, o))                                                                                          \
      for (int64_t i = 0; i < n; i++) o[i] = value_##TAG(a[i]);                                                              \
  }                                                                                                                          \
  static void argsort_##TAG(int64_t n, const void *in, int64_t stride, void *out, void *scratch, int64_t kth) {              \
    const U zero = key_##TAG((T){0}), minus = zero - 1; /* of -0 where there is one */                                       \
    const bool has_minus = IS_FLOAT_##TAG;                                                                                   \
    const T *x = in;                                                                                                         \
    uint32_t *o = out, *counts = scratch;                                                                                    \
    AT *a = (AT *)(void *)(counts + RADIX_COUNTS(n)), *b = a + n;                                                            \
    (void)kth;                                                                                                               \
    for (bool fast = fast_##AT(0, NULL), done = false; !done; fast = false) {                                          \
      for (int64_t i = 0; i < n; i++) {                                                                                      \
        U k = key_##TAG(x[i * stride]);                                                                                      \
        a[i] = NEW(has_minus && k == minus ? zero : k, (uint32_t)i);                                                         \
      }                                                                                                                      \
      if (!fast) sort_##AT(n, a, b, counts);                                                                                 \
      done = !fast || fast_##AT(n, a);                                                                                       \
    }                                                                                                                        \
    for (int64_t i = 0; i < n; i++) o[i] = POSITION_##AT(a[i]);                                                              \
  }
#define IS_FLOAT_boolean false
#define IS_FLOAT_uint8 false
#define IS_FLOAT_uint16 false
#define IS_FLOAT_uint32 false
#define IS_FLOAT_uint64 false
#define IS_FLOAT_int8 false
#define IS_FLOAT_int16 false
#define IS_FLOAT_int32 false
#define IS_FLOAT_int64 false
#define IS_FLOAT_float16 true
#define IS_FLOAT_bfloat16 true
#define IS_FLOAT_float32 true
#define IS_FLOAT_float64 true
ROWS(boolean, uint8_t, uint8_t, u8, at32, AT32)
ROWS(uint8, uint8_t, uint8_t, u8, at32, AT32)
ROWS(int8, int8_t, uint8_t, u8, at32, AT32)
ROWS(uint16, uint16_t, uint16_t, u16, at32, AT32)
ROWS(int16, int16_t, uint16_t, u16, at32, AT32)
ROWS(float16, mx_f16, uint16_t, u16, at32, AT32)
ROWS(bfloat16, mx_bf16, uint16_t, u16, at32, AT32)
ROWS(uint32, uint32_t, uint32_t, u32, at32, AT32)
ROWS(int32, int32_t, uint32_t, u32, at32, AT32)
ROWS(float32, float, uint32_t, u32, at32, AT32)
ROWS(uint64, uint64_t, uint64_t, u64, at64, AT64)
ROWS(int64, int64_t, uint64_t, u64, at64, AT64)
ROWS(float64, double, uint64_t, u64, at64, AT64)

/* Complex rows: each number becomes one key of 64 bits, since both parts fit. Those with NaN come last, ordered by the other part:
 * first where the imaginary part is NaN, under a word that no real part has. */
#define IM_NAN 0xff800001u
static uint64_t key_complex64(mx_c64 x, bool equal_zeros) {
  float re = crealf(x), im = cimagf(x);
  re += 0.0f; /* zeros are equal, or the imaginary parts would not count */
  if (equal_zeros) im += 0.0f;
  if (im != im && re == re) return (uint64_t)IM_NAN << 32 | key_float32(re);
  return (uint64_t)key_float32(re) << 32 | key_float32(im);
}
static mx_c64 value_complex64(uint64_t key) {
  uint32_t high = (uint32_t)(key >> 32);
  float low = value_float32((uint32_t)key);
  return high == IM_NAN ? CMPLXF(low, __builtin_nanf("")) : CMPLXF(value_float32(high), low);
}
static void sort_complex64(int64_t n, const void *in, int64_t stride, void *out, void *scratch, int64_t kth) {
  const mx_c64 *x = in;
  mx_c64 *o = out;
  uint32_t *counts = scratch;
  uint64_t *a = (uint64_t *)(void *)(counts + RADIX_COUNTS(n));
  for (int64_t i = 0; i < n; i++) a[i] = key_complex64(x[i * stride], false);
  if (!fast_u64(n, a, kth)) sort_u64(n, a, a + n, counts);
  for (int64_t i = 0; i < n; i++) o[i] = value_complex64(a[i]);
}
static void argsort_complex64(int64_t n, const void *in, int64_t stride, void *out, void *scratch, int64_t kth) {
  (void)kth;
  const mx_c64 *x = in;
  uint32_t *o = out, *counts = scratch;
  at64 *a = (at64 *)(void *)(counts + RADIX_COUNTS(n));
  for (int64_t i = 0; i < n; i++) a[i] = AT64(key_complex64(x[i * stride], true), (uint32_t)i);
  sort_at64(n, a, a + n, counts);
  for (int64_t i = 0; i < n; i++) o[i] = a[i].at;
}

typedef struct sort_job {
  mx_rows rows;
  const mx_view *in, *out;
  sort_fn fn;
  int64_t kth;
  size_t scratch;
  _Atomic bool no_memory;
} sort_job;

static void sort_range(void *ctx, int64_t begin, int64_t end) {
  sort_job *j = ctx;
  int64_t n = j->rows.n[0], so = j->rows.stride[1];
  size_t item = mx_dtype_sizes[j->out->dtype];
  char *scratch = mx_scratch(j->scratch + (so == 1 ? 0 : (size_t)n * item));
  if (!scratch) {
    j->no_memory = true;
    return;
  }
  mx_cursor at;
  mx_walk_seek(&j->rows.walk, &at, begin);
  for (int64_t i = begin; i < end; i++, mx_walk_next(&j->rows.walk, &at)) {
    char *out = mx_at(j->out, at.off[1]), *row = so == 1 ? out : scratch + j->scratch;
    j->fn(n, mx_at(j->in, at.off[0]), j->rows.stride[0], row, scratch, j->kth);
    if (so != 1)
      for (int64_t k = 0; k < n; k++) memcpy(out + (size_t)(k * so) * item, row + (size_t)k * item, item);
  }
  mx_scratch_free(scratch);
}

#define TABLE(fn)                                                                                                            \
  {                                                                                                                          \
    [MX_BOOL] = fn##_boolean, [MX_U8] = fn##_uint8, [MX_U16] = fn##_uint16, [MX_U32] = fn##_uint32, [MX_U64] = fn##_uint64,  \
    [MX_I8] = fn##_int8, [MX_I16] = fn##_int16, [MX_I32] = fn##_int32, [MX_I64] = fn##_int64, [MX_F16] = fn##_float16,       \
    [MX_F32] = fn##_float32, [MX_F64] = fn##_float64, [MX_BF16] = fn##_bfloat16, [MX_C64] = fn##_complex64                   \
  }

static int sort_rows(const mx_view *in, const mx_view *out, int axis, bool arg, int64_t kth) {
  static const sort_fn sorts[MX_DTYPES] = TABLE(sort), argsorts[MX_DTYPES] = TABLE(argsort);
  sort_job j = {.in = in, .out = out, .fn = arg ? argsorts[in->dtype] : sorts[in->dtype], .kth = kth};
  mx_rows_init(&j.rows, in, out, axis);
  j.scratch = row_scratch(j.rows.n[0], arg ? 2 * sizeof(at64) : in->dtype == MX_C64 ? 16 : mx_dtype_sizes[in->dtype]);
  j.scratch = (j.scratch + 63) / 64 * 64;
  if (j.rows.walk.n == 1) sort_range(&j, 0, 1); /* the row itself is cut for the pool */
  else mx_parallel(j.rows.walk.n, mx_rows_grain(&j.rows), sort_range, &j);
  return j.no_memory ? mx_fail_memory() : 0;
}

/* Rows along an axis of which the elements lie apart: laid next to each other, and back. */
static int sort_turned(const mx_view *in, const mx_view *out, int axis, bool arg, int64_t kth) {
  int32_t shape[MX_MAX_NDIM];
  int64_t from[MX_MAX_NDIM], to[MX_MAX_NDIM], rows[MX_MAX_NDIM];
  int last = in->ndim - 1, rc = 0;
  for (int d = 0; d <= last; d++) {
    int at = d == last ? axis : d < axis ? d : d + 1;
    shape[d] = in->shape[at], from[d] = in->strides[at], to[d] = out->strides[at];
  }
  mx_row_strides(in->ndim, shape, rows);
  mx_view x = *in, keys = *in, sorted = *out, result = *out;
  x.shape = keys.shape = sorted.shape = result.shape = shape;
  x.strides = from, keys.strides = sorted.strides = rows, result.strides = to;
  void *room = keys.data = mx_scratch((size_t)in->size * mx_dtype_sizes[in->dtype]), *more = NULL;
  sorted.data = arg ? more = mx_scratch((size_t)out->size * mx_dtype_sizes[out->dtype]) : room;
  if (!room || !sorted.data) rc = mx_fail_memory();
  if (!rc) rc = mx_copy_view(&x, &keys);
  if (!rc) rc = sort_rows(&keys, &sorted, last, arg, kth);
  if (!rc) rc = mx_copy_view(&sorted, &result);
  mx_scratch_free(room);
  mx_scratch_free(more);
  return rc;
}

static int sort_run(const mx_call *c, bool arg, int64_t kth) {
  enum { WORTH = 1 << 12 };
  const mx_view *in = c->in, *out = c->out;
  int axis = (int)c->p[0];
  if (!out->size) return 0;
  bool together = !in->ndim || (in->strides[axis] == 1 && out->strides[axis] == 1) || in->shape[axis] == out->size;
  return (together || out->size < WORTH ? sort_rows : sort_turned)(in, out, axis, arg, kth);
}

int mx_cpu_sort(const mx_call *c) { return sort_run(c, false, -1); }
int mx_cpu_argsort(const mx_call *c) { return sort_run(c, true, -1); }
int mx_cpu_partition(const mx_call *c) { return sort_run(c, false, c->p[1]); }
int mx_cpu_argpartition(const mx_call *c) { return sort_run(c, true, -1); }
