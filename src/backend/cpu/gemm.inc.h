/* Our own product: panels of MR rows of a and NR columns of b are packed, the micro-kernel keeps their product in registers
 * (Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008). */
#define NAME_(a, b) a##_##b
#define NAME2(a, b) NAME_(a, b)
#define NAME(a) NAME2(a, TAG)

#ifdef IS_COMPLEX
#define MADD(s, x, y) ((s) + CMPLXF(crealf(x) * crealf(y) - cimagf(x) * cimagf(y), crealf(x) * cimagf(y) + cimagf(x) * crealf(y)))
#else
#define MADD(s, x, y) ((s) + (x) * (y))
#endif

enum { NAME(MR) = 6, NAME(NR) = 16, NAME(KC) = 256, NAME(MC) = 96, NAME(NC) = 512 };

/* acc (MR, NR) += the product of packed panels. */
static void NAME(micro)(int64_t k, const T *restrict a, const T *restrict b, T acc[NAME(MR)][NAME(NR)]) {
  for (int64_t p = 0; p < k; p++)
    for (int i = 0; i < NAME(MR); i++)
      for (int j = 0; j < NAME(NR); j++) acc[i][j] = MADD(acc[i][j], a[p * NAME(MR) + i], b[p * NAME(NR) + j]);
}

/* A block with strides (outer, inner) into panels `width` wide; what is missing of the last panel is zero. */
static void NAME(pack)(int64_t n, int64_t k, int width, const T *x, int64_t across, int64_t along, T *o) {
  for (int64_t i = 0; i < n; i += width) {
    int w = n - i < width ? (int)(n - i) : width;
    for (int64_t p = 0; p < k; p++) {
      for (int j = 0; j < w; j++) *o++ = x[(i + j) * across + p * along];
      for (int j = w; j < width; j++) *o++ = 0;
    }
  }
}

static int NAME(own)(int64_t m, int64_t n, int64_t k, double alpha, const mx_matrix *a, const mx_matrix *b, double beta, T *c,
                     int64_t ldc) {
  enum { MR = NAME(MR), NR = NAME(NR), KC = NAME(KC), MC = NAME(MC), NC = NAME(NC) };
  const T *pa = a->data, *pb = b->data;
  if (m * n * k <= 4096) { /* too small to pack */
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        T s = 0;
        for (int64_t p = 0; p < k; p++) s = MADD(s, pa[i * a->rs + p * a->cs], pb[p * b->rs + j * b->cs]);
        T *o = &c[i * ldc + j];
        *o = beta == 0 ? (T)alpha * s : (T)alpha * s + (T)beta * *o;
      }
    return 0;
  }
  if (beta != 1)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : (T)beta * c[i * ldc + j];
  int64_t kc = k < KC ? k : KC, mc = (m < MC ? m : MC) + MR, nc = (n < NC ? n : NC) + NR;
  T *panel_a = mx_malloc((size_t)(kc * (mc + nc)) * sizeof(T)), *panel_b = panel_a + kc * mc;
  if (!panel_a) return MX_EMEMORY;
  for (int64_t j0 = 0; j0 < n; j0 += NC) {
    int64_t nj = n - j0 < NC ? n - j0 : NC;
    for (int64_t p0 = 0; p0 < k; p0 += KC) {
      int64_t np = k - p0 < KC ? k - p0 : KC;
      NAME(pack)(nj, np, NR, pb + p0 * b->rs + j0 * b->cs, b->cs, b->rs, panel_b);
      for (int64_t i0 = 0; i0 < m; i0 += MC) {
        int64_t ni = m - i0 < MC ? m - i0 : MC;
        NAME(pack)(ni, np, MR, pa + i0 * a->rs + p0 * a->cs, a->rs, a->cs, panel_a);
        for (int64_t j = 0; j < nj; j += NR)
          for (int64_t i = 0; i < ni; i += MR) {
            T acc[MR][NR] = {{0}};
            NAME(micro)(np, panel_a + i * np, panel_b + j * np, acc);
            for (int r = 0; r < MR && i + r < ni; r++)
              for (int q = 0; q < NR && j + q < nj; q++) c[(i0 + i + r) * ldc + j0 + j + q] += (T)alpha * acc[r][q];
          }
      }
    }
  }
  mx_free(panel_a);
  return 0;
}
#undef NAME_
#undef NAME2
#undef NAME
#undef MADD
