"""Activations, as functions and as layers. What they compute is in C, src/nn/activations.c."""

from typing import Any

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


def sigmoid(x: mx.array) -> mx.array:
    """``1 / (1 + exp(-x))``"""
    return mx.sigmoid(x)


def relu(x: mx.array) -> mx.array:
    """``max(x, 0)``"""
    return _nn.relu(x)


def relu2(x: mx.array) -> mx.array:
    """``max(x, 0)`` squared"""
    return _nn.relu2(x)


def relu6(x: mx.array) -> mx.array:
    """``min(max(x, 0), 6)``"""
    return _nn.relu6(x)


def leaky_relu(x: mx.array, negative_slope=0.01) -> mx.array:
    """``max(negative_slope * x, x)``"""
    return _nn.leaky_relu(x, negative_slope)


def prelu(x: mx.array, alpha: mx.array) -> mx.array:
    """``max(0, x) + alpha * min(0, x)`` with a learned ``alpha``"""
    return _nn.prelu(x, alpha)


def elu(x: mx.array, alpha=1.0) -> mx.array:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``"""
    return _nn.elu(x, alpha)


def celu(x: mx.array, alpha=1.0) -> mx.array:
    """``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)``"""
    return _nn.celu(x, alpha)


def selu(x: mx.array) -> mx.array:
    """:func:`elu` with the two constants that keep mean and variance of a normal input"""
    return _nn.selu(x)


def silu(x: mx.array) -> mx.array:
    """``x * sigmoid(x)``"""
    return _nn.silu(x)


def softplus(x: mx.array) -> mx.array:
    """``log(1 + exp(x))``"""
    return _nn.softplus(x)


def mish(x: mx.array) -> mx.array:
    """``x * tanh(softplus(x))``"""
    return _nn.mish(x)


def log_sigmoid(x: mx.array) -> mx.array:
    """``log(sigmoid(x))``, exact for large arguments"""
    return _nn.log_sigmoid(x)


def softsign(x: mx.array) -> mx.array:
    """``x / (1 + |x|)``"""
    return _nn.softsign(x)


def softshrink(x, lambd: float = 0.5):
    """``x`` moved by ``lambd`` towards 0, and 0 between"""
    return _nn.softshrink(x, lambd)


def hard_shrink(x: mx.array, lambd=0.5) -> mx.array:
    """``x`` where its size is above ``lambd``, else 0"""
    return _nn.hard_shrink(x, lambd)


def hard_tanh(x: mx.array, min_val=-1.0, max_val=1.0) -> mx.array:
    """``x`` cut off at both values"""
    return _nn.hard_tanh(x, min_val, max_val)


def hardswish(x: mx.array) -> mx.array:
    """``x * min(max(x + 3, 0), 6) / 6``"""
    return _nn.hardswish(x)


def tanh(x: mx.array) -> mx.array:
    """Hyperbolic tangent"""
    return mx.tanh(x)


def gelu(x) -> mx.array:
    """``x`` times the normal distribution function at ``x``"""
    return _nn.gelu(x)


def gelu_approx(x: mx.array) -> mx.array:
    """:func:`gelu` by a tanh, off by less than 0.0005"""
    return _nn.gelu_approx(x)


def gelu_fast_approx(x: mx.array) -> mx.array:
    """:func:`gelu` by ``x * sigmoid(1.702 * x)``, off by less than 0.015"""
    return _nn.gelu_fast_approx(x)


def glu(x: mx.array, axis: int = -1) -> mx.array:
    """The first half of ``x`` along ``axis`` times the sigmoid of the second"""
    return _nn.glu(x, axis)


def step(x: mx.array, threshold: float = 0.0):
    """1 from ``threshold`` on, else 0"""
    return _nn.step(x, threshold)


def softmax(x: mx.array, axis=-1) -> mx.array:
    """``exp(x) / sum(exp(x))`` along ``axis``"""
    return mx.softmax(x, axis=axis)


def softmin(x: mx.array, axis=-1) -> mx.array:
    """:func:`softmax` of ``-x``"""
    return _nn.softmin(x, axis)


def log_softmax(x: mx.array, axis=-1) -> mx.array:
    """``x - log(sum(exp(x)))`` along ``axis``"""
    return _nn.log_softmax(x, axis)


def _layer(name, function):
    """A class for a function without settings, as if it had been written out."""

    def __call__(self, x):
        return function(x)

    __call__.__qualname__ = f"{name}.__call__"
    body = {"__call__": __call__, "__module__": __name__, "__doc__": f"The layer of :func:`{function.__name__}`."}
    return type(name, (Module,), body)


ReLU = _layer("ReLU", relu)
ReLU2 = _layer("ReLU2", relu2)
ReLU6 = _layer("ReLU6", relu6)
SELU = _layer("SELU", selu)
SiLU = _layer("SiLU", silu)
Sigmoid = _layer("Sigmoid", sigmoid)
LogSigmoid = _layer("LogSigmoid", log_sigmoid)
Mish = _layer("Mish", mish)
Softplus = _layer("Softplus", softplus)
Softsign = _layer("Softsign", softsign)
Softmax = _layer("Softmax", softmax)
Softmin = _layer("Softmin", softmin)
LogSoftmax = _layer("LogSoftmax", log_softmax)
Hardswish = _layer("Hardswish", hardswish)
HardTanh = _layer("HardTanh", hard_tanh)
Tanh = _layer("Tanh", tanh)


class GLU(Module):
    """The layer of :func:`glu`."""

    def __init__(self, axis: int = -1):
        super().__init__()
        self.axis = axis

    def __call__(self, x):
        return glu(x, self.axis)


class LeakyReLU(Module):
    """The layer of :func:`leaky_relu`."""

    def __init__(self, negative_slope=0.01) -> None:
        super().__init__()
        self._negative_slope = negative_slope

    def __call__(self, x: mx.array) -> mx.array:
        return leaky_relu(x, self._negative_slope)


class ELU(Module):
    """The layer of :func:`elu`."""

    def __init__(self, alpha=1.0) -> None:
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return elu(x, self._alpha)


class CELU(Module):
    """The layer of :func:`celu`."""

    def __init__(self, alpha=1.0) -> None:
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return celu(x, self._alpha)


class PReLU(Module):
    """:func:`prelu` with ``num_parameters`` learned slopes that start at ``init``."""

    def __init__(self, num_parameters=1, init=0.25) -> None:
        super().__init__()
        self.weight = mx.full([num_parameters], init)

    def __call__(self, x: mx.array):
        return prelu(x, self.weight)


class Softshrink(Module):
    """The layer of :func:`softshrink`."""

    def __init__(self, lambd=0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return softshrink(x, self.lambd)


class HardShrink(Module):
    """The layer of :func:`hard_shrink`."""

    def __init__(self, lambd=0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return hard_shrink(x, self.lambd)


class Step(Module):
    """The layer of :func:`step`."""

    def __init__(self, threshold: float = 0.0):
        super().__init__()
        self.threshold = threshold

    def __call__(self, x: mx.array):
        return step(x, self.threshold)


_GELUS = {"none": gelu, "precise": gelu_approx, "tanh": gelu_approx, "fast": gelu_fast_approx}


class GELU(Module):
    """:func:`gelu`; with ``approx`` "precise" or "tanh" :func:`gelu_approx`, with "fast" :func:`gelu_fast_approx`."""

    def __init__(self, approx="none") -> None:
        super().__init__()
        if approx not in _GELUS:
            raise ValueError(f"The approximation should be in {list(_GELUS)} but '{approx}' was given")
        self._approx = approx

    def __call__(self, x: mx.array) -> mx.array:
        return _GELUS[self._approx](x)
