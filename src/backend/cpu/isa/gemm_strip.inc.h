/* Products whose rows lie in pieces (gemm.h), of type T: after gemm_kernel.inc.h. Blocks of rows are as even as they come. */
static void NAME(strip)(int64_t m, int64_t n, const mx_strip *s, const T *a, const T *b, T *c, int64_t ldc, bool add) {
  enum { NR = NAME(NR) };
  int vectors = n > NAME(LANES) ? 2 : 1;
  bool whole = n == vectors * NAME(LANES);
  for (int64_t blocks = (m + MR - 1) / MR; blocks; blocks--) {
    int64_t height = (m + blocks - 1) / blocks;
    NAME(micro_fn) micro = NAME(micros)[height - 1][vectors - 1];
    if (whole) {
      micro(s, a, b, c, ldc, add);
    } else {
      T edge[MR * NR];
      micro(s, a, b, edge, NR, false);
      for (int64_t r = 0; r < height; r++)
        for (int64_t q = 0; q < n; q++) c[r * ldc + q] = add ? c[r * ldc + q] + edge[r * NR + q] : edge[r * NR + q];
    }
    m -= height;
    a += height * s->rs;
    c += height * ldc;
  }
}

#undef STRIP
#define STRIP(name)                                                                                                                        \
  void CAT(name, MX_ISA)(int64_t, int64_t, const mx_strip *, const void *, const void *, void *, int64_t, bool);                           \
  void CAT(name, MX_ISA)(int64_t m, int64_t n, const mx_strip *s, const void *a, const void *b, void *c, int64_t ldc, bool add) {          \
    NAME(strip)(m, n, s, a, b, c, ldc, add);                                                                                               \
  }
