"""The array class: making arrays, operators, protocols, printing."""

import copy
import gc
import operator
import pickle
import weakref

import numpy as np
import pytest

import mlx.core as mx

DTYPES = [
    mx.bool_,
    mx.uint8,
    mx.uint16,
    mx.uint32,
    mx.uint64,
    mx.int8,
    mx.int16,
    mx.int32,
    mx.int64,
    mx.float16,
    mx.bfloat16,
    mx.float32,
    mx.float64,
    mx.complex64,
]
NAMES = "b u8 u16 u32 u64 i8 i16 i32 i64 f16 bf16 f32 f64 c64".split()
BY_NAME = dict(zip(NAMES, DTYPES))

# dtype of a + b, row by row
PROMOTION = """
b u8 u16 u32 u64 i8 i16 i32 i64 f16 bf16 f32 f64 c64
u8 u8 u16 u32 u64 i16 i16 i32 i64 f16 bf16 f32 f64 c64
u16 u16 u16 u32 u64 i32 i32 i32 i64 f16 bf16 f32 f64 c64
u32 u32 u32 u32 u64 i64 i64 i64 i64 f16 bf16 f32 f64 c64
u64 u64 u64 u64 u64 f32 f32 f32 f32 f16 bf16 f32 f64 c64
i8 i16 i32 i64 f32 i8 i16 i32 i64 f16 bf16 f32 f64 c64
i16 i16 i32 i64 f32 i16 i16 i32 i64 f16 bf16 f32 f64 c64
i32 i32 i32 i64 f32 i32 i32 i32 i64 f16 bf16 f32 f64 c64
i64 i64 i64 i64 f32 i64 i64 i64 i64 f16 bf16 f32 f64 c64
f16 f16 f16 f16 f16 f16 f16 f16 f16 f16 f32 f32 f64 c64
bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 f32 bf16 f32 f64 c64
f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f64 c64
f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 c64
c64 c64 c64 c64 c64 c64 c64 c64 c64 c64 c64 c64 c64 c64
""".strip().split("\n")


@pytest.mark.parametrize("row", range(14), ids=NAMES)
def test_promotion(row):
    expected = [BY_NAME[n] for n in PROMOTION[row].split()]
    assert [(mx.zeros(1, DTYPES[row]) + mx.zeros(1, d)).dtype for d in DTYPES] == expected
    assert [mx.result_type(DTYPES[row], d) for d in DTYPES] == expected


@pytest.mark.parametrize("dtype", DTYPES, ids=NAMES)
def test_python_scalars_are_weak(dtype):
    x, kind = mx.zeros(1, dtype), NAMES[DTYPES.index(dtype)]
    number = mx.int32 if dtype == mx.bool_ else dtype
    inexact = dtype if kind in ("f16", "bf16", "f32", "f64", "c64") else mx.float32
    for scalar, expected in ((True, dtype), (1, number), (1.5, inexact), (1j, mx.complex64)):
        assert (x + scalar).dtype == expected and (scalar + x).dtype == expected


def test_a_scalar_that_does_not_fit_is_refused():
    for d in (mx.uint8, mx.uint16, mx.uint32, mx.int8, mx.int16, mx.int32):
        with pytest.raises(ValueError):
            mx.zeros(1, d) + 2**40
    assert (mx.zeros(1, mx.int64) + 2**40).item() == 2**40


def test_numpy_operands_follow_the_array():
    x = mx.array([1], mx.int8)
    assert (x + np.int64(1)).dtype == mx.int8 and (x + np.ones(1)).dtype == mx.int8
    assert (mx.ones(3) + np.ones(3)).tolist() == [2, 2, 2]
    assert isinstance(np.ones(3) + mx.ones(3), np.ndarray)


@pytest.mark.parametrize(
    "value, dtype, shape",
    [
        (True, mx.bool_, ()),
        (1, mx.int32, ()),
        (2**31, mx.int64, ()),
        (-(2**63), mx.int64, ()),
        (1.5, mx.float32, ()),
        (1j, mx.complex64, ()),
        ([1, 2], mx.int32, (2,)),
        ([1, 2.5], mx.float32, (2,)),
        ([True, 2], mx.int32, (2,)),
        ([True], mx.bool_, (1,)),
        ([1, 1j], mx.complex64, (2,)),
        ([], mx.float32, (0,)),
        ([[]], mx.float32, (1, 0)),
        ((1, 2), mx.int32, (2,)),
        ([2**40], mx.int64, (1,)),
        (b"ab", mx.uint8, (2,)),
        (np.float64(1), mx.float32, ()),
        (np.zeros(2), mx.float32, (2,)),
        (np.arange(3), mx.int64, (3,)),
        (np.zeros(2, np.complex128), mx.complex64, (2,)),
        (np.float32(1), mx.float32, ()),
        (np.int8(3), mx.int8, ()),
        (np.array(1 + 2j), mx.complex64, ()),
        (np.zeros((2, 3), np.float16), mx.float16, (2, 3)),
    ],
    ids=repr,
)
def test_construction(value, dtype, shape):
    a = mx.array(value)
    assert a.dtype == dtype and a.shape == shape
    assert a.tolist() == (list(value) if isinstance(value, bytes) else np.asarray(value).tolist())


def test_construction_from_nested_arrays():
    assert mx.array([mx.array([1, 2]), [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert mx.array([mx.array(1.0, mx.float16), 2]).dtype == mx.float16
    assert mx.array([mx.array(1, mx.int8), 2.5]).dtype == mx.float32


@pytest.mark.parametrize(
    "value, error, text",
    [
        ("a", ValueError, "Invalid type str"),
        (None, TypeError, "array"),
        ({}, ValueError, "Invalid type dict"),
        (range(3), ValueError, "Invalid type range"),
        ([1, "a"], ValueError, "Invalid type str"),
        ([[1, 2], [3]], ValueError, "non-uniform length"),
        ([1, [2]], ValueError, "extra dimension"),
        (2**63, RuntimeError, "64 bits"),
        ([2**63], RuntimeError, "64 bits"),
        (np.array(["a"]), RuntimeError, "format"),
        ([mx.array([1]), mx.array([1, 2])], ValueError, "non-uniform"),
        (np.zeros((2, 2))[::-1], ValueError, "strides"),
    ],
    ids=repr,
)
def test_what_is_no_array(value, error, text):
    with pytest.raises(error, match=text):
        mx.array(value)


def test_construction_with_dtype():
    assert mx.array([300, -1], mx.uint8).tolist() == [44, 255]
    assert mx.array([1.5, -2.5], mx.int8).tolist() == [1, -2]
    assert mx.array(2**63, mx.uint64).item() == 2**63 and mx.array([2**64 - 1], mx.uint64).tolist() == [2**64 - 1]
    assert mx.array([0.1], mx.float64).tolist() == [0.1]
    assert mx.array(mx.array([1, 2]), mx.float32).dtype == mx.float32
    for bad in ("int32", float, np.float32):
        with pytest.raises(TypeError, match="supported"):
            mx.array([1], bad)


def test_deep_nesting_is_an_error_not_a_crash():
    deep = 1
    for _ in range(100000):
        deep = [deep]
    with pytest.raises(ValueError, match="dimensions"):
        mx.array(deep)
    with pytest.raises(RecursionError):
        mx.eval(deep)
    while deep != 1:  # take it apart without recursion
        deep = deep[0]


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda o: o.__name__)
def test_operators_match_numpy(op):
    x, y = np.array([7.5, -3, 2], np.float32), np.array([2, 2, -1], np.float32)
    np.testing.assert_allclose(np.array(op(mx.array(x), mx.array(y))), op(x, y), rtol=1e-6)
    np.testing.assert_allclose(np.array(op(mx.array(x), 2)), op(x, np.float32(2)), rtol=1e-6)
    np.testing.assert_allclose(np.array(op(2, mx.array(x))), op(np.float32(2), x), rtol=1e-6)


def test_bit_operators():
    x, y = mx.array([6, 3]), mx.array([3, 1])
    assert (x & y).tolist() == [2, 1] and (x | 8).tolist() == [14, 11] and (x ^ y).tolist() == [5, 2]
    assert (x << 1).tolist() == [12, 6] and (x >> 1).tolist() == [3, 1] and (~x).tolist() == [-7, -4]
    for bad in (lambda: mx.ones(1) & 1, lambda: ~mx.ones(1), lambda: mx.ones(1) << 1):
        with pytest.raises(ValueError, match="Floating point"):
            bad()


@pytest.mark.parametrize(
    "name, value, before, after",
    [
        ("+=", 1.5, mx.int32, [1.5, 2.5, 3.5]),
        ("-=", 1, mx.int32, [-1, 0, 1]),
        ("*=", 2.5, mx.int32, [0, 2.5, 5]),
        ("//=", 2, mx.int32, [0, 0, 1]),
        ("**=", 2, mx.float16, [0, 1, 4]),
        ("%=", 2, mx.int32, [0, 1, 0]),
        ("/=", 2, mx.float16, [0, 0.5, 1]),
        ("<<=", 1, mx.int32, [0, 2, 4]),
    ],
)
def test_in_place_operators_keep_the_object(name, value, before, after):
    scope = {"v": mx.array([0, 1, 2]).astype(before), "value": value}
    same = scope["v"]
    exec(f"v {name} value", scope)
    assert scope["v"] is same and same.tolist() == after


def test_in_place_division_of_integers_is_refused():
    v = mx.array([1, 2])
    with pytest.raises(ValueError, match="In place division"):
        v /= 2
    x = y = mx.array([1.0])
    x += 1
    assert y.item() == 2


def test_operands_that_are_refused():
    a = mx.ones(2)
    for bad in ([1, 2], "x", {}, (1, 2)):
        with pytest.raises(ValueError):
            a + bad
    for op in (operator.add, operator.lt, operator.eq):
        with pytest.raises(TypeError, match="supported"):
            op(a, None)
    assert (a == "x") is False and (a != "x") is True and (a == [1, 1]) is False
    with pytest.raises(TypeError):
        a @ np.ones(2)


def test_objects_that_name_their_array():
    class Like:
        def __mlx_array__(self):
            return mx.array([1.0, 2.0])

    assert (mx.ones(2) + Like()).tolist() == [2, 3]
    assert (Like() * mx.ones(2) if hasattr(Like, "__mul__") else mx.ones(2) * Like()).tolist() == [1, 2]


def test_conversion_to_numbers():
    assert int(mx.array(2.7)) == 2 and float(mx.array([2])) == 2.0 and complex(mx.array(1 + 2j)) == 1 + 2j
    assert (
        bool(mx.array([1])) and not mx.array(0) and [1, 2, 3][mx.array(1)] == 2 and list(range(mx.array(2))) == [0, 1]
    )
    for f in (int, float, bool, lambda x: x.item()):
        with pytest.raises(ValueError, match="convert"):
            f(mx.zeros(2))
    for x in (mx.array([1]), mx.array(1.5), mx.array(True)):
        with pytest.raises(TypeError):
            x.__index__()


def test_container_protocol():
    a = mx.arange(6).reshape(2, 3)
    assert len(a) == 2 and [r.tolist() for r in a] == [[0, 1, 2], [3, 4, 5]] and 5 in a and 9 not in a
    assert bytes(mx.array([1, 2], mx.int8)) == b"\1\2"
    for f in (len, iter, list):
        with pytest.raises(TypeError):
            f(mx.array(1))
    with pytest.raises(AttributeError):
        del a[0]


def test_properties():
    a = mx.zeros((2, 3), mx.int16)
    assert (a.shape, a.ndim, a.size, a.itemsize, a.nbytes, a.dtype) == ((2, 3), 2, 6, 2, 12, mx.int16)
    assert a.T.shape == (3, 2) and mx.zeros((4, 2, 3)).mT.shape == (4, 3, 2)
    with pytest.raises(AttributeError):
        a.shape = (3, 2)
    z = mx.array([1 + 2j])
    assert z.real.tolist() == [1] and z.imag.tolist() == [2]


def test_identity_hash_and_weak_references():
    a = mx.ones(2)
    assert {a: 1}[a] == 1 and hash(a) == hash(a) and hash(a) != hash(mx.ones(2))
    r = weakref.ref(a)
    assert r() is a
    del a
    gc.collect()
    assert r() is None


def test_copies_do_not_follow_assignment():
    a = mx.array([1, 2])
    b, c, d = copy.copy(a), copy.deepcopy(a), a[:]
    a[0] = 9
    assert b.tolist() == c.tolist() == d.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", DTYPES, ids=NAMES)
def test_pickle(dtype):
    a = mx.array([[1, 0], [3, 4]]).astype(dtype)
    b = pickle.loads(pickle.dumps(a))
    assert b.dtype == dtype and b.tolist() == a.tolist()
    assert pickle.loads(pickle.dumps(dtype)) == dtype
    assert pickle.loads(pickle.dumps(mx.array(1).astype(dtype))).shape == ()


def test_subclass():
    class Sub(mx.array):
        pass

    s = Sub([1, 2])
    s.name = "x"
    assert isinstance(s, mx.array) and (s + 1).tolist() == [2, 3] and s.name == "x"


# ---- printing ----


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: mx.array(1), "array(1, dtype=int32)"),
        (lambda: mx.array(True), "array(True, dtype=bool)"),
        (lambda: mx.array([1.0, 2.5, -3.25]), "array([1, 2.5, -3.25], dtype=float32)"),
        (lambda: mx.array([1 + 2j, -1.5 - 0.5j, 1j]), "array([1+2j, -1.5-0.5j, 0+1j], dtype=complex64)"),
        (lambda: mx.array([1 / 3], mx.bfloat16), "array([0.333984], dtype=bfloat16)"),
        (
            lambda: mx.array([1 / 3, 2 / 3, 1e-8, 1e10, 123456789.0]),
            "array([0.333333, 0.666667, 1e-08, 1e+10, 1.23457e+08], dtype=float32)",
        ),
        (
            lambda: mx.array([float("nan"), float("inf"), -float("inf"), -0.0]),
            "array([nan, inf, -inf, -0], dtype=float32)",
        ),
        (
            lambda: mx.zeros((2, 2, 2)),
            "array([[[0, 0],\n        [0, 0]],\n       [[0, 0],\n        [0, 0]]], dtype=float32)",
        ),
        (lambda: mx.zeros((2, 0)), "array([[],\n       []], dtype=float32)"),
        (lambda: mx.zeros((0, 3), mx.int8), "array([], dtype=int8)"),
        (lambda: mx.arange(7), "array([0, 1, 2, ..., 4, 5, 6], dtype=int32)"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_repr(make, text):
    assert repr(make()) == str(make()) == text


def test_format():
    assert f"{mx.array(1.5):.3f}" == "1.500" and f"{mx.array(3):d}" == "3" and "%f" % mx.array(1.5) == "1.500000"
    assert format(mx.array([1.0, 2.0]), "") == "array([1, 2], dtype=float32)"
    with pytest.raises(TypeError, match="unsupported format string"):
        format(mx.array([1.0, 2.0]), ".2f")


def test_print_options():
    with mx.printoptions(precision=3):
        assert repr(mx.array([1 / 3, 2.0])) == "array([0.333, 2.000], dtype=float32)"
        assert mx.get_printoptions().precision == 3
    mx.set_printoptions(precision=1)
    assert repr(mx.array(0.25)) in ("array(0.2, dtype=float32)", "array(0.3, dtype=float32)")
    mx.set_printoptions()
    assert mx.get_printoptions().precision == -1 and repr(mx.array(0.25)) == "array(0.25, dtype=float32)"
