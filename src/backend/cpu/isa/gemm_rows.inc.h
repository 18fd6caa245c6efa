/* COUNT rows of x, W by rows and transposed. */
static void KERNEL(plain)(int64_t n, int64_t k, const void *few, int64_t ldx, const void *matrix, int64_t ldw, float *y, int64_t ldy) {
  const float *x = few;
  const W *w = matrix;
  for (int i = 0; i < COUNT; i++) memset(y + i * ldy, 0, (size_t)n * sizeof *y);
  for (int64_t p = 0; p < k; p += 4, x += 4, w += 4 * ldw) {
    const W *next = p + 8 <= k && (sizeof(W) == 2 || COUNT > 2) ? w + 4 * ldw : NULL; /* by one or two rows of x floats come faster unasked */
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

#include "backend/cpu/isa/gemm_rows_turned.inc.h"
