"""Every row of ops/structured.def by the cases of structured_cases.py, and that no row is without one."""

import mlx.core as mx
import numpy as np
import pytest

import checks
import table
from structured_cases import CASES, WITHOUT_CASE

every = pytest.mark.parametrize("case", CASES, ids=repr)


def test_every_row_has_a_case():
    covered = {case.op for case in CASES} | set(WITHOUT_CASE)
    assert sorted(set(table.structured) - covered) == []
    assert sorted(set(WITHOUT_CASE) - set(table.structured)) == []


@every
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_matches_numpy(case, dtype):
    if case.np is None:
        pytest.skip("no reference")
    values = [table.rounded(x, dtype) for x in case.arrays()]
    got = case.f(*[table.to_mx(v, dtype) for v in values])
    want = case.np(*[v.astype(np.float64) for v in values])
    tolerance = {"float32": 1e-5, "float64": 1e-9, "float16": 1e-2, "bfloat16": 8e-2}[dtype]
    assert tuple(got.shape) == want.shape
    if case.differentiable and got.dtype != mx.uint32:
        assert table.name_of(got.dtype) == dtype
    np.testing.assert_allclose(checks.numbers(got), want, rtol=tolerance, atol=tolerance)


@every
def test_strided_inputs(case):
    """The same numbers, laid out in memory in other ways."""
    values = case.arrays("float32")

    def reversed_twice(x):
        backwards = (slice(None, None, -1),) * x.ndim
        return mx.array(np.ascontiguousarray(x[backwards]))[backwards]

    def transposed(x):
        return mx.array(np.ascontiguousarray(x.T)).T

    def every_second(x):
        return mx.array(np.repeat(x, 2, axis=-1))[..., ::2]
    want = checks.numbers(case.f(*map(mx.array, values)))
    for layout in (reversed_twice, transposed, every_second):
        np.testing.assert_allclose(checks.numbers(case.f(*map(layout, values))), want, rtol=1e-5, atol=1e-6, err_msg=layout.__name__)


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=repr)
def test_gradient(case):
    checks.gradient(case.f, [table.to_mx(x, "float64") for x in case.arrays()])


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=repr)
def test_second_derivative(case):
    def gradient(*arrays):
        return mx.grad(lambda *xs: (case.f(*xs) ** 2).sum(), argnums=list(range(len(arrays))))(*arrays)
    checks.gradient(gradient, [table.to_mx(x, "float64") for x in case.arrays()], rtol=2e-4)


@pytest.mark.parametrize("case", [c for c in CASES if c.vmap], ids=repr)
def test_vmap(case):
    checks.vmap(case.f, [mx.array(x) for x in case.arrays("float32")])


@pytest.mark.parametrize("case", [c for c in CASES if c.vmap and c.differentiable], ids=repr)
def test_vmap_of_gradient(case):
    def gradient(*arrays):
        return mx.grad(lambda *xs: case.f(*xs).sum(), argnums=list(range(len(arrays))))(*arrays)
    checks.vmap(gradient, [mx.array(x) for x in case.arrays("float32")], rtol=1e-4)


@pytest.mark.parametrize("case", [c for c in CASES if c.compile], ids=repr)
def test_compile(case):
    shapes = [case.shapes, case.shapes, case.other_shapes or case.shapes]
    checks.compiled(case.f, *[[mx.array(x) for x in case.arrays("float32", s, seed)] for seed, s in enumerate(shapes)], may_refuse=case.other_shapes is None)


def test_view_rereads_bits():
    x = mx.array([1.0, -2.5, 3.0], dtype=mx.float32)
    np.testing.assert_array_equal(np.array(x.view(mx.int32)), np.array([1.0, -2.5, 3.0], np.float32).view(np.int32))
    assert x.view(mx.uint8).shape == (12,)
    np.testing.assert_array_equal(np.array(x.view(mx.uint8).view(mx.float32)), np.array(x))
