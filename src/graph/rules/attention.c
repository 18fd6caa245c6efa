/* attention and its gradient. What no kernel computes, the gradients of masks and sinks and second gradients, is written out here:
 * with P the weights, g the cotangent and o = P v, dP = g v^T, r = the row sums of P dP (those of o g), dS = P (dP - r):
 * dq = scale dS k, dk = scale dS^T q, dv = P^T g, dmask = dS. Heads that share keys are joined to rows. */
#include "graph/functions.h"
#include "graph/rules/help.h"

enum { Q, K, V, MASK };

typedef struct parts {
  mx_array *q, *k, *v, *g; /* in f32, joined */
  mx_array *weights, *keep; /* keep: the boolean mask, joined; NULL: all */
  mx_array *dp, *rows, *ds;
  double scale;
} parts;

static mx_array *wide(mx_scope *s, mx_array *x) { return x ? mx_astype(s, x, MX_F32) : NULL; }
static mx_array *flip(mx_scope *s, mx_array *x) { return x ? mx_swapaxes(s, x, -1, -2) : NULL; }
static mx_array *row_sums(mx_scope *s, mx_array *x) { return x ? mx_sum_axis(s, x, -1, true) : NULL; }
static mx_array *plus(mx_scope *s, mx_array *x, mx_array *y) { return x && y ? mx_add(s, x, y) : x ? x : y; }
static mx_array *times(mx_scope *s, mx_array *x, mx_array *y) { return x && y ? mx_multiply(s, x, y) : NULL; }
static mx_array *product(mx_scope *s, mx_array *x, mx_array *y) { return x && y ? mx_matmul(s, x, y) : NULL; }
static mx_array *scaled(mx_scope *s, double k, mx_array *x) { return x ? mx_mul_k(s, x, k) : NULL; }

/* (B, N, T, X) as (B, M, N / M * T, X). */
static mx_array *joined(mx_scope *s, const mx_array *n, mx_array *x) {
  const int *q = n->in[Q]->shape, m = n->in[K]->shape[1];
  return x ? mx_reshape(s, x, (int[]){q[0], m, q[1] / m * q[2], x->shape[3]}, 4) : NULL;
}
/* As input i, of its dtype. */
static mx_array *as_input(mx_scope *s, const mx_array *n, int i, mx_array *x) {
  return x ? mx_astype(s, mx_reshape_like(s, x, n->in[i]), n->in[i]->dtype) : NULL;
}
static mx_array *kept(mx_scope *s, const parts *p, mx_array *x) { return x && p->keep ? mx_multiply(s, x, p->keep) : x; }

static void find_parts(mx_scope *s, const mx_array *n, mx_array *cot, parts *p) {
  mx_array *mask = n->p[2] ? n->in[MASK] : NULL, *sinks = n->p[3] ? n->in[MASK + (mask != NULL)] : NULL;
  p->scale = mx_unbits(n->p[0]);
  p->k = wide(s, n->in[K]), p->v = wide(s, n->in[V]);
  p->weights = mx_attention_weights(s, wide(s, n->in[Q]), p->k, p->scale, n->p[1] != 0, mask, sinks ? wide(s, sinks) : NULL);
  p->q = joined(s, n, wide(s, n->in[Q])), p->g = joined(s, n, wide(s, cot));
  p->keep = mask && mask->dtype == MX_BOOL ? wide(s, joined(s, n, mask)) : NULL;
  p->dp = product(s, p->g, flip(s, p->v));
  p->rows = row_sums(s, times(s, p->weights, p->dp));
  p->ds = p->dp && p->rows ? kept(s, p, times(s, p->weights, mx_subtract(s, p->dp, p->rows))) : NULL;
}

static int written_out(mx_scope *s, const mx_array *n, mx_array *cot, const bool *want, mx_array **res) {
  parts p;
  int at = MASK;
  find_parts(s, n, cot, &p);
  if (want[Q]) res[Q] = scaled(s, p.scale, product(s, p.ds, p.k));
  if (want[K]) res[K] = scaled(s, p.scale, product(s, flip(s, p.ds), p.q));
  if (want[V]) res[V] = product(s, flip(s, p.weights), p.g);
  if (n->p[2] && want[at++] && !p.keep) res[MASK] = p.ds;
  if (n->p[3] && want[at] && p.weights && p.rows) { /* a sink's weight is what the others leave of 1, its value is zero */
    mx_array *left = mx_subtract(s, mx_const_like(s, p.rows, 1), row_sums(s, p.weights));
    mx_array *each = mx_reshape(s, times(s, left, p.rows), n->in[Q]->shape, 3);
    res[at] = each ? scaled(s, -1, mx_sum_axis(s, each, -1, false)) : NULL;
  }
  for (int i = 0; i < n->nin; i++) res[i] = as_input(s, n, i, res[i]);
  return s->rc;
}

int vjp_attention(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  if (!cot[0]) return s->rc;
  bool added = n->p[2] && n->in[MASK]->dtype != MX_BOOL && want[MASK];
  if (n->p[3] || added) return written_out(s, n, cot[0], want, res);
  mx_array *in[7] = {n->in[Q], n->in[K], n->in[V]}, *grad[3];
  int k = 3;
  if (n->p[2]) in[k++] = n->in[MASK];
  in[k++] = out[1];
  in[k] = row_sums(s, times(s, wide(s, out[0]), wide(s, cot[0])));
  in[k] = in[k] ? mx_squeeze_axis(s, in[k], -1) : NULL;
  in[++k] = cot[0];
  if (s->rc || mx_node_multi(s, OP_attention_vjp, k + 1, in, n->np, n->p, NULL, 3, grad)) return s->rc;
  for (int i = 0; i < 3; i++)
    if (want[i]) res[i] = grad[i];
  return s->rc;
}

/* The reverse of the formulas above, from cotangents a of dq, b of dk, c of dv. The second result of attention and the row sums count as
 * functions of the other inputs, not as inputs. */
int vjp_attention_vjp(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out;
  int last = n->nin - 1;
  parts p;
  find_parts(s, n, n->in[last], &p);
  mx_array *a = joined(s, n, wide(s, cot[0])), *b = wide(s, cot[1]), *c = wide(s, cot[2]);
  mx_array *ds = scaled(s, p.scale, plus(s, product(s, a, flip(s, p.k)), product(s, p.q, flip(s, b))));
  mx_array *dq = scaled(s, p.scale, product(s, p.ds, b)), *dk = scaled(s, p.scale, product(s, flip(s, p.ds), a));
  mx_array *weights = product(s, p.g, flip(s, c)), *dg = product(s, p.weights, c), *dv = NULL, *scores;
  ds = kept(s, &p, ds);
  if (ds && p.rows) {
    mx_array *rows = scaled(s, -1, row_sums(s, times(s, ds, p.weights)));
    mx_array *dp = times(s, p.weights, plus(s, ds, rows));
    weights = plus(s, weights, plus(s, times(s, ds, mx_subtract(s, p.dp, p.rows)), times(s, rows, p.dp)));
    dg = plus(s, dg, product(s, dp, p.v));
    dv = product(s, flip(s, dp), p.g);
  }
  scores = weights ? kept(s, &p, times(s, p.weights, mx_subtract(s, weights, row_sums(s, times(s, p.weights, weights))))) : NULL;
  dq = plus(s, dq, scaled(s, p.scale, product(s, scores, p.k)));
  dk = plus(s, dk, scaled(s, p.scale, product(s, flip(s, scores), p.q)));
  mx_array *all[4] = {dq, dk, dv, n->p[2] && !p.keep ? scores : NULL};
  for (int i = 0; i < (n->p[2] ? 4 : 3); i++)
    if (want[i]) res[i] = as_input(s, n, i, all[i]);
  if (want[last]) res[last] = as_input(s, n, last, dg);
  return s->rc;
}

/* ---- shapes ---- */

static int wrong(int op, const char *what, const mx_array *x) {
  return mx_fail(MX_EVALUE, "[%s] %s does not fit: shape %s, dtype %s.", mx_ops[op].name, what, mx_shape_of(x), mx_dtype_name(x->dtype));
}
static bool is(const mx_array *x, mx_dtype t, int ndim, const int *shape) {
  return x->dtype == t && x->ndim == ndim && !memcmp(x->shape, shape, (size_t)ndim * sizeof *shape);
}

/* The inputs that both have; *n: how many. */
static int check(int op, int nin, mx_array *const *in, int np, const int64_t *p, int *n) {
  NEED(op, np, 4);
  *n = 3 + (p[2] != 0) + (p[3] != 0);
  if (nin < *n) return mx_fail(MX_EVALUE, "[%s] %d inputs, but %d are needed.", mx_ops[op].name, nin, *n);
  for (int i = 0; i < 3; i++)
    if (in[i]->ndim != 4 || in[i]->dtype != in[0]->dtype || !mx_is_float(in[i]->dtype) || in[i]->dtype == MX_F64)
      return wrong(op, "An input", in[i]);
  const int *q = in[Q]->shape, *k = in[K]->shape, *v = in[V]->shape, full[4] = {q[0], q[1], q[2], k[2]};
  if (k[0] != q[0] || k[1] < 1 || q[1] % k[1] || k[3] != q[3] || k[2] < 1 || (p[1] && q[2] > k[2])) return wrong(op, "The keys", in[K]);
  if (memcmp(v, k, 3 * sizeof *v)) return wrong(op, "The values", in[V]);
  if (p[2] && !is(in[MASK], MX_BOOL, 4, full) && !is(in[MASK], in[0]->dtype, 4, full)) return wrong(op, "The mask", in[MASK]);
  if (p[3] && !is(in[*n - 1], in[0]->dtype, 2, q)) return wrong(op, "The sinks", in[*n - 1]);
  return 0;
}

int infer_attention(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  int n, rc = check(op, nin, in, np, p, &n);
  (void)nout;
  if (rc) return rc;
  if (nin != n) return mx_fail(MX_EVALUE, "[%s] %d inputs, expected %d.", mx_ops[op].name, nin, n);
  mx_aval_of(&out[0], in[Q]);
  out[0].shape[3] = in[V]->shape[3];
  mx_aval_of(&out[1], in[Q]);
  out[1].ndim = 3, out[1].dtype = MX_F32;
  return 0;
}

int infer_attention_vjp(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  int n, rc = check(op, nin, in, np, p, &n);
  (void)nout;
  if (rc) return rc;
  if (nin != n + 3 || p[3]) return mx_fail(MX_EVALUE, "[%s] %d inputs, expected %d, without sinks.", mx_ops[op].name, nin, n + 3);
  const int *q = in[Q]->shape, result[4] = {q[0], q[1], q[2], in[V]->shape[3]};
  for (int i = n; i < n + 2; i++)
    if (!is(in[i], MX_F32, 3, q)) return wrong(op, "A row's number", in[i]);
  if (!is(in[n + 2], in[Q]->dtype, 4, result)) return wrong(op, "The cotangent", in[n + 2]);
  for (int i = 0; i < 3; i++) mx_aval_of(&out[i], in[i]);
  return 0;
}

/* The added axis joins that of the batch. */
int vmap_attention(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  mx_array *flat[8];
  int size = mx_batch_size(n, in, ax), shape[MX_MAX_NDIM], nout = n->op == OP_attention ? 2 : 3;
  for (int i = 0; i < n->nin; i++) {
    mx_array *x = mx_full_front(s, in[i], ax[i], size);
    if (!x) return s->rc;
    if ((int64_t)size * x->shape[1] > MX_MAX_DIM) return mx_scope_error(s, mx_fail_dim(mx_ops[n->op].name, (int64_t)size * x->shape[1])), s->rc;
    shape[0] = size * x->shape[1];
    for (int d = 2; d < x->ndim; d++) shape[d - 1] = x->shape[d];
    flat[i] = mx_reshape(s, x, shape, (size_t)x->ndim - 1);
  }
  if (s->rc || mx_node_multi(s, n->op, n->nin, flat, n->np, n->p, NULL, nout, res)) return s->rc;
  for (int i = 0; i < nout; i++) {
    res[i] = mx_unflatten(s, res[i], 0, (int[]){size, n->in[Q]->shape[0]}, 2);
    res_ax[i] = 0;
  }
  return s->rc;
}
