/* associative_scan, of ordinary operations: neighbours are combined, the pairs' prefixes found in the same way, and from them those of the odd
 * elements; so f is called twice for each halving of the length, on whole arrays (Ladner and Fischer, 1980). */
#include <string.h>

#include "transforms/body.h"
#include "transforms/control.h"

typedef struct scanning {
  mx_scope s;
  mx_closure *f;
  int n, axis;
} scanning;

/* Every step-th slice from start to stop along the axis. */
static mx_array *part(scanning *c, mx_array *a, int start, int stop, int step) {
  int from[MX_MAX_NDIM], to[MX_MAX_NDIM], by[MX_MAX_NDIM];
  if (!a) return NULL;
  for (int d = 0; d < a->ndim; d++) from[d] = 0, to[d] = a->shape[d], by[d] = 1;
  from[c->axis] = start;
  to[c->axis] = stop;
  by[c->axis] = step;
  mx_shape_used = true;
  return mx_slice(&c->s, a, from, (size_t)a->ndim, to, (size_t)a->ndim, by, (size_t)a->ndim);
}

/* res[i] = f(a..., b...), owned by the scope. */
static int combine(scanning *c, mx_array *const *a, mx_array *const *b, mx_array **res) {
  mx_array **in = mx_slots_new(2 * c->n);
  mx_list out = {0};
  if (!in) return MX_EMEMORY;
  memcpy(in, a, (size_t)c->n * sizeof *in);
  memcpy(in + c->n, b, (size_t)c->n * sizeof *in);
  int rc = c->s.rc ? c->s.rc : mx_closure_call(c->f, 2 * c->n, in, &out);
  if (!rc && out.n != c->n) rc = mx_fail(MX_EVALUE, "[associative_scan] The function gave %d arrays, expected %d.", out.n, c->n);
  for (int i = 0; i < c->n && !rc; i++) {
    if (!(rc = mx_check_same("associative_scan", "Result", i, out.at[i], a[i]))) res[i] = mx_own(&c->s, mx_retain(out.at[i]));
  }
  mx_list_clear(&out);
  mx_free(in);
  return rc ? rc : c->s.rc;
}

/* even[0] odd[0] even[1] ...; even is as long as odd, or longer by one. */
static mx_array *interleave(scanning *c, mx_array *even, mx_array *odd) {
  int n = odd->shape[c->axis], rest = even->shape[c->axis] - n, shape[MX_MAX_NDIM];
  for (int d = 0; d < odd->ndim; d++) shape[d] = odd->shape[d] * (d == c->axis ? 2 : 1);
  mx_array *head = rest ? part(c, even, 0, n, 1) : even;
  mx_array *both = mx_reshape(&c->s, mx_stack_axis(&c->s, 2, (mx_array *[]){head, odd}, c->axis + 1), shape, (size_t)odd->ndim);
  return rest ? mx_concatenate_axis(&c->s, 2, (mx_array *[]){both, part(c, even, n, n + 1, 1)}, c->axis) : both;
}

/* One call a halving. */
static int prefixes(scanning *c, mx_array *const *x, mx_array **res) {
  int len = x[0]->shape[c->axis], n = c->n;
  if (len < 2) {
    memcpy(res, x, (size_t)n * sizeof *res);
    return 0;
  }
  mx_array **a = mx_slots_new(4 * n);
  if (!a) return MX_EMEMORY;
  mx_array **b = a + n, **pairs = b + n, **odd = pairs + n;
  for (int i = 0; i < n; i++) {
    a[i] = part(c, x[i], 0, len - 1, 2);
    b[i] = part(c, x[i], 1, len, 2);
  }
  int rc = combine(c, a, b, pairs);
  if (!rc) rc = prefixes(c, pairs, odd);
  int later = (len - 1) / 2; /* even elements after the first */
  for (int i = 0; i < n && !rc && later; i++) {
    a[i] = part(c, odd[i], 0, later, 1);
    b[i] = part(c, x[i], 2, len, 2);
  }
  if (!rc && later) rc = combine(c, a, b, pairs);
  for (int i = 0; i < n && !rc; i++) {
    mx_array *first = part(c, x[i], 0, 1, 1);
    mx_array *even = later ? mx_concatenate_axis(&c->s, 2, (mx_array *[]){first, pairs[i]}, c->axis) : first;
    res[i] = even && odd[i] ? interleave(c, even, odd[i]) : NULL;
    rc = c->s.rc;
  }
  mx_free(a);
  return rc;
}

static int check(int n, mx_array *const *xs, int axis, int *at) {
  if (!n) return mx_fail(MX_EVALUE, "[associative_scan] No arrays were given.");
  for (int i = 0; i < n; i++) {
    int own, rc = mx_norm_axis("associative_scan", axis, xs[i]->ndim, &own);
    if (rc) return rc;
    if (!i) *at = own;
    if (own != *at || xs[i]->shape[own] != xs[0]->shape[own])
      return mx_fail(MX_EVALUE, "[associative_scan] Array %d of shape %s does not go with the first of shape %s along axis %d.", i,
                     mx_shape_of(xs[i]), mx_shape_of(xs[0]), axis);
  }
  return 0;
}

int mx_associative_scan(mx_closure *f, int n, mx_array *const *xs, bool reverse, int axis, mx_list *res) {
  scanning c = {.f = f, .n = n};
  int rc = check(n, xs, axis, &c.axis);
  if (rc) return rc;
  mx_scope_begin(&c.s, mx_default_stream());
  mx_array **x = mx_slots_new(2 * n), **y = mx_slots_from(x, n);
  if (!x) rc = MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++) {
    x[i] = reverse ? mx_flip(&c.s, xs[i], &c.axis, 1) : xs[i];
    rc = c.s.rc;
  }
  if (!rc) rc = prefixes(&c, x, y);
  for (int i = 0; i < n && !rc; i++) {
    mx_array *a = reverse ? mx_flip(&c.s, y[i], &c.axis, 1) : y[i];
    rc = a ? mx_list_push(res, a) : c.s.rc;
  }
  mx_free(x);
  int end = mx_scope_end(&c.s);
  return rc ? rc : end;
}
