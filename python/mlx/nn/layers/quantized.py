"""Layers whose weights are quantized: a few bits an element, with a scale for each group of them."""

import math
from typing import Callable, Optional, Union

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module
from mlx.utils import tree_map_with_path

# group size and bits of each mode where they are not given
_DEFAULTS = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}


def _defaults_for_mode(mode, group_size, bits):
    if mode not in _DEFAULTS:
        raise ValueError(f"Invalid quantization mode '{mode}'. Valid modes are: {', '.join(_DEFAULTS)}.")
    default_group_size, default_bits = _DEFAULTS[mode]
    return default_group_size if group_size is None else group_size, default_bits if bits is None else bits


def _set_quantized(layer, weight):
    """Put the quantized ``weight`` into ``layer``; only the affine mode has biases."""
    layer.weight, layer.scales, *biases = mx.quantize(weight, layer.group_size, layer.bits, mode=layer.mode)
    layer.biases = biases[0] if biases else None


quantized_product = _nn.quantized_product  # of a layer and its input; weight, scales and biases are entries, the rest attributes


def quantize(
    model: Module,
    group_size: int = None,
    bits: int = None,
    *,
    mode: str = "affine",
    quantize_input: bool = False,
    class_predicate: Optional[Callable[[str, Module], Union[bool, dict]]] = None,
):
    """Replace the layers of ``model`` that have ``to_quantized`` by what that returns.

    ``class_predicate(path, module)`` says which: True, False, or a dict of arguments for ``to_quantized``.
    """
    wanted = class_predicate or (lambda _, m: hasattr(m, "to_quantized"))
    settings = {"group_size": group_size, "bits": bits, "mode": mode}
    if quantize_input:
        settings["quantize_input"] = True

    def replace(path, m):
        answer = wanted(path, m)
        if not answer:
            return m
        if not hasattr(m, "to_quantized"):
            raise ValueError(f"Unable to quantize model of type {type(m)}")
        if isinstance(answer, bool):
            return m.to_quantized(**settings)
        if isinstance(answer, dict):
            return m.to_quantized(**answer)
        raise ValueError("``class_predicate`` must return a bool or a dict of parameters to pass to ``to_quantized``")

    leaves = tree_map_with_path(replace, model.leaf_modules(), is_leaf=Module.is_module)
    model.update_modules(leaves)


class QuantizedEmbedding(Module):
    """:class:`Embedding` with a quantized table, which is frozen."""

    def __init__(self, num_embeddings: int, dims: int, group_size: int = None, bits: int = None, mode: str = "affine"):
        super().__init__()
        self.group_size, self.bits = _defaults_for_mode(mode, group_size, bits)
        self.mode = mode
        _set_quantized(self, mx.random.normal(shape=(num_embeddings, dims), scale=math.sqrt(1 / dims)))
        self.num_embeddings = num_embeddings
        self.dims = dims
        self.freeze()

    def __call__(self, x: mx.array) -> mx.array:
        biases = self.get("biases")
        return mx.dequantize(
            self["weight"][x],
            scales=self["scales"][x],
            biases=None if biases is None else biases[x],
            group_size=self.group_size,
            bits=self.bits,
            mode=self.mode,
        )

    def as_linear(self, x) -> mx.array:
        """The table as a linear layer, for models whose last layer shares it."""
        return quantized_product(self, x)

    def _extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.dims}, group_size={self.group_size}, bits={self.bits}, mode={self.mode}"

    @classmethod
    def from_embedding(cls, embedding_layer: Module, group_size: int = None, bits: int = None, mode: str = "affine"):
        """The layer with the table of ``embedding_layer``."""
        layer = cls(*embedding_layer.weight.shape, group_size, bits, mode=mode)
        _set_quantized(layer, embedding_layer.weight)
        return layer


class QuantizedLinear(Module):
    """:class:`Linear` with a quantized weight, which is frozen."""

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = None,
        bits: int = None,
        mode: str = "affine",
    ):
        super().__init__()
        self.group_size, self.bits = _defaults_for_mode(mode, group_size, bits)
        self.mode = mode
        scale = math.sqrt(1 / input_dims)
        _set_quantized(self, mx.random.uniform(-scale, scale, (output_dims, input_dims)))
        if bias:
            self.bias = mx.zeros((output_dims,))
        self.freeze()

    def _extra_repr(self) -> str:
        output_dims, words = self.weight.shape
        return (
            f"input_dims={words * 32 // self.bits}, output_dims={output_dims}, bias={'bias' in self}, "
            f"group_size={self.group_size}, bits={self.bits}, mode={self.mode}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        x = quantized_product(self, x)
        return x + self["bias"] if "bias" in self else x

    @classmethod
    def from_linear(cls, linear_layer: Module, group_size: int = None, bits: int = None, mode: str = "affine"):
        """The layer with the weight and bias of ``linear_layer``; the bias stays trainable."""
        output_dims, input_dims = linear_layer.weight.shape
        layer = cls(input_dims, output_dims, False, group_size, bits, mode=mode)
        _set_quantized(layer, linear_layer.weight)
        if "bias" in linear_layer:
            layer.bias = linear_layer.bias
        return layer


class QQLinear(Module):
    """A linear layer without bias that quantizes its input too.

    In training mode it holds the plain weight and quantizes that at each call, otherwise the quantized one.
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        group_size: int = None,
        bits: int = None,
        mode: str = "nvfp4",
    ):
        super().__init__()
        self.group_size, self.bits = _defaults_for_mode(mode, group_size, bits)
        self.mode = mode
        scale = math.sqrt(1 / input_dims)
        self.weight = mx.random.uniform(-scale, scale, (output_dims, input_dims))
        self._quantized = False

    def _extra_repr(self) -> str:
        output_dims, input_dims = self.weight.shape
        if self._quantized:
            input_dims = input_dims * 32 // self.bits
        return (
            f"input_dims={input_dims}, output_dims={output_dims}, group_size={self.group_size}, "
            f"bits={self.bits}, mode={self.mode}"
        )

    def quantize(self):
        """Hold the quantized weight."""
        if not self._quantized:
            self.weight, self.scales = mx.quantize(self.weight, self.group_size, self.bits, mode=self.mode)
            self._quantized = True

    def dequantize(self):
        """Hold the plain weight."""
        if self._quantized:
            self.weight = mx.dequantize(
                self.weight, scales=self.scales, group_size=self.group_size, bits=self.bits, mode=self.mode
            )
            del self.scales
            self._quantized = False

    def _set_training_mode(self, mode: bool):
        super()._set_training_mode(mode)
        if mode:
            self.dequantize()
        else:
            self.quantize()

    def __call__(self, x: mx.array) -> mx.array:
        return mx.qqmm(
            x,
            self["weight"],
            scales=self.get("scales"),
            group_size=self.group_size,
            bits=self.bits,
            mode=self.mode,
        )

    @classmethod
    def from_linear(cls, linear_layer: Module, group_size: int = None, bits: int = None, mode: str = "nvfp4"):
        """The layer with the weight of ``linear_layer``, which must have no bias."""
        if "bias" in linear_layer:
            raise NotImplementedError("QQLinear does not support bias yet.")
        output_dims, input_dims = linear_layer.weight.shape
        layer = cls(input_dims, output_dims, group_size, bits, mode=mode)
        layer.weight = linear_layer.weight
        layer.train(linear_layer.training)
        return layer
