/* Quantized rows as numbers. The layout is in core/quant.h. */
#ifndef MX_CPU_QUANT_H
#define MX_CPU_QUANT_H

#include "backend/backend.h"
#include "core/quant.h"

/* Packed matrices, one behind the other or chosen by offset: rows of words, each row of scales (and biases) without gaps. */
typedef struct mx_qmat {
  mx_quant q;
  int64_t rows, wide, groups;      /* of one matrix: rows of `wide` numbers in `groups` groups */
  const mx_view *words, *scales, *biases; /* biases NULL in the floating modes */
} mx_qmat;

/* The packed arrays in[0..]: words, scales (, biases). */
void mx_qmat_init(mx_qmat *m, const int64_t *p, const mx_view *in);
/* One matrix of them: where its words, and in elements where its scales and biases start. */
typedef struct mx_qmat_at {
  int64_t words, scales, biases;
} mx_qmat_at;

/* A view whose last two dimensions lie without gaps: v itself, or a copy of it. */
typedef struct mx_dense {
  mx_view view;
  int64_t strides[MX_MAX_NDIM];
  void *copy;                      /* from mx_scratch, or NULL */
} mx_dense;
int mx_dense_init(mx_dense *d, const mx_view *v); /* 0 or the kind of an error */
void mx_dense_free(mx_dense *d);

/* Columns [c0, c0 + n) of row r of the matrix at `at`; c0 and n are multiples of the group. */
void mx_qmat_row_f32(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t c0, int64_t n, float *o);
void mx_qmat_row_f64(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t c0, int64_t n, double *o);
/* The scales (biases) of groups [g0, g0 + n) of row r as floats. */
void mx_qmat_scales(const mx_qmat *m, const mx_qmat_at *at, int64_t r, int64_t g0, int64_t n, float *scales, float *biases);

/* n codes (a multiple of 16) that start at `codes` as the floats they stand for without a scale. */
void mx_unpack_f32(const mx_quant *q, int64_t n, const uint8_t *codes, float *o);

#endif
