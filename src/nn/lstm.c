/* The LSTM over inputs (L, D) or (N, L, D): one product a step. Its gradient is a rule of its own, back through the steps (recurrent.h).
 * Its primals are x, wh and, if given, hidden and cell. */
#include "nn/recurrent.h"

typedef struct gates {
  mx_array *i, *f, *g, *o;
} gates;

/* z (..., 4H) is what goes into them. */
static gates gates_of(mx_scope *s, mx_array *z, int h) {
  return (gates){mx_sigmoid(s, mx_rnn_columns(s, z, 0, h)), mx_sigmoid(s, mx_rnn_columns(s, z, h, 2 * h)),
                 mx_tanh(s, mx_rnn_columns(s, z, 2 * h, 3 * h)), mx_sigmoid(s, mx_rnn_columns(s, z, 3 * h, 4 * h))};
}

enum { HIDDEN, CELL, GATES };

/* One step: now is x @ Wx.T + bias at it, (..., 4H); w is Wh.T. */
static void lstm_step(mx_scope *s, mx_array *res[3], mx_array *now, mx_array *w, mx_array *hidden, mx_array *cell) {
  mx_array *z = hidden ? mx_addmm(s, now, hidden, w, 1, 1) : now;
  if (!z || !w) return;
  gates a = gates_of(s, z, w->shape[0]);
  mx_array *fresh = mx_multiply(s, a.i, a.g);
  res[CELL] = cell ? mx_add(s, mx_multiply(s, a.f, cell), fresh) : fresh;
  res[HIDDEN] = mx_multiply(s, a.o, mx_tanh(s, res[CELL]));
  res[GATES] = z;
}

int mx_nn_lstm_step(mx_scope *s, mx_array *res[2], mx_array *now, mx_array *wh, mx_array *hidden, mx_array *cell) {
  if (!now || !wh || !mx_rnn_step_fits(s, "lstm_step", now, wh, 4)) return s->rc;
  mx_array *made[3] = {NULL};
  lstm_step(s, made, now, mx_transpose(s, wh), hidden, cell);
  res[0] = made[HIDDEN], res[1] = made[CELL];
  return s->rc;
}

/* All steps: what each gives, joined, for the first n of hidden states, cells and gates. */
static int forward(mx_scope *s, int n, mx_array **res, mx_array *x, mx_array *wh, mx_array *hidden, mx_array *cell) {
  mx_array *w = mx_transpose(s, wh);
  mx_list made[3] = {{0}};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_array *now[3] = {NULL};
    mx_scope_begin(&step, s->stream);
    lstm_step(&step, now, mx_rnn_at(&step, x, t), w, hidden, cell);
    for (int k = 0; k < n && !rc; k++) rc = mx_rnn_keep(&step, &made[k], now[k]);
    hidden = mx_rnn_last(&made[HIDDEN]);
    cell = mx_rnn_last(&made[CELL]);
    mx_scope_end(&step);
  }
  for (int k = 0; k < n; k++) res[k] = mx_rnn_joined(s, &made[k], rc);
  return s->rc;
}

/* ---- the gradient ---- */

/* y * (1 - y): the derivative of the sigmoid that gave y. */
static mx_array *slope(mx_scope *s, mx_array *y) { return mx_subtract(s, y, mx_square(s, y)); }
/* 1 - y * y: of the tanh. */
static mx_array *slope_tanh(mx_scope *s, mx_array *y) { return mx_subtract(s, mx_weak_int(s, y, 1), mx_square(s, y)); }

/* One step back: from the cotangents of its hidden state and cell those of its gates z and of the cell before, which may be NULL. */
static void step_back(mx_scope *s, mx_array *res[2], mx_array *z, mx_array *cell, mx_array *before, mx_array *dh, mx_array *dc, int h) {
  gates a = gates_of(s, z, h);
  mx_array *c = mx_tanh(s, cell);
  dc = mx_add(s, dc, mx_multiply(s, mx_multiply(s, dh, a.o), slope_tanh(s, c)));
  mx_array *d[4] = {mx_multiply(s, dc, mx_multiply(s, a.g, slope(s, a.i))),
                    before ? mx_multiply(s, dc, mx_multiply(s, before, slope(s, a.f))) : mx_zeros_like(s, dc),
                    mx_multiply(s, dc, mx_multiply(s, a.i, slope_tanh(s, a.g))), mx_multiply(s, dh, mx_multiply(s, c, slope(s, a.o)))};
  if (s->rc) return;
  res[0] = mx_concatenate_axis(s, 4, d, -1);
  res[1] = mx_multiply(s, dc, a.f);
}

/* Back through all steps: the cotangents of the gates, last step first, and those of what came before the first in *dh and *dc. */
static int backward(const mx_rnn_given *g, mx_array *const *primals, mx_array *const *out, mx_array *const *cot, mx_list *dz, mx_array **dh,
                    mx_array **dc) {
  mx_array *w = primals[1], *first = g->other ? primals[2 + g->hidden] : NULL;
  int steps = primals[0]->shape[primals[0]->ndim - 2], rc = 0;
  for (int t = steps - 1; t >= 0 && !rc; t--) {
    mx_scope s;
    mx_array *res[2] = {NULL};
    mx_scope_begin(&s, g->stream);
    mx_array *h = mx_rnn_at(&s, cot[HIDDEN], t), *c = mx_rnn_at(&s, cot[CELL], t);
    if (*dh) h = mx_add(&s, h, *dh);
    if (*dc) c = mx_add(&s, c, *dc);
    mx_array *before = t ? mx_rnn_at(&s, out[CELL], t - 1) : first;
    step_back(&s, res, mx_rnn_at(&s, out[GATES], t), mx_rnn_at(&s, out[CELL], t), before, h, c, w->shape[1]);
    res[0] = mx_add(&s, res[0], mx_rnn_at(&s, cot[GATES], t)); /* not zero when this rule is differentiated */
    rc = mx_rnn_keep(&s, dz, res[0]);
    mx_array *back = t || g->hidden ? mx_matmul(&s, res[0], w) : NULL;
    if (!s.rc) mx_rnn_carry(dh, back), mx_rnn_carry(dc, res[1]);
    int ended = mx_scope_end(&s);
    if (!rc) rc = ended;
  }
  return rc;
}

static int lstm_vjp(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *out,
                    const bool *want, mx_list *res) {
  (void)nc, (void)no;
  const mx_rnn_given *g = payload;
  mx_list dz = {0};
  mx_array *dh = NULL, *dc = NULL;
  int rc = backward(g, primals, out, cot, &dz, &dh, &dc);
  mx_rnn_turn(&dz);
  mx_scope s;
  mx_scope_begin(&s, g->stream);
  mx_array *all = mx_rnn_joined(&s, &dz, rc);
  mx_array *dw = want[1] ? mx_rnn_weight_gradient(&s, g->hidden ? primals[2] : NULL, out[HIDDEN], all) : NULL;
  mx_array *answer[4] = {all, dw};
  if (g->hidden) answer[2] = dh;
  if (g->other) answer[2 + g->hidden] = dc;
  for (int i = 0; i < np && !rc && !s.rc; i++) rc = mx_list_push(res, want[i] ? answer[i] : NULL);
  int ended = mx_scope_end(&s);
  mx_release(dh);
  mx_release(dc);
  return rc ? rc : ended;
}

int mx_nn_lstm(mx_scope *s, mx_array *res[2], mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, mx_array *hidden, mx_array *cell) {
  x = mx_rnn_inputs(s, "lstm", x, wx, wh, bias, 4);
  if (!x) return s->rc;
  mx_rnn_given g = {s->stream, hidden != NULL, cell != NULL};
  mx_array *in[4] = {x, wh}, *out[3];
  int n = 2, h = wh->shape[1];
  if (hidden) in[n++] = hidden;
  if (cell) in[n++] = cell;
  bool ruled = mx_rnn_may_rule(x, wh) && mx_rnn_is_state(hidden, x, h) && mx_rnn_is_state(cell, x, h);
  if (!ruled || !mx_traced(n, in)) return forward(s, 2, res, x, wh, hidden, cell);
  if (forward(s, 3, out, x, wh, hidden, cell)) return s->rc;
  int rc = mx_rnn_tied(s, lstm_vjp, &g, n, in, 3, out, 2, res);
  if (rc) mx_scope_error(s, rc);
  return s->rc;
}
