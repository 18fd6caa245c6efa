"""Optimizers.

An optimizer keeps its state, a tree with a dict for each parameter, in ``state`` beside the step and the settings that
may change. ``apply_single`` is what it does to one parameter; the mathematics of the classes here is the library's
(``mlx/c/optimizer_steps.h``): a chain of element-wise operations that evaluation fuses into one pass over the parameter,
its gradient and its state.
"""

from typing import Any, Callable, List, Optional, Tuple, Union

import mlx.core as mx
from mlx.core import _optim
from mlx.nn import Module
from mlx.utils import tree_flatten, tree_map, tree_merge, tree_unflatten


class Optimizer:
    """Base class: sub-classes write ``init_single`` and ``apply_single``.

    ``schedulers`` are functions of the step, by the name of the setting that each gives a value.
    """

    def __init__(self, schedulers=None) -> None:
        self._initialized = False
        self._state = {"step": mx.array(0, mx.uint64)}
        self._schedulers = dict(schedulers or {})

    def update(self, model: Module, gradients: dict):
        """Set the parameters of ``model`` to what the gradients make of them."""
        model.update(self.apply_gradients(gradients, model))

    def init(self, parameters: dict):
        """Make the state for these parameters, any part of a model's tree; done at the first update otherwise.

        What is there already is kept.
        """
        _init(self, parameters, self._state)
        self._initialized = True

    def init_single(self, parameter: mx.array, state: dict):
        """Put what one parameter needs into its part of the state."""
        raise NotImplementedError()

    def apply_gradients(self, gradients: dict, parameters: dict):
        """The tree of new parameters; ``gradients`` may be a part of the tree ``parameters``."""
        if not self._initialized:
            self.init(gradients)
        for name, schedule in self._schedulers.items():
            self._state[name] = schedule(self.step)
        self._state["step"] = self.step + 1
        return _apply(self, gradients, parameters, self._state)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        """The new value of one parameter; changes its part of the state."""
        raise NotImplementedError()

    @property
    def state(self) -> dict[str, Any]:
        """The state as a tree, which can be saved, loaded and given to ``mx.compile``."""
        return self._state

    @state.setter
    def state(self, state: dict):
        self._initialized = False
        self._state = state

    @property
    def step(self) -> mx.array:
        """How many updates there were."""
        return self._state["step"]

    @property
    def learning_rate(self) -> mx.array:
        return self._state["learning_rate"]

    @learning_rate.setter
    def learning_rate(self, learning_rate: Union[float, mx.array]):
        self._state["learning_rate"] = mx.array(learning_rate)

    def _maybe_schedule(self, name: str, param: Union[float, Callable[[mx.array], mx.array]]):
        """Keep a setting that is a number, or a function of the step, in the state."""
        if isinstance(param, Callable):
            self._schedulers[name] = param
            param = param(self.step)
        self._state[name] = mx.array(param)


def _init(optimizer, parameters, state):
    """Optimizer.init for one dict or list of parameters; ``state`` is the dict or list beside it."""
    for k, p in parameters.items() if isinstance(parameters, dict) else enumerate(parameters):
        if isinstance(p, mx.array):
            mine = _beside(state, k, dict)
            if not mine:
                optimizer.init_single(p, mine)
        elif isinstance(p, (dict, list, tuple)):
            _init(optimizer, p, _beside(state, k, dict if isinstance(p, dict) else list))


def _beside(state, k, kind):
    """``state[k]``, made if it is not there."""
    if isinstance(state, dict):
        return state.setdefault(k, kind())
    while len(state) <= k:
        state.append({})
    if kind is list and state[k] == {}:
        state[k] = []
    return state[k]


def _apply(optimizer, gradients, parameters, state):
    """apply_single for every gradient of a tree."""
    if isinstance(gradients, dict):
        return {
            k: _apply(optimizer, g, parameters[k], state[k] if k in state else _late(optimizer, k, g, state))
            for k, g in gradients.items()
        }
    if isinstance(gradients, (list, tuple)):
        kind = type(gradients)
        return kind(
            _apply(optimizer, g, parameters[i], state[i] if i < len(state) else _late(optimizer, i, g, state))
            for i, g in enumerate(gradients)
        )
    return optimizer.apply_single(gradients, parameters, state)


def _late(optimizer, k, gradient, state):
    """The state of what was frozen, and so had no gradient, when the state was made."""
    if isinstance(state, dict):
        _init(optimizer, {k: gradient}, state)
    else:
        _init(optimizer, [{}] * k + [gradient], state)
    return state[k]


def _check(ok, what, value, bound):
    if not ok:
        raise ValueError(f"{what} should be {bound}, {value} was provided instead")


class SGD(Optimizer):
    """Gradient descent, with momentum, weight decay, dampening and Nesterov's variant."""

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array]],
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening.")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dampening = dampening
        self.nesterov = nesterov

    def init_single(self, parameter: mx.array, state: dict):
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        p, state["v"] = _optim.sgd(
            gradient, parameter, state["v"], self.learning_rate, self.momentum, self.weight_decay, self.dampening, self.nesterov
        )
        return p


class RMSprop(Optimizer):
    """Divides by the root of a running mean of squared gradients."""

    def __init__(
        self, learning_rate: Union[float, Callable[[mx.array], mx.array]], alpha: float = 0.99, eps: float = 1e-8
    ):
        _check(alpha >= 0, "RMSprop alpha", alpha, ">=0")
        _check(eps >= 0, "RMSprop epsilon", eps, ">0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.alpha = alpha
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict):
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        p, state["v"] = _optim.rmsprop(gradient, parameter, state["v"], self.learning_rate, self.alpha, self.eps)
        return p


class Adagrad(Optimizer):
    """Divides by the root of the sum of squared gradients."""

    def __init__(self, learning_rate: Union[float, Callable[[mx.array], mx.array]], eps: float = 1e-8):
        _check(eps >= 0, "Adagrad epsilon", eps, ">0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict):
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        p, state["v"] = _optim.adagrad(gradient, parameter, state["v"], self.learning_rate, self.eps)
        return p


class AdaDelta(Optimizer):
    """Scales by the ratio of the running means of squared updates and squared gradients."""

    def __init__(
        self, learning_rate: Union[float, Callable[[mx.array], mx.array]], rho: float = 0.9, eps: float = 1e-6
    ):
        _check(rho >= 0, "AdaDelta rho", rho, ">=0")
        _check(eps >= 0, "AdaDelta epsilon", eps, ">0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.rho = rho
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict):
        state["v"] = mx.zeros_like(parameter)
        state["u"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        p, state["v"], state["u"] = _optim.adadelta(
            gradient, parameter, state["v"], state["u"], self.learning_rate, self.rho, self.eps
        )
        return p


class Adam(Optimizer):
    """Running means of gradients and of their squares; without ``bias_correction`` they start low."""

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array]],
        betas: List[float] = [0.9, 0.999],
        eps: float = 1e-8,
        bias_correction: bool = False,
    ):
        _check(eps >= 0, "Adam epsilon", eps, ">=0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.betas = betas
        self.eps = eps
        self.bias_correction = bias_correction
        self._shared = None

    def init_single(self, parameter: mx.array, state: dict):
        state["m"] = mx.zeros_like(parameter)
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        return self._apply(gradient, parameter, state, 0.0)

    def _apply(self, gradient, parameter, state, weight_decay):
        b1, b2 = self.betas
        rate, root = self._corrections(gradient.dtype) if self.bias_correction else (None, None)
        p, state["m"], state["v"] = _optim.adam(
            gradient, parameter, state["m"], state["v"], self.learning_rate, rate, root, b1, b2, self.eps, weight_decay
        )
        return p

    def apply_gradients(self, gradients: dict, parameters: dict):
        """The tree of new parameters; ``gradients`` may be a part of the tree ``parameters``."""
        self._shared = {}
        try:
            return super().apply_gradients(gradients, parameters)
        finally:
            self._shared = None

    def _corrections(self, dtype):
        """The bias correction, which is the same for all parameters of one update."""
        shared = {} if self._shared is None else self._shared
        if dtype not in shared:
            shared[dtype] = _optim.adam_corrections(self.learning_rate, self.step, *self.betas, dtype)
        return shared[dtype]


class AdamW(Adam):
    """:class:`Adam` with weight decay that does not pass through the running means."""

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array]],
        betas: List[float] = [0.9, 0.999],
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        bias_correction: bool = False,
    ):
        super().__init__(learning_rate=learning_rate, betas=betas, eps=eps, bias_correction=bias_correction)
        self.weight_decay = weight_decay

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        return self._apply(gradient, parameter, state, self.weight_decay)


class Adamax(Adam):
    """:class:`Adam` with a decaying maximum in place of the mean of squares."""

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array]],
        betas: List[float] = [0.9, 0.999],
        eps: float = 1e-8,
    ):
        super().__init__(learning_rate, betas, eps)

    def init_single(self, parameter: mx.array, state: dict):
        super().init_single(parameter, state)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        b1, b2 = self.betas
        p, state["m"], state["v"] = _optim.adamax(
            gradient, parameter, state["m"], state["v"], self.learning_rate, b1, b2, self.eps
        )
        return p


class Lion(Optimizer):
    """Steps of one size, by the sign of a running mean of gradients."""

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array]],
        betas: List[float] = [0.9, 0.99],
        weight_decay: float = 0.0,
    ):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.betas = betas
        self.weight_decay = weight_decay

    def init_single(self, parameter: mx.array, state: dict):
        state["m"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        b1, b2 = self.betas
        p, state["m"] = _optim.lion(gradient, parameter, state["m"], self.learning_rate, b1, b2, self.weight_decay)
        return p


class Adafactor(Optimizer):
    """Keeps the mean of squared gradients of a matrix as a row and a column; finds its own learning rate if asked.

    ``eps`` are the two floors: of squared gradients, and of a parameter's root mean square.
    """

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array], None] = None,
        eps: Tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta_1: Optional[float] = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ):
        super().__init__()
        if learning_rate is not None:
            self._maybe_schedule("learning_rate", learning_rate)
        self.eps = eps
        self.clip_threshold = clip_threshold
        self.decay_rate = decay_rate
        self.beta_1 = beta_1
        self.weight_decay = weight_decay
        self.scale_parameter = scale_parameter
        self.relative_step = relative_step
        self.warmup_init = warmup_init

    def init_single(self, parameter: mx.array, state: dict):
        if parameter.ndim >= 2:
            shape, dtype = parameter.shape, parameter.dtype
            state["exp_avg_sq_row"] = mx.zeros(shape[:-1], dtype=dtype)
            state["exp_avg_sq_col"] = mx.zeros(shape[:-2] + shape[-1:], dtype=dtype)
        else:
            state["exp_avg_sq"] = mx.zeros_like(parameter)
        if self.beta_1 is not None:
            state["exp_avg"] = mx.zeros_like(parameter)

    def _compute_rms(self, inputs):
        return _optim.rms(inputs)

    def _compute_learning_rate(self, step, parameter_rms):
        return _optim.adafactor_rate(
            step, parameter_rms, self._rate(), self.eps[1], self.scale_parameter, self.relative_step, self.warmup_init
        )

    def _approximate_exp_moving_avg(self, exp_avg_sq_row, exp_avg_sq_col):
        """The inverse root of the matrix of mean squares that has this row and this column."""
        return _optim.adafactor_root(exp_avg_sq_row, exp_avg_sq_col)

    def _rate(self):
        return None if self.relative_step else self.learning_rate

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        names = ["exp_avg_sq_row", "exp_avg_sq_col"] if gradient.ndim >= 2 else ["exp_avg_sq"]
        if self.beta_1 is not None:
            names.append("exp_avg")
        parameter, *after = _optim.adafactor(
            gradient, parameter, [state[name] for name in names], self._rate(), self.step, *self.eps, self.clip_threshold,
            self.decay_rate, self.beta_1 or 0.0, self.weight_decay, self.scale_parameter, self.relative_step, self.warmup_init
        )  # fmt: skip
        state.update(zip(names, after))
        return parameter


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal, by Newton-Schulz steps, before they are applied.

    For matrices inside a network; embeddings, biases and last layers do better with another, see
    :class:`MultiOptimizer`. Keller Jordan, 2024.
    """

    def __init__(
        self,
        learning_rate: Union[float, Callable[[mx.array], mx.array]],
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        nesterov: bool = True,
        ns_steps: int = 5,
    ):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.ns_steps = ns_steps

    def init_single(self, parameter: mx.array, state: dict):
        state["v"] = mx.zeros_like(parameter)

    def _zeropower_via_newtonschulz5(self, X, steps: int):
        """A matrix with the singular vectors of ``X`` and singular values near 1."""
        return _optim.orthogonal(X, steps)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict):
        p, state["v"] = _optim.muon(
            gradient, parameter, state["v"], self.learning_rate, self.momentum, self.weight_decay, self.nesterov, self.ns_steps
        )
        return p


class MultiOptimizer(Optimizer):
    """Several optimizers, each for the parameters that the first fitting filter gives it.

    ``filters`` are functions of path and gradient, one fewer than optimizers: the last one takes the rest.
    """

    def __init__(self, optimizers, filters: list = []):
        super().__init__({})
        self._state = {}
        if len(filters) != len(optimizers) - 1:
            raise ValueError(f"Given {len(filters)} filters but {len(optimizers) - 1} needed.")
        self.optimizers = optimizers
        self.filters = filters + [lambda *args: True]

    def _split_dictionary(self, gradients: dict):
        """The part of the tree of each optimizer."""
        if len(self.optimizers) == 1:
            return [gradients]
        parts = [[] for _ in self.optimizers]
        for path, gradient in tree_flatten(gradients):
            for part, wants in zip(parts, self.filters):
                if wants(path, gradient):
                    part.append((path, gradient))
                    break
        return [tree_unflatten(part) if part else {} for part in parts]

    def init(self, parameters: dict):
        """Make the state of each optimizer for its parameters."""
        for optimizer, part in zip(self.optimizers, self._split_dictionary(parameters)):
            optimizer.init(part)

    def apply_gradients(self, gradients: dict, parameters: dict):
        """The tree of new parameters."""
        tree = {}
        for optimizer, part in zip(self.optimizers, self._split_dictionary(gradients)):
            tree = tree_merge(tree, optimizer.apply_gradients(part, parameters))
        return tree

    @property
    def state(self) -> dict[str, Any]:
        """``{"states": [...]}``, one for each optimizer."""
        return {"states": [o.state for o in self.optimizers]}

    @state.setter
    def state(self, state: dict):
        if "states" not in state or len(state["states"]) != len(self.optimizers):
            raise ValueError("Invalid state provided")
        for optimizer, one in zip(self.optimizers, state["states"]):
            optimizer.state = one

    @property
    def learning_rate(self) -> mx.array:
        """That of the first; setting sets it for all."""
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Union[float, mx.array]):
        for optimizer in self.optimizers:
            optimizer.learning_rate = learning_rate


def clip_grad_norm(grads, max_norm) -> tuple[Any, mx.array]:
    """The gradients scaled so that their norm, all taken together, is at most ``max_norm``, and the norm before."""
    arrays = [g for _, g in tree_flatten(grads)]
    norm = _optim.global_norm(arrays)
    clipped = iter(_optim.clip_by_norm(arrays, norm, max_norm))
    return tree_map(lambda g: next(clipped), grads), norm
