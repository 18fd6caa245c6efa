"""mx.fft against NumPy: lengths of every kind, axes, sizes, norms, real forms, gradients, batching, errors."""

import mlx.core as mx
import numpy as np
import pytest

import checks

F = mx.fft
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 37, 64, 74, 97, 100, 121, 127, 1000, 1009, 1024, 4099]
NORMS = ["backward", "ortho", "forward"]


def sample(shape, dtype="complex64", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if dtype == "complex64" else x).astype(dtype)


def close(got, want):
    """The error against the size of the whole result: small elements are differences of large ones."""
    assert got.dtype == (mx.complex64 if np.iscomplexobj(want) else mx.float32)
    got = np.array(got)
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= 1e-6 * max(np.abs(want).max(initial=0), 1e-3)


@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(n):
    for batch in ((), (3,), (2, 17)):
        z, x = sample((*batch, n)), sample((*batch, n), "float32")
        close(F.fft(mx.array(z)), np.fft.fft(z))
        close(F.ifft(mx.array(z)), np.fft.ifft(z))
        close(F.rfft(mx.array(x)), np.fft.rfft(x))
        half = z[..., :n // 2 + 1]
        close(F.irfft(mx.array(half), n=n), np.fft.irfft(half, n))


LONG = [32768, 32771, 40000, 65536, 65537, 3 * 5 * 7 * 11 * 13 * 3, 1 << 17]


@pytest.mark.parametrize("n", LONG)
def test_long_ones(n):
    """Those that are split into columns and rows, and the chirp's over them; also real, strided and several."""
    z = sample((n, 2))
    x = z.real.copy()
    m, mr = mx.array(z), mx.array(x)
    close(F.fft(m[:, 0]), np.fft.fft(z[:, 0]))
    close(F.fft(m, axis=0), np.fft.fft(z, axis=0))
    close(F.ifft(m.T, axis=1), np.fft.ifft(z.T, axis=1))
    close(F.rfft(mr[:, 1]), np.fft.rfft(x[:, 1]))
    close(F.rfft(mr, axis=0), np.fft.rfft(x, axis=0))
    half = z[:n // 2 + 1]
    close(F.irfft(mx.array(half[:, 0]), n=n), np.fft.irfft(half[:, 0], n))
    close(F.irfft(mx.array(half), n=n, axis=0), np.fft.irfft(half, n, axis=0))


@pytest.mark.parametrize("n", [1, 2, 6, 9, 17, 32, 60, 64, 77, 128, 210, 256, 512, 720, 961, 2048, 8192])
@pytest.mark.parametrize("count", [1, 2, 7, 16, 33])
def test_sequences_side_by_side(n, count):
    z = sample((2, n, count))
    close(F.fft(mx.array(z), axis=1), np.fft.fft(z, axis=1))
    close(F.ifft(mx.array(z.swapaxes(1, 2))), np.fft.ifft(z.swapaxes(1, 2)))
    close(F.rfft(mx.array(z.real.copy()), axis=1), np.fft.rfft(z.real, axis=1))
    half = z[:, :n // 2 + 1]
    close(F.irfft(mx.array(half), n=n, axis=1), np.fft.irfft(half, n, axis=1))


def test_many_lengths_at_once():
    """More plans than are kept, from several threads."""
    from concurrent.futures import ThreadPoolExecutor

    def check(n):
        z = sample((n,))
        close(F.fft(mx.array(z)), np.fft.fft(z))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, [*range(100, 240), *range(100, 240)]))


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
@pytest.mark.parametrize("norm", NORMS)
def test_axes_sizes_and_norms(name, norm):
    a = sample((5, 6, 7), "float32" if name == "rfft" else "complex64")
    for axis in (0, 1, 2, -1, -3):
        for n in (None, 1, 3, 6, 10, 37):
            close(getattr(F, name)(mx.array(a), n=n, axis=axis, norm=norm), getattr(np.fft, name)(a, n=n, axis=axis, norm=norm))


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("norm", NORMS)
def test_several_axes(name, norm):
    a = sample((4, 5, 6), "float32" if name == "rfftn" else "complex64")
    of_mx, of_np = getattr(F, name), getattr(np.fft, name)
    close(of_mx(mx.array(a), norm=norm), of_np(a, norm=norm))
    for s, axes in [(None, (0, 1)), (None, (2, 0)), ((3, 8), (0, 2)), ((7, 4, 9), (2, 1, 0)), ((5,), (1,))]:
        close(of_mx(mx.array(a), s=s, axes=axes, norm=norm), of_np(a, s=s, axes=axes, norm=norm))
    two = name.replace("fftn", "fft2")
    close(getattr(F, two)(mx.array(a), norm=norm), getattr(np.fft, two)(a, norm=norm))
    close(getattr(F, two)(mx.array(a), s=(3, 7), axes=(1, 0)), getattr(np.fft, two)(a, s=(3, 7), axes=(1, 0)))


def test_strided_inputs():
    a = sample((6, 8, 10))
    m = mx.array(a)
    close(F.fft(m.transpose(2, 0, 1)), np.fft.fft(a.transpose(2, 0, 1)))
    close(F.fft(m[::2, ::-1, 1::3], axis=1), np.fft.fft(a[::2, ::-1, 1::3], axis=1))
    close(F.fft(mx.broadcast_to(m[:, :1], m.shape), axis=1), np.fft.fft(np.broadcast_to(a[:, :1], a.shape), axis=1))


@pytest.mark.parametrize("dtype", ["bool_", "int8", "uint64", "float16", "bfloat16", "float32", "float64"])
def test_any_dtype_becomes_complex64(dtype):
    a = mx.array([1.0, 0.0, 1.0, 1.0]).astype(getattr(mx, dtype))
    for f, want in [(F.fft, np.fft.fft), (F.ifft, np.fft.ifft), (F.rfft, np.fft.rfft), (F.irfft, np.fft.irfft)]:
        close(f(a), want([1, 0, 1, 1]))


def test_inverses_undo():
    z, x = sample((4, 60)), sample((4, 9, 14), "float32")
    close(F.ifft(F.fft(mx.array(z))), z)
    close(F.irfft2(F.rfft2(mx.array(x)), s=(9, 14)), x)


def dot(a, b):
    """The real scalar product of gradients."""
    a, b = (np.array(v).astype(np.complex128) for v in (a, b))
    return (a.real * b.real + a.imag * b.imag).sum()


@pytest.mark.parametrize("name,n", [("fft", 9), ("ifft", 4), ("rfft", 8), ("rfft", 7), ("irfft", 8), ("irfft", 9), ("fft2", None),
                                    ("irfft2", None), ("rfft2", None)])
def test_gradients_are_those_of_a_linear_map(name, n):
    real = name.startswith("rfft")
    x, t = (mx.array(sample((3, 5, 7), "float32" if real else "complex64", seed)) for seed in (1, 2))
    f = lambda a: getattr(F, name)(a) if n is None else getattr(F, name)(a, n=n, axis=1)
    (y,), (dy,) = mx.jvp(f, [x], [t])
    np.testing.assert_allclose(np.array(dy), np.array(f(t)), rtol=1e-5, atol=1e-5)
    g = mx.array(sample(y.shape, "complex64" if y.dtype == mx.complex64 else "float32", 3))
    _, (dx,) = mx.vjp(f, [x], [g])
    assert dx.dtype == x.dtype and dx.shape == x.shape
    np.testing.assert_allclose(dot(dx, t), dot(g, dy), rtol=1e-4)


def test_a_gradient_by_hand():
    x = sample((8,), "float32")
    power = mx.grad(lambda a: mx.square(mx.abs(F.fft(a))).sum())(mx.array(x))      # n sum x^2, by Parseval
    np.testing.assert_allclose(np.array(power), 16 * x, rtol=1e-5, atol=1e-5)


def test_vmap():
    z = sample((3, 4, 5))
    m = mx.array(z)
    for mapped in range(3):
        for axis in range(2):
            want = np.stack([np.fft.fft(np.take(z, i, mapped), axis=axis) for i in range(z.shape[mapped])])
            close(mx.vmap(lambda a: F.fft(a, axis=axis), in_axes=mapped)(m), want)
    want = np.stack([np.fft.irfft2(z[:, :, i]) for i in range(5)])
    close(mx.vmap(F.irfft2, in_axes=2)(m), want)


def test_compiled():
    for f in (F.fft, F.rfft, F.irfft, F.fft2):
        checks.compiled(f, [mx.array(sample((3, 8), "float32"))])


def test_empty():
    assert F.fft(mx.zeros((0, 4))).shape == (0, 4)
    close(F.fftn(mx.array([1.0, 2.0]), axes=[]), np.array([1, 2], "float32"))


@pytest.mark.parametrize("call,error", [
    (lambda a: F.fft(a, n=0), ValueError), (lambda a: F.fft(a, n=-1), ValueError), (lambda a: F.fft(a, norm="bad"), ValueError),
    (lambda a: F.fft(a, axis=4), IndexError), (lambda a: F.fft(a[0, 0]), IndexError), (lambda a: F.fft2(a[0]), IndexError),
    (lambda a: F.fft(a[:, :0]), ValueError), (lambda a: F.irfft(a[:, :1]), ValueError),
    (lambda a: F.fftn(a, axes=[0, -2]), ValueError), (lambda a: F.fftn(a, s=[4], axes=[0, 1]), ValueError),
    (lambda a: F.fftn(a, s=[4]), ValueError)])
def test_errors(call, error):
    with pytest.raises(error, match="fft|xis"):
        call(mx.ones((3, 4)))


# ---- short-time transforms ----

def frames_of(x, n_fft, hop, window, center, mode):
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)], mode)
    low = (n_fft - len(window)) // 2
    window = np.pad(window, (low, n_fft - len(window) - low))
    count = 1 + (x.shape[-1] - n_fft) // hop
    return np.stack([x[..., i * hop:i * hop + n_fft] * window for i in range(count)], -1)


@pytest.mark.parametrize("n_fft, hop, length", [(8, 2, 8), (8, 3, 8), (7, 2, 5), (16, 16, 16), (16, 5, 10), (9, 1, 9)])
@pytest.mark.parametrize("center, mode", [(True, "reflect"), (True, "constant"), (True, "edge"), (False, "reflect")])
def test_stft(n_fft, hop, length, center, mode):
    window = np.hanning(length + 2)[1:-1].astype(np.float32)
    for x in (sample((40,), "float32"), sample((2, 3, 33), "float32"), sample((2, 30))):
        want = frames_of(x, n_fft, hop, window, center, mode)
        one = not np.iscomplexobj(x)
        call = lambda **more: F.stft(mx.array(x), n_fft, hop, window=mx.array(window), center=center, pad_mode=mode, **more)
        close(call(), (np.fft.rfft if one else np.fft.fft)(want, axis=-2))
        close(call(onesided=False, norm="ortho"), np.fft.fft(want, axis=-2, norm="ortho"))
        close(call(onesided=True), np.fft.rfft(want.real, axis=-2))


@pytest.mark.parametrize("n_fft, hop", [(8, 2), (16, 4), (9, 3), (16, 8)])
@pytest.mark.parametrize("center", [True, False])
def test_istft_undoes_stft(n_fft, hop, center):
    window = mx.array(np.hamming(n_fft).astype(np.float32))
    for shape in ((80,), (2, 3, 80)):
        x = sample(shape, "float32")
        for onesided in (True, False):
            s = F.stft(mx.array(x), n_fft, hop, window=window, center=center, onesided=onesided)
            back = F.istft(s, n_fft, hop, window=window, center=center, onesided=onesided)
            close(back, x[..., :back.shape[-1]])
            assert F.istft(s, n_fft, hop, window=window, onesided=onesided, length=90).shape == (*shape[:-1], 90)
            assert F.istft(s, n_fft, hop, window=window, onesided=onesided, length=7).shape == (*shape[:-1], 7)


def test_istft_where_no_window_reaches():
    """As MLX: a place that is covered by less than 1e-8 is divided by that."""
    x = mx.arange(1, 21).astype(mx.float32)
    s = F.stft(x, 8)
    assert np.array(F.istft(s, window=mx.zeros(8))).tolist() == [0] * 20
    small = mx.full((8,), 1e-5)
    np.testing.assert_allclose(np.array(F.istft(F.stft(x, 8, window=small), window=small))[:3], [0.03, 0.06, 0.12], rtol=1e-4)


def test_short_time_gradients_and_vmap():
    x, t = (mx.array(sample((30,), "float32", seed)) for seed in (1, 2))
    window = mx.array(np.hanning(10)[1:-1].astype(np.float32))
    f = lambda a: F.istft(F.stft(a, 8, 3, window=window) * mx.array([1, 0.5, 2, 1j, 1]).reshape(5, 1), 8, 3, window=window)
    (y,), (dy,) = mx.jvp(f, [x], [t])
    close(dy, np.array(f(t)))
    _, (dx,) = mx.vjp(f, [x], [y])
    np.testing.assert_allclose(dot(dx, t), dot(y, dy), rtol=1e-4)
    close(mx.vmap(f)(mx.stack([x, t])), np.stack([np.array(f(x)), np.array(f(t))]))


@pytest.mark.parametrize("call, says", [
    (lambda x: F.stft(x, 0), "n_fft must be positive"), (lambda x: F.stft(x, 8, hop_length=0), "hop_length must be positive"),
    (lambda x: F.stft(x, 2), "hop_length must be positive"), (lambda x: F.stft(x, 8, win_length=9), "must not exceed n_fft"),
    (lambda x: F.stft(x, 8, window=mx.ones((2, 2))), "one-dimensional"), (lambda x: F.stft(x[0], 8), "at least one dimension"),
    (lambda x: F.stft(x, 8, pad_mode="foo"), "padding mode .foo."), (lambda x: F.stft(x, 8, norm="x"), "norm"),
    (lambda x: F.stft(x, 64, center=False), "too short"), (lambda x: F.stft(x[:0], 8), "empty"),
    (lambda x: F.istft(x), "at least two dimensions"), (lambda x: F.istft(mx.zeros((5, 0))), "no frames"),
    (lambda x: F.istft(mx.zeros((1, 3))), "n_fft must be positive"), (lambda x: F.istft(mx.zeros((5, 3)), length=-1), "length"),
    (lambda x: F.istft(mx.zeros((5, 3)), hop_length=-2), "hop_length must be positive")])
def test_short_time_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call(mx.ones(20))


def test_an_axis_shifted_twice():
    a = mx.arange(12).reshape(3, 4)
    assert mx.array_equal(mx.fft.fftshift(a, axes=(0, 0)), mx.roll(a, 2, 0))
    assert mx.array_equal(mx.fft.ifftshift(a, axes=(1, -1)), mx.roll(a, -4, 1))
