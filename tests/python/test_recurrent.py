"""The own gradients of LSTM and GRU against those of the steps written out; golden values of the forward pass: test_nn_golden.py."""

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten

H, D = 6, 7


def written_out(p, x, h, c):
    x = mx.addmm(p["bias"], x, p["Wx"].T) if "bias" in p else x @ p["Wx"].T
    hs, cs = [], []
    for t in range(x.shape[-2]):
        z = x[..., t, :] if h is None else mx.addmm(x[..., t, :], h, p["Wh"].T)
        i, f, g, o = mx.split(z, 4, axis=-1)
        new = mx.sigmoid(i) * mx.tanh(g)
        c = new if c is None else mx.sigmoid(f) * c + new
        h = mx.sigmoid(o) * mx.tanh(c)
        hs.append(h)
        cs.append(c)
    return mx.stack(hs, axis=-2), mx.stack(cs, axis=-2)


def case(shape, hidden, cell, bias=True):
    """The layer as a function of its parameters, its arguments, and a loss over such a function."""
    mx.random.seed(2)
    layer = nn.LSTM(D, H, bias=bias)
    state = shape[:-2] + (H,)
    given = [mx.random.normal(state) for yes in (hidden, cell) if yes]
    weights = [mx.random.normal(shape[:-1] + (H,)) for _ in range(2)]

    def own(p, x, h, c):
        layer.update(p)
        return layer(x, h, c)

    def loss(f):
        def of(p, x, *rest):
            rest = list(rest)
            h, c = (rest.pop(0) if yes else None for yes in (hidden, cell))
            return sum((w * y).sum() for w, y in zip(weights, f(p, x, h, c)))

        return of

    return own, loss, [dict(layer.parameters()), mx.random.normal(shape), *given]


def close(a, b):
    a, b = tree_flatten(a), tree_flatten(b)
    assert [name for name, _ in a] == [name for name, _ in b]
    for (name, x), (_, y) in zip(a, b):
        assert x.shape == y.shape and x.dtype == y.dtype and mx.allclose(x, y, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("how", [lambda f: f, mx.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize("hidden", [False, True], ids=["", "hidden"])
@pytest.mark.parametrize("cell", [False, True], ids=["", "cell"])
@pytest.mark.parametrize("shape", [(5, D), (3, 5, D), (3, 1, D), (2, 3, 4, D)], ids=str)
def test_gradient_of_an_lstm(shape, hidden, cell, how):
    own, loss, args = case(shape, hidden, cell, bias=len(shape) != 4)
    argnums = list(range(len(args)))
    got, want = (how(mx.grad(loss(f), argnums=argnums))(*args) for f in (own, written_out))
    close(got, want)


@pytest.mark.parametrize("hidden", [False, True], ids=["", "hidden"])
def test_gradient_of_the_gradient_of_an_lstm(hidden):
    own, loss, args = case((3, 5, D), hidden, False)

    def norm(f):
        return lambda x: sum(g.square().sum() for _, g in tree_flatten(mx.grad(loss(f), argnums=[0, 1])(args[0], x, *args[2:])))

    close([mx.grad(norm(own))(args[1])], [mx.grad(norm(written_out))(args[1])])


def test_tangents_and_batches_of_an_lstm():
    own, loss, args = case((3, 5, D), True, True)
    p, x, h, c = args
    for f in (own, written_out):
        out, tangent = mx.jvp(lambda x: f(p, x, h, c)[0], [x], [mx.ones_like(x)])
        batched = mx.vmap(lambda x, h, c: f(p, x, h, c)[0])(x, h, c)
        if f is own:
            kept = [*out, *tangent, batched]
    close(kept, [*out, *tangent, batched])


def test_an_lstm_of_several_blocks():
    """More rows, units and weights than an item of the kernel has."""
    mx.random.seed(4)
    layer, x = nn.LSTM(D, 150), mx.random.normal((70, 3, D))
    p, weight = dict(layer.parameters()), mx.random.normal((70, 3, 150))

    def own(p, x):
        return layer.update(p)(x)

    got, want = (mx.grad(lambda p, x: (weight * f(p, x)[0]).sum(), argnums=[0, 1])(p, x)
                 for f in (own, lambda p, x: written_out(p, x, None, None)))
    close(got, want)
    close(own(p, x), written_out(p, x, None, None))
    strided = mx.contiguous(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    close(own(p, strided), own(p, x))


def test_batches_of_weights_of_an_lstm():
    mx.random.seed(5)
    x, wx, wh = mx.random.normal((2, 3, 4, D)), mx.random.normal((2, 4 * H, D)), mx.random.normal((2, 4 * H, H))

    def loss(x, wx, wh):
        return nn.LSTM(D, H, bias=False).update({"Wx": wx, "Wh": wh})(x)[1].square().sum()

    for f in (loss, mx.grad(loss, argnums=[0, 1, 2])):
        got, each = mx.vmap(f)(x, wx, wh), [f(x[b], wx[b], wh[b]) for b in range(2)]
        if isinstance(got, mx.array):
            got, each = [got], [[e] for e in each]
        close(list(got), [mx.stack(pair) for pair in zip(*each)])
    assert mx.vmap(loss)(x[:0], wx[:0], wh[:0]).shape == (0,)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float64])
def test_an_lstm_of_another_dtype(dtype):
    own, loss, (p, x, h, c) = case((3, 5, D), True, True)
    q = {name: a.astype(dtype) for name, a in p.items()}
    with mx.stream(mx.cpu):
        got = own(q, *(a.astype(dtype) for a in (x, h, c)))
    for a, b in zip(got, written_out(p, x, h, c)):
        assert a.dtype == dtype and mx.allclose(a.astype(mx.float32), b, rtol=2e-2, atol=2e-2)


def test_a_state_that_is_broadcast():
    own, loss, args = case((3, 5, D), True, False)
    args[2] = args[2][0]  # (H,) for all of the batch
    got, want = (mx.grad(loss(f), argnums=[0, 1, 2])(*args) for f in (own, written_out))
    close(got, want)


# ---- GRU ----


def gru_written_out(p, x, h):
    x = mx.addmm(p["b"], x, p["Wx"].T) if "b" in p else x @ p["Wx"].T
    hs, zero = [], mx.zeros(x.shape[:-2] + (H,))
    for t in range(x.shape[-2]):
        now = x[..., t, :]
        y = (zero if h is None else h) @ p["Wh"].T
        r, z = mx.split(mx.sigmoid(now[..., : 2 * H] + y[..., : 2 * H]), 2, axis=-1)
        side = y[..., 2 * H :] + p["bhn"] if "bhn" in p else y[..., 2 * H :]
        n = mx.tanh(now[..., 2 * H :] + r * side)
        h = (1 - z) * n + (z * h if h is not None else 0)
        hs.append(h)
    return mx.stack(hs, axis=-2)


def gru_case(shape, hidden, bias=True):
    mx.random.seed(3)
    layer = nn.GRU(D, H, bias=bias)
    weight = mx.random.normal(shape[:-1] + (H,))

    def own(p, x, h):
        layer.update(p)
        return layer(x, h)

    def loss(f):
        return lambda p, x, h=None: (weight * f(p, x, h)).sum()

    args = [dict(layer.parameters()), mx.random.normal(shape)]
    return own, loss, args + ([mx.random.normal(shape[:-2] + (H,))] if hidden else [])


@pytest.mark.parametrize("how", [lambda f: f, mx.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize("hidden", [False, True], ids=["", "hidden"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("shape", [(5, D), (3, 5, D), (3, 1, D), (2, 3, 4, D)], ids=str)
def test_gradient_of_a_gru(shape, bias, hidden, how):
    own, loss, args = gru_case(shape, hidden, bias)
    got, want = (how(mx.grad(loss(f), argnums=list(range(len(args)))))(*args) for f in (own, gru_written_out))
    close(got, want)


@pytest.mark.parametrize("hidden", [False, True], ids=["", "hidden"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_gradient_of_the_gradient_of_a_gru(hidden, bias):
    own, loss, args = gru_case((3, 5, D), hidden, bias)

    def norm(f):
        return lambda x: sum(g.square().sum() for _, g in tree_flatten(mx.grad(loss(f), argnums=[0, 1])(args[0], x, *args[2:])))

    close([mx.grad(norm(own))(args[1])], [mx.grad(norm(gru_written_out))(args[1])])
