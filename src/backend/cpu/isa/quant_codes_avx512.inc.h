/* Codes of quantized rows as bfloat16, which all of them are exactly, two in each of sixteen words: those of its low half, and those of
 * its high half. A half has C codes, so a block of 32 C codes gives C such vectors; word i of the j-th has codes 2 C i + j and 2 C i + C + j
 * of the block. Four bits: a half is a quarter of eight bytes, and C = 4; eight bits: C = 2. Of other widths a half is a window of 16 bits
 * that begins with the byte in which the first of its codes begins; C = 4 up to three bits, else 2. */
#include <immintrin.h>

enum { NIBBLES, BYTES, SMALL, WINDOWS, KINDS }; /* SMALL: bytes that are e4m3 */
static inline int kind_of(const mx_quant_x *x) {
  return x->bits == 4 ? NIBBLES : x->bits != 8 ? WINDOWS : x->mode == MX_AFFINE ? BYTES : SMALL;
}
static inline int codes_of(int bits) { return bits <= 4 ? 4 : 2; }

/* What blocks have in common. */
typedef struct codes {
  __m512i group_of;        /* of each word, in the block */
  __m512i low, high;       /* values of codes 0..31 and 32..63, again and again; BYTES: of a nibble, and of it times 16 */
  __m512i more[2];         /* SMALL: 64..95, 96..127 */
  __m512i words, bytes, first; /* WINDOWS: where in a block they are, and how far their codes are from the front */
  __m512i bits;            /* from one code of a word to the next */
  int shift;               /* a group has 2^shift codes */
  int width;               /* of a code in bits */
  int C;
  __mmask16 whole;         /* the words that a block of WINDOWS fills */
} codes;

static inline __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

/* a and b as bfloat16; that loses nothing. */
static inline __m512i exactly(__m512 a, __m512 b) {
  __m256i low = _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(a), 16));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(b), 16)), 1);
}

static inline __m512 numbers(int start, int mask) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_add_epi32(lanes, _mm512_set1_epi32(start)), _mm512_set1_epi32(mask)));
}
static inline __m512i small_values(int start) {
  uint8_t b[32];
  for (int i = 0; i < 32; i++) b[i] = (uint8_t)(start + i);
  return exactly(fp8_16(_mm_loadu_si128((const __m128i *)b)), fp8_16(_mm_loadu_si128((const __m128i *)(b + 16))));
}

static void find_windows(codes *of) {
  const int bits = of->C * of->width; /* of a window's codes */
  uint16_t words[32], shift[32];
  uint8_t bytes[64];
  for (int w = 0; w < 32; w++) {
    int at = w % 8 * bits;
    words[w] = (uint16_t)((w / 8 * bits / 2 + w % 8) & 31);
    bytes[2 * w] = (uint8_t)(at / 8);
    bytes[2 * w + 1] = (uint8_t)(at / 8 + 1);
    shift[w] = (uint16_t)(at % 8);
  }
  of->words = _mm512_loadu_si512(words);
  of->bytes = _mm512_loadu_si512(bytes);
  of->first = _mm512_loadu_si512(shift);
}

static codes codes_in(const mx_quant_x *x) {
  const int kind = kind_of(x), mask = kind == WINDOWS ? (1 << x->bits) - 1 : 15;
  codes of = {.bits = _mm512_set1_epi16((short)x->bits), .shift = __builtin_ctz((unsigned)x->group), .width = x->bits, .C = codes_of(x->bits)};
  of.whole = first(of.C * of.width);
  uint32_t group[16];
  for (int i = 0; i < 16; i++) group[i] = (uint32_t)(2 * of.C * i >> of.shift);
  of.group_of = _mm512_loadu_si512(group);
  of.words = of.bytes = of.first = of.more[0] = of.more[1] = _mm512_setzero_si512();
  of.low = exactly(numbers(0, mask), numbers(16, mask));
  of.high = exactly(numbers(32, mask), numbers(48, mask));
  if (x->mode == MX_MXFP4 || x->mode == MX_NVFP4) of.low = of.high = exactly(_mm512_loadu_ps(fp4), _mm512_loadu_ps(fp4));
  if (kind == BYTES) of.high = exactly(_mm512_mul_ps(numbers(0, 15), _mm512_set1_ps(16)), _mm512_mul_ps(numbers(0, 15), _mm512_set1_ps(16)));
  if (kind == SMALL) of.low = small_values(0), of.high = small_values(32), of.more[0] = small_values(64), of.more[1] = small_values(96);
  if (kind == WINDOWS) find_windows(&of);
  return of;
}

/* The words of a block, of which `left` codes are there. */
static inline __m512i load_codes(const codes *of, const int kind, const uint8_t *from, int64_t left) {
  if (kind == WINDOWS) {
    __m512i w = left >= 32 * of->C ? _mm512_maskz_loadu_epi32(of->whole, from) : _mm512_maskz_loadu_epi32(first(left * of->width / 32), from);
    return _mm512_srlv_epi16(_mm512_shuffle_epi8(_mm512_permutexvar_epi16(of->words, w), of->bytes), of->first);
  }
  const __mmask16 there = first(left / (kind == NIBBLES ? 8 : 4));
  return there == 0xffff ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi32(there, from);
}

/* How many steps a block has at most; those from the third on are left out where C = 2. */
static inline int most_steps(const int kind) { return kind == BYTES || kind == SMALL ? 2 : 4; }
static inline bool no_step(const codes *of, const int kind, int j) { return kind == WINDOWS && j >= 2 && of->C == 2; }

/* The j-th vector. The steps follow one another: WINDOWS moves the words on. Of BYTES the low nibbles. */
static inline __m512i values(const codes *of, const int kind, __m512i *word, int j) {
  const __m512i w = *word;
  if (kind == NIBBLES) return _mm512_permutexvar_epi16(_mm512_srli_epi32(w, (unsigned)(4 * j)), of->low);
  if (kind == BYTES) return _mm512_permutexvar_epi16(_mm512_srli_epi32(w, (unsigned)(8 * j)), of->low);
  if (kind == WINDOWS) {
    *word = _mm512_srlv_epi16(w, of->bits);
    return _mm512_permutex2var_epi16(of->low, w, of->high);
  }
  const __m512i code = j ? _mm512_srli_epi16(w, 8) : w, sign = j ? w : _mm512_slli_epi16(w, 8);
  const __m512i v = _mm512_mask_blend_epi16(_mm512_test_epi16_mask(code, _mm512_set1_epi16(0x40)), _mm512_permutex2var_epi16(of->low, code, of->high),
                                            _mm512_permutex2var_epi16(of->more[0], code, of->more[1]));
  return _mm512_ternarylogic_epi32(v, sign, _mm512_set1_epi16((short)0x8000), 0xf8); /* v | (sign & top) */
}
static inline __m512i high_nibbles(const codes *of, __m512i word, int j) {
  return _mm512_permutexvar_epi16(_mm512_srli_epi32(word, (unsigned)(8 * j + 4)), of->high);
}

/* The same as floats: of the low halves, of the high ones. */
typedef struct halves {
  __m512 low, high;
} halves;
static inline halves floats(const codes *of, const int kind, __m512i *word, int j) {
  const __m512i byte = _mm512_set1_epi32(255);
  if (kind == BYTES)
    return (halves){_mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(*word, (unsigned)(8 * j)), byte)),
                    _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(*word, (unsigned)(8 * j + 16)), byte))};
  const __m512i v = values(of, kind, word, j);
  return (halves){_mm512_castsi512_ps(_mm512_slli_epi32(v, 16)), _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000u)))};
}

/* ---- scales ---- */

/* n of sixteen scales (biases) from the i-th. */
static inline __m512 scales16(int mode, mx_dtype t, const void *from, int64_t i, __mmask16 n) {
  const char *p = from;
  if (t == MX_BF16) return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(n, p + 2 * i)), 16));
  if (t == MX_F16) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(n, p + 2 * i));
  if (t == MX_F32) return _mm512_maskz_loadu_ps(n, p + 4 * i);
  __m128i b = _mm_maskz_loadu_epi8(n, p + i);
  if (mode == MX_NVFP4) return fp8_16(b);
  __m512i e = _mm512_cvtepu8_epi32(b);
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(_mm512_slli_epi32(e, 23), _mm512_testn_epi32_mask(e, e), _mm512_set1_epi32(0x400000)));
}

/* Of n rows the scales and biases from the i-th on, `ahead` of which are fetched. Not inline: their types would double all loops around. */
static __attribute__((noinline)) void scales_of(int mode, const mx_quant_w *w, int64_t i, int n, __mmask16 some, int64_t ahead, __m512 *s, __m512 *b) {
  const size_t size = mx_dtype_sizes[w->scale_type], bias_size = mx_dtype_sizes[w->bias_type];
  for (int r = 0; r < n; r++, i += w->step) {
    _mm_prefetch((const char *)w->scales + (i + ahead) * (int64_t)size, _MM_HINT_T0);
    s[r] = scales16(mode, w->scale_type, w->scales, i, some);
    if (!w->biases) continue;
    _mm_prefetch((const char *)w->biases + (i + ahead) * (int64_t)bias_size, _MM_HINT_T0);
    b[r] = scales16(mode, w->bias_type, w->biases, i, some);
  }
}
