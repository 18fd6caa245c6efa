"""Gradients with respect to a module, checkpoints of modules, gradients over several processes."""

from __future__ import annotations

from functools import reduce, wraps
from typing import Any, Callable, Optional, ParamSpec, TypeVar

import mlx.core as mx
from mlx.nn.layers.base import Module, put_back
from mlx.utils import tree_flatten, tree_map, tree_reduce, tree_unflatten

P = ParamSpec("P")
R = TypeVar("R")


def value_and_grad(model: Module, fn: Callable[P, R]) -> Callable[P, tuple[R, Any]]:
    """A function that returns ``fn``'s value and its gradients by the trainable parameters of ``model``.

    >>> step = nn.value_and_grad(model, loss_fn)
    >>> loss, gradients = step(model, x, y)

    If ``fn`` returns a tuple the first is the loss, and the tuple comes back whole.
    """

    def inner_fn(params, *args, **kwargs):
        put_back(model, params)
        return fn(*args, **kwargs)

    value_grad_fn = mx.value_and_grad(inner_fn)

    @wraps(fn)
    def wrapped_value_grad_fn(*args, **kwargs):
        params = model.trainable_parameters()
        try:
            return value_grad_fn(params, *args, **kwargs)
        finally:
            put_back(model, params)  # the function has left traced ones in their place

    return wrapped_value_grad_fn


def checkpoint(module: Module, fn: Optional[Callable] = None):
    """``fn``, by default the module itself, so that the gradient computes its inside again instead of keeping it.

    The gradient goes to the inputs and to the trainable parameters of ``module``.
    """
    if fn is None:
        fn = module.__call__  # also of a class that is called with further arguments

    def inner_fn(params, *args, **kwargs):
        put_back(module, params)
        return fn(*args, **kwargs)

    checkpointed_fn = mx.checkpoint(inner_fn)

    @wraps(fn)
    def wrapped_checkpointed_fn(*args, **kwargs):
        params = module.trainable_parameters()
        try:
            return checkpointed_fn(params, *args, **kwargs)
        finally:
            put_back(module, params)

    return wrapped_checkpointed_fn


def _extract_info(flat):
    """Names, shapes, sizes and dtypes of the arrays of a flat tree."""
    keys = [k for k, _ in flat]
    shapes = [v.shape for _, v in flat]
    sizes = [v.size for _, v in flat]
    dtypes = [v.dtype for _, v in flat]
    return keys, shapes, sizes, dtypes


def _group_by_size(keys, sizes, itemsize, communication_size):
    """Positions of the keys in groups that hold at least ``communication_size`` bytes, but for the last."""
    groups = [[]]
    filled = 0
    for i in range(len(keys)):
        groups[-1].append(i)
        filled += sizes[i] * itemsize
        if filled >= communication_size:
            groups.append([])
            filled = 0
    return [g for g in groups if g]


def average_gradients(
    gradients: Any,
    group: Optional[mx.distributed.Group] = None,
    all_reduce_size: int = 32 * 1024**2,
    communication_stream: Optional[mx.Stream] = None,
):
    """The mean of the gradients over the processes of ``group``.

    Small arrays of one dtype travel together in messages of ``all_reduce_size`` bytes; 0 or less sends each alone.
    """
    group = group or mx.distributed.init()
    n = group.size()
    if n == 1:
        return gradients

    def average(x):
        return mx.distributed.all_sum(x, group=group, stream=communication_stream) / n

    flat = tree_flatten(gradients)
    if not flat:
        return gradients
    keys, shapes, sizes, dtypes = _extract_info(flat)
    if all_reduce_size <= 0 or any(d != dtypes[0] for d in dtypes):
        return tree_map(average, gradients)

    averaged = []
    for places in _group_by_size(keys, sizes, dtypes[0].size, all_reduce_size):
        message = average(mx.concatenate([flat[i][1].reshape(-1) for i in places]))
        ends = reduce(lambda so_far, i: so_far + [so_far[-1] + sizes[i]], places, [0])[1:-1]
        parts = mx.split(message, ends)
        averaged.extend((keys[i], part.reshape(shapes[i])) for i, part in zip(places, parts))
    return tree_unflatten(averaged)


def clip_grad_norm_sharded(gradients: Any, max_norm: float, group: Optional[mx.distributed.Group] = None):
    """As ``optimizers.clip_grad_norm`` for gradients of which each process holds a part.

    Returns the gradients, scaled so that their norm over all processes is at most ``max_norm``, and that norm.
    """
    group = group or mx.distributed.init()
    squares = tree_reduce(lambda total, g: total + g.square().sum(), gradients, mx.array(0.0))
    norm = mx.sqrt(mx.distributed.all_sum(squares, group=group))
    scale = mx.minimum(max_norm / (norm + 1e-6), 1.0)
    return tree_map(lambda g: g * scale, gradients), norm
