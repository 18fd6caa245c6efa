/* The micro-kernel of R rows by V vectors, R and V being macros: with variables the compiler keeps the sums in memory.
 * c (R, V vectors) = or += the rows of a, in pieces as `s` says, times the packed panel b. */
#ifndef TARGET
#define TARGET
#endif
#ifndef ROW_T
#define ROW_T T /* how elements of a are read */
#endif
TARGET static void MICRO(R, V)(const mx_strip *s, const T *a, const T *b, T *c, int64_t ldc, bool add) {
  NAME(vec) acc[R][V];
  const int64_t rs = s->rs, cs = s->cs, len = s->len, pace = s->pace;
  const char *next = s->next ? s->next : (const void *)b;
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < V; j++) acc[i][j] = (NAME(vec)){0};
  for (int64_t q = 0; q < s->count; q++) {
    const ROW_T *row[(R + 2) / 3]; /* three rows a pointer: more pointers than that do not fit the registers */
    UNROLL for (int i = 0; i < (R + 2) / 3; i++) row[i] = (const ROW_T *)a + s->at[q] + 3 * i * rs;
    for (int64_t p = 0; p < len; p++) {
      NAME(vec) vb[V];
      __builtin_prefetch(next);
      next += pace;
      UNROLL for (int j = 0; j < V; j++) vb[j] = *(const NAME(vec) *)(b + j * NAME(LANES));
      UNROLL for (int i = 0; i < R; i++) {
        NAME(vec) va = SPREAD(row[i / 3][i % 3 * rs]);
        UNROLL for (int j = 0; j < V; j++) acc[i][j] = FMA(va, vb[j], acc[i][j]);
      }
      UNROLL for (int i = 0; i < (R + 2) / 3; i++) row[i] += cs;
      b += NAME(NR);
    }
  }
  if (add)
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < V; j++) *(NAME(vec) *)(c + i * ldc + j * NAME(LANES)) += acc[i][j];
  else
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < V; j++) *(NAME(vec) *)(c + i * ldc + j * NAME(LANES)) = acc[i][j];
}
