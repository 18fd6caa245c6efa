"""Convolutions over channels-last inputs: ``(N, L, C)``, ``(N, H, W, C)``, ``(N, D, H, W, C)``."""

import math
from typing import Union

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


def as_tuple(x, n) -> tuple:
    """A whole number for each of ``n`` axes."""
    return (x,) * n if isinstance(x, int) else tuple(x)


def init_conv(layer, in_channels, out_channels, kernel, groups, bias) -> None:
    """The parameters of any convolution: weight ``(out, *kernel, in / groups)``, uniform ±1/sqrt(its fan), bias 0."""
    channels = in_channels // groups
    scale = math.sqrt(1 / (channels * math.prod(kernel)))
    layer.weight = mx.random.uniform(-scale, scale, (out_channels, *kernel, channels))
    if bias:
        layer.bias = mx.zeros((out_channels,))


class Conv1d(Module):
    """``mx.conv1d`` with a learned weight and bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError(
                f"The number of input channels ({in_channels}) must be divisible by the number of groups ({groups})"
            )
        init_conv(self, in_channels, out_channels, (kernel_size,), groups, bias)
        self.padding = padding
        self.dilation = dilation
        self.stride = stride
        self.groups = groups

    def _extra_repr(self) -> str:
        out, kernel, channels = self.weight.shape
        return (
            f"{channels * self.groups}, {out}, kernel_size={kernel}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.conv(x, self["weight"], self.get("bias"), self.stride, self.padding, self.dilation, self.groups)


class Conv2d(Module):
    """``mx.conv2d`` with a learned weight and bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Union[int, tuple],
        stride: Union[int, tuple] = 1,
        padding: Union[int, tuple] = 0,
        dilation: Union[int, tuple] = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError(
                f"The number of input channels ({in_channels}) must be divisible by the number of groups ({groups})"
            )
        init_conv(self, in_channels, out_channels, as_tuple(kernel_size, 2), groups, bias)
        self.padding = as_tuple(padding, 2)
        self.stride = as_tuple(stride, 2)
        self.dilation = dilation
        self.groups = groups

    def _extra_repr(self) -> str:
        out, *kernel, channels = self.weight.shape
        return (
            f"{channels * self.groups}, {out}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.conv(x, self["weight"], self.get("bias"), self["stride"], self["padding"], self.dilation, self.groups)


class Conv3d(Module):
    """``mx.conv3d`` with a learned weight and bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Union[int, tuple],
        stride: Union[int, tuple] = 1,
        padding: Union[int, tuple] = 0,
        dilation: Union[int, tuple] = 1,
        bias: bool = True,
    ):
        super().__init__()
        init_conv(self, in_channels, out_channels, as_tuple(kernel_size, 3), 1, bias)
        self.padding = as_tuple(padding, 3)
        self.stride = as_tuple(stride, 3)
        self.dilation = dilation

    def _extra_repr(self) -> str:
        out, *kernel, channels = self.weight.shape
        return (
            f"{channels}, {out}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.conv(x, self["weight"], self.get("bias"), self["stride"], self["padding"], self.dilation, 1)
