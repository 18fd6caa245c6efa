/* The reducers of one compute type. The including file sets T and TAG, and where sums and products are accumulated in another type, SUM_T
 * and SUM_TAG; or SUM_TWIN, the type of the same width whose sums and products have the same bits.
 *
 * Orders, which depend on the length alone: 64 lanes (32 where accumulators have 8 bytes) go over a block side by side and are joined by
 * halves: to 16 accumulators of the block, or to one; rows of fewer than 256 have 16 lanes, of fewer than 32 one. Columns are reduced one
 * row after the other. */
#define STEP(A, body, acc, value) \
  {                               \
    A r = acc, x = (A)(value);    \
    acc = (A)(body);              \
  }
#define EACH(A, n, body, a, b) \
  for (size_t j = 0; j < (n); j++) STEP(A, body, a, b)
#define WIDE(A) (sizeof(A) < 8 ? 64 : 32)
/* Lines that will be read soon: with more to do a line than adding, too few are under way by themselves. */
#define FETCH(W) \
  for (size_t l = 0; l < W * sizeof(T); l += 64) __builtin_prefetch((const char *)(row + i) + l + 6144);
/* lane[W] = the lanes of row */
#define LANES(A, W, body)                                                \
  A lane[W];                                                             \
  size_t i = 0;                                                          \
  FETCH(W)                                                               \
  i = W;                                                                 \
  for (size_t j = 0; j < W; j++) lane[j] = (A)row[j];                    \
  for (; i + W <= len; i += W) {                                         \
    FETCH(W)                                                             \
    EACH(A, W, body, lane[j], row[i + j])                                \
  }                                                                      \
  if (i < len) EACH(A, len - i, body, lane[j], row[i + j])
/* lane[16], ... to lane[0]. Loops that compilers unroll before they vectorise end as scalars. */
#ifdef __clang__
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define KEEP_LOOP _Pragma("GCC unroll 1")
#endif
#define FOLD(A, body)                             \
  KEEP_LOOP EACH(A, 8, body, lane[j], lane[j + 8]) \
  EACH(A, 4, body, lane[j], lane[j + 4])          \
  EACH(A, 2, body, lane[j], lane[j + 2])          \
  STEP(A, body, lane[0], lane[1])
#define FOLD_WIDE(A, body)                                                   \
  if (WIDE(A) == 64) KEEP_LOOP EACH(A, 32, body, lane[j], lane[(j + 32) % WIDE(A)])    \
  KEEP_LOOP EACH(A, 16, body, lane[j], lane[j + 16])

/* What a reduction needs of its elements' type. */
#define REDUCER(name, A, first, body)                                                                   \
  /* of long rows: one accumulator each, or MX_REDUCE_LANES */                                          \
  static __attribute__((noinline)) void CAT(name##_long, TAG)(size_t rows, size_t len, A *acc, const T *row, bool whole) { \
    for (size_t at = 0; at < rows; at++, row += len) {                                                  \
      LANES(A, WIDE(A), body)                                                                           \
      FOLD_WIDE(A, body)                                                                                \
      if (whole) {                                                                                      \
        FOLD(A, body)                                                                                   \
        *acc++ = lane[0];                                                                               \
      } else {                                                                                          \
        for (size_t j = 0; j < MX_REDUCE_LANES; j++) acc[j] = lane[j];                                  \
        acc += MX_REDUCE_LANES;                                                                         \
      }                                                                                                 \
    }                                                                                                   \
  }                                                                                                     \
  static __attribute__((noinline)) void CAT(name##_short, TAG)(size_t rows, size_t len, A *acc, const T *row) { \
    for (size_t at = 0; at < rows; at++, row += len) {                                                  \
      LANES(A, MX_REDUCE_LANES, body)                                                                   \
      FOLD(A, body)                                                                                     \
      acc[at] = lane[0];                                                                                \
    }                                                                                                   \
  }                                                                                                     \
  static void CAT(name##_rows, TAG)(size_t rows, size_t len, void *vacc, const void *vx) {              \
    A *acc = vacc;                                                                                      \
    const T *row = vx;                                                                                  \
    if (len >= 256)                                                                                     \
      CAT(name##_long, TAG)(rows, len, acc, row, true);                                                 \
    else if (len >= 32)                                                                                 \
      CAT(name##_short, TAG)(rows, len, acc, row);                                                      \
    else                                                                                                \
      for (size_t at = 0; at < rows; at++, row += len) {                                                \
        A s = (A)(first);                                                                               \
        for (size_t i = 0; i < len; i++) STEP(A, body, s, row[i])                                       \
        acc[at] = s;                                                                                    \
      }                                                                                                 \
  }                                                                                                     \
  static void CAT(name##_blocks, TAG)(size_t n, void *vacc, const void *vx) {                           \
    A *acc = vacc;                                                                                      \
    const T *row = vx;                                                                                  \
    size_t rows = n / MX_REDUCE_ROW;                                                                    \
    CAT(name##_long, TAG)(rows, MX_REDUCE_ROW, acc, row, false);                                        \
    n %= MX_REDUCE_ROW, row += rows * MX_REDUCE_ROW, acc += rows * MX_REDUCE_LANES;                     \
    for (size_t j = 0; n && j < MX_REDUCE_LANES; j++) acc[j] = (A)(first);                              \
    for (size_t i = 0; i < n; i++) STEP(A, body, acc[i % MX_REDUCE_LANES], row[i])                      \
  }                                                                                                     \
  static void CAT(name##_cols, TAG)(size_t rows, size_t len, size_t ld, void *vacc, const void *vx) {   \
    A *acc = vacc;                                                                                      \
    const T *in = vx;                                                                                   \
    for (; rows >= 8; rows -= 8, in += 8 * ld)                                                          \
      MX_INDEPENDENT                                                                                    \
      for (size_t j = 0; j < len; j++) {                                                                \
        A s = acc[j];                                                                                   \
        STEP(A, body, s, in[j])                                                                         \
        STEP(A, body, s, in[j + ld])                                                                    \
        STEP(A, body, s, in[j + 2 * ld])                                                                \
        STEP(A, body, s, in[j + 3 * ld])                                                                \
        STEP(A, body, s, in[j + 4 * ld])                                                                \
        STEP(A, body, s, in[j + 5 * ld])                                                                \
        STEP(A, body, s, in[j + 6 * ld])                                                                \
        STEP(A, body, s, in[j + 7 * ld])                                                                \
        acc[j] = s;                                                                                     \
      }                                                                                                 \
    for (; rows; rows--, in += ld)                                                                      \
      MX_INDEPENDENT                                                                                    \
      EACH(A, len, body, acc[j], in[j])                                                                 \
  }

/* What it needs of its accumulators' type: T is that. */
#define JOINER(name, first, body)                                                                       \
  static void CAT(name##_start, TAG)(size_t n, void *vacc) {                                            \
    T *acc = vacc;                                                                                      \
    for (size_t i = 0; i < n; i++) acc[i] = (T)(first);                                                 \
  }                                                                                                     \
  static void CAT(name##_tree, TAG)(size_t count, size_t stride, size_t n, void *vacc) {                \
    T *acc = vacc, *lane = vacc;                                                                        \
    if (count == MX_REDUCE_LANES && stride == 1 && n == 1) {                                            \
      FOLD(T, body)                                                                                     \
      return;                                                                                           \
    }                                                                                                   \
    while (count > 1) {                                                                                 \
      size_t half = (count + 1) / 2, some = stride == n ? 1 : count - half;                             \
      size_t m = stride == n ? (count - half) * n : n;                                                  \
      for (size_t k = 0; k < some; k++) {                                                               \
        T *to = acc + k * stride;                                                                       \
        const T *from = to + half * stride;                                                             \
        MX_INDEPENDENT                                                                                  \
        EACH(T, m, body, to[j], from[j])                                                                \
      }                                                                                                 \
      count = half;                                                                                     \
    }                                                                                                   \
  }

#define DEFINE_SAME(name, first, body) REDUCER(name, T, first, body) JOINER(name, first, body)
#define DEFINE_BOOL DEFINE_SAME
#ifdef SUM_TWIN
#define DEFINE_SUM(name, first, body)
#define FN_SUM SUM_TWIN
#elif defined SUM_T
#define DEFINE_SUM(name, first, body) REDUCER(name, SUM_T, first, body)
#define FN_SUM TAG
#else
#define DEFINE_SUM DEFINE_SAME
#define FN_SUM TAG
#endif
#define REDUCE(name, label, types, result, first, body, doc) ON_##types(DEFINE_##result(name, first, body))
#include "reduce.def"
#undef REDUCE

#define OF_ELEMENTS(name, tag) .rows = CAT(name##_rows, tag), .blocks = CAT(name##_blocks, tag), .cols = CAT(name##_cols, tag)
#define OF_RESULTS(name, tag) .start = CAT(name##_start, tag), .tree = CAT(name##_tree, tag)
#define ENTRY_SAME(name) {OF_ELEMENTS(name, TAG), OF_RESULTS(name, TAG), .acc = CAT(MX_TAG, TAG)}
#define ENTRY_BOOL ENTRY_SAME
#ifdef SUM_T
#define ENTRY_SUM(name) {OF_ELEMENTS(name, TAG), .acc = CAT(MX_TAG, SUM_TAG)}
#else
#define ENTRY_SUM(name) {OF_ELEMENTS(name, FN_SUM), OF_RESULTS(name, FN_SUM), .acc = CAT(MX_TAG, TAG)}
#endif
#define ENTRY(name, result) [OP_##name - OP_elementwise_end - 1] = ENTRY_##result(name),
#define REDUCE(name, label, types, result, ...) ON_##types(ENTRY(name, result))
extern const mx_reducer CAT(CAT(mx_reducers, TAG), MX_ISA)[OP_reduce_end - OP_elementwise_end - 1];
const mx_reducer CAT(CAT(mx_reducers, TAG), MX_ISA)[OP_reduce_end - OP_elementwise_end - 1] = {
#include "reduce.def"
};
#undef STEP
#undef EACH
#undef WIDE
#undef FETCH
#undef LANES
#undef KEEP_LOOP
#undef FOLD
#undef FOLD_WIDE
#undef REDUCER
#undef REDUCE
#undef JOINER
#undef DEFINE_SAME
#undef DEFINE_BOOL
#undef DEFINE_SUM
#undef FN_SUM
#undef OF_ELEMENTS
#undef OF_RESULTS
#undef ENTRY
#undef ENTRY_SAME
#undef ENTRY_BOOL
#undef ENTRY_SUM
#undef T
#undef TAG
#undef SUM_T
#undef SUM_TAG
#undef SUM_TWIN
