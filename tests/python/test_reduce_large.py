"""Reductions and scans of shapes that are cut into blocks, strips and chunks."""

import mlx.core as mx
import numpy as np
import pytest

SHAPES = [(1025,), (70_001,), (300_000,), (70, 1100), (70, 3000), (130, 5000), (3, 70, 2100), (2000, 17), (2000, 5), (9, 300, 40), (40_000, 9)]
DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "int32"]
rng = np.random.default_rng(3)


def given(shape, dtype, nan=0.0):
    x = rng.standard_normal(shape) * 100
    x[rng.random(shape) < nan] = np.nan
    x[rng.random(shape) < nan] = -np.inf
    return mx.array(x, mx.float64).astype(getattr(mx, dtype))


def wide(x):
    return np.array(x.astype(mx.float64))


def axes(shape):
    return [None, *range(len(shape))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_input_read_in_place_gives_the_bits_of_a_computed_one(shape, dtype):
    a = given(shape, dtype)
    one = mx.ones((1,), a.dtype)
    for axis in axes(shape):
        for name in ("sum", "max", "min"):
            plain, fused = getattr(mx, name)(a, axis), getattr(mx, name)(a * one, axis)
            assert wide(plain).tobytes() == wide(fused).tobytes(), (axis, name)
        if dtype in ("float32", "float64"):
            np.testing.assert_allclose(wide(mx.sum(a, axis)), wide(a).sum(axis), rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_extremes_meet_every_nan(shape, dtype):
    a = given(shape, dtype, nan=1 / shape[0])
    for axis in axes(shape):
        np.testing.assert_array_equal(wide(mx.max(a, axis)), wide(a).max(axis))
        np.testing.assert_array_equal(wide(mx.min(a, axis)), wide(a).min(axis))


@pytest.mark.parametrize("dtype", DTYPES + ["bool_", "uint8", "int16", "uint64"])
@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_argmax_and_argmin_give_the_first(shape, dtype, nan):
    if nan and dtype not in DTYPES[:4]:
        pytest.skip("has no NaN")
    a = given(shape, dtype, nan=1 / shape[0] if nan else 0)
    for view in (a, a[::-1]):
        x = wide(view) if "float" in dtype else np.array(view)
        for axis in axes(shape):
            np.testing.assert_array_equal(np.array(mx.argmax(view, axis)), x.argmax(axis))
            np.testing.assert_array_equal(np.array(mx.argmin(view, axis)), x.argmin(axis))


SCANS = {"cumsum": (np.add, 0), "cummax": (np.maximum, -np.inf), "cummin": (np.minimum, np.inf), "logcumsumexp": (np.logaddexp, -np.inf)}


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("float16", 1e-2), ("bfloat16", 5e-2)])
@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("inclusive", [False, True])
def test_scans_go_on_from_block_to_block(name, dtype, tolerance, reverse, inclusive):
    step, start = SCANS[name]
    for shape in [(1,), (64,), (65,), (1024,), (2500,), (33, 130), (3, 1025), (1025, 3)]:
        a = mx.array(rng.standard_normal(shape), mx.float64).astype(getattr(mx, dtype))
        for axis in range(len(shape)):
            x = np.flip(wide(a), axis) if reverse else wide(a)
            want = step.accumulate(x, axis=axis)
            if not inclusive:
                want = np.concatenate([np.full_like(want.take([0], axis), start), want.take(range(shape[axis] - 1), axis)], axis)
            got = wide(getattr(mx, name)(a, axis=axis, reverse=reverse, inclusive=inclusive))
            np.testing.assert_allclose(np.flip(got, axis) if reverse else got, want, rtol=tolerance, atol=tolerance * 100)


def test_logcumsumexp_keeps_infinities_and_nan():
    x = mx.array([-np.inf, -np.inf, 1.0, np.inf, 2.0, np.nan, 0.0])
    np.testing.assert_array_equal(np.array(mx.logcumsumexp(x)), np.array([-np.inf, -np.inf, 1, np.inf, np.inf, np.nan, np.nan], np.float32))
