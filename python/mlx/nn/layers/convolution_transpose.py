"""Transposed convolutions over channels-last inputs; weights ``(out, *kernel, in)``."""

from typing import Union

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module
from mlx.nn.layers.convolution import as_tuple, init_conv


def _describe(layer, kernel):
    out, channels = layer.weight.shape[0], layer.weight.shape[-1]
    return (
        f"{channels}, {out}, kernel_size={kernel}, stride={layer.stride}, padding={layer.padding}, "
        f"dilation={layer.dilation}, output_padding={layer.output_padding}, bias={'bias' in layer}"
    )


class ConvTranspose1d(Module):
    """``mx.conv_transpose1d`` with a learned weight and bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        output_padding: int = 0,
        bias: bool = True,
    ):
        super().__init__()
        init_conv(self, in_channels, out_channels, (kernel_size,), 1, bias)
        self.padding = padding
        self.dilation = dilation
        self.stride = stride
        self.output_padding = output_padding

    def _extra_repr(self) -> str:
        return _describe(self, self.weight.shape[1])

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.conv_transpose(
            x, self["weight"], self.get("bias"), self.stride, self.padding, self.dilation, self.output_padding
        )


class ConvTranspose2d(Module):
    """``mx.conv_transpose2d`` with a learned weight and bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Union[int, tuple],
        stride: Union[int, tuple] = 1,
        padding: Union[int, tuple] = 0,
        dilation: Union[int, tuple] = 1,
        output_padding: Union[int, tuple] = 0,
        bias: bool = True,
    ):
        super().__init__()
        init_conv(self, in_channels, out_channels, as_tuple(kernel_size, 2), 1, bias)
        self.padding = as_tuple(padding, 2)
        self.stride = as_tuple(stride, 2)
        self.output_padding = as_tuple(output_padding, 2)
        self.dilation = dilation

    def _extra_repr(self) -> str:
        return _describe(self, self.weight.shape[1:-1])

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.conv_transpose(
            x, self["weight"], self.get("bias"), self.stride, self.padding, self.dilation, self.output_padding
        )


class ConvTranspose3d(Module):
    """``mx.conv_transpose3d`` with a learned weight and bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Union[int, tuple],
        stride: Union[int, tuple] = 1,
        padding: Union[int, tuple] = 0,
        dilation: Union[int, tuple] = 1,
        output_padding: Union[int, tuple] = 0,
        bias: bool = True,
    ):
        super().__init__()
        init_conv(self, in_channels, out_channels, as_tuple(kernel_size, 3), 1, bias)
        self.padding = as_tuple(padding, 3)
        self.stride = as_tuple(stride, 3)
        self.output_padding = as_tuple(output_padding, 3)
        self.dilation = dilation

    def _extra_repr(self) -> str:
        return _describe(self, self.weight.shape[1:-1])

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.conv_transpose(
            x, self["weight"], self.get("bias"), self.stride, self.padding, self.dilation, self.output_padding
        )
