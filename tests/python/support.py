"""Which op works for which dtype, under which transform: docs/ops.md, found out by running every row of the tables.

    make ops-page          writes it
"""

import pathlib

import mlx.core as mx
import mlx.nn as nn
import numpy as np

import checks
import table
from structured_cases import CASES

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ops.md"
SHORT = {"bool": "bool", **{f"{sign}int{n}": f"{sign[:1] or 'i'}{n}" for sign in ("u", "") for n in (8, 16, 32, 64)},
         "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64", "complex64": "c64"}

INTRO = """# What works

Every row of the tables in `ops/`, called with arrays of every dtype. The test run makes this page anew and compares
(`make ops-page` writes it), so it says what is, not what was meant.

In a cell: `E` the op runs; `G` it has a gradient; `V` under `vmap` it gives what a loop gives; `C` compiled it gives the
same bits; `-` the dtype is refused with an error. Integers and bool have no gradient: theirs is zero by rule.
"""


def square(a):
    """A well-conditioned square matrix made of any matrix."""
    n = min(a.shape[-2:])
    a = a[..., :n, :n]
    return a + (mx.eye(n) * 4).astype(a.dtype)


def symmetric(a):
    a = square(a)
    return a + mx.swapaxes(a, -1, -2)


def lstm(x, w, v):
    return nn.LSTM(2, 2, bias=False).update({"Wx": w, "Wh": v})(x)[0]


MATRIX, VECTOR = (3, 3), (3,)
# Ops that structured_cases.py leaves to other files: a use of each.
OTHERS = {
    "view": (lambda x: x.view(x.dtype), [MATRIX]),
    "arange": (lambda x: x + mx.arange(3, dtype=x.dtype), [VECTOR]),
    "random_bits": (lambda x: x + mx.random.randint(0, 2, (3,), key=mx.random.key(1)).astype(x.dtype), [VECTOR]),
    "fft": (mx.fft.fft, [MATRIX]),
    "rfft": (mx.fft.rfft, [MATRIX]),
    "irfft": (mx.fft.irfft, [MATRIX]),
    "quantize": (lambda w: mx.quantize(w, group_size=32, bits=4)[1], [(2, 64)]),
    "to_fp8": (mx.to_fp8, [MATRIX]),
    "from_fp8": (lambda x: mx.from_fp8(x, dtype=mx.float32), [MATRIX]),
    "rope": (lambda x: mx.fast.rope(x, 4, traditional=False, base=100.0, scale=1.0, offset=3), [(1, 3, 4)]),
    "attention": (lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5), [(1, 2, 3, 4), (1, 1, 5, 4), (1, 1, 5, 4)]),
    "attention_vjp": (lambda q, k, v: mx.vjp(lambda x: mx.fast.scaled_dot_product_attention(x, k, v, scale=0.5), [q], [q])[1][0],
                      [(1, 2, 3, 4), (1, 1, 5, 4), (1, 1, 5, 4)]),
    "batch_norm": (nn.BatchNorm(3, track_running_stats=False), [MATRIX]),
    "batch_norm_vjp": (lambda x: mx.grad(lambda y: (nn.BatchNorm(3, track_running_stats=False)(y) * x).sum())(x), [MATRIX]),
    "lstm": (lstm, [(2, 3, 2), (8, 2), (8, 2)]),
    "lstm_vjp": (lambda x, w, v: mx.vjp(lambda x: lstm(x, w, v), [x], [x])[1][0], [(2, 3, 2), (8, 2), (8, 2)]),
    "random_loggamma": (lambda x: x + mx.random.gamma(2.0, shape=(3,), key=mx.random.key(1)).astype(x.dtype), [VECTOR]),
    "random_poisson": (lambda x: x + mx.random.poisson(2.0, shape=(3,), key=mx.random.key(1)).astype(x.dtype), [VECTOR]),
    "loggamma_grad": (lambda x: mx.vjp(lambda a: mx.random.gamma(a, key=mx.random.key(1)), [x], [mx.ones_like(x)])[1][0], [VECTOR]),
    "lstsq": (lambda a, b: mx.linalg.lstsq(square(a), b)[0], [MATRIX, MATRIX]),
    "expm": (lambda a: mx.linalg.expm(square(a)), [MATRIX]),
    "inverse": (lambda a: mx.linalg.inv(square(a)), [MATRIX]),
    "solve": (lambda a, b: mx.linalg.solve(square(a), b), [MATRIX, MATRIX]),
    "solve_triangular": (lambda a, b: mx.linalg.solve_triangular(mx.tril(square(a)), b), [MATRIX, MATRIX]),
    "cholesky": (lambda a: mx.linalg.cholesky(symmetric(a)), [MATRIX]),
    "det": (lambda a: mx.linalg.det(square(a)), [MATRIX]),
    "slogdet": (lambda a: mx.linalg.slogdet(square(a))[1], [MATRIX]),
    "lu_factor": (lambda a: mx.linalg.lu_factor(square(a))[0], [MATRIX]),
    "qr": (lambda a: mx.linalg.qr(square(a))[1], [MATRIX]),
    "svd": (lambda a: mx.linalg.svd(square(a))[1], [MATRIX]),
    "svdvals": (lambda a: mx.linalg.svd(square(a), compute_uv=False), [MATRIX]),
    "eigh": (lambda a: mx.linalg.eigh(symmetric(a))[0], [MATRIX]),
    "eigvalsh": (lambda a: mx.linalg.eigvalsh(symmetric(a)), [MATRIX]),
    "eig": (lambda a: mx.linalg.eig(square(a))[0], [MATRIX]),
    "eigvals": (lambda a: mx.linalg.eigvals(square(a)), [MATRIX]),
}


def uses():
    """(op, function of arrays, function from a dtype to NumPy arguments) for every row that can be called so."""
    for op in table.elementwise:
        yield op.name, op.mx, lambda dtype, op=op: [op.sample(dtype, (3, 4), i) for i in range(op.arity)]
    for op in table.reductions:
        yield op.name, lambda x, op=op: op.mx(x, axis=1), lambda dtype, op=op: [op.sample(dtype, (3, 4))]
    seen = set()
    for case in CASES:
        if case.op not in seen:
            seen.add(case.op)
            yield case.op, case.f, lambda dtype, case=case: [values(x, dtype) for x in case.arrays()]
    for op in table.structured:
        if op in OTHERS:
            f, shapes = OTHERS[op]
            yield op, f, lambda dtype, shapes=shapes: [
                values(np.linspace(0.5, 1.5, int(np.prod(s))).reshape(s) ** (i + 1), dtype) for i, s in enumerate(shapes)]


def values(x, dtype):
    """Numbers of a real array that every dtype has."""
    if dtype in table.UINT:
        return np.abs(np.rint(x)).astype(dtype)
    if dtype in table.SINT or dtype == "bool":
        return np.rint(x).astype(dtype)
    return x.astype(np.complex64) if dtype == "complex64" else table.rounded(x, dtype)


def works(attempt):
    try:
        attempt()
    except (ValueError, TypeError, RuntimeError, NotImplementedError):
        return False
    except AssertionError:
        return False
    return True


def cell(f, arguments, dtype):
    arrays = [table.to_mx(x, "bool" if x.dtype == bool else dtype) for x in arguments(dtype)]
    if not works(lambda: mx.eval(f(*arrays))):
        return "-"
    marks = "E"
    inexact = [i for i, a in enumerate(arrays) if mx.issubdtype(a.dtype, mx.inexact)]
    if inexact and works(lambda: gradient(f, arrays, inexact)):
        marks += "G"
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2}.get(dtype, 1e-5)
    if works(lambda: checks.vmap(f, arrays, size=2, rtol=tolerance)):
        marks += "V"
    if works(lambda: checks.compiled(f, arrays, may_refuse=True)):
        marks += "C"
    return marks


def gradient(f, arrays, of):
    def total(*xs):
        full = list(arrays)
        for i, x in zip(of, xs):
            full[i] = x
        return [out for out in checks.listed(f(*full)) if mx.issubdtype(out.dtype, mx.inexact)]
    outs = total(*[arrays[i] for i in of])
    assert outs
    _, grads = mx.vjp(total, [arrays[i] for i in of], [mx.ones_like(out) for out in outs])
    mx.eval(grads)


def page():
    lines = [INTRO, "| op | " + " | ".join(SHORT[d] for d in table.ALL) + " |", "|---" * (len(table.ALL) + 1) + "|"]
    for name, f, arguments in sorted(uses(), key=lambda use: use[0]):
        lines.append(f"| {name} | " + " | ".join(cell(f, arguments, dtype) for dtype in table.ALL) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
