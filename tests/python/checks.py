"""What holds for every op, whatever it computes. Functions take arrays and give one array or a list of them."""

import itertools

import mlx.core as mx
import numpy as np

import table


def listed(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]


def numbers(a):
    return table.wide(table.to_np(a))


def gradient(f, arrays, eps=1e-6, rtol=2e-5):
    """vjp and jvp of f at float64 arrays against differences along random directions."""
    rng = np.random.default_rng(7)
    points = [numbers(a) for a in arrays]
    steps = [rng.uniform(-1, 1, p.shape) for p in points]

    def at(distance):
        moved = [table.to_mx(p + distance * s, "float64") for p, s in zip(points, steps)]
        return [numbers(out) for out in listed(f(*moved))]

    change = [(b - a) / (2 * eps) for a, b in zip(at(-eps), at(eps))]
    outs, tangents = mx.jvp(lambda *xs: listed(f(*xs)), arrays, [table.to_mx(s, "float64") for s in steps])
    for tangent, want in zip(tangents, change):
        np.testing.assert_allclose(numbers(tangent), want, rtol=rtol, atol=rtol, err_msg="jvp")

    weights = [rng.uniform(-1, 1, out.shape) for out in outs]
    _, cotangents = mx.vjp(lambda *xs: listed(f(*xs)), arrays, [table.to_mx(w, "float64") for w in weights])
    assert [c.shape for c in cotangents] == [a.shape for a in arrays]
    got = sum((numbers(c) * s).sum() for c, s in zip(cotangents, steps))
    want = sum((w * c).sum() for w, c in zip(weights, change))
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol, err_msg="vjp")


def vmap(f, arrays, size=3, rtol=1e-5):
    """vmap over each choice of mapped inputs, and of their axes, against a loop."""
    rng = np.random.default_rng(3)
    choices = [c for c in itertools.product((None, 0, -1), repeat=len(arrays)) if any(a is not None for a in c)]
    if len(choices) > 8:
        choices = [choices[i] for i in rng.choice(len(choices), 8, replace=False)]
    for axes in choices:
        batched, singles = [], []
        for a, axis in zip(arrays, axes):
            variants = [a[shuffled(rng, a)] if a.ndim else a for _ in range(size)]
            singles.append(variants if axis is not None else [a] * size)
            batched.append(a if axis is None else mx.stack(variants, axis=axis))
        # -1 as NumPy means it: the last axis of the batched array
        in_axes = tuple(b.ndim - 1 if axis == -1 else axis for b, axis in zip(batched, axes))
        got = listed(mx.vmap(lambda *xs: listed(f(*xs)), in_axes=in_axes)(*batched))
        for i in range(size):
            for g, want in zip(got, listed(f(*(s[i] for s in singles)))):
                assert g.dtype == want.dtype
                np.testing.assert_allclose(numbers(g[i]), numbers(want), rtol=rtol, atol=rtol, err_msg=f"in_axes {axes}")


def shuffled(rng, a):
    return mx.array(rng.permutation(a.shape[0]).astype(np.int32))


def compiled(f, *calls, may_refuse=False):
    """A compiled function gives the same bits, also for shapes it has not seen, also with one trace for all shapes
    (which a function that names shapes in its code may refuse)."""
    for shapeless in (False, True):
        g = mx.compile(lambda *xs: listed(f(*xs)), shapeless=shapeless)
        for arrays in calls:
            try:
                results = g(*arrays)
            except ValueError:
                assert shapeless and may_refuse
                continue
            for got, want in zip(results, listed(f(*arrays))):
                assert got.dtype == want.dtype and got.shape == want.shape
                np.testing.assert_array_equal(numbers(got), numbers(want), err_msg=f"shapeless={shapeless}")
