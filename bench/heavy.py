"""Kernels that carry the heavy work: products (NumPy's are OpenBLAS's), convolution, softmax, sort."""

CLAIMS = [
    ("product 1024", "product 1024, NumPy", 1.0),
    ("product 1024", "product 1024, PyTorch", 1.0),
    ("linear 4096x128x512", "linear 4096x128x512, NumPy", 1.0),
    ("linear 4096x128x512", "linear 4096x128x512, PyTorch", 1.0),
    ("convolution, forward and backward", "convolution, PyTorch", 1.0),
    ("softmax 4096x4096", "softmax, PyTorch", 1.0),
    ("sort 1M", "sort, NumPy", 1.0),
]
ROUNDS = 15


def normal(*shape):
    import numpy
    return numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)


def ours(step, *arrays):
    """step(mx, *arrays) -> what to evaluate."""
    def prepare():
        import mlx.core as mx
        given = [mx.array(normal(*shape)) for shape in arrays]
        mx.eval(given)
        return lambda: mx.eval(step(mx, *given))
    return prepare


def numpy(step, *arrays):
    def prepare():
        import numpy
        given = [normal(*shape) for shape in arrays]
        return lambda: step(numpy, *given)
    return prepare


def torch(step, *arrays):
    def prepare():
        import torch
        given = [torch.from_numpy(normal(*shape)) for shape in arrays]
        return lambda: step(torch, *given)
    return prepare


def numpy_sort():
    import numpy
    x = normal(1 << 20)
    return lambda: numpy.sort(x)


def product(m, a, b):
    return a @ b


def linear(m, x, w):
    return x @ w.T


def convolution(mx, x, w):
    return mx.value_and_grad(lambda x, w: mx.conv2d(x, w, padding=1).sum(), argnums=(0, 1))(x, w)


def convolution_torch(torch, x, w):
    x, w = x.requires_grad_(), w.requires_grad_()
    torch.autograd.grad(torch.conv2d(x, w, padding=1).sum(), (x, w))


SQUARE = (1024, 1024)
LINEAR = ((4096, 128), (512, 128))
CONTESTANTS = {
    "product 1024": ("cmlx", ours(product, SQUARE, SQUARE)),
    "product 1024, NumPy": ("numpy", numpy(product, SQUARE, SQUARE)),
    "product 1024, PyTorch": ("torch", torch(product, SQUARE, SQUARE)),
    "linear 4096x128x512": ("cmlx", ours(linear, *LINEAR)),
    "linear 4096x128x512, NumPy": ("numpy", numpy(linear, *LINEAR)),
    "linear 4096x128x512, PyTorch": ("torch", torch(linear, *LINEAR)),
    "convolution, forward and backward": ("cmlx", ours(convolution, (8, 56, 56, 64), (64, 3, 3, 64))),
    "convolution, PyTorch": ("torch", torch(convolution_torch, (8, 64, 56, 56), (64, 64, 3, 3))),
    "softmax 4096x4096": ("cmlx", ours(lambda mx, x: mx.softmax(x, axis=-1), (4096, 4096))),
    "softmax, PyTorch": ("torch", torch(lambda torch, x: torch.softmax(x, -1), (4096, 4096))),
    "sort 1M": ("cmlx", ours(lambda mx, x: mx.sort(x), (1 << 20,))),
    "sort, NumPy": ("numpy", numpy_sort),
}
