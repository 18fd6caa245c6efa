/* Recurrent layers over inputs (L, D) or (N, L, D). The part of a step that hangs on the input alone is one product for the whole
 * sequence, before the loop. gru.c and lstm.c are the larger ones. */
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

bool mx_rnn_step_fits(mx_scope *s, const char *tag, const mx_array *now, const mx_array *wh, int gates) {
  if (now->ndim >= 1 && wh->ndim == 2 && now->shape[now->ndim - 1] == wh->shape[0] && wh->shape[0] == (int64_t)gates * wh->shape[1]) return true;
  mx_scope_fail(s, MX_EVALUE, "[%s] Gates (..., %dH) of shape %s do not fit a weight (%dH, H) of shape %s.", tag, gates, mx_shape_words(now),
                gates, mx_shape_words(wh));
  return false;
}

/* ---- gradients ---- */

bool mx_rnn_may_rule(const mx_array *x, const mx_array *wh) {
  return wh->dtype == x->dtype && mx_is_inexact(x->dtype) && !mx_is_complex(x->dtype) && wh->size > 0;
}

bool mx_rnn_is_state(const mx_array *a, const mx_array *x, int h) {
  if (!a) return true;
  bool same = a->dtype == x->dtype && a->ndim == x->ndim - 1 && a->shape[a->ndim - 1] == h;
  for (int i = 0; i < x->ndim - 2 && same; i++) same = a->shape[i] == x->shape[i];
  return same;
}

int mx_rnn_tied(mx_scope *s, mx_rnn_vjp *rule, const mx_rnn_given *g, int n, mx_array *const *in, int nout, mx_array *const *out, int nres,
                mx_array **res) {
  mx_rnn_given *own = mx_malloc(sizeof *own);
  if (!own) return mx_fail_memory();
  *own = *g;
  mx_custom *c = mx_custom_new(&(mx_custom_rules){.vjp = rule, .payload = own, .dtor = mx_free, .transparent = true});
  if (!c) return mx_error_kind();
  mx_list outputs = {0}, got = {0};
  int rc = 0;
  for (int k = 0; k < nout && !rc; k++) rc = mx_list_push(&outputs, out[k]);
  if (!rc) rc = mx_custom_tie(c, n, in, &outputs, &got);
  for (int k = 0; k < nres && !rc; k++)
    if (!(res[k] = mx_own(s, mx_retain(got.at[k])))) rc = s->rc;
  mx_list_clear(&outputs);
  mx_list_clear(&got);
  mx_object_release(&c->base);
  return rc;
}

mx_array *mx_rnn_weight_gradient(mx_scope *s, mx_array *first, mx_array *hiddens, mx_array *dz) {
  if (!hiddens || !dz) return NULL;
  int nd = hiddens->ndim, steps = hiddens->shape[nd - 2], h = hiddens->shape[nd - 1], wide = dz->shape[nd - 1];
  if (steps == 1 && !first) return mx_zeros(s, (int[]){wide, h}, 2, (mx_dtype)dz->dtype); /* the weight was not used */
  mx_array *before = mx_slice_axis(s, hiddens, nd - 2, 0, steps - 1);
  if (first)
    before = mx_concatenate_axis(s, 2, (mx_array *[]){mx_expand_dims(s, first, -2), before}, -2);
  else
    dz = mx_slice_axis(s, dz, nd - 2, 1, steps);
  if (!before || !dz) return NULL;
  before = mx_reshape(s, before, (int[]){-1, h}, 2);
  dz = mx_reshape(s, dz, (int[]){-1, wide}, 2);
  return mx_matmul(s, mx_transpose(s, dz), before);
}

void mx_rnn_turn(mx_list *l) {
  for (int i = 0, k = l->n - 1; i < k; i++, k--) {
    mx_array *swap = l->at[i];
    l->at[i] = l->at[k], l->at[k] = swap;
  }
}
