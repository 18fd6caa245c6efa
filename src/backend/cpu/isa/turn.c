/* Transposed copies, square by square, a vector wide: lanes of 16 bytes are turned by unpacking, then change places. */
#include "backend/cpu/isa/common.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
typedef __m512i v;
enum { LANES = 4, PAST = 1 };
#define UNPACK(part, bits) _mm512_unpack##part##_epi##bits
#define LOAD(p) _mm512_loadu_si512(p)
static inline void put(char *to, v x, bool past) {
  if (past) _mm512_stream_si512((void *)to, x);
  else _mm512_storeu_si512(to, x);
}
static inline __attribute__((always_inline)) void turn_lanes(v *r) {
  v even = _mm512_shuffle_i32x4(r[0], r[1], 0x88), even2 = _mm512_shuffle_i32x4(r[2], r[3], 0x88);
  v odd = _mm512_shuffle_i32x4(r[0], r[1], 0xdd), odd2 = _mm512_shuffle_i32x4(r[2], r[3], 0xdd);
  r[0] = _mm512_shuffle_i32x4(even, even2, 0x88);
  r[1] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
  r[2] = _mm512_shuffle_i32x4(even, even2, 0xdd);
  r[3] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef __m256i v;
enum { LANES = 2, PAST = 0 };
#define UNPACK(part, bits) _mm256_unpack##part##_epi##bits
#define LOAD(p) _mm256_loadu_si256((const void *)(p))
static inline void put(char *to, v x, bool past) {
  (void)past;
  _mm256_storeu_si256((void *)to, x);
}
static inline __attribute__((always_inline)) void turn_lanes(v *r) {
  v low = _mm256_permute2x128_si256(r[0], r[1], 0x20);
  r[1] = _mm256_permute2x128_si256(r[0], r[1], 0x31);
  r[0] = low;
}
#endif

extern const mx_turner CAT(mx_turner, MX_ISA);
#ifdef UNPACK
#define FLAT

/* Squares are done whole: the last ones of a side overlap those before them. EACH stands before loops over groups of rows. */
#define TURN(bits, EACH)                                                                                                     \
  enum { M##bits = 128 / bits, SIDE##bits = LANES * M##bits, AHEAD##bits = SIDE##bits < 64 ? 64 : SIDE##bits };              \
  static inline __attribute__((always_inline)) void square##bits(const char *from, int64_t xi, char *to, int64_t yo, bool past) { \
    v part[LANES][M##bits];                                                                                                  \
    EACH for (int g = 0; g < LANES; g++) {                                                                                   \
      v r[M##bits], t[M##bits];                                                                                              \
      UNROLL for (int i = 0; i < M##bits; i++) r[i] = LOAD(from + (g * M##bits + i) * xi);                                   \
      UNROLL for (int s = 1; s < M##bits; s *= 2) {                                                                          \
        UNROLL for (int i = 0; i < M##bits / 2; i++) {                                                                       \
          t[2 * i] = UNPACK(lo, bits)(r[i], r[i + M##bits / 2]);                                                             \
          t[2 * i + 1] = UNPACK(hi, bits)(r[i], r[i + M##bits / 2]);                                                         \
        }                                                                                                                    \
        UNROLL for (int i = 0; i < M##bits; i++) r[i] = t[i];                                                                \
      }                                                                                                                      \
      UNROLL for (int i = 0; i < M##bits; i++) part[g][i] = r[i];                                                            \
    }                                                                                                                        \
    EACH for (int q = 0; q < M##bits; q++) {                                                                                 \
      v r[LANES];                                                                                                            \
      UNROLL for (int g = 0; g < LANES; g++) r[g] = part[g][q];                                                              \
      turn_lanes(r);                                                                                                         \
      UNROLL for (int g = 0; g < LANES; g++) put(to + (g * M##bits + q) * yo, r[g], past);                                   \
    }                                                                                                                        \
  }                                                                                                                          \
  static void turn##bits(int64_t x, int64_t y, const void *from, int64_t xi, void *to, int64_t yo, bool past) {              \
    for (int64_t i = 0; i < x; i += SIDE##bits)                                                                              \
      for (int64_t j = 0; j < y; j += SIDE##bits) {                                                                          \
        int64_t a = i + SIDE##bits <= x ? i : x - SIDE##bits, b = j + SIDE##bits <= y ? j : y - SIDE##bits;                  \
        int64_t next = i, at = j + AHEAD##bits; /* what is read soon: lines too far apart for the processor to foresee */    \
        while (at >= y) at -= y, next += SIDE##bits;                                                                         \
        const char *soon = (const char *)from + next * xi + at * (bits / 8);                                                 \
        for (int k = 0; k < SIDE##bits && next + k < x; k++) __builtin_prefetch(soon + k * xi);                              \
        square##bits((const char *)from + a * xi + b * (bits / 8), xi, (char *)to + b * yo + a * (bits / 8), yo, past && a == i); \
      }                                                                                                                      \
  }
TURN(8, FLAT)
TURN(16, FLAT)
TURN(32, UNROLL)
TURN(64, UNROLL)

const mx_turner CAT(mx_turner, MX_ISA) = {LANES * 16, PAST, {turn8, turn16, turn32, turn64}};
#else
const mx_turner CAT(mx_turner, MX_ISA) = {0, 0, {0}};
#endif
