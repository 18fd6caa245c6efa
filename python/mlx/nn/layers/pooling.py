"""Pooling over channels-last inputs: ``(N, L, C)``, ``(N, H, W, C)``, ``(N, D, H, W, C)``."""

from typing import Optional, Tuple, Union

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


def _numbers(x, n, name, what, least=1):
    """``x`` as a whole number, ``least`` or more, for each of ``n`` axes."""
    if isinstance(x, int):
        x = (x,) * n
    if not isinstance(x, (tuple, list)) or len(x) != n or not all(isinstance(i, int) for i in x):
        raise ValueError(f"[{name}] '{what}' must be an integer or a tuple containing {n} integer{'s' if n > 1 else ''}")
    if min(x) < least:
        raise ValueError(f"[{name}] '{what}' must be {'positive' if least else 'non-negative'} but got {tuple(x)}.")
    return tuple(x)


class _Pool(Module):
    _pool = None

    def __init__(self, n, kernel_size, stride, padding) -> None:
        super().__init__()
        name = type(self).__name__
        self._kernel_size = _numbers(kernel_size, n, name, "kernel_size")
        self._stride = self._kernel_size if stride is None else _numbers(stride, n, name, "stride")
        self._padding = _numbers(padding, n, name, "padding", 0)

    def _extra_repr(self) -> str:
        return f"kernel_size={self._kernel_size}, stride={self._stride}, padding={self._padding}"

    def __call__(self, x: mx.array) -> mx.array:
        kernel = self["_kernel_size"]
        n = len(kernel)
        if x.ndim != n + 2:
            raise ValueError(
                f"[{type(self).__name__}] The input must have a batch, {n} spatial and a channel dimension, "
                f"but its shape is {x.shape}."
            )
        return self._pool(x, kernel, self["_stride"], self["_padding"])


class _MaxPool(_Pool):
    _pool = staticmethod(_nn.max_pool)


class _AvgPool(_Pool):
    _pool = staticmethod(_nn.avg_pool)


class _Pool1d(_Pool):
    pass


class _Pool2d(_Pool):
    pass


class _Pool3d(_Pool):
    pass


class MaxPool1d(_Pool1d, _MaxPool):
    """The largest value of each window; padding counts as minus infinity."""

    def __init__(
        self,
        kernel_size: Union[int, Tuple[int]],
        stride: Optional[Union[int, Tuple[int]]] = None,
        padding: Union[int, Tuple[int]] = 0,
    ):
        super().__init__(1, kernel_size, stride, padding)


class AvgPool1d(_Pool1d, _AvgPool):
    """The mean of each window; padding counts as zeros."""

    def __init__(
        self,
        kernel_size: Union[int, Tuple[int]],
        stride: Optional[Union[int, Tuple[int]]] = None,
        padding: Union[int, Tuple[int]] = 0,
    ):
        super().__init__(1, kernel_size, stride, padding)


class MaxPool2d(_Pool2d, _MaxPool):
    """The largest value of each window; padding counts as minus infinity."""

    def __init__(
        self,
        kernel_size: Union[int, Tuple[int, int]],
        stride: Optional[Union[int, Tuple[int, int]]] = None,
        padding: Optional[Union[int, Tuple[int, int]]] = 0,
    ):
        super().__init__(2, kernel_size, stride, padding)


class AvgPool2d(_Pool2d, _AvgPool):
    """The mean of each window; padding counts as zeros."""

    def __init__(
        self,
        kernel_size: Union[int, Tuple[int, int]],
        stride: Optional[Union[int, Tuple[int, int]]] = None,
        padding: Optional[Union[int, Tuple[int, int]]] = 0,
    ):
        super().__init__(2, kernel_size, stride, padding)


class MaxPool3d(_Pool3d, _MaxPool):
    """The largest value of each window; padding counts as minus infinity."""

    def __init__(
        self,
        kernel_size: Union[int, Tuple[int, int, int]],
        stride: Optional[Union[int, Tuple[int, int, int]]] = None,
        padding: Optional[Union[int, Tuple[int, int, int]]] = 0,
    ):
        super().__init__(3, kernel_size, stride, padding)


class AvgPool3d(_Pool3d, _AvgPool):
    """The mean of each window; padding counts as zeros."""

    def __init__(
        self,
        kernel_size: Union[int, Tuple[int, int, int]],
        stride: Optional[Union[int, Tuple[int, int, int]]] = None,
        padding: Optional[Union[int, Tuple[int, int, int]]] = 0,
    ):
        super().__init__(3, kernel_size, stride, padding)


class _AdaptivePool(Module):
    _pool = None

    def __init__(self, n, output_size) -> None:
        super().__init__()
        sizes = (output_size,) * n if output_size is None or isinstance(output_size, int) else tuple(output_size)
        if len(sizes) != n or not all(i is None or (isinstance(i, int) and i > 0) for i in sizes):
            raise ValueError(
                f"[{type(self).__name__}] 'output_size' must be a positive integer, None or a tuple of {n} of them, "
                f"but {output_size} was given"
            )
        self._output_size = sizes

    def _extra_repr(self) -> str:
        return f"output_size={self._output_size}"

    def __call__(self, x: mx.array) -> mx.array:
        sizes = self["_output_size"]
        if x.ndim != len(sizes) + 2:
            raise ValueError(
                f"[{type(self).__name__}] The input must have a batch, {len(sizes)} spatial and a channel dimension, "
                f"but its shape is {x.shape}."
            )
        return self._pool(x, [-1 if i is None else i for i in sizes])


class _AdaptiveAvgPool(_AdaptivePool):
    _pool = staticmethod(_nn.adaptive_avg_pool)


class _AdaptiveMaxPool(_AdaptivePool):
    _pool = staticmethod(_nn.adaptive_max_pool)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The mean of each of ``output_size`` bins along the spatial axis, of any input; None keeps the axis."""

    def __init__(self, output_size: Optional[int]):
        super().__init__(1, output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The mean of each of ``output_size`` bins along the spatial axes, of any input; None keeps an axis."""

    def __init__(self, output_size: Union[int, None, Tuple[Optional[int], Optional[int]]]):
        super().__init__(2, output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The mean of each of ``output_size`` bins along the spatial axes, of any input; None keeps an axis."""

    def __init__(self, output_size: Union[int, None, Tuple[Optional[int], Optional[int], Optional[int]]]):
        super().__init__(3, output_size)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest value of each of ``output_size`` bins along the spatial axis, of any input; None keeps the axis."""

    def __init__(self, output_size: Optional[int]):
        super().__init__(1, output_size)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest value of each of ``output_size`` bins along the spatial axes, of any input; None keeps an axis."""

    def __init__(self, output_size: Union[int, None, Tuple[Optional[int], Optional[int]]]):
        super().__init__(2, output_size)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest value of each of ``output_size`` bins along the spatial axes, of any input; None keeps an axis."""

    def __init__(self, output_size: Union[int, None, Tuple[Optional[int], Optional[int], Optional[int]]]):
        super().__init__(3, output_size)
