/* COUNT rows of x, of type X, times the transposed W, PER elements at a time: LOAD, SOME and FMA are those of gemm_rows.c or of pairs. */
#ifndef TARGET
#define TARGET
#endif
/* R rows of w from row j of a block on, pieces of k from p0 on. */
#define TURNED(R)                                                                                                               \
  for (; j + R <= rows; j += R) {                                                                                               \
    const W *from = w + j * ldw;                                                                                                \
    vec acc[R][COUNT], *lane = lanes + j * COUNT;                                                                               \
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int i = 0; i < COUNT; i++) acc[r][i] = p0 ? lane[r * COUNT + i] : (vec){0};  \
    int64_t p = p0;                                                                                                             \
    /* so far ahead in the same rows, then at the start of the next; rows that are short altogether: the next */                \
    const int64_t ahead = end - p0 < AHEAD ? end - p0 : AHEAD, turn = end - ahead, wrap = R * ldw + p0 - turn;                  \
    for (; p + PER <= end; p += PER) {                                                                                          \
      vec b[R];                                                                                                                 \
      UNROLL for (int r = 0; r < R; r++) b[r] = LOAD(from + r * ldw + p);                                                       \
      const W *then = from + p + (p < turn ? ahead : wrap);                                                                     \
      if (FETCH && p * sizeof(W) % 64 == 0) UNROLL for (int r = 0; r < R; r++) __builtin_prefetch(then + r * ldw);        \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                                                  \
        vec a = LOAD_X(x + i * ldx + p);                                                                                        \
        ONCE(a);                                                                                                                \
        UNROLL for (int r = 0; r < R; r++) acc[r][i] = FMA(a, b[r], acc[r][i]);                                                 \
      }                                                                                                                         \
    }                                                                                                                           \
    if (p < end) {                                                                                                              \
      UNROLL for (int r = 0; r < R; r++) {                                                                                      \
        vec b = SOME(from + r * ldw + p, (int)(end - p));                                                                       \
        UNROLL for (int i = 0; i < COUNT; i++) acc[r][i] = FMA(SOME_X(x + i * ldx + p, (int)(end - p)), b, acc[r][i]);          \
      }                                                                                                                         \
    }                                                                                                                           \
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int i = 0; i < COUNT; i++) lane[r * COUNT + i] = acc[r][i];                  \
  }

TARGET static void KERNEL(turned)(int64_t n, int64_t k, const void *few, int64_t ldx, const void *matrix, int64_t ldw, float *y, int64_t ldy) {
  enum { BLOCK = 60, FETCH = VECTOR > 16 && (sizeof(W) == 2 || COUNT > 1), AHEAD = 2048 / sizeof(W), PIECE = 24576 / (int)sizeof(X) / COUNT / 64 * 64 }; /* of x, which stays in L1 */
  vec lanes[BLOCK * COUNT];
  const X *x = few;
  const W *w = matrix;
  for (int64_t j0 = 0; j0 < n; j0 += BLOCK, w += BLOCK * ldw) {
    int64_t rows = n - j0 < BLOCK ? n - j0 : BLOCK;
    for (int64_t p0 = 0; p0 < k; p0 += PIECE) {
      int64_t end = k - p0 < PIECE ? k : p0 + PIECE, j = 0;
#if COUNT <= 6
      TURNED(4)
#else
      TURNED(3)
#endif
      TURNED(1)
    }
    for (int i = 0; i < COUNT; i++) {
      int64_t j = 0;
      for (; j + 4 <= rows; j += 4) sums_of_four(lanes + j * COUNT + i, COUNT, y + i * ldy + j0 + j);
      for (; j < rows; j++) y[i * ldy + j0 + j] = sum_of(lanes[j * COUNT + i]);
    }
  }
}
#undef TURNED
