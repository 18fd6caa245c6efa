/* Functions given by samples: interpolation, integral, derivative. */
#include "graph/build.h"

/* ---- interpolation ---- */

/* The samples one period long, in order, with one more on either side. */
static void unroll(mx_scope *s, mx_array **x, mx_array **xp, mx_array **fp, mx_array *period) {
  mx_array *p = mx_abs(s, mx_astype(s, period, (*x)->dtype));
  if (!p) return;
  *x = mx_remainder(s, *x, p);
  mx_array *at = mx_remainder(s, *xp, p);
  mx_array *order = mx_argsort_axis(s, mx_stop_gradient(s, at), 0);
  at = mx_take_axis(s, at, order, 0);
  mx_array *f = mx_take_axis(s, *fp, order, 0);
  int n = (*xp)->shape[0];
  mx_array *before = mx_slice_axis(s, at, 0, n - 1, n), *after = mx_slice_axis(s, at, 0, 0, 1);
  if (!before || !after) return;
  *xp = mx_concatenate_axis(s, 3, (mx_array *[]){mx_subtract(s, before, p), at, mx_add(s, after, p)}, 0);
  *fp = mx_concatenate_axis(s, 3, (mx_array *[]){mx_slice_axis(s, f, 0, n - 1, n), f, mx_slice_axis(s, f, 0, 0, 1)}, 0);
}

static mx_array *element(mx_scope *s, mx_array *x, int i) { return mx_squeeze_axis(s, mx_slice_axis(s, x, 0, i, i + 1), 0); }

/* On the straight line between the neighbours of x, of which there are n >= 2. */
static mx_array *between(mx_scope *s, mx_array *x, mx_array *xp, mx_array *fp, int n) {
  mx_array *i = mx_searchsorted(s, mx_stop_gradient(s, xp), mx_stop_gradient(s, x), true);
  i = i ? mx_subtract(s, mx_astype(s, i, MX_I32), mx_int(s, MX_I32, 1)) : NULL;
  i = i ? mx_minimum(s, mx_maximum(s, i, mx_int(s, MX_I32, 0)), mx_int(s, MX_I32, n - 2)) : NULL;
  mx_array *j = i ? mx_add(s, i, mx_int(s, MX_I32, 1)) : NULL;
  mx_array *x0 = mx_take_axis(s, xp, i, 0), *x1 = mx_take_axis(s, xp, j, 0);
  mx_array *f0 = mx_take_axis(s, fp, i, 0), *f1 = mx_take_axis(s, fp, j, 0);
  mx_array *gap = x0 && x1 ? mx_subtract(s, x1, x0) : NULL;
  if (!gap || !f0 || !f1) return NULL;
  gap = mx_where(s, mx_equal(s, gap, mx_const_like(s, gap, 0)), mx_const_like(s, gap, 1), gap);
  mx_array *same = mx_equal(s, f0, f1); /* infinite alike: no slope */
  mx_array *rise = mx_where(s, same, mx_const_like(s, f0, 0), mx_subtract(s, f1, f0));
  mx_array *r = mx_add(s, f0, mx_multiply(s, mx_divide(s, rise, gap), mx_subtract(s, x, x0)));
  return mx_where(s, mx_equal(s, x, x0), f0, r);
}

static int check_samples(const mx_array *x, const mx_array *xp, const mx_array *fp) {
  if (xp->ndim != 1 || fp->ndim != 1 || xp->shape[0] != fp->shape[0])
    return mx_fail(MX_EVALUE, "[interp] xp and fp must be vectors of one length, got shapes %s and %s.", mx_shape_of(xp),
                   mx_shape_of(fp));
  if (xp->shape[0] == 0) return mx_fail(MX_EVALUE, "[interp] There are no samples.");
  if (mx_is_complex(x->dtype) || mx_is_complex(xp->dtype))
    return mx_fail(MX_EVALUE, "[interp] x and xp must be real, got %s and %s.", mx_dtype_name(x->dtype), mx_dtype_name(xp->dtype));
  return 0;
}

mx_array *mx_interp(mx_scope *s, mx_array *x, mx_array *xp, mx_array *fp, mx_array *left, mx_array *right, mx_array *period) {
  if (!x || !xp || !fp) return NULL;
  int rc = check_samples(x, xp, fp);
  if (rc) return mx_scope_error(s, rc);
  mx_dtype places = mx_promote(x->dtype, xp->dtype), t = mx_at_least_float(mx_promote(places, fp->dtype));
  x = mx_wide(s, mx_astype(s, x, places));
  xp = mx_wide(s, mx_astype(s, xp, places));
  fp = mx_wide(s, mx_astype(s, fp, t));
  if (!x || !xp || !fp) return NULL;
  if (period) unroll(s, &x, &xp, &fp, period), left = right = NULL;
  if (s->rc) return NULL;
  int n = xp->shape[0];
  mx_array *first = element(s, xp, 0), *last = element(s, xp, n - 1), *f_last = element(s, fp, n - 1);
  mx_array *f_first = element(s, fp, 0);
  if (!first || !last || !f_first || !f_last) return NULL;
  left = left ? mx_astype(s, left, fp->dtype) : f_first;
  right = right ? mx_astype(s, right, fp->dtype) : f_last;
  mx_array *r = n == 1 ? f_first : between(s, x, xp, fp, n);
  if (!r || !left || !right) return NULL;
  r = mx_where(s, mx_greater_equal(s, x, last), f_last, r);
  r = mx_where(s, mx_greater(s, x, last), right, r);
  r = mx_where(s, mx_less(s, x, first), left, r);
  r = mx_where(s, mx_isnan(s, x), mx_const_like(s, fp, __builtin_nan("")), r);
  return mx_astype(s, r, t);
}

/* ---- integral ---- */

/* A vector along `axis` of ndim. */
static mx_array *along(mx_scope *s, mx_array *v, int axis, int ndim) {
  int shape[MX_MAX_NDIM];
  if (!v) return NULL;
  for (int i = 0; i < ndim; i++) shape[i] = i == axis ? v->shape[0] : 1;
  return mx_reshape(s, v, shape, ndim);
}

mx_array *mx_trapezoid(mx_scope *s, mx_array *y, mx_array *x, double dx, int axis) {
  if (!y) return NULL;
  int ax, rc = mx_norm_axis("trapezoid", axis, y->ndim, &ax);
  if (rc) return mx_scope_error(s, rc);
  mx_dtype t = mx_at_least_float(x ? mx_promote(y->dtype, x->dtype) : y->dtype);
  int n = y->shape[ax];
  if (x && x->ndim == 1 ? x->shape[0] != n : x && !mx_same_shape(x, y))
    return mx_scope_fail(s, MX_EVALUE, "[trapezoid] x of shape %s is neither a vector of length %d nor of the shape %s of y.",
                         mx_shape_of(x), n, mx_shape_of(y));
  mx_array *f = mx_wide(s, mx_astype(s, y, t));
  int stop = n ? n : 1; /* of nothing and of one sample the integral is 0 */
  mx_array *sum = n ? mx_add(s, mx_slice_axis(s, f, ax, 1, stop), mx_slice_axis(s, f, ax, 0, stop - 1)) : f;
  if (!x) return mx_astype(s, mx_mul_k(s, mx_sum_axis(s, sum, ax, false), dx / 2), t);
  mx_array *at = mx_astype(s, x, f ? (mx_dtype)f->dtype : MX_F32), *d = at;
  if (n) d = mx_diff(s, at, 1, x->ndim == 1 ? 0 : ax);
  if (x->ndim == 1) d = along(s, d, ax, y->ndim);
  return d && sum ? mx_astype(s, mx_mul_k(s, mx_sum_axis(s, mx_multiply(s, d, sum), ax, false), 0.5), t) : NULL;
}

/* ---- derivative ---- */

/* c[0] f[at : at + count] + c[1] f[at + 1 : ...] + ... along the axis; a NULL coefficient is 0. */
static mx_array *stencil(mx_scope *s, mx_array *f, int axis, int at, int count, int n, mx_array *const *c) {
  mx_array *r = NULL;
  for (int i = 0; i < n && !s->rc; i++) {
    if (!c[i]) continue;
    mx_array *v = c[i]->ndim ? along(s, c[i], axis, f->ndim) : c[i];
    mx_array *term = mx_multiply(s, mx_slice_axis(s, f, axis, at + i, at + i + count), v);
    r = r ? mx_add(s, r, term) : term;
  }
  return s->rc ? NULL : r;
}

#define NEGATED(a)   mx_negative(s, a)
#define OVER(a, b)   mx_divide(s, a, b)
#define TIMES(a, b)  mx_multiply(s, a, b)
#define PLUS(a, b)   mx_add(s, a, b)
#define MINUS(a, b)  mx_subtract(s, a, b)
#define DOUBLED(a)   mx_mul_k(s, a, 2)

/* Coefficients of three samples, p and q apart, for the derivative at the middle one, the first and the last. */
static void at_middle(mx_scope *s, mx_array *p, mx_array *q, mx_array *c[3]) {
  mx_array *both = PLUS(p, q);
  if (!both) return;
  c[0] = NEGATED(OVER(q, TIMES(p, both)));
  c[1] = OVER(MINUS(q, p), TIMES(p, q));
  c[2] = OVER(p, TIMES(q, both));
}
static void at_first(mx_scope *s, mx_array *p, mx_array *q, mx_array *c[3]) {
  mx_array *both = PLUS(p, q);
  if (!both) return;
  c[0] = NEGATED(OVER(PLUS(both, p), TIMES(p, both)));
  c[1] = OVER(both, TIMES(p, q));
  c[2] = NEGATED(OVER(p, TIMES(q, both)));
}
static void at_last(mx_scope *s, mx_array *p, mx_array *q, mx_array *c[3]) {
  mx_array *mirrored[3] = {NULL};
  at_first(s, q, p, mirrored);
  for (int i = 0; i < 3; i++) c[i] = mirrored[2 - i] ? NEGATED(mirrored[2 - i]) : NULL;
}

/* The distance of samples i and i + 1: h (0-d), or element i of the distances. */
static mx_array *gap(mx_scope *s, mx_array *h, int i) { return h->ndim ? mx_slice_axis(s, h, 0, i, i + 1) : h; }

static mx_array *derivative(mx_scope *s, mx_array *f, mx_array *h, int axis, int order) {
  int n = f->shape[axis];
  mx_array *part[3] = {NULL}, *c[3] = {NULL};
  if (n > 2) {
    if (h->ndim) at_middle(s, mx_slice_axis(s, h, 0, 0, n - 2), mx_slice_axis(s, h, 0, 1, n - 1), c);
    else {
      c[2] = mx_reciprocal(s, DOUBLED(h));
      c[0] = c[2] ? NEGATED(c[2]) : NULL;
    }
    part[1] = stencil(s, f, axis, 0, n - 2, 3, c);
  }
  for (int end = 0; end < 2; end++) {
    mx_array *near = gap(s, h, end ? n - 2 : 0);
    if (!near) return NULL;
    if (order == 1) {
      c[1] = mx_reciprocal(s, near);
      c[0] = c[1] ? NEGATED(c[1]) : NULL;
    } else if (end) at_last(s, gap(s, h, n - 3), near, c);
    else at_first(s, near, gap(s, h, 1), c);
    part[2 * end] = stencil(s, f, axis, end ? n - order - 1 : 0, 1, order + 1, c);
  }
  if (s->rc) return NULL;
  if (!part[1]) return mx_concatenate_axis(s, 2, (mx_array *[]){part[0], part[2]}, axis);
  return mx_concatenate_axis(s, 3, part, axis);
}

int mx_gradient(mx_scope *s, mx_list *out, mx_array *f, int nspacing, mx_array *const *spacing, const int *axes, size_t naxes,
                int edge_order) {
  if (!f) return s->rc;
  int ax[MX_MAX_NDIM], rc = 0;
  if (naxes == 0)
    for (naxes = 0; naxes < f->ndim; naxes++) ax[naxes] = (int)naxes;
  else
    rc = naxes > MX_MAX_NDIM ? mx_fail(MX_EVALUE, "[gradient] Too many axes: %zu.", naxes)
                             : mx_norm_axes("gradient", axes, naxes, f->ndim, ax);
  if (!rc && edge_order != 1 && edge_order != 2)
    rc = mx_fail(MX_EVALUE, "[gradient] edge_order must be 1 or 2, got %d.", edge_order);
  if (!rc && nspacing > 1 && (size_t)nspacing != naxes)
    rc = mx_fail(MX_EVALUE, "[gradient] %d spacings for %zu axes.", nspacing, naxes);
  if (rc) return mx_scope_error(s, rc), rc;
  mx_dtype t = mx_at_least_float(f->dtype);
  f = mx_wide(s, f);
  for (size_t i = 0; i < naxes && !s->rc; i++) {
    mx_array *h = nspacing ? mx_astype(s, spacing[nspacing > 1 ? i : 0], f->dtype) : mx_const_like(s, f, 1);
    int n = f->shape[ax[i]];
    if (n < edge_order + 1)
      return mx_scope_fail(s, MX_EVALUE, "[gradient] Axis %d has %d elements; edge_order %d needs %d.", ax[i], n, edge_order,
                           edge_order + 1), s->rc;
    if (h && (h->ndim > 1 || (h->ndim == 1 && h->shape[0] != n)))
      return mx_scope_fail(s, MX_EVALUE, "[gradient] The spacing of axis %d is a number or %d coordinates, not of shape %s.", ax[i],
                           n, mx_shape_of(h)), s->rc;
    if (h && h->ndim) h = mx_diff(s, h, 1, 0);
    mx_array *d = h ? mx_astype(s, derivative(s, f, h, ax[i], edge_order), t) : NULL;
    if (d && mx_list_push(out, d)) mx_scope_error(s, MX_EMEMORY);
  }
  return s->rc;
}
