"""Functions written to files and read back: every op of the tables, signatures, constants, transforms, and files that lie."""

import random

import mlx.core as mx
import numpy as np
import pytest

import checks
import table
from structured_cases import CASES

CONTROL = {"loop", "while_loop", "cond"}        # they hold functions, and files do not: refused
CASES = [case for case in CASES if case.op not in CONTROL]


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


CONTROL = {"loop", "while_loop", "cond"}  # hold graphs of their own, which the format has no place for


@pytest.mark.parametrize("case", [c for c in CASES if c.op in CONTROL], ids=repr)
def test_control_flow_is_refused(case, tmp_path):
    with pytest.raises(NotImplementedError, match=r"\[(loop|while_loop|cond)\] Not implemented"):
        round_trip(tmp_path / "f", case.f, [mx.array(x) for x in case.arrays("float32")])


@pytest.mark.parametrize("case", [c for c in CASES if c.op not in CONTROL], ids=repr)
def test_every_structured_op(case, tmp_path):
    round_trip(tmp_path / "f", case.f, [mx.array(x) for x in case.arrays("float32")])


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable and c.op not in CONTROL], ids=repr)
def test_gradients_of_every_structured_op(case, tmp_path):
    arrays = [mx.array(x) for x in case.arrays("float32")]
    everything = list(range(len(arrays)))
    g = round_trip(tmp_path / "f", case.f, arrays)
    want = mx.grad(lambda *xs: case.f(*xs).sum(), everything)(*arrays)
    got = mx.grad(lambda *xs: g(*xs)[0].sum(), everything)(*arrays)
    for a, b in zip(got, want):
        np.testing.assert_allclose(checks.numbers(a), checks.numbers(b), rtol=1e-5, atol=1e-6)
    round_trip(tmp_path / "grad", mx.grad(lambda *xs: case.f(*xs).sum(), everything), arrays)


def on_cpu(name, how=None, **rest):
    def f(x):
        y = x @ x.T + 4 * mx.eye(4) if name != "qr" else x      # positive definite, and far from singular
        return getattr(mx.linalg, name)(y, **(how or {}), stream=mx.cpu)
    return f


# The rows of ops/structured.def that have no case in structured_cases.py.
OTHERS = {
    "view": lambda x: x.view(mx.int16),
    "fft": lambda x: mx.fft.fft(x.astype(mx.complex64), axis=0),
    "random_bits": lambda x: mx.random.uniform(shape=(3,), key=x.view(mx.uint32)[0, :2]) if x.ndim else x,
    "inverse": on_cpu("inv"), "cholesky": on_cpu("cholesky"), "det": on_cpu("det"), "slogdet": on_cpu("slogdet"), "qr": on_cpu("qr"),
    "lu_factor": on_cpu("lu_factor"), "svd": on_cpu("svd"), "svdvals": on_cpu("svd", {"compute_uv": False}), "eigh": on_cpu("eigh"),
    "eigvalsh": on_cpu("eigvalsh"), "eig": on_cpu("eig"), "eigvals": on_cpu("eigvals"),
    "solve": lambda x: mx.linalg.solve(x + 4 * mx.eye(4), x, stream=mx.cpu),
    "rfft": lambda x: mx.fft.rfft(x), "irfft": lambda x: mx.fft.irfft(mx.fft.rfft(x)), "from_fp8": lambda x: mx.from_fp8(mx.to_fp8(x)),
    "to_fp8": mx.to_fp8, "quantize": lambda x: mx.quantize(mx.tile(x, (1, 16)), group_size=32, bits=4),
    "random_loggamma": lambda x: mx.random.gamma(x * x + 1, key=mx.random.key(1)),
    "loggamma_grad": mx.grad(lambda x: mx.random.gamma(x * x + 1, key=mx.random.key(1)).sum()),
    "random_poisson": lambda x: mx.random.poisson(x * x, key=mx.random.key(1)),
    "expm": on_cpu("expm"), "lstsq": lambda x: mx.linalg.lstsq(x, x[:, :2], stream=mx.cpu)[0],
    "solve_triangular": lambda x: mx.linalg.solve_triangular(x + 4 * mx.eye(4), x, stream=mx.cpu),
}


def test_no_row_is_without_a_round_trip():
    """arange takes no array, so an export stores what it gives; primitive: test_custom_primitive.py."""
    assert set(table.structured) == {case.op for case in CASES} | set(OTHERS) | {"arange", "primitive"} | CONTROL


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
        mx.export_function(str(tmp_path / "g"), lambda x: mx.as_strided(x, (2, 2), (1, 1)), mx.ones((2, 3)), shapeless=True)
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


def test_rules_of_custom_functions_cannot_be_exported(tmp_path):
    @mx.custom_function
    def f(x):
        return mx.exp(x)

    @f.vjp
    def f_vjp(primals, cotangents, outputs):
        return cotangents * 3
    x = mx.ones(2)
    with pytest.raises(ValueError, match="CustomTransforms"):
        mx.export_function(str(tmp_path / "f"), f, x)
    g = round_trip(tmp_path / "f", mx.grad(lambda x: f(x).sum()), [x])      # here the rule has been applied
    assert g(x)[0].tolist() == [3, 3]


def test_control_flow_is_refused(tmp_path):
    if not hasattr(mx, "cond"):
        pytest.skip("no control flow")
    with pytest.raises(NotImplementedError, match="which a file cannot hold yet"):
        mx.export_function(str(tmp_path / "f"), lambda x: mx.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, x), mx.ones(3))


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
    for data, message in [(b"PK\x03\x04" + bytes(100), "does not begin as one"), (valid[:8] + b"\x02" + valid[9:], "has version 2"),
                          (valid.replace(b"softmax", b"soft4ax"), "does not know"), (valid.replace(b"p: precise", b"p: presise"), "another version")]:
        path.write_bytes(data)
        with pytest.raises(RuntimeError, match=message):
            mx.import_function(str(path))
    with pytest.raises(RuntimeError, match=r"\[import_function\] Failed to open"):
        mx.import_function(str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="not a regular file"):
        mx.import_function(str(tmp_path))
