"""Positional encodings."""

import math
from typing import Optional

import mlx.core as mx
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
        one_zero = 1 - mx.arange(0, dims // 2) / (dims // 2 - 1)
        min_freq = math.log(min_freq)
        max_freq = math.log(max_freq)
        # the underscore keeps it out of the parameters
        self._sigmas = mx.exp(one_zero * (max_freq - min_freq) + min_freq)
        if full_turns:
            self._sigmas = self._sigmas * (2 * math.pi)
        self.scale = scale or math.sqrt(2 / dims)
        self.cos_first = cos_first

    def __call__(self, x: mx.array) -> mx.array:
        angle = x[..., None] * self._sigmas
        sine, cosine = mx.sin(angle), mx.cos(angle)
        y = mx.concatenate([cosine, sine] if self.cos_first else [sine, cosine], axis=-1)
        return y if self.scale == 1 else y * self.scale


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
            queries = mx.arange(offset, q_sequence_length)
            keys = mx.arange(0, k_sequence_length)
            distance = -mx.abs(mx.expand_dims(queries[:, None] - keys[None, :], axis=(0, 1)))
            slope = ALiBi.create_alibi_slope(num_heads=num_heads, dtype=dtype)
            ALiBi._last = (asked, distance.astype(dtype) * slope)
        return ALiBi._last[1]

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """The rate of each head, shape ``(heads, 1, 1)``.

        For a power of two of heads the powers 1, 2, ... of ``2 ** -(8 / heads)``. For other numbers those of the
        next smaller power of two, then every other one of the next larger.
        """

        def powers(n):
            return [2 ** (-8 * i / n) for i in range(1, n + 1)]

        below = 2 ** int(math.log2(num_heads))
        slopes = powers(below) + powers(2 * below)[::2][: num_heads - below]
        return mx.array(slopes, dtype=dtype).reshape(-1, 1, 1)

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
