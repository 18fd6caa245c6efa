/* What recurrent layers share. Steps have a scope each, so that thousands of them do not pile up. */
#ifndef MX_NN_RECURRENT_H
#define MX_NN_RECURRENT_H

#include "graph/build.h"
#include "nn/nn.h"

/* x @ wx.T + bias for the whole sequence (..., L, gates * H), after checking all. */
mx_array *mx_rnn_inputs(mx_scope *s, const char *tag, mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, int gates);
/* Whether the gates of one step fit a weight (gates * H, H), or an error. */
bool mx_rnn_step_fits(mx_scope *s, const char *tag, const mx_array *now, const mx_array *wh, int gates);
/* x[..., t, :] */
mx_array *mx_rnn_at(mx_scope *s, mx_array *x, int t);
/* Keeps a step's result; the scope's error, if there is none. */
int mx_rnn_keep(mx_scope *s, mx_list *l, mx_array *a);
/* The steps' results as one array along axis -2; rc: what went wrong before. The list is empty afterwards. */
mx_array *mx_rnn_joined(mx_scope *s, mx_list *states, int rc);
/* Columns [from, to) of the last axis. */
static inline mx_array *mx_rnn_columns(mx_scope *s, mx_array *x, int from, int to) {
  return x ? mx_slice_axis(s, x, x->ndim - 1, from, to) : NULL;
}
static inline mx_array *mx_rnn_last(const mx_list *l) { return l->n ? l->at[l->n - 1] : NULL; }

#endif
