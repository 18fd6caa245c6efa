"""Steps that run together a few rows at a time, and independent chains that end in one group: the numbers are those of every op alone."""

import mlx.core as mx
import numpy as np
import pytest


def layer_norm(x, w):
    mean, var = mx.mean(x, axis=-1, keepdims=True), mx.var(x, axis=-1, keepdims=True)
    return [(x - mean) / mx.sqrt(var + 1e-5) * w]


def softmax(x, w):
    e = mx.exp(x - mx.max(x, axis=-1, keepdims=True))
    return [e / mx.sum(e, axis=-1, keepdims=True)]


def some_results_kept(x, w):
    total = mx.sum(x, axis=-1, keepdims=True)
    y = x * total
    return [y, mx.sum(y, axis=-1), mx.prod(1 + x * 1e-3, axis=-1), total]


def last_but_one_axis(x, w):
    d = x - mx.mean(x, axis=-2, keepdims=True)
    return [mx.sum(mx.square(d), axis=-2), mx.max(d * w, axis=-2)]


def two_axes(x, w):
    return [x / mx.sum(mx.abs(x), axis=(-1, -2), keepdims=True) + w]


FUNCTIONS = [layer_norm, softmax, some_results_kept, last_but_one_axis, two_axes]
SHAPES = [(1100, 1000), (3, 300, 1100), (2, 3, 500, 257), (40000, 33), (5, 150000), (1, 1100, 1000), (1100, 1, 1000)]


def bits(arrays):
    return [np.array(mx.view(a, mx.uint8)) for a in arrays]


def one_by_one(function, *arrays):
    with mx.debug_nans():      # every op stands alone
        return bits(function(*arrays))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rows_together_have_the_bits_of_every_op_alone(function, shape, dtype):
    rng = np.random.default_rng(0)
    x = mx.array(rng.standard_normal(shape, dtype="float32")).astype(getattr(mx, dtype))
    w = mx.array(rng.standard_normal(shape[-1:], dtype="float32")).astype(x.dtype)
    expected = one_by_one(function, x, w)
    for got in (function(x, w), mx.compile(function)(x, w)):
        for a, b in zip(bits(got), expected):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("function", [layer_norm, softmax], ids=lambda f: f.__name__)
def test_large_results_go_past_the_caches_with_the_same_bits(function):
    x = mx.array(np.random.default_rng(0).standard_normal((4100, 1100), dtype="float32"))
    for a, b in zip(bits(function(x, x[0])), one_by_one(function, x, x[0])):
        np.testing.assert_array_equal(a, b)


def test_strided_rows_and_gradients_through_them():
    x = mx.array(np.random.default_rng(0).standard_normal((1000, 2400), dtype="float32"))
    w = mx.ones(1200)
    for view in (x[:, ::2], x[::-1, :1200], mx.broadcast_to(x[:1, :1200], (1000, 1200)), mx.transpose(x)[:1200, :800]):
        for a, b in zip(bits(layer_norm(view, w[:view.shape[1]])), one_by_one(layer_norm, view, w[:view.shape[1]])):
            np.testing.assert_array_equal(a, b)
    gradient = mx.grad(lambda x: mx.sum(softmax(x, None)[0] * x))
    np.testing.assert_array_equal(bits([gradient(x)])[0], one_by_one(lambda x: [gradient(x)], x)[0])


def test_an_input_of_a_band_that_nobody_needs_is_overwritten():
    x = mx.random.normal((1024, 1024))
    expected = np.array(layer_norm(x, 1)[0])
    mx.eval(x)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    y = layer_norm(x, 1)[0]
    del x
    mx.eval(y)
    np.testing.assert_array_equal(np.array(y), expected)
    assert mx.get_peak_memory() < before + 2**21


@pytest.mark.parametrize("compiled", [False, True])
def test_an_adam_step_is_one_group_that_donates_all_it_can(compiled):
    def adam(p, g, m, v):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (g * g)
        return p - 1e-3 * m / (mx.sqrt(v) + 1e-8), m, v

    n = 1 << 18
    g, *state = [mx.array(np.full(n, i, "float32")) for i in range(4)]
    mx.eval(g, state)
    step = mx.compile(adam) if compiled else adam
    for _ in range(3):
        active = mx.get_active_memory()
        mx.reset_peak_memory()
        p, m, v = state
        state.clear()
        state.extend(step(p, g, m, v))
        del p, m, v
        mx.eval(state)
        assert mx.get_peak_memory() <= active + 4096


ROWS = {
    "weights and a number a row": lambda x, w, r: (x - r) / (r * r + 3) * w + w,
    "a number first": lambda x, w, r: r - x * w + mx.maximum(r, w),
    "numbers of rows alone": lambda x, w, r: r * r + 0 * x,
    "a row given out": lambda x, w, r: [mx.broadcast_to(w, x.shape) + 0 * x, r + 0 * x, mx.sum(w * x, axis=-1), mx.sum(r + 0 * x, axis=-1)],
    "chosen by a row": lambda x, w, r: mx.where(w > 0, x, r) + mx.where(r > 0, w, x),
    "heavy": lambda x, w, r: mx.exp(-mx.abs(x - r)) * mx.tanh(w) + mx.power(mx.abs(r) + 1, w),
    "two lengths": lambda x, w, r: x.reshape(*x.shape[:-1], -1, x.shape[-1] // 2) * w[:x.shape[-1] // 2] + r[..., None],
}


@pytest.mark.parametrize("shape", [(40, 1024), (3, 17, 5000), (9, 130), (50, 20), (2, 70000), (5, 4, 256), (5000, 1100)], ids=str)
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "float64"])
def test_rows_that_are_read_in_place_give_the_bits_of_every_op_alone(name, shape, dtype):
    if dtype == "int32" and name == "heavy" or (shape[0] == 5000 and dtype != "float32"):
        return
    rng = np.random.default_rng(0)

    def numbers(*shape):
        return mx.array(np.round(rng.standard_normal(shape) * 3).astype(dtype), getattr(mx, dtype))
    with mx.stream(mx.cpu):
        x, w, r = numbers(*shape), numbers(2 * shape[-1])[::2], numbers(*shape[:-1], 1)

        def function(*a):
            y = ROWS[name](*a)
            return y if isinstance(y, list) else [y]
        views = [(x, mx.contiguous(w), r), (mx.concatenate([x, x], axis=-1)[..., :shape[-1]], w, r), (x[::-1], mx.contiguous(w), r[::-1])]
        for given in views if x.size < 1 << 20 else views[:1]:
            for a, b in zip(bits(function(*given)), one_by_one(function, *given)):
                np.testing.assert_array_equal(a, b)
