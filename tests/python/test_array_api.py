"""The Python array API standard 2024.12: names, keywords, special values, and results beside NumPy's and array_api_strict's.

What differs on purpose stands in EXCEPTIONS of array_api_exceptions.py, with a reason each."""

import ast
import inspect
import operator

import mlx.core as mx
import pytest
from array_api_exceptions import EXCEPTIONS

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
