#define BODY(name, expr)                                                                                                     \
  static void CAT(name, TAG)(int64_t n, void *out, int64_t so, const void *update, int64_t su) {                             \
    T *restrict o = out;                                                                                                     \
    const T *restrict u = update;                                                                                            \
    if (so == 1 && su == 1) {                                                                                                \
      for (int64_t i = 0; i < n; i++) {                                                                                      \
        C a = LOAD(o[i]), b = LOAD(u[i]);                                                                                    \
        o[i] = STORE(expr);                                                                                                  \
        (void)a;                                                                                                             \
      }                                                                                                                      \
      return;                                                                                                                \
    }                                                                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      C a = LOAD(o[i * so]), b = LOAD(u[i * su]);                                                                            \
      o[i * so] = STORE(expr);                                                                                               \
      (void)a;                                                                                                               \
    }                                                                                                                        \
  }

BODY(add, ADD(a, b))
BODY(multiply, MUL(a, b))
BODY(maximum, MAX(a, b))
BODY(minimum, MIN(a, b))
#undef BODY
