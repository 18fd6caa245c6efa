"""mx.linalg against NumPy: values in every dtype, gradients of both modes against differences, batching, errors."""

import mlx.core as mx
import numpy as np
import pytest

import checks

L = mx.linalg
DTYPES = ["float32", "float64", "complex64"]
TOLERANCE = {"float32": 2e-4, "float64": 1e-10, "complex64": 2e-4}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def matrices(dtype, *shape, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=shape)
    return (a + 1j * rng.normal(size=shape) if dtype == "complex64" else a).astype(dtype)


def H(x):
    return np.conj(np.swapaxes(x, -1, -2))


def positive(dtype, *shape):
    a = matrices(dtype, *shape)
    return (a @ H(a) + 3 * np.eye(shape[-1])).astype(dtype)


def to_mx(x):
    return mx.array(x, getattr(mx, x.dtype.name))


def close(got, want, dtype):
    got = np.array(got)
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@every_dtype
def test_inverses_undo(dtype):
    a, s = matrices(dtype, 2, 3, 4, 4), positive(dtype, 2, 4, 4)
    close(L.inv(to_mx(a)), np.linalg.inv(a), dtype)
    close(L.cholesky_inv(L.cholesky(to_mx(s))), np.linalg.inv(s), dtype)
    close(L.cholesky_inv(L.cholesky(to_mx(s), upper=True), upper=True), np.linalg.inv(s), dtype)
    t = np.tril(s)
    close(L.tri_inv(to_mx(t)), np.linalg.inv(t), dtype)
    close(L.tri_inv(to_mx(H(t)), upper=True), np.linalg.inv(H(t)), dtype)
    close(L.pinv(to_mx(a[..., :2])), np.linalg.pinv(a[..., :2]), dtype)


@every_dtype
def test_cholesky(dtype):
    s = positive(dtype, 3, 5, 5)
    close(L.cholesky(to_mx(s)), np.linalg.cholesky(s), dtype)
    close(L.cholesky(to_mx(s), upper=True), H(np.linalg.cholesky(s)), dtype)


@every_dtype
def test_systems(dtype):
    a, b = matrices(dtype, 2, 4, 4), matrices(dtype, 2, 4, 3, seed=1)
    close(L.solve(to_mx(a), to_mx(b)), np.linalg.solve(a, b), dtype)
    close(L.solve(to_mx(a[0]), to_mx(b[0, :, 0])), np.linalg.solve(a[0], b[0, :, 0]), dtype)
    t = np.tril(positive(dtype, 2, 4, 4))
    close(L.solve_triangular(to_mx(t), to_mx(b)), np.linalg.solve(t, b), dtype)
    close(L.solve_triangular(to_mx(H(t)), to_mx(b), upper=True), np.linalg.solve(H(t), b), dtype)


@every_dtype
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3), (1, 1)])
def test_factors_multiply_back(dtype, shape):
    a, k = matrices(dtype, *shape), min(shape[-2:])
    q, r = map(np.array, L.qr(to_mx(a)))
    close(q @ r, a, dtype)
    close(H(q) @ q, np.broadcast_to(np.eye(k), (*shape[:-2], k, k)), dtype)
    assert np.all(np.tril(r, -1) == 0)
    u, s, vt = map(np.array, L.svd(to_mx(a)))
    assert u.shape[-2:] == (shape[-2],) * 2 and vt.shape[-2:] == (shape[-1],) * 2
    close((u[..., :k] * s[..., None, :]) @ vt[..., :k, :], a, dtype)
    close(L.svd(to_mx(a), compute_uv=False), np.linalg.svd(a, compute_uv=False), dtype)
    order, lower, upper = map(np.array, L.lu(to_mx(a)))
    close(lower @ upper, np.take_along_axis(a, order[..., None].astype(np.int64), -2), dtype)


@every_dtype
def test_eigenvalues(dtype):
    s, a = positive(dtype, 2, 4, 4), matrices(dtype, 2, 4, 4)
    for uplo, half in (("L", np.tril), ("U", np.triu)):    # the other triangle is not read
        w, v = map(np.array, L.eigh(to_mx(half(s)), UPLO=uplo))
        close((v * w[..., None, :]) @ H(v), s, dtype)
        close(L.eigvalsh(to_mx(half(s)), UPLO=uplo), np.linalg.eigvalsh(s), dtype)
    w, v = map(np.array, L.eig(to_mx(a)))
    close(a.astype(np.complex64) @ v, v * w[..., None, :], "complex64")
    close(np.sort_complex(np.array(L.eigvals(to_mx(a)))), np.sort_complex(np.linalg.eigvals(a)), "complex64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_determinants(dtype):
    a = matrices(dtype, 3, 4, 4)
    close(L.det(to_mx(a)), np.linalg.det(a), dtype)
    for got, want in zip(L.slogdet(to_mx(a)), np.linalg.slogdet(a)):
        close(got, want, dtype)
    assert L.det(mx.zeros((2, 2))).item() == 0
    assert L.slogdet(mx.zeros((2, 2)))[1].item() == -np.inf


@pytest.mark.parametrize("order", [2, -2, "nuc", "fro", 1, -1, np.inf, -np.inf])
def test_matrix_norms(order):
    a = matrices("float32", 3, 2, 4)
    close(L.norm(to_mx(a), order, axis=[0, 2]), np.linalg.norm(a, order, axis=(0, 2)), "float32")
    close(L.norm(to_mx(a), order, axis=[2, 1], keepdims=True), np.linalg.norm(a, order, axis=(2, 1), keepdims=True), "float32")


def test_nothing_to_do():
    assert L.inv(mx.zeros((0, 3, 3))).shape == (0, 3, 3)
    assert L.det(mx.zeros((0, 0))).item() == 1
    assert L.qr(mx.zeros((2, 0, 3)))[1].shape == (2, 0, 3)


W = matrices("float64", 5, 5, seed=7)


def weighted(x):
    m = mx.array(W, mx.float64)
    return (x * m[:x.shape[-2], :x.shape[-1]]).sum() if x.ndim > 1 else (x * m[0, :x.shape[0]]).sum()


def symmetric(x):
    return (x + x.T) / 2


SQUARE, POSITIVE, TALL = matrices("float64", 3, 3), positive("float64", 3, 3), matrices("float64", 4, 3)
GRADIENTS = {
    "inv": (lambda x: weighted(L.inv(x)), SQUARE),
    "det": (L.det, SQUARE),
    "slogdet": (lambda x: L.slogdet(x)[1], SQUARE),
    "cholesky": (lambda x: weighted(L.cholesky(symmetric(x))), POSITIVE),
    "cholesky upper": (lambda x: weighted(L.cholesky(symmetric(x), upper=True)), POSITIVE),
    "solve for a": (lambda x: weighted(L.solve(x, mx.array(TALL.T[:, :3], mx.float64))), SQUARE),
    "solve for b": (lambda x: weighted(L.solve(mx.array(SQUARE, mx.float64), x)), POSITIVE),
    "solve_triangular": (lambda x: weighted(L.solve_triangular(x, mx.array(SQUARE, mx.float64))), POSITIVE),
    "qr": (lambda x: weighted(L.qr(x)[0]) + weighted(L.qr(x)[1]), TALL),
    "eigh": (lambda x: weighted(L.eigh(symmetric(x))[0]) + weighted(L.eigh(symmetric(x))[1] ** 2), POSITIVE),
    "eigvalsh": (lambda x: weighted(L.eigvalsh(symmetric(x))), POSITIVE),
    "svd tall": (lambda x: weighted(L.svd(x)[0][:, :3] ** 2) + weighted(L.svd(x)[1]) + weighted(L.svd(x)[2] ** 2), TALL),
    "svd wide": (lambda x: weighted(L.svd(x)[0] ** 2) + weighted(L.svd(x)[2][:3] ** 2), TALL.T.copy()),
    "singular values": (lambda x: weighted(L.svd(x, compute_uv=False)), TALL),
    "pinv": (lambda x: weighted(L.pinv(x)), TALL),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    f, x = GRADIENTS[name]
    x = mx.array(x, mx.float64)
    checks.gradient(f, [x])


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "solve for a", "eigvalsh"])
def test_second_gradients(name):
    f, x = GRADIENTS[name]
    checks.gradient(mx.grad(f), [mx.array(x, mx.float64)], rtol=2e-4)


def test_batching():
    stack = np.stack([SQUARE, POSITIVE, SQUARE.T]).astype(np.float32)
    close(mx.vmap(L.inv)(to_mx(stack)), np.linalg.inv(stack), "float32")
    close(mx.vmap(lambda x: L.eigh(x)[0], in_axes=2)(to_mx(np.stack([POSITIVE] * 2, 2).astype(np.float32))),
          np.linalg.eigvalsh(np.stack([POSITIVE] * 2)), "float32")
    b = SQUARE.astype(np.float32)
    close(mx.vmap(L.solve, in_axes=(0, None))(to_mx(stack), to_mx(b)), np.linalg.solve(stack, np.stack([b] * 3)), "float32")


@pytest.mark.parametrize("f, error, says", [
    (lambda: L.inv(mx.zeros((2, 2))), RuntimeError, "singular"),
    (lambda: L.solve(mx.ones((2, 2)), mx.ones((2, 1))), RuntimeError, "singular"),
    (lambda: L.cholesky(-mx.eye(2)), RuntimeError, "positive definite"),
    (lambda: L.svd(mx.array([[float("nan"), 1], [1, 2]]))[1], RuntimeError, "finite"),
    (lambda: L.inv(mx.zeros((2, 3))), ValueError, "square"),
    (lambda: L.inv(mx.zeros((2, 2), mx.int32)), ValueError, "int32"),
    (lambda: L.qr(mx.zeros(3)), ValueError, "dimensions"),
    (lambda: L.solve(mx.eye(2), mx.zeros(3)), ValueError, "solve"),
    (lambda: L.eigh(mx.eye(2), UPLO="x"), ValueError, "UPLO"),
    (lambda: L.det(mx.zeros((2, 2), mx.complex64)), ValueError, "complex64"),
])
def test_bad_input(f, error, says):
    with pytest.raises(error, match=says):
        mx.eval(f())
