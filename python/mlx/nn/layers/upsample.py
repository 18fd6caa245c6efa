"""Upsample: resize the spatial axes of channels-last inputs.

Each axis is resized on its own: an output place is a weighted sum of a few input places, its taps.
"""

from typing import Literal, Tuple, Union

import mlx.core as mx
from mlx.nn.layers.base import Module


def _centres(n, scale, align_corners):
    """Where the output places lie among ``n`` input places, the middle of both at the same spot."""
    m = int(scale * n)
    if align_corners:
        return mx.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    step = 1 / scale
    return mx.arange(m) * step - ((m - 1) * step - n + 1) / 2


def _nearest(n, scale):
    """The one input place of each output place."""
    m = int(scale * n)
    places = mx.arange(m)
    if m < n:
        return mx.floor(places * (n / m)).astype(mx.int32)
    return mx.clip(mx.round((places + 0.5) * (n / m) - 0.5), 0, n - 1).astype(mx.int32)


def _triangle(d):
    return mx.maximum(1 - mx.abs(d), 0)


def _cubic(d, a):
    """Keys' cubic: one polynomial up to distance 1, another up to 2."""
    d = mx.abs(d)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return mx.where(d <= 1, near, mx.where(d < 2, far, 0.0))


def _taps(n, scale, mode, align_corners, antialias):
    """The places ``(taps, m)`` and weights ``(taps, m)`` of one axis."""
    centre = _centres(n, scale, align_corners)
    if mode == "linear" and not antialias:
        centre = mx.clip(centre, 0, n - 1)
    reach = 1 if mode == "linear" else 2
    widen = 1 / scale if antialias and scale < 1 else 1.0  # a filter as wide as an output place
    taps = int(2 * reach * widen + 1) if widen > 1 else 2 * reach
    first = mx.floor(centre - reach * widen) + 1
    places = first[None] + mx.arange(taps)[:, None]
    distance = (places - centre) / widen
    # the antialiased cubic is the softer one, as in PIL
    weights = _triangle(distance) if mode == "linear" else _cubic(distance, -0.5 if antialias else -0.75)
    if antialias:
        weights = mx.where((places >= 0) & (places < n), weights, 0.0)
        weights = weights / mx.sum(weights, axis=0, keepdims=True)
    return mx.clip(places, 0, n - 1).astype(mx.int32), weights


def _resize(x, axis, taps):
    places, weights = taps
    shape = [1] * x.ndim
    shape[axis] = -1
    total = 0
    for place, weight in zip(places, weights):
        total = total + mx.take(x, place, axis=axis) * weight.reshape(shape)
    return total


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
        dims = x.ndim - 2
        if dims <= 0:
            raise ValueError(
                "[Upsample] The input should have at least 1 spatial dimension which means it should be at least "
                f"3D but {x.ndim}D was provided"
            )
        scales = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * dims
        if len(scales) != dims:
            raise ValueError(
                f"[Upsample] One scale per spatial dimension is required but scale_factor={scales} and the number "
                f"of spatial dimensions were {dims}"
            )
        for axis, scale in enumerate(scales, 1):
            n = x.shape[axis]
            if self.mode == "nearest":
                if scale == int(scale):
                    x = x if scale == 1 else mx.repeat(x, int(scale), axis=axis)
                else:
                    x = mx.take(x, _nearest(n, scale), axis=axis)
            else:
                x = _resize(x, axis, _taps(n, scale, self.mode, self.align_corners, self.antialias))
        return x
