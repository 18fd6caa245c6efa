"""Convolutions of drawn shapes, strides, paddings, dilations and groups, every dtype, beside plain sums; both gradients beside the adjoints
of these sums."""

import itertools

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def cases(draw, dims):
    each = lambda low, high: [draw(st.integers(low, high)) for _ in range(dims)]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depthwise = draw(st.booleans()) and groups > 1
    per = 1 if depthwise else draw(st.integers(1, 3))
    c = dict(batch=draw(st.integers(1, 3)), channels=groups * per, out=groups * (1 if depthwise else draw(st.integers(1, 3))), groups=groups,
             size=each(1, 7 if dims < 3 else 4), kernel=each(1, 3), stride=each(1, 3), low=each(0, 3), high=each(0, 3),
             kernel_dilation=each(1, 2), input_dilation=each(1, 3), flip=draw(st.booleans()))
    for i in range(dims):         # the kernel must fit
        reach = (c["kernel"][i] - 1) * c["kernel_dilation"][i] + 1
        have = (c["size"][i] - 1) * c["input_dilation"][i] + 1 + c["low"][i] + c["high"][i]
        c["high"][i] += max(0, reach - have)
    return c


def terms(c, x, w):
    """Slices (of padded, dilated x; of w) whose products are summed, one for each tap; and the padded array."""
    dims = len(c["size"])
    spread = [(n - 1) * d + 1 for n, d in zip(c["size"], c["input_dilation"])]
    full = np.zeros((c["batch"], *[s + low + high for s, low, high in zip(spread, c["low"], c["high"])], c["channels"]))
    inside = tuple(slice(low, low + s, d) for low, s, d in zip(c["low"], spread, c["input_dilation"]))
    full[(slice(None), *inside)] = x
    out = [(full.shape[i + 1] - (c["kernel"][i] - 1) * c["kernel_dilation"][i] - 1) // c["stride"][i] + 1 for i in range(dims)]
    taps = []
    for k in itertools.product(*map(range, c["kernel"])):
        at = [c["kernel"][i] - 1 - k[i] if c["flip"] else k[i] for i in range(dims)]
        first = [at[i] * c["kernel_dilation"][i] for i in range(dims)]
        taps.append((k, tuple(slice(f, f + (o - 1) * s + 1, s) for f, o, s in zip(first, out, c["stride"]))))
    return full, inside, out, taps


def plain(c, x, w):
    full, _, out, taps = terms(c, x, w)
    y = np.zeros((c["batch"], *out, c["out"]))
    per_in, per_out = c["channels"] // c["groups"], c["out"] // c["groups"]
    for k, where in taps:
        for g in range(c["groups"]):
            part = full[(slice(None), *where, slice(g * per_in, (g + 1) * per_in))]
            y[..., g * per_out:(g + 1) * per_out] += part @ w[(slice(g * per_out, (g + 1) * per_out), *k)].T
    return y


def adjoint(c, x, w, g_y):
    """The cotangents of x and w."""
    full, inside, _, taps = terms(c, x, w)
    g_full, g_w = np.zeros_like(full), np.zeros_like(w)
    per_in, per_out = c["channels"] // c["groups"], c["out"] // c["groups"]
    for k, where in taps:
        for g in range(c["groups"]):
            here = (slice(None), *where, slice(g * per_in, (g + 1) * per_in))
            rows = (slice(g * per_out, (g + 1) * per_out), *k)
            cot = g_y[..., g * per_out:(g + 1) * per_out]
            g_full[here] += cot @ w[rows]
            g_w[rows] += cot.reshape(-1, per_out).T @ full[here].reshape(-1, per_in)
    return g_full[(slice(None), *inside)], g_w


def general(c, x, w):
    return mx.conv_general(x, w, stride=c["stride"], padding=(c["low"], c["high"]), kernel_dilation=c["kernel_dilation"],
                           input_dilation=c["input_dilation"], groups=c["groups"], flip=c["flip"])


def check(c, dtype, tol):
    rng = np.random.default_rng(0)
    t = getattr(mx, dtype)
    x = mx.array(rng.standard_normal((c["batch"], *c["size"], c["channels"]))).astype(t)
    w = mx.array(rng.standard_normal((c["out"], *c["kernel"], c["channels"] // c["groups"]))).astype(t)
    wide = [np.array(a.astype(mx.float64)) for a in (x, w)]
    y = general(c, x, w)
    want = plain(c, *wide)
    assert y.dtype == t and y.shape == want.shape
    np.testing.assert_allclose(np.array(y.astype(mx.float64)), want, rtol=tol, atol=tol * 8)
    g_y = mx.array(rng.standard_normal(want.shape)).astype(t)
    grads = mx.vjp(lambda x, w: general(c, x, w), [x, w], [g_y])[1]
    for got, ref in zip(grads, adjoint(c, *wide, np.array(g_y.astype(mx.float64)))):
        np.testing.assert_allclose(np.array(got.astype(mx.float64)), ref, rtol=tol, atol=tol * 24)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("dtype,tol", [("float32", 2e-5), ("float64", 1e-12), ("float16", 4e-3), ("bfloat16", 3e-2)])
def test_convolutions_and_gradients_match_plain_sums(dims, dtype, tol):
    @settings(max_examples=25 if dims < 3 else 10, deadline=None, derandomize=True)
    @given(cases(dims))
    def run(c):
        check(c, dtype, tol)
    run()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cases(2))
def test_transposed_convolution_is_the_adjoint_in_x(c):
    c = {**c, "input_dilation": [1, 1], "groups": 1, "flip": False, "high": list(c["low"])}
    sizes = [(n - 1) * s + (k - 1) * d + 1 - 2 * p for n, s, k, d, p in zip(c["size"], c["stride"], c["kernel"], c["kernel_dilation"], c["low"])]
    if min(sizes) < 1:
        return
    rng = np.random.default_rng(0)
    y = rng.standard_normal((c["batch"], *c["size"], c["out"]))
    w = rng.standard_normal((c["channels"], *c["kernel"], c["out"]))
    got = mx.conv_transpose2d(mx.array(y, mx.float64), mx.array(w, mx.float64), stride=c["stride"], padding=c["low"], dilation=c["kernel_dilation"])
    forward = {**c, "size": sizes}
    x = np.zeros((c["batch"], *sizes, c["channels"]))
    want, _ = adjoint(forward, x, np.swapaxes(w, 0, -1).copy(), y)
    assert got.shape == want.shape
    np.testing.assert_allclose(np.array(got), want, atol=1e-11)


def test_depthwise_with_many_channels_strides_and_flips():
    for channels, stride, flip, dilation in [(70, 1, False, 1), (128, 2, False, 1), (33, 1, True, 2), (64, 3, False, 2)]:
        c = dict(batch=3, channels=channels, out=channels, groups=channels, size=[11, 9], kernel=[3, 2], stride=[stride, 1], low=[1, 0],
                 high=[2, 1], kernel_dilation=[1, dilation], input_dilation=[1, 1], flip=flip)
        for dtype, tol in [("float32", 2e-5), ("bfloat16", 3e-2), ("float64", 1e-12)]:
            check(c, dtype, tol)


@pytest.mark.parametrize("channels,out", [(32, 1), (17, 3), (3, 40), (1, 32), (64, 4), (130, 2), (1, 1)])
def test_to_few_channels_and_from_few(channels, out):
    shape = dict(batch=3, size=[11, 13], groups=1)
    ways = [dict(kernel=[3, 3], stride=[1, 1], low=[1, 1], high=[1, 1], kernel_dilation=[1, 1], input_dilation=[1, 1], flip=False),
            dict(kernel=[2, 5], stride=[2, 3], low=[0, 2], high=[1, 3], kernel_dilation=[2, 1], input_dilation=[1, 1], flip=True),
            dict(kernel=[3, 1], stride=[1, 1], low=[5, 0], high=[4, 2], kernel_dilation=[1, 1], input_dilation=[3, 2], flip=False)]
    for way in ways:
        for dtype, tol in [("float32", 2e-5), ("float16", 4e-3), ("float64", 1e-12)]:
            check({**shape, **way, "channels": channels, "out": out}, dtype, tol)
            check({**shape, **way, "channels": 2 * channels, "out": 2 * out, "groups": 2}, dtype, tol)


def test_a_huge_dilation_of_one_place_takes_no_time():
    y = mx.conv_general(mx.array([[[2.0]]]), mx.array([[[1.0], [3.0], [5.0]]]), padding=2, input_dilation=2**31 - 1)
    assert y.tolist() == [[[10.0], [6.0], [2.0]]]


@pytest.mark.parametrize("dtype", ["int32", "complex64", "bool"])
def test_whole_and_complex_numbers_are_refused_as_in_mlx(dtype):
    t = getattr(mx, dtype.replace("bool", "bool_"))
    with pytest.raises(ValueError, match=r"\[conv\].*" + dtype):
        mx.conv1d(mx.zeros((1, 4, 2), t), mx.zeros((1, 2, 2), t))


# Weighted sums of the result and of both gradients of its squares, from the real MLX (None: it raises for them).
@pytest.mark.parametrize("low,high,stride,dilation,flip,shape,sums", [
    ([-1, 0], [0, 0], 1, 1, False, (2, 3, 4, 3), (165, -11590, 21152)),
    ([0, 0], [-2, -1], 2, 1, False, (2, 1, 2, 3), (-79, 100, 5188)),
    ([-2, 0], [0, 0], 1, 2, False, (2, 4, 9, 3), (35, -4864, 26210)),
    ([-1, 3], [-2, -1], 2, 3, True, (2, 2, 7, 3), (247, None, None)),
    ([3, 3], [-4, -2], 1, 2, False, (2, 3, 8, 3), (-144, None, None)),
])
def test_negative_padding_crops_before_the_input_is_dilated(low, high, stride, dilation, flip, shape, sums):
    x = mx.array((np.arange(120) * 7 % 11 - 5.0).reshape(2, 5, 6, 2), mx.float32)
    w = mx.array((np.arange(36) * 5 % 7 - 3.0).reshape(3, 2, 3, 2), mx.float32)
    f = lambda x, w: mx.conv_general(x, w, stride=stride, padding=(low, high), input_dilation=dilation, flip=flip)
    y = f(x, w)
    assert y.shape == shape
    total = lambda a: int((np.array(a).ravel() * (np.arange(a.size) % 13 - 6)).sum())
    grads = mx.grad(lambda x, w: (f(x, w) ** 2).sum(), argnums=(0, 1))(x, w)
    for got, want in zip((y, *grads), sums):
        assert want is None or total(got) == want
    cut = x[:, max(-low[0], 0):5 + min(high[0], 0), max(-low[1], 0):6 + min(high[1], 0)]
    rest = ([max(p, 0) for p in low], [max(p, 0) for p in high])
    assert mx.array_equal(y, mx.conv_general(cut, w, stride=stride, padding=rest, input_dilation=dilation, flip=flip))


def test_negative_padding_of_every_convolution():
    x, w = mx.random.normal((2, 6, 7, 2)), mx.random.normal((3, 2, 3, 2))
    assert mx.array_equal(mx.conv2d(x, w, padding=-1), mx.conv2d(x[:, 1:-1, 1:-1], w))
    assert mx.array_equal(mx.conv1d(x[0], w[:, 0], padding=-2), mx.conv1d(x[0, :, 2:-2], w[:, 0]))
    assert mx.array_equal(mx.vmap(lambda a: mx.conv2d(a, w, padding=(-2, 1)))(x[:, None]),
                          mx.conv2d(x[:, 2:-2], w, padding=(0, 1))[:, None])
    wider = mx.conv_transpose2d(x, w, stride=2, padding=-1)        # takes nothing off: a border of zeros
    assert mx.array_equal(wider[:, 1:-1, 1:-1], mx.conv_transpose2d(x, w, stride=2)) and wider[0, 0].abs().max() == 0
    with pytest.raises(ValueError, match=r"\[conv\] Spatial dimensions of input after padding"):
        mx.conv2d(x, w, padding=-3)
