"""GELU of 16M floats as a plain expression: against a copy of the same arrays by as many threads, and against JAX's jit."""

import ctypes
import pathlib
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

ONE_COUNT = True     # of threads
N = 16 * 1024 * 1024
ROUNDS = 15
CLAIMS = [
    ("gelu, tanh form", "plain copy", 2.0),
    ("gelu, erf form", "plain copy", 2.0),
    ("gelu, tanh form", "memcpy", 4.0),
    ("gelu, tanh form", "jax jit, tanh form", 1.0),
    ("gelu, erf form", "jax jit, erf form", 1.0),
]


def gelu_tanh(x, m):
    return 0.5 * x * (1 + m.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def gelu_erf(x, erf):
    return 0.5 * x * (1 + erf(x * 0.7071067811865476))


def data():
    import numpy
    return numpy.random.default_rng(0).standard_normal(N, dtype=numpy.float32)


def cmlx(expression):
    def prepare():
        import mlx.core as mx
        x = mx.array(data())
        mx.eval(x)

        def step():
            mx.eval(expression(x, mx))
        return step
    return prepare


def jax_jit(expression):
    def prepare():
        import jax
        x = jax.numpy.asarray(data())
        function = jax.jit(expression)
        return lambda: function(x).block_until_ready()
    return prepare


def copy(entry):
    """Two Python threads, each with half of the arrays; ctypes lets the interpreter lock go."""
    def prepare():
        import numpy
        x = data()
        y = numpy.zeros_like(x)
        folder = tempfile.mkdtemp()
        library = pathlib.Path(folder, "copy.so")
        source = pathlib.Path(__file__).with_name("copy.c")
        subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", source, "-o", library], check=True)
        function = getattr(ctypes.CDLL(str(library)), entry)
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        pool = ThreadPoolExecutor(2)
        half = N // 2

        def part(i):
            function(y.ctypes.data + 4 * half * i, x.ctypes.data + 4 * half * i, half)
        return lambda: list(pool.map(part, range(2)))
    return prepare


def jax_erf(x):
    from jax.scipy.special import erf
    return gelu_erf(x, erf)


def jax_tanh(x):
    import jax.numpy
    return gelu_tanh(x, jax.numpy)


CONTESTANTS = {
    "plain copy": ("numpy", copy("copy")),
    "memcpy": ("numpy", copy("copy_memcpy")),
    "gelu, tanh form": ("cmlx", cmlx(gelu_tanh)),
    "gelu, erf form": ("cmlx", cmlx(lambda x, mx: gelu_erf(x, mx.erf))),
    "jax jit, tanh form": ("jax", jax_jit(jax_tanh)),
    "jax jit, erf form": ("jax", jax_jit(jax_erf)),
}
