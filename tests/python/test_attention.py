"""fast.scaled_dot_product_attention, one op in f32 and halves, against the same written out in f64."""

import itertools
import os
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest

LOW = -3.4028234e38


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [mx.array(rng.standard_normal(s).astype("float32")) for s in shapes]


def written_out(q, k, v, scale, mask=None, sinks=None):
    given = q.dtype
    q, k, v = (x.astype(mx.float64) for x in (q, k, v))
    (batch, heads, rows, _), keys = q.shape, k.shape[2]
    k, v = (mx.repeat(x, heads // x.shape[1], axis=1) for x in (k, v))
    scores = (q * scale) @ k.swapaxes(-1, -2)
    if isinstance(mask, str):
        mask = mx.tri(rows, keys, keys - rows, dtype=mx.bool_)
    if mask is not None:
        scores = mx.where(mask, scores, LOW) if mask.dtype == mx.bool_ else scores + mask.astype(mx.float64)
    if sinks is None:
        return (mx.softmax(scores, axis=-1) @ v).astype(given)
    sinks = mx.broadcast_to(sinks.astype(mx.float64).reshape(1, heads, 1, 1), (batch, heads, rows, 1))
    return (mx.softmax(mx.concatenate([sinks, scores], axis=-1), axis=-1)[..., 1:] @ v).astype(given)


def masks(heads, rows, keys, seed=1):
    rng = np.random.default_rng(seed)
    yield "none", None
    if rows <= keys:
        yield "causal", "causal"
    yield "bool", mx.array(rng.random((rows, keys)) < 0.7)
    yield "bool a batch", mx.array(rng.random((1, heads, rows, keys)) < 0.7)
    yield "a number a head and key", mx.array(rng.standard_normal((1, heads, 1, keys)).astype("float32"))


# B, N, M, T, S, D, E: few rows and many, several blocks of keys, odd sizes, heads that share keys, more rows than keys
SHAPES = [(2, 4, 2, 5, 7, 8, 8), (1, 9, 3, 1, 300, 64, 64), (1, 4, 4, 130, 130, 16, 24), (2, 2, 1, 150, 600, 32, 32), (1, 6, 3, 1, 2500, 16, 16),
          (1, 8, 2, 17, 1030, 16, 8), (3, 2, 1, 1, 1, 5, 7), (1, 4, 1, 12, 2100, 8, 8), (1, 2, 2, 9, 4, 3, 3), (1, 2, 2, 0, 3, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape):
    b, n, m, t, s, d, e = shape
    q, k, v, g, sinks = arrays((b, n, t, d), (b, m, s, d), (b, m, s, e), (b, n, t, e), (n,))
    for (name, mask), sink in itertools.product(masks(n, t, s), (None, sinks)):
        def ours(*x):
            return mx.fast.scaled_dot_product_attention(*x, scale=0.3, mask=mask, sinks=sink)

        def theirs(*x):
            return written_out(*x, 0.3, mask, sink)
        (got,), grads = mx.vjp(ours, [q, k, v], [g])
        (want,), wanted = mx.vjp(theirs, [q, k, v], [g])
        for which, x, y in zip(("result", "dq", "dk", "dv"), (got, *grads), (want, *wanted)):
            np.testing.assert_allclose(np.array(x), np.array(y), rtol=2e-5, atol=1e-5, err_msg=f"{which}, {name} mask, sinks {sink is not None}")


def one(mask, sinks):
    def f(q, k, v):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.7, mask=mask, sinks=sinks)

    def g(q, k, v):
        return written_out(q, k, v, 0.7, mask, sinks)
    return f, g


SMALL = arrays((2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3), seed=3)
FORMS = {"plain": (None, None), "causal": ("causal", None), "added": (arrays((3, 5))[0], None), "added, sinks": arrays((3, 5), (4,)),
         "bool": (mx.array([[True, False, True, True, False], [True] * 5, [False, False, False, True, True]]), None)}


def close(x, y, tolerance=2e-5):
    np.testing.assert_allclose(np.array(x), np.array(y), rtol=tolerance, atol=tolerance)


def total(f):
    return lambda *x: (f(*x) ** 2).sum()


@pytest.mark.parametrize("form", FORMS)
def test_transforms(form):
    f, g = one(*FORMS[form])
    w = arrays(*(x.shape for x in SMALL), seed=4)

    def second(h):
        def along(*x):
            return sum((a * b).sum() for a, b in zip(mx.grad(total(h), argnums=(0, 1, 2))(*x), w))
        return mx.grad(along, argnums=(0, 1, 2))(*SMALL)
    for x, y in zip(second(f), second(g)):
        close(x, y, 1e-4)
    close(mx.jvp(f, SMALL, w)[1][0], mx.jvp(g, SMALL, w)[1][0])
    close(mx.compile(f)(*SMALL), g(*SMALL))
    q, k, v = SMALL
    qs, vs = mx.stack([q, q * 2]), mx.stack([v, v + 1], axis=2)
    close(mx.vmap(f, in_axes=(0, None, 2))(qs, k, vs), mx.stack([g(qs[i], k, vs[:, :, i]) for i in range(2)]))
    batch = mx.vmap(lambda q, v: mx.grad(total(f))(q, k, v), in_axes=(0, 2))(qs, vs)
    close(batch, mx.stack([mx.grad(total(g))(qs[i], k, vs[:, :, i]) for i in range(2)]), 5e-5)


def test_gradients_of_mask_and_sinks():
    q, k, v = SMALL
    mask, sinks = arrays((4, 1, 5), (4,))
    f = mx.grad(lambda m, s: (mx.fast.scaled_dot_product_attention(q, k, v, scale=0.7, mask=m, sinks=s) ** 2).sum(), argnums=(0, 1))
    g = mx.grad(lambda m, s: (written_out(q, k, v, 0.7, m, s) ** 2).sum(), argnums=(0, 1))
    for x, y in zip(f(mask, sinks), g(mask, sinks)):
        close(x, y)


def test_a_row_without_keys_is_the_mean_of_the_values():
    mask = mx.array([[True] * 5, [False] * 5, [True] * 5])
    f, g = one(mask, None)
    close(f(*SMALL)[:, 0, 1], SMALL[2][:, 0].mean(axis=1))
    for x, y in zip(mx.grad(total(f), argnums=(0, 1, 2))(*SMALL), mx.grad(total(g), argnums=(0, 1, 2))(*SMALL)):
        close(x, y)
    assert mx.isnan(mx.fast.scaled_dot_product_attention(*SMALL, scale=1.0, mask=mx.full((3, 5), -mx.inf))).all()
    some = mx.where(mx.arange(5) < 2, mx.array(-mx.inf), mx.array(0.0))      # the first keys alone are masked out
    close(mx.fast.scaled_dot_product_attention(*SMALL, scale=1.0, mask=some), written_out(*SMALL, 1.0, some))


@pytest.mark.parametrize("dtype, tolerance", [(mx.float16, 2e-3), (mx.bfloat16, 2e-2)], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("mask", [None, "causal"])
def test_halves(dtype, tolerance, mask):
    q, k, v, g = (x.astype(dtype) for x in arrays((2, 8, 70, 16), (2, 2, 300, 16), (2, 2, 300, 16), (2, 8, 70, 16)))
    (got,), grads = mx.vjp(lambda *x: mx.fast.scaled_dot_product_attention(*x, scale=0.25, mask=mask), [q, k, v], [g])
    (want,), wanted = mx.vjp(lambda *x: written_out(*x, 0.25, mask), [q, k, v], [g])
    for x, y in zip((got, *grads), (want, *wanted)):
        assert x.dtype == dtype
        np.testing.assert_allclose(np.array(x.astype(mx.float32)), np.array(y.astype(mx.float32)), rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(mx.float32, 2e-6), (mx.float16, 2e-3), (mx.bfloat16, 2e-2)], ids=["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("rows, heads", [(1, 6), (1, 2), (3, 4), (4, 4), (5, 4)])
def test_few_rows_of_a_cache(dtype, tolerance, rows, heads):
    q, k, v = (x.astype(dtype) for x in arrays((1, heads, rows, 20), (1, 2, 1600, 20), (1, 2, 1600, 12)))
    turned = mx.swapaxes(mx.contiguous(mx.swapaxes(k, 2, 3)), 2, 3)
    for keys in (5, 600, 1500):
        want = written_out(*(x.astype(mx.float32) for x in (q, k[..., :keys, :], v[..., :keys, :])), 0.3, "causal" if rows > 1 else None)
        for cache in (k, turned):
            got = mx.fast.scaled_dot_product_attention(q, cache[..., :keys, :], v[..., :keys, :], scale=0.3, mask="causal" if rows > 1 else None)
            np.testing.assert_allclose(np.array(got.astype(mx.float32)), np.array(want), rtol=tolerance, atol=tolerance)


def test_strided_inputs():
    q, k, v = arrays((2, 30, 4, 16), (2, 40, 2, 16), (2, 2, 8, 40))
    f = mx.fast.scaled_dot_product_attention
    q, k, v = q.swapaxes(1, 2)[:, ::-1], k.swapaxes(1, 2)[..., ::2], v.swapaxes(2, 3)
    q = q[..., 1::2]
    close(f(q, k, v, scale=0.5, mask="causal"), written_out(q, k, v, 0.5, "causal"))
    cotangent = mx.broadcast_to(mx.array(1.0), (2, 4, 30, 8))
    for x, y in zip(mx.vjp(lambda *a: f(*a, scale=0.5), [q, k, v], [cotangent])[1],
                    mx.vjp(lambda *a: written_out(*a, 0.5), [q, k, v], [cotangent])[1]):
        close(x, y)


def test_memory_grows_with_the_length_not_its_square():
    q, k, v = arrays((1, 2, 2048, 16), (1, 2, 2048, 16), (1, 2, 2048, 16))
    mx.eval(mx.grad(lambda *x: mx.fast.scaled_dot_product_attention(*x, scale=0.25, mask="causal").sum(), argnums=(0, 1, 2))(q, k, v))
    mx.clear_cache()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    mx.eval(mx.grad(lambda *x: mx.fast.scaled_dot_product_attention(*x, scale=0.25, mask="causal").sum(), argnums=(0, 1, 2))(q, k, v))
    assert mx.get_peak_memory() - before < 2048 * 2048 * 4      # one head's scores


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_every_instruction_set(isa):
    code = """
import mlx.core as mx, test_attention as t
q, k, v, g = t.arrays((1, 4, 37, 24), (1, 2, 531, 24), (1, 2, 531, 20), (1, 4, 37, 20))
f = lambda *x: mx.fast.scaled_dot_product_attention(*x, scale=0.3, mask="causal")
for x, y in zip(mx.vjp(f, [q, k, v], [g])[1], mx.vjp(lambda *x: t.written_out(*x, 0.3, "causal"), [q, k, v], [g])[1]):
    t.close(x, y)
t.close(f(q[:, :, :1], k, v), t.written_out(q[:, :, :1], k, v, 0.3))
"""
    env = {**os.environ, "MLX_CPU_ISA": isa, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
