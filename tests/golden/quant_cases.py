"""What the real MLX packs: inputs for the golden numbers of quantization, and what is kept of them. Shared by the script that
makes quant.npz and by test_quantized.py."""

import zlib

import mlx.core as mx
import numpy as np

DTYPES = ("float32", "float16", "bfloat16")


def matrix():
    """Rows of 128: ordinary ones, constants, zeros, tiny, huge, one sign, ties of the small floats, not finite."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((10, 128))
    x[1] = 0
    x[2] = 5
    x[3] *= 1e-7
    x[4] *= 1e4
    x[5] = np.abs(x[5]) + 10
    x[6] = -np.abs(x[6])
    x[7, ::2] = -0.0
    small = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.25, 0.75, -1.25, 1.75, 2.5, -3.5, 5, -6]
    x[8] = np.tile(small, 8)
    x[9] = np.linspace(-500, 500, 128)
    bad = rng.standard_normal((4, 128))
    bad[0, 3] = np.nan
    bad[1, 5] = np.inf
    bad[2, 7] = -np.inf
    bad[3] = np.nan
    return np.concatenate([x, bad]).astype(np.float32)


def raw(a):
    """The bits; NaN is one number, its sign and payload do not count."""
    if a.dtype == mx.bfloat16:
        bits = np.array(a.view(mx.uint16))
        return np.where((bits & 0x7fff) > 0x7f80, 0x7fc0, bits).astype(np.uint16)
    values = np.array(a)
    if values.dtype.kind != "f":
        return values
    values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return values.view(f"u{values.itemsize}")


def digest(a):
    return np.array(zlib.crc32(np.ascontiguousarray(raw(a)).tobytes()), np.uint32)


def affine(dtype, group, bits):
    """Words, scales, biases and a digest of the numbers that they stand for."""
    w = mx.array(matrix()).astype(getattr(mx, dtype))
    packed = mx.quantize(w, group_size=group, bits=bits)
    return [raw(a) for a in packed] + [digest(mx.dequantize(*packed, group_size=group, bits=bits))]


def floating(dtype, mode, global_scale=None):
    w = mx.array(matrix()).astype(getattr(mx, dtype))
    more = {} if global_scale is None else {"global_scale": mx.array(global_scale)}
    packed = mx.quantize(w, mode=mode, **more)
    result = [raw(a) for a in packed] + [digest(mx.dequantize(*packed, mode=mode, **more))]
    if global_scale is None:
        result += [digest(mx.dequantize(*packed, mode=mode, dtype=t)) for t in (mx.float16, mx.float32)]
    return result


def fp8(dtype):
    t = getattr(mx, dtype)
    return [raw(mx.to_fp8(mx.array(matrix()).astype(t))), raw(mx.from_fp8(mx.array(np.arange(256, dtype=np.uint8)), t))]


def gradient(bits):
    """Of scales and biases with respect to what is quantized."""
    w = mx.array(matrix()[[0, 5, 6]])

    def f(w):
        _, scales, biases = mx.quantize(w, group_size=64, bits=bits)
        return (scales * mx.arange(2)).sum() + 2 * biases.sum()
    return [np.array(mx.grad(f)(w))]


CASES = {
    **{f"affine {t} {g} {b}": (affine, t, g, b) for t in DTYPES for g in (32, 64, 128) for b in (1, 2, 3, 4, 5, 6, 8)},
    **{f"{m} {t}": (floating, t, m) for t in DTYPES for m in ("mxfp4", "mxfp8", "nvfp4")},
    **{f"nvfp4 {t} {g}": (floating, t, "nvfp4", g) for t in DTYPES for g in (2.0, 0.37)},
    **{f"fp8 {t}": (fp8, t) for t in DTYPES},
    **{f"gradient {b}": (gradient, b) for b in (2, 4)},
}


def arrays(name):
    f, *args = CASES[name]
    return f(*args)
