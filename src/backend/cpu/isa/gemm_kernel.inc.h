/* Our own product for one type T: columns of b are packed into panels, the micro-kernel keeps MR rows by NV vectors of the result in
 * registers (Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008). Rows of a that are contiguous are read
 * in place, others are packed as MR-wide panels. */
#include "backend/cpu/isa/gemm_panels.inc.h"

/* n lines of k elements into panels `width` lines wide and `depth` elements deep (k of them are filled from o on); lines that are missing
 * in the last panel are zero. */
static void NAME(pack)(int64_t n, int64_t k, int64_t depth, int width, T alpha, const T *restrict x, int64_t across, int64_t along,
                       T *restrict o) {
  int64_t whole = 0;
  if (across == 1 && width == NAME(NR)) { /* a few rows at a time through all panels: they are read in long runs */
    enum { P = 16 };
    whole = n / width * width;
    for (int64_t p0 = 0; p0 < k; p0 += P)
      for (int64_t i = 0; i < whole; i += NAME(NR)) {
        T *to = o + i * depth;
        int64_t p1 = p0 + P < k ? p0 + P : k;
        if (alpha == 1)
          for (int64_t p = p0; p < p1; p++) {
            for (int q = 0; q < NAME(NR); q += 64 / (int)sizeof(T)) __builtin_prefetch(x + i + q + (p + P) * along); /* for the next turn */
            memcpy(to + p * NAME(NR), x + i + p * along, NAME(NR) * sizeof(T));
          }
        else
          for (int64_t p = p0; p < p1; p++)
            for (int q = 0; q < NAME(NR); q++) to[p * NAME(NR) + q] = alpha * x[i + q + p * along];
      }
    x += whole;
    o += whole * depth;
  }
  if (across == 1 && width == MR && alpha == 1) { /* so are those of a */
    enum { AHEAD = 8 };
    whole = n / MR * MR;
    for (int64_t p = 0; p < k; p++)
      for (int64_t i = 0; i < whole; i += MR) {
        if (p + AHEAD < k) __builtin_prefetch(x + i + (p + AHEAD) * along);
        memcpy(o + i * depth + p * MR, x + i + p * along, MR * sizeof(T));
      }
    x += whole;
    o += whole * depth;
  }
  for (int64_t i = whole; i < n; i += width, x += width * across, o += width * depth) {
    int w = n - i < width ? (int)(n - i) : width, j = 0;
    if (w < width) memset(o, 0, (size_t)(width * k) * sizeof(T));
    if (across == 1) {
      for (int64_t p = 0; p < k; p++)
        for (int q = 0; q < w; q++) o[p * width + q] = alpha * x[q + p * along];
      continue;
    }
    if (along == 1 && width == NAME(NR)) j = NAME(transpose)(w, k, alpha, x, across, o);
    for (; j < w; j++)
      for (int64_t p = 0; p < k; p++) o[p * width + j] = alpha * x[j * across + p * along];
  }
}

/* What a factor is stored as, when not as T: n elements of it, `stride` apart, become T. */
typedef struct NAME(source) {
  void (*convert)(int64_t n, T *restrict o, const void *x, int64_t stride);
  int64_t item;
} NAME(source);

static inline const T *NAME(element)(const NAME(source) *s, const void *x, int64_t i) {
  return (const T *)(const void *)((const char *)x + i * (s ? s->item : (int64_t)sizeof(T)));
}

/* The same of another type, through `lines` (room for LINES elements), which stays in L1. */
enum { NAME(LINES) = 8 * NAME(NC) > NAME(NR) * NAME(KC) ? 8 * NAME(NC) : NAME(NR) * NAME(KC) };
static void NAME(pack_from)(const NAME(source) *s, int64_t n, int64_t k, int width, T alpha, const void *x, int64_t across, int64_t along, T *o,
                            T *lines) {
  if (!s) {
    NAME(pack)(n, k, k, width, alpha, x, across, along, o);
  } else if (along == 1) {
    for (int64_t i = 0; i < n; i += width) {
      int64_t w = n - i < width ? n - i : width;
      for (int64_t q = 0; q < w; q++) s->convert(k, lines + q * k, NAME(element)(s, x, (i + q) * across), 1);
      NAME(pack)(w, k, k, width, alpha, lines, k, 1, o + i * k);
    }
  } else {
    for (int64_t p = 0; p < k; p += 8) {
      int64_t rows = k - p < 8 ? k - p : 8;
      for (int64_t q = 0; q < rows; q++) s->convert(n, lines + q * n, NAME(element)(s, x, (p + q) * along), across);
      NAME(pack)(n, rows, k, width, alpha, lines, 1, n, o + p * width);
    }
  }
}

/* y = alpha x B + beta y for a vector x; B (k, n) stored as s says. */
static void NAME(vector)(const NAME(source) *s, int64_t n, int64_t k, T alpha, const T *x, int64_t sx, const void *b, int64_t rs, int64_t cs,
                         T beta, T *y, int64_t sy) {
  enum { L = 4 * NAME(LANES), CHUNK = 1024 };
  T lines[4 * CHUNK];
  if (cs == 1 && sy == 1) { /* rows of B added up, four at a time */
    for (int64_t j0 = 0; j0 < n; j0 += CHUNK) {
      int64_t w = !s ? n : n - j0 < CHUNK ? n - j0 : CHUNK;
      T *o = y + j0;
      for (int64_t j = 0; j < w; j++) o[j] = beta == 0 ? 0 : beta * o[j];
      for (int64_t p = 0; p < k; p += 4) {
        int64_t rows = k - p < 4 ? k - p : 4;
        const T *row[4];
        for (int64_t q = 0; q < rows; q++) {
          row[q] = NAME(element)(s, b, (p + q) * rs + j0);
          if (s) s->convert(w, lines + q * CHUNK, row[q], 1), row[q] = lines + q * CHUNK;
        }
        if (rows == 4) {
          T x0 = alpha * x[p * sx], x1 = alpha * x[(p + 1) * sx], x2 = alpha * x[(p + 2) * sx], x3 = alpha * x[(p + 3) * sx];
          const T *b0 = row[0], *b1 = row[1], *b2 = row[2], *b3 = row[3];
          MX_INDEPENDENT
          for (int64_t j = 0; j < w; j++) o[j] += x0 * b0[j] + x1 * b1[j] + (x2 * b2[j] + x3 * b3[j]);
          continue;
        }
        for (int64_t q = 0; q < rows; q++) {
          T xp = alpha * x[(p + q) * sx];
          const T *bp = row[q];
          MX_INDEPENDENT
          for (int64_t j = 0; j < w; j++) o[j] += xp * bp[j];
        }
      }
      if (!s) return;
    }
    return;
  }
  for (int64_t j = 0; j < n; j++) {
    T lane[L] = {0}, sum = 0;
    for (int64_t p0 = 0; p0 < k; p0 += CHUNK) {
      int64_t w = k - p0 < CHUNK ? k - p0 : CHUNK, p = 0, along = rs;
      const T *bj = NAME(element)(s, b, j * cs + p0 * rs), *xj = x + p0 * sx;
      if (s) s->convert(w, lines, bj, rs), bj = lines, along = 1;
      if (along == 1 && sx == 1)
        for (; p + L <= w; p += L)
          for (int q = 0; q < L; q++) lane[q] += xj[p + q] * bj[p + q];
      for (; p < w; p++) sum += xj[p * sx] * bj[p * along];
    }
    for (int half = L / 2; half; half /= 2)
      for (int q = 0; q < half; q++) lane[q] += lane[q + half];
    sum = alpha * (sum + lane[0]);
    y[j * sy] = beta == 0 ? sum : sum + beta * y[j * sy];
  }
}

/* vector with an x that is stored as s says, too. */
static int NAME(vector_from)(const NAME(source) *s, int64_t n, int64_t k, T alpha, const void *x, int64_t sx, const void *b, int64_t rs,
                             int64_t cs, T beta, T *y, int64_t sy) {
  T *line = NULL;
  if (s) {
    if (!(line = mx_scratch((size_t)(k + 1) * sizeof(T)))) return MX_EMEMORY;
    s->convert(k, line, x, sx);
    x = line;
    sx = 1;
  }
  NAME(vector)(s, n, k, alpha, x, sx, b, rs, cs, beta, y, sy);
  mx_scratch_free(line);
  return 0;
}

static int NAME(product)(const NAME(source) *s, int64_t m, int64_t n, int64_t k, T alpha, const mx_matrix *ma, const mx_matrix *mb, T beta,
                         T *c, int64_t ldc) {
  enum { NR = NAME(NR), KC = NAME(KC), NC = NAME(NC), MC = NAME(MC) };
  if (m == 1) return NAME(vector_from)(s, n, k, alpha, ma->data, ma->cs, mb->data, mb->rs, mb->cs, beta, c, 1);
  if (n == 1) return NAME(vector_from)(s, m, k, alpha, mb->data, mb->rs, ma->data, ma->cs, ma->rs, beta, c, ldc);
  if (k == 0 || alpha == 0 || (beta != 0 && beta != 1)) {
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : (T)(beta * c[i * ldc + j]);
    if (k == 0 || alpha == 0) return 0;
    beta = 1;
  }
  bool rows = ma->cs == 1, in_place = rows && !s; /* the rows of a are read in place, or as they were converted */
  int64_t kc = k < KC ? k : KC, nc = n < NC ? (n + NR - 1) / NR * NR : NC;
  int64_t mc = in_place ? 0 : m < MC ? (m + MR - 1) / MR * MR : MC;
  T *panel_b = mx_scratch((size_t)(kc * (nc + mc) + (s ? (int)NAME(LINES) : 0)) * sizeof(T)), *panel_a = panel_b + kc * nc;
  if (!panel_b) return MX_EMEMORY;
  T *lines = panel_a + kc * mc;
  for (int64_t j0 = 0; j0 < n; j0 += NC) {
    int64_t nj = n - j0 < NC ? n - j0 : NC;
    for (int64_t p0 = 0; p0 < k; p0 += KC) {
      int64_t np = k - p0 < KC ? k - p0 : KC;
      NAME(pack_from)(s, nj, np, NR, alpha, NAME(element)(s, mb->data, p0 * mb->rs + j0 * mb->cs), mb->cs, mb->rs, panel_b, lines);
      for (int64_t i0 = 0; i0 < m; i0 += MC) {
        int64_t ni = m - i0 < MC ? m - i0 : MC;
        const T *pa = NAME(element)(s, ma->data, i0 * ma->rs + p0 * ma->cs);
        if (s && rows)
          for (int64_t i = 0; i < ni; i++) s->convert(np, panel_a + i * np, NAME(element)(s, pa, i * ma->rs), 1);
        else if (!rows)
          NAME(pack_from)(s, ni, np, MR, 1, pa, ma->rs, ma->cs, panel_a, lines);
        NAME(panels)(ni, nj, np, in_place ? pa : panel_a, in_place ? ma->rs : np, rows, panel_b, c + i0 * ldc + j0, ldc,
                     beta != 0 || p0 > 0, &(NAME(ahead)){0});
      }
    }
  }
  mx_scratch_free(panel_b);
  return 0;
}

/* The product of factors of T, or of what `source` (or NULL) says. */
#define PRODUCT(name, source)                                                                                                              \
  int CAT(name, MX_ISA)(int64_t, int64_t, int64_t, double, const mx_matrix *, const mx_matrix *, double, void *, int64_t);                 \
  int CAT(name, MX_ISA)(int64_t m, int64_t n, int64_t k, double alpha, const mx_matrix *a, const mx_matrix *b, double beta, void *c,       \
                        int64_t ldc) {                                                                                                     \
    return NAME(product)(source, m, n, k, (T)alpha, a, b, (T)beta, c, ldc);                                                                \
  }
