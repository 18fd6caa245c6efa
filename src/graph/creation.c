/* Arrays from nothing but numbers, and masks and diagonals made of them. */
#include <math.h>

#include "graph/build.h"

static bool no_negative(mx_scope *s, const char *tag, const int *shape, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (shape[i] < 0) {
      mx_scope_fail(s, MX_EVALUE, "[%s] Negative dimensions not allowed: %d.", tag, shape[i]);
      return false;
    }
  return true;
}

mx_array *mx_full(mx_scope *s, const int *shape, size_t n, mx_array *vals, mx_dtype dtype) {
  if (!vals || !no_negative(s, "full", shape, n)) return NULL;
  return mx_broadcast_to(s, mx_astype(s, vals, dtype), shape, n);
}
mx_array *mx_full_like(mx_scope *s, mx_array *a, mx_array *vals, mx_dtype dtype) {
  if (!a || !vals) return NULL;
  if (mx_any_shape_wanted && (a->flags & MX_PLACEHOLDER) && !vals->ndim)
    return mx_where(s, mx_int(s, MX_BOOL, 0), mx_astype(s, a, dtype), mx_astype(s, vals, dtype));
  return mx_full(s, a->shape, a->ndim, vals, dtype);
}
mx_array *mx_zeros(mx_scope *s, const int *shape, size_t n, mx_dtype dtype) {
  return mx_full(s, shape, n, mx_int(s, dtype, 0), dtype);
}
mx_array *mx_ones(mx_scope *s, const int *shape, size_t n, mx_dtype dtype) {
  return mx_full(s, shape, n, mx_int(s, dtype, 1), dtype);
}
mx_array *mx_zeros_like(mx_scope *s, mx_array *x) { return x ? mx_full_like(s, x, mx_int(s, x->dtype, 0), x->dtype) : NULL; }
mx_array *mx_ones_like(mx_scope *s, mx_array *x) { return x ? mx_full_like(s, x, mx_int(s, x->dtype, 1), x->dtype) : NULL; }

/* A double as the 64 bits of an integer, signed or unsigned; what is out of both ranges is cut to them. */
static int64_t whole(double v) {
  if (v >= 0x1p63) return v >= 0x1p64 ? -1 : (int64_t)(uint64_t)v;
  return v < -0x1p63 ? INT64_MIN : (int64_t)v;
}

mx_array *mx_arange(mx_scope *s, double start, double stop, double step, mx_dtype dtype) {
  if (dtype == MX_BOOL) return mx_scope_fail(s, MX_EVALUE, "[arange] bool not supported for arange.");
  if (!isfinite(start) || !isfinite(stop) || isnan(step))
    return mx_scope_fail(s, MX_EVALUE, "[arange] Cannot compute length: start %g, stop %g, step %g.", start, stop, step);
  if (step == 0) return mx_scope_fail(s, MX_EVALUE, "[arange] The step must not be 0.");
  double n = ceil((stop - start) / step);
  if (!(n > 0)) n = 0;
  if (n > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, "[arange] Maximum size exceeded.");
  if (dtype == MX_C64) return mx_astype(s, mx_arange(s, start, stop, step, MX_F32), dtype);
  /* integers: from the truncated start by the truncated step */
  bool f = mx_is_float(dtype);
  int64_t p[4] = {dtype, (int64_t)n, f ? mx_bits(start) : whole(start), f ? mx_bits(step) : whole(step)};
  return mx_node(s, OP_arange, 0, NULL, 4, p);
}

static mx_array *count(mx_scope *s, int n, mx_dtype t) { return mx_arange(s, 0, n, 1, t); }

mx_array *mx_linspace(mx_scope *s, double start, double stop, int num, mx_dtype dtype) {
  if (num < 0) return mx_scope_fail(s, MX_EVALUE, "[linspace] number of samples, %d, must be non-negative.", num);
  if (num < 2) return mx_astype(s, mx_full(s, &num, 1, mx_scalar(s, MX_F32, start), MX_F32), dtype);
  mx_dtype t = dtype == MX_F64 ? MX_F64 : MX_F32;
  mx_array *x = mx_divide(s, count(s, num, t), mx_scalar(s, t, num - 1));
  mx_array *back = mx_subtract(s, mx_scalar(s, t, 1), x);
  mx_array *r = mx_add(s, mx_multiply(s, back, mx_scalar(s, t, start)), mx_multiply(s, x, mx_scalar(s, t, stop)));
  return mx_astype(s, r, dtype);
}

/* (n, m) bool: column - row compared with k. */
static mx_array *band(mx_scope *s, const char *tag, int n, int m, int k,
                      mx_array *(*compare)(mx_scope *, mx_array *, mx_array *)) {
  if (n < 0 || m < 0) return mx_scope_fail(s, MX_EVALUE, "[%s] N and M must be non-negative integers, got %d and %d.", tag, n, m);
  k = k < -n ? -n : k > m ? m : k; /* beyond them nothing changes, and row + k stays in range */
  mx_array *row = mx_expand_dims(s, mx_add(s, count(s, n, MX_I32), mx_int(s, MX_I32, k)), 1),
           *col = mx_expand_dims(s, count(s, m, MX_I32), 0);
  return row && col ? compare(s, row, col) : NULL;
}

mx_array *mx_eye(mx_scope *s, int n, int m, int k, mx_dtype dtype) {
  return mx_astype(s, band(s, "eye", n, m, k, mx_equal), dtype);
}
mx_array *mx_identity(mx_scope *s, int n, mx_dtype dtype) { return mx_eye(s, n, n, 0, dtype); }
mx_array *mx_tri(mx_scope *s, int n, int m, int k, mx_dtype dtype) {
  n = n < 0 ? 0 : n; /* as NumPy and MLX */
  m = m < 0 ? 0 : m;
  return mx_astype(s, band(s, "tri", n, m, k, mx_greater_equal), dtype);
}

static mx_array *triangle(mx_scope *s, const char *tag, mx_array *x, int k, bool lower) {
  if (!x) return NULL;
  if (x->ndim < 2) return mx_scope_fail(s, MX_EVALUE, "[%s] array must be at least 2-D, not of shape %s.", tag, mx_shape_of(x));
  mx_array *mask = mx_tri(s, x->shape[x->ndim - 2], x->shape[x->ndim - 1], lower || k == INT32_MIN ? k : k - 1, MX_BOOL),
           *zero = mx_const_like(s, x, 0);
  return lower ? mx_where(s, mask, x, zero) : mx_where(s, mask, zero, x);
}
mx_array *mx_tril(mx_scope *s, mx_array *x, int k) { return triangle(s, "tril", x, k, true); }
mx_array *mx_triu(mx_scope *s, mx_array *x, int k) { return triangle(s, "triu", x, k, false); }

mx_array *mx_diagonal(mx_scope *s, mx_array *a, int offset, int axis1, int axis2) {
  if (!a) return NULL;
  if (a->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[diagonal] Array must have at least two dimensions, but got %d dimensions.", a->ndim);
  int r, c, rc = mx_norm_axis("diagonal", axis1, a->ndim, &r);
  if (!rc) rc = mx_norm_axis("diagonal", axis2, a->ndim, &c);
  if (rc) return mx_scope_error(s, rc);
  if (r == c) return mx_scope_fail(s, MX_EVALUE, "[diagonal] axis1 and axis2 cannot be the same axis: %d.", axis1);
  int64_t down = offset < 0 ? -(int64_t)offset : 0, right = offset > 0 ? offset : 0;
  int64_t len = a->shape[r] - down < a->shape[c] - right ? a->shape[r] - down : a->shape[c] - right;
  if (len < 0) len = 0;
  if (len == 0) down = right = 0;
  mx_array *index[2] = {mx_arange(s, (double)down, (double)(down + len), 1, MX_I32),
                        mx_arange(s, (double)right, (double)(right + len), 1, MX_I32)};
  int sizes[MX_MAX_NDIM];
  for (int i = 0; i < a->ndim; i++) sizes[i] = i == r || i == c ? (len ? 1 : 0) : a->shape[i];
  mx_array *d = mx_gather(s, a, 2, index, (int[]){r, c}, 2, sizes, a->ndim);
  int shape[MX_MAX_NDIM], n = 0;
  shape[n++] = (int)len;
  for (int i = 0; i < a->ndim; i++)
    if (i != r && i != c) shape[n++] = a->shape[i];
  return mx_moveaxis(s, mx_reshape(s, d, shape, n), 0, -1);
}

mx_array *mx_diag(mx_scope *s, mx_array *a, int k) {
  if (!a) return NULL;
  if (a->ndim == 2) return mx_diagonal(s, a, k, 0, 1);
  if (a->ndim != 1) return mx_scope_fail(s, MX_EVALUE, "[diag] array must be 1-D or 2-D, got array with %d dimensions.", a->ndim);
  int64_t wide = (int64_t)a->shape[0] + (k < 0 ? -(int64_t)k : k);
  if (wide > MX_MAX_DIM)
    return mx_scope_fail(s, MX_EVALUE, "[diag] Diagonal %d of %d values needs a matrix that is too large.", k, a->shape[0]);
  int n = (int)wide, off = n - a->shape[0];
  mx_array *zero = mx_const_like(s, a, 0);
  /* each value stands once a row (above the diagonal) or once a column (below): spread it along the other axis */
  mx_array *v = mx_pad(s, a, (int[]){0}, 1, (int[]){0}, 1, &off, 1, zero, "constant");
  return mx_where(s, mx_eye(s, n, n, k, MX_BOOL), mx_expand_dims(s, v, k >= 0 ? 1 : 0), zero);
}

mx_array *mx_trace(mx_scope *s, mx_array *a, int offset, int axis1, int axis2, mx_dtype dtype) {
  if (!a) return NULL;
  if (a->ndim < 2)
    return mx_scope_fail(s, MX_EVALUE, "[trace] Array must have at least two dimensions, but got %d dimensions.", a->ndim);
  return mx_astype(s, mx_sum_axis(s, mx_astype(s, mx_diagonal(s, a, offset, axis1, axis2), dtype), -1, false), dtype);
}

/* ---- windows: f32, of m points ---- */

/* 2 pi c n / (m - 1), or NULL for fewer than two points, with the window in *done. */
static mx_array *phase(mx_scope *s, int m, double c, mx_array **done) {
  *done = NULL;
  if (m < 2) {
    int n = m < 1 ? 0 : 1;
    *done = mx_ones(s, &n, 1, MX_F32);
    return NULL;
  }
  return mx_mul_k(s, count(s, m, MX_F32), c / (m - 1));
}

mx_array *mx_hanning(mx_scope *s, int m) {
  mx_array *done, *x = phase(s, m, M_PI, &done);
  return x ? mx_square(s, mx_sin(s, x)) : done;
}

mx_array *mx_hamming(mx_scope *s, int m) {
  mx_array *done, *x = phase(s, m, 2 * M_PI, &done);
  return x ? mx_subtract(s, mx_scalar(s, MX_F32, 0.54), mx_mul_k(s, mx_cos(s, x), 0.46)) : done;
}

mx_array *mx_blackman(mx_scope *s, int m) {
  mx_array *done, *x = phase(s, m, 2 * M_PI, &done), *y = phase(s, m, 4 * M_PI, &done);
  if (!x || !y) return done;
  mx_array *even = mx_add_k(s, mx_mul_k(s, mx_cos(s, y), 0.08), 0.42);
  return mx_subtract(s, even, mx_mul_k(s, mx_cos(s, x), 0.5));
}

mx_array *mx_bartlett(mx_scope *s, int m) {
  mx_array *done, *x = phase(s, m, 2, &done);
  return x ? mx_subtract(s, mx_scalar(s, MX_F32, 1), mx_abs(s, mx_add_k(s, x, -1))) : done;
}

/* ---- frequencies ---- */

static bool frequencies(mx_scope *s, const char *tag, int n, double d, mx_dtype dtype) {
  if (n <= 0)
    mx_scope_fail(s, MX_EVALUE, "[%s] The number of samples must be positive, got %d.", tag, n);
  else if (d == 0)
    mx_scope_fail(s, MX_EVALUE, "[%s] `d` must be non-zero.", tag);
  else if (!mx_is_float(dtype))
    mx_scope_fail(s, MX_EVALUE, "[%s] Frequencies have a real floating type, not %s.", tag, mx_dtype_name(dtype));
  return !s->rc;
}

mx_array *mx_fft_fftfreq_as(mx_scope *s, int n, double d, mx_dtype dtype) {
  if (!frequencies(s, "fftfreq", n, d, dtype)) return NULL;
  int half = n / 2 + n % 2;
  mx_array *up = mx_arange(s, 0, half, 1, dtype), *down = mx_arange(s, -(n / 2), 0, 1, dtype);
  return mx_mul_k(s, mx_concatenate_axis(s, 2, (mx_array *[]){up, down}, 0), 1 / (n * d));
}
mx_array *mx_fft_fftfreq(mx_scope *s, int n, double d) { return mx_fft_fftfreq_as(s, n, d, MX_F32); }

mx_array *mx_fft_rfftfreq_as(mx_scope *s, int n, double d, mx_dtype dtype) {
  if (!frequencies(s, "rfftfreq", n, d, dtype)) return NULL;
  return mx_mul_k(s, mx_arange(s, 0, n / 2 + 1, 1, dtype), 1 / (n * d));
}
mx_array *mx_fft_rfftfreq(mx_scope *s, int n, double d) { return mx_fft_rfftfreq_as(s, n, d, MX_F32); }

static mx_array *shifted(mx_scope *s, mx_array *a, const int *axes, size_t n, bool back) {
  if (!a) return NULL;
  int ax[MX_MAX_NDIM], by[MX_MAX_NDIM];
  if (n == 0 && !axes)
    for (; n < a->ndim; n++) ax[n] = (int)n;
  else {
    int rc = n > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[fftshift] Too many axes: %zu.", n) : 0;
    for (size_t i = 0; i < n && !rc; i++) rc = mx_norm_axes("fftshift", axes + i, 1, a->ndim, ax + i); /* one given twice shifts twice */
    if (rc) return mx_scope_error(s, rc);
  }
  for (size_t i = 0; i < n; i++) by[i] = back ? -(a->shape[ax[i]] / 2) : a->shape[ax[i]] / 2;
  return mx_roll_axes(s, a, by, n, ax, n);
}
mx_array *mx_fft_fftshift(mx_scope *s, mx_array *a, const int *axes, size_t n) { return shifted(s, a, axes, n, false); }
mx_array *mx_fft_ifftshift(mx_scope *s, mx_array *a, const int *axes, size_t n) { return shifted(s, a, axes, n, true); }
