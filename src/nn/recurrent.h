/* What recurrent layers share. Steps have a scope each, so that thousands of them do not pile up.
 *
 * The gradients of the GRU (a rule of its own) and of the LSTM (an op) go back through the steps with one product each; the weight's is one
 * product over all steps in the end, where the graph of the forward pass would ask for one a step and their sum. */
#ifndef MX_NN_RECURRENT_H
#define MX_NN_RECURRENT_H

#include "graph/build.h"
#include "nn/nn.h"
#include "transforms/custom.h"

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

/* ---- gradients ---- */

/* The payload of a rule: which primals there were behind x and wh. */
typedef struct mx_rnn_given {
  mx_stream stream;
  bool hidden, other;
} mx_rnn_given;

typedef int mx_rnn_vjp(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *out,
                       const bool *want, mx_list *res);

/* Whether dtypes and sizes are such that a rule holds. */
bool mx_rnn_may_rule(const mx_array *x, const mx_array *wh);
/* Whether a state given for the start, which may be NULL, has the shape and dtype of one step's. */
bool mx_rnn_is_state(const mx_array *a, const mx_array *x, int h);
/* Ties the rule to the nout outputs, so that vjp asks it: the first nres of them to res. */
int mx_rnn_tied(mx_scope *s, mx_rnn_vjp *rule, const mx_rnn_given *g, int n, mx_array *const *in, int nout, mx_array *const *out, int nres,
                mx_array **res);
/* The weight's gradient: dz (..., L, gates * H) times the hidden states before, over all steps and batches at once. */
mx_array *mx_rnn_weight_gradient(mx_scope *s, mx_array *first, mx_array *hiddens, mx_array *dz);
/* The list the other way round. */
void mx_rnn_turn(mx_list *l);
/* *slot = a, of which the scope keeps its own reference. */
static inline void mx_rnn_carry(mx_array **slot, mx_array *a) { mx_set(slot, mx_retain(a)); }

#endif
