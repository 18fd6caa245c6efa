/* Recurrent layers over inputs (L, D) or (N, L, D). The part of a step that hangs on the input alone is one product for the whole
 * sequence, before the loop. */
#include "graph/build.h"
#include "nn/nn.h"

/* x @ weight.T + bias for the whole sequence, after checking both. rows: gates times hidden size. */
static mx_array *inputs(mx_scope *s, const char *tag, mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, int gates) {
  if (!x || !wx || !wh) return NULL;
  bool fits = x->ndim >= 2 && wx->ndim == 2 && wh->ndim == 2 && x->shape[x->ndim - 1] == wx->shape[1] && wx->shape[0] == wh->shape[0] &&
              wh->shape[0] == (int64_t)gates * wh->shape[1];
  if (!fits)
    return mx_scope_fail(s, MX_EVALUE,
                         "[%s] An input (..., L, D) of shape %s does not fit weights (%dH, D) of shape %s and (%dH, H) of shape %s.", tag,
                         mx_shape_words(x), gates, mx_shape_words(wx), gates, mx_shape_words(wh));
  if (x->shape[x->ndim - 2] == 0)
    return mx_scope_fail(s, MX_EVALUE, "[%s] The input of shape %s has no steps.", tag, mx_shape_words(x));
  return mx_nn_linear(s, x, wx, bias);
}

/* x[..., t, :] */
static mx_array *at_step(mx_scope *s, mx_array *x, int t) {
  return x ? mx_squeeze_axis(s, mx_slice_axis(s, x, x->ndim - 2, t, t + 1), -2) : NULL;
}

/* Columns [from, to) of the last axis. */
static mx_array *columns(mx_scope *s, mx_array *x, int from, int to) { return x ? mx_slice_axis(s, x, x->ndim - 1, from, to) : NULL; }

static mx_array *last_of(const mx_list *l) { return l->n ? l->at[l->n - 1] : NULL; }

/* Keeps a step's result; the scope's error, if there is none. */
static int keep(mx_scope *s, mx_list *l, mx_array *a) { return a ? mx_list_push(l, a) : (mx_scope_error(s, mx_error_kind()), s->rc); }

/* Runs the steps with a scope each, so that thousands of them do not pile up; their results become one array along the steps. */
static mx_array *joined(mx_scope *s, mx_list *states, int rc) {
  mx_array *y = NULL;
  if (rc)
    mx_scope_error(s, rc);
  else
    y = mx_stack_axis(s, states->n, states->at, -2);
  mx_list_clear(states);
  return y;
}

mx_array *mx_nn_rnn(mx_scope *s, mx_array *x, mx_array *wxh, mx_array *whh, mx_array *bias, mx_array *hidden) {
  x = inputs(s, "rnn", x, wxh, whh, bias, 1);
  if (!x) return NULL;
  mx_array *w = mx_transpose(s, whh);
  mx_list states = {0};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_scope_begin(&step, s->stream);
    mx_array *now = at_step(&step, x, t);
    if (hidden) now = mx_addmm(&step, now, hidden, w, 1, 1);
    rc = keep(&step, &states, mx_tanh(&step, now));
    hidden = last_of(&states);
    mx_scope_end(&step);
  }
  return joined(s, &states, rc);
}

/* One step: now is x @ Wx.T + b at it, (..., 3H); w is Wh.T. */
static mx_array *gru_step(mx_scope *s, mx_array *gates, mx_array *fresh, mx_array *w, mx_array *bhn, mx_array *hidden) {
  if (!gates || !fresh || !w) return NULL;
  int h = w->shape[0];
  mx_array *h_new = bhn;
  if (hidden) {
    mx_array *product = mx_matmul(s, hidden, w);
    gates = mx_add(s, gates, columns(s, product, 0, 2 * h));
    h_new = columns(s, product, 2 * h, 3 * h);
    if (bhn) h_new = mx_add(s, h_new, bhn);
  }
  gates = mx_sigmoid(s, gates);
  mx_array *r = columns(s, gates, 0, h), *z = columns(s, gates, h, 2 * h);
  if (h_new) fresh = mx_add(s, fresh, mx_multiply(s, r, h_new));
  fresh = mx_tanh(s, fresh);
  mx_array *y = mx_multiply(s, mx_subtract(s, mx_weak_int(s, z, 1), z), fresh);
  return hidden ? mx_add(s, y, mx_multiply(s, z, hidden)) : y;
}

static bool step_fits(mx_scope *s, const char *tag, const mx_array *now, const mx_array *wh, int gates) {
  if (now->ndim >= 1 && wh->ndim == 2 && now->shape[now->ndim - 1] == wh->shape[0] && wh->shape[0] == (int64_t)gates * wh->shape[1]) return true;
  mx_scope_fail(s, MX_EVALUE, "[%s] Gates (..., %dH) of shape %s do not fit a weight (%dH, H) of shape %s.", tag, gates, mx_shape_words(now),
                gates, mx_shape_words(wh));
  return false;
}

mx_array *mx_nn_gru_step(mx_scope *s, mx_array *now, mx_array *wh, mx_array *bhn, mx_array *hidden) {
  if (!now || !wh || !step_fits(s, "gru_step", now, wh, 3)) return NULL;
  int h = wh->shape[1];
  return gru_step(s, columns(s, now, 0, 2 * h), columns(s, now, 2 * h, 3 * h), mx_transpose(s, wh), bhn, hidden);
}

mx_array *mx_nn_gru(mx_scope *s, mx_array *x, mx_array *wx, mx_array *wh, mx_array *b, mx_array *bhn, mx_array *hidden) {
  x = inputs(s, "gru", x, wx, wh, b, 3);
  if (!x) return NULL;
  int h = wh->shape[1];
  mx_array *w = mx_transpose(s, wh), *gates = columns(s, x, 0, 2 * h), *fresh = columns(s, x, 2 * h, 3 * h);
  mx_list states = {0};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_scope_begin(&step, s->stream);
    rc = keep(&step, &states, gru_step(&step, at_step(&step, gates, t), at_step(&step, fresh, t), w, bhn, hidden));
    hidden = last_of(&states);
    mx_scope_end(&step);
  }
  return joined(s, &states, rc);
}

/* One step: gates is x @ Wx.T + bias at it, (..., 4H); w is Wh.T. res: the hidden state and the cell. */
static void lstm_step(mx_scope *s, mx_array *res[2], mx_array *gates, mx_array *w, mx_array *hidden, mx_array *cell) {
  if (hidden) gates = mx_addmm(s, gates, hidden, w, 1, 1);
  if (!gates) return;
  int h = w->shape[0];
  mx_array *i = columns(s, gates, 0, h), *f = columns(s, gates, h, 2 * h), *g = columns(s, gates, 2 * h, 3 * h),
           *o = columns(s, gates, 3 * h, 4 * h);
  mx_array *fresh = mx_multiply(s, mx_sigmoid(s, i), mx_tanh(s, g));
  res[1] = cell ? mx_add(s, mx_multiply(s, mx_sigmoid(s, f), cell), fresh) : fresh;
  res[0] = mx_multiply(s, mx_sigmoid(s, o), mx_tanh(s, res[1]));
}

int mx_nn_lstm_step(mx_scope *s, mx_array *res[2], mx_array *now, mx_array *wh, mx_array *hidden, mx_array *cell) {
  if (!now || !wh || !step_fits(s, "lstm_step", now, wh, 4)) return s->rc;
  lstm_step(s, res, now, mx_transpose(s, wh), hidden, cell);
  return s->rc;
}

int mx_nn_lstm(mx_scope *s, mx_array *res[2], mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, mx_array *hidden, mx_array *cell) {
  x = inputs(s, "lstm", x, wx, wh, bias, 4);
  if (!x) return s->rc;
  mx_array *w = mx_transpose(s, wh);
  mx_list hiddens = {0}, cells = {0};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_array *made[2] = {NULL};
    mx_scope_begin(&step, s->stream);
    lstm_step(&step, made, at_step(&step, x, t), w, hidden, cell);
    rc = keep(&step, &hiddens, made[0]);
    if (!rc) rc = keep(&step, &cells, made[1]);
    hidden = last_of(&hiddens);
    cell = last_of(&cells);
    mx_scope_end(&step);
  }
  res[0] = joined(s, &hiddens, rc);
  res[1] = joined(s, &cells, rc);
  return s->rc;
}
