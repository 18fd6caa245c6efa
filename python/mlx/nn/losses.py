"""Losses. ``reduction`` says what becomes of the single losses: "none", "mean" or "sum".

What they compute is in C, src/nn/losses.c.
"""

from typing import Literal, Optional

import mlx.core as mx
from mlx.core import _nn

Reduction = Literal["none", "mean", "sum"]


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
    return _nn.cross_entropy(logits, targets, weights, axis, label_smoothing, reduction)


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
    return _nn.binary_cross_entropy(inputs, targets, weights, with_logits, reduction)


def l1_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """``|predictions - targets|``"""
    return _nn.l1_loss(predictions, targets, reduction)


def mse_loss(predictions: mx.array, targets: mx.array, reduction: Reduction = "mean") -> mx.array:
    """``(predictions - targets) ** 2``"""
    return _nn.mse_loss(predictions, targets, reduction)


def nll_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """Minus the inputs, log probabilities, at the targets, class numbers."""
    return _nn.nll_loss(inputs, targets, axis, reduction)


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
    return _nn.gaussian_nll_loss(inputs, targets, vars, full, eps, reduction)


def kl_div_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: Reduction = "none") -> mx.array:
    """``sum(exp(targets) * (targets - inputs))`` along ``axis``; both are log probabilities."""
    return _nn.kl_div_loss(inputs, targets, axis, reduction)


def smooth_l1_loss(
    predictions: mx.array, targets: mx.array, beta: float = 1.0, reduction: Reduction = "mean"
) -> mx.array:
    """``d ** 2 / (2 beta)`` where the difference ``d`` is below ``beta``, else ``d - beta / 2``."""
    return _nn.smooth_l1_loss(predictions, targets, beta, reduction)


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
    return _nn.triplet_loss(anchors, positives, negatives, axis, p, margin, eps, reduction)


def hinge_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """``max(1 - inputs * targets, 0)`` with targets of -1 and 1"""
    return _nn.hinge_loss(inputs, targets, reduction)


def huber_loss(inputs: mx.array, targets: mx.array, delta: float = 1.0, reduction: Reduction = "none") -> mx.array:
    """``d ** 2 / 2`` where the difference ``d`` is up to ``delta``, else ``delta * (d - delta / 2)``"""
    return _nn.huber_loss(inputs, targets, delta, reduction)


def log_cosh_loss(inputs: mx.array, targets: mx.array, reduction: Reduction = "none") -> mx.array:
    """``log(cosh(inputs - targets))``"""
    return _nn.log_cosh_loss(inputs, targets, reduction)


def cosine_similarity_loss(
    x1: mx.array, x2: mx.array, axis: int = 1, eps: float = 1e-8, reduction: Reduction = "none"
) -> mx.array:
    """The cosine of the angle between ``x1`` and ``x2``; the product of their lengths counts as at least ``eps``."""
    return _nn.cosine_similarity_loss(x1, x2, axis, eps, reduction)


def margin_ranking_loss(
    inputs1: mx.array, inputs2: mx.array, targets: mx.array, margin: float = 0.0, reduction: Reduction = "none"
) -> mx.array:
    """``max(0, margin - targets * (inputs1 - inputs2))``: the first should be larger where the target is 1, not -1."""
    return _nn.margin_ranking_loss(inputs1, inputs2, targets, margin, reduction)


def ctc_loss(
    log_probs: mx.array,
    targets: mx.array,
    input_lengths: mx.array,
    target_lengths: mx.array,
    blank: int = 0,
    zero_infinity: bool = False,
    reduction: Reduction = "mean",
) -> mx.array:
    """Minus the log of the probability that ``log_probs`` ``(N, T, C)`` give to the labels ``targets`` ``(N, S)``.

    The labels may come at any steps, in their order, with ``blank`` between; the lengths ``(N,)`` say how many steps and
    labels count. Too few steps give infinity, or 0 with ``zero_infinity``. "mean" divides by the lengths of the targets
    first, as PyTorch does.
    """
    return _nn.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity, reduction)
