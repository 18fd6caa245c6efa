"""Two transforms of one function in both orders, over twenty functions as programs have them.

Each transform turns a function of a list of float arrays, giving one array, into another such function, and has a plain counterpart: vmap a loop;
compile, checkpoint, export and import nothing at all. A pair must give what the plain pair gives; grad and jvp, which have no plain counterpart,
must give what they give of the plain function, and the same second derivative in both orders."""

import itertools

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

rng = np.random.default_rng(11)


def array(*shape, scale=1.0):
    return mx.array((rng.normal(size=shape) * scale).astype(np.float32))


def indices(*values):
    return mx.array(np.array(values, np.int32))


# ---- twenty functions, of float arrays ----

LABELS = indices(0, 2, 1, 2)
PACKED = mx.quantize(array(8, 32), group_size=32, bits=4)
KEY = mx.random.key(3)


def mlp_loss(x, w1, b1, w2):
    return nn.losses.cross_entropy(nn.gelu(x @ w1 + b1) @ w2, LABELS, reduction="mean")


def attention(q, k, v):
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask="causal")


def attention_by_hand(x, w):
    q, k, v = mx.split(x @ w, 3, axis=-1)
    scores = q @ k.T / 2 + mx.where(mx.tril(mx.ones((4, 4))) > 0, 0, -1e9)
    return mx.softmax(scores, axis=-1) @ v


def lstm_cell(x, h, c, wx, wh):
    i, f, g, o = mx.split(x @ wx + h @ wh, 4, axis=-1)
    c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
    return mx.sigmoid(o) * mx.tanh(c)


def layer_norm(x, w, b):
    return mx.fast.layer_norm(x, w, b, 1e-3) * mx.fast.rms_norm(x, w, 1e-3)


def norm_by_hand(x, w):
    return (x - x.mean(-1, keepdims=True)) * mx.rsqrt(x.var(-1, keepdims=True) + 1e-2) * w


def conv_net(x, w, v):
    y = nn.relu(mx.conv2d(x, w, stride=2, padding=1) + 0.1)
    return mx.mean(y, axis=(1, 2)) @ v


def pooling(x):
    return nn.MaxPool2d(2)(x).sum(axis=(1, 2)) + nn.AvgPool2d(2)(x * x).sum(axis=(1, 2))


def quantized_linear(x, scale):
    return mx.tanh(mx.quantized_matmul(x, *PACKED, group_size=32, bits=4)) * scale


def scan_rnn(x, w):
    return mx.scan(lambda h, v: (mx.tanh(h @ w + v), h), mx.zeros((3,)), x)[1]


def condition(x, y):
    return mx.cond(mx.stop_gradient(x).sum() > 100, lambda x, y: x * y, lambda x, y: mx.sin(x) * y * y, x, y)


def solve(a, b):
    return mx.linalg.solve(a @ a.T + 3 * mx.eye(3), b, stream=mx.cpu)


def cholesky(a):
    l = mx.linalg.cholesky(a @ a.T + 3 * mx.eye(3), stream=mx.cpu)
    return mx.log(mx.diagonal(l)).sum() * 2


def fft_filter(x, f):
    return mx.fft.irfft(mx.fft.rfft(x) * mx.fft.rfft(f), n=8)


def sorted_loss(x, y):
    return mx.abs(mx.sort(x) - mx.sort(y)) ** 1.5


def embedding(table, w):
    return mx.logsumexp(table[indices([0, 3], [3, 1])] @ w, axis=-1)


def scattered(x, v):
    y = x * 2
    y[indices(2, 0)] = v * v
    return y.at[indices(1, 1)].add(v) * x


def random(x, w):
    keys = mx.random.split(KEY, 2)
    keep = mx.random.bernoulli(0.5, x.shape, key=keys[0])
    return mx.where(keep, x @ w, 0) + mx.random.normal(x.shape, key=keys[1]) * x


def complex_function(x, y):
    z = x + 1j * y
    return mx.abs(mx.exp(z * z) / (2 + z)) + mx.real(z * mx.conj(z) ** 2)


def cumulative(x):
    return mx.cumsum(x, axis=0) * mx.cumprod(1 + 0.1 * x, axis=1, reverse=True) + mx.logcumsumexp(x, axis=1) + mx.cummax(x, axis=0)


@mx.custom_function
def clipped(x):
    return mx.exp(x) + x


@clipped.vjp
def _(primal, cotangent, output):
    return cotangent * (output - primal + 1)


@clipped.jvp
def _(primal, tangent):
    return tangent * (mx.exp(primal) + 1)


def own_rules(x, w):
    return clipped(x @ w) * x


def rope_and_einsum(x, w):
    return mx.einsum("bld,de->ble", mx.fast.rope(x, 4, traditional=False, base=100.0, scale=1.0, offset=2), w)


# Starting points keep away from kinks and ties.
FUNCTIONS = {
    mlp_loss: [array(4, 5), array(5, 6), array(6), array(6, 3)],
    attention: [array(1, 2, 4, 3), array(1, 2, 4, 3), array(1, 2, 4, 3)],
    attention_by_hand: [array(4, 3), array(3, 12)],
    lstm_cell: [array(2, 3), array(2, 4), array(2, 4), array(3, 16), array(4, 16)],
    layer_norm: [array(3, 5), array(5), array(5)],
    norm_by_hand: [array(3, 5), array(5)],
    conv_net: [array(1, 5, 5, 2), array(3, 3, 3, 2), array(3, 2)],
    pooling: [array(1, 4, 4, 2)],
    quantized_linear: [array(2, 32, scale=0.2), array(8)],
    scan_rnn: [array(4, 3), array(3, 3, scale=0.5)],
    condition: [array(3), array(3)],
    solve: [array(3, 3), array(3, 2)],
    cholesky: [array(3, 3)],
    fft_filter: [array(2, 8), array(8)],
    sorted_loss: [array(6), array(6)],
    embedding: [array(4, 3), array(3, 5)],
    scattered: [array(4), array(2)],
    random: [array(3, 3), array(3, 3)],
    complex_function: [array(5, scale=0.5), array(5, scale=0.5)],
    cumulative: [array(3, 4, scale=0.5)],
    own_rules: [array(2, 2, scale=0.5), array(2, 2, scale=0.5)],
    rope_and_einsum: [array(1, 3, 4), array(4, 2)],
}

# ---- the transforms, and their plain counterparts ----


def weights(y):
    return mx.cos(mx.arange(y.size)).reshape(y.shape)


def grad(f, path):
    def g(*xs):
        grads = mx.grad(lambda *a: (y := f(*a), (y * weights(y)).sum())[1], tuple(range(len(xs))))(*xs)
        return mx.concatenate([d.reshape(-1) for d in grads])
    return g


def jvp(f, path):
    return lambda *xs: mx.jvp(f, list(xs), [weights(x) for x in xs])[1][0]


SCALES = [1.0, 0.9]


def vmap(f, path):
    return lambda *xs: mx.vmap(f)(*[mx.stack([x * s for s in SCALES]) for x in xs]).sum(axis=0)


def loop(f, path):
    return lambda *xs: mx.stack([f(*[x * s for x in xs]) for s in SCALES]).sum(axis=0)


def compile(f, path):
    return mx.compile(f)


def checkpoint(f, path):
    return mx.checkpoint(f)


def export(f, path):
    """The file is written at the first call, for arrays like those; a traced argument shows its shape and dtype, too."""
    def g(*xs):
        mx.export_function(path, f, *[mx.zeros(x.shape, x.dtype) for x in xs])
        return mx.import_function(path)(*xs)[0]
    return g


def nothing(f, path):
    return f


PLAIN = {grad: grad, jvp: jvp, vmap: loop, compile: nothing, checkpoint: nothing, export: nothing}


def close(a, b, message, rtol=2e-3):
    assert a.shape == b.shape and a.dtype == b.dtype, message
    a, b = np.array(a), np.array(b)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1e-1, np.abs(b).max()), err_msg=message)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_pairs(f, tmp_path):
    xs = FUNCTIONS[f]
    path = str(tmp_path / "f")
    for inner, outer in itertools.product(PLAIN, PLAIN):
        name = f"{outer.__name__} of {inner.__name__} of {f.__name__}"
        try:
            got = outer(inner(f, path + "1"), path + "2")(*xs)
            want = PLAIN[outer](PLAIN[inner](f, path), path)(*xs)
            mx.eval(got, want)
        except Exception as e:
            raise AssertionError(name) from e
        close(got, want, name)
        assert np.isfinite(np.array(got)).all(), name


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_second_derivatives_are_the_same_in_both_orders(f):
    xs = FUNCTIONS[f]
    forward_of_back = jvp(grad(f, ""), "")(*xs)
    close(grad(jvp(f, ""), "")(*xs), forward_of_back, "grad of jvp")
    back_of_back = mx.grad(lambda *a: (grad(f, "")(*a) * mx.concatenate([weights(x).reshape(-1) for x in xs])).sum(), tuple(range(len(xs))))(*xs)
    close(mx.concatenate([d.reshape(-1) for d in back_of_back]), forward_of_back, "grad of grad")
    step = 1e-2 if f not in (pooling, sorted_loss) else 1e-3
    ahead, behind = (grad(f, "")(*[x + s * weights(x) for x in xs]) for s in (step, -step))
    close((ahead - behind) / (2 * step), forward_of_back, "differences", rtol=5e-2)
