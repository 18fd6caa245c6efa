"""The batch norm while training, which is an op, against the same written out; golden values: test_nn_golden.py."""

import mlx.core as mx
import mlx.nn as nn
import pytest


def written_out(x, weight, bias, eps=1e-5):
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axis=axes), x.var(axis=axes)
    y = (x - mean) * mx.rsqrt(var + eps)
    return y * weight + bias


def own(x, weight, bias):
    layer = nn.BatchNorm(weight.shape[-1], track_running_stats=False)
    layer.update({"weight": weight, "bias": bias})
    return layer(x)


def given(shape, seed=0):
    mx.random.seed(seed)
    c = shape[-1]
    return [mx.random.normal(shape) * 2 + 3, mx.random.normal((c,)), mx.random.normal((c,))], mx.random.normal(shape)


def close(got, want, tolerance=1e-4):
    for a, b in zip(got, want):
        assert a.shape == b.shape and a.dtype == b.dtype and mx.allclose(a, b, rtol=tolerance, atol=tolerance)


SHAPES = [(5, 3), (8, 64), (33, 70), (4, 9, 16), (3, 5, 7, 1), (2, 96, 96, 16), (700, 200)]    # the last ones in several parts


@pytest.mark.parametrize("how", [lambda f: f, mx.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient(shape, how):
    args, w = given(shape)
    got, want = (how(mx.value_and_grad(lambda *a: ((f(*a) * w).sum(), f(*a)), argnums=[0, 1, 2]))(*args) for f in (own, written_out))
    close([got[0][1], *got[1]], [want[0][1], *want[1]])


def test_a_mean_far_from_zero():
    args, w = given((64, 32, 16))
    args[0] += 1000
    close([own(*args)], [written_out(*args)], 1e-3)
    moments = nn.BatchNorm(16)
    moments(args[0])
    close([moments.running_mean, moments.running_var],
          [0.1 * args[0].mean(axis=(0, 1)), 0.9 + 0.1 * args[0].var(axis=(0, 1)) * 2048 / 2047], 1e-3)


@pytest.mark.parametrize("layout", [lambda x: mx.contiguous(x.T).T, lambda x: mx.contiguous(x[::-1])[::-1], lambda x: mx.repeat(x, 2, axis=-1)[..., ::2]])
def test_other_layouts(layout):
    (x, weight, bias), w = given((6, 5, 4))

    def f(x, w):
        return mx.grad(lambda x: (own(x, weight, bias) * w).sum())(x)
    close([own(layout(x), weight, bias), f(layout(x), layout(w))], [own(x, weight, bias), f(x, w)], 1e-6)


def test_gradient_of_the_gradient():
    args, w = given((6, 3))

    def norm(f):
        return lambda *a: sum(g.square().sum() for g in mx.grad(lambda *b: (f(*b) * w).sum(), argnums=[0, 1, 2])(*a))
    close(mx.grad(norm(own), argnums=[0, 1, 2])(*args), mx.grad(norm(written_out), argnums=[0, 1, 2])(*args), 1e-3)


def test_gradient_of_the_moments():
    """Whoever trains on the running numbers has their gradients."""
    def f(x):
        layer = nn.BatchNorm(3)
        layer(x)
        return (layer.running_mean * layer.running_var).sum()

    def plain(x):
        return ((0.1 * x.mean(axis=0)) * (0.9 + 0.1 * x.var(axis=0) * 6 / 5)).sum()
    x = given((6, 3))[0][0]
    close([mx.grad(f)(x)], [mx.grad(plain)(x)])


def test_tangents_and_batches():
    args, w = given((6, 3))
    tangents = [w, *given((6, 3), 1)[0][1:]]
    for a, b in zip(mx.jvp(own, args, tangents), mx.jvp(written_out, args, tangents)):
        close(a, b)
    x = mx.random.normal((4, 6, 3))
    close([mx.vmap(own, in_axes=(0, None, None))(x, *args[1:])], [mx.stack([own(y, *args[1:]) for y in x])])
    f = mx.grad(lambda *a: (own(*a) * w).sum(), argnums=[0, 1, 2])
    close(mx.vmap(f, in_axes=(1, None, None))(x.swapaxes(0, 1), *args[1:]), [mx.stack(g) for g in zip(*(f(y, *args[1:]) for y in x))])
    assert mx.vmap(own, in_axes=(0, None, None))(x[:0], *args[1:]).shape == (0, 6, 3)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float64])
def test_other_dtypes(dtype):
    args, _ = given((6, 5, 3))
    with mx.stream(mx.cpu):
        y = own(*(a.astype(dtype) for a in args))
    assert y.dtype == dtype and mx.allclose(y.astype(mx.float32), written_out(*args), rtol=5e-2, atol=5e-2)


def test_bits_do_not_depend_on_threads():
    args, w = given((40, 32, 32, 16))
    first = mx.grad(lambda x: (own(x, *args[1:]) * w).sum())(args[0])
    for _ in range(3):
        assert mx.array_equal(first, mx.grad(lambda x: (own(x, *args[1:]) * w).sum())(args[0]))
