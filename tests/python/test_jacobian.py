"""Pullbacks as functions, Jacobians forward and backward, second derivatives."""

import mlx.core as mx
import numpy as np
import pytest

X = mx.array(np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32))
Y = mx.array(np.random.default_rng(1).normal(size=(3,)).astype(np.float32))


def f(x, y):
    return mx.sin(x @ y) * y[:2]


def rows(g, x, *rest):
    """One gradient an element: what any Jacobian must equal."""
    out = g(x, *rest)
    flat = [np.array(mx.grad(lambda x, k=k: g(x, *rest).reshape(-1)[k])(x)) for k in range(out.size)]
    return np.array(flat).reshape(tuple(out.shape) + tuple(x.shape))


def test_vjp_without_cotangents_gives_a_function():
    outputs, pull = mx.vjp(f, [X, Y])
    np.testing.assert_allclose(np.array(outputs[0]), np.array(f(X, Y)), rtol=1e-6)
    for seed in range(3):
        cot = mx.array(np.random.default_rng(seed).normal(size=(2,)).astype(np.float32))
        for got, want in zip(pull([cot]), mx.vjp(f, [X, Y], [cot])[1]):
            np.testing.assert_allclose(np.array(got), np.array(want), rtol=1e-5)
        assert pull(cot)[0].tolist() == pull([cot])[0].tolist()


def test_a_pullback_is_a_function_like_others():
    _, pull = mx.vjp(lambda x: mx.exp(x), [Y])
    eye = mx.eye(3)
    np.testing.assert_allclose(np.array(mx.vmap(lambda c: pull(c)[0])(eye)), np.diag(np.exp(np.array(Y))), rtol=1e-5)
    np.testing.assert_allclose(np.array(mx.grad(lambda c: pull(c)[0].sum())(Y)), np.exp(np.array(Y)), rtol=1e-5)
    np.testing.assert_allclose(np.array(mx.compile(lambda c: pull(c)[0])(Y)), np.array(Y * mx.exp(Y)), rtol=1e-5)


def test_a_pullback_inside_a_gradient():
    def g(x):
        outputs, pull = mx.vjp(lambda v: v ** 3, [x])
        return pull([mx.ones_like(outputs[0])])[0].sum()        # sum 3 x^2
    np.testing.assert_allclose(np.array(mx.grad(g)(Y)), 6 * np.array(Y), rtol=1e-5)
    np.testing.assert_allclose(np.array(mx.compile(mx.grad(g))(Y)), 6 * np.array(Y), rtol=1e-5)


def test_wrong_cotangents():
    _, pull = mx.vjp(lambda x: (x, x.sum()), [Y])
    with pytest.raises(ValueError, match="does not match number of cotangents"):
        pull([Y])
    with pytest.raises(ValueError, match="does not match cotangent shape"):
        pull([Y, Y])
    with pytest.raises(TypeError):
        pull([1, 2])
    with pytest.raises(KeyError):
        mx.vjp(lambda x: {}["x"], [Y])


@pytest.mark.parametrize("jac", [mx.jacfwd, mx.jacrev])
def test_jacobians(jac):
    np.testing.assert_allclose(np.array(jac(f)(X, Y)), rows(f, X, Y), rtol=1e-4, atol=1e-6)
    a, b = jac(f, argnums=(0, 1))(X, Y)
    assert a.shape == (2, 2, 3) and b.shape == (2, 3)
    np.testing.assert_allclose(np.array(b), rows(lambda y: f(X, y), Y), rtol=1e-4, atol=1e-6)
    both = jac(lambda x: [x.sum(), x * 2])(Y)
    assert both[0].tolist() == [1, 1, 1] and both[1].tolist() == (2 * mx.eye(3)).tolist()
    assert jac(lambda x: x * 2)(mx.array(3.0)).item() == 2
    assert jac(lambda x: mx.ones(2))(Y).tolist() == [[0, 0, 0]] * 2
    np.testing.assert_allclose(np.array(mx.vmap(jac(mx.sin))(X)), np.array([np.diag(np.cos(r)) for r in np.array(X)]), rtol=1e-5)
    np.testing.assert_allclose(np.array(mx.compile(jac(f))(X, Y)), rows(f, X, Y), rtol=1e-4, atol=1e-6)


def test_hessian():
    def g(x, y):
        return (mx.sin(x) * y).sum() + (x[0] * x[1] * x[2])
    x = np.array(Y)
    want = np.diag(-np.sin(x) * 2) + np.array([[0, x[2], x[1]], [x[2], 0, x[0]], [x[1], x[0], 0]])
    np.testing.assert_allclose(np.array(mx.hessian(g)(Y, mx.full(3, 2.0))), want, rtol=1e-4, atol=1e-6)
    (xx, xy), (yx, yy) = mx.hessian(g, argnums=(0, 1))(Y, mx.full(3, 2.0))
    np.testing.assert_allclose(np.array(xy), np.diag(np.cos(x)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.array(yx), np.array(xy).T, rtol=1e-5)
    assert yy.tolist() == np.zeros((3, 3)).tolist()


def test_containers_and_names():
    def g(p, k, *, w):
        return {"a": p["x"] * w.sum(), "b": (k * p["y"][0], [p["x"].sum()])}
    p, k, w = {"x": X[0], "y": [X[1]]}, mx.array(2.0), mx.ones(2)
    for jac in (mx.jacfwd, mx.jacrev):
        (at_p, at_k), named = jac(g, argnums=(0, 1), argnames="w")(p, k, w=w)["a"]
        np.testing.assert_allclose(np.array(at_p["x"]), 2 * np.eye(3))
        np.testing.assert_allclose(np.array(at_p["y"][0]), np.zeros((3, 3)))
        assert at_k.tolist() == [0, 0, 0]
        np.testing.assert_allclose(np.array(named["w"]), np.repeat(np.array(X[0])[:, None], 2, 1), rtol=1e-6)
        second = jac(g)(p, k, w=w)["b"]
        assert isinstance(second, tuple) and second[0]["y"][0].tolist() == (2 * mx.eye(3)).tolist()
        assert second[1][0]["x"].tolist() == [1, 1, 1]
        assert p["x"].tolist() == X[0].tolist()
    h = mx.hessian(lambda p: (p["x"] * p["y"][0]).sum())(p)
    assert h["x"]["y"][0].tolist() == np.eye(3).tolist() == h["y"][0]["x"].tolist() and not np.array(h["x"]["x"]).any()


FUNCTIONS = {
    "matmul": lambda x: mx.tanh(x @ x.T),
    "softmax": lambda x: mx.softmax(x, axis=-1),
    "reduce": lambda x: mx.logsumexp(x, axis=0) + x.prod(axis=0),
    "index": lambda x: x[:, ::-1][mx.array([1, 0, 1])] ** 2,
    "sort": lambda x: mx.sort(x.reshape(-1)) ** 2,
    "where": lambda x: mx.where(x > 0, x * x, mx.exp(x)),
    "layer_norm": lambda x: mx.fast.layer_norm(x, None, None, 1e-5),
    "scan": lambda x: mx.scan(lambda c, r: (c * mx.sin(r), c + r), mx.ones(3), x)[1],
    "checkpoint": lambda x: mx.checkpoint(lambda v: mx.exp(v) * v)(x),
    "compiled": lambda x: mx.compile(lambda v: mx.exp(v) * v)(x),
    "cond": lambda x: mx.cond(x[0, 0] > 0, mx.sin, mx.cos, x),
    "custom": lambda x: doubled(x),
}


@mx.custom_function
def doubled(x):
    return 2 * x


@doubled.vjp
def doubled_vjp(primals, cotangent, output):
    return 2 * cotangent


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_differences_and_under_transforms(name):
    g, x, step = FUNCTIONS[name], np.array(X), 1e-2
    want = np.empty(np.array(g(X)).shape + x.shape)
    for i in np.ndindex(*x.shape):
        d = np.zeros_like(x)
        d[i] = step
        want[(...,) + i] = (np.array(g(mx.array(x + d))) - np.array(g(mx.array(x - d)))) / (2 * step)
    np.testing.assert_allclose(np.array(mx.jacrev(g)(X)), want, rtol=2e-2, atol=2e-3)
    for got in (mx.jacfwd(g)(X), mx.compile(mx.jacrev(g))(X), mx.vmap(mx.jacrev(g))(X[None])[0]):
        np.testing.assert_allclose(np.array(got), np.array(mx.jacrev(g)(X)), rtol=1e-4, atol=1e-5)
    twice = mx.hessian(lambda v: g(v).sum())(X)
    np.testing.assert_allclose(np.array(twice), rows(mx.grad(lambda v: g(v).sum()), X), rtol=1e-4, atol=1e-5)


def test_the_function_is_called_once():
    calls = []
    def g(x, y):
        calls.append(1)
        return x * y, x + y
    for transform in (mx.jacfwd, mx.jacrev, mx.hessian):
        transform(g, argnums=(0, 1))(Y, Y)
    assert len(calls) == 3
    _, pull = mx.vjp(g, [Y, Y])
    pull(Y, Y), pull([Y, Y])
    assert len(calls) == 4


def test_an_operation_that_cannot_be_batched_goes_row_by_row():
    cube = mx.custom_primitive("jacobian_cube", lambda x: x ** 3, vjp=lambda x, c, o: 3 * x ** 2 * slow(c),
                               jvp=lambda x, t: 3 * x ** 2 * slow(t))
    slow = mx.custom_primitive("jacobian_slow", lambda x: x + 0)
    with pytest.raises(ValueError, match="Not implemented for"):
        mx.vmap(slow)(X)
    for jac in (mx.jacfwd, mx.jacrev):
        np.testing.assert_allclose(np.array(jac(cube)(X)), 3 * np.array(X) ** 2 * np.eye(6).reshape(2, 3, 2, 3), rtol=1e-5)
    fails = mx.custom_primitive("jacobian_fails", lambda x: x)
    with pytest.raises(ValueError, match="Not implemented for"):
        mx.jacrev(fails)(X)


def test_sizes_and_dtypes():
    for jac in (mx.jacfwd, mx.jacrev):
        assert jac(lambda x: x * 2)(mx.zeros((0, 2))).shape == (0, 2, 0, 2)
        assert jac(lambda x: x.sum())(mx.zeros(0)).shape == (0,)
        assert jac(lambda x: x[:0])(Y).shape == (0, 3)
        assert jac(lambda x: [])(Y) == []
        half = jac(lambda x: x * 3)(Y.astype(mx.float16))
        assert half.dtype == mx.float16 and half.tolist() == (3 * mx.eye(3)).tolist()
        ints = mx.array([1, 2])                        # as grad: derivatives of its dtype
        assert jac(lambda x: x * 3)(ints).tolist() == [[3, 0], [0, 3]] and jac(lambda x: x * 3)(ints).dtype == mx.int32
        with pytest.raises(ValueError, match="34 dimensions, more than 32"):
            jac(lambda x: x * 2)(mx.zeros((1,) * 17))


def test_wrong_arguments():
    for name in ("jacfwd", "jacrev", "hessian"):
        transform = getattr(mx, name)
        with pytest.raises(TypeError):
            transform(3)
        for argnums, message in ((-1, "negative argument index -1"), ([0, 0], "Duplicate argument index 0"), ([], "no argument")):
            with pytest.raises(ValueError, match=rf"\[{name}\].*{message}"):
                transform(f, argnums=argnums)
        with pytest.raises(ValueError, match=rf"\[{name}\] Can't compute the gradient of argument index 2"):
            transform(f, argnums=2)(X, Y)
        with pytest.raises(ValueError, match=rf"\[{name}\].*keyword argument 'z'"):
            transform(f, argnames="z")(X, Y)
        with pytest.raises(ValueError, match="only arrays"):
            transform(f)(3, Y)
        with pytest.raises(ValueError, match="hold no array"):
            transform(f)([], Y)
        with pytest.raises(ValueError, match=rf"\[{name}\] The function must return .* but int was returned"):
            transform(lambda x: [x, 3])(Y)
        with pytest.raises(KeyError):
            transform(lambda x: {}["x"])(Y)
