"""Every row of ops/reduce.def, and what is built on them: values and dtypes against NumPy, gradients, vmap, compile."""

import mlx.core as mx
import numpy as np
import pytest

import checks
import table

by_name = pytest.mark.parametrize("op", table.reductions, ids=repr)
AXES = [None, 0, -1, 1, (0, 2), (2, 0, 1)]


def reference(op, dtype, x, **how):
    x = table.wide(x) if dtype in table.FLT + table.CPX else x.astype(op.gives(dtype))
    want = np.asarray(op.np(x, **how))
    return want if op.gives(dtype) in table.FLT + table.CPX else want.astype(op.gives(dtype))


@by_name
@pytest.mark.parametrize("dtype", table.ALL)
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_matches_numpy(op, dtype, axis):
    if dtype not in op.dtypes:
        pytest.skip("not defined for this dtype")
    x = op.sample(dtype, (3, 5, 4))
    for keepdims in (False, True):
        how = {"axis": axis, "keepdims": keepdims}
        table.close(op.mx(table.to_mx(x, dtype), **how), reference(op, dtype, x, **how), op.gives(dtype), scale=8)


@by_name
@pytest.mark.parametrize("shape, axis", [((1,), 0), ((100_003,), None), ((257, 129), 0), ((257, 129), 1), ((4, 70, 33), (0, 2)),
                                         ((2, 3, 4, 5, 6), (1, 3)), ((1, 5000), -1), ((5000, 1), 0)], ids=str)
def test_many_shapes(op, shape, axis):
    dtype = "float32" if "float32" in op.dtypes else "bool"
    x = op.sample(dtype, shape)
    if op.name == "prod":
        x = (np.exp2(x / 3000) if x.size > 100 else x).astype(np.float32)
    table.close(op.mx(mx.array(x), axis=axis), reference(op, dtype, x, axis=axis), op.gives(dtype), scale=50)


@by_name
def test_strided_inputs(op):
    dtype = "float32" if "float32" in op.dtypes else "bool"
    x = op.sample(dtype, (6, 9, 10))
    for view in (lambda a: a[::2, :, 1:8:3], lambda a: a.transpose(2, 0, 1), lambda a: a[::-1, 4], lambda a: a[:, 2:7:2]):
        for axis in (None, 0, -1):
            table.close(op.mx(view(mx.array(x)), axis=axis), reference(op, dtype, view(x), axis=axis), op.gives(dtype), scale=8)


@by_name
def test_no_axes_reduce_nothing(op):
    dtype = "float32" if "float32" in op.dtypes else "bool"
    x = op.sample(dtype, (3, 2))
    np.testing.assert_array_equal(table.to_np(op.mx(mx.array(x), axis=())), x)


@pytest.mark.parametrize("name, want", [("sum", 0.0), ("prod", 1.0), ("all", True), ("any", False)])
def test_of_nothing_is_the_neutral_element(name, want):
    assert getattr(mx, name)(mx.zeros((0,))).item() == want
    assert getattr(mx, name)(mx.zeros((3, 0)), axis=1).tolist() == [want] * 3


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_extreme_of_nothing_is_refused(name):
    with pytest.raises(ValueError):
        mx.eval(getattr(mx, name)(mx.zeros((0,))))


@pytest.mark.parametrize("name", ["max", "min", "sum", "prod"])
def test_nan_is_seen(name):
    x = np.arange(50, dtype=np.float32)
    x[31] = np.nan
    assert np.isnan(getattr(mx, name)(mx.array(x)).item())


def test_sum_of_many_keeps_its_accuracy():
    x = np.full(10_000_000, 0.1, np.float32)
    assert abs(mx.sum(mx.array(x)).item() / (0.1 * x.size) - 1) < 1e-6


def test_half_precision_is_summed_in_single():
    assert mx.sum(mx.ones((5000,), dtype=mx.float16)).item() == 5000
    assert mx.sum(mx.ones((4096,), dtype=mx.bfloat16)).item() == 4096


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("axis", [None, 0, (0, 2)], ids=str)
def test_gradient(name, axis):
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4) / 7 + 0.1      # no equals: max has a derivative
    checks.gradient(lambda a: getattr(mx, name)(a, axis=axis), [table.to_mx(x, "float64")])


@by_name
def test_vmap(op):
    dtype = "float32" if "float32" in op.dtypes else "bool"
    x = table.to_mx(op.sample(dtype, (3, 4, 2)), dtype)
    for axis in (None, 0, -1, (0, 1)):
        checks.vmap(lambda a, axis=axis: op.mx(a, axis=axis), [x])


@by_name
def test_compile(op):
    dtype = "float32" if "float32" in op.dtypes else "bool"
    calls = [[table.to_mx(op.sample(dtype, shape), dtype)] for shape in ((3, 4), (3, 4), (70, 9))]
    for axis in (None, 0, -1):
        checks.compiled(lambda a, axis=axis: op.mx(a, axis=axis), *calls)


@pytest.mark.parametrize("axis, shape", [(3, (2, 3)), (-3, (2, 3)), ((0, 5), (2, 3)), (0, ())], ids=str)
@by_name
def test_axis_out_of_range_is_refused(op, axis, shape):
    with pytest.raises((ValueError, IndexError), match="xis"):
        op.mx(mx.zeros(shape), axis=axis)


# ---- built on them ----

DERIVED = {"mean": np.mean, "var": np.var, "std": np.std}


@pytest.mark.parametrize("name", DERIVED)
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_moments(name, axis):
    x = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32)
    for keepdims in (False, True):
        want = DERIVED[name](x.astype(np.float64), axis=axis, keepdims=keepdims)
        table.close(getattr(mx, name)(mx.array(x), axis=axis, keepdims=keepdims), want, "float32", scale=8)
    if name != "mean":
        want = DERIVED[name](x.astype(np.float64), axis=axis, ddof=1)
        table.close(getattr(mx, name)(mx.array(x), axis=axis, ddof=1), want, "float32", scale=8)


def logsumexp(x, axis, keepdims):
    top = x.max(axis=axis, keepdims=True)
    total = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else total.squeeze(axis)


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_logsumexp(axis):
    x = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32) * 30
    for keepdims in (False, True):
        want = logsumexp(x.astype(np.float64), axis, keepdims)
        table.close(mx.logsumexp(mx.array(x), axis=axis, keepdims=keepdims), want, "float32", scale=4)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "bfloat16"])
def test_arg_reductions(name, dtype):
    x = np.random.default_rng(2).integers(0, 2 if dtype == "bool" else 9, (4, 7, 5))
    values = table.to_mx(x.astype(np.float32), "float32").astype(table.DTYPES[dtype])
    for axis in (None, 0, 1, -1):
        for keepdims in (False, True):
            got = getattr(mx, name)(values, axis=axis, keepdims=keepdims)
            assert got.dtype == mx.uint32
            np.testing.assert_array_equal(np.array(got), getattr(np, name)(x, axis=axis, keepdims=keepdims))


def test_numbers_do_not_depend_on_fusion():
    """A sum of an expression has the same bits whether the expression is held or fused into the sum."""
    x = mx.random.normal((300, 257))
    fused = mx.sum(mx.exp(x) * 2 + x, axis=1)
    held = mx.exp(x) * 2 + x
    mx.eval(held, fused)
    np.testing.assert_array_equal(np.array(mx.sum(held, axis=1)), np.array(fused))
