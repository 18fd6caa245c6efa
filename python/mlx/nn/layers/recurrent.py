"""Recurrent layers over inputs ``(L, D)`` or ``(N, L, D)``. What they compute is in C, src/nn/recurrent.c."""

import math
from typing import Callable, Optional

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.activations import tanh
from mlx.nn.layers.base import Module


def _uniform(hidden_size, *shape):
    scale = 1.0 / math.sqrt(hidden_size)
    return mx.random.uniform(-scale, scale, shape)


class RNN(Module):
    """Elman's: ``h = f(Wxh x + Whh h + bias)``; returns all hidden states ``(..., L, H)``."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Optional[Callable] = None):
        super().__init__()
        self.nonlinearity = nonlinearity or tanh
        if not callable(self.nonlinearity):
            raise ValueError(f"Nonlinearity must be callable. Current value: {nonlinearity}.")
        self.hidden_size = hidden_size
        self.Wxh = _uniform(hidden_size, hidden_size, input_size)
        self.Whh = _uniform(hidden_size, hidden_size, hidden_size)
        self.bias = _uniform(hidden_size, hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return (
            f"input_dims={self.Wxh.shape[1]}, hidden_size={self.hidden_size}, "
            f"nonlinearity={self.nonlinearity}, bias={self.bias is not None}"
        )

    def __call__(self, x: mx.array, hidden=None) -> mx.array:
        if self.nonlinearity is tanh:
            return _nn.rnn(x, self.Wxh, self.Whh, self.bias, hidden)
        x = x @ self.Wxh.T if self.bias is None else mx.addmm(self.bias, x, self.Wxh.T)
        W = self.Whh.T
        states = []
        for t in range(x.shape[-2]):
            now = x[..., t, :]
            hidden = self.nonlinearity(now if hidden is None else mx.addmm(now, hidden, W))
            states.append(hidden)
        return mx.stack(states, axis=-2)


class GRU(Module):
    """Gated recurrent unit; returns all hidden states ``(..., L, H)``.

    The rows of ``Wx`` and ``Wh`` are the reset gate's, the update gate's and the new state's; ``b`` belongs to the
    input's side of all three, ``bhn`` to the hidden side of the new state.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = _uniform(hidden_size, 3 * hidden_size, input_size)
        self.Wh = _uniform(hidden_size, 3 * hidden_size, hidden_size)
        self.b = _uniform(hidden_size, 3 * hidden_size) if bias else None
        self.bhn = _uniform(hidden_size, hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, bias={self.b is not None}"

    def __call__(self, x: mx.array, hidden=None) -> mx.array:
        return _nn.gru(x, self.Wx, self.Wh, self.b, self.bhn, hidden)


class LSTM(Module):
    """Long short-term memory; returns all hidden states and all cell states, ``(..., L, H)`` each.

    The rows of ``Wx`` and ``Wh`` are those of the input gate, the forget gate, the new cell and the output gate.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.hidden_size = hidden_size
        self.Wx = _uniform(hidden_size, 4 * hidden_size, input_size)
        self.Wh = _uniform(hidden_size, 4 * hidden_size, hidden_size)
        self.bias = _uniform(hidden_size, 4 * hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, bias={self.bias is not None}"

    def __call__(self, x: mx.array, hidden=None, cell=None) -> mx.array:
        return _nn.lstm(x, self.Wx, self.Wh, self.bias, hidden, cell)
