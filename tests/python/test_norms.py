"""Gradients of rms_norm and layer_norm, which are ops, against the same written out; in float64: test_structured.py."""

import mlx.core as mx
import pytest

EPS = 1e-5


def plain_rms(x, w):
    return x * mx.rsqrt(x.square().mean(axis=-1, keepdims=True) + EPS) * w


def plain_layer(x, w, b):
    return plain_rms(x - x.mean(axis=-1, keepdims=True), w) + b


def own_rms(x, w):
    return mx.fast.rms_norm(x, w, EPS)


def own_layer(x, w, b):
    return mx.fast.layer_norm(x, w, b, EPS)


NORMS = {"rms": (own_rms, plain_rms), "layer": (own_layer, plain_layer)}
# rows of less than a vector, of several; in one part, in parts of many rows, in more parts than there may be; no rows, no columns
SHAPES = [(3,), (5, 1), (4, 31), (3, 2, 70), (700, 33), (40, 5, 256), (9, 5000), (70000, 17), (0, 4), (4, 0)]


def given(name, shape, seed=0):
    mx.random.seed(seed)
    args = [mx.random.normal(shape) * 2 + 3] + [mx.random.normal(shape[-1:]) for _ in range(2 if name == "layer" else 1)]
    return args, mx.random.normal(shape)


def gradients(f, args, w):
    return mx.vjp(f, args, [w])[1]


def close(got, want, tolerance=1e-4):
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        scale = max(1.0, mx.abs(b).max().item()) if b.size else 1.0
        assert mx.allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_gradients(name, shape):
    args, w = given(name, shape)
    own, plain = NORMS[name]
    got = gradients(own, args, w)
    close(got, gradients(plain, args, w) if shape[-1] else [mx.zeros_like(a) for a in args])
    for a, b in zip(got, mx.compile(lambda *a: gradients(own, a[:-1], a[-1]))(*args, w), strict=True):
        assert mx.array_equal(a, b)


def test_without_weights():
    (x, *_), w = given("layer", (6, 40))
    one, none = mx.ones((40,)), mx.zeros((40,))
    for f, plain in [(lambda x: mx.fast.layer_norm(x, None, None, EPS), lambda x: plain_layer(x, one, none)),
                     (lambda x: mx.fast.layer_norm(x, None, one, EPS), lambda x: plain_layer(x, one, one)),
                     (lambda x: mx.fast.layer_norm(x, one, None, EPS), lambda x: plain_layer(x, one, none)),
                     (lambda x: mx.fast.rms_norm(x, None, EPS), lambda x: plain_rms(x, one))]:
        close(gradients(f, [x], w), gradients(plain, [x], w))
    got = gradients(lambda x, b: mx.fast.layer_norm(x, None, b, EPS), [x, none], w)
    close(got, gradients(lambda x, b: plain_layer(x, one, b), [x, none], w))


def test_the_gradient_of_some_arguments():
    args, w = given("layer", (6, 40))
    every = gradients(own_layer, args, w)
    for i, g in enumerate(every):
        def f(a, i=i):
            return own_layer(*args[:i], a, *args[i + 1:])
        close(gradients(f, [args[i]], w), [g], 1e-5)


@pytest.mark.parametrize("layout", [lambda x: mx.contiguous(x.swapaxes(0, 1)).swapaxes(0, 1), lambda x: mx.contiguous(x[::-1])[::-1],
                                    lambda x: mx.repeat(x, 2, axis=-1)[..., ::2]], ids=["transposed", "reversed", "gaps"])
def test_layouts(layout):
    args, w = given("layer", (6, 5, 24))
    want = gradients(own_layer, args, w)
    got = gradients(own_layer, [layout(args[0]), *args[1:]], layout(w))
    for a, b in zip(got, want, strict=True):
        assert mx.array_equal(a, b)
    close(gradients(own_layer, args, mx.broadcast_to(w[0], w.shape)), gradients(plain_layer, args, mx.broadcast_to(w[0], w.shape)))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("name", NORMS)
def test_halves(name, dtype):
    args, w = given(name, (40, 70))
    half = [a.astype(dtype) for a in args]
    got = gradients(NORMS[name][0], half, w.astype(dtype))
    want = gradients(NORMS[name][0], [a.astype(mx.float32) for a in half], w.astype(dtype).astype(mx.float32))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == dtype and mx.array_equal(a, b.astype(dtype))


@pytest.mark.parametrize("name", NORMS)
def test_gradient_of_the_gradient(name):
    args, w = given(name, (6, 9))

    def norm(f):
        def g(*a):
            return sum((i + 1) * h.square().sum() for i, h in enumerate(gradients(f, a[:-1], a[-1])))
        return mx.grad(g, argnums=list(range(len(args) + 1)))
    own, plain = NORMS[name]
    close(norm(own)(*args, w), norm(plain)(*args, w), 1e-3)


@pytest.mark.parametrize("axes", [(0, None, None, 0), (1, None, None, 1), (None, 0, None, None), (2, 1, 0, 0), (None, None, None, 1)], ids=str)
def test_batches(axes):
    """Each of a batch has gradients of its own for the weights."""
    args, w = given("layer", (6, 9))
    many = [a if ax is None else mx.stack([a * k for k in (1.0, -2.0, 0.5)], axis=ax) for a, ax in zip([*args, w], axes, strict=True)]

    def f(*a):
        return gradients(own_layer, a[:-1], a[-1])
    got = mx.vmap(f, in_axes=axes)(*many)
    each = [f(*(a if ax is None else mx.take(a, k, axis=ax) for a, ax in zip(many, axes, strict=True))) for k in range(3)]
    close(got, [mx.stack(g) for g in zip(*each, strict=True)])


def test_the_cotangent_is_overwritten_only_when_nobody_needs_it():
    args, w = given("layer", (64, 256))
    want = gradients(own_layer, args, w * 2)
    cot = w * 2
    held = gradients(own_layer, args, cot)
    mx.eval(held)
    assert mx.array_equal(cot, w * 2)
    for a, b in zip(held, want, strict=True):
        assert mx.array_equal(a, b)


def test_other_cotangents_are_refused():
    x = mx.ones((3, 4))
    with pytest.raises(ValueError, match="vjp"):
        mx.vjp(lambda x: mx.fast.rms_norm(x, None, EPS), [x], [mx.ones((4, 3))])
