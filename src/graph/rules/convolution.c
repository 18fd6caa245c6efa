/* Convolution and its two gradients: a family closed under differentiation, as each is linear in both of its inputs.
 *
 * conv(x, w) = y; conv_grad_input(y, w) is its transpose in x, conv_grad_weight(x, y) that in w. All take conv's parameters: n,
 * stride[n] low[n] high[n] kernel_dilation[n] input_dilation[n], groups, flip; the gradients also the n sizes of what they give. */
#include "graph/rules/help.h"

#define INFER(name) int infer_##name(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out)
#define VJP(name) \
  int vjp_##name(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res)
#define VMAP(name) \
  int vmap_##name(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax)
#define UNUSED (void)nin, (void)nout

enum { MAX_SPATIAL = 8 };
#define PARAMS(n) (3 + 5 * (n))

/* ---- shapes ---- */

/* Size of the result along spatial axis i for an input of size x and a kernel of size k; negative: it does not fit. */
static int64_t out_size(const int64_t *p, int n, int i, int64_t x, int64_t k) {
  int64_t stride = p[1 + i], low = p[1 + n + i], high = p[1 + 2 * n + i], kd = p[1 + 3 * n + i], id = p[1 + 4 * n + i];
  int64_t in = x > 0 ? (x - 1) * id + 1 : 0, span = (k - 1) * kd + 1, room = in + low + high - span;
  return room < 0 ? -1 : room / stride + 1;
}

static int check_params(const char *tag, int np, const int64_t *p, int extra, int ndim_a, int ndim_b) {
  int n = np > 0 && p[0] >= 1 && p[0] <= MAX_SPATIAL ? (int)p[0] : 0;
  if (!n || np != PARAMS(n) + extra * n) return mx_fail(MX_EVALUE, "[%s] Wrong number of parameters: %d.", tag, np);
  if (ndim_a != n + 2 || ndim_b != n + 2)
    return mx_fail(MX_EVALUE, "[%s] Arrays of %d and %d dimensions for a convolution over %d.", tag, ndim_a, ndim_b, n);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < 5; k++)
      if (p[1 + k * n + i] > MX_MAX_DIM || p[1 + k * n + i] < -MX_MAX_DIM)
        return mx_fail(MX_EVALUE, "[%s] A parameter is too large.", tag);
    if (p[1 + i] < 1) return mx_fail(MX_EVALUE, "[%s] Invalid stride %lld: it must be positive.", tag, (long long)p[1 + i]);
    if (p[1 + 3 * n + i] < 1 || p[1 + 4 * n + i] < 1)
      return mx_fail(MX_EVALUE, "[%s] Invalid dilation: it must be positive.", tag);
  }
  int64_t groups = p[1 + 5 * n];
  if (groups < 1 || groups > MX_MAX_DIM)
    return mx_fail(MX_EVALUE, "[%s] Invalid number of groups %lld: it must be positive.", tag, (long long)groups);
  return 0;
}

static int check_dtypes(const char *tag, const mx_array *a, const mx_array *b) {
  if (a->dtype == b->dtype && mx_is_float(a->dtype)) return 0;
  return mx_fail(MX_EVALUE, "[%s] Only floating-point types are supported, got %s and %s.", tag, mx_dtype_name(a->dtype),
                 mx_dtype_name(b->dtype));
}

INFER(conv) {
  UNUSED, (void)op;
  const mx_array *x = in[0], *w = in[1];
  int rc = check_params("conv", np, p, 0, x->ndim, w->ndim);
  if (!rc) rc = check_dtypes("conv", x, w);
  if (rc) return rc;
  int n = (int)p[0];
  int64_t groups = p[1 + 5 * n], c = x->shape[n + 1], o = w->shape[0];
  if (c % groups || o % groups || w->shape[n + 1] != c / groups)
    return mx_fail(MX_EVALUE, "[conv] Expect the input channels in the input, %s, and the weight, %s, to match for %lld groups.",
                   mx_shape_of(x), mx_shape_of(w), (long long)groups);
  mx_aval_of(out, x);
  out->shape[n + 1] = (int32_t)o;
  for (int i = 0; i < n; i++) {
    int64_t size = out_size(p, n, i, x->shape[1 + i], w->shape[1 + i]);
    if (size < 0 || w->shape[1 + i] == 0)
      return mx_fail(MX_EVALUE,
                     "[conv] Spatial dimensions of input after padding cannot be smaller than weight spatial dimensions: input "
                     "%s, weight %s.",
                     mx_shape_of(x), mx_shape_of(w));
    if ((rc = mx_set_dim(OP_conv, out, 1 + i, size))) return rc;
  }
  return 0;
}

INFER(conv_grad_input) {
  UNUSED, (void)op;
  const char *tag = "conv_grad_input";
  const mx_array *g = in[0], *w = in[1];
  int rc = check_params(tag, np, p, 1, g->ndim, w->ndim);
  if (!rc) rc = check_dtypes(tag, g, w);
  if (rc) return rc;
  int n = (int)p[0];
  int64_t groups = p[1 + 5 * n];
  bool fits = g->shape[n + 1] == w->shape[0] && w->shape[0] % groups == 0;
  mx_aval_of(out, g);
  if ((rc = mx_set_dim(op, out, n + 1, w->shape[n + 1] * groups))) return rc;
  for (int i = 0; i < n; i++) {
    int64_t x = p[PARAMS(n) + i];
    if ((rc = mx_set_dim(op, out, 1 + i, x))) return rc;
    fits = fits && w->shape[1 + i] > 0 && out_size(p, n, i, x, w->shape[1 + i]) == g->shape[1 + i];
  }
  return fits ? 0 : mx_fail(MX_EVALUE, "[%s] Cotangent %s and weight %s do not fit.", tag, mx_shape_of(g), mx_shape_of(w));
}

INFER(conv_grad_weight) {
  UNUSED, (void)op;
  const char *tag = "conv_grad_weight";
  const mx_array *x = in[0], *g = in[1];
  int rc = check_params(tag, np, p, 1, x->ndim, g->ndim);
  if (!rc) rc = check_dtypes(tag, x, g);
  if (rc) return rc;
  int n = (int)p[0];
  int64_t groups = p[1 + 5 * n], c = x->shape[n + 1], o = g->shape[n + 1];
  bool fits = c % groups == 0 && o % groups == 0 && x->shape[0] == g->shape[0];
  mx_aval_of(out, x);
  out->shape[0] = (int32_t)o;
  out->shape[n + 1] = (int32_t)(c / groups);
  for (int i = 0; i < n; i++) {
    int64_t k = p[PARAMS(n) + i];
    if ((rc = mx_set_dim(op, out, 1 + i, k))) return rc;
    fits = fits && k > 0 && out_size(p, n, i, x->shape[1 + i], k) == g->shape[1 + i];
  }
  return fits ? 0 : mx_fail(MX_EVALUE, "[%s] Input %s and cotangent %s do not fit.", tag, mx_shape_of(x), mx_shape_of(g));
}

/* ---- gradients ---- */

static mx_array *conv(mx_scope *s, const mx_array *n, mx_array *x, mx_array *w) {
  return mx_node2(s, OP_conv, x, w, PARAMS((int)n->p[0]), n->p);
}
static mx_array *sized(mx_scope *s, const mx_array *n, mx_opcode op, mx_array *a, mx_array *b, const mx_array *like) {
  int k = (int)n->p[0];
  int64_t p[PARAMS(MAX_SPATIAL) + MAX_SPATIAL];
  memcpy(p, n->p, sizeof *p * (size_t)PARAMS(k));
  for (int i = 0; i < k; i++) p[PARAMS(k) + i] = like->shape[1 + i];
  return mx_node2(s, op, a, b, PARAMS(k) + k, p);
}
static mx_array *to_input(mx_scope *s, const mx_array *n, mx_array *g, mx_array *w, const mx_array *x) {
  return sized(s, n, OP_conv_grad_input, g, w, x);
}
static mx_array *to_weight(mx_scope *s, const mx_array *n, mx_array *x, mx_array *g, const mx_array *w) {
  return sized(s, n, OP_conv_grad_weight, x, g, w);
}

VJP(conv) {
  (void)out;
  if (want[0]) res[0] = to_input(s, n, cot[0], n->in[1], n->in[0]);
  if (want[1]) res[1] = to_weight(s, n, n->in[0], cot[0], n->in[1]);
  return s->rc;
}

VJP(conv_grad_input) { /* inputs g, w; the cotangent is like x */
  (void)out;
  if (want[0]) res[0] = conv(s, n, cot[0], n->in[1]);
  if (want[1]) res[1] = to_weight(s, n, cot[0], n->in[0], n->in[1]);
  return s->rc;
}

VJP(conv_grad_weight) { /* inputs x, g; the cotangent is like w */
  (void)out;
  if (want[0]) res[0] = to_input(s, n, n->in[1], cot[0], n->in[0]);
  if (want[1]) res[1] = conv(s, n, n->in[0], cot[0]);
  return s->rc;
}

/* ---- batching ---- */

/* (B, N, spatial..., C) -> (N, spatial..., B*C): the batch becomes more channels. */
static mx_array *into_channels(mx_scope *s, mx_array *x) {
  x = mx_moveaxis(s, x, 0, -2);
  return mx_flatten(s, x, -2, -1);
}
/* ... and back: (N, spatial..., B*C) -> (B, N, spatial..., C) */
static mx_array *out_of_channels(mx_scope *s, mx_array *x, int size) {
  return mx_moveaxis(s, mx_unflatten(s, x, -1, (int[]){size, x ? x->shape[x->ndim - 1] / size : 0}, 2), -2, 0);
}
/* (B, N, ...) <-> (B*N, ...) */
static mx_array *into_rows(mx_scope *s, mx_array *x) { return mx_flatten(s, x, 0, 1); }
static mx_array *out_of_rows(mx_scope *s, mx_array *x, int size) {
  return x ? mx_unflatten(s, x, 0, (int[]){size, x->shape[0] / size}, 2) : NULL;
}

/* Weights that differ over the batch: as many groups more, each with its own input channels. */
static int grouped(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int size = mx_batch_size(n, in, ax), k = (int)n->p[0];
  mx_array *b[2];
  for (int i = 0; i < 2; i++) {
    b[i] = mx_full_front(s, in[i], ax[i], size);
    bool weight = i == 1 && n->op != OP_conv_grad_weight;
    b[i] = weight ? into_rows(s, b[i]) : into_channels(s, b[i]);
  }
  int64_t p[PARAMS(MAX_SPATIAL) + MAX_SPATIAL];
  memcpy(p, n->p, sizeof *p * n->np);
  p[1 + 5 * k] *= size;
  mx_array *r = b[0] && b[1] ? mx_redo(s, n, b, n->np, p) : NULL;
  res[0] = n->op == OP_conv_grad_weight ? out_of_rows(s, r, size) : out_of_channels(s, r, size);
  *res_ax = 0;
  return s->rc;
}

VMAP(conv) {
  if (ax[1] >= 0) return grouped(s, n, in, ax, res, res_ax);
  mx_array *b[2] = {into_rows(s, mx_front(s, in[0], ax[0])), in[1]};
  res[0] = out_of_rows(s, mx_node_again(s, n, b), in[0]->shape[ax[0]]);
  *res_ax = 0;
  return s->rc;
}
VMAP(conv_grad_input) { return vmap_conv(s, n, in, ax, res, res_ax); }
VMAP(conv_grad_weight) { return grouped(s, n, in, ax, res, res_ax); }
