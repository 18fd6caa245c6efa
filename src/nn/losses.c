/* Losses: one an element, which a reduction then makes one. */
#include <math.h>

#include "graph/build.h"
#include "nn/nn.h"

static bool same_shape(mx_scope *s, const char *a_name, const mx_array *a, const char *b_name, const mx_array *b) {
  if (!a || !b) return false;
  if (mx_same_shape(a, b)) return true;
  mx_scope_fail(s, MX_EVALUE, "%s shape %s does not match %s shape %s.", a_name, mx_shape_words(a), b_name, mx_shape_words(b));
  return false;
}

static mx_array *weighed(mx_scope *s, mx_array *loss, mx_array *weights) {
  if (!weights || !loss) return loss;
  if (!mx_same_shape(weights, loss))
    return mx_scope_fail(s, MX_EVALUE, "Weights with shape %s is not the same as output loss with shape %s.",
                         mx_shape_words(weights), mx_shape_words(loss));
  return mx_multiply(s, loss, weights);
}

/* The elements of x that indices, without the axis, point at along it. */
static mx_array *picked(mx_scope *s, mx_array *x, mx_array *indices, int axis) {
  indices = mx_expand_dims(s, indices, axis);
  mx_array *y = indices ? mx_take_along_axis(s, x, indices, axis) : NULL;
  return y ? mx_squeeze_axis(s, y, axis) : NULL;
}

/* Whether targets have the shape of logits, or that shape without the axis. */
static bool targets_fit(mx_scope *s, const mx_array *logits, const mx_array *targets, int axis) {
  int ax, rc = mx_norm_axis("cross_entropy", axis, logits->ndim, &ax);
  if (rc) return mx_scope_error(s, rc), false;
  int skip = targets->ndim == logits->ndim ? -1 : ax, at = 0;
  bool fits = targets->ndim == logits->ndim - (skip >= 0);
  for (int i = 0; fits && i < logits->ndim; i++)
    if (i != skip) fits = targets->shape[at++] == logits->shape[i];
  if (!fits)
    mx_scope_fail(s, MX_EVALUE, "Targets shape %s does not match logits shape %s.", mx_shape_words(targets),
                  mx_shape_words(logits));
  return fits;
}

mx_array *mx_nn_cross_entropy(mx_scope *s, mx_array *logits, mx_array *targets, mx_array *weights, int axis,
                              double label_smoothing, const char *reduction) {
  if (!logits || !targets) return NULL;
  if (!(label_smoothing >= 0 && label_smoothing < 1))
    return mx_scope_fail(s, MX_EVALUE, "Label smoothing must be in [0, 1), got %g.", label_smoothing);
  if (!targets_fit(s, logits, targets, axis)) return NULL;
  mx_array *score = targets->ndim == logits->ndim ? mx_sum_axis(s, mx_multiply(s, logits, targets), axis, false)
                                                  : picked(s, logits, targets, axis);
  mx_array *loss = mx_logsumexp_axis(s, logits, axis, false);
  if (label_smoothing > 0) {
    loss = mx_subtract(s, loss, mx_times(s, score, 1 - label_smoothing));
    score = mx_times(s, mx_mean_axis(s, logits, axis, false), label_smoothing);
  }
  return mx_nn_reduce(s, weighed(s, mx_subtract(s, loss, score), weights), reduction);
}

mx_array *mx_nn_binary_cross_entropy(mx_scope *s, mx_array *inputs, mx_array *targets, mx_array *weights, bool with_logits,
                                     const char *reduction) {
  if (!same_shape(s, "Inputs", inputs, "targets", targets)) return NULL;
  mx_array *loss;
  if (with_logits) {
    loss = mx_subtract(s, mx_logaddexp(s, mx_weak(s, inputs, 0), inputs), mx_multiply(s, inputs, targets));
  } else { /* the logs of probabilities are cut off */
    mx_array *yes = mx_log(s, inputs), *no = mx_log(s, mx_subtract(s, mx_weak_int(s, inputs, 1), inputs));
    yes = mx_multiply(s, targets, mx_maximum(s, yes, mx_weak(s, yes, -100)));
    no = mx_multiply(s, mx_subtract(s, mx_weak_int(s, targets, 1), targets), mx_maximum(s, no, mx_weak(s, no, -100)));
    loss = mx_negative(s, mx_add(s, yes, no));
  }
  return mx_nn_reduce(s, weighed(s, loss, weights), reduction);
}

mx_array *mx_nn_l1_loss(mx_scope *s, mx_array *predictions, mx_array *targets, const char *reduction) {
  if (!same_shape(s, "Predictions", predictions, "targets", targets)) return NULL;
  return mx_nn_reduce(s, mx_abs(s, mx_subtract(s, predictions, targets)), reduction);
}

mx_array *mx_nn_mse_loss(mx_scope *s, mx_array *predictions, mx_array *targets, const char *reduction) {
  if (!same_shape(s, "Predictions", predictions, "targets", targets)) return NULL;
  return mx_nn_reduce(s, mx_square(s, mx_subtract(s, predictions, targets)), reduction);
}

mx_array *mx_nn_nll_loss(mx_scope *s, mx_array *inputs, mx_array *targets, int axis, const char *reduction) {
  if (!inputs || !targets) return NULL;
  return mx_nn_reduce(s, mx_negative(s, picked(s, inputs, targets, axis)), reduction);
}

mx_array *mx_nn_gaussian_nll_loss(mx_scope *s, mx_array *inputs, mx_array *targets, mx_array *vars, bool full, double eps,
                                  const char *reduction) {
  if (!same_shape(s, "Inputs", inputs, "targets", targets) || !same_shape(s, "Inputs", inputs, "vars", vars)) return NULL;
  vars = mx_maximum(s, vars, mx_weak(s, vars, eps));
  mx_array *loss = mx_divide(s, mx_square(s, mx_subtract(s, targets, inputs)), vars);
  loss = mx_times(s, mx_add(s, mx_log(s, vars), loss), 0.5);
  return mx_nn_reduce(s, full ? mx_plus(s, loss, 0.5 * log(2 * M_PI)) : loss, reduction);
}

mx_array *mx_nn_kl_div_loss(mx_scope *s, mx_array *inputs, mx_array *targets, int axis, const char *reduction) {
  mx_array *loss = mx_multiply(s, mx_exp(s, targets), mx_subtract(s, targets, inputs));
  return loss ? mx_nn_reduce(s, mx_sum_axis(s, loss, axis, false), reduction) : NULL;
}

mx_array *mx_nn_smooth_l1_loss(mx_scope *s, mx_array *predictions, mx_array *targets, double beta, const char *reduction) {
  if (!same_shape(s, "Predictions", predictions, "targets", targets)) return NULL;
  mx_array *d = mx_abs(s, mx_subtract(s, predictions, targets));
  if (beta > 0 && d) {
    mx_array *near = mx_times(s, mx_square(s, d), 0.5);
    near = mx_divide(s, near, mx_weak(s, near, beta));
    d = mx_where(s, mx_less(s, d, mx_weak(s, d, beta)), near, mx_plus(s, d, -(0.5 * beta)));
  }
  return mx_nn_reduce(s, d, reduction);
}

/* The p-norm of a - b along the axis. */
static mx_array *distance(mx_scope *s, mx_array *a, mx_array *b, int axis, double p, double eps) {
  mx_array *d = mx_subtract(s, a, b);
  if (!d) return NULL;
  d = p == 2 ? mx_square(s, d)
             : mx_power(s, mx_abs(s, d), p == floor(p) && fabs(p) < 1e9 ? mx_weak_int(s, d, (int)p) : mx_weak(s, d, p));
  d = d ? mx_plus(s, mx_sum_axis(s, d, axis, false), eps) : NULL;
  return p == 2 ? mx_sqrt(s, d) : mx_power(s, d, mx_weak(s, d, 1 / p));
}

mx_array *mx_nn_triplet_loss(mx_scope *s, mx_array *anchors, mx_array *positives, mx_array *negatives, int axis, double p,
                             double margin, double eps, const char *reduction) {
  mx_array *loss = mx_subtract(s, distance(s, anchors, positives, axis, p, eps), distance(s, anchors, negatives, axis, p, eps));
  loss = mx_plus(s, loss, margin);
  return mx_nn_reduce(s, mx_maximum(s, loss, mx_weak_int(s, loss, 0)), reduction);
}

mx_array *mx_nn_hinge_loss(mx_scope *s, mx_array *inputs, mx_array *targets, const char *reduction) {
  mx_array *product = mx_multiply(s, inputs, targets), *loss = mx_subtract(s, mx_weak_int(s, product, 1), product);
  return mx_nn_reduce(s, mx_maximum(s, loss, mx_weak_int(s, loss, 0)), reduction);
}

mx_array *mx_nn_huber_loss(mx_scope *s, mx_array *inputs, mx_array *targets, double delta, const char *reduction) {
  mx_array *d = mx_abs(s, mx_subtract(s, inputs, targets)), *inner = mx_minimum(s, d, mx_weak(s, d, delta));
  mx_array *square = mx_times(s, mx_square(s, inner), 0.5);
  return mx_nn_reduce(s, mx_add(s, square, mx_times(s, mx_subtract(s, d, inner), delta)), reduction);
}

mx_array *mx_nn_log_cosh_loss(mx_scope *s, mx_array *inputs, mx_array *targets, const char *reduction) {
  mx_array *d = mx_subtract(s, inputs, targets);
  return mx_nn_reduce(s, mx_plus(s, mx_logaddexp(s, d, mx_negative(s, d)), -log(2)), reduction);
}

mx_array *mx_nn_cosine_similarity_loss(mx_scope *s, mx_array *x1, mx_array *x2, int axis, double eps, const char *reduction) {
  if (!x1 || !x2) return NULL;
  mx_array *lengths = mx_multiply(s, mx_linalg_norm_l2(s, x1, &axis, 1, false), mx_linalg_norm_l2(s, x2, &axis, 1, false));
  mx_array *product = mx_multiply(s, x1, x2);
  product = product ? mx_sum_axis(s, product, axis, false) : NULL;
  return mx_nn_reduce(s, mx_divide(s, product, mx_maximum(s, lengths, mx_weak(s, lengths, eps))), reduction);
}

mx_array *mx_nn_margin_ranking_loss(mx_scope *s, mx_array *inputs1, mx_array *inputs2, mx_array *targets, double margin,
                                    const char *reduction) {
  if (!inputs1 || !inputs2 || !targets) return NULL;
  if (!mx_same_shape(inputs1, inputs2) || !mx_same_shape(inputs1, targets))
    return mx_scope_fail(
        s, MX_EVALUE,
        "The shapes of the arguments do not match. The provided shapes are inputs1.shape=%s, inputs2.shape=%s, and "
        "targets.shape=%s.",
        mx_shape_words(inputs1), mx_shape_words(inputs2), mx_shape_words(targets));
  mx_array *loss = mx_multiply(s, mx_negative(s, targets), mx_subtract(s, inputs1, inputs2));
  loss = mx_plus(s, loss, margin);
  return mx_nn_reduce(s, mx_maximum(s, mx_weak_int(s, loss, 0), loss), reduction);
}
