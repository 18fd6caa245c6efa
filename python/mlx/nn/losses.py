"""Losses. ``reduction`` says what becomes of the single losses: "none", "mean" or "sum"."""

import math
from typing import Literal, Optional, get_args

import mlx.core as mx

Reduction = Literal["none", "mean", "sum"]


def _reduce(loss: mx.array, reduction: Reduction = "none"):
    if reduction == "none":
        return loss
    if reduction == "mean":
        return mx.mean(loss)
    if reduction == "sum":
        return mx.sum(loss)
    raise ValueError(f"Invalid reduction. Must be one of {get_args(Reduction)}.")


def _same_shape(a_name, a, b_name, b):
    if a.shape != b.shape:
        raise ValueError(f"{a_name} shape {a.shape} does not match {b_name} shape {b.shape}.")


def _weigh(loss, weights):
    if weights is None:
        return loss
    if weights.shape != loss.shape:
        raise ValueError(f"Weights with shape {weights.shape} is not the same as output loss with shape {loss.shape}.")
    return loss * weights


def _pick(x, indices, axis):
    """The elements of ``x`` that ``indices``, without ``axis``, points at along it."""
    return mx.take_along_axis(x, mx.expand_dims(indices, axis), axis).squeeze(axis)


def cross_entropy(
    logits: mx.array,
    targets: mx.array,
    weights: Optional[mx.array] = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: Reduction = "none",
) -> mx.array:
    """Minus the log of the softmax at the targets, which are class numbers, or probabilities of ``logits``' shape.

    With ``label_smoothing`` that share of the target is spread over all classes.
    """
    if label_smoothing < 0 or label_smoothing >= 1:
        raise ValueError(f"Label smoothing must be in [0, 1), got {label_smoothing}.")
    are_probabilities = targets.ndim == logits.ndim
    expected = list(logits.shape)
    if not are_probabilities:
        del expected[axis]
    if list(targets.shape) != expected:
        raise ValueError(f"Targets shape {targets.shape} does not match logits shape {logits.shape}.")

    score = mx.sum(logits * targets, axis=axis) if are_probabilities else _pick(logits, targets, axis)
    loss = mx.logsumexp(logits, axis=axis)
    if label_smoothing > 0:
        loss = loss - (1 - label_smoothing) * score - label_smoothing * mx.mean(logits, axis=axis)
    else:
        loss = loss - score
    return _reduce(_weigh(loss, weights), reduction)


def binary_cross_entropy(
    inputs: mx.array,
    targets: mx.array,
    weights: Optional[mx.array] = None,
    with_logits: bool = True,
    reduction: Reduction = "mean",
) -> mx.array:
    """Cross entropy of yes and no; ``inputs`` are logits, or probabilities without ``with_logits``.

    The logs of probabilities are cut off at -100.
    """
    _same_shape("Inputs", inputs, "targets", targets)
    if with_logits:
        loss = mx.logaddexp(0.0, inputs) - inputs * targets
    else:
        yes = mx.clip(mx.log(inputs), a_min=-100, a_max=None)
        no = mx.clip(mx.log(1 - inputs), a_min=-100, a_max=None)
        loss = -(targets * yes + (1 - targets) * no)
    return _reduce(_weigh(loss, weights), reduction)


def l1_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """``|predictions - targets|``"""
    _same_shape("Predictions", predictions, "targets", targets)
    return _reduce(mx.abs(predictions - targets), reduction)


def mse_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """``(predictions - targets) ** 2``"""
    _same_shape("Predictions", predictions, "targets", targets)
    return _reduce(mx.square(predictions - targets), reduction)


def nll_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """Minus the inputs, log probabilities, at the targets, class numbers."""
    return _reduce(-_pick(inputs, targets, axis), reduction)


def gaussian_nll_loss(
    inputs: mx.array,
    targets: mx.array,
    vars: mx.array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> mx.array:
    """Minus the log density of ``targets`` under normals of mean ``inputs`` and variance ``vars``, at least ``eps``.

    The constant ``log(2 pi) / 2`` only with ``full``.
    """
    _same_shape("Inputs", inputs, "targets", targets)
    _same_shape("Inputs", inputs, "vars", vars)
    vars = mx.maximum(vars, eps)
    loss = 0.5 * (mx.log(vars) + mx.square(targets - inputs) / vars)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce(loss, reduction)


def kl_div_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """``sum(exp(targets) * (targets - inputs))`` along ``axis``; both are log probabilities."""
    return _reduce(mx.sum(mx.exp(targets) * (targets - inputs), axis), reduction)


def smooth_l1_loss(
    predictions: mx.array, targets: mx.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> mx.array:
    """``d ** 2 / (2 beta)`` where the difference ``d`` is below ``beta``, else ``d - beta / 2``."""
    _same_shape("Predictions", predictions, "targets", targets)
    d = mx.abs(predictions - targets)
    if beta > 0:
        d = mx.where(d < beta, 0.5 * mx.square(d) / beta, d - 0.5 * beta)
    return _reduce(d, reduction)


def triplet_loss(
    anchors: mx.array,
    positives: mx.array,
    negatives: mx.array,
    axis: int = -1,
    p: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    reduction: Reduction = "none",
) -> mx.array:
    """By how much the positives are not nearer to the anchors, by ``margin`` in the ``p`` norm, than the negatives."""

    def distance(a, b):
        d = a - b
        if p == 2:
            return mx.sqrt(mx.sum(mx.square(d), axis) + eps)
        return mx.power(mx.sum(mx.power(mx.abs(d), p), axis) + eps, 1 / p)

    return _reduce(mx.maximum(distance(anchors, positives) - distance(anchors, negatives) + margin, 0), reduction)


def hinge_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """``max(1 - inputs * targets, 0)`` with targets of -1 and 1"""
    return _reduce(mx.maximum(1 - inputs * targets, 0), reduction)


def huber_loss(inputs: mx.array, targets: mx.array, delta: float = 1.0, reduction: Reduction = "none") -> mx.array:
    """``d ** 2 / 2`` where the difference ``d`` is up to ``delta``, else ``delta * (d - delta / 2)``"""
    d = mx.abs(inputs - targets)
    inner = mx.minimum(d, delta)
    return _reduce(0.5 * mx.square(inner) + delta * (d - inner), reduction)


def log_cosh_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """``log(cosh(inputs - targets))``"""
    d = inputs - targets
    return _reduce(mx.logaddexp(d, -d) - math.log(2), reduction)


def cosine_similarity_loss(
    x1: mx.array, x2: mx.array, axis: int = 1, eps: float = 1e-8, reduction: Reduction = "none"
) -> mx.array:
    """The cosine of the angle between ``x1`` and ``x2``; the product of their lengths counts as at least ``eps``."""
    lengths = mx.linalg.norm(x1, axis=axis) * mx.linalg.norm(x2, axis=axis)
    return _reduce(mx.sum(x1 * x2, axis=axis) / mx.maximum(lengths, eps), reduction)


def margin_ranking_loss(
    inputs1: mx.array, inputs2: mx.array, targets: mx.array, margin: float = 0.0, reduction: Reduction = "none"
) -> mx.array:
    """``max(0, margin - targets * (inputs1 - inputs2))``: the first should be larger where the target is 1, not -1."""
    if not (inputs1.shape == inputs2.shape == targets.shape):
        raise ValueError(
            f"The shapes of the arguments do not match. The provided shapes are inputs1.shape={inputs1.shape}, "
            f"inputs2.shape={inputs2.shape}, and targets.shape={targets.shape}."
        )
    return _reduce(mx.maximum(0, -targets * (inputs1 - inputs2) + margin), reduction)
