"""Moving places about: pixel shuffle and sampling at a grid."""

from typing import Literal

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


def pixel_shuffle(x: mx.array, upscale_factor: int) -> mx.array:
    """``(N, H, W, C * r * r)`` to ``(N, H * r, W * r, C)``; the last axis is ``(C, r, r)``, as in PyTorch."""
    return _nn.pixel_shuffle(x, upscale_factor)


def pixel_unshuffle(x: mx.array, downscale_factor: int) -> mx.array:
    """The inverse of :func:`pixel_shuffle`."""
    return _nn.pixel_unshuffle(x, downscale_factor)


def grid_sample(
    x: mx.array,
    grid: mx.array,
    mode: Literal["bilinear", "nearest"] = "bilinear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
    align_corners: bool = False,
) -> mx.array:
    """The values of ``x`` ``(N, H, W, C)`` at the places of ``grid`` ``(N, H', W', 2)``, between -1 and 1, x before y.

    Volumes ``(N, D, H, W, C)`` take a grid ``(N, D', H', W', 3)``. With ``align_corners`` -1 and 1 are the middles of the
    outer places, else their edges.
    """
    return _nn.grid_sample(x, grid, mode, padding_mode, align_corners)


class PixelShuffle(Module):
    """The layer of :func:`pixel_shuffle`."""

    def __init__(self, upscale_factor: int):
        super().__init__()
        self.upscale_factor = upscale_factor

    def _extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"

    def __call__(self, x: mx.array) -> mx.array:
        return pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Module):
    """The layer of :func:`pixel_unshuffle`."""

    def __init__(self, downscale_factor: int):
        super().__init__()
        self.downscale_factor = downscale_factor

    def _extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"

    def __call__(self, x: mx.array) -> mx.array:
        return pixel_unshuffle(x, self.downscale_factor)
