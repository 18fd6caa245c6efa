"""rope as one op gives the bits that it has where it is composed of others, which is how compile and gradients see it."""

import itertools

import mlx.core as mx
import pytest


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize("shape, dims", [((1, 9, 1, 64), 64), ((2, 3, 7, 64), 48), ((3, 5, 10), 8)])
@pytest.mark.parametrize("traditional", [False, True])
def test_rope(dtype, shape, dims, traditional):
    """Strides; offsets as numbers, arrays and one for each of the batch; given frequencies."""
    x = mx.random.normal(shape, key=mx.random.key(1)).astype(dtype)
    swapped = mx.random.normal(shape[:-3] + (shape[-2], shape[-3], shape[-1]), key=mx.random.key(2)).astype(dtype).swapaxes(-2, -3)
    offsets = [0, 17, mx.array(5), mx.array([3]), mx.arange(shape[0]) * 7 + 1]
    for x, offset, freqs in itertools.product([x, swapped, x[..., ::-1]], offsets, [None, mx.linspace(1, 50, dims // 2)]):
        def turn(x, offset=offset, freqs=freqs):
            return mx.fast.rope(x, dims, traditional=traditional, base=1e4 if freqs is None else None, scale=0.5, offset=offset, freqs=freqs)
        assert mx.array_equal(turn(x), mx.compile(turn)(x)).item(), (offset, freqs)
