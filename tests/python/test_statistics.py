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
