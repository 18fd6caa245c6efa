/* Rows of x times codes that are not transposed: rows of codes, each times its scales and a number of x, are added up, some rows at a time
 * for all columns. The sums lie in the order of the codes, a strip of 32 C columns after the other. */

enum { DEEP = 8, SLOTS = 8, STRIP = 16 * SLOTS };

/* acc += `rows` rows of a strip's codes times the numbers of x, as `factors` of the groups, of M rows of x. */
static inline __attribute__((always_inline)) void add_strip(const codes *of, const int kind, const int M, const uint8_t *from, int64_t bytes, int rows,
                                                            int64_t left, const float *factors, int64_t ld, float *acc, int64_t ldacc) {
  const int steps = most_steps(kind);
  __m512 sum[2][SLOTS];
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int i = 0; i < SLOTS; i++) sum[m][i] = _mm512_setzero_ps();
  for (int r = 0; r < rows; r++, from += bytes, factors += ld) {
    __m512i word = load_codes(of, kind, from, left);
    __m512 f[2];
    _mm_prefetch((const char *)from + DEEP * bytes, _MM_HINT_T0); /* pieces of rows: the machine does not foresee them */
    UNROLL for (int m = 0; m < M; m++) f[m] = _mm512_permutexvar_ps(of->group_of, _mm512_loadu_ps(factors + m * DEEP * ld));
    UNROLL for (int j = 0; j < steps; j++) {
      if (no_step(of, kind, j)) continue;
      const halves v = floats(of, kind, &word, j);
      UNROLL for (int m = 0; m < M; m++) {
        sum[m][j] = _mm512_fmadd_ps(v.low, f[m], sum[m][j]);
        sum[m][j + SLOTS / 2] = _mm512_fmadd_ps(v.high, f[m], sum[m][j + SLOTS / 2]);
      }
    }
  }
  UNROLL for (int m = 0; m < M; m++) UNROLL for (int i = 0; i < SLOTS; i++) {
    float *o = acc + m * ldacc + 16 * i;
    if (i % (SLOTS / 2) < steps) _mm512_storeu_ps(o, _mm512_add_ps(_mm512_loadu_ps(o), sum[m][i]));
  }
}
#define ADD_STRIP(name, kind)                                                                                                               \
  static __attribute__((noinline)) void name(const codes *of, int m, const uint8_t *from, int64_t bytes, int rows, int64_t left,            \
                                             const float *factors, int64_t ld, float *acc, int64_t ldacc) {                                 \
    for (; m >= 2; m -= 2, factors += 2 * DEEP * ld, acc += 2 * ldacc) add_strip(of, kind, 2, from, bytes, rows, left, factors, ld, acc, ldacc); \
    if (m) add_strip(of, kind, 1, from, bytes, rows, left, factors, ld, acc, ldacc);                                                        \
  }
ADD_STRIP(add_nibbles, NIBBLES)
ADD_STRIP(add_bytes, BYTES)
ADD_STRIP(add_small, SMALL)
ADD_STRIP(add_windows, WINDOWS)

/* The factors of `rows` rows from k0 on: x times the scale of each group; biases += x times the biases. */
static void factors_of(const mx_quant_x *x, const mx_quant_w *w, int64_t k0, int rows, float *factors, int64_t ld, float *biases) {
  for (int64_t g = 0; g < x->groups; g += 16) {
    __m512 s[DEEP], b[DEEP];
    scales_of(x->mode, w, k0 * w->step + g, rows, first(x->groups - g), DEEP * w->step, s, b);
    for (int m = 0; m < x->m; m++) {
      const float *xm = (const float *)x->x + m * x->ld + k0;
      __m512 sum = _mm512_setzero_ps();
      for (int r = 0; r < rows; r++) {
        const __m512 v = _mm512_set1_ps(xm[r]);
        _mm512_storeu_ps(factors + (m * DEEP + r) * ld + g, _mm512_mul_ps(v, s[r]));
        if (w->biases) sum = _mm512_fmadd_ps(v, b[r], sum);
      }
      float *o = biases + m * ld + g;
      _mm512_storeu_ps(o, _mm512_add_ps(_mm512_loadu_ps(o), sum));
    }
  }
}

static void put_columns(const mx_quant_x *x, int64_t n, int C, const float *acc, int64_t ldacc, const float *biases, int64_t ld, float *y) {
  const int shift = __builtin_ctz((unsigned)x->group);
  for (int m = 0; m < x->m; m++, acc += ldacc, biases += ld, y += x->ldy)
    for (int64_t c = 0; c < n; c += 2 * C) { /* a word's codes; a group has whole words */
      const float *from = acc + c / (32 * C) * STRIP + c % (32 * C) / (2 * C), bias = biases[c >> shift];
      for (int j = 0; j < C; j++) {
        y[c + j] = from[16 * j] + bias;
        y[c + C + j] = from[16 * (j + SLOTS / 2)] + bias;
      }
    }
}

void CAT(mx_quant_sum, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y) {
  static void (*const adds[KINDS])(const codes *, int, const uint8_t *, int64_t, int, int64_t, const float *, int64_t, float *, int64_t) = {
      [NIBBLES] = add_nibbles, [BYTES] = add_bytes, [SMALL] = add_small, [WINDOWS] = add_windows};
  const codes of = codes_in(x);
  const int64_t block = 32 * of.C, strips = (w->n + block - 1) / block, ldacc = strips * STRIP, ld = (x->groups + 31) / 16 * 16;
  float *acc = w->scratch, *biases = acc + x->m * ldacc, *factors = biases + x->m * ld;
  memset(acc, 0, (size_t)(x->m * (ldacc + ld + DEEP * ld)) * sizeof *acc);
  for (int64_t k0 = 0; k0 < x->k; k0 += DEEP) {
    const int rows = x->k - k0 < DEEP ? (int)(x->k - k0) : DEEP;
    factors_of(x, w, k0, rows, factors, ld, biases);
    for (int64_t i = 0, c = 0; i < strips; i++, c += block)
      adds[kind_of(x)](&of, x->m, w->codes + k0 * w->bytes + c * x->bits / 8, w->bytes, rows, w->n - c, factors + (c >> of.shift), ld, acc + i * STRIP,
                       ldacc);
  }
  put_columns(x, w->n, of.C, acc, ldacc, biases, ld, y);
}
