/* What the two files of quantized rows share. */
#ifndef MX_CPU_ISA_QUANT_H
#define MX_CPU_ISA_QUANT_H

#include "backend/cpu/isa/common.h"
#include "backend/cpu/vec.h"
#include "core/quant.h"

static const float fp4[16] MX_MAYBE_UNUSED = {MX_FP4_VALUES};

extern const mx_vec_quant CAT(mx_vec_quant, MX_ISA);
void CAT(mx_quant_lay, MX_ISA)(mx_quant_x *x);
void CAT(mx_quant_order, MX_ISA)(const mx_quant_x *x, const float *row, void *o);
void CAT(mx_quant_dot, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y);

#if defined(__AVX512F__)
#include <immintrin.h>

/* The bits of an e4m3 float in the places of a half are that float times 2^-8. */
static inline __m512 fp8_16(__m128i b) {
  __m256i h = _mm256_cvtepu8_epi16(b), low = _mm256_and_si256(h, _mm256_set1_epi16(0x7f));
  __mmask16 nan = _mm256_cmpeq_epi16_mask(low, _mm256_set1_epi16(0x7f));
  __m256i sign = _mm256_slli_epi16(_mm256_and_si256(h, _mm256_set1_epi16(0x80)), 8);
  h = _mm256_or_si256(sign, _mm256_mask_mov_epi16(_mm256_slli_epi16(low, 7), nan, _mm256_set1_epi16(0x7e00)));
  return _mm512_mul_ps(_mm512_cvtph_ps(h), _mm512_set1_ps(256));
}

void CAT(mx_quant_sum, MX_ISA)(const mx_quant_x *x, const mx_quant_w *w, float *y);
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
static inline __m256 fp8_8(const uint8_t *p) {
  const __m128i low7 = _mm_set1_epi16(0x7f);
  __m128i h = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)p)), low = _mm_and_si128(h, low7);
  __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(low, low7), _mm_set1_epi16(0x7e00));
  h = _mm_or_si128(_mm_slli_epi16(_mm_andnot_si128(low7, h), 8), _mm_or_si128(_mm_slli_epi16(low, 7), nan));
  return _mm256_mul_ps(_mm256_cvtph_ps(h), _mm256_set1_ps(256));
}
#endif

#endif
