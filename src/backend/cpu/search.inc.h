/* Binary search without branches, for values side by side: at[u] moves behind the elements that are known to stand before value u; `left`
 * elements from there on are in doubt, as many for all. */
#if IS_COMPLEX
#define BEFORE(a, x, right) ((right) ? !LT(x, a) : LT(a, x))
#else /* right for a that is NaN; x is not */
#define BEFORE(a, x, right) ((right) ? (a) <= (x) : (a) < (x))
#endif

/* NaN stands behind all numbers. */
static int64_t CAT(of_nan, TAG)(int64_t n, const T *a, C x, bool right) {
  (void)x;
  int64_t at = 0;
  for (int64_t left = n, half; left > 0;) {
    half = left / 2;
    bool before = right ? !LT(x, LOAD(a[at + half])) : LT(LOAD(a[at + half]), x);
    at += before ? half + 1 : 0;
    left = before ? left - half - 1 : half;
  }
  return at;
}

static inline void CAT(side_by_side, TAG)(int64_t n, const T *a, const T *v, int count, bool right, uint32_t *out) {
  C x[SIDE];
  int64_t at[SIDE] = {0};
  for (int u = 0; u < SIDE; u++) x[u] = LOAD(v[u < count ? u : 0]);
  for (int64_t left = n; left > 1; left -= left / 2)
    for (int u = 0; u < SIDE; u++) at[u] += left / 2 & -(int64_t)BEFORE(LOAD(a[at[u] + left / 2 - 1]), x[u], right);
  for (int u = 0; u < count; u++)
    out[u] = (uint32_t)(ISNAN(x[u]) ? CAT(of_nan, TAG)(n, a, x[u], right) : at[u] + (n && BEFORE(LOAD(a[at[u]]), x[u], right)));
}

static void CAT(search, TAG)(int64_t n, const void *sorted, int64_t m, const void *values, bool right, uint32_t *out) {
  const T *a = sorted, *v = values;
  for (int64_t i = 0; i < m; i += SIDE) {
    int count = m - i < SIDE ? (int)(m - i) : SIDE;
    if (right) CAT(side_by_side, TAG)(n, a, v + i, count, true, out + i);
    else CAT(side_by_side, TAG)(n, a, v + i, count, false, out + i);
  }
}
#undef BEFORE
