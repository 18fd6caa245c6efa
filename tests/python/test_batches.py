"""Small groups that do not depend on each other run side by side: the numbers are those of one after the other."""

import mlx.core as mx
import numpy as np
import pytest

SIZES = [1000, 4096, 37, 8192, 5000, 1, 3000, 20000, 2048] * 5


def arrays(seed, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return [mx.array(rng.standard_normal(n, dtype="float32")) for n in sizes]


def adam(p, g, m, v):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (g * g)
    return p - 1e-3 * m / (mx.sqrt(v) + 1e-8), m, v


def update(state, g):
    new = [adam(p, g, m, v) for p, g, m, v in zip(state[0::3], g, state[1::3], state[2::3])]
    return [a for three in new for a in three]


def start(sizes=SIZES):
    return [a for n, p in zip(sizes, arrays(1, sizes)) for a in (p, mx.zeros(n), mx.zeros(n))]


def three_steps(step, sizes=SIZES):
    state, g = start(sizes), arrays(2, sizes)
    mx.eval(state, g)
    for _ in range(3):
        state = step(state, g)
        mx.eval(state)
    return [np.array(a) for a in state]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("sizes", [SIZES, [4096] * 40, [1000] * 17, [8192, 8192]], ids=lambda s: f"{len(s)}x{s[-1]}")
def test_many_small_updates_have_the_bits_of_every_op_alone(compiled, sizes):
    with mx.debug_nans():
        expected = three_steps(update, sizes)
    for a, b in zip(three_steps(mx.compile(update) if compiled else update, sizes), expected):
        np.testing.assert_array_equal(a, b)


def test_steps_of_a_loop_that_read_the_same_array_do_not_overwrite_it_under_each_other():
    # in a loop the last reader of an array may take its memory, while the others run at the same time
    x = arrays(3, [4096])[0]
    others = [mx.full((4096,), float(i)) for i in range(45)]     # more than one group can read

    def body(c, _):
        x, *o = c
        y = mx.exp(-mx.abs(x))
        parts = [mx.sin(y + z) for z in o]
        return (parts[0] * 0.5, *parts), parts[-1]
    with mx.debug_nans():
        expected = [np.array(a) for a in mx.scan(body, (x, *others), mx.arange(20))[0]]
    for _ in range(5):
        for a, b in zip(mx.scan(body, (x, *others), mx.arange(20))[0], expected):
            np.testing.assert_array_equal(np.array(a), b)


def test_memory_of_what_dies_is_taken_over():
    state, g = start([8192] * 16), arrays(2, [8192] * 16)
    state = update(state, g)     # zeros are one element until now
    mx.eval(state, g)
    for _ in range(2):
        active = mx.get_active_memory()
        mx.reset_peak_memory()
        old, state = state, None
        state = update(old, g)
        del old
        mx.eval(state)
        assert mx.get_peak_memory() <= active + 8192


def test_an_error_in_one_of_them_reaches_what_depends_on_it_alone():
    good = arrays(4, [4096] * 6)
    mx.eval(good)
    bad = mx.take_along_axis(good[0], mx.array([4096]), 0)[0]
    results = [mx.exp(x) * 2 for x in good] + [mx.exp(good[0] + bad) * 2]
    with pytest.raises(IndexError):
        mx.eval(results)
    for a, x in zip(results, good):
        np.testing.assert_array_equal(np.array(a), np.array(mx.exp(x) * 2))
