"""Every row of ops/elementwise.def: values and dtypes against NumPy, gradients, vmap, compile."""

import mlx.core as mx
import numpy as np
import pytest

import checks
import table

by_name = pytest.mark.parametrize("op", table.elementwise, ids=repr)
differentiable = pytest.mark.parametrize("op", [op for op in table.elementwise if op.differentiable], ids=repr)


def inputs(op, dtype, shapes, seed=0):
    kinds = ["bool", dtype, dtype] if op.kind == "TERNARY" else [dtype] * op.arity
    values = [op.sample(kind, shape, i, seed) for i, (kind, shape) in enumerate(zip(kinds, shapes))]
    return values, [table.to_mx(v, kind) for v, kind in zip(values, kinds)]


def reference(op, dtype, values):
    """What NumPy gives, in wide precision; integers and bool wrap as their own dtype does."""
    values = [table.wide(v) if v.dtype.kind in "fc" else v for v in values]
    if op.computes_in(dtype) != dtype:
        values = [v.astype(np.float64) for v in values]
    if op.name in ("logical_not", "logical_and", "logical_or"):
        values = [v.astype(bool) for v in values]
    if dtype == "bool" and op.name in ("subtract", "square", "sign", "rint", "floor_divide", "remainder", "power"):
        values = [v.astype(np.uint8) for v in values]
    want = np.asarray(op.np(*values))
    kind = op.gives(dtype)
    return want if kind in table.FLT + table.CPX else want.astype(kind)


@by_name
@pytest.mark.parametrize("dtype", table.ALL)
def test_matches_numpy(op, dtype):
    if op.computes_in(dtype) is None or (op.name, dtype) in table.NOT_IN_NUMPY:
        pytest.skip("not defined for this dtype")
    for shape in table.SHAPES:
        values, arrays = inputs(op, dtype, [shape] * op.arity)
        table.close(op.mx(*arrays), reference(op, dtype, values), op.gives(dtype), scale=2)


@by_name
@pytest.mark.parametrize("shapes", [[(3, 1, 5), (4, 1), (5,)], [(1,), (2, 3), ()], [(), (7,), (1, 1)], [(0, 3), (1, 3), (3,)]],
                         ids=str)
def test_broadcasts(op, shapes):
    dtype = "int32" if "float32" not in op.dtypes else "float32"
    if op.kind == "UNARY" or op.arity == 1:
        pytest.skip("one operand")
    if dtype not in op.dtypes:
        dtype = "bool"
    values, arrays = inputs(op, dtype, shapes)
    table.close(op.mx(*arrays), reference(op, dtype, values), op.gives(dtype), scale=2)


@by_name
def test_strided_inputs(op):
    dtype = next(d for d in ("float32", "int32", "bool") if d in op.dtypes)
    values, arrays = inputs(op, dtype, [(6, 8, 5)] * op.arity)
    for view in (lambda x: x[::2, 1:7:3], lambda x: x.transpose(2, 0, 1), lambda x: x[::-1, :, 2:4], lambda x: x[:, 3, ::-2]):
        table.close(op.mx(*map(view, arrays)), reference(op, dtype, [view(v) for v in values]), op.gives(dtype), scale=2)


SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 1e30, -1e30, 1e-30, 88.0, -88.0, 100.0, -110.0, 1e-40]
# MLX decides otherwise than NumPy, or the argument reduction of huge values is not asked for.
UNLIKE_NUMPY = {"sign": {np.nan}, "sin": {1e30, -1e30}, "cos": {1e30, -1e30}, "tan": {1e30, -1e30}}


@pytest.mark.parametrize("op", [op for op in table.elementwise if op.arity == 1 and "float32" in op.dtypes], ids=repr)
def test_special_values(op):
    skip = UNLIKE_NUMPY.get(op.name, set())
    x = np.array([v for v in SPECIAL if not (v in skip or (v != v and any(s != s for s in skip)))], np.float32)
    got, want = table.to_np(op.mx(mx.array(x))), op.np(x.astype(np.float64))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, want.astype(got.dtype), rtol=5e-6, atol=2e-38)


@by_name
def test_float_loop_tails_equal_bodies(op):
    """A value's result does not depend on where it stands in the array."""
    if "float32" not in op.dtypes or op.arity != 1:
        pytest.skip("float32 of one operand")
    values, arrays = inputs(op, "float32", [(67,)])
    whole = table.to_np(op.mx(arrays[0]))
    single = np.array([table.to_np(op.mx(arrays[0][i:i + 1]))[0] for i in range(0, 67, 11)])
    np.testing.assert_array_equal(whole[::11], single)


@differentiable
def test_gradient(op):
    if "float64" not in op.dtypes:
        pytest.skip("complex only")
    shapes = [(3, 4)] * op.arity
    _, arrays = inputs(op, "float64", shapes)
    if op.kind == "TERNARY":
        checks.gradient(lambda *rest: op.mx(arrays[0], *rest), arrays[1:])
    else:
        checks.gradient(op.mx, arrays)


@pytest.mark.parametrize("op", [op for op in table.elementwise if op.differentiable and op.arity > 1], ids=repr)
def test_gradient_of_broadcast_inputs(op):
    shapes = [(3, 1), (2, 1, 4), (4,)][-op.arity:]
    _, arrays = inputs(op, "float64", shapes)
    if op.kind == "TERNARY":
        checks.gradient(lambda *rest: op.mx(arrays[0], *rest), arrays[1:])
    else:
        checks.gradient(op.mx, arrays)


@differentiable
def test_second_derivative(op):
    if op.arity != 1 or "float64" not in op.dtypes:
        pytest.skip("one real operand")
    _, arrays = inputs(op, "float64", [(5,)])
    checks.gradient(mx.grad(lambda x: op.mx(x).sum()), arrays)


@pytest.mark.parametrize("op", [op for op in table.elementwise if op.differentiable and "complex64" in op.dtypes
                                and op.arity < 3 and op.result == "SAME" and op.kind != "UNARY_OWN"
                                and op.name not in ("sign", "maximum", "minimum", "remainder")], ids=repr)
def test_complex_gradient(op):
    """jvp is the derivative, vjp its conjugate's transpose: one is the adjoint of the other."""
    _, arrays = inputs(op, "complex64", [(6,)] * op.arity)
    tangents = inputs(op, "complex64", [(6,)] * op.arity, seed=1)[1]
    cotangent = inputs(op, "complex64", [(6,)] * op.arity, seed=2)[1][0]
    _, (jvp,) = mx.jvp(op.mx, arrays, tangents)
    _, vjps = mx.vjp(op.mx, arrays, [cotangent])
    c, j = table.to_np(cotangent), table.to_np(jvp)
    forward = (c.conj() * j).sum()
    backward = sum((table.to_np(v).conj() * table.to_np(t)).sum() for v, t in zip(vjps, tangents))
    np.testing.assert_allclose(backward, forward, rtol=1e-4)
    eps = 1e-4
    wide = [table.wide(table.to_np(a)) for a in arrays]
    steps = [eps * table.wide(table.to_np(t)) for t in tangents]
    change = (op.np(*(a + s for a, s in zip(wide, steps))) - op.np(*(a - s for a, s in zip(wide, steps)))) / (2 * eps)
    np.testing.assert_allclose(j, change, rtol=2e-4, atol=2e-4)


@by_name
def test_vmap(op):
    dtype = next(d for d in ("float32", "int32", "bool") if d in op.dtypes)
    _, arrays = inputs(op, dtype, [(3, 4)] * op.arity)
    checks.vmap(op.mx, arrays)


@by_name
def test_compile(op):
    dtype = next(d for d in ("float32", "int32", "bool") if d in op.dtypes)
    checks.compiled(op.mx, *[inputs(op, dtype, [shape] * op.arity)[1] for shape in ((3, 4), (3, 4), (5, 2))])


@pytest.mark.parametrize("op", [op for op in table.elementwise if op.arity == 2], ids=repr)
def test_shapes_that_do_not_broadcast_are_refused(op):
    dtype = next(d for d in ("float32", "int32", "bool") if d in op.dtypes)
    _, arrays = inputs(op, dtype, [(2, 3), (4,)])
    with pytest.raises(ValueError, match=r"\(2,3\).*\(4\).*broadcast"):
        op.mx(*arrays)


def test_derivatives_of_a_complex_sign_and_second_ones_of_abs():
    def f(x, y):
        return mx.real(mx.sign(x + 1j * y) * (2 - 3j))
    x, y, eps = np.float64(0.7), np.float64(-1.2), 1e-6

    def g(x, y):
        z = x + 1j * y
        return (z / abs(z) * (2 - 3j)).real
    want = [(g(x + eps, y) - g(x - eps, y)) / (2 * eps), (g(x, y + eps) - g(x, y - eps)) / (2 * eps)]
    a, b = mx.array(x, mx.float32), mx.array(y, mx.float32)
    np.testing.assert_allclose([d.item() for d in mx.grad(f, (0, 1))(a, b)], want, rtol=1e-5)
    np.testing.assert_allclose([mx.jvp(f, [a, b], t)[1][0].item() for t in ([mx.array(1.0), mx.array(0.0)], [mx.array(0.0), mx.array(1.0)])], want, rtol=1e-5)
    r = np.hypot(x, y)
    hessian = mx.hessian(lambda v: mx.abs(v[0] + 1j * v[1]))(mx.stack([a, b]))
    np.testing.assert_allclose(np.array(hessian), [[y * y / r**3, -x * y / r**3], [-x * y / r**3, x * x / r**3]], rtol=1e-5)
    assert mx.grad(lambda v: mx.abs(mx.sign(v)).sum())(mx.array([0j])).item() == 0
