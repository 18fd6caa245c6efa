static uint32_t CAT(argmin, TAG)(int64_t n, const void *in, int64_t stride) {
  const T *x = in;
  C best = LOAD(x[0]);
  int64_t at = 0;
  if (ISNAN(best)) return 0;
  for (int64_t i = 1; i < n; i++) {
    C v = LOAD(x[i * stride]);
    if (ISNAN(v)) return (uint32_t)i;
    if (LT(v, best)) best = v, at = i;
  }
  return (uint32_t)at;
}

static uint32_t CAT(argmax, TAG)(int64_t n, const void *in, int64_t stride) {
  const T *x = in;
  C best = LOAD(x[0]);
  int64_t at = 0;
  if (ISNAN(best)) return 0;
  for (int64_t i = 1; i < n; i++) {
    C v = LOAD(x[i * stride]);
    if (ISNAN(v)) return (uint32_t)i;
    if (LT(best, v)) best = v, at = i;
  }
  return (uint32_t)at;
}
