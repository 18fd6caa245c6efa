"""Quantized matrices: packed bits against the real MLX, products against NumPy, gradients, batching, layers, wrong arguments."""

import json
import os
import subprocess
import sys

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten

import checks

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden")
sys.path.insert(0, GOLDEN)

import quant_cases  # noqa: E402

MODES = {"affine": None, "mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}
AFFINE = [(g, b) for g in (32, 64, 128) for b in (1, 2, 3, 4, 5, 6, 8)]
KINDS = [("affine", g, b) for g, b in AFFINE] + [(m, *v) for m, v in MODES.items() if v]
kinds = pytest.mark.parametrize("mode,group,bits", KINDS)
TOLERANCE = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 1e-2}


def load():
    with np.load(os.path.join(GOLDEN, "quant.npz")) as f:
        data, about = f["data"], json.loads(f["about"].tobytes())
    expected = {}
    for name, dtype, shape, start in about["index"]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        expected.setdefault(name, []).append(data[start : start + size].view(dtype).reshape(shape))
    return expected


EXPECTED = load()


@pytest.mark.parametrize("name", sorted(quant_cases.CASES))
def test_bits_are_those_of_mlx(name):
    want, got = EXPECTED[name], quant_cases.arrays(name)
    assert len(got) == len(want)
    for w, g in zip(want, got):
        if name.startswith("gradient"):
            np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(g, w)


def normal(shape, seed=0, dtype="float32"):
    return mx.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32)).astype(getattr(mx, dtype))


def packed(shape, mode, group, bits, seed=1, dtype="float32"):
    """Packed words, scales and biases (or None), and the numbers they stand for."""
    parts = mx.quantize(normal(shape, seed, dtype), group_size=group, bits=bits, mode=mode)
    numbers = np.array(mx.dequantize(*parts, group_size=group, bits=bits, mode=mode, dtype=mx.float32)) if mode != "affine" else None
    if mode == "affine":
        exact = [p.astype(mx.float32) for p in parts[1:]]
        numbers = np.array(mx.dequantize(parts[0], *exact, group_size=group, bits=bits))
    return (*parts, None)[:3], numbers.astype(np.float64)


def close(got, want, dtype="float32", scale=None):
    got = checks.numbers(got)
    scale = np.abs(want).max() if scale is None else scale
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * max(scale, 1e-30))


@kinds
@pytest.mark.parametrize("transpose", [True, False])
def test_product_is_that_of_the_numbers(mode, group, bits, transpose):
    for n, k in ((7, 128), (65, 384), (130, 640)):
        parts, numbers = packed((n, k), mode, group, bits)
        w = numbers.T if transpose else numbers
        for rows in (1, 2, 3, 5, 8, 9, 20, 40):
            x = normal((rows, k if transpose else n), 2)
            got = mx.quantized_matmul(x, *parts, transpose=transpose, group_size=group, bits=bits, mode=mode)
            close(got, np.array(x, np.float64) @ w, scale=(np.abs(np.array(x)) @ np.abs(w)).max())


def words_and_numbers(mode, group, bits, rows, wide, seed=0):
    """Any codes but NaN, under scales of one: packed arrays, and what they stand for."""
    words = np.random.default_rng(seed).integers(0, 2**32, (rows, wide * bits // 32), dtype=np.uint32)
    if mode == "mxfp8":
        codes = words.view(np.uint8)
        codes[codes & 0x7F == 0x7F] = 0x3C
    if mode == "affine":
        stream = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").reshape(rows, wide, bits)
        numbers = (stream << np.arange(bits)).sum(-1).astype(np.float32)
        return (mx.array(words), mx.ones((rows, wide // group)), mx.zeros((rows, wide // group))), numbers
    one = 0x38 if mode == "nvfp4" else 127
    parts = (mx.array(words), mx.full((rows, wide // group), one, mx.uint8), None)
    return parts, np.array(mx.dequantize(*parts, group_size=group, bits=bits, mode=mode, dtype=mx.float32))


@kinds
@pytest.mark.parametrize("transpose", [True, False])
def test_every_place_is_multiplied_by_its_own_number(mode, group, bits, transpose):
    like = dict(group_size=group, bits=bits, mode=mode, transpose=transpose)
    wide, n = (384, 12) if transpose else (640, 24)
    parts, numbers = words_and_numbers(mode, group, bits, n, wide)
    if transpose:
        numbers = numbers.T
    one = np.eye(len(numbers), dtype=np.float32)
    for dtype in (mx.float32, mx.bfloat16):
        for i in range(0, len(one), 6):
            got = mx.quantized_matmul(mx.array(one[i : i + 6]).astype(dtype), *parts, **like)
            want = mx.array(numbers[i : i + 6]).astype(got.dtype)
            assert mx.array_equal(got, want), (dtype, i)


@kinds
def test_long_rows(mode, group, bits):
    for transpose, shape in ((True, (18, 5120)), (False, (37, 5120)), (False, (300, 1024 + 128))):
        parts, numbers = packed(shape, mode, group, bits)
        w = numbers.T if transpose else numbers
        for rows in (1, 2, 3, 4, 7):
            x = normal((rows, len(w)), 2)
            got = mx.quantized_matmul(x, *parts, transpose=transpose, group_size=group, bits=bits, mode=mode)
            close(got, np.array(x, np.float64) @ w, scale=(np.abs(np.array(x)) @ np.abs(w)).max())


@pytest.mark.parametrize("transpose", [True, False])
def test_a_code_that_is_nan_spoils_its_own_results_alone(transpose):
    (q, s, _), _ = words_and_numbers("mxfp8", 32, 8, 10, 96)
    codes = np.array(q).view(np.uint8)
    codes[3, 5], codes[7, 90] = 0x7F, 0xFF
    for rows in (1, 2, 5, 30):
        got = np.array(mx.quantized_matmul(mx.ones((rows, 96 if transpose else 10)), mx.array(codes.view(np.uint32)), s, mode="mxfp8",
                                           transpose=transpose))
        assert np.isnan(got).all(0).nonzero()[0].tolist() == ([3, 7] if transpose else [5, 90])
        assert np.isnan(got).any(0).sum() == 2


@kinds
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("transpose", [True, False])
def test_halves(mode, group, bits, dtype, transpose):
    parts, numbers = packed((96, 256), mode, group, bits, dtype=dtype)
    for rows in (1, 4, 11, 24, 33):
        x = normal((rows, 256 if transpose else 96), 2, dtype)
        got = mx.quantized_matmul(x, *parts, transpose=transpose, group_size=group, bits=bits, mode=mode)
        assert got.dtype == x.dtype
        close(got, checks.numbers(x).astype(np.float64) @ (numbers.T if transpose else numbers), dtype)


def test_dtypes_of_x_and_scales_promote():
    (q, s, b), numbers = packed((8, 64), "affine", 64, 4, dtype="float16")
    for x, want in ((mx.ones((2, 64)), mx.float32), (mx.ones((2, 64), mx.bfloat16), mx.float32),
                    (mx.ones((2, 64), mx.int32), mx.float16), (mx.ones((2, 64), mx.float64), mx.float64)):
        got = mx.quantized_matmul(x, q, s, b)
        assert got.dtype == want
        close(got, np.ones((2, 64)) @ numbers.T, "float16")


@kinds
def test_batches_broadcast(mode, group, bits):
    like = dict(group_size=group, bits=bits, mode=mode)
    parts, numbers = packed((3, 1, 9, 128), mode, group, bits)
    x = normal((2, 5, 128), 3)
    close(mx.quantized_matmul(x, *parts, **like), np.array(x, np.float64) @ numbers.swapaxes(-1, -2), scale=200)
    y = normal((3, 2, 4, 9), 3)
    close(mx.quantized_matmul(y, *parts, transpose=False, **like), np.array(y, np.float64) @ numbers, scale=50)
    one, two = packed((9, 128), mode, group, bits)
    close(mx.quantized_matmul(x, *one, **like), np.array(x, np.float64) @ two.T, scale=200)
    close(mx.quantized_matmul(x[0, 0], *one, **like), np.array(x[0, 0], np.float64) @ two.T, scale=200)
    close(mx.quantized_matmul(x[0, 0], *parts, **like), (np.array(x[0, 0], np.float64) @ numbers.swapaxes(-1, -2)), scale=200)


def test_strided_inputs():
    (q, s, b), numbers = packed((24, 256), "affine", 64, 4)
    x = normal((256, 6), 4)
    want = np.array(x, np.float64).T @ numbers.T
    close(mx.quantized_matmul(x.T, q, s, b), want, scale=300)
    every = [mx.repeat(a, 2, axis=0)[::2] for a in (q, s, b)]
    close(mx.quantized_matmul(x.T, *every), want, scale=300)
    turned = [mx.contiguous(a.T).T for a in (q, s, b)]
    close(mx.quantized_matmul(x.T, *turned), want, scale=300)
    np.testing.assert_array_equal(np.array(mx.dequantize(*turned)), np.array(mx.dequantize(q, s, b)))
    close(mx.quantized_matmul(x.T, q[5:17], s[5:17], b[5:17]), want[:, 5:17], scale=300)
    w = normal((256, 24), 1)
    for a, c in zip(mx.quantize(w.T), mx.quantize(mx.contiguous(w.T))):
        np.testing.assert_array_equal(np.array(a), np.array(c))


def test_empty():
    (q, s, b), _ = packed((8, 64), "affine", 64, 4)
    assert mx.quantized_matmul(mx.zeros((0, 64)), q, s, b).shape == (0, 8)
    assert mx.quantized_matmul(mx.zeros((3, 64)), q[:0], s[:0], b[:0]).shape == (3, 0)
    none = [mx.zeros((8, 0), t) for t in (mx.uint32, mx.float32, mx.float32)]
    np.testing.assert_array_equal(np.array(mx.quantized_matmul(mx.zeros((2, 0)), *none)), np.zeros((2, 8)))
    assert mx.dequantize(*none).shape == (8, 0)
    assert [a.shape for a in mx.quantize(mx.zeros((0, 64)))] == [(0, 8), (0, 1), (0, 1)]


@kinds
def test_gather(mode, group, bits):
    like = dict(group_size=group, bits=bits, mode=mode)
    parts, numbers = packed((4, 9, 128), mode, group, bits)
    x = normal((5, 3, 128), 3)
    xs = np.array(x, np.float64)
    lhs, rhs = mx.array([[0], [4]]), mx.array([1, 0, 3, -1])
    got = mx.gather_qmm(x, *parts, lhs_indices=lhs, rhs_indices=rhs, **like)
    close(got, xs[np.array([[0] * 4, [4] * 4])] @ numbers[np.array([[1, 0, 3, 3]] * 2)].swapaxes(-1, -2), scale=200)
    got = mx.gather_qmm(x, *parts, rhs_indices=mx.array([0, 0, 1, 3, 3]), sorted_indices=True, **like)
    close(got, xs @ numbers[[0, 0, 1, 3, 3]].swapaxes(-1, -2), scale=200)
    got = mx.gather_qmm(x[0], *parts, rhs_indices=rhs, **like)
    close(got, xs[0] @ numbers[[1, 0, 3, 3]].swapaxes(-1, -2), scale=200)
    y = normal((5, 1, 9), 3)
    got = mx.gather_qmm(y, *parts, lhs_indices=mx.array([3, 2]), rhs_indices=mx.array([2, 2]), transpose=False, **like)
    close(got, np.array(y, np.float64)[[3, 2]] @ numbers[[2, 2]], scale=50)
    plain = mx.gather_qmm(x[:4], *parts, **like)
    close(plain, xs[:4] @ numbers.swapaxes(-1, -2), scale=200)


def test_gather_with_global_scales():
    scales = [2.0, 0.5, 7.0]
    w = normal((3, 9, 64))
    each = [mx.quantize(w[i], mode="nvfp4", global_scale=mx.array(g)) for i, g in enumerate(scales)]
    numbers = np.stack([np.array(mx.dequantize(*p, mode="nvfp4", global_scale=mx.array(g)), np.float64) for p, g in zip(each, scales)])
    q, s = (mx.stack(parts) for parts in zip(*each))
    x, rhs = normal((2, 1, 4, 64), 2), mx.array([2, 0, -1])
    for dtype in ("float32", "bfloat16"):
        got = mx.gather_qmm(x.astype(getattr(mx, dtype)), q, s, lhs_indices=mx.array([0, 1, 1]), rhs_indices=rhs, mode="nvfp4",
                            global_scale=mx.array(scales))
        assert got.dtype == getattr(mx, dtype)
        close(got, np.array(x, np.float64)[[0, 1, 1], 0] @ numbers[[2, 0, 2]].swapaxes(-1, -2), dtype, scale=200)
    for g, text in ((mx.array(1.0), "must have one entry per expert with shape (3) but got ()."), (mx.array([1, 2, 3]), "float32 but got int32"),
                    (None, "without indices")):
        with pytest.raises(ValueError) as e:
            mx.gather_qmm(x[:, 0], q, s, rhs_indices=None if g is None else rhs, mode="nvfp4", global_scale=mx.array(scales) if g is None else g)
        assert text in str(e.value)
    with pytest.raises(ValueError, match="only supported for 'nvfp4'"):
        mx.gather_qmm(x[:, 0], q, s, rhs_indices=rhs, mode="mxfp4", global_scale=mx.array(scales))


def test_gather_qqmm_needs_a_gpu():
    with pytest.raises(RuntimeError, match=r"\[GatherQQMM\] NYI"):
        mx.gather_qqmm(mx.ones((2, 3, 64)), mx.ones((2, 8, 64)), rhs_indices=mx.array([0, 1]))


def test_gather_checks_indices():
    (q, s, b), _ = packed((2, 8, 64), "affine", 64, 4)
    for more in ({"rhs_indices": mx.array([0, 2])}, {"lhs_indices": mx.array([-4, 0])}):
        with pytest.raises(IndexError, match=r"\[gather_qmm\] .hs index -?\d is out of bounds for axis 0 with size \d"):
            mx.eval(mx.gather_qmm(mx.ones((3, 1, 64))[: 2 if "rhs_indices" in more else 3], q, s, b,
                                  **{"rhs_indices": mx.array([0, 1]), **more}))


# ---- gradients and batching ----

def product(mode, group, bits, parts, transpose=True):
    return lambda x: mx.quantized_matmul(x, *parts, transpose=transpose, group_size=group, bits=bits, mode=mode)


@kinds
@pytest.mark.parametrize("transpose", [True, False])
def test_gradient_of_x(mode, group, bits, transpose):
    parts, numbers = packed((8, 128), mode, group, bits)
    x, c = normal((3, 128 if transpose else 8), 5), normal((3, 8 if transpose else 128), 6)
    f = product(mode, group, bits, parts, transpose)
    _, (got,) = mx.vjp(f, [x], [c])
    close(got, np.array(c, np.float64) @ (numbers if transpose else numbers.T), scale=100)
    _, (got,) = mx.jvp(f, [x], [normal(x.shape, 7)])
    close(got, np.array(normal(x.shape, 7), np.float64) @ (numbers.T if transpose else numbers), scale=100)


def test_gradient_of_scales_and_biases_in_halves():
    (q, s, b), _ = packed((8, 128), "affine", 64, 4)

    def loss(x, s, b):
        return (mx.quantized_matmul(x, q, s, b) ** 2).sum()
    exact = mx.grad(loss, argnums=(0, 1, 2))(normal((3, 128), 5), s, b)
    half = mx.grad(loss, argnums=(0, 1, 2))(normal((3, 128), 5).astype(mx.float16), s.astype(mx.float16), b.astype(mx.float16))
    for e, h in zip(exact, half):
        assert h.dtype == mx.float16
        close(h, checks.numbers(e), "bfloat16")


def test_gradients_that_are_not_there():
    (q, s, b), _ = packed((2, 8, 64), "affine", 64, 4)
    fq, fs = mx.quantize(normal((2, 8, 64)), mode="mxfp4")
    x, i = mx.ones((2, 1, 64)), mx.array([0, 1])
    c = mx.ones((2, 1, 8))
    for f, arg, kind, text in (
        (lambda q: mx.quantized_matmul(x, q, s, b), q, RuntimeError, "[QuantizedMatmul::vjp] no gradient wrt the quantized weights."),
        (lambda v: mx.quantized_matmul(x, fq, v, mode="mxfp4"), fs, ValueError,
         "[QuantizedMatmul::vjp] no gradient wrt scales in mxfp4 quantization."),
        (lambda q: mx.gather_qmm(x, q, s, b, rhs_indices=i), q, RuntimeError, "[GatherQMM::vjp] no gradient wrt the quantized weights."),
        (lambda v: mx.gather_qmm(x, fq, v, rhs_indices=i, mode="mxfp4"), fs, ValueError,
         "[GatherQMM::vjp] no gradient wrt scales in mxfp4 quantization."),
        (lambda i: mx.gather_qmm(x, q, s, b, rhs_indices=i), i, RuntimeError,
         "[GatherQMM::vjp] cannot compute the gradient wrt the indices."),
    ):
        with pytest.raises(kind) as e:
            mx.vjp(f, [arg], [c])
        assert text in str(e.value)
    with pytest.raises(RuntimeError, match="No JVP wrt the quantized matrix yet"):
        mx.jvp(lambda q: mx.quantized_matmul(x, q, s, b), [q], [q])
    for f, a in ((mx.to_fp8, mx.ones(2)), (mx.from_fp8, mx.ones(2, mx.uint8))):
        with pytest.raises(ValueError, match=r"\[Primitive::vjp\] Not implemented for (To|From)FP8"):
            mx.vjp(f, [a], [mx.ones(2, f(a).dtype)])


@pytest.mark.parametrize("mode", MODES)
def test_vmap(mode):
    def parts_of(w):
        return mx.quantize(w, mode=mode)
    w, x = normal((3, 5, 128)), normal((3, 4, 128), 2)
    parts = parts_of(w)
    for got, want in zip(mx.vmap(lambda w: tuple(parts_of(w)))(w), parts):
        np.testing.assert_array_equal(np.array(got), np.array(want))
    for got, want in zip(mx.vmap(lambda w: tuple(parts_of(w)), in_axes=1)(w), parts_of(mx.contiguous(w.swapaxes(0, 1)))):
        np.testing.assert_array_equal(np.array(got), np.array(want))
    numbers = np.array(mx.dequantize(*parts, mode=mode, dtype=mx.float32), np.float64)
    got = mx.vmap(lambda *p: mx.dequantize(*p, mode=mode, dtype=mx.float32))(*parts)
    np.testing.assert_array_equal(np.array(got), numbers.astype(np.float32))
    one = [p[0] for p in parts]
    xs = np.array(x, np.float64)
    close(mx.vmap(lambda x: mx.quantized_matmul(x, *one, mode=mode), in_axes=1)(x),
          xs.swapaxes(0, 1) @ numbers[0].T, scale=200)
    close(mx.vmap(lambda *p: mx.quantized_matmul(x[0], *p, mode=mode))(*parts), xs[0] @ numbers.swapaxes(-1, -2), scale=200)
    close(mx.vmap(lambda x, *p: mx.quantized_matmul(x, *p, mode=mode))(x, *parts), xs @ numbers.swapaxes(-1, -2), scale=200)
    rhs = mx.array([[0, 1, 1], [2, 2, -1]])
    got = mx.vmap(lambda i: mx.gather_qmm(x, *parts, rhs_indices=i, mode=mode))(rhs)
    close(got, np.stack([xs @ numbers[[0, 1, 1]].swapaxes(-1, -2), xs @ numbers[[2, 2, 2]].swapaxes(-1, -2)]), scale=200)
    both = mx.vmap(lambda x, *p: mx.gather_qmm(x, *p, lhs_indices=mx.array([0, -1]), rhs_indices=mx.array([1, 0]), mode=mode))
    got = both(mx.stack([x, x + 1]), *[mx.stack([p, p[::-1]]) for p in parts])
    want = [xs[[0, 2]] @ numbers[[1, 0]].swapaxes(-1, -2), (xs + 1)[[0, 2]] @ numbers[::-1][[1, 0]].swapaxes(-1, -2)]
    close(got, np.stack(want), scale=200)


# ---- products of two quantized matrices ----

@pytest.mark.parametrize("mode", ["mxfp4", "mxfp8", "nvfp4"])
def test_qqmm(mode):
    x, w = normal((3, 64)), normal((8, 64), 2)

    def seen(a, **more):
        return np.array(mx.dequantize(*mx.quantize(a, mode=mode, **more), mode=mode, dtype=mx.float32, **more), np.float64)
    want = seen(x) @ seen(w).T
    close(mx.qqmm(x, w, mode=mode), want, scale=100)
    close(mx.qqmm(x, *mx.quantize(w, mode=mode), mode=mode), want, scale=100)
    close(mx.qqmm(x[0], w, mode=mode), want[0], scale=100)
    gx, gw = mx.grad(lambda x, w: mx.qqmm(x, w, mode=mode).sum(), argnums=(0, 1))(x, w)
    close(gx, np.broadcast_to(seen(w).sum(0), (3, 64)), scale=100)      # as if the rounding were not there
    close(gw, np.broadcast_to(seen(x).sum(0), (8, 64)), scale=100)
    if mode == "nvfp4":
        g = mx.array(3.0)
        got = mx.qqmm(x, *mx.quantize(w, mode=mode, global_scale=g), mode=mode, global_scale_x=g, global_scale_w=g)
        close(got, seen(x, global_scale=g) @ seen(w, global_scale=g).T, scale=100)


# ---- wrong arguments ----

def wrong():
    z = mx.zeros
    (q, s, b), _ = packed((8, 64), "affine", 64, 4)
    (q3, s3, b3), _ = packed((2, 8, 64), "affine", 64, 4)
    fq, fs = mx.quantize(normal((8, 64)), mode="mxfp4")
    nq, ns = mx.quantize(normal((8, 64)), mode="nvfp4")
    x = z((3, 64))
    g, i = mx.array(1.0), mx.array([0])
    Q, D, M, G, T = mx.quantize, mx.dequantize, mx.quantized_matmul, mx.gather_qmm, mx.qqmm
    return [
        (lambda: Q(z((64,))), "[quantize] The matrix to be quantized must have at least 2 dimension but it has only 1."),
        (lambda: Q(z((2, 63))), "[quantize] The last dimension of the matrix needs to be divisible by the quantization group size 64. "
         "However the provided  matrix has shape (2,63)"),
        (lambda: Q(z((2, 64)), group_size=33), "group size 33. However the provided"),
        (lambda: Q(z((2, 64)), group_size=0), "[quantize] The requested group size 0 is not supported."),
        (lambda: Q(z((2, 64)), group_size=-64), "[quantize] The requested group size -64 is not supported."),
        (lambda: Q(z((2, 64)), group_size=16), "[quantize] The requested group size 16 is not supported. The supported group sizes are "
         "32, 64, and 128."),
        (lambda: Q(z((2, 64)), bits=7), "[quantize] The requested number of bits 7 is not supported. The supported bits are 1, 2, 3, 4, "
         "5, 6 and 8."),
        (lambda: Q(z((2, 64)), mode="bad"), "[quantize] Invalid quantization mode 'bad'."),
        (lambda: Q(z((2, 64)), group_size=64, mode="mxfp4"), "[quantize] mxfp4 quantization requires group size 32 but got 64."),
        (lambda: Q(z((2, 64)), bits=4, mode="mxfp8"), "[quantize] mxfp8 quantization requires bits to be 8 but got 4."),
        (lambda: Q(z((2, 64), mx.int32)), "[quantize] Only real floating types can be quantized but w has type int32."),
        (lambda: Q(z((2, 64)), global_scale=g), "[quantize] Global scale is only supported for 'nvfp4' quantization mode."),
        (lambda: Q(z((2, 64)), mode="nvfp4", global_scale=z((2,))), "[quantize] Global scale must be a scalar but got shape (2)."),
        (lambda: Q(z((2, 64)), mode="nvfp4", global_scale=mx.array(1)),
         "[quantize] Global scale must have dtype float32 but got int32."),
        (lambda: D(q, s), "[dequantize] Biases must be provided for affine quantization."),
        (lambda: D(fq, fs, b, mode="mxfp4"), "[dequantize] Biases must be null for quantization mode 'mxfp4'."),
        (lambda: D(fq, s, mode="mxfp4"), "[dequantize] Scale type must be uint8 but received type float32."),
        (lambda: D(q.astype(mx.int32), s, b), "[dequantize] The matrix should be given as a uint32"),
        (lambda: D(q, s, b, bits=8), "Provided matrix of shape (8,8) and scales/biases of shape (8,1) with group_size=64 and bits=8."),
        (lambda: D(q, s, b, bits=0), "with group_size=64 and bits=0."),
        (lambda: D(q, s, b, group_size=16, bits=16), "[dequantize] The requested group size 16 is not supported."),
        (lambda: D(q, s[:4], b[:4]), "[dequantize] Shape of scales and biases does not match the matrix"),
        (lambda: D(fq, fs[:4], mode="mxfp4"), "[dequantize] Shape of scales does not match the matrix"),
        (lambda: D(q[0], s[0], b[0]), "[dequantize] The matrix to be dequantized must have at least 2 dimension but it has only 1."),
        (lambda: D(q, s.astype(mx.int32), b.astype(mx.int32)), "scales.dtype() == int32 and biases.dtype() == int32."),
        (lambda: D(q, s, b, dtype=mx.int32), "[dequantize] Only real floating types are supported but output dtype == int32."),
        (lambda: M(x, q, s), "[quantized_matmul] Biases must be provided for affine quantization."),
        (lambda: M(x, q, s, b, mode="bad"), "[quantized_matmul] Invalid quantization mode 'bad'."),
        (lambda: M(x[:, :32], q, s, b), "[quantized_matmul] Last dimension of first input with shape (..., 32) does not match the "
         "expanded quantized matrix (64, 8) computed from shape (8,8) with group_size=64, bits=4 and transpose=true"),
        (lambda: M(x, q, s, b, transpose=False), "quantized matrix (8, 64) computed from shape (8,8) with group_size=64, bits=4 and "
         "transpose=false"),
        (lambda: M(x.astype(mx.complex64), q, s, b), "[quantized_matmul] Only real floating types are supported but x.dtype() == "
         "complex64."),
        (lambda: M(x, q.astype(mx.int32), s, b), "[quantized_matmul] The weight matrix should be uint32 but received int32"),
        (lambda: M(x, q, s, b[:4]), "[quantized_matmul] Scales and biases should have the same shape. Received scales with shape (8,1) "
         "and biases with (4,1)"),
        (lambda: M(x, q, s[:4], b[:4]), "w.shape() == (8,8) and scales.shape() == (4,1) with group_size=64 and bits=4"),
        (lambda: M(x, q[0], s[0], b[0]), "[quantized_matmul] Weight and scales should have the same batch shape. Received weight with "
         "shape (8), scales with (1)."),
        (lambda: M(x, q, s, b, bits=8), "[quantized_matmul] The shapes of the weight and scales are incompatible based on bits and "
         "group_size. w.shape() == (8,8) and scales.shape() == (8,1) with group_size=64 and bits=8"),
        (lambda: M(z((5, 3, 64)), q3, s3, b3), "[broadcast_shapes] Shapes (5) and (2) cannot be broadcast."),
        (lambda: M(x.astype(mx.int32), fq, fs, mode="mxfp4"), "[quantized_matmul] Only real floating types are supported but x.dtype() "
         "== int32."),
        (lambda: G(z((64,)), q3, s3, b3, rhs_indices=i), "[gather_qmm] Input must have at least two dimensions but got input with shape "
         "(64)."),
        (lambda: G(x, q3, s3, b3, rhs_indices=g), "[gather_qmm] Got indices with invalid dtype. Indices must be integral."),
        (lambda: G(z((5, 1, 64)), q3, s3, b3, lhs_indices=mx.array([0, 1, 2]), rhs_indices=mx.array([0, 1])),
         "[broadcast_shapes] Shapes (3) and (2) cannot be broadcast."),
        (lambda: T(x, nq), "[qqmm] Scales must be provided if second argument is quantized."),
        (lambda: T(x, nq, ns, global_scale_x=g), "[qqmm] For nvfp4 mode, either both global_scale_x and global_scale_w must be "
         "provided, or neither."),
        (lambda: T(x[:, :32], z((8, 64))), "[qqmm] Last dimension of first input with shape (3,32) must match last dimension of second "
         "input with shape (8,64)."),
        (lambda: mx.to_fp8(mx.array([1])), "[to_fp8] Only real floating types are supported but x.dtype() == int32."),
        (lambda: mx.from_fp8(x), "[from_fp8] Input must have type uint8 but x.dtype() == float32."),
        (lambda: mx.from_fp8(mx.array([1], mx.uint8), mx.int32), "[from_fp8] Only real floating types are supported but dtype == int32."),
    ]


@pytest.mark.parametrize("call,text", wrong(), ids=lambda v: v[:60] if isinstance(v, str) else "")
def test_wrong_arguments(call, text):
    with pytest.raises(ValueError) as e:
        call()
    assert text in str(e.value)


# ---- layers ----

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(16, 64)
        self.layers = [nn.Linear(64, 128), nn.Linear(128, 64, bias=False), nn.LayerNorm(64)]

    def __call__(self, x):
        h = self.embed(x)
        for layer in self.layers:
            h = layer(h)
        return self.embed.as_linear(h)


def test_layers_mix_modes_and_bits():
    choices = {"layers.0": {"group_size": 32, "bits": 8}, "layers.1": {"mode": "mxfp4", "group_size": 32, "bits": 4},
               "embed": {"mode": "nvfp4", "group_size": 16, "bits": 4}}
    model = Tied()
    x = mx.array([[1, 5, 9]])
    want = checks.numbers(model(x))
    nn.quantize(model, class_predicate=lambda path, m: choices.get(path, False))
    names = {k: (v.dtype, tuple(v.shape)) for k, v in tree_flatten(model.parameters())}
    assert names["layers.0.weight"] == (mx.uint32, (128, 16)) and names["layers.0.biases"][1] == (128, 2)
    assert names["layers.1.scales"] == (mx.uint8, (64, 4)) and "layers.1.biases" not in names
    assert names["embed.scales"] == (mx.uint8, (16, 4)) and "layers.0.bias" in names
    assert [k for k, _ in tree_flatten(model.trainable_parameters())] == ["layers.0.bias", "layers.2.weight", "layers.2.bias"]
    assert repr(model.layers[1]) == ("QuantizedLinear(input_dims=128, output_dims=64, bias=False, group_size=32, bits=4, "
                                     "mode=mxfp4)")
    got = checks.numbers(model(x))
    assert np.abs(got - want).max() < 0.3 * np.abs(want).max()

    def loss(model):
        return model(x).square().sum()
    _, grads = nn.value_and_grad(model, loss)(model)
    assert all(np.isfinite(checks.numbers(g)).all() for _, g in tree_flatten(grads))


# ---- the same numbers whatever the instruction set, the threads, the fusion ----

@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), rows=st.integers(1, 12), n=st.integers(1, 40), groups=st.integers(1, 9), transpose=st.booleans(),
       dtype=st.sampled_from(["float32", "float16", "bfloat16"]), batch=st.sampled_from([(), (2,), (2, 3)]), seed=st.integers(0, 99))
def test_any_product(kind, rows, n, groups, transpose, dtype, batch, seed):
    mode, group, bits = kind
    parts, numbers = packed((*batch, n, groups * group), mode, group, bits, seed, dtype)
    x = normal((*batch, rows, groups * group if transpose else n), seed + 1, dtype)
    w = numbers.swapaxes(-1, -2) if transpose else numbers
    got = mx.quantized_matmul(x, *parts, transpose=transpose, group_size=group, bits=bits, mode=mode)
    close(got, checks.numbers(x).astype(np.float64) @ w, dtype, scale=(np.abs(checks.numbers(x)) @ np.abs(w)).max())


PROGRAM = """
import sys, zlib, mlx.core as mx, numpy as np
sys.path.insert(0, {here!r})
from test_quantized import KINDS, normal, packed, close
total = 0
for mode, group, bits in KINDS[::2] + KINDS[-3:]:
    parts, numbers = packed((70, 768), mode, group, bits)
    for rows in (1, 3, 40):
        for transpose in (True, False):
            x = normal((rows, 768 if transpose else 70))
            y = mx.quantized_matmul(x, *parts, transpose=transpose, group_size=group, bits=bits, mode=mode)
            w = numbers.T if transpose else numbers
            close(y, np.array(x, np.float64) @ w, scale=(np.abs(np.array(x)) @ np.abs(w)).max())
            total = zlib.crc32(np.array(y).tobytes(), total)
print(total)
"""


def run(**env):
    code = PROGRAM.format(here=os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512", "avx512_bf16"])
def test_instruction_sets(isa):
    run(MLX_CPU_ISA=isa)


def test_threads_do_not_change_bits():
    assert run(MLX_NUM_THREADS="1") == run(MLX_NUM_THREADS="3")
