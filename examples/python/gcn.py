"""A graph convolutional network: what a few members of a network belong to tells what the others do.

The graph is made: members of four groups know each other more often than strangers, and say little about themselves
(noisy features). Labels are known of five in each group. One layer mixes a node's features with its neighbours', by
adding up along the edges: no matrix of the whole graph is built.
"""

import argparse

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from progress import Progress


def community(groups: int, size: int, inside: float, outside: float, seed: int) -> tuple[mx.array, mx.array]:
    """The groups of groups * size nodes, and the edges between them (2, edges), each in both directions."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    chance = np.where(group[:, None] == group, inside, outside)
    upper = np.triu(rng.random(chance.shape) < chance, 1)
    a, b = np.nonzero(upper | upper.T)
    return mx.array(group.astype(np.int32)), mx.array(np.stack([a, b]).astype(np.int32))


class GraphConvolution(nn.Module):
    """x W, averaged over each node and its neighbours with weights 1 / sqrt(degree * degree)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def __call__(self, x: mx.array, edges: mx.array, scale: mx.array) -> mx.array:
        x = self.linear(x) * scale
        return x.at[edges[1]].add(x[edges[0]]) * scale


class GCN(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = GraphConvolution(inputs, hidden)
        self.second = GraphConvolution(hidden, outputs)
        self.dropout = nn.Dropout(0.5)

    def __call__(self, x: mx.array, edges: mx.array, scale: mx.array) -> mx.array:
        x = self.dropout(nn.relu(self.first(x, edges, scale)))
        return self.second(x, edges, scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=250, help="members of each of the four groups")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    group, edges = community(4, args.size, 9 / args.size, 2.5 / args.size, args.seed)
    n = group.size
    degree = mx.ones(n).at[edges[0]].add(1.0)  # itself, and its neighbours
    scale = mx.rsqrt(degree)[:, None]
    x = 0.3 * mx.eye(4)[group] @ mx.random.normal((4, 16)) + mx.random.normal((n, 16))
    known = mx.concatenate([mx.arange(5) + g * args.size for g in range(4)])
    asked = mx.ones(n).at[known].add(-1.0)
    print(f"{n} nodes, {edges.shape[1] // 2} edges, {known.size} labels")

    model = GCN(16, 32, 4)
    optimizer = optim.AdamW(1e-2, weight_decay=1e-2)

    def loss_fn(model: GCN) -> mx.array:
        return nn.losses.cross_entropy(model(x, edges, scale)[known], group[known], reduction="mean")

    def accuracy() -> float:
        model.eval()
        right = mx.argmax(model(x, edges, scale), axis=1) == group
        model.train()
        return float(((right * asked).sum() / asked.sum()).item())

    loss_and_grad_fn = nn.value_and_grad(model, loss_fn)
    print(f"accuracy before {100 * accuracy():.1f} %")
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        loss, grads = loss_and_grad_fn(model)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"accuracy after  {100 * accuracy():.1f} %")


if __name__ == "__main__":
    main()
