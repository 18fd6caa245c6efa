/* Where an element is, of one compute type: T, TAG and BITS (an unsigned type as wide) are set by the including file.
 * ISNAN(x) too, once for the integers and once for the floats. */
enum { CAT(AT_ONCE, TAG) = 1024 / sizeof(T) };

/* The first element that equals *value, or that is NaN like it. */
static int64_t CAT(find, TAG)(int64_t n, const void *vx, const void *value) {
  const T *x = vx, v = *(const T *)value;
  bool nan = ISNAN(v);
  int64_t i = 0;
  for (; i + CAT(AT_ONCE, TAG) <= n; i += CAT(AT_ONCE, TAG)) {
    BITS any = 0;
    if (nan)
      for (int j = 0; j < CAT(AT_ONCE, TAG); j++) any |= (BITS)(ISNAN(x[i + j]));
    else
      for (int j = 0; j < CAT(AT_ONCE, TAG); j++) any |= (BITS)(x[i + j] == v);
    if (any) break;
  }
  for (; i < n - 1; i++)
    if (nan ? ISNAN(x[i]) : x[i] == v) break;
  return i;
}

#define COLS(name, BEFORE)                                                                                                   \
  static void CAT(name, TAG)(int64_t rows, int64_t len, int64_t ld, uint32_t row, void *vbest, uint32_t *at, const void *vx) { \
    T *best = vbest;                                                                                                         \
    const T *in = vx;                                                                                                        \
    for (; rows; rows--, in += ld, row++)                                                                                    \
      MX_INDEPENDENT                                                                                                         \
      for (int64_t j = 0; j < len; j++) {                                                                                    \
        T v = in[j], b = best[j];                                                                                            \
        bool better = (v BEFORE b) | (ISNAN(v) & !ISNAN(b)); /* the first NaN stays */                                        \
        best[j] = better ? v : b;                                                                                            \
        at[j] = better ? row : at[j];                                                                                        \
      }                                                                                                                      \
  }
COLS(cols_min, <)
COLS(cols_max, >)

#undef COLS
#undef T
#undef TAG
#undef BITS
