"""Numeric functions beyond MLX's own: NumPy's names, NumPy's values."""

import mlx.core as mx
import numpy as np
import pytest

import checks
import table

FLOATS = ["float16", "bfloat16", "float32", "float64"]
SPECIAL = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 0.5, 1e-40, -1e-45, 3.4e38, 65504, 2, -3], np.float32)


# ---- element by element ----

@pytest.mark.parametrize("dtype", FLOATS)
def test_nextafter_is_the_neighbour(dtype):
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    a, b = table.to_mx(x, dtype), table.to_mx(y, dtype)
    got = mx.nextafter(a, b)
    assert got.dtype == a.dtype
    got, x, y = table.to_np(got), table.to_np(a), table.to_np(b)
    with np.errstate(all="ignore"):
        if dtype == "bfloat16":          # NumPy has none: back again, and nothing between
            step = np.nextafter(x, y)
            bits = np.where(got == 0, 0, got.view(np.uint32))
            assert not (bits & 0xFFFF).any()
            moved = np.isfinite(x) & np.isfinite(y) & (x != y)
            assert ((got != x) & ((got > x) == (y > x)))[moved].all()
            back = table.to_np(mx.nextafter(mx.array(got, dtype=mx.bfloat16), a))
            np.testing.assert_array_equal(back[moved], x[moved])
            assert np.isnan(got[np.isnan(step)]).all()
        else:
            want = np.where(x == y, y, np.nextafter(x, y))
            np.testing.assert_array_equal(got, want)
            numbers = ~np.isnan(want)
            np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])


def test_nextafter_of_integers_is_a_float():
    assert mx.nextafter(1, 2).item() == np.nextafter(np.float32(1), np.float32(2))
    with pytest.raises(ValueError, match=r"\[nextafter\].*complex64"):
        mx.nextafter(mx.array(1j), 1.0)


def test_nextafter_batches_and_compiles():
    x = mx.array([0.0, 1.0, -2.0])
    checks.vmap(mx.nextafter, [x, -x])
    checks.compiled(mx.nextafter, [x, -x], [x[:2], x[:2] + 1])


def test_hypot_copysign_and_signbit_of_special_values():
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    a, b = mx.array(x), mx.array(y)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(np.array(mx.hypot(a, b)), np.hypot(x, y), rtol=1e-7)
        for got, want in [(mx.copysign(a, b), np.copysign(x, y)), (mx.signbit(a), np.signbit(x))]:
            np.testing.assert_array_equal(np.array(got), want)
        np.testing.assert_array_equal(np.signbit(np.array(mx.copysign(a, b))), np.signbit(y))
    assert mx.grad(mx.hypot)(mx.array(0.0), mx.array(0.0)).item() == 0


@pytest.mark.parametrize("dtype", table.ALL)
def test_relu_is_the_larger_of_x_and_0(dtype):
    if dtype == "complex64":
        pytest.skip("the order of complex numbers is tested with maximum")
    x = table.to_mx(np.array([0, 1, 3]) if dtype in table.UINT + ("bool",) else np.array([-2, 0, 3]), dtype)
    got = mx.relu(x)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(table.to_np(got), np.maximum(table.to_np(x), 0))


def test_relu_keeps_nan_and_has_the_gradient_of_a_step():
    assert np.isnan(mx.relu(mx.array(float("nan"))).item())
    np.testing.assert_array_equal(np.array(mx.grad(lambda x: mx.relu(x).sum())(mx.array([-1.0, 0.0, 2.0]))), [0, 0, 1])


# ---- reductions without the NaN ----

REDUCTIONS = ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian", "ptp"]
TOLERANCE = {**table.TOLERANCE, "float32": 5e-6}


def holed(shape, dtype, seed=0):
    """Samples with NaN in them where the dtype has NaN; one row of nothing else."""
    rng = np.random.default_rng(seed)
    if dtype in table.UINT + table.SINT + ("bool",):
        return rng.integers(0, 2 if dtype == "bool" else 9, shape).astype(dtype)
    x = table.rounded(rng.uniform(-2, 2, shape), dtype)
    x = np.where(rng.uniform(size=shape) < 0.3, np.nan, x).astype(x.dtype)
    if len(shape) > 1 and shape[0]:
        x[0] = np.nan
    return x


def same(got, want, dtype):
    tol = TOLERANCE[dtype]
    assert tuple(got.shape) == np.shape(want)
    np.testing.assert_allclose(table.to_np(got).astype(np.float64), want, rtol=tol, atol=tol)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", FLOATS + ["int32", "uint8", "bool"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_match_numpy(name, dtype):
    if (name, dtype) == ("ptp", "bool"):
        pytest.skip("NumPy refuses it")
    for shape in [(7,), (4, 5), (3, 1, 6), (1,)]:
        x = holed(shape, dtype)
        a = table.to_mx(x, dtype)
        for axis in [None, -1, 0] + ([(0, 1)] if len(shape) > 1 else []):
            for keepdims in (False, True):
                got = getattr(mx, name)(a, axis=axis, keepdims=keepdims)
                wide = x.astype(np.float64) if dtype in FLOATS else x
                want = np.asarray(getattr(np, name)(wide, axis=axis, keepdims=keepdims))
                if table.name_of(got.dtype) in FLOATS:
                    same(got, want, table.name_of(got.dtype))
                else:
                    np.testing.assert_array_equal(table.to_np(got), want)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["nanvar", "nanstd"])
def test_variance_of_fewer_than_ddof_is_nan(name):
    x = np.array([[1.0, np.nan, np.nan], [1, 2, np.nan], [1, 2, 4]])
    got = getattr(mx, name)(mx.array(x, dtype=mx.float64), axis=1, ddof=2)
    np.testing.assert_allclose(np.array(got), getattr(np, name)(x, axis=1, ddof=2))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanvar", "nanstd"])
def test_complex_reductions(name):
    x = np.array([[1 + 2j, np.nan, 3 - 1j], [0.5j, 2, complex(np.nan, 1)]], np.complex64)
    for axis in (None, 0, 1):
        np.testing.assert_allclose(np.array(getattr(mx, name)(mx.array(x), axis=axis)), getattr(np, name)(x, axis=axis), rtol=1e-6)


def test_indices_of_extremes_that_are_no_nan():
    x = np.array([[np.nan, 2, 5, 5], [np.nan, -np.inf, np.nan, -np.inf], [3, np.inf, np.nan, 1]], np.float32)
    a = mx.array(x)
    assert mx.nanargmax(a, axis=1).tolist() == [2, 1, 1] and mx.nanargmin(a, axis=1).tolist() == [1, 1, 3]
    assert mx.nanargmax(a).item() == np.nanargmax(x) and mx.nanargmin(a[2]).item() == 3
    assert mx.nanargmax(a, axis=0, keepdims=True).shape == (1, 4)
    assert mx.nanargmax(mx.array([np.nan, np.nan])).item() == 0
    assert mx.nanargmax(mx.array([3, 9, 1])).item() == 1 and mx.nanargmin(mx.array([3, 9, 1])).item() == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["nancumsum", "nancumprod"])
def test_scans_match_numpy(name, dtype):
    x = holed((4, 5), dtype)
    a = table.to_mx(x, dtype)
    for axis in (None, 0, 1):
        same(getattr(mx, name)(a, axis=axis), getattr(np, name)(x, axis=axis), dtype)


def test_half_floats_are_accumulated_in_float32():
    x = np.full(5000, 1.001, np.float16)
    assert mx.nanmean(mx.array(x)).item() == x[0]
    assert mx.nanvar(mx.array(x)).item() == 0
    big = mx.array(np.full(3000, 60.0, np.float16))        # the sum is beyond float16
    assert mx.nanmean(big).item() == 60 and mx.average(big).item() == 60


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian", "ptp"])
def test_gradients_of_reductions(name):
    f = getattr(mx, name)
    x = np.random.default_rng(1).uniform(0.5, 2, (3, 6))
    checks.gradient(lambda a: f(a, axis=1), [mx.array(x, dtype=mx.float64)])
    if name != "ptp":        # NaN get no gradient
        hole = np.ones((3, 6), bool)
        hole[:, 2] = False
        a = mx.where(mx.array(hole), mx.array(x, dtype=mx.float64), float("nan"))
        g = np.array(mx.grad(lambda a: f(a, axis=1).sum())(a))
        assert (g[:, 2] == 0).all() and np.isfinite(g).all() and (g != 0).any()


@pytest.mark.parametrize("name", REDUCTIONS + ["nanargmax", "nancumsum"])
def test_reductions_batch_and_compile(name):
    f = getattr(mx, name)
    x = mx.array(holed((4, 5), "float32"))[1:]
    for axis in (None, 1):
        if name == "nancumsum" and axis is None:
            continue
        with np.errstate(all="ignore"):
            checks.vmap(lambda a: f(a, axis=axis), [x])
            checks.compiled(lambda a: f(a, axis=axis), [x], [x[:2]], may_refuse=True)


# ---- quantiles ----

METHODS = ["linear", "lower", "higher", "midpoint", "nearest"]
QS = [0, 1, 0.5, 0.25, 0.1, 1 / 3, 0.99]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", FLOATS + ["int32", "uint8"])
@pytest.mark.parametrize("method", METHODS)
def test_quantiles_match_numpy(method, dtype):
    for shape in [(1,), (2,), (5,), (8,), (4, 5), (2, 3, 4)]:
        x = table.rounded(np.random.default_rng(3).uniform(0, 9, shape), dtype)
        a = table.to_mx(x, dtype)
        wide = x.astype(np.float64) if dtype in FLOATS else x
        for axis in [None, -1, 0] + ([(0, -1)] if len(shape) > 1 else []):
            for keepdims in (False, True):
                got = mx.quantile(a, QS, axis=axis, method=method, keepdims=keepdims)
                kind = table.name_of(got.dtype)
                assert kind == (dtype if dtype in FLOATS or method in METHODS[1:3] + METHODS[4:] else "float32")
                same(got, np.quantile(wide, QS, axis=axis, method=method, keepdims=keepdims),
                     kind if kind in FLOATS else "float64")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", METHODS)
def test_quantiles_of_rows_with_nan(method):
    x = holed((6, 9), "float64")
    a = mx.array(x, dtype=mx.float64)
    for axis in (None, 0, 1):
        same(mx.quantile(a, QS, axis=axis, method=method), np.quantile(x, QS, axis=axis, method=method), "float64")
        same(mx.nanquantile(a, QS, axis=axis, method=method), np.nanquantile(x, QS, axis=axis, method=method), "float64")
        same(mx.nanpercentile(a, 30, axis=axis, method=method), np.nanpercentile(x, 30, axis=axis, method=method), "float64")


def test_quantile_takes_q_of_any_shape():
    x = mx.arange(12.0).reshape(3, 4)
    assert mx.quantile(x, 0.5).item() == 5.5 and mx.percentile(x, 50).item() == 5.5
    assert mx.quantile(x, [[0.1, 0.2], [0.3, 0.4]], axis=0).shape == (2, 2, 4)
    assert mx.quantile(x, mx.array([0.5]), axis=(0, 1), keepdims=True).shape == (1, 1, 1)
    assert mx.quantile(mx.array(3.0), 0.2).item() == 3


def test_places_in_long_axes_are_exact():
    n = 2_000_001
    x = mx.arange(n).astype(mx.float32)
    assert mx.quantile(x, 0.1).item() == 200_000
    assert mx.percentile(x, 99.9).item() == pytest.approx(0.999 * (n - 1), rel=1e-7)


def test_equal_infinities_are_no_nan():
    assert mx.quantile(mx.array([np.inf, np.inf]), 0.3).item() == np.inf
    assert mx.nanmedian(mx.array([-np.inf, np.nan, -np.inf])).item() == -np.inf


def test_quantile_gradients_flow_to_the_neighbours():
    x = mx.array(np.random.default_rng(5).uniform(0, 9, (3, 7)), dtype=mx.float64)
    for method in METHODS:
        checks.gradient(lambda a: mx.quantile(a, [0.3, 0.61], axis=1, method=method), [x])
    checks.gradient(lambda a, q: mx.quantile(a, q, axis=0), [x, mx.array([0.3, 0.61], dtype=mx.float64)])
    checks.gradient(lambda a: mx.nanquantile(a, 0.45, axis=0), [x])


def test_quantiles_batch_and_compile():
    x, q = mx.array(holed((5, 6), "float32"))[1:], mx.array([0.2, 0.7])
    checks.vmap(lambda a, p: mx.nanquantile(a, p, axis=0), [x, q])
    checks.vmap(lambda a, p: mx.quantile(a, p), [mx.arange(12.0).reshape(3, 4), q])
    checks.compiled(lambda a: mx.quantile(a, [0.2, 0.7], axis=1), [x], [x[:2]], may_refuse=True)


@pytest.mark.parametrize("call, message", [
    (lambda x: mx.quantile(x, 1.5), r"\[quantile\] q must lie in \[0, 1\], got 1.5"),
    (lambda x: mx.quantile(x, [0.5, -1]), r"\[quantile\] q must lie in"),
    (lambda x: mx.percentile(x, 101), r"\[percentile\] q must lie in \[0, 100\]"),
    (lambda x: mx.quantile(x, 0.5, method="hazen"), r"\[quantile\] The method 'hazen' is none of linear"),
    (lambda x: mx.quantile(mx.array([1j]), 0.5), r"\[quantile\] Complex"),
    (lambda x: mx.quantile(mx.zeros((0,)), 0.5), r"\[quantile\].*empty"),
    (lambda x: mx.nanmax(mx.zeros((0,))), r"\[max\]"),
    (lambda x: mx.nansum(x, axis=2), r"\[nansum\] Axis 2 is out of bounds"),
    (lambda x: mx.average(x, axis=1, weights=mx.ones(2)), r"\[average\] The weights of shape \(2\)"),
    (lambda x: mx.cov(mx.zeros((2, 2, 2))), r"\[cov\].*at most two dimensions"),
    (lambda x: mx.cov(x, fweights=mx.ones(5)), r"\[cov\] fweights must have shape \(3\)"),
    (lambda x: mx.interp(x, mx.ones(2), mx.ones(3)), r"\[interp\] xp and fp"),
    (lambda x: mx.interp(x, mx.ones(0), mx.ones(0)), r"\[interp\] There are no samples"),
    (lambda x: mx.trapezoid(x, mx.ones(2)), r"\[trapezoid\] x of shape \(2\)"),
    (lambda x: mx.gradient(x, 1.0, 2.0, 3.0), r"\[gradient\] 3 spacings for 2 axes"),
    (lambda x: mx.gradient(x, mx.ones(5), axis=0), r"\[gradient\] The spacing of axis 0"),
    (lambda x: mx.gradient(x, edge_order=3), r"\[gradient\] edge_order must be 1 or 2"),
    (lambda x: mx.gradient(x, edge_order=2, axis=0), r"\[gradient\] Axis 0 has 2 elements"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, IndexError), match=message):
        call(mx.ones((2, 3)))


# ---- averages and covariances ----

def test_average_matches_numpy():
    rng = np.random.default_rng(0)
    x, w = rng.uniform(size=(2, 3, 4)), rng.uniform(size=(2, 3, 4))
    a = mx.array(x, dtype=mx.float64)

    def both(weights=None, axis=None, keepdims=False):
        given = None if weights is None else mx.array(weights, dtype=mx.float64)
        got = mx.average(a, axis=axis, weights=given, returned=True, keepdims=keepdims)
        want = np.average(x, axis=axis, weights=weights, returned=True, keepdims=keepdims)
        for g, n in zip(got, want):
            same(g, n, "float64")
    both()
    both(axis=1)
    both(w)
    both(w, axis=(0, 2), keepdims=True)
    both(w[0, :, 0], axis=1)
    both(w[0, 0], axis=-1)
    both(w[:, 0], axis=(0, 2))
    got = mx.average(a, axis=(2, 0), weights=mx.array(w[:, 0].T, dtype=mx.float64))
    same(got, np.average(x, axis=(2, 0), weights=w[:, 0].T), "float64")
    assert mx.average(mx.array([1, 2]), weights=mx.array([3, 1])).item() == 1.25


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_cov_and_corrcoef_match_numpy(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 8)), rng.normal(size=(2, 8))
    if dtype == "complex64":
        x, y = x + 1j * rng.normal(size=x.shape), y - 1j * rng.normal(size=y.shape)
    x, y = x.astype(dtype), y.astype(dtype)
    a, b = mx.array(x, dtype=table.DTYPES[dtype]), mx.array(y, dtype=table.DTYPES[dtype])
    f, w = rng.integers(1, 4, 8), rng.uniform(0.5, 2, 8)
    mf, mw = mx.array(f), mx.array(w, dtype=mx.float64 if dtype == "float64" else mx.float32)
    tol = {"rtol": 1e-12, "atol": 1e-13} if dtype == "float64" else {"rtol": 2e-5, "atol": 1e-6}
    for got, want in [(mx.cov(a), np.cov(x)), (mx.cov(a, b), np.cov(x, y)), (mx.cov(a[0]), np.cov(x[0])),
                      (mx.cov(a, rowvar=False), np.cov(x, rowvar=False)), (mx.cov(a, bias=True), np.cov(x, bias=True)),
                      (mx.cov(a, ddof=3), np.cov(x, ddof=3)), (mx.cov(a, fweights=mf), np.cov(x, fweights=f)),
                      (mx.cov(a, aweights=mw), np.cov(x, aweights=w)), (mx.cov(a[0], b[0]), np.cov(x[0], y[0])),
                      (mx.cov(a, fweights=mf, aweights=mw, ddof=0), np.cov(x, fweights=f, aweights=w, ddof=0)),
                      (mx.cov(a, fweights=mf, aweights=mw), np.cov(x, fweights=f, aweights=w)),
                      (mx.corrcoef(a), np.corrcoef(x)), (mx.corrcoef(a, b), np.corrcoef(x, y)),
                      (mx.corrcoef(a[0]), np.corrcoef(x[0])), (mx.cov(a[:, :1]), np.cov(x[:, :1]))]:
        assert tuple(got.shape) == np.shape(want)
        np.testing.assert_allclose(np.array(got), want, **tol)


def test_gradients_of_averages_and_covariances():
    rng = np.random.default_rng(2)
    x = mx.array(rng.normal(size=(3, 6)), dtype=mx.float64)
    w = mx.array(rng.uniform(0.5, 2, 6), dtype=mx.float64)
    checks.gradient(lambda a, v: mx.average(a, axis=1, weights=v), [x, w])
    checks.gradient(lambda a, v: mx.cov(a, aweights=v), [x, w])
    checks.gradient(mx.corrcoef, [x])
    checks.vmap(lambda a, v: mx.average(a, axis=1, weights=v), [x.astype(mx.float32), w.astype(mx.float32)])
    checks.vmap(mx.cov, [x.astype(mx.float32)])
    checks.compiled(mx.corrcoef, [x], may_refuse=True)


# ---- functions given by samples ----

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_interp_matches_numpy(dtype):
    rng = np.random.default_rng(0)
    xp = np.sort(rng.uniform(-3, 3, 9)).astype(dtype)
    fp = rng.normal(size=9).astype(dtype)
    x = np.concatenate([rng.uniform(-4, 4, 40), xp, [np.nan, np.inf, -np.inf]]).astype(dtype).reshape(4, 13)
    mine = [mx.array(v, dtype=table.DTYPES[dtype]) for v in (x, xp, fp)]
    finite = mx.where(mx.isfinite(mine[0]), mine[0], 0)
    same(mx.interp(*mine), np.interp(x, xp, fp), dtype)
    same(mx.interp(*mine, left=-7, right=8.5), np.interp(x, xp, fp, left=-7, right=8.5), dtype)
    np.testing.assert_allclose(np.array(mx.interp(finite, *mine[1:], period=1.7)),
                               np.interp(np.array(finite).astype(np.float64), xp, fp, period=1.7), rtol=1e-3, atol=1e-3)
    same(mx.interp(finite, mine[1][:1], mine[2][:1]), np.interp(np.array(finite), xp[:1], fp[:1]), dtype)
    assert mx.interp(2.5, mx.array([1, 2, 3]), mx.array([3, 2, 0])).item() == 1.0
    z = mx.interp(mine[0], mine[1], mine[2] + 1j)
    assert z.dtype == mx.complex64 and z[0, 0].item().imag == 1


def test_interp_through_infinite_values():
    xp, fp = [0.0, 1, 2, 3, 4], [0, np.inf, np.inf, 1, -np.inf]
    x = [0.0, 0.5, 1, 1.5, 2, 3, 3.5, 4]
    np.testing.assert_array_equal(np.array(mx.interp(mx.array(x), mx.array(xp), mx.array(fp))), np.interp(x, xp, fp))


def test_gradients_of_interp():
    xp = mx.array([0.0, 1, 2.5, 4], dtype=mx.float64)
    fp = mx.array([1.0, -2, 0.5, 3], dtype=mx.float64)
    x = mx.array([0.3, 1.7, 3.1, -1, 5], dtype=mx.float64)
    checks.gradient(lambda a, p, f: mx.interp(a, p, f), [x, xp, fp])
    places = xp.astype(mx.float32)
    checks.vmap(lambda a, f: mx.interp(a, places, f), [x.astype(mx.float32), fp.astype(mx.float32)])
    checks.compiled(lambda a: mx.interp(a, xp, fp), [x], [x[:2]], may_refuse=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_trapezoid_matches_numpy(dtype):
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(3, 7)).astype(dtype), np.sort(rng.uniform(size=(3, 7)), 1).astype(dtype)
    t = table.DTYPES[dtype]
    a, b = mx.array(y, dtype=t), mx.array(x, dtype=t)
    wy, wx = y.astype(np.float64), x.astype(np.float64)
    same(mx.trapezoid(a), np.trapezoid(wy), dtype)
    same(mx.trapezoid(a, dx=0.5, axis=0), np.trapezoid(wy, dx=0.5, axis=0), dtype)
    same(mx.trapezoid(a, b), np.trapezoid(wy, wx), dtype)
    same(mx.trapezoid(a, b[0]), np.trapezoid(wy, wx[0]), dtype)
    same(mx.trapezoid(a[:, :1]), np.trapezoid(wy[:, :1]), dtype)
    same(mx.trapezoid(a[:, :0]), np.zeros(3), dtype)
    if dtype == "float64":
        checks.gradient(lambda p, q: mx.trapezoid(p, q), [a, b])


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_of_samples_matches_numpy(edge_order):
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(5, 6)), np.sort(rng.uniform(size=6))
    a, b = mx.array(y, dtype=mx.float64), mx.array(x, dtype=mx.float64)
    for got, want in [(mx.gradient(a, edge_order=edge_order), np.gradient(y, edge_order=edge_order)),
                      (mx.gradient(a, 0.1, edge_order=edge_order), np.gradient(y, 0.1, edge_order=edge_order)),
                      (mx.gradient(a, 2.0, b, edge_order=edge_order), np.gradient(y, 2.0, x, edge_order=edge_order)),
                      (mx.gradient(a, b, axis=1, edge_order=edge_order), np.gradient(y, x, axis=1, edge_order=edge_order)),
                      (mx.gradient(a[:3], axis=0, edge_order=edge_order), np.gradient(y[:3], axis=0, edge_order=edge_order))]:
        assert isinstance(got, mx.array) == (not isinstance(want, (list, tuple)))
        for g, w in zip(checks.listed(got), want if isinstance(want, (list, tuple)) else [want]):
            same(g, w, "float64")
    checks.gradient(lambda p, q: mx.gradient(p, q, axis=1, edge_order=edge_order), [a, b])
    checks.vmap(lambda p: mx.gradient(p, axis=0), [a.astype(mx.float32)])
    if edge_order == 1:
        np.testing.assert_array_equal(np.array(mx.gradient(mx.array([1.0, 4.0]))), [3, 3])


# ---- the order of NaN ----

def test_complex_numbers_with_nan_in_either_part_sort_last():
    nan = np.nan
    x = np.array([complex(nan, 1), complex(2, nan), 3 - 1j, complex(nan, nan), complex(-5, nan), complex(nan, -2), -1, 3 + 1j,
                  complex(np.inf, nan), complex(np.inf, np.inf), complex(1, nan)], np.complex64)
    got, want = np.array(mx.sort(mx.array(x))), np.sort(x)
    np.testing.assert_array_equal(got.real, want.real)
    np.testing.assert_array_equal(got.imag, want.imag)
    assert mx.argsort(mx.array(x)).tolist() == np.argsort(x, kind="stable").tolist()
    assert np.isnan(np.array(mx.median(mx.array(x))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "sort", "argsort", "median", "any", "all"])
def test_nan_in_long_rows(name, dtype):
    for n in (3, 17, 100, 1000):
        rng = np.random.default_rng(n)
        x = table.rounded(rng.normal(size=(6, n)), dtype)
        for i in range(1, 6):
            x[i, rng.integers(n)] = np.nan
        x[4, rng.integers(n, size=3)] = -np.inf
        x[5] = np.nan
        a = table.to_mx(x, dtype)
        for axis, arrays in ((1, (a, x)), (0, (mx.contiguous(a.T), x.T))):
            how = {"kind": "stable"} if name == "argsort" else {}
            want = getattr(np, name)(arrays[1].astype(np.float64), axis=axis, **how)
            got = table.to_np(getattr(mx, name)(arrays[0], axis=axis))
            np.testing.assert_allclose(got, want, rtol=1e-2 if name == "median" else 0)
