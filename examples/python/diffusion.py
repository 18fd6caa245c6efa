"""Pictures out of noise, as Stable Diffusion: a U-Net with attention that is told what to draw, and a DDIM sampler.

Training: a picture is mixed with noise and the network says which noise (DDPM). Sampling: from noise alone, in a few steps,
each time towards the picture that the network sees in it; guided by how much the name of the shape changes its mind. At the
end samples are compared with pictures of the four shapes: how many look most like the one that was asked for.
"""

import argparse
import math

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from progress import Progress
from shapes import SHAPES, pictures

TIMES = 1000


class Residual(nn.Module):
    """Two convolutions; time and name shift and scale what is between them."""

    def __init__(self, inputs: int, outputs: int, told: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.told = nn.Linear(told, 2 * outputs)
        if inputs != outputs:
            self.shortcut = nn.Linear(inputs, outputs)

    def __call__(self, x: mx.array, told: mx.array) -> mx.array:
        scale, shift = mx.split(self.told(told)[:, None, None], 2, axis=-1)
        y = self.conv1(nn.silu(self.norm1(x)))
        y = self.conv2(nn.silu(self.norm2(y) * (1 + scale) + shift))
        return y + (self.shortcut(x) if "shortcut" in self else x)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.GroupNorm(8, width), nn.MultiHeadAttention(width, heads)

    def __call__(self, x: mx.array) -> mx.array:
        y = self.norm(x).flatten(1, 2)
        return x + self.attention(y, y, y).reshape(x.shape)


class UNet(nn.Module):
    """16 x 16, 8 x 8 and 4 x 4; what goes down is joined to what comes up."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 48), told: int = 64) -> None:
        super().__init__()
        self.time = nn.SinusoidalPositionalEncoding(told, max_freq=1, min_freq=1e-3)
        self.mix = nn.Sequential(nn.Linear(told, told), nn.SiLU(), nn.Linear(told, told))
        self.names = nn.Embedding(len(SHAPES) + 1, told)  # the last: nothing in particular
        self.stem = nn.Conv2d(1, widths[0], 3, padding=1)
        pairs = list(zip(widths[:-1], widths[1:]))
        self.down = [Residual(a, a, told) for a, _ in pairs]
        self.shrink = [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs]
        self.middle = [Residual(widths[-1], widths[-1], told), Residual(widths[-1], widths[-1], told)]
        self.attention = Attention(widths[-1], 4)
        self.grow = [nn.Upsample(2, mode="nearest") for _ in pairs]
        self.up = [Residual(a + b, a, told) for a, b in reversed(pairs)]
        self.norm, self.head = nn.GroupNorm(8, widths[0]), nn.Conv2d(widths[0], 1, 3, padding=1)

    def __call__(self, x: mx.array, time: mx.array, name: mx.array) -> mx.array:
        told = nn.silu(self.mix(self.time(time)) + self.names(name))
        x, passed = self.stem(x), []
        for block, shrink in zip(self.down, self.shrink):
            passed.append(block(x, told))
            x = shrink(passed[-1])
        x = self.middle[1](self.attention(self.middle[0](x, told)), told)
        for grow, block in zip(self.grow, self.up):
            x = block(mx.concatenate([grow(x), passed.pop()], axis=-1), told)
        return self.head(nn.silu(self.norm(x)))


def signal(time: mx.array) -> mx.array:
    """How much of the picture is left, squared, at each time: a cosine."""
    return mx.square(mx.cos((time / TIMES + 0.008) / 1.008 * math.pi / 2))[:, None, None, None]


def loss_fn(model: UNet, x: mx.array, name: mx.array) -> mx.array:
    n = len(x)
    time = mx.random.uniform(0, TIMES, (n,))
    noise, left = mx.random.normal(x.shape), signal(time)
    untold = mx.random.bernoulli(0.1, (n,))  # so that guidance has something to compare with
    guess = model(mx.sqrt(left) * x + mx.sqrt(1 - left) * noise, time, mx.where(untold, len(SHAPES), name))
    return nn.losses.mse_loss(guess, noise)


def sample(model: UNet, name: mx.array, steps: int, guidance: float) -> mx.array:
    """DDIM: no noise is added on the way. Both guesses, told and untold, are one batch."""
    n = len(name)
    x, both = mx.random.normal((n, 16, 16, 1)), mx.concatenate([name, mx.full(n, len(SHAPES), mx.int32)])

    def one_step(x: mx.array, now: mx.array, then: mx.array) -> mx.array:
        told, untold = mx.split(model(mx.concatenate([x, x]), mx.broadcast_to(now, (2 * n,)), both), 2)
        noise = untold + guidance * (told - untold)
        left, later = signal(now), signal(then)
        picture = mx.clip((x - mx.sqrt(1 - left) * noise) / mx.sqrt(left), -1, 1)
        noise = (x - mx.sqrt(left) * picture) / mx.sqrt(1 - left)
        return mx.sqrt(later) * picture + mx.sqrt(1 - later) * noise

    compiled = mx.compile(one_step)
    times = mx.linspace(0.98 * TIMES, 0, steps + 1)
    for i in range(steps):
        x = compiled(x, times[i : i + 1], times[i + 1 : i + 2])
        mx.eval(x)
    return x


def text(images: mx.array) -> str:
    """Pictures side by side, two rows of them in one line."""
    rows = mx.mean(images[..., 0].reshape(-1, 8, 2, 16), axis=2).swapaxes(0, 1).tolist()
    return "\n".join("  ".join("".join(" .:+#@"[min(5, max(0, int(3 * v + 3)))] for v in line) for line in row) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--sampling-steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    x, name, _ = pictures(2048, noise=0.0, seed=args.seed, still=True)
    x = 2 * x.max(axis=-1, keepdims=True) - 1  # without colours, from -1 to 1
    model = UNet()
    mx.eval(model.parameters())
    print(f"{sum(p.size for _, p in tree_flatten(model.parameters())):,} parameters")
    optimizer = optim.Adam(optim.cosine_decay(3e-3, args.steps), bias_correction=True)
    state = [model.state, optimizer.state, mx.random.state]

    def step(x: mx.array, name: mx.array) -> mx.array:
        loss, grads = nn.value_and_grad(model, loss_fn)(model, x, name)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    losses, progress = [], Progress(args.steps, "training")
    for i in range(args.steps):
        ids = mx.random.randint(0, len(x), (args.batch_size,))
        loss = compiled(x[ids], name[ids])
        mx.eval(state, loss)
        losses.append(loss.item())
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"loss first {losses[0]:.3f}, last {sum(losses[-10:]) / 10:.3f}")

    asked = mx.repeat(mx.arange(len(SHAPES)), 8)
    drawn = sample(model, asked, args.sampling_steps, args.guidance)
    typical = mx.stack([mx.mean(x * (name == k)[:, None, None, None], axis=0) for k in range(len(SHAPES))])
    typical = typical / mx.mean(name == mx.arange(len(SHAPES))[:, None], axis=1)[:, None, None, None]
    distance = mx.sum(mx.square(drawn[:, None] - typical), axis=(2, 3, 4))
    print(text(drawn[::8]))
    print(f"drawn as asked {100 * mx.mean(mx.argmin(distance, axis=1) == asked).item():.0f} %")


if __name__ == "__main__":
    main()
