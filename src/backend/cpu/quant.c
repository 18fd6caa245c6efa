#include "backend/cpu/quant.h"

#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"

void mx_qmat_init(mx_qmat *m, const int64_t *p, const mx_view *in) {
  int last = in[0].ndim - 1;
  m->q = (mx_quant){(mx_quant_mode)p[0], (int)p[1], (int)p[2]};
  m->words = &in[0];
  m->scales = &in[1];
  m->biases = m->q.mode == MX_AFFINE ? &in[2] : NULL;
  m->rows = in[0].shape[last - 1];
  m->groups = in[1].shape[last];
  m->wide = m->groups * m->q.group;
}

int mx_dense_init(mx_dense *d, const mx_view *v) {
  int last = v->ndim - 1;
  d->copy = NULL;
  d->view = *v;
  if (!v->size || ((v->shape[last] == 1 || v->strides[last] == 1) && (v->shape[last - 1] == 1 || v->strides[last - 1] == v->shape[last])))
    return 0;
  if (!(d->copy = mx_scratch((size_t)v->size * mx_dtype_sizes[v->dtype]))) return mx_fail_memory();
  mx_row_strides(v->ndim, v->shape, d->strides);
  d->view.strides = d->strides;
  d->view.data = d->copy;
  return mx_copy_view(v, &d->view);
}

void mx_dense_free(mx_dense *d) { mx_scratch_free(d->copy); }

void mx_unpack_f32(const mx_quant *q, int64_t n, const uint8_t *codes, float *o) { mx_vec_now()->quant->unpack[q->mode](q->bits, n, codes, o); }

static const uint8_t *row_words(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t c0) {
  return (const uint8_t *)m->words->data + (at->words + r * mx_quant_words(&m->q, m->wide)) * 4 + c0 * m->q.bits / 8;
}

void mx_qmat_scales(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t g0, int64_t n, float *scales, float *biases) {
  int64_t from = r * m->groups + g0;
  if (m->q.mode == MX_AFFINE) {
    mx_load_f32(m->scales->dtype, mx_at(m->scales, at->scales + from), 1, n, scales);
    mx_load_f32(m->biases->dtype, mx_at(m->biases, at->biases + from), 1, n, biases);
    return;
  }
  const uint8_t *b = (const uint8_t *)m->scales->data + at->scales + from;
  for (int64_t i = 0; i < n; i++) scales[i] = m->q.mode == MX_NVFP4 ? mx_fp8_to_f32(b[i]) : mx_e8m0_to_f32(b[i]);
}

enum { GROUPS = 64 }; /* at a time */

void mx_qmat_row_f32(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t c0, int64_t n, float *o) {
  float scales[GROUPS], biases[GROUPS] = {0};
  int g = m->q.group;
  mx_unpack_f32(&m->q, n, row_words(m, at, r, c0), o);
  for (int64_t g0 = c0 / g, end = (c0 + n) / g; g0 < end; g0 += GROUPS) {
    int64_t k = end - g0 < GROUPS ? end - g0 : GROUPS;
    mx_qmat_scales(m, at, r, g0, k, scales, biases);
    mx_vec_now()->quant->scale_groups(k, g, scales, biases, o + g0 * g - c0);
  }
}

void mx_qmat_row_f64(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t c0, int64_t n, double *o) {
  float code[128], scale = 1, bias = 0;
  int g = m->q.group;
  for (int64_t c = c0; c < c0 + n; c += g) {
    double s, b = 0;
    mx_unpack_f32(&m->q, g, row_words(m, at, r, c), code);
    if (m->q.mode == MX_AFFINE) {
      int64_t i = r * m->groups + c / g;
      mx_load_f64(m->scales->dtype, mx_at(m->scales, at->scales + i), 1, 1, &s);
      mx_load_f64(m->biases->dtype, mx_at(m->biases, at->biases + i), 1, 1, &b);
    } else {
      mx_qmat_scales(m, at, r, c / g, 1, &scale, &bias);
      s = scale;
    }
    for (int i = 0; i < g; i++) o[c - c0 + i] = code[i] * s + b;
  }
}
