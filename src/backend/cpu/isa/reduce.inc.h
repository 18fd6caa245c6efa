/* The reducers of one compute type: T, TAG, SUM_T and SUM_TAG (what its sums are accumulated in) are set by the including file.
 *
 * Orders, which depend on the length alone: a row of 256 or more is summed in 64 lanes, of 32 or more in 16, and the lanes are joined by
 * halves; shorter rows one after the other. Columns are reduced one row after the other; narrow ones in groups of rows side by side. */
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
#define LANES(A, W, body)                                                       \
  {                                                                             \
    A lane[W];                                                                  \
    for (size_t j = 0; j < W; j++) lane[j] = (A)row[j];                         \
    size_t i = W;                                                               \
    for (; i + W <= len; i += W)                                                \
      for (size_t j = 0; j < W; j++) STEP(A, body, lane[j], row[i + j])         \
    for (size_t j = 0; i + j < len; j++) STEP(A, body, lane[j], row[i + j])     \
    for (size_t w = W / 2; w; w /= 2)                                           \
      for (size_t j = 0; j < w; j++) STEP(A, body, lane[j], lane[j + w])        \
    acc[at] = lane[0];                                                          \
  }

#define REDUCER(name, A, first, body)                                                      \
  static void CAT(name##_start, TAG)(size_t n, void *vacc) {                               \
    A *acc = vacc;                                                                         \
    for (size_t i = 0; i < n; i++) acc[i] = (A)(first);                                    \
  }                                                                                        \
  static void CAT(name##_rows, TAG)(size_t rows, size_t len, void *vacc, const void *vx) { \
    A *acc = vacc;                                                                         \
    const T *row = vx;                                                                     \
    for (size_t at = 0; at < rows; at++, row += len) {                                     \
      if (len >= 256) LANES(A, 64, body)                                                   \
      else if (len >= 32) LANES(A, 16, body)                                               \
      else {                                                                               \
        A s = (A)(first);                                                                  \
        for (size_t i = 0; i < len; i++) STEP(A, body, s, row[i])                          \
        acc[at] = s;                                                                       \
      }                                                                                    \
    }                                                                                      \
  }                                                                                        \
  static void CAT(name##_narrow, TAG)(size_t rows, size_t len, void *vacc, const void *vx) { \
    A *acc = vacc;                                                                         \
    const T *in = vx;                                                                      \
    A lane[64];                                                                            \
    size_t group = 64 / len, width = group * len, n = rows * len, i = 0;                   \
    for (size_t j = 0; j < width; j++) lane[j] = (A)(first);                               \
    for (; i + width <= n; i += width)                                                     \
      for (size_t j = 0; j < width; j++) STEP(A, body, lane[j], in[i + j])                  \
    for (size_t j = 0; i + j < n; j++) STEP(A, body, lane[j], in[i + j])                    \
    for (size_t j = 0; j < len; j++) acc[j] = lane[j];                                     \
    for (size_t g = 1; g < group; g++)                                                     \
      for (size_t j = 0; j < len; j++) STEP(A, body, acc[j], lane[g * len + j])            \
  }                                                                                        \
  static void CAT(name##_cols, TAG)(size_t rows, size_t len, void *vacc, const void *vx) { \
    A *acc = vacc;                                                                         \
    const T *in = vx;                                                                      \
    for (size_t r_ = 0; r_ < rows; r_++, in += len)                                        \
      MX_INDEPENDENT                                                                       \
      for (size_t j = 0; j < len; j++) STEP(A, body, acc[j], in[j])                         \
  }                                                                                        \
  static void CAT(name##_join, TAG)(size_t n, void *vacc, const void *va) {                \
    A *acc = vacc;                                                                         \
    const A *a = va;                                                                       \
    MX_INDEPENDENT                                                                         \
    for (size_t i = 0; i < n; i++) STEP(A, body, acc[i], a[i])                             \
  }

#define REDUCE(name, label, types, result, first, body, doc) ON_##types(REDUCER(name, ACC_##result, first, body))
#include "reduce.def"
#undef REDUCE

#define ENTRY(name, result)                                                                                  \
  [OP_##name - OP_elementwise_end - 1] = {CAT(name##_start, TAG), CAT(name##_rows, TAG), CAT(name##_cols, TAG), \
                                          CAT(name##_narrow, TAG), \
                                          CAT(name##_join, TAG), CAT(MX_TAG, TAG_##result)},
#define REDUCE(name, label, types, result, ...) ON_##types(ENTRY(name, result))
extern const mx_reducer CAT(CAT(mx_reducers, TAG), MX_ISA)[OP_reduce_end - OP_elementwise_end - 1];
const mx_reducer CAT(CAT(mx_reducers, TAG), MX_ISA)[OP_reduce_end - OP_elementwise_end - 1] = {
#include "reduce.def"
};
#undef REDUCE
#undef ENTRY
#undef REDUCER
#undef STEP
#undef LANES
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
