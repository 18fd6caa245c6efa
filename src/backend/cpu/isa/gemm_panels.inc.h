/* The micro-kernels for one type T, and blocks of rows of a by packed panels of b. */
typedef T NAME(vec) __attribute__((vector_size(VECTOR), aligned(sizeof(T)), may_alias));
enum { NAME(LANES) = VECTOR / sizeof(T), NAME(NR) = NV * VECTOR / sizeof(T), NAME(KC) = 256, NAME(NC) = 4096 / sizeof(T), NAME(MC) = 20 * MR };

/* One for every number of rows and vectors. */
#define V 1
#include "backend/cpu/isa/gemm_micros.inc.h"
#undef V
#define V 2
#include "backend/cpu/isa/gemm_micros.inc.h"
#undef V
typedef void (*NAME(micro_fn))(const mx_strip *s, const T *a, const T *b, T *c, int64_t ldc, bool add);
#define MICROS(R) {MICRO(R, 1), MICRO(R, 2)},
static const NAME(micro_fn) NAME(micros)[MR][NV] = {EACH_ROWS(MICROS)};
#undef MICROS

/* Lines of n elements, `step` apart, that are fetched into L2 a few at a time. */
typedef struct NAME(ahead) {
  const T *at;
  int64_t n, lines, step;
} NAME(ahead);
static inline void NAME(fetch)(NAME(ahead) *s, int64_t lines) {
  enum { LINE = 64 / sizeof(T) };
  for (; lines > 0 && s->lines > 0; lines--, s->lines--, s->at += s->step)
    for (int64_t i = 0; i < s->n + LINE - 1; i += LINE) __builtin_prefetch(s->at + (i < s->n ? i : s->n - 1), 0, 2);
}

/* A panel of a (ni, np) times packed panels of b, into c. */
static void NAME(panels)(int64_t ni, int64_t nj, int64_t np, const T *a, int64_t rs, bool rows, const T *panel_b, T *c, int64_t ldc,
                         bool add, NAME(ahead) *soon) {
  enum { NR = NAME(NR) };
  const int64_t at = 0;
  mx_strip strip = {rows ? rs : 1, rows ? 1 : MR, np, 1, &at, NULL, NR * (int64_t)sizeof(T) / ((ni + MR - 1) / MR)};
  const int64_t turns = (ni + MR - 1) / MR * ((nj + NR - 1) / NR), lines = soon->lines / (turns ? turns : 1) + 1;
  for (int64_t j = 0; j < nj; j += NR) {
    int64_t width = nj - j < NR ? nj - j : NR;
    int vectors = width > NAME(LANES) ? 2 : 1;
    bool whole = width == vectors * NAME(LANES);
    for (int64_t i = 0, height; i < ni; i += height) {
      int64_t left = ni - i, blocks = (left + MR - 1) / MR; /* as even as they come, when they are not packed */
      height = rows ? (left + blocks - 1) / blocks : left < MR ? left : MR;
      const T *pa = rows ? a + i * rs : a + i * np;
      T *o = c + i * ldc + j, edge[MR * NR];
      strip.next = j + NR < nj ? panel_b + (j + NR) * np + i / MR * strip.pace * np / (int64_t)sizeof(T) : NULL;
      NAME(fetch)(soon, lines);
      NAME(micros)[height - 1][vectors - 1](&strip, pa, panel_b + j * np, whole ? o : edge, whole ? ldc : NR, whole && add);
      if (whole) continue;
      for (int64_t r = 0; r < height; r++)
        for (int64_t q = 0; q < width; q++) o[r * ldc + q] = add ? (T)(o[r * ldc + q] + edge[r * NR + q]) : edge[r * NR + q];
    }
  }
}
