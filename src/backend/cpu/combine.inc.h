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

#define AT(name, expr)                                                                                                       \
  static void CAT(name##_at, TAG)(int64_t n, void *out, const int64_t *at, const void *update, int64_t su) {                 \
    T *o = out;                                                                                                              \
    const T *u = update;                                                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      C a = LOAD(o[at[i]]), b = LOAD(u[i * su]);                                                                             \
      o[at[i]] = STORE(expr);                                                                                                \
      (void)a;                                                                                                               \
    }                                                                                                                        \
  }                                                                                                                          \
  static void CAT(name##_dealt, TAG)(int64_t n, void *out, const void *dealt) {                                              \
    T *o = out;                                                                                                              \
    const MX_DEALT(T) *r = dealt;                                                                                            \
    for (int64_t i = 0; i < n; i++) {                                                                                        \
      C a = LOAD(o[r[i].at]), b = LOAD(r[i].value);                                                                          \
      o[r[i].at] = STORE(expr);                                                                                              \
      (void)a;                                                                                                               \
    }                                                                                                                        \
  }

AT(add, ADD(a, b))
AT(multiply, MUL(a, b))
AT(maximum, MAX(a, b))
AT(minimum, MIN(a, b))
#undef AT
BODY(add, ADD(a, b))
BODY(multiply, MUL(a, b))
BODY(maximum, MAX(a, b))
BODY(minimum, MIN(a, b))
#undef BODY
