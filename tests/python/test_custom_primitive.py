"""Operations made at run time: their values, rules, errors, names, files and threads."""

import threading
import time

import mlx.core as mx
import numpy as np
import pytest

import checks


def scaled_sine():
    return mx.custom_primitive(
        "ScaledSine",
        lambda x, scale, negate: np.sin(x) * np.float32(-scale if negate else scale),
        vjp=lambda x, cot, out, scale, negate: cot * mx.cos(x) * (-scale if negate else scale),
        vmap=lambda x, axis, scale, negate: (mx.custom_primitive("ScaledSine", parameters={"scale": 1.0, "negate": False})(x, scale=scale, negate=negate), axis),
        parameters={"scale": 1.0, "negate": False})


f = scaled_sine()
x = mx.array(np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3))


def test_values_and_parameters():
    np.testing.assert_allclose(np.array(f(x)), np.sin(np.array(x)), rtol=1e-6)
    np.testing.assert_allclose(np.array(f(x.T[::-1], scale=3, negate=True)), -3 * np.sin(np.array(x).T[::-1]), rtol=1e-6)
    assert f(mx.array(1.0)).shape == () and f(mx.zeros((0, 2))).shape == (0, 2)
    assert repr(f) == "<custom primitive ScaledSine>" and f.__name__ == "ScaledSine"
    assert f(0.5, stream=mx.cpu).item() == pytest.approx(np.sin(0.5))


def test_gradients_and_derivatives():
    np.testing.assert_allclose(np.array(mx.grad(lambda x: f(x, scale=2.0).sum())(x)), 2 * np.cos(np.array(x)), rtol=1e-5)
    np.testing.assert_allclose(np.array(mx.jvp(f, [x], [x * 2])[1][0]), np.cos(np.array(x)) * 2 * np.array(x), rtol=1e-5)   # from vjp
    np.testing.assert_allclose(np.array(mx.grad(lambda x: mx.grad(lambda x: f(x).sum())(x).sum())(x)), -np.sin(np.array(x)), rtol=1e-5)


def test_vmap_and_compile():
    checks.vmap(f, [x])
    checks.compiled(f, [x], [x * 2], [x + 1])
    np.testing.assert_allclose(np.array(mx.vmap(mx.grad(lambda x: f(x).sum()))(x)), np.cos(np.array(x)), rtol=1e-5)
    seen = []
    counted = mx.custom_primitive("Counted", lambda x: seen.append(0) or x + 1)
    g = mx.compile(lambda x: counted(x) * counted(x))
    assert g(x).shape == x.shape and len(seen) == 0
    mx.eval(g(x))
    assert len(seen) == 1                       # equal calls are one


def test_several_outputs_with_shapes_of_their_own():
    split = mx.custom_primitive("Extremes", lambda x, axis: (x.min(axis), x.argmax(axis).astype(np.uint32)), outputs=2, parameters={"axis": 0},
                                shape=lambda x, axis: [(x.shape[1 - axis:2 - axis], x.dtype), (x.shape[1 - axis:2 - axis], mx.uint32)],
                                jvp=lambda x, t, axis: (t.min(axis), mx.zeros(x.shape[1 - axis], mx.uint32)),
                                vjp=lambda x, cot, out, axis: None)
    low, at = split(x, axis=1)
    assert low.tolist() == np.array(x).min(1).tolist() and at.dtype == mx.uint32 and at.tolist() == [2, 2]
    assert mx.jvp(lambda x: split(x)[0], [x], [x])[1][0].shape == (3,)
    assert mx.grad(lambda x: split(x)[0].sum())(x).tolist() == mx.zeros((2, 3)).tolist()    # None: zeros


@pytest.mark.parametrize("dtype", [mx.bool_, mx.uint8, mx.int16, mx.int32, mx.int64, mx.uint64, mx.float16, mx.bfloat16, mx.float32, mx.float64, mx.complex64])
def test_every_dtype(dtype):
    same = mx.custom_primitive("Same", lambda x: x)
    a = mx.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    assert same(a.T).dtype == dtype
    assert same(a.T).tolist() == a.T.tolist()


def test_what_is_missing_is_named():
    bare = mx.custom_primitive("Bare", lambda x: x * 1)
    with pytest.raises(ValueError, match=r"\[Primitive::vjp\] Not implemented for Bare"):
        mx.grad(lambda x: bare(x).sum())(x)
    with pytest.raises(ValueError, match=r"\[Primitive::jvp\] Not implemented for Bare"):
        mx.jvp(bare, [x], [x])
    with pytest.raises(ValueError, match=r"\[Primitive::vmap\] Not implemented for Bare"):
        mx.vmap(bare)(x)


def test_errors():
    def fails(x):
        raise IndexError("no such thing")
    bad = mx.custom_primitive("Bad", fails, vjp=lambda *a: 3, vmap=lambda x, axis: x, shape=lambda x: x)
    y = bad(x)
    for _ in range(2):
        with pytest.raises(IndexError, match=r"\[Bad\] IndexError: no such thing"):
            mx.eval(y + 1)
    with pytest.raises(ValueError, match="must give arrays"):
        mx.grad(lambda x: bad(x).sum())(x)
    with pytest.raises(ValueError, match="must give the outputs and their axes"):
        mx.vmap(bad)(x)
    for result in (np.zeros((2, 3)), np.zeros(6, np.float32), np.zeros((2, 3), np.int32), "text"):
        with pytest.raises(ValueError, match="of another shape or dtype than its shape rule"):
            mx.eval(mx.custom_primitive("Wrong", lambda x, r=result: r)(x))
    for shape in (lambda x: 3, lambda x: ((2, -3), mx.float32), lambda x: ((2,), "float32"), lambda x: 1 / 0):
        with pytest.raises((ValueError, ZeroDivisionError)):
            mx.custom_primitive("Wrong", lambda x: x, shape=shape)(x)
    with pytest.raises(TypeError, match="keyword arguments"):
        f(x, factor=2)
    with pytest.raises(TypeError):
        f(x, scale="two")
    with pytest.raises((TypeError, ValueError)):
        f(object())
    for args, kwargs in [((3, fails), {}), (("A", 3), {}), (("A", fails), {"vjp": 3}), (("A", fails), {"parameters": {"a": "b"}}), ((), {})]:
        with pytest.raises(TypeError):
            mx.custom_primitive(*args, **kwargs)
    with pytest.raises(KeyError, match="not registered"):
        mx.custom_primitive("Nowhere")
    with pytest.raises(ValueError):
        mx.custom_primitive("A", fails, outputs=0)


def test_its_name_is_seen_and_exported(tmp_path):
    mx.export_to_dot(str(tmp_path / "g.dot"), f(x))
    assert 'label ="ScaledSine"' in (tmp_path / "g.dot").read_text()
    path = str(tmp_path / "f")
    mx.export_function(path, lambda x: f(x, scale=3.0) + f(x), x)
    g = mx.import_function(path)
    np.testing.assert_allclose(np.array(g(x)[0]), 4 * np.sin(np.array(x)), rtol=1e-6)
    np.testing.assert_allclose(np.array(mx.grad(lambda x: g(x)[0].sum())(x)), 4 * np.cos(np.array(x)), rtol=1e-6)
    data = (tmp_path / "f").read_bytes()
    (tmp_path / "f").write_bytes(data.replace(b"ScaledSine", b"ScaledSoup"))
    with pytest.raises(KeyError, match="'ScaledSoup' is not registered"):
        mx.import_function(path)
    steps = []
    mx.export_function(steps.append, f, x)
    assert steps[-1]["name"] == "ScaledSine"


def test_a_name_can_be_taken_over():
    old = mx.custom_primitive("Mine", lambda x: x + 1)(x)
    new = mx.custom_primitive("Mine", lambda x: x + 2)(x)
    np.testing.assert_allclose(np.array(new - old), np.ones((2, 3)), rtol=1e-6)


def finishes(f, seconds=60):
    t = threading.Thread(target=f, daemon=True)
    t.start()
    t.join(seconds)
    return not t.is_alive()


def test_a_gradient_waits_for_a_worker_without_the_lock():
    """The worker wakes up and needs the interpreter, while the gradient waits for its result."""
    lazy = mx.custom_primitive("Lazy", lambda x: time.sleep(0.05) or x * 2, vjp=lambda x, cot, out: cot * 2)
    results = []

    def loss(v):
        y = lazy(v)
        mx.async_eval(y)
        return (y * 3).sum()
    assert finishes(lambda: results.append(mx.grad(loss)(x).tolist()))
    assert results == [[[6.0] * 3] * 2]


def test_threads_do_not_lock_each_other_out():
    """Workers take the interpreter lock to evaluate; who waits for them gives it up, also while a graph is built or differentiated."""
    slow = mx.custom_primitive("Slow", lambda x: np.sin(np.sin(x)), vjp=lambda x, cot, out: cot * out)
    failures = []

    def work(seed):
        try:
            for i in range(40):
                a = slow(mx.full((4,), float(seed + i)))
                mx.async_eval(a)
                b = slow(a) + 1
                mx.async_eval(b)
                if i % 4 == 0:
                    mx.grad(lambda v, a=a: (slow(v) * a).sum())(a)      # walks a graph that is being computed
                elif i % 4 == 1:
                    str(b)
                elif i % 4 == 2:
                    b.tolist()
                else:
                    mx.eval(b, slow(b))
                    mx.synchronize()
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failures and not any(t.is_alive() for t in threads)
