/* Recurrent layers over inputs (L, D) or (N, L, D). The part of a step that hangs on the input alone is one product for the whole
 * sequence, before the loop. The LSTM: lstm.c. */
#include "nn/recurrent.h"

mx_array *mx_rnn_inputs(mx_scope *s, const char *tag, mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, int gates) {
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

mx_array *mx_rnn_at(mx_scope *s, mx_array *x, int t) {
  return x ? mx_squeeze_axis(s, mx_slice_axis(s, x, x->ndim - 2, t, t + 1), -2) : NULL;
}

int mx_rnn_keep(mx_scope *s, mx_list *l, mx_array *a) { return a ? mx_list_push(l, a) : (mx_scope_error(s, mx_error_kind()), s->rc); }

mx_array *mx_rnn_joined(mx_scope *s, mx_list *states, int rc) {
  mx_array *y = NULL;
  if (rc)
    mx_scope_error(s, rc);
  else
    y = mx_stack_axis(s, states->n, states->at, -2);
  mx_list_clear(states);
  return y;
}

mx_array *mx_nn_rnn(mx_scope *s, mx_array *x, mx_array *wxh, mx_array *whh, mx_array *bias, mx_array *hidden) {
  x = mx_rnn_inputs(s, "rnn", x, wxh, whh, bias, 1);
  if (!x) return NULL;
  mx_array *w = mx_transpose(s, whh);
  mx_list states = {0};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_scope_begin(&step, s->stream);
    mx_array *now = mx_rnn_at(&step, x, t);
    if (hidden) now = mx_addmm(&step, now, hidden, w, 1, 1);
    rc = mx_rnn_keep(&step, &states, mx_tanh(&step, now));
    hidden = mx_rnn_last(&states);
    mx_scope_end(&step);
  }
  return mx_rnn_joined(s, &states, rc);
}

/* One step: now is x @ Wx.T + b at it, (..., 3H); w is Wh.T. */
static mx_array *gru_step(mx_scope *s, mx_array *gates, mx_array *fresh, mx_array *w, mx_array *bhn, mx_array *hidden) {
  if (!gates || !fresh || !w) return NULL;
  int h = w->shape[0];
  mx_array *h_new = bhn;
  if (hidden) {
    mx_array *product = mx_matmul(s, hidden, w);
    gates = mx_add(s, gates, mx_rnn_columns(s, product, 0, 2 * h));
    h_new = mx_rnn_columns(s, product, 2 * h, 3 * h);
    if (bhn) h_new = mx_add(s, h_new, bhn);
  }
  gates = mx_sigmoid(s, gates);
  mx_array *r = mx_rnn_columns(s, gates, 0, h), *z = mx_rnn_columns(s, gates, h, 2 * h);
  if (h_new) fresh = mx_add(s, fresh, mx_multiply(s, r, h_new));
  fresh = mx_tanh(s, fresh);
  mx_array *y = mx_multiply(s, mx_subtract(s, mx_weak_int(s, z, 1), z), fresh);
  return hidden ? mx_add(s, y, mx_multiply(s, z, hidden)) : y;
}

bool mx_rnn_step_fits(mx_scope *s, const char *tag, const mx_array *now, const mx_array *wh, int gates) {
  if (now->ndim >= 1 && wh->ndim == 2 && now->shape[now->ndim - 1] == wh->shape[0] && wh->shape[0] == (int64_t)gates * wh->shape[1]) return true;
  mx_scope_fail(s, MX_EVALUE, "[%s] Gates (..., %dH) of shape %s do not fit a weight (%dH, H) of shape %s.", tag, gates, mx_shape_words(now),
                gates, mx_shape_words(wh));
  return false;
}

mx_array *mx_nn_gru_step(mx_scope *s, mx_array *now, mx_array *wh, mx_array *bhn, mx_array *hidden) {
  if (!now || !wh || !mx_rnn_step_fits(s, "gru_step", now, wh, 3)) return NULL;
  int h = wh->shape[1];
  return gru_step(s, mx_rnn_columns(s, now, 0, 2 * h), mx_rnn_columns(s, now, 2 * h, 3 * h), mx_transpose(s, wh), bhn, hidden);
}

mx_array *mx_nn_gru(mx_scope *s, mx_array *x, mx_array *wx, mx_array *wh, mx_array *b, mx_array *bhn, mx_array *hidden) {
  x = mx_rnn_inputs(s, "gru", x, wx, wh, b, 3);
  if (!x) return NULL;
  int h = wh->shape[1];
  mx_array *w = mx_transpose(s, wh), *gates = mx_rnn_columns(s, x, 0, 2 * h), *fresh = mx_rnn_columns(s, x, 2 * h, 3 * h);
  mx_list states = {0};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_scope_begin(&step, s->stream);
    rc = mx_rnn_keep(&step, &states, gru_step(&step, mx_rnn_at(&step, gates, t), mx_rnn_at(&step, fresh, t), w, bhn, hidden));
    hidden = mx_rnn_last(&states);
    mx_scope_end(&step);
  }
  return mx_rnn_joined(s, &states, rc);
}
