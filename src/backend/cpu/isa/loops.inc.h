/* The loops of every element-wise row for one compute type: T, TAG, REAL_T (what abs of it gives) and KIND_<set> (1 where the set of
 * dtypes holds the type) are set by the including file. */
#define OUT_SAME T
#define OUT_BOOL uint8_t
#define OUT_REAL REAL_T

#ifndef STORE
#define STORE(O, v) ((O)(v))
#endif

#define LOOP(name, O, loads, body)                                                                     \
  MX_MAYBE_UNUSED static void CAT(name, TAG)(size_t n, void *vo, const void *va, const void *vb, const void *vc) { \
    O *o = vo;                                                                                         \
    const T *a = va, *b = vb;                                                                          \
    (void)a, (void)b, (void)vc;                                                                        \
    MX_INDEPENDENT                                                                                     \
    for (size_t i = 0; i < n; i++) {                                                                   \
      loads;                                                                                           \
      o[i] = STORE(O, body);                                                                           \
    }                                                                                                  \
  }

#define UNARY(name, label, types, result, dx, body, doc) ON_##types(LOOP(name, OUT_##result, T x = a[i], body))
#define UNARY_OWN(name, label, types, result, body, doc) ON_##types(LOOP(name, OUT_##result, T x = a[i], body))
#define BINARY(name, label, types, result, dx, dy, body, doc) \
  ON_##types(LOOP(name, OUT_##result, T x = a[i]; T y = b[i], body))
#define TERNARY(name, label, types, result, body, doc)                                                 \
  static void CAT(name, TAG)(size_t n, void *vo, const void *va, const void *vb, const void *vc) {     \
    T *o = vo;                                                                                         \
    const uint8_t *p = va;                                                                             \
    const T *a = vb, *b = vc;                                                                          \
    MX_INDEPENDENT                                                                                     \
    for (size_t i = 0; i < n; i++) {                                                                   \
      uint8_t c = p[i];                                                                                \
      T x = a[i], y = b[i];                                                                            \
      o[i] = body;                                                                                     \
    }                                                                                                  \
  }
#include "elementwise.def"
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY

#ifdef SCALARS /* the same with one number instead of the second (right) or the first (left) operand */
#define LOOP_SCALAR(name, O, loads, always, body)                                                      \
  static void CAT(name, TAG)(size_t n, void *vo, const void *va, const void *vb, const void *vc) {     \
    O *o = vo;                                                                                         \
    const T *a = va, *b = vb;                                                                          \
    always;                                                                                            \
    (void)vc;                                                                                          \
    MX_INDEPENDENT                                                                                     \
    for (size_t i = 0; i < n; i++) {                                                                   \
      loads;                                                                                           \
      o[i] = STORE(O, body);                                                                           \
    }                                                                                                  \
  }
#define UNARY(...)
#define UNARY_OWN(...)
#define TERNARY(...)
#define BINARY(name, label, types, result, dx, dy, body, doc)                                          \
  ON_##types(LOOP_SCALAR(name##_right, OUT_##result, T x = a[i], T y = *b, body)                       \
             LOOP_SCALAR(name##_left, OUT_##result, T y = b[i], T x = *a, body))
#include "elementwise.def"
#undef BINARY
#define BINARY(name, label, types, ...) ON_##types([OP_##name] = CAT(name##_right, TAG), )
extern const mx_loop CAT(CAT(mx_right, TAG), MX_ISA)[OP_elementwise_end];
const mx_loop CAT(CAT(mx_right, TAG), MX_ISA)[OP_elementwise_end] = {
#include "elementwise.def"
};
#undef BINARY
#define BINARY(name, label, types, ...) ON_##types([OP_##name] = CAT(name##_left, TAG), )
extern const mx_loop CAT(CAT(mx_left, TAG), MX_ISA)[OP_elementwise_end];
const mx_loop CAT(CAT(mx_left, TAG), MX_ISA)[OP_elementwise_end] = {
#include "elementwise.def"
};
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY
#undef LOOP_SCALAR
#endif

#ifdef OVERRIDES /* loops that stand in the table instead of the plain ones */
#include OVERRIDES
#endif

#define ROW(name) [OP_##name] = CAT(name, TAG),
#define UNARY(name, label, types, ...) ON_##types(ROW(name))
#define UNARY_OWN(name, label, types, ...) ON_##types(ROW(name))
#define BINARY(name, label, types, ...) ON_##types(ROW(name))
#define TERNARY(name, label, types, ...) ROW(name)
extern const mx_loop CAT(CAT(mx_loops, TAG), MX_ISA)[OP_elementwise_end];
const mx_loop CAT(CAT(mx_loops, TAG), MX_ISA)[OP_elementwise_end] = {
#include "elementwise.def"
};
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY
#undef ROW
#undef LOOP
#undef OUT_SAME
#undef OUT_BOOL
#undef OUT_REAL
#undef STORE
