"""The Python array API standard 2024.12: names, keywords, special values, and results beside NumPy's and array_api_strict's.

What differs on purpose stands in EXCEPTIONS of array_api_exceptions.py, with a reason each;
docs/array_api.md is printed from it."""

import ast
import inspect
import itertools
import operator

import mlx.core as mx
import numpy as np
import pytest
from array_api_exceptions import EXCEPTIONS, document
from hypothesis import given, settings
from hypothesis import strategies as st

try:
    import array_api_strict as strict
except ImportError:
    strict = None

# ---- names and keywords -------------------------------------------------------------------------------------------

CONSTANTS = "e inf nan newaxis pi"
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
ONE = "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log1p log2 log10 logical_not negative positive real " \
      "reciprocal round sign signbit sin sinh square sqrt tan tanh trunc"
TWO = "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp " \
      "logical_and logical_or logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract"
# every function that is not element-wise, called with every keyword; x is a matrix, v a vector, i integers
CALLS = """
__array_namespace_info__()
arange(1, stop=5, step=2, dtype=mx.float32, device=mx.cpu)
asarray([1, 2], dtype=mx.float32, device=mx.cpu, copy=True)
empty(shape=(2, 3), dtype=mx.int8, device=mx.cpu)
empty_like(x, dtype=mx.int8, device=mx.cpu)
eye(2, 3, k=1, dtype=mx.int8, device=mx.cpu)
from_dlpack(x, device=mx.cpu, copy=True)
full(shape=(2, 3), fill_value=3, dtype=mx.int8, device=mx.cpu)
full_like(x, fill_value=3, dtype=mx.int8, device=mx.cpu)
linspace(0, 1, num=3, dtype=mx.float64, device=mx.cpu, endpoint=False)
meshgrid(v, v, indexing="ij")
ones(shape=(2, 3), dtype=mx.int8, device=mx.cpu)
ones_like(x, dtype=mx.int8, device=mx.cpu)
tril(x, k=1)
triu(x, k=-1)
zeros(shape=(2, 3), dtype=mx.int8, device=mx.cpu)
zeros_like(x, dtype=mx.int8, device=mx.cpu)
astype(x, mx.int32, copy=False, device=mx.cpu)
broadcast_arrays(x, v)
broadcast_to(v, shape=(3, 2))
can_cast(mx.int8, mx.int16)
finfo(mx.float32)
iinfo(mx.int32)
isdtype(dtype=mx.int8, kind="integral")
result_type(x, mx.int32, 1.5)
clip(x, min=0.5, max=v)
concat([x, x], axis=1)
expand_dims(x, axis=1)
flip(x, axis=0)
moveaxis(x, 0, 1)
permute_dims(x, axes=(1, 0))
repeat(x, i, axis=0)
reshape(x, shape=(4,), copy=True)
roll(x, shift=(1, 1), axis=(0, 1))
squeeze(x[None], axis=0)
stack([x, x], axis=1)
tile(x, (1, 2))
unstack(x, axis=1)
argmax(x, axis=0, keepdims=True)
argmin(x, axis=0, keepdims=True)
count_nonzero(x, axis=0, keepdims=True)
nonzero(x)
searchsorted(v, x, side="right", sorter=i)
where(x > 1, x, 0.0)
unique_all(x)
unique_counts(x)
unique_inverse(x)
unique_values(x)
argsort(x, axis=0, descending=True, stable=False)
sort(x, axis=0, descending=True, stable=False)
cumulative_prod(x, axis=0, dtype=mx.float64, include_initial=True)
cumulative_sum(x, axis=0, dtype=mx.float64, include_initial=True)
max(x, axis=0, keepdims=True)
mean(x, axis=0, keepdims=True)
min(x, axis=0, keepdims=True)
prod(x, axis=0, dtype=mx.float64, keepdims=True)
std(x, axis=0, correction=0.5, keepdims=True)
sum(x, axis=0, dtype=mx.float64, keepdims=True)
var(x, axis=0, correction=1, keepdims=True)
all(x, axis=0, keepdims=True)
any(x, axis=0, keepdims=True)
diff(x, axis=0, n=2, prepend=x, append=v[None])
take(x, i, axis=1)
take_along_axis(x, i[None], axis=0)
matmul(x, v)
matrix_transpose(x)
tensordot(x, x, axes=((0,), (1,)))
vecdot(x, v, axis=-1)
linalg.cholesky(x, upper=True)
linalg.cross(mx.ones((3, 2)), mx.ones((3, 2)), axis=0)
linalg.det(x)
linalg.diagonal(x, offset=1)
linalg.eigh(x)
linalg.eigvalsh(x)
linalg.inv(x)
linalg.matmul(x, v)
linalg.matrix_norm(x, keepdims=True, ord="nuc")
linalg.matrix_power(x, -2)
linalg.matrix_rank(x, rtol=1e-3)
linalg.matrix_transpose(x)
linalg.outer(v, v)
linalg.pinv(x, rtol=1e-3)
linalg.qr(x, mode="complete")
linalg.slogdet(x)
linalg.solve(x, v)
linalg.svd(x, full_matrices=False)
linalg.svdvals(x)
linalg.tensordot(x, x, axes=1)
linalg.trace(x, offset=1, dtype=mx.float64)
linalg.vecdot(x, v, axis=-1)
linalg.vector_norm(x, axis=0, keepdims=True, ord=1.5)
fft.fft(x, n=3, axis=0, norm="ortho")
fft.ifft(x, n=3, axis=0, norm="ortho")
fft.fftn(x, s=(2, 3), axes=(0, 1), norm="ortho")
fft.ifftn(x, s=(2, 3), axes=(0, 1), norm="ortho")
fft.rfft(x, n=3, axis=0, norm="ortho")
fft.irfft(x, n=3, axis=0, norm="ortho")
fft.rfftn(x, s=(2, 3), axes=(0, 1), norm="ortho")
fft.irfftn(x, s=(2, 3), axes=(0, 1), norm="ortho")
fft.hfft(x, n=3, axis=0, norm="ortho")
fft.ihfft(x, n=3, axis=0, norm="ortho")
fft.fftfreq(4, d=0.5, dtype=mx.float64, device=mx.cpu)
fft.rfftfreq(4, d=0.5, dtype=mx.float64, device=mx.cpu)
fft.fftshift(x, axes=0)
fft.ifftshift(x, axes=(0, 1))
""".strip().splitlines()
KEYWORDS = {c.partition("(")[0]: [k.arg for k in ast.parse(c, mode="eval").body.keywords] for c in CALLS} | {name: [] for name in (ONE + " " + TWO).split()}
METHODS = "__abs__ __add__ __and__ __array_namespace__ __bool__ __complex__ __dlpack__ __dlpack_device__ __eq__ __float__ __floordiv__ __ge__ __getitem__ __gt__ __index__ " \
          "__int__ __invert__ __le__ __lshift__ __lt__ __matmul__ __mod__ __mul__ __ne__ __neg__ __or__ __pos__ __pow__ __rshift__ __setitem__ __sub__ __truediv__ __xor__ " \
          "to_device dtype device mT ndim shape size T " + " ".join(
              f"__{how}{op}__" for op in "add sub mul truediv floordiv pow mod matmul and or xor lshift rshift".split() for how in "ir")


def named(space, dotted):
    return operator.attrgetter(dotted)(space)


def exempt(name):
    return name in EXCEPTIONS


@pytest.mark.parametrize("name", [*CONSTANTS.split(), *DTYPES.split(), *KEYWORDS])
def test_every_name_of_the_standard_exists(name):
    try:
        named(mx, name)
    except AttributeError:
        assert exempt(name), name


def test_every_method_of_the_standard_exists():
    assert [m for m in METHODS.split() if not hasattr(mx.array, m)] == []
    assert mx.__array_api_version__ == "2024.12"


@pytest.mark.parametrize("call", CALLS)
def test_every_keyword_of_the_standard_is_taken(call):
    given = {"mx": mx, "x": mx.array([[2.0, 0.5], [0.5, 1.0]]), "v": mx.array([1.0, 2.0]), "i": mx.array([0, 1])}
    result = eval("mx." + call, given)
    mx.eval(*(r for r in (result if isinstance(result, (tuple, list)) else [result]) if isinstance(r, mx.array)))


@pytest.mark.skipif(strict is None, reason="needs array_api_strict")
def test_the_tables_here_name_what_array_api_strict_has():
    strict.set_array_api_strict_flags(api_version="2024.12")
    newer = {"isin", "broadcast_shapes", "Device"}  # of 2025.12, and a type
    flags = {n for n in strict.__all__ if "flags" in n.lower()}
    listed = set(KEYWORDS) | set(CONSTANTS.split()) | set(DTYPES.split())
    assert {n for n in strict.__all__ if not n.startswith("_") and n not in ("linalg", "fft")} - flags - newer - listed == set()
    for name, keywords in KEYWORDS.items():
        f = named(strict, name)
        if inspect.isfunction(f) and not name.startswith("__"):
            theirs = [p.name for p in inspect.signature(f).parameters.values() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
            assert set(keywords) <= set(inspect.signature(f).parameters), name
            only = [p.name for p in inspect.signature(f).parameters.values() if p.kind == p.KEYWORD_ONLY]
            assert set(only) <= set(keywords), (name, theirs)


# ---- what differs on purpose ---------------------------------------------------------------------------------------


def raises(kind, f):
    try:
        f()
    except kind:
        return True
    return False


@pytest.mark.parametrize("key", EXCEPTIONS)
def test_an_exception_is_still_needed(key):
    assert eval(EXCEPTIONS[key][3], {"mx": mx, "raises": raises, "operator": operator}), f"{key}: this now follows the standard; take the line out"


def test_the_page_of_exceptions_is_printed_from_the_list(root):
    assert (root / "docs" / "array_api.md").read_text() == document(), "python tests/python/array_api_exceptions.py > docs/array_api.md"


# ---- results beside those of array_api_strict (of NumPy, which defines more, for special values) -------------------

ORACLE = strict or np
needs_strict = pytest.mark.skipif(strict is None, reason="needs array_api_strict")
INTEGERS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
ALL = ["bool", *INTEGERS, "float32", "float64", "complex64"]
INDEX = {"argmax": "uint32", "argmin": "uint32", "argsort": "uint32", "searchsorted": "uint32", "nonzero": "int32", "count_nonzero": "int32"}


def ours(a):
    return mx.array(a, dtype=getattr(mx, str(a.dtype)))


def theirs(a):
    return ORACLE.asarray(a)


def listed(r):
    return list(r) if isinstance(r, (tuple, list)) else [r]


def sample(seed, dtype, shape):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if dtype in INTEGERS:
        return rng.integers(max(np.iinfo(dtype).min, -9), 9, shape).astype(dtype)
    a = rng.uniform(-2, 2, shape)
    return (a + 1j * rng.uniform(-2, 2, shape) if dtype == "complex64" else a).astype(dtype)


def accepted(name, got, want):
    """Whether a dtype is the wanted one, but for the exceptions: no complex128, narrow indices and cumulative results; default dtypes."""
    if got == want or (want, got) == ("complex128", "complex64"):
        return True
    if name in INDEX or name.startswith("unique"):
        return (want, got) == ("int64", INDEX.get(name, got)) and got in ("uint32", "int32")
    if name in ("sum", "prod", "trace"):
        return (want, got) in (("int64", "int32"), ("uint64", "uint32"))
    if name.startswith("cumulative"):
        return want in ("int64", "uint64") and got in INTEGERS
    return False


def compare(name, call, wanted, tolerance=1e-5):
    """Both calls, unless the standard does not define the second one."""
    with np.errstate(all="ignore"):
        try:
            want = listed(wanted())
        except (TypeError, ValueError, AttributeError, OverflowError, RuntimeError):
            return
    got = listed(call())
    assert len(got) == len(want)
    for a, b in zip(got, want):
        b = np.asarray(getattr(b, "_array", b))
        b = np.sort(b) if name == "unique_values" else b  # in the standard the order is open
        assert a.shape == b.shape, name
        assert accepted(name, str(a.dtype).rpartition(".")[2], str(b.dtype)), (name, a.dtype, b.dtype)
        np.testing.assert_allclose(np.array(a), b.astype(np.array(a).dtype), rtol=tolerance, atol=tolerance, err_msg=name)


shapes = st.sampled_from([(), (1,), (0,), (5,), (3, 1), (3, 4), (2, 0), (2, 3, 4)])
seeds = st.integers(0, 2**32 - 1)


@needs_strict
@pytest.mark.parametrize("name", ONE.split())
@settings(max_examples=25)
@given(seed=seeds, dtype=st.sampled_from(ALL), shape=shapes)
def test_functions_of_one_array(name, seed, dtype, shape):
    a = sample(seed, dtype, shape)
    if name == "reciprocal" and dtype not in INTEGERS and dtype != "bool":
        a = a + a.dtype.type(3)
    compare(name, lambda: getattr(mx, name)(ours(a)), lambda: getattr(ORACLE, name)(theirs(a)), 3e-5)


def tame(name, b, dtype):
    """The second operand, where not all values are defined."""
    if "shift" in name:
        return abs(b) % b.dtype.type(5) if dtype in INTEGERS else b
    if name == "pow" and dtype in INTEGERS:
        return abs(b) % b.dtype.type(4)
    return np.where(b == 0, b.dtype.type(1), b) if name in ("divide", "floor_divide", "remainder") else b


@needs_strict
@pytest.mark.parametrize("name", TWO.split())
@settings(max_examples=40)
@given(seed=seeds, one=st.sampled_from(ALL), two=st.sampled_from(ALL), shape=shapes, swap=st.booleans())
def test_functions_of_two_arrays_promote_and_broadcast(name, seed, one, two, shape, swap):
    if {one, two} & {"uint64"} and {one, two} & {"int8", "int16", "int32", "int64"}:
        return
    a, b = sample(seed, one, shape), tame(name, sample(seed + 1, two, shape[1:] if swap else shape), two)
    if name in ("floor_divide", "remainder") and one.startswith("float"):
        a = a + a.dtype.type(0.1)
    compare(name, lambda: getattr(mx, name)(ours(a), ours(b)), lambda: getattr(ORACLE, name)(theirs(a), theirs(b)), 1e-4)


REDUCTIONS = "sum prod max min mean any all argmax argmin count_nonzero var std cumulative_sum cumulative_prod sort argsort diff unique_all unique_counts unique_inverse unique_values nonzero"


@needs_strict
@pytest.mark.parametrize("name", REDUCTIONS.split())
@settings(max_examples=25)
@given(seed=seeds, dtype=st.sampled_from(ALL), shape=st.sampled_from([(1,), (5,), (3, 4), (2, 3, 4)]), axis=st.integers(0, 2))
def test_reductions_scans_and_sets(name, seed, dtype, shape, axis):
    if dtype == "complex64" and name in ("max", "min", "argmax", "argmin", "sort", "argsort"):
        return
    a = sample(seed, dtype, shape)
    kw = {} if name.startswith("unique") or name == "nonzero" else {"axis": axis % len(shape)}
    if name == "prod" or name == "cumulative_prod":
        a = np.sign(a) if dtype in INTEGERS else a
    compare(name, lambda: getattr(mx, name)(ours(a), **kw), lambda: getattr(ORACLE, name)(theirs(a), **kw), 1e-4)


# xp is the namespace, c makes its array; x (3, 4), v (4,), m (3, 3) positive definite, k integers (3, 4), i indices (3,)
CASES = """
xp.linspace(0, 1, num=7, dtype=xp.float64)
xp.linspace(0, 1, num=4, dtype=xp.float32, endpoint=False)
xp.linspace(0, 1, num=1, dtype=xp.float32)
xp.arange(5, 0, -2, dtype=xp.int16)
xp.arange(0.0, 1.0, 0.25, dtype=xp.float64)
xp.eye(3, 4, k=1, dtype=xp.int8)
xp.full((2, 2), True)
xp.full_like(k, 2)
xp.asarray(3.5, dtype=xp.float64)
xp.tril(x, k=-1)
xp.triu(xp.stack([x, x]), k=1)
xp.meshgrid(v, v[:2], indexing="ij")
xp.meshgrid(v, v[:2])
xp.meshgrid(v)
xp.concat([x, x], axis=None)
xp.concat([x, xp.astype(x, xp.float64)])
xp.stack([x, x], axis=-1)
xp.expand_dims(x, axis=-1)
xp.expand_dims(x, axis=0)
xp.flip(x)
xp.moveaxis(x[None, ...], (0, 1), (2, 0))
xp.moveaxis(x[None, ...], -1, 0)
xp.permute_dims(x[None, ...], (2, 0, 1))
xp.repeat(x, 2)
xp.repeat(x, i, axis=0)
xp.repeat(v, c([0, 3, 1, 2]))
xp.roll(x, (1, -2), axis=(0, 1))
xp.roll(x, 5)
xp.tile(x, (2, 1, 3))
xp.unstack(x, axis=1)
xp.squeeze(x[None, ...], axis=0)
xp.reshape(x, (2, -1))
xp.broadcast_arrays(x, v)
xp.broadcast_to(v, (2, 3, 4))
xp.take(x, i, axis=1)
xp.take_along_axis(x, c([[0, 1, 2, 0], [2, 1, 1, 0]]), axis=0)
xp.searchsorted(xp.sort(v), x)
xp.searchsorted(v, x, side="right", sorter=xp.argsort(v))
xp.where(x > 0, x, xp.zeros_like(x))
xp.where(x > 0, k, xp.astype(k, xp.int8))
xp.clip(x, min=0.0, max=v)
xp.clip(k, 1, 3)
xp.clip(x, max=0.5)
xp.cumulative_sum(x, axis=1, include_initial=True)
xp.cumulative_prod(x, axis=0, include_initial=True)
xp.cumulative_sum(v, dtype=xp.float64)
xp.diff(x, n=2, axis=0, prepend=x[:1, :], append=x[:2, :])
xp.sort(x, axis=0, descending=True)
xp.argsort(k, axis=1, descending=True)
xp.sum(x, dtype=xp.float64)
xp.prod(xp.sign(k), dtype=xp.int8)
xp.std(x, correction=1, axis=0)
xp.var(x, correction=0.5)
xp.std(x, correction=1.5, axis=(0, 1), keepdims=True)
xp.vecdot(x, v)
xp.tensordot(x, x, axes=((0,), (0,)))
xp.tensordot(v, v, axes=0)
xp.matmul(x, v)
xp.matmul(k, xp.matrix_transpose(k))
xp.linalg.cholesky(m)
xp.linalg.cholesky(m, upper=True)
xp.linalg.cross(x, x[::-1, :], axis=0)
xp.linalg.det(m)
xp.linalg.diagonal(x, offset=1)
xp.linalg.eigvalsh(m)
xp.linalg.eigh(m).eigenvalues
xp.linalg.inv(m)
xp.linalg.matrix_norm(x, ord=2)
xp.linalg.matrix_norm(x, ord="nuc", keepdims=True)
xp.linalg.matrix_norm(x, ord=-1)
xp.linalg.matrix_power(m, 3)
xp.linalg.outer(v, v)
xp.linalg.pinv(x)
xp.linalg.pinv(x, rtol=0.3)
xp.linalg.pinv(xp.matrix_transpose(x), rtol=0.3)
xp.abs(xp.linalg.qr(xp.matrix_transpose(x), mode="complete").R)
xp.abs(xp.linalg.qr(xp.matrix_transpose(x)).Q)
xp.linalg.slogdet(m).sign
xp.linalg.slogdet(m).logabsdet
xp.linalg.solve(m, x)
xp.linalg.solve(m, x[:, 0])
xp.linalg.svdvals(x)
xp.linalg.svd(x, full_matrices=False).S
xp.abs(xp.linalg.svd(xp.matrix_transpose(x), full_matrices=False).U)
xp.abs(xp.linalg.svd(x, full_matrices=False).Vh)
xp.abs(xp.linalg.svd(x).Vh[:3, :])
xp.linalg.trace(x, offset=1)
xp.linalg.trace(k, dtype=xp.int8)
xp.linalg.vector_norm(x)
xp.linalg.vector_norm(x, ord=0, axis=1)
xp.linalg.vector_norm(x, ord=float("-inf"), axis=(0, 1), keepdims=True)
xp.linalg.vector_norm(x, ord=3, axis=0)
xp.fft.fftfreq(5, d=0.1, dtype=xp.float64)
xp.fft.rfftfreq(6, d=0.1, dtype=xp.float32)
xp.fft.fftshift(x)
xp.fft.ifftshift(x, axes=1)
x[1, ...]
x[:, ::-2]
x[..., None, 1]
x[x > 0]
x[1:, -1]
k % 3
k // 2
2 - k
k << 1
~k
-k ** 2
x ** 2
1.5 * x
k == 3
x @ v
x.T
x.mT
""".strip().splitlines()
CASES += [f"xp.fft.{f}({'x' if f in ('rfft', 'rfftn', 'ihfft') else 'x + 0.5j * x'}{kw})" for f in "fft ifft rfft irfft hfft ihfft fftn ifftn rfftn irfftn".split()
          for kw in ("", ', norm="ortho"', ', norm="forward"', ", axes=(0,), s=(5,)" if f.endswith("n") else ", axis=0, n=5")]


@needs_strict
@pytest.mark.parametrize("case", CASES)
def test_the_case_gives_what_the_standard_says(case):
    x = sample(3, "float32", (3, 4))
    arrays = {"x": x, "v": sample(4, "float32", (4,)), "m": x @ x.T + 4 * np.eye(3, dtype="float32"), "k": sample(5, "int32", (3, 4)), "i": np.array([2, 0, 1])}

    def run(xp, convert):
        return eval(case, {"xp": xp, "c": lambda a: convert(np.array(a))} | {n: convert(a) for n, a in arrays.items()})

    compare(case.partition("(")[0].rpartition(".")[2], lambda: run(mx, ours), lambda: run(ORACLE, theirs), 2e-4)


# ---- special values ------------------------------------------------------------------------------------------------

SPECIAL = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 1e-30, 1e30, 1.5, 2.5]


def alike(a, b):
    """Equal, NaN alike, zeros of one sign."""
    b = np.asarray(getattr(b, "_array", b)).astype(a.dtype)
    if a.dtype.kind != "f":
        return a == b
    zeros = (a == 0) & (b == 0)
    return ((a == b) | np.isnan(a) & np.isnan(b) | np.isclose(a, b, rtol=1e-5)) & (~zeros | (np.signbit(a) == np.signbit(b)))


def differs_on_purpose(name, x, y=1.0):
    if name == "sign":
        return np.isnan(x)
    return name == "remainder" and np.isfinite(x) & (y != 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in ONE.split() if n not in ("bitwise_invert", "logical_not", "conj", "imag", "real")])
def test_special_values_of_one_number(name, dtype):
    x = np.array(SPECIAL, dtype)
    with np.errstate(all="ignore"):
        want = getattr(ORACLE, name)(theirs(x))
    right = alike(np.array(getattr(mx, name)(ours(x))), want) | differs_on_purpose(name, x)
    assert right.all(), (name, x[~right])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in TWO.split() if "bitwise" not in n and "logical" not in n])
def test_special_values_of_two_numbers(name, dtype):
    x, y = (g.ravel() for g in np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype)))
    with np.errstate(all="ignore"):
        want = getattr(ORACLE, name)(theirs(x), theirs(y))
        if name == "floor_divide":  # NumPy has Python's rules beside infinity, the standard those of floor(x / y)
            want = np.where(np.isinf(x) | np.isinf(y), np.floor(x / y), np.asarray(getattr(want, "_array", want)))
    got = np.array(getattr(mx, name)(ours(x), ours(y)))
    right = alike(got, want) | differs_on_purpose(name, x, y)
    assert right.all(), (name, x[~right], y[~right])
    if name == "remainder":  # of the exception only the sign of zero is one
        assert (alike(abs(got), np.abs(np.asarray(getattr(want, "_array", want)))) | ~np.isfinite(x)).all()


def test_complex_special_values_of_exponentials_and_roots():
    parts = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.0, -1.0]
    x = np.array([complex(a, b) for a in parts for b in parts], "complex64")
    for name in "abs acos acosh asin asinh atan atanh conj cos cosh exp log negative sin sinh sqrt tan tanh".split():
        with np.errstate(all="ignore"):
            want = np.asarray(getattr(np, name)(x))
        got = np.array(getattr(mx, name)(ours(x)))
        right = alike(got.real, want.real) & alike(got.imag, want.imag) if got.dtype.kind == "c" else alike(got, want)
        assert right.all(), (name, x[~right], got[~right], want[~right])


@needs_strict
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_and_divide_as_the_standard_says(dtype):
    info = np.iinfo(dtype)
    x, y = (g.ravel() for g in np.meshgrid(*2 * [np.array([info.min, info.max, 0, 1, 2, 7], dtype)]))
    for name in TWO.split():
        keep = (y != 0) if name in ("floor_divide", "remainder") else (y >= 0) & (y < 8 * x.itemsize) if "shift" in name else (y >= 0) & (y < 8) if name == "pow" else y == y
        a, b = x[keep], y[keep]
        compare(name, lambda: getattr(mx, name)(ours(a), ours(b)), lambda: getattr(ORACLE, name)(theirs(a), theirs(b)))


# ---- dtypes, conversions, devices ----------------------------------------------------------------------------------


def test_questions_about_dtypes():
    kinds = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"]
    for d in ALL:
        for kind in kinds:
            assert mx.isdtype(getattr(mx, d), kind) == np.isdtype(np.dtype(d), kind)
        info = mx.__array_namespace_info__()
        assert info.dtypes()[d] == getattr(mx, d)
    assert mx.bool is mx.bool_ and mx.isdtype(mx.int8, (mx.bool, "integral"))
    for d in INTEGERS:
        a, b = mx.iinfo(getattr(mx, d)), np.iinfo(d)
        assert (a.bits, a.min, a.max, a.dtype) == (b.bits, b.min, b.max, getattr(mx, d))
    for d in ("float32", "float64", "complex64"):
        a, b = mx.finfo(getattr(mx, d)), np.finfo(d)
        assert [a.bits, a.min, a.max, a.eps, a.smallest_normal] == [b.bits, b.min, b.max, b.eps, b.smallest_normal]


@needs_strict
def test_dtypes_promote_as_the_standard_says():
    for a, b in itertools.product(ALL, ALL):
        try:
            want = str(strict.result_type(getattr(strict, a), getattr(strict, b))).rpartition(".")[2]
        except TypeError:
            continue
        assert accepted("", str(mx.result_type(getattr(mx, a), getattr(mx, b))).rpartition(".")[2], want), (a, b)
        if strict.can_cast(getattr(strict, a), getattr(strict, b)):
            assert mx.can_cast(getattr(mx, a), getattr(mx, b))


def test_python_numbers_follow_the_dtype_beside_them():
    for d, n in itertools.product(ALL, (True, 2, 1.5, 1j)):
        allowed = {bool: "biufc", int: "iufc", float: "fc", complex: "c"}[type(n)]
        if np.dtype(d).kind in allowed and not (isinstance(n, bool) and d != "bool"):
            assert mx.result_type(getattr(mx, d), n) == getattr(mx, d) == mx.result_type(n, mx.array([1], dtype=getattr(mx, d)))
    assert mx.result_type(mx.int8, 1.5) == mx.float32 and mx.result_type(mx.float16, 1j) == mx.complex64
    with pytest.raises(ValueError, match="At least one array or dtype"):
        mx.result_type(1, 2.0)


def test_arrays_of_one_element_become_numbers():
    assert bool(mx.array(2)) is True and int(mx.array(2.7)) == 2 and float(mx.array(3)) == 3.0 and complex(mx.array(1j)) == 1j
    assert [10, 20][mx.array(1)] == 20
    with pytest.raises(TypeError):
        operator.index(mx.array(1.0))


def test_devices():
    x = mx.ones(3)
    d = x.device
    assert d == mx.cpu and d in mx.__array_namespace_info__().devices()
    assert x.to_device(d) is x and mx.zeros(2, device=d).device == d
    if not mx.is_available(mx.gpu):
        for f in (lambda: x.to_device(mx.gpu), lambda: mx.ones(2, device=mx.gpu), lambda: mx.asarray([1], device=mx.gpu), lambda: mx.from_dlpack(x, device=mx.gpu)):
            with pytest.raises(ValueError, match="gpu"):
                f()
    with pytest.raises(ValueError, match="Only one of device and stream"):
        mx.ones(2, device=mx.cpu, stream=mx.cpu)
    with pytest.raises(TypeError):
        mx.ones(2, device="cpu")
    with pytest.raises(TypeError, match=r"\[to_device\]"):
        x.to_device("cpu")
    with pytest.raises(TypeError):
        mx.full((2,), 1, fill_value=1)


def test_versions_of_the_namespace():
    x = mx.ones(1)
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is mx
    with pytest.raises(ValueError, match="1999"):
        x.__array_namespace__(api_version="1999.01")


# ---- results with names, and what the keywords do beyond the standard ------------------------------------------------


def test_results_with_names_are_tuples():
    import pickle

    q, r = result = mx.linalg.qr(mx.eye(2))
    assert result.Q is q and result[1] is r and isinstance(result, tuple) and type(result).__module__ == "mlx.core.linalg"
    assert pickle.loads(pickle.dumps(result)).R.tolist() == r.tolist()
    assert mx.compile(mx.linalg.eigh)(mx.eye(2)).eigenvalues.tolist() == [1, 1]
    assert mx.unique_counts(mx.array([3, 1, 3]))._asdict()["counts"].tolist() == [1, 2]


def test_falling_order_keeps_equal_elements_in_order():
    x = mx.array([[1, 3, 1, 3], [2, 2, 2, 2]])
    assert mx.argsort(x, axis=1, descending=True).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]
    assert mx.argsort(x, axis=None, descending=True).tolist() == [1, 3, 4, 5, 6, 7, 0, 2]
    assert mx.sort(mx.zeros((2, 0)), descending=True).shape == mx.argsort(mx.zeros((2, 0)), descending=True).shape == (2, 0)
    assert mx.grad(lambda a: (mx.sort(a, descending=True) * mx.array([1.0, 2, 3])).sum())(mx.array([2.0, 9, 4])).tolist() == [3, 1, 2]
    assert mx.vmap(lambda a: mx.argsort(a, descending=True))(x).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]


def test_a_scan_may_begin_with_what_it_starts_from():
    x = mx.array([1.0, 2.0, 4.0])
    assert mx.cumsum(x, reverse=True, include_initial=True).tolist() == [7, 6, 4, 0]
    assert mx.cumprod(x, include_initial=True).tolist() == [1, 1, 2, 8]
    assert mx.cumsum(mx.zeros((2, 0)), axis=1, include_initial=True).tolist() == [[0], [0]]
    assert mx.grad(lambda a: mx.cumsum(a, include_initial=True).sum())(x).tolist() == [3, 2, 1]


def test_repeats_from_an_array():
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert mx.repeat(x, mx.array([0, 2]), axis=0).tolist() == [[3, 4], [3, 4]] and mx.repeat(x, mx.array(0)).shape == (0,)
    assert mx.grad(lambda a: mx.repeat(a, mx.array([3, 1]), axis=1).sum())(x).tolist() == [[3, 1], [3, 1]]
    for bad, message in [(mx.array([1, 2, 3]), "3 repeats do not fit"), (mx.array([1.0, 2.0]), "must be integers"), (mx.array([-1, 2]), "cannot be negative")]:
        with pytest.raises(ValueError, match=message):
            mx.repeat(x, bad, axis=0)
    with pytest.raises(ValueError, match="compile and vmap"):
        mx.compile(lambda r: mx.repeat(x, r, axis=0))(mx.array([1, 2]))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 3), (3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_reduced_svd_and_complete_qr_multiply_back(shape, dtype):
    a = ours(sample(1, dtype, shape))
    m, n = shape[-2:]
    u, s, vh = mx.linalg.svd(a, full_matrices=False)
    assert u.shape[-1] == s.shape[-1] == vh.shape[-2] == min(m, n)
    np.testing.assert_allclose(np.array((u * s[..., None, :]) @ vh), np.array(a), atol=1e-5)
    q, r = mx.linalg.qr(a, mode="complete")
    assert q.shape[-2:] == (m, m) and r.shape[-2:] == (m, n)
    np.testing.assert_allclose(np.array(q @ r), np.array(a), atol=1e-5)
    np.testing.assert_allclose(np.array(mx.conj(mx.swapaxes(q, -1, -2)) @ q), np.broadcast_to(np.eye(m), q.shape), atol=1e-5)


@pytest.mark.parametrize("call, message", [
    (lambda: mx.linalg.qr(mx.eye(2), mode="half"), "mode"), (lambda: mx.moveaxis(mx.ones((2, 3)), (0, 1), (1,)), "2 sources"),
    (lambda: mx.moveaxis(mx.ones((2, 3)), (0, 0), (0, 1)), "twice"), (lambda: mx.moveaxis(mx.ones((2, 3)), (0, 5), (0, 1)), "out of bounds"),
    (lambda: mx.fft.fftfreq(4, dtype=mx.int32), "real floating"), (lambda: mx.diff(mx.ones((2, 3)), prepend=mx.ones((3, 3))), "concatenate"),
    (lambda: mx.fft.hfft(mx.ones(4), n=0), "positive"),
])
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
