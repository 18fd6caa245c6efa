/* The first lines of n that make whole squares, each of k elements in a row, across apart: line j becomes column j of o, NR wide. Returns
 * how many lines are done. */
#if VECTOR == 64
static int transpose_f32(int n, int64_t k, float alpha, const float *x, int64_t across, float *o) {
  __m512 scale = _mm512_set1_ps(alpha);
  int j = 0;
  for (; j + 16 <= n; j += 16, x += 16 * across, o += 16) {
    int64_t p = 0;
    for (; p + 16 <= k; p += 16) {
      __m512 r[16], t[16];
      UNROLL for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(x + i * across + p);
      UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
      }
      UNROLL for (int i = 0; i < 16; i += 4) { /* r[i + q]: columns q, 4 + q, 8 + q, 12 + q of four rows */
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]), c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
      }
      UNROLL for (int q = 0; q < 4; q++) {
        __m512 even = _mm512_shuffle_f32x4(r[q], r[4 + q], 0x88), even2 = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0x88);
        __m512 odd = _mm512_shuffle_f32x4(r[q], r[4 + q], 0xdd), odd2 = _mm512_shuffle_f32x4(r[8 + q], r[12 + q], 0xdd);
        float *to = o + (p + q) * 2 * 16;
        _mm512_storeu_ps(to, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(even, even2, 0x88)));
        _mm512_storeu_ps(to + 4 * 32, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(odd, odd2, 0x88)));
        _mm512_storeu_ps(to + 8 * 32, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(even, even2, 0xdd)));
        _mm512_storeu_ps(to + 12 * 32, _mm512_mul_ps(scale, _mm512_shuffle_f32x4(odd, odd2, 0xdd)));
      }
    }
    for (; p < k; p++)
      for (int i = 0; i < 16; i++) o[p * 32 + i] = alpha * x[i * across + p];
  }
  return j;
}
#elif VECTOR == 32
static int transpose_f32(int n, int64_t k, float alpha, const float *x, int64_t across, float *o) {
  __m256 scale = _mm256_set1_ps(alpha);
  int j = 0;
  for (; j + 8 <= n; j += 8, x += 8 * across, o += 8) {
    int64_t p = 0;
    for (; p + 8 <= k; p += 8) {
      __m256 r[8], t[8];
      UNROLL for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(x + i * across + p);
      UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
      }
      UNROLL for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
      }
      UNROLL for (int q = 0; q < 4; q++) {
        float *to = o + (p + q) * 2 * 8;
        _mm256_storeu_ps(to, _mm256_mul_ps(scale, _mm256_permute2f128_ps(r[q], r[4 + q], 0x20)));
        _mm256_storeu_ps(to + 4 * 16, _mm256_mul_ps(scale, _mm256_permute2f128_ps(r[q], r[4 + q], 0x31)));
      }
    }
    for (; p < k; p++)
      for (int i = 0; i < 8; i++) o[p * 16 + i] = alpha * x[i * across + p];
  }
  return j;
}
#else
static int transpose_f32(int n, int64_t k, float alpha, const float *x, int64_t across, float *o) {
  int j = 0;
  for (; j + 4 <= n; j += 4, x += 4 * across, o += 4)
    for (int64_t p = 0; p < k; p++)
      for (int i = 0; i < 4; i++) o[p * 8 + i] = alpha * x[i * across + p];
  return j;
}
#endif
