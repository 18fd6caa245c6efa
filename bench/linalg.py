"""Factorisations of a matrix of 512 rows and of a batch of small ones, f32."""

SIZES = {"512": (512, 512), "256 of 32": (256, 32, 32)}
WORKS = {
    "inv": lambda la, a: la.inv(a),
    "cholesky": lambda la, a: la.cholesky(a),
    "qr": lambda la, a: la.qr(a),
    "svd": lambda la, a: la.svd(a),
    "eigh": lambda la, a: la.eigh(a),
    "solve": lambda la, a: la.solve(a, a),
}
CLAIMS = [(f"{work} {size}, cmlx", f"{work} {size}, NumPy", 1.0) for work in WORKS for size in SIZES]
ROUNDS = 9


def matrices(shape):
    import numpy
    x = numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)
    return x @ x.swapaxes(-1, -2) / shape[-1] + numpy.eye(shape[-1], dtype=numpy.float32)


def ours(work, shape):
    def prepare():
        import mlx.core as mx
        a = mx.array(matrices(shape))
        mx.eval(a)
        return lambda: mx.eval(work(mx.linalg, a))
    return prepare


def numpy(work, shape):
    def prepare():
        import numpy
        a = matrices(shape)
        return lambda: work(numpy.linalg, a)
    return prepare


def torch(work, shape):
    def prepare():
        import torch
        a = torch.from_numpy(matrices(shape))
        return lambda: work(torch.linalg, a)
    return prepare


CONTESTANTS = {
    f"{name} {size}, {who}": (environment, make(work, shape))
    for name, work in WORKS.items()
    for size, shape in SIZES.items()
    for who, environment, make in (("cmlx", "cmlx", ours), ("NumPy", "numpy", numpy), ("PyTorch", "torch", torch))
}
