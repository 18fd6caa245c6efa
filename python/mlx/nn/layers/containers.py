"""Containers of layers."""

import mlx.core as mx
from mlx.nn.layers.base import Module


class Sequential(Module):
    """Calls its layers, modules or plain functions, one after the other."""

    def __init__(self, *modules) -> None:
        super().__init__()
        self.layers = list(modules)

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers:
            x = layer(x)
        return x
