"""Gradients with respect to a module, checkpoints, averages over time, gradients over several steps and processes."""

from __future__ import annotations

from contextlib import contextmanager
from functools import reduce, wraps
from typing import Any, Callable, Optional, ParamSpec, TypeVar

import mlx.core as mx
from mlx.core import _nn
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


class ExponentialMovingAverage:
    """A running average of a model's parameters, ``decay * average + (1 - decay) * parameters`` at each update.

    >>> ema = nn.ExponentialMovingAverage(model, 0.999)
    >>> ema.update(model)  # after each step of the optimizer
    >>> with ema.applied(model):
    ...     evaluate(model)

    The average, ``ema.average``, is a tree like ``model.parameters()`` and begins as these are. What is no floating point
    number is not averaged but taken over. Evaluate it with the model: ``mx.eval(model.parameters(), ema.average)``.
    """

    def __init__(self, model: Module, decay: float = 0.999) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"[ExponentialMovingAverage] The decay {decay} is not in [0, 1]")
        self.decay = decay
        self.average = model.parameters()

    def update(self, model: Module) -> None:
        """Move the average towards the model's parameters."""

        def move(average, value):
            floating = mx.issubdtype(value.dtype, mx.inexact)
            return _nn.moving_average(average, value, self.decay) if floating else value

        self.average = tree_map(move, self.average, model.parameters())

    def apply_to(self, model: Module) -> Module:
        """Set the model's parameters to the average."""
        put_back(model, self.average)
        return model

    @contextmanager
    def applied(self, model: Module):
        """A context in which the model has the averaged parameters."""
        own = model.parameters()
        try:
            yield self.apply_to(model)
        finally:
            put_back(model, own)


class GradientAccumulator:
    """The mean gradient of several batches, for an optimizer's step of more than fits into memory.

    >>> accumulator = nn.GradientAccumulator(4)
    >>> gradients = accumulator.add(gradients)  # None but every fourth time
    >>> if gradients is not None:
    ...     optimizer.update(model, gradients)

    Half floats are summed in float32. ``accumulator.total`` is the sum so far, to be evaluated after each batch.
    """

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"[GradientAccumulator] Expected at least 1 step, got {steps}")
        self.steps = steps
        self.reset()

    def reset(self) -> None:
        """Forget what was added."""
        self.count = 0
        self.total = None

    def add(self, gradients: Any) -> Any:
        """Add the gradients of a batch; their mean once there are enough, and then a new sum begins, else None."""
        wide = tree_map(lambda g: g.astype(mx.float32) if g.dtype in (mx.float16, mx.bfloat16) else g, gradients)
        self.total = wide if self.total is None else tree_map(mx.add, self.total, wide)
        self.count += 1
        if self.count < self.steps:
            return None
        mean = tree_map(lambda total, g: (total / self.steps).astype(g.dtype), self.total, gradients)
        self.reset()
        return mean


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
