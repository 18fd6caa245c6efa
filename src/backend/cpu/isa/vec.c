/* Rows of floats: softmax, logsumexp, the norms; random words. Sums go over fixed lanes, so that loops vectorise
 * and the bits follow n alone. */
#include "backend/cpu/vec.h"

#include "backend/cpu/args.h"
#include "backend/cpu/isa/common.h"

enum { LANES = 32 };

static float max_of(int64_t n, const float *x) {
  float lane[LANES], m = -INFINITY;
  int64_t i = 0;
  for (int k = 0; k < LANES; k++) lane[k] = -INFINITY;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
  for (; i < n; i++) m = x[i] > m ? x[i] : m;
  for (int k = 0; k < LANES; k++) m = lane[k] > m ? lane[k] : m;
  return m; /* NaN is passed over: the sum that follows has it */
}

static inline float join(float *lane) {
  for (int half = LANES / 2; half; half /= 2)
    for (int k = 0; k < half; k++) lane[k] += lane[k + half];
  return lane[0];
}

static inline float exp_of(float x) { return mx_exp_core_f32(x < -104 ? -104 : x); } /* x <= 0 or NaN */

static float exp_sum(int64_t n, const float *x, float m, float *o) {
  float lane[LANES] = {0}, s = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    float e[LANES];
    for (int k = 0; k < LANES; k++) e[k] = exp_of(x[i + k] - m);
    for (int k = 0; k < LANES; k++) lane[k] += e[k];
    for (int k = 0; k < LANES; k++) o[i + k] = e[k];
  }
  for (; i < n; i++) s += o[i] = exp_of(x[i] - m);
  return s + join(lane);
}

static void softmax(int64_t n, const float *x, float *o) {
  float s = 1 / exp_sum(n, x, max_of(n, x), o);
  for (int64_t i = 0; i < n; i++) o[i] *= s;
}

static void softmax_vjp(int64_t n, const float *p, const float *x, float r, float k, float *o) {
  MX_INDEPENDENT for (int64_t i = 0; i < n; i++) o[i] = p[i] * (x[i] - r) * k;
}

static void lstm_back(int64_t n, float *z, const float *before, const float *y, const float *dh, float *dc) {
  MX_INDEPENDENT for (int64_t k = 0; k < n; k++) {
    float i = z[k], f = z[n + k], g = z[2 * n + k], o = z[3 * n + k], d = dc[k] + dh[k] * o * (1 - y[k] * y[k]);
    z[k] = d * g * (i - i * i);
    z[n + k] = d * before[k] * (f - f * f);
    z[2 * n + k] = d * i * (1 - g * g);
    z[3 * n + k] = dh[k] * y[k] * (o - o * o);
    dc[k] = d * f;
  }
}

/* Whole blocks of columns stay in registers. */
typedef float piece __attribute__((vector_size(64), aligned(4), may_alias));
enum { PIECES = MX_COLUMNS * 4 / 64 };
#define AT(x, k) (((const piece *)(x))[k])

static void column_moments(const mx_columns *c) {
  float *mean = c->sums[0], *s = c->sums[1];
  if (c->n == MX_COLUMNS) {
    piece m[PIECES], sum[PIECES];
    UNROLL for (int k = 0; k < PIECES; k++) m[k] = sum[k] = (piece){0};
    for (int64_t i = 0; i < c->rows; i++) UNROLL for (int k = 0; k < PIECES; k++) m[k] += AT(c->x + i * c->ld, k);
    UNROLL for (int k = 0; k < PIECES; k++) m[k] /= (float)c->rows;
    for (int64_t i = 0; i < c->rows; i++)
      UNROLL for (int k = 0; k < PIECES; k++) {
        piece d = AT(c->x + i * c->ld, k) - m[k];
        sum[k] += d * d;
      }
    memcpy(mean, m, sizeof m);
    memcpy(s, sum, sizeof sum);
    return;
  }
  for (int64_t k = 0; k < c->n; k++) mean[k] = s[k] = 0;
  for (int64_t i = 0; i < c->rows; i++) MX_INDEPENDENT for (int64_t k = 0; k < c->n; k++) mean[k] += c->x[i * c->ld + k];
  for (int64_t k = 0; k < c->n; k++) mean[k] /= (float)c->rows;
  for (int64_t i = 0; i < c->rows; i++)
    MX_INDEPENDENT for (int64_t k = 0; k < c->n; k++) s[k] += (c->x[i * c->ld + k] - mean[k]) * (c->x[i * c->ld + k] - mean[k]);
}

static void column_sums(const mx_columns *c) {
  const float *mean = c->per[0];
  float *s = c->sums[0], *t = c->sums[1];
  if (c->n == MX_COLUMNS) {
    piece m[PIECES], a[PIECES], b[PIECES];
    UNROLL for (int k = 0; k < PIECES; k++) m[k] = AT(mean, k), a[k] = b[k] = (piece){0};
    for (int64_t i = 0; i < c->rows; i++)
      UNROLL for (int k = 0; k < PIECES; k++) {
        piece g = AT(c->g + i * c->ld, k);
        a[k] += g;
        b[k] += g * (AT(c->x + i * c->ld, k) - m[k]);
      }
    memcpy(s, a, sizeof a);
    memcpy(t, b, sizeof b);
    return;
  }
  for (int64_t k = 0; k < c->n; k++) s[k] = t[k] = 0;
  for (int64_t i = 0; i < c->rows; i++)
    MX_INDEPENDENT for (int64_t k = 0; k < c->n; k++) {
      float g = c->g[i * c->ld + k];
      s[k] += g;
      t[k] += g * (c->x[i * c->ld + k] - mean[k]);
    }
}

static void column_line(const mx_columns *c) {
  const float *mean = c->per[0], *slope = c->per[1], *shift = c->per[2], *scale = c->per[3];
  for (int64_t i = 0; i < c->rows; i++) {
    const float *x = c->x + i * c->ld, *g = c->g ? c->g + i * c->ld : NULL;
    float *o = c->o + i * c->ld;
    if (g) {
      MX_INDEPENDENT for (int64_t k = 0; k < c->n; k++) o[k] = (x[k] - mean[k]) * slope[k] + shift[k] + g[k] * scale[k];
    } else {
      MX_INDEPENDENT for (int64_t k = 0; k < c->n; k++) o[k] = (x[k] - mean[k]) * slope[k] + shift[k];
    }
  }
}

static float logsumexp(int64_t n, const float *x) {
  float lane[LANES] = {0}, m = max_of(n, x), s = 0;
  int64_t i = 0;
  if (isinf(m)) { /* x - m would be NaN */
    for (; i < n; i++)
      if (x[i] != x[i]) return x[i];
    return m;
  }
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += exp_of(x[i + k] - m);
  for (; i < n; i++) s += exp_of(x[i] - m);
  return m + mx_log_f32(s + join(lane));
}

/* The mean (0 unless centre) and 1 / sqrt(variance + eps). */
static float moments(int64_t n, const float *x, bool centre, float eps, float *mean) {
  float m = 0, s = 0;
  int64_t i = 0;
  if (centre) {
    float lane[LANES] = {0};
    for (; i + LANES <= n; i += LANES)
      for (int k = 0; k < LANES; k++) lane[k] += x[i + k];
    for (; i < n; i++) s += x[i];
    m = (s + join(lane)) / (float)n;
  }
  float lane[LANES] = {0};
  s = 0;
  for (i = 0; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += (x[i + k] - m) * (x[i + k] - m);
  for (; i < n; i++) s += (x[i] - m) * (x[i] - m);
  *mean = m;
  return 1 / __builtin_sqrtf((s + join(lane)) / (float)n + eps);
}

static void norm(int64_t n, const float *x, bool centre, float eps, const float *w, const float *b, float *o) {
  float mean, scale = moments(n, x, centre, eps, &mean);
  int64_t i;
  if (w && b) MX_INDEPENDENT for (i = 0; i < n; i++) o[i] = (x[i] - mean) * scale * w[i] + b[i];
  else if (w) MX_INDEPENDENT for (i = 0; i < n; i++) o[i] = (x[i] - mean) * scale * w[i];
  else if (b) MX_INDEPENDENT for (i = 0; i < n; i++) o[i] = (x[i] - mean) * scale + b[i];
  else MX_INDEPENDENT for (i = 0; i < n; i++) o[i] = (x[i] - mean) * scale;
}

static void norm_vjp(int64_t n, const float *x, const float *g, bool centre, float eps, const float *w, float *o, float *dw, float *db) {
  float mean, scale = moments(n, x, centre, eps, &mean), lane[2][LANES] = {{0}}, of_g = 0, along = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      float h = g[i + k] * w[i + k];
      lane[0][k] += h;
      lane[1][k] += h * (x[i + k] - mean);
    }
  for (; i < n; i++) of_g += g[i] * w[i], along += g[i] * w[i] * (x[i] - mean);
  of_g = centre ? (of_g + join(lane[0])) / (float)n : 0;
  along = (along + join(lane[1])) * scale / (float)n;
  MX_INDEPENDENT for (i = 0; i < n; i++) db[i] += g[i];
  MX_INDEPENDENT for (i = 0; i < n; i++) {
    float y = (x[i] - mean) * scale, d = g[i];
    dw[i] += d * y;
    o[i] = scale * (d * w[i] - of_g - y * along);
  }
}

static inline uint32_t rotate(uint32_t x, int r) { return x << r | x >> (32 - r); }

static void threefry(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, int64_t n, uint32_t *restrict lo, uint32_t *restrict hi) {
  const uint32_t k2 = k0 ^ k1 ^ 0x1BD11BDA;
  MX_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    uint32_t a = c0 + (uint32_t)i + k0, b = c1 + (uint32_t)i + k1;
#define ROUND(r) a += b, b = rotate(b, r) ^ a
#define ODD ROUND(13), ROUND(15), ROUND(26), ROUND(6)
#define EVEN ROUND(17), ROUND(29), ROUND(16), ROUND(24)
    ODD, a += k1, b += k2 + 1;
    EVEN, a += k2, b += k0 + 2;
    ODD, a += k0, b += k1 + 3;
    EVEN, a += k1, b += k2 + 4;
    ODD, a += k2, b += k0 + 5;
    lo[i] = a;
    hi[i] = b;
  }
}

#define EACH_GEMM(X) X(f32) X(f64) X(f16) X(bf16) X(u8) X(u16) X(u32) X(u64) X(bool) X(u8u8) X(u8i8) X(i8u8) X(i8i8)
#define DECLARE_GEMM(t) \
  extern int CAT(mx_gemm_##t, MX_ISA)(int64_t, int64_t, int64_t, double, const mx_matrix *, const mx_matrix *, double, void *, int64_t);
EACH_GEMM(DECLARE_GEMM)
#define DECLARE_KEYS(w, T)                                                              \
  extern bool CAT(mx_sort_u##w, MX_ISA)(int64_t, uint##w##_t *);                           \
  extern bool CAT(mx_select_u##w, MX_ISA)(int64_t, uint##w##_t *, int64_t);                \
  extern void CAT(mx_keys_##T, MX_ISA)(int64_t, const T *, uint##w##_t *);                 \
  extern void CAT(mx_values_##T, MX_ISA)(int64_t, const uint##w##_t *, T *);
DECLARE_KEYS(32, float)
DECLARE_KEYS(64, double)
extern const mx_vec_quant CAT(mx_vec_quant, MX_ISA);
extern const struct mx_arg CAT(mx_args, MX_ISA)[];
extern void CAT(mx_taps, MX_ISA)(int64_t, int64_t, int, const float *, int64_t, const int64_t *, const float *, float *, int64_t);
extern void CAT(mx_products, MX_ISA)(int64_t, int64_t, int, const float *, int64_t, const int64_t *, const float *, float *);
extern void CAT(mx_strip_few, MX_ISA)(int64_t, int64_t, const mx_strip *, const float *, const float *, float *, int64_t);
extern void CAT(mx_strip_f32, MX_ISA)(int64_t, int64_t, const mx_strip *, const void *, const void *, void *, int64_t, bool);
extern void CAT(mx_strip_f64, MX_ISA)(int64_t, int64_t, const mx_strip *, const void *, const void *, void *, int64_t, bool);
extern const int CAT(mx_panel, MX_ISA);
extern const mx_packer CAT(mx_packer_f32, MX_ISA), CAT(mx_packer_f64, MX_ISA), CAT(mx_packer_f16, MX_ISA), CAT(mx_packer_bf16, MX_ISA);
extern const mx_few_rows CAT(mx_few_rows, MX_ISA);
extern const mx_few_pairs *CAT(mx_few_pairs, MX_ISA)(void);
extern const mx_packer *CAT(mx_packer_pairs, MX_ISA)(void);
extern const mx_index_fn CAT(mx_index_fns, MX_ISA)[];
extern int64_t CAT(mx_list_trues, MX_ISA)(const uint8_t *, int64_t, uint32_t *);
extern const mx_vec CAT(mx_vec, MX_ISA);
#define GEMM_OF(t) CAT(mx_gemm_##t, MX_ISA)
const mx_vec CAT(mx_vec, MX_ISA) = {
    &CAT(mx_vec_quant, MX_ISA), CAT(mx_index_fns, MX_ISA), CAT(mx_list_trues, MX_ISA), softmax, logsumexp, max_of, exp_sum, softmax_vjp, norm, norm_vjp, lstm_back,
    column_moments, column_sums, column_line, CAT(mx_args, MX_ISA), threefry, GEMM_OF(f32), GEMM_OF(f64),
    CAT(mx_strip_f32, MX_ISA), CAT(mx_strip_f64, MX_ISA), &CAT(mx_panel, MX_ISA),
    &CAT(mx_packer_f32, MX_ISA), &CAT(mx_packer_f64, MX_ISA), &CAT(mx_packer_f16, MX_ISA), &CAT(mx_packer_bf16, MX_ISA), CAT(mx_packer_pairs, MX_ISA),
    &CAT(mx_few_rows, MX_ISA), CAT(mx_few_pairs, MX_ISA), GEMM_OF(f16), GEMM_OF(bf16), GEMM_OF(u8), GEMM_OF(u16),
    GEMM_OF(u32), GEMM_OF(u64), GEMM_OF(bool), {{GEMM_OF(u8u8), GEMM_OF(u8i8)}, {GEMM_OF(i8u8), GEMM_OF(i8i8)}}, CAT(mx_sort_u32, MX_ISA), CAT(mx_sort_u64, MX_ISA),
    CAT(mx_select_u32, MX_ISA), CAT(mx_select_u64, MX_ISA), CAT(mx_keys_float, MX_ISA), CAT(mx_values_float, MX_ISA),
    CAT(mx_keys_double, MX_ISA), CAT(mx_values_double, MX_ISA),
    CAT(mx_taps, MX_ISA), CAT(mx_products, MX_ISA), CAT(mx_strip_few, MX_ISA)};
