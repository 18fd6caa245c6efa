"""Dropout: in training mode inputs become 0 with a probability and the others grow to keep the mean."""

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5):
        super().__init__()
        if p < 0 or p >= 1:
            raise ValueError(f"The dropout probability {p} is not in [0, 1)")
        self._p_1 = 1 - p  # of staying

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"

    def _drop(self, drop, x):
        return drop(x, 1 - self._p_1) if self._training and self._p_1 != 1 else x


class Dropout(_Dropout):
    """Drops single elements with probability ``p``."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def __call__(self, x: mx.array) -> mx.array:
        return self._drop(_nn.dropout, x)


class Dropout2d(_Dropout):
    """Drops whole channels of images ``(N, H, W, C)`` or ``(H, W, C)`` with probability ``p``."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim not in (3, 4):
            raise ValueError(f"Received input with {x.ndim} dimensions. Expected 3 or 4 dimensions.")
        return self._drop(_nn.dropout2d, x)


class Dropout3d(_Dropout):
    """Drops whole channels of volumes ``(N, D, H, W, C)`` or ``(D, H, W, C)`` with probability ``p``."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim not in (4, 5):
            raise ValueError(f"Received input with {x.ndim} dimensions. Expected 4 or 5 dimensions.")
        return self._drop(_nn.dropout3d, x)
