"""A multi-layer perceptron on the handwritten digits of scikit-learn: a module, a loss, an optimizer, batches."""

import argparse
import time
from collections.abc import Iterator

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from sklearn.datasets import load_digits


class MLP(nn.Module):
    def __init__(self, layers: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        sizes = [inputs] + [hidden] * layers + [outputs]
        self.layers = [nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])]

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers[:-1]:
            x = nn.relu(layer(x))
        return self.layers[-1](x)


def loss_fn(model: MLP, x: mx.array, y: mx.array) -> mx.array:
    return nn.losses.cross_entropy(model(x), y, reduction="mean")


def batches(x: mx.array, y: mx.array, size: int) -> Iterator[tuple[mx.array, mx.array]]:
    order = mx.array(np.random.permutation(len(y)))
    for start in range(0, len(y), size):
        ids = order[start : start + size]
        yield x[ids], y[ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="compile the training step")
    args = parser.parse_args()

    np.random.seed(0)
    mx.random.seed(0)
    digits = load_digits()
    order = np.random.permutation(len(digits.target))
    x = mx.array((digits.data[order] / 16).astype(np.float32))
    y = mx.array(digits.target[order].astype(np.int32))
    held = len(y) // 5
    x_test, y_test, x, y = x[:held], y[:held], x[held:], y[held:]

    model = MLP(layers=2, inputs=64, hidden=64, outputs=10)
    optimizer = optim.Adam(learning_rate=2e-3)
    loss_and_grad_fn = nn.value_and_grad(model, loss_fn)

    def step(x: mx.array, y: mx.array) -> mx.array:
        loss, grads = loss_and_grad_fn(model, x, y)
        optimizer.update(model, grads)
        return loss

    if args.compile:
        optimizer.init(model.trainable_parameters())
        state = [model.state, optimizer.state]
        step = mx.compile(step, inputs=state, outputs=state)

    for epoch in range(args.epochs):
        start = time.perf_counter()
        for batch in batches(x, y, 32):
            step(*batch)
            mx.eval(model.state, optimizer.state)
        accuracy = mx.mean(mx.argmax(model(x_test), axis=1) == y_test).item()
        print(f"epoch {epoch}: test accuracy {100 * accuracy:.1f} %, {time.perf_counter() - start:.3f} s")
    assert accuracy > 0.93


if __name__ == "__main__":
    main()
