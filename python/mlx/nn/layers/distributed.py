"""Layers whose weights are spread over the processes of a group; in a group of one they are the plain layers.

An *all-to-sharded* layer gets the same input everywhere and each process computes a part of the outputs; a
*sharded-to-all* layer gets a part of the input on each process and sums the results. One after the other they need a
single exchange.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Callable, Optional, Union

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedLinear, quantized_product
from mlx.utils import tree_flatten, tree_map_with_path, tree_unflatten


@lru_cache
def sum_gradients(group):
    """The identity, whose gradient is summed over the group."""
    if group.size() == 1:
        return lambda x: x

    @mx.custom_function
    def f(x):
        return x

    @f.vjp
    def f(x, dx, _):
        return mx.distributed.all_sum(dx, group=group)

    return f


def _split(weight, segments, axis):
    """The parts of ``weight``: so many equal ones, or cut at places given as shares or as positions."""
    if isinstance(segments, (int, float)):
        return mx.split(weight, segments, axis=axis)
    n = weight.shape[axis]
    return mx.split(weight, [int(s * n) if s < 1 else s for s in segments], axis=axis)


def _shard(parameters: dict, sharding_predicate: Callable, group: Optional[mx.distributed.Group] = None):
    """This process's part of each parameter.

    ``sharding_predicate(path, array)`` gives the axis, or axis and segments, each of which is spread on its own (the
    queries, keys and values that one weight holds), or None for a parameter that stays whole.
    """
    group = group or mx.distributed.init()
    n, rank = group.size(), group.rank()

    def part(path, weight):
        if not isinstance(weight, mx.array):
            return weight
        spec = sharding_predicate(path, weight)
        if spec is None:
            return weight
        axis, segments = (spec, 1) if isinstance(spec, int) else spec
        parts = [_split(p, n, axis)[rank] for p in _split(weight, segments, axis)]
        return mx.contiguous(mx.concatenate(parts, axis=axis))

    return tree_map_with_path(part, parameters)


def _all_to_sharded(segments):
    """Spreads weights and biases along the outputs."""

    def predicate(path, weight):
        return max(weight.ndim - 2, 0) if weight.ndim > 1 else -1, segments

    return predicate


def _sharded_to_all(segments):
    """Spreads weights along the inputs; the bias is added after the sum and stays whole."""

    def predicate(path, weight):
        return None if path.endswith("bias") else (-1, segments)

    return predicate


def _check_sharding(sharding):
    if sharding not in ("all-to-sharded", "sharded-to-all"):
        raise ValueError(f"Sharding type {sharding=} not supported, choose one of 'all-to-sharded' or 'sharded-to-all'")


def shard_inplace(
    module: Module,
    sharding: Union[str, Callable],
    *,
    segments: Union[int, list] = 1,
    group: Optional[mx.distributed.Group] = None,
):
    """Keep only this process's part of the parameters of ``module``, which itself stays as it is.

    ``sharding`` is "all-to-sharded", "sharded-to-all" or a function as for ``_shard``.
    """
    if not callable(sharding):
        _check_sharding(sharding)
        sharding = _all_to_sharded(segments) if sharding == "all-to-sharded" else _sharded_to_all(segments)
    module.update(_shard(module.parameters(), sharding, group))


def shard_linear(
    module: Module,
    sharding: str,
    *,
    segments: Union[int, list] = 1,
    group: Optional[mx.distributed.Group] = None,
):
    """The layer that computes what ``module``, a linear layer, does, spread over the group."""
    _check_sharding(sharding)
    all_to_sharded = sharding == "all-to-sharded"
    if isinstance(module, QuantizedLinear):
        cls = QuantizedAllToShardedLinear if all_to_sharded else QuantizedShardedToAllLinear
        return cls.from_quantized_linear(module, segments=segments, group=group)
    cls = AllToShardedLinear if all_to_sharded else ShardedToAllLinear
    return cls.from_linear(module, segments=segments, group=group)


def _check_divisible(what, dims, n):
    if dims % n != 0:
        raise ValueError(f"The {what} of size {dims} cannot be sharded across {n} devices.")


class AllToShardedLinear(Module):
    """A linear layer of which each process computes a part of the outputs."""

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group: Optional[mx.distributed.Group] = None,
    ):
        super().__init__()
        scale = math.sqrt(1.0 / input_dims)
        self.group = group or mx.distributed.init()
        n = self.group.size()
        _check_divisible("output", output_dims, n)
        self.weight = mx.random.uniform(-scale, scale, (output_dims // n, input_dims))
        if bias:
            self.bias = mx.random.uniform(-scale, scale, (output_dims // n,))

    def _extra_repr(self) -> str:
        out, inp = self.weight.shape
        return f"input_dims={inp}, output_dims={out * self.group.size()}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        x = sum_gradients(self.group)(x)
        if "bias" in self:
            return mx.addmm(self["bias"], x, self["weight"].T)
        return x @ self["weight"].T

    @classmethod
    def from_linear(
        cls,
        linear_layer: Module,
        *,
        segments: Union[int, list] = 1,
        group: Optional[mx.distributed.Group] = None,
    ):
        """The layer with this process's part of the parameters of ``linear_layer``."""
        out, inp = linear_layer.weight.shape
        layer = cls(inp, out, "bias" in linear_layer, group)
        layer.update(_shard(linear_layer.parameters(), _all_to_sharded(segments), layer.group))
        return layer


class ShardedToAllLinear(Module):
    """A linear layer of which each process holds the weights for a part of the inputs."""

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group: Optional[mx.distributed.Group] = None,
    ):
        super().__init__()
        scale = math.sqrt(1.0 / input_dims)
        self.group = group or mx.distributed.init()
        n = self.group.size()
        _check_divisible("input", input_dims, n)
        self.weight = mx.random.uniform(-scale, scale, (output_dims, input_dims // n))
        if bias:
            self.bias = mx.random.uniform(-scale, scale, (output_dims,))

    def _extra_repr(self) -> str:
        out, inp = self.weight.shape
        return f"input_dims={inp * self.group.size()}, output_dims={out}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        x = mx.distributed.all_sum(x @ self["weight"].T, group=self.group)
        return x + self["bias"] if "bias" in self else x

    @classmethod
    def from_linear(
        cls,
        linear_layer: Module,
        *,
        segments: Union[int, list] = 1,
        group: Optional[mx.distributed.Group] = None,
    ):
        """The layer with this process's part of the parameters of ``linear_layer``."""
        out, inp = linear_layer.weight.shape
        layer = cls(inp, out, "bias" in linear_layer, group)
        layer.update(_shard(linear_layer.parameters(), _sharded_to_all(segments), layer.group))
        return layer


class _QuantizedSharded(Module):
    """What the two quantized layers share; their parameters are always frozen."""

    def _init(self, output_dims, input_dims, group_size, bits, mode, whole_bias):
        self.group_size = group_size
        self.bits = bits
        self.mode = mode
        scale = math.sqrt(1.0 / input_dims)
        weight = mx.random.uniform(-scale, scale, (output_dims, input_dims))
        self.weight, self.scales, *biases = mx.quantize(weight, group_size, bits, mode=mode)
        self.biases = biases[0] if biases else None
        if whole_bias:
            self.bias = mx.zeros((output_dims,))
        self.freeze()

    def _describe(self, output_dims, input_dims):
        return (
            f"input_dims={input_dims}, output_dims={output_dims}, bias={'bias' in self}, "
            f"group_size={self.group_size}, bits={self.bits}, mode={self.mode}"
        )

    def unfreeze(self, *args, **kwargs) -> Module:
        super().unfreeze(*args, **kwargs)
        return self.freeze(recurse=False)


class QuantizedAllToShardedLinear(_QuantizedSharded):
    """:class:`AllToShardedLinear` with a quantized weight."""

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = 64,
        bits: int = 4,
        mode: str = "affine",
        group: Optional[mx.distributed.Group] = None,
    ):
        super().__init__()
        self.group = group or mx.distributed.init()
        n = self.group.size()
        _check_divisible("output", output_dims, n)
        self._init(output_dims // n, input_dims, group_size, bits, mode, bias)

    def unfreeze(self, *args, **kwargs) -> Module:
        return super().unfreeze(*args, **kwargs)

    def _extra_repr(self) -> str:
        out, words = self.weight.shape
        return self._describe(out * self.group.size(), words * 32 // self.bits)

    def __call__(self, x: mx.array) -> mx.array:
        x = quantized_product(self, sum_gradients(self.group)(x))
        return x + self["bias"] if "bias" in self else x

    @classmethod
    def from_quantized_linear(
        cls,
        quantized_linear_layer: Module,
        *,
        segments: Union[int, list] = 1,
        group: Optional[mx.distributed.Group] = None,
    ):
        """The layer with this process's part of the parameters of ``quantized_linear_layer``."""
        q = quantized_linear_layer
        out, words = q.weight.shape
        layer = cls(words * 32 // q.bits, out, "bias" in q, q.group_size, q.bits, q.mode, group)
        layer.update(_shard(q.parameters(), _all_to_sharded(segments), layer.group))
        return layer


class QuantizedShardedToAllLinear(_QuantizedSharded):
    """:class:`ShardedToAllLinear` with a quantized weight."""

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = 64,
        bits: int = 4,
        mode: str = "affine",
        group: Optional[mx.distributed.Group] = None,
    ):
        super().__init__()
        self.group = group or mx.distributed.init()
        n = self.group.size()
        _check_divisible("input", input_dims, n)
        self._init(output_dims, input_dims // n, group_size, bits, mode, bias)

    def unfreeze(self, *args, **kwargs) -> Module:
        return super().unfreeze(*args, **kwargs)

    def _extra_repr(self) -> str:
        out, words = self.weight.shape
        return self._describe(out, words * 32 // self.bits * self.group.size())

    def __call__(self, x: mx.array) -> mx.array:
        x = mx.distributed.all_sum(quantized_product(self, x), group=self.group)
        return x + self["bias"] if "bias" in self else x

    @classmethod
    def from_quantized_linear(
        cls,
        quantized_linear_layer: Module,
        *,
        segments: Union[int, list] = 1,
        group: Optional[mx.distributed.Group] = None,
    ):
        """The layer with this process's part of the parameters of ``quantized_linear_layer``."""
        q = quantized_linear_layer
        out, words = q.weight.shape
        layer = cls(words * 32 // q.bits, out, "bias" in q, q.group_size, q.bits, q.mode, group)
        layer.update(_shard(q.parameters(), _sharded_to_all(segments), layer.group))
        return layer


def _make_gather_fn(group, full_shapes, shard_sizes, compute_dtype):
    """A function from this process's shards to the whole parameters; its gradient averages and scatters."""
    n = group.size()

    def cast(x):
        return x if compute_dtype is None else x.astype(compute_dtype)

    if n == 1:
        return lambda shards: [cast(s) for s in shards]

    @mx.custom_function
    def gather(*shards):
        # one message: (rank, all the shards in a row)
        rows = mx.distributed.all_gather(mx.concatenate([cast(s) for s in shards])[None], group=group)
        full, start = [], 0
        for shape, size in zip(full_shapes, shard_sizes):
            whole = rows[:, start : start + size].reshape(-1)
            full.append(whole[: math.prod(shape)].reshape(shape))
            start += size
        return full

    @gather.vjp
    def gather(shards, gradients, _):
        rows = []
        for g, size in zip(gradients, shard_sizes):
            rows.append(mx.pad(g.reshape(-1), (0, size * n - g.size)).reshape(n, size))
        mine = mx.distributed.sum_scatter(mx.concatenate(rows, axis=1), group=group).reshape(-1) / n
        parts, start = [], 0
        for shard, size in zip(shards, shard_sizes):
            parts.append(mine[start : start + size].astype(shard.dtype))
            start += size
        return tuple(parts)

    return lambda shards: gather(*shards)


class FullyShardedModule(Module):
    """A module each of whose trainable parameters is spread evenly over the group and gathered when it is called."""

    def __init__(
        self,
        module: Module,
        group: Optional[mx.distributed.Group] = None,
        compute_dtype: Optional[mx.Dtype] = None,
    ):
        super().__init__()
        group = group or mx.distributed.init()
        n, rank = group.size(), group.rank()
        self.module = module
        params = [
            (path, p) for path, p in tree_flatten(module.trainable_parameters()) if mx.issubdtype(p.dtype, mx.floating)
        ]
        sizes = [-(-p.size // n) for _, p in params]
        if n > 1:
            shards = []
            for (path, p), size in zip(params, sizes):
                flat = mx.pad(p.reshape(-1), (0, size * n - p.size))
                shards.append((path, mx.contiguous(flat[rank * size : (rank + 1) * size])))
            if shards:
                module.update(tree_unflatten(shards))
        self.__dict__["_paths"] = [path for path, _ in params]
        self._gather_fn = _make_gather_fn(group, [p.shape for _, p in params], sizes, compute_dtype)

    def _extra_repr(self) -> str:
        return f"num_sharded_params={len(self._paths)}"

    def _gathered_call(self, fn, *args, **kwargs):
        """``fn`` while the module holds its whole parameters."""
        held = self.module.parameters()
        flat = tree_flatten(held, destination={})
        full = self._gather_fn([flat[path] for path in self._paths])
        if self._paths:
            self.module.update(tree_unflatten(list(zip(self._paths, full))))
        try:
            return fn(*args, **kwargs)
        finally:
            if self._paths:
                self.module.update(tree_unflatten([(path, flat[path]) for path in self._paths]))

    def __call__(self, *args, **kwargs) -> mx.array:
        return self._gathered_call(self.module, *args, **kwargs)

    def as_linear(self, *args, **kwargs) -> mx.array:
        """``as_linear`` of the module inside, an embedding."""
        return self._gathered_call(self.module.as_linear, *args, **kwargs)


def _maybe_shard(m, k, v):
    """Whether ``v``, at ``k`` in ``m``, is a leaf of the walk that spreads modules: one with parameters of its own."""
    return isinstance(v, Module) and any(isinstance(p, mx.array) for p in v.values())


def fully_shard(
    module: Module,
    *,
    group: Optional[mx.distributed.Group] = None,
    compute_dtype: Optional[mx.Dtype] = None,
) -> Module:
    """Put a :class:`FullyShardedModule` around each layer of ``module`` that holds parameters.

    In a group of one, without ``compute_dtype``, the module is returned as it is.
    """
    group = group or mx.distributed.init()
    if group.size() == 1 and compute_dtype is None:
        return module
    if isinstance(module, FullyShardedModule):
        return module
    if _maybe_shard(None, "", module):
        return FullyShardedModule(module, group, compute_dtype)

    def wrap(path, m):
        if not _maybe_shard(None, path, m) or isinstance(m, FullyShardedModule):
            return m
        return FullyShardedModule(m, group, compute_dtype)

    leaves = module.filter_and_map(
        Module.valid_child_filter,
        is_leaf_fn=lambda m, k, v: isinstance(v, FullyShardedModule)
        or _maybe_shard(m, k, v)
        or (isinstance(v, Module) and not tree_flatten(v.children())),
    )
    module.update_modules(tree_map_with_path(wrap, leaves, is_leaf=Module.is_module))
    return module
