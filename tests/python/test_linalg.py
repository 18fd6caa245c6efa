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


@every_dtype
@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (5, 1), (1, 1)])
def test_least_squares(dtype, shape):
    a, b = matrices(dtype, *shape), matrices(dtype, shape[0], 2, seed=1)
    x, residuals, rank, s = L.lstsq(to_mx(a), to_mx(b))
    want = np.linalg.lstsq(a, b, rcond=None)
    close(x, want[0], dtype)
    close(residuals, want[1], dtype)
    assert rank.item() == want[2] and rank.dtype == mx.int32
    close(s, want[3], dtype)
    close(L.lstsq(to_mx(a), to_mx(b[:, 0]))[0], want[0][:, 0], dtype)
    many = L.lstsq(to_mx(np.stack([a, 2 * a])), to_mx(np.stack([b, b])))
    close(many[0], np.stack([want[0], want[0] / 2]), dtype)
    assert many[2].tolist() == [want[2]] * 2


def test_least_squares_of_lower_rank():
    a = np.outer([1.0, 2, 3], [1.0, -1])
    b = np.array([1.0, 0, 2])
    x, _, rank, _ = L.lstsq(to_mx(a), to_mx(b))
    close(x, np.linalg.lstsq(a, b, rcond=None)[0], "float64")
    assert rank.item() == 1
    assert L.lstsq(to_mx(np.diag([1.0, 1e-3])), to_mx(np.ones(2)), rcond=1e-2)[2].item() == 1
    assert L.lstsq(mx.zeros((0, 3)), mx.zeros((0, 2)))[0].tolist() == [[0, 0]] * 3
    assert L.lstsq(mx.zeros((3, 0)), mx.ones((3, 2)))[1].tolist() == [3, 3]


def exponential(a):
    """The Taylor series, after scaling, in double precision."""
    a = a.astype(np.complex128) / 2.0 ** 12
    term = total = np.broadcast_to(np.eye(a.shape[-1]), a.shape)
    for k in range(1, 20):
        term = term @ a / k
        total = total + term
    for _ in range(12):
        total = total @ total
    return total


@every_dtype
@pytest.mark.parametrize("size", [1e-3, 0.1, 0.5, 1, 3, 20])
def test_exponential(dtype, size):
    a = matrices(dtype, 2, 5, 5)
    a = (a * (size / np.abs(a).sum(-2).max())).astype(dtype)
    want = exponential(a)
    got = np.array(L.expm(to_mx(a)))
    error = {"float64": 1e-11}.get(dtype, 1e-5) * np.abs(want).max()
    assert np.abs(got - want).max() < error
    close(L.expm(to_mx(np.zeros((3, 3), dtype))), np.eye(3), dtype)
    assert L.expm(to_mx(np.zeros((2, 0, 0), dtype))).shape == (2, 0, 0)
    nilpotent = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype)
    close(L.expm(to_mx(nilpotent)), np.array([[1, 1, 0.5], [0, 1, 1], [0, 0, 1]]), dtype)


@every_dtype
def test_powers_and_ranks(dtype):
    a = matrices(dtype, 2, 3, 3)
    for n in (0, 1, 2, 3, 7, -1, -2):
        close(L.matrix_power(to_mx(a), n) / 10.0 ** max(n, 0), np.linalg.matrix_power(a, n) / 10.0 ** max(n, 0), dtype)
    low = a.copy()
    low[0, 2] = low[0, 0] + low[0, 1]
    assert L.matrix_rank(to_mx(low)).tolist() == [2, 3]
    assert L.matrix_rank(to_mx(low), tol=1e3).tolist() == [0, 0]
    assert L.matrix_rank(to_mx(low), rtol=mx.array([1e-5, 0.9])).tolist() == [2, 1]
    assert L.matrix_rank(to_mx(low @ H(low)), hermitian=True, rtol=1e-4).tolist() == [2, 3]
    assert L.matrix_rank(to_mx(a[0, 0])).item() == 1 and L.matrix_rank(mx.zeros((2, 0))).item() == 0
    close(L.svdvals(to_mx(a)), np.linalg.svd(a, compute_uv=False), dtype)


@every_dtype
@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro"])
def test_condition_numbers(dtype, p):
    a = matrices(dtype, 3, 4, 4)
    got, want = np.array(L.cond(to_mx(a), p)), np.linalg.cond(a, p)
    np.testing.assert_allclose(got, want, rtol=2e-3 if dtype != "float64" else 1e-8)
    if p != -2:
        assert L.cond(to_mx(np.zeros((2, 2), dtype)), p).item() == np.inf


@pytest.mark.parametrize("order", [2, 1, 0, -1, 3, np.inf, -np.inf])
def test_vector_norms(order):
    a = matrices("float64", 2, 3, 4)
    close(L.vector_norm(to_mx(a), ord=order, axis=1), np.linalg.vector_norm(a, ord=order, axis=1), "float64")
    close(L.vector_norm(to_mx(a), ord=order, axis=(0, -1), keepdims=True),
          np.linalg.vector_norm(a, ord=order, axis=(0, 2), keepdims=True), "float64")
    close(L.vector_norm(to_mx(a), ord=order), np.linalg.vector_norm(a, ord=order), "float64")


def test_names_of_the_array_standard():
    a, b = matrices("float64", 2, 3, 3), matrices("float64", 2, 3, 3, seed=1)
    x, y = to_mx(a), to_mx(b)
    for order in ("fro", "nuc", 1, 2, np.inf):
        close(L.matrix_norm(x, ord=order), np.linalg.matrix_norm(a, ord=order), "float64")
    close(L.matrix_norm(x, keepdims=True), np.linalg.matrix_norm(a, keepdims=True), "float64")
    close(L.matmul(x, y), a @ b, "float64")
    close(L.matrix_transpose(x), a.swapaxes(1, 2), "float64")
    close(L.trace(x, offset=1), np.linalg.trace(a, offset=1), "float64")
    close(L.diagonal(x, offset=-1), np.linalg.diagonal(a, offset=-1), "float64")
    close(L.vecdot(x, y, axis=1), np.linalg.vecdot(a, b, axis=1), "float64")
    close(L.outer(x[0, 0], y[0, 0]), np.outer(a[0, 0], b[0, 0]), "float64")
    close(L.tensordot(x, y, axes=([1, 2], [2, 1])), np.tensordot(a, b, ([1, 2], [2, 1])), "float64")


def test_chains_of_products():
    ms = [matrices("float64", *s, seed=i) for i, s in enumerate([(3, 40), (40, 2), (2, 50), (50, 1)])]
    close(L.multi_dot([to_mx(m) for m in ms]), np.linalg.multi_dot(ms), "float64")
    ends = [ms[0][0], ms[1], ms[2], ms[3][:, 0]]
    close(L.multi_dot([to_mx(m) for m in ends]), np.linalg.multi_dot(ends), "float64")


LAYOUTS = {
    "transposed": lambda a: mx.swapaxes(to_mx(np.ascontiguousarray(np.swapaxes(a, -1, -2))), -1, -2),
    "reversed": lambda a: to_mx(np.ascontiguousarray(a[..., ::-1, ::-1]))[..., ::-1, ::-1],
    "spaced": lambda a: to_mx(np.repeat(np.repeat(a, 2, -1), 2, -2))[..., ::2, ::2],
    "broadcast": lambda a: mx.broadcast_to(to_mx(a[:1]), a.shape),
}


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(dtype, layout):
    a = positive(dtype, 3, 20, 20)
    x = LAYOUTS[layout](a)
    a = np.array(x)
    close(L.inv(x), np.linalg.inv(a), dtype)
    close(L.cholesky(x), np.linalg.cholesky(a), dtype)
    close(L.solve(x, x[..., :2]), np.linalg.solve(a, a[..., :2]), dtype)
    close(L.eigvalsh(x), np.linalg.eigvalsh(a), dtype)
    close(L.svdvals(x), np.linalg.svd(a, compute_uv=False), dtype)


NONE_OF_IT = {
    "inv": L.inv, "pinv": L.pinv, "cholesky": L.cholesky, "qr": L.qr, "svd": L.svd, "svdvals": L.svdvals, "eigh": L.eigh,
    "eigvalsh": L.eigvalsh, "eig": L.eig, "eigvals": L.eigvals, "lu": L.lu, "lu_factor": L.lu_factor, "expm": L.expm,
    "tri_inv": L.tri_inv, "cholesky_inv": L.cholesky_inv, "matrix_rank": L.matrix_rank,
    "solve": lambda a: L.solve(a, a), "solve_triangular": lambda a: L.solve_triangular(a, a), "lstsq": lambda a: L.lstsq(a, a),
    "norm": lambda a: L.norm(a, "nuc", axis=[-2, -1]),
}


@every_dtype
@pytest.mark.parametrize("name", NONE_OF_IT)
def test_without_elements(name, dtype):
    for shape in ((0, 0), (3, 0, 0), (0, 2, 2), (2, 0, 4, 4)):
        results = NONE_OF_IT[name](mx.zeros(shape, getattr(mx, dtype)))
        for r in results if isinstance(results, tuple) else [results]:
            mx.eval(r)
            assert r.shape[:len(shape) - 2] == shape[:-2] or r.shape == (0,)    # residuals


READS_ALL = [n for n in NONE_OF_IT if n not in ("lu", "cholesky_inv")]


@every_dtype
@pytest.mark.parametrize("name", READS_ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_an_error(name, dtype, bad):
    a = positive(dtype, 2, 3, 3, 3)
    a[1, 2, 1, 0] = bad
    with pytest.raises(RuntimeError, match=r"\[linalg::\w+\] The matrix at index \(1, 2\) of the batch has elements that are not finite"):
        mx.eval(NONE_OF_IT[name](to_mx(a)))
    with pytest.raises(RuntimeError, match=r"The matrix has elements"):
        mx.eval(NONE_OF_IT[name](to_mx(a[1, 2])))


@every_dtype
def test_the_first_bad_matrix_is_named(dtype):
    a = positive(dtype, 40, 3, 3)
    a[31], a[7] = 0, 0
    for f in (L.inv, L.tri_inv, lambda x: L.solve(x, x), lambda x: L.solve_triangular(x, x)):
        with pytest.raises(RuntimeError, match=r"index \(7,\) of the batch is singular"):
            mx.eval(f(to_mx(a)))
    a[7] = -np.eye(3)
    with pytest.raises(RuntimeError, match=r"\[linalg::cholesky\] The matrix at index \(7,\) of the batch is not positive definite"):
        mx.eval(L.cholesky(to_mx(a)))


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
    "pinv wide": (lambda x: weighted(L.pinv(x)), TALL.T.copy()),
    "pinv with equal singular values": (lambda x: weighted(L.pinv(x)), np.eye(3)),
    "qr wide": (lambda x: weighted(L.qr(x)[0]) + weighted(L.qr(x)[1]), TALL.T.copy()),
    "lstsq for a": (lambda x: weighted(L.lstsq(x, mx.array(W[:4], mx.float64))[0]), TALL),
    "lstsq for a, wide": (lambda x: weighted(L.lstsq(x, mx.array(W[:3], mx.float64))[0]), TALL.T.copy()),
    "lstsq for b": (lambda x: weighted(L.lstsq(mx.array(TALL, mx.float64), x)[0]), W[:4]),
    "lstsq residuals": (lambda x: weighted(L.lstsq(x, mx.array(W[:4], mx.float64))[1]), TALL),
    "lstsq singular values": (lambda x: weighted(L.lstsq(x, mx.array(W[:4], mx.float64))[3]), TALL),
    "expm": (lambda x: weighted(L.expm(x)), SQUARE),
    "matrix_power": (lambda x: weighted(L.matrix_power(x, -3)), POSITIVE),
    "multi_dot": (lambda x: weighted(L.multi_dot([x, x.T, x])), TALL),
    "svd U tall": (lambda x: weighted(L.svd(x)[0][:, :3] @ mx.diag(L.svd(x)[1]) @ L.svd(x)[2]), TALL),
    **{f"cond {p}": (lambda x, p=p: L.cond(x, p), SQUARE) for p in (2, -2, 1, "fro")},
    **{f"norm {p}": (lambda x, p=p: weighted(L.norm(x, p, axis=[0, 2])), matrices("float64", 3, 2, 4))
       for p in (2, -2, "nuc", "fro", 1, -1, np.inf, -np.inf)},
    **{f"vector norm {p}": (lambda x, p=p: weighted(L.norm(x, p, axis=1)), TALL) for p in (None, 2, 1, 3, 0.5, -1, np.inf, -np.inf)},
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    f, x = GRADIENTS[name]
    x = mx.array(x, mx.float64)
    checks.gradient(f, [x])


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "solve for a", "eigvalsh", "expm", "lstsq for a", "pinv", "qr"])
def test_second_gradients(name):
    f, x = GRADIENTS[name]
    checks.gradient(mx.grad(f), [mx.array(x, mx.float64)], rtol=2e-4)


def complex_gradients():
    """Functions of a complex matrix whose results do not depend on the phases that LAPACK chooses."""
    m = lambda k: mx.array(matrices("complex64", 3, 3, seed=k))
    real = lambda z, k: mx.real(z * m(k)).sum()
    yield "inv", lambda x: real(L.inv(x), 1)
    yield "solve", lambda x: real(L.solve(x, m(2)), 1)
    yield "cholesky", lambda x: real(L.cholesky(x @ mx.conjugate(x).T + mx.eye(3)), 1)
    yield "qr", lambda x: real(L.qr(x)[0], 1) + real(L.qr(x)[1], 2)
    yield "svd", lambda x: real((L.svd(x)[0] * L.svd(x)[1] ** 2) @ L.svd(x)[2], 1)
    yield "svd U", lambda x: real(L.svd(x)[0][:, :1] @ mx.conjugate(L.svd(x)[0][:, :1]).T, 1)
    yield "eigh", lambda x: real((lambda w, v: (v * mx.exp(w / 8)) @ mx.conjugate(v).T)(*L.eigh(x + mx.conjugate(x).T)), 1)
    yield "lstsq", lambda x: real(L.lstsq(x, m(2))[0], 1)
    yield "expm", lambda x: real(L.expm(x), 1)


@pytest.mark.parametrize("name, f", list(complex_gradients()), ids=lambda v: v if isinstance(v, str) else "")
def test_complex_gradients(name, f):
    """Steps in the real and in the imaginary direction; float32 leaves few digits of a difference."""
    rng = np.random.default_rng(5)
    x = (matrices("complex64", 3, 3, seed=4) + 2 * np.eye(3)).astype(np.complex64)
    gradient = np.array(mx.grad(f)(mx.array(x)))
    for _ in range(3):
        d = (rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))).astype(np.complex64)
        d /= np.linalg.norm(d)
        step = 2e-2
        at = [f(mx.array((x + k * step * d).astype(np.complex64))).item() for k in (-2, -1, 1, 2)]
        want = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step)
        got = (gradient.real * d.real + gradient.imag * d.imag).sum()
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)
        _, (tangent,) = mx.jvp(f, [mx.array(x)], [mx.array(d)])
        np.testing.assert_allclose(tangent.item(), got, rtol=1e-3, atol=1e-3)


def test_gradient_of_norms_at_zero():
    """As MLX: of the root of the sum of squares, 0 / 0."""
    assert np.isnan(np.array(mx.grad(L.norm)(mx.zeros(2)))).all()
    np.testing.assert_array_equal(np.array(mx.grad(lambda x: L.norm(x, 1))(mx.zeros(2))), 0)


def test_batching():
    stack = np.stack([SQUARE, POSITIVE, SQUARE.T]).astype(np.float32)
    close(mx.vmap(L.inv)(to_mx(stack)), np.linalg.inv(stack), "float32")
    close(mx.vmap(lambda x: L.eigh(x)[0], in_axes=2)(to_mx(np.stack([POSITIVE] * 2, 2).astype(np.float32))),
          np.linalg.eigvalsh(np.stack([POSITIVE] * 2)), "float32")
    b = SQUARE.astype(np.float32)
    close(mx.vmap(lambda x: L.lstsq(x, x[:, 0])[0])(to_mx(stack)), np.stack([[1, 0, 0]] * 3), "float32")
    close(mx.vmap(L.expm)(to_mx(stack)) / 1e3, exponential(stack).real / 1e3, "float32")
    for f in (L.pinv, L.svdvals, L.cond, lambda x: L.matrix_power(x, 3), lambda x: L.norm(x, 2)):
        close(mx.vmap(f)(to_mx(stack)), np.stack([np.array(f(to_mx(m))) for m in stack]), "float32")
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
    (lambda: L.slogdet(mx.zeros((2, 2), mx.complex64)), ValueError, "complex64"),
    (lambda: L.lstsq(mx.zeros((3, 2)), mx.zeros((2, 2))), ValueError, r"lstsq.*\(3,2\).*\(2,2\)"),
    (lambda: L.lstsq(mx.zeros(3), mx.zeros(3)), ValueError, "lstsq.*dimensions"),
    (lambda: L.expm(mx.zeros((2, 3))), ValueError, "expm.*square"),
    (lambda: L.expm(mx.zeros((2, 2), mx.int32)), ValueError, "expm.*int32"),
    (lambda: L.matrix_power(mx.zeros((2, 3)), 2), ValueError, "matrix_power.*square"),
    (lambda: L.matrix_power(mx.zeros((2, 2)), -1), RuntimeError, "singular"),
    (lambda: L.matrix_rank(mx.eye(2), tol=1, rtol=1), ValueError, "matrix_rank.*both"),
    (lambda: L.cond(mx.zeros((0, 0))), ValueError, "cond.*elements"),
    (lambda: L.cond(mx.eye(2), "nuc"), ValueError, "cond.*nuc"),
    (lambda: L.cond(mx.eye(2), 3), ValueError, "ord 3"),
    (lambda: L.multi_dot([mx.eye(2)]), ValueError, "multi_dot"),
    (lambda: L.multi_dot([mx.eye(2), mx.eye(3)]), ValueError, r"multi_dot.*\(2,2\).*\(3,3\)"),
    (lambda: L.multi_dot([mx.eye(2), mx.ones(2), mx.eye(2)]), ValueError, "must be a matrix"),
    (lambda: L.vector_norm(mx.ones(3), axis=1), IndexError, "norm"),
    (lambda: L.matrix_norm(mx.ones(3)), IndexError, "norm"),
    (lambda: L.matrix_norm(mx.eye(3), ord="x"), ValueError, "norm"),
])
def test_bad_input(f, error, says):
    with pytest.raises(error, match=says):
        mx.eval(f())


@pytest.mark.parametrize("f", [lambda a: mx.real(L.eigvals(a)), lambda a: mx.real(L.eig(a)[0]), lambda a: L.lu(a)[2], lambda a: L.lu_factor(a)[0]],
                         ids=["eigvals", "eig", "lu", "lu_factor"])
def test_what_has_no_gradient_says_so(f):
    a = mx.array(matrices("float32", 3, 3))
    with pytest.raises(ValueError, match="Not implemented for"):
        mx.grad(lambda x: f(x).sum())(a)
    with pytest.raises(ValueError, match="Not implemented for"):
        mx.jvp(f, [a], [a])
