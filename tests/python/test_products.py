"""Products of every dtype beside NumPy: integers wrap in the promoted dtype, bytes have exact sums on request."""

import itertools

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

INTEGERS = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
SHAPES = [((3,), (3,)), ((1, 5), (5, 1)), ((7, 3), (3, 9)), ((65, 130), (130, 71)), ((2, 5, 6), (6, 7)), ((3, 1, 4, 5), (2, 5, 3)),
          ((40, 0), (0, 3)), ((1, 70), (70, 300)), ((300, 70), (70,)), ((20, 1100), (1100, 35)), ((2, 3, 0), (2, 0, 4))]


def draw(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.1
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def laid_out(x, transposed):
    """x as an mx array, its last two axes exchanged in memory."""
    if not transposed or x.ndim < 2:
        return mx.array(x)
    return mx.array(np.ascontiguousarray(np.swapaxes(x, -1, -2))).swapaxes(-1, -2)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_products_of_integers_wrap_as_numpys(dtype):
    for shape_a, shape_b in SHAPES:
        a, b = draw(shape_a, dtype), draw(shape_b, dtype, 1)
        for ta, tb in itertools.product([False, True], repeat=2):
            got = laid_out(a, ta) @ laid_out(b, tb)
            assert np.array(got).dtype == np.dtype(dtype)
            assert np.array_equal(np.array(got), a @ b), (shape_a, shape_b, ta, tb)


def test_integers_of_two_dtypes_meet_in_the_promoted_one():
    for x, y in [("int8", "uint8"), ("bool", "int16"), ("uint32", "int32"), ("int16", "float16"), ("int64", "float32")]:
        got = mx.array(draw((4, 5), x)) @ mx.array(draw((5, 6), y))
        assert got.dtype == (mx.zeros((), getattr(mx, x.replace("bool", "bool_"))) + mx.zeros((), getattr(mx, y))).dtype


@pytest.mark.parametrize("types", list(itertools.product(["int8", "uint8"], repeat=2)), ids="-".join)
def test_bytes_have_exact_sums_in_int32(types):
    for shape_a, shape_b in SHAPES:
        a, b = draw(shape_a, types[0]), draw(shape_b, types[1], 1)
        for ta, tb in itertools.product([False, True], repeat=2):
            got = mx.matmul(laid_out(a, ta), laid_out(b, tb), preferred_dtype=mx.int32)
            assert got.dtype == mx.int32
            assert np.array_equal(np.array(got), a.astype("int32") @ b.astype("int32")), (shape_a, shape_b, ta, tb)


@pytest.mark.parametrize("types", list(itertools.product(["int8", "uint8"], repeat=2)), ids="-".join)
def test_bytes_in_several_blocks_have_the_sums_of_all(types):
    a, b = draw((25, 2101), types[0]), draw((2101, 1030), types[1], 1)
    got = mx.matmul(mx.array(a), mx.array(b), preferred_dtype=mx.int32)
    assert np.array_equal(np.array(got), a.astype("int32") @ b.astype("int32"))


def test_largest_bytes_do_not_saturate():
    for value, dtype in [(255, mx.uint8), (-128, mx.int8), (127, mx.int8)]:
        x = mx.full((33, 5001), value, dtype)
        assert mx.all(mx.matmul(x, x.T, preferred_dtype=mx.int32) == value * value * 5001).item()


def test_preferred_dtype_is_that_of_factors_and_sums():
    a, b = draw((9, 40), "float16"), draw((40, 8), "float16", 1)
    got = mx.matmul(mx.array(a), mx.array(b), preferred_dtype=mx.float32)
    assert got.dtype == mx.float32
    np.testing.assert_allclose(np.array(got), a.astype("float32") @ b.astype("float32"), rtol=1e-5, atol=1e-4)
    assert mx.matmul(mx.array([[3]], mx.uint16), mx.array([[30000]], mx.uint16), preferred_dtype=mx.uint32).item() == 90000


def test_byte_products_batch_compile_and_have_no_gradient():
    a, b = mx.array(draw((4, 5, 6), "int8")), mx.array(draw((6, 7), "int8"))
    f = lambda x, y: mx.matmul(x, y, preferred_dtype=mx.int32)
    want = np.array(a).astype("int32") @ np.array(b).astype("int32")
    assert np.array_equal(np.array(mx.vmap(f, (0, None))(a, b)), want)
    assert np.array_equal(np.array(mx.compile(f)(a, b)), want)
    x = mx.array([[0.5, 2.0]])
    slope = mx.grad(lambda x: (f((x * 10).astype(mx.int8), mx.ones((2, 1), mx.int8)).astype(mx.float32) * x).sum())(x)
    assert np.array_equal(np.array(slope), [[25.0, 25.0]])


def test_other_contractions_take_integers():
    a, b, c = draw((4, 5), "int32"), draw((5, 6), "int32", 1), draw((4, 6), "int32", 2)
    A, B, C = mx.array(a), mx.array(b), mx.array(c)
    assert np.array_equal(np.array(mx.tensordot(A, B, 1)), np.tensordot(a, b, 1))
    assert np.array_equal(np.array(mx.inner(A, B.T)), np.inner(a, b.T))
    assert np.array_equal(np.array(mx.outer(A[0], B[0])), np.outer(a[0], b[0]))
    assert np.array_equal(np.array(mx.einsum("ij,jk->ki", A, B)), np.einsum("ij,jk->ki", a, b))
    assert np.array_equal(np.array(mx.addmm(C, A, B, alpha=-3, beta=2)), 2 * c - 3 * (a @ b))
    assert np.array_equal(np.array(mx.addmm(C, A, B)), c + a @ b)
    d = draw((3, 40), "int8")
    got = mx.einsum("ij,kj->ik", mx.array(d), mx.array(d))
    assert got.dtype == mx.int8 and np.array_equal(np.array(got), np.einsum("ij,kj->ik", d, d))
    with pytest.raises(ValueError, match=r"\[addmm\] alpha and beta must be whole numbers for arrays of int32, got 0.5 and 1"):
        mx.addmm(C, A, B, alpha=0.5)


@pytest.mark.parametrize("dtype,eps", [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_halves_are_summed_in_float32(dtype, eps):
    t = getattr(mx, dtype)
    for shape_a, shape_b in SHAPES + [((130, 600), (600, 140)), ((2, 33, 300), (2, 300, 65))]:
        a, b = [np.array(mx.array(draw(s, "float32", i)).astype(t).astype(mx.float32)) for i, s in enumerate((shape_a, shape_b))]
        want = a.astype("float64") @ b.astype("float64")
        for ta, tb in itertools.product([False, True], repeat=2):
            got = laid_out(a, ta).astype(t) @ laid_out(b, tb).astype(t)
            assert got.dtype == t
            np.testing.assert_allclose(np.array(got.astype(mx.float32)), want, rtol=1.01 * eps, atol=1e-5 * (1 + a.shape[-1]))


def test_addmm_of_halves_rounds_once():
    a, b, c = [mx.array(draw(s, "float32", i)).astype(mx.bfloat16) for i, s in enumerate([(3, 40, 50), (50, 60), (60,)])]
    got = mx.addmm(c, a, b, alpha=0.5, beta=-2)
    wide = [np.array(x.astype(mx.float32)).astype("float64") for x in (a, b, c)]
    np.testing.assert_allclose(np.array(got.astype(mx.float32)), 0.5 * (wide[0] @ wide[1]) - 2 * wide[2], rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("dtype,tol", [("float32", 1e-5), ("float64", 1e-12), ("float16", 2e-3), ("bfloat16", 2e-2), ("complex64", 1e-5), ("int32", 0)])
def test_gather_mm_multiplies_the_matrices_that_indices_name(dtype, tol):
    t = getattr(mx, dtype)
    rng = np.random.default_rng(3)
    for count, m, k, n in [(500, 1, 40, 33), (37, 3, 20, 700), (5, 250, 8, 9), (4, 2, 0, 3), (0, 2, 3, 4)]:
        a, b = [mx.array(rng.integers(-4, 5, s).astype("float32")).astype(t) for s in ((6, m, k), (4, k, n))]
        left, right = rng.integers(-6, 6, count), rng.integers(-4, 4, count)
        got = mx.gather_mm(a, b, mx.array(left), mx.array(right))
        wide = "complex64" if dtype == "complex64" else "float64"
        want = np.array(a.astype(getattr(mx, wide)))[left] @ np.array(b.astype(getattr(mx, wide)))[right]
        assert got.dtype == t and got.shape == (count, m, n)
        np.testing.assert_allclose(np.array(got.astype(getattr(mx, wide))), want, rtol=tol, atol=tol * 10)


def test_gather_mm_names_a_bad_index_and_misfits():
    a, b = mx.ones((2, 3, 4)), mx.ones((3, 4, 5))
    with pytest.raises(IndexError, match=r"\[gather_mm\] index 3 is out of bounds for axis 0 with size 3"):
        mx.eval(mx.gather_mm(a, b, None, mx.array([0, 3])))
    with pytest.raises(ValueError, match=r"\[gather_mm\] Got indices with invalid dtype float32"):
        mx.gather_mm(a, b, None, mx.array([0.0]))
    with pytest.raises(ValueError, match=r"\[gather_mm\] Last dimension"):
        mx.gather_mm(a, mx.ones((3, 5, 4)), None, mx.array([0, 1]))


def test_tensordot_takes_any_integers_as_axes():
    a = mx.random.normal((2, 3, 4))
    want = mx.tensordot(a, a.T, 1)
    assert mx.array_equal(mx.tensordot(a, a.T, np.int32(1)), want) and mx.array_equal(mx.tensordot(a, a.T, mx.array(1)), want)
    assert mx.array_equal(mx.tensordot(a, a, [mx.array([0, 1]), np.array([0, 1])]), mx.tensordot(a, a, [[0, 1], [0, 1]]))


@pytest.mark.parametrize("rows", [1, 3, 9, 40])
@pytest.mark.parametrize("bits", [0, 4, 8, 3])
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_products_of_one_array_are_the_same_together_as_alone(dtype, bits, rows):
    mx.random.seed(1)
    x = mx.random.normal((rows, 192)).astype(dtype)
    layers = [nn.Linear(192, n, bias=False) for n in (96, 128, 40, 1000, 64, 8)]
    for layer in layers:
        layer.set_dtype(dtype)
    if bits:
        layers = [nn.QuantizedLinear.from_linear(layer, 64, bits) for layer in layers]
    mx.eval(x, [layer.parameters() for layer in layers])
    alone = []
    for layer in layers:
        alone.append(layer(x))
        mx.eval(alone[-1])
    together = [mx.exp(layer(x)).reshape(-1) for layer in layers]
    mx.eval(together)
    for a, b in zip(alone, together):
        assert mx.array_equal(mx.exp(a).reshape(-1), b, equal_nan=True)


def test_a_product_that_fails_beside_others_fails_alone_of_them():
    x = mx.random.normal((1, 64))
    bad = mx.linalg.cholesky(-mx.eye(64), stream=mx.cpu)
    good, fails, other = x @ mx.eye(64), x @ bad, x @ (2 * mx.eye(64))
    try:
        mx.eval(good, fails, other)
    except (RuntimeError, ValueError):
        pass
    assert mx.array_equal(good, x) and mx.array_equal(other, 2 * x)
