"""Moving elements of arrays that are larger than caches, which are written past them, beside NumPy."""

import mlx.core as mx
import numpy as np
import pytest

ROWS, COLUMNS = 2100, 2050          # neither a multiple of a cache line; 16 MB of four bytes


def numbers(dtype, shape=(ROWS, COLUMNS)):
    count = int(np.prod(shape))
    return np.arange(count, dtype="uint64").astype(dtype).reshape(shape)


def same(got, want):
    np.testing.assert_array_equal(np.array(got), want)


@pytest.mark.parametrize("dtype, shape", [("uint8", (4200, 4100)), ("uint8", (4224, 4160)), ("uint16", (4160, 2112)), ("float32", (ROWS, COLUMNS)),
                                          ("float32", (2048, 2112)), ("int64", (1040, 2056)), ("int64", (1037, 2055))])
def test_transposed_copies(dtype, shape):
    x = numbers(dtype, shape)
    same(mx.contiguous(mx.array(x).T), x.T)


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_permuted_copies(axes):
    x = numbers("float32", (70, 512, 130))
    same(mx.contiguous(mx.transpose(mx.array(x), axes)), np.transpose(x, axes))


def test_copies_of_parts():
    x = numbers("float32", (4200, 1111))
    a = mx.array(x)
    same(mx.contiguous(a[:, 3:1100]), x[:, 3:1100])
    same(mx.contiguous(a[1:, ::-1]), x[1:, ::-1])
    same(mx.concatenate([a, a[:5]], axis=0), np.concatenate([x, x[:5]]))


@pytest.mark.parametrize("index", ["int64", "int32"])
def test_elements_at_indices(index):
    x, i = numbers("float32", (1 << 22,)), np.random.default_rng(0).integers(-(1 << 22), 1 << 22, (1 << 22) + 77).astype(index)
    same(mx.array(x)[mx.array(i)], x[i])
    small = x[:1000].astype("int64")
    same(mx.array(small)[mx.array(i % 1000)], small[i % 1000])


@pytest.mark.parametrize("axis", [0, 1])
def test_elements_along_an_axis(axis):
    x = numbers("float32")
    i = np.random.default_rng(0).integers(0, min(x.shape), x.shape)
    same(mx.take_along_axis(mx.array(x), mx.array(i), axis), np.take_along_axis(x, i, axis))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_sorting_along_the_first_axis(dtype):
    x = np.random.default_rng(0).integers(0, 250, (300, 3, 70)).astype(dtype)
    for axis in (0, 1):
        same(mx.sort(mx.array(x), axis), np.sort(x, axis))
        same(mx.argsort(mx.array(x), axis), np.argsort(x, axis, kind="stable"))
        same(mx.sort(mx.array(x.T).T, axis), np.sort(x, axis))
        same(mx.sort(mx.array(x.swapaxes(axis, 2)).swapaxes(axis, 2), axis), np.sort(x, axis))
