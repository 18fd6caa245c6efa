/* Connectionist temporal classification: minus the log of the probability of a sequence of labels, summed over all its alignments with
 * the steps of the input (Graves et al., 2006). */
#include <math.h>
#include <string.h>

#include "graph/build.h"
#include "nn/nn.h"

/* Stands for the log of 0: it can be added up for millions of steps, and its derivatives are numbers. */
static const double NEVER = -1e30;

/* The labels with blanks around them, (N, 2S + 1). */
static mx_array *with_blanks(mx_scope *s, mx_array *targets, int blank) {
  int n = targets->shape[0], len = targets->shape[1];
  mx_array *blanks = mx_full(s, (int[]){n, len, 1}, 3, mx_int(s, MX_I32, blank), MX_I32);
  mx_array *labels = mx_expand_dims(s, targets, 2);
  if (!blanks || !labels) return NULL;
  mx_array *pairs = mx_reshape(s, mx_concatenate_axis(s, 2, (mx_array *[]){blanks, labels}, 2), (int[]){n, 2 * len}, 2);
  mx_array *last = mx_full(s, (int[]){n, 1}, 2, mx_int(s, MX_I32, blank), MX_I32);
  return pairs && last ? mx_concatenate_axis(s, 2, (mx_array *[]){pairs, last}, 1) : NULL;
}

/* x (N, K) moved right by k, NEVER in front. */
static mx_array *shifted(mx_scope *s, mx_array *x, int k) {
  if (!x) return NULL;
  int width = x->shape[1];
  mx_array *front = mx_full(s, (int[]){x->shape[0], k < width ? k : width}, 2, mx_const_like(s, x, NEVER), x->dtype);
  if (k >= width) return front;
  mx_array *rest = mx_slice_axis(s, x, 1, 0, width - k);
  return front && rest ? mx_concatenate_axis(s, 2, (mx_array *[]){front, rest}, 1) : NULL;
}

/* Where a step may go on from two places before: at a label other than the one before. Added to the log: 0 or NEVER. */
static mx_array *skipping(mx_scope *s, mx_array *z, mx_array *like) {
  int n = z->shape[0], width = z->shape[1];
  mx_array *zero = mx_const_like(s, like, 0), *never = mx_const_like(s, like, NEVER);
  if (width < 3) return mx_broadcast_to(s, never, (int[]){n, width}, 2);
  mx_array *differs = mx_not_equal(s, mx_slice_axis(s, z, 1, 2, width), mx_slice_axis(s, z, 1, 0, width - 2));
  mx_array *rest = mx_where(s, differs, zero, never), *front = mx_broadcast_to(s, never, (int[]){n, 2}, 2);
  return rest && front ? mx_concatenate_axis(s, 2, (mx_array *[]){front, rest}, 1) : NULL;
}

/* log(exp(a) + exp(b) + exp(c)) */
static mx_array *log_sum(mx_scope *s, mx_array *a, mx_array *b, mx_array *c) { return mx_logaddexp(s, mx_logaddexp(s, a, b), c); }

/* The logs of the probabilities of all beginnings, after each sample's last step. steps (N, T, K): the logs of what is emitted. */
static mx_array *forward(mx_scope *s, mx_array *steps, mx_array *skip, mx_array *lengths) {
  int k = steps->shape[2];
  mx_array *first = mx_arange(s, 0, k, 1, MX_I32), *alpha = mx_squeeze_axis(s, mx_slice_axis(s, steps, 1, 0, 1), 1);
  alpha = mx_where(s, mx_less(s, first, mx_int(s, MX_I32, 2)), alpha, mx_const_like(s, steps, NEVER));
  mx_array *own = mx_retain(alpha);
  int rc = s->rc;
  for (int t = 1; t < steps->shape[1] && !rc; t++) { /* a scope each, so that thousands of steps do not pile up */
    mx_scope step;
    mx_scope_begin(&step, s->stream);
    mx_array *emitted = mx_squeeze_axis(&step, mx_slice_axis(&step, steps, 1, t, t + 1), 1);
    mx_array *next = log_sum(&step, own, shifted(&step, own, 1), mx_add(&step, shifted(&step, own, 2), skip));
    next = mx_maximum(&step, mx_add(&step, next, emitted), mx_const_like(&step, own, NEVER));
    next = mx_where(&step, mx_greater(&step, lengths, mx_int(&step, MX_I32, t)), next, own);
    mx_retain(next);
    rc = mx_scope_end(&step);
    mx_release(own);
    own = next;
  }
  if (!rc) return mx_own(s, own);
  mx_release(own);
  return mx_scope_error(s, rc);
}

static bool checked(mx_scope *s, const mx_array *log_probs, const mx_array *targets, const mx_array *in, const mx_array *out,
                    int blank) {
  if (log_probs->ndim != 3 || targets->ndim != 2 || in->ndim != 1 || out->ndim != 1 || targets->shape[0] != log_probs->shape[0] ||
      in->shape[0] != log_probs->shape[0] || out->shape[0] != log_probs->shape[0] || log_probs->shape[1] < 1 ||
      targets->shape[1] > MX_MAX_DIM / 4)
    mx_scope_fail(s, MX_EVALUE,
                  "[ctc_loss] Log probabilities of shape %s, targets of shape %s and lengths of shapes %s and %s: expected (N, "
                  "T, C), (N, S), (N) and "
                  "(N).",
                  mx_shape_words(log_probs), mx_shape_words(targets), mx_shape_words(in), mx_shape_words(out));
  else if (!mx_is_float(log_probs->dtype) || !mx_is_integer(targets->dtype) || !mx_is_integer(in->dtype) ||
           !mx_is_integer(out->dtype))
    mx_scope_fail(
        s, MX_EVALUE,
        "[ctc_loss] Expected floating-point log probabilities and whole numbers as targets and lengths, got %s, %s, %s and %s.",
        mx_dtype_name(log_probs->dtype), mx_dtype_name(targets->dtype), mx_dtype_name(in->dtype), mx_dtype_name(out->dtype));
  else if (blank < 0 || blank >= log_probs->shape[2])
    mx_scope_fail(s, MX_EVALUE, "[ctc_loss] The blank %d is none of %d classes.", blank, log_probs->shape[2]);
  return !s->rc;
}

/* As PyTorch: the mean is that of the losses divided by the lengths of the targets. */
static mx_array *reduced(mx_scope *s, mx_array *loss, mx_array *out_lengths, const char *reduction) {
  if (!strcmp(reduction, "mean") && loss) {
    mx_array *lengths = mx_astype(s, mx_maximum(s, out_lengths, mx_int(s, MX_I32, 1)), loss->dtype);
    loss = mx_divide(s, loss, lengths);
  }
  return mx_nn_reduce(s, loss, reduction);
}

mx_array *mx_nn_ctc_loss(mx_scope *s, mx_array *log_probs, mx_array *targets, mx_array *input_lengths, mx_array *target_lengths,
                         int blank, bool zero_infinity, const char *reduction) {
  if (!log_probs || !targets || !input_lengths || !target_lengths ||
      !checked(s, log_probs, targets, input_lengths, target_lengths, blank))
    return NULL;
  int n = log_probs->shape[0], steps = log_probs->shape[1];
  log_probs = mx_astype(s, log_probs, log_probs->dtype == MX_F64 ? MX_F64 : MX_F32);
  targets = mx_astype(s, targets, MX_I32);
  mx_array *in = mx_astype(s, input_lengths, MX_I32), *out = mx_astype(s, target_lengths, MX_I32),
           *z = with_blanks(s, targets, blank);
  if (!z || !in || !out) return NULL;
  int width = z->shape[1];
  /* what each place of the labels emits at each step; the log of 0 as NEVER */
  mx_array *places = mx_broadcast_to(s, mx_expand_dims(s, z, 1), (int[]){n, steps, width}, 3);
  mx_array *emitted = places ? mx_take_along_axis(s, log_probs, places, 2) : NULL;
  emitted = mx_maximum(s, emitted, mx_weak(s, emitted, NEVER));
  if (!emitted) return NULL;
  mx_array *alpha = forward(s, emitted, skipping(s, z, emitted), mx_expand_dims(s, in, 1));
  /* all labels have come, with or without a blank behind them */
  mx_array *two = mx_int(s, MX_I32, 2), *end = mx_expand_dims(s, mx_multiply(s, out, two), 1);
  end = mx_minimum(s, mx_maximum(s, end, mx_int(s, MX_I32, 0)), mx_int(s, MX_I32, width - 1));
  mx_array *before = mx_maximum(s, mx_subtract(s, end, mx_int(s, MX_I32, 1)), mx_int(s, MX_I32, 0));
  if (!alpha || !end || !before) return NULL;
  mx_array *a = mx_take_along_axis(s, alpha, end, 1), *b = mx_take_along_axis(s, alpha, before, 1);
  b = mx_where(s, mx_greater(s, end, mx_int(s, MX_I32, 0)), b, mx_weak(s, b, NEVER));
  mx_array *loss = mx_negative(s, mx_squeeze_axis(s, mx_logaddexp(s, a, b), 1));
  mx_array *possible = mx_less(s, loss, mx_weak(s, loss, -NEVER / 10));
  loss = mx_where(s, possible, loss, mx_weak(s, loss, zero_infinity ? 0 : INFINITY));
  return reduced(s, loss, out, reduction);
}
