"""scan, while_loop, cond and associative_scan: values, gradients, batching, compile, nesting, and what is refused."""

import threading

import numpy as np
import pytest

import mlx.core as mx

f32 = mx.float32
rng = np.random.default_rng(3)


def array(*shape):
    return mx.array(rng.standard_normal(shape).astype(np.float32))


def leaves(tree):
    if isinstance(tree, mx.array):
        return [tree]
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else []
    return [x for item in items for x in leaves(item)]


def same(a, b, rtol=1e-5, atol=1e-5):
    a, b = leaves(a), leaves(b)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        assert x.shape == y.shape and x.dtype == y.dtype
        np.testing.assert_allclose(np.array(x.astype(f32)), np.array(y.astype(f32)), rtol=rtol, atol=atol)


def python_scan(f, init, xs, length=None, reverse=False):
    n = xs.shape[0] if length is None else length
    ys = []
    for i in reversed(range(n)) if reverse else range(n):
        init, y = f(init, xs[i] if xs is not None else None)
        ys.append(y)
    return init, mx.stack(ys[::-1] if reverse else ys)


w, xs = array(3, 3) * 0.5, array(7, 3)


def cell(c, x, w=w):
    c = mx.tanh(c @ w + x)
    return c, c * 2 + x


# ---- scan ----


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_the_loop(reverse):
    same(mx.scan(cell, mx.zeros((3,)), xs, reverse=reverse), python_scan(cell, mx.zeros((3,)), xs, reverse=reverse))


def test_scan_over_containers():
    init = {"h": mx.zeros((3,)), "n": 0, "fixed": None}

    def f(c, x):
        return {"n": c["n"] + 1, "h": c["h"] + x["a"] * x["b"][0], "fixed": None}, [c["n"], {"s": x["a"].sum(), "none": None}]

    carry, (n, rest) = mx.scan(f, init, {"a": xs, "b": (xs,)})
    assert list(carry) == ["h", "n", "fixed"] and carry["n"].item() == 7 and carry["fixed"] is None and rest["none"] is None
    same([carry["h"], rest["s"]], [(xs * xs).sum(axis=0), xs.sum(axis=1)], atol=1e-4)
    assert n.tolist() == list(range(7))


def test_scan_with_a_length_alone_and_with_none():
    (a, b), fib = mx.scan(lambda c, _: ((c[1], c[0] + c[1]), c[0]), (0, 1), length=10)
    assert (a.item(), b.item()) == (55, 89) and fib.tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    carry, ys = mx.scan(cell, mx.ones((3,)), xs[:0])
    same([carry, ys], [mx.ones((3,)), mx.zeros((0, 3))])
    assert mx.scan(lambda c, x: (c + x, None), mx.array(0), mx.arange(5))[1] is None
    assert mx.scan(lambda c, x: (c, x), (), mx.arange(3))[1].tolist() == [0, 1, 2]


def test_the_function_is_called_once():
    calls = []

    def f(c, x):
        calls.append(1)
        return c + x, None

    assert mx.scan(f, mx.array(0.0), mx.ones((10000,)))[0].item() == 10000
    assert len(calls) == 1


@pytest.mark.parametrize("layout", ["transposed", "reversed", "every second", "broadcast", "scalar"])
def test_scan_reads_any_layout(layout):
    x = {"transposed": array(4, 6).T, "reversed": array(6, 4)[::-1], "every second": array(12, 8)[::2, ::2],
         "broadcast": mx.broadcast_to(array(4), (6, 4)), "scalar": mx.broadcast_to(mx.array(2.0), (6, 4))}[layout]
    f = lambda c, x: (c + x.T, (x, x[::-1], c))  # noqa: E731
    c, (a, b, d) = mx.scan(f, mx.zeros((4,)), x)
    same([c, a, b], [x.sum(axis=0), x, x[:, ::-1]], atol=1e-4)


def test_the_carry_may_be_swapped_constant_or_a_view():
    five = mx.array(5.0)

    def f(c, x):
        return (c[1], c[0], five, c[3][::-1], x), (c[0], c[2], x[1:])

    got = mx.scan(f, (mx.array(1.0), mx.array(2.0), mx.array(0.0), mx.arange(3), xs[0]), xs[:5])
    (a, b, c, d, e), (y0, y2, y3) = got
    assert (a.item(), b.item(), c.item(), d.tolist()) == (2, 1, 5, [2, 1, 0])
    same(e, xs[4])
    assert y0.tolist() == [1, 2, 1, 2, 1] and y2.tolist() == [0, 5, 5, 5, 5]
    same(y3, xs[:5, 1:])
    same(xs[0], xs[0] + 0)  # nothing was overwritten


@pytest.mark.parametrize("dtype", [mx.bool_, mx.int8, mx.int32, mx.uint64, mx.float16, mx.bfloat16, mx.float64, mx.complex64])
def test_scan_keeps_dtypes(dtype):
    x = mx.array([1, 0, 1, 1]).astype(dtype)
    with mx.stream(mx.cpu):
        c, ys = mx.scan(lambda c, x: (x, c), mx.zeros((), dtype=dtype), x)
    assert c.dtype == dtype and ys.dtype == dtype and ys.astype(mx.int32).tolist() == [0, 1, 0, 1]


def test_inputs_are_not_overwritten():
    init, x = mx.zeros((1000,)), mx.ones((5, 1000))
    mx.eval(init, x)
    for _ in range(2):
        c, ys = mx.scan(lambda c, x: (c + x, c * 2), init, x)
        mx.eval(c, ys)
        assert init.sum().item() == 0 and x.sum().item() == 5000 and c.sum().item() == 5000


def test_a_scan_of_ten_thousand_steps_is_one_node():
    f = mx.compile(lambda x: mx.scan(lambda c, x: (c * 0.5 + x, None), mx.array(0.0), x)[0])
    assert f(mx.ones((10000,))).item() == pytest.approx(2)
    with mx.profile() as p:
        mx.eval(f(mx.ones((10000,))))
    calls = {r["op"]: r["calls"] for r in p.rows}
    assert calls["Loop"] == 1 and calls["(plan)"] == 1


def test_memory_goes_from_step_to_step():
    x = mx.zeros((256, 1024))
    mx.eval(x)
    f = lambda c, _: (mx.sin(c) + 1, None)  # noqa: E731
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    mx.eval(mx.scan(f, x, length=200)[0])
    assert mx.get_peak_memory() - before < 4 * x.nbytes


# ---- gradients ----


def gradients(f, *args, rtol=1e-3):
    """Against the same function with loops in Python."""
    n = tuple(range(len(args)))
    for scan in (mx.scan, lambda *a, **k: mx.scan(*a, checkpoint=True, **k)):
        same(mx.grad(lambda *a: f(scan, *a), argnums=n)(*args), mx.grad(lambda *a: f(python_scan, *a), argnums=n)(*args), rtol=rtol)


def through(scan, w, xs, init, reverse=False):
    c, ys = scan(lambda c, x: cell(c, x, w), init, xs, reverse=reverse)
    return c.sum() + (ys * ys * mx.arange(ys.size).reshape(ys.shape)).sum()


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_carry_elements_and_captured_arrays(reverse):
    gradients(lambda scan, *a: through(scan, *a, reverse=reverse), w, xs, array(3))


def test_gradient_of_results_or_carry_alone():
    gradients(lambda scan, x: scan(cell, mx.zeros((3,)), x)[0].sum(), xs)
    gradients(lambda scan, x: scan(cell, mx.zeros((3,)), x)[1][2].sum(), xs)
    gradients(lambda scan, x: scan(lambda c, x: (c, x * x), mx.zeros(()), x)[1].sum(), xs)


def test_gradients_with_integers_in_the_carry():
    def f(scan, w):
        def step(c, x):
            n, h = c[0], c[1]
            return mx.stack([n, h * w * x + n]), h
        return scan(step, mx.array([1.0, 0.5]), mx.array([0.5, 2.0, 1.5]))[0].sum()

    gradients(f, mx.array(0.3))

    def g(x):
        (n, h), ys = mx.scan(lambda c, x: ((c[0] + 1, c[1] * x + c[0].astype(f32)), c[0]), (0, mx.array(1.0)), x)
        return h

    # 1 -> x0 -> x0 x1 + 1 -> x0 x1 x2 + x2 + 2
    assert mx.grad(g)(mx.array([2.0, 3.0, 5.0])).tolist() == [15, 10, 7]


def test_second_order_and_forward_derivatives():
    for order in (lambda f: mx.grad(mx.grad(f)), lambda f: lambda a: mx.jvp(mx.grad(f), [a], [mx.ones(())])[1][0],
                  lambda f: mx.grad(lambda a: mx.jvp(f, [a], [mx.ones(())])[1][0]), lambda f: mx.grad(mx.grad(mx.grad(f)))):
        f = lambda scan: lambda a: through(scan, w * a, xs, mx.zeros((3,)))  # noqa: E731
        same(order(f(mx.scan))(mx.array(0.7)), order(f(python_scan))(mx.array(0.7)), rtol=1e-3, atol=1e-2)


def test_jvp():
    args, tangents = [w, xs, array(3)], [array(3, 3), array(7, 3), array(3)]
    f = lambda scan: lambda *a: list(leaves(scan(lambda c, x: cell(c, x, a[0]), a[2], a[1])))  # noqa: E731
    same(mx.jvp(f(mx.scan), args, tangents), mx.jvp(f(python_scan), args, tangents), rtol=1e-4)
    only = lambda scan: lambda x: list(leaves(scan(cell, mx.zeros((3,)), x)))  # noqa: E731
    same(mx.jvp(only(mx.scan), [xs], [tangents[1]]), mx.jvp(only(python_scan), [xs], [tangents[1]]), rtol=1e-4)


def test_gradients_against_differences():
    with mx.stream(mx.cpu):
        x = mx.array(rng.standard_normal(5))
        f = lambda x: mx.scan(lambda c, x: (mx.sin(c) * x + c, c * x), mx.ones((), dtype=mx.float64), x)[1].sum()  # noqa: E731
        x = x.astype(mx.float64)
        g = mx.grad(f)(x)
        for i in range(5):
            e = mx.array([1e-6 if k == i else 0 for k in range(5)]).astype(mx.float64)
            assert g[i].item() == pytest.approx(((f(x + e) - f(x - e)) / 2e-6).item(), rel=1e-3, abs=1e-6)


def test_a_gradient_evaluated_inside_and_between():
    def f(w):
        c, ys = mx.scan(lambda c, x: cell(c, x, w), mx.zeros((3,)), xs)
        mx.eval(c)
        return c.sum() + ys.sum()

    same(mx.grad(f)(w), mx.grad(lambda w: sum(a.sum() for a in leaves(python_scan(lambda c, x: cell(c, x, w), mx.zeros((3,)), xs))))(w), rtol=1e-3)


def test_gradients_through_compiled_scans_and_compiled_gradients():
    f = lambda scan: lambda w, x: through(scan, w, x, mx.zeros((3,)))  # noqa: E731
    want = mx.grad(f(python_scan), argnums=(0, 1))(w, xs)
    for g in (mx.grad(mx.compile(f(mx.scan)), argnums=(0, 1)), mx.compile(mx.grad(f(mx.scan), argnums=(0, 1)))):
        for _ in range(2):
            same(g(w, xs), want, rtol=1e-3)


def test_gradients_do_not_keep_what_is_made_of_constants():
    big = array(64, 64) * 0.1
    x = array(100, 1, 64)

    def f(big, x):
        return mx.scan(lambda c, x: (mx.tanh(c @ big.T + x), None), mx.zeros((1, 64)), x)[0].sum()

    mx.eval(big, x)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    mx.eval(mx.grad(f, argnums=(0, 1))(big, x))
    assert mx.get_peak_memory() - before < 8 * x.nbytes + 8 * big.nbytes  # not 100 transposes


def test_no_gradient_is_wanted_of_what_is_stopped():
    g = mx.grad(lambda x: mx.scan(lambda c, x: (c + mx.stop_gradient(x) * x, None), mx.array(0.0), x)[0])(mx.array([1.0, 2.0]))
    assert g.tolist() == [1, 2]


# ---- vmap ----


def test_vmap_of_scan():
    init, batch = array(4, 3), array(4, 7, 3)
    f = lambda c, x: mx.scan(cell, c, x)  # noqa: E731
    for args, axes in (((init, batch), (0, 0)), ((init[0], batch), (None, 0)), ((init, batch[0]), (0, None)),
                       ((init.T, batch.transpose(1, 2, 0)), (1, 2))):
        got = mx.vmap(f, in_axes=axes)(*args)
        want = [f(init[0] if axes[0] is None else init[i], batch[0] if axes[1] is None else batch[i]) for i in range(4)]
        same(got, [mx.stack([c for c, _ in want]), mx.stack([y for _, y in want])])


def test_vmap_over_captured_arrays_keeps_counters_plain():
    ws = array(5, 3, 3)

    def f(w):
        def step(c, _):
            n, h = c
            return (n + 1, h @ w + xs[n]), n
        (n, h), ns = mx.scan(step, (0, mx.zeros((3,))), length=4)
        return h, ns

    h, ns = mx.vmap(f)(ws)
    same(h, mx.stack([f(ws[i])[0] for i in range(5)]))
    assert ns.tolist() == [[0, 1, 2, 3]] * 5


def test_vmap_and_gradients_of_scan_in_both_orders():
    ws = mx.stack([w, w * 0.5])
    g = mx.grad(lambda w: through(mx.scan, w, xs, mx.zeros((3,))))
    same(mx.vmap(g)(ws), mx.stack([g(ws[0]), g(ws[1])]), rtol=1e-3)
    f = mx.grad(lambda ws: mx.vmap(lambda w: through(mx.scan, w, xs, mx.zeros((3,))))(ws).sum())
    same(f(ws), mx.stack([g(ws[0]), g(ws[1])]), rtol=1e-3)


# ---- while_loop ----


def collatz(n):
    return mx.while_loop(lambda c: c[0] != 1, lambda c: (mx.where(c[0] % 2 == 0, c[0] // 2, 3 * c[0] + 1), c[1] + 1), (n, 0))


def test_while_loop():
    n, steps = collatz(mx.array(27))
    assert n.item() == 1 and steps.item() == 111
    assert collatz(mx.array(1))[1].item() == 0
    c = mx.while_loop(lambda c: c["x"] < 100, lambda c: {"x": c["x"] * 2, "k": None}, {"x": 3.0, "k": None})
    assert c["x"].item() == 192 and c["k"] is None


def test_while_loop_captures_and_compiles():
    limit, by = mx.array(50), mx.array(7)
    f = lambda x, limit, by: mx.while_loop(lambda c: c < limit, lambda c: c + by, x)  # noqa: E731
    assert f(mx.array(0), limit, by).item() == 56
    g = mx.compile(f)
    assert [g(mx.array(i), limit, by).item() for i in range(3)] == [56, 50, 51]


def test_vmap_of_while_loop_runs_till_all_are_done():
    ns = mx.array([27, 1, 6, 97, 2])
    n, steps = mx.vmap(collatz)(ns)
    assert n.tolist() == [1] * 5 and steps.tolist() == [111, 0, 8, 118, 1]
    x = array(3)
    f = lambda x: mx.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * x), (0, mx.array(1.0)))[1]  # noqa: E731
    same(mx.vmap(f)(x), x**4)
    limits = mx.array([0, 3, 1])
    f = lambda m: mx.while_loop(lambda c: c < m, lambda c: c + 1, mx.array(0))  # noqa: E731
    assert mx.vmap(f)(limits).tolist() == [0, 3, 1]


def test_derivatives_of_while_loop():
    f = lambda x: mx.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, mx.sin(c[1]) * x), (0, x))[1]  # noqa: E731

    def plain(x):
        y = x
        for _ in range(3):
            y = mx.sin(y) * x
        return y

    x = mx.array(0.8)
    same(mx.jvp(f, [x], [mx.array(1.5)]), mx.jvp(plain, [x], [mx.array(1.5)]))
    with pytest.raises(ValueError, match=r"\[while_loop\] There is no gradient"):
        mx.grad(f)(x)
    assert mx.grad(lambda x: mx.stop_gradient(f(x)) * x)(x).item() == pytest.approx(f(x).item())


# ---- cond ----


def test_cond_takes_one_branch():
    f = lambda p, x: mx.cond(p, lambda x: {"y": x * 2}, lambda x: {"y": x - 1}, x)["y"]  # noqa: E731
    x = mx.array([1.0, 2.0])
    assert f(mx.array(True), x).tolist() == [2, 4] and f(mx.array(False), x).tolist() == [0, 1]
    assert f(1, x).tolist() == [2, 4] and f(mx.array([0.0]), x).tolist() == [0, 1]
    g = mx.compile(f)
    assert g(mx.array(True), x).tolist() == [2, 4] and g(mx.array(False), x).tolist() == [0, 1]
    assert f((x.sum() > 2), x).tolist() == [2, 4]


def test_only_one_branch_is_computed():
    a = mx.array([4.0, 9.0])
    with mx.profile() as p:
        mx.eval(mx.cond(mx.array(True), lambda: mx.sqrt(a), lambda: a @ mx.eye(2)))
    ops = {r["op"] for r in p.rows}
    assert "Cond" in ops and "Matmul" not in ops


def test_gradients_of_cond():
    a, b = mx.array(1.5), mx.array(0.7)
    f = lambda p: lambda x, y: mx.cond(p, lambda x: mx.sin(x) * a * y, lambda x: x * x * b, x)  # noqa: E731
    x, y = mx.array(0.3), mx.array(2.0)
    for p, g in ((True, lambda x, y: mx.sin(x) * a * y), (False, lambda x, y: x * x * b + 0 * y)):
        p = mx.array(p)
        same(mx.grad(f(p), argnums=(0, 1))(x, y), mx.grad(g, argnums=(0, 1))(x, y))
        same(mx.jvp(f(p), [x, y], [a, b]), mx.jvp(g, [x, y], [a, b]))
        same(mx.grad(mx.grad(f(p)))(x, y), mx.grad(mx.grad(g))(x, y))
        same(mx.compile(mx.grad(f(p)))(x, y), mx.grad(g)(x, y))


def test_vmap_of_cond():
    f = lambda p, x: mx.cond(p, lambda x: x * 2, lambda x: x - 1, x)  # noqa: E731
    p, x = mx.array([True, False, True]), array(3, 2)
    same(mx.vmap(f)(p, x), mx.where(p[:, None], x * 2, x - 1))
    same(mx.vmap(f, in_axes=(0, None))(p, x[0]), mx.where(p[:, None], x[0] * 2, x[0] - 1))
    same(mx.vmap(f, in_axes=(None, 1))(mx.array(False), x), (x - 1).T)
    const = lambda p: mx.cond(p, lambda: mx.array([1, 2]), lambda: mx.array([3, 4]))  # noqa: E731
    assert mx.vmap(const)(p).tolist() == [[1, 2], [3, 4], [1, 2]]
    g = mx.vmap(mx.grad(lambda x, p: f(p, x).sum()), in_axes=(0, 0))
    assert g(x, p).tolist() == [[2, 2], [1, 1], [2, 2]]


# ---- associative_scan ----


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(n, reverse):
    x = array(n, 3)
    same(mx.associative_scan(lambda a, b: a + b, x, reverse), mx.cumsum(x, axis=0, reverse=reverse), atol=1e-4)
    same(mx.associative_scan(mx.maximum, x.T, reverse, axis=-1), mx.cummax(x.T, axis=1, reverse=reverse))


def test_associative_scan_of_pairs_and_matrices():
    a, b = mx.array(rng.uniform(0.5, 1, (9, 2)).astype(np.float32)), array(9, 2)

    def linear(p, q):
        return {"a": p["a"] * q["a"], "b": q["a"] * p["b"] + q["b"]}

    got = mx.associative_scan(linear, {"a": a, "b": b})["b"]
    want = python_scan(lambda c, i: (c, c), mx.zeros((2,)), a)[1]
    c, ys = mx.scan(lambda c, x: (x[0] * c + x[1],) * 2, mx.zeros((2,)), (a, b))
    same(got, ys)
    assert want.shape == ys.shape
    m = array(6, 2, 2)
    got = mx.associative_scan(lambda p, q: p @ q, m)
    same(got[5], m[0] @ m[1] @ m[2] @ m[3] @ m[4] @ m[5], rtol=1e-4)
    g = mx.grad(lambda a: mx.associative_scan(linear, {"a": a, "b": b})["b"].sum())(a)
    same(g, mx.grad(lambda a: mx.scan(lambda c, x: (x[0] * c + x[1],) * 2, mx.zeros((2,)), (a, b))[1].sum())(a), rtol=1e-3)
    same(mx.vmap(lambda x: mx.associative_scan(mx.add, x))(m), mx.cumsum(m, axis=1))
    same(mx.compile(lambda x: mx.associative_scan(mx.multiply, x))(a), mx.cumprod(a, axis=0))


# ---- nesting ----


def nested(scan, w, x):
    def inner(c, v):
        return c * w + v, c * v

    def outer(c, row):
        d, ys = scan(inner, c, row)
        return mx.tanh(d), ys.sum() * w

    c, ys = scan(outer, mx.array(0.1), x)
    return c + (ys * ys).sum()


def test_scan_in_scan():
    gradients(nested, mx.array(0.6), xs)
    same(mx.grad(mx.grad(lambda w: nested(mx.scan, w, xs)))(mx.array(0.6)),
         mx.grad(mx.grad(lambda w: nested(python_scan, w, xs)))(mx.array(0.6)), rtol=1e-3)
    ws = mx.array([0.6, 0.2])
    same(mx.vmap(lambda w: nested(mx.scan, w, xs))(ws), mx.stack([nested(python_scan, v, xs) for v in ws]), rtol=1e-4)
    same(mx.compile(lambda w, x: nested(mx.scan, w, x))(ws[0], xs), nested(python_scan, ws[0], xs), rtol=1e-4)


def test_three_levels_deep():
    def f(scan, w):
        one = lambda c, x: (mx.sin(c) * w + x, c)  # noqa: E731
        two = lambda c, x: (scan(one, c, xs[0])[0] * x, c)  # noqa: E731
        three = lambda c, x: (scan(two, c, xs[1])[0] + x, c)  # noqa: E731
        return scan(three, mx.array(0.2), xs[2])[0]

    gradients(f, mx.array(0.9))


def test_cond_and_while_in_scan():
    def step(c, x):
        c = mx.cond(x > 0, lambda c: c * x, lambda c: c + mx.sin(x), c)
        n = mx.while_loop(lambda v: v < 2, lambda v: v + mx.stop_gradient(mx.abs(x)) + 0.1, mx.array(0.0))
        return c, mx.stop_gradient(n)

    def plain(c, x):
        c = c * x if x.item() > 0 else c + mx.sin(x)
        n = mx.array(0.0)
        while n.item() < 2:
            n = n + mx.abs(x) + 0.1
        return c, n

    flat = xs.reshape(-1)
    same(mx.scan(step, mx.array(1.0), flat), python_scan(plain, mx.array(1.0), flat), rtol=1e-4)
    g = mx.grad(lambda x: mx.scan(step, mx.array(1.0), x)[0])(flat)
    want = mx.grad(lambda x: python_scan(lambda c, v: (mx.where(v > 0, c * v, c + mx.sin(v)), c), mx.array(1.0), x)[0])(flat)
    same(g, want, rtol=1e-3)


def test_scan_in_cond_and_in_checkpoint():
    f = lambda p: lambda x: mx.cond(p, lambda x: mx.scan(cell, mx.zeros((3,)), x)[0].sum(), lambda x: x.sum(), x)  # noqa: E731
    same(mx.grad(f(mx.array(True)))(xs), mx.grad(lambda x: python_scan(cell, mx.zeros((3,)), x)[0].sum())(xs), rtol=1e-3)
    h = mx.checkpoint(lambda x: mx.scan(cell, mx.zeros((3,)), x)[0].sum())
    same(mx.grad(h)(xs), mx.grad(lambda x: python_scan(cell, mx.zeros((3,)), x)[0].sum())(xs), rtol=1e-3)


def test_deep_nesting_is_refused_or_runs():
    def deep(n, x):
        return mx.cond(x > 0, lambda x: deep(n - 1, x) if n else x + 1, lambda x: x, x)

    assert deep(50, mx.array(1.0)).item() == 2
    with pytest.raises((ValueError, RecursionError)):
        mx.eval(deep(300, mx.array(1.0)))
    assert deep(3, mx.array(1.0)).item() == 2


# ---- what is refused ----


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: mx.scan(lambda c, x: (c.astype(mx.float16), x), mx.zeros((3,)), xs), ValueError,
         r"\[scan\] The carry must keep its shapes and dtypes: its array 0 went in with shape \(3\) and dtype float32 and came out .* float16"),
        (lambda: mx.scan(lambda c, x: (c[:2], x), mx.zeros((3,)), xs), ValueError, r"came out with shape \(2\)"),
        (lambda: mx.scan(lambda c, x: c, mx.zeros((3,)), xs), ValueError, "a tuple of two"),
        (lambda: mx.scan(lambda c, x: ((c, c), x), mx.zeros((3,)), xs), ValueError, "another structure: <class 'tuple'> stands where an array"),
        (lambda: mx.scan(lambda c, x: ([c[0]], x), [xs[0], xs[0]], xs), ValueError, "1 items stand where 2"),
        (lambda: mx.scan(lambda c, x: ({"b": c["a"]}, x), {"a": xs[0]}, xs), ValueError, "the key 'a' is missing"),
        (lambda: mx.scan(cell, mx.zeros((3,))), ValueError, "a length is needed"),
        (lambda: mx.scan(cell, mx.zeros((3,)), xs, length=5), ValueError, "has length 7, expected 5"),
        (lambda: mx.scan(cell, mx.zeros((3,)), xs, length=-5), ValueError, "negative"),
        (lambda: mx.scan(lambda c, x: (c, x[0]), mx.zeros((3,)), (xs, xs[:4])), ValueError, "has length 4, expected 7"),
        (lambda: mx.scan(cell, mx.zeros((3,)), mx.array(1.0)), ValueError, "has no axis"),
        (lambda: mx.scan(3, mx.zeros((3,)), xs), TypeError, "scan"),
        (lambda: mx.scan(lambda c, x: (c, 1 / 0), mx.zeros((3,)), xs), ZeroDivisionError, "division"),
        (lambda: mx.scan(lambda c, x: (c, c.item()), mx.array(0.0), xs), ValueError, "eval"),
        (lambda: mx.while_loop(lambda c: c > 0, lambda c: c[0], xs), ValueError, r"\[while_loop\] The carry must keep"),
        (lambda: mx.while_loop(lambda c: c > 0, lambda c: c, xs), ValueError, "The condition gave shape"),
        (lambda: mx.while_loop(lambda c: None, lambda c: c, xs), ValueError, "another structure"),
        (lambda: mx.while_loop(lambda c: True, lambda c: c, ()), ValueError, "no arrays"),
        (lambda: mx.while_loop(lambda c: True, None, xs), TypeError, "while_loop"),
        (lambda: mx.cond(mx.array([True, False]), lambda: xs, lambda: xs), ValueError, r"\[cond\] The predicate has shape \(2\)"),
        (lambda: mx.cond(True, lambda: xs, lambda: xs[0]), ValueError, r"\[cond\] Both functions must give the same"),
        (lambda: mx.cond(True, lambda: xs, lambda: (xs, xs)), ValueError, "another structure"),
        (lambda: mx.cond(True, lambda: None, lambda: None), ValueError, "no arrays"),
        (lambda: mx.cond(True, lambda x: x, lambda: xs, xs), TypeError, "argument"),
        (lambda: mx.cond(True, xs), TypeError, "cond"),
        (lambda: mx.associative_scan(lambda a, b: a[:1], xs), ValueError, r"\[associative_scan\] Result 0 has shape"),
        (lambda: mx.associative_scan(lambda a, b: a, xs, axis=2), ValueError, "associative_scan"),
        (lambda: mx.associative_scan(lambda a, b: a, (xs, xs[:3])), ValueError, "does not go with the first"),
        (lambda: mx.associative_scan(lambda a, b: a, ()), ValueError, "No arrays"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
    same(mx.scan(cell, mx.zeros((3,)), xs), python_scan(cell, mx.zeros((3,)), xs))  # and nothing is left behind


def test_an_error_inside_a_step_comes_out():
    f = lambda i: mx.scan(lambda c, i: (c, xs[i]), mx.array(0), i)[1]  # noqa: E731
    assert f(mx.array([0, 3, -1])).shape == (3, 3)
    with pytest.raises(IndexError, match="out of bounds"):
        mx.eval(f(mx.array([0, 9, 1])))
    same(f(mx.array([1])), xs[1:2])


def test_debug_nans_looks_inside():
    f = mx.compile(lambda x: mx.scan(lambda c, x: (c, mx.log(x) * 2), mx.array(0), x)[1])
    x = mx.array([1.0, -1.0])
    mx.eval(f(x))
    with mx.debug_nans(), pytest.raises(FloatingPointError, match="Log gave nan"):
        mx.eval(f(x))
    mx.eval(f(x))


def test_profiles_count_nested_steps_once():
    with mx.profile() as p:
        mx.eval(mx.scan(lambda c, x: (c @ w, c), xs, length=50)[1])
    rows = {r["op"]: r for r in p.rows}
    assert rows["Matmul"]["calls"] == 50 and rows["Loop"]["calls"] == 1
    assert sum(r["seconds"] for r in p.rows) <= p.seconds


def test_many_threads_run_one_compiled_loop():
    f = mx.compile(lambda x: mx.scan(cell, mx.zeros((3,)), x)[1].sum())
    want = f(xs).item()
    got = []

    def work():
        for _ in range(20):
            got.append(f(xs).item())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 80 and all(v == pytest.approx(want) for v in got)


def test_async_and_printed():
    c, ys = mx.scan(cell, mx.zeros((3,)), xs)
    mx.async_eval(c, ys)
    same([c, ys], python_scan(cell, mx.zeros((3,)), xs))
    assert "array(" in str(mx.scan(cell, mx.zeros((3,)), xs)[0])
