"""Distributions beyond MLX's: moments and quantiles with fixed keys, gradients, one key a sample under vmap."""

import math

import mlx.core as mx
import numpy as np
import pytest

import checks
import table

R = mx.random
N = 100_000
KEY = R.key(7)


def drawn(f, *args, **how):
    x = np.array(f(*args, shape=(N,), key=KEY, **how)).astype(np.float64)
    assert x.shape == (N,)
    return x


def moments(x, mean, variance, sigmas=5):
    """The mean and the variance of a sample lie where they should."""
    kurtosis = ((x - x.mean()) ** 4).mean() / max(x.var(), 1e-300) ** 2
    assert abs(x.mean() - mean) < sigmas * math.sqrt(variance / N)
    assert abs(x.var() - variance) < sigmas * variance * math.sqrt(max(kurtosis - 1, 0.1) / N)


def quantiles(x, cdf, at):
    """The empirical distribution function agrees at some places."""
    for place in at:
        p = cdf(place)
        assert abs((x <= place).mean() - p) < 5 * math.sqrt(p * (1 - p) / N) + 1e-9, place


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_exponential(dtype, scale):
    x = drawn(R.exponential, scale, dtype=table.DTYPES[dtype])
    assert (x >= 0).all()
    moments(x, scale, scale ** 2)
    quantiles(x, lambda v: 1 - math.exp(-v / scale), [0.1, 1, 3])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_floating_dtypes(dtype):
    t = table.DTYPES[dtype]
    for x in (R.exponential(shape=(5,), dtype=t), R.gamma(2.0, shape=(5,), dtype=t), R.beta(2.0, 1.0, shape=(5,), dtype=t),
              R.dirichlet(mx.ones(3), shape=(5,), dtype=t), R.poisson(3.0, shape=(5,), dtype=t)):
        assert x.dtype == t and x.shape[0] == 5
        assert mx.all(x >= 0)


@pytest.mark.parametrize("a", [0.3, 1.0, 2.5, 40.0, 1e4])
def test_gamma(a):
    x = drawn(R.gamma, a, 2.0)
    moments(x, 2 * a, 4 * a)
    if a == 1:
        quantiles(x, lambda v: 1 - math.exp(-v / 2), [0.1, 1, 5])
    if a == 2.5:        # an incomplete gamma function of a half-integer
        def cdf(v):
            v /= 2
            half = math.erf(math.sqrt(v)) - 2 * math.sqrt(v / math.pi) * math.exp(-v)
            return half - math.exp(-v) * v ** 1.5 / math.gamma(2.5)
        quantiles(x, cdf, [1, 4, 9])


def test_gamma_of_small_parameters_does_not_get_lost():
    x = R.gamma(mx.array(0.01, mx.float64), shape=(N,), dtype=mx.float64, key=KEY)
    logs = np.log(np.maximum(np.array(x), 1e-320))
    assert abs((logs < -100).mean() - math.exp(-1) / math.gamma(1.01)) < 0.01      # P(x < e^-100) = e^(-100 a) / Gamma(1 + a)


def test_parameters_at_the_border():
    x = R.gamma(mx.array([-1.0, 0, np.inf, np.nan]), key=KEY).tolist()
    assert math.isnan(x[0]) and x[1] == 0 and x[2] == np.inf and math.isnan(x[3])
    assert R.poisson(mx.array([-1.0, 0, np.nan]), key=KEY).tolist() == [-1, 0, -1]


def test_beta():
    x = drawn(R.beta, 0.5, 2.0)
    assert ((x >= 0) & (x <= 1)).all()
    moments(x, 0.2, 0.2 * 0.8 / 3.5)
    quantiles(drawn(R.beta, 1.0, 3.0), lambda v: 1 - (1 - v) ** 3, [0.1, 0.3, 0.6])


def test_dirichlet():
    alpha = np.array([1.0, 2, 3.5])
    x = np.array(R.dirichlet(mx.array(alpha), shape=(N,), key=KEY)).astype(np.float64)
    assert x.shape == (N, 3)
    np.testing.assert_allclose(x.sum(1), 1, rtol=1e-5)
    for i, a in enumerate(alpha):
        m = a / alpha.sum()
        moments(x[:, i], m, m * (1 - m) / (alpha.sum() + 1))
    assert R.dirichlet(mx.ones((4, 3))).shape == (4, 3)
    tiny = R.dirichlet(mx.full((50, 3), 1e-3), key=KEY)       # the gamma draws themselves are all 0
    np.testing.assert_allclose(np.array(tiny.sum(-1)), 1, rtol=1e-5)


@pytest.mark.parametrize("lam", [0.2, 3.0, 9.9, 10.0, 55.0, 1e5])
def test_poisson(lam):
    x = drawn(R.poisson, lam)
    assert (x == np.rint(x)).all() and (x >= 0).all()
    moments(x, lam, lam)
    if lam < 100:
        p = math.exp(-lam)
        for k in range(int(lam) + 3):
            assert abs((x == k).mean() - p) < 5 * math.sqrt(p / N) + 1e-9, k
            p *= lam / (k + 1)


def test_poisson_counts_are_integers_of_the_dtype_asked_for():
    assert R.poisson(3.0).dtype == mx.int32 and R.poisson(3.0).shape == ()
    for t in (mx.uint8, mx.int64, mx.float32):
        assert R.poisson(mx.ones((2, 3)), dtype=t).dtype == t
    assert R.poisson(1e12, dtype=mx.int64, key=KEY).item() > 9e11


def test_draws_depend_on_key_and_place_alone():
    a = mx.array(np.random.default_rng(0).uniform(0.2, 5, (40, 50)).astype(np.float32))
    whole = R.gamma(a, key=KEY)
    parts = R.gamma(a.reshape(2000)[:77], key=KEY)
    assert mx.array_equal(whole.reshape(2000)[:77], parts)
    assert mx.array_equal(whole, R.gamma(mx.contiguous(a.T).T, key=KEY))        # strides are no part of it
    assert not mx.array_equal(whole, R.gamma(a, key=R.key(8)))
    R.seed(3)
    first = R.poisson(5.0, shape=(20,))
    assert not mx.array_equal(first, R.poisson(5.0, shape=(20,)))
    R.seed(3)
    assert mx.array_equal(first, R.poisson(5.0, shape=(20,)))


DRAWS = [("exponential", lambda k: R.exponential(2.0, shape=(5,), key=k)),
         ("gamma", lambda k: R.gamma(mx.array([0.5, 3.0]), shape=(4, 2), key=k)),
         ("beta", lambda k: R.beta(0.5, 3.0, shape=(5,), key=k)),
         ("dirichlet", lambda k: R.dirichlet(mx.array([0.5, 3.0]), shape=(5,), key=k)),
         ("poisson", lambda k: R.poisson(4.0, shape=(5,), key=k)),
         ("choice", lambda k: R.choice(9, (5,), key=k)),
         ("weighted choice", lambda k: R.choice(3, (5,), p=mx.array([0.2, 0.5, 0.3]), key=k)),
         ("choice without replacement", lambda k: R.choice(9, (5,), replace=False, key=k)),
         ("multivariate_normal", lambda k: R.multivariate_normal(mx.zeros(2), mx.eye(2), (5,), key=k))]


@pytest.mark.parametrize("draw", [d for _, d in DRAWS], ids=[n for n, _ in DRAWS])
def test_vmap_over_keys_is_a_loop(draw):
    keys = R.split(KEY, 4)
    got = mx.vmap(draw)(keys)
    want = mx.stack([draw(k) for k in keys])
    np.testing.assert_allclose(np.array(got), np.array(want), rtol=1e-6)
    assert not mx.array_equal(got[0], got[1])
    checks.compiled(draw, [keys[0]], [keys[1]], may_refuse=True)


def test_vmap_over_parameters_is_a_loop():
    a = mx.array([0.5, 2.0, 30.0])
    for f in (lambda x: R.gamma(x, shape=(6,), key=KEY), lambda x: R.poisson(x, shape=(6,), key=KEY),
              lambda x: R.exponential(x, shape=(6,), key=KEY)):
        np.testing.assert_array_equal(np.array(mx.vmap(f)(a)), np.array(mx.stack([f(x) for x in a])))


# ---- gradients ----

def test_gradient_of_exponential():
    assert mx.array_equal(mx.grad(lambda s: R.exponential(s, key=KEY))(mx.array(3.0)), R.exponential(1.0, key=KEY))


def test_gradient_of_gamma_holds_the_place_in_the_distribution():
    """For a = 1 the distribution function is 1 - exp(-x); for others its derivative by a is taken by differences of a
    numerical integral of the density."""
    def density(a, t):
        return np.exp((a - 1) * np.log(t) - t - math.lgamma(a))

    def cdf(a, x, n=200_000):     # the substitution t = x s^4 tames the density at 0
        s = (np.arange(n) + 0.5) / n
        return np.sum(density(a, x * s ** 4) * 4 * x * s ** 3) / n

    for a in (0.6, 1.0, 2.5, 12.0):
        p = mx.full((6,), a, dtype=mx.float64)
        outs, grads = mx.vjp(lambda t: R.gamma(t, dtype=mx.float64, key=KEY), [p], [mx.ones(6, dtype=mx.float64)])
        for x, g in zip(np.array(outs[0]), np.array(grads[0])):
            want = -(cdf(a + 1e-4, x) - cdf(a - 1e-4, x)) / 2e-4 / density(a, x)
            assert g == pytest.approx(want, rel=2e-4), (a, x)


@pytest.mark.parametrize("a", [1e-3, 0.3, 1.0, 5.0, 300.0, 2e5])
def test_mean_of_gradients_is_the_gradient_of_the_mean(a):
    p = mx.full((N,), a)
    g = np.array(mx.grad(lambda t: R.gamma(t, key=KEY).sum())(p)).astype(np.float64)
    assert np.isfinite(g).all()
    assert abs(g.mean() - 1) < 5 * g.std() / math.sqrt(N) + 1e-4
    _, (tangent,) = mx.jvp(lambda t: R.gamma(t, key=KEY), [p], [mx.ones((N,))])
    np.testing.assert_allclose(np.array(tangent), g, rtol=1e-5, atol=1e-30)


def test_gradients_of_beta_and_dirichlet_in_the_mean():
    a, b = mx.full((N,), 1.5), mx.full((N,), 2.5)
    ga, gb = mx.grad(lambda a, b: R.beta(a, b, key=KEY).sum(), argnums=(0, 1))(a, b)
    assert ga.mean().item() == pytest.approx(2.5 / 16, rel=0.03) and gb.mean().item() == pytest.approx(-1.5 / 16, rel=0.03)
    alpha = mx.array([1.0, 2.0, 5.0])
    g = mx.grad(lambda t: R.dirichlet(t, shape=(N,), key=KEY)[:, 0].mean())(alpha)
    np.testing.assert_allclose(np.array(g), [7 / 64, -1 / 64, -1 / 64], rtol=0.05)


def test_poisson_has_no_gradient():
    assert mx.grad(lambda t: R.poisson(t, dtype=mx.float32, key=KEY))(mx.array(3.0)).item() == 0


# ---- choice ----

def test_choice_takes_all_alike():
    x = drawn(R.choice, 10)
    counts = np.bincount(x.astype(int), minlength=10)
    assert len(counts) == 10 and (abs(counts - N / 10) < 5 * math.sqrt(N / 10)).all()
    assert R.choice(10, (2, 3)).dtype == mx.uint32 and R.choice(10).shape == () and R.choice(10, 4).shape == (4,)


def test_choice_follows_the_weights():
    p = np.array([0.1, 0, 0.5, 0.4, 0])
    counts = np.bincount(drawn(R.choice, 5, p=mx.array(p)).astype(int), minlength=5)
    assert len(counts) == 5 and counts[1] == 0 and counts[4] == 0
    assert (abs(counts - p * N) <= 5 * np.sqrt(p * N)).all()
    more = np.bincount(drawn(R.choice, 5, p=mx.array(7 * p)).astype(int), minlength=5)      # only their proportions count
    np.testing.assert_allclose(more, counts, rtol=0.02)


def test_choice_without_replacement():
    assert sorted(R.choice(8, (8,), replace=False, key=KEY).tolist()) == list(range(8))
    few = R.choice(100, (3, 4), replace=False, key=KEY)
    assert few.shape == (3, 4) and len(set(few.reshape(-1).tolist())) == 12
    p = mx.array([0.5, 0.3, 0.2, 0.0])
    keys = R.split(KEY, 20_000)
    pairs = np.array(mx.vmap(lambda k: R.choice(4, (2,), replace=False, p=p, key=k))(keys))
    assert (pairs != 3).all() and (pairs[:, 0] != pairs[:, 1]).all()
    assert abs((pairs[:, 0] == 0).mean() - 0.5) < 0.02
    assert abs(((pairs[:, 0] == 0) & (pairs[:, 1] == 1)).mean() - 0.5 * 0.6) < 0.02


def test_choice_of_an_array_takes_slices():
    a = mx.arange(12).reshape(3, 4)
    rows, columns = R.choice(a, (5,), key=KEY), R.choice(a, (2, 2), axis=1, key=KEY)
    assert rows.shape == (5, 4) and columns.shape == (3, 2, 2)
    assert all(r.tolist() in a.tolist() for r in rows)
    index = R.choice(3, (5,), key=KEY)
    assert mx.array_equal(rows, a[index])
    g = mx.grad(lambda x: R.choice(x, (5,), key=KEY).sum())(mx.zeros(3))
    assert g.sum().item() == 5


# ---- multivariate normal ----

def test_multivariate_normal_gives_the_numbers_of_mlx():
    mean, cov = mx.array([1.0, 2, 3]), mx.array([[2, 0.5, 0.1], [0.5, 1, 0.2], [0.1, 0.2, 3]])
    M, k = R.multivariate_normal, R.key(3)

    def first(x):
        return np.array(x).reshape(-1)[:6]
    np.testing.assert_allclose(first(M(mean, cov, key=k)), [-0.4135909, -0.11258221, 3.3010621], rtol=2e-5)
    want = [-0.22530007, 1.5098827, 2.7551029, 2.3014586, 2.6402831, 4.6471562]
    two = mx.broadcast_to(mean, (2, 3))
    for x in (M(two, cov, key=k), M(two, cov, (2,), key=k), M(mean, mx.broadcast_to(cov, (2, 3, 3)), key=k), M(two, cov, (1,), key=k)):
        assert x.shape == (2, 3)
        np.testing.assert_allclose(first(x), want, rtol=2e-5)
    many = M(two, cov, (4, 2), key=k)
    assert many.shape == (4, 2, 3)
    np.testing.assert_allclose(first(many), [2.3781400, 3.3122082, 2.1537986, 1.7291243, 2.0433006, 3.4718421], rtol=2e-5)


def test_multivariate_normal_has_the_covariance_asked_for():
    cov = np.array([[2, 0.8], [0.8, 1]])
    x = np.array(R.multivariate_normal(mx.array([1.0, -1]), mx.array(cov), (N,), key=KEY))
    np.testing.assert_allclose(x.mean(0), [1, -1], atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.05)


# ---- refusals ----

@pytest.mark.parametrize("call, message", [
    (lambda: R.exponential(dtype=mx.int32), r"\[exponential\].*int32"),
    (lambda: R.gamma(1.0, dtype=mx.complex64), r"\[gamma\].*complex64"),
    (lambda: R.gamma(mx.ones(3), shape=(2,)), r"Cannot broadcast array of shape \(3\) into shape \(2\)"),
    (lambda: R.gamma(1.0, shape=(-1,)), r"\[gamma\] Each dimension must be non-negative, got -1"),
    (lambda: R.gamma(mx.array(1j)), r"\[gamma\] Parameters are real"),
    (lambda: R.beta(1.0, 1.0, key=mx.array([1, 2])), r"\[beta\] Expected key shape \(2\) and dtype uint32"),
    (lambda: R.dirichlet(mx.array(1.0)), r"\[dirichlet\] alpha needs a last axis"),
    (lambda: R.poisson(1.0, dtype=mx.bool_), r"\[poisson\].*bool"),
    (lambda: R.choice(0, (2,)), r"\[choice\] There are 0 elements"),
    (lambda: R.choice(3, (2, 2), replace=False), r"\[choice\] Cannot take 4 of 3"),
    (lambda: R.choice(3, (2,), p=mx.ones(4)), r"\[choice\] p must be 3 floating numbers, got shape \(4\)"),
    (lambda: R.choice(3, (-2,)), r"\[choice\] Each dimension"),
    (lambda: R.choice(mx.ones(3), (2,), axis=1), r"\[choice\] Axis 1"),
    (lambda: R.multivariate_normal(mx.zeros(2), mx.zeros((3, 3))), r"\[multivariate_normal\] mean and cov must have compatible"),
    (lambda: R.multivariate_normal(mx.array(1.0), mx.eye(2)), r"\[multivariate_normal\] mean must have at least one"),
    (lambda: R.multivariate_normal(mx.zeros(2), mx.zeros(2)), r"\[multivariate_normal\] cov must have at least two"),
    (lambda: R.multivariate_normal(mx.zeros(2), mx.zeros((2, 3))), r"\[multivariate_normal\] last two dimensions"),
    (lambda: R.multivariate_normal(mx.zeros(2), mx.eye(2), dtype=mx.float16), r"\[multivariate_normal\] dtype must be float32"),
    (lambda: R.multivariate_normal(mx.zeros((2, 2)), mx.eye(2), (3,)), r"\[broadcast_shapes\]"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, IndexError), match=message):
        mx.eval(call())


def test_empty_draws():
    assert R.gamma(1.0, shape=(0, 3)).shape == (0, 3)
    assert R.poisson(mx.zeros((0,))).shape == (0,)
    assert R.choice(0, (0,)).shape == (0,)
    mx.eval(R.gamma(1.0, shape=(0, 3)), R.choice(5, (0,), replace=False))
