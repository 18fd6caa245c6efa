"""Every op of the tables, traced once and called with three sets of shapes: shapeless compile, and shapeless export where the op is not made
for the shapes of its trace. The sets are found by changing the sizes of a case's axes, wherever the case itself still runs."""

import mlx.core as mx
import numpy as np
import pytest

import checks
import table
from structured_cases import CASES, OTHERS
from test_elementwise import inputs

SHAPES = [(3, 4), (5, 2), (1, 7)]

# Cases whose function names sizes in its code, so that it runs for its own shapes only, or for two.
FIXED = {"as_strided", "as_strided_grad", "bincount", "broadcast_to", "dequantize", "gather_mm", "gather_qmm", "masked_scatter", "quantized_matmul",
         "scatter"}
HALF_FIXED = {("reshape", "of transposed"), ("dynamic_slice_update", "start"), ("reshape", "max pool"), ("slice_update", "assign"), ("conv_grad_input", "2d")}


def changed(shapes, size, to):
    return [tuple(to if n == size else n for n in shape) for shape in shapes]


def runs(case, shapes):
    try:
        mx.eval(case.f(*[mx.array(x) for x in case.arrays("float32", shapes)]))
        return True
    except (ValueError, IndexError):
        return False


def sets_of_shapes(case):
    """The case's own shapes, and up to two more."""
    found = [case.shapes] + ([case.other_shapes] if case.other_shapes else [])
    sizes = sorted({n for shape in case.shapes for n in shape if n > 1}, reverse=True)
    for by in (2, 1, 3):
        for size in sizes:
            more = changed(case.shapes, size, size * by if by > 1 else size + 1)
            if len(found) < 3 and more not in found and runs(case, more):
                found.append(more)
    return found


@pytest.mark.parametrize("op", table.elementwise + table.reductions, ids=repr)
def test_elementwise_ops_and_reductions(op, tmp_path):
    dtype = next(d for d in ("float32", "int32", "bool") if d in op.dtypes)
    traces = []
    f = mx.compile(lambda *xs: (traces.append(1), op.mx(*xs))[1], shapeless=True)
    calls = [inputs(op, dtype, [shape] * op.arity)[1] for shape in SHAPES]
    mx.export_function(str(tmp_path / "f"), op.mx, *calls[0], shapeless=True)
    g = mx.import_function(str(tmp_path / "f"))
    for arrays in calls:
        for got in (f(*arrays), g(*arrays)[0]):
            want = op.mx(*arrays)
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_array_equal(checks.numbers(got), checks.numbers(want))
    assert len(traces) == 1


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_structured_ops(case, tmp_path):
    f = mx.compile(lambda *xs: checks.listed(case.f(*xs)), shapeless=True)
    calls = [[mx.array(x) for x in case.arrays("float32", shapes, seed)] for seed, shapes in enumerate(sets_of_shapes(case))]
    assert len(calls) == 3 or case.op in FIXED or (case.op, case.name) in HALF_FIXED
    try:
        mx.export_function(str(tmp_path / "f"), case.f, *calls[0], shapeless=True)
        g = mx.import_function(str(tmp_path / "f"))
    except ValueError as e:
        assert "cannot be exported for all shapes (shapeless)" in str(e)
        g = None
    for arrays in [*calls, calls[0]]:
        want = checks.listed(case.f(*arrays))
        for result in (f(*arrays), g(*arrays) if g else want):
            for a, b in zip(result, want, strict=True):
                assert a.dtype == b.dtype and a.shape == b.shape
                np.testing.assert_array_equal(checks.numbers(a), checks.numbers(b))


@pytest.mark.parametrize("op", sorted(set(OTHERS) - {"random_bits"}))
def test_other_ops(op):
    """Matrices of three sizes, through compile with a trace for each and with one for all; and a batch of them against a loop."""
    rng = np.random.default_rng(0)
    calls = [[mx.array(rng.normal(size=(n, n)).astype(np.float32))] for n in (4, 6, 2)]
    checks.compiled(OTHERS[op], *calls)


NOT_BATCHED = {"qr", "lu_factor", "eig", "eigvals",    # refused by MLX, too, or: signs and order are free
               "random_bits", "random_loggamma", "loggamma_grad", "random_poisson"}     # draws of a batch are other draws


@pytest.mark.parametrize("op", sorted(set(OTHERS) - NOT_BATCHED))
def test_other_ops_over_a_batch(op):
    x = mx.array(np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32))
    got = checks.listed(mx.vmap(OTHERS[op])(x))
    want = [checks.listed(OTHERS[op](x[i])) for i in range(3)]
    for k, g in enumerate(got):
        for i in range(3):
            np.testing.assert_allclose(np.abs(checks.numbers(g[i])), np.abs(checks.numbers(want[i][k])), rtol=1e-4, atol=1e-5)
