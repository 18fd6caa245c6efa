"""Positional encodings."""

import math
from typing import Optional

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


class RoPE(Module):
    """Rotary encoding: turns pairs of the first ``dims`` features by an angle that grows with the position.

    Pairs are features half of ``dims`` apart, or neighbours if ``traditional``. Input ``(..., L, D)``.
    """

    def __init__(self, dims: int, traditional: bool = False, base: float = 10000, scale: float = 1.0):
        super().__init__()
        self.dims = dims
        self.traditional = traditional
        self.base = base
        self.scale = scale

    def _extra_repr(self) -> str:
        return f"{self.dims}, traditional={self.traditional}"

    def __call__(self, x, offset: int = 0):
        return mx.fast.rope(x, self.dims, traditional=self.traditional, base=self.base, scale=self.scale, offset=offset)


class SinusoidalPositionalEncoding(Module):
    """Sines and cosines of the position at frequencies between ``min_freq`` and ``max_freq``, half of ``dims`` each."""

    def __init__(
        self,
        dims: int,
        min_freq: float = 0.0001,
        max_freq: float = 1,
        scale: Optional[float] = None,
        cos_first: bool = False,
        full_turns: bool = False,
    ):
        super().__init__()
        # the underscore keeps it out of the parameters
        self._sigmas = _nn.sinusoidal_frequencies(dims, min_freq, max_freq, full_turns)
        self.scale = scale or math.sqrt(2 / dims)
        self.cos_first = cos_first

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.sinusoidal(x, self["_sigmas"], self.scale, self.cos_first)


class ALiBi(Module):
    """Adds to attention scores a penalty that grows with the distance, at another rate for each head."""

    _last = (None, None)  # the shape asked for last, and its matrix

    @staticmethod
    def create_alibi_matrix(
        q_sequence_length: int,
        k_sequence_length: int,
        num_heads: int,
        offset: int = 0,
        dtype: mx.Dtype = mx.float32,
    ) -> mx.array:
        """The penalties ``(1, heads, queries, keys)``; the first query stands at position ``offset``."""
        asked = (q_sequence_length, k_sequence_length, num_heads, offset, dtype)
        if ALiBi._last[0] != asked:
            ALiBi._last = (asked, _nn.alibi(*asked))
        return ALiBi._last[1]

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """The rate of each head, shape ``(heads, 1, 1)``.

        For a power of two of heads the powers 1, 2, ... of ``2 ** -(8 / heads)``. For other numbers those of the
        next smaller power of two, then every other one of the next larger.
        """

        return _nn.alibi_slopes(num_heads, dtype)

    def __call__(self, attention_scores: mx.array, offset: int = 0, mask: Optional[mx.array] = None) -> mx.array:
        bias = ALiBi.create_alibi_matrix(
            q_sequence_length=attention_scores.shape[-2] + offset,
            k_sequence_length=attention_scores.shape[-1],
            num_heads=attention_scores.shape[1],
            offset=offset,
            dtype=attention_scores.dtype,
        )
        if mask is not None:
            bias = bias + mask
        return attention_scores + bias
