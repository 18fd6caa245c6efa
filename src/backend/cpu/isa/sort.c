/* Sorting 32-bit keys with 512-bit vectors: quicksort whose partitions compress vectors to either side, down to 256 keys; these are
 * sorted in registers: columns of a 16 x 16 square by a network, the square turned, its rows merged by bitonic networks.
 * (Bramas, A novel hybrid quicksort algorithm vectorized using AVX-512, 2017.) */
#include "backend/cpu/vec.h"

#include "backend/cpu/isa/common.h"
#include "core/parallel.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

typedef __m512i v;
enum { SMALL = 256 };

#define ORDER(x, y)                  \
  do {                               \
    v low_ = _mm512_min_epu32(x, y); \
    y = _mm512_max_epu32(x, y);      \
    x = low_;                        \
  } while (0)

/* Each of the 16 columns of r, ascending from r[0]: Batcher's odd-even merge sort. */
static inline void sort_columns(v r[16]) {
  UNROLL for (int p = 1; p < 16; p *= 2)
    UNROLL for (int k = p; k >= 1; k /= 2)
      UNROLL for (int j = k % p; j + k < 16; j += 2 * k)
        UNROLL for (int i = 0; i < k; i++)
          if ((i + j) / (2 * p) == (i + j + k) / (2 * p) && i + j + k < 16) ORDER(r[i + j], r[i + j + k]);
}

static inline void turn(v r[16]) {
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

static inline v reverse(v x) {
  return _mm512_permutexvar_epi32(_mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), x);
}

/* A bitonic vector, sorted. */
static inline v merge_lanes(v x) {
  v y = _mm512_shuffle_i32x4(x, x, 0x4e);
  x = _mm512_mask_blend_epi32(0xff00, _mm512_min_epu32(x, y), _mm512_max_epu32(x, y));
  y = _mm512_shuffle_i32x4(x, x, 0xb1);
  x = _mm512_mask_blend_epi32(0xf0f0, _mm512_min_epu32(x, y), _mm512_max_epu32(x, y));
  y = _mm512_shuffle_epi32(x, 0x4e);
  x = _mm512_mask_blend_epi32(0xcccc, _mm512_min_epu32(x, y), _mm512_max_epu32(x, y));
  y = _mm512_shuffle_epi32(x, 0xb1);
  return _mm512_mask_blend_epi32(0xaaaa, _mm512_min_epu32(x, y), _mm512_max_epu32(x, y));
}

/* r[0, n) and r[n, 2n), each sorted, into one. */
static inline void merge_rows(v *r, int n) {
  UNROLL for (int i = 0; i < n; i++) { /* against the other half from its end */
    v y = reverse(r[2 * n - 1 - i]);
    r[2 * n - 1 - i] = _mm512_max_epu32(r[i], y);
    r[i] = _mm512_min_epu32(r[i], y);
  }
  /* the upper half lies reversed, vector by vector from its end: each half is bitonic */
  UNROLL for (int half = 0; half < 2; half++)
    UNROLL for (int d = n / 2; d >= 1; d /= 2)
      UNROLL for (int j = 0; j < n; j += 2 * d)
        UNROLL for (int i = j; i < j + d; i++) ORDER(r[half * n + i], r[half * n + i + d]);
  UNROLL for (int i = 0; i < 2 * n; i++) r[i] = merge_lanes(r[i]);
}

static __attribute__((noinline)) void sort_small(int64_t n, uint32_t *a) {
  v r[16];
  const v most = _mm512_set1_epi32(-1);
  for (int i = 0; i < 16; i++) {
    int64_t left = n - 16 * i;
    r[i] = left >= 16 ? _mm512_loadu_si512(a + 16 * i) : left <= 0 ? most : _mm512_mask_loadu_epi32(most, (__mmask16)((1u << left) - 1), a + 16 * i);
  }
  sort_columns(r);
  turn(r);
  UNROLL for (int i = 0; i < 16; i += 2) merge_rows(r + i, 1);
  UNROLL for (int i = 0; i < 16; i += 4) merge_rows(r + i, 2);
  UNROLL for (int i = 0; i < 16; i += 8) merge_rows(r + i, 4);
  merge_rows(r, 8);
  for (int i = 0; i < 16; i++) {
    int64_t left = n - 16 * i;
    if (left >= 16) _mm512_storeu_si512(a + 16 * i, r[i]);
    else if (left > 0) _mm512_mask_storeu_epi32(a + 16 * i, (__mmask16)((1u << left) - 1), r[i]);
  }
}

/* Keys below the pivot to the front of a, the others after them; how many are below. scratch: n + 16. A store may write what is beyond
 * the keys it adds, which has been read already. */
static int64_t partition(int64_t n, uint32_t *a, uint32_t pivot, uint32_t *scratch) {
  const v p = _mm512_set1_epi32((int)pivot);
  uint32_t *low = a, *high = scratch;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v x = _mm512_loadu_si512(a + i);
    __mmask16 below = _mm512_cmplt_epu32_mask(x, p);
    int count = __builtin_popcount(below);
    _mm512_storeu_si512(low, _mm512_maskz_compress_epi32(below, x));
    _mm512_storeu_si512(high, _mm512_maskz_compress_epi32((__mmask16)~below, x));
    low += count;
    high += 16 - count;
  }
  for (; i < n; i++) {
    uint32_t x = a[i];
    if (x < pivot) *low++ = x;
    else *high++ = x;
  }
  memcpy(low, scratch, (size_t)(high - scratch) * sizeof *a);
  return low - a;
}

/* scratch: n + 16. depth bounds the recursion: beyond it false is returned and the keys are in no order. */
static bool quicksort(int64_t n, uint32_t *a, uint32_t *scratch, int depth) {
  while (n > SMALL) {
    uint32_t some[64];
    if (depth-- == 0) return false;
    for (int i = 0; i < 64; i++) some[i] = a[n / 64 * i + n / 128];
    sort_small(64, some);
    uint32_t pivot = some[32];
    if (some[0] == pivot && pivot == some[63]) pivot = pivot == UINT32_MAX ? pivot : pivot + 1; /* perhaps all are equal */
    int64_t low = partition(n, a, pivot, scratch);
    if (low == 0) { /* the pivot is the smallest: what equals it goes in front */
      if (pivot == UINT32_MAX) return true; /* all are the largest */
      low = partition(n, a, pivot + 1, scratch);
      a += low;
      n -= low;
      continue;
    }
    if (low == n) { /* the sample's value is the largest: what is below it goes in front */
      low = partition(n, a, pivot - 1, scratch);
      n = low;
      continue;
    }
    if (!quicksort(low, a, scratch, depth)) return false;
    a += low;
    n -= low;
  }
  if (n > 1) sort_small(n, a);
  return true;
}

enum { PARTS = 8, LONG = 1 << 17 };

typedef struct parts {
  uint32_t *a, *scratch;
  int64_t at[PARTS + 1];   /* where parts begin */
  int depth;
  _Atomic bool failed;
} parts;

static void sort_parts(void *ctx, int64_t begin, int64_t end) {
  parts *s = ctx;
  for (int64_t i = begin; i < end; i++)
    if (!quicksort(s->at[i + 1] - s->at[i], s->a + s->at[i], s->scratch + s->at[i] + 16 * i, s->depth)) s->failed = true;
}

bool CAT(mx_sort_u32, MX_ISA)(int64_t n, uint32_t *a, uint32_t *scratch) {
  int depth = 2 * (64 - __builtin_clzll((uint64_t)n | 1));
  if (n < LONG) return quicksort(n, a, scratch, depth);
  /* cut into parts for the pool */
  parts s = {.a = a, .scratch = scratch, .depth = depth};
  s.at[PARTS] = n;
  for (int width = PARTS; width > 1; width /= 2)
    for (int i = 0; i < PARTS; i += width) {
      uint32_t some[64], *part = a + s.at[i];
      int64_t len = s.at[i + width] - s.at[i], low = len;
      if (len > SMALL) {
        for (int q = 0; q < 64; q++) some[q] = part[len / 64 * q + len / 128];
        sort_small(64, some);
        low = partition(len, part, some[32], scratch);
      }
      s.at[i + width / 2] = s.at[i] + low;
    }
  mx_parallel(PARTS, 1, sort_parts, &s);
  return !s.failed;
}
#else
bool CAT(mx_sort_u32, MX_ISA)(int64_t n, uint32_t *a, uint32_t *scratch) {
  (void)n, (void)a, (void)scratch;
  return false;
}
#endif
