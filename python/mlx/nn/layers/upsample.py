"""Upsample: resize the spatial axes of channels-last inputs. What it computes is in C, src/nn/upsample.c."""

from typing import Literal, Tuple, Union

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


class Upsample(Module):
    """Resizes the axes between batch and channels by ``scale_factor``, one number or one for each axis.

    ``mode`` is "nearest", "linear" or "cubic". With ``align_corners`` the outer places stay where they are; with
    ``antialias`` shrinking takes in all the places between.
    """

    def __init__(
        self,
        scale_factor: Union[float, Tuple],
        mode: Literal["nearest", "linear", "cubic"] = "nearest",
        align_corners: bool = False,
        antialias: bool = False,
    ):
        super().__init__()
        if mode not in ("nearest", "linear", "cubic"):
            raise ValueError(f"[Upsample] Got unsupported upsampling algorithm: {mode}")
        if antialias and mode == "nearest":
            raise ValueError("[Upsample] Antialiasing is not supported for nearest neighbor upsampling")
        if antialias and align_corners:
            raise ValueError(
                "[Upsample] antialias=True with align_corners=True is not supported. "
                "Use align_corners=False for antialiased interpolation."
            )
        if isinstance(scale_factor, (list, tuple)):
            self.scale_factor = tuple(map(float, scale_factor))
        else:
            self.scale_factor = float(scale_factor)
        self.mode = mode
        self.align_corners = align_corners
        self.antialias = antialias

    def _extra_repr(self) -> str:
        text = f"scale_factor={self.scale_factor}, mode={self.mode!r}, align_corners={self.align_corners}"
        return text + (", antialias=True" if self.antialias else "")

    def __call__(self, x: mx.array) -> mx.array:
        dims, scales = x.ndim - 2, self.scale_factor
        if isinstance(scales, tuple) and len(scales) != dims > 0:
            raise ValueError(
                f"[Upsample] One scale per spatial dimension is required but scale_factor={scales} and the number "
                f"of spatial dimensions were {dims}"
            )
        return _nn.upsample(x, scales, self.mode, self.align_corners, self.antialias)
