"""Arrays of more than 2^31 elements, of which no dimension reaches that; one of 3 GB at a time."""

import pathlib
import re

import mlx.core as mx
import numpy as np
import pytest

N = 2**30 + 7


def free_memory():
    text = pathlib.Path("/proc/meminfo")
    found = re.search(r"MemAvailable: *(\d+) kB", text.read_text()) if text.exists() else None
    return int(found.group(1)) * 1024 if found else 0


@pytest.fixture(scope="module")
def x():
    """Zeros, but for a few places behind 2^31."""
    if free_memory() < 10 * 2**30:
        pytest.skip("needs 10 GB of memory")
    a = mx.zeros((3, N), mx.int8)
    a[2, -1] = 5
    a[2, 2**30 - 3] = 7
    a[mx.array([1, 2]), mx.array([N - 1, 0])] = mx.array([2, 3], mx.int8)
    mx.eval(a)
    yield a
    del a
    mx.clear_cache()


slow = pytest.mark.slow
PLACES = {(2, N - 1): 5, (2, 2**30 - 3): 7, (1, N - 1): 2, (2, 0): 3}


@slow
def test_elements_are_written_and_read(x):
    assert x.size == 3 * N and x.nbytes == 3 * N
    for (i, j), value in PLACES.items():
        assert x[i, j].item() == value
        assert x[mx.array([i]), mx.array([j - N])].tolist() == [value]
    assert mx.take_along_axis(x, mx.array([[0], [N - 1], [N - 1]]), axis=1).tolist() == [[0], [2], [5]]
    assert mx.take(x[:, -3:], mx.array([2, 1]), axis=0).tolist() == [[0, 0, 5], [0, 0, 2]]


@slow
def test_reductions(x):
    assert mx.sum(x).item() == sum(PLACES.values())
    assert mx.sum(x, axis=1).tolist() == [0, 2, 15] and mx.max(x, axis=1).tolist() == [0, 2, 7]
    assert mx.argmax(x, axis=1).tolist() == [0, N - 1, 2**30 - 3]
    assert mx.sum(x[:, ::-1][:, :4], axis=1).tolist() == [0, 2, 5]
    assert mx.mean(x[:, -9:], axis=0)[-1].item() == pytest.approx(7 / 3)


@slow
def test_views_and_copies_of_parts(x):
    assert x[2, ::2**20].tolist()[0] == 3 and x[2, ::2**20].shape == (1025,)
    assert mx.contiguous(x[:, -1::-(2**28)]).tolist() == [[0] * 5, [2, 0, 0, 0, 0], [5, 0, 0, 0, 0]]
    assert mx.contiguous(x.T[-2:]).tolist() == [[0, 0, 0], [0, 2, 5]]
    assert mx.concatenate([x[2, -2:], x[1, -2:]]).tolist() == [0, 5, 0, 2]
    assert mx.as_strided(x, (2, 2), (N, 1), 2 * N - 1 - N).tolist() == [[0, 0], [2, 3]]
    assert mx.slice(x, mx.array([2, N - 2]), (0, 1), (1, 2)).tolist() == [[0, 5]]
    np.testing.assert_array_equal(np.array(x, copy=False)[2, -2:], [0, 5])


@slow
def test_places_of_nonzeros(x):
    places = sorted(PLACES)
    for i, j in places:
        x[i, j] = 1  # what a bool is made of
    mask = x.view(mx.bool_)
    assert mx.argwhere(mask).tolist() == list(map(list, places))
    assert x[mask].tolist() == [1] * len(places)


@slow
def test_updates_in_place(x):
    before, last = mx.sum(x, axis=1), x[:, -1] + mx.array(0)
    mx.eval(before, last)
    x[1:, -1] = 9
    x[mx.array([0, 2]), mx.array([5, 2**30 + 1])] = 4
    assert mx.sum(x, axis=1).tolist() == (before - last + mx.array([4, 9, 9 + 4])).tolist()
    x += 1
    assert x[2, -1].item() == 10 and x[0, 5].item() == 5 and mx.min(x).item() == 1


@slow
def test_more_elements_than_memory():
    """A broadcast array has no memory of its own."""
    a = mx.broadcast_to(mx.array([[1], [2], [3]], mx.int8), (3, N))
    assert mx.sum(a, axis=1).tolist() == [N, 2 * N - 2**32, 3 * N - 2**32]  # int32 wraps
    assert a[2, -1].item() == 3 and a[mx.array([1]), mx.array([N - 1])].item() == 2


ONE = mx.array(1, mx.int8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mx.zeros((2**31,), mx.int8),
        lambda: mx.zeros(2**31),
        lambda: mx.ones((1, 2**64)),
        lambda: mx.broadcast_to(ONE, (2**31,)),
        lambda: mx.broadcast_to(ONE, (70000, 70000)).reshape(-1),
        lambda: mx.broadcast_to(ONE, (2**30, 4)).flatten(),
        lambda: mx.concatenate([mx.broadcast_to(ONE, (2**30,))] * 3),
        lambda: mx.tile(mx.zeros((2,), mx.int8), 2**30),
        lambda: mx.repeat(mx.zeros((2,), mx.int8), 2**30),
        lambda: mx.pad(mx.broadcast_to(ONE, (2**30,)), 2**30),
        lambda: mx.pad(mx.broadcast_to(ONE, (2**30,)), 2**30, mode="edge"),
        lambda: mx.broadcast_to(mx.array(1, mx.int32), (2**30,)).view(mx.int8),
        lambda: mx.kron(mx.broadcast_to(ONE, (2**20,)), mx.broadcast_to(ONE, (2**12,))),
        lambda: mx.take(mx.broadcast_to(ONE, (2**30, 4)), mx.array([1])),
        lambda: mx.random.uniform(shape=(2**31,)),
    ],
)
def test_a_dimension_stays_below_two_to_the_31(call):
    with pytest.raises(OverflowError, match=r"outside the supported range \[-2147483648, 2147483647\]"):
        call()


def test_flattening_what_has_no_elements():
    assert mx.zeros((2**30, 4, 0)).flatten().shape == (0,)
    assert mx.zeros((2**31 - 1,), mx.int8).shape == (2**31 - 1,)
