/* COUNT rows of x, W by rows and transposed. */
static void KERNEL(plain)(int64_t n, int64_t k, const float *x, int64_t ldx, const void *matrix, int64_t ldw, float *y, int64_t ldy) {
  const W *w = matrix;
  for (int i = 0; i < COUNT; i++) memset(y + i * ldy, 0, (size_t)n * sizeof *y);
  for (int64_t p = 0; p < k; p += 4, x += 4, w += 4 * ldw) {
    const W *next = p + 8 <= k ? w + 4 * ldw : NULL;
    int64_t j = 0, rows = k - p < 4 ? k - p : 4;
    if (rows == 4) {
      STEP(2)
      STEP(1)
    }
    for (; j < n; j += LANES) {
      int count = n - j < LANES ? (int)(n - j) : LANES;
      for (int i = 0; i < COUNT; i++) {
        vec acc = {0};
        memcpy(&acc, y + i * ldy + j, (size_t)count * 4);
        for (int q = 0; q < rows; q++) acc = FMA(SPREAD(x[i * ldx + q]), SOME(w + q * ldw + j, count), acc);
        memcpy(y + i * ldy + j, &acc, (size_t)count * 4);
      }
    }
  }
}

/* R rows of w from row j of a block on, pieces of k from p0 on. */
#define TURNED(R)                                                                                                                \
  for (; j + R <= rows; j += R) {                                                                                                \
    const W *from = w + j * ldw;                                                                                                 \
    vec acc[R][COUNT], *lane = lanes + j * COUNT;                                                                                \
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int i = 0; i < COUNT; i++) acc[r][i] = p0 ? lane[r * COUNT + i] : (vec){0};   \
    int64_t p = p0;                                                                                                              \
    for (; p + LANES <= end; p += LANES) {                                                                                       \
      vec b[R];                                                                                                                  \
      UNROLL for (int r = 0; r < R; r++) b[r] = LOAD(from + r * ldw + p);                                                        \
      if (VECTOR > 16 && p * sizeof(W) % 64 == 0) UNROLL for (int r = 0; r < R; r++) __builtin_prefetch(from + r * ldw + p + ahead); \
      UNROLL for (int i = 0; i < COUNT; i++) {                                                                                   \
        vec a = *(const vec *)(x + i * ldx + p);                                                                                 \
        ONCE(a);                                                                                                                 \
        UNROLL for (int r = 0; r < R; r++) acc[r][i] = FMA(a, b[r], acc[r][i]);                                                  \
      }                                                                                                                          \
    }                                                                                                                            \
    if (p < end) {                                                                                                               \
      UNROLL for (int r = 0; r < R; r++) {                                                                                       \
        vec b = SOME(from + r * ldw + p, (int)(end - p));                                                                        \
        UNROLL for (int i = 0; i < COUNT; i++) acc[r][i] = FMA(some_f32(x + i * ldx + p, (int)(end - p)), b, acc[r][i]);         \
      }                                                                                                                          \
    }                                                                                                                            \
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int i = 0; i < COUNT; i++) lane[r * COUNT + i] = acc[r][i];                   \
  }

static void KERNEL(turned)(int64_t n, int64_t k, const float *x, int64_t ldx, const void *matrix, int64_t ldw, float *y, int64_t ldy) {
  enum { BLOCK = 60, PIECE = 6144 / COUNT / 64 * 64 }; /* of x, which stays in L1 */
  vec lanes[BLOCK * COUNT];
  const W *w = matrix;
  /* the next rows, or where rows are long, of the same */
  const int64_t ahead = 4 * ldw * (int64_t)sizeof(W) <= 12288 ? 4 * ldw : 2048 / (int64_t)sizeof(W);
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
    for (int64_t j = 0; j < rows; j++)
      for (int i = 0; i < COUNT; i++) y[i * ldy + j0 + j] = sum_of(lanes[j * COUNT + i]);
  }
}
#undef TURNED
