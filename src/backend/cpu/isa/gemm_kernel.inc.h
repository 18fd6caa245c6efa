/* Our own product for one type T: columns of b are packed into panels, the micro-kernel keeps MR rows by NV vectors of the result in
 * registers (Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008). Rows of a that are contiguous are read
 * in place, others are packed as MR-wide panels. */
typedef T NAME(vec) __attribute__((vector_size(VECTOR), aligned(sizeof(T)), may_alias));
enum { NAME(LANES) = VECTOR / sizeof(T), NAME(NR) = NV * VECTOR / sizeof(T), NAME(KC) = 256, NAME(NC) = 4096 / sizeof(T), NAME(MC) = 20 * MR };

/* One for every number of rows and vectors. */
#define V 1
#include "backend/cpu/isa/gemm_micros.inc.h"
#undef V
#define V 2
#include "backend/cpu/isa/gemm_micros.inc.h"
#undef V
typedef void (*NAME(micro_fn))(int64_t k, const T *a, int64_t rs, int64_t cs, const T *b, T *c, int64_t ldc, bool add);
#define MICROS(R) {MICRO(R, 1), MICRO(R, 2)},
static const NAME(micro_fn) NAME(micros)[MR][NV] = {EACH_ROWS(MICROS)};
#undef MICROS

/* n lines of k elements into panels `width` lines wide; lines that are missing in the last panel are zero. */
static void NAME(pack)(int64_t n, int64_t k, int width, T alpha, const T *restrict x, int64_t across, int64_t along, T *restrict o) {
  int64_t whole = 0;
  if (across == 1 && width == NAME(NR)) { /* a few rows at a time through all panels: they are read in long runs */
    enum { P = 16 };
    whole = n / width * width;
    for (int64_t p0 = 0; p0 < k; p0 += P)
      for (int64_t i = 0; i < whole; i += NAME(NR)) {
        T *to = o + i * k;
        int64_t p1 = p0 + P < k ? p0 + P : k;
        if (alpha == 1)
          for (int64_t p = p0; p < p1; p++) memcpy(to + p * NAME(NR), x + i + p * along, NAME(NR) * sizeof(T));
        else
          for (int64_t p = p0; p < p1; p++)
            for (int q = 0; q < NAME(NR); q++) to[p * NAME(NR) + q] = alpha * x[i + q + p * along];
      }
    x += whole;
    o += whole * k;
  }
  for (int64_t i = whole; i < n; i += width, x += width * across, o += width * k) {
    int w = n - i < width ? (int)(n - i) : width, j = 0;
    if (w < width) memset(o, 0, (size_t)(width * k) * sizeof(T));
    if (across == 1) {
      if (w == MR && width == MR && alpha == 1)
        for (int64_t p = 0; p < k; p++) memcpy(o + p * MR, x + p * along, MR * sizeof(T));
      else
        for (int64_t p = 0; p < k; p++)
          for (int q = 0; q < w; q++) o[p * width + q] = alpha * x[q + p * along];
      continue;
    }
    if (along == 1 && width == NAME(NR)) j = NAME(transpose)(w, k, alpha, x, across, o);
    for (; j < w; j++)
      for (int64_t p = 0; p < k; p++) o[p * width + j] = alpha * x[j * across + p * along];
  }
}

/* y = alpha x B + beta y for a vector x; B (k, n). */
static void NAME(vector)(int64_t n, int64_t k, T alpha, const T *x, int64_t sx, const T *b, int64_t rs, int64_t cs, T beta, T *y, int64_t sy) {
  if (cs == 1 && sy == 1) { /* rows of B added up, four at a time */
    for (int64_t j = 0; j < n; j++) y[j] = beta == 0 ? 0 : beta * y[j];
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
      T x0 = alpha * x[p * sx], x1 = alpha * x[(p + 1) * sx], x2 = alpha * x[(p + 2) * sx], x3 = alpha * x[(p + 3) * sx];
      const T *b0 = b + p * rs, *b1 = b0 + rs, *b2 = b1 + rs, *b3 = b2 + rs;
      MX_INDEPENDENT
      for (int64_t j = 0; j < n; j++) y[j] += x0 * b0[j] + x1 * b1[j] + (x2 * b2[j] + x3 * b3[j]);
    }
    for (; p < k; p++) {
      T xp = alpha * x[p * sx];
      const T *bp = b + p * rs;
      MX_INDEPENDENT
      for (int64_t j = 0; j < n; j++) y[j] += xp * bp[j];
    }
    return;
  }
  for (int64_t j = 0; j < n; j++) {
    enum { L = 4 * NAME(LANES) };
    const T *bj = b + j * cs;
    T lane[L] = {0}, s = 0;
    int64_t p = 0;
    if (rs == 1 && sx == 1)
      for (; p + L <= k; p += L)
        for (int q = 0; q < L; q++) lane[q] += x[p + q] * bj[p + q];
    for (; p < k; p++) s += x[p * sx] * bj[p * rs];
    for (int half = L / 2; half; half /= 2)
      for (int q = 0; q < half; q++) lane[q] += lane[q + half];
    s = alpha * (s + lane[0]);
    y[j * sy] = beta == 0 ? s : s + beta * y[j * sy];
  }
}

int GEMM(int64_t, int64_t, int64_t, double, const mx_matrix *, const mx_matrix *, double, void *, int64_t);
int GEMM(int64_t m, int64_t n, int64_t k, double alpha, const mx_matrix *ma, const mx_matrix *mb, double beta, void *vc, int64_t ldc) {
  enum { NR = NAME(NR), KC = NAME(KC), NC = NAME(NC), MC = NAME(MC) };
  const T *a = ma->data, *b = mb->data;
  T *c = vc;
  if (m == 1) {
    NAME(vector)(n, k, (T)alpha, a, ma->cs, b, mb->rs, mb->cs, (T)beta, c, 1);
    return 0;
  }
  if (n == 1) {
    NAME(vector)(m, k, (T)alpha, b, mb->rs, a, ma->cs, ma->rs, (T)beta, c, ldc);
    return 0;
  }
  if (k == 0 || alpha == 0 || (beta != 0 && beta != 1)) {
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : (T)beta * c[i * ldc + j];
    if (k == 0 || alpha == 0) return 0;
    beta = 1;
  }
  bool rows = ma->cs == 1; /* the rows of a are read in place */
  int64_t kc = k < KC ? k : KC, nc = n < NC ? (n + NR - 1) / NR * NR : NC, mc = rows ? 0 : m < MC ? (m + MR - 1) / MR * MR : MC;
  T *panel_b = mx_scratch((size_t)(kc * (nc + mc)) * sizeof(T)), *panel_a = panel_b + kc * nc;
  if (!panel_b) return MX_EMEMORY;
  for (int64_t j0 = 0; j0 < n; j0 += NC) {
    int64_t nj = n - j0 < NC ? n - j0 : NC;
    for (int64_t p0 = 0; p0 < k; p0 += KC) {
      int64_t np = k - p0 < KC ? k - p0 : KC;
      bool add = beta != 0 || p0 > 0;
      NAME(pack)(nj, np, NR, (T)alpha, b + p0 * mb->rs + j0 * mb->cs, mb->cs, mb->rs, panel_b);
      for (int64_t i0 = 0; i0 < m; i0 += MC) {
        int64_t ni = m - i0 < MC ? m - i0 : MC;
        if (!rows) NAME(pack)(ni, np, MR, 1, a + i0 * ma->rs + p0 * ma->cs, ma->rs, ma->cs, panel_a);
        for (int64_t j = 0; j < nj; j += NR) {
          int64_t width = nj - j < NR ? nj - j : NR;
          int vectors = width > NAME(LANES) ? 2 : 1;
          bool whole = width == vectors * NAME(LANES);
          for (int64_t i = 0; i < ni; i += MR) {
            int64_t height = ni - i < MR ? ni - i : MR;
            const T *pa = rows ? a + (i0 + i) * ma->rs + p0 : panel_a + i * np;
            T *o = c + (i0 + i) * ldc + j0 + j, edge[MR * NR];
            NAME(micros)[height - 1][vectors - 1](np, pa, rows ? ma->rs : 1, rows ? 1 : MR, panel_b + j * np, whole ? o : edge,
                                                  whole ? ldc : NR, whole && add);
            if (whole) continue;
            for (int64_t r = 0; r < height; r++)
              for (int64_t q = 0; q < width; q++) o[r * ldc + q] = add ? o[r * ldc + q] + edge[r * NR + q] : edge[r * NR + q];
          }
        }
      }
    }
  }
  mx_scratch_free(panel_b);
  return 0;
}
#undef FMA
#undef SPREAD
#undef T
#undef NAME
#undef GEMM
