/* Rows of floating numbers as the compute type, whatever their dtype and stride. */
#ifndef MX_CPU_ROWS_H
#define MX_CPU_ROWS_H

#include <stdint.h>

#include "core/dtype.h"

/* n elements at x (stride in elements) as floats; a contiguous f32 row is returned itself, others are converted into scratch. */
const float *mx_row_f32(mx_dtype t, const void *x, int64_t stride, int64_t n, float *scratch);
void mx_load_f32(mx_dtype t, const void *x, int64_t stride, int64_t n, float *out);
void mx_load_f64(mx_dtype t, const void *x, int64_t stride, int64_t n, double *out);
/* Rounds n floats into a contiguous row. */
void mx_store_f32(mx_dtype t, const float *x, int64_t n, void *out);
void mx_store_f64(mx_dtype t, const double *x, int64_t n, void *out);

#endif
