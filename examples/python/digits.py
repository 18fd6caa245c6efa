"""Train a small convolutional network on scans of handwritten digits.

The 1,797 images, 8 by 8 pixels, come with scikit-learn. A fifth of them is kept aside for the test. Writes a picture of
the learning curve and of the worst mistakes to out/digits.png, and fails below 98 % of the test images.

    python digits.py                              train, test, draw
    python digits.py --export FILE                only write the images, for examples/c/digits.c
    python digits.py --weights FILE               no training: test what a file holds, say one that examples/c/digits.c wrote
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
from progress import Progress
from sklearn.datasets import load_digits

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

Labelled = tuple[mx.array, mx.array]  # images and their digits


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.3)
        self.linear1 = nn.Linear(4 * 4 * 32, 64)
        self.linear2 = nn.Linear(64, 10)

    def __call__(self, x: mx.array) -> mx.array:
        x = nn.relu(self.conv1(x))
        x = self.pool(nn.relu(self.conv2(x)))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(self.linear1(self.dropout(x)))
        return self.linear2(x)


def load(seed: int) -> tuple[Labelled, Labelled]:
    """Images (N, 8, 8, 1) between 0 and 1 and their digits: those to train on, those to test on."""
    digits = load_digits()
    images = mx.array(digits.images[..., None].astype(np.float32) / 16)
    labels = mx.array(digits.target.astype(np.int32))
    order = mx.array(np.random.default_rng(seed).permutation(len(labels)))
    test, train = mx.split(order, [len(labels) // 5])
    return (images[train], labels[train]), (images[test], labels[test])


def shifted(images: mx.array) -> mx.array:
    """Each image moved by up to a pixel in either direction, as a hand might have."""
    padded = mx.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    moves = mx.random.randint(0, 3, (2, images.shape[0], 1, 1))
    rows = moves[0] + mx.arange(8)[:, None]
    cols = moves[1] + mx.arange(8)
    return padded[mx.arange(images.shape[0])[:, None, None], rows, cols]


def loss_fn(model: Net, images: mx.array, labels: mx.array) -> mx.array:
    return nn.losses.cross_entropy(model(images), labels, reduction="mean")


def share(model: Net, test: Labelled) -> float:
    """Of the test images that are read right."""
    return float(mx.mean(mx.argmax(model(test[0]), axis=1) == test[1]).item())


def train(
    model: Net, images: mx.array, labels: mx.array, test: Labelled, epochs: int, batch_size: int, learning_rate: float
) -> Any:
    """Returns the training loss and the test accuracy of each epoch."""
    steps = len(labels) // batch_size
    optimizer = optim.Adam(optim.cosine_decay(learning_rate, epochs * steps))
    loss_and_grad_fn = nn.value_and_grad(model, loss_fn)
    history = []
    progress = Progress(epochs, "training")
    for epoch in range(epochs):
        model.train()
        losses = []
        order = mx.random.permutation(len(labels))
        moved = shifted(images)
        for i in range(steps):
            batch = order[i * batch_size : (i + 1) * batch_size]
            loss, grads = loss_and_grad_fn(model, moved[batch], labels[batch])
            optimizer.update(model, grads)
            mx.eval(model.state, optimizer.state, loss)
            losses.append(loss.item())
        model.eval()
        correct = share(model, test)
        history.append((np.mean(losses), correct))
        progress.show(epoch + 1, f"loss {history[-1][0]:.4f}  test {100 * correct:.2f} %")
    return np.array(history)


def draw(history: Any, model: Net, images: mx.array, labels: mx.array, file: Path) -> None:
    """The learning curve above, below the test images on which the model was worst."""
    probabilities = nn.softmax(model(images))
    guesses = mx.argmax(probabilities, axis=1)
    of_truth = mx.take_along_axis(probabilities, labels[:, None], axis=1).squeeze(1)
    worst = mx.argsort(of_truth)[:12].tolist()

    figure = plt.figure(figsize=(10, 7), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[3, 2])
    top, bottom = parts
    axes = top.subplots()
    epochs = np.arange(1, len(history) + 1)
    axes.semilogy(epochs, history[:, 0], color="tab:blue")
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss", color="tab:blue")
    right = axes.twinx()
    right.plot(epochs, 100 * (1 - history[:, 1]), color="tab:red")
    right.set_ylim(0, 10)
    right.set_ylabel("test error, %", color="tab:red")
    for axes, i in zip(bottom.subplots(2, 6).flat, worst):
        axes.imshow(np.array(images[i, ..., 0]), cmap="gray_r")
        wrong = guesses[i].item() != labels[i].item()
        axes.set_title(
            f"{labels[i].item()} read as {guesses[i].item()} ({100 * of_truth[i].item():.0f} %)",
            fontsize=8,
            color="tab:red" if wrong else "black",
        )
        axes.axis("off")
    bottom.suptitle("worst of the test: what it is, what it was read as, probability given to the truth", fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--goal", type=float, default=0.98, help="share of the test images that must be read right")
    parser.add_argument("--out", type=Path, default=Path("out/digits.png"))
    parser.add_argument("--export", type=Path, metavar="FILE", help="only write the images into a .safetensors file")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="test these weights, without training")
    args = parser.parse_args()

    mx.random.seed(args.seed)
    start = time.perf_counter()
    (images, labels), test = load(args.seed)
    if args.export:
        names = ["train.images", "train.labels", "test.images", "test.labels"]
        return mx.save_safetensors(str(args.export), dict(zip(names, [images, labels, *test])))
    model = Net()
    size = sum(p.size for _, p in tree_flatten(model.parameters()))
    print(f"{len(labels)} images to train on, {len(test[1])} to test on; {size:,} parameters")
    if args.weights:
        model.load_weights(str(args.weights))
        model.eval()
        history = np.array([(loss_fn(model, images, labels).item(), share(model, test))])
    else:
        history = train(model, images, labels, test, args.epochs, args.batch_size, args.learning_rate)
    accuracy = history[-1, 1]
    draw(history, model, *test, args.out)
    wrong = round((1 - accuracy) * len(test[1]))
    print(f"test accuracy {100 * accuracy:.2f} % ({wrong} of {len(test[1])} wrong), picture in {args.out}")
    print(f"all in {time.perf_counter() - start:.1f} s")
    if accuracy < args.goal:
        sys.exit(f"below the goal of {100 * args.goal:.0f} %")


if __name__ == "__main__":
    main()
