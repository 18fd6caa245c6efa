"""Normalisations."""

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


class InstanceNorm(Module):
    """Each channel of each sample to mean 0 and variance 1 over its places; input ``(N, ..., C)``."""

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = False):
        super().__init__()
        if affine:
            self.weight = mx.ones((dims,))
            self.bias = mx.zeros((dims,))
        self.dims = dims
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        return _nn.instance_norm(x, self.get("weight"), self.get("bias"), self.eps)


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axis, times a learned weight, plus a learned bias."""

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True):
        super().__init__()
        if affine:
            self.weight = mx.ones((dims,))
            if bias:
                self.bias = mx.zeros((dims,))
        self.eps = eps
        self.dims = dims

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        return mx.fast.layer_norm(x, self.get("weight"), self.get("bias"), self.eps)


class RMSNorm(Module):
    """Root mean square 1 over the last axis, times a learned weight."""

    def __init__(self, dims: int, eps: float = 1e-5):
        super().__init__()
        self.weight = mx.ones((dims,))
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"

    def __call__(self, x: mx.array) -> mx.array:
        return mx.fast.rms_norm(x, self["weight"], self.eps)


class GroupNorm(Module):
    """Mean 0 and variance 1 over the places and the channels of each of ``num_groups`` groups; input ``(N, ..., C)``.

    A group is every ``num_groups``-th channel; with ``pytorch_compatible`` it is neighbouring channels, as there.
    """

    def __init__(
        self, num_groups: int, dims: int, eps: float = 1e-5, affine: bool = True, pytorch_compatible: bool = False
    ):
        super().__init__()
        for what, number in (("groups", num_groups), ("features", dims)):
            if number <= 0:
                raise ValueError(f"The number of {what} ({number}) must be a positive integer.")
        if dims % num_groups:
            raise ValueError(f"The number of features ({dims}) must be evenly divisible by the number of groups ({num_groups}).")
        if affine:
            self.bias = mx.zeros((dims,))
            self.weight = mx.ones((dims,))
        self.num_groups = num_groups
        self.dims = dims
        self.eps = eps
        self.pytorch_compatible = pytorch_compatible

    def _extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.dims}, eps={self.eps}, affine={'weight' in self}, "
            f"pytorch_compatible={self.pytorch_compatible}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        weight, bias = self.get("weight"), self.get("bias")
        return _nn.group_norm(x, weight, bias, self.num_groups, self.eps, self.pytorch_compatible)


class BatchNorm(Module):
    """Each channel to mean 0 and variance 1 over the batch and its places; input ``(N, C)`` to ``(N, H, W, C)``.

    In training mode the batch's own statistics are used and, with ``track_running_stats``, averaged for later.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = mx.ones((num_features,))
            self.bias = mx.zeros((num_features,))
        if track_running_stats:
            self.running_mean = mx.zeros((num_features,))
            self.running_var = mx.ones((num_features,))
            self.freeze(keys=["running_mean", "running_var"], recurse=False)

    def unfreeze(self, *args, **kwargs) -> Module:
        """As for any module, but the running statistics are never trainable."""
        super().unfreeze(*args, **kwargs)
        return self.freeze(keys=["running_mean", "running_var"], recurse=False)

    def _extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={'weight' in self}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        weight, bias = self.get("weight"), self.get("bias")
        mean, var = self.get("running_mean"), self.get("running_var")
        if not self._training:
            return _nn.batch_norm(x, weight, bias, mean, var, self.eps)
        x, mean, var = _nn.batch_norm_train(x, weight, bias, mean, var, self.momentum, self.eps)
        if self.track_running_stats:
            self.running_mean, self.running_var = mean, var
        return x
