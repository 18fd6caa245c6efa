/* Quicksort and quickselect of W-bit keys by 512-bit vectors: partitions compress vectors to either side, down to a few blocks of what fits
 * the registers, which are sorted there: single vectors and their merges by bitonic networks; large squares column by column, then turned,
 * then merged; so are the blocks.
 * (Bramas, A novel hybrid quicksort algorithm vectorized using AVX-512, 2017.) */
#if W == 32
#define KEY uint32_t
#define MASK __mmask16
#define OP(f) _mm512_##f##_epi32
#define OPU(f) _mm512_##f##_epu32
enum { NAME(LANES) = 16 };
#else
#define KEY uint64_t
#define MASK __mmask8
#define OP(f) _mm512_##f##_epi64
#define OPU(f) _mm512_##f##_epu64
enum { NAME(LANES) = 8 };
#endif
#define L NAME(LANES)
#define MOST ((KEY)~(KEY)0)
enum { NAME(SMALL) = 16 * NAME(LANES), NAME(LEAF) = 4 * NAME(SMALL) }; /* what fits the registers, what is merged of these */

#define ORDER(x, y)            \
  do {                         \
    v low_ = OPU(min)(x, y);   \
    y = OPU(max)(x, y);        \
    x = low_;                  \
  } while (0)
/* Of x and its permutation y: the larger in the lanes of m. */
static inline v NAME(pick)(v x, v y, MASK m) { return OPU(mask_max)(OPU(min)(x, y), m, x, y); }

/* Each of the columns of r[0, n), ascending from r[0]: Batcher's odd-even merge sort. */
static inline __attribute__((always_inline)) void NAME(sort_columns)(v *r, const int n) {
  UNROLL for (int p = 1; p < n; p *= 2)
    UNROLL for (int k = p; k >= 1; k /= 2)
      UNROLL for (int j = k % p; j + k < n; j += 2 * k)
        UNROLL for (int i = 0; i < k; i++)
          if ((i + j) / (2 * p) == (i + j + k) / (2 * p) && i + j + k < n) ORDER(r[i + j], r[i + j + k]);
}

#if W == 32
static inline v NAME(reverse)(v x) {
  return _mm512_permutexvar_epi32(_mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), x);
}
/* Lane i gets what lane i ^ by has. */
static inline __attribute__((always_inline)) v NAME(flip)(v x, const int by) {
  if (by == 1) return _mm512_shuffle_epi32(x, 0xb1);
  if (by == 2) return _mm512_shuffle_epi32(x, 0x4e);
  if (by == 3) return _mm512_shuffle_epi32(x, 0x1b);
  if (by == 4) return _mm512_shuffle_i32x4(x, x, 0xb1);
  if (by == 7) return _mm512_permutexvar_epi32(_mm512_set_epi32(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7), x);
  if (by == 8) return _mm512_shuffle_i32x4(x, x, 0x4e);
  return NAME(reverse)(x);
}
/* A bitonic vector, sorted. */
static inline v NAME(merge_lanes)(v x) {
  x = NAME(pick)(x, NAME(flip)(x, 8), 0xff00);
  x = NAME(pick)(x, NAME(flip)(x, 4), 0xf0f0);
  x = NAME(pick)(x, NAME(flip)(x, 2), 0xcccc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaaaa);
  return x;
}
static inline v NAME(sort_lanes)(v x) {
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaaaa);
  x = NAME(pick)(x, NAME(flip)(x, 3), 0xcccc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaaaa);
  x = NAME(pick)(x, NAME(flip)(x, 7), 0xf0f0);
  x = NAME(pick)(x, NAME(flip)(x, 2), 0xcccc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaaaa);
  x = NAME(pick)(x, NAME(flip)(x, 15), 0xff00);
  x = NAME(pick)(x, NAME(flip)(x, 4), 0xf0f0);
  x = NAME(pick)(x, NAME(flip)(x, 2), 0xcccc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaaaa);
  return x;
}
static inline void NAME(turn)(v r[16]) {
  v t[16];
  UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  UNROLL for (int q = 0; q < 4; q++) {
    v even = _mm512_shuffle_i32x4(r[q], r[4 + q], 0x88), even2 = _mm512_shuffle_i32x4(r[8 + q], r[12 + q], 0x88);
    v odd = _mm512_shuffle_i32x4(r[q], r[4 + q], 0xdd), odd2 = _mm512_shuffle_i32x4(r[8 + q], r[12 + q], 0xdd);
    t[q] = _mm512_shuffle_i32x4(even, even2, 0x88);
    t[4 + q] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
    t[8 + q] = _mm512_shuffle_i32x4(even, even2, 0xdd);
    t[12 + q] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
  }
  UNROLL for (int i = 0; i < 16; i++) r[i] = t[i];
}
#else
static inline v NAME(reverse)(v x) { return _mm512_permutexvar_epi64(_mm512_set_epi64(0, 1, 2, 3, 4, 5, 6, 7), x); }
static inline __attribute__((always_inline)) v NAME(flip)(v x, const int by) {
  if (by == 1) return _mm512_permutex_epi64(x, 0xb1);
  if (by == 2) return _mm512_permutex_epi64(x, 0x4e);
  if (by == 3) return _mm512_permutex_epi64(x, 0x1b);
  if (by == 4) return _mm512_shuffle_i64x2(x, x, 0x4e);
  return NAME(reverse)(x);
}
static inline v NAME(merge_lanes)(v x) {
  x = NAME(pick)(x, NAME(flip)(x, 4), 0xf0);
  x = NAME(pick)(x, NAME(flip)(x, 2), 0xcc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaa);
  return x;
}
static inline v NAME(sort_lanes)(v x) {
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaa);
  x = NAME(pick)(x, NAME(flip)(x, 3), 0xcc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaa);
  x = NAME(pick)(x, NAME(flip)(x, 7), 0xf0);
  x = NAME(pick)(x, NAME(flip)(x, 2), 0xcc);
  x = NAME(pick)(x, NAME(flip)(x, 1), 0xaa);
  return x;
}
static inline void NAME(turn)(v r[8]) {
  v t[8];
  UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
  }
  UNROLL for (int q = 0; q < 2; q++) {
    v even = _mm512_shuffle_i64x2(t[q], t[2 + q], 0x88), even2 = _mm512_shuffle_i64x2(t[4 + q], t[6 + q], 0x88);
    v odd = _mm512_shuffle_i64x2(t[q], t[2 + q], 0xdd), odd2 = _mm512_shuffle_i64x2(t[4 + q], t[6 + q], 0xdd);
    r[q] = _mm512_shuffle_i64x2(even, even2, 0x88);
    r[4 + q] = _mm512_shuffle_i64x2(even, even2, 0xdd);
    r[2 + q] = _mm512_shuffle_i64x2(odd, odd2, 0x88);
    r[6 + q] = _mm512_shuffle_i64x2(odd, odd2, 0xdd);
  }
}
#endif

/* A bitonic r[0, n), sorted. */
static inline __attribute__((always_inline)) void NAME(merge_bitonic)(v *r, const int n) {
  UNROLL for (int d = n / 2; d >= 1; d /= 2)
    UNROLL for (int j = 0; j < n; j += 2 * d)
      UNROLL for (int i = j; i < j + d; i++) ORDER(r[i], r[i + d]);
  UNROLL for (int i = 0; i < n; i++) r[i] = NAME(merge_lanes)(r[i]);
}

/* r[0, n) and r[n, 2n), each sorted, into one. */
static inline __attribute__((always_inline)) void NAME(merge_rows)(v *r, const int n) {
  UNROLL for (int i = 0; i < n; i++) { /* against the other half from its end */
    v y = NAME(reverse)(r[2 * n - 1 - i]);
    r[2 * n - 1 - i] = OPU(max)(r[i], y);
    r[i] = OPU(min)(r[i], y);
  }
  /* the upper half lies reversed, vector by vector from its end: each half is bitonic */
  UNROLL for (int half = 0; half < 2; half++) NAME(merge_bitonic)(r + half * n, n);
}

/* n keys in K vectors. */
static inline __attribute__((always_inline)) void NAME(load)(int64_t n, const KEY *a, v *r, const int K) {
  const v most = _mm512_set1_epi32(-1);
  UNROLL for (int i = 0; i < K; i++) {
    int64_t left = n - L * i;
    MASK m = left >= L ? (MASK)~0u : left <= 0 ? (MASK)0 : (MASK)((1u << left) - 1);
    r[i] = OP(mask_loadu)(most, m, a + L * i);
  }
}
static inline __attribute__((always_inline)) void NAME(store)(int64_t n, KEY *a, const v *r, const int K) {
  UNROLL for (int i = 0; i < K; i++) {
    int64_t left = n - L * i;
    MASK m = left >= L ? (MASK)~0u : left <= 0 ? (MASK)0 : (MASK)((1u << left) - 1);
    OP(mask_storeu)(a + L * i, m, r[i]);
  }
}

/* Few keys: K vectors, each sorted for itself, and merged. */
#define FEW(K)                                                                               \
  static __attribute__((noinline)) void NAME(sort_##K)(int64_t n, KEY *a) {                  \
    v r[K];                                                                                  \
    NAME(load)(n, a, r, K);                                                                  \
    UNROLL for (int i = 0; i < K; i++) r[i] = NAME(sort_lanes)(r[i]);                        \
    if (K >= 2) UNROLL for (int i = 0; i + 1 < K; i += 2) NAME(merge_rows)(r + i, 1);        \
    if (K >= 4) UNROLL for (int i = 0; i + 3 < K; i += 4) NAME(merge_rows)(r + i, 2);        \
    if (K >= 8) UNROLL for (int i = 0; i + 7 < K; i += 8) NAME(merge_rows)(r + i, 4);        \
    NAME(store)(n, a, r, K);                                                                 \
  }
FEW(1)
FEW(2)
FEW(4)
FEW(8)
#undef FEW

/* Runs of the columns of r[0, 16), one behind the other, `span` columns each, merged two by two: each key meets its mirror image in the other run,
 * then columns in a run meet, then keys in a column, which takes no permutation. */
static inline __attribute__((always_inline)) void NAME(merge_columns)(v *r, const int span) {
  const MASK upper = (MASK)(span == 1 ? 0xaaaa : span == 2 ? 0xcccc : span == 4 ? 0xf0f0 : 0xff00);
  UNROLL for (int i = 0; i < 8; i++) {
    v x = r[i], y = r[15 - i];
    r[i] = NAME(pick)(x, NAME(flip)(y, 2 * span - 1), upper);
    r[15 - i] = NAME(pick)(y, NAME(flip)(x, 2 * span - 1), upper);
  }
  UNROLL for (int s = span / 2; s >= 1; s /= 2) {
    const MASK high = (MASK)(s == 1 ? 0xaaaa : s == 2 ? 0xcccc : 0xf0f0);
    UNROLL for (int i = 0; i < 16; i++) r[i] = NAME(pick)(r[i], NAME(flip)(r[i], s), high);
  }
  UNROLL for (int d = 8; d >= 1; d /= 2)
    UNROLL for (int j = 0; j < 16; j += 2 * d)
      UNROLL for (int i = j; i < j + d; i++) ORDER(r[i], r[i + d]);
}

/* 16 vectors: columns, sorted and merged, then turned. */
static __attribute__((noinline)) void NAME(sort_16)(int64_t n, KEY *a) {
  v r[16], t[16];
  NAME(load)(n, a, r, 16);
  NAME(sort_columns)(r, 16);
  UNROLL for (int span = 1; span < L; span *= 2) NAME(merge_columns)(r, span);
  UNROLL for (int i = 0; i < 16; i += L) NAME(turn)(r + i);
  UNROLL for (int i = 0; i < 16; i++) t[i] = r[i / (16 / L) + i % (16 / L) * L];
  NAME(store)(n, a, t, 16);
}

/* a[0, n) and a[n, 2n), each sorted, into one; n is SMALL times a power of two. */
static void NAME(merge_blocks)(int n, KEY *a) {
  for (int i = 0; i < n; i += L) { /* as in merge_rows */
    v x = _mm512_loadu_si512(a + i), y = NAME(reverse)(_mm512_loadu_si512(a + 2 * n - L - i));
    _mm512_storeu_si512(a + i, OPU(min)(x, y));
    _mm512_storeu_si512(a + 2 * n - L - i, OPU(max)(x, y));
  }
  for (int d = n / 2; d >= NAME(SMALL); d /= 2)
    for (int j = 0; j < 2 * n; j += 2 * d)
      for (int i = j; i < j + d; i += L) {
        v x = _mm512_loadu_si512(a + i), y = _mm512_loadu_si512(a + i + d);
        _mm512_storeu_si512(a + i, OPU(min)(x, y));
        _mm512_storeu_si512(a + i + d, OPU(max)(x, y));
      }
  for (int j = 0; j < 2 * n; j += NAME(SMALL)) {
    v r[16];
    NAME(load)(NAME(SMALL), a + j, r, 16);
    NAME(merge_bitonic)(r, 16);
    NAME(store)(NAME(SMALL), a + j, r, 16);
  }
}

static void NAME(sort_small)(int64_t n, KEY *a);

/* More than SMALL keys, at most LEAF. */
static __attribute__((noinline)) void NAME(sort_leaf)(int64_t n, KEY *a) {
  _Alignas(64) KEY all[NAME(LEAF)];
  int used = (int)((n + NAME(SMALL) - 1) / NAME(SMALL)) * NAME(SMALL), width = NAME(SMALL);
  memcpy(all, a, (size_t)n * sizeof *a);
  memset(all + n, 0xff, (size_t)(used - n) * sizeof *a);
  for (int i = 0; i < n; i += NAME(SMALL)) NAME(sort_small)(n - i < NAME(SMALL) ? n - i : NAME(SMALL), all + i);
  for (; width < used; width *= 2)
    for (int i = 0; i + width < used; i += 2 * width) {
      if (i + 2 * width > used) memset(all + used, 0xff, (size_t)(i + 2 * width - used) * sizeof *a), used = i + 2 * width;
      NAME(merge_blocks)(width, all + i);
    }
  memcpy(a, all, (size_t)n * sizeof *a);
}

static void NAME(sort_small)(int64_t n, KEY *a) {
  if (n > 16 * L) NAME(sort_leaf)(n, a);
  else if (n > 8 * L) NAME(sort_16)(n, a);
  else if (n > 4 * L) NAME(sort_8)(n, a);
  else if (n > 2 * L) NAME(sort_4)(n, a);
  else if (n > L) NAME(sort_2)(n, a);
  else if (n > 1) NAME(sort_1)(n, a);
}

/* Keys below the pivot to the front of a, the others after them; how many are below. At least 8 vectors of keys. Vectors are taken from either end,
 * where less is free, and stored to both; the first ones wait in registers, so that what is overwritten has been read. */
static int64_t NAME(partition)(int64_t n, KEY *a, KEY pivot) {
  const v p = OP(set1)((W == 32 ? (int)pivot : (long long)pivot));
  enum { STEP = 4 };
  int64_t whole = n / L * L, i = STEP * L, j = whole - STEP * L; /* still to be read */
  KEY *low = a, *high = a + n;
  v first[STEP], last[STEP];
  UNROLL for (int k = 0; k < STEP; k++) {
    first[k] = _mm512_loadu_si512(a + k * L);
    last[k] = _mm512_loadu_si512(a + j + k * L);
  }
  const MASK all = (MASK)~0u, rest = (MASK)((1u << (n - whole)) - 1);
  const v tail = OP(maskz_loadu)(rest, a + whole);
#define PART(x, given, store_low)                                                                                   \
  do {                                                                                                              \
    MASK below_ = OPU(mask_cmplt)(given, x, p), above_ = (MASK)(given & ~below_);                                   \
    int nlow_ = __builtin_popcount(below_), nhigh_ = __builtin_popcount(above_);                                    \
    store_low(low, nlow_, OP(maskz_compress)(below_, x));                                                           \
    high -= nhigh_;                                                                                                 \
    OP(mask_storeu)(high, (MASK)((1u << nhigh_) - 1), OP(maskz_compress)(above_, x));                               \
    low += nlow_;                                                                                                   \
  } while (0)
#define WHOLE(at, count, x) _mm512_storeu_si512(at, x)
#define EXACT(at, count, x) OP(mask_storeu)(at, (MASK)((1u << (count)) - 1), x)
  while (j - i >= STEP * L) {
    v x[STEP];
    bool left = a + i - low <= high - (a + j);
    const KEY *from = left ? a + i : a + j - STEP * L;
    UNROLL for (int k = 0; k < STEP; k++) x[k] = _mm512_loadu_si512(from + k * L);
    i += left ? STEP * L : 0;
    j -= left ? 0 : STEP * L;
    UNROLL for (int k = 0; k < STEP; k++) PART(x[k], all, WHOLE);
  }
  v between[STEP];
  int some = (int)((j - i) / L);
  for (int k = 0; k < some; k++) between[k] = _mm512_loadu_si512(a + i + k * L);
  for (int k = 0; k < some; k++) PART(between[k], all, EXACT);
  UNROLL for (int k = 0; k < STEP; k++) PART(first[k], all, EXACT);
  UNROLL for (int k = 0; k < STEP; k++) PART(last[k], all, EXACT);
  PART(tail, rest, EXACT);
#undef PART
#undef WHOLE
#undef EXACT
  return low - a;
}

/* The key that `rank` of 64 are not above, by a sample. */
static KEY NAME(sample)(int64_t n, const KEY *a, int rank, bool *equal) {
  KEY some[64];
  const int count = n < 16 * NAME(SMALL) ? 16 : 64;
  for (int i = 0; i < count; i++) some[i] = a[n / count * i + n / (2 * count)];
  NAME(sort_small)(count, some);
  *equal = some[0] == some[count - 1];
  return some[rank * count / 64];
}

/* Cuts a[0, n) in two, neither empty: what is before the cut is not above what is behind. *low is the cut. Returns false where all that is
 * before (after) the cut is equal, *done says which: -1, 1. */
static int64_t NAME(cut)(int64_t n, KEY *a, int rank, int *done) {
  bool equal;
  KEY pivot = NAME(sample)(n, a, rank, &equal);
  *done = 0;
  if (equal && pivot != MOST) pivot++; /* perhaps all are equal */
  int64_t low = NAME(partition)(n, a, pivot);
  if (low == 0) { /* the pivot is the smallest: what equals it goes in front */
    *done = -1;
    return pivot == MOST ? n : NAME(partition)(n, a, pivot + 1);
  }
  if (low == n) { /* the sample's value is the largest: what is below it goes in front */
    *done = 1;
    return NAME(partition)(n, a, pivot - 1);
  }
  return low;
}

/* depth bounds the recursion: beyond it false is returned and the keys are in no order. */
static bool NAME(quicksort)(int64_t n, KEY *a, int depth) {
  while (n > NAME(LEAF)) {
    int done;
    if (depth-- == 0) return false;
    int64_t low = NAME(cut)(n, a, 32, &done);
    if (done > 0) {
      n = low;
      continue;
    }
    if (!done && !NAME(quicksort)(low, a, depth)) return false;
    a += low;
    n -= low;
  }
  NAME(sort_small)(n, a);
  return true;
}

/* a[k] as if a were sorted, what is not above it before, the others behind. */
static bool NAME(quickselect)(int64_t n, KEY *a, int64_t k) {
  for (int depth = 200; n > NAME(SMALL); depth--) { /* what has the key is less work to cut than to sort */
    int done, rank = (int)(64 * k / n);
    if (depth == 0) return false;
    rank = rank < 24 ? rank + 2 : rank > 40 ? rank - 2 : rank; /* so that the smaller side has it, most often */
    int64_t low = NAME(cut)(n, a, rank > 62 ? 62 : rank, &done);
    if (k < low) {
      if (done < 0) return true;
      n = low;
    } else {
      if (done > 0) return true;
      a += low;
      n -= low;
      k -= low;
    }
  }
  NAME(sort_small)(n, a);
  return true;
}

enum { NAME(PARTS) = 8, NAME(LONG) = 1 << 16 };

typedef struct NAME(parts) {
  KEY *a;
  int64_t at[NAME(PARTS) + 1]; /* where parts begin */
  int width, depth;
  _Atomic bool failed;
} NAME(parts);

static void NAME(halve)(void *ctx, int64_t begin, int64_t end) {
  NAME(parts) *s = ctx;
  for (int64_t i = begin; i < end; i++) {
    int64_t first = i * s->width, from = s->at[first], len = s->at[first + s->width] - from, low = len;
    bool equal;
    if (len > NAME(LEAF))
      low = NAME(partition)(len, s->a + from, NAME(sample)(len, s->a + from, 32, &equal));
    s->at[first + s->width / 2] = from + low;
  }
}

static void NAME(sort_parts)(void *ctx, int64_t begin, int64_t end) {
  NAME(parts) *s = ctx;
  for (int64_t i = begin; i < end; i++)
    if (!NAME(quicksort)(s->at[i + 1] - s->at[i], s->a + s->at[i], s->depth)) s->failed = true;
}

static bool NAME(sort)(int64_t n, KEY *a) {
  int depth = 2 * (64 - __builtin_clzll((uint64_t)n | 1));
  if (n < NAME(LONG)) return NAME(quicksort)(n, a, depth);
  /* cut into parts for the pool */
  NAME(parts) s = {.a = a, .depth = depth};
  s.at[NAME(PARTS)] = n;
  for (s.width = NAME(PARTS); s.width > 1; s.width /= 2) mx_parallel(NAME(PARTS) / s.width, 1, NAME(halve), &s);
  mx_parallel(NAME(PARTS), 1, NAME(sort_parts), &s);
  return !s.failed;
}

#undef KEY
#undef MASK
#undef OP
#undef OPU
#undef L
#undef MOST
#undef ORDER
#undef W
#undef NAME
