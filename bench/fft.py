"""Fourier transforms: one long sequence, a batch, two and three axes, complex and real."""

WORKS = {
    "1M": ("fft", (1 << 20,), {}),
    "1024 of 1024": ("fft", (1024, 1024), {}),
    "1024 of 1024, first axis": ("fft", (1024, 1024), {"axis": 0}),
    "1000 of 1000": ("fft", (1000, 1000), {}),
    "1000 of 1009": ("fft", (1000, 1009), {}),
    "1024x1024": ("fft2", (1024, 1024), {}),
    "128x128x128": ("fftn", (128, 128, 128), {}),
    "real 1M": ("rfft", (1 << 20,), {}),
    "real 1024x1024": ("rfft2", (1024, 1024), {}),
    "real inverse 1024 of 1024": ("irfft", (1024, 513), {}),
}
PEERS = ("NumPy", "PyTorch", "JAX")
CLAIMS = [(f"{work}, cmlx", f"{work}, {peer}", 1.0) for work in WORKS for peer in PEERS[:2]]
ROUNDS = 9


def numbers(name, shape):
    import numpy
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal(shape, dtype=numpy.float32)
    return x if name.startswith("rfft") else (x + 1j * rng.standard_normal(shape, dtype=numpy.float32)).astype("c8")


def ours(name, shape, options):
    def prepare():
        import mlx.core as mx
        x = mx.array(numbers(name, shape))
        mx.eval(x)
        return lambda: mx.eval(getattr(mx.fft, name)(x, **options))
    return prepare


def numpy(name, shape, options):
    def prepare():
        import numpy
        x = numbers(name, shape)
        return lambda: getattr(numpy.fft, name)(x, **options)
    return prepare


def torch(name, shape, options):
    def prepare():
        import torch
        x = torch.from_numpy(numbers(name, shape))
        named = {"dim": v for v in options.values()}
        return lambda: getattr(torch.fft, name)(x, **named)
    return prepare


def jax(name, shape, options):
    def prepare():
        import jax
        x = jax.numpy.asarray(numbers(name, shape))
        f = jax.jit(lambda a: getattr(jax.numpy.fft, name)(a, **options))
        return lambda: f(x).block_until_ready()
    return prepare


CONTESTANTS = {
    f"{work}, {who}": (environment, make(*what))
    for work, what in WORKS.items()
    for who, environment, make in (("cmlx", "cmlx", ours), ("NumPy", "numpy", numpy), ("PyTorch", "torch", torch), ("JAX", "jax", jax))
}
