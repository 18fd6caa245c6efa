"""Schedules: functions of the step that can stand wherever an optimizer takes a number that may change."""

from typing import Callable, List

import mlx.core as mx
from mlx.core import _optim


def exponential_decay(init: float, decay_rate: float) -> Callable:
    """``init * decay_rate ** step``"""

    def schedule(step):
        if isinstance(step, mx.array):
            return _optim.exponential_decay(step, init, decay_rate)
        return init * decay_rate**step

    return schedule


def step_decay(init: float, decay_rate: float, step_size: int) -> Callable:
    """``init``, times ``decay_rate`` after each ``step_size`` steps"""

    def schedule(step):
        if isinstance(step, mx.array):
            return _optim.step_decay(step, init, decay_rate, step_size)
        return init * (decay_rate ** (step // step_size))

    return schedule


def cosine_decay(init: float, decay_steps: int, end: float = 0.0) -> Callable:
    """From ``init`` to ``end`` along half a cosine in ``decay_steps`` steps, then ``end``"""

    def schedule(step):
        return _optim.cosine_decay(step, init, decay_steps, end)

    return schedule


def linear_schedule(init: float, end: float, steps: int) -> Callable:
    """From ``init`` to ``end`` along a line in ``steps`` steps, then ``end``"""
    if steps < 1:
        raise ValueError(f"steps must be greater than 0, but got {steps}.")

    def schedule(step):
        return _optim.linear_schedule(step, init, end, steps)

    return schedule


def join_schedules(schedules: List[Callable], boundaries: List[int]) -> Callable:
    """One schedule after the other; each begins anew, at its own step 0, at a boundary.

    >>> warmup = linear_schedule(0, 1e-1, steps=10)
    >>> cosine = cosine_decay(1e-1, 200)
    >>> optimizer = SGD(learning_rate=join_schedules([warmup, cosine], [10]))
    """
    if not schedules:
        raise ValueError("Must provide at least 1 schedule to join.")
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(f"Received {len(boundaries)} boundaries but expected {len(schedules) - 1}.")

    def schedule(step):
        value = schedules[0](step)
        for boundary, following in zip(boundaries, schedules[1:]):
            value = mx.where(step < boundary, value, following(step - boundary))
        return value

    return schedule
