/* The gated recurrent unit over inputs (L, D) or (N, L, D): one product a step. Its gradient is a rule of its own, back through the steps
 * (recurrent.h). Its primals are x, wh and, if given, hidden and bhn. */
#include "nn/recurrent.h"

/* Hidden state; what goes into the reset and the update gate (..., 2H); the hidden side of the new state, which may be NULL. */
enum { HIDDEN, GATES, SIDE };

/* One step: gates and fresh are x @ Wx.T + b at it, (..., 2H) and (..., H); w is Wh.T. */
static void gru_step(mx_scope *s, mx_array *res[3], mx_array *gates, mx_array *fresh, mx_array *w, mx_array *bhn, mx_array *hidden) {
  if (!gates || !fresh || !w) return;
  int h = w->shape[0];
  mx_array *h_new = bhn;
  if (hidden) {
    mx_array *product = mx_matmul(s, hidden, w);
    gates = mx_add(s, gates, mx_rnn_columns(s, product, 0, 2 * h));
    h_new = mx_rnn_columns(s, product, 2 * h, 3 * h);
    if (bhn) h_new = mx_add(s, h_new, bhn);
  }
  res[GATES] = gates;
  res[SIDE] = h_new;
  gates = mx_sigmoid(s, gates);
  mx_array *r = mx_rnn_columns(s, gates, 0, h), *z = mx_rnn_columns(s, gates, h, 2 * h);
  if (h_new) fresh = mx_add(s, fresh, mx_multiply(s, r, h_new));
  fresh = mx_tanh(s, fresh);
  mx_array *y = mx_multiply(s, mx_subtract(s, mx_weak_int(s, z, 1), z), fresh);
  res[HIDDEN] = hidden ? mx_add(s, y, mx_multiply(s, z, hidden)) : y;
}

mx_array *mx_nn_gru_step(mx_scope *s, mx_array *now, mx_array *wh, mx_array *bhn, mx_array *hidden) {
  if (!now || !wh || !mx_rnn_step_fits(s, "gru_step", now, wh, 3)) return NULL;
  int h = wh->shape[1];
  mx_array *made[3] = {NULL};
  gru_step(s, made, mx_rnn_columns(s, now, 0, 2 * h), mx_rnn_columns(s, now, 2 * h, 3 * h), mx_transpose(s, wh), bhn, hidden);
  return made[HIDDEN];
}

/* All steps: what each gives, joined, for the first n of hidden states, gates and sides. */
static int forward(mx_scope *s, int n, mx_array **res, mx_array *x, mx_array *wh, mx_array *bhn, mx_array *hidden) {
  int h = wh->shape[1];
  mx_array *w = mx_transpose(s, wh), *gates = mx_rnn_columns(s, x, 0, 2 * h), *fresh = mx_rnn_columns(s, x, 2 * h, 3 * h);
  mx_list made[3] = {{0}};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_array *now[3] = {NULL};
    mx_scope_begin(&step, s->stream);
    gru_step(&step, now, mx_rnn_at(&step, gates, t), mx_rnn_at(&step, fresh, t), w, bhn, hidden);
    if (n > SIDE && now[HIDDEN]) { /* of one shape at every step */
      mx_array *side = now[SIDE] ? now[SIDE] : mx_scalar(&step, (mx_dtype)x->dtype, 0);
      now[SIDE] = side ? mx_broadcast_to(&step, side, now[HIDDEN]->shape, now[HIDDEN]->ndim) : NULL;
    }
    for (int k = 0; k < n && !rc; k++) rc = mx_rnn_keep(&step, &made[k], now[k]);
    hidden = mx_rnn_last(&made[HIDDEN]);
    mx_scope_end(&step);
  }
  for (int k = 0; k < n; k++) res[k] = mx_rnn_joined(s, &made[k], rc);
  return s->rc;
}

/* ---- the gradient ---- */

/* y * (1 - y): the derivative of the sigmoid that gave y. */
static mx_array *slope(mx_scope *s, mx_array *y) { return mx_subtract(s, y, mx_square(s, y)); }

/* One step back, from the cotangent dh of its hidden state: res[0] is that of x, res[1] of the product h Wh.T and so of bhn, res[2] the
 * part for the hidden state before, which may be NULL, that does not go through the product. cot: of gates and side themselves. */
static void step_back(mx_scope *s, mx_array *res[3], mx_array *gates, mx_array *side, mx_array *fresh, mx_array *before, mx_array *dh,
                      mx_array *const cot[2], int h) {
  mx_array *r = mx_sigmoid(s, mx_rnn_columns(s, gates, 0, h)), *z = mx_sigmoid(s, mx_rnn_columns(s, gates, h, 2 * h));
  mx_array *n = mx_tanh(s, mx_add(s, fresh, mx_multiply(s, r, side))), *one = mx_weak_int(s, z, 1);
  mx_array *dn = mx_multiply(s, mx_multiply(s, dh, mx_subtract(s, one, z)), mx_subtract(s, one, mx_square(s, n)));
  mx_array *dz = mx_multiply(s, mx_multiply(s, dh, before ? mx_subtract(s, before, n) : mx_negative(s, n)), slope(s, z));
  mx_array *dr = mx_multiply(s, mx_multiply(s, dn, side), slope(s, r));
  mx_array *both[2] = {dr, dz};
  if (s->rc) return;
  mx_array *d_gates = mx_add(s, mx_concatenate_axis(s, 2, both, -1), cot[0]), *d_side = mx_add(s, mx_multiply(s, dn, r), cot[1]);
  if (s->rc) return;
  res[0] = mx_concatenate_axis(s, 2, (mx_array *[]){d_gates, dn}, -1);
  res[1] = mx_concatenate_axis(s, 2, (mx_array *[]){d_gates, d_side}, -1);
  res[2] = mx_multiply(s, dh, z);
}

/* Back through all steps: cotangents of x and of the products, last step first, and that of the hidden state before the first. */
static int backward(const mx_rnn_given *g, mx_array *const *primals, mx_array *const *out, mx_array *const *cot, mx_list *dx, mx_list *dp,
                    mx_array **dh) {
  mx_array *x = primals[0], *w = primals[1], *first = g->hidden ? primals[2] : NULL;
  int h = w->shape[1], rc = 0;
  for (int t = x->shape[x->ndim - 2] - 1; t >= 0 && !rc; t--) {
    mx_scope s;
    mx_array *res[3] = {NULL};
    mx_scope_begin(&s, g->stream);
    mx_array *d = mx_rnn_at(&s, cot[HIDDEN], t), *fresh = mx_rnn_columns(&s, mx_rnn_at(&s, x, t), 2 * h, 3 * h);
    if (*dh) d = mx_add(&s, d, *dh);
    mx_array *own[2] = {mx_rnn_at(&s, cot[GATES], t), mx_rnn_at(&s, cot[SIDE], t)}; /* not zero when this rule is differentiated */
    step_back(&s, res, mx_rnn_at(&s, out[GATES], t), mx_rnn_at(&s, out[SIDE], t), fresh, t ? mx_rnn_at(&s, out[HIDDEN], t - 1) : first, d,
              own, h);
    rc = mx_rnn_keep(&s, dx, res[0]);
    if (!rc) rc = mx_rnn_keep(&s, dp, res[1]);
    mx_array *back = !rc && (t || first) ? mx_add(&s, res[2], mx_matmul(&s, res[1], w)) : NULL;
    if (!s.rc) mx_rnn_carry(dh, back);
    int ended = mx_scope_end(&s);
    if (!rc) rc = ended;
  }
  return rc;
}

/* The bias of the hidden side: the sum of its cotangents, the last third of dp, over all steps and batches. */
static mx_array *bias_gradient(mx_scope *s, mx_array *dp, int h) {
  mx_array *side = mx_rnn_columns(s, dp, 2 * h, 3 * h);
  return side ? mx_sum_axis(s, mx_reshape(s, side, (int[]){-1, h}, 2), 0, false) : NULL;
}

static int gru_vjp(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *out,
                   const bool *want, mx_list *res) {
  (void)nc, (void)no;
  const mx_rnn_given *g = payload;
  mx_list dx = {0}, dp = {0};
  mx_array *dh = NULL;
  int rc = backward(g, primals, out, cot, &dx, &dp, &dh), h = primals[1]->shape[1];
  mx_rnn_turn(&dx);
  mx_rnn_turn(&dp);
  mx_scope s;
  mx_scope_begin(&s, g->stream);
  mx_array *all = mx_rnn_joined(&s, &dx, rc), *products = mx_rnn_joined(&s, &dp, rc);
  mx_array *answer[4] = {all};
  if (want[1]) answer[1] = mx_rnn_weight_gradient(&s, g->hidden ? primals[2] : NULL, out[HIDDEN], products);
  if (g->hidden) answer[2] = dh;
  if (g->other && want[2 + g->hidden]) answer[2 + g->hidden] = bias_gradient(&s, products, h);
  for (int i = 0; i < np && !rc && !s.rc; i++) rc = mx_list_push(res, want[i] ? answer[i] : NULL);
  int ended = mx_scope_end(&s);
  mx_release(dh);
  return rc ? rc : ended;
}

mx_array *mx_nn_gru(mx_scope *s, mx_array *x, mx_array *wx, mx_array *wh, mx_array *b, mx_array *bhn, mx_array *hidden) {
  x = mx_rnn_inputs(s, "gru", x, wx, wh, b, 3);
  if (!x) return NULL;
  mx_rnn_given g = {s->stream, hidden != NULL, bhn != NULL};
  mx_array *in[4] = {x, wh}, *out[3] = {NULL}, *res = NULL;
  int n = 2, h = wh->shape[1];
  if (hidden) in[n++] = hidden;
  if (bhn) in[n++] = bhn;
  bool ruled = mx_rnn_may_rule(x, wh) && mx_rnn_is_state(hidden, x, h) &&
               (!bhn || (bhn->dtype == x->dtype && bhn->ndim == 1 && bhn->shape[0] == h));
  if (!ruled || !mx_traced(n, in)) return forward(s, 1, out, x, wh, bhn, hidden) ? NULL : out[HIDDEN];
  if (forward(s, 3, out, x, wh, bhn, hidden)) return NULL;
  int rc = mx_rnn_tied(s, gru_vjp, &g, n, in, 3, out, 1, &res);
  if (rc) mx_scope_error(s, rc);
  return res;
}
