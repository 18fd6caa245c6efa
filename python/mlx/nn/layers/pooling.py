"""Pooling over channels-last inputs: ``(N, L, C)``, ``(N, H, W, C)``, ``(N, D, H, W, C)``."""

from typing import Optional, Tuple, Union

import mlx.core as mx
from mlx.nn.layers.base import Module


def _numbers(x, n, name, what):
    """``x`` as a whole number for each of ``n`` axes."""
    if isinstance(x, int):
        return (x,) * n
    if isinstance(x, (tuple, list)) and len(x) == n and all(isinstance(i, int) for i in x):
        return tuple(x)
    raise ValueError(f"[{name}] '{what}' must be an integer or a tuple containing {n} integer{'s' if n > 1 else ''}")


def _windows(x, kernel, stride):
    """The windows as a view ``(N, *places, *kernel, C)``."""
    places = [max((s - k) // t + 1, 0) for s, k, t in zip(x.shape[1:-1], kernel, stride)]
    strides = [1]  # of a row-contiguous x
    for s in x.shape[:0:-1]:
        strides.insert(0, strides[0] * s)
    inner = strides[1:-1]
    return mx.as_strided(
        x,
        shape=(x.shape[0], *places, *kernel, x.shape[-1]),
        strides=(strides[0], *(s * t for s, t in zip(inner, stride)), *inner, 1),
    )


def _tiles(x, kernel):
    """Windows that lie side by side, ``(N, place, kernel, place, kernel, ..., C)``: nothing is read twice."""
    size = x.shape
    shape, cut = [size[0]], [slice(None)]
    for s, k in zip(size[1:-1], kernel):
        shape += (s // k, k)
        cut.append(slice(s - s % k))
    if any(s % k for s, k in zip(size[1:-1], kernel)):
        x = x[tuple(cut)]
    return x.reshape(*shape, size[-1])


class _Pool(Module):
    _pool = None  # mx.max or mx.mean
    _padding_value = 0

    def __init__(self, n, kernel_size, stride, padding) -> None:
        super().__init__()
        name = type(self).__name__
        self._kernel_size = _numbers(kernel_size, n, name, "kernel_size")
        self._stride = self._kernel_size if stride is None else _numbers(stride, n, name, "stride")
        self._padding = _numbers(padding, n, name, "padding")

    def _extra_repr(self) -> str:
        return f"kernel_size={self._kernel_size}, stride={self._stride}, padding={self._padding}"

    def __call__(self, x: mx.array) -> mx.array:
        kernel, stride = self["_kernel_size"], self["_stride"]
        n = len(kernel)
        if x.ndim != n + 2:
            raise ValueError(
                f"[{type(self).__name__}] The input must have a batch, {n} spatial and a channel dimension, "
                f"but its shape is {x.shape}."
            )
        if any(self["_padding"]):
            edges = [(0, 0), *((p, p) for p in self["_padding"]), (0, 0)]
            x = mx.pad(x, edges, constant_values=self._padding_value)
        if kernel == stride:
            return self._pool(_tiles(x, kernel), list(range(2, 2 * n + 1, 2)))
        return self._pool(_windows(x, kernel, stride), list(range(n + 1, 2 * n + 1)))


class _MaxPool(_Pool):
    _pool = staticmethod(mx.max)
    _padding_value = -float("inf")


class _AvgPool(_Pool):
    _pool = staticmethod(mx.mean)


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
