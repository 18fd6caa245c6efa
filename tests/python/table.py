"""The rows of ops/*.def as test material: each op with its function in mlx.core, its reference in NumPy, where it is
defined and how exact it is. A new row is tested as soon as it stands in the table."""

import math
import pathlib
import re
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

OPS = pathlib.Path(__file__).resolve().parents[2] / "ops"

UINT = ("uint8", "uint16", "uint32", "uint64")
SINT = ("int8", "int16", "int32", "int64")
FLT = ("float16", "bfloat16", "float32", "float64")
CPX = ("complex64",)
SETS = {"BOOL": ("bool",), "UINT": UINT, "SINT": SINT, "INT": UINT + SINT, "BITS": ("bool",) + UINT + SINT, "FLT": FLT,
        "CPX": CPX, "FLT_CPX": FLT + CPX, "REAL": ("bool",) + UINT + SINT + FLT, "NUM": UINT + SINT + FLT + CPX,
        "ANY": ("bool",) + UINT + SINT + FLT + CPX}
ALL = SETS["ANY"]
DTYPES = {"bool": mx.bool_, **{name: getattr(mx, name) for name in ALL if name != "bool"}}
# Largest error allowed, relative to the larger of the value and 1; half precisions round once.
TOLERANCE = {"float16": 1.1e-3, "bfloat16": 8.5e-3, "float32": 2e-6, "float64": 1e-12, "complex64": 4e-6}
SHAPES = [(), (0,), (1,), (7,), (3, 1, 5), (2, 130)]

# ---- where the face or NumPy has another name ----

PYTHON_NAME = {"rint": "round", "select": "where"}


def vectorised(f):
    return np.vectorize(f, otypes=[np.float64])


def erfinv(x):
    from scipy.special import erfinv
    return erfinv(x)


def sign(x):
    if np.iscomplexobj(x):
        return np.where(x == 0, 0, x / np.where(x == 0, 1, np.abs(x)))
    return np.sign(x)


def quiet(f):
    def wrapped(*args, **how):
        with np.errstate(all="ignore"):
            return f(*args, **how)
    return wrapped


NUMPY = {
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": vectorised(math.erf),
    "erfinv": erfinv,
    "sign": sign,
    "logaddexp": lambda x, y: np.log(np.exp(x) + np.exp(y)) if np.iscomplexobj(x) else np.logaddexp(x, y),
    "real": np.real, "imag": np.imag, "conjugate": np.conjugate,
    "select": np.where,
    "round": np.rint,
}
NOT_IN_NUMPY = {("floor_divide", "complex64")}
# Where the values of samples lie: for real floats; integers are small and shifted to be legal.
DOMAIN = {
    "log": (0.1, 5), "log2": (0.1, 5), "log10": (0.1, 5), "sqrt": (0.1, 5), "rsqrt": (0.1, 5), "reciprocal": (0.3, 3),
    "log1p": (-0.7, 3), "arcsin": (-0.9, 0.9), "arccos": (-0.9, 0.9), "arccosh": (1.2, 4), "arctanh": (-0.8, 0.8),
    "erfinv": (-0.9, 0.9), "tan": (-1, 1), "power": ((0.3, 2.5), (-2, 2)), "divide": ((-3, 3), (0.4, 3)),
    "prod": (0.5, 1.5), "floor_divide": ((-9, 9), (0.7, 3)), "remainder": ((-9, 9), (0.7, 3)),
}
INTEGERS = {"left_shift": ((0, 6), (0, 7)), "right_shift": ((0, 100), (0, 7)), "power": ((0, 4), (0, 4)),
            "floor_divide": ((-20, 20), (1, 6)), "remainder": ((-20, 20), (1, 6)), "divide": ((-20, 20), (1, 6)),
            "log": (1, 9), "log2": (1, 9), "log10": (1, 9), "rsqrt": (1, 9), "reciprocal": (1, 9), "sqrt": (0, 9),
            "arccosh": (2, 9), "arctanh": (0, 1), "erfinv": (0, 1), "arcsin": (-1, 2), "arccos": (-1, 2), "log1p": (0, 9),
            "square": (-9, 9), "multiply": (-9, 9), "prod": (-2, 3)}


@dataclass(frozen=True)
class Op:
    kind: str
    name: str
    dtypes: tuple
    result: str = "SAME"
    derivatives: tuple = field(default=())

    def __repr__(self):
        return self.name

    @property
    def arity(self):
        return {"BINARY": 2, "TERNARY": 3}.get(self.kind, 1)

    @property
    def mx(self):
        return getattr(mx, PYTHON_NAME.get(self.name, self.name))

    @property
    def np(self):
        return quiet(NUMPY.get(self.name) or getattr(np, self.name))

    @property
    def differentiable(self):
        return self.kind == "UNARY_OWN" or any(d != "ZERO" for d in self.derivatives) or self.kind == "TERNARY"

    @property
    def result_only(self):
        """Integers and bool given to an op of floats are cast to float32 first."""
        return not set(self.dtypes) - set(FLT + CPX)

    def computes_in(self, dtype):
        """The dtype an input of this dtype is computed in, or None where it is refused."""
        if dtype in self.dtypes:
            return dtype
        return "float32" if self.result_only and dtype not in FLT + CPX else None

    def gives(self, dtype):
        dtype = self.computes_in(dtype)
        if self.result == "BOOL":
            return "bool"
        if self.result == "REAL":
            return "float32" if dtype == "complex64" else dtype
        if self.result == "SUM":
            return {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}.get(dtype, dtype)
        return dtype

    def sample(self, dtype, shape, which=0, seed=0):
        """A NumPy array of legal values; bfloat16 ones stand in float32."""
        rng = np.random.default_rng([seed, which, len(shape)])
        if self.kind == "TERNARY" and which == 0:
            return rng.integers(0, 2, shape).astype(bool)
        divisor = self.name in ("floor_divide", "remainder") and which == 1
        if dtype == "bool":
            return np.ones(shape, bool) if divisor else rng.integers(0, 2, shape).astype(bool)
        if divisor and dtype in ("float16", "bfloat16"):      # else rounding decides which integer
            return rng.choice([0.5, 1, 2, 4], shape).astype(np.float16 if dtype == "float16" else np.float32)

        def span(table, default):
            low_high = table.get(self.name, default)
            return low_high[which] if isinstance(low_high[0], tuple) else low_high
        if dtype in UINT + SINT:
            low, high = span(INTEGERS, (-9, 9))
            return rng.integers(max(low, 0) if dtype in UINT else low, high, shape).astype(dtype)
        low, high = span(DOMAIN, (-3, 3))
        x = rng.uniform(low, high, shape)
        if dtype == "complex64":
            return (x + 1j * rng.uniform(0.1, 0.9, shape)).astype(np.complex64)
        return np.asarray(rounded(x, dtype))


def rounded(x, dtype):
    """x as the nearest values of a floating dtype; bfloat16 in float32."""
    if dtype != "bfloat16":
        return np.asarray(x).astype(dtype)
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def to_mx(x, dtype):
    return mx.array(x, dtype=DTYPES[dtype])


def to_np(a):
    return np.array(a.astype(mx.float32) if a.dtype == mx.bfloat16 else a)


def wide(x):
    """For references: floats in double precision, integers as they are."""
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64) if x.dtype.kind in "fc" else x


def name_of(dtype):
    return next(name for name, d in DTYPES.items() if d == dtype)


def close(got, want, dtype, scale=1.0):
    """got (an mx array of dtype) against a reference in wide precision."""
    assert name_of(got.dtype) == dtype
    assert tuple(got.shape) == np.shape(want)
    got = to_np(got)
    if dtype not in TOLERANCE:
        np.testing.assert_array_equal(got, want)
        return
    want = np.asarray(want)
    rtol = scale * TOLERANCE[dtype]
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


# ---- reading the tables ----

def rows(file):
    text = re.sub(r"/\*.*?\*/", "", (OPS / file).read_text(), flags=re.S)
    for line in text.splitlines():
        match = re.match(r"\s*([A-Z_]+)\s*\((.*)\)\s*$", line)
        if match:
            yield match[1], split(match[2])


def split(text):
    """Arguments of a row: commas inside parentheses and strings do not count."""
    parts, depth, quoted, start = [], 0, False, 0
    for i, c in enumerate(text):
        if c == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif not quoted and c in "([{":
            depth += 1
        elif not quoted and c in ")]}":
            depth -= 1
        elif c == "," and not depth and not quoted:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]


def dtype_set(text):
    return tuple(d for d in ALL if any(d in SETS[part.strip()[5:]] for part in text.split("|")))


def read_elementwise():
    for kind, row in rows("elementwise.def"):
        derivatives = {"UNARY": row[4:5], "BINARY": row[4:6]}.get(kind, [])
        if row[0] != "astype":       # takes a dtype: tested with the conversions
            yield Op(kind, row[0], dtype_set(row[2]), row[3], tuple(derivatives))


elementwise = list(read_elementwise())
reductions = [Op(kind, row[0], dtype_set(row[2]), row[3]) for kind, row in rows("reduce.def")]
structured = [row[0] for _, row in rows("structured.def")]
