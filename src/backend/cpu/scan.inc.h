#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
#define BODY(name, start, expr)                                                                                              \
  static void CAT(name, TAG)(int64_t n, const void *in, int64_t sx, void *out, int64_t so, bool inclusive) {                 \
    const T *x = in; /* may be out */                                                                                        \
    T *o = out;                                                                                                              \
    int64_t i = 0;                                                                                                           \
    C a = (C)(start);                                                                                                        \
    if (inclusive) a = LOAD(x[0]), o[0] = x[0], i = 1;                                                                       \
    for (; i < n; i++) {                                                                                                     \
      C b = LOAD(x[i * sx]);                                                                                                 \
      if (!inclusive) o[i * so] = STORE(a);                                                                                  \
      a = (C)(expr);                                                                                                         \
      if (inclusive) o[i * so] = STORE(a);                                                                                   \
    }                                                                                                                        \
  }                                                                                                                          \
  /* SCAN_COLUMNS scans at once, next to each other in memory */                                                             \
  static void CAT(name##_columns, TAG)(int64_t n, int64_t columns, const void *in, int64_t sx, void *out, int64_t so,        \
                                       bool inclusive) {                                                                     \
    C a[SCAN_COLUMNS];                                                                                                       \
    for (int64_t k = 0; k < columns; k++) a[k] = (C)(start);                                                                 \
    if (n && inclusive) {                                                                                                    \
      for (int64_t k = 0; k < columns; k++) a[k] = LOAD(((const T *)in)[k]);                                                 \
      for (int64_t k = 0; k < columns; k++) ((T *)out)[k] = STORE(a[k]);                                                     \
    }                                                                                                                        \
    for (int64_t i = inclusive; i < n; i++) {                                                                                \
      const T *x = (const T *)in + i * sx;                                                                                   \
      T *o = (T *)out + i * so;                                                                                              \
      INDEPENDENT                                                                                                            \
      for (int64_t k = 0; k < columns; k++) {                                                                                \
        C b = LOAD(x[k]), before = a[k];                                                                                     \
        {                                                                                                                    \
          C a = before;                                                                                                      \
          before = (C)(expr);                                                                                                \
        }                                                                                                                    \
        o[k] = STORE(inclusive ? before : a[k]);                                                                             \
        a[k] = before;                                                                                                       \
      }                                                                                                                      \
    }                                                                                                                        \
  }

BODY(cumsum, 0, ADD(a, b))
BODY(cumprod, 1, MUL(a, b))
#if IS_BOOL
BODY(cummax, 0, MAX(a, b))
BODY(cummin, 1, MIN(a, b))
#else
BODY(cummax, GLUE(LOWEST_, C), MAX(a, b))
BODY(cummin, GLUE(HIGHEST_, C), MIN(a, b))
#endif
#if GLUE(LOGS_, TAG)
BODY(logcumsumexp, -INFINITY, GLUE(logadd_, C)(a, b))
#endif
#undef BODY
#undef GLUE
#undef GLUE_
