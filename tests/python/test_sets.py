"""Results as long as the values say: places, masks, distinct elements, counts, bins. Values are NumPy's."""

import mlx.core as mx
import numpy as np
import pytest

import table

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, strategies as st  # noqa: E402

DTYPES = list(table.ALL)
SHAPES = [(), (0,), (1,), (7,), (3, 0), (3, 1, 5), (2, 3, 4), (40, 41)]
LAYOUTS = {
    "plain": lambda x: x,
    "transposed": lambda x: x.T,
    "backwards": lambda x: x[::-1] if x.ndim else x,
    "every second": lambda x: x[..., ::2] if x.ndim else x,
    "broadcast": lambda x: mx.broadcast_to(x, (2, *x.shape)) if isinstance(x, mx.array) else np.broadcast_to(x, (2, *x.shape)),
}


def few(shape, dtype="int32", seed=0, top=4):
    """Small numbers, many of them zero and equal."""
    x = np.random.default_rng(seed).integers(0, top, shape)
    return (x.astype(bool) if dtype == "bool" else x).astype(np.float64)


def both(shape, dtype, seed=0):
    x = table.to_mx(few(shape, dtype, seed), dtype)
    return x, np.array(x.astype(mx.float32) if dtype == "bfloat16" else x)


def same(got, want):
    assert isinstance(got, mx.array) and got.shape == want.shape, (got.shape, want.shape)
    np.testing.assert_array_equal(np.array(got.astype(mx.float32) if got.dtype == mx.bfloat16 else got), want)


# ---- nonzero, argwhere, flatnonzero ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_places_of_nonzeros(shape, layout, dtype):
    x, y = map(LAYOUTS[layout], both(shape, dtype))
    same(mx.argwhere(x), np.argwhere(y))
    same(mx.flatnonzero(x), np.flatnonzero(y))
    if y.ndim:
        got, want = mx.nonzero(x), np.nonzero(y)
        assert isinstance(got, tuple) and len(got) == len(want)
        for g, w in zip(got, want):
            assert g.dtype == mx.int32
            same(g, w)


def test_nan_and_infinity_are_not_zero():
    assert mx.flatnonzero(mx.array([0.0, float("nan"), -0.0, float("-inf")])).tolist() == [1, 3]


def test_a_size_cuts_or_fills():
    a = mx.array([0, 3, 0, 5, 7])
    assert mx.nonzero(a, size=2)[0].tolist() == [1, 3]
    assert mx.nonzero(a, 5, -1)[0].tolist() == [1, 3, 4, -1, -1]
    assert mx.nonzero(a, size=0)[0].tolist() == []
    assert mx.flatnonzero(a, size=4, fill_value=9).tolist() == [1, 3, 4, 9]
    assert mx.argwhere(a.reshape(1, 5), size=4).tolist() == [[0, 1], [0, 3], [0, 4], [0, 0]]


def test_masks_longer_than_a_chunk():
    rng = np.random.default_rng(1)
    for shape, density in [((70001,), 0.5), ((300, 401), 0.02), ((200000,), 0.99), ((3, 50000), 0.0), ((131072,), 1.0)]:
        m = rng.random(shape) < density
        x = rng.standard_normal(shape).astype(np.float32)
        a, mask = mx.array(x), mx.array(m)
        same(mx.argwhere(mask), np.argwhere(m))
        same(a[mask], x[m])
        v = rng.standard_normal(m.sum()).astype(np.float32)
        x[m] = v
        a[mask] = mx.array(v)
        same(a, x)


# ---- masks ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reading_under_a_mask(dtype, layout):
    x, y = map(LAYOUTS[layout], both((5, 6, 3), dtype))
    for k in (1, 2, 3):
        m = np.random.default_rng(k).random(y.shape[:k]) < 0.4
        same(x[mx.array(m)], y[m])
        same(x[mx.array(m.T).T], y[m])


@given(st.data())
def test_masks_among_other_indices(data):
    shape = data.draw(st.sampled_from([(4,), (3, 4), (2, 3, 4), (2, 3, 2, 3)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    parts, d, trues = [], 0, data.draw(st.integers(1, 2))
    while d < len(shape):
        kind = data.draw(st.sampled_from(["mask", "mask", "int", "slice", "none", "stop"]))
        k = data.draw(st.integers(1, len(shape) - d))
        if kind == "mask" and np.prod(shape[d : d + k]) >= trues:  # masks of as many trues broadcast together
            m = np.zeros(int(np.prod(shape[d : d + k])), bool)
            m[rng.permutation(m.size)[:trues]] = True
            parts.append(m.reshape(shape[d : d + k]))
            d += k
        elif kind == "int":
            parts.append(data.draw(st.integers(-shape[d], shape[d] - 1)))
            d += 1
        elif kind == "slice":
            parts.append(data.draw(st.sampled_from([slice(None), slice(1, None), slice(None, None, -1)])))
            d += 1
        elif kind == "none":
            parts.append(None)
        else:
            parts.append(...)
            break
    index = tuple(parts)
    ours = tuple(mx.array(p) if isinstance(p, np.ndarray) else p for p in index)
    same(mx.array(x)[ours], x[index])
    form, target = data.draw(st.sampled_from(["scalar", "full", "at"])), x[index]
    value = np.int32(-5) if form == "scalar" else rng.integers(100, 200, target.shape).astype(np.int32)
    a = mx.array(x)
    if form == "at":
        a = a.at[ours].add(mx.array(value))
        x[index] += value
    else:
        a[ours] = mx.array(value)
        x[index] = value
    same(a, x)


def test_compress_and_extract():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    a = mx.array(x)
    for axis, condition in ((0, [True, False, True]), (1, [False, True]), (-1, [0, 1, 1, 0]), (None, [True, False, True])):
        same(mx.compress(condition, a, axis), np.compress(condition, x, axis))
        same(mx.compress(mx.array(condition), a, axis=axis), np.compress(condition, x, axis))
    same(mx.extract(a > 4, a), np.extract(x > 4, x))
    assert mx.compress([True, False, True], a, axis=0, size=3, fill_value=-1).tolist() == [[0, 1, 2, 3], [8, 9, 10, 11], [-1] * 4]
    assert mx.extract(a > 8, a, size=2).tolist() == [9, 10]


def test_elements_under_a_mask_have_gradients():
    a = mx.array([1.0, -2.0, 3.0, -4.0])
    assert mx.grad(lambda x: (x[x > 0] ** 2).sum())(a).tolist() == [2, 0, 6, 0]
    assert mx.grad(lambda x: (x[mx.nonzero(x > 0)[0]] ** 3).sum())(a).tolist() == [3, 0, 27, 0]
    assert mx.jvp(lambda x: [x[x < 0] * 2], [a], [mx.arange(4.0)])[1][0].tolist() == [2, 6]

    def write(x, v):
        y = x * 1
        y[x > 0] = v
        return (y * mx.array([1.0, 10.0, 100.0, 1000.0])).sum()
    assert [g.tolist() for g in mx.grad(write, argnums=(0, 1))(a, mx.array([5.0, 6.0, 7.0]))] == [[0, 10, 0, 1000], [1, 100, 0]]
    assert mx.grad(lambda v: a.at[a > 0].multiply(v).sum())(mx.array([5.0, 6.0])).tolist() == [1, 3]
    assert mx.grad(lambda x: mx.unique(x * 2)[1])(mx.array([3.0, 1.0, 2.0, 1.0])).tolist() == [0, 0, 2, 0]


def test_masked_assignment_needs_no_values():
    a, m, v = mx.arange(6.0).reshape(2, 3), mx.array([[True, False, True], [False, True, False]]), mx.array([[7.0, 8.0], [9.0, 6.0]])

    def f(x, mask, values):
        y = x + 0
        y[mask] = values
        return y
    want = [f(a[i], m[i], v[i]).tolist() for i in range(2)]
    assert mx.vmap(f)(a, m, v).tolist() == want
    assert mx.vmap(f, in_axes=(0, None, 0))(a, m[0], v).tolist() == [f(a[i], m[0], v[i]).tolist() for i in range(2)]
    assert mx.compile(f)(a[0], m[0], v[0]).tolist() == want[0]


# ---- while compile and vmap trace ----

NEED_VALUES = {
    "nonzero": lambda x: mx.nonzero(x)[0],
    "argwhere": mx.argwhere,
    "flatnonzero": mx.flatnonzero,
    "unique": mx.unique,
    "bincount": mx.bincount,
    "masked_select": lambda x: mx.compress(x > 1, x),
    "index": lambda x: x[x > 1],
    "index ": lambda x: x.reshape(1, -1)[0, x > 1],
}
WITH_SIZE = {
    "nonzero": lambda x: mx.nonzero(x, size=3, fill_value=-1)[0],
    "argwhere": lambda x: mx.argwhere(x, size=5),
    "flatnonzero": lambda x: mx.flatnonzero(x, size=2),
    "unique": lambda x: mx.unique(x, size=3),
    "unique, index": lambda x: mx.unique(x, 3, return_index=True)[1],
    "unique, inverse": lambda x: mx.unique(x, 3, return_inverse=True)[1],
    "unique, counts": lambda x: mx.unique(x, 5, return_counts=True)[1],
    "bincount": lambda x: mx.bincount(x, length=6),
    "bincount, weights": lambda x: mx.bincount(x, x * 0.5, length=6),
    "compress": lambda x: mx.compress(x > 1, x, size=4, fill_value=-1),
    "isin": lambda x: mx.isin(x, [1, 2]),
    "digitize": lambda x: mx.digitize(x, mx.array([1, 2, 3])),
    "digitize, bins": lambda x: mx.digitize(mx.array([1, 2, 3]), mx.sort(x)),
    "digitize, falling bins": lambda x: mx.digitize(mx.array([1, 2, 3]), -mx.sort(-x)),
    "searchsorted": lambda x: mx.searchsorted(mx.sort(x), mx.array([1, 2, 3])),
    "histogram": lambda x: mx.histogram(x, 3)[0],
    "histogram, edges": lambda x: mx.histogram(x, 3)[1],
    "histogram, density": lambda x: mx.histogram(x, [0, 1, 5], density=True)[0],
}
ROWS = [[3, 0, 1, 1, 5], [0, 0, 0, 2, 1], [4, 4, 4, 4, 4]]


@pytest.mark.parametrize("name", NEED_VALUES)
def test_a_trace_has_no_values(name):
    a = mx.array(ROWS)
    for run in (lambda: mx.compile(NEED_VALUES[name])(a[0]), lambda: mx.vmap(NEED_VALUES[name])(a)):
        with pytest.raises(ValueError, match=rf"\[{name.strip()}\].*(size=|length=)"):
            run()
    mx.eval(NEED_VALUES[name](a[0]))


@pytest.mark.parametrize("name", WITH_SIZE)
def test_with_a_size_a_trace_needs_none(name):
    f, a = WITH_SIZE[name], mx.array(ROWS)
    want = [np.array(f(row)) for row in a]
    for axis in (0, 1):
        got = mx.vmap(f, in_axes=axis)(a if axis == 0 else a.T)
        for g, w in zip(got, want):
            np.testing.assert_allclose(np.array(g), w, rtol=1e-6)
    np.testing.assert_allclose(np.array(mx.compile(f)(a[0])), want[0], rtol=1e-6)
    g = mx.compile(f, shapeless=True)
    for x in (a[0], a[1], mx.array([2, 0, 2])):
        np.testing.assert_allclose(np.array(g(x)), np.array(f(x)), rtol=1e-6)


# ---- unique, isin ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s not in ((), (0,), (3, 0))], ids=str)
def test_unique(shape, dtype):
    x, y = both(shape, dtype)
    got = mx.unique(x, return_index=True, return_inverse=True, return_counts=True)
    want = np.unique(y, return_index=True, return_inverse=True, return_counts=True)
    assert got[0].dtype == x.dtype and [g.dtype for g in got[1:]] == [mx.uint32, mx.uint32, mx.int32]
    for g, w in zip(got, want):
        same(g, w)
    same(mx.unique(x), want[0])
    same(x.reshape(-1)[got[1]], want[0])
    same(got[0][got[2]], y)


def test_unique_of_nothing_and_of_nan():
    nothing = mx.zeros((0, 3), mx.int32)
    got = mx.unique(nothing, return_index=True, return_inverse=True, return_counts=True)
    assert [g.shape for g in got] == [(0,), (0,), (0, 3), (0,)]
    assert mx.unique(nothing, size=2, fill_value=5).tolist() == [5, 5]
    with pytest.raises(ValueError, match="fill value is required"):
        mx.unique(nothing, size=2)
    nan = float("nan")
    got = mx.unique(mx.array([1.0, nan, 2.0, nan, 1.0]), return_counts=True)  # they differ, as in MLX
    np.testing.assert_array_equal(np.array(got[0]), [1, 2, nan, nan])
    assert got[1].tolist() == [2, 1, 1, 1]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.integers(0, 9))
def test_unique_with_a_size(values, size):
    got = [np.array(g) for g in mx.unique(mx.array(values), size, True, True, True, fill_value=7)]
    want = np.unique(values, True, True, True)
    k = min(size, len(want[0]))
    for i, fill in ((0, 7), (1, want[1][0]), (3, 0)):
        assert got[i].tolist() == want[i][:k].tolist() + [fill] * (size - k)
    assert got[2].tolist() == np.minimum(want[2], max(size - 1, 0)).tolist()


@given(st.lists(st.integers(-9, 9), max_size=30), st.lists(st.integers(-9, 9), max_size=8), st.booleans())
def test_isin(values, test, invert):
    a, t = np.array(values, np.int32), np.array(test, np.int32)
    same(mx.isin(mx.array(a), mx.array(t), invert), np.isin(a, t, invert=invert))


def test_isin_of_other_kinds():
    a = mx.array([[0.5, float("nan")], [2, 3]])
    assert mx.isin(a, [2, 0.5, float("nan")]).tolist() == [[True, False], [True, False]]
    assert mx.isin(a, 3).tolist() == [[False, False], [False, True]]
    assert mx.isin(2, [1, 2]).item() is True
    assert mx.isin(mx.array([1 + 1j, 1j]), mx.array([1j])).tolist() == [False, True]


# ---- counts and bins ----


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d == "bool" or "int" in d])
def test_bincount(dtype):
    x, y = both((90,), dtype)
    same(mx.bincount(x), np.bincount(y.astype(int)))
    same(mx.bincount(x, minlength=9), np.bincount(y.astype(int), minlength=9))
    assert mx.bincount(x, length=6).shape == (6,) and mx.bincount(x).dtype == mx.int32
    w = np.random.default_rng(0).standard_normal(90).astype(np.float32)
    got = mx.bincount(x, mx.array(w))
    assert got.dtype == mx.float32
    np.testing.assert_allclose(np.array(got), np.bincount(y.astype(int), w), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
def test_weights_of_bincount(dtype):
    got = mx.bincount(mx.array([3, 1, 3]), table.to_mx(np.array([1.0, 2, 4]), dtype))
    assert got.dtype == (mx.float32 if dtype == "int32" else getattr(mx, dtype)) and got.tolist() == [0, 2, 0, 5]


def test_bincount_of_many_in_parts():
    rng = np.random.default_rng(0)
    for n, top in ((300000, 10), (300000, 100000), (0, 1)):
        y = rng.integers(0, top, n).astype(np.int32)
        w = rng.standard_normal(n)
        same(mx.bincount(mx.array(y), minlength=3), np.bincount(y, minlength=3))
        np.testing.assert_allclose(np.array(mx.bincount(mx.array(y), mx.array(w, mx.float64))), np.bincount(y, w), atol=1e-10)


def test_gradient_of_weights():
    x = mx.array([2, 0, 2, 1])
    w = mx.array([1.0, 2, 3, 4])
    assert mx.grad(lambda v: (mx.bincount(x, v) * mx.array([1.0, 10, 100])).sum())(w).tolist() == [100, 1, 100, 10]
    a = mx.array([0.1, 0.9, 0.4, 7.0])
    assert mx.grad(lambda v: mx.histogram(a, 2, (0, 1), weights=v)[0][1])(w).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "float16"])
@pytest.mark.parametrize("density", [False, True])
def test_histogram(dtype, density):
    rng = np.random.default_rng(0)
    y = (rng.standard_normal(500) * 4 + 20).astype(dtype)
    x, w = mx.array(y), rng.random(500).astype(np.float32)
    for how in ({}, {"bins": 7}, {"bins": 4, "range": (15, 22)}, {"bins": [10.0, 15, 16, 25]}, {"bins": 3, "range": (0, 1)}):
        how_np = {**how, "range": tuple(map(float, how["range"]))} if "range" in how else how
        for weights in (None, w):
            if density and how.get("range") == (0, 1):  # no element
                continue
            want = np.histogram(y.astype(np.float64), **how_np, density=density, weights=weights)
            got = mx.histogram(x, **how, density=density, weights=None if weights is None else mx.array(w))
            np.testing.assert_allclose(np.array(got[0]), want[0], rtol=1e-4)
            np.testing.assert_allclose(np.array(got[1]), want[1], rtol=1e-5)
        np.testing.assert_allclose(np.array(mx.histogram_bin_edges(x, **how)), np.histogram_bin_edges(y.astype(float), **how_np), rtol=1e-5)


def test_histogram_at_the_edges():
    h, e = mx.histogram(mx.array([1.0, 1.0]), 2)
    assert h.tolist() == [0, 2] and e.tolist() == [0.5, 1, 1.5]
    h, e = mx.histogram(mx.zeros((0,)), 2)
    assert h.tolist() == [0, 0] and e.tolist() == [0, 0.5, 1]
    assert mx.histogram(mx.array([0.0, 1, 2, 3, float("nan"), -1, 4]), [0, 1, 3])[0].tolist() == [1, 3]
    assert mx.histogram(mx.array([[0, 1], [2, 2]]), 3)[0].tolist() == [1, 1, 2]


@given(st.lists(st.integers(-5, 5), max_size=12), st.lists(st.integers(-4, 4), max_size=6), st.booleans(), st.booleans())
def test_digitize(values, bins, right, falling):
    bins = sorted(bins, reverse=falling)
    x, b = np.array(values, np.float32), np.array(bins, np.float32)
    same(mx.digitize(mx.array(x), mx.array(b), right), np.digitize(x, b, right))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side, dtype):
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 7, 40):
        a, b = np.sort(rng.integers(0, 9, n).astype(np.float64)), rng.integers(0, 9, (3, 11)).astype(np.float64)
        if dtype == "bool":
            a, b = np.sort(a > 4), b > 4
        got = mx.searchsorted(table.to_mx(a, dtype), table.to_mx(b, dtype), side)
        assert got.dtype == mx.uint32
        same(got, np.searchsorted(a, b, side))


@given(st.lists(st.floats(width=32), max_size=9), st.lists(st.floats(width=32), max_size=5), st.sampled_from(["left", "right"]))
def test_searchsorted_with_nan_and_infinity(values, probes, side):
    a, b = np.sort(np.array(values, np.float32)), np.array(probes, np.float32)
    same(mx.searchsorted(mx.array(a), mx.array(b), side), np.searchsorted(a, b, side))


# ---- what is refused ----

F, I, T = mx.array([1.0, 2.0]), mx.array([1, 2]), mx.array([True, False])
nan = float("nan")


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: mx.nonzero(mx.array(3)), ValueError, r"\[nonzero\]"),
        (lambda: mx.nonzero(F, size=-1), ValueError, r"\[nonzero\].*-1"),
        (lambda: mx.argwhere(F, -2), ValueError, r"\[argwhere\].*-2"),
        (lambda: mx.nonzero(F, size=1.5), TypeError, "nonzero"),
        (lambda: mx.nonzero([1, 2]), TypeError, "nonzero"),
        (lambda: mx.unique(F, size=-1), ValueError, r"\[unique\].*-1"),
        (lambda: mx.unique(F, size=2**31 - 1), OverflowError, r"\[unique\]"),
        (lambda: mx.unique(F, size=3, fill_value=F), ValueError, r"\[unique\].*\(2\)"),
        (lambda: mx.bincount(F), TypeError, r"\[bincount\].*integers.*float32"),
        (lambda: mx.bincount(mx.array([nan])), TypeError, r"\[bincount\]"),
        (lambda: mx.bincount(mx.array([[1]])), ValueError, r"\[bincount\].*\(1,1\)"),
        (lambda: mx.bincount(mx.array(1)), ValueError, r"\[bincount\]"),
        (lambda: mx.bincount(mx.array([1, -4])).tolist(), ValueError, r"\[bincount\].*-4"),
        (lambda: mx.bincount(mx.array([-1])).tolist(), ValueError, r"\[bincount\].*-1"),
        (lambda: mx.bincount(mx.array([1, 7]), length=5).tolist(), ValueError, r"\[bincount\].*7.*5"),
        (lambda: mx.bincount(mx.array([2**40])), OverflowError, r"\[bincount\]"),
        (lambda: mx.bincount(mx.array([2**64 - 1], mx.uint64)), OverflowError, r"\[bincount\]"),
        (lambda: mx.bincount(I, minlength=-1), ValueError, r"\[bincount\].*-1"),
        (lambda: mx.bincount(I, length=-1), ValueError, r"\[bincount\].*-1"),
        (lambda: mx.bincount(I, mx.zeros((3,))), ValueError, r"\[bincount\].*\(2\).*\(3\)"),
        (lambda: mx.bincount(I, mx.array([1j, 2])), TypeError, r"\[bincount\].*complex64"),
        (lambda: mx.histogram(F, 0), ValueError, r"\[histogram\].*0"),
        (lambda: mx.histogram(F, "auto"), ValueError, r"\[histogram\].*auto"),
        (lambda: mx.histogram(F, [1.0]), ValueError, r"\[histogram\]"),
        (lambda: mx.histogram(F, [1, 3, 2]), ValueError, r"\[histogram\].*rise"),
        (lambda: mx.histogram(F, [[1, 2]]), ValueError, r"\[histogram\].*\(1,2\)"),
        (lambda: mx.histogram(F, 3, (2, 1)), ValueError, r"\[histogram\].*\[2, 1\]"),
        (lambda: mx.histogram(F, 3, (0, nan)), ValueError, r"\[histogram\].*finite"),
        (lambda: mx.histogram(F, 3, (1, 2, 3)), ValueError, r"\[histogram\]"),
        (lambda: mx.histogram(mx.array([1, nan])), ValueError, r"\[histogram\].*finite.*nan"),
        (lambda: mx.histogram(mx.array([1j])), TypeError, r"\[histogram\].*complex64"),
        (lambda: mx.histogram(F, weights=mx.zeros((3,))), ValueError, r"\[histogram\].*\(2\).*\(3\)"),
        (lambda: mx.digitize(F, [1, 3, 2]), ValueError, r"\[digitize\]"),
        (lambda: mx.digitize(F, mx.array(1)), ValueError, r"\[digitize\].*\(\)"),
        (lambda: mx.digitize(mx.array([1j]), F), TypeError, r"\[digitize\]"),
        (lambda: mx.digitize(F, mx.array([1j])), TypeError, r"\[digitize\]"),
        (lambda: mx.searchsorted(mx.zeros((2, 2)), F), ValueError, r"\[searchsorted\].*1-D.*2"),
        (lambda: mx.searchsorted(mx.array(1.0), F), ValueError, r"\[searchsorted\].*1-D.*0"),
        (lambda: mx.searchsorted(F, F, side="x"), ValueError, r"\[searchsorted\].*'x'"),
        (lambda: mx.compress([[True]], F), ValueError, r"\[compress\]"),
        (lambda: mx.compress([True], F, axis=1), IndexError, r"\[compress\].*1"),
        (lambda: mx.compress([True] * 3, F), IndexError, r"\(3\).*\(2\)"),
        (lambda: mx.extract(mx.array([[True, False]]), F), ValueError, r"\[extract\]"),
        (lambda: mx.extract(T, F, size=-3), ValueError, r"-3"),
        (lambda: mx.extract(T, F, size=3, fill_value=F), ValueError, r"\(2\)"),
        (lambda: F[mx.array([[True, False]])], ValueError, "[Tt]oo many indices"),
        (lambda: mx.isin(F, None), TypeError, "isin"),
    ],
)
def test_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
