"""Recurrent layers over inputs ``(L, D)`` or ``(N, L, D)``.

The part of a step that hangs on the input alone is one product for the whole sequence, before the loop.
"""

import math
from typing import Callable, Optional

import mlx.core as mx
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
        x = x @ self.Wx.T if self.b is None else mx.addmm(self.b, x, self.Wx.T)
        W = self.Wh.T
        n = 2 * self.hidden_size
        x_gates, x_new = x[..., :n], x[..., n:]
        states = []
        for t in range(x.shape[-2]):
            gates, new = x_gates[..., t, :], x_new[..., t, :]
            h_new = self.bhn
            if hidden is not None:
                h = hidden @ W
                gates = gates + h[..., :n]
                h_new = h[..., n:] if h_new is None else h[..., n:] + h_new
            r, z = mx.split(mx.sigmoid(gates), 2, axis=-1)
            if h_new is not None:
                new = new + r * h_new
            new = mx.tanh(new)
            hidden = (1 - z) * new if hidden is None else (1 - z) * new + z * hidden
            states.append(hidden)
        return mx.stack(states, axis=-2)


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
        x = x @ self.Wx.T if self.bias is None else mx.addmm(self.bias, x, self.Wx.T)
        W = self.Wh.T
        hiddens, cells = [], []
        for t in range(x.shape[-2]):
            gates = x[..., t, :]
            if hidden is not None:
                gates = mx.addmm(gates, hidden, W)
            i, f, g, o = mx.split(gates, 4, axis=-1)
            new = mx.sigmoid(i) * mx.tanh(g)
            cell = new if cell is None else mx.sigmoid(f) * cell + new
            hidden = mx.sigmoid(o) * mx.tanh(cell)
            hiddens.append(hidden)
            cells.append(cell)
        return mx.stack(hiddens, axis=-2), mx.stack(cells, axis=-2)
