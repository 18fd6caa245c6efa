"""Races: the same work by cmlx, NumPy, PyTorch and JAX. race(arrays, mx=, numpy=, torch=, jax=) is an entry of RACES: each argument is a
function (library, *arrays) -> result, `arrays` a function of NumPy's generator that gives the work's inputs. JAX's is jitted; its library is
jax.numpy."""


def given(arrays):
    import numpy
    return arrays(numpy.random.default_rng(0))


def cmlx(arrays, step):
    import mlx.core as mx
    inputs = [mx.array(a, mx.float64) if a.dtype.name == "float64" else mx.array(a) for a in given(arrays)]
    mx.eval(inputs)
    return lambda: mx.eval(step(mx, *inputs))


def numpy(arrays, step):
    import numpy as np
    inputs = given(arrays)
    return lambda: step(np, *inputs)


def torch(arrays, step):
    import torch
    inputs = [torch.from_numpy(a) for a in given(arrays)]
    return lambda: step(torch, *inputs)


def jax(arrays, step):
    import jax
    jax.config.update("jax_enable_x64", True)
    inputs = [jax.numpy.asarray(a) for a in given(arrays)]
    function = jax.jit(lambda *xs: step(jax.numpy, *xs))
    return lambda: jax.block_until_ready(function(*inputs))


MAKERS = {"cmlx": cmlx, "numpy": numpy, "torch": torch, "jax": jax}


def race(arrays, mx, **others):
    return {who: (lambda who=who, step=step: MAKERS[who](arrays, step)) for who, step in {"cmlx": mx, **others}.items()}


def same(arrays, step, **others):
    """The same expression everywhere, but for what `others` say (None: not there)."""
    steps = {**dict.fromkeys(["mx", "numpy", "torch", "jax"], step), **others}
    return race(arrays, **{who: f for who, f in steps.items() if f})
