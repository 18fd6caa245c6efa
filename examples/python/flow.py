"""A normalizing flow on two moons: a distribution learned as an invertible map from a normal one (Real NVP).

Each layer scales and shifts half of the coordinates by functions of the other half, so that its inverse and the logarithm
of its determinant cost nothing. The likelihood of points is exact; samples come from the map the other way. A picture of
characters at the end shows where samples fall.
"""

import argparse
import math

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from progress import Progress


def moons(n: int) -> mx.array:
    """Two half circles that reach into each other; (n, 2)."""
    angle = mx.random.uniform(0, math.pi, (n,))
    upper = mx.random.bernoulli(0.5, (n,))
    x = mx.where(upper, mx.cos(angle), 1 - mx.cos(angle)) - 0.5
    y = mx.where(upper, mx.sin(angle), 0.5 - mx.sin(angle)) - 0.25
    return mx.stack([x, y], axis=1) + 0.08 * mx.random.normal((n, 2))


class Coupling(nn.Module):
    """Where mask is 1, coordinates pass; elsewhere they are scaled and shifted."""

    def __init__(self, mask: list[float], width: int) -> None:
        super().__init__()
        self._mask = mx.array(mask)
        self.net = nn.Sequential(
            nn.Linear(2, width), nn.gelu, nn.Linear(width, width), nn.gelu, nn.Linear(width, 4)
        )

    def scale_and_shift(self, kept: mx.array) -> tuple[mx.array, mx.array]:
        s, t = mx.split(self.net(kept), 2, axis=-1)
        return mx.tanh(s) * (1 - self._mask), t * (1 - self._mask)

    def forward(self, x: mx.array) -> tuple[mx.array, mx.array]:
        s, t = self.scale_and_shift(x * self._mask)
        return x * mx.exp(s) + t, s.sum(axis=-1)

    def inverse(self, z: mx.array) -> mx.array:
        s, t = self.scale_and_shift(z * self._mask)
        return (z - t) * mx.exp(-s)


class Flow(nn.Module):
    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.layers = [Coupling([1.0, 0.0] if i % 2 else [0.0, 1.0], width) for i in range(layers)]

    def log_likelihood(self, x: mx.array) -> mx.array:
        total = mx.zeros(x.shape[:1])
        for layer in self.layers:
            x, log_det = layer.forward(x)
            total = total + log_det
        return total - 0.5 * (x * x).sum(axis=-1) - math.log(2 * math.pi)

    def sample(self, n: int) -> mx.array:
        z = mx.random.normal((n, 2))
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z


def picture(points: mx.array, columns: int = 60, rows: int = 16) -> str:
    """How many points fall where."""
    counts = [[0] * columns for _ in range(rows)]
    for x, y in points.tolist():
        column, row = int((x + 2) / 4 * columns), int((1.2 - y) / 2.4 * rows)
        if 0 <= column < columns and 0 <= row < rows:
            counts[row][column] += 1
    return "\n".join("".join(" .:+#@"[min(n, 5)] for n in line) for line in counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    model = Flow(args.layers, width=64)
    optimizer = optim.Adam(optim.cosine_decay(3e-3, args.steps), bias_correction=True)
    state = [model.state, optimizer.state, mx.random.state]
    held = moons(2000)

    def step() -> mx.array:
        x = moons(args.batch_size)
        loss, grads = nn.value_and_grad(model, lambda x: -model.log_likelihood(x).mean())(x)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    print(f"log-likelihood of new points before {model.log_likelihood(held).mean().item():.3f}")
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        loss = compiled()
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"log-likelihood of new points after  {model.log_likelihood(held).mean().item():.3f}")
    print(picture(model.sample(3000)))


if __name__ == "__main__":
    main()
