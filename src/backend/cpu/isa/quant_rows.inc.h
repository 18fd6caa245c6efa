/* Products of rows of x with rows of codes, included once for x as floats and once for x as bfloat16: FLAVOUR is the end of the names
 * codes_ (a step's codes, of type codes_t) and times_ (a sum to which their products with x are added); X is the type of x, TARGET what the
 * compiler may use. */

/* R rows of the matrix from row r times M rows of x. bf16: so are scales and biases. */
static inline __attribute__((always_inline TARGET)) void CAT(dot, FLAVOUR)(const mx_quant_x *x, const int M, const mx_quant_w *w, const codes *of,
                                                                          int64_t r, const int R, const int kind,
                                                                          const bool bf16, float *y) {
  const int bits = kind == NIBBLES ? 4 : kind == WINDOWS ? of->width : 8, block = 32 * (kind == NIBBLES ? 4 : kind == WINDOWS ? of->C : 2);
  const int shift = of->shift, steps = most_steps(kind);
  const int64_t groups = x->groups, row = w->bytes, step = w->step, ld = x->ld, far = AHEAD / bits / 8;
  const uint8_t *from = w->codes + r * row;
  const X *xs = x->x;
  __m512 acc[4][4];
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int m = 0; m < M; m++) acc[i][m] = _mm512_setzero_ps();
  for (int64_t g0 = 0; g0 < groups; g0 += 16) {
    const int64_t n = groups - g0 < 16 ? groups - g0 : 16, end = (g0 + n) << shift;
    const __mmask16 some = first(n);
    __m512 s[4], b[4];
    if (!bf16) scales_of(x->mode, w, r * step + g0, R, some, far, s, b);
    UNROLL for (int i = 0; i < R; i++) {
      const int64_t at = (r + i) * step + g0;
      if (bf16) {
        _mm_prefetch((const char *)w->scales + (at + far) * 2, _MM_HINT_T0);
        _mm_prefetch((const char *)w->biases + (at + far) * 2, _MM_HINT_T0);
        s[i] = scales16(MX_AFFINE, MX_BF16, w->scales, at, some);
        b[i] = scales16(MX_AFFINE, MX_BF16, w->biases, at, some);
      }
      if (bf16 || w->biases) {
        UNROLL for (int m = 0; m < M; m++)
          acc[i][m] = _mm512_fmadd_ps(b[i], _mm512_maskz_loadu_ps(some, x->sums + m * x->ldsums + g0), acc[i][m]);
      }
    }
    const uint8_t *here = from + (g0 << shift) * bits / 8;
    for (int64_t c = g0 << shift; c < end; c += block, here += block * bits / 8) {
      const X *xc = xs + c;
      const __m512i index = _mm512_add_epi32(of->group_of, _mm512_set1_epi32((int)((c >> shift) - g0)));
      __m512i word[4];
      __m512 t[4][4];
      UNROLL for (int i = 0; i < R; i++) {
        word[i] = load_codes(of, kind, here + i * row, end - c);
        _mm_prefetch((const char *)here + i * row + AHEAD, _MM_HINT_T0);
        UNROLL for (int m = 0; m < M; m++) t[i][m] = _mm512_setzero_ps();
      }
      UNROLL for (int j = 0; j < steps; j++) {
        if (no_step(of, kind, j)) continue;
        UNROLL for (int i = 0; i < R; i++) {
          const CAT(codes_t, FLAVOUR) v = CAT(codes, FLAVOUR)(of, kind, &word[i], j);
          UNROLL for (int m = 0; m < M; m++) t[i][m] = CAT(times, FLAVOUR)(t[i][m], kind, v, xc + m * ld + 32 * j);
        }
      }
      UNROLL for (int i = 0; i < R; i++) {
        const __m512 si = _mm512_permutexvar_ps(index, s[i]);
        UNROLL for (int m = 0; m < M; m++) acc[i][m] = _mm512_fmadd_ps(t[i][m], si, acc[i][m]);
      }
    }
  }
  const __m512 none = _mm512_setzero_ps();
  float sums[4];
  if (R == 4) _mm_storeu_ps(sums, sum_lanes(acc[0][0], acc[1][0], acc[2][0], acc[3][0]));
  else if (R == 2) _mm_storeu_ps(sums, sum_lanes(acc[0][0], acc[0][1], acc[1][0], acc[1][1]));
  else _mm_storeu_ps(sums, sum_lanes(acc[0][0], M > 1 ? acc[0][1] : none, M > 2 ? acc[0][2] : none, M > 3 ? acc[0][3] : none));
  UNROLL for (int i = 0; i < R; i++) UNROLL for (int m = 0; m < M; m++) {
    float *o = y + m * x->ldy + r + i;
    *o = x->add ? *o + sums[i * M + m] : sums[i * M + m];
  }
}

/* As many rows at a time as the registers hold. An element's bits are the same in any company. */
static inline __attribute__((always_inline TARGET)) void CAT(dot_rows, FLAVOUR)(const mx_quant_x *x, const int M, const mx_quant_w *w, const codes *of,
                                                                               const int kind, float *y) {
  const int R = M == 1 ? 4 : M == 2 ? 2 : 1;
  int64_t r = 0;
  if (M == 1 && sizeof(X) == 2 && kind != SMALL && w->scale_type == MX_BF16 && w->biases && w->bias_type == MX_BF16)
    for (; r + R <= w->n; r += R) CAT(dot, FLAVOUR)(x, M, w, of, r, R, kind, true, y);
  for (; r + R <= w->n; r += R) CAT(dot, FLAVOUR)(x, M, w, of, r, R, kind, false, y);
  for (; r < w->n; r++) CAT(dot, FLAVOUR)(x, M, w, of, r, 1, kind, false, y);
}
