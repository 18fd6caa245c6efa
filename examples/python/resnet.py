"""A small residual network, as for CIFAR, on pictures it makes: convolutions, batch norm, a state that training changes.

Each picture shows one of four shapes in one of four colours: sixteen classes. The step is compiled with the model's and the
optimizer's state, and the running statistics of the batch norms are part of that state.
"""

import argparse

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from progress import Progress
from shapes import COLOURS, pictures


class Block(nn.Module):
    """Two convolutions beside a shortcut; a stride or another width puts a convolution on the shortcut, too."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm(outputs)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        y = nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return nn.relu(y + (self.shortcut(x) if "shortcut" in self else x))


class ResNet(nn.Module):
    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 32, 64), blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm(widths[0])
        self.blocks = []
        inputs = widths[0]
        for stage, width in enumerate(widths):
            for i in range(blocks):
                self.blocks.append(Block(inputs, width, stride=2 if stage and not i else 1))
                inputs = width
        self.head = nn.Linear(inputs, classes)

    def __call__(self, x: mx.array) -> mx.array:
        x = nn.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(mx.mean(x, axis=(1, 2)))


def flipped(x: mx.array) -> mx.array:
    """Half of the pictures mirrored, which changes no class."""
    which = mx.random.bernoulli(0.5, (x.shape[0], 1, 1, 1))
    return mx.where(which, x[:, :, ::-1], x)


def accuracy(model: ResNet, x: mx.array, y: mx.array) -> float:
    model.eval()
    right = float(mx.mean(mx.argmax(model(x), axis=1) == y).item())
    model.train()
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    x, shape, colour = pictures(4096, noise=0.1, seed=args.seed)
    y = shape * len(COLOURS) + colour
    x_test, y_test, x, y = x[:256], y[:256], x[256:], y[256:]

    model = ResNet(classes=16)
    mx.eval(model.parameters())
    print(f"{sum(p.size for _, p in tree_flatten(model.trainable_parameters())):,} parameters")
    schedule = optim.cosine_decay(args.learning_rate, args.steps)
    optimizer = optim.AdamW(schedule, weight_decay=0.01, bias_correction=True)
    state = [model.state, optimizer.state, mx.random.state]

    def loss_fn(x: mx.array, y: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    def step(x: mx.array, y: mx.array) -> mx.array:
        loss, grads = nn.value_and_grad(model, loss_fn)(flipped(x), y)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        ids = mx.random.randint(0, len(y), (args.batch_size,))
        loss = compiled(x[ids], y[ids])
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"test accuracy {100 * accuracy(model, x_test, y_test):.1f} %")


if __name__ == "__main__":
    main()
