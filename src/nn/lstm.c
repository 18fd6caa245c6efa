/* The LSTM over inputs (L, D) or (N, L, D): one product a step. In float32 and below all steps are one node, OP_lstm, and so are all steps of
 * its gradient, OP_lstm_vjp; the rules of the two are here. What these have no kernel for is written out step by step. */
#include "graph/functions.h"
#include "graph/rules/help.h"
#include "nn/recurrent.h"
#include "transforms/body.h"

typedef struct gates {
  mx_array *i, *f, *g, *o;
} gates;

/* z (..., 4H) is what goes into them. */
static gates gates_of(mx_scope *s, mx_array *z, int h) {
  return (gates){mx_sigmoid(s, mx_rnn_columns(s, z, 0, h)), mx_sigmoid(s, mx_rnn_columns(s, z, h, 2 * h)),
                 mx_tanh(s, mx_rnn_columns(s, z, 2 * h, 3 * h)), mx_sigmoid(s, mx_rnn_columns(s, z, 3 * h, 4 * h))};
}

static mx_array *joined(mx_scope *s, const gates *a) {
  return s->rc ? NULL : mx_concatenate_axis(s, 4, (mx_array *[]){a->i, a->f, a->g, a->o}, -1);
}

/* The inputs of the two nodes, and their results. */
enum { X, WEIGHT, FIRST_HIDDEN, FIRST_CELL };
enum { GATES, HIDDEN, CELLS };
enum { ITS_GATES, ITS_CELLS, ITS_FIRST_CELL, ITS_WEIGHT, D_HIDDEN, D_CELLS };

/* One step: now is x @ Wx.T + bias at it, (..., 4H); w is Wh.T. */
static void lstm_step(mx_scope *s, mx_array *res[2], gates *a, mx_array *now, mx_array *w, mx_array *hidden, mx_array *cell) {
  mx_array *z = hidden ? mx_addmm(s, now, hidden, w, 1, 1) : now;
  if (!z || !w) return;
  *a = gates_of(s, z, w->shape[0]);
  mx_array *fresh = mx_multiply(s, a->i, a->g);
  res[1] = cell ? mx_add(s, mx_multiply(s, a->f, cell), fresh) : fresh;
  res[0] = mx_multiply(s, a->o, mx_tanh(s, res[1]));
}

int mx_nn_lstm_step(mx_scope *s, mx_array *res[2], mx_array *now, mx_array *wh, mx_array *hidden, mx_array *cell) {
  if (!now || !wh || !mx_rnn_step_fits(s, "lstm_step", now, wh, 4)) return s->rc;
  gates a;
  lstm_step(s, res, &a, now, mx_transpose(s, wh), hidden, cell);
  return s->rc;
}

/* All steps: the hidden states and cells, joined, and the gates, if wanted. */
static int forward(mx_scope *s, mx_array *res[3], bool want_gates, mx_array *x, mx_array *wh, mx_array *hidden, mx_array *cell) {
  mx_array *w = mx_transpose(s, wh);
  mx_list made[3] = {{0}};
  int rc = s->rc;
  for (int t = 0; t < x->shape[x->ndim - 2] && !rc; t++) {
    mx_scope step;
    mx_array *now[2] = {NULL};
    gates a = {NULL};
    mx_scope_begin(&step, s->stream);
    lstm_step(&step, now, &a, mx_rnn_at(&step, x, t), w, hidden, cell);
    for (int k = 0; k < 2 && !rc; k++) rc = mx_rnn_keep(&step, &made[HIDDEN + k], now[k]);
    if (want_gates && !rc) rc = mx_rnn_keep(&step, &made[GATES], joined(&step, &a));
    hidden = mx_rnn_last(&made[HIDDEN]);
    cell = mx_rnn_last(&made[CELLS]);
    mx_scope_end(&step);
  }
  for (int k = want_gates ? GATES : HIDDEN; k <= CELLS; k++) res[k] = mx_rnn_joined(s, &made[k], rc);
  return s->rc;
}

/* ---- the gradient, written out ---- */

/* y * (1 - y): the derivative of the sigmoid that gave y. */
static mx_array *slope(mx_scope *s, mx_array *y) { return mx_subtract(s, y, mx_square(s, y)); }
/* 1 - y * y: of the tanh. */
static mx_array *slope_tanh(mx_scope *s, mx_array *y) { return mx_subtract(s, mx_weak_int(s, y, 1), mx_square(s, y)); }

/* One step back: from the cotangents of its hidden state and cell those of what went into its gates z, and of the cell before. */
static void step_back(mx_scope *s, mx_array *res[2], mx_array *z, mx_array *cell, mx_array *before, mx_array *dh, mx_array *dc, int h) {
  gates a = {mx_rnn_columns(s, z, 0, h), mx_rnn_columns(s, z, h, 2 * h), mx_rnn_columns(s, z, 2 * h, 3 * h), mx_rnn_columns(s, z, 3 * h, 4 * h)};
  mx_array *c = mx_tanh(s, cell), *more = mx_multiply(s, mx_multiply(s, dh, a.o), slope_tanh(s, c));
  dc = dc ? mx_add(s, dc, more) : more;
  gates d = {mx_multiply(s, dc, mx_multiply(s, a.g, slope(s, a.i))), mx_multiply(s, dc, mx_multiply(s, before, slope(s, a.f))),
             mx_multiply(s, dc, mx_multiply(s, a.i, slope_tanh(s, a.g))), mx_multiply(s, dh, mx_multiply(s, c, slope(s, a.o)))};
  res[0] = joined(s, &d);
  res[1] = mx_multiply(s, dc, a.f);
}

/* The results of OP_lstm_vjp from its inputs. */
static int backward(mx_scope *s, mx_array *res[3], mx_array *const *in) {
  mx_array *w = in[ITS_WEIGHT], *dh = NULL, *dc = NULL;
  mx_list dz = {0};
  int rc = s->rc;
  for (int t = in[ITS_CELLS]->shape[1] - 1; t >= 0 && !rc; t--) {
    mx_scope step;
    mx_array *made[2] = {NULL};
    mx_scope_begin(&step, s->stream);
    mx_array *h = mx_rnn_at(&step, in[D_HIDDEN], t), *c = mx_rnn_at(&step, in[D_CELLS], t);
    if (dh) h = mx_add(&step, h, dh);
    if (dc) c = c ? mx_add(&step, c, dc) : dc;
    mx_array *before = t ? mx_rnn_at(&step, in[ITS_CELLS], t - 1) : in[ITS_FIRST_CELL];
    step_back(&step, made, mx_rnn_at(&step, in[ITS_GATES], t), mx_rnn_at(&step, in[ITS_CELLS], t), before, h, c, w->shape[1]);
    rc = mx_rnn_keep(&step, &dz, made[0]);
    mx_array *back = rc ? NULL : mx_matmul(&step, made[0], w);
    if (!step.rc) mx_rnn_carry(&dh, back), mx_rnn_carry(&dc, made[1]);
    int ended = mx_scope_end(&step);
    if (!rc) rc = ended;
  }
  mx_rnn_turn(&dz);
  res[0] = mx_rnn_joined(s, &dz, rc);
  res[1] = mx_own(s, dh);
  res[2] = mx_own(s, dc);
  return s->rc;
}

/* ---- rules ---- */

/* Cotangents of the inputs of either node through what it is when it is written out. */
static int written_out(mx_scope *s, const mx_array *n, mx_array *const *cot, const bool *want, mx_array **res) {
  mx_array *in[6] = {NULL}, *out[3], *got[6];
  for (int i = 0; i < n->nin; i++)
    if ((in[i] = mx_copy(s, n->in[i]))) in[i]->flags |= MX_TRACER;
  if (s->rc) return s->rc;
  int rc = n->op == OP_lstm ? forward(s, out, true, in[X], in[WEIGHT], in[FIRST_HIDDEN], in[FIRST_CELL]) : backward(s, out, in);
  if (!rc) rc = mx_pull_back(s, n->nin, in, 3, out, MX_TRACER, cot, got);
  for (int i = 0; i < n->nin && !rc; i++)
    if (want[i]) res[i] = got[i];
  return rc;
}

int vjp_lstm(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  if (cot[GATES]) return written_out(s, n, cot, want, res); /* the rule itself is differentiated */
  if (!cot[HIDDEN] && !cot[CELLS]) return s->rc;
  mx_array *dh = cot[HIDDEN] ? cot[HIDDEN] : mx_zeros_like(s, out[HIDDEN]), *grad[3];
  mx_array *in[6] = {out[GATES], out[CELLS], n->in[FIRST_CELL], n->in[WEIGHT], dh, cot[CELLS]};
  if (s->rc || mx_node_multi(s, OP_lstm_vjp, cot[CELLS] ? 6 : 5, in, 0, NULL, NULL, 3, grad)) return s->rc;
  res[X] = grad[0];
  if (want[WEIGHT]) res[WEIGHT] = mx_rnn_weight_gradient(s, n->in[FIRST_HIDDEN], out[HIDDEN], grad[0]);
  res[FIRST_HIDDEN] = grad[1];
  res[FIRST_CELL] = grad[2];
  return s->rc;
}

int vjp_lstm_vjp(mx_scope *s, const mx_array *n, mx_array *const *out, mx_array *const *cot, const bool *want, mx_array **res) {
  (void)out;
  return written_out(s, n, cot, want, res);
}

static int check(int op, const mx_array *x, int ndim, int n, int steps, int wide) {
  bool fits = x->dtype == MX_F32 && x->ndim == ndim && x->shape[0] == n && x->shape[ndim - 1] == wide && (ndim == 2 || x->shape[1] == steps);
  if (fits) return 0;
  return mx_fail(MX_EVALUE, "[%s] An input of shape %s and dtype %s does not fit the others.", mx_ops[op].name, mx_shape_of(x),
                 mx_dtype_name((mx_dtype)x->dtype));
}

/* (N, L, wide) or (N, wide) like x, whose dtype is float32. */
static void give(mx_aval *out, const mx_array *x, int ndim, int wide) {
  mx_aval_of(out, x);
  out->ndim = ndim;
  out->shape[ndim - 1] = wide;
}

int infer_lstm(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)np, (void)p, (void)nout;
  bool back = op == OP_lstm_vjp;
  if (back ? nin != 5 && nin != 6 : nin != 4)
    return mx_fail(MX_EVALUE, "[%s] %d inputs, expected %s.", mx_ops[op].name, nin, back ? "5 or 6" : "4");
  const mx_array *x = in[0], *w = in[back ? ITS_WEIGHT : WEIGHT];
  if (x->ndim != 3 || w->ndim != 2 || !x->shape[1] || w->shape[0] % 4 || w->shape[0] / 4 != w->shape[1])
    return mx_fail(MX_EVALUE, "[%s] Gates of shape %s do not fit a weight (4H, H) of shape %s.", mx_ops[op].name, mx_shape_of(x), mx_shape_of(w));
  int n = x->shape[0], steps = x->shape[1], h = w->shape[1], rc = check(op, x, 3, n, steps, 4 * h);
  if (!rc) rc = check(op, w, 2, 4 * h, 0, h);
  if (!rc) rc = check(op, in[2], 2, n, 0, h);
  if (!rc) rc = back ? check(op, in[ITS_CELLS], 3, n, steps, h) : check(op, in[FIRST_CELL], 2, n, 0, h);
  for (int i = D_HIDDEN; i < nin && !rc; i++) rc = check(op, in[i], 3, n, steps, h);
  mx_aval_of(&out[0], x);
  for (int i = 1; i < 3; i++) give(&out[i], x, back ? 2 : 3, h);
  return rc;
}

/* The added axis joins the rows. */
int vmap_lstm(mx_scope *s, const mx_array *n, mx_array *const *in, const int *ax, mx_array **res, int *res_ax) {
  int weight = n->op == OP_lstm ? WEIGHT : ITS_WEIGHT, size = mx_batch_size(n, in, ax), rows = n->in[0]->shape[0];
  mx_array *flat[6];
  for (int k = 0; k < 3; k++) res_ax[k] = 0;
  if (ax[weight] >= 0) return vmap_each(s, n, in, ax, res, res_ax);
  if ((int64_t)size * rows > MX_MAX_DIM) return mx_fail_dim(mx_ops[n->op].name, (int64_t)size * rows);
  for (int i = 0; i < n->nin && !s->rc; i++) {
    if (i == weight) flat[i] = in[i];
    else if ((flat[i] = mx_full_front(s, in[i], ax[i], size))) flat[i] = mx_flatten(s, flat[i], 0, 1);
  }
  if (s->rc || mx_node_multi(s, n->op, n->nin, flat, 0, NULL, NULL, 3, res)) return s->rc;
  for (int k = 0; k < 3; k++) res[k] = mx_unflatten(s, res[k], 0, (int[]){size, rows}, 2);
  return s->rc;
}

/* ---- the layer ---- */

/* (..., L, X) as float32 (N, L, X), and back. */
static mx_array *with_rows(mx_scope *s, mx_array *x) {
  x = mx_astype(s, x, MX_F32);
  if (!x || x->ndim == 3) return x;
  return x->ndim == 2 ? mx_expand_dims(s, x, 0) : mx_flatten(s, x, 0, x->ndim - 3);
}
static mx_array *like_before(mx_scope *s, mx_array *y, const mx_array *x) {
  if (y && x->ndim != 3) y = x->ndim == 2 ? mx_squeeze_axis(s, y, 0) : mx_unflatten(s, y, 0, x->shape, (size_t)x->ndim - 2);
  return y ? mx_astype(s, y, (mx_dtype)x->dtype) : NULL;
}
/* A state for the start, (..., H) or none, as float32 (N, H). */
static mx_array *state(mx_scope *s, mx_array *a, mx_array *x, int h) {
  if (!a) return mx_zeros_like(s, mx_rnn_columns(s, mx_rnn_at(s, x, 0), 0, h));
  mx_array *y = with_rows(s, mx_expand_dims(s, a, -2));
  return y ? mx_squeeze_axis(s, y, 1) : NULL;
}

static int in_one(mx_scope *s, mx_array *res[2], mx_array *x, mx_array *wh, mx_array *hidden, mx_array *cell) {
  int h = wh->shape[1];
  mx_array *rows = with_rows(s, x), *out[3], *in[4] = {rows, mx_astype(s, wh, MX_F32), state(s, hidden, rows, h), state(s, cell, rows, h)};
  if (s->rc || mx_node_multi(s, OP_lstm, 4, in, 0, NULL, NULL, 3, out)) return s->rc;
  for (int k = 0; k < 2; k++) res[k] = like_before(s, out[HIDDEN + k], x);
  return s->rc;
}

int mx_nn_lstm(mx_scope *s, mx_array *res[2], mx_array *x, mx_array *wx, mx_array *wh, mx_array *bias, mx_array *hidden, mx_array *cell) {
  x = mx_rnn_inputs(s, "lstm", x, wx, wh, bias, 4);
  if (!x) return s->rc;
  int h = wh->shape[1];
  bool narrow = mx_is_float(x->dtype) && x->dtype != MX_F64;
  if (narrow && mx_rnn_may_rule(x, wh) && mx_rnn_is_state(hidden, x, h) && mx_rnn_is_state(cell, x, h))
    return in_one(s, res, x, wh, hidden, cell);
  mx_array *out[3] = {NULL};
  int rc = forward(s, out, false, x, wh, hidden, cell);
  res[0] = out[HIDDEN], res[1] = out[CELLS];
  return rc;
}
