"""Embedding."""

import math
from typing import Literal, Optional

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module
from mlx.nn.layers.quantized import QuantizedEmbedding


class Embedding(Module):
    """A table of ``num_embeddings`` vectors of ``dims`` numbers, looked up by whole numbers.

    The weight starts normal with a deviation of 1/sqrt(dims).
    """

    def __init__(self, num_embeddings: int, dims: int):
        super().__init__()
        self.weight = mx.random.normal(shape=(num_embeddings, dims), scale=math.sqrt(1 / dims))

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"

    def __call__(self, x: mx.array) -> mx.array:
        return self["weight"][x]

    def as_linear(self, x) -> mx.array:
        """The table as a linear layer, for models whose last layer shares it."""
        return x @ self["weight"].T

    def to_quantized(
        self,
        group_size: Optional[int] = None,
        bits: Optional[int] = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ):
        """The same layer with a quantized table."""
        if quantize_input:
            raise ValueError("Quantized input is not supported.")
        return QuantizedEmbedding.from_embedding(self, group_size, bits, mode)


class EmbeddingBag(Module):
    """The sum, mean or maximum of the vectors that each bag of whole numbers looks up.

    Bags are the rows of ``(bags, L)``, or parts of ``(T,)`` that begin at ``offsets``, rising from 0; an empty bag gives
    zeros. The weight starts as that of :class:`Embedding`.
    """

    def __init__(self, num_embeddings: int, dims: int, mode: Literal["sum", "mean", "max"] = "mean"):
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"[EmbeddingBag] Unknown mode '{mode}', expected 'sum', 'mean' or 'max'.")
        self.weight = mx.random.normal(shape=(num_embeddings, dims), scale=math.sqrt(1 / dims))
        self.mode = mode

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}, mode={self.mode!r}"

    def __call__(
        self, x: mx.array, offsets: Optional[mx.array] = None, per_sample_weights: Optional[mx.array] = None
    ) -> mx.array:
        """``per_sample_weights``, of the shape of ``x``, multiply the vectors of a sum."""
        return _nn.embedding_bag(x, self["weight"], offsets, per_sample_weights, self.mode)
