/* Included by math.h once an integer type, with T, U (its unsigned twin), TAG, LOWEST and HIGHEST set. Arithmetic wraps (-fwrapv);
 * division by zero gives 0. */
static const T M(lowest) = LOWEST;
static const T M(highest) = HIGHEST;

static inline T M(abs)(T x) { return (T)(x < 0 ? -x : x); }
static inline T M(sign)(T x) { return (T)((x > 0) - (x < 0)); }
static inline T M(floor)(T x) { return x; }
static inline T M(ceil)(T x) { return x; }
static inline T M(trunc)(T x) { return x; }
static inline T M(rint)(T x) { return x; }
static inline T M(real)(T x) { return x; }
static inline T M(imag)(T x) { return (T)(x & 0); }
static inline T M(conj)(T x) { return x; }
static inline bool M(isnan)(T x) { return (void)x, false; }
static inline bool M(isinf)(T x) { return (void)x, false; }
static inline bool M(isfinite)(T x) { return (void)x, true; }
static inline bool M(signbit)(T x) { return x < 0; }
static inline bool M(less)(T x, T y) { return x < y; }
static inline bool M(less_equal)(T x, T y) { return x <= y; }
static inline T M(maximum)(T x, T y) { return x > y ? x : y; }
static inline T M(minimum)(T x, T y) { return x < y ? x : y; }

/* Towards minus infinity. The quotient of the lowest number by -1 wraps. */
static inline T M(floor_divide)(T x, T y) {
  if (y == 0) return 0;
  if (LOWEST < 0 && y == (T)-1) return (T)-x;
  T q = (T)(x / y);
  return (T)(q - ((x % y != 0) & ((x < 0) != (y < 0))));
}
static inline T M(remainder)(T x, T y) {
  if (y == 0 || (LOWEST < 0 && y == (T)-1)) return 0;
  T r = (T)(x % y);
  return (T)(r + (((r != 0) & ((r < 0) != (y < 0))) ? y : 0));
}
/* By squaring; negative exponents give 0, as in MLX. */
static inline T M(power)(T x, T y) {
  if (y < 0) return 0;
  U r = 1, b = (U)x;
  for (U e = (U)y; e; e = (U)(e >> 1)) {
    if (e & 1) r = (U)((uint64_t)r * b);
    b = (U)((uint64_t)b * b);
  }
  return (T)r;
}
/* A count that is not in [0, width) shifts everything out. */
static inline T M(left_shift)(T x, T y) {
  bool in = (U)y < sizeof(T) * 8;
  U s = in ? (U)y : 0;
  return (T)(in ? (U)((uint64_t)(U)x << s) : 0);
}
static inline T M(right_shift)(T x, T y) {
  bool in = (U)y < sizeof(T) * 8;
  U s = in ? (U)y : (U)(sizeof(T) * 8 - 1);
  T r = (T)(x >> s);
  return (T)(in || LOWEST < 0 ? r : 0);
}
static inline T M(invert)(T x) { return (T)(HIGHEST == 1 ? !x : ~x); }

#undef T
#undef U
#undef TAG
#undef LOWEST
#undef HIGHEST
