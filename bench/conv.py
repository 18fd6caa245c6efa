"""Convolutions, forward and with both gradients; each library in the layout that it likes."""

from peers import race


def arrays(batch, size, channels, out, kernel, groups=1):
    def make(rng):
        x = rng.standard_normal((batch, *size, channels), dtype="float32")
        w = rng.standard_normal((out, *kernel, channels // groups), dtype="float32") * 0.1
        return [x, w]
    return make


def first(x):                            # channels last -> channels first
    return x.movedim(-1, 1)


def conv(stride=1, padding=0, groups=1, dims=2, transposed=False):
    name = f"conv{dims}d" if not transposed else f"conv_transpose{dims}d"

    def mlx(mx, x, w):
        return getattr(mx, name)(x, w, stride=stride, padding=padding, groups=groups)

    def torch(torch, x, w):
        w = first(w).transpose(0, 1) if transposed else first(w)
        return getattr(torch, name)(first(x), w, stride=stride, padding=padding, groups=groups)

    def jax(jnp, x, w):
        from jax import lax
        space = "DHW"[3 - dims:]
        if transposed:
            low = [k - 1 - padding for k in w.shape[1:-1]]
            return lax.conv_general_dilated(x, jnp.flip(w, range(1, dims + 1)), [1] * dims, [(p, p) for p in low], lhs_dilation=[stride] * dims,
                                            dimension_numbers=("N" + space + "C", "O" + space + "I", "N" + space + "C"))
        return lax.conv_general_dilated(x, w, [stride] * dims, [(padding, padding)] * dims, feature_group_count=groups,
                                        dimension_numbers=("N" + space + "C", "O" + space + "I", "N" + space + "C"))
    return mlx, torch, jax


def forward(make, **how):
    mlx, torch, jax = conv(**how)
    return race(make, mx=mlx, torch=torch, jax=jax)


def backward(make, **how):
    mlx, torch, jax = conv(**how)

    def by_torch(t, x, w):
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = torch(t, x, w)
        return t.autograd.grad(y, (x, w), t.ones_like(y))

    def by_jax(jnp, x, w):
        import jax as j
        y, back = j.vjp(lambda x, w: jax(jnp, x, w), x, w)
        return back(jnp.ones_like(y))

    def by_mlx(mx, x, w):
        return mx.value_and_grad(lambda x, w: mlx(mx, x, w).sum(), argnums=(0, 1))(x, w)
    return race(make, mx=by_mlx, torch=by_torch, jax=by_jax)


LARGE = arrays(32, (56, 56), 64, 64, (3, 3))
FIRST, SECOND = arrays(64, (28, 28), 1, 32, (3, 3)), arrays(64, (14, 14), 32, 64, (3, 3))
RACES = {
    "32x56x56x64 3x3, forward": forward(LARGE, padding=1),
    "32x56x56x64 3x3, with backward": backward(LARGE, padding=1),
    "64x28x28x1 to 32, 3x3, forward": forward(FIRST, padding=1),
    "64x28x28x1 to 32, 3x3, backward": backward(FIRST, padding=1),
    "64x14x14x32 to 64, 3x3, forward": forward(SECOND, padding=1),
    "64x14x14x32 to 64, 3x3, backward": backward(SECOND, padding=1),
    "8x224x224x3 7x7 stride 2, forward": forward(arrays(8, (224, 224), 3, 64, (7, 7)), stride=2, padding=3),
    "8x224x224x3 7x7 stride 2, backward": backward(arrays(8, (224, 224), 3, 64, (7, 7)), stride=2, padding=3),
    "16x56x56x128 depthwise, forward": forward(arrays(16, (56, 56), 128, 128, (3, 3), 128), padding=1, groups=128),
    "16x56x56x128 depthwise, backward": backward(arrays(16, (56, 56), 128, 128, (3, 3), 128), padding=1, groups=128),
    "16x28x28x128 8 groups, forward": forward(arrays(16, (28, 28), 128, 128, (3, 3), 8), padding=1, groups=8),
    "16x28x28x128 8 groups, backward": backward(arrays(16, (28, 28), 128, 128, (3, 3), 8), padding=1, groups=8),
    "16x56x56x64 to 256, 1x1, forward": forward(arrays(16, (56, 56), 64, 256, (1, 1))),
    "16x56x56x64 to 256, 1x1, backward": backward(arrays(16, (56, 56), 64, 256, (1, 1))),
    "1d: 16x4096x64, 5, forward": forward(arrays(16, (4096,), 64, 64, (5,)), padding=2, dims=1),
    "3d: 2x16x32x32x16 to 32, forward": forward(arrays(2, (16, 32, 32), 16, 32, (3, 3, 3)), padding=1, dims=3),
    "transposed 16x28x28x64, stride 2": forward(arrays(16, (28, 28), 64, 32, (3, 3)), stride=2, padding=1, transposed=True),
}
