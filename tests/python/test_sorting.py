"""sort and partition of every dtype beside NumPy, over lengths that meet each way of sorting, and orders that are hard for some."""

import mlx.core as mx
import numpy as np
import pytest

LENGTHS = [1, 2, 7, 8, 9, 16, 17, 31, 33, 64, 65, 127, 128, 129, 200, 256, 257, 400, 512, 513, 769, 1000, 1024, 1025, 2100, 5000, 70000]
DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def orders(n, dtype):
    """Name and array: random, few values, equal, rising, falling, an organ pipe, extremes."""
    rng = np.random.default_rng(n)
    if dtype == "bool":
        yield "random", rng.random(n) < 0.5
        return
    if dtype.startswith("float"):
        values = rng.standard_normal(n).astype(dtype)
        special = rng.choice(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1], dtype), n)
        yield "special", special
    else:
        limits = np.iinfo(dtype)
        values = rng.integers(limits.min, limits.max, n, dtype, endpoint=True)
        yield "extremes", rng.choice(np.array([limits.min, limits.max], dtype), n)
    yield "random", values
    yield "few", rng.integers(0, 3, n).astype(dtype)
    yield "equal", np.full(n, values[0])
    yield "rising", np.sort(values)
    yield "falling", np.sort(values)[::-1].copy()
    yield "pipe", np.concatenate([np.sort(values[::2]), np.sort(values[1::2])[::-1]])


def sort(x):
    """NumPy's own vectors put -0 and NaN of float16 in a wrong place."""
    return np.sort(x.astype("float32")).astype(x.dtype) if x.dtype == "float16" else np.sort(x)


def array(x):
    return mx.array(x, getattr(mx, x.dtype.name.replace("bool", "bool_")))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sort_gives_numpys_order(dtype):
    for n in LENGTHS:
        for name, x in orders(n, dtype):
            np.testing.assert_array_equal(np.array(mx.sort(array(x))), sort(x), err_msg=f"{n} {name}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_partition_puts_the_kth_in_its_place(dtype):
    for n in LENGTHS:
        for name, x in orders(n, dtype):
            want = sort(x)
            for kth in {0, n // 3, n - 1, max(0, n - 5)}:
                got = np.array(mx.partition(array(x), kth))
                np.testing.assert_array_equal(got[kth], want[kth], err_msg=f"{n} {name} {kth}")
                np.testing.assert_array_equal(sort(got), want, err_msg=f"{n} {name} {kth}")
                np.testing.assert_array_equal(sort(got[:kth]), want[:kth], err_msg=f"{n} {name} {kth}")


def test_rows_and_columns_are_sorted_one_by_one():
    x = np.random.default_rng(0).standard_normal((33, 70, 5)).astype("float32")
    for axis in (0, 1, 2):
        np.testing.assert_array_equal(np.array(mx.sort(mx.array(x), axis)), np.sort(x, axis))
        np.testing.assert_array_equal(np.array(mx.sort(mx.array(x)[::-1, ::2], axis)), np.sort(x[::-1, ::2], axis))
        top = np.sort(np.array(mx.topk(mx.array(x), 3, axis)), axis)
        np.testing.assert_array_equal(top, np.take(np.sort(x, axis), range(-3, 0), axis))


def test_sort_does_not_depend_on_threads_and_keeps_its_input():
    x = np.random.default_rng(1).integers(0, 1 << 20, 200000).astype("int64")
    a = array(x)
    assert np.array_equal(np.array(mx.sort(a)), np.sort(x))
    assert np.array_equal(np.array(mx.partition(a, 77777))[77777], np.sort(x)[77777])
    assert np.array_equal(np.array(a), x)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float16", "float32"])
def test_argsort_is_stable(dtype):
    for n in LENGTHS:
        for name, x in orders(n, dtype):
            np.testing.assert_array_equal(np.array(mx.argsort(array(x))), np.argsort(x.astype("float64"), kind="stable"), err_msg=f"{n} {name}")
