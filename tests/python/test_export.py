"""Functions written to files and read back: every op of the tables, signatures, constants, transforms, and files that lie."""

import random

import mlx.core as mx
import numpy as np
import pytest

import checks
import table
from structured_cases import CASES, OTHERS


def round_trip(path, f, arrays, shapeless=False):
    """f's results and those of f read from a file, as NumPy arrays."""
    mx.export_function(str(path), f, *arrays, shapeless=shapeless)
    g = mx.import_function(str(path))
    want, got = f(*arrays), g(*arrays)
    want = want if isinstance(want, (list, tuple)) else [want]
    assert len(got) == len(want)
    for a, b in zip(got, want):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(checks.numbers(a), checks.numbers(b))
    return g


# ---- every op ----

@pytest.mark.parametrize("op", table.elementwise + table.reductions, ids=repr)
def test_every_elementwise_op_and_reduction(op, tmp_path):
    for dtype in op.dtypes:
        x = [table.to_mx(op.sample(dtype, (3, 4), which), "bool" if op.kind == "TERNARY" and which == 0 else dtype) for which in range(op.arity)]
        round_trip(tmp_path / "f", op.mx, x)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_structured_op(case, tmp_path):
    round_trip(tmp_path / "f", case.f, [mx.array(x) for x in case.arrays("float32")])


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=repr)
def test_gradients_of_every_structured_op(case, tmp_path):
    arrays = [mx.array(x) for x in case.arrays("float32")]
    everything = list(range(len(arrays)))
    g = round_trip(tmp_path / "f", case.f, arrays)
    want = mx.grad(lambda *xs: case.f(*xs).sum(), everything)(*arrays)
    got = mx.grad(lambda *xs: g(*xs)[0].sum(), everything)(*arrays)
    for a, b in zip(got, want):
        np.testing.assert_allclose(checks.numbers(a), checks.numbers(b), rtol=1e-5, atol=1e-6)
    round_trip(tmp_path / "grad", mx.grad(lambda *xs: case.f(*xs).sum(), everything), arrays)


def test_no_row_is_without_a_round_trip():
    """arange takes no array, so an export stores what it gives; primitive: test_custom_primitive.py."""
    assert set(table.structured) == {case.op for case in CASES} | set(OTHERS) | {"arange", "primitive"}


@pytest.mark.parametrize("op", sorted(OTHERS))
def test_ops_without_a_case(op, tmp_path):
    round_trip(tmp_path / "f", OTHERS[op], [mx.array(np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32))])


# ---- shapes, dtypes, keywords ----

def test_a_call_must_fit(tmp_path):
    path = str(tmp_path / "f")
    mx.export_function(path, lambda x: x + 1, mx.ones(3))
    f = mx.import_function(path)
    for args in [(mx.ones(4),), (mx.ones(3, mx.int32),), (mx.ones((1, 3)),), (), (mx.ones(3), mx.ones(3))]:
        with pytest.raises(ValueError, match=r"\[import_function::call\] No imported function found which matches"):
            f(*args)
    with pytest.raises(ValueError, match=r"1: \(3\) float32\n\nCalled with 1 positional inputs and 0 keyword inputs:\n  1: \(4\) float32"):
        f(mx.ones(4))
    with pytest.raises(ValueError, match="Inputs can either be"):
        f(3)
    assert f([mx.ones(3)])[0].tolist() == f((mx.ones(3),))[0].tolist() == f(x=mx.ones(3))[0].tolist() == [2, 2, 2]


def test_several_traces_of_one_function(tmp_path):
    path = str(tmp_path / "f")

    def f(x, *, y=None, z=None):
        return x if y is None else x - y if z is None else [x - y, z]
    with mx.exporter(path, f) as export:
        export(mx.ones(3))
        export(mx.ones(4))
        export(mx.ones(4), y=mx.zeros(4))
        export((mx.ones(4),), {"z": mx.array(7), "y": mx.full(4, 3.0)})
        with pytest.raises(RuntimeError, match="twice with the same signature"):
            export(mx.zeros(3))
        with pytest.raises(ValueError, match="Inputs can either be"):
            export(3)
    with pytest.raises(RuntimeError, match="after exporting is closed"):
        export(mx.ones(5))
    g = mx.import_function(path)
    assert g(mx.ones(3))[0].shape == (3,)
    assert g(mx.ones(4), y=mx.ones(4))[0].tolist() == [0] * 4
    a, b = g(mx.ones(4), z=mx.array(5), y=mx.ones(4))
    assert a.tolist() == [0] * 4 and b.item() == 5
    with pytest.raises(ValueError, match='"w": '):
        g(mx.ones(4), y=mx.ones(4), w=mx.ones(4))


def test_shapeless(tmp_path):
    w = mx.array([1.0, 2.0, 3.0])
    g = round_trip(tmp_path / "f", lambda x: mx.softmax(mx.exp(x) * w, axis=-1).sum(axis=0), [mx.ones((2, 3))], shapeless=True)
    x = mx.array(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    np.testing.assert_array_equal(np.array(g(x)[0]), np.array(mx.softmax(mx.exp(x) * w, axis=-1).sum(axis=0)))
    with pytest.raises(ValueError, match="No imported function"):
        g(mx.ones(3))
    with pytest.raises(ValueError, match="broadcast"):
        g(mx.ones((2, 4)))
    with pytest.raises(ValueError, match=r"cannot be exported for all shapes \(shapeless\)"):
        mx.export_function(str(tmp_path / "g"), lambda x: x * x.shape[0], mx.ones((2, 3)), shapeless=True)
    assert not (tmp_path / "g").exists()


def test_metadata(tmp_path):
    path = str(tmp_path / "f")
    mx.export_function(path, lambda x: x, mx.ones(3), metadata="für dich")
    assert mx.import_function(path, return_metadata=True)[1] == "für dich"
    mx.export_function(path, lambda x: x, mx.ones(3))
    f, text = mx.import_function(path, return_metadata=True)
    assert text == "" and f(mx.ones(3))[0].tolist() == [1, 1, 1]


# ---- what a function captures ----

@pytest.mark.parametrize("dtype", table.ALL)
def test_constants_of_every_dtype(dtype, tmp_path):
    values = np.arange(12).reshape(3, 4)
    for c in (table.to_mx(values, dtype), table.to_mx(values, dtype).T, table.to_mx(values, dtype)[::-1, ::2], mx.array(1, table.DTYPES[dtype]),
              mx.zeros((0, 3), table.DTYPES[dtype]), mx.ones((4, 1000), table.DTYPES[dtype])):
        g = round_trip(tmp_path / "f", lambda x: [c, x], [mx.array(1.0)])
        mx.eval(c)
        del g
    assert (tmp_path / "f").stat().st_size < 1000      # one element stands for all


def test_weights_and_state(tmp_path):
    import mlx.nn as nn
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.gelu, nn.Linear(8, 2))
    round_trip(tmp_path / "f", model, [mx.random.normal((3, 4))])
    round_trip(tmp_path / "f", mx.compile(model), [mx.random.normal((3, 4))])


def test_failed_exports_leave_nothing(tmp_path):
    path = tmp_path / "f"

    def fails(x):
        raise KeyError("x")
    with pytest.raises(KeyError):
        mx.export_function(str(path), fails, mx.ones(3))
    with pytest.raises(ValueError, match="Attempting to eval an array during function transformations"):
        mx.export_function(str(path), lambda x: x.item(), mx.ones(()))
    for bad in ({"a": mx.ones(1)}, 3, [mx.ones(1), [mx.ones(1)]]):
        with pytest.raises(ValueError, match="Outputs can be either a single array, a tuple, or a list of arrays"):
            mx.export_function(str(path), lambda x, bad=bad: bad, mx.ones(3))
    with pytest.raises(ValueError, match="Inputs can either be"):
        mx.export_function(str(path), lambda x: x, 3)
    with pytest.raises(TypeError):
        mx.export_function(str(path), 3)
    with pytest.raises(TypeError):
        mx.FunctionExporter()
    with pytest.raises(RuntimeError, match=r"\[export_function\] Failed to open"):
        mx.export_function(str(tmp_path / "no" / "f"), lambda x: x, mx.ones(3))
    assert list(tmp_path.iterdir()) == []


# ---- functions inside functions ----

def same(a, b, rtol=1e-5):
    for p, q in zip(a, b, strict=True):
        assert p.shape == q.shape and p.dtype == q.dtype
        np.testing.assert_allclose(checks.numbers(p), checks.numbers(q), rtol=rtol, atol=1e-6)


def rnn(x, w):
    return mx.scan(lambda h, v: (mx.tanh(h @ w + v), h * 2), mx.zeros(w.shape[:1]), x)


def newton(x):
    return mx.while_loop(lambda c: mx.abs(c * c - x).sum() > 1e-4, lambda c: (c + x / c) / 2, x)


def either(x):
    return mx.cond(x.sum() > 0, lambda x: mx.exp(x), lambda x: x * 3, x)


def nested(x, w):
    def step(c, v):
        c = mx.cond(v.sum() > 0, lambda c: mx.scan(lambda d, k: (mx.sin(d) + k, None), c, w)[0], lambda c: c * v, c)
        return c, mx.while_loop(lambda n: n < 3, lambda n: n + 1, mx.array(0.5)) + c
    return list(mx.scan(step, mx.ones(w.shape[1:]), x, reverse=True))


W = mx.array(np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)) * 0.5
X = mx.array(np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32))
INNER = {"scan": (rnn, X, W), "scan captures": (lambda x: rnn(x, W), X), "while_loop": (newton, mx.abs(X) + 1), "cond": (either, X), "nested": (nested, X, W),
         "length alone": (lambda x: mx.scan(lambda c, _: (c * x, c), x, length=4)[1], X),
         "checkpointed": (lambda x: mx.scan(lambda c, v: (c * v + mx.sin(c), c), mx.ones(3), x, checkpoint=True)[1], X),
         "associative_scan": (lambda x: mx.associative_scan(lambda a, b: a * b, x), X),
         "checkpoint inside": (lambda x: mx.scan(lambda c, v: (mx.checkpoint(lambda a: mx.sin(a) * v)(c), c), mx.ones(3), x)[1], X),
         "integers and constants": (lambda x: mx.scan(lambda c, v: ((c[0] + 1, c[1] + v * mx.array([1.0, 2.0, 3.0])), (c[0], mx.zeros(40))), (0, mx.ones(3)), x)[1][0], X)}


@pytest.mark.parametrize("name", INNER)
def test_control_flow(name, tmp_path):
    """As it is, with the transforms before the export, and with the transforms after the import."""
    f, *arrays = INNER[name]
    numbers = tuple(range(len(arrays)))

    def flat(*xs):
        result = f(*xs)
        return list(result) if isinstance(result, (list, tuple)) else [result]

    def loss(*xs):
        return sum((mx.sin(y.astype(mx.float32)) * y).sum() for y in flat(*xs))
    g = round_trip(tmp_path / "f", flat, arrays)
    same(mx.compile(lambda *xs: g(*xs))(*arrays), flat(*arrays))
    stacked = [mx.stack([x, x * 0.5 + 0.3]) for x in arrays]
    same(mx.vmap(lambda *xs: g(*xs))(*stacked), mx.vmap(flat)(*stacked))
    round_trip(tmp_path / "again", g, arrays)
    round_trip(tmp_path / "vmapped", mx.vmap(flat), stacked)
    same(mx.jvp(lambda *xs: g(*xs), arrays, arrays)[1], mx.jvp(flat, arrays, arrays)[1])
    if name not in ("while_loop", "nested"):
        same(mx.grad(lambda *xs: sum((mx.sin(y.astype(mx.float32)) * y).sum() for y in g(*xs)), numbers)(*arrays), mx.grad(loss, numbers)(*arrays))
        second = round_trip(tmp_path / "grad", mx.grad(loss, numbers), arrays)
        if len(arrays) == 1:
            same([mx.grad(lambda x: second(x)[0].sum())(*arrays)], [mx.grad(lambda x: mx.grad(loss)(x).sum())(*arrays)], rtol=1e-4)


def test_control_flow_of_any_shape(tmp_path):
    step = lambda h, v: (mx.tanh(h + v), h * 2)  # noqa: E731
    for f, shapes in [(lambda x: mx.scan(step, mx.zeros_like(x[0]) if False else mx.array(0.0), x), [(4,), (7,), (1,)]),
                      (lambda h, x: mx.scan(step, h, x), [((3,), (4, 3)), ((2,), (6, 2)), ((5,), (1, 5))]),
                      (newton, [(3,), (5,), (1,)]), (either, [(2, 3), (4, 1), (1, 7)])]:
        first, *others = [[mx.array(np.random.default_rng(0).uniform(0.5, 2, s).astype(np.float32)) for s in (shape if isinstance(shape[0], tuple) else [shape])]
                          for shape in shapes]
        g = round_trip(tmp_path / "f", f, first, shapeless=True)
        traces = []
        h = mx.compile(lambda *xs, f=f: (traces.append(1), f(*xs))[1], shapeless=True)
        for arrays in (first, *others):
            want = f(*arrays)
            same(g(*arrays), want if isinstance(want, tuple) else [want])
            got = h(*arrays)
            same(got if isinstance(got, tuple) else [got], want if isinstance(want, tuple) else [want])
        assert len(traces) == 1
        for arrays in others:
            n = len(arrays) - 1
            same([mx.grad(lambda *xs: mx.stop_gradient(g(*xs)[0]).sum() + xs[n].sum(), n)(*arrays)], [mx.ones_like(arrays[n])])
            if f is not newton:
                same([mx.grad(lambda *xs: g(*xs)[0].sum(), n)(*arrays)], [mx.grad(lambda *xs: (r := f(*xs), r[0] if isinstance(r, tuple) else r)[1].sum(), n)(*arrays)])
    with pytest.raises(ValueError, match=r"cannot be exported for all shapes \(shapeless\)"):
        mx.export_function(str(tmp_path / "g"), lambda x: mx.scan(lambda c, v: (c + v.shape[0], None), mx.zeros(2), x)[0], X, shapeless=True)
    assert not (tmp_path / "g").exists()


def test_rules_of_custom_functions(tmp_path):
    """They are traced when the function is exported, and are the rules of what is imported."""
    calls = []

    @mx.custom_function
    def f(x, y):
        return mx.exp(x) * y, x + y

    @f.vjp
    def f_vjp(primals, cotangents, outputs):
        calls.append("vjp")
        return cotangents[0] * 3 + outputs[0], cotangents[1] * primals[0]

    @f.jvp
    def f_jvp(primals, tangents):
        calls.append("jvp")
        t = [mx.zeros_like(p) if v is None else v for p, v in zip(primals, tangents)]
        return t[0] * 5, t[1] * 7
    x, y = mx.array([1.0, 2.0]), mx.array([3.0, -1.0])
    g = round_trip(tmp_path / "f", f, [x, y])
    assert sorted(set(calls)) == ["jvp", "vjp"]
    calls.clear()
    for h in (f, g):
        same(mx.vjp(lambda *a, h=h: h(*a), [x, y], [x, y])[1], [x * 3 + mx.exp(x) * y, y * x])
        same(mx.jvp(lambda *a, h=h: h(*a), [x, y], [y, x])[1], [y * 5, x * 7])
        same(mx.jvp(lambda a, h=h: h(a, y), [x], [y])[1], [y * 5, mx.zeros(2)])
        same(mx.vmap(mx.grad(lambda *a, h=h: h(*a)[0].sum()))(mx.stack([x, y]), mx.stack([y, y])), mx.stack([3 + mx.exp(x) * y, 3 + mx.exp(y) * y]))
        same([mx.compile(mx.grad(lambda *a, h=h: h(*a)[0].sum()))(x, y)], [3 + mx.exp(x) * y])
        same(mx.vmap(lambda *a, h=h: h(*a))(mx.stack([x, y]), mx.stack([y, y])), mx.vmap(f)(mx.stack([x, y]), mx.stack([y, y])))
    n = len(calls)
    g(x, y)
    again = round_trip(tmp_path / "again", g, [x, y])
    same([mx.grad(lambda a: again(a, y)[0].sum())(x)], [3 + mx.exp(x) * y])
    assert len(calls) == n      # the file needs no Python function
    h = round_trip(tmp_path / "f", mx.grad(lambda x: f(x, y)[0].sum()), [x])      # here the rule has been applied
    same(h(x), [3 + mx.exp(x) * y])


def test_custom_functions_in_loops_and_of_any_shape(tmp_path):
    @mx.custom_function
    def clipped(x):
        return mx.sin(x)

    @clipped.vjp
    def _(primal, cotangent, output):
        return mx.clip(cotangent, -0.5, 0.5) * output

    def f(x):
        return mx.scan(lambda c, v: (clipped(c + v), c), mx.zeros((3,)), x)[0]
    g = round_trip(tmp_path / "f", f, [X])
    same([mx.grad(lambda x: g(x)[0].sum())(X)], [mx.grad(lambda x: f(x).sum())(X)])
    g = round_trip(tmp_path / "any", clipped, [X], shapeless=True)
    x = mx.array([[4.0, 5.0, 6.0, 7.0]])
    same(g(x), [mx.sin(x)])
    same([mx.grad(lambda x: (g(x)[0] * 9).sum())(x)], [0.5 * mx.sin(x)])


def test_rules_that_no_file_can_hold(tmp_path):
    path = tmp_path / "f"

    @mx.custom_function
    def f(x):
        return mx.exp(x)

    @f.vjp
    def f_vjp(primal, cotangent, output):
        return cotangent * output.sum().item()
    with pytest.raises(ValueError, match="Attempting to eval an array during function transformations"):
        mx.export_function(str(path), f, mx.ones(2))

    @mx.custom_function
    def endless(x):
        return mx.exp(x)

    @endless.vjp
    def _(primal, cotangent, output):
        return cotangent * endless(primal)
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        mx.export_function(str(path), endless, mx.ones(2))
    assert not path.exists()


# ---- imported functions are functions ----

def test_transforms_of_an_imported_function(tmp_path):
    def f(x, y):
        return mx.sin(x) * y + x.sum()
    x, y = mx.random.normal((3,)), mx.random.normal((3,))
    g = round_trip(tmp_path / "f", f, [x, y])

    def first(*args):
        return g(*args)[0]
    for a, b in [(mx.grad(lambda *a: first(*a).sum(), (0, 1))(x, y), mx.grad(lambda *a: f(*a).sum(), (0, 1))(x, y)),
                 (mx.jvp(first, [x, y], [y, x])[1], mx.jvp(f, [x, y], [y, x])[1]),
                 (mx.compile(first)(x, y), f(x, y)),
                 (mx.vmap(first)(mx.stack([x, y]), mx.stack([y, x])), mx.vmap(f)(mx.stack([x, y]), mx.stack([y, x])))]:
        for p, q in zip(a if isinstance(a, (list, tuple)) else [a], b if isinstance(b, (list, tuple)) else [b]):
            np.testing.assert_allclose(np.array(p), np.array(q), rtol=1e-6)
    round_trip(tmp_path / "again", g, [x, y])


# ---- callbacks ----

def steps_of(f, *args, **kwargs):
    steps = []
    mx.export_function(steps.append, f, *args, **kwargs)
    return steps


def test_a_trace_is_told_to_a_callback():
    steps = steps_of(lambda x, *, w: mx.exp(x) @ w + 2, mx.ones((2, 3)), w=mx.ones((3, 4)))
    f32 = mx.float32
    assert steps[0] == {"type": "inputs", "inputs": [("A", (2, 3), f32), ("B", (3, 4), f32)]}
    assert steps[1] == {"type": "keyword_inputs", "keywords": [("w", "B")]}
    assert steps[2] == {"type": "outputs", "outputs": [("C", (2, 4), f32)]}
    (name, value), = steps[3]["constants"]
    assert steps[3]["type"] == "constants" and name == "D" and value.item() == 2
    assert steps[4] == {"type": "primitive", "name": "Exp", "inputs": [("A", (2, 3), f32)], "outputs": [("E", (2, 3), f32)], "arguments": []}
    assert [s["name"] for s in steps[4:]] == ["Exp", "Matmul", "Add"]
    assert steps[-1]["outputs"][0][0] == "C"
    with pytest.raises(ZeroDivisionError):
        mx.export_function(lambda step: 1 / 0, lambda x: x, mx.ones(1))


I = mx.array([1, 0])


@pytest.mark.parametrize("f, name, arguments", [   # as the real MLX tells them
    (lambda x: x.sum(axis=0, keepdims=True), "Reduce", [2, [0]]),
    (lambda x: x.max(axis=1, keepdims=True), "Reduce", [5, [1]]),
    (lambda x: x.reshape(2, 8), "Reshape", [(2, 8)]),
    (lambda x: x.T, "Transpose", [[1, 0]]),
    (lambda x: x[1:3, ::2], "Slice", [(1, 0), (3, 4), (1, 2)]),
    (lambda x: mx.broadcast_to(x, (2, 4, 4)), "Broadcast", [(2, 4, 4)]),
    (lambda x: x[None], "ExpandDims", [[0]]),
    (lambda x: x.astype(mx.int32), "AsType", [mx.int32]),
    (lambda x: x.view(mx.int32), "View", [mx.int32]),
    (lambda x: mx.concatenate([x, x]), "Concatenate", [0]),
    (lambda x: mx.slice(x, mx.array([0]), [0], [2, 4]), "DynamicSlice", [[0], (2, 4)]),
    (lambda x: mx.cumsum(x, axis=1, reverse=True), "Scan", [2, 1, True, True]),
    (lambda x: mx.cummax(x, axis=0), "Scan", [0, 0, False, True]),
    (lambda x: mx.softmax(x, axis=1), "Softmax", [False]),
    (lambda x: mx.sort(x, axis=0), "Sort", [0]),
    (lambda x: mx.partition(x, 2), "Partition", [2, 1]),
    (lambda x: mx.argmax(x, axis=1, keepdims=True), "ArgReduce", [1, 1]),
    (lambda x: mx.addmm(x, x, x), "AddMM", [1.0, 1.0]),
    (lambda x: mx.sqrt(x), "Sqrt", [False]),
    (lambda x: mx.rsqrt(x), "Sqrt", [True]),
    (lambda x: mx.log10(x), "Log", [1]),
    (lambda x: mx.equal(x, x.T), "Equal", [False]),
    (lambda x: x.at[1:2].add(1), "SliceUpdate", [2, (1, 0), (2, 4), (1, 1)]),
    (lambda x: x.at[I].multiply(1), "Scatter", [3, [0]]),
    (lambda x: mx.put_along_axis(x, mx.zeros((4, 1), mx.int32), mx.array(1.0), axis=1), "ScatterAxis", [1, 1]),
    (lambda x: mx.linalg.svd(x, stream=mx.cpu), "SVD", [True]),
    (lambda x: mx.linalg.eigvalsh(x, stream=mx.cpu), "Eigh", ["L", False]),
    (lambda x: mx.fft.ifft(x.astype(mx.complex64), axis=0), "FFT", [[0], True, False, False]),
])
def test_primitives_have_mlx_names_and_arguments(f, name, arguments):
    found = [s["arguments"] for s in steps_of(f, mx.ones((4, 4))) if s["type"] == "primitive" and s["name"] == name]
    assert found == [arguments]


def test_labels_in_graphs_are_mlx_ones(tmp_path):
    x = mx.ones((4, 4))
    mx.eval(x)

    def labels(y):
        mx.export_to_dot(str(tmp_path / "g.dot"), y)
        text = (tmp_path / "g.dot").read_text()
        return [line.split('"')[1] for line in text.splitlines() if "label" in line]
    for y, label in [(x.sum(axis=0, keepdims=True), "Sum"), (x.min(axis=0, keepdims=True), "Min"), ((x > 0).all(axis=0, keepdims=True), "And"),
                     (mx.cumprod(x, axis=0), "CumProd"), (mx.log2(x), "Log2"), (I & I, "BitwiseAnd"), (I << I, "LeftShift"), (x.view(mx.int32), "View int32"),
                     (x.at[1:2].maximum(1), "SliceUpdate Max"), (x.at[I].add(1), "Scatter Sum")]:
        assert labels(y)[-1] == label


# ---- files that lie ----

@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    path = tmp_path_factory.mktemp("valid") / "f"
    c = mx.array([[1.0, 2.0, 3.0, 4.0]])
    mx.export_function(str(path), lambda x, y: [mx.softmax(x[1:, I] @ y, axis=-1), mx.linalg.qr(x, stream=mx.cpu)[0], c + x.sum()],
                       mx.ones((3, 4)), mx.ones((2, 5)))
    return path.read_bytes()


@pytest.fixture(scope="module")
def valid_inner(tmp_path_factory):
    path = tmp_path_factory.mktemp("valid") / "f"

    @mx.custom_function
    def rule(x):
        return mx.exp(x)

    @rule.vjp
    def _(primal, cotangent, output):
        return cotangent * output * 2

    def f(x, y):
        c, ys = mx.scan(lambda c, v: (mx.cond(v.sum() > 0, lambda c: rule(c), lambda c: c + v, c), c), mx.ones(4), x)
        return [c, ys, mx.while_loop(lambda n: n < 3, lambda n: n + 1, y.sum())]
    mx.export_function(str(path), f, mx.ones((3, 4)), mx.ones((2, 5)))
    return path.read_bytes()


def test_truncated_and_changed_graphs_inside_graphs(valid_inner, tmp_path):
    path, rng = tmp_path / "f", random.Random(1)
    for n in range(0, len(valid_inner), 3):
        path.write_bytes(valid_inner[:n])
        with pytest.raises(RuntimeError, match=r"\[import_function\]"):
            mx.import_function(str(path))
    read = 0
    for _ in range(2000):
        data = bytearray(valid_inner)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(24, len(data))] = rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])
        path.write_bytes(data)
        try:
            mx.import_function(str(path))
            read += 1
        except (RuntimeError, ValueError, IndexError):
            pass
    assert 0 < read < 2000
    path.write_bytes(valid_inner)
    assert len(mx.import_function(str(path))(mx.ones((3, 4)), mx.ones((2, 5)))) == 3


def test_every_truncation_is_an_error(valid, tmp_path):
    path = tmp_path / "f"
    for n in range(0, len(valid)):
        path.write_bytes(valid[:n])
        with pytest.raises(RuntimeError, match=r"\[import_function\]"):
            mx.import_function(str(path))
    path.write_bytes(valid + b"x")
    with pytest.raises(RuntimeError, match="more bytes"):
        mx.import_function(str(path))


def test_changed_bytes_are_errors_or_functions(valid, tmp_path):
    path, rng = tmp_path / "f", random.Random(0)
    x, y = mx.ones((3, 4)), mx.ones((2, 5))
    for _ in range(1500):
        data = bytearray(valid)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])
        path.write_bytes(data)
        try:
            mx.import_function(str(path))
        except (RuntimeError, ValueError, IndexError):
            pass
    path.write_bytes(valid)
    assert len(mx.import_function(str(path))(x, y)) == 3


def test_other_versions_and_other_files(valid, tmp_path):
    path = tmp_path / "f"
    for data, message in [(b"PK\x03\x04" + bytes(100), "does not begin as one"), (valid[:8] + b"\x04" + valid[9:], "has version 4"),
                          (valid.replace(b"softmax", b"soft4ax"), "does not know"), (valid.replace(b"p: precise", b"p: presise"), "another version")]:
        path.write_bytes(data)
        with pytest.raises(RuntimeError, match=message):
            mx.import_function(str(path))
    path.write_bytes(valid[:8] + b"\x01" + valid[9:])      # what version 1 had is as it was
    assert len(mx.import_function(str(path))(mx.ones((3, 4)), mx.ones((2, 5)))) == 3
    with pytest.raises(RuntimeError, match=r"\[import_function\] Failed to open"):
        mx.import_function(str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="not a regular file"):
        mx.import_function(str(tmp_path))
