"""Transforms: every pair of them, in both orders, over functions as people write them; state, errors, threads."""

import gc
import math
import random
import threading

import mlx.core as mx
import numpy as np
import pytest

# ---- functions of a few arrays to a scalar ----


def cross_entropy(w, x):
    logits = x @ w
    return mx.mean(mx.logsumexp(logits, axis=-1) - logits[..., 0])


def perceptron(w1, w2, x):
    return mx.mean(mx.square(mx.tanh(x @ w1) @ w2))


def layer_norm(x, g, b):
    m, v = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (((x - m) * mx.rsqrt(v + 1e-2)) * g + b).sum()


def attention(q, k, v):
    return (mx.softmax(q @ mx.swapaxes(k, -1, -2) / 2.0, axis=-1) @ v).sum()


def indexing(x):
    return (x[1:] * x[:-1]).sum() + x[mx.array([0, 2, 2])].prod()


def assignment(x, y):
    z = mx.array(x)
    z[1] = y * 2
    z[0] += x[2]
    return (z * z).sum()


def updates(x):
    return mx.square(x.at[mx.array([0, 0, 1])].add(mx.array([1.0, 2.0, 3.0], mx.float64) * x[0])).sum()


def sorting(x):
    return (mx.sort(x) * mx.arange(x.size)).sum()


def scans(x):
    return mx.cumsum(x * x).sum() + mx.cumprod(x).sum() + mx.cummax(x).sum()


def gelu(x):
    return (x * (1 + mx.erf(x / math.sqrt(2))) / 2).sum()


def joining(x, y):
    return mx.sin(mx.concatenate([x, y, x])).sum() + mx.stack([x, x * 2]).prod()


def powers(x, y):
    return mx.power(x, y).sum()


def choices(x):
    return mx.where(x > 0.7, x * x, mx.exp(x)).sum()


def extremes(x):
    return mx.max(x) * mx.min(x) + mx.maximum(x, 0.6).sum()


def norms(x):
    return mx.linalg.norm(x) + mx.std(x) + mx.var(x, ddof=1)


def along_axis(x):
    return mx.take_along_axis(x, mx.argsort(mx.stop_gradient(x)), axis=-1)[0] * 3 + x[-1]


def einsum(x, y):
    return mx.einsum("i,j->ij", x, y).sum() * mx.outer(x, y)[0, 1]


def convolution(x, w):
    return mx.square(mx.conv2d(x, w, padding=1)).sum()


def recurrence(x):
    h = mx.zeros_like(x)
    for i in range(5):
        h = mx.tanh(h * 0.9 + x * float(i))
    return h.sum()


def padding(x):
    return mx.square(mx.pad(x, (1, 2)) * mx.arange(x.size + 3)).sum()


def splitting(x):
    a, b = mx.split(x, 2)
    return (a * mx.flip(b)).sum() + mx.repeat(x, 3).sum() * mx.tile(x, 2).prod()


FUNCTIONS = [
    (cross_entropy, (4, 3), (5, 4)), (perceptron, (3, 4), (4, 2), (5, 3)), (layer_norm, (2, 4), (4,), (4,)),
    (attention, (3, 4), (5, 4), (5, 4)), (indexing, (4,)), (assignment, (4,), ()), (updates, (4,)), (sorting, (5,)),
    (scans, (4,)), (gelu, (4,)), (joining, (2,), (3,)), (powers, (3,), (3,)), (choices, (4,)), (extremes, (4,)),
    (norms, (5,)), (along_axis, (4,)), (einsum, (3,), (4,)), (convolution, (1, 4, 4, 2), (3, 3, 3, 2)),
    (recurrence, (3,)), (padding, (3,)), (splitting, (4,)),
]

# ---- transforms to functions of the same kind, each beside the plain way to compute the same ----

STEP = 1e-4


def along(f, direction):
    """The derivative of f along a direction, by a difference."""
    def g(*xs):
        vs = [direction(i, x) for i, x in enumerate(xs)]
        return (f(*(x + STEP * v for x, v in zip(xs, vs))) - f(*(x - STEP * v for x, v in zip(xs, vs)))) / (2 * STEP)
    return g


def by_grad(f):
    def g(*xs):
        ds = mx.grad(f, argnums=tuple(range(len(xs))))(*xs)
        return sum(((i + 1) * d).sum() for i, d in enumerate(ds if isinstance(ds, tuple) else [ds]))
    return g, along(f, lambda i, x: (i + 1) * mx.ones_like(x))


def by_jvp(f):
    def g(*xs):
        return mx.jvp(f, list(xs), [mx.full(x.shape, 0.5, x.dtype) for x in xs])[1][0]
    return g, along(f, lambda i, x: mx.full(x.shape, 0.5, x.dtype))


FACTORS = (1.0, 0.9, 1.1)


def by_vmap(f):
    """Over the last axis of all arguments."""
    def g(*xs):
        batched = [mx.stack([x * c for c in FACTORS], axis=-1) for x in xs]
        ys = mx.vmap(f, in_axes=tuple(b.ndim - 1 for b in batched))(*batched)
        return (ys * mx.array([1.0, 2.0, 3.0], mx.float64)).sum()
    return g, lambda *xs: sum((i + 1) * f(*(x * c for x in xs)) for i, c in enumerate(FACTORS))


def by_vmap_of_one(f):
    """Over the first axis of the first argument."""
    def g(x, *others):
        ys = mx.vmap(f, in_axes=(0,) + (None,) * len(others))(mx.stack([x, x * 0.9]), *others)
        return (ys * mx.array([1.0, 2.0], mx.float64)).sum()
    return g, lambda x, *others: f(x, *others) + 2 * f(x * 0.9, *others)


TRANSFORMS = {"grad": by_grad, "jvp": by_jvp, "vmap": by_vmap, "vmap of one": by_vmap_of_one, "compile": lambda f: (mx.compile(f), f),
              "compile shapeless": lambda f: (mx.compile(f, shapeless=True), f), "checkpoint": lambda f: (mx.checkpoint(f), f)}


@pytest.mark.parametrize("f,shapes", [(f, shapes) for f, *shapes in FUNCTIONS], ids=lambda p: getattr(p, "__name__", ""))
def test_every_pair_of_transforms(f, shapes):
    rng = random.Random(7)
    xs = [mx.array(np.array([rng.uniform(0.2, 1.5) for _ in range(math.prod(s))]).reshape(s), mx.float64) for s in shapes]
    for outer in TRANSFORMS.values():
        for inner in TRANSFORMS.values():
            got = outer(inner(f)[0])[0](*xs).item()
            want = outer(inner(f)[1])[1](*xs).item()
            assert got == pytest.approx(want, rel=2e-4, abs=2e-4), (f.__name__, outer, inner)


def test_three_deep():
    def f(x):
        return (mx.sin(x) * mx.exp(x)).sum()
    x = mx.array([0.3, 0.5])
    third = mx.vmap(mx.grad(mx.compile(mx.grad(mx.checkpoint(mx.grad(lambda t: mx.sin(t) * mx.exp(t)))))))(x)
    want = 2 * np.exp(np.array(x)) * (np.cos(np.array(x)) - np.sin(np.array(x)))
    np.testing.assert_allclose(np.array(third), want, rtol=1e-4)
    hessian = mx.vmap(lambda v: mx.jvp(mx.grad(f), [x], [v])[1][0])(mx.eye(2))
    np.testing.assert_allclose(np.array(hessian), np.diag(2 * np.exp(np.array(x)) * np.cos(np.array(x))), rtol=1e-4)


# ---- vjp and jvp ----


def test_zero_for_what_has_no_effect():
    x = mx.array([1.0, 2.0])
    assert mx.vjp(lambda x: mx.zeros(3), [x], [mx.ones(3)])[1][0].tolist() == [0, 0]
    assert mx.jvp(lambda x: mx.zeros(3), [x], [x])[1][0].tolist() == [0, 0, 0]
    assert mx.grad(lambda x: mx.argmax(x))(x).tolist() == [0, 0]


def test_a_value_looked_at_while_tracing_changes_nothing():
    x = mx.array([1.0, 2.0, 3.0])

    def f(x):
        y = x * x
        mx.eval(y)
        return y.sum() * float(y[0].item())
    assert mx.grad(f)(x).tolist() == [2, 4, 6]


def test_indices_have_no_gradient():
    x = mx.array([2.0, 0.0, 1.0])
    for f in (lambda x: x[mx.argmax(x)], lambda x: mx.take(x, x.astype(mx.int32)).sum()):
        with pytest.raises(ValueError, match="stop_gradient"):
            mx.grad(f)(x)
    assert mx.grad(lambda x: x[mx.stop_gradient(mx.argmax(x))])(x).tolist() == [1, 0, 0]


# ---- compile ----


def test_a_compiled_function_is_traced_once_a_signature():
    traces = []

    @mx.compile
    def f(x, scale=1.0):
        traces.append(x.shape)
        return x * scale
    for x in (mx.ones(2), mx.zeros(2), mx.ones(3), mx.ones(2)):
        assert f(x).tolist() == x.tolist()
    assert traces == [(2,), (3,)]
    assert f(mx.ones(2), scale=3.0).tolist() == [3, 3]
    assert f(mx.ones(2).astype(mx.int32)).dtype == mx.float32
    assert len(traces) == 4


def test_compiled_state():
    state = {"n": mx.array(0), "seen": []}

    def step(x):
        state["n"] = state["n"] + 1
        state["seen"] = [x * 2]
        return x + state["n"]
    f = mx.compile(step, inputs=state, outputs=state)
    assert [f(mx.array(10)).item() for _ in range(3)] == [11, 12, 13]
    assert state["n"].item() == 3 and state["seen"][0].item() == 20


def test_random_state_moves_on_inside_compile():
    mx.random.seed(3)
    f = mx.compile(lambda: mx.random.uniform(shape=(4,)), inputs=mx.random.state, outputs=mx.random.state)
    got = [f().tolist() for _ in range(3)]
    mx.random.seed(3)
    assert got == [mx.random.uniform(shape=(4,)).tolist() for _ in range(3)]


def test_recomputing_draws_the_same_numbers():
    """A checkpoint with a dropout inside: the mask of the backward pass is that of the forward pass."""
    x = mx.ones(1000)
    mx.random.seed(1)
    y, g = mx.value_and_grad(lambda x: mx.checkpoint(lambda x: x * x * mx.random.bernoulli(0.5, x.shape))(x).sum())(x)
    assert 2 * y.item() == g.sum().item()


def test_checkpoint_asks_no_gradient_of_frozen_weights_that_are_arguments_of_a_compiled_function():
    w, x = mx.quantize(mx.ones((32, 64)), bits=4), mx.ones((1, 64))

    def step(w, x):
        return mx.grad(lambda x: mx.checkpoint(lambda x: mx.quantized_matmul(x * x, *w))(x).sum())(x)

    assert mx.compile(step)(list(w), x).tolist() == [[64.0] * 64] == step(w, x).tolist()
    mapped = mx.vmap(lambda x: step(w, x))(mx.ones((3, 1, 64)))
    assert mapped.tolist() == [[[64.0] * 64]] * 3
    assert mx.compile(mx.vmap(step, in_axes=([None] * 3, 0)))(list(w), mx.ones((3, 1, 64))).tolist() == mapped.tolist()


def test_checkpoint_keeps_no_more_than_the_inputs_of_its_layers_while_all_gradients_are_computed():
    layers, x = [mx.full((64, 64), 0.01 * i) for i in range(12)], mx.ones((1024, 64))

    def peak(layer):
        def loss(ws):
            y = x
            for w in ws:
                y = layer(y, w)
            return mx.sum(mx.square(y))

        mx.eval(layers, x)
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        mx.eval(mx.value_and_grad(loss)(layers))  # the gradient of the first layer is the first to be asked for
        return (mx.get_peak_memory() - before) / x.nbytes

    def layer(y, w):
        return mx.tanh(mx.sin(mx.tanh(y @ w) @ w) @ w)

    assert peak(mx.checkpoint(layer)) < len(layers) + 8
    assert peak(layer) > 3 * len(layers)


def test_checkpoint_reaches_what_it_captured():
    w = mx.array(3.0)
    assert mx.grad(lambda w: mx.checkpoint(lambda x: mx.sin(x) * w)(mx.array(2.0)))(w).item() == pytest.approx(math.sin(2), rel=1e-6)


def test_captured_arrays():
    c = mx.array([1.0, 2.0]) * 3
    f = mx.compile(lambda x: x + c)
    assert f(mx.ones(2)).tolist() == [4, 7]
    a = mx.ones(2) * 2
    b = a + 1
    with pytest.raises(ValueError, match=r"\[compile\]"):
        mx.compile(lambda x: x + b)(a)
    assert mx.grad(lambda x: (lambda b: mx.compile(lambda y: y * b)(x))(x * 2).sum())(mx.array([1.0, 2.0])).tolist() == [4, 8]
    assert mx.vmap(lambda x: mx.compile(lambda y: y * x)(x))(mx.array([1.0, 2.0])).tolist() == [1, 4]


def test_disabled_compile_calls_the_function():
    calls = []
    f = mx.compile(lambda x: calls.append(1) or x * 2)
    mx.disable_compile()
    try:
        f(mx.ones(2)), f(mx.ones(2))
    finally:
        mx.enable_compile()
    assert len(calls) == 2


def test_many_shapes_leave_memory_flat():
    f = mx.compile(lambda x: mx.sin(x) * 2 + x)
    for n in range(1, 1500):
        mx.eval(f(mx.ones(n)))
    gc.collect()
    before = mx.get_active_memory()
    for n in range(1500, 3000):
        mx.eval(f(mx.ones(n)))
    gc.collect()
    assert mx.get_active_memory() <= before + 100_000


# ---- errors ----


class Boo(Exception):
    pass


def fail(x):
    raise Boo("boo")


@pytest.mark.parametrize("call", [
    lambda x: mx.grad(fail)(x), lambda x: mx.vjp(fail, [x], [x]), lambda x: mx.jvp(fail, [x], [x]), lambda x: mx.vmap(fail)(x),
    lambda x: mx.compile(fail)(x), lambda x: mx.checkpoint(fail)(x), lambda x: mx.grad(mx.checkpoint(fail))(x),
    lambda x: mx.vmap(mx.grad(mx.compile(fail)))(x), lambda x: mx.custom_function(fail)(x),
])
def test_an_exception_comes_out_unchanged_and_leaves_nothing_behind(call):
    x = mx.array([1.0, 2.0])
    with pytest.raises(Boo, match="boo"):
        call(x)
    y = x * 2
    assert y[0].item() == 2  # no trace is open
    assert mx.grad(lambda x: (x * x).sum())(x).tolist() == [2, 4]


@pytest.mark.parametrize("call,phrase", [
    (lambda f: mx.grad(lambda x: x * 2)(f), r"\[vjp\]"),
    (lambda f: mx.grad(lambda x: 2.0)(f), r"\[grad\]"),
    (lambda f: mx.grad(lambda x: x.sum(), argnums=1)(f), r"\[grad\]"),
    (lambda f: mx.grad(lambda x, y: (x * y).sum(), argnums=(0, 0))(f, f), r"\[grad\]"),
    (lambda f: mx.vjp(lambda x: x * 2, [f], [mx.zeros(2)]), r"\[vjp\]"),
    (lambda f: mx.vjp(lambda x: x * 2, [f], []), r"\[vjp\]"),
    (lambda f: mx.jvp(lambda x: x * 2, [f], [mx.zeros(2)]), r"\[jvp\]"),
    (lambda f: mx.vmap(lambda x, y: x + y)(f, mx.zeros(2)), r"\[vmap\]"),
    (lambda f: mx.vmap(lambda x: x.item())(f), r"\[eval\]"),
    (lambda f: mx.compile(lambda x: x if x.sum().item() > 0 else -x)(f), r"\[eval\]"),
])
def test_misuse_is_a_value_error(call, phrase):
    with pytest.raises(ValueError, match=phrase):
        call(mx.array([1.0, 2.0, 3.0]))


def test_an_axis_that_is_not_there():
    for axis in (1, -2):
        with pytest.raises(IndexError, match=r"\[vmap\]"):
            mx.vmap(lambda x: x, in_axes=axis)(mx.ones(3))


# ---- custom functions ----


def test_custom_rules_hold_under_other_transforms():
    @mx.custom_function
    def f(x, y):
        return mx.sin(x) * y

    @f.vjp
    def f_vjp(primals, cotangent, output):
        return primals[0] * cotangent, primals[1] * cotangent
    x = mx.array([1.0, 2.0, 3.0])
    both = mx.grad(f, argnums=(0, 1))(mx.array(2.0), mx.array(5.0))
    assert [g.item() for g in both] == [2, 5]
    assert mx.vmap(mx.grad(f))(x, x).tolist() == [1, 2, 3]
    assert mx.grad(lambda x: mx.vmap(f, in_axes=(0, None))(x, mx.array(2.0)).sum())(x).tolist() == [1, 2, 3]
    assert mx.grad(lambda y: mx.vmap(f, in_axes=(0, None))(x, y).sum())(mx.array(2.0)).item() == 6
    assert mx.grad(mx.compile(f))(mx.array(2.0), mx.array(5.0)).item() == 2


def test_a_custom_function_evaluated_between_two_gradients():
    @mx.custom_function
    def f(x):
        return mx.exp(x)

    @f.vjp
    def f_vjp(primal, cotangent, output):
        return 7 * cotangent
    held = []

    def g(x):
        held.append(f(x))
        return held[0] * x  # the second time held[0] is of the first trace
    assert mx.grad(g)(mx.array(0.0)).item() == 1
    mx.eval(held)
    assert mx.grad(g)(mx.array(0.0)).item() == 1


# ---- threads ----


def test_what_another_thread_evaluates_may_be_captured():
    """Values left over from one gradient, evaluated on a stream while the next one is traced."""
    left = [mx.array(1.0)]

    def f(x):
        y = left[-1]
        for _ in range(50):
            y = y * 0.5 + x
        left.append(y)
        return y * x
    for i in range(200):
        g = mx.grad(f)(mx.array(1.0))
        mx.async_eval(left[-1], g)
    assert math.isfinite(g.item())



def test_threads_trace_at_the_same_time():
    shared = mx.compile(mx.grad(lambda x: (mx.sin(x) * x).sum()))
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            v = rng.random(rng.integers(1, 5)).astype(np.float32)
            x = mx.array(v)
            want = np.cos(v) * v + np.sin(v)
            for g in (shared, mx.grad(lambda x: (mx.sin(x) * x).sum()), mx.vmap(mx.grad(lambda x: mx.sin(x) * x))):
                if not np.allclose(np.array(g(x)), want, rtol=1e-5):
                    wrong.append((v, np.array(g(x))))
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
