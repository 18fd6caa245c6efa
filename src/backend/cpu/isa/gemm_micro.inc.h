/* The micro-kernel of R rows by V vectors, R and V being macros: with variables the compiler keeps the sums in memory.
 * c (R, V vectors) = or += a b. Element (i, p) of a is at a[i * rs + p * cs], b is a packed panel. */
static void MICRO(R, V)(int64_t k, const T *a, int64_t rs, int64_t cs, const T *b, T *c, int64_t ldc, bool add) {
  NAME(vec) acc[R][V];
  const T *row[(R + 2) / 3]; /* three rows a pointer: more pointers than that do not fit the registers */
  UNROLL for (int i = 0; i < (R + 2) / 3; i++) row[i] = a + 3 * i * rs;
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < V; j++) acc[i][j] = (NAME(vec)){0};
  for (int64_t p = 0; p < k; p++) {
    NAME(vec) vb[V];
    UNROLL for (int j = 0; j < V; j++) vb[j] = *(const NAME(vec) *)(b + j * NAME(LANES));
    UNROLL for (int i = 0; i < R; i++) {
      NAME(vec) va = SPREAD(row[i / 3][i % 3 * rs]);
      UNROLL for (int j = 0; j < V; j++) acc[i][j] = FMA(va, vb[j], acc[i][j]);
    }
    UNROLL for (int i = 0; i < (R + 2) / 3; i++) row[i] += cs;
    b += NAME(NR);
  }
  if (add)
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < V; j++) *(NAME(vec) *)(c + i * ldc + j * NAME(LANES)) += acc[i][j];
  else
    UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < V; j++) *(NAME(vec) *)(c + i * ldc + j * NAME(LANES)) = acc[i][j];
}
