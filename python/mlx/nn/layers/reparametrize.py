"""Layers whose weight is made of other parameters at each call."""

from contextlib import contextmanager

import mlx.core as mx
from mlx.core import _nn
from mlx.nn.layers.base import Module


class _Reparametrized(Module):
    """Holds ``module`` without its parameter ``name``, which is put in place while the module is called."""

    def __init__(self, module: Module, name: str) -> None:
        super().__init__()
        if not isinstance(module.get(name), mx.array) or module[name].ndim < 2:
            raise ValueError(
                f"[{type(self).__name__}] {type(module).__name__} has no parameter '{name}' of at least 2 dimensions"
            )
        self.name = name
        self.module = module

    @contextmanager
    def _in_place(self, weight):
        self.module[self.name] = weight
        try:
            yield
        finally:
            del self.module[self.name]

    def __call__(self, *args, **kwargs):
        with self._in_place(self._weight()):
            return self.module(*args, **kwargs)

    def __repr__(self) -> str:
        with self._in_place(self[self._shown]):  # a layer prints the sizes of its weight
            return super().__repr__()

    def _extra_repr(self) -> str:
        return f"name={self.name!r}"


class WeightNorm(_Reparametrized):
    """``module`` with a weight of learned lengths ``<name>_g`` times the directions of ``<name>_v``.

    The lengths are those of the slices along ``axis``, of shape ``(n, 1, ...)`` for axis 0. At first the weight is what
    it was.
    """

    def __init__(self, module: Module, name: str = "weight", axis: int = 0) -> None:
        super().__init__(module, name)
        weight = module.pop(name)
        others = [i for i in range(weight.ndim) if i != axis % weight.ndim]
        self.axis = axis
        self._shown = f"{name}_v"
        self[f"{name}_g"] = mx.sqrt(mx.sum(mx.square(weight), axis=others, keepdims=True))
        self[f"{name}_v"] = weight

    def _weight(self):
        return _nn.weight_norm(self[f"{self.name}_v"], self[f"{self.name}_g"], self.axis)


class SpectralNorm(_Reparametrized):
    """``module`` with its weight, ``<name>_orig``, divided by its largest singular value.

    A power iteration tells that value: in training mode each call takes ``iterations`` steps of its vectors ``u`` and
    ``v``, which are saved but never trainable.
    """

    def __init__(self, module: Module, name: str = "weight", iterations: int = 1, eps: float = 1e-12) -> None:
        super().__init__(module, name)
        weight = module.pop(name)
        self.iterations = iterations
        self.eps = eps
        self._shown = f"{name}_orig"
        self[f"{name}_orig"] = weight
        u, v = mx.random.normal((weight.shape[0],)), mx.random.normal((weight.size // weight.shape[0],))
        _, self.u, self.v = _nn.spectral_norm(weight, u, v, 15, eps)
        self.freeze(keys=["u", "v"], recurse=False)

    def unfreeze(self, *args, **kwargs) -> Module:
        """As for any module, but the vectors of the power iteration are never trainable."""
        super().unfreeze(*args, **kwargs)
        return self.freeze(keys=["u", "v"], recurse=False)

    def _weight(self):
        steps = self.iterations if self.training else 0
        weight, u, v = _nn.spectral_norm(self[f"{self.name}_orig"], self.u, self.v, steps, self.eps)
        if steps:
            self.u, self.v = u, v
        return weight


def weight_norm(module: Module, name: str = "weight", axis: int = 0) -> WeightNorm:
    """:class:`WeightNorm` of a layer."""
    return WeightNorm(module, name, axis)


def spectral_norm(module: Module, name: str = "weight", iterations: int = 1, eps: float = 1e-12) -> SpectralNorm:
    """:class:`SpectralNorm` of a layer."""
    return SpectralNorm(module, name, iterations, eps)
