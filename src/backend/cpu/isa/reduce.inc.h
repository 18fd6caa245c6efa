/* The reducers of one compute type: T, TAG, SUM_T and SUM_TAG (what its sums are accumulated in) are set by the including file.
 *
 * Orders, which depend on the length alone: 64 lanes (32 where accumulators have 8 bytes) go over a block side by side and are joined by
 * halves: to 16 accumulators of the block, or to one; rows of fewer than 256 have 16 lanes, of fewer than 32 one. Columns are reduced one
 * row after the other; narrow ones in groups of rows side by side. */
#define ACC_SAME T
#define ACC_SUM SUM_T
#define ACC_BOOL uint8_t
#define TAG_SAME TAG
#define TAG_SUM SUM_TAG
#define TAG_BOOL b8

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
  size_t i = W;                                                          \
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

#define REDUCER(name, A, first, body)                                                                   \
  static void CAT(name##_start, TAG)(size_t n, void *vacc) {                                            \
    A *acc = vacc;                                                                                      \
    for (size_t i = 0; i < n; i++) acc[i] = (A)(first);                                                 \
  }                                                                                                     \
  static void CAT(name##_rows, TAG)(size_t rows, size_t len, void *vacc, const void *vx) {              \
    A *acc = vacc;                                                                                      \
    const T *row = vx;                                                                                  \
    for (size_t at = 0; at < rows; at++, row += len) {                                                  \
      if (len >= 256) {                                                                                 \
        LANES(A, WIDE(A), body)                                                                         \
        FOLD_WIDE(A, body)                                                                              \
        FOLD(A, body)                                                                                   \
        acc[at] = lane[0];                                                                              \
      } else if (len >= 32) {                                                                           \
        LANES(A, 16, body)                                                                              \
        FOLD(A, body)                                                                                   \
        acc[at] = lane[0];                                                                              \
      } else {                                                                                          \
        A s = (A)(first);                                                                               \
        for (size_t i = 0; i < len; i++) STEP(A, body, s, row[i])                                       \
        acc[at] = s;                                                                                    \
      }                                                                                                 \
    }                                                                                                   \
  }                                                                                                     \
  static void CAT(name##_blocks, TAG)(size_t n, void *vacc, const void *vx) {                           \
    A *acc = vacc;                                                                                      \
    const T *row = vx;                                                                                  \
    for (; n >= MX_REDUCE_ROW; n -= MX_REDUCE_ROW, row += MX_REDUCE_ROW, acc += MX_REDUCE_LANES) {      \
      const size_t len = MX_REDUCE_ROW;                                                                 \
      LANES(A, WIDE(A), body)                                                                           \
      FOLD_WIDE(A, body)                                                                                \
      for (size_t j = 0; j < MX_REDUCE_LANES; j++) acc[j] = lane[j];                                    \
    }                                                                                                   \
    for (size_t j = 0; n && j < MX_REDUCE_LANES; j++) acc[j] = (A)(first);                              \
    for (size_t i = 0; i < n; i++) STEP(A, body, acc[i % MX_REDUCE_LANES], row[i])                      \
  }                                                                                                     \
  static void CAT(name##_narrow, TAG)(size_t rows, size_t len, void *vacc, const void *vx) {            \
    A *acc = vacc;                                                                                      \
    const T *in = vx;                                                                                   \
    A lane[64];                                                                                         \
    size_t group = 64 / len, width = group * len, n = rows * len, i = 0;                                \
    for (size_t j = 0; j < width; j++) lane[j] = (A)(first);                                            \
    for (; i + width <= n; i += width) EACH(A, width, body, lane[j], in[i + j])                         \
    if (i < n) EACH(A, n - i, body, lane[j], in[i + j])                                                 \
    for (size_t j = 0; j < len; j++) acc[j] = lane[j];                                                  \
    for (size_t g = 1; g < group; g++) EACH(A, len, body, acc[j], lane[g * len + j])                    \
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
  }                                                                                                     \
  static void CAT(name##_tree, TAG)(size_t count, size_t stride, size_t n, void *vacc) {                \
    A *acc = vacc, *lane = vacc;                                                                        \
    if (count == MX_REDUCE_LANES && stride == 1 && n == 1) {                                            \
      FOLD(A, body)                                                                                     \
      return;                                                                                           \
    }                                                                                                   \
    while (count > 1) {                                                                                 \
      size_t half = (count + 1) / 2, some = stride == n ? 1 : count - half;                             \
      size_t m = stride == n ? (count - half) * n : n;                                                  \
      for (size_t k = 0; k < some; k++) {                                                               \
        A *to = acc + k * stride;                                                                       \
        const A *from = to + half * stride;                                                             \
        MX_INDEPENDENT                                                                                  \
        EACH(A, m, body, to[j], from[j])                                                                \
      }                                                                                                 \
      count = half;                                                                                     \
    }                                                                                                   \
  }

#define REDUCE(name, label, types, result, first, body, doc) ON_##types(REDUCER(name, ACC_##result, first, body))
#include "reduce.def"
#undef REDUCE

#define ENTRY(name, result)                                                                                  \
  [OP_##name - OP_elementwise_end - 1] = {CAT(name##_start, TAG), CAT(name##_rows, TAG), CAT(name##_blocks, TAG), CAT(name##_cols, TAG), \
                                          CAT(name##_narrow, TAG), CAT(name##_tree, TAG), CAT(MX_TAG, TAG_##result)},
#define REDUCE(name, label, types, result, ...) ON_##types(ENTRY(name, result))
extern const mx_reducer CAT(CAT(mx_reducers, TAG), MX_ISA)[OP_reduce_end - OP_elementwise_end - 1];
const mx_reducer CAT(CAT(mx_reducers, TAG), MX_ISA)[OP_reduce_end - OP_elementwise_end - 1] = {
#include "reduce.def"
};
#undef REDUCE
#undef ENTRY
#undef REDUCER
#undef STEP
#undef EACH
#undef WIDE
#undef LANES
#undef FETCH
#undef FOLD
#undef KEEP_LOOP
#undef FOLD_WIDE
#undef ACC_SAME
#undef ACC_SUM
#undef ACC_BOOL
#undef TAG_SAME
#undef TAG_SUM
#undef TAG_BOOL
#undef T
#undef TAG
#undef SUM_T
#undef SUM_TAG
