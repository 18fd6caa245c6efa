"""Compiled functions: what a call costs, what the first one costs, and how near four of them come to the memory's speed.

The speed is by bytes that must move: a plain copy of 16M floats moves 128 MB; GELU and layer norm the same, the cross-entropy of the rows
of a matrix half of that, Adam reads four arrays and writes three."""

import itertools

from elementwise import N, copy, data, gelu_tanh

ONE_COUNT = True     # of threads
ROWS = 4096
CALLS = 200            # in one turn
ROUNDS = 15
AT_MOST = {"first call, real MLX": 2, "first call, JAX jit": 5}
BYTES = {"gelu": 1.0, "layer norm": 1.0, "cross-entropy": 0.5, "adam": 3.5}    # against those of the copy
CLAIMS = [
    ("ten small ops", "ten small ops, real MLX", 0.5),
    ("ten small ops", "ten small ops, JAX jit", 1.0),
    ("first call", "two milliseconds", 1.0),
    ("first call", "first call, JAX jit", 1 / 20),
    ("first call", "first call, real MLX", 1.0),
    *((name, "plain copy", times / 0.7) for name, times in BYTES.items()),
    *((name, f"{name}, JAX jit", 1.0) for name in BYTES),
    *((name, f"{name}, torch.compile", 1.0) for name in BYTES),
]


def ten(x, y, m):
    for _ in range(3):
        x = x * y + m.exp(-x)
    return x - y


def twenty(x, y, m, number):
    for _ in range(4):
        x = m.tanh(x) * y + m.sin(x) / (number + y)
    return m.maximum(x, y)


def layer_norm(x, w, b, m):
    mean = m.mean(x, axis=-1, keepdims=True)
    var = m.var(x, axis=-1, keepdims=True)
    return (x - mean) / m.sqrt(var + 1e-5) * w + b


def cross_entropy(x, targets, m):
    top = m.max(x, axis=-1, keepdims=True)
    total = m.log(m.sum(m.exp(x - top), axis=-1)) + m.squeeze(top, -1)
    return m.mean(total - m.squeeze(m.take_along_axis(x, m.expand_dims(targets, -1), axis=-1), -1))


def adam(p, g, first, second, m):
    first = 0.9 * first + 0.1 * g
    second = 0.999 * second + 0.001 * (g * g)
    return p - 1e-3 * first / (m.sqrt(second) + 1e-8), first, second


def square():
    return data().reshape(ROWS, N // ROWS)


def targets():
    import numpy
    return numpy.random.default_rng(1).integers(0, N // ROWS, ROWS, dtype="int32")


def row(scale):
    import numpy
    return numpy.full(N // ROWS, scale, "float32")


ARRAYS = {"gelu": lambda: [data()], "layer norm": lambda: [square(), row(1.5), row(0.5)], "cross-entropy": lambda: [square(), targets()]}
FUNCTIONS = {"gelu": gelu_tanh, "layer norm": layer_norm, "cross-entropy": cross_entropy}


def mlx_ten():
    import mlx.core as mx
    x, y = mx.ones(10), mx.full((10,), 0.5)
    function = mx.compile(lambda x, y: ten(x, y, mx))
    mx.eval(x, y, function(x, y))

    def step():
        for _ in range(CALLS):
            mx.eval(function(x, y))
    return step


def jax_ten():
    import jax
    import jax.numpy as m
    x, y = m.ones(10), m.full((10,), 0.5)
    function = jax.jit(lambda x, y: ten(x, y, m))

    def step():
        for _ in range(CALLS):
            function(x, y).block_until_ready()
    return step


def mlx_first():
    import mlx.core as mx
    x, y = mx.ones(10), mx.full((10,), 0.5)
    mx.eval(x, y)
    numbers = itertools.count(2)

    def step():
        number = next(numbers)
        mx.eval(mx.compile(lambda x, y: twenty(x, y, mx, number))(x, y))
    return step


def jax_first():
    import jax
    import jax.numpy as m
    x, y = m.ones(10), m.full((10,), 0.5)
    numbers = itertools.count(2)

    def step():
        number = next(numbers)
        jax.jit(lambda x, y: twenty(x, y, m, number))(x, y).block_until_ready()
    return step


def mlx_large(name):
    def prepare():
        import mlx.core as mx
        arrays = [mx.array(a) for a in ARRAYS[name]()]
        mx.eval(arrays)
        function = mx.compile(lambda *arrays: FUNCTIONS[name](*arrays, mx))
        return lambda: mx.eval(function(*arrays))
    return prepare


def jax_large(name):
    def prepare():
        import jax
        import jax.numpy as m
        arrays = [m.asarray(a) for a in ARRAYS[name]()]
        function = jax.jit(lambda *arrays: FUNCTIONS[name](*arrays, m))
        return lambda: function(*arrays).block_until_ready()
    return prepare


def mlx_adam():
    import mlx.core as mx
    g = mx.array(data())
    state = [mx.array(data()), mx.zeros_like(g), mx.zeros_like(g)]
    mx.eval(g, state)
    function = mx.compile(lambda p, g, first, second: adam(p, g, first, second, mx))

    def step():
        p, first, second = state
        state.clear()
        state.extend(function(p, g, first, second))
        del p, first, second
        mx.eval(state)
    return step


def jax_adam():
    import jax
    import jax.numpy as m
    g = m.asarray(data())
    state = [m.asarray(data()), m.zeros_like(g), m.zeros_like(g)]
    function = jax.jit(lambda p, g, first, second: adam(p, g, first, second, m), donate_argnums=(0, 2, 3))

    def step():
        state[:] = function(state[0], g, state[1], state[2])
        state[0].block_until_ready()
    return step


class TorchNames:
    """What the functions above call, by NumPy's names."""

    def __init__(self):
        import torch
        self.torch = torch
        for name in ("mean", "tanh", "sqrt", "exp", "log", "sum", "squeeze"):
            setattr(self, name, getattr(torch, name))
        self.max = torch.amax

    def var(self, x, axis, keepdims):
        return self.torch.var(x, axis, correction=0, keepdim=keepdims)

    def expand_dims(self, x, axis):
        return x.unsqueeze(axis)

    def take_along_axis(self, x, indices, axis):
        return self.torch.take_along_dim(x, indices.long(), axis)


def torch_compiled(function):
    import torch
    torch.set_num_threads(2)
    names = TorchNames()
    return torch.compile(lambda *arrays: function(*arrays, names))


def torch_large(name):
    def prepare():
        import torch
        arrays = [torch.from_numpy(a) for a in ARRAYS[name]()]
        function = torch_compiled(FUNCTIONS[name])
        return lambda: function(*arrays)
    return prepare


def torch_adam():
    """In place, as PyTorch's own optimizers."""
    import torch
    g, p = torch.from_numpy(data()), torch.from_numpy(data())
    state = [p, torch.zeros_like(g), torch.zeros_like(g)]

    def update(p, g, first, second, m):
        for old, new in zip((p, first, second), adam(p, g, first, second, m)):
            old.copy_(new)
    function = torch_compiled(update)
    return lambda: function(state[0], g, *state[1:])


CONTESTANTS = {
    "ten small ops": ("cmlx", mlx_ten),
    "ten small ops, real MLX": ("mlx", mlx_ten),
    "ten small ops, JAX jit": ("jax", jax_ten),
    "two milliseconds": ("cmlx", lambda: lambda: 2e-3),
    "first call": ("cmlx", mlx_first),
    "first call, JAX jit": ("jax", jax_first),
    "first call, real MLX": ("mlx", mlx_first),
    "plain copy": ("numpy", copy("copy")),
    **{name: ("cmlx", mlx_large(name)) for name in FUNCTIONS},
    **{f"{name}, JAX jit": ("jax", jax_large(name)) for name in FUNCTIONS},
    "adam": ("cmlx", mlx_adam),
    "adam, JAX jit": ("jax", jax_adam),
    **{f"{name}, torch.compile": ("torch", torch_large(name)) for name in FUNCTIONS},
    "adam, torch.compile": ("torch", torch_adam),
}
