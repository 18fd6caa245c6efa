/* The types of tensors in .gguf files, and their blocks of quantized numbers. */
#include <string.h>

#include "core/half.h"
#include "io/gguf.h"

static float half_at(const uint8_t *p) { return mx_f16_to_f32((mx_f16){(uint16_t)(p[0] | p[1] << 8)}); }
static uint16_t to_half(float f) { return mx_f32_to_f16(f).bits; }

/* ---- kept packed: words of 32 bits, the first element lowest ---- */

/* 16 bytes: the low halves are elements 0-15, the high ones 16-31 */
static void pack_nibbles(const uint8_t *q, uint32_t *w) {
  for (int k = 0; k < 4; k++) w[k] = 0;
  for (int i = 0; i < 32; i++) w[i / 8] |= (uint32_t)(i < 16 ? q[i] & 15 : q[i - 16] >> 4) << 4 * (i % 8);
}

static void pack(const mx_gguf_type *t, const uint8_t *b, uint32_t *w, uint16_t *scale, uint16_t *bias) {
  float d = half_at(b);
  *scale = (uint16_t)(b[0] | b[1] << 8);
  if (t->bits == 8) { /* d * q, q signed */
    *bias = to_half(-128 * d);
    for (int k = 0; k < 8; k++)
      w[k] = ((uint32_t)b[2 + 4 * k] | (uint32_t)b[3 + 4 * k] << 8 | (uint32_t)b[4 + 4 * k] << 16 | (uint32_t)b[5 + 4 * k] << 24) ^ 0x80808080u;
  } else if (t->bytes == 18) { /* d * (q - 8) */
    *bias = to_half(-8 * d);
    pack_nibbles(b + 2, w);
  } else { /* d * q + m */
    *bias = (uint16_t)(b[2] | b[3] << 8);
    pack_nibbles(b + 4, w);
  }
}

/* ---- decoded to f16 ---- */

static void decode_bf16(const uint8_t *b, uint16_t *o) { *o = to_half(mx_bf16_to_f32((mx_bf16){(uint16_t)(b[0] | b[1] << 8)})); }

/* fifth bits in h: element i has bit i */
static void decode_5bit(const uint8_t *h, const uint8_t *q, float d, float m, uint16_t *o) {
  for (int i = 0; i < 32; i++) o[i] = to_half(d * (float)((i < 16 ? q[i] & 15 : q[i - 16] >> 4) | (h[i / 8] >> i % 8 & 1) << 4) + m);
}
static void decode_q5_0(const uint8_t *b, uint16_t *o) { decode_5bit(b + 2, b + 6, half_at(b), -16 * half_at(b), o); }
static void decode_q5_1(const uint8_t *b, uint16_t *o) { decode_5bit(b + 4, b + 8, half_at(b), half_at(b + 2), o); }

/* The K types: 256 elements with a scale each 16 or 32. In q2 and q3 a byte holds the elements i, i + 32, i + 64 and i + 96 of a half. */
static void decode_q2_k(const uint8_t *b, uint16_t *o) {
  const uint8_t *scales = b, *q = b + 16;
  float d = half_at(b + 80), dmin = half_at(b + 82);
  for (int i = 0; i < 256; i++) {
    uint8_t s = scales[i / 16];
    int v = q[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    o[i] = to_half(d * (float)(s & 15) * (float)v - dmin * (float)(s >> 4));
  }
}

static void decode_q3_k(const uint8_t *b, uint16_t *o) {
  const uint8_t *high = b, *q = b + 32, *s = b + 96;
  float d = half_at(b + 108);
  for (int i = 0; i < 256; i++) {
    int k = i / 16, scale = (k < 8 ? s[k] & 15 : s[k - 8] >> 4) | (s[8 + k % 4] >> (k / 4 * 2) & 3) << 4;
    int v = q[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    if (!(high[i % 32] >> i / 32 & 1)) v -= 4;
    o[i] = to_half(d * (float)(scale - 32) * (float)v);
  }
}

/* Eight scales and minima of six bits in 12 bytes. */
static void scale_and_min(const uint8_t *s, int k, int *scale, int *min) {
  *scale = k < 4 ? s[k] & 63 : (s[k + 4] & 15) | s[k - 4] >> 6 << 4;
  *min = k < 4 ? s[k + 4] & 63 : s[k + 4] >> 4 | s[k] >> 6 << 4;
}

/* high: the fifth bits, or NULL */
static void decode_q45_k(const uint8_t *b, const uint8_t *high, const uint8_t *q, uint16_t *o) {
  float d = half_at(b), dmin = half_at(b + 2);
  for (int i = 0; i < 256; i++) {
    int k = i / 32, scale, min, v = q[i / 64 * 32 + i % 32] >> k % 2 * 4 & 15;
    scale_and_min(b + 4, k, &scale, &min);
    if (high) v |= (high[i % 32] >> k & 1) << 4;
    o[i] = to_half(d * (float)scale * (float)v - dmin * (float)min);
  }
}
static void decode_q4_k(const uint8_t *b, uint16_t *o) { decode_q45_k(b, NULL, b + 16, o); }
static void decode_q5_k(const uint8_t *b, uint16_t *o) { decode_q45_k(b, b + 16, b + 48, o); }

static void decode_q6_k(const uint8_t *b, uint16_t *o) {
  const uint8_t *low = b, *high = b + 128, *scales = b + 192;
  float d = half_at(b + 208);
  for (int i = 0; i < 256; i++) {
    int half = i / 128, l = i % 64, k = i / 32 % 4;
    int v = (low[half * 64 + l] >> k / 2 * 4 & 15) | (high[half * 32 + i % 32] >> k * 2 & 3) << 4;
    o[i] = to_half(d * (float)(int8_t)scales[i / 16] * (float)(v - 32));
  }
}

/* ---- the table ---- */

static const mx_gguf_type types[] = {
    [0] = {"F32", 1, 4, 0, true, MX_F32, NULL},
    [1] = {"F16", 1, 2, 0, true, MX_F16, NULL},
    [2] = {"Q4_0", 32, 18, 4, false, MX_U32, NULL},
    [3] = {"Q4_1", 32, 20, 4, false, MX_U32, NULL},
    [6] = {"Q5_0", 32, 22, 0, false, MX_F16, decode_q5_0},
    [7] = {"Q5_1", 32, 24, 0, false, MX_F16, decode_q5_1},
    [8] = {"Q8_0", 32, 34, 8, false, MX_U32, NULL},
    [10] = {"Q2_K", 256, 84, 0, false, MX_F16, decode_q2_k},
    [11] = {"Q3_K", 256, 110, 0, false, MX_F16, decode_q3_k},
    [12] = {"Q4_K", 256, 144, 0, false, MX_F16, decode_q4_k},
    [13] = {"Q5_K", 256, 176, 0, false, MX_F16, decode_q5_k},
    [14] = {"Q6_K", 256, 210, 0, false, MX_F16, decode_q6_k},
    [24] = {"I8", 1, 1, 0, true, MX_I8, NULL},
    [25] = {"I16", 1, 2, 0, true, MX_I16, NULL},
    [26] = {"I32", 1, 4, 0, true, MX_I32, NULL},
    [27] = {"I64", 1, 8, 0, true, MX_I64, NULL},
    [28] = {"F64", 1, 8, 0, true, MX_F64, NULL},
    [30] = {"BF16", 1, 2, 0, false, MX_F16, decode_bf16}, /* as MLX has it */
};
enum { TYPES = sizeof types / sizeof *types };

static const char *const unreadable[] = {
    [4] = "Q4_2",   [5] = "Q4_3",    [9] = "Q8_1",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S",
    [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS", [29] = "IQ1_M",  [34] = "TQ1_0",  [35] = "TQ2_0",   [39] = "MXFP4"};
enum { UNREADABLE = sizeof unreadable / sizeof *unreadable };

const mx_gguf_type *mx_gguf_type_of(uint32_t id) { return id < TYPES && types[id].name ? &types[id] : NULL; }

const char *mx_gguf_type_name(uint32_t id) {
  if (id < TYPES && types[id].name) return types[id].name;
  return id < UNREADABLE && unreadable[id] ? unreadable[id] : "of an unknown number";
}

void mx_gguf_decode(const mx_gguf_type *t, const uint8_t *block, uint64_t i, void *w, uint16_t *scales, uint16_t *biases) {
  if (t->bits)
    pack(t, block, (uint32_t *)w + i * t->bits, scales + i, biases + i);
  else
    t->decode(block, (uint16_t *)w + i * t->block);
}
