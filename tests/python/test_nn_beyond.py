"""Layers, losses and helpers of mlx.nn beyond MLX's list: values against NumPy, gradients against differences, bad input."""

import itertools
import math

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten

RNG = None


@pytest.fixture(autouse=True)
def same_numbers_in_any_order():
    global RNG
    RNG = np.random.default_rng(0)
    mx.random.seed(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def check(got, want, tol=1e-5):
    want = np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(np.array(got), want, rtol=tol, atol=tol)


def check_gradient(f, *inputs, h=1e-2, tol=2e-2):
    """The derivative along a random direction against the difference; f is smooth along it."""
    xs = [mx.array(x) for x in inputs]
    weights = mx.array(floats(*f(*xs).shape))
    loss = lambda *xs: mx.sum(f(*xs) * weights)
    grads = mx.grad(loss, argnums=list(range(len(xs))))(*xs)
    for i, (x, g) in enumerate(zip(xs, grads if len(xs) > 1 else [grads])):
        d = mx.array(floats(*x.shape))
        at = lambda t: loss(*xs[:i], x + t * d, *xs[i + 1 :]).item()
        slope = (at(h) - at(-h)) / (2 * h)
        assert mx.sum(g * d).item() == pytest.approx(slope, rel=tol, abs=tol), i


# ---- adaptive pools ----


def adaptive(x, sizes, reduce):
    for axis, m in enumerate(sizes, 1):
        n = x.shape[axis]
        if m is not None:
            bins = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            x = np.stack([reduce(np.take(x, range(a, b), axis), axis=axis) for a, b in bins], axis)
    return x


POOLS = [
    (1, (7,), (3,)), (1, (6,), (3,)), (1, (3,), (5,)), (2, (7, 8), (3, 4)), (2, (5, 6), (1, 6)), (2, (4, 9), (None, 2)),
    (3, (4, 5, 6), (2, 2, 3)), (3, (3, 3, 3), (1, 1, 1)),
]


@pytest.mark.parametrize("n, shape, sizes", POOLS)
def test_adaptive_pools(n, shape, sizes):
    x = floats(2, *shape, 3)
    # bins of the mean do not overlap in weight: the mean over axes is one after the other
    check(getattr(nn, f"AdaptiveAvgPool{n}d")(sizes)(mx.array(x)), adaptive(x, sizes, np.mean))
    check(getattr(nn, f"AdaptiveMaxPool{n}d")(sizes)(mx.array(x)), adaptive(x, sizes, np.max))


def test_adaptive_pool_gradients_and_one_size_for_all():
    x = floats(2, 7, 5, 3)
    check_gradient(nn.AdaptiveAvgPool2d((3, 2)), x)
    check_gradient(nn.AdaptiveMaxPool2d((3, 2)), x, h=1e-4, tol=5e-2)
    assert nn.AdaptiveAvgPool2d(2)(mx.array(x)).shape == (2, 2, 2, 3)
    assert nn.AdaptiveMaxPool2d(1)(mx.ones((1, 4, 4, 2), mx.int32)).dtype == mx.int32
    assert nn.AdaptiveAvgPool1d(2)(mx.ones((1, 5, 2), mx.float16)).dtype == mx.float16
    assert repr(nn.AdaptiveAvgPool2d((3, None))) == "AdaptiveAvgPool2d(output_size=(3, None))"


def test_adaptive_pools_refuse():
    for size in (0, -1, (1, 2, 3), "a", 1.5):
        with pytest.raises((ValueError, TypeError)):
            nn.AdaptiveAvgPool2d(size)
    with pytest.raises(ValueError, match="2 spatial"):
        nn.AdaptiveMaxPool2d(2)(mx.ones((1, 4, 2)))


# ---- pixel shuffle ----


def test_pixel_shuffle_is_the_one_of_pytorch_and_has_an_inverse():
    x, r = floats(2, 3, 4, 5 * 9), 3
    nchw = x.transpose(0, 3, 1, 2).reshape(2, 5, r, r, 3, 4)
    want = nchw.transpose(0, 1, 4, 2, 5, 3).reshape(2, 5, 9, 12).transpose(0, 2, 3, 1)
    y = nn.PixelShuffle(r)(mx.array(x))
    check(y, want, 0)
    check(nn.PixelUnshuffle(r)(y), x, 0)
    check_gradient(lambda x: nn.pixel_shuffle(x, r), x)
    for bad in (0, -1, 2, 1 << 20):
        with pytest.raises(ValueError, match="factor"):
            nn.pixel_shuffle(mx.array(x), bad)
    with pytest.raises(ValueError, match="pixel_unshuffle"):
        nn.pixel_unshuffle(mx.ones((1, 3, 4, 2)), 2)


# ---- grid_sample ----


def sample(x, grid, mode, padding, align):
    """One sample at a time, place by place."""
    k, size = grid.shape[-1], x.shape[1:-1]
    out = np.zeros(grid.shape[:-1] + x.shape[-1:])

    def place(g, n):
        p = (g + 1) * (n - 1) / 2 if align else ((g + 1) * n - 1) / 2
        if padding == "reflection":
            low, span = (0, n - 1) if align else (-0.5, n)
            p = abs(p - low) % (2 * span) if span else 0
            p = (min(p, 2 * span - p) if span else 0) + (low if span else 0)
        return p if padding == "zeros" else min(max(p, 0), n - 1)

    for at in np.ndindex(*grid.shape[:-1]):
        p = [place(float(grid[at][k - 1 - i]), size[i]) for i in range(k)]
        corners = [[(round(v), 1.0)] if mode == "nearest" else [(math.floor(v), 1 - v % 1), (math.floor(v) + 1, v % 1)] for v in p]
        for corner in itertools.product(*corners):
            inside = all(0 <= i < n for (i, _), n in zip(corner, size))
            if inside:
                out[at] += x[(at[0], *(i for i, _ in corner))] * math.prod(w for _, w in corner)
            elif padding != "zeros":
                clipped = tuple(min(max(i, 0), n - 1) for (i, _), n in zip(corner, size))
                out[at] += x[(at[0], *clipped)] * math.prod(w for _, w in corner)
    return out


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 2)])
def test_grid_sample(shape, mode, padding, align):
    k = len(shape)
    x, grid = floats(2, *shape, 3), (RNG.random((2, *[3] * k, k)) * 3.6 - 1.8).astype(np.float32)
    got = nn.grid_sample(mx.array(x), mx.array(grid), mode, padding, align)
    check(got, sample(x, grid, mode, padding, align), 1e-4)


def test_grid_sample_gradients():
    x, grid = floats(1, 5, 6, 2), (RNG.random((1, 3, 4, 2)) * 1.6 - 0.8).astype(np.float32)
    check_gradient(lambda x: nn.grid_sample(x, mx.array(grid)), x)
    check_gradient(lambda g: nn.grid_sample(mx.array(x), g), grid, h=1e-3, tol=5e-2)


def test_grid_sample_survives_numbers_that_are_none():
    x = mx.ones((1, 2, 2, 1))
    for v in (math.nan, math.inf, -math.inf, 1e30):
        for padding in ("zeros", "border", "reflection"):
            mx.eval(nn.grid_sample(x, mx.full((1, 1, 1, 2), v), padding_mode=padding))
    with pytest.raises(ValueError, match="mode"):
        nn.grid_sample(x, mx.ones((1, 1, 1, 2)), "cubic")
    with pytest.raises(ValueError, match="padding_mode"):
        nn.grid_sample(x, mx.ones((1, 1, 1, 2)), padding_mode="wrap")
    with pytest.raises(ValueError, match="grid"):
        nn.grid_sample(x, mx.ones((2, 1, 1, 2)))


# ---- embedding bag ----


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode):
    bag = nn.EmbeddingBag(10, 4, mode)
    w = np.array(bag.weight)
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    rows = RNG.integers(0, 10, (3, 5))
    check(bag(mx.array(rows)), reduce(w[rows], axis=1))
    flat, offsets = RNG.integers(0, 10, 9), np.array([0, 2, 2, 8])
    want = [reduce(w[part], axis=0) if len(part) else np.zeros(4) for part in np.split(flat, offsets[1:])]
    check(bag(mx.array(flat), mx.array(offsets)), np.array(want))
    check_gradient(lambda w: nn_bag(w, flat, offsets, mode), w, h=1e-4, tol=5e-2)


def test_a_row_that_is_twice_the_largest_of_a_bag_counts_once():
    w = mx.array([[1.0, 2.0], [3.0, 0.0]])
    for offsets, want in (([0], [[0, 1], [1, 0]]), ([0, 2, 2], [[1, 2], [1, 0]])):
        grad = mx.grad(lambda w: mx.sum(nn_bag(w, [0, 1, 0], offsets, "max")))(w)
        check(grad, want)
    assert mx.all(mx.isnan(nn_bag(mx.array([[1.0], [math.nan]]), [0, 1], [0], "max"))).item()
    check(nn_bag(w, np.zeros(0, np.int32), [0, 0], "max"), np.zeros((2, 2)))


def nn_bag(weight, indices, offsets, mode):
    bag = nn.EmbeddingBag(*weight.shape, mode)
    bag.weight = weight
    return bag(mx.array(indices), mx.array(offsets))


def test_embedding_bag_weighs_and_refuses():
    bag = nn.EmbeddingBag(10, 4, "sum")
    i, s = mx.array([[1, 2], [3, 3]]), mx.array([[0.5, 2.0], [1.0, -1.0]])
    w = np.array(bag.weight)
    check(bag(i, per_sample_weights=s), np.stack([0.5 * w[1] + 2 * w[2], 0 * w[3]]))
    with pytest.raises(ValueError, match="mode"):
        nn.EmbeddingBag(3, 4, "median")
    with pytest.raises(ValueError, match="Scales"):
        nn.EmbeddingBag(10, 4, "mean")(i, per_sample_weights=s)
    for bad in (mx.array([1, 2]), mx.array([[1.0]])):
        with pytest.raises(ValueError, match="embedding_bag"):
            bag(bad)
    with pytest.raises(ValueError, match="embedding_bag"):
        bag(i, mx.array([0]))


# ---- weights made of others ----


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_weight_norm_keeps_the_layer_and_learns_lengths(axis):
    plain = nn.Linear(4, 3)
    w, x = np.array(plain.weight), mx.array(floats(2, 4))
    before = plain(x)
    layer = nn.weight_norm(plain, axis=axis)
    check(layer(x), before)
    assert set(tree_flatten(layer.parameters(), destination={})) == {"module.bias", "weight_g", "weight_v"}
    layer.weight_g = layer.weight_g * 2
    check(layer(x), 2 * np.array(x) @ w.T + np.array(plain.bias))
    layer.weight_v = layer.weight_v * 5
    check(layer(x), 2 * np.array(x) @ w.T + np.array(plain.bias), 1e-4)
    g, v = np.array(layer.weight_g), np.array(layer.weight_v)
    check_gradient(lambda g, v: by_parts(layer, g, v, x), g, v)
    assert "weight" not in plain and "input_dims=4" in repr(layer)


def by_parts(layer, g, v, x):
    own = layer.weight_g, layer.weight_v
    layer.weight_g, layer.weight_v = g, v
    try:
        return layer(x)
    finally:
        layer.weight_g, layer.weight_v = own


def test_weight_norm_trains_and_loads(tmp_path):
    layer = nn.weight_norm(nn.Conv2d(3, 4, 3))
    x = mx.array(floats(1, 5, 5, 3))
    loss, grads = nn.value_and_grad(layer, lambda: mx.sum(mx.square(layer(x))))()
    optim.SGD(1e-3).update(layer, grads)
    assert mx.sum(mx.square(layer(x))).item() < loss.item()
    layer.save_weights(str(tmp_path / "w.safetensors"))
    other = nn.weight_norm(nn.Conv2d(3, 4, 3)).load_weights(str(tmp_path / "w.safetensors"))
    check(other(x), layer(x))
    with pytest.raises(ValueError, match="no parameter 'bias' of at least 2"):
        nn.weight_norm(nn.Linear(2, 2), "bias")
    with pytest.raises(ValueError, match="no parameter"):
        nn.weight_norm(nn.Linear(2, 2), "beans")


def test_spectral_norm_divides_by_the_largest_singular_value():
    plain = nn.Linear(6, 4, bias=False)
    w, x = np.array(plain.weight), floats(2, 6)
    layer = nn.spectral_norm(plain, iterations=30)
    sigma = np.linalg.svd(w, compute_uv=False)[0]
    layer(mx.array(x))
    check(layer(mx.array(x)), x @ w.T / sigma, 1e-4)
    assert set(tree_flatten(layer.trainable_parameters(), destination={})) == {"weight_orig"}
    layer.unfreeze()
    assert "u" not in layer.trainable_parameters() and "u" in layer.parameters()
    layer.eval()
    u = np.array(layer.u)
    layer(mx.array(x))
    assert np.array_equal(u, np.array(layer.u))  # the vectors rest

    def by_weight(w):
        own, layer.weight_orig = layer.weight_orig, w
        y = layer(mx.array(x))
        layer.weight_orig = own
        return y

    check_gradient(by_weight, w, h=1e-3)


# ---- CTC ----


def ctc_by_all_paths(logp, labels, blank):
    """The probability of every path of classes that gives the labels, summed."""
    total = 0.0
    for path in itertools.product(range(logp.shape[1]), repeat=logp.shape[0]):
        merged = [c for c, _ in itertools.groupby(path) if c != blank]
        if merged == list(labels):
            total += math.exp(sum(logp[t, c] for t, c in enumerate(path)))
    return -math.log(total) if total else math.inf


def log_softmax(x):
    return x - np.log(np.sum(np.exp(x), -1, keepdims=True))


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_loss_is_the_sum_over_all_alignments(blank):
    logp = log_softmax(floats(6, 5, 3)).astype(np.float32)
    a, b = [c for c in range(3) if c != blank]
    targets = np.array([[a, b, a], [a, a, b], [b, b, blank], [a, blank, blank], [a, a, a], [blank] * 3])
    steps, lengths = np.array([5, 5, 4, 3, 5, 5]), np.array([3, 3, 2, 1, 3, 0])
    got = nn.losses.ctc_loss(*map(mx.array, (logp, targets, steps, lengths)), blank=blank, reduction="none")
    want = [ctc_by_all_paths(logp[i, : steps[i]], targets[i, : lengths[i]], blank) for i in range(6)]
    check(got, want, 1e-4)
    mean = nn.losses.ctc_loss(*map(mx.array, (logp, targets, steps, lengths)), blank=blank)
    check(mean, np.mean(np.array(want) / np.maximum(lengths, 1)), 1e-4)


def test_ctc_loss_with_too_few_steps():
    logp, targets = mx.array(log_softmax(floats(1, 2, 3))), mx.array([[1, 1, 2]])
    args = logp, targets, mx.array([2]), mx.array([3])
    assert nn.losses.ctc_loss(*args, reduction="none").item() == math.inf
    assert nn.losses.ctc_loss(*args, zero_infinity=True, reduction="sum").item() == 0
    grad = mx.grad(lambda p: nn.losses.ctc_loss(p, *args[1:], zero_infinity=True))(logp)
    check(grad, np.zeros((1, 2, 3)), 0)


def test_ctc_loss_gradient_and_long_inputs():
    targets, lengths = mx.array([[1, 2, 2], [3, 1, 0]]), mx.array([3, 2])

    def loss(x):
        return nn.losses.ctc_loss(nn.log_softmax(x), targets, mx.array([7, 6]), lengths, reduction="none")

    x = floats(2, 7, 4)
    check_gradient(loss, x)
    check(mx.compile(loss)(mx.array(x)), loss(mx.array(x)))
    g = mx.grad(lambda x: mx.sum(loss(x)))(mx.array(x))
    assert mx.all(g[1, 6] == 0).item()  # a step that does not count
    long = nn.log_softmax(mx.array(floats(1, 1500, 4)) * 20)
    value, g = mx.value_and_grad(lambda p: nn.losses.ctc_loss(p, mx.array([[1, 2]]), mx.array([1500]), mx.array([2])))(long)
    assert mx.isfinite(value).item() and mx.all(mx.isfinite(g)).item()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"log_probs": mx.ones((2, 3))}, "expected"),
        ({"targets": mx.ones((2, 2))}, "whole numbers"),
        ({"targets": mx.ones((3, 2), mx.int32)}, "expected"),
        ({"input_lengths": mx.ones((2, 1), mx.int32)}, "expected"),
        ({"blank": 5}, "blank"),
        ({"reduction": "some"}, "Invalid reduction"),
    ],
)
def test_ctc_loss_refuses(change, message):
    good = dict(log_probs=mx.zeros((2, 3, 5)), targets=mx.ones((2, 2), mx.int32), input_lengths=mx.array([3, 3]), target_lengths=mx.array([2, 2]))
    nn.losses.ctc_loss(**good)
    with pytest.raises(ValueError, match=message):
        nn.losses.ctc_loss(**{**good, **change})


# ---- helpers of training ----


def test_exponential_moving_average():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3))
    ema = nn.ExponentialMovingAverage(net, 0.9)
    first = np.array(net.layers[0].weight)
    net.apply(lambda p: p + 1)
    ema.update(net)
    check(ema.average["layers"][0]["weight"], first + 0.1)
    with ema.applied(net):
        check(net.layers[0].weight, first + 0.1)
    check(net.layers[0].weight, first + 1)
    ema.apply_to(net)
    check(net.layers[0].weight, first + 0.1)
    with pytest.raises(ValueError, match="decay"):
        nn.ExponentialMovingAverage(net, 1.5)


def test_gradients_of_several_batches_are_those_of_one():
    mx.random.seed(0)
    net = nn.Linear(3, 2)
    x = mx.array(floats(6, 3))
    step = nn.value_and_grad(net, lambda x: mx.mean(mx.square(net(x))))
    accumulator = nn.GradientAccumulator(3)
    parts = [accumulator.add(step(x[i : i + 2])[1]) for i in (0, 2, 4)]
    assert parts[:2] == [None, None]
    whole = step(x)[1]
    for k in whole:
        check(parts[2][k], whole[k])
    assert accumulator.total is None
    half = nn.GradientAccumulator(2)
    big = {"w": mx.full((1,), 40000, mx.float16)}
    half.add(big)
    mean = half.add(big)["w"]
    assert mean.dtype == mx.float16 and mean.item() == 40000  # summed in float32
    with pytest.raises(ValueError, match="at least 1"):
        nn.GradientAccumulator(0)


def test_summary_counts_parameters_and_memory():
    net = nn.Sequential(nn.Linear(1000, 200), nn.ReLU(), nn.BatchNorm(200))
    net.layers[0].freeze(keys="bias")
    text = net.summary()
    assert "layers.0" in text and "weight (200, 1000), bias (200,)" in text and "200,200" in text
    assert text.endswith("Sequential: 201,000 numbers, 200,400 trainable, 600 frozen, 785.2 KB")
    assert nn.ReLU().summary().endswith("ReLU: 0 numbers, 0 trainable, 0 frozen, 0 B")


# ---- under the transforms ----

TARGETS = mx.array([[1, 2]])
BATCHED = {  # name: a function and the shape of one of its inputs
    "adaptive_avg_pool": (nn.AdaptiveAvgPool2d((3, 2)), (1, 7, 5, 2)),
    "adaptive_max_pool": (nn.AdaptiveMaxPool2d((3, 2)), (1, 7, 5, 2)),
    "pixel_shuffle": (nn.PixelShuffle(2), (1, 2, 2, 8)),
    "grid_sample of x": (lambda x: nn.grid_sample(x, mx.full((1, 3, 3, 2), 0.3)), (1, 4, 4, 2)),
    "grid_sample of a grid": (lambda g: nn.grid_sample(mx.arange(16.0).reshape(1, 4, 4, 1), g), (1, 3, 3, 2)),
    "embedding_bag": (lambda w: nn_bag(w, [0, 1, 3, 3, 2], [0, 2], "max"), (5, 4)),
    "weight_norm": (lambda v: mx.square(nn_weight(v)), (3, 4)),
    "ctc_loss": (lambda p: nn.losses.ctc_loss(p, TARGETS, mx.array([5]), mx.array([2])), (1, 5, 4)),
}


def nn_weight(v):
    layer = nn.weight_norm(nn.Linear(4, 3, bias=False))
    return by_parts(layer, mx.ones((3, 1)), v, mx.eye(4))


@pytest.mark.parametrize("name", BATCHED)
def test_batched_and_compiled_they_give_the_same(name):
    f, shape = BATCHED[name]
    x = mx.array(floats(3, *shape)) * 0.7
    check(mx.vmap(f)(x), mx.stack([f(one) for one in x]), 1e-4)
    check(mx.compile(f)(x[0]), f(x[0]))
