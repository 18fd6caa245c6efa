/* Merge sort from runs of 16 sorted by insertion. */
static void CAT(sort, TAG)(int64_t n, const void *in, int64_t stride, void *out, void *scratch) {
  enum { RUN = 16 };
  const T *x = in;
  T *a = out, *b = scratch;
  for (int64_t i = 0; i < n; i++) b[i] = x[i * stride]; /* out may be in */
  for (int64_t low = 0; low < n; low += RUN) {
    int64_t high = low + RUN < n ? low + RUN : n;
    for (int64_t i = low + 1; i < high; i++) {
      T v = b[i];
      C key = LOAD(v);
      int64_t k = i;
      for (; k > low && LT(key, LOAD(b[k - 1])); k--) b[k] = b[k - 1];
      b[k] = v;
    }
  }
  for (int64_t width = RUN; width < n; width *= 2) {
    for (int64_t low = 0; low < n; low += 2 * width) {
      int64_t mid = low + width < n ? low + width : n, high = low + 2 * width < n ? low + 2 * width : n;
      int64_t i = low, k = mid, o = low;
      while (i < mid && k < high) {
        C p = LOAD(b[i]), q = LOAD(b[k]);
        a[o++] = LT(q, p) ? b[k++] : b[i++];
      }
      while (i < mid) a[o++] = b[i++];
      while (k < high) a[o++] = b[k++];
    }
    T *t = a;
    a = b;
    b = t;
  }
  if (b != out) memcpy(out, b, (size_t)n * sizeof(T));
}

static void CAT(argsort, TAG)(int64_t n, const void *in, int64_t stride, uint32_t *out, uint32_t *scratch) {
  enum { RUN = 16 };
  const T *x = in;
  uint32_t *a = out, *b = scratch;
  for (int64_t i = 0; i < n; i++) b[i] = (uint32_t)i;
  for (int64_t low = 0; low < n; low += RUN) {
    int64_t high = low + RUN < n ? low + RUN : n;
    for (int64_t i = low + 1; i < high; i++) {
      uint32_t v = b[i];
      C key = LOAD(x[v * stride]);
      int64_t k = i;
      for (; k > low && LT(key, LOAD(x[b[k - 1] * stride])); k--) b[k] = b[k - 1];
      b[k] = v;
    }
  }
  for (int64_t width = RUN; width < n; width *= 2) {
    for (int64_t low = 0; low < n; low += 2 * width) {
      int64_t mid = low + width < n ? low + width : n, high = low + 2 * width < n ? low + 2 * width : n;
      int64_t i = low, k = mid, o = low;
      while (i < mid && k < high) {
        C p = LOAD(x[b[i] * stride]), q = LOAD(x[b[k] * stride]);
        a[o++] = LT(q, p) ? b[k++] : b[i++];
      }
      while (i < mid) a[o++] = b[i++];
      while (k < high) a[o++] = b[k++];
    }
    uint32_t *t = a;
    a = b;
    b = t;
  }
  if (b != out) memcpy(out, b, (size_t)n * sizeof *out);
}
